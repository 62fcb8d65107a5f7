use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use wayleave_core::Timestamp;
use wayleave_engine::Clock;

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
pub struct FrozenClock {
    micros: AtomicI64,
    steady_ns: AtomicU64,
}

impl FrozenClock {
    /// Stands at a second since 1970 UTC.
    pub fn at(unix_s: i64) -> Self {
        FrozenClock {
            micros: AtomicI64::new(Timestamp::from_unix_s(unix_s).micros()),
            steady_ns: AtomicU64::new(0),
        }
    }

    /// Sets it to a second since 1970 UTC, as a person does: no time passes.
    pub fn set(&self, unix_s: i64) {
        self.micros
            .store(Timestamp::from_unix_s(unix_s).micros(), Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn advance(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).expect("a short span");
        let nanos = u64::try_from(span.as_nanos()).expect("a short span");
        self.micros.fetch_add(micros, Ordering::SeqCst);
        self.steady_ns.fetch_add(nanos, Ordering::SeqCst);
    }
}

impl Clock for FrozenClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn steady_ns(&self) -> u64 {
        self.steady_ns.load(Ordering::SeqCst)
    }
}
