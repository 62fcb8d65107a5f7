//! Rows A: how credentials are kept, shown and ended.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wayleave::ports::SystemRandomness;
use wayleave_core::{Audience, Environment};
use wayleave_engine::Randomness;
use wayleave_protocol::key_text::{self, KeyEnvironment, KeyKind};
use wayleave_testkit::{Answer, DatabaseKind, RawSql, Signer};
use wayleave_web::TrustedProxies;

use super::{client_calls, database, on_each_database, without_limit};
use crate::harness::{Keys, NOW_S, TestNode, on_both_databases, root};
use crate::storage::open_beside;

const LIVE: Environment = Environment::Live;

/// Every value of every column, as text where it is one, and in the spellings in which bytes could
/// be taken for a secret.
fn spellings_of_all_values(node: &TestNode) -> BTreeSet<String> {
    let mut sql = RawSql::open(&database(node, LIVE));
    let mut found = BTreeSet::new();
    for table in sql.tables() {
        for value in sql
            .rows(&format!("SELECT * FROM {table}"))
            .into_iter()
            .flatten()
        {
            let value = value.unwrap_or_default();
            found.insert(value.iter().map(|byte| format!("{byte:02x}")).collect());
            found.insert(STANDARD.encode(&value));
            found.extend(String::from_utf8(value));
        }
    }
    // What a request cannot carry proves nothing either.
    found.retain(|text| !text.is_empty() && super::fits_a_header(text));
    found
}

#[test]
fn no_value_of_the_database_is_a_credential_or_a_token() {
    on_each_database(without_limit, |node| {
        let platform = node.keys(LIVE, Audience::Platform);
        let routes = node.keys(LIVE, Audience::Routes);
        let management = node.keys(LIVE, Audience::Management);
        let token = node.token(LIVE, &routes);
        let operator = |token: &str| {
            let call = node.admin.get("/live/v1/keys").bearer(token);
            call.send().status
        };
        let values = spellings_of_all_values(&node);
        assert!(values.contains(&routes.public_id), "the dump is whole");
        for secret in [&platform.secret, &routes.secret, &management.secret, &token] {
            assert!(!values.contains(secret));
        }
        for value in &values {
            node.live.get("/hello").bearer(value).send().expect(401);
            let oauth = node.live.post("/oauth/token");
            let grant = [("grant_type", "client_credentials")];
            let oauth = oauth.basic(&platform.public_id, value).form(&grant).send();
            oauth.expect(401);
            let exchange = node.live.get("/token").basic(&routes.public_id, value);
            exchange.send().expect(401);
            let signer = Signer::new(&management.public_id, value);
            signer
                .call(node.live, "GET", "/hello", NOW_S)
                .send()
                .expect(401);
            assert_eq!(operator(value), 401);
        }
        node.oauth_token(LIVE, &platform);
        node.token(LIVE, &routes);
    });
}

on_both_databases! {
    fn a_sealed_secret_in_the_row_of_another_does_not_open(node: TestNode) {
        let mut node = node;
        let keys = [node.keys(LIVE, Audience::Management), node.keys(LIVE, Audience::Management)];
        let own = |keys: &Keys| {
            let target = format!("/api/Property/{}", keys.public_id);
            keys.signer().call(node.live, "GET", &target, NOW_S).send().status
        };
        assert_eq!((own(&keys[0]), own(&keys[1])), (200, 200));
        let ids: Vec<String> = keys.iter().map(|keys| keys.credential.clone()).collect();
        let swap = |sql: &mut RawSql| {
            let of = |id: &str| format!("SELECT material FROM secret WHERE credential_id = '{id}'");
            let material = |sql: &mut RawSql, id: &str| sql.rows(&of(id))[0][0].clone().expect("a seal");
            let materials = [material(sql, &ids[0]), material(sql, &ids[1])];
            for (id, other) in ids.iter().zip(materials.iter().rev()) {
                let literal = sql.literal(other);
                sql.run(&format!("UPDATE secret SET material = {literal} WHERE credential_id = '{id}'"));
            }
        };
        node.halt();
        swap(&mut RawSql::open(&database(&node, LIVE)));
        let refused = open_beside(&node, |_| {}).err().expect("a refusal").to_string();
        assert!(refused.contains("belongs to another row"), "{refused}");
        swap(&mut RawSql::open(&database(&node, LIVE)));
        assert!(open_beside(&node, |_| {}).is_ok(), "put back, all is well");
    }

    fn one_secret_kept_twice_looks_different_each_time(node: TestNode) {
        let partner = node.partner(LIVE);
        for id in ["7D21B0AA-55C3-4E19-BB02-6F3E9C8D1A47", "7D21B0AA-55C3-4E19-BB02-6F3E9C8D1A48"] {
            let more = json!({ "audience": "management", "public_id": id, "secret": "one secret" });
            node.keys_of(LIVE, &partner, more);
        }
        let mut sql = RawSql::open(&database(&node, LIVE));
        let seals = sql.rows("SELECT material FROM secret WHERE form = 'sealed'");
        let distinct: BTreeSet<_> = seals.iter().collect();
        assert_eq!((seals.len(), distinct.len()), (2, 2));
    }

    fn a_secret_is_shown_once_and_by_no_reading_address(node: TestNode) {
        let mut secrets = Vec::new();
        for audience in Audience::ALL {
            let keys = node.keys(LIVE, audience);
            let rolled = roll(&node, &keys, json!({}));
            let own = format!("an own secret for {audience:?}");
            let kept = roll(&node, &rolled, json!({ "secret": own }));
            let fresh = refresh(&node, &kept);
            secrets.extend([keys, rolled, kept, fresh].map(|keys| keys.secret));
        }
        let imported = json!({ "audience": "routes", "public_id": "till one", "secret": "a secret from elsewhere" });
        let partner = node.partner(LIVE);
        secrets.push(node.keys_of(LIVE, &partner, imported).secret);
        assert_eq!(secrets.iter().collect::<BTreeSet<_>>().len(), 17);
        let pages = reading_addresses(&node);
        assert!(pages.len() > 20, "every object is read, too");
        for page in pages {
            for secret in &secrets {
                assert!(!page.text().contains(secret.as_str()), "{}", page.text());
            }
        }
    }
}

/// Whatever the admin address and the public ones show without changing anything.
fn reading_addresses(node: &TestNode) -> Vec<Answer> {
    let get = |target: &str| {
        node.operate("GET", &format!("/live/v1/{target}"), None)
            .expect(200)
    };
    let mut pages = Vec::new();
    for noun in ["partners", "integrations", "credentials"] {
        let list = get(&format!("{noun}?limit=1000"));
        for row in list.json()["data"].as_array().expect("a page") {
            pages.push(get(&format!("{noun}/{}", row["id"].as_str().expect("id"))));
        }
        pages.push(list);
    }
    for noun in ["keys", "routes", "audit?limit=1000"] {
        pages.push(get(noun));
    }
    for path in ["jwks.json", "oauth-authorization-server"] {
        let answer = node.live.get(&format!("/.well-known/{path}")).send();
        pages.push(answer.expect(200));
    }
    pages
}

/// The pair in an answer that shows it; such an answer may not be cached.
fn shown(before: &Keys, answer: Answer) -> Keys {
    let answer = answer.expect(200);
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let body = answer.json();
    let text = |name: &str| body[name].as_str().expect("a text").to_owned();
    Keys {
        public_id: text("public_id"),
        secret: text("secret"),
        ..before.clone()
    }
}

fn roll(node: &TestNode, keys: &Keys, body: Value) -> Keys {
    let target = format!("/live/v1/credentials/{}/roll", keys.credential);
    shown(keys, node.operate("POST", &target, Some(body)))
}

fn refresh(node: &TestNode, keys: &Keys) -> Keys {
    let target = format!("/live/v1/credentials/{}/refresh", keys.credential);
    shown(keys, node.operate("POST", &target, None))
}

/// A token for platform or routes keys.
fn issue(node: &TestNode, keys: &Keys) -> Option<String> {
    let calls = client_calls(node.live, &keys.public_id, &keys.secret);
    let answers = calls.into_iter().map(|(_, call)| call.send());
    answers
        .filter(|answer| answer.status == 200)
        .find_map(|answer| {
            let body = answer.json();
            let token = body.get("token").or(body.get("access_token"))?;
            token.as_str().map(str::to_owned)
        })
}

/// Whether a pair proves anything now.
fn works(node: &TestNode, keys: &Keys) -> bool {
    let now_s = wayleave_engine::Clock::now(&*node.clock).unix_s();
    let signed = keys.signer().call(node.live, "GET", "/hello", now_s).send();
    // Wrong secrets are counted for a minute.
    signed.status == 200 || {
        let grant = [("grant_type", "client_credentials")];
        let oauth = node.live.post("/oauth/token");
        let oauth = oauth.basic(&keys.public_id, &keys.secret).form(&grant);
        let exchange = node.live.get("/token").basic(&keys.public_id, &keys.secret);
        oauth.send().status == 200 || exchange.send().status == 200
    }
}

#[test]
fn a_rolled_secret_is_good_until_its_end_and_not_a_second_longer() {
    on_each_database(without_limit, |node| {
        for audience in [Audience::Platform, Audience::Routes, Audience::Management] {
            node.clock.set(NOW_S);
            let old = node.keys(LIVE, audience);
            let token =
                (audience != Audience::Management).then(|| issue(&node, &old).expect("a token"));
            let new = roll(&node, &old, json!({ "overlap_s": 60 }));
            let both = || (works(&node, &old), works(&node, &new));
            assert_eq!(both(), (true, true), "{audience:?}: no traffic is cut");
            node.clock.advance(Duration::from_secs(59));
            assert_eq!(both(), (true, true));
            node.clock.advance(Duration::from_secs(1));
            assert_eq!(both(), (false, true), "{audience:?}: the old one is dead");
            if let Some(token) = token {
                node.live.get("/hello").bearer(&token).send().expect(200);
            }
            // Ended by hand: from the next request on.
            let newer = roll(&node, &new, json!({ "overlap_s": 3600 }));
            let target = format!("/live/v1/credentials/{}", old.credential);
            let secrets = node.operate("GET", &target, None).expect(200).json()["secrets"].clone();
            let superseded = secrets
                .as_array()
                .expect("secrets")
                .iter()
                .find(|secret| secret["state"] == "superseded");
            let id = superseded.expect("the one before")["id"]
                .as_str()
                .expect("an id")
                .to_owned();
            node.operate("POST", &format!("{target}/secrets/{id}/end"), None)
                .expect(200);
            assert_eq!((works(&node, &new), works(&node, &newer)), (false, true));
            // Refreshed after a leak: neither old pair nor old token count.
            let fresh = refresh(&node, &newer);
            assert_eq!((works(&node, &newer), works(&node, &fresh)), (false, true));
        }
    });
}

#[test]
fn among_many_ids_and_secrets_none_comes_twice() {
    const SAMPLE: usize = 200_000;
    let mut seen = std::collections::HashSet::with_capacity(SAMPLE);
    for _ in 0..SAMPLE {
        let mut random = [0; 32];
        SystemRandomness.fill(&mut random);
        let text = key_text::compose(KeyKind::ApiSecret, KeyEnvironment::Live, &random);
        assert!(seen.insert(text));
    }
    // What the addresses give out is made of the same.
    let node = TestNode::start(DatabaseKind::Sqlite);
    let partner = node.partner(LIVE);
    for _ in 0..50 {
        for audience in Audience::ALL {
            let more = json!({ "audience": audience.as_str() });
            let keys = node.keys_of(LIVE, &partner, more);
            for text in [keys.public_id, keys.secret, keys.credential] {
                assert!(seen.insert(text));
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_pair_is_not_told_at_any_token_address() {
    on_each_database(without_limit, |node| {
        for audience in [Audience::Platform, Audience::Routes] {
            let good = node.keys(LIVE, audience);
            let ended = |verb: &str, body: Option<Value>| {
                let keys = node.keys(LIVE, audience);
                let target = format!("/live/v1/credentials/{}/{verb}", keys.credential);
                node.operate("POST", &target, body).expect(200);
                keys
            };
            let disabled = ended("disable", None);
            let revoked = ended("revoke", None);
            let expired = ended("expire", Some(json!({ "expires_at": NOW_S })));
            let foreign = node.keys(Environment::Test, audience);
            let signing = node.keys(LIVE, Audience::Management);
            let wrong = (good.public_id.as_str(), "wrong");
            let reference = refusals(&node, wrong);
            let pairs = [
                ("nobody", good.secret.as_str()),
                (&good.public_id.to_lowercase(), &good.secret),
                (&disabled.public_id, &disabled.secret),
                (&disabled.public_id, "wrong"),
                (&revoked.public_id, &revoked.secret),
                (&expired.public_id, &expired.secret),
                (&foreign.public_id, &foreign.secret),
                (&signing.public_id, &signing.secret),
                (&good.public_id, &good.secret[..good.secret.len() - 1]),
            ];
            for pair in pairs {
                assert_eq!(refusals(&node, pair), reference, "{audience:?} {}", pair.0);
            }
        }
    });
}

/// Headers without the request's own, and body, of every way to show a pair; all are 401.
fn refusals(node: &TestNode, (id, secret): (&str, &str)) -> Vec<String> {
    let is_own = |name: &str| matches!(name, "date" | "request-id");
    let calls = client_calls(node.live, id, secret).into_iter();
    calls
        .map(|(name, call)| {
            let mut answer = call.send();
            assert_eq!(answer.status, 401, "{name}: {}", answer.text());
            answer.headers.retain(|(name, _)| !is_own(name));
            format!("{name} {:?} {}", answer.headers, answer.text())
        })
        .collect()
}

#[test]
fn variants_of_an_id_share_the_limit_and_lock_nobody_out() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        let proxies = || TrustedProxies::parse(&["127.0.0.1"]).expect("a network");
        settings.trusted_proxies = proxies();
        for environment in &mut settings.environments {
            environment.surfaces.trusted_proxies = proxies();
        }
    });
    let partner = node.partner(LIVE);
    let guid = "7D21B0AA-55C3-4E19-BB02-6F3E9C8D1A47";
    let more = json!({ "audience": "routes", "public_id": guid, "secret": "the right one" });
    node.keys_of(LIVE, &partner, more);
    let from = |source: &str, id: &str, secret: &str| {
        let call = node.live.post("/token").header("X-Forwarded-For", source);
        let call = call.header("X-Forwarded-Proto", "https");
        let answer = call.json(&json!({ "api_key": id, "api_secret": secret }));
        answer.send().status
    };
    let variants: Vec<String> = (0..20)
        .map(|number| match number {
            0 => guid.to_lowercase(),
            1 => format!(" {guid}"),
            2 => format!("{guid} "),
            3 => format!("\u{feff}{guid}"),
            4 => format!("{guid}\u{200b}"),
            5 => guid.replace('A', "\u{410}"),
            6 => guid.replace('-', "\u{2010}"),
            7 => format!("{{{guid}}}"),
            8 => guid.replace('-', ""),
            9 => format!("{guid}\u{0}"),
            10 => format!("\t{guid}"),
            11 => guid.replace('D', "d"),
            12 => guid.replace('7', "\u{ff17}"),
            13 => guid.replace('1', "\u{661}"),
            14 => format!("{guid}%20"),
            15 => format!("{guid}\n"),
            16 => format!("{guid}\u{a0}"),
            17 => guid.replace('B', "\u{392}"),
            18 => format!("{guid}\u{301}"),
            _ => guid.to_owned(),
        })
        .collect();
    let mut answered = Vec::new();
    for round in 0..10 {
        for id in &variants {
            answered.push((round, from("198.51.100.7", id, "wrong")));
        }
    }
    let tried = answered.iter().filter(|(_, status)| *status == 401).count();
    let refused = answered.iter().filter(|(_, status)| *status == 429).count();
    assert_eq!(
        (tried, refused),
        (10, 190),
        "ten tries in all, however it is spelt"
    );
    // The partner works on, and spelling gives a stranger no new tries at the partner's key.
    assert_eq!(from("203.0.113.9", guid, "the right one"), 200);
    assert_eq!(from("198.51.100.7", guid, "the right one"), 429);
    node.clock.advance(Duration::from_secs(61));
    assert_eq!(from("198.51.100.7", guid, "the right one"), 200);
}

/// What the published expression finds in a text.
fn keys_in(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (place, _) in text.match_indices("wl_") {
        let rest = &text[place..];
        let length = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            .count();
        let head = rest.get(3..6).unwrap_or_default();
        let word = rest.get(7..).and_then(|rest| rest.split('_').next());
        let whole = word.map_or(0, |word| 8 + word.len() + 36);
        if matches!(head, "cid" | "csk" | "key" | "sec" | "sgn" | "opr")
            && matches!(word, Some("live" | "test" | "all"))
            && length >= whole
        {
            found.push(&rest[..whole]);
        }
    }
    found
}

#[test]
fn no_secret_lies_in_the_repository() {
    let published = std::fs::read_to_string(root().join("docs/keys.md")).expect("docs/keys.md");
    let expression = "wl_(cid|csk|key|sec|sgn|opr)_(live|test|all)_[0-9A-Za-z]{36}";
    assert!(
        published.contains(expression),
        "the expression is published"
    );
    let mut random = [0; 32];
    SystemRandomness.fill(&mut random);
    let planted = key_text::compose(KeyKind::SigningSecret, KeyEnvironment::Test, &random);
    assert_eq!(keys_in(&format!("x={planted};")), [planted.as_str()]);
    let mut files = 0;
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), ".git" | "target" | "node_modules" | "data") {
                    folders.push(path);
                }
                continue;
            }
            files += 1;
            let text = String::from_utf8_lossy(&std::fs::read(&path).expect("a file")).into_owned();
            for key in keys_in(&text) {
                let is_secret = key_text::inspect(key).is_ok_and(|text| !text.kind.is_public());
                assert!(
                    !is_secret || EXAMPLES.contains(&key),
                    "{} holds a secret that looks real",
                    path.display()
                );
            }
        }
    }
    assert!(files > 100);
}

/// Whole secrets that are published as examples and open nothing.
const EXAMPLES: [&str; 2] = [
    "wl_sgn_live_flDIBkGwcRKRL9GXCgaFM3UNu2jQTC0TO3Iy",
    "wl_csk_live_0000000000000000000000000000004ImQw1",
];
