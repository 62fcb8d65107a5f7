//! Lists of what a partner has, by pages, with the customers to whom it belongs.

use std::collections::BTreeSet;

use wayleave_core::CustomerId;
use wayleave_store::{Belongs, Customer, Order, Reader, StoreError};

use crate::Refusal;
use crate::checkout::{Buyer, OrderRefusal};
use crate::engine::Engine;

/// A part of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// How many are passed over.
    pub start: i64,
    /// How many come at most.
    pub length: i64,
}

/// Whose things are listed. A caller that is limited to one customer sees that one's, whatever it
/// asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    /// The partner's own.
    Own,
    /// The partner's own and its customers'.
    Any,
    /// Those of one customer, by the partner's own reference.
    Customer(String),
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed<T> {
    /// What is on it.
    pub rows: Vec<T>,
    /// How many there are on all pages.
    pub total: i64,
    /// The customers to whom something on it belongs.
    pub customers: Vec<Customer>,
}

impl<T> Listed<T> {
    pub(crate) fn nothing() -> Self {
        Listed {
            rows: Vec::new(),
            total: 0,
            customers: Vec::new(),
        }
    }

    /// The customer of an id.
    pub fn customer(&self, id: Option<CustomerId>) -> Option<&Customer> {
        self.customers
            .iter()
            .find(|customer| Some(customer.id) == id)
    }
}

/// What the store is asked for; `None`: there is nothing.
pub(crate) async fn belongs(
    reader: &mut Reader,
    buyer: Buyer,
    whose: &Whose,
) -> Result<Option<Belongs>, StoreError> {
    let only = buyer.only.map(Belongs::To);
    let Whose::Customer(reference) = whose else {
        return Ok(only.or(Some(match whose {
            Whose::Any => Belongs::Any,
            _ => Belongs::Own,
        })));
    };
    let customer = reader.customer_of_reference(buyer.partner_id, reference);
    let wanted = customer.await?.map(|customer| Belongs::To(customer.id));
    Ok(wanted.filter(|wanted| only.is_none_or(|only| only == *wanted)))
}

/// A page with the customers of what is on it.
pub(crate) async fn with_customers<T>(
    reader: &mut Reader,
    buyer: Buyer,
    (rows, total): (Vec<T>, i64),
    customer_of: impl Fn(&T) -> Option<CustomerId>,
) -> Result<Listed<T>, StoreError> {
    let customers = customers(reader, buyer, rows.iter().filter_map(customer_of)).await?;
    Ok(Listed {
        rows,
        total,
        customers,
    })
}

/// The customers of a partner that are named, each once.
async fn customers(
    reader: &mut Reader,
    buyer: Buyer,
    ids: impl Iterator<Item = CustomerId>,
) -> Result<Vec<Customer>, StoreError> {
    let distinct: BTreeSet<CustomerId> = ids.collect();
    let mut customers = Vec::new();
    for id in distinct {
        customers.extend(reader.customer(buyer.partner_id, id).await?);
    }
    Ok(customers)
}

impl Engine {
    /// Orders of the caller's partner, the newest first. `number`: the one of this number.
    pub async fn list_orders(
        &self,
        buyer: Buyer,
        number: Option<i64>,
        page: Page,
    ) -> Result<Listed<Order>, Refusal> {
        if let Some(number) = number {
            return self.list_order(buyer, number, page).await;
        }
        let account = self.account(buyer.partner_id).await?;
        let partner = buyer.partner_id;
        let (rows, total) = self
            .store
            .read(move |reader| {
                Box::pin(async move {
                    Ok(match buyer.only {
                        Some(only) => (
                            reader
                                .orders_for((partner, only), page.start, page.length)
                                .await?,
                            reader.count_orders_for(partner, only).await?,
                        ),
                        None => (
                            reader.orders_of(partner, page.start, page.length).await?,
                            account.orders,
                        ),
                    })
                })
            })
            .await?;
        Ok(Listed {
            rows,
            total,
            customers: Vec::new(),
        })
    }

    async fn list_order(
        &self,
        buyer: Buyer,
        number: i64,
        page: Page,
    ) -> Result<Listed<Order>, Refusal> {
        let found = match self.order(buyer, number).await {
            Ok(found) => found.order,
            Err(OrderRefusal::Other(refusal)) => return Err(refusal),
            Err(_) => return Ok(Listed::nothing()),
        };
        let is_on_page = page.start == 0 && page.length > 0;
        Ok(Listed {
            rows: is_on_page.then_some(found).into_iter().collect(),
            total: 1,
            customers: Vec::new(),
        })
    }
}
