//! From visits to the table, `docs/benchmarks.json` and `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::options::Options;
use super::rounds::{Visit, Visits};
use super::stats::Spread;
use super::target::{Comparison, Measure, Phase, Target};

/// A missed target that nobody has explained yet.
const NO_CAUSE: &str = "not yet examined";

/// Why a target was missed, or a remark on a figure without one, by the name of its row: written
/// by a person.
pub(super) type Causes = BTreeMap<String, String>;

/// The contents of `docs/benchmarks.json`.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Report {
    pub(super) machine: String,
    pub(super) rows: Vec<Row>,
}

/// A figure that was measured once, outside the rounds.
#[derive(Debug)]
pub(super) struct Once {
    /// The name of its row.
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// The most that will do, where it has a target.
    pub(super) at_most: Option<f64>,
    /// What measures it again.
    pub(super) command: String,
}

/// A figure by itself, a baseline, or a target set against one.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Row {
    name: String,
    /// The median over the rounds.
    value: f64,
    unit: &'static str,
    baseline: Option<String>,
    /// The median of the rounds' ratios.
    ratio: Option<f64>,
    /// The quartiles of the ratio; of the value for a baseline.
    q1: f64,
    q3: f64,
    /// The least ratio that will do, or the most where less is better; the largest value where
    /// nothing is compared.
    target: Option<f64>,
    /// Whether the target is the most that will do.
    #[serde(skip)]
    is_at_most: bool,
    met: Option<bool>,
    /// Why a target was missed, or what is to be said of a figure without one.
    cause: Option<String>,
    command: String,
}

impl Report {
    /// Rows for all that was visited: the baselines, what is compared with them, what is compared
    /// with nothing.
    pub(super) fn new(
        machine: String,
        visits: &Visits,
        once: Vec<Once>,
        causes: &Causes,
    ) -> Report {
        let is_creation = |target: &Target| target.phase() == Phase::Creation;
        let baselines = visits
            .iter()
            .filter(|(target, _)| target.comparisons().is_empty() && !is_creation(target))
            .filter_map(|(target, visits)| baseline_row(*target, visits, causes));
        let created = visits
            .iter()
            .filter(|(target, _)| is_creation(target))
            .filter_map(|(target, visits)| baseline_row(*target, visits, causes));
        let once = once.into_iter().map(|figure| once_row(figure, causes));
        let compared = visits.keys().flat_map(|target| {
            let rows = target.comparisons().iter();
            rows.filter_map(|comparison| compared_row(*target, comparison, visits, causes))
        });
        Report {
            machine,
            rows: baselines
                .chain(compared)
                .chain(once)
                .chain(created)
                .collect(),
        }
    }

    /// The names of the rows that missed their target.
    pub(super) fn missed(&self) -> Vec<&str> {
        let missed = self.rows.iter().filter(|row| row.met == Some(false));
        missed.map(|row| row.name.as_str()).collect()
    }

    /// The rows that are compared with something else.
    pub(super) fn compared(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.ratio.is_some())
    }

    /// A report of nothing.
    #[cfg(test)]
    pub(super) fn empty() -> Report {
        Report::new(String::new(), &Visits::new(), Vec::new(), &Causes::new())
    }

    /// The text of `docs/benchmarks.json`.
    pub(super) fn json(&self) -> Result<String, String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        Ok(text + "\n")
    }
}

fn baseline_row(target: Target, visits: &[Visit], causes: &Causes) -> Option<Row> {
    let (unit, of): (_, fn(&Visit) -> f64) = match target {
        Target::Es256 => ("µs CPU/signature", |visit| visit.cpu_us),
        Target::QuietAlone | Target::QuietAtPeak | Target::QuietNginx => {
            ("µs p99", |visit| visit.p99_us.unwrap_or_default())
        }
        _ if target.phase() == Phase::Creation => ("credentials/s", |visit| visit.rate),
        _ => ("requests/s", |visit| visit.rate),
    };
    let spread = Spread::of(visits.iter().map(of))?;
    Some(Row {
        name: target.baseline_name().to_owned(),
        value: rounded(spread.median),
        unit,
        baseline: None,
        ratio: None,
        q1: rounded(spread.q1),
        q3: rounded(spread.q3),
        target: None,
        is_at_most: false,
        met: None,
        cause: causes.get(target.baseline_name()).cloned(),
        command: command(target),
    })
}

fn once_row(figure: Once, causes: &Causes) -> Row {
    let met = figure.at_most.map(|most| figure.value <= most);
    let cause = causes.get(&figure.name).cloned();
    let value = rounded(figure.value);
    Row {
        value,
        unit: figure.unit,
        baseline: None,
        ratio: None,
        q1: value,
        q3: value,
        target: figure.at_most,
        is_at_most: true,
        met,
        cause: match met {
            Some(true) => None,
            Some(false) => Some(cause.unwrap_or_else(|| NO_CAUSE.to_owned())),
            None => cause,
        },
        name: figure.name,
        command: figure.command,
    }
}

fn compared_row(
    target: Target,
    comparison: &Comparison,
    visits: &Visits,
    causes: &Causes,
) -> Option<Row> {
    let ours = visits.get(&target)?;
    let baseline = visits.get(&comparison.baseline)?;
    let pairs = ours.iter().zip(baseline);
    let (unit, value, ratio) = match comparison.measure {
        Measure::Rate => (
            "requests/s",
            Spread::of(ours.iter().map(|visit| visit.rate))?,
            Spread::of(pairs.map(|(ours, baseline)| ours.rate / baseline.rate))?,
        ),
        Measure::CpuShare => (
            "µs CPU/request",
            Spread::of(ours.iter().map(|visit| visit.cpu_us))?,
            Spread::of(pairs.map(|(ours, baseline)| baseline.cpu_us / ours.cpu_us))?,
        ),
        Measure::Cpu => (
            "µs CPU/request",
            Spread::of(ours.iter().map(|visit| visit.cpu_us))?,
            Spread::of(pairs.map(|(ours, baseline)| ours.cpu_us / baseline.cpu_us))?,
        ),
        Measure::AskedShare => (
            "µs CPU/request",
            Spread::of(ours.iter().map(|visit| visit.asked_us))?,
            Spread::of(pairs.map(|(ours, both)| ours.asked_us / both.cpu_us))?,
        ),
        Measure::AddedP99 => (
            "µs p99",
            Spread::of(ours.iter().filter_map(|visit| visit.p99_us))?,
            Spread::of(pairs.filter_map(|(ours, bare)| Some(ours.p99_us? - bare.p99_us?)))?,
        ),
        Measure::P99 => (
            "µs p99",
            Spread::of(ours.iter().filter_map(|visit| visit.p99_us))?,
            Spread::of(pairs.filter_map(|(ours, other)| Some(ours.p99_us? / other.p99_us?)))?,
        ),
    };
    let is_at_most = comparison.measure.is_at_most();
    let met = if is_at_most {
        ratio.median <= comparison.goal
    } else {
        ratio.median >= comparison.goal
    };
    let cause = || {
        causes
            .get(comparison.name)
            .map_or(NO_CAUSE, String::as_str)
            .to_owned()
    };
    Some(Row {
        name: comparison.name.to_owned(),
        value: rounded(value.median),
        unit,
        baseline: Some(comparison.baseline.baseline_name().to_owned()),
        ratio: Some(rounded(ratio.median)),
        q1: rounded(ratio.q1),
        q3: rounded(ratio.q3),
        target: Some(comparison.goal),
        is_at_most,
        met: Some(met),
        cause: (!met).then(cause),
        command: command(target),
    })
}

fn command(target: Target) -> String {
    format!("cargo xtask bench --only {}", target.name())
}

/// As many digits as a run can be trusted for, and some more.
fn rounded(figure: f64) -> f64 {
    let step = if figure >= 1000.0 { 1.0 } else { 1000.0 };
    (figure * step).round() / step
}

/// The cells of a row, for both tables.
pub(super) fn cells(row: &Row) -> [String; 6] {
    let ratio = match row.ratio {
        Some(ratio) => format!("{ratio:.2} [{:.2} … {:.2}]", row.q1, row.q3),
        None if row.q1 < row.q3 => format!("[{} … {}] {}", row.q1, row.q3, row.unit),
        None => String::new(),
    };
    let sign = if row.is_at_most { '≤' } else { '≥' };
    [
        row.name.clone(),
        format!("{} {}", row.value, row.unit),
        row.baseline.clone().unwrap_or_default(),
        ratio,
        row.target
            .map(|target| format!("{sign} {target}"))
            .unwrap_or_default(),
        row.met
            .map(|met| if met { "yes" } else { "NO" }.to_owned())
            .unwrap_or_default(),
    ]
}

const HEADINGS: [&str; 6] = [
    "",
    "median",
    "compared with",
    "ratio [quartiles]",
    "target",
    "met",
];

/// The table for a terminal.
pub(super) fn plain_table(report: &Report) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(report.rows.iter().map(cells));
    aligned(&lines)
}

fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let padded: Vec<String> = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

pub(super) fn markdown_table<const N: usize>(headings: [&str; N], lines: &[[String; N]]) -> String {
    let mut text = format!("| {} |\n|{}\n", headings.join(" | "), " --- |".repeat(N));
    for line in lines {
        writeln!(text, "| {} |", line.join(" | ")).ok();
    }
    text
}

/// The figures of every target by themselves.
fn details(visits: &Visits) -> Vec<[String; 6]> {
    let ceiling = visits.get(&Target::Ceiling);
    visits
        .iter()
        .map(|(target, own)| {
            let spread = |of: &dyn Fn(&Visit) -> Option<f64>| Spread::of(own.iter().filter_map(of));
            let to_ceiling = ceiling
                .filter(|_| *target != Target::Es256 && target.phase() == Phase::Requests)
                .and_then(|ceiling| {
                    Spread::of(
                        own.iter()
                            .zip(ceiling)
                            .map(|(own, ceiling)| own.cpu_us / ceiling.cpu_us),
                    )
                });
            [
                format!("`{}`", target.name()),
                shown(spread(&|visit| Some(visit.rate)), 0),
                shown(spread(&|visit| visit.p50_us), 0),
                shown(spread(&|visit| visit.p99_us), 0),
                shown(spread(&|visit| Some(visit.cpu_us)), 2),
                shown(to_ceiling, 2),
            ]
        })
        .collect()
}

/// What else the machine did: the first thing to look at when figures surprise.
pub(super) fn others(visits: &Visits) -> String {
    // PostgreSQL's processes are neither, and busy on purpose.
    let shares = visits
        .iter()
        .filter(|(target, _)| !target.is_on_postgres())
        .flat_map(|(_, visits)| visits)
        .map(|visit| visit.others * 100.0);
    let shares = shown(Spread::of(shares), 1);
    format!(
        "During the visits, programs that were neither server nor client used {shares} % of the\n\
         machine (median and quartiles)."
    )
}

fn shown(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(
        || "–".to_owned(),
        |s| {
            format!(
                "{:.digits$} [{:.digits$} … {:.digits$}]",
                s.median, s.q1, s.q3
            )
        },
    )
}

const DETAIL_HEADINGS: [&str; 6] = [
    "target",
    "requests/s",
    "p50, µs",
    "p99, µs",
    "server CPU per request, µs",
    "that as a multiple of the ceiling's",
];

/// The detailed table for a terminal.
pub(super) fn plain_details(visits: &Visits) -> String {
    let mut lines = vec![DETAIL_HEADINGS.map(str::to_owned)];
    lines.extend(details(visits));
    aligned(&lines)
}

/// The text of `docs/benchmarks.md`.
pub(super) fn markdown(
    report: &Report,
    visits: &Visits,
    options: &Options,
    versions: &[String],
) -> String {
    let Options {
        rounds,
        seconds,
        credentials,
        ..
    } = options;
    let table = markdown_table(HEADINGS, &report.rows.iter().map(cells).collect::<Vec<_>>());
    let details = markdown_table(DETAIL_HEADINGS, &details(visits));
    let causes = missed_text(report);
    let targets: String = visits
        .keys()
        .map(|target| format!("- `{}`: {}.\n", target.name(), target.description()))
        .collect();
    format!(
        "\
# Benchmarks

Written by `cargo xtask bench`; change nothing here by hand. The same figures are in
[benchmarks.json](benchmarks.json).

## Results

{table}
`median` is the median of {rounds} rounds. Each ratio is one of two visits in the same round; shown
are its median and its quartiles over the rounds. A target is met when the median reaches it.
{causes}
## What was measured

{targets}
Every server listens on the loopback interface without TLS. Wayleave is `wayleave demo` in a release
build with default settings (SQLite, in an empty folder), and is asked in its test environment,
after {credentials} credentials of each kind were made through its admin API. oidc-provider is one
Node.js process with its own in-memory store and as many clients.

For `scale-…` the same node (`crates/wayleave/bench/scale.rs`) fills its directory with generated
Management credentials of one secret each, in memory only. {credentials} requests are made with keys
spread evenly over all of them, or with all keys in turn where there are fewer. Memory is how much
the resident memory of the process grew from before filling to after it, for each credential. For
the load, credentials are imported into a SQLite database first; the time is that of opening a node
on it, up to where it could answer, in a new process, the file being in the system's page cache.

The proxies get the same signed requests and pass them to the same API, an nginx with one worker that
answers each with 13 bytes; its processor time counts for nobody. nginx, HAProxy and Caddy are the
distribution's packages, with the configurations in `crates/xtask/bench/gateway`: no access log, one
worker or thread per core, connections kept open both ways. Wayleave is `wayleave serve` with what it
counts as usage by default, and with three limits on every request, also of the checks in this group
and over TLS: a rate of each credential, one of each route, and a monthly quota of the partner, taken
from the database in parts; all high enough to refuse none. Else every setting is at its default. The
signatures over the message are made anew for each visit, because a nonce counts once.

Over TLS the two servers are first driven by `wrk` to find the rate that the slower one reaches. Then a
client of our own (`crates/xtask/bench/tls.rs`) sends half of that rate to each in turn, over 16
connections; the time of an answer counts from the moment at which its request was due.

For overload the same proxy has two partners. The first is driven by `wrk` over 32 connections, which
is the peak, and then over 320, each with a request on its way at any time. The second sends 200
requests a second over 32 connections, by the client of a fixed rate: alone, beside the 32, and beside
the 320. One of them refused ends the run; of the first partner's, what was refused is not goodput. What the
machine itself does to a quiet client is shown by nginx, which gets the same from both. Client, proxy and
API share the cores, which are busy then: whoever is served in the order of arrival waits as long as
everybody.

For the growth of memory, a tenth of a million requests go through the proxy, its resident memory is
noted, and again after a million more.

A credential is made in two commits. With 64 callers those that wait share one on SQLite, while
PostgreSQL makes one for each. The disk is this machine's.

{details}
Median and quartiles. p50 and p99 are what the client saw with all its connections busy. The server's
processor time is the user and system time of its processes, PostgreSQL's not among them; for
`es256` one request is a signature.

## How

- One client: `wrk` with one thread and 32 connections (16 to oidc-provider, 1 or 64 to make
  credentials), replaying {credentials} different requests prepared beforehand, in an order that is
  shuffled once; those that make a credential are all the same.
- There are six groups, one after another: checks and tokens, `scale-…`, `create-…`, the proxies with
  the message signatures, TLS, and overload. All
  servers of a group are started once. Each of {rounds} rounds visits every target of the group for
  {seconds} s, beginning with another one each time, so that what else happens on the machine meets
  all alike. Memory and load are measured once.
- Before the rounds every kind of answer is looked at (all of them for the checks) and each target
  is visited once without counting. An answer that is not 2xx, or a broken connection, ends the run.
- The signature's own cost is measured in the same rounds, on all cores at once, over the time that
  the signing threads ran.
- The client shares the cores with the server, so a ratio of rates is milder than one of processor
  times, which is given beside it.

## On what

{machine}.

{versions}.

{others}

## Once more

    cargo xtask bench                        # everything; writes this page
    cargo xtask bench --only signed-check    # one target and its baseline; writes nothing
    cargo xtask bench --only scale           # directories of different sizes, and the load
    cargo xtask bench --only load --load 10000000
    cargo xtask bench --only creation        # credentials made through the admin API
    cargo xtask bench --only gateway         # proxies, message signatures, TLS, overload
    cargo xtask bench --quick --no-write     # does it all work?

It needs Linux, Node.js with npm, PostgreSQL and `wrk` (Debian's packages; installed where the
command may). One target takes a few seconds, everything some minutes, 4 GiB of memory and 2 GiB of
disk. Let nothing else run.

## Reading noise

Rates depend on the machine and on the minute: compare ratios, never rates of two runs. The halves
of each ratio were measured within seconds of each other, but what shares the machine's caches and
memory (on a rented machine also neighbours that nobody sees) slows a server the more the more it
does, so ratios move too, and those of one run move together. A ratio whose quartiles lie on both
sides of its target says little: repeat the run at another time, or with more `--rounds`. Each visit
is printed as it ends, with what other programs used meanwhile. p99 mostly shows how long a server
thread and the client waited for the same core.
",
        machine = report.machine,
        versions = versions.join(", "),
        others = others(visits),
    )
}

fn missed_text(report: &Report) -> String {
    let mut text = String::new();
    for row in &report.rows {
        if let Some(cause) = &row.cause {
            let missed = if row.met == Some(false) {
                " was missed"
            } else {
                ""
            };
            writeln!(text, "- **{}**{missed}: {cause}", row.name).ok();
        }
    }
    if text.is_empty() {
        text
    } else {
        format!("\n{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(rate: f64, cpu_us: f64) -> Visit {
        Visit {
            rate,
            p50_us: Some(200.0),
            p99_us: Some(900.0),
            cpu_us,
            asked_us: 0.0,
            others: 0.01,
        }
    }

    /// Three rounds, in the second of which the machine was half as fast.
    fn visits() -> Visits {
        let three = |rate: f64, cpu: f64| {
            vec![
                visit(rate, cpu),
                visit(rate / 2.0, cpu * 2.0),
                visit(rate, cpu),
            ]
        };
        Visits::from([
            (Target::Ceiling, three(80_000.0, 8.0)),
            (Target::Es256, three(60_000.0, 33.0)),
            (Target::SignedCheck, three(56_000.0, 10.0)),
            (Target::OauthIssue, three(20_000.0, 44.0)),
            (Target::CreateSqliteAlone, three(500.0, 900.0)),
        ])
    }

    fn once() -> Vec<Once> {
        let once = |name: &str, value, unit, at_most| Once {
            name: name.to_owned(),
            value,
            unit,
            at_most,
            command: format!("cargo xtask bench --only {name}"),
        };
        vec![
            once("memory", 150.0, "bytes/credential", Some(170.0)),
            once("load", 12.3456, "s", None),
        ]
    }

    fn report(causes: &Causes) -> Report {
        Report::new("a machine".to_owned(), &visits(), once(), causes)
    }

    fn row<'a>(report: &'a Report, name: &str) -> &'a Row {
        report.rows.iter().find(|row| row.name == name).unwrap()
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let report = report(&Causes::new());
        let row = row(&report, "signed check");
        assert_eq!(
            (row.value, row.ratio, row.q1, row.q3),
            (56_000.0, Some(0.7), 0.7, 0.7)
        );
        assert_eq!(row.baseline.as_deref(), Some("ceiling: bare hyper"));
        assert_eq!(row.command, "cargo xtask bench --only signed-check");
    }

    #[test]
    fn the_signatures_share_is_one_of_processor_time() {
        let report = report(&Causes::new());
        let row = row(&report, "token issue (form): ES256's share of server CPU");
        assert_eq!(
            (row.value, row.unit, row.ratio),
            (44.0, "µs CPU/request", Some(0.75))
        );
        assert_eq!((row.met, &row.cause), (Some(true), &None));
    }

    #[test]
    fn a_missed_target_has_a_cause() {
        let unexplained = report(&Causes::new());
        assert_eq!(unexplained.missed(), ["signed check"]);
        assert_eq!(
            row(&unexplained, "signed check").cause.as_deref(),
            Some(NO_CAUSE)
        );
        let causes = Causes::from([("signed check".to_owned(), "too slow".to_owned())]);
        let explained = report(&causes);
        assert_eq!(
            row(&explained, "signed check").cause.as_deref(),
            Some("too slow")
        );
    }

    #[test]
    fn a_baseline_has_no_target() {
        let report = report(&Causes::new());
        let row = row(&report, "ceiling: bare hyper");
        assert_eq!(
            (row.target, row.met, &row.cause, row.ratio),
            (None, None, &None, None)
        );
        assert_eq!((row.value, row.q1, row.q3), (80_000.0, 60_000.0, 80_000.0));
    }

    #[test]
    fn what_was_not_compared_has_no_row() {
        let report = report(&Causes::new());
        let names: Vec<&str> = report.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "ceiling: bare hyper",
                "one ES256 signature",
                "signed check",
                "token issue (form): ES256's share of server CPU",
                "memory",
                "load",
                "credential creation, alone (SQLite)",
            ]
        );
    }

    #[test]
    fn a_figure_of_its_own_has_at_most_a_limit() {
        let report = report(&Causes::from([("load".to_owned(), "slow disk".to_owned())]));
        let memory = row(&report, "memory");
        assert_eq!((memory.target, memory.met), (Some(170.0), Some(true)));
        assert_eq!(cells(memory)[3..], ["", "≤ 170", "yes"]);
        let load = row(&report, "load");
        assert_eq!((load.value, load.met), (12.346, None));
        assert_eq!(
            missed_text(&report).matches("**load**: slow disk").count(),
            1
        );
        let too_large = Once {
            value: 171.0,
            ..once().remove(0)
        };
        let missed = once_row(too_large, &Causes::new());
        assert_eq!(
            (missed.met, missed.cause.as_deref()),
            (Some(false), Some(NO_CAUSE))
        );
    }

    #[test]
    fn credentials_are_counted_as_such() {
        let report = report(&Causes::new());
        let row = row(&report, "credential creation, alone (SQLite)");
        assert_eq!((row.value, row.unit), (500.0, "credentials/s"));
    }

    #[test]
    fn the_json_has_every_member_in_each_row() {
        let json: serde_json::Value =
            serde_json::from_str(&report(&Causes::new()).json().unwrap()).unwrap();
        assert_eq!(json["machine"], "a machine");
        for row in json["rows"].as_array().unwrap() {
            let row = row.as_object().unwrap();
            for name in [
                "name", "value", "unit", "baseline", "ratio", "q1", "q3", "target", "met", "cause",
                "command",
            ] {
                assert!(row.contains_key(name), "{name} in {row:?}");
            }
        }
    }

    #[test]
    fn the_page_tells_figures_and_causes() {
        let options = Options::parse(&[]).unwrap();
        let report = report(&Causes::new());
        let page = markdown(&report, &visits(), &options, &["wrk 4.1.0".to_owned()]);
        assert!(
            page.contains("| signed check | 56000 requests/s | ceiling: bare hyper |"),
            "{page}"
        );
        assert!(
            page.contains("- **signed check** was missed: not yet examined"),
            "{page}"
        );
        assert!(page.contains("median of 11 rounds"), "{page}");
        assert!(page.contains("used 1.0 [1.0 … 1.0] %"), "{page}");
    }

    #[test]
    fn where_less_is_better_the_target_is_the_most_that_will_do() {
        let with = |cpu_us, asked_us, p99| Visit {
            asked_us,
            p99_us: Some(p99),
            ..visit(20_000.0, cpu_us)
        };
        let visits = Visits::from([
            (Target::GatewayLua, vec![with(50.0, 0.0, 1.0)]),
            (Target::GatewayAuthRequest, vec![with(100.0, 15.0, 1.0)]),
            (Target::GatewayWayleave, vec![with(30.0, 0.0, 1.0)]),
            (Target::TlsCeiling, vec![with(1.0, 0.0, 300.0)]),
            (Target::TlsCheck, vec![with(1.0, 0.0, 550.0)]),
        ]);
        let report = Report::new(String::new(), &visits, Vec::new(), &Causes::new());
        let cpu = row(&report, "proxy with signature check: CPU, to nginx + Lua");
        assert_eq!((cpu.ratio, cpu.met), (Some(0.6), Some(true)));
        assert_eq!(cells(cpu)[4], "≤ 0.65");
        let share = row(&report, "nginx auth_request: Wayleave's share of the CPU");
        assert_eq!(
            (share.value, share.ratio, share.met),
            (15.0, Some(0.15), Some(true))
        );
        let tls = row(&report, "signed check over TLS at half load: p99 added, µs");
        assert_eq!((tls.ratio, tls.met), (Some(250.0), Some(false)));
        assert_eq!(report.compared().count(), 4);
    }

    #[test]
    fn columns_are_aligned() {
        let lines = [
            ["a".to_owned(), "µ".to_owned()],
            ["long".to_owned(), "x".to_owned()],
        ];
        assert_eq!(aligned(&lines), "a     µ\nlong  x\n");
    }
}
