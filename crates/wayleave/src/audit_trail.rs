//! `wayleave audit verify`: whether rows of the audit trail were edited, deleted or moved.

use clap::Args;
use serde_json::json;
use wayleave_engine::{AuditHead, AuditReport, verify_audit};
use wayleave_store::Snapshot;

use crate::backup::Failure;
use crate::cli::say;
use crate::key_file;
use crate::place::EnvironmentArgs;
use crate::ports::SystemRandomness;

/// What is verified.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    of: EnvironmentArgs,
    /// The head that this command printed before, as NUMBER:HASH: the trail must lead to it.
    #[arg(long, value_name = "NUMBER:HASH")]
    head: Option<AuditHead>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Verifies; `false` when something is wrong. No server has to run, and one may.
pub(crate) fn verify(args: &VerifyArgs) -> Result<bool, Failure> {
    let place = args.of.place()?;
    let vault = key_file::open_vault(&place.master_key, false, &SystemRandomness)?;
    let waiting = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = waiting.block_on(async {
        let mut snapshot = Snapshot::open(&place.database).await?;
        snapshot.reader().check_stamp(place.environment).await?;
        let verified = verify_audit(snapshot.reader(), &vault, args.head.as_ref()).await;
        verified.map_err(Failure::from)
    })?;
    say(&if args.json {
        format!("{}\n", as_json(&report))
    } else {
        as_text(&report)
    });
    Ok(report.faults.is_empty())
}

fn as_json(report: &AuditReport) -> serde_json::Value {
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    json!({
        "rows": report.rows,
        "head": report.head.to_string(),
        "unfinished": report.unfinished,
        "faults": faults,
    })
}

fn as_text(report: &AuditReport) -> String {
    let mut text = String::new();
    for fault in &report.faults {
        text += &format!("WRONG: {fault}\n");
    }
    for number in &report.unfinished {
        text += &format!(
            "row {number} began an act whose end is not recorded: the server ended in between; look whether it happened\n"
        );
    }
    text += &match report.faults.len() {
        0 => format!("{} rows, none edited, deleted or moved\n", report.rows),
        count => format!("{} rows, {count} things wrong\n", report.rows),
    };
    text + &format!(
        "head {}\nWrite the head down where this database cannot reach it, and give it as --head next time.\n",
        report.head
    )
}
