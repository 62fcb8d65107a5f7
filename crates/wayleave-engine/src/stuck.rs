//! How much is stuck, for monitoring: counted now and then by a background task, not when it is asked.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::Refusal;
use crate::engine::Engine;

/// For how long an order that is processing may stand still before it counts as stuck.
pub const STUCK_AFTER: Duration = Duration::from_secs(600);

/// What was counted last.
#[derive(Default)]
pub(crate) struct Stuck {
    orders: AtomicI64,
    jobs: AtomicI64,
}

impl Engine {
    /// Counts what is stuck, and says so in the log where it has become more.
    pub async fn count_stuck(&self) -> Result<(), Refusal> {
        let since = self.now().minus(STUCK_AFTER);
        let counted = self
            .store
            .read(move |reader| Box::pin(reader.count_stuck(since)))
            .await?;
        let (orders, jobs) = counted;
        let before = self.stuck.orders.swap(orders, Ordering::Relaxed);
        if orders > before {
            tracing::error!(
                environment = %self.environment(),
                orders,
                "orders are stuck: look at them with wayleave order list --stuck"
            );
        }
        self.stuck.jobs.store(jobs, Ordering::Relaxed);
        Ok(())
    }

    /// How many orders have been processing for [`STUCK_AFTER`] without change, or have a job that was
    /// given up.
    pub fn orders_stuck(&self) -> i64 {
        self.stuck.orders.load(Ordering::Relaxed)
    }

    /// How many jobs were given up.
    pub fn jobs_given_up(&self) -> i64 {
        self.stuck.jobs.load(Ordering::Relaxed)
    }
}
