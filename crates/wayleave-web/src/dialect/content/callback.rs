//! `GET /api/Property/{accessKey}/CallbackResult/{token}`.

use serde_json::{Value, json};
use wayleave_core::{Fulfilment, ImportOutcome};
use wayleave_engine::{CallbackKind, CallbackResult, ResultPiece};

use super::listing::{NextRows, Rows};
use super::shape;
use super::subscriber::{linked_body, moment, named, refused};
use super::{Call, Reply, failed};
use crate::fault::Fault;

/// The result of an event; that of an export is read while it is being sent.
pub(super) async fn result(call: &Call<'_>) -> Result<Reply, Fault> {
    let found = call
        .engine
        .callback_result(call.property.id, &call.place)
        .await;
    let result = found.map_err(refused)?.ok_or(Fault::NotFound)?;
    let kind = result.kind;
    let mut first = page(result).await.map_err(failed)?;
    let shape = match kind {
        CallbackKind::Exported => return Ok(Reply::list(&shape::EXPORTED_SUBSCRIBERS, first)),
        CallbackKind::FulfilmentExported => return Ok(Reply::list(&shape::FULFILLMENTS, first)),
        CallbackKind::SubscriberLinked | CallbackKind::EligiblePurchased => &shape::LINKED_USERS,
        CallbackKind::Imported => &shape::IMPORT_RESULT,
        CallbackKind::FulfilmentPurchased => &shape::FULFILLMENT,
    };
    let only = first.rows.pop().ok_or(Fault::NotFound)?;
    Ok(Reply::of(shape, only))
}

/// Reads a piece, and begins to read the next when it is asked for.
fn page(mut result: CallbackResult) -> NextRows {
    Box::pin(async move {
        let Some(piece) = result.next().await? else {
            return Ok(Rows {
                rows: Vec::new(),
                then: None,
            });
        };
        Ok(Rows {
            rows: rows(piece),
            then: Some(page(result)),
        })
    })
}

fn rows(piece: ResultPiece) -> Vec<Value> {
    match piece {
        ResultPiece::Linked(linked) => vec![linked_body(&linked)],
        ResultPiece::Imported(outcome) => vec![import_body(&outcome)],
        ResultPiece::Fulfilment(one) => vec![fulfilment(&one)],
        ResultPiece::SomeLinked(some) => some.iter().map(linked_body).collect(),
        ResultPiece::SomeFulfilments(some) => some.iter().map(fulfilment).collect(),
    }
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
