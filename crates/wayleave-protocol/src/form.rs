//! `application/x-www-form-urlencoded`: query strings and form bodies (WHATWG URL Standard,
//! section 5), with three refusals of our own: duplicate names, control characters and text
//! that is not UTF-8.
//!
//! As in the standard, a `%` that two hexadecimal digits do not follow stands for itself.

use crate::hex;
use std::borrow::Cow;

/// Why form data was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FormError {
    /// Two parameters have the same name, letter case of A to Z ignored. It holds the name
    /// as it was sent the second time.
    #[error("the parameter {} is given more than once", crate::secret::name_in_message(.0))]
    DuplicateName(String),
    /// A decoded name or value has a control character (CR, LF, NUL and the like).
    #[error("a parameter has a control character in its name or value")]
    ControlCharacter,
    /// The decoded bytes are not UTF-8.
    #[error("a parameter is not UTF-8 text")]
    NotUtf8,
}

/// Reads form data into decoded names and values, in the order of sending. `+` is a space,
/// hexadecimal digits may be in either case, a name without `=` has an empty value, empty
/// pieces (`a=1&&b=2`) are skipped.
///
/// # Errors
/// See [`FormError`].
///
/// ```
/// use wayleave_protocol::form::{parse, FormError};
/// let fields = parse(b"name=Tide+Tables&url=https%3a%2F%2Fa.example&flag").unwrap();
/// assert_eq!(fields[0], ("name".to_owned(), "Tide Tables".to_owned()));
/// assert_eq!(fields[1].1, "https://a.example");
/// assert_eq!(fields[2], ("flag".to_owned(), String::new()));
/// assert_eq!(parse(b"IP=1&ip=2"), Err(FormError::DuplicateName("ip".to_owned())));
/// ```
pub fn parse(input: &[u8]) -> Result<Vec<(String, String)>, FormError> {
    let mut owned = Vec::new();
    for_each(input, |name, value| {
        owned.push((name.to_owned(), value.to_owned()));
    })?;
    Ok(owned)
}

/// As [`parse`], but hands each decoded name and value on without making texts of their own. All
/// of the input has been read and found good before the first is handed on.
///
/// # Errors
/// See [`FormError`].
///
/// ```
/// let mut names = Vec::new();
/// wayleave_protocol::form::for_each(b"a=1&b=2", |name, _| names.push(name.to_owned())).unwrap();
/// assert_eq!(names, ["a", "b"]);
/// ```
pub fn for_each(input: &[u8], mut take: impl FnMut(&str, &str)) -> Result<(), FormError> {
    let fields = decode(input)?;
    fields.iter().for_each(|(name, value)| take(name, value));
    Ok(())
}

/// As [`parse`], but in two allocations, however many parameters there are.
///
/// # Errors
/// See [`FormError`].
///
/// ```
/// let fields = wayleave_protocol::form::decode(b"a=1&b=%7C").unwrap();
/// assert!(fields.iter().eq([("a", "1"), ("b", "|")]));
/// ```
pub fn decode(input: &[u8]) -> Result<Fields, FormError> {
    let fields = Fields::read(input)?;
    match fields.duplicate() {
        Some(name) => Err(FormError::DuplicateName(name.to_owned())),
        None => Ok(fields),
    }
}

/// Decodes one form-encoded word, such as a client id within Basic credentials
/// (RFC 6749 2.3.1).
///
/// # Errors
/// [`FormError::ControlCharacter`] or [`FormError::NotUtf8`].
///
/// ```
/// assert_eq!(wayleave_protocol::form::decode_word("a%2Bb+c").unwrap(), "a+b c");
/// ```
pub fn decode_word(word: &str) -> Result<String, FormError> {
    let mut decoded = Vec::with_capacity(word.len());
    decode_into(&mut decoded, word.as_bytes(), true);
    let decoded = String::from_utf8(decoded).map_err(|_| FormError::NotUtf8)?;
    if has_control(&decoded) {
        return Err(FormError::ControlCharacter);
    }
    Ok(decoded)
}

/// Percent-decodes a path. `+` stays as it is, and a `%` without two hexadecimal digits
/// stands for itself. The result is bytes because nothing says that they are UTF-8.
///
/// ```
/// use wayleave_protocol::form::percent_decode;
/// assert_eq!(&*percent_decode("/Two%20Words/a+b/100%"), b"/Two Words/a+b/100%");
/// ```
pub fn percent_decode(path: &str) -> Cow<'_, [u8]> {
    if !path.contains('%') {
        return Cow::Borrowed(path.as_bytes());
    }
    let mut decoded = Vec::with_capacity(path.len());
    decode_into(&mut decoded, path.as_bytes(), false);
    Cow::Owned(decoded)
}

/// Whether the text has a control character: C0, DEL or C1.
pub(crate) fn has_control(text: &str) -> bool {
    if text.is_ascii() {
        // Not `any`: looking at all of them takes fewer instructions than stopping at one.
        let controls = text.bytes().map(|byte| byte.is_ascii_control());
        return controls.fold(false, |found, is_control| found | is_control);
    }
    text.chars().any(char::is_control)
}

/// Fields form data in two allocations: one text, and where each name and value lies in it.
#[derive(Default)]
pub struct Fields {
    /// `name=value&` for every parameter, decoded. The marks keep the bytes of two
    /// neighbours from joining to one character.
    text: String,
    pub(crate) pieces: Vec<Piece>,
}

/// One parameter as positions in [`Fields`].
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    start: usize,
    equals: usize,
    end: usize,
}

impl Fields {
    /// Every decoded name and value, in the order of sending.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pieces = self.pieces.iter();
        pieces.map(|piece| (self.name(piece), self.value(piece)))
    }

    pub(crate) fn read(input: &[u8]) -> Result<Self, FormError> {
        if input.is_empty() {
            return Ok(Self::default());
        }
        let mut text = Vec::with_capacity(input.len() + 2);
        let mut pieces = Vec::with_capacity(8);
        for piece in input
            .split(|&byte| byte == b'&')
            .filter(|piece| !piece.is_empty())
        {
            pieces.push(read_piece(&mut text, piece));
        }
        let text = String::from_utf8(text).map_err(|_| FormError::NotUtf8)?;
        if has_control(&text) {
            return Err(FormError::ControlCharacter);
        }
        Ok(Self { text, pieces })
    }

    pub(crate) fn name(&self, piece: &Piece) -> &str {
        &self.text[piece.start..piece.equals]
    }

    pub(crate) fn value(&self, piece: &Piece) -> &str {
        &self.text[piece.equals + 1..piece.end]
    }

    /// Whether names and values are all ASCII.
    pub(crate) fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// Appends the parameters of another, after its own.
    pub(crate) fn append(&mut self, other: &Self) {
        let shift = self.text.len();
        self.text.push_str(&other.text);
        self.pieces.extend(other.pieces.iter().map(|piece| Piece {
            start: piece.start + shift,
            equals: piece.equals + shift,
            end: piece.end + shift,
        }));
    }

    /// A name that occurs twice, letter case of A to Z ignored.
    fn duplicate(&self) -> Option<&str> {
        if self.pieces.len() < 2 {
            return None;
        }
        let mut by_name: Vec<&Piece> = self.pieces.iter().collect();
        by_name.sort_by(|a, b| compare_ignoring_case(self.name(a), self.name(b)));
        by_name
            .array_windows()
            .find(|[a, b]| self.name(a).eq_ignore_ascii_case(self.name(b)))
            .map(|[_, second]| self.name(second))
    }
}

/// Byte order of two texts after lowering A to Z.
pub(crate) fn compare_ignoring_case(a: &str, b: &str) -> std::cmp::Ordering {
    let lower = |byte: u8| byte.to_ascii_lowercase();
    a.bytes().map(lower).cmp(b.bytes().map(lower))
}

fn read_piece(text: &mut Vec<u8>, piece: &[u8]) -> Piece {
    let split = piece.iter().position(|&byte| byte == b'=');
    let (name, value) = match split {
        Some(at) => (&piece[..at], &piece[at + 1..]),
        None => (piece, &piece[..0]),
    };
    let start = text.len();
    decode_into(text, name, true);
    let equals = text.len();
    text.push(b'=');
    decode_into(text, value, true);
    let end = text.len();
    text.push(b'&');
    Piece { start, equals, end }
}

fn decode_into(decoded: &mut Vec<u8>, mut encoded: &[u8], plus_is_space: bool) {
    let is_mark = |byte: &u8| *byte == b'%' || (*byte == b'+' && plus_is_space);
    while let Some(at) = encoded.iter().position(is_mark) {
        let (plain, rest) = encoded.split_at(at);
        decoded.extend_from_slice(plain);
        let (byte, length) = match (rest[0], escape(&rest[1..])) {
            (b'+', _) => (b' ', 1),
            (_, Some(byte)) => (byte, 3),
            (mark, None) => (mark, 1),
        };
        decoded.push(byte);
        encoded = &rest[length..];
    }
    decoded.extend_from_slice(encoded);
}

fn escape(rest: &[u8]) -> Option<u8> {
    let [high, low, ..] = rest else { return None };
    Some(hex::digit(*high)? << 4 | hex::digit(*low)?)
}
