//! What goes wrong, in the form and with the names of the published contract.

use serde_json::{Value, json};
use wayleave_core::Environment;
use wayleave_testkit::Answer;

use super::{Client, FORM, demo_line, instance_line, licences_line, line};
use crate::harness::{TestNode, on_both_databases};

/// An error in the form of the contract; gives the name of what is at fault.
#[track_caller]
fn property(answer: Answer, status: u16) -> Value {
    let answer = answer.expect(status);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(body["error"], status, "{body}");
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "{body}"
    );
    assert_eq!(body["help"], Value::Null);
    body["property"].clone()
}

on_both_databases! {
    fn an_empty_cart_is_told_in_the_documented_words(node: TestNode) {
        let client = Client::new(&node);
        for answer in [
            client.send("POST", "/user/checkout", &[]),
            client.cart("/user/checkout", &json!([])),
            client.cart("/user/cart/validate", &json!(null)),
        ] {
            let body = answer.expect(422).json();
            let wanted = json!({
                "error": 422,
                "message": "Missing Line Items",
                "property": "lineItems",
                "help": null,
            });
            assert_eq!(body, wanted);
        }
    }

    fn what_is_at_fault_in_a_line_is_named_as_the_client_spells_it(node: TestNode) {
        let client = Client::new(&node);
        let change = |mut line: Value, name: &str, value: Value| {
            line["productDetails"][name] = value;
            line
        };
        let licences = || licences_line(2, None);
        let instance = || instance_line("apiX1y2Z");
        let whose = |name: &str, value: Value| {
            let mut line = licences();
            line[name] = value;
            line
        };
        let both = json!({
            "companyId": 7, "apiRef": "a-1", "customerName": "Pier",
            "productId": 1, "productDetails": licences()["productDetails"],
        });
        for (line, name) in [
            (json!({ "productDetails": {} }), "productId"),
            (line(99, json!({})), "productId"),
            (line(2, licences()["productDetails"].clone()), "productId"),
            (line(1, json!("text")), "productId"),
            (change(licences(), "emailAddress", json!("nobody")), "emailAddress"),
            (change(licences(), "emailAddress", json!(null)), "emailAddress"),
            (change(licences(), "version", json!("0.1")), "version"),
            (change(licences(), "numLicences", json!(0)), "numLicences"),
            (change(licences(), "numLicences", json!(-1)), "numLicences"),
            (change(licences(), "numLicences", json!(1.5)), "numLicences"),
            (change(licences(), "numLicences", json!(1_000_000_000)), "numLicences"),
            (change(instance(), "displays", json!(0)), "displays"),
            (change(instance(), "account_name", json!("a_b")), "account_name"),
            (change(instance(), "account_name", json!("ADMIN")), "account_name"),
            (change(instance(), "account_name", json!("ab")), "account_name"),
            (change(instance(), "region_id", json!(9)), "region_id"),
            (change(instance(), "domain_id", json!(9)), "domain_id"),
            (change(instance(), "theme_id", json!(9)), "theme_id"),
            (change(instance(), "cms_version_id", json!(9)), "cms_version_id"),
            (change(instance(), "monthly_billing", json!(2)), "monthly_billing"),
            (change(instance(), "monthly_billing", json!(1)), "monthly_billing"),
            (line(40, json!({ "months": 13 })), "months"),
            (whose("apiRef", json!("a-1")), "customerName"),
            (whose("customerName", json!("Pier")), "apiRef"),
            (both, "companyId"),
        ] {
            let answer = client.cart("/user/cart/validate", &json!([line]));
            assert_eq!(property(answer, 422), name, "{line}");
        }
        let answer = client.cart("/user/checkout", &json!([licences(), line(99, json!({}))]));
        let message = answer.expect(422).json()["message"].clone();
        assert!(message.as_str().expect("text").starts_with("item 2: "), "{message}");
    }

    fn what_belongs_to_nobody_or_to_others_is_not_there(node: TestNode) {
        let client = Client::new(&node);
        client.save_card("pays");
        let order = client.quote(licences_line(2, Some("1.7")));
        client.process(&order, "1").expect(200);
        let quote = client.quote(demo_line("apiQuote1"));
        let hosting = client.demo("apiX1y2Z")["hostingId"].clone();
        let pool = client.list("/android", &[]).0[0].clone();
        let child = {
            let mut line = licences_line(1, None);
            (line["apiRef"], line["customerName"]) = (json!("a-1"), json!("Pier"));
            client.quote(line);
            7
        };
        let other = Client::another(&node);
        other.save_card("pays");
        for (client, hosting, android, version, order) in [
            (&other, hosting, pool["androidId"].clone(), pool["versionId"].clone(), quote["orderId"].clone()),
            (&client, json!(7), json!(7), json!(7), json!(7)),
        ] {
            property(client.send("POST", &format!("/cloud/upgrade/{hosting}"), &[("cmsVersionId", "3")]), 404);
            property(client.send("PUT", &format!("/cloud/renewNow/{hosting}"), &[]), 404);
            property(client.send("DELETE", &format!("/cloud/deleteNow/{hosting}/apiX1y2Z"), &[]), 404);
            property(client.get(&format!("/android/devices/{version}"), &[]), 404);
            property(client.send("DELETE", &format!("/android/devices/{version}/7"), &[]), 404);
            property(client.process(&json!({ "orderId": order }), "1"), 404);
            let change = line(2, json!({ "displays": 3, "upgradeId": hosting }));
            property(client.cart("/user/checkout", &json!([change])), 404);
            let upgrade = line(13, json!({ "numLicences": 1, "upgradeId": android }));
            property(client.cart("/user/checkout", &json!([upgrade])), 404);
            let mut foreign = licences_line(1, None);
            foreign["companyId"] = json!(child);
            assert_eq!(property(client.cart("/user/checkout", &json!([foreign])), 404), "companyId");
            let id = order.to_string();
            assert_eq!(client.list("/user/orders", &[("orderId", &id)]), (Vec::new(), 0));
        }
        assert_eq!(client.instance("apiX1y2Z")["isDemo"], 1, "nothing came of it");
        property(client.send("POST", "/shop/processquote/seven", &[]), 404);
    }

    fn every_error_is_json_with_its_status_in_it(node: TestNode) {
        let client = Client::new(&node);
        let address = node.address(Environment::Test);
        let unproven = address.get("/api/user/account").send();
        assert_eq!(unproven.header("www-authenticate"), Some("Bearer realm=\"wayleave\""));
        property(unproven, 401);
        let wrong = address.get("/api/nothing").bearer("wrong").send();
        let challenge = wrong.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        property(wrong, 401);
        property(client.get("/nothing", &[]), 404);
        property(client.get("/user", &[]), 404);
        let method = client.get("/user/checkout", &[]);
        assert_eq!(method.header("allow"), Some("POST"));
        property(method, 405);
        let unread = |media_type: &str, body: &str| {
            client.call("POST", "/user/checkout").body(media_type, body).send()
        };
        property(unread("application/json", "{"), 400);
        property(unread("application/json", "[]"), 400);
        property(unread(FORM, "lineItems=[{]"), 400);
        property(unread(FORM, "lineItems=[],\"x\":1"), 400);
        property(unread(FORM, "a=1&a=2"), 400);
        property(unread("text/plain", "lineItems=[]"), 415);
        property(unread("application/json", "{\"lineItems\":{}}"), 422);
        property(unread("application/json", "{\"lineItems\":[7]}"), 422);
        property(unread(FORM, &"a".repeat(300 * 1024)), 413);
    }

    fn a_name_is_taken_whatever_its_case(node: TestNode) {
        let client = Client::new(&node);
        client.demo("apiX1y2Z");
        let other = Client::another(&node);
        for taken in ["apiX1y2Z", "APIX1Y2Z"] {
            let answer = other.cart("/user/checkout", &json!([demo_line(taken)]));
            assert_eq!(property(answer, 409), "account_name");
        }
        let twice = json!([demo_line("apiTwice"), demo_line("APItwice")]);
        assert_eq!(property(other.cart("/user/checkout", &twice), 409), "account_name");
    }

    fn hostile_texts_are_texts_everywhere(node: TestNode) {
        let client = Client::new(&node);
        client.demo("apiX1y2Z");
        for text in [
            "' OR '1'='1", "'; DROP TABLE instance; --", "%", "_", "\\", "\u{0}", "\u{202e}", "$1",
            "9999999999999999999999", "-1", "1e3", "../../etc/passwd", "\u{1f4fa}", "any",
            "<script>", "{}", "a\r\nX-Injected: 1",
        ] {
            let mut lines = licences_line(1, None);
            (lines["apiRef"], lines["customerName"]) = (json!(text), json!(text));
            let mut instance = instance_line(text);
            instance["companyId"] = json!(text);
            let answers = [
                client.get("/cloud", &[("search", text)]),
                client.get("/cloud", &[("search", &format!("accountName|{text}"))]),
                client.get("/cloud", &[("companyApiRef", text), ("start", text)]),
                client.get("/cloud", &[("companyApiRef", text)]),
                client.get("/android", &[("search", &format!("version|{text}"))]),
                client.get("/user/orders", &[("orderId", text)]),
                client.send("POST", "/user/checkout", &[("lineItems", text)]),
                client.cart("/user/checkout", &json!([lines])),
                client.cart("/user/checkout", &json!([instance])),
                client.cart("/user/checkout", &json!([instance_line(text)])),
                client.cart("/user/checkout", &json!([licences_line(1, Some(text))])),
            ];
            for answer in answers {
                assert!(answer.status < 500, "{text:?}: {}", answer.text());
                assert_eq!(answer.header("x-injected"), None);
                answer.json();
            }
        }
        assert_eq!(client.list("/cloud", &[]).1, 1);
        assert_eq!(client.list("/cloud", &[("companyApiRef", "any")]).1, 0, "what it is called matters not");
    }
}
