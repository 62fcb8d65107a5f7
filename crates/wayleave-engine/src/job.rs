//! Work that is done later, once, by whichever node comes first: jobs in the store, on the one clock.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use wayleave_core::{PartnerId, Timestamp, UnknownWord};
use wayleave_store::{Job, JobState, StoreError};

use crate::Refusal;
use crate::engine::Engine;

/// How often it is looked for jobs that are due.
const INTERVAL: Duration = Duration::from_millis(500);
/// How many run at once.
const AT_ONCE: usize = 50;
/// How long a node has a job to itself; one that ended meanwhile is followed by another.
pub(crate) const LEASE: Duration = Duration::from_secs(60);
/// The first wait after a failure; each further one is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// How long jobs that are done can be looked up.
const DONE_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a job does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobKind {
    /// Takes an order that was accepted to its end: pays, delivers, completes.
    Advance,
    /// Lets a quote expire that nobody accepted.
    ExpireQuote,
    /// Calls the address that waits for the end of an order.
    Hook,
    /// Sends mail.
    Mail,
    /// Removes a demonstration whose time is over.
    EndDemo,
    /// Renews an instance, or removes it, at the end of its term.
    Renew,
    /// Reminds of the end of a term.
    Remind,
    /// Ends a plan, or begins its next term.
    EndPlan,
    /// Takes an order back that was given up: what it delivered, and its money.
    GiveBack,
    /// Reads a page that is to become a resource.
    ReadPage,
    /// Tells a content site of an event.
    Callback,
    /// Takes subscribers over, or writes down who they are.
    Queued,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [JobKind; 12] = [
        JobKind::Advance,
        JobKind::ExpireQuote,
        JobKind::Hook,
        JobKind::Mail,
        JobKind::EndDemo,
        JobKind::Renew,
        JobKind::Remind,
        JobKind::EndPlan,
        JobKind::GiveBack,
        JobKind::ReadPage,
        JobKind::Callback,
        JobKind::Queued,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            JobKind::Advance => "advance",
            JobKind::ExpireQuote => "expire-quote",
            JobKind::Hook => "hook",
            JobKind::Mail => "mail",
            JobKind::EndDemo => "end-demo",
            JobKind::Renew => "renew",
            JobKind::Remind => "remind",
            JobKind::EndPlan => "end-plan",
            JobKind::GiveBack => "give-back",
            JobKind::ReadPage => "read-page",
            JobKind::Callback => "callback",
            JobKind::Queued => "queued",
        }
    }
}

impl FromStr for JobKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        JobKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord {
                noun: "job",
                known: "advance, expire-quote, hook, mail, end-demo, renew, remind, end-plan, give-back, read-page, callback, queued",
            })
    }
}

/// How an attempt at a job ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Attempt {
    /// There is nothing more to do; whatever it did has noted that already or needs no note.
    Done,
    /// There is nothing to do before this moment.
    Later(Timestamp),
    /// It is tried again after a while.
    Again(String),
    /// It is tried again at this moment.
    AgainAt(Timestamp, String),
    /// It is given up, and somebody has to look.
    GivenUp(String),
}

/// The jobs that a node is at.
type RunningJobs = JoinSet<Result<(), Refusal>>;

/// How many jobs an ended one counts for.
fn outcome(ended: Result<Result<(), Refusal>, JoinError>) -> Result<usize, Refusal> {
    match ended {
        Ok(outcome) => outcome.map(|()| 1),
        Err(error) => {
            tracing::error!(%error, "a job panicked");
            Ok(0)
        }
    }
}

impl Engine {
    pub(crate) fn start_jobs(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        self.store.runtime().handle().spawn(async move {
            let mut running = JoinSet::new();
            loop {
                tokio::time::sleep(INTERVAL).await;
                let Some(engine) = engine.upgrade() else { return };
                let mut begun = engine.begin_jobs(&mut running).await;
                while let Some(ended) = running.try_join_next() {
                    begun = begun.and(outcome(ended).map(drop));
                }
                if let Err(error) = begun {
                    tracing::warn!(environment = %engine.environment(), %error, "jobs could not be read");
                }
            }
        });
    }

    /// A job that has to do with one object of a partner.
    pub(crate) fn job(
        &self,
        kind: JobKind,
        partner_id: PartnerId,
        object: impl ToString,
        run_at: Timestamp,
    ) -> Job {
        new_job(kind, partner_id, object, (run_at, self.now()))
    }

    /// Runs what is due to its end; gives how many jobs that were.
    pub async fn run_jobs(self: &Arc<Self>) -> Result<usize, Refusal> {
        let mut running = JoinSet::new();
        self.begin_jobs(&mut running).await?;
        let mut done = 0;
        while let Some(ended) = running.join_next().await {
            done += outcome(ended)?;
        }
        Ok(done)
    }

    /// Begins what is due, as far as there is room beside what is running already: a job that takes
    /// long delays no other.
    async fn begin_jobs(self: &Arc<Self>, running: &mut RunningJobs) -> Result<(), Refusal> {
        let (now, room) = (self.now(), AT_ONCE.saturating_sub(running.len()));
        if room == 0 {
            return Ok(());
        }
        let due = self
            .store
            .read(move |reader| Box::pin(reader.due_jobs(now, room as i64)));
        for job in due.await? {
            let engine = self.clone();
            let handle = self.store.runtime().handle();
            running.spawn_on(async move { engine.run_job(job).await }, handle);
        }
        Ok(())
    }

    /// Forgets jobs that were done long ago.
    pub(crate) async fn forget_done_jobs(&self) -> Result<(), Refusal> {
        let now = self.now();
        let forgotten = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.forget_done_jobs(now.minus(DONE_KEPT)).await })
        });
        Ok(forgotten.await?)
    }

    async fn run_job(&self, job: Job) -> Result<(), Refusal> {
        let now = self.now();
        let (name, until) = (job.name.clone(), now.plus(LEASE));
        let taken = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.lease_job(&name, now, until).await })
        });
        if !taken.await? {
            return Ok(());
        }
        let attempt = self.attempt(&job).await;
        self.note_attempt(job, until, attempt).await
    }

    async fn attempt(&self, job: &Job) -> Attempt {
        let attempted = match job.kind.parse() {
            Ok(kind) => self.attempt_kind(kind, job).await,
            Err(_) => return Attempt::GivenUp("this version knows no such job".to_owned()),
        };
        match attempted {
            Ok(attempt) => attempt,
            Err(NotAttempted::OtherObject) => {
                Attempt::GivenUp("it is to be done to something else".to_owned())
            }
            Err(NotAttempted::Refusal(error)) => Attempt::Again(error.to_string()),
        }
    }

    async fn attempt_kind(&self, kind: JobKind, job: &Job) -> Result<Attempt, NotAttempted> {
        Ok(match kind {
            JobKind::Advance => self.attempt_to_advance(object(job)?).await?,
            JobKind::ExpireQuote => self.expire_quote(object(job)?).await?,
            JobKind::Hook => self.attempt_hook(job, object(job)?).await?,
            JobKind::Mail => self.send_mail(job).await?,
            JobKind::EndDemo => self.end_demo(object(job)?).await?,
            JobKind::Renew => self.attempt_renewal(job, object(job)?).await?,
            JobKind::Remind => self.remind(job, object(job)?).await?,
            JobKind::EndPlan => self.attempt_to_end_plan(job, object(job)?).await?,
            JobKind::GiveBack => self.attempt_to_give_back(job, object(job)?).await?,
            JobKind::ReadPage => self.attempt_to_read_page(job).await?,
            JobKind::Callback => self.attempt_callback(job, object(job)?).await?,
            JobKind::Queued => self.work_at_queued(&job.object).await?,
        })
    }

    /// Notes how an attempt under a lease ended; nothing where the job was begun anew meanwhile, or
    /// another node has it.
    async fn note_attempt(
        &self,
        job: Job,
        until: Timestamp,
        attempt: Attempt,
    ) -> Result<(), Refusal> {
        let (environment, now) = (self.environment(), self.now());
        let (again_at, error) = match attempt {
            Attempt::Done => {
                let done = self.store.write(now, move |transaction| {
                    Box::pin(async move { transaction.end_leased_job(&job.name, until, now).await })
                });
                return done.await.map_err(Refusal::Store);
            }
            Attempt::Later(at) => (Some(at), String::new()),
            Attempt::Again(error) => {
                tracing::warn!(%environment, job = job.name, error, "a job is tried again later");
                (Some(now.plus(wait_after(job.attempts))), error)
            }
            Attempt::AgainAt(at, error) => {
                tracing::warn!(%environment, job = job.name, error, "a job is tried again later");
                (Some(at), error)
            }
            Attempt::GivenUp(error) => {
                tracing::error!(%environment, job = job.name, error, "a job was given up");
                (None, error)
            }
        };
        let noted = self.store.write(now, move |transaction| {
            Box::pin(async move {
                let job = (job.name.as_str(), until);
                transaction.postpone_job(job, again_at, &error, now).await
            })
        });
        noted.await.map_err(Refusal::Store)
    }
}

/// Why an attempt came to no end of its own.
enum NotAttempted {
    /// The id is not of what such a job is done to.
    OtherObject,
    Refusal(Refusal),
}

impl From<Refusal> for NotAttempted {
    fn from(refusal: Refusal) -> Self {
        NotAttempted::Refusal(refusal)
    }
}

/// What a job is done to.
fn object<T: FromStr>(job: &Job) -> Result<T, NotAttempted> {
    job.object.parse().map_err(|_| NotAttempted::OtherObject)
}

/// A job that is noted now, to be run at a moment.
pub(crate) fn new_job(
    kind: JobKind,
    partner_id: PartnerId,
    object: impl ToString,
    (run_at, now): (Timestamp, Timestamp),
) -> Job {
    let object = object.to_string();
    Job {
        name: job_name(kind, &object),
        kind: kind.as_str().to_owned(),
        partner_id,
        object,
        payload: "{}".to_owned(),
        state: JobState::Waiting,
        run_at,
        attempts: 0,
        last_error: None,
        created_at: now,
        changed_at: now,
    }
}

/// What a job is called that does something to an object.
pub(crate) fn job_name(kind: JobKind, object: impl fmt::Display) -> String {
    format!("{} {object}", kind.as_str())
}

/// How long is waited after so many attempts.
pub(crate) fn wait_after(attempts: i64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << attempts.clamp(0, 20));
    doubled.min(LONGEST_WAIT)
}

/// The end of a job whose object no longer is what it was noted for.
pub(crate) fn done_on_conflict(error: StoreError) -> Result<Attempt, Refusal> {
    match error {
        StoreError::Conflict | StoreError::NotFound => Ok(Attempt::Done),
        other => Err(Refusal::Store(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_as_itself() {
        for kind in JobKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
    }

    #[test]
    fn waits_grow_and_end_somewhere() {
        assert_eq!(wait_after(0), Duration::from_secs(1));
        assert_eq!(wait_after(3), Duration::from_secs(8));
        assert_eq!(wait_after(i64::MAX), LONGEST_WAIT);
    }
}
