//! Basic credentials, `Authorization: Basic base64(user ":" password)` (RFC 7617).

use crate::secret::SecretText;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The longest header value that is looked at, in bytes.
pub const MAX_VALUE_BYTES: usize = 8192;

const PADDING_OPTIONAL: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A user name and password as sent: nothing is trimmed and either may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicCredentials {
    /// The text before the first colon.
    pub user: String,
    /// Everything after the first colon, further colons included.
    pub password: SecretText,
}

/// Why a header value holds no Basic credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BasicError {
    /// The scheme is another, or nothing follows it.
    #[error("the Authorization header is not of the form: Basic <base64>")]
    NotBasic,
    /// The value is longer than [`MAX_VALUE_BYTES`].
    #[error("the Basic credentials are too long")]
    TooLong,
    /// What follows the scheme is not standard base64.
    #[error("the Basic credentials are not standard base64")]
    BadBase64,
    /// The decoded bytes are not UTF-8.
    #[error("the Basic credentials are not UTF-8 text")]
    NotUtf8,
    /// The decoded text has no colon.
    #[error("the Basic credentials have no colon between user and password")]
    NoColon,
}

/// Reads the value of an `Authorization` header (RFC 7617). The scheme word may be in any
/// letter case, the padding of the base64 may be missing, the text is split at the first
/// colon.
///
/// # Errors
/// See [`BasicError`]; all of them mean that nobody was named.
///
/// ```
/// use wayleave_protocol::basic;
/// let credentials = basic::parse(b"basic QWxhZGRpbjpvcGVuOnNlc2FtZQ").unwrap();
/// assert_eq!(credentials.user, "Aladdin");
/// assert_eq!(credentials.password.expose(), "open:sesame");
/// ```
pub fn parse(header_value: &[u8]) -> Result<BasicCredentials, BasicError> {
    if header_value.len() > MAX_VALUE_BYTES {
        return Err(BasicError::TooLong);
    }
    let value = header_value.trim_ascii();
    let (scheme, encoded) = value.split_at_checked(5).ok_or(BasicError::NotBasic)?;
    if !scheme.eq_ignore_ascii_case(b"basic") || encoded.first() != Some(&b' ') {
        return Err(BasicError::NotBasic);
    }
    let decoded = PADDING_OPTIONAL
        .decode(encoded.trim_ascii_start())
        .map_err(|_| BasicError::BadBase64)?;
    let text = String::from_utf8(decoded).map_err(|_| BasicError::NotUtf8)?;
    let text = SecretText::new(text);
    let (user, password) = text.expose().split_once(':').ok_or(BasicError::NoColon)?;
    Ok(BasicCredentials {
        user: user.to_owned(),
        password: SecretText::new(password.to_owned()),
    })
}

/// Strips CR and LF from the end, and nothing else.
///
/// The token dialect applies it to the password, because a widely copied recipe
/// (`echo key:secret | base64`) encodes the line feed along with the secret.
///
/// ```
/// use wayleave_protocol::basic::strip_trailing_newlines;
/// assert_eq!(strip_trailing_newlines("se\ncret \r\n"), "se\ncret ");
/// ```
pub fn strip_trailing_newlines(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}
