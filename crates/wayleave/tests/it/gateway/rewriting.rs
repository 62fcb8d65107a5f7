//! What a route changes in requests and answers, by its settings.

use http::{HeaderName, HeaderValue};
use wayleave_proxy::{ForwardSettings, HeaderRules};

use super::scripted::{Received, Scripted, ok};
use super::{Gateway, behind};

fn received(settings: ForwardSettings, target: &str) -> Received {
    let server = Scripted::answering(ok("x"));
    let gateway = Gateway::to(&[&server], settings);
    let call = gateway.call("GET", target).header("X-Old", "1");
    call.header("Host", "api.example").send().expect(200);
    server.requests().remove(0)
}

#[test]
fn a_prefix_is_taken_off_and_another_put_before() {
    let settings = || ForwardSettings {
        strip_prefix: "/behind".into(),
        add_prefix: "/internal/v3".into(),
        ..ForwardSettings::default()
    };
    let got = received(settings(), "/behind/a%20b/%E2%82%AC?x=%2F&y");
    assert_eq!(
        got.first_line(),
        "GET /internal/v3/a%20b/%E2%82%AC?x=%2F&y HTTP/1.1"
    );
    let got = received(settings(), "/behind");
    assert_eq!(got.first_line(), "GET /internal/v3/ HTTP/1.1");
}

#[test]
fn the_base_of_an_address_comes_first() {
    let server = Scripted::answering(ok("x"));
    let url = format!("{}/base", server.url());
    let gateway = Gateway::with(vec![behind(
        "/behind",
        vec![url],
        ForwardSettings::default(),
    )]);
    gateway.get("/behind/x?").expect(200);
    assert_eq!(
        server.requests()[0].first_line(),
        "GET /base/behind/x? HTTP/1.1"
    );
}

fn rules(remove: &'static str, set: (&'static str, &'static str)) -> HeaderRules {
    HeaderRules {
        remove: vec![HeaderName::from_static(remove)],
        set: vec![(
            HeaderName::from_static(set.0),
            HeaderValue::from_static(set.1),
        )],
    }
}

#[test]
fn headers_are_removed_and_set() {
    let settings = ForwardSettings {
        request_headers: rules("x-old", ("x-new", "2")),
        ..ForwardSettings::default()
    };
    let got = received(settings, "/behind");
    assert_eq!(
        (got.values("x-old"), got.values("x-new")),
        (vec![], vec!["2"])
    );
    let server = Scripted::answering(
        "HTTP/1.1 200 OK\r\nServer: behind/1.0\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n",
    );
    let settings = ForwardSettings {
        answer_headers: rules("server", ("cache-control", "no-store")),
        ..ForwardSettings::default()
    };
    let answer = Gateway::to(&[&server], settings).get("/behind").expect(200);
    assert_eq!(
        (
            answer.header("server"),
            answer.header("x-kept"),
            answer.header("cache-control")
        ),
        (None, Some("1"), Some("no-store"))
    );
}

#[test]
fn the_server_is_told_the_host_that_was_asked_for_only_if_it_wants() {
    let usual = received(ForwardSettings::default(), "/behind");
    assert_ne!(usual.values("host"), ["api.example"]);
    let preserving = ForwardSettings {
        preserve_host: true,
        ..ForwardSettings::default()
    };
    let got = received(preserving, "/behind");
    assert_eq!(got.values("host"), ["api.example"]);
    assert_eq!(got.values("x-forwarded-host"), ["api.example"]);
}
