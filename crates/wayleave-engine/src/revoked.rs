//! Tokens that were revoked before they expired (law 6): few, and gone after an hour.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use wayleave_core::Timestamp;
use wayleave_store::RevokedToken;

use crate::directory::LookupId;

/// What a token is known by here: as public ids are, by 16 bytes of a hash.
pub(crate) type TokenId = LookupId;

/// The set of them.
#[derive(Default)]
pub(crate) struct RevokedTokens {
    /// How many there are; without any, no lock is taken.
    count: AtomicUsize,
    ends: RwLock<HashMap<TokenId, Timestamp>>,
}

impl RevokedTokens {
    pub(crate) fn contains(&self, token: TokenId) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.ends.read().contains_key(&token)
    }

    pub(crate) fn put_all(&self, tokens: &[RevokedToken]) {
        let mut ends = self.ends.write();
        for token in tokens {
            ends.insert(TokenId::of(&token.jti), token.expires_at);
        }
        self.count.store(ends.len(), Ordering::Release);
    }

    /// Forgets those that nobody would take for their age.
    pub(crate) fn forget_expired(&self, now: Timestamp) {
        let mut ends = self.ends.write();
        // A minute is far beyond the leeway for clocks.
        ends.retain(|_, end| end.plus(std::time::Duration::from_secs(60)) > now);
        self.count.store(ends.len(), Ordering::Release);
    }
}
