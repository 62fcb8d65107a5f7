//! Plans that partners bought: what they give at the gateway, from the request after the one that
//! delivered them to the end of their term.

use std::sync::Arc;

use wayleave_core::{PartnerId, PlanGrants, ScopeSet};
use wayleave_store::{PlanTerm, StoreError};

use crate::Refusal;
use crate::engine::Engine;

/// What the plans that a partner bought give it now.
#[derive(Debug)]
pub(crate) struct Bought {
    /// The number of the plan whose limits count.
    pub(crate) plan: u32,
    /// Scopes that each of its credentials has besides its own.
    pub(crate) scopes: ScopeSet,
}

/// Under which name the limits of a plan that is sold are known: no configured plan can have it.
fn sold_name(plan: &str) -> String {
    format!("sold/{plan}")
}

impl Engine {
    /// Takes over what a partner has bought.
    pub(crate) async fn apply_plan_terms(&self, partner_id: PartnerId) -> Result<(), Refusal> {
        let terms = self
            .store
            .read(move |reader| Box::pin(reader.plan_terms_of(partner_id)))
            .await?;
        self.put_plan_terms(partner_id, &terms).await
    }

    /// Takes over what every partner has bought.
    pub(crate) async fn apply_all_plan_terms(&self) -> Result<(), Refusal> {
        let terms = self
            .store
            .read(|reader| Box::pin(reader.plan_terms()))
            .await?;
        for of_one in terms.chunk_by(|one, other| one.partner_id == other.partner_id) {
            if let Some(first) = of_one.first() {
                self.put_plan_terms(first.partner_id, of_one).await?;
            }
        }
        Ok(())
    }

    async fn put_plan_terms(
        &self,
        partner_id: PartnerId,
        terms: &[PlanTerm],
    ) -> Result<(), Refusal> {
        let now = self.now();
        let mut bought: Option<Bought> = None;
        let counts = |term: &&PlanTerm| term.starts_at <= now && now < term.ends_at;
        for term in terms.iter().filter(counts) {
            let grants = self.grants_of(term).await?;
            let scopes = grants
                .scopes()
                .map_err(|why| StoreError::corrupt("plan", why))?;
            let limits = grants
                .limits()
                .map_err(|why| StoreError::corrupt("plan", why))?;
            let plan = self.limits.put_sold_plan(&sold_name(&term.plan), &limits);
            let before = bought.take().map(|bought| bought.scopes);
            bought = Some(Bought {
                plan,
                scopes: before.unwrap_or_default().union(&scopes),
            });
        }
        self.directory.put_bought(partner_id, bought.map(Arc::new));
        Ok(())
    }

    /// What a plan gives: as the catalogue that counts says, or where it is no longer sold, as the
    /// catalogue said from which it was bought.
    async fn grants_of(&self, term: &PlanTerm) -> Result<PlanGrants, Refusal> {
        let current = self.catalogue();
        let bought_from = self.catalogue_version(term.catalogue_version).await?;
        let mut plans = current
            .catalogue
            .plans()
            .chain(bought_from.catalogue.plans());
        let found = plans.find(|(_, grants)| grants.plan == term.plan);
        found
            .map(|(_, grants)| grants.clone())
            .ok_or_else(|| StoreError::corrupt("plan", "no catalogue knows the plan").into())
    }
}
