//! The parts of a signed text: what each can hold, and how it is written.

use super::form::{Encoding, Hash, TimeForm};
use super::template::{digest, header_name};
use super::{DescribedError, Request, one_value};
use crate::form;

/// A part of the signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Box<str>),
    Method {
        lower: bool,
    },
    Path,
    Query {
        sorted: bool,
    },
    PathAndQuery,
    Host,
    KeyId {
        /// What ends it, and so must not be in it.
        ended_by: Option<u8>,
    },
    Time(TimeForm),
    Header {
        name: Box<str>,
        optional: bool,
        ended_by: Option<u8>,
    },
    Body,
    /// The body, which is nothing or begins with a brace: no target holds one.
    JsonBody,
    BodyDigest {
        hash: Hash,
        encoding: Encoding,
        /// Nothing where there is no body.
        optional: bool,
    },
}

const KNOWN: &str = "{method}, {method:lower}, {path}, {query}, {query:sorted}, {path-and-query}, {host}, {key-id}, {time}, {header:NAME}, {header:NAME?}, {body}, {body:json}, {body:sha256:hex}, {body:sha256:hex?}";

impl Part {
    /// The part that a word in braces names. Errors: what is wrong with it.
    pub(super) fn parse(word: &str, time: TimeForm) -> Result<Self, String> {
        match word {
            "method" => Ok(Self::Method { lower: false }),
            "method:lower" => Ok(Self::Method { lower: true }),
            "path" => Ok(Self::Path),
            "query" => Ok(Self::Query { sorted: false }),
            "query:sorted" => Ok(Self::Query { sorted: true }),
            "path-and-query" => Ok(Self::PathAndQuery),
            "host" | "header:host" => Ok(Self::Host),
            "key-id" => Ok(Self::KeyId { ended_by: None }),
            "time" => Ok(Self::Time(time)),
            "body" => Ok(Self::Body),
            "body:json" => Ok(Self::JsonBody),
            "path:lower" | "path-and-query:lower" | "query:lower" => Err(format!(
                "has {{{word}}}, which leaves the letter case unsigned: /A and /a would have one signature"
            )),
            _ => Self::parse_compound(word),
        }
    }

    fn parse_compound(word: &str) -> Result<Self, String> {
        let (plain, optional) = match word.strip_suffix('?') {
            Some(plain) => (plain, true),
            None => (word, false),
        };
        if let Some(name) = plain.strip_prefix("header:") {
            return Ok(Self::Header {
                name: header_name(name)?,
                optional,
                ended_by: None,
            });
        }
        if let Some(word) = plain.strip_prefix("body:") {
            let (hash, encoding) = digest(word)?;
            return Ok(Self::BodyDigest {
                hash,
                encoding,
                optional,
            });
        }
        Err(format!("has {{{word}}}; known are: {KNOWN}"))
    }

    /// How a person calls it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Literal(text) => format!("the text \"{}\"", text.escape_debug()),
            Self::Method { .. } => "the method".to_owned(),
            Self::Path => "the path".to_owned(),
            Self::Query { .. } => "the query".to_owned(),
            Self::PathAndQuery => "the path with its query".to_owned(),
            Self::Host => "the host".to_owned(),
            Self::KeyId { .. } => "the key id".to_owned(),
            Self::Time(_) => "the time".to_owned(),
            Self::Header { name, .. } => format!("the header {name}"),
            Self::Body | Self::JsonBody => "the body".to_owned(),
            Self::BodyDigest { .. } => "the digest of the body".to_owned(),
        }
    }

    /// Whether all its texts have one length, so that nothing has to end it.
    pub(super) fn is_fixed(&self) -> bool {
        match self {
            Self::Literal(_) => true,
            Self::Time(form) => form.is_fixed(),
            Self::BodyDigest { optional, .. } => !optional,
            _ => false,
        }
    }

    /// Whether it can be nothing at all.
    pub(super) fn may_be_empty(&self) -> bool {
        match self {
            Self::Query { .. } | Self::Body | Self::JsonBody => true,
            Self::Header { optional, .. } | Self::BodyDigest { optional, .. } => *optional,
            _ => false,
        }
    }

    /// Whether it can hold a byte. [`Self::check`] sees to it that it does not hold another.
    pub(super) fn holds(&self, byte: u8) -> bool {
        match self {
            Self::Literal(text) => text.as_bytes().contains(&byte),
            Self::Method { lower: false } => byte.is_ascii_uppercase() || byte == b'-',
            Self::Method { lower: true } => byte.is_ascii_lowercase() || byte == b'-',
            Self::Path => is_in_target(byte) && byte != b'?',
            Self::Query { .. } | Self::PathAndQuery => is_in_target(byte),
            Self::Host => byte.is_ascii_alphanumeric() || b"-._:[]%".contains(&byte),
            Self::KeyId { ended_by } | Self::Header { ended_by, .. } => {
                is_in_header(byte) && *ended_by != Some(byte)
            }
            Self::Time(form) => form.is_fixed() || byte.is_ascii_digit(),
            Self::Body | Self::JsonBody => true,
            Self::BodyDigest { encoding, .. } => encoding.holds(byte),
        }
    }

    /// Whether it can begin with a byte.
    pub(super) fn begins(&self, byte: u8) -> bool {
        match self {
            Self::Literal(text) => text.as_bytes().first() == Some(&byte),
            Self::Path | Self::PathAndQuery => byte == b'/',
            Self::Time(form) => form.begins(byte),
            Self::JsonBody => byte == b'{',
            _ => self.holds(byte),
        }
    }

    /// Makes a byte end it, where a request that has the byte in it can be refused without harm.
    pub(super) fn end_by(&mut self, byte: u8) -> bool {
        match self {
            Self::KeyId { ended_by } | Self::Header { ended_by, .. } => {
                *ended_by = Some(byte);
                true
            }
            _ => false,
        }
    }

    /// Whether the request has what the part names, and nothing in it that the part cannot hold.
    pub(super) fn check(&self, request: &Request<'_>) -> Result<(), DescribedError> {
        let message = &request.message;
        let is_fine = match self {
            Self::Literal(_) | Self::Time(_) => true,
            Self::Body | Self::JsonBody | Self::BodyDigest { .. } => true,
            // Methods differ by case, and lowering would hide it.
            Self::Method { .. } => {
                let upper = Self::Method { lower: false };
                !message.method.is_empty() && message.method.bytes().all(|byte| upper.holds(byte))
            }
            Self::Path => self.fits_path(message.path),
            Self::PathAndQuery => {
                self.fits_path(message.path) && self.fits(message.query.unwrap_or_default())
            }
            Self::Query { sorted } => match message.query {
                None => true,
                // A question mark alone would not be seen.
                Some(query) => {
                    !query.is_empty() && self.fits(query) && (!sorted || has_each_name_once(query))
                }
            },
            Self::Host => !message.authority.is_empty() && self.fits(message.authority),
            Self::KeyId { .. } => self.fits(request.shown.key_id),
            Self::Header { name, optional, .. } => match one_value(message, name)? {
                None if *optional => true,
                None => return Err(DescribedError::Missing(name.clone())),
                Some(value) => !value.is_empty() && value.iter().all(|byte| self.holds(*byte)),
            },
        };
        if is_fine {
            Ok(())
        } else {
            Err(DescribedError::Ambiguous(
                self.name().trim_start_matches("the ").into(),
            ))
        }
    }

    /// Whether a body can be told from what stands before it.
    pub(super) fn fits_body(&self, body: &[u8]) -> bool {
        *self != Self::JsonBody || matches!(body, [] | [b'{', ..])
    }

    fn fits(&self, text: &str) -> bool {
        text.bytes().all(|byte| self.holds(byte))
    }

    fn fits_path(&self, path: &str) -> bool {
        path.starts_with('/') && path.bytes().all(|byte| Self::Path.holds(byte))
    }

    /// Writes it. The request has been checked.
    pub(super) fn write(&self, request: &Request<'_>, body: &[u8], sink: &mut dyn FnMut(&[u8])) {
        let message = &request.message;
        match self {
            Self::Literal(text) => sink(text.as_bytes()),
            Self::Method { lower: false } => sink(message.method.as_bytes()),
            Self::Method { lower: true } => sink(message.method.to_ascii_lowercase().as_bytes()),
            Self::Path => sink(message.path.as_bytes()),
            Self::Query { sorted: false } => sink(message.query.unwrap_or_default().as_bytes()),
            Self::Query { sorted: true } => write_sorted(message.query.unwrap_or_default(), sink),
            Self::PathAndQuery => {
                sink(message.path.as_bytes());
                if let Some(query) = message.query {
                    sink(b"?");
                    sink(query.as_bytes());
                }
            }
            Self::Host => sink(message.authority.as_bytes()),
            Self::KeyId { .. } => sink(request.shown.key_id.as_bytes()),
            Self::Time(_) => sink(request.shown.time.as_bytes()),
            Self::Header { name, .. } => sink(message.values(name).next().unwrap_or_default()),
            Self::Body | Self::JsonBody => sink(body),
            Self::BodyDigest { optional, .. } if *optional && body.is_empty() => {}
            Self::BodyDigest { hash, encoding, .. } => {
                sink(encoding.write(&hash.digest(body)).as_bytes());
            }
        }
    }
}

/// What can be in the target of a request: the characters of RFC 3986 but for a fragment's mark, and
/// what is not ASCII, which some clients do not escape.
fn is_in_target(byte: u8) -> bool {
    let is_outside = b"\"#<>\\^`{|}".contains(&byte);
    (byte.is_ascii_graphic() && !is_outside) || byte >= 0x80
}

/// What can be in the value of a header.
fn is_in_header(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Of two parameters with one name, sorting would hide which came first.
fn has_each_name_once(query: &str) -> bool {
    form::for_each(query.as_bytes(), |_, _| ()).is_ok()
}

fn write_sorted(query: &str, sink: &mut dyn FnMut(&[u8])) {
    let mut pieces: Vec<&str> = query.split('&').collect();
    pieces.sort_unstable();
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            sink(b"&");
        }
        sink(piece.as_bytes());
    }
}
