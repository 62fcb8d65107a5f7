//! Traefik's `forwardAuth`, by protocol only: what it sends according to its documentation. It is in
//! no distribution that the tests could take it from.

use wayleave_core::{Audience, Environment};
use wayleave_testkit::{Call, DatabaseKind};

use super::proxy::deployed;
use crate::harness::{NOW_S, TestNode, route};

/// The question that Traefik asks: the client's headers, its own five, and the address's `Host`.
fn question(node: &TestNode, method: &str, host: &str, uri: &str) -> Call {
    let call = node.live.get("/auth/check");
    [
        ("X-Forwarded-Method", method),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Uri", uri),
        ("X-Forwarded-For", "203.0.113.9"),
    ]
    .into_iter()
    .fold(call, |call, (name, value)| call.header(name, value))
}

#[test]
fn the_request_that_it_describes_is_the_one_that_is_judged() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        for environment in &mut settings.environments {
            let mut private = route("/private", &[Audience::Routes], "");
            private.host = Some("api.example.com".to_owned());
            environment.surfaces.routes.push(private);
        }
    });
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    let ask = |host, uri| question(&node, "GET", host, uri).bearer(&token).send();
    let passes = ask("api.example.com", "/private?x=1").expect(204);
    assert_eq!(
        passes.header("wayleave-partner"),
        Some(keys.partner.as_str())
    );
    ask("api.example.com:8443", "/private").expect(204);
    ask("other.example.com", "/private").expect(403);
    ask("api.example.com", "/jobs").expect(403);
    let set = node.keys(Environment::Live, Audience::Management);
    let target = format!("/api/Property/{}/Resource/1?a=%2F&b", set.public_id);
    let [timestamp, authentication] = set.signer().headers("DELETE", &target, NOW_S);
    let signed = |method| {
        let call = question(&node, method, "api.example.com", &target);
        let call = call.header(&timestamp.0, &timestamp.1);
        call.header(&authentication.0, &authentication.1).send()
    };
    signed("DELETE").expect(204);
    signed("GET").expect(401);
}

#[test]
fn a_host_that_is_described_twice_is_400_and_counts_for_traefik_only() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    let twice = question(&node, "GET", "api.example.com", "/hello").bearer(&token);
    twice
        .header("X-Forwarded-Host", "other.example")
        .send()
        .expect(400);
    // Beside the description of nginx it is the client's own, and nothing to us.
    let call = node.live.get("/auth/check").bearer(&token);
    let call = call
        .header("X-Original-Method", "GET")
        .header("X-Original-URI", "/hello");
    let call = call.header("X-Forwarded-Host", "a.example");
    call.header("X-Forwarded-Host", "b.example")
        .send()
        .expect(204);
}

#[test]
fn its_configuration_names_what_the_protocol_needs() {
    let file = deployed("traefik/forward-auth.yml");
    for line in [
        "address: http://127.0.0.1:8080/auth/check",
        "trustForwardHeader: false",
        "authResponseHeadersRegex: (?i)^(x[-_])?wayleave[-_]",
    ] {
        assert!(file.contains(line), "{line}");
    }
}
