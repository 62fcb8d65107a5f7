//! The life of a credential: roll, refresh, disable, expire, import; when its secrets were used.

use std::time::Duration;

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_testkit::{Answer, TakenAway};

use crate::harness::{Keys, NOW_S, TestNode, on_both_databases, wait_for};

const TEST: Environment = Environment::Test;

fn act(node: &TestNode, keys: &Keys, verb: &str, body: Value) -> Answer {
    let target = format!("/test/v1/credentials/{}/{verb}", keys.credential);
    node.operate("POST", &target, Some(body))
}

fn show(node: &TestNode, keys: &Keys) -> Value {
    let target = format!("/test/v1/credentials/{}", keys.credential);
    node.operate("GET", &target, None).expect(200).json()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().expect("a text").to_owned()
}

/// Ids sort by the time when they were made, so a test that goes by their order lets time pass.
fn later(node: &TestNode) {
    node.clock.advance(Duration::from_secs(1));
}

/// The keys with another secret.
fn with_secret(keys: &Keys, secret: &str) -> Keys {
    Keys {
        secret: secret.to_owned(),
        ..keys.clone()
    }
}

fn token_status(node: &TestNode, keys: &Keys) -> u16 {
    let call = node.test.get("/token");
    call.basic(&keys.public_id, &keys.secret).send().status
}

fn hello_status(node: &TestNode, token: &str) -> u16 {
    node.test.get("/hello").bearer(token).send().status
}

fn signed_status(node: &TestNode, keys: &Keys, now_s: i64) -> u16 {
    let target = format!("/api/Property/{}", keys.public_id);
    keys.signer()
        .call(node.test, "GET", &target, now_s)
        .send()
        .status
}

on_both_databases! {
    fn a_roll_lets_old_and_new_secret_count_until_the_overlap_ends(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        let token = node.token(TEST, &keys);
        later(&node);
        let rolled = act(&node, &keys, "roll", json!({ "overlap_s": 600 })).expect(200).json();
        let new = with_secret(&keys, &text(&rolled, "secret"));
        assert_ne!(new.secret, keys.secret);
        assert_eq!(rolled["public_id"], json!(keys.public_id), "a roll keeps the id");
        assert_eq!(token_status(&node, &keys), 200);
        assert_eq!(token_status(&node, &new), 200);
        assert_eq!(hello_status(&node, &token), 200, "tokens live on");
        let states: Vec<String> = show(&node, &keys)["secrets"].as_array().expect("secrets")
            .iter().map(|secret| text(secret, "state")).collect();
        assert_eq!(states, ["superseded", "active"]);
        node.clock.advance(Duration::from_secs(599));
        assert_eq!(token_status(&node, &keys), 200);
        node.clock.advance(Duration::from_secs(2));
        assert_eq!(token_status(&node, &keys), 401);
        assert_eq!(token_status(&node, &new), 200);
    }

    fn a_roll_without_overlap_ends_the_old_secret_at_once_for_signatures_too(node: TestNode) {
        let keys = node.keys(TEST, Audience::Management);
        assert_eq!(signed_status(&node, &keys, NOW_S), 200);
        let rolled = act(&node, &keys, "roll", json!({ "overlap_s": 0 })).expect(200).json();
        assert_eq!(signed_status(&node, &keys, NOW_S), 401);
        assert_eq!(signed_status(&node, &with_secret(&keys, &text(&rolled, "secret")), NOW_S), 200);
    }

    fn seven_days_of_overlap_are_usual_and_no_more_than_five_secrets_count_at_once(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        later(&node);
        let rolled = act(&node, &keys, "roll", json!({})).expect(200).json();
        assert_eq!(rolled["secrets"][0]["expires_at"], json!(NOW_S + 1 + 7 * 86_400));
        for _ in 0..3 {
            later(&node);
            act(&node, &keys, "roll", json!({})).expect(200);
        }
        let refused = act(&node, &keys, "roll", json!({})).expect(409);
        assert!(refused.text().contains("five good secrets"));
        act(&node, &keys, "roll", json!({ "overlap_s": 0 })).expect(200);
        let live = show(&node, &keys)["secrets"].as_array().expect("secrets").iter()
            .filter(|secret| secret["state"] != "ended").count();
        assert_eq!(live, 1);
    }

    fn one_sees_which_secret_is_still_used_and_an_unused_one_retires_early(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        later(&node);
        let rolled = act(&node, &keys, "roll", json!({ "retire_unused_s": 3600 })).expect(200).json();
        let new = with_secret(&keys, &text(&rolled, "secret"));
        node.clock.advance(Duration::from_secs(1800));
        assert_eq!(token_status(&node, &keys), 200);
        wait_for(node.engine(TEST).write_uses()).expect("written");
        let shown = show(&node, &keys);
        assert_eq!(shown["secrets"][0]["last_used_at"], json!(NOW_S + 1801));
        assert_eq!(shown["secrets"][1]["last_used_at"], Value::Null);
        assert_eq!(shown["last_used_at"], json!(NOW_S + 1801));
        // An hour after the roll it is still in use; an hour after its last use it is not.
        node.clock.advance(Duration::from_secs(1900));
        wait_for(node.engine(TEST).tend_credentials()).expect("tended");
        assert_eq!(token_status(&node, &new), 200);
        wait_for(node.engine(TEST).write_uses()).expect("written");
        assert_eq!(show(&node, &keys)["secrets"][0]["state"], "superseded");
        node.clock.advance(Duration::from_secs(1800));
        wait_for(node.engine(TEST).tend_credentials()).expect("tended");
        assert_eq!(show(&node, &keys)["secrets"][0]["state"], "ended");
        assert_eq!(token_status(&node, &keys), 401);
        assert_eq!(token_status(&node, &new), 200);
    }

    fn a_use_that_could_not_be_written_is_written_later(node: TestNode) {
        let keys = node.keys(TEST, Audience::Management);
        node.clock.advance(Duration::from_secs(120));
        let away = TakenAway::take(&node.settings().environments[1].database);
        assert_eq!(signed_status(&node, &keys, NOW_S + 120), 200);
        wait_for(node.engine(TEST).write_uses()).expect_err("nowhere to write");
        drop(away);
        while wait_for(node.engine(TEST).write_uses()).is_err() {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(show(&node, &keys)["last_used_at"], json!(NOW_S + 120));
    }

    fn the_last_use_only_goes_forward_and_survives_a_stop(node: TestNode) {
        let mut node = node;
        let keys = node.keys(TEST, Audience::Management);
        node.clock.advance(Duration::from_secs(120));
        assert_eq!(signed_status(&node, &keys, NOW_S + 120), 200);
        node.restart();
        assert_eq!(show(&node, &keys)["last_used_at"], json!(NOW_S + 120));
        node.clock.set(NOW_S + 30);
        assert_eq!(signed_status(&node, &keys, NOW_S + 30), 200);
        wait_for(node.engine(TEST).write_uses()).expect("written");
        assert_eq!(show(&node, &keys)["last_used_at"], json!(NOW_S + 120));
    }

    fn a_refresh_ends_the_old_pair_and_its_tokens_at_once(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        let token = node.token(TEST, &keys);
        assert_eq!(hello_status(&node, &token), 200);
        let refreshed = act(&node, &keys, "refresh", json!({})).expect(200).json();
        assert_eq!(refreshed["id"], json!(keys.credential));
        let new = Keys {
            public_id: text(&refreshed, "public_id"),
            secret: text(&refreshed, "secret"),
            ..keys.clone()
        };
        assert_ne!(new.public_id, keys.public_id);
        assert_eq!(token_status(&node, &keys), 401);
        assert_eq!(token_status(&node, &with_secret(&new, &keys.secret)), 401);
        assert_eq!(hello_status(&node, &token), 401);
        let fresh = node.token(TEST, &new);
        assert_eq!(hello_status(&node, &fresh), 200);
    }

    fn a_disabled_credential_counts_for_nothing_until_it_is_enabled(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        let token = node.token(TEST, &keys);
        assert_eq!(act(&node, &keys, "disable", json!({})).expect(200).json()["state"], "disabled");
        assert_eq!((token_status(&node, &keys), hello_status(&node, &token)), (401, 401));
        assert_eq!(act(&node, &keys, "enable", json!({})).expect(200).json()["state"], "active");
        assert_eq!((token_status(&node, &keys), hello_status(&node, &token)), (200, 200));
    }

    fn a_credential_expires_with_its_tokens(node: TestNode) {
        let partner = node.partner(TEST);
        let keys = node.keys_of(TEST, &partner, json!({ "audience": "routes", "expires_in_s": 600, "name": "Trial" }));
        let token = node.token(TEST, &keys);
        assert_eq!((&show(&node, &keys)["name"], &show(&node, &keys)["expires_at"]), (&json!("Trial"), &json!(NOW_S + 600)));
        node.clock.advance(Duration::from_secs(599));
        assert_eq!((token_status(&node, &keys), hello_status(&node, &token)), (200, 200));
        node.clock.advance(Duration::from_secs(1));
        assert_eq!((token_status(&node, &keys), hello_status(&node, &token)), (401, 401));
        assert_eq!(show(&node, &keys)["state"], "expired");
        act(&node, &keys, "expire", json!({ "never": true })).expect(200);
        assert_eq!((token_status(&node, &keys), hello_status(&node, &token)), (200, 200));
        act(&node, &keys, "expire", json!({ "expires_in_s": 0 })).expect(200);
        assert_eq!(token_status(&node, &keys), 401);
        act(&node, &keys, "expire", json!({})).expect(422);
        act(&node, &keys, "expire", json!({ "never": true, "expires_at": NOW_S })).expect(422);
    }

    fn what_is_revoked_stays_so_whatever_is_asked(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        let token = node.token(TEST, &keys);
        act(&node, &keys, "revoke", json!({})).expect(200);
        assert_eq!(hello_status(&node, &token), 401);
        for verb in ["enable", "disable", "roll", "refresh"] {
            let refused = act(&node, &keys, verb, json!({})).expect(409);
            assert!(refused.text().contains("revoked for ever"), "{verb}");
        }
        act(&node, &keys, "expire", json!({ "never": true })).expect(409);
        assert_eq!(show(&node, &keys)["state"], "revoked");
    }

    fn one_secret_can_be_ended_but_not_the_last(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        later(&node);
        let rolled = act(&node, &keys, "roll", json!({})).expect(200).json();
        let (old, new) = (text(&rolled["secrets"][0], "id"), text(&rolled["secrets"][1], "id"));
        act(&node, &keys, &format!("secrets/{old}/end"), json!({})).expect(200);
        assert_eq!(token_status(&node, &keys), 401);
        assert_eq!(token_status(&node, &with_secret(&keys, &text(&rolled, "secret"))), 200);
        act(&node, &keys, &format!("secrets/{new}/end"), json!({})).expect(409);
        act(&node, &keys, "secrets/sct_00000000000000000000000000/end", json!({})).expect(404);
    }

    fn imported_pairs_work_and_an_import_can_be_repeated(node: TestNode) {
        let partner = node.partner(TEST);
        let integration = node.integration(TEST, &partner);
        let entry = |number: usize| json!({
            "integration": integration, "audience": "routes",
            "public_id": format!("old key {number}"), "secret": format!("old secret {number}"),
        });
        let import = |entries: Vec<Value>| node.operate("POST", "/test/v1/credentials/import", Some(json!({ "credentials": entries })));
        let first = import((0..50).map(entry).collect()).expect(200).json();
        assert_eq!((&first["imported"], &first["skipped"]), (&json!(50), &json!([])));
        let again = import((40..60).map(entry).collect()).expect(200).json();
        assert_eq!(again["imported"], json!(10));
        assert_eq!(again["skipped"][0], json!({ "index": 0, "reason": "present" }));
        let mut other = entry(3);
        other["secret"] = json!("another secret");
        let taken = import(vec![entry(60), other]).expect(200).json();
        assert_eq!(taken["skipped"], json!([{ "index": 1, "reason": "taken" }]));
        for number in [0, 45, 59, 60] {
            let call = node.test.get("/token");
            call.basic(&format!("old key {number}"), &format!("old secret {number}")).send().expect(200);
        }
        let mut bad = entry(61);
        bad["public_id"] = json!("with:colon");
        let refused = import(vec![entry(62), bad]).expect(422).text();
        assert!(refused.contains("[1].public_id"), "{refused}");
        let mut nobodys = entry(63);
        nobodys["integration"] = json!("int_00000000000000000000000000");
        import(vec![entry(64), nobodys]).expect(422);
        node.test.get("/token").basic("old key 64", "old secret 64").send().expect(401);
        import(vec![]).expect(422);
    }

    fn lists_are_narrowed_and_never_show_a_secret(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        later(&node);
        let other = node.keys(TEST, Audience::Access);
        act(&node, &other, "disable", json!({})).expect(200);
        let ids = |query: &str| -> Vec<String> {
            let page = node.operate("GET", &format!("/test/v1/credentials?{query}"), None).expect(200);
            assert!(!page.text().contains(&keys.secret) && !page.text().contains(&other.secret));
            page.json()["data"].as_array().expect("a page").iter().map(|row| text(row, "id")).collect()
        };
        assert_eq!(ids(&format!("partner={}", keys.partner)), [keys.credential.as_str()]);
        assert_eq!(ids("audience=access"), [other.credential.as_str()]);
        assert_eq!(ids("state=disabled"), [other.credential.as_str()]);
        assert_eq!(ids(&format!("public_id={}", other.public_id.to_lowercase())), [other.credential.as_str()]);
        assert_eq!(ids("limit=1"), [keys.credential.as_str()]);
        for query in ["limit=0", "audience=all", "partner=x"] {
            node.operate("GET", &format!("/test/v1/credentials?{query}"), None).expect(422);
        }
        node.operate("GET", "/test/v1/credentials?nothing=1", None).expect(400);
        node.operate("GET", &format!("/live/v1/credentials/{}", keys.credential), None).expect(404);
    }

    fn partners_and_integrations_are_listed_shown_and_renamed(node: TestNode) {
        let partner = node.partner(TEST);
        let integration = node.integration(TEST, &partner);
        let renamed = node.operate("POST", &format!("/test/v1/partners/{partner}/rename"), Some(json!({ "name": "Quay Signs" })));
        assert_eq!(renamed.expect(200).json()["name"], "Quay Signs");
        let shown = node.operate("GET", &format!("/test/v1/partners/{partner}"), None).expect(200).json();
        assert_eq!((&shown["name"], &shown["membership"]), (&json!("Quay Signs"), &json!("admitted")));
        let target = format!("/test/v1/integrations/{integration}");
        node.operate("POST", &format!("{target}/rename"), Some(json!({ "name": "Till 2" }))).expect(200);
        assert_eq!(node.operate("GET", &target, None).expect(200).json()["name"], "Till 2");
        let listed = node.operate("GET", &format!("/test/v1/integrations?partner={partner}"), None).expect(200).json();
        assert_eq!(listed["data"][0]["id"], json!(integration));
        let page = node.operate("GET", "/test/v1/partners?limit=1", None).expect(200).json();
        assert_eq!(page["data"][0]["id"], json!(partner));
        node.operate("GET", &format!("/live/v1/partners/{partner}"), None).expect(404);
    }
}
