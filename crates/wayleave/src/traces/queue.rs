//! Ended spans on their way to the collector: a bounded queue that one thread empties. A request
//! never waits for it; spans that find it full are dropped and counted.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::{EndedSpan, otlp};

/// How many spans may wait.
const WAITING_SPANS: usize = 8_192;
/// How many go in one call.
const SPANS_PER_CALL: usize = 512;
/// How long a span waits for others.
const GATHERING: Duration = Duration::from_secs(1);
/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a collector takes spans by OTLP over plain HTTP, such as
/// `http://127.0.0.1:4318/v1/traces`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CollectorAddress {
    authority: String,
    path: String,
}

/// A text that is not the address of a collector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CollectorAddressError;

impl fmt::Display for CollectorAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a collector is an address such as http://127.0.0.1:4318/v1/traces; over plain http: let one on this machine pass spans on over TLS",
        )
    }
}

impl std::error::Error for CollectorAddressError {}

impl FromStr for CollectorAddress {
    type Err = CollectorAddressError;

    fn from_str(text: &str) -> Result<Self, CollectorAddressError> {
        let uri: Uri = text.parse().map_err(|_| CollectorAddressError)?;
        let authority = uri.authority().ok_or(CollectorAddressError)?;
        let is_plain = uri.scheme_str() == Some("http") && uri.query().is_none();
        if !is_plain || authority.as_str().contains('@') || uri.path() == "/" {
            return Err(CollectorAddressError);
        }
        let port = authority.port_u16().unwrap_or(80);
        Ok(CollectorAddress {
            authority: format!("{}:{port}", authority.host()),
            path: uri.path().to_owned(),
        })
    }
}

impl fmt::Display for CollectorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// The queue. What waits when it is dropped is still sent.
pub struct TraceQueue {
    waiting: Option<SyncSender<EndedSpan>>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl TraceQueue {
    /// A queue with a thread that empties it.
    pub fn start(collector: CollectorAddress) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_SPANS);
        let counts = Arc::<Counts>::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let sending = Sending {
            collector,
            runtime,
            counts: counts.clone(),
            was_failing: false,
        };
        let thread = std::thread::Builder::new().name("wayleave-traces".to_owned());
        let thread = thread.spawn(move || sending.run(&receiver))?;
        Ok(TraceQueue {
            waiting: Some(sender),
            counts,
            thread: Some(thread),
        })
    }

    /// Puts a span in, unless the queue is full.
    pub(super) fn put(&self, span: EndedSpan) {
        let put = self.waiting.as_ref().map(|waiting| waiting.try_send(span));
        if !matches!(put, Some(Ok(()))) {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many spans the collector took.
    pub(crate) fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::Relaxed)
    }

    /// How many spans were lost: the queue was full, or the collector did not take them.
    pub(crate) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for TraceQueue {
    fn drop(&mut self) {
        self.waiting = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Sending {
    collector: CollectorAddress,
    runtime: Runtime,
    counts: Arc<Counts>,
    was_failing: bool,
}

impl Sending {
    fn run(mut self, waiting: &Receiver<EndedSpan>) {
        while let Ok(first) = waiting.recv() {
            let mut spans = vec![first];
            let mut ended = false;
            while spans.len() < SPANS_PER_CALL && !ended {
                match waiting.recv_timeout(GATHERING) {
                    Ok(span) => spans.push(span),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => ended = true,
                }
            }
            self.send(&spans);
        }
    }

    fn send(&mut self, spans: &[EndedSpan]) {
        let body = Bytes::from(otlp::request(spans).to_string());
        let call = call(&self.collector, body);
        let timed = async { tokio::time::timeout(CALL_TIMEOUT, call).await };
        let outcome = match self.runtime.block_on(timed) {
            Ok(outcome) => outcome,
            Err(_) => Err("it does not answer".into()),
        };
        let count = spans.len() as u64;
        match outcome {
            Ok(()) => {
                self.counts.sent.fetch_add(count, Ordering::Relaxed);
                if self.was_failing {
                    tracing::info!(collector = %self.collector, "the collector of traces takes spans again");
                }
                self.was_failing = false;
            }
            Err(error) => {
                self.counts.dropped.fetch_add(count, Ordering::Relaxed);
                if !self.was_failing {
                    tracing::warn!(collector = %self.collector, %error, "the collector of traces takes no spans; they are dropped until it does");
                }
                self.was_failing = true;
            }
        }
    }
}

type CallError = Box<dyn std::error::Error + Send + Sync>;

/// One call on a connection of its own: there is one a second at most.
async fn call(collector: &CollectorAddress, body: Bytes) -> Result<(), CallError> {
    let stream = TcpStream::connect(&collector.authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(&collector.path)
        .header(HOST, &collector.authority)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    let answered = async {
        let status = sender.send_request(request).await?.status();
        drop(sender);
        if status.is_success() {
            Ok(())
        } else {
            Err(CallError::from(format!("it says {status}")))
        }
    };
    let (answered, _) = tokio::join!(answered, connection);
    answered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_collector_is_plain_and_names_a_path() {
        let address: CollectorAddress = "http://collector/v1/traces".parse().expect("an address");
        assert_eq!(address.to_string(), "http://collector:80/v1/traces");
        for text in [
            "",
            "collector:4318",
            "http://127.0.0.1:4318",
            "https://collector/v1/traces",
            "http://u:p@collector/v1/traces",
            "http://collector/v1/traces?key=1",
        ] {
            assert!(text.parse::<CollectorAddress>().is_err(), "{text}");
        }
    }
}
