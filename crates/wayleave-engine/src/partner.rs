use serde_json::json;
use wayleave_core::{Membership, PartnerId, check_name};
use wayleave_store::{Partner, StoreError};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::engine::Engine;
use crate::ports::random;

/// Refuses a text that cannot be a name.
pub(crate) fn must_be_name(name: &str) -> Result<(), Refusal> {
    check_name(name).map_err(|error| Refusal::Invalid {
        field: "name",
        why: error.to_string(),
    })
}

impl Engine {
    /// Admits a new partner.
    pub async fn create_partner(&self, by: &Actor, name: &str) -> Result<Partner, Refusal> {
        must_be_name(name)?;
        let now = self.now();
        let partner = Partner {
            id: PartnerId::new(now, random(&*self.randomness)),
            name: name.to_owned(),
            membership: Membership::Admitted,
            plan: None,
            created_at: now,
        };
        let added = partner.clone();
        let act = Act::new("partner.create", partner.id).with(json!({ "name": name }));
        self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.add_partner(&added).await })
        })
        .await?;
        self.catch_up_soon().await;
        Ok(partner)
    }

    /// Gives a partner another name.
    pub async fn rename_partner(
        &self,
        by: &Actor,
        id: PartnerId,
        name: &str,
    ) -> Result<Partner, Refusal> {
        must_be_name(name)?;
        let act = Act::new("partner.rename", id).with(json!({ "name": name }));
        let name = name.to_owned();
        let renamed = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.rename_partner(id, &name).await?;
                let read = transaction.reader().partner(id).await?;
                read.ok_or(StoreError::NotFound)
            })
        });
        renamed.await.map_err(not_found("partner"))
    }

    /// Admits a partner again or lets it lapse; holds from the next request on.
    pub async fn set_membership(
        &self,
        by: &Actor,
        id: PartnerId,
        membership: Membership,
    ) -> Result<Partner, Refusal> {
        let name = match membership {
            Membership::Admitted => "partner.admit",
            Membership::Lapsed => "partner.lapse",
        };
        let changed = self.audited(by, Act::new(name, id), move |transaction| {
            Box::pin(async move {
                transaction.set_membership(id, membership).await?;
                let read = transaction.reader().partner(id).await?;
                read.ok_or(StoreError::NotFound)
            })
        });
        let partner = changed.await.map_err(not_found("partner"))?;
        self.catch_up_with_partner(&partner).await;
        Ok(partner)
    }

    /// Gives a partner a plan, or takes the one that it has; holds from the next request on.
    ///
    /// Errors: [`Refusal::Invalid`] where the settings of this node know no such plan.
    pub async fn set_plan(
        &self,
        by: &Actor,
        id: PartnerId,
        plan: Option<&str>,
    ) -> Result<Partner, Refusal> {
        if plan.is_some_and(|name| !self.limits.knows_plan(name)) {
            return Err(Refusal::Invalid {
                field: "plan",
                why: "there is no such plan in the configuration of this node".to_owned(),
            });
        }
        let act = Act::new("partner.set-plan", id).with(json!({ "plan": plan }));
        let plan = plan.map(str::to_owned);
        let changed = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.set_plan(id, plan.as_deref()).await?;
                let read = transaction.reader().partner(id).await?;
                read.ok_or(StoreError::NotFound)
            })
        });
        let partner = changed.await.map_err(not_found("partner"))?;
        self.catch_up_with_partner(&partner).await;
        Ok(partner)
    }
}

/// Names what was not found; every other error stays as it is.
pub(crate) fn not_found(noun: &'static str) -> impl FnOnce(StoreError) -> Refusal {
    move |error| match error {
        StoreError::NotFound => Refusal::NotFound { noun },
        StoreError::Refused(why) => Refusal::Forbidden { why },
        other => Refusal::Store(other),
    }
}
