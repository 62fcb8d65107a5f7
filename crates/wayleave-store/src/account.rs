use wayleave_core::{Currency, PartnerId, Timestamp};

use crate::{Reader, StoreError, Transaction, must_touch};

/// How a partner buys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Whose it is.
    pub partner_id: PartnerId,
    /// The number by which clients name the partner's company.
    pub number: i64,
    /// To whom invoices are written.
    pub billing_name: String,
    /// Where they are sent; empty: nowhere yet.
    pub billing_email: String,
    /// The name of its price list.
    pub price_list: String,
    /// In which currency it pays; `None`: the catalogue's.
    pub currency: Option<Currency>,
    /// The saved card.
    pub card: Option<Card>,
    /// How many orders it has.
    pub orders: i64,
    /// When it was opened.
    pub created_at: Timestamp,
}

/// A saved card: nothing that could be charged elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Card {
    /// What the payment processor calls it.
    pub token: String,
    /// What people see: brand and last digits.
    pub label: String,
}

type Row = (
    String,
    i64,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    i64,
    i64,
);

fn from_row(row: Row) -> Result<Account, StoreError> {
    let (partner_id, number, billing_name, billing_email, price_list, currency, ..) = &row;
    Ok(Account {
        partner_id: StoreError::read("account", partner_id)?,
        number: *number,
        billing_name: billing_name.clone(),
        billing_email: billing_email.clone(),
        price_list: price_list.clone(),
        currency: StoreError::read_some("account", currency.as_deref())?,
        card: match (row.6, row.7) {
            (Some(token), Some(label)) => Some(Card { token, label }),
            _ => None,
        },
        orders: row.8,
        created_at: Timestamp::from_micros(row.9),
    })
}

impl Reader {
    /// The account of a partner.
    pub async fn account(&mut self, partner_id: PartnerId) -> Result<Option<Account>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT partner_id, number, billing_name, billing_email, price_list, currency, card,
                    card_label, orders, created_at
             FROM account WHERE partner_id = $1",
            partner_id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }
}

impl Transaction {
    /// Takes so many numbers by which clients name things; gives the first.
    pub async fn take_numbers(&mut self, count: i64) -> Result<i64, StoreError> {
        let rows = fetch_all!(
            self.link(),
            (i64,),
            "UPDATE counter SET value = value + $1 WHERE name = 'platform' RETURNING value",
            count
        )?;
        let last = rows.first().map(|(value,)| *value);
        let last = last.ok_or_else(|| StoreError::corrupt("counter", "no platform row"))?;
        Ok(last - count + 1)
    }

    /// Opens an account; one that is there stays as it is.
    pub async fn open_account(&mut self, account: &Account) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO account (partner_id, number, billing_name, billing_email, price_list,
                                  currency, card, card_label, orders, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (partner_id) DO NOTHING",
            account.partner_id.to_string(),
            account.number,
            &account.billing_name,
            &account.billing_email,
            &account.price_list,
            account.currency.map(|currency| currency.to_string()),
            account.card.as_ref().map(|card| card.token.clone()),
            account.card.as_ref().map(|card| card.label.clone()),
            account.orders,
            account.created_at.micros()
        )
        .map(drop)
    }

    /// Writes what may change of an account; [`StoreError::NotFound`] when there is none.
    pub async fn change_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE account SET billing_name = $2, billing_email = $3, price_list = $4,
                                currency = $5, card = $6, card_label = $7
             WHERE partner_id = $1",
            account.partner_id.to_string(),
            &account.billing_name,
            &account.billing_email,
            &account.price_list,
            account.currency.map(|currency| currency.to_string()),
            account.card.as_ref().map(|card| card.token.clone()),
            account.card.as_ref().map(|card| card.label.clone())
        )?;
        must_touch(found, StoreError::NotFound)
    }
}
