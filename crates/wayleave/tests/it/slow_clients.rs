//! Clients that are slow, silent or too many, and partners that are greedy.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use wayleave::node::NodeSettings;
use wayleave_core::{Audience, Environment};
use wayleave_proxy::ApiBehind;
use wayleave_testkit::{Address, DatabaseKind};
use wayleave_web::{Route, TrustedProxies};

use crate::h2_frames::{END_HEADERS, HEADERS, Http2, SETTINGS, block, frame, get};
use crate::harness::{TestNode, route};
use crate::strict_requests::exchange;
use crate::transport::certificate;

/// Everything that is slow is cut after this, and one look more.
const SHORT: Duration = Duration::from_millis(300);

fn impatient(settings: &mut NodeSettings) {
    settings.limits.handshake_timeout = SHORT;
    settings.limits.head_timeout = SHORT;
    settings.limits.idle_timeout = 2 * SHORT;
    settings.limits.stall_timeout = SHORT;
}

fn connect(address: Address) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", address.port())).expect("connected");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("a timeout");
    stream
}

/// Waits for the end, which has to come by itself; returns what came before.
fn ends(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it is still open: {error}"),
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// What was counted under a reason.
fn turned_away(node: &TestNode, reason: &str) -> u64 {
    let metrics = node.monitor.get("/metrics").send().text();
    let start = format!("wayleave_turned_away_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.expect("a line").parse().expect("a number")
}

#[test]
fn a_head_that_takes_too_long_is_cut_however_it_trickles() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, impatient);
    // Silent, within the first bytes, within the head, and after a good request.
    ends(connect(node.live));
    for begun in [
        "G",
        "PRI * HT",
        "GET / HTTP/1.1\r\nX: ",
        "GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\n\r\nGET ",
    ] {
        let mut stream = connect(node.live);
        stream.write_all(begun.as_bytes()).expect("written");
        let mut dripping = stream.try_clone().expect("a clone");
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let dripper = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) && dripping.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        ends(stream);
        is_over.store(true, Ordering::Relaxed);
        dripper.join().expect("it ends");
    }
    assert!(turned_away(&node, "slow_head") >= 3);
    node.live.get("/.well-known/jwks.json").send().expect(200);
}

#[test]
fn an_idle_connection_is_closed_and_one_that_asks_now_and_then_is_kept() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, impatient);
    let request = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut stream = connect(node.live);
    let mut piece = [0; 16 * 1024];
    for _ in 0..6 {
        stream.write_all(request).expect("it is open");
        assert!(stream.read(&mut piece).expect("an answer") > 0);
        std::thread::sleep(SHORT / 2);
    }
    assert_eq!(ends(stream), "");
    let mut client = Http2::connect(node.live);
    for stream in [1, 3, 5, 7] {
        client.request(stream, &get("/.well-known/jwks.json"));
        assert_eq!(client.status(stream), Some(200));
        std::thread::sleep(SHORT / 2);
    }
    client.rest();
    assert_eq!(turned_away(&node, "slow_reader"), 0);
}

#[test]
fn a_tls_handshake_that_takes_too_long_or_fails_is_cut_and_counted() {
    let folder = wayleave_testkit::TestFolder::new();
    let files = certificate(&folder);
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        impatient(settings);
        settings.environments[0].address.tls = Some(files.clone());
    });
    ends(connect(node.live));
    let mut plain = connect(node.live);
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("written");
    ends(plain);
    eventually(|| turned_away(&node, "handshake") == 2);
}

#[test]
fn a_begun_http2_connection_without_a_request_is_cut() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, impatient);
    Http2::connect(node.live).rest();
    let mut client = Http2::connect(node.live);
    let block = block(&get("/hello"));
    client.send(&frame(HEADERS, 0, 1, &block[..5]));
    client.rest();
    assert!(turned_away(&node, "slow_head") >= 2);
}

/// An API behind whose answers have no end.
fn endless() -> ApiBehind {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut piece = [0; 16 * 1024];
                let _ = stream.read(&mut piece);
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
                while stream.write_all(&piece).is_ok() {}
            });
        }
    });
    format!("http://{address}").parse().expect("an upstream")
}

#[test]
fn a_client_that_does_not_take_its_answer_is_cut() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        impatient(settings);
        settings.environments[0].surfaces.routes = vec![Route {
            upstream: endless(),
            ..route("/endless", &[Audience::Routes], "")
        }];
    });
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    let mut stream = connect(node.live);
    let request = format!("GET /endless HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("written");
    eventually(|| turned_away(&node, "slow_reader") == 1);
    // One of HTTP/2 whose window stays shut.
    let mut client = Http2::connect(node.live);
    client.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    let mut headers = get("/endless");
    headers.push(("authorization", &token));
    client.send(&frame(HEADERS, END_HEADERS | 1, 1, &block(&headers)));
    client.rest();
    assert_eq!(turned_away(&node, "slow_reader"), 2);
}

#[track_caller]
fn eventually(is_so: impl Fn() -> bool) {
    for _ in 0..400 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it never was so");
}

/// Connections that are counted for sure: each has had an answer.
fn connections(address: Address, count: usize) -> Vec<TcpStream> {
    let asked = |_| {
        let mut stream = connect(address);
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(request).expect("written");
        assert!(stream.read(&mut [0; 4096]).expect("an answer") > 0);
        stream
    };
    (0..count).map(asked).collect()
}

#[test]
fn a_peer_has_so_many_connections_and_a_trusted_proxy_any_number() {
    let start = |trusted: &[&str]| {
        TestNode::start_with(DatabaseKind::Sqlite, |settings| {
            settings.limits.connections_per_peer = 3;
            settings.limits.connections = 6;
            settings.trusted_proxies = TrustedProxies::parse(trusted).expect("addresses");
        })
    };
    let node = start(&[]);
    let open = connections(node.live, 3);
    let refused = ends(connect(node.live));
    assert!(
        refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 1"),
        "{refused}"
    );
    let (_, body) = refused.split_once("\r\n\r\n").expect("a body");
    assert!(
        refused.contains(&format!("content-length: {}\r\n", body.len())),
        "{refused}"
    );
    assert!(
        serde_json::from_str::<serde_json::Value>(body).is_ok(),
        "{body}"
    );
    let other_environment = ends(connect(node.test));
    assert!(
        other_environment.starts_with("HTTP/1.1 503"),
        "{other_environment}"
    );
    assert_eq!(turned_away(&node, "connections_of_peer"), 2);
    // Operators and monitoring find room, and a place that was left is free again.
    node.admin.get("/livez").send().expect(200);
    node.monitor.get("/readyz").send().expect(200);
    drop(open);
    eventually(|| {
        exchange(
            node.live,
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .starts_with("HTTP/1.1 404")
    });

    let node = start(&["127.0.0.1"]);
    let _open = connections(node.live, 6);
    let refused = ends(connect(node.live));
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert_eq!(turned_away(&node, "connections"), 1);
    assert_eq!(turned_away(&node, "connections_of_peer"), 0);
}

/// An API behind that holds its answers until it is told to give them, and knows the most that it
/// held at once.
struct Holding {
    address: std::net::SocketAddr,
    is_open: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
}

impl Holding {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
        let address = listener.local_addr().expect("an address");
        let holding = Holding {
            address,
            is_open: Arc::default(),
            most: Arc::default(),
        };
        let (is_open, most) = (holding.is_open.clone(), holding.most.clone());
        let held = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (is_open, most, held) = (is_open.clone(), most.clone(), held.clone());
                std::thread::spawn(move || {
                    while let Ok(1..) = stream.read(&mut [0; 16 * 1024]) {
                        let now = held.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        while !is_open.load(Ordering::SeqCst) {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        held.fetch_sub(1, Ordering::SeqCst);
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        if stream.write_all(answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        holding
    }
}

#[test]
fn a_greedy_partner_with_ten_times_the_load_does_not_starve_a_quiet_one() {
    let behind = Holding::start();
    let upstream: ApiBehind = format!("http://{}", behind.address)
        .parse()
        .expect("an upstream");
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.threads = 1;
        settings.limits.requests_in_flight = 12;
        settings.environments[0].surfaces.routes = vec![Route {
            upstream,
            ..route("/held", &[Audience::Routes], "")
        }];
    });
    let token = || {
        node.token(
            Environment::Live,
            &node.keys(Environment::Live, Audience::Routes),
        )
    };
    let (greedy, quiet) = (token(), token());
    let call = |token: &str| node.live.get("/held").bearer(token).header("Host", "a");
    let (greedy_calls, quiet_calls) = (30, 3);
    let (refused, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let greedy_is_in = Barrier::new(2);
    std::thread::scope(|scope| {
        let greedy_ones: Vec<_> = (0..greedy_calls)
            .map(|_| {
                scope.spawn(|| {
                    let answer = call(&greedy).send();
                    match answer.status {
                        200 => served.fetch_add(1, Ordering::SeqCst),
                        503 => {
                            assert_eq!(answer.header("retry-after"), Some("1"));
                            assert!(answer.text().contains("overloaded"), "{}", answer.text());
                            refused.fetch_add(1, Ordering::SeqCst)
                        }
                        other => panic!("{other}: {}", answer.text()),
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            // All that exceed its half are refused at once.
            eventually(|| refused.load(Ordering::SeqCst) == greedy_calls - 6);
            greedy_is_in.wait();
        });
        greedy_is_in.wait();
        let quiet_ones: Vec<_> = (0..quiet_calls)
            .map(|_| scope.spawn(|| call(&quiet).send().status))
            .collect();
        eventually(|| behind.most.load(Ordering::SeqCst) == 6 + quiet_calls);
        // Monitoring answers while the places are taken.
        node.monitor.get("/livez").send().expect(200);
        node.monitor.get("/readyz").send().expect(200);
        behind.is_open.store(true, Ordering::SeqCst);
        for quiet_one in quiet_ones {
            assert_eq!(
                quiet_one.join().expect("it ends"),
                200,
                "the quiet partner is served"
            );
        }
        for greedy_one in greedy_ones {
            greedy_one.join().expect("it ends");
        }
    });
    assert_eq!(served.load(Ordering::SeqCst), 6);
    assert_eq!(turned_away(&node, "overload"), (greedy_calls - 6) as u64);
    // The places are free again.
    call(&greedy).send().expect(200);
}
