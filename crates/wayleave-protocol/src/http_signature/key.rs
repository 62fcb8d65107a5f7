//! The algorithms (RFC 9421 section 3.3): one for secrets, two for key pairs.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::json;
use crate::jwt::{KeyError, VerifyingKey};

/// An algorithm of signatures over messages. The key says which; a signature cannot choose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// `hmac-sha256`, with a secret as its UTF-8 text.
    HmacSha256,
    /// `ed25519`.
    Ed25519,
    /// `ecdsa-p256-sha256`.
    EcdsaP256Sha256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::HmacSha256, Self::Ed25519, Self::EcdsaP256Sha256];

    /// The registered name, as in `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::Ed25519 => "ed25519",
            Algorithm::EcdsaP256Sha256 => "ecdsa-p256-sha256",
        }
    }
}

/// Signs a signature base with a secret.
pub fn hmac_sha256(secret: &[u8], base: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(base.as_bytes());
    mac.finalize().into_bytes().into()
}

/// Whether a signature is that of a secret over a signature base. Compares in constant time.
pub fn verify_hmac_sha256(secret: &[u8], base: &str, signature: &[u8]) -> bool {
    hmac_sha256(secret, base).ct_eq(signature).into()
}

/// Why a text is no public key that signatures can be checked with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PublicKeyError {
    /// Neither a JWK nor PEM.
    #[error(
        "a public key is a JWK (RFC 7517) or a PEM text that begins with -----BEGIN PUBLIC KEY-----"
    )]
    Form,
    /// Another kind of key.
    #[error("a public key is one of Ed25519 or of the curve P-256")]
    Kind,
    /// A private key: it must not leave its owner.
    #[error(
        "this is a private key: give its public part only, and take the private one out of use"
    )]
    Private,
    /// Not a point of its curve.
    #[error("the public key is not a point of its curve")]
    Rejected,
}

/// The DER of a SubjectPublicKeyInfo before the 32 bytes of an Ed25519 key (RFC 8410 section 4).
const ED25519_SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// The same before the 65 bytes of an uncompressed point of P-256 (RFC 5480 section 2).
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";
/// Bytes of an Ed25519 signature, and of an ECDSA one on P-256 as `r || s`.
const SIGNATURE_BYTES: usize = 64;

/// A public key that signatures over messages are checked with. Parsed once.
pub struct PublicKey {
    algorithm: Algorithm,
    /// The key as it is in a SubjectPublicKeyInfo.
    point: Vec<u8>,
    parsed: ParsedPublicKey,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.algorithm).finish()
    }
}

impl PublicKey {
    /// Reads what a partner registers: a JWK or a PEM text. Of a JWK `kid`, `alg` and `use` need not
    /// be there; where they are they must fit.
    ///
    /// # Errors
    /// See [`PublicKeyError`].
    ///
    /// ```
    /// use wayleave_protocol::http_signature::{Algorithm, PublicKey, PublicKeyError};
    /// // RFC 8037 A.2
    /// let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// let key = PublicKey::read(jwk).unwrap();
    /// assert_eq!(key.algorithm(), Algorithm::Ed25519);
    /// assert_eq!(PublicKey::from_spki(&key.spki()).unwrap().spki(), key.spki());
    /// assert_eq!(PublicKey::read("ssh-ed25519 AAAA").unwrap_err(), PublicKeyError::Form);
    /// ```
    pub fn read(text: &str) -> Result<Self, PublicKeyError> {
        let text = text.trim();
        if text.contains("PRIVATE KEY-----") {
            return Err(PublicKeyError::Private);
        }
        if let Some(body) = text
            .strip_prefix(PEM_BEGIN)
            .and_then(|rest| rest.strip_suffix(PEM_END))
        {
            let body: String = body.split_ascii_whitespace().collect();
            let der = STANDARD.decode(body).map_err(|_| PublicKeyError::Form)?;
            return PublicKey::from_spki(&der);
        }
        PublicKey::from_jwk(text)
    }

    fn from_jwk(text: &str) -> Result<Self, PublicKeyError> {
        let mut jwk = json::parse_object(text.as_bytes()).map_err(|_| PublicKeyError::Form)?;
        let kty = jwk.get("kty").and_then(Value::as_str);
        let (algorithm, alg) = match (kty, jwk.get("crv").and_then(Value::as_str)) {
            (Some("OKP"), Some("Ed25519")) => (Algorithm::Ed25519, "EdDSA"),
            (Some("EC"), Some("P-256")) => (Algorithm::EcdsaP256Sha256, "ES256"),
            (Some(_), _) => return Err(PublicKeyError::Kind),
            (None, _) => return Err(PublicKeyError::Form),
        };
        // RFC 9864 names the algorithm of the curve alone.
        if jwk.get("alg").is_none_or(|alg| alg == "Ed25519") {
            jwk.insert("alg".to_owned(), alg.into());
        }
        jwk.insert("kid".to_owned(), "partner".into());
        let key = VerifyingKey::from_jwk(&Value::Object(jwk)).map_err(|error| match error {
            KeyError::Private => PublicKeyError::Private,
            KeyError::Algorithm => PublicKeyError::Kind,
            _ => PublicKeyError::Rejected,
        })?;
        PublicKey::new(algorithm, &key.point())
    }

    /// Reads a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) in DER: what [`PublicKey::spki`] made.
    ///
    /// # Errors
    /// See [`PublicKeyError`].
    pub fn from_spki(der: &[u8]) -> Result<Self, PublicKeyError> {
        if let Some(point) = der.strip_prefix(&ED25519_SPKI) {
            PublicKey::new(Algorithm::Ed25519, point)
        } else if let Some(point) = der.strip_prefix(&P256_SPKI) {
            PublicKey::new(Algorithm::EcdsaP256Sha256, point)
        } else {
            Err(PublicKeyError::Kind)
        }
    }

    fn new(algorithm: Algorithm, point: &[u8]) -> Result<Self, PublicKeyError> {
        let parsed = match (algorithm, point.len()) {
            (Algorithm::Ed25519, 32) => ParsedPublicKey::new(&ED25519, point),
            (Algorithm::EcdsaP256Sha256, 65) => {
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            }
            _ => return Err(PublicKeyError::Rejected),
        };
        Ok(PublicKey {
            algorithm,
            point: point.to_vec(),
            parsed: parsed.map_err(|_| PublicKeyError::Rejected)?,
        })
    }

    /// What signatures it checks.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key as a SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> Vec<u8> {
        let head: &[u8] = match self.algorithm {
            Algorithm::EcdsaP256Sha256 => &P256_SPKI,
            _ => &ED25519_SPKI,
        };
        [head, &self.point].concat()
    }

    /// Whether a signature over a signature base is this key's: 64 bytes, no other length.
    pub fn verify(&self, base: &str, signature: &[u8]) -> bool {
        signature.len() == SIGNATURE_BYTES
            && self.parsed.verify_sig(base.as_bytes(), signature).is_ok()
    }
}
