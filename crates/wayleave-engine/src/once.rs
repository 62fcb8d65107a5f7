//! Writes that count once: the key that a client sends with one, and the answer that it got.
//!
//! The row of a key is written in the transaction of the effect, with the number or id of what the
//! effect made or changed. The answer is added when it is known. Where a node ended in between, and
//! where an answer holds a secret and is not kept, it is made again from that.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use wayleave_core::{CredentialId, Timestamp};
use wayleave_protocol::hex;
use wayleave_store::{IdempotentAnswer, StoreError, Transaction};

use crate::Refusal;
use crate::caller::Caller;
use crate::engine::Engine;

/// How long keys are kept.
const KEPT: Duration = Duration::from_secs(72 * 3600);
/// In the place of a status: the effect is there, and its answer is not known yet.
const NO_STATUS: u16 = 0;

/// A write that is to count once, however often it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    credential_id: CredentialId,
    key: String,
    fingerprint: String,
}

impl Claim {
    /// Of a request of this caller, by its key; two requests are the same where method, path and body
    /// are.
    pub fn new(caller: &Caller, key: &str, method: &str, path: &str, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Claim {
            credential_id: caller.credential_id(),
            key: key.to_owned(),
            fingerprint: hex::lower(&hash.finalize()),
        }
    }

    fn row(&self, status: u16, body: String, now: Timestamp) -> IdempotentAnswer {
        IdempotentAnswer {
            credential_id: self.credential_id,
            key: self.key.clone(),
            fingerprint: self.fingerprint.clone(),
            status,
            body,
            created_at: now,
        }
    }
}

/// What a key did before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Earlier {
    /// It was answered.
    Answered {
        /// The status.
        status: u16,
        /// The body, byte for byte.
        body: String,
    },
    /// Its effect is there, and whoever made it ended before it was answered.
    Done {
        /// What was made or changed, by the number or id by which clients name it.
        effect: String,
    },
}

/// Why a write with a key is not done now.
#[derive(Debug, thiserror::Error)]
pub enum NotOnce {
    /// The same request is being served.
    #[error("a request with this Idempotency-Key is being served: ask again in a moment")]
    InFlight,
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for another request: take a new one for each")]
    OtherRequest,
    /// The store does not say.
    #[error(transparent)]
    Other(#[from] Refusal),
}

/// The keys that this node is serving, with what was asked.
#[derive(Default)]
pub(crate) struct KeysInFlight(Mutex<HashMap<(CredentialId, String), String>>);

/// As long as it lives, nobody else of this node serves the same key.
pub struct Serving<'e> {
    keys: &'e KeysInFlight,
    place: (CredentialId, String),
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.keys.0.lock().remove(&self.place);
    }
}

impl Engine {
    /// Takes a key for this node, without asking the store: those that come meanwhile are refused at
    /// once and hold no connection.
    pub fn serve_once(&self, claim: &Claim) -> Result<Serving<'_>, NotOnce> {
        let place = (claim.credential_id, claim.key.clone());
        match self.keys_in_flight.0.lock().entry(place.clone()) {
            Entry::Occupied(other) if *other.get() == claim.fingerprint => {
                return Err(NotOnce::InFlight);
            }
            Entry::Occupied(_) => return Err(NotOnce::OtherRequest),
            Entry::Vacant(free) => {
                free.insert(claim.fingerprint.clone());
            }
        }
        Ok(Serving {
            keys: &self.keys_in_flight,
            place,
        })
    }

    /// What the key of a claim did before, on whichever node.
    pub async fn earlier(&self, claim: &Claim) -> Result<Option<Earlier>, NotOnce> {
        let (id, key) = (claim.credential_id, claim.key.clone());
        let found = self
            .store
            .read(move |reader| Box::pin(async move { reader.idempotent_answer(id, &key).await }))
            .await
            .map_err(Refusal::Store)?;
        let Some(row) = found else { return Ok(None) };
        if row.fingerprint != claim.fingerprint {
            return Err(NotOnce::OtherRequest);
        }
        if row.status != NO_STATUS {
            return Ok(Some(Earlier::Answered {
                status: row.status,
                body: row.body,
            }));
        }
        Ok(Some(Earlier::Done { effect: row.body }))
    }

    /// Keeps the answer to a claim whose effect is there; where there was none, nothing is kept, and
    /// the same request may be tried again.
    pub async fn keep_answer(&self, claim: &Claim, status: u16, body: &str) -> Result<(), Refusal> {
        let row = claim.row(status, body.to_owned(), self.now());
        self.store
            .write(self.now(), move |transaction| {
                Box::pin(async move { transaction.answer_idempotency_key(&row).await })
            })
            .await
            .map_err(Refusal::Store)
    }

    /// Forgets keys of long ago.
    pub(crate) async fn forget_keys(&self) -> Result<(), Refusal> {
        let before = self.now().minus(KEPT);
        self.store
            .write(self.now(), move |transaction| {
                Box::pin(async move { transaction.forget_idempotency_keys(before).await })
            })
            .await
            .map_err(Refusal::Store)
    }
}

/// Notes in the transaction of an effect that its claim has it; [`StoreError::Conflict`] where the key
/// has an effect already. `effect`: what was made or changed, as clients name it.
pub(crate) async fn note_effect(
    transaction: &mut Transaction,
    claim: Option<&Claim>,
    effect: impl ToString,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(claim) = claim else { return Ok(()) };
    let row = claim.row(NO_STATUS, effect.to_string(), now);
    transaction.add_idempotent_answer(&row).await
}
