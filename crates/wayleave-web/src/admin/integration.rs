use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{IntegrationId, PartnerId};
use wayleave_engine::Integration;

use super::reading::{Members, Page, invalid, page_answer};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

impl Desk<'_> {
    pub(super) async fn integrations(&self, page: &mut Page) -> Result<Answer, Fault> {
        let partner = page.parsed::<PartnerId>("partner")?;
        self.must_be_own_partner(partner).await?;
        let (after, limit) = (page.parsed::<IntegrationId>("after")?, page.limit()?);
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.integrations_after(partner, after, limit + 1)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, body))
    }

    /// A property administrator sees the integrations of the partners of their properties.
    async fn must_be_own_partner(&self, partner: Option<PartnerId>) -> Result<(), Fault> {
        let Some(given) = self.given else {
            return Ok(());
        };
        let partner = partner.ok_or_else(|| invalid("partner", "is missing: say which"))?;
        let own = self.given_properties(given).await?;
        if own.iter().any(|property| property.partner_id == partner) {
            Ok(())
        } else {
            Err(Fault::NotFound)
        }
    }

    pub(super) async fn integration(&self, id: &str) -> Result<Answer, Fault> {
        let id: IntegrationId = id.parse().map_err(|_| Fault::NotFound)?;
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.integration(id)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        let integration = found.ok_or(Fault::NotFound)?;
        self.must_be_own_partner(Some(integration.partner_id))
            .await?;
        Ok(answer::json(StatusCode::OK, &body(&integration)))
    }

    pub(super) async fn create_integration(&self, mut members: Members) -> Result<Answer, Fault> {
        let partner = members.parsed("partner")?;
        let name = members.required("name")?;
        members.finish()?;
        let created = self
            .engine
            .create_integration(&self.actor, partner, &name)
            .await;
        let integration = created.map_err(fault)?;
        Ok(answer::json(StatusCode::CREATED, &body(&integration)))
    }

    pub(super) async fn rename_integration(
        &self,
        id: &str,
        mut members: Members,
    ) -> Result<Answer, Fault> {
        let id: IntegrationId = id.parse().map_err(|_| Fault::NotFound)?;
        let name = members.required("name")?;
        members.finish()?;
        let renamed = self.engine.rename_integration(&self.actor, id, &name).await;
        Ok(answer::json(
            StatusCode::OK,
            &body(&renamed.map_err(fault)?),
        ))
    }
}

fn body(integration: &Integration) -> Value {
    json!({
        "id": integration.id.to_string(),
        "partner": integration.partner_id.to_string(),
        "name": integration.name,
        "created_at": time(integration.created_at),
    })
}
