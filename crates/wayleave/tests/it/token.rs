//! `POST /token` and `GET /token`.

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_testkit::{Answer, DatabaseKind};

use crate::harness::{TestNode, on_both_databases};

fn token(answer: Answer) -> String {
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let body = answer.json();
    let members: Vec<&String> = body.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["token"]);
    let token = body["token"].as_str().expect("a token").to_owned();
    assert!(token.starts_with("eyJraW"));
    token
}

fn refused(answer: Answer, status: u16) -> Answer {
    let answer = answer.expect(status);
    let body = answer.json();
    assert!(
        body["message"].is_string() && body.get("token").is_none(),
        "{body}"
    );
    answer
}

on_both_databases! {
    fn key_and_secret_give_a_token_by_json_and_by_basic(node: TestNode) {
        let keys = node.keys(Environment::Test, Audience::Routes);
        let body = json!({ "api_key": keys.public_id, "api_secret": keys.secret, "more": 1 });
        for path in ["/token", "/stag/token", "/devl/token"] {
            let by_json = token(node.test.post(path).json(&body).send());
            let by_basic = token(node.test.get(path).basic(&keys.public_id, &keys.secret).send());
            for token in [by_json, by_basic] {
                node.test.get("/hello").header("Authorization", &token).send().expect(200);
                node.test.get("/hello").bearer(&token).send().expect(200);
            }
        }
        node.test.get("/prod/token").basic(&keys.public_id, &keys.secret).send().expect(404);
    }

    fn an_imported_pair_works_as_the_printed_header_has_it(node: TestNode) {
        let partner = node.partner(Environment::Live);
        let words = json!({
            "audience": "routes",
            "public_id": "api key supplied by XOi",
            "secret": "api secret supplied by XOi",
        });
        node.keys_of(Environment::Live, &partner, words);
        // It decodes to key, colon, secret and a line feed.
        let printed = "Basic YXBpIGtleSBzdXBwbGllZCBieSBYT2k6YXBpIHNlY3JldCBzdXBwbGllZCBieSBYT2kK";
        token(node.live.get("/token").header("Authorization", printed).send());
        token(node.live.post("/token").header("Authorization", printed).send());
    }
}

#[test]
fn the_body_is_json_whatever_its_type_says() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let body = json!({ "api_key": keys.public_id, "api_secret": keys.secret }).to_string();
    for content_type in [
        "application/json",
        "application/x-amz-json-1.1",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
    ] {
        token(node.live.post("/token").body(content_type, &body).send());
    }
    token(node.live.post("/token").raw_body(body.as_bytes()).send());
}

#[test]
fn every_failure_is_json_with_a_message_and_no_token() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let post = |body: &str| {
        node.live
            .post("/token")
            .body("application/json", body)
            .send()
    };
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{}",
        "{\"api_key\":\"k\"}",
        "{\"api_key\":\"\",\"api_secret\":\"s\"}",
        "{\"api_key\":[\"k\"],\"api_secret\":\"s\"}",
        "{\"api_key\":1,\"api_secret\":\"s\"}",
        "{\"api_key\":\"k\",\"api_secret\":null}",
        "{\"api_key\":\"k\",\"api_key\":\"k\",\"api_secret\":\"s\"}",
        "{\"api_key\":\"k\",\"api_secret\":\"s\"} x",
        "\u{feff}{}",
    ] {
        refused(post(body), 400);
    }
    refused(
        node.live
            .post("/token")
            .body("application/json", b"\xff{}")
            .send(),
        400,
    );
    let unknown = refused(post("{\"api_key\":\"k\",\"api_secret\":\"s\"}"), 401);
    assert_eq!(unknown.json(), json!({ "message": "Unauthorized" }));
    assert_eq!(unknown.header("www-authenticate"), None);
    refused(
        post(&format!("{{\"api_key\":\"{}\"}}", "k".repeat(9_000))),
        413,
    );
    let wrong_method = refused(node.live.call("DELETE", "/token").send(), 405);
    assert_eq!(
        wrong_method.header("allow"),
        Some("GET, HEAD, POST, OPTIONS")
    );
    refused(node.live.get("/token?api_key=a&api_secret=b").send(), 400);
    refused(
        node.live
            .get("/token?x=1&X=2")
            .basic(&keys.public_id, &keys.secret)
            .send(),
        400,
    );
    let two = node
        .live
        .post("/token")
        .basic(&keys.public_id, &keys.secret);
    refused(
        two.body(
            "application/json",
            "{\"api_key\":\"k\",\"api_secret\":\"s\"}",
        )
        .send(),
        400,
    );
    refused(
        node.live
            .get("/token")
            .basic("a", "b")
            .basic("a", "b")
            .send(),
        400,
    );
}

#[test]
fn get_without_or_with_broken_basic_is_401_and_may_prompt() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    for value in [
        "",
        "Basic",
        "Basic !!!",
        "Basic bm8gY29sb24=",
        "Bearer abc",
        "Basic /w==",
    ] {
        let call = node.live.get("/token");
        let call = if value.is_empty() {
            call
        } else {
            call.header("Authorization", value)
        };
        let answer = refused(call.send(), 401);
        assert_eq!(
            answer.json(),
            json!({ "message": "Unauthorized" }),
            "{value}"
        );
        assert!(
            answer
                .header("www-authenticate")
                .is_some_and(|asked| asked.starts_with("Basic"))
        );
    }
}

#[test]
fn the_secret_is_split_off_at_the_first_colon_and_only_line_ends_are_trimmed() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let partner = node.partner(Environment::Live);
    let pair = json!({ "audience": "routes", "public_id": "key", "secret": "a:b c " });
    node.keys_of(Environment::Live, &partner, pair);
    token(node.live.get("/token").basic("key", "a:b c ").send());
    token(node.live.get("/token").basic("key", "a:b c \r\n").send());
    refused(node.live.get("/token").basic("key", "a:b c").send(), 401);
    refused(node.live.get("/token").basic("key", "\na:b c ").send(), 401);
}

#[test]
fn head_and_options_answer_as_usual() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let head = node
        .live
        .call("HEAD", "/token")
        .basic(&keys.public_id, &keys.secret)
        .send()
        .expect(200);
    assert!(head.body.is_empty());
    let options = node.live.call("OPTIONS", "/token").send().expect(204);
    assert_eq!(options.header("content-type"), None);
}

#[test]
fn too_many_wrong_secrets_are_429_with_retry_after() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    for _ in 0..10 {
        refused(
            node.live
                .get("/token")
                .basic(&keys.public_id, "wrong")
                .send(),
            401,
        );
    }
    let answer = refused(
        node.live
            .get("/token")
            .basic(&keys.public_id, "wrong")
            .send(),
        429,
    );
    assert_eq!(answer.json(), json!({ "message": "Too Many Requests" }));
    assert!(answer.header("retry-after").is_some());
}
