use wayleave_core::Timestamp;

use crate::{ChangedNoun, Reader, StoreError, Transaction, must_touch};

/// A key that signs tokens, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SigningKey {
    /// Its name in token headers and in the key set.
    pub kid: String,
    /// Counts up from 1.
    pub generation: i64,
    /// The JOSE name of its algorithm, such as `ES256`.
    pub algorithm: String,
    /// The master key that seals it.
    pub master_key_id: String,
    /// The sealed private key (PKCS #8).
    pub sealed: Vec<u8>,
    /// From when on it signs; until then it is only published.
    pub signs_from_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

type Row = (String, i64, String, String, Vec<u8>, i64, i64);

impl Reader {
    /// Every signing key, oldest generation first.
    pub async fn signing_keys(&mut self) -> Result<Vec<SigningKey>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT kid, generation, algorithm, master_key_id, sealed, signs_from_at, created_at
             FROM signing_key ORDER BY generation"
        )?;
        Ok(rows.into_iter().map(from_row).collect())
    }
}

fn from_row(
    (kid, generation, algorithm, master_key_id, sealed, signs_from, created): Row,
) -> SigningKey {
    SigningKey {
        kid,
        generation,
        algorithm,
        master_key_id,
        sealed,
        signs_from_at: Timestamp::from_micros(signs_from),
        created_at: Timestamp::from_micros(created),
    }
}

impl Transaction {
    /// Adds a key; [`StoreError::Conflict`] when another node has made this generation already.
    pub async fn add_signing_key(&mut self, key: &SigningKey) -> Result<(), StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO signing_key (kid, generation, algorithm, master_key_id, sealed, signs_from_at, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            &key.kid,
            key.generation,
            &key.algorithm,
            &key.master_key_id,
            &key.sealed,
            key.signs_from_at.micros(),
            key.created_at.micros()
        )?;
        must_touch(added, StoreError::Conflict)?;
        self.changed(ChangedNoun::SigningKey, &key.kid);
        Ok(())
    }

    /// Lets a key sign from a moment on.
    pub async fn start_signing_key(&mut self, kid: &str, at: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "UPDATE signing_key SET signs_from_at = $2 WHERE kid = $1",
            kid,
            at.micros()
        )?;
        self.changed(ChangedNoun::SigningKey, kid);
        Ok(())
    }

    /// Removes a key that nothing is signed with any more.
    pub async fn remove_signing_key(&mut self, kid: &str) -> Result<(), StoreError> {
        execute!(self.link(), "DELETE FROM signing_key WHERE kid = $1", kid)?;
        self.changed(ChangedNoun::SigningKey, kid);
        Ok(())
    }
}
