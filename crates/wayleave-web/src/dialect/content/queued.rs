//! Imports and exports that are answered at once and done later.

use serde_json::{Value, json};
use wayleave_engine::{ExportRequest, FulfilmentRequest, Queued, shown_id};

use super::members::Members;
use super::subscriber::{moment, refused, required};
use super::{Call, Reply, failed, import, shape};
use crate::fault::Fault;

/// The status of what was accepted just now.
const QUEUED: &str = "Queued";

/// `POST /api/Property/{accessKey}/ExternalSubscriberImport`.
pub(super) async fn import(call: &Call<'_>) -> Result<Reply, Fault> {
    let lines = import::of_body(call.headers, &call.body)?;
    let queued = call.engine.queue_import(None, call.property.id, lines);
    let queued = queued.await.map_err(refused)?;
    Ok(Reply::of(&shape::SUBSCRIBER_IMPORT, accepted(&queued)))
}

/// `POST /api/Property/{accessKey}/ExternalSubscriberExport`.
pub(super) async fn export(call: &Call<'_>) -> Result<Reply, Fault> {
    let body = call.body(&shape::SUBSCRIBER_EXPORT)?;
    let mut members = Members::of_body(body.as_ref())?;
    let from = required(members.moment("StartDate")?, "StartDate")?;
    let to = required(members.moment("EndDate")?, "EndDate")?;
    let queued = call
        .engine
        .queue_export(None, call.property.id, (from, to))
        .await;
    let queued = queued.map_err(refused)?;
    let (from, to) = ExportRequest::of(&queued).map_err(failed)?.window();
    let mut body = accepted(&queued);
    body["StartDate"] = moment(from);
    body["EndDate"] = moment(to);
    Ok(Reply::of(&shape::SUBSCRIBER_EXPORT, body))
}

/// `POST /api/Property/{accessKey}/ExternalFulfillmentSubscriptionExport`.
pub(super) async fn fulfilment_export(call: &Call<'_>) -> Result<Reply, Fault> {
    let body = call.body(&shape::FULFILLMENT_EXPORT)?;
    let mut members = Members::of_body(body.as_ref())?;
    let group = required(members.text("SubscriptionGroupID")?, "SubscriptionGroupID")?;
    let as_of = required(members.moment("AsOfDate")?, "AsOfDate")?;
    let email = members.text("NotificationEmailAddress")?;
    let queued = call
        .engine
        .queue_fulfilment_export(None, call.property.id, &group, as_of, email)
        .await;
    let queued = queued.map_err(refused)?;
    let request = FulfilmentRequest::of(&queued).map_err(failed)?;
    let mut body = accepted(&queued);
    body["NotificationEmailAddress"] = json!(request.email);
    body["SubscriptionGroupID"] = json!(request.group_id);
    body["AsOfDate"] = moment(request.as_of());
    body["Data"] = Value::Null;
    Ok(Reply::of(&shape::FULFILLMENT_EXPORT, body))
}

fn accepted(queued: &Queued) -> Value {
    json!({ "ID": shown_id(queued), "NotificationEmailAddress": null, "Status": QUEUED })
}
