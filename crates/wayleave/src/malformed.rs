//! What hyper answers by itself to bytes that are no request, given a body.
//!
//! hyper writes a bare `400`, `414` or `431` when it cannot read a request's head, before any of our
//! code has seen it. Clients are promised a clear error, so this layer puts problem details in the
//! place of that empty answer. It looks only at what is written while no request is being answered.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::traces::Span;

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// The next head is being read.
    #[default]
    Idle,
    /// Everything that is written belongs to an answer.
    Answering,
    /// The answer's body is done; its last bytes may still have to be written.
    Finishing,
}

/// Whether a request is being answered on a connection.
#[derive(Clone, Default)]
pub(crate) struct Answering(Rc<Progress>);

#[derive(Default)]
struct Progress {
    state: Cell<State>,
    requests: Cell<u64>,
}

impl Answering {
    /// A request has come; what is written from now on is its answer.
    pub(crate) fn begin(&self) {
        self.0.state.set(State::Answering);
        self.0.requests.set(self.0.requests.get() + 1);
    }

    /// Marks an answer's body, so that its end is noticed.
    /// `span`: ends with the body.
    pub(crate) fn mark<B>(&self, body: B, span: Option<Span>) -> Marked<B> {
        Marked {
            body,
            answering: self.clone(),
            _span: span,
        }
    }

    /// Ends when the connection waited for a request at two looks, and none came between them.
    pub(crate) async fn stays_idle(&self, look_interval: Duration) {
        let mut at_last_look = None;
        loop {
            tokio::time::sleep(look_interval).await;
            let seen = self.is_idle().then(|| self.0.requests.get());
            if seen.is_some() && seen == at_last_look {
                return;
            }
            at_last_look = seen;
        }
    }

    fn flushed(&self) {
        if self.0.state.get() == State::Finishing {
            self.0.state.set(State::Idle);
        }
    }

    fn is_idle(&self) -> bool {
        self.0.state.get() == State::Idle
    }
}

/// The body of an answer.
pub(crate) struct Marked<B> {
    body: B,
    answering: Answering,
    _span: Option<Span>,
}

impl<B> Drop for Marked<B> {
    fn drop(&mut self) {
        self.answering.0.state.set(State::Finishing);
    }
}

impl<B: Body + Unpin> Body for Marked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose bare refusals are given a body.
pub(crate) struct WithRefusals<S> {
    stream: S,
    answering: Answering,
    /// What is still to be written instead of a bare refusal.
    instead: Vec<u8>,
    written: usize,
}

impl<S> WithRefusals<S> {
    pub(crate) fn new(stream: S, answering: Answering) -> Self {
        WithRefusals {
            stream,
            answering,
            instead: Vec::new(),
            written: 0,
        }
    }
}

/// The answer instead of a bare one; `None` where it is something else.
fn replacement(written: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(written).ok()?;
    let empty = head.ends_with("\r\n\r\n") && head.contains("content-length: 0\r\n");
    let (status, title, message) = match head.get(..12)? {
        "HTTP/1.1 400" => (
            400,
            "Bad Request",
            "this is not a request that can be read: check its first line and its headers",
        ),
        "HTTP/1.1 414" => (414, "URI Too Long", "the address is too long"),
        "HTTP/1.1 431" => (
            431,
            "Request Header Fields Too Large",
            "the headers are too large or too many",
        ),
        _ => return None,
    };
    if !empty {
        return None;
    }
    let body = format!(
        "{{\"type\":\"urn:wayleave:problem:unreadable\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{message}\",\"message\":\"{message}\"}}"
    );
    let answer = format!(
        "HTTP/1.1 {status} {title}\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    Some(answer.into_bytes())
}

impl<S: Read + Unpin> Read for WithRefusals<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: Write + Unpin> WithRefusals<S> {
    /// Writes what is left of a replacement; `Ready(Ok(()))` when all of it is out.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.instead.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.instead[self.written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for WithRefusals<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.answering.is_idle() {
            if self.instead.is_empty()
                && let Some(instead) = replacement(buf)
            {
                self.instead = instead;
            }
            if !self.instead.is_empty() {
                return self.poll_instead(cx).map_ok(|()| buf.len());
            }
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.answering.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.answering.is_idle()
            && let Some(first) = bufs.iter().find(|buf| !buf.is_empty())
        {
            return self.poll_write(cx, first);
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_refusal_is_replaced() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let instead = String::from_utf8(replacement(bare).expect("a replacement")).expect("text");
        let (head, body) = instead.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
        assert!(replacement(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_none());
        assert!(replacement(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}").is_none());
    }
}
