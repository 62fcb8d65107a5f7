//! Rows B: the token addresses, introspection and revocation.

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_testkit::{Address, Answer, Call, DatabaseKind, RawSql, TakenAway};

use super::{client_calls, database, naughty_strings, on_each_database, without_limit};
use crate::harness::{Keys, NOW_S, TestNode, on_both_databases, root};

const LIVE: Environment = Environment::Live;
const GRANT: (&str, &str) = ("grant_type", "client_credentials");
/// The addresses that take a form, each with what it needs beside the client's proof.
const FORM_ADDRESSES: [(&str, (&str, &str)); 4] = [
    ("/oauth/token", GRANT),
    ("/authorize/access_token", GRANT),
    ("/oauth/introspect", ("token", "x")),
    ("/oauth/revoke", ("token", "x")),
];

fn client(keys: &Keys) -> [(&'static str, &str); 2] {
    [
        ("client_id", keys.public_id.as_str()),
        ("client_secret", keys.secret.as_str()),
    ]
}

fn revoke(node: &TestNode, keys: &Keys, token: &str) -> Answer {
    let call = node.live.post("/oauth/revoke");
    let call = call.basic(&keys.public_id, &keys.secret);
    call.form(&[("token", token)]).send()
}

fn introspect(node: &TestNode, keys: &Keys, token: &str) -> Value {
    let call = node.live.post("/oauth/introspect");
    let call = call.basic(&keys.public_id, &keys.secret);
    call.form(&[("token", token)]).send().expect(200).json()
}

fn opens(node: &TestNode, token: &str) -> bool {
    node.live.get("/hello").bearer(token).send().status == 200
}

#[test]
fn two_ways_to_prove_a_client_are_refused_in_every_pair() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, without_limit);
    let keys = node.keys(LIVE, Audience::Platform);
    let other = node.keys(LIVE, Audience::Platform);
    let [id, secret] = client(&keys);
    for (path, needed) in FORM_ADDRESSES {
        let call = || node.live.post(path);
        let basic = || call().basic(&keys.public_id, &keys.secret);
        let refused = [
            basic().form(&[needed, id, secret]),
            basic().form(&[needed, secret]),
            basic().form(&[needed, ("client_id", &other.public_id)]),
            basic().basic(&keys.public_id, &keys.secret).form(&[needed]),
            basic()
                .basic(&other.public_id, &other.secret)
                .form(&[needed]),
            basic().bearer("eyJraW.x.y").form(&[needed]),
            call().form(&[needed, id, secret, id]),
            call().form(&[needed, id, secret, secret]),
            call().form(&[needed, id, secret, ("CLIENT_ID", &other.public_id)]),
        ];
        for (place, call) in refused.into_iter().enumerate() {
            let answer = call.send();
            assert_eq!(answer.status, 400, "{path} {place}: {}", answer.text());
            let error = &answer.json()["error"];
            assert!(error == "invalid_request" || *error == 400, "{error}");
        }
        assert_ne!(basic().form(&[needed]).send().status, 400);
    }
    let routes = node.keys(LIVE, Audience::Routes);
    let pair = json!({ "api_key": routes.public_id, "api_secret": routes.secret });
    let basic = node.live.post("/token");
    let basic = basic.basic(&routes.public_id, &routes.secret);
    basic.json(&pair).send().expect(400);
}

#[test]
fn a_parameter_that_comes_twice_or_in_the_url_is_refused() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, without_limit);
    let keys = node.keys(LIVE, Audience::Platform);
    let [id, secret] = client(&keys);
    for (path, needed) in FORM_ADDRESSES {
        let fields = [needed, id, secret, ("scope", ""), ("more", "1")];
        for doubled in fields {
            for name in [doubled.0.to_owned(), doubled.0.to_uppercase()] {
                let mut twice = fields.to_vec();
                twice.push((&name, doubled.1));
                let answer = node.live.post(path).form(&twice).send();
                assert_eq!(answer.status, 400, "{path}: {name} twice in the body");
                let target = format!("{path}?{name}=1&{}=1", doubled.0);
                node.live.post(&target).form(&fields).send().expect(400);
            }
        }
        for name in ["grant_type", "client_id", "client_secret", "scope", "token"] {
            let target = format!("{path}?{name}=x");
            node.live.post(&target).form(&fields).send().expect(400);
            let only = fields.iter().filter(|field| field.0 != name);
            let only: Vec<_> = only.copied().collect();
            node.live.post(&target).form(&only).send().expect(400);
        }
    }
    let routes = node.keys(LIVE, Audience::Routes);
    for name in ["api_key", "api_secret", "API_SECRET"] {
        let target = format!("/token?{name}=x");
        let call = node.live.get(&target);
        let call = call.basic(&routes.public_id, &routes.secret);
        call.send().expect(400);
    }
}

#[test]
fn tricks_with_basic_are_refused_and_never_a_fault_of_ours() {
    use base64::Engine as _;
    let node = TestNode::start_with(DatabaseKind::Sqlite, without_limit);
    let calls = |header: &str| -> Vec<Call> {
        let with = |call: Call| call.header("Authorization", header);
        let mut calls = vec![
            with(node.live.get("/token")),
            with(node.live.post("/token")),
        ];
        calls.extend(
            FORM_ADDRESSES.map(|(path, needed)| with(node.live.post(path)).form(&[needed])),
        );
        calls
    };
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let mut headers: Vec<String> = [
        &b"no colon"[..],
        b"",
        b":",
        b"id:",
        b":secret",
        b"\xff\xfe:\x80",
        b"id\0:secret",
        b"id:secret\0",
        b"%00:%00",
        b"%ff:%fe",
        b"%:%",
        b"a:b:c",
    ]
    .map(|bytes| format!("Basic {}", encode(bytes)))
    .into();
    headers.extend(
        [
            "Basic",
            "Basic ",
            "Basic !!!!",
            "Basic YTpi YTpi",
            "basic YTpi==",
        ]
        .map(String::from),
    );
    headers
        .extend([30_000, 64 * 1024].map(|length| format!("Basic {}", encode(&vec![b'a'; length]))));
    for text in naughty_strings() {
        headers.push(format!(
            "Basic {}",
            encode(format!("{text}:{text}").as_bytes())
        ));
    }
    for header in &headers {
        for call in calls(header) {
            let answer = call.send();
            assert!(
                matches!(answer.status, 400 | 401 | 431),
                "{header}: {}",
                answer.status
            );
            if answer.status == 401
                && !answer
                    .headers
                    .iter()
                    .any(|(name, _)| name == "www-authenticate")
            {
                // Only the token exchange by POST asks for nothing: its clients are no browsers.
                assert!(answer.json().get("error").is_none(), "{header}");
            }
        }
    }
}

#[test]
fn json_of_another_shape_is_refused() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, without_limit);
    let shapes = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1.5e300),
        json!(""),
        json!([]),
        json!(["a", "b"]),
        json!({}),
        json!({ "$ne": null }),
        json!({ "0": "a" }),
    ];
    for shape in &shapes {
        for name in ["api_key", "api_secret"] {
            let mut body = json!({ "api_key": "x", "api_secret": "y" });
            body[name] = shape.clone();
            node.live.post("/token").json(&body).send().expect(400);
        }
        for name in ["client_id", "client_secret", "grant_type"] {
            let mut body = json!({ "grant_type": GRANT.1, "client_id": "x", "client_secret": "y" });
            body[name] = shape.clone();
            let call = node.live.post("/authorize/access_token");
            call.json(&body).send().expect(400);
        }
        if !shape.is_object() {
            for path in ["/token", "/authorize/access_token"] {
                node.live.post(path).json(shape).send().expect(400);
            }
        }
    }
    let mut files = 0;
    for entry in std::fs::read_dir(root().join("tests/vectors/JSONTestSuite/test_parsing"))
        .expect("the suite")
    {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        files += 1;
        if bytes.len() > 8 * 1024 {
            continue;
        }
        for target in ["/token", "/authorize/access_token"] {
            let answer = node
                .live
                .post(target)
                .body("application/json", &bytes)
                .send();
            assert_eq!(answer.status, 400, "{}", path.display());
        }
    }
    assert_eq!(files, 318);
    let members = r#""api_key":"x","api_secret":"y","api_key":"z""#;
    let twice = node
        .live
        .post("/token")
        .body("application/json", format!("{{{members}}}"));
    twice.send().expect(400);
}

#[test]
fn a_body_of_another_kind_than_its_type_says_gives_no_token() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, without_limit);
    let keys = node.keys(LIVE, Audience::Platform);
    let routes = node.keys(LIVE, Audience::Routes);
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        keys.public_id, keys.secret
    );
    let named =
        json!({ "grant_type": GRANT.1, "client_id": keys.public_id, "client_secret": keys.secret });
    let pair = json!({ "api_key": routes.public_id, "api_secret": routes.secret });
    let xml = format!("<a><client_id>{}</client_id></a>", keys.public_id);
    let bodies = [form, named.to_string(), pair.to_string(), xml];
    let types = [
        "application/x-www-form-urlencoded",
        "application/json",
        "application/xml",
        "text/xml",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "application/soap+xml",
        "application/problem+json",
        "APPLICATION/JSON; charset=utf-8",
        "application/x-www-form-urlencoded; charset=utf-16",
    ];
    for (kind, body) in bodies.iter().enumerate() {
        for media_type in types {
            let status = |path: &str| node.live.post(path).body(media_type, body).send().status;
            let essence = media_type
                .split(';')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            let is_form = kind == 0 && essence == types[0];
            let is_json = kind == 1 && essence == types[1];
            assert_eq!(
                status("/oauth/token") == 200,
                is_form,
                "{kind} {media_type}"
            );
            assert_eq!(status("/authorize/access_token") == 200, is_form || is_json);
            // The contract of this one: JSON whatever its type says, and nothing but JSON.
            assert_eq!(status("/token") == 200, kind == 2, "{kind} {media_type}");
        }
    }
}

#[test]
fn a_token_never_has_a_scope_that_was_not_registered() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let partner = node.partner(LIVE);
    let words = ["a:read", "a:write", "b", "never"];
    for registered in 1..8_u32 {
        let set = |bits: u32| -> Vec<&str> {
            let chosen = words
                .iter()
                .enumerate()
                .filter(|(place, _)| bits & (1 << place) != 0);
            chosen.map(|(_, word)| *word).collect()
        };
        let more = json!({ "audience": "platform", "scopes": set(registered).join(" ") });
        let keys = node.keys_of(LIVE, &partner, more);
        let [id, secret] = client(&keys);
        for asked in 0..16_u32 {
            let scope = set(asked).join(" ");
            let answer = node.live.post("/oauth/token");
            let answer = answer.form(&[GRANT, id, secret, ("scope", &scope)]).send();
            if asked & !registered != 0 {
                assert_eq!(answer.expect(400).json()["error"], "invalid_scope");
                continue;
            }
            let granted = if asked == 0 { registered } else { asked };
            let body = answer.expect(200).json();
            assert_eq!(
                body["scope"],
                set(granted).join(" "),
                "the answer states it"
            );
            let token = body["access_token"].as_str().expect("a token");
            let seen = node
                .live
                .get("/hello")
                .bearer(token)
                .send()
                .expect(200)
                .json();
            assert_eq!(seen["caller"]["wayleave-scopes"], set(granted).join(" "));
        }
        let doubled = format!("{0} {0}", set(registered)[0]);
        let answer = node.live.post("/oauth/token");
        let answer = answer
            .form(&[GRANT, id, secret, ("scope", &doubled)])
            .send();
        assert!(answer.status == 400 || answer.json()["scope"] == set(registered)[0]);
    }
}

#[test]
fn every_grant_but_the_one_is_unsupported_and_assertions_prove_nothing() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, without_limit);
    let keys = node.keys(LIVE, Audience::Platform);
    let [id, secret] = client(&keys);
    for grant in [
        "password",
        "implicit",
        "refresh_token",
        "authorization_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:openid:params:grant-type:ciba",
        "Client_Credentials",
        "client_credentials ",
        "none",
    ] {
        for path in ["/oauth/token", "/authorize/access_token"] {
            let call = node.live.post(path);
            let answer = call.form(&[("grant_type", grant), id, secret]).send();
            assert_eq!(
                answer.expect(400).json()["error"],
                "unsupported_grant_type",
                "{grant}"
            );
        }
    }
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    for (path, needed) in FORM_ADDRESSES {
        let fields = [
            needed,
            id,
            ("client_assertion_type", kind),
            ("client_assertion", "a.b.c"),
        ];
        let answer = node.live.post(path).form(&fields).send();
        assert!(
            matches!(answer.status, 400 | 401),
            "{path}: {}",
            answer.status
        );
    }
}

on_both_databases! {
    fn a_client_learns_and_ends_its_own_tokens_only(node: TestNode) {
        let clients: Vec<(Keys, String)> = (0..4)
            .map(|number| {
                let audience = [Audience::Platform, Audience::Routes][number % 2];
                let keys = node.keys(LIVE, audience);
                let token = match audience {
                    Audience::Platform => node.oauth_token(LIVE, &keys),
                    _ => node.token(LIVE, &keys),
                };
                (keys, token)
            })
            .collect();
        let nobody = node.live.post("/oauth/introspect").form(&[("token", &clients[0].1)]);
        nobody.send().expect(401);
        node.live.post("/oauth/revoke").form(&[("token", &clients[0].1)]).send().expect(401);
        // A token is no proof of its client.
        let by_token = node.live.post("/oauth/introspect").bearer(&clients[0].1);
        by_token.form(&[("token", &clients[0].1)]).send().expect(401);
        for (asking, (keys, _)) in clients.iter().enumerate() {
            for (asked, (owner, token)) in clients.iter().enumerate() {
                let told = introspect(&node, keys, token);
                if asking == asked {
                    assert_eq!((&told["active"], &told["client_id"]), (&json!(true), &json!(owner.public_id)));
                } else {
                    assert_eq!(told, json!({ "active": false }), "and nothing else");
                    revoke(&node, keys, token).expect(200);
                    assert!(opens(&node, token), "{asking} cannot end the token of {asked}");
                }
            }
            for text in ["", "x", "a.b.c", "\u{0}"] {
                let call = node.live.post("/oauth/introspect").basic(&keys.public_id, &keys.secret);
                let answer = call.form(&[("token", text)]).send();
                assert!(answer.status == 400 || answer.json() == json!({ "active": false }));
            }
        }
        for (keys, token) in &clients {
            let answer = revoke(&node, keys, token).expect(200);
            assert_eq!(answer.header("cache-control"), Some("private, no-store"));
            assert!(!opens(&node, token), "dead on the next request");
            assert_eq!(introspect(&node, keys, token), json!({ "active": false }));
            revoke(&node, keys, token).expect(200);
        }
    }

    fn a_token_dies_with_its_credential_and_rests_with_its_partner(node: TestNode) {
        let act = |target: &str, body: Option<Value>| {
            node.operate("POST", &format!("/live/v1/{target}"), body).expect(200);
        };
        let watcher = node.keys(LIVE, Audience::Routes);
        let check = |keys: &Keys, token: &str, status: u16| {
            node.live.get("/hello").bearer(token).send().expect(status);
            let described = node.live.get("/auth/check").bearer(token);
            let described = described.header("X-Forwarded-Method", "GET").header("X-Forwarded-Uri", "/hello");
            let expected = if status == 200 { 204 } else { status };
            described.send().expect(expected);
            let told = node.operate("POST", "/live/v1/tokens/introspect", Some(json!({ "token": token })));
            assert_eq!(told.expect(200).json()["active"], status == 200);
            assert_eq!(introspect(&node, &watcher, token)["active"], false);
            if status == 403 {
                assert_eq!(introspect(&node, keys, token), json!({ "active": false }));
            }
        };
        for (verb, body, undo) in [
            ("disable", None, Some("enable")),
            ("expire", Some(json!({ "expires_at": NOW_S })), None),
            ("refresh", None, None),
            ("revoke", None, None),
        ] {
            let keys = node.keys(LIVE, Audience::Platform);
            let token = node.oauth_token(LIVE, &keys);
            check(&keys, &token, 200);
            // A refresh ends the tokens of the seconds before.
            node.clock.advance(std::time::Duration::from_secs(1));
            act(&format!("credentials/{}/{verb}", keys.credential), body);
            node.clock.advance(std::time::Duration::from_secs(1));
            check(&keys, &token, 401);
            if let Some(undo) = undo {
                act(&format!("credentials/{}/{undo}", keys.credential), None);
                check(&keys, &token, 200);
            }
        }
        let keys = node.keys(LIVE, Audience::Platform);
        let token = node.oauth_token(LIVE, &keys);
        act(&format!("partners/{}/lapse", keys.partner), None);
        check(&keys, &token, 403);
        // A token that was revoked meanwhile does not come back with its partner.
        revoke(&node, &keys, &token).expect(200);
        act(&format!("partners/{}/admit", keys.partner), None);
        check(&keys, &token, 401);
    }

    fn without_the_database_nothing_is_said_to_be_revoked(node: TestNode) {
        let keys = node.keys(LIVE, Audience::Platform);
        let token = node.oauth_token(LIVE, &keys);
        let away = TakenAway::take(&database(&node, LIVE));
        let refused = [
            revoke(&node, &keys, &token),
            node.operate("POST", "/live/v1/tokens/revoke", Some(json!({ "token": token }))),
            node.operate("POST", &format!("/live/v1/credentials/{}/revoke", keys.credential), None),
        ];
        for answer in refused {
            let answer = answer.expect(503);
            let wait = answer.header("retry-after").expect("when to try again");
            assert!(wait.parse::<u64>().is_ok());
            assert!(!answer.text().contains("127.0.0.1"), "nothing internal: {}", answer.text());
        }
        // What is in memory goes on, and so does the other environment.
        assert!(opens(&node, &token));
        node.oauth_token(LIVE, &keys);
        node.keys(Environment::Test, Audience::Routes);
        drop(away);
        let healed = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            revoke(&node, &keys, &token).status == 200
        });
        assert!(healed && !opens(&node, &token));
    }

    fn issuing_leaves_no_row_behind(node: TestNode) {
        let keys = node.keys(LIVE, Audience::Platform);
        let mut sql = RawSql::open(&database(&node, LIVE));
        let tables = sql.tables();
        let mut count = || -> Vec<String> {
            let mut one = |table: &String| sql.texts(&format!("SELECT COUNT(*) FROM {table}"));
            tables.iter().flat_map(&mut one).collect()
        };
        let before = count();
        for _ in 0..1_000 {
            node.oauth_token(LIVE, &keys);
        }
        assert_eq!(count(), before);
    }

    fn a_token_lives_its_hour_to_the_second(node: TestNode) {
        let keys = node.keys(LIVE, Audience::Platform);
        let issued = node.live.post("/oauth/token").basic(&keys.public_id, &keys.secret);
        let issued = issued.form(&[GRANT]).send().expect(200).json();
        assert_eq!(issued["expires_in"], 3600);
        let token = issued["access_token"].as_str().expect("a token");
        let told = introspect(&node, &keys, token);
        assert_eq!((&told["iat"], &told["exp"]), (&json!(NOW_S), &json!(NOW_S + 3600)));
        for (second, lives) in [(0, true), (3599, true), (3600, true), (3604, true), (3605, false), (3606, false), (86_400, false)] {
            node.clock.set(NOW_S + second);
            assert_eq!(opens(&node, token), lives, "at {second} s");
            assert_eq!(introspect(&node, &keys, token)["active"], lives, "at {second} s");
        }
    }
}

#[test]
fn no_answer_of_a_token_address_may_be_cached() {
    on_each_database(without_limit, |node| {
        let platform = node.keys(LIVE, Audience::Platform);
        let routes = node.keys(LIVE, Audience::Routes);
        let mut statuses = std::collections::BTreeSet::new();
        let mut check = |name: &str, answer: Answer| {
            let cache = answer.header("cache-control");
            assert_eq!(
                cache,
                Some("private, no-store"),
                "{name}: {}",
                answer.status
            );
            statuses.insert(answer.status);
        };
        for keys in [&platform, &routes] {
            for secret in [keys.secret.as_str(), "wrong"] {
                for (name, call) in client_calls(node.live, &keys.public_id, secret) {
                    check(name, call.send());
                }
            }
        }
        for (path, _) in FORM_ADDRESSES {
            check(path, node.live.post(path).send());
            check(path, node.live.get(path).send());
            check(path, node.live.post(path).body("text/plain", "x").send());
            check(
                path,
                node.live
                    .post(path)
                    .body("text/plain", vec![b'x'; 9_000])
                    .send(),
            );
        }
        check("/token", node.live.post("/token").json(&json!({})).send());
        check("/token", node.live.call("DELETE", "/token").send());
        node.operate(
            "POST",
            &format!("/live/v1/partners/{}/lapse", platform.partner),
            None,
        );
        for (name, call) in client_calls(node.live, &platform.public_id, &platform.secret) {
            check(name, call.send());
        }
        let all = [200, 400, 401, 403, 405, 413];
        assert!(
            all.iter().all(|status| statuses.contains(status)),
            "{statuses:?}"
        );
    });
    let node = TestNode::start(DatabaseKind::Sqlite);
    let wrong = |address: Address| address.get("/token").basic("x", "y").send();
    (0..10).for_each(|_| drop(wrong(node.live).expect(401)));
    let last = wrong(node.live);
    assert_eq!(
        (last.status, last.header("cache-control")),
        (429, Some("private, no-store"))
    );
}
