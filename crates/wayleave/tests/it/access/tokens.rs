//! By what readers are known: tokens that rotate, tokens that count once, and what is no token.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::harness::on_both_databases;

fn reader_part(object: &Value) -> &str {
    let token = word(object, "UserToken");
    token.split('|').next().expect("a first part")
}

on_both_databases! {
    fn a_new_visitor_buys_and_comes_back(node: TestNode) {
        // Sequences A and B.
        let paper = Paper::open_with(node, |settings| settings["quota"]["enabled"] = json!(false));
        let first = paper.ask("Story-1", "");
        assert_eq!(first["AccessAction"], "Purchase");
        let reader = paper.reader("areader");
        let sold = paper.buy(&reader, "Story-1").expect(201).json();
        assert_eq!((&sold["state"], &sold["total_minor"], &sold["currency"]), (&json!("complete"), &json!(35), &json!("USD")));
        let temporary = paper.sign_in(&reader, Some(word(&first, "UserToken")));
        assert!(temporary.len() >= 32 && temporary.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{temporary}");
        let back = paper.redeem("Story-1", &temporary);
        assert_eq!((&back["AccessReason"], &back["Purchase"]["IsPurchased"]), (&json!("Purchase"), &json!(true)));
        assert_eq!((&back["UserName"], &back["FirstName"], &back["IsAnonymousUser"]), (&json!("areader"), &json!("Ana"), &json!(false)));
        let known = paper.ask("Story-1", word(&back, "UserToken"));
        assert_eq!((&known["AccessReason"], &known["UserName"]), (&json!("Purchase"), &json!("areader")));
        assert_eq!(reader_part(&known), reader_part(&back));
        // The token before is good for as long as it would have been.
        assert_eq!(paper.ask("Story-1", word(&back, "UserToken"))["AccessReason"], "Purchase");
    }

    fn a_token_that_counts_once_does_so_once_in_time_and_at_its_own_key_set(node: TestNode) {
        let paper = Paper::open(node);
        let reader = paper.reader("areader");
        let is_known = |object: &Value| object["UserName"] == "areader";
        let temporary = paper.sign_in(&reader, None);
        // Another key set of the same property does not use it up.
        let partner = &paper.site.access.partner;
        let more = json!({ "audience": "access", "property": paper.site.property });
        let other = paper.site.node.keys_of(paper.site.environment, partner, more);
        let target = format!("/api/TemporaryUserToken/{}/{temporary}?ResourceKey=Story-1", other.public_id);
        let call = other.signer().call(paper.site.node.test, "GET", &target, paper.site.now_s());
        assert!(!is_known(&checked(call.send())));
        assert!(is_known(&paper.redeem("Story-1", &temporary)));
        for _ in 0..2 {
            let again = paper.redeem("Story-3", &temporary);
            assert_eq!((is_known(&again), &again["IsAnonymousUser"]), (false, &json!(true)));
        }
        let temporary = paper.sign_in(&reader, None);
        paper.site.node.clock.advance(Duration::from_secs(600));
        assert!(!is_known(&paper.redeem("Story-1", &temporary)));
        let temporary = paper.sign_in(&reader, None);
        paper.site.node.clock.advance(Duration::from_secs(599));
        assert!(is_known(&paper.redeem("Story-1", &temporary)));
        for junk in ["junk", "00000000000000000000000000000000", "%7c", "a%2fb"] {
            assert!(!is_known(&paper.redeem("Story-1", junk)), "{junk}");
        }
        let missing = paper.call(&format!("TemporaryUserToken/{temporary}"), "IP=");
        assert!(missing.expect(400).json()["Message"].as_str().is_some_and(|text| text.contains("ResourceKey")));
    }

    fn whoever_has_no_good_token_is_somebody_new_and_never_an_error(node: TestNode) {
        let paper = Paper::open(node);
        let good = paper.ask("Story-1", "");
        let token = word(&good, "UserToken").to_owned();
        let (me, last) = (reader_part(&good).to_owned(), token.len() - 1);
        let mut edited = token.clone();
        edited.replace_range(last.., if token.ends_with('0') { "1" } else { "0" });
        let other = Site::add_property(&paper.site);
        for bad in ["junk", "a|b|c", &edited, &token.to_uppercase(), &token[..last], &other] {
            let object = paper.ask("Story-2", bad);
            assert_eq!(object["IsAnonymousUser"], true);
            assert_ne!(reader_part(&object), me, "{bad}");
            assert_eq!(metered(&object), ("Quota", 1, false), "{bad}");
        }
        // A token without the parameter, and one that is repeated in another case: a request that
        // cannot be read in one way.
        assert_eq!(metered(&checked(paper.call("Resource/Story-2", "IP="))), ("Quota", 1, false));
        paper.site.node.clock.advance(Duration::from_secs(14 * 24 * 3600 - 1));
        assert_eq!(reader_part(&paper.ask("Story-1", &token)), me);
        paper.site.node.clock.advance(Duration::from_secs(1));
        assert_ne!(reader_part(&paper.ask("Story-1", &token)), me);
    }

    fn what_somebody_saw_before_they_signed_in_is_theirs(node: TestNode) {
        let paper = Paper::open(node);
        let reader = paper.reader("areader");
        let mine = paper.token_of(&reader);
        assert_eq!(metered(&paper.ask("Story-2", &mine)), ("Quota", 2, true));
        let before = word(&paper.ask("Story-3", ""), "UserToken").to_owned();
        let before = word(&paper.ask("Story-2", &before), "UserToken").to_owned();
        let temporary = paper.sign_in(&reader, Some(&before));
        // Union: two pages of their own, one that is new, one that both saw.
        let after = paper.redeem("Story-3", &temporary);
        assert_eq!(metered(&after), ("Quota", 3, true));
        assert_eq!(metered(&paper.ask("Story-4", word(&after, "UserToken"))), ("Deny", 3, true));
        // The token before has no new quota.
        assert_eq!(metered(&paper.ask("Story-4", &before)), ("Deny", 2, true));
        // Nobody takes over what another reader saw who has signed in.
        let other = paper.reader("another");
        let temporary = paper.sign_in(&other, Some(&mine));
        assert_eq!(metered(&paper.redeem("Story-4", &temporary)), ("Quota", 1, false));
    }

    fn asking_without_wanting_the_answer_counts_nothing(node: TestNode) {
        let paper = Paper::open(node);
        let token = word(&paper.ask("Story-1", ""), "UserToken").to_owned();
        let site = &paper.site;
        let target = format!("/api/Resource/{}/Story-2?UserToken={}", site.access.public_id, escaped(&token));
        let call = site.access.signer().call(site.node.test, "HEAD", &target, site.now_s());
        assert_eq!(call.send().status, 405);
        assert_eq!(metered(&paper.ask("Story-1", &token)), ("Quota", 1, false));
    }

    fn a_reader_may_ask_to_be_forgotten_with_the_session(node: TestNode) {
        let paper = Paper::open(node);
        let reader = paper.reader("areader");
        let body = json!({ "key": paper.site.access.credential, "session_only": true });
        let made = paper.operate("POST", &format!("/{reader}/sign-in"), body).expect(201).json();
        let first = paper.redeem("Story-1", word(&made, "temporary_user_token"));
        let second = paper.ask("Story-1", word(&first, "UserToken"));
        for object in [&first, &second] {
            assert_eq!((&object["UserTokenExpiration"], &object["UserName"]), (&json!(""), &json!("areader")));
        }
    }
}

impl Site {
    /// A user token of another property of the same node.
    fn add_property(site: &Site) -> String {
        let environment = site.environment;
        let target = format!("/{environment}/v1/properties");
        let body = json!({ "partner": site.access.partner, "name": "other", "origins": "" });
        let made = site.node.operate("POST", &target, Some(body));
        let property = made.expect(201).json()["id"].clone();
        let more = json!({ "audience": "access", "property": property });
        let keys = site.node.keys_of(environment, &site.access.partner, more);
        let target = format!("/api/Resource/{}/any?UserToken=", keys.public_id);
        let address = site.node.address(environment);
        let call = keys.signer().call(address, "GET", &target, site.now_s());
        word(&checked(call.send()), "UserToken").to_owned()
    }
}
