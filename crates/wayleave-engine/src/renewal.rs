//! The end of a term: what is paid by the month is charged and goes on, what is paid by the year gets
//! an invoice, and what is not to go on ends.

use sha2::{Digest, Sha256};
use wayleave_core::order::Standing;
use wayleave_core::{
    CartLine, InstanceId, LineDetails, OrderId, PlanTermId, ProductKind, Recipient,
};
use wayleave_store::{Instance, Job, OrderLine, PlanTerm, StoreError};

use crate::Refusal;
use crate::checkout::{Buyer, OrderRefusal, OrderWithLines, read_details};
use crate::delivery::DAY;
use crate::engine::Engine;
use crate::job::{Attempt, done_on_conflict};
use crate::order::Acceptance;

/// The order that renews something at the end of one term: always the same one, so that a job that
/// runs twice renews once.
fn renewal_id(job: &Job) -> OrderId {
    let digest = Sha256::digest(job.name.as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    OrderId::new(job.created_at, random)
}

impl Engine {
    /// Renews an instance at the end of its term, or ends it.
    pub(crate) async fn attempt_renewal(
        &self,
        job: &Job,
        id: InstanceId,
    ) -> Result<Attempt, Refusal> {
        let found = self.store.read(move |reader| Box::pin(reader.instance(id)));
        let Some(instance) = found.await? else {
            return Ok(Attempt::Done);
        };
        if instance.removed_at.is_some() || instance.renewal_at > self.now() {
            return Ok(Attempt::Done);
        }
        if !instance.renews {
            return self.remove_instance(&instance).await;
        }
        let line = self.renewal_line(&instance)?;
        let renewed = self.renew(job, line, instance.is_monthly).await;
        let order = match renewed {
            Ok(order) => order,
            Err(error) => return attempt_after(error),
        };
        self.after_renewal(&instance, &order).await
    }

    /// The line that orders one more term of an instance.
    pub(crate) fn renewal_line(&self, instance: &Instance) -> Result<CartLine, Refusal> {
        let catalogue = self.catalogue();
        let mut products = catalogue.catalogue.products.iter();
        let product = products.find(|product| product.kind == ProductKind::HostedInstance);
        let product = product.ok_or(Refusal::NotFound { noun: "product" })?;
        Ok(CartLine {
            recipient: Recipient::Own,
            product: product.number,
            details: LineDetails::RenewInstance {
                instance: instance.number,
            },
        })
    }

    /// Makes the order that renews something, where it is not there yet, and accepts it.
    async fn renew(
        &self,
        job: &Job,
        line: CartLine,
        auto_pay: bool,
    ) -> Result<OrderWithLines, OrderRefusal> {
        let (id, buyer) = (renewal_id(job), Buyer::whole(job.partner_id));
        let known = self
            .store
            .read(move |reader| Box::pin(reader.order(id)))
            .await?;
        let number = match known {
            Some(order) => order.number,
            None => {
                self.checkout_as(id, buyer, &[line], None)
                    .await?
                    .order
                    .number
            }
        };
        let acceptance = Acceptance {
            auto_pay,
            hook_url: None,
        };
        match self.process_quote(buyer, number, acceptance).await {
            Err(OrderRefusal::Processed(_)) => self.order(buyer, number).await,
            processed => processed,
        }
    }

    /// What becomes of an instance whose renewal was ordered: an invoice has its time to be paid.
    async fn after_renewal(
        &self,
        instance: &Instance,
        order: &OrderWithLines,
    ) -> Result<Attempt, Refusal> {
        let now = self.now();
        let standing = Standing::of(order.order.id, order.order.state);
        match standing {
            Standing::Complete(_) => Ok(Attempt::Done),
            Standing::Processing(_) => Ok(Attempt::Again("its renewal is under way".to_owned())),
            Standing::Invoiced(invoiced) => {
                let days = self.catalogue().catalogue.payment_days;
                let due = instance.renewal_at.plus(DAY * days);
                if now < due {
                    return Ok(Attempt::Later(due.min(now.plus(DAY))));
                }
                match self.move_order(invoiced.cancel()).await {
                    Ok(()) => self.remove_instance(instance).await,
                    // It was paid at the last moment.
                    Err(StoreError::Conflict) => Ok(Attempt::Again("it has moved on".to_owned())),
                    Err(error) => Err(Refusal::Store(error)),
                }
            }
            Standing::Quote(_) | Standing::Over(_) => self.remove_instance(instance).await,
        }
    }

    /// Reminds of the end of a term.
    pub(crate) async fn remind(&self, job: &Job, id: InstanceId) -> Result<Attempt, Refusal> {
        let found = self.store.read(move |reader| Box::pin(reader.instance(id)));
        let Some(instance) = found.await? else {
            return Ok(Attempt::Done);
        };
        let is_of_this_term = job
            .name
            .ends_with(&instance.renewal_at.unix_s().to_string());
        if instance.removed_at.is_some() || !is_of_this_term {
            return Ok(Attempt::Done);
        }
        let order = self.order_by_id(instance.order_id).await?;
        let (subject, body) = reminder(&instance);
        let mail = self.mail_job(&order.order, &order.account.billing_email, subject, body);
        let (now, name) = (self.now(), job.name.clone());
        self.store
            .write(now, move |transaction| {
                Box::pin(async move {
                    transaction.add_job(&mail).await?;
                    // With the mail, so that nobody is reminded twice.
                    transaction.finish_job(&name, now).await
                })
            })
            .await?;
        Ok(Attempt::Done)
    }

    /// Ends a plan whose term is over, after its next term was ordered where it goes on.
    pub(crate) async fn attempt_to_end_plan(
        &self,
        job: &Job,
        id: PlanTermId,
    ) -> Result<Attempt, Refusal> {
        let (partner_id, now) = (job.partner_id, self.now());
        let terms = self
            .store
            .read(move |reader| Box::pin(reader.plan_terms_of(partner_id)))
            .await?;
        let Some(term) = terms.iter().find(|term| term.id == id) else {
            return Ok(Attempt::Done);
        };
        if term.renews && !terms.iter().any(|next| follows(next, term)) {
            let (line, has_card) = self.next_term(term).await?;
            // Without a card there is an invoice, and the plan begins anew when it is paid.
            if let Some(line) = line
                && let Err(error) = self.renew(job, line, has_card).await
            {
                tracing::warn!(environment = %self.environment(), plan = %id, %error, "a plan does not go on");
            }
        }
        let ended = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.end_plan_term(partner_id, id, now).await })
        });
        match ended.await {
            Ok(()) => {
                self.catch_up_soon().await;
                Ok(Attempt::Done)
            }
            Err(error) => done_on_conflict(error),
        }
    }

    /// The line that orders a plan once more, as it was ordered before; and whether a card is there.
    async fn next_term(&self, term: &PlanTerm) -> Result<(Option<CartLine>, bool), Refusal> {
        let order = self.order_by_id(term.order_id).await?;
        let id = term.id.to_string();
        let is_it = |line: &&OrderLine| line.delivered_id.as_deref() == Some(id.as_str());
        let line = order.lines.iter().find(is_it);
        let line = line.map(|line| {
            Ok::<_, Refusal>(CartLine {
                recipient: Recipient::Own,
                product: line.product,
                details: read_details(&line.details)?,
            })
        });
        Ok((line.transpose()?, order.account.card.is_some()))
    }
}

/// Whether a term is the one after another.
fn follows(next: &PlanTerm, term: &PlanTerm) -> bool {
    next.plan == term.plan && next.starts_at >= term.ends_at
}

fn attempt_after(error: OrderRefusal) -> Result<Attempt, Refusal> {
    match error {
        OrderRefusal::Other(refusal) => Err(refusal),
        refusal => Ok(Attempt::Again(refusal.to_string())),
    }
}

fn reminder(instance: &Instance) -> (String, String) {
    let (name, end) = (&instance.account_name, instance.renewal_at.date_time());
    let (subject, next) = match (instance.is_demo, instance.renews, instance.is_monthly) {
        (true, ..) => (
            "Your demonstration ends soon",
            "order its displays to keep it",
        ),
        (_, false, _) => ("Your instance ends soon", "renew it to keep it"),
        (_, true, true) => (
            "Your instance is renewed soon",
            "the saved card is charged then",
        ),
        (_, true, false) => (
            "Your instance is renewed soon",
            "an invoice is written then",
        ),
    };
    let body = format!("The term of {name} ends at {end} (UTC): {next}.\n");
    (format!("{subject}: {name}"), body)
}
