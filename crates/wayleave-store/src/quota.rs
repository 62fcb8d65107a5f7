//! What callers have used of their quotas, for all nodes together.

use wayleave_core::{Period, Timestamp};

use crate::{StoreError, Transaction};

/// A node takes at most this part of what is left, so that what is left last is given out one by one.
const LARGEST_PART: i64 = 16;

/// A quota of one caller in one calendar period.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuotaKey {
    /// The name of the limit.
    pub limit: String,
    /// Whom it counts: the id of a credential or partner, or the name of a route.
    pub subject: String,
    /// The kind of period.
    pub period: Period,
    /// When the period began.
    pub starts_at: Timestamp,
}

/// A part of a quota that one node may give out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaLease {
    /// How many requests.
    pub granted: i64,
    /// How many are left for everybody after it.
    pub left: i64,
}

/// How much is given where so much is left.
fn part(left: i64, wanted: i64) -> i64 {
    wanted.min(left / LARGEST_PART).max(1)
}

impl Transaction {
    /// Takes a part of a quota; `None`: it is used up. One statement, so that nodes that meet never
    /// take more than there is.
    ///
    /// `allowed`: the whole quota. `wanted`: how many, at most a sixteenth of what is left and at
    /// least one.
    pub async fn lease_quota(
        &mut self,
        key: &QuotaKey,
        allowed: i64,
        wanted: i64,
    ) -> Result<Option<QuotaLease>, StoreError> {
        // The CASE is `part` in SQL.
        let rows = fetch_all!(
            self.link(),
            (i64, i64),
            "INSERT INTO quota (limit_name, subject, period, starts_at, used, granted)
             VALUES ($1, $2, $3, $4, $7, $7)
             ON CONFLICT (limit_name, subject, period, starts_at) DO UPDATE SET
                 granted = CASE WHEN ($5 - quota.used) / $8 >= $6 THEN $6
                                WHEN ($5 - quota.used) / $8 >= 1 THEN ($5 - quota.used) / $8
                                ELSE 1 END,
                 used = quota.used
                      + CASE WHEN ($5 - quota.used) / $8 >= $6 THEN $6
                             WHEN ($5 - quota.used) / $8 >= 1 THEN ($5 - quota.used) / $8
                             ELSE 1 END
             WHERE quota.used < $5
             RETURNING used, granted",
            &key.limit,
            &key.subject,
            key.period.as_str(),
            key.starts_at.micros(),
            allowed,
            wanted.max(1),
            part(allowed, wanted),
            LARGEST_PART
        )?;
        Ok(rows.first().map(|(used, granted)| QuotaLease {
            granted: *granted,
            left: allowed - used,
        }))
    }

    /// Gives back what a node took and did not give out.
    pub async fn return_quota(&mut self, key: &QuotaKey, unused: i64) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "UPDATE quota SET used = used - $5
             WHERE limit_name = $1 AND subject = $2 AND period = $3 AND starts_at = $4 AND used >= $5",
            &key.limit,
            &key.subject,
            key.period.as_str(),
            key.starts_at.micros(),
            unused
        )
        .map(drop)
    }

    /// Forgets periods that began before a moment.
    pub async fn forget_quotas(&mut self, before: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM quota WHERE starts_at < $1",
            before.micros()
        )
        .map(drop)
    }
}
