//! Row O7: whoever can only write to the database cannot alter the audit trail unseen.

use wayleave_core::{Audience, Environment};
use wayleave_engine::{AuditFault, AuditHead, AuditReport};
use wayleave_testkit::RawSql;

use super::database;
use crate::harness::{TestNode, on_both_databases};

const LIVE: Environment = Environment::Live;

fn verify(node: &TestNode, known: Option<&AuditHead>) -> AuditReport {
    super::verify_trail(node, LIVE, known)
}

/// A trail that is altered and put back.
struct Trail<'n> {
    node: &'n TestNode,
    sql: RawSql,
    head: AuditHead,
}

impl<'n> Trail<'n> {
    fn of(node: &'n TestNode) -> Self {
        let mut sql = RawSql::open(&database(node, LIVE));
        sql.run("CREATE TABLE kept AS SELECT * FROM audit");
        sql.run("CREATE TABLE kept_counter AS SELECT * FROM counter");
        let head = verify(node, None).head;
        Trail { node, sql, head }
    }

    /// What is found after statements; the trail is put back afterwards.
    fn altered_by(&mut self, statements: &str, known: bool) -> Vec<AuditFault> {
        self.sql.run(statements);
        let head = known.then_some(&self.head);
        let faults = verify(self.node, head).faults;
        self.sql.run("DELETE FROM audit");
        self.sql.run("INSERT INTO audit SELECT * FROM kept");
        let value = "(SELECT value FROM kept_counter WHERE name = 'audit')";
        self.sql.run(&format!(
            "UPDATE counter SET value = {value} WHERE name = 'audit'"
        ));
        assert_eq!(verify(self.node, Some(&self.head)).faults, []);
        faults
    }
}

on_both_databases! {
    fn every_edited_removed_or_moved_row_of_the_trail_is_found(node: TestNode) {
        for _ in 0..3 {
            let keys = node.keys(LIVE, Audience::Routes);
            node.operate("POST", &format!("/live/v1/credentials/{}/disable", keys.credential), None).expect(200);
        }
        let whole = verify(&node, None);
        assert_eq!((whole.faults.as_slice(), whole.unfinished.as_slice()), (&[][..], &[][..]));
        let last = whole.rows;
        assert!(last >= 20, "each act has two rows");
        let mut trail = Trail::of(&node);
        let columns = [
            ("at", "at + 1"), ("actor", "'mallory'"), ("act", "'credential.enable'"), ("object", "'crd_0'"),
            ("stage", "'failed'"), ("begun", "begun + 1"), ("request_id", "'req_0'"), ("details", "'{ }'"),
        ];
        for (column, value) in columns {
            for number in [1, 7, last] {
                let edit = format!("UPDATE audit SET {column} = {value} WHERE number = {number}");
                let found = trail.altered_by(&edit, false);
                assert!(found.contains(&AuditFault::Altered { number }), "{edit}: {found:?}");
            }
        }
        let hash = trail.sql.literal(&[7; 32]);
        let found = trail.altered_by(&format!("UPDATE audit SET hash = {hash} WHERE number = 5"), false);
        assert!(found.contains(&AuditFault::Altered { number: 5 }));
        let found = trail.altered_by("DELETE FROM audit WHERE number = 6", false);
        assert!(found.contains(&AuditFault::Missing { first: 6, last: 6 }), "{found:?}");
        let found = trail.altered_by("DELETE FROM audit WHERE number < 4", false);
        assert!(found.contains(&AuditFault::Missing { first: 1, last: 3 }), "{found:?}");
        // Rows in each other's place, also where the gap is closed.
        let swap = "UPDATE audit SET number = -1 WHERE number = 3; UPDATE audit SET number = 3 WHERE number = 5; \
                    UPDATE audit SET number = 5 WHERE number = -1";
        let found = trail.altered_by(swap, false);
        assert!(found.contains(&AuditFault::Altered { number: 3 }), "{found:?}");
        let mut close = "DELETE FROM audit WHERE number = 4".to_owned();
        for number in 5..=last {
            close += &format!("; UPDATE audit SET number = {} WHERE number = {number}", number - 1);
        }
        close += &format!("; UPDATE counter SET value = {} WHERE name = 'audit'", last - 1);
        let found = trail.altered_by(&close, false);
        assert!(found.contains(&AuditFault::Altered { number: 4 }), "{found:?}");
        // Rows that were made up, or copied.
        let copy = format!(
            "INSERT INTO audit SELECT {}, at, actor, act, object, stage, begun, request_id, details, hash FROM audit WHERE number = {last}",
            last + 1
        );
        let found = trail.altered_by(&copy, false);
        assert!(found.contains(&AuditFault::Altered { number: last + 1 }), "{found:?}");
        // The end cut off: the counter tells, and where that was altered too, a head kept elsewhere.
        let cut = format!("DELETE FROM audit WHERE number > {}", last - 2);
        let found = trail.altered_by(&cut, false);
        assert_eq!(found, [AuditFault::CutOff { last: last - 2, counted: last }]);
        let unseen = format!("{cut}; UPDATE counter SET value = {} WHERE name = 'audit'", last - 2);
        let found = trail.altered_by(&unseen, true);
        assert_eq!(found, [AuditFault::OtherHead { number: last }]);
        // The export tells what the database holds: numbers without a gap, and the hashes.
        let exported = node.operate("GET", "/live/v1/audit?limit=1000", None).expect(200).json();
        let rows = exported["data"].as_array().expect("rows");
        assert!(rows.iter().zip(1..).all(|(row, number)| row["number"] == number));
        let head = format!("{}:{}", last, rows.last().expect("a row")["hash"].as_str().expect("a hash"));
        assert_eq!(head, trail.head.to_string());
    }
}
