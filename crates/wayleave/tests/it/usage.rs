//! What was used: counted once, kept, shown.

use std::time::Duration;

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment, Limit, Measure, Per, Rate};
use wayleave_engine::{StoreError, UsageKind};
use wayleave_store::{Usage, UsageKey};
use wayleave_testkit::{DatabaseKind, TakenAway};

use crate::harness::{
    DemoProcess, Keys, PROPERTY_ADMINISTRATOR, SUPPORT, TestNode, on_both_databases, wait_for,
};
use crate::serving::eventually;

const LIVE: Environment = Environment::Live;

/// Writes what was counted so far.
fn write(node: &TestNode) {
    wait_for(node.engine(LIVE).write_usage()).expect("written");
}

/// The rows of the usage, by the words of a query.
fn usage(node: &TestNode, query: &str) -> Vec<Value> {
    let target = format!("/live/v1/usage?{query}");
    let page = node.operate("GET", &target, None).expect(200).json();
    page["data"].as_array().expect("rows").clone()
}

/// The rows as texts of some of their members.
fn told(rows: &[Value], members: &[&str]) -> Vec<String> {
    let row = |row: &Value| {
        let texts = members.iter().map(|member| match &row[member] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        texts.collect::<Vec<_>>().join(" ")
    };
    rows.iter().map(row).collect()
}

fn say_hello(node: &TestNode, keys: &Keys, count: usize) {
    let token = node.token(LIVE, keys);
    for _ in 0..count {
        node.live.get("/hello").bearer(&token).send().expect(200);
    }
}

on_both_databases! {
    fn requests_are_counted_by_partner_credential_route_kind_and_status(node: TestNode) {
        let keys = node.keys(LIVE, Audience::Routes);
        let other = node.keys(LIVE, Audience::Routes);
        say_hello(&node, &keys, 3);
        say_hello(&node, &other, 1);
        let token = node.token(LIVE, &keys);
        node.live.get("/nobody").bearer(&token).send().expect(502);
        node.live.get("/jobs").bearer(&token).send().expect(403);
        let check = node.live.get("/auth/check").bearer(&token).header("X-Forwarded-Method", "GET");
        check.clone().header("X-Forwarded-Uri", "/hello").send().expect(204);
        check.header("X-Forwarded-Uri", "/jobs").send().expect(403);
        // Nobody's: not proven, or nowhere.
        node.live.get("/hello").send().expect(401);
        node.live.get("/nothing").bearer(&token).send().expect(404);
        write(&node);
        let rows = usage(&node, "by=route,kind,status");
        assert_eq!(told(&rows, &["route", "kind", "status", "requests"]), [
            "/hello checked 204 1", "/hello proxied 200 4", "/jobs checked 403 1",
            "/jobs refused 403 1", "/nobody proxied 502 1",
        ]);
        assert!(rows[0].get("partner").is_none() && rows[0].get("starts_at").is_none());
        let mine = usage(&node, &format!("by=partner,credential&partner={}", keys.partner));
        let expected = format!("{} {} 7", keys.partner, keys.credential);
        assert_eq!(told(&mine, &["partner", "credential", "requests"]), [expected]);
        let of = |query: &str| told(&usage(&node, &format!("by=kind&{query}")), &["kind", "requests"]);
        assert_eq!(of(&format!("credential={}", other.credential)), ["proxied 1"]);
        assert_eq!(of("route=/nobody"), ["proxied 1"]);
        assert_eq!(of("status=403"), ["checked 1", "refused 1"]);
        assert_eq!(of("kind=checked"), ["checked 2"]);
        assert_eq!(of("route=/nothing"), Vec::<String>::new());
        let test = node.operate("GET", "/test/v1/usage", None).expect(200).json();
        assert_eq!(test["data"], json!([]));
    }

    fn bodies_are_counted_in_bytes(node: TestNode) {
        let keys = node.keys(LIVE, Audience::Routes);
        let token = node.token(LIVE, &keys);
        let answer = node.live.post("/hello").bearer(&token).body("text/plain", "0123456789").send();
        let length = answer.expect(200).text().len();
        write(&node);
        let rows = usage(&node, "by=day");
        assert_eq!((&rows[0]["request_bytes"], &rows[0]["answer_bytes"]), (&json!(10), &json!(length)));
    }

    fn hours_and_days_are_summed_and_hours_are_forgotten_first(node: TestNode) {
        let keys = node.keys(LIVE, Audience::Routes);
        say_hello(&node, &keys, 2);
        write(&node);
        node.clock.advance(Duration::from_secs(3_600));
        say_hello(&node, &keys, 1);
        write(&node);
        node.clock.advance(Duration::from_secs(86_400));
        say_hello(&node, &keys, 4);
        write(&node);
        let (hour, day) = (1_805_191_200, 1_805_155_200);
        let hours = usage(&node, &format!("by=hour&from={day}"));
        assert_eq!(told(&hours, &["starts_at", "requests"]), [
            format!("{hour} 2"), format!("{} 1", hour + 3_600), format!("{} 4", hour + 90_000),
        ]);
        let days = || told(&usage(&node, "by=day"), &["starts_at", "requests"]);
        let both = [format!("{day} 3"), format!("{} 4", day + 86_400)];
        assert_eq!(days(), both);
        // Whole days: the one in which `to` lies counts, and one that begins there does not.
        let until = |to: i64| told(&usage(&node, &format!("by=day&to={to}")), &["requests"]);
        assert_eq!(until(day + 86_400), ["3"]);
        assert_eq!(until(day + 86_401), ["3", "4"]);
        assert_eq!(told(&usage(&node, "by=kind"), &["requests"]), ["7"]);
        let usual = told(&usage(&node, "by=hour"), &["requests"]);
        assert_eq!(usual, ["1", "4"], "a day back, from the full hour");
        node.clock.advance(Duration::from_secs(61 * 86_400 + 43_200));
        node.engine(LIVE).keep_hours_of_usage(62);
        wait_for(node.engine(LIVE).forget_old()).expect("written");
        let hours = told(&usage(&node, &format!("by=hour&from={day}")), &["requests"]);
        assert_eq!(hours, ["4"]);
        assert_eq!(told(&usage(&node, &format!("by=day&from={day}")), &["starts_at", "requests"]), both);
    }

    fn a_batch_counts_once_however_often_it_is_written(node: TestNode) {
        let keys = node.keys(LIVE, Audience::Routes);
        let now = node.engine(LIVE).now();
        let rows: Vec<(UsageKey, Usage)> = (0..120).map(|status| {
            let key = UsageKey {
                starts_at: now,
                partner_id: keys.partner.parse().unwrap(),
                credential_id: keys.credential.parse().unwrap(),
                route: "/hello".to_owned(),
                kind: UsageKind::Proxied,
                status: 200 + status,
            };
            (key, Usage { requests: 1, request_bytes: 2, answer_bytes: 3 })
        }).collect();
        let put = |run: &'static str, batch: i64| {
            let rows = rows.clone();
            let store = node.engine(LIVE).store();
            let written = store.write(now, move |transaction| Box::pin(async move {
                transaction.add_usage(run, batch, now, &rows).await
            }));
            wait_for(written).expect("written");
        };
        for (run, batch) in [("a", 1), ("a", 1), ("a", 2), ("a", 1), ("b", 1), ("b", 1)] {
            put(run, batch);
        }
        let rows = usage(&node, "by=route");
        assert_eq!(told(&rows, &["requests", "request_bytes", "answer_bytes"]), ["360 720 1080"]);
    }

    fn lengths_that_are_only_claimed_make_no_sum_that_cannot_be_written(node: TestNode) {
        let keys = node.keys(LIVE, Audience::Routes);
        let now = node.engine(LIVE).now();
        let row = |status| {
            let key = UsageKey {
                starts_at: now,
                partner_id: keys.partner.parse().unwrap(),
                credential_id: keys.credential.parse().unwrap(),
                route: "/hello".to_owned(),
                kind: UsageKind::Proxied,
                status,
            };
            let mut claimed = Usage::default();
            claimed.add(Usage { requests: 1, request_bytes: i64::MAX, answer_bytes: 1 });
            (key, claimed)
        };
        for batch in 1..=3 {
            let rows = [row(200), row(201)];
            let store = node.engine(LIVE).store();
            let written = store.write(now, move |transaction| Box::pin(async move {
                transaction.add_usage("a", batch, now, &rows).await
            }));
            wait_for(written).expect("written");
        }
        let most = 9_007_199_254_740_991_i64;
        let rows = usage(&node, "by=route");
        let told = told(&rows, &["requests", "request_bytes", "answer_bytes"]);
        assert_eq!(told, [format!("6 {} 6", 2 * most)]);
    }

    fn what_cannot_be_written_now_is_written_later_and_once(node: TestNode) {
        let keys = node.keys(LIVE, Audience::Routes);
        let token = node.token(LIVE, &keys);
        let hello = || node.live.get("/hello").bearer(&token).send().expect(200);
        let away = TakenAway::take(&node.settings().environments[0].database);
        hello();
        let failed = wait_for(node.engine(LIVE).write_usage()).expect_err("it is away");
        assert!(matches!(failed, wayleave_engine::Refusal::Store(StoreError::Unavailable(_))), "{failed}");
        hello();
        drop(away);
        eventually("both are written", || {
            let _ = wait_for(node.engine(LIVE).write_usage());
            let rows = node.database(LIVE).run("SELECT CAST(SUM(requests) AS BIGINT) FROM usage_day");
            rows.trim() == "2"
        });
        write(&node);
        assert_eq!(told(&usage(&node, "by=day"), &["requests"]), ["2"]);
    }

    fn counts_outlive_the_end_of_a_node(node: TestNode) {
        let mut node = node;
        let keys = node.keys(LIVE, Audience::Routes);
        say_hello(&node, &keys, 5);
        node.restart();
        assert_eq!(told(&usage(&node, "by=route"), &["route", "requests"]), ["/hello 5"]);
    }

    fn pages_follow_each_other_whatever_is_told_apart(node: TestNode) {
        for _ in 0..3 {
            let keys = node.keys(LIVE, Audience::Routes);
            say_hello(&node, &keys, 2);
            let token = node.token(LIVE, &keys);
            node.live.get("/jobs").bearer(&token).send().expect(403);
        }
        write(&node);
        for by in ["day,partner,credential,route,kind,status", "hour,status", "credential", "kind,route"] {
            let whole = usage(&node, &format!("by={by}"));
            let mut paged: Vec<Value> = Vec::new();
            loop {
                let after = paged.last().map_or("", |row| row["cursor"].as_str().unwrap());
                let after = after.replace('/', "%2F");
                let target = format!("/live/v1/usage?by={by}&limit=1&after={after}");
                let page = node.operate("GET", &target, None).expect(200).json();
                paged.extend(page["data"].as_array().unwrap().iter().cloned());
                if page["has_more"] == false {
                    break;
                }
            }
            assert_eq!(paged, whole, "{by}");
            assert!(whole.len() > 1, "{by}");
        }
        for wrong in ["by=week", "by=hour,day", "kind=x", "status=x", "from=x", "after=x", "partner=x"] {
            node.operate("GET", &format!("/live/v1/usage?{wrong}"), None).expect(422);
        }
        node.operate("GET", "/live/v1/usage?colour=red", None).expect(400);
    }
}

#[test]
fn refusals_of_limits_are_counted_apart_from_what_passed() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.environments[0].surfaces.routes[0].limits = vec![Limit {
            name: "two".to_owned(),
            per: Per::Credential,
            measure: Measure::Rate(Rate::new(1, 3_600, 2).expect("a rate")),
        }];
        settings.environments[0].surfaces.routes[0].name = Some("greetings".to_owned());
    });
    let token = node.token(LIVE, &node.keys(LIVE, Audience::Routes));
    for status in [200, 200, 429, 429] {
        node.live.get("/hello").bearer(&token).send().expect(status);
    }
    write(&node);
    let rows = usage(&node, "by=route,kind,status");
    assert_eq!(
        told(&rows, &["route", "kind", "status", "requests"]),
        ["greetings proxied 200 2", "greetings refused 429 2"]
    );
}

#[test]
fn support_sees_usage_and_who_has_properties_alone_does_not() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let status = |token: &str| node.admin.get("/live/v1/usage").bearer(token).send().status;
    assert_eq!(
        (status(SUPPORT), status(PROPERTY_ADMINISTRATOR)),
        (200, 403)
    );
    node.operate("POST", "/live/v1/usage", None).expect(405);
}

#[test]
fn a_killed_node_loses_a_second_at_most() {
    let mut demo = DemoProcess::start(DatabaseKind::Sqlite);
    let token = {
        let set = &demo.file["live"]["token"];
        let [key, secret] = ["api_key", "api_secret"].map(|name| set[name].as_str().unwrap());
        let answer = demo.address(LIVE).get("/token").basic(key, secret).send();
        answer.expect(200).json()["token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let path = demo.file["live"]["protected_path"]
        .as_str()
        .unwrap()
        .to_owned();
    for _ in 0..7 {
        demo.address(LIVE)
            .get(&path)
            .bearer(&token)
            .send()
            .expect(200);
    }
    std::thread::sleep(Duration::from_millis(2_500));
    demo.restart();
    let admin = demo.file["admin"]["url"].as_str().unwrap().to_owned();
    let operator = demo.file["admin"]["token"].as_str().unwrap().to_owned();
    let call = wayleave_testkit::Address::of(&admin).get("/live/v1/usage?by=route");
    let rows = call.bearer(&operator).send().expect(200).json();
    assert_eq!(rows["data"][0]["requests"], 7, "{rows}");
}
