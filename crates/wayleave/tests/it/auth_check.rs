//! `GET /auth/check`: the question of another proxy.

use wayleave_core::{Audience, Environment, IntegrationId};
use wayleave_engine::NewCredential;
use wayleave_testkit::{Call, DatabaseKind, Signer};

use crate::harness::{NOW_S, TestNode, on_both_databases};

fn forwarded(node: &TestNode, method: &str, uri: &str) -> Call {
    node.live
        .get("/auth/check")
        .header("X-Forwarded-Method", method)
        .header("X-Forwarded-Uri", uri)
}

on_both_databases! {
    fn a_request_that_may_pass_is_204_with_its_caller(node: TestNode) {
        let keys = node.keys(Environment::Live, Audience::Routes);
        let token = node.token(Environment::Live, &keys);
        for _ in 0..3 {
            let answer = forwarded(&node, "POST", "/hello?x=1").bearer(&token).send().expect(204);
            assert_eq!(answer.header("wayleave-partner"), Some(keys.partner.as_str()));
            assert_eq!(answer.header("wayleave-credential"), Some(keys.credential.as_str()));
            assert_eq!(answer.header("wayleave-environment"), Some("live"));
        }
        let set = node.keys(Environment::Live, Audience::Management);
        let target = format!("/api/Property/{}/Resource/1?includePropertyData=true", set.public_id);
        let [timestamp, authentication] = set.signer().headers("PUT", &target, NOW_S);
        let call = forwarded(&node, "PUT", &target).header(&timestamp.0, &timestamp.1);
        call.header(&authentication.0, &authentication.1).send().expect(204);
        let other = forwarded(&node, "GET", &target).header(&timestamp.0, &timestamp.1);
        other.header(&authentication.0, &authentication.1).send().expect(401);
        node.operate("POST", &format!("/live/v1/credentials/{}/revoke", keys.credential), None).expect(200);
        forwarded(&node, "GET", "/hello").bearer(&token).send().expect(401);
    }
}

/// What `cargo xtask bench` fills directories with.
#[test]
fn a_credential_in_memory_only_signs_until_the_restart() {
    let mut node = TestNode::start(DatabaseKind::Sqlite);
    let engine = node.engine(Environment::Live);
    let owned = node.keys(Environment::Live, Audience::Management);
    let drafted = engine.draft_credential(
        owned.partner.parse().unwrap(),
        NewCredential::usual(
            IntegrationId::new(engine.now(), [1; 10]),
            Audience::Management,
        ),
    );
    let drafted = drafted.unwrap();
    let public_id = drafted.credential.credential.public_id.to_string();
    let signer = Signer::new(&public_id, drafted.secret.as_ref().unwrap().expose());
    let ask = |node: &TestNode| {
        let target = format!("/api/Property/{public_id}");
        let [timestamp, authentication] = signer.headers("GET", &target, NOW_S);
        forwarded(node, "GET", &target)
            .header(&timestamp.0, &timestamp.1)
            .header(&authentication.0, &authentication.1)
            .send()
    };
    ask(&node).expect(401);
    engine.fill([drafted.credential]).unwrap();
    let answer = ask(&node).expect(204);
    assert_eq!(
        answer.header("wayleave-partner"),
        Some(owned.partner.as_str())
    );
    node.restart();
    ask(&node).expect(401);
}

#[test]
fn who_may_not_pass_is_401_or_403_and_nothing_else() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    forwarded(&node, "GET", "/hello").send().expect(401);
    forwarded(&node, "GET", "/stag/hello").send().expect(401);
    forwarded(&node, "GET", "/hello")
        .bearer("x.y.z")
        .send()
        .expect(401);
    forwarded(&node, "GET", "/jobs")
        .bearer(&token)
        .send()
        .expect(403);
    forwarded(&node, "GET", "/nothing/here")
        .bearer(&token)
        .send()
        .expect(403);
    forwarded(&node, "GET", "/stag/hello")
        .bearer(&token)
        .send()
        .expect(403);
    forwarded(&node, "GET", "/prod/hello")
        .bearer(&token)
        .send()
        .expect(204);
    forwarded(&node, "GET", "/hello/../jobs")
        .bearer(&token)
        .send()
        .expect(400);
}

#[test]
fn nginx_describes_the_request_in_headers_of_its_own() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    let call = node
        .live
        .get("/auth/check")
        .header("X-Original-Method", "GET");
    call.header("X-Original-URI", "/hello")
        .bearer(&token)
        .send()
        .expect(204);
}

#[test]
fn a_description_that_is_missing_doubled_or_contradictory_is_400() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    let check = || node.live.get("/auth/check").bearer(&token);
    check().send().expect(400);
    check()
        .header("X-Forwarded-Method", "GET")
        .send()
        .expect(400);
    check()
        .header("X-Forwarded-Uri", "/hello")
        .send()
        .expect(400);
    forwarded(&node, "GET", "/hello")
        .header("X-Forwarded-Uri", "/jobs")
        .bearer(&token)
        .send()
        .expect(400);
    let both = forwarded(&node, "GET", "/hello").header("X-Original-Method", "GET");
    both.header("X-Original-URI", "/jobs")
        .bearer(&token)
        .send()
        .expect(400);
    for uri in ["hello", "http://x/hello", "", "/he llo", "/hello\u{7f}"] {
        forwarded(&node, "GET", uri)
            .bearer(&token)
            .send()
            .expect(400);
    }
    node.live
        .post("/auth/check")
        .bearer(&token)
        .send()
        .expect(405);
}
