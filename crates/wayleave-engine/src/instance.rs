//! What a partner does with a hosted instance besides ordering: looks for it, gives it a newer
//! version, asks what one more term costs, removes it.

use serde_json::json;
use wayleave_core::{CartLine, LineFault, LineMember, Recipient};
use wayleave_store::{Customer, Instance, InstanceFilter, StoreError};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::checkout::{Buyer, OrderRefusal, OrderWithLines};
use crate::delivery::MadeOf;
use crate::engine::Engine;
use crate::listing::{Listed, Page, Whose, belongs, with_customers};
use crate::once::{Claim, note_effect};

/// Which instances are looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstanceQuestion {
    /// Whose.
    pub whose: Whose,
    /// The one of this number.
    pub number: Option<i64>,
    /// Those with this in their names.
    pub name: Option<String>,
}

impl Engine {
    /// Instances of the caller's partner that are there.
    pub async fn list_instances(
        &self,
        buyer: Buyer,
        question: InstanceQuestion,
        page: Page,
    ) -> Result<Listed<Instance>, Refusal> {
        let listed = self.store.read(move |reader| {
            Box::pin(async move {
                let Some(belongs) = belongs(reader, buyer, &question.whose).await? else {
                    return Ok(Listed::nothing());
                };
                let filter = InstanceFilter {
                    partner_id: buyer.partner_id,
                    belongs,
                    number: question.number,
                    name: question.name,
                };
                let rows = reader.instances(&filter, page.start, page.length).await?;
                let total = reader.count_instances(&filter).await?;
                with_customers(reader, buyer, (rows, total), |row| row.customer_id).await
            })
        });
        listed.await.map_err(Refusal::Store)
    }

    /// An instance of the caller's partner by its number, and the customer to whom it belongs.
    pub async fn instance(
        &self,
        buyer: Buyer,
        number: i64,
    ) -> Result<(Instance, Option<Customer>), OrderRefusal> {
        let question = InstanceQuestion {
            whose: Whose::Any,
            number: Some(number),
            name: None,
        };
        let first = Page {
            start: 0,
            length: 1,
        };
        let listed = self.list_instances(buyer, question, first).await?;
        let customer = listed.customers.into_iter().next();
        let instance = listed.rows.into_iter().next();
        let instance = instance.ok_or(OrderRefusal::NotFound("instance"))?;
        Ok((instance, customer))
    }

    /// Gives an instance another version, not an older one. `version`: its number; the newest where
    /// nothing is said.
    pub async fn upgrade_instance(
        &self,
        buyer: Buyer,
        number: i64,
        version: Option<u32>,
        claim: Option<Claim>,
    ) -> Result<(), OrderRefusal> {
        let (instance, _) = self.instance(buyer, number).await?;
        let made_of: MadeOf = read_made_of(&instance)?;
        let version = self.newer_version(made_of.version, version)?;
        self.provisioner
            .upgrade(&instance.account_name, version)
            .await?;
        let remade = MadeOf { version, ..made_of };
        let remade = serde_json::to_string(&remade)
            .map_err(|error| StoreError::corrupt("instance", error))?;
        let (id, now) = (instance.id, self.now());
        self.store
            .write(now, move |transaction| {
                Box::pin(async move {
                    note_effect(transaction, claim.as_ref(), number, now).await?;
                    transaction.remake_instance(id, &remade).await
                })
            })
            .await
            .map_err(gone)
    }

    fn newer_version(&self, present: u32, wanted: Option<u32>) -> Result<u32, OrderRefusal> {
        let catalogue = self.catalogue();
        let versions = &catalogue.catalogue.instance_versions;
        let place_of = |number: u32| versions.iter().position(|version| version.number == number);
        let newest = versions.last().map(|version| version.number);
        let wanted = wanted.or(newest).unwrap_or(present);
        let fault = |why: &str| {
            OrderRefusal::Line(LineFault {
                line: None,
                member: LineMember::InstanceVersion,
                why: why.to_owned(),
            })
        };
        let place = place_of(wanted).ok_or_else(|| fault("there is no version of this number"))?;
        match place_of(present) {
            Some(present) if place < present => {
                Err(fault("the instance has a newer version than this"))
            }
            _ => Ok(wanted),
        }
    }

    /// Quotes one more term of an instance, with the displays that it has; a demonstration is quoted
    /// as a paid one.
    pub async fn quote_renewal(
        &self,
        buyer: Buyer,
        number: i64,
        claim: Option<Claim>,
    ) -> Result<OrderWithLines, OrderRefusal> {
        let (instance, customer) = self.instance(buyer, number).await?;
        let recipient = customer.map_or(Recipient::Own, |customer| {
            Recipient::Customer(customer.number)
        });
        let line = CartLine {
            recipient,
            ..self.renewal_line(&instance)?
        };
        self.checkout_once(buyer, &[line], claim).await
    }

    /// Removes an instance for good. `name`: its name, as a second confirmation. First it is removed
    /// outside; what ends in between is repeated.
    pub async fn delete_instance(
        &self,
        by: &Actor,
        buyer: Buyer,
        (number, name): (i64, &str),
        claim: Option<Claim>,
    ) -> Result<(), OrderRefusal> {
        let (instance, _) = self.instance(buyer, number).await?;
        if !instance.account_name.eq_ignore_ascii_case(name) {
            return Err(OrderRefusal::Line(LineFault {
                line: None,
                member: LineMember::AccountName,
                why: "the instance of this number has another name".to_owned(),
            }));
        }
        self.provisioner.remove(&instance.account_name).await?;
        let act = Act::new("instance.delete", instance.id).with(json!({
            "number": number,
            "account_name": instance.account_name,
            "partner": buyer.partner_id.to_string(),
        }));
        let (id, now) = (instance.id, self.now());
        self.audited(by, act, move |transaction| {
            Box::pin(async move {
                note_effect(transaction, claim.as_ref(), number, now).await?;
                transaction.remove_instance(id, now).await
            })
        })
        .await
        .map_err(gone)
    }
}

/// What an instance is made of.
pub fn read_made_of(instance: &Instance) -> Result<MadeOf, Refusal> {
    Ok(serde_json::from_str(&instance.made_of)
        .map_err(|error| StoreError::corrupt("instance", error))?)
}

fn gone(error: StoreError) -> OrderRefusal {
    match error {
        StoreError::NotFound => OrderRefusal::NotFound("instance"),
        other => other.into(),
    }
}
