//! What was used: requests counted by partner, credential, route, kind and status, by hour and day.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use wayleave_core::{CredentialId, PartnerId, Period, Timestamp};

use crate::link::Link;
use crate::{Reader, StoreError, Transaction};

/// How many rows one statement adds.
const ROWS_AT_ONCE: usize = 50;
const COLUMNS: usize = 9;
/// Sums of bytes stay at this (2⁵³ - 1): a length that a client only claims must not make a sum that the
/// database refuses.
const MOST_BYTES: i64 = 9_007_199_254_740_991;

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UsageKind {
    /// It was passed on; the status is what its caller got.
    Proxied,
    /// It was proven and not passed on.
    Refused,
    /// Another proxy asked whether it may pass.
    Checked,
}

impl UsageKind {
    /// Every kind.
    pub const ALL: [UsageKind; 3] = [UsageKind::Proxied, UsageKind::Refused, UsageKind::Checked];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            UsageKind::Proxied => "proxied",
            UsageKind::Refused => "refused",
            UsageKind::Checked => "checked",
        }
    }
}

/// What is counted apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct UsageKey {
    /// When the hour or day began.
    pub starts_at: Timestamp,
    /// Who asked.
    pub partner_id: PartnerId,
    /// With which credential.
    pub credential_id: CredentialId,
    /// The name of the route.
    pub route: String,
    /// What became of it.
    pub kind: UsageKind,
    /// The HTTP status.
    pub status: u16,
}

/// How much was used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// How many requests.
    pub requests: i64,
    /// The bytes of their bodies, where the length was told.
    pub request_bytes: i64,
    /// The bytes of the bodies of answers, where the length was told.
    pub answer_bytes: i64,
}

impl Usage {
    /// Adds what was used besides; bytes up to 2⁵³ - 1.
    pub fn add(&mut self, more: Usage) {
        let bytes = |one: i64, other: i64| one.saturating_add(other).min(MOST_BYTES);
        self.requests = self.requests.saturating_add(more.requests);
        self.request_bytes = bytes(self.request_bytes, more.request_bytes);
        self.answer_bytes = bytes(self.answer_bytes, more.answer_bytes);
    }
}

/// What was used in one hour or on one day.
type Row = (UsageKey, Usage);

/// How a parameter is written. The SQLite driver looks every one that has a name up among all of
/// them, which takes longer than the statement where there are hundreds: there they have none.
type Parameter = fn(usize) -> String;

const NUMBERED: Parameter = |number| format!("${number}");
const NAMELESS: Parameter = |_| "?".to_owned();

/// `usage_hour` or `usage_day`, as a statement that adds rows to what is there.
fn upsert_sql(table: &str, rows: usize, parameter: Parameter) -> String {
    let values: Vec<String> = (0..rows)
        .map(|row| {
            let first = row * COLUMNS + 1;
            let parameters = (first..first + COLUMNS).map(parameter);
            format!("({})", parameters.collect::<Vec<_>>().join(", "))
        })
        .collect();
    format!(
        "INSERT INTO {table} (starts_at, partner_id, credential_id, route, kind, status,
                              requests, request_bytes, answer_bytes)
         VALUES {}
         ON CONFLICT (starts_at, partner_id, credential_id, route, kind, status) DO UPDATE SET
             requests = {table}.requests + excluded.requests,
             request_bytes = {},
             answer_bytes = {}",
        values.join(", "),
        bytes_sql(table, "request_bytes"),
        bytes_sql(table, "answer_bytes")
    )
}

fn bytes_sql(table: &str, column: &str) -> String {
    format!(
        "CASE WHEN {table}.{column} > {MOST_BYTES} - excluded.{column} THEN {MOST_BYTES}
              ELSE {table}.{column} + excluded.{column} END"
    )
}

/// Binds the columns of rows to a query.
macro_rules! bind_rows {
    ($query:expr, $rows:expr) => {{
        let mut query = $query;
        for (key, usage) in $rows {
            query = query
                .bind(key.starts_at.micros())
                .bind(key.partner_id.to_string())
                .bind(key.credential_id.to_string())
                .bind(key.route.clone())
                .bind(key.kind.as_str())
                .bind(i64::from(key.status))
                .bind(usage.requests)
                .bind(usage.request_bytes)
                .bind(usage.answer_bytes);
        }
        query
    }};
}

/// The same rows by the day.
fn by_day(rows: &[Row]) -> Vec<Row> {
    let mut days: BTreeMap<UsageKey, Usage> = BTreeMap::new();
    for (key, usage) in rows {
        let day = UsageKey {
            starts_at: Timestamp::from_unix_s(Period::Day.start_s(key.starts_at)),
            ..key.clone()
        };
        days.entry(day).or_default().add(*usage);
    }
    days.into_iter().collect()
}

impl Transaction {
    /// Adds a batch of counts by the hour, and by the day; once, however often it is written.
    ///
    /// `run` and `batch`: the run of the node, and the number of its batch; they are written in their
    /// order. `rows`: sorted and different, so that nodes that meet wait for each other in one order.
    pub async fn add_usage(
        &mut self,
        run: &str,
        batch: i64,
        now: Timestamp,
        rows: &[Row],
    ) -> Result<(), StoreError> {
        let is_new = execute!(
            self.link(),
            "INSERT INTO usage_run (run, batch, written_at) VALUES ($1, $2, $3)
             ON CONFLICT (run) DO UPDATE SET batch = excluded.batch, written_at = excluded.written_at
             WHERE usage_run.batch < excluded.batch",
            run,
            batch,
            now.micros()
        )?;
        if is_new == 0 {
            return Ok(());
        }
        self.upsert_usage("usage_hour", rows).await?;
        self.upsert_usage("usage_day", &by_day(rows)).await
    }

    async fn upsert_usage(&mut self, table: &str, rows: &[Row]) -> Result<(), StoreError> {
        for some in rows.chunks(ROWS_AT_ONCE) {
            let sql = |parameter| AssertSqlSafe(upsert_sql(table, some.len(), parameter));
            match self.link() {
                Link::Sqlite(connection) => {
                    let query = bind_rows!(sqlx::query(sql(NAMELESS)), some);
                    query.execute(connection).await.map(drop)?;
                }
                Link::SqlitePooled(connection) => {
                    let query = bind_rows!(sqlx::query(sql(NAMELESS)), some);
                    query.execute(&mut **connection).await.map(drop)?;
                }
                Link::Postgres(connection) => {
                    let query = bind_rows!(sqlx::query(sql(NUMBERED)), some);
                    query.execute(&mut **connection).await.map(drop)?;
                }
            }
        }
        Ok(())
    }

    /// Forgets the hours that began before a moment; their days stay. Forgets also the runs of nodes
    /// that wrote last before another moment.
    pub async fn forget_usage(
        &mut self,
        hours: Timestamp,
        runs: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM usage_hour WHERE starts_at < $1",
            hours.micros()
        )?;
        execute!(
            self.link(),
            "DELETE FROM usage_run WHERE written_at < $1",
            runs.micros()
        )
        .map(drop)
    }
}

/// What is told apart where usage is summed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct UsageGroups {
    /// Each hour, or each day.
    pub time: bool,
    /// Each partner.
    pub partner: bool,
    /// Each credential.
    pub credential: bool,
    /// Each route.
    pub route: bool,
    /// Each kind.
    pub kind: bool,
    /// Each status.
    pub status: bool,
}

/// Which usage is wanted, and how it is summed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageQuestion {
    /// Counts by the hour, which are kept for a while, or by the day.
    pub hours: bool,
    /// From this moment on.
    pub from: Timestamp,
    /// Until before this moment.
    pub to: Timestamp,
    /// Of this partner alone.
    pub partner_id: Option<PartnerId>,
    /// Of this credential alone.
    pub credential_id: Option<CredentialId>,
    /// On this route alone.
    pub route: Option<String>,
    /// Of this kind alone.
    pub kind: Option<UsageKind>,
    /// With this status alone.
    pub status: Option<u16>,
    /// What is told apart.
    pub groups: UsageGroups,
}

/// A sum. What was not told apart is empty, and 0.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct UsageSum {
    /// When the hour or day began, in microseconds since 1970.
    pub starts_at: i64,
    /// The id of the partner.
    pub partner: String,
    /// The id of the credential.
    pub credential: String,
    /// The name of the route.
    pub route: String,
    /// The word of the kind.
    pub kind: String,
    /// The HTTP status.
    pub status: i64,
    /// How much.
    pub usage: Usage,
}

type SumRow = (i64, String, String, String, String, i64, i64, i64, i64);

macro_rules! sum_sql {
    ($table:literal) => {
        concat!(
            "SELECT at, partner, credential, route, kind, status, CAST(SUM(requests) AS BIGINT),
                    CAST(SUM(request_bytes) AS BIGINT), CAST(SUM(answer_bytes) AS BIGINT)
             FROM (SELECT CASE WHEN $1 = 1 THEN starts_at ELSE 0 END AS at,
                          CASE WHEN $2 = 1 THEN partner_id ELSE '' END AS partner,
                          CASE WHEN $3 = 1 THEN credential_id ELSE '' END AS credential,
                          CASE WHEN $4 = 1 THEN route ELSE '' END AS route,
                          CASE WHEN $5 = 1 THEN kind ELSE '' END AS kind,
                          CASE WHEN $6 = 1 THEN status ELSE 0 END AS status,
                          requests, request_bytes, answer_bytes
                   FROM ",
            $table,
            " WHERE starts_at >= $7 AND starts_at < $8
                AND ($9 = '' OR partner_id = $9) AND ($10 = '' OR credential_id = $10)
                AND ($11 = '' OR route = $11) AND ($12 = '' OR kind = $12)
                AND ($13 = 0 OR status = $13)) AS counted
             WHERE (at, partner, credential, route, kind, status) > ($14, $15, $16, $17, $18, $19)
             GROUP BY at, partner, credential, route, kind, status
             ORDER BY at, partner, credential, route, kind, status
             LIMIT $20"
        )
    };
}

impl Reader {
    /// Sums of usage after one, ordered by time, partner, credential, route, kind and status.
    pub async fn usage_after(
        &mut self,
        question: &UsageQuestion,
        after: Option<&UsageSum>,
        limit: i64,
    ) -> Result<Vec<UsageSum>, StoreError> {
        let before_all = UsageSum {
            starts_at: i64::MIN,
            ..UsageSum::default()
        };
        let (groups, after) = (question.groups, after.unwrap_or(&before_all));
        let text = |id: Option<String>| id.unwrap_or_default();
        let sql = if question.hours {
            sum_sql!("usage_hour")
        } else {
            sum_sql!("usage_day")
        };
        let rows = fetch_all!(
            &mut self.link,
            SumRow,
            sql,
            i64::from(groups.time),
            i64::from(groups.partner),
            i64::from(groups.credential),
            i64::from(groups.route),
            i64::from(groups.kind),
            i64::from(groups.status),
            question.from.micros(),
            question.to.micros(),
            text(question.partner_id.map(|id| id.to_string())),
            text(question.credential_id.map(|id| id.to_string())),
            text(question.route.clone()),
            question.kind.map(UsageKind::as_str).unwrap_or_default(),
            i64::from(question.status.unwrap_or(0)),
            after.starts_at,
            &after.partner,
            &after.credential,
            &after.route,
            &after.kind,
            after.status,
            limit
        )?;
        Ok(rows.into_iter().map(sum).collect())
    }
}

fn sum(row: SumRow) -> UsageSum {
    let (starts_at, partner, credential, route, kind, status, requests, asked, answered) = row;
    UsageSum {
        starts_at,
        partner,
        credential,
        route,
        kind,
        status,
        usage: Usage {
            requests,
            request_bytes: asked,
            answer_bytes: answered,
        },
    }
}
