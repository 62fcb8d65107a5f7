//! What readers buy: pages and subscriptions, as orders like those of partners: a price that is kept,
//! a charge that is noted before the processor is asked, a delivery that is written once, and a job
//! that goes on with it after whatever ended the call.

use std::time::Duration;

use serde_json::json;
use wayleave_core::order::Standing;
use wayleave_core::{
    CalendarPeriod, Currency, LineDetails, LinePrice, Money, OrderId, OrderState, PricingModel,
    PropertyId, PropertySettings, PurchaseId, ReaderId, ResourceId, SubscriptionGroup, Timestamp,
    Totals,
};
use wayleave_store::{
    Job, NewOrder, Order, OrderLine, Purchase, ReaderAccount, ReaderSubscription, StoreError,
};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::checkout::{OrderWithLines, details_json};
use crate::delivery::DAY;
use crate::engine::Engine;
use crate::job::{JobKind, LEASE};
use crate::ports::random;

/// How long an order that was not paid stays.
const KEPT: Duration = DAY;

const NO_SINGLE_PAGES: Refusal = Refusal::Forbidden {
    why: "this property sells no single pages",
};
const NO_SUBSCRIPTIONS: Refusal = Refusal::Forbidden {
    why: "this property sells no subscriptions",
};
const NOT_SOLD: Refusal = Refusal::Forbidden {
    why: "this page is not sold by itself",
};
const COSTS_NOTHING: Refusal = Refusal::Forbidden {
    why: "this page costs nothing",
};
const HAS_IT: Refusal = Refusal::Forbidden {
    why: "the reader has bought this page already",
};
const NO_CARD: Refusal = Refusal::Forbidden {
    why: "the reader has no saved card: save one first",
};
const DECLINED: Refusal = Refusal::Forbidden {
    why: "the saved card was declined: nothing was bought",
};

/// What a reader buys, and what it costs.
struct Wanted {
    details: LineDetails,
    price: Money,
    /// For the audit trail.
    name: String,
}

impl Engine {
    /// Sells a page to a reader, paid by the saved card. `pays_minor`: what the reader chose to pay, in
    /// US cents, where the price is theirs to choose.
    ///
    /// Errors: [`Refusal::NotFound`] for a page that is not there, [`Refusal::Forbidden`] where it is
    /// not sold, or the card does not pay, [`Refusal::Invalid`] for a price below the least.
    pub async fn sell_page(
        &self,
        by: &Actor,
        (property_id, reader_id): (PropertyId, ReaderId),
        key: &str,
        pays_minor: Option<i64>,
    ) -> Result<OrderWithLines, Refusal> {
        let account = self.reader(property_id, reader_id).await?;
        let property = self.property_held(property_id)?;
        let settings = &property.settings;
        if !settings.single_purchases {
            return Err(NO_SINGLE_PAGES);
        }
        let resource = self.resource(property_id, key).await?;
        let resource = resource.ok_or(Refusal::NotFound { noun: "resource" })?;
        let (pricing, now) = (settings.pricing_of(&resource), self.now());
        let price = self.price_of(&resource, pricing, now).await?;
        let price = price_to_pay(pricing.model, price, pays_minor)?;
        let purchases = self
            .store
            .read(move |reader| Box::pin(reader.purchases_of(reader_id)));
        if purchases
            .await?
            .iter()
            .any(|bought| counts(bought, resource.id, now))
        {
            return Err(HAS_IT);
        }
        let wanted = Wanted {
            details: LineDetails::Page {
                resource: resource.id.to_string(),
                key: key.to_owned(),
                expiration: pricing.expiration,
            },
            price,
            name: key.to_owned(),
        };
        self.sell(by, account, wanted).await
    }

    /// Sells one period of a subscription to a reader, paid by the saved card; one that lasts goes on
    /// for so much longer. `group`: the key or the GUID of the group.
    ///
    /// Errors: as for a page.
    pub async fn sell_subscription(
        &self,
        by: &Actor,
        (property_id, reader_id): (PropertyId, ReaderId),
        group: &str,
    ) -> Result<OrderWithLines, Refusal> {
        let account = self.reader(property_id, reader_id).await?;
        let property = self.property_held(property_id)?;
        if !property.settings.subscriptions {
            return Err(NO_SUBSCRIPTIONS);
        }
        let group = group_named(&property.settings, group)?;
        let wanted = Wanted {
            details: LineDetails::Subscription {
                group: group.id.clone(),
                key: group.key.clone(),
                period: group.period,
            },
            price: group.price().ok_or(NO_SUBSCRIPTIONS)?,
            name: group.key.clone(),
        };
        self.sell(by, account, wanted).await
    }

    /// Gives a reader a subscription until a moment, or ends it by one that is over: what an operator
    /// or another system decides, without an order.
    pub async fn give_subscription(
        &self,
        by: &Actor,
        (property_id, reader_id): (PropertyId, ReaderId),
        group: &str,
        expires_at: Timestamp,
    ) -> Result<(), Refusal> {
        self.reader(property_id, reader_id).await?;
        let property = self.property_held(property_id)?;
        let group = group_named(&property.settings, group)?;
        let given = ReaderSubscription {
            reader_id,
            group_id: group.id.clone(),
            expires_at,
            changed_at: self.now(),
        };
        let act = Act::new("reader.give-subscription", reader_id).with(json!({
            "group": group.key,
            "expires_at": expires_at.unix_s(),
        }));
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.put_subscription(&given).await })
        });
        written.await?;
        self.catch_up_soon().await;
        Ok(())
    }

    /// Makes the order, accepts it, and takes it to its end.
    async fn sell(
        &self,
        by: &Actor,
        account: ReaderAccount,
        wanted: Wanted,
    ) -> Result<OrderWithLines, Refusal> {
        let charge = match (&account.card, wanted.price.is_zero()) {
            (_, true) => None,
            (Some(card), false) => Some(card.clone()),
            (None, false) => return Err(NO_CARD),
        };
        let new = self.reader_order(&account, &wanted).await?;
        let (id, order, now) = (new.order.id, new.order.clone(), self.now());
        let charge = charge.map(|card| self.charge_of(&order, &card));
        let jobs = self.jobs_of_sale(&order);
        let Standing::Quote(quote) = Standing::of(id, OrderState::Quote) else {
            return Err(StoreError::corrupt("order", "a quote is none").into());
        };
        let transition = quote.begin();
        let act = Act::new("reader.buy", account.id).with(json!({
            "order": order.number,
            "what": wanted.name,
            "total": wanted.price.to_string(),
        }));
        let accepted = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.add_order(&new).await?;
                transaction.move_order(transition, now).await?;
                transaction.accept_order(id, true, None).await?;
                if let Some(charge) = &charge {
                    transaction.add_charge(charge).await?;
                }
                for job in &jobs {
                    transaction.add_job(job).await?;
                }
                Ok(())
            })
        });
        accepted.await?;
        self.advance_now(id).await;
        let sold = self.order_by_id(id).await?;
        match Standing::of(id, sold.order.state) {
            Standing::Quote(quote) => {
                self.move_order(quote.cancel()).await?;
                Err(DECLINED)
            }
            Standing::Over(_) => Err(Refusal::Forbidden {
                why: "it could not be delivered: the money went back",
            }),
            _ => Ok(sold),
        }
    }

    async fn reader_order(
        &self,
        account: &ReaderAccount,
        wanted: &Wanted,
    ) -> Result<NewOrder, Refusal> {
        let property = self.property_held(account.property_id)?;
        let now = self.now();
        let nothing = Money::zero(wanted.price.currency());
        let order = Order {
            id: OrderId::new(now, random(&*self.randomness)),
            number: self.number().await?,
            partner_id: property.partner_id,
            reader_id: Some(account.id),
            state: OrderState::Quote,
            catalogue_version: self.catalogue().version,
            totals: Totals {
                subtotal: wanted.price,
                discount: nothing,
                tax: nothing,
                total: wanted.price,
            },
            auto_pay: None,
            hook_url: None,
            payment_link: None,
            created_at: now,
            changed_at: now,
            expires_at: now.plus(KEPT),
        };
        let line = OrderLine {
            place: 0,
            product: 0,
            customer_id: None,
            details: details_json(&wanted.details)?,
            price: LinePrice {
                unit: wanted.price,
                quantity: 1,
                months: 1,
                total: wanted.price,
            },
            delivered_id: None,
            delivered_at: None,
        };
        let lines = vec![line];
        Ok(NewOrder { order, lines })
    }

    /// What goes on with an order where this call ends.
    fn jobs_of_sale(&self, order: &Order) -> [Job; 2] {
        let (partner, id) = (order.partner_id, order.id);
        [
            // The call has the order to itself for the time of a lease.
            self.job(JobKind::Advance, partner, id, self.now().plus(LEASE)),
            self.job(JobKind::ExpireQuote, partner, id, order.expires_at),
        ]
    }

    /// The purchase that a line becomes; `None`: the reader is gone.
    pub(crate) async fn purchase_of(
        &self,
        order: &Order,
        resource: ResourceId,
        expires_at: Option<Timestamp>,
    ) -> Result<Option<Purchase>, Refusal> {
        let now = self.now();
        Ok(self.reader_of(order).await?.map(|reader_id| Purchase {
            id: PurchaseId::new(now, random(&*self.randomness)),
            reader_id,
            resource_id: resource,
            order_id: order.id,
            bought_at: now,
            expires_at,
        }))
    }

    /// The subscription that a line becomes, and until when it was before; `None`: the reader is gone.
    pub(crate) async fn subscription_of(
        &self,
        order: &Order,
        group_id: String,
        period: CalendarPeriod,
    ) -> Result<Option<(ReaderSubscription, Option<Timestamp>)>, Refusal> {
        let Some(reader_id) = self.reader_of(order).await? else {
            return Ok(None);
        };
        let before = self.subscribed_until(reader_id, &group_id).await?;
        let now = self.now();
        let extended = ReaderSubscription {
            reader_id,
            group_id,
            expires_at: period.after(before.map_or(now, |before| before.max(now))),
            changed_at: now,
        };
        Ok(Some((extended, before)))
    }

    /// Until when a reader has, or had, a subscription.
    async fn subscribed_until(
        &self,
        reader_id: ReaderId,
        group_id: &str,
    ) -> Result<Option<Timestamp>, Refusal> {
        let read = self
            .store
            .read(move |reader| Box::pin(reader.subscriptions_of(reader_id)));
        let known = read.await?;
        let mut known = known.iter();
        let found = known.find(|known| known.group_id == group_id);
        Ok(found.map(|found| found.expires_at))
    }

    /// The reader of an order, where they are still there.
    async fn reader_of(&self, order: &Order) -> Result<Option<ReaderId>, Refusal> {
        let Some(id) = order.reader_id else {
            return Ok(None);
        };
        Ok(self.reader_account(id).await?.map(|account| account.id))
    }

    /// Takes a subscription back that a line gave: it ends so much earlier, now at the earliest.
    pub(crate) async fn shorten_subscription(
        &self,
        order: &Order,
        place: i64,
        (group_id, period): (String, CalendarPeriod),
    ) -> Result<(), Refusal> {
        let Some(reader_id) = self.reader_of(order).await? else {
            return Ok(());
        };
        let Some(before) = self.subscribed_until(reader_id, &group_id).await? else {
            return Ok(());
        };
        let (id, bought_at, now) = (order.id, order.created_at, self.now());
        let length_us = period.after(bought_at).micros() - bought_at.micros();
        let earlier = before.minus(Duration::from_micros(length_us.unsigned_abs()));
        let shortened = ReaderSubscription {
            reader_id,
            group_id,
            expires_at: earlier.max(now).min(before),
            changed_at: now,
        };
        let written = self.store.write(now, move |transaction| {
            Box::pin(async move {
                // Noted with the line, so that it is taken once.
                transaction.take_line_back(id, place).await?;
                transaction
                    .extend_subscription(&shortened, Some(before))
                    .await
            })
        });
        match written.await {
            Ok(()) => {
                self.catch_up_soon().await;
                Ok(())
            }
            Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a page back that a line gave.
    pub(crate) async fn end_purchase(&self, id: PurchaseId) -> Result<(), Refusal> {
        let now = self.now();
        let ended = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.end_purchase(id, now).await })
        });
        match ended.await {
            Ok(()) => {
                self.catch_up_soon().await;
                Ok(())
            }
            Err(StoreError::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The subscription group of a key or GUID.
fn group_named<'s>(
    settings: &'s PropertySettings,
    name: &str,
) -> Result<&'s SubscriptionGroup, Refusal> {
    let of_key = settings.subscription_group(name);
    let found = of_key.or_else(|| settings.subscription_group_of_id(name));
    let noun = "subscription group";
    found.ok_or(Refusal::NotFound { noun })
}

/// Whether a purchase is of a page and counts at a moment.
pub(crate) fn counts(purchase: &Purchase, resource: ResourceId, now: Timestamp) -> bool {
    purchase.resource_id == resource && purchase.expires_at.is_none_or(|until| now < until)
}

/// What a reader pays for a page, in US cents.
fn price_to_pay(
    model: PricingModel,
    price_minor: Option<i64>,
    pays_minor: Option<i64>,
) -> Result<Money, Refusal> {
    let least = price_minor.ok_or(NOT_SOLD)?;
    let minor = match (model, pays_minor) {
        (PricingModel::VariablePrice, Some(pays)) if pays >= least => pays,
        (PricingModel::VariablePrice, _) => {
            return Err(Refusal::Invalid {
                field: "pays_minor",
                why: format!("the reader chooses what to pay: at least {least} cents"),
            });
        }
        (_, None) => least,
        (_, Some(_)) => {
            return Err(Refusal::Invalid {
                field: "pays_minor",
                why: "the price of this page is not the reader's to choose".to_owned(),
            });
        }
    };
    if minor == 0 {
        return Err(COSTS_NOTHING);
    }
    Money::new(minor, Currency::USD).map_err(|error| Refusal::Invalid {
        field: "pays_minor",
        why: error.to_string(),
    })
}
