use wayleave_protocol::body_digest::{BodyCheck, BodyDigest};

use crate::engine::Engine;
use crate::replay::Nonce;
use crate::{Caller, Unproven};

/// What [`Engine::authenticate`] found to hold. The caller is had from [`Engine::accept`], which
/// does what is left to do, and only together with what its body must be.
#[derive(Debug)]
pub struct Proven {
    pub(crate) caller: Caller,
    /// What the body must hash to; empty: nothing was said about it.
    pub(crate) digests: Vec<BodyDigest>,
    /// What was used up by this proof; `None`: the proof may be shown again.
    pub(crate) nonce: Option<Nonce>,
}

impl Proven {
    /// One whose proof says nothing about the body.
    pub(crate) fn without_body(caller: Caller) -> Self {
        Proven {
            caller,
            digests: Vec::new(),
            nonce: None,
        }
    }
}

/// What the proof of a request says about its body. Whoever passes the body on checks it
/// ([`BodyClaim::into_check`]); whoever cannot see the body says so ([`BodyClaim::is_open`]).
#[derive(Debug)]
#[must_use = "the body is not checked yet"]
pub struct BodyClaim(Vec<BodyDigest>);

impl BodyClaim {
    /// Whether the body must still be compared with a digest.
    pub fn is_open(&self) -> bool {
        !self.0.is_empty()
    }

    /// The comparison; `None`: nothing was said about the body.
    pub fn into_check(self) -> Option<BodyCheck> {
        self.is_open().then(|| BodyCheck::new(self.0))
    }
}

impl Engine {
    /// Takes what was proven as proven for this one request: what can be shown once only is used up.
    /// Waits for the database only where nodes share it, or where a client's clock is ahead.
    /// Errors: see [`Unproven`].
    pub async fn accept(&self, proven: Proven) -> Result<(Caller, BodyClaim), Unproven> {
        if let Some(nonce) = &proven.nonce {
            self.use_nonce(nonce).await?;
        }
        Ok((proven.caller, BodyClaim(proven.digests)))
    }
}
