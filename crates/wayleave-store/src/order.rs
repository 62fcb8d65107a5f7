use wayleave_core::order::Transition;
use wayleave_core::{
    Currency, CustomerId, LinePrice, Money, OrderId, OrderState, PartnerId, ReaderId, Timestamp,
    Totals,
};

use crate::{Reader, StoreError, Transaction, must_touch};

/// An order as stored, without its lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// The number by which clients name it.
    pub number: i64,
    /// Whose it is; of a reader's: the partner whose page or subscription it is.
    pub partner_id: PartnerId,
    /// The reader who ordered; `None`: the partner itself.
    pub reader_id: Option<ReaderId>,
    /// Where it stands.
    pub state: OrderState,
    /// The version of the catalogue whose prices it keeps.
    pub catalogue_version: i64,
    /// What it costs.
    pub totals: Totals,
    /// Whether the saved card was to be charged; `None`: it was not accepted yet.
    pub auto_pay: Option<bool>,
    /// What is called when it is complete.
    pub hook_url: Option<String>,
    /// Where its invoice is paid.
    pub payment_link: Option<String>,
    /// When the quote was made.
    pub created_at: Timestamp,
    /// When it came to where it stands.
    pub changed_at: Timestamp,
    /// Until when the quote holds.
    pub expires_at: Timestamp,
}

/// A line of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderLine {
    /// Its place, from 0.
    pub place: i64,
    /// The number of the product.
    pub product: u32,
    /// For which customer; `None`: the partner itself.
    pub customer_id: Option<CustomerId>,
    /// JSON of `wayleave_core::LineDetails`.
    pub details: String,
    /// What it costs.
    pub price: LinePrice,
    /// The id of what it became.
    pub delivered_id: Option<String>,
    /// When.
    pub delivered_at: Option<Timestamp>,
}

/// A quote that is to be stored.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// The order, as a quote.
    pub order: Order,
    /// What it is of.
    pub lines: Vec<OrderLine>,
}

/// Which orders are wanted.
#[derive(Clone, Copy, Default, Debug)]
pub struct OrderFilter {
    /// Of which partner; `None`: of all.
    pub partner_id: Option<PartnerId>,
    /// In which state; `None`: in any.
    pub state: Option<OrderState>,
    /// Only those that are stuck: they have stood where they are since before this moment, and are
    /// processing or have a job that was given up.
    pub stuck_since: Option<Timestamp>,
}

impl OrderFilter {
    fn partner(self) -> String {
        self.partner_id.map(|id| id.to_string()).unwrap_or_default()
    }
}

type Row = (
    String,
    i64,
    String,
    String,
    i64,
    String,
    i64,
    i64,
    i64,
    i64,
    Option<i64>,
    Option<String>,
    Option<String>,
    i64,
    i64,
    i64,
);

type LineRow = (
    i64,
    i64,
    Option<String>,
    String,
    i64,
    i64,
    i64,
    i64,
    Option<String>,
    Option<i64>,
    String,
);

fn money(minor: i64, currency: Currency) -> Result<Money, StoreError> {
    Money::new(minor, currency).map_err(|error| StoreError::corrupt("order", error))
}

/// The columns of a [`Row`], in its order. The driver reads rows of 16 columns at most, so partner and
/// reader are one.
macro_rules! select_orders {
    ($rest:literal) => {
        concat!(
            "SELECT id, number, partner_id || COALESCE(' ' || reader_id, ''), state, catalogue_version, currency,
                    subtotal_minor, discount_minor, tax_minor, total_minor, auto_pay,
                    hook_url, payment_link, created_at, changed_at, expires_at
             FROM sales_order ",
            $rest
        )
    };
}

fn from_row(row: Row) -> Result<Order, StoreError> {
    let currency: Currency = StoreError::read("order", &row.5)?;
    let (partner, reader) = match row.2.split_once(' ') {
        Some((partner, reader)) => (partner, Some(reader)),
        None => (row.2.as_str(), None),
    };
    Ok(Order {
        id: StoreError::read("order", &row.0)?,
        number: row.1,
        partner_id: StoreError::read("order", partner)?,
        reader_id: StoreError::read_some("order", reader)?,
        state: StoreError::read("order", &row.3)?,
        catalogue_version: row.4,
        totals: Totals {
            subtotal: money(row.6, currency)?,
            discount: money(row.7, currency)?,
            tax: money(row.8, currency)?,
            total: money(row.9, currency)?,
        },
        auto_pay: row.10.map(|flag| flag != 0),
        hook_url: row.11,
        payment_link: row.12,
        created_at: Timestamp::from_micros(row.13),
        changed_at: Timestamp::from_micros(row.14),
        expires_at: Timestamp::from_micros(row.15),
    })
}

fn count(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|error| StoreError::corrupt("line of an order", error))
}

fn line_from_row(row: LineRow) -> Result<OrderLine, StoreError> {
    let currency: Currency = StoreError::read("order", &row.10)?;
    Ok(OrderLine {
        place: row.0,
        product: count(row.1)?,
        customer_id: StoreError::read_some("line of an order", row.2.as_deref())?,
        details: row.3,
        price: LinePrice {
            unit: money(row.4, currency)?,
            quantity: count(row.5)?,
            months: count(row.6)?,
            total: money(row.7, currency)?,
        },
        delivered_id: row.8,
        delivered_at: row.9.map(Timestamp::from_micros),
    })
}

impl Reader {
    /// One order of a partner, by its id.
    pub async fn order(&mut self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_orders!("WHERE id = $1"),
            id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// One order that a partner placed, by its number; none of a reader's.
    pub async fn order_of_number(
        &mut self,
        partner_id: PartnerId,
        number: i64,
    ) -> Result<Option<Order>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_orders!("WHERE number = $1 AND partner_id = $2 AND reader_id IS NULL"),
            number,
            partner_id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// Orders that a partner placed, the newest first: so many after having passed over so many.
    pub async fn orders_of(
        &mut self,
        partner_id: PartnerId,
        start: i64,
        length: i64,
    ) -> Result<Vec<Order>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_orders!(
                "WHERE partner_id = $1 AND reader_id IS NULL ORDER BY id DESC LIMIT $3 OFFSET $2"
            ),
            partner_id.to_string(),
            start,
            length
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// Orders of a partner that are for one customer and nobody else, the newest first: so many after
    /// having passed over so many.
    pub async fn orders_for(
        &mut self,
        (partner_id, customer_id): (PartnerId, CustomerId),
        start: i64,
        length: i64,
    ) -> Result<Vec<Order>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_orders!(
                "WHERE partner_id = $1 AND NOT EXISTS
                     (SELECT 1 FROM order_line
                      WHERE order_id = sales_order.id AND COALESCE(customer_id, '') <> $2)
                 ORDER BY id DESC LIMIT $3 OFFSET $4"
            ),
            partner_id.to_string(),
            customer_id.to_string(),
            length,
            start
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// How many orders of a partner are for one customer and nobody else.
    pub async fn count_orders_for(
        &mut self,
        partner_id: PartnerId,
        customer_id: CustomerId,
    ) -> Result<i64, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64,),
            "SELECT COUNT(*) FROM sales_order WHERE partner_id = $1 AND NOT EXISTS
                 (SELECT 1 FROM order_line
                  WHERE order_id = sales_order.id AND COALESCE(customer_id, '') <> $2)",
            partner_id.to_string(),
            customer_id.to_string()
        )?;
        Ok(rows.first().map_or(0, |(count,)| *count))
    }

    /// The orders of a reader, the oldest first.
    pub async fn orders_of_reader(&mut self, id: ReaderId) -> Result<Vec<Order>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_orders!("WHERE reader_id = $1 ORDER BY id"),
            id.to_string()
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// One order of whichever partner, by its number.
    pub async fn order_numbered(&mut self, number: i64) -> Result<Option<Order>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_orders!("WHERE number = $1"),
            number
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// A page of orders in the order of their ids, after one.
    pub async fn orders_after(
        &mut self,
        filter: OrderFilter,
        after: Option<OrderId>,
        limit: i64,
    ) -> Result<Vec<Order>, StoreError> {
        if let Some(since) = filter.stuck_since {
            return self.stuck_orders_after(filter, since, after, limit).await;
        }
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_orders!(
                "WHERE id > $1 AND ($2 = '' OR partner_id = $2) AND ($3 = '' OR state = $3)
             ORDER BY id LIMIT $4"
            ),
            after.map(|id| id.to_string()).unwrap_or_default(),
            filter.partner(),
            filter.state.map(OrderState::as_str).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// Found by their indexes: there are few of them among many.
    async fn stuck_orders_after(
        &mut self,
        filter: OrderFilter,
        since: Timestamp,
        after: Option<OrderId>,
        limit: i64,
    ) -> Result<Vec<Order>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_orders!("WHERE id IN (SELECT id FROM sales_order WHERE state = 'processing' AND changed_at < $1
                          UNION SELECT object FROM job WHERE state = 'failed')
               AND changed_at < $1
               AND id > $2 AND ($3 = '' OR partner_id = $3) AND ($4 = '' OR state = $4)
             ORDER BY id LIMIT $5"),
            since.micros(),
            after.map(|id| id.to_string()).unwrap_or_default(),
            filter.partner(),
            filter.state.map(OrderState::as_str).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// How many orders are stuck, see [`OrderFilter::stuck_since`]; and how many jobs were given up.
    pub async fn count_stuck(&mut self, since: Timestamp) -> Result<(i64, i64), StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64, i64),
            "SELECT (SELECT COUNT(*) FROM sales_order
                     WHERE id IN (SELECT id FROM sales_order
                                  WHERE state = 'processing' AND changed_at < $1
                                  UNION SELECT object FROM job WHERE state = 'failed')
                       AND changed_at < $1),
                    (SELECT COUNT(*) FROM job WHERE state = 'failed')",
            since.micros()
        )?;
        Ok(rows.first().copied().unwrap_or_default())
    }

    /// The lines of an order, in their order.
    pub async fn order_lines(&mut self, id: OrderId) -> Result<Vec<OrderLine>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            LineRow,
            "SELECT place, product, customer_id, details, unit_minor, quantity, months,
                    order_line.total_minor, delivered_id, delivered_at, currency
             FROM order_line JOIN sales_order ON sales_order.id = order_id
             WHERE order_id = $1 ORDER BY place",
            id.to_string()
        )?;
        rows.into_iter().map(line_from_row).collect()
    }
}

impl Transaction {
    /// Stores a quote with its lines; one that the partner placed is counted for it, whose account
    /// must be there.
    pub async fn add_order(&mut self, new: &NewOrder) -> Result<(), StoreError> {
        self.add_order_row(&new.order).await?;
        for line in &new.lines {
            self.add_order_line(new.order.id, line).await?;
        }
        if new.order.reader_id.is_some() {
            return Ok(());
        }
        let counted = execute!(
            self.link(),
            "UPDATE account SET orders = orders + 1 WHERE partner_id = $1",
            new.order.partner_id.to_string()
        )?;
        must_touch(counted, StoreError::NotFound)
    }

    async fn add_order_row(&mut self, order: &Order) -> Result<(), StoreError> {
        let totals = &order.totals;
        execute!(
            self.link(),
            "INSERT INTO sales_order (id, number, partner_id, state, catalogue_version, currency,
                 subtotal_minor, discount_minor, tax_minor, total_minor, auto_pay, hook_url,
                 payment_link, created_at, changed_at, expires_at, reader_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
            order.id.to_string(),
            order.number,
            order.partner_id.to_string(),
            order.state.as_str(),
            order.catalogue_version,
            totals.total.currency().to_string(),
            totals.subtotal.minor(),
            totals.discount.minor(),
            totals.tax.minor(),
            totals.total.minor(),
            order.auto_pay.map(i64::from),
            order.hook_url.as_deref(),
            order.payment_link.as_deref(),
            order.created_at.micros(),
            order.changed_at.micros(),
            order.expires_at.micros(),
            order.reader_id.map(|id| id.to_string())
        )
        .map(drop)
    }

    async fn add_order_line(&mut self, id: OrderId, line: &OrderLine) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO order_line (order_id, place, product, customer_id, details, unit_minor,
                 quantity, months, total_minor, delivered_id, delivered_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            id.to_string(),
            line.place,
            i64::from(line.product),
            line.customer_id.map(|id| id.to_string()),
            &line.details,
            line.price.unit.minor(),
            i64::from(line.price.quantity),
            i64::from(line.price.months),
            line.price.total.minor(),
            line.delivered_id.as_deref(),
            line.delivered_at.map(Timestamp::micros)
        )
        .map(drop)
    }

    /// Takes an order from one state to the next. [`StoreError::Conflict`] when it no longer is in
    /// the state that is left: somebody else was faster.
    pub async fn move_order(
        &mut self,
        transition: Transition,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let moved = execute!(
            self.link(),
            "UPDATE sales_order SET state = $3, changed_at = $4 WHERE id = $1 AND state = $2",
            transition.order().to_string(),
            transition.from().as_str(),
            transition.to().as_str(),
            now.micros()
        )?;
        must_touch(moved, StoreError::Conflict)
    }

    /// Holds an order until the end of the transaction, so that whoever decides about it meanwhile
    /// waits. [`StoreError::Conflict`] when it is not in this state.
    pub async fn hold_order(&mut self, id: OrderId, state: OrderState) -> Result<(), StoreError> {
        let held = execute!(
            self.link(),
            "UPDATE sales_order SET state = state WHERE id = $1 AND state = $2",
            id.to_string(),
            state.as_str()
        )?;
        must_touch(held, StoreError::Conflict)
    }

    /// Notes how an order was accepted: whether the card is charged, and what is called at the end.
    pub async fn accept_order(
        &mut self,
        id: OrderId,
        auto_pay: bool,
        hook_url: Option<&str>,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "UPDATE sales_order SET auto_pay = $2, hook_url = $3 WHERE id = $1",
            id.to_string(),
            i64::from(auto_pay),
            hook_url
        )
        .map(drop)
    }

    /// Notes where the invoice of an order is paid.
    pub async fn set_payment_link(&mut self, id: OrderId, link: &str) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "UPDATE sales_order SET payment_link = $2 WHERE id = $1",
            id.to_string(),
            link
        )
        .map(drop)
    }

    /// Notes what a line became. [`StoreError::Conflict`] when it became something already: nothing
    /// is delivered twice.
    pub async fn deliver_line(
        &mut self,
        id: OrderId,
        place: i64,
        delivered_id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let delivered = execute!(
            self.link(),
            "UPDATE order_line SET delivered_id = $3, delivered_at = $4
             WHERE order_id = $1 AND place = $2 AND delivered_id IS NULL",
            id.to_string(),
            place,
            delivered_id,
            now.micros()
        )?;
        must_touch(delivered, StoreError::Conflict)
    }

    /// Notes that what a line became was taken back. [`StoreError::Conflict`] when it was already.
    pub async fn take_line_back(&mut self, id: OrderId, place: i64) -> Result<(), StoreError> {
        let taken = execute!(
            self.link(),
            "UPDATE order_line SET delivered_id = NULL, delivered_at = NULL
             WHERE order_id = $1 AND place = $2 AND delivered_id IS NOT NULL",
            id.to_string(),
            place
        )?;
        must_touch(taken, StoreError::Conflict)
    }
}
