//! External subscribers over the Resource Management API, imports and exports, what a site is told of
//! them, and the readers that are linked to them.

use std::time::Duration;

use serde_json::{Value, json};
use wayleave_core::{Environment, PropertyId, ReaderId};
use wayleave_engine::{Actor, NewReader, ReaderChange, pretended_card};
use wayleave_testkit::Answer;

use crate::callback_receiver::Receiver;
use crate::cli_admin::{document, refused, run, text, word};
use crate::harness::{Keys, NOW_S, PROPERTY_ADMINISTRATOR, TestNode, on_both_databases, wait_for};
use crate::site::{Site, put_settings};

const TEST: Environment = Environment::Test;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A property that sells two subscriptions, with key sets.
fn open(node: TestNode) -> Site {
    let site = Site::open(node);
    site.put_settings(&settings());
    site
}

impl Site {
    /// Another key set of it that is told of events at a URL.
    fn told_at(&self, url: &str) -> Keys {
        let more =
            json!({ "audience": "management", "property": self.property, "callback_url": url });
        self.node.keys_of(TEST, &self.partner, more)
    }

    fn call(&self, method: &str, rest: &str, body: Option<&Value>) -> Answer {
        self.call_by(&self.management, method, rest, body)
    }

    fn call_by(&self, keys: &Keys, method: &str, rest: &str, body: Option<&Value>) -> Answer {
        let target = format!("/api/Property/{}{rest}", keys.public_id);
        let signer = keys.signer();
        let call = signer.call(self.node.test, method, &target, self.now_s());
        match body {
            Some(body) => call.json(body).send(),
            None => call.send(),
        }
    }

    fn get(&self, rest: &str) -> Value {
        self.call("GET", rest, None).expect(200).json()
    }

    fn put_subscriber(&self, key: &str, body: &Value) -> Value {
        let rest = format!("/ExternalSubscriber/{key}");
        self.call("PUT", &rest, Some(body)).expect(200).json()
    }

    fn result(&self, token: &str) -> Value {
        self.get(&format!("/CallbackResult/{token}"))
    }

    fn later(&self, span: Duration) {
        self.node.clock.advance(span);
    }

    fn operate(&self, rest: &str, body: Value) -> Answer {
        let target = format!("/test/v1/properties/{}/subscribers/{rest}", self.property);
        self.node.operate("POST", &target, Some(body))
    }

    /// What is queued under the id that the site knows.
    fn queued(&self, shown: &Value) -> Value {
        let id = shown["ID"].as_str().expect("an id");
        let id = id.split('|').next().expect("a GUID");
        let target = format!("/test/v1/properties/{}/queued/{id}", self.property);
        self.node.operate("GET", &target, None).expect(200).json()
    }

    fn until_done(&self, shown: &Value) -> Value {
        for _ in 0..400 {
            let queued = self.queued(shown);
            if queued["state"] == "done" {
                return queued;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("not done in ten seconds: {}", self.queued(shown));
    }

    /// Waits until so many jobs have failed once.
    fn until_failed(&self, count: usize) {
        for _ in 0..400 {
            let waiting = self
                .node
                .operate("GET", "/test/v1/jobs?state=waiting", None);
            let waiting = waiting.expect(200).json();
            let jobs = waiting["data"].as_array().expect("a list").iter();
            if jobs.filter(|job| job["last_error"].is_string()).count() == count {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("{count} jobs have not failed in ten seconds");
    }

    fn reader(&self, name: &str) -> ReaderId {
        let property: PropertyId = self.property.parse().expect("an id");
        let new = NewReader {
            user_name: name.to_owned(),
            email: format!("{name}@mail.example"),
            ..NewReader::default()
        };
        let engine = self.node.engine(TEST);
        let made = wait_for(engine.create_reader(&Actor::system(), property, new));
        made.expect("a reader").id
    }

    fn link(&self, reader: ReaderId, values: Value) -> Answer {
        self.operate(
            "link",
            json!({ "reader": reader.to_string(), "values": values }),
        )
    }
}

/// A property that sells two subscriptions; the second one is fulfilled elsewhere.
fn property(node: &TestNode, partner: &str) -> String {
    let made = json!({ "partner": partner, "name": "Harbour Daily" });
    let made = node.operate("POST", "/test/v1/properties", Some(made));
    let id = word(&made.expect(201).json(), "id");
    put_settings(node, TEST, &id, &settings());
    id
}

fn settings() -> Value {
    json!({
        "subscriptions": true,
        "subscription_groups": [
            { "id": ALL, "key": "all-access", "name": "all-access", "title": "All", "price_minor": 750 },
            { "id": PRINT, "key": "weekend", "name": "print-weekend", "title": "Print", "price_minor": 400, "fulfilled_outside": true },
        ],
        "pricing_groups": [{ "id": STANDARD, "name": "Standard", "default": true, "pricing": { "model": "Free" } }],
    })
}

const ALL: &str = "0a1f0c58-92d4-4b7e-a3f6-0c5d8e7b9a12";
const STANDARD: &str = "1c6d0f52-2b7e-4c11-9d0a-7f3e5b9a2d60";
const PRINT: &str = "6a1f0c58-92d4-4b7e-a3f6-0c5d8e7b9a12";

fn subscriber() -> Value {
    json!({
        "SubscriberKey": "of the body",
        "MaximumLinkedUsers": 2,
        "ValidationFields": [{ "Name": "AccountNumber", "Value": "0077-31" }, { "Name": "PostCode", "Value": "70114" }],
        "EligibleSubscriptions": [{ "SubscriptionGroupKey": "all-access", "EligibilityEndDate": "2027-12-31T23:59:59Z" }],
        "AutomaticSubscriptions": [{ "SubscriptionGroupKey": "weekend", "ExpirationDate": "2027-09-30T00:00:00+02:00" }],
    })
}

fn many(count: usize) -> Value {
    let subscribers: Vec<Value> = (0..count)
        .map(|number| json!({ "SubscriberKey": format!("PRINT-{number}"), "MaximumLinkedUsers": "3" }))
        .collect();
    json!({ "Data": { "Subscribers": subscribers } })
}

on_both_databases! {
    fn a_subscriber_is_added_and_changed_in_part(node: TestNode) {
        let site = open(node);
        site.call("GET", "/ExternalSubscriber/PRINT-7731/LinkedUser", None).expect(404);
        let put = site.put_subscriber("PRINT-7731", &subscriber());
        assert_eq!((&put["SubscriberKey"], &put["MaximumLinkedUsers"]), (&json!("PRINT-7731"), &json!(2)));
        assert_eq!(put["AutomaticSubscriptions"], json!([{ "SubscriptionGroupKey": "weekend", "ExpirationDate": "2027-09-29T22:00:00.000Z" }]));
        let changed = site.put_subscriber("PRINT-7731", &json!({ "maximumlinkedusers": "5", "EligibleSubscriptions": [] }));
        assert_eq!((&changed["MaximumLinkedUsers"], &changed["EligibleSubscriptions"]), (&json!(5), &json!([])));
        assert_eq!(changed["ValidationFields"], put["ValidationFields"], "what is not said stays");
        assert_eq!(site.get("/ExternalSubscriber/PRINT-7731/LinkedUser"), json!({ "SubscriberKey": "PRINT-7731", "Users": [] }));
        site.call("GET", "/ExternalSubscriber/print-7731/LinkedUser", None).expect(404);
        for (refused, told) in [
            (json!({ "AutomaticSubscriptions": [{ "SubscriptionGroupKey": "gold", "ExpirationDate": "2027-01-01" }] }), "gold"),
            (json!({ "AutomaticSubscriptions": [{ "SubscriptionGroupKey": "weekend" }] }), "ExpirationDate"),
            (json!({ "MaximumLinkedUsers": "many" }), "MaximumLinkedUsers"),
            (json!({ "ValidationFields": [{ "Name": "a", "Value": "1" }, { "Name": "A", "Value": "2" }] }), "twice"),
        ] {
            let answer = site.call("PUT", "/ExternalSubscriber/PRINT-7731", Some(&refused)).expect(400).json();
            assert!(answer["Message"].as_str().is_some_and(|message| message.contains(told)), "{answer}");
        }
        assert_eq!(site.put_subscriber("PRINT-7731", &json!({})), changed);
        let deleted = site.call("DELETE", "/ExternalSubscriber/PRINT-7731", None).expect(405);
        assert_eq!(deleted.header("allow"), Some("PUT"));
    }

    fn an_import_is_queued_done_and_told(node: TestNode) {
        let site = open(node);
        let receiver = Receiver::start(&[200]);
        let keys = site.told_at(&receiver.url("/Inbound?site=Daily"));
        let body = json!({ "data": { "Subscribers": [
            subscriber(), { "SubscriberKey": "B", "AutomaticSubscriptions": [{ "SubscriptionGroupKey": "gold", "ExpirationDate": "2027-01-01" }] },
            { "MaximumLinkedUsers": 1 }, { "SubscriberKey": "C", "MaximumLinkedUsers": "x" }, { "SubscriberKey": "D" },
        ] } });
        let queued = site.call("POST", "/ExternalSubscriberImport", Some(&body)).expect(200).json();
        assert_eq!((&queued["Status"], &queued["NotificationEmailAddress"]), (&json!("Queued"), &Value::Null));
        let told = receiver.wait(1).remove(0);
        assert_eq!(told.kind(), "ExternalSubscriberImportCompleted");
        assert_eq!(told.parameter("ExternalSubscriberImportID").as_deref(), queued["ID"].as_str());
        assert!(told.target.starts_with("/Inbound?site=Daily&CallbackType="), "{}", told.target);
        assert!(told.is_signed_by(&keys, site.now_s()) && !told.is_signed_by(&Keys { secret: "other".to_owned(), ..keys.clone() }, site.now_s()));
        let result = site.result(&told.token());
        assert_eq!((&result["Status"], &result["SuccessCount"], &result["FailureCount"]), (&json!("Completed with errors"), &json!(2), &json!(3)));
        let errors: Vec<&str> = result["Errors"].as_array().expect("errors").iter().filter_map(Value::as_str).collect();
        assert!(errors[0].starts_with("B: ") && errors[1].contains("SubscriberKey") && errors[2].starts_with("C: "), "{errors:?}");
        assert_eq!(site.get("/ExternalSubscriber/D/LinkedUser")["Users"], json!([]));
        assert_eq!(site.until_done(&queued)["failed"], 3);
        let upper = told.token().to_uppercase();
        assert_eq!(site.result(&upper), result, "tokens have no letter case");
        let other = json!({ "audience": "management", "property": property(&site.node, &site.partner) });
        let other = site.node.keys_of(TEST, &site.partner, other);
        site.call_by(&other, "GET", &format!("/CallbackResult/{upper}"), None).expect(404);
        site.later(DAY - Duration::from_secs(1));
        site.result(&upper);
        site.later(Duration::from_secs(1));
        site.call("GET", &format!("/CallbackResult/{upper}"), None).expect(404);
        site.later(Duration::from_secs(1));
        wait_for(site.node.engine(TEST).forget_old()).expect("forgotten");
        let kept = site.node.database(TEST).run("SELECT (SELECT COUNT(*) FROM callback) + (SELECT COUNT(*) FROM callback_result)");
        assert_eq!(kept.trim(), "0");
        site.later(DAY * 30);
        wait_for(site.node.engine(TEST).forget_old()).expect("forgotten");
        let kept = site.node.database(TEST).run("SELECT (SELECT COUNT(*) FROM queued) + (SELECT COUNT(*) FROM queued_error)");
        assert_eq!(kept.trim(), "0");
    }

    fn imports_are_done_in_their_order_and_go_on_after_a_restart(node: TestNode) {
        let mut site = open(node);
        let first = site.call("POST", "/ExternalSubscriberImport", Some(&many(4_000))).expect(200).json();
        site.later(Duration::from_secs(1));
        let second = json!({ "Subscribers": [{ "SubscriberKey": "PRINT-3999", "MaximumLinkedUsers": 7 }] });
        let second = site.call("POST", "/ExternalSubscriberImport", Some(&second)).expect(200).json();
        for _ in 0..400 {
            if site.queued(&first)["done"] != 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        site.node.restart();
        // What the node had leased is free again after a minute.
        site.later(Duration::from_secs(61));
        let done = site.until_done(&first);
        assert_eq!((&done["done"], &done["total"], &done["failed"]), (&json!(4_000), &json!(4_000), &json!(0)));
        site.until_done(&second);
        let last = site.put_subscriber("PRINT-3999", &json!({}));
        assert_eq!(last["MaximumLinkedUsers"], 7, "the later import counts");
        let kept = site.node.database(TEST).run("SELECT (SELECT COUNT(*) FROM subscriber) || ' ' || (SELECT COUNT(*) FROM queued_piece)");
        assert_eq!(kept.trim(), "4000 0");
    }

    fn a_reader_is_linked_by_values_and_has_what_the_subscriber_has(node: TestNode) {
        let site = open(node);
        let receiver = Receiver::start(&[200]);
        site.told_at(&receiver.url("/"));
        site.put_subscriber("PRINT-7731", &subscriber());
        let (ann, bob, cid) = (site.reader("ann"), site.reader("bob"), site.reader("cid"));
        for values in [json!({ "AccountNumber": "0077-31" }), json!({ "AccountNumber": "0077-31", "PostCode": "70115" }), json!({})] {
            site.link(ann, values).expect(409);
        }
        let good = json!({ "postcode": " 70114", "ACCOUNTNUMBER": "0077-31" });
        let linked = site.link(ann, good.clone()).expect(200).json();
        assert_eq!((&linked["key"], &linked["linked"]), (&json!("PRINT-7731"), &json!(1)));
        assert_eq!(site.link(ann, good.clone()).expect(200).json()["linked"], 1, "once");
        site.later(Duration::from_secs(1));
        receiver.wait(1);
        site.link(bob, good.clone()).expect(200);
        let full = site.link(cid, good.clone()).expect(409);
        assert!(full.text().contains("MaximumLinkedUsers"), "{}", full.text());
        let told = receiver.wait(2);
        assert!(told.iter().all(|told| told.kind() == "ExternalSubscriberLinked"), "{told:?}");
        let result = site.result(&told[0].token());
        assert_eq!(result["SubscriberKey"], "PRINT-7731");
        let user = &result["Users"][0];
        assert_eq!((&user["Subscriptions"], &user["DemographicFields"][0]), (&json!([]), &json!({ "Name": "EmailAddress", "Value": "ann@mail.example" })));
        let users = site.get("/ExternalSubscriber/PRINT-7731/LinkedUser")["Users"].clone();
        assert_eq!(users[0]["ApplicationUserID"], user["ApplicationUserID"]);
        assert_eq!(users[1]["Subscriptions"], json!([{ "SubscriptionKey": "weekend", "ExpirationDate": "2027-09-29T22:00:00.000Z" }]));
        let later = json!({ "AutomaticSubscriptions": [{ "SubscriptionGroupKey": "weekend", "ExpirationDate": "2027-10-30" }] });
        site.put_subscriber("PRINT-7731", &later);
        let earlier = json!({ "AutomaticSubscriptions": [{ "SubscriptionGroupKey": "weekend", "ExpirationDate": "2027-04-01" }] });
        site.put_subscriber("PRINT-7731", &earlier);
        let users = site.get("/ExternalSubscriber/PRINT-7731/LinkedUser")["Users"].clone();
        assert_eq!(users[0]["Subscriptions"][0]["ExpirationDate"], "2027-10-30T00:00:00.000Z", "what lasts longer stays");
        let body = json!({ "reader": bob.to_string(), "subscriber": "PRINT-7731" });
        assert_eq!(site.operate("unlink", body.clone()).expect(200).json()["linked"], 1);
        site.operate("unlink", body).expect(404);
        site.link(cid, good).expect(200);
    }

    fn what_is_known_of_a_reader_goes_with_the_reader(node: TestNode) {
        let site = open(node);
        site.put_subscriber("A", &subscriber());
        let ann = site.reader("ann");
        site.link(ann, json!({ "AccountNumber": "0077-31", "PostCode": "70114" })).expect(200);
        let details = json!({ "reader": ann.to_string(), "details": { "Address_City": "Portland", "PhoneNumber": "1" } });
        site.operate("details", details).expect(200);
        let user = site.get("/ExternalSubscriber/A/LinkedUser")["Users"][0].clone();
        assert_eq!(user["DemographicFields"], json!([
            { "Name": "EmailAddress", "Value": "ann@mail.example" }, { "Name": "PhoneNumber", "Value": "1" }, { "Name": "Address_City", "Value": "Portland" },
        ]));
        let property: PropertyId = site.property.parse().expect("an id");
        let engine = site.node.engine(TEST);
        wait_for(engine.erase_reader(&Actor::system(), (property, ann))).expect("erased");
        assert_eq!(site.get("/ExternalSubscriber/A/LinkedUser")["Users"], json!([]));
        let kept = site.node.database(TEST).run("SELECT (SELECT COUNT(*) FROM reader_detail) + (SELECT COUNT(*) FROM subscriber_link) + (SELECT linked FROM subscriber)");
        assert_eq!(kept.trim(), "0");
    }

    fn who_gives_wrong_values_again_and_again_has_to_wait(node: TestNode) {
        let site = open(node);
        site.put_subscriber("PRINT-7731", &subscriber());
        let (ann, bob, cid) = (site.reader("ann"), site.reader("bob"), site.reader("cid"));
        let good = json!({ "AccountNumber": "0077-31", "PostCode": "70114" });
        let wrong = |number: usize| json!({ "AccountNumber": "0077-31", "PostCode": format!("8{number:04}") });
        for number in 0..10 {
            site.link(ann, wrong(number)).expect(409);
        }
        let refused = site.link(ann, good.clone()).expect(429);
        assert_eq!(refused.header("retry-after"), Some("61"));
        assert!(refused.text().contains("try again in 61 s"), "{}", refused.text());
        // Nobody else is kept away, but who guesses as well waits at once.
        site.link(bob, good.clone()).expect(200);
        site.link(cid, wrong(10)).expect(409);
        site.link(cid, wrong(11)).expect(429);
        // Where they say which subscriber they are, that is counted by itself.
        let named = |values: Value| json!({ "reader": cid.to_string(), "subscriber": "PRINT-7731", "values": values });
        site.operate("link", named(wrong(12))).expect(409);
        site.later(Duration::from_secs(60));
        assert_eq!(site.link(ann, good.clone()).expect(200).json()["linked"], 2);
    }

    fn two_subscribers_of_the_same_values_are_told_apart_by_the_key(node: TestNode) {
        let site = open(node);
        site.put_subscriber("A", &subscriber());
        site.put_subscriber("B", &subscriber());
        let ann = site.reader("ann");
        let values = json!({ "AccountNumber": "0077-31", "PostCode": "70114" });
        let several = site.link(ann, values.clone()).expect(409);
        assert!(several.text().contains("more than one"), "{}", several.text());
        let named = |key: &str| json!({ "reader": ann.to_string(), "subscriber": key, "values": values });
        assert_eq!(site.operate("link", named("B")).expect(200).json()["key"], "B");
        site.operate("link", named("C")).expect(409);
        let stranger = property(&site.node, &site.partner);
        let target = format!("/test/v1/properties/{stranger}/subscribers/link");
        site.node.operate("POST", &target, Some(named("B"))).expect(404);
    }

    fn an_export_has_what_changed_in_its_time(node: TestNode) {
        let site = open(node);
        let receiver = Receiver::start(&[200]);
        site.told_at(&receiver.url("/"));
        site.put_subscriber("EARLY", &json!({}));
        site.later(Duration::from_secs(3600));
        site.put_subscriber("A", &subscriber());
        let ann = site.reader("ann");
        site.link(ann, json!({ "AccountNumber": "0077-31", "PostCode": "70114" })).expect(200);
        site.put_subscriber("B", &json!({}));
        let body = json!({ "EndDate": "2027-03-16T12:20:31+00:00", "StartDate": "2027-03-16T11:20:30.0000000Z" });
        let queued = site.call("POST", "/ExternalSubscriberExport", Some(&body)).expect(200).json();
        assert_eq!((&queued["Status"], &queued["StartDate"], &queued["EndDate"]), (&json!("Queued"), &json!("2027-03-16T11:20:30.000Z"), &json!("2027-03-16T12:20:31.000Z")));
        let done = receiver.wait(2).into_iter().find(|told| told.kind() == "ExternalSubscriberExportCompleted").expect("told");
        assert_eq!(done.parameter("ExternalSubscriberExportID").as_deref(), queued["ID"].as_str());
        let result = site.result(&done.token());
        let mut subscribers = result.as_array().expect("a list").clone();
        subscribers.sort_by_key(|one| word(one, "SubscriberKey"));
        assert_eq!((word(&subscribers[0], "SubscriberKey"), word(&subscribers[1], "SubscriberKey"), subscribers.len()), ("A".to_owned(), "B".to_owned(), 2));
        assert_eq!(subscribers[0]["Users"][0]["Subscriptions"][0]["SubscriptionKey"], "weekend");
        let nothing = json!({ "StartDate": "2020-01-01", "EndDate": "2020-01-02" });
        site.call("POST", "/ExternalSubscriberExport", Some(&nothing)).expect(200);
        assert_eq!(site.result(&receiver.wait(3)[2].token()), json!([]));
        for wrong in [json!({}), json!({ "StartDate": "2027-01-01" }), json!({ "StartDate": "2027-01-02", "EndDate": "2027-01-01" }), json!({ "StartDate": "soon", "EndDate": "2027-01-01" })] {
            site.call("POST", "/ExternalSubscriberExport", Some(&wrong)).expect(400);
        }
        site.call("POST", "/ExternalSubscriberExport", None).expect(400);
    }

    fn a_fulfilment_export_has_who_has_the_group(node: TestNode) {
        let site = open(node);
        let receiver = Receiver::start(&[200]);
        site.put_subscriber("A", &subscriber());
        let (ann, bob) = (site.reader("ann"), site.reader("bob"));
        let values = json!({ "AccountNumber": "0077-31", "PostCode": "70114" });
        site.link(ann, values.clone()).expect(200);
        site.link(bob, values).expect(200);
        site.told_at(&receiver.url("/"));
        let ask = |as_of: &str| {
            let body = json!({ "SubscriptionGroupID": PRINT.to_uppercase(), "AsOfDate": as_of, "NotificationEmailAddress": "ops@m.example" });
            site.call("POST", "/ExternalFulfillmentSubscriptionExport", Some(&body)).expect(200).json()
        };
        let queued = ask("2027-03-20");
        assert_eq!((&queued["SubscriptionGroupID"], &queued["NotificationEmailAddress"], &queued["Data"]), (&json!(PRINT), &json!("ops@m.example"), &Value::Null));
        let told = receiver.wait(1).remove(0);
        assert_eq!(told.kind(), "ExternalFulfillmentSubscriptionExport");
        assert_eq!(told.parameter("ExternalFulfillmentSubscriptionExportID").as_deref(), queued["ID"].as_str());
        let result = site.result(&told.token());
        assert_eq!(result.as_array().map(Vec::len), Some(2));
        assert_eq!(result[0]["Subscription"], json!({ "SubscriptionKey": "weekend", "ExpirationDate": "2027-09-29T22:00:00.000Z", "DemographicFields": null }));
        ask("2027-10-01");
        assert_eq!(site.result(&receiver.wait(2)[1].token()), json!([]));
        let unknown = json!({ "SubscriptionGroupID": "1c6d0f52-2b7e-4c11-9d0a-7f3e5b9a2d60", "AsOfDate": "2027-03-20" });
        site.call("POST", "/ExternalFulfillmentSubscriptionExport", Some(&unknown)).expect(400);
    }

    fn what_a_linked_reader_buys_is_told(node: TestNode) {
        let site = open(node);
        let receiver = Receiver::start(&[200]);
        site.put_subscriber("PRINT-7731", &subscriber());
        let (ann, bob) = (site.reader("ann"), site.reader("bob"));
        let values = json!({ "AccountNumber": "0077-31", "PostCode": "70114" });
        site.link(ann, values).expect(200);
        site.told_at(&receiver.url("/"));
        let engine = site.node.engine(TEST);
        let property: PropertyId = site.property.parse().expect("an id");
        let buy = |reader: ReaderId, group: &str| {
            let bought = wait_for(engine.sell_subscription(&Actor::system(), (property, reader), group));
            bought.expect("bought");
        };
        for reader in [ann, bob] {
            let card = ReaderChange { card: Some(Some(pretended_card("pays").expect("a card"))), ..ReaderChange::default() };
            wait_for(engine.change_reader(&Actor::system(), (property, reader), card)).expect("changed");
        }
        buy(bob, "all-access");
        buy(ann, "all-access");
        let told = receiver.wait(1).remove(0);
        assert_eq!(told.kind(), "EligibleSubscriptionPurchased", "bob is not linked");
        let result = site.result(&told.token());
        assert_eq!((&result["SubscriberKey"], &result["Users"][0]["Subscriptions"]), (&json!("PRINT-7731"), &json!([{ "SubscriptionKey": "all-access", "ExpirationDate": "2027-04-16T10:20:30.000Z" }])));
        buy(bob, "weekend");
        let told = receiver.wait(2).remove(1);
        assert_eq!(told.kind(), "ExternalFulfillmentSubscriptionPurchased");
        let result = site.result(&told.token());
        assert_eq!(result["Subscription"]["SubscriptionKey"], "weekend");
        assert_eq!(result["DemographicFields"][0], json!({ "Name": "EmailAddress", "Value": "bob@mail.example" }));
    }

    fn everything_goes_in_xml_too(node: TestNode) {
        let site = open(node);
        let receiver = Receiver::start(&[200]);
        site.told_at(&receiver.url("/"));
        let send = |method: &str, rest: &str, body: &str| {
            let target = format!("/api/Property/{}{rest}", site.management.public_id);
            let call = site.management.signer().call(site.node.test, method, &target, site.now_s());
            let call = call.header("Accept", "text/xml");
            let answer = if body.is_empty() { call.send() } else { call.body("application/xml", body).send() };
            answer.expect(200).text()
        };
        let put = send("PUT", "/ExternalSubscriber/A", "<Subscriber><MaximumLinkedUsers>2</MaximumLinkedUsers><ValidationFields><ValidationField Name=\"AccountNumber\">0077-31</ValidationField></ValidationFields><AutomaticSubscriptions><AutomaticSubscription SubscriptionGroupKey=\"weekend\" ExpirationDate=\"2027-09-30\" /></AutomaticSubscriptions></Subscriber>");
        assert!(put.contains("<SubscriberKey>A</SubscriberKey><MaximumLinkedUsers>2</MaximumLinkedUsers>") && put.contains("<ValidationField Name=\"AccountNumber\">0077-31</ValidationField>"), "{put}");
        site.link(site.reader("ann"), json!({ "AccountNumber": "0077-31" })).expect(200);
        let linked = send("GET", "/ExternalSubscriber/A/LinkedUser", "");
        assert!(linked.contains("<User ApplicationUserID=") && linked.contains("<SubscriptionKey>weekend</SubscriptionKey>"), "{linked}");
        let queued = send("POST", "/ExternalSubscriberImport", "<ExternalSubscriberImport><Data><Subscribers><Subscriber><SubscriberKey>B</SubscriberKey></Subscriber></Subscribers></Data></ExternalSubscriberImport>");
        assert!(queued.contains("<Status>Queued</Status>"), "{queued}");
        let told = receiver.wait(2).into_iter().find(|told| told.kind() == "ExternalSubscriberImportCompleted").expect("told");
        let result = send("GET", &format!("/CallbackResult/{}", told.token()), "");
        assert!(result.contains("<ExternalSubscriberImportResult><Status>Completed successfully</Status><Errors/>") || result.contains("<Errors />"), "{result}");
        let queued = send("POST", "/ExternalSubscriberExport", "<ExternalSubscriberExport><StartDate>2027-03-01</StartDate><EndDate>2027-04-01</EndDate></ExternalSubscriberExport>");
        assert!(queued.contains("<ExternalSubscriberExport ID="), "{queued}");
        let told = receiver.wait(3).remove(2);
        let result = send("GET", &format!("/CallbackResult/{}", told.token()), "");
        assert!(result.contains("<Subscribers><Subscriber>"), "{result}");
    }

    fn who_is_told_answers_200_within_three_tries(node: TestNode) {
        let site = open(node);
        let (slow, never) = (Receiver::start(&[500, 204, 200]), Receiver::start(&[302]));
        let keys = site.told_at(&slow.url("/slow"));
        site.told_at(&never.url("/never"));
        site.call("POST", "/ExternalSubscriberImport", Some(&many(1))).expect(200);
        slow.wait(1);
        site.until_failed(2);
        for (wait_s, count) in [(19, 1), (1, 2), (89, 2), (1, 3)] {
            site.later(Duration::from_secs(wait_s));
            std::thread::sleep(Duration::from_millis(700));
            assert_eq!((slow.told().len(), never.told().len()), (count, count), "after {wait_s} s more");
        }
        site.later(DAY / 2);
        std::thread::sleep(Duration::from_millis(700));
        let told = slow.told();
        assert_eq!((told.len(), never.told().len()), (3, 3), "no more than three tries");
        assert!(told[2].is_signed_by(&keys, NOW_S + 110), "each is signed anew");
        assert_eq!(told[0].token(), told[2].token());
        let failed = site.node.operate("GET", "/test/v1/jobs?state=failed", None).expect(200).json();
        assert_eq!(failed["data"].as_array().map(Vec::len), Some(1), "{failed}");
        assert_eq!(failed["data"][0]["last_error"], "it answered 302, and only 200 counts");
        site.later(DAY / 2 + Duration::from_secs(1));
        wait_for(site.node.engine(TEST).forget_old()).expect("forgotten");
        let failed = site.node.operate("GET", "/test/v1/jobs?state=failed", None).expect(200).json();
        assert_eq!(failed["data"], json!([]), "forgotten with its result");
    }

    fn a_key_set_that_ends_is_told_nothing_more(node: TestNode) {
        let site = open(node);
        let receivers = [Receiver::start(&[500]), Receiver::start(&[500]), Receiver::start(&[500])];
        let keys: Vec<Keys> = receivers.iter().map(|receiver| site.told_at(&receiver.url("/"))).collect();
        site.call("POST", "/ExternalSubscriberImport", Some(&many(1))).expect(200);
        receivers.iter().for_each(|receiver| drop(receiver.wait(1)));
        site.until_failed(3);
        let change = |keys: &Keys, verb: &str, body: Value| {
            let target = format!("/test/v1/credentials/{}/{verb}", keys.credential);
            site.node.operate("POST", &target, Some(body)).expect(200).json()
        };
        change(&keys[0], "revoke", json!({}));
        assert_eq!(change(&keys[1], "callback", json!({ "url": null }))["callback_url"], Value::Null);
        site.later(Duration::from_secs(21));
        receivers[2].wait(2);
        assert_eq!((receivers[0].told().len(), receivers[1].told().len()), (1, 1));
    }

    fn a_callback_url_is_of_a_management_key_set_and_outside(node: TestNode) {
        let site = open(node);
        let integration = site.node.integration(TEST, &site.partner);
        let new = |audience: &str, url: &str| json!({ "integration": integration, "audience": audience, "property": site.property, "callback_url": url });
        site.node.operate("POST", "/test/v1/credentials", Some(new("access", "https://www.example.com/"))).expect(422);
        let target = format!("/test/v1/credentials/{}/callback", site.management.credential);
        for url in ["https://10.0.0.1/", "https://169.254.169.254/", "http://www.example.com/", "ftp://www.example.com/", "https://www.example.com/?CallbackToken=1", "https://www.example.com/?a=1&A=2", "https://www.example.com/?a=%0A"] {
            site.node.operate("POST", "/test/v1/credentials", Some(new("management", url))).expect(422);
            site.node.operate("POST", &target, Some(json!({ "url": url }))).expect(422);
        }
        let url = "https://www.example.com/told?secret=1";
        let set = site.node.operate("POST", &target, Some(json!({ "url": url }))).expect(200).json();
        assert_eq!(set["callback_url"], url);
        let audit = site.node.operate("GET", "/test/v1/audit?limit=1000", None).expect(200).text();
        assert!(audit.contains("credential.callback") && !audit.contains("secret=1"), "{audit}");
    }

    fn subscribers_are_administered_by_command(node: TestNode) {
        let site = open(node);
        let (node, property) = (&site.node, site.property.as_str());
        let say = |given: &[&str]| text(node, &[&["subscriber", given[0], "--property", property], &given[1..]].concat());
        let file = node.folder.path().join("subscribers.json");
        std::fs::write(&file, json!({ "Data": { "Subscribers": [subscriber(), { "SubscriberKey": "A/ü 1" }] } }).to_string()).expect("written");
        let path = file.to_str().expect("a path");
        let done = say(&["import", path]);
        assert!(done.starts_with("Done in test") && done.contains("done") && done.contains("import"), "{done}");
        let listed = say(&["list"]);
        assert!(listed.contains("of the body") && listed.contains("2 subscribers in test"), "{listed}");
        let shown = say(&["show", "A/ü 1"]);
        assert!(shown.contains("A/ü 1") && shown.contains("linked"), "{shown}");
        let ann = site.reader("ann").to_string();
        let linked = say(&["link", "--value", "AccountNumber=0077-31", "--value", "PostCode=70114", &ann]);
        assert!(linked.starts_with("Linked in test") && linked.contains("weekend"), "{linked}");
        assert!(say(&["details", "--value", "PhoneNumber=1", &ann]).starts_with("Changed in test"));
        assert!(say(&["unlink", "of the body", &ann]).starts_with("Unlinked in test"));
        let export = say(&["export", "--from", "2027-03-01"]);
        assert!(export.starts_with("Queued in test") && export.contains("token of the result"), "{export}");
        let queued = document(node, &["subscriber", "queued", "--property", property]);
        assert_eq!(queued.as_array().map(Vec::len), Some(2), "{queued}");
        std::fs::write(&file, json!({ "Subscribers": [{ "SubscriberKey": "" }] }).to_string()).expect("written");
        let failed = run(node, &["subscriber", "import", "--property", property, path]);
        assert_eq!(failed.status.code(), Some(1), "one could not be taken");
        let told = refused(&run(node, &["credential", "callback", &site.management.credential, "--url", "https://10.0.0.1/"]));
        assert!(told.contains("public Internet"), "{told}");
        let set = text(node, &["credential", "callback", &site.management.credential, "--url", "https://www.example.com/told"]);
        assert!(set.contains("https://www.example.com/told"), "{set}");
        assert_eq!(document(node, &["credential", "callback", &site.management.credential, "--none"])["callback_url"], Value::Null);
    }

    fn a_property_administrator_has_their_own_subscribers_only(node: TestNode) {
        let mut site = open(node);
        let other = property(&site.node, &site.partner);
        let own = site.property.clone();
        site.node.give(&[&own]);
        site.node.restart();
        let ask = |method: &str, property: &str, rest: &str, body: &Value| {
            let target = format!("/test/v1/properties/{property}/{rest}");
            site.node.admin.call(method, &target).bearer(PROPERTY_ADMINISTRATOR).json(body).send()
        };
        let import = json!({ "Subscribers": [{ "SubscriberKey": "A" }] });
        let queued = ask("POST", &own, "subscribers/import", &import).expect(201).json();
        ask("POST", &other, "subscribers/import", &import).expect(404);
        let queued = format!("queued/{}", word(&queued, "id"));
        ask("GET", &own, &queued, &json!({})).expect(200);
        for rest in ["subscribers", "queued", &queued] {
            ask("GET", &other, rest, &json!({})).expect(404);
        }
        ask("GET", &own, "subscribers", &json!({})).expect(200);
    }
}
