use wayleave_core::{Membership, PartnerId, check_name};
use wayleave_store::{Partner, StoreError};

use crate::Refusal;
use crate::engine::Engine;
use crate::ports::random;

impl Engine {
    /// Admits a new partner.
    pub async fn create_partner(&self, name: &str) -> Result<Partner, Refusal> {
        check_name(name).map_err(|error| Refusal::Invalid {
            field: "name",
            why: error.to_string(),
        })?;
        let now = self.now();
        let partner = Partner {
            id: PartnerId::new(now, random(&*self.randomness)),
            name: name.to_owned(),
            membership: Membership::Admitted,
            created_at: now,
        };
        let added = partner.clone();
        self.store
            .write(now, move |transaction| {
                Box::pin(async move { transaction.add_partner(&added).await })
            })
            .await?;
        self.catch_up_soon().await;
        Ok(partner)
    }

    /// Admits a partner again or lets it lapse; holds from the next request on.
    pub async fn set_membership(
        &self,
        id: PartnerId,
        membership: Membership,
    ) -> Result<Partner, Refusal> {
        let changed = self
            .store
            .write(self.now(), move |transaction| {
                Box::pin(async move {
                    transaction.set_membership(id, membership).await?;
                    transaction
                        .reader()
                        .partner(id)
                        .await?
                        .ok_or(StoreError::NotFound)
                })
            })
            .await;
        let partner = changed.map_err(not_found("partner"))?;
        self.catch_up().await?;
        Ok(partner)
    }
}

/// Names what was not found; every other error stays as it is.
pub(crate) fn not_found(noun: &'static str) -> impl FnOnce(StoreError) -> Refusal {
    move |error| match error {
        StoreError::NotFound => Refusal::NotFound { noun },
        other => Refusal::Store(other),
    }
}
