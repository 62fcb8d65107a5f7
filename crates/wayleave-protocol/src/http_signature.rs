//! Signatures over chosen parts of a message (RFC 9421, HTTP Message Signatures).
//!
//! A signature names the parts that it covers in `Signature-Input`, and is itself in `Signature`.
//! The *signature base* is one line for each part and a last one with the parameters. Parts and
//! parameters are taken in the order in which they were received, letter for letter of their
//! values; nothing is put into an order of ours, or the signatures of other programs would fail.
//!
//! What is not understood is refused, not skipped: a parameter that is not one of RFC 9421, a part
//! that is named twice or that the message lacks. A fault of one signature is a fault of that
//! signature only ([`Presented::base`] tells it): others in the same message may hold.
//!
//! docs/http-signatures.md says what this service asks of a signature; see [`Policy`].

mod component;
mod key;
mod policy;
mod read;

pub use component::{Component, ResponseMessage, Signed, normal_authority};
pub use key::{Algorithm, PublicKey, PublicKeyError, hmac_sha256, verify_hmac_sha256};
pub use policy::{Policy, WINDOW_S};
pub use read::{
    Parameter, Presented, SignatureInput, WantedSignature, join_values, read, read_wanted,
};

/// How many signatures one message may have.
pub const MOST_SIGNATURES: usize = 4;
/// How many parts one signature may cover.
pub const MOST_COMPONENTS: usize = 64;
/// The longest nonce, in bytes.
pub const LONGEST_NONCE: usize = 256;

/// Why a signature does not count. Holds nothing but what the message itself says.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureFault {
    /// The header is not a dictionary of structured fields (RFC 9651), or names a label twice.
    #[error("the {header} header is not of the form that RFC 9421 gives it")]
    Form {
        /// Which one.
        header: &'static str,
    },
    /// More than [`MOST_SIGNATURES`].
    #[error("a message may have {MOST_SIGNATURES} signatures at most")]
    TooMany,
    /// A label of `Signature-Input` that `Signature` lacks.
    #[error("Signature-Input names a signature that Signature lacks")]
    NoSignature,
    /// The member of `Signature` is not a byte sequence alone.
    #[error("the signature is not of the form :<base64>:")]
    NotBytes,
    /// The member of `Signature-Input` is not a list of quoted names.
    #[error("the covered components are not a list of quoted names")]
    NotComponents,
    /// More than [`MOST_COMPONENTS`].
    #[error("a signature may cover {MOST_COMPONENTS} components at most")]
    TooManyComponents,
    /// A parameter of the signature that RFC 9421 does not have, or one with a wrong type of value.
    #[error("{0} is not a parameter of a signature, or its value is of the wrong type")]
    Parameter(String),
    /// A parameter of the signature, or of a component, came twice.
    #[error("the parameter {0} came twice")]
    RepeatedParameter(String),
    /// A component that cannot be: an unknown derived one, a name that is no header name, parameters
    /// that it cannot have.
    #[error("{0} is not a component that a signature can cover here")]
    Component(String),
    /// A component came twice.
    #[error("the component {0} came twice")]
    RepeatedComponent(String),
    /// The message lacks a component that is covered, or has it in a form that cannot be signed.
    #[error("the message has no component {0} that can be signed")]
    Missing(String),
    /// A parameter that we ask for is not there.
    #[error("the signature lacks the parameter {0}")]
    NoParameter(&'static str),
    /// A component that we ask for is not covered.
    #[error("the signature does not cover {0}")]
    NotCovered(&'static str),
    /// Made too far from our clock.
    #[error("{}", created_reason(*.skew_s))]
    Created {
        /// Time of making less our clock, in seconds: negative when the signature is old.
        skew_s: i64,
    },
    /// Past its `expires`.
    #[error("the signature expired {late_s} s ago")]
    Expired {
        /// By how much, in seconds.
        late_s: i64,
    },
    /// The nonce is empty or longer than [`LONGEST_NONCE`].
    #[error("a nonce has 1 to {LONGEST_NONCE} characters")]
    Nonce,
    /// `alg` is not the algorithm of the key.
    #[error("alg is not the algorithm of this key, which is {key}")]
    Algorithm {
        /// What the key is for.
        key: &'static str,
    },
}

fn created_reason(skew_s: i64) -> String {
    let (by, side) = match skew_s {
        ..0 => (skew_s.unsigned_abs(), "behind"),
        _ => (skew_s.unsigned_abs(), "ahead of"),
    };
    format!("the signature was created {by} s {side} the server's clock; {WINDOW_S} s are allowed")
}
