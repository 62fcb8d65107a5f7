use http::StatusCode;
use serde_json::json;
use wayleave_engine::Pretence;

use super::reading::Members;
use super::{Desk, fault};
use crate::answer::{self, Answer};
use crate::fault::Fault;

impl Desk<'_> {
    /// How the driver that pretends to make instances behaves.
    pub(super) fn pretence(&self) -> Result<Answer, Fault> {
        self.engine.pretence().map(pretence_answer).map_err(fault)
    }

    pub(super) async fn pretend(&self, mut members: Members) -> Result<Answer, Fault> {
        let pretence = members.parsed::<Pretence>("provisioner")?;
        members.finish()?;
        let told = self.engine.pretend(&self.actor, pretence).await;
        told.map(pretence_answer).map_err(fault)
    }
}

fn pretence_answer(pretence: Pretence) -> Answer {
    answer::json(StatusCode::OK, &json!({ "provisioner": pretence.as_str() }))
}
