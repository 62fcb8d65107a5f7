//! Proof by AWS Signature Version 4.

use sha2::{Digest as _, Sha256};
use wayleave_core::Scheme;
use wayleave_protocol::Message;
use wayleave_protocol::body_digest::BodyDigest;
use wayleave_protocol::sigv4::{Payload, Request, parse_authorization};

use crate::engine::Engine;
use crate::proven::Proven;
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
        let presented = parse_authorization(authorization).ok_or(Unproven::Malformed {
            header: "Authorization",
        })?;
        let request = Request::read(message, &presented).map_err(Unproven::Sigv4)?;
        let now_s = self.now().unix_s();
        request.check_time(now_s).map_err(Unproven::Sigv4)?;
        let of_body = match request.payload() {
            Payload::OfBody => Sha256::digest(evidence.whole_body()?).into(),
            Payload::Header(_) | Payload::Unsigned => [0; 32],
        };
        let strings = request.strings_to_sign(of_body);
        let fits = |secret: &[u8]| request.verify(&strings, secret);
        let caller = self.find_signing_caller(presented.key_id, Scheme::Sigv4, now_s, fits)?;
        let expected = BodyDigest::Sha256(request.body_sha256(of_body));
        let is_checked = request.payload() == Payload::OfBody;
        Ok(Proven {
            caller,
            digests: if is_checked {
                Vec::new()
            } else {
                vec![expected]
            },
        })
    }
}
