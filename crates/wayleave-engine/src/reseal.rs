//! Seals anew what is sealed under an older master key, in the background of a running server.
//!
//! Each row names the master key that it is sealed under, so whatever interrupts this, the next
//! start goes on where it ended.

use std::sync::{Arc, Weak};
use std::time::Duration;

use wayleave_core::Timestamp;
use wayleave_store::{SealedNoun, SealedRow, Store, StoreError};
use zeroize::Zeroizing;

use crate::engine::Engine;
use crate::{MasterKeyError, Randomness, Vault};

/// How many rows are sealed anew in one transaction.
pub const RESEAL_BATCH: i64 = 200;
/// How long to wait when the database is away.
const RETRY: Duration = Duration::from_secs(5);

/// How far sealing anew has come.
#[derive(Debug, Default)]
pub struct Resealing {
    /// Which of [`SealedNoun::ALL`] is being read.
    noun: usize,
    after: String,
    /// How many rows were sealed anew.
    pub resealed: u64,
    /// How many rows did not open and were left as they are.
    pub refused: u64,
}

impl Vault {
    /// Opens a sealed row as stored.
    pub fn open_row(&self, row: &SealedRow) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
        self.open(&row.name(), &row.master_key_id, &row.sealed)
    }
}

impl Resealing {
    /// Seals the next rows anew, at most `limit`, in one transaction; `false`: nothing was left. A
    /// row that does not open stays as it is, and the log names it.
    pub async fn next_batch(
        &mut self,
        store: &Store,
        vault: &Vault,
        randomness: &dyn Randomness,
        now: Timestamp,
        limit: i64,
    ) -> Result<bool, StoreError> {
        let Some(noun) = SealedNoun::ALL.get(self.noun).copied() else {
            return Ok(false);
        };
        let (newest, after) = (vault.newest_key_id().to_owned(), self.after.clone());
        let older = store
            .read(move |reader| {
                Box::pin(async move {
                    reader
                        .sealed_under_others(noun, &newest, &after, limit)
                        .await
                })
            })
            .await?;
        let Some(last) = older.last() else {
            self.noun += 1;
            self.after.clear();
            return Ok(self.noun < SealedNoun::ALL.len());
        };
        let last = last.id.clone();
        let (renewed, refused) = seal_anew(&older, vault, randomness);
        self.resealed += replace(store, vault.newest_key_id().to_owned(), renewed, now).await?;
        self.refused += refused;
        self.after = last;
        Ok(true)
    }
}

/// The rows that open, each with its new seal, and how many do not.
fn seal_anew(
    older: &[SealedRow],
    vault: &Vault,
    randomness: &dyn Randomness,
) -> (Vec<(SealedRow, Vec<u8>)>, u64) {
    let mut renewed = Vec::with_capacity(older.len());
    let mut refused = 0;
    for row in older {
        match vault.open_row(row) {
            Ok(text) => renewed.push((row.clone(), vault.seal(&row.name(), &text, randomness))),
            Err(error) => {
                refused += 1;
                tracing::error!(row = row.name(), %error, "it cannot be sealed under the newest master key");
            }
        }
    }
    (renewed, refused)
}

/// How many were still as they were read, and are replaced.
async fn replace(
    store: &Store,
    key_id: String,
    renewed: Vec<(SealedRow, Vec<u8>)>,
    now: Timestamp,
) -> Result<u64, StoreError> {
    store
        .write(now, move |transaction| {
            Box::pin(async move {
                let mut replaced = 0;
                for (row, sealed) in &renewed {
                    replaced += u64::from(transaction.replace_seal(row, &key_id, sealed).await?);
                }
                Ok(replaced)
            })
        })
        .await
}

impl Engine {
    /// Seals anew until nothing is left or the engine is dropped; with one master key there is
    /// nothing to do.
    pub(crate) fn start_resealing(self: &Arc<Self>) {
        if self.vault.key_ids().nth(1).is_none() {
            return;
        }
        let engine = Arc::downgrade(self);
        self.store.runtime().handle().spawn(reseal_all(engine));
    }
}

async fn reseal_all(engine: Weak<Engine>) {
    let mut resealing = Resealing::default();
    let mut is_told = false;
    loop {
        let Some(engine) = engine.upgrade() else {
            return;
        };
        let environment = engine.environment();
        let batch = resealing
            .next_batch(
                &engine.store,
                &engine.vault,
                &*engine.randomness,
                engine.now(),
                RESEAL_BATCH,
            )
            .await;
        let (resealed, refused) = (resealing.resealed, resealing.refused);
        if !is_told && resealed + refused > 0 {
            is_told = true;
            let key = engine.vault.newest_key_id();
            tracing::info!(%environment, key, "sealing anew under the newest master key");
        }
        match batch {
            Ok(true) => {}
            Ok(false) if is_told => {
                tracing::info!(%environment, resealed, refused, "sealed anew");
                return;
            }
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%environment, %error, "sealing anew goes on later");
                drop(engine);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
