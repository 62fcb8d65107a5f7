//! The question of another proxy: may this request pass? The request is described in headers, its
//! proof headers are its own.

use std::sync::LazyLock;

use bytes::BufMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use wayleave_engine::{Admitted, BodyClaim, IDENTITY};
use wayleave_protocol::http_framing::is_name_letter;

use crate::answer::{self, Answer};
use crate::fault::Fault;
use crate::header_value::header_value;
use crate::own_body::OwnBody;
use crate::request::{Found, find};

/// What describes a request: two pairs of method and address, and the host of the first.
const DESCRIPTION: [&str; 5] = [
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-forwarded-host",
    "x-original-method",
    "x-original-uri",
];
const BODY: HeaderName = HeaderName::from_static("wayleave-body");
const DENY_STATUS: HeaderName = HeaderName::from_static("x-deny-status");
const DENY_BODY: HeaderName = HeaderName::from_static("x-deny-body");

/// The longest body that goes along in a header, in bytes: twice as much as any refusal says in
/// live, and with the other headers less than the 16 KiB that our nginx configuration reads.
const DENY_BODY_LIMIT_BYTES: usize = 8 * 1024;

/// How a refusal is put to the proxy that asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusals {
    /// As the client is to see it.
    Plain,
    /// Always 403, for nginx, which makes 500 of everything but 401 and 403.
    As403,
}

/// The request that a proxy asks about.
pub(crate) struct Described<'h> {
    /// Its method.
    pub(crate) method: &'h str,
    /// Its path, as received by the proxy.
    pub(crate) path: &'h str,
    /// Its query.
    pub(crate) query: Option<&'h str>,
    /// The host that it is for, with its port where it has one; `None`: that of the question.
    pub(crate) host: Option<&'h str>,
}

/// Reads `X-Forwarded-Method` and `X-Forwarded-Uri` with `X-Forwarded-Host` (Caddy, Traefik), or
/// `X-Original-Method` and `X-Original-URI` (nginx, HAProxy), which go with the `Host` of the
/// question: beside them an `X-Forwarded-Host` is the client's own and is not looked at.
///
/// Errors: a header missing or twice, or both pairs: one of them would be the client's own, and it
/// must not be able to describe another request than it made.
pub(crate) fn described<'h>(
    method: &Method,
    headers: &'h HeaderMap,
) -> Result<Described<'h>, Fault> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Fault::Method { allow: "GET, HEAD" });
    }
    let [
        forwarded_method,
        forwarded_uri,
        forwarded_host,
        original_method,
        original_uri,
    ] = find(headers, DESCRIPTION);
    let forwarded = pair(forwarded_method, forwarded_uri)?;
    let original = pair(original_method, original_uri)?;
    let ((method, uri), host) = match (forwarded, original) {
        (Some(pair), None) => (pair, text(forwarded_host)?),
        (None, Some(pair)) => (pair, None),
        (Some(_), Some(_)) => {
            return Err(bad(
                "the request is described twice: let the proxy remove one of X-Forwarded-Uri and X-Original-URI",
            ));
        }
        (None, None) => {
            return Err(bad(
                "describe the request in X-Forwarded-Method and X-Forwarded-Uri, or in X-Original-Method and X-Original-URI",
            ));
        }
    };
    let (path, query) = match uri.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (uri, None),
    };
    // The same grammar that a request line goes through.
    if !path.starts_with('/')
        || !is_plain(uri) && uri.parse::<Uri>().is_err()
        || Method::from_bytes(method.as_bytes()).is_err()
    {
        return Err(bad("the described method or address is not one"));
    }
    Ok(Described {
        method,
        path,
        query,
        host,
    })
}

/// Whether an address has only letters that nothing has to be known of, as nearly all have.
fn is_plain(uri: &str) -> bool {
    let is_common = |letter| matches!(letter, b'/' | b'.' | b'?' | b'=' | b'&' | b'%');
    uri.bytes()
        .all(|letter| is_name_letter(letter) || is_common(letter))
}

fn bad(why: &str) -> Fault {
    Fault::BadRequest(why.to_owned())
}

fn pair<'h>(method: Found<'h>, uri: Found<'h>) -> Result<Option<(&'h str, &'h str)>, Fault> {
    match (text(method)?, text(uri)?) {
        (Some(method), Some(uri)) => Ok(Some((method, uri))),
        (None, None) => Ok(None),
        _ => Err(bad("the description lacks its method or its address")),
    }
}

fn text(found: Found<'_>) -> Result<Option<&str>, Fault> {
    if found.count > 1 {
        return Err(bad("a header of the description came more than once"));
    }
    let text = found.value.map(std::str::from_utf8).transpose();
    text.map_err(|_| bad("the description is not text"))
}

/// Whether the request that a proxy asks about has a body: `X-Original-Body` says so, if it is
/// neither empty nor 0, since a question has none of its own. Proxies may leave out the headers that
/// say so; then a method that usually brings one counts as if it did. No header says that there is
/// none where another says that there is one.
pub(crate) fn has_body(method: &str, headers: &HeaderMap) -> bool {
    let mut length = None;
    for (name, value) in headers {
        let value = value.as_bytes();
        match name.as_str() {
            "x-original-body" if !matches!(value, b"" | b"0") => return true,
            "transfer-encoding" => return true,
            "content-length" => length = length.or(Some(value)),
            _ => {}
        }
    }
    match length {
        Some(length) => length != b"0",
        None => matches!(method, "POST" | "PUT" | "PATCH"),
    }
}

/// An answer for a request that may pass, without the values of the identity: copying it costs less
/// than putting in each header.
static PASSES: LazyLock<Response<()>> = LazyLock::new(|| {
    let mut answer = answer::empty(StatusCode::NO_CONTENT);
    for name in IDENTITY {
        let value = HeaderValue::from_static("");
        answer.headers_mut().append(name, value);
    }
    answer.map(drop)
});

/// The answer for a request that may pass: who its caller is, for the proxy to copy. Where a digest
/// of the body was signed, `Wayleave-Body: check-digest` says that somebody who sees the body still
/// has to compare it with `Content-Digest`.
pub(crate) fn passes(admitted: &Admitted, claim: &BodyClaim) -> Answer {
    let mut answer = PASSES.clone().map(|()| OwnBody::default());
    let headers = answer.headers_mut();
    let of_identity = headers.len() - IDENTITY.len();
    let mut identity = admitted.caller().identity();
    for (slot, (_, value)) in headers
        .values_mut()
        .skip(of_identity)
        .zip(identity.by_ref())
    {
        if let Some(value) = header_value(|text| text.put_slice(value.as_bytes())) {
            *slot = value;
        }
    }
    for (name, value) in identity {
        answer::set(&mut answer, HeaderName::from_static(name), &value);
    }
    if claim.is_open() {
        let value = HeaderValue::from_static("check-digest");
        answer.headers_mut().insert(BODY, value);
    }
    answer
}

/// A refusal as a 403 that says in headers what it would have been: `X-Deny-Status`, and in
/// `X-Deny-Body` its body, where that fits. All its other headers stay. A pass stays as it is.
pub(crate) async fn as_403(answer: Answer) -> Answer {
    let status = answer.status();
    if status.is_success() {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let body = body.collect().await;
    // No refusal is in pieces, so none breaks off.
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    if body.len() <= DENY_BODY_LIMIT_BYTES
        && let Ok(value) = HeaderValue::from_bytes(&body)
    {
        parts.headers.insert(DENY_BODY, value);
    }
    parts.headers.insert(DENY_STATUS, status.as_u16().into());
    parts.status = StatusCode::FORBIDDEN;
    Answer::from_parts(parts, Full::new(body).into())
}
