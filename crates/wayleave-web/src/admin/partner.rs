use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{Membership, PartnerId};
use wayleave_engine::Partner;

use super::reading::{Members, Page, page_answer};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

impl Desk<'_> {
    pub(super) async fn partners(&self, page: &mut Page) -> Result<Answer, Fault> {
        let (after, limit) = (page.parsed::<PartnerId>("after")?, page.limit()?);
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.partners_after(after, limit + 1)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, body))
    }

    pub(super) async fn partner(&self, id: &str) -> Result<Answer, Fault> {
        let id: PartnerId = id.parse().map_err(|_| Fault::NotFound)?;
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.partner(id)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        let partner = found.ok_or(Fault::NotFound)?;
        Ok(answer::json(StatusCode::OK, &body(&partner)))
    }

    pub(super) async fn create_partner(&self, mut members: Members) -> Result<Answer, Fault> {
        let name = members.required("name")?;
        members.finish()?;
        let created = self.engine.create_partner(&self.actor, &name).await;
        let partner = created.map_err(fault)?;
        Ok(answer::json(StatusCode::CREATED, &body(&partner)))
    }

    pub(super) async fn change_partner(
        &self,
        id: &str,
        verb: &str,
        mut members: Members,
    ) -> Result<Answer, Fault> {
        let id: PartnerId = id.parse().map_err(|_| Fault::NotFound)?;
        let new_name = match verb {
            "rename" => Some(members.required("name")?),
            "lapse" | "admit" => None,
            "set-plan" => return self.set_plan(id, members).await,
            _ => return Err(Fault::NotFound),
        };
        members.finish()?;
        let (engine, actor) = (self.engine, &self.actor);
        let changed = match (new_name, verb) {
            (Some(name), _) => engine.rename_partner(actor, id, &name).await,
            (None, "lapse") => engine.set_membership(actor, id, Membership::Lapsed).await,
            (None, _) => engine.set_membership(actor, id, Membership::Admitted).await,
        };
        Ok(answer::json(
            StatusCode::OK,
            &body(&changed.map_err(fault)?),
        ))
    }

    async fn set_plan(&self, id: PartnerId, mut members: Members) -> Result<Answer, Fault> {
        let plan = members.optional("plan")?;
        members.finish()?;
        let changed = self.engine.set_plan(&self.actor, id, plan.as_deref()).await;
        Ok(answer::json(
            StatusCode::OK,
            &body(&changed.map_err(fault)?),
        ))
    }
}

fn body(partner: &Partner) -> Value {
    json!({
        "id": partner.id.to_string(),
        "name": partner.name,
        "membership": partner.membership.as_str(),
        "plan": partner.plan,
        "created_at": time(partner.created_at),
    })
}
