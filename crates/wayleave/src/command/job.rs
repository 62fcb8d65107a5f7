//! `wayleave job`: what is to be done later, and what was given up.

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, moment, plain, state};
use super::remote::{AdminArgs, Remote};
use super::shown::show;

const COLUMNS: &[Column] = &[
    plain("name", "name"),
    state("state", "state"),
    plain("attempts", "attempts"),
    moment("due", "run_at", "-"),
    moment("changed", "changed_at", "-"),
    plain("last error", "last_error"),
];

/// What to do with jobs.
#[derive(Subcommand)]
pub(crate) enum JobAct {
    /// List jobs; those that were given up need somebody to look.
    #[command(
        after_long_help = "Example:\n  wayleave job list --state failed --env live\n  wayleave job list --state waiting --partner ptr_01m80p48vazfwqp45pxt8h5btb"
    )]
    List {
        /// Only those in this state; failed ones were given up.
        #[arg(long, value_parser = PossibleValuesParser::new(["waiting", "done", "failed"]))]
        state: Option<String>,
        /// Only those of this partner.
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Try a job again that was given up.
    #[command(
        after_long_help = "Example:\n  wayleave job retry 'hook ord_01m80p48vazfwqp45pxt8h5btb'"
    )]
    Retry {
        /// Its name, as list shows it: two words, so in quotes.
        name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: JobAct) -> Outcome {
    match act {
        JobAct::List {
            state,
            partner,
            admin,
        } => {
            let listing = Listing {
                path: "/jobs",
                filters: &[("state", state), ("partner", partner)],
                cursor: Some("name"),
                after: None,
                columns: COLUMNS,
                nouns: ("job", "jobs"),
            };
            list(&mut Remote::new(&admin)?, &listing)
        }
        JobAct::Retry { name, admin } => {
            let mut remote = Remote::new(&admin)?;
            let retried = remote.post("/jobs/retry", Some(&json!({ "name": name })))?;
            show(&remote, &retried, COLUMNS, "Tried again")
        }
    }
}
