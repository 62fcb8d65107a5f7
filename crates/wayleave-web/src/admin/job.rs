use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::PartnerId;
use wayleave_engine::{Job, JobState};

use super::reading::{Members, Page, page_answer};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

impl Desk<'_> {
    pub(super) async fn jobs(&self, page: &mut Page) -> Result<Answer, Fault> {
        let state = page.parsed::<JobState>("state")?;
        let partner = page.parsed::<PartnerId>("partner")?;
        let (after, limit) = (page.text("after").unwrap_or_default(), page.limit()?);
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move { reader.jobs_after(state, partner, &after, limit + 1).await })
        });
        let found = read.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, body))
    }

    pub(super) async fn retry_job(&self, mut members: Members) -> Result<Answer, Fault> {
        let name = members.required("name")?;
        members.finish()?;
        let retried = self.engine.retry_job(&self.actor, &name).await;
        Ok(answer::json(
            StatusCode::OK,
            &body(&retried.map_err(fault)?),
        ))
    }
}

/// Without what else it has to know: that may be a whole message.
pub(super) fn body(job: &Job) -> Value {
    json!({
        "name": job.name,
        "kind": job.kind,
        "partner": job.partner_id.to_string(),
        "object": job.object,
        "state": job.state.as_str(),
        "run_at": time(job.run_at),
        "attempts": job.attempts,
        "last_error": job.last_error,
        "created_at": time(job.created_at),
        "changed_at": time(job.changed_at),
    })
}
