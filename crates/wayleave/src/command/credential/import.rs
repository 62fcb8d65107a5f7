//! `wayleave credential import`: one pair, or a file with a million, sent in batches.
//!
//! A file is read twice, line by line: first every line is checked, then it is sent. The node skips
//! what is there already, so that an import can be repeated, and so can a batch whose answer was lost.

mod entry;
mod sending;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use wayleave_core::{Audience, PublicId};
use wayleave_engine::Clock;

use self::entry::{Defaults, Lines};
use self::sending::{Sent, send_file};
use super::super::progress::Progress;
use super::super::remote::{AdminArgs, Remote, audience_parser};
use super::super::{Failure, Outcome};
use super::{SHOWN, read_secret};
use crate::admin_client::escape;
use crate::duration;
use crate::ports::SystemClock;

pub(super) const LONG_HELP: &str = "\
A file has one JSON object on each line:
  {\"integration\":\"int_…\",\"audience\":\"routes\",\"public_id\":\"till one\",\"secret\":\"…\"}
and may have name, schemes, scopes and expires_at (seconds since 1970). What a line does not say
is taken from the options. Every line is checked before the first one is sent. Pairs that are there
already are skipped, so an import that broke off is simply repeated. The exit code is 1 where an id
is taken with another secret.

Example:
  wayleave credential import --env live --file keys.jsonl --integration int_01m80p492ae72s2twc9fc1jvm3 --audience routes
  wayleave credential import --public-id 'till one' --secret-file secret.txt --integration int_01m80p492ae72s2twc9fc1jvm3 --audience routes";

/// How many faults are named before the rest is only counted.
const NAMED: usize = 20;

/// What to import.
#[derive(Args)]
pub(crate) struct ImportArgs {
    /// A file with a JSON object on each line; see below.
    #[arg(long, value_name = "FILE", required_unless_present = "public_id", conflicts_with_all = ["public_id", "secret_file", "name"])]
    file: Option<PathBuf>,
    /// How many lines are sent at a time.
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// The client id, api key or access key of one pair.
    #[arg(long, value_name = "KEY", requires = "secret_file")]
    public_id: Option<String>,
    /// A file with the secret of one pair, readable by you alone.
    #[arg(long, value_name = "FILE", requires = "public_id")]
    secret_file: Option<PathBuf>,
    /// What people call the one pair.
    #[arg(long)]
    name: Option<String>,
    /// Whose it is, where a line does not say.
    #[arg(long, value_name = "ID")]
    integration: Option<String>,
    /// The property whose key set it is, where a line does not say.
    #[arg(long, value_name = "ID")]
    property: Option<String>,
    /// What it opens, where a line does not say.
    #[arg(long, value_parser = audience_parser())]
    audience: Option<Audience>,
    /// What it may do, separated by blanks, where a line does not say.
    #[arg(long, value_name = "WORDS")]
    scopes: Option<String>,
    /// How it may prove requests, separated by blanks, where a line does not say.
    #[arg(long, value_name = "WORDS")]
    schemes: Option<String>,
    /// When it ends, from now, where a line does not say, such as 90d.
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    admin: AdminArgs,
}

impl ImportArgs {
    fn defaults(&self) -> Defaults {
        let now_s = SystemClock.now().unix_s();
        let texts = [
            ("integration", self.integration.clone()),
            ("property", self.property.clone()),
            (
                "audience",
                self.audience.map(|word| word.as_str().to_owned()),
            ),
            ("scopes", self.scopes.clone()),
            ("schemes", self.schemes.clone()),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(member, value)| Some((member, Value::String(value?))));
        let ends = self.expires_in.map(|span| {
            (
                "expires_at",
                json!(now_s.saturating_add_unsigned(span.as_secs())),
            )
        });
        texts
            .chain(ends)
            .map(|(member, value)| (member.to_owned(), value))
            .collect()
    }
}

/// Does it.
pub(super) fn run(args: &ImportArgs, verbose: bool) -> Outcome {
    match (&args.file, &args.public_id, &args.secret_file) {
        (Some(file), _, _) => import_file(args, file, verbose),
        (None, Some(public_id), Some(secret_file)) => import_one(args, public_id, secret_file),
        _ => Err("give --file, or --public-id with --secret-file".into()),
    }
}

fn import_one(args: &ImportArgs, public_id: &str, secret_file: &Path) -> Outcome {
    let mut given = json!({ "public_id": public_id, "secret": read_secret(secret_file)? });
    if let Some(name) = &args.name {
        given["name"] = json!(name);
    }
    let entry = entry::complete(given.to_string().as_bytes(), &args.defaults())?;
    let audience: Audience = entry["audience"].as_str().unwrap_or_default().parse()?;
    let public_id = PublicId::parse(public_id, audience)?;
    let mut remote = Remote::new(&args.admin)?;
    let body = json!({ "credentials": [entry] });
    let answer = remote.post("/credentials/import", Some(&body))?;
    let mut sent = Sent::default();
    sent.add(&answer, &[1])?;
    let query = format!("/credentials?public_id={}", escape(public_id.as_str()));
    let credential = remote.get(&query)?["data"][0].clone();
    let mut summary = sent.summary();
    summary["credential"] = credential.clone();
    remote.print(&summary, |remote| {
        let card = remote.paper.card(SHOWN, &credential);
        format!("{}\n{card}", sent.sentence(&remote.place()))
    });
    Ok(exit_code(&sent))
}

fn import_file(args: &ImportArgs, file: &Path, verbose: bool) -> Outcome {
    let defaults = args.defaults();
    let remote = Remote::new(&args.admin)?;
    let total = check(file, &defaults)?;
    let clock_s = || SystemClock.now().micros() as f64 / 1e6;
    let mut progress = Progress::new(total, verbose, clock_s());
    let lines = Lines::new(open(file)?);
    let mut show = |done| progress.show(done, clock_s());
    let (sent, failure) = send_file(&remote, lines, &defaults, args.batch.into(), &mut show);
    progress.end();
    if let Some(failure) = failure {
        return Err(format!(
            "{failure}\n{} of {total} rows were sent; repeat the same command to go on: what is there is skipped",
            sent.rows()
        )
        .into());
    }
    for line in sent.taken.iter().take(NAMED) {
        eprintln!("line {line}: its public_id is taken, with another secret");
    }
    tell_rest(sent.taken.len());
    remote.print(&sent.summary(), |remote| {
        format!("{}\n", sent.sentence(&remote.place()))
    });
    Ok(exit_code(&sent))
}

fn exit_code(sent: &Sent) -> ExitCode {
    if sent.taken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tell_rest(count: usize) {
    if count > NAMED {
        eprintln!("and {} more", count - NAMED);
    }
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let named = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(named)?;
    if !file.metadata().map_err(named)?.is_file() {
        return Err(format!(
            "{} is no regular file: it is read twice, so write what it gives to a file first",
            path.display()
        )
        .into());
    }
    Ok(BufReader::new(file))
}

/// Checks every line and counts them; names those that cannot be sent.
fn check(path: &Path, defaults: &Defaults) -> Result<u64, Failure> {
    let mut lines = Lines::new(open(path)?);
    let (mut good, mut bad) = (0, 0);
    while let Some((number, line)) = lines.next_line()? {
        match line.and_then(|line| entry::complete(line, defaults)) {
            Ok(_) => good += 1,
            Err(why) => {
                bad += 1;
                if bad <= NAMED {
                    eprintln!("line {number}: {why}");
                }
            }
        }
    }
    tell_rest(bad);
    if bad > 0 {
        let lines = if bad == 1 {
            "1 line"
        } else {
            &format!("{bad} lines")
        };
        return Err(format!(
            "{}: {lines} cannot be imported; nothing was sent. Mend the file and repeat the command",
            path.display()
        )
        .into());
    }
    Ok(good)
}
