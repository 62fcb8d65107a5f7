//! Limits of routes and of plans.

use std::time::Duration;

use serde_json::{Value, json};
use wayleave::node::NodeSettings;
use wayleave_core::{Audience, Environment, Limit, Measure, Per, Period, Plan, Rate};
use wayleave_testkit::{Address, Answer, Call, DatabaseKind, TakenAway};

use crate::harness::{Keys, NOW_S, SUPPORT, TestNode, wait_for};
use crate::keep_alive::repeated;
use crate::serving::eventually;
use crate::storage::open_beside;

const LIVE: Environment = Environment::Live;

fn rate(name: &str, per: Per, requests: u32, per_s: u32, burst: u32) -> Limit {
    Limit {
        name: name.to_owned(),
        per,
        measure: Measure::Rate(Rate::new(requests, per_s, burst).expect("a rate")),
    }
}

fn quota(name: &str, per: Per, requests: i64, period: Period) -> Limit {
    Limit {
        name: name.to_owned(),
        per,
        measure: Measure::quota(requests, period).expect("a quota"),
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
    let now_s = node.engine(LIVE).now().unix_s();
    let [timestamp, authentication] = keys.signer().headers("GET", &target, now_s);
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

/// Seconds from the clock of the tests to midnight, and to the end of March.
const TO_MIDNIGHT_S: i64 = 49_170;
const TO_APRIL_S: i64 = TO_MIDNIGHT_S + 15 * 86_400;

/// What the store says was given out, of all quotas.
fn given_out(node: &TestNode) -> i64 {
    let sum = "SELECT CAST(COALESCE(SUM(used), 0) AS BIGINT) FROM quota";
    let text = node.database(LIVE).run(sum);
    text.trim().parse().expect("a number")
}

#[test]
fn a_quota_is_told_counted_down_and_refused_until_its_period_ends() {
    let limit = quota("daily", Per::Credential, 3, Period::Day);
    on_each_database(
        |settings| limit_all(settings, std::slice::from_ref(&limit)),
        |node| {
            let keys = node.keys(LIVE, Audience::Management);
            let call = || content(&node, &keys).send();
            for remaining in (0..3).rev() {
                let answer = call().expect(200);
                let policy = answer.header("ratelimit-policy");
                assert_eq!(policy, Some("\"daily\";q=3;w=86400"));
                let standing = format!("\"daily\";r={remaining};t={TO_MIDNIGHT_S}");
                assert_eq!(answer.header("ratelimit"), Some(standing.as_str()));
            }
            let token = node.token(LIVE, &node.keys(LIVE, Audience::Routes));
            assert_eq!(statuses(&node, &token, 5), [200, 200, 200, 429, 429]);
            let refused = hello(&node, &token);
            let to_midnight = TO_MIDNIGHT_S.to_string();
            assert_eq!(refused.header("retry-after"), Some(to_midnight.as_str()));
            let problem = refused.json();
            assert_eq!(problem["type"], "urn:wayleave:problem:quota-exceeded");
            assert_eq!(problem["limit"], "daily");
            let metrics = node.monitor.get("/metrics").send().text();
            let line = "wayleave_over_quota_total{environment=\"live\"} 3";
            assert!(metrics.lines().any(|found| found == line), "{metrics}");
            node.clock.advance(Duration::from_secs(3_000));
            assert_eq!(statuses(&node, &token, 1), [429]);
        },
    );
}

#[test]
fn a_quota_begins_anew_with_its_period_and_never_twice() {
    let limits = [
        quota("daily", Per::Route, 2, Period::Day),
        quota("monthly", Per::Route, 5, Period::Month),
    ];
    on_each_database(
        |settings| limit_all(settings, &limits),
        |node| {
            let keys = node.keys(LIVE, Audience::Routes);
            let at = |offset_s: i64| {
                node.clock.set(NOW_S + offset_s);
                let more = json!({ "audience": "routes" });
                let token = node.token(LIVE, &node.keys_of(LIVE, &keys.partner, more));
                statuses(&node, &token, 3)
            };
            assert_eq!(at(0), [200, 200, 429]);
            let years = 10 * 366 * 86_400;
            for set_s in [-1, 301, -301, years, 0] {
                let expected = if set_s == years {
                    [200, 200, 429]
                } else {
                    [429; 3]
                };
                assert_eq!(at(set_s), expected, "{set_s}");
            }
            assert_eq!(at(TO_MIDNIGHT_S - 1), [429; 3]);
            assert_eq!(at(TO_MIDNIGHT_S), [200, 200, 429]);
            assert_eq!(at(0), [429; 3], "the day before is used up still");
            assert_eq!(at(TO_MIDNIGHT_S + 86_400), [200, 429, 429], "the month");
            assert_eq!(at(TO_APRIL_S), [200, 200, 429]);
            wait_for(node.engine(LIVE).forget_old()).expect("written");
            assert_eq!(at(0), [429; 3], "a clock that was set forgets nothing");
        },
    );
}

#[test]
fn quotas_of_long_ago_are_forgotten() {
    let node = node(&[quota("daily", Per::Route, 2, Period::Day)]);
    let keys = node.keys(LIVE, Audience::Routes);
    assert_eq!(statuses(&node, &node.token(LIVE, &keys), 2), [200, 200]);
    let rows = || node.database(LIVE).run("SELECT limit_name FROM quota");
    node.clock.advance(Duration::from_secs(60 * 86_400));
    wait_for(node.engine(LIVE).forget_old()).expect("written");
    assert_eq!(rows().trim(), "daily");
    node.clock.advance(Duration::from_secs(3 * 86_400));
    wait_for(node.engine(LIVE).forget_old()).expect("written");
    assert_eq!(rows().trim(), "");
}

#[test]
fn who_comes_too_soon_takes_nothing_of_a_quota() {
    let node = node(&[
        quota("hourly", Per::Credential, 2, Period::Hour),
        rate("slow", Per::Credential, 1, 10, 1),
    ]);
    let token = node.token(LIVE, &node.keys(LIVE, Audience::Routes));
    assert_eq!(statuses(&node, &token, 4), [200, 429, 429, 429]);
    node.clock.advance(Duration::from_secs(10));
    let answer = hello(&node, &token).expect(200);
    let standing = answer.header("ratelimit").expect("a standing");
    assert!(standing.starts_with("\"hourly\";r=0;t="), "{standing}");
    node.clock.advance(Duration::from_secs(10));
    assert_eq!(hello(&node, &token).expect(429).json()["limit"], "hourly");
}

#[test]
fn an_answer_of_whatever_kind_gives_nothing_back() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        // Nobody is at the end of this route.
        settings.environments[0].surfaces.routes[2].limits =
            vec![quota("daily", Per::Credential, 3, Period::Day)];
    });
    let token = node.token(LIVE, &node.keys(LIVE, Audience::Routes));
    let status = || node.live.get("/nobody").bearer(&token).send().status;
    let statuses: Vec<u16> = (0..5).map(|_| status()).collect();
    assert_eq!(statuses, [502, 502, 502, 429, 429]);
}

#[test]
fn what_a_node_holds_and_does_not_use_is_given_back() {
    let limit = quota("daily", Per::Partner, 1_000, Period::Day);
    on_each_database(
        |settings| limit_all(settings, std::slice::from_ref(&limit)),
        |mut node| {
            let keys = node.keys(LIVE, Audience::Routes);
            let token = node.token(LIVE, &keys);
            hello(&node, &token).expect(200);
            assert!(given_out(&node) > 1, "it holds more than it used");
            wait_for(node.engine(LIVE).tend_quotas()).expect("written");
            assert!(given_out(&node) > 1, "for a while");
            node.clock.advance(Duration::from_secs(11));
            wait_for(node.engine(LIVE).tend_quotas()).expect("written");
            assert_eq!(given_out(&node), 1);
            hello(&node, &token).expect(200);
            node.halt();
            assert_eq!(given_out(&node), 2, "at the end all");
            node.run();
            let answer = hello(&node, &node.token(LIVE, &keys)).expect(200);
            let standing = answer.header("ratelimit").expect("a standing");
            assert!(standing.starts_with("\"daily\";r=997;"), "{standing}");
        },
    );
}

#[test]
fn without_its_database_a_quota_refuses_and_a_rate_goes_on() {
    let change = |settings: &mut NodeSettings| {
        limit_all(settings, &[rate("fast", Per::Credential, 100, 1, 100)]);
        let daily = quota("daily", Per::Credential, 1_000_000, Period::Day);
        for environment in &mut settings.environments {
            environment
                .surfaces
                .content
                .as_mut()
                .expect("it is on")
                .limits = vec![daily.clone()];
        }
    };
    on_each_database(change, |node| {
        let token = node.token(LIVE, &node.keys(LIVE, Audience::Routes));
        let keys = node.keys(LIVE, Audience::Management);
        let away = TakenAway::take(&node.settings().environments[0].database);
        let refused = content(&node, &keys).send().expect(503);
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert!(!refused.text().contains("daily"), "nothing internal");
        content(&node, &keys).send().expect(503);
        hello(&node, &token).expect(200);
        drop(away);
        eventually("the quota is there again", || {
            node.clock.advance(Duration::from_secs(1));
            content(&node, &keys).send().status == 200
        });
    });
}

/// Asks `/auth/check` about `/hello` again and again on one connection; how often the answer was 204,
/// until the connection ended.
pub(crate) fn ask_often(address: Address, token: &str, count: usize) -> usize {
    let question = format!(
        "GET /auth/check HTTP/1.1\r\nHost: x\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /hello\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let mut statuses = repeated(address, &question, count);
    let passed = statuses.remove(&204).unwrap_or_default();
    statuses.remove(&429);
    assert!(statuses.is_empty(), "{statuses:?}");
    passed
}

/// Ten thousand questions over many connections, spread over addresses; how many may pass.
fn ask_from_all_sides(addresses: &[Address], token: &str) -> usize {
    const CONNECTIONS: usize = 40;
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let address = addresses[number % addresses.len()];
                scope.spawn(move || ask_often(address, token, 10_000 / CONNECTIONS))
            })
            .collect();
        asking
            .into_iter()
            .map(|asked| asked.join().expect("asked"))
            .sum()
    })
}

#[test]
fn of_ten_thousand_at_once_exactly_the_quota_passes() {
    let limit = quota("daily", Per::Partner, 1_000, Period::Day);
    on_each_database(
        |settings| limit_all(settings, std::slice::from_ref(&limit)),
        |node| {
            let token = node.token(LIVE, &node.keys(LIVE, Audience::Routes));
            assert_eq!(ask_from_all_sides(&[node.live], &token), 1_000);
            assert_eq!(given_out(&node), 1_000);
        },
    );
}

#[test]
fn two_nodes_together_let_pass_exactly_the_quota() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let limit = quota("daily", Per::Partner, 1_000, Period::Day);
    let node = TestNode::start_with(DatabaseKind::Postgres, |settings| {
        limit_all(settings, std::slice::from_ref(&limit));
        // Tokens name the address that they were issued at.
        settings.environments[0].public_url = Some("http://api.example".to_owned());
    });
    let other = open_beside(&node, |_| {}).expect("a second node");
    let address = Address::at(other.address(LIVE));
    let _running = other
        .start(wayleave_engine::Operators::default(), Vec::new())
        .expect("it serves");
    let token = node.token(LIVE, &node.keys(LIVE, Audience::Routes));
    eventually("the other node knows the credential", || {
        node.clock.advance(Duration::from_millis(200));
        address.get("/hello").bearer(&token).send().status != 401
    });
    // The look that was proven took one.
    let passed = ask_from_all_sides(&[node.live, address], &token);
    assert_eq!(passed, 999);
    assert_eq!(given_out(&node), 1_000);
}
