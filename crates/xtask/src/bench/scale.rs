//! Directories of different sizes: how fast they are, how much memory they take, and how long the
//! largest takes to load.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::fill::Key;
use super::options::Options;
use super::report::Once;
use super::rounds::{Rounds, Stand, Visits};
use super::scratch::{Scratch, Server};
use super::servers::Places;
use super::target::{Phase, Target};
use super::workload::Workload;
use super::wrk::Wrk;
use crate::command::command;

/// Ten million credentials take a minute or two in memory, and half an hour on disk.
const FILLING: Duration = Duration::from_secs(1_200);
const IMPORTING: Duration = Duration::from_secs(3 * 3_600);
/// The most memory that a credential with one secret may take.
const MOST_BYTES: f64 = 170.0;

/// What `scale serve` prints.
#[derive(Deserialize)]
struct Serving {
    address: String,
    empty_bytes: u64,
    filled_bytes: u64,
}

/// A server with a filled directory.
struct Filled<'a> {
    server: Server<'a>,
    line: Serving,
    keys: Vec<Key>,
    credentials: usize,
}

impl<'a> Filled<'a> {
    fn start(
        options: &Options,
        places: &Places,
        scratch: &'a Scratch,
        target: Target,
    ) -> Result<Filled<'a>, String> {
        let (name, credentials) = (target.name(), target.directory(options.scale));
        eprintln!("bench: filling a directory with {credentials} credentials");
        let folder = scratch.path(&format!("{name}-data"));
        let numbers = [credentials, options.credentials].map(|number| number.to_string());
        let mut program = command(places.scale());
        program.arg("serve").arg(&folder).args(numbers);
        let mut server = scratch.start(name, program)?;
        let line = server.wait_for_line(FILLING)?;
        let keys = folder.join("keys.json");
        let text = fs::read_to_string(&keys).map_err(|error| format!("keys.json: {error}"))?;
        let keys: Vec<Key> =
            serde_json::from_str(&text).map_err(|error| format!("keys.json: {error}"))?;
        Ok(Filled {
            server,
            line,
            // As many requests to each, so that the client has as much to read.
            keys: keys.into_iter().cycle().take(options.credentials).collect(),
            credentials,
        })
    }

    fn bytes_per_credential(&self) -> f64 {
        let grown = self.line.filled_bytes.saturating_sub(self.line.empty_bytes);
        grown as f64 / self.credentials as f64
    }
}

/// Fills the directories, visits their servers, and tells what memory they took.
pub(super) fn measure(
    options: &Options,
    places: &Places,
    wrk: &Wrk,
) -> Result<(Visits, Vec<Once>), String> {
    let targets = options.targets_of(Phase::Scale);
    if targets.is_empty() {
        return Ok((Visits::new(), Vec::new()));
    }
    let scratch = Scratch::below(&places.build, "bench")?;
    let mut filled = BTreeMap::new();
    for target in targets.iter().copied() {
        filled.insert(target, Filled::start(options, places, &scratch, target)?);
    }
    let mut stands = BTreeMap::new();
    for (target, filled) in &filled {
        let file = scratch.path(&format!("{}.requests", target.name()));
        let (address, keys) = (&filled.line.address, filled.keys.clone());
        let workload = Workload::new(*target, address, file, keys, None)?;
        let server = &filled.server;
        stands.insert(
            *target,
            Stand {
                server,
                asks: None,
                workload,
            },
        );
    }
    let visits = Rounds {
        options,
        places,
        wrk,
        targets,
        stands,
    }
    .run()?;
    // A thousand credentials are too few to tell their memory from the process's own.
    let large = filled
        .iter()
        .filter(|(target, _)| **target != Target::ScaleThousand);
    let sizes = large.map(|(target, filled)| size(*target, filled));
    Ok((visits, sizes.collect()))
}

fn size(target: Target, filled: &Filled<'_>) -> Once {
    Once {
        name: format!("memory at {}", amount(filled.credentials)),
        value: filled.bytes_per_credential(),
        unit: "bytes/credential",
        at_most: Some(MOST_BYTES),
        command: format!("cargo xtask bench --only {}", target.name()),
    }
}

/// What `scale import` and `scale load` print.
#[derive(Deserialize)]
struct Timed {
    seconds: f64,
    credentials: usize,
}

/// Writes credentials into a SQLite database, and times a start on it.
pub(super) fn load(places: &Places, count: usize) -> Result<Once, String> {
    let scratch = Scratch::below(&places.build, "bench")?;
    let folder = scratch.path("import-data");
    eprintln!("bench: importing {count} credentials");
    let mut program = command(places.scale());
    program.arg("import").arg(&folder).arg(count.to_string());
    let imported = timed(&scratch, "import", program)?;
    eprintln!("bench:   imported in {:.1} s", imported.seconds);
    let mut program = command(places.scale());
    program.arg("load").arg(&folder);
    let loaded = timed(&scratch, "load", program)?;
    if loaded.credentials != count {
        return Err(format!("{} of {count} were loaded", loaded.credentials));
    }
    Ok(Once {
        name: format!("load of {} from disk", amount(count)),
        value: loaded.seconds,
        unit: "s",
        at_most: None,
        command: format!("cargo xtask bench --only load --load {count}"),
    })
}

fn timed(scratch: &Scratch, name: &str, program: Command) -> Result<Timed, String> {
    scratch.start(name, program)?.wait_for_line(IMPORTING)
}

/// A number of credentials in words, where it is a round one.
fn amount(count: usize) -> String {
    let number = match (count % 1_000_000, count % 1_000) {
        (0, _) => format!("{} million", count / 1_000_000),
        (_, 0) => format!("{} thousand", count / 1_000),
        _ => count.to_string(),
    };
    format!("{number} credentials")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers_are_written_in_words() {
        assert_eq!(amount(10_000_000), "10 million credentials");
        assert_eq!(amount(100_000), "100 thousand credentials");
        assert_eq!(amount(1_500), "1500 credentials");
    }
}
