//! What a cart costs: the prices of one version of the catalogue, and nothing that a client says.

use crate::cart::{CartLine, LineDetails, MOST_LINES, MOST_UNITS};
use crate::catalogue::{Catalogue, PriceList, Product, ProductKind};
use crate::{Currency, Money, MoneyError, Timestamp};

/// Months of a term that is not by the month.
const YEAR_MONTHS: u32 = 12;

/// Why a cart has no price: one of its lines cannot be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineFault {
    /// Which line, from 0; `None`: the cart itself.
    pub line: Option<usize>,
    /// What is at fault in it.
    pub member: LineMember,
    /// What is wrong with it, for people.
    pub why: String,
}

/// What of a line can be at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineMember {
    /// The lines themselves.
    Lines,
    /// The product, or details that do not fit it.
    Product,
    /// How many licences or upgrades.
    Count,
    /// How many displays.
    Displays,
    /// The version of a licence.
    LicenceVersion,
    /// The address to which licences are sent.
    Email,
    /// The instance or pool that is to change.
    Upgraded,
    /// The name of an instance.
    AccountName,
    /// The region.
    Region,
    /// The domain.
    Domain,
    /// The theme.
    Theme,
    /// The version of an instance.
    InstanceVersion,
    /// The months of a plan.
    Months,
}

/// What is known of what a line changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// Nothing: the line is for something new.
    Nothing,
    /// An instance.
    Instance {
        /// How many displays it has.
        displays: u32,
        /// Whether it is a demonstration.
        is_demo: bool,
        /// Whether it is paid by the month.
        is_monthly: bool,
        /// When its term ends.
        renewal_at: Timestamp,
    },
    /// A pool.
    Pool {
        /// How many of its licences are not of the newest version.
        upgradable: u32,
    },
}

/// What a line costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinePrice {
    /// One unit for one month, or one unit where there are no months.
    pub unit: Money,
    /// How many units.
    pub quantity: u32,
    /// For how many months; 1 where a price is not by the month.
    pub months: u32,
    /// Unit, times quantity, times months.
    pub total: Money,
}

/// What an order costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    /// All lines together.
    pub subtotal: Money,
    /// What is taken off.
    pub discount: Money,
    /// What comes on top of the rest.
    pub tax: Money,
    /// Subtotal without discount, with tax.
    pub total: Money,
}

/// Prices of one partner in one currency.
#[derive(Clone, Copy, Debug)]
pub struct Pricing<'a> {
    /// What is sold.
    pub catalogue: &'a Catalogue,
    /// The partner's prices.
    pub list: &'a PriceList,
    /// The partner's currency.
    pub currency: Currency,
    /// The present.
    pub now: Timestamp,
}

fn fault(member: LineMember, why: impl Into<String>) -> LineFault {
    LineFault {
        line: None,
        member,
        why: why.into(),
    }
}

impl Pricing<'_> {
    /// What each line costs. `existing` says of each line what it changes.
    pub fn lines(
        &self,
        lines: &[CartLine],
        existing: &[Existing],
    ) -> Result<Vec<LinePrice>, LineFault> {
        if lines.is_empty() {
            return Err(fault(LineMember::Lines, "Missing Line Items"));
        }
        if lines.len() > MOST_LINES {
            let why = format!("a cart has at most {MOST_LINES} lines");
            return Err(fault(LineMember::Lines, why));
        }
        let priced = lines.iter().zip(existing).enumerate();
        priced
            .map(|(place, (line, existing))| {
                self.line(line, *existing).map_err(|error| LineFault {
                    line: Some(place),
                    ..error
                })
            })
            .collect()
    }

    fn line(&self, line: &CartLine, existing: Existing) -> Result<LinePrice, LineFault> {
        let product = self.catalogue.product(line.product);
        let product = product
            .ok_or_else(|| fault(LineMember::Product, "there is no product of this number"))?;
        let (quantity, months) = self.units(product, &line.details, existing)?;
        let is_free = product.kind == ProductKind::DemoInstance;
        let unit = match is_free {
            true => Money::zero(self.currency),
            false => self.unit(product)?,
        };
        let total = unit.times(quantity).and_then(|total| total.times(months));
        Ok(LinePrice {
            unit,
            quantity,
            months,
            total: total.map_err(|error| fault(LineMember::Count, error.to_string()))?,
        })
    }

    /// What one unit of a product costs.
    fn unit(&self, product: &Product) -> Result<Money, LineFault> {
        let mut prices = self.list.prices.iter();
        let price =
            prices.find(|price| price.product == product.number && price.currency == self.currency);
        let price = price.ok_or_else(|| {
            let why = format!("this product has no price in {}", self.currency);
            fault(LineMember::Product, why)
        })?;
        Money::new(price.unit_minor, price.currency)
            .map_err(|error| fault(LineMember::Product, error.to_string()))
    }

    /// How many units a line is of, and for how many months.
    fn units(
        &self,
        product: &Product,
        details: &LineDetails,
        existing: Existing,
    ) -> Result<(u32, u32), LineFault> {
        match (product.kind, details) {
            (
                ProductKind::LicencePool,
                LineDetails::Licences {
                    email,
                    version,
                    count,
                },
            ) => {
                check_email(email)?;
                self.check_licence_version(version.as_deref())?;
                Ok((some_of(*count, LineMember::Count)?, 1))
            }
            (ProductKind::PoolUpgrade, LineDetails::Upgrade { count, .. }) => {
                upgrades(*count, existing).map(|count| (count, 1))
            }
            (
                ProductKind::HostedInstance | ProductKind::DemoInstance,
                LineDetails::NewInstance(wanted),
            ) => {
                self.check_new_instance(wanted)?;
                let months = if wanted.is_monthly { 1 } else { YEAR_MONTHS };
                Ok((some_of(wanted.displays, LineMember::Displays)?, months))
            }
            (ProductKind::HostedInstance, LineDetails::ChangeInstance { displays, .. }) => {
                self.change(*displays, existing)
            }
            (ProductKind::HostedInstance, LineDetails::RenewInstance { .. }) => renewal(existing),
            (ProductKind::Plan, LineDetails::Plan { months, .. }) => {
                match (1..=YEAR_MONTHS).contains(months) {
                    true => Ok((1, *months)),
                    false => Err(fault(LineMember::Months, "from 1 to 12 months")),
                }
            }
            _ => Err(fault(
                LineMember::Product,
                "these details do not fit the product",
            )),
        }
    }

    /// A demonstration is paid whole; of a paid instance what is new, for the months that are left,
    /// those begun counted whole.
    fn change(&self, displays: u32, existing: Existing) -> Result<(u32, u32), LineFault> {
        let displays = some_of(displays, LineMember::Displays)?;
        match existing {
            Existing::Instance { is_demo: true, .. } => Ok((displays, YEAR_MONTHS)),
            Existing::Instance {
                displays: now,
                renewal_at,
                ..
            } => match displays.checked_sub(now) {
                Some(0) => Err(fault(
                    LineMember::Displays,
                    "the instance has so many displays already",
                )),
                Some(more) => Ok((more, months_until(self.now, renewal_at))),
                None => Err(fault(
                    LineMember::Displays,
                    "an instance gets fewer displays only when its term is renewed",
                )),
            },
            _ => Err(fault(LineMember::Upgraded, "there is no such instance")),
        }
    }

    fn check_licence_version(&self, version: Option<&str>) -> Result<(), LineFault> {
        let mut known = self.catalogue.licence_versions.iter();
        match version {
            Some(version) if !known.any(|known| known.name == version) => Err(fault(
                LineMember::LicenceVersion,
                "there is no such version",
            )),
            _ => Ok(()),
        }
    }

    fn check_new_instance(&self, wanted: &crate::NewInstance) -> Result<(), LineFault> {
        let name = &wanted.account_name;
        crate::check_account_name(name).map_err(|why| fault(LineMember::AccountName, why))?;
        let folded = name.to_ascii_lowercase();
        if self.catalogue.reserved_names.contains(&folded) {
            return Err(fault(LineMember::AccountName, "this name is reserved"));
        }
        for (chosen, choices, member) in [
            (wanted.region, &self.catalogue.regions, LineMember::Region),
            (wanted.domain, &self.catalogue.domains, LineMember::Domain),
            (wanted.theme, &self.catalogue.themes, LineMember::Theme),
            (
                wanted.version,
                &self.catalogue.instance_versions,
                LineMember::InstanceVersion,
            ),
        ] {
            let is_known = |number: u32| choices.iter().any(|choice| choice.number == number);
            if chosen.is_some_and(|number| !is_known(number)) {
                return Err(fault(member, "there is no choice of this number"));
            }
        }
        Ok(())
    }

    /// What all lines cost together, with discount and tax.
    pub fn totals(&self, lines: &[LinePrice]) -> Result<Totals, MoneyError> {
        let mut subtotal = Money::zero(self.currency);
        for line in lines {
            subtotal = subtotal.plus(line.total)?;
        }
        let discount = subtotal.share(self.list.discount_basis_points)?;
        let rest = subtotal.minus(discount)?;
        let tax = rest.share(self.catalogue.tax.basis_points)?;
        Ok(Totals {
            subtotal,
            discount,
            tax,
            total: rest.plus(tax)?,
        })
    }
}

fn some_of(count: u32, member: LineMember) -> Result<u32, LineFault> {
    match (1..=MOST_UNITS).contains(&count) {
        true => Ok(count),
        false => Err(fault(member, format!("from 1 to {MOST_UNITS}"))),
    }
}

fn check_email(email: &str) -> Result<(), LineFault> {
    let is_plain = email.bytes().all(|byte| byte.is_ascii_graphic()) && email.len() <= 254;
    let halves = email.split_once('@');
    match halves {
        Some((name, host))
            if is_plain && !name.is_empty() && !host.is_empty() && !host.contains('@') =>
        {
            Ok(())
        }
        _ => Err(fault(LineMember::Email, "this is no address for mail")),
    }
}

fn upgrades(count: u32, existing: Existing) -> Result<u32, LineFault> {
    let count = some_of(count, LineMember::Count)?;
    match existing {
        Existing::Pool { upgradable } if count <= upgradable => Ok(count),
        Existing::Pool { upgradable } => Err(fault(
            LineMember::Count,
            format!("the pool has {upgradable} licences that are not of the newest version"),
        )),
        _ => Err(fault(LineMember::Upgraded, "there is no such pool")),
    }
}

fn renewal(existing: Existing) -> Result<(u32, u32), LineFault> {
    match existing {
        // What is paid from then on is a term of its own.
        Existing::Instance {
            displays,
            is_demo: true,
            ..
        } => Ok((displays, YEAR_MONTHS)),
        Existing::Instance {
            displays,
            is_monthly,
            ..
        } => Ok((displays, if is_monthly { 1 } else { YEAR_MONTHS })),
        _ => Err(fault(LineMember::Upgraded, "there is no such instance")),
    }
}

/// Whole months until a moment, a begun one counted whole; at least one.
fn months_until(now: Timestamp, end: Timestamp) -> u32 {
    (1..YEAR_MONTHS)
        .find(|months| now.plus_months(*months) >= end)
        .unwrap_or(YEAR_MONTHS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Choice, NewInstance, Price, Recipient, STANDARD_PRICE_LIST, Tax};

    const NOW: Timestamp = Timestamp::from_unix_s(1_800_000_000);

    fn currency() -> Currency {
        "GBP".parse().expect("a currency")
    }

    fn product(number: u32, kind: ProductKind) -> Product {
        Product {
            number,
            kind,
            name: format!("Product {number}"),
            description: String::new(),
            terms: String::new(),
            delivery_terms: String::new(),
            grants: None,
        }
    }

    fn choices() -> Vec<Choice> {
        let choice = |number, name: &str| Choice {
            number,
            name: name.to_owned(),
        };
        vec![choice(1, "1.7"), choice(2, "2")]
    }

    fn catalogue() -> Catalogue {
        let price = |product, unit_minor| Price {
            product,
            currency: currency(),
            unit_minor,
            notes: String::new(),
        };
        Catalogue {
            tax: Tax {
                name: "VAT".to_owned(),
                basis_points: 2_000,
            },
            products: vec![
                product(1, ProductKind::LicencePool),
                product(2, ProductKind::HostedInstance),
                product(13, ProductKind::PoolUpgrade),
                product(17, ProductKind::DemoInstance),
            ],
            price_lists: vec![PriceList {
                name: STANDARD_PRICE_LIST.to_owned(),
                discount_basis_points: 1_000,
                prices: vec![price(1, 1_995), price(2, 350), price(13, 500)],
            }],
            regions: choices(),
            domains: choices(),
            themes: choices(),
            instance_versions: choices(),
            licence_versions: choices(),
            reserved_names: ["admin".to_owned()].into(),
            ..Catalogue::empty(currency())
        }
    }

    fn priced(
        product: u32,
        details: LineDetails,
        existing: Existing,
    ) -> Result<LinePrice, LineFault> {
        let catalogue = catalogue();
        catalogue.check().expect("a catalogue");
        let line = CartLine {
            recipient: Recipient::Own,
            product,
            details,
        };
        let prices = pricing(&catalogue).lines(&[line], &[existing])?;
        Ok(prices[0])
    }

    fn pricing(catalogue: &Catalogue) -> Pricing<'_> {
        Pricing {
            catalogue,
            list: &catalogue.price_lists[0],
            currency: currency(),
            now: NOW,
        }
    }

    fn licences(count: u32, version: Option<&str>) -> LineDetails {
        LineDetails::Licences {
            email: "ops@harbour.example".to_owned(),
            version: version.map(str::to_owned),
            count,
        }
    }

    fn new_instance(displays: u32, is_monthly: bool) -> NewInstance {
        NewInstance {
            account_name: "apiX1y2Z".to_owned(),
            displays,
            is_monthly,
            renews: false,
            region: Some(1),
            domain: None,
            theme: None,
            version: None,
        }
    }

    fn instance(displays: u32, is_demo: bool, months: u32) -> Existing {
        Existing::Instance {
            displays,
            is_demo,
            is_monthly: false,
            renewal_at: NOW.plus_months(months),
        }
    }

    #[test]
    fn units_times_months_is_what_a_line_costs() {
        let minor = |product, details, existing| {
            let price = priced(product, details, existing).expect("a price");
            (price.quantity, price.months, price.total.minor())
        };
        let none = Existing::Nothing;
        assert_eq!(minor(1, licences(2, None), none), (2, 1, 3_990));
        let yearly = LineDetails::NewInstance(new_instance(3, false));
        assert_eq!(minor(2, yearly.clone(), none), (3, 12, 12_600));
        let monthly = LineDetails::NewInstance(new_instance(3, true));
        assert_eq!(minor(2, monthly, none), (3, 1, 1_050));
        assert_eq!(
            minor(17, yearly, none),
            (3, 12, 0),
            "a demonstration is free"
        );
        let upgrade = LineDetails::Upgrade { pool: 7, count: 2 };
        assert_eq!(
            minor(13, upgrade, Existing::Pool { upgradable: 2 }),
            (2, 1, 1_000)
        );
    }

    #[test]
    fn a_demonstration_is_paid_whole_and_more_displays_for_what_is_left() {
        let change = |displays| LineDetails::ChangeInstance {
            instance: 7,
            displays,
        };
        let demo = priced(2, change(2), instance(2, true, 0)).expect("a price");
        assert_eq!((demo.quantity, demo.months), (2, 12));
        let more = priced(2, change(5), instance(2, false, 7)).expect("a price");
        assert_eq!((more.quantity, more.months), (3, 7));
        for displays in [1, 2] {
            let fault = priced(2, change(displays), instance(2, false, 7));
            let member = fault.expect_err("no price").member;
            assert_eq!(member, LineMember::Displays, "{displays}");
        }
        let nothing = priced(2, change(2), Existing::Nothing);
        assert_eq!(nothing.expect_err("no price").member, LineMember::Upgraded);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_member() {
        let none = Existing::Nothing;
        let named = |change: fn(&mut NewInstance)| {
            let mut wanted = new_instance(1, false);
            change(&mut wanted);
            LineDetails::NewInstance(wanted)
        };
        let upgrade = LineDetails::Upgrade { pool: 7, count: 3 };
        for (product, details, existing, member) in [
            (99, licences(1, None), none, LineMember::Product),
            (2, licences(1, None), none, LineMember::Product),
            (1, licences(0, None), none, LineMember::Count),
            (1, licences(MOST_UNITS + 1, None), none, LineMember::Count),
            (1, licences(1, Some("9")), none, LineMember::LicenceVersion),
            (
                13,
                upgrade.clone(),
                Existing::Pool { upgradable: 2 },
                LineMember::Count,
            ),
            (13, upgrade, none, LineMember::Upgraded),
            (2, named(|w| w.displays = 0), none, LineMember::Displays),
            (
                2,
                named(|w| w.account_name = "a_b".into()),
                none,
                LineMember::AccountName,
            ),
            (
                2,
                named(|w| w.account_name = "ADMIN".into()),
                none,
                LineMember::AccountName,
            ),
            (2, named(|w| w.region = Some(9)), none, LineMember::Region),
            (
                2,
                named(|w| w.version = Some(9)),
                none,
                LineMember::InstanceVersion,
            ),
        ] {
            let fault = priced(product, details.clone(), existing).expect_err("no price");
            assert_eq!((fault.line, fault.member), (Some(0), member), "{details:?}");
        }
        let catalogue = catalogue();
        let empty = pricing(&catalogue).lines(&[], &[]).expect_err("no price");
        assert_eq!(empty.why, "Missing Line Items");
    }

    #[test]
    fn subtotal_without_discount_with_tax_is_the_total() {
        let catalogue = catalogue();
        let line = priced(1, licences(2, None), Existing::Nothing).expect("a price");
        let totals = pricing(&catalogue).totals(&[line, line]).expect("totals");
        let minor = [totals.subtotal, totals.discount, totals.tax, totals.total].map(Money::minor);
        assert_eq!(minor, [7_980, 798, 1_436, 8_618]);
    }

    #[test]
    fn a_begun_month_counts_whole() {
        for (seconds, months) in [(0, 1), (1, 1), (31 * 86_400, 1), (32 * 86_400, 2)] {
            let end = NOW.plus(std::time::Duration::from_secs(seconds));
            assert_eq!(months_until(NOW, end), months, "{seconds}");
        }
        assert_eq!(months_until(NOW, NOW.plus_months(12)), 12);
        assert_eq!(months_until(NOW, NOW.plus_months(40)), 12);
    }
}
