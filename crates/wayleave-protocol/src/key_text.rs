//! How Wayleave writes its ids and secrets (docs/keys.md):
//!
//! ```text
//! wl_sgn_live_flDIBkGwcRKRL9GXCgaFM3UNu2jQTC0TO3Iy
//! |  |   |    |                             |
//! |  |   |    30 base62 symbols (178 bits)  6 base62 symbols: CRC-32
//! |  |   environment: live, test, all
//! |  kind
//! mark of this program
//! ```
//!
//! The check covers everything before it, so that kind and environment cannot be altered and
//! a typing slip is told apart from an unknown key without asking the server. It is a check
//! against accidents and lets scanners recognise a leaked key; it proves nothing.

use std::fmt;

const SYMBOLS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const MARK: &str = "wl";
const RANDOM_SYMBOLS: usize = 30;
const CHECK_SYMBOLS: usize = 6;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// `cid`: public id of an OAuth client.
    ClientId,
    /// `csk`: secret of an OAuth client.
    ClientSecret,
    /// `key`: public id of a key pair of the token dialect.
    ApiKey,
    /// `sec`: secret of a key pair of the token dialect.
    ApiSecret,
    /// `sgn`: secret that signs requests or webhooks.
    SigningSecret,
    /// `opr`: token of an operator.
    OperatorToken,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::ClientId,
        Self::ClientSecret,
        Self::ApiKey,
        Self::ApiSecret,
        Self::SigningSecret,
        Self::OperatorToken,
    ];

    /// The three letters that name the kind in the text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientId => "cid",
            Self::ClientSecret => "csk",
            Self::ApiKey => "key",
            Self::ApiSecret => "sec",
            Self::SigningSecret => "sgn",
            Self::OperatorToken => "opr",
        }
    }

    /// Whether the whole text may be shown again and logged (ids), or not (secrets).
    pub fn is_public(self) -> bool {
        matches!(self, Self::ClientId | Self::ApiKey)
    }
}

/// The environment that a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyEnvironment {
    /// `live`: real customers and real money.
    Live,
    /// `test`: the sandbox.
    Test,
    /// `all`: either; for operator tokens.
    Any,
}

impl KeyEnvironment {
    /// Every environment.
    pub const ALL: [Self; 3] = [Self::Live, Self::Test, Self::Any];

    /// The word that names the environment in the text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
            Self::Any => "all",
        }
    }
}

/// What a key says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyText {
    /// What it is for.
    pub kind: KeyKind,
    /// Where it is valid.
    pub environment: KeyEnvironment,
}

/// Why a text is not a key. The messages never repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyTextError {
    /// It does not begin with `wl_`.
    #[error(
        "this is not a Wayleave key: it does not begin with wl_; copy the whole key as it was shown"
    )]
    NotOurs,
    /// The second part names no kind.
    #[error("this key is of an unknown kind; check that its beginning was copied unaltered")]
    UnknownKind,
    /// The third part names no environment.
    #[error("this key names an unknown environment; expected live, test or all as its third part")]
    UnknownEnvironment,
    /// The length or the alphabet of the last part is wrong.
    #[error(
        "this key is incomplete or has characters that no key has; copy the whole key again, without blanks"
    )]
    Malformed,
    /// The check symbols do not fit the rest.
    #[error(
        "this key was altered or mistyped: its check symbols do not fit; copy the whole key again"
    )]
    Checksum,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for KeyEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes a new key from 32 random bytes: 48 characters, 47 when the environment is
/// [`KeyEnvironment::Any`]. The caller holds the result as a secret unless the kind is
/// public.
///
/// ```
/// use wayleave_protocol::key_text::{compose, inspect, KeyEnvironment, KeyKind, KeyText};
/// let text = compose(KeyKind::ClientSecret, KeyEnvironment::Live, &[7; 32]);
/// assert_eq!(text.len(), 48);
/// assert!(text.starts_with("wl_csk_live_"));
/// assert_eq!(
///     inspect(&text),
///     Ok(KeyText { kind: KeyKind::ClientSecret, environment: KeyEnvironment::Live })
/// );
/// ```
pub fn compose(kind: KeyKind, environment: KeyEnvironment, random: &[u8; 32]) -> String {
    let mut text = String::with_capacity(48);
    for part in [MARK, kind.as_str(), environment.as_str()] {
        text.push_str(part);
        text.push('_');
    }
    push_random(&mut text, random);
    let check = check_symbols(text.as_bytes());
    text.extend(check.map(char::from));
    text
}

/// Reads what a key says about itself and checks it, without any store.
///
/// # Errors
/// See [`KeyTextError`]; the first thing that does not fit, from left to right.
///
/// ```
/// use wayleave_protocol::key_text::{inspect, KeyTextError};
/// assert_eq!(inspect("sk_live_123"), Err(KeyTextError::NotOurs));
/// assert_eq!(inspect("wl_csk_live_123"), Err(KeyTextError::Malformed));
/// ```
pub fn inspect(text: &str) -> Result<KeyText, KeyTextError> {
    let mut parts = text.splitn(4, '_');
    if parts.next() != Some(MARK) {
        return Err(KeyTextError::NotOurs);
    }
    let (kind, environment, rest) = (parts.next(), parts.next(), parts.next());
    if kind.is_none() {
        return Err(KeyTextError::NotOurs);
    }
    let kind = KeyKind::ALL
        .into_iter()
        .find(|known| Some(known.as_str()) == kind)
        .ok_or(KeyTextError::UnknownKind)?;
    let environment = KeyEnvironment::ALL
        .into_iter()
        .find(|known| Some(known.as_str()) == environment)
        .ok_or(KeyTextError::UnknownEnvironment)?;
    check_rest(text, rest.unwrap_or_default())?;
    Ok(KeyText { kind, environment })
}

fn check_rest(text: &str, rest: &str) -> Result<(), KeyTextError> {
    let well_formed = rest.len() == RANDOM_SYMBOLS + CHECK_SYMBOLS
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !well_formed {
        return Err(KeyTextError::Malformed);
    }
    let (covered, check) = text.as_bytes().split_at(text.len() - CHECK_SYMBOLS);
    if check_symbols(covered) != check {
        return Err(KeyTextError::Checksum);
    }
    Ok(())
}

/// The lowest 30 base62 digits of the random number; its 256 bits against their 178 keep
/// the symbols even to within 2^-77.
fn push_random(text: &mut String, random: &[u8; 32]) {
    let mut number = *random;
    for _ in 0..RANDOM_SYMBOLS {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = remainder << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        text.push(char::from(SYMBOLS[remainder as usize]));
    }
    crate::secret::overwrite(&mut number);
}

fn check_symbols(covered: &[u8]) -> [u8; CHECK_SYMBOLS] {
    let mut check = crc32fast::hash(covered);
    let mut symbols = [b'0'; CHECK_SYMBOLS];
    for symbol in symbols.iter_mut().rev() {
        *symbol = SYMBOLS[(check % 62) as usize];
        check /= 62;
    }
    symbols
}
