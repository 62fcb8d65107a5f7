//! `/user/credentials`: keys that a partner makes for one of its customers, and that see nothing of the
//! others. An addition to the published contract.

use serde_json::{Value, json};
use wayleave_core::ScopeSet;
use wayleave_engine::{Credential, Customer, Delegation};

use super::error::{invalid, other};
use super::{Call, Reply, list};
use crate::fault::Fault;

/// Makes one. Its secret is in this answer and in no other.
pub(super) async fn create(call: &Call<'_>) -> Result<Reply, Fault> {
    let customer = customer(call).await?;
    let delegation = Delegation {
        customer: customer.id,
        name: call.body.text("name")?.unwrap_or_default(),
        scopes: scopes(call)?,
    };
    let (by, claim) = (call.actor(), call.claim.clone());
    let made = call.engine.delegate(&by, call.admitted, delegation, claim);
    let made = made.await.map_err(other)?;
    let mut body = entity(&made.credential.credential, Some(&customer));
    body["clientSecret"] = json!(made.secret.as_ref().map(|secret| secret.expose()));
    Ok(Reply {
        is_secret: true,
        ..Reply::of(&body)
    })
}

/// One that was made before, without its secret.
pub(super) async fn show(call: &Call<'_>, public_id: &str) -> Result<Reply, Fault> {
    let found = call.engine.delegated_one(call.admitted, public_id).await;
    let (credential, customer) = found.map_err(other)?;
    Ok(Reply::of(&entity(&credential, Some(&customer))))
}

/// Those that were not ended.
pub(super) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let page = list::page(&call.query)?;
    let listed = call.engine.delegated(call.admitted, page).await;
    let listed = listed.map_err(other)?;
    let rows = listed.rows.iter().map(|credential| {
        let customer = listed.customer(credential.customer_id);
        entity(credential, customer)
    });
    Ok(Reply::list(rows.collect(), listed.total))
}

/// Ends one, and its tokens, from the next request on.
pub(super) async fn revoke(call: &Call<'_>) -> Result<Reply, Fault> {
    let public_id = call.places.first().map_or("", String::as_str);
    let (by, claim) = (call.actor(), call.claim.clone());
    let revoked = call
        .engine
        .revoke_delegated(&by, call.admitted, public_id, claim);
    revoked.await.map_err(other)?;
    Ok(Reply::nothing())
}

/// The customer that is named by `companyId` or `apiRef`.
async fn customer(call: &Call<'_>) -> Result<Customer, Fault> {
    let partner_id = call.buyer.partner_id();
    let (number, reference) = (call.body.number("companyId")?, call.body.text("apiRef")?);
    let property = match (number, &reference) {
        (Some(_), None) => "companyId",
        (None, Some(_)) => "apiRef",
        _ => {
            return Err(invalid(
                "companyId",
                "name a customer by companyId or by apiRef",
            ));
        }
    };
    let read = call.engine.store().read(move |reader| {
        Box::pin(async move {
            match (number, reference) {
                (Some(number), _) => reader.customer_of_number(partner_id, number).await,
                (None, Some(reference)) => {
                    reader.customer_of_reference(partner_id, &reference).await
                }
                (None, None) => Ok(None),
            }
        })
    });
    let found = read.await.map_err(|error| other(error.into()))?;
    found.ok_or_else(|| invalid(property, "there is no such customer"))
}

fn scopes(call: &Call<'_>) -> Result<ScopeSet, Fault> {
    let text = call.body.text("scopes")?.unwrap_or_default();
    text.parse()
        .map_err(|error| invalid("scopes", format!("{error}")))
}

fn entity(credential: &Credential, customer: Option<&Customer>) -> Value {
    json!({
        "clientId": credential.public_id.as_str(),
        "name": credential.name,
        "companyId": customer.map(|customer| customer.number),
        "company": customer.map(|customer| &customer.name),
        "apiRef": customer.map(|customer| &customer.reference),
        "scopes": credential.scopes.to_string(),
        "dateCreated": credential.created_at.date_time().to_string(),
    })
}
