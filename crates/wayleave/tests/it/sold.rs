//! What tests sell and buy: the catalogue of the demonstration, carts, and orders that the engine
//! places for a partner.

use serde_json::{Value, json};
use wayleave_core::{CartLine, Environment, LineDetails, NewInstance, Recipient};
use wayleave_engine::{Acceptance, Actor, OrderRefusal, OrderWithLines};

use crate::harness::{TestNode, wait_for};

/// The catalogue of the demonstration.
pub(crate) fn catalogue() -> Value {
    serde_json::from_str(include_str!("../../src/demo_catalogue.json")).expect("a catalogue")
}

/// Puts the catalogue of the demonstration.
pub(crate) fn put_catalogue(node: &TestNode, environment: Environment) {
    let target = format!("/{environment}/v1/catalogue");
    node.operate("POST", &target, Some(catalogue())).expect(201);
}

/// Saves a card of the processor that pretends.
pub(crate) fn save_card(node: &TestNode, environment: Environment, partner: &str, word: &str) {
    let target = format!("/{environment}/v1/partners/{partner}/account/change");
    node.operate("POST", &target, Some(json!({ "card": word })))
        .expect(200);
}

/// A line for the partner itself.
pub(crate) fn own(product: u32, details: LineDetails) -> CartLine {
    CartLine {
        recipient: Recipient::Own,
        product,
        details,
    }
}

/// Licences of the newest version.
pub(crate) fn licences(count: u32) -> CartLine {
    let details = LineDetails::Licences {
        email: "shop@harbour.example".to_owned(),
        version: None,
        count,
    };
    own(1, details)
}

/// A hosted instance of two displays: product 2 by the year, or a demonstration, product 17.
pub(crate) fn instance(product: u32, name: &str) -> CartLine {
    let details = LineDetails::NewInstance(NewInstance {
        account_name: name.to_owned(),
        displays: 2,
        is_monthly: false,
        renews: false,
        region: Some(1),
        domain: None,
        theme: None,
        version: None,
    });
    own(product, details)
}

/// The plan of the catalogue for a month.
pub(crate) fn plan() -> CartLine {
    let details = LineDetails::Plan {
        months: 1,
        renews: false,
    };
    own(40, details)
}

/// Orders something for a partner and accepts the quote.
pub(crate) fn order(
    node: &TestNode,
    environment: Environment,
    partner: &str,
    lines: &[CartLine],
    auto_pay: bool,
) -> Result<OrderWithLines, OrderRefusal> {
    let acceptance = Acceptance {
        auto_pay,
        hook_url: None,
    };
    let partner = partner.parse().expect("an id");
    let engine = node.engine(environment);
    wait_for(engine.place_order(&Actor::system(), partner, lines, acceptance))
}

/// Orders with a saved card; gives the order as the admin address shows it.
pub(crate) fn buy(
    node: &TestNode,
    environment: Environment,
    partner: &str,
    lines: &[CartLine],
) -> Value {
    let bought = order(node, environment, partner, lines, true).expect("an order");
    let target = format!("/{environment}/v1/orders/{}", bought.order.id);
    node.operate("GET", &target, None).expect(200).json()
}

/// Ids of what a partner bought.
pub(crate) struct Sold {
    pub(crate) order: String,
    pub(crate) instance: String,
    pub(crate) pool: String,
    pub(crate) plan: String,
}

/// Puts the catalogue and sells a partner one thing of each kind, paid by a saved card, in one order.
pub(crate) fn sell_everything(node: &TestNode, environment: Environment, partner: &str) -> Sold {
    put_catalogue(node, environment);
    save_card(node, environment, partner, "pays");
    let name = format!("own{}", &partner[partner.len() - 8..]);
    let lines = [instance(2, &name), licences(3), plan()];
    let order = buy(node, environment, partner, &lines);
    assert_eq!(order["state"], "complete", "{order}");
    let delivered = |place: usize| {
        let id = order["lines"][place]["delivered"].as_str();
        id.expect("it was delivered").to_owned()
    };
    Sold {
        order: order["id"].as_str().expect("an id").to_owned(),
        instance: delivered(0),
        pool: delivered(1),
        plan: delivered(2),
    }
}
