use std::str::FromStr;

use wayleave_core::Environment;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row is already there (an id, a public id, a generation).
    #[error("already there")]
    Conflict,
    /// The row that was named is not there.
    #[error("not there")]
    NotFound,
    /// A rule of whoever asked forbids it, as the work found within its transaction.
    #[error("{0}")]
    Refused(&'static str),
    /// The database could not be reached or refused the statement; nothing was written.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The connection broke while the commit was on its way: it may or may not have happened.
    #[error("whether the commit happened is not known: {0}")]
    OutcomeUnknown(String),
    /// A stored value that this version cannot read.
    #[error("a stored {noun} cannot be read: {why}")]
    Corrupt {
        /// What was read.
        noun: &'static str,
        /// What is wrong with it, without its value.
        why: String,
    },
    /// The database belongs to the other environment (law 1).
    #[error(
        "this database is stamped {stamped}, but it was opened as {wanted}: live and test never share a database; give each its own"
    )]
    WrongEnvironment {
        /// The environment that the database is stamped with.
        stamped: String,
        /// The environment that it was opened for.
        wanted: Environment,
    },
    /// A newer version of Wayleave has been here.
    #[error(
        "this database has schema {found}, newer than the {known} that this version knows: start the newer version, or restore a backup made before it"
    )]
    FromTheFuture {
        /// The schema in the database.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
    /// The database has not taken every migration yet.
    #[error(
        "this database has schema {found}, older than the {known} of this version: start the server once to bring it up to date, or use the version that made it"
    )]
    Outdated {
        /// The schema in the database.
        found: i64,
        /// The schema of this version.
        known: i64,
    },
    /// Nothing of ours is in the database.
    #[error("this database holds no data of Wayleave: check the address or path")]
    NoData,
    /// There are rows where an empty database is needed.
    #[error(
        "this database is not empty (there are rows in {table}): name an empty one, or move this one aside; a SQLite file goes with its -wal and -shm"
    )]
    NotEmpty {
        /// A table with rows.
        table: &'static str,
    },
    /// Another process has the file open.
    #[error(
        "{path} is in use by another process: one server per SQLite file; stop the other one, or use PostgreSQL for several nodes"
    )]
    InUse {
        /// The database file.
        path: String,
    },
    /// The store was shut down.
    #[error("the store is shutting down")]
    Closed,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::Unavailable(error.to_string())
    }
}

impl StoreError {
    /// A stored value that does not read back.
    pub fn corrupt(noun: &'static str, why: impl ToString) -> Self {
        StoreError::Corrupt {
            noun,
            why: why.to_string(),
        }
    }

    /// Reads a stored text as what it stands for.
    pub(crate) fn read<T: FromStr<Err: ToString>>(
        noun: &'static str,
        text: &str,
    ) -> Result<T, StoreError> {
        text.parse()
            .map_err(|error: T::Err| StoreError::corrupt(noun, error))
    }

    /// The same of a text that may be missing.
    pub(crate) fn read_some<T: FromStr<Err: ToString>>(
        noun: &'static str,
        text: Option<&str>,
    ) -> Result<Option<T>, StoreError> {
        text.map(|text| StoreError::read(noun, text)).transpose()
    }
}

/// Whether a statement touched the row that it is about. `otherwise`: what it means that it did not.
pub(crate) fn must_touch(rows: u64, otherwise: StoreError) -> Result<(), StoreError> {
    match rows {
        0 => Err(otherwise),
        _ => Ok(()),
    }
}
