use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A server to call.
#[derive(Clone, Copy, Debug)]
pub struct Address(SocketAddr);

/// One request, to be sent byte by byte as it was put together: nothing is encoded or checked.
#[derive(Clone, Debug)]
pub struct Call {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in small letters, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Address {
    /// From a URL such as `http://127.0.0.1:8080`.
    pub fn of(url: &str) -> Self {
        let place = url
            .trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap_or_default();
        Address(
            place
                .parse()
                .unwrap_or_else(|_| panic!("{url} is no plain address")),
        )
    }

    /// From a socket's address.
    pub fn at(address: SocketAddr) -> Self {
        Address(address)
    }

    /// The port.
    pub fn port(self) -> u16 {
        self.0.port()
    }

    /// A request to it.
    pub fn call(self, method: &str, target: &str) -> Call {
        Call {
            address: self.0,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A GET.
    pub fn get(self, target: &str) -> Call {
        self.call("GET", target)
    }

    /// A POST.
    pub fn post(self, target: &str) -> Call {
        self.call("POST", target)
    }

    /// Sends bytes as they are and reads one answer.
    pub fn send_raw(self, bytes: &[u8]) -> Answer {
        let mut stream = connect(self.0);
        // A server may answer and close before it has read everything.
        let _ = stream.write_all(bytes);
        read_answer(&mut stream, false)
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream =
        TcpStream::connect_timeout(&address, Duration::from_secs(10)).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    stream
        .set_write_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    stream
}

impl Call {
    /// Adds a header, also one that is there already.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `Authorization: Bearer …`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// `Authorization: Basic …`.
    pub fn basic(self, user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", &format!("Basic {pair}"))
    }

    /// Sets the body.
    pub fn body(mut self, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self.header("Content-Type", content_type)
    }

    /// Sets the body and no header.
    pub fn raw_body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// A form body.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", escape(value)))
            .collect();
        self.body("application/x-www-form-urlencoded", pairs.join("&"))
    }

    /// A JSON body.
    pub fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    /// Takes another method.
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Where it goes.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The headers that were added.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Sends it on a connection of its own.
    pub fn send(self) -> Answer {
        let mut stream = connect(self.address);
        let bytes = self.bytes();
        let _ = stream.write_all(&bytes);
        read_answer(&mut stream, self.method == "HEAD")
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| {
            self.headers
                .iter()
                .any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        if !has("host") {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        let sends_body = !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT");
        if sends_body && !has("content-length") && !has("transfer-encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("Connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: no JSON ({error}): {}", self.status, self.text()))
    }

    /// Checks the status; says the body where it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

fn read_answer(stream: &mut TcpStream, is_head: bool) -> Answer {
    let mut received = Vec::new();
    let head_end = loop {
        if let Some(place) = find(&received, b"\r\n\r\n") {
            break place + 4;
        }
        if !read_more(stream, &mut received) {
            panic!(
                "the connection ended within the head: {:?}",
                String::from_utf8_lossy(&received)
            );
        }
    };
    let head = String::from_utf8_lossy(&received[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .expect("a status line");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer {
        status,
        headers,
        body: received.split_off(head_end),
    };
    if is_head || status == 204 || status == 304 {
        answer.body.clear();
    } else if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().expect("a length");
        while answer.body.len() < length && read_more(stream, &mut answer.body) {}
        assert_eq!(answer.body.len(), length, "the body broke off or went on");
    } else {
        let chunked = answer.header("transfer-encoding").is_some();
        while !(chunked && answer.body.ends_with(b"0\r\n\r\n"))
            && read_more(stream, &mut answer.body)
        {}
        if chunked {
            answer.body = join_chunks(&answer.body);
        }
    }
    answer
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

fn read_more(stream: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    let mut piece = [0; 16 * 1024];
    match stream.read(&mut piece) {
        Ok(0) => false,
        Ok(count) => {
            received.extend_from_slice(&piece[..count]);
            true
        }
        Err(error) => panic!(
            "no answer: {error}; so far {:?}",
            String::from_utf8_lossy(received)
        ),
    }
}

fn join_chunks(mut chunked: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line_end = find(chunked, b"\r\n").expect("a chunk size");
        let size = std::str::from_utf8(&chunked[..line_end]).expect("a chunk size");
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
        if size == 0 {
            return body;
        }
        let start = line_end + 2;
        body.extend_from_slice(&chunked[start..start + size]);
        chunked = &chunked[start + size + 2..];
    }
}
