//! `wayleave restore`: a backup into an empty database, and the check of the keys after it.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use wayleave_core::{CredentialId, Environment, Timestamp};
use wayleave_engine::{Clock, Database, Store, StoreRuntime};
use wayleave_protocol::http_date;
use wayleave_store::{ArchiveRow, ArchiveTarget, Arrival, Table};

use crate::backup::{Failure, Progress};
use crate::backup_file::{BackupFileError, BackupReader, Tally};
use crate::cli::say;
use crate::key_file;
use crate::place::{EnvironmentArgs, Place, PlaceArgs};
use crate::ports::SystemClock;
use crate::revocations::Revocations;

/// How many rows are collected before they are written.
const PAGE: usize = 500;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct RestoreArgs {
    /// The configuration file of the node.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "data",
        conflicts_with = "data"
    )]
    config: Option<PathBuf>,
    /// The data folder of a demonstration with SQLite files.
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    data: Option<PathBuf>,
    /// Which environment: live or test.
    #[arg(long = "env", value_name = "live|test", required = true)]
    environment: Option<Environment>,
    /// An export of the audit trail (JSON lines): what it says was revoked, refreshed or disabled
    /// after the backup was made is revoked in the restored database.
    #[arg(long, value_name = "FILE")]
    revocations: Option<PathBuf>,
    /// Print a summary as JSON.
    #[arg(long)]
    json: bool,
    /// The backup.
    #[arg(required = true)]
    file: Option<PathBuf>,
    #[command(subcommand)]
    act: Option<RestoreAct>,
}

/// What a restore needs.
struct RestoreSettings {
    of: EnvironmentArgs,
    revocations: Option<PathBuf>,
    json: bool,
    file: PathBuf,
}

#[derive(Subcommand)]
enum RestoreAct {
    /// Say that the keys were checked after a restore; the warnings end.
    #[command(
        after_long_help = "Example:\n  wayleave restore confirm --config /etc/wayleave.toml --env live"
    )]
    Confirm(EnvironmentArgs),
}

/// Restores, or takes the confirmation.
pub(crate) fn run(args: RestoreArgs) -> Result<(), Failure> {
    let runtime = StoreRuntime::start()?;
    if let Some(RestoreAct::Confirm(of)) = &args.act {
        return confirm(of, &runtime);
    }
    let (Some(environment), Some(file)) = (args.environment, args.file) else {
        return Err("name the backup and its environment".into());
    };
    let place = PlaceArgs {
        config: args.config,
        data: args.data,
    };
    let settings = RestoreSettings {
        of: EnvironmentArgs { place, environment },
        revocations: args.revocations,
        json: args.json,
        file,
    };
    restore(&settings, &runtime)
}

fn restore(args: &RestoreSettings, runtime: &StoreRuntime) -> Result<(), Failure> {
    let place = args.of.place()?;
    let reader = BackupReader::open(&args.file)?;
    let head = reader.head().clone();
    head.check(place.environment)?;
    // Everything is read once before anything is written.
    let expected = reader.verify()?;
    let revocations = match &args.revocations {
        Some(path) => Revocations::read(path, head.made_at())?,
        None => Revocations::default(),
    };
    if let Database::Sqlite(path) = &place.database
        && let Some(folder) = path.parent()
    {
        key_file::create_private_folder(folder)?;
    }
    let now = SystemClock.now();
    let arrival = Arrival::Restored {
        made_at: head.made_at(),
        now,
    };
    let revoked = runtime.handle().block_on(async {
        let mut target = ArchiveTarget::open(&place.database, place.environment, now).await?;
        let tally = load(&args.file, &mut target).await?;
        if tally != expected {
            // The file changed between the two readings.
            return Err(Failure::from(BackupFileError::Checksum));
        }
        let revoked = revoke(&mut target, &revocations.credentials, now).await?;
        target.commit(arrival).await?;
        Ok(revoked)
    })?;
    say(&if args.json {
        expected.json()
    } else {
        told(args, &place, &expected, head.made_at(), revoked)
    });
    Ok(())
}

async fn load(path: &Path, target: &mut ArchiveTarget) -> Result<Tally, Failure> {
    let mut reader = BackupReader::open(path)?;
    let progress = Progress::new();
    let mut page: Vec<ArchiveRow> = Vec::with_capacity(PAGE);
    let mut of: Option<&'static Table> = None;
    let mut rows = 0;
    while let Some((table, row)) = reader.next_row()? {
        if let Some(before) = of
            && (before.name != table.name || page.len() == PAGE)
        {
            target.put(before, &page).await?;
            rows += page.len() as u64;
            progress.show(before, rows);
            page.clear();
        }
        of = Some(table);
        page.push(row);
    }
    if let Some(table) = of {
        target.put(table, &page).await?;
    }
    progress.end();
    Ok(reader.into_tally())
}

async fn revoke(
    target: &mut ArchiveTarget,
    credentials: &[CredentialId],
    now: Timestamp,
) -> Result<usize, Failure> {
    let mut revoked = 0;
    for credential in credentials {
        // One that was made after the backup is not there.
        revoked += usize::from(target.revoke(*credential, now).await?);
    }
    Ok(revoked)
}

fn told(
    args: &RestoreSettings,
    place: &Place,
    tally: &Tally,
    made_at: Timestamp,
    revoked: usize,
) -> String {
    let made = http_date::format(made_at.unix_s());
    let given = args.of.given();
    let environment = place.environment;
    let mut text = format!(
        "{environment}: {} rows of the backup of {made} are restored.\n\
         Tokens that were issued before now are refused; clients get new ones by themselves.\n",
        tally.rows
    );
    if args.revocations.is_some() {
        text.push_str(&format!(
            "{revoked} credentials are revoked, as the audit trail says.\n"
        ));
    }
    text.push_str(&format!(
        "\nWhat was changed after the backup is not in it: keys that were revoked or refreshed since\n\
         {made} count again, new ones are unknown. Before you open it to partners:\n\
         1. Put the master key file of that time at {}, and look: wayleave doctor {}\n\
         2. Revoke again what was revoked since then (your audit export or log tells which).\n\
         3. Confirm it: wayleave restore confirm {given}\n",
        place.master_key.display(),
        args.of.place.given(),
    ));
    text
}

fn confirm(of: &EnvironmentArgs, runtime: &StoreRuntime) -> Result<(), Failure> {
    let place = of.place()?;
    let now = SystemClock.now();
    runtime.handle().block_on(async {
        // Opening would make a file that is not there.
        drop(wayleave_store::Snapshot::open(&place.database).await?);
        let store = Store::open(runtime, &place.database, place.environment, now).await?;
        let wanted = store
            .read(|reader| Box::pin(reader.key_check_wanted()))
            .await?;
        if wanted.is_none() {
            say(&format!(
                "{}: no check of keys is wanted.\n",
                of.environment
            ));
            return Ok(());
        }
        store
            .write(now, |transaction| Box::pin(transaction.confirm_key_check()))
            .await?;
        say(&format!("{}: the keys are checked.\n", of.environment));
        Ok(())
    })
}
