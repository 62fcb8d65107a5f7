//! Routes to the API behind: who passes, and what reaches it.

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_testkit::DatabaseKind;

use crate::harness::{NOW_S, TestNode};

fn node_and_token() -> (TestNode, String) {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    (node, token)
}

#[test]
fn the_api_behind_is_told_who_calls_and_nothing_that_a_client_says_about_it() {
    let (node, token) = node_and_token();
    let answer = node
        .live
        .get("/hello/there?x=%C3%84&y=a+b")
        .bearer(&token)
        .header("Wayleave-Partner", "ptr_mallory")
        .header("WAYLEAVE-SCOPES", "everything")
        .header("X-Wayleave-Admin", "1")
        .header("wayleave_partner", "ptr_mallory")
        .header("X_Wayleave_Partner", "ptr_mallory")
        .header("Connection", "wayleave-partner")
        .send()
        .expect(200)
        .json();
    assert_eq!(
        (&answer["path"], &answer["query"]),
        (&json!("/hello/there"), &json!("x=%C3%84&y=a+b"))
    );
    let caller = answer["caller"].as_object().expect("the caller");
    let names: Vec<&str> = caller.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "wayleave-audience",
            "wayleave-credential",
            "wayleave-environment",
            "wayleave-integration",
            "wayleave-partner",
            "wayleave-scheme"
        ]
    );
    assert!(
        caller["wayleave-partner"]
            .as_str()
            .is_some_and(|id| id.starts_with("ptr_0"))
    );
    assert_eq!(caller["wayleave-scheme"], "bearer");
}

#[test]
fn a_missing_scope_is_403_and_a_scope_opens_the_route() {
    let (node, token) = node_and_token();
    let refused = node.live.get("/jobs").bearer(&token).send().expect(403);
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let partner = node.partner(Environment::Live);
    let more = json!({ "audience": "routes", "scopes": "jobs:read" });
    let keys = node.keys_of(Environment::Live, &partner, more);
    let token = node.token(Environment::Live, &keys);
    node.live.get("/jobs/7").bearer(&token).send().expect(200);
    node.live
        .get("/jobsandmore")
        .bearer(&token)
        .send()
        .expect(404);
}

#[test]
fn a_credential_held_to_one_scheme_may_not_use_another() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let partner = node.partner(Environment::Live);
    let keys = node.keys_of(
        Environment::Live,
        &partner,
        json!({ "audience": "routes", "schemes": "token" }),
    );
    let token = node.token(Environment::Live, &keys);
    node.live
        .get("/hello")
        .header("Authorization", &token)
        .send()
        .expect(200);
    node.live.get("/hello").bearer(&token).send().expect(403);
}

#[test]
fn two_proofs_or_one_twice_are_400_and_no_proof_is_401() {
    let (node, token) = node_and_token();
    let keys = node.keys(Environment::Live, Audience::Management);
    node.live
        .get("/hello")
        .bearer(&token)
        .bearer(&token)
        .send()
        .expect(400);
    keys.signer()
        .call(node.live, "GET", "/hello", NOW_S)
        .bearer(&token)
        .send()
        .expect(400);
    let [timestamp, authentication] = keys.signer().headers("GET", "/hello", NOW_S);
    let signed = || node.live.get("/hello").header(&timestamp.0, &timestamp.1);
    signed()
        .header("Timestamp", &timestamp.1)
        .header("Authentication", &authentication.1)
        .send()
        .expect(400);
    signed()
        .header("Authentication", &authentication.1)
        .header("Authentication", &authentication.1)
        .send()
        .expect(400);
    // Both names of the header with one value are one proof; with two values they contradict.
    signed()
        .header("Authentication", &authentication.1)
        .header("Authenticate", &authentication.1)
        .send()
        .expect(200);
    signed()
        .header("Authenticate", &authentication.1)
        .send()
        .expect(200);
    signed()
        .header("Authentication", &authentication.1)
        .header("Authenticate", "x:y")
        .send()
        .expect(401);
    let none = node.live.get("/hello").send().expect(401);
    assert!(none.header("www-authenticate").is_some());
    for broken in [
        "Basic YTpi",
        "Digest x",
        "Bearer",
        "Bearer a b",
        "garbage",
        "a.b.c",
    ] {
        node.live
            .get("/hello")
            .header("Authorization", broken)
            .send()
            .expect(401);
    }
}

#[test]
fn an_altered_token_never_passes() {
    let (node, token) = node_and_token();
    node.live.get("/hello").bearer(&token).send().expect(200);
    for place in (0..token.len()).step_by(7) {
        let mut altered = token.clone().into_bytes();
        altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).expect("text");
        if altered != token {
            node.live.get("/hello").bearer(&altered).send().expect(401);
        }
    }
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_400() {
    let (node, token) = node_and_token();
    for path in [
        "/hello/../jobs",
        "/hello/%2e%2e/jobs",
        "/hello//x",
        "/hello/%2Fx",
        "/hello/a\\b",
        "/hello/%5cx",
        "/hello/%61",
        "/hello/%00",
    ] {
        let answer = node.live.get(path).bearer(&token).send();
        assert!(matches!(answer.status, 400), "{path}: {}", answer.status);
        assert!(answer.json()["message"].is_string());
    }
    node.live
        .get("/hello/a%20b")
        .bearer(&token)
        .send()
        .expect(200);
}

#[test]
fn bodies_stream_through_both_ways() {
    let (node, token) = node_and_token();
    let body = vec![b'x'; 3_000_000];
    let answer = node
        .live
        .post("/hello")
        .bearer(&token)
        .body("application/octet-stream", &body)
        .send();
    assert_eq!(answer.expect(200).json()["body_bytes"], 3_000_000);
    let chunked = node
        .live
        .call("PUT", "/hello")
        .bearer(&token)
        .header("Transfer-Encoding", "chunked")
        .raw_body(b"5\r\nhello\r\n0\r\n\r\n")
        .send()
        .expect(200)
        .json();
    assert_eq!(
        (&chunked["body_bytes"], &chunked["method"]),
        (&json!(5), &json!("PUT"))
    );
}

#[test]
fn an_api_behind_that_is_not_there_is_502_in_problem_details() {
    let (node, token) = node_and_token();
    let answer = node.live.get("/nobody").bearer(&token).send().expect(502);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let body = answer.json();
    assert_eq!(body["status"], 502);
    assert_eq!(body["request_id"].as_str(), answer.header("request-id"));
    assert!(
        !answer.text().contains("127.0.0.1"),
        "nothing internal in an answer (law 9)"
    );
}
