//! Signatures over messages: every signature of RFC 9421 with its stated outcome, and what is refused.

use crate::vector_json;
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};
use wayleave_protocol::Message;
use wayleave_protocol::http_signature::{
    Algorithm, Component, Parameter, Policy, Presented, PublicKey, PublicKeyError, ResponseMessage,
    SignatureFault, SignatureInput, Signed, hmac_sha256, join_values, read, verify_hmac_sha256,
};

/// The moment of most of the RFC's signatures.
const NOW_S: i64 = 1_618_884_473;

/// A message of the RFC, in pieces that live as long as they are borrowed.
struct Raw {
    start: Vec<String>,
    fields: Vec<(String, String)>,
}

impl Raw {
    fn of(message: &Value) -> Self {
        let start = message["start"].as_str().unwrap();
        let field = |pair: &Value| {
            let text = |place: usize| pair[place].as_str().unwrap().to_owned();
            (text(0), text(1))
        };
        Raw {
            start: start.split(' ').map(str::to_owned).collect(),
            fields: message["headers"]
                .as_array()
                .unwrap()
                .iter()
                .map(field)
                .collect(),
        }
    }

    fn borrowed(&self) -> Vec<(&str, &[u8])> {
        let fields = self.fields.iter();
        fields
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect()
    }

    fn request<'a>(&'a self, fields: &'a [(&'a str, &'a [u8])]) -> Message<'a> {
        let (path, query) = match self.start[1].split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.start[1].as_str(), None),
        };
        let host = self.fields.iter().find(|(name, _)| name == "host");
        Message {
            method: &self.start[0],
            scheme: "https",
            authority: host.map_or("", |(_, value)| value),
            path,
            query,
            fields,
        }
    }
}

/// Whether the key of the RFC made a signature over a base. RSA is spoken by the test alone: it is
/// there to see that the bases are right.
fn verifies(jwk: &Value, secret: &[u8], alg: &str, base: &str, signature: &[u8]) -> bool {
    let rsa = |parameters| {
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let key = RsaPublicKeyComponents {
            n: part("n"),
            e: part("e"),
        };
        key.verify(parameters, base.as_bytes(), signature).is_ok()
    };
    match alg {
        "hmac-sha256" => verify_hmac_sha256(secret, base, signature),
        "rsa-pss-sha512" => rsa(&RSA_PSS_2048_8192_SHA512),
        "rsa-v1_5-sha256" => rsa(&RSA_PKCS1_2048_8192_SHA256),
        _ => {
            let mut public = jwk.clone();
            public.as_object_mut().unwrap().remove("d");
            let key = PublicKey::read(&public.to_string()).unwrap();
            assert_eq!(key.algorithm().as_str(), alg);
            key.verify(base, signature)
        }
    }
}

#[test]
fn every_signature_of_the_rfc_comes_out_as_it_says() {
    let vectors = vector_json("rfc9421/rfc9421_signatures.json");
    let secret = vectors["shared_secret_b64"].as_str().unwrap();
    let secret = STANDARD.decode(secret).unwrap();
    let mut outcomes = [0, 0];
    for (number, vector) in vectors["tests"].as_array().unwrap().iter().enumerate() {
        let text = |name: &str| vector[name].as_str().unwrap();
        let (message, request) = (Raw::of(&vector["message"]), &vector["request"]);
        let request = request.is_object().then(|| Raw::of(request));
        let fields = message.borrowed();
        let request_fields = request.as_ref().map(Raw::borrowed).unwrap_or_default();
        let signed = match &request {
            Some(request) => Signed::Response(ResponseMessage {
                status: message.start[1].parse().unwrap(),
                fields: &fields,
                request: request.request(&request_fields),
            }),
            None if message.start[0].starts_with("HTTP/") => Signed::Response(ResponseMessage {
                status: message.start[1].parse().unwrap(),
                fields: &fields,
                request: message.request(&[]),
            }),
            None => Signed::Request(message.request(&fields)),
        };
        let input = format!("{}={}", text("label"), text("signature_input"));
        let signature = format!("{}=:{}:", text("label"), text("signature"));
        let presented = read(input.as_bytes(), signature.as_bytes()).unwrap();
        let (parsed, bytes) = presented[0].checked().unwrap();
        assert_eq!(
            parsed.text(),
            text("signature_input"),
            "{number}: nothing is put in order"
        );
        assert_eq!(parsed.key_id(), Some(text("keyid")));
        let base = parsed.base(&signed).unwrap();
        assert_eq!(base, text("rebuilt_signature_base"), "{number}");
        let jwk = &vectors["jwks"][text("keyid")];
        let is_valid = verifies(jwk, &secret, text("alg"), &base, bytes);
        assert_eq!(
            is_valid,
            text("expected") == "valid",
            "{number}: {}",
            text("section")
        );
        outcomes[usize::from(is_valid)] += 1;
    }
    assert_eq!(outcomes, [4, 17]);
}

#[test]
fn no_signature_of_the_rfc_passes_for_any_other_algorithm_of_ours() {
    let vectors = vector_json("rfc9421/rfc9421_signatures.json");
    for vector in vectors["tests"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap();
        let input = format!("a={};alg=\"{}\"", text("signature_input"), text("alg"));
        if text("signature_input").contains(";alg=") {
            continue;
        }
        let signature = format!("a=:{}:", text("signature"));
        let presented = read(input.as_bytes(), signature.as_bytes()).unwrap();
        let (parsed, _) = presented[0].checked().unwrap();
        for key in Algorithm::ALL {
            let checked = Policy::check_algorithm(parsed, key);
            assert_eq!(checked.is_ok(), key.as_str() == text("alg"));
        }
    }
}

fn request() -> Message<'static> {
    Message {
        method: "POST",
        scheme: "https",
        authority: "API.Example:443",
        path: "/a/B",
        query: Some("x=1&y=%20b&x=2&bar=a+b&qu%22=1"),
        fields: &[
            ("x-list", b"a"),
            ("x-list", b"  b  "),
            ("content-digest", b"sha-256=:AAAA:, sha-512=:BBBB:"),
            ("priority", b"u=1,   i"),
            ("x-dict", b"a=1, b=2;x=1;y=2, c=(a   b   c), d"),
            ("x-raw", b"\xff"),
            ("x-empty", b""),
        ],
    }
}

/// The base of one component, without the line of the parameters.
fn value_of(component: &str) -> Result<String, SignatureFault> {
    let input = format!("sig=({component})");
    let presented = read(input.as_bytes(), b"sig=:AA==:")?;
    let (parsed, _) = presented[0].checked()?;
    let base = parsed.base(&Signed::Request(request()))?;
    let (line, _) = base.split_once('\n').unwrap();
    Ok(line.split_once(": ").unwrap().1.to_owned())
}

#[test]
fn each_component_has_the_value_that_the_rfc_gives_it() {
    for (component, value) in [
        (r#""@method""#, "POST"),
        (r#""@scheme""#, "https"),
        (r#""@authority""#, "api.example"),
        (r#""@path""#, "/a/B"),
        (r#""@query""#, "?x=1&y=%20b&x=2&bar=a+b&qu%22=1"),
        (
            r#""@request-target""#,
            "/a/B?x=1&y=%20b&x=2&bar=a+b&qu%22=1",
        ),
        (
            r#""@target-uri""#,
            "https://api.example/a/B?x=1&y=%20b&x=2&bar=a+b&qu%22=1",
        ),
        (r#""@query-param";name="y""#, "%20b"),
        (r#""@query-param";name="bar""#, "a%20b"),
        (r#""@query-param";name="qu%22""#, "1"),
        (r#""x-list""#, "a, b"),
        (r#""x-list";bs"#, ":YQ==:, :Yg==:"),
        (r#""x-raw";bs"#, ":/w==:"),
        (r#""x-empty""#, ""),
        (r#""priority";sf"#, "u=1, i"),
        (r#""x-dict";key="a""#, "1"),
        (r#""x-dict";key="b""#, "2;x=1;y=2"),
        (r#""x-dict";key="c""#, "(a b c)"),
        (r#""x-dict";key="d""#, "?1"),
        (r#""content-digest";key="sha-512""#, ":BBBB:"),
    ] {
        assert_eq!(value_of(component).as_deref(), Ok(value), "{component}");
    }
}

#[test]
fn what_a_request_lacks_or_cannot_have_is_refused() {
    for component in [
        r#""@status""#,
        r#""@unknown""#,
        r#""@signature-params""#,
        r#""@method";req"#,
        r#""@method";sf"#,
        r#""@query-param""#,
        r#""@query-param";name="x""#,
        r#""@query-param";name="none""#,
        r#""x-list";req"#,
        r#""x-list";tr"#,
        r#""x-list";sf"#,
        r#""x-raw";key="a""#,
        r#""x-list";key="a";bs"#,
        r#""priority";sf;bs"#,
        r#""x-list";sf=?0"#,
        r#""x-list";sf=1"#,
        r#""x-list";other"#,
        r#""x-dict";key="z""#,
        r#""x-dict";key"#,
        r#""x-raw""#,
        r#""x-none""#,
        r#""X-List""#,
        r#""x list""#,
        r#""""#,
        r#""@""#,
        "x-list",
        "1",
        r#""@method" "@method""#,
        r#""x-dict";key="a" "x-dict";key="a""#,
        r#""x-list";bs;bs"#,
    ] {
        assert!(value_of(component).is_err(), "{component}");
    }
    let many: Vec<String> = (0..65).map(|number| format!("\"x-{number}\"")).collect();
    assert_eq!(
        value_of(&many.join(" ")),
        Err(SignatureFault::TooManyComponents)
    );
}

fn presented(parameters: &str) -> Result<SignatureInput<'static>, SignatureFault> {
    let input: &'static str =
        Box::leak(format!("sig=(\"@method\" \"@target-uri\"){parameters}").into_boxed_str());
    let presented = read(input.as_bytes(), b"sig=:AA==:")?;
    let (parsed, _) = presented[0].checked()?;
    Ok(parsed.clone())
}

fn policy() -> Policy {
    Policy {
        now_s: NOW_S,
        has_body: false,
    }
}

#[test]
fn time_and_nonce_are_asked_for_to_the_second() {
    let check = |parameters: &str| policy().check(&presented(parameters).unwrap());
    let made = |created: i64| format!(";created={created};nonce=\"n\"");
    for created in [NOW_S - 300, NOW_S, NOW_S + 300] {
        assert_eq!(check(&made(created)), Ok(()));
    }
    for skew_s in [-301, 301, -86_400, i64::from(i32::MAX)] {
        assert_eq!(
            check(&made(NOW_S + skew_s)),
            Err(SignatureFault::Created { skew_s })
        );
    }
    assert_eq!(
        check(";nonce=\"n\""),
        Err(SignatureFault::NoParameter("created"))
    );
    let bare = format!(";created={NOW_S}");
    assert_eq!(check(&bare), Err(SignatureFault::NoParameter("nonce")));
    assert_eq!(
        check(&format!("{bare};nonce=\"\"")),
        Err(SignatureFault::Nonce)
    );
    let long = "n".repeat(257);
    assert_eq!(
        check(&format!("{bare};nonce=\"{long}\"")),
        Err(SignatureFault::Nonce)
    );
    let expires = |end: i64| check(&format!("{};expires={end}", made(NOW_S)));
    assert_eq!(expires(NOW_S), Ok(()));
    assert_eq!(
        expires(NOW_S - 1),
        Err(SignatureFault::Expired { late_s: 1 })
    );
}

#[test]
fn parameters_that_are_unknown_repeated_or_of_another_type_are_refused() {
    for parameters in [
        ";other=1",
        ";created=\"1\"",
        ";created=1.5",
        ";created",
        ";created=@1",
        ";nonce=1",
        ";nonce=token",
        ";keyid=:AAAA:",
        ";created=1;created=1",
        ";nonce=\"a\";nonce=\"b\"",
        ";alg=hmac-sha256",
    ] {
        assert!(presented(parameters).is_err(), "{parameters}");
    }
    assert!(presented(";tag=\"t\";alg=\"x\";keyid=\"k\";expires=1;nonce=\"n\";created=1").is_ok());
}

#[test]
fn each_part_that_must_be_covered_is_missed_when_it_is_not() {
    let check = |covered: &[&str], has_body: bool| {
        let components = covered.iter().map(|name| Component::plain(*name)).collect();
        let parameters = vec![Parameter::Created(NOW_S), Parameter::Nonce("n".into())];
        let input = SignatureInput::new(components, parameters);
        Policy {
            now_s: NOW_S,
            has_body,
        }
        .check(&input)
    };
    let parts = ["@method", "@authority", "@path", "@query", "content-digest"];
    assert_eq!(check(&parts, true), Ok(()));
    for (place, part) in parts.into_iter().enumerate() {
        let mut without = parts.to_vec();
        without.remove(place);
        assert_eq!(check(&without, true), Err(SignatureFault::NotCovered(part)));
        assert_eq!(check(&without, false).is_ok(), part == "content-digest");
    }
    assert_eq!(check(&["@method", "@target-uri"], false), Ok(()));
    assert_eq!(
        check(&["@method"], false),
        Err(SignatureFault::NotCovered("@target-uri"))
    );
    assert_eq!(
        check(&["@target-uri"], false),
        Err(SignatureFault::NotCovered("@method"))
    );
    assert_eq!(
        check(&[], false),
        Err(SignatureFault::NotCovered("@method"))
    );
    // A detail of a part is not the part.
    let detail = read(b"s=(\"@method\" \"@target-uri\" \"content-digest\";key=\"sha-256\");created=1618884473;nonce=\"n\"", b"s=:AA==:").unwrap();
    let with_body = Policy {
        now_s: NOW_S,
        has_body: true,
    };
    assert_eq!(
        with_body.check(detail[0].checked().unwrap().0),
        Err(SignatureFault::NotCovered("content-digest"))
    );
}

#[test]
fn headers_that_are_no_dictionaries_of_signatures_are_refused_whole() {
    let good = b"a=:AA==:".as_slice();
    for input in [
        "",
        "a",
        "a=",
        "a=(",
        "a=(\"x\"",
        "a=(\"x)",
        "a=(\"x\"),",
        ",a=()",
        "a=() b=()",
        "A=()",
        "a=(\"x\"\"y\")",
        "a=(\"x\"\t\"y\")",
        "a=(\"\u{7f}\")",
        "a=();",
        "a=();created=",
        "a=(\"\\x\")",
        "a=(),a=()",
        "a=\n()",
        "a=(\"x\n\")",
    ] {
        let refused = read(input.as_bytes(), good);
        let is_refused = refused.is_err() || refused.is_ok_and(|all| all[0].checked().is_err());
        assert!(is_refused, "{input}");
    }
    for signature in [
        "",
        "a",
        "a=b",
        "a=()",
        "a=:A",
        "a=:@:",
        "a=:AA==:, a=:AA==:",
        "b=:AA==:",
        "a=:AA==:,",
    ] {
        let refused = read(b"a=(\"@method\")", signature.as_bytes());
        let is_refused = refused.is_err() || refused.is_ok_and(|all| all[0].checked().is_err());
        assert!(is_refused, "{signature}");
    }
    let inputs: Vec<String> = (0..5).map(|number| format!("s{number}=()")).collect();
    let signatures: Vec<String> = (0..5).map(|number| format!("s{number}=:AA==:")).collect();
    let read_some = |count: usize| {
        let (inputs, signatures) = (inputs[..count].join(", "), signatures[..count].join(", "));
        read(inputs.as_bytes(), signatures.as_bytes()).map(|all| all.len())
    };
    assert_eq!(read_some(4), Ok(4));
    assert_eq!(read_some(5), Err(SignatureFault::TooMany));
}

#[test]
fn the_fault_of_one_signature_leaves_the_others_alone() {
    let input = b"bad=(\"@method\");other=1, worse=1, good=(\"@method\"), gone=()";
    let signature = b"good=:AA==:, bad=:AA==:, worse=:AA==:";
    let presented = read(input, signature).unwrap();
    let checked: Vec<bool> = presented.iter().map(|one| one.checked().is_ok()).collect();
    assert_eq!(checked, [false, false, true, false]);
    assert_eq!(presented[2].label, "good");
}

#[test]
fn a_public_key_is_read_in_either_form_and_a_private_one_never() {
    let vectors = vector_json("rfc9421/rfc9421_signatures.json");
    for (name, pem) in [
        (
            "test-key-ed25519",
            "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=",
        ),
        (
            "test-key-ecc-p256",
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\nw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==",
        ),
    ] {
        let jwk = &vectors["jwks"][name];
        assert_eq!(
            PublicKey::read(&jwk.to_string()).unwrap_err(),
            PublicKeyError::Private
        );
        let mut public = jwk.clone();
        public.as_object_mut().unwrap().remove("d");
        let from_jwk = PublicKey::read(&public.to_string()).unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
        assert_eq!(PublicKey::read(&pem).unwrap().spki(), from_jwk.spki());
        public["x"] = json!("AA");
        assert_eq!(
            PublicKey::read(&public.to_string()).unwrap_err(),
            PublicKeyError::Rejected
        );
    }
    let rsa = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }).to_string();
    assert_eq!(PublicKey::read(&rsa).unwrap_err(), PublicKeyError::Kind);
    for text in [
        "",
        "{}",
        "[]",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----",
    ] {
        assert!(PublicKey::read(text).is_err(), "{text}");
    }
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    assert_eq!(
        PublicKey::read(private).unwrap_err(),
        PublicKeyError::Private
    );
}

/// One of the shapes that the grammar has, good or bad.
fn component() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("\"@method\"".to_owned()),
        Just("\"@target-uri\"".to_owned()),
        Just("\"@authority\"".to_owned()),
        Just("\"@path\"".to_owned()),
        Just("\"@query\"".to_owned()),
        Just("\"@query-param\"".to_owned()),
        Just("\"@status\"".to_owned()),
        Just("\"x-list\"".to_owned()),
        Just("\"x-dict\"".to_owned()),
        "\"[ -~]{0,8}\"",
        "[a-z0-9:?@]{1,6}",
    ];
    let detail = prop_oneof![
        4 => Just(String::new()),
        1 => Just(";req".to_owned()),
        1 => Just(";sf".to_owned()),
        1 => Just(";bs".to_owned()),
        1 => Just(";tr".to_owned()),
        1 => Just(";key=\"a\"".to_owned()),
        1 => Just(";name=\"y\"".to_owned()),
        1 => ";[a-z]{1,3}(=[0-9]{1,3})?",
    ];
    (name, detail).prop_map(|(name, detail)| name + &detail)
}

fn parameter() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(format!(";created={NOW_S}")),
        Just(";nonce=\"n\"".to_owned()),
        Just(";keyid=\"k\"".to_owned()),
        Just(";alg=\"hmac-sha256\"".to_owned()),
        Just(";tag=\"t\"".to_owned()),
        ";expires=[0-9]{1,12}",
        ";[a-z]{1,8}(=\"[ -~]{0,4}\")?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever the grammar makes: what is read is written as a strict form of itself, and what is
    /// accepted has every part that is asked for, none twice, and no detail of another message.
    #[test]
    fn what_the_grammar_makes_is_refused_or_means_what_it_says(
        components in prop::collection::vec(component(), 0..6),
        parameters in prop::collection::vec(parameter(), 0..5),
    ) {
        let value = format!("({}){}", components.join(" "), parameters.concat());
        let input = format!("sig={value}");
        let Ok(presented) = read(input.as_bytes(), b"sig=:AA==:") else { return Ok(()) };
        let Ok((parsed, _)) = presented[0].checked() else { return Ok(()) };
        let text = parsed.text();
        prop_assert!(!text.contains(";tr"));
        let again = format!("sig={text}");
        let second: Vec<Presented<'_>> = read(again.as_bytes(), b"sig=:AA==:").unwrap();
        prop_assert_eq!(second[0].checked().unwrap().0, parsed);
        if policy().check(parsed).is_ok() {
            prop_assert!(parsed.covers("@method") && parsed.nonce() == Some("n"));
            prop_assert!(parsed.covers("@target-uri") || parsed.covers("@path"));
            prop_assert_eq!(parsed.created(), Some(NOW_S));
        }
        if let Ok(base) = parsed.base(&Signed::Request(request())) {
            prop_assert!(!base.contains(";req"));
            prop_assert!(base.is_ascii() && base.ends_with(&text));
            prop_assert_eq!(base.lines().count(), components.len() + 1);
            let lines: std::collections::HashSet<&str> = base.lines().collect();
            prop_assert_eq!(lines.len(), components.len() + 1);
        }
    }

    /// No bytes make it fall over, and no altered base has the signature.
    #[test]
    fn any_bytes_are_read_or_refused(input in prop::collection::vec(any::<u8>(), 0..200), signature in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&input, &signature);
        let lines = [input.as_slice(), &signature];
        let joined = join_values(lines.into_iter()).unwrap();
        prop_assert_eq!(joined.len(), input.len() + signature.len() + 2);
        let base = "a base";
        let mac = hmac_sha256(&input, base);
        prop_assert!(verify_hmac_sha256(&input, base, &mac));
        prop_assert!(!verify_hmac_sha256(&input, "another", &mac));
        prop_assert!(!verify_hmac_sha256(&input, base, &mac[..31]));
    }
}
