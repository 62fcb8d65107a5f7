//! Schemes that the operator describes, as docs/described-schemes.md has them.

use std::fmt::Write as _;

use serde_json::json;
use wayleave::config::Config;
use wayleave::node::NodeSettings;
use wayleave_core::Environment;
use wayleave_protocol::Message;
use wayleave_protocol::described::DescribedScheme;
use wayleave_testkit::{Address, Call, DatabaseKind};
use wayleave_web::Route;

use crate::harness::{Keys, NOW_S, TestNode, refused, root, route};
use crate::real_clients::python_case;

const LIVE: Environment = Environment::Live;
const TEST: Environment = Environment::Test;

const BASE: &str = r#"
data = "/data"
[live]
address = "127.0.0.1:8080"
[test]
address = "127.0.0.1:8081"
[admin]
address = "127.0.0.1:8082"
operators_file = "operators.toml"
"#;

/// A scheme of the digest of the body in a header, or none at all.
const MORE: &str = r#"
[[scheme]]
name = "bare"
proof = ["X-Bare: {key-id} {time} {signature}"]
lines = ["{method} {path-and-query}", "{time}"]
time = "unix"
encoding = "hex"
body = "none"

[[scheme]]
name = "loose"
proof = ["X-Loose: {key-id} {time} {signature}"]
lines = ["{method} {path-and-query}", "{time}"]
time = "unix"
digest = "sha512"
body = "unsigned"

[[route]]
path = "/bare"
audiences = ["routes"]
schemes = ["bare", "bearer"]
upstream = { live = "http://127.0.0.1:9000", test = "http://127.0.0.1:9001" }

[[route]]
path = "/loose"
audiences = ["routes"]
schemes = ["loose"]
upstream = { live = "http://127.0.0.1:9000", test = "http://127.0.0.1:9001" }
"#;

/// The worked examples of the document.
pub(crate) fn documented() -> String {
    let document = std::fs::read_to_string(root().join("docs/described-schemes.md")).expect("read");
    let blocks = document.split("```toml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().expect("a block"));
    let blocks: Vec<&str> = blocks
        .filter(|block| block.starts_with("[[scheme]]"))
        .collect();
    assert_eq!(blocks.len(), 3);
    blocks.join("\n")
}

/// The settings of a file with these tables.
pub(crate) fn settings(tables: &str) -> Result<NodeSettings, String> {
    let config = Config::parse(&format!("{BASE}{tables}"));
    let settings = config.and_then(|config| config.settings());
    settings.map_err(|error| error.to_string())
}

/// The routes of the document and of this file, to the sample API.
fn routes() -> Vec<Route> {
    let settings = settings(&format!("{}{MORE}", documented())).expect("settings");
    let [live, _] = settings.environments;
    let mut routes = live.surfaces.routes;
    for own in &mut routes {
        own.upstream = route("/", &[], "").upstream;
    }
    routes
}

pub(crate) fn add_routes(settings: &mut NodeSettings) {
    for environment in &mut settings.environments {
        environment.surfaces.routes.extend(routes());
    }
}

fn start(kind: DatabaseKind) -> TestNode {
    TestNode::start_with(kind, add_routes)
}

fn scheme(name: &str) -> DescribedScheme {
    let routes = routes().into_iter();
    let mut schemes = routes.filter_map(|route| route.described);
    let found = schemes.find(|scheme| scheme.name() == name);
    DescribedScheme::clone(&found.expect("described"))
}

pub(crate) fn keys(node: &TestNode, environment: Environment) -> Keys {
    let partner = node.partner(environment);
    let more = json!({ "audience": "routes", "schemes": "described bearer" });
    node.keys_of(environment, &partner, more)
}

/// A request as the library signs it.
pub(crate) struct Sent<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) unix_s: i64,
}

impl<'a> Sent<'a> {
    pub(crate) fn get(scheme: &'a str, target: &'a str) -> Self {
        Sent {
            scheme,
            method: "GET",
            target,
            body: b"",
            unix_s: NOW_S,
        }
    }

    pub(crate) fn post(scheme: &'a str, target: &'a str, body: &'a [u8]) -> Self {
        Sent {
            method: "POST",
            body,
            ..Sent::get(scheme, target)
        }
    }

    fn headers(&self, address: Address, keys: &Keys) -> Vec<(String, String)> {
        let scheme = scheme(self.scheme);
        let authority = address.to_string();
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target, None),
        };
        let message = Message {
            method: self.method,
            scheme: "http",
            authority: &authority,
            path,
            query,
            fields: &[],
        };
        let time = scheme.time_form().format(self.unix_s * 1000);
        let secret = keys.secret.as_bytes();
        let signed = scheme.sign(&message, &keys.public_id, &time, self.body, secret);
        signed.expect("a request that can be signed")
    }

    pub(crate) fn call(&self, address: Address, keys: &Keys) -> Call {
        let call = address.call(self.method, self.target).raw_body(self.body);
        let headers = self.headers(address, keys);
        headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value))
    }
}

mod clients_of_the_described_apis {
    use super::*;

    fn go_on_with_their_keys(kind: DatabaseKind) {
        if !kind.is_available() {
            return;
        }
        let node = TestNode::start_now_with(kind, add_routes);
        let own = keys(&node, LIVE);
        let partner = node.partner(LIVE);
        // The store's clients have keys that were made elsewhere, and stand for bytes.
        let pair = json!({
            "audience": "routes", "schemes": "described",
            "public_id": "store-key-7", "secret": "c2VjcmV0LW9mLXRoZS1zdG9yZS0wMDE=",
        });
        let imported = node.keys_of(LIVE, &partner, pair);
        let case = json!({
            "url": node.live_url, "acme": "/acme", "store": "/store", "exchange": "/exchange",
            "key_id": own.public_id, "secret": own.secret,
            "key_id_of_store": imported.public_id, "secret_of_store": imported.secret,
        });
        python_case("described_client.py", &case);
    }

    #[test]
    fn on_sqlite() {
        go_on_with_their_keys(DatabaseKind::Sqlite);
    }

    #[test]
    fn on_postgres() {
        go_on_with_their_keys(DatabaseKind::Postgres);
    }
}

#[test]
fn the_request_in_the_document_has_the_signature_that_it_shows() {
    let document = std::fs::read_to_string(root().join("docs/described-schemes.md")).expect("read");
    let keys = Keys {
        credential: String::new(),
        partner: String::new(),
        public_id: "K-1".to_owned(),
        secret: "an example secret".to_owned(),
    };
    let mut sent = Sent::post("acme", "/acme/orders?dry=1", b"{\"pages\":12}");
    sent.unix_s = 1_805_192_428;
    let headers = sent.headers(Address::of("http://127.0.0.1:1"), &keys);
    for (name, value) in headers {
        let found = document.lines().any(|line| {
            let header = line.split_once(": ");
            header.is_some_and(|(own, shown)| own.eq_ignore_ascii_case(&name) && shown == value)
        });
        assert!(found, "{name}: {value}");
    }
}

#[test]
fn a_described_signature_passes_at_the_routes_that_name_it_and_nowhere_else() {
    let node = start(DatabaseKind::Sqlite);
    let keys = keys(&node, LIVE);
    let get = |scheme, target| Sent::get(scheme, target).call(node.live, &keys).send();
    let answer = get("acme", "/acme/7?x=1").expect(200).json();
    assert_eq!(answer["caller"]["wayleave-scheme"], "described");
    get("acme", "/hello").expect(401);
    get("acme", "/bare").expect(401);
    get("bare", "/acme").expect(401);
    Sent::get("acme", "/acme")
        .call(node.test, &keys)
        .send()
        .expect(401);
    // Where a route also takes tokens, one is enough, and one is all.
    let token = node.token(LIVE, &keys);
    node.live.get("/bare").bearer(&token).send().expect(200);
    node.live.get("/acme").bearer(&token).send().expect(403);
    let both = Sent::get("bare", "/bare")
        .call(node.live, &keys)
        .bearer(&token);
    both.send().expect(400);
}

#[test]
fn only_a_credential_that_may_sign_so_passes() {
    let node = start(DatabaseKind::Sqlite);
    let tokens_only = node.keys(LIVE, wayleave_core::Audience::Routes);
    Sent::get("acme", "/acme")
        .call(node.live, &tokens_only)
        .send()
        .expect(401);
    let partner = node.partner(LIVE);
    let more = json!({ "audience": "routes", "schemes": "aws-sigv4" });
    let other = node.keys_of(LIVE, &partner, more);
    Sent::get("acme", "/acme")
        .call(node.live, &other)
        .send()
        .expect(403);
    let mut unknown = keys(&node, LIVE);
    Sent::get("acme", "/acme")
        .call(node.live, &unknown)
        .send()
        .expect(200);
    unknown.public_id.push('x');
    Sent::get("acme", "/acme")
        .call(node.live, &unknown)
        .send()
        .expect(401);
}

#[test]
fn a_described_key_rolls_and_dies_like_any_other() {
    for kind in [DatabaseKind::Sqlite, DatabaseKind::Postgres] {
        if !kind.is_available() {
            continue;
        }
        let node = start(kind);
        let old = keys(&node, LIVE);
        let get = |keys: &Keys| {
            Sent::get("acme", "/acme")
                .call(node.live, keys)
                .send()
                .status
        };
        let roll = format!("/live/v1/credentials/{}/roll", old.credential);
        let rolled = node.operate("POST", &roll, Some(json!({ "overlap_s": 60 })));
        let secret = rolled.expect(200).json()["secret"]
            .as_str()
            .expect("a secret")
            .to_owned();
        let new = Keys {
            secret,
            ..old.clone()
        };
        assert_eq!([get(&old), get(&new)], [200, 200]);
        node.clock.set(NOW_S + 61);
        assert_eq!([get(&old), get(&new)], [401, 200]);
        let shown = format!("/live/v1/credentials/{}", old.credential);
        let shown = node.operate("GET", &shown, None).expect(200);
        assert!(!shown.text().contains(&new.secret));
        let revoke = format!("/live/v1/credentials/{}/revoke", old.credential);
        node.operate("POST", &revoke, None).expect(200);
        assert_eq!(get(&new), 401);
    }
}

#[test]
fn the_clock_the_body_and_its_size_are_held_to_what_is_described() {
    let node = start(DatabaseKind::Sqlite);
    let keys = keys(&node, LIVE);
    let at = |unix_s| {
        let sent = Sent {
            unix_s,
            ..Sent::get("acme", "/acme")
        };
        sent.call(node.live, &keys).send().status
    };
    assert_eq!([at(NOW_S - 300), at(NOW_S + 300)], [200, 200]);
    assert_eq!([at(NOW_S - 301), at(NOW_S + 301)], [401, 401]);
    let post = |scheme, target, body| {
        Sent::post(scheme, target, body)
            .call(node.live, &keys)
            .send()
    };
    post("acme", "/acme", b"any body").expect(200);
    post("exchange", "/exchange", b"{\"any\":1}").expect(200);
    let large = vec![b'a'; 1024 * 1024 + 1];
    post("acme", "/acme", &large[1..]).expect(200);
    post("acme", "/acme", &large).expect(413);
    post("bare", "/bare", b"").expect(200);
    let answer = post("bare", "/bare", b"a").expect(400);
    assert_eq!(
        answer.json()["type"],
        "urn:wayleave:problem:digest-mismatch"
    );
    post("loose", "/loose", b"").expect(200);
    post("loose", "/loose", b"whatever").expect(200);
}

#[test]
fn what_can_be_read_in_two_ways_is_400() {
    let node = start(DatabaseKind::Sqlite);
    let keys = keys(&node, LIVE);
    let good = Sent::get("acme", "/acme").headers(node.live, &keys);
    let send = |method: &str, target: &str| {
        let call = node.live.call(method, target);
        let call = good
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value));
        call.send().status
    };
    assert_eq!(send("GET", "/acme"), 200);
    assert_eq!(send("get", "/acme"), 400);
    assert_eq!(send("GET", "/acme//x"), 400);
    assert_eq!(send("GET", "/acme/../acme"), 400);
    assert_eq!(send("GET", "/acme?{x}"), 400);
}

#[test]
fn another_proxy_may_ask_where_the_body_need_not_be_seen() {
    let node = start(DatabaseKind::Sqlite);
    let keys = keys(&node, LIVE);
    let asked = |sent: &Sent<'_>| {
        let call = node
            .live
            .get("/auth/check")
            .header("X-Forwarded-Method", sent.method);
        let call = call.header("X-Forwarded-Uri", sent.target);
        let headers = sent.headers(node.live, &keys);
        headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value))
            .send()
    };
    let passed = asked(&Sent::get("acme", "/acme?x=1")).expect(204);
    assert_eq!(passed.header("wayleave-scheme"), Some("described"));
    asked(&Sent::post("acme", "/acme", b"{}")).expect(401);
    let unsigned = asked(&Sent::post("loose", "/loose", b"{}")).expect(204);
    assert_eq!(unsigned.header("wayleave-body"), None);
    let none = asked(&Sent::post("bare", "/bare", b"")).expect(204);
    assert_eq!(none.header("wayleave-body"), Some("check-digest"));
}

#[test]
fn the_api_behind_sees_the_time_but_no_proof() {
    let behind = crate::raw_upstream::RawUpstream::start();
    let upstream = behind.upstream();
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        for environment in &mut settings.environments {
            let mut routes = routes();
            routes
                .iter_mut()
                .for_each(|own| own.upstream = upstream.clone());
            environment.surfaces.routes.extend(routes);
        }
    });
    let keys = keys(&node, LIVE);
    for (scheme, target) in [
        ("acme", "/acme"),
        ("exchange", "/exchange"),
        ("bare", "/bare"),
    ] {
        let _ = Sent::get(scheme, target).call(node.live, &keys).send();
    }
    let text = behind.text().to_ascii_lowercase();
    assert!(
        text.contains("get /exchange") && text.contains("\r\nok-access-timestamp: 2027"),
        "{text}"
    );
    for hidden in [
        "\r\nauthorization",
        "ok-access-sign",
        "ok-access-key",
        "\r\nx-bare",
    ] {
        assert!(!text.contains(hidden), "{text}");
    }
}

#[test]
fn test_shows_the_text_that_was_to_be_signed_and_live_does_not() {
    let node = start(DatabaseKind::Sqlite);
    let mut wrong = keys(&node, TEST);
    wrong.secret.push('x');
    let call = Sent::get("acme", "/acme?x=1").call(node.test, &wrong);
    let call = call.header("Wayleave-Base-String", "1805192430\\nGET\\n/acme?x=2\\n");
    let answer = call.send().expect(401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Described realm=\"wayleave\"")
    );
    let explanation = answer.json()["explanation"].clone();
    assert_eq!(explanation["server_time"], NOW_S.to_string());
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let text = format!("{NOW_S}\nGET\n/acme?x=1\n{empty}");
    assert_eq!(explanation["base_strings"], json!([text]));
    let line = &explanation["first_difference"]["line"];
    assert_eq!(*line, json!(3), "{explanation}");
    let mut wrong = keys(&node, LIVE);
    wrong.secret.push('x');
    let answer = Sent::get("acme", "/acme")
        .call(node.live, &wrong)
        .send()
        .expect(401);
    assert!(answer.json().get("explanation").is_none());
}

/// A scheme of the document with one change.
fn changed(from: &str, to: &str) -> String {
    let tables = documented();
    assert!(tables.contains(from), "{from}");
    tables.replacen(from, to, 1)
}

#[test]
fn an_unsafe_description_is_refused_with_its_place_and_its_fault() {
    let lines = r#"lines = ["{time}", "{method}", "{path-and-query}", "{body:sha256:hex}"]"#;
    for (to, place, why) in [
        (
            r#"lines = ["{time}", "{path-and-query}", "{body}"]"#,
            "scheme[0].lines",
            "method unsigned",
        ),
        (
            r#"lines = ["{time}", "{method}", "{body}"]"#,
            "scheme[0].lines",
            "path unsigned",
        ),
        (
            r#"lines = ["{time}", "{method}", "{path}", "{body}"]"#,
            "scheme[0].lines",
            "query unsigned",
        ),
        (
            r#"lines = ["{method}", "{path-and-query}", "{body}"]"#,
            "scheme[0].lines",
            "time unsigned",
        ),
        (
            r#"lines = ["{time}", "{method}", "{path-and-query}"]"#,
            "scheme[0].lines",
            "body unsigned",
        ),
        (
            r#"lines = ["{method}", "{path-and-query}{time}", "{body}"]"#,
            "scheme[0].lines",
            "one text",
        ),
        (
            r#"lines = ["{method}", "{path:lower}", "{time}", "{body}"]"#,
            "scheme[0].lines",
            "letter case",
        ),
        (
            &format!("{lines}\nbody = \"unsigned\""),
            "scheme[0].body",
            "leave it out",
        ),
    ] {
        let error = settings(&changed(lines, to)).expect_err(to);
        assert!(error.starts_with(place) && error.contains(why), "{error}");
    }
    for (from, to, why) in [
        (
            "separator = \"\\n\"",
            "separator = \"/\"",
            "scheme[0].lines",
        ),
        (
            "digest = \"sha256\"",
            "digest = \"sha1\"",
            "scheme[0].digest",
        ),
        ("window_s = 300", "window_s = 3600", "scheme[0].window_s"),
        (
            "window_s = 300",
            "windows = 3600",
            "did you mean `window_s`",
        ),
        ("time = \"unix\"\n", "", "scheme[0].time"),
        ("name = \"store\"", "name = \"acme\"", "scheme[1].name"),
        ("name = \"acme\"", "name = \"bearer\"", "scheme[0].name"),
        (
            "schemes = [\"acme\"]",
            "schemes = [\"acne\"]",
            "known are: bearer, token, signed, http-signature, aws-sigv4, acme, store, exchange",
        ),
        (
            "schemes = [\"acme\"]",
            "schemes = [\"described\"]",
            "write the name of a [[scheme]]",
        ),
        (
            "schemes = [\"acme\"]",
            "schemes = [\"acme\", \"store\"]",
            "two described schemes",
        ),
    ] {
        let error = settings(&changed(from, to)).expect_err(to);
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn config_check_says_what_is_unsafe() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let file = node.config_file();
    let mut text = std::fs::read_to_string(&file).expect("read");
    let good = text.clone() + &documented();
    let _ = write!(text, "{}", changed("\"{time}\", ", ""));
    std::fs::write(&file, &text).expect("written");
    let path = file.to_str().expect("text");
    let said = refused(&["config", "check", path]);
    assert!(
        said.contains("scheme[0].lines: leave the time unsigned: add {time}"),
        "{said}"
    );
    std::fs::write(&file, good).expect("written");
    crate::harness::printed(&["config", "check", path]);
}
