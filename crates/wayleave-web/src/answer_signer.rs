use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use wayleave_engine::{AnswerSignature, Engine};
use wayleave_protocol::body_digest::{BodyDigest, content_digest};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// The largest body of an answer whose digest is signed, in bytes: it is held in memory for that.
pub const SIGNED_BODY_BYTES: u64 = 64 * 1024;

/// Signs the answer to one request, as its client asked (docs/http-signatures.md).
pub struct AnswerSigner {
    engine: Arc<Engine>,
    wanted: AnswerSignature,
}

impl AnswerSigner {
    pub(crate) fn new(engine: Arc<Engine>, wanted: AnswerSignature) -> Self {
        AnswerSigner { engine, wanted }
    }

    /// Whether the body of an answer is small enough to be read before the answer is given, and not
    /// signed by a digest already.
    pub fn wants_body(&self, method: &Method, status: StatusCode, headers: &HeaderMap) -> bool {
        let length = headers.get(CONTENT_LENGTH);
        let length: Option<u64> = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let has_body = *method != Method::HEAD
            && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            && !status.is_informational();
        has_body
            && length.is_some_and(|length| length <= SIGNED_BODY_BYTES)
            && !headers.contains_key(CONTENT_DIGEST)
    }

    /// Adds `Signature-Input` and `Signature`; `body`: where it was read, its `Content-Digest` too.
    pub fn sign(&self, status: StatusCode, headers: &mut HeaderMap, body: Option<&[u8]>) {
        let digest = body.map(|body| content_digest(&BodyDigest::sha256(body)));
        if let Some(digest) = digest.and_then(|digest| HeaderValue::try_from(digest).ok()) {
            headers.insert(CONTENT_DIGEST, digest);
        }
        let fields: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let Some(signed) = self
            .engine
            .sign_answer(&self.wanted, status.as_u16(), &fields)
        else {
            return;
        };
        for (name, value) in [
            (SIGNATURE_INPUT, signed.signature_input),
            (SIGNATURE, signed.signature),
        ] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}
