//! From tallies to the table, `docs/reliability.json` and `docs/reliability.md`.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::ledger::Violation;
use super::options::{Engine, Options};
use super::oracle::{LOSSES, count, row};
use crate::bench::stats::Spread;

/// The goal of what must never be.
const NEVER: &str = "0";
/// A missed goal that nobody has explained yet.
const NO_CAUSE: &str = "not yet examined";
/// How long a new start after a kill may take, in seconds.
const READY_GOAL_S: f64 = 2.0;
/// How long it may take until changes are taken again after PostgreSQL came back, in seconds.
const HEAL_GOAL_S: f64 = 10.0;

/// Why a goal was missed, by `NAME on DATABASE`: written by a person.
pub(super) type Causes = BTreeMap<String, String>;

/// What was seen on one database.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) engine: Engine,
    pub(super) seed: u64,
    pub(super) kills: usize,
    pub(super) requests: usize,
    pub(super) acknowledged: usize,
    pub(super) violations: Vec<Violation>,
    pub(super) ready_s: Vec<f64>,
    pub(super) ends: usize,
    pub(super) lost_in_flight: usize,
    pub(super) bad_ends: usize,
    pub(super) end_s: Vec<f64>,
    pub(super) outages: usize,
    pub(super) heal_s: Vec<f64>,
    pub(super) unavailable: usize,
    pub(super) unknown: usize,
    pub(super) refused_in_outage: usize,
}

impl Tally {
    /// Nothing seen yet.
    pub(super) fn new(engine: Engine, seed: u64) -> Tally {
        Tally {
            engine,
            seed,
            kills: 0,
            requests: 0,
            acknowledged: 0,
            violations: Vec::new(),
            ready_s: Vec::new(),
            ends: 0,
            lost_in_flight: 0,
            bad_ends: 0,
            end_s: Vec::new(),
            outages: 0,
            heal_s: Vec::new(),
            unavailable: 0,
            unknown: 0,
            refused_in_outage: 0,
        }
    }
}

/// The contents of `docs/reliability.json`.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Report {
    machine: String,
    rows: Vec<Row>,
}

/// Something that was looked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    name: String,
    /// In how many trials.
    amount: String,
    goal: Option<String>,
    seen: String,
    met: Option<bool>,
    cause: Option<String>,
    database: &'static str,
    seed: u64,
    command: String,
    /// Whether the goal is a time, which a busy machine may miss.
    #[serde(skip)]
    is_time: bool,
}

/// A row before it has its database.
struct Finding {
    name: &'static str,
    amount: String,
    goal: Option<String>,
    seen: String,
    met: Option<bool>,
}

impl Finding {
    /// Something that must never be.
    fn never(name: &'static str, amount: String, seen: usize) -> Finding {
        Finding {
            name,
            amount,
            goal: Some(NEVER.to_owned()),
            seen: seen.to_string(),
            met: Some(seen == 0),
        }
    }

    fn within(name: &'static str, amount: String, goal_s: f64, all_s: &[f64]) -> Finding {
        let slowest = slowest(all_s);
        Finding {
            name,
            amount,
            goal: Some(format!("≤ {goal_s} s")),
            seen: format!("{slowest:.2} s"),
            met: Some(slowest <= goal_s),
        }
    }

    fn plain(name: &'static str, amount: String, seen: String) -> Finding {
        Finding {
            name,
            amount,
            goal: None,
            seen,
            met: None,
        }
    }
}

fn slowest(all: &[f64]) -> f64 {
    all.iter().copied().fold(0.0, f64::max)
}

fn findings(tally: &Tally) -> Vec<Finding> {
    let counts = count(&tally.violations);
    let kills = format!("{} kills", tally.kills);
    let mut found = vec![
        Finding::plain(
            "acknowledged operations",
            kills.clone(),
            tally.acknowledged.to_string(),
        ),
        Finding::plain("requests", kills.clone(), tally.requests.to_string()),
    ];
    found.extend(LOSSES.map(|loss| {
        let name = row(loss);
        Finding::never(name, kills.clone(), counts.get(name).copied().unwrap_or(0))
    }));
    found.push(Finding::within(
        "ready again after kill -9 (slowest)",
        kills.clone(),
        READY_GOAL_S,
        &tally.ready_s,
    ));
    if let Some(spread) = Spread::of(tally.ready_s.iter().copied()) {
        let seen = format!("{:.2} s", spread.median);
        let name = "ready again after kill -9 (median)";
        found.push(Finding::plain(name, kills, seen));
    }
    found.extend(end_findings(tally));
    found.extend(outage_findings(tally));
    found
}

fn end_findings(tally: &Tally) -> Vec<Finding> {
    if tally.ends == 0 {
        return Vec::new();
    }
    let ends = format!("{} SIGTERM", tally.ends);
    let lost = "requests in flight lost at SIGTERM";
    let bad = "ends that were no exit code 0";
    let took = format!("{:.2} s", slowest(&tally.end_s));
    vec![
        Finding::never(lost, ends.clone(), tally.lost_in_flight),
        Finding::never(bad, ends.clone(), tally.bad_ends),
        Finding::plain("SIGTERM to the end (slowest)", ends, took),
    ]
}

fn outage_findings(tally: &Tally) -> Vec<Finding> {
    if tally.outages == 0 {
        return Vec::new();
    }
    let stops = format!("{} stops", tally.outages);
    let heals = "takes changes again after an immediate stop of PostgreSQL (slowest)";
    let plain = |name, seen: usize| Finding::plain(name, stops.clone(), seen.to_string());
    vec![
        Finding::within(heals, stops.clone(), HEAL_GOAL_S, &tally.heal_s),
        plain("503 with Retry-After meanwhile", tally.unavailable),
        plain("503 that the outcome is not known", tally.unknown),
        plain(
            "401 to what had been changed a moment before",
            tally.refused_in_outage,
        ),
    ]
}

impl Report {
    /// Rows for every tally, one database after the other.
    pub(super) fn new(
        machine: String,
        tallies: &[Tally],
        options: &Options,
        causes: &Causes,
    ) -> Report {
        let rows = tallies.iter().flat_map(|tally| {
            let findings = findings(tally).into_iter();
            findings.map(|finding| as_row(finding, tally, options, causes))
        });
        Report {
            machine,
            rows: rows.collect(),
        }
    }

    /// The text of `docs/reliability.json`.
    pub(super) fn json(&self) -> Result<String, String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        Ok(text + "\n")
    }

    /// An error that names what was not met; of times only where they count.
    pub(super) fn verdict(&self, times_count: bool) -> Result<(), String> {
        let missed = self.rows.iter().filter(|row| row.met == Some(false));
        let missed = missed.filter(|row| times_count || !row.is_time);
        let missed: Vec<String> = missed
            .map(|row| format!("{} on {}", row.name, row.database))
            .collect();
        if missed.is_empty() {
            return Ok(());
        }
        Err(format!("not met: {}", missed.join("; ")))
    }

    /// The table for a terminal.
    pub(super) fn plain(&self) -> String {
        let mut text = format!("{}\n", self.machine);
        for row in &self.rows {
            let (goal, met) = (row.goal(), row.met());
            let Row {
                name,
                amount,
                seen,
                database,
                ..
            } = row;
            writeln!(
                text,
                "{database:10}  {name:68} {amount:12} {goal:8} {seen:>10}  {met}"
            )
            .ok();
        }
        text
    }

    /// The text of `docs/reliability.md`.
    pub(super) fn markdown(&self, tallies: &[Tally]) -> String {
        let mut text = INTRODUCTION.to_owned();
        writeln!(text, "Machine: {}.\n", self.machine).ok();
        for tally in tallies {
            let name = tally.engine.name();
            writeln!(text, "## {name}\n\nSeed {}.\n", tally.seed).ok();
            text.push_str("| | in | goal | seen | met |\n| --- | --- | --- | --- | --- |\n");
            let rows = self.rows.iter().filter(|row| row.database == name);
            for row in rows.clone() {
                let (goal, met) = (row.goal(), row.met());
                let line = [&row.name, &row.amount, goal, &row.seen, met].join(" | ");
                writeln!(text, "| {line} |").ok();
            }
            for row in rows {
                if let Some(cause) = &row.cause {
                    writeln!(text, "\n- **{}** was not met: {cause}", row.name).ok();
                }
            }
            text.push('\n');
        }
        text.trim_end().to_owned() + "\n"
    }
}

impl Row {
    fn goal(&self) -> &str {
        self.goal.as_deref().unwrap_or("")
    }

    fn met(&self) -> &'static str {
        match self.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        }
    }
}

fn as_row(finding: Finding, tally: &Tally, options: &Options, causes: &Causes) -> Row {
    let database = tally.engine.name();
    let cause = || {
        let known = causes.get(&format!("{} on {database}", finding.name));
        known.map_or(NO_CAUSE, String::as_str).to_owned()
    };
    Row {
        cause: (finding.met == Some(false)).then(cause),
        is_time: finding.met.is_some() && finding.goal.as_deref() != Some(NEVER),
        name: finding.name.to_owned(),
        amount: finding.amount,
        goal: finding.goal,
        seen: finding.seen,
        met: finding.met,
        database,
        seed: tally.seed,
        command: format!(
            "cargo xtask faults --database {} --kills {} --seed {} --load {}..{}{}",
            tally.engine.word(),
            options.kills,
            tally.seed,
            options.load_ms.start(),
            options.load_ms.end(),
            if options.release { " --release" } else { "" },
        ),
    }
}

const INTRODUCTION: &str = "\
# Reliability

What was lost when the server was killed, measured. `cargo xtask faults` writes this page and
`reliability.json`; by hand is only why a goal was missed. Both databases are tried at once.

The real program runs under mixed load from 8 to 32 callers in both environments: partners,
integrations and credentials are made; credentials rolled with and without overlap, refreshed,
revoked, disabled and enabled; tokens issued, used, introspected and revoked; requests signed.
At a random moment it gets SIGKILL, starts again on the same data, and is compared with what the
callers were answered:

- what was acknowledged holds: every object is there, every secret and token that should work does,
  and every one that should not is refused;
- what was never answered is there wholly or not at all;
- the audit trail has a row before and a row after every acknowledged act, none for an act that took
  no effect, and no gap in its numbers; after every 25th kill and at the end `wayleave audit verify`
  recomputes its keyed hashes.

After every kill everything is listed and what was touched is tried out; at the end, everything is.
Ready means: a request with good proof succeeded in live, in test and at the admin address, counted
from the start of the process. SIGTERM is sent under the same load: a request that was written
before it must be answered. PostgreSQL is stopped with `pg_ctl stop -m immediate` and started again;
meanwhile answers may say 503, and the same comparison follows. The kills are of the server's
process, not of the machine: what the operating system has taken is not lost with a process.

";

#[cfg(test)]
mod tests {
    use super::super::ledger::Loss;
    use super::*;

    fn tally() -> Tally {
        Tally {
            kills: 3,
            ready_s: vec![0.2, 0.3, 2.5],
            ends: 1,
            violations: vec![Violation::new(Loss::Roll, "crd_1")],
            ..Tally::new(Engine::Sqlite, 7)
        }
    }

    fn report(causes: &Causes) -> Report {
        Report::new(
            "a machine".to_owned(),
            &[tally()],
            &Options::brief(true),
            causes,
        )
    }

    #[test]
    fn what_was_not_met_is_an_error_and_has_its_cause() {
        let name = "ready again after kill -9 (slowest) on SQLite";
        let report = report(&Causes::from([(name.to_owned(), "slow disk".to_owned())]));
        let untimed = report.verdict(false).unwrap_err();
        assert_eq!(untimed, "not met: acknowledged rolls lost on SQLite");
        let verdict = report.verdict(true).unwrap_err();
        assert_eq!(
            verdict,
            format!("not met: acknowledged rolls lost on SQLite; {name}")
        );
        let page = report.markdown(&[tally()]);
        assert!(page.contains("was not met: slow disk"), "{page}");
        assert!(
            page.contains("| acknowledged rolls lost | 3 kills | 0 | 1 | NO |"),
            "{page}"
        );
        assert!(page.contains(NO_CAUSE), "{page}");
    }

    #[test]
    fn the_json_has_every_member_in_each_row() {
        let text = report(&Causes::new()).json().unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["machine"], "a machine");
        for row in json["rows"].as_array().unwrap() {
            let row = row.as_object().unwrap();
            for name in [
                "name", "amount", "goal", "seen", "met", "cause", "database", "seed", "command",
            ] {
                assert!(row.contains_key(name), "{name} in {row:?}");
            }
        }
    }
}
