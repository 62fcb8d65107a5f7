//! `wayleave pretend`: how the driver that pretends to make instances behaves.

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::Outcome;
use super::print::{Column, plain};
use super::remote::{AdminArgs, Remote};
use super::shown::show;

const COLUMNS: &[Column] = &[plain("provisioner", "provisioner")];
const BEHAVIOURS: [&str; 4] = ["well", "slow", "away", "never"];

/// What to tell it.
#[derive(Args)]
pub(crate) struct PretendArgs {
    /// How it is to behave: do what it is asked, take 20 s for it, be away, or say that it will never
    /// work. Without it: how it behaves now.
    #[arg(value_parser = PossibleValuesParser::new(BEHAVIOURS))]
    behaviour: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Tells or asks it.
pub(crate) fn run(args: PretendArgs) -> Outcome {
    let mut remote = Remote::new(&args.admin)?;
    match args.behaviour {
        None => {
            let found = remote.get("/pretend")?;
            show(&remote, &found, COLUMNS, "Pretending")
        }
        Some(behaviour) => {
            let body = json!({ "provisioner": behaviour });
            let told = remote.post("/pretend", Some(&body))?;
            show(&remote, &told, COLUMNS, "Told")
        }
    }
}
