//! `GET /api/Property/{accessKey}/CallbackResult/{token}`.

use serde_json::{Value, json};
use wayleave_core::{Fulfilment, ImportOutcome};
use wayleave_engine::{CallbackKind, CallbackResult, ResultPiece};

use super::shape::{self, Shape};
use super::subscriber::{linked_body, moment, named, refused};
use super::{Call, Reply, failed};
use crate::fault::Fault;

/// The result of an event.
pub(super) async fn result(call: &Call<'_>) -> Result<Reply, Fault> {
    let found = call
        .engine
        .callback_result(call.property.id, &call.place)
        .await;
    let mut result = found.map_err(refused)?.ok_or(Fault::NotFound)?;
    let bodies = bodies(&mut result).await?;
    let shape = match result.kind {
        CallbackKind::Exported => return Ok(all(&shape::EXPORTED_SUBSCRIBERS, bodies)),
        CallbackKind::FulfilmentExported => return Ok(all(&shape::FULFILLMENTS, bodies)),
        CallbackKind::SubscriberLinked | CallbackKind::EligiblePurchased => &shape::LINKED_USERS,
        CallbackKind::Imported => &shape::IMPORT_RESULT,
        CallbackKind::FulfilmentPurchased => &shape::FULFILLMENT,
    };
    let only = bodies.into_iter().next().ok_or(Fault::NotFound)?;
    Ok(Reply::of(shape, only))
}

fn all(shape: &'static Shape, bodies: Vec<Value>) -> Reply {
    Reply::of(shape, Value::Array(bodies))
}

async fn bodies(result: &mut CallbackResult) -> Result<Vec<Value>, Fault> {
    let mut bodies = Vec::new();
    while let Some(piece) = result.next().await.map_err(failed)? {
        match piece {
            ResultPiece::Linked(linked) => bodies.push(linked_body(&linked)),
            ResultPiece::Imported(outcome) => bodies.push(import_body(&outcome)),
            ResultPiece::Fulfilment(one) => bodies.push(fulfilment(&one)),
            ResultPiece::SomeLinked(some) => bodies.extend(some.iter().map(linked_body)),
            ResultPiece::SomeFulfilments(some) => bodies.extend(some.iter().map(fulfilment)),
        }
    }
    Ok(bodies)
}

fn import_body(outcome: &ImportOutcome) -> Value {
    let status = match outcome.failed {
        0 => "Completed successfully",
        _ => "Completed with errors",
    };
    json!({
        "Status": status,
        "Errors": outcome.errors,
        "SuccessCount": outcome.succeeded,
        "FailureCount": outcome.failed,
    })
}

fn fulfilment(one: &Fulfilment) -> Value {
    json!({
        "SubscriptionID": one.subscription,
        "ApplicationUserID": one.user,
        "Subscription": {
            "SubscriptionKey": one.until.group,
            "ExpirationDate": moment(one.until.until()),
            "DemographicFields": null,
        },
        "DemographicFields": named(&one.details),
    })
}
