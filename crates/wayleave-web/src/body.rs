//! The body of a request on its way to the API behind: bounded in size, not slower than a floor, and
//! the one that was signed.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;
use wayleave_engine::BodyClaim;

use crate::Fault;
use crate::held_back::HeldBack;

/// The most that is held of a body whose signature covers every byte.
const WHOLE_LIMIT_BYTES: usize = 1024 * 1024;

/// How large and how slow the body of a request may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyLimits {
    /// The most that is passed on, in bytes as they were sent, so still encoded where there is a
    /// `Content-Encoding`; `None`: any.
    pub bytes: Option<u64>,
    /// The least that has to arrive in each window in which we waited for the client; 0: nothing.
    pub bytes_per_s: u32,
    /// How long a window is.
    pub window: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        BodyLimits {
            bytes: Some(100 * 1024 * 1024),
            bytes_per_s: 256,
            window: Duration::from_secs(10),
        }
    }
}

impl BodyLimits {
    /// The most of a body that is read before it is known who sent it, where the signature covers
    /// every byte: in bytes.
    pub(crate) fn whole_bytes(&self) -> usize {
        let limit = self.bytes.and_then(|bytes| usize::try_from(bytes).ok());
        limit.map_or(WHOLE_LIMIT_BYTES, |limit| limit.min(WHOLE_LIMIT_BYTES))
    }

    /// The bytes that a window asks for: at least one.
    fn bytes_per_window(&self) -> u64 {
        let bytes = u128::from(self.bytes_per_s) * self.window.as_millis() / 1_000;
        u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
    }
}

/// Why a body did not come through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyError {
    /// The client broke it off, or what it sent is no body.
    Broke,
    /// It came slower than the floor.
    TooSlow,
    /// It is larger than this many bytes.
    TooLarge {
        /// The most that is passed on.
        limit_bytes: u64,
    },
    /// It is not the one that was signed.
    Other,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Fault::from(*self).message())
    }
}

impl Error for BodyError {}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Broke => Fault::BadRequest("the body broke off".to_owned()),
            BodyError::TooSlow => Fault::TooSlow,
            BodyError::Other => Fault::OtherBody,
            BodyError::TooLarge { limit_bytes } => Fault::TooLarge {
                limit_bytes: usize::try_from(limit_bytes).unwrap_or(usize::MAX),
            },
        }
    }
}

/// The body of a request on its way to the API behind. There is none without a [`BodyClaim`], and no
/// claim without a proven caller: what the proof says of the body is checked here.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    held_back: Option<Box<HeldBack>>,
}

#[derive(Debug)]
enum Source {
    /// As it comes in.
    Incoming {
        body: Incoming,
        left: Option<u64>,
        limits: BodyLimits,
        pace: Pace,
    },
    /// Read already, or none.
    Read(Full<Bytes>),
}

impl RequestBody {
    /// A body as it comes in. Errors: it says itself that it is too large, or it is empty and should
    /// not be.
    pub fn incoming(
        body: Incoming,
        limits: BodyLimits,
        claim: BodyClaim,
    ) -> Result<Self, BodyError> {
        if body.is_end_stream() {
            return RequestBody::read(Bytes::new(), claim);
        }
        if let Some(limit_bytes) = limits.bytes
            && body.size_hint().lower() > limit_bytes
        {
            return Err(BodyError::TooLarge { limit_bytes });
        }
        Ok(RequestBody {
            source: Source::Incoming {
                body,
                left: limits.bytes,
                limits,
                pace: Pace::default(),
            },
            held_back: claim.into_check().map(HeldBack::new).map(Box::new),
        })
    }

    /// A body that was read already. Errors: it is not the one that was signed.
    pub fn read(body: Bytes, claim: BodyClaim) -> Result<Self, BodyError> {
        if let Some(mut digests) = claim.into_check() {
            digests.update(&body);
            if !digests.fits() {
                return Err(BodyError::Other);
            }
        }
        Ok(RequestBody {
            source: Source::Read(Full::new(body)),
            held_back: None,
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let RequestBody { source, held_back } = self.get_mut();
        match held_back {
            Some(held_back) => held_back.poll_frame(cx, |cx| source.poll_frame(cx)),
            None => source.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        if let Some(held_back) = &self.held_back {
            return held_back.is_done();
        }
        match &self.source {
            Source::Incoming { body, .. } => body.is_end_stream(),
            Source::Read(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.source {
            Source::Incoming { body, .. } => body.size_hint(),
            Source::Read(body) => body.size_hint(),
        };
        match &self.held_back {
            Some(held_back) => add(&rest, held_back.held_bytes()),
            None => rest,
        }
    }
}

fn add(rest: &SizeHint, bytes: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(rest.lower().saturating_add(bytes));
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(bytes));
    }
    hint
}

impl Source {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (body, left, limits, pace) = match self {
            Source::Read(body) => {
                return Pin::new(body)
                    .poll_frame(cx)
                    .map_err(|never| match never {});
            }
            Source::Incoming {
                body,
                left,
                limits,
                pace,
            } => (body, left, limits, pace),
        };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            return pace.wait(limits, cx).map(|slow| Some(Err(slow)));
        };
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(|_| BodyError::Broke)?;
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        pace.arrived(length);
        if let Some(left) = left {
            let limit_bytes = limits.bytes.unwrap_or(u64::MAX);
            let rest = left.checked_sub(length);
            *left = rest.ok_or(BodyError::TooLarge { limit_bytes })?;
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

/// Whether enough arrives while we wait. The time in which the API behind takes nothing is not the
/// client's, so a window that ended meanwhile begins anew.
#[derive(Debug, Default)]
struct Pace {
    window: Option<Pin<Box<Sleep>>>,
    bytes: u64,
    is_waiting: bool,
}

impl Pace {
    fn arrived(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.is_waiting = false;
    }

    /// Nothing is there: ready when too little came in this window.
    fn wait(&mut self, limits: &BodyLimits, cx: &mut Context<'_>) -> Poll<BodyError> {
        if limits.bytes_per_s == 0 {
            return Poll::Pending;
        }
        let begun = || Box::pin(tokio::time::sleep(limits.window));
        let window = self.window.get_or_insert_with(begun);
        while window.as_mut().poll(cx).is_ready() {
            if self.is_waiting && self.bytes < limits.bytes_per_window() {
                return Poll::Ready(BodyError::TooSlow);
            }
            *window = begun();
            self.bytes = 0;
        }
        self.is_waiting = true;
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(bytes_per_s: u32) -> BodyLimits {
        BodyLimits {
            bytes_per_s,
            window: Duration::from_millis(20),
            ..BodyLimits::default()
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.expect("a runtime").block_on(future)
    }

    #[test]
    fn a_window_with_too_little_ends_the_wait_and_one_with_enough_does_not() {
        run(async {
            let limits = limits(1_000);
            let mut pace = Pace::default();
            let slow = std::future::poll_fn(|cx| pace.wait(&limits, cx)).await;
            assert_eq!(slow, BodyError::TooSlow);
            let mut pace = Pace::default();
            let mut windows = 0;
            let slow = std::future::poll_fn(|cx| {
                windows += 1;
                // Enough comes in the first window, nothing in the second.
                if windows == 2 {
                    pace.arrived(20);
                    pace.is_waiting = true;
                }
                pace.wait(&limits, cx)
            });
            assert_eq!(slow.await, BodyError::TooSlow);
            assert_eq!(windows, 3);
        });
    }

    #[test]
    fn time_in_which_the_api_behind_takes_nothing_does_not_count() {
        run(async {
            let limits = limits(1_000);
            let mut pace = Pace::default();
            let mut polls = 0;
            let begun = std::future::poll_fn(|cx| {
                let _ = pace.wait(&limits, cx);
                Poll::Ready(())
            });
            begun.await;
            pace.arrived(1);
            tokio::time::sleep(limits.window * 2).await;
            let slow = std::future::poll_fn(|cx| {
                polls += 1;
                pace.wait(&limits, cx)
            });
            assert_eq!(slow.await, BodyError::TooSlow);
            assert_eq!(polls, 2, "the first wait begins a window of its own");
        });
    }

    #[test]
    fn a_floor_of_nothing_waits_for_ever_and_a_window_asks_for_a_byte_at_least() {
        assert_eq!(limits(1).bytes_per_window(), 1);
        assert_eq!(BodyLimits::default().bytes_per_window(), 2_560);
        run(async {
            let mut pace = Pace::default();
            let limits = limits(0);
            let wait = std::future::poll_fn(|cx| pace.wait(&limits, cx));
            assert!(
                tokio::time::timeout(limits.window * 3, wait).await.is_err(),
                "no floor"
            );
        });
    }
}
