//! Answers laid out for people: tables, and cards of one thing.

use std::io::IsTerminal;

use serde_json::Value;
use wayleave_protocol::http_date;

use crate::moment;

/// What a member of an answer is.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// A text, number, or list of texts.
    Plain,
    /// A word that says how it stands, in a colour.
    State,
    /// Seconds since 1970; the word is for none.
    Moment(&'static str),
    /// Microseconds since 1970.
    Micros,
    /// A span in seconds.
    Span,
    /// A bar of a chart, in a colour.
    Bar,
}

/// A member of an answer, under a title.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    /// For people.
    pub(crate) title: &'static str,
    /// In JSON.
    pub(crate) member: &'static str,
    /// What it is.
    pub(crate) shape: Shape,
}

/// A column of texts.
pub(crate) const fn plain(title: &'static str, member: &'static str) -> Column {
    Column {
        title,
        member,
        shape: Shape::Plain,
    }
}

/// The column `state`, or another one of that kind.
pub(crate) const fn state(title: &'static str, member: &'static str) -> Column {
    Column {
        title,
        member,
        shape: Shape::State,
    }
}

/// A column of moments.
pub(crate) const fn moment(
    title: &'static str,
    member: &'static str,
    none: &'static str,
) -> Column {
    Column {
        title,
        member,
        shape: Shape::Moment(none),
    }
}

/// A column of bars.
pub(crate) const fn bar(title: &'static str, member: &'static str) -> Column {
    Column {
        title,
        member,
        shape: Shape::Bar,
    }
}

/// What is printed on: whether it takes colours, and when it is.
#[derive(Clone, Copy)]
pub(crate) struct Paper {
    colours: bool,
    now_s: i64,
}

struct Cell {
    text: String,
    colour: Option<&'static str>,
}

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

impl Paper {
    /// Standard output: colours on a terminal, unless NO_COLOR is set (no-color.org).
    pub(crate) fn of_this_terminal(now_s: i64) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paper {
            colours: std::io::stdout().is_terminal() && !refused,
            now_s,
        }
    }

    /// Rows with their columns aligned. `widths` remembers the widest cells, so that the next page
    /// goes on alike; where it is empty, a line of titles comes first.
    pub(crate) fn table(
        &self,
        columns: &[Column],
        rows: &[Value],
        widths: &mut Vec<usize>,
    ) -> String {
        let cells: Vec<Vec<Cell>> = rows
            .iter()
            .map(|row| {
                columns
                    .iter()
                    .map(|column| self.cell(column, row, false))
                    .collect()
            })
            .collect();
        let is_first = widths.is_empty();
        widths.resize(columns.len(), 0);
        for (place, width) in widths.iter_mut().enumerate() {
            let widest = cells.iter().map(|row| length(&row[place].text)).max();
            *width = (*width)
                .max(length(columns[place].title))
                .max(widest.unwrap_or(0));
        }
        let mut text = String::new();
        if is_first {
            let titles = columns.iter().map(|column| Cell {
                text: column.title.to_uppercase(),
                colour: None,
            });
            self.line(&mut text, &titles.collect::<Vec<_>>(), widths);
        }
        for row in &cells {
            self.line(&mut text, row, widths);
        }
        text
    }

    fn line(&self, text: &mut String, cells: &[Cell], widths: &[usize]) {
        for (place, cell) in cells.iter().enumerate() {
            text.push_str(&self.painted(cell));
            if place + 1 < cells.len() {
                let blanks = widths[place].saturating_sub(length(&cell.text)) + 2;
                text.extend(std::iter::repeat_n(' ', blanks));
            }
        }
        text.push('\n');
    }

    /// One thing, a line for each member that it has.
    pub(crate) fn card(&self, columns: &[Column], thing: &Value) -> String {
        let shown = columns
            .iter()
            .filter(|column| thing.get(column.member).is_some());
        let widest = shown.clone().map(|column| length(column.title)).max();
        shown
            .map(|column| {
                let cell = self.cell(column, thing, true);
                let blanks = widest.unwrap_or(0) - length(column.title) + 2;
                format!("{}{:blanks$}{}\n", column.title, "", self.painted(&cell))
            })
            .collect()
    }

    fn painted(&self, cell: &Cell) -> String {
        match cell.colour {
            Some(colour) if self.colours => format!("{colour}{}{PLAIN}", cell.text),
            _ => cell.text.clone(),
        }
    }

    fn cell(&self, column: &Column, row: &Value, in_full: bool) -> Cell {
        let value = row.get(column.member).unwrap_or(&Value::Null);
        let text = match (column.shape, value) {
            (Shape::Moment(none), Value::Null) => none.to_owned(),
            (Shape::Moment(_), value) => self.when(value, 1, in_full),
            (Shape::Micros, value) => self.when(value, 1_000_000, in_full),
            (Shape::Span, Value::Number(span)) => moment::span(span.as_u64().unwrap_or(0)),
            (Shape::Bar, Value::String(bar)) => bar.clone(),
            (_, value) => words(value),
        };
        let colour = match column.shape {
            Shape::State => colour_of(&text),
            Shape::Bar => Some(GREEN),
            _ => None,
        };
        Cell { text, colour }
    }

    /// `ticks`: how many of the value are in a second.
    fn when(&self, value: &Value, ticks: i64, in_full: bool) -> String {
        let Some(at) = value.as_i64() else {
            return words(value);
        };
        let at_s = at.div_euclid(ticks);
        let relative = moment::relative(at_s, self.now_s);
        if in_full {
            format!("{} ({relative})", http_date::format_rfc3339(at_s))
        } else {
            relative
        }
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// A value as a text without control characters, which could redraw a terminal.
fn words(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    text.replace(char::is_control, "?")
}

fn colour_of(state: &str) -> Option<&'static str> {
    match state {
        "active" | "admitted" | "current" | "done" | "true" | "complete" | "paid" => Some(GREEN),
        "disabled" | "lapsed" | "superseded" | "next" | "begun" | "processing" | "invoiced"
        | "unknown" => Some(YELLOW),
        "revoked" | "expired" | "ended" | "retired" | "failed" | "false" | "cancelled"
        | "refunded" | "declined" => Some(RED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 3] = [
        plain("name", "name"),
        state("state", "state"),
        moment("expires", "expires_at", "never"),
    ];

    fn rows() -> Vec<Value> {
        vec![
            json!({ "name": "Zoë", "state": "active", "expires_at": 86_400 * 6 }),
            json!({ "name": "a\u{1b}[2Jb", "state": "revoked", "expires_at": null }),
        ]
    }

    fn paper(colours: bool) -> Paper {
        Paper { colours, now_s: 0 }
    }

    #[test]
    fn columns_are_aligned_and_control_characters_are_shown() {
        let mut widths = Vec::new();
        let text = paper(false).table(&COLUMNS, &rows(), &mut widths);
        assert_eq!(
            text,
            "NAME    STATE    EXPIRES\nZoë     active   in 6 d\na?[2Jb  revoked  never\n"
        );
        let next = paper(false).table(&COLUMNS, &rows()[..1], &mut widths);
        assert_eq!(next, "Zoë     active   in 6 d\n");
    }

    #[test]
    fn colours_do_not_move_the_columns() {
        let text = paper(true).table(&COLUMNS, &rows(), &mut Vec::new());
        assert!(text.contains("\x1b[32mactive\x1b[0m   in 6 d"), "{text:?}");
    }

    #[test]
    fn microseconds_and_spans_are_told_in_one_unit() {
        let columns = [
            Column {
                title: "when",
                member: "at_us",
                shape: Shape::Micros,
            },
            Column {
                title: "after",
                member: "after_s",
                shape: Shape::Span,
            },
        ];
        let row = json!({ "at_us": -7_500_000, "after_s": 86_400 });
        let text = paper(false).table(&columns, &[row], &mut Vec::new());
        assert_eq!(text, "WHEN     AFTER\n8 s ago  24 h\n");
    }

    #[test]
    fn a_card_shows_what_is_there_in_full() {
        let text = paper(false).card(&COLUMNS, &json!({ "name": "", "expires_at": 0 }));
        assert_eq!(text, "name     -\nexpires  1970-01-01T00:00:00Z (now)\n");
    }
}
