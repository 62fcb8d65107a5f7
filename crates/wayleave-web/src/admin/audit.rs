use serde_json::{Value, json};
use wayleave_engine::AuditRow;
use wayleave_protocol::hex;

use super::reading::{Page, page_answer};
use super::{Desk, fault};
use crate::answer::Answer;
use crate::fault::Fault;

impl Desk<'_> {
    pub(super) async fn audit(&self, page: &mut Page) -> Result<Answer, Fault> {
        let after = page.parsed::<i64>("after")?.unwrap_or(0);
        let actor = page.text("actor").unwrap_or_default();
        let object = page.text("object").unwrap_or_default();
        let limit = page.limit()?;
        let found = self.engine.store().read(move |reader| {
            Box::pin(async move { reader.audit_after(after, &actor, &object, limit + 1).await })
        });
        let found = found.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, body))
    }
}

/// A row as it is shown and exported; its time in microseconds, as the hash covers it.
fn body(row: &AuditRow) -> Value {
    let details: Value = serde_json::from_str(&row.details).unwrap_or(Value::Null);
    json!({
        "number": row.number,
        "at_us": row.at.micros(),
        "actor": row.actor,
        "act": row.act,
        "object": row.object,
        "stage": row.stage.as_str(),
        "begun": row.begun,
        "request_id": row.request_id,
        "details": details,
        "hash": hex::lower(&row.hash),
    })
}
