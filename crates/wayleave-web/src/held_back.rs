//! A body whose last piece is held back until its digest is right.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::Frame;
use wayleave_engine::BodyCheck;

use crate::body::BodyError;

/// Hashes a body as it passes by, and gives its last piece away only when it has the digests that
/// were signed: nobody behind ever has a whole body that is another.
#[derive(Debug)]
pub(crate) struct HeldBack {
    /// `None`: the body has ended and is right.
    digests: Option<BodyCheck>,
    /// The piece that is held back; not empty.
    held: Option<Bytes>,
    /// Trailers, which come after everything else.
    trailers: Option<Frame<Bytes>>,
}

impl HeldBack {
    pub(crate) fn new(digests: BodyCheck) -> Self {
        HeldBack {
            digests: Some(digests),
            held: None,
            trailers: None,
        }
    }

    /// The next piece that may be passed on: one that another follows, or the last one of a body
    /// that is right. `next`: the body as it comes.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while let Some(digests) = &mut self.digests {
            let frame = ready!(next(cx)).transpose()?;
            match frame.map(Frame::into_data) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    digests.update(&piece);
                    if let Some(before) = self.held.replace(piece) {
                        return Poll::Ready(Some(Ok(Frame::data(before))));
                    }
                }
                Some(Err(trailers)) => self.trailers = Some(trailers),
                None if self.digests.take().is_some_and(BodyCheck::fits) => {}
                None => {
                    self.held = None;
                    self.trailers = None;
                    return Poll::Ready(Some(Err(BodyError::Other)));
                }
            }
        }
        let last = self.held.take().map(Frame::data);
        Poll::Ready(last.or_else(|| self.trailers.take()).map(Ok))
    }

    /// Whether everything was given away.
    pub(crate) fn is_done(&self) -> bool {
        self.digests.is_none() && self.held.is_none() && self.trailers.is_none()
    }

    /// How many bytes are held back.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use wayleave_protocol::body_digest::BodyDigest;

    use super::*;

    /// What comes through of a body in pieces.
    fn pass(signed: &[u8], pieces: &[&[u8]]) -> (Vec<u8>, Option<BodyError>) {
        let mut held = HeldBack::new(BodyCheck::new(vec![BodyDigest::sha256(signed)]));
        let mut frames: Vec<Frame<Bytes>> = pieces
            .iter()
            .map(|piece| Frame::data(Bytes::copy_from_slice(piece)))
            .collect();
        frames.push(Frame::trailers(HeaderMap::new()));
        let mut frames = frames.into_iter();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut passed = Vec::new();
        loop {
            let next = held.poll_frame(&mut cx, |_| Poll::Ready(frames.next().map(Ok)));
            match next {
                Poll::Ready(Some(Ok(frame))) => {
                    passed.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                Poll::Ready(Some(Err(error))) => return (passed, Some(error)),
                Poll::Ready(None) => {
                    assert!(held.is_done());
                    return (passed, None);
                }
                Poll::Pending => panic!("nothing waits here"),
            }
        }
    }

    #[test]
    fn a_body_in_any_pieces_comes_through_whole_when_it_is_right() {
        for pieces in [
            &[b"abc".as_slice()][..],
            &[b"a", b"", b"b", b"c"],
            &[b"", b"abc", b""],
        ] {
            assert_eq!(pass(b"abc", pieces), (b"abc".to_vec(), None));
        }
        assert_eq!(pass(b"", &[b""]), (Vec::new(), None));
    }

    #[test]
    fn each_flipped_bit_keeps_the_last_piece_back() {
        let signed = b"a body of some bytes";
        for place in 0..signed.len() * 8 {
            let mut other = *signed;
            other[place / 8] ^= 1 << (place % 8);
            let (passed, error) = pass(signed, &[&other[..7], &other[7..]]);
            assert_eq!(error, Some(BodyError::Other));
            assert_eq!(passed, &other[..7], "the last piece stays here");
        }
        let (passed, error) = pass(signed, &[&signed[..7]]);
        assert_eq!((passed, error), (Vec::new(), Some(BodyError::Other)));
    }
}
