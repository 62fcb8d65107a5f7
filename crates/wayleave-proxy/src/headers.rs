//! What goes upstream and what does not.

use http::header::{
    AUTHORIZATION, CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use wayleave_core::Scheme;
use wayleave_engine::Admitted;

use crate::Inbound;

/// Headers of one connection, not of the request (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Headers that end here: the proof, which the API behind has no use for, and what we say ourselves.
const OURS: [HeaderName; 8] = [
    AUTHORIZATION,
    HeaderName::from_static("authentication"),
    HeaderName::from_static("authenticate"),
    EXPECT,
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
];

/// The proof by a signature over the message (RFC 9421). Where another scheme proved the request,
/// a header of such a name is between the client and the API behind.
const MESSAGE_SIGNATURE: [HeaderName; 2] = [
    HeaderName::from_static("signature"),
    HeaderName::from_static("signature-input"),
];

/// Whether a name, with `_` read as `-`, is one that only we may send.
fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Names are in small letters already.
    name.contains("wayleave") && {
        let name = name.replace('_', "-");
        name.starts_with("wayleave-") || name.starts_with("x-wayleave-")
    }
}

/// Whether a name, with `_` read as `-`, is one of those that end here: an API behind that reads
/// headers through CGI cannot tell the two apart.
fn is_disguised(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains('_') && {
        let plain = name.replace('_', "-");
        OURS.iter()
            .chain(&HOP_BY_HOP)
            .any(|name| name.as_str() == plain)
    }
}

/// Removes the headers of the connection and those that `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Makes the headers of a request ready for the API behind.
pub(crate) fn prepare(
    headers: &mut HeaderMap,
    admitted: &Admitted,
    inbound: &Inbound<'_>,
    host: &str,
) {
    let removed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_reserved(name) || is_disguised(name))
        .cloned()
        .collect();
    // What Connection names is removed first, so that it cannot remove what we add.
    remove_hop_by_hop(headers);
    for name in removed.iter().chain(&OURS) {
        headers.remove(name);
    }
    if admitted.caller().scheme() == Scheme::HttpSignature {
        MESSAGE_SIGNATURE.iter().for_each(|name| {
            headers.remove(name);
        });
    }
    for (name, value) in admitted.caller().identity() {
        set(headers, HeaderName::from_static(name), &value);
    }
    set(
        headers,
        HeaderName::from_static("wayleave-request-id"),
        inbound.request_id,
    );
    set(
        headers,
        HeaderName::from_static("x-forwarded-for"),
        &inbound.source.to_string(),
    );
    set(
        headers,
        HeaderName::from_static("x-forwarded-proto"),
        inbound.scheme,
    );
    set(
        headers,
        HeaderName::from_static("x-forwarded-host"),
        inbound.host,
    );
    set(headers, HOST, host);
}

/// Our own values are plain ASCII; one that is not cannot be sent and is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
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
        ] {
            assert!(is_reserved(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["x-partner", "my-wayleave-thing", "wayleaves"] {
            assert!(!is_reserved(&HeaderName::from_static(name)), "{name}");
        }
        assert!(is_disguised(&HeaderName::from_static("x_forwarded_for")));
        assert!(!is_disguised(&HeaderName::from_static("x_other")));
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
}
