use wayleave_core::{CustomerId, PartnerId, Timestamp};

use crate::{Reader, StoreError, Transaction};

/// A client company of a partner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// The number by which clients name it.
    pub number: i64,
    /// Whose customer it is.
    pub partner_id: PartnerId,
    /// The partner's own id of it.
    pub reference: Option<String>,
    /// Its name, for people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

type Row = (String, i64, String, Option<String>, String, i64);

/// The columns of a [`Row`], in its order.
macro_rules! select_customers {
    ($rest:literal) => {
        concat!(
            "SELECT id, number, partner_id, reference, name, created_at
             FROM customer ",
            $rest
        )
    };
}

fn from_row(row: Row) -> Result<Customer, StoreError> {
    let (id, number, partner_id, reference, name, created_at) = row;
    Ok(Customer {
        id: StoreError::read("customer", &id)?,
        number,
        partner_id: StoreError::read("customer", &partner_id)?,
        reference,
        name,
        created_at: Timestamp::from_micros(created_at),
    })
}

impl Reader {
    /// One customer of a partner, by its id.
    pub async fn customer(
        &mut self,
        partner_id: PartnerId,
        id: CustomerId,
    ) -> Result<Option<Customer>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_customers!("WHERE partner_id = $1 AND id = $2"),
            partner_id.to_string(),
            id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// One customer of a partner, by its number.
    pub async fn customer_of_number(
        &mut self,
        partner_id: PartnerId,
        number: i64,
    ) -> Result<Option<Customer>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_customers!("WHERE partner_id = $1 AND number = $2"),
            partner_id.to_string(),
            number
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// One customer of a partner, by the partner's own reference.
    pub async fn customer_of_reference(
        &mut self,
        partner_id: PartnerId,
        reference: &str,
    ) -> Result<Option<Customer>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_customers!("WHERE partner_id = $1 AND reference = $2"),
            partner_id.to_string(),
            reference
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// A page of customers in the order of their ids, after one: of one partner or all.
    pub async fn customers_after(
        &mut self,
        partner: Option<PartnerId>,
        after: Option<CustomerId>,
        limit: i64,
    ) -> Result<Vec<Customer>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_customers!(
                "WHERE ($1 = '' OR partner_id = $1) AND id > $2 ORDER BY id LIMIT $3"
            ),
            partner.map(|id| id.to_string()).unwrap_or_default(),
            after.map(|id| id.to_string()).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }
}

impl Transaction {
    /// Adds a customer. Where the partner has one of this reference already (a request at the same
    /// time was faster), that one stays and is given back.
    pub async fn add_customer(&mut self, customer: &Customer) -> Result<Customer, StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO customer (id, number, partner_id, reference, name, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            customer.id.to_string(),
            customer.number,
            customer.partner_id.to_string(),
            customer.reference.as_deref(),
            &customer.name,
            customer.created_at.micros()
        )?;
        if added == 1 {
            return Ok(customer.clone());
        }
        let Some(reference) = &customer.reference else {
            return Err(StoreError::Conflict);
        };
        let reader = self.reader();
        let there = reader.customer_of_reference(customer.partner_id, reference);
        there.await?.ok_or(StoreError::Conflict)
    }
}
