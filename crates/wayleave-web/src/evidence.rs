//! Reads what a request shows to prove who made it.

use std::sync::Arc;

use http::HeaderMap;
use wayleave_core::Environment;
use wayleave_engine::{Engine, Evidence, MalformedEvidence, Unproven};
use wayleave_protocol::described::DescribedScheme;
use wayleave_protocol::{Message, http_date, sigv4};

use crate::Fault;
use crate::request::{Found, find};

/// The headers that prove something. What the first documents of the signed scheme called
/// `Authentication` is the one after it. In the test environment a client may show the string that it
/// signed in the last one, to be told where it differs from ours.
const PROOFS: [&str; 6] = [
    "authorization",
    "authentication",
    "authenticate",
    "timestamp",
    "signature-input",
    "wayleave-base-string",
];

/// What is asked of somebody who showed no token that holds.
const TOKEN_CHALLENGE: &str = "Bearer realm=\"wayleave\"";
const INVALID_TOKEN_CHALLENGE: &str = "Bearer realm=\"wayleave\", error=\"invalid_token\"";
/// Not a registered scheme: it names the header in which the signature is expected.
const SIGNATURE_CHALLENGE: &str = "Authentication realm=\"wayleave\"";
/// Likewise for signatures over the message (RFC 9421).
const MESSAGE_CHALLENGE: &str = "Signature realm=\"wayleave\"";
/// Likewise for AWS Signature Version 4.
const SIGV4_CHALLENGE: &str = "AWS4-HMAC-SHA256 realm=\"wayleave\"";
/// Likewise for the scheme that is described for the route.
const DESCRIBED_CHALLENGE: &str = "Described realm=\"wayleave\"";

/// A request as it was asked, before anything of it is proven.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// As it came.
    pub(crate) method: &'a str,
    /// `https` or `http`: how the client's own connection was made.
    pub(crate) scheme: &'a str,
    /// Host and port, as they were written.
    pub(crate) authority: &'a str,
    /// The whole path as received.
    pub(crate) path: &'a str,
    /// The paths under which a signature may have been made (see [`Evidence::paths`]).
    pub(crate) paths: &'a [&'a str],
    /// What follows the first question mark.
    pub(crate) query: Option<&'a str>,
    /// Its headers.
    pub(crate) headers: &'a HeaderMap,
    /// Whether it has a body, of whatever length.
    pub(crate) has_body: bool,
    /// The scheme that is described for the route, where the request shows a signature of it.
    pub(crate) described: Option<&'a Arc<DescribedScheme>>,
    /// Whether each signature counts once there.
    pub(crate) refuses_replays: bool,
}

/// The scheme that is described for a route, where a request shows a signature of it.
pub(crate) fn described<'s>(
    scheme: Option<&'s Arc<DescribedScheme>>,
    headers: &HeaderMap,
) -> Option<&'s Arc<DescribedScheme>> {
    let first_value = |name: &str| headers.get(name).map(|value| value.as_bytes());
    scheme.filter(|scheme| scheme.is_presented(first_value))
}

/// A header with one of its values.
pub(crate) type Field<'a> = (&'a str, &'a [u8]);

/// Every header of a request that shows a proof over its headers, else none: nobody else's request
/// pays for it.
pub(crate) fn signed_fields(headers: &HeaderMap, is_described: bool) -> Vec<Field<'_>> {
    if !is_described && !shows_signed_headers(headers) {
        return Vec::new();
    }
    let fields = headers.iter();
    fields
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

/// Whether a request shows a proof over its headers.
fn shows_signed_headers(headers: &HeaderMap) -> bool {
    headers.iter().any(|(name, value)| match name.as_str() {
        "signature-input" => true,
        "authorization" => sigv4::is_presented(value.as_bytes()),
        _ => false,
    })
}

/// Collects the evidence of a request. `fields`: of [`signed_fields`]. Errors: a proof header twice,
/// or two kinds of proof (400); `Authentication` and its alias with different values (401).
pub(crate) fn collect<'a>(
    asked: Asked<'a>,
    fields: &'a [Field<'a>],
) -> Result<Evidence<'a>, Fault> {
    let mut found = find(asked.headers, PROOFS);
    if let Some(scheme) = asked.described {
        // What the described scheme has for itself is no second proof.
        for (name, found) in PROOFS.into_iter().zip(&mut found[..4]) {
            if scheme.proof_headers().any(|own| own == name) {
                *found = Found::default();
            }
        }
    }
    let [
        authorization,
        authentication,
        alias,
        timestamp,
        input,
        base_string,
    ] = found;
    MalformedEvidence::check(
        authorization.count,
        authentication.count.max(alias.count),
        timestamp.count,
        input.count > 0,
        asked.described.is_some(),
    )
    .map_err(|error| Fault::BadRequest(error.to_string()))?;
    let authentication = match (authentication.value, alias.value) {
        (Some(one), Some(other)) if one != other => return Err(contradiction()),
        (one, other) => one.or(other),
    };
    Ok(Evidence {
        method: asked.method,
        paths: asked.paths,
        query: asked.query,
        authorization: authorization.value,
        authentication,
        timestamp: timestamp.value,
        form_body: None,
        message: (!fields.is_empty()).then_some(Message {
            method: asked.method,
            scheme: asked.scheme,
            authority: asked.authority,
            path: asked.path,
            query: asked.query,
            fields,
        }),
        has_body: asked.has_body,
        body: None,
        described: asked.described,
        refuses_replays: asked.refuses_replays,
        claimed_base_string: base_string.value,
    })
}

fn contradiction() -> Fault {
    Fault::Unproven {
        message: "Unauthorized".to_owned(),
        server_time: None,
        explanation: None,
        challenge: Some(SIGNATURE_CHALLENGE),
        accept_signature: None,
    }
}

/// What may be said of a refusal: in the test environment why, in live the bare word and the time.
pub(crate) fn fault(engine: &Engine, evidence: &Evidence<'_>, refusal: &Unproven) -> Fault {
    if refusal.is_bad_request() {
        return Fault::BadRequest(refusal.to_string());
    }
    if let Unproven::Unavailable(cause) = refusal {
        let cause = cause.clone();
        return Fault::Unavailable { cause };
    }
    let signed = evidence.authentication.is_some() || evidence.message.is_some();
    let explanation = match engine.environment() {
        Environment::Test => engine.explain(evidence, refusal).map(Box::new),
        Environment::Live => None,
    };
    Fault::Unproven {
        message: Fault::unproven_message(refusal),
        server_time: signed.then(|| http_date::format(engine.now().unix_s())),
        explanation,
        challenge: Some(match refusal {
            _ if evidence.described.is_some() => DESCRIBED_CHALLENGE,
            _ if evidence.message.is_some() && evidence.authorization.is_some() => SIGV4_CHALLENGE,
            _ if evidence.message.is_some() => MESSAGE_CHALLENGE,
            _ if signed => SIGNATURE_CHALLENGE,
            Unproven::NoProof | Unproven::OtherScheme => TOKEN_CHALLENGE,
            _ => INVALID_TOKEN_CHALLENGE,
        }),
        accept_signature: None,
    }
}
