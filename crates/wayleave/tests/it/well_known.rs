//! `/.well-known/…`, and the form of tokens.

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_engine::Algorithm;
use wayleave_testkit::DatabaseKind;

use crate::harness::{NOW_S, TestNode, on_both_databases};

fn keys(node: &TestNode) -> Vec<Value> {
    let answer = node.live.get("/.well-known/jwks.json").send().expect(200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/jwk-set+json")
    );
    answer.json()["keys"].as_array().expect("keys").clone()
}

fn decode(part: &str) -> Value {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .expect("base64url");
    serde_json::from_slice(&bytes).expect("json")
}

on_both_databases! {
    fn tokens_and_keys_outlive_a_restart_and_only_public_members_are_published(node: TestNode) {
        let mut node = node;
        let pair = node.keys(Environment::Live, Audience::Platform);
        let before = keys(&node);
        assert_eq!(before.len(), 2, "one that signs and the next");
        for key in &before {
            let members: Vec<&String> = key.as_object().expect("a key").keys().collect();
            assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        }
        node.restart();
        assert_eq!(keys(&node), before);
        node.oauth_token(Environment::Live, &pair);
    }

    fn the_next_key_is_published_long_before_it_signs_and_the_old_one_stays_for_a_token_life(node: TestNode) {
        let pair = node.keys(Environment::Live, Audience::Platform);
        let token = node.oauth_token(Environment::Live, &pair);
        let signer = |token: &str| decode(token.split('.').next().expect("a header"))["kid"].clone();
        let published = |kid: &Value| keys(&node).iter().any(|key| key["kid"] == *kid);
        let tend = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let engine = node.engine(Environment::Live);
            runtime.block_on(engine.tend_signing_keys()).expect("tended");
        };
        let first = signer(&token);
        let next = keys(&node).iter().map(|key| key["kid"].clone()).find(|kid| *kid != first).expect("a next key");
        node.clock.set(NOW_S + 30 * 24 * 3600 + 1);
        tend();
        assert_eq!(signer(&node.oauth_token(Environment::Live, &pair)), next);
        assert!(published(&first));
        assert_eq!(keys(&node).len(), 3);
        node.clock.advance(std::time::Duration::from_secs(3 * 3600));
        tend();
        assert!(!published(&first) && published(&next));
    }
}

#[test]
fn a_token_is_what_rfc_9068_says_with_kid_first() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let pair = node.keys(Environment::Live, Audience::Platform);
    let token = node.oauth_token(Environment::Live, &pair);
    let parts: Vec<&str> = token.split('.').collect();
    let header = decode(parts[0]);
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&json!("ES256"), &json!("at+jwt"))
    );
    assert!(parts[0].starts_with("eyJraW"));
    let claims = decode(parts[1]);
    assert_eq!(claims["iss"], node.live_url);
    assert_eq!(
        (&claims["aud"], &claims["client_id"]),
        (&json!("platform"), &json!(pair.public_id))
    );
    assert_eq!(
        (&claims["iat"], &claims["exp"]),
        (&json!(NOW_S), &json!(NOW_S + 3600))
    );
    assert!(claims["jti"].as_str().is_some_and(|id| id.len() >= 20));
}

#[test]
fn metadata_names_the_addresses_of_its_own_environment() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    for (address, url) in [(node.live, &node.live_url), (node.test, &node.test_url)] {
        let answer = address
            .get("/.well-known/oauth-authorization-server")
            .send()
            .expect(200)
            .json();
        assert_eq!(answer["issuer"], *url);
        assert_eq!(answer["token_endpoint"], format!("{url}/oauth/token"));
        assert_eq!(answer["jwks_uri"], format!("{url}/.well-known/jwks.json"));
        assert_eq!(
            answer["grant_types_supported"],
            json!(["client_credentials"])
        );
    }
    node.live.post("/.well-known/jwks.json").send().expect(405);
}

#[test]
fn the_other_algorithms_issue_tokens_that_hold() {
    for (algorithm, kty) in [(Algorithm::EdDsa, "OKP"), (Algorithm::Rs256, "RSA")] {
        let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
            settings.algorithm = algorithm
        });
        let pair = node.keys(Environment::Live, Audience::Routes);
        let token = node.token(Environment::Live, &pair);
        assert!(token.starts_with("eyJraW"));
        node.live.get("/hello").bearer(&token).send().expect(200);
        assert!(keys(&node).iter().all(|key| key["kty"] == kty));
    }
}
