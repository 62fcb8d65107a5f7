//! The client credentials grant (RFC 6749 section 4.4) at its two addresses: our own, and the one
//! that clients of the platform API know.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use wayleave_core::{Audience, ScopeSet};
use wayleave_engine::{Engine, IssuedToken, TOKEN_LIFE_S, TokenRefusal};
use wayleave_protocol::secret::SecretText;
use wayleave_protocol::{basic, form, json as strict_json};

use crate::answer::{self, Answer};
use crate::fault::Fault;
use crate::request::{media_type, read_body, single};

/// Larger bodies are refused.
const BODY_LIMIT_BYTES: usize = 8 * 1024;
pub(super) const ALLOW: &str = "POST, OPTIONS";
const BASIC_CHALLENGE: &str = "Basic realm=\"wayleave\"";
/// What must never be in a URL.
const BODY_ONLY: [&str; 5] = ["client_id", "client_secret", "grant_type", "scope", "token"];

/// Which of the two addresses was called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flavour {
    /// `/oauth/token`: form bodies, as RFC 6749 says.
    Standard,
    /// `/authorize/access_token`: JSON bodies too; a missing field is 400 whichever it is.
    Platform,
}

/// The fields of a token request; what is not ours is ignored, as RFC 6749 section 3.2 wants.
#[derive(Default)]
pub(super) struct Fields {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<SecretText>,
    scope: Option<String>,
    pub(super) token: Option<SecretText>,
}

impl Fields {
    fn set(&mut self, name: &str, value: &str) {
        let value = || value.to_owned();
        match name {
            "grant_type" => self.grant_type = Some(value()),
            "client_id" => self.client_id = Some(value()),
            "client_secret" => self.client_secret = Some(SecretText::new(value())),
            "scope" => self.scope = Some(value()),
            "token" => self.token = Some(SecretText::new(value())),
            _ => {}
        }
    }
}

/// A client's id and secret as sent, and, where escapes were used in Basic, as RFC 6749 section
/// 2.3.1 reads them.
pub(super) struct Client {
    pub(super) readings: Vec<(String, SecretText)>,
    by_basic: bool,
}

/// Answers a token request.
pub(crate) async fn token(
    engine: &Engine,
    flavour: Flavour,
    parts: &Parts,
    body: Incoming,
    source: IpAddr,
) -> Result<Answer, Fault> {
    if parts.method == Method::OPTIONS {
        return Ok(answer::options(ALLOW));
    }
    let authorization = single(&parts.headers, header::AUTHORIZATION)?;
    let mut fields = read_post(flavour, parts, body).await?;
    check_grant(&fields)?;
    let wanted = read_scope(&fields)?;
    let client = read_client(flavour, authorization, &mut fields)?;
    issue(engine, &client, wanted.as_ref(), source).await
}

/// The fields of a POST with nothing of them in its query.
pub(super) async fn read_post(
    flavour: Flavour,
    parts: &Parts,
    body: Incoming,
) -> Result<Fields, Fault> {
    if parts.method != Method::POST {
        return Err(Fault::Method { allow: ALLOW });
    }
    check_query(parts.uri.query())?;
    let body = read_body(body, BODY_LIMIT_BYTES).await?;
    read_fields(flavour, &media_type(&parts.headers), &body)
}

pub(super) fn invalid_request(description: impl Into<String>) -> Fault {
    Fault::OAuth {
        code: "invalid_request",
        status: StatusCode::BAD_REQUEST,
        description: description.into(),
        challenge: None,
    }
}

/// Refuses credentials in the query, and a query that can be read in two ways.
pub(crate) fn check_query(query: Option<&str>) -> Result<(), Fault> {
    let Some(query) = query else { return Ok(()) };
    let parameters = form::parse(query.as_bytes())
        .map_err(|error| invalid_request(format!("the query: {error}")))?;
    match parameters
        .iter()
        .find(|(name, _)| BODY_ONLY.contains(&name.to_ascii_lowercase().as_str()))
    {
        None => Ok(()),
        Some((name, _)) => Err(invalid_request(format!(
            "send {name} in the body: a URL is written to logs"
        ))),
    }
}

fn read_fields(flavour: Flavour, media_type: &str, body: &[u8]) -> Result<Fields, Fault> {
    let mut fields = Fields::default();
    match media_type {
        "application/x-www-form-urlencoded" | "" => {
            form::for_each(body, |name, value| fields.set(name, value))
                .map_err(|error| invalid_request(format!("the body: {error}")))?;
        }
        "application/json" if flavour == Flavour::Platform => {
            let members = strict_json::parse_object(body)
                .map_err(|error| invalid_request(format!("the body: {error}")))?;
            for (name, value) in members {
                match value {
                    serde_json::Value::String(value) => fields.set(&name, &value),
                    serde_json::Value::Null => {}
                    _ if BODY_ONLY.contains(&name.as_str()) => {
                        return Err(invalid_request(format!("{name} must be a string")));
                    }
                    _ => {}
                }
            }
        }
        _ => {
            return Err(invalid_request(
                "send the fields as application/x-www-form-urlencoded",
            ));
        }
    }
    Ok(fields)
}

fn check_grant(fields: &Fields) -> Result<(), Fault> {
    match fields.grant_type.as_deref() {
        Some("client_credentials") => Ok(()),
        None | Some("") => Err(invalid_request(
            "grant_type is missing; send client_credentials",
        )),
        Some(_) => Err(Fault::OAuth {
            code: "unsupported_grant_type",
            status: StatusCode::BAD_REQUEST,
            description: "the one grant here is client_credentials".to_owned(),
            challenge: None,
        }),
    }
}

fn read_scope(fields: &Fields) -> Result<Option<ScopeSet>, Fault> {
    match fields.scope.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|error: wayleave_core::ScopeError| invalid_scope(error.to_string())),
    }
}

fn invalid_scope(description: String) -> Fault {
    Fault::OAuth {
        code: "invalid_scope",
        status: StatusCode::BAD_REQUEST,
        description,
        challenge: None,
    }
}

pub(super) fn read_client(
    flavour: Flavour,
    authorization: Option<&[u8]>,
    fields: &mut Fields,
) -> Result<Client, Fault> {
    let Some(authorization) = authorization else {
        return client_from_body(flavour, fields);
    };
    let Ok(credentials) = basic::parse(authorization) else {
        return Err(invalid_client(
            "the Authorization header is not Basic with an id and a secret",
        ));
    };
    if fields.client_secret.is_some() {
        return Err(invalid_request(
            "send the client's secret once: either by Basic or in the body",
        ));
    }
    let mut readings = vec![(credentials.user, credentials.password)];
    let decoded = decoded(&readings[0].0, &readings[0].1);
    if fields.client_id.as_ref().is_some_and(|id| {
        *id != readings[0].0 && decoded.as_ref().is_none_or(|(decoded, _)| id != decoded)
    }) {
        return Err(invalid_request(
            "client_id in the body is not the one in the Authorization header",
        ));
    }
    readings.extend(decoded);
    Ok(Client {
        readings,
        by_basic: true,
    })
}

/// Clients that follow RFC 6749 section 2.3.1 form-encode id and secret before Basic; others do
/// not. The two readings differ only where escapes are used.
fn decoded(id: &str, secret: &SecretText) -> Option<(String, SecretText)> {
    let plain_id = form::decode_word(id).ok()?;
    let plain_secret = form::decode_word(secret.expose()).ok()?;
    let differs = plain_id != id || plain_secret != secret.expose();
    differs.then(|| (plain_id, SecretText::new(plain_secret)))
}

fn client_from_body(flavour: Flavour, fields: &mut Fields) -> Result<Client, Fault> {
    match (fields.client_id.take(), fields.client_secret.take()) {
        (Some(id), Some(secret)) if !id.is_empty() && !secret.expose().is_empty() => Ok(Client {
            readings: vec![(id, secret)],
            by_basic: false,
        }),
        _ if flavour == Flavour::Platform => {
            Err(invalid_request("client_id or client_secret is missing"))
        }
        _ => Err(invalid_client(
            "client_id and client_secret are missing: send them by Basic or in the body",
        )),
    }
}

fn invalid_client(description: &str) -> Fault {
    Fault::OAuth {
        code: "invalid_client",
        status: StatusCode::UNAUTHORIZED,
        description: description.to_owned(),
        challenge: Some(BASIC_CHALLENGE),
    }
}

async fn issue(
    engine: &Engine,
    client: &Client,
    wanted: Option<&ScopeSet>,
    source: IpAddr,
) -> Result<Answer, Fault> {
    engine
        .issue_token(Audience::Platform, &client.readings, wanted, source)
        .await
        .map(|issued| success(&issued))
        .map_err(|refusal| refused(refusal, client))
}

fn success(issued: &IssuedToken) -> Answer {
    // Neither tokens nor scopes have a letter that JSON escapes (RFC 7515 2, RFC 6749 3.3).
    let mut body = String::with_capacity(issued.text.len() + 128);
    body.push_str("{\"access_token\":\"");
    body.push_str(&issued.text);
    let _ = write!(
        body,
        "\",\"token_type\":\"Bearer\",\"expires_in\":{TOKEN_LIFE_S}"
    );
    if !issued.scopes.is_empty() {
        body.push_str(",\"scope\":\"");
        body.push_str(&issued.scopes.to_string());
        body.push('"');
    }
    body.push('}');
    let mut answer = answer::text(StatusCode::OK, "application/json", body);
    let headers = answer.headers_mut();
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

pub(super) fn refused(refusal: TokenRefusal, client: &Client) -> Fault {
    match refusal {
        TokenRefusal::WrongCredentials => Fault::OAuth {
            code: "invalid_client",
            status: StatusCode::UNAUTHORIZED,
            description: refusal.to_string(),
            // RFC 6749 section 5.2 wants it after Basic; other clients need no login box.
            challenge: client
                .by_basic
                .then_some(BASIC_CHALLENGE)
                .or(Some("Bearer realm=\"wayleave\"")),
        },
        TokenRefusal::Lapsed => Fault::OAuth {
            code: "access_denied",
            status: StatusCode::FORBIDDEN,
            description: refusal.to_string(),
            challenge: None,
        },
        TokenRefusal::Scope => invalid_scope(refusal.to_string()),
        TokenRefusal::TooManyFailures { retry_after_s } => Fault::TooMany { retry_after_s },
        TokenRefusal::Signing(_) => Fault::Internal {
            cause: refusal.to_string(),
        },
    }
}
