//! Requests on their way to a server behind: what it gets is what was admitted.

use std::io::Write;

use wayleave_proxy::ForwardSettings;

use super::scripted::{Received, Scripted, ok};
use super::{Gateway, read_until};

/// What the server gets for these header lines and this body.
fn received(method: &str, more: &str, body: &str) -> Received {
    let server = Scripted::answering(ok("x"));
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    let head = gateway.head(method, "/behind/a%20b?x=1&y=", more);
    let mut stream = gateway.connect();
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .expect("sent");
    read_until(&mut stream, "\r\n\r\nx");
    server.requests().remove(0)
}

#[test]
fn the_server_gets_what_was_admitted_and_who_asked() {
    let got = received(
        "GET",
        "X-Kept: 1\r\nX-Kept: 2\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_Host: evil.example\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nX-Original-URL: /admin\r\nForwarded: for=6.6.6.6\r\nWayleave-Partner: me\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\n",
        "",
    );
    assert_eq!(got.first_line(), "GET /behind/a%20b?x=1&y= HTTP/1.1");
    assert_eq!(got.values("x-kept"), ["1", "2"]);
    assert_eq!(got.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(got.values("x-forwarded-host"), ["api.example"]);
    assert_eq!(got.values("x-forwarded-proto"), ["http"]);
    assert_eq!(got.values("wayleave-environment"), ["live"]);
    assert_eq!(got.values("via"), ["1.1 wayleave"]);
    assert_eq!(got.values("host").len(), 1);
    assert!(got.values("wayleave-partner")[0].starts_with("ptr_"));
    for gone in [
        "x-hop",
        "keep-alive",
        "connection",
        "x_forwarded_host",
        "x-forwarded-port",
        "x-real-ip",
        "x-original-url",
        "forwarded",
        "upgrade",
        "proxy-authorization",
        "authorization",
        "content-length",
        "transfer-encoding",
    ] {
        assert!(
            got.values(gone).is_empty(),
            "{gone} came through: {}",
            got.head
        );
    }
}

#[test]
fn a_body_keeps_its_length_or_its_chunks() {
    let got = received("POST", "Content-Length: 5\r\n", "hello");
    assert_eq!(
        (got.values("content-length"), got.body.as_str()),
        (vec!["5"], "hello")
    );
    let got = received("POST", "Content-Length: 0\r\n", "");
    assert_eq!(got.values("content-length"), ["0"]);
    for method in ["POST", "GET", "DELETE", "OPTIONS", "PATCH"] {
        let body = "5\r\nhello\r\n0\r\n\r\n";
        let got = received(method, "Transfer-Encoding: chunked\r\n", body);
        assert_eq!(got.body, body, "{method}");
        assert_eq!(got.values("transfer-encoding"), ["chunked"], "{method}");
        assert!(got.values("content-length").is_empty(), "{method}");
    }
}

#[test]
fn trailers_go_on_but_for_those_that_only_we_may_send() {
    let got = received(
        "POST",
        "Transfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: X-Sum, Wayleave-Partner, X-Forwarded-For\r\n",
        "2\r\nok\r\n0\r\nX-Sum: 7\r\nWayleave-Partner: ptr_me\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
    );
    assert_eq!(got.values("te"), ["trailers"]);
    assert_eq!(got.body, "2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n");
}

#[test]
fn a_client_is_told_to_continue_when_it_may_pass_and_not_before() {
    let server = Scripted::answering(ok("x"));
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    let more = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    let head = gateway.head("POST", "/behind", more);
    let stranger = head.replace("Bearer ", "Bearer x");
    let mut stream = gateway.connect();
    stream.write_all(stranger.as_bytes()).expect("sent");
    let answer = read_until(&mut stream, "\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let mut stream = gateway.connect();
    stream.write_all(head.as_bytes()).expect("sent");
    let answer = read_until(&mut stream, "\r\n\r\n");
    assert_eq!(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").expect("sent");
    let answer = read_until(&mut stream, "\r\n\r\nx");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let got = server.requests().remove(0);
    assert_eq!(got.body, "hello");
    assert!(got.values("expect").is_empty());
}
