//! Nonces of signatures that were accepted (RFC 9421 section 7.2.2): in memory, bounded, for as long
//! as the signature could be presented again.
//!
//! A nonce is kept as one word of 8 bytes: the low bits of a keyed hash, and the minute after which
//! it is not needed. The key of the hash is drawn at the start, so nobody can choose nonces that
//! collide; with 7 million nonces a new one is taken for a known one once in 2 billion.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use parking_lot::Mutex;

use crate::directory::LookupId;

const SHARDS: usize = 64;
/// What a table of 131,072 places holds before it would grow: 7.3 million nonces in all, in 75 MB.
const MOST_IN_SHARD: usize = 114_688;
/// Bits of the minute in a word: enough for 17 hours, and nonces are kept for 11 minutes.
const MINUTE_BITS: u32 = 10;
const MINUTES: i64 = 1 << MINUTE_BITS;

/// Why a nonce was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NonceRefusal {
    /// It was used before.
    Known,
    /// It would be needed until a moment that is over already: it may have been forgotten.
    Forgotten,
    /// There is no room until some are not needed any more.
    Full,
}

/// The nonces.
pub(crate) struct Nonces {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    most_in_shard: usize,
}

struct Shard {
    words: HashTable<u64>,
    /// Everything that was needed before this minute has been forgotten.
    forgotten_before: i64,
}

impl Nonces {
    pub(crate) fn new() -> Self {
        Nonces::with_room(MOST_IN_SHARD)
    }

    fn with_room(most_in_shard: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                words: HashTable::new(),
                forgotten_before: i64::MIN,
            })
        };
        Nonces {
            hasher: RandomState::new(),
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            most_in_shard,
        }
    }

    /// Takes a nonce of a credential, once. `needed_until_s`: the second after which nobody takes
    /// its signature any more; `now_s`: the present one.
    pub(crate) fn take(
        &self,
        credential: LookupId,
        nonce: &str,
        needed_until_s: i64,
        now_s: i64,
    ) -> Result<(), NonceRefusal> {
        let hash = self.hasher.hash_one((credential, nonce));
        let last_minute = needed_until_s.div_euclid(60);
        let word = hash << MINUTE_BITS | (last_minute.rem_euclid(MINUTES) as u64);
        let mut shard = self.shards[(hash >> 58) as usize % SHARDS].lock();
        shard.forget(now_s.div_euclid(60));
        if last_minute < shard.forgotten_before {
            return Err(NonceRefusal::Forgotten);
        }
        let same = |held: &u64| held >> MINUTE_BITS == word >> MINUTE_BITS;
        if shard.words.find(place(&word), same).is_some() {
            return Err(NonceRefusal::Known);
        }
        if shard.words.len() >= self.most_in_shard {
            return Err(NonceRefusal::Full);
        }
        shard.words.insert_unique(place(&word), word, place);
        Ok(())
    }

    /// How many are held.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().words.len())
            .sum()
    }
}

/// Where a word lies in a table, which takes the lowest and the highest bits: those of the hash
/// without the minute.
fn place(word: &u64) -> u64 {
    word & !(MINUTES as u64 - 1) | word >> MINUTE_BITS & (MINUTES as u64 - 1)
}

impl Shard {
    /// Forgets, once a minute, what is not needed from a minute on. A clock that goes back makes
    /// nothing come back: what was forgotten stays refused.
    fn forget(&mut self, minute: i64) {
        if minute <= self.forgotten_before {
            return;
        }
        self.forgotten_before = minute;
        let now = minute.rem_euclid(MINUTES);
        self.words.retain(|word| {
            let last = (*word & (MINUTES as u64 - 1)) as i64;
            // Within half of the circle behind the present minute it is over.
            let behind = (now - last).rem_euclid(MINUTES);
            behind == 0 || behind >= MINUTES / 2
        });
        if self.words.len() < self.words.capacity() / 8 {
            self.words.shrink_to(self.words.len() * 2, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const NOW: i64 = 1_805_192_430;

    fn take(nonces: &Nonces, nonce: &str, until: i64, now: i64) -> Result<(), NonceRefusal> {
        nonces.take(LookupId::of("key"), nonce, until, now)
    }

    #[test]
    fn a_nonce_is_taken_once_for_each_credential() {
        let nonces = Nonces::new();
        assert_eq!(take(&nonces, "a", NOW + 300, NOW), Ok(()));
        assert_eq!(take(&nonces, "a", NOW + 300, NOW), Err(NonceRefusal::Known));
        // Also under another time of making, so for another time of need.
        assert_eq!(
            take(&nonces, "a", NOW + 500, NOW + 20),
            Err(NonceRefusal::Known)
        );
        assert_eq!(take(&nonces, "b", NOW + 300, NOW), Ok(()));
        let other = nonces.take(LookupId::of("other"), "a", NOW + 300, NOW);
        assert_eq!(other, Ok(()));
    }

    #[test]
    fn it_is_kept_as_long_as_it_is_needed_and_then_forgotten() {
        let nonces = Nonces::new();
        assert_eq!(take(&nonces, "a", NOW + 600, NOW), Ok(()));
        for later in [1, 60, 300, 599, 600] {
            assert_eq!(
                take(&nonces, "a", NOW + 600, NOW + later),
                Err(NonceRefusal::Known),
                "{later}"
            );
        }
        for shard in 0..1_000 {
            let _ = take(&nonces, &format!("n{shard}"), NOW + 1_300, NOW + 1_000);
        }
        assert_eq!(nonces.len(), 1_000, "the first one is forgotten");
    }

    #[test]
    fn after_a_jump_of_the_clock_what_was_forgotten_is_refused() {
        let nonces = Nonces::new();
        for nonce in 0..1_000 {
            let nonce = format!("n{nonce}");
            assert_eq!(take(&nonces, &nonce, NOW + 300, NOW), Ok(()));
        }
        // A day ahead and back again.
        for nonce in 0..1_000 {
            let ahead = NOW + 86_400;
            let _ = take(&nonces, &format!("m{nonce}"), ahead + 300, ahead);
        }
        for nonce in 0..1_000 {
            let again = take(&nonces, &format!("n{nonce}"), NOW + 300, NOW);
            assert!(again.is_err(), "{again:?}");
        }
    }

    #[test]
    fn it_is_full_and_says_so_and_has_room_again_later() {
        let nonces = Nonces::with_room(4);
        let mut taken = 0;
        for nonce in 0..10_000 {
            match take(&nonces, &format!("n{nonce}"), NOW + 300, NOW) {
                Ok(()) => taken += 1,
                Err(refusal) => assert_eq!(refusal, NonceRefusal::Full),
            }
        }
        assert_eq!(taken, SHARDS * 4);
        assert_eq!(nonces.len(), taken);
        let later = NOW + 361;
        assert_eq!(take(&nonces, "later", later + 300, later), Ok(()));
    }

    #[test]
    fn of_many_at_once_each_is_taken_once() {
        let nonces = Arc::new(Nonces::new());
        let accepted = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (nonces, accepted) = (nonces.clone(), accepted.clone());
                std::thread::spawn(move || {
                    for nonce in 0..10_000 {
                        let taken = take(&nonces, &format!("n{nonce}"), NOW + 300, NOW);
                        accepted.fetch_add(usize::from(taken.is_ok()), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("a thread");
        }
        assert_eq!(accepted.load(Ordering::Relaxed), 10_000);
    }
}
