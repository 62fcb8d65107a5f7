//! The real binary, killed again and again while it takes subscribers over: none is taken twice and none is
//! left out, and the command shows how far it is.

use std::process::{Child, Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use wayleave_testkit::{Address, DatabaseKind, RawSql};

use crate::access::killed::serve;
use crate::cli_admin::command;
use crate::harness::TestNode;
use crate::site::Site;

const SUBSCRIBERS: usize = 6_000;
/// One in so many cannot be taken.
const WRONG: usize = 1_500;

fn body() -> Value {
    let one = |number: usize| match number.is_multiple_of(WRONG) {
        true => json!({ "SubscriberKey": format!("P-{number}"), "MaximumLinkedUsers": "many" }),
        false => json!({
            "SubscriberKey": format!("P-{number}"),
            "ValidationFields": [{ "Name": "AccountNumber", "Value": format!("A-{number}") }],
        }),
    };
    let subscribers: Vec<Value> = (0..SUBSCRIBERS).map(one).collect();
    json!({ "Data": { "Subscribers": subscribers } })
}

/// How many subscribers were done.
fn done(sql: &mut RawSql) -> usize {
    let done = sql.texts("SELECT CAST(done AS TEXT) FROM queued");
    done.first()
        .map_or(0, |done| done.parse().expect("a number"))
}

/// Waits until so many were done, and kills it.
fn kill_after(child: &mut Child, sql: &mut RawSql, wanted: usize) -> usize {
    for _ in 0..10_000 {
        if done(sql) >= wanted {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("killed");
    child.wait().expect("its end");
    done(sql)
}

/// What a command prints to a terminal.
fn on_a_terminal(node: &TestNode, words: &[&str]) -> Output {
    let plain = command(node, words);
    let script = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let mut python = Command::new("python3");
    python
        .args(["-c", script])
        .arg(plain.get_program())
        .args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    python.output().expect("python3")
}

fn check(kind: DatabaseKind) {
    let mut site = Site::open(TestNode::start_now(kind));
    site.node.halt();
    let database = site.node.settings().environments[1].database.clone();
    let mut sql = RawSql::open(&database);
    let (mut child, address) = serve(&site.node);
    let target = format!(
        "/api/Property/{}/ExternalSubscriberImport",
        site.management.public_id
    );
    let call = site
        .management
        .signer()
        .call(address, "POST", &target, site.now_s());
    let queued = call.json(&body()).send().expect(200).json();
    let first = kill_after(&mut child, &mut sql, 1);
    let free = "UPDATE job SET leased_until = 0";
    // As if the minute had passed for which the node has the work to itself.
    sql.run(free);
    let (mut child, _): (Child, Address) = serve(&site.node);
    let second = kill_after(&mut child, &mut sql, first + 1);
    assert!(
        0 < first && first < second && second < SUBSCRIBERS,
        "{first}, {second}"
    );
    sql.run(free);
    // The node's own clock stands; what was asked for was so by the real one.
    site.node.clock.advance(Duration::from_secs(3_600));
    site.node.start_again();
    let id = queued["ID"]
        .as_str()
        .and_then(|id| id.split('|').next())
        .expect("an id");
    let words = [
        "subscriber",
        "import",
        "--property",
        &site.property,
        "--follow",
        id,
    ];
    let shown = on_a_terminal(&site.node, &words);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(
        shown.status.code(),
        Some(1),
        "some could not be taken: {text}"
    );
    assert!(
        text.contains(&format!("100 %  {SUBSCRIBERS} of {SUBSCRIBERS} rows")),
        "{text}"
    );
    assert!(text.contains("[####"), "{text}");
    let wrong = SUBSCRIBERS / WRONG;
    let kept =
        "SELECT (SELECT COUNT(*) FROM subscriber) || ' ' || (SELECT COUNT(*) FROM queued_error)
        || ' ' || (SELECT COUNT(*) FROM queued_piece) || ' ' || done || ' ' || failed FROM queued";
    let taken = SUBSCRIBERS - wrong;
    assert_eq!(
        sql.texts(kept),
        [format!("{taken} {wrong} 0 {SUBSCRIBERS} {wrong}")]
    );
}

#[test]
fn a_killed_import_goes_on_where_it_was_on_sqlite() {
    check(DatabaseKind::Sqlite);
}

#[test]
fn a_killed_import_goes_on_where_it_was_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        check(DatabaseKind::Postgres);
    }
}
