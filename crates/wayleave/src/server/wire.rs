//! The bytes of one connection on their way to and from the parser: what two parsers could read
//! differently does not reach it, and its bare refusals are given a body.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wayleave_protocol::http_framing::{Framing, Violation};
use wayleave_protocol::http2_frames::Frames;

use super::progress::Progress;
use crate::metrics::{CoreCounters, TurnedAway};

/// No parser takes this for a part of a request: it refuses the request and closes.
const POISON: &[u8] = b"\0\r\n\r\n";

/// Where the bytes of a core's connections are looked at. One at a time uses it.
pub(super) type Scratch = Arc<Mutex<Vec<u8>>>;

/// How many bytes are read at once.
pub(super) const SCRATCH_BYTES: usize = 64 * 1024;

/// Who looks at what a client sends.
pub(super) enum Watch {
    Http1(Framing),
    /// With the look at which its credit was last renewed.
    Http2(Frames, u64),
}

/// A connection, and what is noted down about it.
pub(super) struct Wire<S, K> {
    stream: S,
    watch: Watch,
    progress: Arc<Progress>,
    counters: Arc<CoreCounters>,
    scratch: Scratch,
    /// Bytes that were read before the protocol was known.
    early: Vec<u8>,
    /// What is still to be said to the parser before the end.
    poison: Option<&'static [u8]>,
    /// What is still to be written instead of a bare refusal.
    instead: Vec<u8>,
    written: usize,
    _kept: K,
}

impl<S, K> Wire<S, K> {
    /// `early`: what was read already. `kept`: what is to be kept as long as the connection.
    pub(super) fn new(
        stream: S,
        watch: Watch,
        progress: Arc<Progress>,
        shared: (Arc<CoreCounters>, Scratch),
        early: Vec<u8>,
        kept: K,
    ) -> Self {
        let (counters, scratch) = shared;
        Wire {
            stream,
            watch,
            progress,
            counters,
            scratch,
            early,
            poison: None,
            instead: Vec::new(),
            written: 0,
            _kept: kept,
        }
    }

    /// Gives the parser what may be given of new bytes.
    fn pass(&mut self, bytes: &[u8], mut buf: ReadBufCursor<'_>) -> io::Result<()> {
        match &mut self.watch {
            Watch::Http1(_) if self.progress.is_tunnel() => buf.put_slice(bytes),
            Watch::Http1(framing) => match framing.follow(bytes) {
                Ok(()) => {
                    buf.put_slice(bytes);
                    self.progress.stands(framing.standing());
                }
                Err((good, violation)) => {
                    let why = reason(violation);
                    tracing::debug!(?violation, "a request was refused");
                    self.counters.count_turned_away(why);
                    self.progress.refuses(why);
                    buf.put_slice(&bytes[..good]);
                    self.poison = Some(POISON);
                    self.poison(buf);
                }
            },
            Watch::Http2(frames, renewed_at) => {
                let looks = self.progress.looks();
                if *renewed_at != looks {
                    *renewed_at = looks;
                    frames.renew();
                }
                if frames.follow(bytes).is_err() {
                    self.counters.count_turned_away(TurnedAway::Flood);
                    return Err(io::ErrorKind::InvalidData.into());
                }
                buf.put_slice(bytes);
            }
        }
        Ok(())
    }

    /// Says what is left of the poison, then nothing more.
    fn poison(&mut self, mut buf: ReadBufCursor<'_>) {
        if let Some(left) = self.poison {
            let (said, left) = left.split_at(left.len().min(buf.remaining()));
            buf.put_slice(said);
            self.poison = Some(left);
        }
    }
}

fn reason(violation: Violation) -> TurnedAway {
    match violation {
        Violation::Malformed(_) => TurnedAway::Malformed,
        Violation::TargetTooLong => TurnedAway::TargetTooLong,
        Violation::HeadTooLarge => TurnedAway::HeadTooLarge,
    }
}

impl<S: AsyncRead + Unpin, K: Unpin> Read for Wire<S, K> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.poison.is_some() {
            wire.poison(buf);
            return Poll::Ready(Ok(()));
        }
        if !wire.early.is_empty() {
            let count = wire.early.len().min(buf.remaining());
            let rest = wire.early.split_off(count);
            let bytes = std::mem::replace(&mut wire.early, rest);
            return Poll::Ready(wire.pass(&bytes, buf));
        }
        let scratch = wire.scratch.clone();
        let mut scratch = scratch.lock();
        let length = scratch.len().min(buf.remaining());
        let mut read = ReadBuf::new(&mut scratch[..length]);
        ready!(Pin::new(&mut wire.stream).poll_read(cx, &mut read))?;
        Poll::Ready(wire.pass(read.filled(), buf))
    }
}

impl<S: AsyncWrite + Unpin, K: Unpin> Wire<S, K> {
    fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let polled = match bufs {
            [buf] => stream.poll_write(cx, buf),
            bufs => stream.poll_write_vectored(cx, bufs),
        };
        let bytes = match &polled {
            Poll::Pending => None,
            Poll::Ready(written) => Some(*written.as_ref().unwrap_or(&0)),
        };
        self.progress.wrote(bytes);
        if let (Watch::Http2(frames, _), Some(bytes)) = (&mut self.watch, bytes) {
            frames.sent(bytes);
        }
        polled
    }

    /// Writes what is left of a replacement; `Ready(Ok(()))` when all of it is out.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.instead.len() {
            let rest = &self.instead[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether what is written is no answer of ours, and then what is written in its place.
    fn is_replaced(&mut self, written: &[u8]) -> bool {
        if !matches!(self.watch, Watch::Http1(_)) || !self.progress.is_idle() {
            return false;
        }
        if self.instead.is_empty()
            && let Some(status) = bare_refusal(written)
        {
            let why = self.progress.refusal().unwrap_or_else(|| {
                let why = match status {
                    414 => TurnedAway::TargetTooLong,
                    431 => TurnedAway::HeadTooLarge,
                    _ => TurnedAway::Malformed,
                };
                self.counters.count_turned_away(why);
                why
            });
            self.instead = refusal(why);
        }
        !self.instead.is_empty()
    }
}

impl<S: AsyncWrite + Unpin, K: Unpin> Write for Wire<S, K> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if wire.is_replaced(buf) {
            return wire.poll_instead(cx).map_ok(|()| buf.len());
        }
        wire.poll_stream(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let flushed = Pin::new(&mut wire.stream).poll_flush(cx);
        wire.progress.flushed(flushed.is_ready());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if let Some(first) = bufs.iter().find(|buf| !buf.is_empty())
            && wire.is_replaced(first)
        {
            return wire.poll_instead(cx).map_ok(|()| first.len());
        }
        wire.poll_stream(cx, bufs)
    }
}

/// The status of an answer that the parser made by itself: it is empty. `None`: it is another.
fn bare_refusal(written: &[u8]) -> Option<u16> {
    let head = std::str::from_utf8(written).ok()?;
    let is_empty = head.ends_with("\r\n\r\n") && head.contains("content-length: 0\r\n");
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    (is_empty && matches!(status, 400 | 414 | 431)).then_some(status)
}

/// Problem details for a request of which nothing is known.
fn refusal(why: TurnedAway) -> Vec<u8> {
    let (status, title, message) = match why {
        TurnedAway::TargetTooLong => (414, "URI Too Long", "the address is too long"),
        TurnedAway::HeadTooLarge => (
            431,
            "Request Header Fields Too Large",
            "the headers are too large or too many",
        ),
        _ => (
            400,
            "Bad Request",
            "this is not a request that can be read in one way only: check its first line, its headers and the length of its body",
        ),
    };
    let body = format!(
        "{{\"type\":\"urn:wayleave:problem:unreadable\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{message}\",\"message\":\"{message}\"}}"
    );
    let answer = format!(
        "HTTP/1.1 {status} {title}\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncache-control: private, no-store\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    answer.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_refusal_is_replaced() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(bare_refusal(bare), Some(400));
        assert_eq!(
            bare_refusal(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
            None
        );
        let full = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(bare_refusal(full), None);
    }

    #[test]
    fn a_refusal_is_a_whole_answer_in_problem_details() {
        for why in TurnedAway::ALL {
            let answer = String::from_utf8(refusal(why)).expect("text");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.contains(&format!("content-length: {}", body.len())));
            let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert!(head.contains(&format!("HTTP/1.1 {}", body["status"])));
        }
    }
}
