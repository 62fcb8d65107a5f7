//! Tokens that count once: one conditional statement decides who comes first.

use wayleave_core::{CredentialId, ReaderId, Timestamp};

use crate::{Reader, StoreError, Transaction};

/// A token that counts once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemporaryToken {
    /// Its SHA-256, in hexadecimal.
    pub hash: String,
    /// The key set at which it counts.
    pub credential_id: CredentialId,
    /// Whose it is.
    pub reader_id: ReaderId,
    /// The key of the page that the spider reads; `None`: it is a reader's.
    pub spider_page: Option<String>,
    /// Whether the reader wants to be known for longer than a session.
    pub is_remembered: bool,
    /// Until when it counts.
    pub expires_at: Timestamp,
}

type Row = (String, String, String, Option<String>, i64, i64);

fn from_row(row: Row) -> Result<TemporaryToken, StoreError> {
    Ok(TemporaryToken {
        hash: row.0,
        credential_id: StoreError::read("temporary token", &row.1)?,
        reader_id: StoreError::read("temporary token", &row.2)?,
        spider_page: row.3,
        is_remembered: row.4 != 0,
        expires_at: Timestamp::from_micros(row.5),
    })
}

impl Reader {
    /// Whether a token could count at a key set now.
    pub async fn is_temporary_token_good(
        &mut self,
        hash: &str,
        credential_id: CredentialId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64,),
            "SELECT COUNT(*) FROM temporary_token
             WHERE hash = $1 AND credential_id = $2 AND used_at IS NULL AND expires_at > $3",
            hash,
            credential_id.to_string(),
            now.micros()
        )?;
        Ok(rows.first().is_some_and(|(count,)| *count > 0))
    }
}

impl Transaction {
    /// Adds a token.
    pub async fn add_temporary_token(&mut self, token: &TemporaryToken) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO temporary_token (hash, credential_id, reader_id, spider_page, is_remembered,
                 expires_at, used_at)
             VALUES ($1, $2, $3, $4, $5, $6, NULL)",
            &token.hash,
            token.credential_id.to_string(),
            token.reader_id.to_string(),
            token.spider_page.as_deref(),
            i64::from(token.is_remembered),
            token.expires_at.micros()
        )
        .map(drop)
    }

    /// Uses a token up; `None`: it was used before, is over, is of another key set, or is not there.
    pub async fn redeem_temporary_token(
        &mut self,
        hash: &str,
        credential_id: CredentialId,
        now: Timestamp,
    ) -> Result<Option<TemporaryToken>, StoreError> {
        let rows = fetch_all!(
            self.link(),
            Row,
            "UPDATE temporary_token SET used_at = $3
             WHERE hash = $1 AND credential_id = $2 AND used_at IS NULL AND expires_at > $3
             RETURNING hash, credential_id, reader_id, spider_page, is_remembered, expires_at",
            hash,
            credential_id.to_string(),
            now.micros()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// Forgets tokens that were over before a moment.
    pub async fn forget_temporary_tokens(&mut self, before: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM temporary_token WHERE expires_at < $1",
            before.micros()
        )
        .map(drop)
    }
}
