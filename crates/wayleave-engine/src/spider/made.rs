use std::str::FromStr;

use wayleave_core::{
    PricingModel, PricingTier, PropertySettings, Resource, ResourceError, ResourceId,
    ResourceOrigin, ResourceUpdate, Timestamp,
};
use wayleave_protocol::decimal::scaled;
use wayleave_protocol::iso8601;
use wayleave_protocol::page::{Page, PageSettings};

use super::UnknownPage;

/// How much of a page's own texts is taken, in characters: as much as a resource holds.
const NAME: usize = 50;
const TITLE: usize = 200;
const DESCRIPTION: usize = 2000;
/// The longest address that a resource holds, in characters.
const URL: usize = 1000;

/// Settings of a page that cannot be.
struct Unusable;

/// The resource that a page becomes. Where its settings cannot be, one that is open to everybody and
/// says so. Errors: the key can name no resource.
pub(super) fn resource_of(
    page: &UnknownPage,
    found: &Page,
    settings: &PropertySettings,
    (id, now): (ResourceId, Timestamp),
) -> Result<Resource, ResourceError> {
    let of_itself = of_itself(page, found);
    let about = (id, page.property_id, page.key.as_str());
    let update = with_settings(of_itself.clone(), found.settings.as_ref(), settings);
    if let Ok(update) = update
        && let Ok(made) = update.create(about, settings, ResourceOrigin::Page, now)
    {
        return Ok(made);
    }
    of_itself.create(about, settings, ResourceOrigin::BadConfig, now)
}

/// What every page says: its title and description.
fn of_itself(page: &UnknownPage, found: &Page) -> ResourceUpdate {
    let title = found.title.as_deref().unwrap_or_default();
    let name = if title.is_empty() { &page.key } else { title };
    let description = found.description.as_deref().unwrap_or_default();
    let url = page.url.as_str();
    ResourceUpdate {
        name: Some(cut(name, NAME)),
        title: Some(cut(title, TITLE)),
        description: Some(cut(description, DESCRIPTION)),
        url: (url.chars().count() <= URL).then(|| url.to_owned()),
        ..ResourceUpdate::default()
    }
}

fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

/// With what the page says of how it is to be sold.
fn with_settings(
    mut update: ResourceUpdate,
    found: Option<&PageSettings>,
    settings: &PropertySettings,
) -> Result<ResourceUpdate, Unusable> {
    let Some(found) = found else {
        return Ok(update);
    };
    if found.is_broken {
        return Err(Unusable);
    }
    let text = |name| found.field(name).map(str::to_owned);
    // A resource without a name has none of its own.
    let name = text("Name").filter(|name| !name.is_empty());
    update.name = name.or(update.name);
    update.title = text("Title").or(update.title);
    update.description = text("Description").or(update.description);
    update.byline = text("Byline");
    update.published_at = read(found, "PublicationDate", |text| {
        iso8601::parse_any_us(text).map(Timestamp::from_micros)
    })?;
    update.pricing_group = read(found, "PricingGroup", |name| {
        let mut groups = settings.pricing_groups.iter();
        let group = groups.find(|group| group.name == name);
        group.map(|group| group.id.clone())
    })?;
    update.model = word(found, "PricingModel")?;
    if update.model != Some(PricingModel::Inherit) {
        take_pricing(&mut update, found)?;
    }
    Ok(update)
}

fn take_pricing(update: &mut ResourceUpdate, found: &PageSettings) -> Result<(), Unusable> {
    let cents = |text: &str| scaled(text, 2);
    update.price_minor = read(found, "Price", cents)?;
    update.expiration_unit = word(found, "ExpirationPeriodUnit")?;
    update.expiration_value = word(found, "ExpirationPeriodValue")?;
    update.target_rate_basis_points = read(found, "TargetConversionRate", |text| {
        scaled(text, 4).and_then(|points| u32::try_from(points).ok())
    })?;
    update.target_floor_minor = read(found, "TargetConversionPriceFloor", cents)?;
    let hits = "TargetConversionHitsPerRecalculationPeriod";
    update.target_views_per_period = word(found, hits)?;
    if let Some(tiers) = &found.tiers {
        let tiers = tiers.iter().map(|(from, price)| {
            Some(PricingTier {
                from: from.parse().ok()?,
                price_minor: scaled(price, 2)?,
            })
        });
        update.tiers = Some(tiers.collect::<Option<_>>().ok_or(Unusable)?);
    }
    Ok(())
}

/// What an element stands for; nothing, where it is empty or not there.
fn read<T>(
    found: &PageSettings,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Unusable> {
    match found.field(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => read(text).map(Some).ok_or(Unusable),
    }
}

fn word<T: FromStr>(found: &PageSettings, name: &str) -> Result<Option<T>, Unusable> {
    read(found, name, |text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use wayleave_core::{CredentialId, ExpirationUnit, PropertyId};
    use wayleave_protocol::page;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_s(1_805_192_430);

    fn made(html: &str) -> Resource {
        let property_id = PropertyId::new(NOW, [1; 10]);
        let asked = UnknownPage {
            credential_id: CredentialId::new(NOW, [2; 10]),
            property_id,
            key: "Story-0042".to_owned(),
            url: "https://news.example/story".to_owned(),
        };
        let settings = PropertySettings::first(property_id);
        let about = (ResourceId::new(NOW, [3; 10]), NOW);
        resource_of(&asked, &page::read(html), &settings, about).expect("a resource")
    }

    fn block(settings: &str) -> String {
        format!("<title>Tides</title><script type=application/imoneza>{settings}</script>")
    }

    #[test]
    fn a_page_without_settings_becomes_a_resource_of_the_default_group() {
        let long = "T".repeat(60);
        let page = made(&format!(
            "<title>{long}</title><meta name=description content=About>"
        ));
        assert_eq!(page.name, "T".repeat(50));
        assert_eq!(page.title, long);
        assert_eq!(page.description, "About");
        assert_eq!(page.url, "https://news.example/story");
        assert_eq!(page.pricing.model, PricingModel::Inherit);
        assert_eq!(
            (page.published_at, page.origin),
            (NOW, ResourceOrigin::Page)
        );
        assert_eq!(made("").name, "Story-0042");
    }

    #[test]
    fn settings_of_the_page_count_before_its_title() {
        let page = made(&block(
            "<Resource><Name>Tide tables</Name><Title>R&D</Title><Byline>A. Writer</Byline>\
             <PricingGroup>Standard</PricingGroup><PricingModel>FixedPrice</PricingModel>\
             <Price>0.20</Price><ExpirationPeriodUnit>Weeks</ExpirationPeriodUnit>\
             <ExpirationPeriodValue>1</ExpirationPeriodValue>\
             <PublicationDate>2027-03-01</PublicationDate></Resource>",
        ));
        assert_eq!(page.origin, ResourceOrigin::Page);
        assert_eq!(page.name, "Tide tables");
        assert_eq!(
            (page.title.as_str(), page.byline.as_str()),
            ("R&D", "A. Writer")
        );
        assert_eq!(page.pricing.price_minor, 20);
        assert_eq!(page.pricing.expiration.unit, ExpirationUnit::Weeks);
        assert_eq!(page.published_at.unix_s(), 1_803_859_200);
    }

    #[test]
    fn tiers_are_taken_and_what_inherits_has_no_price_of_its_own() {
        let tiers = "<ResourcePricingTiers><ResourcePricingTier><Tier>0</Tier><Price>0.60</Price>\
                     </ResourcePricingTier></ResourcePricingTiers>";
        let page = made(&block(&format!(
            "<Resource><PricingModel>TimeTiered</PricingModel>{tiers}</Resource>"
        )));
        assert_eq!(page.pricing.tiers.len(), 1);
        let page = made(&block(&format!(
            "<Resource><PricingModel>Inherit</PricingModel><Price>much</Price>{tiers}</Resource>"
        )));
        assert_eq!(page.origin, ResourceOrigin::Page);
        assert_eq!((page.pricing.price_minor, page.pricing.tiers.len()), (0, 0));
    }

    #[test]
    fn settings_that_cannot_be_make_a_page_that_is_open() {
        for settings in [
            "no resource",
            "<Resource><Price>much</Price></Resource>",
            "<Resource><Price>-1</Price></Resource>",
            "<Resource><PricingModel>Cheap</PricingModel></Resource>",
            "<Resource><PricingModel>TimeTiered</PricingModel></Resource>",
            "<Resource><PricingGroup>None</PricingGroup></Resource>",
            "<Resource><PublicationDate>soon</PublicationDate></Resource>",
            "<Resource><ExpirationPeriodUnit>Days</ExpirationPeriodUnit></Resource>",
            "<Resource><ResourcePricingTiers><T><Tier>x</Tier></T></ResourcePricingTiers></Resource>",
            &format!("<Resource><Name>{}</Name></Resource>", "n".repeat(51)),
        ] {
            let page = made(&block(settings));
            assert_eq!(page.origin, ResourceOrigin::BadConfig, "{settings}");
            assert_eq!(page.title, "Tides");
        }
    }
}
