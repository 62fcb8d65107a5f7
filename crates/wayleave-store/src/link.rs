use std::pin::Pin;

use sqlx::pool::PoolConnection;
use sqlx::{Postgres, SqliteConnection};
use wayleave_core::Timestamp;

use crate::StoreError;
use crate::change::ChangedNoun;

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connection to one of the two engines. Everything that differs between them is a match on
/// this, and there is next to none of it.
pub(crate) enum Link {
    Sqlite(SqliteConnection),
    SqlitePooled(PoolConnection<sqlx::Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// Runs a statement on whichever engine the link leads to; gives the number of rows it touched.
macro_rules! execute {
    ($link:expr, $sql:expr $(, $argument:expr)* $(,)?) => {
        match $link {
            $crate::link::Link::Sqlite(connection) =>
                sqlx::query($sql)$(.bind($argument))*.execute(connection).await.map(|done| done.rows_affected()),
            $crate::link::Link::SqlitePooled(connection) =>
                sqlx::query($sql)$(.bind($argument))*.execute(&mut **connection).await.map(|done| done.rows_affected()),
            $crate::link::Link::Postgres(connection) =>
                sqlx::query($sql)$(.bind($argument))*.execute(&mut **connection).await.map(|done| done.rows_affected()),
        }
        .map_err($crate::StoreError::from)
    };
}

/// Reads all rows of a query as tuples.
macro_rules! fetch_all {
    ($link:expr, $row:ty, $sql:expr $(, $argument:expr)* $(,)?) => {
        match $link {
            $crate::link::Link::Sqlite(connection) =>
                sqlx::query_as::<_, $row>($sql)$(.bind($argument))*.fetch_all(connection).await,
            $crate::link::Link::SqlitePooled(connection) =>
                sqlx::query_as::<_, $row>($sql)$(.bind($argument))*.fetch_all(&mut **connection).await,
            $crate::link::Link::Postgres(connection) =>
                sqlx::query_as::<_, $row>($sql)$(.bind($argument))*.fetch_all(&mut **connection).await,
        }
        .map_err($crate::StoreError::from)
    };
}

/// A connection for reading.
pub struct Reader {
    pub(crate) link: Link,
}

/// One transaction: what a use case writes through it commits together or not at all (law 3).
///
/// Reads through [`Transaction::reader`] see what was written before.
pub struct Transaction {
    pub(crate) reader: Reader,
    changes: Vec<(ChangedNoun, String)>,
}

impl Transaction {
    pub(crate) fn new(link: Link) -> Self {
        Transaction {
            reader: Reader { link },
            changes: Vec::new(),
        }
    }

    /// Reads within the transaction.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    pub(crate) fn link(&mut self) -> &mut Link {
        &mut self.reader.link
    }

    /// Notes that an object changed; it is numbered last, just before the commit.
    pub(crate) fn changed(&mut self, noun: ChangedNoun, object: impl ToString) {
        let change = (noun, object.to_string());
        if self.changes.last() != Some(&change) {
            self.changes.push(change);
        }
    }

    /// Writes the noted changes to the feed. The counter row is updated last in the transaction, so
    /// numbers become visible in their order on both engines.
    pub(crate) async fn number_changes(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let changes = std::mem::take(&mut self.changes);
        crate::change::append(self.link(), &changes, now).await
    }

    pub(crate) fn forget_changes(&mut self) {
        self.changes.clear();
    }

    pub(crate) async fn statement(&mut self, sql: &'static str) -> Result<(), StoreError> {
        execute!(self.link(), sql).map(drop)
    }
}
