use std::sync::Arc;

use wayleave_protocol::Message;
use wayleave_protocol::described::DescribedScheme;

use crate::Unproven;

/// What a request shows to prove who made it, as received: nothing decoded, nothing trusted.
///
/// One reading of it decides, and what was read is what the API behind gets (law 7).
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// The method, in the case in which it came.
    pub method: &'a str,
    /// The path as received, without the query. Where a mount prefix was stripped, the path without
    /// it first and the whole one second.
    pub paths: &'a [&'a str],
    /// What follows the first question mark.
    pub query: Option<&'a str>,
    /// The `Authorization` header.
    pub authorization: Option<&'a [u8]>,
    /// The `Authentication` header, or `Authenticate` in its absence.
    pub authentication: Option<&'a [u8]>,
    /// The `Timestamp` header.
    pub timestamp: Option<&'a [u8]>,
    /// The body, where its type is `application/x-www-form-urlencoded` and it has been read.
    pub form_body: Option<&'a [u8]>,
    /// The whole request, where it shows a proof that is over its headers; else `None`.
    pub message: Option<Message<'a>>,
    /// Whether it has a body, of whatever length.
    pub has_body: bool,
    /// The whole body, where it has been read because a signature covers it.
    pub body: Option<&'a [u8]>,
    /// The scheme that is described for the route, where the request shows a signature of it.
    pub described: Option<&'a Arc<DescribedScheme>>,
    /// Whether a signature counts once, where its scheme has no nonce.
    pub refuses_replays: bool,
    /// The string that the client says it signed (test environment only; never trusted).
    pub claimed_base_string: Option<&'a [u8]>,
}

impl<'a> Evidence<'a> {
    /// The body of which a signature covers every byte. Errors: there is one that was not read.
    pub(crate) fn whole_body(&self) -> Result<&'a [u8], Unproven> {
        match self.body {
            Some(body) => Ok(body),
            None if self.has_body => Err(Unproven::BodyNeeded),
            None => Ok(&[]),
        }
    }
}

/// Evidence that contradicts itself: the request is refused before anything is checked (400).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MalformedEvidence {
    /// A header that proves something came more than once.
    #[error("a header that proves the request came more than once")]
    RepeatedHeader,
    /// Both a token and a signature, or signatures of two kinds.
    #[error(
        "two kinds of proof in one request: send one of Authorization, Authentication and Signature-Input"
    )]
    TwoProofs,
}
