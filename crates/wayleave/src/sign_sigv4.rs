//! `wayleave sign` and `wayleave explain` for AWS Signature Version 4, without a server.

use serde_json::{Map, Value, json};
use wayleave_engine::Clock as _;
use wayleave_protocol::sigv4::{
    ALGORITHM, Payload, Presented, Request, body_hash, parse_authorization, sign as signature_of,
};
use wayleave_protocol::{hex, iso8601};

use crate::explain::Explained;
use crate::ports::SystemClock;
use crate::sent::{SentRequest, fields, lines};
use crate::steps::Steps;

type Failure = Box<dyn std::error::Error>;

/// What to sign and with what.
pub struct SignSigv4Settings {
    /// The request; its headers are signed too.
    pub request: SentRequest,
    /// The public id of the credential.
    pub key_id: String,
    /// Its secret.
    pub secret: String,
    /// The region of the scope.
    pub region: String,
    /// The service of the scope.
    pub service: String,
    /// The text of `X-Amz-Date`; `None`: now.
    pub time: Option<String>,
    /// Print JSON instead of headers.
    pub json: bool,
}

/// Signs and returns what is to be printed: headers, as `curl -H @-` reads them, or JSON with the
/// canonical request and the string to sign too. The hash of the body is always sent, so that it can
/// be checked while the body streams through.
pub fn sign_sigv4(settings: &SignSigv4Settings) -> Result<String, Failure> {
    let request = &settings.request;
    let host = request.host()?;
    let now = || iso8601::format_basic(SystemClock.now().unix_s());
    let time = settings.time.clone().unwrap_or_else(now);
    let unix_s = iso8601::parse_basic(&time);
    unix_s.ok_or_else(|| format!("{time:?} is not a time such as {:?}", now()))?;
    let hash = hex::lower(&body_hash(request.body()));
    let mut headers: Vec<(String, String)> = request.headers().to_vec();
    headers.retain(|(name, _)| name != "host");
    headers.push(("x-amz-date".to_owned(), time.clone()));
    headers.push(("x-amz-content-sha256".to_owned(), hash));
    let names = signed_names(&headers);
    let presented = Presented {
        key_id: &settings.key_id,
        day: &time[..8],
        region: &settings.region,
        service: &settings.service,
        signed_headers: &names,
        signature: "",
    };
    let fields = fields(&headers);
    let read = Request::read(&request.message(&host, &fields), &presented)
        .map_err(|error| format!("the request cannot be signed: {error}"))?;
    let of_body = body_hash(request.body());
    let strings = read.strings_to_sign(of_body);
    let string = strings.first().ok_or("the request cannot be signed")?;
    let signature = signature_of(&presented, settings.secret.as_bytes(), string);
    let scope = [
        &settings.key_id,
        presented.day,
        &settings.region,
        &settings.service,
    ]
    .join("/");
    let authorization = format!(
        "{ALGORITHM} Credential={scope}/aws4_request, SignedHeaders={names}, Signature={signature}"
    );
    let canonical = read.canonical_requests(of_body);
    headers.push(("authorization".to_owned(), authorization));
    if !settings.json {
        return Ok(lines(&headers));
    }
    let canonical = canonical
        .first()
        .map(|text| String::from_utf8_lossy(text).into_owned());
    let said = headers
        .into_iter()
        .map(|(name, value)| (name, value.into()));
    let body = json!({
        "headers": said.collect::<Map<String, Value>>(),
        "canonical_request": canonical,
        "base_string": string,
    });
    Ok(format!("{body}\n"))
}

/// The names of the headers and of the host, sorted.
fn signed_names(headers: &[(String, String)]) -> String {
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    names.push("host");
    names.sort_unstable();
    names.dedup();
    names.join(";")
}

/// A request as it was sent, with its proof among the headers.
pub struct ExplainSigv4Settings {
    /// The request.
    pub request: SentRequest,
    /// The secret, where the signature is to be checked.
    pub secret: Option<String>,
    /// The canonical request or the string to sign of the client; line feeds may be written as `\n`.
    pub base_string: Option<String>,
    /// Print JSON instead of text.
    pub json: bool,
}

/// Explains. Errors: the host is not told.
pub fn explain_sigv4(settings: &ExplainSigv4Settings) -> Result<Explained, Failure> {
    let host = settings.request.host()?;
    let mut steps = Steps::default();
    look(settings, &host, &mut steps);
    Ok(steps.explained(settings.json))
}

/// Takes the steps as far as they can be taken.
fn look(settings: &ExplainSigv4Settings, host: &str, steps: &mut Steps) {
    let request = &settings.request;
    let authorization = request.header("authorization").unwrap_or_default();
    let Some(presented) = parse_authorization(authorization.as_bytes()) else {
        let form = format!(
            "Authorization does not read as {ALGORITHM} Credential=<key id>/<day>/<region>/<service>/aws4_request, SignedHeaders=<names>, Signature=<64 hexadecimal digits>"
        );
        steps.note("header", Err(form));
        return;
    };
    steps.note(
        "header",
        Ok(format!(
            "key id {}; the key is derived from the secret, {}, {} and {}",
            presented.key_id, presented.day, presented.region, presented.service
        )),
    );
    let fields = fields(request.headers());
    let message = request.message(host, &fields);
    let read = match Request::read(&message, &presented) {
        Ok(read) => read,
        Err(error) => {
            let status = if error.is_bad_request() { 400 } else { 401 };
            steps.note(
                "request",
                Err(format!("the server answers {status}: {error}")),
            );
            return;
        }
    };
    steps.note(
        "headers",
        Ok(format!("signed are {}", presented.signed_headers)),
    );
    let clock = read.check_time(SystemClock.now().unix_s());
    let clock = clock.map_err(|error| error.to_string());
    steps.note(
        "clock",
        clock.map(|()| "within the allowed window".to_owned()),
    );
    let of_body = body_hash(request.body());
    steps.note(
        "body",
        body_finding(read.payload(), request.body(), of_body),
    );
    let strings = read.strings_to_sign(of_body);
    let secret = settings.secret.as_ref();
    steps.note_signature(secret.map(|secret| read.verify(&strings, secret.as_bytes())));
    for (canonical, string) in read.canonical_requests(of_body).iter().zip(&strings) {
        steps.show("The canonical request", canonical);
        steps.show("The string to sign", string.as_bytes());
    }
    steps.compare(settings.base_string.as_deref());
}

fn body_finding(payload: Payload, body: &[u8], of_body: [u8; 32]) -> Result<String, String> {
    match payload {
        Payload::Header(said) if said == of_body => {
            Ok("has the hash that X-Amz-Content-Sha256 says".to_owned())
        }
        Payload::Header(_) => Err(format!(
            "is another than X-Amz-Content-Sha256 says, its hash is {}: give it with --body-file",
            hex::lower(&of_body)
        )),
        Payload::Unsigned if body.is_empty() => Ok("there is none".to_owned()),
        Payload::Unsigned => Err("is not signed (UNSIGNED-PAYLOAD): it has to be".to_owned()),
        Payload::OfBody => Ok(format!(
            "no header says its hash, it is {}",
            hex::lower(&of_body)
        )),
    }
}
