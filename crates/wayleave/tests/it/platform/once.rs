//! Writes with an `Idempotency-Key`.

use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};
use wayleave_core::Environment;
use wayleave_engine::Operators;
use wayleave_testkit::{Address, Answer, Call, DatabaseKind};

use super::{Client, FORM, demo_line, instance_line, licences_line, php_query};
use crate::harness::{TestNode, on_both_databases, wait_for};
use crate::storage::open_beside;

fn checkout(client: &Client, key: &str, line: Value) -> Call {
    let body = php_query(&[("lineItems", &json!([line]).to_string())]);
    let call = client.call("POST", "/user/checkout").body(FORM, body);
    call.header("Idempotency-Key", key)
}

fn with_key(
    client: &Client,
    key: &str,
    method: &str,
    route: &str,
    fields: &[(&str, &str)],
) -> Answer {
    let call = client.call(method, route).body(FORM, php_query(fields));
    call.header("Idempotency-Key", key).send()
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

on_both_databases! {
    fn a_write_that_is_sent_again_is_answered_again_and_not_done_again(node: TestNode) {
        let client = Client::new(&node);
        let first = checkout(&client, "k-1", licences_line(2, None)).send().expect(200);
        assert!(!is_replayed(&first));
        let again = checkout(&client, "k-1", licences_line(2, None)).send().expect(200);
        assert!(is_replayed(&again));
        assert_eq!(again.body, first.body);
        let other_key = checkout(&client, "k-2", licences_line(2, None)).send().expect(200);
        assert_ne!(other_key.json()["orderId"], first.json()["orderId"]);
        assert_eq!(client.list("/user/orders", &[]).1, 2);
    }

    fn every_write_of_the_dialect_takes_a_key(node: TestNode) {
        let client = Client::new(&node);
        let order = client.quote(demo_line("apiX1y2Z"));
        let process = format!("/shop/processquote/{}", order["orderId"]);
        let twice = |key: &str, method: &str, route: &str, fields: &[(&str, &str)]| {
            let first = with_key(&client, key, method, route, fields);
            let again = with_key(&client, key, method, route, fields);
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{route}");
            assert!(!is_replayed(&first) && is_replayed(&again), "{route}");
            assert!(first.status < 300, "{route}: {}", first.text());
        };
        twice("k-1", "POST", &process, &[("autoPay", "1")]);
        client.process(&order, "1").expect(409);
        let id = client.instance("apiX1y2Z")["hostingId"].to_string();
        twice("k-2", "POST", &format!("/cloud/upgrade/{id}"), &[("cmsVersionId", "3")]);
        twice("k-3", "PUT", &format!("/cloud/renewNow/{id}"), &[]);
        twice("k-4", "DELETE", &format!("/cloud/deleteNow/{id}/apiX1y2Z"), &[]);
        assert_eq!(client.list("/user/orders", &[]).1, 2);
    }

    fn a_key_belongs_to_one_request_of_one_credential(node: TestNode) {
        let client = Client::new(&node);
        let first = checkout(&client, "k-1", licences_line(2, None)).send().expect(200);
        let other_body = checkout(&client, "k-1", licences_line(3, None)).send().expect(422);
        assert_eq!(other_body.json()["error"], 422);
        let other_path = with_key(&client, "k-1", "POST", "/shop/checkout", &[]);
        other_path.expect(422);
        let other = Client::another(&node);
        let theirs = checkout(&other, "k-1", licences_line(2, None)).send().expect(200);
        assert!(!is_replayed(&theirs));
        assert_ne!(theirs.json()["orderId"], first.json()["orderId"]);
        let keys = node.keys_of(Environment::Test, &client.keys().partner, json!({ "audience": "platform" }));
        let second = Client::with(&node, Environment::Test, keys);
        assert!(!is_replayed(&checkout(&second, "k-1", licences_line(2, None)).send().expect(200)));
        let long = "k".repeat(256);
        for bad in ["", "two words", &long] {
            checkout(&client, bad, licences_line(2, None)).send().expect(400);
        }
        checkout(&client, "k-9", licences_line(2, None))
            .header("Idempotency-Key", "k-8")
            .send()
            .expect(400);
    }

    fn what_was_refused_may_be_tried_again_and_what_was_declined_stays_so(node: TestNode) {
        let client = Client::new(&node);
        let monthly = || {
            let mut line = instance_line("apiMonth1");
            line["productDetails"]["monthly_billing"] = json!(1);
            line
        };
        checkout(&client, "k-1", monthly()).send().expect(422);
        client.save_card("declines");
        let order = checkout(&client, "k-1", monthly()).send().expect(200);
        assert!(!is_replayed(&order));
        let route = format!("/shop/processquote/{}", order.json()["orderId"]);
        let process = |key: &str| with_key(&client, key, "POST", &route, &[("autoPay", "1")]);
        let declined = process("k-2").expect(422);
        assert_eq!(declined.json()["property"], "autoPay");
        client.save_card("pays");
        let again = process("k-2").expect(422);
        assert!(is_replayed(&again) && again.body == declined.body);
        process("k-3").expect(200);
    }

    fn an_answer_that_was_lost_with_its_node_is_made_again(node: TestNode) {
        let client = Client::new(&node);
        let first = checkout(&client, "k-1", demo_line("apiX1y2Z")).send().expect(200);
        let database = node.database(Environment::Test);
        let number = &first.json()["orderId"];
        database.run(&format!("UPDATE idempotency_key SET status = 0, body = '{number}'"));
        let again = checkout(&client, "k-1", demo_line("apiX1y2Z")).send().expect(200);
        assert!(is_replayed(&again));
        assert_eq!(again.json(), first.json());
        assert_eq!(client.list("/user/orders", &[]).1, 1);
    }

    fn keys_are_forgotten_after_three_days(node: TestNode) {
        let client = Client::new(&node);
        checkout(&client, "k-1", licences_line(2, None)).send().expect(200);
        let (second, engine) = (Duration::from_secs(1), client.engine());
        node.clock.advance(second * (3 * 24 * 3600 - 1));
        wait_for(engine.forget_old()).expect("forgotten");
        let client = Client::with(&node, Environment::Test, client.keys().clone());
        let late = checkout(&client, "k-1", licences_line(2, None)).send().expect(200);
        assert!(is_replayed(&late));
        node.clock.advance(second * 2);
        wait_for(engine.forget_old()).expect("forgotten");
        let new = checkout(&client, "k-1", licences_line(2, None)).send().expect(200);
        assert!(!is_replayed(&new));
    }

    fn a_thousand_equal_requests_at_once_make_one_order(node: TestNode) {
        let client = Client::new(&node);
        let begin = Barrier::new(1_000);
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..1_000)
                .map(|_| {
                    let call = checkout(&client, "k-1", licences_line(2, None));
                    let begin = &begin;
                    let thread = std::thread::Builder::new().stack_size(256 * 1024);
                    let spawned = thread.spawn_scoped(scope, move || {
                        begin.wait();
                        call.send()
                    });
                    spawned.expect("a thread")
                })
                .collect();
            let ended = threads.into_iter().map(|thread| thread.join());
            ended.map(|answer| answer.expect("an answer")).collect()
        });
        assert_eq!(client.list("/user/orders", &[]).1, 1);
        let done: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(done.iter().filter(|answer| !is_replayed(answer)).count(), 1);
        assert!(done.iter().all(|answer| answer.body == done[0].body));
        // The others came while it was being served, or found the house full, and may ask again.
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert!(matches!(answer.status, 409 | 503), "{}: {}", answer.status, answer.text());
        }
    }
}

#[test]
fn two_nodes_that_are_asked_at_once_make_one_order_for_a_key() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let node = TestNode::start(DatabaseKind::Postgres);
    let client = Client::new(&node);
    let other = open_beside(&node, |_| {}).expect("a second node");
    let address = Address::at(other.address(Environment::Test));
    let _running = other
        .start(Operators::default(), Vec::new())
        .expect("it serves");
    let fields = [
        ("client_id", client.keys().public_id.as_str()),
        ("client_secret", client.keys().secret.as_str()),
        ("grant_type", "client_credentials"),
    ];
    let token = address.post("/authorize/access_token").form(&fields).send();
    let token = token.expect(200).json();
    let token = token["access_token"].as_str().expect("a token").to_owned();
    let body = php_query(&[("lineItems", &json!([licences_line(2, None)]).to_string())]);
    for round in 1..=20 {
        let key = format!("k-{round}");
        let here = checkout(&client, &key, licences_line(2, None));
        let call = address.post("/api/user/checkout").bearer(&token);
        let there = call.body(FORM, &body).header("Idempotency-Key", &key);
        let begin = Barrier::new(2);
        let answers = std::thread::scope(|scope| {
            let calls = [here, there].map(|call| {
                scope.spawn(|| {
                    begin.wait();
                    call.send()
                })
            });
            calls.map(|call| call.join().expect("an answer").expect(200))
        });
        assert_eq!(answers[0].body, answers[1].body);
        assert_eq!(client.list("/user/orders", &[]).1, round);
    }
}
