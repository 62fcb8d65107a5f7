use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use wayleave_core::Environment;
use wayleave_engine::Database;
use wayleave_store::RawConnection;

use crate::TestFolder;

/// The server that the PostgreSQL half of the tests uses: a URL with the right to make databases.
const POSTGRES: &str = "WAYLEAVE_TEST_POSTGRES";

/// One of the two engines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DatabaseKind {
    /// A file for each environment.
    Sqlite,
    /// A database for each environment.
    Postgres,
}

impl DatabaseKind {
    /// Whether tests can run on it here; says so when they cannot.
    pub fn is_available(self) -> bool {
        let available = self == DatabaseKind::Sqlite || std::env::var_os(POSTGRES).is_some();
        if !available {
            eprintln!("left out: {POSTGRES} is not set; cargo xtask test sets it");
        }
        available
    }
}

/// A fresh pair of databases.
#[derive(Debug)]
pub struct TestDatabases {
    /// The database of live.
    pub live: Database,
    /// The database of test.
    pub test: Database,
    made: Vec<String>,
}

impl TestDatabases {
    /// Makes a pair of either kind; files lie in the folder.
    pub fn new(kind: DatabaseKind, folder: &TestFolder) -> Self {
        match kind {
            DatabaseKind::Sqlite => {
                let file = |name: &str| Database::Sqlite(folder.path().join(name));
                TestDatabases {
                    live: file("live.db"),
                    test: file("test.db"),
                    made: Vec::new(),
                }
            }
            DatabaseKind::Postgres => {
                let (live, live_url) = create_postgres(Environment::Live);
                let (test, test_url) = create_postgres(Environment::Test);
                TestDatabases {
                    live: Database::Postgres(live_url),
                    test: Database::Postgres(test_url),
                    made: vec![live, test],
                }
            }
        }
    }
}

impl TestDatabases {
    /// Takes the database of an environment away while somebody uses it, for good: that of PostgreSQL is
    /// dropped, and a file has none of its tables any more, because files in use stay readable.
    pub fn take_away(&self, environment: Environment) {
        let database = match environment {
            Environment::Live => &self.live,
            Environment::Test => &self.test,
        };
        if matches!(database, Database::Sqlite(_)) {
            RawSql::open(database).rename_tables();
        }
        let prefix = format!("wayleave_{environment}_");
        for name in self.made.iter().filter(|name| name.starts_with(&prefix)) {
            psql(&format!("DROP DATABASE {name} WITH (FORCE)")).expect("it is gone");
        }
    }
}

impl Drop for TestDatabases {
    fn drop(&mut self) {
        for name in &self.made {
            let _ = psql(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

fn server() -> String {
    std::env::var(POSTGRES).expect("a PostgreSQL server; cargo xtask test starts one")
}

fn create_postgres(environment: Environment) -> (String, String) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("wayleave_{environment}_{}_{number}", std::process::id());
    psql(&format!("CREATE DATABASE {name}")).expect("a database");
    let server = server();
    let (base, _) = server.rsplit_once('/').expect("a URL with a database");
    let url = format!("{base}/{name}");
    (name, url)
}

fn psql(statement: &str) -> Result<(), String> {
    let output = Command::new("psql")
        .args([
            "--no-psqlrc",
            "--quiet",
            "--set",
            "ON_ERROR_STOP=1",
            "--command",
            statement,
        ])
        .arg(server())
        .output()
        .map_err(|error| format!("psql: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// SQL as it comes, past every rule, to look into a database or to tamper with it.
pub struct RawSql(RawConnection);

impl RawSql {
    /// Connects beside whoever uses the database.
    pub fn open(database: &Database) -> Self {
        RawSql(RawConnection::open(database).expect("a connection"))
    }

    /// Whether the database is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.0.is_postgres()
    }

    /// Runs statements.
    pub fn run(&mut self, sql: &str) {
        self.rows(sql);
    }

    /// Runs statements and gives their rows; see [`RawConnection::rows`].
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<Vec<u8>>>> {
        self.0
            .rows(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The one column of the rows, as text.
    pub fn texts(&mut self, sql: &str) -> Vec<String> {
        let text = |row: Vec<Option<Vec<u8>>>| {
            let value = row.into_iter().next().flatten().unwrap_or_default();
            String::from_utf8(value).expect("a text")
        };
        self.rows(sql).into_iter().map(text).collect()
    }

    /// Bytes as this engine writes them in a statement.
    pub fn literal(&self, bytes: &[u8]) -> String {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.is_postgres() {
            format!("'\\x{digits}'::bytea")
        } else {
            format!("x'{digits}'")
        }
    }

    /// The names of all tables of Wayleave's.
    pub fn tables(&mut self) -> Vec<String> {
        let sql = if self.is_postgres() {
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        } else {
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        };
        self.texts(sql)
    }

    /// Takes every table out of the way of a file's users, at once.
    fn rename_tables(&mut self) {
        let tables = self.tables();
        let own = tables.iter().filter(|table| !table.starts_with("sqlite_"));
        let renamed = own.map(|table| format!("ALTER TABLE {table} RENAME TO {table}_away;"));
        let renamed: String = renamed.collect();
        self.run(&format!("BEGIN IMMEDIATE; {renamed} COMMIT"));
    }

    /// The names of the columns of a table.
    pub fn columns(&mut self, table: &str) -> Vec<String> {
        let from = if self.is_postgres() {
            "column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name ="
        } else {
            "name FROM pragma_table_info WHERE arg ="
        };
        self.texts(&format!("SELECT {from} '{table}'"))
    }
}

/// Takes a database away from everybody, until this is dropped.
pub enum TakenAway {
    /// A lock that keeps every writer waiting in vain.
    Sqlite(Box<RawSql>),
    /// The name of the database that takes no connection.
    Postgres(String),
}

impl TakenAway {
    /// Takes it away: PostgreSQL ends its connections and refuses new ones, and a SQLite file is
    /// locked for writing.
    pub fn take(database: &Database) -> Self {
        match database {
            Database::Sqlite(_) => {
                let mut sql = RawSql::open(database);
                sql.run("BEGIN IMMEDIATE");
                TakenAway::Sqlite(Box::new(sql))
            }
            Database::Postgres(url) => {
                let (_, name) = url.rsplit_once('/').expect("a URL with a database");
                psql(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).expect("closed");
                let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname =";
                psql(&format!("{end} '{name}'")).expect("ended");
                TakenAway::Postgres(name.to_owned())
            }
        }
    }
}

impl Drop for TakenAway {
    fn drop(&mut self) {
        match self {
            TakenAway::Sqlite(sql) => sql.run("ROLLBACK"),
            TakenAway::Postgres(name) => {
                psql(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).expect("opened");
            }
        }
    }
}
