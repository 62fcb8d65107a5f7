//! What operators do with plans, devices and the driver that pretends; and orders that Wayleave itself
//! places for a partner.

use serde_json::json;
use wayleave_core::{CartLine, Environment, PartnerId, PlanTermId, PoolId, check_name};
use wayleave_store::{Device, PlanTerm, StoreError};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::checkout::{Buyer, OrderRefusal, OrderWithLines};
use crate::engine::Engine;
use crate::order::Acceptance;
use crate::partner::not_found;
use crate::provision::Pretence;

const ENDED: Refusal = Refusal::Forbidden {
    why: "this plan was ended already",
};
const FULL: Refusal = Refusal::Forbidden {
    why: "every licence of this version is used: remove a device, or order more",
};

/// A device that is to use a licence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDevice {
    /// For which version; the newest row of the pool where nothing is said.
    pub version: Option<String>,
    /// Its hardware address.
    pub hardware: String,
    /// Its name.
    pub name: String,
    /// Its model.
    pub model: String,
    /// Who made it.
    pub manufacturer: String,
    /// Of what runs on it.
    pub version_code: i64,
}

impl NewDevice {
    fn check(&self) -> Result<(), Refusal> {
        let texts = [
            ("hardware", &self.hardware),
            ("name", &self.name),
            ("model", &self.model),
            ("manufacturer", &self.manufacturer),
        ];
        for (field, text) in texts {
            check_name(text).map_err(|error| Refusal::Invalid {
                field,
                why: error.to_string(),
            })?;
        }
        Ok(())
    }
}

impl Engine {
    /// Orders something for a partner and accepts the quote at once.
    ///
    /// Errors: those of a checkout, and of the acceptance of a quote.
    pub async fn place_order(
        &self,
        by: &Actor,
        partner_id: PartnerId,
        lines: &[CartLine],
        acceptance: Acceptance,
    ) -> Result<OrderWithLines, OrderRefusal> {
        let buyer = Buyer::whole(partner_id);
        let quote = self.checkout(buyer, lines).await?.order;
        let act = Act::new("order.place", quote.id).with(json!({
            "number": quote.number,
            "partner": partner_id.to_string(),
            "total": quote.totals.total.to_string(),
            "currency": quote.totals.total.currency().to_string(),
        }));
        self.audited(by, act, |_| Box::pin(async { Ok(()) }))
            .await?;
        self.process_quote(buyer, quote.number, acceptance).await
    }

    /// Ends a plan before its term is over: what it gives is gone on the next request. Nothing is paid
    /// back.
    ///
    /// Errors: [`Refusal::Forbidden`] where it was ended already.
    pub async fn end_plan(&self, by: &Actor, id: PlanTermId) -> Result<PlanTerm, Refusal> {
        let found = self
            .store
            .read(move |reader| Box::pin(reader.plan_term(id)));
        let term = found.await?.ok_or(Refusal::NotFound { noun: "plan" })?;
        let (partner_id, now) = (term.partner_id, self.now());
        let act = Act::new("plan.end", id).with(json!({
            "partner": partner_id.to_string(),
            "plan": term.plan,
        }));
        let ended = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.end_plan_term(partner_id, id, now).await?;
                let read = transaction.reader().plan_term(id).await?;
                read.ok_or(StoreError::NotFound)
            })
        });
        let ended = ended.await.map_err(|error| match error {
            StoreError::NotFound => ENDED,
            error => Refusal::Store(error),
        })?;
        self.catch_up_soon().await;
        Ok(ended)
    }

    /// Has a device use a licence of a pool, as if it had just been seen.
    ///
    /// Errors: [`Refusal::Forbidden`] where every licence is used; [`Refusal::Invalid`] where the pool
    /// has no licences for its version.
    pub async fn add_device(
        &self,
        by: &Actor,
        pool: PoolId,
        new: NewDevice,
    ) -> Result<Device, Refusal> {
        new.check()?;
        let found = self.store.read(move |reader| Box::pin(reader.pool(pool)));
        let rows = found.await?;
        if rows.is_empty() {
            return Err(Refusal::NotFound { noun: "pool" });
        }
        let mut of_version = rows.iter().filter(|row| {
            new.version
                .as_ref()
                .is_none_or(|wanted| *wanted == row.version)
        });
        let row = of_version.next_back().ok_or_else(|| Refusal::Invalid {
            field: "version",
            why: "the pool has no licences for this version".to_owned(),
        })?;
        let device = Device {
            number: self.number().await?,
            pool_version: row.number,
            hardware: new.hardware,
            name: new.name,
            model: new.model,
            manufacturer: new.manufacturer,
            version_code: new.version_code,
            is_blocked: false,
            is_rental: false,
            seen_at: Some(self.now()),
        };
        let act = Act::new("pool.add-device", pool).with(json!({
            "device": device.number,
            "version": row.version,
        }));
        let added = device.clone();
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.add_device(&added).await?;
                let rows = transaction.reader().pool(pool).await?;
                let mut rows = rows.iter();
                match rows.find(|row| row.number == added.pool_version) {
                    Some(row) if row.devices > row.licences => Err(StoreError::Conflict),
                    _ => Ok(()),
                }
            })
        });
        written.await.map_err(|error| match error {
            StoreError::Conflict => FULL,
            error => not_found("pool")(error),
        })?;
        Ok(device)
    }

    /// Tells the driver that pretends to make instances how to behave; of this node alone, until it
    /// ends.
    ///
    /// Errors: [`Refusal::NotFound`] in live, where nothing is to pretend anything.
    pub async fn pretend(&self, by: &Actor, pretence: Pretence) -> Result<Pretence, Refusal> {
        self.pretence()?;
        let act = Act::new("pretend.change", "provisioner")
            .with(json!({ "provisioner": pretence.as_str() }));
        self.audited(by, act, |_| Box::pin(async { Ok(()) }))
            .await?;
        self.pretended_provisioner().behave(pretence);
        Ok(pretence)
    }

    /// How the driver that pretends to make instances behaves.
    ///
    /// Errors: [`Refusal::NotFound`] in live.
    pub fn pretence(&self) -> Result<Pretence, Refusal> {
        match self.environment() {
            Environment::Test => Ok(self.pretended_provisioner().pretence()),
            Environment::Live => Err(Refusal::NotFound { noun: "pretence" }),
        }
    }
}
