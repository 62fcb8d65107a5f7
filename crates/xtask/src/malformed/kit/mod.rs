//! Malformed requests against a node: what is sent, what has to come of it. The end-to-end tests send
//! a few thousand with the same code.

mod api;
pub(crate) mod chance;
mod generator;
mod strict;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use api::StrictApi;
pub(crate) use generator::Good;

use strict::Rest;

/// How long an answer may take that has to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may stay open after its client has ended its side.
const END_PATIENCE: Duration = Duration::from_secs(30);
/// So many faults are told one by one.
const TOLD: usize = 20;

/// A node under trial.
pub(crate) struct Trial {
    /// Where it answers.
    pub(crate) node: SocketAddr,
    /// What a good request to it is.
    pub(crate) good: Good,
    /// What stands behind it.
    pub(crate) api: StrictApi,
    /// Chooses the requests.
    pub(crate) seed: u64,
}

/// What came of many connections.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    /// How many answers had which status; 0 stands for connections that ended without one.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// How many requests reached the API behind, whole.
    pub(crate) passed_on: u64,
    /// What may not happen, with the number of the connection.
    pub(crate) faults: Vec<String>,
}

impl Trial {
    /// Opens a connection for each number, so many at a time.
    pub(crate) fn run(&self, numbers: Range<u64>, at_once: usize) -> Tally {
        let next = AtomicU64::new(numbers.start);
        let tally = Mutex::new(Tally::default());
        std::thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    let mut own = Tally::default();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= numbers.end {
                            break;
                        }
                        self.connect(number, &mut own);
                    }
                    if let Ok(mut tally) = tally.lock() {
                        tally.add(own);
                    }
                });
            }
        });
        let mut tally = tally.into_inner().unwrap_or_default();
        tally.passed_on = self.api.requests();
        tally.faults.extend(self.api.faults());
        tally
    }

    /// Whether a good request is still answered.
    pub(crate) fn is_well(&self) -> bool {
        let Good { host, path, proof } = &self.good;
        let text = format!(
            "GET {path}/well HTTP/1.1\r\nHost: {host}\r\nAuthorization: {proof}\r\nConnection: close\r\n\r\n"
        );
        self.api.expect(&strict::all(text.as_bytes()).0);
        let mut answer = Vec::new();
        let asked = TcpStream::connect(self.node).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(text.as_bytes())?;
            stream.read_to_end(&mut answer)
        });
        asked.is_ok() && answer.starts_with(b"HTTP/1.1 200 ")
    }

    fn connect(&self, number: u64, tally: &mut Tally) {
        let bytes = self.good.connection(self.seed, number);
        let (requests, rest) = strict::all(&bytes);
        self.api.expect(&requests);
        let wanted = requests.len() + usize::from(matches!(rest, Rest::Wrong(_)));
        match exchange(self.node, &bytes, wanted) {
            Ok(received) => tally.note(number, &statuses(&received)),
            Err(why) => tally.tell(format!("connection {number}: {why}")),
        }
    }
}

impl Tally {
    fn note(&mut self, number: u64, statuses: &[u16]) {
        if statuses.is_empty() {
            *self.answers.entry(0).or_default() += 1;
        }
        for status in statuses {
            *self.answers.entry(*status).or_default() += 1;
            if *status >= 500 {
                self.tell(format!("connection {number}: answered {status}"));
            }
        }
    }

    fn tell(&mut self, fault: String) {
        if self.faults.len() < TOLD {
            self.faults.push(fault);
        }
    }

    fn add(&mut self, other: Tally) {
        for (status, count) in other.answers {
            *self.answers.entry(status).or_default() += count;
        }
        self.faults.extend(other.faults);
    }
}

/// Sends bytes, reads so many answers, ends its own side, and reads on until the other has ended.
/// Errors: it did not.
fn exchange(node: SocketAddr, bytes: &[u8], wanted: usize) -> Result<Vec<u8>, String> {
    let connected = TcpStream::connect(node);
    let mut stream = connected.map_err(|error| format!("not taken: {error}"))?;
    let limit = |stream: &TcpStream, patience| {
        let set = stream.set_read_timeout(Some(patience));
        set.map_err(|error| error.to_string())
    };
    limit(&stream, PATIENCE)?;
    // It may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut received = Vec::new();
    let mut is_waiting = wanted > 0;
    let mut piece = [0; 8 * 1024];
    loop {
        if is_waiting && statuses(&received).len() >= wanted {
            is_waiting = false;
        }
        if !is_waiting {
            let _ = stream.shutdown(Shutdown::Write);
            limit(&stream, END_PATIENCE)?;
        }
        match stream.read(&mut piece) {
            Ok(0) => return Ok(received),
            Ok(count) => received.extend_from_slice(&piece[..count]),
            Err(error) if is_late(&error) && is_waiting => is_waiting = false,
            Err(error) if is_late(&error) => return Err("it stays open".to_owned()),
            // It closed with something unread.
            Err(_) => return Ok(received),
        }
    }
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The statuses of whole answers, but for those that only announce another.
fn statuses(mut received: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while let Some((status, length)) = answer(received) {
        if status >= 200 {
            statuses.push(status);
        }
        received = &received[length.min(received.len())..];
    }
    statuses
}

/// The status of the first answer and how long it is.
fn answer(received: &[u8]) -> Option<(u16, usize)> {
    let end = received
        .windows(4)
        .position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    let length = end + 4 + length.unwrap_or(0);
    (received.len() >= length).then_some((status, length))
}
