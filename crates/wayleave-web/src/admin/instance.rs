use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{InstanceId, PartnerId};
use wayleave_engine::Instance;

use super::reading::{Page, page_answer};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

impl Desk<'_> {
    pub(super) async fn instances(&self, page: &mut Page) -> Result<Answer, Fault> {
        let partner = page.parsed::<PartnerId>("partner")?;
        let name = page.text("name").unwrap_or_default();
        let (after, limit) = (page.parsed::<InstanceId>("after")?, page.limit()?);
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move {
                reader
                    .instances_after(partner, &name, after, limit + 1)
                    .await
            })
        });
        let found = read.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, body))
    }

    /// Also one that was removed.
    pub(super) async fn instance(&self, id: &str) -> Result<Answer, Fault> {
        let id: InstanceId = id.parse().map_err(|_| Fault::NotFound)?;
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.instance(id)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        let instance = found.ok_or(Fault::NotFound)?;
        Ok(answer::json(StatusCode::OK, &body(&instance)))
    }
}

fn body(instance: &Instance) -> Value {
    let made_of: Value = serde_json::from_str(&instance.made_of).unwrap_or_default();
    json!({
        "id": instance.id.to_string(),
        "number": instance.number,
        "partner": instance.partner_id.to_string(),
        "customer": instance.customer_id.map(|id| id.to_string()),
        "order": instance.order_id.to_string(),
        "account_name": instance.account_name,
        "displays": instance.displays,
        "is_demo": instance.is_demo,
        "is_monthly": instance.is_monthly,
        "renews": instance.renews,
        "made_of": made_of,
        "renewal_at": time(instance.renewal_at),
        "created_at": time(instance.created_at),
        "removed_at": instance.removed_at.map(time),
    })
}
