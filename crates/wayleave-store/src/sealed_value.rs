use crate::{Reader, StoreError, Transaction, must_touch};

/// A text of our own, sealed under a master key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedValue {
    /// Its name, to which the seal is bound.
    pub name: String,
    /// The master key that seals it.
    pub master_key_id: String,
    /// The sealed text.
    pub sealed: Vec<u8>,
}

impl Reader {
    /// The sealed value of a name.
    pub async fn sealed_value(&mut self, name: &str) -> Result<Option<SealedValue>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String, String, Vec<u8>),
            "SELECT name, master_key_id, sealed FROM sealed_value WHERE name = $1",
            name
        )?;
        let first = rows.into_iter().next();
        Ok(first.map(|(name, master_key_id, sealed)| SealedValue {
            name,
            master_key_id,
            sealed,
        }))
    }
}

impl Transaction {
    /// Adds a sealed value; [`StoreError::Conflict`] when the name has one.
    pub async fn add_sealed_value(&mut self, value: &SealedValue) -> Result<(), StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO sealed_value (name, master_key_id, sealed) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
            &value.name,
            &value.master_key_id,
            &value.sealed
        )?;
        must_touch(added, StoreError::Conflict)
    }
}
