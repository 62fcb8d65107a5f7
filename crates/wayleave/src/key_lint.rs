//! `wayleave key lint`: what a text says about itself, and leaked keys in files. It never prints a
//! key.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use wayleave_protocol::key_text::{self, KeyText, KeyTextError};

use crate::backup::Failure;
use crate::cli::say;

/// Every key begins with it.
const MARK: &str = "wl_";
/// Symbols after the last underscore of a key.
const LAST_PART: usize = 36;

/// What `key lint` looks at.
#[derive(Args)]
pub(crate) struct LintArgs {
    /// The key; - reads it from standard input, where nobody sees it.
    #[arg(required_unless_present = "scan", conflicts_with = "scan")]
    text: Option<String>,
    /// Look for keys in files; - is standard input.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    scan: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Tells; `false` when the text is no key of ours, or when a file holds a secret.
pub(crate) fn run(args: &LintArgs) -> Result<bool, Failure> {
    match args.text.as_deref() {
        None => scan(args),
        Some("-") => {
            let mut text = String::new();
            io::stdin().read_line(&mut text)?;
            lint(text.trim(), args.json)
        }
        Some(text) => lint(text.trim(), args.json),
    }
}

fn lint(text: &str, as_json: bool) -> Result<bool, Failure> {
    let read = key_text::inspect(text);
    say(&if as_json {
        format!("{}\n", lint_json(&read))
    } else {
        match &read {
            Ok(key) => format!("{}\n", describe(key)),
            Err(error) => format!("{error}\n"),
        }
    });
    Ok(read.is_ok())
}

fn lint_json(read: &Result<KeyText, KeyTextError>) -> Value {
    match read {
        Ok(key) => {
            let mut members = key_json(key);
            members["good"] = json!(true);
            members
        }
        Err(error) => json!({ "good": false, "why": error.to_string() }),
    }
}

fn key_json(key: &KeyText) -> Value {
    json!({
        "kind": key.kind.as_str(),
        "environment": key.environment.as_str(),
        "secret": !key.kind.is_public(),
    })
}

fn describe(key: &KeyText) -> String {
    let nature = if key.kind.is_public() {
        "public"
    } else {
        "secret"
    };
    format!(
        "{} {} ({nature}); its check symbols fit",
        key.kind, key.environment
    )
}

fn scan(args: &LintArgs) -> Result<bool, Failure> {
    let mut found = Vec::new();
    for file in &args.scan {
        scan_file(file, &mut found).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if args.json {
        say(&format!(
            "{}\n",
            json!({ "found": found.iter().map(Found::json).collect::<Vec<_>>() })
        ));
    } else {
        found.iter().for_each(|found| say(&found.text()));
    }
    Ok(found.iter().all(|found| found.key.kind.is_public()))
}

/// A key in a file.
struct Found {
    file: String,
    line: usize,
    key: KeyText,
}

impl Found {
    fn text(&self) -> String {
        let KeyText { kind, environment } = self.key;
        format!("{}:{}: {kind} {environment}\n", self.file, self.line)
    }

    fn json(&self) -> Value {
        let mut members = key_json(&self.key);
        members["file"] = json!(self.file);
        members["line"] = json!(self.line);
        members
    }
}

fn scan_file(file: &Path, found: &mut Vec<Found>) -> io::Result<()> {
    let mut lines: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file)?))
    };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let keys = keys_in(&String::from_utf8_lossy(&line));
        found.extend(keys.into_iter().map(|key| Found {
            file: file.display().to_string(),
            line: number,
            key,
        }));
    }
    Ok(())
}

/// The keys in a text, also where other letters stand right beside them.
fn keys_in(text: &str) -> Vec<KeyText> {
    text.match_indices(MARK)
        .filter_map(|(start, _)| {
            let rest = &text[start..];
            let last_part = rest.match_indices('_').nth(2)?.0 + 1;
            let key = rest.get(..last_part + LAST_PART)?;
            key_text::inspect(key).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use wayleave_protocol::key_text::{KeyEnvironment, KeyKind};

    use super::*;

    #[test]
    fn a_key_is_found_amid_other_letters_and_an_altered_one_is_not() {
        let key = key_text::compose(KeyKind::ApiSecret, KeyEnvironment::Live, &[9; 32]);
        let operator = key_text::compose(KeyKind::OperatorToken, KeyEnvironment::Any, &[8; 32]);
        let text = format!("x{key}y=\"{operator}\" wl_sec_live_ wl_");
        let kinds: Vec<KeyKind> = keys_in(&text).iter().map(|key| key.kind).collect();
        assert_eq!(kinds, [KeyKind::ApiSecret, KeyKind::OperatorToken]);
        assert!(keys_in(&key.replacen("_live_", "_test_", 1)).is_empty());
    }
}
