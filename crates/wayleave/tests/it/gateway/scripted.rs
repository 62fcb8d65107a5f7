//! A server behind that does what a test says, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server; it runs until the test process ends.
pub(crate) struct Scripted {
    address: SocketAddr,
    seen: Arc<Seen>,
}

/// What a server saw.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    ended: AtomicUsize,
    requests: Mutex<Vec<Received>>,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The first line and the headers, with small letters, as they came.
    pub(crate) head: String,
    /// The body with its chunks, where it is chunked.
    pub(crate) body: String,
}

impl Received {
    /// The values of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(given, _)| *given == name)
            .map(|(_, value)| value)
            .collect()
    }

    pub(crate) fn first_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

/// One connection as a script sees it.
pub(crate) struct Caller {
    stream: TcpStream,
    seen: Arc<Seen>,
}

impl Scripted {
    /// A server that does this on every connection, each on a thread of its own. The connection is
    /// closed when the script ends.
    pub(crate) fn new(script: impl Fn(&mut Caller) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let (noting, script) = (seen.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                noting.connections.fetch_add(1, Ordering::SeqCst);
                let (seen, script) = (noting.clone(), script.clone());
                let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
                std::thread::spawn(move || {
                    let mut caller = Caller {
                        stream,
                        seen: seen.clone(),
                    };
                    script(&mut caller);
                    drop(caller);
                    seen.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Scripted { address, seen }
    }

    /// A server that gives every request this answer and keeps its connections.
    pub(crate) fn answering(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Scripted::new(move |caller| {
            while caller.receive().is_some() {
                caller.send(&answer);
            }
        })
    }

    /// Its address as a setting has it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it was called on.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until it has closed every connection that it was called on.
    pub(crate) fn wait_for_closed(&self) {
        while self.seen.ended.load(Ordering::SeqCst) < self.connections() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The requests that it read to their end.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.seen.requests.lock().expect("no panic").clone()
    }
}

impl Caller {
    /// Reads the next request; `None`: the connection ended.
    pub(crate) fn receive(&mut self) -> Option<Received> {
        let head = self.receive_head()?;
        let mut received = Received {
            head,
            body: String::new(),
        };
        if !received.values("transfer-encoding").is_empty() {
            received.body = self.read_chunks()?;
        } else if let [length] = received.values("content-length")[..] {
            let mut body = vec![0; length.parse().expect("a length")];
            self.stream.read_exact(&mut body).ok()?;
            received.body = String::from_utf8_lossy(&body).into_owned();
        }
        let mut requests = self.seen.requests.lock().expect("no panic");
        requests.push(received.clone());
        Some(received)
    }

    /// Reads the head of the next request.
    pub(crate) fn receive_head(&mut self) -> Option<String> {
        self.read_past("\r\n\r\n")
    }

    /// Chunks with their sizes, and trailers.
    fn read_chunks(&mut self) -> Option<String> {
        let mut all = String::new();
        loop {
            let size = self.read_past("\r\n")?;
            let count = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
            all += &size;
            if count == 0 {
                loop {
                    let line = self.read_past("\r\n")?;
                    all += &line;
                    if line == "\r\n" {
                        return Some(all);
                    }
                }
            }
            let mut chunk = vec![0; count + 2];
            self.stream.read_exact(&mut chunk).ok()?;
            all += &String::from_utf8_lossy(&chunk);
        }
    }

    fn read_past(&mut self, end: &str) -> Option<String> {
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(end.as_bytes()) {
            match self.stream.read(&mut byte) {
                Ok(1) => read.push(byte[0]),
                _ => return None,
            }
        }
        String::from_utf8(read).ok()
    }

    /// Reads some bytes as they are.
    pub(crate) fn receive_bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &str) {
        let _ = self.stream.write_all(bytes.as_bytes());
    }

    /// The same of bytes that are no text.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Whether anything comes within this time; it is not read.
    pub(crate) fn comes_within(&mut self, time: Duration) -> bool {
        let _ = self.stream.set_read_timeout(Some(time));
        let came = matches!(self.stream.peek(&mut [0]), Ok(1));
        let _ = self.stream.set_read_timeout(Some(Duration::from_secs(30)));
        came
    }

    /// Waits until the other side closes.
    pub(crate) fn wait_for_end(&mut self) {
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest), Ok(count) if count > 0) {}
    }
}

/// A short answer with a body of this text.
pub(crate) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
