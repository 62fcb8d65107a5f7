//! The answer of an API behind on its way to the client.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode, Version};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wayleave_engine::Caller;

use crate::behind::ForwardSettings;
use crate::caching;
use crate::headers;
use crate::link::Link;
use crate::pool::Lease;
use crate::websocket::{self, Tunnel};

/// The body of an answer. It streams: nothing is read from the API behind that the client does not
/// take.
pub struct AnswerBody<B: Body<Data = Bytes> + Unpin + 'static> {
    way: Way<B>,
    idle_timeout: Duration,
    /// Until when the next piece has to come, while one is missing.
    until: Option<Instant>,
}

/// How its pieces come.
enum Way<B: Body<Data = Bytes> + Unpin + 'static> {
    /// All of it is here.
    Whole(Bytes),
    /// Over a connection that is driven here.
    Own(Lease<B>),
    /// The same, while the request is still being passed on; a task of its own does that, so that
    /// neither side has to wait for the other.
    Apart(Apart<B>),
    /// There are none: the connection has switched to another protocol.
    Switched(Box<Tunnel<B>>),
    /// There are no more.
    Done,
}

struct Apart<B: Body<Data = Bytes> + Unpin + 'static> {
    shared: Rc<RefCell<Shared<B>>>,
    sending: JoinHandle<()>,
}

/// A connection on which one side reads while the other still writes.
struct Shared<B: Body<Data = Bytes> + Unpin + 'static> {
    lease: Lease<B>,
    /// Why nothing more may be read.
    fault: Option<String>,
    reader: Waker,
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Drop for Apart<B> {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

/// Why an answer did not come to its end. The client sees it break off.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The connection broke, or what came on it was no body.
    #[error("the answer of the API behind broke off: {0}")]
    Broken(String),
    /// Nothing came for too long.
    #[error("the API behind fell silent within its answer")]
    Silent,
}

impl<B: Body<Data = Bytes> + Unpin + 'static> AnswerBody<B> {
    /// The body that comes over a connection. `is_sent`: whether all of the request was passed on.
    pub(crate) fn new(mut lease: Lease<B>, idle_timeout: Duration, is_sent: bool) -> Self {
        let way = match lease.link().filter(|_| is_sent).and_then(Link::take_rest) {
            Some(whole) => {
                lease.give_back();
                Way::Whole(whole)
            }
            None if is_sent => Way::Own(lease),
            None => Way::Apart(Apart::of(lease)),
        };
        AnswerBody {
            way,
            idle_timeout,
            until: None,
        }
    }

    /// The body of an answer that switches, which has none.
    pub(crate) fn switched(tunnel: Tunnel<B>) -> Self {
        AnswerBody {
            way: Way::Switched(Box::new(tunnel)),
            idle_timeout: Duration::ZERO,
            until: None,
        }
    }

    /// What the client switches to, once the head of the answer is with it; `None`: to nothing.
    pub fn take_tunnel(&mut self) -> Option<Tunnel<B>> {
        match std::mem::replace(&mut self.way, Way::Done) {
            Way::Switched(tunnel) => Some(*tunnel),
            way => {
                self.way = way;
                None
            }
        }
    }

    /// The next piece, as far as the connection has it.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let polled = match &mut self.way {
            Way::Whole(whole) => {
                let whole = std::mem::take(whole);
                return Poll::Ready((!whole.is_empty()).then(|| Ok(Frame::data(whole))));
            }
            Way::Own(lease) => {
                let polled = lease.link().map(|link| {
                    // What is left of the request is written, and none of it is the client's to give.
                    let _ = link.poll_send(cx);
                    link.poll_piece(cx)
                });
                polled.unwrap_or(Poll::Ready(None))
            }
            Way::Apart(apart) => apart.poll_piece(cx),
            Way::Switched(_) | Way::Done => return Poll::Ready(None),
        };
        if polled.is_pending() && self.is_silent(cx) {
            return Poll::Ready(Some(Err(AnswerError::Silent)));
        }
        polled.map_err(AnswerError::Broken)
    }

    /// Whether the next piece takes too long.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let (idle_timeout, until) = (self.idle_timeout, &mut self.until);
        self.way.with_lease(|lease| {
            let until = *until.get_or_insert_with(|| lease.home().clock().after(idle_timeout));
            let patience = lease.link().map(Link::patience);
            patience.is_some_and(|patience| patience.is_over(cx, until))
        })
    }

    fn finish(&mut self) {
        if let Way::Own(lease) = std::mem::replace(&mut self.way, Way::Done) {
            lease.give_back();
        }
    }

    fn fail(&mut self, error: &AnswerError) {
        self.way.with_lease(|lease| {
            tracing::warn!(upstream = %lease.home().server().upstream(), "{error}");
            true
        });
        self.way = Way::Done;
    }
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Way<B> {
    /// Does something with the connection, where there is one; else false.
    fn with_lease(&mut self, with: impl FnOnce(&mut Lease<B>) -> bool) -> bool {
        match self {
            Way::Own(lease) => with(lease),
            Way::Apart(apart) => with(&mut apart.shared.borrow_mut().lease),
            Way::Whole(_) | Way::Switched(_) | Way::Done => false,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Apart<B> {
    fn of(lease: Lease<B>) -> Self {
        let shared = Rc::new(RefCell::new(Shared {
            lease,
            fault: None,
            reader: Waker::noop().clone(),
        }));
        let sent = shared.clone();
        let sending = async move {
            std::future::poll_fn(|cx| sent.borrow_mut().poll_send(cx)).await;
        };
        Apart {
            shared,
            sending: tokio::task::spawn_local(sending),
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let mut shared = self.shared.borrow_mut();
        if let Some(fault) = shared.fault.take() {
            return Poll::Ready(Some(Err(fault)));
        }
        shared.reader.clone_from(cx.waker());
        let link = shared.lease.link();
        link.map_or(Poll::Ready(None), |link| link.poll_piece(cx))
    }
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Shared<B> {
    /// Ready when there is nothing more to send. A body that failed is cut off with its connection.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(link) = self.lease.link() else {
            return Poll::Ready(());
        };
        link.poll_send(cx).map(|sent| {
            if let Err(fault) = sent {
                self.fault = Some(fault);
                drop(self.lease.take());
                self.reader.wake_by_ref();
            }
        })
    }
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        // A body whose length is known is dropped before its end was asked for.
        if self.is_end_stream() {
            self.finish();
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let body = self.get_mut();
        let polled = body.poll_piece(cx);
        match &polled {
            Poll::Ready(Some(Ok(_))) => body.until = None,
            Poll::Ready(Some(Err(error))) => body.fail(error),
            Poll::Ready(None) => body.finish(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let is_over = |lease: &Lease<B>| lease.peek().is_none_or(Link::is_answered);
        match &self.way {
            Way::Whole(whole) => whole.is_empty(),
            Way::Own(lease) => is_over(lease),
            Way::Apart(apart) => {
                let shared = apart.shared.borrow();
                shared.fault.is_none() && is_over(&shared.lease)
            }
            Way::Switched(_) | Way::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let left = |lease: &Lease<B>| lease.peek().map(Link::size_hint).unwrap_or_default();
        match &self.way {
            Way::Whole(whole) => SizeHint::with_exact(whole.len() as u64),
            Way::Own(lease) => left(lease),
            Way::Apart(apart) => left(&apart.shared.borrow().lease),
            Way::Switched(_) | Way::Done => SizeHint::with_exact(0),
        }
    }
}

/// Makes the head of an answer ready for the client; `method`: that of the request; `caller`: who made
/// it; `may_switch`: whether it asked for WebSocket. Errors: it switches to what
/// nobody asked for.
pub(crate) fn take_over(
    answer: &mut Response<()>,
    method: &Method,
    caller: &Caller,
    settings: &ForwardSettings,
    may_switch: bool,
) -> Result<(), &'static str> {
    let switches = answer.status().is_informational();
    if switches && !(may_switch && websocket::is_named(answer.headers())) {
        return Err("it switches to another protocol, which nobody asked for");
    }
    if answer.status() == StatusCode::NO_CONTENT {
        answer.headers_mut().remove(CONTENT_LENGTH);
    }
    *answer.version_mut() = Version::HTTP_11;
    if switches {
        headers::remove_hop_by_hop(answer.headers_mut());
    }
    settings.answer_headers.apply(answer.headers_mut());
    caching::keep_apart(answer.headers_mut(), method, caller);
    if switches {
        websocket::name(answer.headers_mut());
    }
    Ok(())
}
