//! The commands over the admin API: the real binary against a node.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_testkit::{DatabaseKind, TestFolder};

use crate::harness::{DemoProcess, NOW_S, OPERATOR, TestNode, binary, on_both_databases, wait_for};

/// The binary in a folder without a demonstration, told nothing by variables.
fn bare(folder: &Path) -> Command {
    let mut command = binary();
    command.current_dir(folder);
    for name in [
        "WAYLEAVE_ADMIN_URL",
        "WAYLEAVE_ADMIN_TOKEN",
        "WAYLEAVE_ADMIN_TOKEN_FILE",
        "WAYLEAVE_CA",
    ] {
        command.env_remove(name);
    }
    command
}

fn url(node: &TestNode) -> String {
    format!("http://127.0.0.1:{}", node.admin.port())
}

pub(crate) fn command(node: &TestNode, words: &[&str]) -> Command {
    let mut command = bare(node.folder.path());
    command
        .args(words)
        .env("WAYLEAVE_ADMIN_URL", url(node))
        .env("WAYLEAVE_ADMIN_TOKEN", OPERATOR);
    command
}

pub(crate) fn run(node: &TestNode, words: &[&str]) -> Output {
    command(node, words).output().expect("the binary")
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[track_caller]
fn good(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// What a failing command says.
#[track_caller]
pub(crate) fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    let text = said(output);
    assert!(!text.contains(OPERATOR), "the token is never shown");
    text
}

#[track_caller]
pub(crate) fn text(node: &TestNode, words: &[&str]) -> String {
    good(run(node, words))
}

#[track_caller]
pub(crate) fn document(node: &TestNode, words: &[&str]) -> Value {
    let printed = text(node, &[words, &["--json"]].concat());
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

pub(crate) fn word(value: &Value, member: &str) -> String {
    let word = value[member].as_str();
    word.unwrap_or_else(|| panic!("no {member} in {value}"))
        .to_owned()
}

/// A new partner's new integration in the test environment.
fn integration(node: &TestNode) -> String {
    let partner = document(node, &["partner", "create", "Harbour Signs"]);
    let partner = word(&partner, "id");
    let made = ["integration", "create", "--partner", &partner, "Till"];
    word(&document(node, &made), "id")
}

/// A new credential of the routes, with its secret.
fn credential(node: &TestNode) -> Value {
    let integration = integration(node);
    let made = [
        "credential",
        "create",
        "--integration",
        &integration,
        "--audience",
        "routes",
    ];
    document(node, &made)
}

/// The status of a token request in the test environment.
fn token_status(node: &TestNode, public_id: &str, secret: &str) -> u16 {
    let call = node.test.get("/token").basic(public_id, secret);
    call.send().status
}

fn write_lines(folder: &Path, lines: &[Value]) -> String {
    let file = folder.join("keys.jsonl");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, text).expect("written");
    file.to_str().expect("a path").to_owned()
}

fn pairs(range: std::ops::Range<u32>) -> Vec<Value> {
    range
        .map(|number| json!({ "public_id": format!("till {number}"), "secret": format!("secret of {number}") }))
        .collect()
}

on_both_databases! {
    fn a_credential_is_made_listed_and_revoked_by_commands(node: TestNode) {
        let made = credential(&node);
        let (id, key, secret) = (word(&made, "id"), word(&made, "public_id"), word(&made, "secret"));
        assert_eq!(token_status(&node, &key, &secret), 200);
        let list = text(&node, &["credential", "list", "--json"]);
        assert!(!list.contains(&secret));
        let list: Value = serde_json::from_str(&list).expect("one array");
        assert_eq!((&list[0]["id"], &list[0]["public_id"]), (&json!(id), &json!(key)));
        let table = text(&node, &["credential", "list"]);
        assert!(table.starts_with("ID ") && table.contains(&key) && !table.contains(&secret), "{table}");
        assert!(table.ends_with(&format!("1 credential in test at {}.\n", url(&node))), "{table}");
        assert_eq!(text(&node, &["credential", "list", "--env", "live", "--json"]), "[]\n");
        let ended = text(&node, &["credential", "revoke", &id, "--env", "test"]);
        assert!(ended.starts_with("Revoked in test"), "{ended}");
        assert_eq!(token_status(&node, &key, &secret), 401);
    }

    fn usage_is_a_table_with_bars_or_json_and_plans_are_given_and_taken(node: TestNode) {
        let made = credential(&node);
        let (partner, key, secret) = (word(&made, "partner"), word(&made, "public_id"), word(&made, "secret"));
        let token = node.test.get("/token").basic(&key, &secret).send().expect(200).json();
        for path in ["/hello", "/hello", "/hello", "/hello", "/nobody"] {
            node.test.get(path).bearer(&word(&token, "token")).send();
        }
        wait_for(node.engine(Environment::Test).write_usage()).expect("written");
        let table = text(&node, &["usage", "--by", "route,status", "--partner", &partner]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("ROUTE    STATUS  REQUESTS  IN   OUT"), "{table}");
        assert!(lines[1].starts_with("/hello   200     4         0 B"), "{table}");
        assert!(lines[1].ends_with(&"█".repeat(32)) && lines[2].ends_with(&format!("  {}", "█".repeat(8))), "{table}");
        assert_eq!(lines[3], format!("5 requests in test at {}.", url(&node)));
        assert!(!table.contains('\x1b'), "no colour but on a terminal");
        let rows = document(&node, &["usage", "--by", "day,kind", "--from", "2027-03-16"]);
        assert_eq!((&rows[0]["kind"], &rows[0]["requests"]), (&json!("proxied"), &json!(5)));
        assert!(text(&node, &["usage", "--env", "live"]).starts_with("No usage in live"));
        assert!(refused(&run(&node, &["usage", "--by", "week"])).contains("hour or day"));
        assert!(refused(&run(&node, &["partner", "set-plan", &partner, "gold"])).contains("no such plan"));
        assert_eq!(document(&node, &["partner", "set-plan", &partner, "--none"])["plan"], Value::Null);
    }

    fn partners_lapse_and_are_admitted_renamed_and_shown(node: TestNode) {
        let made = credential(&node);
        let (partner, key, secret) = (word(&made, "partner"), word(&made, "public_id"), word(&made, "secret"));
        text(&node, &["partner", "lapse", &partner]);
        assert_eq!(token_status(&node, &key, &secret), 403);
        assert_eq!(document(&node, &["partner", "admit", &partner])["membership"], "admitted");
        assert_eq!(token_status(&node, &key, &secret), 200);
        text(&node, &["partner", "rename", &partner, "Harbour Signs Ltd"]);
        assert_eq!(document(&node, &["partner", "show", &partner])["name"], "Harbour Signs Ltd");
        let shown = text(&node, &["partner", "show", &partner]);
        assert!(shown.contains("Harbour Signs Ltd") && shown.contains("in test at http"), "{shown}");
        assert_eq!(document(&node, &["partner", "list"]).as_array().map(Vec::len), Some(1));
        let integration = word(&made, "integration");
        text(&node, &["integration", "rename", &integration, "Counter"]);
        assert_eq!(document(&node, &["integration", "show", &integration])["name"], "Counter");
        text(&node, &["partner", "create", "Another"]);
        let list = document(&node, &["integration", "list", "--partner", &partner]);
        assert_eq!(list.as_array().map(Vec::len), Some(1));
    }

    fn secrets_are_rolled_ended_and_refreshed(node: TestNode) {
        let made = credential(&node);
        let (id, key, first) = (word(&made, "id"), word(&made, "public_id"), word(&made, "secret"));
        let rolled = document(&node, &["credential", "roll", &id, "--overlap", "1d"]);
        let second = word(&rolled, "secret");
        assert_eq!((token_status(&node, &key, &first), token_status(&node, &key, &second)), (200, 200));
        let secrets = document(&node, &["credential", "show", &id])["secrets"].clone();
        let secrets = secrets.as_array().expect("secrets");
        let older = secrets.iter().find(|secret| secret["state"] == "superseded").expect("an older one");
        text(&node, &["credential", "end-secret", &id, older["id"].as_str().expect("an id")]);
        assert_eq!((token_status(&node, &key, &first), token_status(&node, &key, &second)), (401, 200));
        let printed = text(&node, &["credential", "refresh", &id]);
        assert!(printed.contains("only this once"), "{printed}");
        let third = printed.lines().last().expect("a secret on a line of its own");
        assert_eq!(token_status(&node, &key, &second), 401);
        let key = word(&document(&node, &["credential", "show", &id]), "public_id");
        assert_eq!(token_status(&node, &key, third), 200);
        let own = node.folder.path().join("own");
        wayleave::key_file::write_private(&own, "a secret of my own, long enough\n").expect("written");
        text(&node, &["credential", "roll", &id, "--overlap", "0s", "--secret-file", own.to_str().expect("a path")]);
        assert_eq!(token_status(&node, &key, "a secret of my own, long enough"), 200);
        assert_eq!(token_status(&node, &key, third), 401);
    }

    fn credentials_are_disabled_enabled_and_expire(node: TestNode) {
        let made = credential(&node);
        let (id, key, secret) = (word(&made, "id"), word(&made, "public_id"), word(&made, "secret"));
        let another = word(&credential(&node), "id");
        let disabled = document(&node, &["credential", "disable", &id, &another]);
        assert_eq!(disabled.as_array().map(Vec::len), Some(2));
        assert_eq!(token_status(&node, &key, &secret), 401);
        let list = document(&node, &["credential", "list", "--state", "disabled"]);
        assert_eq!(list.as_array().map(Vec::len), Some(2));
        text(&node, &["credential", "enable", &id]);
        assert_eq!(token_status(&node, &key, &secret), 200);
        let expiring = document(&node, &["credential", "expire", &id, "--in", "30d"]);
        assert_eq!(expiring["expires_at"], NOW_S + 30 * 86_400);
        let never = document(&node, &["credential", "expire", &id, "--never"]);
        assert_eq!(never["expires_at"], Value::Null);
        let at = document(&node, &["credential", "expire", &id, "--at", "2027-03-17T00:00:00Z"]);
        assert_eq!(at["expires_at"], 1_805_241_600);
        text(&node, &["credential", "expire", &id, "--in", "0s"]);
        assert_eq!(token_status(&node, &key, &secret), 401);
        let nobody = "crd_00000000000000000000000000";
        let partly = run(&node, &["credential", "revoke", nobody, &another]);
        assert!(refused(&partly).contains(nobody));
        assert_eq!(document(&node, &["credential", "show", &another])["state"], "revoked");
    }

    fn a_file_is_imported_in_batches_and_again_without_harm(node: TestNode) {
        let integration = integration(&node);
        let mut lines = pairs(0..2345);
        let file = write_lines(node.folder.path(), &lines);
        let import = ["credential", "import", "--file", &file, "--integration", &integration, "--audience", "routes", "--batch", "200"];
        assert_eq!(document(&node, &import), json!({ "imported": 2345, "present": 0, "taken": 0 }));
        assert_eq!(token_status(&node, "till 2344", "secret of 2344"), 200);
        assert_eq!(document(&node, &import), json!({ "imported": 0, "present": 2345, "taken": 0 }));
        // Every page of the list is followed.
        let listed = document(&node, &["credential", "list"]);
        let listed = listed.as_array().expect("an array");
        let ids: std::collections::BTreeSet<String> = listed.iter().map(|row| word(row, "id")).collect();
        assert_eq!((listed.len(), ids.len()), (2345, 2345));
        let output = node.folder.path().join("out.jsonl");
        text(&node, &["credential", "export", "--output", output.to_str().expect("a path")]);
        let exported = std::fs::read_to_string(&output).expect("a file");
        assert_eq!(exported.lines().count(), 2345);
        assert!(!exported.contains("secret of"));
        let first: Value = serde_json::from_str(exported.lines().next().expect("a line")).expect("json");
        assert_eq!(first["audience"], "routes");
        lines[1700]["secret"] = json!("another");
        let file = write_lines(node.folder.path(), &lines);
        let import = ["credential", "import", "--file", &file, "--integration", &integration, "--audience", "routes"];
        let taken = refused(&run(&node, &import));
        assert!(taken.contains("line 1701") && taken.contains("2344 present already, 1 taken"), "{taken}");
        assert_eq!(token_status(&node, "till 1700", "secret of 1700"), 200);
    }

    fn one_pair_is_imported(node: TestNode) {
        let integration = integration(&node);
        let secret = node.folder.path().join("secret");
        wayleave::key_file::write_private(&secret, "of the till\n").expect("written");
        let import = [
            "credential", "import", "--public-id", "till one", "--secret-file", secret.to_str().expect("a path"),
            "--integration", &integration, "--audience", "routes", "--name", "The till",
        ];
        let first = document(&node, &import);
        assert_eq!((&first["imported"], &first["credential"]["name"]), (&json!(1), &json!("The till")));
        assert_eq!(token_status(&node, "till one", "of the till"), 200);
        let again = text(&node, &import);
        assert!(again.contains("1 present already") && !again.contains("of the till"), "{again}");
    }

    fn tokens_are_introspected_and_revoked(node: TestNode) {
        let made = credential(&node);
        let keys = crate::harness::Keys {
            credential: word(&made, "id"),
            partner: word(&made, "partner"),
            public_id: word(&made, "public_id"),
            secret: word(&made, "secret"),
        };
        let token = node.token(Environment::Test, &keys);
        let with_token = |words: &[&str]| {
            let mut child = command(&node, words)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("started");
            let mut input = child.stdin.take().expect("its input");
            writeln!(input, "{token}").expect("written");
            drop(input);
            good(child.wait_with_output().expect("its end"))
        };
        let introspect = ["token", "introspect", "--json"];
        let found: Value = serde_json::from_str(&with_token(&introspect)).expect("json");
        assert_eq!((&found["active"], &found["credential"]), (&json!(true), &json!(keys.credential)));
        assert!(with_token(&["token", "introspect"]).contains(&keys.partner));
        let call = || node.test.get("/hello").bearer(&token).send().status;
        assert_eq!(call(), 200);
        assert!(with_token(&["token", "revoke"]).starts_with("The token is revoked in test"));
        assert_eq!(call(), 401);
        assert!(with_token(&["token", "revoke"]).starts_with("The token did not count"));
        let found: Value = serde_json::from_str(&with_token(&introspect)).expect("json");
        assert_eq!(found["active"], false);
    }

    fn keys_routes_and_the_audit_are_listed(node: TestNode) {
        let made = credential(&node);
        let id = word(&made, "id");
        let keys = document(&node, &["key", "list"]);
        let state = |keys: &Value, state: &str| {
            let rows = keys.as_array().expect("an array");
            rows.iter().find(|key| key["state"] == state).map(|key| word(key, "kid"))
        };
        let next = state(&keys, "next").expect("a next key");
        text(&node, &["key", "rotate", "--force"]);
        assert_eq!(state(&document(&node, &["key", "list"]), "current"), Some(next.clone()));
        text(&node, &["key", "remove", &next]);
        let left = document(&node, &["key", "list"]);
        assert!(!left.to_string().contains(&next), "{left}");
        assert!(text(&node, &["key", "list"]).contains("keys in test at http"));
        let routes = document(&node, &["route", "list"]);
        assert!(routes.to_string().contains("/hello"), "{routes}");
        assert!(text(&node, &["route", "list"]).contains("/jobs"));
        let about = document(&node, &["audit", "list", "--object", &id]);
        let about = about.as_array().expect("an array");
        assert!(!about.is_empty() && about.iter().all(|entry| entry["object"] == json!(id)), "{about:?}");
        let table = text(&node, &["audit", "list"]);
        let row = table.lines().find(|line| line.contains(" ada ")).expect("an entry of ada's");
        assert_ne!(row.split_whitespace().nth(1), Some("-"), "its time is told: {row}");
        let exported = text(&node, &["audit", "export"]);
        let numbers: Vec<u64> = exported
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("json")["number"].as_u64().expect("a number"))
            .collect();
        assert!(numbers.is_sorted() && numbers.len() >= 3, "{exported}");
        let after = numbers[numbers.len() - 2].to_string();
        assert_eq!(text(&node, &["audit", "export", "--after", &after]).lines().count(), 1);
    }
}

#[test]
fn every_line_of_a_file_is_checked_before_one_is_sent() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let integration = integration(&node);
    let mut lines = pairs(0..30);
    lines[3]["public_id"] = json!("a:b");
    lines[17]["more"] = json!(1);
    let file = write_lines(node.folder.path(), &lines);
    let import = [
        "credential",
        "import",
        "--file",
        &file,
        "--integration",
        &integration,
        "--audience",
        "routes",
    ];
    let text = refused(&run(&node, &import));
    for part in [
        "line 4: public_id",
        "line 18: unknown member",
        "2 lines cannot",
        "nothing was sent",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("secret of"), "{text}");
    assert_eq!(document(&node, &["credential", "list"]), json!([]));
    let missing = refused(&run(
        &node,
        &["credential", "import", "--file", "nothing.jsonl"],
    ));
    assert!(missing.contains("nothing.jsonl"), "{missing}");
}

#[test]
fn options_files_and_variables_say_where_the_node_is() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let folder = TestFolder::new();
    let file = folder.path().join("token");
    wayleave::key_file::write_private(&file, &format!("{OPERATOR}\n")).expect("written");
    let list = ["partner", "list", "--json"];
    let by_options = bare(folder.path())
        .args(list)
        .args(["--admin", &url(&node), "--token-file"])
        .arg(&file)
        .output();
    assert_eq!(good(by_options.expect("run")), "[]\n");
    let by_file = bare(folder.path())
        .args(list)
        .env("WAYLEAVE_ADMIN_URL", url(&node))
        .env("WAYLEAVE_ADMIN_TOKEN_FILE", &file)
        .output();
    assert_eq!(good(by_file.expect("run")), "[]\n");
    let nothing = bare(folder.path()).args(list).output().expect("run");
    assert!(refused(&nothing).contains("WAYLEAVE_ADMIN_URL"));
}

#[test]
fn what_goes_wrong_is_said_with_what_to_do() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let wrong = command(&node, &["partner", "list"])
        .env("WAYLEAVE_ADMIN_TOKEN", "not-the-token")
        .output();
    let text = refused(&wrong.expect("run"));
    assert!(
        text.contains("--token-file") && !text.contains("not-the-token"),
        "{text}"
    );
    let free = crate::harness::free_port().to_string();
    let away = command(
        &node,
        &["partner", "list", "--admin", &format!("http://{free}")],
    );
    let text = refused(&{ away }.output().expect("run"));
    assert!(
        text.contains(&free) && text.contains("--admin URL"),
        "{text}"
    );
    let elsewhere = run(&node, &["partner", "list", "--admin", "http://192.0.2.1"]);
    assert!(refused(&elsewhere).contains("--insecure-http"));
    let unknown = run(
        &node,
        &["credential", "revoke", "crd_00000000000000000000000000"],
    );
    assert!(refused(&unknown).contains("--env"));
    let odd = run(&node, &["credential", "revoke", "../partners"]);
    refused(&odd);
    let invalid = run(&node, &["partner", "create", ""]);
    assert!(refused(&invalid).contains("name"));
    // A sample API is no admin address.
    let test = format!("http://127.0.0.1:{}", node.test.port());
    refused(&run(&node, &["partner", "list", "--admin", &test]));
    let span = run(&node, &["credential", "expire", "crd_x", "--in", "soon"]);
    assert_eq!(span.status.code(), Some(2));
    assert!(said(&span).contains("90d"), "{}", said(&span));
}

#[test]
fn a_script_is_not_asked_before_it_revokes_in_live() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let revoke = ["credential", "revoke", &keys.credential, "--env", "live"];
    let printed = command(&node, &revoke).stdin(Stdio::null()).output();
    assert!(good(printed.expect("run")).starts_with("Revoked in live"));
    let token = node.live.get("/token").basic(&keys.public_id, &keys.secret);
    token.send().expect(401);
    let in_test = run(&node, &["credential", "show", &keys.credential]);
    assert!(refused(&in_test).contains("(404)"), "live is not test");
}

#[test]
fn the_demonstration_is_found_by_its_folder() {
    let demo = DemoProcess::start(DatabaseKind::Sqlite);
    let data = demo.folder.path().to_str().expect("a path");
    let elsewhere = TestFolder::new();
    let list = [
        "credential",
        "list",
        "--env",
        "test",
        "--json",
        "--data",
        data,
    ];
    let printed = bare(elsewhere.path()).args(list).output().expect("run");
    let printed = good(printed);
    let listed: Value = serde_json::from_str(&printed).expect("one array");
    let key = word(&demo.file["test"]["token"], "api_key");
    let secret = word(&demo.file["test"]["token"], "api_secret");
    assert!(!printed.contains(&secret));
    let rows = listed.as_array().expect("an array");
    let row = rows
        .iter()
        .find(|row| row["public_id"] == json!(key))
        .expect("the demo's key");
    let id = word(row, "id");
    let status = || {
        demo.address(Environment::Test)
            .get("/token")
            .basic(&key, &secret)
            .send()
            .status
    };
    assert_eq!(status(), 200);
    let revoke = ["credential", "revoke", &id, "--env", "test", "--data", data];
    good(bare(elsewhere.path()).args(revoke).output().expect("run"));
    assert_eq!(status(), 401);
    // The usual folder needs no option.
    std::os::unix::fs::symlink(data, elsewhere.path().join("wayleave-data")).expect("linked");
    let usual = bare(elsewhere.path()).args(["partner", "list"]).output();
    assert!(good(usual.expect("run")).contains("Demo partner"));
}

#[test]
fn a_node_behind_tls_is_called_with_its_certificate_trusted() {
    let folder = TestFolder::new();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let tls = wayleave::tls::TlsFiles {
        certificate: folder.path().join("certificate.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&tls.certificate, made.cert.pem()).expect("written");
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).expect("written");
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.admin.tls = Some(tls.clone());
    });
    let address = format!("https://localhost:{}", node.admin.port());
    let list = ["partner", "list", "--json", "--admin", &address];
    let trusted = command(&node, &list)
        .arg("--ca")
        .arg(&tls.certificate)
        .output();
    assert_eq!(good(trusted.expect("run")), "[]\n");
    let by_variable = command(&node, &list)
        .env("WAYLEAVE_CA", &tls.certificate)
        .output();
    assert_eq!(good(by_variable.expect("run")), "[]\n");
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("another");
    let other = folder.path().join("other.pem");
    std::fs::write(&other, stranger.cert.pem()).expect("written");
    let untrusted = command(&node, &list).arg("--ca").arg(&other).output();
    assert!(refused(&untrusted.expect("run")).contains("--ca FILE"));
}

#[test]
fn completions_and_pages_know_the_commands() {
    let folder = TestFolder::new();
    for shell in ["bash", "zsh", "fish"] {
        let printed = bare(folder.path()).args(["completions", shell]).output();
        let printed = good(printed.expect("run"));
        assert!(
            printed.contains("end-secret") && printed.contains("introspect"),
            "{shell}"
        );
    }
    let pages = folder.path().join("man1");
    good(
        bare(folder.path())
            .arg("man")
            .arg(&pages)
            .output()
            .expect("run"),
    );
    let page = std::fs::read_to_string(pages.join("wayleave-credential-roll.1")).expect("a page");
    assert!(
        page.contains("overlap") && page.contains("Example"),
        "{page}"
    );
    assert!(pages.join("wayleave.1").exists());
}

on_both_databases! {
    fn a_property_is_made_changed_and_given_key_sets_by_commands(node: TestNode) {
        let partner = word(&document(&node, &["partner", "create", "Harbour Signs"]), "id");
        let integration = ["integration", "create", "--partner", &partner, "Site"];
        let integration = word(&document(&node, &integration), "id");
        let make = ["property", "create", "--partner", &partner, "--origin", "https://www.example.com", "Harbour Daily"];
        let property = word(&document(&node, &make), "id");
        let change = ["property", "change", &property, "--name", "Daily", "--origin", "https://m.example.com"];
        let changed = text(&node, &change);
        assert!(changed.starts_with("Changed in test") && changed.contains("https://m.example.com"), "{changed}");
        assert_eq!(word(&document(&node, &["property", "show", &property]), "name"), "Daily");
        let list = text(&node, &["property", "list", "--partner", &partner]);
        assert!(list.ends_with(&format!("1 property in test at {}.\n", url(&node))), "{list}");
        let key_set = [
            "credential", "create", "--integration", &integration, "--audience", "access", "--property", &property,
        ];
        let key_set = document(&node, &key_set);
        assert_eq!(word(&key_set, "property"), property);
        let listed = document(&node, &["credential", "list", "--property", &property]);
        assert_eq!(listed[0]["id"], key_set["id"]);
        let wrong = refused(&run(&node, &["property", "change", &property, "--origin", "http://example.com"]));
        assert!(wrong.contains("an origin is https"), "{wrong}");
    }
}
