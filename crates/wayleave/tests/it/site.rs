//! A property whose pages are managed through the content APIs, with a key set of each kind.

use std::ops::Range;

use serde_json::{Value, json};
use wayleave_core::Environment;
use wayleave_testkit::{Answer, Call};

use crate::harness::{Keys, TestNode};

/// Where its pages live.
pub(crate) const ORIGIN: &str = "https://news.example";

/// A node that answers the content APIs itself, and a property on it.
pub(crate) struct Site {
    pub(crate) node: TestNode,
    pub(crate) environment: Environment,
    pub(crate) partner: String,
    pub(crate) property: String,
    pub(crate) management: Keys,
    pub(crate) access: Keys,
}

impl Site {
    /// A property of the test environment, called `harbour-daily`.
    pub(crate) fn open(mut node: TestNode) -> Self {
        node.reload(|settings| {
            for environment in &mut settings.environments {
                let content = environment.surfaces.content.as_mut();
                content.expect("the content surface").upstream = None;
            }
        });
        Site::add(node, Environment::Test)
    }

    /// A property of a node that answers the content APIs itself.
    pub(crate) fn add(node: TestNode, environment: Environment) -> Self {
        let partner = node.partner(environment);
        let target = format!("/{environment}/v1/properties");
        let body = json!({ "partner": partner, "name": "harbour-daily", "origins": ORIGIN });
        let made = node.operate("POST", &target, Some(body)).expect(201).json();
        let property = made["id"].as_str().expect("an id").to_owned();
        let keys = |audience: &str| {
            let more = json!({ "audience": audience, "property": property });
            node.keys_of(environment, &partner, more)
        };
        let (management, access) = (keys("management"), keys("access"));
        Site {
            node,
            environment,
            partner,
            property,
            management,
            access,
        }
    }

    /// Puts the settings of its property.
    pub(crate) fn put_settings(&self, settings: &Value) {
        put_settings(&self.node, self.environment, &self.property, settings);
    }

    /// The moment of the node's clock, in Unix seconds.
    pub(crate) fn now_s(&self) -> i64 {
        wayleave_engine::Clock::now(&*self.node.clock).unix_s()
    }

    /// A signed request with the Management key set. `rest`: what follows the access key.
    pub(crate) fn management_call(&self, method: &str, rest: &str) -> Call {
        let target = format!("/api/Property/{}{rest}", self.management.public_id);
        let address = self.node.address(self.environment);
        let signer = self.management.signer();
        signer.call(address, method, &target, self.now_s())
    }

    /// Sends one, with a body in JSON where there is one.
    pub(crate) fn manage(&self, method: &str, rest: &str, body: Option<Value>) -> Answer {
        let call = self.management_call(method, rest);
        match body {
            Some(body) => call.json(&body).send(),
            None => call.send(),
        }
    }

    /// Copies a resource behind the addresses, as `P` with a number of five digits.
    pub(crate) fn copy(&self, key: &str, numbers: Range<usize>) {
        let columns = "property_id, name, active, url, title, byline, description, published_at, pricing_group, pricing, paywall_description, paywall_short_description, origin, changed_at";
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM n WHERE i < {})
             INSERT INTO resource (id, external_key, {columns})
             SELECT 'rsc_000000000000000000000' || CAST(n.i AS TEXT), 'P' || CAST(n.i AS TEXT), one.*
             FROM n, (SELECT {columns} FROM resource WHERE external_key = '{key}') AS one",
            numbers.start,
            numbers.end - 1
        );
        self.node.database(self.environment).run(&sql);
    }

    /// Makes or changes a resource.
    pub(crate) fn put(&self, key: &str, body: Value) -> Answer {
        self.manage("PUT", &format!("/Resource/{key}"), Some(body))
    }
}

/// Puts the settings of a property.
pub(crate) fn put_settings(
    node: &TestNode,
    environment: Environment,
    property: &str,
    settings: &Value,
) {
    let target = format!("/{environment}/v1/properties/{property}/settings");
    let body = Some(settings.clone());
    node.operate("POST", &target, body).expect(200);
}
