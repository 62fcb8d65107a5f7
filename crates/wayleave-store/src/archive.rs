//! Every table's rows, page by page: what a backup, a restore and a copy to another database are
//! made of.

use std::fs::File;

use sqlx::{AssertSqlSafe, Row};
use wayleave_core::{CredentialId, Environment, Timestamp};

use crate::database::open_target;
use crate::link::Link;
use crate::{Database, Reader, StoreError, meta, migration};

/// How many rows are read or written at once.
const PAGE: i64 = 500;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnKind {
    /// UTF-8.
    Text,
    /// 64 bit.
    Integer,
    /// Bytes.
    Blob,
}

/// A column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether it may be empty.
    pub nullable: bool,
}

const fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column {
        name,
        kind,
        nullable: false,
    }
}

const fn text(name: &'static str) -> Column {
    column(name, ColumnKind::Text)
}

const fn integer(name: &'static str) -> Column {
    column(name, ColumnKind::Integer)
}

const fn blob(name: &'static str) -> Column {
    column(name, ColumnKind::Blob)
}

const fn or_null(column: Column) -> Column {
    Column {
        nullable: true,
        ..column
    }
}

/// A table of the newest schema.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// How many of its first columns are the primary key.
    pub key_columns: usize,
    /// Its columns, those of the primary key first.
    pub columns: &'static [Column],
    /// Whether a new database has rows in it already.
    seeded: bool,
}

const fn table(name: &'static str, columns: &'static [Column]) -> Table {
    Table {
        name,
        key_columns: 1,
        columns,
        seeded: false,
    }
}

/// With a primary key of several columns.
const fn keyed(key_columns: usize, table: Table) -> Table {
    Table {
        key_columns,
        ..table
    }
}

const fn seeded(table: Table) -> Table {
    Table {
        seeded: true,
        ..table
    }
}

const USAGE: &[Column] = &[
    integer("starts_at"),
    text("partner_id"),
    text("credential_id"),
    text("route"),
    text("kind"),
    integer("status"),
    integer("requests"),
    integer("request_bytes"),
    integer("answer_bytes"),
];

/// Every table, those first that others refer to. [`Reader::schema_differences`] compares the list
/// with a database.
pub static TABLES: &[Table] = &[
    table(
        "partner",
        &[
            text("id"),
            text("name"),
            text("membership"),
            integer("created_at"),
            or_null(text("plan")),
        ],
    ),
    table(
        "integration",
        &[
            text("id"),
            text("partner_id"),
            text("name"),
            integer("created_at"),
        ],
    ),
    table(
        "property",
        &[
            text("id"),
            text("partner_id"),
            text("name"),
            text("origins"),
            integer("created_at"),
            or_null(text("settings")),
            integer("settings_version"),
        ],
    ),
    table(
        "resource",
        &[
            text("id"),
            text("property_id"),
            text("external_key"),
            text("name"),
            integer("active"),
            text("url"),
            text("title"),
            text("byline"),
            text("description"),
            integer("published_at"),
            text("pricing_group"),
            text("pricing"),
            text("paywall_description"),
            text("paywall_short_description"),
            text("origin"),
            integer("changed_at"),
        ],
    ),
    table(
        "credential",
        &[
            text("id"),
            text("public_id"),
            text("integration_id"),
            text("audience"),
            text("schemes"),
            text("scopes"),
            text("state"),
            integer("not_before_at"),
            integer("created_at"),
            or_null(integer("revoked_at")),
            text("name"),
            or_null(integer("expires_at")),
            or_null(text("property_id")),
            or_null(text("customer_id")),
            or_null(text("callback_url")),
        ],
    ),
    table(
        "secret",
        &[
            text("id"),
            text("credential_id"),
            text("form"),
            text("master_key_id"),
            blob("material"),
            integer("created_at"),
            or_null(integer("expires_at")),
            or_null(integer("superseded_at")),
            or_null(integer("retire_unused_us")),
            or_null(integer("last_used_at")),
        ],
    ),
    table(
        "signing_key",
        &[
            text("kid"),
            integer("generation"),
            text("algorithm"),
            text("master_key_id"),
            blob("sealed"),
            integer("signs_from_at"),
            integer("created_at"),
        ],
    ),
    table(
        "sealed_value",
        &[text("name"), text("master_key_id"), blob("sealed")],
    ),
    table(
        "revoked_token",
        &[
            text("jti"),
            text("credential_id"),
            integer("expires_at"),
            integer("revoked_at"),
        ],
    ),
    table("used_nonce", &[text("name"), integer("expires_at")]),
    table(
        "audit",
        &[
            integer("number"),
            integer("at"),
            text("actor"),
            text("act"),
            text("object"),
            text("stage"),
            integer("begun"),
            text("request_id"),
            text("details"),
            blob("hash"),
        ],
    ),
    table(
        "change",
        &[
            integer("number"),
            text("noun"),
            text("object_id"),
            integer("at"),
        ],
    ),
    keyed(
        4,
        table(
            "quota",
            &[
                text("limit_name"),
                text("subject"),
                text("period"),
                integer("starts_at"),
                integer("used"),
                integer("granted"),
            ],
        ),
    ),
    keyed(6, table("usage_hour", USAGE)),
    keyed(6, table("usage_day", USAGE)),
    table(
        "usage_run",
        &[text("run"), integer("batch"), integer("written_at")],
    ),
    table(
        "catalogue",
        &[
            integer("version"),
            text("document"),
            text("put_by"),
            integer("created_at"),
        ],
    ),
    table(
        "account",
        &[
            text("partner_id"),
            integer("number"),
            text("billing_name"),
            text("billing_email"),
            text("price_list"),
            or_null(text("currency")),
            or_null(text("card")),
            or_null(text("card_label")),
            integer("orders"),
            integer("created_at"),
        ],
    ),
    table(
        "customer",
        &[
            text("id"),
            integer("number"),
            text("partner_id"),
            or_null(text("reference")),
            text("name"),
            integer("created_at"),
        ],
    ),
    table(
        "sales_order",
        &[
            text("id"),
            integer("number"),
            text("partner_id"),
            text("state"),
            integer("catalogue_version"),
            text("currency"),
            integer("subtotal_minor"),
            integer("discount_minor"),
            integer("tax_minor"),
            integer("total_minor"),
            or_null(integer("auto_pay")),
            or_null(text("hook_url")),
            or_null(text("payment_link")),
            integer("created_at"),
            integer("changed_at"),
            integer("expires_at"),
            or_null(text("reader_id")),
        ],
    ),
    keyed(
        2,
        table(
            "order_line",
            &[
                text("order_id"),
                integer("place"),
                integer("product"),
                or_null(text("customer_id")),
                text("details"),
                integer("unit_minor"),
                integer("quantity"),
                integer("months"),
                integer("total_minor"),
                or_null(text("delivered_id")),
                or_null(integer("delivered_at")),
            ],
        ),
    ),
    table(
        "charge",
        &[
            text("id"),
            text("order_id"),
            text("partner_id"),
            text("card"),
            integer("amount_minor"),
            text("currency"),
            text("state"),
            integer("created_at"),
            integer("changed_at"),
        ],
    ),
    table(
        "instance",
        &[
            text("id"),
            integer("number"),
            text("partner_id"),
            or_null(text("customer_id")),
            text("order_id"),
            text("account_name"),
            or_null(text("folded_name")),
            integer("displays"),
            integer("is_demo"),
            integer("is_monthly"),
            integer("renews"),
            text("made_of"),
            integer("renewal_at"),
            integer("created_at"),
            or_null(integer("removed_at")),
        ],
    ),
    table("name_claim", &[text("folded_name"), text("order_id")]),
    table(
        "licence_pool",
        &[
            text("id"),
            integer("number"),
            text("partner_id"),
            or_null(text("customer_id")),
            text("email"),
            text("folded_email"),
            integer("created_at"),
        ],
    ),
    table(
        "pool_version",
        &[
            integer("number"),
            text("pool_id"),
            text("version"),
            integer("licences"),
            integer("upgrades"),
            integer("created_at"),
        ],
    ),
    table(
        "device",
        &[
            integer("number"),
            integer("pool_version"),
            text("hardware"),
            text("name"),
            text("model"),
            text("manufacturer"),
            integer("version_code"),
            integer("is_blocked"),
            integer("is_rental"),
            or_null(integer("seen_at")),
        ],
    ),
    table(
        "plan_term",
        &[
            text("id"),
            text("partner_id"),
            text("order_id"),
            text("plan"),
            integer("catalogue_version"),
            integer("renews"),
            integer("starts_at"),
            integer("ends_at"),
            or_null(integer("ended_at")),
        ],
    ),
    table(
        "job",
        &[
            text("name"),
            text("kind"),
            text("partner_id"),
            text("object"),
            text("payload"),
            text("state"),
            integer("run_at"),
            integer("leased_until"),
            integer("attempts"),
            or_null(text("last_error")),
            integer("created_at"),
            integer("changed_at"),
        ],
    ),
    table(
        "mail",
        &[
            text("id"),
            text("partner_id"),
            text("recipient"),
            text("subject"),
            text("body"),
            integer("created_at"),
        ],
    ),
    keyed(
        2,
        table(
            "idempotency_key",
            &[
                text("credential_id"),
                text("name"),
                text("fingerprint"),
                integer("status"),
                text("body"),
                integer("created_at"),
            ],
        ),
    ),
    table(
        "reader_account",
        &[
            text("id"),
            text("property_id"),
            text("user_name"),
            text("folded_name"),
            text("first_name"),
            text("email"),
            or_null(text("role")),
            or_null(text("card")),
            or_null(text("card_label")),
            integer("created_at"),
        ],
    ),
    keyed(
        4,
        table(
            "reader_hit",
            &[
                text("reader_id"),
                text("period"),
                integer("starts_at"),
                integer("slot"),
                text("resource_id"),
                integer("at"),
            ],
        ),
    ),
    table(
        "reader_purchase",
        &[
            text("id"),
            text("reader_id"),
            text("resource_id"),
            text("order_id"),
            integer("bought_at"),
            or_null(integer("expires_at")),
        ],
    ),
    keyed(
        2,
        table(
            "reader_subscription",
            &[
                text("reader_id"),
                text("group_id"),
                integer("expires_at"),
                integer("changed_at"),
            ],
        ),
    ),
    table(
        "temporary_token",
        &[
            text("hash"),
            text("credential_id"),
            text("reader_id"),
            or_null(text("spider_page")),
            integer("is_remembered"),
            integer("expires_at"),
            or_null(integer("used_at")),
        ],
    ),
    table(
        "resource_count",
        &[
            text("resource_id"),
            integer("views"),
            integer("sales"),
            or_null(integer("moved_minor")),
            integer("moved_views"),
            integer("moved_sales"),
            or_null(integer("moved_from_minor")),
        ],
    ),
    table(
        "subscriber",
        &[
            text("id"),
            text("property_id"),
            text("subscriber_key"),
            integer("most_linked"),
            integer("linked"),
            text("validation"),
            text("eligible"),
            text("automatic"),
            text("fingerprint"),
            integer("created_at"),
            integer("changed_at"),
        ],
    ),
    keyed(
        2,
        table(
            "subscriber_link",
            &[
                text("subscriber_id"),
                text("reader_id"),
                integer("linked_at"),
            ],
        ),
    ),
    table("reader_detail", &[text("reader_id"), text("details")]),
    table(
        "queued",
        &[
            text("id"),
            text("property_id"),
            text("kind"),
            text("state"),
            text("request"),
            text("token"),
            or_null(integer("total")),
            integer("done"),
            integer("failed"),
            text("at_subscriber"),
            integer("created_at"),
            integer("changed_at"),
        ],
    ),
    keyed(
        2,
        table(
            "queued_piece",
            &[text("queued_id"), integer("place"), text("document")],
        ),
    ),
    keyed(
        2,
        table(
            "queued_error",
            &[text("queued_id"), integer("place"), text("message")],
        ),
    ),
    table(
        "callback",
        &[
            text("token"),
            text("property_id"),
            text("kind"),
            or_null(text("queued_id")),
            integer("created_at"),
        ],
    ),
    keyed(
        2,
        table(
            "callback_result",
            &[
                text("token"),
                integer("place"),
                text("document"),
                integer("created_at"),
            ],
        ),
    ),
    seeded(table("counter", &[text("name"), integer("value")])),
    seeded(table("meta", &[text("name"), text("value")])),
];

impl Table {
    /// The table of that name.
    pub fn find(name: &str) -> Option<&'static Table> {
        TABLES.iter().find(|table| table.name == name)
    }

    fn names(columns: &[Column]) -> String {
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        names.join(", ")
    }

    /// `$1, $2` for as many columns.
    fn parameters(from: usize, count: usize) -> String {
        let parameters: Vec<String> = (from..from + count).map(|n| format!("${n}")).collect();
        parameters.join(", ")
    }

    fn page_sql(&self) -> String {
        let key = Table::names(&self.columns[..self.key_columns]);
        format!(
            "SELECT {} FROM {} WHERE ({key}) > ({}) ORDER BY {key} LIMIT {PAGE}",
            Table::names(self.columns),
            self.name,
            Table::parameters(1, self.key_columns)
        )
    }

    fn insert_sql(&self, rows: usize) -> String {
        let width = self.columns.len();
        let values: Vec<String> = (0..rows)
            .map(|row| format!("({})", Table::parameters(1 + row * width, width)))
            .collect();
        format!(
            "INSERT INTO {} ({}) VALUES {}",
            self.name,
            Table::names(self.columns),
            values.join(", ")
        )
    }

    /// Less than every key: no text key is empty.
    fn before_all(&self) -> Vec<Value> {
        let lowest = |column: &Column| match column.kind {
            ColumnKind::Text => Value::Text(Some(String::new())),
            ColumnKind::Integer => Value::Integer(Some(i64::MIN)),
            ColumnKind::Blob => Value::Blob(Some(Vec::new())),
        };
        self.columns[..self.key_columns]
            .iter()
            .map(lowest)
            .collect()
    }
}

/// One field of a row; `None`: empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Of a text column.
    Text(Option<String>),
    /// Of an integer column.
    Integer(Option<i64>),
    /// Of a column of bytes.
    Blob(Option<Vec<u8>>),
}

/// A row: its fields in the order of [`Table::columns`].
pub type ArchiveRow = Vec<Value>;

/// Binds values of any kind to a query.
macro_rules! bind_all {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value.clone() {
                Value::Text(text) => query.bind(text),
                Value::Integer(integer) => query.bind(integer),
                Value::Blob(blob) => query.bind(blob),
            };
        }
        query
    }};
}

/// Reads a page on one of the two engines.
macro_rules! fetch_page {
    ($connection:expr, $table:expr, $after:expr) => {{
        let query = sqlx::query(AssertSqlSafe($table.page_sql()));
        let rows = bind_all!(query, $after).fetch_all($connection).await?;
        rows.iter()
            .map(|row| {
                let columns = $table.columns.iter().enumerate();
                columns
                    .map(|(place, column)| {
                        Ok(match column.kind {
                            ColumnKind::Text => Value::Text(row.try_get(place)?),
                            ColumnKind::Integer => Value::Integer(row.try_get(place)?),
                            ColumnKind::Blob => Value::Blob(row.try_get(place)?),
                        })
                    })
                    .collect()
            })
            .collect()
    }};
}

impl Reader {
    /// The rows of a table after one, in the order of the primary key, at most 500; none: that was
    /// all. `after`: the last row of the page before.
    pub async fn archive_page(
        &mut self,
        table: &Table,
        after: Option<&ArchiveRow>,
    ) -> Result<Vec<ArchiveRow>, StoreError> {
        let after = match after {
            Some(row) => row[..table.key_columns].to_vec(),
            None => table.before_all(),
        };
        let page: Result<_, sqlx::Error> = match &mut self.link {
            Link::Sqlite(connection) => fetch_page!(connection, table, &after),
            Link::SqlitePooled(connection) => fetch_page!(&mut **connection, table, &after),
            Link::Postgres(connection) => fetch_page!(&mut **connection, table, &after),
        };
        Ok(page?)
    }

    /// How the tables of a database differ from [`TABLES`]; none: not at all.
    pub async fn schema_differences(&mut self) -> Result<Vec<String>, StoreError> {
        let sql = match &self.link {
            Link::Postgres(_) => {
                "SELECT table_name::text, column_name::text,
                        CASE data_type WHEN 'bytea' THEN 'blob' WHEN 'bigint' THEN 'integer' ELSE data_type END::text,
                        CASE is_nullable WHEN 'YES' THEN 1 ELSE 0 END::bigint
                 FROM information_schema.columns WHERE table_schema = current_schema()"
            }
            // In a SQLite table without STRICT the columns of a primary key count as nullable.
            _ => {
                "SELECT m.name, c.name, lower(c.type), CASE WHEN c.\"notnull\" + c.pk > 0 THEN 0 ELSE 1 END
                 FROM sqlite_master m JOIN pragma_table_info(m.name) c
                 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
            }
        };
        let found = fetch_all!(&mut self.link, (String, String, String, i64), sql)?;
        let mut found: Vec<String> = found
            .into_iter()
            .map(|(table, column, kind, nullable)| describe(&table, &column, &kind, nullable == 1))
            .collect();
        let mut differences = Vec::new();
        for table in TABLES {
            for column in table.columns {
                let kind = format!("{:?}", column.kind).to_lowercase();
                let wanted = describe(table.name, column.name, &kind, column.nullable);
                match found.iter().position(|found| *found == wanted) {
                    Some(place) => drop(found.swap_remove(place)),
                    None => differences.push(format!("missing: {wanted}")),
                }
            }
        }
        differences.extend(found.into_iter().map(|extra| format!("not known: {extra}")));
        differences.sort();
        Ok(differences)
    }
}

fn describe(table: &str, column: &str, kind: &str, nullable: bool) -> String {
    let null = if nullable { " or null" } else { "" };
    format!("{table}.{column} {kind}{null}")
}

/// What the rows that were put into a database are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// The same data in another place: nothing was lost on the way.
    Copied,
    /// The data of an earlier moment: what was revoked since then is not in it.
    Restored {
        /// When the backup was made.
        made_at: Timestamp,
        /// Now; tokens of before it are refused.
        now: Timestamp,
    },
}

/// An empty database that is being filled, in one transaction; dropped before
/// [`ArchiveTarget::commit`] it stays empty.
pub struct ArchiveTarget {
    reader: Reader,
    environment: Environment,
    _lock: Option<File>,
}

impl ArchiveTarget {
    /// Makes the schema where there is none and begins.
    ///
    /// Errors: [`StoreError::NotEmpty`] where there are rows; else as [`crate::Store::open`].
    pub async fn open(
        database: &Database,
        environment: Environment,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let (mut link, lock) = open_target(database, environment, now).await?;
        // On PostgreSQL a node that starts meanwhile finds this locked.
        migration::begin(&mut link).await?;
        let mut target = ArchiveTarget {
            reader: Reader { link },
            environment,
            _lock: lock,
        };
        target.clear().await?;
        Ok(target)
    }

    /// Refuses rows, and removes those that a new database has.
    async fn clear(&mut self) -> Result<(), StoreError> {
        for table in TABLES {
            if table.seeded {
                let sql = AssertSqlSafe(format!("DELETE FROM {}", table.name));
                execute!(&mut self.reader.link, sql)?;
            } else if !self.reader.archive_page(table, None).await?.is_empty() {
                return Err(StoreError::NotEmpty { table: table.name });
            }
        }
        Ok(())
    }

    /// Adds rows exactly as they are; those that others refer to come first.
    pub async fn put(&mut self, table: &Table, rows: &[ArchiveRow]) -> Result<(), StoreError> {
        for page in rows.chunks(PAGE as usize) {
            let sql = AssertSqlSafe(table.insert_sql(page.len()));
            let values = page.iter().flatten();
            match &mut self.reader.link {
                Link::Sqlite(connection) => {
                    let query = bind_all!(sqlx::query(sql), values);
                    query.execute(connection).await.map(drop)?;
                }
                Link::SqlitePooled(connection) => {
                    let query = bind_all!(sqlx::query(sql), values);
                    query.execute(&mut **connection).await.map(drop)?;
                }
                Link::Postgres(connection) => {
                    let query = bind_all!(sqlx::query(sql), values);
                    query.execute(&mut **connection).await.map(drop)?;
                }
            }
        }
        Ok(())
    }

    /// Revokes a credential among what was put; `false`: there is none of that id.
    pub async fn revoke(&mut self, id: CredentialId, now: Timestamp) -> Result<bool, StoreError> {
        let found = execute!(
            &mut self.reader.link,
            "UPDATE credential SET state = 'revoked', revoked_at = COALESCE(revoked_at, $2) WHERE id = $1",
            id.to_string(),
            now.micros()
        )?;
        Ok(found > 0)
    }

    /// Checks the stamp that came with the rows, writes what kind of arrival it was, and commits.
    pub async fn commit(mut self, arrival: Arrival) -> Result<(), StoreError> {
        self.reader.check_stamp(self.environment).await?;
        if let Arrival::Restored { made_at, now } = arrival {
            meta::stamp_restored(&mut self.reader, made_at, now).await?;
        }
        execute!(&mut self.reader.link, "COMMIT")
            .map_err(|error| StoreError::OutcomeUnknown(error.to_string()))?;
        if let Link::Sqlite(connection) = self.reader.link {
            sqlx::Connection::close(connection).await?;
        }
        Ok(())
    }
}
