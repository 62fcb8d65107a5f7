//! From a cart to a quote: what was asked for, checked and priced by the catalogue that counts.

use wayleave_core::{
    CartLine, Catalogue, CustomerId, Existing, LineDetails, LineFault, LineMember, LinePrice,
    OrderId, OrderState, PartnerId, Pricing, Recipient, Timestamp, Totals,
};
use wayleave_store::{Account, Customer, NewOrder, Order, OrderLine, Reader, StoreError};

use crate::Refusal;
use crate::caller::Admitted;
use crate::catalogue::CatalogueVersion;
use crate::delivery::DAY;
use crate::engine::Engine;
use crate::job::JobKind;
use crate::once::{Claim, note_effect};
use crate::ports::random;
use crate::provision::ProvisionError;

/// Who buys: a proven caller's partner, perhaps on behalf of one customer only (law 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buyer {
    pub(crate) partner_id: PartnerId,
    pub(crate) only: Option<CustomerId>,
}

impl Buyer {
    /// The partner of an admitted caller.
    pub fn of(admitted: &Admitted) -> Self {
        let caller = admitted.caller();
        Buyer {
            partner_id: caller.partner_id(),
            only: caller.customer_id(),
        }
    }

    /// A partner itself, on whose behalf a job acts that it caused.
    pub(crate) fn whole(partner_id: PartnerId) -> Self {
        Buyer {
            partner_id,
            only: None,
        }
    }

    /// Whose account is bought with.
    pub fn partner_id(self) -> PartnerId {
        self.partner_id
    }

    /// The only customer that the caller may act for, where its credential is limited to one.
    pub fn customer(self) -> Option<CustomerId> {
        self.only
    }
}

/// Why an order was not taken a step further.
#[derive(Debug, thiserror::Error)]
pub enum OrderRefusal {
    /// A line cannot be.
    #[error("{}", .0.why)]
    Line(LineFault),
    /// A customer is named in two ways, or not well.
    #[error("{why}")]
    Recipient {
        /// The place of the line.
        line: usize,
        /// Which member: `companyId`, `apiRef` or `customerName`.
        member: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// What was named is not there, or not the caller's.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The order is no longer a quote.
    #[error("this order is no longer a quote: it is {0}")]
    Processed(OrderState),
    /// The name of an instance is taken.
    #[error("this name is taken: choose another one")]
    NameTaken,
    /// A saved card is needed and there is none, or it was declined.
    #[error("{why}")]
    CardNeeded {
        /// What asked for it: `autoPay` or `monthly_billing`.
        member: &'static str,
        /// What is missing.
        why: &'static str,
    },
    /// The address to call at the end cannot be called.
    #[error("{0}")]
    Hook(String),
    /// What makes instances did not do its part.
    #[error(transparent)]
    Driver(#[from] ProvisionError),
    /// The store, or a rule that is not about orders.
    #[error(transparent)]
    Other(#[from] Refusal),
}

impl From<StoreError> for OrderRefusal {
    fn from(error: StoreError) -> Self {
        OrderRefusal::Other(Refusal::Store(error))
    }
}

/// An order with its lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderWithLines {
    /// The order.
    pub order: Order,
    /// What it is of.
    pub lines: Vec<OrderLine>,
    /// Who buys it.
    pub account: Account,
}

/// A cart with its price; nothing of it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PricedCart {
    /// What each line costs.
    pub lines: Vec<LinePrice>,
    /// What it costs together.
    pub totals: Totals,
    /// Who would buy it.
    pub account: Account,
    /// The present.
    pub at: Timestamp,
}

/// What was found out about a cart.
struct Looked {
    catalogue: std::sync::Arc<CatalogueVersion>,
    recipients: Vec<Option<Customer>>,
    priced: PricedCart,
}

impl Engine {
    /// What a cart would cost; stores nothing.
    pub async fn validate_cart(
        &self,
        buyer: Buyer,
        lines: &[CartLine],
    ) -> Result<PricedCart, OrderRefusal> {
        Ok(self.look_at(buyer, lines).await?.priced)
    }

    /// Makes a quote of a cart: it keeps its prices until it expires.
    pub async fn checkout(
        &self,
        buyer: Buyer,
        lines: &[CartLine],
    ) -> Result<OrderWithLines, OrderRefusal> {
        self.checkout_once(buyer, lines, None).await
    }

    /// The same for a write that counts once.
    pub async fn checkout_once(
        &self,
        buyer: Buyer,
        lines: &[CartLine],
        claim: Option<Claim>,
    ) -> Result<OrderWithLines, OrderRefusal> {
        let id = OrderId::new(self.now(), random(&*self.randomness));
        self.checkout_as(id, buyer, lines, claim).await
    }

    /// The same with an id that is known beforehand.
    pub(crate) async fn checkout_as(
        &self,
        id: OrderId,
        buyer: Buyer,
        lines: &[CartLine],
        claim: Option<Claim>,
    ) -> Result<OrderWithLines, OrderRefusal> {
        let looked = self.look_at(buyer, lines).await?;
        let account = looked.priced.account.clone();
        let order = self.quote_of(id, buyer, &looked).await?;
        let (lines, new_customers) = self.quoted_lines(buyer, lines, looked).await?;
        let new = NewOrder { order, lines };
        let stored = self.store_quote(new, new_customers, claim).await?;
        Ok(OrderWithLines {
            order: stored.order,
            lines: stored.lines,
            account,
        })
    }

    async fn quote_of(
        &self,
        id: OrderId,
        buyer: Buyer,
        looked: &Looked,
    ) -> Result<Order, OrderRefusal> {
        let now = self.now();
        let quote_days = looked.catalogue.catalogue.quote_days;
        Ok(Order {
            id,
            number: self.number().await?,
            partner_id: buyer.partner_id,
            reader_id: None,
            state: OrderState::Quote,
            catalogue_version: looked.catalogue.version,
            totals: looked.priced.totals,
            auto_pay: None,
            hook_url: None,
            payment_link: None,
            created_at: now,
            changed_at: now,
            expires_at: now.plus(DAY * quote_days),
        })
    }

    /// The lines as they are stored, and the customers that are to be made with them.
    async fn quoted_lines(
        &self,
        buyer: Buyer,
        lines: &[CartLine],
        looked: Looked,
    ) -> Result<(Vec<OrderLine>, Vec<Customer>), OrderRefusal> {
        let mut new_customers = Vec::new();
        let mut quoted = Vec::with_capacity(lines.len());
        let places = lines.iter().zip(looked.priced.lines).zip(looked.recipients);
        for (place, ((line, price), recipient)) in places.enumerate() {
            let customer = match (recipient, &line.recipient) {
                (None, Recipient::Reference { reference, name }) => Some(
                    self.new_customer(buyer, reference, name, &mut new_customers)
                        .await?,
                ),
                (found, _) => found.map(|customer| customer.id),
            };
            quoted.push(OrderLine {
                place: place as i64,
                product: line.product,
                customer_id: customer,
                details: details_json(&line.details)?,
                price,
                delivered_id: None,
                delivered_at: None,
            });
        }
        Ok((quoted, new_customers))
    }

    /// Stores a quote with the job that lets it expire; gives it as it was stored: a customer may have
    /// been made meanwhile.
    async fn store_quote(
        &self,
        mut new: NewOrder,
        new_customers: Vec<Customer>,
        claim: Option<Claim>,
    ) -> Result<NewOrder, StoreError> {
        let (order, now) = (&new.order, self.now());
        let kind = JobKind::ExpireQuote;
        let expiry = self.job(kind, order.partner_id, order.id, order.expires_at);
        let stored = self.store.write(now, move |transaction| {
            Box::pin(async move {
                let number = new.order.number;
                note_effect(transaction, claim.as_ref(), number, now).await?;
                for customer in &new_customers {
                    let there = transaction.add_customer(customer).await?;
                    for line in &mut new.lines {
                        if line.customer_id == Some(customer.id) {
                            line.customer_id = Some(there.id);
                        }
                    }
                }
                transaction.add_order(&new).await?;
                transaction.add_job(&expiry).await?;
                Ok(new)
            })
        });
        stored.await
    }

    /// A customer that is to be made with the order; the same reference in two lines is one.
    async fn new_customer(
        &self,
        buyer: Buyer,
        reference: &str,
        name: &str,
        new: &mut Vec<Customer>,
    ) -> Result<CustomerId, OrderRefusal> {
        let same = |customer: &&Customer| customer.reference.as_deref() == Some(reference);
        if let Some(known) = new.iter().find(same) {
            return Ok(known.id);
        }
        let now = self.now();
        let customer = Customer {
            id: CustomerId::new(now, random(&*self.randomness)),
            number: self.number().await?,
            partner_id: buyer.partner_id,
            reference: Some(reference.to_owned()),
            name: name.to_owned(),
            created_at: now,
        };
        let id = customer.id;
        new.push(customer);
        Ok(id)
    }

    async fn look_at(&self, buyer: Buyer, lines: &[CartLine]) -> Result<Looked, OrderRefusal> {
        let account = self.account(buyer.partner_id).await?;
        let (catalogue, now) = (self.catalogue(), self.now());
        let wanted = lines.to_vec();
        let (recipients, existing, taken) = self
            .store
            .read(move |reader| Box::pin(async move { look_up(reader, buyer, &wanted).await }))
            .await?;
        let recipients = check_recipients(buyer, lines, recipients)?;
        check_existing(lines, &existing)?;
        let (prices, totals) = price(lines, &existing, (&catalogue.catalogue, &account, now))?;
        if taken || names_twice(lines) {
            return Err(OrderRefusal::NameTaken);
        }
        let is_monthly = lines.iter().any(|line| is_monthly(&line.details));
        if is_monthly && !totals.total.is_zero() && account.card.is_none() {
            return Err(OrderRefusal::CardNeeded {
                member: "monthly_billing",
                why: "what is paid by the month needs a saved card",
            });
        }
        Ok(Looked {
            catalogue,
            recipients,
            priced: PricedCart {
                lines: prices,
                totals,
                account,
                at: now,
            },
        })
    }

    /// An order of the caller's partner, with its lines.
    pub async fn order(&self, buyer: Buyer, number: i64) -> Result<OrderWithLines, OrderRefusal> {
        let account = self.account(buyer.partner_id).await?;
        let found = self
            .store
            .read(move |reader| {
                Box::pin(async move {
                    let order = reader.order_of_number(buyer.partner_id, number).await?;
                    let Some(order) = order else { return Ok(None) };
                    let lines = reader.order_lines(order.id).await?;
                    Ok(Some((order, lines)))
                })
            })
            .await?;
        let (order, lines) = found.ok_or(OrderRefusal::NotFound("order"))?;
        let is_others = |line: &OrderLine| line.customer_id != buyer.only;
        if buyer.only.is_some() && lines.iter().any(is_others) {
            return Err(OrderRefusal::NotFound("order"));
        }
        Ok(OrderWithLines {
            order,
            lines,
            account,
        })
    }
}

/// What a line changes, as far as it is the partner's.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Found {
    Nothing,
    Foreign,
    Known(Existing),
    /// The rows of a pool: version and licences.
    Pool(Vec<(String, i64)>),
}

impl Found {
    fn existing(&self, newest: Option<&str>) -> Existing {
        match self {
            Found::Nothing | Found::Foreign => Existing::Nothing,
            Found::Known(existing) => *existing,
            Found::Pool(rows) => {
                let older = rows
                    .iter()
                    .filter(|(version, _)| Some(version.as_str()) != newest);
                let upgradable: i64 = older.map(|(_, licences)| licences).sum();
                Existing::Pool {
                    upgradable: u32::try_from(upgradable).unwrap_or(u32::MAX),
                }
            }
        }
    }
}

type LookedUp = (Vec<Option<Customer>>, Vec<Found>, bool);

async fn look_up(
    reader: &mut Reader,
    buyer: Buyer,
    lines: &[CartLine],
) -> Result<LookedUp, StoreError> {
    let partner = buyer.partner_id;
    let (mut recipients, mut existing, mut taken) = (Vec::new(), Vec::new(), false);
    for line in lines {
        recipients.push(match &line.recipient {
            Recipient::Own => match buyer.only {
                Some(id) => reader.customer(partner, id).await?,
                None => None,
            },
            Recipient::Customer(number) => reader.customer_of_number(partner, *number).await?,
            Recipient::Reference { reference, .. } => {
                reader.customer_of_reference(partner, reference).await?
            }
        });
        existing.push(match &line.details {
            LineDetails::Upgrade { pool, .. } => {
                let rows = reader.pool_versions(partner, *pool).await?;
                let is_ours = |row: &wayleave_store::PoolVersion| {
                    buyer.only.is_none() || row.pool.customer_id == buyer.only
                };
                match rows.is_empty() || !rows.iter().all(is_ours) {
                    true => Found::Foreign,
                    false => Found::Pool(
                        rows.into_iter()
                            .map(|row| (row.version, row.licences))
                            .collect(),
                    ),
                }
            }
            LineDetails::ChangeInstance { instance, .. }
            | LineDetails::RenewInstance { instance } => {
                let found = reader.instance_of_number(partner, *instance).await?;
                let is_ours = |customer| buyer.only.is_none() || customer == buyer.only;
                match found {
                    Some(instance) if is_ours(instance.customer_id) => {
                        Found::Known(Existing::Instance {
                            displays: instance.displays,
                            is_demo: instance.is_demo,
                            is_monthly: instance.is_monthly,
                            renewal_at: instance.renewal_at,
                        })
                    }
                    _ => Found::Foreign,
                }
            }
            LineDetails::NewInstance(wanted) => {
                taken |= reader.is_name_taken(&wanted.account_name).await?;
                Found::Nothing
            }
            LineDetails::Licences { .. }
            | LineDetails::Plan { .. }
            | LineDetails::Page { .. }
            | LineDetails::Subscription { .. } => Found::Nothing,
        });
    }
    Ok((recipients, existing, taken))
}

/// Whether everything that lines change is the partner's.
fn check_existing(lines: &[CartLine], existing: &[Found]) -> Result<(), OrderRefusal> {
    let foreign = existing.iter().position(|found| *found == Found::Foreign);
    let Some(line) = foreign else { return Ok(()) };
    let noun = match lines[line].details {
        LineDetails::Upgrade { .. } => "pool",
        _ => "instance",
    };
    Err(OrderRefusal::NotFound(noun))
}

/// What each line costs, and what they cost together.
fn price(
    lines: &[CartLine],
    existing: &[Found],
    (catalogue, account, now): (&Catalogue, &Account, Timestamp),
) -> Result<(Vec<LinePrice>, Totals), OrderRefusal> {
    let list = catalogue.price_list(&account.price_list);
    let list = list.ok_or(Refusal::NotFound { noun: "price list" })?;
    let pricing = Pricing {
        catalogue,
        list,
        currency: account.currency.unwrap_or(catalogue.currency),
        now,
    };
    let newest = catalogue.licence_versions.last();
    let newest = newest.map(|newest| newest.name.as_str());
    let existing: Vec<Existing> = existing
        .iter()
        .map(|found| found.existing(newest))
        .collect();
    let prices = pricing.lines(lines, &existing);
    let prices = prices.map_err(OrderRefusal::Line)?;
    let totals = pricing.totals(&prices).map_err(|error| {
        OrderRefusal::Line(LineFault {
            line: None,
            member: LineMember::Lines,
            why: error.to_string(),
        })
    })?;
    Ok((prices, totals))
}

fn check_recipients(
    buyer: Buyer,
    lines: &[CartLine],
    found: Vec<Option<Customer>>,
) -> Result<Vec<Option<Customer>>, OrderRefusal> {
    for (place, (line, customer)) in lines.iter().zip(&found).enumerate() {
        match (&line.recipient, customer) {
            (Recipient::Customer(_), None) => return Err(OrderRefusal::NotFound("company")),
            (Recipient::Reference { reference, name }, None) => {
                let is_bad = |text: &str| wayleave_core::check_name(text).is_err();
                let (member, why) = match () {
                    () if is_bad(reference) => ("apiRef", "a reference has 1 to 200 characters"),
                    () if is_bad(name) => ("customerName", "a name has 1 to 200 characters"),
                    () if buyer.only.is_some() => {
                        ("apiRef", "this key is limited to one other customer")
                    }
                    () => continue,
                };
                return Err(OrderRefusal::Recipient {
                    line: place,
                    member,
                    why,
                });
            }
            (_, Some(customer)) if buyer.only.is_some_and(|only| only != customer.id) => {
                return Err(OrderRefusal::NotFound("company"));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn names_twice(lines: &[CartLine]) -> bool {
    let names: Vec<String> = lines
        .iter()
        .filter_map(|line| match &line.details {
            LineDetails::NewInstance(wanted) => Some(wanted.account_name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    distinct.len() < names.len()
}

/// Whether something is paid by the month, which needs a saved card.
pub(crate) fn is_monthly(details: &LineDetails) -> bool {
    matches!(details, LineDetails::NewInstance(wanted) if wanted.is_monthly)
}

pub(crate) fn details_json(details: &LineDetails) -> Result<String, Refusal> {
    Ok(serde_json::to_string(details)
        .map_err(|error| StoreError::corrupt("line of an order", error))?)
}

pub(crate) fn read_details(text: &str) -> Result<LineDetails, Refusal> {
    Ok(serde_json::from_str(text)
        .map_err(|error| StoreError::corrupt("line of an order", error))?)
}
