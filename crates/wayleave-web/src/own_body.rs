//! The body of an answer of our own: whole, or in pieces that are made when the client takes them.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

/// The body of an answer of our own.
pub enum OwnBody {
    /// There already.
    Whole(Full<Bytes>),
    /// One piece after the other, each made when the one before is gone.
    Pieces(Pieces),
}

/// A piece that is being made.
pub(crate) type NextPiece = Pin<Box<dyn Future<Output = Result<Piece, BrokenOff>> + Send>>;

/// A piece of a body.
pub(crate) struct Piece {
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// What comes after it; `None`: it is the last.
    pub(crate) then: Option<NextPiece>,
}

/// A body in pieces.
pub struct Pieces(Option<NextPiece>);

/// A piece could not be made: the client sees that the answer is not whole. The cause is in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rest of the answer could not be read")
    }
}

impl Error for BrokenOff {}

impl OwnBody {
    /// In pieces, of which the first is there.
    pub(crate) fn pieces(first: Piece) -> Self {
        OwnBody::Pieces(Pieces(Some(Box::pin(async { Ok(first) }))))
    }
}

impl Default for OwnBody {
    fn default() -> Self {
        OwnBody::Whole(Full::default())
    }
}

impl From<Full<Bytes>> for OwnBody {
    fn from(whole: Full<Bytes>) -> Self {
        OwnBody::Whole(whole)
    }
}

impl fmt::Debug for OwnBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OwnBody::Whole(whole) => whole.fmt(f),
            OwnBody::Pieces(_) => f.write_str("Pieces"),
        }
    }
}

impl Body for OwnBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            OwnBody::Whole(whole) => Pin::new(whole)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            OwnBody::Pieces(pieces) => pieces.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            OwnBody::Whole(whole) => whole.is_end_stream(),
            OwnBody::Pieces(pieces) => pieces.0.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            OwnBody::Whole(whole) => whole.size_hint(),
            OwnBody::Pieces(_) => SizeHint::default(),
        }
    }
}

impl Pieces {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Some(next) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let made = ready!(next.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(Some(made.map(|piece| {
            self.0 = piece.then;
            Frame::data(piece.bytes)
        })))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn counting(number: u8) -> NextPiece {
        Box::pin(async move {
            match number {
                4 => Err(BrokenOff),
                _ => Ok(Piece {
                    bytes: Bytes::from(vec![b'0' + number]),
                    then: (number != 2).then(|| counting(number + 1)),
                }),
            }
        })
    }

    fn collect(first: u8) -> Result<Bytes, BrokenOff> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let body = OwnBody::Pieces(Pieces(Some(counting(first))));
        let collected = runtime.expect("a runtime").block_on(body.collect());
        collected.map(|body| body.to_bytes())
    }

    #[test]
    fn pieces_come_one_after_the_other_and_a_broken_one_ends_the_body() {
        assert_eq!(collect(0), Ok(Bytes::from("012")));
        assert_eq!(collect(3), Err(BrokenOff));
    }
}
