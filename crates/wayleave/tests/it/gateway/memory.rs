//! Memory over many requests: what one needs is given back.

use std::io::{Read, Write};
use std::net::TcpStream;

use wayleave_core::Environment;
use wayleave_testkit::DatabaseKind;

use crate::harness::DemoProcess;

/// Requests before memory is looked at first, and between the looks.
const FIRST: usize = 5_000;
const THEN: usize = 8_000;
/// Pages of allocators and of what is kept for each partner may come late, and in any of the
/// rounds; a request that kept as little as 128 bytes would take twice as much in all of them.
const ALLOWED_BYTES: u64 = 512 * 1_024;
const ROUNDS: usize = 3;

#[test]
fn thousands_of_requests_leave_no_memory_behind() {
    let demo = DemoProcess::start(DatabaseKind::Sqlite);
    let live = &demo.file["live"];
    let [key, secret] = ["api_key", "api_secret"].map(|name| text(&live["token"][name]));
    let address = demo.address(Environment::Live);
    let token = address.get("/token").basic(&key, &secret).send();
    let token = text(&token.expect(200).json()["token"]);
    let path = text(&live["protected_path"]);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", address.port())).expect("a connection");
    ask(&mut stream, &request, FIRST);
    let mut sizes = vec![demo.resident_bytes()];
    for _ in 0..ROUNDS {
        ask(&mut stream, &request, THEN);
        sizes.push(demo.resident_bytes());
    }
    let mut rounds = sizes.windows(2);
    assert!(
        rounds.any(|round| round[1] < round[0] + ALLOWED_BYTES),
        "{sizes:?} bytes"
    );
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Sends a request so many times, one after the other.
fn ask(stream: &mut TcpStream, request: &str, times: usize) {
    let mut piece = [0; 16 * 1024];
    for _ in 0..times {
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            let count = stream.read(&mut piece).expect("an answer");
            assert!(count > 0, "the connection ended");
            answer.extend_from_slice(&piece[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
    }
}

/// Whether all of an answer with a `Content-Length` is there.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| *name == "content-length");
    let length: usize = length.expect("a length").1.parse().expect("a number");
    answer.len() >= end + 4 + length
}
