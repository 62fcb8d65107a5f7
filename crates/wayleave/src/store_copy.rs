//! `wayleave store copy`: the data of an environment into another, empty database.

use clap::{Args, Subcommand};
use wayleave_core::Environment;
use wayleave_engine::{Clock, Database, StoreRuntime};
use wayleave_store::{ArchiveTarget, Arrival, Snapshot};

use crate::backup::{Failure, Progress, read_all};
use crate::backup_file::{BackupWriter, Head};
use crate::cli::say;
use crate::config::has_password;
use crate::key_file;
use crate::ports::SystemClock;

const FROM: &str = "WAYLEAVE_COPY_FROM";
const TO: &str = "WAYLEAVE_COPY_TO";

#[derive(Subcommand)]
pub(crate) enum StoreAct {
    /// Copy the data of an environment into an empty database, in either direction between SQLite
    /// and PostgreSQL. End every server first.
    #[command(
        after_long_help = "Example:\n  wayleave store copy --env live --from live.db --to postgres://wayleave@db/live"
    )]
    Copy(CopyArgs),
}

#[derive(Args)]
pub(crate) struct CopyArgs {
    /// Which environment: live or test.
    #[arg(long = "env", value_name = "live|test")]
    environment: Environment,
    /// A SQLite file or a postgres:// URL [default: the variable WAYLEAVE_COPY_FROM].
    #[arg(long, value_name = "DATABASE")]
    from: Option<String>,
    /// A SQLite file or a postgres:// URL [default: the variable WAYLEAVE_COPY_TO].
    #[arg(long, value_name = "DATABASE")]
    to: Option<String>,
    /// Print a summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Copies.
pub(crate) fn run(act: &StoreAct) -> Result<(), Failure> {
    let StoreAct::Copy(args) = act;
    let from = database("--from", args.from.as_deref(), FROM)?;
    let to = database("--to", args.to.as_deref(), TO)?;
    if from == to {
        return Err("--from and --to are one database".into());
    }
    if let Database::Sqlite(path) = &to
        && let Some(folder) = path.parent()
    {
        key_file::create_private_folder(folder)?;
    }
    let runtime = StoreRuntime::start()?;
    runtime.handle().block_on(copy(args, &from, &to))
}

fn database(name: &str, given: Option<&str>, variable: &str) -> Result<Database, Failure> {
    match given {
        Some(text) if has_password(text) => Err(format!(
            "{name}: a password on the command line can be seen by others: put the URL into the variable {variable}"
        )
        .into()),
        Some(text) => Ok(Database::parse(text)),
        None => match std::env::var(variable) {
            Ok(text) => Ok(Database::parse(&text)),
            Err(_) => Err(format!("give {name}, or set {variable}").into()),
        },
    }
}

async fn copy(args: &CopyArgs, from: &Database, to: &Database) -> Result<(), Failure> {
    let now = SystemClock.now();
    let place = |database: &Database, error| format!("{database:?}: {error}");
    let mut source = Snapshot::open_alone(from)
        .await
        .map_err(|error| place(from, error))?;
    let source_stamp = source.reader().check_stamp(args.environment).await;
    source_stamp.map_err(|error| place(from, error))?;
    let mut target = ArchiveTarget::open(to, args.environment, now)
        .await
        .map_err(|error| place(to, error))?;
    // Counts and sums what a backup would hold.
    let mut sum = BackupWriter::new(std::io::sink(), &Head::new(args.environment, now))?;
    let progress = Progress::new();
    read_all(&mut source, async |table, rows| {
        target.put(table, &rows).await?;
        for row in &rows {
            sum.row(table, row)?;
        }
        progress.show(table, sum.rows());
        Ok(())
    })
    .await?;
    progress.end();
    target.commit(Arrival::Copied).await?;
    let (_, tally) = sum.finish()?;
    say(&if args.json {
        tally.json()
    } else {
        format!(
            "{}: {} rows copied from {from:?} to {to:?}.\n\
             Name the new database in the configuration before you start a server, and keep the\n\
             master key files: the new database needs them as the old one does.\n",
            args.environment, tally.rows
        )
    });
    Ok(())
}
