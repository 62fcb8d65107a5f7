//! What is sold, at which prices, and what an instance can be made of: one document, which an
//! operator keeps. Orders keep the version of it that they were priced by.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Currency, Limit, Measure, Money, Per, Period, Rate, Scope, ScopeSet};

/// The number of a product, as clients name it.
pub type ProductNumber = u32;

/// A catalogue as an operator writes it, checked by [`Catalogue::check`].
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// The currency of partners for whom no other was chosen.
    pub currency: Currency,
    /// What comes on top of prices.
    pub tax: Tax,
    /// Days until an invoice is due.
    #[serde(default = "thirty")]
    pub payment_days: u32,
    /// Days for which a quote holds.
    #[serde(default = "thirty")]
    pub quote_days: u32,
    /// Days for which a demonstration lives.
    #[serde(default = "fourteen")]
    pub demo_days: u32,
    /// What is sold.
    pub products: Vec<Product>,
    /// Prices; a partner has one of the lists.
    pub price_lists: Vec<PriceList>,
    /// Where an instance can run; the first one where nothing is chosen.
    #[serde(default)]
    pub regions: Vec<Choice>,
    /// Domains below which an instance can lie; the first one where nothing is chosen.
    #[serde(default)]
    pub domains: Vec<Choice>,
    /// How an instance can look; the first one where nothing is chosen.
    #[serde(default)]
    pub themes: Vec<Choice>,
    /// Versions of instances, the newest last.
    #[serde(default)]
    pub instance_versions: Vec<Choice>,
    /// Versions of what is licensed, the newest last.
    #[serde(default)]
    pub licence_versions: Vec<Choice>,
    /// Names that no instance may have.
    #[serde(default)]
    pub reserved_names: BTreeSet<String>,
}

fn thirty() -> u32 {
    30
}

fn fourteen() -> u32 {
    14
}

/// A tax on prices.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tax {
    /// What it is called.
    pub name: String,
    /// In hundredths of a percent: 2000 is 20 %.
    pub basis_points: u32,
}

/// Something that can be chosen, with the number by which clients name it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
}

/// Something that is sold.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Its number, as clients name it.
    pub number: ProductNumber,
    /// What it is.
    pub kind: ProductKind,
    /// Its name.
    pub name: String,
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
    /// On what terms it is sold.
    #[serde(default)]
    pub terms: String,
    /// How and when it is delivered.
    #[serde(default)]
    pub delivery_terms: String,
    /// What a plan gives; nothing else has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<PlanGrants>,
}

/// What a product is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProductKind {
    /// Licences for devices, sold by number.
    LicencePool,
    /// A newer version for licences of a pool, sold by number.
    PoolUpgrade,
    /// A hosted instance, sold by displays and months.
    HostedInstance,
    /// A hosted instance to try out: free, and gone after some days.
    DemoInstance,
    /// Access at the gateway for a term.
    Plan,
}

/// What a plan gives at the gateway.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PlanGrants {
    /// The name of the plan, see [`crate::check_limit_name`].
    pub plan: String,
    /// Scopes that every credential of the partner has while the plan lasts.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Limits that count for the partner while the plan lasts.
    #[serde(default)]
    pub limits: Vec<PlanLimit>,
}

/// A limit of a plan: a rate where it has `per_s`, a quota where it has a `period`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PlanLimit {
    /// What callers are told it is.
    pub name: String,
    /// `credential`, `partner` or `route`; `partner` where nothing is said.
    #[serde(default)]
    pub per: Option<String>,
    /// How many requests.
    pub requests: i64,
    /// The span of a rate, in seconds.
    #[serde(default)]
    pub per_s: Option<u32>,
    /// How many requests of a rate may come at once; as many as in its span where nothing is said.
    #[serde(default)]
    pub burst: Option<u32>,
    /// The period of a quota: `hour`, `day` or `month`.
    #[serde(default)]
    pub period: Option<String>,
}

/// The prices for some of the partners.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// Its name; partners for whom no other was chosen have `standard`.
    pub name: String,
    /// What is taken off, in hundredths of a percent.
    #[serde(default)]
    pub discount_basis_points: u32,
    /// One price for each product and currency.
    pub prices: Vec<Price>,
}

/// What one unit of a product costs without tax: a licence, an upgrade, a display for a month, a
/// month of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of which product.
    pub product: ProductNumber,
    /// In which currency.
    pub currency: Currency,
    /// In minor units of that currency.
    pub unit_minor: i64,
    /// What the unit is, for people.
    #[serde(default)]
    pub notes: String,
}

/// The price list of partners for whom no other was chosen.
pub const STANDARD_PRICE_LIST: &str = "standard";

/// A catalogue that cannot be used, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CatalogueError(String);

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CatalogueError {}

fn wrong(why: impl Into<String>) -> Result<(), CatalogueError> {
    Err(CatalogueError(why.into()))
}

impl Catalogue {
    /// A catalogue with nothing in it, from which nothing can be bought.
    pub fn empty(currency: Currency) -> Self {
        Catalogue {
            currency,
            tax: Tax {
                name: "none".to_owned(),
                basis_points: 0,
            },
            payment_days: thirty(),
            quote_days: thirty(),
            demo_days: fourteen(),
            products: Vec::new(),
            price_lists: vec![PriceList {
                name: STANDARD_PRICE_LIST.to_owned(),
                discount_basis_points: 0,
                prices: Vec::new(),
            }],
            regions: Vec::new(),
            domains: Vec::new(),
            themes: Vec::new(),
            instance_versions: Vec::new(),
            licence_versions: Vec::new(),
            reserved_names: BTreeSet::new(),
        }
    }

    /// Whether everything that refers to something finds it, and every number and price can be.
    pub fn check(&self) -> Result<(), CatalogueError> {
        if self.tax.basis_points > 10_000 {
            return wrong("tax: basis_points is at most 10000");
        }
        let days = [self.payment_days, self.quote_days, self.demo_days];
        if days.iter().any(|days| !(1..=366).contains(days)) {
            return wrong("payment_days, quote_days and demo_days are from 1 to 366");
        }
        for (noun, choices) in self.choices() {
            check_numbers(noun, choices.iter().map(|choice| choice.number))?;
        }
        let numbers = self.products.iter().map(|product| product.number);
        check_numbers("products", numbers)?;
        self.check_plans()?;
        self.check_needs()?;
        self.check_price_lists()
    }

    fn choices(&self) -> [(&'static str, &[Choice]); 5] {
        [
            ("regions", &self.regions),
            ("domains", &self.domains),
            ("themes", &self.themes),
            ("instance_versions", &self.instance_versions),
            ("licence_versions", &self.licence_versions),
        ]
    }

    fn check_plans(&self) -> Result<(), CatalogueError> {
        let mut names = BTreeSet::new();
        for product in &self.products {
            let named = |why: String| CatalogueError(format!("product {}: {why}", product.number));
            let grants = match (product.kind, &product.grants) {
                (ProductKind::Plan, Some(grants)) => grants,
                (ProductKind::Plan, None) => {
                    return Err(named("a plan has grants".to_owned()));
                }
                (_, None) => continue,
                (_, Some(_)) => return Err(named("only plans have grants".to_owned())),
            };
            crate::check_limit_name(&grants.plan).map_err(|error| named(error.to_string()))?;
            grants.scopes().map_err(&named)?;
            grants.limits().map_err(&named)?;
            if !names.insert(&grants.plan) {
                return Err(named("another product has a plan of this name".to_owned()));
            }
        }
        Ok(())
    }

    /// What instances and licences are made of has to be there where they are sold.
    fn check_needs(&self) -> Result<(), CatalogueError> {
        use ProductKind::{DemoInstance, HostedInstance, LicencePool, PoolUpgrade};
        let sells = |kinds: [ProductKind; 2]| {
            let mut products = self.products.iter();
            products.any(|product| kinds.contains(&product.kind))
        };
        let instances = sells([HostedInstance, DemoInstance]);
        let licences = sells([LicencePool, PoolUpgrade]);
        for (noun, choices) in self.choices() {
            let is_needed = match noun {
                "licence_versions" => licences,
                _ => instances,
            };
            if is_needed && choices.is_empty() {
                return wrong(format!("{noun}: what is sold needs at least one"));
            }
        }
        Ok(())
    }

    fn check_price_lists(&self) -> Result<(), CatalogueError> {
        let mut names = BTreeSet::new();
        for list in &self.price_lists {
            if !names.insert(list.name.as_str()) {
                return wrong(format!("price list {}: it is there twice", list.name));
            }
            if list.discount_basis_points > 10_000 {
                let why = "discount_basis_points is at most 10000";
                return wrong(format!("price list {}: {why}", list.name));
            }
            self.check_prices(list)?;
        }
        match names.contains(STANDARD_PRICE_LIST) {
            true => Ok(()),
            false => wrong("there is no price list of the name standard"),
        }
    }

    fn check_prices(&self, list: &PriceList) -> Result<(), CatalogueError> {
        let mut seen = BTreeSet::new();
        for price in &list.prices {
            let at = format!(
                "price list {}: product {}, {}",
                list.name, price.product, price.currency
            );
            if self.product(price.product).is_none() {
                return wrong(format!("{at}: there is no such product"));
            }
            if price.unit_minor < 0 || Money::new(price.unit_minor, price.currency).is_err() {
                return wrong(format!("{at}: unit_minor is from 0 to 10^12"));
            }
            if !seen.insert((price.product, price.currency)) {
                return wrong(format!("{at}: the price is there twice"));
            }
        }
        Ok(())
    }

    /// The product of a number.
    pub fn product(&self, number: ProductNumber) -> Option<&Product> {
        self.products
            .iter()
            .find(|product| product.number == number)
    }

    /// The price list of a name.
    pub fn price_list(&self, name: &str) -> Option<&PriceList> {
        self.price_lists.iter().find(|list| list.name == name)
    }

    /// The products that are plans.
    pub fn plans(&self) -> impl Iterator<Item = (&Product, &PlanGrants)> {
        let products = self.products.iter();
        products.filter_map(|product| Some((product, product.grants.as_ref()?)))
    }
}

fn check_numbers(noun: &str, numbers: impl Iterator<Item = u32>) -> Result<(), CatalogueError> {
    let mut seen = BTreeSet::new();
    for number in numbers {
        if number == 0 {
            return wrong(format!("{noun}: numbers begin with 1"));
        }
        if !seen.insert(number) {
            return wrong(format!("{noun}: {number} is there twice"));
        }
    }
    Ok(())
}

impl PlanGrants {
    /// The scopes that it grants. Errors: a text that is no scope.
    pub fn scopes(&self) -> Result<ScopeSet, String> {
        let scopes: Result<Vec<Scope>, _> = self.scopes.iter().map(|text| text.parse()).collect();
        let scopes = scopes.map_err(|error| error.to_string())?;
        Ok(scopes.into_iter().collect())
    }

    /// The limits that it sets. Errors: one that cannot be.
    pub fn limits(&self) -> Result<Vec<Limit>, String> {
        self.limits.iter().map(PlanLimit::limit).collect()
    }
}

impl PlanLimit {
    /// The limit that is meant. Errors: what it lacks or has too much.
    pub fn limit(&self) -> Result<Limit, String> {
        let named = |why: &dyn fmt::Display| format!("limit {}: {why}", self.name);
        crate::check_limit_name(&self.name).map_err(|error| named(&error))?;
        let per = match &self.per {
            None => Per::Partner,
            Some(word) => word.parse().map_err(|error| named(&error))?,
        };
        let measure = match (self.per_s, &self.period) {
            (Some(per_s), None) => {
                let requests = u32::try_from(self.requests).unwrap_or(u32::MAX);
                let rate = Rate::new(requests, per_s, self.burst.unwrap_or(requests));
                Measure::Rate(rate.map_err(|error| named(&error))?)
            }
            (None, Some(period)) if self.burst.is_none() => {
                let period: Period = period.parse().map_err(|error| named(&error))?;
                Measure::quota(self.requests, period).map_err(|error| named(&error))?
            }
            _ => return Err(named(&"it has either per_s, or a period and no burst")),
        };
        Ok(Limit {
            name: self.name.clone(),
            per,
            measure,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A catalogue that holds, with one of each.
    fn document() -> Value {
        let choice = || json!([{ "number": 1, "name": "one" }]);
        let product =
            |number: u32, kind: &str| json!({ "number": number, "kind": kind, "name": "Product" });
        let mut plan = product(40, "plan");
        plan["grants"] = json!({
            "plan": "reports",
            "scopes": ["reports:read"],
            "limits": [
                { "name": "rate", "requests": 20, "per_s": 1 },
                { "name": "month", "requests": 100_000, "period": "month" },
            ],
        });
        json!({
            "currency": "EUR",
            "tax": { "name": "VAT", "basis_points": 2000 },
            "products": [
                product(1, "licence-pool"), product(13, "pool-upgrade"),
                product(2, "hosted-instance"), product(17, "demo-instance"), plan,
            ],
            "price_lists": [{
                "name": "standard",
                "prices": [
                    { "product": 1, "currency": "EUR", "unit_minor": 2400 },
                    { "product": 1, "currency": "GBP", "unit_minor": 0 },
                ],
            }],
            "regions": choice(), "domains": choice(), "themes": choice(),
            "instance_versions": choice(), "licence_versions": choice(),
        })
    }

    /// What is said of the catalogue in which the value at a place is another one.
    fn told(pointer: &str, value: Value) -> String {
        let mut changed = document();
        *changed.pointer_mut(pointer).expect("a place") = value;
        let catalogue: Catalogue = serde_json::from_value(changed).expect("a catalogue");
        let refused = catalogue.check();
        refused.expect_err("it cannot be used").to_string()
    }

    fn added(pointer: &str, value: Value) -> String {
        let document = document();
        let list = document.pointer(pointer).and_then(Value::as_array);
        let mut list = list.expect("a list").clone();
        list.push(value);
        told(pointer, json!(list))
    }

    #[test]
    fn a_catalogue_that_holds_is_fine_and_reads_back_as_it_is_written() {
        let catalogue: Catalogue = serde_json::from_value(document()).expect("a catalogue");
        assert_eq!(catalogue.check(), Ok(()));
        let days = [
            catalogue.payment_days,
            catalogue.quote_days,
            catalogue.demo_days,
        ];
        assert_eq!(days, [30, 30, 14]);
        let text = serde_json::to_string(&catalogue).expect("json");
        assert_eq!(
            serde_json::from_str::<Catalogue>(&text).ok(),
            Some(catalogue)
        );
        let empty = Catalogue::empty("GBP".parse().expect("a currency"));
        assert_eq!(empty.check(), Ok(()));
    }

    #[test]
    fn what_nobody_knows_is_no_catalogue() {
        for (pointer, member) in [("", "colour"), ("/products/0", "price"), ("/tax", "rate")] {
            let mut changed = document();
            changed.pointer_mut(pointer).expect("a place")[member] = json!(1);
            let read: Result<Catalogue, _> = serde_json::from_value(changed);
            assert!(read.is_err_and(|error| error.to_string().contains(member)));
        }
        let mut changed = document();
        changed["products"][0]["kind"] = json!("licence");
        assert!(serde_json::from_value::<Catalogue>(changed).is_err());
    }

    #[test]
    fn numbers_and_days_have_bounds_and_numbers_are_there_once() {
        let percent = told("/tax/basis_points", json!(10_001));
        assert_eq!(percent, "tax: basis_points is at most 10000");
        for member in ["payment_days", "quote_days", "demo_days"] {
            for days in [0, 367] {
                let mut changed = document();
                changed[member] = json!(days);
                let catalogue: Catalogue = serde_json::from_value(changed).expect("a catalogue");
                let why = catalogue.check().expect_err("too few or many").to_string();
                assert!(why.contains("from 1 to 366"), "{member} {days}: {why}");
            }
        }
        for noun in [
            "regions",
            "domains",
            "themes",
            "instance_versions",
            "licence_versions",
        ] {
            let at = format!("/{noun}");
            let none = told(&format!("{at}/0/number"), json!(0));
            assert_eq!(none, format!("{noun}: numbers begin with 1"));
            let twice = added(&at, json!({ "number": 1, "name": "two" }));
            assert_eq!(twice, format!("{noun}: 1 is there twice"));
            let missing = told(&at, json!([]));
            assert_eq!(missing, format!("{noun}: what is sold needs at least one"));
        }
        let none = told("/products/0/number", json!(0));
        assert_eq!(none, "products: numbers begin with 1");
        let twice = told("/products/0/number", json!(2));
        assert_eq!(twice, "products: 2 is there twice");
    }

    #[test]
    fn only_what_is_sold_needs_something_to_choose_from() {
        let mut changed = document();
        changed["products"] = json!([]);
        changed["price_lists"][0]["prices"] = json!([]);
        changed["regions"] = json!([]);
        changed["licence_versions"] = json!([]);
        let catalogue: Catalogue = serde_json::from_value(changed).expect("a catalogue");
        assert_eq!(catalogue.check(), Ok(()));
    }

    #[test]
    fn plans_have_grants_that_can_be_and_nothing_else_has() {
        let grants = "/products/4/grants";
        let none = told(grants, Value::Null);
        assert_eq!(none, "product 40: a plan has grants");
        let kind = told("/products/4/kind", json!("licence-pool"));
        assert_eq!(kind, "product 40: only plans have grants");
        let again = json!({
            "number": 41, "kind": "plan", "name": "Again", "grants": { "plan": "reports" },
        });
        let again = added("/products", again);
        assert_eq!(again, "product 41: another product has a plan of this name");
        for (place, value, why) in [
            ("plan", json!("Reports!"), "product 40: "),
            ("scopes", json!(["two words"]), "product 40: "),
            (
                "limits/0/name",
                json!("no name"),
                "product 40: limit no name: ",
            ),
            ("limits/0/per", json!("planet"), "product 40: limit rate: "),
            ("limits/0/requests", json!(0), "product 40: limit rate: "),
            (
                "limits/0/per_s",
                Value::Null,
                "it has either per_s, or a period and no burst",
            ),
            (
                "limits/0/period",
                json!("day"),
                "it has either per_s, or a period and no burst",
            ),
            (
                "limits/1/period",
                json!("week"),
                "product 40: limit month: ",
            ),
            ("limits/1/requests", json!(-1), "product 40: limit month: "),
        ] {
            let mut changed = document();
            let mut at = &mut changed["products"][4]["grants"];
            for step in place.split('/') {
                at = match step.parse::<usize>() {
                    Ok(index) => &mut at[index],
                    Err(_) => &mut at[step],
                };
            }
            *at = value;
            let catalogue: Catalogue = serde_json::from_value(changed).expect("a catalogue");
            let told = catalogue.check().expect_err(place).to_string();
            assert!(told.contains(why), "{place}: {told}");
        }
        let mut burst = document();
        burst["products"][4]["grants"]["limits"][1]["burst"] = json!(5);
        let catalogue: Catalogue = serde_json::from_value(burst).expect("a catalogue");
        assert!(catalogue.check().is_err(), "a quota has no burst");
    }

    #[test]
    fn every_price_is_of_a_product_and_there_once_and_one_list_is_the_standard_one() {
        let prices = "/price_lists/0/prices";
        let foreign = told(&format!("{prices}/0/product"), json!(99));
        assert_eq!(
            foreign,
            "price list standard: product 99, EUR: there is no such product"
        );
        for minor in [-1, 1_000_000_000_001_i64] {
            let why = told(&format!("{prices}/0/unit_minor"), json!(minor));
            assert!(why.ends_with("unit_minor is from 0 to 10^12"), "{why}");
        }
        let twice = told(&format!("{prices}/1/currency"), json!("EUR"));
        assert_eq!(
            twice,
            "price list standard: product 1, EUR: the price is there twice"
        );
        let much = told(
            "/price_lists/0",
            json!({ "name": "standard", "discount_basis_points": 10_001, "prices": [] }),
        );
        assert_eq!(
            much,
            "price list standard: discount_basis_points is at most 10000"
        );
        let second = added("/price_lists", json!({ "name": "standard", "prices": [] }));
        assert_eq!(second, "price list standard: it is there twice");
        let none = told("/price_lists/0/name", json!("other"));
        assert_eq!(none, "there is no price list of the name standard");
    }
}
