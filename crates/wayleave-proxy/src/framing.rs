//! Where the body of an answer ends (RFC 9112 sections 6 and 7).

use std::io::BufRead;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Bytes, SizeHint};

use crate::inbox::{Inbox, LARGEST_HEAD};

/// How many headers an answer may have, and how many trailers.
pub(crate) const MOST_HEADERS: usize = 100;
/// How many bytes of extensions the chunks of one body may have. Nobody uses them.
const MOST_EXTENSION_BYTES: usize = 16 * 1024;

/// What is left of a body.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunks(Chunks),
    /// Whatever comes until the connection ends.
    UntilEnd,
}

/// Where we are within chunks.
#[derive(PartialEq, Eq, Debug, Default)]
pub(crate) struct Chunks {
    place: Place,
    extension_bytes: usize,
}

#[derive(PartialEq, Eq, Debug, Default)]
enum Place {
    /// Before the size of a chunk.
    #[default]
    Size,
    /// Within a chunk, so many bytes before its end.
    Data(u64),
    /// Behind the bytes of a chunk.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
    /// Behind the body.
    End,
}

/// What of a body is there.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    Piece(Bytes),
    Trailers(HeaderMap),
    /// Nothing yet.
    Missing,
    /// Nothing more.
    End,
}

impl Framing {
    /// A body of chunks.
    pub(crate) fn chunks() -> Self {
        Framing::Chunks(Chunks::default())
    }

    /// Whether all of it was taken.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Framing::Length(left) => *left == 0,
            Framing::Chunks(chunks) => chunks.place == Place::End,
            Framing::UntilEnd => false,
        }
    }

    /// How much is left, as far as that is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Framing::Length(left) => SizeHint::with_exact(*left),
            _ => SizeHint::default(),
        }
    }

    /// Takes what is there. Errors: what is wrong with it.
    pub(crate) fn take(&mut self, inbox: &mut Inbox) -> Result<Taken, String> {
        let piece = match self {
            Framing::Length(0) => return Ok(Taken::End),
            Framing::Chunks(chunks) => return chunks.take(inbox),
            _ if inbox.is_empty() => return Ok(Taken::Missing),
            Framing::UntilEnd => inbox.take_up_to(u64::MAX),
            Framing::Length(left) => {
                let piece = inbox.take_up_to(*left);
                *left -= piece.len() as u64;
                piece
            }
        };
        Ok(Taken::Piece(piece))
    }

    /// The connection ended. Errors: the body had not.
    pub(crate) fn connection_ended(&mut self) -> Result<(), String> {
        match self {
            Framing::UntilEnd => {
                *self = Framing::Length(0);
                Ok(())
            }
            _ if self.is_done() => Ok(()),
            _ => Err("the connection ended within it".to_owned()),
        }
    }
}

impl Chunks {
    fn take(&mut self, inbox: &mut Inbox) -> Result<Taken, String> {
        loop {
            let is_there = match &mut self.place {
                Place::End => return Ok(Taken::End),
                Place::Data(_) if inbox.is_empty() => false,
                Place::Data(left) => {
                    let piece = inbox.take_up_to(*left);
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        self.place = Place::DataEnd;
                    }
                    return Ok(Taken::Piece(piece));
                }
                Place::DataEnd => self.pass_data_end(inbox)?,
                Place::Size => self.pass_size(inbox)?,
                Place::Trailers => match take_trailers(inbox)? {
                    None => false,
                    Some(trailers) => {
                        self.place = Place::End;
                        if !trailers.is_empty() {
                            return Ok(Taken::Trailers(trailers));
                        }
                        true
                    }
                },
            };
            if !is_there {
                return Ok(Taken::Missing);
            }
        }
    }

    /// Returns whether it was all there.
    fn pass_data_end(&mut self, inbox: &mut Inbox) -> Result<bool, String> {
        let there = inbox.bytes();
        if !b"\r\n".starts_with(&there[..there.len().min(2)]) {
            return Err("a chunk of it is longer than it says".to_owned());
        }
        if there.len() < 2 {
            return Ok(false);
        }
        inbox.take(2);
        self.place = Place::Size;
        Ok(true)
    }

    /// Returns whether it was all there.
    fn pass_size(&mut self, inbox: &mut Inbox) -> Result<bool, String> {
        let there = inbox.bytes();
        let most = MOST_EXTENSION_BYTES - self.extension_bytes + 32;
        let Some(length) = there.iter().position(|byte| *byte == b'\n') else {
            return match there.len() > most {
                true => Err("a chunk of it has too long a size".to_owned()),
                false => Ok(false),
            };
        };
        let (size, extension) = chunk_size(&there[..length])
            .filter(|_| length <= most)
            .ok_or("a chunk of it has no size that can be read")?;
        self.extension_bytes += extension;
        if self.extension_bytes > MOST_EXTENSION_BYTES {
            return Err("its chunks have too many extensions".to_owned());
        }
        self.place = match size {
            0 => Place::Trailers,
            _ => Place::Data(size),
        };
        inbox.take(length + 1);
        Ok(true)
    }
}

/// The size that a line gives, without its line feed, and how long the extensions are. `None`: it is
/// no such line.
fn chunk_size(line: &[u8]) -> Option<(u64, usize)> {
    let line = line.strip_suffix(b"\r")?;
    if line.contains(&b'\r') {
        return None;
    }
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    let digits = line.iter().take_while(|byte| is_digit(byte)).count();
    let (digits, rest) = line.split_at(digits);
    let mut after_space = rest.iter().skip_while(|byte| matches!(byte, b' ' | b'\t'));
    if after_space.next().is_some_and(|byte| *byte != b';') {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u64::from_str_radix(digits, 16).ok()?, rest.len()))
}

/// Takes the trailers and the empty line behind them; `None`: they are not all there.
fn take_trailers(inbox: &mut Inbox) -> Result<Option<HeaderMap>, String> {
    let Some(length) = block_length(inbox.bytes(), &mut 0)? else {
        return Ok(None);
    };
    let block = inbox.take(length);
    let mut lines = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let parsed = httparse::parse_headers(&block, &mut lines);
    let parsed = parsed.map_err(|error| format!("its trailers cannot be read: {error}"))?;
    let mut trailers = HeaderMap::new();
    if let httparse::Status::Complete((_, lines)) = parsed {
        for line in lines {
            let (name, value) = header(&block, line)?;
            trailers.append(name, value);
        }
    }
    Ok(Some(trailers))
}

/// A header of a message; its value is a part of the block, not a copy.
pub(crate) fn header(
    block: &Bytes,
    line: &httparse::Header<'_>,
) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::from_bytes(line.name.as_bytes());
    let value = HeaderValue::from_maybe_shared(block.slice_ref(line.value));
    match (name, value) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err("one of its headers cannot be read".to_owned()),
    }
}

/// The first line with its line feed, where that is there. The standard library looks for it faster
/// than an iterator does.
fn next_line(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    let length = rest.skip_until(b'\n').ok()?;
    Some(&bytes[..length]).filter(|line| line.ends_with(b"\n"))
}

/// How long a block of lines is with the empty line at its end; `None`: it is not all there. `from`:
/// where the line begins up to which it was looked through before.
///
/// Errors: it is too large, or a line ends with a line feed alone, which not everybody takes for an
/// end.
pub(crate) fn block_length(bytes: &[u8], from: &mut usize) -> Result<Option<usize>, String> {
    while let Some(line) = next_line(&bytes[*from..]) {
        if !line.ends_with(b"\r\n") {
            return Err("one of its lines ends with a line feed alone".to_owned());
        }
        *from += line.len();
        if line.len() == 2 {
            return match *from <= LARGEST_HEAD {
                true => Ok(Some(*from)),
                false => Err("its headers are too large".to_owned()),
            };
        }
    }
    match bytes.len() < LARGEST_HEAD {
        true => Ok(None),
        false => Err("its headers are too large".to_owned()),
    }
}
