//! The forms that a description chooses from: hashes, encodings, times.

use crate::body_digest::BodyDigest;
use crate::{hex, http_date, iso8601};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};
use std::borrow::Cow;
use std::fmt;

/// A hash of the SHA-2 family. Older ones are not safe enough to bind anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The hash of a word. Errors: what is wrong with it.
    pub(super) fn parse(word: &str) -> Result<Self, String> {
        match word {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            "md5" | "sha1" => Err(format!(
                "is {word}, which is broken and not accepted: have the clients use sha256 or sha512"
            )),
            _ => Err(format!("is {word}; known are: sha256, sha512")),
        }
    }

    /// The digest of some bytes.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// What a body must be to have a digest; `None` where the digest has another length.
    pub(super) fn expected(self, digest: &[u8]) -> Option<BodyDigest> {
        match self {
            Self::Sha256 => digest.try_into().ok().map(BodyDigest::Sha256),
            Self::Sha512 => {
                let digest: [u8; 64] = digest.try_into().ok()?;
                Some(BodyDigest::Sha512(Box::new(digest)))
            }
        }
    }

    /// The HMAC of what `write` writes.
    pub(super) fn mac(self, key: &[u8], write: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Vec<u8> {
        const ANY_LENGTH: &str = "HMAC takes keys of any length (RFC 2104)";
        match self {
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_LENGTH);
                write(&mut |bytes| mac.update(bytes));
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY_LENGTH);
                write(&mut |bytes| mac.update(bytes));
                mac.finalize().into_bytes().to_vec()
            }
        }
    }
}

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Base64 with padding (RFC 4648 4).
    Base64,
    /// Base64 for URLs, without padding (RFC 4648 5).
    Base64Url,
    /// Small hexadecimal digits.
    Hex,
    /// Capital hexadecimal digits.
    HexUpper,
}

impl Encoding {
    /// The encoding of a word. Errors: what is wrong with it.
    pub(super) fn parse(word: &str) -> Result<Self, String> {
        match word {
            "base64" => Ok(Self::Base64),
            "base64url" => Ok(Self::Base64Url),
            "hex" => Ok(Self::Hex),
            "hex-upper" => Ok(Self::HexUpper),
            _ => Err(format!(
                "is {word}; known are: base64, base64url, hex, hex-upper"
            )),
        }
    }

    /// Writes bytes.
    pub fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
            Self::Hex => hex::lower(bytes),
            Self::HexUpper => hex::upper(bytes),
        }
    }

    /// Reads bytes back, hexadecimal digits in either case.
    pub fn read(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Base64 => STANDARD.decode(text).ok(),
            Self::Base64Url => URL_SAFE_NO_PAD.decode(text).ok(),
            Self::Hex | Self::HexUpper => unhex(text),
        }
    }

    /// Whether its texts can hold a byte.
    pub(super) fn holds(self, byte: u8) -> bool {
        match self {
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Base64Url => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Self::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Self::HexUpper => matches!(byte, b'0'..=b'9' | b'A'..=b'F'),
        }
    }
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_chunks::<2>() else {
        return None;
    };
    let byte = |[high, low]: &[u8; 2]| Some(hex::digit(*high)? << 4 | hex::digit(*low)?);
    pairs.iter().map(byte).collect()
}

/// What of a secret is the key of the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecretForm {
    Text,
    Encoded(Encoding),
}

impl SecretForm {
    /// The form of a word. Errors: what is wrong with it.
    pub(super) fn parse(word: &str) -> Result<Self, String> {
        match word {
            "text" => Ok(Self::Text),
            "base64" => Ok(Self::Encoded(Encoding::Base64)),
            "base64url" => Ok(Self::Encoded(Encoding::Base64Url)),
            "hex" => Ok(Self::Encoded(Encoding::Hex)),
            _ => Err(format!(
                "is {word}; known are: text, base64, base64url, hex"
            )),
        }
    }

    /// The key. A secret that is not of the form fits no signature of a client, so that its text
    /// serves as well as anything.
    pub(super) fn key(self, secret: &[u8]) -> Cow<'_, [u8]> {
        let decoded = match self {
            Self::Text => None,
            Self::Encoded(Encoding::Base64) => {
                let unpadded = secret.trim_ascii_end();
                let end = unpadded.iter().rposition(|byte| *byte != b'=');
                let unpadded = &unpadded[..end.map_or(0, |last| last + 1)];
                STANDARD_NO_PAD.decode(unpadded).ok()
            }
            Self::Encoded(encoding) => encoding.read(secret),
        };
        decoded.map_or(Cow::Borrowed(secret), Cow::Owned)
    }
}

/// How the time of signing is written. Each form has one text for each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeForm {
    /// `Tue, 16 Mar 2027 10:20:28 GMT`.
    Rfc1123,
    /// Seconds since 1970-01-01T00:00:00Z.
    Unix,
    /// Milliseconds since then.
    UnixMs,
    /// `2027-03-16T10:20:28Z`.
    Iso8601,
    /// `2027-03-16T10:20:28.500Z`.
    Iso8601Ms,
    /// `20270316T102028Z`.
    Iso8601Basic,
}

impl TimeForm {
    /// The form of a word. Errors: what is wrong with it.
    pub(super) fn parse_word(word: &str) -> Result<Self, String> {
        const KNOWN: &str = "rfc1123, unix, unix-ms, iso8601, iso8601-ms, iso8601-basic";
        match word {
            "rfc1123" => Ok(Self::Rfc1123),
            "unix" => Ok(Self::Unix),
            "unix-ms" => Ok(Self::UnixMs),
            "iso8601" => Ok(Self::Iso8601),
            "iso8601-ms" => Ok(Self::Iso8601Ms),
            "iso8601-basic" => Ok(Self::Iso8601Basic),
            "" => Err(format!("is missing; known are: {KNOWN}")),
            _ => Err(format!("is {word}; known are: {KNOWN}")),
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z, parts of a second cut off; `None` where the text is not
    /// of the form.
    pub fn parse(self, text: &str) -> Option<i64> {
        match self {
            Self::Rfc1123 => http_date::parse(text),
            Self::Unix => digits(text),
            Self::UnixMs => digits(text).map(|ms| ms.div_euclid(1000)),
            Self::Iso8601 => iso8601::parse_extended(text),
            Self::Iso8601Ms => iso8601::parse_extended_ms(text).map(|ms| ms.div_euclid(1000)),
            Self::Iso8601Basic => iso8601::parse_basic(text),
        }
    }

    /// The text of a time in milliseconds since 1970-01-01T00:00:00Z.
    pub fn format(self, unix_ms: i64) -> String {
        let unix_s = unix_ms.div_euclid(1000);
        match self {
            Self::Rfc1123 => http_date::format(unix_s),
            Self::Unix => unix_s.to_string(),
            Self::UnixMs => unix_ms.to_string(),
            Self::Iso8601 => http_date::format_rfc3339(unix_s),
            Self::Iso8601Ms => iso8601::format_extended_ms(unix_ms),
            Self::Iso8601Basic => iso8601::format_basic(unix_s),
        }
    }

    /// Whether all its texts have one length.
    pub(super) fn is_fixed(self) -> bool {
        !matches!(self, Self::Unix | Self::UnixMs)
    }

    /// Whether its texts can begin with a byte.
    pub(super) fn begins(self, byte: u8) -> bool {
        match self {
            Self::Rfc1123 => byte.is_ascii_uppercase(),
            _ => byte.is_ascii_digit(),
        }
    }
}

impl fmt::Display for TimeForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rfc1123 => "of the form Tue, 16 Mar 2027 10:20:28 GMT",
            Self::Unix => "in whole seconds since 1970, such as 1805192428",
            Self::UnixMs => "in milliseconds since 1970, such as 1805192428500",
            Self::Iso8601 => "of the form 2027-03-16T10:20:28Z",
            Self::Iso8601Ms => "of the form 2027-03-16T10:20:28.500Z",
            Self::Iso8601Basic => "of the form 20270316T102028Z",
        })
    }
}

/// A number without a sign or leading zeros, of at most 15 digits.
fn digits(text: &str) -> Option<i64> {
    let is_number = (1..=15).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && !text.starts_with('0');
    is_number.then(|| text.parse().ok())?
}
