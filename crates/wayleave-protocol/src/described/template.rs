//! Texts with words in braces, and the headers that are read and written by them.

use super::form::{Encoding, Hash};
use super::{DescriptionError, Shown};
use crate::body_digest::BodyDigest;

/// A piece of a text with words in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    /// What stands between braces.
    Word(String),
}

/// Takes a text apart. Braces that are to be signed are doubled. Errors: what is wrong with it.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        literal.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            literal.push_str(&from[..1]);
            rest = after;
            continue;
        }
        let word = from.strip_prefix('{').and_then(|from| from.split_once('}'));
        let (word, after) =
            word.ok_or_else(|| format!("has a brace without its other half: {text}"))?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Word(word.to_owned()));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// The name of a header in small letters, and the pieces of its form: `Name: form`.
fn header(key: &'static str, text: &str) -> Result<(Box<str>, Vec<Piece>), DescriptionError> {
    let wrong = |why| DescriptionError { key, why };
    let (name, form) = text
        .split_once(':')
        .ok_or_else(|| wrong(format!("is not of the form `Name: form`: {text}")))?;
    let name = header_name(name.trim()).map_err(wrong)?;
    let pieces = pieces(form.trim()).map_err(wrong)?;
    let is_word = |piece: &Piece| matches!(piece, Piece::Word(_));
    if pieces
        .array_windows()
        .any(|[one, other]| is_word(one) && is_word(other))
    {
        return Err(wrong(format!(
            "has two words with nothing between them, so that nobody knows where one ends: {text}"
        )));
    }
    let is_text = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    let is_fine = |piece: &Piece| match piece {
        Piece::Literal(text) => text.bytes().all(is_text),
        Piece::Word(_) => true,
    };
    if !pieces.iter().all(is_fine) {
        return Err(wrong(format!(
            "has letters that no header can have: {}",
            text.escape_debug()
        )));
    }
    Ok((name, pieces))
}

/// The name of a header in small letters. Errors: it is no name.
pub(super) fn header_name(name: &str) -> Result<Box<str>, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!(
            "has no name of a header in {}",
            name.escape_debug()
        ));
    }
    Ok(name.to_ascii_lowercase().into())
}

/// What a header of the proof can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    KeyId,
    Signature,
    Time,
}

#[derive(Clone, Debug)]
enum ProofPiece {
    Literal(Box<str>),
    Field(Field),
}

/// A header of the proof.
#[derive(Clone, Debug)]
pub(super) struct ProofHeader {
    /// In small letters.
    pub(super) name: Box<str>,
    pieces: Vec<ProofPiece>,
}

impl ProofHeader {
    pub(super) fn parse(text: &str) -> Result<Self, DescriptionError> {
        let (name, pieces) = header("proof", text)?;
        let pieces: Result<Vec<ProofPiece>, DescriptionError> = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Literal(text) => Ok(ProofPiece::Literal(text.into())),
                Piece::Word(word) => field(&word).map(ProofPiece::Field),
            })
            .collect();
        Ok(Self {
            name,
            pieces: pieces?,
        })
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = Field> {
        self.pieces.iter().filter_map(|piece| match piece {
            ProofPiece::Field(field) => Some(*field),
            ProofPiece::Literal(_) => None,
        })
    }

    /// Whether it carries the signature.
    pub(super) fn is_signature(&self) -> bool {
        self.fields().any(|field| field == Field::Signature)
    }

    /// Whether it carries nothing but the time.
    pub(super) fn is_time_alone(&self) -> bool {
        self.fields().all(|field| field == Field::Time)
    }

    /// Whether a value is one of this form, right or wrong.
    pub(super) fn is_meant(&self, value: &[u8]) -> bool {
        match self.pieces.first() {
            Some(ProofPiece::Literal(literal)) => value.starts_with(literal.as_bytes()),
            _ => true,
        }
    }

    /// Reads a value; `None` where it is not of the form.
    pub(super) fn read<'a>(&self, value: &'a [u8], shown: &mut Shown<'a>) -> Option<()> {
        let mut rest = std::str::from_utf8(value).ok()?;
        let mut pieces = self.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                ProofPiece::Literal(literal) => rest = rest.strip_prefix(&**literal)?,
                ProofPiece::Field(field) => {
                    let end = match pieces.peek() {
                        Some(ProofPiece::Literal(literal)) => rest.find(&**literal)?,
                        _ => rest.len(),
                    };
                    let (text, after) = rest.split_at(end);
                    if text.is_empty() || text.contains(char::is_control) {
                        return None;
                    }
                    *shown.place(*field) = text;
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(())
    }

    pub(super) fn write(&self, shown: &Shown<'_>) -> String {
        let text = |piece: &ProofPiece| match piece {
            ProofPiece::Literal(literal) => literal.to_string(),
            ProofPiece::Field(Field::KeyId) => shown.key_id.to_owned(),
            ProofPiece::Field(Field::Signature) => shown.signature.to_owned(),
            ProofPiece::Field(Field::Time) => shown.time.to_owned(),
        };
        self.pieces.iter().map(text).collect()
    }
}

fn field(word: &str) -> Result<Field, DescriptionError> {
    match word {
        "key-id" => Ok(Field::KeyId),
        "signature" => Ok(Field::Signature),
        "time" => Ok(Field::Time),
        _ => Err(DescriptionError {
            key: "proof",
            why: format!("has {{{word}}}; known are: {{key-id}}, {{signature}}, {{time}}"),
        }),
    }
}

impl<'a> Shown<'a> {
    fn place(&mut self, field: Field) -> &mut &'a str {
        match field {
            Field::KeyId => &mut self.key_id,
            Field::Signature => &mut self.signature,
            Field::Time => &mut self.time,
        }
    }
}

/// A signed header that holds the digest of the body.
#[derive(Clone, Debug)]
pub(super) struct DigestHeader {
    /// In small letters.
    pub(super) name: Box<str>,
    hash: Hash,
    encoding: Encoding,
    before: Box<str>,
    after: Box<str>,
}

impl DigestHeader {
    pub(super) fn parse(text: &str) -> Result<Self, DescriptionError> {
        let wrong = |why: String| DescriptionError {
            key: "body_digest",
            why,
        };
        let (name, pieces) = header("body_digest", text)?;
        let (before, word, after) = match pieces.as_slice() {
            [Piece::Word(word)] => ("", word, ""),
            [Piece::Literal(before), Piece::Word(word)] => (before.as_str(), word, ""),
            [Piece::Word(word), Piece::Literal(after)] => ("", word, after.as_str()),
            [
                Piece::Literal(before),
                Piece::Word(word),
                Piece::Literal(after),
            ] => (before.as_str(), word, after.as_str()),
            _ => {
                return Err(wrong(format!(
                    "has not one digest such as {{sha256:base64}}: {text}"
                )));
            }
        };
        let (hash, encoding) = digest(word).map_err(wrong)?;
        Ok(Self {
            name,
            hash,
            encoding,
            before: before.into(),
            after: after.into(),
        })
    }

    /// The value for a body.
    pub(super) fn write(&self, body: &[u8]) -> String {
        let digest = self.encoding.write(&self.hash.digest(body));
        [&*self.before, &digest, &*self.after].concat()
    }

    /// The digest that a value holds; `None` where it is not of the form.
    pub(super) fn read(&self, value: &[u8]) -> Option<BodyDigest> {
        let value = value.strip_prefix(self.before.as_bytes())?;
        let digest = self
            .encoding
            .read(value.strip_suffix(self.after.as_bytes())?)?;
        self.hash.expected(&digest)
    }
}

/// Hash and encoding of a word such as `sha256:hex`. Errors: what is wrong with it.
pub(super) fn digest(word: &str) -> Result<(Hash, Encoding), String> {
    let (hash, encoding) = word.split_once(':').ok_or_else(|| {
        format!("has {{{word}}}, which names no hash and encoding, such as sha256:hex")
    })?;
    Ok((Hash::parse(hash)?, Encoding::parse(encoding)?))
}
