//! Tokens whose signature has been checked before: a bounded cache that costs one hash a hit.
//!
//! An entry says only "this text was signed by us and names this credential"; expiry, revocation
//! and membership are looked up at each use.

use std::sync::Arc;

use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use wayleave_core::ScopeSet;

use crate::directory::LookupId;
use crate::revoked::TokenId;

const SHARDS: usize = 64;
const SETS: usize = 64;
/// An entry may lie in any of this many places of its set; with fewer, some sets overflow long
/// before the cache is full.
const WAYS: usize = 16;

/// What is remembered of a token.
#[derive(Clone, Debug)]
pub(crate) struct SeenToken {
    pub(crate) lookup: LookupId,
    /// By which a revocation names it.
    pub(crate) token: TokenId,
    /// The epoch of the keys that it was checked with: a key that is removed ends its epoch.
    pub(crate) epoch: u32,
    /// Unix seconds.
    pub(crate) issued_s: i64,
    /// Unix seconds.
    pub(crate) expires_s: i64,
    /// The token's scopes where they are fewer than the credential's.
    pub(crate) narrowed: Option<Arc<ScopeSet>>,
}

type Digested = [u8; 32];
type Slot = Option<(Digested, SeenToken)>;

/// At most 65,536 tokens.
pub(crate) struct SeenTokens {
    shards: Box<[RwLock<Vec<Slot>>]>,
}

impl SeenTokens {
    pub(crate) fn new() -> Self {
        let shard = || RwLock::new(Vec::new());
        SeenTokens {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
        }
    }

    pub(crate) fn digest(token: &str) -> Digested {
        Sha256::digest(token.as_bytes()).into()
    }

    fn place(&self, digest: &Digested) -> (&RwLock<Vec<Slot>>, usize) {
        let shard = usize::from(digest[0]) % SHARDS;
        let set = usize::from(digest[1]) % SETS;
        (&self.shards[shard], set * WAYS)
    }

    pub(crate) fn get(&self, digest: &Digested) -> Option<SeenToken> {
        let (shard, first) = self.place(digest);
        let slots = shard.read();
        let set = slots.get(first..first + WAYS)?;
        set.iter()
            .flatten()
            .find(|(held, _)| held == digest)
            .map(|(_, token)| token.clone())
    }

    /// Remembers a token, in the place of an expired one if there is one, else of a chance one.
    pub(crate) fn put(&self, digest: Digested, token: SeenToken, now_s: i64) {
        let (shard, first) = self.place(&digest);
        let mut slots = shard.write();
        if slots.is_empty() {
            slots.resize(SETS * WAYS, None);
        }
        let set = &mut slots[first..first + WAYS];
        let free = |slot: &Slot| slot.as_ref().is_none_or(|(_, held)| held.expires_s < now_s);
        let chance = usize::from(digest[2]) % WAYS;
        let place = set.iter().position(free).unwrap_or(chance);
        set[place] = Some((digest, token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(expires_s: i64) -> SeenToken {
        SeenToken {
            lookup: LookupId::of("id"),
            token: TokenId::of("jti"),
            epoch: 0,
            issued_s: 0,
            expires_s,
            narrowed: None,
        }
    }

    #[test]
    fn a_token_is_found_again_and_another_is_not() {
        let seen = SeenTokens::new();
        let digest = SeenTokens::digest("a");
        seen.put(digest, token(100), 0);
        assert!(seen.get(&digest).is_some());
        assert!(seen.get(&SeenTokens::digest("b")).is_none());
    }

    #[test]
    fn it_never_grows_past_its_bound() {
        let seen = SeenTokens::new();
        for number in 0..200_000 {
            seen.put(SeenTokens::digest(&number.to_string()), token(100), 0);
        }
        let held: usize = seen
            .shards
            .iter()
            .map(|shard| shard.read().iter().flatten().count())
            .sum();
        assert!(held <= SHARDS * SETS * WAYS);
        assert!(held > SHARDS * SETS * WAYS / 2);
    }
}
