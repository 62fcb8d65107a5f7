//! Tokens that a forger, a careless issuer or a confused client would send.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use wayleave_protocol::jwt::{
    Algorithm, Claims, KeyError, Pkcs8, SigningKey, TokenError, VerifiedToken, VerifyingKey,
    generate, issue, jwks, kid_for, verify, verify_signature,
};

const ISSUER: &str = "https://id.example";
const NOW_S: i64 = 1_805_192_430;
const HEADER: &str = r#"{"kid":"k1","alg":"ES256","typ":"at+jwt"}"#;

static PKCS8: LazyLock<Pkcs8> = LazyLock::new(|| generate(Algorithm::Es256).unwrap());
static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pkcs8("k1", Algorithm::Es256, PKCS8.as_bytes()).unwrap());
static PUBLIC: LazyLock<Arc<VerifyingKey>> = LazyLock::new(|| Arc::new(KEY.verifying_key()));

fn claims() -> Claims<'static> {
    Claims {
        iss: ISSUER,
        sub: "ptr_1",
        aud: "https://api.example",
        client_id: "wl_cid_1",
        iat: NOW_S - 2,
        exp: NOW_S + 3598,
        jti: "tok_1",
        scope: Some("orders:read"),
    }
}

fn payload() -> Value {
    json!({
        "iss": ISSUER, "sub": "ptr_1", "aud": "https://api.example", "client_id": "wl_cid_1",
        "iat": NOW_S - 2, "exp": NOW_S + 3598, "jti": "tok_1", "scope": "orders:read",
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a forger needs the library's generator"
)]
fn library_random() -> SystemRandom {
    SystemRandom::new()
}

/// Signs any header and payload with the true key.
fn forge(header: &str, payload: &str) -> String {
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, PKCS8.as_bytes()).unwrap();
    let signed = unsigned(header, payload);
    let signature = pair.sign(&library_random(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn unsigned(header: &str, payload: &str) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    )
}

fn check(token: &str) -> Result<VerifiedToken, TokenError> {
    verify(token, ISSUER, NOW_S, 0, |kid| {
        (kid == "k1").then(|| Arc::clone(&PUBLIC))
    })
}

fn check_header(header: &str) -> Result<VerifiedToken, TokenError> {
    check(&forge(header, &payload().to_string()))
}

#[test]
fn a_token_of_each_algorithm_reads_back() {
    for algorithm in Algorithm::ALL {
        let pkcs8 = generate(algorithm).unwrap();
        let kid = kid_for(pkcs8.as_bytes(), algorithm).unwrap();
        let key = SigningKey::from_pkcs8(&kid, algorithm, pkcs8.as_bytes()).unwrap();
        assert_eq!((key.kid(), key.algorithm()), (kid.as_str(), algorithm));
        let token = issue(&key, &claims()).unwrap();
        let header = format!(r#"{{"kid":"{kid}","alg":"{algorithm}","typ":"at+jwt"}}"#);
        assert_eq!(
            token.split('.').next().unwrap(),
            URL_SAFE_NO_PAD.encode(header)
        );
        // The published key, read back from its JWK, is the key.
        let set = jwks([&key.verifying_key()]);
        let public = VerifyingKey::from_jwk(&set["keys"][0]).unwrap();
        assert_eq!(public.thumbprint(), kid);
        let verified = verify(&token, ISSUER, NOW_S, 0, |asked| {
            assert_eq!(asked, kid);
            Some(Arc::new(public))
        });
        let expected = VerifiedToken {
            sub: "ptr_1".to_owned(),
            aud: "https://api.example".to_owned(),
            client_id: "wl_cid_1".to_owned(),
            iat: NOW_S - 2,
            exp: NOW_S + 3598,
            jti: "tok_1".to_owned(),
            scope: Some("orders:read".to_owned()),
        };
        assert_eq!(verified, Ok(expected));
    }
}

#[test]
fn a_published_key_has_no_private_member() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let pkcs8 = generate(algorithm).unwrap();
        let key = SigningKey::from_pkcs8("k", algorithm, pkcs8.as_bytes()).unwrap();
        let jwk = key.public_jwk();
        let names: Vec<&str> = jwk
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let public = ["alg", "crv", "kid", "kty", "use", "x", "y"];
        assert!(names.iter().all(|name| public.contains(name)), "{names:?}");
        assert!(
            !format!("{key:?} {pkcs8:?}")
                .contains(&URL_SAFE_NO_PAD.encode(&pkcs8.as_bytes()[36..60]))
        );
    }
}

#[test]
fn the_claims_are_written_in_order_and_escaped() {
    let odd = Claims {
        sub: "a\"b\\c\n\u{1}é",
        scope: None,
        ..claims()
    };
    let token = issue(&KEY, &odd).unwrap();
    let payload = verify_signature(&token, &PUBLIC).unwrap();
    let expected = format!(
        r#"{{"iss":"{ISSUER}","sub":"a\"b\\c\u000a\u0001é","aud":"https://api.example","client_id":"wl_cid_1","jti":"tok_1","iat":{},"exp":{}}}"#,
        NOW_S - 2,
        NOW_S + 3598
    );
    assert_eq!(String::from_utf8(payload).unwrap(), expected);
    assert_eq!(check(&token).unwrap().sub, odd.sub);
}

#[test]
fn the_forgers_tools_work() {
    assert!(check_header(HEADER).is_ok());
}

#[test]
fn alg_none_is_refused_however_it_is_spelt() {
    for alg in [
        "none", "None", "NONE", "nOnE", "", " none", "HS256", "RS256", "EdDSA", "ES384", "es256",
        "ES256 ",
    ] {
        let header = json!({"kid": "k1", "alg": alg, "typ": "at+jwt"}).to_string();
        assert_eq!(check_header(&header), Err(TokenError::Algorithm), "{alg}");
        let stripped = unsigned(&header, &payload().to_string()) + ".";
        assert_eq!(check(&stripped), Err(TokenError::Algorithm), "{alg}");
    }
    let stripped = unsigned(HEADER, &payload().to_string()) + ".";
    assert_eq!(check(&stripped), Err(TokenError::Signature));
}

#[test]
fn a_public_key_is_not_an_hmac_secret() {
    let jwk = PUBLIC.jwk();
    let point = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    for secret in [jwk.to_string().into_bytes(), point] {
        for alg in ["HS256", "ES256"] {
            let header = json!({"kid": "k1", "alg": alg, "typ": "at+jwt"}).to_string();
            let signed = unsigned(&header, &payload().to_string());
            let mac = Hmac::<sha2::Sha256>::new_from_slice(&secret).unwrap();
            let mac = mac.chain_update(&signed).finalize().into_bytes();
            assert!(check(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))).is_err());
        }
    }
}

#[test]
fn a_key_of_another_id_or_algorithm_does_not_fit() {
    let other = generate(Algorithm::Es256).unwrap();
    let other = SigningKey::from_pkcs8("k1", Algorithm::Es256, other.as_bytes()).unwrap();
    let token = issue(&other, &claims()).unwrap();
    assert_eq!(check(&token), Err(TokenError::Signature));

    let ed = generate(Algorithm::EdDsa).unwrap();
    let ed = SigningKey::from_pkcs8("k1", Algorithm::EdDsa, ed.as_bytes()).unwrap();
    assert_eq!(
        check(&issue(&ed, &claims()).unwrap()),
        Err(TokenError::Algorithm)
    );

    // A table that answers with the wrong record is not believed.
    let token = issue(&KEY, &claims()).unwrap();
    let renamed = Arc::new(
        SigningKey::from_pkcs8("k2", Algorithm::Es256, PKCS8.as_bytes())
            .unwrap()
            .verifying_key(),
    );
    let found = verify(&token, ISSUER, NOW_S, 0, |_| Some(renamed));
    assert_eq!(found, Err(TokenError::UnknownKey));
    assert_eq!(
        verify(&token, ISSUER, NOW_S, 0, |_| None),
        Err(TokenError::UnknownKey)
    );
}

#[test]
fn key_ids_are_exact_short_texts() {
    let unknown = [
        json!("K1"),
        json!("k1 "),
        json!("../k1"),
        json!("k1' OR 1=1"),
        json!("x".repeat(65)),
    ];
    for kid in unknown {
        let header = json!({"kid": kid, "alg": "ES256", "typ": "at+jwt"}).to_string();
        assert_eq!(check_header(&header), Err(TokenError::UnknownKey), "{kid}");
    }
    for kid in [json!(null), json!(1), json!(["k1"]), json!({"k1": 1})] {
        let header = json!({"kid": kid, "alg": "ES256", "typ": "at+jwt"}).to_string();
        assert_eq!(check_header(&header), Err(TokenError::Malformed), "{kid}");
    }
    assert_eq!(
        check_header(r#"{"alg":"ES256","typ":"at+jwt"}"#),
        Err(TokenError::Malformed)
    );
    let giant = json!({"kid": "x".repeat(1 << 20), "alg": "ES256", "typ": "at+jwt"}).to_string();
    assert_eq!(check_header(&giant), Err(TokenError::Malformed));
}

#[test]
fn every_header_member_stands_once_and_extensions_are_refused() {
    let malformed = [
        r#"{"kid":"k1","kid":"k1","alg":"ES256","typ":"at+jwt"}"#,
        r#"{"kid":"k1","alg":"none","alg":"ES256","typ":"at+jwt"}"#,
        r#"{"kid":"k1","alg":"ES256","typ":"JWT","typ":"at+jwt"}"#,
        r#"{"kid":"k1","alg":"ES256","typ":"at+jwt","x":1,"x":1}"#,
        r#"{"kid":"k1","alg":"ES256","typ":"at+jwt","crit":["exp"]}"#,
        r#"{"kid":"k1","alg":"ES256","typ":"at+jwt","crit":[]}"#,
        r#"{"kid":"k1","alg":"ES256","typ":"at+jwt","crit":["b64"],"b64":false}"#,
        r#"{"kid":"k1","alg":"ES256","typ":"at+jwt","b64":false}"#,
        r#"{"kid":"k1","alg":"ES256","typ":"at+jwt","zip":"DEF"}"#,
        r#"{"kid":"k1","alg":["ES256"],"typ":"at+jwt"}"#,
        r#"{"kid":"k1","alg":null,"typ":"at+jwt"}"#,
        r#"{"kid":"k1","alg":"ES256","typ":1}"#,
        r#"{"kid":"k1","typ":"at+jwt"}"#,
        r#"{"kid":"k1","alg":"ES256","typ":"at+jwt"} x"#,
        "\u{feff}{\"kid\":\"k1\",\"alg\":\"ES256\",\"typ\":\"at+jwt\"}",
        r#"["k1","ES256","at+jwt"]"#,
        "",
    ];
    for header in malformed {
        assert_eq!(check_header(header), Err(TokenError::Malformed), "{header}");
    }
    let deep = format!(
        r#"{{"kid":"k1","alg":"ES256","typ":"at+jwt","x":{}{}}}"#,
        "[".repeat(16),
        "]".repeat(16)
    );
    assert_eq!(check_header(&deep), Err(TokenError::Malformed));
}

#[test]
fn keys_named_in_the_header_are_not_looked_at() {
    let attacker = generate(Algorithm::Es256).unwrap();
    let attacker = SigningKey::from_pkcs8("k1", Algorithm::Es256, attacker.as_bytes()).unwrap();
    let header = json!({
        "kid": "k1", "alg": "ES256", "typ": "at+jwt", "jwk": attacker.public_jwk(),
        "jku": "https://evil.example/jwks.json", "x5u": "https://evil.example/x", "x5c": ["MII="],
    })
    .to_string();
    assert!(
        check_header(&header).is_ok(),
        "ignored, when the true key signed"
    );
    let mut token = issue(&attacker, &claims()).unwrap();
    let rest = token.split_off(token.find('.').unwrap());
    let swapped = format!("{}{rest}", URL_SAFE_NO_PAD.encode(&header));
    assert_eq!(check(&swapped), Err(TokenError::Signature));
}

#[test]
fn only_access_tokens_are_access_tokens() {
    for typ in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/at+JWT",
    ] {
        let header = json!({"kid": "k1", "alg": "ES256", "typ": typ}).to_string();
        assert!(check_header(&header).is_ok(), "{typ}");
    }
    for typ in [
        "JWT",
        "jwt",
        "",
        "at+jwt ",
        "id+jwt",
        "application/jwt",
        "application/application/at+jwt",
    ] {
        let header = json!({"kid": "k1", "alg": "ES256", "typ": typ}).to_string();
        assert_eq!(check_header(&header), Err(TokenError::Type), "{typ}");
    }
    assert_eq!(
        check_header(r#"{"kid":"k1","alg":"ES256"}"#),
        Err(TokenError::Type)
    );
}

#[test]
fn only_the_compact_form_in_canonical_base64url_is_read() {
    let good = issue(&KEY, &claims()).unwrap();
    assert!(check(&good).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!()
    };
    let standard = |part: &str| part.replace('-', "+").replace('_', "/");
    let broken = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        format!("{header}.{payload}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{good}.{signature}.{signature}"), // five parts, as an encrypted token has
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{good}="),
        format!("{good}=="),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{header}.\n{payload}.{signature}"),
        format!("{header}.{payload}.{}", &signature[..85]),
        format!("Bearer {good}"),
        json!({"protected": header, "payload": payload, "signature": signature}).to_string(),
        json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]})
            .to_string(),
    ];
    for token in broken {
        assert_eq!(check(&token), Err(TokenError::Malformed), "{token}");
    }
    // 64 bytes leave four bits of the last symbol unused; all but one spelling are refused.
    let symbols = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (last_at, last) = (good.len() - 1, *good.as_bytes().last().unwrap());
    for symbol in symbols.iter().filter(|symbol| **symbol != last) {
        let token = format!("{}{}", &good[..last_at], char::from(*symbol));
        assert!(check(&token).is_err());
    }
    let other_alphabet = format!("{header}.{payload}.{}", standard(signature));
    assert!(other_alphabet == good || check(&other_alphabet).is_err());
    assert_eq!(
        check(&format!("{good}.{}", "A".repeat(8192))),
        Err(TokenError::Malformed)
    );
}

#[test]
fn a_token_altered_in_any_one_character_is_refused() {
    let good = issue(&KEY, &claims()).unwrap();
    for at in 0..good.len() {
        let old = good.as_bytes()[at];
        let new = if old == b'A' { 'B' } else { 'A' };
        let token = format!("{}{new}{}", &good[..at], &good[at + 1..]);
        assert!(check(&token).is_err(), "character {at}");
    }
}

#[test]
fn signatures_of_another_shape_are_refused() {
    let signed = unsigned(HEADER, &payload().to_string());
    let der = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, PKCS8.as_bytes()).unwrap();
    let der = der
        .sign(&library_random(), signed.as_bytes())
        .unwrap()
        .as_ref()
        .to_vec();
    let fixed = forge(HEADER, &payload().to_string());
    let fixed = URL_SAFE_NO_PAD
        .decode(fixed.rsplit('.').next().unwrap())
        .unwrap();
    let longer = [fixed.as_slice(), &[0]].concat();
    let shapes = [
        der,
        vec![0; 64],
        vec![0xff; 64],
        fixed[..63].to_vec(),
        longer,
        fixed[1..].to_vec(),
        vec![],
    ];
    for signature in shapes {
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature));
        assert_eq!(
            check(&token),
            Err(TokenError::Signature),
            "{} bytes",
            signature.len()
        );
    }
    let padded = format!("{signed}.{}", URL_SAFE.encode(&fixed));
    assert_eq!(check(&padded), Err(TokenError::Malformed));
}

#[test]
fn every_claim_has_its_type() {
    let values = [
        json!(null),
        json!(true),
        json!(1.5),
        json!("x"),
        json!("1805192428"),
        json!([]),
        json!({}),
        json!(["https://api.example"]),
        json!(-1),
        json!(u64::MAX),
        json!(1_u64 << 63),
        json!(1e12),
        json!(253_402_300_800_i64),
    ];
    for (name, _) in payload().as_object().unwrap() {
        for value in &values {
            let is_text = value.is_string();
            if is_text && !matches!(name.as_str(), "iat" | "exp") {
                continue;
            }
            let mut altered = payload();
            altered[name] = value.clone();
            let verdict = check(&forge(HEADER, &altered.to_string()));
            assert_eq!(verdict, Err(TokenError::Claims), "{name} = {value}");
        }
        let mut missing = payload();
        missing.as_object_mut().unwrap().remove(name);
        let verdict = check(&forge(HEADER, &missing.to_string()));
        if name == "scope" {
            assert_eq!(verdict.unwrap().scope, None);
        } else {
            assert_eq!(verdict, Err(TokenError::Claims), "{name} missing");
        }
    }
    for nbf in [json!("x"), json!(null), json!(1.5), json!(-1)] {
        let mut altered = payload();
        altered["nbf"] = nbf;
        assert_eq!(
            check(&forge(HEADER, &altered.to_string())),
            Err(TokenError::Claims)
        );
    }
}

#[test]
fn payloads_that_are_not_one_plain_object_are_refused() {
    let plain = payload().to_string();
    let repeated = plain.replacen('{', r#"{"exp":4102444800,"#, 1);
    let exponent = plain.replace(&format!("{}", NOW_S + 3598), "1.805196028e9");
    let fraction = plain.replace(&format!("{}", NOW_S + 3598), "1805196028.0");
    let nested = json!(issue(&KEY, &claims()).unwrap()).to_string();
    let deep = plain.replacen(
        '{',
        &format!(r#"{{"x":{}{},"#, "[".repeat(16), "]".repeat(16)),
        1,
    );
    let token_in_token = issue(&KEY, &claims()).unwrap();
    for text in [
        &repeated,
        &exponent,
        &fraction,
        &nested,
        &deep,
        &token_in_token,
        "",
        "[]",
        "null",
    ] {
        assert_eq!(
            check(&forge(HEADER, text)),
            Err(TokenError::Claims),
            "{text}"
        );
    }
}

#[test]
fn another_issuer_is_refused() {
    for iss in [
        "https://id.example/",
        "https://test.id.example",
        "HTTPS://ID.EXAMPLE",
        "",
    ] {
        let token = issue(&KEY, &Claims { iss, ..claims() }).unwrap();
        assert_eq!(check(&token), Err(TokenError::Issuer), "{iss}");
    }
}

#[test]
fn time_is_kept_to_the_second_with_the_leeway_given() {
    let at = |token: &str, now_s, leeway_s| {
        verify(token, ISSUER, now_s, leeway_s, |_| {
            Some(Arc::clone(&PUBLIC))
        })
        .map(|_| ())
    };
    let token = issue(
        &KEY,
        &Claims {
            iat: 1000,
            exp: 2000,
            ..claims()
        },
    )
    .unwrap();
    assert_eq!(at(&token, 999, 0), Err(TokenError::NotYetValid));
    assert_eq!(at(&token, 1000, 0), Ok(()));
    assert_eq!(at(&token, 1999, 0), Ok(()));
    assert_eq!(at(&token, 2000, 0), Err(TokenError::Expired));
    assert_eq!(at(&token, 970, 30), Ok(()));
    assert_eq!(at(&token, 969, 30), Err(TokenError::NotYetValid));
    assert_eq!(at(&token, 2029, 30), Ok(()));
    assert_eq!(at(&token, 2030, 30), Err(TokenError::Expired));
    assert_eq!(at(&token, 2000, -30), Err(TokenError::Expired));
    assert_eq!(at(&token, 1999, -30), Ok(()));
    assert_eq!(at(&token, i64::MAX, i64::MAX), Err(TokenError::Expired));
    assert_eq!(at(&token, i64::MIN, 0), Err(TokenError::NotYetValid));

    let mut later = payload();
    later["nbf"] = json!(NOW_S + 1);
    assert_eq!(
        check(&forge(HEADER, &later.to_string())),
        Err(TokenError::NotYetValid)
    );
    later["nbf"] = json!(NOW_S);
    assert!(check(&forge(HEADER, &later.to_string())).is_ok());
}

#[test]
fn claims_that_no_verifier_would_read_are_not_issued() {
    let long = "x".repeat(8192);
    assert_eq!(
        issue(
            &KEY,
            &Claims {
                sub: &long,
                ..claims()
            }
        ),
        Err(KeyError::TooLong)
    );
}

#[test]
fn unfit_keys_are_not_taken() {
    let read =
        |kid: &str, algorithm, der: &[u8]| SigningKey::from_pkcs8(kid, algorithm, der).map(|_| ());
    for kid in ["", "a b", "a\"b", "a\\b", "é", "a\n", &"x".repeat(65)] {
        assert_eq!(
            read(kid, Algorithm::Es256, PKCS8.as_bytes()),
            Err(KeyError::Kid),
            "{kid}"
        );
    }
    for algorithm in [Algorithm::EdDsa, Algorithm::Rs256] {
        assert_eq!(
            read("k", algorithm, PKCS8.as_bytes()),
            Err(KeyError::Rejected)
        );
    }
    assert_eq!(read("k", Algorithm::Es256, b""), Err(KeyError::Rejected));
}

/// A JWK of the key, altered.
fn read_jwk(key: &VerifyingKey, change: impl FnOnce(&mut Value)) -> Result<(), KeyError> {
    let mut jwk = key.jwk();
    change(&mut jwk);
    let read = VerifyingKey::from_jwk(&jwk).map(|_| ());
    let text = VerifyingKey::from_jwk_text(jwk.to_string().as_bytes()).map(|_| ());
    assert_eq!(read, text, "{jwk}");
    read
}

fn public_of(algorithm: Algorithm) -> VerifyingKey {
    let pkcs8 = generate(algorithm).unwrap();
    let key = SigningKey::from_pkcs8("k", algorithm, pkcs8.as_bytes()).unwrap();
    key.verifying_key()
}

#[test]
fn a_jwk_whose_members_do_not_agree_is_not_taken() {
    let cases = [
        ("d", json!("AA"), KeyError::Private),
        ("d", json!(null), KeyError::Private),
        ("k", json!("AA"), KeyError::Private),
        ("alg", json!("ES384"), KeyError::Algorithm),
        ("alg", json!("es256"), KeyError::Algorithm),
        ("alg", json!(null), KeyError::Algorithm),
        ("alg", json!("RS256"), KeyError::Rejected),
        ("alg", json!("EdDSA"), KeyError::Rejected),
        ("kid", json!(1), KeyError::Kid),
        ("kid", json!(""), KeyError::Kid),
        ("kty", json!("OKP"), KeyError::Rejected),
        ("kty", json!("ec"), KeyError::Rejected),
        ("crv", json!("P-384"), KeyError::Rejected),
        ("crv", json!(null), KeyError::Rejected),
        ("use", json!("enc"), KeyError::Rejected),
        ("use", json!(["sig"]), KeyError::Rejected),
        ("use", json!(null), KeyError::Rejected),
        ("key_ops", json!(["sign"]), KeyError::Rejected),
        ("key_ops", json!(["sign", "verify"]), KeyError::Rejected),
        ("key_ops", json!(["verify", "verify"]), KeyError::Rejected),
        ("key_ops", json!("verify"), KeyError::Rejected),
        ("key_ops", json!([]), KeyError::Rejected),
        ("key_ops", json!(null), KeyError::Rejected),
        ("n", json!("AQAB"), KeyError::Rejected),
        ("x", json!("AAAA"), KeyError::Rejected),
        ("x", json!(null), KeyError::Rejected),
    ];
    assert_eq!(read_jwk(&PUBLIC, |_| ()), Ok(()));
    let verifies = read_jwk(&PUBLIC, |jwk| jwk["key_ops"] = json!(["verify"]));
    assert_eq!(verifies, Ok(()));
    let unknown = read_jwk(&PUBLIC, |jwk| jwk["x5t"] = json!("AA"));
    assert_eq!(unknown, Ok(()));
    for (name, value, reason) in cases {
        let read = read_jwk(&PUBLIC, |jwk| jwk[name] = value.clone());
        assert_eq!(read, Err(reason), "{name} = {value}");
    }
    for (name, reason) in [
        ("alg", KeyError::Algorithm),
        ("kid", KeyError::Kid),
        ("kty", KeyError::Rejected),
        ("crv", KeyError::Rejected),
        ("x", KeyError::Rejected),
        ("y", KeyError::Rejected),
    ] {
        let read = read_jwk(&PUBLIC, |jwk| {
            jwk.as_object_mut().unwrap().remove(name);
        });
        assert_eq!(read, Err(reason), "{name} missing");
    }
}

/// Every other text for the bytes of the member, and some for others.
fn misspelt(text: &str) -> Vec<String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    let last = text.as_bytes().last().unwrap() + 1; // sets a bit that is not used
    vec![
        URL_SAFE.encode(&bytes),
        format!("{}{}", &text[..text.len() - 1], char::from(last)),
        format!(" {text}"),
        format!("{text}\n"),
        format!("{}/{}", &text[..1], &text[2..]),
        URL_SAFE_NO_PAD.encode([&[0], bytes.as_slice()].concat()),
        URL_SAFE_NO_PAD.encode([bytes.as_slice(), &[0]].concat()),
        URL_SAFE_NO_PAD.encode(&bytes[1..]),
        String::new(),
    ]
}

#[test]
fn only_the_one_spelling_of_a_jwk_is_taken() {
    let ed = public_of(Algorithm::EdDsa);
    let rsa = public_of(Algorithm::Rs256);
    for (key, name) in [(&**PUBLIC, "x"), (&**PUBLIC, "y"), (&ed, "x"), (&rsa, "n")] {
        let text = key.jwk()[name].as_str().unwrap().to_owned();
        assert_eq!(read_jwk(key, |jwk| jwk[name] = json!(text)), Ok(()));
        for wrong in misspelt(&text) {
            let read = read_jwk(key, |jwk| jwk[name] = json!(wrong));
            assert_eq!(read, Err(KeyError::Rejected), "{name} = {wrong:?}");
        }
    }
    for exponent in ["", "AA", "AQ", "Ag", "AAEAAQ", "AQAC", "AQAAAAE", "AQAB="] {
        let read = read_jwk(&rsa, |jwk| jwk["e"] = json!(exponent));
        assert_eq!(read, Err(KeyError::Rejected), "{exponent}");
    }
    assert_eq!(read_jwk(&rsa, |jwk| jwk["e"] = json!("Aw")), Ok(()));
    let with_curve = read_jwk(&rsa, |jwk| jwk["crv"] = json!("P-256"));
    assert_eq!(with_curve, Err(KeyError::Rejected));
    let with_point = read_jwk(&ed, |jwk| jwk["y"] = jwk["x"].clone());
    assert_eq!(with_point, Err(KeyError::Rejected));
    let off_curve = read_jwk(&PUBLIC, |jwk| jwk["y"] = jwk["x"].clone());
    assert_eq!(off_curve, Err(KeyError::Rejected));
}

#[test]
fn a_jwk_is_one_object_whose_members_stand_once() {
    let text = PUBLIC.jwk().to_string();
    let read = |text: &str| VerifyingKey::from_jwk_text(text.as_bytes()).map(|_| ());
    assert_eq!(read(&text), Ok(()));
    for wrong in [
        text.replacen('{', r#"{"kid":"k1","#, 1),
        text.replacen('{', r#"{"d":"AA","d":"AA","#, 1),
        text.replacen('{', r#"{"x5c":[{"a":1,"a":1}],"#, 1),
        format!("{text},"),
        format!("[{text}]"),
        "{}x".to_owned(),
        String::new(),
    ] {
        assert_eq!(read(&wrong), Err(KeyError::Rejected), "{wrong}");
    }
    let list = VerifyingKey::from_jwk(&json!([])).map(|_| ());
    assert_eq!(list, Err(KeyError::Rejected));
}
