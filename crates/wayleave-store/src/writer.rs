//! How writes reach the database: one writer per SQLite file, which groups what is waiting into one
//! commit; a transaction for each on PostgreSQL.

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use wayleave_core::Timestamp;

use crate::link::Link;
use crate::{BoxFuture, StoreError, Transaction};

/// How many pieces of work may share one commit on SQLite.
const GROUP_LIMIT: usize = 256;
/// How many pieces of work may wait before callers wait to hand theirs in.
const QUEUE_LIMIT: usize = 4096;

type Steps<T> =
    Box<dyn for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, Result<T, StoreError>> + Send>;

/// A piece of work whose result type is known only to who asked for it.
pub(crate) trait Job: Send {
    /// Runs it within a transaction or savepoint; `false` asks for a rollback.
    fn run<'a>(&'a mut self, transaction: &'a mut Transaction) -> BoxFuture<'a, bool>;
    /// Tells the asker; called once, after the commit or its failure.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// The one kind of [`Job`].
pub(crate) struct Work<T> {
    now: Timestamp,
    steps: Option<Steps<T>>,
    result: Option<Result<T, StoreError>>,
    asker: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send> Work<T> {
    pub(crate) fn new(
        now: Timestamp,
        steps: Steps<T>,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (asker, answer) = oneshot::channel();
        (
            Work {
                now,
                steps: Some(steps),
                result: None,
                asker,
            },
            answer,
        )
    }
}

impl<T: Send> Job for Work<T> {
    fn run<'a>(&'a mut self, transaction: &'a mut Transaction) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let Some(steps) = self.steps.take() else {
                return false;
            };
            let mut result = steps(transaction).await;
            if result.is_ok()
                && let Err(error) = transaction.number_changes(self.now).await
            {
                result = Err(error);
            }
            transaction.forget_changes();
            let done = result.is_ok();
            self.result = Some(result);
            done
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // An asker that went away does not undo what was committed.
        let _ = self.asker.send(result);
    }
}

/// Starts the writer of a SQLite file on the current runtime.
pub(crate) fn start_on_sqlite(link: Link) -> mpsc::Sender<Box<dyn Job>> {
    let (jobs, mut waiting) = mpsc::channel(QUEUE_LIMIT);
    tokio::spawn(async move {
        let mut transaction = Transaction::new(link);
        let mut group = Vec::new();
        while waiting.recv_many(&mut group, GROUP_LIMIT).await > 0 {
            commit_group(&mut transaction, std::mem::take(&mut group)).await;
        }
    });
    jobs
}

async fn commit_group(transaction: &mut Transaction, mut group: Vec<Box<dyn Job>>) {
    if let Err(error) = transaction.statement("BEGIN IMMEDIATE").await {
        return answer_all(group, &error);
    }
    for job in &mut group {
        if let Err(error) = run_in_savepoint(transaction, job.as_mut()).await {
            let _ = transaction.statement("ROLLBACK").await;
            return answer_all(group, &error);
        }
    }
    match transaction.statement("COMMIT").await {
        Ok(()) => group.into_iter().for_each(|job| job.answer(Ok(()))),
        Err(error) => {
            let _ = transaction.statement("ROLLBACK").await;
            answer_all(group, &StoreError::OutcomeUnknown(error.to_string()));
        }
    }
}

async fn run_in_savepoint(
    transaction: &mut Transaction,
    job: &mut dyn Job,
) -> Result<(), StoreError> {
    transaction.statement("SAVEPOINT work").await?;
    if !job.run(transaction).await {
        transaction.statement("ROLLBACK TO work").await?;
    }
    transaction.statement("RELEASE work").await
}

fn answer_all(group: Vec<Box<dyn Job>>, error: &StoreError) {
    for job in group {
        job.answer(Err(match error {
            StoreError::OutcomeUnknown(why) => StoreError::OutcomeUnknown(why.clone()),
            other => StoreError::Unavailable(other.to_string()),
        }));
    }
}

/// Runs one piece of work in a transaction of its own.
pub(crate) async fn commit_on_postgres(pool: PgPool, mut job: Box<dyn Job>) {
    let connection = match pool.acquire().await {
        Ok(connection) => connection,
        Err(error) => return job.answer(Err(error.into())),
    };
    let mut transaction = Transaction::new(Link::Postgres(connection));
    let committed = run_on_postgres(&mut transaction, job.as_mut()).await;
    if committed.is_err()
        && let Link::Postgres(connection) = transaction.reader.link
    {
        // A connection in an unknown state must not go back to the pool.
        drop(connection.detach());
    }
    job.answer(committed);
}

async fn run_on_postgres(
    transaction: &mut Transaction,
    job: &mut dyn Job,
) -> Result<(), StoreError> {
    transaction.statement("BEGIN").await?;
    if !job.run(transaction).await {
        return transaction.statement("ROLLBACK").await;
    }
    let commit = transaction.statement("COMMIT").await;
    commit.map_err(|error| StoreError::OutcomeUnknown(error.to_string()))
}
