//! An API behind that keeps every byte that reaches it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use wayleave_proxy::ApiBehind;

/// What came on each connection, in the order in which they were accepted.
type Received = Arc<Mutex<Vec<Vec<u8>>>>;

/// Answers every whole request with 200 and `ok`.
pub(crate) struct RawUpstream {
    address: SocketAddr,
    received: Received,
    answered: Arc<AtomicUsize>,
}

impl RawUpstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
        let address = listener.local_addr().expect("an address");
        let received = Received::default();
        let kept = received.clone();
        let answered = Arc::<AtomicUsize>::default();
        let count = answered.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, count) = (kept.clone(), count.clone());
                let number = {
                    let mut all = kept.lock().expect("a lock");
                    all.push(Vec::new());
                    all.len() - 1
                };
                std::thread::spawn(move || answer(stream, number, &kept, &count));
            }
        });
        RawUpstream {
            address,
            received,
            answered,
        }
    }

    pub(crate) fn upstream(&self) -> ApiBehind {
        let url = format!("http://{}", self.address);
        url.parse().expect("an upstream")
    }

    /// All that came, of all connections, as text.
    pub(crate) fn text(&self) -> String {
        let all = self.received.lock().expect("a lock");
        String::from_utf8_lossy(&all.concat()).into_owned()
    }

    /// How many requests came whole and were answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// How many first lines of requests came.
    pub(crate) fn requests(&self) -> usize {
        self.text().matches(" HTTP/1.1\r\n").count()
    }
}

fn answer(mut stream: TcpStream, number: usize, kept: &Received, answered: &AtomicUsize) {
    let mut pending = Vec::new();
    let mut piece = [0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        kept.lock().expect("a lock")[number].extend_from_slice(&piece[..count]);
        pending.extend_from_slice(&piece[..count]);
        while let Some(length) = whole_request(&pending) {
            pending.drain(..length);
            answered.fetch_add(1, Ordering::SeqCst);
            let written = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            if written.is_err() {
                return;
            }
        }
    }
}

/// How long the first request is, once it is whole.
fn whole_request(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes);
    let head = text.find("\r\n\r\n")? + 4;
    let of = |name: &str| {
        let mut lines = text[..head].lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    };
    if of("transfer-encoding").is_some() {
        return Some(head + text[head..].find("0\r\n\r\n")? + 5);
    }
    let length = of("content-length").map_or(0, |length| length.parse().expect("a length"));
    (bytes.len() >= head + length).then_some(head + length)
}
