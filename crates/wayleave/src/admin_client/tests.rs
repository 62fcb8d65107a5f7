use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::json;
use wayleave_testkit::TestFolder;

use super::*;

const TOKEN: &str = "a-token-that-nobody-may-see";

/// A server that does this with its connections, one after the other.
fn server(serve: impl Fn(usize, TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            serve(number, stream.expect("a connection"));
        }
    });
    address
}

/// Reads one request with its body; `None` at the end.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).ok()?;
        if count == 0 {
            return None;
        }
        text.push_str(std::str::from_utf8(&piece[..count]).expect("text"));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if body.len() >= length {
            return Some(text);
        }
    }
}

fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).expect("written");
}

fn destination(address: SocketAddr) -> Destination {
    Destination::new(&format!("http://{address}"), TOKEN, None, false).expect("an address")
}

fn client(address: SocketAddr) -> AdminClient {
    AdminClient::new(destination(address)).expect("a client")
}

fn answering(status: &'static str, body: &'static str) -> SocketAddr {
    server(move |_, mut stream| {
        while read_request(&mut stream).is_some() {
            answer(&mut stream, status, body);
        }
    })
}

fn refusal(status: &'static str, body: &'static str) -> String {
    let error = client(answering(status, body))
        .get("/test/v1/partners")
        .expect_err("a refusal");
    error.to_string()
}

#[test]
fn calls_share_a_connection_and_carry_token_and_body() {
    let address = server(|number, mut stream| {
        for _ in 0..2 {
            let Some(request) = read_request(&mut stream) else {
                return;
            };
            let body = json!({ "connection": number, "request": request });
            answer(&mut stream, "200 OK", &body.to_string());
        }
    });
    let mut client = client(address);
    let first = client
        .post("/test/v1/partners", Some(&json!({ "name": "x" })))
        .expect("an answer");
    let request = first["request"].as_str().expect("text").to_lowercase();
    assert!(request.starts_with("post /test/v1/partners http/1.1\r\n"));
    assert!(request.contains(&format!("authorization: bearer {TOKEN}")));
    assert!(request.ends_with("{\"name\":\"x\"}"), "{request}");
    let second = client.get("/livez").expect("an answer");
    assert_eq!(second["connection"], 0);
    // The server has ended the connection by now: the next call takes a new one.
    thread::sleep(Duration::from_millis(50));
    let third = client
        .post("/test/v1/partners", None)
        .expect("a third answer");
    assert_eq!(third["connection"], 1);
}

#[test]
fn what_the_server_says_is_shown_with_what_to_do() {
    let text = refusal(
        "422 Unprocessable Entity",
        r#"{"message":"name: is missing"}"#,
    );
    assert_eq!(text, "name: is missing (422)");
    let text = refusal("401 Unauthorized", r#"{"message":"no"}"#);
    assert!(
        text.contains("--token-file") && !text.contains(TOKEN),
        "{text}"
    );
    let text = refusal("404 Not Found", r#"{"detail":"nothing is here"}"#);
    assert!(
        text.starts_with("nothing is here") && text.contains("--env"),
        "{text}"
    );
}

#[test]
fn something_else_at_the_address_is_told_apart() {
    for (status, body) in [("200 OK", "<html>"), ("404 Not Found", "<html>")] {
        let text = refusal(status, body);
        assert!(
            text.contains("no admin address") && text.contains("--admin"),
            "{text}"
        );
    }
    let address = server(|_, mut stream| {
        read_request(&mut stream);
        stream.write_all(b"220 mail ready\r\n").expect("written");
    });
    let error = client(address).get("/livez").expect_err("no HTTP");
    assert!(matches!(error, AdminError::Broken { .. }), "{error}");
}

#[test]
fn an_address_where_nobody_listens_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let text = client(address)
        .get("/livez")
        .expect_err("nobody")
        .to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("--admin URL"),
        "{text}"
    );
}

#[test]
fn a_broken_or_slow_call_that_changes_says_that_the_outcome_is_unknown() {
    let breaking = server(|_, mut stream| {
        read_request(&mut stream);
    });
    let text = client(breaking)
        .post("/x", None)
        .expect_err("broken")
        .to_string();
    assert!(text.contains("not known"), "{text}");
    let text = client(breaking).get("/x").expect_err("broken").to_string();
    assert!(text.contains("try again"), "{text}");
    let silent = server(|_, mut stream| while read_request(&mut stream).is_some() {});
    let slow = Destination {
        timeout: Duration::from_millis(100),
        ..destination(silent)
    };
    let error = AdminClient::new(slow)
        .expect("a client")
        .post("/x", None)
        .expect_err("slow");
    assert!(
        matches!(error, AdminError::Slow { changes: true, .. }),
        "{error}"
    );
}

#[test]
fn plain_http_leaves_this_machine_only_when_it_is_asked_for() {
    let read = |url: &str, insecure| Destination::new(url, TOKEN, None, insecure).map(|_| ());
    for url in [
        "http://127.0.0.1:8082",
        "http://localhost:8082/",
        "http://[::1]:8082",
        "http://127.9.9.9",
    ] {
        read(url, false).unwrap_or_else(|error| panic!("{error}"));
    }
    let text = read("http://admin.example.com", false)
        .expect_err("refused")
        .to_string();
    assert!(text.contains("--insecure-http"), "{text}");
    read("http://admin.example.com", true).expect("asked for");
    for url in [
        "admin.example.com",
        "ftp://127.0.0.1",
        "http://user@127.0.0.1",
        "",
        "http://127.0.0.1/?a",
    ] {
        assert!(
            matches!(read(url, false), Err(AdminError::Address { .. })),
            "{url}"
        );
    }
    let text = read("https://ada:p4ss@admin.example.com", false)
        .expect_err("refused")
        .to_string();
    assert!(
        text.starts_with("admin.example.com") && !text.contains("p4ss"),
        "{text}"
    );
    assert!(matches!(
        Destination::new("http://127.0.0.1", "a\nb", None, false),
        Err(AdminError::Token)
    ));
}

/// A server of TLS with a fresh certificate, and the file that trusts it.
fn tls_server() -> (SocketAddr, TestFolder) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let folder = TestFolder::new();
    let (certificate, key) = (folder.path().join("ca.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let config = crate::tls::load(&crate::tls::TlsFiles { certificate, key }).expect("TLS");
    let address = server(move |_, mut stream| {
        let mut session = rustls::ServerConnection::new(config.clone()).expect("a session");
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        let mut piece = [0; 4096];
        if tls.read(&mut piece).is_ok_and(|count| count > 0) {
            let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
    });
    (address, folder)
}

#[test]
fn tls_takes_a_certificate_that_is_trusted_and_no_other() {
    let (address, folder) = tls_server();
    let url = format!("https://localhost:{}", address.port());
    let ask = |url: &str, roots: &Path| {
        let destination = Destination::new(url, TOKEN, Some(roots), false)?;
        AdminClient::new(destination)?.get("/livez")
    };
    let trusted = folder.path().join("ca.pem");
    assert_eq!(ask(&url, &trusted).expect("trusted"), json!({}));
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("another");
    let stranger = folder.path().join("other.pem");
    std::fs::write(&stranger, other.cert.pem()).expect("written");
    for (url, roots) in [
        (&url, &stranger),
        (&format!("https://127.0.0.1:{}", address.port()), &trusted),
    ] {
        let text = ask(url, roots).expect_err("refused").to_string();
        assert!(
            text.contains("TLS failed") && text.contains("--ca"),
            "{text}"
        );
    }
    let plain = answering("200 OK", "{}");
    let url = format!("https://localhost:{}", plain.port());
    assert!(matches!(ask(&url, &trusted), Err(AdminError::Tls { .. })));
    let missing = folder.path().join("nothing.pem");
    assert!(matches!(ask(&url, &missing), Err(AdminError::Roots { .. })));
}

#[test]
fn words_are_escaped() {
    assert_eq!(escape("crd_01-.~"), "crd_01-.~");
    assert_eq!(escape("a/b?c d%"), "a%2Fb%3Fc%20d%25");
}
