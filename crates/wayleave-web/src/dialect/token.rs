//! The token exchange: api key and secret in, `{"token": …}` out. Clients look for `token` and, in
//! its absence, for `message`; they do not look at the status.

use std::net::IpAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode, header};
use hyper::body::Incoming;
use serde_json::Value;
use wayleave_core::Audience;
use wayleave_engine::{Engine, TokenRefusal};
use wayleave_protocol::secret::SecretText;
use wayleave_protocol::{basic, form, json as strict_json};

use crate::answer::{self, Answer};
use crate::fault::Fault;
use crate::request::{read_body, single};

/// Larger bodies are refused.
const BODY_LIMIT_BYTES: usize = 8 * 1024;
const ALLOW: &str = "GET, HEAD, POST, OPTIONS";
/// On GET only: a browser that follows a link may ask its user.
const CHALLENGE: &str = "Basic realm=\"wayleave\"";

/// Answers a request for a token.
pub(crate) async fn exchange(
    engine: &Engine,
    parts: &Parts,
    body: Incoming,
    source: IpAddr,
) -> Result<Answer, Fault> {
    let is_get = match parts.method {
        Method::GET | Method::HEAD => true,
        Method::POST => false,
        Method::OPTIONS => return Ok(answer::options(ALLOW)),
        _ => return Err(Fault::Method { allow: ALLOW }),
    };
    check_query(parts.uri.query())?;
    let authorization = single(&parts.headers, header::AUTHORIZATION)?;
    let pair = if is_get {
        from_basic(authorization, true)?
    } else {
        // Read in any case: an answer before the body has come would end the connection.
        from_post(authorization, read_body(body, BODY_LIMIT_BYTES).await?)?
    };
    issue(engine, pair, source, is_get).await
}

fn check_query(query: Option<&str>) -> Result<(), Fault> {
    let Some(query) = query else { return Ok(()) };
    let parameters = form::parse(query.as_bytes())
        .map_err(|error| Fault::BadRequest(format!("the query: {error}")))?;
    let in_url = |name: &str| {
        name.eq_ignore_ascii_case("api_key") || name.eq_ignore_ascii_case("api_secret")
    };
    if parameters.iter().any(|(name, _)| in_url(name)) {
        let why = "send key and secret by Basic or in a JSON body: a URL is written to logs";
        return Err(Fault::BadRequest(why.to_owned()));
    }
    Ok(())
}

fn unauthorized(is_get: bool) -> Fault {
    Fault::Unproven {
        message: "Unauthorized".to_owned(),
        server_time: None,
        explanation: None,
        challenge: is_get.then_some(CHALLENGE),
        accept_signature: None,
    }
}

/// Key and secret by Basic. The worked example of the published guide ends in a line feed, so
/// those at the end of the secret do not count.
fn from_basic(authorization: Option<&[u8]>, is_get: bool) -> Result<(String, SecretText), Fault> {
    let credentials = authorization
        .and_then(|value| basic::parse(value).ok())
        .ok_or_else(|| unauthorized(is_get))?;
    let secret = basic::strip_trailing_newlines(credentials.password.expose()).to_owned();
    Ok((credentials.user, SecretText::new(secret)))
}

fn from_post(authorization: Option<&[u8]>, body: Bytes) -> Result<(String, SecretText), Fault> {
    if authorization.is_none() {
        return from_json(&body);
    }
    if body.is_empty() {
        return from_basic(authorization, false);
    }
    let why = "two kinds of proof in one request: send either Basic or a body";
    Err(Fault::BadRequest(why.to_owned()))
}

/// The body is JSON whatever its content type says: real clients send four different ones.
fn from_json(body: &[u8]) -> Result<(String, SecretText), Fault> {
    let mut members = strict_json::parse_object(body)
        .map_err(|error| Fault::BadRequest(format!("the body: {error}")))?;
    let mut text = |name: &'static str| match members.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        _ => Err(Fault::BadRequest(format!(
            "{name} is missing; it must be a string that is not empty"
        ))),
    };
    let key = text("api_key")?;
    let secret = SecretText::new(text("api_secret")?);
    Ok((key, secret))
}

async fn issue(
    engine: &Engine,
    pair: (String, SecretText),
    source: IpAddr,
    is_get: bool,
) -> Result<Answer, Fault> {
    match engine
        .issue_token(Audience::Routes, &[pair], None, source)
        .await
    {
        // A token has no letter that JSON escapes (RFC 7515 section 2).
        Ok(issued) => Ok(answer::text(
            StatusCode::OK,
            "application/json",
            ["{\"token\":\"", &issued.text, "\"}"].concat(),
        )),
        Err(TokenRefusal::WrongCredentials | TokenRefusal::Scope) => Err(unauthorized(is_get)),
        Err(TokenRefusal::Lapsed) => Err(Fault::NotAdmitted(wayleave_core::NotAdmitted::Lapsed)),
        Err(TokenRefusal::TooManyFailures { retry_after_s }) => {
            Err(Fault::TooMany { retry_after_s })
        }
        Err(refusal @ TokenRefusal::Signing(_)) => Err(Fault::Internal {
            cause: refusal.to_string(),
        }),
    }
}
