//! Where the clock and the randomness of the operating system enter (law 8). One library has its own:
//! aws-lc-rs takes the randomness of signatures and of new signing keys.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wayleave_core::Timestamp;
use wayleave_engine::{Clock, Randomness};

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where the clock enters"
        )]
        let now = SystemTime::now();
        let micros = match now.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            // A clock before 1970 is wrong; every token is then expired and no signature fresh.
            Err(_) => 0,
        };
        Timestamp::from_micros(micros)
    }

    fn steady_ns(&self) -> u64 {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where the clock enters"
        )]
        let now = Instant::now();
        let since = now.duration_since(*FIRST.get_or_init(|| now));
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The random bytes of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where randomness enters"
        )]
        let filled = aws_lc_rs::rand::fill(bytes);
        // Without randomness no secret can be made; going on would make guessable ones.
        filled.expect("the operating system gives random bytes");
    }
}
