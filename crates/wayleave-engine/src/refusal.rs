use wayleave_protocol::body_digest::ContentDigestError;
use wayleave_protocol::described::DescribedError;
use wayleave_protocol::http_signature::SignatureFault;
use wayleave_protocol::jwt::TokenError;
use wayleave_protocol::signed::{ParameterError, TimestampError};
use wayleave_protocol::sigv4::Sigv4Error;

/// Why a request is not proven (401), or cannot be read unambiguously (400).
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Unproven {
    /// No header that could prove anything.
    #[error("no proof: send an Authorization header, or sign the request")]
    NoProof,
    /// A header that is not of the form that its scheme has.
    #[error("the {header} header is not of the form that its scheme has")]
    Malformed {
        /// Which one.
        header: &'static str,
    },
    /// `Authorization: Basic` or another scheme that is not accepted for requests.
    #[error("only Bearer tokens and bare tokens are accepted in Authorization")]
    OtherScheme,
    /// Nobody has this public id.
    #[error("unknown key")]
    UnknownKey,
    /// The credential was revoked.
    #[error("revoked key")]
    Revoked,
    /// The signature is not one of this request under this key.
    #[error("signature mismatch")]
    Mismatch,
    /// No `Timestamp` header.
    #[error("no timestamp header")]
    NoTimestamp,
    /// The `Timestamp` header is not acceptable.
    #[error("{}", timestamp_reason(.0))]
    Timestamp(TimestampError),
    /// The query or form cannot be read in one way only (400).
    #[error("{}", parameter_reason(.0))]
    Parameters(ParameterError),
    /// A signature over the message cannot be read, is too old, or covers too little.
    #[error(transparent)]
    Signature(SignatureFault),
    /// The digest that was signed cannot be counted on.
    #[error(transparent)]
    ContentDigest(ContentDigestError),
    /// The request is for a name that is none of this environment's.
    #[error(
        "the host that was signed is none of this environment's: see public_url and authorities"
    )]
    ForeignAuthority,
    /// The nonce of the signature was used before, or the signature itself where it counts once.
    #[error("the signature or its nonce was used before: sign each request anew")]
    Replayed,
    /// The signature was made before this service started, so it may have been used then.
    #[error(
        "signed before the service started, so it may have been used before: sign the request anew"
    )]
    SignedBeforeStart,
    /// Whether the nonce was used before cannot be found out now (503); says why, for the log.
    #[error("it cannot be found out now whether the nonce was used before")]
    Unavailable(String),
    /// A request signed by AWS Signature Version 4 cannot be counted on, whatever its signature is.
    #[error(transparent)]
    Sigv4(Sigv4Error),
    /// The same of a scheme that is described for the route.
    #[error(transparent)]
    Described(DescribedError),
    /// The signature covers the body, which has to be read first ([`crate::Evidence::body`]).
    #[error("the signature covers the body itself, and the body is not to be seen here")]
    BodyNeeded,
    /// The token does not hold.
    #[error("{}", token_reason(.0))]
    Token(TokenError),
    /// The token was issued before its credential was renewed or revoked.
    #[error("the token is no longer valid")]
    TokenRevoked,
}

fn timestamp_reason(error: &TimestampError) -> String {
    match error {
        TimestampError::NotRfc1123 => "timestamp is not RFC 1123".to_owned(),
        TimestampError::OutsideWindow { skew_s } if *skew_s > 0 => {
            format!("timestamp outside window: {skew_s} s ahead of the server")
        }
        TimestampError::OutsideWindow { skew_s } => {
            format!(
                "timestamp outside window: {} s behind the server",
                skew_s.unsigned_abs()
            )
        }
    }
}

fn parameter_reason(error: &ParameterError) -> &'static str {
    match error {
        ParameterError::DuplicateName => "duplicate query parameter",
        ParameterError::ControlCharacter => "control character in a parameter",
        ParameterError::NotUtf8 => "a parameter is not UTF-8",
    }
}

fn token_reason(error: &TokenError) -> &'static str {
    match error {
        TokenError::Expired => "The incoming token has expired",
        _ => "the token is not valid",
    }
}

impl Unproven {
    /// Whether the request itself is at fault, whoever made it (400 instead of 401).
    pub fn is_bad_request(&self) -> bool {
        match self {
            Unproven::Parameters(_) => true,
            Unproven::Sigv4(error) => error.is_bad_request(),
            Unproven::Described(error) => error.is_bad_request(),
            _ => false,
        }
    }
}

/// Why an administrative act was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A value that cannot be; says which and why.
    #[error("{field}: {why}")]
    Invalid {
        /// The member at fault.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Something that was named is not there.
    #[error("there is no such {noun}")]
    NotFound {
        /// What was looked for.
        noun: &'static str,
    },
    /// It is there already.
    #[error("{noun} is taken")]
    Taken {
        /// What is taken.
        noun: &'static str,
    },
    /// A rule forbids it as things stand.
    #[error("{why}")]
    Forbidden {
        /// Which, and what to do.
        why: &'static str,
    },
    /// Too many wrong values were given to prove something.
    #[error("too many wrong values: try again in {retry_after_s} s")]
    TooManyGuesses {
        /// How long to wait.
        retry_after_s: u64,
    },
    /// The store failed; nothing is known to have been written.
    #[error(transparent)]
    Store(#[from] wayleave_store::StoreError),
    /// A master key is missing.
    #[error(transparent)]
    MasterKey(#[from] crate::MasterKeyError),
    /// A key could not be made or read.
    #[error("signing keys: {0}")]
    SigningKey(String),
}
