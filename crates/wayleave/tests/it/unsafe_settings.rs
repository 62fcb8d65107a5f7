//! Configurations that a node is not started with: each is refused with the name of its setting.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use wayleave::config::Config;
use wayleave::key_file::write_private;
use wayleave::operators_file::OperatorsFile;
use wayleave::ports::{SystemClock, SystemRandomness};
use wayleave_core::OperatorScope;
use wayleave_engine::{Clock as _, Vault};
use wayleave_testkit::TestFolder;

use crate::harness::binary;
use crate::transport::certificate;

/// A safe configuration. The lines that begin with a dash are places for more.
const SAFE: &str = r#"
data = "DATA"
-top
[live]
address = "127.0.0.1:8080"
public_url = "https://api.example.com"
-live
[test]
address = "127.0.0.1:8081"
public_url = "https://test.example.com"
-test
[admin]
address = "127.0.0.1:8082"
operators_file = "operators.toml"
-admin
[monitor]
address = "127.0.0.1:9090"
-monitor
[proxies]
trusted = []
[limits]
wrong_secrets_per_minute = 10
-end
"#;

const ROUTE: &str = "[[route]]\npath = \"/v2\"\naudiences = [\"routes\"]\nschemes = [\"bearer\"]\nupstream.live = \"http://127.0.0.1:9000\"\n";

/// A folder with the files of a safe configuration.
fn prepare() -> TestFolder {
    let folder = TestFolder::new();
    let operators = OperatorsFile::at(folder.path().join("operators.toml"));
    let now = SystemClock.now();
    let made = operators.create("ada", OperatorScope::Operator, &[], now, &SystemRandomness);
    made.expect("an operator");
    certificate(&folder);
    for environment in ["live", "test"] {
        let file = folder.path().join(format!("master/{environment}.key"));
        write_private(&file, &Vault::new_master_key(&SystemRandomness)).expect("written");
    }
    folder
}

/// The text of the safe configuration with one change.
fn text(folder: &Path, from: &str, to: &str) -> String {
    assert!(SAFE.contains(from), "{from}");
    let changed = SAFE.replacen(from, to, 1);
    let lines = changed.lines().filter(|line| !line.starts_with('-'));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.replace("DATA", folder.to_str().expect("a path"))
}

fn check(text: &str) -> Result<(), String> {
    let checked = Config::parse(text).and_then(|config| config.check());
    checked.map(drop).map_err(|error| error.to_string())
}

fn refused(folder: &TestFolder, from: &str, to: &str, setting: &str) {
    let text = text(folder.path(), from, to);
    let why = check(&text).expect_err(&text);
    assert!(why.contains(setting), "{to}: {why}");
    assert!(!why.contains("hush"), "a secret is in the message: {why}");
}

#[test]
fn what_is_safe_passes() {
    let folder = prepare();
    let tls = "tls = { certificate = \"certificate.pem\", key = \"key.pem\" }";
    for (from, to) in [
        ("-top", "drain_timeout_s = 30"),
        (
            "-live",
            "database = \"postgres://u@db.internal/live?sslmode=verify-full\"",
        ),
        ("-live", "database = \"postgres://u@localhost/live\""),
        (
            "-live",
            "database = \"postgres:///live?host=/run/postgresql\"",
        ),
        ("-live", tls),
        (
            "address = \"127.0.0.1:8080\"",
            &format!("address = \"0.0.0.0:8080\"\n{tls}"),
        ),
        ("https://api.example.com", "http://localhost:8080"),
        ("127.0.0.1:9090\"", "10.1.2.3:9090\"\nallow_remote = true"),
        ("-test", "hooks_to_loopback = true"),
        ("-end", ROUTE),
    ] {
        let text = text(folder.path(), from, to);
        check(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    }
}

#[test]
fn every_unsafe_or_wrong_setting_is_refused_by_name() {
    let folder = prepare();
    let api = "https://api.example.com";
    let route = |from: &str, to: &str| ROUTE.replace(from, to);
    for (from, to, setting) in [
        // Plain text on a network.
        ("127.0.0.1:8080", "0.0.0.0:8080", "live.address"),
        ("127.0.0.1:8080", "192.0.2.7:8080", "live.address"),
        ("127.0.0.1:8080", "[::]:8080", "live.address"),
        (api, "http://api.example.com", "live.public_url"),
        (
            "-live",
            "hooks_to_loopback = true",
            "live.hooks_to_loopback",
        ),
        ("127.0.0.1:8082", "0.0.0.0:8082", "admin.address"),
        ("127.0.0.1:8082", "10.0.0.1:8082", "admin.address"),
        (
            "-live",
            "database = \"postgres://u@db.internal/live\"",
            "live.database",
        ),
        (
            "-live",
            "database = \"postgres://u@db.internal/live?sslmode=prefer\"",
            "live.database",
        ),
        (
            "-live",
            "database = \"postgres://u@db.internal/live?sslmode=require&ssl-mode=disable\"",
            "live.database",
        ),
        (
            "-live",
            "database = \"postgres:///live?host=db.internal\"",
            "live.database",
        ),
        (
            "-test",
            "database = \"postgresql://u@192.0.2.1:5433/test\"",
            "test.database",
        ),
        // Secrets in the file.
        (
            "-live",
            "database = \"postgres://u:hush@localhost/live\"",
            "live.database",
        ),
        (
            "-live",
            "database = \"postgres://localhost/live?password=hush\"",
            "live.database",
        ),
        (
            "-live",
            "database = \"postgres://u:hush@db/x\" nonsense",
            "database",
        ),
        (
            "-live",
            "database_url_env = \"WAYLEAVE_NO_SUCH_VARIABLE\"",
            "live.database_url_env",
        ),
        (
            "-live",
            "database_url_file = \"nowhere\"",
            "live.database_url_file",
        ),
        (
            "-live",
            "database = \"live.db\"\ndatabase_url_file = \"x\"",
            "live.database",
        ),
        // Two environments that are one.
        ("-test", "database = \"live.db\"", "test.database"),
        (
            "-test",
            "master_key_file = \"master/live.key\"",
            "test.master_key_file",
        ),
        (
            "-test",
            "master_key_file = \"master/../master/live.key\"",
            "test.master_key_file",
        ),
        ("https://test.example.com", api, "test.public_url"),
        ("127.0.0.1:8081", "127.0.0.1:8080", "test.address"),
        ("127.0.0.1:8081", "0.0.0.0:8080", "test.address"),
        ("127.0.0.1:8082", "127.0.0.1:8081", "admin.address"),
        // Who may watch, and how often one may guess.
        ("127.0.0.1:9090", "10.1.2.3:9090", "monitor.address"),
        (
            "127.0.0.1:9090\"",
            "198.51.100.7:9090\"\nallow_remote = true",
            "monitor.address",
        ),
        (
            "127.0.0.1:9090\"",
            "0.0.0.0:8080\"\nallow_remote = true",
            "monitor.address",
        ),
        ("127.0.0.1:9090", "127.0.0.1:8082", "monitor.address"),
        (
            "per_minute = 10",
            "per_minute = 0",
            "limits.wrong_secrets_per_minute",
        ),
        ("trusted = []", "trusted = [\"ten\"]", "proxies.trusted"),
        (
            "\"operators.toml\"",
            "\"nowhere.toml\"",
            "admin.operators_file",
        ),
        // Certificates.
        (
            "-live",
            "tls = { certificate = \"no.pem\", key = \"key.pem\" }",
            "live.tls",
        ),
        (
            "-live",
            "tls = { certificate = \"certificate.pem\", key = \"no.pem\" }",
            "live.tls.key",
        ),
        (
            "-admin",
            "tls = { certificate = \"certificate.pem\", key = \"certificate.pem\" }",
            "admin.tls",
        ),
        // Words and numbers that are none.
        ("-top", "drain_timeout_s = 31", "drain_timeout_s"),
        ("-top", "threads = \"many\"", "threads"),
        ("127.0.0.1:8080", "localhost", "address"),
        (
            "-end",
            "[tokens]\nalgorithm = \"HS256\"",
            "tokens.algorithm",
        ),
        (
            "-end",
            "[surfaces.content]\nenabled = true\nupstream = { test = \"http://127.0.0.1:1\" }",
            "surfaces.content.upstream.live",
        ),
        ("-end", &route("/v2", "v2"), "route[0].path"),
        ("-end", &route("[\"routes\"]", "[]"), "route[0].audiences"),
        (
            "-end",
            &route("\"bearer\"", "\"magic\""),
            "route[0].schemes",
        ),
        ("-end", &route("http://", "ftp://"), "route[0].upstream"),
        // Keys that there are not; what was meant is guessed.
        (
            "-live",
            "master_key = \"x\"",
            "did you mean `master_key_file`",
        ),
        ("[limits]", "[limitz]", "did you mean `limits`"),
        (
            "-admin",
            "operator_file = \"x\"",
            "did you mean `operators_file`",
        ),
        ("-monitor", "adress = \"x\"", "did you mean `address`"),
        ("-admin", "token_file = \"x\"", "token_file"),
    ] {
        refused(&folder, from, to, setting);
    }
}

#[test]
fn files_that_others_can_read_are_refused_by_name() {
    let tls = "tls = { certificate = \"certificate.pem\", key = \"key.pem\" }";
    for (file, place, more, setting) in [
        ("master/live.key", "-live", "", "live.master_key_file"),
        ("master/test.key", "-live", "", "test.master_key_file"),
        ("operators.toml", "-live", "", "admin.operators_file"),
        ("key.pem", "-live", tls, "live.tls.key"),
        ("key.pem", "-admin", tls, "admin.tls.key"),
    ] {
        let folder = prepare();
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(folder.path().join(file), open).expect("opened");
        refused(&folder, place, more, setting);
        let why = check(&text(folder.path(), place, more)).expect_err("a refusal");
        assert!(why.contains("chmod 600"), "{why}");
    }
}

#[test]
fn files_with_the_wrong_content_are_refused_by_name() {
    let folder = prepare();
    let at = |name: &str| folder.path().join(name);
    let refused = |setting: &str| refused(&folder, "-live", "", setting);
    let own = std::fs::read_to_string(at("master/test.key")).expect("a key");
    let live = std::fs::read_to_string(at("master/live.key")).expect("a key");
    write_private(&at("master/test.key"), &format!("{own}\n{live}")).expect("written");
    refused("test.master_key_file");
    write_private(&at("master/test.key"), &own).expect("written");
    std::fs::write(at("live.db"), "").expect("written");
    symlink(at("live.db"), at("test.db")).expect("a link");
    refused("test.database");
    std::fs::remove_file(at("test.db")).expect("removed");
    std::fs::write(at("demo.json"), "{}").expect("written");
    refused("live.master_key_file");
    let elsewhere = TestFolder::new();
    let key = elsewhere.path().join("a/b/live.key");
    let setting = format!("master_key_file = {key:?}");
    super::unsafe_settings::refused(&folder, "-live", &setting, "live.database");
    std::fs::remove_file(at("demo.json")).expect("removed");
    for content in [
        "",
        "[[operator]]\nname = \"ada\"\nscope = \"operator\"\ntoken_sha256 = \"hush\"\ncreated_at = \"2026-11-22T10:00:00Z\"\n",
        "[[operator]]\nname = \"ada\"\ntoken = \"hush\"\n",
    ] {
        write_private(&at("operators.toml"), content).expect("written");
        refused("admin.operators_file");
    }
}

#[test]
fn serve_refuses_what_config_check_refuses() {
    let folder = prepare();
    let file = folder.path().join("wayleave.toml");
    let bad = text(folder.path(), "127.0.0.1:8080", "0.0.0.0:8080");
    std::fs::write(&file, bad).expect("written");
    for command in [["serve", "--config"], ["config", "check"]] {
        let output = binary()
            .args(command)
            .arg(&file)
            .stdin(Stdio::null())
            .output();
        let output = output.expect("its end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("live.address"),
            "{said}"
        );
    }
}

#[test]
fn a_database_url_comes_from_the_variable_that_the_file_names() {
    let folder = prepare();
    let file = folder.path().join("wayleave.toml");
    let named = text(folder.path(), "-live", "database_url_env = \"LIVE_URL\"");
    std::fs::write(&file, named).expect("written");
    let check = |url: &str| {
        let mut command = binary();
        command
            .args(["config", "check"])
            .arg(&file)
            .env("LIVE_URL", url);
        command.output().expect("its end")
    };
    let good = check("postgres://u:hush@db.internal/live?sslmode=require");
    assert!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    let bad = check("postgres://u:hush@db.internal/live");
    let said = String::from_utf8_lossy(&bad.stderr);
    assert!(
        !bad.status.success() && said.contains("sslmode") && !said.contains("hush"),
        "{said}"
    );
}
