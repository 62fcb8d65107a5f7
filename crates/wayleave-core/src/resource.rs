//! A page of a property, and what may be changed of it.

use std::fmt;
use std::str::FromStr;

use crate::{
    PricingModel, PropertyId, PropertySettings, ResourceId, ResourcePricing, ResourcePricingError,
    Timestamp, UnknownWord,
};

/// The longest external key, in characters.
pub const LONGEST_KEY: usize = 50;
const LONGEST_NAME: usize = 50;
const LONGEST_URL: usize = 1_000;
const LONGEST_TITLE: usize = 200;
const LONGEST_DESCRIPTION: usize = 2_000;
const LONGEST_SHORT_DESCRIPTION: usize = 100;

/// A page of a property.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Its id.
    pub id: ResourceId,
    /// Whose page it is.
    pub property_id: PropertyId,
    /// By which the property names it: at most 50 characters, compared exactly.
    pub key: String,
    /// Its name within the property.
    pub name: String,
    /// Whether it is managed; else it is open to everybody.
    pub active: bool,
    /// Where it lies; empty: not known.
    pub url: String,
    /// Its title.
    pub title: String,
    /// Who wrote it.
    pub byline: String,
    /// What it is about.
    pub description: String,
    /// When it was published.
    pub published_at: Timestamp,
    /// The GUID of its pricing group, in small letters.
    pub pricing_group: String,
    /// What it costs.
    pub pricing: ResourcePricing,
    /// What readers are told before they choose how to pay.
    pub paywall_description: String,
    /// What they are told afterwards.
    pub paywall_short_description: String,
    /// What made it.
    pub origin: ResourceOrigin,
    /// When it was last changed.
    pub changed_at: Timestamp,
}

/// What made a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceOrigin {
    /// The management API.
    Api,
    /// What its page says of itself.
    Page,
    /// A page that says of itself what cannot be: it is open to everybody.
    BadConfig,
}

impl ResourceOrigin {
    /// Every origin.
    pub const ALL: [ResourceOrigin; 3] = [
        ResourceOrigin::Api,
        ResourceOrigin::Page,
        ResourceOrigin::BadConfig,
    ];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            ResourceOrigin::Api => "api",
            ResourceOrigin::Page => "page",
            ResourceOrigin::BadConfig => "bad-config",
        }
    }
}

impl FromStr for ResourceOrigin {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        ResourceOrigin::ALL
            .into_iter()
            .find(|origin| origin.as_str() == text)
            .ok_or(UnknownWord {
                noun: "origin of a resource",
                known: "api, page, bad-config",
            })
    }
}

/// What is to be changed of a resource; `None` leaves it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ResourceUpdate {
    /// Its name; a new one has to have it.
    pub name: Option<String>,
    /// Whether it is managed.
    pub active: Option<bool>,
    /// Where it lies.
    pub url: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// Who wrote it.
    pub byline: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// The GUID of its pricing group, in any case.
    pub pricing_group: Option<String>,
    /// How its price is found.
    pub model: Option<PricingModel>,
    /// The price, in US cents.
    pub price_minor: Option<i64>,
    /// The unit of how long a purchase lasts.
    pub expiration_unit: Option<crate::ExpirationUnit>,
    /// How many of the unit.
    pub expiration_value: Option<u32>,
    /// The part of the views that is to be paid for, in basis points.
    pub target_rate_basis_points: Option<u32>,
    /// The floor of a moving price, in US cents.
    pub target_floor_minor: Option<i64>,
    /// After how many views a moving price is looked at again.
    pub target_views_per_period: Option<u32>,
    /// All tiers, instead of those that there are.
    pub tiers: Option<Vec<crate::PricingTier>>,
    /// What readers are told before they choose how to pay.
    pub paywall_description: Option<String>,
    /// What they are told afterwards.
    pub paywall_short_description: Option<String>,
}

/// A resource that cannot be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ResourceError {
    /// A member that a new resource has to have.
    Missing {
        /// Which one.
        member: &'static str,
    },
    /// A text that is too long.
    TooLong {
        /// Of which member.
        member: &'static str,
        /// The most characters that it may have.
        longest: usize,
    },
    /// A text with a control character.
    Control {
        /// Of which member.
        member: &'static str,
    },
    /// A pricing group that the property has not.
    PricingGroup,
    /// A price that cannot be.
    Pricing(ResourcePricingError),
}

impl fmt::Display for ResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResourceError::Missing { member } => write!(f, "{member}: a new resource has one"),
            ResourceError::TooLong { member, longest } => {
                write!(f, "{member}: it has at most {longest} characters")
            }
            ResourceError::Control { member } => write!(f, "{member}: it has a control character"),
            ResourceError::PricingGroup => {
                f.write_str("PricingGroup: the property has none of this PricingGroupID")
            }
            ResourceError::Pricing(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ResourceError {}

/// Whether a text has no character that XML 1.0 cannot write: no control characters but tab, line
/// feed and carriage return, and none that is no character.
pub(crate) fn is_plain_text(text: &str) -> bool {
    text.chars().all(|letter| {
        matches!(letter, '\t' | '\n' | '\r')
            || !letter.is_control() && !matches!(letter, '\u{fffe}' | '\u{ffff}')
    })
}

/// Refuses a text that cannot name a resource: an empty one, one that is too long, or one with
/// control characters.
pub fn check_resource_key(key: &str) -> Result<(), ResourceError> {
    let member = "ExternalKey";
    if key.is_empty() {
        return Err(ResourceError::Missing { member });
    }
    check_text(member, key, LONGEST_KEY)
}

fn check_text(member: &'static str, text: &str, longest: usize) -> Result<(), ResourceError> {
    // No text has more characters than bytes.
    if text.len() > longest && text.chars().count() > longest {
        return Err(ResourceError::TooLong { member, longest });
    }
    match is_plain_text(text) {
        true => Ok(()),
        false => Err(ResourceError::Control { member }),
    }
}

impl ResourceUpdate {
    /// Makes a resource of it.
    ///
    /// Errors: there is no name, or what [`ResourceUpdate::apply`] says.
    pub fn create(
        self,
        (id, property_id, key): (ResourceId, PropertyId, &str),
        settings: &PropertySettings,
        origin: ResourceOrigin,
        now: Timestamp,
    ) -> Result<Resource, ResourceError> {
        check_resource_key(key)?;
        if self.name.as_ref().is_none_or(|name| name.is_empty()) {
            return Err(ResourceError::Missing { member: "Name" });
        }
        let group = settings.default_pricing_group();
        let mut resource = Resource {
            id,
            property_id,
            key: key.to_owned(),
            name: String::new(),
            active: true,
            url: String::new(),
            title: String::new(),
            byline: String::new(),
            description: String::new(),
            published_at: now,
            pricing_group: group.map(|group| group.id.clone()).unwrap_or_default(),
            pricing: ResourcePricing::default(),
            paywall_description: String::new(),
            paywall_short_description: String::new(),
            origin,
            changed_at: now,
        };
        self.apply(&mut resource, settings, now)?;
        Ok(resource)
    }

    /// Changes a resource.
    ///
    /// Errors: a text that is too long or has control characters, a pricing group that is not there,
    /// a price that cannot be; the resource is then no longer of use.
    pub fn apply(
        mut self,
        resource: &mut Resource,
        settings: &PropertySettings,
        now: Timestamp,
    ) -> Result<(), ResourceError> {
        if let Some(group) = self.pricing_group.take() {
            let group = settings.pricing_group(&group.to_ascii_lowercase());
            let group = group.ok_or(ResourceError::PricingGroup)?;
            resource.pricing_group.clone_from(&group.id);
        }
        if settings.truncate_names
            && let Some(name) = &mut self.name
            && let Some((end, _)) = name.char_indices().nth(LONGEST_NAME)
        {
            name.truncate(end);
        }
        self.apply_pricing(&mut resource.pricing);
        set(&mut resource.active, self.active);
        set(&mut resource.published_at, self.published_at);
        set(&mut resource.name, self.name);
        set(&mut resource.url, self.url);
        set(&mut resource.title, self.title);
        set(&mut resource.byline, self.byline);
        set(&mut resource.description, self.description);
        set(&mut resource.paywall_description, self.paywall_description);
        set(
            &mut resource.paywall_short_description,
            self.paywall_short_description,
        );
        resource.changed_at = now;
        resource.settle()
    }

    fn apply_pricing(&mut self, pricing: &mut ResourcePricing) {
        set(&mut pricing.model, self.model);
        set(&mut pricing.price_minor, self.price_minor);
        set(&mut pricing.expiration.unit, self.expiration_unit);
        set(&mut pricing.expiration.value, self.expiration_value);
        let target = &mut pricing.target;
        set(&mut target.rate_basis_points, self.target_rate_basis_points);
        set(&mut target.floor_minor, self.target_floor_minor);
        set(&mut target.views_per_period, self.target_views_per_period);
        set(&mut pricing.tiers, self.tiers.take());
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

impl Resource {
    fn settle(&mut self) -> Result<(), ResourceError> {
        for (member, text, longest) in [
            ("Name", &self.name, LONGEST_NAME),
            ("URL", &self.url, LONGEST_URL),
            ("Title", &self.title, LONGEST_TITLE),
            ("Byline", &self.byline, LONGEST_TITLE),
            ("Description", &self.description, LONGEST_DESCRIPTION),
            (
                "PaywallDescription",
                &self.paywall_description,
                LONGEST_DESCRIPTION,
            ),
            (
                "PaywallShortDescription",
                &self.paywall_short_description,
                LONGEST_SHORT_DESCRIPTION,
            ),
        ] {
            check_text(member, text, longest)?;
        }
        self.pricing.settle().map_err(ResourceError::Pricing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExpirationUnit, PricingTier};

    const NOW: Timestamp = Timestamp::from_unix_s(1_805_192_430);

    fn settings() -> PropertySettings {
        PropertySettings::first(property())
    }

    fn property() -> PropertyId {
        PropertyId::new(NOW, [1; 10])
    }

    fn named(name: &str) -> ResourceUpdate {
        ResourceUpdate {
            name: Some(name.to_owned()),
            ..ResourceUpdate::default()
        }
    }

    fn create(
        update: ResourceUpdate,
        settings: &PropertySettings,
    ) -> Result<Resource, ResourceError> {
        let id = ResourceId::new(NOW, [2; 10]);
        update.create(
            (id, property(), "Story-0042"),
            settings,
            ResourceOrigin::Api,
            NOW,
        )
    }

    #[test]
    fn a_new_resource_needs_a_name_and_nothing_else() {
        let settings = settings();
        let missing = Err(ResourceError::Missing { member: "Name" });
        assert_eq!(create(ResourceUpdate::default(), &settings), missing);
        assert_eq!(create(named(""), &settings), missing);
        let made = create(named("Harbour report"), &settings).expect("a resource");
        assert!(made.active);
        assert_eq!(made.pricing.model, PricingModel::Inherit);
        assert_eq!(made.pricing.expiration.unit, ExpirationUnit::Never);
        assert_eq!(
            Some(&made.pricing_group),
            settings.pricing_groups.first().map(|group| &group.id)
        );
        assert_eq!(made.published_at, NOW);
        assert_eq!(settings.pricing_of(&made).model, PricingModel::Free);
    }

    #[test]
    fn what_an_update_leaves_out_stays() {
        let settings = settings();
        let tier = |from| PricingTier {
            from,
            price_minor: 60,
        };
        let mut whole = named("Harbour report");
        whole.title = Some("What it says".to_owned());
        whole.model = Some(PricingModel::TimeTiered);
        whole.tiers = Some(vec![tier(9), tier(0)]);
        let mut resource = create(whole, &settings).expect("a resource");
        assert_eq!(resource.pricing.tiers, [tier(0), tier(9)]);
        let before = resource.clone();
        let later = Timestamp::from_unix_s(NOW.unix_s() + 1);
        let changed = ResourceUpdate::default().apply(&mut resource, &settings, later);
        assert_eq!(changed, Ok(()));
        assert_eq!(
            resource,
            Resource {
                changed_at: later,
                ..before
            }
        );
        let none = ResourceUpdate {
            tiers: Some(Vec::new()),
            model: Some(PricingModel::Free),
            ..ResourceUpdate::default()
        };
        assert_eq!(none.apply(&mut resource, &settings, later), Ok(()));
        assert_eq!(resource.pricing.tiers, []);
        assert_eq!(resource.title, "What it says");
    }

    #[test]
    fn limits_are_in_characters_and_names_are_cut_where_that_is_wanted() {
        let mut settings = settings();
        let long = "é".repeat(51);
        let too_long = |member, longest| Err(ResourceError::TooLong { member, longest });
        assert_eq!(create(named(&long), &settings), too_long("Name", 50));
        settings.truncate_names = true;
        let cut = create(named(&long), &settings).expect("a resource");
        assert_eq!(cut.name, "é".repeat(50));
        type Member = fn(&mut ResourceUpdate) -> &mut Option<String>;
        let members: [(&str, usize, Member); 6] = [
            ("URL", 1_000, |update| &mut update.url),
            ("Title", 200, |update| &mut update.title),
            ("Byline", 200, |update| &mut update.byline),
            ("Description", 2_000, |update| &mut update.description),
            ("PaywallDescription", 2_000, |update| {
                &mut update.paywall_description
            }),
            ("PaywallShortDescription", 100, |update| {
                &mut update.paywall_short_description
            }),
        ];
        for (member, longest, place) in members {
            let mut update = named("A");
            *place(&mut update) = Some("é".repeat(longest));
            assert!(create(update.clone(), &settings).is_ok(), "{member}");
            *place(&mut update) = Some("é".repeat(longest + 1));
            assert_eq!(create(update.clone(), &settings), too_long(member, longest));
            *place(&mut update) = Some("\u{7}".to_owned());
            assert_eq!(
                create(update, &settings),
                Err(ResourceError::Control { member })
            );
        }
    }

    #[test]
    fn keys_have_fifty_characters_and_slashes_are_fine() {
        for key in [
            "Story-0042",
            "/news/long-article",
            "id=1234321",
            "Äpfel & Birnen",
        ] {
            assert_eq!(check_resource_key(key), Ok(()), "{key}");
        }
        for key in ["", "a\u{0}", "\u{ffff}", &"x".repeat(51)] {
            assert!(check_resource_key(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_group_that_is_not_there_and_a_price_that_cannot_be_are_refused() {
        let settings = settings();
        let mut foreign = named("A");
        foreign.pricing_group = Some("1c6d0f52-2b7e-4c11-9d0a-7f3e5b9a2d60".to_owned());
        assert_eq!(create(foreign, &settings), Err(ResourceError::PricingGroup));
        let mut known = named("A");
        let id = &settings.pricing_groups[0].id;
        known.pricing_group = Some(id.to_uppercase());
        let made = create(known, &settings).expect("a resource");
        assert_eq!(&made.pricing_group, id);
        let mut priced = named("A");
        priced.price_minor = Some(-1);
        let refused = Err(ResourceError::Pricing(ResourcePricingError::Price));
        assert_eq!(create(priced, &settings), refused);
    }
}
