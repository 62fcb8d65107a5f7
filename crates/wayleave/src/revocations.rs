//! What an export of the audit trail says about credentials that ended.

use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;
use wayleave_core::{CredentialId, Timestamp};

use crate::backup::Failure;

/// The acts that end a secret which a restored backup would bring back.
const ENDING_ACTS: [&str; 3] = [
    "credential.revoke",
    "credential.refresh",
    "credential.disable",
];

/// The credentials that ended.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    pub(crate) credentials: Vec<CredentialId>,
}

impl Revocations {
    /// Reads an export: JSON lines with the members `act` and `object`, and where they are there
    /// `at_us` (microseconds; what was before the backup is in it) and `stage` (what failed did not
    /// happen).
    pub(crate) fn read(path: &Path, since: Timestamp) -> Result<Self, Failure> {
        let file =
            std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut revocations = Revocations::default();
        for (place, line) in BufReader::new(file).lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let ended = ended(&line, since).map_err(|why| {
                format!(
                    "{}, line {}: {why}; nothing was restored",
                    path.display(),
                    place + 1
                )
            })?;
            revocations.credentials.extend(ended);
        }
        revocations.credentials.sort_unstable();
        revocations.credentials.dedup();
        Ok(revocations)
    }
}

fn ended(line: &str, since: Timestamp) -> Result<Option<CredentialId>, String> {
    let row: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let act = row["act"].as_str().ok_or("there is no member act")?;
    let is_older = row["at_us"].as_i64().is_some_and(|at| at < since.micros());
    if !ENDING_ACTS.contains(&act) || row["stage"] == "failed" || is_older {
        return Ok(None);
    }
    let object = row["object"].as_str().ok_or("there is no member object")?;
    let id = object
        .parse()
        .map_err(|_| format!("{object:?} is no id of a credential"))?;
    Ok(Some(id))
}
