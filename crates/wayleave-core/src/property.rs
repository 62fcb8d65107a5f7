//! How a property sells its pages: one document, which its administrators keep.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::resource::is_plain_text;
use crate::{CalendarPeriod, Currency, Money, PricingModel, PropertyId, Resource, ResourcePricing};

/// The longest of names, titles and keys, in characters.
const LONGEST_NAME: usize = 200;
/// The longest of texts for readers, in characters.
const LONGEST_TEXT: usize = 2_000;
/// The most groups of a kind.
const MOST_GROUPS: usize = 100;
/// The most pages that a quota may give away.
const LARGEST_QUOTA: u32 = 1_000_000;
/// The name of the pricing group of a property whose settings were never put.
const FIRST_GROUP: &str = "Standard";

/// The settings of a property as its administrators write them, settled by
/// [`PropertySettings::settle`].
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PropertySettings {
    /// What readers see as its name; empty: its name.
    pub title: String,
    /// How readers meet what they have to pay.
    pub display_style: DisplayStyle,
    /// Whether pages that nobody has made a resource of become one when they are asked about.
    pub dynamic_creation: bool,
    /// How many pages a reader may read for nothing.
    pub quota: QuotaSettings,
    /// Whether subscriptions are sold and open pages.
    pub subscriptions: bool,
    /// Whether single pages are sold.
    pub single_purchases: bool,
    /// Whether every page asks readers to sign in.
    pub always_require_authentication: bool,
    /// Whether free pages ask readers to sign in.
    pub free_resources_require_authentication: bool,
    /// Pages that are paid for by advertising.
    pub ad_supported: AdSupport,
    /// Subscriptions that are sold.
    pub subscription_groups: Vec<SubscriptionGroup>,
    /// What pages cost that have no price of their own; exactly one is the default.
    pub pricing_groups: Vec<PricingGroup>,
    /// Crawlers that read every page.
    pub verified_crawlers: VerifiedCrawlers,
    /// Whether pages are shown while the store does not answer; else what needs it is denied.
    pub open_when_unavailable: bool,
    /// Whether names of resources that are too long are cut instead of refused.
    pub truncate_names: bool,
}

/// How readers meet what they have to pay. In JSON it is its word.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, Serialize)]
pub enum DisplayStyle {
    /// On a page of its own, where the screen is small.
    RedirectMobile,
    /// On a page of its own.
    #[default]
    RedirectAll,
    /// Above the page.
    ModalOverlay,
}

impl DisplayStyle {
    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            DisplayStyle::RedirectMobile => "RedirectMobile",
            DisplayStyle::RedirectAll => "RedirectAll",
            DisplayStyle::ModalOverlay => "ModalOverlay",
        }
    }
}

/// How many pages a reader may read for nothing in a period.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaSettings {
    /// Whether there is a quota.
    pub enabled: bool,
    /// How many different pages.
    pub allowed: u32,
    /// In which time.
    pub period: CalendarPeriod,
}

/// Pages that are paid for by advertising.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdSupport {
    /// Whether they are.
    pub enabled: bool,
    /// The title of what readers are told.
    pub title: String,
    /// What readers are told.
    pub message: String,
    /// What is asked of who blocks advertising.
    pub on_blocker: BlockerAction,
}

/// What is asked of who blocks advertising.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockerAction {
    /// Nothing: the reader is warned.
    #[default]
    Warn,
    /// To switch it off.
    Require,
}

/// A subscription that is sold.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionGroup {
    /// Its GUID, in small letters; given to it where it has none.
    #[serde(default)]
    pub id: String,
    /// By which external subscribers name it; its name where it has none.
    #[serde(default)]
    pub key: String,
    /// Its name.
    pub name: String,
    /// What readers see as its name; its name where it has none.
    #[serde(default)]
    pub title: String,
    /// What a period of it costs, in US cents.
    pub price_minor: i64,
    /// How long it lasts.
    #[serde(default)]
    pub period: CalendarPeriod,
    /// What readers are told before they choose.
    #[serde(default)]
    pub description: String,
    /// What they are told afterwards.
    #[serde(default)]
    pub short_description: String,
    /// The GUIDs of the pricing groups whose pages it opens; none: it opens every page.
    #[serde(default)]
    pub pricing_groups: Vec<String>,
    /// Whether it is delivered by somebody else, such as a printer, who is told when it is bought.
    #[serde(default)]
    pub fulfilled_outside: bool,
}

/// What pages cost that have no price of their own.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PricingGroup {
    /// Its GUID, in small letters; given to it where it has none.
    #[serde(default)]
    pub id: String,
    /// Its name; no other has it.
    pub name: String,
    /// Whether new pages are of it.
    #[serde(default)]
    pub default: bool,
    /// What its pages cost.
    pub pricing: ResourcePricing,
}

/// Crawlers that read every page, where it is certain who they are.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerifiedCrawlers {
    /// Whether there are any.
    pub enabled: bool,
    /// Their names, such as `googlebot`.
    pub kinds: BTreeSet<String>,
}

/// Settings that contradict themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsError(String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

fn wrong<T>(why: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError(why.into()))
}

impl PropertySettings {
    /// The settings of a property whose administrators have put none: nothing is sold, every page is
    /// free, in the one pricing group that there is.
    pub fn first(property: PropertyId) -> Self {
        PropertySettings {
            pricing_groups: vec![PricingGroup {
                id: guid_text(property.number()),
                name: FIRST_GROUP.to_owned(),
                default: true,
                pricing: ResourcePricing {
                    model: PricingModel::Free,
                    ..ResourcePricing::default()
                },
            }],
            ..PropertySettings::default()
        }
    }

    /// Gives groups without an id the id that they had before: subscription groups by their key,
    /// pricing groups by their name. What readers bought names groups by their ids.
    pub fn keep_ids_of(&mut self, before: &PropertySettings) {
        for group in self.subscription_groups.iter_mut() {
            let key = match group.key.as_str() {
                "" => &group.name,
                key => key,
            };
            if let (true, Some(known)) = (group.id.is_empty(), before.subscription_group(key)) {
                group.id.clone_from(&known.id);
            }
        }
        for group in self.pricing_groups.iter_mut() {
            let mut known = before.pricing_groups.iter();
            let known = known.find(|known| known.name == group.name);
            if let (true, Some(known)) = (group.id.is_empty(), known) {
                group.id.clone_from(&known.id);
            }
        }
    }

    /// Gives groups the ids, keys and titles that they lack, and says what cannot be.
    /// `fresh`: random numbers for ids.
    pub fn settle(&mut self, mut fresh: impl FnMut() -> u128) -> Result<(), SettingsError> {
        for id in self.ids_mut() {
            match id.is_empty() {
                true => *id = guid_text(fresh()),
                false => *id = id.to_ascii_lowercase(),
            }
        }
        for group in &mut self.subscription_groups {
            let SubscriptionGroup {
                key, name, title, ..
            } = group;
            for text in [key, title] {
                if text.is_empty() {
                    text.clone_from(name);
                }
            }
            for id in &mut group.pricing_groups {
                id.make_ascii_lowercase();
            }
        }
        self.check_texts()?;
        self.check_pricing_groups()?;
        self.check_subscription_groups()
    }

    fn ids_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let subscriptions = self.subscription_groups.iter_mut();
        let pricing = self.pricing_groups.iter_mut();
        subscriptions
            .map(|group| &mut group.id)
            .chain(pricing.map(|group| &mut group.id))
    }

    fn check_texts(&self) -> Result<(), SettingsError> {
        let ad = &self.ad_supported;
        must_be_text("title", &self.title, LONGEST_NAME)?;
        must_be_text("ad_supported.title", &ad.title, LONGEST_NAME)?;
        must_be_text("ad_supported.message", &ad.message, LONGEST_TEXT)?;
        if self.quota.allowed > LARGEST_QUOTA {
            return wrong("quota.allowed: it is at most 1000000");
        }
        let names = self.verified_crawlers.kinds.iter();
        for kind in names {
            must_be_text("verified_crawlers.kinds", kind, LONGEST_NAME)?;
        }
        Ok(())
    }

    fn check_pricing_groups(&mut self) -> Result<(), SettingsError> {
        let groups = &mut self.pricing_groups;
        let noun = "pricing_groups";
        let names = groups.iter().map(|group| group.name.as_str());
        must_differ(noun, "names", names)?;
        must_differ(noun, "ids", groups.iter().map(|group| group.id.as_str()))?;
        if groups.iter().filter(|group| group.default).count() != 1 {
            return wrong("pricing_groups: exactly one has default = true");
        }
        for group in groups {
            let named = |why: String| SettingsError(format!("pricing group {}: {why}", group.name));
            must_be_name(&group.name).map_err(|why| named(why.0))?;
            must_be_guid(&group.id).map_err(|why| named(why.0))?;
            if group.pricing.model == PricingModel::Inherit {
                let inherits = crate::ResourcePricingError::Inherits;
                return Err(named(inherits.to_string()));
            }
            let settled = group.pricing.settle();
            settled.map_err(|why| named(why.to_string()))?;
        }
        Ok(())
    }

    fn check_subscription_groups(&self) -> Result<(), SettingsError> {
        let groups = &self.subscription_groups;
        let noun = "subscription_groups";
        must_differ(noun, "keys", groups.iter().map(|group| group.key.as_str()))?;
        must_differ(noun, "ids", groups.iter().map(|group| group.id.as_str()))?;
        for group in groups {
            self.check_subscription_group(group).map_err(|why| {
                SettingsError(format!("subscription group {}: {why}", group.name))
            })?;
        }
        Ok(())
    }

    fn check_subscription_group(&self, group: &SubscriptionGroup) -> Result<(), SettingsError> {
        must_be_name(&group.name)?;
        must_be_guid(&group.id)?;
        must_be_text("key", &group.key, LONGEST_NAME)?;
        must_be_text("title", &group.title, LONGEST_NAME)?;
        must_be_text("description", &group.description, LONGEST_TEXT)?;
        must_be_text("short_description", &group.short_description, LONGEST_TEXT)?;
        let price = Money::new(group.price_minor, Currency::USD);
        if group.price_minor < 0 || price.is_err() {
            return wrong("price_minor: it is from 0 to 10^12");
        }
        match group
            .pricing_groups
            .iter()
            .find(|id| self.pricing_group(id).is_none())
        {
            Some(id) => wrong(format!("pricing_groups: there is none of the id {id}")),
            None => Ok(()),
        }
    }

    /// The pricing group of an id, in small letters.
    pub fn pricing_group(&self, id: &str) -> Option<&PricingGroup> {
        self.pricing_groups.iter().find(|group| group.id == id)
    }

    /// The pricing group that new pages are of; `None` in settings that were not settled.
    pub fn default_pricing_group(&self) -> Option<&PricingGroup> {
        self.pricing_groups.iter().find(|group| group.default)
    }

    /// The pricing group of a page; the default one where its own is gone.
    pub fn group_of(&self, resource: &Resource) -> Option<&PricingGroup> {
        self.pricing_group(&resource.pricing_group)
            .or_else(|| self.default_pricing_group())
    }

    /// What a page costs: as it says itself, or else its pricing group.
    pub fn pricing_of<'a>(&'a self, resource: &'a Resource) -> &'a ResourcePricing {
        match (resource.pricing.model, self.group_of(resource)) {
            (PricingModel::Inherit, Some(group)) => &group.pricing,
            _ => &resource.pricing,
        }
    }

    /// The subscription group of a key.
    pub fn subscription_group(&self, key: &str) -> Option<&SubscriptionGroup> {
        self.subscription_groups
            .iter()
            .find(|group| group.key == key)
    }

    /// The subscription group of a GUID, in small letters.
    pub fn subscription_group_of_id(&self, id: &str) -> Option<&SubscriptionGroup> {
        self.subscription_groups.iter().find(|group| group.id == id)
    }
}

impl SubscriptionGroup {
    /// Whether it opens a page.
    pub fn opens(&self, settings: &PropertySettings, resource: &Resource) -> bool {
        let groups = &self.pricing_groups;
        let is_of = |group: &PricingGroup| groups.contains(&group.id);
        groups.is_empty() || settings.group_of(resource).is_some_and(is_of)
    }

    /// What a period of it costs, in US dollars.
    pub fn price(&self) -> Option<Money> {
        Money::new(self.price_minor, Currency::USD).ok()
    }
}

/// A number as a GUID in small letters.
fn guid_text(number: u128) -> String {
    let digits = format!("{number:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    parts.join("-")
}

fn must_be_guid(text: &str) -> Result<(), SettingsError> {
    let is_fine = |(place, letter): (usize, u8)| match place {
        8 | 13 | 18 | 23 => letter == b'-',
        _ => letter.is_ascii_hexdigit(),
    };
    match text.len() == 36 && text.bytes().enumerate().all(is_fine) {
        true => Ok(()),
        false => wrong("id: it is a GUID of 36 characters"),
    }
}

fn must_be_name(name: &str) -> Result<(), SettingsError> {
    match name.trim().is_empty() {
        true => wrong("name: it is missing"),
        false => must_be_text("name", name, LONGEST_NAME),
    }
}

fn must_be_text(noun: &str, text: &str, longest: usize) -> Result<(), SettingsError> {
    if text.chars().count() > longest {
        return wrong(format!("{noun}: it has at most {longest} characters"));
    }
    match is_plain_text(text) {
        true => Ok(()),
        false => wrong(format!("{noun}: it has a control character")),
    }
}

fn must_differ<'a>(
    noun: &str,
    what: &str,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), SettingsError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return wrong(format!("{noun}: {what} differ, {name} is there twice"));
        }
    }
    match seen.len() > MOST_GROUPS {
        true => wrong(format!("{noun}: there are at most {MOST_GROUPS}")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Timestamp;

    const PRICED: &str = "1c6d0f52-2b7e-4c11-9d0a-7f3e5b9a2d60";

    fn document() -> Value {
        json!({
            "title": "The Harbour Daily",
            "quota": { "enabled": true, "allowed": 5, "period": "Monthly" },
            "subscriptions": true,
            "single_purchases": true,
            "subscription_groups": [{ "name": "all-access", "price_minor": 750 }],
            "pricing_groups": [
                { "id": "", "name": "Free", "default": false, "pricing": { "model": "Free" } },
                {
                    "id": PRICED.to_uppercase(), "name": "Standard", "default": true,
                    "pricing": {
                        "model": "FixedPrice", "price_minor": 35,
                        "expiration": { "unit": "Days", "value": 30 },
                    },
                },
            ],
        })
    }

    fn settle(document: Value) -> Result<PropertySettings, String> {
        let mut numbers = 1..;
        let mut settings: PropertySettings =
            serde_json::from_value(document).map_err(|error| error.to_string())?;
        let settled = settings.settle(|| numbers.next().unwrap_or_default());
        settled
            .map(|()| settings)
            .map_err(|error| error.to_string())
    }

    fn told(pointer: &str, value: Value) -> String {
        let mut changed = document();
        *changed.pointer_mut(pointer).expect("a place") = value;
        settle(changed).expect_err("it cannot be used")
    }

    #[test]
    fn what_groups_lack_is_given_to_them_once() {
        let settings = settle(document()).expect("settings");
        let group = &settings.subscription_groups[0];
        assert_eq!(
            (group.key.as_str(), group.title.as_str()),
            ("all-access", "all-access")
        );
        assert_eq!(group.id, "00000000-0000-0000-0000-000000000001");
        assert_eq!(settings.pricing_groups[1].id, PRICED);
        assert_eq!(
            settings
                .default_pricing_group()
                .map(|group| group.id.as_str()),
            Some(PRICED)
        );
        let written = serde_json::to_value(&settings).expect("json");
        assert_eq!(settle(written), Ok(settings));
    }

    #[test]
    fn groups_that_are_put_again_without_ids_keep_them() {
        let before = settle(document()).expect("settings");
        let mut again = before.clone();
        for id in again.ids_mut() {
            id.clear();
        }
        again.subscription_groups[0].key.clear();
        again.keep_ids_of(&before);
        assert_eq!(again.settle(|| 99), Ok(()));
        assert_eq!(again, before);
        again.subscription_groups[0].id.clear();
        again.subscription_groups[0].key = "another".to_owned();
        again.keep_ids_of(&before);
        assert_eq!(again.subscription_groups[0].id, "");
    }

    #[test]
    fn a_property_begins_with_one_free_pricing_group() {
        let property = PropertyId::new(Timestamp::from_unix_s(1), [7; 10]);
        let mut first = PropertySettings::first(property);
        let before = first.clone();
        assert_eq!(first.settle(|| 0), Ok(()));
        assert_eq!(first, before);
        assert_ne!(
            first,
            PropertySettings::first(PropertyId::new(Timestamp::from_unix_s(2), [7; 10]))
        );
    }

    #[test]
    fn settings_that_contradict_themselves_are_told_where() {
        let long = "x".repeat(201);
        for (pointer, value, why) in [
            (
                "/title",
                json!(long),
                "title: it has at most 200 characters",
            ),
            (
                "/title",
                json!("a\u{0}"),
                "title: it has a control character",
            ),
            (
                "/quota/allowed",
                json!(1_000_001),
                "quota.allowed: it is at most 1000000",
            ),
            ("/quota/period", json!("Hourly"), "unknown variant `Hourly`"),
            (
                "/pricing_groups",
                json!([]),
                "exactly one has default = true",
            ),
            (
                "/pricing_groups/0/default",
                json!(true),
                "exactly one has default = true",
            ),
            (
                "/pricing_groups/0/name",
                json!("Standard"),
                "names differ, Standard is there twice",
            ),
            ("/pricing_groups/0/name", json!(" "), "name: it is missing"),
            ("/pricing_groups/0/id", json!(PRICED), "ids differ"),
            (
                "/pricing_groups/1/id",
                json!("1"),
                "pricing group Standard: id: it is a GUID",
            ),
            (
                "/pricing_groups/0/pricing/model",
                json!("Inherit"),
                "not Inherit",
            ),
            (
                "/pricing_groups/1/pricing/price_minor",
                json!(-1),
                "pricing group Standard: a price",
            ),
            (
                "/subscription_groups/0/price_minor",
                json!(-1),
                "subscription group all-access: price_minor",
            ),
            (
                "/subscription_groups/0/name",
                json!(""),
                "name: it is missing",
            ),
        ] {
            let told = told(pointer, value);
            assert!(told.contains(why), "{pointer}: {told}");
        }
        let mut foreign = document();
        foreign["subscription_groups"][0]["pricing_groups"] = json!([PRICED, "other"]);
        let told = settle(foreign).expect_err("a group that is not there");
        assert!(told.contains("there is none of the id other"), "{told}");
        let mut unknown = document();
        unknown["colour"] = json!("red");
        assert!(settle(unknown).is_err_and(|told| told.contains("colour")));
    }
}
