//! Every case of `imoneza-signing.json`, at the level of the scheme.

use crate::vector_json;
use serde_json::Value;
use std::collections::HashMap;
use wayleave_protocol::signed::{
    ParameterError, SignedRequest, TimestampError, base_strings, check_timestamp, first_difference,
    parse_authentication, sign, verify,
};
use wayleave_protocol::{callback, form, http_date};

/// One vector with the parts that the scheme looks at.
struct Case<'a> {
    id: &'a str,
    vector: &'a Value,
    paths: Vec<&'a str>,
    query: Option<&'a str>,
    timestamp: Option<&'a str>,
    form_body: Option<&'a [u8]>,
}

impl<'a> Case<'a> {
    fn read(vector: &'a Value) -> Self {
        let target = vector["target"].as_str().unwrap();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let stripped = vector["mount_prefix"]
            .as_str()
            .and_then(|prefix| path.strip_prefix(prefix));
        let form = vector["headers"]["Content-Type"] == "application/x-www-form-urlencoded";
        Self {
            id: vector["id"].as_str().unwrap(),
            vector,
            paths: stripped.into_iter().chain([path]).collect(),
            query,
            timestamp: vector["headers"]["Timestamp"].as_str(),
            form_body: form.then(|| vector["body"].as_str().unwrap().as_bytes()),
        }
    }

    fn request(&self) -> SignedRequest<'_> {
        SignedRequest {
            method: self.vector["method"].as_str().unwrap(),
            paths: &self.paths,
            query: self.query,
            timestamp: self.timestamp.unwrap(),
            form_body: self.form_body,
        }
    }

    fn base(&self) -> String {
        self.vector["base"].as_str().unwrap().to_owned()
    }

    fn now(&self) -> i64 {
        http_date::parse(self.vector["server_now"].as_str().unwrap()).unwrap()
    }

    /// The header, also under the name that early prose gave it.
    fn authentication(&self) -> &'a [u8] {
        let headers = &self.vector["headers"];
        let value = headers["Authentication"]
            .as_str()
            .or(headers["Authenticate"].as_str());
        value.unwrap().as_bytes()
    }

    /// What the scheme finds with this secret.
    fn verdict(&self, secret: &str) -> Result<bool, ParameterError> {
        match parse_authentication(self.authentication()) {
            None => Ok(false),
            Some(presented) => verify(&self.request(), &presented.signature, secret.as_bytes()),
        }
    }

    fn assert_authentic(&self, secret: &str) {
        assert_eq!(
            check_timestamp(self.timestamp.unwrap(), self.now()),
            Ok(()),
            "{}",
            self.id
        );
        assert_eq!(self.verdict(secret), Ok(true), "{}", self.id);
        let candidates = base_strings(&self.request()).unwrap();
        assert!(
            candidates.contains(&self.base()),
            "{}: {candidates:?}",
            self.id
        );
    }

    fn assert_mismatch(&self, secret: &str, signed_otherwise: bool) {
        assert_eq!(
            check_timestamp(self.timestamp.unwrap(), self.now()),
            Ok(()),
            "{}",
            self.id
        );
        assert_eq!(self.verdict(secret), Ok(false), "{}", self.id);
        let candidates = base_strings(&self.request()).unwrap();
        assert_eq!(
            candidates.contains(&self.base()),
            signed_otherwise,
            "{}",
            self.id
        );
        if !signed_otherwise {
            assert!(
                first_difference(&candidates[0], &self.base()).is_some(),
                "{}",
                self.id
            );
        }
    }
}

#[test]
fn all_70_vectors_get_their_verdict() {
    let file = vector_json("imoneza-signing.json");
    let secrets: HashMap<&str, &str> = file["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            (
                key["key"].as_str().unwrap(),
                key["secret"].as_str().unwrap(),
            )
        })
        .collect();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 70);
    for vector in vectors {
        let case = Case::read(vector);
        let signers = vector["secret"].as_str().unwrap();
        let stored = secrets.get(vector["key"].as_str().unwrap()).copied();
        match vector["expect"]["reason"].as_str().unwrap() {
            "ok" => case.assert_authentic(stored.unwrap()),
            // The signature is in order; who the key belongs to is the caller's to ask.
            "unknown key" => case.assert_authentic(signers),
            "revoked key" | "key belongs to the other API" | "path key is not the signing key" => {
                case.assert_authentic(stored.unwrap());
            }
            "signature mismatch" => {
                let other_secret = stored != Some(signers);
                let other_signature = !vector["sent_signature"].is_null();
                case.assert_mismatch(stored.unwrap(), other_secret || other_signature);
            }
            "timestamp outside window" => {
                let then = http_date::parse(case.timestamp.unwrap()).unwrap();
                let outside = TimestampError::OutsideWindow {
                    skew_s: then - case.now(),
                };
                assert_eq!(
                    check_timestamp(case.timestamp.unwrap(), case.now()),
                    Err(outside)
                );
                assert_eq!(case.verdict(stored.unwrap()), Ok(true), "{}", case.id);
            }
            "timestamp is not RFC 1123" => {
                let refused = check_timestamp(case.timestamp.unwrap(), case.now());
                assert_eq!(refused, Err(TimestampError::NotRfc1123), "{}", case.id);
            }
            "no timestamp header" => assert_eq!(case.timestamp, None, "{}", case.id),
            "malformed authentication header" => {
                assert_eq!(
                    parse_authentication(case.authentication()),
                    None,
                    "{}",
                    case.id
                );
            }
            "duplicate query parameter" => {
                assert_eq!(
                    case.verdict(stored.unwrap()),
                    Err(ParameterError::DuplicateName)
                );
            }
            other => panic!("{}: no check for {other}", case.id),
        }
    }
}

#[test]
fn outbound_callbacks_are_signed_as_recorded() {
    let file = vector_json("imoneza-signing.json");
    for callback in file["outbound_callbacks"].as_array().unwrap() {
        let text = |name: &str| callback[name].as_str().unwrap();
        let target = text("request_url")
            .strip_prefix("https://hooks.merchant.example")
            .unwrap();
        let (path, query) = target.split_once('?').unwrap();
        let request = SignedRequest {
            method: text("method"),
            paths: &[path],
            query: Some(query),
            timestamp: callback["headers"]["Timestamp"].as_str().unwrap(),
            form_body: None,
        };
        let base = base_strings(&request).unwrap().remove(0);
        assert_eq!(base, text("base"));
        let header = format!("{}:{}", text("key"), sign(text("secret").as_bytes(), &base));
        assert_eq!(
            header,
            callback["headers"]["Authentication"].as_str().unwrap()
        );
    }
}

#[test]
fn what_tells_of_an_event_is_composed_as_recorded() {
    let file = vector_json("imoneza-signing.json");
    let callbacks = file["outbound_callbacks"].as_array().unwrap();
    assert_eq!(callbacks.len(), 2);
    for recorded in callbacks {
        let text = |name: &str| recorded[name].as_str().unwrap();
        let (url, query) = text("request_url").split_once("CallbackType=").unwrap();
        let query = form::parse(format!("CallbackType={query}").as_bytes()).unwrap();
        let parameters: Vec<(&str, &str)> = query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let timestamp = recorded["headers"]["Timestamp"].as_str().unwrap();
        let composed = callback::compose(
            url.trim_end_matches(['?', '&']),
            &parameters,
            text("key"),
            text("secret").as_bytes(),
            http_date::parse(timestamp).unwrap(),
        );
        let composed = composed.unwrap();
        assert_eq!(composed.url, text("request_url"));
        assert_eq!(composed.timestamp, timestamp);
        let expected = recorded["headers"]["Authentication"].as_str().unwrap();
        assert_eq!(composed.authentication, expected);
    }
}

fn get<'a>(paths: &'a [&'a str], query: Option<&'a str>) -> SignedRequest<'a> {
    SignedRequest {
        method: "GET",
        paths,
        query,
        timestamp: "Tue, 16 Mar 2027 10:20:28 GMT",
        form_body: None,
    }
}

#[test]
fn the_candidates_come_in_the_documented_order_without_repeats() {
    let strings = |path, query| base_strings(&get(&[path], query)).unwrap();
    assert_eq!(
        strings("/a", None),
        ["GET\nTue, 16 Mar 2027 10:20:28 GMT\n/a\n"]
    );
    let lines = |path, query| -> Vec<String> {
        let tail = |base: &String| base.splitn(3, '\n').nth(2).unwrap().to_owned();
        strings(path, query).iter().map(tail).collect()
    };
    assert_eq!(
        lines("/%C3%9CB%20X", None),
        ["/%c3%9cb%20x\n", "/Üb x\n", "/üb x\n"]
    );
    assert_eq!(
        lines("/a", Some("Zone=%C3%84&alpha=1")),
        [
            "/a\nalpha=1&zone=Ä",
            "/a\nzone=Ä&alpha=1",
            "/a\nalpha=1&zone=ä",
            "/a\nzone=ä&alpha=1"
        ]
    );
    assert_eq!(lines("/%C3%9C", Some("Zone=%C3%84&alpha=1")).len(), 12);
    let form = SignedRequest {
        form_body: Some(b"B=%C3%84"),
        ..get(&["/%C3%9C"], Some("Zone=%C3%84&alpha=1"))
    };
    assert_eq!(base_strings(&form).unwrap().len(), 24);
}

#[test]
fn a_path_that_is_not_utf8_is_signed_as_received_only() {
    assert_eq!(base_strings(&get(&["/caf%E9"], None)).unwrap().len(), 1);
}

#[test]
fn parameters_that_could_be_read_in_two_ways_are_refused() {
    use ParameterError::{ControlCharacter, DuplicateName, NotUtf8};
    let cases = [
        ("/a", "IP=1&ip=2", DuplicateName),
        ("/a", "a&a", DuplicateName),
        ("/a", "=1&=2", DuplicateName),
        ("/a", "%C3%84=1&%C3%A4=2", DuplicateName),
        ("/a", "%E2%84%AA=1&k=2", DuplicateName), // the Kelvin sign lowers to k
        ("/a", "a=1%0Ab=2", ControlCharacter),
        ("/a", "a=%0D", ControlCharacter),
        ("/a", "a%00=1", ControlCharacter),
        ("/a", "a=%C2%85", ControlCharacter),
        ("/a", "a=%FF", NotUtf8),
        ("/a", "a=%C3&b=%A9", NotUtf8),
        ("/a", "a=%C3&=%A9", NotUtf8),
        ("/a%0Ab", "", ControlCharacter),
        ("/a%00", "", ControlCharacter),
        ("/a%E9%0A", "", ControlCharacter),
    ];
    for (path, query, expected) in cases {
        let paths = [path];
        let request = get(&paths, Some(query));
        assert_eq!(base_strings(&request), Err(expected), "{path}?{query}");
        assert_eq!(
            verify(&request, &[0; 32], b"s"),
            Err(expected),
            "{path}?{query}"
        );
    }
}

#[test]
fn a_name_may_not_stand_in_both_query_and_form() {
    let request = SignedRequest {
        form_body: Some(b"Name=x"),
        ..get(&["/a"], Some("name=y"))
    };
    assert_eq!(base_strings(&request), Err(ParameterError::DuplicateName));
}

#[test]
fn signatures_in_any_other_spelling_are_no_proof() {
    let good = "K:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0=";
    assert!(parse_authentication(good.as_bytes()).is_some());
    assert!(parse_authentication(format!("\t {good} \t").as_bytes()).is_some());
    let bad = [
        "",
        ":",
        "K:",
        ":9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0=",
        "K:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0",
        "K:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN1=", // trailing bits
        "K:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbA==",
        "K:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0A", // 33 bytes
        "K:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0==",
        "K: 9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0=",
        "K:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDm-_0=", // URL alphabet
        "K:x:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0=",
        "K:f5eb714f7475cab64356e15cecea5d9baa9cc8b93aa44f0433ab41d5d0e66cdd",
        "K\n:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0=",
    ];
    for value in bad {
        assert_eq!(parse_authentication(value.as_bytes()), None, "{value}");
    }
    assert_eq!(
        parse_authentication(b"\xff:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0="),
        None
    );
}

#[test]
fn the_window_is_300_seconds_inclusive_each_way() {
    let text = "Tue, 16 Mar 2027 10:20:28 GMT";
    let then = http_date::parse(text).unwrap();
    for skew_s in [-300, -1, 0, 1, 300] {
        assert_eq!(check_timestamp(text, then - skew_s), Ok(()));
    }
    for skew_s in [-86_400, -301, 301] {
        let outside = TimestampError::OutsideWindow { skew_s };
        assert_eq!(check_timestamp(text, then - skew_s), Err(outside));
    }
    assert!(check_timestamp(text, i64::MIN).is_err());
    assert!(check_timestamp(text, i64::MAX).is_err());
}

#[test]
fn a_difference_is_shown_with_its_surroundings() {
    let difference = first_difference("GET\nnow\n/äpfel\na=1", "GET\nnow\n/Äpfel\na=1").unwrap();
    assert_eq!((difference.at_byte, difference.line), (10, 3));
    assert_eq!(difference.ours, "GET\\nnow\\n/äpfel\\na=1");
    assert_eq!(difference.theirs, "GET\\nnow\\n/Äpfel\\na=1");
    assert_eq!(first_difference("a", "a"), None);
    let long = "x".repeat(500);
    assert_eq!(first_difference(&long, "").unwrap().theirs, "");
}
