//! Keys of our own that are made once for a database and sealed under the master key.

use wayleave_core::Timestamp;
use wayleave_store::{SealedValue, Store, StoreError};
use zeroize::Zeroizing;

use crate::ports::{Randomness, random};
use crate::{MasterKeyError, Refusal, Vault};

/// 32 random bytes, overwritten when dropped.
pub(crate) type OwnKey = Zeroizing<[u8; 32]>;

/// Reads the key of a name; makes it where there is none.
pub(crate) async fn load(
    name: &'static str,
    (store, vault): (&Store, &Vault),
    randomness: &dyn Randomness,
    now: Timestamp,
) -> Result<OwnKey, Refusal> {
    if let Some(key) = read(name, store, vault).await? {
        return Ok(key);
    }
    let fresh = Zeroizing::new(random::<32>(randomness));
    let value = SealedValue {
        name: name.to_owned(),
        master_key_id: vault.newest_key_id().to_owned(),
        sealed: vault.seal(name, &*fresh, randomness),
    };
    let added = store.write(now, move |transaction| {
        Box::pin(async move { transaction.add_sealed_value(&value).await })
    });
    match added.await {
        // Another node was faster: its key counts.
        Ok(()) | Err(StoreError::Conflict) => {}
        Err(error) => return Err(error.into()),
    }
    let key = read(name, store, vault).await?;
    key.ok_or_else(|| StoreError::NotFound.into())
}

async fn read(name: &'static str, store: &Store, vault: &Vault) -> Result<Option<OwnKey>, Refusal> {
    let stored = store
        .read(move |reader| Box::pin(reader.sealed_value(name)))
        .await?;
    let opened = stored.map(|value| open(name, &value, vault)).transpose();
    Ok(opened?)
}

/// Opens what is stored under a name.
pub(crate) fn open(
    name: &'static str,
    value: &SealedValue,
    vault: &Vault,
) -> Result<OwnKey, MasterKeyError> {
    let opened = vault.open(name, &value.master_key_id, &value.sealed)?;
    let key = opened.as_slice().try_into();
    key.map(Zeroizing::new).map_err(|_| MasterKeyError::Broken)
}
