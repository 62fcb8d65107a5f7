//! Traces by OTLP: what a collector gets, and what the API behind is told.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use wayleave::traces::TraceSettings;
use wayleave_core::{Audience, Environment};
use wayleave_testkit::{Call, DatabaseKind};
use wayleave_web::TrustedProxies;

use crate::harness::{Keys, NOW_S, TestNode, route};
use crate::raw_upstream::RawUpstream;

const TEST: Environment = Environment::Test;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const ABOVE: &str = "b7ad6b7169203331";

struct Traced {
    node: TestNode,
    collector: RawUpstream,
    behind: RawUpstream,
    keys: Keys,
}

/// A node that traces, with a collector and an API behind that keep what they get.
fn start(sample_ratio: f64, trusted: &[&str]) -> Traced {
    let (collector, behind) = (RawUpstream::start(), RawUpstream::start());
    let address = format!("{}/v1/traces", collector.upstream());
    let upstream = behind.upstream();
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.traces = Some(TraceSettings {
            collector: address.parse().expect("an address"),
            sample_ratio,
        });
        settings.trusted_proxies = TrustedProxies::parse(trusted).expect("networks");
        let routes = &mut settings.environments[1].surfaces.routes;
        let mut raw = route("/raw", &[Audience::Routes], "");
        raw.upstream = upstream.clone();
        routes.push(raw);
        let mut away = route("/away", &[Audience::Routes], "");
        away.upstream = "http://127.0.0.1:1".parse().expect("an upstream");
        routes.push(away);
    });
    let keys = node.keys(TEST, Audience::Routes);
    Traced {
        node,
        collector,
        behind,
        keys,
    }
}

impl Traced {
    /// A token, got without a trace of it: the collector has not been called then.
    fn call(&self, path: &str) -> Call {
        let token = self.node.token(TEST, &self.keys);
        self.node.test.get(path).bearer(&token)
    }

    /// Every span that the collector has got.
    fn spans(&self) -> Vec<Value> {
        let text = self.collector.text();
        let bodies = text.split("POST /v1/traces HTTP/1.1\r\n").skip(1);
        let bodies = bodies.filter_map(|call| call.split_once("\r\n\r\n"));
        let calls = bodies.filter_map(|(_, body)| serde_json::from_str::<Value>(body).ok());
        let spans = calls.flat_map(|call| {
            let scope = &call["resourceSpans"][0]["scopeSpans"][0];
            scope["spans"].as_array().expect("spans").clone()
        });
        spans.collect()
    }

    /// The span of a kind (2: of a request that came in, 3: of a call to an API behind) whose
    /// status is this one.
    fn span(&self, kind: u64, status: u64) -> Value {
        let mut found = None;
        eventually(|| {
            found = self.spans().into_iter().rfind(|span| {
                span["kind"] == kind
                    && attribute(span, "http.response.status_code") == json!(status.to_string())
                    && attribute(span, "wayleave.dialect") != json!("token")
            });
            found.is_some()
        });
        found.expect("a span")
    }
}

/// Asks again until it holds; a test that asks for ever is ended by its runner.
fn eventually(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn attribute(span: &Value, name: &str) -> Value {
    let attributes = span["attributes"].as_array().expect("attributes");
    let found = attributes
        .iter()
        .find(|attribute| attribute["key"] == name)
        .map(|attribute| &attribute["value"]);
    found.map_or(Value::Null, |value| {
        let mut values = value.as_object().expect("a value").values();
        values.next().expect("a value").clone()
    })
}

#[test]
fn a_request_that_passes_has_a_span_and_below_it_one_of_the_call() {
    let traced = start(1.0, &[]);
    let answer = traced.call("/raw?secret=1").send().expect(200);
    let (request, call) = (traced.span(2, 200), traced.span(3, 200));
    assert_eq!(request["name"], "GET");
    assert_eq!(request["parentSpanId"], Value::Null);
    assert_eq!(call["traceId"], request["traceId"]);
    assert_eq!(call["parentSpanId"], request["spanId"]);
    assert_eq!(request["startTimeUnixNano"], format!("{NOW_S}000000000"));
    assert_eq!(attribute(&request, "wayleave.environment"), "test");
    assert_eq!(
        attribute(&request, "wayleave.partner"),
        json!(traced.keys.partner)
    );
    assert_eq!(
        attribute(&request, "wayleave.credential"),
        json!(traced.keys.credential)
    );
    assert_eq!(
        attribute(&request, "wayleave.request_id"),
        json!(answer.header("request-id"))
    );
    let told = format!(
        "traceparent: 00-{}-{}-01\r\n",
        call["traceId"].as_str().expect("an id"),
        call["spanId"].as_str().expect("an id")
    );
    let heard = traced.behind.text();
    assert!(heard.contains(&told), "{heard}");
    let sent = traced.collector.text();
    assert!(
        !sent.contains("secret=1") && !sent.contains(&traced.keys.secret),
        "{sent}"
    );
}

#[test]
fn a_refusal_and_an_api_that_is_away_are_traced_too() {
    let traced = start(1.0, &[]);
    traced.node.test.get("/raw").send().expect(401);
    let refused = traced.span(2, 401);
    assert_eq!(
        refused["status"]["code"], 0,
        "the client's fault is none of ours"
    );
    assert_eq!(attribute(&refused, "wayleave.partner"), Value::Null);
    traced.call("/away").send().expect(502);
    assert_eq!(traced.span(2, 502)["status"]["code"], 2);
    assert_eq!(traced.span(3, 502)["status"]["code"], 2);
}

#[test]
fn a_trusted_proxys_trace_is_gone_on_with_and_nobody_elses() {
    let parent = format!("00-{TRACE}-{ABOVE}-01");
    let unsampled = format!("00-{TRACE}-{ABOVE}-00");
    let trusting = start(0.0, &["127.0.0.1"]);
    let secure = |call: Call| call.header("X-Forwarded-Proto", "https");
    let keys = trusting.keys.clone();
    let token = secure(
        trusting
            .node
            .test
            .get("/token")
            .basic(&keys.public_id, &keys.secret),
    );
    let token = token.send().expect(200).json();
    let token = token["token"].as_str().expect("a token").to_owned();
    let call = || secure(trusting.node.test.get("/raw").bearer(&token));
    call().header("traceparent", &unsampled).send().expect(200);
    call().send().expect(200);
    call().header("traceparent", &parent).send().expect(200);
    let request = trusting.span(2, 200);
    assert_eq!(
        (&request["traceId"], &request["parentSpanId"]),
        (&json!(TRACE), &json!(ABOVE))
    );
    assert_eq!(
        trusting.spans().len(),
        2,
        "the request that was sampled, and its call"
    );
    assert!(
        trusting.behind.text().contains(&unsampled),
        "it is passed on as it came"
    );

    let distrusting = start(1.0, &[]);
    distrusting
        .call("/raw")
        .header("traceparent", &parent)
        .send()
        .expect(200);
    let request = distrusting.span(2, 200);
    assert_ne!(request["traceId"], TRACE);
    assert_eq!(request["parentSpanId"], Value::Null);
    assert!(
        !distrusting.behind.text().contains(TRACE),
        "two traces would be one"
    );
}

#[test]
fn a_collector_that_is_away_delays_nothing_and_is_counted() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.traces = Some(TraceSettings {
            collector: "http://127.0.0.1:1/v1/traces".parse().expect("an address"),
            sample_ratio: 1.0,
        });
    });
    let keys = node.keys(TEST, Audience::Routes);
    let token = node.token(TEST, &keys);
    for _ in 0..20 {
        node.test.get("/hello").bearer(&token).send().expect(200);
    }
    let dropped = || {
        let metrics = node.monitor.get("/metrics").send().expect(200).text();
        let line = "wayleave_trace_spans_total{outcome=\"dropped\"} ";
        let count = metrics.lines().find_map(|found| found.strip_prefix(line));
        count.expect("the metric").parse::<u64>().expect("a number")
    };
    eventually(|| dropped() >= 41);
}

/// The published schema of OTLP takes what we send, member for member.
#[test]
fn the_schema_of_otlp_takes_what_is_sent() {
    let Some(python) = std::env::var_os("WAYLEAVE_TEST_PYTHON") else {
        eprintln!("left out: WAYLEAVE_TEST_PYTHON is not set; cargo xtask test sets it");
        return;
    };
    let traced = start(1.0, &[]);
    traced.call("/raw").send().expect(200);
    traced.span(3, 200);
    let sent = traced.collector.text();
    let bodies = sent.split("POST /v1/traces HTTP/1.1\r\n").skip(1);
    let body = bodies.filter_map(|call| call.split_once("\r\n\r\n")).next();
    let file = traced.node.folder.path().join("spans.json");
    std::fs::write(&file, body.expect("a call").1).expect("written");
    let script = crate::harness::root().join("crates/wayleave/tests/clients/python/otlp_schema.py");
    let checked = Command::new(python)
        .arg("-B")
        .arg(script)
        .arg(file)
        .output();
    let checked = checked.expect("the interpreter");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}");
    assert!(
        String::from_utf8_lossy(&checked.stdout).contains("ok 2 spans"),
        "{said}"
    );
}
