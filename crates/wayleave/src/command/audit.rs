//! `wayleave audit`: who did what.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Outcome;
use super::listing::{Listing, export, list};
use super::print::{Column, Shape, plain, state};
use super::remote::{AdminArgs, Remote};
use crate::audit_trail::{self, VerifyArgs};
use crate::cli::exit_code;

const COLUMNS: &[Column] = &[
    plain("number", "number"),
    Column {
        title: "when",
        member: "at_us",
        shape: Shape::Micros,
    },
    plain("actor", "actor"),
    plain("act", "act"),
    plain("object", "object"),
    state("stage", "stage"),
    plain("request", "request_id"),
];

/// What to do with the audit log.
#[derive(Subcommand)]
pub(crate) enum AuditAct {
    /// Check that no entry was edited, deleted or moved; needs no server.
    #[command(
        after_long_help = "Example:\n  wayleave audit verify --env live --config /etc/wayleave.toml"
    )]
    Verify(VerifyArgs),
    /// List entries, oldest first.
    #[command(
        after_long_help = "Example:\n  wayleave audit list --env live --object crd_01m80p4991wr936jh0atmcdrpe"
    )]
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Write every entry as a line of JSON.
    #[command(
        after_long_help = "Example:\n  wayleave audit export --env live --output audit.jsonl"
    )]
    Export {
        /// The file; it is there once it is whole [default: standard output].
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Which entries.
#[derive(Args)]
pub(crate) struct Which {
    /// Only what this operator did.
    #[arg(long)]
    actor: Option<String>,
    /// Only what was done to this partner, integration, credential or key.
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// Only entries after this number.
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
}

/// Does it.
pub(crate) fn run(act: AuditAct) -> Outcome {
    let (which, admin, is_export, output) = match act {
        AuditAct::Verify(args) => return audit_trail::verify(&args).map(exit_code),
        AuditAct::List { which, admin } => (which, admin, false, None),
        AuditAct::Export {
            output,
            which,
            admin,
        } => (which, admin, true, output),
    };
    let mut remote = Remote::new(&admin)?;
    let listing = Listing {
        path: "/audit",
        filters: &[("actor", which.actor), ("object", which.object)],
        cursor: Some("number"),
        after: which.after.map(|number| number.to_string()),
        columns: COLUMNS,
        nouns: ("entry", "entries"),
    };
    if is_export {
        export(&mut remote, &listing, output.as_deref())
    } else {
        list(&mut remote, &listing)
    }
}
