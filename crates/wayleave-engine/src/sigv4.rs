//! Proof by AWS Signature Version 4.

use sha2::{Digest as _, Sha256};
use wayleave_core::Scheme;
use wayleave_protocol::Message;
use wayleave_protocol::body_digest::BodyDigest;
use wayleave_protocol::sigv4::{Payload, Presented, Request, WINDOW_S, parse_authorization};

use crate::engine::Engine;
use crate::proven::Proven;
use crate::replay::Nonce;
use crate::{Evidence, Unproven};

impl Engine {
    /// Everything that needs no key is checked first, then the body is asked for where the signature
    /// covers it and no header says its hash.
    pub(crate) fn authenticate_sigv4(
        &self,
        evidence: &Evidence<'_>,
        message: &Message<'_>,
        authorization: &[u8],
    ) -> Result<Proven, Unproven> {
        let presented = read(authorization)?;
        let request = Request::read(message, &presented).map_err(Unproven::Sigv4)?;
        let now_s = self.now().unix_s();
        request.check_time(now_s).map_err(Unproven::Sigv4)?;
        let of_body = body_hash(&request, evidence)?;
        let strings = request.strings_to_sign(of_body);
        let fits = |secret: &[u8]| request.verify(&strings, secret);
        let caller = self.find_signing_caller(presented.key_id, Scheme::Sigv4, now_s, fits)?;
        let at_s = request.signed_at_s();
        let nonce = || Nonce::of_signature(&caller, presented.signature, at_s, WINDOW_S);
        let nonce = evidence.refuses_replays.then(nonce);
        let expected = BodyDigest::Sha256(request.body_sha256(of_body));
        let is_checked = request.payload() == Payload::OfBody;
        Ok(Proven {
            caller,
            digests: if is_checked {
                Vec::new()
            } else {
                vec![expected]
            },
            nonce,
        })
    }
}

fn read(authorization: &[u8]) -> Result<Presented<'_>, Unproven> {
    parse_authorization(authorization).ok_or(Unproven::Malformed {
        header: "Authorization",
    })
}

/// The hash of the body as received, where the signature needs it.
fn body_hash(request: &Request<'_>, evidence: &Evidence<'_>) -> Result<[u8; 32], Unproven> {
    match request.payload() {
        Payload::OfBody => Ok(Sha256::digest(evidence.whole_body()?).into()),
        Payload::Header(_) | Payload::Unsigned => Ok([0; 32]),
    }
}

/// The canonical requests and the strings to sign that were made of a request, to show; none where
/// it cannot be read or its body is not to be seen.
pub(crate) fn signed_strings(
    evidence: &Evidence<'_>,
    message: &Message<'_>,
    authorization: &[u8],
) -> Vec<String> {
    let Ok(presented) = read(authorization) else {
        return Vec::new();
    };
    let Ok(request) = Request::read(message, &presented) else {
        return Vec::new();
    };
    let Ok(of_body) = body_hash(&request, evidence) else {
        return Vec::new();
    };
    let canonical = request.canonical_requests(of_body).into_iter();
    let canonical = canonical.map(|text| String::from_utf8_lossy(&text).into_owned());
    canonical.chain(request.strings_to_sign(of_body)).collect()
}
