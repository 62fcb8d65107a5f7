//! One thing that the admin API gave: as JSON, or as a card and tables below a line that says what
//! was done.

use std::process::ExitCode;

use serde_json::Value;

use super::Outcome;
use super::print::Column;
use super::remote::Remote;

/// A table below a card, made of a member that is a list.
pub(crate) struct Part {
    /// The member.
    pub(crate) member: &'static str,
    /// What of each row is shown.
    pub(crate) columns: &'static [Column],
}

/// Prints one thing.
pub(crate) fn show(remote: &Remote, thing: &Value, columns: &[Column], done: &str) -> Outcome {
    show_with(remote, thing, columns, &[], done)
}

/// Prints one thing with what it is made of; parts that are empty are left out.
pub(crate) fn show_with(
    remote: &Remote,
    thing: &Value,
    columns: &[Column],
    parts: &[Part],
    done: &str,
) -> Outcome {
    remote.print(thing, |remote| {
        let mut text = format!(
            "{done} in {}:\n{}",
            remote.place(),
            remote.paper.card(columns, thing)
        );
        for part in parts {
            let rows = thing[part.member].as_array().map(Vec::as_slice);
            let rows = rows.unwrap_or_default();
            if !rows.is_empty() {
                text.push('\n');
                text += &remote.paper.table(part.columns, rows, &mut Vec::new());
            }
        }
        text
    });
    Ok(ExitCode::SUCCESS)
}
