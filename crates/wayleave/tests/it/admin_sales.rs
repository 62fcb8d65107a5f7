//! Catalogue, accounts, orders and what they deliver, at the operator's address.

use std::time::Duration;

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment, Recipient};
use wayleave_engine::Pretence;

use crate::harness::{
    NOW_S, PROPERTY_ADMINISTRATOR, SUPPORT, TestNode, on_both_databases, wait_for,
};
use crate::sold;

const TEST: Environment = Environment::Test;

fn get(node: &TestNode, path: &str) -> Value {
    let target = format!("/test/v1/{path}");
    node.operate("GET", &target, None).expect(200).json()
}

fn post(node: &TestNode, path: &str, body: Value) -> wayleave_testkit::Answer {
    node.operate("POST", &format!("/test/v1/{path}"), Some(body))
}

fn rows(page: &Value) -> &Vec<Value> {
    page["data"].as_array().expect("a page")
}

fn word<'v>(value: &'v Value, member: &str) -> &'v str {
    let word = value[member].as_str();
    word.unwrap_or_else(|| panic!("no {member} in {value}"))
}

/// A new partner with an account whose card does this.
fn partner(node: &TestNode, card: &str) -> String {
    let partner = node.partner(TEST);
    sold::put_catalogue(node, TEST);
    sold::save_card(node, TEST, &partner, card);
    partner
}

/// Waits for background work.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..400 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("not in time: {what}");
}

on_both_databases! {
    fn the_catalogue_is_put_in_versions_and_checked(node: TestNode) {
        let nothing = get(&node, "catalogue");
        assert_eq!((&nothing["version"], &nothing["catalogue"]["products"]), (&json!(0), &json!([])));
        let first = post(&node, "catalogue", sold::catalogue()).expect(201).json();
        assert_eq!((&first["version"], &first["put_by"], &first["created_at"]), (&json!(1), &json!("ada"), &json!(NOW_S)));
        let mut dearer = first["catalogue"].clone();
        dearer["price_lists"][0]["prices"][0]["unit_minor"] = json!(2_500);
        post(&node, "catalogue", dearer.clone()).expect(201);
        assert_eq!((&get(&node, "catalogue")["version"], &get(&node, "catalogue")["catalogue"]), (&json!(2), &dearer));
        assert_eq!(get(&node, "catalogue/versions/1"), first);
        for path in ["catalogue/versions/3", "catalogue/versions/x", "catalogue/2"] {
            node.operate("GET", &format!("/test/v1/{path}"), None).expect(404);
        }
        let live = node.operate("GET", "/live/v1/catalogue", None).expect(200).json();
        assert_eq!(live["version"], 0, "live has its own");

        let mut wrong = dearer.clone();
        wrong["price_lists"][0]["prices"][0]["product"] = json!(99);
        assert!(post(&node, "catalogue", wrong).expect(422).text().contains("there is no such product"));
        assert!(post(&node, "catalogue", json!({})).expect(422).text().contains("missing field"));
        let mut unknown = dearer;
        unknown["colour"] = json!("blue");
        assert!(post(&node, "catalogue", unknown).expect(422).text().contains("colour"));
        assert_eq!(get(&node, "catalogue")["version"], 2);
        let trail = get(&node, "audit?object=catalogue");
        assert_eq!(word(&rows(&trail)[0], "act"), "catalogue.put");
    }

    fn an_account_is_opened_and_changed(node: TestNode) {
        let partner = node.partner(TEST);
        let path = format!("partners/{partner}/account");
        let opened = get(&node, &path);
        assert_eq!((&opened["billing_name"], &opened["price_list"], &opened["card"]), (&json!("Harbour Signs"), &json!("standard"), &Value::Null));
        assert!(opened["number"].as_i64().is_some_and(|number| number > 0));
        sold::put_catalogue(&node, TEST);
        let change = |body: Value| post(&node, &format!("{path}/change"), body);
        let changed = change(json!({
            "billing_name": "Harbour Ltd", "billing_email": "bills@harbour.example",
            "price_list": "reseller", "currency": "GBP", "card": "declines",
        })).expect(200).json();
        assert_eq!((&changed["billing_name"], &changed["billing_email"]), (&json!("Harbour Ltd"), &json!("bills@harbour.example")));
        assert_eq!((&changed["price_list"], &changed["currency"], &changed["card"]), (&json!("reseller"), &json!("GBP"), &json!("Pretend •••• 0002")));
        assert_eq!(changed["number"], opened["number"]);
        assert_eq!(change(json!({ "card": "none" })).expect(200).json()["card"], Value::Null);
        assert_eq!(get(&node, &path)["price_list"], "reseller", "what is not named stays");
        for (body, why) in [
            (json!({ "price_list": "none" }), "no price list"),
            (json!({ "currency": "euro" }), "ISO 4217"),
            (json!({ "card": "4242" }), "pays, declines, asks, unclear"),
            (json!({ "billing_name": "" }), "name"),
        ] {
            let told = change(body).expect(422).text();
            assert!(told.contains(why), "{why}: {told}");
        }
        change(json!({ "discount": 10 })).expect(400);
        node.operate("GET", "/live/v1/partners/ptr_00000000000000000000000000/account", None).expect(404);
        let trail = get(&node, &format!("audit?object={partner}"));
        let acts: Vec<&str> = rows(&trail).iter().map(|row| word(row, "act")).collect();
        assert!(acts.contains(&"account.change"), "{acts:?}");
    }

    fn what_an_order_delivered_is_listed_with_whose_it_is(node: TestNode) {
        let partner = partner(&node, "pays");
        let mut licences = sold::licences(2);
        licences.recipient = Recipient::Reference { reference: "shop-7".to_owned(), name: "Shop seven".to_owned() };
        let order = sold::buy(&node, TEST, &partner, &[licences, sold::instance(2, "HarbourOne"), sold::plan()]);
        assert_eq!((&order["state"], &order["auto_pay"], &order["currency"]), (&json!("complete"), &json!(true), &json!("EUR")));
        // 2 × 24.00, 2 displays × 12 months × 3.75, one month of 49.00; 20 % on top.
        assert_eq!((&order["subtotal_minor"], &order["total_minor"], &order["total"]), (&json!(18_700), &json!(22_440), &json!("224.40")));
        assert_eq!((&order["charges"][0]["state"], &order["charges"][0]["amount_minor"]), (&json!("paid"), &json!(22_440)));
        assert!(!order.to_string().contains("pretend_pays"), "the processor's word for the card stays inside");
        let customers = get(&node, &format!("customers?partner={partner}"));
        let customer = &rows(&customers)[0];
        assert_eq!((&customer["reference"], &customer["name"]), (&json!("shop-7"), &json!("Shop seven")));
        assert_eq!(order["lines"][0]["customer"], customer["id"]);

        let pools = get(&node, &format!("pools?partner={partner}"));
        let pool = &rows(&pools)[0];
        assert_eq!((&pool["id"], &pool["customer"]), (&order["lines"][0]["delivered"], &customer["id"]));
        assert_eq!((&pool["versions"][0]["version"], &pool["versions"][0]["licences"], &pool["versions"][0]["used"]), (&json!("2"), &json!(2), &json!(0)));
        let devices = format!("pools/{}/devices", word(pool, "id"));
        let device = |name: &str| json!({ "hardware": "02:00:00:00:00:01", "name": name, "model": "M1", "manufacturer": "Acme", "version_code": 207 });
        let added = post(&node, &devices, device("Window")).expect(201).json();
        assert_eq!((&added["name"], &added["seen_at"]), (&json!("Window"), &json!(NOW_S)));
        post(&node, &devices, device("Door")).expect(201);
        assert!(post(&node, &devices, device("Roof")).expect(409).text().contains("every licence"));
        let mut old = device("Cellar");
        old["version"] = json!("1.7");
        post(&node, &devices, old).expect(422);
        let shown = get(&node, &format!("pools/{}", word(pool, "id")));
        assert_eq!(shown["versions"][0]["devices"].as_array().map(Vec::len), Some(2));

        let instances = get(&node, "instances?name=BOURO");
        let instance = &rows(&instances)[0];
        assert_eq!((&instance["account_name"], &instance["displays"], &instance["customer"]), (&json!("HarbourOne"), &json!(2), &Value::Null));
        assert_eq!(instance["made_of"], json!({ "region": 1, "domain": 1, "theme": 1, "version": 3 }));
        assert_eq!(get(&node, &format!("instances/{}", word(instance, "id"))), *instance);
        assert!(rows(&get(&node, "instances?name=other")).is_empty());

        let plans = get(&node, &format!("plans?partner={partner}"));
        let term = &rows(&plans)[0];
        assert_eq!((&term["plan"], &term["state"], &term["order"]), (&json!("reports"), &json!("active"), &order["id"]));
        let number = order["number"].as_i64().expect("a number");
        assert_eq!(get(&node, &format!("orders/{number}")), order, "by the number that clients know too");
        for noun in ["customers", "orders", "instances", "pools", "plans", "jobs", "mail"] {
            let page = node.operate("GET", &format!("/live/v1/{noun}"), None).expect(200).json();
            assert!(rows(&page).is_empty(), "{noun}: live has its own");
        }
    }

    fn orders_are_listed_page_by_page_and_by_state_and_partner(node: TestNode) {
        let one = partner(&node, "pays");
        let other = partner(&node, "none");
        for _ in 0..3 {
            sold::buy(&node, TEST, &one, &[sold::licences(1)]);
            // Ids sort by the time of the clock that the test holds.
            node.clock.advance(Duration::from_secs(1));
        }
        let invoiced = sold::buy(&node, TEST, &other, &[sold::licences(1)]);
        assert_eq!(invoiced["state"], "invoiced");
        let first = get(&node, "orders?limit=3");
        assert_eq!((rows(&first).len(), &first["has_more"]), (3, &json!(true)));
        let last = word(&rows(&first)[2], "id");
        let rest = get(&node, &format!("orders?limit=3&after={last}"));
        assert_eq!((rows(&rest).len(), &rest["has_more"], &rows(&rest)[0]["id"]), (1, &json!(false), &invoiced["id"]));
        assert_eq!(rows(&get(&node, &format!("orders?partner={one}"))).len(), 3);
        assert_eq!(rows(&get(&node, "orders?state=invoiced"))[0]["id"], invoiced["id"]);
        for wrong in ["state=paid", "stuck=soon", "stuck=99999999", "partner=x", "after=x"] {
            node.operate("GET", &format!("/test/v1/orders?{wrong}"), None).expect(422);
        }
    }

    fn an_invoice_is_settled_or_cancelled_and_what_is_complete_refunded(node: TestNode) {
        let partner = partner(&node, "declines");
        let order = |name: &str| sold::buy(&node, TEST, &partner, &[sold::instance(2, name)]);
        let act = |order: &Value, verb: &str, body: Value| post(&node, &format!("orders/{}/{verb}", word(order, "id")), body);
        let declined = order("first");
        assert_eq!((&declined["state"], &declined["charges"][0]["state"]), (&json!("invoiced"), &json!("declined")));
        wait_until("the invoice is in the mailbox", || !rows(&get(&node, &format!("mail?partner={partner}"))).is_empty());
        let mail = get(&node, "mail");
        assert!(word(&rows(&mail)[0], "subject").starts_with("Invoice for order"), "{mail}");
        assert!(word(&rows(&mail)[0], "body").contains(word(&declined, "payment_link")));

        let settled = act(&declined, "settle", json!({})).expect(200).json();
        assert_eq!(settled["state"], "complete");
        let instance = word(&settled["lines"][0], "delivered").to_owned();
        assert_eq!(get(&node, &format!("instances/{instance}"))["removed_at"], Value::Null);
        act(&settled, "settle", json!({})).expect(409);
        assert!(act(&settled, "cancel", json!({})).expect(409).text().contains("refund"));
        act(&settled, "refund", json!({})).expect(422);
        let refunded = act(&settled, "refund", json!({ "why": "it was the wrong shop" })).expect(200).json();
        assert_eq!(refunded["state"], "refunded");
        assert_eq!(get(&node, &format!("instances/{instance}"))["removed_at"], NOW_S);
        assert!(rows(&get(&node, "instances")).is_empty(), "what was removed is not listed");

        let another = order("second");
        assert_eq!(act(&another, "cancel", json!({})).expect(200).json()["state"], "cancelled");
        act(&another, "settle", json!({})).expect(409);
        act(&another, "frame", json!({})).expect(404);
        let trail = get(&node, &format!("audit?object={}", word(&declined, "id")));
        let acts: Vec<(&str, &str)> = rows(&trail).iter().map(|row| (word(row, "act"), word(row, "stage"))).collect();
        for act in ["order.place", "order.settle", "order.refund"] {
            assert!(acts.contains(&(act, "done")), "{act}: {acts:?}");
        }
    }

    fn what_is_stuck_is_listed_with_the_reason_and_goes_on_by_itself(node: TestNode) {
        let partner = partner(&node, "pays");
        let other = sold::buy(&node, TEST, &partner, &[sold::licences(1)]);
        assert_eq!(post(&node, "pretend", json!({ "provisioner": "away" })).expect(200).json(), json!({ "provisioner": "away" }));
        assert_eq!(get(&node, "pretend"), json!({ "provisioner": "away" }));
        let order = sold::buy(&node, TEST, &partner, &[sold::instance(2, "waiting")]);
        assert_eq!((&order["state"], &order["charges"][0]["state"]), (&json!("processing"), &json!("paid")));
        assert!(rows(&get(&node, "orders?stuck=10")).is_empty(), "not for so long yet");
        node.clock.advance(Duration::from_secs(11 * 60));
        let id = word(&order, "id");
        wait_until("it was tried again", || rows(&get(&node, "orders?stuck=10")).first().is_some_and(|row| row["last_error"] != Value::Null));
        let stuck = get(&node, "orders?stuck=10");
        assert_eq!((rows(&stuck).len(), word(&rows(&stuck)[0], "id")), (1, id));
        assert_eq!(rows(&stuck)[0]["last_error"], "it pretends to be away");
        assert!(rows(&get(&node, "orders?stuck=12")).is_empty());
        let told = || {
            wait_for(node.engine(TEST).count_stuck()).expect("counted");
            let text = node.monitor.get("/metrics").send().expect(200).text();
            let of_test = |name: &str| text.contains(&format!("{name}{{environment=\"test\"}} 1\n"));
            (of_test("wayleave_orders_stuck"), of_test("wayleave_jobs_given_up"))
        };
        assert_eq!(told(), (true, false));
        post(&node, "pretend", json!({ "provisioner": "well" })).expect(200);
        node.clock.advance(Duration::from_secs(3600));
        wait_until("it is complete", || get(&node, &format!("orders/{id}"))["state"] == "complete");
        wait_until("nothing is stuck", || rows(&get(&node, "orders?stuck=10")).is_empty());

        // A job that was given up counts, whatever became of its order.
        let finished = word(&other, "id");
        let name = format!("expire-quote {finished}");
        node.database(TEST).run(&format!("UPDATE job SET state = 'failed', last_error = 'gone' WHERE name = '{name}'"));
        let stuck = get(&node, "orders?stuck=10");
        assert_eq!((word(&rows(&stuck)[0], "id"), word(&rows(&stuck)[0], "last_error")), (finished, "gone"));
        let failed = get(&node, "jobs?state=failed");
        assert_eq!((word(&rows(&failed)[0], "name"), word(&rows(&failed)[0], "object")), (name.as_str(), finished));
        assert_eq!(told(), (true, true));
        let retried = post(&node, "jobs/retry", json!({ "name": name })).expect(200).json();
        assert_eq!(retried["state"], "waiting");
        wait_until("it is done", || rows(&get(&node, "jobs?state=failed")).is_empty() && rows(&get(&node, "orders?stuck=10")).is_empty());
        post(&node, "jobs/retry", json!({ "name": name })).expect(404);
        node.operate("GET", "/test/v1/jobs?state=lost", None).expect(422);
        post(&node, "pretend", json!({ "provisioner": "badly" })).expect(422);
    }

    fn a_plan_opens_a_route_from_the_next_request_and_its_end_closes_it(node: TestNode) {
        let keys = node.keys(TEST, Audience::Routes);
        let mut catalogue = sold::catalogue();
        catalogue["products"][4]["grants"]["scopes"] = json!(["jobs:read"]);
        post(&node, "catalogue", catalogue).expect(201);
        sold::save_card(&node, TEST, &keys.partner, "pays");
        let token = node.token(TEST, &keys);
        let status = || node.test.get("/jobs").bearer(&token).send().status;
        assert_eq!(status(), 403);
        let order = sold::buy(&node, TEST, &keys.partner, &[sold::plan()]);
        assert_eq!(status(), 200);
        let term = word(&order["lines"][0], "delivered").to_owned();
        let ended = post(&node, &format!("plans/{term}/end"), json!({})).expect(200).json();
        assert_eq!((&ended["state"], &ended["ended_at"]), (&json!("ended"), &json!(NOW_S)));
        assert_eq!(status(), 403);
        assert!(post(&node, &format!("plans/{term}/end"), json!({})).expect(409).text().contains("already"));
        let trail = get(&node, &format!("audit?object={term}"));
        assert_eq!(word(&rows(&trail)[0], "act"), "plan.end");
    }

    fn support_looks_sales_up_and_changes_none_and_live_pretends_nothing(node: TestNode) {
        let partner = partner(&node, "pays");
        let sold = sold::sell_everything(&node, TEST, &partner);
        let as_operator = |token: &str, method: &str, path: &str| {
            node.admin.call(method, &format!("/test/v1/{path}")).bearer(token).send().status
        };
        for path in ["catalogue", "orders", "instances", "pools", "plans", "jobs", "mail", "customers", "pretend"] {
            assert_eq!(as_operator(SUPPORT, "GET", path), 200, "{path}");
            assert_eq!(as_operator(PROPERTY_ADMINISTRATOR, "GET", path), 403, "{path}");
        }
        assert_eq!(as_operator(SUPPORT, "GET", &format!("partners/{partner}/account")), 200);
        assert_eq!(as_operator(SUPPORT, "GET", &format!("orders/{}", sold.order)), 200);
        for path in [
            "catalogue".to_owned(),
            format!("partners/{partner}/account/change"),
            format!("orders/{}/refund", sold.order),
            format!("plans/{}/end", sold.plan),
            format!("pools/{}/devices", sold.pool),
            "jobs/retry".to_owned(),
            "pretend".to_owned(),
        ] {
            assert_eq!(as_operator(SUPPORT, "POST", &path), 403, "{path}");
        }
        for method in ["GET", "POST"] {
            let body = json!({ "provisioner": "away" });
            let answer = node.operate(method, "/live/v1/pretend", (method == "POST").then_some(body));
            assert_eq!(answer.status, 404);
        }
        assert_eq!(node.engine(Environment::Live).pretended_provisioner().pretence(), Pretence::Well);
        for (method, path) in [("POST", "orders"), ("POST", "mail"), ("PUT", "catalogue"), ("DELETE", "instances")] {
            assert_eq!(as_operator(crate::harness::OPERATOR, method, path), 405, "{path}");
        }
        assert_eq!(as_operator(crate::harness::OPERATOR, "GET", "jobs/retry"), 405);
    }
}
