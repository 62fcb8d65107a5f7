use wayleave_core::{CredentialId, Timestamp};

use crate::{ChangedNoun, Reader, StoreError, Transaction};

/// A token that was revoked before it expired (law 6: the only tokens that are rows).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevokedToken {
    /// Its `jti`.
    pub jti: String,
    /// The credential that it was issued to.
    pub credential_id: CredentialId,
    /// When it would have expired; the row is needed no longer.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Timestamp,
}

type Row = (String, String, i64, i64);

fn from_row((jti, credential_id, expires_at, revoked_at): Row) -> Result<RevokedToken, StoreError> {
    Ok(RevokedToken {
        jti,
        credential_id: credential_id
            .parse()
            .map_err(|error| StoreError::corrupt("revoked token", error))?,
        expires_at: Timestamp::from_micros(expires_at),
        revoked_at: Timestamp::from_micros(revoked_at),
    })
}

impl Reader {
    /// The revoked tokens that would not have expired by a moment.
    pub async fn revoked_tokens(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<RevokedToken>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT jti, credential_id, expires_at, revoked_at FROM revoked_token WHERE expires_at >= $1",
            now.micros()
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// One revoked token by its `jti`.
    pub async fn revoked_token(&mut self, jti: &str) -> Result<Option<RevokedToken>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT jti, credential_id, expires_at, revoked_at FROM revoked_token WHERE jti = $1",
            jti
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }
}

impl Transaction {
    /// Notes that a token is dead. Revoking twice keeps the first moment.
    pub async fn revoke_token(&mut self, token: &RevokedToken) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO revoked_token (jti, credential_id, expires_at, revoked_at)
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            &token.jti,
            token.credential_id.to_string(),
            token.expires_at.micros(),
            token.revoked_at.micros()
        )?;
        self.changed(ChangedNoun::RevokedToken, &token.jti);
        Ok(())
    }

    /// Forgets the revoked tokens that have expired.
    pub async fn forget_expired_tokens(&mut self, now: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM revoked_token WHERE expires_at < $1",
            now.micros()
        )
        .map(drop)
    }
}
