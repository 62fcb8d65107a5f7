use std::str::FromStr;

use wayleave_core::{PartnerId, Timestamp, UnknownWord};

use crate::{Reader, StoreError, Transaction, must_touch};

/// Whether a job is still to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    /// It is to be done, or done again.
    Waiting,
    /// It is done.
    Done,
    /// It was given up: somebody has to look.
    Failed,
}

impl JobState {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Done => "done",
            JobState::Failed => "failed",
        }
    }
}

impl FromStr for JobState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [JobState::Waiting, JobState::Done, JobState::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownWord {
                noun: "state of a job",
                known: "waiting, done, failed",
            })
    }
}

/// Something that is to be done later, once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// What is done and to what; the same name is never there twice.
    pub name: String,
    /// What is done.
    pub kind: String,
    /// For which partner; it is looked at again when the job runs.
    pub partner_id: PartnerId,
    /// The id of what it is done to.
    pub object: String,
    /// What else has to be known, as JSON.
    pub payload: String,
    /// Whether it is still to be done.
    pub state: JobState,
    /// When.
    pub run_at: Timestamp,
    /// How often it was begun.
    pub attempts: i64,
    /// Why it did not work the last time.
    pub last_error: Option<String>,
    /// When it was noted.
    pub created_at: Timestamp,
    /// When it came to where it stands.
    pub changed_at: Timestamp,
}

type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<String>,
    i64,
    i64,
);

/// The columns of a [`Row`], in its order.
macro_rules! select_jobs {
    ($rest:literal) => {
        concat!(
            "SELECT name, kind, partner_id, object, payload, state, run_at, attempts,
                    last_error, created_at, changed_at
             FROM job ",
            $rest
        )
    };
}

fn from_row(row: Row) -> Result<Job, StoreError> {
    Ok(Job {
        name: row.0,
        kind: row.1,
        partner_id: StoreError::read("job", &row.2)?,
        object: row.3,
        payload: row.4,
        state: StoreError::read("job", &row.5)?,
        run_at: Timestamp::from_micros(row.6),
        attempts: row.7,
        last_error: row.8,
        created_at: Timestamp::from_micros(row.9),
        changed_at: Timestamp::from_micros(row.10),
    })
}

impl Reader {
    /// Jobs that are due and that nobody works at, those that have waited longest first.
    pub async fn due_jobs(&mut self, now: Timestamp, limit: i64) -> Result<Vec<Job>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_jobs!(
                "WHERE state = 'waiting' AND run_at <= $1 AND leased_until <= $1
             ORDER BY run_at, name LIMIT $2"
            ),
            now.micros(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// One job.
    pub async fn job(&mut self, name: &str) -> Result<Option<Job>, StoreError> {
        let rows = fetch_all!(&mut self.link, Row, select_jobs!("WHERE name = $1"), name)?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// The jobs that have to do with something, in the order in which they were noted.
    pub async fn jobs_of(&mut self, object: &str) -> Result<Vec<Job>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_jobs!("WHERE object = $1 ORDER BY created_at, name"),
            object
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// A page of jobs in the order of their names, after one: in one state or any, of one partner or
    /// all.
    pub async fn jobs_after(
        &mut self,
        state: Option<JobState>,
        partner: Option<PartnerId>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Job>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_jobs!(
                "WHERE ($1 = '' OR state = $1) AND ($2 = '' OR partner_id = $2) AND name > $3
             ORDER BY name LIMIT $4"
            ),
            state.map(JobState::as_str).unwrap_or_default(),
            partner.map(|id| id.to_string()).unwrap_or_default(),
            after,
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// Why jobs did not work that are still to be done or were given up: what they are done to, and
    /// the error; of objects whose ids are between two, these included.
    pub async fn job_errors(
        &mut self,
        first: &str,
        last: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        fetch_all!(
            &mut self.link,
            (String, String),
            "SELECT object, last_error FROM job
             WHERE object >= $1 AND object <= $2 AND state <> 'done' AND last_error <> ''
             ORDER BY changed_at",
            first,
            last
        )
    }
}

impl Transaction {
    /// Notes a job; one of that name that still waits stays as it is, one that has ended begins anew.
    pub async fn add_job(&mut self, job: &Job) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO job (name, kind, partner_id, object, payload, state, run_at, leased_until,
                 attempts, last_error, created_at, changed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, $11)
             ON CONFLICT (name) DO UPDATE SET
                 payload = $5, state = $6, run_at = $7, leased_until = 0, attempts = $8,
                 last_error = $9, created_at = $10, changed_at = $11
             WHERE job.state <> 'waiting'",
            &job.name,
            &job.kind,
            job.partner_id.to_string(),
            &job.object,
            &job.payload,
            job.state.as_str(),
            job.run_at.micros(),
            job.attempts,
            job.last_error.as_deref(),
            job.created_at.micros(),
            job.changed_at.micros()
        )
        .map(drop)
    }

    /// Takes a job for this node alone until a moment. Whether it got it: another one may have been
    /// faster, or it is done.
    pub async fn lease_job(
        &mut self,
        name: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let taken = execute!(
            self.link(),
            "UPDATE job SET leased_until = $3, attempts = attempts + 1
             WHERE name = $1 AND state = 'waiting' AND leased_until <= $2",
            name,
            now.micros(),
            until.micros()
        )?;
        Ok(taken == 1)
    }

    /// Notes that a job is done.
    pub async fn finish_job(&mut self, name: &str, now: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "UPDATE job SET state = 'done', leased_until = 0, changed_at = $2
             WHERE name = $1 AND state = 'waiting'",
            name,
            now.micros()
        )
        .map(drop)
    }

    /// The same by whoever has it leased until a moment; nothing where somebody else has it now, or it
    /// was begun anew.
    pub async fn end_leased_job(
        &mut self,
        name: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "UPDATE job SET state = 'done', leased_until = 0, changed_at = $2
             WHERE name = $1 AND state = 'waiting' AND leased_until = $3",
            name,
            now.micros(),
            until.micros()
        )
        .map(drop)
    }

    /// Notes, by whoever has it leased until a moment, that a job did not work: when it is tried again; `None`: it is given up.
    pub async fn postpone_job(
        &mut self,
        (name, until): (&str, Timestamp),
        again_at: Option<Timestamp>,
        error: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let state = match again_at {
            Some(_) => JobState::Waiting,
            None => JobState::Failed,
        };
        execute!(
            self.link(),
            "UPDATE job SET state = $2, run_at = $3, leased_until = 0, last_error = $4,
                 changed_at = $5
             WHERE name = $1 AND state = 'waiting' AND leased_until = $6",
            name,
            state.as_str(),
            again_at.unwrap_or(now).micros(),
            error,
            now.micros(),
            until.micros()
        )
        .map(drop)
    }

    /// Forgets jobs that were done before a moment.
    pub async fn forget_done_jobs(&mut self, before: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM job WHERE state = 'done' AND changed_at < $1",
            before.micros()
        )
        .map(drop)
    }

    /// Has a job that was given up tried again; [`StoreError::NotFound`] when there is none.
    pub async fn retry_job(&mut self, name: &str, now: Timestamp) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE job SET state = 'waiting', run_at = $2, leased_until = 0, changed_at = $2
             WHERE name = $1 AND state = 'failed'",
            name,
            now.micros()
        )?;
        must_touch(found, StoreError::NotFound)
    }
}
