//! Bytes to meaning and back: the wire formats of Wayleave.
//!
//! Everything in this crate is pure. There is no I/O, no clock and no HTTP type; the time
//! and random bytes come in as arguments (only key generation and ECDSA draw from the
//! cryptographic library's own generator). Every parser takes bytes or text from outside,
//! never panics, and answers with a small error that does not repeat a secret.
//!
//! | module | format | document |
//! | --- | --- | --- |
//! | [`http_date`] | the date form of HTTP headers | RFC 9110 5.6.7 |
//! | [`http_framing`] | where requests begin and end on a connection | RFC 9112 |
//! | [`http2_frames`] | what the frames of a client cost | RFC 9113 |
//! | [`key_text`] | ids and secrets as text | docs/keys.md |
//! | [`guid`] | ids of the content dialect | RFC 9562 |
//! | [`hex`] | bytes as hexadecimal digits | – |
//! | [`basic`] | Basic credentials | RFC 7617 |
//! | [`form`] | form data and query strings | WHATWG URL Standard |
//! | [`json`] | small request bodies | RFC 8259 |
//! | [`Message`] | a request as signatures over chosen parts of it see it | RFC 9421 |
//! | [`http_signature`] | signatures over chosen parts of a message | RFC 9421, RFC 9651 |
//! | [`body_digest`] | what a body must be | RFC 9530 |
//! | [`signed`] | the four-line signed scheme | docs/signed-requests.md |
//! | [`callback`] | how a content site is told of an event | docs/subscribers.md |
//! | [`sigv4`] | AWS Signature Version 4 | docs/aws-sigv4.md |
//! | [`decimal`] | decimal numbers without rounding | – |
//! | [`described`] | signing schemes described as data | docs/described-schemes.md |
//! | [`iso8601`] | the time forms of ISO 8601 | RFC 3339 |
//! | [`jwt`] | access tokens and their keys | RFC 9068, RFC 7517, RFC 8725 |
//! | [`page`] | what a page of a site says of itself | docs/content.md |
//! | [`return_address`] | where readers go back to | docs/content.md |
//! | [`xml`] | small XML documents | XML 1.0, Namespaces in XML 1.0 |
//! | [`ticks`] | moments as the content dialect numbers them | docs/readers.md |
//! | [`user_token`] | by what readers are known | docs/readers.md |
//! | [`secret`] | how secrets are held in memory | – |

pub mod basic;
pub mod body_digest;
pub mod callback;
pub mod decimal;
pub mod described;
pub mod form;
pub mod guid;
pub mod hex;
pub mod http2_frames;
pub mod http_date;
pub mod http_framing;
pub mod http_signature;
pub mod iso8601;
pub mod json;
pub mod jwt;
pub mod key_text;
mod message;
pub mod page;
pub mod return_address;
pub mod secret;
pub mod signed;
pub mod sigv4;
pub mod ticks;
pub mod user_token;
pub mod xml;

pub use message::Message;
