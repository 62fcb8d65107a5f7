//! The operator's address.

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_testkit::DatabaseKind;

use crate::harness::{TestNode, on_both_databases};

on_both_databases! {
    fn a_credential_is_made_listed_without_its_secret_and_revoked(node: TestNode) {
        let keys = node.keys(Environment::Test, Audience::Routes);
        assert!(keys.public_id.starts_with("wl_key_test_") && keys.secret.starts_with("wl_sec_test_"));
        let list = node.operate("GET", "/test/v1/credentials", None).expect(200);
        assert!(!list.text().contains(&keys.secret));
        let listed = &list.json()["data"][0];
        assert_eq!((&listed["id"], &listed["public_id"]), (&json!(keys.credential), &json!(keys.public_id)));
        assert_eq!((&listed["state"], &listed["schemes"]), (&json!("active"), &json!("bearer token")));
        let target = format!("/test/v1/credentials/{}/revoke", keys.credential);
        let first = node.operate("POST", &target, None).expect(200).json();
        assert_eq!(first["state"], "revoked");
        node.clock.advance(std::time::Duration::from_secs(60));
        let again = node.operate("POST", &target, None).expect(200).json();
        assert_eq!(again["revoked_at"], first["revoked_at"]);
    }

    fn what_was_made_is_there_after_a_restart(node: TestNode) {
        let mut node = node;
        let keys = node.keys(Environment::Live, Audience::Management);
        let gone = node.keys(Environment::Live, Audience::Routes);
        node.operate("POST", &format!("/live/v1/credentials/{}/revoke", gone.credential), None).expect(200);
        let lapsed = node.keys(Environment::Live, Audience::Routes);
        node.operate("POST", &format!("/live/v1/partners/{}/lapse", lapsed.partner), None).expect(200);
        node.restart();
        let target = format!("/api/Property/{}", keys.public_id);
        keys.signer().call(node.live, "GET", &target, crate::harness::NOW_S).send().expect(200);
        node.live.get("/token").basic(&gone.public_id, &gone.secret).send().expect(401);
        node.live.get("/token").basic(&lapsed.public_id, &lapsed.secret).send().expect(403);
    }

    fn many_at_once_are_all_there_and_listed_page_by_page(node: TestNode) {
        let partner = node.partner(Environment::Test);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..30 {
                        node.keys_of(Environment::Test, &partner, json!({ "audience": "routes" }));
                    }
                });
            }
        });
        let mut seen = std::collections::BTreeSet::new();
        let mut target = "/test/v1/credentials".to_owned();
        loop {
            let page = node.operate("GET", &target, None).expect(200).json();
            let data = page["data"].as_array().expect("a page").clone();
            seen.extend(data.iter().map(|row| row["id"].as_str().expect("an id").to_owned()));
            if page["has_more"] == false {
                break;
            }
            target = format!("/test/v1/credentials?after={}", data.last().expect("a row")["id"].as_str().expect("an id"));
        }
        assert_eq!(seen.len(), 120);
    }

    fn an_imported_id_is_taken_once_and_guids_in_any_case(node: TestNode) {
        let partner = node.partner(Environment::Live);
        let integration = node.operate("POST", "/live/v1/integrations", Some(json!({ "partner": partner, "name": "Till" })));
        let integration = integration.expect(201).json()["id"].clone();
        let import = |audience: &str, id: &str| {
            let body = json!({ "integration": integration, "audience": audience, "public_id": id, "secret": "s" });
            node.operate("POST", "/live/v1/credentials", Some(body)).status
        };
        assert_eq!(import("routes", "till one"), 201);
        assert_eq!(import("routes", "till one"), 409);
        assert_eq!(import("management", "7d21b0aa-55c3-4e19-bb02-6f3e9c8d1a47"), 201);
        assert_eq!(import("access", "7D21B0AA-55C3-4E19-BB02-6F3E9C8D1A47"), 409);
        assert_eq!(import("routes", "7d21b0aa-55c3-4e19-bb02-6F3E9C8D1A47"), 409, "it would take the key set's place");
        assert_eq!(import("access", "no guid"), 422);
        assert_eq!(import("routes", "a:b"), 422);
        assert_eq!(import("routes", ""), 422);
    }
}

#[test]
fn without_an_operator_token_there_is_only_the_sign_of_life() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    node.admin.get("/livez").send().expect(200);
    for call in [
        node.admin.get("/test/v1/credentials"),
        node.admin.get("/test/v1/credentials").bearer("wrong"),
        node.admin
            .get("/test/v1/credentials")
            .basic("operator", "token"),
        node.admin.get("/anything"),
    ] {
        let answer = call.send().expect(401);
        assert!(answer.header("www-authenticate").is_some());
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
    }
}

#[test]
fn wrong_members_methods_and_addresses_are_told_apart() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let post = |target: &str, body: serde_json::Value| node.operate("POST", target, Some(body));
    assert!(
        post("/test/v1/partners", json!({}))
            .expect(422)
            .text()
            .contains("name")
    );
    post("/test/v1/partners", json!({ "name": 1 })).expect(422);
    post("/test/v1/partners", json!({ "name": "\u{1}" })).expect(422);
    post("/test/v1/partners", json!({ "name": "x", "more": 1 })).expect(400);
    post(
        "/test/v1/integrations",
        json!({ "partner": "ptr_x", "name": "x" }),
    )
    .expect(422);
    let nobody = "ptr_00000000000000000000000000";
    post(
        "/test/v1/integrations",
        json!({ "partner": nobody, "name": "x" }),
    )
    .expect(404);
    post(&format!("/test/v1/partners/{nobody}/lapse"), json!({})).expect(404);
    post("/stage/v1/partners", json!({ "name": "x" })).expect(404);
    post("/test/v2/partners", json!({ "name": "x" })).expect(404);
    node.operate("DELETE", "/test/v1/credentials", None)
        .expect(405);
    node.operate("GET", "/test/v1/credentials/import", None)
        .expect(404);
    node.operate("GET", "/test/v1/keys/rotate", None)
        .expect(405);
    node.operate("POST", "/test/v1/routes", None).expect(405);
}
