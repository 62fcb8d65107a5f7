//! `GET /api/Property/{accessKey}`.

use serde_json::{Value, json};
use wayleave_core::{PricingGroup, ResourcePricing, SubscriptionGroup};
use wayleave_engine::HeldProperty;

use super::{Call, Reply, dollars, fraction, shape};
use crate::fault::Fault;

pub(super) async fn show(call: &Call<'_>) -> Result<Reply, Fault> {
    Ok(Reply::of(&shape::PROPERTY, body(&call.property)))
}

/// A property as clients see it.
pub(super) fn body(property: &HeldProperty) -> Value {
    let settings = &property.settings;
    let subscriptions = settings.subscription_groups.iter().map(subscription_group);
    let pricing = settings.pricing_groups.iter().map(pricing_group);
    json!({
        "Name": property.name,
        "Title": property.title(),
        "DynamicallyCreateResources": settings.dynamic_creation,
        "EnableQuota": settings.quota.enabled,
        "EnableSubscriptions": settings.subscriptions,
        "EnableSinglePurchases": settings.single_purchases,
        "AlwaysRequireAuthentication": settings.always_require_authentication,
        "FreeResourcesRequireAuthentication": settings.free_resources_require_authentication,
        "Quota": settings.quota.allowed,
        "QuotaPeriod": settings.quota.period,
        "SubscriptionGroups": subscriptions.collect::<Vec<_>>(),
        "PricingGroups": pricing.collect::<Vec<_>>(),
    })
}

fn subscription_group(group: &SubscriptionGroup) -> Value {
    json!({
        "SubscriptionGroupID": group.id,
        "Name": group.name,
        "Title": group.title,
        "Price": dollars(group.price_minor),
        "Period": group.period,
        "PaywallDescription": group.description,
        "PaywallShortDescription": group.short_description,
    })
}

/// A pricing group as clients see it.
pub(super) fn pricing_group(group: &PricingGroup) -> Value {
    let mut body = json!({
        "PricingGroupID": group.id,
        "Name": group.name,
        "IsDefault": group.default,
    });
    put_pricing(&mut body, &group.pricing);
    body
}

/// Adds what something costs, without its tiers.
pub(super) fn put_pricing(body: &mut Value, pricing: &ResourcePricing) {
    let target = &pricing.target;
    body["PricingModel"] = json!(pricing.model);
    body["Price"] = dollars(pricing.price_minor);
    body["ExpirationPeriodUnit"] = json!(pricing.expiration.unit);
    body["ExpirationPeriodValue"] = json!(pricing.expiration.value);
    body["TargetConversionRate"] = fraction(target.rate_basis_points);
    body["TargetConversionPriceFloor"] = dollars(target.floor_minor);
    body["TargetConversionHitsPerRecalculationPeriod"] = json!(target.views_per_period);
}
