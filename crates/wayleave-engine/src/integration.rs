use serde_json::json;
use wayleave_core::{IntegrationId, PartnerId};
use wayleave_store::{Integration, StoreError};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::engine::Engine;
use crate::partner::{must_be_name, not_found};
use crate::ports::random;

impl Engine {
    /// Names a new client program of a partner.
    pub async fn create_integration(
        &self,
        by: &Actor,
        partner_id: PartnerId,
        name: &str,
    ) -> Result<Integration, Refusal> {
        must_be_name(name)?;
        let now = self.now();
        let integration = Integration {
            id: IntegrationId::new(now, random(&*self.randomness)),
            partner_id,
            name: name.to_owned(),
            created_at: now,
        };
        let added = integration.clone();
        let act = Act::new("integration.create", integration.id)
            .with(json!({ "partner": partner_id.to_string(), "name": name }));
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.add_integration(&added).await })
        });
        written.await.map_err(not_found("partner"))?;
        Ok(integration)
    }

    /// Gives an integration another name.
    pub async fn rename_integration(
        &self,
        by: &Actor,
        id: IntegrationId,
        name: &str,
    ) -> Result<Integration, Refusal> {
        must_be_name(name)?;
        let act = Act::new("integration.rename", id).with(json!({ "name": name }));
        let name = name.to_owned();
        let renamed = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.rename_integration(id, &name).await?;
                let read = transaction.reader().integration(id).await?;
                read.ok_or(StoreError::NotFound)
            })
        });
        renamed.await.map_err(not_found("integration"))
    }
}
