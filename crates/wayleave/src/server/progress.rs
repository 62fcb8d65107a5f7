//! How far a connection is, as those who read, answer and write it note down, and whether that is
//! too slow.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use wayleave_protocol::http_framing::Standing;

use super::limits::ServerLimits;
use crate::metrics::TurnedAway;

/// The progress of one connection. One thread writes, so that no locked instruction is needed.
#[derive(Default, Debug)]
pub(super) struct Progress {
    /// Requests since the beginning.
    requests: AtomicU64,
    /// Those that are not answered to their end.
    in_flight: AtomicUsize,
    /// The last answer is done, and its last bytes may still have to be written.
    is_finishing: AtomicBool,
    /// Between requests, or within what of the next one.
    standing: AtomicU8,
    /// Bytes written.
    written: AtomicU64,
    /// The client takes nothing at the moment.
    is_stalled: AtomicBool,
    /// Answers whose last piece was given away and that were not asked for more yet.
    unasked: AtomicUsize,
    /// How often answers were asked for more.
    asked: AtomicU64,
    /// It is no longer HTTP.
    is_tunnel: AtomicBool,
    /// How often it was looked at.
    looks: AtomicU64,
    /// Why the parser will refuse what comes next; 0: it decides by itself.
    refusal: AtomicU8,
}

fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

fn step(counter: &AtomicUsize, up: bool) {
    let count = counter.load(Relaxed);
    let next = if up {
        count + 1
    } else {
        count.saturating_sub(1)
    };
    counter.store(next, Relaxed);
}

impl Progress {
    /// A request has come; what is written from now on is its answer.
    pub(super) fn begin(self: &Arc<Self>) -> Begun {
        add(&self.requests, 1);
        step(&self.in_flight, true);
        self.is_finishing.store(false, Relaxed);
        Begun(self.clone())
    }

    /// Whether no answer is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.load(Relaxed) == 0 && !self.is_finishing.load(Relaxed)
    }

    /// How many requests are being answered.
    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    pub(super) fn flushed(&self, is_done: bool) {
        self.is_stalled.store(!is_done, Relaxed);
        if is_done {
            self.is_finishing.store(false, Relaxed);
        }
    }

    pub(super) fn wrote(&self, bytes: Option<usize>) {
        self.is_stalled.store(bytes.is_none(), Relaxed);
        add(&self.written, bytes.unwrap_or_default() as u64);
    }

    pub(super) fn stands(&self, standing: Standing) {
        self.standing.store(standing as u8, Relaxed);
    }

    /// From now on the bytes are somebody else's.
    pub(super) fn becomes_tunnel(&self) {
        self.is_tunnel.store(true, Relaxed);
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.is_tunnel.load(Relaxed)
    }

    /// The parser will refuse what comes next, for this reason.
    pub(super) fn refuses(&self, why: TurnedAway) {
        self.refusal.store(why as u8 + 1, Relaxed);
    }

    pub(super) fn refusal(&self) -> Option<TurnedAway> {
        let number = self.refusal.load(Relaxed).checked_sub(1)?;
        TurnedAway::ALL.get(usize::from(number)).copied()
    }

    /// How often it was looked at.
    pub(super) fn looks(&self) -> u64 {
        self.looks.load(Relaxed)
    }

    /// Ends when the connection is too slow, or was idle for too long (`None`).
    pub(super) async fn lags(&self, limits: &ServerLimits) -> Option<TurnedAway> {
        let interval = limits.look_interval();
        let mut looks = Looks::default();
        loop {
            tokio::time::sleep(interval).await;
            add(&self.looks, 1);
            if let Some(lag) = looks.look(self, limits) {
                return lag;
            }
        }
    }
}

/// How many looks in a row found the same.
#[derive(Default)]
struct Looks {
    requests: u64,
    written: u64,
    asked: u64,
    in_head: u32,
    idle: u32,
    stalled: u32,
}

impl Looks {
    /// Looks at a connection; `Some`: it is to be cut, for a reason or for being idle.
    fn look(&mut self, now: &Progress, limits: &ServerLimits) -> Option<Option<TurnedAway>> {
        let requests = now.requests.load(Relaxed);
        let written = now.written.load(Relaxed);
        let asked = now.asked.load(Relaxed);
        let is_waiting = now.is_idle() && requests == self.requests;
        // The first request is waited for as for a head that has begun.
        let in_head = requests == 0 || now.standing.load(Relaxed) == Standing::Head as u8;
        let unasked = now.unasked.load(Relaxed);
        let all_unasked =
            unasked > 0 && unasked == now.in_flight.load(Relaxed) && asked == self.asked;
        let is_stalled = (now.is_stalled.load(Relaxed) || all_unasked)
            && written.wrapping_sub(self.written) < limits.answer_bytes_per_look()
            && limits.answer_bytes_per_s > 0;
        count(&mut self.in_head, is_waiting && in_head);
        count(&mut self.idle, is_waiting);
        count(&mut self.stalled, is_stalled);
        (self.requests, self.written, self.asked) = (requests, written, asked);
        let lasted = |looks: u32, time: Duration| limits.look_interval() * looks > time;
        if lasted(self.in_head, limits.head_timeout) {
            Some(Some(TurnedAway::SlowHead))
        } else if lasted(self.stalled, limits.stall_timeout) {
            Some(Some(TurnedAway::SlowReader))
        } else if lasted(self.idle, limits.idle_timeout) {
            Some(None)
        } else {
            None
        }
    }
}

fn count(looks: &mut u32, is_so: bool) {
    *looks = if is_so { *looks + 1 } else { 0 };
}

/// A request that is being answered, until it is dropped.
pub(super) struct Begun(Arc<Progress>);

impl Drop for Begun {
    fn drop(&mut self) {
        step(&self.0.in_flight, false);
        if self.0.in_flight.load(Relaxed) == 0 {
            self.0.is_finishing.store(true, Relaxed);
        }
    }
}

/// The body of an answer, watched to its end. It keeps what is to be kept as long.
pub(super) struct Watched<B, K> {
    body: B,
    begun: Begun,
    is_unasked: bool,
    _kept: K,
}

impl<B, K> Watched<B, K> {
    pub(super) fn new(body: B, begun: Begun, kept: K) -> Self {
        Watched {
            body,
            begun,
            is_unasked: false,
            _kept: kept,
        }
    }

    fn is_asked(&mut self, is_unasked: bool) {
        if self.is_unasked != is_unasked {
            step(&self.begun.0.unasked, is_unasked);
            self.is_unasked = is_unasked;
        }
    }
}

impl<B, K> Drop for Watched<B, K> {
    fn drop(&mut self) {
        self.is_asked(false);
    }
}

impl<B: Body + Unpin, K: Unpin> Body for Watched<B, K> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        add(&self.begun.0.asked, 1);
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let gave = matches!(polled, Poll::Ready(Some(Ok(_))));
        self.is_asked(gave);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every 5 s.
    fn limits() -> ServerLimits {
        ServerLimits::default()
    }

    /// How many looks it takes until a connection is cut that stays as it is.
    fn looks(progress: &Progress) -> (u32, Option<TurnedAway>) {
        let mut looks = Looks::default();
        looks.look(progress, &limits());
        for count in 2..1_000 {
            if let Some(lag) = looks.look(progress, &limits()) {
                return (count, lag);
            }
        }
        panic!("it is never cut");
    }

    #[test]
    fn a_first_request_and_a_head_are_waited_for_ten_seconds_and_a_next_one_a_minute() {
        let progress = Arc::new(Progress::default());
        assert_eq!(looks(&progress), (3, Some(TurnedAway::SlowHead)));
        drop(progress.begin());
        progress.flushed(true);
        // The first look finds that a request came.
        assert_eq!(looks(&progress), (14, None));
        progress.stands(Standing::Head);
        assert_eq!(looks(&progress), (4, Some(TurnedAway::SlowHead)));
    }

    #[test]
    fn a_client_that_takes_nothing_of_its_answer_is_cut_and_one_that_takes_enough_is_not() {
        let progress = Arc::new(Progress::default());
        let _begun = progress.begin();
        progress.wrote(None);
        assert_eq!(looks(&progress), (7, Some(TurnedAway::SlowReader)));
        let mut watching = Looks::default();
        for _ in 0..100 {
            progress.wrote(Some(5 * 256));
            progress.wrote(None);
            assert_eq!(watching.look(&progress, &limits()), None);
        }
    }

    #[test]
    fn an_answer_that_takes_its_time_is_not_the_clients_fault() {
        let progress = Arc::new(Progress::default());
        let _begun = progress.begin();
        let mut watching = Looks::default();
        for _ in 0..1_000 {
            assert_eq!(watching.look(&progress, &limits()), None);
        }
        assert_eq!(progress.in_flight(), 1);
    }
}
