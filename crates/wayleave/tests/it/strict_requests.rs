//! Requests that two parsers could read differently: each is refused, and the API behind sees
//! nothing of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use wayleave_core::{Audience, Environment};
use wayleave_protocol::http_framing::HeadLimits;
use wayleave_testkit::{Address, DatabaseKind};
use wayleave_web::Route;

use crate::harness::{TestNode, route};
use crate::raw_upstream::RawUpstream;

/// A node with a route to an API behind that keeps every byte, and a token for it.
pub(crate) struct Gateway {
    pub(crate) node: TestNode,
    pub(crate) behind: RawUpstream,
    pub(crate) token: String,
}

impl Gateway {
    pub(crate) fn start(change: impl FnOnce(&mut wayleave::node::NodeSettings)) -> Self {
        let behind = RawUpstream::start();
        let upstream = behind.upstream();
        let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
            settings.environments[0].surfaces.routes = vec![Route {
                upstream,
                ..route("/raw", &[Audience::Routes], "")
            }];
            change(settings);
        });
        let keys = node.keys(Environment::Live, Audience::Routes);
        let token = node.token(Environment::Live, &keys);
        Gateway {
            node,
            behind,
            token,
        }
    }

    /// A head that is good: its first line, its token and its host, without the end.
    fn head(&self, first_line: &str) -> String {
        let token = &self.token;
        format!("{first_line}\r\nHost: a\r\nAuthorization: {token}\r\n")
    }
}

/// Sends bytes and reads until the other side closes, for at most a few seconds.
pub(crate) fn exchange(address: Address, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", address.port())).expect("connected");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("a timeout");
    // It may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!(
                "it stays open: {error}: {}",
                String::from_utf8_lossy(&answer)
            ),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Each is refused with 400 and a message, the connection is closed, and nothing is passed on.
fn all_are_refused(gateway: &Gateway, requests: &[String]) {
    for request in requests {
        let answer = exchange(gateway.node.live, request.as_bytes());
        assert_eq!(answer.get(8..12), Some(" 400"), "{request:?}: {answer}");
        assert!(answer.contains("\"message\""), "{request:?}: {answer}");
        let answers = answer.matches("HTTP/1.").count();
        assert_eq!(answers, 1, "{request:?}: {answer}");
    }
    assert_eq!(gateway.behind.text(), "", "nothing of it was passed on");
}

#[test]
fn lengths_that_could_be_read_in_two_ways_are_refused() {
    let gateway = Gateway::start(|_| {});
    let body = "0\r\n\r\nGET /raw/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let headers = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "transfer-encoding: chunked\r\nx: y\r\ncontent-length: 0",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5\0",
        "Content-Length: ",
        "Content-Length: five",
        "Content-Length: 5;",
        "Content-Length: \u{665}",
        "Content-Length: 99999999999999999999",
        "Content-Length : 5",
        "Content-Length\t: 5",
        "Content_Length: 5",
    ];
    let requests = headers.map(|headers| {
        let head = gateway.head("POST /raw HTTP/1.1");
        format!("{head}{headers}\r\n\r\n{body}")
    });
    all_are_refused(&gateway, &requests);
}

#[test]
fn transfer_encodings_other_than_chunked_are_refused() {
    let gateway = Gateway::start(|_| {});
    let values = [
        ": chunked,",
        ": ,chunked",
        ": chunked, chunked",
        ": chunked\t",
        ":\tchunked",
        ": chunked ",
        ": xchunked",
        ": chunkedx",
        ": chunk",
        ": identity",
        ": identity, chunked",
        ": chunked, identity",
        ": gzip, chunked",
        ": chunked;q=1",
        ": \"chunked\"",
        ": 'chunked'",
        ": \x0bchunked",
        ": \u{a0}chunked",
        ": chunked\r\nTransfer-Encoding: chunked",
        ": chunked\r\nTransfer-Encoding: identity",
        ": identity\r\nTransfer-Encoding: chunked",
        ":",
        " : chunked",
        "\t: chunked",
        ":\r\n chunked",
    ];
    let body = "0\r\n\r\n";
    let mut requests = values
        .map(|value| {
            let head = gateway.head("POST /raw HTTP/1.1");
            format!("{head}Transfer-Encoding{value}\r\n\r\n{body}")
        })
        .to_vec();
    for name in [
        "Transfer_Encoding",
        "Transfer.Encoding",
        "transfer encoding",
    ] {
        let head = gateway.head("POST /raw HTTP/1.1");
        requests.push(format!("{head}{name}: chunked\r\n\r\n{body}"));
    }
    let old = gateway.head("POST /raw HTTP/1.0");
    requests.push(format!("{old}Transfer-Encoding: chunked\r\n\r\n{body}"));
    all_are_refused(&gateway, &requests);
}

#[test]
fn lines_and_names_that_could_be_read_in_two_ways_are_refused() {
    let gateway = Gateway::start(|_| {});
    let token = &gateway.token;
    let good = gateway.head("GET /raw HTTP/1.1");
    let mut requests = [
        "X: y\nZ: z\r\n\r\n",
        "X: y\rZ: z\r\n\r\n",
        "X: y\r\r\n\r\n",
        "X: y\n\n",
        "X: y\r\n\n",
        "X: a\0b\r\n\r\n",
        "X\0: y\r\n\r\n",
        "X : y\r\n\r\n",
        "X: y\r\n folded\r\n\r\n",
        "X: y\r\n\tfolded\r\n\r\n",
        "X:\r\n y\r\n\r\n",
        "X\r\n\r\n",
        ": y\r\n\r\n",
        "X(: y\r\n\r\n",
        "X/: y\r\n\r\n",
        "Wayleave!Partner: y\r\n\r\n",
        "Wayleave~Partner: y\r\n\r\n",
        "X\u{e4}: y\r\n\r\n",
        "X: a\x7fb\r\n\r\n",
        "X: a\x01b\r\n\r\n",
    ]
    .map(|rest| format!("{good}{rest}"))
    .to_vec();
    requests.extend(
        [
            "GET  /raw HTTP/1.1",
            "GET /raw  HTTP/1.1",
            "GET\t/raw HTTP/1.1",
            "GET /raw\tHTTP/1.1",
            " GET /raw HTTP/1.1",
            "GET /raw HTTP/1.1 ",
            "GET /raw",
            "GET /raw HTTP/1.2",
            "GET /raw HTTP/2.0",
            "GET /raw HTTP/0.9",
            "GET /raw http/1.1",
            "GET /raw HTTP/1.10",
            "GET /raw HTTP/01.1",
            "GET /raw\0 HTTP/1.1",
            "GET /raw#fragment HTTP/1.1",
            "GET /raw/\u{e4} HTTP/1.1",
            "GET raw HTTP/1.1",
            "G(T /raw HTTP/1.1",
            "GET /raw HTTP/1.1\r\n\r\r\n",
        ]
        .map(|line| format!("{}\r\n", gateway.head(line))),
    );
    requests.push(format!("\r\n\r\n{good}\r\n"));
    requests.push(format!("\n{good}\r\n"));
    requests.push(format!(
        "GET /raw HTTP/1.1\nHost: a\nAuthorization: {token}\n\n"
    ));
    all_are_refused(&gateway, &requests);
}

#[test]
fn a_host_that_is_missing_doubled_or_none_and_targets_without_a_path_are_refused() {
    let gateway = Gateway::start(|_| {});
    let token = &gateway.token;
    let request = |line: &str, hosts: &[&str]| {
        let hosts: String = hosts
            .iter()
            .map(|host| format!("Host: {host}\r\n"))
            .collect();
        format!("{line}\r\n{hosts}Authorization: {token}\r\n\r\n")
    };
    let line = "GET /raw HTTP/1.1";
    let mut requests = vec![
        request(line, &[]),
        request(line, &["a", "a"]),
        request(line, &["a", "b"]),
        request("GET /raw HTTP/1.0", &["a", "b"]),
        request("GET http://b/raw HTTP/1.1", &["a"]),
        request("GET http://a/raw HTTP/1.1", &[]),
        request("GET http://u@a/raw HTTP/1.1", &["a"]),
        request("GET ftp://a/raw HTTP/1.1", &["a"]),
        request("GET file:///raw HTTP/1.1", &["a"]),
        request("GET a:80 HTTP/1.1", &["a"]),
        request("GET * HTTP/1.1", &["a"]),
    ];
    let bad = [
        "", "a b", "a,b", "a/raw", "u@a", "a:b", "a#b", "a?b", "[::1", "a\\b", "<a>",
    ];
    requests.extend(bad.map(|host| request(line, &[host])));
    all_are_refused(&gateway, &requests);
}

#[test]
fn what_connection_may_not_remove_is_not_removed() {
    let gateway = Gateway::start(|_| {});
    let good = gateway.head("POST /raw HTTP/1.1");
    let requests = [
        "close, content-length",
        "Transfer-Encoding",
        "host",
        "close,Authorization",
        "cookie",
    ]
    .map(|names| format!("{good}Connection: {names}\r\nContent-Length: 2\r\n\r\nab"));
    all_are_refused(&gateway, &requests);
}

#[test]
fn tracing_and_tunnels_are_no_methods_of_an_api() {
    let gateway = Gateway::start(|_| {});
    for line in [
        "TRACE /raw HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "CONNECT /raw HTTP/1.1",
    ] {
        let request = format!("{}\r\n", gateway.head(line));
        let answer = exchange(gateway.node.live, request.as_bytes());
        let is_refused = answer.starts_with("HTTP/1.1 405") || answer.starts_with("HTTP/1.1 400");
        assert!(is_refused, "{line}: {answer}");
    }
    assert_eq!(gateway.behind.text(), "");
}

#[test]
fn chunks_that_could_be_read_in_two_ways_end_the_request_unfinished() {
    let gateway = Gateway::start(|_| {});
    let head = gateway.head("POST /raw HTTP/1.1");
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(300));
    let many = format!("0\r\n{}\r\n", "X: y\r\n".repeat(2_000));
    let bad = [
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5 ;a=b\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "five\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
        "5\r\nhello\r\n0\r\nTransfer-Encoding: x\r\n\r\n",
        "5\r\nhello\r\n0\r\nHost: b\r\n\r\n",
        "5\r\nhello\r\n0\r\n folded\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        &long,
        &many,
    ];
    for chunks in bad {
        let request = format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{chunks}GET /raw/next HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let answer = exchange(gateway.node.live, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400"), "{chunks:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{chunks:?}: {answer}"
        );
    }
    let seen = gateway.behind.text();
    assert!(!seen.contains("\r\n0\r\n\r\n"), "no body ended: {seen}");
    assert!(!seen.contains("/raw/next"), "{seen}");
}

#[test]
fn good_requests_of_every_framing_pass_one_after_the_other() {
    let gateway = Gateway::start(|_| {});
    let get = gateway.head("GET /raw/1 HTTP/1.1");
    let post = gateway.head("POST /raw/2 HTTP/1.1");
    let token = &gateway.token;
    let all = format!(
        "{get}\r\n\r\n{post}Content-Length: 5\r\n\r\nhello{post}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n{post}transfer-encoding:Chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\nGET http://a/raw/5?x=y;z HTTP/1.1\r\nhost: A\r\nAuthorization: {token}\r\n\r\n{}Connection: close\r\n\r\n",
        gateway.head("GET /raw/6 HTTP/1.1")
    );
    // Whole, and byte by byte in pieces of seven.
    for piece in [usize::MAX, 7] {
        let mut stream =
            TcpStream::connect(("127.0.0.1", gateway.node.live.port())).expect("connected");
        stream.set_nodelay(true).expect("set");
        for part in all.as_bytes().chunks(piece) {
            stream.write_all(part).expect("written");
        }
        let mut answers = String::new();
        stream.read_to_string(&mut answers).expect("answers");
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 6, "{answers}");
    }
    assert_eq!(gateway.behind.requests(), 12, "{}", gateway.behind.text());
    assert!(
        !gateway.behind.text().contains(";a=b"),
        "extensions of chunks end here"
    );
    let old = gateway.head("GET /raw HTTP/1.0");
    let answer = exchange(gateway.node.live, format!("{old}\r\n").as_bytes());
    assert!(answer.contains(" 200 OK"), "{answer}");
}

#[test]
fn a_head_may_be_as_large_as_its_limit_and_not_a_byte_larger() {
    let gateway = Gateway::start(|settings| {
        settings.limits.head = HeadLimits {
            bytes: 2_000,
            headers: 20,
        };
    });
    let of_size = |size: usize| {
        let head = gateway.head("GET /raw HTTP/1.1") + "Connection: close\r\n";
        let fixed = head.len() + "X: \r\n\r\n".len();
        format!("{head}X: {}\r\n\r\n", "x".repeat(size - fixed))
    };
    let status = |request: String| {
        let answer = exchange(gateway.node.live, request.as_bytes());
        assert!(
            answer.contains("ok") || answer.contains("\"message\""),
            "{answer}"
        );
        answer["HTTP/1.1 ".len()..][..3].to_owned()
    };
    assert_eq!(status(of_size(1_999)), "200");
    assert_eq!(status(of_size(2_000)), "200");
    assert_eq!(status(of_size(2_001)), "431");
    assert_eq!(status(of_size(9_000)), "431");
    let target =
        |size: usize| gateway.head(&format!("GET /raw/{} HTTP/1.1", "x".repeat(size))) + "\r\n";
    assert_eq!(status(target(2_001)), "414");
    assert_eq!(status(target(90_000)), "414");
    // Three are there already.
    let of_headers = |count: usize| {
        let head = gateway.head("GET /raw HTTP/1.1") + "Connection: close\r\n";
        format!("{head}{}\r\n", "X: y\r\n".repeat(count - 3))
    };
    assert_eq!(status(of_headers(19)), "200");
    assert_eq!(status(of_headers(20)), "200");
    assert_eq!(status(of_headers(21)), "431");
}

#[test]
fn what_is_refused_is_counted_by_reason() {
    let gateway = Gateway::start(|_| {});
    let count = |reason: &str| {
        let metrics = gateway.node.monitor.get("/metrics").send().text();
        let start = format!("wayleave_turned_away_total{{reason=\"{reason}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
        line.expect("a line").parse::<u64>().expect("a number")
    };
    assert_eq!(count("malformed"), 0);
    exchange(gateway.node.live, b"GET / HTTP/1.1\r\nX : y\r\n\r\n");
    // What our own look lets pass and the parser behind it refuses is counted too.
    exchange(gateway.node.live, b"GET / HTTP/1.1\r\nX: \x01\r\n\r\n");
    exchange(gateway.node.live, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(count("malformed"), 3);
    let wide = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
    exchange(gateway.node.live, wide.as_bytes());
    assert_eq!(count("head_too_large"), 1);
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(65_536));
    exchange(gateway.node.live, long.as_bytes());
    assert_eq!(count("target_too_long"), 1);
}

#[test]
fn bytes_that_follow_an_upgrade_too_early_are_a_next_request_and_are_refused() {
    let gateway = Gateway::start(|_| {});
    let head = gateway.head("GET /raw HTTP/1.1");
    let early = "GET /raw/smuggled HTTP/1.1\r\nX : y\r\n\r\n";
    let request = format!("{head}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n{early}");
    let answer = exchange(gateway.node.live, request.as_bytes());
    assert!(!answer.contains(" 101 "), "{answer}");
    assert!(
        !gateway.behind.text().contains("smuggled"),
        "{}",
        gateway.behind.text()
    );
}
