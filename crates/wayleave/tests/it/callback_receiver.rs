//! Whoever is told of events: takes connections of this machine and answers with the statuses that it was
//! given, the last one for ever.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wayleave_protocol::form;
use wayleave_protocol::signed::{self, SignedRequest};

use crate::harness::Keys;

/// A request that told of an event.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// Path and query.
    pub(crate) target: String,
    timestamp: String,
    authentication: String,
}

impl Told {
    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let read = form::parse(query.as_bytes()).expect("a query");
        let found = read.into_iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    /// The token of the result.
    pub(crate) fn token(&self) -> String {
        self.parameter("CallbackToken").expect("a token")
    }

    /// What happened.
    pub(crate) fn kind(&self) -> String {
        self.parameter("CallbackType").expect("a type")
    }

    /// Whether a key set signed it, as whoever is told checks it; `now_s`: their clock.
    pub(crate) fn is_signed_by(&self, keys: &Keys, now_s: i64) -> bool {
        let presented = signed::parse_authentication(self.authentication.as_bytes());
        let presented = presented.expect("a proof");
        assert_eq!(signed::check_timestamp(&self.timestamp, now_s), Ok(()));
        let (path, query) = self.target.split_once('?').expect("a query");
        let request = SignedRequest {
            method: "GET",
            paths: &[path],
            query: Some(query),
            timestamp: &self.timestamp,
            form_body: None,
        };
        presented.key_id == keys.public_id
            && signed::verify(&request, &presented.signature, keys.secret.as_bytes()) == Ok(true)
    }
}

/// Listens until the test ends.
pub(crate) struct Receiver {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Receiver {
    /// Answers with these statuses, one after the other.
    pub(crate) fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let told: Arc<Mutex<Vec<Told>>> = Arc::default();
        let heard = told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                take(stream, &heard, statuses);
            }
        });
        Receiver { address, told }
    }

    /// Its address with a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it was told so far.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().clone()
    }

    /// Waits until it was told so often.
    pub(crate) fn wait(&self, count: usize) -> Vec<Told> {
        for _ in 0..400 {
            let told = self.told();
            if told.len() >= count {
                return told;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!(
            "told {} times in ten seconds, not {count}",
            self.told().len()
        );
    }
}

fn take(stream: TcpStream, told: &Mutex<Vec<Told>>, statuses: &[u16]) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let target = first
        .strip_prefix("GET ")
        .and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let header = |name: &str| {
        let mut headers = headers.iter().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let mut told = told.lock();
    let status = statuses[told.len().min(statuses.len() - 1)];
    told.push(Told {
        target: target.unwrap_or_default().to_owned(),
        timestamp: header("timestamp"),
        authentication: header("authentication"),
    });
    drop(told);
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = (&stream).write_all(answer.as_bytes());
}
