use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Row, SqliteConnection, TypeInfo, ValueRef,
};

use crate::{Database, StoreError, StoreRuntime};

/// A connection that runs statements as they come, past every rule of the store: for tests that
/// look into a database or tamper with it. Only with the feature `raw`.
pub struct RawConnection {
    runtime: StoreRuntime,
    link: Link,
}

enum Link {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl RawConnection {
    /// Connects beside whoever uses the database. May not be called within an async runtime.
    pub fn open(database: &Database) -> Result<Self, StoreError> {
        let runtime =
            StoreRuntime::start().map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let link = match database {
            Database::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                Link::Sqlite(runtime.handle().block_on(options.connect())?)
            }
            Database::Postgres(url) => {
                Link::Postgres(runtime.handle().block_on(PgConnection::connect(url))?)
            }
        };
        Ok(RawConnection { runtime, link })
    }

    /// Whether the database is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self.link, Link::Postgres(_))
    }

    /// Runs statements and gives their rows: each column as the bytes of its text, of a column of
    /// bytes the bytes themselves; `None` for NULL.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<Vec<u8>>>>, StoreError> {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let handle = self.runtime.handle();
        match &mut self.link {
            Link::Sqlite(connection) => {
                let rows = handle.block_on(statement.fetch_all(connection))?;
                let row = |row: &sqlx::sqlite::SqliteRow| {
                    let column = |place| row.try_get_unchecked::<Option<Vec<u8>>, _>(place);
                    (0..row.len()).map(column).collect()
                };
                Ok(rows.iter().map(row).collect::<Result<_, sqlx::Error>>()?)
            }
            Link::Postgres(connection) => {
                let rows = handle.block_on(statement.fetch_all(connection))?;
                Ok(rows
                    .iter()
                    .map(postgres_row)
                    .collect::<Result<_, sqlx::Error>>()?)
            }
        }
    }
}

fn postgres_row(row: &sqlx::postgres::PgRow) -> Result<Vec<Option<Vec<u8>>>, sqlx::Error> {
    let column = |(place, column): (usize, &sqlx::postgres::PgColumn)| {
        let value = row.try_get_raw(place)?;
        if value.is_null() {
            return Ok(None);
        }
        let text = value.as_str().map_err(sqlx::Error::Decode)?;
        let bytes = match column.type_info().name() {
            "BYTEA" => from_hexadecimal(text.trim_start_matches("\\x")),
            _ => text.as_bytes().to_vec(),
        };
        Ok(Some(bytes))
    };
    row.columns().iter().enumerate().map(column).collect()
}

fn from_hexadecimal(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .filter_map(|place| u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok())
        .collect()
}
