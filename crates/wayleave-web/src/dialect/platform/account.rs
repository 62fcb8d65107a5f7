//! `GET /user/account`: who the caller is.

use serde_json::json;

use super::error::other;
use super::{Call, Reply};
use crate::fault::Fault;

/// Its members stand at the top level and, for older clients, once more below `user`.
pub(super) async fn show(call: &Call<'_>) -> Result<Reply, Fault> {
    let account = call.engine.account(call.buyer.partner_id()).await;
    let account = account.map_err(other)?;
    let (partner_id, integration_id) = (
        call.buyer.partner_id(),
        call.admitted.caller().integration_id(),
    );
    let read = call.engine.store().read(move |reader| {
        Box::pin(async move {
            Ok((
                reader.partner(partner_id).await?,
                reader.integrations_of(partner_id).await?,
            ))
        })
    });
    let (partner, integrations) = read.await.map_err(|error| other(error.into()))?;
    let mut integrations = integrations.into_iter();
    let integration = integrations.find(|integration| integration.id == integration_id);
    let mut body = json!({
        "id": account.number,
        "userName": partner.map(|partner| partner.name),
        "companyId": account.number,
        "clientName": integration.map(|integration| integration.name),
        "dateCreated": account.created_at.date_time().to_string(),
    });
    body["user"] = body.clone();
    Ok(Reply::of(&body))
}
