//! The tests of the published client, replayed.

use serde_json::{Value, json};

use super::{Client, demo_line, licences_line, line};
use crate::harness::{TestNode, on_both_databases};

/// What the client makes of an id.
fn intval(value: &Value) -> i64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    value.as_i64().or(text).unwrap_or_default()
}

on_both_databases! {
    fn the_connection_tests(node: TestNode) {
        let client = Client::new(&node);
        let account = client.get("/user/account", &[]).expect(200).json();
        assert!(intval(&account["id"]) > 0 && intval(&account["companyId"]) > 0, "{account}");
        assert_eq!(account["userName"], "Harbour Signs");
        assert_eq!(account["clientName"], "Till");
        assert_eq!(account["user"]["id"], account["id"]);
        let products = client.get("/products", &[]).expect(200).json();
        assert!(!products["products"].as_array().expect("products").is_empty());
    }

    fn the_cloud_tests(node: TestNode) {
        let client = Client::new(&node);
        assert!(client.list("/theme", &[]).0.len() >= 2);
        assert!(client.list("/cloud/domain", &[]).0.len() >= 3);
        client.demo("apiX1y2Z");
        let (instances, _) = client.list("/cloud", &[]);
        assert!(intval(&instances[0]["hostingId"]) > 0);
    }

    fn the_android_tests(node: TestNode) {
        let client = Client::new(&node);
        client.save_card("pays");
        let order = client.quote(licences_line(2, None));
        client.process(&order, "1").expect(200);
        assert!(!client.list("/android", &[]).0.is_empty());
    }

    fn the_shop_tests(node: TestNode) {
        let client = Client::new(&node);
        let order = client.quote(licences_line(2, None));
        assert!(intval(&order["orderId"]) > 0);
        assert!(order["total"].as_f64().expect("a total") > 0.0);
        let id = order["orderId"].to_string();
        let (found, _) = client.list("/user/orders", &[("orderId", &id)]);
        assert_eq!(found[0]["orderId"], order["orderId"]);
        let processed = client.process(&found[0], "0").expect(200).json();
        assert!(processed["state"].is_string() && processed["message"].is_string());
        let demo = client.quote(demo_line("apiA1b2C"));
        assert!(intval(&demo["orderId"]) > 0);
        assert_eq!(demo["total"], json!(0.0));
    }

    fn a_demonstration_that_is_then_bought(node: TestNode) {
        let client = Client::new(&node);
        let instance = client.demo("apiQ9w8E");
        assert_eq!(instance["accountName"], "apiQ9w8E");
        assert!(intval(&instance["hostingId"]) > 0);
        let upgrade = line(2, json!({ "displays": 2, "upgradeId": instance["hostingId"] }));
        let order = client.quote(upgrade);
        assert!(intval(&order["orderId"]) > 0 && order["total"].as_f64() > Some(0.0));
    }

    fn the_shop_tests_with_a_card_and_without(node: TestNode) {
        let client = Client::new(&node);
        for card in [None, Some("declines"), Some("pays")] {
            if let Some(card) = card {
                client.save_card(card);
            }
            let order = client.quote(licences_line(2, Some("1.7")));
            assert!(order.get("orderId").is_some());
            let processed = client.process(&order, "1").expect(200).json();
            let state = if card == Some("pays") { "complete" } else { "invoiced" };
            assert_eq!(processed["state"], state, "{processed}");
        }
    }

    fn a_dozen_tokens_in_a_moment(node: TestNode) {
        let client = Client::new(&node);
        let clients: Vec<Client> = (0..12)
            .map(|_| Client::with(&node, client.environment, client.keys().clone()))
            .collect();
        for client in clients {
            client.get("/user/account", &[]).expect(200);
        }
    }
}
