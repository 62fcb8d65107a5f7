//! `/api/Property/…`, `/api/Resource/…`, `/api/TemporaryUserToken/…`: signed requests. Every case of
//! the signing vectors goes over the wire.

use serde_json::{Value, json};
use wayleave_core::Environment;
use wayleave_protocol::http_date;
use wayleave_testkit::DatabaseKind;
use wayleave_web::Mount;

use crate::harness::{TestNode, on_both_databases};

fn vectors() -> Value {
    let text = include_str!("../../../../tests/vectors/imoneza-signing.json");
    serde_json::from_str(text).expect("the vectors")
}

/// Gives the vectors' keys to a partner of an environment; those that have to be are revoked.
fn import_keys(node: &TestNode, environment: Environment) {
    for key in vectors()["keys"].as_array().expect("keys") {
        let audience = if key["api"] == "manage" {
            "management"
        } else {
            "access"
        };
        let partner = node.partner(environment);
        let pair =
            json!({ "audience": audience, "public_id": key["key"], "secret": key["secret"] });
        let made = node.keys_of(environment, &partner, pair);
        if key["state"] == "revoked" {
            let target = format!("/{environment}/v1/credentials/{}/revoke", made.credential);
            node.operate("POST", &target, None).expect(200);
        }
    }
}

fn send(node: &TestNode, environment: Environment, vector: &Value) -> (u16, String) {
    let now = vector["server_now"]
        .as_str()
        .and_then(http_date::parse)
        .expect("a clock");
    node.clock.set(now);
    let text = |name: &str| vector[name].as_str().expect("a text");
    let mut call = node
        .address(environment)
        .call(text("method"), text("target"));
    for (name, value) in vector["headers"].as_object().expect("headers") {
        call = call.header(name, value.as_str().expect("a header"));
    }
    if !text("body").is_empty() {
        call = call.header("Content-Length", &text("body").len().to_string());
        call = call.raw_body(text("body").as_bytes());
    }
    let answer = call.send();
    (answer.status, answer.text())
}

fn check_all_vectors(node: &TestNode, environment: Environment, prefixed: bool) -> usize {
    let vectors = vectors();
    let mut checked = 0;
    for vector in vectors["vectors"].as_array().expect("vectors") {
        let needs_prefix = vector["needs"]
            .as_array()
            .expect("needs")
            .contains(&json!("mount-prefix"));
        if needs_prefix != prefixed {
            continue;
        }
        let (status, body) = send(node, environment, vector);
        let (id, note) = (&vector["id"], &vector["note"]);
        assert_eq!(
            json!(status),
            vector["expect"]["status"],
            "{id} ({note}): {body}"
        );
        if status == 401 && environment == Environment::Test {
            let reason = vector["expect"]["reason"].as_str().expect("a reason");
            let told = serde_json::from_str::<Value>(&body).expect("json")["Reason"].to_string();
            // A signature that is not even base64 of 32 bytes is told as such.
            let unreadable = told.contains("not of the form");
            assert!(
                told.contains(reason) || unreadable,
                "{id}: {reason} / {told}"
            );
        }
        checked += 1;
    }
    checked
}

on_both_databases! {
    fn every_signing_vector_has_its_verdict_in_test(node: TestNode) {
        import_keys(&node, Environment::Test);
        assert_eq!(check_all_vectors(&node, Environment::Test, false), 69);
    }

    fn every_signing_vector_has_its_verdict_in_live(node: TestNode) {
        import_keys(&node, Environment::Live);
        assert_eq!(check_all_vectors(&node, Environment::Live, false), 69);
    }

    fn keys_of_one_environment_prove_nothing_in_the_other(node: TestNode) {
        import_keys(&node, Environment::Test);
        for vector in vectors()["vectors"].as_array().expect("vectors") {
            let (status, _) = send(&node, Environment::Live, vector);
            assert!(matches!(status, 400 | 401 | 404), "{}: {status}", vector["id"]);
        }
    }
}

#[test]
fn below_a_prefix_of_its_own_the_surface_is_signed_without_it() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        for environment in &mut settings.environments {
            let content = environment
                .surfaces
                .content
                .as_mut()
                .expect("the content surface");
            content.mount = Mount {
                host: None,
                prefix: "/imoneza".to_owned(),
            };
        }
    });
    import_keys(&node, Environment::Test);
    assert_eq!(check_all_vectors(&node, Environment::Test, true), 1);
}

#[test]
fn a_path_signed_whole_is_accepted_too_where_a_prefix_was_stripped() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Test, wayleave_core::Audience::Management);
    let (plain, staged) = (
        format!("/api/Property/{}", keys.public_id),
        format!("/stag/api/Property/{}", keys.public_id),
    );
    let now = crate::harness::NOW_S;
    keys.signer()
        .call(node.test, "GET", &staged, now)
        .send()
        .expect(200);
    let [timestamp, authentication] = keys.signer().headers("GET", &plain, now);
    let call = node.test.get(&staged).header(&timestamp.0, &timestamp.1);
    call.header(&authentication.0, &authentication.1)
        .send()
        .expect(200);
    // The other environment's stages do not exist.
    keys.signer()
        .call(node.test, "GET", &format!("/prod{plain}"), now)
        .send()
        .expect(404);
}

#[test]
fn a_repeated_signature_is_no_replay_whatever_the_method() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, wayleave_core::Audience::Management);
    let target = format!("/api/Property/{}/Resource/One", keys.public_id);
    for method in ["GET", "PUT", "POST"] {
        for _ in 0..3 {
            keys.signer()
                .call(node.live, method, &target, crate::harness::NOW_S)
                .send()
                .expect(200);
        }
    }
}

#[test]
fn an_absolute_target_is_signed_by_its_path_alone() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, wayleave_core::Audience::Management);
    let path = format!("/api/Property/{}?includePropertyData=true", keys.public_id);
    let [timestamp, authentication] = keys.signer().headers("GET", &path, crate::harness::NOW_S);
    let answer = node
        .live
        .get(&format!("http://localhost:48687{path}"))
        .header(&timestamp.0, &timestamp.1)
        .header(&authentication.0, &format!("{}  ", authentication.1))
        .send()
        .expect(200);
    assert_eq!(answer.json()["caller"]["wayleave-scheme"], "signed");
}

#[test]
fn errors_come_in_the_format_that_was_asked_for() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let ask = |accept: &str| {
        node.live
            .get("/api/Property/x")
            .header("Accept", accept)
            .send()
            .expect(401)
    };
    let json = ask("application/json");
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.json()["Message"], "Unauthorized");
    let xml = ask("text/xml");
    assert_eq!(xml.header("content-type"), Some("text/xml; charset=utf-8"));
    assert!(
        xml.text()
            .ends_with("<Error><Message>Unauthorized</Message></Error>"),
        "{}",
        xml.text()
    );
}
