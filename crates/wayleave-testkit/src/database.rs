use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use wayleave_core::Environment;
use wayleave_engine::Database;

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
    /// Takes PostgreSQL databases away while somebody uses them, as an outage does.
    pub fn take_away(&self, environment: Environment) {
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
