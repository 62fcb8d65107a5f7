//! `POST /oauth/token` and `POST /authorize/access_token`.

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_testkit::{Answer, DatabaseKind};

use crate::harness::{Keys, TestNode, on_both_databases};

const STANDARD: &str = "/oauth/token";
const PLATFORM: &str = "/authorize/access_token";

fn form(keys: &Keys) -> [(&'static str, &str); 3] {
    [
        ("grant_type", "client_credentials"),
        ("client_id", &keys.public_id),
        ("client_secret", &keys.secret),
    ]
}

fn check_success(answer: &Answer) {
    let body = answer.json();
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("Bearer"), &json!(3600))
    );
    let token = body["access_token"].as_str().expect("a token");
    assert!(token.starts_with("eyJraW"), "{token}");
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
}

fn refused(answer: Answer, status: u16, error: &str) -> Answer {
    let answer = answer.expect(status);
    assert_eq!(answer.json()["error"], error);
    answer
}

on_both_databases! {
    fn id_and_secret_give_a_token_by_form_and_by_basic(node: TestNode) {
        let keys = node.keys(Environment::Live, Audience::Platform);
        for path in [STANDARD, PLATFORM, "/prod/oauth/token", "//authorize/access_token"] {
            check_success(&node.live.post(path).form(&form(&keys)).send().expect(200));
            let by_basic = node.live.post(path).basic(&keys.public_id, &keys.secret);
            check_success(&by_basic.form(&[("grant_type", "client_credentials")]).send().expect(200));
        }
    }

    fn a_lapsed_partner_gets_no_token_until_it_is_admitted_again(node: TestNode) {
        let keys = node.keys(Environment::Test, Audience::Platform);
        let token = node.oauth_token(Environment::Test, &keys);
        let set = |state: &str| {
            node.operate("POST", &format!("/test/v1/partners/{}/{state}", keys.partner), None).expect(200)
        };
        set("lapse");
        for path in [STANDARD, PLATFORM] {
            refused(node.test.post(path).form(&form(&keys)).send(), 403, "access_denied");
        }
        node.test.get("/hello").bearer(&token).send().expect(403);
        set("admit");
        node.test.get("/hello").bearer(&token).send().expect(200);
        node.oauth_token(Environment::Test, &keys);
    }

    fn revoking_kills_keys_and_tokens_on_the_next_request(node: TestNode) {
        let keys = node.keys(Environment::Test, Audience::Platform);
        let token = node.oauth_token(Environment::Test, &keys);
        node.test.get("/hello").bearer(&token).send().expect(200);
        node.operate("POST", &format!("/test/v1/credentials/{}/revoke", keys.credential), None).expect(200);
        node.test.get("/hello").bearer(&token).send().expect(401);
        refused(node.test.post(STANDARD).form(&form(&keys)).send(), 401, "invalid_client");
    }
}

#[test]
fn unknown_ids_and_wrong_secrets_get_the_same_answer() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Platform);
    let ask = |id: &str, secret: &str| {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
        ];
        let answer = refused(
            node.live.post(STANDARD).form(&fields).send(),
            401,
            "invalid_client",
        );
        assert!(answer.header("www-authenticate").is_some());
        answer.text()
    };
    assert_eq!(ask(&keys.public_id, "wrong"), ask("nobody", &keys.secret));
    // Keys of other kinds are not known here either.
    let api = node.keys(Environment::Live, Audience::Routes);
    assert_eq!(ask(&api.public_id, &api.secret), ask("nobody", "x"));
}

#[test]
fn a_client_that_escapes_its_id_in_basic_is_read_too_and_counts_no_wrong_secret() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Platform);
    let escaped = |text: &str| text.replace('_', "%5F");
    for _ in 0..15 {
        let call = node
            .live
            .post(STANDARD)
            .basic(&escaped(&keys.public_id), &escaped(&keys.secret));
        call.form(&[("grant_type", "client_credentials")])
            .send()
            .expect(200);
    }
}

#[test]
fn ten_wrong_secrets_a_minute_are_too_many_and_right_ones_are_not_counted() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Platform);
    let wrong = [
        ("grant_type", "client_credentials"),
        ("client_id", "nobody"),
        ("client_secret", "x"),
    ];
    for _ in 0..30 {
        node.live
            .post(STANDARD)
            .form(&form(&keys))
            .send()
            .expect(200);
    }
    for _ in 0..10 {
        node.live.post(STANDARD).form(&wrong).send().expect(401);
    }
    for path in [STANDARD, PLATFORM] {
        let answer = node.live.post(path).form(&wrong).send().expect(429);
        assert!(
            answer
                .header("retry-after")
                .is_some_and(|wait| wait.parse::<u64>().is_ok())
        );
        assert!(answer.json()["error"].is_string() || answer.json()["error"] == 429);
    }
    // The other environment counts for itself, and a minute later all is well.
    node.test.post(STANDARD).form(&wrong).send().expect(401);
    node.clock.advance(std::time::Duration::from_secs(61));
    node.live
        .post(STANDARD)
        .form(&form(&keys))
        .send()
        .expect(200);
}

#[test]
fn every_malformed_request_has_its_rfc_6749_answer() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Platform);
    let post = |fields: &[(&str, &str)]| node.live.post(STANDARD).form(fields).send();
    let (id, secret) = (keys.public_id.as_str(), keys.secret.as_str());
    let grant = ("grant_type", "client_credentials");
    refused(
        post(&[("client_id", id), ("client_secret", secret)]),
        400,
        "invalid_request",
    );
    refused(
        post(&[grant, grant, ("client_id", id), ("client_secret", secret)]),
        400,
        "invalid_request",
    );
    refused(
        post(&[
            grant,
            ("client_id", id),
            ("client_id", id),
            ("client_secret", secret),
        ]),
        400,
        "invalid_request",
    );
    refused(
        post(&[grant, ("client_id", "a\nb"), ("client_secret", secret)]),
        400,
        "invalid_request",
    );
    refused(post(&[grant]), 401, "invalid_client");
    for other in [
        "password",
        "authorization_code",
        "refresh_token",
        "implicit",
        "x",
    ] {
        refused(
            post(&[
                ("grant_type", other),
                ("client_id", id),
                ("client_secret", secret),
            ]),
            400,
            "unsupported_grant_type",
        );
    }
    refused(
        post(&[
            grant,
            ("client_id", id),
            ("client_secret", secret),
            ("scope", "jobs:read"),
        ]),
        400,
        "invalid_scope",
    );
    let twice = node
        .live
        .post(STANDARD)
        .basic(id, secret)
        .form(&[grant, ("client_secret", secret)]);
    refused(twice.send(), 400, "invalid_request");
    let other_id = node
        .live
        .post(STANDARD)
        .basic(id, secret)
        .form(&[grant, ("client_id", "other")]);
    refused(other_id.send(), 400, "invalid_request");
    let two_headers = node
        .live
        .post(STANDARD)
        .basic(id, secret)
        .basic(id, secret)
        .form(&[grant]);
    refused(two_headers.send(), 400, "invalid_request");
    for query in [
        "client_secret=x",
        "client_id=x",
        "grant_type=client_credentials",
        "a=1&a=2",
        "a=%00",
    ] {
        refused(
            node.live
                .post(&format!("{STANDARD}?{query}"))
                .form(&form(&keys))
                .send(),
            400,
            "invalid_request",
        );
    }
    let xml = node.live.post(STANDARD).body("application/xml", "<a/>");
    refused(xml.send(), 400, "invalid_request");
    let json = node
        .live
        .post(STANDARD)
        .json(&json!({ "grant_type": "client_credentials" }));
    refused(json.send(), 400, "invalid_request");
    let large = node
        .live
        .post(STANDARD)
        .body("application/x-www-form-urlencoded", vec![b'a'; 9_000]);
    large.send().expect(413);
    let wrong_method = node.live.get(STANDARD).send().expect(405);
    assert_eq!(wrong_method.header("allow"), Some("POST, OPTIONS"));
    node.live.call("OPTIONS", STANDARD).send().expect(204);
}

#[test]
fn the_platform_address_takes_json_and_says_message() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Test, Audience::Platform);
    let body = json!({
        "grant_type": "client_credentials", "client_id": keys.public_id,
        "client_secret": keys.secret, "more": [1, 2], "nothing": null,
    });
    check_success(&node.test.post(PLATFORM).json(&body).send().expect(200));
    let refused = |call: wayleave_testkit::Call, status| {
        let answer = call.send().expect(status).json();
        assert!(
            answer["error"].is_string() && answer["message"].is_string(),
            "{answer}"
        );
    };
    refused(
        node.test
            .post(PLATFORM)
            .json(&json!({ "grant_type": "client_credentials" })),
        400,
    );
    refused(
        node.test.post(PLATFORM).json(&json!({ "grant_type": 1 })),
        400,
    );
    refused(
        node.test
            .post(PLATFORM)
            .body("application/json", "{\"a\":1,\"a\":1}"),
        400,
    );
    refused(
        node.test.post(PLATFORM).form(&[
            ("grant_type", "client_credentials"),
            ("client_id", "x"),
            ("client_secret", "y"),
        ]),
        401,
    );
    let wrong_method = node.test.get(PLATFORM).send().expect(405).json();
    assert_eq!(wrong_method["error"], 405);
    node.test.get("/authorize").send().expect(404);
    assert_eq!(
        node.test.get("/authorize/x").send().expect(404).json()["error"],
        404
    );
}

#[test]
fn scopes_are_granted_as_asked_for_and_never_more() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let partner = node.partner(Environment::Test);
    let more = json!({ "audience": "platform", "scopes": "orders:read orders:write" });
    let keys = node.keys_of(Environment::Test, &partner, more);
    let ask = |scope: &str| {
        let mut fields = form(&keys).to_vec();
        fields.push(("scope", scope));
        node.test.post(STANDARD).form(&fields).send()
    };
    assert_eq!(
        ask("").expect(200).json()["scope"],
        "orders:read orders:write"
    );
    let narrowed = ask("orders:read").expect(200).json();
    assert_eq!(narrowed["scope"], "orders:read");
    refused(ask("orders:delete"), 400, "invalid_scope");
    let token = narrowed["access_token"].as_str().expect("a token");
    let caller = node
        .test
        .get("/hello")
        .bearer(token)
        .send()
        .expect(200)
        .json();
    assert_eq!(caller["caller"]["wayleave-scopes"], "orders:read");
    // Seen before, from the cache: still narrowed.
    let caller = node
        .test
        .get("/hello")
        .bearer(token)
        .send()
        .expect(200)
        .json();
    assert_eq!(caller["caller"]["wayleave-scopes"], "orders:read");
}

#[test]
fn a_token_lives_sixty_minutes_and_asking_again_revokes_nothing() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Platform);
    let first = node.oauth_token(Environment::Live, &keys);
    let second = node.oauth_token(Environment::Live, &keys);
    assert_ne!(first, second);
    let ask = |token: &str| node.live.get("/hello").bearer(token).send();
    let at = |second: i64| node.clock.set(crate::harness::NOW_S + second);
    ask(&first).expect(200);
    at(3600);
    ask(&first).expect(200);
    ask(&second).expect(200);
    at(3604);
    ask(&second).expect(200);
    at(3605);
    for token in [&first, &second] {
        let message = ask(token).expect(401).json()["message"].clone();
        assert_eq!(message, "The incoming token has expired");
    }
}
