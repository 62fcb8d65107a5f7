//! What an instance can be made of: regions, domains, themes and versions, in the order of the
//! catalogue.

use serde_json::{Map, Value, json};
use wayleave_core::{Catalogue, Choice};

use super::list::page_of;
use super::{Call, Reply};
use crate::fault::Fault;

/// `GET /cloud/region`
pub(super) async fn regions(call: &Call<'_>) -> Result<Reply, Fault> {
    choices(call, |catalogue| &catalogue.regions, ["regionId", "region"])
}

/// `GET /cloud/domain`
pub(super) async fn domains(call: &Call<'_>) -> Result<Reply, Fault> {
    choices(call, |catalogue| &catalogue.domains, ["domainId", "domain"])
}

/// `GET /theme`
pub(super) async fn themes(call: &Call<'_>) -> Result<Reply, Fault> {
    choices(call, |catalogue| &catalogue.themes, ["themeId", "theme"])
}

/// `GET /cloud/version`
pub(super) async fn versions(call: &Call<'_>) -> Result<Reply, Fault> {
    let names = ["cmsVersionId", "cmsVersion"];
    choices(call, |catalogue| &catalogue.instance_versions, names)
}

fn choices(
    call: &Call<'_>,
    which: fn(&Catalogue) -> &[Choice],
    [number, name]: [&str; 2],
) -> Result<Reply, Fault> {
    let catalogue = call.engine.catalogue();
    let rows = which(&catalogue.catalogue).iter().map(|choice| {
        let mut row = Map::new();
        row.insert(number.to_owned(), json!(choice.number));
        row.insert(name.to_owned(), json!(choice.name));
        Value::Object(row)
    });
    page_of(call, rows.collect())
}
