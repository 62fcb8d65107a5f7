//! Lists, whole: as a table, as one JSON array, or as a line of JSON each.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use super::print::Column;
use super::remote::Remote;
use super::{Failure, Outcome};

/// What to list and how.
pub(crate) struct Listing<'l> {
    /// Its address in the environment, such as `/partners`.
    pub(crate) path: &'l str,
    /// Parameters of the query that were given.
    pub(crate) filters: &'l [(&'static str, Option<String>)],
    /// The member that the next page begins after; `None`: there is one page.
    pub(crate) cursor: Option<&'static str>,
    /// Where the first page begins.
    pub(crate) after: Option<String>,
    /// What of each row is shown to people.
    pub(crate) columns: &'static [Column],
    /// One of them and many of them, for people.
    pub(crate) nouns: (&'static str, &'static str),
}

/// Prints a list to standard output.
pub(crate) fn list(remote: &mut Remote, listing: &Listing<'_>) -> Outcome {
    let out = BufWriter::new(std::io::stdout().lock());
    let printed = if remote.json {
        print_array(remote, listing, out)
    } else {
        print_table(remote, listing, out)
    };
    ended(printed)
}

/// Whoever reads may have enough before the end, as `head` has.
fn ended(printed: Result<(), Failure>) -> Outcome {
    match printed {
        Err(error) if is_closed_pipe(&error) => Ok(ExitCode::SUCCESS),
        printed => printed.map(|()| ExitCode::SUCCESS),
    }
}

fn is_closed_pipe(error: &Failure) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn each_page(
    remote: &mut Remote,
    listing: &Listing<'_>,
    take: &mut dyn FnMut(&[Value]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let after = listing.after.clone();
    remote.pages(listing.path, listing.filters, listing.cursor, after, take)
}

fn print_array(
    remote: &mut Remote,
    listing: &Listing<'_>,
    mut out: impl Write,
) -> Result<(), Failure> {
    let mut separator = "[";
    each_page(remote, listing, &mut |rows| {
        for row in rows {
            write!(out, "{separator}\n{row}")?;
            separator = ",";
        }
        Ok(())
    })?;
    out.write_all(if separator == "[" { b"[]\n" } else { b"\n]\n" })?;
    Ok(out.flush()?)
}

fn print_table(
    remote: &mut Remote,
    listing: &Listing<'_>,
    mut out: impl Write,
) -> Result<(), Failure> {
    let paper = remote.paper;
    let place = remote.place();
    let (mut widths, mut count) = (Vec::new(), 0);
    each_page(remote, listing, &mut |rows| {
        if !rows.is_empty() {
            out.write_all(paper.table(listing.columns, rows, &mut widths).as_bytes())?;
        }
        count += rows.len();
        Ok(out.flush()?)
    })?;
    let (one, many) = listing.nouns;
    match count {
        0 => writeln!(out, "No {one} in {place}.")?,
        1 => writeln!(out, "1 {one} in {place}.")?,
        _ => writeln!(out, "{count} {many} in {place}.")?,
    }
    Ok(out.flush()?)
}

/// Writes a list as a line of JSON each, to a file or standard output. The file is there once it is
/// whole.
pub(crate) fn export(remote: &mut Remote, listing: &Listing<'_>, output: Option<&Path>) -> Outcome {
    let Some(path) = output else {
        let out = BufWriter::new(std::io::stdout().lock());
        return ended(print_lines(remote, listing, out).map(|_| ()));
    };
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = File::create(&fresh).map_err(named)?;
    let written = print_lines(remote, listing, BufWriter::new(&file));
    let count = written.inspect_err(|_| {
        // The failure is what counts; a part of a list is of no use.
        let _ = std::fs::remove_file(&fresh);
    })?;
    file.sync_all().map_err(named)?;
    std::fs::rename(&fresh, path).map_err(named)?;
    let (one, many) = listing.nouns;
    let noun = if count == 1 { one } else { many };
    eprintln!("{count} {noun} of {} in {}", remote.place(), path.display());
    Ok(ExitCode::SUCCESS)
}

fn print_lines(
    remote: &mut Remote,
    listing: &Listing<'_>,
    mut out: impl Write,
) -> Result<usize, Failure> {
    let mut count = 0;
    each_page(remote, listing, &mut |rows| {
        for row in rows {
            writeln!(out, "{row}")?;
        }
        count += rows.len();
        Ok(())
    })?;
    out.flush()?;
    Ok(count)
}
