use wayleave_core::{IntegrationId, PartnerId, Timestamp};

use crate::{Reader, StoreError, Transaction, must_touch};

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

    /// A page of integrations in the order of their ids, after one; those of one partner, or all.
    pub async fn integrations_after(
        &mut self,
        partner: Option<PartnerId>,
        after: Option<IntegrationId>,
        limit: i64,
    ) -> Result<Vec<Integration>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT id, partner_id, name, created_at FROM integration
             WHERE id > $1 AND ($2 = '' OR partner_id = $2) ORDER BY id LIMIT $3",
            after.map(|id| id.to_string()).unwrap_or_default(),
            partner.map(|id| id.to_string()).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
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
    /// Gives an integration another name; [`StoreError::NotFound`] when there is none.
    pub async fn rename_integration(
        &mut self,
        id: IntegrationId,
        name: &str,
    ) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE integration SET name = $2 WHERE id = $1",
            id.to_string(),
            name
        )?;
        must_touch(found, StoreError::NotFound)
    }

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
        must_touch(added, StoreError::Conflict)
    }
}
