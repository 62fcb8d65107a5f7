//! `lineItems`: a JSON list, or a text that holds one; read into the lines of a cart.

use serde_json::{Map, Value};
use wayleave_core::{
    CartLine, Catalogue, LineDetails, NewInstance, Product, ProductKind, Recipient,
};

use super::error::invalid;
use super::fields::Fields;
use crate::fault::Fault;

/// A name by which the list is made an object, so that the strict reader of objects reads it.
const WRAPPED: &str = "lineItems";

const LICENCES: [&str; 3] = ["emailAddress", "version", "numLicences"];
const UPGRADE: [&str; 2] = ["upgradeId", "numLicences"];
const CHANGED_INSTANCE: [&str; 2] = ["upgradeId", "displays"];
const NEW_INSTANCE: [&str; 9] = [
    "account_name",
    "displays",
    "monthly_billing",
    "is_demo",
    "region_id",
    "domain_id",
    "theme_id",
    "cms_version_id",
    "renew",
];
const PLAN: [&str; 2] = ["months", "renew"];

/// The cart of a request.
pub(super) fn read(catalogue: &Catalogue, body: &Fields) -> Result<Vec<CartLine>, Fault> {
    let lines = match body.value(WRAPPED) {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => parse(text)?,
        Some(value) => value.clone(),
    };
    let lines = match lines {
        Value::Array(lines) => lines,
        Value::Null => Vec::new(),
        _ => return Err(invalid(WRAPPED, "lineItems is a list")),
    };
    let several = lines.len() > 1;
    let read = lines.into_iter().enumerate();
    read.map(|(place, line)| {
        line_of(catalogue, line).map_err(|fault| match several {
            true => named(fault, place),
            false => fault,
        })
    })
    .collect()
}

/// Says in a fault which line it is about.
fn named(fault: Fault, place: usize) -> Fault {
    match fault {
        Fault::Platform {
            status,
            message,
            property,
        } => Fault::Platform {
            status,
            message: format!("item {}: {message}", place + 1),
            property,
        },
        other => other,
    }
}

fn parse(text: &str) -> Result<Value, Fault> {
    let wrapped = format!("{{\"{WRAPPED}\":{text}\n}}");
    let unread = |error| Fault::BadRequest(format!("lineItems is no JSON list: {error}"));
    let mut members = wayleave_protocol::json::parse_object(wrapped.as_bytes()).map_err(unread)?;
    let is_one = members.len() == 1;
    let list = members.remove(WRAPPED).filter(|_| is_one);
    list.ok_or_else(|| Fault::BadRequest("lineItems is no JSON list".to_owned()))
}

fn line_of(catalogue: &Catalogue, line: Value) -> Result<CartLine, Fault> {
    let Value::Object(members) = line else {
        return Err(invalid(WRAPPED, "each of the lineItems is an object"));
    };
    let line = Fields::of(members);
    let number = line.count("productId")?;
    let number = number.ok_or_else(|| invalid("productId", "productId is missing"))?;
    let product = catalogue.product(number);
    let product =
        product.ok_or_else(|| invalid("productId", "there is no product of this number"))?;
    let wanted = details_of(&line)?;
    let product = wanted_product(catalogue, product, &wanted)?;
    Ok(CartLine {
        recipient: recipient(&line)?,
        product: product.number,
        details: details(product.kind, &wanted)?,
    })
}

fn recipient(line: &Fields) -> Result<Recipient, Fault> {
    let reference = line.text("apiRef")?;
    let name = line.text("customerName")?;
    match (line.number("companyId")?, reference, name) {
        (None, None, None) => Ok(Recipient::Own),
        (Some(number), None, None) => Ok(Recipient::Customer(number)),
        (None, Some(reference), Some(name)) => Ok(Recipient::Reference { reference, name }),
        (Some(_), ..) => Err(invalid(
            "companyId",
            "name a customer by companyId, or by apiRef and customerName",
        )),
        (None, Some(_), None) => Err(invalid("customerName", "customerName is missing")),
        (None, None, Some(_)) => Err(invalid("apiRef", "apiRef is missing")),
    }
}

/// An empty list is what some languages make of an empty object.
fn details_of(line: &Fields) -> Result<Fields, Fault> {
    match line.value("productDetails") {
        None => Ok(Fields::default()),
        Some(Value::Object(members)) => Ok(Fields::of(members.clone())),
        Some(Value::Array(none)) if none.is_empty() => Ok(Fields::of(Map::new())),
        Some(_) => Err(invalid("productId", "productDetails is an object")),
    }
}

/// A demonstration is one by its product or by `is_demo`.
fn wanted_product<'c>(
    catalogue: &'c Catalogue,
    product: &'c Product,
    wanted: &Fields,
) -> Result<&'c Product, Fault> {
    let is_demo = wanted.flag("is_demo")?.unwrap_or_default();
    if !is_demo || product.kind != ProductKind::HostedInstance {
        return Ok(product);
    }
    let mut products = catalogue.products.iter();
    let demo = products.find(|product| product.kind == ProductKind::DemoInstance);
    demo.ok_or_else(|| invalid("productId", "there are no demonstrations"))
}

fn details(kind: ProductKind, wanted: &Fields) -> Result<LineDetails, Fault> {
    match kind {
        ProductKind::LicencePool => licences(wanted),
        ProductKind::PoolUpgrade => upgrade(wanted),
        ProductKind::HostedInstance if wanted.value("upgradeId").is_some() => change(wanted),
        ProductKind::HostedInstance | ProductKind::DemoInstance => new_instance(wanted),
        ProductKind::Plan => plan(wanted),
    }
}

/// Refuses what does not belong to the product.
fn only(wanted: &Fields, known: &[&str]) -> Result<(), Fault> {
    match wanted.names().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(_) => Err(invalid(
            "productId",
            format!(
                "productDetails do not fit the product: it takes {}",
                known.join(", ")
            ),
        )),
    }
}

fn needed<T>(name: &'static str, value: Option<T>) -> Result<T, Fault> {
    value.ok_or_else(|| invalid(name, format!("{name} is missing")))
}

fn licences(wanted: &Fields) -> Result<LineDetails, Fault> {
    only(wanted, &LICENCES)?;
    Ok(LineDetails::Licences {
        email: needed("emailAddress", wanted.text("emailAddress")?)?,
        version: wanted.text("version")?,
        count: needed("numLicences", wanted.count("numLicences")?)?,
    })
}

fn upgrade(wanted: &Fields) -> Result<LineDetails, Fault> {
    only(wanted, &UPGRADE)?;
    Ok(LineDetails::Upgrade {
        pool: needed("upgradeId", wanted.number("upgradeId")?)?,
        count: needed("numLicences", wanted.count("numLicences")?)?,
    })
}

fn change(wanted: &Fields) -> Result<LineDetails, Fault> {
    only(wanted, &CHANGED_INSTANCE)?;
    Ok(LineDetails::ChangeInstance {
        instance: needed("upgradeId", wanted.number("upgradeId")?)?,
        displays: needed("displays", wanted.count("displays")?)?,
    })
}

fn new_instance(wanted: &Fields) -> Result<LineDetails, Fault> {
    only(wanted, &NEW_INSTANCE)?;
    Ok(LineDetails::NewInstance(NewInstance {
        account_name: needed("account_name", wanted.text("account_name")?)?,
        displays: needed("displays", wanted.count("displays")?)?,
        is_monthly: wanted.flag("monthly_billing")?.unwrap_or(false),
        // Nobody loses an instance because nothing was said.
        renews: wanted.flag("renew")?.unwrap_or(true),
        region: wanted.count("region_id")?,
        domain: wanted.count("domain_id")?,
        theme: wanted.count("theme_id")?,
        version: wanted.count("cms_version_id")?,
    }))
}

fn plan(wanted: &Fields) -> Result<LineDetails, Fault> {
    only(wanted, &PLAN)?;
    Ok(LineDetails::Plan {
        months: wanted.count("months")?.unwrap_or(1),
        renews: wanted.flag("renew")?.unwrap_or(false),
    })
}
