//! What is looked at in every request before anything else, in HTTP/1 and HTTP/2 alike: whether
//! somebody else could take it for another request (RFC 9110 section 7, RFC 9113 section 8).

use http::header::{CONNECTION, COOKIE, HOST, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Version};
use wayleave_protocol::http_framing::{is_framing, is_name_letter};
use wayleave_web::{Dialect, Fault};

/// The methods of HTTP that we know to be of no use here: TRACE repeats proofs, CONNECT is no
/// request for an API.
const REFUSED: [Method; 2] = [Method::TRACE, Method::CONNECT];
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Headers that say what a request is or who sends it: `Connection` may not have them removed on
/// the way. Those that only we may send are removed in any case, and then set.
const KEPT: [&str; 11] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-digest",
    "authorization",
    "authentication",
    "timestamp",
    "cookie",
    "signature",
    "signature-input",
];

/// Checks a request, and makes one of HTTP/2 such as HTTP/1 would have it. `headers`: how many
/// there may be.
pub(super) fn scrutinise(parts: &mut Parts, headers: usize) -> Result<(), Fault> {
    if REFUSED.contains(&parts.method) {
        return Err(Fault::Method { allow: ALLOWED });
    }
    let two_ways = |why: &str| Err(Fault::BadRequest(format!("the request {why}")));
    let path = parts.uri.path();
    if path == "*" && parts.method != Method::OPTIONS || path != "*" && !path.starts_with('/') {
        return two_ways("has no path");
    }
    if let Some(scheme) = parts.uri.scheme_str()
        && !matches!(scheme, "http" | "https")
    {
        return two_ways("is for another scheme than http and https");
    }
    if let Err(why) = check_host(parts) {
        return two_ways(why);
    }
    if removes_what_is_kept(&parts.headers) {
        return two_ways("has a Connection header that would change it on its way");
    }
    if parts.version == Version::HTTP_2 {
        if parts.headers.len() > headers {
            return Err(Fault::BadRequest(
                "the request has too many headers".to_owned(),
            ));
        }
        if !parts
            .headers
            .keys()
            .all(|name| is_plain_name(name.as_str()))
        {
            return two_ways("has a header with an odd name");
        }
        // HTTP/1 has no such values: there blanks around one are not part of it.
        if parts
            .headers
            .values()
            .any(|value| is_padded(value.as_bytes()))
        {
            return two_ways("has a header value that begins or ends with a blank");
        }
        join_cookies(&mut parts.headers);
    }
    Ok(())
}

/// One host that can be read, and the same wherever it stands.
fn check_host(parts: &Parts) -> Result<(), &'static str> {
    let mut given = parts.headers.get_all(HOST).iter();
    let host = given.next();
    if given.next().is_some() {
        return Err("has more than one Host");
    }
    let target = parts.uri.authority();
    if target.is_some_and(|target| target.as_str().contains('@')) {
        return Err("has a user in its address");
    }
    match (host, target) {
        (None, None) if parts.version == Version::HTTP_10 => Ok(()),
        (None, None) => Err("has no Host"),
        (None, Some(_)) if parts.version == Version::HTTP_11 => Err("has no Host"),
        (None, Some(_)) => Ok(()),
        (Some(host), _) if !is_host(host.as_bytes()) => Err("has a Host that is none"),
        (Some(_), None) => Ok(()),
        // Clients of the content addresses ask through other hosts (RFC 9112 section 3.2.2: the
        // target counts), and the Host is not passed on.
        (Some(host), Some(target)) => {
            let is_same = host
                .as_bytes()
                .eq_ignore_ascii_case(target.as_str().as_bytes());
            if is_same || Dialect::of_path(parts.uri.path()) == Dialect::Content {
                Ok(())
            } else {
                Err("is for one host by its target and for another by its Host")
            }
        }
    }
}

/// Whether a text is a host with or without a port, and nothing else.
fn is_host(host: &[u8]) -> bool {
    let is_letter = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']')
    };
    let port = host.rsplit(|byte| matches!(byte, b':' | b']')).next();
    let is_port = host.starts_with(b"[") && host.ends_with(b"]")
        || !host.contains(&b':')
        || port.is_some_and(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit));
    !host.is_empty() && host.iter().all(is_letter) && is_port && Authority::try_from(host).is_ok()
}

/// Whether a `Connection` header names headers that belong to the request.
fn removes_what_is_kept(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONNECTION).iter();
    values.any(|value| {
        let names = value.as_bytes().split(|byte| *byte == b',');
        names.map(<[u8]>::trim_ascii).any(|name| {
            let is = |kept: &&str| name.eq_ignore_ascii_case(kept.as_bytes());
            KEPT.iter().any(is) || is_framing(name)
        })
    })
}

/// Whether a value begins or ends with a blank (RFC 9113 section 8.2.1).
fn is_padded(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
}

fn is_plain_name(name: &str) -> bool {
    let name = name.as_bytes();
    name.iter().copied().all(is_name_letter) && (!is_framing(name) || name == b"content-length")
}

/// HTTP/2 may send a cookie in pieces; HTTP/1 has one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let pieces: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn is_good(method: &str, target: &str, headers: &[(&str, &str)]) -> bool {
        scrutinise(&mut parts(method, target, headers), 100).is_ok()
    }

    #[test]
    fn a_request_has_one_host_that_is_the_same_everywhere() {
        for host in [
            "a",
            "a.example:80",
            "127.0.0.1:8080",
            "[::1]:80",
            "[2001:db8::1]",
            "a_b",
        ] {
            assert!(is_good("GET", "/", &[("host", host)]), "{host}");
        }
        for host in [
            "", "a,b", "a b", "a/b", "u@a", "a:x", "[::1", "a#b", "a?b", "\u{e4}",
        ] {
            assert!(!is_good("GET", "/", &[("host", host)]), "{host}");
        }
        assert!(!is_good("GET", "/", &[]));
        assert!(!is_good("GET", "/", &[("host", "a"), ("host", "a")]));
        assert!(is_good("GET", "http://a/", &[("host", "A")]));
        assert!(!is_good("GET", "http://a/", &[("host", "b")]));
        assert!(!is_good("GET", "http://a/", &[]));
        assert!(!is_good("GET", "http://u@a/", &[("host", "u@a")]));
        assert!(!is_good("GET", "ftp://a/", &[("host", "a")]));
        let mut old = parts("GET", "/", &[]);
        old.version = Version::HTTP_10;
        assert!(scrutinise(&mut old, 100).is_ok());
        let mut new = parts("GET", "http://a/", &[]);
        new.version = Version::HTTP_2;
        assert!(scrutinise(&mut new, 100).is_ok());
    }

    #[test]
    fn a_request_has_a_path_and_a_method_for_apis() {
        let host = [("host", "a")];
        assert!(!is_good("TRACE", "/", &host) && !is_good("CONNECT", "a:80", &host));
        assert!(!is_good("GET", "*", &host) && is_good("OPTIONS", "*", &host));
        assert!(!is_good("GET", "a:80", &host));
    }

    #[test]
    fn connection_removes_nothing_that_belongs_to_the_request() {
        let good = |value| is_good("GET", "/", &[("host", "a"), ("connection", value)]);
        for value in [
            "close",
            "keep-alive, Upgrade",
            "TE",
            "x-own",
            "Wayleave-Partner",
        ] {
            assert!(good(value), "{value}");
        }
        for value in [
            "close, content-length",
            "Transfer-Encoding",
            "host",
            "Authorization",
            "x,cookie",
        ] {
            assert!(!good(value), "{value}");
        }
    }

    #[test]
    fn cookies_of_http2_are_joined_and_odd_names_refused() {
        let with = |headers: &[(&str, &str)], most| {
            let mut parts = parts("GET", "http://a/", headers);
            parts.version = Version::HTTP_2;
            let checked = scrutinise(&mut parts, most);
            checked.map(|()| parts.headers)
        };
        let headers = with(&[("cookie", "a=1"), ("cookie", "b=2")], 100).expect("good");
        assert_eq!(headers.get_all(COOKIE).iter().count(), 1);
        assert_eq!(headers[COOKIE], "a=1; b=2");
        for name in ["wayleave!partner", "content_length", "transfer.encoding"] {
            assert!(with(&[(name, "1")], 100).is_err(), "{name}");
        }
        assert!(with(&[("a", "1"), ("b", "1")], 1).is_err());
        assert!(with(&[("a", "1"), ("b", "1")], 2).is_ok());
    }
}
