//! Proof by a scheme that the operator describes for the route.

use std::sync::Arc;

use wayleave_core::Scheme;
use wayleave_protocol::Message;
use wayleave_protocol::body_digest::BodyDigest;
use wayleave_protocol::described::{BodyRule, DescribedScheme};

use crate::engine::Engine;
use crate::proven::Proven;
use crate::replay::Nonce;
use crate::{Evidence, Unproven};

impl Engine {
    /// Everything that needs no key is checked first, then the body is asked for where the signature
    /// covers it.
    pub(crate) fn authenticate_described(
        &self,
        evidence: &Evidence<'_>,
        message: &Message<'_>,
        scheme: &Arc<DescribedScheme>,
    ) -> Result<Proven, Unproven> {
        let request = scheme.read(message).map_err(Unproven::Described)?;
        let now_s = self.now().unix_s();
        request.check_time(now_s).map_err(Unproven::Described)?;
        let body = match request.body() {
            BodyRule::Whole => evidence.whole_body()?,
            _ => &[],
        };
        request.check_body(body).map_err(Unproven::Described)?;
        let fits = |secret: &[u8]| request.verify(body, secret);
        let key_id = request.key_id();
        let mut caller = self.find_signing_caller(key_id, Scheme::Described, now_s, fits)?;
        caller.described = Some(Arc::clone(scheme));
        let (at_s, window_s) = (request.signed_at_s(), scheme.window_s());
        let nonce = || Nonce::of_signature(&caller, request.signature(), at_s, window_s);
        let nonce = evidence.refuses_replays.then(nonce);
        let digests = match request.body() {
            BodyRule::Whole | BodyRule::Unsigned => Vec::new(),
            BodyRule::Digest(digest) => vec![digest.clone()],
            BodyRule::Empty => vec![BodyDigest::sha256(b"")],
        };
        Ok(Proven {
            caller,
            digests,
            nonce,
        })
    }
}

/// The text that was to be signed, to show; none where the request cannot be read or its body is not
/// to be seen.
pub(crate) fn signed_strings(
    evidence: &Evidence<'_>,
    message: &Message<'_>,
    scheme: &DescribedScheme,
) -> Vec<String> {
    let (Ok(request), Ok(body)) = (scheme.read(message), evidence.whole_body()) else {
        return Vec::new();
    };
    let text = request.text(body);
    vec![String::from_utf8_lossy(&text).into_owned()]
}
