//! Hashes a secret anew under the newest master key when it is used: only then is its text at hand.

use std::sync::{Arc, Weak};

use tokio::sync::mpsc::{self, Receiver, Sender};
use wayleave_core::CredentialId;
use wayleave_protocol::secret::SecretText;
use wayleave_store::{Secret, SecretForm, StoreError};

use crate::engine::Engine;

/// How many may wait; one that finds no place comes again at its next use.
const WAITING: usize = 64;

/// A secret that was right, and whose it is.
pub(crate) struct Used {
    credential_id: CredentialId,
    secret: SecretText,
}

/// Where secrets that were right wait.
pub(crate) struct Rehash(Sender<Used>);

impl Rehash {
    pub(crate) fn new() -> (Self, Receiver<Used>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Rehash(sender), receiver)
    }

    /// Hands a right secret over; never waits.
    pub(crate) fn queue(&self, credential_id: CredentialId, secret: &str) {
        if let Ok(place) = self.0.try_reserve() {
            place.send(Used {
                credential_id,
                secret: SecretText::new(secret.to_owned()),
            });
        }
    }
}

impl Engine {
    /// Hashes anew what is handed over until the engine is dropped.
    pub(crate) fn start_rehashing(self: &Arc<Self>, queued: Receiver<Used>) {
        let engine = Arc::downgrade(self);
        let rehashing = rehash_all(engine, queued);
        self.store.runtime().handle().spawn(rehashing);
    }

    async fn rehash(&self, used: &Used) -> Result<(), StoreError> {
        let id = used.credential_id;
        let read = self
            .store
            .read(move |reader| Box::pin(reader.credential(id)));
        for secret in read.await?.into_iter().flat_map(|found| found.secrets) {
            if self.is_older_hash_of(&secret, used.secret.expose()) {
                self.replace_hash(secret, used).await?;
            }
        }
        Ok(())
    }

    fn is_older_hash_of(&self, stored: &Secret, used: &str) -> bool {
        let place = self.vault.key_place(&stored.master_key_id);
        let hash: Result<[u8; 32], _> = stored.material.as_slice().try_into();
        match (stored.form, place, hash) {
            (SecretForm::Hashed, Ok(place), Ok(hash)) if place > 0 => {
                self.vault.check_secret(used, place, &hash)
            }
            _ => false,
        }
    }

    async fn replace_hash(&self, stored: Secret, used: &Used) -> Result<(), StoreError> {
        let key_id = self.vault.newest_key_id().to_owned();
        let hash = self.vault.hash_secret(used.secret.expose());
        let written = self.store.write(self.now(), move |transaction| {
            Box::pin(async move { transaction.rehash_secret(&stored, &key_id, &hash).await })
        });
        written.await.map(drop)
    }
}

async fn rehash_all(engine: Weak<Engine>, mut queued: Receiver<Used>) {
    while let Some(used) = queued.recv().await {
        let Some(engine) = engine.upgrade() else {
            return;
        };
        // What was not written is tried again at the next use.
        if let Err(error) = engine.rehash(&used).await {
            tracing::warn!(environment = %engine.environment(), %error, "a secret was not hashed anew");
        }
    }
}
