//! Why a signature was refused: told in test, not in live.

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_testkit::DatabaseKind;

use crate::harness::{NOW_S, TestNode};

#[test]
fn test_tells_the_strings_the_clock_and_the_first_difference() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Test, Audience::Management);
    let target = format!(
        "/api/Property/{}/Resource/1?includePropertyData=true",
        keys.public_id
    );
    let [timestamp, authentication] = keys.signer().headers("GET", &target, NOW_S);
    let lower = keys.public_id.to_lowercase();
    let unlowered = format!(
        "GET\\n{}\\n/api/Property/{lower}/resource/1\\nincludepropertydata=true",
        timestamp.1
    );
    let answer = node
        .test
        .call("POST", &target)
        .header(&timestamp.0, &timestamp.1)
        .header(&authentication.0, &authentication.1)
        .header("Wayleave-Base-String", &unlowered)
        .send()
        .expect(401)
        .json();
    assert_eq!(answer["Message"], "Unauthorized");
    assert_eq!(answer["Reason"], "signature mismatch");
    assert_eq!(answer["ServerTime"], "Tue, 16 Mar 2027 10:20:30 GMT");
    let ours = format!(
        "POST\n{}\n/api/property/{lower}/resource/1\nincludepropertydata=true",
        timestamp.1
    );
    assert_eq!(answer["BaseStrings"][0], json!(ours));
    let difference = answer["FirstDifference"].as_str().expect("a difference");
    assert!(difference.starts_with("byte 0, line 1"), "{difference}");
    assert!(!answer.to_string().contains(&keys.secret));
}

#[test]
fn routes_tell_it_in_problem_details() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Test, Audience::Management);
    let [timestamp, authentication] = keys.signer().headers("GET", "/hello", NOW_S - 400);
    let call = node.test.get("/hello").header(&timestamp.0, &timestamp.1);
    let body = call
        .header(&authentication.0, &authentication.1)
        .send()
        .expect(401)
        .json();
    let explanation = &body["explanation"];
    assert_eq!(
        explanation["reason"],
        "timestamp outside window: 400 s behind the server"
    );
    assert!(
        explanation["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("UTC"))
    );
}

#[test]
fn live_says_only_unauthorized_and_the_time() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Management);
    let target = format!("/api/Property/{}", keys.public_id);
    let [timestamp, authentication] = keys.signer().headers("PUT", &target, NOW_S);
    let signed = || node.live.get(&target).header(&timestamp.0, &timestamp.1);
    let wrong = signed()
        .header(&authentication.0, &authentication.1)
        .header("Wayleave-Base-String", "x")
        .send();
    let time = "Tue, 16 Mar 2027 10:20:30 GMT";
    let bare = json!({ "Message": "Unauthorized", "ServerTime": time });
    assert_eq!(wrong.expect(401).json(), bare);
    let unknown = authentication
        .1
        .replace(&keys.public_id, "11111111-2222-4333-8444-555555555555");
    assert_eq!(
        signed()
            .header("Authentication", &unknown)
            .send()
            .expect(401)
            .json(),
        bare
    );
    let body = node
        .live
        .get("/hello")
        .header(&timestamp.0, &timestamp.1)
        .header(&authentication.0, &authentication.1);
    let body = body.send().expect(401).json();
    assert_eq!(
        (&body["message"], &body["server_time"]),
        (&json!("Unauthorized"), &json!(time))
    );
    assert!(body.get("explanation").is_none());
}
