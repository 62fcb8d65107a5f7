//! A small API for demonstrations: it knows nothing of keys and tells who it was told is calling.

use bytes::Bytes;
use http::{Response, header};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

/// Answers any request with what reached it.
pub(crate) async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, mut body) = request.into_parts();
    let mut body_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        body_bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    let answer = json!({
        "message": "Hello from the API behind Wayleave.",
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "body_bytes": body_bytes,
        "caller": caller(&parts.headers),
    });
    let text = serde_json::to_string_pretty(&answer).unwrap_or_default() + "\n";
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The identity headers, all but the one that differs from request to request.
fn caller(headers: &header::HeaderMap) -> Map<String, Value> {
    headers
        .iter()
        .filter(|(name, _)| {
            name.as_str().starts_with("wayleave-") && name.as_str() != "wayleave-request-id"
        })
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap_or_default())))
        .collect()
}
