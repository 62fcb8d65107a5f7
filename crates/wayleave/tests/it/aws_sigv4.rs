//! Requests that are signed by AWS Signature Version 4.

use std::process::Command;

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_protocol::sigv4::{self, Presented};
use wayleave_protocol::{Message, iso8601};
use wayleave_testkit::{Address, Call, DatabaseKind};

use crate::harness::{Keys, NOW_S, TestNode, on_both_databases};
use crate::real_clients::python_case;

const LIVE: Environment = Environment::Live;
const TEST: Environment = Environment::Test;

/// Keys of a new partner that sign so, and also get tokens.
pub(crate) fn keys(node: &TestNode, environment: Environment) -> Keys {
    let partner = node.partner(environment);
    let more = json!({ "audience": "routes", "schemes": "bearer aws-sigv4" });
    node.keys_of(environment, &partner, more)
}

/// A request without a body, signed at a time; `fields` are signed too.
pub(crate) fn signed(
    address: Address,
    keys: &Keys,
    (method, target): (&str, &str),
    fields: &[(&str, &str)],
    unix_s: i64,
) -> Call {
    let time = iso8601::format_basic(unix_s);
    let authority = address.to_string();
    let mut all: Vec<(&str, &str)> = [("host", &*authority), ("x-amz-date", &time)].into();
    all.extend(fields);
    all.sort_unstable();
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let presented = Presented {
        key_id: &keys.public_id,
        day: &time[..8],
        region: "eu-central-1",
        service: "orders",
        signed_headers: &names,
        signature: "",
    };
    let raw: Vec<(&str, &[u8])> = all
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let message = Message {
        method,
        scheme: "http",
        authority: &authority,
        path,
        query,
        fields: &raw,
    };
    let said = fields
        .iter()
        .find(|(name, _)| *name == "x-amz-content-sha256");
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let hash = said.map_or(empty, |(_, value)| value);
    let canonical = sigv4::canonical_request(&message, &presented, hash);
    let string = sigv4::string_to_sign(&presented, unix_s, &canonical);
    let signature = sigv4::sign(&presented, keys.secret.as_bytes(), &string);
    let scope = format!(
        "{}/{}/eu-central-1/orders/aws4_request",
        keys.public_id,
        &time[..8]
    );
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    );
    let call = address
        .call(method, target)
        .header("Authorization", &authorization);
    all.iter()
        .fold(call, |call, (name, value)| call.header(name, value))
}

fn get(address: Address, keys: &Keys, target: &str) -> Call {
    signed(address, keys, ("GET", target), &[], NOW_S)
}

/// A node at the present moment, for clients that sign by their own clock.
fn now(kind: DatabaseKind) -> Option<TestNode> {
    kind.is_available().then(|| TestNode::start_now(kind))
}

mod botocore {
    use super::*;

    fn passes_and_what_is_changed_does_not(kind: DatabaseKind) {
        let Some(node) = now(kind) else { return };
        let keys = keys(&node, LIVE);
        let case = json!({
            "url": node.live_url, "path": "/hello", "key_id": keys.public_id, "secret": keys.secret,
        });
        python_case("botocore_client.py", &case);
    }

    #[test]
    fn on_sqlite() {
        passes_and_what_is_changed_does_not(DatabaseKind::Sqlite);
    }

    #[test]
    fn on_postgres() {
        passes_and_what_is_changed_does_not(DatabaseKind::Postgres);
    }
}

mod curl {
    use super::*;

    /// The status that curl got for a request that it signed.
    fn curl(keys: &Keys, secret: &str, more: &[&str], url: &str) -> String {
        let mut command = Command::new("curl");
        command.args(["--silent", "--max-time", "20", "--noproxy", "*"]);
        command.args(["--aws-sigv4", "aws:amz:eu-central-1:orders"]);
        command.args(["--user", &format!("{}:{secret}", keys.public_id)]);
        command.args(["--output", "/dev/null", "--write-out", "%{http_code}"]);
        let done = command.args(more).arg(url).output().expect("curl");
        String::from_utf8(done.stdout).expect("text")
    }

    fn passes_with_its_own_signature(kind: DatabaseKind) {
        let Some(node) = now(kind) else { return };
        let keys = keys(&node, LIVE);
        let url = format!("{}/hello/there?a=1&b=2", node.live_url);
        let status = |secret: &str, more: &[&str]| curl(&keys, secret, more, &url);
        assert_eq!(status(&keys.secret, &[]), "200");
        let body = ["--request", "PUT", "--json", "{\"pages\":12}"];
        assert_eq!(status(&keys.secret, &body), "200");
        assert_eq!(status("another", &[]), "401");
        assert_eq!(
            status(&keys.secret, &["--header", "X-Amz-Date: 20270316T102030Z"]),
            "401"
        );
    }

    #[test]
    fn on_sqlite() {
        passes_with_its_own_signature(DatabaseKind::Sqlite);
    }

    #[test]
    fn on_postgres() {
        passes_with_its_own_signature(DatabaseKind::Postgres);
    }
}

on_both_databases! {
    fn a_signed_request_passes_and_the_same_keys_get_tokens(node: TestNode) {
        let keys = keys(&node, LIVE);
        let answer = get(node.live, &keys, "/hello/A%20b?x=1").send().expect(200).json();
        assert_eq!(answer["caller"]["wayleave-scheme"], "aws-sigv4");
        assert_eq!(answer["query"], "x=1");
        let token = node.token(LIVE, &keys);
        node.live.get("/hello").bearer(&token).send().expect(200);
        // The other environment does not know it, and elsewhere the signature is another's.
        get(node.test, &keys, "/hello").send().expect(401);
    }

    fn an_older_secret_signs_until_its_overlap_ends_and_a_revoked_key_does_not(node: TestNode) {
        let old = keys(&node, LIVE);
        let roll = format!("/live/v1/credentials/{}/roll", old.credential);
        let rolled = node.operate("POST", &roll, Some(json!({ "overlap_s": 60 }))).expect(200).json();
        let new = Keys { secret: rolled["secret"].as_str().expect("a secret").to_owned(), ..old.clone() };
        get(node.live, &old, "/hello").send().expect(200);
        get(node.live, &new, "/hello").send().expect(200);
        node.clock.set(NOW_S + 61);
        get(node.live, &old, "/hello").send().expect(401);
        get(node.live, &new, "/hello").send().expect(200);
        let revoke = format!("/live/v1/credentials/{}/revoke", old.credential);
        node.operate("POST", &revoke, None).expect(200);
        get(node.live, &new, "/hello").send().expect(401);
    }

    fn a_pair_from_elsewhere_signs_with_the_secret_that_it_had(node: TestNode) {
        let partner = node.partner(LIVE);
        let pair = json!({
            "audience": "routes", "schemes": "aws-sigv4",
            "public_id": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        });
        let keys = node.keys_of(LIVE, &partner, pair);
        get(node.live, &keys, "/hello").send().expect(200);
        let unpermitted = node.live.get("/token").basic(&keys.public_id, &keys.secret);
        assert_ne!(unpermitted.send().status, 500);
    }
}

#[test]
fn only_a_credential_that_may_sign_so_passes() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let tokens_only = node.keys(LIVE, Audience::Routes);
    get(node.live, &tokens_only, "/hello").send().expect(401);
    let partner = node.partner(LIVE);
    let more = json!({ "audience": "routes", "schemes": "http-signature" });
    let other_scheme = node.keys_of(LIVE, &partner, more);
    get(node.live, &other_scheme, "/hello").send().expect(403);
}

#[test]
fn a_request_that_could_mean_two_things_is_400_and_an_old_one_401() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = keys(&node, LIVE);
    for target in ["/hello//x", "/hello/./x", "/hello?a=1&a=2", "/hello?a=100%"] {
        get(node.live, &keys, target).send().expect(400);
    }
    let at = |unix_s| {
        signed(node.live, &keys, ("GET", "/hello"), &[], unix_s)
            .send()
            .status
    };
    assert_eq!([at(NOW_S - 300), at(NOW_S + 300)], [200, 200]);
    assert_eq!([at(NOW_S - 301), at(NOW_S + 301)], [401, 401]);
    let twice = get(node.live, &keys, "/hello").header("Authorization", "Bearer x");
    twice.send().expect(400);
    let both = get(node.live, &keys, "/hello").header("Authentication", "K:x");
    both.send().expect(400);
    let both = get(node.live, &keys, "/hello").header("Signature-Input", "s=(\"@method\")");
    both.send().expect(400);
}

#[test]
fn a_body_that_is_not_signed_has_to_be_none() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = keys(&node, LIVE);
    let unsigned = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
    let call = || signed(node.live, &keys, ("POST", "/hello"), &unsigned, NOW_S);
    call().send().expect(200);
    let answer = call().raw_body(b"abc").send().expect(400);
    assert_eq!(
        answer.json()["type"],
        "urn:wayleave:problem:digest-mismatch"
    );
    let chunked = [("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")];
    let call = signed(node.live, &keys, ("POST", "/hello"), &chunked, NOW_S);
    call.raw_body(b"abc").send().expect(401);
}

#[test]
fn a_body_whose_hash_is_in_no_header_is_limited_in_size() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = keys(&node, LIVE);
    let call = signed(node.live, &keys, ("POST", "/hello"), &[], NOW_S);
    call.raw_body(&vec![b'a'; 1024 * 1024 + 1])
        .send()
        .expect(413);
}

#[test]
fn a_signature_in_the_query_proves_nothing() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = keys(&node, LIVE);
    let target = format!(
        "/hello?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}%2F20270316%2Feu%2Forders%2Faws4_request&X-Amz-Date=20270316T102030Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
        keys.public_id,
        "0".repeat(64)
    );
    node.live.get(&target).send().expect(401);
}

#[test]
fn another_proxy_may_ask() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = keys(&node, LIVE);
    let asked = |method: &str, fields: &[(&str, &str)]| {
        let signed = signed(node.live, &keys, (method, "/hello?x=1"), fields, NOW_S);
        let call = node.live.get("/auth/check");
        let call = call.header("X-Forwarded-Method", method);
        let call = call.header("X-Forwarded-Uri", "/hello?x=1");
        let headers = signed.headers().iter();
        headers.fold(call, |call, (name, value)| call.header(name, value))
    };
    let passed = asked("GET", &[]).send().expect(204);
    assert_eq!(passed.header("wayleave-scheme"), Some("aws-sigv4"));
    assert_eq!(passed.header("wayleave-body"), None);
    let hash = [(
        "x-amz-content-sha256",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    )];
    let passed = asked("POST", &hash).send().expect(204);
    assert_eq!(passed.header("wayleave-body"), Some("check-digest"));
    // Nobody here sees the body that was signed.
    asked("POST", &[]).send().expect(401);
}

#[test]
fn test_shows_what_was_to_be_signed_and_live_does_not() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys_of_test = keys(&node, TEST);
    let call = get(node.test, &keys_of_test, "/hello?b=2&a=1").header("X-Amz-Meta", "1");
    let refused = call.send().expect(401).json();
    let reason = refused["explanation"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("X-Amz- header is not signed"), "{reason}");
    let mut wrong = keys_of_test.clone();
    wrong.secret.push('x');
    let answer = get(node.test, &wrong, "/hello?b=2&a=1").send().expect(401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("AWS4-HMAC-SHA256 realm=\"wayleave\"")
    );
    let explanation = answer.json()["explanation"].clone();
    assert_eq!(explanation["reason"], "signature mismatch");
    assert_eq!(explanation["server_time"], "20270316T102030Z");
    let shown = explanation["base_strings"].as_array().expect("strings");
    let shown: Vec<&str> = shown
        .iter()
        .map(|text| text.as_str().expect("text"))
        .collect();
    assert!(
        shown[0].starts_with("GET\n/hello\na=1&b=2\nhost:"),
        "{shown:?}"
    );
    assert!(
        shown[1].starts_with("AWS4-HMAC-SHA256\n20270316T102030Z\n20270316/eu-central-1/orders/")
    );
    let wrong_in_live = Keys {
        secret: "x".to_owned(),
        ..keys(&node, LIVE)
    };
    let answer = get(node.live, &wrong_in_live, "/hello").send().expect(401);
    assert!(answer.json().get("explanation").is_none());
}
