//! A node whose memory knows readers with very many pages, for the access API to be asked.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use wayleave_core::{
    Audience, Environment, OriginSet, PropertyId, PropertySettings, ResourceUpdate,
};
use wayleave_engine::{Actor, Engine, NewCredential, Operators, StoreRuntime};

use super::{Failure, open_answering, waiting};

/// How many pages the property has.
const PAGES: usize = 1_000;
/// How many of them each reader has seen.
const SEEN: usize = 10;
/// How long it takes at most until a node follows the change feed.
const FOLLOWED: Duration = Duration::from_secs(2);

/// Fills memory with so many pairs of readers and pages and serves; writes to FOLDER/access.json which
/// key set asks, and samples of what is asked for: a page that was seen, and the reader's token.
pub(crate) fn serve(
    folder: &Path,
    pairs: usize,
    samples: usize,
    database: &str,
) -> Result<Value, Failure> {
    let node = open_answering(folder, database, &StoreRuntime::start()?)?;
    let engine = node.engine(Environment::Test).clone();
    let address = node.address(Environment::Test);
    let asked = waiting()?.block_on(async {
        let (property, key) = property(&engine).await?;
        let pages = pages(&engine, property).await?;
        let readers = (pairs / SEEN).max(1);
        let every = (readers / samples).max(1);
        let mut samples = Vec::new();
        for number in 0..readers {
            let seen: Vec<usize> = (0..SEEN)
                .map(|step| (number * 7 + step * 31) % PAGES)
                .collect();
            let ids: Vec<_> = seen.iter().map(|page| pages[*page]).collect();
            let token = engine.fill_reader(property, &ids)?;
            if number % every == 0 {
                samples
                    .push(json!({ "page": format!("P{}", seen[number % SEEN]), "token": token }));
            }
        }
        Ok::<Value, Failure>(json!({ "id": key.0, "secret": key.1, "asked": samples }))
    })?;
    fs::write(folder.join("access.json"), asked.to_string())?;
    // It serves until the process ends.
    std::mem::forget(node.start(Operators::new(Vec::new()), Vec::new())?);
    Ok(json!({ "address": address.to_string() }))
}

/// A property with a quota that is never used up, and an Access key set of it.
async fn property(engine: &Engine) -> Result<(PropertyId, (String, String)), Failure> {
    let by = Actor::system();
    let partner = engine.create_partner(&by, "Benchmark").await?.id;
    let origins = OriginSet::default();
    let property = engine.create_property(&by, partner, "Benchmark", origins);
    let property = property.await?.id;
    let mut settings = PropertySettings::first(property);
    settings.quota.enabled = true;
    settings.quota.allowed = 1_000_000;
    for group in &mut settings.pricing_groups {
        group.pricing.model = wayleave_core::PricingModel::FixedPrice;
        group.pricing.price_minor = 35;
    }
    let text = serde_json::to_string(&settings)?;
    let put = engine.store().write(engine.now(), move |transaction| {
        Box::pin(async move { transaction.put_settings(property, 0, &text).await })
    });
    put.await?;
    tokio::time::sleep(FOLLOWED).await;
    let integration = engine.create_integration(&by, partner, "Benchmark").await?;
    let new = NewCredential {
        property_id: Some(property),
        ..NewCredential::usual(integration.id, Audience::Access)
    };
    let issued = engine.create_credential(&by, new).await?;
    let id = issued.credential.credential.public_id.to_string();
    let secret = issued.secret.ok_or("the key set has no secret")?;
    Ok((property, (id, secret.expose().to_owned())))
}

async fn pages(
    engine: &Engine,
    property: PropertyId,
) -> Result<Vec<wayleave_core::ResourceId>, Failure> {
    let property = engine.held_property(property).ok_or("no property")?;
    let mut pages = Vec::with_capacity(PAGES);
    for number in 0..PAGES {
        let update = ResourceUpdate {
            name: Some(format!("Page {number}")),
            ..ResourceUpdate::default()
        };
        let key = format!("P{number}");
        let made = engine.put_resource(&property, &key, update);
        pages.push(made.await?.id);
    }
    Ok(pages)
}
