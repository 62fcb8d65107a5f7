//! Quotes and orders: `POST /user/cart/validate`, `POST /user/checkout`,
//! `POST /shop/processquote/{orderId}`, `GET /user/orders`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wayleave_core::{OrderState, Timestamp, Totals};
use wayleave_engine::{Acceptance, Account, Order, OrderWithLines};

use super::error::{other, refused};
use super::list::page;
use super::{Call, Reply, cart, money, number};
use crate::fault::Fault;

/// What a cart would cost; stores nothing.
pub(super) async fn validate(call: &Call<'_>) -> Result<Reply, Fault> {
    let catalogue = call.engine.catalogue();
    let lines = cart::read(&catalogue.catalogue, &call.body)?;
    let priced = call.engine.validate_cart(call.buyer, &lines).await;
    let priced = priced.map_err(refused)?;
    let shown = Shown {
        number: None,
        state: OrderState::Quote,
        totals: &priced.totals,
        auto_pay: None,
        payment_link: None,
        at: priced.at,
        payment_days: catalogue.catalogue.payment_days,
    };
    Ok(Reply::of(&shown.entity(&priced.account)))
}

/// Stores a cart as a quotation.
pub(super) async fn checkout(call: &Call<'_>) -> Result<Reply, Fault> {
    let catalogue = call.engine.catalogue();
    let lines = cart::read(&catalogue.catalogue, &call.body)?;
    let made = call
        .engine
        .checkout_once(call.buyer, &lines, call.claim.clone())
        .await;
    answer(call, &made.map_err(refused)?).await
}

/// An order by its number.
pub(super) async fn show(call: &Call<'_>, order: &str) -> Result<Reply, Fault> {
    let found = call.engine.order(call.buyer, number(order)?).await;
    answer(call, &found.map_err(refused)?).await
}

/// An order that was made or found.
pub(super) async fn answer(call: &Call<'_>, found: &OrderWithLines) -> Result<Reply, Fault> {
    Ok(Reply::of(&entity(call, found).await?))
}

/// Accepts a quotation.
pub(super) async fn process(call: &Call<'_>) -> Result<Reply, Fault> {
    let acceptance = Acceptance {
        auto_pay: call.body.flag("autoPay")?.unwrap_or(false),
        hook_url: call.body.text("webHookUrl")?,
    };
    let number = call.number(0)?;
    let claim = call.claim.clone();
    let processed = call
        .engine
        .process_quote_once(call.buyer, number, acceptance, claim);
    let processed = Box::pin(processed).await.map_err(refused)?;
    processed_answer(call, &processed).await
}

/// An order that was accepted, as it stands now.
pub(super) async fn show_processed(call: &Call<'_>, order: &str) -> Result<Reply, Fault> {
    let found = call.engine.order(call.buyer, number(order)?).await;
    processed_answer(call, &found.map_err(refused)?).await
}

/// The order at the top level with `state` and `message`, and once more below `order`: clients read
/// the one, documents show the other.
async fn processed_answer(call: &Call<'_>, found: &OrderWithLines) -> Result<Reply, Fault> {
    let order = entity(call, found).await?;
    let mut body = order.clone();
    let (state, message) = outcome(found.order.state);
    body["state"] = json!(state);
    body["message"] = json!(message);
    body["order"] = order;
    Ok(Reply::of(&body))
}

fn outcome(state: OrderState) -> (&'static str, &'static str) {
    match state {
        OrderState::Complete => ("complete", "The order is complete."),
        OrderState::Processing => (
            "processing",
            "The order is paid, and what it is of is being prepared.",
        ),
        OrderState::Invoiced => (
            "invoiced",
            "An invoice with a link to pay it is on its way by mail.",
        ),
        OrderState::Refunded => (
            "failed",
            "The order could not be delivered; what was paid is returned.",
        ),
        OrderState::Quote | OrderState::Cancelled | OrderState::Expired => {
            ("failed", "The order was not processed.")
        }
    }
}

/// The orders of the caller's partner, the newest first.
pub(super) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let (page, number) = (page(&call.query)?, call.query.number("orderId")?);
    let listed = call.engine.list_orders(call.buyer, number, page).await;
    let listed = listed.map_err(other)?;
    let account = call.engine.account(call.buyer.partner_id()).await;
    let account = account.map_err(other)?;
    let mut days = PaymentDays::default();
    let mut rows = Vec::new();
    for order in &listed.rows {
        let payment_days = days.of(call, order).await?;
        rows.push(Shown::of(order, payment_days).entity(&account));
    }
    Ok(Reply::list(rows, listed.total))
}

async fn entity(call: &Call<'_>, found: &OrderWithLines) -> Result<Value, Fault> {
    let payment_days = PaymentDays::default().of(call, &found.order).await?;
    Ok(Shown::of(&found.order, payment_days).entity(&found.account))
}

/// How many days there are to pay, by the version of the catalogue that an order was quoted by.
#[derive(Default)]
struct PaymentDays(BTreeMap<i64, u32>);

impl PaymentDays {
    async fn of(&mut self, call: &Call<'_>, order: &Order) -> Result<u32, Fault> {
        let version = order.catalogue_version;
        if let Some(days) = self.0.get(&version) {
            return Ok(*days);
        }
        let catalogue = call.engine.catalogue_version(version).await;
        let days = catalogue.map_err(other)?.catalogue.payment_days;
        self.0.insert(version, days);
        Ok(days)
    }
}

/// What is shown of an order, or of a cart that is none yet.
struct Shown<'a> {
    number: Option<i64>,
    state: OrderState,
    totals: &'a Totals,
    auto_pay: Option<bool>,
    payment_link: Option<&'a str>,
    at: Timestamp,
    payment_days: u32,
}

impl<'a> Shown<'a> {
    fn of(order: &'a Order, payment_days: u32) -> Self {
        Shown {
            number: Some(order.number),
            state: order.state,
            totals: &order.totals,
            auto_pay: order.auto_pay,
            payment_link: order.payment_link.as_deref(),
            at: order.created_at,
            payment_days,
        }
    }

    fn entity(&self, account: &Account) -> Value {
        let (status_id, status) = status(self.state);
        let mut body = json!({
            "subTotal": money(self.totals.subtotal),
            "discount": money(self.totals.discount),
            "vat": money(self.totals.tax),
            "total": money(self.totals.total),
            "currency": self.totals.total.currency().code(),
            "rfStatusId": status_id,
            "rfStatus": status,
            "companyId": account.number,
            "company": account.billing_name,
            "orderDate": self.at.date_time().to_string(),
            "billingEmail": account.billing_email,
            "billingName": account.billing_name,
            "paymentType": self.payment_type(),
            "paymentTerms": self.payment_days,
            "paymentLink": self.payment_link,
            "purchaseOrderNumber": null,
        });
        if let Some(number) = self.number {
            body["orderId"] = json!(number);
        }
        body
    }

    fn payment_type(&self) -> &'static str {
        match () {
            () if self.totals.total.is_zero() => "None",
            () if self.payment_link.is_none() && self.auto_pay == Some(true) => "Card",
            () => "Invoice",
        }
    }
}

fn status(state: OrderState) -> (u8, &'static str) {
    match state {
        OrderState::Quote => (1, "Quote"),
        OrderState::Invoiced => (2, "Invoiced"),
        OrderState::Processing => (3, "Processing"),
        OrderState::Complete => (4, "Complete"),
        OrderState::Cancelled => (5, "Cancelled"),
        OrderState::Expired => (6, "Expired"),
        OrderState::Refunded => (7, "Refunded"),
    }
}
