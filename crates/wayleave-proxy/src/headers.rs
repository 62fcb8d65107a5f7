//! What goes upstream and what does not, and the same of answers.

use http::header::{
    CONNECTION, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

use crate::request_head::write_line;

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
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
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
pub(crate) fn is_message_signature(name: &str) -> bool {
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
pub(crate) fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
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

/// The trailers that a request announces, without those that only we may send.
pub(crate) fn announced_trailers(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(TRAILER).iter();
    let names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok());
    names.filter(|name| !is_kept_back(name.as_str())).collect()
}

/// Whether a header means something else behind a body than before it (RFC 9110 section 6.5.1).
fn is_never_trailer(name: &str) -> bool {
    matches!(
        name,
        "cache-control"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "max-forwards"
            | "set-cookie"
            | "trailer"
    )
}

/// Writes the trailers of a request that were announced.
pub(crate) fn write_trailers(text: &mut Vec<u8>, trailers: &HeaderMap, announced: &[HeaderName]) {
    for (name, value) in trailers {
        let plain = name.as_str();
        if announced.contains(name) && !is_kept_back(plain) && !is_never_trailer(plain) {
            write_line(text, plain, value.as_bytes());
        }
    }
}

/// Whether whoever sent these headers takes trailers.
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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
    fn only_trailers_that_were_announced_and_may_come_do() {
        let mut headers = HeaderMap::new();
        let given = "X-Sum, wayleave_partner,X-Other, Te, Content-Length";
        headers.insert(TRAILER, HeaderValue::from_static(given));
        let announced = announced_trailers(&headers);
        assert_eq!(announced, ["x-sum", "x-other", "content-length"]);
        let mut trailers = HeaderMap::new();
        for name in [
            "x-sum",
            "x-sum",
            "x-silent",
            "content-length",
            "wayleave-partner",
        ] {
            trailers.append(name, HeaderValue::from_static("7"));
        }
        let mut text = Vec::new();
        write_trailers(&mut text, &trailers, &announced);
        assert_eq!(text, b"x-sum: 7\r\nx-sum: 7\r\n");
    }
}
