//! No signature is accepted twice (RFC 9421 section 7.2.2). Where a scheme has no nonce and its
//! signatures are to count once, the signature itself is the nonce.
//!
//! Where nodes share the database, a unique key of it decides. A single node keeps nonces in memory;
//! after a start it refuses what was signed before, since it does not know what was accepted then.
//! A signature that was made ahead of this node's clock would outlast that: its nonce is written.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wayleave_core::{Scheme, Timestamp};
use wayleave_protocol::hex;
use wayleave_store::UsedNonce;

use crate::directory::LookupId;
use crate::engine::Engine;
use crate::nonces::{NonceRefusal, Nonces};
use crate::{Caller, Refusal, Unproven};

/// Rows are kept for longer than they are needed: the clocks of nodes may differ.
const ROWS_KEPT: Duration = Duration::from_secs(300);

/// What makes a signature unique, and for how long that matters.
#[derive(Clone, Debug)]
pub(crate) struct Nonce {
    pub(crate) credential: LookupId,
    pub(crate) nonce: String,
    /// When the signature was made, in Unix seconds.
    pub(crate) created_s: i64,
    /// For how long after that it is accepted, in seconds.
    pub(crate) window_s: i64,
}

impl Nonce {
    /// The nonce that a signature without one is itself. `signature`: in the one form that is accepted.
    /// Schemes do not meet: no nonce of RFC 9421 has a line feed.
    pub(crate) fn of_signature(
        caller: &Caller,
        signature: &str,
        created_s: i64,
        window_s: i64,
    ) -> Nonce {
        Nonce {
            credential: caller.lookup,
            nonce: format!("{}\n{signature}", caller.scheme.as_str()),
            created_s,
            window_s,
        }
    }

    /// The last second in which the signature is accepted.
    fn needed_until_s(&self) -> i64 {
        self.created_s.saturating_add(self.window_s)
    }

    /// Its name in the database: the first half of a hash.
    fn name(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.credential.bytes());
        hash.update(self.nonce.as_bytes());
        hex::lower(&hash.finalize()[..16])
    }

    fn row(&self) -> UsedNonce {
        let end = Timestamp::from_unix_s(self.needed_until_s().saturating_add(1));
        UsedNonce {
            name: self.name(),
            expires_at: end,
        }
    }
}

/// What is known of the nonces of an environment.
pub(crate) struct Replays {
    nonces: Nonces,
    before: OnceLock<Before>,
}

/// What is known of the time before this start.
struct Before {
    /// Signatures of this second and older may have been accepted then.
    refused_until_s: i64,
    /// The names of nonces that were written.
    names: HashSet<String>,
}

impl Replays {
    pub(crate) fn new() -> Self {
        Replays {
            nonces: Nonces::new(),
            before: OnceLock::new(),
        }
    }
}

impl Engine {
    /// Finds out what may have been accepted before this start, and waits until the second of the
    /// start is over: what is signed from then on is new. Where nobody can sign nothing was accepted,
    /// and where nodes share the database it knows.
    pub(crate) async fn look_back_for_nonces(&self) -> Result<(), Refusal> {
        let now = self.now();
        let without_nonce = [Scheme::Signed, Scheme::Sigv4, Scheme::Described];
        let signs = |schemes: wayleave_core::SchemeSet| {
            let refuses = self.settings.refuses_replays;
            schemes.contains(Scheme::HttpSignature)
                || refuses && without_nonce.iter().any(|scheme| schemes.contains(*scheme))
        };
        let forgot =
            !self.store.is_shared() && self.directory.any_grant(|grant| signs(grant.schemes));
        let rows = self
            .store
            .read(move |reader| Box::pin(reader.used_nonces(now)));
        let names = rows.await?.into_iter().map(|row| row.name).collect();
        let _ = self.replays.before.set(Before {
            refused_until_s: if forgot { now.unix_s() } else { i64::MIN },
            names,
        });
        if forgot {
            let micros = now.micros().rem_euclid(1_000_000).unsigned_abs();
            tokio::time::sleep(Duration::from_micros(1_000_000 - micros)).await;
        }
        Ok(())
    }

    /// Uses a nonce for the one request that it is good for.
    pub(crate) async fn use_nonce(&self, nonce: &Nonce) -> Result<(), Unproven> {
        let now_s = self.now().unix_s();
        let before = self.replays.before.get();
        let refused_until_s = before.map_or(i64::MIN, |before| before.refused_until_s);
        if nonce.created_s <= refused_until_s.max(self.restored_s) {
            return Err(Unproven::SignedBeforeStart);
        }
        if self.store.is_shared() {
            return Box::pin(self.write_nonce(nonce)).await;
        }
        self.replays
            .nonces
            .take(
                nonce.credential,
                &nonce.nonce,
                nonce.needed_until_s(),
                now_s,
            )
            .map_err(|refusal| match refusal {
                NonceRefusal::Known => Unproven::Replayed,
                NonceRefusal::Forgotten => Unproven::SignedBeforeStart,
                NonceRefusal::Full => Unproven::Unavailable("no room for more nonces".to_owned()),
            })?;
        let written = before.filter(|before| !before.names.is_empty());
        if written.is_some_and(|before| before.names.contains(&nonce.name())) {
            return Err(Unproven::Replayed);
        }
        if nonce.created_s > now_s {
            Box::pin(self.write_nonce(nonce)).await?;
        }
        Ok(())
    }

    async fn write_nonce(&self, nonce: &Nonce) -> Result<(), Unproven> {
        let row = nonce.row();
        let written = self.store.write(self.now(), move |transaction| {
            Box::pin(async move { transaction.use_nonce(&row).await })
        });
        match written.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unproven::Replayed),
            Err(error) => Err(Unproven::Unavailable(error.to_string())),
        }
    }

    /// Forgets the rows of nonces that nobody needs any more.
    pub(crate) async fn forget_used_nonces(&self) -> Result<(), Refusal> {
        let now = self.now();
        let before = now.minus(ROWS_KEPT);
        let forgotten = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.forget_used_nonces(before).await })
        });
        Ok(forgotten.await?)
    }
}
