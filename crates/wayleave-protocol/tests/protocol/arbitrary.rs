//! Properties: what is written reads back, what is altered is refused, and no input makes a
//! parser panic.

use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use wayleave_protocol::http_framing::{Framing, HeadLimits};
use wayleave_protocol::http2_frames::Frames;
use wayleave_protocol::jwt::{self, Algorithm, Claims, SigningKey};
use wayleave_protocol::key_text::{self, KeyEnvironment, KeyKind, KeyText};
use wayleave_protocol::signed::{self, SignedRequest};
use wayleave_protocol::{basic, form, guid, http_date, json};

static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let pkcs8 = jwt::generate(Algorithm::EdDsa).unwrap();
    SigningKey::from_pkcs8("k", Algorithm::EdDsa, pkcs8.as_bytes()).unwrap()
});

/// Percent-encodes everything but letters and digits.
fn encode(text: &str) -> String {
    let encode_byte = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(encode_byte).collect()
}

fn parameters() -> impl Strategy<Value = Vec<(String, String)>> {
    let word = "[a-zA-Z0-9 &=%+?#/.:ÄäßΣİK€-]{0,12}";
    prop::collection::vec((word, word), 0..6).prop_map(|mut parameters| {
        let mut seen = std::collections::HashSet::new();
        parameters.retain(|(name, _): &(String, String)| seen.insert(name.to_lowercase()));
        parameters
    })
}

fn query_of(parameters: &[(String, String)]) -> String {
    let piece = |(name, value): &(String, String)| format!("{}={}", encode(name), encode(value));
    parameters.iter().map(piece).collect::<Vec<_>>().join("&")
}

fn signature_of(secret: &[u8], base: &str) -> [u8; 32] {
    let header = format!("k:{}", signed::sign(secret, base));
    signed::parse_authentication(header.as_bytes())
        .unwrap()
        .signature
}

const HEAD: HeadLimits = HeadLimits {
    bytes: 300,
    headers: 10,
};

/// Pieces of requests, good and bad, that make sense more often than bytes at random.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.0\r\n",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content_Length: 1\r\n",
        "X: y",
        "\r\n",
        "\n",
        "\r",
        "\0",
        "hello",
        "5\r\n",
        "0\r\n\r\n",
        "a;b=c\r\n",
        " ",
        "\t",
    ]);
    let text = prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![4 => text, 1 => prop::collection::vec(any::<u8>(), 0..400)]
}

proptest! {
    #[test]
    fn where_requests_end_does_not_depend_on_how_their_bytes_are_cut(
        bytes in pieces(), sizes in prop::collection::vec(1_usize..40, 1..20),
    ) {
        let mut whole = Framing::new(HEAD);
        let expected = whole.follow(&bytes).map_err(|(_, why)| why);
        let mut cut = Framing::new(HEAD);
        let mut rest = &bytes[..];
        let mut outcome = Ok(());
        for size in sizes.iter().cycle() {
            if rest.is_empty() || outcome.is_err() {
                break;
            }
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            outcome = cut.follow(piece).map_err(|(_, why)| why);
            rest = after;
        }
        prop_assert_eq!(outcome.is_ok(), expected.is_ok());
        if outcome.is_ok() {
            prop_assert_eq!(whole.standing(), cut.standing());
        } else {
            prop_assert!(cut.follow(b"GET / HTTP/1.1\r\n\r\n").is_err());
        }
    }

    #[test]
    fn frames_are_followed_whatever_they_are(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000), size in 1_usize..50,
    ) {
        let mut whole = Frames::default();
        let expected = whole.follow(&bytes);
        let mut cut = Frames::default();
        let outcome = bytes.chunks(size).try_for_each(|piece| cut.follow(piece));
        prop_assert_eq!(outcome, expected);
    }

    #[test]
    fn dates_read_back(unix_s in -62_167_219_200_i64..=253_402_300_799) {
        let text = http_date::format(unix_s);
        prop_assert_eq!(text.len(), 29);
        prop_assert_eq!(http_date::parse(&text), Some(unix_s));
    }

    #[test]
    fn a_date_altered_in_one_character_is_another_or_none(
        unix_s in 0_i64..4_102_444_800, at in 0_usize..29, to in any::<u8>(),
    ) {
        let text = http_date::format(unix_s);
        let mut bytes = text.clone().into_bytes();
        bytes[at] = to;
        if let Ok(altered) = String::from_utf8(bytes) && altered != text {
            prop_assert_ne!(http_date::parse(&altered), Some(unix_s));
        }
    }

    #[test]
    fn a_key_altered_in_one_character_is_always_refused(
        random in any::<[u8; 32]>(), kind in 0_usize..6, environment in 0_usize..3,
        at in 0_usize..47, to in any::<char>(),
    ) {
        let (kind, environment) = (KeyKind::ALL[kind], KeyEnvironment::ALL[environment]);
        let text = key_text::compose(kind, environment, &random);
        prop_assert_eq!(key_text::inspect(&text), Ok(KeyText { kind, environment }));
        let mut altered: Vec<char> = text.chars().collect();
        altered[at] = to;
        let altered: String = altered.into_iter().collect();
        prop_assume!(altered != text);
        prop_assert!(key_text::inspect(&altered).is_err(), "{}", altered);
    }

    #[test]
    fn a_key_altered_within_its_alphabet_is_always_refused(
        random in any::<[u8; 32]>(), at in 12_usize..48, to in "[0-9A-Za-z]",
    ) {
        let text = key_text::compose(KeyKind::ApiSecret, KeyEnvironment::Live, &random);
        let altered = format!("{}{to}{}", &text[..at], &text[at + 1..]);
        prop_assume!(altered != text);
        prop_assert_eq!(key_text::inspect(&altered), Err(key_text::KeyTextError::Checksum));
    }

    #[test]
    fn guids_read_back(random in any::<[u8; 16]>()) {
        let id = guid::v4(random);
        prop_assert_eq!(guid::parse(&guid::format_upper(&id)), Some(id));
        prop_assert_eq!(guid::parse(&guid::format_upper(&id).to_lowercase()), Some(id));
    }

    #[test]
    fn form_data_reads_back(parameters in parameters()) {
        prop_assert_eq!(form::parse(query_of(&parameters).as_bytes()), Ok(parameters));
    }

    #[test]
    fn every_candidate_of_a_request_verifies_and_nothing_else(
        path in "/[!-~ÄöΣ]{0,40}", parameters in parameters(), form in prop::option::of(parameters()),
        mounted in any::<bool>(), secret in "[ -~é]{0,80}",
    ) {
        let path = path.replace('?', "/");
        let prefixed = format!("/mount{path}");
        let both = [path.as_str(), prefixed.as_str()];
        let query = query_of(&parameters);
        let body = form.map(|form| query_of(&form).into_bytes());
        let request = SignedRequest {
            method: "GET",
            paths: if mounted { &both } else { &both[..1] },
            query: Some(&query),
            timestamp: "Tue, 16 Mar 2027 10:20:28 GMT",
            form_body: body.as_deref(),
        };
        let Ok(candidates) = signed::base_strings(&request) else {
            prop_assert!(signed::verify(&request, &[0; 32], secret.as_bytes()).is_err());
            return Ok(());
        };
        prop_assert!(candidates.len() <= 48);
        for base in &candidates {
            let signature = signature_of(secret.as_bytes(), base);
            prop_assert_eq!(signed::verify(&request, &signature, secret.as_bytes()), Ok(true));
            prop_assert_eq!(signed::verify(&request, &signature, b"another secret!"), Ok(false));
        }
        let altered = signature_of(secret.as_bytes(), &format!("{}\n", candidates[0]));
        prop_assert_eq!(signed::verify(&request, &altered, secret.as_bytes()), Ok(false));
    }

    #[test]
    fn long_requests_are_signed_like_short_ones(length in 0_usize..2000, secret in any::<[u8; 64]>()) {
        let path = format!("/{}", "aB".repeat(length));
        let paths = [path.as_str()];
        let request = SignedRequest {
            method: "put",
            paths: &paths,
            query: None,
            timestamp: "Tue, 16 Mar 2027 10:20:28 GMT",
            form_body: None,
        };
        let base = signed::base_strings(&request).unwrap().remove(0);
        prop_assert!(base.starts_with("PUT\n"));
        let signature = signature_of(&secret, &base);
        prop_assert_eq!(signed::verify(&request, &signature, &secret), Ok(true));
    }

    #[test]
    fn tokens_read_back(
        text in prop::array::uniform4(any::<String>()), scope in prop::option::of(any::<String>()),
        iat in 0_i64..4_000_000_000,
    ) {
        let [sub, aud, client_id, jti] = &text;
        let claims = Claims {
            iss: "https://id.example", sub, aud, client_id, jti,
            iat, exp: iat + 3600, scope: scope.as_deref(),
        };
        let token = match jwt::issue(&KEY, &claims) {
            Ok(token) => token,
            Err(error) => {
                prop_assert_eq!(error, jwt::KeyError::TooLong);
                return Ok(());
            }
        };
        prop_assert!(token.starts_with("eyJraW"));
        let key = Arc::new(KEY.verifying_key());
        let verified = jwt::verify(&token, "https://id.example", iat + 1, 0, |_| Some(key)).unwrap();
        prop_assert_eq!(
            (&verified.sub, &verified.aud, &verified.client_id, &verified.jti, &verified.scope),
            (sub, aud, client_id, jti, &scope)
        );
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_with_everything(&bytes);
    }

    #[test]
    fn no_nearly_right_text_makes_a_parser_panic(
        text in r#"(wl_|Basic |K:|Tue, 16 |\{"a":|eyJ)?[-_.:=&%+\\{}"\[\]0-9A-Za-z é€]{0,80}"#,
    ) {
        read_with_everything(text.as_bytes());
    }
}

fn read_with_everything(bytes: &[u8]) {
    let _ = basic::parse(bytes);
    let _ = form::parse(bytes);
    let _ = json::parse_object(bytes);
    let _ = signed::parse_authentication(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = http_date::parse(&text);
    let _ = key_text::inspect(&text);
    let _ = guid::parse(&text);
    let _ = form::percent_decode(&text);
    let _ = form::decode_word(&text);
    let _ = signed::first_difference(&text, "GET\nTue, 16 Mar 2027 10:20:28 GMT\n/äpfel\n");
    let request = SignedRequest {
        method: &text,
        paths: &[&text],
        query: Some(&text),
        timestamp: &text,
        form_body: Some(bytes),
    };
    let _ = signed::verify(&request, &[0; 32], bytes);
    let key = Arc::new(KEY.verifying_key());
    let _ = jwt::verify(&text, "i", 0, 0, |_| Some(key));
}
