//! Proof by a signature over chosen parts of the request (RFC 9421).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wayleave_core::Scheme;
use wayleave_protocol::body_digest::{BodyDigest, read_content_digest};
use wayleave_protocol::http_signature::{
    self, Algorithm, Policy, Presented, SignatureFault, SignatureInput, Signed, join_values,
    verify_hmac_sha256,
};
use wayleave_protocol::{Message, http_date};

use crate::authenticate::NOBODYS_SECRET;
use crate::directory::{LookupId, Record};
use crate::engine::Engine;
use crate::explain::{nearest_difference, read_claimed};
use crate::ports::random;
use crate::proven::Proven;
use crate::replay::Nonce;
use crate::{Evidence, Explanation, Unproven};

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
                nonce: Some(Nonce {
                    credential: lookup,
                    nonce: input.nonce().unwrap_or_default().to_owned(),
                    created_s: input.created().unwrap_or_default(),
                    window_s: http_signature::WINDOW_S,
                }),
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
        let mut refusal = Unproven::Mismatch;
        for secret in record.live_secrets(now_s) {
            let (algorithm, text, key) = match (secret.signing_text(), secret.public_key()) {
                (Some(text), _) => (Algorithm::HmacSha256, text, None),
                (None, Some(key)) => (key.algorithm(), NOBODYS_SECRET, Some(key)),
                (None, None) => continue,
            };
            // The key says which algorithm it is for; a signature cannot choose.
            if let Err(fault) = Policy::check_algorithm(input, algorithm) {
                refusal = Unproven::Signature(fault);
                continue;
            }
            let holds = match key {
                Some(key) => key.verify(base, signature),
                None => verify_hmac_sha256(text, base, signature),
            };
            if holds {
                self.directory.note_use(lookup, &secret, now_s);
                return Ok(());
            }
            refusal = Unproven::Mismatch;
        }
        Err(refusal)
    }
}

impl Engine {
    /// Explains why no signature over a message proved a request, with the signature bases that we
    /// built: there is nothing in them but what the request itself says.
    pub(crate) fn explain_message(
        &self,
        message: &Message<'_>,
        evidence: &Evidence<'_>,
        refusal: &Unproven,
    ) -> Explanation {
        let input = join_values(message.values(SIGNATURE_INPUT)).unwrap_or_default();
        let signature = join_values(message.values(SIGNATURE)).unwrap_or_default();
        let presented = http_signature::read(&input, &signature).unwrap_or_default();
        let base_strings: Vec<String> = presented
            .iter()
            .filter_map(|one| one.checked().ok())
            .filter_map(|(input, _)| input.base(&Signed::Request(*message)).ok())
            .collect();
        let claimed = evidence.claimed_base_string.map(read_claimed);
        let now_s = self.now().unix_s();
        Explanation {
            reason: refusal.to_string(),
            server_time: http_date::format(now_s),
            difference: claimed.and_then(|claimed| nearest_difference(&base_strings, &claimed)),
            base_strings,
            hint: hint(refusal, evidence.claimed_base_string.is_some()),
        }
    }

    /// What a signature over a request has to be, as the value of `Accept-Signature` (RFC 9421
    /// section 5.1), with a nonce that nobody has used.
    pub fn signature_request(&self, has_body: bool) -> String {
        let nonce = URL_SAFE_NO_PAD.encode(random::<16>(&*self.randomness));
        let digest = if has_body { " \"content-digest\"" } else { "" };
        format!("sig=(\"@method\" \"@target-uri\"{digest});created;nonce=\"{nonce}\"")
    }
}

fn hint(refusal: &Unproven, claimed: bool) -> &'static str {
    match refusal {
        Unproven::Mismatch if claimed => {
            "where no difference is shown the bases agree, so the key differs: a secret signs as the UTF-8 text that it was given as, not decoded"
        }
        Unproven::Mismatch => {
            "compare these signature bases with the one that you signed, or send yours in the header Wayleave-Base-String (line feeds as \\n) and see the first difference"
        }
        Unproven::Signature(SignatureFault::Created { .. } | SignatureFault::Expired { .. }) => {
            "created is the time of signing in seconds since 1970 UTC: set the client's clock"
        }
        Unproven::Replayed | Unproven::SignedBeforeStart => {
            "give each request a nonce and a signature of its own, also when it is sent again"
        }
        Unproven::UnknownKey => {
            "keyid is the public id of a credential; live and test have credentials of their own"
        }
        Unproven::Revoked => "ask for new keys: these were revoked",
        _ => {
            "cover @method, @target-uri and, where there is a body, content-digest; with created, nonce and keyid (see Accept-Signature)"
        }
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
