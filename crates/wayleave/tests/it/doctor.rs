//! `wayleave doctor` and `wayleave key lint`, the real binary.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use wayleave_core::{Audience, Environment};
use wayleave_testkit::{DatabaseKind, TestFolder};

use crate::harness::{DemoProcess, TestNode, binary, printed, ran};

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// What doctor found at a level, in one text, and whether it was content.
fn look(arguments: &[&str], level: &str) -> (String, bool) {
    let output = ran(&[&["doctor", "--json"], arguments].concat());
    let report: Value = serde_json::from_slice(&output.stdout).expect("json");
    assert_eq!(report["good"], output.status.success());
    let findings = report["findings"].as_array().expect("findings");
    let found: Vec<String> = findings
        .iter()
        .filter(|finding| finding["level"] == level)
        .map(Value::to_string)
        .collect();
    (found.join("\n"), output.status.success())
}

fn check_a_sound_node(kind: DatabaseKind) {
    let node = TestNode::start_now(kind);
    for audience in Audience::ALL {
        node.keys(Environment::Live, audience);
    }
    let config = node.config_file();
    let at = ["--config", text(&config)];
    assert_eq!(look(&at, "fail"), (String::new(), true));
    let (fine, _) = look(&at, "ok");
    for word in [
        "stamped",
        "tables are as",
        "keeps what",
        "file is whole",
        "the clock is not behind",
        "sealed texts open",
    ] {
        assert_eq!(fine.matches(word).count(), 2, "{word}: {fine}");
    }
    assert!(fine.contains("operators' file"), "{fine}");
}

#[test]
fn a_sound_node_is_found_sound_beside_its_server_on_sqlite() {
    check_a_sound_node(DatabaseKind::Sqlite);
}

#[test]
fn a_sound_node_is_found_sound_beside_its_server_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        check_a_sound_node(DatabaseKind::Postgres);
    }
}

#[test]
fn the_folder_of_a_demonstration_is_sound_until_something_is_broken() {
    let mut demo = DemoProcess::start(DatabaseKind::Sqlite);
    demo.kill();
    let data = demo.folder.path().to_owned();
    let at = ["--data", text(&data)];
    let (warned, good) = look(&at, "warn");
    assert!(
        good && warned.contains("is backed up is not known"),
        "{warned}"
    );
    let (failed, good) = look(&["--data", text(&data), "--master-key-backed-up"], "fail");
    assert!(good, "{failed}");
    let (fine, _) = look(&at, "ok");
    assert_eq!(
        fine.matches("is backed up, as you said").count(),
        2,
        "{fine}"
    );
    assert!(printed(&["doctor", "--data", text(&data)]).starts_with("ok"));

    let key = data.join("master/live.key");
    let expect = |why: &str| {
        let (failed, good) = look(&at, "fail");
        assert!(!good && failed.contains(why), "{why}: {failed}");
    };
    let set_mode = |mode| {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    set_mode(0o644);
    expect("can be read by others");
    set_mode(0o600);
    let kept = std::fs::read_to_string(&key).expect("the key");
    std::fs::copy(data.join("master/test.key"), &key).expect("copied");
    expect("is not in the master key file");
    std::fs::remove_file(&key).expect("removed");
    expect("is missing, but its database is there");
    wayleave::key_file::write_private(&key, &kept).expect("written");

    let (live, test) = (data.join("live.db"), data.join("test.db"));
    std::fs::rename(&test, data.join("kept.db")).expect("moved");
    expect("there is no such file");
    std::fs::copy(&live, &test).expect("copied");
    expect("stamped live, but it was opened as test");
    std::fs::rename(data.join("kept.db"), &test).expect("moved");
    assert!(look(&at, "fail").1);
    let mut bytes = std::fs::read(&live).expect("the file");
    bytes[8192..].fill(0x5a);
    std::fs::write(&live, bytes).expect("written");
    assert!(!look(&at, "fail").1);
}

/// What a demonstration on this folder logs until it serves.
fn log_of_a_start(data: &Path) -> String {
    let any = "127.0.0.1:0";
    let _ = std::fs::remove_file(data.join("demo.json"));
    let mut child = binary()
        .args(["demo", "--live", any, "--test", any, "--admin", any])
        .args(["--data", text(data)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let is_up = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        data.join("demo.json").exists()
    });
    child.kill().expect("killed");
    let output = child.wait_with_output().expect("its end");
    assert!(is_up, "it serves");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn a_certificate_that_ends_soon_is_told() {
    let node = TestNode::start_now(DatabaseKind::Sqlite);
    let config = node.config_file();
    let settings = std::fs::read_to_string(&config).expect("the file");
    let tls = "tls = { certificate = \"x.crt\", key = \"x.pem\" }\n[test]";
    std::fs::write(&config, settings.replacen("[test]", tls, 1)).expect("written");
    let write = |year: i32| {
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(node.folder.path().join("x.crt"), certificate.pem()).unwrap();
        std::fs::write(node.folder.path().join("x.pem"), key.serialize_pem()).unwrap();
    };
    let at = ["--config", text(&config)];
    write(2100);
    let (fine, good) = look(&at, "ok");
    assert!(
        good && fine.contains("x.crt ends on Fri, 01 Jan 2100"),
        "{fine}"
    );
    write(2020);
    let (failed, good) = look(&at, "fail");
    assert!(
        !good && failed.contains("x.crt ends on Wed, 01 Jan 2020"),
        "{failed}"
    );
}

#[test]
fn a_restored_database_fails_until_the_keys_are_checked() {
    let mut demo = DemoProcess::start(DatabaseKind::Sqlite);
    let data = demo.folder.path().to_owned();
    let (at, file) = (text(&data), data.join("backup"));
    printed(&["backup", "--data", at, "--env", "live", text(&file)]);
    demo.kill();
    for name in ["live.db", "live.db-wal", "live.db-shm"] {
        let _ = std::fs::remove_file(data.join(name));
    }
    printed(&["restore", "--data", at, "--env", "live", text(&file)]);
    let (failed, good) = look(&["--data", at], "fail");
    assert!(
        !good && failed.contains("restored from a backup"),
        "{failed}"
    );
    assert!(log_of_a_start(&data).contains("wayleave restore confirm"));
    printed(&["restore", "confirm", "--data", at, "--env", "live"]);
    assert!(!log_of_a_start(&data).contains("wayleave restore confirm"));
    assert!(look(&["--data", at], "fail").1);
    // The demonstration's keys work as before.
    demo.restart();
    let pair = &demo.file["live"]["token"];
    let text = |name: &str| pair[name].as_str().expect("a text");
    let address = demo.address(Environment::Live);
    address
        .get("/token")
        .basic(text("api_key"), text("api_secret"))
        .send()
        .expect(200);
}

/// A new operator's token.
fn operator_token(folder: &TestFolder) -> String {
    let file = folder.path().join("operators.toml");
    let token = printed(&["operator", "create", "ada", "--file", text(&file)]);
    token.trim().to_owned()
}

#[test]
fn key_lint_tells_kind_and_environment_and_never_the_key() {
    let token = operator_token(&TestFolder::new());
    let told = printed(&["key", "lint", &token]);
    assert!(
        told.starts_with("opr all (secret)") && !told.contains(&token),
        "{told}"
    );
    let mut altered = token.clone();
    altered.pop();
    for wrong in [altered.as_str(), "sk_live_12345"] {
        let output = ran(&["key", "lint", "--json", wrong]);
        let told: Value = serde_json::from_slice(&output.stdout).expect("json");
        assert!(!output.status.success() && told["good"] == false, "{told}");
        assert!(!told.to_string().contains(wrong), "{told}");
    }
    let mut child = binary()
        .args(["key", "lint", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut input = child.stdin.take().expect("its input");
    writeln!(input, "{token}").expect("written");
    drop(input);
    let told: Value =
        serde_json::from_slice(&child.wait_with_output().expect("told").stdout).expect("json");
    assert_eq!(
        (&told["kind"], &told["secret"]),
        (&"opr".into(), &true.into())
    );
}

#[test]
fn key_lint_finds_leaked_keys_in_files() {
    let folder = TestFolder::new();
    let (leaky, clean) = (folder.path().join("app.env"), folder.path().join("notes"));
    let token = operator_token(&folder);
    std::fs::write(&leaky, format!("A=1\nTOKEN=\"{token}\"\n")).expect("written");
    std::fs::write(&clean, b"wl_opr_all_ and \xff bytes\n").expect("written");
    let output = ran(&["key", "lint", "--scan", text(&leaky), text(&clean)]);
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(told, format!("{}:2: opr all\n", leaky.display()));
    assert!(!output.status.success(), "a secret leaked");
    assert_eq!(printed(&["key", "lint", "--scan", text(&clean)]), "");
}
