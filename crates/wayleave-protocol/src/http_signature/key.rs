//! The algorithms (RFC 9421 section 3.3): one for secrets, two for key pairs.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

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
