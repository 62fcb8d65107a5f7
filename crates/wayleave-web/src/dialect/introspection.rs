//! What a client may ask and say about its own tokens: introspection (RFC 7662) and revocation (RFC
//! 7009). Both prove the client as the token address does.

use std::net::IpAddr;

use http::request::Parts;
use http::{Method, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};
use wayleave_engine::{Engine, Refusal, TokenClient, TokenDescription};
use wayleave_protocol::secret::SecretText;

use super::oauth::{self, Flavour};
use crate::answer::{self, Answer};
use crate::fault::Fault;
use crate::request::single;

/// `POST /oauth/introspect`: describes a token of the client's own; of every other text it says
/// `{"active":false}` and nothing else.
pub(crate) async fn introspect(
    engine: &Engine,
    parts: &Parts,
    body: Incoming,
    source: IpAddr,
) -> Result<Answer, Fault> {
    if parts.method == Method::OPTIONS {
        return Ok(answer::options(oauth::ALLOW));
    }
    let (client, token) = read(engine, parts, body, source).await?;
    let described = engine.introspect_token(&client, token.expose());
    let body = self::body(engine.issuer(), described.as_ref());
    Ok(answer::json(StatusCode::OK, &body))
}

/// `POST /oauth/revoke`: ends a token of the client's own. The answer is 200 whatever the token was
/// (RFC 7009 section 2.2), and 503 where the store could not keep it.
pub(crate) async fn revoke(
    engine: &Engine,
    parts: &Parts,
    body: Incoming,
    source: IpAddr,
) -> Result<Answer, Fault> {
    if parts.method == Method::OPTIONS {
        return Ok(answer::options(oauth::ALLOW));
    }
    let (client, token) = read(engine, parts, body, source).await?;
    match engine.revoke_own_token(&client, token.expose()).await {
        Ok(()) => Ok(answer::json(StatusCode::OK, &json!({}))),
        // Revoking twice does no harm, so an unknown outcome is told as a failure too.
        Err(Refusal::Store(error)) => Err(Fault::Unavailable {
            cause: error.to_string(),
        }),
        Err(refusal) => Err(Fault::Internal {
            cause: refusal.to_string(),
        }),
    }
}

async fn read(
    engine: &Engine,
    parts: &Parts,
    body: Incoming,
    source: IpAddr,
) -> Result<(TokenClient, SecretText), Fault> {
    let authorization = single(&parts.headers, header::AUTHORIZATION)?;
    let mut fields = oauth::read_post(Flavour::Standard, parts, body).await?;
    let client = oauth::read_client(Flavour::Standard, authorization, &mut fields)?;
    let proven = engine
        .authenticate_client(&client.readings, source)
        .await
        .map_err(|refusal| oauth::refused(refusal, &client))?;
    let token = fields
        .token
        .filter(|token| !token.expose().is_empty())
        .ok_or_else(|| oauth::invalid_request("token is missing"))?;
    Ok((proven, token))
}

/// RFC 7662 section 2.2.
pub(crate) fn body(issuer: &str, described: Option<&TokenDescription>) -> Value {
    let Some(described) = described else {
        return json!({ "active": false });
    };
    let claims = &described.claims;
    let mut body = json!({
        "active": true,
        "token_type": "Bearer",
        "iss": issuer,
        "sub": claims.sub,
        "aud": claims.aud,
        "client_id": claims.client_id,
        "iat": claims.iat,
        "exp": claims.exp,
        "jti": claims.jti,
    });
    if let Some(scope) = &claims.scope {
        body["scope"] = json!(scope);
    }
    body
}
