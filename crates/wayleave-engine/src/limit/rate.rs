//! Rates by the generic cell rate algorithm (ITU-T I.371, virtual scheduling), each node for itself.
//!
//! For each caller one number is kept: the moment at which everything that was let pass will have
//! come back. A request moves it by the time that one request takes; it passes when that is not
//! further ahead than the burst. Moments are counted in parts of a nanosecond, as many as the rate
//! has requests, so that nothing is ever rounded. They are of the steady clock, so that setting the
//! clock neither locks anybody out nor opens a second window.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;
use wayleave_core::Rate;

use super::{Standing, Subject};

const NANOS: u64 = 1_000_000_000;
/// Enough that two cores hardly ever meet at one lock.
const SHARDS: usize = 64;
/// A shard is looked through for what may be forgotten at this size, then at each doubling.
const FIRST_LOOK: usize = 256;

/// A rate in the numbers that checking it needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells {
    /// How many parts a nanosecond has: the requests of the span.
    parts: u32,
    /// The time of one request, in parts: the span in nanoseconds.
    cost: u64,
    /// The time of the whole burst, in parts.
    burst: u128,
}

impl Cells {
    pub(super) fn of(rate: Rate) -> Self {
        let cost = u64::from(rate.per_s()) * NANOS;
        Cells {
            parts: rate.requests(),
            cost,
            burst: u128::from(cost) * u128::from(rate.burst()),
        }
    }

    fn moment(self, now_ns: u64) -> u128 {
        u128::from(now_ns) * u128::from(self.parts)
    }

    /// Parts of time as seconds, rounded up.
    fn seconds(self, parts: u128) -> u64 {
        let second = u64::from(self.parts) * NANOS;
        match u64::try_from(parts) {
            Ok(parts) => parts.div_ceil(second),
            Err(_) => u64::try_from(parts.div_ceil(u128::from(second))).unwrap_or(u64::MAX),
        }
    }

    /// How many requests fit into some time.
    fn requests(self, parts: u128) -> u64 {
        match u64::try_from(parts) {
            Ok(parts) => parts / self.cost,
            Err(_) => u64::try_from(parts / u128::from(self.cost)).unwrap_or(u64::MAX),
        }
    }
}

/// What is kept for one caller.
struct Cell {
    subject: Subject,
    parts: u32,
    /// When all will have come back.
    free_at: u128,
}

impl Cell {
    /// Whether it says no more than no cell would.
    fn is_idle(&self, now_ns: u64) -> bool {
        self.free_at <= u128::from(now_ns) * u128::from(self.parts)
    }
}

#[derive(Default)]
struct Shard {
    cells: HashTable<Cell>,
    look_at: usize,
}

impl Shard {
    fn make_room(&mut self, now_ns: u64) {
        if self.cells.len() < self.look_at.max(FIRST_LOOK) {
            return;
        }
        self.cells.retain(|cell| !cell.is_idle(now_ns));
        self.look_at = 2 * self.cells.len();
        self.cells
            .shrink_to(self.look_at.max(FIRST_LOOK), |cell| cell.subject.hash());
    }
}

/// What every caller has used up. There are as many cells as callers within their window: callers are
/// proven, so nobody can make some up.
pub(super) struct Rates {
    shards: Box<[Mutex<Shard>]>,
}

impl Default for Rates {
    fn default() -> Self {
        Rates {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Rates {
    /// Lets a request pass, or says in how many seconds the next one may. `now_ns`: of the steady
    /// clock.
    pub(super) fn take(
        &self,
        cells: Cells,
        subject: Subject,
        now_ns: u64,
    ) -> Result<Standing, (Standing, u64)> {
        let now = cells.moment(now_ns);
        let hash = subject.hash();
        let mut shard = self.shards[subject.shard(SHARDS)].lock();
        if let Some(cell) = shard.cells.find_mut(hash, |cell| cell.subject == subject) {
            let wanted = cell.free_at.max(now) + u128::from(cells.cost);
            let used = wanted - now;
            if used > cells.burst {
                let standing = Standing {
                    remaining: 0,
                    reset_s: cells.seconds(used - u128::from(cells.cost)),
                };
                return Err((standing, cells.seconds(used - cells.burst)));
            }
            cell.free_at = wanted;
            return Ok(standing(cells, used));
        }
        shard.make_room(now_ns);
        let used = u128::from(cells.cost);
        let cell = Cell {
            subject,
            parts: cells.parts,
            free_at: now + used,
        };
        shard
            .cells
            .insert_unique(hash, cell, |cell| cell.subject.hash());
        Ok(standing(cells, used))
    }

    /// Takes back what a request took that did not pass after all.
    pub(super) fn give_back(&self, cells: Cells, subject: Subject) {
        let mut shard = self.shards[subject.shard(SHARDS)].lock();
        let found = shard.cells.entry(
            subject.hash(),
            |cell| cell.subject == subject,
            |cell| cell.subject.hash(),
        );
        if let Entry::Occupied(mut entry) = found {
            let cell = entry.get_mut();
            cell.free_at = cell.free_at.saturating_sub(u128::from(cells.cost));
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().cells.len())
            .sum()
    }
}

fn standing(cells: Cells, used: u128) -> Standing {
    Standing {
        remaining: cells.requests(cells.burst - used),
        reset_s: cells.seconds(used),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn subject(number: u128) -> Subject {
        Subject {
            limit: 1,
            who: number,
        }
    }

    fn cells(requests: u32, per_s: u32, burst: u32) -> Cells {
        Cells::of(Rate::new(requests, per_s, burst).expect("a rate"))
    }

    /// A source of numbers for tests that are the same every time (xorshift).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }
    }

    /// A bucket that fills evenly: what a rate means, said another way. Its content is counted in
    /// parts of a request, as many as the span has nanoseconds.
    struct Bucket {
        content: u128,
        filled_ns: u64,
    }

    impl Bucket {
        fn take(&mut self, rate: Rate, now_ns: u64) -> bool {
            let one = u128::from(rate.per_s()) * u128::from(NANOS);
            let come = u128::from(now_ns - self.filled_ns) * u128::from(rate.requests());
            self.content = (self.content + come).min(one * u128::from(rate.burst()));
            self.filled_ns = now_ns;
            let passes = self.content >= one;
            if passes {
                self.content -= one;
            }
            passes
        }
    }

    #[test]
    fn a_rate_lets_pass_exactly_what_a_bucket_that_fills_evenly_does() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for round in 0..300 {
            let burst = 1 + numbers.below(20) as u32;
            let rate = Rate::new(
                1 + numbers.below(50) as u32,
                1 + numbers.below(10) as u32,
                burst,
            )
            .expect("a rate");
            let (rates, cells) = (Rates::default(), Cells::of(rate));
            let mut now_ns = numbers.below(u64::from(u32::MAX));
            let mut bucket = Bucket {
                content: u128::from(burst) * u128::from(rate.per_s()) * u128::from(NANOS),
                filled_ns: now_ns,
            };
            let step =
                1 + numbers.below(2 * u64::from(rate.per_s()) * NANOS / u64::from(rate.requests()));
            for _ in 0..300 {
                now_ns += numbers.below(step);
                let taken = rates.take(cells, subject(7), now_ns);
                assert_eq!(taken.is_ok(), bucket.take(rate, now_ns), "{round} {rate:?}");
                if let Ok(standing) = taken {
                    let one = u128::from(rate.per_s()) * u128::from(NANOS);
                    assert_eq!(u128::from(standing.remaining), bucket.content / one);
                }
            }
        }
    }

    #[test]
    fn who_waits_as_long_as_it_was_told_passes_and_a_nanosecond_less_is_not_enough() {
        let (rates, cells) = (Rates::default(), cells(3, 1, 2));
        assert!(rates.take(cells, subject(1), 0).is_ok());
        assert!(rates.take(cells, subject(1), 0).is_ok());
        let (standing, wait_s) = rates.take(cells, subject(1), 0).expect_err("a refusal");
        assert_eq!((standing.remaining, standing.reset_s, wait_s), (0, 1, 1));
        // A third of a second is 333 333 333 and a third nanoseconds.
        assert!(rates.take(cells, subject(1), 333_333_333).is_err());
        assert!(rates.take(cells, subject(1), 333_333_334).is_ok());
    }

    #[test]
    fn what_was_given_back_can_be_taken_again_and_no_more() {
        let (rates, cells) = (Rates::default(), cells(1, 10, 1));
        assert!(rates.take(cells, subject(1), 5).is_ok());
        rates.give_back(cells, subject(1));
        assert!(rates.take(cells, subject(1), 5).is_ok());
        assert!(rates.take(cells, subject(1), 5).is_err());
    }

    #[test]
    fn callers_and_limits_do_not_meet() {
        let (rates, cells) = (Rates::default(), cells(1, 10, 1));
        assert!(rates.take(cells, subject(1), 5).is_ok());
        assert!(rates.take(cells, subject(2), 5).is_ok());
        let other = Subject { limit: 2, who: 1 };
        assert!(rates.take(cells, other, 5).is_ok());
        assert!(rates.take(cells, other, 5).is_err());
    }

    #[test]
    fn threads_that_meet_let_pass_exactly_the_burst() {
        let (rates, cells) = (Rates::default(), cells(1, 3_600, 1_000));
        let passed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        if rates.take(cells, subject(1), 1).is_ok() {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 1_000);
    }

    #[test]
    fn callers_that_are_away_are_forgotten() {
        let (rates, cells) = (Rates::default(), cells(10, 1, 10));
        for number in 0..200_000_u64 {
            // A thousand callers in a second, each once.
            let taken = rates.take(cells, subject(u128::from(number)), number * 1_000_000);
            assert!(taken.is_ok());
        }
        assert!(rates.len() <= SHARDS * 2 * FIRST_LOOK, "{}", rates.len());
    }
}
