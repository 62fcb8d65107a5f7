//! Schemes described as data: models of public APIs, what is refused, and that no two requests have
//! one text.

use proptest::prelude::*;
use std::collections::HashMap;
use wayleave_protocol::Message;
use wayleave_protocol::body_digest::BodyDigest;
use wayleave_protocol::described::{
    BodyRule, DescribedError, DescribedScheme, Description, TimeForm,
};

/// 2027-03-16T10:20:28.500Z
const NOW_MS: i64 = 1_805_192_428_500;
const NOW_S: i64 = NOW_MS / 1000;
const DATE: &str = "Tue, 16 Mar 2027 10:20:28 GMT";

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn plain() -> Description {
    Description {
        name: "acme".to_owned(),
        proof: texts(&[
            "X-Key: {key-id}",
            "X-Time: {time}",
            "X-Signature: {signature}",
        ]),
        lines: texts(&[
            "{method}",
            "{path-and-query}",
            "{time}",
            "{body:sha256:hex}",
        ]),
        time: "unix".to_owned(),
        ..Description::default()
    }
}

/// The scheme of a configuration store: digest of the body in a signed header, secret in base64.
fn configuration_store() -> Description {
    Description {
        name: "store".to_owned(),
        proof: texts(&[
            "x-ms-date: {time}",
            "Authorization: HMAC-SHA256 Credential={key-id}&SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
        ]),
        lines: texts(&[
            "{method}",
            "{path-and-query}",
            "{time};{host};{header:x-ms-content-sha256}",
        ]),
        secret: "base64".to_owned(),
        time: "rfc1123".to_owned(),
        body_digest: Some("x-ms-content-sha256: {sha256:base64}".to_owned()),
        ..Description::default()
    }
}

/// The scheme of an exchange: everything in one line with nothing between.
fn exchange() -> Description {
    Description {
        name: "exchange".to_owned(),
        proof: texts(&[
            "OK-KEY: {key-id}",
            "OK-SIGN: {signature}",
            "OK-TIMESTAMP: {time}",
        ]),
        lines: texts(&["{time}{method}{path-and-query}{body:json}"]),
        time: "iso8601-ms".to_owned(),
        ..Description::default()
    }
}

/// The early draft of HTTP signatures, as many gateways have it.
fn draft() -> Description {
    Description {
        name: "draft".to_owned(),
        proof: texts(&[
            "Date: {time}",
            "Authorization: Signature keyId=\"{key-id}\",algorithm=\"hmac-sha256\",headers=\"(request-target) host date digest\",signature=\"{signature}\"",
        ]),
        lines: texts(&[
            "(request-target): {method:lower} {path-and-query}",
            "host: {host}",
            "date: {time}",
            "digest: {header:digest}",
        ]),
        time: "rfc1123".to_owned(),
        body_digest: Some("Digest: SHA-256={sha256:base64}".to_owned()),
        ..Description::default()
    }
}

/// Sorted parameters, another hash, digits in capitals.
fn sorted() -> Description {
    Description {
        name: "sorted".to_owned(),
        proof: texts(&["X-Signed: id={key-id};t={time};v1={signature}"]),
        lines: texts(&[
            "{time}",
            "{method}",
            "{path}",
            "{query:sorted}",
            "{body:sha512:hex}",
            "{key-id}",
        ]),
        digest: "sha512".to_owned(),
        encoding: "hex-upper".to_owned(),
        time: "unix-ms".to_owned(),
        window_s: 60,
        ..Description::default()
    }
}

fn compile(description: &Description) -> DescribedScheme {
    DescribedScheme::compile(description).unwrap()
}

fn refusal(change: impl FnOnce(&mut Description)) -> String {
    let mut description = plain();
    change(&mut description);
    DescribedScheme::compile(&description)
        .unwrap_err()
        .to_string()
}

/// What a test does to a request.
type Change = fn(&mut Sent);

/// A request as a test alters it.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    method: String,
    authority: String,
    path: String,
    query: Option<String>,
    fields: Vec<(String, String)>,
    body: String,
}

impl Sent {
    fn new(method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            method: method.to_owned(),
            authority: "config.example.net".to_owned(),
            path: path.to_owned(),
            query,
            fields: fields.iter().map(own).collect(),
            body: body.to_owned(),
        }
    }

    fn with<T>(&self, look: impl FnOnce(&Message<'_>) -> T) -> T {
        let fields: Vec<(&str, &[u8])> = self
            .fields
            .iter()
            .map(|(n, v)| (&n[..], v.as_bytes()))
            .collect();
        look(&Message {
            method: &self.method,
            scheme: "https",
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            fields: &fields,
        })
    }

    fn signed(&self, scheme: &DescribedScheme, secret: &str) -> Result<Self, DescribedError> {
        let time = scheme.time_form().format(NOW_MS);
        let sign = |message: &Message<'_>| {
            scheme.sign(
                message,
                "K-1",
                &time,
                self.body.as_bytes(),
                secret.as_bytes(),
            )
        };
        let mut signed = self.clone();
        signed.fields.extend(self.with(sign)?);
        Ok(signed)
    }

    fn field(&self, name: &str) -> &str {
        &self.fields.iter().find(|(own, _)| own == name).unwrap().1
    }

    fn set(&mut self, name: &str, value: &str) {
        self.fields.retain(|(own, _)| own != name);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    /// What an engine does: all of it but the lookup of the key.
    fn verdict(&self, scheme: &DescribedScheme, secret: &str) -> Result<bool, DescribedError> {
        self.with(|message| {
            let request = scheme.read(message)?;
            request.check_time(NOW_S)?;
            request.check_body(self.body.as_bytes())?;
            let body_fits = match request.body() {
                BodyRule::Digest(digest) => BodyDigest::sha256(self.body.as_bytes()) == *digest,
                BodyRule::Empty => self.body.is_empty(),
                BodyRule::Whole | BodyRule::Unsigned => true,
            };
            Ok(body_fits && request.verify(self.body.as_bytes(), secret.as_bytes()))
        })
    }
}

/// What other programs computed with their own HMAC (Python 3.11).
#[test]
fn signatures_of_public_schemes_are_those_of_another_implementation() {
    let body = "{\"on\":true}";
    let digest = "XjnViOXDjqfbtVNh5vywRl+mE+fFBL72CgnFOQkQRwI=";
    let request = Sent::new(
        "PUT",
        "/kv/color?api-version=1.0",
        &[("x-ms-content-sha256", digest)],
        body,
    );
    let scheme = compile(&configuration_store());
    let signed = request.signed(&scheme, "c2VjcmV0LW9mLWFjbWUtMDAx").unwrap();
    assert!(
        signed
            .field("authorization")
            .ends_with("&Signature=kD2WAOjhQBDWpWMatFzarH2YbnNwDl9VQNt7zJX6XC4=")
    );
    assert_eq!(
        signed.verdict(&scheme, "c2VjcmV0LW9mLWFjbWUtMDAx"),
        Ok(true)
    );

    let request = Sent::new(
        "POST",
        "/api/v5/trade/order?x=1",
        &[],
        "{\"instId\":\"BTC-USDT\"}",
    );
    let scheme = compile(&exchange());
    let signed = request
        .signed(&scheme, "22582BD0CFF14C41EDBF1AB98506286D")
        .unwrap();
    assert_eq!(
        signed.field("ok-sign"),
        "1RsG7SbWycKpO9qxtNjNIXIBNCrXbYmX8V+sibB5174="
    );

    let digest = "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
    let mut request = Sent::new(
        "POST",
        "/foo?param=value&pet=dog",
        &[("digest", digest)],
        "{\"hello\": \"world\"}",
    );
    request.authority = "example.com".to_owned();
    let scheme = compile(&draft());
    let signed = request.signed(&scheme, "secret").unwrap();
    assert_eq!(signed.field("date"), DATE);
    assert!(
        signed
            .field("authorization")
            .contains("VGSzWKulqlCuMAsc703+k99OX4fJ7JNhRFPc3+x/VUs=")
    );
    assert_eq!(signed.verdict(&scheme, "secret"), Ok(true));

    let request = Sent::new("DELETE", "/v1/orders?b=2&a=1", &[], "amount=1");
    let scheme = compile(&sorted());
    let signed = request.signed(&scheme, "secret").unwrap();
    assert_eq!(
        signed.field("x-signed"),
        "id=K-1;t=1805192428500;v1=25767FE58DABA9D65E6B59BDD2D788F6757D7EEF089CFAE690F225503C002203B988029FC56A2CA725575178A61602ED29418A2C361966C1AA15E5A783A24484"
    );
}

#[test]
fn what_is_signed_cannot_be_changed() {
    let empty_digest = "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let empty = empty_digest.strip_prefix("SHA-256=").unwrap();
    for description in [
        plain(),
        configuration_store(),
        exchange(),
        draft(),
        sorted(),
    ] {
        let name = &description.name;
        let scheme = compile(&description);
        let fields = [("digest", empty_digest), ("x-ms-content-sha256", empty)];
        let signed = Sent::new("POST", "/a/b?x=1", &fields, "")
            .signed(&scheme, "secret")
            .unwrap();
        assert_eq!(signed.verdict(&scheme, "secret"), Ok(true), "{name}");
        assert_eq!(signed.verdict(&scheme, "Secret"), Ok(false), "{name}");
        let changes: [(&str, Change); 9] = [
            ("method", |sent| sent.method = "PUT".to_owned()),
            ("path", |sent| sent.path = "/a/B".to_owned()),
            ("longer path", |sent| sent.path = "/a/b/".to_owned()),
            ("query", |sent| sent.query = Some("x=2".to_owned())),
            ("query added to", |sent| {
                sent.query = Some("x=1&y".to_owned())
            }),
            ("no query", |sent| sent.query = None),
            ("escaped path", |sent| sent.path = "/a/%62".to_owned()),
            ("body", |sent| sent.body = "{}".to_owned()),
            ("split elsewhere", |sent| {
                sent.path = "/a".to_owned();
                sent.query = Some("/b?x=1".to_owned());
            }),
        ];
        for (what, change) in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert_eq!(
                changed.verdict(&scheme, "secret"),
                Ok(false),
                "{name}: {what}"
            );
        }
        let mut later = signed.clone();
        for (_, value) in &mut later.fields {
            let written = scheme.time_form().format(NOW_MS);
            *value = value.replace(&written, &scheme.time_form().format(NOW_MS + 1000));
        }
        assert_eq!(later.verdict(&scheme, "secret"), Ok(false), "{name}: time");
    }
}

#[test]
fn a_changed_host_or_signed_header_does_not_fit() {
    let scheme = compile(&draft());
    let digest = (
        "digest",
        "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    );
    let signed = Sent::new("GET", "/", &[digest], "")
        .signed(&scheme, "secret")
        .unwrap();
    let mut elsewhere = signed.clone();
    elsewhere.authority = "other.example.net".to_owned();
    assert_eq!(elsewhere.verdict(&scheme, "secret"), Ok(false));
    let mut other_digest = signed.clone();
    other_digest.set(
        "digest",
        "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
    );
    other_digest.body = "{\"hello\": \"world\"}".to_owned();
    assert_eq!(other_digest.verdict(&scheme, "secret"), Ok(false));
    let mut not_a_digest = signed;
    not_a_digest.set("digest", "MD5=1B2M2Y8AsgTpgAmY7PhCfg==");
    assert_eq!(
        not_a_digest.verdict(&scheme, "secret"),
        Err(DescribedError::Malformed("digest".into()))
    );
}

#[test]
fn what_is_not_of_the_form_proves_nothing() {
    let scheme = compile(&configuration_store());
    let digest = (
        "x-ms-content-sha256",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    );
    let request = Sent::new("GET", "/", &[digest], "");
    assert_eq!(request.verdict(&scheme, "s"), Err(DescribedError::NoProof));
    let signed = request.signed(&scheme, "s").unwrap();
    let altered = |name: &str, value: &str| {
        let mut altered = signed.clone();
        altered.set(name, value);
        altered.verdict(&scheme, "s")
    };
    let malformed = Err(DescribedError::Malformed("authorization".into()));
    let good = signed.field("authorization");
    assert_eq!(
        altered("authorization", "Bearer x"),
        Err(DescribedError::NoProof)
    );
    for wrong in [
        good.replace("Credential=K-1", "Credential="),
        good.replace("&Signature=", "&Sig="),
        good.replace(
            "SignedHeaders=x-ms-date;host",
            "SignedHeaders=host;x-ms-date",
        ),
        good.split_once("&Signature=").unwrap().0.to_owned(),
        "HMAC-SHA256 Credential=\u{0}".to_owned(),
    ] {
        assert_eq!(altered("authorization", &wrong), malformed, "{wrong}");
    }
    assert_eq!(
        altered("x-ms-date", NOW_S.to_string().as_str()),
        Err(DescribedError::Time(TimeForm::Rfc1123))
    );
    let mut without = signed.clone();
    without.fields.retain(|(name, _)| name != "x-ms-date");
    assert_eq!(
        without.verdict(&scheme, "s"),
        Err(DescribedError::Missing("x-ms-date".into()))
    );
    let mut without = signed.clone();
    without
        .fields
        .retain(|(name, _)| name != "x-ms-content-sha256");
    assert_eq!(
        without.verdict(&scheme, "s"),
        Err(DescribedError::Missing("x-ms-content-sha256".into()))
    );
    let mut twice = signed.clone();
    twice.fields.push(("x-ms-date".to_owned(), DATE.to_owned()));
    let error = twice.verdict(&scheme, "s").unwrap_err();
    assert!(error == DescribedError::Repeated("x-ms-date".into()) && error.is_bad_request());
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_before_it_is_compared() {
    let ambiguous = |part: &str| Err(DescribedError::Ambiguous(part.into()));
    let scheme = compile(&sorted());
    let verdict = |method: &str, target: &str| {
        let request = Sent::new(method, target, &[], "");
        request.signed(&scheme, "s").map(|_| ())
    };
    assert_eq!(verdict("get", "/"), ambiguous("method"));
    assert_eq!(verdict("GET", "*"), ambiguous("path"));
    assert_eq!(verdict("GET", "/a{b}"), ambiguous("path"));
    assert_eq!(verdict("GET", "/?"), ambiguous("query"));
    assert_eq!(verdict("GET", "/?a=1&A=2"), ambiguous("query"));
    assert_eq!(verdict("GET", "/?a=2&a=1"), ambiguous("query"));
    assert_eq!(verdict("GET", "/?a=2&%61=1"), ambiguous("query"));
    assert_eq!(verdict("GET", "/?a=2&b=1&"), Ok(()));

    let scheme = compile(&exchange());
    let request = Sent::new("POST", "/a", &[], "b");
    assert_eq!(request.signed(&scheme, "s").map(|_| ()), ambiguous("body"));

    let mut description = plain();
    description.lines = texts(&[
        "{header:x-note};{method}",
        "{path-and-query}",
        "{time}",
        "{body}",
    ]);
    let scheme = compile(&description);
    let request = |note| {
        Sent::new("GET", "/", &[("x-note", note)], "")
            .signed(&scheme, "s")
            .map(|_| ())
    };
    assert_eq!(request("a, b"), Ok(()));
    assert_eq!(request("a;b"), ambiguous("header x-note"));
    assert_eq!(request(""), ambiguous("header x-note"));
}

#[test]
fn the_clock_may_be_off_by_the_window_and_no_more() {
    let scheme = compile(&sorted());
    let signed = Sent::new("GET", "/", &[], "").signed(&scheme, "s").unwrap();
    for (skew_s, is_fine) in [(60, true), (-60, true), (61, false), (-61, false)] {
        let checked =
            signed.with(|message| scheme.read(message).unwrap().check_time(NOW_S - skew_s));
        match is_fine {
            true => assert_eq!(checked, Ok(())),
            false => assert_eq!(
                checked,
                Err(DescribedError::OutsideWindow {
                    skew_s,
                    window_s: 60
                })
            ),
        }
    }
}

#[test]
fn each_form_of_the_time_has_one_text_for_each_time() {
    let forms = [
        (TimeForm::Rfc1123, DATE, "Wed, 16 Mar 2027 10:20:28 GMT"),
        (TimeForm::Unix, "1805192428", "01805192428"),
        (TimeForm::Unix, "1805192428", "+1805192428"),
        (TimeForm::Unix, "1805192428", "1805192428.0"),
        (TimeForm::UnixMs, "1805192428500", "1805192428500 "),
        (
            TimeForm::Iso8601,
            "2027-03-16T10:20:28Z",
            "2027-03-16t10:20:28z",
        ),
        (
            TimeForm::Iso8601,
            "2027-03-16T10:20:28Z",
            "2027-03-16T10:20:28+00:00",
        ),
        (
            TimeForm::Iso8601Ms,
            "2027-03-16T10:20:28.500Z",
            "2027-03-16T10:20:28.5Z",
        ),
        (
            TimeForm::Iso8601Basic,
            "20270316T102028Z",
            "20270230T102028Z",
        ),
    ];
    for (form, right, wrong) in forms {
        assert_eq!(form.format(NOW_MS), right);
        assert_eq!(form.parse(right), Some(NOW_S));
        assert_eq!(form.parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_description_that_leaves_something_unsigned_is_refused_and_says_what() {
    let lines = |lines: &'static [&str]| refusal(|plain| plain.lines = texts(lines));
    assert!(
        lines(&["{path-and-query}", "{time}", "{body}"])
            .starts_with("lines leave the method unsigned")
    );
    assert!(
        lines(&["{method}", "{query}", "{time}", "{body}"])
            .starts_with("lines leave the path unsigned")
    );
    assert!(
        lines(&["{method}", "{path}", "{time}", "{body}"])
            .starts_with("lines leave the query unsigned")
    );
    assert!(
        lines(&["{method}", "{path-and-query}", "{body}"])
            .starts_with("lines leave the time unsigned")
    );
    assert!(
        lines(&["{method}", "{path-and-query}", "{time}"])
            .starts_with("lines leave the body unsigned")
    );
    assert!(
        lines(&["{method}", "{path:lower}", "{time}", "{body}"]).contains("letter case unsigned")
    );
    assert!(lines(&[]).contains("unsigned"));
    let unsigned_header = refusal(|plain| {
        plain.lines = texts(&["{method}", "{path-and-query}", "{time}"]);
        plain.body_digest = Some("Digest: SHA-256={sha256:base64}".to_owned());
    });
    assert!(
        unsigned_header.contains("add {header:digest} to the lines"),
        "{unsigned_header}"
    );
    for digest in ["Content-MD5: {md5:base64}", "Digest: SHA={sha1:base64}"] {
        let weak = refusal(|plain| {
            plain.lines = texts(&["{method}", "{path-and-query}", "{time}"]);
            plain.body_digest = Some(digest.to_owned());
        });
        assert!(
            weak.starts_with("body_digest is ") && weak.contains("broken"),
            "{weak}"
        );
    }
}

#[test]
fn a_body_that_is_not_bound_is_said_and_then_empty_or_unsigned() {
    let scheme = |body: &str| {
        compile(&Description {
            lines: texts(&["{method}", "{path-and-query}", "{time}"]),
            body: Some(body.to_owned()),
            ..plain()
        })
    };
    let request = Sent::new("POST", "/", &[], "");
    for (word, rule) in [("none", BodyRule::Empty), ("unsigned", BodyRule::Unsigned)] {
        let scheme = scheme(word);
        let signed = request.signed(&scheme, "s").unwrap();
        assert_eq!(
            signed.with(|message| scheme.read(message).unwrap().body().clone()),
            rule
        );
    }
    assert!(refusal(|plain| plain.body = Some("none".to_owned())).contains("leave it out"));
    let unknown = refusal(|plain| {
        plain.lines = texts(&["{method}", "{path-and-query}", "{time}"]);
        plain.body = Some("maybe".to_owned());
    });
    assert!(unknown.contains("known are: none, unsigned"));
}

#[test]
fn parts_that_could_run_into_each_other_are_refused() {
    let clash = |lines: &'static [&str], separator: &str| {
        let separator = separator.to_owned();
        refusal(|plain| {
            plain.lines = texts(lines);
            plain.separator = separator;
        })
    };
    let usual = &["{method}", "{path-and-query}", "{time}", "{body}"];
    for separator in ["", "/", ":", "&", "-", "0"] {
        let why = clash(usual, separator);
        assert!(
            why.contains("two different requests could have one text"),
            "{separator}: {why}"
        );
    }
    for separator in ["\n", "\r\n", " ", "|", "#"] {
        let fine = Description {
            separator: separator.to_owned(),
            ..plain()
        };
        assert!(DescribedScheme::compile(&fine).is_ok(), "{separator}");
    }
    for lines in [
        &["{path}{query}", "{method}", "{time}", "{body}"][..],
        &["{time}{key-id}", "{method}", "{path-and-query}", "{body}"],
        &[
            "{header:a}{header:b}",
            "{method}",
            "{path-and-query}",
            "{time}",
            "{body}",
        ],
        &["{body}", "{method}", "{path-and-query}", "{time}"],
        &[
            "{method}{header:a?}",
            "{path-and-query}",
            "{time}",
            "{body}",
        ],
        &["{time}{method}{path-and-query}{body}"],
        &["{time}{body:sha256:hex?}{method:lower}", "{path-and-query}"],
    ] {
        let why = clash(lines, "\n");
        assert!(
            why.contains("two different requests could have one text"),
            "{lines:?}: {why}"
        );
    }
}

#[test]
fn words_headers_and_numbers_are_checked() {
    for (why, change) in [
        (
            "known are: {method}",
            (|d| d.lines[0] = "{verb}".to_owned()) as fn(&mut Description),
        ),
        ("without its other half", |d| {
            d.lines[0] = "{method".to_owned()
        }),
        ("without its other half", |d| {
            d.lines[0] = "method}".to_owned()
        }),
        ("name of a header", |d| {
            d.lines[0] = "{method}{header:}".to_owned()
        }),
        ("names no hash", |d| d.lines[3] = "{body:sha256}".to_owned()),
        ("md5", |d| d.lines[3] = "{body:md5:hex}".to_owned()),
        ("known are: {key-id}", |d| {
            d.proof[0] = "X-Key: {id}".to_owned()
        }),
        ("Name: form", |d| d.proof[0] = "{key-id}".to_owned()),
        ("where {key-id} stands", |d| drop(d.proof.remove(0))),
        ("where {time} stands", |d| drop(d.proof.remove(1))),
        ("where {signature} stands", |d| drop(d.proof.remove(2))),
        ("more than once", |d| {
            d.proof.push("X-Other: {time}".to_owned())
        }),
        ("twice", |d| {
            d.proof = texts(&["X: {key-id}", "x: {time}", "Y: {signature}"])
        }),
        ("nothing to read", |d| {
            d.proof.push("X-Other: acme".to_owned())
        }),
        ("nothing between them", |d| {
            d.proof = texts(&["X: {key-id}{signature}", "Y: {time}"])
        }),
        ("carries the signature", |d| {
            d.lines.push("{header:x-signature}".to_owned())
        }),
        ("sha1, which is broken", |d| d.digest = "sha1".to_owned()),
        ("known are: sha256", |d| d.digest = "blake3".to_owned()),
        ("known are: base64", |d| d.encoding = "base32".to_owned()),
        ("known are: text", |d| d.secret = "raw".to_owned()),
        ("known are: rfc1123", |d| d.time = "rfc3339".to_owned()),
        ("is missing", |d| d.time = String::new()),
        ("1 to 900", |d| d.window_s = 901),
        ("1 to 900", |d| d.window_s = 0),
        ("small letters", |d| d.name = "Acme One".to_owned()),
    ] {
        let refused = refusal(change);
        assert!(refused.contains(why), "{refused}");
    }
    let doubled = Description {
        lines: texts(&["{{{method}}}", "{path-and-query}", "{time}", "{body}"]),
        ..plain()
    };
    let scheme = compile(&doubled);
    let text = Sent::new("GET", "/", &[], "").signed(&scheme, "s").unwrap();
    let text = text.with(|message| scheme.read(message).unwrap().text(b""));
    assert!(text.starts_with(b"{GET}\n/\n"));
}

#[test]
fn a_secret_may_stand_for_bytes() {
    let request = Sent::new("GET", "/", &[], "");
    let signature = |form: &str, secret: &str| {
        let scheme = compile(&Description {
            secret: form.to_owned(),
            ..plain()
        });
        let signed = request.signed(&scheme, secret).unwrap();
        signed.field("x-signature").to_owned()
    };
    let expected = signature("text", "any secret");
    assert_eq!(signature("base64", "YW55IHNlY3JldA=="), expected);
    assert_eq!(signature("base64", "YW55IHNlY3JldA"), expected);
    assert_eq!(signature("base64url", "YW55IHNlY3JldA"), expected);
    assert_eq!(signature("hex", "616E7920736563726574"), expected);
    assert_ne!(
        signature("base64", "any secret"),
        signature("hex", "YW55IHNlY3JldA==")
    );
}

#[test]
fn proof_headers_are_those_that_carry_more_than_the_time() {
    let scheme = compile(&configuration_store());
    assert_eq!(
        scheme.proof_headers().collect::<Vec<_>>(),
        ["authorization"]
    );
    assert_eq!(scheme.name(), "store");
}

/// The parts of a request that a description may sign, from alphabets so small that texts meet often.
fn any_request() -> impl Strategy<Value = Sent> {
    let word = |letters: &'static str| prop::string::string_regex(letters).unwrap();
    (
        prop::sample::select(vec!["A", "AA"]),
        word("/[/A]{0,1}"),
        prop::option::of(word("[?/A]{1,2}")),
        prop::option::of(word("[A;/]{1,2}")),
        word("[{A/\n]{0,2}"),
    )
        .prop_map(|(method, path, query, note, body)| {
            let note = note.map(|note| ("x-note".to_owned(), note.trim().to_owned()));
            Sent {
                method: method.to_owned(),
                authority: "a:1".to_owned(),
                path,
                query,
                fields: note.into_iter().collect(),
                body,
            }
        })
}

fn any_lines() -> impl Strategy<Value = (Vec<String>, String)> {
    let part = prop::sample::select(vec![
        "{method}",
        "{method:lower}",
        "{path}",
        "{query}",
        "{query:sorted}",
        "{path-and-query}",
        "{host}",
        "{key-id}",
        "{time}",
        "{header:x-note}",
        "{header:x-note?}",
        "{body}",
        "{body:json}",
        "{body:sha256:hex}",
        "{body:sha256:hex?}",
        "A",
        "/",
        "{{",
    ]);
    let separator = prop::sample::select(vec!["", "\n", "/", ";", "A", " "]);
    (
        prop::collection::vec(part, 0..4),
        prop::sample::select(vec![0, 1, 2, 3]),
        separator,
    )
        .prop_map(|(extra, rotate, separator)| {
            let mut lines = texts(&["{method}", "{path-and-query}", "{time}", "{body:json}"]);
            lines.rotate_left(rotate);
            for (number, part) in extra.into_iter().enumerate() {
                lines.insert((number * 2).min(lines.len()), part.to_owned());
            }
            (lines, separator.to_owned())
        })
}

fn text_of(scheme: &DescribedScheme, sent: &Sent) -> Option<Vec<u8>> {
    let signed = sent.signed(scheme, "s").ok()?;
    signed.with(|message| Some(scheme.read(message).ok()?.text(signed.body.as_bytes())))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_two_requests_have_one_text(
        (lines, separator) in any_lines(), requests in prop::collection::vec(any_request(), 40),
    ) {
        let signs_note = lines.iter().any(|line| line.contains("x-note"));
        let description = Description { lines: lines.clone(), separator: separator.clone(), ..plain() };
        let Ok(scheme) = DescribedScheme::compile(&description) else {
            return Ok(());
        };
        let mut by_text: HashMap<Vec<u8>, Sent> = HashMap::new();
        for mut sent in requests {
            let Some(text) = text_of(&scheme, &sent) else {
                continue;
            };
            if !signs_note {
                sent.fields.clear();
            }
            let first = by_text.entry(text).or_insert_with(|| sent.clone());
            prop_assert_eq!(&*first, &sent, "{:?} joined by {:?}", lines, separator);
        }
    }
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_what_is_flipped_does_not(
        sent in any_request(), secret in "[ -~é]{0,80}", at in 0_usize..44,
    ) {
        let scheme = compile(&plain());
        let Ok(mut signed) = sent.signed(&scheme, &secret) else {
            return Ok(());
        };
        prop_assert_eq!(signed.verdict(&scheme, &secret), Ok(true));
        let mut signature = signed.field("x-signature").to_owned();
        let flipped = if signature.as_bytes()[at] == b'A' { "B" } else { "A" };
        signature.replace_range(at..=at, flipped);
        signed.set("x-signature", &signature);
        prop_assert_eq!(signed.verdict(&scheme, &secret), Ok(false));
    }

    #[test]
    fn no_description_makes_the_compiler_panic(
        lines in prop::collection::vec("[-{}:?a-z/ \n]{0,20}", 0..5), proof in prop::collection::vec("[-{}:a-z; ]{0,20}", 0..4),
        words in prop::array::uniform6("[-:{}a-z0-9]{0,8}"), window_s in any::<i64>(),
    ) {
        let [name, separator, digest, encoding, body_digest, body] = words;
        let description = Description {
            name, proof, lines, separator, digest, encoding, window_s,
            body_digest: Some(body_digest), body: Some(body), ..plain()
        };
        let _ = DescribedScheme::compile(&description);
        let _ = DescribedScheme::compile(&Description { proof: description.proof, ..plain() });
        let _ = DescribedScheme::compile(&Description { lines: description.lines, ..plain() });
    }

    #[test]
    fn no_request_makes_the_verifier_panic(
        text in r#"[-_.:=/;, A-Za-z0-9é"&?%{}]{0,100}"#, bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        for description in [plain(), configuration_store(), exchange(), draft(), sorted()] {
            let scheme = compile(&description);
            let names: Vec<&str> = scheme.proof_headers().chain(["date", "x-time", "x-ms-date", "digest"]).collect();
            for value in [text.as_bytes(), &bytes] {
                let fields: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, value)).collect();
                let message = Message {
                    method: &text, scheme: "https", authority: &text, path: &text,
                    query: Some(&text), fields: &fields,
                };
                if let Ok(request) = scheme.read(&message) {
                    let _ = request.verify(&bytes, &bytes);
                }
            }
        }
    }
}
