//! Rows M: live and test, and what is put into ids and texts.

use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_testkit::{Address, Answer, Call};

use super::{
    ADMIN_CALLS, Objects, admin_call, client_calls, fits_a_header, keys_of_every_kind,
    naughty_strings, objects, on_each_database, other, without_limit,
};
use crate::harness::{NOW_S, OPERATOR, TestNode};

#[test]
fn no_id_of_one_environment_names_anything_in_the_other() {
    on_each_database(without_limit, |node| {
        for own in Environment::ALL {
            let foreign = other(own);
            let ids = Objects::make(&node, own);
            node.keys(foreign, Audience::Routes);
            let before = (objects(&node, own), objects(&node, foreign));
            let mut refused = 0;
            for call in ADMIN_CALLS {
                let (method, path, body) = call;
                if !Objects::is_named(path) && !Objects::is_named(body) {
                    continue;
                }
                let answer = admin_call(&node, foreign, call, &ids)
                    .bearer(OPERATOR)
                    .send();
                check_knows_nothing(call, &answer);
                refused += 1;
                if method == "GET" {
                    // In its own environment it is there.
                    admin_call(&node, own, call, &ids)
                        .bearer(OPERATOR)
                        .send()
                        .expect(200);
                }
            }
            assert!(refused >= 25, "{refused}");
            assert_eq!(
                (objects(&node, own), objects(&node, foreign)),
                before,
                "nothing has changed"
            );
        }
    });
}

/// An answer that could be had about an id that there never was.
fn check_knows_nothing(call: (&str, &str, &str), answer: &Answer) {
    let (method, path, body) = call;
    let text = answer.text();
    if path.contains('?') {
        assert_eq!(answer.status, 200, "{call:?}: {text}");
        assert_eq!(answer.json()["data"], json!([]), "{call:?}");
    } else if path == "tokens/introspect" {
        assert_eq!(answer.json(), json!({ "active": false }));
    } else if path == "tokens/revoke" {
        assert_eq!(answer.json()["revoked"], false, "{text}");
    } else if path == "credentials/import" {
        assert_eq!(answer.status, 422, "{call:?}: {text}");
        assert!(body.contains("integration") && text.contains("no such integration"));
    } else if matches!(method, "GET" | "POST") {
        assert_eq!(answer.status, 404, "{call:?}: {text}");
    } else {
        assert_eq!(answer.status, 405, "{call:?}: {text}");
    }
}

#[test]
fn no_credential_of_one_environment_proves_anything_in_the_other() {
    on_each_database(without_limit, |node| {
        for own in Environment::ALL {
            let foreign = other(own);
            let address = node.address(foreign);
            let kinds = keys_of_every_kind(&node, own);
            let before = objects(&node, foreign);
            let unknown = |name: &str, call: Call| {
                let answer = call.send();
                assert_eq!(answer.status, 401, "{own} {name}: {}", answer.text());
            };
            let mut tokens = Vec::new();
            for (audience, keys) in &kinds {
                for (name, call) in client_calls(address, &keys.public_id, &keys.secret) {
                    unknown(name, call);
                }
                for (name, call) in surfaces(address, &keys.public_id) {
                    let target = name.clone();
                    let proof = keys.signer().headers("GET", &target, NOW_S);
                    let call = proof
                        .iter()
                        .fold(call, |call, (name, value)| call.header(name, value));
                    unknown(&name, call);
                }
                match audience {
                    Audience::Platform => tokens.push(node.oauth_token(own, keys)),
                    Audience::Routes => tokens.push(node.token(own, keys)),
                    _ => {}
                }
            }
            for token in &tokens {
                for (name, call) in surfaces(address, "x") {
                    unknown(&name, call.clone().bearer(token));
                    unknown(&name, call.header("Authorization", token));
                }
                node.address(own)
                    .get("/hello")
                    .bearer(token)
                    .send()
                    .expect(200);
            }
            // A client of the other environment learns nothing of them, and ends none.
            let client = node.keys(foreign, Audience::Platform);
            for token in &tokens {
                let ask = |path: &str| {
                    let call = address.post(path).basic(&client.public_id, &client.secret);
                    call.form(&[("token", token)]).send().expect(200)
                };
                assert_eq!(ask("/oauth/introspect").json(), json!({ "active": false }));
                ask("/oauth/revoke");
                node.address(own)
                    .get("/hello")
                    .bearer(token)
                    .send()
                    .expect(200);
            }
            let after = objects(&node, foreign);
            assert!(before.iter().all(|row| after.contains(row)));
            assert_eq!(after.len(), before.len() + 4, "only the new client's rows");
        }
    });
}

/// The surfaces that take a token or a signature, for a GET.
fn surfaces(address: Address, key: &str) -> Vec<(String, Call)> {
    let paths = [
        "/hello".to_owned(),
        "/jobs".to_owned(),
        format!("/api/Property/{key}"),
        format!("/api/Resource/{key}/x"),
        format!("/api/TemporaryUserToken/{key}/x"),
    ];
    let direct = paths.iter().map(|path| (path.clone(), address.get(path)));
    let described = paths.iter().map(|path| {
        let call = address
            .get("/auth/check")
            .header("X-Forwarded-Method", "GET");
        (path.clone(), call.header("X-Forwarded-Uri", path))
    });
    direct.chain(described).collect()
}

/// Texts that a careless statement would run.
const STATEMENTS: [&str; 24] = [
    "'",
    "\"",
    "`",
    "';--",
    "' OR '1'='1",
    "' OR 1=1 --",
    "\" OR \"\"=\"",
    "') OR ('1'='1",
    "'; DROP TABLE partner; --",
    "'; UPDATE credential SET state='active'; --",
    "' UNION SELECT id, public_id FROM credential --",
    "1; SELECT pg_sleep(5) --",
    "' || (SELECT version()) || '",
    "' AND 1=CAST((SELECT name FROM sqlite_master) AS INT) --",
    "$1",
    "$$",
    "$1; DELETE FROM secret",
    "%",
    "_",
    "%' OR name LIKE '%",
    "\\",
    "\\'",
    "x'41'",
    "NULL",
];

#[test]
fn hostile_texts_are_texts_at_every_address() {
    on_each_database(without_limit, |node| {
        let own = Environment::Live;
        let ids = Objects::make(&node, own);
        let before = objects(&node, own);
        let naughty = naughty_strings();
        let texts = STATEMENTS
            .iter()
            .copied()
            .chain(naughty.iter().map(String::as_str));
        let texts: Vec<(usize, &str)> = texts.enumerate().collect();
        let made: usize = std::thread::scope(|scope| {
            let node = &node;
            let send = |some: &[(usize, &str)]| -> usize {
                some.iter()
                    .map(|(place, text)| everywhere(node, text, *place))
                    .sum()
            };
            let threads = texts.chunks(50).map(|some| scope.spawn(move || send(some)));
            let threads: Vec<_> = threads.collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no failure"))
                .sum()
        });
        assert!(made > 300, "{made} names were taken as they are");
        let after = objects(&node, own);
        assert!(
            before.iter().all(|row| after.contains(row)),
            "what was there is there, unaltered"
        );
        let target = format!("/{own}/v1/credentials/{}", ids.credential);
        node.operate("GET", &target, None).expect(200);
    });
}

/// Everywhere the statements; of the long list each string at the addresses in turn. How many names
/// were kept.
fn everywhere(node: &TestNode, text: &str, place: usize) -> usize {
    let is_statement = place < STATEMENTS.len();
    look_up(node, text, if is_statement { 0 } else { place });
    at_the_public_addresses(node, text);
    name_and_read_back(node, text)
}

fn is_told_off(what: &str, answer: &Answer) {
    assert!(
        (400..500).contains(&answer.status),
        "{what}: {} {}",
        answer.status,
        answer.text()
    );
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A text as an id in every path and as every parameter; `place` picks some of them where it is
/// not 0.
fn look_up(node: &TestNode, text: &str, place: usize) {
    let wanted = |number: usize| place == 0 || number % 6 == place % 6;
    let id = escaped(text);
    let mut number = 0;
    for (method, path, body) in ADMIN_CALLS {
        for name in [
            "{partner}",
            "{integration}",
            "{property}",
            "{reader}",
            "{credential}",
            "{secret}",
            "{kid}",
            "{order}",
            "{instance}",
            "{pool}",
            "{plan}",
        ] {
            number += 1;
            if !path.contains(name) || !wanted(number) || id.is_empty() {
                continue;
            }
            let target = path
                .replace(name, &id)
                .replace("{credential}", "crd_00000000000000000000000000")
                .replace("{property}", "prp_00000000000000000000000000")
                .replace("{reader}", "rdr_00000000000000000000000000");
            let body = body.replace("{integration}", "int_00000000000000000000000000");
            let body = (!body.is_empty()).then(|| serde_json::from_str(&body).expect("json"));
            let answer = node.operate(method, &format!("/live/v1/{target}"), body);
            if path.contains("object=") && answer.status == 200 {
                assert_eq!(answer.expect(200).json()["data"], json!([]));
            } else {
                is_told_off(&target, &answer);
            }
        }
    }
    for (noun, name) in [
        ("partners", "after"),
        ("partners", "limit"),
        ("credentials", "state"),
        ("credentials", "audience"),
        ("credentials", "after"),
        ("audit", "after"),
        ("credentials", "nothing"),
        ("integrations", "partner"),
    ] {
        number += 1;
        if wanted(number) && !id.is_empty() {
            let answer = node.operate("GET", &format!("/live/v1/{noun}?{name}={id}"), None);
            let is_number = text.parse::<i64>().is_ok();
            assert!(
                is_number || (400..500).contains(&answer.status),
                "{noun} {name} {text:?}"
            );
        }
    }
    for (noun, name) in [
        ("credentials", "public_id"),
        ("audit", "actor"),
        ("audit", "object"),
    ] {
        if !id.is_empty() {
            let answer = node.operate("GET", &format!("/live/v1/{noun}?{name}={id}"), None);
            if answer.status != 200 {
                assert_eq!(
                    answer.status,
                    400,
                    "{noun} {name} {text:?}: {}",
                    answer.text()
                );
                continue;
            }
            let found = answer.json()["data"].as_array().expect("a page").clone();
            let is_own = |row: &Value| row["public_id"] == json!(text);
            assert!(
                found.iter().all(is_own),
                "{noun} {name} {text:?}: {found:?}"
            );
        }
    }
}

/// A text as a name, a public id and a secret: refused, or kept letter by letter. How many names
/// were kept.
fn name_and_read_back(node: &TestNode, text: &str) -> usize {
    let target = "/live/v1/partners";
    let answer = node.operate("POST", target, Some(json!({ "name": text })));
    if answer.status != 201 {
        assert_eq!(answer.status, 422, "{text:?}: {}", answer.text());
        return 0;
    }
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let read = node
        .operate("GET", &format!("{target}/{id}"), None)
        .expect(200);
    assert_eq!(read.json()["name"], json!(text));
    let integration = json!({ "partner": id, "name": text });
    let made = node
        .operate("POST", "/live/v1/integrations", Some(integration))
        .expect(201);
    let credential = json!({
        "integration": made.json()["id"], "audience": "routes", "public_id": text, "secret": text, "name": text,
    });
    let made = node.operate("POST", "/live/v1/credentials", Some(credential));
    match made.status {
        201 => {
            assert_eq!(
                (&made.json()["public_id"], &made.json()["name"]),
                (&json!(text), &json!(text))
            );
            let pair = json!({ "api_key": text, "api_secret": text });
            node.live.post("/token").json(&pair).send().expect(200);
        }
        status => assert!(matches!(status, 409 | 422), "{text:?}: {}", made.text()),
    }
    1
}

fn at_the_public_addresses(node: &TestNode, text: &str) {
    let pair = json!({ "api_key": "nobody", "api_secret": text });
    is_told_off("secret", &node.live.post("/token").json(&pair).send());
    let nobody: Value =
        json!({ "grant_type": "client_credentials", "client_id": text, "client_secret": "x" });
    let platform = node.live.post("/authorize/access_token");
    is_told_off("client id", &platform.json(&nobody).send());
    let id = escaped(text);
    is_told_off("path", &node.live.get(&format!("/hello/{id}")).send());
    is_told_off(
        "key",
        &node.live.get(&format!("/api/Property/{id}?x={id}")).send(),
    );
    if fits_a_header(text) {
        is_told_off("token", &node.live.get("/hello").bearer(text).send());
        is_told_off(
            "bare",
            &node.live.get("/hello").header("Authorization", text).send(),
        );
        let signed = node.live.get("/hello").header("Timestamp", text);
        is_told_off(
            "proof",
            &signed
                .header("Authentication", &format!("{text}:{text}"))
                .send(),
        );
        is_told_off(
            "operator",
            &node.admin.get("/live/v1/keys").bearer(text).send(),
        );
    }
}
