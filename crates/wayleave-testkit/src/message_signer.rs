use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wayleave_protocol::Message;
use wayleave_protocol::body_digest::{BodyDigest, content_digest};
use wayleave_protocol::http_signature::{
    Component, Parameter, SignatureInput, Signed, hmac_sha256,
};
use wayleave_protocol::jwt::SigningKey;

use crate::{Address, Call};

/// Makes nonces of one run differ.
static NONCES: AtomicU64 = AtomicU64::new(0);

/// Signs requests over the message itself (RFC 9421) with one credential's secret. What it signs
/// can be changed part by part, so that tests can leave out or forge each.
#[derive(Clone, Debug)]
pub struct MessageSigner {
    /// The public half.
    pub key_id: String,
    /// The secret half.
    pub secret: String,
    /// A key pair, which signs instead of the secret.
    pub pair: Option<Arc<SigningKey>>,
    /// The covered parts; `content-digest` joins them where there is a body.
    pub components: Vec<String>,
    /// When it is said to be made, in Unix seconds; `None`: nothing is said.
    pub created: Option<i64>,
    /// When it is said to end.
    pub expires: Option<i64>,
    /// `None`: a new one each time; an empty text: none.
    pub nonce: Option<String>,
    /// The algorithm that it says.
    pub alg: Option<String>,
    /// What it says it is for.
    pub tag: Option<String>,
    /// The authority that is signed; `None`: the address that is called.
    pub authority: Option<String>,
    /// `https` or `http`.
    pub scheme: &'static str,
}

impl MessageSigner {
    /// Signs at a second since 1970 what the service asks for.
    pub fn new(key_id: &str, secret: &str, unix_s: i64) -> Self {
        MessageSigner {
            key_id: key_id.to_owned(),
            secret: secret.to_owned(),
            pair: None,
            components: vec!["@method".to_owned(), "@target-uri".to_owned()],
            created: Some(unix_s),
            expires: None,
            nonce: None,
            alg: None,
            tag: None,
            authority: None,
            scheme: "http",
        }
    }

    /// Signs these parts instead.
    #[must_use]
    pub fn covering(mut self, components: &[&str]) -> Self {
        self.components = components.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// What `Signature-Input` says for a request that has a body or not, without the label.
    pub fn input(&self, has_body: bool) -> SignatureInput<'_> {
        let mut components: Vec<Component<'_>> = self
            .components
            .iter()
            .map(|name| Component::plain(name.as_str()))
            .collect();
        if has_body {
            components.push(Component::plain("content-digest"));
        }
        let mut parameters = Vec::new();
        parameters.extend(self.created.map(Parameter::Created));
        parameters.extend(self.expires.map(Parameter::Expires));
        match &self.nonce {
            Some(nonce) if nonce.is_empty() => {}
            Some(nonce) => parameters.push(Parameter::Nonce(nonce.into())),
            None => {
                let number = NONCES.fetch_add(1, Ordering::Relaxed);
                parameters.push(Parameter::Nonce(format!("nonce-{number}").into()));
            }
        }
        let text = |text: &String| std::borrow::Cow::Owned(text.clone());
        parameters.extend(self.alg.as_ref().map(|alg| Parameter::Alg(text(alg))));
        parameters.push(Parameter::KeyId(self.key_id.as_str().into()));
        parameters.extend(self.tag.as_ref().map(|tag| Parameter::Tag(text(tag))));
        SignatureInput::new(components, parameters)
    }

    /// A signed request; `fields`: further headers, which may be covered.
    pub fn call(
        &self,
        address: Address,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Call {
        let digest = content_digest(&BodyDigest::sha256(body));
        let mut all: Vec<(&str, &str)> = fields.to_vec();
        let has_digest = fields.iter().any(|(name, _)| *name == "content-digest");
        if !body.is_empty() && !has_digest {
            all.push(("content-digest", &digest));
        }
        let authority = self.authority.clone().unwrap_or(address.to_string());
        let raw: Vec<(&str, &[u8])> = all
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let message = Message {
            method,
            scheme: self.scheme,
            authority: &authority,
            path,
            query,
            fields: &raw,
        };
        let input = self.input(!body.is_empty());
        let base = input
            .base(&Signed::Request(message))
            .expect("a request that can be signed");
        let signature = match &self.pair {
            Some(pair) => pair.sign_bytes(base.as_bytes()).expect("a signature"),
            None => hmac_sha256(self.secret.as_bytes(), &base).to_vec(),
        };
        let signature = STANDARD.encode(signature);
        let call = all
            .iter()
            .fold(address.call(method, target), |call, (name, value)| {
                call.header(name, value)
            });
        let call = call
            .header("Signature-Input", &format!("sig={}", input.text()))
            .header("Signature", &format!("sig=:{signature}:"));
        if body.is_empty() {
            call
        } else {
            call.raw_body(body)
        }
    }

    /// A signed GET.
    pub fn get(&self, address: Address, target: &str) -> Call {
        self.call(address, "GET", target, &[], b"")
    }
}
