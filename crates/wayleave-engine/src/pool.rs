//! Pools of licences and the devices that use them, as their partner sees them.

use serde_json::json;
use wayleave_store::{Device, PoolFilter, PoolVersion, StoreError};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::checkout::{Buyer, OrderRefusal};
use crate::engine::Engine;
use crate::listing::{Listed, Page, Whose, belongs, with_customers};
use crate::once::{Claim, note_effect};

/// Which pools are looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolQuestion {
    /// Whose.
    pub whose: Whose,
    /// The row of this number.
    pub version_number: Option<i64>,
    /// Those with this in their address.
    pub email: Option<String>,
    /// Those for this version.
    pub version: Option<String>,
}

impl Engine {
    /// Pools of the caller's partner, one row for each version.
    pub async fn list_pools(
        &self,
        buyer: Buyer,
        question: PoolQuestion,
        page: Page,
    ) -> Result<Listed<PoolVersion>, Refusal> {
        let listed = self.store.read(move |reader| {
            Box::pin(async move {
                let Some(belongs) = belongs(reader, buyer, &question.whose).await? else {
                    return Ok(Listed::nothing());
                };
                let filter = PoolFilter {
                    partner_id: buyer.partner_id,
                    belongs,
                    version_number: question.version_number,
                    email: question.email,
                    version: question.version,
                };
                let rows = reader.pools(&filter, page.start, page.length).await?;
                let total = reader.count_pools(&filter).await?;
                with_customers(reader, buyer, (rows, total), |row| row.pool.customer_id).await
            })
        });
        listed.await.map_err(Refusal::Store)
    }

    async fn pool_version(&self, buyer: Buyer, number: i64) -> Result<PoolVersion, OrderRefusal> {
        let question = PoolQuestion {
            whose: Whose::Any,
            version_number: Some(number),
            email: None,
            version: None,
        };
        let first = Page {
            start: 0,
            length: 1,
        };
        let listed = self.list_pools(buyer, question, first).await?;
        let row = listed.rows.into_iter().next();
        row.ok_or(OrderRefusal::NotFound("pool"))
    }

    /// The devices that use licences of a pool for one version, and that row.
    pub async fn list_devices(
        &self,
        buyer: Buyer,
        version_number: i64,
        page: Page,
    ) -> Result<(PoolVersion, Vec<Device>), OrderRefusal> {
        let row = self.pool_version(buyer, version_number).await?;
        let number = row.number;
        let devices = self
            .store
            .read(move |reader| Box::pin(reader.devices(number, page.start, page.length)))
            .await?;
        Ok((row, devices))
    }

    /// Frees the licence of a device.
    pub async fn remove_device(
        &self,
        by: &Actor,
        buyer: Buyer,
        (version_number, licence): (i64, i64),
        claim: Option<Claim>,
    ) -> Result<(), OrderRefusal> {
        let row = self.pool_version(buyer, version_number).await?;
        let act = Act::new("device.remove", row.pool.id).with(json!({
            "version": version_number,
            "licence": licence,
            "partner": buyer.partner_id.to_string(),
        }));
        let now = self.now();
        let removed = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                note_effect(transaction, claim.as_ref(), licence, now).await?;
                transaction.remove_device(row.number, licence).await
            })
        });
        removed.await.map_err(|error| match error {
            StoreError::NotFound => OrderRefusal::NotFound("device"),
            other => other.into(),
        })
    }
}
