use wayleave_core::{CredentialId, Timestamp};

use crate::{Reader, StoreError, Transaction, must_touch};

/// The answer that a write got which was sent with an Idempotency-Key. It is stored in the
/// transaction of the write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdempotentAnswer {
    /// Who sent it.
    pub credential_id: CredentialId,
    /// The key.
    pub key: String,
    /// Of method, path and body.
    pub fingerprint: String,
    /// The status of the answer; 0: it is not known yet.
    pub status: u16,
    /// Its body; where the status is 0, the number of what the write made or changed.
    pub body: String,
    /// When.
    pub created_at: Timestamp,
}

type Row = (String, String, String, i64, String, i64);

fn from_row(row: Row) -> Result<IdempotentAnswer, StoreError> {
    let (credential_id, key, fingerprint, status, body, created_at) = row;
    Ok(IdempotentAnswer {
        credential_id: StoreError::read("idempotency key", &credential_id)?,
        key,
        fingerprint,
        status: u16::try_from(status)
            .map_err(|error| StoreError::corrupt("idempotency key", error))?,
        body,
        created_at: Timestamp::from_micros(created_at),
    })
}

impl Reader {
    /// The answer that a key got.
    pub async fn idempotent_answer(
        &mut self,
        credential_id: CredentialId,
        key: &str,
    ) -> Result<Option<IdempotentAnswer>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT credential_id, name, fingerprint, status, body, created_at FROM idempotency_key
             WHERE credential_id = $1 AND name = $2",
            credential_id.to_string(),
            key
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }
}

impl Transaction {
    /// Stores the answer to a key; [`StoreError::Conflict`] when it has one already, so that the
    /// write of this transaction is not done a second time.
    pub async fn add_idempotent_answer(
        &mut self,
        answer: &IdempotentAnswer,
    ) -> Result<(), StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO idempotency_key (credential_id, name, fingerprint, status, body, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (credential_id, name) DO NOTHING",
            answer.credential_id.to_string(),
            &answer.key,
            &answer.fingerprint,
            i64::from(answer.status),
            &answer.body,
            answer.created_at.micros()
        )?;
        must_touch(added, StoreError::Conflict)
    }

    /// Adds the answer to a key that has none yet; a key that is not there gets none.
    pub async fn answer_idempotency_key(
        &mut self,
        answer: &IdempotentAnswer,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "UPDATE idempotency_key SET status = $3, body = $4
             WHERE credential_id = $1 AND name = $2 AND status = 0 AND fingerprint = $5",
            answer.credential_id.to_string(),
            &answer.key,
            i64::from(answer.status),
            &answer.body,
            &answer.fingerprint
        )
        .map(drop)
    }

    /// Forgets the keys from before a moment.
    pub async fn forget_idempotency_keys(&mut self, before: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM idempotency_key WHERE created_at < $1",
            before.micros()
        )
        .map(drop)
    }
}
