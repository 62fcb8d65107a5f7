//! The pages that count for a reader's quota: one statement takes a place for a new one, so that no
//! two requests get the same place, and none gets one that is not there.

use std::collections::HashSet;

use wayleave_core::{CalendarPeriod, ReaderId, ResourceId, Timestamp};

use crate::{Reader, StoreError, Transaction};

/// How many rows are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: i64 = 5_000;
/// How often a place is tried for that others take in the meantime. Each time another has got one.
const MOST_TRIES: u32 = 10_000;

/// What a reader has of a quota in one period.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HitWindow {
    /// Whose.
    pub reader_id: ReaderId,
    /// The kind of period.
    pub period: CalendarPeriod,
    /// When the period began.
    pub starts_at: Timestamp,
}

/// What became of a page that was to be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HitOutcome {
    /// It was counted.
    Added {
        /// How many pages count now.
        hits: u32,
    },
    /// It had been counted before.
    Known {
        /// How many pages count.
        hits: u32,
    },
    /// There is no place left.
    Full {
        /// How many pages count.
        hits: u32,
    },
}

/// A page that was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hit {
    /// In which period.
    pub window: HitWindow,
    /// Its place, from 1.
    pub slot: i64,
    /// Which page.
    pub resource_id: ResourceId,
    /// When it was first seen.
    pub at: Timestamp,
}

type Row = (String, String, i64, i64, String, i64);

fn from_row(row: Row) -> Result<Hit, StoreError> {
    Ok(Hit {
        window: HitWindow {
            reader_id: StoreError::read("hit", &row.0)?,
            period: StoreError::read("hit", &row.1)?,
            starts_at: Timestamp::from_micros(row.2),
        },
        slot: row.3,
        resource_id: StoreError::read("hit", &row.4)?,
        at: Timestamp::from_micros(row.5),
    })
}

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Reader {
    /// The pages that count in a window, in the order of their places.
    pub async fn hits_in(&mut self, window: HitWindow) -> Result<Vec<Hit>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT reader_id, period, starts_at, slot, resource_id, at FROM reader_hit
             WHERE reader_id = $1 AND period = $2 AND starts_at = $3 ORDER BY slot",
            window.reader_id.to_string(),
            window.period.as_str(),
            window.starts_at.micros()
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// The pages that count in a window.
    pub async fn pages_in(&mut self, window: HitWindow) -> Result<HashSet<ResourceId>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String,),
            "SELECT resource_id FROM reader_hit
             WHERE reader_id = $1 AND period = $2 AND starts_at = $3",
            window.reader_id.to_string(),
            window.period.as_str(),
            window.starts_at.micros()
        )?;
        rows.iter()
            .map(|(page,)| StoreError::read("hit", page))
            .collect()
    }

    /// All hits of a reader that are still kept.
    pub async fn hits_of(&mut self, reader_id: ReaderId) -> Result<Vec<Hit>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT reader_id, period, starts_at, slot, resource_id, at FROM reader_hit
             WHERE reader_id = $1 ORDER BY period, starts_at, slot",
            reader_id.to_string()
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// How many pages count in a window, and whether this one does.
    async fn hit_standing(
        &mut self,
        window: HitWindow,
        resource_id: ResourceId,
    ) -> Result<(i64, bool), StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64, i64),
            "SELECT (SELECT COALESCE(MAX(slot), 0) FROM reader_hit
                     WHERE reader_id = $1 AND period = $2 AND starts_at = $3),
                    (SELECT COUNT(*) FROM reader_hit
                     WHERE reader_id = $1 AND period = $2 AND starts_at = $3 AND resource_id = $4)",
            window.reader_id.to_string(),
            window.period.as_str(),
            window.starts_at.micros(),
            resource_id.to_string()
        )?;
        let (hits, seen) = rows.first().copied().unwrap_or_default();
        Ok((hits, seen != 0))
    }
}

impl Transaction {
    /// Counts a page where it is new and there is a place for it. The statement takes the next place
    /// on the condition that the quota has one; that no two take the same is a rule of the table.
    pub async fn add_hit(
        &mut self,
        window: HitWindow,
        resource_id: ResourceId,
        allowed: u32,
        now: Timestamp,
    ) -> Result<HitOutcome, StoreError> {
        for _ in 0..MOST_TRIES {
            let taken = self.take_slot(window, resource_id, allowed, now).await?;
            if let Some(slot) = taken {
                return Ok(HitOutcome::Added { hits: count(slot) });
            }
            let (hits, is_known) = self.reader().hit_standing(window, resource_id).await?;
            if is_known {
                return Ok(HitOutcome::Known { hits: count(hits) });
            }
            if hits >= i64::from(allowed) {
                return Ok(HitOutcome::Full { hits: count(hits) });
            }
            // Another transaction took the place: try the next one.
        }
        Err(StoreError::Unavailable(
            "no place of a quota could be taken".to_owned(),
        ))
    }

    async fn take_slot(
        &mut self,
        window: HitWindow,
        resource_id: ResourceId,
        allowed: u32,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let rows = fetch_all!(
            self.link(),
            (i64,),
            "INSERT INTO reader_hit (reader_id, period, starts_at, slot, resource_id, at)
             SELECT $1, $2, $3, counted.hits + 1, $4, $6
             FROM (SELECT COALESCE(MAX(slot), 0) AS hits FROM reader_hit
                   WHERE reader_id = $1 AND period = $2 AND starts_at = $3) AS counted
             WHERE counted.hits < $5
             ON CONFLICT DO NOTHING
             RETURNING slot",
            window.reader_id.to_string(),
            window.period.as_str(),
            window.starts_at.micros(),
            resource_id.to_string(),
            i64::from(allowed),
            now.micros()
        )?;
        Ok(rows.first().map(|(slot,)| *slot))
    }

    /// Gives a reader the hits that another one has in a period, as far as they are new: what somebody
    /// saw before they signed in. The other keeps its own. They count even beyond the quota.
    pub async fn unite_hits(
        &mut self,
        from: HitWindow,
        to: ReaderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let window = HitWindow {
            reader_id: to,
            ..from
        };
        for hit in self.reader().hits_in(from).await? {
            self.add_hit(window, hit.resource_id, u32::MAX, now).await?;
        }
        self.reader_changed(to);
        Ok(())
    }

    /// Forgets some hits of periods that began before a moment; whether there may be more.
    pub async fn forget_hits(
        &mut self,
        period: CalendarPeriod,
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        let forgotten = execute!(
            self.link(),
            "DELETE FROM reader_hit WHERE (reader_id, period, starts_at, slot) IN
                 (SELECT reader_id, period, starts_at, slot FROM reader_hit
                  WHERE period = $1 AND starts_at < $2 LIMIT $3)",
            period.as_str(),
            before.micros(),
            FORGOTTEN_AT_ONCE
        )?;
        Ok(forgotten == FORGOTTEN_AT_ONCE.unsigned_abs())
    }
}
