//! What goes upstream and what does not, and the same of answers.

use std::fmt::Write as _;
use std::ops::Range;

use http::Version;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use hyper::body::Bytes;
use wayleave_core::Scheme;
use wayleave_engine::Admitted;

use crate::Inbound;
use crate::behind::{ForwardSettings, Server};

/// Headers of one connection, not of the message (RFC 9110 section 7.6.1). `Trailer` is not one of
/// them (section 6.6.2).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The same as text, for the one look at each header of a message.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether a header of a request ends here: the proof, which the API behind has no use for, what we
/// say ourselves, and what names another path than the one that was admitted.
fn ends_here(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "authentication"
            | "authenticate"
            | "expect"
            | "forwarded"
            | "host"
            | "x-real-ip"
            | "x-original-url"
            | "x-rewrite-url"
    ) || name.starts_with("wayleave-")
        || name.starts_with("x-wayleave-")
        || name.starts_with("x-forwarded-")
}

/// Whether a header of a request, with `_` read as `-`, may not reach the API behind: one that reads
/// headers through CGI cannot tell the two apart. Names are in small letters already.
pub(crate) fn is_kept_back(name: &str) -> bool {
    if name.contains('_') {
        let plain = name.replace('_', "-");
        is_hop_by_hop(&plain) || ends_here(&plain)
    } else {
        is_hop_by_hop(name) || ends_here(name)
    }
}

/// Whether a header is the proof by a signature over the message (RFC 9421). Where another scheme
/// proved the request, one of such a name is between the client and the API behind.
fn is_message_signature(name: &str) -> bool {
    matches!(name, "signature" | "signature-input")
}

/// Whether a header is not for an operator's rules: what Wayleave says, what belongs to a connection,
/// and what the length of a body is read from.
pub fn is_ours(name: &HeaderName) -> bool {
    let plain = name.as_str().replace('_', "-");
    is_kept_back(&plain)
        || matches!(
            plain.as_str(),
            "content-length" | "trailer" | "request-id" | "via"
        )
}

/// The names in `Connection`, but for the usual ones that are no names of other headers.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| {
            !name.eq_ignore_ascii_case("close") && !name.eq_ignore_ascii_case("keep-alive")
        });
    names.filter_map(|name| name.parse().ok()).collect()
}

/// Removes the headers of the connection and those that `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| is_hop_by_hop(name.as_str())) {
        return;
    }
    for name in &named_by_connection(headers) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The trailers of a request without those that only we may send.
pub(crate) fn trailers_of_request(mut trailers: HeaderMap) -> HeaderMap {
    let removed: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| is_kept_back(name.as_str()))
        .cloned()
        .collect();
    for name in removed {
        trailers.remove(name);
    }
    trailers
}

/// The headers with which a request goes to a server.
pub(crate) fn of_request(
    received: &Parts,
    admitted: &Admitted,
    inbound: &Inbound<'_>,
    settings: &ForwardSettings,
    server: &Server,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(received.headers.len() + 14);
    let named = named_by_connection(&received.headers);
    let proves = admitted.caller().scheme() == Scheme::HttpSignature;
    let described = admitted.caller().described();
    for (name, value) in &received.headers {
        // What Connection names is left out here, so that it cannot remove what we add.
        let ends_here = is_kept_back(name.as_str())
            || named.contains(name)
            || proves && is_message_signature(name.as_str())
            || described.is_some_and(|scheme| scheme.proof_headers().any(|own| name == own));
        if !ends_here {
            headers.append(name.clone(), value.clone());
        }
    }
    if received.version == Version::HTTP_2 {
        join_cookies(&mut headers);
    }
    announce_trailers(&mut headers);
    if takes_trailers(&received.headers) {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    settings.request_headers.apply(&mut headers);
    let via = match received.version {
        Version::HTTP_2 => "2 wayleave",
        Version::HTTP_10 => "1.0 wayleave",
        _ => "1.1 wayleave",
    };
    headers.append(VIA, HeaderValue::from_static(via));
    Ours::of(admitted, inbound).add_to(&mut headers);
    let as_asked = settings
        .preserve_host
        .then(|| HeaderValue::from_str(inbound.host).ok());
    let host = as_asked.flatten().filter(|host| !host.is_empty());
    headers.insert(HOST, host.unwrap_or_else(|| server.host.clone()));
    headers
}

/// Announces only those trailers of a request that will come ([`trailers_of_request`]).
fn announce_trailers(headers: &mut HeaderMap) {
    if !headers.contains_key(TRAILER) {
        return;
    }
    let values = headers.get_all(TRAILER).iter();
    let names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .filter(|name| !is_kept_back(name.as_str()));
    let announced = names
        .map(|name| name.as_str().to_owned())
        .collect::<Vec<_>>();
    headers.remove(TRAILER);
    if let Ok(value) = HeaderValue::from_str(&announced.join(", "))
        && !announced.is_empty()
    {
        headers.insert(TRAILER, value);
    }
}

/// HTTP/2 lets a client split its cookies; over HTTP/1.1 there is one header (RFC 9113 section
/// 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else {
        return;
    };
    let mut joined = [first.as_bytes(), second.as_bytes()].join(&b"; "[..]);
    for cookie in cookies {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

/// Whether whoever sent these headers takes trailers.
fn takes_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// What we say of a request. The values lie behind each other in one piece of memory.
struct Ours {
    text: String,
    values: Vec<(&'static str, Range<usize>)>,
}

impl Ours {
    fn of(admitted: &Admitted, inbound: &Inbound<'_>) -> Self {
        let mut ours = Ours {
            text: String::with_capacity(320),
            values: Vec::with_capacity(11),
        };
        for (name, value) in admitted.caller().identity() {
            ours.add(name, |text| text.push_str(&value));
        }
        ours.add("wayleave-request-id", |text| {
            text.push_str(inbound.request_id);
        });
        ours.add("x-forwarded-for", |text| {
            let _ = write!(text, "{}", inbound.source);
        });
        ours.add("x-forwarded-proto", |text| text.push_str(inbound.scheme));
        ours.add("x-forwarded-host", |text| text.push_str(inbound.host));
        ours
    }

    fn add(&mut self, name: &'static str, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        self.values.push((name, start..self.text.len()));
    }

    /// They are plain ASCII; what is not cannot be sent and is left out.
    fn add_to(self, headers: &mut HeaderMap) {
        let text = Bytes::from(self.text);
        for (name, range) in self.values {
            if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(range)) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// Why the length of a body cannot be known, where it is there in two ways.
pub(crate) fn length_fault(headers: &HeaderMap) -> Option<&'static str> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Some("it has a transfer coding other than chunked");
        }
        if headers.contains_key(CONTENT_LENGTH) {
            return Some("it has both a length and a transfer coding");
        }
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next().map(HeaderValue::as_bytes);
    let is_number = |length: &[u8]| length.iter().all(u8::is_ascii_digit);
    (lengths.next().is_some() || !length.is_none_or(is_number))
        .then_some("its length is there more than once, or is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_only_we_may_send_are_known_in_every_spelling() {
        for name in [
            "wayleave-partner",
            "x-wayleave-partner",
            "wayleave_partner",
            "x_wayleave_partner",
            "x-wayleave_x",
            "x_forwarded_for",
            "x-forwarded-port",
            "x_original-url",
            "transfer_encoding",
            "authorization",
        ] {
            assert!(is_kept_back(name), "{name}");
        }
        for name in [
            "x-partner",
            "my-wayleave-thing",
            "wayleaves",
            "x_other",
            "trailer",
            "cookie",
        ] {
            assert!(!is_kept_back(name), "{name}");
        }
    }

    #[test]
    fn what_connection_names_goes_with_it() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("close, X-Secret"));
        headers.insert("x-secret", HeaderValue::from_static("1"));
        headers.insert("x-kept", HeaderValue::from_static("1"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        remove_hop_by_hop(&mut headers);
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["x-kept"]
        );
    }

    #[test]
    fn both_lists_of_the_headers_of_a_connection_are_one() {
        assert!(
            HOP_BY_HOP
                .iter()
                .all(|name| is_hop_by_hop(name.as_str()) && is_kept_back(name.as_str()))
        );
    }

    #[test]
    fn only_trailers_that_will_come_are_announced() {
        let announced = |given: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(TRAILER, HeaderValue::from_static(given));
            announce_trailers(&mut headers);
            let value = headers.get(TRAILER);
            value.map(|value| value.to_str().expect("text").to_owned())
        };
        let kept = announced("X-Sum, wayleave_partner,X-Other, Te");
        assert_eq!(kept.as_deref(), Some("x-sum, x-other"));
        assert_eq!(announced("Wayleave-Partner"), None);
    }

    #[test]
    fn split_cookies_become_one_header() {
        let mut headers = HeaderMap::new();
        for cookie in ["a=1", "b=2", "c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(cookie));
        }
        join_cookies(&mut headers);
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn a_length_that_two_programs_read_in_two_ways_is_seen() {
        let fault = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            length_fault(&headers)
        };
        let (te, cl) = ("transfer-encoding", "content-length");
        assert_eq!(fault(&[]), None);
        assert_eq!(fault(&[(cl, "5")]), None);
        assert_eq!(fault(&[(te, "Chunked")]), None);
        for bad in [
            &[(te, "chunked"), (cl, "5")][..],
            &[(te, "gzip")],
            &[(te, "gzip, chunked")],
            &[(te, "chunked"), (te, "chunked")],
            &[(cl, "5"), (cl, "5")],
            &[(cl, "5, 5")],
            &[(cl, "+5")],
        ] {
            assert!(fault(bad).is_some(), "{bad:?}");
        }
    }
}
