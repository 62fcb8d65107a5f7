//! Limits of routes and of plans.

use std::time::Duration;

use serde_json::{Value, json};
use wayleave::node::NodeSettings;
use wayleave_core::{Audience, Environment, Limit, Measure, Per, Plan, Rate};
use wayleave_testkit::{Answer, Call, DatabaseKind};

use crate::harness::{Keys, NOW_S, SUPPORT, TestNode};

const LIVE: Environment = Environment::Live;

fn rate(name: &str, per: Per, requests: u32, per_s: u32, burst: u32) -> Limit {
    Limit {
        name: name.to_owned(),
        per,
        measure: Measure::Rate(Rate::new(requests, per_s, burst).expect("a rate")),
    }
}

/// Gives the route `/hello`, and the content addresses, limits.
fn limit_all(settings: &mut NodeSettings, limits: &[Limit]) {
    for environment in &mut settings.environments {
        environment.surfaces.routes[0].limits = limits.to_vec();
        let content = environment.surfaces.content.as_mut().expect("it is on");
        content.limits = limits.to_vec();
    }
}

fn node(limits: &[Limit]) -> TestNode {
    TestNode::start_with(DatabaseKind::Sqlite, |settings| limit_all(settings, limits))
}

/// Runs a check on every database that is there.
fn on_each_database(change: impl Fn(&mut NodeSettings), check: impl Fn(TestNode)) {
    for kind in [DatabaseKind::Sqlite, DatabaseKind::Postgres] {
        if kind.is_available() {
            check(TestNode::start_with(kind, &change));
        }
    }
}

fn hello(node: &TestNode, token: &str) -> Answer {
    node.live.get("/hello").bearer(token).send()
}

fn statuses(node: &TestNode, token: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| hello(node, token).status).collect()
}

fn checked(node: &TestNode, token: &str) -> Answer {
    let call = node.live.get("/auth/check").bearer(token);
    let call = call.header("X-Forwarded-Method", "GET");
    call.header("X-Forwarded-Uri", "/hello").send()
}

/// A call to the content addresses with a key set.
fn content(node: &TestNode, keys: &Keys) -> Call {
    let target = format!("/api/Property/{}", keys.public_id);
    let [timestamp, authentication] = keys.signer().headers("GET", &target, NOW_S);
    let call = node.live.get(&target).header(&timestamp.0, &timestamp.1);
    call.header(&authentication.0, &authentication.1)
}

#[test]
fn a_caller_is_told_how_it_stands_and_refused_after_its_burst_until_the_rate_has_come_back() {
    let node = node(&[rate("per-key", Per::Credential, 1, 10, 3)]);
    let keys = node.keys(LIVE, Audience::Routes);
    let token = node.token(LIVE, &keys);
    for remaining in (0..3).rev() {
        let answer = hello(&node, &token).expect(200);
        let policy = answer.header("ratelimit-policy");
        assert_eq!(policy, Some("\"per-key\";q=3;w=30"));
        let standing = format!("\"per-key\";r={remaining};t={}", (3 - remaining) * 10);
        assert_eq!(answer.header("ratelimit"), Some(standing.as_str()));
    }
    let refused = hello(&node, &token).expect(429);
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(refused.header("ratelimit"), Some("\"per-key\";r=0;t=30"));
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some("\"per-key\";q=3;w=30")
    );
    let problem = refused.json();
    assert_eq!(problem["type"], "urn:wayleave:problem:rate-limited");
    assert_eq!(problem["limit"], "per-key");
    node.clock.advance(Duration::from_micros(9_999_999));
    hello(&node, &token).expect(429);
    node.clock.advance(Duration::from_micros(1));
    hello(&node, &token).expect(200);
    hello(&node, &token).expect(429);
    let metrics = node.monitor.get("/metrics").send().text();
    let line = "wayleave_rate_limited_total{environment=\"live\"} 3";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

#[test]
fn credentials_partners_and_routes_are_counted_apart_as_each_limit_says() {
    for (per, expected) in [
        (Per::Credential, [200, 200, 200]),
        (Per::Partner, [429, 200, 200]),
        (Per::Route, [429, 429, 200]),
    ] {
        let node = node(&[rate("one", per, 1, 60, 1)]);
        let first = node.keys(LIVE, Audience::Routes);
        let same = node.keys_of(LIVE, &first.partner, json!({ "audience": "routes" }));
        let other = node.keys(LIVE, Audience::Routes);
        hello(&node, &node.token(LIVE, &first)).expect(200);
        let of = |keys: &Keys| hello(&node, &node.token(LIVE, keys)).status;
        let set = node.keys(LIVE, Audience::Management);
        let found = [of(&same), of(&other), content(&node, &set).send().status];
        assert_eq!(found, expected, "{per:?}");
    }
}

#[test]
fn live_and_test_are_counted_apart() {
    let node = node(&[rate("one", Per::Route, 1, 60, 1)]);
    for environment in Environment::ALL {
        let keys = node.keys(environment, Audience::Routes);
        let token = node.token(environment, &keys);
        let call = node.address(environment).get("/hello").bearer(&token);
        assert_eq!((call.clone().send().status, call.send().status), (200, 429));
    }
}

#[test]
fn a_refused_request_takes_nothing_from_the_other_limits() {
    let node = node(&[
        rate("slow", Per::Credential, 1, 60, 2),
        rate("shared", Per::Route, 1, 1, 1),
    ]);
    let token = node.token(LIVE, &node.keys(LIVE, Audience::Routes));
    assert_eq!(statuses(&node, &token, 5), [200, 429, 429, 429, 429]);
    node.clock.advance(Duration::from_secs(1));
    let answer = hello(&node, &token).expect(200);
    assert_eq!(
        answer.header("ratelimit"),
        Some("\"slow\";r=0;t=119, \"shared\";r=0;t=1")
    );
    node.clock.advance(Duration::from_secs(1));
    assert_eq!(hello(&node, &token).expect(429).json()["limit"], "slow");
}

#[test]
fn who_is_not_proven_or_not_admitted_takes_nothing() {
    let node = node(&[rate("shared", Per::Route, 1, 60, 1)]);
    for _ in 0..3 {
        node.live.get("/hello").send().expect(401);
        node.live.get("/hello").bearer("x.y.z").send().expect(401);
    }
    let token = node.token(LIVE, &node.keys(LIVE, Audience::Routes));
    hello(&node, &token).expect(200);
}

#[test]
fn content_addresses_say_429_in_their_own_words() {
    let node = node(&[rate("per-key", Per::Credential, 1, 5, 1)]);
    let keys = node.keys(LIVE, Audience::Management);
    content(&node, &keys).send().expect(200);
    let refused = content(&node, &keys).send().expect(429);
    assert_eq!(refused.header("retry-after"), Some("5"));
    let message = "too many requests for the limit per-key: the next one may come in 5 s";
    assert_eq!(refused.json(), json!({ "Message": message }));
    let refused = content(&node, &keys).header("Accept", "application/xml");
    let text = refused.send().expect(429).text();
    assert!(
        text.contains(&format!("<Message>{message}</Message>")),
        "{text}"
    );
}

#[test]
fn the_question_of_another_proxy_counts_like_a_request() {
    let node = node(&[rate("per-key", Per::Credential, 1, 10, 2)]);
    let token = node.token(LIVE, &node.keys(LIVE, Audience::Routes));
    let answer = checked(&node, &token).expect(204);
    assert_eq!(answer.header("ratelimit"), Some("\"per-key\";r=1;t=10"));
    hello(&node, &token).expect(200);
    let refused = checked(&node, &token).expect(429);
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(refused.header("ratelimit"), Some("\"per-key\";r=0;t=20"));
}

#[test]
fn setting_the_clock_locks_nobody_out_and_opens_no_second_window() {
    let node = node(&[rate("per-route", Per::Route, 1, 60, 2)]);
    let keys = node.keys(LIVE, Audience::Routes);
    let token = node.token(LIVE, &keys);
    assert_eq!(statuses(&node, &token, 3), [200, 200, 429]);
    let years = 10 * 366 * 86_400;
    for step_s in [-1, 301, -301, -2 * 86_400, 86_400, years] {
        node.clock.set(NOW_S + step_s);
        let key_of_then = node.keys_of(LIVE, &keys.partner, json!({ "audience": "routes" }));
        let token = node.token(LIVE, &key_of_then);
        assert_eq!(statuses(&node, &token, 1), [429], "{step_s}");
        node.clock.advance(Duration::from_secs(60));
        assert_eq!(statuses(&node, &token, 2), [200, 429], "{step_s}");
    }
}

fn with_plans(settings: &mut NodeSettings) {
    settings.plans = vec![
        Plan {
            name: "small".to_owned(),
            limits: vec![rate("small-calls", Per::Partner, 1, 60, 1)],
        },
        Plan {
            name: "large".to_owned(),
            limits: vec![rate("large-calls", Per::Partner, 1, 60, 3)],
        },
    ];
}

fn set_plan(node: &TestNode, partner: &str, plan: Value) -> Answer {
    let target = format!("/live/v1/partners/{partner}/set-plan");
    node.operate("POST", &target, Some(json!({ "plan": plan })))
}

#[test]
fn a_plan_counts_for_its_partner_from_the_next_request_on_and_after_a_restart() {
    on_each_database(with_plans, |mut node| {
        let keys = node.keys(LIVE, Audience::Routes);
        let other = node.keys(LIVE, Audience::Routes);
        let token = node.token(LIVE, &keys);
        assert_eq!(statuses(&node, &token, 5), [200; 5]);
        let shown = set_plan(&node, &keys.partner, json!("small")).expect(200);
        assert_eq!(shown.json()["plan"], "small");
        assert_eq!(statuses(&node, &token, 2), [200, 429]);
        assert_eq!(statuses(&node, &node.token(LIVE, &other), 5), [200; 5]);
        set_plan(&node, &keys.partner, json!("large")).expect(200);
        assert_eq!(statuses(&node, &token, 4), [200, 200, 200, 429]);
        node.restart();
        let token = node.token(LIVE, &keys);
        assert_eq!(statuses(&node, &token, 4), [200, 200, 200, 429]);
        set_plan(&node, &keys.partner, Value::Null).expect(200);
        assert_eq!(statuses(&node, &token, 5), [200; 5]);
        let trail = node
            .operate("GET", "/live/v1/audit?limit=1000", None)
            .json();
        let acts = trail["data"].as_array().expect("rows").iter();
        let acts = acts.filter(|row| row["act"] == "partner.set-plan" && row["stage"] == "done");
        assert_eq!(acts.count(), 3);
    });
}

#[test]
fn a_plan_that_is_not_configured_cannot_be_given_and_support_may_give_none() {
    on_each_database(with_plans, |node| {
        let partner = node.partner(LIVE);
        let refused = set_plan(&node, &partner, json!("gold")).expect(422).json();
        assert!(
            refused["message"].as_str().unwrap().contains("plan"),
            "{refused}"
        );
        let target = format!("/live/v1/partners/{partner}/set-plan");
        let call = node.admin.post(&target).bearer(SUPPORT);
        call.json(&json!({ "plan": "small" })).send().expect(403);
        let nobody = "ptr_01m80p48vazfwqp45pxt8h5btb";
        set_plan(&node, nobody, json!("small")).expect(404);
    });
}

#[test]
fn a_plan_that_has_left_the_configuration_closes_its_partner_alone() {
    let mut node = TestNode::start_with(DatabaseKind::Sqlite, with_plans);
    let keys = node.keys(LIVE, Audience::Routes);
    let other = node.keys(LIVE, Audience::Routes);
    set_plan(&node, &keys.partner, json!("small")).expect(200);
    node.halt();
    node.forget_plans();
    node.run();
    let refused = hello(&node, &node.token(LIVE, &keys)).expect(503);
    assert!(!refused.text().contains("small"), "nothing internal");
    hello(&node, &node.token(LIVE, &other)).expect(200);
    set_plan(&node, &keys.partner, Value::Null).expect(200);
    hello(&node, &node.token(LIVE, &keys)).expect(200);
}
