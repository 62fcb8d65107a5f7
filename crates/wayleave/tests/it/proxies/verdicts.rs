//! Several hundred signed requests, each sent to the gateway itself and through each proxy: the
//! verdict is the same.

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_protocol::http_date;
use wayleave_proxy::ApiBehind;
use wayleave_testkit::{Address, Call, DatabaseKind, Signer};

use super::api::{Api, Seen};
use super::proxy::Proxy;
use super::{Kind, Mode, behind_each_proxy};
use crate::harness::{NOW_S, TestNode};

/// One signed request and the clock at which it arrives.
struct Signed {
    name: String,
    now_s: i64,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Signed {
    /// A request for `target` with a signature for `signed`.
    fn by(signer: &Signer, method: &str, target: &str, signed: &str) -> Signed {
        Signed {
            name: format!("{method} {target}"),
            now_s: NOW_S,
            method: method.to_owned(),
            headers: signer.headers(method, signed, NOW_S).to_vec(),
            target: target.to_owned(),
            body: Vec::new(),
        }
    }

    fn send(&self, address: Address) -> u16 {
        let call = address.call(&self.method, &self.target);
        let whole = |call: Call, (name, value): &(String, String)| call.header(name, value);
        let mut call = self.headers.iter().fold(call, whole);
        if !self.body.is_empty() {
            call = call.header("Content-Length", &self.body.len().to_string());
            call = call.raw_body(&self.body);
        }
        call.send().status
    }

    /// A form's fields may be under the signature, and a question has no body.
    fn is_form(&self) -> bool {
        let is_type = |name: &str| name.eq_ignore_ascii_case("content-type");
        let form = |(name, value): &(String, String)| is_type(name) && value.contains("form");
        self.headers.iter().any(form)
    }
}

fn vectors() -> Value {
    let text = include_str!("../../../../../tests/vectors/imoneza-signing.json");
    serde_json::from_str(text).expect("the vectors")
}

fn import_keys(node: &TestNode) {
    for key in vectors()["keys"].as_array().expect("keys") {
        let audience = match key["api"].as_str() {
            Some("manage") => "management",
            _ => "access",
        };
        let partner = node.partner(Environment::Live);
        let pair =
            json!({ "audience": audience, "public_id": key["key"], "secret": key["secret"] });
        let made = node.keys_of(Environment::Live, &partner, pair);
        if key["state"] == "revoked" {
            let target = format!("/live/v1/credentials/{}/revoke", made.credential);
            node.operate("POST", &target, None).expect(200);
        }
    }
}

/// The vectors of the compatible scheme.
fn published() -> Vec<Signed> {
    let vectors = vectors();
    let cases = vectors["vectors"].as_array().expect("vectors").iter();
    let text = |case: &Value, name: &str| case[name].as_str().expect("a text").to_owned();
    let headers = |case: &Value| {
        let headers = case["headers"].as_object().expect("headers").iter();
        let pair = |(name, value): (&String, &Value)| {
            (name.clone(), value.as_str().expect("a header").to_owned())
        };
        headers.map(pair).collect()
    };
    cases
        .map(|case| Signed {
            name: text(case, "id"),
            now_s: http_date::parse(&text(case, "server_now")).expect("a clock"),
            method: text(case, "method"),
            target: text(case, "target"),
            headers: headers(case),
            body: text(case, "body").into_bytes(),
        })
        .collect()
}

/// Ends of paths that proxies like to tidy up. The address before them ends in `/Resource/`.
const TAILS: [&str; 30] = [
    "1", "a%20b", "a+b", "%C3%84", "%c3%84", "a%2Fb", "a%2fb", "a%5Cb", "a%3Fb", "a%23b", "a%25b",
    "a;b", "a;b=c", "a,b", "a:b", "a@b", "a!b", "a$b", "a'b", "a(b)", "a*b", "~a", "%7Ea", "%41",
    "a//b", "a/", "a/./b", "a/../b", "%2e%2e/b", ".a..b",
];

/// Queries that proxies and frameworks like to tidy up.
const QUERIES: [&str; 14] = [
    "",
    "?",
    "?a=b",
    "?b=2&a=1",
    "?a=1&b=2&c=",
    "?a",
    "?a=%20b+c",
    "?a=%2F%2f",
    "?a=/../x",
    "?a=b?c",
    "?A=1&a=2",
    "?a=1&a=2",
    "?%61=1",
    "?a=%zz",
];

/// Those of them that cannot be signed: a name twice, a broken escape.
const UNSIGNED: [&str; 3] = ["?A=1&a=2", "?a=1&a=2", "?a=%zz"];

/// Every tail with every query, signed as it is; every third with a method of its own, every
/// seventh with a signature for another address.
fn made(signer: &Signer) -> Vec<Signed> {
    let targets = TAILS.iter().flat_map(|tail| {
        let target =
            |query: &&str| format!("/api/Property/{}/Resource/{tail}{query}", signer.access_key);
        QUERIES.iter().map(target).collect::<Vec<_>>()
    });
    targets
        .enumerate()
        .map(|(number, target)| {
            let method = ["GET", "DELETE", "GET"][number % 3];
            let is_other = number % 7 == 6 || UNSIGNED.iter().any(|query| target.ends_with(query));
            let signed = if is_other {
                "/api/Property/other"
            } else {
                &target
            };
            Signed::by(signer, method, &target, signed)
        })
        .collect()
}

/// What became of a request: the status, or what the API behind saw of it.
#[derive(Debug, PartialEq)]
enum Verdict {
    Refused(u16),
    Passed { method: String, target: String },
}

fn verdict(signed: &Signed, address: Address, api: &Api) -> Verdict {
    let status = signed.send(address);
    let mut seen: Vec<Seen> = api.take();
    match seen.pop() {
        Some(Seen { method, target, .. }) if status == 200 => Verdict::Passed { method, target },
        Some(seen) => panic!("{}: {status}, and yet {seen:?}", signed.name),
        None => Verdict::Refused(status),
    }
}

/// A node whose content addresses lead to this API.
fn node_before(api: &Api) -> TestNode {
    let upstream: ApiBehind = format!("http://{}", api.address)
        .parse()
        .expect("an address");
    TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        for environment in &mut settings.environments {
            let content = environment.surfaces.content.as_mut();
            content.expect("the content surface").upstream = Some(upstream.clone());
        }
    })
}

/// Sends everything both ways.
fn compare(kind: Kind, mode: Mode) -> Option<()> {
    let api = Api::start();
    let node = node_before(&api);
    import_keys(&node);
    let keys = node.keys(Environment::Live, Audience::Management);
    let wayleave = ([127, 0, 0, 1], node.live.port()).into();
    let proxy = Proxy::start(kind, mode, wayleave, api.address)?;
    let all: Vec<Signed> = published()
        .into_iter()
        .chain(made(&keys.signer()))
        .collect();
    let (mut passed, mut refused, mut differing) = (0, 0, Vec::new());
    for signed in &all {
        node.clock.set(signed.now_s);
        let direct = verdict(signed, node.live, &api);
        let through = verdict(signed, proxy.address, &api);
        match direct {
            Verdict::Passed { .. } => passed += 1,
            Verdict::Refused(_) => refused += 1,
        }
        if direct != through && !may_differ(mode, signed, &direct, &through) {
            differing.push(format!("{}: {direct:?} / {through:?}", signed.name));
        }
    }
    assert!(
        differing.is_empty(),
        "{}\n{}",
        differing.len(),
        differing.join("\n")
    );
    assert!(
        passed > 150 && refused > 150,
        "{passed} passed, {refused} were refused"
    );
    Some(())
}

/// What a question cannot have: the fields of a form, and an address where nothing is, of which it
/// is told only that nobody may pass.
fn may_differ(mode: Mode, signed: &Signed, direct: &Verdict, through: &Verdict) -> bool {
    let nothing_there =
        *direct == Verdict::Refused(404) && matches!(through, Verdict::Refused(401 | 403));
    mode == Mode::ForwardAuth && (signed.is_form() || nothing_there)
}

behind_each_proxy! {
    fn in_front_of_the_gateway_a_proxy_changes_no_verdict(kind: Kind) {
        compare(kind, Mode::Gateway)?;
    }

    fn asked_by_a_proxy_wayleave_gives_the_verdict_of_its_gateway(kind: Kind) {
        compare(kind, Mode::ForwardAuth)?;
    }
}

/// What `docs/proxies/caddy.md` says of it: the question and the API are told the same.
#[test]
fn caddy_escapes_letters_that_no_address_has() {
    let check = || {
        let api = Api::start();
        let node = node_before(&api);
        let keys = node.keys(Environment::Live, Audience::Management);
        let wayleave = ([127, 0, 0, 1], node.live.port()).into();
        let proxy = Proxy::start(Kind::Caddy, Mode::ForwardAuth, wayleave, api.address)?;
        let raw = format!("/api/Property/{}/Resource/a|b", keys.public_id);
        let escaped = raw.replace('|', "%7C");
        let passed = |target: &str| Verdict::Passed {
            method: "GET".to_owned(),
            target: target.to_owned(),
        };
        for target in [&raw, &escaped] {
            let signed = Signed::by(&keys.signer(), "GET", target, target);
            assert_eq!(verdict(&signed, node.live, &api), passed(target));
            assert_eq!(verdict(&signed, proxy.address, &api), passed(&escaped));
        }
        Some(())
    };
    check();
}
