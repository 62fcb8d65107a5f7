//! Readers at the operator's address: what they are, buy, subscribe to, and ask to have erased.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::harness::{PROPERTY_ADMINISTRATOR, SUPPORT, on_both_databases};

const DAY: Duration = Duration::from_secs(24 * 3600);

on_both_databases! {
    fn a_reader_is_made_found_changed_and_has_a_name_of_their_own(node: TestNode) {
        let paper = Paper::open(node);
        let body = json!({ "user_name": "AReader", "first_name": "Ana", "email": "ana@mail.example", "role": "guest" });
        let made = paper.operate("POST", "", body.clone()).expect(201).json();
        paper.operate("POST", "", json!({ "user_name": "areader" })).expect(409);
        paper.operate("POST", "", json!({ "user_name": "" })).expect(422);
        let found = paper.operate("GET", "?name=aREADER", json!(null)).expect(200).json();
        assert_eq!(found["data"], json!([made]));
        // By the id that sites know.
        let by_guid = paper.operate("GET", &format!("/{}", word(&made, "guid")), json!(null));
        assert_eq!(by_guid.expect(200).json(), made);
        let reader = word(&made, "id");
        let token = paper.token_of(reader);
        assert_eq!(paper.ask("Story-2", &token)["AccessReason"], "PropertyUser");
        let change = format!("/{reader}/change");
        let changed = paper.operate("POST", &change, json!({ "role": "none", "first_name": "Bea" })).expect(200).json();
        assert_eq!((&changed["role"], &changed["first_name"], &changed["email"]), (&json!(null), &json!("Bea"), &json!("ana@mail.example")));
        let object = paper.ask("Story-2", &token);
        assert_eq!((&object["AccessReason"], &object["FirstName"]), (&json!("Quota"), &json!("Bea")));
        paper.operate("POST", &change, json!({ "role": "owner" })).expect(422);
    }

    fn a_page_is_bought_for_a_time_once_and_given_back(node: TestNode) {
        let paper = Paper::open_with(node, |settings| settings["quota"]["enabled"] = json!(false));
        let reader = paper.reader("areader");
        let token = paper.token_of(&reader);
        let reason = |page: &str| word(&paper.ask(page, &token), "AccessReason").to_owned();
        assert_eq!(reason("Story-1"), "Deny");
        let sold = paper.buy(&reader, "Story-1").expect(201).json();
        assert_eq!((&sold["state"], &sold["reader"]), (&json!("complete"), &json!(reader)));
        assert_eq!(reason("Story-1"), "Purchase");
        paper.buy(&reader, "Story-1").expect(409);
        paper.buy(&reader, "Nothing").expect(404);
        paper.site.node.clock.advance(DAY * 10);
        let token = paper.token_of(&reader);
        let reason = |page: &str| word(&paper.ask(page, &token), "AccessReason").to_owned();
        assert_eq!(reason("Story-1"), "Purchase");
        // An order like any other: it can be refunded.
        let refund = format!("/{}/v1/orders/{}/refund", paper.site.environment, word(&sold, "id"));
        let refunded = paper.site.node.operate("POST", &refund, Some(json!({ "why": "by mistake" })));
        assert_eq!(refunded.expect(200).json()["state"], "refunded");
        assert_eq!(reason("Story-1"), "Deny");
        paper.buy(&reader, "Story-1").expect(201);
        paper.site.node.clock.advance(DAY * 10);
        let token = paper.token_of(&reader);
        assert_eq!(paper.ask("Story-1", &token)["AccessReason"], "Purchase");
        paper.site.node.clock.advance(DAY * 20);
        let token = paper.token_of(&reader);
        assert_eq!(paper.ask("Story-1", &token)["AccessReason"], "Deny", "30 days are over");
    }

    fn a_card_that_does_not_pay_buys_nothing(node: TestNode) {
        let paper = Paper::open_with(node, |settings| settings["quota"]["enabled"] = json!(false));
        let reader = paper.reader("areader");
        let card = |word: &str| {
            paper.operate("POST", &format!("/{reader}/change"), json!({ "card": word })).expect(200);
        };
        card("declines");
        let declined = paper.buy(&reader, "Story-1").expect(409);
        assert!(declined.text().contains("declined"), "{}", declined.text());
        card("none");
        assert!(paper.buy(&reader, "Story-1").expect(409).text().contains("no saved card"));
        let data = paper.operate("GET", &format!("/{reader}/data"), json!(null)).expect(200).json();
        assert_eq!((&data["purchases"], &data["orders"][0]["state"]), (&json!([]), &json!("cancelled")));
        // A charge of which nothing is known at first is asked for again, and counts then.
        card("unclear");
        let order = paper.buy(&reader, "Story-1").expect(201).json();
        assert_eq!(order["state"], "processing");
        paper.site.node.clock.advance(Duration::from_secs(61));
        let state = || {
            let target = format!("/{}/v1/orders/{}", paper.site.environment, word(&order, "id"));
            paper.site.node.operate("GET", &target, None).expect(200).json()["state"].clone()
        };
        for _ in 0..100 {
            if state() == "complete" {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(state(), "complete");
        let token = paper.token_of(&reader);
        assert_eq!(paper.ask("Story-1", &token)["AccessReason"], "Purchase");
    }

    fn a_chosen_price_is_the_readers_and_what_is_not_sold_is_not(node: TestNode) {
        let paper = Paper::open(node);
        let reader = paper.reader("areader");
        let put = |paper: &Paper, page: &str, body: Value| {
            paper.site.put(page, body).expect(200);
        };
        put(&paper, "Story-1", json!({ "PricingModel": "VariablePrice", "Price": 0.2 }));
        put(&paper, "Story-2", json!({ "PricingModel": "SubscriptionOnly" }));
        put(&paper, "Story-3", json!({ "PricingModel": "Free" }));
        let buy = |paper: &Paper, page: &str, pays: Value| {
            let body = json!({ "resource": page, "pays_minor": pays });
            paper.operate("POST", &format!("/{reader}/buy"), body)
        };
        buy(&paper, "Story-1", json!(null)).expect(422);
        buy(&paper, "Story-1", json!(19)).expect(422);
        assert_eq!(buy(&paper, "Story-1", json!(500)).expect(201).json()["total_minor"], 500);
        buy(&paper, "Story-2", json!(null)).expect(409);
        buy(&paper, "Story-3", json!(null)).expect(409);
        buy(&paper, "Story-4", json!(10)).expect(422);
        paper.change(|settings| settings["single_purchases"] = json!(false));
        buy(&paper, "Story-4", json!(null)).expect(409);
        // What was bought stays bought.
        let token = paper.token_of(&reader);
        assert_eq!(paper.ask("Story-1", &token)["AccessReason"], "Purchase");
    }

    fn a_subscription_opens_pages_until_it_ends_and_says_so(node: TestNode) {
        let paper = Paper::open_with(node, |settings| settings["quota"]["enabled"] = json!(false));
        let reader = paper.reader("areader");
        let subscribe = |paper: &Paper| {
            let body = json!({ "group": "all-access" });
            paper.operate("POST", &format!("/{reader}/subscribe"), body).expect(201).json()
        };
        assert_eq!(subscribe(&paper)["total_minor"], 750);
        let token = paper.token_of(&reader);
        let object = paper.ask("Story-1", &token);
        assert_eq!(object["AccessReason"], "Subscription");
        assert_eq!(object["Subscription"], json!({
            "IsExpired": false, "ExpirationDate": "2027-04-16T10:20:30Z", "IsCurrent": true, "SubscriptionGroupID": GROUP,
        }));
        // A second period goes on where the first ends; its refund takes one away.
        let second = subscribe(&paper);
        let until = |paper: &Paper| paper.ask("Story-1", &token)["Subscription"]["ExpirationDate"].clone();
        assert_eq!(until(&paper), "2027-05-16T10:20:30Z");
        let refund = format!("/{}/v1/orders/{}/refund", paper.site.environment, word(&second, "id"));
        paper.site.node.operate("POST", &refund, Some(json!({ "why": "twice" }))).expect(200);
        // One month from the day of the order has 31 days.
        assert_eq!(until(&paper), "2027-04-15T10:20:30Z");
        paper.change(|settings| {
            settings["quota"]["enabled"] = json!(false);
            settings["subscriptions"] = json!(false);
        });
        assert_eq!(paper.ask("Story-1", &token)["AccessReason"], "Deny");
        paper.change(|settings| settings["quota"]["enabled"] = json!(false));
        let give = json!({ "group": "all-access", "expires_at": paper.site.now_s() });
        paper.operate("POST", &format!("/{reader}/give-subscription"), give).expect(200);
        let over = paper.ask("Story-1", &token);
        assert_eq!((&over["AccessReason"], &over["Subscription"]["IsExpired"]), (&json!("Deny"), &json!(true)));
        assert_eq!(over["Subscription"]["SubscriptionGroupID"], GROUP);
    }

    fn what_is_kept_is_shown_and_erased_on_request(node: TestNode) {
        let paper = Paper::open(node);
        let reader = paper.reader("areader");
        let token = paper.token_of(&reader);
        paper.ask("Story-2", &token);
        paper.buy(&reader, "Story-3").expect(201);
        paper.operate("POST", &format!("/{reader}/subscribe"), json!({ "group": GROUP })).expect(201);
        let data = paper.operate("GET", &format!("/{reader}/data"), json!(null)).expect(200).json();
        for (member, count) in [("hits", 2), ("purchases", 1), ("subscriptions", 1), ("orders", 2)] {
            assert_eq!(data[member].as_array().map(Vec::len), Some(count), "{member} of {data}");
        }
        assert_eq!((&data["user_name"], &data["first_name"]), (&json!("areader"), &json!("Ana")));
        let temporary = paper.sign_in(&reader, None);
        paper.operate("POST", &format!("/{reader}/erase"), json!({})).expect(200);
        paper.operate("GET", &format!("/{reader}"), json!(null)).expect(404);
        paper.operate("POST", &format!("/{reader}/erase"), json!({})).expect(404);
        assert_eq!(paper.redeem("Story-3", &temporary)["IsAnonymousUser"], true);
        let object = paper.ask("Story-3", &token);
        assert_eq!((&object["UserName"], &object["Purchase"]["IsPurchased"]), (&json!("Anonymous User"), &json!(false)));
        for table in ["reader_account", "reader_purchase", "reader_subscription"] {
            let left = paper.site.node.database(paper.site.environment).run(&format!("SELECT COUNT(*) FROM {table}"));
            assert_eq!(left.trim(), "0", "{table}");
        }
        // The orders are there, and are none of the partner's own.
        let orders = format!("/{}/v1/orders?partner={}", paper.site.environment, paper.site.access.partner);
        let listed = paper.site.node.operate("GET", &orders, None).expect(200).json();
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    }

    fn an_administrator_of_a_property_has_its_readers_and_no_others(node: TestNode) {
        let mut paper = Paper::open(node);
        let reader = paper.reader("areader");
        let (property, target) = (paper.site.property.clone(), paper.readers(""));
        let call = |paper: &Paper, token: &str, method: &str, target: &str| {
            let call = paper.site.node.admin.call(method, target).bearer(token);
            call.json(&json!({})).send()
        };
        call(&paper, PROPERTY_ADMINISTRATOR, "GET", &target).expect(404);
        paper.site.node.give(&[&property]);
        paper.site.node.restart();
        call(&paper, PROPERTY_ADMINISTRATOR, "GET", &target).expect(200);
        let erase = paper.readers(&format!("/{reader}/erase"));
        call(&paper, SUPPORT, "GET", &target).expect(200);
        call(&paper, SUPPORT, "POST", &erase).expect(403);
        let other = format!("/test/v1/properties/prp_00000000000000000000000000/readers/{reader}/erase");
        call(&paper, PROPERTY_ADMINISTRATOR, "POST", &other).expect(404);
        call(&paper, PROPERTY_ADMINISTRATOR, "POST", &erase).expect(200);
    }
}
