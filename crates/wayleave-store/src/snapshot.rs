//! A database opened to be read at one moment: for backups, copies and `doctor`.

use std::fs::File;

use wayleave_core::Timestamp;

use crate::database::open_snapshot;
use crate::link::Link;
use crate::{Database, Reader, StoreError};

/// One consistent view of a database, whatever others write meanwhile. It writes nothing.
pub struct Snapshot {
    reader: Reader,
    _lock: Option<File>,
}

/// What the database itself says about its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatabaseState {
    /// `SQLite` or `PostgreSQL`.
    pub engine: &'static str,
    /// Its version, such as `3.51.3`.
    pub version: String,
    /// Settings that durability depends on, by name: `journal_mode` and `synchronous` on SQLite,
    /// `synchronous_commit` and `fsync` on PostgreSQL.
    pub settings: Vec<(&'static str, String)>,
}

impl Snapshot {
    /// Opens a database, also beside a server that has it open. Errors: not there, not reachable.
    pub async fn open(database: &Database) -> Result<Self, StoreError> {
        let (reader, lock) = open_snapshot(database, false).await?;
        Ok(Snapshot {
            reader,
            _lock: lock,
        })
    }

    /// Opens a database and, where it is a SQLite file, keeps servers away meanwhile:
    /// [`StoreError::InUse`] where one is running.
    pub async fn open_alone(database: &Database) -> Result<Self, StoreError> {
        let (reader, lock) = open_snapshot(database, true).await?;
        Ok(Snapshot {
            reader,
            _lock: lock,
        })
    }

    /// Reads what was there when the snapshot was opened.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }
}

impl Reader {
    async fn setting(&mut self, sql: &'static str) -> Result<String, StoreError> {
        let rows = fetch_all!(&mut self.link, (String,), sql)?;
        Ok(rows.into_iter().next().map_or(String::new(), |row| row.0))
    }

    /// The engine, its version, and the settings that durability depends on.
    pub async fn database_state(&mut self) -> Result<DatabaseState, StoreError> {
        if let Link::Postgres(_) = &self.link {
            return Ok(DatabaseState {
                engine: "PostgreSQL",
                version: self.setting("SHOW server_version").await?,
                settings: vec![
                    (
                        "synchronous_commit",
                        self.setting("SHOW synchronous_commit").await?,
                    ),
                    ("fsync", self.setting("SHOW fsync").await?),
                ],
            });
        }
        let synchronous =
            "SELECT CASE synchronous WHEN 2 THEN 'full' ELSE 'other' END FROM pragma_synchronous";
        Ok(DatabaseState {
            engine: "SQLite",
            version: self.setting("SELECT sqlite_version()").await?,
            settings: vec![
                (
                    "journal_mode",
                    self.setting("SELECT journal_mode FROM pragma_journal_mode")
                        .await?,
                ),
                ("synchronous", self.setting(synchronous).await?),
            ],
        })
    }

    /// What SQLite finds broken in the file (`integrity_check` and `foreign_key_check`); none: it
    /// is whole. PostgreSQL checks its own files, so nothing is looked at there.
    pub async fn broken_parts(&mut self) -> Result<Vec<String>, StoreError> {
        if let Link::Postgres(_) = &self.link {
            return Ok(Vec::new());
        }
        let found = fetch_all!(
            &mut self.link,
            (String,),
            "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'
             UNION ALL
             SELECT 'a row of ' || \"table\" || ' refers to one of ' || parent || ' that is not there'
             FROM pragma_foreign_key_check"
        )?;
        Ok(found.into_iter().map(|(text,)| text).collect())
    }

    /// The moment of the newest row that has one.
    pub async fn newest_moment(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (Option<i64>,),
            "SELECT MAX(moment) FROM (
                SELECT MAX(created_at) AS moment FROM credential UNION ALL
                SELECT MAX(created_at) FROM signing_key UNION ALL
                SELECT MAX(at) FROM change UNION ALL
                SELECT MAX(at) FROM audit) AS moments"
        )?;
        let newest = rows.into_iter().next().and_then(|(moment,)| moment);
        Ok(newest.map(Timestamp::from_micros))
    }
}
