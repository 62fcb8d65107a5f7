//! The canonical request: what a request is turned into before it is hashed and signed.

use super::{Presented, Sigv4Error};
use crate::Message;
use crate::hex;
use std::borrow::Cow;

/// The canonical request of a message, in the reading that the published rules give: parameters
/// escaped and sorted. `payload_hash`: the hash of the body in hexadecimal digits, or the word that
/// stands for it. Nothing is refused here; [`super::Request::read`] does that.
pub fn canonical_request(
    message: &Message<'_>,
    presented: &Presented<'_>,
    payload_hash: &str,
) -> Vec<u8> {
    let query = line(&escaped_pairs(message.query));
    write(message, presented, &query, payload_hash)
}

/// Every reading that is accepted: as published, and with the parameters as sent. Where parameters
/// have a plus sign or a semicolon, which some readers take for a blank and a separator, only the
/// second.
pub(super) fn candidates(
    message: &Message<'_>,
    presented: &Presented<'_>,
    payload_hash: &str,
) -> Vec<Vec<u8>> {
    let as_sent = line(&pairs_as_sent(message.query));
    let is_plain = !as_sent.contains(['+', ';']);
    let escaped = is_plain.then(|| line(&escaped_pairs(message.query)));
    let readings = match escaped {
        Some(escaped) if escaped == as_sent => vec![escaped],
        Some(escaped) => vec![escaped, as_sent],
        None => vec![as_sent],
    };
    let canonical = |query: &String| write(message, presented, query, payload_hash);
    readings.iter().map(canonical).collect()
}

fn write(
    message: &Message<'_>,
    presented: &Presented<'_>,
    query: &str,
    payload_hash: &str,
) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    let path = match presented.service {
        "s3" => escape(message.path, is_sent_in_path),
        _ => escape(message.path, |byte| is_unreserved(byte) || byte == b'/'),
    };
    for part in [message.method, "\n", &path, "\n", query, "\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    for name in presented.signed_headers() {
        write_header(&mut text, message, name);
    }
    for part in ["\n", presented.signed_headers, "\n", payload_hash] {
        text.extend_from_slice(part.as_bytes());
    }
    text
}

/// `name:value,value` and a line feed. The host is where the request went, whatever header said it.
fn write_header(text: &mut Vec<u8>, message: &Message<'_>, name: &str) {
    text.extend_from_slice(name.as_bytes());
    text.push(b':');
    if name == "host" {
        text.extend_from_slice(message.authority.as_bytes());
    } else {
        for (number, value) in message.values(name).enumerate() {
            if number > 0 {
                text.push(b',');
            }
            write_with_single_blanks(text, value.trim_ascii());
        }
    }
    text.push(b'\n');
}

fn write_with_single_blanks(text: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        if byte != b' ' || text.last() != Some(&b' ') {
            text.push(byte);
        }
    }
}

/// A dot segment or a repeated slash may or may not have been removed before signing.
pub(super) fn check_path(path: &str) -> Result<(), Sigv4Error> {
    let segments = path.strip_prefix('/').ok_or(Sigv4Error::AmbiguousPath)?;
    let mut segments = segments.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if matches!(segment, "." | "..") || (segment.is_empty() && !is_last) {
            return Err(Sigv4Error::AmbiguousPath);
        }
    }
    Ok(())
}

/// A name twice could change places with itself under one signature, and a percent sign that
/// escapes nothing could be an escaped one.
pub(super) fn check_query(query: Option<&str>) -> Result<(), Sigv4Error> {
    let Some(query) = query else { return Ok(()) };
    let is_broken = |(at, _): (usize, &str)| {
        let digits = query.as_bytes().get(at + 1..at + 3).unwrap_or_default();
        digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit)
    };
    if query.match_indices('%').any(is_broken) {
        return Err(Sigv4Error::BrokenEscape);
    }
    let mut names: Vec<String> = escaped_pairs(Some(query))
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    if names.array_windows().any(|[one, other]| one == other) {
        return Err(Sigv4Error::DuplicateName);
    }
    Ok(())
}

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

fn pairs_as_sent(query: Option<&str>) -> Vec<Pair<'_>> {
    let pieces = query.unwrap_or_default().split('&');
    pieces
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_once('=').unwrap_or((piece, "")))
        .map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value)))
        .collect()
}

/// Everything but the unreserved characters of RFC 3986 escaped, in capital digits; escapes of
/// unreserved characters undone.
fn escaped_pairs(query: Option<&str>) -> Vec<Pair<'_>> {
    let mut pairs = pairs_as_sent(query);
    for (name, value) in &mut pairs {
        for word in [name, value] {
            if let Cow::Owned(escaped) = escape_again(word) {
                *word = Cow::Owned(escaped);
            }
        }
    }
    pairs
}

fn line(pairs: &[Pair<'_>]) -> String {
    let mut pairs: Vec<&Pair<'_>> = pairs.iter().collect();
    pairs.sort_unstable();
    let mut line = String::new();
    for (number, (name, value)) in pairs.into_iter().enumerate() {
        if number > 0 {
            line.push('&');
        }
        for part in [name, "=", value] {
            line.push_str(part);
        }
    }
    line
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a path may have on its way as it is; the rest is escaped before it is sent.
fn is_sent_in_path(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

fn escape(text: &str, stays: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if text.bytes().all(&stays) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if stays(byte) {
            escaped.push(char::from(byte));
        } else {
            push_escape(&mut escaped, byte);
        }
    }
    Cow::Owned(escaped)
}

/// Undoes the escapes of a word and escapes it anew, byte by byte.
fn escape_again(word: &str) -> Cow<'_, str> {
    if word.bytes().all(is_unreserved) {
        return Cow::Borrowed(word);
    }
    let mut escaped = String::with_capacity(word.len() + 16);
    let mut rest = word.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, unescaped(after)) {
            (b'%', Some(byte)) => (byte, &after[2..]),
            _ => (*first, after),
        };
        if is_unreserved(byte) {
            escaped.push(char::from(byte));
        } else {
            push_escape(&mut escaped, byte);
        }
        rest = after;
    }
    Cow::Owned(escaped)
}

fn unescaped(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    Some(hex::digit(*high)? << 4 | hex::digit(*low)?)
}

fn push_escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}
