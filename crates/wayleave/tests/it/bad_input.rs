//! Malformed, oversized, doubled and contradictory requests: a clear answer in the dialect of the
//! address, never a 5xx, and the server lives on.

use wayleave_core::{Audience, Environment};
use wayleave_testkit::DatabaseKind;

use crate::harness::TestNode;

#[test]
fn bytes_that_are_no_request_get_a_clear_answer() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    for bytes in [
        "garbage\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nname : x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "POST /token HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /token HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST /token HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
        "POST /token HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST /token HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
    ] {
        let answer = node.live.send_raw(bytes.as_bytes());
        assert_eq!(answer.status, 400, "{bytes:?}: {}", answer.text());
        assert!(
            answer.json()["message"].is_string(),
            "{bytes:?}: {}",
            answer.text()
        );
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(70_000));
    assert!(matches!(
        node.live.send_raw(long.as_bytes()).status,
        414 | 431
    ));
    let wide = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "x: y\r\n".repeat(20_000)
    );
    let answer = node.live.send_raw(wide.as_bytes());
    assert_eq!(answer.status, 431);
    assert!(answer.json()["message"].is_string());
    node.admin.get("/livez").send().expect(200);
}

#[test]
fn a_request_that_cannot_be_read_after_a_good_one_gets_a_clear_answer_too() {
    use std::io::{Read, Write};
    let node = TestNode::start(DatabaseKind::Sqlite);
    let mut stream =
        std::net::TcpStream::connect(("127.0.0.1", node.live.port())).expect("connected");
    stream
        .write_all(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("written");
    let mut first = [0; 4096];
    let count = stream.read(&mut first).expect("an answer");
    assert!(first[..count].starts_with(b"HTTP/1.1 404"));
    stream.write_all(b"garbage\r\n\r\n").expect("written");
    let mut rest = String::new();
    stream
        .read_to_string(&mut rest)
        .expect("an answer and the end");
    assert!(
        rest.starts_with("HTTP/1.1 400") && rest.contains("\"message\""),
        "{rest}"
    );
}

#[test]
fn content_length_beside_chunked_is_never_forwarded_as_two_requests() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    let smuggled = format!(
        "POST /hello HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
    );
    let answer = node.live.send_raw(smuggled.as_bytes());
    assert!(
        answer.status == 400 || answer.json()["body_bytes"] == 0,
        "{}",
        answer.text()
    );
}

#[test]
fn unknown_addresses_are_404_in_the_dialect_of_their_prefix() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    for (path, member) in [
        ("/api/Property", "Message"),
        ("/token/x", "message"),
        ("/api/user/account", "message"),
        ("/oauth/x", "error"),
        ("/stag/token", "message"),
        ("/devl/oauth/token", "error"),
        ("/stag/api/Property/x", "Message"),
        ("/x", "detail"),
    ] {
        let answer = node.live.get(path).send();
        assert!(
            matches!(answer.status, 401 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(
            answer.json()[member].is_string(),
            "{path}: {}",
            answer.text()
        );
        assert!(
            answer
                .header("request-id")
                .is_some_and(|id| id.starts_with("req_"))
        );
    }
}

#[test]
fn hostile_texts_as_ids_secrets_tokens_and_signatures_are_never_a_5xx() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let texts = [
        "",
        "'",
        "\"",
        "' OR '1'='1",
        "../../etc/passwd",
        "%00",
        "\u{202e}",
        "ﷺ",
        "𝕳",
        "null",
        "undefined",
        "-1",
        "1e999",
        "{{7*7}}",
        "<script>",
        "a\\b",
        "${x}",
        "K",
        "İ",
        "ẞ",
        "\u{feff}",
        "á",
        "999999999999999999999",
    ];
    let long = "x".repeat(10_000);
    for text in texts.into_iter().chain([long.as_str()]) {
        let answers = [
            node.live.get("/token").basic(text, text).send(),
            node.live.get("/hello").header("Authorization", text).send(),
            node.live.get("/hello").bearer(text).send(),
            node.live
                .get("/hello")
                .header("Authentication", &format!("{text}:{text}"))
                .header("Timestamp", text)
                .send(),
            node.live
                .post("/oauth/token")
                .form(&[
                    ("grant_type", text),
                    ("client_id", text),
                    ("client_secret", text),
                ])
                .send(),
            node.live
                .post("/token")
                .json(&serde_json::json!({ "api_key": text, "api_secret": text }))
                .send(),
        ];
        for answer in answers {
            assert!(
                (400..500).contains(&answer.status),
                "{text:?}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
}

#[test]
fn signed_requests_with_doubled_or_broken_parameters_are_400_whether_the_key_is_known_or_not() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Test, Audience::Management);
    let [timestamp, authentication] = keys.signer().headers("GET", "/x", crate::harness::NOW_S);
    for query in ["a=1&a=2", "a=1&A=2", "a=%0A", "a=%0d", "%00=1", "a=%FF"] {
        let target = format!("/api/Property/{}?{query}", keys.public_id);
        let call = node.test.get(&target).header(&timestamp.0, &timestamp.1);
        let answer = call
            .header(&authentication.0, &authentication.1)
            .send()
            .expect(400);
        assert!(answer.json()["Message"].is_string(), "{query}");
        let unknown = authentication
            .1
            .replace(&keys.public_id, "11111111-2222-4333-8444-555555555555");
        let call = node.test.get(&target).header(&timestamp.0, &timestamp.1);
        call.header("Authentication", &unknown).send().expect(400);
    }
    // The API behind may want doubled parameters; with a token nothing speaks against them.
    let routes = node.keys(Environment::Test, Audience::Routes);
    let token = node.token(Environment::Test, &routes);
    node.test
        .get("/hello?a=1&a=2")
        .bearer(&token)
        .send()
        .expect(200);
}
