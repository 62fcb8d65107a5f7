//! All 38 directories of the published suite for version 4, and what is stricter than it.

use crate::{vector_json, vector_path};
use proptest::prelude::*;
use wayleave_protocol::Message;
use wayleave_protocol::sigv4::{
    Payload, Presented, Request, Sigv4Error, canonical_request, is_presented, parse_authorization,
    sign, string_to_sign,
};

/// 2015-08-30T12:36:00Z, when every request of the suite was signed.
const SIGNED_AT_S: i64 = 1_440_938_160;
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A request of the suite, as text.
struct Raw {
    method: String,
    path: String,
    query: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
}

impl Raw {
    fn read(text: &str) -> Self {
        let (head, _body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        let mut lines = head.lines();
        let request_line = lines.next().unwrap();
        let target = request_line.strip_suffix(" HTTP/1.1").unwrap();
        let (method, target) = target.split_once(' ').unwrap();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        for line in lines {
            if line.starts_with(' ') {
                // Folded values are unfolded with blanks, as RFC 9112 5.2 says.
                let folded = &mut fields.last_mut().unwrap().1;
                folded.push(b' ');
                folded.extend_from_slice(line.trim().as_bytes());
            } else {
                let (name, value) = line.split_once(':').unwrap();
                fields.push((name.to_ascii_lowercase(), value.trim().into()));
            }
        }
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query,
            fields,
        }
    }

    fn field(&self, name: &str) -> &[u8] {
        let found = self.fields.iter().find(|(own, _)| own == name);
        &found.unwrap().1
    }

    fn fields(&self) -> Vec<(&str, &[u8])> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect()
    }

    fn message<'a>(&'a self, path: &'a str, fields: &'a [(&'a str, &'a [u8])]) -> Message<'a> {
        Message {
            method: &self.method,
            scheme: "https",
            authority: std::str::from_utf8(self.field("host")).unwrap(),
            path,
            query: self.query.as_deref(),
            fields,
        }
    }
}

/// What clients do to a path before signing it, where they do: dot segments and repeated slashes
/// removed.
fn normalized(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let is_folder = path.ends_with('/') && !kept.is_empty();
    format!("/{}{}", kept.join("/"), if is_folder { "/" } else { "" })
}

fn suite_text(case: &str, file: &str) -> String {
    std::fs::read_to_string(vector_path(&format!("aws-sigv4/v4/{case}/{file}"))).unwrap()
}

fn cases() -> Vec<String> {
    let folder = std::fs::read_dir(vector_path("aws-sigv4/v4")).unwrap();
    let mut cases: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    cases.sort();
    cases
}

#[test]
fn all_38_published_requests_come_out_letter_by_letter() {
    let cases = cases();
    assert_eq!(cases.len(), 38);
    let mut refused = 0;
    for case in &cases {
        let context = vector_json(&format!("aws-sigv4/v4/{case}/context.json"));
        let secret = context["credentials"]["secret_access_key"]
            .as_str()
            .unwrap();
        let raw = Raw::read(&suite_text(case, "header-signed-request.txt"));
        let presented = parse_authorization(raw.field("authorization")).unwrap();
        assert_eq!(presented.key_id, "AKIDEXAMPLE", "{case}");
        assert_eq!(
            presented.signature,
            suite_text(case, "header-signature.txt")
        );

        let path = match context["normalize"].as_bool().unwrap() {
            true => normalized(&raw.path),
            false => raw.path.clone(),
        };
        let expected = suite_text(case, "header-canonical-request.txt");
        let payload_hash = expected.lines().last().unwrap();
        let fields = raw.fields();
        let message = raw.message(&path, &fields);
        let canonical = canonical_request(&message, &presented, payload_hash);
        assert_eq!(
            String::from_utf8(canonical.clone()).unwrap(),
            expected,
            "{case}"
        );
        let string = string_to_sign(&presented, SIGNED_AT_S, &canonical);
        assert_eq!(
            string,
            suite_text(case, "header-string-to-sign.txt"),
            "{case}"
        );
        assert_eq!(
            sign(&presented, secret.as_bytes(), &string),
            presented.signature
        );

        let sent = raw.message(&raw.path, &fields);
        match Request::read(&sent, &presented) {
            // A path that may or may not have been changed before signing is never compared.
            Err(error) => {
                assert_eq!(error, Sigv4Error::AmbiguousPath, "{case}");
                assert!(
                    ["relative", "slash"].iter().any(|word| case.contains(word)),
                    "{case}"
                );
                refused += 1;
            }
            Ok(request) => assert_verifies(&request, case, payload_hash, secret),
        }
    }
    assert_eq!(refused, 12);
}

fn assert_verifies(request: &Request<'_>, case: &str, payload_hash: &str, secret: &str) {
    assert_eq!(request.check_time(SIGNED_AT_S), Ok(()), "{case}");
    let of_body = hash(payload_hash);
    assert_eq!(request.body_sha256(of_body), of_body, "{case}");
    let strings = request.strings_to_sign(of_body);
    assert!(request.verify(&strings, secret.as_bytes()), "{case}");
    assert!(!request.verify(&strings, b"another"), "{case}");
    let of_another_body = request.strings_to_sign([7; 32]);
    let is_in_header = matches!(request.payload(), Payload::Header(_));
    assert_eq!(
        request.verify(&of_another_body, secret.as_bytes()),
        is_in_header,
        "{case}"
    );
}

/// The form with everything in the query is not accepted, but its canonical requests are the same
/// function's.
#[test]
fn the_canonical_requests_of_the_query_form_come_out_too() {
    for case in cases() {
        let context = vector_json(&format!("aws-sigv4/v4/{case}/context.json"));
        let mut raw = Raw::read(&suite_text(&case, "query-signed-request.txt"));
        let expected = suite_text(&case, "query-canonical-request.txt");
        // Neither the signature nor a token that was added after signing is part of what is signed.
        let is_signed = |piece: &&str| {
            !piece.starts_with("X-Amz-Signature=")
                && (expected.contains("X-Amz-Security-Token")
                    || !piece.starts_with("X-Amz-Security-Token"))
        };
        let query = raw.query.unwrap();
        raw.query = Some(
            query
                .split('&')
                .filter(is_signed)
                .collect::<Vec<_>>()
                .join("&"),
        );
        let path = match context["normalize"].as_bool().unwrap() {
            true => normalized(&raw.path),
            false => raw.path.clone(),
        };
        let mut last_lines = expected.lines().rev();
        let (payload_hash, signed_headers) =
            (last_lines.next().unwrap(), last_lines.next().unwrap());
        let presented = Presented {
            signed_headers,
            ..presented_of_suite()
        };
        let fields = raw.fields();
        let canonical = canonical_request(&raw.message(&path, &fields), &presented, payload_hash);
        assert_eq!(String::from_utf8(canonical).unwrap(), expected, "{case}");
    }
}

fn presented_of_suite() -> Presented<'static> {
    Presented {
        key_id: "AKIDEXAMPLE",
        day: "20150830",
        region: "us-east-1",
        service: "service",
        signed_headers: "host;x-amz-date",
        signature: EMPTY,
    }
}

fn hash(digits: &str) -> [u8; 32] {
    let byte = |at: usize| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap();
    std::array::from_fn(byte)
}

/// A request that a test alters in one place.
#[derive(Clone)]
struct Draft {
    method: &'static str,
    authority: &'static str,
    path: String,
    query: Option<String>,
    fields: Vec<(&'static str, Vec<u8>)>,
    presented: Presented<'static>,
}

impl Draft {
    fn new() -> Self {
        Self {
            method: "PUT",
            authority: "api.example.com",
            path: "/orders/A%20b".to_owned(),
            query: Some("b=2&a=x%2Fy".to_owned()),
            fields: vec![
                ("host", b"api.example.com".to_vec()),
                ("x-amz-date", b"20150830T123600Z".to_vec()),
                ("x-amz-content-sha256", EMPTY.into()),
                ("content-type", b"text/plain".to_vec()),
            ],
            presented: Presented {
                signed_headers: "content-type;host;x-amz-content-sha256;x-amz-date",
                ..presented_of_suite()
            },
        }
    }

    fn with_field(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|(own, _)| *own != name);
        self.fields.push((name, value.into()));
        self
    }

    fn strings(&self) -> Result<Vec<String>, Sigv4Error> {
        let fields: Vec<(&str, &[u8])> = self.fields.iter().map(|(n, v)| (*n, &v[..])).collect();
        let message = Message {
            method: self.method,
            scheme: "https",
            authority: self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            fields: &fields,
        };
        Ok(Request::read(&message, &self.presented)?.strings_to_sign(hash(EMPTY)))
    }
}

#[test]
fn every_signed_part_changes_the_string() {
    let original = Draft::new();
    let strings = original.strings().unwrap();
    assert_eq!(strings.len(), 1);
    let alter = |change: fn(&mut Draft)| {
        let mut altered = original.clone();
        change(&mut altered);
        altered.strings().unwrap()
    };
    let altered = [
        alter(|draft| draft.method = "POST"),
        alter(|draft| draft.authority = "api.example.com:8443"),
        alter(|draft| draft.path = "/orders/a%20b".to_owned()),
        alter(|draft| draft.path = "/orders/A%2520b".to_owned()),
        alter(|draft| draft.query = Some("b=2&a=x%2Fz".to_owned())),
        alter(|draft| draft.query = None),
        alter(|draft| draft.presented.region = "eu-central-1"),
        alter(|draft| draft.presented.service = "orders"),
        original
            .clone()
            .with_field("content-type", "text/html")
            .strings()
            .unwrap(),
        original
            .clone()
            .with_field("x-amz-date", "20150830T123601Z")
            .strings()
            .unwrap(),
        original
            .clone()
            .with_field("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
            .strings()
            .unwrap(),
    ];
    for (number, strings_of_altered) in altered.iter().enumerate() {
        assert!(
            strings_of_altered
                .iter()
                .all(|text| !strings.contains(text)),
            "{number}"
        );
    }
    let reordered = alter(|draft| draft.query = Some("a=x%2fy&b=2".to_owned()));
    assert!(
        reordered.contains(&strings[0]),
        "the order of parameters means nothing"
    );
}

#[test]
fn parameters_are_signed_as_published_or_as_sent() {
    let mut draft = Draft::new();
    draft.query = Some("a=x/y&b=:".to_owned());
    assert_eq!(draft.strings().unwrap().len(), 2);
    draft.query = Some("a=x+y".to_owned());
    assert_eq!(
        draft.strings().unwrap().len(),
        1,
        "a plus sign is signed as it is"
    );
    let plus = draft.strings().unwrap();
    for other in ["a=x%2By", "a=x%20y"] {
        draft.query = Some(other.to_owned());
        assert_ne!(draft.strings().unwrap(), plus, "{other}");
    }
}

#[test]
fn what_could_mean_two_things_is_refused() {
    let with = |change: fn(&mut Draft)| {
        let mut altered = Draft::new();
        change(&mut altered);
        altered.strings()
    };
    for path in ["/a//b", "/a/../b", "/./a", "a", "*", "/a/.."] {
        let mut altered = Draft::new();
        altered.path = path.to_owned();
        assert_eq!(altered.strings(), Err(Sigv4Error::AmbiguousPath), "{path}");
    }
    for query in ["a=1&a=2", "a=1&A=1", "%61=1&a=2"] {
        let mut altered = Draft::new();
        altered.query = Some(query.to_owned());
        assert_eq!(altered.strings(), Err(Sigv4Error::DuplicateName), "{query}");
    }
    for query in ["a=100%", "a=%2", "%zz=1"] {
        let mut altered = Draft::new();
        altered.query = Some(query.to_owned());
        assert_eq!(altered.strings(), Err(Sigv4Error::BrokenEscape), "{query}");
    }
    assert_eq!(
        with(|draft| draft.presented.signed_headers = "x-amz-content-sha256;x-amz-date"),
        Err(Sigv4Error::HostUnsigned)
    );
    assert_eq!(
        with(|draft| draft.presented.signed_headers = "host;x-amz-content-sha256"),
        Err(Sigv4Error::HeaderUnsigned)
    );
    assert_eq!(
        with(|draft| draft.fields.push(("x-amz-meta", b"1".to_vec()))),
        Err(Sigv4Error::HeaderUnsigned)
    );
    assert_eq!(
        with(|draft| draft.fields.retain(|(name, _)| *name != "content-type")),
        Err(Sigv4Error::HeaderMissing)
    );
    assert_eq!(
        with(|draft| draft
            .fields
            .push(("x-amz-date", b"20150830T123600Z".to_vec()))),
        Err(Sigv4Error::Time)
    );
    for hash in [
        "",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "e3b0",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ] {
        let altered = Draft::new().with_field("x-amz-content-sha256", hash);
        assert_eq!(altered.strings(), Err(Sigv4Error::ContentHash), "{hash}");
    }
}

#[test]
fn the_time_is_read_in_its_forms_and_belongs_to_the_day_of_the_scope() {
    let dated = |name, value: &str| {
        let mut draft = Draft::new();
        draft.fields.retain(|(own, _)| *own != "x-amz-date");
        draft.presented.signed_headers = "content-type;host;x-amz-content-sha256";
        draft.fields.push((name, value.into()));
        draft.strings()
    };
    assert!(dated("date", "20150830T123600Z").is_ok());
    assert!(dated("date", "Sun, 30 Aug 2015 12:36:00 GMT").is_ok());
    for wrong in [
        "",
        "2015-08-30T12:36:00Z",
        "20150830T123660Z",
        "Mon, 30 Aug 2015 12:36:00 GMT",
    ] {
        assert_eq!(dated("date", wrong), Err(Sigv4Error::Time), "{wrong}");
    }
    assert_eq!(dated("accept", "*/*"), Err(Sigv4Error::Time));
    let next_day = Draft::new().with_field("x-amz-date", "20150831T000000Z");
    assert_eq!(next_day.strings(), Err(Sigv4Error::ScopeDay));
}

#[test]
fn the_clock_may_be_300_seconds_off_and_no_more() {
    let raw = Raw::read(&suite_text("get-vanilla", "header-signed-request.txt"));
    let presented = parse_authorization(raw.field("authorization")).unwrap();
    let fields = raw.fields();
    let request = Request::read(&raw.message("/", &fields), &presented).unwrap();
    for (skew_s, is_fine) in [(300, true), (-300, true), (301, false), (-301, false)] {
        let checked = request.check_time(SIGNED_AT_S - skew_s);
        match is_fine {
            true => assert_eq!(checked, Ok(())),
            false => assert_eq!(checked, Err(Sigv4Error::OutsideWindow { skew_s })),
        }
    }
}

#[test]
fn an_unsigned_body_has_to_be_none() {
    let mut draft = Draft::new().with_field("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    draft.path = "/".to_owned();
    let fields: Vec<(&str, &[u8])> = draft.fields.iter().map(|(n, v)| (*n, &v[..])).collect();
    let message = Message {
        method: "PUT",
        scheme: "https",
        authority: "api.example.com",
        path: "/",
        query: None,
        fields: &fields,
    };
    let request = Request::read(&message, &draft.presented).unwrap();
    assert_eq!(request.payload(), Payload::Unsigned);
    assert_eq!(request.body_sha256([7; 32]), hash(EMPTY));
    let canonical = request.canonical_requests([7; 32]).remove(0);
    assert!(canonical.ends_with(b"\nUNSIGNED-PAYLOAD"));
}

#[test]
fn headers_that_are_not_of_the_form_prove_nothing() {
    let good = format!(
        "AWS4-HMAC-SHA256 Credential=K/20150830/r/s/aws4_request, SignedHeaders=host, Signature={EMPTY}"
    );
    assert!(parse_authorization(good.as_bytes()).is_some());
    let slashes = good.replace("=K/", "=team/K/");
    assert_eq!(
        parse_authorization(slashes.as_bytes()).unwrap().key_id,
        "team/K"
    );
    let compact = good.replace(", ", ",");
    assert!(parse_authorization(compact.as_bytes()).is_some());
    for (what, by) in [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256"),
        ("aws4_request", "aws4"),
        ("20150830", "2015083"),
        ("=K/", "=/"),
        ("=host", "=Host"),
        ("=host", "=x;host"),
        ("=host", "=host;host"),
        ("=host", "="),
        ("e3b0", "E3B0"),
        ("e3b0", "e3b"),
        ("Signature=", "Signature=, Signature="),
        ("SignedHeaders=host, ", ""),
        ("Signature=", "Sig="),
    ] {
        let altered = good.replace(what, by);
        assert_ne!(altered, good);
        assert!(
            parse_authorization(altered.as_bytes()).is_none(),
            "{altered}"
        );
    }
    assert!(is_presented(b"AWS4-HMAC-SHA256") && !is_presented(b"AWS4-HMAC-SHA256X y"));
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_what_is_flipped_does_not(
        path in "(/[!-~]{1,10}){1,4}/?", query in prop::option::of("[a-c]=[!-~]{0,12}"),
        header in "[ -~]{0,30}", secret in "[ -~é]{0,80}", at in 0_usize..64,
    ) {
        let path = path.replace(['?', '#'], "x");
        let query = query.map(|query| query.replace(['#', '&', '%'], "x"));
        let fields = [
            ("host", &b"api.example.com"[..]),
            ("x-amz-date", b"20150830T123600Z"),
            ("x-note", header.trim().as_bytes()),
        ];
        let message = Message {
            method: "GET",
            scheme: "https",
            authority: "api.example.com",
            path: &path,
            query: query.as_deref(),
            fields: &fields,
        };
        let unsigned = Presented { signed_headers: "host;x-amz-date;x-note", ..presented_of_suite() };
        let Ok(request) = Request::read(&message, &unsigned) else {
            return Ok(());
        };
        for string in request.strings_to_sign([1; 32]) {
            let mut signature = sign(&unsigned, secret.as_bytes(), &string);
            let verdict = |signature: &str, body| {
                let presented = Presented { signature, ..unsigned };
                let request = Request::read(&message, &presented).unwrap();
                request.verify(&request.strings_to_sign(body), secret.as_bytes())
            };
            prop_assert!(verdict(&signature, [1; 32]));
            prop_assert!(!verdict(&signature, [2; 32]));
            let flipped = if signature.as_bytes()[at] == b'0' { "1" } else { "0" };
            signature.replace_range(at..=at, flipped);
            prop_assert!(!verdict(&signature, [1; 32]));
        }
    }

    #[test]
    fn no_header_makes_the_reader_panic(
        value in r"(AWS4-HMAC-SHA256 )?[A-Za-z]{0,13}=?[-_.:=/;, A-Za-z0-9é]{0,160}", query in "[%&=+a-fA-F0-9é]{0,40}",
    ) {
        let _ = is_presented(value.as_bytes());
        let presented = parse_authorization(value.as_bytes()).unwrap_or(presented_of_suite());
        let fields = [("x-amz-date", &b"20150830T123600Z"[..]), ("x-amz-content-sha256", value.as_bytes())];
        let message = Message {
            method: &value,
            scheme: "https",
            authority: &value,
            path: &value,
            query: Some(&query),
            fields: &fields,
        };
        let _ = canonical_request(&message, &presented, &value);
        if let Ok(request) = Request::read(&message, &presented) {
            let _ = request.canonical_requests([0; 32]);
        }
    }
}
