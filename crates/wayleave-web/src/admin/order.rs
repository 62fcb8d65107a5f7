use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{OrderId, OrderState, PartnerId};
use wayleave_engine::{Charge, Order, OrderFilter, OrderLine};

use super::reading::{Members, Page, invalid, page_answer};
use super::{Desk, fault, job, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

/// The most minutes for which an order may be asked to have been stuck: a year.
const MOST_MINUTES: u64 = 366 * 24 * 60;

impl Desk<'_> {
    pub(super) async fn orders(&self, page: &mut Page) -> Result<Answer, Fault> {
        let filter = self.order_filter(page)?;
        let (after, limit) = (page.parsed::<OrderId>("after")?, page.limit()?);
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move {
                let orders = reader.orders_after(filter, after, limit + 1).await?;
                let errors = match (orders.first(), orders.last()) {
                    (Some(first), Some(last)) => {
                        let (first, last) = (first.id.to_string(), last.id.to_string());
                        reader.job_errors(&first, &last).await?
                    }
                    _ => Vec::new(),
                };
                Ok((orders, errors))
            })
        });
        let (found, errors) = read.await.map_err(|error| fault(error.into()))?;
        let errors: HashMap<String, String> = errors.into_iter().collect();
        Ok(page_answer(&found, limit, |order| {
            let mut row = body(order);
            row["last_error"] = json!(errors.get(&order.id.to_string()));
            row
        }))
    }

    fn order_filter(&self, page: &mut Page) -> Result<OrderFilter, Fault> {
        let minutes = page.parsed::<u64>("stuck")?;
        if minutes.is_some_and(|minutes| minutes > MOST_MINUTES) {
            return Err(invalid("stuck", "is in minutes, at most a year of them"));
        }
        let since = |minutes: u64| self.engine.now().minus(Duration::from_secs(minutes * 60));
        Ok(OrderFilter {
            partner_id: page.parsed::<PartnerId>("partner")?,
            state: page.parsed::<OrderState>("state")?,
            stuck_since: minutes.map(since),
        })
    }

    pub(super) async fn order(&self, id: &str) -> Result<Answer, Fault> {
        let id = self.order_id(id).await?;
        self.order_in_full(id).await
    }

    /// An order with its lines, its charges and what is to be done about it.
    async fn order_in_full(&self, id: OrderId) -> Result<Answer, Fault> {
        let object = id.to_string();
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move {
                let Some(order) = reader.order(id).await? else {
                    return Ok(None);
                };
                let lines = reader.order_lines(id).await?;
                let charges = reader.charges_of(id).await?;
                Ok(Some((
                    order,
                    lines,
                    charges,
                    reader.jobs_of(&object).await?,
                )))
            })
        });
        let found = read.await.map_err(|error| fault(error.into()))?;
        let (order, lines, charges, jobs) = found.ok_or(Fault::NotFound)?;
        let mut document = body(&order);
        document["lines"] = lines.iter().map(line_body).collect();
        document["charges"] = charges.iter().map(charge_body).collect();
        document["jobs"] = jobs.iter().map(job::body).collect();
        Ok(answer::json(StatusCode::OK, &document))
    }

    /// An id, or the number by which clients name the order.
    async fn order_id(&self, text: &str) -> Result<OrderId, Fault> {
        let Ok(number) = text.parse::<i64>() else {
            return text.parse().map_err(|_| Fault::NotFound);
        };
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.order_numbered(number)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        found.map(|order| order.id).ok_or(Fault::NotFound)
    }

    pub(super) async fn change_order(
        &self,
        id: &str,
        verb: &str,
        mut members: Members,
    ) -> Result<Answer, Fault> {
        let why = match verb {
            "refund" => Some(members.required("why")?),
            _ => None,
        };
        members.finish()?;
        let (engine, actor, id) = (self.engine, &self.actor, self.order_id(id).await?);
        match (verb, why) {
            (_, Some(why)) => {
                wayleave_core::check_name(&why)
                    .map_err(|error| invalid("why", &error.to_string()))?;
                engine.refund_order(actor, id, &why).await
            }
            ("settle", None) => engine.settle_order(actor, id).await,
            ("cancel", None) => engine.cancel_order(actor, id).await,
            _ => return Err(Fault::NotFound),
        }
        .map_err(fault)?;
        self.order_in_full(id).await
    }
}

pub(super) fn body(order: &Order) -> Value {
    let totals = &order.totals;
    json!({
        "id": order.id.to_string(),
        "number": order.number,
        "partner": order.partner_id.to_string(),
        "reader": order.reader_id.map(|id| id.to_string()),
        "state": order.state.as_str(),
        "currency": totals.total.currency().to_string(),
        "subtotal_minor": totals.subtotal.minor(),
        "discount_minor": totals.discount.minor(),
        "tax_minor": totals.tax.minor(),
        "total_minor": totals.total.minor(),
        "total": totals.total.to_string(),
        "catalogue_version": order.catalogue_version,
        "auto_pay": order.auto_pay,
        "hook_url": order.hook_url,
        "payment_link": order.payment_link,
        "created_at": time(order.created_at),
        "changed_at": time(order.changed_at),
        "expires_at": time(order.expires_at),
    })
}

pub(super) fn line_body(line: &OrderLine) -> Value {
    let details: Value = serde_json::from_str(&line.details).unwrap_or_default();
    json!({
        "place": line.place,
        "product": line.product,
        "customer": line.customer_id.map(|id| id.to_string()),
        "details": details,
        "unit_minor": line.price.unit.minor(),
        "quantity": line.price.quantity,
        "months": line.price.months,
        "total_minor": line.price.total.minor(),
        "total": line.price.total.to_string(),
        "delivered": line.delivered_id,
        "delivered_at": line.delivered_at.map(time),
    })
}

/// Without the card, which is the processor's word for it.
fn charge_body(charge: &Charge) -> Value {
    json!({
        "id": charge.id.to_string(),
        "state": charge.state.as_str(),
        "amount_minor": charge.amount.minor(),
        "amount": charge.amount.to_string(),
        "currency": charge.amount.currency().to_string(),
        "created_at": time(charge.created_at),
        "changed_at": time(charge.changed_at),
    })
}
