//! The body of a request on its way to the API behind.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};

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

    /// How long it is, where that is known before.
    pub(crate) fn length(&self) -> Option<u64> {
        self.body.borrow().size_hint().exact()
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

    /// The next piece.
    pub(crate) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
        self.is_touched.set(true);
        let mut body = self.body.borrow_mut();
        let polled = Pin::new(&mut *body).poll_frame(cx);
        self.waits_for_client.set(polled.is_pending());
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.is_done.set(true);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                *self.failure.borrow_mut() = Some(error);
                Poll::Ready(Some(Err(BodyFailed)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.has_moved.set(true);
                self.is_done
                    .set(body.is_end_stream() || frame.is_trailers());
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}
