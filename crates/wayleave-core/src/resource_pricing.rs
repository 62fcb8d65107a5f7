//! What a page costs: nine models, tiers by age or by views, and a price that moves towards a rate.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Currency, Money, Timestamp, UnknownWord};

/// The most tiers that a price may have.
const MOST_TIERS: usize = 100;
/// The longest expiration, in its unit.
const LONGEST_EXPIRATION: u32 = 10_000;
/// A rate of 1, in basis points.
const WHOLE: u32 = 10_000;
/// A minute in microseconds.
const MINUTE_US: i64 = 60_000_000;

/// How the price of a page is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Deserialize, Serialize)]
pub enum PricingModel {
    /// As the pricing group of the page says; of pages only.
    #[default]
    Inherit,
    /// Nothing to pay.
    Free,
    /// Nothing to pay, but the reader has to have signed in.
    AuthenticationRequired,
    /// One price.
    FixedPrice,
    /// What the reader wants to pay, from the price on.
    VariablePrice,
    /// A price by the age of the page.
    TimeTiered,
    /// A price by how often the page was read.
    ViewTiered,
    /// Not sold by itself.
    SubscriptionOnly,
    /// A price that moves until a wanted part of the views is paid for.
    TargetConversion,
}

impl PricingModel {
    /// Every model.
    pub const ALL: [PricingModel; 9] = [
        PricingModel::Inherit,
        PricingModel::Free,
        PricingModel::AuthenticationRequired,
        PricingModel::FixedPrice,
        PricingModel::VariablePrice,
        PricingModel::TimeTiered,
        PricingModel::ViewTiered,
        PricingModel::SubscriptionOnly,
        PricingModel::TargetConversion,
    ];

    /// The word for it on the wire and in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            PricingModel::Inherit => "Inherit",
            PricingModel::Free => "Free",
            PricingModel::AuthenticationRequired => "AuthenticationRequired",
            PricingModel::FixedPrice => "FixedPrice",
            PricingModel::VariablePrice => "VariablePrice",
            PricingModel::TimeTiered => "TimeTiered",
            PricingModel::ViewTiered => "ViewTiered",
            PricingModel::SubscriptionOnly => "SubscriptionOnly",
            PricingModel::TargetConversion => "TargetConversion",
        }
    }

    /// Whether its price is found in tiers.
    pub fn has_tiers(self) -> bool {
        matches!(self, PricingModel::TimeTiered | PricingModel::ViewTiered)
    }
}

impl FromStr for PricingModel {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        PricingModel::ALL
            .into_iter()
            .find(|model| model.as_str() == text)
            .ok_or(UnknownWord {
                noun: "pricing model",
                known: "Inherit, Free, AuthenticationRequired, FixedPrice, VariablePrice, TimeTiered, ViewTiered, SubscriptionOnly, TargetConversion",
            })
    }
}

/// The unit of how long a purchase lasts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Deserialize, Serialize)]
pub enum ExpirationUnit {
    /// It never ends.
    #[default]
    Never,
    /// Of twelve months.
    Years,
    /// Of the calendar.
    Months,
    /// Of seven days.
    Weeks,
    /// Of 24 hours.
    Days,
}

impl ExpirationUnit {
    /// Every unit.
    pub const ALL: [ExpirationUnit; 5] = [
        ExpirationUnit::Never,
        ExpirationUnit::Years,
        ExpirationUnit::Months,
        ExpirationUnit::Weeks,
        ExpirationUnit::Days,
    ];

    /// The word for it on the wire and in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            ExpirationUnit::Never => "Never",
            ExpirationUnit::Years => "Years",
            ExpirationUnit::Months => "Months",
            ExpirationUnit::Weeks => "Weeks",
            ExpirationUnit::Days => "Days",
        }
    }
}

impl FromStr for ExpirationUnit {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        ExpirationUnit::ALL
            .into_iter()
            .find(|unit| unit.as_str() == text)
            .ok_or(UnknownWord {
                noun: "expiration period unit",
                known: "Never, Years, Months, Weeks, Days",
            })
    }
}

/// How long a purchase lasts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expiration {
    /// Its unit.
    pub unit: ExpirationUnit,
    /// How many of the unit; nothing where it never ends.
    pub value: u32,
}

impl Expiration {
    /// When a purchase of this moment ends; `None`: never.
    pub fn ends_at(self, bought_at: Timestamp) -> Option<Timestamp> {
        let days = |days: u32| {
            let seconds = u64::from(self.value) * u64::from(days) * 86_400;
            bought_at.plus(std::time::Duration::from_secs(seconds))
        };
        match self.unit {
            ExpirationUnit::Never => None,
            ExpirationUnit::Years => Some(bought_at.plus_months(self.value * 12)),
            ExpirationUnit::Months => Some(bought_at.plus_months(self.value)),
            ExpirationUnit::Weeks => Some(days(7)),
            ExpirationUnit::Days => Some(days(1)),
        }
    }
}

/// The price of a page moves towards a part of its views being paid for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetConversion {
    /// The part of the views that is to be paid for, in basis points: 2000 is 20 %.
    pub rate_basis_points: u32,
    /// The price never falls below it, in cents.
    pub floor_minor: i64,
    /// After how many views the price is looked at again.
    pub views_per_period: u32,
}

/// A step of a price in tiers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PricingTier {
    /// From how many minutes of age or views on.
    pub from: u32,
    /// What it costs then, in cents.
    pub price_minor: i64,
}

/// What a page or a pricing group costs. Prices are in US cents.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResourcePricing {
    /// How the price is found.
    pub model: PricingModel,
    /// The price, the least of a variable one, the first of a moving one.
    pub price_minor: i64,
    /// How long a purchase lasts.
    pub expiration: Expiration,
    /// Where a moving price goes.
    pub target: TargetConversion,
    /// Steps by age or views, the lowest first.
    pub tiers: Vec<PricingTier>,
}

/// What the price of a moment depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PriceMoment {
    /// The moment.
    pub now: Timestamp,
    /// When the page was published.
    pub published_at: Timestamp,
    /// How often it was read.
    pub views: u64,
    /// Where a moving price stands, in cents; `None`: it has not moved yet.
    pub moved_minor: Option<i64>,
}

/// A price that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourcePricingError {
    /// A price below 0 or above 10¹² cents.
    Price,
    /// A purchase that ends as it begins, or too late.
    Expiration,
    /// A rate that is no part of a whole, or nothing to look at.
    Target,
    /// No tier, none that begins with 0, two that begin alike, or too many.
    Tiers,
    /// A pricing group that inherits.
    Inherits,
}

impl fmt::Display for ResourcePricingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResourcePricingError::Price => "a price is from 0 to 10^10",
            ResourcePricingError::Expiration => {
                "the expiration period is from 1 to 10000 of its unit, unless the unit is Never"
            }
            ResourcePricingError::Target => {
                "a target conversion has a rate above 0 up to 1, a floor that is not above the price, and at least one hit in a recalculation period"
            }
            ResourcePricingError::Tiers => {
                "tiers are 100 at most, each begins at another number, and a tiered price has one that begins at 0"
            }
            ResourcePricingError::Inherits => "a pricing group has a model of its own, not Inherit",
        })
    }
}

impl std::error::Error for ResourcePricingError {}

impl ResourcePricing {
    /// Puts the tiers in their order, and says what cannot be.
    pub fn settle(&mut self) -> Result<(), ResourcePricingError> {
        self.tiers.sort_by_key(|tier| tier.from);
        self.check()
    }

    fn check(&self) -> Result<(), ResourcePricingError> {
        let tiers = self.tiers.iter().map(|tier| tier.price_minor);
        let mut prices = tiers.chain([self.price_minor, self.target.floor_minor]);
        if prices.any(|minor| minor < 0 || Money::new(minor, Currency::USD).is_err()) {
            return Err(ResourcePricingError::Price);
        }
        let expiration = self.expiration;
        let is_timed = expiration.unit != ExpirationUnit::Never;
        if is_timed && expiration.value == 0 || expiration.value > LONGEST_EXPIRATION {
            return Err(ResourcePricingError::Expiration);
        }
        self.check_target()?;
        self.check_tiers()
    }

    fn check_target(&self) -> Result<(), ResourcePricingError> {
        let target = self.target;
        let is_moving = self.model == PricingModel::TargetConversion;
        let is_idle = target.rate_basis_points == 0 || target.views_per_period == 0;
        let is_high = target.floor_minor > self.price_minor;
        match target.rate_basis_points > WHOLE || is_moving && (is_idle || is_high) {
            true => Err(ResourcePricingError::Target),
            false => Ok(()),
        }
    }

    fn check_tiers(&self) -> Result<(), ResourcePricingError> {
        let tiers = &self.tiers;
        let is_twice = tiers.windows(2).any(|pair| pair[0].from == pair[1].from);
        let begins = tiers.first().is_some_and(|tier| tier.from == 0);
        let lacks = self.model.has_tiers() && !begins;
        match tiers.len() > MOST_TIERS || is_twice || lacks {
            true => Err(ResourcePricingError::Tiers),
            false => Ok(()),
        }
    }

    /// What the page costs at a moment, in US dollars: the least of a variable price. `None`: it is not
    /// sold by itself, or inherits its price.
    pub fn price_in_force(&self, moment: &PriceMoment) -> Option<Money> {
        let minor = match self.model {
            PricingModel::Inherit | PricingModel::SubscriptionOnly => return None,
            PricingModel::Free | PricingModel::AuthenticationRequired => 0,
            PricingModel::FixedPrice | PricingModel::VariablePrice => self.price_minor,
            PricingModel::TimeTiered => {
                let age_us = moment.now.micros() - moment.published_at.micros();
                self.tier_price(u64::try_from(age_us / MINUTE_US).unwrap_or(0))
            }
            PricingModel::ViewTiered => self.tier_price(moment.views),
            PricingModel::TargetConversion => moment
                .moved_minor
                .unwrap_or(self.price_minor)
                .max(self.target.floor_minor),
        };
        Money::new(minor, Currency::USD).ok()
    }

    /// The price of the highest tier that is not above a number.
    fn tier_price(&self, reached: u64) -> i64 {
        let mut tiers = self.tiers.iter().rev();
        let tier = tiers.find(|tier| u64::from(tier.from) <= reached);
        tier.map_or(self.price_minor, |tier| tier.price_minor)
    }

    /// Where a moving price goes after a period of views of which some were paid for: a tenth up where
    /// more were than wanted, a tenth down where fewer were, by a cent at least; never below the floor
    /// and never above ten times the first price. In cents, as `standing_minor`: `None` has not moved.
    pub fn moved(&self, standing_minor: Option<i64>, views: u64, paid: u64) -> i64 {
        let standing = standing_minor.unwrap_or(self.price_minor);
        let step = (standing / 10).max(1);
        let wanted = u128::from(views) * u128::from(self.target.rate_basis_points);
        let moved = match (u128::from(paid) * u128::from(WHOLE)).cmp(&wanted) {
            std::cmp::Ordering::Greater => standing + step,
            std::cmp::Ordering::Less => standing - step,
            std::cmp::Ordering::Equal => standing,
        };
        let highest = self.price_minor.saturating_mul(10);
        moved.min(highest).max(self.target.floor_minor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_s(1_805_192_430);

    fn moment(age_minutes: i64, views: u64) -> PriceMoment {
        PriceMoment {
            now: NOW,
            published_at: Timestamp::from_micros(NOW.micros() - age_minutes * MINUTE_US),
            views,
            moved_minor: None,
        }
    }

    fn pricing(model: PricingModel) -> ResourcePricing {
        let tier = |from, price_minor| PricingTier { from, price_minor };
        ResourcePricing {
            model,
            price_minor: 35,
            expiration: Expiration::default(),
            target: TargetConversion {
                rate_basis_points: 2_000,
                floor_minor: 10,
                views_per_period: 100,
            },
            tiers: vec![tier(0, 60), tier(1_440, 25), tier(10_080, 0)],
        }
    }

    fn cents(model: PricingModel, moment: &PriceMoment) -> Option<i64> {
        pricing(model).price_in_force(moment).map(Money::minor)
    }

    #[test]
    fn each_model_has_its_price() {
        let at = moment(0, 0);
        for (model, price) in [
            (PricingModel::Inherit, None),
            (PricingModel::Free, Some(0)),
            (PricingModel::AuthenticationRequired, Some(0)),
            (PricingModel::FixedPrice, Some(35)),
            (PricingModel::VariablePrice, Some(35)),
            (PricingModel::TimeTiered, Some(60)),
            (PricingModel::ViewTiered, Some(60)),
            (PricingModel::SubscriptionOnly, None),
            (PricingModel::TargetConversion, Some(35)),
        ] {
            assert_eq!(cents(model, &at), price, "{model:?}");
            assert_eq!(model.as_str().parse(), Ok(model));
        }
    }

    #[test]
    fn the_highest_tier_that_was_reached_counts() {
        for (minutes, price) in [
            (-5, 60),
            (0, 60),
            (1_439, 60),
            (1_440, 25),
            (10_079, 25),
            (10_080, 0),
        ] {
            let aged = cents(PricingModel::TimeTiered, &moment(minutes, 7));
            assert_eq!(aged, Some(price), "{minutes} minutes");
            let views = u64::try_from(minutes).unwrap_or(0);
            let viewed = cents(PricingModel::ViewTiered, &moment(3, views));
            assert_eq!(viewed, Some(price), "{views} views");
        }
    }

    #[test]
    fn a_moving_price_follows_the_rate_between_its_floor_and_ten_times_itself() {
        let pricing = pricing(PricingModel::TargetConversion);
        assert_eq!(pricing.moved(None, 100, 20), 35);
        assert_eq!(pricing.moved(None, 100, 21), 38);
        assert_eq!(pricing.moved(None, 100, 19), 32);
        assert_eq!(pricing.moved(Some(10), 100, 0), 10);
        assert_eq!(pricing.moved(Some(350), 100, 100), 350);
        let mut standing = None;
        for _ in 0..100 {
            standing = Some(pricing.moved(standing, 100, 0));
        }
        assert_eq!(standing, Some(10));
        let fallen = PriceMoment {
            moved_minor: Some(3),
            ..moment(0, 0)
        };
        assert_eq!(cents(PricingModel::TargetConversion, &fallen), Some(10));
    }

    #[test]
    fn what_cannot_be_a_price_is_refused() {
        use ResourcePricingError::{Expiration as Ends, Price, Target, Tiers};
        type Change = fn(&mut ResourcePricing);
        let changes: [(Change, ResourcePricingError); 11] = [
            (|pricing| pricing.price_minor = -1, Price),
            (|pricing| pricing.price_minor = 1_000_000_000_001, Price),
            (|pricing| pricing.tiers[1].price_minor = -1, Price),
            (|pricing| pricing.target.floor_minor = -1, Price),
            (
                |pricing| pricing.expiration.unit = ExpirationUnit::Days,
                Ends,
            ),
            (|pricing| pricing.expiration.value = 10_001, Ends),
            (|pricing| pricing.target.rate_basis_points = 10_001, Target),
            (|pricing| pricing.target.floor_minor = 36, Target),
            (|pricing| pricing.target.views_per_period = 0, Target),
            (|pricing| pricing.tiers[1].from = 0, Tiers),
            (|pricing| pricing.tiers.resize(101, pricing.tiers[0]), Tiers),
        ];
        for (place, (change, error)) in changes.into_iter().enumerate() {
            let mut changed = pricing(PricingModel::TargetConversion);
            change(&mut changed);
            assert_eq!(changed.settle(), Err(error), "{place}");
        }
        let mut tierless = pricing(PricingModel::ViewTiered);
        tierless.tiers.remove(0);
        assert_eq!(tierless.settle(), Err(Tiers));
        tierless.model = PricingModel::Free;
        assert_eq!(tierless.settle(), Ok(()));
    }

    #[test]
    fn a_purchase_ends_by_the_calendar() {
        let ends = |unit, value| {
            let ends = Expiration { unit, value }.ends_at(NOW);
            ends.map(|at| at.date_time().to_string())
        };
        assert_eq!(ends(ExpirationUnit::Never, 0), None);
        for (unit, value, end) in [
            (ExpirationUnit::Days, 30, "2027-04-15 10:20:30"),
            (ExpirationUnit::Weeks, 1, "2027-03-23 10:20:30"),
            (ExpirationUnit::Months, 2, "2027-05-16 10:20:30"),
            (ExpirationUnit::Years, 1, "2028-03-16 10:20:30"),
        ] {
            assert_eq!(ends(unit, value).as_deref(), Some(end));
            assert_eq!(unit.as_str().parse(), Ok(unit));
        }
    }

    proptest! {
        #[test]
        fn a_moving_price_stays_within_its_bounds(
            standing in 10_i64..=350,
            views in 1_u64..1_000_000,
            paid in 0_u64..1_000_000,
        ) {
            let moved = pricing(PricingModel::TargetConversion).moved(Some(standing), views, paid);
            prop_assert!((10..=350).contains(&moved));
            let rate = paid as f64 / views as f64;
            prop_assert!(rate <= 0.2 || moved >= standing);
            prop_assert!(rate >= 0.2 || moved <= standing);
        }
    }
}
