//! Credentials that a partner makes for one of its customers.

use serde_json::{Value, json};
use wayleave_core::Environment;

use super::{Client, FORM, instance_line, licences_line, php_query};
use crate::harness::{Keys, TestNode, on_both_databases};

/// A line for a customer that the partner knows by a reference.
fn for_customer(reference: &str, mut line: Value) -> Value {
    line["apiRef"] = json!(reference);
    line["customerName"] = json!(format!("Shop {reference}"));
    line
}

/// A client that acts for one customer, by a credential that the partner made.
fn child<'n>(
    node: &'n TestNode,
    parent: &Client<'n>,
    fields: &[(&str, &str)],
) -> (Client<'n>, Value) {
    let made = parent
        .send("POST", "/user/credentials", fields)
        .expect(200)
        .json();
    let text = |name: &str| made[name].as_str().expect(name).to_owned();
    let keys = Keys {
        public_id: text("clientId"),
        secret: text("clientSecret"),
        ..parent.keys().clone()
    };
    (Client::with(node, Environment::Test, keys), made)
}

/// A partner with two customers, each with licences and an instance, and things of its own.
fn with_two_customers<'n>(node: &'n TestNode) -> Client<'n> {
    let client = Client::new(node);
    client.save_card("pays");
    for (place, reference) in ["a", "b"].into_iter().enumerate() {
        let lines = [
            for_customer(reference, licences_line(2, None)),
            for_customer(reference, instance_line(&format!("Shop-{place}"))),
        ];
        let order = client
            .cart("/user/checkout", &json!(lines))
            .expect(200)
            .json();
        client.process(&order, "1").expect(200);
    }
    let order = client.quote(instance_line("Own-1"));
    client.process(&order, "1").expect(200);
    client
}

on_both_databases! {
    fn a_credential_of_a_customer_sees_and_buys_for_that_customer_only(node: TestNode) {
        let client = with_two_customers(&node);
        let (child, made) = child(&node, &client, &[("apiRef", "a"), ("name", "Shop a's till")]);
        assert_eq!((&made["apiRef"], &made["name"]), (&json!("a"), &json!("Shop a's till")));
        for query in [vec![], vec![("includeChildCompanies", "1")]] {
            let (rows, total) = child.list("/cloud", &query);
            assert_eq!((total, &rows[0]["accountName"]), (1, &json!("Shop-0")), "{query:?}");
            assert_eq!(child.list("/android", &query).1, 1);
        }
        for query in [[("companyApiRef", "b")], [("search", "accountName|Own-1")]] {
            assert_eq!(child.list("/cloud", &query).1, 0, "{query:?}");
        }
        assert_eq!(child.list("/user/orders", &[]).1, 1);
        let theirs = client.instance("Own-1")["hostingId"].to_string();
        for (method, route) in [
            ("POST", format!("/cloud/upgrade/{theirs}")),
            ("PUT", format!("/cloud/renewNow/{theirs}")),
            ("DELETE", format!("/cloud/deleteNow/{theirs}/Own-1")),
        ] {
            child.send(method, &route, &[("cmsVersionId", "3")]).expect(404);
        }
        let order = child.quote(licences_line(1, None));
        child.process(&order, "1").expect(200);
        for (reference, count) in [("a", 3), ("b", 2)] {
            let (rows, _) = client.list("/android", &[("companyApiRef", reference)]);
            assert_eq!(rows[0]["numberOfLicences"], count, "{reference}");
        }
        let other = for_customer("b", licences_line(1, None));
        let refused = child.cart("/user/checkout", &json!([other]));
        assert!((400..500).contains(&refused.status), "{}", refused.text());
        assert_eq!(child.list("/user/orders", &[]).1, 2);
    }

    fn a_customers_credential_makes_no_further_ones_and_ends_at_once(node: TestNode) {
        let client = with_two_customers(&node);
        let (child, made) = child(&node, &client, &[("apiRef", "a")]);
        let id = made["clientId"].as_str().expect("an id");
        for answer in [
            child.send("POST", "/user/credentials", &[("apiRef", "a")]),
            child.get("/user/credentials", &[]),
            child.send("DELETE", &format!("/user/credentials/{id}"), &[]),
        ] {
            answer.expect(403);
        }
        let (rows, total) = client.list("/user/credentials", &[]);
        assert_eq!((total, &rows[0]["clientId"]), (1, &made["clientId"]));
        assert!(rows[0].get("clientSecret").is_none(), "secrets are seen once");
        let stranger = Client::another(&node);
        assert_eq!(stranger.list("/user/credentials", &[]).1, 0);
        let route = format!("/user/credentials/{id}");
        stranger.send("DELETE", &route, &[]).expect(404);
        child.get("/user/account", &[]).expect(200);
        client.send("DELETE", &route, &[]).expect(204);
        child.get("/user/account", &[]).expect(401);
        client.send("DELETE", &route, &[]).expect(204);
        assert_eq!(client.list("/user/credentials", &[]).1, 0);
        let own = format!("/user/credentials/{}", client.keys().public_id);
        client.send("DELETE", &own, &[]).expect(404);
    }

    fn a_credential_is_made_once_and_its_secret_is_not_kept(node: TestNode) {
        let client = with_two_customers(&node);
        let make = || {
            let body = php_query(&[("apiRef", "b")]);
            let call = client.call("POST", "/user/credentials").body(FORM, body);
            call.header("Idempotency-Key", "k-1").send().expect(200)
        };
        let (first, again) = (make(), make());
        let (made, shown) = (first.json(), again.json());
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(shown["clientId"], made["clientId"]);
        assert!(shown.get("clientSecret").is_none());
        assert_eq!(client.list("/user/credentials", &[]).1, 1);
        let kept = node.database(Environment::Test).run("SELECT * FROM idempotency_key");
        let secret = made["clientSecret"].as_str().expect("a secret");
        assert!(kept.contains("k-1") && !kept.contains(secret));
        for (fields, property) in [
            (vec![], "companyId"),
            (vec![("apiRef", "nobody")], "apiRef"),
            (vec![("companyId", "999999")], "companyId"),
            (vec![("apiRef", "a"), ("scopes", "orders:write")], "scopes"),
        ] {
            let refused = client.send("POST", "/user/credentials", &fields).expect(422);
            assert_eq!(refused.json()["property"], property, "{fields:?}");
        }
    }
}
