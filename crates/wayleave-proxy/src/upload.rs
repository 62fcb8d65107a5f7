//! The body of a request on its way to the API behind.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::headers;

/// The body of a request: empty, or one that its [`Upload`] watches.
pub(crate) struct Outgoing<B: Body>(pub(crate) Option<Rc<Upload<B>>>);

/// A body that is passed on, and how far that came. It stays reachable for who sends it, so that a
/// body that nobody touched can be sent on another connection.
pub(crate) struct Upload<B: Body> {
    body: RefCell<B>,
    is_touched: Cell<bool>,
    has_moved: Cell<bool>,
    waits_for_client: Cell<bool>,
    is_done: Cell<bool>,
    failure: RefCell<Option<B::Error>>,
}

/// What the connection is told when a body fails; the cause stays with the [`Upload`].
#[derive(Debug)]
pub(crate) struct BodyFailed;

impl fmt::Display for BodyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the request failed")
    }
}

impl std::error::Error for BodyFailed {}

impl<B: Body<Data = Bytes> + Unpin> Upload<B> {
    /// Watches a body.
    pub(crate) fn new(body: B) -> Rc<Self> {
        Rc::new(Upload {
            body: RefCell::new(body),
            is_touched: Cell::new(false),
            has_moved: Cell::new(false),
            waits_for_client: Cell::new(false),
            is_done: Cell::new(false),
            failure: RefCell::new(None),
        })
    }

    /// Whether nothing of it was asked for yet, so that all of it can be sent again.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.is_touched.get()
    }

    /// Whether all of it was passed on.
    pub(crate) fn is_done(&self) -> bool {
        self.is_done.get()
    }

    /// Whether a piece was passed on since the last question.
    pub(crate) fn has_moved(&self) -> bool {
        self.has_moved.replace(false)
    }

    /// Whether it is the client whose next piece is missing.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waits_for_client.get()
    }

    /// Why it failed, where it did.
    pub(crate) fn take_failure(&self) -> Option<B::Error> {
        self.failure.borrow_mut().take()
    }

    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
        self.is_touched.set(true);
        let mut body = self.body.borrow_mut();
        let polled = Pin::new(&mut *body).poll_frame(cx);
        self.waits_for_client.set(polled.is_pending());
        let frame = match polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {
                self.is_done.set(true);
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => {
                *self.failure.borrow_mut() = Some(error);
                return Poll::Ready(Some(Err(BodyFailed)));
            }
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        self.has_moved.set(true);
        self.is_done
            .set(body.is_end_stream() || frame.is_trailers());
        let frame = match frame.into_trailers() {
            Ok(trailers) => Frame::trailers(headers::trailers_of_request(trailers)),
            Err(frame) => frame,
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = BodyFailed;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
        match &self.0 {
            None => Poll::Ready(None),
            Some(upload) => upload.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|upload| upload.body.borrow().is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            Some(upload) => upload.body.borrow().size_hint(),
        }
    }
}
