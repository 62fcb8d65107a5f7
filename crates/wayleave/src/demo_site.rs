//! The content site of the demonstration's partner: what its pages cost, and some pages.

use std::sync::Arc;

use serde_json::json;
use wayleave_core::{
    ExpirationUnit, OriginSet, PartnerId, PricingModel, PricingTier, PropertyId, ResourceUpdate,
};
use wayleave_engine::{Actor, Engine, HeldProperty, NewSettings, Refusal, ResourceRefusal};

const NAME: &str = "harbour-daily";
const ORIGIN: &str = "https://www.example.com";

/// Why the demonstration has no site.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    /// The store, or a rule.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// A page that was not made.
    #[error("a page of the demonstration: {0}")]
    Page(#[from] ResourceRefusal),
}

/// The site of the partner; makes it, with its settings and pages, where it has none.
pub(crate) async fn site(engine: &Engine, partner: PartnerId) -> Result<PropertyId, SiteError> {
    let by = Actor::system();
    let read = engine
        .store()
        .read(move |reader| Box::pin(reader.properties_after(Some(partner), None, 1)));
    let known = read.await.map_err(Refusal::Store)?;
    let id = match known.first() {
        Some(property) => property.id,
        None => {
            let origins: OriginSet = ORIGIN.parse().unwrap_or_default();
            let made = engine.create_property(&by, partner, NAME, origins);
            made.await?.id
        }
    };
    if known
        .first()
        .is_none_or(|known| known.settings_version == 0)
    {
        let new = NewSettings::Whole(settings());
        engine.put_settings(&by, id, new).await?;
        if let Some(property) = engine.held_property(id) {
            add_pages(engine, &property).await?;
        }
    }
    Ok(id)
}

fn settings() -> serde_json::Value {
    json!({
        "title": "The Harbour Daily",
        "quota": { "enabled": true, "allowed": 5, "period": "Monthly" },
        "subscriptions": true,
        "single_purchases": true,
        "dynamic_creation": false,
        "pricing_groups": [{
            "name": "Standard",
            "default": true,
            "pricing": {
                "model": "FixedPrice",
                "price_minor": 35,
                "expiration": { "unit": "Days", "value": 30 },
            },
        }],
        "subscription_groups": [{
            "name": "all-access",
            "title": "All access",
            "price_minor": 750,
            "period": "Monthly",
            "description": "Everything, every day",
            "short_description": "All access",
        }],
    })
}

async fn add_pages(engine: &Engine, property: &Arc<HeldProperty>) -> Result<(), ResourceRefusal> {
    for (key, update) in pages() {
        engine.put_resource(property, key, update).await?;
    }
    Ok(())
}

/// The keys of the pages that the site began with.
pub(crate) fn page_keys() -> Vec<String> {
    pages().iter().map(|(key, _)| (*key).to_owned()).collect()
}

/// One page of each pricing model, and enough of a fixed price to use up the quota.
fn pages() -> Vec<(&'static str, ResourceUpdate)> {
    let tier = |from, price_minor| PricingTier { from, price_minor };
    let tiers = vec![tier(0, 60), tier(1_440, 25), tier(10_080, 0)];
    let priced = |name: &str, key: &str, model| ResourceUpdate {
        name: Some(name.to_owned()),
        title: Some(name.to_owned()),
        url: Some(format!("{ORIGIN}/{key}")),
        model: Some(model),
        price_minor: Some(35),
        ..ResourceUpdate::default()
    };
    let page = |key: &'static str, name: &str, model| (key, priced(name, key, model));
    let tiered = |key: &'static str, name: &str, model| {
        let tiers = Some(tiers.clone());
        (
            key,
            ResourceUpdate {
                tiers,
                ..priced(name, key, model)
            },
        )
    };
    vec![
        page("1", "Harbour report", PricingModel::Inherit),
        page("Story-1", "Tide tables", PricingModel::Inherit),
        page("Story-2", "Lights of the coast", PricingModel::Inherit),
        page("Story-3", "The last ferry", PricingModel::Inherit),
        page("Story-4", "Nets and knots", PricingModel::Inherit),
        page("Story-5", "A winter at sea", PricingModel::Inherit),
        (
            "fixed-price",
            ResourceUpdate {
                price_minor: Some(50),
                expiration_unit: Some(ExpirationUnit::Weeks),
                expiration_value: Some(1),
                ..priced("Charts for spring", "fixed-price", PricingModel::FixedPrice)
            },
        ),
        page("free", "Opening hours", PricingModel::Free),
        page("sign-in", "Letters", PricingModel::AuthenticationRequired),
        page(
            "variable-price",
            "Pay what you want",
            PricingModel::VariablePrice,
        ),
        tiered("by-age", "Yesterday's news", PricingModel::TimeTiered),
        tiered("by-views", "Read by many", PricingModel::ViewTiered),
        page(
            "subscribers",
            "For subscribers",
            PricingModel::SubscriptionOnly,
        ),
        (
            "target-conversion",
            ResourceUpdate {
                target_rate_basis_points: Some(2_000),
                target_floor_minor: Some(10),
                target_views_per_period: Some(100),
                ..priced(
                    "A price that moves",
                    "target-conversion",
                    PricingModel::TargetConversion,
                )
            },
        ),
    ]
}
