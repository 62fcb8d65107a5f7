//! Pools of licences and their devices: `GET /android`, `GET /android/devices/{versionId}`,
//! `DELETE /android/devices/{versionId}/{licenceId}`.

use serde_json::{Value, json};
use wayleave_engine::{Account, Customer, Device, PoolQuestion, PoolVersion};

use super::error::{other, refused};
use super::list::{Search, page, whose};
use super::{Call, Reply, flag};
use crate::fault::Fault;

/// One row for each pool and version, by `search`, `companyApiRef` and `includeChildCompanies`.
pub(super) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let mut search = Search::read(&call.query)?;
    let version_number = search.take_number("versionid")?;
    let version = search.take("version")?;
    let email = search.take("email")?;
    let question = PoolQuestion {
        whose: whose(&call.query)?,
        version_number,
        email: search.rest()?.or(email),
        version,
    };
    let page = page(&call.query)?;
    let listed = call.engine.list_pools(call.buyer, question, page).await;
    let listed = listed.map_err(other)?;
    let account = call.engine.account(call.buyer.partner_id()).await;
    let account = account.map_err(other)?;
    let catalogue = call.engine.catalogue();
    let newest = catalogue.catalogue.licence_versions.last();
    let newest = newest.map(|newest| newest.name.as_str());
    let rows = listed.rows.iter().map(|row| {
        let customer = listed.customer(row.pool.customer_id);
        entity(row, customer, &account, newest)
    });
    Ok(Reply::list(rows.collect(), listed.total))
}

/// The devices that use licences of a pool for one version.
pub(super) async fn devices(call: &Call<'_>) -> Result<Reply, Fault> {
    let (number, page) = (call.number(0)?, page(&call.query)?);
    let listed = call.engine.list_devices(call.buyer, number, page).await;
    let (row, devices) = listed.map_err(refused)?;
    let rows = devices.iter().map(|device| device_entity(device, &row));
    Ok(Reply::list(rows.collect(), row.devices))
}

/// Frees the licence of a device.
pub(super) async fn remove_device(call: &Call<'_>) -> Result<Reply, Fault> {
    let which = (call.number(0)?, call.number(1)?);
    let removed = call
        .engine
        .remove_device(&call.actor(), call.buyer, which, call.claim.clone())
        .await;
    removed.map_err(refused)?;
    Ok(Reply::nothing())
}

/// Licences are bought once: they are neither rented nor renewed.
fn entity(
    row: &PoolVersion,
    customer: Option<&Customer>,
    account: &Account,
    newest: Option<&str>,
) -> Value {
    let pool = &row.pool;
    let upgradable = row.licences > 0 && newest.is_some_and(|newest| newest != row.version);
    json!({
        "uid": format!("{}_{}", pool.number, row.number),
        "companyId": customer.map_or(account.number, |customer| customer.number),
        "company": customer.map_or(&account.billing_name, |customer| &customer.name),
        "androidId": pool.number,
        "versionId": row.number,
        "email": pool.email,
        "version": row.version,
        "numberOfLicences": row.licences,
        "numberOfUpgrades": row.upgrades,
        "numberOfPlayers": row.devices,
        "numberOfRenewals": 0,
        "onPremise": 0,
        "renewalDate": 0,
        "isRenew": 0,
        "isMonthly": 0,
        "lastPing": row.seen_at.map(|at| at.date_time().to_string()),
        "upgradesAvailable": upgradable,
    })
}

fn device_entity(device: &Device, row: &PoolVersion) -> Value {
    json!({
        "licenceId": device.number,
        "uid": device.hardware,
        "pingDate": device.seen_at.map(|at| at.date_time().to_string()),
        "blocked": flag(device.is_blocked),
        "versionCode": device.version_code,
        "versionId": row.number,
        "name": device.name,
        "model": device.model,
        "manufacturer": device.manufacturer,
        "version": row.version,
        "isRental": flag(device.is_rental),
    })
}
