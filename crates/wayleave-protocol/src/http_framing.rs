//! Where requests begin and end on an HTTP/1 connection (RFC 9112), read as strictly as every
//! parser reads it: what two parsers could read differently is a violation.
//!
//! It looks at the bytes beside the parser that serves them and keeps nothing of them, but for a
//! line that is not whole yet.

/// The longest line of a chunk's size with its extensions, in bytes.
const CHUNK_LINE_LIMIT_BYTES: usize = 256;
/// The trailers of one body, in bytes.
const TRAILERS_LIMIT_BYTES: usize = 8 * 1024;
/// Digits of a chunk's size: as many as fill 64 bits.
const CHUNK_DIGITS: usize = 16;
/// Digits of a length: fewer than fill 64 bits.
const LENGTH_DIGITS: usize = 18;

/// How large a head may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// First line, headers and the empty line after them, in bytes.
    pub bytes: usize,
    /// How many headers.
    pub headers: usize,
}

/// What is wrong with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// It is no request, or one that could be read in two ways; why.
    Malformed(&'static str),
    /// The first line alone is larger than a head may be.
    TargetTooLong,
    /// The head has too many bytes or headers.
    HeadTooLarge,
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// No byte of a next request came.
    Between,
    /// A head has begun.
    Head,
    /// A body, its chunks or its trailers.
    Body,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    FirstLine { was_empty: bool },
    Header,
    Bytes(u64),
    ChunkSize,
    ChunkBytes(u64),
    ChunkEnd,
    Trailer,
    Broken,
}

/// What the head that is being read has said so far.
#[derive(Clone, Copy, Default, Debug)]
struct Head {
    bytes: usize,
    headers: usize,
    is_version_1_0: bool,
    length: Option<u64>,
    is_chunked: bool,
}

/// Follows the requests of one connection.
#[derive(Debug)]
pub struct Framing {
    limits: HeadLimits,
    state: State,
    head: Head,
    trailers: usize,
    /// A line whose end has not come yet.
    partial: Vec<u8>,
}

impl Framing {
    /// At the beginning of a connection.
    pub fn new(limits: HeadLimits) -> Self {
        Framing {
            limits,
            state: State::FirstLine { was_empty: false },
            head: Head::default(),
            trailers: 0,
            partial: Vec::new(),
        }
    }

    /// Where the connection stands after the bytes that were followed.
    pub fn standing(&self) -> Standing {
        match self.state {
            State::FirstLine { .. } if self.partial.is_empty() => Standing::Between,
            State::FirstLine { .. } | State::Header => Standing::Head,
            _ => Standing::Body,
        }
    }

    /// Follows the next bytes. Errors: how many of them are still good, and what is wrong then;
    /// nothing that comes later is good.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<(), (usize, Violation)> {
        let mut at = 0;
        while at < bytes.len() {
            match self.step(&bytes[at..]) {
                Ok(count) => at += count,
                Err(violation) => {
                    self.state = State::Broken;
                    return Err((at, violation));
                }
            }
        }
        Ok(())
    }

    /// Follows bytes of a body, or one line. Returns how many bytes that were.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        match self.state {
            State::Bytes(left) => {
                let (count, left) = skip(left, bytes);
                self.state = if left == 0 {
                    first_line()
                } else {
                    State::Bytes(left)
                };
                Ok(count)
            }
            State::ChunkBytes(left) => {
                let (count, left) = skip(left, bytes);
                self.state = if left == 0 {
                    State::ChunkEnd
                } else {
                    State::ChunkBytes(left)
                };
                Ok(count)
            }
            State::Broken => Err(Violation::Malformed("the connection is broken")),
            _ => self.line(bytes),
        }
    }

    fn line(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.bound_line(bytes.len())?;
            self.partial.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        self.bound_line(end + 1)?;
        if self.partial.is_empty() {
            self.whole_line(&bytes[..=end])?;
        } else {
            let mut line = std::mem::take(&mut self.partial);
            line.extend_from_slice(&bytes[..=end]);
            self.whole_line(&line)?;
        }
        Ok(end + 1)
    }

    /// Refuses a line that is longer than its place allows, before it is kept. `more`: how many
    /// bytes of it are here.
    fn bound_line(&self, more: usize) -> Result<(), Violation> {
        let line = self.partial.len() + more;
        match self.state {
            State::FirstLine { .. } if line > self.limits.bytes => Err(Violation::TargetTooLong),
            State::Header if self.head.bytes + line > self.limits.bytes => {
                Err(Violation::HeadTooLarge)
            }
            State::ChunkSize if line > CHUNK_LINE_LIMIT_BYTES => {
                Err(Violation::Malformed("a chunk's size has too long a line"))
            }
            State::Trailer if self.trailers + line > TRAILERS_LIMIT_BYTES => {
                Err(Violation::Malformed("the trailers are too large"))
            }
            State::ChunkEnd if line > 2 => Err(Violation::Malformed(AFTER_CHUNK)),
            _ => Ok(()),
        }
    }

    fn whole_line(&mut self, whole: &[u8]) -> Result<(), Violation> {
        let Some(line) = whole.strip_suffix(b"\r\n") else {
            return Err(Violation::Malformed("a line does not end in CR and LF"));
        };
        match self.state {
            State::FirstLine { was_empty } if line.is_empty() => {
                if was_empty {
                    return Err(Violation::Malformed("empty lines stand before the request"));
                }
                self.state = State::FirstLine { was_empty: true };
            }
            State::FirstLine { .. } => {
                self.head = Head {
                    bytes: whole.len(),
                    is_version_1_0: is_version_1_0(line)?,
                    ..Head::default()
                };
                self.state = State::Header;
            }
            State::Header => {
                self.head.bytes += whole.len();
                if line.is_empty() {
                    self.state = self.body();
                } else {
                    self.header(line)?;
                }
            }
            State::ChunkSize => {
                self.state = match chunk_size(line)? {
                    0 => State::Trailer,
                    size => State::ChunkBytes(size),
                };
            }
            State::ChunkEnd if line.is_empty() => self.state = State::ChunkSize,
            State::ChunkEnd => return Err(Violation::Malformed(AFTER_CHUNK)),
            State::Trailer if line.is_empty() => self.state = first_line(),
            State::Trailer => {
                self.trailers += whole.len();
                let (name, _) = split_header(line)?;
                if is_framing(name) || name.eq_ignore_ascii_case(b"host") {
                    return Err(Violation::Malformed("a trailer would change the request"));
                }
            }
            State::Bytes(_) | State::ChunkBytes(_) | State::Broken => {}
        }
        Ok(())
    }

    /// What follows a head.
    fn body(&mut self) -> State {
        self.trailers = 0;
        match (self.head.is_chunked, self.head.length) {
            (true, _) => State::ChunkSize,
            (false, Some(length @ 1..)) => State::Bytes(length),
            (false, _) => first_line(),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Violation> {
        self.head.headers += 1;
        if self.head.headers > self.limits.headers {
            return Err(Violation::HeadTooLarge);
        }
        let (name, value) = split_header(line)?;
        if is_framing(name) {
            if name.eq_ignore_ascii_case(b"content-length") {
                self.length(value)?;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                self.transfer_encoding(value)?;
            } else {
                return Err(Violation::Malformed(
                    "a header's name resembles one that frames the body",
                ));
            }
        }
        Ok(())
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.head.is_chunked {
            return Err(Violation::Malformed(BOTH));
        }
        let digits = value.trim_ascii();
        let is_number =
            (1..=LENGTH_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        if !is_number || self.head.length.is_some() {
            return Err(Violation::Malformed("Content-Length is not one number"));
        }
        self.head.length = Some(number(digits, 10));
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.head.length.is_some() {
            return Err(Violation::Malformed(BOTH));
        }
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if self.head.is_version_1_0
            || self.head.is_chunked
            || !value.eq_ignore_ascii_case(b"chunked")
        {
            return Err(Violation::Malformed(
                "Transfer-Encoding is something else than chunked, once, in HTTP/1.1",
            ));
        }
        self.head.is_chunked = true;
        Ok(())
    }
}

const BOTH: &str = "Content-Length and Transfer-Encoding contradict each other";
const AFTER_CHUNK: &str = "a chunk is longer than it says";

fn first_line() -> State {
    State::FirstLine { was_empty: false }
}

/// How many bytes belong to a body with so much left, and what is left then.
fn skip(left: u64, bytes: &[u8]) -> (usize, u64) {
    let count = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    (count, left - count as u64)
}

/// Reads digits that were checked before.
fn number(digits: &[u8], radix: u32) -> u64 {
    digits.iter().fold(0, |sum, digit| {
        let digit = char::from(*digit).to_digit(radix).unwrap_or_default();
        sum * u64::from(radix) + u64::from(digit)
    })
}

/// Checks a first line: three parts with one blank between them, of visible ASCII, without a
/// fragment. Returns whether its version is 1.0; others than 1.0 and 1.1 are violations.
fn is_version_1_0(line: &[u8]) -> Result<bool, Violation> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Violation::Malformed(
            "the first line is not a method, a target and a version",
        ));
    };
    if method.is_empty() || !method.iter().copied().all(is_name_letter) {
        return Err(Violation::Malformed("the method has an odd letter"));
    }
    if target.is_empty()
        || !target
            .iter()
            .all(|byte| IS_TARGET_LETTER[usize::from(*byte)])
    {
        return Err(Violation::Malformed(
            "the target has a letter that has to be escaped",
        ));
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ => Err(Violation::Malformed("the version is none of HTTP/1")),
    }
}

/// Splits a header at its colon. Errors: a fold, a blank before the colon, or an odd letter in the
/// name: programs that read headers by CGI's rules take one for another.
fn split_header(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    let colon = line.iter().position(|byte| !is_name_letter(*byte));
    match colon {
        Some(colon) if colon > 0 && line[colon] == b':' => Ok((&line[..colon], &line[colon + 1..])),
        _ => Err(Violation::Malformed(
            "a header is not a name, a colon and a value",
        )),
    }
}

/// Whether a letter may be in the name of a header: fewer than RFC 9110 allows.
pub fn is_name_letter(byte: u8) -> bool {
    IS_NAME_LETTER[usize::from(byte)]
}

/// Tables, since every byte of every name and target is looked up.
const IS_NAME_LETTER: [bool; 256] = table(false);
const IS_TARGET_LETTER: [bool; 256] = table(true);

/// Which bytes may be in a target, or else in a name.
const fn table(of_target: bool) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        table[byte as usize] = if of_target {
            byte.is_ascii_graphic() && byte != b'#'
        } else {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
        };
        byte += 1;
    }
    table
}

/// Whether a name, with `_` read as `-`, is one of the two that frame a body.
pub fn is_framing(name: &[u8]) -> bool {
    let wanted: &[u8] = match name.len() {
        14 => b"content-length",
        17 => b"transfer-encoding",
        _ => return false,
    };
    name.iter().zip(wanted).all(|(letter, wanted)| {
        letter.eq_ignore_ascii_case(wanted) || (*wanted == b'-' && *letter == b'_')
    })
}

/// Reads the line of a chunk's size: digits, then nothing or an extension of visible letters.
fn chunk_size(line: &[u8]) -> Result<u64, Violation> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit());
    let (digits, extension) = line.split_at(end.unwrap_or(line.len()));
    let is_extension = match extension.split_first() {
        None => true,
        Some((b';', rest)) => {
            !rest.is_empty()
                && rest
                    .iter()
                    .all(|byte| byte.is_ascii_graphic() || *byte == b' ')
        }
        Some(_) => false,
    };
    if !(1..=CHUNK_DIGITS).contains(&digits.len()) || !is_extension {
        return Err(Violation::Malformed("a chunk's size is not one number"));
    }
    Ok(number(digits, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        bytes: 200,
        headers: 3,
    };

    /// Follows bytes whole and cut at every place: the outcome is the same.
    fn outcome(bytes: &[u8]) -> Result<Standing, Violation> {
        let whole = follow(&[bytes]);
        for cut in 1..bytes.len() {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(follow(&[one, other]), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(follow(&single), whole, "byte by byte");
        whole
    }

    fn follow(pieces: &[&[u8]]) -> Result<Standing, Violation> {
        let mut framing = Framing::new(LIMITS);
        for piece in pieces {
            framing.follow(piece).map_err(|(_, violation)| violation)?;
        }
        Ok(framing.standing())
    }

    #[test]
    fn good_requests_are_followed_to_their_end() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nGET / HTTP/1.0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length:  3 \r\n\r\n\r\n\r\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n00a\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(outcome(text.as_bytes()), Ok(Standing::Between), "{text:?}");
        }
        let standing = |text: &str| outcome(text.as_bytes());
        assert_eq!(standing("GET / HT"), Ok(Standing::Head));
        assert_eq!(standing("GET / HTTP/1.1\r\n"), Ok(Standing::Head));
        let body = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab";
        assert_eq!(standing(body), Ok(Standing::Body));
        let chunk = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab";
        assert_eq!(standing(chunk), Ok(Standing::Body));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_a_violation() {
        let heads = [
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1, 1",
            "Content-Length: +1",
            "Content-Length: -1",
            "Content-Length: 0x1",
            "Content-Length: 1 1",
            "Content-Length:",
            "Content-Length: 1111111111111111111",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked,",
            "Transfer-Encoding: ,chunked",
            "Transfer-Encoding: chunked\t",
            "Transfer-Encoding:\tchunked",
            "Transfer-Encoding:  chunked",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: \"chunked\"",
            "Transfer_Encoding: chunked",
            "Transfer.Encoding: chunked",
            "Content_Length: 1",
            "Name : x",
            " Name: x",
            "\tName: x",
            "Name: x\r\n folded",
            "Name",
            ": x",
            "Na\0me: x",
            "Na(me: x",
            "Na\u{e4}me: x",
            "Name: x\nOther: y",
        ];
        for head in heads {
            let text = format!("POST / HTTP/1.1\r\n{head}\r\n\r\n");
            let outcome = outcome(text.as_bytes());
            assert!(
                matches!(outcome, Err(Violation::Malformed(_))),
                "{text:?}: {outcome:?}"
            );
        }
        for line in [
            "GET / HTTP/1.1\n",
            "GET  / HTTP/1.1\r\n",
            "GET /a b HTTP/1.1\r\n",
            "GET /#a HTTP/1.1\r\n",
            "GET /\u{e4} HTTP/1.1\r\n",
            "GET /\t HTTP/1.1\r\n",
            "G\tET / HTTP/1.1\r\n",
            "GET / HTTP/1.2\r\n",
            "GET / HTTP/2.0\r\n",
            "GET / http/1.1\r\n",
            "GET /\r\n",
            " / HTTP/1.1\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\n",
            "\nGET / HTTP/1.1\r\n",
        ] {
            let outcome = outcome(line.as_bytes());
            assert!(
                matches!(outcome, Err(Violation::Malformed(_))),
                "{line:?}: {outcome:?}"
            );
        }
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(outcome(old.as_bytes()).is_err());
    }

    #[test]
    fn chunks_that_could_be_read_in_two_ways_are_violations() {
        for chunks in [
            "\r\n",
            "x\r\n",
            "0x1\r\na\r\n",
            "+1\r\na\r\n",
            "1 \r\na\r\n",
            " 1\r\na\r\n",
            "1 ;x\r\na\r\n",
            "1;\r\na\r\n",
            "1;a\tb\r\na\r\n",
            "1;a\rb\r\na\r\n",
            "1;a\na\r\n",
            "1\na\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na0\r\n\r\n",
            "11111111111111111\r\n",
            "0\r\nContent-Length: 1\r\n\r\n",
            "0\r\nHost: b\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\n\n",
        ] {
            let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            let outcome = outcome(text.as_bytes());
            assert!(
                matches!(outcome, Err(Violation::Malformed(_))),
                "{chunks:?}: {outcome:?}"
            );
        }
        let long = format!("1;{}\r\n", "x".repeat(CHUNK_LINE_LIMIT_BYTES));
        let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{long}");
        assert!(follow(&[text.as_bytes()]).is_err());
        let many = "X-Name: value\r\n".repeat(TRAILERS_LIMIT_BYTES / 15 + 1);
        let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{many}\r\n");
        assert!(follow(&[text.as_bytes()]).is_err());
    }

    #[test]
    fn a_head_may_be_as_large_as_its_limit_and_not_a_byte_larger() {
        let head = |size: usize| {
            let fixed = "GET / HTTP/1.1\r\nX: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(size - fixed))
        };
        assert_eq!(outcome(head(200).as_bytes()), Ok(Standing::Between));
        assert_eq!(outcome(head(201).as_bytes()), Err(Violation::HeadTooLarge));
        let target = format!("GET /{} HTTP/1.1\r\n", "x".repeat(200));
        assert_eq!(outcome(target.as_bytes()), Err(Violation::TargetTooLong));
        let headers = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(count));
        assert_eq!(outcome(headers(3).as_bytes()), Ok(Standing::Between));
        assert_eq!(outcome(headers(4).as_bytes()), Err(Violation::HeadTooLarge));
        let endless = "x".repeat(1_000);
        assert_eq!(outcome(endless.as_bytes()), Err(Violation::TargetTooLong));
    }

    #[test]
    fn the_place_of_a_violation_is_told_and_nothing_after_it_is_good() {
        let mut framing = Framing::new(LIMITS);
        let good = "GET / HTTP/1.1\r\n\r\n";
        let bytes = format!("{good}bad\r\n{good}");
        let (at, _) = framing.follow(bytes.as_bytes()).expect_err("a violation");
        assert_eq!(at, good.len());
        assert!(framing.follow(good.as_bytes()).is_err());
    }
}
