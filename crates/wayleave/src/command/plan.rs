//! `wayleave plan`: plans that partners bought.

use clap::Subcommand;

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, moment, plain, state};
use super::remote::{AdminArgs, ConfirmArgs, Remote};
use super::shown::show;
use crate::admin_client::escape;

const COLUMNS: &[Column] = &[
    plain("id", "id"),
    plain("plan", "plan"),
    state("state", "state"),
    plain("partner", "partner"),
    plain("renews", "renews"),
    moment("starts", "starts_at", "-"),
    moment("ends", "ends_at", "-"),
    moment("ended", "ended_at", "no"),
];

/// What to do with plans.
#[derive(Subcommand)]
pub(crate) enum PlanAct {
    /// List the plans that partners bought, those that are over too.
    #[command(
        after_long_help = "Example:\n  wayleave plan list --partner ptr_01m80p48vazfwqp45pxt8h5btb"
    )]
    List {
        /// Only those of this partner.
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// End a plan before its term is over; what it gives is gone at once. Nothing is paid back: order
    /// refund does that.
    #[command(after_long_help = "Example:\n  wayleave plan end plt_01m80p492ae72s2twc9fc1jvm3")]
    End {
        /// Such as plt_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: PlanAct) -> Outcome {
    match act {
        PlanAct::List { partner, admin } => {
            let listing = Listing {
                path: "/plans",
                filters: &[("partner", partner)],
                cursor: Some("id"),
                after: None,
                columns: COLUMNS,
                nouns: ("plan", "plans"),
            };
            list(&mut Remote::new(&admin)?, &listing)
        }
        PlanAct::End { id, confirm, admin } => {
            let mut remote = Remote::new(&admin)?;
            remote.confirm(confirm, &format!("End the plan {id}"))?;
            let ended = remote.post(&format!("/plans/{}/end", escape(&id)), None)?;
            show(&remote, &ended, COLUMNS, "Ended")
        }
    }
}
