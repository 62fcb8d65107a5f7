use std::str::FromStr;

use wayleave_core::{PropertyId, Timestamp, UnknownWord};

use crate::{Reader, StoreError, Transaction, must_touch};

/// What is done later for a property.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueuedKind {
    /// Taking over subscribers.
    Import,
    /// Writing down which subscribers changed.
    Export,
    /// Writing down who has a subscription.
    FulfilmentExport,
}

impl QueuedKind {
    const ALL: [QueuedKind; 3] = [
        QueuedKind::Import,
        QueuedKind::Export,
        QueuedKind::FulfilmentExport,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            QueuedKind::Import => "import",
            QueuedKind::Export => "export",
            QueuedKind::FulfilmentExport => "fulfilment-export",
        }
    }
}

impl FromStr for QueuedKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        QueuedKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord {
                noun: "kind of what is queued",
                known: "import, export, fulfilment-export",
            })
    }
}

/// How far something that was queued has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueuedState {
    /// It has not begun.
    Queued,
    /// It is under way.
    Working,
    /// It is done.
    Done,
}

impl QueuedState {
    const ALL: [QueuedState; 3] = [QueuedState::Queued, QueuedState::Working, QueuedState::Done];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            QueuedState::Queued => "queued",
            QueuedState::Working => "working",
            QueuedState::Done => "done",
        }
    }
}

impl FromStr for QueuedState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        QueuedState::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownWord {
                noun: "state of what is queued",
                known: "queued, working, done",
            })
    }
}

/// An import or export that was asked for, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queued {
    /// Its id: a GUID in small letters.
    pub id: String,
    /// For which property.
    pub property_id: PropertyId,
    /// What is done.
    pub kind: QueuedKind,
    /// How far it has come.
    pub state: QueuedState,
    /// What was asked for, as JSON.
    pub request: String,
    /// By which its result is fetched once it is done: a GUID in small letters.
    pub token: String,
    /// How many subscribers it is about, where that is known.
    pub total: Option<i64>,
    /// How many of them are done.
    pub done: i64,
    /// How many of those could not be taken.
    pub failed: i64,
    /// The subscriber that an export has come to; empty before the first.
    pub at_subscriber: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it came to where it stands.
    pub changed_at: Timestamp,
}

/// What one step of it did.
#[derive(Clone, Debug)]
pub struct QueuedStep {
    /// How many subscribers it did.
    pub done: i64,
    /// How many of them could not be taken.
    pub failed: i64,
    /// The subscriber that it came to.
    pub at_subscriber: String,
}

type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    Option<i64>,
    i64,
    i64,
    String,
    i64,
    i64,
);

/// The columns of a [`Row`], in its order.
macro_rules! select_queued {
    ($rest:literal) => {
        concat!(
            "SELECT id, property_id, kind, state, request, token, total, done, failed, at_subscriber,
                    created_at, changed_at
             FROM queued ",
            $rest
        )
    };
}

fn from_row(row: Row) -> Result<Queued, StoreError> {
    Ok(Queued {
        id: row.0,
        property_id: StoreError::read("import or export", &row.1)?,
        kind: StoreError::read("import or export", &row.2)?,
        state: StoreError::read("import or export", &row.3)?,
        request: row.4,
        token: row.5,
        total: row.6,
        done: row.7,
        failed: row.8,
        at_subscriber: row.9,
        created_at: Timestamp::from_micros(row.10),
        changed_at: Timestamp::from_micros(row.11),
    })
}

impl Reader {
    /// One import or export.
    pub async fn queued(&mut self, id: &str) -> Result<Option<Queued>, StoreError> {
        let rows = fetch_all!(&mut self.link, Row, select_queued!("WHERE id = $1"), id)?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// A page of a property's imports and exports in the order of their ids, after one.
    pub async fn queued_after(
        &mut self,
        property_id: PropertyId,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Queued>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_queued!("WHERE property_id = $1 AND id > $2 ORDER BY id LIMIT $3"),
            property_id.to_string(),
            after,
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// Whether an import of the same property that was asked for before this one is not done.
    pub async fn has_earlier_import(&mut self, queued: &Queued) -> Result<bool, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String,),
            "SELECT id FROM queued
             WHERE property_id = $1 AND kind = 'import' AND state <> 'done'
               AND (created_at < $2 OR (created_at = $2 AND id < $3)) LIMIT 1",
            queued.property_id.to_string(),
            queued.created_at.micros(),
            &queued.id
        )?;
        Ok(!rows.is_empty())
    }

    /// The next piece that an import has still to do: its place and what it says.
    pub async fn next_piece(&mut self, id: &str) -> Result<Option<(i64, String)>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64, String),
            "SELECT place, document FROM queued_piece WHERE queued_id = $1 ORDER BY place LIMIT 1",
            id
        )?;
        Ok(rows.into_iter().next())
    }

    /// Some of what an import could not take, in its order.
    pub async fn queued_errors(&mut self, id: &str, limit: i64) -> Result<Vec<String>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String,),
            "SELECT message FROM queued_error WHERE queued_id = $1 ORDER BY place LIMIT $2",
            id,
            limit
        )?;
        Ok(rows.into_iter().map(|(message,)| message).collect())
    }
}

impl Transaction {
    /// Notes an import or export, with what an import is made of.
    pub async fn add_queued(
        &mut self,
        queued: &Queued,
        pieces: &[String],
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO queued (id, property_id, kind, state, request, token, total, done, failed,
                 at_subscriber, created_at, changed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            &queued.id,
            queued.property_id.to_string(),
            queued.kind.as_str(),
            queued.state.as_str(),
            &queued.request,
            &queued.token,
            queued.total,
            queued.done,
            queued.failed,
            &queued.at_subscriber,
            queued.created_at.micros(),
            queued.changed_at.micros()
        )?;
        for (place, document) in (0_i64..).zip(pieces) {
            execute!(
                self.link(),
                "INSERT INTO queued_piece (queued_id, place, document) VALUES ($1, $2, $3)",
                &queued.id,
                place,
                document
            )?;
        }
        Ok(())
    }

    /// Takes a piece of an import, to do it in this transaction; `false`: another node has.
    pub async fn take_piece(&mut self, id: &str, place: i64) -> Result<bool, StoreError> {
        let taken = execute!(
            self.link(),
            "DELETE FROM queued_piece WHERE queued_id = $1 AND place = $2",
            id,
            place
        )?;
        Ok(taken == 1)
    }

    /// Notes what an import could not take. `place`: of the subscriber in it, from 0.
    pub async fn add_queued_error(
        &mut self,
        id: &str,
        place: i64,
        message: &str,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO queued_error (queued_id, place, message) VALUES ($1, $2, $3)",
            id,
            place,
            message
        )
        .map(drop)
    }

    /// Notes that a step was done from where it stood; `false`: it stands elsewhere meanwhile.
    pub async fn note_step(
        &mut self,
        stood: &Queued,
        step: &QueuedStep,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let noted = execute!(
            self.link(),
            "UPDATE queued SET state = 'working', done = done + $3, failed = failed + $4,
                 at_subscriber = $5, changed_at = $6
             WHERE id = $1 AND at_subscriber = $2 AND state <> 'done'",
            &stood.id,
            &stood.at_subscriber,
            step.done,
            step.failed,
            &step.at_subscriber,
            now.micros()
        )?;
        Ok(noted == 1)
    }

    /// Notes that it is done; [`StoreError::Conflict`] when somebody else has.
    pub async fn end_queued(&mut self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let ended = execute!(
            self.link(),
            "UPDATE queued SET state = 'done', changed_at = $2 WHERE id = $1 AND state <> 'done'",
            id,
            now.micros()
        )?;
        must_touch(ended, StoreError::Conflict)
    }

    /// Forgets what was done before a moment.
    pub async fn forget_done_queued(&mut self, before: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM queued_error WHERE queued_id IN
                 (SELECT id FROM queued WHERE state = 'done' AND changed_at < $1)",
            before.micros()
        )?;
        execute!(
            self.link(),
            "DELETE FROM queued WHERE state = 'done' AND changed_at < $1",
            before.micros()
        )
        .map(drop)
    }
}
