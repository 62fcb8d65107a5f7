//! A partner that buys, for tests that look at orders from within: its account, its catalogue, and what
//! it orders.

use serde_json::json;
use wayleave_core::{
    Admission, Audience, AudienceSet, CartLine, Environment, LineDetails, NewInstance, PartnerId,
    Recipient, Scheme, SchemeSet, ScopeSet,
};
use wayleave_engine::{
    Acceptance, AccountChange, Actor, Buyer, Engine, Evidence, OrderWithLines, pretended_card,
};

use crate::harness::TestNode;

const CATALOGUE: &str = include_str!("../../src/demo_catalogue.json");

/// Runs something to its end.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// A new partner of the test environment that may buy, with a card that pays; the first one puts the
/// catalogue.
pub(crate) fn buyer(node: &TestNode) -> Buyer {
    let keys = node.keys(Environment::Test, Audience::Platform);
    let token = node.oauth_token(Environment::Test, &keys);
    let engine = node.engine(Environment::Test);
    let partner: PartnerId = keys.partner.parse().expect("an id");
    wait(async {
        if engine.catalogue().version == 0 {
            let catalogue = serde_json::from_str(CATALOGUE).expect("the catalogue");
            let put = engine.put_catalogue(&Actor::system(), catalogue).await;
            put.expect("put");
        }
        save_card(engine, partner, "pays").await;
        let authorization = format!("Bearer {token}");
        let evidence = Evidence {
            method: "POST",
            authorization: Some(authorization.as_bytes()),
            ..Evidence::default()
        };
        let proven = engine.authenticate(&evidence).expect("a good token");
        let (caller, _) = engine.accept(proven).await.expect("it is taken");
        let admission = Admission {
            audiences: AudienceSet::of(&[Audience::Platform]),
            schemes: SchemeSet::of(&[Scheme::Bearer]),
            scopes: ScopeSet::default(),
        };
        Buyer::of(&caller.admit(&admission).expect("admitted"))
    })
}

/// Saves a card of the processor that pretends; see `pretended_card`.
pub(crate) async fn save_card(engine: &Engine, partner: PartnerId, word: &str) {
    let change = AccountChange {
        card: Some(Some(pretended_card(word).expect("a card"))),
        billing_email: Some("bills@partner.example".to_owned()),
        ..AccountChange::default()
    };
    let by = Actor::system();
    let changed = engine.change_account(&by, partner, change).await;
    changed.expect("changed");
}

fn line(product: u32, details: LineDetails) -> CartLine {
    CartLine {
        recipient: Recipient::Own,
        product,
        details,
    }
}

/// Licences in the pool of an address.
pub(crate) fn licences(email: &str, count: u32) -> CartLine {
    line(
        1,
        LineDetails::Licences {
            email: email.to_owned(),
            version: None,
            count,
        },
    )
}

/// An instance, paid by the year or by the month.
pub(crate) fn instance(name: &str, is_monthly: bool) -> CartLine {
    line(2, LineDetails::NewInstance(new_instance(name, is_monthly)))
}

fn new_instance(name: &str, is_monthly: bool) -> NewInstance {
    NewInstance {
        account_name: name.to_owned(),
        displays: 3,
        is_monthly,
        renews: true,
        region: None,
        domain: None,
        theme: None,
        version: None,
    }
}

/// A plan for some months.
pub(crate) fn plan(months: u32) -> CartLine {
    let renews = false;
    line(40, LineDetails::Plan { months, renews })
}

/// How a quote is accepted: with the saved card or by invoice, and what is called at the end.
pub(crate) fn acceptance(auto_pay: bool, hook: &str) -> Acceptance {
    Acceptance {
        auto_pay,
        hook_url: Some(hook.to_owned()),
    }
}

/// Stores a quote.
pub(crate) async fn quote(engine: &Engine, buyer: Buyer, lines: &[CartLine]) -> OrderWithLines {
    engine.checkout(buyer, lines).await.expect("a quote")
}

/// Who may be told about an order: shown by tests that fail.
pub(crate) fn shown(order: &OrderWithLines) -> String {
    json!({
        "number": order.order.number,
        "state": order.order.state.as_str(),
        "lines": order.lines.len(),
    })
    .to_string()
}
