//! The schema, as numbered steps that each run in a transaction.
//!
//! One text for both engines; the three words that differ are filled in.

use sqlx::AssertSqlSafe;
use wayleave_core::{Environment, Timestamp};

use crate::StoreError;
use crate::link::Link;

/// The steps in their order; a database's schema is the number of steps that it has taken. A step
/// that has been released is never edited.
const STEPS: &[&str] = &[
    include_str!("../migrations/0001_credentials.sql"),
    include_str!("../migrations/0002_operating.sql"),
    include_str!("../migrations/0003_property.sql"),
    include_str!("../migrations/0004_plans.sql"),
    include_str!("../migrations/0005_http_signatures.sql"),
    include_str!("../migrations/0006_quotas.sql"),
    include_str!("../migrations/0007_usage.sql"),
    include_str!("../migrations/0008_orders.sql"),
    include_str!("../migrations/0009_resources.sql"),
    include_str!("../migrations/0010_readers.sql"),
    include_str!("../migrations/0011_subscribers.sql"),
    include_str!("../migrations/0012_moved_from.sql"),
];

/// Any number: the key of the lock that lets one node migrate while the others wait.
const POSTGRES_LOCK: i64 = 0x7761_796c;

/// The schema that this version makes and reads.
pub fn newest_schema() -> i64 {
    STEPS.len() as i64
}

/// Brings a database up to date and checks that it belongs to the environment.
pub(crate) async fn run(
    link: &mut Link,
    environment: Environment,
    now: Timestamp,
) -> Result<(), StoreError> {
    begin(link).await?;
    let outcome = migrate(link, environment, now).await;
    let end = if outcome.is_ok() {
        "COMMIT"
    } else {
        "ROLLBACK"
    };
    execute!(&mut *link, end)?;
    outcome
}

pub(crate) async fn begin(link: &mut Link) -> Result<(), StoreError> {
    match link {
        Link::Postgres(_) => {
            execute!(&mut *link, "BEGIN")?;
            execute!(
                &mut *link,
                "SELECT pg_advisory_xact_lock($1)",
                POSTGRES_LOCK
            )?;
        }
        _ => {
            execute!(&mut *link, "BEGIN IMMEDIATE")?;
        }
    }
    Ok(())
}

async fn migrate(
    link: &mut Link,
    environment: Environment,
    now: Timestamp,
) -> Result<(), StoreError> {
    execute!(
        &mut *link,
        "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
    )?;
    check_stamp(link, environment).await?;
    let known = newest_schema();
    let found = match read_meta(link, "schema").await? {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|error| StoreError::corrupt("schema number", error))?,
    };
    if found > known {
        return Err(StoreError::FromTheFuture { found, known });
    }
    for step in &STEPS[found as usize..] {
        run_step(link, step).await?;
    }
    if found == 0 {
        write_meta(link, "environment", environment.as_str()).await?;
        write_meta(link, "created_at", &now.micros().to_string()).await?;
    }
    write_meta(link, "schema", &known.to_string()).await
}

async fn check_stamp(link: &mut Link, wanted: Environment) -> Result<(), StoreError> {
    match read_meta(link, "environment").await? {
        Some(stamped) if stamped != wanted.as_str() => {
            Err(StoreError::WrongEnvironment { stamped, wanted })
        }
        _ => Ok(()),
    }
}

async fn run_step(link: &mut Link, step: &str) -> Result<(), StoreError> {
    let (blob, strict) = match link {
        Link::Postgres(_) => ("BYTEA", ""),
        _ => ("BLOB", "STRICT"),
    };
    let integer = if strict.is_empty() {
        "BIGINT"
    } else {
        "INTEGER"
    };
    let text = step
        .replace("{BLOB}", blob)
        .replace("{STRICT}", strict)
        .replace("{INTEGER}", integer);
    // Our own text, with three words of our own filled in.
    let script = sqlx::raw_sql(AssertSqlSafe(text));
    match link {
        Link::Sqlite(connection) => script.execute(connection).await.map(drop)?,
        Link::SqlitePooled(connection) => script.execute(&mut **connection).await.map(drop)?,
        Link::Postgres(connection) => script.execute(&mut **connection).await.map(drop)?,
    }
    Ok(())
}

pub(crate) async fn read_meta(link: &mut Link, name: &str) -> Result<Option<String>, StoreError> {
    let rows = fetch_all!(
        &mut *link,
        (String,),
        "SELECT value FROM meta WHERE name = $1",
        name
    )?;
    Ok(rows.into_iter().next().map(|(value,)| value))
}

pub(crate) async fn write_meta(link: &mut Link, name: &str, value: &str) -> Result<(), StoreError> {
    execute!(
        &mut *link,
        "INSERT INTO meta (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name,
        value
    )
    .map(drop)
}
