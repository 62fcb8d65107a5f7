//! Requests that are good at first and then spoilt in a few places.

use super::chance::Chance;

/// Bytes that parsers disagree about.
const ODD_BYTES: [&str; 20] = [
    "\0", "\r", "\n", " ", "\t", ":", "\u{b}", "\u{c}", "\u{7f}", "\u{80}", "\u{ff}", ",", ";",
    "+", "-", "\"", "_", "%", "#", "\\",
];

/// Headers that say where a body ends, who asks, or what becomes of the connection, rightly or not.
const ODD_HEADERS: [&str; 40] = [
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 05",
    "Content-Length: +5",
    "Content-Length: -1",
    "Content-Length: 5, 5",
    "Content-Length: 5,6",
    "Content-Length: 0x5",
    "Content-Length:",
    "Content-Length: 18446744073709551621",
    "Content-Length : 5",
    "Content_Length: 5",
    "content-length:\t7",
    "Content-Length: 5\r\nContent-Length: 5",
    "Transfer-Encoding: chunked",
    "transfer-encoding:chunked",
    "Transfer-Encoding: Chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked;a=b",
    "Transfer-Encoding:\u{b}chunked",
    "Transfer-Encoding : chunked",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:\r\n chunked",
    "Connection: close",
    "Connection: keep-alive, Host",
    "Connection: Content-Length",
    "Connection: Transfer-Encoding",
    "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "Connection: upgrade\r\nUpgrade: websocket",
    "Expect: 100-continue",
    "Expect: something",
    "Host: other",
    "X-Folded: a\r\n b",
    "Trailer: Content-Length",
    "TE: trailers",
    "Wayleave-Partner: ptr_1",
];

const ODD_TARGETS: [&str; 12] = [
    "*",
    "hello",
    "//hello",
    "/hello/../admin",
    "/hello#x",
    "/hello HTTP/1.1\r\nX: y",
    "http://a/hello",
    "http://other/hello",
    "http:///hello",
    "/hello\u{e4}",
    "/hello?\0",
    "a:80",
];

const ODD_VERSIONS: [&str; 9] = [
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/0.9",
    "http/1.1",
    "HTTP/1.1 ",
    "HTTP/1.1\tx",
    "HTTP/01.1",
    "",
];

const ODD_CHUNKS: [&str; 14] = [
    "0x5\r\nhello\r\n",
    "+5\r\nhello\r\n",
    "-1\r\n\r\n",
    "5 \r\nhello\r\n",
    "05\r\nhello\r\n",
    "5;a=b\r\nhello\r\n",
    "5\nhello\n",
    "5\r\nhelloo\r\n",
    "5\r\nhell\r\n",
    "5\r\nhelloXX",
    "FFFFFFFFFFFFFFFF5\r\nhello\r\n",
    "\r\n",
    "5\rhello\r",
    "0\r\nContent-Length: 5\r\nX: y\r\n",
];

/// Where good requests go and how they are proven.
pub(crate) struct Good {
    /// The value of `Host`.
    pub(crate) host: String,
    /// A path that the API behind has, without a slash at its end.
    pub(crate) path: String,
    /// The value of `Authorization`.
    pub(crate) proof: String,
}

impl Good {
    /// A request whose target says its number, with a body or none.
    pub(super) fn request(&self, number: u64, chance: &mut Chance) -> Vec<u8> {
        let method = chance.one(&["GET", "POST", "PUT", "DELETE", "PATCH"]);
        let body = self.body(number, chance);
        let mut lines = vec![
            format!("Host: {}", self.host),
            format!("Authorization: {}", self.proof),
        ];
        if chance.once_in(2) {
            lines.push("Accept: */*".to_owned());
        }
        let is_bare = body.is_empty() && chance.once_in(2);
        let is_chunked = !is_bare && chance.once_in(2);
        let body = if is_chunked {
            lines.push("Transfer-Encoding: chunked".to_owned());
            chunked(&body, chance)
        } else {
            if !is_bare {
                lines.push(format!("Content-Length: {}", body.len()));
            }
            body
        };
        let path = &self.path;
        let head = lines.join("\r\n");
        format!("{method} {path}/{number} HTTP/1.1\r\n{head}\r\n\r\n{body}").into_bytes()
    }

    /// Some text, or what somebody would smuggle.
    fn body(&self, number: u64, chance: &mut Chance) -> String {
        match chance.below(4) {
            0 => String::new(),
            1 => "x".repeat(chance.below(300)),
            2 => "0\r\n\r\n".to_owned() + &self.smuggled(number),
            _ => self.smuggled(number),
        }
    }

    fn smuggled(&self, number: u64) -> String {
        let Good { host, path, proof } = self;
        format!(
            "DELETE {path}/smuggled-{number} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {proof}\r\n\r\n"
        )
    }

    /// What one connection sends: one to three requests, spoilt in none to four places.
    pub(crate) fn connection(&self, seed: u64, number: u64) -> Vec<u8> {
        let mut chance = Chance::of(seed, number);
        let count = 1 + chance.below(3) as u64;
        let mut bytes = Vec::new();
        for place in 0..count {
            bytes.extend(self.request(number * 4 + place, &mut chance));
        }
        for _ in 0..chance.below(5) {
            spoil(&mut bytes, &mut chance);
        }
        bytes
    }
}

fn chunked(body: &str, chance: &mut Chance) -> String {
    let mut rest = body;
    let mut text = String::new();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(1 + chance.below(rest.len()));
        text += &format!("{:x}\r\n{piece}\r\n", piece.len());
        rest = after;
    }
    text + "0\r\n\r\n"
}

/// Spoils one place.
fn spoil(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let anywhere = chance.below(bytes.len());
    match chance.below(14) {
        0 => replace(bytes, anywhere, 1, chance.one(&ODD_BYTES)),
        1 => replace(bytes, anywhere, 0, chance.one(&ODD_BYTES)),
        2 => replace(bytes, anywhere, 1 + chance.below(4), ""),
        3 => bytes.truncate(anywhere),
        4 => bytes.extend_from_slice(chance.one(&ODD_BYTES).as_bytes()),
        5 => end_a_line_otherwise(bytes, anywhere, chance),
        6 => replace_first_line(bytes, chance),
        7 => insert_chunk(bytes, chance),
        8 => insert_header(bytes, &"X: y\r\n".repeat(chance.below(130))),
        9 => insert_header(
            bytes,
            &format!("X: {}\r\n", "y".repeat(chance.below(80_000))),
        ),
        10 => change_length(bytes, chance),
        _ => insert_header(bytes, &format!("{}\r\n", chance.one(&ODD_HEADERS))),
    }
}

/// Texts stand for bytes of Latin-1, so that there are some that are no UTF-8.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|letter| letter as u32 as u8).collect()
}

fn replace(bytes: &mut Vec<u8>, place: usize, length: usize, with: &str) {
    let place = place.min(bytes.len());
    let end = (place + length).min(bytes.len());
    bytes.splice(place..end, latin(with));
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let mut windows = rest.windows(what.len());
    windows
        .position(|window| window == what)
        .map(|place| place + from)
}

fn end_a_line_otherwise(bytes: &mut Vec<u8>, from: usize, chance: &mut Chance) {
    let with = chance.one(&["\n", "\r", "\r\r\n", "\n\r", "\r\n\r\n", " \r\n", "\0\r\n"]);
    if let Some(place) = find(bytes, b"\r\n", from) {
        replace(bytes, place, 2, with);
    }
}

/// After a line of the first head, or after the first line of another.
fn insert_header(bytes: &mut Vec<u8>, lines: &str) {
    if let Some(place) = find(bytes, b"\r\n", 0) {
        replace(bytes, place + 2, 0, lines);
    }
}

fn replace_first_line(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let Some(end) = find(bytes, b"\r\n", 0) else {
        return;
    };
    let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut words: Vec<&str> = line.splitn(3, ' ').collect();
    words.resize(3, "");
    match chance.below(3) {
        0 => words[0] = chance.one(&["get", "G ET", "", "TRACE", "CONNECT", "PRI", "G\0T", "ANY"]),
        1 => words[1] = chance.one(&ODD_TARGETS),
        _ => words[2] = chance.one(&ODD_VERSIONS),
    }
    replace(
        bytes,
        0,
        end,
        &words.join(chance.one(&[" ", " ", " ", "  ", "\t"])),
    );
}

fn insert_chunk(bytes: &mut Vec<u8>, chance: &mut Chance) {
    if let Some(end) = find(bytes, b"\r\n\r\n", 0) {
        replace(bytes, end + 4, 0, chance.one(&ODD_CHUNKS));
    }
}

/// By a little, so that a body ends too early or too late.
fn change_length(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let Some(start) = find(bytes, b"Content-Length: ", 0) else {
        return;
    };
    let digits = start + b"Content-Length: ".len();
    let count = bytes[digits..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let text = String::from_utf8_lossy(&bytes[digits..digits + count]).into_owned();
    let Ok(length) = text.parse::<usize>() else {
        return;
    };
    let other = (length + chance.below(12)).saturating_sub(5);
    replace(bytes, digits, count, &other.to_string());
}
