//! The audit trail, and what operators of each scope may do.

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_engine::{AuditFault, AuditHead, AuditReport, Vault, verify_audit};
use wayleave_store::Snapshot;
use wayleave_testkit::DatabaseKind;

use crate::harness::{
    OPERATOR, PROPERTY_ADMINISTRATOR, SUPPORT, TestNode, on_both_databases, wait_for,
};

const TEST: Environment = Environment::Test;

fn trail(node: &TestNode, query: &str) -> Vec<Value> {
    let target = format!("/test/v1/audit?limit=1000&{query}");
    let page = node.operate("GET", &target, None).expect(200).json();
    page["data"].as_array().expect("a page").clone()
}

fn verify(node: &TestNode, known: Option<&AuditHead>) -> AuditReport {
    let key = &node.settings().environments[1].master_key;
    let vault =
        Vault::from_file(&std::fs::read_to_string(key).expect("a key file")).expect("a vault");
    wait_for(async {
        let database = &node.settings().environments[1].database;
        let mut snapshot = Snapshot::open(database).await.expect("a database");
        verify_audit(snapshot.reader(), &vault, known).await
    })
    .expect("a report")
}

on_both_databases! {
    fn every_act_is_recorded_before_and_after_with_who_did_it(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        let target = format!("/test/v1/credentials/{}/revoke", keys.credential);
        let answer = node.operate("POST", &target, None).expect(200);
        let rows = trail(&node, &format!("object={}", keys.credential));
        let seen: Vec<(&str, &str)> = rows.iter()
            .map(|row| (row["act"].as_str().expect("an act"), row["stage"].as_str().expect("a stage")))
            .collect();
        assert_eq!(seen, [
            ("credential.create", "begun"), ("credential.create", "done"),
            ("credential.revoke", "begun"), ("credential.revoke", "done"),
        ]);
        assert!(rows.iter().all(|row| row["actor"] == "ada"));
        assert_eq!(rows[3]["begun"], rows[2]["number"]);
        assert_eq!(rows[3]["request_id"].as_str(), answer.header("request-id"));
        let whole = trail(&node, "").iter().map(Value::to_string).collect::<String>();
        assert!(!whole.contains(&keys.secret));
        let report = verify(&node, None);
        assert!(report.faults.is_empty() && report.unfinished.is_empty(), "{report:?}");
    }

    fn an_act_that_is_refused_is_recorded_as_failed(node: TestNode) {
        let nobody = "crd_00000000000000000000000000";
        node.operate("POST", &format!("/test/v1/credentials/{nobody}/revoke"), None).expect(404);
        let rows = trail(&node, &format!("object={nobody}"));
        let stages: Vec<&Value> = rows.iter().map(|row| &row["stage"]).collect();
        assert_eq!(stages, ["begun", "failed"]);
        assert!(verify(&node, None).faults.is_empty());
    }

    fn an_edited_a_deleted_and_a_moved_row_are_found(node: TestNode) {
        for _ in 0..4 {
            node.partner(TEST);
        }
        let good = verify(&node, None);
        assert_eq!((good.rows, good.faults.len()), (8, 0));
        let database = node.database(TEST);
        database.run("UPDATE audit SET actor = 'eve' WHERE number = 3");
        assert_eq!(verify(&node, None).faults, [AuditFault::Altered { number: 3 }]);
        database.run("UPDATE audit SET actor = 'ada' WHERE number = 3");
        assert!(verify(&node, None).faults.is_empty());
        // Two rows change places.
        database.run("UPDATE audit SET number = 100 WHERE number = 4");
        database.run("UPDATE audit SET number = 4 WHERE number = 5");
        database.run("UPDATE audit SET number = 5 WHERE number = 100");
        let moved = verify(&node, None).faults;
        assert!(moved.contains(&AuditFault::Altered { number: 4 }) && moved.contains(&AuditFault::Altered { number: 5 }), "{moved:?}");
        database.run("UPDATE audit SET number = 100 WHERE number = 4");
        database.run("UPDATE audit SET number = 4 WHERE number = 5");
        database.run("UPDATE audit SET number = 5 WHERE number = 100");
        assert!(verify(&node, None).faults.is_empty());
        database.run("DELETE FROM audit WHERE number = 8");
        assert_eq!(verify(&node, None).faults, [AuditFault::CutOff { last: 7, counted: 8 }]);
        // Whoever alters the counter too is found by the head that was written down.
        database.run("UPDATE counter SET value = 7 WHERE name = 'audit'");
        assert!(verify(&node, None).faults.is_empty());
        assert_eq!(verify(&node, Some(&good.head)).faults, [AuditFault::OtherHead { number: 8 }]);
        database.run("DELETE FROM audit WHERE number = 2");
        let deleted = verify(&node, None).faults;
        assert_eq!(deleted, [AuditFault::Missing { first: 2, last: 2 }]);
        let text = good.head.to_string();
        assert_eq!(text.parse(), Ok(good.head));
    }
}

#[test]
fn support_looks_and_helps_a_property_administrator_does_neither() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(TEST, Audience::Routes);
    let call = |token: &str, method: &str, target: &str| {
        let call = node.admin.call(method, target).bearer(token);
        call.json(&json!({})).send().status
    };
    let disable = format!("/test/v1/credentials/{}/disable", keys.credential);
    let enable = format!("/test/v1/credentials/{}/enable", keys.credential);
    let revoke = format!("/test/v1/credentials/{}/revoke", keys.credential);
    for (token, list, help, act) in [
        (OPERATOR, 200, 200, 200),
        (SUPPORT, 200, 200, 403),
        (PROPERTY_ADMINISTRATOR, 403, 404, 404),
    ] {
        assert_eq!(call(token, "GET", "/test/v1/audit"), list);
        if act != 200 {
            assert_eq!(call(token, "POST", &disable), help);
            assert_eq!(call(token, "POST", &enable), help);
            assert_eq!(call(token, "POST", &revoke), act);
        }
    }
    assert_eq!(call("wl_opr_all_nobody", "GET", "/test/v1/audit"), 401);
    assert_eq!(call(OPERATOR, "POST", &revoke), 200);
}
