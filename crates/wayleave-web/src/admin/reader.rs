use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{CredentialId, PropertyId, ReaderId, ReaderRole, Timestamp};
use wayleave_engine::{
    Hit, NewReader, OrderWithLines, Purchase, ReaderAccount, ReaderChange, ReaderData,
    ReaderSubscription, SignIn, USER_TOKEN_LIFE,
};
use wayleave_protocol::guid;

use super::account::card;
use super::reading::{LAST_TIME_S, Members, Page, invalid, page_answer};
use super::{Desk, fault, order, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

/// The most that a reader may choose to pay, in US cents.
const MOST_PAID_MINOR: i64 = 1_000_000_000_000;

type Place = (PropertyId, ReaderId);

impl Desk<'_> {
    /// What is looked up about the readers of a property.
    pub(super) async fn look_up_readers(
        &self,
        property: &str,
        rest: &[&str],
        page: &mut Page,
    ) -> Result<Answer, Fault> {
        let property = self.held_property_id(property)?;
        match rest {
            [] => self.readers(property, page).await,
            [id] => {
                let found = self.engine.reader(property, reader_id(id)?).await;
                Ok(answer::json(StatusCode::OK, &body(&found.map_err(fault)?)))
            }
            [id, "data"] => {
                let found = self.engine.reader_data(property, reader_id(id)?).await;
                let document = data_body(&found.map_err(fault)?);
                Ok(answer::json(StatusCode::OK, &document))
            }
            _ => Err(Fault::NotFound),
        }
    }

    async fn readers(&self, property: PropertyId, page: &mut Page) -> Result<Answer, Fault> {
        let (after, limit) = (page.parsed::<ReaderId>("after")?, page.limit()?);
        let name = page.text("name");
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move {
                match name {
                    None => {
                        reader
                            .reader_accounts_after(property, after, limit + 1)
                            .await
                    }
                    Some(name) => {
                        let found = reader.reader_account_named(property, &name).await?;
                        Ok(found.into_iter().collect())
                    }
                }
            })
        });
        let found = read.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, body))
    }

    pub(super) async fn create_reader(
        &self,
        property: &str,
        mut members: Members,
    ) -> Result<Answer, Fault> {
        let property = self.held_property_id(property)?;
        let new = NewReader {
            user_name: members.required("user_name")?,
            first_name: members.optional("first_name")?.unwrap_or_default(),
            email: members.optional("email")?.unwrap_or_default(),
            role: members.parsed_optional::<ReaderRole>("role")?,
        };
        members.finish()?;
        let made = self.engine.create_reader(&self.actor, property, new).await;
        Ok(answer::json(
            StatusCode::CREATED,
            &body(&made.map_err(fault)?),
        ))
    }

    /// What is done to a reader.
    pub(super) async fn act_on_reader(
        &self,
        property: &str,
        (id, verb): (&str, &str),
        members: Members,
    ) -> Result<Answer, Fault> {
        let place = (self.held_property_id(property)?, reader_id(id)?);
        match verb {
            "change" => self.change_reader(place, members).await,
            "sign-in" => self.sign_reader_in(place, members).await,
            "buy" => self.sell_page(place, members).await,
            "subscribe" => self.sell_subscription(place, members).await,
            "give-subscription" => self.give_subscription(place, members).await,
            "erase" => {
                members.finish()?;
                let erased = self.engine.erase_reader(&self.actor, place).await;
                erased.map_err(fault)?;
                Ok(answer::json(StatusCode::OK, &json!({ "erased": id })))
            }
            _ => Err(Fault::NotFound),
        }
    }

    async fn change_reader(&self, place: Place, mut members: Members) -> Result<Answer, Fault> {
        let change = ReaderChange {
            first_name: members.optional("first_name")?,
            email: members.optional("email")?,
            role: members.optional("role")?.as_deref().map(role).transpose()?,
            card: members.optional("card")?.as_deref().map(card).transpose()?,
        };
        members.finish()?;
        let changed = self.engine.change_reader(&self.actor, place, change).await;
        Ok(answer::json(
            StatusCode::OK,
            &body(&changed.map_err(fault)?),
        ))
    }

    async fn sign_reader_in(&self, place: Place, mut members: Members) -> Result<Answer, Fault> {
        let key = members.required("key")?;
        let sign_in = SignIn {
            credential_id: self.key_set(&key)?,
            user_token: members.optional("user_token")?,
            is_remembered: !members.flag("session_only")?,
        };
        members.finish()?;
        let signed_in = self
            .engine
            .sign_reader_in(&self.actor, place, sign_in)
            .await;
        let (token, expires_at) = signed_in.map_err(fault)?;
        let document = json!({
            "temporary_user_token": token,
            "expires_at": time(expires_at),
            "user_tokens_live_s": USER_TOKEN_LIFE.as_secs(),
        });
        Ok(answer::json(StatusCode::CREATED, &document))
    }

    /// A key set by its id or its access key.
    fn key_set(&self, text: &str) -> Result<CredentialId, Fault> {
        let known = || self.engine.credential_of(text);
        let found = text.parse().ok().or_else(known);
        found.ok_or_else(|| invalid("key", "there is no key set of this id or access key"))
    }

    async fn sell_page(&self, place: Place, mut members: Members) -> Result<Answer, Fault> {
        let key = members.required("resource")?;
        let pays = members.number("pays_minor", MOST_PAID_MINOR)?;
        members.finish()?;
        let sold = self.engine.sell_page(&self.actor, place, &key, pays).await;
        Ok(sold_answer(&sold.map_err(fault)?))
    }

    async fn sell_subscription(&self, place: Place, mut members: Members) -> Result<Answer, Fault> {
        let group = members.required("group")?;
        members.finish()?;
        let sold = self.engine.sell_subscription(&self.actor, place, &group);
        Ok(sold_answer(&sold.await.map_err(fault)?))
    }

    async fn give_subscription(&self, place: Place, mut members: Members) -> Result<Answer, Fault> {
        let group = members.required("group")?;
        let until = members.number("expires_at", LAST_TIME_S)?;
        let until = until.ok_or_else(|| invalid("expires_at", "is missing"))?;
        members.finish()?;
        let until = Timestamp::from_unix_s(until);
        let given = self
            .engine
            .give_subscription(&self.actor, place, &group, until)
            .await;
        given.map_err(fault)?;
        let found = self.engine.reader_data(place.0, place.1).await;
        let document = data_body(&found.map_err(fault)?);
        Ok(answer::json(StatusCode::OK, &document))
    }
}

/// An id of ours, or the GUID by which the content APIs name the reader.
fn reader_id(text: &str) -> Result<ReaderId, Fault> {
    let of_guid = || guid::parse(text).map(|id| ReaderId::from_number(u128::from_be_bytes(id)));
    text.parse().ok().or_else(of_guid).ok_or(Fault::NotFound)
}

/// A role, or none.
fn role(word: &str) -> Result<Option<ReaderRole>, Fault> {
    match word {
        "none" => Ok(None),
        word => word
            .parse()
            .map(Some)
            .map_err(|_| invalid("role", "is administrator, manager, guest or none")),
    }
}

fn body(account: &ReaderAccount) -> Value {
    json!({
        "id": account.id.to_string(),
        "guid": guid::format_lower(&account.id.number().to_be_bytes()),
        "property": account.property_id.to_string(),
        "user_name": account.user_name,
        "first_name": account.first_name,
        "email": account.email,
        "role": account.role.map(ReaderRole::as_str),
        "card": account.card.as_ref().map(|card| card.label.as_str()),
        "created_at": time(account.created_at),
    })
}

fn data_body(data: &ReaderData) -> Value {
    let mut document = body(&data.account);
    document["hits"] = data.hits.iter().map(hit_body).collect();
    document["purchases"] = data.purchases.iter().map(purchase_body).collect();
    document["subscriptions"] = data.subscriptions.iter().map(subscription_body).collect();
    document["orders"] = data.orders.iter().map(order::body).collect();
    document
}

fn hit_body(hit: &Hit) -> Value {
    json!({
        "resource": hit.resource_id.to_string(),
        "period": hit.window.period.as_str(),
        "starts_at": time(hit.window.starts_at),
        "seen_at": time(hit.at),
    })
}

fn purchase_body(purchase: &Purchase) -> Value {
    json!({
        "id": purchase.id.to_string(),
        "resource": purchase.resource_id.to_string(),
        "order": purchase.order_id.to_string(),
        "bought_at": time(purchase.bought_at),
        "expires_at": purchase.expires_at.map(time),
    })
}

fn subscription_body(subscription: &ReaderSubscription) -> Value {
    json!({
        "group": subscription.group_id,
        "expires_at": time(subscription.expires_at),
        "changed_at": time(subscription.changed_at),
    })
}

fn sold_answer(sold: &OrderWithLines) -> Answer {
    let mut document = order::body(&sold.order);
    document["lines"] = sold.lines.iter().map(order::line_body).collect();
    answer::json(StatusCode::CREATED, &document)
}
