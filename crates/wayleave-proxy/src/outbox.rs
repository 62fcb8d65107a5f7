//! What of a request is still to be written: its head, and its body piece by piece.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::header::{HeaderMap, HeaderName};
use hyper::body::{Body, Buf, Bytes};
use tokio::io::AsyncWrite;

use crate::headers;
use crate::upload::Upload;

/// The end of a chunk, and of the body after it (RFC 9112 section 7.1).
const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK_END: &[u8] = b"\r\n0\r\n\r\n";

/// How a server is told where the body of a request ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum BodyEnd {
    /// There is none, and nothing is said of it.
    Unsaid,
    /// After so many bytes.
    Length(u64),
    /// By its chunks, with these trailers at most.
    Chunks(Vec<HeaderName>),
}

/// Why a request cannot be sent on.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection does not take it.
    Wire(io::Error),
    /// Its body failed, or is not as long as was said.
    Body,
}

/// What is to be written.
pub(crate) struct Outbox<B: Body> {
    /// The head, and what stands before a piece of the body.
    text: Vec<u8>,
    /// How much of it is written.
    written: usize,
    /// A piece of the body, and what stands behind it.
    piece: Bytes,
    ending: &'static [u8],
    /// The rest of the body; `None`: all of it was taken.
    rest: Option<(Rc<Upload<B>>, BodyEnd)>,
    has_written: bool,
    has_to_flush: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Outbox<B> {
    pub(crate) fn new() -> Self {
        Outbox {
            text: Vec::new(),
            written: 0,
            piece: Bytes::new(),
            ending: b"",
            rest: None,
            has_written: false,
            has_to_flush: false,
        }
    }

    /// Takes a request in, whose head is written by this.
    pub(crate) fn begin(
        &mut self,
        write_head: impl FnOnce(&mut Vec<u8>),
        body: Option<(Rc<Upload<B>>, BodyEnd)>,
    ) {
        self.text.clear();
        self.written = 0;
        self.has_written = false;
        write_head(&mut self.text);
        self.rest = body;
    }

    /// Whether all of the request has been written.
    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_none() && self.is_empty() && !self.has_to_flush
    }

    /// Whether nothing of it has been written, and nothing taken of its body.
    pub(crate) fn is_unsent(&self) -> bool {
        let is_untouched = |(upload, _): &(Rc<Upload<B>>, _)| upload.is_untouched();
        !self.has_written && !self.holds_piece() && self.rest.as_ref().is_none_or(is_untouched)
    }

    /// Gives up what is left, as where the server takes no more.
    pub(crate) fn give_up(&mut self) {
        self.text.clear();
        self.written = 0;
        self.piece = Bytes::new();
        self.ending = b"";
        self.rest = None;
        self.has_to_flush = false;
    }

    /// Writes what can be written, taking the body as fast as the connection does. A short body goes
    /// with the head. Ready when all is written.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), SendError>> {
        loop {
            let taken = self.take_piece(cx)?;
            if self.is_empty() {
                if self.has_to_flush {
                    ready!(Pin::new(&mut *wire).poll_flush(cx)).map_err(SendError::Wire)?;
                    self.has_to_flush = false;
                }
                return taken.map(Ok);
            }
            ready!(self.poll_write_held(cx, wire)).map_err(SendError::Wire)?;
        }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.holds_piece()
    }

    fn holds_piece(&self) -> bool {
        !self.piece.is_empty() || !self.ending.is_empty()
    }

    /// Writes what is held.
    fn poll_write_held(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let text = &self.text[self.written..];
            let written = if self.holds_piece() {
                let parts = [text, &self.piece, self.ending].map(IoSlice::new);
                ready!(Pin::new(&mut *wire).poll_write_vectored(cx, &parts))?
            } else {
                ready!(Pin::new(&mut *wire).poll_write(cx, text))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.has_written = true;
            self.has_to_flush = true;
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut count: usize) {
        let of_text = count.min(self.text.len() - self.written);
        self.written += of_text;
        count -= of_text;
        if self.written == self.text.len() {
            self.text.clear();
            self.written = 0;
        }
        let of_piece = count.min(self.piece.len());
        self.piece.advance(of_piece);
        self.ending = &self.ending[(count - of_piece).min(self.ending.len())..];
        if self.piece.is_empty() {
            // What the piece was part of may be large.
            self.piece = Bytes::new();
        }
    }

    /// Takes the next piece of the body, unless one is held. Pending: it is still to come.
    fn take_piece(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, SendError> {
        while !self.holds_piece() {
            let Some((upload, end)) = &mut self.rest else {
                return Ok(Poll::Ready(()));
            };
            let frame = match upload.poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(frame) => frame,
            };
            let is_last = upload.is_done();
            match frame.transpose().map_err(|_| SendError::Body)? {
                None => self.end_body(HeaderMap::new())?,
                Some(frame) => match frame.into_data() {
                    Ok(data) => {
                        end.take(data.len())?;
                        self.hold(data, is_last)?;
                    }
                    Err(frame) => self.end_body(frame.into_trailers().unwrap_or_default())?,
                },
            }
        }
        Ok(Poll::Pending)
    }

    fn hold(&mut self, data: Bytes, is_last: bool) -> Result<(), SendError> {
        if data.is_empty() {
            return match is_last {
                true => self.end_body(HeaderMap::new()),
                false => Ok(()),
            };
        }
        if let Some((_, BodyEnd::Chunks(_))) = self.rest {
            let _ = write!(self.text, "{:x}\r\n", data.len());
            self.ending = if is_last { LAST_CHUNK_END } else { CHUNK_END };
        }
        self.piece = data;
        match (is_last, &self.rest) {
            (true, Some((_, BodyEnd::Length(1..)))) => Err(SendError::Body),
            (true, _) => {
                self.rest = None;
                Ok(())
            }
            (false, _) => Ok(()),
        }
    }

    /// The body has come to its end without more data.
    fn end_body(&mut self, trailers: HeaderMap) -> Result<(), SendError> {
        match self.rest.take() {
            Some((_, BodyEnd::Length(1..))) => return Err(SendError::Body),
            Some((_, BodyEnd::Chunks(announced))) => {
                self.text.extend_from_slice(b"0\r\n");
                headers::write_trailers(&mut self.text, &trailers, &announced);
                self.text.extend_from_slice(b"\r\n");
            }
            _ => {}
        }
        Ok(())
    }
}

impl BodyEnd {
    /// Counts bytes of the body. Errors: they are more than was said.
    fn take(&mut self, count: usize) -> Result<(), SendError> {
        let left = match self {
            BodyEnd::Unsaid => 0_u64,
            BodyEnd::Length(left) => *left,
            BodyEnd::Chunks(_) => return Ok(()),
        };
        let left = left.checked_sub(count as u64).ok_or(SendError::Body)?;
        if let BodyEnd::Length(counted) = self {
            *counted = left;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use http::HeaderValue;
    use hyper::body::{Frame, SizeHint};
    use tokio::io;

    use super::*;

    /// A body whose pieces are there, or missing once where there is `None`.
    struct Pieces(VecDeque<Option<Result<Frame<Bytes>, ()>>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = ();

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
            match self.0.pop_front() {
                Some(None) => Poll::Pending,
                piece => Poll::Ready(piece.flatten()),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::default()
        }
    }

    /// A connection that takes so many bytes, and then nothing once.
    struct Narrow {
        taken: Vec<u8>,
        width: usize,
        is_full: bool,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.is_full = !self.is_full;
            if self.is_full {
                return Poll::Pending;
            }
            let count = bytes.len().min(self.width);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
            self.poll_write(cx, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    type Piece = Option<Result<Frame<Bytes>, ()>>;

    fn data(text: &'static str) -> Piece {
        Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
    }

    /// What a connection of each width gets behind the head, until the first error.
    fn sent(pieces: impl Fn() -> Vec<Piece>, end: &BodyEnd) -> Result<String, ()> {
        let narrow = |width| {
            let mut wire = Narrow {
                taken: Vec::new(),
                width,
                is_full: false,
            };
            let upload = Upload::new(Pieces(pieces().into()));
            let mut outbox = Outbox::new();
            outbox.begin(
                |head| head.extend_from_slice(b"head\r\n"),
                Some((upload, end.clone())),
            );
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..1000 {
                if let Poll::Ready(sent) = outbox.poll_write(&mut cx, &mut wire) {
                    sent.map_err(drop)?;
                    assert!(outbox.is_done());
                    let taken = String::from_utf8(wire.taken).expect("text");
                    return Ok(taken.strip_prefix("head\r\n").expect("a head").to_owned());
                }
            }
            panic!("it never ends");
        };
        let wide = narrow(1_000);
        for width in 1..20 {
            assert_eq!(narrow(width), wide, "{width}");
        }
        wide
    }

    #[test]
    fn pieces_go_out_as_they_are_or_as_chunks() {
        let pieces = || vec![None, data("hello"), data(""), None, data(", you"), data("")];
        assert_eq!(
            sent(pieces, &BodyEnd::Length(10)).as_deref(),
            Ok("hello, you")
        );
        assert_eq!(
            sent(pieces, &BodyEnd::Chunks(Vec::new())).as_deref(),
            Ok("5\r\nhello\r\n5\r\n, you\r\n0\r\n\r\n")
        );
        assert_eq!(
            sent(
                || vec![data("0123456789abcdef")],
                &BodyEnd::Chunks(Vec::new())
            )
            .as_deref(),
            Ok("10\r\n0123456789abcdef\r\n0\r\n\r\n")
        );
        let empty = || vec![None, None];
        assert_eq!(sent(empty, &BodyEnd::Length(0)).as_deref(), Ok(""));
        assert_eq!(
            sent(empty, &BodyEnd::Chunks(Vec::new())).as_deref(),
            Ok("0\r\n\r\n")
        );
    }

    #[test]
    fn trailers_that_were_announced_go_out_behind_the_chunks() {
        let pieces = || {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("7"));
            trailers.insert("x-silent", HeaderValue::from_static("8"));
            vec![data("ok"), None, Some(Ok(Frame::trailers(trailers)))]
        };
        let announced = vec![HeaderName::from_static("x-sum")];
        assert_eq!(
            sent(pieces, &BodyEnd::Chunks(announced)).as_deref(),
            Ok("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n")
        );
        assert_eq!(sent(pieces, &BodyEnd::Length(2)).as_deref(), Ok("ok"));
    }

    #[test]
    fn a_body_that_is_not_as_long_as_was_said_or_fails_is_never_whole() {
        for pieces in [
            || vec![data("hell")],
            || vec![data("hell"), None],
            || vec![data("hell"), data("o!")],
            || vec![data("hell"), Some(Err(()))],
        ] {
            assert_eq!(sent(pieces, &BodyEnd::Length(5)), Err(()));
        }
        let fails = || vec![data("hello"), Some(Err(()))];
        assert_eq!(sent(fails, &BodyEnd::Chunks(Vec::new())), Err(()));
        assert_eq!(sent(|| vec![data("x")], &BodyEnd::Unsaid), Err(()));
    }

    #[test]
    fn a_request_is_unsent_until_a_byte_is_written_or_its_body_touched() {
        let mut wire = Narrow {
            taken: Vec::new(),
            width: 1,
            is_full: false,
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut outbox = Outbox::<Pieces>::new();
        outbox.begin(|head| head.extend_from_slice(b"head"), None);
        assert!(outbox.poll_write(&mut cx, &mut wire).is_pending());
        assert!(outbox.is_unsent());
        assert!(outbox.poll_write(&mut cx, &mut wire).is_pending());
        assert!(!outbox.is_unsent());
        let upload = Upload::new(Pieces(vec![data("x")].into()));
        let mut outbox = Outbox::new();
        let body = Some((upload, BodyEnd::Length(1)));
        outbox.begin(|head| head.extend_from_slice(b"head"), body);
        assert!(outbox.is_unsent());
        wire.is_full = false;
        assert!(outbox.poll_write(&mut cx, &mut wire).is_pending());
        assert!(!outbox.is_unsent(), "a piece of it is taken");
    }
}
