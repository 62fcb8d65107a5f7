//! An API behind a proxy that tells byte by byte what reached it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    /// Names in small letters, in the order in which they came.
    pub(super) headers: Vec<(String, String)>,
    /// As much of the body as has arrived.
    pub(super) body: Vec<u8>,
}

impl Seen {
    /// Every value of a header.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(given, _)| given == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }
}

/// Answers 200 and its own text; `Upgrade` gets 101 and its bytes back.
pub(super) struct Api {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What it answers, in two pieces.
pub(super) const ANSWER: [&str; 2] = ["The API ", "answered."];

impl Api {
    pub(super) fn start() -> Api {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
        let api = Api {
            address: listener.local_addr().expect("its address"),
            seen: Arc::default(),
        };
        let seen = api.seen.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        api
    }

    /// Takes what has arrived so far.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("the requests"))
    }

    /// Takes the one request that has arrived.
    #[track_caller]
    pub(super) fn take_one(&self) -> Seen {
        let mut seen = self.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// Waits until so much of a body has arrived.
    pub(super) fn wait_for_body(&self, body: &[u8]) {
        for _ in 0..500 {
            let seen = self.seen.lock().expect("the requests");
            if seen.last().is_some_and(|last| last.body == body) {
                return;
            }
            drop(seen);
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the body has not arrived after five seconds");
    }
}

/// Serves one connection until it ends, however it ends.
fn serve(stream: TcpStream, seen: &Mutex<Vec<Seen>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let _ = stream.set_nodelay(true);
    let Ok(mut writer) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(stream);
    while let Some(head) = read_head(&mut reader) {
        let upgrades = !head.all("upgrade").is_empty();
        let place = {
            let mut seen = seen.lock().expect("the requests");
            seen.push(head.clone());
            seen.len() - 1
        };
        let arrived = |piece: &[u8]| {
            let mut seen = seen.lock().expect("the requests");
            if let Some(request) = seen.get_mut(place) {
                request.body.extend_from_slice(piece);
            }
        };
        if upgrades {
            echo(&mut reader, &mut writer);
            return;
        }
        if read_body(&mut reader, &head, arrived).is_none() || answer(&mut writer).is_err() {
            return;
        }
    }
}

pub(super) fn read_head(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut head = Seen::default();
    let first = read_line(reader)?;
    let mut words = first.split(' ');
    head.method = words.next()?.to_owned();
    head.target = words.next()?.to_owned();
    loop {
        let line = read_line(reader)?;
        match line.split_once(':') {
            Some((name, value)) => head
                .headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => return Some(head),
        }
    }
}

fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    let text = String::from_utf8_lossy(line.strip_suffix(b"\r\n")?);
    Some(text.into_owned())
}

fn read_body(
    reader: &mut BufReader<TcpStream>,
    head: &Seen,
    mut arrived: impl FnMut(&[u8]),
) -> Option<()> {
    if let Some(length) = head.all("content-length").first() {
        read_piece(reader, length.parse().ok()?, &mut arrived)
    } else if head.all("transfer-encoding").is_empty() {
        Some(())
    } else {
        loop {
            let size = usize::from_str_radix(read_line(reader)?.trim(), 16).ok()?;
            read_piece(reader, size, &mut arrived)?;
            read_line(reader)?;
            if size == 0 {
                return Some(());
            }
        }
    }
}

/// Reads so many bytes and tells of each piece as it comes.
fn read_piece(
    reader: &mut BufReader<TcpStream>,
    mut left: usize,
    arrived: &mut impl FnMut(&[u8]),
) -> Option<()> {
    let mut piece = [0; 4096];
    while left > 0 {
        let wanted = left.min(piece.len());
        let count = reader.read(&mut piece[..wanted]).ok()?;
        if count == 0 {
            return None;
        }
        arrived(&piece[..count]);
        left -= count;
    }
    Some(())
}

fn answer(writer: &mut TcpStream) -> std::io::Result<()> {
    let [first, second] = ANSWER;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let piece = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    writer.write_all(format!("{head}{}", piece(first)).as_bytes())?;
    writer.write_all(format!("{}0\r\n\r\n", piece(second)).as_bytes())
}

fn echo(reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) {
    // The answer to the key of RFC 6455 section 1.3, which the tests send: HAProxy looks at it.
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                  Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    if writer.write_all(switch.as_bytes()).is_err() {
        return;
    }
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = reader.read(&mut piece) {
        if writer.write_all(&piece[..count]).is_err() {
            return;
        }
    }
}

/// Stands in for Wayleave, with one answer to every request: for answers that Wayleave does not give
/// today, or not whenever a test wants.
pub(super) fn always(answer: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = listener.local_addr().expect("its address");
    // Ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let Ok(half) = stream.try_clone() else {
                    return;
                };
                let mut reader = BufReader::new(half);
                while read_head(&mut reader).is_some() {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
