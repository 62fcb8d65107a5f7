//! Access tokens as signed JWTs (RFC 9068, RFC 7515, RFC 7519), their keys (RFC 7517,
//! RFC 7518, RFC 8037) and the checks of RFC 8725.
//!
//! The algorithm of a token is that of the key it names; the header's word for it is only
//! compared. Keys come from our own table by `kid` and from nowhere else: `jku`, `jwk`, `x5u`
//! and `x5c` are not looked at. Only the compact form is read, only canonical base64url, and
//! only one of each member.

mod key;

pub use key::{Algorithm, KeyError, Pkcs8, SigningKey, VerifyingKey, generate, jwks, kid_for};

use crate::json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::sync::Arc;

/// The longest token that is read or issued, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8192;

/// The `typ` of an access token (RFC 9068 2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

const MAX_DEPTH: usize = 16;
/// `9999-12-31T23:59:59Z`: a time beyond it is a mistake of unit.
const MAX_TIME_S: i64 = 253_402_300_799;

/// The claims of an access token (RFC 9068 2.2). Times in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims<'a> {
    /// Who issues: our own address for the environment.
    pub iss: &'a str,
    /// Whom it speaks for.
    pub sub: &'a str,
    /// What it opens.
    pub aud: &'a str,
    /// The client that asked for it.
    pub client_id: &'a str,
    /// When it was issued.
    pub iat: i64,
    /// From when on it is refused.
    pub exp: i64,
    /// The id of the token, for revocation.
    pub jti: &'a str,
    /// The scopes, separated by single blanks; left out when `None`.
    pub scope: Option<&'a str>,
}

/// The claims of a token that was verified. Times in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Whom it speaks for.
    pub sub: String,
    /// What it opens. The caller compares it with what is asked for.
    pub aud: String,
    /// The client that asked for it.
    pub client_id: String,
    /// When it was issued.
    pub iat: i64,
    /// From when on it is refused.
    pub exp: i64,
    /// The id of the token, for revocation.
    pub jti: String,
    /// The scopes, separated by blanks.
    pub scope: Option<String>,
}

/// Why a token was refused. The caller answers 401 to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// It is not a JWT in compact form, or its header is unacceptable.
    #[error("the token is not a well-formed JWT in compact form")]
    Malformed,
    /// Its `kid` names no key of ours.
    #[error("the token names an unknown key")]
    UnknownKey,
    /// Its `alg` is not that of its key.
    #[error("the token's algorithm is not that of its key")]
    Algorithm,
    /// Its `typ` is not that of an access token.
    #[error("the token is not an access token")]
    Type,
    /// The signature does not fit.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing, repeated, of the wrong type or out of range.
    #[error("a claim of the token is missing or unacceptable")]
    Claims,
    /// It was issued by someone else, or for the other environment.
    #[error("the token is from another issuer")]
    Issuer,
    /// Its time is over.
    #[error("the token has expired; ask for a new one")]
    Expired,
    /// Its time has not begun.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// Issues an access token. The header is exactly `kid`, `alg`, `typ`, in that order and
/// without blanks, so that every token begins with `eyJraW`.
///
/// # Errors
/// [`KeyError::TooLong`] when the claims are beyond [`MAX_TOKEN_BYTES`], and
/// [`KeyError::Signing`] when the cryptographic library fails.
///
/// ```
/// use std::sync::Arc;
/// use wayleave_protocol::jwt::{generate, issue, verify, Algorithm, Claims, SigningKey};
/// let pkcs8 = generate(Algorithm::EdDsa).unwrap();
/// let key = SigningKey::from_pkcs8("2027-03", Algorithm::EdDsa, pkcs8.as_bytes()).unwrap();
/// let token = issue(&key, &Claims {
///     iss: "https://id.example", sub: "ptr_1", aud: "https://api.example", client_id: "wl_cid_1",
///     iat: 1_805_192_428, exp: 1_805_196_028, jti: "tok_1", scope: Some("orders:read"),
/// }).unwrap();
/// assert!(token.starts_with("eyJraW"));
///
/// let public = Arc::new(key.verifying_key());
/// let find = |kid: &str| (kid == "2027-03").then(|| Arc::clone(&public));
/// let verified = verify(&token, "https://id.example", 1_805_192_430, 30, find).unwrap();
/// assert_eq!(verified.sub, "ptr_1");
/// ```
pub fn issue(key: &SigningKey, claims: &Claims<'_>) -> Result<String, KeyError> {
    let payload = claims_json(claims);
    let mut token = String::with_capacity(key.header().len() + payload.len() * 4 / 3 + 360);
    token.push_str(key.header());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    key.sign(&mut token)?;
    if token.len() > MAX_TOKEN_BYTES {
        return Err(KeyError::TooLong);
    }
    Ok(token)
}

fn claims_json(claims: &Claims<'_>) -> String {
    let mut json = String::with_capacity(512);
    let texts = [
        ("{\"iss\":", claims.iss),
        (",\"sub\":", claims.sub),
        (",\"aud\":", claims.aud),
        (",\"client_id\":", claims.client_id),
        (",\"jti\":", claims.jti),
    ];
    for (name, value) in texts {
        json.push_str(name);
        push_json_text(&mut json, value);
    }
    for (name, value) in [(",\"iat\":", claims.iat), (",\"exp\":", claims.exp)] {
        json.push_str(name);
        write!(json, "{value}").expect("a String takes any text");
    }
    if let Some(scope) = claims.scope {
        json.push_str(",\"scope\":");
        push_json_text(&mut json, scope);
    }
    json.push('}');
    json
}

/// Writes a JSON string (RFC 8259 7): quote, backslash and C0 are escaped.
fn push_json_text(json: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    json.push('"');
    if !text
        .bytes()
        .any(|byte| matches!(byte, b'"' | b'\\' | ..b' '))
    {
        json.push_str(text);
        json.push('"');
        return;
    }
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\u{1f}' => {
                let code = character as usize;
                json.push_str("\\u00");
                json.extend([code >> 4, code & 15].map(|digit| char::from(DIGITS[digit])));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

/// Verifies an access token (RFC 9068 4): form, key, algorithm, type, signature, claims,
/// issuer and time, in that order. `find` looks up a key by the exact `kid`. `leeway_s` is
/// allowed for clocks that differ, in seconds (a negative one counts as none): the token is
/// good while `now < exp + leeway` and once `now + leeway >= iat`, and `nbf` when present.
///
/// The caller still compares [`VerifiedToken::aud`], and asks for revocation.
///
/// # Errors
/// See [`TokenError`].
pub fn verify(
    token: &str,
    issuer: &str,
    now_unix_s: i64,
    leeway_s: i64,
    find: impl FnOnce(&str) -> Option<Arc<VerifyingKey>>,
) -> Result<VerifiedToken, TokenError> {
    let compact = Compact::split(token)?;
    let header = Header::read(&compact)?;
    let key = find(&header.kid).ok_or(TokenError::UnknownKey)?;
    header.check_key(&key)?;
    header.check_type()?;
    let payload = compact.verify(&key)?;
    let claims = json::parse_object_within(&payload, MAX_DEPTH).map_err(|_| TokenError::Claims)?;
    check_claims(claims, issuer, now_unix_s, leeway_s.max(0))
}

/// Verifies the signature of any token in compact form (RFC 7515 5.2) with the one key, and
/// gives its payload. It checks neither type nor claims: for access tokens use [`verify`].
///
/// # Errors
/// [`TokenError::Malformed`], [`TokenError::UnknownKey`] (the `kid` is not the key's),
/// [`TokenError::Algorithm`] or [`TokenError::Signature`].
pub fn verify_signature(token: &str, key: &VerifyingKey) -> Result<Vec<u8>, TokenError> {
    let compact = Compact::split(token)?;
    let header = Header::read(&compact)?;
    header.check_key(key)?;
    compact.verify(key)
}

/// The three parts of the compact form (RFC 7515 7.1), still encoded.
struct Compact<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// `header.payload`, what the signature covers.
    signed: &'a str,
}

impl<'a> Compact<'a> {
    fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.contains('.') {
            return Err(TokenError::Malformed);
        }
        Ok(Self {
            header,
            payload,
            signature,
            signed,
        })
    }

    fn verify(&self, key: &VerifyingKey) -> Result<Vec<u8>, TokenError> {
        let payload = decode(self.payload)?;
        let signature = decode(self.signature)?;
        if key.verify(self.signed.as_bytes(), &signature) {
            Ok(payload)
        } else {
            Err(TokenError::Signature)
        }
    }
}

/// Canonical base64url without padding: any other spelling of the same bytes is refused.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed)
}

/// The members of the header that we act on.
struct Header {
    kid: String,
    alg: String,
    typ: Option<String>,
}

impl Header {
    fn read(compact: &Compact<'_>) -> Result<Self, TokenError> {
        let decoded = decode(compact.header)?;
        let mut members =
            json::parse_object_within(&decoded, MAX_DEPTH).map_err(|_| TokenError::Malformed)?;
        // We understand no extension, so that any `crit` asks too much (RFC 7515 4.1.11);
        // `b64` and `zip` would change what the payload means.
        if ["crit", "b64", "zip"]
            .iter()
            .any(|name| members.contains_key(*name))
        {
            return Err(TokenError::Malformed);
        }
        let kid = take_text(&mut members, "kid").ok_or(TokenError::Malformed)?;
        let alg = take_text(&mut members, "alg").ok_or(TokenError::Malformed)?;
        let typ = match members.remove("typ") {
            None => None,
            Some(Value::String(typ)) => Some(typ),
            Some(_) => return Err(TokenError::Malformed),
        };
        if kid.len() > key::MAX_KID_BYTES {
            return Err(TokenError::UnknownKey);
        }
        Ok(Self { kid, alg, typ })
    }

    fn check_key(&self, key: &VerifyingKey) -> Result<(), TokenError> {
        if self.kid != key.kid() {
            return Err(TokenError::UnknownKey);
        }
        if self.alg != key.algorithm().as_str() {
            return Err(TokenError::Algorithm);
        }
        Ok(())
    }

    /// Media types are compared without regard to case, `application/` may be left out.
    fn check_type(&self) -> Result<(), TokenError> {
        let accepted = |typ: &str| {
            typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE)
                || typ.eq_ignore_ascii_case("application/at+jwt")
        };
        match &self.typ {
            Some(typ) if accepted(typ) => Ok(()),
            _ => Err(TokenError::Type),
        }
    }
}

fn check_claims(
    mut claims: Map<String, Value>,
    issuer: &str,
    now_unix_s: i64,
    leeway_s: i64,
) -> Result<VerifiedToken, TokenError> {
    let mut text = |name| take_text(&mut claims, name).ok_or(TokenError::Claims);
    let iss = text("iss")?;
    let (sub, aud, client_id, jti) = (text("sub")?, text("aud")?, text("client_id")?, text("jti")?);
    let scope = match claims.remove("scope") {
        None => None,
        Some(Value::String(scope)) => Some(scope),
        Some(_) => return Err(TokenError::Claims),
    };
    let exp = time(claims.get("exp"))?.ok_or(TokenError::Claims)?;
    let iat = time(claims.get("iat"))?.ok_or(TokenError::Claims)?;
    let nbf = time(claims.get("nbf"))?;
    if iss != issuer {
        return Err(TokenError::Issuer);
    }
    if now_unix_s >= exp.saturating_add(leeway_s) {
        return Err(TokenError::Expired);
    }
    if now_unix_s.saturating_add(leeway_s) < iat.max(nbf.unwrap_or(iat)) {
        return Err(TokenError::NotYetValid);
    }
    Ok(VerifiedToken {
        sub,
        aud,
        client_id,
        iat,
        exp,
        jti,
        scope,
    })
}

fn take_text(members: &mut Map<String, Value>, name: &str) -> Option<String> {
    match members.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// A time claim: absent, or an integer from 1970 to 9999.
fn time(claim: Option<&Value>) -> Result<Option<i64>, TokenError> {
    let Some(claim) = claim else { return Ok(None) };
    match claim.as_i64() {
        Some(time_s @ 0..=MAX_TIME_S) => Ok(Some(time_s)),
        _ => Err(TokenError::Claims),
    }
}
