//! How a partner buys: its account, and the numbers by which clients name what it has.

use parking_lot::Mutex;
use serde_json::json;
use wayleave_core::{Currency, PartnerId, STANDARD_PRICE_LIST};
use wayleave_store::{Account, Card};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::engine::Engine;
use crate::partner::not_found;

/// How many numbers a node takes at once. Those that it has left when it ends are never given.
const NUMBERS_AT_ONCE: i64 = 100;

/// The numbers that this node has taken and not given yet.
#[derive(Default)]
pub(crate) struct Numbers(Mutex<std::ops::Range<i64>>);

/// What may change of an account; `None` leaves it.
#[derive(Clone, Default, Debug)]
pub struct AccountChange {
    /// To whom invoices are written.
    pub billing_name: Option<String>,
    /// Where they are sent.
    pub billing_email: Option<String>,
    /// Its price list.
    pub price_list: Option<String>,
    /// In which currency it pays from now on.
    pub currency: Option<Currency>,
    /// The saved card; `Some(None)` takes it away.
    pub card: Option<Option<Card>>,
}

impl Engine {
    /// A number by which clients name something, never given before.
    pub(crate) async fn number(&self) -> Result<i64, Refusal> {
        if let Some(number) = self.numbers.0.lock().next() {
            return Ok(number);
        }
        let first = self
            .store
            .write(self.now(), |transaction| {
                Box::pin(transaction.take_numbers(NUMBERS_AT_ONCE))
            })
            .await?;
        // Others may have taken some at the same time: each keeps its own first one.
        *self.numbers.0.lock() = first + 1..first + NUMBERS_AT_ONCE;
        Ok(first)
    }

    /// The account of a partner; opened where there is none yet.
    pub async fn account(&self, partner_id: PartnerId) -> Result<Account, Refusal> {
        let known = self
            .store
            .read(move |reader| Box::pin(reader.account(partner_id)))
            .await?;
        match known {
            Some(account) => Ok(account),
            None => self.open_account(partner_id).await,
        }
    }

    async fn open_account(&self, partner_id: PartnerId) -> Result<Account, Refusal> {
        let partner = self
            .store
            .read(move |reader| Box::pin(reader.partner(partner_id)))
            .await?;
        let partner = partner.ok_or(Refusal::NotFound { noun: "partner" })?;
        let account = Account {
            partner_id,
            number: self.number().await?,
            billing_name: partner.name,
            billing_email: String::new(),
            price_list: STANDARD_PRICE_LIST.to_owned(),
            currency: None,
            card: None,
            orders: 0,
            created_at: self.now(),
        };
        let opened = self
            .store
            .write(self.now(), move |transaction| {
                Box::pin(async move {
                    transaction.open_account(&account).await?;
                    // Another request may have opened it first.
                    transaction.reader().account(partner_id).await
                })
            })
            .await?;
        opened.ok_or(Refusal::NotFound { noun: "account" })
    }

    /// Changes how a partner buys; what was quoted keeps its prices.
    ///
    /// Errors: [`Refusal::Invalid`] where the catalogue has no such price list.
    pub async fn change_account(
        &self,
        by: &Actor,
        partner_id: PartnerId,
        change: AccountChange,
    ) -> Result<Account, Refusal> {
        let mut account = self.account(partner_id).await?;
        if let Some(name) = change.price_list {
            if self.catalogue().catalogue.price_list(&name).is_none() {
                return Err(Refusal::Invalid {
                    field: "price_list",
                    why: "the catalogue has no price list of this name".to_owned(),
                });
            }
            account.price_list = name;
        }
        if let Some(name) = change.billing_name {
            crate::partner::must_be_name(&name)?;
            account.billing_name = name;
        }
        account.billing_email = change.billing_email.unwrap_or(account.billing_email);
        account.currency = change.currency.or(account.currency);
        account.card = change.card.unwrap_or(account.card);
        let act = Act::new("account.change", partner_id).with(json!({
            "billing_name": account.billing_name,
            "billing_email": account.billing_email,
            "price_list": account.price_list,
            "currency": account.currency.map(|currency| currency.to_string()),
            "card": account.card.as_ref().map(|card| card.label.clone()),
        }));
        let changed = account.clone();
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.change_account(&changed).await })
        });
        written.await.map_err(not_found("account"))?;
        Ok(account)
    }

    /// In which currency a partner pays.
    pub fn currency_of(&self, account: &Account) -> Currency {
        let catalogue = self.catalogue();
        account.currency.unwrap_or(catalogue.catalogue.currency)
    }
}
