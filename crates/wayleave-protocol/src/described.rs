//! Signing schemes described as data (docs/described-schemes.md): these lines, joined, one HMAC.
//!
//! An operator writes down what another API made its clients sign, as a [`Description`]. It is
//! compiled once, into a [`DescribedScheme`], and that is where everything unsafe is refused: what
//! leaves the method, the path, the query or the time unsigned, and whatever would let two different
//! requests have one text. What is left is read by one rule: each part ends where a byte follows that
//! the part cannot hold, so that the text can be taken apart again in one way only.
//!
//! ```
//! use wayleave_protocol::Message;
//! use wayleave_protocol::described::{DescribedScheme, Description, TimeForm};
//! let description = Description {
//!     name: "acme".to_owned(),
//!     proof: vec!["Authorization: ACME {key-id}:{signature}".into(), "X-Acme-Time: {time}".into()],
//!     lines: ["{time}", "{method}", "{path-and-query}", "{body:sha256:hex}"].map(String::from).into(),
//!     time: "unix".to_owned(),
//!     ..Description::default()
//! };
//! let scheme = DescribedScheme::compile(&description).unwrap();
//! let time = TimeForm::Unix.format(1_805_192_428_000);
//! let mut message = Message {
//!     method: "POST", scheme: "https", authority: "api.example.com",
//!     path: "/orders", query: Some("dry=1"), fields: &[],
//! };
//! let headers = scheme.sign(&message, "K-1", &time, b"{}", b"secret").unwrap();
//! let fields: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
//! message.fields = &fields;
//! let request = scheme.read(&message).unwrap();
//! assert_eq!(request.check_time(1_805_192_430), Ok(()));
//! assert!(request.verify(b"{}", b"secret") && !request.verify(b"{ }", b"secret"));
//! ```

mod compile;
mod form;
mod part;
mod template;

pub use form::{Encoding, Hash, TimeForm};

use crate::Message;
use crate::body_digest::BodyDigest;
use form::SecretForm;
use part::Part;
use serde::Deserialize;
use std::fmt;
use subtle::ConstantTimeEq as _;
use template::ProofHeader;

/// The widest window that a description may ask for, in seconds.
pub const LONGEST_WINDOW_S: i64 = 900;

/// The window of a description that does not say one, in seconds.
pub const DEFAULT_WINDOW_S: i64 = 300;

/// A scheme as its operator describes it. The words are explained in docs/described-schemes.md.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// By which routes call it.
    pub name: String,
    /// The headers with `{key-id}`, `{signature}` and `{time}`, each as `Name: form`.
    pub proof: Vec<String>,
    /// What is signed, in order: texts with parts such as `{method}` in them.
    pub lines: Vec<String>,
    /// What stands between two lines.
    #[serde(default = "default_separator")]
    pub separator: String,
    /// The hash of the HMAC: `sha256` or `sha512`.
    #[serde(default = "default_digest")]
    pub digest: String,
    /// How the signature is written: `base64`, `base64url`, `hex` or `hex-upper`.
    #[serde(default = "default_encoding")]
    pub encoding: String,
    /// What of the secret is the key: its `text`, or the bytes that it stands for as `base64`,
    /// `base64url` or `hex`.
    #[serde(default = "default_secret")]
    pub secret: String,
    /// The form of the time: `rfc1123`, `unix`, `unix-ms`, `iso8601`, `iso8601-ms` or
    /// `iso8601-basic`.
    #[serde(default)]
    pub time: String,
    /// How far the time may be from the server's clock, in seconds, either way, inclusive.
    #[serde(default = "default_window_s")]
    pub window_s: i64,
    /// The signed header that holds the digest of the body, such as
    /// `Digest: SHA-256={sha256:base64}`.
    pub body_digest: Option<String>,
    /// `none` (a request with a body is refused) or `unsigned`, where the lines do not bind it.
    pub body: Option<String>,
}

fn default_separator() -> String {
    "\n".to_owned()
}

fn default_digest() -> String {
    "sha256".to_owned()
}

fn default_encoding() -> String {
    "base64".to_owned()
}

fn default_secret() -> String {
    "text".to_owned()
}

fn default_window_s() -> i64 {
    DEFAULT_WINDOW_S
}

impl Default for Description {
    /// The defaults of the configuration; name, proof, lines and time are still to be given.
    fn default() -> Self {
        Self {
            name: String::new(),
            proof: Vec::new(),
            lines: Vec::new(),
            separator: default_separator(),
            digest: default_digest(),
            encoding: default_encoding(),
            secret: default_secret(),
            time: String::new(),
            window_s: DEFAULT_WINDOW_S,
            body_digest: None,
            body: None,
        }
    }
}

/// Why a description is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {why}")]
pub struct DescriptionError {
    /// The key at fault, such as `lines`.
    pub key: &'static str,
    /// What is wrong with it and what would be right.
    pub why: String,
}

/// Why a request is refused whatever its signature is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DescribedError {
    /// No header of the proof is there.
    #[error("no proof: the headers of the scheme are missing")]
    NoProof,
    /// A header of the proof, or a signed one, is not there.
    #[error("the header {0} is missing")]
    Missing(Box<str>),
    /// A header of the proof, or a signed one, is there more than once.
    #[error("the header {0} came more than once")]
    Repeated(Box<str>),
    /// A header of the proof is not of its form.
    #[error("the header {0} is not of the form that the scheme gives it")]
    Malformed(Box<str>),
    /// The time is not of its form.
    #[error("the time of signing is not {0}")]
    Time(TimeForm),
    /// It is too far from the server's clock.
    #[error("the time of signing is {skew_s} s from the server's clock; {window_s} s are allowed")]
    OutsideWindow {
        /// Time of signing less server clock, in seconds: negative when the request is old.
        skew_s: i64,
        /// What is allowed.
        window_s: i64,
    },
    /// A signed part holds what ends it, so that it could be read in another way.
    #[error("the {0} can be read in more than one way under this scheme")]
    Ambiguous(Box<str>),
}

impl DescribedError {
    /// Whether the request itself is at fault and not its proof: the caller answers 400, else 401.
    pub fn is_bad_request(&self) -> bool {
        matches!(self, Self::Repeated(_) | Self::Ambiguous(_))
    }
}

/// What the signature says of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// It is in the signed text: [`Request::verify`] has to be given all of it.
    Whole,
    /// It has to have this digest, which is signed.
    Digest(BodyDigest),
    /// There must be none.
    Empty,
    /// Nothing.
    Unsigned,
}

/// How the lines bind the body.
#[derive(Clone, Debug)]
enum BodyBinding {
    Whole,
    Header(template::DigestHeader),
    None,
    Unsigned,
}

/// A compiled description: safe, and quick to verify by.
#[derive(Clone, Debug)]
pub struct DescribedScheme {
    name: Box<str>,
    proof: Vec<ProofHeader>,
    parts: Vec<Part>,
    hash: Hash,
    encoding: Encoding,
    secret: SecretForm,
    time: TimeForm,
    window_s: i64,
    body: BodyBinding,
}

impl DescribedScheme {
    /// Checks a description and makes it quick.
    ///
    /// # Errors
    /// See [`DescriptionError`].
    pub fn compile(description: &Description) -> Result<Self, DescriptionError> {
        compile::compile(description)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The form of the time of signing.
    pub fn time_form(&self) -> TimeForm {
        self.time
    }

    /// How far the time of signing may be from the server's clock, in seconds, either way.
    pub fn window_s(&self) -> i64 {
        self.window_s
    }

    /// The header with the digest of a body, name in small letters, as a client sends it; `None` where
    /// the scheme has no such header.
    pub fn body_digest_header(&self, body: &[u8]) -> Option<(String, String)> {
        match &self.body {
            BodyBinding::Header(header) => Some((header.name.to_string(), header.write(body))),
            _ => None,
        }
    }

    /// Whether the host is signed.
    pub fn signs_host(&self) -> bool {
        self.parts.contains(&Part::Host)
    }

    /// The names of the headers that carry the proof, in small letters. They are not for the API
    /// behind, but for those that carry nothing but the time.
    pub fn proof_headers(&self) -> impl Iterator<Item = &str> {
        let secret = self.proof.iter().filter(|header| !header.is_time_alone());
        secret.map(|header| &*header.name)
    }

    /// Whether a request shows a signature of this scheme, right or wrong. Where the form of the header
    /// begins with a text, such as a word in `Authorization`, the value has to begin with it.
    /// `first_value`: that of a header, its name in small letters.
    pub fn is_presented<'v>(&self, first_value: impl Fn(&str) -> Option<&'v [u8]>) -> bool {
        let mut carriers = self.proof.iter().filter(|header| header.is_signature());
        carriers.any(|header| first_value(&header.name).is_some_and(|value| header.is_meant(value)))
    }

    /// Reads a request: what it shows, and whether every part can be read in one way. Its time is
    /// checked by [`Request::check_time`].
    ///
    /// # Errors
    /// See [`DescribedError`].
    pub fn read<'a>(&'a self, message: &Message<'a>) -> Result<Request<'a>, DescribedError> {
        if !self.is_presented(|name| message.values(name).next()) {
            return Err(DescribedError::NoProof);
        }
        let mut shown = Shown::default();
        for header in &self.proof {
            let value = one_value(message, &header.name)?
                .ok_or_else(|| DescribedError::Missing(header.name.clone()))?;
            header
                .read(value, &mut shown)
                .ok_or_else(|| DescribedError::Malformed(header.name.clone()))?;
        }
        self.request(message, shown)
    }

    fn request<'a>(
        &'a self,
        message: &Message<'a>,
        shown: Shown<'a>,
    ) -> Result<Request<'a>, DescribedError> {
        let time = self.time.parse(shown.time);
        let time = time.ok_or(DescribedError::Time(self.time))?;
        let request = Request {
            scheme: self,
            message: *message,
            shown,
            unix_s: time,
            body: self.body_rule(message)?,
        };
        self.parts
            .iter()
            .try_for_each(|part| part.check(&request))?;
        Ok(request)
    }

    fn body_rule(&self, message: &Message<'_>) -> Result<BodyRule, DescribedError> {
        match &self.body {
            BodyBinding::Whole => Ok(BodyRule::Whole),
            BodyBinding::None => Ok(BodyRule::Empty),
            BodyBinding::Unsigned => Ok(BodyRule::Unsigned),
            BodyBinding::Header(header) => match one_value(message, &header.name)? {
                None => Ok(BodyRule::Empty),
                Some(value) => header
                    .read(value)
                    .map(BodyRule::Digest)
                    .ok_or_else(|| DescribedError::Malformed(header.name.clone())),
            },
        }
    }

    /// Signs as a client does: the headers of the proof, names in small letters, with their values.
    /// `message` has every other header that is signed; `time` is of the scheme's form.
    ///
    /// # Errors
    /// See [`DescribedError`].
    pub fn sign(
        &self,
        message: &Message<'_>,
        key_id: &str,
        time: &str,
        body: &[u8],
        secret: &[u8],
    ) -> Result<Vec<(String, String)>, DescribedError> {
        let shown = Shown {
            key_id,
            time,
            signature: "",
        };
        let request = self.request(message, shown)?;
        request.check_body(body)?;
        let signature = request.mac(body, secret);
        let shown = Shown {
            key_id,
            time,
            signature: &signature,
        };
        let headers = self.proof.iter();
        Ok(headers
            .map(|header| (header.name.to_string(), header.write(&shown)))
            .collect())
    }
}

impl fmt::Display for DescribedScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What the headers of the proof say.
#[derive(Clone, Copy, Debug, Default)]
struct Shown<'a> {
    key_id: &'a str,
    time: &'a str,
    signature: &'a str,
}

/// A request that can be verified: read, and found to have one meaning.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    scheme: &'a DescribedScheme,
    message: Message<'a>,
    shown: Shown<'a>,
    unix_s: i64,
    body: BodyRule,
}

impl<'a> Request<'a> {
    /// The id of the key, as written.
    pub fn key_id(&self) -> &'a str {
        self.shown.key_id
    }

    /// The signature, as written; what [`Self::verify`] takes has one form only.
    pub fn signature(&self) -> &'a str {
        self.shown.signature
    }

    /// When it was signed, in Unix seconds.
    pub fn signed_at_s(&self) -> i64 {
        self.unix_s
    }

    /// What the signature says of the body.
    pub fn body(&self) -> &BodyRule {
        &self.body
    }

    /// Checks the time of signing against the clock: at most the scheme's window apart, either way,
    /// inclusive, in whole seconds.
    ///
    /// # Errors
    /// [`DescribedError::OutsideWindow`].
    pub fn check_time(&self, now_unix_s: i64) -> Result<(), DescribedError> {
        let skew_s = self.unix_s.saturating_sub(now_unix_s);
        let window_s = self.scheme.window_s;
        if (-window_s..=window_s).contains(&skew_s) {
            Ok(())
        } else {
            Err(DescribedError::OutsideWindow { skew_s, window_s })
        }
    }

    /// Checks that a body can be told from what is signed before it. `body`: as for [`Self::text`].
    ///
    /// # Errors
    /// [`DescribedError::Ambiguous`].
    pub fn check_body(&self, body: &[u8]) -> Result<(), DescribedError> {
        if self.scheme.parts.iter().all(|part| part.fits_body(body)) {
            Ok(())
        } else {
            Err(DescribedError::Ambiguous("body".into()))
        }
    }

    /// The text that is signed. `body`: as received; looked at only for [`BodyRule::Whole`].
    pub fn text(&self, body: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(256);
        self.write(body, &mut |bytes| text.extend_from_slice(bytes));
        text
    }

    /// Whether the signature fits. Comparison is in constant time. `body`: as for [`Self::text`].
    pub fn verify(&self, body: &[u8], secret: &[u8]) -> bool {
        let ours = self.mac(body, secret);
        ours.as_bytes()
            .ct_eq(self.shown.signature.as_bytes())
            .into()
    }

    fn mac(&self, body: &[u8], secret: &[u8]) -> String {
        let key = self.scheme.secret.key(secret);
        let mac = self.scheme.hash.mac(&key, |sink| self.write(body, sink));
        self.scheme.encoding.write(&mac)
    }

    fn write(&self, body: &[u8], sink: &mut dyn FnMut(&[u8])) {
        for part in &self.scheme.parts {
            part.write(self, body, sink);
        }
    }
}

/// The value of a header that may come once.
fn one_value<'a>(message: &Message<'a>, name: &str) -> Result<Option<&'a [u8]>, DescribedError> {
    let mut values = message.values(name);
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(DescribedError::Repeated(name.into())),
    }
}
