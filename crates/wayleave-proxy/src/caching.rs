//! What caches on the way to the client are told of an answer that was made for one proven caller.

use http::Method;
use http::header::{CACHE_CONTROL, EXPIRES, HeaderMap, HeaderValue, VARY};
use wayleave_core::Scheme;
use wayleave_engine::Caller;

const PRIVATE: HeaderValue = HeaderValue::from_static("private");

/// Says of an answer whom it is for. Unless it says itself that caches may share it, it is `private`:
/// they know no proof but `Authorization` (RFC 9111 section 3.5), and many not even that. `Vary` names
/// the headers that carried the proof (RFC 9110 section 12.5.5), so that a cache that keeps it all the
/// same, told by whatever header or setting, gives it to nobody who shows another proof or none.
pub(crate) fn keep_apart(headers: &mut HeaderMap, method: &Method, caller: &Caller) {
    let says_something = headers.contains_key(CACHE_CONTROL) || headers.contains_key(EXPIRES);
    // Nobody keeps the answer to another method unless it is told to (RFC 9110 section 9.2.3).
    if !says_something && !matches!(*method, Method::GET | Method::HEAD) {
        return;
    }
    if !says_who_may_keep_it(headers) {
        headers.append(CACHE_CONTROL, PRIVATE);
    }
    vary_by(headers, proof_headers(caller));
}

/// Whether `Cache-Control` opens an answer to shared caches or closes it to them. What names headers,
/// as in `private="set-cookie"`, does not close the rest of it (RFC 9111 section 5.2.2.7).
fn says_who_may_keep_it(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.split_once('=').unwrap_or((directive, "")))
        .any(|(name, argument)| {
            let is = |known: &str| name.trim().eq_ignore_ascii_case(known);
            is("public") || is("s-maxage") || is("no-store") || is("private") && argument.is_empty()
        })
}

/// The headers that a caller's proof may have come in.
fn proof_headers(caller: &Caller) -> HeaderValue {
    let names = match caller.scheme() {
        Scheme::Bearer | Scheme::Token | Scheme::Sigv4 => "Authorization",
        Scheme::Signed => "Authentication, Authenticate",
        Scheme::HttpSignature => "Signature-Input, Signature",
        Scheme::Described => return described_headers(caller),
    };
    HeaderValue::from_static(names)
}

fn described_headers(caller: &Caller) -> HeaderValue {
    let names = caller.described().map(|scheme| {
        let names: Vec<&str> = scheme.proof_headers().collect();
        HeaderValue::try_from(names.join(", "))
    });
    // Names of headers are always a value; by anything is the safe reading of none.
    names
        .and_then(Result::ok)
        .unwrap_or(HeaderValue::from_static("*"))
}

/// Adds names to `Vary`. All are in one line: nginx before 1.23 knows only the last one.
fn vary_by(headers: &mut HeaderMap, names: HeaderValue) {
    if !headers.contains_key(VARY) {
        headers.insert(VARY, names);
        return;
    }
    let lines = headers.get_all(VARY);
    if lines.iter().any(|line| line.as_bytes().contains(&b'*')) {
        return;
    }
    let mut joined = Vec::new();
    for line in lines.iter().chain([&names]) {
        if !joined.is_empty() {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(line.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(VARY, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_opens_or_closes_an_answer_is_seen() {
        for said in [
            "public",
            "Public, max-age=60",
            "max-age=60, s-maxage=5",
            "s-maxage=5",
            "private",
            "max-age=0,PRIVATE",
            "no-store",
        ] {
            assert!(
                says_who_may_keep_it(&headers(&[("cache-control", said)])),
                "{said}"
            );
        }
        for said in [
            "",
            "max-age=60",
            "no-cache",
            "must-revalidate, max-age=60",
            "private=\"set-cookie\"",
            "publicly",
            "immutable",
        ] {
            assert!(
                !says_who_may_keep_it(&headers(&[("cache-control", said)])),
                "{said}"
            );
        }
        assert!(!says_who_may_keep_it(&HeaderMap::new()));
        let lines = [("cache-control", "max-age=5"), ("cache-control", "public")];
        assert!(says_who_may_keep_it(&headers(&lines)));
    }

    #[test]
    fn what_an_answer_varies_by_is_one_line() {
        let varied = |given: &[&'static str]| {
            let given: Vec<_> = given.iter().map(|value| ("vary", *value)).collect();
            let mut headers = headers(&given);
            vary_by(&mut headers, HeaderValue::from_static("Authorization"));
            let lines: Vec<_> = headers.get_all(VARY).iter().cloned().collect();
            assert_eq!(lines.len(), 1, "{lines:?}");
            lines[0].to_str().expect("text").to_owned()
        };
        assert_eq!(varied(&[]), "Authorization");
        assert_eq!(varied(&["Accept"]), "Accept, Authorization");
        assert_eq!(
            varied(&["Accept", "Origin"]),
            "Accept, Origin, Authorization"
        );
        // By everything already, and nginx knows it only when it is alone.
        assert_eq!(varied(&["*"]), "*");
    }
}
