//! Requests that are signed over the message itself (RFC 9421), and the digests of their bodies
//! (RFC 9530).

use std::sync::Arc;

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_protocol::body_digest::{BodyDigest, content_digest};
use wayleave_protocol::http_signature::{ResponseMessage, Signed, read, verify_hmac_sha256};
use wayleave_protocol::{Message, jwt};
use wayleave_testkit::{Call, DatabaseKind, MessageSigner};

use crate::harness::{NOW_S, TestNode, on_both_databases, route};
use crate::raw_upstream::RawUpstream;

const LIVE: Environment = Environment::Live;

on_both_databases! {
    fn a_signed_request_passes_with_the_secret_as_it_was_given(node: TestNode) {
        let keys = node.signing_keys(LIVE);
        let answer = keys.message_signer().get(node.live, "/hello/there?x=%C3%84&y=a+b");
        let answer = answer.send().expect(200).json();
        assert_eq!(answer["caller"]["wayleave-scheme"], "http-signature");
        assert_eq!(answer["query"], "x=%C3%84&y=a+b");
        // The same credential also gets tokens, as it was made to.
        let token = node.token(LIVE, &keys);
        node.live.get("/hello").bearer(&token).send().expect(200);
        // The other environment does not know it.
        keys.message_signer().get(node.test, "/hello").send().expect(401);
    }

    fn a_body_passes_with_its_digest_and_no_other_does(node: TestNode) {
        let keys = node.signing_keys(LIVE);
        let signer = keys.message_signer();
        let body = br#"{"pages":12}"#;
        let answer = signer.call(node.live, "POST", "/hello", &[], body).send();
        assert_eq!(answer.expect(200).json()["body_bytes"], json!(body.len()));
        let sha512 = content_digest(&BodyDigest::sha512(body));
        let fields = [("content-digest", sha512.as_str())];
        signer.call(node.live, "POST", "/hello", &fields, body).send().expect(200);
        let other = signer.call(node.live, "POST", "/hello", &[], body);
        let answer = other.raw_body(br#"{"pages":13}"#).send().expect(400);
        assert_eq!(answer.json()["type"], "urn:wayleave:problem:digest-mismatch");
    }
}

#[test]
fn a_wrong_secret_or_a_changed_part_is_401() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.signing_keys(LIVE);
    let mut wrong = keys.message_signer();
    wrong.secret.push('x');
    let refused = wrong.get(node.live, "/hello").send().expect(401);
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Signature realm=\"wayleave\"")
    );
    let elsewhere = keys.message_signer().get(node.live, "/hello");
    let headers = elsewhere.headers();
    let moved = node.live.get("/hello/other");
    let moved = headers
        .iter()
        .fold(moved, |call, (name, value)| call.header(name, value));
    moved.send().expect(401);
    let mut unknown = keys.message_signer();
    unknown.key_id.push('x');
    unknown.get(node.live, "/hello").send().expect(401);
}

#[test]
fn a_token_beside_a_signature_is_400_and_an_api_secret_that_was_not_made_to_sign_is_401() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.signing_keys(LIVE);
    let token = node.token(LIVE, &keys);
    let both = keys
        .message_signer()
        .get(node.live, "/hello")
        .bearer(&token);
    both.send().expect(400);
    let bearer_only = node.keys(LIVE, Audience::Routes);
    bearer_only
        .message_signer()
        .get(node.live, "/hello")
        .send()
        .expect(401);
}

#[test]
fn a_header_named_signature_belongs_to_the_api_behind_where_a_token_is_the_proof() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.signing_keys(LIVE);
    let token = node.token(LIVE, &keys);
    let call = node.live.get("/hello").bearer(&token);
    call.header("Signature", "of the partner's own")
        .send()
        .expect(200);
}

#[test]
fn the_api_behind_never_has_a_whole_body_that_is_another_than_was_signed() {
    for chunked in [false, true] {
        let behind = RawUpstream::start();
        let upstream = behind.upstream();
        let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
            for environment in &mut settings.environments {
                let mut behind = route("/behind", &[Audience::Routes], "");
                behind.upstream = upstream.clone();
                environment.surfaces.routes.push(behind);
            }
        });
        let keys = node.signing_keys(LIVE);
        let body = vec![b'a'; 3_000_000];
        let mut altered = body.clone();
        *altered.last_mut().expect("not empty") = b'b';
        let call = keys
            .message_signer()
            .call(node.live, "POST", "/behind", &[], &body);
        let call = if chunked {
            let mut chunk = format!("{:x}\r\n", altered.len()).into_bytes();
            chunk.extend_from_slice(&altered);
            chunk.extend_from_slice(b"\r\n0\r\n\r\n");
            call.header("Transfer-Encoding", "chunked").raw_body(&chunk)
        } else {
            call.raw_body(&altered)
        };
        let answer = call.send().expect(400);
        assert_eq!(
            answer.json()["type"],
            "urn:wayleave:problem:digest-mismatch"
        );
        // What is on its way when the exchange is broken off may still arrive.
        for _ in 0..100 {
            if behind.text().contains("\r\n\r\naaa") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let text = behind.text();
        let head = text.find("\r\n\r\n").expect("a head") + 4;
        assert!(text.len() > head, "it streams");
        assert!(text.len() - head < altered.len());
        assert!(!text.ends_with("0\r\n\r\n"), "an end of the body was sent");
    }
}

on_both_databases! {
    fn a_signature_passes_once_and_never_again_also_after_a_restart(node: TestNode) {
        let mut node = node;
        let keys = node.signing_keys(LIVE);
        let mut ahead = keys.message_signer();
        ahead.created = Some(NOW_S + 200);
        let calls = [keys.message_signer().get(node.live, "/hello"), ahead.get(node.live, "/hello")];
        for call in &calls {
            call.clone().send().expect(200);
            call.clone().send().expect(401);
        }
        node.restart();
        let again = |node: &TestNode, call: &Call| {
            let fresh = node.live.get("/hello").header("Host", &host_of(call));
            call.headers().iter().fold(fresh, |call, (name, value)| call.header(name, value)).send()
        };
        for later in [0, 1, 100, 199] {
            node.clock.set(NOW_S + later);
            for call in &calls {
                again(&node, call).expect(401);
            }
        }
        let mut fresh = keys.message_signer();
        fresh.created = Some(NOW_S + 1);
        node.clock.set(NOW_S + 1);
        fresh.get(node.live, "/hello").send().expect(200);
    }

    fn of_many_replays_with_a_restart_in_the_middle_none_passes(node: TestNode) {
        let mut node = node;
        let keys = node.signing_keys(LIVE);
        let calls: Vec<Call> = (0..200).map(|number| {
            let mut signer = keys.message_signer();
            signer.created = Some(NOW_S - 100 + number);
            signer.get(node.live, "/hello")
        }).collect();
        let host = node.live.to_string();
        let send = |node: &TestNode, call: &Call| {
            let fresh = node.live.get("/hello").header("Host", &host);
            let call = call.headers().iter().fold(fresh, |call, (name, value)| call.header(name, value));
            call.send().status
        };
        let passed = |node: &TestNode| calls.iter().filter(|call| send(node, call) == 200).count();
        assert_eq!(passed(&node), calls.len());
        for _ in 0..5 {
            assert_eq!(passed(&node), 0);
        }
        node.restart();
        for later in [0, 1, 50, 150] {
            node.clock.set(NOW_S + later);
            assert_eq!(passed(&node), 0);
        }
    }

    fn every_key_takes_its_own_algorithm_and_no_other(node: TestNode) {
        let with_secret = node.signing_keys(LIVE);
        let pairs = [jwt::Algorithm::EdDsa, jwt::Algorithm::Es256].map(|algorithm| {
            let pkcs8 = jwt::generate(algorithm).expect("a key");
            let pair = jwt::SigningKey::from_pkcs8("k", algorithm, pkcs8.as_bytes()).expect("a key");
            let integration = node.integration(LIVE, &with_secret.partner);
            let body = json!({ "integration": integration, "audience": "routes", "public_key": pair.public_jwk() });
            let made = node.operate("POST", "/live/v1/credentials", Some(body)).expect(201).json();
            assert!(made.get("secret").is_none(), "{made}");
            assert_eq!(made["schemes"], "http-signature");
            (made["public_id"].as_str().expect("an id").to_owned(), Arc::new(pair))
        });
        let send = |key_id: &str, pair: Option<&Arc<jwt::SigningKey>>, alg: Option<&str>| {
            let signer = MessageSigner {
                key_id: key_id.to_owned(),
                pair: pair.cloned(),
                alg: alg.map(str::to_owned),
                ..with_secret.message_signer()
            };
            signer.call(node.live, "POST", "/hello", &[], b"body").send().status
        };
        let algorithms = ["hmac-sha256", "ed25519", "ecdsa-p256-sha256"];
        let keys = [
            (with_secret.public_id.as_str(), None),
            (pairs[0].0.as_str(), Some(&pairs[0].1)),
            (pairs[1].0.as_str(), Some(&pairs[1].1)),
        ];
        for (own, (key_id, _)) in keys.iter().enumerate() {
            for (used, (_, pair)) in keys.iter().enumerate() {
                for alg in [None, Some(0), Some(1), Some(2)] {
                    let status = send(key_id, *pair, alg.map(|alg: usize| algorithms[alg]));
                    let is_right = own == used && alg.is_none_or(|alg| alg == own);
                    assert_eq!(status == 200, is_right, "{own} {used} {alg:?}: {status}");
                }
            }
        }
    }

    fn a_public_key_is_rolled_and_never_anything_else(node: TestNode) {
        let partner = node.partner(LIVE);
        let integration = node.integration(LIVE, &partner);
        let key = |algorithm| {
            let pkcs8 = jwt::generate(algorithm).expect("a key");
            jwt::SigningKey::from_pkcs8("k", algorithm, pkcs8.as_bytes()).expect("a key")
        };
        let (old, new) = (key(jwt::Algorithm::Es256), key(jwt::Algorithm::EdDsa));
        let make = |more: serde_json::Value| {
            let mut body = json!({ "integration": integration, "audience": "routes" });
            for (member, value) in more.as_object().expect("members") {
                body[member] = value.clone();
            }
            node.operate("POST", "/live/v1/credentials", Some(body))
        };
        let made = make(json!({ "public_key": old.public_jwk(), "public_id": "their own id" }));
        let made = made.expect(201).json();
        assert_eq!(made["public_id"], "their own id");
        assert_eq!(made["secrets"][0]["algorithm"], "ecdsa-p256-sha256");
        make(json!({ "public_key": "nonsense" })).expect(422);
        make(json!({ "public_key": old.public_jwk(), "schemes": "bearer http-signature" })).expect(422);
        let target = |verb: &str| format!("/live/v1/credentials/{}/{verb}", made["id"].as_str().expect("an id"));
        let roll = |body| node.operate("POST", &target("roll"), Some(body));
        roll(json!({})).expect(422);
        roll(json!({ "public_key": new.public_jwk(), "secret": "both" })).expect(422);
        node.operate("POST", &target("refresh"), None).expect(409);
        let send = |pair: jwt::SigningKey| {
            let signer = MessageSigner {
                pair: Some(Arc::new(pair)),
                ..MessageSigner::new("their own id", "", NOW_S)
            };
            move || signer.get(node.live, "/hello").send().status
        };
        let rolled = roll(json!({ "public_key": new.public_jwk(), "overlap_s": 60 })).expect(200).json();
        assert_eq!(rolled["secrets"][1]["algorithm"], "ed25519");
        let (old, new) = (send(old), send(new));
        assert_eq!((old(), new()), (200, 200));
        let end = format!("/live/v1/credentials/{}/secrets/{}/end",
            made["id"].as_str().expect("an id"), made["secrets"][0]["id"].as_str().expect("an id"));
        node.operate("POST", &end, None).expect(200);
        assert_eq!((old(), new()), (401, 200));
    }

    fn an_answer_is_signed_for_whoever_asks(node: TestNode) {
        let keys = node.signing_keys(LIVE);
        let wanted = [("accept-signature", "back=(\"@status\");nonce=\"n\"")];
        let answer = keys.message_signer().call(node.live, "GET", "/hello?a=1", &wanted, b"").send().expect(200);
        let input = answer.header("signature-input").expect("an input");
        let signature = answer.header("signature").expect("a signature");
        let fields: Vec<(&str, &[u8])> = answer.headers.iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let authority = node.live.to_string();
        let response = ResponseMessage {
            status: 200,
            fields: &fields,
            request: Message {
                method: "GET", scheme: "http", authority: &authority, path: "/hello", query: Some("a=1"), fields: &[],
            },
        };
        let presented = read(input.as_bytes(), signature.as_bytes()).expect("headers");
        assert_eq!(presented[0].label, "back");
        let (covered, bytes) = presented[0].checked().expect("a signature");
        assert_eq!((covered.nonce(), covered.key_id()), (Some("n"), Some(keys.public_id.as_str())));
        assert!(["@status", "content-type", "content-digest"].into_iter().all(|part| covered.covers(part)));
        let base = covered.base(&Signed::Response(response)).expect("a base");
        assert!(verify_hmac_sha256(keys.secret.as_bytes(), &base, bytes));
        assert_eq!(answer.header("content-digest"), Some(content_digest(&BodyDigest::sha256(&answer.body)).as_str()));
        let bare = keys.message_signer().get(node.live, "/hello").send().expect(200);
        assert_eq!(bare.header("signature"), None);
    }

    fn of_many_at_once_with_one_nonce_one_passes(node: TestNode) {
        let keys = node.signing_keys(LIVE);
        let passed: usize = std::thread::scope(|scope| {
            let (node, keys) = (&node, &keys);
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(move || {
                (0..25).filter(|number| {
                    let mut signer = keys.message_signer();
                    signer.nonce = Some(format!("the {number}th"));
                    signer.get(node.live, "/hello").send().status == 200
                }).count()
            })).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
        });
        assert_eq!(passed, 25);
    }
}

#[test]
fn a_refused_request_uses_no_nonce_up() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.signing_keys(LIVE);
    let mut signer = keys.message_signer();
    signer.nonce = Some("one".to_owned());
    let mut wrong = signer.clone();
    wrong.secret.push('x');
    wrong.get(node.live, "/hello").send().expect(401);
    signer.get(node.live, "/hello").send().expect(200);
    // Another credential may have the same nonce.
    let mut other = node.signing_keys(LIVE).message_signer();
    other.nonce = Some("one".to_owned());
    other.get(node.live, "/hello").send().expect(200);
}

#[test]
fn each_part_and_parameter_that_is_asked_for_is_missed() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.signing_keys(LIVE);
    let parts = ["@method", "@authority", "@path", "@query"];
    let send = |signer: MessageSigner, body: &[u8]| {
        let method = if body.is_empty() { "GET" } else { "POST" };
        signer
            .call(node.live, method, "/hello?a=1", &[], body)
            .send()
            .status
    };
    let signer = || keys.message_signer().covering(&parts);
    assert_eq!((send(signer(), b""), send(signer(), b"x")), (200, 200));
    for part in parts {
        let rest: Vec<&str> = parts.into_iter().filter(|other| *other != part).collect();
        assert_eq!(
            send(keys.message_signer().covering(&rest), b""),
            401,
            "{part}"
        );
    }
    let no_digest = MessageSigner {
        components: parts.map(str::to_owned).to_vec(),
        ..keys.message_signer()
    };
    let unsigned = no_digest.get(node.live, "/hello?a=1");
    let unsigned = unsigned.method("POST").raw_body(b"x").send();
    assert_eq!(
        unsigned.status, 401,
        "another method, and a body that nobody signed"
    );
    let with = |change: fn(&mut MessageSigner)| {
        let mut signer = keys.message_signer();
        change(&mut signer);
        send(signer, b"")
    };
    assert_eq!(with(|signer| signer.created = None), 401);
    assert_eq!(with(|signer| signer.nonce = Some(String::new())), 401);
    assert_eq!(with(|signer| signer.key_id = String::new()), 401);
    assert_eq!(with(|signer| signer.created = Some(NOW_S - 301)), 401);
    assert_eq!(with(|signer| signer.created = Some(NOW_S + 301)), 401);
    assert_eq!(with(|signer| signer.created = Some(NOW_S - 300)), 200);
    assert_eq!(with(|signer| signer.created = Some(NOW_S + 300)), 200);
    assert_eq!(with(|signer| signer.expires = Some(NOW_S - 1)), 401);
    assert_eq!(with(|signer| signer.expires = Some(NOW_S)), 200);
    assert_eq!(
        with(|signer| signer.alg = Some("hmac-sha256".to_owned())),
        200
    );
    assert_eq!(with(|signer| signer.alg = Some("ed25519".to_owned())), 401);
    assert_eq!(with(|signer| signer.tag = Some("any".to_owned())), 200);
}

#[test]
fn a_request_for_another_name_is_not_for_us() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        for environment in &mut settings.environments {
            environment.surfaces.authorities.add("API.example:8443");
        }
    });
    let keys = node.signing_keys(LIVE);
    let status = |authority: &str, host: &str| {
        let mut signer =
            keys.message_signer()
                .covering(&["@method", "@authority", "@path", "@query"]);
        signer.authority = Some(authority.to_owned());
        let call = signer.get(node.live, "/hello").header("Host", host);
        call.send().status
    };
    assert_eq!(status("api.example:8443", "API.EXAMPLE:8443"), 200);
    assert_eq!(status("elsewhere.example", "elsewhere.example"), 401);
    assert_eq!(
        status("api.example", "api.example"),
        401,
        "another port is another authority"
    );
    assert_eq!(status("elsewhere.example", "api.example:8443"), 401);
    let local = format!("localhost:{}", node.live.port());
    assert_eq!(status(&local, &local), 200);
}

#[test]
fn a_401_says_what_a_signature_has_to_be_and_test_says_what_was_wrong() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let bare = node.live.get("/hello").send().expect(401);
    let wanted = bare
        .header("accept-signature")
        .expect("what is wanted")
        .to_owned();
    assert!(
        wanted.starts_with("sig=(\"@method\" \"@target-uri\");created;nonce=\""),
        "{wanted}"
    );
    let with_body = node.live.post("/hello").json(&json!({})).send().expect(401);
    assert!(
        with_body
            .header("accept-signature")
            .is_some_and(|wanted| wanted.contains("content-digest"))
    );
    for environment in [LIVE, Environment::Test] {
        let keys = node.signing_keys(environment);
        let mut signer = keys.message_signer();
        signer.secret.push('x');
        let refused = signer
            .get(node.address(environment), "/hello?a=1")
            .send()
            .expect(401)
            .json();
        assert_eq!(refused["message"], "Unauthorized");
        assert!(refused["server_time"].is_string());
        let explanation = &refused["explanation"];
        if environment == LIVE {
            assert!(explanation.is_null(), "{refused}");
            continue;
        }
        assert_eq!(explanation["reason"], "signature mismatch");
        let base = explanation["base_strings"][0].as_str().expect("a base");
        assert!(
            base.starts_with("\"@method\": GET\n\"@target-uri\": http://127.0.0.1:"),
            "{base}"
        );
        let claimed = base.replace('\n', "\\n").replace("a=1", "a=2");
        let call = signer
            .get(node.test, "/hello?a=1")
            .header("Wayleave-Base-String", &claimed);
        let difference = &call.send().expect(401).json()["explanation"]["first_difference"];
        assert_eq!(difference["line"], 2);
        let old = MessageSigner {
            created: Some(NOW_S - 1_000),
            ..keys.message_signer()
        };
        let reason =
            old.get(node.test, "/hello").send().expect(401).json()["explanation"]["reason"].clone();
        assert_eq!(
            reason,
            "the signature was created 1000 s behind the server's clock; 300 s are allowed"
        );
    }
}

#[test]
fn the_signature_of_a_known_key_counts_whatever_stands_beside_it() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.signing_keys(LIVE);
    let own = keys.message_signer().get(node.live, "/hello");
    let value = |name: &str| {
        let found = own.headers().iter().find(|(given, _)| given == name);
        found.expect("a header").1.replacen("sig=", "", 1)
    };
    let (input, signature) = (value("Signature-Input"), value("Signature"));
    let send = |inputs: &[&str], signatures: &[&str]| {
        let labelled = |values: &[&str]| {
            let members = values.iter().enumerate();
            let members: Vec<String> = members
                .map(|(place, value)| format!("l{place}={value}"))
                .collect();
            members.join(", ")
        };
        let call = node
            .live
            .get("/hello")
            .header("Signature-Input", &labelled(inputs));
        call.header("Signature", &labelled(signatures))
            .send()
            .status
    };
    let foreign = "(\"@method\");created=1;keyid=\"proxy\";alg=\"rsa-v1_5-sha256\"";
    let too_many = [foreign, foreign, foreign, foreign, &input];
    assert_eq!(
        send(
            &too_many,
            &[":AA==:", ":AA==:", ":AA==:", ":AA==:", &signature]
        ),
        401
    );
    assert_eq!(
        send(&[foreign, &input], &[&signature, ":AA==:"]),
        401,
        "labels belong together"
    );
    assert_eq!(
        send(&[foreign, "1", &input], &[":AA==:", ":AA==:", &signature]),
        200
    );
    assert_eq!(
        send(&[foreign, "1", &input], &[":AA==:", ":AA==:", &signature]),
        401,
        "once"
    );
}

#[test]
fn behind_a_proxy_that_asks_the_body_is_left_to_those_who_see_it() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.signing_keys(LIVE);
    let mut signer = keys.message_signer();
    signer.authority = Some("localhost:1234".to_owned());
    let ask = |call: &Call, method: &str, host: &str| {
        let ask = node
            .live
            .get("/auth/check")
            .header("X-Forwarded-Method", method);
        let ask = ask
            .header("X-Forwarded-Uri", "/hello?a=1")
            .header("X-Forwarded-Host", host);
        let headers = call.headers().iter();
        headers
            .fold(ask, |ask, (name, value)| ask.header(name, value))
            .send()
    };
    let own = format!("localhost:{}", node.live.port());
    signer.authority = Some(own.clone());
    let get = signer.get(node.live, "/hello?a=1");
    let passed = ask(&get, "GET", &own).expect(204);
    assert_eq!(passed.header("wayleave-scheme"), Some("http-signature"));
    assert_eq!(passed.header("wayleave-body"), None);
    ask(&get, "GET", &own).expect(401);
    let post = signer.call(node.live, "POST", "/hello?a=1", &[], b"body");
    let passed = ask(&post, "POST", &own).expect(204);
    assert_eq!(passed.header("wayleave-body"), Some("check-digest"));
    let undigested = signer.clone();
    let call = undigested.call(node.live, "POST", "/hello?a=1", &[], b"");
    ask(&call, "POST", &own).expect(401);
    ask(
        &signer.get(node.live, "/hello?a=1"),
        "GET",
        "elsewhere.example",
    )
    .expect(401);
}

fn host_of(call: &Call) -> String {
    call.address().to_string()
}
