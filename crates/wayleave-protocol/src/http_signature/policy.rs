//! What this service asks of a signature over a request (docs/http-signatures.md).

use super::{Algorithm, LONGEST_NONCE, SignatureFault, SignatureInput};

/// How far `created` may be from the server's clock, in seconds, either way, inclusive.
pub const WINDOW_S: i64 = 300;

/// What a signature over one request must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The server's clock, in Unix seconds.
    pub now_s: i64,
    /// Whether the request has a body, which must be covered by its digest then.
    pub has_body: bool,
}

impl Policy {
    /// Checks everything but key and signature: what must be covered, and that it was made now.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn check(&self, input: &SignatureInput<'_>) -> Result<(), SignatureFault> {
        self.check_parameters(input)?;
        let covered = |name| {
            if input.covers(name) {
                Ok(())
            } else {
                Err(SignatureFault::NotCovered(name))
            }
        };
        covered("@method")?;
        if !input.covers("@target-uri") {
            let parts = ["@authority", "@path", "@query"];
            let lacking = parts.into_iter().find(|part| !input.covers(part));
            match lacking {
                // Without any of the three the one name is what to say.
                Some(_) if !parts.into_iter().any(|part| input.covers(part)) => {
                    return Err(SignatureFault::NotCovered("@target-uri"));
                }
                Some(part) => return Err(SignatureFault::NotCovered(part)),
                None => {}
            }
        }
        if self.has_body {
            covered("content-digest")?;
        }
        Ok(())
    }

    fn check_parameters(&self, input: &SignatureInput<'_>) -> Result<(), SignatureFault> {
        let nonce = input.nonce().ok_or(SignatureFault::NoParameter("nonce"))?;
        if nonce.is_empty() || nonce.len() > LONGEST_NONCE {
            return Err(SignatureFault::Nonce);
        }
        let created = input
            .created()
            .ok_or(SignatureFault::NoParameter("created"))?;
        let skew_s = created.saturating_sub(self.now_s);
        if !(-WINDOW_S..=WINDOW_S).contains(&skew_s) {
            return Err(SignatureFault::Created { skew_s });
        }
        match input.expires() {
            Some(expires) if expires < self.now_s => Err(SignatureFault::Expired {
                late_s: self.now_s.saturating_sub(expires),
            }),
            _ => Ok(()),
        }
    }

    /// Checks that a signature claims no other algorithm than its key has.
    ///
    /// # Errors
    /// [`SignatureFault::Algorithm`].
    pub fn check_algorithm(
        input: &SignatureInput<'_>,
        key: Algorithm,
    ) -> Result<(), SignatureFault> {
        match input.alg() {
            Some(alg) if alg != key.as_str() => {
                Err(SignatureFault::Algorithm { key: key.as_str() })
            }
            _ => Ok(()),
        }
    }
}
