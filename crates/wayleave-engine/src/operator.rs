use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A token that opens the admin address; only its hash is held.
#[derive(Clone)]
pub struct OperatorToken([u8; 32]);

impl OperatorToken {
    /// From the token's text.
    pub fn new(token: &str) -> Self {
        OperatorToken(Sha256::digest(token.as_bytes()).into())
    }

    /// Compares in constant time.
    pub fn is(&self, presented: &str) -> bool {
        OperatorToken::new(presented).0.ct_eq(&self.0).into()
    }
}
