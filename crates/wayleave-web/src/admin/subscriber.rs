use http::StatusCode;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use wayleave_core::{GroupUntil, LinkedUsers, NamedValue, PropertyId, ReaderId, Timestamp};
use wayleave_engine::{LinkClaim, Queued, Subscriber, shown_id};
use wayleave_protocol::form;

use super::reading::{LAST_TIME_S, Members, Page, invalid, page_answer};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::dialect::content::{IMPORT_LIMIT_BYTES, import};
use crate::fault::Fault;
use crate::request::read_body;

impl Desk<'_> {
    pub(super) async fn subscribers(&self, id: &str, page: &mut Page) -> Result<Answer, Fault> {
        let property = self.held_property_id(id)?;
        let (after, limit) = (page.text("after").unwrap_or_default(), page.limit()?);
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move { reader.subscribers_after(property, &after, limit + 1).await })
        });
        let found = read.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, body))
    }

    /// One by its key, with the readers that are linked to it.
    pub(super) async fn subscriber(&self, id: &str, key: &str) -> Result<Answer, Fault> {
        let property = self.held_property_id(id)?;
        let key = form::percent_decode(key).into_owned();
        let key = String::from_utf8(key).map_err(|_| Fault::NotFound)?;
        let linked = self.engine.linked_users(property, &key).await;
        let linked = linked.map_err(fault)?;
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move { reader.subscriber_of_key(property, &key).await })
        });
        let found = read.await.map_err(|error| fault(error.into()))?;
        let mut shown = body(&found.ok_or(Fault::NotFound)?);
        shown["users"] = users(&linked);
        Ok(answer::json(StatusCode::OK, &shown))
    }

    pub(super) async fn change_subscribers(
        &self,
        id: &str,
        verb: &str,
        members: Members,
    ) -> Result<Answer, Fault> {
        match verb {
            "export" => self.export_subscribers(id, members).await,
            "link" => self.link_reader(id, members).await,
            "unlink" => self.unlink_reader(id, members).await,
            "details" => self.set_reader_details(id, members).await,
            _ => Err(Fault::NotFound),
        }
    }

    pub(super) async fn import_subscribers(
        &self,
        id: &str,
        body: Incoming,
    ) -> Result<Answer, Fault> {
        let property = self.held_property_id(id)?;
        let body = read_body(body, IMPORT_LIMIT_BYTES).await?;
        let lines = import::of_json(&body)?;
        let queued = self
            .engine
            .queue_import(Some(&self.actor), property, lines)
            .await;
        Ok(accepted(&queued.map_err(fault)?))
    }

    async fn export_subscribers(&self, id: &str, mut members: Members) -> Result<Answer, Fault> {
        let property = self.held_property_id(id)?;
        let from = moment(&mut members, "from")?.unwrap_or(Timestamp::from_unix_s(0));
        let to = moment(&mut members, "to")?.unwrap_or_else(|| self.engine.now());
        members.finish()?;
        let queued = self
            .engine
            .queue_export(Some(&self.actor), property, (from, to))
            .await;
        Ok(accepted(&queued.map_err(fault)?))
    }

    /// What was imported and exported.
    pub(super) async fn all_queued(&self, id: &str, page: &mut Page) -> Result<Answer, Fault> {
        let property = self.held_property_id(id)?;
        let (after, limit) = (page.text("after").unwrap_or_default(), page.limit()?);
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move { reader.queued_after(property, &after, limit + 1).await })
        });
        let found = read.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, queued_body))
    }

    pub(super) async fn queued(&self, id: &str, queued: &str) -> Result<Answer, Fault> {
        const ERRORS_SHOWN: i64 = 100;
        let property = self.held_property_id(id)?;
        let queued = queued.to_owned();
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move {
                let errors = reader.queued_errors(&queued, ERRORS_SHOWN).await?;
                Ok((reader.queued(&queued).await?, errors))
            })
        });
        let (found, errors) = read.await.map_err(|error| fault(error.into()))?;
        let found = found.filter(|found| found.property_id == property);
        let mut shown = queued_body(&found.ok_or(Fault::NotFound)?);
        shown["errors"] = json!(errors);
        Ok(answer::json(StatusCode::OK, &shown))
    }

    async fn link_reader(&self, id: &str, mut members: Members) -> Result<Answer, Fault> {
        let property = self.held_property_id(id)?;
        let claim = LinkClaim {
            reader_id: members.parsed::<ReaderId>("reader")?,
            key: members.optional("subscriber")?,
            values: named_values(&mut members, "values")?,
        };
        members.finish()?;
        let linked = self.engine.link_reader(&self.actor, property, claim).await;
        self.linked(property, linked).await
    }

    async fn unlink_reader(&self, id: &str, mut members: Members) -> Result<Answer, Fault> {
        let property = self.held_property_id(id)?;
        let reader = members.parsed::<ReaderId>("reader")?;
        let key = members.required("subscriber")?;
        members.finish()?;
        let unlinked = self
            .engine
            .unlink_reader(&self.actor, property, &key, reader)
            .await;
        self.linked(property, unlinked).await
    }

    async fn linked(
        &self,
        property: PropertyId,
        subscriber: Result<Subscriber, wayleave_engine::Refusal>,
    ) -> Result<Answer, Fault> {
        let subscriber = subscriber.map_err(fault)?;
        let linked = self.engine.linked_users(property, &subscriber.key).await;
        let mut shown = body(&subscriber);
        shown["users"] = users(&linked.map_err(fault)?);
        Ok(answer::json(StatusCode::OK, &shown))
    }

    async fn set_reader_details(&self, id: &str, mut members: Members) -> Result<Answer, Fault> {
        let property = self.held_property_id(id)?;
        let reader = members.parsed::<ReaderId>("reader")?;
        let details = named_values(&mut members, "details")?;
        members.finish()?;
        let shown = json!({ "reader": reader.to_string(), "details": named(&details) });
        let set = self
            .engine
            .set_reader_details(&self.actor, property, reader, details)
            .await;
        set.map_err(fault)?;
        Ok(answer::json(StatusCode::OK, &shown))
    }
}

fn accepted(queued: &Queued) -> Answer {
    answer::json(StatusCode::CREATED, &queued_body(queued))
}

/// A moment in seconds since 1970.
fn moment(members: &mut Members, name: &'static str) -> Result<Option<Timestamp>, Fault> {
    let read = members.number(name, LAST_TIME_S)?;
    Ok(read.map(Timestamp::from_unix_s))
}

/// An object of texts.
fn named_values(members: &mut Members, name: &'static str) -> Result<Vec<NamedValue>, Fault> {
    let text = members.text_or_object(name)?;
    let read = text.map(|text| serde_json::from_str::<Map<String, Value>>(&text));
    let Some(Ok(object)) = read else {
        return Err(invalid(name, "must be an object of texts"));
    };
    let value = |(name_of, value): (String, Value)| match value {
        Value::String(value) => Ok(NamedValue {
            name: name_of,
            value,
        }),
        _ => Err(invalid(name, "must be an object of texts")),
    };
    object.into_iter().map(value).collect()
}

fn named(values: &[NamedValue]) -> Value {
    let members = values
        .iter()
        .map(|one| (one.name.clone(), json!(one.value)));
    Value::Object(members.collect())
}

fn groups(groups: &[GroupUntil]) -> Value {
    let shown: Vec<Value> = groups
        .iter()
        .map(|one| json!({ "group": one.group, "until": time(one.until()) }))
        .collect();
    json!(shown)
}

fn body(subscriber: &Subscriber) -> Value {
    json!({
        "id": subscriber.id.to_string(),
        "property": subscriber.property_id.to_string(),
        "key": subscriber.key,
        "most_linked": subscriber.most_linked,
        "linked": subscriber.linked,
        "validation": named(&subscriber.validation),
        "eligible": groups(&subscriber.eligible),
        "automatic": groups(&subscriber.automatic),
        "created_at": time(subscriber.created_at),
        "changed_at": time(subscriber.changed_at),
    })
}

fn users(linked: &LinkedUsers) -> Value {
    let users: Vec<Value> = linked
        .users
        .iter()
        .map(|user| {
            json!({
                "user": user.user,
                "details": named(&user.details),
                "subscriptions": groups(&user.subscriptions),
            })
        })
        .collect();
    json!(users)
}

fn queued_body(queued: &Queued) -> Value {
    json!({
        "id": queued.id,
        "shown_id": shown_id(queued),
        "property": queued.property_id.to_string(),
        "kind": queued.kind.as_str(),
        "state": queued.state.as_str(),
        "total": queued.total,
        "done": queued.done,
        "failed": queued.failed,
        "token": queued.token,
        "created_at": time(queued.created_at),
        "changed_at": time(queued.changed_at),
    })
}
