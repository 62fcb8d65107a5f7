//! New pages of quotas on their way to the store: what waits goes together, in one transaction of a
//! lane, and each is answered once that is committed. A reader's pages go by one lane, in the order
//! of their ids, so that two transactions never wait for each other.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;
use wayleave_core::ResourceId;
use wayleave_store::{HitOutcome, HitWindow, StoreError, Transaction};

use crate::engine::Engine;

/// How many transactions may be under way at once.
const LANES: usize = 4;
/// How many pages go together.
const AT_ONCE: usize = 128;
/// How many may wait in a lane before others wait to hand theirs in.
const WAITING: usize = 1_024;

/// A page that is to be counted.
struct NewHit {
    window: HitWindow,
    resource_id: ResourceId,
    allowed: u32,
    asker: oneshot::Sender<Result<HitOutcome, StoreError>>,
}

/// Where they wait.
pub(crate) struct HitWriter([Sender<NewHit>; LANES]);

/// The other ends of the lanes.
pub(crate) struct HitLanes([Receiver<NewHit>; LANES]);

impl HitWriter {
    pub(crate) fn new() -> (Self, HitLanes) {
        let lanes: [_; LANES] = std::array::from_fn(|_| mpsc::channel(WAITING));
        let mut receivers = Vec::with_capacity(LANES);
        let senders = lanes.map(|(sender, receiver)| {
            receivers.push(receiver);
            sender
        });
        let Ok(receivers) = receivers.try_into() else {
            unreachable!("there is a receiver for each sender");
        };
        (HitWriter(senders), HitLanes(receivers))
    }

    /// Counts a page where it is new and there is a place for it; answers when that is durable.
    pub(crate) async fn add(
        &self,
        window: HitWindow,
        resource_id: ResourceId,
        allowed: u32,
    ) -> Result<HitOutcome, StoreError> {
        let (asker, answer) = oneshot::channel();
        let hit = NewHit {
            window,
            resource_id,
            allowed,
            asker,
        };
        let lane = window.reader_id.number() as usize % LANES;
        let handed = self.0[lane].send(hit).await;
        handed.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Engine {
    /// Writes what is handed in until the engine is dropped.
    pub(crate) fn start_counting_hits(self: &Arc<Self>, lanes: HitLanes) {
        for lane in lanes.0 {
            let counting = count_lane(Arc::downgrade(self), lane);
            self.store.runtime().handle().spawn(counting);
        }
    }

    async fn count_hits(&self, mut hits: Vec<NewHit>) {
        hits.sort_by_key(|hit| (hit.window.reader_id, hit.resource_id));
        let wanted: Vec<(HitWindow, ResourceId, u32)> = hits
            .iter()
            .map(|hit| (hit.window, hit.resource_id, hit.allowed))
            .collect();
        let now = self.now();
        let counted = self.store.write(now, move |transaction| {
            Box::pin(async move {
                let mut outcomes = Vec::with_capacity(wanted.len());
                let mut known = Known::default();
                for (window, resource_id, allowed) in wanted {
                    let asked = (window, allowed);
                    let outcome = match known.outcome(asked, resource_id) {
                        Some(outcome) => outcome,
                        None => {
                            transaction
                                .add_hit(window, resource_id, allowed, now)
                                .await?
                        }
                    };
                    known.note(transaction, asked, resource_id, outcome).await?;
                    outcomes.push(outcome);
                }
                Ok(outcomes)
            })
        });
        match counted.await {
            Ok(outcomes) => {
                for (hit, outcome) in hits.into_iter().zip(outcomes) {
                    // An asker that went away does not undo what was counted.
                    let _ = hit.asker.send(Ok(outcome));
                }
            }
            Err(error) => {
                for hit in hits {
                    let _ = hit.asker.send(Err(again(&error)));
                }
            }
        }
    }
}

/// What a transaction has found out of the reader whose pages it counts: those who ask at once about a
/// quota that is used up, or about one page, need no statement each.
#[derive(Default)]
struct Known {
    /// The window with its quota.
    of: Option<(HitWindow, u32)>,
    hits: u32,
    /// The pages that count; of a quota that is used up all of them.
    pages: HashSet<ResourceId>,
    is_used_up: bool,
}

impl Known {
    fn outcome(&self, of: (HitWindow, u32), page: ResourceId) -> Option<HitOutcome> {
        let hits = self.hits;
        match self.of == Some(of) {
            true if self.pages.contains(&page) => Some(HitOutcome::Known { hits }),
            true if self.is_used_up => Some(HitOutcome::Full { hits }),
            _ => None,
        }
    }

    async fn note(
        &mut self,
        transaction: &mut Transaction,
        of: (HitWindow, u32),
        page: ResourceId,
        outcome: HitOutcome,
    ) -> Result<(), StoreError> {
        if self.of != Some(of) {
            *self = Known {
                of: Some(of),
                ..Known::default()
            };
        }
        match outcome {
            HitOutcome::Added { hits } | HitOutcome::Known { hits } => {
                self.hits = hits;
                self.pages.insert(page);
            }
            HitOutcome::Full { hits } if !self.is_used_up => {
                self.hits = hits;
                self.pages = transaction.reader().pages_in(of.0).await?;
                self.is_used_up = true;
            }
            HitOutcome::Full { .. } => {}
        }
        Ok(())
    }
}

async fn count_lane(engine: Weak<Engine>, mut lane: Receiver<NewHit>) {
    let mut hits = Vec::new();
    while lane.recv_many(&mut hits, AT_ONCE).await > 0 {
        let Some(engine) = engine.upgrade() else {
            return;
        };
        engine.count_hits(std::mem::take(&mut hits)).await;
    }
}

/// The same error for another asker.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::OutcomeUnknown(why) => StoreError::OutcomeUnknown(why.clone()),
        other => StoreError::Unavailable(other.to_string()),
    }
}
