//! From a quote to what was bought: accepted, paid, delivered, complete; or given back.
//!
//! One function, [`Engine::advance`], takes an order from wherever it stands as far as it comes.
//! Whoever accepts a quote calls it at once; a job that was noted with the acceptance calls it again
//! after whatever ended the first call. `docs/order-cycle.md` numbers its steps.

use std::time::Duration;

use wayleave_core::order::{Processing, Standing, Transition};
use wayleave_core::{ChargeId, OrderId, OrderState};
use wayleave_store::{
    Card, Charge, ChargeState, Job, JobState, Order, OrderLine, StoreError, Transaction,
};

use crate::Refusal;
use crate::checkout::{Buyer, OrderRefusal, OrderWithLines, is_monthly, read_details};
use crate::engine::Engine;
use crate::job::{Attempt, JobKind, LEASE, done_on_conflict, job_name};
use crate::once::{Claim, note_effect};
use crate::payment::ChargeOutcome;
use crate::ports::random;

/// How long whoever accepts a quote waits for its delivery; the job goes on with it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a quote was accepted.
#[derive(Clone, Debug, Default)]
pub struct Acceptance {
    /// Whether the saved card is charged.
    pub auto_pay: bool,
    /// What is called when the order is complete.
    pub hook_url: Option<String>,
}

/// What is written when a quote is accepted.
struct Accepted {
    transition: Transition,
    acceptance: Acceptance,
    charge: Option<Charge>,
    /// Where it is paid, and the mail that says so; `None`: it is begun at once.
    invoice: Option<(String, Job)>,
    /// What goes on with it where it is begun.
    advance: Job,
}

/// What is to be done with an order next.
#[derive(PartialEq, Debug)]
enum Step {
    /// The processor has to say what became of the charge.
    Charge(Processing, Charge),
    /// A line has to be delivered.
    Deliver(Box<Order>, Processing, Box<OrderLine>),
    /// Everything is delivered.
    Complete(Box<Order>, Processing),
    /// It was given up; why.
    GiveBack(Processing, String),
    /// Nothing.
    Rest,
}

impl Engine {
    /// Accepts a quote: charges the saved card or writes an invoice, and delivers what is paid or
    /// free. The order that is given back may still be processing.
    pub async fn process_quote(
        &self,
        buyer: Buyer,
        number: i64,
        acceptance: Acceptance,
    ) -> Result<OrderWithLines, OrderRefusal> {
        self.process_quote_once(buyer, number, acceptance, None)
            .await
    }

    /// The same for a write that counts once.
    pub async fn process_quote_once(
        &self,
        buyer: Buyer,
        number: i64,
        acceptance: Acceptance,
        claim: Option<Claim>,
    ) -> Result<OrderWithLines, OrderRefusal> {
        let found = self.order(buyer, number).await?;
        let state = found.order.state;
        let Standing::Quote(quote) = Standing::of(found.order.id, state) else {
            return Err(OrderRefusal::Processed(state));
        };
        let now = self.now();
        if found.order.expires_at <= now {
            return Err(OrderRefusal::Processed(OrderState::Expired));
        }
        if let Some(url) = &acceptance.hook_url {
            self.check_hook(url).map_err(OrderRefusal::Hook)?;
        }
        let charge = self.charge_for(&found, &acceptance)?;
        let is_begun = found.order.totals.total.is_zero() || charge.is_some();
        let id = found.order.id;
        let accepted = Accepted {
            transition: match is_begun {
                true => quote.begin(),
                false => quote.invoice(),
            },
            charge,
            invoice: (!is_begun).then(|| self.invoice_of(&found)),
            // The call below has the order to itself for the time of a lease.
            advance: self.job(JobKind::Advance, buyer.partner_id, id, now.plus(LEASE)),
            acceptance,
        };
        match self.accept_quote(number, accepted, claim).await {
            Err(StoreError::Conflict) => {
                let now_at = self.order(buyer, number).await?.order.state;
                return Err(OrderRefusal::Processed(now_at));
            }
            other => other?,
        }
        if is_begun {
            self.advance_now(id).await;
        }
        let accepted = self.order(buyer, number).await?;
        match accepted.order.state {
            OrderState::Quote => Err(OrderRefusal::CardNeeded {
                member: "autoPay",
                why: "the saved card was declined, and what is paid by the month needs one that pays",
            }),
            _ => Ok(accepted),
        }
    }

    async fn accept_quote(
        &self,
        number: i64,
        accepted: Accepted,
        claim: Option<Claim>,
    ) -> Result<(), StoreError> {
        let (id, now) = (accepted.transition.order(), self.now());
        let written = self.store.write(now, move |transaction| {
            Box::pin(async move {
                transaction.move_order(accepted.transition, now).await?;
                note_effect(transaction, claim.as_ref(), number, now).await?;
                let Acceptance { auto_pay, hook_url } = &accepted.acceptance;
                let hook = hook_url.as_deref();
                transaction.accept_order(id, *auto_pay, hook).await?;
                if let Some(charge) = &accepted.charge {
                    transaction.add_charge(charge).await?;
                }
                match &accepted.invoice {
                    Some((link, mail)) => {
                        transaction.set_payment_link(id, link).await?;
                        transaction.add_job(mail).await
                    }
                    None => transaction.add_job(&accepted.advance).await,
                }
            })
        });
        written.await
    }

    /// A charge of all that an order costs, which the processor has not been asked for yet.
    pub(crate) fn charge_of(&self, order: &Order, card: &Card) -> Charge {
        let now = self.now();
        Charge {
            id: ChargeId::new(now, random(&*self.randomness)),
            order_id: order.id,
            partner_id: order.partner_id,
            card: card.token.clone(),
            amount: order.totals.total,
            state: ChargeState::Unknown,
            created_at: now,
            changed_at: now,
        }
    }

    /// The charge with which an order is to be paid; `None`: by invoice, or not at all.
    fn charge_for(
        &self,
        found: &OrderWithLines,
        acceptance: &Acceptance,
    ) -> Result<Option<Charge>, OrderRefusal> {
        let total = found.order.totals.total;
        if total.is_zero() {
            return Ok(None);
        }
        let monthly = has_monthly(&found.lines)?;
        match (acceptance.auto_pay, &found.account.card) {
            (true, Some(card)) => Ok(Some(self.charge_of(&found.order, card))),
            (true, None) if monthly => Err(OrderRefusal::CardNeeded {
                member: "autoPay",
                why: "what is paid by the month needs a saved card",
            }),
            (false, None) if monthly => Err(OrderRefusal::CardNeeded {
                member: "monthly_billing",
                why: "what is paid by the month needs a saved card",
            }),
            _ => Ok(None),
        }
    }

    /// Where an order is paid, and the mail that says so.
    fn invoice_of(&self, found: &OrderWithLines) -> (String, Job) {
        let order = &found.order;
        let link = format!("{}/pay/{}", self.settings.issuer, order.id);
        let mail = self.mail_job(
            order,
            &found.account.billing_email,
            format!("Invoice for order {}", order.number),
            format!(
                "Order {} comes to {} {}. Pay it here: {link}\n",
                order.number,
                order.totals.total,
                order.totals.total.currency()
            ),
        );
        (link, mail)
    }

    /// Takes an order as far as it comes within a time that a client waits.
    pub(crate) async fn advance_now(&self, id: OrderId) {
        match tokio::time::timeout(PATIENCE, self.advance(id)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(environment = %self.environment(), order = %id, %error, "an order goes on later");
            }
            Err(_) => {
                tracing::info!(environment = %self.environment(), order = %id, "an order takes longer");
            }
        }
    }

    pub(crate) async fn attempt_to_advance(&self, id: OrderId) -> Result<Attempt, Refusal> {
        Ok(match self.advance(id).await? {
            None => Attempt::Done,
            Some(why) => Attempt::Again(why),
        })
    }

    /// Takes an order from wherever it stands as far as it comes. Every step is one transaction, and
    /// what is outside is asked under a key that was stored before, so that it may be called at any
    /// time, and twice. Gives what it has to wait for, where something outside did not do its part yet.
    async fn advance(&self, id: OrderId) -> Result<Option<String>, Refusal> {
        loop {
            let stepped = match self.next_step(id).await? {
                Step::Charge(processing, charge) => self.take_charge(processing, charge).await,
                Step::Deliver(order, processing, line) => {
                    self.deliver(&order, processing, *line).await
                }
                Step::Complete(order, processing) => self.complete(&order, processing).await,
                Step::GiveBack(processing, why) => {
                    self.take_order_back(processing.refund(), &why).await
                }
                Step::Rest => return Ok(None),
            };
            match stepped {
                Ok(None) => {}
                Ok(Some(why)) => return Ok(Some(why)),
                // Somebody else took this step: see what is next.
                Err(Refusal::Store(StoreError::Conflict)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn next_step(&self, id: OrderId) -> Result<Step, Refusal> {
        let giving_back = job_name(JobKind::GiveBack, id);
        let read = self
            .store
            .read(move |reader| {
                Box::pin(async move {
                    let order = reader.order(id).await?.ok_or(StoreError::NotFound)?;
                    let lines = reader.order_lines(id).await?;
                    let charges = reader.charges_of(id).await?;
                    Ok((order, lines, charges, reader.job(&giving_back).await?))
                })
            })
            .await?;
        let (order, lines, charges, giving_back) = read;
        let processing = match Standing::of(id, order.state) {
            Standing::Processing(processing) => processing,
            _ => return Ok(Step::Rest),
        };
        // Whichever it is: ids follow the clock, which may have been set back between two of them.
        let is_unknown = |charge: &Charge| charge.state == ChargeState::Unknown;
        if let Some(charge) = charges.into_iter().find(is_unknown) {
            return Ok(Step::Charge(processing, charge));
        }
        if let Some(job) = giving_back.filter(|job| job.state == JobState::Waiting) {
            return Ok(Step::GiveBack(processing, reason_of(&job)));
        }
        let next = lines.into_iter().find(|line| line.delivered_at.is_none());
        Ok(match next {
            Some(line) => Step::Deliver(Box::new(order), processing, Box::new(line)),
            None => Step::Complete(Box::new(order), processing),
        })
    }

    /// Asks the processor for the money of an order. What it cannot say is asked again.
    async fn take_charge(
        &self,
        processing: Processing,
        charge: Charge,
    ) -> Result<Option<String>, Refusal> {
        let outcome = self.processor.charge(&charge).await;
        let (from, now) = (ChargeState::Unknown, self.now());
        let to = match outcome {
            ChargeOutcome::Unknown => {
                return Ok(Some("whether the charge was paid is not known".to_owned()));
            }
            ChargeOutcome::Paid => {
                let paid = self.store.write(now, move |transaction| {
                    Box::pin(async move {
                        let to = ChargeState::Paid;
                        transaction.move_charge(charge.id, from, to, now).await
                    })
                });
                return paid.await.map(|()| None).map_err(Refusal::Store);
            }
            ChargeOutcome::Declined => ChargeState::Declined,
            ChargeOutcome::AuthenticationNeeded => ChargeState::AuthenticationNeeded,
        };
        let found = self.order_by_id(charge.order_id).await?;
        let monthly = has_monthly(&found.lines).map_err(other)?;
        // A reader pays at once or not at all.
        let by_card_only = monthly || found.order.reader_id.is_some();
        let transition = match by_card_only {
            true => processing.give_back(),
            false => processing.fall_back(),
        };
        let invoice = (!by_card_only).then(|| self.invoice_of(&found));
        let advance = job_name(JobKind::Advance, charge.order_id);
        let refused = self.store.write(now, move |transaction| {
            Box::pin(async move {
                transaction.move_charge(charge.id, from, to, now).await?;
                transaction.move_order(transition, now).await?;
                transaction.finish_job(&advance, now).await?;
                if let Some((link, mail)) = &invoice {
                    transaction.set_payment_link(charge.order_id, link).await?;
                    transaction.add_job(mail).await?;
                }
                Ok(())
            })
        });
        refused.await.map(|()| None).map_err(Refusal::Store)
    }

    async fn complete(
        &self,
        order: &Order,
        processing: Processing,
    ) -> Result<Option<String>, Refusal> {
        let (id, transition, now) = (order.id, processing.complete(), self.now());
        let hook = order.hook_url.is_some();
        let hook = hook.then(|| self.job(JobKind::Hook, order.partner_id, id, now));
        let advance = job_name(JobKind::Advance, id);
        let completed = self.store.write(now, move |transaction| {
            Box::pin(async move {
                must_not_be_given_back(transaction, id).await?;
                transaction.move_order(transition, now).await?;
                transaction.finish_job(&advance, now).await?;
                if let Some(hook) = &hook {
                    transaction.add_job(hook).await?;
                }
                Ok(())
            })
        });
        completed.await.map(|()| None).map_err(Refusal::Store)
    }

    /// An order with its lines, of whichever partner.
    pub async fn order_by_id(&self, id: OrderId) -> Result<OrderWithLines, Refusal> {
        let found = self
            .store
            .read(move |reader| {
                Box::pin(async move {
                    let order = reader.order(id).await?.ok_or(StoreError::NotFound)?;
                    let lines = reader.order_lines(id).await?;
                    Ok((order, lines))
                })
            })
            .await;
        let (order, lines) = found.map_err(crate::partner::not_found("order"))?;
        let account = self.account(order.partner_id).await?;
        Ok(OrderWithLines {
            order,
            lines,
            account,
        })
    }

    /// Gives an order up that cannot be delivered: from now on nothing more of it is, and a job takes
    /// it back, whatever ends this call.
    pub(crate) async fn give_up(
        &self,
        order: &Order,
        processing: Processing,
        why: &str,
    ) -> Result<Option<String>, Refusal> {
        let (id, state, now) = (order.id, processing.refund().from(), self.now());
        let job = self.give_back_job(order, why);
        let noted = self.store.write(now, move |transaction| {
            Box::pin(async move {
                transaction.hold_order(id, state).await?;
                transaction.add_job(&job).await
            })
        });
        noted.await.map(|()| None).map_err(Refusal::Store)
    }

    /// The job that goes on with taking an order back after whatever ends the call that began it.
    pub(crate) fn give_back_job(&self, order: &Order, why: &str) -> Job {
        let run_at = self.now().plus(LEASE);
        Job {
            payload: serde_json::json!({ "why": why }).to_string(),
            ..self.job(JobKind::GiveBack, order.partner_id, order.id, run_at)
        }
    }

    pub(crate) async fn attempt_to_give_back(
        &self,
        job: &Job,
        id: OrderId,
    ) -> Result<Attempt, Refusal> {
        let order = self.order_by_id(id).await?.order;
        let transition = match Standing::of(id, order.state) {
            Standing::Processing(processing) => processing.refund(),
            Standing::Complete(complete) => complete.refund(),
            _ => return Ok(Attempt::Done),
        };
        match self.take_order_back(transition, &reason_of(job)).await {
            Ok(None) => Ok(Attempt::Done),
            Ok(Some(why)) => Ok(Attempt::Again(why)),
            Err(Refusal::Store(StoreError::Conflict)) => Ok(Attempt::Again(
                "something was changed at the same time".to_owned(),
            )),
            Err(error) => Err(error),
        }
    }

    /// Takes back what was delivered of an order that was given up, gives the money back, and says so.
    /// Gives why that has to wait, where it has. May be done twice, also at the same time.
    pub(crate) async fn take_order_back(
        &self,
        transition: Transition,
        why: &str,
    ) -> Result<Option<String>, Refusal> {
        let id = transition.order();
        let found = self.order_by_id(id).await?;
        for line in found.lines.iter().rev() {
            if let Err(why) = self.take_back(&found.order, line).await? {
                return Ok(Some(why));
            }
        }
        let charges = self
            .store
            .read(move |reader| Box::pin(reader.charges_of(id)))
            .await?;
        let paid = charges
            .into_iter()
            .filter(|charge| charge.state == ChargeState::Paid);
        let paid: Vec<Charge> = paid.collect();
        for charge in &paid {
            if !self.processor.refund(charge).await {
                return Ok(Some("the money could not be given back yet".to_owned()));
            }
        }
        let now = self.now();
        let recipient = self.recipient_of(&found).await?;
        let mail = self.mail_job(
            &found.order,
            &recipient,
            format!("Order {} was taken back", found.order.number),
            format!("What was paid is returned. Why: {why}\n"),
        );
        let jobs = [JobKind::GiveBack, JobKind::Advance].map(|kind| job_name(kind, id));
        let refunded = self.store.write(now, move |transaction| {
            Box::pin(async move {
                for charge in &paid {
                    let (from, to) = (ChargeState::Paid, ChargeState::Refunded);
                    transaction.move_charge(charge.id, from, to, now).await?;
                }
                transaction.move_order(transition, now).await?;
                for job in &jobs {
                    transaction.finish_job(job, now).await?;
                }
                transaction.add_job(&mail).await
            })
        });
        refunded.await.map(|()| None).map_err(Refusal::Store)
    }

    /// Who is told about an order: who placed it; nobody where that is a reader without an address.
    async fn recipient_of(&self, found: &OrderWithLines) -> Result<String, Refusal> {
        let Some(id) = found.order.reader_id else {
            return Ok(found.account.billing_email.clone());
        };
        let reader = self.reader_account(id).await?;
        Ok(reader.map(|reader| reader.email).unwrap_or_default())
    }

    /// Moves an order on where nothing else is to be written; [`StoreError::Conflict`] where it has
    /// moved on meanwhile.
    pub(crate) async fn move_order(&self, transition: Transition) -> Result<(), StoreError> {
        let now = self.now();
        let moved = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.move_order(transition, now).await })
        });
        moved.await
    }

    pub(crate) async fn expire_quote(&self, id: OrderId) -> Result<Attempt, Refusal> {
        let found = self.order_by_id(id).await?;
        let Standing::Quote(quote) = Standing::of(id, found.order.state) else {
            return Ok(Attempt::Done);
        };
        match self.move_order(quote.expire()).await {
            Ok(()) => Ok(Attempt::Done),
            Err(error) => done_on_conflict(error),
        }
    }
}

/// Why an order was given up.
fn reason_of(job: &Job) -> String {
    let payload: Option<serde_json::Value> = serde_json::from_str(&job.payload).ok();
    let why = payload
        .as_ref()
        .and_then(|payload| payload.get("why")?.as_str());
    why.unwrap_or_default().to_owned()
}

/// Keeps what is delivered out of an order that is being taken back.
pub(crate) async fn must_not_be_given_back(
    transaction: &mut Transaction,
    id: OrderId,
) -> Result<(), StoreError> {
    transaction.hold_order(id, OrderState::Processing).await?;
    let name = job_name(JobKind::GiveBack, id);
    match transaction.reader().job(&name).await? {
        Some(job) if job.state == JobState::Waiting => Err(StoreError::Conflict),
        _ => Ok(()),
    }
}

fn has_monthly(lines: &[OrderLine]) -> Result<bool, OrderRefusal> {
    for line in lines {
        if is_monthly(&read_details(&line.details)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn other(refusal: OrderRefusal) -> Refusal {
    match refusal {
        OrderRefusal::Other(refusal) => refusal,
        refusal => StoreError::corrupt("order", refusal).into(),
    }
}
