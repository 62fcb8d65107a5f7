//! What a database says of itself: whose it is, its schema, whether it was restored.

use wayleave_core::{Environment, Timestamp};

use crate::link::Link;
use crate::migration::{newest_schema, read_meta, write_meta};
use crate::{Reader, StoreError, Transaction};

const RESTORED_AT: &str = "restored_at";
/// When the backup was made whose keys still have to be checked.
const KEY_CHECK: &str = "key_check";
const MASTER_KEY_BACKED_UP: &str = "master_key_backed_up";

/// Whose a database is, and how new.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// `live` or `test`.
    pub environment: String,
    /// How many migrations it has taken.
    pub schema: i64,
}

impl Reader {
    /// Reads the stamp; `None`: nothing of ours is in the database.
    pub async fn stamp(&mut self) -> Result<Option<Stamp>, StoreError> {
        let sql = match &self.link {
            Link::Postgres(_) => {
                "SELECT count(*) FROM information_schema.tables
                 WHERE table_schema = current_schema() AND table_name = 'meta'"
            }
            _ => "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'meta'",
        };
        let tables = fetch_all!(&mut self.link, (i64,), sql)?;
        if tables.first().is_none_or(|(count,)| *count == 0) {
            return Ok(None);
        }
        let environment = read_meta(&mut self.link, "environment").await?;
        let schema = read_meta(&mut self.link, "schema").await?;
        let (Some(environment), Some(schema)) = (environment, schema) else {
            return Ok(None);
        };
        let schema = schema
            .parse()
            .map_err(|error| StoreError::corrupt("schema number", error))?;
        Ok(Some(Stamp {
            environment,
            schema,
        }))
    }

    /// Refuses a database that is not this environment's, or has not exactly the newest schema.
    pub async fn check_stamp(&mut self, wanted: Environment) -> Result<(), StoreError> {
        let stamp = self.stamp().await?.ok_or(StoreError::NoData)?;
        let known = newest_schema();
        if stamp.environment != wanted.as_str() {
            let stamped = stamp.environment;
            Err(StoreError::WrongEnvironment { stamped, wanted })
        } else if stamp.schema > known {
            let found = stamp.schema;
            Err(StoreError::FromTheFuture { found, known })
        } else if stamp.schema < known {
            let found = stamp.schema;
            Err(StoreError::Outdated { found, known })
        } else {
            Ok(())
        }
    }

    async fn meta_moment(&mut self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let text = read_meta(&mut self.link, name).await?;
        text.map(|text| text.parse().map(Timestamp::from_micros))
            .transpose()
            .map_err(|error| StoreError::corrupt("moment", error))
    }

    /// When the database was last restored from a backup, in full seconds; tokens that were issued
    /// before are refused.
    pub async fn restored_at(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.meta_moment(RESTORED_AT).await
    }

    /// When the backup was made after which revocations may have been lost, while the operator has
    /// not confirmed that the keys were checked.
    pub async fn key_check_wanted(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.meta_moment(KEY_CHECK).await
    }

    /// The name of the master key that the operator said is backed up.
    pub async fn master_key_backed_up(&mut self) -> Result<Option<String>, StoreError> {
        read_meta(&mut self.link, MASTER_KEY_BACKED_UP).await
    }
}

impl Transaction {
    /// Notes that the operator has checked the keys after a restore.
    pub async fn confirm_key_check(&mut self) -> Result<(), StoreError> {
        execute!(self.link(), "DELETE FROM meta WHERE name = $1", KEY_CHECK).map(drop)
    }

    /// Notes which master key the operator has backed up.
    pub async fn set_master_key_backed_up(&mut self, key_id: &str) -> Result<(), StoreError> {
        write_meta(self.link(), MASTER_KEY_BACKED_UP, key_id).await
    }
}

/// Stamps a restored database. The moment is rounded up to the next full second, since tokens tell
/// theirs in full seconds.
pub(crate) async fn stamp_restored(
    reader: &mut Reader,
    made_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let next_second = Timestamp::from_unix_s(now.unix_s() + 1);
    let before = reader.restored_at().await?.unwrap_or(next_second);
    let epoch = next_second.max(before).micros().to_string();
    // A check that an earlier restore wanted reaches further back.
    let wanted = reader.key_check_wanted().await?.unwrap_or(made_at);
    let since = made_at.min(wanted).micros().to_string();
    write_meta(&mut reader.link, RESTORED_AT, &epoch).await?;
    write_meta(&mut reader.link, KEY_CHECK, &since).await
}
