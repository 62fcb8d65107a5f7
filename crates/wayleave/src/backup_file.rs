//! The form of a backup: lines of JSON. The first says whose it is, the last how many rows there
//! are and the SHA-256 of everything before it; each line between is a row, bytes in base64.
//! `docs/backup.md` describes it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wayleave_core::{Environment, Timestamp};
use wayleave_protocol::hex;
use wayleave_store::{ArchiveRow, Column, ColumnKind, Table, Value, newest_schema};

const FORMAT: &str = "wayleave-backup";
const VERSION: u32 = 1;
/// No row is near this long.
const LONGEST_LINE_BYTES: u64 = 64 * 1024 * 1024;

/// Why a file is not restored. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupFileError {
    #[error("the backup cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("this is no backup of Wayleave: its first line is not the head of one")]
    NotABackup,
    #[error(
        "this backup has form {found}, newer than the {VERSION} that this version knows: restore it with the version that made it"
    )]
    NewerForm { found: u32 },
    #[error(
        "this is a backup of {found} and not of {wanted}: live and test never mix; choose the other file, or --env {found}"
    )]
    OtherEnvironment { found: String, wanted: Environment },
    #[error(
        "this backup has schema {found}, newer than the {known} of this version: restore it with version {made_by} or a newer one"
    )]
    FromTheFuture {
        found: i64,
        known: i64,
        made_by: String,
    },
    #[error(
        "this backup has schema {found}, older than the {known} of this version: restore it with version {made_by}, start that once, and then this one, which brings it up to date"
    )]
    Outdated {
        found: i64,
        known: i64,
        made_by: String,
    },
    #[error("line {line} of the backup cannot be read: {why}; take another backup")]
    Damaged { line: u64, why: String },
    #[error("the backup ends early: its last line is missing; take another backup")]
    Truncated,
    #[error("the backup was altered: its content does not fit its checksum; take another backup")]
    Checksum,
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    format: String,
    version: u32,
    pub(crate) environment: String,
    pub(crate) schema: i64,
    /// Microseconds since 1970 UTC.
    created_at: i64,
    wayleave_version: String,
}

impl Head {
    /// The head of a backup made now by this version.
    pub(crate) fn new(environment: Environment, now: Timestamp) -> Self {
        Head {
            format: FORMAT.to_owned(),
            version: VERSION,
            environment: environment.as_str().to_owned(),
            schema: newest_schema(),
            created_at: now.micros(),
            wayleave_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// When the backup was made.
    pub(crate) fn made_at(&self) -> Timestamp {
        Timestamp::from_micros(self.created_at)
    }

    /// Refuses a backup that is not for this environment and schema.
    pub(crate) fn check(&self, wanted: Environment) -> Result<(), BackupFileError> {
        let (found, known) = (self.schema, newest_schema());
        let made_by = self.wayleave_version.clone();
        if self.environment != wanted.as_str() {
            let found = self.environment.clone();
            Err(BackupFileError::OtherEnvironment { found, wanted })
        } else if found > known {
            Err(BackupFileError::FromTheFuture {
                found,
                known,
                made_by,
            })
        } else if found < known {
            Err(BackupFileError::Outdated {
                found,
                known,
                made_by,
            })
        } else {
            Ok(())
        }
    }
}

/// What was written or read.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub(crate) struct Tally {
    /// How many rows of each table.
    pub(crate) tables: BTreeMap<&'static str, u64>,
    /// How many rows in all.
    pub(crate) rows: u64,
    /// How long the whole is.
    pub(crate) bytes: u64,
    /// Of everything before the last line, in hex.
    pub(crate) sha256: String,
}

impl Tally {
    fn count(&mut self, table: &'static Table) {
        *self.tables.entry(table.name).or_default() += 1;
        self.rows += 1;
    }

    /// As one line of JSON.
    pub(crate) fn json(&self) -> String {
        let body = json!(self);
        format!("{body}\n")
    }
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: bool,
    rows: u64,
    sha256: String,
}

/// Writes a backup.
pub(crate) struct BackupWriter<W> {
    out: W,
    hash: digest::Context,
    tally: Tally,
}

impl<W: Write> BackupWriter<W> {
    /// Writes the head.
    pub(crate) fn new(out: W, head: &Head) -> io::Result<Self> {
        let mut writer = BackupWriter {
            out,
            hash: digest::Context::new(&digest::SHA256),
            tally: Tally::default(),
        };
        writer.line(&serde_json::to_string(head)?)?;
        Ok(writer)
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.hash.update(text.as_bytes());
        self.hash.update(b"\n");
        self.tally.bytes += text.len() as u64 + 1;
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")
    }

    /// Writes a row.
    pub(crate) fn row(&mut self, table: &'static Table, row: &ArchiveRow) -> io::Result<()> {
        let fields: Vec<serde_json::Value> = row.iter().map(to_json).collect();
        self.line(&json!({ "t": table.name, "r": fields }).to_string())?;
        self.tally.count(table);
        Ok(())
    }

    /// Writes the end.
    pub(crate) fn finish(mut self) -> io::Result<(W, Tally)> {
        let sha256 = hex::lower(self.hash.clone().finish().as_ref());
        self.tally.sha256.clone_from(&sha256);
        let end = End {
            end: true,
            rows: self.tally.rows,
            sha256,
        };
        self.line(&serde_json::to_string(&end)?)?;
        self.out.flush()?;
        Ok((self.out, self.tally))
    }

    /// How many rows were written.
    pub(crate) fn rows(&self) -> u64 {
        self.tally.rows
    }
}

fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(integer) => json!(integer),
        Value::Blob(blob) => json!(blob.as_ref().map(|bytes| STANDARD.encode(bytes))),
    }
}

fn from_json(column: &Column, value: serde_json::Value) -> Result<Value, String> {
    use serde_json::Value as Json;
    let wrong = || format!("{} is not as it should be", column.name);
    Ok(match (column.kind, value) {
        (_, Json::Null) if !column.nullable => return Err(format!("{} is empty", column.name)),
        (ColumnKind::Text, Json::Null) => Value::Text(None),
        (ColumnKind::Integer, Json::Null) => Value::Integer(None),
        (ColumnKind::Blob, Json::Null) => Value::Blob(None),
        (ColumnKind::Text, Json::String(text)) => Value::Text(Some(text)),
        (ColumnKind::Integer, Json::Number(number)) => {
            Value::Integer(Some(number.as_i64().ok_or_else(wrong)?))
        }
        (ColumnKind::Blob, Json::String(text)) => {
            Value::Blob(Some(STANDARD.decode(text).map_err(|_| wrong())?))
        }
        _ => return Err(wrong()),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowLine {
    t: String,
    r: Vec<serde_json::Value>,
}

fn read_row(line: &str) -> Result<(&'static Table, ArchiveRow), String> {
    let RowLine { t, r } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let table = Table::find(&t).ok_or_else(|| format!("there is no table {t:?}"))?;
    if r.len() != table.columns.len() {
        return Err(format!("a row of {t} has {} fields", table.columns.len()));
    }
    let fields = table.columns.iter().zip(r);
    let row = fields
        .map(|(column, value)| from_json(column, value))
        .collect::<Result<_, _>>()?;
    Ok((table, row))
}

/// The lines of a file, with the sum of those that were hashed.
struct Lines {
    file: BufReader<File>,
    /// The number of the line that was read last.
    number: u64,
    bytes: u64,
    hash: digest::Context,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, BackupFileError> {
        let file = File::open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(Lines {
            file: BufReader::new(file),
            number: 0,
            bytes: 0,
            hash: digest::Context::new(&digest::SHA256),
        })
    }

    /// The next line without its end; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<String>, BackupFileError> {
        let mut line = String::new();
        self.number += 1;
        let mut limited = io::Read::take(&mut self.file, LONGEST_LINE_BYTES);
        match limited.read_line(&mut line) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(self.damaged(error.to_string()))
            }
            Err(error) => Err(error.into()),
            Ok(0) => Ok(None),
            Ok(_) if line.ends_with('\n') => {
                self.bytes += line.len() as u64;
                line.pop();
                Ok(Some(line))
            }
            Ok(_) => Err(BackupFileError::Truncated),
        }
    }

    fn hash(&mut self, line: &str) {
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
    }

    fn sha256(&self) -> String {
        hex::lower(self.hash.clone().finish().as_ref())
    }

    fn damaged(&self, why: String) -> BackupFileError {
        let line = self.number;
        BackupFileError::Damaged { line, why }
    }
}

fn read_head(line: &str) -> Result<Head, BackupFileError> {
    let not_ours = |_| BackupFileError::NotABackup;
    let head: serde_json::Value = serde_json::from_str(line).map_err(not_ours)?;
    if head["format"] != FORMAT {
        return Err(BackupFileError::NotABackup);
    }
    match head["version"]
        .as_u64()
        .and_then(|version| u32::try_from(version).ok())
    {
        Some(VERSION) => serde_json::from_value(head).map_err(not_ours),
        Some(found) => Err(BackupFileError::NewerForm { found }),
        None => Err(BackupFileError::NotABackup),
    }
}

/// Reads a backup line by line.
pub(crate) struct BackupReader {
    lines: Lines,
    head: Head,
    tally: Tally,
}

impl BackupReader {
    /// Reads the head.
    pub(crate) fn open(path: &Path) -> Result<Self, BackupFileError> {
        let mut lines = Lines::open(path)?;
        let line = lines.next()?.ok_or(BackupFileError::NotABackup)?;
        let head = read_head(&line)?;
        lines.hash(&line);
        Ok(BackupReader {
            lines,
            head,
            tally: Tally::default(),
        })
    }

    /// The first line.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The next row; `None` after the last one, when everything fits the checksum.
    pub(crate) fn next_row(
        &mut self,
    ) -> Result<Option<(&'static Table, ArchiveRow)>, BackupFileError> {
        let line = self.lines.next()?.ok_or(BackupFileError::Truncated)?;
        if line.starts_with("{\"end\"") {
            self.check_end(&line)?;
            return Ok(None);
        }
        self.lines.hash(&line);
        let (table, row) = read_row(&line).map_err(|why| self.lines.damaged(why))?;
        self.tally.count(table);
        Ok(Some((table, row)))
    }

    fn check_end(&mut self, line: &str) -> Result<(), BackupFileError> {
        let end: End =
            serde_json::from_str(line).map_err(|error| self.lines.damaged(error.to_string()))?;
        let sha256 = self.lines.sha256();
        let fits = end.end && end.rows == self.tally.rows && end.sha256 == sha256;
        if !fits || self.lines.next()?.is_some() {
            return Err(BackupFileError::Checksum);
        }
        self.tally.sha256 = sha256;
        Ok(())
    }

    /// What was read, once [`BackupReader::next_row`] has answered `None`.
    pub(crate) fn into_tally(mut self) -> Tally {
        self.tally.bytes = self.lines.bytes;
        self.tally
    }

    /// Reads everything to the end.
    pub(crate) fn verify(mut self) -> Result<Tally, BackupFileError> {
        while self.next_row()?.is_some() {}
        Ok(self.into_tally())
    }
}
