//! WebSocket through the gateway: the switch, and what must not pass as one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use wayleave_proxy::ForwardSettings;

use super::scripted::{Caller, Scripted, ok};
use super::{Gateway, behind, read_all, read_until};

const ASKS: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCHES: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// A text frame from a server, and one from a client with the mask of zeros.
const FROM_SERVER: &[u8] = b"\x81\x05hello";
const FROM_CLIENT: &[u8] = b"\x81\x85\0\0\0\0world";

fn with_websocket() -> ForwardSettings {
    ForwardSettings {
        websocket: true,
        ..ForwardSettings::default()
    }
}

/// A server that switches, says hello at once, and then says back what it gets.
fn echo() -> Scripted {
    Scripted::new(|caller| {
        if caller.receive().is_some() {
            caller.send(SWITCHES);
            caller.send_bytes(FROM_SERVER);
            repeat(caller);
        }
    })
}

fn repeat(caller: &mut Caller) {
    while let Some(bytes) = caller.receive_bytes(1) {
        caller.send_bytes(&bytes);
    }
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).expect("the bytes");
    assert_eq!(read, bytes);
}

fn open(gateway: &Gateway) -> TcpStream {
    let mut stream = gateway.connect();
    let head = gateway.head("GET", "/behind/socket?x=1", ASKS);
    stream.write_all(head.as_bytes()).expect("sent");
    let answer = read_until(&mut stream, "\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    stream
}

#[test]
fn bytes_pass_both_ways_after_the_switch() {
    let server = echo();
    let gateway = Gateway::to(&[&server], with_websocket());
    let mut stream = gateway.connect();
    let head = gateway.head("GET", "/behind/socket?x=1", ASKS);
    stream.write_all(head.as_bytes()).expect("sent");
    let answer = read_until(&mut stream, "\r\n\r\n").to_ascii_lowercase();
    for line in [
        "connection: upgrade\r\n",
        "upgrade: websocket\r\n",
        "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n",
        "request-id: req_",
    ] {
        assert!(answer.contains(line), "{line}: {answer}");
    }
    expect(&mut stream, FROM_SERVER);
    for _ in 0..1_000 {
        stream.write_all(FROM_CLIENT).expect("sent");
        expect(&mut stream, FROM_CLIENT);
    }
    let got = server.requests().remove(0);
    assert_eq!(got.first_line(), "GET /behind/socket?x=1 HTTP/1.1");
    assert_eq!(
        (got.values("upgrade"), got.values("connection")),
        (vec!["websocket"], vec!["upgrade"])
    );
    assert_eq!(got.values("wayleave-environment"), ["live"]);
    assert!(got.values("authorization").is_empty());
}

#[test]
fn nothing_passes_before_the_switch() {
    let (told, early) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let server = Scripted::new(move |caller| {
        if caller.receive().is_some() {
            let came = caller.comes_within(Duration::from_millis(500));
            let _ = told.lock().expect("no panic").send(came);
        }
    });
    let gateway = Gateway::to(&[&server], with_websocket());
    let mut stream = gateway.connect();
    let mut bytes = gateway.head("GET", "/behind", ASKS).into_bytes();
    bytes.extend_from_slice(FROM_CLIENT);
    stream.write_all(&bytes).expect("sent");
    let patience = Duration::from_secs(20);
    assert!(!early.recv_timeout(patience).expect("an answer"));
}

#[test]
fn what_follows_a_refused_switch_is_the_next_request_and_needs_its_own_proof() {
    let server = Scripted::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let gateway = Gateway::to(&[&server], with_websocket());
    let mut stream = gateway.connect();
    let smuggled = "GET /behind/smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let bytes = gateway.head("GET", "/behind", ASKS) + smuggled;
    stream.write_all(bytes.as_bytes()).expect("sent");
    let answers = read_all(&mut stream);
    assert!(answers.starts_with("HTTP/1.1 403 "), "{answers}");
    assert!(answers.contains("\r\n\r\nnoHTTP/1.1 401 "), "{answers}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_route_that_does_not_say_so_switches_to_nothing() {
    let server = Scripted::new(|caller| {
        while caller.receive().is_some() {
            caller.send(SWITCHES);
        }
    });
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    let answer = gateway.exchange(
        gateway
            .head("GET", "/behind", &format!("{ASKS}Connection: close\r\n"))
            .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    let got = server.requests().remove(0);
    assert!(got.values("upgrade").is_empty() && got.values("connection").is_empty());
}

#[test]
fn other_protocols_and_other_requests_do_not_switch() {
    let server = Scripted::answering(ok("x"));
    let gateway = Gateway::to(&[&server], with_websocket());
    let h2c = "Connection: Upgrade\r\nUpgrade: h2c\r\n";
    let asks_with_body = format!("{ASKS}Content-Length: 1\r\n");
    for (method, more, body) in [
        ("GET", h2c, ""),
        ("POST", ASKS, ""),
        ("GET", asks_with_body.as_str(), "x"),
    ] {
        let mut stream = gateway.connect();
        let head = gateway.head(method, "/behind", more);
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .expect("sent");
        let answer = read_until(&mut stream, "\r\n\r\nx");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    for got in server.requests() {
        assert!(got.values("upgrade").is_empty(), "{}", got.head);
    }
}

#[test]
fn who_may_not_pass_does_not_switch() {
    let server = echo();
    let gateway = Gateway::to(&[&server], with_websocket());
    let head = gateway
        .head("GET", "/behind", ASKS)
        .replace("Bearer ", "Bearer x");
    let mut stream = gateway.connect();
    stream.write_all(head.as_bytes()).expect("sent");
    assert!(read_until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 401 "));
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_end_on_one_side_ends_the_other() {
    let server = Scripted::new(|caller| {
        if caller.receive().is_some() {
            caller.send(SWITCHES);
            caller.send_bytes(FROM_SERVER);
        }
    });
    let gateway = Gateway::to(&[&server], with_websocket());
    let mut stream = open(&gateway);
    expect(&mut stream, FROM_SERVER);
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);

    let (told, ended) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let server = Scripted::new(move |caller| {
        if caller.receive().is_some() {
            caller.send(SWITCHES);
            caller.wait_for_end();
            let _ = told.lock().expect("no panic").send(());
        }
    });
    let gateway = Gateway::to(&[&server], with_websocket());
    drop(open(&gateway));
    let patience = Duration::from_secs(20);
    ended.recv_timeout(patience).expect("the end");
}

#[test]
fn silence_on_both_sides_ends_it() {
    let server = Scripted::new(|caller| {
        if caller.receive().is_some() {
            caller.send(SWITCHES);
            caller.wait_for_end();
        }
    });
    let settings = ForwardSettings {
        idle_timeout: Duration::from_secs(1),
        ..with_websocket()
    };
    let gateway = Gateway::to(&[&server], settings);
    let mut stream = open(&gateway);
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn it_outlives_a_reload_and_ends_with_the_node() {
    let server = echo();
    let mut gateway = Gateway::to(&[&server], with_websocket());
    let mut stream = open(&gateway);
    expect(&mut stream, FROM_SERVER);
    let other = Scripted::answering(ok("x"));
    gateway.reload(vec![behind(
        "/behind",
        vec![other.url()],
        ForwardSettings::default(),
    )]);
    stream.write_all(FROM_CLIENT).expect("sent");
    expect(&mut stream, FROM_CLIENT);
    gateway.node.halt();
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}

/// The server of the Python script, ended with the test.
struct PythonServer(std::process::Child);

impl Drop for PythonServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_client_and_a_server_that_others_wrote_talk_through_it() {
    let Some(mut python) = script() else { return };
    let serving = python.arg("serve").stdout(std::process::Stdio::piped());
    let mut server = PythonServer(serving.spawn().expect("the server"));
    let mut printed = std::io::BufReader::new(server.0.stdout.take().expect("its output"));
    let mut port = String::new();
    std::io::BufRead::read_line(&mut printed, &mut port).expect("its port");
    let url = format!("http://127.0.0.1:{}", port.trim());
    let gateway = Gateway::with(vec![behind("/behind", vec![url], with_websocket())]);
    let url = format!("ws://127.0.0.1:{}/behind", gateway.node.live.port());
    let mut calling = script().expect("it was there before");
    let called = calling.args(["call", &url, &gateway.token]).output();
    let called = called.expect("the client");
    let said = String::from_utf8_lossy(&called.stdout).into_owned()
        + &String::from_utf8_lossy(&called.stderr);
    assert!(called.status.success(), "{said}");
    assert_eq!(
        said.lines().filter(|line| line.starts_with("ok")).count(),
        10,
        "{said}"
    );
}

/// The Python script; `None` where Python's clients are not there.
fn script() -> Option<std::process::Command> {
    let Some(python) = std::env::var_os("WAYLEAVE_TEST_PYTHON") else {
        eprintln!("left out: WAYLEAVE_TEST_PYTHON is not set; cargo xtask test sets it");
        return None;
    };
    let scripts = crate::harness::root().join("crates/wayleave/tests/clients/python");
    let mut command = std::process::Command::new(python);
    command.arg("-B").arg(scripts.join("websocket_client.py"));
    Some(command)
}
