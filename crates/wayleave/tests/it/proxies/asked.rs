//! The proxy asks Wayleave: who passes and who does not.

use std::time::Duration;

use serde_json::Value;
use wayleave_core::{Audience, Environment, Limit, Measure, Per, Rate};
use wayleave_testkit::{Address, Answer, Call, DatabaseKind};

use super::api::{ANSWER, Api, always};
use super::proxy::deployed;
use super::{Kind, Mode, Proxy, Site, behind_each_proxy};
use crate::harness::{NOW_S, TestNode, root};

const PROBLEM: &str = "application/problem+json";

behind_each_proxy! {
    fn who_may_pass_reaches_the_api_by_name(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let partner = site.node.partner(Environment::Live);
        let scoped = serde_json::json!({ "audience": "routes", "scopes": "jobs:read" });
        let keys = site.node.keys_of(Environment::Live, &partner, scoped);
        let token = site.node.token(Environment::Live, &keys);
        let call = site.front().post("/jobs/7?x=1&y=%2F").bearer(&token);
        let answer = call.body("text/plain", "seven").send().expect(200);
        assert_eq!(answer.text(), ANSWER.concat());
        let seen = site.api.take_one();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/jobs/7?x=1&y=%2F"));
        assert_eq!(seen.body, b"seven");
        for (name, value) in [
            ("wayleave-environment", "live"),
            ("wayleave-partner", &keys.partner),
            ("wayleave-credential", &keys.credential),
            ("wayleave-audience", "routes"),
            ("wayleave-scheme", "bearer"),
            ("wayleave-scopes", "jobs:read"),
        ] {
            assert_eq!(seen.all(name), [value], "{name}");
        }
        assert_eq!(seen.all("wayleave-integration").len(), 1);
        assert!(seen.all("wayleave-request-id")[0].starts_with("req_"));
        assert_eq!(seen.all("authorization"), [""; 0]);
    }

    fn a_caller_without_scopes_has_none_whatever_it_says(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        let call = site.front().get("/hello").bearer(&token);
        call.header("Wayleave-Scopes", "jobs:read").send().expect(200);
        let seen = site.api.take_one();
        assert!(seen.all("wayleave-scopes").concat().is_empty(), "{seen:?}");
    }

    fn a_refusal_is_what_wayleave_said(kind: Kind) {
        for environment in Environment::ALL {
            let site = Site::asking(kind, environment)?;
            check_refusals(&site, environment);
            assert!(site.api.take().is_empty());
        }
    }

    fn who_is_over_a_limit_is_told_when_to_come_again(kind: Kind) {
        let rate = Rate::new(1, 10, 2).expect("a rate");
        let limit = Limit { name: "calls".into(), per: Per::Credential, measure: Measure::Rate(rate) };
        let site = Site::start(kind, Mode::ForwardAuth, Environment::Live, |settings| {
            for environment in &mut settings.environments {
                environment.surfaces.routes[0].limits = vec![limit.clone()];
            }
        })?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        let call = || site.front().get("/hello").bearer(&token).send();
        call().expect(200);
        call().expect(200);
        let refused = call().expect(429);
        assert_eq!(refused.header("retry-after"), Some("10"));
        assert_eq!(refused.header("ratelimit"), Some("\"calls\";r=0;t=20"));
        assert_eq!(refused.header("ratelimit-policy"), Some("\"calls\";q=2;w=20"));
        assert_eq!(refused.json()["limit"], "calls");
        assert_eq!(site.api.take().len(), 2);
        site.node.clock.advance(Duration::from_secs(10));
        call().expect(200);
        call().expect(429);
    }

    fn every_status_of_a_refusal_reaches_the_client(kind: Kind) {
        let api = Api::start();
        for status in [400, 401, 402, 403, 429, 500, 503] {
            let wayleave = always(refusal(kind, status));
            let proxy = Proxy::start(kind, Mode::ForwardAuth, wayleave, api.address)?;
            let answer = proxy.address.get("/hello").send().expect(status);
            assert_eq!(answer.json()["message"], "höchstens so viel");
            for (name, value) in [
                ("content-type", PROBLEM),
                ("retry-after", "7"),
                ("ratelimit", "\"default\";r=0;t=7"),
                ("ratelimit-policy", "\"default\";q=10;w=60"),
                ("location", "https://pay.example.com/"),
                ("request-id", "req_1"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{status}");
            }
        }
        assert!(api.take().is_empty());
    }

    fn an_answer_that_is_neither_yes_nor_no_lets_nobody_pass(kind: Kind) {
        let api = Api::start();
        for answer in [
            "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
            "there is no HTTP here\r\n\r\n",
        ] {
            let wayleave = always(answer.to_owned());
            let proxy = Proxy::start(kind, Mode::ForwardAuth, wayleave, api.address)?;
            let status = proxy.address.get("/hello").send().status;
            assert!(status >= 300, "{answer}: {status}");
        }
        assert!(api.take().is_empty());
    }

    fn when_wayleave_is_silent_nobody_passes(kind: Kind) {
        let mut site = Site::asking(kind, Environment::Live)?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        site.front().get("/hello").bearer(&token).send().expect(200);
        site.api.take();
        site.node.halt();
        for _ in 0..3 {
            let answer = site.front().get("/hello").bearer(&token).send();
            assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
        }
        assert!(site.api.take().is_empty());
    }

    fn what_is_revoked_is_refused_on_the_next_request(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        site.front().get("/hello").bearer(&token).send().expect(200);
        let target = format!("/live/v1/credentials/{}/revoke", keys.credential);
        site.node.operate("POST", &target, None).expect(200);
        site.front().get("/hello").bearer(&token).send().expect(401);
    }
}

/// Wayleave's answer with this status, to whoever asks.
fn refusal(kind: Kind, status: u16) -> String {
    let body = format!(r#"{{"status":{status},"message":"höchstens so viel"}}"#);
    let headers = "Content-Type: application/problem+json\r\nRetry-After: 7\r\n\
                   RateLimit: \"default\";r=0;t=7\r\nRateLimit-Policy: \"default\";q=10;w=60\r\n\
                   Location: https://pay.example.com/\r\nRequest-Id: req_1\r\n";
    let length = body.len();
    if kind == Kind::Nginx {
        let deny = format!("X-Deny-Status: {status}\r\nX-Deny-Body: {body}\r\n");
        format!("HTTP/1.1 403 Forbidden\r\n{headers}{deny}Content-Length: {length}\r\n\r\n{body}")
    } else {
        format!("HTTP/1.1 {status} Refused\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
    }
}

/// A request that is refused, and with which status.
struct Refused<'a> {
    status: u16,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
}

impl Refused<'_> {
    fn send(&self, address: Address) -> Answer {
        let call = address.get(self.target);
        let whole = |call: Call, header: &(&str, &str)| call.header(header.0, header.1);
        let answer = self.headers.iter().fold(call, whole).send();
        answer.expect(self.status)
    }
}

/// Each refusal through the proxy beside the same from the gateway itself.
fn check_refusals(site: &Site, environment: Environment) {
    let keys = site.node.keys(environment, Audience::Routes);
    let token = format!("Bearer {}", site.node.token(environment, &keys));
    let holds = ("Authorization", token.as_str());
    let set = site.node.keys(environment, Audience::Management);
    let resource = format!("/api/Property/{}/Resource/1?a=b", set.public_id);
    let signed = set.signer().headers("PUT", &resource, NOW_S);
    let signed = [0, 1].map(|place: usize| (signed[place].0.as_str(), signed[place].1.as_str()));
    let refused = |status, target, headers| Refused {
        status,
        target,
        headers,
    };
    for case in [
        refused(401, "/hello", &[][..]),
        refused(401, "/hello", &[("Authorization", "Bearer x.y.z")]),
        refused(401, "/hello", &[("Authorization", "Basic eDp5")]),
        refused(401, &resource, &signed),
        refused(403, "/jobs?x=1", &[holds]),
        refused(400, "/hello/../jobs", &[holds]),
        refused(400, "/hello//x", &[holds]),
        refused(400, "/hello", &[holds, signed[0], signed[1]]),
    ] {
        let direct = case.send(site.node.address(environment));
        let through = case.send(site.front());
        let header = |name| (through.header(name), direct.header(name));
        let (ours, theirs) = header("www-authenticate");
        assert_eq!(ours, theirs, "{}", case.target);
        // Content addresses say the same in words of their own.
        if direct.header("content-type") == Some(PROBLEM) {
            assert_eq!(told(&through), told(&direct), "{}", case.target);
        }
        assert_eq!(through.header("content-type"), Some(PROBLEM));
        assert_eq!(through.header("cache-control"), Some("private, no-store"));
        assert!(through.header("request-id").is_some(), "{}", case.target);
        assert_eq!(through.header("x-deny-status"), None);
    }
    // nginx says 400 to this of its own accord.
    let twice = site.front().get("/hello").header(holds.0, holds.1);
    twice.header(holds.0, holds.1).send().expect(400);
}

/// What an answer says, but for the id of the request.
fn told(answer: &Answer) -> Value {
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    body
}

#[test]
fn a_refusal_as_403_says_in_headers_what_it_would_have_been() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Test, Audience::Routes);
    let token = node.token(Environment::Test, &keys);
    let ask = |address: &str, uri: &str, token: &str| {
        let call = node.test.get(address).bearer(token);
        let call = call.header("X-Original-Method", "GET");
        call.header("X-Original-URI", uri).send()
    };
    let passes = ask("/auth/check/as-403", "/hello", &token).expect(204);
    assert_eq!(
        passes.header("wayleave-partner"),
        Some(keys.partner.as_str())
    );
    assert_eq!(passes.header("x-deny-status"), None);
    for (uri, token, status) in [
        ("/hello", "x.y.z", 401),
        ("/jobs", &*token, 403),
        ("/hello/%2e%2e/jobs", &*token, 400),
        ("hello", &*token, 400),
    ] {
        let plain = ask("/auth/check", uri, token).expect(status);
        let as_403 = ask("/auth/check/as-403", uri, token).expect(403);
        assert_eq!(
            as_403.header("x-deny-status"),
            Some(status.to_string().as_str())
        );
        assert_eq!(
            as_403.header("www-authenticate"),
            plain.header("www-authenticate")
        );
        assert_eq!(told(&as_403), told(&plain));
        let carried = as_403.header("x-deny-body").expect("the body");
        assert_eq!(carried, as_403.text());
    }
    let post = node.test.post("/auth/check/as-403").send().expect(403);
    assert_eq!(post.header("x-deny-status"), Some("405"));
}

/// Whatever a caller's identity has, each configuration passes on.
#[test]
fn every_identity_header_is_copied_by_each_configuration() {
    let page = std::fs::read_to_string(root().join("docs/identity-headers.md"));
    let page = page.expect("the page");
    let names: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `Wayleave-")?.split('`').next())
        .collect();
    assert!(names.len() >= 8, "{names:?}");
    for file in ["nginx/forward-auth.conf", "caddy/forward-auth.Caddyfile"] {
        let text = deployed(file);
        for name in &names {
            let header = format!("Wayleave-{name}");
            let is_there = text.split([' ', '\n', '>']).any(|word| word == header);
            assert!(is_there, "{file} passes no {header}");
        }
    }
}

/// A page shows what was run, to the letter.
#[test]
fn the_pages_have_the_configurations_that_the_tests_run() {
    for (page, file) in [
        ("nginx", "nginx/forward-auth.conf"),
        ("nginx", "nginx/gateway.conf"),
        ("caddy", "caddy/forward-auth.Caddyfile"),
        ("caddy", "caddy/gateway.Caddyfile"),
        ("haproxy", "haproxy/forward-auth.cfg"),
        ("haproxy", "haproxy/gateway.cfg"),
        ("traefik", "traefik/forward-auth.yml"),
    ] {
        let path = root().join(format!("docs/proxies/{page}.md"));
        let text = std::fs::read_to_string(&path).expect("the page");
        assert!(text.contains(&deployed(file)), "{page} has another {file}");
    }
}
