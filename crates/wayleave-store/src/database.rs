use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, PgPool};
use tokio::sync::mpsc;
use wayleave_core::{Environment, Timestamp};

use crate::link::Link;
use crate::writer::{self, Job, Work};
use crate::{BoxFuture, Reader, StoreError, StoreRuntime, Transaction, migration};

/// How many reads may run at once on one database.
const READ_CONNECTIONS: u32 = 4;
/// How many connections to PostgreSQL, reads and writes together.
const POSTGRES_CONNECTIONS: u32 = 12;
/// How long a caller waits for a connection before it is told that the database is not available.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where an environment's data lives.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file, created when missing; one process per file.
    Sqlite(PathBuf),
    /// A database by its URL; several nodes may share it.
    Postgres(String),
}

impl Database {
    /// Reads a setting: a `postgres://` or `postgresql://` URL, or else the path of a SQLite file.
    pub fn parse(text: &str) -> Self {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Database::Postgres(text.to_owned())
        } else {
            Database::Sqlite(PathBuf::from(text))
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Sqlite(path) => write!(f, "SQLite {}", path.display()),
            Database::Postgres(url) => {
                let shown = url
                    .rsplit_once('@')
                    .map_or(url.as_str(), |(_, place)| place);
                write!(
                    f,
                    "PostgreSQL {}",
                    shown
                        .trim_start_matches("postgresql://")
                        .trim_start_matches("postgres://")
                )
            }
        }
    }
}

/// The database of one environment.
#[derive(Clone)]
pub struct Store {
    runtime: StoreRuntime,
    engine: Engine,
}

#[derive(Clone)]
enum Engine {
    Sqlite {
        readers: SqlitePool,
        jobs: mpsc::Sender<Box<dyn Job>>,
        _lock: Arc<File>,
    },
    Postgres {
        pool: PgPool,
    },
}

impl Store {
    /// Opens the database of an environment: creates a missing SQLite file, brings the schema up
    /// to date, stamps a new database with the environment.
    ///
    /// Refuses a database with the other environment's stamp, one from a newer version, and a
    /// SQLite file that another process has open.
    pub async fn open(
        runtime: &StoreRuntime,
        database: &Database,
        environment: Environment,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let database = database.clone();
        let opened = runtime.handle().spawn(async move {
            match database {
                Database::Sqlite(path) => open_sqlite(&path, environment, now).await,
                Database::Postgres(url) => open_postgres(&url, environment, now).await,
            }
        });
        let engine = opened.await.map_err(|_| StoreError::Closed)??;
        Ok(Store {
            runtime: runtime.clone(),
            engine,
        })
    }

    /// Runs reads on a connection of their own.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'r> FnOnce(&'r mut Reader) -> BoxFuture<'r, Result<T, StoreError>> + Send + 'static,
    {
        let engine = self.engine.clone();
        let reading = self.runtime.handle().spawn(async move {
            let link = match engine {
                Engine::Sqlite { readers, .. } => Link::SqlitePooled(readers.acquire().await?),
                Engine::Postgres { pool } => Link::Postgres(pool.acquire().await?),
            };
            work(&mut Reader { link }).await
        });
        reading.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs a use case's writes in one transaction and answers after the commit.
    ///
    /// On SQLite whatever is waiting shares one commit, each piece of work in a savepoint of its
    /// own; on PostgreSQL each has a transaction. No network call may be made inside (law 3).
    pub async fn write<T, F>(&self, now: Timestamp, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let (job, answer) = Work::new(now, Box::new(work));
        match &self.engine {
            Engine::Sqlite { jobs, .. } => {
                jobs.send(Box::new(job))
                    .await
                    .map_err(|_| StoreError::Closed)?;
            }
            Engine::Postgres { pool } => {
                self.runtime
                    .handle()
                    .spawn(writer::commit_on_postgres(pool.clone(), Box::new(job)));
            }
        }
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Whether other nodes may write to the same database.
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres { .. })
    }

    /// Where background work on this store's data runs.
    pub fn runtime(&self) -> &StoreRuntime {
        &self.runtime
    }
}

async fn open_sqlite(
    path: &Path,
    environment: Environment,
    now: Timestamp,
) -> Result<Engine, StoreError> {
    let lock = lock_file(path)?;
    let options = sqlite_options(path);
    let mut link = Link::Sqlite(options.clone().create_if_missing(true).connect().await?);
    migration::run(&mut link, environment, now).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READ_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options.read_only(true));
    let jobs = writer::start_on_sqlite(link);
    Ok(Engine::Sqlite {
        readers,
        jobs,
        _lock: Arc::new(lock),
    })
}

fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL would lose acknowledged commits when the power goes.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
}

/// Takes the lock that keeps a second process away from the file.
fn lock_file(database: &Path) -> Result<File, StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let unavailable = |error: std::io::Error| {
        StoreError::Unavailable(format!("{}: {error}", Path::new(&path).display()))
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(unavailable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: database.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

async fn open_postgres(
    url: &str,
    environment: Environment,
    now: Timestamp,
) -> Result<Engine, StoreError> {
    let pool = postgres_pool(url, POSTGRES_CONNECTIONS).await?;
    let mut link = Link::Postgres(pool.acquire().await?);
    migration::run(&mut link, environment, now).await?;
    drop(link);
    Ok(Engine::Postgres { pool })
}

async fn postgres_pool(url: &str, connections: u32) -> Result<PgPool, StoreError> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("wayleave")
        .options([
            ("synchronous_commit", "on"),
            ("lock_timeout", "5s"),
            ("client_min_messages", "warning"),
        ])
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options);
    Ok(pool.await?)
}

/// Opens a database to be read at one moment; `alone`: no server may have a SQLite file open.
pub(crate) async fn open_snapshot(
    database: &Database,
    alone: bool,
) -> Result<(Reader, Option<File>), StoreError> {
    let (mut link, lock) = match database {
        Database::Sqlite(path) => {
            if !path.exists() {
                let why = format!("{}: there is no such file", path.display());
                return Err(StoreError::Unavailable(why));
            }
            let lock = alone.then(|| lock_file(path)).transpose()?;
            let connection = sqlite_options(path).read_only(true).connect().await?;
            (Link::Sqlite(connection), lock)
        }
        Database::Postgres(url) => {
            let pool = postgres_pool(url, 1).await?;
            (Link::Postgres(pool.acquire().await?), None)
        }
    };
    match &link {
        Link::Postgres(_) => {
            execute!(&mut link, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?
        }
        _ => execute!(&mut link, "BEGIN")?,
    };
    Ok((Reader { link }, lock))
}

/// Opens a database that is to be filled, makes its schema, and keeps servers away from a SQLite
/// file.
pub(crate) async fn open_target(
    database: &Database,
    environment: Environment,
    now: Timestamp,
) -> Result<(Link, Option<File>), StoreError> {
    let (mut link, lock) = match database {
        Database::Sqlite(path) => {
            let lock = lock_file(path)?;
            let options = sqlite_options(path).create_if_missing(true);
            (Link::Sqlite(options.connect().await?), Some(lock))
        }
        Database::Postgres(url) => {
            let pool = postgres_pool(url, 1).await?;
            (Link::Postgres(pool.acquire().await?), None)
        }
    };
    migration::run(&mut link, environment, now).await?;
    Ok((link, lock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_keeps_what_it_acknowledges_and_the_bonds_between_rows() {
        let runtime = StoreRuntime::start().expect("a runtime");
        let read = runtime.handle().block_on(async {
            // In memory; the pragmas are of the connection.
            let mut connection = sqlite_options(Path::new(":memory:")).connect().await?;
            let mut values = Vec::new();
            for pragma in ["PRAGMA synchronous", "PRAGMA foreign_keys"] {
                let (value,): (i64,) = sqlx::query_as(pragma).fetch_one(&mut connection).await?;
                values.push(value);
            }
            Ok::<_, sqlx::Error>(values)
        });
        assert_eq!(read.expect("the pragmas"), [2, 1], "FULL, and on");
    }

    #[test]
    fn a_password_in_the_url_is_never_shown() {
        let database = Database::parse("postgres://wayleave:hunter2@db.example:5432/live");
        assert_eq!(format!("{database:?}"), "PostgreSQL db.example:5432/live");
    }
}
