//! How the published client judges an answer, and in which forms it sends requests.

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_testkit::Answer;

use super::{Client, FORM, demo_line, licences_line, php_query};
use crate::harness::{TestNode, on_both_databases};

/// What the client accepts: 200 or 201 with JSON and nothing truthy in `error`, or 204 with nothing.
fn assert_accepted(answer: &Answer) {
    match answer.status {
        204 => {
            assert!(answer.body.is_empty() && answer.header("content-type").is_none());
        }
        200 | 201 => {
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert!(answer.json().get("error").is_none(), "{}", answer.text());
        }
        other => panic!("{other}: {}", answer.text()),
    }
}

on_both_databases! {
    fn every_answer_is_one_that_the_client_accepts(node: TestNode) {
        let client = Client::new(&node);
        client.save_card("pays");
        let licences = client.quote(licences_line(2, Some("1.7")));
        assert_accepted(&client.process(&licences, "1"));
        let id = client.demo("apiX1y2Z")["hostingId"].to_string();
        for route in [
            "", "/", "/user/account", "/products", "/user/orders", "/cloud", "/cloud/region",
            "/cloud/domain", "/cloud/version", "/theme", "/android",
        ] {
            assert_accepted(&client.get(route, &[]));
        }
        let cart = json!([licences_line(1, None)]);
        assert_accepted(&client.cart("/user/cart/validate", &cart));
        assert_accepted(&client.cart("/user/checkout", &cart));
        assert_accepted(&client.cart("/shop/checkout", &cart));
        let upgraded = client.send("POST", &format!("/cloud/upgrade/{id}"), &[("cmsVersionId", "3")]);
        assert_accepted(&upgraded);
        assert_accepted(&client.send("PUT", &format!("/cloud/renewNow/{id}"), &[]));
        assert_accepted(&client.send("DELETE", &format!("/cloud/deleteNow/{id}/apiX1y2Z"), &[]));
    }

    fn a_cart_is_read_in_every_form_in_which_it_is_sent(node: TestNode) {
        let client = Client::new(&node);
        let lines = json!([licences_line(2, None)]);
        let text = lines.to_string();
        let pretty = serde_json::to_string_pretty(&lines).expect("json");
        let bodies = [
            (FORM, php_query(&[("lineItems", &text)])),
            (FORM, php_query(&[("lineItems", &pretty)])),
            ("application/json", json!({ "lineItems": lines }).to_string()),
            ("application/json", json!({ "lineItems": text }).to_string()),
            ("application/json; charset=utf-8", json!({ "lineItems": pretty }).to_string()),
        ];
        let mut totals = Vec::new();
        for (media_type, body) in bodies {
            let call = client.call("POST", "/user/cart/validate").body(media_type, body);
            totals.push(call.send().expect(200).json()["total"].clone());
        }
        assert!(totals.iter().all(|total| *total == json!(57.6)), "{totals:?}");
    }

    fn slashes_and_bare_tokens_are_forgiven_and_tokens_in_addresses_are_not(node: TestNode) {
        let client = Client::new(&node);
        let address = node.address(Environment::Test);
        for path in ["//api/user/account", "/api//user/account", "/api/user/account/"] {
            address.get(path).bearer(client.token()).send().expect(200);
        }
        address.get("/api/user/account").header("Authorization", client.token()).send().expect(200);
        let path = format!("/api/user/account?access_token={}", client.token());
        address.get(&path).send().expect(401);
    }

    fn keys_of_another_audience_or_a_lapsed_partner_open_nothing(node: TestNode) {
        let client = Client::new(&node);
        let others = node.keys(Environment::Test, Audience::Routes);
        let token = node.token(Environment::Test, &others);
        let address = node.address(Environment::Test);
        let answer = address.get("/api/products").bearer(&token).send().expect(403);
        assert_eq!(answer.json()["error"], 403);
        let lapse = format!("/test/v1/partners/{}/lapse", client.keys().partner);
        node.operate("POST", &lapse, Some(json!({}))).expect(200);
        let answer = client.get("/products", &[]).expect(403).json();
        assert_eq!(answer["error"], 403);
    }

    fn live_and_test_know_nothing_of_each_other(node: TestNode) {
        let client = Client::new(&node);
        client.demo("apiX1y2Z");
        let live = node.keys(Environment::Live, Audience::Platform);
        let live = Client::with(&node, Environment::Live, live);
        assert_eq!(live.list("/cloud", &[]).1, 0);
        assert_eq!(live.list("/user/orders", &[]).1, 0);
        assert_eq!(live.get("/products", &[]).expect(200).json()["products"], json!([]));
        let stranger = node.address(Environment::Live).get("/api/products");
        stranger.bearer(client.token()).send().expect(401);
        let cart = json!([demo_line("apiLive1")]);
        assert_eq!(live.cart("/user/checkout", &cart).expect(422).json()["property"], "productId");
    }

    fn requests_are_counted_and_limited_as_on_routes(node: TestNode) {
        let client = Client::new(&node);
        client.get("/products", &[]).expect(200);
        client.get("/nothing", &[]).expect(404);
        let usage = || {
            let target = format!("/test/v1/usage?partner={}&by=route,status", client.keys().partner);
            node.operate("GET", &target, None).expect(200).text()
        };
        for _ in 0..100 {
            let counted = usage();
            if counted.contains("\"platform\"") && counted.contains("404") {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{}", usage());
    }
}
