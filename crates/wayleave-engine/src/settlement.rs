//! What operators do with orders: note that an invoice was paid, call off, give back, try again.

use serde_json::json;
use wayleave_core::OrderId;
use wayleave_core::order::Standing;
use wayleave_store::{Job, StoreError};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::checkout::OrderWithLines;
use crate::engine::Engine;
use crate::job::{JobKind, LEASE};
use crate::partner::not_found;

const NOT_INVOICED: Refusal = Refusal::Forbidden {
    why: "only an order that waits for its payment can be paid",
};
const NOT_OPEN: Refusal = Refusal::Forbidden {
    why: "only a quote or an order that waits for its payment can be cancelled; give back what was delivered by a refund",
};
const NOT_COMPLETE: Refusal = Refusal::Forbidden {
    why: "only a complete order can be refunded",
};
const MOVED_ON: &str = "the order has moved on meanwhile: look at it again";

fn moved_on(error: StoreError) -> Refusal {
    match error {
        StoreError::Conflict => Refusal::Forbidden { why: MOVED_ON },
        error => not_found("order")(error),
    }
}

impl Engine {
    /// Notes that the invoice of an order was paid, and delivers it.
    ///
    /// Errors: [`Refusal::Forbidden`] where it waits for no payment.
    pub async fn settle_order(&self, by: &Actor, id: OrderId) -> Result<OrderWithLines, Refusal> {
        let order = self.order_by_id(id).await?.order;
        let Standing::Invoiced(invoiced) = Standing::of(id, order.state) else {
            return Err(NOT_INVOICED);
        };
        let (transition, now) = (invoiced.paid(), self.now());
        let advance = self.job(JobKind::Advance, order.partner_id, id, now.plus(LEASE));
        let act = Act::new("order.settle", id).with(json!({
            "number": order.number,
            "total": order.totals.total.to_string(),
            "currency": order.totals.total.currency().to_string(),
        }));
        let settled = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.move_order(transition, now).await?;
                transaction.add_job(&advance).await
            })
        });
        settled.await.map_err(moved_on)?;
        self.advance_now(id).await;
        self.order_by_id(id).await
    }

    /// Calls an order off that was not paid.
    ///
    /// Errors: [`Refusal::Forbidden`] where it is further than that.
    pub async fn cancel_order(&self, by: &Actor, id: OrderId) -> Result<OrderWithLines, Refusal> {
        let order = self.order_by_id(id).await?.order;
        let transition = match Standing::of(id, order.state) {
            Standing::Quote(quote) => quote.cancel(),
            Standing::Invoiced(invoiced) => invoiced.cancel(),
            _ => return Err(NOT_OPEN),
        };
        let now = self.now();
        let act = Act::new("order.cancel", id).with(json!({ "number": order.number }));
        let cancelled = self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.move_order(transition, now).await })
        });
        cancelled.await.map_err(moved_on)?;
        self.order_by_id(id).await
    }

    /// Takes back what a complete order delivered, and gives its money back.
    ///
    /// Errors: [`Refusal::Forbidden`] where it is not complete, or something outside does not do its
    /// part now: then a job goes on with it.
    pub async fn refund_order(
        &self,
        by: &Actor,
        id: OrderId,
        why: &str,
    ) -> Result<OrderWithLines, Refusal> {
        let order = self.order_by_id(id).await?.order;
        let Standing::Complete(complete) = Standing::of(id, order.state) else {
            return Err(NOT_COMPLETE);
        };
        let act = Act::new("order.refund", id).with(json!({ "number": order.number, "why": why }));
        let (job, state) = (self.give_back_job(&order, why), order.state);
        let begun = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.hold_order(id, state).await?;
                transaction.add_job(&job).await
            })
        });
        begun.await.map_err(moved_on)?;
        let waits = self.take_order_back(complete.refund(), why).await;
        match waits {
            Ok(None) => self.order_by_id(id).await,
            Ok(Some(waits)) => {
                tracing::warn!(environment = %self.environment(), order = %id, waits, "a refund is not finished");
                Err(Refusal::Forbidden {
                    why: "something outside does not answer: the refund goes on by itself",
                })
            }
            Err(Refusal::Store(error)) => Err(moved_on(error)),
            Err(error) => Err(error),
        }
    }

    /// Has a job that was given up tried again at once.
    pub async fn retry_job(&self, by: &Actor, name: &str) -> Result<Job, Refusal> {
        let (now, name) = (self.now(), name.to_owned());
        let act = Act::new("job.retry", &name);
        let retried = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.retry_job(&name, now).await?;
                let read = transaction.reader().job(&name).await?;
                read.ok_or(StoreError::NotFound)
            })
        });
        retried.await.map_err(not_found("job that was given up"))
    }
}
