use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{Currency, PartnerId};
use wayleave_engine::{Account, AccountChange, Card, pretended_card};

use super::reading::{Members, invalid};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

impl Desk<'_> {
    pub(super) async fn account(&self, partner: &str) -> Result<Answer, Fault> {
        let partner: PartnerId = partner.parse().map_err(|_| Fault::NotFound)?;
        let account = self.engine.account(partner).await.map_err(fault)?;
        Ok(answer::json(StatusCode::OK, &self.account_body(&account)))
    }

    pub(super) async fn change_account(
        &self,
        partner: &str,
        mut members: Members,
    ) -> Result<Answer, Fault> {
        let partner: PartnerId = partner.parse().map_err(|_| Fault::NotFound)?;
        let change = AccountChange {
            billing_name: members.optional("billing_name")?,
            billing_email: members.optional("billing_email")?,
            price_list: members.optional("price_list")?,
            currency: members.parsed_optional::<Currency>("currency")?,
            card: members.optional("card")?.as_deref().map(card).transpose()?,
        };
        members.finish()?;
        let changed = self.engine.change_account(&self.actor, partner, change);
        let account = changed.await.map_err(fault)?;
        Ok(answer::json(StatusCode::OK, &self.account_body(&account)))
    }

    fn account_body(&self, account: &Account) -> Value {
        json!({
            "partner": account.partner_id.to_string(),
            "number": account.number,
            "billing_name": account.billing_name,
            "billing_email": account.billing_email,
            "price_list": account.price_list,
            "currency": self.engine.currency_of(account).to_string(),
            "card": account.card.as_ref().map(|card| card.label.as_str()),
            "orders": account.orders,
            "created_at": time(account.created_at),
        })
    }
}

/// The card of a word: one of the processor that pretends, or none.
pub(super) fn card(word: &str) -> Result<Option<Card>, Fault> {
    match word {
        "none" => Ok(None),
        word => pretended_card(word).map(Some).ok_or_else(|| {
            let why =
                "is pays, declines, asks, unclear or none: cards of the processor that pretends";
            invalid("card", why)
        }),
    }
}
