//! Answers that are signed because the client asks for it (RFC 9421 sections 2.4 and 5.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wayleave_core::Scheme;
use wayleave_protocol::Message;
use wayleave_protocol::http_signature::{
    self, Component, Parameter, ResponseMessage, SignatureInput, Signed, WantedSignature,
    hmac_sha256, join_values,
};
use wayleave_protocol::jwt;

use crate::directory::LookupId;
use crate::engine::Engine;
use crate::http_signature::SIGNATURE_INPUT;
use crate::{Algorithm, Caller};

const ACCEPT_SIGNATURE: &str = "accept-signature";
/// The headers of an answer that are covered where it has them.
const COVERED_FIELDS: [&str; 2] = ["content-type", "content-digest"];

/// A signature that a client wants of the answer to one request, and what of that request is signed
/// with it.
#[derive(Debug)]
pub struct AnswerSignature {
    wanted: WantedSignature,
    credential: LookupId,
    key_id: String,
    method: String,
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
}

impl AnswerSignature {
    /// What a proven request asks for; `None`: nothing, or its caller signs no messages.
    pub fn wanted(message: &Message<'_>, caller: &Caller) -> Option<Self> {
        if caller.scheme() != Scheme::HttpSignature {
            return None;
        }
        let wanted = join_values(message.values(ACCEPT_SIGNATURE))?;
        let input = join_values(message.values(SIGNATURE_INPUT))?;
        let presented = http_signature::read(&input, b"").unwrap_or_default();
        let own = presented.iter().find_map(|one| {
            let key_id = one.claimed_key_id()?;
            caller.is_named_by(key_id).then(|| key_id.to_owned())
        });
        Some(AnswerSignature {
            wanted: http_signature::read_wanted(&wanted)?,
            credential: caller.lookup,
            key_id: own?,
            method: message.method.to_owned(),
            scheme: message.scheme.to_owned(),
            authority: message.authority.to_owned(),
            path: message.path.to_owned(),
            query: message.query.map(str::to_owned),
        })
    }

    fn request(&self) -> Message<'_> {
        Message {
            method: &self.method,
            scheme: &self.scheme,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            fields: &[],
        }
    }
}

/// The two headers of a signed answer.
#[derive(Debug)]
pub struct SignedAnswer {
    /// `Signature-Input`.
    pub signature_input: String,
    /// `Signature`.
    pub signature: String,
}

impl Engine {
    /// Signs an answer: with the caller's own secret where it has one, else with the key that signs
    /// tokens now, whose public part is in the key set. `None`: that key is for RS256, which is no
    /// algorithm of RFC 9421 that we speak.
    pub fn sign_answer(
        &self,
        wanted: &AnswerSignature,
        status: u16,
        fields: &[(&str, &[u8])],
    ) -> Option<SignedAnswer> {
        let answer = ResponseMessage {
            status,
            fields,
            request: wanted.request(),
        };
        let now_s = self.now().unix_s();
        let own = self.directory.with(wanted.credential, |record| {
            let mut secrets = record.live_secrets(now_s);
            let text = secrets.find_map(|secret| secret.signing_text())?;
            let input = wanted.input(&answer, &wanted.key_id, "hmac-sha256", now_s);
            let base = input.base(&Signed::Response(answer)).ok()?;
            Some((input.text(), hmac_sha256(text, &base).to_vec()))
        });
        let (input, signature) = match own.flatten() {
            Some(signed) => signed,
            None => {
                let ring = self.signing_keys.load();
                let key = ring.current(now_s)?;
                let input = wanted.input(&answer, key.kid(), algorithm(key)?, now_s);
                let base = input.base(&Signed::Response(answer)).ok()?;
                (input.text(), key.sign_bytes(base.as_bytes()).ok()?)
            }
        };
        let label = &wanted.wanted.label;
        Some(SignedAnswer {
            signature_input: format!("{label}={input}"),
            signature: format!("{label}=:{}:", STANDARD.encode(signature)),
        })
    }
}

/// The registered name of a key's algorithm in RFC 9421 section 6.2.
fn algorithm(key: &jwt::SigningKey) -> Option<&'static str> {
    match key.algorithm() {
        Algorithm::Es256 => Some("ecdsa-p256-sha256"),
        Algorithm::EdDsa => Some("ed25519"),
        Algorithm::Rs256 => None,
    }
}

impl AnswerSignature {
    /// Status, type and digest of the answer, and which request it answers.
    fn input<'a>(
        &'a self,
        answer: &ResponseMessage<'_>,
        key_id: &'a str,
        alg: &'static str,
        now_s: i64,
    ) -> SignatureInput<'a> {
        let has = |name: &&str| answer.fields.iter().any(|(own, _)| own == name);
        let mut covered = vec![Component::plain("@status")];
        covered.extend(COVERED_FIELDS.into_iter().filter(has).map(Component::plain));
        for part in ["@method", "@target-uri"] {
            covered.push(Component::plain(part).of_request());
        }
        let mut parameters = vec![
            Parameter::Created(now_s),
            Parameter::KeyId(key_id.into()),
            Parameter::Alg(alg.into()),
        ];
        let WantedSignature { nonce, tag, .. } = &self.wanted;
        parameters.extend(nonce.as_ref().map(|nonce| Parameter::Nonce(nonce.into())));
        parameters.extend(tag.as_ref().map(|tag| Parameter::Tag(tag.into())));
        SignatureInput::new(covered, parameters)
    }
}
