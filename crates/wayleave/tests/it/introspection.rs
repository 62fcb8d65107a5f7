//! `/oauth/introspect` and `/oauth/revoke`, and the operator's own.

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_testkit::{Answer, DatabaseKind};

use crate::harness::{Keys, NOW_S, TestNode, on_both_databases};

const TEST: Environment = Environment::Test;

fn ask(node: &TestNode, target: &str, keys: &Keys, token: &str) -> Answer {
    let call = node.test.post(target).basic(&keys.public_id, &keys.secret);
    call.form(&[("token", token)]).send()
}

fn is_active(node: &TestNode, keys: &Keys, token: &str) -> bool {
    let answer = ask(node, "/oauth/introspect", keys, token).expect(200);
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    answer.json()["active"] == true
}

on_both_databases! {
    fn a_client_sees_its_own_token_and_of_another_only_that_it_is_not_active(node: TestNode) {
        let (own, other) = (node.keys(TEST, Audience::Platform), node.keys(TEST, Audience::Routes));
        let token = node.oauth_token(TEST, &own);
        let seen = ask(&node, "/oauth/introspect", &own, &token).expect(200).json();
        assert_eq!((&seen["active"], &seen["client_id"]), (&json!(true), &json!(own.public_id)));
        assert_eq!((&seen["aud"], &seen["exp"]), (&json!("platform"), &json!(NOW_S + 3600)));
        let foreign = ask(&node, "/oauth/introspect", &other, &token).expect(200).json();
        assert_eq!(foreign, json!({ "active": false }));
        assert!(is_active(&node, &other, &node.token(TEST, &other)));
        for text in ["nonsense", "a.b.c", &token[..token.len() - 2]] {
            assert!(!is_active(&node, &own, text));
        }
        let live = node.keys(Environment::Live, Audience::Platform);
        assert!(!is_active(&node, &own, &node.oauth_token(Environment::Live, &live)));
    }

    fn only_a_proven_client_may_ask(node: TestNode) {
        let keys = node.keys(TEST, Audience::Platform);
        let token = node.oauth_token(TEST, &keys);
        for target in ["/oauth/introspect", "/oauth/revoke"] {
            let wrong = Keys { secret: "wrong".to_owned(), ..keys.clone() };
            assert_eq!(ask(&node, target, &wrong, &token).expect(401).json()["error"], "invalid_client");
            node.test.post(target).form(&[("token", &token)]).send().expect(401);
            node.test.post(target).bearer(&token).form(&[("token", &token)]).send().expect(401);
            node.test.get(target).send().expect(405);
            let missing = node.test.post(target).basic(&keys.public_id, &keys.secret).form(&[("x", "y")]).send();
            assert_eq!(missing.expect(400).json()["error"], "invalid_request");
            let in_query = node.test.post(&format!("{target}?token={token}")).basic(&keys.public_id, &keys.secret);
            in_query.form(&[("token", &token)]).send().expect(400);
        }
        node.test.get("/hello").bearer(&token).send().expect(200);
    }

    fn a_revoked_token_is_dead_on_the_next_request_and_no_other(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        let (one, two) = (node.token(TEST, &keys), node.token(TEST, &keys));
        node.test.get("/hello").bearer(&one).send().expect(200);
        ask(&node, "/oauth/revoke", &keys, &one).expect(200);
        node.test.get("/hello").bearer(&one).send().expect(401);
        assert!(!is_active(&node, &keys, &one));
        node.test.get("/hello").bearer(&two).send().expect(200);
        ask(&node, "/oauth/revoke", &keys, &one).expect(200);
    }

    fn anothers_token_is_not_revoked_and_the_answer_does_not_tell(node: TestNode) {
        let (own, other) = (node.keys(TEST, Audience::Routes), node.keys(TEST, Audience::Routes));
        let token = node.token(TEST, &own);
        let foreign = ask(&node, "/oauth/revoke", &other, &token).expect(200).text();
        assert_eq!(foreign, ask(&node, "/oauth/revoke", &other, "nonsense").expect(200).text());
        node.test.get("/hello").bearer(&token).send().expect(200);
    }

    fn an_operator_sees_whose_a_token_is_and_ends_any(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        let token = node.token(TEST, &keys);
        let ask = |verb: &str, token: &str| -> Value {
            node.operate("POST", &format!("/test/v1/tokens/{verb}"), Some(json!({ "token": token }))).expect(200).json()
        };
        let seen = ask("introspect", &token);
        assert_eq!((&seen["credential"], &seen["partner"]), (&json!(keys.credential), &json!(keys.partner)));
        assert_eq!(ask("revoke", &token), json!({ "revoked": true }));
        assert_eq!(ask("revoke", &token), json!({ "revoked": false }));
        assert_eq!(ask("introspect", &token), json!({ "active": false }));
        node.test.get("/hello").bearer(&token).send().expect(401);
    }

    fn a_removed_signing_key_takes_its_tokens_along_even_those_seen(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        let token = node.token(TEST, &keys);
        node.test.get("/hello").bearer(&token).send().expect(200);
        let listed = node.operate("GET", "/test/v1/keys", None).expect(200).json();
        assert_eq!((&listed["data"][0]["state"], &listed["data"][1]["state"]), (&json!("current"), &json!("next")));
        let leaked = listed["data"][0]["kid"].as_str().expect("a kid").to_owned();
        let left = node.operate("POST", &format!("/test/v1/keys/{leaked}/remove"), None).expect(200).json();
        assert_eq!(left["data"][0]["kid"], listed["data"][1]["kid"]);
        node.test.get("/hello").bearer(&token).send().expect(401);
        let set = node.test.get("/.well-known/jwks.json").send().expect(200).text();
        assert!(!set.contains(&leaked));
        let fresh = node.token(TEST, &keys);
        node.test.get("/hello").bearer(&fresh).send().expect(200);
        node.operate("POST", &format!("/test/v1/keys/{leaked}/remove"), None).expect(404);
    }

    fn a_rotated_key_was_published_before_and_the_old_one_stays(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        let token = node.token(TEST, &keys);
        let before = node.operate("GET", "/test/v1/keys", None).expect(200).json();
        let refused = node.operate("POST", "/test/v1/keys/rotate", Some(json!({}))).expect(409);
        assert!(refused.text().contains("ten minutes"));
        node.clock.advance(std::time::Duration::from_secs(600));
        let after = node.operate("POST", "/test/v1/keys/rotate", Some(json!({}))).expect(200).json();
        let states: Vec<&Value> = after["data"].as_array().expect("keys").iter().map(|key| &key["state"]).collect();
        assert_eq!(states, ["retired", "current", "next"]);
        assert_eq!(after["data"][1]["kid"], before["data"][1]["kid"], "the published one signs");
        node.test.get("/hello").bearer(&token).send().expect(200);
        let fresh = node.token(TEST, &keys);
        node.test.get("/hello").bearer(&fresh).send().expect(200);
    }
}

fn a_revocation_outlives_the_process(kind: DatabaseKind) {
    // A fixed issuer, since the port is another after the restart.
    let mut node = TestNode::start_with(kind, |settings| {
        settings.environments[1].public_url = Some("http://127.0.0.1:1".to_owned());
    });
    let keys = node.keys(TEST, Audience::Routes);
    let (one, two) = (node.token(TEST, &keys), node.token(TEST, &keys));
    ask(&node, "/oauth/revoke", &keys, &one).expect(200);
    node.restart();
    node.test.get("/hello").bearer(&one).send().expect(401);
    node.test.get("/hello").bearer(&two).send().expect(200);
}

#[test]
fn a_revocation_outlives_the_process_on_sqlite() {
    a_revocation_outlives_the_process(DatabaseKind::Sqlite);
}

#[test]
fn a_revocation_outlives_the_process_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        a_revocation_outlives_the_process(DatabaseKind::Postgres);
    }
}
