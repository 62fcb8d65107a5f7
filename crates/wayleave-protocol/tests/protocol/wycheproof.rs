//! Wycheproof: signature primitives through our key type, and JWS with JWK.

use crate::vector_json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wayleave_protocol::jwt::{VerifyingKey, verify_signature};

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

/// The JWK of a group, made of the point where the file gives no JWK.
fn group_jwk(group: &Value) -> Value {
    if let Some(jwk) = group.get("publicKeyJwk").or(group.get("keyJwk")) {
        return jwk.clone();
    }
    let point = bytes(&group["publicKey"]["uncompressed"]);
    let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
    json!({"kty": "EC", "crv": "P-256", "kid": "none", "x": x, "y": y})
}

/// Every test of a primitive; `acceptable` means that either answer will do.
fn check_primitive(file: &str, alg: &str, expected_count: usize) {
    let file = vector_json(&format!("wycheproof/{file}"));
    let mut count = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let mut jwk = group_jwk(group);
        jwk["alg"] = json!(alg);
        let key = VerifyingKey::from_jwk(&jwk).unwrap();
        for test in group["tests"].as_array().unwrap() {
            count += 1;
            let verdict = key.verify(&bytes(&test["msg"]), &bytes(&test["sig"]));
            match test["result"].as_str().unwrap() {
                "valid" => assert!(verdict, "{alg} {}", test["tcId"]),
                "invalid" => assert!(!verdict, "{alg} {}", test["tcId"]),
                _ => {}
            }
        }
    }
    assert_eq!(count, expected_count);
}

#[test]
fn es256_signatures_of_fixed_length() {
    check_primitive("ecdsa_secp256r1_sha256_p1363_test.json", "ES256", 262);
}

#[test]
fn eddsa_signatures() {
    check_primitive("ed25519_test.json", "EdDSA", 151);
}

#[test]
fn rs256_signatures() {
    check_primitive("rsa_signature_2048_sha256_test.json", "RS256", 259);
}

/// The one key of a group, when it is one that we take.
fn group_key(group: &Value) -> Option<VerifyingKey> {
    let public = group.get("public")?;
    let jwk = match public.get("keys").and_then(Value::as_array) {
        Some(keys) if keys.len() == 1 => &keys[0],
        Some(_) => return None,
        None => public,
    };
    VerifyingKey::from_jwk(jwk).ok()
}

/// Counts of accepted and refused tests; panics at a wrong answer. A group whose key we do
/// not take (HMAC, PSS, other curves, wrong use) counts as refused: there is nothing to
/// verify with.
fn check_jws(file: &str, exceptions: &[(&str, &str)]) -> (usize, usize) {
    let file = vector_json(&format!("wycheproof/{file}"));
    let (mut accepted, mut refused) = (0, 0);
    for group in file["testGroups"].as_array().unwrap() {
        let key = group_key(group);
        for test in group["tests"].as_array().unwrap() {
            let excepted = exceptions
                .iter()
                .any(|(name, _)| test["comment"] == *name || group["comment"] == *name);
            let verified = match (&key, test["jws"].as_str()) {
                (Some(key), Some(jws)) => verify_signature(jws, key).is_ok(),
                _ => false,
            };
            if key.is_some() && !excepted {
                let valid = test["result"] == "valid";
                assert_eq!(verified, valid, "{} {}", test["tcId"], test["comment"]);
            }
            if verified {
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    (accepted, refused)
}

#[test]
fn jws_in_compact_form() {
    let (accepted, refused) = check_jws("json_web_signature_test.json", &[]);
    assert_eq!((accepted, refused), (10, 391));
}

#[test]
fn keys_of_the_wrong_kind_are_not_taken() {
    // We make our own keys; the weakness of one vendor's old smart cards is not looked for.
    let exceptions = [("jws_rsa_roca_key", "ROCA")];
    let (accepted, refused) = check_jws("json_web_key_test.json", &exceptions);
    assert_eq!((accepted, refused), (2, 24));
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
