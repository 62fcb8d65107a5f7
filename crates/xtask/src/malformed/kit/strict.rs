//! A strict reader of requests of its own (RFC 9112), which says what a connection asks for. It
//! reads what clients send, and what reaches the API behind.

/// One whole request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Asked {
    pub(super) method: Vec<u8>,
    /// Path and query.
    pub(super) target: Vec<u8>,
    pub(super) body: Vec<u8>,
}

/// What follows the whole requests of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rest {
    Nothing,
    /// The beginning of a request that may be good.
    Unfinished,
    /// What is no request.
    Wrong(&'static str),
    /// Whatever it is, nobody reads it: the last request closes the connection.
    Unread,
}

/// The next request and how many bytes it has; else what there is instead.
pub(super) fn next(bytes: &[u8]) -> Result<(Asked, usize, bool), Rest> {
    // A line that is empty before a request means nothing (section 2.2).
    let mut start = 0;
    while bytes[start..].starts_with(b"\r\n") {
        start += 2;
    }
    if bytes[start..].is_empty() || &bytes[start..] == b"\r" {
        return Err(if start == bytes.len() {
            Rest::Nothing
        } else {
            Rest::Unfinished
        });
    }
    let mut reader = Reader {
        bytes,
        place: start,
    };
    let line = reader.line()?;
    let (method, target, is_old) = first_line(line)?;
    let mut framing = Framing::default();
    loop {
        let line = reader.line()?;
        if line.is_empty() {
            break;
        }
        framing.header(line)?;
    }
    let body = match (framing.is_chunked, framing.length) {
        (true, Some(_)) => return Err(Rest::Wrong("two framings")),
        (true, None) if is_old => return Err(Rest::Wrong("chunks in HTTP/1.0")),
        (true, None) => reader.chunks()?,
        (false, length) => reader.take(length.unwrap_or(0))?.to_vec(),
    };
    let asked = Asked {
        method: method.to_vec(),
        target: path_of(target).to_vec(),
        body,
    };
    let closes = framing.closes || is_old && !framing.keeps;
    Ok((asked, reader.place, closes))
}

/// Every whole request, and what follows.
pub(super) fn all(mut bytes: &[u8]) -> (Vec<Asked>, Rest) {
    let mut requests = Vec::new();
    loop {
        match next(bytes) {
            Err(rest) => return (requests, rest),
            Ok((asked, length, closes)) => {
                requests.push(asked);
                bytes = &bytes[length..];
                if closes {
                    return (requests, Rest::Unread);
                }
            }
        }
    }
}

fn first_line(line: &[u8]) -> Result<(&[u8], &[u8], bool), Rest> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else {
        return Err(Rest::Wrong("no first line"));
    };
    if !is_token(method) || target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Rest::Wrong("no method or target"));
    }
    match version {
        b"HTTP/1.1" => Ok((method, target, false)),
        b"HTTP/1.0" => Ok((method, target, true)),
        _ => Err(Rest::Wrong("no version")),
    }
}

/// What an absolute target says after its host.
fn path_of(target: &[u8]) -> &[u8] {
    let Some(rest) = target.strip_prefix(b"http://") else {
        return target;
    };
    let path = rest.iter().position(|byte| *byte == b'/');
    path.map_or(b"/", |path| &rest[path..])
}

fn is_token(text: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_letter)
}

#[derive(Default)]
struct Framing {
    length: Option<usize>,
    is_chunked: bool,
    closes: bool,
    keeps: bool,
}

impl Framing {
    fn header(&mut self, line: &[u8]) -> Result<(), Rest> {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or(Rest::Wrong("no colon"))?);
        let value = value[1..].trim_ascii();
        let is_text = |byte: &u8| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f;
        if !is_token(name) || !value.iter().all(is_text) {
            return Err(Rest::Wrong("no name or value"));
        }
        let has = |word: &[u8]| {
            let mut words = value.split(|byte| *byte == b',');
            words.any(|given| given.trim_ascii().eq_ignore_ascii_case(word))
        };
        match &name.to_ascii_lowercase()[..] {
            b"content-length" => self.say_length(value)?,
            b"transfer-encoding" => {
                if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Rest::Wrong("another coding"));
                }
                self.is_chunked = true;
            }
            b"connection" => {
                self.closes |= has(b"close");
                self.keeps |= has(b"keep-alive");
            }
            _ => {}
        }
        Ok(())
    }

    fn say_length(&mut self, value: &[u8]) -> Result<(), Rest> {
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(value).ok().filter(|_| is_number);
        let length = text.and_then(|text| text.parse().ok());
        if length.is_none() || self.length.is_some() {
            return Err(Rest::Wrong("no length"));
        }
        self.length = length;
        Ok(())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl<'a> Reader<'a> {
    /// A line without its end, which is CR LF and nothing else.
    fn line(&mut self) -> Result<&'a [u8], Rest> {
        let rest = &self.bytes[self.place..];
        let ends = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let end = rest.iter().position(ends).ok_or(Rest::Unfinished)?;
        match (rest[end], rest.get(end + 1)) {
            (b'\r', Some(b'\n')) => {
                self.place += end + 2;
                Ok(&rest[..end])
            }
            (b'\r', None) => Err(Rest::Unfinished),
            _ => Err(Rest::Wrong("another line end")),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Rest> {
        let rest = &self.bytes[self.place..];
        let taken = rest.get(..length).ok_or(Rest::Unfinished)?;
        self.place += length;
        Ok(taken)
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Rest> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            // What follows the size says nothing of framing (section 7.1.1).
            let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(size).ok();
            let size = size.filter(|size| size.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or(Rest::Wrong("no size"))?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(self.take(size)?);
            if !self.line()?.is_empty() {
                return Err(Rest::Wrong("a longer chunk"));
            }
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(body);
            }
            Framing::default().header(line)?;
        }
    }
}
