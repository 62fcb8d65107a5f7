//! `wayleave sign` and `wayleave explain` for signatures over the message itself (RFC 9421): made and
//! looked at here, without a server.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, Uri};
use serde_json::json;
use wayleave_engine::{Clock, Randomness};
use wayleave_protocol::Message;
use wayleave_protocol::body_digest::{BodyCheck, BodyDigest, content_digest, read_content_digest};
use wayleave_protocol::http_signature::{
    Algorithm, Component, Parameter, Policy, PublicKey, SignatureInput, Signed, hmac_sha256, read,
    verify_hmac_sha256,
};
use wayleave_protocol::signed::first_difference;

use crate::explain::Explained;
use crate::ports::{SystemClock, SystemRandomness};
use crate::private_key::PrivateKey;

type Failure = Box<dyn std::error::Error>;

/// What signs a message.
pub enum MessageKey {
    /// A secret, by `hmac-sha256`.
    Secret(String),
    /// A private key, by its own algorithm.
    Private(PrivateKey),
}

impl MessageKey {
    fn sign(&self, base: &str) -> Result<Vec<u8>, Failure> {
        match self {
            MessageKey::Secret(secret) => Ok(hmac_sha256(secret.as_bytes(), base).to_vec()),
            MessageKey::Private(key) => Ok(key.sign(base)?),
        }
    }
}

/// What a signature is checked with.
pub enum CheckingKey {
    /// A secret, by `hmac-sha256`.
    Secret(String),
    /// The public half of a key pair.
    Public(PublicKey),
}

impl CheckingKey {
    fn algorithm(&self) -> Algorithm {
        match self {
            CheckingKey::Secret(_) => Algorithm::HmacSha256,
            CheckingKey::Public(key) => key.algorithm(),
        }
    }

    fn verify(&self, base: &str, signature: &[u8]) -> bool {
        match self {
            CheckingKey::Secret(secret) => verify_hmac_sha256(secret.as_bytes(), base, signature),
            CheckingKey::Public(key) => key.verify(base, signature),
        }
    }
}

/// What to sign and with what.
pub struct SignMessageSettings {
    /// The method, as it is sent.
    pub method: Method,
    /// The whole address.
    pub address: Uri,
    /// The public id of the credential.
    pub key_id: String,
    /// What signs.
    pub key: MessageKey,
    /// The body, where there is one.
    pub body: Option<Vec<u8>>,
    /// Print JSON instead of headers.
    pub json: bool,
}

/// Scheme, authority, path and query of a whole address.
fn message<'a>(
    method: &'a Method,
    address: &'a Uri,
    fields: &'a [(&'a str, &'a [u8])],
) -> Result<Message<'a>, Failure> {
    let scheme = address.scheme_str();
    let authority = address.authority();
    let (Some(scheme), Some(authority)) = (scheme, authority) else {
        return Err(
            "give the whole address, such as https://api.example.com/v1: its host is signed too"
                .into(),
        );
    };
    Ok(Message {
        method: method.as_str(),
        scheme,
        authority: authority.as_str(),
        path: address.path(),
        query: address.query(),
        fields,
    })
}

/// Signs and returns what is to be printed: headers, as `curl -H @-` reads them, or JSON with the
/// signature base too.
pub fn sign_message(settings: &SignMessageSettings) -> Result<String, Failure> {
    let digest = settings.body.as_deref().map(BodyDigest::sha256);
    let digest = digest.as_ref().map(content_digest);
    let fields: Vec<(&str, &[u8])> = digest
        .iter()
        .map(|digest| ("content-digest", digest.as_bytes()))
        .collect();
    let message = message(&settings.method, &settings.address, &fields)?;
    let mut covered = vec![Component::plain("@method"), Component::plain("@target-uri")];
    covered.extend(digest.as_ref().map(|_| Component::plain("content-digest")));
    let mut nonce = [0; 16];
    SystemRandomness.fill(&mut nonce);
    let parameters = vec![
        Parameter::Created(SystemClock.now().unix_s()),
        Parameter::Nonce(URL_SAFE_NO_PAD.encode(nonce).into()),
        Parameter::KeyId(settings.key_id.as_str().into()),
    ];
    let input = SignatureInput::new(covered, parameters);
    let base = input.base(&Signed::Request(message))?;
    let signature = STANDARD.encode(settings.key.sign(&base)?);
    let (input, signature) = (
        format!("sig={}", input.text()),
        format!("sig=:{signature}:"),
    );
    if settings.json {
        let body = json!({
            "content_digest": digest,
            "signature_input": input,
            "signature": signature,
            "base_string": base,
        });
        return Ok(format!("{body}\n"));
    }
    let digest = digest.map_or_else(String::new, |digest| format!("Content-Digest: {digest}\n"));
    Ok(format!(
        "{digest}Signature-Input: {input}\nSignature: {signature}\n"
    ))
}

/// A request as it was sent, and what is known about its signing.
pub struct ExplainMessageSettings {
    /// The method, as sent.
    pub method: Method,
    /// The whole address.
    pub address: Uri,
    /// The `Signature-Input` header.
    pub signature_input: String,
    /// The `Signature` header.
    pub signature: String,
    /// The other headers that are covered, as `Name: value`.
    pub headers: Vec<String>,
    /// The body, where there is one.
    pub body: Option<Vec<u8>>,
    /// The key, where the signature is to be checked.
    pub key: Option<CheckingKey>,
    /// The base that the client signed; line feeds may be written as `\n`.
    pub base_string: Option<String>,
    /// Print JSON instead of text.
    pub json: bool,
}

/// What was found of one signature.
struct Finding {
    label: String,
    /// What speaks against it.
    faults: Vec<String>,
    signature_is_right: Option<bool>,
    base: Option<String>,
}

/// Explains each signature of a request.
pub fn explain_message(settings: &ExplainMessageSettings) -> Result<Explained, Failure> {
    let headers = settings.headers.iter().map(|line| {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("{line:?} is no header such as 'Content-Type: text/plain'"))?;
        Ok((name.trim().to_ascii_lowercase(), value.trim()))
    });
    let headers: Vec<(String, &str)> = headers.collect::<Result<_, String>>()?;
    let fields: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let message = message(&settings.method, &settings.address, &fields)?;
    let presented = read(
        settings.signature_input.as_bytes(),
        settings.signature.as_bytes(),
    )?;
    let findings = presented.iter().map(|one| match one.checked() {
        Ok((input, signature)) => find(settings, one.label, message, input, signature),
        Err(fault) => Finding {
            label: one.label.to_owned(),
            faults: vec![fault.to_string()],
            signature_is_right: None,
            base: None,
        },
    });
    let findings: Vec<Finding> = findings.collect();
    let text = if settings.json {
        findings.iter().map(Finding::json).collect()
    } else {
        let texts: Vec<String> = findings.iter().map(Finding::text).collect();
        texts.join("\n")
    };
    Ok(Explained {
        text,
        is_good: findings.iter().any(Finding::is_good),
    })
}

fn find(
    settings: &ExplainMessageSettings,
    label: &str,
    message: Message<'_>,
    input: &SignatureInput<'_>,
    signature: &[u8],
) -> Finding {
    let policy = Policy {
        now_s: SystemClock.now().unix_s(),
        has_body: settings.body.is_some(),
    };
    let mut faults = Vec::new();
    if input.key_id().is_none() {
        faults.push("the signature lacks the parameter keyid".to_owned());
    }
    faults.extend(policy.check(input).err().map(|fault| fault.to_string()));
    if let Some(key) = &settings.key {
        let algorithm = Policy::check_algorithm(input, key.algorithm());
        faults.extend(algorithm.err().map(|fault| fault.to_string()));
    }
    if input.covers("content-digest") {
        faults.extend(digest_fault(
            &message,
            settings.body.as_deref().unwrap_or_default(),
        ));
    }
    let base = input.base(&Signed::Request(message));
    let base = base.map_err(|fault| faults.push(fault.to_string())).ok();
    let claimed = settings.base_string.as_deref();
    let claimed = claimed.map(|text| text.replace("\\n", "\n"));
    if let (Some(base), Some(claimed)) = (&base, claimed)
        && let Some(difference) = first_difference(base, &claimed)
    {
        faults.push(format!(
            "the bases differ first at byte {}, line {}: the server builds \"{}\", the client signed \"{}\"",
            difference.at_byte, difference.line, difference.ours, difference.theirs
        ));
    }
    let checked = base.as_ref().zip(settings.key.as_ref());
    Finding {
        label: label.to_owned(),
        signature_is_right: checked.map(|(base, key)| key.verify(base, signature)),
        faults,
        base,
    }
}

/// What is wrong with the digest of a body.
fn digest_fault(message: &Message<'_>, body: &[u8]) -> Option<String> {
    match read_content_digest(message.values("content-digest")) {
        Err(error) => Some(error.to_string()),
        Ok(digests) => {
            let mut check = BodyCheck::new(digests);
            check.update(body);
            let why = "the body is another than Content-Digest says: give it with --body-file";
            (!check.fits()).then(|| why.to_owned())
        }
    }
}

impl Finding {
    fn is_good(&self) -> bool {
        self.faults.is_empty() && self.signature_is_right != Some(false)
    }

    fn text(&self) -> String {
        let mut text = format!("signature  {}\n", self.label);
        for fault in &self.faults {
            let _ = writeln!(text, "fault      {fault}");
        }
        let right = match self.signature_is_right {
            Some(true) => "is right",
            Some(false) => "is not one of this request under this key",
            None => {
                "not checked: give the secret in WAYLEAVE_SECRET or --secret-file, or --public-key"
            }
        };
        let _ = writeln!(text, "key        {right}");
        if let Some(base) = &self.base {
            let _ = writeln!(text, "\nThe signature base:\n{base}");
        }
        text
    }

    fn json(&self) -> String {
        let body = json!({
            "label": self.label,
            "faults": self.faults,
            "signature_is_right": self.signature_is_right,
            "base_string": self.base,
            "good": self.is_good(),
        });
        format!("{body}\n")
    }
}
