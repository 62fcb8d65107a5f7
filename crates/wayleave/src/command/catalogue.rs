//! `wayleave catalogue`: what is sold, at which prices, and what it can be made of.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};
use wayleave_core::{Catalogue, Money, PriceList, Product, STANDARD_PRICE_LIST};

use super::Outcome;
use super::document::read_document;
use super::print::{Column, moment, plain};
use super::remote::{AdminArgs, Remote};
use super::shown::{Part, show_with};

const COLUMNS: &[Column] = &[
    plain("version", "version"),
    plain("put by", "put_by"),
    moment("put", "created_at", "never"),
    plain("currency", "currency"),
    plain("tax", "tax"),
    plain("price lists", "lists"),
];

const PRODUCTS: &[Column] = &[
    plain("product", "number"),
    plain("name", "name"),
    plain("kind", "kind"),
    plain("standard prices", "prices"),
];

/// What to do with the catalogue.
#[derive(Subcommand)]
pub(crate) enum CatalogueAct {
    /// Show what is sold. With --json: the whole document, which put takes again.
    #[command(
        after_long_help = "Example:\n  wayleave catalogue show --env live\n  wayleave catalogue show --version 3 --json > catalogue.json"
    )]
    Show {
        /// An older version.
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Put a new version; it counts from the next request on, for everything that has no price yet.
    #[command(after_long_help = "Example:\n  wayleave catalogue put catalogue.toml --env test")]
    Put {
        /// A file in TOML (its name ends in .toml) or JSON; - for JSON from standard input.
        file: PathBuf,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: CatalogueAct) -> Outcome {
    match act {
        CatalogueAct::Show { version, admin } => {
            let mut remote = Remote::new(&admin)?;
            let path = match version {
                Some(version) => format!("/catalogue/versions/{version}"),
                None => "/catalogue".to_owned(),
            };
            let found = remote.get(&path)?;
            print(&remote, found, "Catalogue")
        }
        CatalogueAct::Put { file, admin } => {
            let mut document = read_document(&file, "a catalogue")?;
            // What show --json prints has the document inside.
            if let Some(inner) = document.get_mut("catalogue") {
                document = inner.take();
            }
            let mut remote = Remote::new(&admin)?;
            let put = remote.post("/catalogue", Some(&document))?;
            print(&remote, put, "Put")
        }
    }
}

/// For people the document is laid out as what it means.
fn print(remote: &Remote, mut found: Value, done: &str) -> Outcome {
    if !remote.json {
        let document = found["catalogue"].take();
        let catalogue: Catalogue = serde_json::from_value(document).map_err(|error| {
            format!("the node sells what this command does not know ({error}): compare wayleave --version")
        })?;
        describe(&mut found, &catalogue);
    }
    let parts = [Part {
        member: "products",
        columns: PRODUCTS,
    }];
    show_with(remote, &found, COLUMNS, &parts, done)
}

fn describe(shown: &mut Value, catalogue: &Catalogue) {
    let standard = catalogue.price_list(STANDARD_PRICE_LIST);
    let products = catalogue.products.iter().map(|product| {
        json!({
            "number": product.number,
            "name": product.name,
            "kind": product.kind,
            "prices": standard.map(|list| prices(list, product)).unwrap_or_default(),
        })
    });
    let percent = f64::from(catalogue.tax.basis_points) / 100.0;
    let lists = catalogue.price_lists.iter().map(|list| &list.name);
    shown["currency"] = json!(catalogue.currency);
    shown["tax"] = json!(format!("{} {percent} %", catalogue.tax.name));
    shown["lists"] = lists.cloned().collect();
    shown["products"] = products.collect();
}

fn prices(list: &PriceList, product: &Product) -> String {
    let prices = list.prices.iter();
    let of_product = prices.filter(|price| price.product == product.number);
    let texts = of_product.filter_map(|price| {
        let money = Money::new(price.unit_minor, price.currency).ok()?;
        Some(format!("{money} {}", price.currency))
    });
    texts.collect::<Vec<_>>().join(", ")
}
