//! The keys of tokens: making them, reading them, showing their public part.

use crate::json::parse_object_within;
use crate::secret::overwrite;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// The longest `kid`, in bytes.
pub(super) const MAX_KID_BYTES: usize = 64;

/// Bytes of a coordinate of P-256 and of an Ed25519 public key.
const POINT_BYTES: usize = 32;
/// Bytes of an ES256 or EdDSA signature (RFC 7518 3.4, RFC 8037 3.1).
const CURVE_SIGNATURE_BYTES: usize = 64;
/// Shortest RSA modulus, in bytes (RFC 7518 3.3: 2048 bits).
const MIN_MODULUS_BYTES: usize = 256;

/// Members of a JWK that are secret (RFC 7518 6.2.2, 6.3.2 and 6.4.1, RFC 8037 2).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Members that hold a public key (RFC 7518 6.2.1 and 6.3.1, RFC 8037 2).
const PUBLIC_MEMBERS: [&str; 4] = ["x", "y", "n", "e"];

/// A signature algorithm for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `ES256`: ECDSA on P-256 with SHA-256 (RFC 7518 3.4).
    Es256,
    /// `EdDSA` with Ed25519 (RFC 8037).
    EdDsa,
    /// `RS256`: RSA PKCS#1 v1.5 with SHA-256 (RFC 7518 3.3).
    Rs256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// The registered name, as in `alg`.
    ///
    /// ```
    /// use wayleave_protocol::jwt::Algorithm;
    /// assert_eq!(Algorithm::Es256.as_str(), "ES256");
    /// assert_eq!("EdDSA".parse(), Ok(Algorithm::EdDsa));
    /// assert!("none".parse::<Algorithm>().is_err());
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let named = |algorithm: &Self| algorithm.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(KeyError::Algorithm)
    }
}

/// Why a key could not be made, read or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyError {
    /// The algorithm is not one of ES256, EdDSA and RS256.
    #[error("the algorithm of the key must be ES256, EdDSA or RS256")]
    Algorithm,
    /// The `kid` is empty, longer than 64 bytes or not plain visible ASCII.
    #[error("the id of a key must be 1 to 64 visible ASCII characters without quote and backslash")]
    Kid,
    /// The key is not what its algorithm needs.
    #[error("the key cannot be read, or does not fit its algorithm")]
    Rejected,
    /// A public key came with private members.
    #[error("the key has private members; give the public part only")]
    Private,
    /// The cryptographic library could not make a key.
    #[error("a key could not be generated")]
    Generation,
    /// The cryptographic library could not sign.
    #[error("the token could not be signed")]
    Signing,
    /// The token would be longer than any verifier reads.
    #[error("the claims are too long for a token")]
    TooLong,
}

/// A private key as PKCS#8 DER (RFC 5208). Seal it before it is stored.
pub struct Pkcs8(Vec<u8>);

impl Pkcs8 {
    /// The DER bytes. Do not log them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pkcs8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pkcs8(redacted)")
    }
}

impl Drop for Pkcs8 {
    fn drop(&mut self) {
        overwrite(&mut self.0);
    }
}

/// Makes a new private key from the cryptographic library's own randomness. RSA keys have
/// 2048 bits and take a while.
///
/// # Errors
/// [`KeyError::Generation`].
pub fn generate(algorithm: Algorithm) -> Result<Pkcs8, KeyError> {
    let random = library_random();
    let der = match algorithm {
        Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map(|document| document.as_ref().to_vec()),
        Algorithm::EdDsa => {
            Ed25519KeyPair::generate_pkcs8(&random).map(|document| document.as_ref().to_vec())
        }
        Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)
            .and_then(|pair| pair.as_der())
            .map(|document| document.as_ref().to_vec()),
    };
    der.map(Pkcs8).map_err(|_| KeyError::Generation)
}

/// The cryptographic library makes keys and ECDSA nonces from its own generator only; this is
/// its handle, and the one place that asks for it.
#[expect(
    clippy::disallowed_methods,
    reason = "aws-lc-rs takes no other randomness for keys and signatures"
)]
fn library_random() -> SystemRandom {
    SystemRandom::new()
}

/// The thumbprint of a private key's public part (RFC 7638, SHA-256, base64url): an id that
/// follows from the key alone.
///
/// # Errors
/// [`KeyError::Rejected`].
///
/// ```
/// use wayleave_protocol::jwt::{generate, kid_for, Algorithm};
/// let pkcs8 = generate(Algorithm::Es256).unwrap();
/// assert_eq!(kid_for(pkcs8.as_bytes(), Algorithm::Es256).unwrap().len(), 43);
/// ```
pub fn kid_for(pkcs8: &[u8], algorithm: Algorithm) -> Result<String, KeyError> {
    Ok(Pair::read(algorithm, pkcs8)?.members()?.thumbprint())
}

/// A key pair that signs tokens, with its id.
pub struct SigningKey {
    /// The header of every token it signs, encoded.
    header: String,
    pair: Pair,
    public: VerifyingKey,
}

impl SigningKey {
    /// Reads a private key (RFC 5208). `kid` is the id that tokens and the key set name it
    /// by; [`kid_for`] makes a good one.
    ///
    /// # Errors
    /// [`KeyError::Kid`] or [`KeyError::Rejected`].
    pub fn from_pkcs8(kid: &str, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = Pair::read(algorithm, pkcs8)?;
        let public = VerifyingKey::new(kid, pair.members()?)?;
        let typ = super::ACCESS_TOKEN_TYPE;
        // A kid has no character that JSON escapes.
        let header = format!(r#"{{"kid":"{kid}","alg":"{algorithm}","typ":"{typ}"}}"#);
        Ok(Self {
            header: URL_SAFE_NO_PAD.encode(header),
            pair,
            public,
        })
    }

    /// The id of the key.
    pub fn kid(&self) -> &str {
        &self.public.kid
    }

    /// The algorithm of the key.
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// The public part as a JWK (RFC 7517): see [`VerifyingKey::jwk`].
    pub fn public_jwk(&self) -> Value {
        self.public.jwk()
    }

    /// The public part.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public.clone()
    }

    /// Signs bytes that are no token: ES256 as `r || s`, EdDSA, or RS256.
    ///
    /// # Errors
    /// [`KeyError::Signing`].
    pub fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair.sign_bytes(message)
    }

    pub(super) fn header(&self) -> &str {
        &self.header
    }

    pub(super) fn sign(&self, text: &mut String) -> Result<(), KeyError> {
        self.pair.sign(text)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public).finish()
    }
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Pair {
    fn read(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Self::Ec)
            }
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(pkcs8).map(Self::Ed),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rsa),
        };
        pair.map_err(|_| KeyError::Rejected)
    }

    fn members(&self) -> Result<Members, KeyError> {
        match self {
            Self::Ec(pair) => Members::from_point(pair.public_key().as_ref()),
            Self::Ed(pair) => Some(Members::Ed {
                x: pair.public_key().as_ref().to_vec(),
            }),
            Self::Rsa(pair) => Members::from_rsa_der(pair.public_key().as_ref()),
        }
        .ok_or(KeyError::Rejected)
    }

    /// Signs the text and appends the signature to it, as a further part of a compact JWS.
    fn sign(&self, text: &mut String) -> Result<(), KeyError> {
        let signature = self.sign_bytes(text.as_bytes())?;
        push_part(text, &signature);
        Ok(())
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = library_random();
        let signed = match self {
            Self::Ec(pair) => pair.sign(&random, message),
            Self::Ed(pair) => pair.try_sign(message),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| KeyError::Signing)?;
                return Ok(signature);
            }
        };
        let signed = signed.map_err(|_| KeyError::Signing)?;
        Ok(signed.as_ref().to_vec())
    }
}

fn push_part(text: &mut String, part: &[u8]) {
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(part, text);
}

/// A public key that checks tokens, with its id. Parsed once; sharing it is cheap in an
/// `Arc`.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: String,
    members: Members,
    parsed: ParsedPublicKey,
}

impl VerifyingKey {
    /// Reads a public key from the text of a JWK: see [`VerifyingKey::from_jwk`]. A member
    /// that stands twice is refused, at any depth. The caller bounds the size.
    ///
    /// # Errors
    /// Those of [`VerifyingKey::from_jwk`]; [`KeyError::Rejected`] for what is not one JSON
    /// object without repeated members.
    ///
    /// ```
    /// use wayleave_protocol::jwt::{KeyError, VerifyingKey};
    /// // RFC 8037 A.2
    /// let jwk = r#"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k1",
    ///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// assert_eq!(VerifyingKey::from_jwk_text(jwk.as_bytes()).unwrap().kid(), "k1");
    /// let twice = jwk.replace(r#""kid":"k1""#, r#""kid":"k1","kid":"k2""#);
    /// let refused = VerifyingKey::from_jwk_text(twice.as_bytes());
    /// assert_eq!(refused.unwrap_err(), KeyError::Rejected);
    /// ```
    pub fn from_jwk_text(text: &[u8]) -> Result<Self, KeyError> {
        let jwk = parse_object_within(text, super::MAX_DEPTH).map_err(|_| KeyError::Rejected)?;
        Self::from_jwk(&Value::Object(jwk))
    }

    /// Reads a public key from a JWK (RFC 7517), strictly:
    ///
    /// - no private member, whatever its value;
    /// - `kid` and `alg` must be there;
    /// - `kty` and `crv` must be those of `alg`, and so must the members that hold the key:
    ///   all of them, and none of another kind of key;
    /// - `use`, when present, must be `"sig"`, and `key_ops` `["verify"]`;
    /// - base64url must be canonical, coordinates 32 bytes long, a P-256 point on its curve, an
    ///   RSA modulus odd and of at least 2048 bits, its exponent odd and 3 or more.
    ///
    /// Whether an Ed25519 key is a point, or one of small order under which anybody can sign, is
    /// not checked: take keys from those only whom they speak for.
    ///
    /// Other members are not looked at. A [`Value`] cannot tell that a member stood twice: for
    /// text from outside use [`VerifyingKey::from_jwk_text`].
    ///
    /// # Errors
    /// [`KeyError::Private`], [`KeyError::Algorithm`], [`KeyError::Kid`] or
    /// [`KeyError::Rejected`].
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let jwk = jwk.as_object().ok_or(KeyError::Rejected)?;
        if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
            return Err(KeyError::Private);
        }
        let algorithm: Algorithm = text(jwk, "alg").ok_or(KeyError::Algorithm)?.parse()?;
        let kid = text(jwk, "kid").ok_or(KeyError::Kid)?;
        let members = Members::from_jwk(algorithm, jwk).ok_or(KeyError::Rejected)?;
        Self::new(kid, members)
    }

    fn new(kid: &str, members: Members) -> Result<Self, KeyError> {
        let visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if kid.is_empty() || kid.len() > MAX_KID_BYTES || !kid.bytes().all(visible) {
            return Err(KeyError::Kid);
        }
        let parsed = members.parse().ok_or(KeyError::Rejected)?;
        Ok(Self {
            kid: kid.to_owned(),
            members,
            parsed,
        })
    }

    /// The id of the key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm of the key.
    pub fn algorithm(&self) -> Algorithm {
        match self.members {
            Members::Ec { .. } => Algorithm::Es256,
            Members::Ed { .. } => Algorithm::EdDsa,
            Members::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// The key as a JWK (RFC 7517) with `kid`, `alg`, `use` and the public members. Private
    /// members cannot appear: this type does not hold them.
    ///
    /// ```
    /// use wayleave_protocol::jwt::{generate, Algorithm, SigningKey};
    /// let pkcs8 = generate(Algorithm::Es256).unwrap();
    /// let key = SigningKey::from_pkcs8("k1", Algorithm::Es256, pkcs8.as_bytes()).unwrap();
    /// let jwk = key.public_jwk();
    /// assert_eq!((&jwk["kid"], &jwk["alg"], &jwk["use"]), (&"k1".into(), &"ES256".into(), &"sig".into()));
    /// assert!(jwk.get("d").is_none());
    /// ```
    pub fn jwk(&self) -> Value {
        let mut jwk = self.members.jwk();
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm().as_str());
        jwk["use"] = json!("sig");
        jwk
    }

    /// The bytes of the key: of P-256 the uncompressed point, of Ed25519 the 32 bytes, of RSA the
    /// modulus.
    pub(crate) fn point(&self) -> Vec<u8> {
        match &self.members {
            Members::Ec { x, y } => [&[4], x.as_slice(), y].concat(),
            Members::Ed { x } => x.clone(),
            Members::Rsa { n, .. } => n.clone(),
        }
    }

    /// The thumbprint of the key (RFC 7638, SHA-256, base64url).
    pub fn thumbprint(&self) -> String {
        self.members.thumbprint()
    }

    /// Whether the signature of the message is this key's. ES256 and EdDSA signatures are 64
    /// bytes (`r || s`, not DER), RS256 ones as long as the modulus; any other length is
    /// wrong.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let length = match &self.members {
            Members::Rsa { n, .. } => n.len(),
            _ => CURVE_SIGNATURE_BYTES,
        };
        signature.len() == length && self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// The set of the public keys (RFC 7517 5), to be published.
///
/// ```
/// use wayleave_protocol::jwt::jwks;
/// assert_eq!(jwks([]).to_string(), r#"{"keys":[]}"#);
/// ```
pub fn jwks<'k>(keys: impl IntoIterator<Item = &'k VerifyingKey>) -> Value {
    let keys: Vec<Value> = keys.into_iter().map(VerifyingKey::jwk).collect();
    json!({ "keys": keys })
}

/// The public members of a key, as bytes.
#[derive(Clone)]
enum Members {
    Ec { x: Vec<u8>, y: Vec<u8> },
    Ed { x: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl Members {
    /// An uncompressed point (SEC 1 2.3.3).
    fn from_point(point: &[u8]) -> Option<Self> {
        let (&[mark], coordinates) = point.split_first_chunk()?;
        if mark != 4 || coordinates.len() != 2 * POINT_BYTES {
            return None;
        }
        let (x, y) = coordinates.split_at(POINT_BYTES);
        Some(Self::Ec {
            x: x.to_vec(),
            y: y.to_vec(),
        })
    }

    /// An `RSAPublicKey` (RFC 8017 A.1.1): a sequence of two integers.
    fn from_rsa_der(der: &[u8]) -> Option<Self> {
        let (sequence, _) = der_element(der, 0x30)?;
        let (n, rest) = der_element(sequence, 0x02)?;
        let (e, _) = der_element(rest, 0x02)?;
        let strip = |integer: &[u8]| integer.strip_prefix(&[0]).unwrap_or(integer).to_vec();
        Some(Self::Rsa {
            n: strip(n),
            e: strip(e),
        })
    }

    fn from_jwk(algorithm: Algorithm, jwk: &Map<String, Value>) -> Option<Self> {
        let (kty, crv, names): (_, _, &[&str]) = match algorithm {
            Algorithm::Es256 => ("EC", Some("P-256"), &["x", "y"]),
            Algorithm::EdDsa => ("OKP", Some("Ed25519"), &["x"]),
            Algorithm::Rs256 => ("RSA", None, &["n", "e"]),
        };
        let fits = text(jwk, "kty") == Some(kty)
            && jwk.get("crv") == crv.map(Value::from).as_ref()
            && checks_signatures(jwk)
            && PUBLIC_MEMBERS
                .iter()
                .all(|name| jwk.contains_key(*name) == names.contains(name));
        if !fits {
            return None;
        }
        let bytes = |name| URL_SAFE_NO_PAD.decode(text(jwk, name)?).ok();
        Some(match algorithm {
            Algorithm::Es256 => Self::Ec {
                x: bytes("x")?,
                y: bytes("y")?,
            },
            Algorithm::EdDsa => Self::Ed { x: bytes("x")? },
            Algorithm::Rs256 => Self::Rsa {
                n: bytes("n")?,
                e: bytes("e")?,
            },
        })
    }

    fn parse(&self) -> Option<ParsedPublicKey> {
        match self {
            Self::Ec { x, y } if x.len() == POINT_BYTES && y.len() == POINT_BYTES => {
                let point = [&[4], x.as_slice(), y].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
            }
            Self::Ed { x } if x.len() == POINT_BYTES => ParsedPublicKey::new(&ED25519, x).ok(),
            Self::Rsa { n, e } if acceptable_rsa(n, e) => RsaPublicKeyComponents { n, e }
                .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                .ok(),
            _ => None,
        }
    }

    fn jwk(&self) -> Value {
        let text = |bytes: &Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec { x, y } => json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)}),
            Self::Ed { x } => json!({"kty": "OKP", "crv": "Ed25519", "x": text(x)}),
            Self::Rsa { n, e } => json!({"kty": "RSA", "n": text(n), "e": text(e)}),
        }
    }

    /// RFC 7638 3: the required members only, in the order of their names, without blanks.
    fn thumbprint(&self) -> String {
        let text = |bytes: &Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let canonical = match self {
            Self::Ec { x, y } => {
                format!(
                    r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                    text(x),
                    text(y)
                )
            }
            Self::Ed { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
            Self::Rsa { n, e } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n))
            }
        };
        URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
    }
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name)?.as_str()
}

/// Whether `use` and `key_ops` (RFC 7517 4.2 and 4.3), where present, are those of a public key
/// for signatures.
fn checks_signatures(jwk: &Map<String, Value>) -> bool {
    let allows = |name: &str, only: Value| jwk.get(name).is_none_or(|value| *value == only);
    allows("use", json!("sig")) && allows("key_ops", json!(["verify"]))
}

/// A modulus of at least 2048 bits, an exponent of 3 or more in at most 4 bytes; both odd and
/// without leading zeros.
fn acceptable_rsa(n: &[u8], e: &[u8]) -> bool {
    let long_enough = n.len() > MIN_MODULUS_BYTES
        || n.len() == MIN_MODULUS_BYTES && n.first().is_some_and(|&byte| byte >= 0x80);
    let canonical = |number: &[u8]| number.first().is_some_and(|&byte| byte != 0);
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    let exponent = e.len() <= 4 && e != [1];
    long_enough && exponent && [n, e].into_iter().all(|it| canonical(it) && odd(it))
}

/// Splits one DER element off (X.690 8.1): its content, and what follows it.
fn der_element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk()?;
    if found != tag {
        return None;
    }
    if first < 0x80 {
        return rest.split_at_checked(usize::from(first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    if length.len() > 4 {
        return None;
    }
    let length = length
        .iter()
        .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    rest.split_at_checked(length)
}
