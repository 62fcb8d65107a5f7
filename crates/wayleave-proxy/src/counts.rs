//! What is counted of one API behind. All cores count here: one addition for each request.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

/// Answers and further attempts since the start.
#[derive(Debug, Default)]
pub struct Counts {
    classes: [AtomicU64; 5],
    retries: AtomicU64,
}

impl Counts {
    /// A request that was to be passed on was answered, by whomever.
    pub fn count_answer(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
    }

    /// A request was tried once more.
    pub(crate) fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers had a status of each class, from 1xx to 5xx.
    pub fn answers(&self) -> [u64; 5] {
        std::array::from_fn(|class| self.classes[class].load(Ordering::Relaxed))
    }

    /// How many attempts were further ones.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}
