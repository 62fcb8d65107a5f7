//! Bodies of requests to APIs behind: how large and how slow they may be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use wayleave_core::{Audience, Environment};
use wayleave_testkit::DatabaseKind;
use wayleave_web::{BodyLimits, Route};

use crate::harness::{TestNode, route};
use crate::raw_upstream::RawUpstream;

const LIMIT: u64 = 1_000;

/// A node whose bodies are small and quick, with an API behind that keeps what it gets, and a
/// token for it. `/wide` takes twice as much, `/any` any size.
fn start() -> (TestNode, RawUpstream, String) {
    let behind = RawUpstream::start();
    let upstream = behind.upstream();
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        let surfaces = &mut settings.environments[0].surfaces;
        surfaces.body = BodyLimits {
            bytes: Some(LIMIT),
            bytes_per_s: 100,
            window: Duration::from_millis(300),
        };
        let places = [
            ("/raw", None),
            ("/wide", Some(2 * LIMIT)),
            ("/any", Some(0)),
        ];
        surfaces.routes = places
            .map(|(path, body_bytes)| Route {
                described: None,
                upstream: upstream.clone(),
                body_bytes,
                ..route(path, &[Audience::Routes], "")
            })
            .into();
    });
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    (node, behind, token)
}

/// One chunk of a size, and the end.
fn chunked(size: u64) -> Vec<u8> {
    let body = "x".repeat(usize::try_from(size).expect("a size"));
    format!("{size:x}\r\n{body}\r\n0\r\n\r\n").into_bytes()
}

#[test]
fn a_body_of_the_limit_passes_and_one_more_byte_is_413_however_it_is_framed() {
    let (node, behind, token) = start();
    let sent = |path: &str, size: u64, is_chunked: bool| {
        let call = node.live.post(path).bearer(&token);
        if is_chunked {
            let call = call.header("Transfer-Encoding", "chunked");
            call.raw_body(&chunked(size)).send()
        } else {
            let body = vec![b'x'; usize::try_from(size).expect("a size")];
            call.raw_body(&body).send()
        }
    };
    for is_chunked in [false, true] {
        for (path, limit) in [("/raw", LIMIT), ("/wide", 2 * LIMIT)] {
            sent(path, limit - 1, is_chunked).expect(200);
            sent(path, limit, is_chunked).expect(200);
            let refused = sent(path, limit + 1, is_chunked).expect(413);
            assert!(
                refused.text().contains(&limit.to_string()),
                "{}",
                refused.text()
            );
        }
        sent("/any", 50 * LIMIT, is_chunked).expect(200);
    }
    let whole = behind.text().matches("\r\n0\r\n\r\n").count();
    assert_eq!(whole, 5, "no body that was cut off looks like a whole one");
}

#[test]
fn a_declared_body_that_is_too_large_is_refused_before_the_api_behind_hears_of_it() {
    let (node, behind, token) = start();
    let call = node.live.post("/raw").bearer(&token);
    call.header("Content-Length", "99999999999")
        .send()
        .expect(413);
    let call = node.live.post("/raw").bearer(&token);
    let call = call.header("Content-Length", "1001");
    call.header("Expect", "100-continue").send().expect(413);
    assert_eq!(behind.requests(), 0, "{}", behind.text());
}

#[test]
fn an_encoded_body_is_passed_on_as_it_is() {
    let (node, behind, token) = start();
    // A thousand zero bytes of gzip would be a million; nobody unpacks them here.
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3];
    let call = node.live.post("/raw").bearer(&token);
    call.header("Content-Encoding", "gzip")
        .raw_body(&bomb)
        .send()
        .expect(200);
    let text = behind.text().to_ascii_lowercase();
    assert!(text.contains("content-encoding: gzip"), "{text}");
    assert!(text.contains("content-length: 13"), "{text}");
}

#[test]
fn a_body_below_the_floor_is_408_and_no_failure_of_the_api_behind() {
    let (node, behind, token) = start();
    let head = format!("POST /any HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n");
    for framing in [
        "Content-Length: 900\r\n\r\nx",
        "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", node.live.port())).expect("connected");
        stream
            .write_all(format!("{head}{framing}").as_bytes())
            .expect("written");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("an answer, and the end");
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("body-too-slow"), "{answer}");
    }
    assert!(
        !behind.text().contains("\r\n0\r\n\r\n"),
        "{}",
        behind.text()
    );
    let metrics = node.monitor.get("/metrics").send().text();
    let failures = metrics
        .lines()
        .filter(|line| line.starts_with("wayleave_upstream_failures_total{"));
    assert!(failures.clone().count() > 0);
    for line in failures {
        assert!(line.ends_with(" 0"), "{line}");
    }
}

#[test]
fn a_body_above_the_floor_may_take_many_windows() {
    let (node, _behind, token) = start();
    let mut stream = TcpStream::connect(("127.0.0.1", node.live.port())).expect("connected");
    let head = format!(
        "POST /raw HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: {token}\r\nContent-Length: 800\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("written");
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(&[b'x'; 100]).expect("written");
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
