//! HTTP/2: over TLS and with prior knowledge, and what its floods come to.

use std::process::{Command, Output};
use std::time::Duration;

use wayleave_core::{Audience, Environment};
use wayleave_proxy::ForwardSettings;
use wayleave_testkit::{Address, DatabaseKind, TestFolder};

use crate::gateway::scripted::Scripted;
use crate::h2_frames::*;
use crate::harness::{NOW_S, TestNode};
use crate::strict_requests::Gateway;
use crate::transport::certificate;

/// What curl got, with the version and the status after the body.
fn curl(arguments: &[&str]) -> String {
    let output: Output = Command::new("curl")
        .args([
            "-s",
            "-S",
            "--max-time",
            "30",
            "-w",
            "\n%{http_version} %{http_code}",
        ])
        .args(arguments)
        .output()
        .expect("curl");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_speaks_http2_over_tls_and_with_prior_knowledge_to_every_surface() {
    let folder = TestFolder::new();
    let files = certificate(&folder);
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.environments[0].address.tls = Some(files.clone());
    });
    let authority = files.certificate.display().to_string();
    let port = node.live.port();
    let jwks = format!("https://localhost:{port}/.well-known/jwks.json");
    let got = curl(&["--http2", "--cacert", &authority, &jwks]);
    assert!(got.ends_with("\n2 200"), "{got}");
    let got = curl(&["--http1.1", "--cacert", &authority, &jwks]);
    assert!(got.ends_with("\n1.1 200"), "{got}");

    let keys = node.keys(Environment::Test, Audience::Routes);
    let test = |path: &str| format!("{}{path}", node.test_url);
    let pair = format!("{}:{}", keys.public_id, keys.secret);
    let prior = "--http2-prior-knowledge";
    let got = curl(&[prior, "-u", &pair, &test("/token")]);
    assert!(
        got.ends_with("\n2 200") && got.contains("\"token\""),
        "{got}"
    );
    let platform = node.keys(Environment::Test, Audience::Platform);
    let pair = format!("{}:{}", platform.public_id, platform.secret);
    let grant = "grant_type=client_credentials";
    let got = curl(&[prior, "-u", &pair, "-d", grant, &test("/oauth/token")]);
    assert!(
        got.ends_with("\n2 200") && got.contains("access_token"),
        "{got}"
    );
    let bearer = format!(
        "Authorization: Bearer {}",
        node.token(Environment::Test, &keys)
    );
    let body = "x".repeat(300_000);
    std::fs::write(folder.path().join("body"), &body).expect("written");
    let body = format!("@{}", folder.path().join("body").display());
    let got = curl(&[
        prior,
        "-H",
        &bearer,
        "--data-binary",
        &body,
        &test("/hello?a=1"),
    ]);
    assert!(got.ends_with("\n2 200"), "{got}");
    assert!(
        got.contains("\"body_bytes\": 300000") && got.contains("\"query\": \"a=1\""),
        "{got}"
    );
    let got = curl(&[
        prior,
        "-H",
        &bearer,
        "-H",
        "Expect: 100-continue",
        "-d",
        "ab",
        &test("/hello"),
    ]);
    assert!(
        got.ends_with("\n2 200") && got.contains("\"body_bytes\": 2"),
        "{got}"
    );
    let got = curl(&[prior, &test("/hello")]);
    assert!(
        got.ends_with("\n2 401") && got.contains("\"message\""),
        "{got}"
    );

    let signer = node.keys(Environment::Test, Audience::Management);
    let path = format!("/api/Property/{}", signer.public_id);
    let [timestamp, authentication] = signer.signer().headers("GET", &path, NOW_S);
    let timestamp = format!("{}: {}", timestamp.0, timestamp.1);
    let authentication = format!("{}: {}", authentication.0, authentication.1);
    let got = curl(&[prior, "-H", &timestamp, "-H", &authentication, &test(&path)]);
    assert!(
        got.ends_with("\n2 200") && got.contains("\"signed\""),
        "{got}"
    );

    let admin = format!("http://127.0.0.1:{}/livez", node.admin.port());
    assert!(curl(&[prior, &admin]).ends_with("\n2 200"));
    let monitor = format!("http://127.0.0.1:{}/metrics", node.monitor.port());
    assert!(curl(&[prior, &monitor]).ends_with("\n2 200"));
}

#[test]
fn nghttp_asks_many_times_on_one_connection() {
    if Command::new("nghttp").arg("--version").output().is_err() {
        // `cargo xtask test` installs it; without it curl and the frames below stand alone.
        return;
    }
    let node = TestNode::start(DatabaseKind::Sqlite);
    let url = format!("{}/.well-known/jwks.json", node.test_url);
    let output = Command::new("nghttp")
        .args(["-nv", "-m", "50", &url])
        .output();
    let told = String::from_utf8_lossy(&output.expect("nghttp").stdout).into_owned();
    assert_eq!(told.matches(":status: 200").count(), 50, "{told}");
    assert!(
        told.contains("SETTINGS_MAX_CONCURRENT_STREAMS(0x03):100"),
        "{told}"
    );
}

#[test]
fn an_authority_becomes_the_host_and_cookies_become_one() {
    let gateway = Gateway::start(|_| {});
    let mut client = Http2::connect(gateway.node.live);
    let mut headers = get("/raw/x?y=z");
    headers[2].1 = "api.example:8443";
    headers.extend([
        ("authorization", gateway.token.as_str()),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ]);
    client.request(1, &headers);
    assert_eq!(client.status(1), Some(200));
    let seen = gateway.behind.text();
    assert!(seen.starts_with("GET /raw/x?y=z HTTP/1.1\r\n"), "{seen}");
    let seen = seen.to_ascii_lowercase();
    assert!(
        seen.contains("\r\nx-forwarded-host: api.example:8443\r\n"),
        "{seen}"
    );
    assert!(seen.contains("\r\ncookie: a=1; b=2\r\n"), "{seen}");
    assert!(!seen.contains("\r\ntransfer-encoding"), "{seen}");
}

#[test]
fn bodies_and_trailers_stream_through_both_ways() {
    let server = Scripted::new(|caller| {
        while caller.receive().is_some() {
            caller.send("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n");
        }
    });
    let gateway = crate::gateway::Gateway::to(&[&server], ForwardSettings::default());
    let mut client = Http2::connect(gateway.node.live);
    let bearer = format!("Bearer {}", gateway.token);
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/behind"),
        ("authorization", &bearer),
        ("te", "trailers"),
        ("trailer", "x-sum"),
    ];
    client.send(&frame(HEADERS, END_HEADERS, 1, &block(&headers)));
    client.send(&frame(DATA, 0, 1, b"hello"));
    let trailers = block(&[("x-sum", "9")]);
    client.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &trailers));
    assert_eq!(client.status(1), Some(200));
    let mut body = Vec::new();
    let last = loop {
        let frame = client.next().expect("a frame");
        match frame.kind {
            DATA if frame.stream == 1 => body.extend(frame.payload),
            HEADERS => break frame,
            _ => {}
        }
    };
    assert_eq!(body, b"ok");
    assert_eq!(
        last.flags & END_STREAM,
        END_STREAM,
        "its trailers: {last:?}"
    );
    let got = server.requests().pop().expect("a request");
    assert_eq!(got.body, "5\r\nhello\r\n0\r\nx-sum: 9\r\n\r\n");
}

#[test]
fn what_http1_would_read_otherwise_is_refused() {
    let gateway = Gateway::start(|_| {});
    let token = ("authorization", gateway.token.as_str());
    let with = |more: &[(&'static str, &'static str)]| {
        let mut headers = get("/raw");
        headers.push(token);
        headers.extend(more);
        headers
    };
    let refused = [
        with(&[("host", "b")]),
        with(&[("host", "a"), ("host", "a")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("connection", "close")]),
        with(&[("te", "gzip")]),
        with(&[("content-length", "5")]),
        with(&[("content-length", "0"), ("content-length", "1")]),
        with(&[("content_length", "5")]),
        with(&[("wayleave!partner", "x")]),
        with(&[("X-Upper", "x")]),
        with(&[("x-crlf", "a\r\nevil: b")]),
        with(&[("x-nul", "a\0b")]),
        with(&[("x y", "z")]),
        with(&[("", "z")]),
        with(&[(":path", "/raw")]),
        with(&[(":unknown", "x")]),
    ];
    let mut all = refused.to_vec();
    for (place, value) in [
        (0, "TRACE"),
        (0, "G ET"),
        (0, ""),
        (2, "u@a"),
        (2, "a b"),
        (2, ""),
        (3, ""),
        (3, "raw"),
        (3, "/raw HTTP/1.1\r\nx: y"),
        (3, "*"),
    ] {
        let mut headers = with(&[]);
        headers[place].1 = value;
        all.push(headers);
    }
    for headers in all {
        let mut client = Http2::connect(gateway.node.live);
        client.request(1, &headers);
        let status = client.status(1);
        assert!(
            matches!(status, None | Some(400 | 405)),
            "{headers:?}: {status:?}"
        );
    }
    let passed_on = gateway.behind.text();
    assert_eq!(passed_on, "", "nothing of it was passed on");
    let mut client = Http2::connect(gateway.node.live);
    client.request(1, &with(&[("host", "A"), ("te", "trailers")]));
    assert_eq!(client.status(1), Some(200));
}

/// Whether the node serves others still.
pub(crate) fn serves(address: Address) {
    address.get("/.well-known/jwks.json").send().expect(200);
    let mut client = Http2::connect(address);
    client.request(1, &get("/.well-known/jwks.json"));
    assert_eq!(client.status(1), Some(200));
}

/// Sends the same bytes until the other side closes; panics when it takes all of them.
fn floods(address: Address, first: &[u8], piece: impl Fn(u32) -> Vec<u8>, most: u32) {
    let mut client = Http2::connect(address);
    client.send(first);
    let taken = (0..most)
        .take_while(|number| client.send(&piece(*number)))
        .count();
    // What was sent into a closing connection is lost; its end is what counts.
    let frames = client.rest();
    assert!(
        taken < most as usize || !frames.is_empty(),
        "{taken} pieces were taken"
    );
    serves(address);
}

#[test]
fn floods_of_frames_that_ask_for_nothing_end_the_connection() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let hundred = |one: Vec<u8>| move |_| one.repeat(100);
    let most = 10_000;
    let post = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/oauth/token"),
    ];
    let open = frame(HEADERS, END_HEADERS, 1, &block(&post));
    floods(node.live, &open, hundred(frame(DATA, 0, 1, b"")), most);
    floods(node.live, b"", hundred(frame(SETTINGS, 0, 0, b"")), most);
    floods(
        node.live,
        b"",
        hundred(frame(PING, 0, 0, b"01234567")),
        most,
    );
    floods(
        node.live,
        b"",
        hundred(frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        most,
    );
    floods(
        node.live,
        b"",
        hundred(frame(2, 0, 1, &[0, 0, 0, 0, 16])),
        most,
    );
    floods(node.live, b"", hundred(frame(200, 0, 0, b"")), most);
    let turned_away = node.monitor.get("/metrics").send().text();
    let flood = "wayleave_turned_away_total{reason=\"flood\"} ";
    let count = turned_away
        .lines()
        .find_map(|line| line.strip_prefix(flood));
    assert!(
        count.is_some_and(|count| count.parse::<u32>().expect("a number") >= 4),
        "{count:?}"
    );
}

#[test]
fn a_rapid_reset_ends_the_connection() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let headers = block(&get("/hello"));
    let reset = |number: u32| {
        let stream = 2 * number + 1;
        let mut bytes = frame(HEADERS, END_STREAM | END_HEADERS, stream, &headers);
        bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        bytes
    };
    floods(node.live, b"", reset, 100_000);
}

#[test]
fn a_stream_that_we_are_made_to_reset_again_and_again_ends_the_connection() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let headers = block(&get("/hello"));
    // A window that grows by nothing is an error of the stream (CVE-2025-8671).
    let made = |number: u32| {
        let stream = 2 * number + 1;
        let mut bytes = frame(HEADERS, END_STREAM | END_HEADERS, stream, &headers);
        bytes.extend(frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 0]));
        bytes
    };
    floods(node.live, b"", made, 100_000);
}

#[test]
fn an_endless_head_ends_the_connection_or_the_request() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let first = frame(HEADERS, END_STREAM, 1, &block(&get("/hello")));
    let more = block(&[("x-name", &"x".repeat(1_000))]);
    let piece = |_| frame(CONTINUATION, 0, 1, &more);
    floods(node.live, &first, piece, 100_000);
    let empty = |_| frame(CONTINUATION, 0, 1, b"").repeat(100);
    floods(node.live, &first, empty, 10_000);
    // One that ends is told that it is too large.
    let mut client = Http2::connect(node.live);
    let wide = "x".repeat(70_000);
    let mut headers = get("/hello");
    headers.push(("x-wide", &wide));
    let block = block(&headers);
    let mut pieces = block.chunks(16_000);
    client.send(&frame(
        HEADERS,
        END_STREAM,
        1,
        pieces.next().expect("a piece"),
    ));
    for piece in pieces {
        client.send(&frame(CONTINUATION, 0, 1, piece));
    }
    client.send(&frame(CONTINUATION, END_HEADERS, 1, b""));
    let status = client.status(1);
    assert!(matches!(status, None | Some(431)), "{status:?}");
    serves(node.live);
}

#[test]
fn streams_beyond_the_limit_are_refused_and_the_others_answered() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.limits.http2_streams = 3;
    });
    let mut client = Http2::connect(node.live);
    let post = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/oauth/token"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    // The client must have seen the limit before it counts.
    loop {
        let frame = client.next().expect("settings");
        if frame.kind == SETTINGS && frame.flags == 0 {
            assert!(
                frame.payload.chunks(6).any(|one| one == [0, 3, 0, 0, 0, 3]),
                "{frame:?}"
            );
            client.send(&crate::h2_frames::frame(SETTINGS, 1, 0, b""));
            break;
        }
    }
    for stream in [1, 3, 5, 7] {
        client.send(&frame(HEADERS, END_HEADERS, stream, &block(&post)));
    }
    let refused = loop {
        let frame = client.next().expect("a refusal");
        if frame.kind == RST_STREAM {
            break frame;
        }
    };
    assert_eq!(
        (refused.stream, &refused.payload[..]),
        (7, &[0, 0, 0, 7][..]),
        "REFUSED_STREAM"
    );
    client.send(&frame(DATA, END_STREAM, 1, b"a=b"));
    assert_eq!(client.status(1), Some(400));
}

#[test]
fn without_http2_it_is_neither_offered_nor_understood() {
    let folder = TestFolder::new();
    let files = certificate(&folder);
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.limits.http2_streams = 0;
        settings.environments[0].address.tls = Some(files.clone());
    });
    let authority = files.certificate.display().to_string();
    let url = format!(
        "https://localhost:{}/.well-known/jwks.json",
        node.live.port()
    );
    let got = curl(&["--http2", "--cacert", &authority, &url]);
    assert!(got.ends_with("\n1.1 200"), "{got}");
    let preface = String::from_utf8_lossy(wayleave_protocol::http2_frames::PREFACE);
    let answer = crate::strict_requests::exchange(node.test, preface.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[test]
fn an_end_says_goaway_and_finishes_what_is_in_flight() {
    let mut node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    let mut client = Http2::connect(node.live);
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/hello"),
        ("authorization", &token),
    ];
    client.send(&frame(HEADERS, END_HEADERS, 1, &block(&headers)));
    client.send(&frame(DATA, 0, 1, b"first "));
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| node.halt());
        let goaway = loop {
            let frame = client.next().expect("a goodbye");
            if frame.kind == GOAWAY {
                break frame;
            }
        };
        assert_eq!(goaway.payload[4..8], [0; 4], "no error");
        std::thread::sleep(Duration::from_millis(100));
        client.send(&frame(DATA, END_STREAM, 1, b"last"));
        assert_eq!(client.status(1), Some(200));
        let body: Vec<u8> = client
            .rest()
            .into_iter()
            .filter(|frame| frame.kind == DATA)
            .flat_map(|frame| frame.payload)
            .collect();
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(body.contains("\"body_bytes\": 10"), "{body}");
        ending.join().expect("it ends");
    });
}

#[test]
fn a_new_certificate_leaves_open_http2_connections_alone() {
    let folder = TestFolder::new();
    let files = certificate(&folder);
    let mut node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.environments[0].address.tls = Some(files.clone());
    });
    let old = std::fs::read(&files.certificate).expect("a certificate");
    let url = format!(
        "https://localhost:{}/.well-known/jwks.json",
        node.live.port()
    );
    let old_path = folder.path().join("old.pem");
    std::fs::write(&old_path, &old).expect("written");
    let mut client = Http2::connect_over_tls(node.live.port(), &old_path);
    client.request(1, &get("/.well-known/jwks.json"));
    assert_eq!(client.status(1), Some(200));
    certificate(&folder);
    node.reload(|_| {});
    client.request(3, &get("/.well-known/jwks.json"));
    assert_eq!(client.status(3), Some(200), "the open connection goes on");
    let new = files.certificate.display().to_string();
    assert!(curl(&["--http2", "--cacert", &new, &url]).ends_with("\n2 200"));
    let refused = Command::new("curl")
        .args(["-s", "--cacert"])
        .arg(&old_path)
        .arg(&url)
        .status();
    assert!(
        !refused.expect("curl").success(),
        "new connections see the new certificate"
    );
}
