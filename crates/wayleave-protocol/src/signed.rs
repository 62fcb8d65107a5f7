//! The compatible signed scheme: HMAC-SHA256 over four lines (docs/signed-requests.md).
//!
//! A request carries `Timestamp: <IMF-fixdate>` and `Authentication: <key id>:<signature>`.
//! The signature is the base64 of `HMAC-SHA256(secret as UTF-8 text, base string)`, and the
//! base string is four lines joined by a line feed:
//!
//! 1. the method in capitals,
//! 2. the timestamp, letter for letter as sent,
//! 3. the path in small letters, without the query,
//! 4. the parameters, decoded, in small letters, as `name=value`, sorted by name and joined
//!    by `&`; empty when there are none.
//!
//! Clients in use read lines 3 and 4 in slightly different ways, so that a request may have
//! several *candidates*. Nearly always there is one, and then [`verify`] computes one HMAC
//! without building the text.
//!
//! The scheme leaves letter case and bodies unsigned, and takes an encoded path for its
//! decoded form: nothing may depend on those.

use crate::form::{Fields, FormError, Piece, compare_ignoring_case, has_control, percent_decode};
use crate::http_date;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::borrow::Cow;
use subtle::ConstantTimeEq as _;

/// How far a timestamp may be from the server's clock, in seconds, either way, inclusive.
pub const WINDOW_S: i64 = 300;

/// The length of a signature as text: 32 bytes in padded base64.
const SIGNATURE_CHARACTERS: usize = 44;

/// What an `Authentication` header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented<'a> {
    /// The id of the key, as written. Look it up without regard to letter case.
    pub key_id: &'a str,
    /// The signature, decoded.
    pub signature: [u8; 32],
}

/// Reads the value of an `Authentication` header: blanks round it are trimmed, then it is
/// split at the first colon. `None` for whatever cannot be a proof: no colon, an empty or
/// unprintable key id, a signature that is not 32 bytes in canonical padded base64 (a
/// hexadecimal digest, for instance). The caller answers 401.
///
/// ```
/// use wayleave_protocol::signed::parse_authentication;
/// let value = b"K-1:9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0=  ";
/// assert_eq!(parse_authentication(value).unwrap().key_id, "K-1");
/// assert!(parse_authentication(b"K-1:f5eb714f").is_none());
/// ```
pub fn parse_authentication(value: &[u8]) -> Option<Presented<'_>> {
    let value = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    let (key_id, encoded) = value.split_once(':')?;
    if key_id.is_empty() || has_control(key_id) || encoded.len() != SIGNATURE_CHARACTERS {
        return None;
    }
    let mut decoded = [0; 33]; // what 44 characters can hold at most
    if STANDARD.decode_slice(encoded, &mut decoded).ok()? != 32 {
        return None;
    }
    Some(Presented {
        key_id,
        signature: *decoded.first_chunk()?,
    })
}

/// Why a timestamp was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TimestampError {
    /// It is not of the form `Tue, 16 Mar 2027 10:20:28 GMT`, or its weekday is wrong.
    #[error("the timestamp is not an RFC 1123 date in GMT, such as: Tue, 16 Mar 2027 10:20:28 GMT")]
    NotRfc1123,
    /// It is too far from the server's clock.
    #[error("the timestamp is {skew_s} s from the server's clock; {WINDOW_S} s are allowed")]
    OutsideWindow {
        /// Timestamp less server clock, in seconds: negative when the request is old.
        skew_s: i64,
    },
}

/// Checks the text of a `Timestamp` header against the clock: at most [`WINDOW_S`] seconds
/// apart, either way, inclusive.
///
/// # Errors
/// See [`TimestampError`].
///
/// ```
/// use wayleave_protocol::signed::{check_timestamp, TimestampError};
/// let now = 1_805_192_430;
/// assert_eq!(check_timestamp("Tue, 16 Mar 2027 10:20:28 GMT", now), Ok(()));
/// assert_eq!(
///     check_timestamp("Tue, 16 Mar 2027 10:15:29 GMT", now),
///     Err(TimestampError::OutsideWindow { skew_s: -301 })
/// );
/// ```
pub fn check_timestamp(text: &str, now_unix_s: i64) -> Result<(), TimestampError> {
    let then = http_date::parse(text).ok_or(TimestampError::NotRfc1123)?;
    let skew_s = then.saturating_sub(now_unix_s);
    if !(-WINDOW_S..=WINDOW_S).contains(&skew_s) {
        return Err(TimestampError::OutsideWindow { skew_s });
    }
    Ok(())
}

/// The signed parts of a request, as received and before any framework decoded them.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method; it is signed in capitals.
    pub method: &'a str,
    /// The raw path, percent-encoding and double slashes intact. Usually one; when a mount
    /// prefix was stripped, first the stripped path, then the one with the prefix.
    pub paths: &'a [&'a str],
    /// What follows the first `?`, if anything does.
    pub query: Option<&'a str>,
    /// The text of the `Timestamp` header. Check it with [`check_timestamp`].
    pub timestamp: &'a str,
    /// The body, only when it is `application/x-www-form-urlencoded`: it may be signed with
    /// the query or left out.
    pub form_body: Option<&'a [u8]>,
}

/// Why the parameters of a request cannot be signed unambiguously. The caller answers 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParameterError {
    /// Two parameters have the same name, letter case ignored, be it in the query, in the
    /// form or one in each.
    #[error("a parameter is given more than once")]
    DuplicateName,
    /// A decoded name, value or path has a control character.
    #[error("a parameter or the path has a control character")]
    ControlCharacter,
    /// A decoded name or value is not UTF-8.
    #[error("a parameter is not UTF-8 text")]
    NotUtf8,
}

impl From<FormError> for ParameterError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::DuplicateName(_) => Self::DuplicateName,
            FormError::ControlCharacter => Self::ControlCharacter,
            FormError::NotUtf8 => Self::NotUtf8,
        }
    }
}

/// Whether the signature fits any candidate of the request. Comparison is in constant time.
///
/// A request with one reading costs one HMAC, no allocation when it has no query and two
/// small ones when it has.
///
/// # Errors
/// See [`ParameterError`]; the parameters are refused whatever the signature is.
///
/// ```
/// use wayleave_protocol::signed::{base_strings, parse_authentication, sign, verify, SignedRequest};
/// let request = SignedRequest {
///     method: "GET",
///     paths: &["/api/Resource/K-1/Story-0042"],
///     query: Some("UserToken=&IP=198.51.100.24"),
///     timestamp: "Tue, 16 Mar 2027 10:20:28 GMT",
///     form_body: None,
/// };
/// let base = &base_strings(&request).unwrap()[0];
/// assert_eq!(
///     base,
///     "GET\nTue, 16 Mar 2027 10:20:28 GMT\n/api/resource/k-1/story-0042\nip=198.51.100.24&usertoken="
/// );
/// let header = format!("K-1:{}", sign(b"secret", base));
/// let presented = parse_authentication(header.as_bytes()).unwrap();
/// assert_eq!(verify(&request, &presented.signature, b"secret"), Ok(true));
/// assert_eq!(verify(&request, &presented.signature, b"another"), Ok(false));
/// ```
pub fn verify(
    request: &SignedRequest<'_>,
    signature: &[u8; 32],
    secret: &[u8],
) -> Result<bool, ParameterError> {
    let reading = Reading::of(request)?;
    let Some(path) = request.paths.first() else {
        return Ok(false);
    };
    let mut documented = MacSink::new(secret);
    reading.write_documented(path, &mut documented);
    if equal(&documented.finish(), signature) {
        return Ok(true);
    }
    if !reading.has_alternatives() {
        return Ok(false);
    }
    let fits = |base: &String| equal(&mac(secret, base), signature);
    Ok(reading.candidates().iter().skip(1).any(fits))
}

/// The base strings that are accepted for the request, the documented reading first, without
/// repeats. A client signs the first. At most 24 for each path, nearly always one.
///
/// # Errors
/// See [`ParameterError`].
pub fn base_strings(request: &SignedRequest<'_>) -> Result<Vec<String>, ParameterError> {
    Ok(Reading::of(request)?.candidates())
}

/// Signs a base string: HMAC-SHA256 in padded base64, 44 characters.
///
/// ```
/// let base = "GET\nTue, 16 Mar 2027 10:20:28 GMT\n/api/property/c4f1e2d3-9a8b-4c7d-8e6f-102938475665\n";
/// assert_eq!(
///     wayleave_protocol::signed::sign(b"mgmt-3Kq9vZt2Lx7Rb5Yw8Nd4Hs6Jf1Pc0Gu", base),
///     "9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0="
/// );
/// ```
pub fn sign(secret: &[u8], base: &str) -> String {
    STANDARD.encode(mac(secret, base))
}

/// Where two base strings part, for the person who has to find out why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The offset of the first differing byte, from 0.
    pub at_byte: usize,
    /// The line it is on, from 1.
    pub line: usize,
    /// What we have there, with a little before and after and control characters escaped.
    pub ours: String,
    /// The same of the other text.
    pub theirs: String,
}

/// Finds the first difference of two base strings; `None` when they are equal. Base strings
/// have no secret in them, so that the result may be shown.
///
/// ```
/// use wayleave_protocol::signed::first_difference;
/// let difference = first_difference("GET\nnow\n/a\n", "GET\nnow\n/a").unwrap();
/// assert_eq!((difference.at_byte, difference.line), (10, 3));
/// assert_eq!(difference.ours, "GET\\nnow\\n/a\\n");
/// ```
pub fn first_difference(ours: &str, theirs: &str) -> Option<Difference> {
    if ours == theirs {
        return None;
    }
    let at_byte = ours
        .bytes()
        .zip(theirs.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let line = 1 + ours.as_bytes()[..at_byte]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count();
    Some(Difference {
        at_byte,
        line,
        ours: excerpt(ours, at_byte),
        theirs: excerpt(theirs, at_byte),
    })
}

fn excerpt(text: &str, at: usize) -> String {
    const AROUND_BYTES: usize = 24;
    let start = text.floor_char_boundary(at.saturating_sub(AROUND_BYTES));
    let end = text.ceil_char_boundary(at.saturating_add(AROUND_BYTES).min(text.len()));
    let mut excerpt = String::with_capacity(end - start);
    for character in text[start..end].chars() {
        if character.is_control() {
            excerpt.extend(character.escape_default());
        } else {
            excerpt.push(character);
        }
    }
    excerpt
}

/// The decoded parameters of a request, checked.
struct Reading<'a> {
    request: &'a SignedRequest<'a>,
    query: Fields,
    /// Query and form fields together, when there is a form.
    with_form: Option<Fields>,
}

impl<'a> Reading<'a> {
    fn of(request: &'a SignedRequest<'a>) -> Result<Self, ParameterError> {
        for path in request.paths {
            check_path(path)?;
        }
        let query = sorted(Fields::read(request.query.unwrap_or_default().as_bytes())?)?;
        let with_form = match request.form_body {
            None => None,
            Some(body) => {
                let mut all = Fields::read(body)?;
                all.append(&query);
                Some(sorted(all)?)
            }
        };
        Ok(Self {
            request,
            query,
            with_form,
        })
    }

    /// Writes the first candidate: path as received, query only, A to Z lowered, names
    /// sorted after lowering.
    fn write_documented(&self, path: &str, sink: &mut impl Sink) {
        self.write_head(sink);
        sink.put_lower(path);
        sink.put("\n");
        write_parameters(&self.query, &self.query.pieces, sink);
    }

    fn write_head(&self, sink: &mut impl Sink) {
        sink.put_upper(self.request.method);
        sink.put("\n");
        sink.put(self.request.timestamp);
        sink.put("\n");
    }

    /// Whether there can be a second candidate.
    fn has_alternatives(&self) -> bool {
        let plain = |path: &&str| path.is_ascii() && !path.contains('%');
        self.request.paths.len() > 1
            || !self.request.paths.iter().all(plain)
            || self.with_form.is_some()
            || !self.query.is_ascii()
            || !is_sorted_as_sent(&self.query)
    }

    fn candidates(&self) -> Vec<String> {
        let paths = self.path_lines();
        let lines = self.parameter_lines();
        let mut candidates = Vec::with_capacity(paths.len() * lines.len());
        for path in &paths {
            for line in &lines {
                let mut base = String::new();
                self.write_head(&mut base);
                for part in [path, "\n", line] {
                    base.push_str(part);
                }
                push_new(&mut candidates, base);
            }
        }
        candidates
    }

    fn path_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for path in self.request.paths {
            push_new(&mut lines, path.to_ascii_lowercase());
            if let Ok(decoded) = std::str::from_utf8(&percent_decode(path)) {
                push_new(&mut lines, decoded.to_ascii_lowercase());
                push_new(&mut lines, decoded.to_lowercase());
            }
        }
        lines
    }

    fn parameter_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for parameters in std::iter::once(&self.query).chain(&self.with_form) {
            let mut as_sent = parameters.pieces.clone();
            as_sent.sort_by_key(|piece| parameters.name(piece));
            let mut by_full_lowering = parameters.pieces.clone();
            by_full_lowering.sort_by_key(|piece| parameters.name(piece).to_lowercase());
            push_new(&mut lines, parameter_line(parameters, &parameters.pieces));
            push_new(&mut lines, parameter_line(parameters, &as_sent));
            push_new(
                &mut lines,
                parameter_line_full(parameters, &by_full_lowering),
            );
            push_new(&mut lines, parameter_line_full(parameters, &as_sent));
        }
        lines
    }
}

/// A decoded path must not carry a line of its own into the base string.
fn check_path(path: &str) -> Result<(), ParameterError> {
    let decoded: Cow<'_, [u8]> = percent_decode(path);
    match std::str::from_utf8(&decoded) {
        Ok(text) if has_control(text) => Err(ParameterError::ControlCharacter),
        Err(_) if decoded.iter().any(u8::is_ascii_control) => Err(ParameterError::ControlCharacter),
        _ => Ok(()),
    }
}

/// Sorts by name after lowering A to Z, and refuses a name that occurs twice in any case.
fn sorted(mut parameters: Fields) -> Result<Fields, ParameterError> {
    let mut pieces = std::mem::take(&mut parameters.pieces);
    let name = |piece: &Piece| parameters.name(piece);
    pieces.sort_unstable_by(|a, b| compare_ignoring_case(name(a), name(b)));
    if pieces
        .array_windows()
        .any(|[a, b]| name(a).eq_ignore_ascii_case(name(b)))
    {
        return Err(ParameterError::DuplicateName);
    }
    if !parameters.is_ascii() {
        let mut names: Vec<String> = pieces
            .iter()
            .map(|piece| name(piece).to_lowercase())
            .collect();
        names.sort_unstable();
        if names.array_windows().any(|[a, b]| a == b) {
            return Err(ParameterError::DuplicateName);
        }
    }
    parameters.pieces = pieces;
    Ok(parameters)
}

fn is_sorted_as_sent(parameters: &Fields) -> bool {
    parameters
        .pieces
        .is_sorted_by_key(|piece| parameters.name(piece))
}

fn parameter_line(parameters: &Fields, pieces: &[Piece]) -> String {
    let mut line = String::new();
    write_parameters(parameters, pieces, &mut line);
    line
}

fn parameter_line_full(parameters: &Fields, pieces: &[Piece]) -> String {
    let lowered = |piece: &Piece| {
        format!(
            "{}={}",
            parameters.name(piece).to_lowercase(),
            parameters.value(piece).to_lowercase()
        )
    };
    pieces.iter().map(lowered).collect::<Vec<_>>().join("&")
}

fn write_parameters(parameters: &Fields, pieces: &[Piece], sink: &mut impl Sink) {
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            sink.put("&");
        }
        sink.put_lower(parameters.name(piece));
        sink.put("=");
        sink.put_lower(parameters.value(piece));
    }
}

fn push_new(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

/// What a base string is written to: text to show, or an HMAC that never holds the text.
trait Sink {
    fn put(&mut self, text: &str);
    fn put_lower(&mut self, text: &str);
    fn put_upper(&mut self, text: &str);
}

impl Sink for String {
    fn put(&mut self, text: &str) {
        self.push_str(text);
    }

    fn put_lower(&mut self, text: &str) {
        let start = self.len();
        self.push_str(text);
        self[start..].make_ascii_lowercase();
    }

    fn put_upper(&mut self, text: &str) {
        let start = self.len();
        self.push_str(text);
        self[start..].make_ascii_uppercase();
    }
}

/// Gathers small parts in a buffer on the stack before they go to the HMAC.
struct MacSink {
    mac: Hmac<Sha256>,
    buffer: [u8; 256],
    filled: usize,
}

impl MacSink {
    fn new(secret: &[u8]) -> Self {
        Self {
            mac: keyed(secret),
            buffer: [0; 256],
            filled: 0,
        }
    }

    fn put_changed(&mut self, mut text: &[u8], change: impl Fn(&mut [u8])) {
        while !text.is_empty() {
            if self.filled == self.buffer.len() {
                self.flush();
            }
            let free = &mut self.buffer[self.filled..];
            let (now, later) = text.split_at(free.len().min(text.len()));
            let target = &mut free[..now.len()];
            target.copy_from_slice(now);
            change(target);
            self.filled += now.len();
            text = later;
        }
    }

    fn flush(&mut self) {
        self.mac.update(&self.buffer[..self.filled]);
        self.filled = 0;
    }

    fn finish(mut self) -> [u8; 32] {
        self.flush();
        self.mac.finalize().into_bytes().into()
    }
}

impl Sink for MacSink {
    fn put(&mut self, text: &str) {
        self.put_changed(text.as_bytes(), |_| ());
    }

    fn put_lower(&mut self, text: &str) {
        self.put_changed(text.as_bytes(), <[u8]>::make_ascii_lowercase);
    }

    fn put_upper(&mut self, text: &str) {
        self.put_changed(text.as_bytes(), <[u8]>::make_ascii_uppercase);
    }
}

fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes keys of any length (RFC 2104)")
}

fn mac(secret: &[u8], base: &str) -> [u8; 32] {
    keyed(secret)
        .chain_update(base)
        .finalize()
        .into_bytes()
        .into()
}

fn equal(ours: &[u8; 32], theirs: &[u8; 32]) -> bool {
    ours.ct_eq(theirs).into()
}
