use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use crate::own_body::{OwnBody, Piece};

/// What a surface answers.
pub type Answer = Response<OwnBody>;

/// No cache may keep it. Some heed only `private` of the two.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("private, no-store");

/// An answer without a body that no cache keeps and, as its readers want it, without a content type.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(OwnBody::default());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CACHE_CONTROL, NOT_KEPT);
    answer
}

/// The answer to `OPTIONS`: the methods that an address has.
pub(crate) fn options(allow: &'static str) -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// An answer with a JSON body that no cache keeps.
pub(crate) fn json(status: StatusCode, body: &Value) -> Answer {
    text(status, "application/json", body.to_string())
}

/// An answer with a body that no cache keeps.
pub(crate) fn text(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    typed(status, content_type, Full::new(body.into()).into())
}

/// An answer in pieces that no cache keeps.
pub(crate) fn pieces(content_type: &'static str, first: Piece) -> Answer {
    typed(StatusCode::OK, content_type, OwnBody::pieces(first))
}

fn typed(status: StatusCode, content_type: &'static str, body: OwnBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, NOT_KEPT);
    answer
}

/// Sets a header whose value is our own text; a value that cannot be one is left out.
pub(crate) fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
