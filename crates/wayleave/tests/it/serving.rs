//! `wayleave serve`, the real binary, as it is operated: watched, reloaded, ended.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use wayleave::operators_file::OperatorsFile;
use wayleave::ports::{SystemClock, SystemRandomness};
use wayleave_core::{Audience, Environment, OperatorScope};
use wayleave_engine::{Clock as _, Database};
use wayleave_testkit::{Address, DatabaseKind, TestDatabases, TestFolder};

use crate::harness::{TestNode, binary, free_port};
use crate::limits::ask_often;
use crate::transport::{certificate, get_over_tls};

/// A node that was started from a file, as a supervisor starts it.
struct Served {
    child: Option<Child>,
    folder: TestFolder,
    addresses: [SocketAddr; 4],
    token: String,
    more: String,
}

impl Served {
    /// Starts one and waits until it says that it is ready. `more`: further text of its file.
    fn start(more: &str) -> Self {
        let folder = TestFolder::new();
        let operators = OperatorsFile::at(folder.path().join("operators.toml"));
        let now = SystemClock.now();
        let token = operators.create("ada", OperatorScope::Operator, &[], now, &SystemRandomness);
        let mut served = Served {
            child: None,
            addresses: [free_port(), free_port(), free_port(), free_port()],
            token: token.expect("a token"),
            folder,
            more: String::new(),
        };
        served.write(more);
        served.run();
        served
    }

    fn run(&mut self) {
        let path = self.folder.path().join("notify");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let timeout = Some(Duration::from_secs(30));
        socket.set_read_timeout(timeout).expect("a timeout");
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log");
        let command = ["serve", "--config"];
        let child = binary()
            .args(command)
            .arg(self.folder.path().join("wayleave.toml"))
            .env("NOTIFY_SOCKET", &path)
            .stderr(Stdio::from(log))
            .spawn();
        self.child = Some(child.expect("the binary"));
        let mut told = [0; 16];
        let length = socket.recv(&mut told).unwrap_or_default();
        assert_eq!(&told[..length], b"READY=1", "{}", self.log());
    }

    /// Writes its file: what every node has, and what this one has more.
    fn write(&mut self, more: &str) {
        let [live, test, admin, monitor] = self.addresses;
        let data = self.folder.path();
        self.more = more.to_owned();
        let text = format!(
            "data = {data:?}\nthreads = 2\n[admin]\naddress = \"{admin}\"\noperators_file = \"operators.toml\"\n[monitor]\naddress = \"{monitor}\"\n[test]\naddress = \"{test}\"\n[live]\naddress = \"{live}\"\n{more}"
        );
        std::fs::write(data.join("wayleave.toml"), text).expect("written");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// Asks it to read its file again, and waits until it did.
    fn reload(&self) {
        let count = || self.log().matches("was read again").count();
        let before = count();
        self.signal("-HUP");
        eventually("it reads its file again", || count() > before);
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The log once all of this is in it, or as it is after ten seconds: a thread of its own writes it.
    fn log_with(&self, words: &[&str]) -> String {
        for _ in 0..1_000 {
            let log = self.log();
            if words.iter().all(|word| log.contains(word)) {
                return log;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.log()
    }

    fn live(&self) -> Address {
        Address::at(self.addresses[0])
    }

    fn admin(&self) -> Address {
        Address::at(self.addresses[2])
    }

    fn monitor(&self) -> Address {
        Address::at(self.addresses[3])
    }

    fn wait_for_its_end(&mut self) {
        let status = self.child.take().expect("it runs").wait();
        assert!(status.expect("its end").success(), "{}", self.log());
    }

    /// A live token for the routes.
    fn route_token(&self) -> String {
        let post = |target: &str, body: serde_json::Value| {
            let call = self.admin().post(target).bearer(&self.token);
            call.json(&body).send().expect(201).json()
        };
        let partner = post("/live/v1/partners", json!({ "name": "Harbour Signs" }));
        let integration = json!({ "partner": partner["id"], "name": "Till" });
        let integration = post("/live/v1/integrations", integration);
        let wanted = json!({ "integration": integration["id"], "audience": "routes" });
        let keys = post("/live/v1/credentials", wanted);
        let text = |name: &str| keys[name].as_str().expect("a text").to_owned();
        let call = self.live().get("/token");
        let token = call.basic(&text("public_id"), &text("secret")).send();
        let token = token.expect(200).json();
        token["token"].as_str().expect("a token").to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..200 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not within ten seconds: {what}");
}

/// The routes' part of a file.
fn routes(upstream: SocketAddr) -> String {
    format!(
        "[surfaces.token]\nenabled = true\n[[route]]\npath = \"/jobs\"\naudiences = [\"routes\"]\nschemes = [\"bearer\"]\nupstream.live = \"http://{upstream}\"\n"
    )
}

#[test]
fn the_monitor_address_tells_life_readiness_and_what_was_counted() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let served = Served::start(&routes(nobody));
    let monitor = served.monitor();
    monitor.get("/livez").send().expect(200);
    monitor.get("/readyz").send().expect(200);
    monitor.get("/live/v1/credentials").send().expect(404);
    monitor.post("/metrics").send().expect(405);
    let token = served.route_token();
    served.live().get("/jobs").send().expect(401);
    served.live().get("/jobs").bearer(&token).send().expect(502);
    let answer = monitor.get("/metrics").send().expect(200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = answer.text();
    for line in [
        r#"wayleave_requests_total{environment="live",surface="token",status="2xx"} 1"#,
        r#"wayleave_requests_total{environment="live",surface="problem",status="4xx"} 1"#,
        r#"wayleave_requests_total{environment="live",surface="problem",status="5xx"} 1"#,
        r#"wayleave_refusals_total{environment="live",status="401"} 1"#,
        r#"wayleave_upstream_failures_total{environment="live",reason="unreachable"} 1"#,
        r#"wayleave_tokens_issued_total{environment="live"} 1"#,
        r#"wayleave_tokens_issued_total{environment="test"} 0"#,
        r#"wayleave_admin_requests_total{status="2xx"} 3"#,
        r#"wayleave_credentials{environment="live"} 1"#,
        "wayleave_panics_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let number = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.and_then(|value| value.parse().ok()).expect(name)
    };
    assert!(number(r#"wayleave_feed_change{environment="live"}"#) >= 3.0);
    assert!(number(r#"wayleave_feed_age_seconds{environment="test"}"#) < 30.0);
    assert!(number("wayleave_uptime_seconds") > 0.0);
    assert!(text.contains("wayleave_build_info{version=\""));
    check_form(&text);
    let documented = std::fs::read_to_string(crate::harness::root().join("docs/monitoring.md"));
    let documented = documented.expect("its document");
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = name.split(' ').next().expect("a name");
        assert!(documented.contains(name), "{name} is not documented");
    }
}

#[test]
fn without_its_database_an_environment_is_not_ready_and_still_checks_tokens() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let node = TestNode::start(DatabaseKind::Postgres);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    node.monitor.get("/readyz").send().expect(200);
    node.databases.take_away(Environment::Live);
    let answer = node.monitor.get("/readyz").send().expect(503).text();
    assert!(
        answer.contains("live") && !answer.contains("test"),
        "{answer}"
    );
    node.monitor.get("/livez").send().expect(200);
    node.live.get("/hello").bearer(&token).send().expect(200);
}

/// Every sample follows the type of its metric, and has a value.
fn check_form(text: &str) {
    let mut metric = String::new();
    for line in text.lines() {
        if let Some(named) = line.strip_prefix("# TYPE ") {
            metric = named.split(' ').next().expect("a name").to_owned();
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            assert_eq!(sample.split('{').next(), Some(metric.as_str()), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

#[test]
fn hang_up_takes_over_surfaces_operators_and_limits_while_connections_stay() {
    let mut served = Served::start("");
    let mut stream = TcpStream::connect(served.addresses[0]).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let ask = |stream: &mut TcpStream| {
        let request = "GET /token HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("sent");
        let mut read = [0; 4096];
        let length = stream.read(&mut read).expect("an answer");
        String::from_utf8_lossy(&read[..length]).into_owned()
    };
    assert!(ask(&mut stream).starts_with("HTTP/1.1 404"));
    let operators = OperatorsFile::at(served.folder.path().join("operators.toml"));
    let now = SystemClock.now();
    let second = operators.create("bo", OperatorScope::Operator, &[], now, &SystemRandomness);
    let second = second.expect("a token");
    operators.remove("ada").expect("removed");
    let list = |token: &str| {
        let call = served.admin().get("/live/v1/credentials").bearer(token);
        call.send().status
    };
    assert_eq!((list(&second), list(&served.token)), (401, 200));
    let more = "[surfaces.token]\nenabled = true\n[limits]\nwrong_secrets_per_minute = 2\n";
    served.write(more);
    served.reload();
    let list = |token: &str| {
        let call = served.admin().get("/live/v1/credentials").bearer(token);
        call.send().status
    };
    assert_eq!((list(&second), list(&served.token)), (200, 401));
    assert!(ask(&mut stream).starts_with("HTTP/1.1 401"));
    let attempt = || served.live().get("/token").basic("x", "y").send().status;
    assert_eq!((attempt(), attempt(), attempt()), (401, 401, 429));
    assert!(!served.log().contains("restart"), "{}", served.log());
}

#[test]
fn hang_up_changes_limits_and_gives_nobody_back_what_was_used() {
    let limit =
        |more: &str| format!("[[limit]]\nname = \"two\"\nrequests = 2\nper_s = 3600\n{more}\n");
    let node = |limits: &str, listed: &str| {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 1));
        let route = routes(upstream).replace("upstream", &format!("limits = {listed}\nupstream"));
        format!("{limits}{route}")
    };
    let mut served = Served::start(&node(&limit(""), "[\"two\"]"));
    let token = served.route_token();
    let ask = |served: &Served| served.live().get("/jobs").bearer(&token).send();
    // Nobody is behind, so what passes is 502.
    assert_eq!((ask(&served).status, ask(&served).status), (502, 502));
    ask(&served).expect(429);
    let two = "[[limit]]\nname = \"other\"\nrequests = 9\nper_s = 1\n";
    served.write(&node(&(limit("") + two), "[\"other\", \"two\"]"));
    served.reload();
    assert_eq!(ask(&served).expect(429).json()["limit"], "two");
    served.write(&node(&limit("burst = 4"), "[\"two\"]"));
    served.reload();
    assert_eq!(ask(&served).header("ratelimit"), Some("\"two\";r=3;t=1800"));
    served.write(&node(&limit(""), "[\"tow\"]"));
    served.reload();
    assert!(
        served.log().contains("did you mean two"),
        "{}",
        served.log()
    );
    assert_eq!(ask(&served).header("ratelimit"), Some("\"two\";r=2;t=3600"));
}

#[test]
fn hang_up_with_a_wrong_file_changes_nothing_and_says_why() {
    let mut served = Served::start("[surfaces.token]\nenabled = true\n");
    served.write("[surfaces.tokens]\nenabled = false\n");
    served.reload();
    served.live().get("/token").send().expect(401);
    let log = served.log_with(&["old settings stay", "tokens"]);
    assert!(
        log.contains("old settings stay") && log.contains("tokens"),
        "{log}"
    );
    let free = free_port();
    let moved = served.addresses[1];
    served.addresses[1] = free;
    served.write("[tokens]\nalgorithm = \"EdDSA\"\n");
    served.reload();
    let log = served.log_with(&["test.address", "tokens.algorithm", "needs a restart"]);
    for key in ["test.address", "tokens.algorithm"] {
        assert!(
            log.contains(key) && log.contains("needs a restart"),
            "{log}"
        );
    }
    // The old address still serves; the surface is off now.
    let old = Address::at(moved);
    old.get("/.well-known/jwks.json").send().expect(200);
    served.live().get("/token").send().expect(404);
}

#[test]
fn hang_up_takes_a_renewed_certificate_and_keeps_the_old_one_where_it_is_broken() {
    let folder = TestFolder::new();
    let files = certificate(&folder);
    let tls = format!(
        "tls = {{ certificate = {:?}, key = {:?} }}\n",
        files.certificate, files.key
    );
    let served = Served::start(&tls);
    let port = served.addresses[0].port();
    let page = "/.well-known/jwks.json";
    let first = std::fs::read(&files.certificate).expect("the certificate");
    assert!(get_over_tls(port, &files.certificate, page).starts_with("HTTP/1.1 200"));
    certificate(&folder);
    assert_ne!(first, std::fs::read(&files.certificate).expect("a new one"));
    served.reload();
    // Only the new certificate is trusted by this client.
    assert!(get_over_tls(port, &files.certificate, page).starts_with("HTTP/1.1 200"));
    let renewed = folder.path().join("renewed.pem");
    std::fs::rename(&files.certificate, &renewed).expect("moved");
    std::fs::write(&files.certificate, "no certificate").expect("written");
    served.reload();
    assert!(
        served.log().contains("old settings stay"),
        "{}",
        served.log()
    );
    assert!(get_over_tls(port, &renewed, page).starts_with("HTTP/1.1 200"));
}

/// An API that takes its time. Returns its address and how many requests have reached it.
fn slow_api(time: Duration) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = listener.local_addr().expect("an address");
    let reached = Arc::new(AtomicUsize::new(0));
    let count = reached.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let count = count.clone();
            std::thread::spawn(move || answer_slowly(stream, time, &count));
        }
    });
    (address, reached)
}

fn answer_slowly(mut stream: TcpStream, time: Duration, reached: &AtomicUsize) {
    let mut head = [0; 4096];
    while stream.read(&mut head).is_ok_and(|length| length > 0) {
        reached.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(time);
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn an_end_under_load_loses_no_request_in_flight_five_times_over() {
    const CLIENTS: usize = 12;
    let (upstream, reached) = slow_api(Duration::from_millis(600));
    let mut served = Served::start(&routes(upstream));
    let token = served.route_token();
    for round in 1..=5 {
        reached.store(0, Ordering::SeqCst);
        let call = served.live().get("/jobs").bearer(&token);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let call = call.clone();
                std::thread::spawn(move || call.send())
            })
            .collect();
        eventually("all requests are on their way", || {
            reached.load(Ordering::SeqCst) == CLIENTS
        });
        served.signal("-TERM");
        eventually("it is not ready any more", || {
            served.monitor().get("/readyz").send().status == 503
        });
        for client in clients {
            let answer = client.join().expect("an answer in round").expect(200);
            assert_eq!(answer.text(), "done", "round {round}");
        }
        served.wait_for_its_end();
        assert!(TcpStream::connect(served.addresses[0]).is_err());
        assert!(served.log().contains("ended") && !served.log().contains("cut"));
        served.run();
    }
}

/// Asks on one connection until it is told that the connection closes; returns how often.
fn ask_until_told_to_close(address: SocketAddr, token: &str) -> usize {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let timeout = Some(Duration::from_secs(10));
    stream.set_read_timeout(timeout).expect("a timeout");
    let request = format!("GET /jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut asked = 0;
    loop {
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        while !answer.ends_with("done") {
            let mut read = [0; 4096];
            let length = stream.read(&mut read).expect("an answer");
            assert!(length > 0, "it broke off after {asked} answers: {answer}");
            answer.push_str(&String::from_utf8_lossy(&read[..length]));
        }
        asked += 1;
        if answer.contains("connection: close") {
            return asked;
        }
    }
}

#[test]
fn busy_connections_are_told_to_close_and_lose_nothing() {
    let (upstream, reached) = slow_api(Duration::from_millis(5));
    let mut served = Served::start(&routes(upstream));
    let token = served.route_token();
    let address = served.addresses[0];
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let token = token.clone();
            std::thread::spawn(move || ask_until_told_to_close(address, &token))
        })
        .collect();
    eventually("they are busy", || reached.load(Ordering::SeqCst) > 100);
    served.signal("-TERM");
    for client in clients {
        assert!(client.join().expect("no answer is lost") > 1);
    }
    served.wait_for_its_end();
}

#[test]
fn a_request_that_takes_too_long_is_cut_when_the_time_to_end_is_over() {
    let (upstream, reached) = slow_api(Duration::from_secs(20));
    let mut served = Served::start(&routes(upstream));
    let token = served.route_token();
    let text = std::fs::read_to_string(served.folder.path().join("wayleave.toml")).expect("text");
    let text = format!("drain_timeout_s = 1\n{text}");
    std::fs::write(served.folder.path().join("wayleave.toml"), text).expect("written");
    served.signal("-TERM");
    served.wait_for_its_end();
    served.run();
    let mut stream = TcpStream::connect(served.addresses[0]).expect("a connection");
    let request = format!("GET /jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    eventually("it is on its way", || reached.load(Ordering::SeqCst) == 1);
    served.signal("-TERM");
    served.wait_for_its_end();
    assert!(served.log().contains("were cut"), "{}", served.log());
    let mut answer = Vec::new();
    assert_eq!(stream.read_to_end(&mut answer).unwrap_or_default(), 0);
}

/// A quota of a thousand a day on `/jobs`, whose checks [`ask_often`] asks about as `/hello`.
const QUOTA: &str = "[surfaces.token]\nenabled = true\n[[limit]]\nname = \"thousand\"\nrequests = 1000\nperiod = \"month\"\n[[route]]\npath = \"/hello\"\naudiences = [\"routes\"]\nschemes = [\"bearer\"]\nlimits = [\"thousand\"]\nupstream.live = \"http://127.0.0.1:1\"\n";

#[test]
fn a_killed_node_takes_its_part_of_a_quota_along_and_never_lets_more_pass() {
    let mut served = Served::start(QUOTA);
    let token = served.route_token();
    let mut passed = 0;
    for _ in 0..4 {
        passed += ask_often(served.live(), &token, 60);
        served.signal("-KILL");
        let _ = served.child.take().expect("it ran").wait();
        served.run();
    }
    assert_eq!(passed, 240, "nobody was refused so far");
    passed += ask_often(served.live(), &token, 1_000);
    assert!((700..1_000).contains(&passed), "{passed}");
    assert_eq!(ask_often(served.live(), &token, 10), 0);
}

#[test]
fn two_nodes_of_which_one_is_killed_never_let_more_pass_than_a_quota() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let folder = TestFolder::new();
    let databases = TestDatabases::new(DatabaseKind::Postgres, &folder);
    let (Database::Postgres(live), Database::Postgres(test)) = (&databases.live, &databases.test)
    else {
        unreachable!("they are of that kind");
    };
    let shared = format!("database = \"{live}\"\npublic_url = \"http://127.0.0.1:9\"\n");
    let mut first = Served::start(&format!("{shared}{QUOTA}"));
    let key = first.folder.path().join("master/live.key");
    // Its own test environment, whose database nobody else has.
    let second = Served::start(&format!("{shared}master_key_file = {key:?}\n{QUOTA}"));
    assert_ne!(live, test);
    let token = first.route_token();
    eventually("the second node knows the credential", || {
        second.live().get("/hello").bearer(&token).send().status == 502
    });
    let passed: usize = std::thread::scope(|scope| {
        let addresses = [first.live(), second.live()];
        let asking: Vec<_> = (0..16)
            .map(|number| {
                let (address, token) = (addresses[number % 2], token.as_str());
                scope.spawn(move || ask_often(address, token, 100))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(100));
        first.signal("-KILL");
        asking
            .into_iter()
            .map(|asked| asked.join().expect("asked"))
            .sum()
    });
    let _ = first.child.take().expect("it ran").wait();
    let rest = ask_often(second.live(), &token, 1_000);
    // The look that was proven took one.
    let passed = passed + rest + 1;
    assert!((800..=1_000).contains(&passed), "{passed}");
    assert_eq!(ask_often(second.live(), &token, 10), 0);
}

#[test]
fn a_request_whose_client_went_away_is_counted_as_one() {
    let (upstream, reached) = slow_api(Duration::from_secs(3));
    let served = Served::start(&routes(upstream));
    let token = served.route_token();
    let mut stream = TcpStream::connect(served.addresses[0]).expect("a connection");
    let request = format!("GET /jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    eventually("it is on its way", || reached.load(Ordering::SeqCst) == 1);
    drop(stream);
    let counted = || {
        let call = served.admin().get("/live/v1/usage?by=status,kind");
        call.bearer(&served.token).send().expect(200).json()["data"].clone()
    };
    eventually("it is counted", || counted() != serde_json::json!([]));
    let counted = counted();
    assert_eq!(counted[0]["status"], 499, "{counted}");
    assert_eq!(counted[0]["requests"], 1, "{counted}");
    assert_eq!(counted[0]["kind"], "proxied", "{counted}");
}
