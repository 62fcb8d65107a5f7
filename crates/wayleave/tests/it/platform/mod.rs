//! The platform API, called as its published client calls it: what that puts on the wire and what it
//! makes of answers was measured.

mod account;
mod client_suite;
mod cloud;
mod credentials;
mod errors;
mod examples;
mod lists;
mod once;
mod orders;
mod pools;
mod wire;

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_engine::{AccountChange, Actor, Engine, pretended_card};
use wayleave_testkit::{Answer, Call};

use crate::harness::{Keys, TestNode, wait_for};

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
const CATALOGUE: &str = include_str!("../../../src/demo_catalogue.json");

/// A partner's client in one environment.
pub(crate) struct Client<'n> {
    node: &'n TestNode,
    environment: Environment,
    keys: Keys,
    token: String,
}

/// Puts the catalogue of the demonstration into an environment.
pub(crate) fn put_catalogue(engine: &Engine) {
    let catalogue = serde_json::from_str(CATALOGUE).expect("a catalogue");
    wait_for(engine.put_catalogue(&Actor::system(), catalogue)).expect("put");
}

impl<'n> Client<'n> {
    /// A new partner's, in an environment that sells what the demonstration does.
    pub(crate) fn new(node: &'n TestNode) -> Self {
        put_catalogue(node.engine(Environment::Test));
        Client::another(node)
    }

    /// One more partner's.
    pub(crate) fn another(node: &'n TestNode) -> Self {
        let keys = node.keys(Environment::Test, Audience::Platform);
        Client::with(node, Environment::Test, keys)
    }

    /// Gets its token as the client does: the three fields in a form, no `Accept`.
    pub(crate) fn with(node: &'n TestNode, environment: Environment, keys: Keys) -> Self {
        let fields = [
            ("client_id", keys.public_id.as_str()),
            ("client_secret", keys.secret.as_str()),
            ("grant_type", "client_credentials"),
        ];
        let call = node.address(environment).post("/authorize/access_token");
        let answer = guzzle(call).form(&fields).send().expect(200).json();
        let token = answer["access_token"].as_str().expect("a token").to_owned();
        Client {
            node,
            environment,
            keys,
            token,
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.node.engine(self.environment)
    }

    /// A call that has not been sent.
    pub(crate) fn call(&self, method: &str, route: &str) -> Call {
        let call = self
            .node
            .address(self.environment)
            .call(method, &format!("/api{route}"));
        guzzle(call).bearer(&self.token)
    }

    pub(crate) fn get(&self, route: &str, query: &[(&str, &str)]) -> Answer {
        let query = php_query(query);
        let separator = if query.is_empty() { "" } else { "?" };
        self.call("GET", &format!("{route}{separator}{query}"))
            .send()
    }

    /// A list that is there, and how many there are in all.
    pub(crate) fn list(&self, route: &str, query: &[(&str, &str)]) -> (Vec<Value>, i64) {
        let answer = self.get(route, query).expect(200);
        let total = answer.header("x-total-count").expect("a total");
        let total = total.parse().expect("a number");
        match answer.json() {
            Value::Array(rows) => (rows, total),
            other => panic!("no list: {other}"),
        }
    }

    /// POST, PUT or DELETE with fields: a form, and its content type also where there is no body.
    pub(crate) fn send(&self, method: &str, route: &str, fields: &[(&str, &str)]) -> Answer {
        self.call(method, route)
            .body(FORM, php_query(fields))
            .send()
    }

    /// The lines of a cart as a JSON text in one field of a form.
    pub(crate) fn cart(&self, route: &str, lines: &Value) -> Answer {
        self.send("POST", route, &[("lineItems", &lines.to_string())])
    }

    /// A quotation of one line.
    pub(crate) fn quote(&self, line: Value) -> Value {
        self.cart("/user/checkout", &json!([line]))
            .expect(200)
            .json()
    }

    pub(crate) fn process(&self, order: &Value, auto_pay: &str) -> Answer {
        let route = format!("/shop/processquote/{}", order["orderId"]);
        self.send("POST", &route, &[("autoPay", auto_pay)])
    }

    /// A demonstration that is there.
    pub(crate) fn demo(&self, name: &str) -> Value {
        let order = self.quote(demo_line(name));
        let processed = self.process(&order, "1").expect(200).json();
        assert_eq!(processed["state"], "complete");
        self.instance(name)
    }

    /// The instance of a name, as the client looks for it.
    pub(crate) fn instance(&self, name: &str) -> Value {
        let search = format!("accountName|{name}");
        let (rows, _) = self.list("/cloud", &[("search", &search)]);
        rows.into_iter().next().expect("an instance")
    }

    /// Saves a card of the processor that pretends.
    pub(crate) fn save_card(&self, word: &str) {
        let change = AccountChange {
            card: Some(pretended_card(word)),
            ..AccountChange::default()
        };
        let partner = self.keys.partner.parse().expect("an id");
        let engine = self.engine();
        wait_for(engine.change_account(&Actor::system(), partner, change)).expect("a card");
    }
}

/// The headers of the published client.
pub(crate) fn guzzle(call: Call) -> Call {
    call.header("User-Agent", "GuzzleHttp/6.5.5 curl/7.88.1 PHP/8.2.36")
}

/// As PHP's `http_build_query` writes it: `+` for a space.
fn php_query(fields: &[(&str, &str)]) -> String {
    let word = |text: &str| -> String {
        let bytes = text.bytes().map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            b' ' => "+".to_owned(),
            _ => format!("%{byte:02X}"),
        });
        bytes.collect()
    };
    let pairs = fields.iter();
    let pairs = pairs.map(|(name, value)| format!("{}={}", word(name), word(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A line as the client writes it for the partner itself: with nulls.
pub(crate) fn line(product: u32, details: Value) -> Value {
    json!({
        "companyId": null,
        "customerName": null,
        "apiRef": null,
        "productId": product,
        "productDetails": details,
    })
}

pub(crate) fn licences_line(count: u32, version: Option<&str>) -> Value {
    line(
        1,
        json!({
            "emailAddress": "test@springsignage.com",
            "version": version,
            "numLicences": count,
        }),
    )
}

pub(crate) fn demo_line(name: &str) -> Value {
    line(17, instance_details(name, 1))
}

pub(crate) fn instance_line(name: &str) -> Value {
    line(2, instance_details(name, 0))
}

fn instance_details(name: &str, is_demo: u8) -> Value {
    json!({
        "account_name": name,
        "displays": 2,
        "monthly_billing": 0,
        "is_demo": is_demo,
        "region_id": 1,
        "domain_id": null,
        "theme_id": null,
        "cms_version_id": null,
    })
}
