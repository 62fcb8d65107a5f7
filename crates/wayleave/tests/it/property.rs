//! Properties, their key sets and their administrators.

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_testkit::Answer;

use crate::harness::{NOW_S, PROPERTY_ADMINISTRATOR, TestNode, on_both_databases};

const TEST: Environment = Environment::Test;

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn property(node: &TestNode, partner: &str) -> String {
    let body = json!({ "partner": partner, "name": "Harbour Daily", "origins": "https://WWW.example.com:443" });
    let made = node.operate("POST", "/test/v1/properties", Some(body));
    id(&made.expect(201))
}

/// What the property administrator is answered.
fn administer(node: &TestNode, method: &str, target: &str, body: &Value) -> Answer {
    let call = node.admin.call(method, target);
    call.bearer(PROPERTY_ADMINISTRATOR).json(body).send()
}

on_both_databases! {
    fn a_property_is_made_changed_listed_and_there_after_a_restart(node: TestNode) {
        let mut node = node;
        let partner = node.partner(TEST);
        let property = property(&node, &partner);
        property_of_another_partner(&node);
        let one = format!("/test/v1/properties/{property}");
        let shown = node.operate("GET", &one, None).expect(200).json();
        assert_eq!((&shown["partner"], &shown["origins"]), (&json!(partner), &json!(["https://www.example.com"])));
        let change = format!("{one}/change");
        let origins = json!({ "origins": "https://m.example.com https://www.example.com" });
        node.operate("POST", &change, Some(origins)).expect(200);
        let renamed = node.operate("POST", &change, Some(json!({ "name": "Daily" }))).expect(200).json();
        assert_eq!(renamed["origins"], json!(["https://m.example.com", "https://www.example.com"]));
        node.restart();
        let list = node.operate("GET", &format!("/test/v1/properties?partner={partner}"), None).expect(200).json();
        assert_eq!(list["data"], json!([renamed]));
        node.operate("GET", &format!("/live/v1/properties/{property}"), None).expect(404);
        for refused in ["http://example.com", "https://example.com/page", "example.com"] {
            node.operate("POST", &change, Some(json!({ "origins": refused }))).expect(422);
        }
    }

    fn a_key_set_tells_the_api_behind_which_property_it_is_of(node: TestNode) {
        let mut node = node;
        let partner = node.partner(TEST);
        let own = property(&node, &partner);
        let keys = node.keys_of(TEST, &partner, json!({ "audience": "management", "property": own }));
        let ask = |node: &TestNode| {
            let target = format!("/api/Property/{}", keys.public_id);
            let answer = keys.signer().call(node.test, "GET", &target, NOW_S).send();
            answer.expect(200).json()["caller"]["wayleave-property"].clone()
        };
        assert_eq!(ask(&node), json!(own));
        node.restart();
        assert_eq!(ask(&node), json!(own));
        let list = |property: &str| {
            let target = format!("/test/v1/credentials?property={property}");
            node.operate("GET", &target, None).expect(200).json()["data"].clone()
        };
        assert_eq!(list(&own)[0]["id"], json!(keys.credential));
        assert_eq!(list(&property(&node, &partner)), json!([]));
    }

    fn a_key_set_is_of_a_property_of_its_own_partner_and_of_no_other(node: TestNode) {
        let partner = node.partner(TEST);
        let foreign = property_of_another_partner(&node);
        let own = property(&node, &partner);
        let integration = node.integration(TEST, &partner);
        let pair = json!({ "public_id": "3F2504E0-4F89-41D3-9A0C-0305E82C3301", "secret": "kept by the partner" });
        let body = |property: &str, audience: &str| {
            json!({ "integration": integration, "audience": audience, "property": property })
        };
        node.operate("POST", "/test/v1/credentials", Some(body(&foreign, "access"))).expect(409);
        node.operate("POST", "/test/v1/credentials", Some(body(&own, "routes"))).expect(422);
        let mut entry = body(&foreign, "access");
        entry["public_id"] = pair["public_id"].clone();
        entry["secret"] = pair["secret"].clone();
        let import = |entry: &Value| {
            let entries = json!({ "credentials": [entry] });
            node.operate("POST", "/test/v1/credentials/import", Some(entries))
        };
        import(&entry).expect(409);
        entry["property"] = json!(own);
        assert_eq!(import(&entry).expect(200).json()["imported"], 1);
    }

    fn an_administrator_has_their_properties_and_nothing_else(node: TestNode) {
        let mut node = node;
        let partner = node.partner(TEST);
        let (own, other) = (property(&node, &partner), property(&node, &partner));
        let integration = node.integration(TEST, &partner);
        node.give(&[&own]);
        node.restart();
        let call = |method: &str, target: &str, body: Value| {
            administer(&node, method, &format!("/test/v1/{target}"), &body)
        };
        let mine = call("GET", "properties", json!({})).expect(200).json();
        assert_eq!((mine["data"].as_array().map(Vec::len), &mine["data"][0]["id"]), (Some(1), &json!(own)));
        call("POST", &format!("properties/{own}/change"), json!({ "name": "Mine" })).expect(200);
        call("GET", &format!("integrations?partner={partner}"), json!({})).expect(200);
        let make = |property: &str| {
            call("POST", "credentials", json!({ "integration": integration, "audience": "access", "property": property }))
        };
        let made = id(&make(&own).expect(201));
        assert_eq!(call("GET", "credentials", json!({})).expect(200).json()["data"][0]["id"], json!(made));
        for verb in ["roll", "disable", "enable", "refresh", "revoke"] {
            call("POST", &format!("credentials/{made}/{verb}"), json!({})).expect(200);
        }
        make(&other).expect(404);
        let foreign = node.keys_of(TEST, &partner, json!({ "audience": "access", "property": other })).credential;
        let routes = node.keys(TEST, Audience::Routes);
        for credential in [&foreign, &routes.credential] {
            call("GET", &format!("credentials/{credential}"), json!({})).expect(404);
            for verb in ["roll", "disable", "enable", "refresh", "revoke"] {
                call("POST", &format!("credentials/{credential}/{verb}"), json!({})).expect(404);
            }
        }
        call("GET", &format!("properties/{other}"), json!({})).expect(404);
        call("POST", &format!("properties/{other}/change"), json!({ "name": "Mine" })).expect(404);
        call("GET", &format!("credentials?property={other}"), json!({})).expect(404);
        call("GET", &format!("integrations?partner={}", routes.partner), json!({})).expect(404);
        call("GET", "integrations", json!({})).expect(422);
        call("POST", "credentials", json!({ "integration": integration, "audience": "access" })).expect(422);
        for (method, target) in [
            ("GET", "partners"),
            ("GET", "audit"),
            ("GET", "keys"),
            ("POST", "properties"),
            ("POST", "partners"),
            ("POST", "credentials/import"),
            ("POST", "tokens/revoke"),
        ] {
            call(method, target, json!({})).expect(403);
        }
    }
}

fn property_of_another_partner(node: &TestNode) -> String {
    property(node, &node.partner(TEST))
}
