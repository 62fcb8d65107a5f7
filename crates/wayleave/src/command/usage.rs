//! `wayleave usage`: what was used, as a table with a chart.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use wayleave_protocol::http_date;

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, bar, plain};
use super::remote::{AdminArgs, Remote};
use crate::cli::say;
use crate::moment;

/// How long the longest bar is, in characters.
const BAR_WIDTH: u64 = 32;
/// A character in eighths, from one to eight.
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
/// More hours or days than this are not filled up with empty ones.
const MOST_FILLED: i64 = 2_000;
/// Everything that can be told apart; a column is shown where rows have it.
const COLUMNS: [Column; 9] = [
    plain("time", "time"),
    plain("partner", "partner"),
    plain("credential", "credential"),
    plain("route", "route"),
    plain("kind", "kind"),
    plain("status", "status"),
    plain("requests", "requests"),
    plain("in", "in"),
    plain("out", "out"),
];

/// Which usage, and how it is summed.
#[derive(Args)]
pub(crate) struct UsageArgs {
    /// Of this partner alone.
    #[arg(long, value_name = "ID")]
    partner: Option<String>,
    /// Of this credential alone.
    #[arg(long, value_name = "ID")]
    credential: Option<String>,
    /// On this route alone, by its name.
    #[arg(long)]
    route: Option<String>,
    /// proxied (passed to the API behind), refused, or checked (asked about by another proxy).
    #[arg(long)]
    kind: Option<String>,
    /// With this status alone.
    #[arg(long)]
    status: Option<u16>,
    /// From this time on, such as 2027-03-16 [default: 30 days ago; by hour: a day ago].
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    from: Option<i64>,
    /// Until before this time [default: now].
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    to: Option<i64>,
    /// What is told apart: hour or day, partner, credential, route, kind, status; with commas.
    #[arg(long, default_value = "day")]
    by: String,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Does it.
pub(crate) fn run(args: UsageArgs) -> Outcome {
    let filters = [
        ("by", Some(args.by.clone())),
        ("partner", args.partner),
        ("credential", args.credential),
        ("route", args.route),
        ("kind", args.kind),
        ("status", args.status.map(|status| status.to_string())),
        ("from", args.from.map(|at| at.to_string())),
        ("to", args.to.map(|at| at.to_string())),
    ];
    let mut remote = Remote::new(&args.admin)?;
    if remote.json {
        let listing = Listing {
            path: "/usage",
            filters: &filters,
            cursor: Some("cursor"),
            after: None,
            columns: &[],
            nouns: ("usage", "usage"),
        };
        return list(&mut remote, &listing);
    }
    let mut rows = Vec::new();
    remote.pages("/usage", &filters, Some("cursor"), None, &mut |page| {
        rows.extend_from_slice(page);
        Ok(())
    })?;
    let step_s = match args.by.as_str() {
        "day" => Some(86_400),
        "hour" => Some(3_600),
        _ => None,
    };
    let rows = step_s.map_or(rows.clone(), |step_s| filled(&rows, step_s));
    let by_hour = args.by.split(',').any(|word| word == "hour");
    say(&chart(&remote, &rows, by_hour));
    Ok(ExitCode::SUCCESS)
}

fn number(row: &Value, member: &str) -> u64 {
    row[member].as_u64().unwrap_or(0)
}

/// The rows with those hours or days in between in which nothing was used.
fn filled(rows: &[Value], step_s: i64) -> Vec<Value> {
    let at = |row: &Value| row["starts_at"].as_i64();
    let (Some(first), Some(last)) = (rows.first().and_then(at), rows.last().and_then(at)) else {
        return rows.to_vec();
    };
    if (last - first) / step_s > MOST_FILLED {
        return rows.to_vec();
    }
    let mut known = rows.iter().peekable();
    let mut filled = Vec::new();
    let mut starts_at = first;
    while starts_at <= last {
        let row = known.next_if(|row| at(row) == Some(starts_at));
        filled.push(row.cloned().unwrap_or_else(|| {
            json!({ "starts_at": starts_at, "requests": 0, "request_bytes": 0, "answer_bytes": 0 })
        }));
        starts_at += step_s;
    }
    filled
}

fn chart(remote: &Remote, rows: &[Value], by_hour: bool) -> String {
    let most = rows.iter().map(|row| number(row, "requests")).max();
    let most = most.unwrap_or(0);
    let shown: Vec<Value> = rows
        .iter()
        .map(|row| for_people(row, most, by_hour))
        .collect();
    let has = |column: &Column| {
        shown
            .first()
            .is_some_and(|row| row.get(column.member).is_some())
    };
    let mut columns: Vec<Column> = COLUMNS.into_iter().filter(has).collect();
    columns.push(bar("", "bar"));
    let total: u64 = rows.iter().map(|row| number(row, "requests")).sum();
    let place = remote.place();
    match total {
        0 => format!("No usage in {place}.\n"),
        _ => {
            let table = remote.paper.table(&columns, &shown, &mut Vec::new());
            let noun = if total == 1 { "request" } else { "requests" };
            format!("{table}{total} {noun} in {place}.\n")
        }
    }
}

fn for_people(row: &Value, most: u64, by_hour: bool) -> Value {
    let mut shown = row.clone();
    if let Some(at) = row["starts_at"].as_i64() {
        shown["time"] = json!(time(at, by_hour));
    }
    shown["in"] = json!(bytes(number(row, "request_bytes")));
    shown["out"] = json!(bytes(number(row, "answer_bytes")));
    shown["bar"] = json!(bar_text(number(row, "requests"), most));
    shown
}

/// A full hour or a day, in UTC.
fn time(at_s: i64, by_hour: bool) -> String {
    let text = http_date::format_rfc3339(at_s);
    let length = if by_hour {
        "2027-03-16T10:20".len()
    } else {
        "2027-03-16".len()
    };
    text.get(..length).unwrap_or(&text).replace('T', " ")
}

/// As long as its share of the longest, in eighths of a character; what is not nothing is seen.
fn bar_text(count: u64, most: u64) -> String {
    if count == 0 || most == 0 {
        return String::new();
    }
    let eighths = u128::from(count) * u128::from(BAR_WIDTH * 8) / u128::from(most);
    let eighths = usize::try_from(eighths).unwrap_or(0).max(1);
    let mut text: String = std::iter::repeat_n(EIGHTHS[7], eighths / 8).collect();
    if !eighths.is_multiple_of(8) {
        text.push(EIGHTHS[eighths % 8 - 1]);
    }
    text
}

/// Such as `13.4 MB`, in powers of a thousand.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 999.95 {
            break;
        }
        value /= 1_000.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion_and_what_is_not_nothing_is_seen() {
        assert_eq!(bar_text(0, 10), "");
        assert_eq!(bar_text(10, 10).chars().count() as u64, BAR_WIDTH);
        assert_eq!(bar_text(5, 10), "█".repeat(16));
        assert_eq!(bar_text(1, 1_000_000), "▏");
        assert_eq!(bar_text(3, 64), "█▌");
        assert_eq!(
            bar_text(u64::MAX, u64::MAX).chars().count() as u64,
            BAR_WIDTH
        );
    }

    #[test]
    fn sizes_are_short() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (13_400_000, "13.4 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn days_and_hours_without_usage_are_shown_too() {
        let row = |starts_at: i64, requests| json!({ "starts_at": starts_at, "requests": requests, "request_bytes": 0, "answer_bytes": 0 });
        let rows = [row(0, 5), row(3 * 86_400, 7)];
        let filled = filled(&rows, 86_400);
        let requests: Vec<u64> = filled.iter().map(|row| number(row, "requests")).collect();
        assert_eq!(requests, [5, 0, 0, 7]);
        assert_eq!(time(86_400, false), "1970-01-02");
        assert_eq!(time(3_600, true), "1970-01-01 01:00");
        assert_eq!(time(0, true), "1970-01-01 00:00");
    }
}
