//! HTTP/2 written frame by frame (RFC 9113), so that a test can do what no client does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use wayleave_protocol::http2_frames::PREFACE;
use wayleave_testkit::Address;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What carries the frames.
trait Channel: Read + Write + Send {}

impl<T: Read + Write + Send> Channel for T {}

/// A connection that speaks frames.
pub(crate) struct Http2 {
    stream: Box<dyn Channel>,
    received: Vec<u8>,
}

/// How long a frame is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

fn connect(port: u16, patience: Duration) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let patience = Some(patience);
    stream.set_read_timeout(patience).expect("a timeout");
    stream.set_write_timeout(patience).expect("a timeout");
    stream.set_nodelay(true).expect("set");
    stream
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a length")
        .to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Headers without compression: each a literal with a literal name (RFC 7541 section 6.2.2).
pub(crate) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn integer(block: &mut Vec<u8>, mut value: usize) {
    if value < 127 {
        block.push(value as u8);
        return;
    }
    block.push(127);
    value -= 127;
    while value >= 128 {
        block.push((value % 128) as u8 | 128);
        value /= 128;
    }
    block.push(value as u8);
}

/// The headers of a GET.
pub(crate) fn get(path: &str) -> Vec<(&str, &str)> {
    vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", path),
    ]
}

impl Http2 {
    /// Connects with prior knowledge and says its settings.
    pub(crate) fn connect(address: Address) -> Self {
        Http2::begin(Box::new(connect(address.port(), PATIENCE)))
    }

    /// The same for one of very many at once.
    pub(crate) fn connect_patiently(address: Address) -> Self {
        Http2::begin(Box::new(connect(address.port(), 6 * PATIENCE)))
    }

    /// Connects over TLS, trusting one certificate.
    pub(crate) fn connect_over_tls(port: u16, trusted: &Path) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(trusted).expect("a certificate");
        roots.add(certificate).expect("trusted");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = "localhost".try_into().expect("a name");
        let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
        Http2::begin(Box::new(rustls::StreamOwned::new(
            session,
            connect(port, PATIENCE),
        )))
    }

    fn begin(stream: Box<dyn Channel>) -> Self {
        let mut connection = Http2 {
            stream,
            received: Vec::new(),
        };
        let mut begin = PREFACE.to_vec();
        begin.extend(frame(SETTINGS, 0, 0, b""));
        assert!(connection.send(&begin));
        connection
    }

    /// Sends bytes; `false`: the other side has closed.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush())
            .is_ok()
    }

    /// Sends a request without a body.
    pub(crate) fn request(&mut self, stream: u32, headers: &[(&str, &str)]) -> bool {
        self.send(&frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            stream,
            &block(headers),
        ))
    }

    /// The next frame; `None`: the connection ended.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        while self.received.len() < 9 || self.received.len() < 9 + self.length() {
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("no frame came, and no end")
                }
                Err(_) => return None,
            }
        }
        let length = self.length();
        let rest = self.received.split_off(9 + length);
        let bytes = std::mem::replace(&mut self.received, rest);
        let stream = u32::from_be_bytes(bytes[5..9].try_into().expect("four bytes"));
        Some(Frame {
            kind: bytes[3],
            flags: bytes[4],
            stream,
            payload: bytes[9..].to_vec(),
        })
    }

    fn length(&self) -> usize {
        let [high, middle, low] = [0, 1, 2].map(|place| usize::from(self.received[place]));
        high << 16 | middle << 8 | low
    }

    /// The frames until the connection ends, which it has to.
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The status of an answer, which the static table of HPACK has (RFC 7541 appendix A) or which
    /// stands there as a literal; skips all other frames.
    pub(crate) fn status(&mut self, stream: u32) -> Option<u16> {
        loop {
            let frame = self.next()?;
            if frame.stream == stream && frame.kind == RST_STREAM {
                return None;
            }
            if frame.stream == stream && frame.kind == HEADERS {
                return Some(status(&frame.payload));
            }
        }
    }
}

pub(crate) fn status(block: &[u8]) -> u16 {
    let known = [200, 204, 206, 304, 400, 404, 500];
    match block[0] {
        indexed @ 0x88..=0x8e => known[usize::from(indexed - 0x88)],
        // A literal under the name of entry 8: digits, compressed or not.
        0x08 | 0x48 | 0x18 => digits(&block[1..]),
        first => panic!("a block that begins with {first:#x}: {block:?}"),
    }
}

/// Three digits, as they are or in Huffman code, where 0 to 2 have five bits and the others six.
fn digits(text: &[u8]) -> u16 {
    let length = usize::from(text[0] & 0x7f);
    let text_bytes = &text[1..=length];
    if text[0] & 0x80 == 0 {
        return std::str::from_utf8(text_bytes)
            .expect("digits")
            .parse()
            .expect("a status");
    }
    let bits: Vec<u8> = text_bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let mut place = 0;
    let mut number = 0;
    for _ in 0..3 {
        let take = |count: usize| {
            bits[place..place + count]
                .iter()
                .fold(0_u16, |sum, bit| sum << 1 | u16::from(*bit))
        };
        let five = take(5);
        let (digit, used) = if five <= 2 {
            (five, 5)
        } else {
            (take(6) - 0x19 + 3, 6)
        };
        place += used;
        number = number * 10 + digit;
    }
    number
}
