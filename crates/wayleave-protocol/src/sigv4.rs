//! AWS Signature Version 4 in the form with an `Authorization` header (docs/aws-sigv4.md):
//!
//! ```text
//! Authorization: AWS4-HMAC-SHA256 Credential=<key id>/20270316/eu-central-1/orders/aws4_request,
//!     SignedHeaders=host;x-amz-date, Signature=<64 hexadecimal digits>
//! X-Amz-Date: 20270316T102028Z
//! ```
//!
//! A request is read once, without the secret ([`Request::read`]); the strings that may have been
//! signed are built once ([`Request::strings_to_sign`]), and each secret then costs five HMACs.
//!
//! The published rules let some different requests have one signature. Those are refused here
//! before anything is compared: a path with dot segments or repeated slashes, a parameter given
//! twice, a `%` that escapes nothing. Also refused: the form with the signature in the query, bodies
//! signed in chunks, and a body whose hash is not signed.

mod authorization;
mod canonical;

pub use authorization::{Presented, is_presented, parse_authorization};
pub use canonical::canonical_request;

use crate::{Message, hex, http_date, iso8601};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The first word of the `Authorization` header and of the string to sign.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How far the time of signing may be from the server's clock, in seconds, either way, inclusive.
pub const WINDOW_S: i64 = 300;

/// The last part of every scope, and the last step of every derived key.
const TERMINATOR: &str = "aws4_request";

/// What stands for the hash of a body that was not signed.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The SHA-256 of no bytes.
const EMPTY_HASH: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Why a request is refused whatever its signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Sigv4Error {
    /// Neither header with the time is there once, in its form.
    #[error(
        "the time of signing is missing or unreadable: send X-Amz-Date, such as 20270316T102028Z"
    )]
    Time,
    /// The day in the scope is not the day of signing.
    #[error("the day in the credential's scope is not the day of X-Amz-Date")]
    ScopeDay,
    /// It is too far from the server's clock.
    #[error("the time of signing is {skew_s} s from the server's clock; {WINDOW_S} s are allowed")]
    OutsideWindow {
        /// Time of signing less server clock, in seconds: negative when the request is old.
        skew_s: i64,
    },
    /// `host` is not among the signed headers.
    #[error("the host header is not signed: it has to be among the SignedHeaders")]
    HostUnsigned,
    /// An `x-amz-` header of the request is not among the signed headers.
    #[error("an X-Amz- header is not signed: all but X-Amz-Security-Token have to be")]
    HeaderUnsigned,
    /// A signed header is not in the request.
    #[error("a header that is named in SignedHeaders is not in the request")]
    HeaderMissing,
    /// `x-amz-content-sha256` is there twice or is no SHA-256 in hexadecimal digits.
    #[error(
        "X-Amz-Content-Sha256 is not the SHA-256 of the body in 64 hexadecimal digits; bodies signed in chunks are not accepted"
    )]
    ContentHash,
    /// The path has a dot segment or a repeated slash.
    #[error("the path can be read in more than one way: it has a dot segment or a double slash")]
    AmbiguousPath,
    /// A parameter is there twice, letter case of A to Z ignored.
    #[error("a parameter is given more than once")]
    DuplicateName,
    /// A percent sign escapes nothing.
    #[error("the query has a percent sign that two hexadecimal digits do not follow")]
    BrokenEscape,
}

impl Sigv4Error {
    /// Whether the request itself is at fault and not its proof: the caller answers 400, else 401.
    pub fn is_bad_request(self) -> bool {
        matches!(
            self,
            Self::AmbiguousPath | Self::DuplicateName | Self::BrokenEscape
        )
    }
}

/// How the hash of the body got into the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// As `x-amz-content-sha256`: this is the SHA-256 that the body must have.
    Header([u8; 32]),
    /// Not at all (`UNSIGNED-PAYLOAD`): there must be no body.
    Unsigned,
    /// No header says it, so it is the SHA-256 of the body as received.
    OfBody,
}

/// A request that can be verified: read, and found to have one meaning.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    message: Message<'a>,
    presented: Presented<'a>,
    unix_s: i64,
    payload: Payload,
}

impl<'a> Request<'a> {
    /// Reads a request with what its `Authorization` header says. Its time is checked by
    /// [`Self::check_time`].
    ///
    /// # Errors
    /// See [`Sigv4Error`].
    pub fn read(message: &Message<'a>, presented: &Presented<'a>) -> Result<Self, Sigv4Error> {
        let unix_s = time_of_signing(message).ok_or(Sigv4Error::Time)?;
        if iso8601::format_basic(unix_s).get(..8) != Some(presented.day) {
            return Err(Sigv4Error::ScopeDay);
        }
        check_signed_headers(message, presented)?;
        canonical::check_path(message.path)?;
        canonical::check_query(message.query)?;
        Ok(Self {
            message: *message,
            presented: *presented,
            unix_s,
            payload: payload(message)?,
        })
    }

    /// Checks the time of signing: at most [`WINDOW_S`] from the clock, either way, inclusive.
    ///
    /// # Errors
    /// [`Sigv4Error::OutsideWindow`].
    pub fn check_time(&self, now_unix_s: i64) -> Result<(), Sigv4Error> {
        let skew_s = self.unix_s.saturating_sub(now_unix_s);
        if (-WINDOW_S..=WINDOW_S).contains(&skew_s) {
            Ok(())
        } else {
            Err(Sigv4Error::OutsideWindow { skew_s })
        }
    }

    /// When it was signed, in Unix seconds.
    pub fn signed_at_s(&self) -> i64 {
        self.unix_s
    }

    /// How the hash of the body got into the signature.
    pub fn payload(&self) -> Payload {
        self.payload
    }

    /// The SHA-256 that the body must have for the signature to cover it. `of_body`: that of the
    /// body as received, which counts where no header says it.
    pub fn body_sha256(&self, of_body: [u8; 32]) -> [u8; 32] {
        match self.payload {
            Payload::Header(hash) => hash,
            Payload::Unsigned => EMPTY_HASH,
            Payload::OfBody => of_body,
        }
    }

    /// The strings that may have been signed: one, or two where the query has characters that some
    /// clients escape before signing and others sign as they are. `of_body`: see
    /// [`Self::body_sha256`].
    pub fn strings_to_sign(&self, of_body: [u8; 32]) -> Vec<String> {
        self.canonical_requests(of_body)
            .iter()
            .map(|canonical| string_to_sign(&self.presented, self.unix_s, canonical))
            .collect()
    }

    /// The canonical requests behind [`Self::strings_to_sign`], to show.
    pub fn canonical_requests(&self, of_body: [u8; 32]) -> Vec<Vec<u8>> {
        let hash = match self.payload {
            Payload::Unsigned => UNSIGNED_PAYLOAD.to_owned(),
            _ => hex::lower(&self.body_sha256(of_body)),
        };
        canonical::candidates(&self.message, &self.presented, &hash)
    }

    /// Whether the signature fits one of the strings. Comparison is in constant time.
    pub fn verify(&self, strings_to_sign: &[String], secret: &[u8]) -> bool {
        let key = derived_key(secret, &self.presented);
        let fits = |text: &String| {
            let ours = hex::lower(&mac(&key, text.as_bytes()));
            bool::from(ours.as_bytes().ct_eq(self.presented.signature.as_bytes()))
        };
        strings_to_sign.iter().any(fits)
    }
}

/// The string to sign for a canonical request.
pub fn string_to_sign(presented: &Presented<'_>, unix_s: i64, canonical_request: &[u8]) -> String {
    let Presented {
        day,
        region,
        service,
        ..
    } = presented;
    let time = iso8601::format_basic(unix_s);
    let hash = hex::lower(&Sha256::digest(canonical_request));
    format!("{ALGORITHM}\n{time}\n{day}/{region}/{service}/{TERMINATOR}\n{hash}")
}

/// Signs a string: 64 hexadecimal digits. `secret` is used as its UTF-8 text; day, region and
/// service of the scope make the key.
pub fn sign(presented: &Presented<'_>, secret: &[u8], string_to_sign: &str) -> String {
    hex::lower(&mac(
        &derived_key(secret, presented),
        string_to_sign.as_bytes(),
    ))
}

fn derived_key(secret: &[u8], presented: &Presented<'_>) -> [u8; 32] {
    let mut first = Vec::with_capacity(4 + secret.len());
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret);
    let of_day = mac(&first, presented.day.as_bytes());
    let of_region = mac(&of_day, presented.region.as_bytes());
    let of_service = mac(&of_region, presented.service.as_bytes());
    mac(&of_service, TERMINATOR.as_bytes())
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mac =
        Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104)");
    mac.chain_update(text).finalize().into_bytes().into()
}

/// `X-Amz-Date`, or else `Date` in either form; each at most once.
fn time_of_signing(message: &Message<'_>) -> Option<i64> {
    match only(message, "x-amz-date") {
        Err(()) => None,
        Ok(Some(text)) => iso8601::parse_basic(text),
        Ok(None) => {
            let text = only(message, "date").ok()??;
            iso8601::parse_basic(text).or_else(|| http_date::parse(text))
        }
    }
}

/// The value of a header that may come once. Errors: it came twice or is no text.
fn only<'a>(message: &Message<'a>, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = message.values(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => std::str::from_utf8(value).map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

fn check_signed_headers(
    message: &Message<'_>,
    presented: &Presented<'_>,
) -> Result<(), Sigv4Error> {
    if !presented.signs("host") {
        return Err(Sigv4Error::HostUnsigned);
    }
    let is_there = |name: &str| name == "host" || message.values(name).next().is_some();
    if !presented.signed_headers().all(is_there) {
        return Err(Sigv4Error::HeaderMissing);
    }
    // A session token may be added after signing; it means nothing here.
    let may_be_unsigned = |name: &str| {
        !name.starts_with("x-amz-") || name == "x-amz-security-token" || presented.signs(name)
    };
    if message.fields.iter().all(|(name, _)| may_be_unsigned(name)) {
        Ok(())
    } else {
        Err(Sigv4Error::HeaderUnsigned)
    }
}

fn payload(message: &Message<'_>) -> Result<Payload, Sigv4Error> {
    match only(message, "x-amz-content-sha256") {
        Err(()) => Err(Sigv4Error::ContentHash),
        Ok(None) => Ok(Payload::OfBody),
        Ok(Some(UNSIGNED_PAYLOAD)) => Ok(Payload::Unsigned),
        Ok(Some(digits)) => authorization::hash(digits)
            .map(Payload::Header)
            .ok_or(Sigv4Error::ContentHash),
    }
}

/// The SHA-256 of a body.
pub fn body_hash(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}
