//! `GET /products`: the price list, as the caller's partner pays it.

use serde_json::{Value, json};
use wayleave_core::{Currency, Money, PriceList, Product, ProductKind};

use super::error::other;
use super::{Call, Reply, money};
use crate::fault::Fault;

/// An object, not a list: the contract has it so.
pub(super) async fn list(call: &Call<'_>) -> Result<Reply, Fault> {
    let account = call.engine.account(call.buyer.partner_id()).await;
    let account = account.map_err(other)?;
    let catalogue = call.engine.catalogue();
    let list = catalogue.catalogue.price_list(&account.price_list);
    let currency = call.engine.currency_of(&account);
    let products = catalogue.catalogue.products.iter();
    let products: Vec<Value> = products
        .map(|product| entity(product, list, currency))
        .collect();
    let total = products.len() as i64;
    Ok(Reply {
        total: Some(total),
        ..Reply::of(&json!({ "products": products }))
    })
}

fn entity(product: &Product, list: Option<&PriceList>, currency: Currency) -> Value {
    json!({
        "productId": product.number,
        "name": product.name,
        "description": product.description,
        "costs": costs(product, list, currency),
        "terms": product.terms,
        "deliveryTerms": product.delivery_terms,
    })
}

/// One for each currency; demonstrations cost nothing.
fn costs(product: &Product, list: Option<&PriceList>, currency: Currency) -> Vec<Value> {
    if product.kind == ProductKind::DemoInstance {
        return vec![cost(Money::zero(currency), "free")];
    }
    let prices = list.into_iter().flat_map(|list| &list.prices);
    prices
        .filter(|price| price.product == product.number)
        .filter_map(|price| {
            let amount = Money::new(price.unit_minor, price.currency).ok()?;
            Some(cost(amount, &price.notes))
        })
        .collect()
}

fn cost(amount: Money, notes: &str) -> Value {
    json!({
        "unitCost": money(amount),
        "unitCostNotes": notes,
        "currencySymbol": amount.currency().symbol(),
        "currency": amount.currency().code(),
    })
}
