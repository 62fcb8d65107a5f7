//! What verifiers and clients read before anything else: the key set (RFC 7517) and the
//! authorization server's metadata (RFC 8414). Anybody may.

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;
use wayleave_engine::Engine;

use crate::answer::{self, Answer};
use crate::fault::Fault;
use crate::route::Mount;

const ALLOW: &str = "GET, HEAD";
/// Far shorter than the time for which the next key is published before it signs, and short enough
/// that a key that was removed in an emergency is gone everywhere within a minute.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// The public keys that tokens are checked with.
pub(crate) fn key_set(engine: &Engine, parts: &Parts) -> Result<Answer, Fault> {
    public(parts, "application/jwk-set+json", engine.key_set())
}

/// Where the token address and the key set are. `oauth`: `None` where the grant is off.
pub(crate) fn metadata(
    engine: &Engine,
    parts: &Parts,
    oauth: Option<&Mount>,
) -> Result<Answer, Fault> {
    let issuer = engine.issuer();
    let mut body = json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "response_types_supported": [],
    });
    if let Some(mount) = oauth {
        let base = match &mount.host {
            None => issuer.to_owned(),
            Some(host) => {
                let scheme = issuer
                    .split_once("://")
                    .map_or("https", |(scheme, _)| scheme);
                format!("{scheme}://{host}")
            }
        };
        let address = |name: &str| json!(format!("{base}{}/oauth/{name}", mount.prefix));
        body["token_endpoint"] = address("token");
        body["introspection_endpoint"] = address("introspect");
        body["revocation_endpoint"] = address("revoke");
        body["grant_types_supported"] = json!(["client_credentials"]);
        for what in ["token", "introspection", "revocation"] {
            body[format!("{what}_endpoint_auth_methods_supported")] =
                json!(["client_secret_basic", "client_secret_post"]);
        }
    }
    public(parts, "application/json", body.to_string())
}

fn public(parts: &Parts, content_type: &'static str, body: String) -> Result<Answer, Fault> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(Fault::Method { allow: ALLOW });
    }
    let mut answer = answer::text(StatusCode::OK, content_type, body);
    answer.headers_mut().insert(header::CACHE_CONTROL, CACHE);
    Ok(answer)
}
