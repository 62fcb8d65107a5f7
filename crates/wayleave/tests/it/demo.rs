//! `wayleave demo`, the real binary.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use wayleave_core::Environment;
use wayleave_testkit::{Address, DatabaseKind, MessageSigner, Signer};

use crate::harness::{DemoProcess, binary};

fn now_s() -> i64 {
    use wayleave_engine::Clock;
    wayleave::ports::SystemClock.now().unix_s()
}

fn text<'f>(value: &'f Value, pointer: &str) -> &'f str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {pointer}"))
}

fn check_contract(demo: &DemoProcess) {
    assert_eq!(demo.file["version"], 1);
    for environment in Environment::ALL {
        let own = &demo.file[environment.as_str()];
        let address = demo.address(environment);
        let path = text(own, "/protected_path");
        let (key, secret) = (text(own, "/token/api_key"), text(own, "/token/api_secret"));
        let token = address
            .get("/token")
            .basic(key, secret)
            .send()
            .expect(200)
            .json();
        address
            .get(path)
            .header("Authorization", text(&token, "/token"))
            .send()
            .expect(200);
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", text(own, "/oauth/client_id")),
            ("client_secret", text(own, "/oauth/client_secret")),
        ];
        let token = address
            .post("/oauth/token")
            .form(&fields)
            .send()
            .expect(200)
            .json();
        let caller = address
            .get(path)
            .bearer(text(&token, "/access_token"))
            .send()
            .expect(200)
            .json();
        assert_eq!(
            caller["caller"]["wayleave-environment"],
            environment.as_str()
        );
        for (set, status) in [("management", 200), ("access", 403)] {
            let signer = Signer::new(
                text(own, &format!("/{set}/access_key")),
                text(own, &format!("/{set}/secret_key")),
            );
            signer
                .call(address, "GET", path, now_s())
                .send()
                .expect(status);
        }
        let (key_id, secret) = (text(own, "/signing/key_id"), text(own, "/signing/secret"));
        let signer = MessageSigner::new(key_id, secret, now_s());
        signer.get(address, path).send().expect(200);
        address.get(path).send().expect(401);
    }
    let admin = Address::of(text(&demo.file, "/admin/url"));
    let token = text(&demo.file, "/admin/token");
    let list = admin
        .get("/test/v1/credentials")
        .bearer(token)
        .send()
        .expect(200)
        .json();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(5));
}

fn check(kind: DatabaseKind) {
    let mut demo = DemoProcess::start(kind);
    check_contract(&demo);
    let mode = std::fs::metadata(demo.json_path())
        .expect("demo.json")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let keys = |file: &Value| {
        let mut file = file.clone();
        for pointer in ["/live/url", "/test/url", "/admin/url"] {
            *file.pointer_mut(pointer).expect("a url") = Value::Null;
        }
        file
    };
    let before = keys(&demo.file);
    demo.restart();
    assert_eq!(
        keys(&demo.file),
        before,
        "started again on the same folder, the keys are the same"
    );
    check_contract(&demo);
    let printed = demo.end();
    assert!(printed.contains("curl -s http://127.0.0.1:"), "{printed}");
}

#[test]
fn the_contract_holds_and_keys_stay_on_sqlite() {
    check(DatabaseKind::Sqlite);
}

#[test]
fn the_contract_holds_and_keys_stay_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        check(DatabaseKind::Postgres);
    }
}

/// The plan that is bought by a partner opens its path on the next request, until it ends.
fn buy_the_plan(kind: DatabaseKind) {
    let demo = DemoProcess::start(kind);
    let [live, test] = Environment::ALL.map(|environment| {
        let own = &demo.file[environment.as_str()];
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", text(own, "/oauth/client_id")),
            ("client_secret", text(own, "/oauth/client_secret")),
        ];
        let address = demo.address(environment);
        let token = address.post("/oauth/token").form(&fields).send();
        let token = text(&token.expect(200).json(), "/access_token").to_owned();
        (address, text(own, "/plan_path").to_owned(), token)
    });
    let opens = |(address, path, token): &(Address, String, String)| {
        address.get(path).bearer(token).send().status
    };
    assert_eq!([opens(&live), opens(&test)], [403, 403]);
    let (address, _, token) = &test;
    let post = |path: &str, fields: &[(&str, &str)]| {
        let call = address.post(path).bearer(token).form(fields);
        call.send().expect(200).json()
    };
    let plan = r#"[{"productId":40,"productDetails":{"months":1}}]"#;
    let order = post("/api/user/checkout", &[("lineItems", plan)]);
    assert_eq!(opens(&test), 403, "a quotation opens nothing");
    let path = format!("/api/shop/processquote/{}", order["orderId"]);
    let bought = post(&path, &[("autoPay", "1")]);
    assert_eq!(bought["state"], "complete");
    assert_eq!([opens(&live), opens(&test)], [403, 200]);
    let admin = Address::of(text(&demo.file, "/admin/url"));
    let operator = text(&demo.file, "/admin/token");
    let plans = admin.get("/test/v1/plans").bearer(operator).send();
    let plans = plans.expect(200).json();
    let end = format!("/test/v1/plans/{}/end", text(&plans, "/data/0/id"));
    admin.post(&end).bearer(operator).send().expect(200);
    assert_eq!([opens(&live), opens(&test)], [403, 403]);
}

#[test]
fn a_plan_that_is_bought_opens_its_path_until_it_ends_on_sqlite() {
    buy_the_plan(DatabaseKind::Sqlite);
}

#[test]
fn a_plan_that_is_bought_opens_its_path_until_it_ends_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        buy_the_plan(DatabaseKind::Postgres);
    }
}

#[test]
fn every_printed_call_works_when_it_is_pasted() {
    let demo = DemoProcess::start(DatabaseKind::Sqlite);
    let calls = binary()
        .args(["demo", "calls", "--data"])
        .arg(demo.folder.path())
        .output()
        .expect("the calls");
    let calls = String::from_utf8(calls.stdout).expect("text");
    let mut pasted = 0;
    for call in calls
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let run = std::process::Command::new("sh")
            .args(["-c", call])
            .output()
            .expect("a shell");
        let answer = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(
            run.status.success(),
            "{call}: {}",
            String::from_utf8_lossy(&run.stderr)
        );
        let good = [
            "Hello from the API",
            "\"token\"",
            "access_token",
            "204 No Content",
            "\"keys\"",
            "\"data\"",
            "ptr_",
            "\"userName\"",
            "\"products\"",
            "\"state\":\"complete\"",
            "\"QuotaPeriod\"",
            "\"ExternalKey\"",
            "\"AccessReason\"",
        ];
        let meant_to_fail = call.contains("test.access") || call.contains("live.access");
        let refused = meant_to_fail && answer.contains("403 Forbidden");
        assert!(
            refused || good.iter().any(|word| answer.contains(word)),
            "{call}: {answer}"
        );
        pasted += 1;
    }
    assert!(pasted >= 32, "{pasted}");
}

#[test]
fn a_port_that_was_asked_for_and_is_busy_is_an_error_that_says_so() {
    let demo = DemoProcess::start(DatabaseKind::Sqlite);
    let folder = wayleave_testkit::TestFolder::new();
    let busy = format!("127.0.0.1:{}", demo.address(Environment::Live).port());
    let any = "127.0.0.1:0";
    let run = binary()
        .args([
            "demo", "--live", &busy, "--test", any, "--admin", any, "--data",
        ])
        .arg(folder.path())
        .output()
        .expect("the binary");
    assert!(!run.status.success());
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        said.contains(&busy) && said.contains("choose another address"),
        "{said}"
    );
    assert!(!folder.path().join("demo.json").exists());
}

#[test]
fn a_second_demonstration_on_the_folder_of_a_running_one_is_refused_and_leaves_its_file() {
    let demo = DemoProcess::start(DatabaseKind::Sqlite);
    let any = "127.0.0.1:0";
    let run = binary()
        .args([
            "demo", "--live", any, "--test", any, "--admin", any, "--data",
        ])
        .arg(demo.folder.path())
        .output()
        .expect("the binary");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        !run.status.success() && said.contains("a demonstration is running"),
        "{said}"
    );
    assert!(demo.json_path().exists());
}

#[test]
fn an_api_of_ones_own_is_put_behind_it() {
    let demo = DemoProcess::start(DatabaseKind::Sqlite);
    let folder = wayleave_testkit::TestFolder::new();
    // The first demonstration's admin address plays the API behind the second.
    let upstream = text(&demo.file, "/admin/url").to_owned();
    let any = "127.0.0.1:0";
    let monitor = crate::harness::free_port();
    let mut second = binary()
        .args([
            "demo",
            "--live",
            any,
            "--test",
            any,
            "--admin",
            any,
            "--monitor",
            &monitor.to_string(),
            "--upstream",
            &upstream,
            "--data",
        ])
        .arg(folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the binary");
    let path = folder.path().join("demo.json");
    let file = (0..600).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        std::fs::read_to_string(&path).ok()
    });
    let file: Value = serde_json::from_str(&file.expect("demo.json")).expect("json");
    Address::at(monitor).get("/readyz").send().expect(200);
    let own = &file["test"];
    let address = Address::of(text(own, "/url"));
    let token = address
        .get("/token")
        .basic(text(own, "/token/api_key"), text(own, "/token/api_secret"));
    let token = token.send().expect(200).json();
    assert_eq!(text(own, "/protected_path"), "/");
    let answer = address
        .get("/anything/at/all")
        .bearer(text(&token, "/token"))
        .send();
    let _ = second.kill();
    let _ = second.wait();
    let body = answer.expect(401).json();
    assert!(text(&body, "/message").contains("operator token"), "{body}");
}

/// Stopped in between, it finds the requests and the signal to end at the same moment.
#[test]
fn requests_that_were_sent_before_the_end_are_answered() {
    let demo = DemoProcess::start(DatabaseKind::Sqlite);
    let url = text(&demo.file, "/test/url").to_owned();
    let authority = url.trim_start_matches("http://");
    let request = format!("GET /.well-known/jwks.json HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let connect = || TcpStream::connect(authority).expect("connected");
    let mut kept_open: Vec<TcpStream> = (0..8).map(|_| connect()).collect();
    for stream in &mut kept_open {
        stream.write_all(request.as_bytes()).expect("sent");
        let mut first = [0; 4096];
        let length = stream.read(&mut first).expect("an answer");
        assert!(length > 0, "a connection was closed");
    }
    demo.signal("-STOP");
    let new = (0..8).map(|_| connect());
    let mut all: Vec<TcpStream> = kept_open.into_iter().chain(new).collect();
    for stream in &mut all {
        stream.write_all(request.as_bytes()).expect("sent");
    }
    demo.signal("-TERM");
    demo.signal("-CONT");
    for stream in &mut all {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    demo.end();
}
