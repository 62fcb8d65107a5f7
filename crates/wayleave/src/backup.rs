//! `wayleave backup`: everything of an environment in one file, also while a server is running.

use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use wayleave_engine::{Clock, StoreRuntime};
use wayleave_store::{ArchiveRow, Snapshot, TABLES, Table};

use crate::backup_file::{BackupWriter, Head, Tally};
use crate::cli::say;
use crate::key_file::PrivateFile;
use crate::place::{EnvironmentArgs, Place};
use crate::ports::SystemClock;

/// What [`run`] does not do is said as an error of any kind.
pub(crate) type Failure = Box<dyn std::error::Error>;

#[derive(Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    of: EnvironmentArgs,
    /// Print a summary as JSON.
    #[arg(long)]
    json: bool,
    /// The file to write (mode 0600), in the place of one that is there; - is standard output.
    file: PathBuf,
}

/// Makes a backup.
pub(crate) fn run(args: &BackupArgs) -> Result<(), Failure> {
    let place = args.of.place()?;
    let runtime = StoreRuntime::start()?;
    runtime.handle().block_on(async {
        if args.file.as_os_str() == "-" {
            let (_, tally) = write(&place, BufWriter::new(std::io::stdout().lock())).await?;
            eprint!("{}", summary(args, &place, &tally));
            return Ok(());
        }
        let file = BufWriter::new(PrivateFile::create(&args.file)?);
        let (file, tally) = write(&place, file).await?;
        file.into_inner()
            .map_err(|error| error.into_error())?
            .finish()?;
        say(&summary(args, &place, &tally));
        Ok(())
    })
}

async fn write<W: Write>(place: &Place, out: W) -> Result<(W, Tally), Failure> {
    let mut snapshot = Snapshot::open(&place.database).await?;
    snapshot.reader().check_stamp(place.environment).await?;
    let head = Head::new(place.environment, SystemClock.now());
    let mut writer = BackupWriter::new(out, &head)?;
    let progress = Progress::new();
    read_all(&mut snapshot, async |table, rows| {
        for row in &rows {
            writer.row(table, row)?;
        }
        progress.show(table, writer.rows());
        Ok(())
    })
    .await?;
    progress.end();
    Ok(writer.finish()?)
}

/// Hands out every row of a database, page by page.
pub(crate) async fn read_all(
    snapshot: &mut Snapshot,
    mut take: impl AsyncFnMut(&'static Table, Vec<ArchiveRow>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for table in TABLES {
        let mut last = None;
        loop {
            let page = snapshot.reader().archive_page(table, last.as_ref()).await?;
            let Some(row) = page.last() else { break };
            last = Some(row.clone());
            take(table, page).await?;
        }
    }
    Ok(())
}

fn summary(args: &BackupArgs, place: &Place, tally: &Tally) -> String {
    if args.json {
        return tally.json();
    }
    format!(
        "{}: {} rows, {} bytes, SHA-256 {}\n\
         The master keys are not in it, and without them no secret in it can be used: back up\n\
         {} as well, in another place.\n",
        shown(&args.file),
        tally.rows,
        tally.bytes,
        tally.sha256,
        place.master_key.display()
    )
}

fn shown(file: &Path) -> String {
    if file.as_os_str() == "-" {
        "standard output".to_owned()
    } else {
        file.display().to_string()
    }
}

/// Tells a person at a terminal how far it is; tells nobody else.
pub(crate) struct Progress {
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Progress {
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    /// `rows`: how many so far, of all tables.
    pub(crate) fn show(&self, table: &Table, rows: u64) {
        if self.is_shown {
            eprint!("\r{:<16} {rows:>12} rows", table.name);
        }
    }

    pub(crate) fn end(&self) {
        if self.is_shown {
            eprintln!();
        }
    }
}
