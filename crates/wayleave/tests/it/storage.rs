//! What the databases hold and refuse.

use std::sync::Arc;

use wayleave::node::{Node, NodeError};
use wayleave::ports::SystemRandomness;
use wayleave_core::{Audience, Environment};
use wayleave_engine::{Database, StoreError, StoreRuntime};
use wayleave_testkit::{Address, DatabaseKind};

use crate::harness::{NOW_S, TestNode, free_address, on_both_databases, wait_for};

/// Opens a second node with changed settings beside a running one.
pub(crate) fn open_beside(
    node: &TestNode,
    change: impl FnOnce(&mut wayleave::node::NodeSettings),
) -> Result<Node, NodeError> {
    let mut settings = node.settings().clone();
    change(&mut settings);
    let runtime = StoreRuntime::start().expect("a runtime");
    Node::open(
        settings,
        &runtime,
        node.clock.clone(),
        Arc::new(SystemRandomness),
    )
}

on_both_databases! {
    fn old_changes_are_forgotten_and_a_node_that_missed_some_reads_everything_again(node: TestNode) {
        let gone = node.keys(Environment::Live, Audience::Management);
        let kept = node.keys(Environment::Live, Audience::Management);
        let (month, now_s) = (31 * 24 * 3600, NOW_S + 31 * 24 * 3600);
        node.clock.advance(std::time::Duration::from_secs(month));
        let engine = node.engine(Environment::Live);
        wait_for(engine.tend_credentials()).expect("tended");
        let database = node.database(Environment::Live);
        assert_eq!(database.run("SELECT COUNT(*) FROM change").trim(), "1", "the newest stays");
        // What another node did while this one stood still, and the feed has forgotten since.
        database.run(&format!("UPDATE credential SET state = 'revoked' WHERE id = '{}'", gone.credential));
        database.run("UPDATE counter SET value = value + 10 WHERE name = 'change'");
        database.run(&format!(
            "INSERT INTO change (number, noun, object_id, at) SELECT value, 'credential', '{}', 0 FROM counter WHERE name = 'change'",
            kept.credential
        ));
        let status = |keys: &crate::harness::Keys| {
            let target = format!("/api/Property/{}", keys.public_id);
            keys.signer().call(node.live, "GET", &target, now_s).send().status
        };
        while status(&gone) != 401 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        while status(&kept) != 200 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        node.keys(Environment::Live, Audience::Routes);
    }

    fn a_database_of_the_other_environment_is_refused(node: TestNode) {
        let swapped = open_beside(&node, |settings| {
            let [live, test] = &mut settings.environments;
            std::mem::swap(&mut live.database, &mut test.database);
        });
        let stamped = matches!(swapped, Err(NodeError::Store { error: StoreError::WrongEnvironment { .. }, .. }));
        let in_use = matches!(swapped, Err(NodeError::Store { error: StoreError::InUse { .. }, .. }));
        assert!(stamped || in_use, "{:?}", swapped.err().map(|error| error.to_string()));
    }

    fn a_lost_master_key_is_named_and_none_is_made_in_its_place(node: TestNode) {
        let mut node = node;
        node.keys(Environment::Live, Audience::Management);
        let key = node.settings().environments[0].master_key.clone();
        let kept = std::fs::read_to_string(&key).expect("the key");
        std::fs::remove_file(&key).expect("removed");
        node.halt();
        let refused = open_beside(&node, |_| {}).err().expect("a refusal").to_string();
        assert!(refused.contains("restore the file"), "{refused}");
        assert!(!key.exists());
        wayleave::key_file::write_private(&key, &kept).expect("written");
        assert!(open_beside(&node, |_| {}).is_ok());
    }
}

#[test]
fn a_sqlite_file_of_the_other_environment_is_refused_by_its_stamp() {
    let mut node = TestNode::start(DatabaseKind::Sqlite);
    node.halt();
    let swapped = open_beside(&node, |settings| {
        let [live, test] = &mut settings.environments;
        std::mem::swap(&mut live.database, &mut test.database);
    });
    assert!(matches!(
        swapped,
        Err(NodeError::Store {
            error: StoreError::WrongEnvironment { .. },
            ..
        })
    ));
}

#[test]
fn a_second_process_on_a_sqlite_file_is_refused() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let refused = open_beside(&node, |_| {});
    assert!(matches!(
        refused,
        Err(NodeError::Store {
            error: StoreError::InUse { .. },
            ..
        })
    ));
}

#[test]
fn secrets_are_in_no_file_of_the_data_folder() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let hashed = node.keys(Environment::Live, Audience::Routes);
    let sealed = node.keys(Environment::Live, Audience::Management);
    for entry in std::fs::read_dir(node.folder.path()).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let content = std::fs::read(&path).expect("the file");
            for secret in [&hashed.secret, &sealed.secret] {
                let found = content
                    .windows(secret.len())
                    .any(|window| window == secret.as_bytes());
                assert!(!found, "a secret lies open in {}", path.display());
            }
        }
    }
}

#[test]
fn two_nodes_share_postgres_and_a_new_key_is_known_to_the_other_at_once() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let node = TestNode::start(DatabaseKind::Postgres);
    let other = open_beside(&node, |_| {}).expect("a second node");
    let address = Address::at(other.address(Environment::Live));
    let running = other
        .start(wayleave_engine::Operators::default(), Vec::new())
        .expect("it serves");
    let keys = node.keys(Environment::Live, Audience::Routes);
    // Unknown keys are looked for again at most every 100 ms of the clock.
    node.clock.advance(std::time::Duration::from_millis(200));
    let target = "/auth/check";
    let token = node.token(Environment::Live, &keys);
    let check = || {
        let call = address
            .get(target)
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Uri", "/hello");
        call.bearer(&token).send().status
    };
    // The second node has another issuer: its own address. A token of the first is not its own.
    assert_eq!(check(), 401);
    let management = node.keys(Environment::Live, Audience::Management);
    node.clock.advance(std::time::Duration::from_millis(200));
    let path = format!("/api/Property/{}", management.public_id);
    let [timestamp, authentication] = management.signer().headers("GET", &path, NOW_S);
    let signed = || {
        let call = address
            .get(target)
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Uri", &path);
        call.header(&timestamp.0, &timestamp.1)
            .header(&authentication.0, &authentication.1)
            .send()
            .status
    };
    assert_eq!(signed(), 204);
    node.operate(
        "POST",
        &format!("/live/v1/credentials/{}/revoke", management.credential),
        None,
    )
    .expect(200);
    // The other node follows the change feed; five seconds are its bound.
    let gone = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        signed() == 401
    });
    assert!(gone, "a revocation reaches the other node");
    running.stop();
}

#[test]
fn a_database_that_cannot_be_reached_is_named_without_its_password() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let refused = open_beside(&node, |settings| {
        let url = "postgres://wayleave:hunter2@127.0.0.1:1/live";
        settings.environments[0].database = Database::parse(url);
        settings.environments[0].address.address = free_address();
    });
    let message = refused.err().expect("a refusal").to_string();
    assert!(
        message.contains("127.0.0.1:1/live") && !message.contains("hunter2"),
        "{message}"
    );
}
