//! What the spans of a request say. The names are those of OpenTelemetry's semantic conventions for
//! HTTP where there is one.

use http::{HeaderName, Method, Request, StatusCode};
use wayleave_core::Environment;
use wayleave_web::{Connection, Dialect, Forward, Surfaces};

use super::Core;
use crate::traces::{Attribute, Span, TraceContext};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const METHOD: &str = "http.request.method";

/// Begins the span of a request, where it is sampled. A trusted proxy's trace is gone on with;
/// anybody else's word would let them choose what is recorded.
pub(super) fn begin<B>(
    core: &Core,
    surfaces: &Surfaces,
    connection: &Connection,
    request: &Request<B>,
) -> Option<Span> {
    let tracer = core.tracer.as_ref()?;
    let told = surfaces
        .trusts(connection)
        .then(|| request.headers().get(TRACEPARENT))
        .flatten();
    let parent = told.and_then(|value| TraceContext::parse(value.as_bytes()));
    let mut span = tracer.begin(parent)?;
    let method = known(request.method());
    span.name(method.to_owned());
    span.say(Attribute::Text(METHOD, method.to_owned()));
    Some(span)
}

/// Begins the span of the call to the API behind, and tells that API of it. Nobody's own
/// `traceparent` goes on beside it.
pub(super) fn begin_call(span: &mut Option<Span>, forward: &mut Forward) -> Option<Span> {
    let above = span.as_mut()?;
    let caller = forward.admitted.caller();
    above.say(Attribute::Text(
        "wayleave.partner",
        caller.partner_id().to_string(),
    ));
    let credential = caller.credential_id().to_string();
    above.say(Attribute::Text("wayleave.credential", credential));
    let mut call = above.child()?;
    let method = known(forward.request.method());
    call.name(method.to_owned());
    call.say(Attribute::Text(METHOD, method.to_owned()));
    let address = forward.upstream.authority().to_owned();
    call.say(Attribute::Text("server.address", address));
    if let Some(value) = call.traceparent() {
        forward.request.headers_mut().insert(TRACEPARENT, value);
    }
    Some(call)
}

/// Says how a request was answered; the span ends with the answer's body.
pub(super) fn end(
    span: &mut Option<Span>,
    environment: Environment,
    dialect: Dialect,
    status: StatusCode,
    request_id: &str,
) {
    let Some(span) = span else {
        return;
    };
    for (name, value) in [
        ("wayleave.environment", environment.as_str()),
        ("wayleave.dialect", dialect.as_str()),
        ("wayleave.request_id", request_id),
    ] {
        span.say(Attribute::Text(name, value.to_owned()));
    }
    span.say_status(status);
}

/// Methods that nobody has registered are all one: their number would have no end.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "_OTHER",
    }
}
