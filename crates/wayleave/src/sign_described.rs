//! `wayleave sign` and `wayleave explain` for schemes that a configuration describes, without a server.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wayleave_engine::Clock as _;
use wayleave_protocol::Message;
use wayleave_protocol::body_digest::BodyCheck;
use wayleave_protocol::described::{BodyRule, DescribedScheme};

use crate::explain::Explained;
use crate::ports::SystemClock;
use crate::sent::{SentRequest, fields, lines};
use crate::steps::Steps;

type Failure = Box<dyn std::error::Error>;

/// What to sign and with what.
pub struct SignDescribedSettings {
    /// By which scheme.
    pub scheme: Arc<DescribedScheme>,
    /// The request, with every header that the scheme signs; that of the body's digest is made.
    pub request: SentRequest,
    /// The public id of the credential.
    pub key_id: String,
    /// Its secret.
    pub secret: String,
    /// The time in the form of the scheme; `None`: now.
    pub time: Option<String>,
    /// Print JSON instead of headers.
    pub json: bool,
}

/// Signs and returns what is to be printed: headers, as `curl -H @-` reads them, or JSON with the
/// signed text too.
pub fn sign_described(settings: &SignDescribedSettings) -> Result<String, Failure> {
    let (scheme, request) = (&settings.scheme, &settings.request);
    let host = host(scheme, request)?;
    let form = scheme.time_form();
    let now_ms = SystemClock.now().micros().div_euclid(1_000);
    let time = settings.time.clone().unwrap_or_else(|| form.format(now_ms));
    let mut headers: Vec<(String, String)> = request.headers().to_vec();
    headers.retain(|(name, _)| name != "host");
    if let Some((name, value)) = scheme.body_digest_header(request.body()) {
        headers.retain(|(own, _)| *own != name);
        headers.push((name, value));
    }
    let cannot = |error| format!("the request cannot be signed: {error}");
    let proof = scheme.sign(
        &request.message(&host, &fields(&headers)),
        &settings.key_id,
        &time,
        request.body(),
        settings.secret.as_bytes(),
    );
    headers.extend(proof.map_err(cannot)?);
    let fields = fields(&headers);
    let read = scheme
        .read(&request.message(&host, &fields))
        .map_err(cannot)?;
    body_finding(read.body(), request.body())?;
    if !settings.json {
        return Ok(lines(&headers));
    }
    let text = read.text(request.body());
    let said = headers.iter();
    let said = said.map(|(name, value)| (name.clone(), value.as_str().into()));
    let body = json!({
        "headers": said.collect::<Map<String, Value>>(),
        "base_string": String::from_utf8_lossy(&text),
    });
    Ok(format!("{body}\n"))
}

/// The host, which has to be told only where it is signed.
fn host(scheme: &DescribedScheme, request: &SentRequest) -> Result<String, Failure> {
    if scheme.signs_host() {
        request.host()
    } else {
        Ok(request.host().unwrap_or_default())
    }
}

/// A request as it was sent, with its proof among the headers.
pub struct ExplainDescribedSettings {
    /// By which scheme.
    pub scheme: Arc<DescribedScheme>,
    /// The request.
    pub request: SentRequest,
    /// The secret, where the signature is to be checked.
    pub secret: Option<String>,
    /// The text that the client signed; line feeds may be written as `\n`.
    pub base_string: Option<String>,
    /// Print JSON instead of text.
    pub json: bool,
}

/// Explains. Errors: the host is signed and not told.
pub fn explain_described(settings: &ExplainDescribedSettings) -> Result<Explained, Failure> {
    let host = host(&settings.scheme, &settings.request)?;
    let fields = fields(settings.request.headers());
    let mut steps = Steps::default();
    look(
        settings,
        &settings.request.message(&host, &fields),
        &mut steps,
    );
    Ok(steps.explained(settings.json))
}

/// Takes the steps as far as they can be taken.
fn look(settings: &ExplainDescribedSettings, message: &Message<'_>, steps: &mut Steps) {
    let body = settings.request.body();
    let read = match settings.scheme.read(message) {
        Ok(read) => read,
        Err(error) => {
            let status = if error.is_bad_request() { 400 } else { 401 };
            steps.note(
                "proof",
                Err(format!("the server answers {status}: {error}")),
            );
            return;
        }
    };
    let proof = format!("reads as the scheme says; key id {}", read.key_id());
    steps.note("proof", Ok(proof));
    let clock = read.check_time(SystemClock.now().unix_s());
    let clock = clock.map_err(|error| error.to_string());
    steps.note(
        "clock",
        clock.map(|()| "within the allowed window".to_owned()),
    );
    let fits = read.check_body(body).map_err(|error| error.to_string());
    steps.note("body", fits.and_then(|()| body_finding(read.body(), body)));
    let secret = settings.secret.as_ref();
    steps.note_signature(secret.map(|secret| read.verify(body, secret.as_bytes())));
    steps.show("The text to sign", &read.text(body));
    steps.compare(settings.base_string.as_deref());
}

fn body_finding(rule: &BodyRule, body: &[u8]) -> Result<String, String> {
    match rule {
        BodyRule::Whole => Ok(format!("is signed itself: {} bytes", body.len())),
        BodyRule::Unsigned => Ok("the scheme does not sign it".to_owned()),
        BodyRule::Empty if body.is_empty() => Ok("there is none".to_owned()),
        BodyRule::Empty => {
            Err("there must be none: nothing that was signed says what it is".to_owned())
        }
        BodyRule::Digest(digest) => {
            let mut check = BodyCheck::new(vec![digest.clone()]);
            check.update(body);
            if check.fits() {
                Ok("has the digest that its header says".to_owned())
            } else {
                Err(
                    "is another than the header with its digest says: give it with --body-file"
                        .to_owned(),
                )
            }
        }
    }
}
