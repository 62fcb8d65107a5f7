//! How a server behind stands: what requests and checks found out about it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So many failures in a row take a server out of the choice.
const FAILURES: u32 = 3;
/// For how long it is out at first; twice as long each further time.
const FIRST_EJECTION: Duration = Duration::from_secs(1);
/// For how long it is out at most.
const LONGEST_EJECTION: Duration = Duration::from_secs(60);

/// What is known of a server behind. All cores write it; requests that go well only read.
#[derive(Debug, Default)]
pub struct Standing {
    failures: AtomicU32,
    /// How often in a row it was taken out.
    ejections: AtomicU32,
    /// Until when it is out, in milliseconds since `epoch`.
    until_ms: AtomicU64,
    epoch: OnceLock<Instant>,
    failed_checks: AtomicU32,
    is_down_by_check: AtomicBool,
    /// What has been said about it.
    is_said_to_be_down: AtomicBool,
    ejections_total: AtomicU64,
}

impl Standing {
    /// Whether requests are to go there: it is not taken out, or its time is over and it is tried
    /// again.
    pub fn takes_requests(&self, now: Instant) -> bool {
        !self.is_down_by_check.load(Ordering::Relaxed)
            && (self.ejections.load(Ordering::Relaxed) == 0
                || self.since_epoch_ms(now) >= self.until_ms.load(Ordering::Relaxed))
    }

    /// Whether it is well as far as is known. What was taken out is not before a request to it or a
    /// check of it went well.
    pub fn is_up(&self) -> bool {
        !self.is_down_by_check.load(Ordering::Relaxed)
            && self.ejections.load(Ordering::Relaxed) == 0
    }

    /// How often it was taken out since the start.
    pub fn ejections_total(&self) -> u64 {
        self.ejections_total.load(Ordering::Relaxed)
    }

    /// A request got an answer from it. Returns whether it is up from now on and was not.
    pub(crate) fn succeeded(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.ejections.store(0, Ordering::Relaxed);
        }
        self.has_come_up()
    }

    /// A request got no answer from it. Returns whether it is down from now on and was not.
    pub(crate) fn failed(&self, now: Instant) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= FAILURES && self.takes_requests(now) {
            self.eject(now);
        }
        self.has_gone_down()
    }

    /// A check of it went well, or did not: two in a row that did not take it out. Returns whether
    /// that changed how it stands.
    pub fn checked(&self, is_well: bool) -> bool {
        if is_well {
            self.failed_checks.store(0, Ordering::Relaxed);
            self.is_down_by_check.store(false, Ordering::Relaxed);
            self.failures.store(0, Ordering::Relaxed);
            self.ejections.store(0, Ordering::Relaxed);
            return self.has_come_up();
        }
        if self.failed_checks.fetch_add(1, Ordering::Relaxed) >= 1 {
            self.is_down_by_check.store(true, Ordering::Relaxed);
        }
        self.has_gone_down()
    }

    fn eject(&self, now: Instant) {
        let before = self.ejections.fetch_add(1, Ordering::Relaxed);
        let length = FIRST_EJECTION.saturating_mul(1 << before.min(10));
        let length = length.min(LONGEST_EJECTION);
        let until = self.since_epoch_ms(now) + length.as_millis() as u64;
        self.until_ms.store(until, Ordering::Relaxed);
        self.ejections_total.fetch_add(1, Ordering::Relaxed);
    }

    fn since_epoch_ms(&self, now: Instant) -> u64 {
        let epoch = self.epoch.get_or_init(|| now);
        now.saturating_duration_since(*epoch).as_millis() as u64
    }

    fn has_come_up(&self) -> bool {
        self.is_said_to_be_down.load(Ordering::Relaxed)
            && self.is_up()
            && self.is_said_to_be_down.swap(false, Ordering::Relaxed)
    }

    fn has_gone_down(&self) -> bool {
        !self.is_up() && !self.is_said_to_be_down.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Any moment; only differences matter.
    fn start() -> Instant {
        tokio::time::sleep(Duration::ZERO).deadline().into_std()
    }

    fn in_runtime(check: impl FnOnce(Instant)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(async { check(start()) });
    }

    #[test]
    fn three_failures_in_a_row_take_a_server_out_for_a_growing_time() {
        in_runtime(|start| {
            let standing = Standing::default();
            assert!(!standing.failed(start));
            assert!(!standing.succeeded());
            assert!(!standing.failed(start) && !standing.failed(start));
            assert!(standing.takes_requests(start) && standing.is_up());
            assert!(standing.failed(start), "the third in a row");
            assert!(!standing.takes_requests(start) && !standing.is_up());
            assert!(!standing.failed(start), "said once");
            let later = start + Duration::from_millis(1_000);
            assert!(standing.takes_requests(later), "it is tried again");
            assert!(!standing.failed(later));
            assert!(!standing.takes_requests(later + Duration::from_millis(1_999)));
            assert!(standing.takes_requests(later + Duration::from_millis(2_000)));
            assert!(standing.succeeded() && !standing.succeeded());
            assert!(standing.is_up());
            assert_eq!(standing.ejections_total(), 2);
        });
    }

    #[test]
    fn no_server_is_out_for_longer_than_a_minute() {
        in_runtime(|mut now| {
            let standing = Standing::default();
            for _ in 0..40 {
                standing.failed(now);
                now += Duration::from_secs(60);
                assert!(standing.takes_requests(now));
            }
        });
    }

    #[test]
    fn two_checks_that_fail_take_a_server_out_until_one_goes_well() {
        in_runtime(|now| {
            let standing = Standing::default();
            assert!(!standing.checked(false));
            assert!(standing.takes_requests(now));
            assert!(standing.checked(false));
            assert!(!standing.takes_requests(now + Duration::from_secs(3_600)));
            assert!(standing.checked(true));
            assert!(standing.takes_requests(now) && standing.is_up());
        });
    }
}
