//! `PUT /api/Property/{accessKey}/ExternalSubscriber/{subscriberKey}` and the readers linked to it.

use serde_json::{Value, json};
use wayleave_core::{GroupUntil, LinkedUser, LinkedUsers, NamedValue, SubscriberUpdate, Timestamp};
use wayleave_engine::{Refusal, Subscriber};
use wayleave_protocol::iso8601;

use super::members::{Members, bad};
use super::{Call, Reply, failed, shape};
use crate::fault::Fault;

/// Adds or changes a subscriber.
pub(super) async fn put(call: &Call<'_>) -> Result<Reply, Fault> {
    let body = call.body(&shape::SUBSCRIBER)?;
    let mut members = Members::of_body(body.as_ref())?;
    let update = read_update(&mut members)?;
    let put = call
        .engine
        .put_subscriber(call.property.id, &call.place, update)
        .await;
    let put = put.map_err(refused)?;
    Ok(Reply::of(&shape::SUBSCRIBER, subscriber_body(&put)))
}

/// The readers that are linked to a subscriber.
pub(super) async fn linked_users(call: &Call<'_>) -> Result<Reply, Fault> {
    let linked = call
        .engine
        .linked_users(call.property.id, &call.place)
        .await;
    let linked = linked.map_err(refused)?;
    Ok(Reply::of(&shape::LINKED_USERS, linked_body(&linked)))
}

/// What is to be known of a subscriber; its key is elsewhere.
pub(super) fn read_update(members: &mut Members) -> Result<SubscriberUpdate, Fault> {
    Ok(SubscriberUpdate {
        most_linked: members.count("MaximumLinkedUsers")?.map(i64::from),
        validation: read_each(members, "ValidationFields", read_field)?,
        eligible: read_each(members, "EligibleSubscriptions", |members| {
            read_group(members, "EligibilityEndDate")
        })?,
        automatic: read_each(members, "AutomaticSubscriptions", |members| {
            read_group(members, "ExpirationDate")
        })?,
    })
}

fn read_each<T>(
    members: &mut Members,
    name: &'static str,
    read: impl Fn(&mut Members) -> Result<T, Fault>,
) -> Result<Option<Vec<T>>, Fault> {
    let Some(mut objects) = members.objects(name)? else {
        return Ok(None);
    };
    objects
        .iter_mut()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn read_field(members: &mut Members) -> Result<NamedValue, Fault> {
    Ok(NamedValue {
        name: required(members.text("Name")?, "Name")?,
        value: required(members.text("Value")?, "Value")?,
    })
}

fn read_group(members: &mut Members, until: &'static str) -> Result<GroupUntil, Fault> {
    let key = required(
        members.text("SubscriptionGroupKey")?,
        "SubscriptionGroupKey",
    )?;
    let until = required(members.moment(until)?, until)?;
    Ok(GroupUntil::new(key, until))
}

/// A member that has to be there.
pub(super) fn required<T>(read: Option<T>, name: &str) -> Result<T, Fault> {
    read.ok_or_else(|| bad(name, "is missing"))
}

fn subscriber_body(subscriber: &Subscriber) -> Value {
    json!({
        "SubscriberKey": subscriber.key,
        "MaximumLinkedUsers": subscriber.most_linked,
        "ValidationFields": named(&subscriber.validation),
        "EligibleSubscriptions": groups(&subscriber.eligible, "SubscriptionGroupKey", "EligibilityEndDate"),
        "AutomaticSubscriptions": groups(&subscriber.automatic, "SubscriptionGroupKey", "ExpirationDate"),
    })
}

/// A subscriber with its readers.
pub(super) fn linked_body(linked: &LinkedUsers) -> Value {
    let users: Vec<Value> = linked.users.iter().map(user).collect();
    json!({ "SubscriberKey": linked.subscriber_key, "Users": users })
}

fn user(user: &LinkedUser) -> Value {
    json!({
        "ApplicationUserID": user.user,
        "DemographicFields": named(&user.details),
        "Subscriptions": groups(&user.subscriptions, "SubscriptionKey", "ExpirationDate"),
    })
}

/// Names with their values.
pub(super) fn named(values: &[NamedValue]) -> Value {
    let shown: Vec<Value> = values
        .iter()
        .map(|one| json!({ "Name": one.name, "Value": one.value }))
        .collect();
    json!(shown)
}

fn groups(groups: &[GroupUntil], key: &str, until: &str) -> Value {
    let shown: Vec<Value> = groups
        .iter()
        .map(|one| json!({ key: one.group, until: moment(one.until()) }))
        .collect();
    json!(shown)
}

/// A moment as clients read it.
pub(super) fn moment(at: Timestamp) -> Value {
    json!(iso8601::format_extended_ms(at.micros().div_euclid(1000)))
}

/// A refusal in the words of the address.
pub(super) fn refused(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Invalid { field, why } => bad(field, &why),
        Refusal::NotFound { .. } => Fault::NotFound,
        Refusal::Forbidden { why } => Fault::BadRequest(why.to_owned()),
        Refusal::TooManyGuesses { retry_after_s } => Fault::TooManyGuesses { retry_after_s },
        Refusal::Store(error) => failed(error),
        other => Fault::Internal {
            cause: other.to_string(),
        },
    }
}
