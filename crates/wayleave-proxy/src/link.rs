//! One connection to a server behind, driven by whoever waits for what comes on it.

use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep};

use crate::behind::Server;
use crate::connect::Wire;
use crate::upload::{Outgoing, Upload};

/// The largest head of an answer, and what is read ahead of a client that is slow.
const BUFFER_BYTES: usize = 64 * 1024;

/// One connection. It has no task of its own: nothing happens on it but in [`Link::drive`].
pub(crate) struct Link<B: Body<Data = Bytes> + Unpin + 'static> {
    sender: SendRequest<Outgoing<B>>,
    connection: Connection<TokioIo<Wire>, Outgoing<B>>,
    is_over: bool,
    has_heard: Rc<Cell<bool>>,
    patience: Patience,
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The connection had ended before anything was written.
    Unsent,
    /// The connection ended before the answer. `has_heard`: after some bytes of it.
    Broken { has_heard: bool, cause: String },
    /// What came is no answer.
    Malformed(String),
    /// Nothing came in time.
    TimedOut,
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Link<B> {
    /// Connects, within the given time. `now`: any moment of the present.
    pub(crate) async fn open(
        server: &Server,
        timeout: Duration,
        now: Instant,
    ) -> io::Result<Box<Self>> {
        let has_heard = Rc::new(Cell::new(false));
        let connecting = Wire::connect(server, has_heard.clone());
        let wire = match tokio::time::timeout(timeout, connecting).await {
            Ok(connected) => connected?,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        let (sender, connection) = Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .max_header_size(BUFFER_BYTES)
            .handshake(wire)
            .await
            .map_err(io::Error::other)?;
        Ok(Box::new(Link {
            sender,
            connection,
            is_over: false,
            has_heard,
            patience: Patience::new(now),
        }))
    }

    /// Does what can be done now: writes, reads, notices the end. Returns whether it is over.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_over {
            self.is_over = self.connection.poll_without_shutdown(cx).is_ready();
        }
        self.is_over
    }

    /// Whether another request can be sent on it.
    pub(crate) fn is_free(&mut self) -> bool {
        !self.drive(&mut Context::from_waker(Waker::noop())) && self.sender.is_ready()
    }

    /// The same after an exchange, which has mostly driven it that far already.
    pub(crate) fn becomes_free(&mut self) -> bool {
        !self.is_over && (self.sender.is_ready() || self.is_free())
    }

    /// The connection itself and what was read ahead, after an answer that switched to another
    /// protocol; `None`: it did not.
    pub(crate) fn into_stream(mut self) -> Option<(TokioIo<Wire>, Bytes)> {
        if !self.drive(&mut Context::from_waker(Waker::noop())) {
            return None;
        }
        let parts = self.connection.into_parts();
        Some((parts.io, parts.read_buf))
    }

    /// What waits for the connection, with its timer.
    pub(crate) fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }

    /// Sends a request and waits for the head of its answer, at most `timeout` after the last piece
    /// of the request was passed on. While the client's next piece is missing no time passes.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Outgoing<B>>,
        upload: Option<&Upload<B>>,
        timeout: Duration,
        now: impl Fn() -> Instant,
    ) -> Result<Response<Incoming>, Failed> {
        self.has_heard.set(false);
        // Only driving the connection below brings it an answer, so that it needs no waker; and with
        // a budget for the task it might end its turn without one.
        let mut sent = pin!(tokio::task::unconstrained(
            self.sender.try_send_request(request)
        ));
        let mut until = now() + timeout;
        std::future::poll_fn(|cx| {
            let is_over = self.drive(cx);
            let mut unwoken = Context::from_waker(Waker::noop());
            if let Poll::Ready(answered) = sent.as_mut().poll(&mut unwoken) {
                return Poll::Ready(answered.map_err(|mut error| match error.take_message() {
                    Some(_) => Failed::Unsent,
                    None => Failed::of(&error.into_error(), self.has_heard.get()),
                }));
            }
            if is_over {
                let cause = "the connection ended".to_owned();
                let has_heard = self.has_heard.get();
                return Poll::Ready(Err(Failed::Broken { has_heard, cause }));
            }
            if let Some(upload) = upload {
                if upload.has_moved() || upload.waits_for_client() {
                    until = now() + timeout;
                }
                if upload.waits_for_client() {
                    return Poll::Pending;
                }
            }
            match self.patience.is_over(cx, until) {
                true => Poll::Ready(Err(Failed::TimedOut)),
                false => Poll::Pending,
            }
        })
        .await
    }
}

impl Failed {
    fn of(error: &hyper::Error, has_heard: bool) -> Self {
        let cause = describe(error);
        if error.is_parse() {
            Failed::Malformed(cause)
        } else {
            Failed::Broken { has_heard, cause }
        }
    }
}

/// The error with its causes, for the log.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A timer that is set anew only when it runs out too early or would run out too late: at the usual
/// pace of requests once in many, where a timer for each of them would cost more than what it is for.
pub(crate) struct Patience(Pin<Box<Sleep>>);

impl Patience {
    /// One that has run out.
    pub(crate) fn new(now: Instant) -> Self {
        Patience(Box::pin(tokio::time::sleep_until(now)))
    }

    /// Whether that moment has come; else the task is woken when it has.
    pub(crate) fn is_over(&mut self, cx: &mut Context<'_>, until: Instant) -> bool {
        if until < self.0.deadline() {
            self.0.as_mut().reset(until);
        }
        while self.0.as_mut().poll(cx).is_ready() {
            if until <= self.0.deadline() {
                return true;
            }
            self.0.as_mut().reset(until);
        }
        false
    }
}
