//! Rows N and O: storage, crashes, clocks and the end of a process.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_engine::{AuditFault, StoreError};
use wayleave_testkit::{Address, DatabaseKind, RawSql};

use super::{client_calls, database, on_each_database, without_limit};
use crate::harness::{
    DemoProcess, Keys, NOW_S, OPERATOR, TestNode, on_both_databases, root, wait_for,
};
use crate::storage::open_beside;

const LIVE: Environment = Environment::Live;

fn audit_faults(node: &TestNode) -> Vec<AuditFault> {
    super::verify_trail(node, LIVE, None).faults
}

#[test]
fn the_sqlite_in_the_build_does_not_corrupt_its_log() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let version = RawSql::open(&database(&node, LIVE)).texts("SELECT sqlite_version()");
    let parts: Vec<u32> = version[0].split('.').flat_map(str::parse).collect();
    assert!(parts >= vec![3, 51, 3], "{version:?}");
}

#[test]
fn postgres_is_told_to_keep_what_it_acknowledges() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let mut node = TestNode::start(DatabaseKind::Postgres);
    let mut sql = RawSql::open(&database(&node, LIVE));
    let name = sql.texts("SELECT current_database()").swap_remove(0);
    sql.run(&format!(
        "ALTER DATABASE {name} SET synchronous_commit = off"
    ));
    sql.run(
        "CREATE FUNCTION check_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF current_setting('synchronous_commit') <> 'on' THEN RAISE 'not durable'; END IF;
           RETURN NEW; END $$;
         CREATE TRIGGER check_commit BEFORE INSERT ON partner
           FOR EACH ROW EXECUTE FUNCTION check_commit()",
    );
    let off = RawSql::open(&database(&node, LIVE)).texts("SHOW synchronous_commit");
    assert_eq!(off, ["off"], "whoever does not ask is given less");
    node.restart();
    node.partner(LIVE);
}

on_both_databases! {
    fn sixty_four_writers_at_once_all_succeed(node: TestNode) {
        const WRITERS: usize = 64;
        const EACH: usize = 5;
        let partner = node.partner(LIVE);
        let body = json!({ "partner": partner, "name": "Till" });
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        node.operate("POST", "/live/v1/integrations", Some(body.clone())).expect(201);
                    }
                });
            }
        });
        let list = node.operate("GET", "/live/v1/integrations?limit=1000", None).expect(200).json();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(WRITERS * EACH));
        assert_eq!(audit_faults(&node), []);
    }

    fn clients_that_hang_up_leave_no_lock_and_no_half_of_a_change(node: TestNode) {
        let partner = node.partner(LIVE);
        let body = json!({ "partner": partner, "name": "Till" }).to_string();
        let request = format!(
            "POST /live/v1/integrations HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
            OPERATOR, body.len()
        );
        for turn in 0..200_u64 {
            let mut stream = TcpStream::connect(("127.0.0.1", node.admin.port())).expect("connected");
            // Some hang up within the request, the others at once after it, or a moment later.
            let sent = if turn % 4 == 0 { request.len() - 5 } else { request.len() };
            stream.write_all(&request.as_bytes()[..sent]).expect("written");
            std::thread::sleep(Duration::from_micros(turn % 8 * 300));
        }
        let list = || {
            let answer = node.operate("GET", "/live/v1/integrations?limit=1000", None);
            answer.expect(200).json()["data"].as_array().map_or(0, Vec::len)
        };
        std::thread::sleep(Duration::from_millis(500));
        let made = list();
        assert!(made <= 150, "half a request makes nothing: {made}");
        // The writer works on; what is begun has an end, and nothing is left open.
        node.keys(LIVE, Audience::Routes);
        assert_eq!(audit_faults(&node), []);
        let mut sql = RawSql::open(&database(&node, LIVE));
        if sql.is_postgres() {
            let open = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
            assert_eq!(sql.texts(open), ["0"]);
        } else {
            sql.run("BEGIN IMMEDIATE; ROLLBACK");
        }
        let counted = "SELECT COUNT(*) FROM audit WHERE act = 'integration.create' AND stage = 'done'";
        assert_eq!(sql.texts(counted), [list().to_string()], "each has its record");
    }

    fn a_newer_schema_and_a_step_that_breaks_leave_the_data_as_it_was(node: TestNode) {
        let mut node = node;
        let keys = node.keys(LIVE, Audience::Routes);
        node.halt();
        let mut sql = RawSql::open(&database(&node, LIVE));
        sql.run("UPDATE meta SET value = '999' WHERE name = 'schema'");
        let refused = open_beside(&node, |_| {}).err().expect("a refusal");
        assert!(refused.to_string().contains("newer than"), "{refused}");
        // Back to the first step, with something in the way of a later one.
        sql.run("UPDATE meta SET value = '1' WHERE name = 'schema'");
        let before = sql.rows("SELECT id, name FROM credential");
        let refused = open_beside(&node, |_| {}).err().expect("a refusal");
        let unavailable = matches!(refused, wayleave::node::NodeError::Store { error: StoreError::Unavailable(_), .. });
        assert!(unavailable, "{refused}");
        assert_eq!(sql.texts("SELECT value FROM meta WHERE name = 'schema'"), ["1"]);
        assert_eq!(sql.rows("SELECT id, name FROM credential"), before);
        let known = sql.tables().len();
        undo_later_steps(&mut sql);
        // Half of the step in the way, then gone: the step is taken whole.
        sql.run("CREATE TABLE audit (x TEXT)");
        assert!(open_beside(&node, |_| {}).is_err());
        assert!(!sql.tables().contains(&"revoked_token".to_owned()), "nothing of the broken step is left");
        sql.run("DROP TABLE audit");
        drop(open_beside(&node, |_| {}).expect("it opens"));
        assert_eq!(sql.tables().len(), known);
        node.run();
        node.token(LIVE, &keys);
    }
}

/// Takes a database back to what the first step of the schema made.
fn undo_later_steps(sql: &mut RawSql) {
    let first = root().join("crates/wayleave-store/migrations/0001_credentials.sql");
    let first = std::fs::read_to_string(first).expect("the first step");
    // SQLite knows no such word, and minds no reference from a table without rows.
    let cascade = if sql.is_postgres() { " CASCADE" } else { "" };
    for table in sql.tables() {
        let Some((_, columns)) = first.split_once(&format!("CREATE TABLE {table} (")) else {
            if table != "meta" {
                sql.run(&format!("DROP TABLE {table}{cascade}"));
            }
            continue;
        };
        let (columns, _) = columns.split_once("{STRICT}").expect("its end");
        let known = |column: &str| {
            let mut lines = columns.lines();
            lines.any(|line| line.trim_start().starts_with(&format!("{column} ")))
        };
        drop_indexes(sql, &table, &first);
        for column in sql.columns(&table) {
            if !known(&column) {
                sql.run(&format!("ALTER TABLE {table} DROP COLUMN {column}"));
            }
        }
    }
    sql.run("DELETE FROM counter WHERE name <> 'change'");
}

/// PostgreSQL drops them with their columns.
fn drop_indexes(sql: &mut RawSql, table: &str, first: &str) {
    if sql.is_postgres() {
        return;
    }
    let indexes = format!(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = '{table}' AND sql IS NOT NULL"
    );
    for index in sql.texts(&indexes) {
        if !first.contains(&format!("CREATE INDEX {index} ")) {
            sql.run(&format!("DROP INDEX {index}"));
        }
    }
}

#[test]
fn a_commit_whose_outcome_is_unknown_is_told_so_and_not_repeated() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let node = TestNode::start(DatabaseKind::Postgres);
    let mut sql = RawSql::open(&database(&node, LIVE));
    // The connection ends while the commit is on its way.
    sql.run(
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON partner DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION cut()",
    );
    let body = json!({ "name": "Harbour Signs" });
    for _ in 0..20 {
        let answer = node.operate("POST", "/live/v1/partners", Some(body.clone()));
        let answer = answer.expect(503);
        assert!(
            answer.json()["type"]
                .as_str()
                .is_some_and(|kind| kind.ends_with("outcome-unknown"))
        );
        assert!(answer.text().contains("look before you repeat it"));
        assert_eq!(
            answer.header("retry-after"),
            None,
            "nobody is told to repeat it blindly"
        );
    }
    assert_eq!(
        sql.texts("SELECT COUNT(*) FROM partner"),
        ["0"],
        "here it did not happen"
    );
    let stages = "SELECT DISTINCT stage FROM audit WHERE act = 'partner.create'";
    assert_eq!(sql.texts(stages), ["begun"], "the trail claims neither");
    sql.run("DROP TRIGGER cut ON partner");
    node.partner(LIVE);
    assert_eq!(audit_faults(&node), []);
}

/// A token issued now; `None` where none is issued.
fn issued(node: &TestNode, keys: &Keys) -> Option<String> {
    let (_, call) = client_calls(node.live, &keys.public_id, &keys.secret).swap_remove(5);
    let answer = call.send();
    assert!(answer.status < 500, "{}", answer.text());
    (answer.status == 200).then(|| answer.json()["token"].as_str().expect("a token").to_owned())
}

#[test]
fn a_clock_that_jumps_makes_no_token_live_longer_and_breaks_nothing() {
    const DAY: i64 = 24 * 3600;
    on_each_database(without_limit, |node| {
        // Tokens of before their credential do not count, so it is made before all jumps.
        node.clock.set(NOW_S - 3 * DAY);
        let routes = node.keys(LIVE, Audience::Routes);
        let management = node.keys(LIVE, Audience::Management);
        let tend = || {
            let engine = node.engine(LIVE);
            wait_for(async {
                engine.tend_signing_keys().await.expect("keys");
                engine.tend_credentials().await.expect("credentials");
                engine.write_uses().await.expect("uses");
            });
        };
        let mut tokens: Vec<(i64, String)> = Vec::new();
        let jumps = [
            0,
            -1,
            301,
            -301,
            3_599,
            -2 * DAY,
            DAY,
            10 * 365 * DAY,
            0,
            1,
            -DAY,
            5,
            4_000,
            0,
        ];
        for (turn, jump) in jumps.into_iter().cycle().take(100).enumerate() {
            let now_s = NOW_S + jump;
            node.clock.set(now_s);
            if turn % 3 == 0 {
                tend();
            }
            let token = issued(&node, &routes).expect("a token at any time");
            node.live.get("/hello").bearer(&token).send().expect(200);
            tokens.push((now_s, token));
            for (issued_s, token) in tokens.iter().rev().take(16) {
                let answer = node.live.get("/hello").bearer(token).send();
                let may_count = now_s < issued_s + 3_605;
                assert!(
                    answer.status == 401 || (answer.status == 200 && may_count),
                    "{} at {now_s} of {issued_s}",
                    answer.status
                );
            }
            let signed = |at_s: i64| {
                management
                    .signer()
                    .call(node.live, "GET", "/hello", at_s)
                    .send()
                    .status
            };
            assert_eq!(
                (signed(now_s), signed(now_s - 301), signed(now_s + 301)),
                (200, 401, 401)
            );
            node.partner(LIVE);
        }
        node.clock.set(NOW_S);
        tend();
        assert_eq!(audit_faults(&node), []);
    });
}

#[test]
fn requests_in_flight_are_answered_before_the_process_ends() {
    for _ in 0..3 {
        let demo = DemoProcess::start(DatabaseKind::Sqlite);
        let text = |pointer: &str| {
            demo.file
                .pointer(pointer)
                .and_then(|value| value.as_str())
                .expect("a text")
                .to_owned()
        };
        let live: Address = demo.address(LIVE);
        let issued = live.get("/token").basic(
            &text("/live/token/api_key"),
            &text("/live/token/api_secret"),
        );
        let token = issued.send().expect(200).json()["token"]
            .as_str()
            .expect("a token")
            .to_owned();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nContent-Length: 10\r\nConnection: close\r\n\r\n12345",
            text("/live/protected_path")
        );
        let mut streams: Vec<TcpStream> = (0..20)
            .map(|_| {
                let mut stream = TcpStream::connect(("127.0.0.1", live.port())).expect("connected");
                stream.write_all(head.as_bytes()).expect("written");
                stream
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        demo.signal("-TERM");
        std::thread::sleep(Duration::from_millis(500));
        for stream in &mut streams {
            stream.write_all(b"67890").expect("still open");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        assert!(
            TcpStream::connect(("127.0.0.1", live.port())).is_err(),
            "nobody new is let in"
        );
        demo.end();
    }
}
