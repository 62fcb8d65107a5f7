//! The answer of an API behind on its way to the client.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode, Version};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wayleave_engine::Caller;

use crate::behind::{ForwardSettings, Server};
use crate::caching;
use crate::headers;
use crate::link::{Link, Patience, describe};
use crate::pool::{Clock, Home, Lease};
use crate::websocket::{self, Tunnel};

/// The body of an answer. It streams: nothing is read from the API behind that the client does not
/// take.
pub struct AnswerBody<B: Body<Data = Bytes> + Unpin + 'static> {
    incoming: Incoming,
    way: Way<B>,
    clock: Rc<Clock>,
    server: Arc<Server>,
    idle_timeout: Duration,
    /// Until when the next piece has to come, while one is missing.
    until: Option<Instant>,
}

/// How its pieces come.
enum Way<B: Body<Data = Bytes> + Unpin + 'static> {
    /// Over a connection that is driven here.
    Own(Lease<B>),
    /// The request is still being passed on; a task of its own does that, so that neither side has
    /// to wait for the other.
    Apart(Apart),
    /// There are none: the connection has switched to another protocol.
    Switched(Box<Tunnel<B>>),
    /// There are no more.
    Done,
}

struct Apart {
    task: JoinHandle<()>,
    patience: Patience,
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.task.abort();
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
    pub(crate) fn new(
        incoming: Incoming,
        lease: Lease<B>,
        idle_timeout: Duration,
        is_sent: bool,
    ) -> Self {
        let home = lease.home();
        let (clock, server) = (home.clock().clone(), home.server().clone());
        let way = if is_sent {
            Way::Own(lease)
        } else {
            Way::Apart(Apart::of(lease))
        };
        AnswerBody {
            incoming,
            way,
            clock,
            server,
            idle_timeout,
            until: None,
        }
    }

    /// The body of an answer that switches, which has none.
    pub(crate) fn switched(incoming: Incoming, home: &Home<B>, tunnel: Tunnel<B>) -> Self {
        AnswerBody {
            incoming,
            way: Way::Switched(Box::new(tunnel)),
            clock: home.clock().clone(),
            server: home.server().clone(),
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

    /// The next piece, after the connection did what it can.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let lease = match &mut self.way {
            Way::Own(lease) => lease,
            Way::Apart(_) => return Pin::new(&mut self.incoming).poll_frame(cx),
            Way::Switched(_) | Way::Done => return Poll::Ready(None),
        };
        // Only driving the connection below brings a piece, so that no waker is needed.
        let mut unwoken = Context::from_waker(Waker::noop());
        if let Poll::Ready(piece) = Pin::new(&mut self.incoming).poll_frame(&mut unwoken) {
            return Poll::Ready(piece);
        }
        if let Some(link) = lease.link() {
            link.drive(cx);
        }
        Pin::new(&mut self.incoming).poll_frame(&mut unwoken)
    }

    /// Whether the next piece takes too long.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let until = *self
            .until
            .get_or_insert_with(|| self.clock.after(self.idle_timeout));
        let patience = match &mut self.way {
            Way::Own(lease) => lease.link().map(Link::patience),
            Way::Apart(apart) => Some(&mut apart.patience),
            Way::Switched(_) | Way::Done => None,
        };
        patience.is_some_and(|patience| patience.is_over(cx, until))
    }

    fn finish(&mut self) {
        if let Way::Own(lease) = std::mem::replace(&mut self.way, Way::Done) {
            lease.give_back();
        }
    }

    fn fail(&mut self, error: AnswerError) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        self.way = Way::Done;
        tracing::warn!(upstream = %self.server.upstream(), "{error}");
        Poll::Ready(Some(Err(error)))
    }
}

impl Apart {
    fn of<B: Body<Data = Bytes> + Unpin + 'static>(mut lease: Lease<B>) -> Self {
        let patience = Patience::new(lease.home().clock().now());
        let driving = async move {
            std::future::poll_fn(|cx| match lease.link().map(|link| link.drive(cx)) {
                Some(false) => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
        };
        Apart {
            task: tokio::task::spawn_local(driving),
            patience,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        // A body whose length is known is dropped before its end was asked for.
        if self.incoming.is_end_stream() {
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
        match body.poll_piece(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                body.until = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => body.fail(AnswerError::Broken(describe(&error))),
            Poll::Ready(None) => {
                body.finish();
                Poll::Ready(None)
            }
            Poll::Pending if body.is_silent(cx) => body.fail(AnswerError::Silent),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Makes the head of an answer ready for the client; `method`: that of the request; `caller`: who made
/// it; `may_switch`: whether it asked for WebSocket. Errors: what is wrong with it, where two programs could read it in
/// two ways.
pub(crate) fn take_over<T>(
    answer: &mut Response<T>,
    method: &Method,
    caller: &Caller,
    settings: &ForwardSettings,
    may_switch: bool,
) -> Result<(), &'static str> {
    let switches = answer.status().is_informational();
    if switches && !(may_switch && websocket::is_named(answer.headers())) {
        return Err("it switches to another protocol, which nobody asked for");
    }
    if let Some(fault) = headers::length_fault(answer.headers()) {
        return Err(fault);
    }
    if answer.status() == StatusCode::NO_CONTENT {
        answer.headers_mut().remove(CONTENT_LENGTH);
    }
    *answer.version_mut() = Version::HTTP_11;
    headers::remove_hop_by_hop(answer.headers_mut());
    settings.answer_headers.apply(answer.headers_mut());
    caching::keep_apart(answer.headers_mut(), method, caller);
    if switches {
        websocket::name(answer.headers_mut());
    }
    Ok(())
}
