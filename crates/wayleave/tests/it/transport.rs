//! Plain HTTP and TLS.

use wayleave_core::{Audience, Environment};
use wayleave_testkit::DatabaseKind;
use wayleave_web::TrustedProxies;

use crate::harness::TestNode;

#[test]
fn a_trusted_proxys_word_for_plain_http_is_403_in_the_dialect_and_never_a_redirect() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.trusted_proxies = TrustedProxies::parse(&["127.0.0.1"]).expect("an address");
    });
    for (path, member) in [
        ("/token", "message"),
        ("/oauth/token", "error"),
        ("/api/user/account", "message"),
        ("/api/Property/x", "Message"),
        ("/hello", "detail"),
    ] {
        let answer = node
            .live
            .post(path)
            .header("X-Forwarded-Proto", "http")
            .send()
            .expect(403);
        assert!(
            answer.json()[member].is_string(),
            "{path}: {}",
            answer.text()
        );
        assert_eq!(answer.header("location"), None);
    }
    let keys = node.keys(Environment::Live, Audience::Routes);
    let call = node.live.get("/token").basic(&keys.public_id, &keys.secret);
    call.header("X-Forwarded-Proto", "https").send().expect(200);
}

#[test]
fn wrong_secrets_are_counted_by_the_address_that_a_trusted_proxy_names() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.trusted_proxies = TrustedProxies::parse(&["127.0.0.1"]).expect("an address");
    });
    let attempt = |source: &str| {
        let call = node
            .live
            .get("/token")
            .basic("nobody", "x")
            .header("X-Forwarded-Proto", "https");
        call.header("X-Forwarded-For", source).send().status
    };
    for _ in 0..10 {
        assert_eq!(attempt("203.0.113.9"), 401);
    }
    assert_eq!(attempt("203.0.113.9"), 429);
    assert_eq!(
        attempt("198.51.100.1, 203.0.113.9"),
        429,
        "only the nearest counts"
    );
    assert_eq!(attempt("203.0.113.10"), 401);
}
