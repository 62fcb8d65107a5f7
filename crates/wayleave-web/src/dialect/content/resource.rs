//! `/api/Property/{accessKey}/Resource` and what is below it.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{PricingTier, Resource, ResourceId, ResourceUpdate};
use wayleave_engine::{Engine, HeldProperty, ResourceRefusal};
use wayleave_protocol::http_date::format_rfc3339;

use super::listing::{NextRows, Rows};
use super::members::{Members, bad};
use super::property::{body as property_body, pricing_group, put_pricing};
use super::{Call, Reply, dollars, failed, refused, shape};
use crate::fault::Fault;

/// How many resources of a list are read at once.
const PAGE: i64 = 200;
/// What clients take to mean that a page is not managed.
const NOT_MANAGED: &str = "there is no resource of this key: PUT makes one";

pub(super) async fn show(call: &Call<'_>) -> Result<Reply, Fault> {
    let found = call.engine.resource(call.property.id, &call.place).await;
    let resource = found.map_err(failed)?.ok_or_else(not_found)?;
    let mut shown = body(&call.property, &resource);
    if call.asks_for("includePropertyData") {
        shown["Property"] = property_body(&call.property);
    }
    Ok(Reply::of(&shape::RESOURCE, shown))
}

/// Every page, in the order in which they were made.
pub(super) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let (engine, property) = (call.engine.clone(), call.property.clone());
    let first = page(engine, property, None).await;
    let first = first.map_err(failed)?;
    Ok(Reply::list(&shape::RESOURCES, first))
}

/// Reads the page of resources after one, and begins to read the next when it is asked for.
fn page(engine: Arc<Engine>, property: Arc<HeldProperty>, after: Option<ResourceId>) -> NextRows {
    Box::pin(async move {
        let found = engine.resources_after(property.id, after, PAGE).await?;
        let rows = found.iter().map(|resource| body(&property, resource));
        let rows = rows.collect();
        let last = found.last().filter(|_| found.len() as i64 == PAGE);
        let last = last.map(|resource| resource.id);
        Ok(Rows {
            rows,
            then: last.map(|last| page(engine, property, Some(last))),
        })
    })
}

pub(super) async fn put(call: &Call<'_>) -> Result<Reply, Fault> {
    let update = update(Members::of_body(call.body(&shape::RESOURCE)?.as_ref())?)?;
    let property = &call.property;
    let put = call.engine.put_resource(property, &call.place, update);
    let resource = put.await.map_err(fault)?;
    Ok(Reply::of(&shape::RESOURCE, body(property, &resource)))
}

/// Answers with the resource as it was.
pub(super) async fn remove(call: &Call<'_>) -> Result<Reply, Fault> {
    let property = &call.property;
    let removed = call.engine.remove_resource(property.id, &call.place);
    let resource = removed.await.map_err(fault)?;
    Ok(Reply::of(&shape::RESOURCE, body(property, &resource)))
}

fn not_found() -> Fault {
    refused(StatusCode::NOT_FOUND, NOT_MANAGED)
}

fn fault(refusal: ResourceRefusal) -> Fault {
    match refusal {
        ResourceRefusal::NotFound => not_found(),
        ResourceRefusal::Invalid(error) => Fault::BadRequest(error.to_string()),
        ResourceRefusal::Store(error) => failed(error),
    }
}

/// A page as clients see it.
pub(super) fn body(property: &HeldProperty, resource: &Resource) -> Value {
    let settings = &property.settings;
    let published = format_rfc3339(resource.published_at.unix_s());
    let mut body = json!({
        "Name": resource.name,
        "ExternalKey": resource.key,
        "Active": resource.active,
        "URL": resource.url,
        "Title": resource.title,
        "Byline": resource.byline,
        "Description": resource.description,
        // As clients know it: in UTC, without saying so.
        "PublicationDate": published.trim_end_matches('Z'),
    });
    if let Some(group) = settings.group_of(resource) {
        body["PricingGroup"] = pricing_group(group);
    }
    put_pricing(&mut body, &resource.pricing);
    body["ResourcePricingTiers"] = resource.pricing.tiers.iter().map(tier).collect();
    body["PaywallDescription"] = json!(resource.paywall_description);
    body["PaywallShortDescription"] = json!(resource.paywall_short_description);
    body["Property"] = Value::Null;
    body
}

fn tier(tier: &PricingTier) -> Value {
    json!({ "Tier": tier.from, "Price": dollars(tier.price_minor) })
}

/// What a body asks to be changed. The key is the one in the path, whatever the body says.
fn update(mut members: Members) -> Result<ResourceUpdate, Fault> {
    let group = match members.object("PricingGroup")? {
        Some(mut group) => Some(group.text("PricingGroupID")?.unwrap_or_default()),
        None => None,
    };
    Ok(ResourceUpdate {
        name: members.text("Name")?,
        active: members.flag("Active")?,
        url: members.text("URL")?,
        title: members.text("Title")?,
        byline: members.text("Byline")?,
        description: members.text("Description")?,
        published_at: members.moment("PublicationDate")?,
        pricing_group: group,
        model: members.word("PricingModel")?,
        price_minor: members.decimal("Price", 2)?,
        expiration_unit: members.word("ExpirationPeriodUnit")?,
        expiration_value: members.count("ExpirationPeriodValue")?,
        target_rate_basis_points: rate(&mut members)?,
        target_floor_minor: members.decimal("TargetConversionPriceFloor", 2)?,
        target_views_per_period: members.count("TargetConversionHitsPerRecalculationPeriod")?,
        tiers: tiers(&mut members)?,
        paywall_description: members.text("PaywallDescription")?,
        paywall_short_description: members.text("PaywallShortDescription")?,
    })
}

fn rate(members: &mut Members) -> Result<Option<u32>, Fault> {
    let name = "TargetConversionRate";
    let rate = members.decimal(name, 4)?.map(u32::try_from).transpose();
    rate.map_err(|_| bad(name, "must be from 0 to 1"))
}

fn tiers(members: &mut Members) -> Result<Option<Vec<PricingTier>>, Fault> {
    let Some(tiers) = members.objects("ResourcePricingTiers")? else {
        return Ok(None);
    };
    let read = |mut tier: Members| {
        let missing = |name| move || bad(name, "is missing in a tier");
        Ok(PricingTier {
            from: tier.count("Tier")?.ok_or_else(missing("Tier"))?,
            price_minor: tier.decimal("Price", 2)?.ok_or_else(missing("Price"))?,
        })
    };
    tiers
        .into_iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}
