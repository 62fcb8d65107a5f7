//! Wycheproof's sets through our own code: the HMAC of the signed scheme, signatures by ES256,
//! EdDSA and RS256, tokens in compact form, and JWKs.
//!
//! A vector passes, or it is excepted with a reason. An exception that would pass is an error, so
//! that the lists may only shrink. What came out is the table in `docs/wycheproof.md`.

use crate::{vector_json, vector_path};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};
use wayleave_protocol::jwt::{
    Algorithm, KeyError, TokenError, VerifyingKey, verify, verify_signature,
};
use wayleave_protocol::signed;

/// What our code answers to a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    Refused,
    /// Refused before it came to what the vector is about.
    NotSpoken,
}

/// A file of vectors, and how it is put to our code.
struct Set {
    /// The name of the file, without `_test.json`.
    name: &'static str,
    /// What answers, for the table.
    through: &'static str,
    /// Answers to a vector, given its group.
    answer: fn(&Value, &Value) -> Answer,
    exceptions: &'static [Exception],
}

/// Vectors of a set that do not come out as they say, by `tcId`.
struct Exception {
    cases: &'static [RangeInclusive<u64>],
    why: &'static str,
}

const HMAC: &str = "`signed::parse_authentication`, and `signed::sign` where the message is text; \
    where it is not, HMAC made as `signed` makes it";
const SIGNATURES: &str = "`jwt::VerifyingKey::from_jwk` and `verify`";
const TOKENS: &str = "`jwt::VerifyingKey::from_jwk` and `jwt::verify_signature`";

const HAS_A_SECRET: &str = "HS256, HS384, HS512: tokens are signed with a key pair, never with a \
    secret that both sides hold";

const SETS: [Set; 8] = [
    Set {
        name: "hmac_sha256",
        through: HMAC,
        answer: answer_to_mac,
        exceptions: &[Exception {
            cases: &[82..=162, 166..=168, 172..=174],
            why: "tags cut to 16 bytes: a signature is all 32 bytes, and a shorter one is not \
                read; the full HMAC begins with the tag just where the vector says so",
        }],
    },
    Set {
        name: "ecdsa_secp256r1_sha256_p1363",
        through: SIGNATURES,
        answer: answer_to_signature,
        exceptions: &[],
    },
    Set {
        name: "ed25519",
        through: SIGNATURES,
        answer: answer_to_signature,
        exceptions: &[],
    },
    Set {
        name: "rsa_signature_2048_sha256",
        through: SIGNATURES,
        answer: answer_to_signature,
        exceptions: &[],
    },
    Set {
        name: "rsa_signature_3072_sha256",
        through: SIGNATURES,
        answer: answer_to_signature,
        exceptions: &[],
    },
    Set {
        name: "rsa_signature_4096_sha256",
        through: SIGNATURES,
        answer: answer_to_signature,
        exceptions: &[],
    },
    Set {
        name: "json_web_signature",
        through: TOKENS,
        answer: answer_to_token,
        exceptions: &[
            Exception {
                cases: &[1..=17, 348..=348, 352..=352, 357..=377],
                why: HAS_A_SECRET,
            },
            Exception {
                cases: &[264..=344, 346..=346, 350..=350],
                why: "RS384, RS512, PS256, PS384, PS512: RS256 is the one RSA algorithm",
            },
            Exception {
                cases: &[347..=347, 351..=351],
                why: "valid by ES512, under a key that says `ES521`: ES256 is the one ECDSA \
                    algorithm",
            },
        ],
    },
    Set {
        name: "json_web_key",
        through: TOKENS,
        answer: answer_to_token,
        exceptions: &[
            Exception {
                cases: &[2..=4, 10..=18],
                why: HAS_A_SECRET,
            },
            Exception {
                cases: &[7..=7],
                why: "**accepted, though the vector wants it refused**: the weakness of RSA keys \
                    made by one vendor's old chips (ROCA) is not looked for; our library makes \
                    our keys",
            },
        ],
    },
];

/// Sets that are not run, and why.
const NOT_RUN: [(&str, &str); 5] = [
    (
        "`ecdsa_secp256r1_sha256` (signatures in DER)",
        "an ES256 signature is `r` and `s`, 64 bytes (RFC 7518, 3.4); DER is refused for its \
         length, whatever is in it, so the set would test nothing",
    ),
    (
        "`hmac_sha1`, `hmac_sha512`, `rsa_pss_*`",
        "not spoken by the signed scheme or by tokens",
    ),
    ("`json_web_encryption`", "tokens are not encrypted"),
    (
        "`json_web_crypto`",
        "its signed tokens are in `json_web_signature` and `json_web_key` too, but for one in JSON \
         serialization; the others are encrypted",
    ),
    (
        "`aes_gcm`, `chacha20_poly1305`, `xchacha20_poly1305`, `hkdf_sha256`, `pbkdf2_hmacsha256`",
        "no part of a request or a token; of these only AES-GCM is used, in \
         `wayleave-engine/src/vault.rs`",
    ),
];

const DOCUMENT: &str = "../../docs/wycheproof.md";
const UPDATE: &str = "WAYLEAVE_UPDATE";

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn items(list: &Value) -> &[Value] {
    list.as_array().unwrap()
}

fn verdict(accepted: bool) -> Answer {
    if accepted {
        Answer::Accepted
    } else {
        Answer::Refused
    }
}

/// What the vector wants. `acceptable` leaves it open; we are strict.
fn expected(test: &Value) -> Answer {
    match test["result"].as_str().unwrap() {
        "valid" => Answer::Accepted,
        "invalid" | "acceptable" => Answer::Refused,
        other => panic!("a result that is not known: {other}"),
    }
}

fn answer_to_mac(_: &Value, test: &Value) -> Answer {
    let (ours, tag) = (
        mac(&bytes(&test["key"]), &bytes(&test["msg"])),
        &test["tag"],
    );
    let tag = bytes(tag);
    let header = format!("k:{}", STANDARD.encode(&tag));
    let Some(presented) = signed::parse_authentication(header.as_bytes()) else {
        let fits = verdict(ours.starts_with(&tag));
        assert_eq!(fits, expected(test), "tag cut short, {test}");
        return Answer::NotSpoken;
    };
    verdict(ours == presented.signature)
}

/// The HMAC of the signed scheme. Base strings are text; what is not text cannot be one.
fn mac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(message) {
        Ok(text) => STANDARD.decode(signed::sign(secret, text)).unwrap(),
        Err(_) => {
            let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            mac.chain_update(message).finalize().into_bytes().to_vec()
        }
    }
}

fn answer_to_signature(group: &Value, test: &Value) -> Answer {
    let key = VerifyingKey::from_jwk(&signature_jwk(group)).unwrap();
    verdict(key.verify(&bytes(&test["msg"]), &bytes(&test["sig"])))
}

/// The key of a group, with the algorithm of its type; some groups give only the point.
fn signature_jwk(group: &Value) -> Value {
    let given = group.get("publicKeyJwk").or(group.get("keyJwk"));
    let mut jwk = given.cloned().unwrap_or_else(|| point_jwk(group));
    let algorithm = match group["type"].as_str().unwrap() {
        "EcdsaP1363Verify" => Algorithm::Es256,
        "EddsaVerify" => Algorithm::EdDsa,
        "RsassaPkcs1Verify" => Algorithm::Rs256,
        other => panic!("a type that is not known: {other}"),
    };
    jwk["alg"] = json!(algorithm.as_str());
    jwk
}

fn point_jwk(group: &Value) -> Value {
    let point = bytes(&group["publicKey"]["uncompressed"]);
    let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
    json!({"kty": "EC", "crv": "P-256", "kid": "none", "x": x, "y": y})
}

/// A table of those keys of the group that we take, as a checker of tokens has it, answers.
fn answer_to_token(group: &Value, test: &Value) -> Answer {
    let jwks = public_jwks(group);
    let keys: Vec<VerifyingKey> = jwks
        .iter()
        .filter_map(|jwk| VerifyingKey::from_jwk(jwk).ok())
        .collect();
    if keys.is_empty() && jwks.iter().all(is_not_spoken) {
        return Answer::NotSpoken;
    }
    let token = test["jws"].as_str().unwrap();
    verdict(keys.into_iter().any(|key| accepts(key, token)))
}

/// The keys that a group gives to who checks: one, or a set.
fn public_jwks(group: &Value) -> Vec<Value> {
    let given = group.get("public").unwrap_or(&group["private"]);
    let mut jwks = match given.get("keys") {
        Some(keys) => items(keys).to_vec(),
        None => vec![given.clone()],
    };
    for jwk in &mut jwks {
        if jwk.get("alg").is_none() {
            jwk["alg"] = usual_algorithm(jwk); // so that it is not refused for want of that only
        }
    }
    jwks
}

fn usual_algorithm(jwk: &Value) -> Value {
    match jwk["kty"].as_str().unwrap() {
        "RSA" => json!("RS256"),
        "EC" => json!("ES256"),
        other => panic!("a key without algorithm: {other}"),
    }
}

/// Whether the key is for an algorithm of RFC 7518 3.1 that we do not have.
fn is_not_spoken(jwk: &Value) -> bool {
    let registered = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256",
        "PS384", "PS512",
    ];
    let alg = jwk["alg"].as_str().unwrap();
    registered.contains(&alg) && alg.parse::<Algorithm>() == Err(KeyError::Algorithm)
}

/// Whether the key's signature is on the token. None of these is an access token, whoever signed.
fn accepts(key: VerifyingKey, token: &str) -> bool {
    let checked = verify_signature(token, &key);
    let key = Arc::new(key);
    let opened = verify(token, "issuer", 0, 0, |kid| {
        (kid == key.kid()).then(|| Arc::clone(&key))
    });
    let Ok(payload) = checked else {
        assert!(opened.is_err(), "{token}");
        return false;
    };
    assert_eq!(opened, Err(TokenError::Type), "{token}");
    let sent = token.split('.').nth(1).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(payload), sent);
    true
}

/// What came out of a set.
#[derive(Default)]
struct Outcome {
    total: usize,
    accepted: usize,
    refused: usize,
    /// For each exception of the set, how many vectors it was needed for.
    excepted: Vec<usize>,
    /// What is wrong, in words.
    faults: Vec<String>,
}

static OUTCOMES: LazyLock<Vec<Outcome>> = LazyLock::new(|| SETS.iter().map(Set::run).collect());

impl Set {
    fn run(&self) -> Outcome {
        let file = vector_json(&format!("wycheproof/{}_test.json", self.name));
        let mut outcome = Outcome {
            excepted: vec![0; self.exceptions.len()],
            ..Outcome::default()
        };
        for group in items(&file["testGroups"]) {
            for test in items(&group["tests"]) {
                self.count(&mut outcome, test, (self.answer)(group, test));
            }
        }
        if file["numberOfTests"] != outcome.total {
            outcome
                .faults
                .push(format!("{}: the file is not whole", self.name));
        }
        for (exception, count) in self.exceptions.iter().zip(&outcome.excepted) {
            if exception.length() != *count {
                let cases = exception.cases();
                let fault = format!("{} {cases}: needed for {count} only", self.name);
                outcome.faults.push(fault);
            }
        }
        outcome
    }

    fn count(&self, outcome: &mut Outcome, test: &Value, answer: Answer) {
        let id = test["tcId"].as_u64().unwrap();
        let at = self
            .exceptions
            .iter()
            .position(|exception| exception.covers(id));
        let passes = answer == expected(test);
        outcome.total += 1;
        match (at, answer) {
            (Some(at), _) if !passes => outcome.excepted[at] += 1,
            (None, Answer::Accepted) if passes => outcome.accepted += 1,
            (None, Answer::Refused) if passes => outcome.refused += 1,
            (excepted, _) => outcome.faults.push(format!(
                "{} {id}: {answer:?}, the vector says {} ({}){}",
                self.name,
                test["result"],
                test["comment"],
                excepted.map_or("", |_| ": strike it from the exceptions"),
            )),
        }
    }
}

impl Exception {
    fn covers(&self, id: u64) -> bool {
        self.cases.iter().any(|range| range.contains(&id))
    }

    fn length(&self) -> usize {
        self.cases.iter().map(|range| range.clone().count()).sum()
    }

    fn cases(&self) -> String {
        let text = |range: &RangeInclusive<u64>| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}–{last}"),
        };
        self.cases.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}

#[test]
fn every_vector_comes_out_as_it_says_or_is_excepted() {
    let faults: Vec<&String> = OUTCOMES
        .iter()
        .flat_map(|outcome| &outcome.faults)
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_document_says_what_came_out() {
    assert!(OUTCOMES.iter().all(|outcome| outcome.faults.is_empty()));
    let path = vector_path(DOCUMENT);
    let ours = document();
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        std::fs::write(&path, &ours).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some(difference) = signed::first_difference(&ours, &written) {
        panic!(
            "docs/wycheproof.md is not what came out. Line {}: it says {:?}, but came out {:?}. \
             If the change is meant: {COMMAND}",
            difference.line, difference.theirs, difference.ours
        );
    }
}

const COMMAND: &str = "WAYLEAVE_UPDATE=1 cargo test -p wayleave-protocol wycheproof";

const INTRODUCTION: &str = "\
# Wycheproof

Vectors of [Wycheproof](https://github.com/C2SP/wycheproof) against Wayleave's own code. The files
are in [tests/vectors](../tests/vectors/README.md). This page is compared with what comes out
whenever the tests run, and written by

```sh
COMMAND
```

A vector passes when it is accepted or refused as it says. One that may go either way (`acceptable`)
has to be refused. An excepted one does not come out as it says, or is refused before it comes to
what it is about; if it passed, the test would fail.

| set | vectors | passed | accepted | refused | excepted | through |
| --- | ---: | ---: | ---: | ---: | ---: | --- |
";

fn document() -> String {
    let mut text = INTRODUCTION.replace("COMMAND", COMMAND);
    for (set, outcome) in SETS.iter().zip(&*OUTCOMES) {
        push_set(&mut text, set, outcome);
    }
    text.push_str(
        "\n## Excepted\n\n| set | vectors | how many | why |\n| --- | --- | ---: | --- |\n",
    );
    for (set, outcome) in SETS.iter().zip(&*OUTCOMES) {
        for (exception, count) in set.exceptions.iter().zip(&outcome.excepted) {
            let (name, cases, why) = (set.name, exception.cases(), exception.why);
            writeln!(text, "| `{name}` | {cases} | {count} | {why} |").unwrap();
        }
    }
    text.push_str("\n## Not run\n\n| set | why |\n| --- | --- |\n");
    for (name, why) in NOT_RUN {
        writeln!(text, "| {name} | {why} |").unwrap();
    }
    text
}

fn push_set(text: &mut String, set: &Set, outcome: &Outcome) {
    let Outcome {
        total,
        accepted,
        refused,
        ..
    } = outcome;
    let excepted: usize = outcome.excepted.iter().sum();
    let (name, through, passed) = (set.name, set.through, accepted + refused);
    writeln!(
        text,
        "| `{name}` | {total} | {passed} | {accepted} | {refused} | {excepted} | {through} |"
    )
    .unwrap();
}

#[test]
fn no_private_key_of_the_sets_is_taken() {
    let mut count = 0;
    for name in ["json_web_signature", "json_web_key"] {
        let file = vector_json(&format!("wycheproof/{name}_test.json"));
        for group in items(&file["testGroups"]) {
            if group.get("public").is_none() {
                continue;
            }
            let private = &group["private"];
            let jwk = private.get("keys").map_or(private, |keys| &keys[0]);
            count += 1;
            let read = VerifyingKey::from_jwk(jwk).map(|_| ());
            assert_eq!(read, Err(KeyError::Private), "{}", group["comment"]);
        }
    }
    assert_eq!(count, 30);
}

/// RFC 7638 3.1 and RFC 8037 A.3.
#[test]
fn thumbprints_are_those_of_the_standards() {
    let rsa = json!({
        "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    });
    let rsa = VerifyingKey::from_jwk(&rsa).unwrap();
    assert_eq!(
        rsa.thumbprint(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    let ed = json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    });
    let ed = VerifyingKey::from_jwk(&ed).unwrap();
    assert_eq!(
        ed.thumbprint(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}
