//! A partner's private key, which signs messages (RFC 9421) on its owner's machine.

use std::path::Path;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use wayleave_protocol::http_signature::Algorithm;
use wayleave_protocol::jwt::{self, SigningKey};

use crate::key_file::{self, KeyFileError};

/// Why a file holds no private key that signs messages.
#[derive(Debug, thiserror::Error)]
pub enum PrivateKeyError {
    /// It cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// It is no PEM text of PKCS#8 (RFC 5208).
    #[error(
        "{path} is no private key in PEM that begins with -----BEGIN PRIVATE KEY-----: openssl pkcs8 -topk8 -nodes makes one of other forms"
    )]
    Form {
        /// The file.
        path: String,
    },
    /// It is one of another kind.
    #[error("{path} is a private key of another kind: one of Ed25519 or of the curve P-256 signs")]
    Kind {
        /// The file.
        path: String,
    },
}

/// A private key of Ed25519 or P-256.
#[derive(Debug)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Reads a file that only its owner may read.
    ///
    /// # Errors
    /// See [`PrivateKeyError`].
    pub fn read(path: &Path) -> Result<Self, PrivateKeyError> {
        let text = key_file::read_private(path)?;
        let place = || path.display().to_string();
        let Ok(PrivateKeyDer::Pkcs8(der)) = PrivateKeyDer::from_pem_slice(text.as_bytes()) else {
            return Err(PrivateKeyError::Form { path: place() });
        };
        // The name is for tokens, which it does not sign.
        let read = |algorithm| {
            SigningKey::from_pkcs8("partner", algorithm, der.secret_pkcs8_der()).map(PrivateKey)
        };
        let kinds = [jwt::Algorithm::EdDsa, jwt::Algorithm::Es256];
        let mut keys = kinds.into_iter().filter_map(|kind| read(kind).ok());
        keys.next()
            .ok_or_else(|| PrivateKeyError::Kind { path: place() })
    }

    /// What it signs by.
    pub fn algorithm(&self) -> Algorithm {
        match self.0.algorithm() {
            jwt::Algorithm::Es256 => Algorithm::EcdsaP256Sha256,
            _ => Algorithm::Ed25519,
        }
    }

    /// Signs a signature base: 64 bytes.
    ///
    /// # Errors
    /// The cryptographic library could not.
    pub fn sign(&self, base: &str) -> Result<Vec<u8>, jwt::KeyError> {
        self.0.sign_bytes(base.as_bytes())
    }
}
