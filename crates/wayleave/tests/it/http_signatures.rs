//! Requests that are signed over the message itself (RFC 9421), and the digests of their bodies
//! (RFC 9530).

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_protocol::body_digest::{BodyDigest, content_digest};
use wayleave_testkit::DatabaseKind;

use crate::harness::{TestNode, on_both_databases, route};
use crate::raw_upstream::RawUpstream;

const LIVE: Environment = Environment::Live;

on_both_databases! {
    fn a_signed_request_passes_with_the_secret_as_it_was_given(node: TestNode) {
        let keys = node.signing_keys(LIVE);
        let answer = keys.message_signer().get(node.live, "/hello/there?x=%C3%84&y=a+b");
        let answer = answer.send().expect(200).json();
        assert_eq!(answer["caller"]["wayleave-scheme"], "http-signature");
        assert_eq!(answer["query"], "x=%C3%84&y=a+b");
        // The same credential also gets tokens, as it was made to.
        let token = node.token(LIVE, &keys);
        node.live.get("/hello").bearer(&token).send().expect(200);
        // The other environment does not know it.
        keys.message_signer().get(node.test, "/hello").send().expect(401);
    }

    fn a_body_passes_with_its_digest_and_no_other_does(node: TestNode) {
        let keys = node.signing_keys(LIVE);
        let signer = keys.message_signer();
        let body = br#"{"pages":12}"#;
        let answer = signer.call(node.live, "POST", "/hello", &[], body).send();
        assert_eq!(answer.expect(200).json()["body_bytes"], json!(body.len()));
        let sha512 = content_digest(&BodyDigest::sha512(body));
        let fields = [("content-digest", sha512.as_str())];
        signer.call(node.live, "POST", "/hello", &fields, body).send().expect(200);
        let other = signer.call(node.live, "POST", "/hello", &[], body);
        let answer = other.raw_body(br#"{"pages":13}"#).send().expect(400);
        assert_eq!(answer.json()["type"], "urn:wayleave:problem:digest-mismatch");
    }
}

#[test]
fn a_wrong_secret_or_a_changed_part_is_401() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.signing_keys(LIVE);
    let mut wrong = keys.message_signer();
    wrong.secret.push('x');
    let refused = wrong.get(node.live, "/hello").send().expect(401);
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Signature realm=\"wayleave\"")
    );
    let elsewhere = keys.message_signer().get(node.live, "/hello");
    let headers = elsewhere.headers();
    let moved = node.live.get("/hello/other");
    let moved = headers
        .iter()
        .fold(moved, |call, (name, value)| call.header(name, value));
    moved.send().expect(401);
    let mut unknown = keys.message_signer();
    unknown.key_id.push('x');
    unknown.get(node.live, "/hello").send().expect(401);
}

#[test]
fn a_token_beside_a_signature_is_400_and_an_api_secret_that_was_not_made_to_sign_is_401() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.signing_keys(LIVE);
    let token = node.token(LIVE, &keys);
    let both = keys
        .message_signer()
        .get(node.live, "/hello")
        .bearer(&token);
    both.send().expect(400);
    let bearer_only = node.keys(LIVE, Audience::Routes);
    bearer_only
        .message_signer()
        .get(node.live, "/hello")
        .send()
        .expect(401);
}

#[test]
fn a_header_named_signature_belongs_to_the_api_behind_where_a_token_is_the_proof() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.signing_keys(LIVE);
    let token = node.token(LIVE, &keys);
    let call = node.live.get("/hello").bearer(&token);
    call.header("Signature", "of the partner's own")
        .send()
        .expect(200);
}

#[test]
fn the_api_behind_never_has_a_whole_body_that_is_another_than_was_signed() {
    for chunked in [false, true] {
        let behind = RawUpstream::start();
        let upstream = behind.upstream();
        let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
            for environment in &mut settings.environments {
                let mut behind = route("/behind", &[Audience::Routes], "");
                behind.upstream = upstream.clone();
                environment.surfaces.routes.push(behind);
            }
        });
        let keys = node.signing_keys(LIVE);
        let body = vec![b'a'; 3_000_000];
        let mut altered = body.clone();
        *altered.last_mut().expect("not empty") = b'b';
        let call = keys
            .message_signer()
            .call(node.live, "POST", "/behind", &[], &body);
        let call = if chunked {
            let mut chunk = format!("{:x}\r\n", altered.len()).into_bytes();
            chunk.extend_from_slice(&altered);
            chunk.extend_from_slice(b"\r\n0\r\n\r\n");
            call.header("Transfer-Encoding", "chunked").raw_body(&chunk)
        } else {
            call.raw_body(&altered)
        };
        let answer = call.send().expect(400);
        assert_eq!(
            answer.json()["type"],
            "urn:wayleave:problem:digest-mismatch"
        );
        // What is on its way when the exchange is broken off may still arrive.
        for _ in 0..100 {
            if behind.text().contains("\r\n\r\naaa") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let text = behind.text();
        let head = text.find("\r\n\r\n").expect("a head") + 4;
        assert!(text.len() > head, "it streams");
        assert!(text.len() - head < altered.len());
        assert!(!text.ends_with("0\r\n\r\n"), "an end of the body was sent");
    }
}
