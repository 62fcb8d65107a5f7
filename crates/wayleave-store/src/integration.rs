use wayleave_core::{IntegrationId, PartnerId, Timestamp};

use crate::{Reader, StoreError, Transaction};

/// A named client program of a partner, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Integration {
    /// Its id.
    pub id: IntegrationId,
    /// Whose it is.
    pub partner_id: PartnerId,
    /// Its name, for people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

type Row = (String, String, String, i64);

fn from_row((id, partner_id, name, created_at): Row) -> Result<Integration, StoreError> {
    Ok(Integration {
        id: id
            .parse()
            .map_err(|error| StoreError::corrupt("integration", error))?,
        partner_id: partner_id
            .parse()
            .map_err(|error| StoreError::corrupt("integration", error))?,
        name,
        created_at: Timestamp::from_micros(created_at),
    })
}

impl Reader {
    /// One integration.
    pub async fn integration(
        &mut self,
        id: IntegrationId,
    ) -> Result<Option<Integration>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT id, partner_id, name, created_at FROM integration WHERE id = $1",
            id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// The integrations of a partner, oldest first.
    pub async fn integrations_of(
        &mut self,
        partner: PartnerId,
    ) -> Result<Vec<Integration>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT id, partner_id, name, created_at FROM integration WHERE partner_id = $1 ORDER BY id",
            partner.to_string()
        )?;
        rows.into_iter().map(from_row).collect()
    }
}

impl Transaction {
    /// Adds an integration; [`StoreError::NotFound`] when the partner is not there.
    pub async fn add_integration(&mut self, integration: &Integration) -> Result<(), StoreError> {
        if self
            .reader()
            .partner(integration.partner_id)
            .await?
            .is_none()
        {
            return Err(StoreError::NotFound);
        }
        let added = execute!(
            self.link(),
            "INSERT INTO integration (id, partner_id, name, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (id) DO NOTHING",
            integration.id.to_string(),
            integration.partner_id.to_string(),
            &integration.name,
            integration.created_at.micros()
        )?;
        if added == 0 {
            Err(StoreError::Conflict)
        } else {
            Ok(())
        }
    }
}
