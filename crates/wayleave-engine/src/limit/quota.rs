//! Quotas: so many requests in a calendar period, for all nodes together, exactly.
//!
//! The store counts what was given out. A node takes a part of what is left (a lease), writes that
//! down first, and counts it down in memory, so most requests cause no I/O. The next lease is asked
//! for before the last is used up, by one asker at a time; a request that finds nothing waits for it.
//! A lease is a sixteenth of what is left at most, so the last requests are given out one by one. What
//! is not used for a while, and at the end of the node, is given back; what a killed node held is
//! lost. So never more pass than the quota says.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use wayleave_core::{Period, Timestamp};
use wayleave_store::{QuotaKey, QuotaLease, Store, StoreError};

use super::{Standing, Subject};
use crate::Clock;

const SHARDS: usize = 64;
/// How many requests a node asks for at first, and at most.
const FIRST_LEASE: i64 = 8;
const LARGEST_LEASE: i64 = 4_096;
/// A lease that lasted less is followed by one twice as large, one that lasted longer than the other
/// by one half as large.
const SHORT_NS: u64 = 1_000_000_000;
const LONG_NS: u64 = 10_000_000_000;
/// The next lease is asked for when this part of one is left, unless it is too small for that.
const EARLY_PART: i64 = 4;
/// How long a quota counts as used up before the store is asked again: another node may have given
/// something back.
const EMPTY_NS: u64 = 5_000_000_000;
/// How long the store is left alone after it failed.
const FAILED_NS: u64 = 250_000_000;
/// What was not used for so long is given back.
const IDLE_NS: u64 = 10_000_000_000;
/// What was not asked for in so long is forgotten.
const FORGET_NS: u64 = 3_600_000_000_000;

/// How a quota is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) requests: i64,
    pub(super) period: Period,
}

/// What a node holds of the quota of one caller in one period.
struct Held {
    subject: Subject,
    key: Arc<QuotaKey>,
    /// What it may give out.
    left: i64,
    /// What the last lease was.
    granted: i64,
    /// What the store had after it.
    beyond: i64,
    /// What the next lease is to be.
    wanted: i64,
    is_asking: bool,
    waiting: Vec<oneshot::Sender<()>>,
    leased_ns: u64,
    used_ns: u64,
    empty_until_ns: u64,
    failed_until_ns: u64,
}

impl Held {
    fn new(subject: Subject, key: QuotaKey, now_ns: u64) -> Self {
        Held {
            subject,
            key: Arc::new(key),
            left: 0,
            granted: 0,
            beyond: 0,
            wanted: FIRST_LEASE,
            is_asking: false,
            waiting: Vec::new(),
            leased_ns: now_ns,
            used_ns: now_ns,
            empty_until_ns: 0,
            failed_until_ns: 0,
        }
    }

    /// Whether the store may be asked now.
    fn may_ask(&self, now_ns: u64) -> bool {
        !self.is_asking && now_ns >= self.empty_until_ns && now_ns >= self.failed_until_ns
    }

    /// Whether the next lease is due while there is something left of this one, or just was.
    fn is_early(&self) -> bool {
        self.beyond > 0 && self.granted >= EARLY_PART && self.left <= self.granted / EARLY_PART
    }

    /// Takes over what the store said.
    fn arrived(&mut self, leased: &Result<Option<QuotaLease>, StoreError>, now_ns: u64) {
        self.is_asking = false;
        self.waiting.clear();
        match leased {
            Ok(Some(lease)) => {
                let lasted_ns = now_ns.saturating_sub(self.leased_ns);
                if lasted_ns < SHORT_NS {
                    self.wanted = (2 * self.wanted).min(LARGEST_LEASE);
                } else if lasted_ns > LONG_NS {
                    self.wanted = (self.wanted / 2).max(FIRST_LEASE);
                }
                self.left += lease.granted;
                self.granted = lease.granted;
                self.beyond = lease.left;
                self.leased_ns = now_ns;
                self.used_ns = now_ns;
            }
            Ok(None) => {
                self.beyond = 0;
                self.empty_until_ns = now_ns + EMPTY_NS;
            }
            Err(_) => self.failed_until_ns = now_ns + FAILED_NS,
        }
    }
}

/// What became of a request.
pub(super) enum Taking {
    /// It may pass.
    Passes(Standing),
    /// The quota is used up.
    Empty(Standing),
    /// The store is away.
    Away,
    /// Ask again when this ends.
    Wait(oneshot::Receiver<()>),
}

/// What this node holds of all quotas.
pub(crate) struct Quotas {
    shards: Box<[Mutex<HashTable<Held>>]>,
    store: Store,
    clock: Arc<dyn Clock>,
}

impl Quotas {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Quotas {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            store,
            clock,
        })
    }

    /// Takes one request of a quota. `key`: names it in the store, for the period that begins at a
    /// moment.
    pub(super) fn take(
        self: &Arc<Self>,
        quota: Quota,
        subject: Subject,
        now: Timestamp,
        now_ns: u64,
        key: impl FnOnce(Timestamp) -> QuotaKey,
    ) -> Taking {
        let starts_at = Timestamp::from_unix_s(quota.period.start_s(now));
        let end = Timestamp::from_unix_s(quota.period.end_s(now));
        let reset_s =
            u64::try_from(end.micros() - now.micros()).map_or(0, |us| us.div_ceil(1_000_000));
        let mut shard = self.shards[subject.shard(SHARDS)].lock();
        let is_own = |held: &Held| held.subject == subject && held.key.starts_at == starts_at;
        let entry = shard.entry(subject.hash(), is_own, |held| held.subject.hash());
        let mut entry = entry.or_insert_with(|| Held::new(subject, key(starts_at), now_ns));
        let held = entry.get_mut();
        let passes = held.left > 0;
        if passes {
            held.left -= 1;
            held.used_ns = now_ns;
        }
        if held.may_ask(now_ns) && (!passes || held.is_early()) {
            held.is_asking = true;
            self.ask(quota, subject, held);
        }
        if passes {
            let remaining = u64::try_from(held.left + held.beyond).unwrap_or(0);
            return Taking::Passes(Standing { remaining, reset_s });
        }
        if held.is_asking {
            let (arrival, wait) = oneshot::channel();
            held.waiting.push(arrival);
            Taking::Wait(wait)
        } else if now_ns < held.failed_until_ns {
            Taking::Away
        } else {
            Taking::Empty(Standing {
                remaining: 0,
                reset_s,
            })
        }
    }

    /// Asks the store for the next lease, in the background.
    fn ask(self: &Arc<Self>, quota: Quota, subject: Subject, held: &Held) {
        let waiting = i64::try_from(held.waiting.len()).unwrap_or(LARGEST_LEASE);
        let wanted = held.wanted.max(waiting).min(LARGEST_LEASE);
        let (quotas, key) = (self.clone(), held.key.clone());
        self.store.runtime().handle().spawn(async move {
            let asked = key.clone();
            let leased = quotas
                .store
                .write(quotas.clock.now(), move |transaction| {
                    Box::pin(async move {
                        transaction.lease_quota(&asked, quota.requests, wanted).await
                    })
                })
                .await;
            if let Err(error) = &leased {
                let (limit, subject) = (&key.limit, &key.subject);
                tracing::error!(limit, subject, %error, "nothing of a quota could be taken: its requests are refused (503) until the database is back");
            }
            quotas.arrived(subject, &key, &leased);
        });
    }

    fn arrived(
        &self,
        subject: Subject,
        key: &QuotaKey,
        leased: &Result<Option<QuotaLease>, StoreError>,
    ) {
        let now_ns = self.clock.steady_ns();
        let mut shard = self.shards[subject.shard(SHARDS)].lock();
        let found = shard.find_mut(subject.hash(), |held| {
            held.subject == subject && held.key.starts_at == key.starts_at
        });
        if let Some(held) = found {
            held.arrived(leased, now_ns);
        }
    }

    /// Takes back what a request took that did not pass after all.
    pub(super) fn give_back(&self, quota: Quota, subject: Subject, now: Timestamp) {
        let starts_at = Timestamp::from_unix_s(quota.period.start_s(now));
        let mut shard = self.shards[subject.shard(SHARDS)].lock();
        let found = shard.find_mut(subject.hash(), |held| {
            held.subject == subject && held.key.starts_at == starts_at
        });
        if let Some(held) = found {
            held.left += 1;
        }
    }

    /// Gives back to the store what was not used for a while, and forgets who is away.
    pub(crate) async fn tend(&self) -> Result<(), StoreError> {
        let now_ns = self.clock.steady_ns();
        let unused = self.take_unused(|held| held.used_ns + IDLE_NS <= now_ns);
        for shard in &self.shards {
            shard.lock().retain(|held| {
                held.left > 0 || held.is_asking || now_ns < held.used_ns + FORGET_NS
            });
        }
        self.write_unused(unused).await
    }

    /// Gives everything back to the store, at the end of the node.
    pub(crate) async fn end(&self) -> Result<(), StoreError> {
        let unused = self.take_unused(|_| true);
        self.write_unused(unused).await
    }

    /// Forgets periods of long ago.
    pub(crate) async fn forget_old(&self, kept: Duration) -> Result<(), StoreError> {
        let now = self.clock.now();
        let write = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.forget_quotas(now.minus(kept)).await })
        });
        write.await
    }

    fn take_unused(&self, is_unused: impl Fn(&Held) -> bool) -> Vec<(Arc<QuotaKey>, i64)> {
        let mut unused = Vec::new();
        for shard in &self.shards {
            for held in shard.lock().iter_mut() {
                if held.left > 0 && !held.is_asking && is_unused(held) {
                    unused.push((held.key.clone(), std::mem::take(&mut held.left)));
                    held.granted = 0;
                    held.wanted = FIRST_LEASE;
                }
            }
        }
        unused
    }

    /// What fails here is lost to its period, so that nothing is ever given out twice.
    async fn write_unused(&self, unused: Vec<(Arc<QuotaKey>, i64)>) -> Result<(), StoreError> {
        if unused.is_empty() {
            return Ok(());
        }
        let write = self.store.write(self.clock.now(), move |transaction| {
            Box::pin(async move {
                for (key, count) in &unused {
                    transaction.return_quota(key, *count).await?;
                }
                Ok(())
            })
        });
        write.await
    }
}
