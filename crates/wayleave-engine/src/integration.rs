use wayleave_core::{IntegrationId, PartnerId, check_name};
use wayleave_store::Integration;

use crate::Refusal;
use crate::engine::Engine;
use crate::partner::not_found;
use crate::ports::random;

impl Engine {
    /// Names a new client program of a partner.
    pub async fn create_integration(
        &self,
        partner_id: PartnerId,
        name: &str,
    ) -> Result<Integration, Refusal> {
        check_name(name).map_err(|error| Refusal::Invalid {
            field: "name",
            why: error.to_string(),
        })?;
        let now = self.now();
        let integration = Integration {
            id: IntegrationId::new(now, random(&*self.randomness)),
            partner_id,
            name: name.to_owned(),
            created_at: now,
        };
        let added = integration.clone();
        let written = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.add_integration(&added).await })
        });
        written.await.map_err(not_found("partner"))?;
        Ok(integration)
    }
}
