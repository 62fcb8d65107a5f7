//! Metering: every request of a proven caller is counted once.
//!
//! Each core counts in a block of its own; its lock is met by nobody but the task that collects the
//! blocks every second, or every three where there is much to write. What it collects is a batch with a number of its own, written in one
//! transaction that also notes the number, so that a batch whose outcome is not known is written again
//! without counting twice. A killed node loses what was not written yet.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque, btree_map};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;
use wayleave_core::{CredentialId, PartnerId, Period, Timestamp};
use wayleave_store::{Usage, UsageKey, UsageKind};

use crate::caller::Caller;
use crate::engine::Engine;
use crate::limit::CountedRoute;
use crate::ports::random;
use crate::{Randomness, Refusal};

/// Enough that every core has one of its own.
const BLOCKS: usize = 64;
/// How many things are counted apart, in a core in a second and while nothing can be written; what comes
/// more is lost.
const MOST_COUNTS: usize = 100_000;
/// How many rows are written at once, so that no other write waits for long.
const ROWS_IN_BATCH: usize = 500;
/// How often counts are collected and written.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// The same at most, where there is so much to write that it would take more than a hundredth of the
/// time, and so delay that many requests: many credentials are then counted together for longer.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3);
const WRITING_SHARE: u64 = 100;
/// How long the number of a node's last batch is kept: longer than a database is away.
const RUNS_KEPT: Duration = Duration::from_secs(62 * 86_400);
const DAY_S: u64 = 86_400;

/// Whose request it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    partner_id: PartnerId,
    credential_id: CredentialId,
    route: u32,
}

/// What is counted apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct CountKey {
    tally: Tally,
    kind: UsageKind,
    status: u16,
}

impl CountKey {
    /// Ids are our own and random, so nobody can aim at a place in the table.
    fn hash(&self) -> u64 {
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        let id = self.tally.credential_id.number();
        let few =
            u64::from(self.tally.route) << 32 | u64::from(self.status) << 4 | self.kind as u64;
        let folded = (id as u64) ^ ((id >> 64) as u64).rotate_left(29) ^ few.wrapping_mul(ODD);
        let mixed = u128::from(folded) * u128::from(ODD);
        (mixed as u64) ^ ((mixed >> 64) as u64)
    }
}

type Counts = HashTable<(CountKey, Usage)>;

/// The counts of one core. The alignment keeps two cores' blocks off one cache line.
#[derive(Default)]
#[repr(align(128))]
struct Block(Mutex<Counts>);

thread_local! {
    /// Which block this thread counts in.
    static PLACE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The block of this thread; threads take them in turn.
fn place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    PLACE.with(|place| {
        place.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed) % BLOCKS;
            place.set(Some(next));
            next
        })
    })
}

/// Counts that are to be written together, once.
struct Batch {
    number: i64,
    rows: Arc<Vec<(UsageKey, Usage)>>,
}

/// What was collected and is not written.
#[derive(Default)]
struct Waiting {
    /// In batches from now on.
    batches: VecDeque<Batch>,
    last_number: i64,
    /// Not in a batch yet, since others come first.
    fresh: BTreeMap<UsageKey, Usage>,
}

/// The counts of one environment that are not written yet.
pub(crate) struct Meter {
    /// This run of the node.
    run: String,
    blocks: Box<[Block]>,
    waiting: tokio::sync::Mutex<Waiting>,
    hours_kept_days: AtomicU64,
    lost: AtomicU64,
    written_us: AtomicI64,
}

impl Meter {
    pub(crate) fn new(randomness: &dyn Randomness, now: Timestamp) -> Self {
        let run = u128::from_be_bytes(random(randomness));
        Meter {
            run: format!("{run:032x}"),
            blocks: (0..BLOCKS).map(|_| Block::default()).collect(),
            waiting: tokio::sync::Mutex::default(),
            hours_kept_days: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            written_us: AtomicI64::new(now.micros()),
        }
    }

    fn count(&self, key: CountKey, usage: Usage) {
        let mut counts = self.blocks[place()].0.lock();
        let is_full = counts.len() >= MOST_COUNTS;
        let entry = counts.entry(
            key.hash(),
            |(known, _)| *known == key,
            |(known, _)| known.hash(),
        );
        match entry {
            Entry::Occupied(mut entry) => entry.get_mut().1.add(usage),
            Entry::Vacant(_) if is_full => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            Entry::Vacant(entry) => drop(entry.insert((key, usage))),
        }
    }

    /// Takes what all cores have counted. It counts for the hour of this moment.
    fn collect(&self, now: Timestamp, waiting: &mut Waiting, route: impl Fn(u32) -> String) {
        let starts_at = Timestamp::from_unix_s(Period::Hour.start_s(now));
        for block in &self.blocks {
            let counts = std::mem::take(&mut *block.0.lock());
            for (key, usage) in counts {
                let row = UsageKey {
                    starts_at,
                    partner_id: key.tally.partner_id,
                    credential_id: key.tally.credential_id,
                    route: route(key.tally.route),
                    kind: key.kind,
                    status: key.status,
                };
                if !waiting.add(row, usage) {
                    let requests = u64::try_from(usage.requests).unwrap_or(0);
                    self.lost.fetch_add(requests, Ordering::Relaxed);
                }
            }
        }
    }
}

impl Waiting {
    /// Whether there was room for it.
    fn add(&mut self, row: UsageKey, usage: Usage) -> bool {
        let is_full = self.fresh.len() >= MOST_COUNTS;
        match self.fresh.entry(row) {
            btree_map::Entry::Occupied(mut entry) => entry.get_mut().add(usage),
            btree_map::Entry::Vacant(_) if is_full => return false,
            btree_map::Entry::Vacant(entry) => drop(entry.insert(usage)),
        }
        true
    }

    /// Makes batches of what is in none yet: sorted and different rows.
    fn batch(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        let rows: Vec<(UsageKey, Usage)> = fresh.into_iter().collect();
        for some in rows.chunks(ROWS_IN_BATCH) {
            self.last_number += 1;
            self.batches.push_back(Batch {
                number: self.last_number,
                rows: Arc::new(some.to_vec()),
            });
        }
    }
}

impl Engine {
    /// Whose a request is, for [`Engine::count`].
    pub fn tally(&self, caller: &Caller, route: &CountedRoute) -> Tally {
        Tally {
            partner_id: caller.partner_id(),
            credential_id: caller.credential_id(),
            route: route.number(),
        }
    }

    /// Counts a request, in memory; it is written soon. `status`: what its caller got.
    /// `request_bytes`, `answer_bytes`: of the bodies, where their lengths are known.
    pub fn count(
        &self,
        tally: Tally,
        kind: UsageKind,
        status: u16,
        request_bytes: u64,
        answer_bytes: u64,
    ) {
        let bytes = |count| i64::try_from(count).unwrap_or(i64::MAX);
        let key = CountKey {
            tally,
            kind,
            status,
        };
        let mut usage = Usage::default();
        usage.add(Usage {
            requests: 1,
            request_bytes: bytes(request_bytes),
            answer_bytes: bytes(answer_bytes),
        });
        self.meter.count(key, usage);
    }

    /// How long counts by the hour are kept; those by the day stay. 0: for ever.
    pub fn keep_hours_of_usage(&self, days: u32) {
        self.meter
            .hours_kept_days
            .store(u64::from(days), Ordering::Relaxed);
    }

    /// Requests whose counts were lost since the start, because the database was away for too long.
    pub fn usage_lost(&self) -> u64 {
        self.meter.lost.load(Ordering::Relaxed)
    }

    /// When everything that was counted until then was last written.
    pub fn usage_written_at(&self) -> Timestamp {
        Timestamp::from_micros(self.meter.written_us.load(Ordering::Relaxed))
    }

    /// Writes what was counted. What cannot be written now is written next time; never twice.
    pub async fn write_usage(&self) -> Result<(), Refusal> {
        let mut waiting = self.meter.waiting.lock().await;
        let now = self.now();
        let route = |number| self.route_name(number);
        self.meter.collect(now, &mut waiting, route);
        // What waits from last time comes first: batches are written in their order.
        self.write_batches(&mut waiting, now).await?;
        waiting.batch();
        self.write_batches(&mut waiting, now).await?;
        self.meter.written_us.store(now.micros(), Ordering::Relaxed);
        Ok(())
    }

    async fn write_batches(&self, waiting: &mut Waiting, now: Timestamp) -> Result<(), Refusal> {
        while let Some(batch) = waiting.batches.front() {
            let (run, number, rows) = (self.meter.run.clone(), batch.number, batch.rows.clone());
            self.store
                .write(now, move |transaction| {
                    Box::pin(async move { transaction.add_usage(&run, number, now, &rows).await })
                })
                .await?;
            waiting.batches.pop_front();
        }
        Ok(())
    }

    /// Forgets hours of long ago, unless the clock was set: then what is long ago is not known.
    pub(crate) async fn forget_usage(&self) -> Result<(), Refusal> {
        let days = self.meter.hours_kept_days.load(Ordering::Relaxed);
        if days == 0 || self.clock_was_set() {
            return Ok(());
        }
        let now = self.now();
        let hours = now.minus(Duration::from_secs(days * DAY_S));
        let runs = now.minus(RUNS_KEPT);
        self.store
            .write(now, move |transaction| {
                Box::pin(async move { transaction.forget_usage(hours, runs).await })
            })
            .await?;
        Ok(())
    }

    /// Writes counts every second, or every three where there are many, until the engine is dropped.
    pub(crate) fn start_metering(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        self.store.runtime().handle().spawn(async move {
            let mut pause = WRITE_INTERVAL;
            loop {
                tokio::time::sleep(pause).await;
                let Some(engine) = engine.upgrade() else { return };
                let began_ns = engine.clock.steady_ns();
                if let Err(error) = engine.write_usage().await {
                    tracing::warn!(environment = %engine.environment(), %error, "usage is written later");
                }
                let took_ns = engine.clock.steady_ns().saturating_sub(began_ns);
                let pace = Duration::from_nanos(took_ns.saturating_mul(WRITING_SHARE));
                pause = pace.clamp(WRITE_INTERVAL, LONGEST_INTERVAL);
            }
        });
    }
}
