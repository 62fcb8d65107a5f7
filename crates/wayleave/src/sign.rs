//! `wayleave sign`: the headers of a signed request, made here and now, without a server.

use http::{Method, Uri};
use serde_json::json;
use wayleave_engine::Clock;
use wayleave_protocol::http_date;
use wayleave_protocol::signed::{self, SignedRequest};

use crate::ports::SystemClock;

/// What to sign and with what.
pub struct SignSettings {
    /// The method, in capitals.
    pub method: Method,
    /// The address: whole, or its path and query.
    pub address: Uri,
    /// The public half of the key set.
    pub access_key: String,
    /// Its secret half.
    pub secret_key: String,
    /// The text of the `Timestamp` header; `None`: now.
    pub timestamp: Option<String>,
    /// Print JSON instead of headers.
    pub json: bool,
}

/// Signs and returns what is to be printed: two headers, as `curl -H @-` reads them, or JSON with the
/// base string too.
pub fn sign(settings: &SignSettings) -> Result<String, Box<dyn std::error::Error>> {
    let now = || http_date::format(SystemClock.now().unix_s());
    let timestamp = settings.timestamp.clone().unwrap_or_else(now);
    if http_date::parse(&timestamp).is_none() {
        return Err(format!("{timestamp:?} is not a time such as {:?}", now()).into());
    }
    let request = SignedRequest {
        method: settings.method.as_str(),
        paths: &[settings.address.path()],
        query: settings.address.query(),
        timestamp: &timestamp,
        form_body: None,
    };
    let base_strings = signed::base_strings(&request)
        .map_err(|error| format!("the address cannot be signed: {error}"))?;
    let base = base_strings.first().ok_or("the address cannot be signed")?;
    let signature = signed::sign(settings.secret_key.as_bytes(), base);
    let authentication = format!("{}:{signature}", settings.access_key);
    Ok(if settings.json {
        let body = json!({ "timestamp": timestamp, "authentication": authentication, "base_string": base });
        format!("{body}\n")
    } else {
        format!("Timestamp: {timestamp}\nAuthentication: {authentication}\n")
    })
}
