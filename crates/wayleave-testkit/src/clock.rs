use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use wayleave_core::Timestamp;
use wayleave_engine::Clock;

/// A clock that stands still until it is told to go on.
#[derive(Debug)]
pub struct FrozenClock(AtomicI64);

impl FrozenClock {
    /// Stands at a second since 1970 UTC.
    pub fn at(unix_s: i64) -> Self {
        FrozenClock(AtomicI64::new(Timestamp::from_unix_s(unix_s).micros()))
    }

    /// Sets it to a second since 1970 UTC.
    pub fn set(&self, unix_s: i64) {
        self.0
            .store(Timestamp::from_unix_s(unix_s).micros(), Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn advance(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).expect("a short span");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for FrozenClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
