use wayleave_core::Timestamp;

use crate::{Reader, StoreError, Transaction};

/// A nonce of a signature that was accepted, by whichever node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsedNonce {
    /// Names credential and nonce together; one name is used once.
    pub name: String,
    /// From when on nobody takes the signature any more.
    pub expires_at: Timestamp,
}

impl Reader {
    /// The nonces that are needed after a moment.
    pub async fn used_nonces(&mut self, now: Timestamp) -> Result<Vec<UsedNonce>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String, i64),
            "SELECT name, expires_at FROM used_nonce WHERE expires_at >= $1",
            now.micros()
        )?;
        let nonce = |(name, expires_at)| UsedNonce {
            name,
            expires_at: Timestamp::from_micros(expires_at),
        };
        Ok(rows.into_iter().map(nonce).collect())
    }
}

impl Transaction {
    /// Notes that a nonce is used; `false`: it was before.
    pub async fn use_nonce(&mut self, nonce: &UsedNonce) -> Result<bool, StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO used_nonce (name, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &nonce.name,
            nonce.expires_at.micros()
        )?;
        Ok(added == 1)
    }

    /// Forgets the nonces that nobody needs after a moment.
    pub async fn forget_used_nonces(&mut self, before: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM used_nonce WHERE expires_at < $1",
            before.micros()
        )
        .map(drop)
    }
}
