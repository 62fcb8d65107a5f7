//! Counts wrong secrets and wrong guesses, so that nobody can try them without end.
//!
//! Only wrong ones count; who presents a right secret is slowed down only after failing himself.
//! Per source: at the limit everything from it waits. Per key: at the limit only sources that
//! failed themselves wait, so that a stranger cannot lock a partner out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use wayleave_core::Timestamp;

use crate::directory::LookupId;

const WINDOW_MICROS: i64 = 60_000_000;
/// How many keys and how many sources are remembered; past it the counting starts anew.
const REMEMBERED: usize = 65_536;

#[derive(Clone, Copy)]
struct Count {
    since: Timestamp,
    wrong: u32,
}

/// The counters of one environment. `S`: by what a source is known.
pub(crate) struct Failures<S = IpAddr> {
    /// Wrong secrets a minute; 0: not counted at all.
    limit: AtomicU32,
    keys: Mutex<HashMap<LookupId, Count>>,
    sources: Mutex<HashMap<S, Count>>,
}

impl<S: Copy + Eq + Hash> Failures<S> {
    pub(crate) fn new(limit: Option<u32>) -> Self {
        Failures {
            limit: AtomicU32::new(limit.unwrap_or(0)),
            keys: Mutex::default(),
            sources: Mutex::default(),
        }
    }

    pub(crate) fn set_limit(&self, limit: Option<u32>) {
        self.limit.store(limit.unwrap_or(0), Ordering::Relaxed);
    }

    fn limit(&self) -> Option<u32> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    /// Seconds to wait when this source may not try this key now.
    pub(crate) fn must_wait_s(&self, key: LookupId, source: S, now: Timestamp) -> Option<u64> {
        let limit = self.limit()?;
        let of_source = live(&self.sources, &source, now)?;
        if of_source.wrong >= limit {
            return Some(remaining_s(of_source, now));
        }
        let of_key = live(&self.keys, &key, now)?;
        (of_key.wrong >= limit).then(|| remaining_s(of_key, now))
    }

    pub(crate) fn count(&self, key: LookupId, source: S, now: Timestamp) {
        if self.limit().is_some() {
            add(&self.keys, key, now);
            add(&self.sources, source, now);
        }
    }
}

fn live<K: Eq + Hash>(counts: &Mutex<HashMap<K, Count>>, key: &K, now: Timestamp) -> Option<Count> {
    counts
        .lock()
        .get(key)
        .copied()
        .filter(|count| is_live(count, now))
}

/// A count from the future is of a clock that was set back since: it must not make anyone wait
/// until that time comes again.
fn is_live(count: &Count, now: Timestamp) -> bool {
    (0..WINDOW_MICROS).contains(&now.micros().saturating_sub(count.since.micros()))
}

fn remaining_s(count: Count, now: Timestamp) -> u64 {
    let left = WINDOW_MICROS - now.micros().saturating_sub(count.since.micros());
    u64::try_from(left / 1_000_000 + 1).unwrap_or(1)
}

fn add<K: Eq + Hash>(counts: &Mutex<HashMap<K, Count>>, key: K, now: Timestamp) {
    let mut counts = counts.lock();
    if counts.len() >= REMEMBERED {
        counts.retain(|_, count| is_live(count, now));
    }
    if counts.len() >= REMEMBERED {
        counts.clear();
    }
    let count = counts.entry(key).or_insert(Count {
        since: now,
        wrong: 0,
    });
    if !is_live(count, now) {
        *count = Count {
            since: now,
            wrong: 0,
        };
    }
    count.wrong = count.wrong.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_s(1_000);

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_source_waits_after_its_tenth_wrong_secret_and_not_for_ever() {
        let failures = Failures::new(Some(10));
        let key = LookupId::of("key");
        for _ in 0..10 {
            assert_eq!(failures.must_wait_s(key, source(1), NOW), None);
            failures.count(key, source(1), NOW);
        }
        assert_eq!(failures.must_wait_s(key, source(1), NOW), Some(61));
        assert_eq!(
            failures.must_wait_s(key, source(1), Timestamp::from_unix_s(1_060)),
            None
        );
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_wait_until_it_is_there_again() {
        let failures = Failures::new(Some(10));
        let key = LookupId::of("key");
        (0..10).for_each(|_| failures.count(key, source(1), NOW));
        assert!(failures.must_wait_s(key, source(1), NOW).is_some());
        let earlier = Timestamp::from_unix_s(500);
        assert_eq!(failures.must_wait_s(key, source(1), earlier), None);
        (0..10).for_each(|_| failures.count(key, source(1), earlier));
        assert_eq!(failures.must_wait_s(key, source(1), earlier), Some(61));
    }

    #[test]
    fn a_stranger_cannot_lock_a_partner_out_of_its_key() {
        let failures = Failures::new(Some(10));
        let key = LookupId::of("key");
        for stranger in 0..20 {
            failures.count(key, source(stranger), NOW);
        }
        assert_eq!(failures.must_wait_s(key, source(200), NOW), None);
        assert!(failures.must_wait_s(key, source(5), NOW).is_some());
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let failures = Failures::new(None);
        let key = LookupId::of("key");
        (0..1_000).for_each(|_| failures.count(key, source(1), NOW));
        assert_eq!(failures.must_wait_s(key, source(1), NOW), None);
    }
}
