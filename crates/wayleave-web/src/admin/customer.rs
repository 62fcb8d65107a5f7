use serde_json::{Value, json};
use wayleave_core::{CustomerId, PartnerId};
use wayleave_engine::Customer;

use super::reading::{Page, page_answer};
use super::{Desk, fault, time};
use crate::answer::Answer;
use crate::fault::Fault;

impl Desk<'_> {
    pub(super) async fn customers(&self, page: &mut Page) -> Result<Answer, Fault> {
        let partner = page.parsed::<PartnerId>("partner")?;
        let (after, limit) = (page.parsed::<CustomerId>("after")?, page.limit()?);
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.customers_after(partner, after, limit + 1)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, body))
    }
}

fn body(customer: &Customer) -> Value {
    json!({
        "id": customer.id.to_string(),
        "number": customer.number,
        "partner": customer.partner_id.to_string(),
        "reference": customer.reference,
        "name": customer.name,
        "created_at": time(customer.created_at),
    })
}
