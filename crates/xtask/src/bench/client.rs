//! A small HTTP/1.1 client over plain TCP: for filling the server and for looking at answers.
//! The load itself comes from `wrk`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    headers: Vec<(String, String)>,
    closes: bool,
}

impl Answer {
    /// The value of a header; its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The status and the beginning of the body, for a message.
    pub(crate) fn summary(&self) -> String {
        let body: String = String::from_utf8_lossy(&self.body)
            .chars()
            .take(400)
            .collect();
        format!("{} {body}", self.status)
    }
}

/// A connection that is kept open, and opened again when the server has closed it.
pub(crate) struct Connection {
    address: String,
    stream: Option<BufReader<TcpStream>>,
    written_at: Option<Instant>,
}

impl Connection {
    /// To `HOST:PORT`; opened by the first request.
    pub(crate) fn to(address: &str) -> Connection {
        Connection {
            address: address.to_owned(),
            stream: None,
            written_at: None,
        }
    }

    /// Opens it unless it is open: where that fails, nothing was sent.
    pub(crate) fn open(&mut self) -> Result<(), String> {
        if self.stream.is_none() {
            let opened = open(&self.address);
            self.stream = Some(opened.map_err(|error| format!("{}: {error}", self.address))?);
        }
        Ok(())
    }

    /// When the last request was written whole; `None` when it was not.
    pub(crate) fn written_at(&self) -> Option<Instant> {
        self.written_at
    }

    /// Sends one whole request and waits for its answer.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<Answer, String> {
        let answer = self.try_exchange(request);
        if !matches!(&answer, Ok(answer) if !answer.closes) {
            self.stream = None;
        }
        answer.map_err(|error| format!("{}: {error}", self.address))
    }

    fn try_exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(open(&self.address)?),
        };
        self.written_at = None;
        stream.get_mut().write_all(request)?;
        self.written_at = Some(Instant::now());
        read_answer(stream)
    }
}

fn open(address: &str) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

fn read_answer(stream: &mut impl BufRead) -> io::Result<Answer> {
    let first = read_line(stream)?;
    let status: u16 = first
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| broken(&format!("no status line but {first:?}")))?;
    let (mut length, mut chunked, mut closes) = (None, false, false);
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken(&line))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        headers.push((name.clone(), value.to_owned()));
        match (name.as_str(), value.to_ascii_lowercase().as_str()) {
            ("content-length", value) => length = value.parse().ok(),
            ("transfer-encoding", "chunked") => chunked = true,
            ("connection", "close") => closes = true,
            _ => {}
        }
    }
    let body = match length {
        _ if chunked => read_chunks(stream)?,
        Some(length) => read_exactly(stream, length)?,
        None if status == 204 || status == 304 => Vec::new(),
        None => return Err(broken("an answer of unknown length")),
    };
    Ok(Answer {
        status,
        body,
        headers,
        closes,
    })
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(broken("the server closed the connection"));
    }
    Ok(line.trim_end().to_owned())
}

fn read_exactly(stream: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let length = usize::from_str_radix(&line, 16).map_err(|_| broken(&line))?;
        body.extend(read_exactly(stream, length)?);
        read_line(stream)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Does `work` for every number below `count` over several connections at once and returns the
/// results in order. The first failure ends it. `what` names the things in the progress lines.
pub(super) fn in_parallel<T: Send>(
    address: &str,
    what: &str,
    count: usize,
    work: impl Fn(&mut Connection, usize) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(Vec::with_capacity(count));
    let one_thread = || -> Result<(), String> {
        let mut connection = Connection::to(address);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count || failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let result = work(&mut connection, index).inspect_err(|_| {
                failed.store(true, Ordering::Relaxed);
            })?;
            let mut done = done.lock().map_err(|_| "a thread panicked")?;
            done.push((index, result));
            if done.len() % 5000 == 0 {
                eprintln!("bench:   {} of {count} {what}", done.len());
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS.min(count))
            .map(|_| scope.spawn(one_thread))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    let mut done = done.into_inner().map_err(|_| "a thread panicked")?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server for as long as the test runs: `answer` gets the first line of each request.
    pub(in super::super) fn server(answer: fn(&str) -> String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(BufReader::new(stream), answer));
            }
        });
        address
    }

    fn serve(mut stream: BufReader<TcpStream>, answer: fn(&str) -> String) {
        while let Ok(first) = read_line(&mut stream) {
            while read_line(&mut stream).is_ok_and(|line| !line.is_empty()) {}
            let body = answer(&first);
            stream.get_mut().write_all(body.as_bytes()).unwrap();
        }
    }

    fn numbered(first: &str) -> String {
        let body = first.split(' ').nth(1).unwrap();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn results_come_in_order_from_many_connections() {
        let address = server(numbered);
        let bodies = in_parallel(&address, "answers", 300, |connection, index| {
            let answer = connection.exchange(format!("GET {index} HTTP/1.1\r\n\r\n").as_bytes())?;
            Ok(String::from_utf8_lossy(&answer.body).into_owned())
        });
        let expected: Vec<String> = (0..300).map(|index| index.to_string()).collect();
        assert_eq!(bodies, Ok(expected));
    }

    #[test]
    fn the_first_failure_ends_it() {
        let address = server(numbered);
        let result: Result<Vec<()>, String> = in_parallel(&address, "answers", 300, |_, index| {
            Err(format!("no {index}"))
        });
        assert!(result.unwrap_err().starts_with("no "));
    }

    #[test]
    fn nothing_to_do_is_nothing_done() {
        let nobody = in_parallel("127.0.0.1:1", "answers", 0, |_, index| Ok(index));
        assert_eq!(nobody, Ok(Vec::new()));
    }

    #[test]
    fn a_connection_that_the_server_closed_is_opened_again() {
        let address = server(|_| {
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
        });
        let mut connection = Connection::to(&address);
        for _ in 0..2 {
            assert_eq!(
                connection
                    .exchange(b"GET / HTTP/1.1\r\n\r\n")
                    .unwrap()
                    .status,
                200
            );
            assert!(connection.stream.is_none());
        }
    }

    fn read(text: &str) -> io::Result<Answer> {
        read_answer(&mut text.as_bytes())
    }

    #[test]
    fn an_answer_with_a_length_is_read_to_its_end() {
        let answer =
            read("HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\n{}ab and more").unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (201, b"{}ab".as_slice())
        );
        assert!(!answer.closes);
    }

    #[test]
    fn an_answer_in_chunks_is_put_together() {
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(read(text).unwrap().body, b"abc0123456789");
    }

    #[test]
    fn no_content_has_no_body() {
        let answer = read("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap();
        assert_eq!(
            (answer.status, answer.body.len(), answer.closes),
            (204, 0, true)
        );
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for text in [
            "",
            "hello\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx\r\n\r\n",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
