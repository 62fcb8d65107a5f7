//! What the body of a request must be, where somebody signed a digest of it, and the
//! `Content-Digest` header that says so (RFC 9530).
//!
//! Only SHA-256 and SHA-512 count. A body is hashed as it passes by; nothing here holds it.

use crate::http_signature::join_values;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sfv::visitor::ParameterVisitor;
use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, Never,
};
use sfv::{BareItemFromInput, KeyRef, Parser};
use sha2::{Digest as _, Sha256, Sha512};
use std::convert::Infallible;
use std::fmt;
use subtle::ConstantTimeEq as _;

/// A digest that a body must have.
#[derive(Clone, PartialEq, Eq)]
pub enum BodyDigest {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-512.
    Sha512(Box<[u8; 64]>),
}

impl fmt::Debug for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl BodyDigest {
    /// The registered name of its algorithm (RFC 9530 section 7.2).
    pub fn name(&self) -> &'static str {
        match self {
            BodyDigest::Sha256(_) => "sha-256",
            BodyDigest::Sha512(_) => "sha-512",
        }
    }

    /// The SHA-256 of a body.
    pub fn sha256(body: &[u8]) -> Self {
        BodyDigest::Sha256(Sha256::digest(body).into())
    }

    /// The SHA-512 of a body.
    pub fn sha512(body: &[u8]) -> Self {
        BodyDigest::Sha512(Box::new(Sha512::digest(body).into()))
    }

    fn from_parts(name: &str, value: &[u8]) -> Result<Self, ContentDigestError> {
        match name {
            "sha-256" => value.try_into().map(BodyDigest::Sha256).ok(),
            "sha-512" => value
                .try_into()
                .ok()
                .map(|value| BodyDigest::Sha512(Box::new(value))),
            _ => return Err(ContentDigestError::Algorithm),
        }
        .ok_or(ContentDigestError::Length)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            BodyDigest::Sha256(value) => value,
            BodyDigest::Sha512(value) => &**value,
        }
    }
}

/// The value of a `Content-Digest` header with one digest.
///
/// ```
/// use wayleave_protocol::body_digest::{content_digest, BodyDigest};
/// assert_eq!(
///     content_digest(&BodyDigest::sha256(b"{\"hello\": \"world\"}")),
///     "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
/// );
/// ```
pub fn content_digest(digest: &BodyDigest) -> String {
    format!("{}=:{}:", digest.name(), STANDARD.encode(digest.bytes()))
}

/// Why a `Content-Digest` header cannot be counted on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ContentDigestError {
    /// Not a dictionary of byte sequences (RFC 9530 section 2), or a digest named twice.
    #[error("the Content-Digest header is not of the form sha-256=:<base64>:")]
    Form,
    /// Not SHA-256 or SHA-512.
    #[error("Content-Digest may have sha-256 and sha-512 only")]
    Algorithm,
    /// Not as long as its algorithm makes it.
    #[error("a digest in Content-Digest is not as long as its algorithm makes it")]
    Length,
}

/// Reads the lines of a `Content-Digest` header: every digest in it must hold. Never empty.
///
/// # Errors
/// See [`ContentDigestError`].
pub fn read_content_digest<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<BodyDigest>, ContentDigestError> {
    let joined = join_values(lines).ok_or(ContentDigestError::Form)?;
    let members = Parser::new(&*joined)
        .parse_dictionary_with_visitor(Members::default())
        .map_err(|_| ContentDigestError::Form)?;
    let mut digests: Vec<BodyDigest> = Vec::with_capacity(members.len());
    for (name, value) in members {
        let digest = BodyDigest::from_parts(name, &value.ok_or(ContentDigestError::Form)?)?;
        if digests.iter().any(|known| known.name() == digest.name()) {
            return Err(ContentDigestError::Form);
        }
        digests.push(digest);
    }
    if digests.is_empty() {
        return Err(ContentDigestError::Form);
    }
    Ok(digests)
}

/// The members of a dictionary of byte sequences in their order, repeats included; `None` for a
/// member that is anything else.
#[derive(Default)]
pub(crate) struct Members<'a>(Vec<(&'a str, Option<Vec<u8>>)>);

impl<'a> DictionaryVisitor<'a> for Members<'a> {
    type Out = Vec<(&'a str, Option<Vec<u8>>)>;
    type Error = Infallible;

    fn entry(&mut self, key: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        self.0.push((key.as_str(), None));
        Ok(Member(self.0.last_mut().map(|(_, value)| value)))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

struct Member<'m>(Option<&'m mut Option<Vec<u8>>>);

impl<'a> EntryVisitor<'a> for Member<'_> {
    type Error = NotBytes;

    fn item(self) -> Result<impl ItemVisitor<'a>, NotBytes> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, NotBytes> {
        Err::<Never, _>(NotBytes)
    }
}

impl<'a> ItemVisitor<'a> for Member<'_> {
    type Out = ();
    type Error = NotBytes;

    fn bare_item(
        self,
        item: BareItemFromInput<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, NotBytes> {
        match (self.0, item) {
            (Some(place), BareItemFromInput::ByteSequence(bytes)) => {
                *place = Some(bytes);
                Ok(Ignored)
            }
            _ => Err(NotBytes),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not a byte sequence")]
struct NotBytes;

enum Running {
    Sha256(Sha256),
    Sha512(Sha512),
}

/// Hashes a body as it passes by, to compare it with the digests that it must have.
pub struct BodyCheck(Vec<(Running, BodyDigest)>);

impl fmt::Debug for BodyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(_, expected)| expected))
            .finish()
    }
}

impl BodyCheck {
    /// Begins with an empty body.
    ///
    /// ```
    /// use wayleave_protocol::body_digest::{BodyCheck, BodyDigest};
    /// let mut check = BodyCheck::new(vec![BodyDigest::sha512(b"ab")]);
    /// check.update(b"a");
    /// check.update(b"b");
    /// assert!(check.fits());
    /// assert!(!BodyCheck::new(vec![BodyDigest::sha256(b"ab")]).fits());
    /// ```
    pub fn new(expected: Vec<BodyDigest>) -> Self {
        let begin = |digest: BodyDigest| match digest {
            BodyDigest::Sha256(_) => (Running::Sha256(Sha256::new()), digest),
            BodyDigest::Sha512(_) => (Running::Sha512(Sha512::new()), digest),
        };
        BodyCheck(expected.into_iter().map(begin).collect())
    }

    /// Takes the next piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        for (running, _) in &mut self.0 {
            match running {
                Running::Sha256(running) => running.update(piece),
                Running::Sha512(running) => running.update(piece),
            }
        }
    }

    /// Whether the body, which has ended, has every digest.
    pub fn fits(self) -> bool {
        self.0.into_iter().all(|(running, expected)| match running {
            Running::Sha256(running) => bool::from(running.finalize().ct_eq(expected.bytes())),
            Running::Sha512(running) => bool::from(running.finalize().ct_eq(expected.bytes())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<BodyDigest>, ContentDigestError> {
        read_content_digest(std::iter::once(text.as_bytes()))
    }

    #[test]
    fn both_digests_of_one_header_must_hold() {
        let both = format!(
            "{}, {}",
            content_digest(&BodyDigest::sha256(b"x")),
            content_digest(&BodyDigest::sha512(b"y"))
        );
        let digests = read(&both).expect("good");
        assert_eq!(digests.len(), 2);
        for body in [b"x", b"y"] {
            let mut check = BodyCheck::new(digests.clone());
            check.update(body);
            assert!(!check.fits());
        }
    }

    #[test]
    fn what_is_no_digest_of_ours_is_refused() {
        let sha256 = content_digest(&BodyDigest::sha256(b"x"));
        for (text, why) in [
            ("", ContentDigestError::Form),
            ("sha-256", ContentDigestError::Form),
            ("sha-256=()", ContentDigestError::Form),
            ("sha-256=abc", ContentDigestError::Form),
            ("sha-256=:AAAA:", ContentDigestError::Length),
            ("md5=:AAAA:", ContentDigestError::Algorithm),
            ("sha=:AAAA:", ContentDigestError::Algorithm),
            (
                &format!("{sha256}, md5=:AAAA:"),
                ContentDigestError::Algorithm,
            ),
            (&format!("{sha256}, {sha256}"), ContentDigestError::Form),
            (&format!("{sha256},"), ContentDigestError::Form),
        ] {
            assert_eq!(read(text), Err(why), "{text}");
        }
    }
}
