//! Proof by a signature over chosen parts of the request (RFC 9421).

use wayleave_core::Scheme;
use wayleave_protocol::Message;
use wayleave_protocol::body_digest::{BodyDigest, read_content_digest};
use wayleave_protocol::http_signature::{
    self, Algorithm, Policy, Presented, SignatureFault, SignatureInput, Signed, join_values,
    verify_hmac_sha256,
};

use crate::Unproven;
use crate::authenticate::NOBODYS_SECRET;
use crate::directory::{LookupId, Record};
use crate::engine::Engine;
use crate::proven::Proven;

/// The header that names what is signed; whoever sends it proves the request by it.
pub(crate) const SIGNATURE_INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";
const CONTENT_DIGEST: &str = "content-digest";

impl Engine {
    /// The first signature that holds and covers enough proves the request; labels and further
    /// signatures mean nothing. Where none does, the refusal is that of the one which came closest.
    pub(crate) fn authenticate_message(
        &self,
        message: &Message<'_>,
        has_body: bool,
    ) -> Result<Proven, Unproven> {
        let input = join_values(message.values(SIGNATURE_INPUT));
        let signature = join_values(message.values(SIGNATURE));
        let input = input.unwrap_or_default();
        let signature = signature.ok_or(Unproven::Signature(SignatureFault::Form {
            header: "Signature",
        }))?;
        let presented = http_signature::read(&input, &signature).map_err(Unproven::Signature)?;
        let policy = Policy {
            now_s: self.now().unix_s(),
            has_body,
        };
        let mut refusal = Unproven::UnknownKey;
        for one in &presented {
            match self.prove_signature(message, one, policy) {
                Ok(proven) => return Ok(proven),
                // Signatures of keys that we do not know are somebody else's matter.
                Err(Unproven::UnknownKey) => {}
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }

    /// Everything that needs no key is checked first, so that an unknown key and a wrong signature
    /// cost as much.
    fn prove_signature(
        &self,
        message: &Message<'_>,
        presented: &Presented<'_>,
        policy: Policy,
    ) -> Result<Proven, Unproven> {
        let (input, signature) = presented.checked().map_err(Unproven::Signature)?;
        let key_id = input
            .key_id()
            .ok_or(Unproven::Signature(SignatureFault::NoParameter("keyid")))?;
        policy.check(input).map_err(Unproven::Signature)?;
        let base = input
            .base(&Signed::Request(*message))
            .map_err(Unproven::Signature)?;
        let digests = covered_digests(message, input)?;
        let lookup = LookupId::of(key_id);
        let disproved = |refusal| {
            verify_hmac_sha256(NOBODYS_SECRET, &base, signature);
            Err(refusal)
        };
        let found = self.directory.with(lookup, |record| {
            if !record.is_active(policy.now_s) {
                return disproved(Unproven::Revoked);
            }
            self.find_signer(record, lookup, input, &base, signature, policy.now_s)?;
            Ok(Proven {
                caller: self.caller(lookup, record, Scheme::HttpSignature, None),
                digests,
            })
        });
        found.unwrap_or_else(|| disproved(Unproven::UnknownKey))
    }

    /// Looks for the secret of a credential that made a signature, and notes its use.
    fn find_signer(
        &self,
        record: &Record,
        lookup: LookupId,
        input: &SignatureInput<'_>,
        base: &str,
        signature: &[u8],
        now_s: i64,
    ) -> Result<(), Unproven> {
        Policy::check_algorithm(input, Algorithm::HmacSha256).map_err(Unproven::Signature)?;
        for secret in record.live_secrets(now_s) {
            let Some(text) = secret.signing_text() else {
                continue;
            };
            if verify_hmac_sha256(text, base, signature) {
                self.directory.note_use(lookup, &secret, now_s);
                return Ok(());
            }
        }
        Err(Unproven::Mismatch)
    }
}

/// What the body must be: what a `Content-Digest` that is covered says. One that nobody signed
/// says nothing.
fn covered_digests(
    message: &Message<'_>,
    input: &SignatureInput<'_>,
) -> Result<Vec<BodyDigest>, Unproven> {
    if !input.covers(CONTENT_DIGEST) {
        return Ok(Vec::new());
    }
    read_content_digest(message.values(CONTENT_DIGEST)).map_err(Unproven::ContentDigest)
}
