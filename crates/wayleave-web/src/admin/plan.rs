use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{PartnerId, PlanTermId, Timestamp};
use wayleave_engine::PlanTerm;

use super::reading::{Members, Page, page_answer};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

impl Desk<'_> {
    pub(super) async fn plans(&self, page: &mut Page) -> Result<Answer, Fault> {
        let partner = page.parsed::<PartnerId>("partner")?;
        let (after, limit) = (page.parsed::<PlanTermId>("after")?, page.limit()?);
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.plan_terms_after(partner, after, limit + 1)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        let now = self.engine.now();
        Ok(page_answer(&found, limit, |term| body(term, now)))
    }

    pub(super) async fn end_plan(&self, id: &str, members: Members) -> Result<Answer, Fault> {
        let id: PlanTermId = id.parse().map_err(|_| Fault::NotFound)?;
        members.finish()?;
        let ended = self.engine.end_plan(&self.actor, id).await;
        let term = ended.map_err(fault)?;
        Ok(answer::json(
            StatusCode::OK,
            &body(&term, self.engine.now()),
        ))
    }
}

/// Whether it counts at a moment.
fn state(term: &PlanTerm, now: Timestamp) -> &'static str {
    match term.ended_at {
        Some(_) => "ended",
        None if now < term.starts_at => "next",
        None if now < term.ends_at => "active",
        None => "ended",
    }
}

fn body(term: &PlanTerm, now: Timestamp) -> Value {
    json!({
        "id": term.id.to_string(),
        "partner": term.partner_id.to_string(),
        "order": term.order_id.to_string(),
        "plan": term.plan,
        "state": state(term, now),
        "catalogue_version": term.catalogue_version,
        "renews": term.renews,
        "starts_at": time(term.starts_at),
        "ends_at": time(term.ends_at),
        "ended_at": term.ended_at.map(time),
    })
}
