//! Rows C: tokens that a forger or a confused client would send, as whole requests.

use std::net::TcpListener;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_engine::Algorithm;
use wayleave_testkit::{DatabaseKind, RawSql};

use super::{database, on_each_database, without_limit};
use crate::harness::{Keys, NOW_S, TestNode};

const LIVE: Environment = Environment::Live;

/// Somebody with the true signing key, so that only what else is wrong can keep a token out.
struct Forger {
    node: TestNode,
    kid: String,
    pkcs8: Vec<u8>,
    payload: Value,
    keys: Keys,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a forger needs the library's generator"
)]
fn library_random() -> aws_lc_rs::rand::SystemRandom {
    aws_lc_rs::rand::SystemRandom::new()
}

fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).expect("base64url")
}

fn unsigned(header: &str, payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}", encode(header), encode(payload))
}

impl Forger {
    /// Opens the seal of the key that signs.
    fn at(node: TestNode) -> Self {
        let keys = node.keys(LIVE, Audience::Platform);
        let token = node.oauth_token(LIVE, &keys);
        let payload = serde_json::from_slice(&decode(token.split('.').nth(1).expect("claims")));
        let mut sql = RawSql::open(&database(&node, LIVE));
        let rows = "SELECT kid, master_key_id, sealed FROM signing_key ORDER BY generation";
        let row = sql.rows(rows).swap_remove(0);
        let text = |place: usize| {
            let bytes = row[place].clone().expect("a value");
            String::from_utf8(bytes).expect("a text")
        };
        let (kid, master_key) = (text(0), text(1));
        let sealed = row[2].clone().expect("a seal");
        let vault = node.engine(LIVE).vault();
        let opened = vault.open(&format!("signing_key {kid}"), &master_key, &sealed);
        Forger {
            kid,
            pkcs8: opened.expect("the key").to_vec(),
            payload: payload.expect("claims"),
            keys,
            node,
        }
    }

    fn pair(&self, shape: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(shape, &self.pkcs8).expect("a key")
    }

    fn sign(&self, shape: &'static EcdsaSigningAlgorithm, text: &str) -> Vec<u8> {
        let signed = self.pair(shape).sign(&library_random(), text.as_bytes());
        signed.expect("a signature").as_ref().to_vec()
    }

    fn header(&self) -> Value {
        json!({ "kid": self.kid, "alg": "ES256", "typ": "at+jwt" })
    }

    fn forge(&self, header: &str, payload: &str) -> String {
        let signed = unsigned(header, payload);
        let signature = self.sign(&ECDSA_P256_SHA256_FIXED_SIGNING, &signed);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header();
        header[name] = value;
        self.forge(&header.to_string(), &self.payload.to_string())
    }

    fn with_payload(&self, payload: &str) -> String {
        self.forge(&self.header().to_string(), payload)
    }

    /// What the places say where a token is taken: a route by either scheme, and forward auth.
    fn statuses(&self, token: &str) -> [u16; 3] {
        let live = self.node.live;
        let check = live
            .get("/auth/check")
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Uri", "/hello");
        [
            live.get("/hello").bearer(token).send().status,
            live.get("/hello")
                .header("Authorization", token)
                .send()
                .status,
            check.bearer(token).send().status,
        ]
    }

    fn is_refused(&self, what: &str, token: &str) {
        assert_eq!(self.statuses(token), [401; 3], "{what}");
        if token.len() < 5_000 {
            let call = self.node.live.post("/oauth/introspect");
            let call = call.basic(&self.keys.public_id, &self.keys.secret);
            let answer = call.form(&[("token", token)]).send().expect(200);
            assert_eq!(answer.json(), json!({ "active": false }), "{what}");
        }
    }

    fn counts(&self, token: &str) {
        assert_eq!(self.statuses(token), [200, 200, 204]);
    }
}

fn forger() -> Forger {
    Forger::at(TestNode::start_with(DatabaseKind::Sqlite, without_limit))
}

#[test]
fn only_the_algorithm_of_the_key_counts() {
    on_each_database(without_limit, |node| {
        let forger = Forger::at(node);
        forger.counts(&forger.with_payload(&forger.payload.to_string()));
        for alg in [
            "none", "None", "NONE", "nOnE", "", " ", "es256", "ES256 ", "ES384", "ES512", "RS256",
            "PS256", "EdDSA", "HS256", "HS512", "ES256K", "dir",
        ] {
            forger.is_refused(alg, &forger.with_header("alg", json!(alg)));
            let mut header = forger.header();
            header["alg"] = json!(alg);
            let bare = unsigned(&header.to_string(), &forger.payload.to_string());
            for ending in [".", "", ".e30", "..", ".AA"] {
                forger.is_refused(alg, &format!("{bare}{ending}"));
            }
        }
        for alg in [json!(null), json!(["ES256"]), json!(1), json!({})] {
            forger.is_refused("no word", &forger.with_header("alg", alg));
        }
    });
}

#[test]
fn the_public_key_is_no_secret_to_sign_with() {
    let forger = forger();
    let set = forger.node.live.get("/.well-known/jwks.json").send();
    let jwk = set.json()["keys"][0].clone();
    let pair = forger.pair(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let public = pair.public_key().as_ref().to_vec();
    let pem = |der: &[u8]| {
        let body = STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n").into_bytes()
    };
    let text = |name: &str| jwk[name].as_str().unwrap_or_default().as_bytes().to_vec();
    let secrets = [
        public.clone(),
        public[1..].to_vec(),
        pem(&public),
        STANDARD.encode(&public).into_bytes(),
        jwk.to_string().into_bytes(),
        text("x"),
        text("y"),
        text("kid"),
        Vec::from("secret"),
    ];
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        for alg in ["HS256", "ES256"] {
            let mut header = forger.header();
            header["alg"] = json!(alg);
            let signed = unsigned(&header.to_string(), &forger.payload.to_string());
            let tag = hmac::sign(&key, signed.as_bytes());
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
            forger.is_refused(alg, &token);
        }
    }
}

#[test]
fn keys_that_a_token_brings_along_are_neither_used_nor_fetched() {
    let forger = forger();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("set");
    let url = format!(
        "http://{}/keys.json",
        listener.local_addr().expect("a port")
    );
    let own = wayleave_protocol::jwt::generate(Algorithm::Es256).expect("a key");
    let stranger = wayleave_protocol::jwt::SigningKey::from_pkcs8(
        &forger.kid,
        Algorithm::Es256,
        own.as_bytes(),
    );
    let jwk = stranger.expect("a key").public_jwk();
    let sign = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, own.as_bytes());
    let sign = sign.expect("a key");
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", jwk),
        ("x5c", json!([STANDARD.encode(own.as_bytes())])),
        ("x5t", json!("x")),
    ] {
        let mut header = forger.header();
        header[name] = value.clone();
        let signed = unsigned(&header.to_string(), &forger.payload.to_string());
        let signature = sign.sign(&library_random(), signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.expect("a signature"));
        forger.is_refused(name, &format!("{signed}.{signature}"));
        // With the true signature the member is simply not looked at.
        forger.counts(&forger.with_header(name, value));
    }
    let nobody = listener.accept().map(|_| "somebody");
    assert!(nobody.is_err(), "nothing was fetched");
}

#[test]
fn a_key_id_is_one_exact_short_text() {
    let forger = forger();
    let kid = forger.kid.clone();
    for value in [
        json!(""),
        json!(null),
        json!(0),
        json!([kid]),
        json!({ "kid": kid }),
        json!(kid.to_lowercase()),
        json!(kid.to_uppercase()),
        json!(format!("{kid} ")),
        json!(format!(" {kid}")),
        json!(format!("{kid}\0")),
        json!(format!("../{kid}")),
        json!("../../../../dev/null"),
        json!("/etc/passwd"),
        json!("' OR '1'='1"),
        json!("x' UNION SELECT 'AA"),
        json!("x; DROP TABLE signing_key"),
        json!("|/bin/sleep 5"),
        json!("k".repeat(65)),
        json!("k".repeat(5_000)),
    ] {
        forger.is_refused(
            &value.to_string(),
            &forger.with_header("kid", value.clone()),
        );
    }
    let claims = forger.payload.to_string();
    let twice = format!(r#"{{"kid":"{kid}","kid":"{kid}","alg":"ES256","typ":"at+jwt"}}"#);
    forger.is_refused("kid twice", &forger.forge(&twice, &claims));
    let escaped = format!(r#"{{"kid":"x","\u006bid":"{kid}","alg":"ES256","typ":"at+jwt"}}"#);
    forger.is_refused("kid twice, once escaped", &forger.forge(&escaped, &claims));
    let none = forger.forge(r#"{"alg":"ES256","typ":"at+jwt"}"#, &claims);
    forger.is_refused("no kid", &none);
    let huge = forger.with_header("kid", json!("k".repeat(1_000_000)));
    let answer = forger.node.live.get("/hello").bearer(&huge).send();
    assert!(matches!(answer.status, 401 | 431), "{}", answer.status);
}

#[test]
fn extensions_and_other_forms_than_the_compact_one_are_refused() {
    let forger = forger();
    for (name, value) in [
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
    ] {
        forger.is_refused(name, &forger.with_header(name, value));
    }
    let good = forger.with_payload(&forger.payload.to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = [parts[0], parts[1], parts[2]];
    let flat = json!({ "protected": header, "payload": payload, "signature": signature });
    let general = json!({ "payload": payload, "signatures": [{ "protected": header, "signature": signature }] });
    let empty = unsigned(&forger.header().to_string(), "");
    for token in [
        flat.to_string(),
        general.to_string(),
        format!("{header}..{signature}"),
        format!("{good}.x"),
        format!(".{good}"),
        format!("{good}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{empty}.{signature}"),
    ] {
        forger.is_refused(&token, &token);
    }
    forger.counts(&good);
}

#[test]
fn every_claim_has_its_type_and_its_range() {
    let forger = forger();
    let shapes = || {
        [
            json!(null),
            json!(true),
            json!([]),
            json!({}),
            json!(["platform"]),
            json!(1.5),
            json!(-1),
        ]
    };
    for name in ["iss", "sub", "aud", "client_id", "jti", "iat", "exp"] {
        let mut payload = forger.payload.clone();
        payload.as_object_mut().expect("claims").remove(name);
        forger.is_refused(name, &forger.with_payload(&payload.to_string()));
    }
    for name in [
        "iss",
        "sub",
        "aud",
        "client_id",
        "jti",
        "iat",
        "exp",
        "nbf",
        "scope",
    ] {
        for shape in shapes() {
            let mut payload = forger.payload.clone();
            payload[name] = shape.clone();
            let what = format!("{name}: {shape}");
            forger.is_refused(&what, &forger.with_payload(&payload.to_string()));
        }
        let doubled = forger.payload.to_string();
        let value = &forger.payload[name];
        let doubled = format!("{{\"{name}\":{value},{}", &doubled[1..]);
        if !value.is_null() {
            forger.is_refused("a claim twice", &forger.with_payload(&doubled));
        }
    }
    let claims = |times: &str| {
        let mut payload = forger.payload.clone();
        let members = payload.as_object_mut().expect("claims");
        members.retain(|name, _| !matches!(name.as_str(), "iat" | "exp" | "nbf"));
        let text = payload.to_string();
        forger.with_payload(&format!("{{{times},{}", &text[1..]))
    };
    let end = NOW_S + 3_600;
    forger.counts(&claims(&format!(r#""iat":{NOW_S},"exp":{end}"#)));
    for times in [
        format!(r#""iat":{NOW_S},"exp":"{end}""#),
        format!(r#""iat":{NOW_S},"exp":{end}.0"#),
        format!(r#""iat":{NOW_S},"exp":{end}e0"#),
        format!(r#""iat":{NOW_S},"exp":9223372036854775807"#),
        format!(r#""iat":{NOW_S},"exp":9223372036854775808"#),
        format!(r#""iat":{NOW_S},"exp":18446744073709551616"#),
        format!(r#""iat":{NOW_S},"exp":1e400"#),
        format!(r#""iat":{NOW_S},"exp":253402300800"#),
        format!(r#""iat":{NOW_S},"exp":-{end}"#),
        format!(r#""iat":{NOW_S},"exp":0"#),
        format!(r#""iat":{},"exp":{}"#, NOW_S - 3_605, NOW_S - 5),
        format!(r#""iat":{},"exp":{end}"#, NOW_S + 6),
        format!(r#""iat":{NOW_S},"exp":{end},"nbf":{}"#, NOW_S + 6),
        format!(r#""iat":{NOW_S},"exp":{end},"nbf":"{NOW_S}""#),
        format!(r#""iat":"{NOW_S}","exp":{end}"#),
    ] {
        forger.is_refused(&times, &claims(&times));
    }
}

#[test]
fn a_token_of_another_type_audience_or_issuer_opens_nothing() {
    let forger = forger();
    for typ in [
        "JWT",
        "",
        "at+jwt ",
        "id+jwt",
        "logout+jwt",
        "secevent+jwt",
        "application/jwt",
        "at",
    ] {
        forger.is_refused(typ, &forger.with_header("typ", json!(typ)));
    }
    for typ in [json!(null), json!(1), json!(["at+jwt"])] {
        forger.is_refused("typ", &forger.with_header("typ", typ));
    }
    let with = |name: &str, value: Value| {
        let mut payload = forger.payload.clone();
        payload[name] = value;
        forger.with_payload(&payload.to_string())
    };
    for audience in [
        "routes",
        "management",
        "access",
        "Platform",
        "platform ",
        "",
        "*",
    ] {
        forger.is_refused(audience, &with("aud", json!(audience)));
    }
    let issuer = forger.node.live_url.clone();
    let issuers = [
        forger.node.test_url.clone(),
        format!("{issuer}/"),
        issuer.to_uppercase(),
        issuer.replace("http", "https"),
        format!("{issuer}/oauth/token"),
        String::new(),
        "https://id.example".to_owned(),
    ];
    for issuer in issuers {
        forger.is_refused(&issuer, &with("iss", json!(issuer)));
    }
    let routes = forger.node.keys(LIVE, Audience::Routes);
    forger.is_refused("another's id", &with("client_id", json!(routes.public_id)));
    forger.is_refused("nobody's id", &with("client_id", json!("nobody")));
    let management = forger.node.keys(LIVE, Audience::Management);
    forger.is_refused("a key set", &with("client_id", json!(management.public_id)));
}

#[test]
fn signatures_in_another_spelling_are_refused() {
    let forger = forger();
    let good = forger.with_payload(&forger.payload.to_string());
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let bytes = decode(signature);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let half = |from: usize| bytes[from..from + 32].to_vec();
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let der = forger.sign(&ECDSA_P256_SHA256_ASN1_SIGNING, signed);
    let broken = [
        encode(&[0; 64]),
        encode(&[0; 1]),
        String::new(),
        encode(&[vec![0; 32], half(32)].concat()),
        encode(&[half(0), vec![0; 32]].concat()),
        encode(&[order.to_vec(), half(32)].concat()),
        encode(&[order.to_vec(), order.to_vec()].concat()),
        encode(&[half(32), half(0)].concat()),
        encode(&bytes[..63]),
        encode(&[bytes.clone(), vec![0]].concat()),
        encode(&[vec![0], bytes.clone()].concat()),
        encode(&der),
        URL_SAFE.encode(&bytes),
        format!("{signature}="),
        format!("{signature}=="),
        signature.to_lowercase(),
        format!("{signature}%20"),
        format!("{signature}A"),
        STANDARD.encode(&bytes),
    ];
    for signature in broken {
        forger.is_refused(&signature, &format!("{signed}.{signature}"));
    }
    // The last letter of 64 bytes has four bits that mean nothing: only zeros are canonical.
    let last = signature.chars().last().expect("a letter");
    let symbols = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = symbols.find(last).expect("a symbol");
    let loose = symbols.as_bytes()[place + 1] as char;
    let body = &signature[..signature.len() - 1];
    forger.is_refused("not canonical", &format!("{signed}.{body}{loose}"));
    forger.is_refused("blank", &format!("{} {}", &good[..20], &good[20..]));
    forger.is_refused("padded header", &good.replacen('.', "=.", 1));
}

#[test]
fn no_key_set_has_a_private_member() {
    for algorithm in Algorithm::ALL {
        let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
            settings.algorithm = algorithm;
        });
        let set = node
            .live
            .get("/.well-known/jwks.json")
            .send()
            .expect(200)
            .json();
        let public = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"];
        let keys = set["keys"].as_array().expect("keys");
        assert!(!keys.is_empty());
        for key in keys {
            for name in key.as_object().expect("a key").keys() {
                assert!(public.contains(&name.as_str()), "{algorithm}: {name}");
            }
            assert_ne!(key["kty"], "oct");
        }
    }
}

#[test]
fn unknown_key_ids_in_a_flood_fetch_nothing_and_keep_nobody_out() {
    on_each_database(without_limit, |node| {
        let forger = Forger::at(node);
        let good = forger.with_payload(&forger.payload.to_string());
        for number in 0..1_000 {
            let token = forger.with_header("kid", json!(format!("kid-{number}")));
            forger
                .node
                .live
                .get("/hello")
                .bearer(&token)
                .send()
                .expect(401);
        }
        forger.counts(&good);
    });
}

#[test]
fn tokens_that_are_too_large_or_too_deep_are_refused() {
    let forger = forger();
    let with = |value: Value| {
        let mut payload = forger.payload.clone();
        payload["more"] = value;
        forger.with_payload(&payload.to_string())
    };
    let nested = |depth: usize| {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let claims = forger.payload.to_string();
        forger.with_payload(&format!("{{\"more\":{text},{}", &claims[1..]))
    };
    forger.counts(&with(json!("x".repeat(4_000))));
    forger.counts(&nested(10));
    forger.is_refused("more than 8 KiB", &with(json!("x".repeat(7_000))));
    for depth in [17, 64, 1_000, 2_500] {
        forger.is_refused("too deep", &nested(depth));
    }
    let open = format!("{{\"more\":{}", "[".repeat(2_500));
    forger.is_refused("never closed", &forger.with_payload(&open));
    for text in ["A".repeat(100_000), "A.".repeat(30_000), ".".repeat(8_000)] {
        let answer = forger.node.live.get("/hello").bearer(&text).send();
        assert!(matches!(answer.status, 401 | 431), "{}", answer.status);
    }
}
