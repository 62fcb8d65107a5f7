//! `wayleave backup`, `restore` and `store copy`, the real binary.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value as Json, json};
use wayleave_core::{Audience, Environment};
use wayleave_engine::{Database, StoreRuntime};
use wayleave_store::{ArchiveRow, ArchiveTarget, Snapshot, TABLES};
use wayleave_testkit::{DatabaseKind, TestDatabases, TestFolder};

use crate::harness::{Keys, NOW_S, TestNode, on_both_databases, printed, refused};

const LIVE: Environment = Environment::Live;

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// How a database is named on the command line.
fn named(database: &Database) -> String {
    match database {
        Database::Sqlite(path) => text(path).to_owned(),
        Database::Postgres(url) => url.clone(),
    }
}

/// Every row of a database by table, in an order of their own.
fn rows(database: &Database) -> BTreeMap<&'static str, Vec<ArchiveRow>> {
    let runtime = StoreRuntime::start().expect("a runtime");
    runtime.handle().block_on(async {
        let mut snapshot = Snapshot::open(database).await.expect("a snapshot");
        let mut all = BTreeMap::new();
        for table in TABLES {
            let mut found: Vec<ArchiveRow> = Vec::new();
            loop {
                let page = snapshot.reader().archive_page(table, found.last()).await;
                let page = page.expect("a page");
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            found.sort_by_key(|row| format!("{row:?}"));
            all.insert(table.name, found);
        }
        all
    })
}

/// Gives a node rows of every kind that the operator's address makes.
fn fill(node: &TestNode) {
    for audience in Audience::ALL {
        let keys = node.keys(LIVE, audience);
        if audience == Audience::Access {
            let target = format!("/live/v1/credentials/{}/revoke", keys.credential);
            node.operate("POST", &target, None).expect(200);
        }
    }
    let body = json!({ "name": "Zwölf \"Boxkämpfer\" \u{1F980}" });
    node.operate("POST", "/live/v1/partners", Some(body))
        .expect(201);
}

fn live_database(node: &TestNode) -> Database {
    node.settings().environments[0].database.clone()
}

/// Backs live up beside the running node; the configuration and the backup.
fn back_up(node: &TestNode) -> (PathBuf, PathBuf) {
    let (config, file) = (node.config_file(), node.folder.path().join("live.backup"));
    let arguments = [
        "backup",
        "--config",
        text(&config),
        "--env",
        "live",
        text(&file),
    ];
    printed(&arguments);
    (config, file)
}

/// Points the node's live at a new, empty database of the same kind.
fn replace_database(node: &mut TestNode, kind: DatabaseKind) -> (TestFolder, TestDatabases) {
    let folder = TestFolder::new();
    let fresh = TestDatabases::new(kind, &folder);
    node.move_to(LIVE, &fresh.live);
    (folder, fresh)
}

fn kind_of(node: &TestNode) -> DatabaseKind {
    match live_database(node) {
        Database::Sqlite(_) => DatabaseKind::Sqlite,
        Database::Postgres(_) => DatabaseKind::Postgres,
    }
}

/// The moment of a restore is that of the binary's clock.
fn check_tokens_after_a_restore(kind: DatabaseKind) {
    let mut node = TestNode::start_now(kind);
    let keys = node.keys(LIVE, Audience::Routes);
    let old = node.token(LIVE, &keys);
    let check = |node: &TestNode, token: &str| node.live.get("/hello").bearer(token).send().status;
    assert_eq!(check(&node, &old), 200);
    let (_, file) = back_up(&node);
    // The issuer is the address, which is another one at each start.
    let url = node.live_url.clone();
    node.say_url(LIVE, &url);
    node.restart();
    assert_eq!(check(&node, &old), 200, "a restart alone ends no token");
    node.halt();
    let _fresh = replace_database(&mut node, kind);
    let config = node.config_file();
    let (config, file) = (text(&config), text(&file));
    printed(&["restore", "--config", config, "--env", "live", file]);
    let now = wayleave_engine::Clock::now(&wayleave::ports::SystemClock);
    node.clock.set(now.unix_s());
    node.start_again();
    assert_eq!(check(&node, &old), 401);
    let new = node.token(LIVE, &keys);
    assert_eq!(check(&node, &new), 200, "also in the second of the restore");
    node.halt();
    let confirm = ["restore", "confirm", "--config", config, "--env", "live"];
    assert!(printed(&confirm).contains("the keys are checked"));
    assert!(printed(&confirm).contains("no check of keys is wanted"));
}

#[test]
fn tokens_of_before_a_restore_are_refused_and_keys_still_work_on_sqlite() {
    check_tokens_after_a_restore(DatabaseKind::Sqlite);
}

#[test]
fn tokens_of_before_a_restore_are_refused_and_keys_still_work_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        check_tokens_after_a_restore(DatabaseKind::Postgres);
    }
}

/// Exports the audit trail of live as an operator does.
fn export_audit(node: &TestNode, to: &Path) {
    let output = crate::harness::binary()
        .args(["audit", "export", "--env", "live", "--output", text(to)])
        .args([
            "--admin",
            &format!("http://127.0.0.1:{}", node.admin.port()),
        ])
        .env("WAYLEAVE_ADMIN_TOKEN", crate::harness::OPERATOR)
        .output()
        .expect("exported");
    assert!(output.status.success(), "{output:?}");
    let failed = json!({ "act": "credential.revoke", "object": "crd_01m80nztw47y4rc66r6wecqp4n", "stage": "failed" });
    let rows = std::fs::read_to_string(to).expect("the export");
    std::fs::write(to, format!("{rows}{failed}\n")).expect("written");
}

fn check_revocations_after_a_restore(kind: DatabaseKind) {
    let mut node = TestNode::start_now(kind);
    let act = |node: &TestNode, keys: &Keys, act: &str| {
        let target = format!("/live/v1/credentials/{}/{act}", keys.credential);
        node.operate("POST", &target, None).expect(200).json()
    };
    let keys = ["revoke", "refresh", "disable", "none"].map(|_| node.keys(LIVE, Audience::Routes));
    let mut renewed = node.keys(LIVE, Audience::Routes);
    let new = act(&node, &renewed, "refresh");
    renewed.public_id = new["public_id"].as_str().expect("an id").to_owned();
    renewed.secret = new["secret"].as_str().expect("a secret").to_owned();
    let (_, file) = back_up(&node);
    // The backup tells its moment by the clock of the binary.
    node.clock.advance(std::time::Duration::from_secs(120));
    for (keys, name) in keys.iter().zip(["revoke", "refresh", "disable"]) {
        act(&node, keys, name);
    }
    let export = node.folder.path().join("audit.jsonl");
    export_audit(&node, &export);
    node.halt();
    let _fresh = replace_database(&mut node, kind);
    let config = node.config_file();
    let more = ["--revocations", text(&export), text(&file)];
    let told = printed(
        &[
            &["restore", "--config", text(&config), "--env", "live"],
            &more[..],
        ]
        .concat(),
    );
    assert!(told.contains("3 credentials are revoked"), "{told}");
    node.start_again();
    let statuses = keys.iter().chain([&renewed]).map(|keys| {
        let call = node.live.get("/token").basic(&keys.public_id, &keys.secret);
        call.send().status
    });
    assert_eq!(statuses.collect::<Vec<_>>(), [401, 401, 401, 200, 200]);
}

#[test]
fn what_the_audit_trail_says_was_revoked_is_revoked_in_a_restored_database_on_sqlite() {
    check_revocations_after_a_restore(DatabaseKind::Sqlite);
}

#[test]
fn what_the_audit_trail_says_was_revoked_is_revoked_in_a_restored_database_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        check_revocations_after_a_restore(DatabaseKind::Postgres);
    }
}

on_both_databases! {
    fn the_list_of_tables_is_that_of_the_schema(node: TestNode) {
        let runtime = StoreRuntime::start().expect("a runtime");
        let differences = runtime.handle().block_on(async {
            let mut snapshot = Snapshot::open(&live_database(&node)).await.expect("a snapshot");
            snapshot.reader().schema_differences().await.expect("read")
        });
        assert_eq!(differences, Vec::<String>::new());
    }

    fn a_backup_beside_a_running_server_is_restored_row_by_row(node: TestNode) {
        let mut node = node;
        fill(&node);
        let before = rows(&live_database(&node));
        let (_, file) = back_up(&node);
        let mode = std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let kind = kind_of(&node);
        node.halt();
        let _fresh = replace_database(&mut node, kind);
        let config = node.config_file();
        let arguments = ["restore", "--config", text(&config), "--env", "live", text(&file)];
        let told = printed(&arguments);
        assert!(told.contains("wayleave restore confirm --config"), "{told}");
        let mut after = rows(&live_database(&node));
        let stamps = ["restored_at", "key_check"];
        after.get_mut("meta").expect("meta").retain(|row| {
            !stamps.iter().any(|stamp| format!("{row:?}").contains(stamp))
        });
        assert_eq!(before, after);
        assert!(before["credential"].len() == 4 && before["signing_key"].len() == 2);
        // And it cannot be restored over that.
        let refused = refused(&arguments);
        assert!(refused.contains("is not empty"), "{refused}");
    }

    fn a_restore_that_is_cut_off_leaves_an_empty_database(node: TestNode) {
        let mut node = node;
        fill(&node);
        let (_, file) = back_up(&node);
        let filled = rows(&live_database(&node));
        let kind = kind_of(&node);
        node.halt();
        let _fresh = replace_database(&mut node, kind);
        let database = live_database(&node);
        let runtime = StoreRuntime::start().expect("a runtime");
        runtime.handle().block_on(async {
            let now = wayleave_core::Timestamp::from_unix_s(NOW_S);
            let mut target = ArchiveTarget::open(&database, LIVE, now).await.expect("a target");
            for table in TABLES {
                target.put(table, &filled[table.name]).await.expect("put");
            }
        });
        drop(runtime);
        assert_eq!(rows(&database)["partner"].len(), 0);
        let config = node.config_file();
        printed(&["restore", "--config", text(&config), "--env", "live", text(&file)]);
        assert_eq!(rows(&database)["partner"], filled["partner"]);
    }

    fn a_backup_made_while_partners_are_being_written_holds_one_moment(node: TestNode) {
        let mut node = node;
        let config = node.config_file();
        let file = node.folder.path().join("live.backup");
        let (first, is_done) = (node.keys(LIVE, Audience::Management), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| while !is_done.load(Ordering::Relaxed) {
                    node.keys(LIVE, Audience::Management);
                });
            }
            for _ in 0..5 {
                printed(&["backup", "--config", text(&config), "--env", "live", text(&file)]);
            }
            is_done.store(true, Ordering::Relaxed);
        });
        let kind = kind_of(&node);
        node.halt();
        let _fresh = replace_database(&mut node, kind);
        let config = node.config_file();
        printed(&["restore", "--config", text(&config), "--env", "live", text(&file)]);
        let restored = rows(&live_database(&node));
        // One moment: every credential came with its secret, and every change is counted.
        assert!(format!("{:?}", restored["credential"]).contains(&first.credential));
        assert_eq!(restored["credential"].len(), restored["secret"].len());
        let counted = format!("{:?}", restored["counter"]);
        let changes = restored["change"].len();
        assert!(counted.contains(&format!("Text(Some(\"change\")), Integer(Some({changes}))")), "{counted}");
    }
}

#[test]
fn a_damaged_or_wrong_backup_is_refused_and_leaves_nothing() {
    let mut node = TestNode::start(DatabaseKind::Sqlite);
    fill(&node);
    let (_, file) = back_up(&node);
    node.halt();
    let content = std::fs::read_to_string(&file).expect("the backup");
    let lines: Vec<&str> = content.lines().collect();
    let head: Json = serde_json::from_str(lines[0]).expect("the head");
    let with_head = |name: &str, value: Json| {
        let mut head = head.clone();
        head[name] = value;
        content.replacen(lines[0], &head.to_string(), 1)
    };
    let half = &content[..content.len() / 2];
    let without_end = lines[..lines.len() - 1].join("\n") + "\n";
    let without_row = content.replacen(&format!("{}\n", lines[2]), "", 1);
    let altered = content.replacen("\"admitted\"", "\"lapsed\"", 1);
    assert!(altered != content && without_row != content);
    let cases = [
        (altered, "checksum"),
        (without_row, "checksum"),
        (content.clone() + "{}\n", "checksum"),
        (half.to_owned(), "ends early"),
        (without_end, "ends early"),
        (
            with_head("environment", json!("test")),
            "live and test never mix",
        ),
        (with_head("schema", json!(99)), "newer than"),
        (with_head("schema", json!(1)), "older than"),
        (with_head("version", json!(2)), "form 2"),
        (with_head("format", json!("other")), "no backup"),
        (String::new(), "no backup"),
        (
            content.replacen("\"t\":\"partner\"", "\"t\":\"partners\"", 1),
            "no table",
        ),
        (content.replacen("\"r\":[", "\"r\":[7,", 1), "has 5 fields"),
    ];
    let fresh = TestFolder::new();
    let data = text(fresh.path());
    let broken = fresh.path().join("broken.backup");
    for (content, why) in cases {
        std::fs::write(&broken, content).expect("written");
        let said = refused(&["restore", "--data", data, "--env", "live", text(&broken)]);
        assert!(said.contains(why), "{why}: {said}");
        assert!(!fresh.path().join("live.db").exists(), "{why}");
    }
    printed(&["restore", "--data", data, "--env", "live", text(&file)]);
}

#[test]
fn a_copy_to_postgres_and_back_is_the_same_row_by_row() {
    let mut node = TestNode::start(DatabaseKind::Sqlite);
    fill(&node);
    let first = live_database(&node);
    let folder = TestFolder::new();
    let back = Database::Sqlite(folder.path().join("back.db"));
    let copy = |from: &Database, to: &Database| {
        let (from, to) = (named(from), named(to));
        let arguments = [
            "store", "copy", "--env", "live", "--json", "--from", &from, "--to", &to,
        ];
        arguments.map(str::to_owned)
    };
    let run = |arguments: [String; 9]| printed(&arguments.each_ref().map(String::as_str));
    let not = |arguments: [String; 9]| refused(&arguments.each_ref().map(String::as_str));
    assert!(
        not(copy(&first, &back)).contains("in use"),
        "its server is running"
    );
    node.halt();
    let databases;
    let middle = if DatabaseKind::Postgres.is_available() {
        databases = TestDatabases::new(DatabaseKind::Postgres, &folder);
        databases.live.clone()
    } else {
        Database::Sqlite(folder.path().join("middle.db"))
    };
    let summary: Json = serde_json::from_str(&run(copy(&first, &middle))).expect("json");
    assert_eq!(summary["tables"]["credential"], 4);
    run(copy(&middle, &back));
    assert_eq!(rows(&first), rows(&middle));
    assert_eq!(rows(&first), rows(&back));
    // Not over what is there, not from nothing, not the other environment's.
    assert!(not(copy(&first, &back)).contains("is not empty"));
    let nothing = Database::Sqlite(folder.path().join("nothing.db"));
    assert!(not(copy(&nothing, &middle)).contains("no such file"));
    let test = node.settings().environments[1].database.clone();
    assert!(not(copy(&test, &nothing)).contains("stamped test"));
    // Tokens and keys live on there.
    node.move_to(LIVE, &middle);
    node.start_again();
    node.keys(LIVE, Audience::Routes);
}

#[test]
fn a_password_does_not_belong_on_the_command_line() {
    let url = "postgres://wayleave:hunter2@127.0.0.1:1/live";
    let said = refused(&[
        "store", "copy", "--env", "live", "--from", url, "--to", "x.db",
    ]);
    assert!(
        said.contains("WAYLEAVE_COPY_FROM") && !said.contains("hunter2"),
        "{said}"
    );
    let output = crate::harness::binary()
        .args(["store", "copy", "--env", "live", "--to", "x.db"])
        .env("WAYLEAVE_COPY_FROM", url)
        .output()
        .expect("the binary");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(
        !output.status.success() && said.contains("127.0.0.1:1/live"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_backup_goes_to_standard_output_and_survives_a_killed_server() {
    let mut demo = crate::harness::DemoProcess::start(DatabaseKind::Sqlite);
    demo.kill();
    let data = demo.folder.path().to_owned();
    let backup = printed(&["backup", "--data", text(&data), "--env", "test", "-"]);
    let lines: Vec<Json> = backup
        .lines()
        .map(|line| serde_json::from_str(line).expect("json"))
        .collect();
    assert_eq!(lines[0]["format"], "wayleave-backup");
    assert_eq!(lines[0]["environment"], "test");
    let end = lines.last().expect("an end");
    assert_eq!(end["rows"], lines.len() - 2);
    let master = std::fs::read_to_string(data.join("master/test.key")).expect("the key");
    assert!(!backup.contains(master.trim()));
    let secret = demo.file["test"]["token"]["api_secret"]
        .as_str()
        .expect("a secret");
    assert!(!backup.contains(secret));
}
