//! Hosted instances: `GET /cloud`, `POST /cloud/upgrade/{hostingId}`,
//! `PUT /cloud/renewNow/{hostingId}`, `DELETE /cloud/deleteNow/{hostingId}/{accountName}`.

use serde_json::{Value, json};
use wayleave_core::{Catalogue, Choice};
use wayleave_engine::{Account, Customer, Instance, InstanceQuestion, OrderRefusal, read_made_of};

use super::error::{invalid, other, refused};
use super::list::{Search, page, whose};
use super::{Call, Reply, flag, number, order};
use crate::fault::Fault;

/// The instances that are there, by `search`, `companyApiRef` and `includeChildCompanies`.
pub(super) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let mut search = Search::read(&call.query)?;
    let number = search.take_number("hostingid")?;
    let name = search.take("accountname")?;
    let question = InstanceQuestion {
        whose: whose(&call.query)?,
        number,
        name: search.rest()?.or(name),
    };
    let page = page(&call.query)?;
    let listed = call.engine.list_instances(call.buyer, question, page).await;
    let listed = listed.map_err(other)?;
    let account = call.engine.account(call.buyer.partner_id()).await;
    let account = account.map_err(other)?;
    let rows = listed.rows.iter().map(|instance| {
        let customer = listed.customer(instance.customer_id);
        entity(call, instance, customer, &account)
    });
    Ok(Reply::list(rows.collect::<Result<_, _>>()?, listed.total))
}

/// An instance by its number.
pub(super) async fn show(call: &Call<'_>, instance: &str) -> Result<Reply, Fault> {
    let number = number(instance)?;
    let found = call.engine.instance(call.buyer, number).await;
    let (instance, customer) = found.map_err(refused)?;
    let account = call.engine.account(call.buyer.partner_id()).await;
    let account = account.map_err(other)?;
    let body = entity(call, &instance, customer.as_ref(), &account)?;
    Ok(Reply::of(&body))
}

/// Gives an instance another version.
pub(super) async fn upgrade(call: &Call<'_>) -> Result<Reply, Fault> {
    let number = call.number(0)?;
    let version = call.body.count("cmsVersionId")?;
    let upgraded = call
        .engine
        .upgrade_instance(call.buyer, number, version, call.claim.clone())
        .await;
    upgraded.map_err(|refusal| match refusal {
        OrderRefusal::Line(fault) => invalid("cmsVersionId", fault.why),
        refusal => refused(refusal),
    })?;
    show(call, &number.to_string()).await
}

/// Quotes one more term; the caller then processes the quotation.
pub(super) async fn renew_now(call: &Call<'_>) -> Result<Reply, Fault> {
    let (number, claim) = (call.number(0)?, call.claim.clone());
    let quoted = call.engine.quote_renewal(call.buyer, number, claim).await;
    order::answer(call, &quoted.map_err(refused)?).await
}

/// Removes an instance for good; its name in the path is the second confirmation.
pub(super) async fn delete_now(call: &Call<'_>) -> Result<Reply, Fault> {
    let number = call.number(0)?;
    let name = call.places.get(1).map_or("", String::as_str);
    let deleted = call
        .engine
        .delete_instance(
            &call.actor(),
            call.buyer,
            (number, name),
            call.claim.clone(),
        )
        .await;
    deleted.map_err(refused)?;
    Ok(Reply::nothing())
}

fn name_of(choices: &[Choice], number: u32) -> Option<&str> {
    let mut choices = choices.iter();
    let choice = choices.find(|choice| choice.number == number);
    choice.map(|choice| choice.name.as_str())
}

fn address(catalogue: &Catalogue, instance: &Instance, domain: u32) -> Option<String> {
    let domain = name_of(&catalogue.domains, domain)?;
    let label = instance.account_name.to_ascii_lowercase();
    Some(format!("https://{label}.{domain}"))
}

fn entity(
    call: &Call<'_>,
    instance: &Instance,
    customer: Option<&Customer>,
    account: &Account,
) -> Result<Value, Fault> {
    let version = call.engine.catalogue();
    let catalogue = &version.catalogue;
    let made_of = read_made_of(instance).map_err(other)?;
    let company = customer.map_or(&account.billing_name, |customer| &customer.name);
    Ok(json!({
        "hostingId": instance.number,
        "accountId": instance.number,
        "accountName": instance.account_name,
        "companyId": customer.map_or(account.number, |customer| customer.number),
        "company": company,
        "displays": instance.displays,
        "isDemo": flag(instance.is_demo),
        "isMonthly": flag(instance.is_monthly),
        "isRenew": flag(instance.renews),
        "renewalDate": instance.renewal_at.date_time().to_string(),
        "regionId": made_of.region,
        "region": name_of(&catalogue.regions, made_of.region),
        "domainId": made_of.domain,
        "domain": name_of(&catalogue.domains, made_of.domain),
        "themeId": made_of.theme,
        "theme": name_of(&catalogue.themes, made_of.theme),
        "cmsVersionId": made_of.version,
        "cmsVersion": name_of(&catalogue.instance_versions, made_of.version),
        "url": address(catalogue, instance, made_of.domain),
        "status": if instance.is_demo { "Demo" } else { "Active" },
        "createdDate": instance.created_at.date_time().to_string(),
    }))
}
