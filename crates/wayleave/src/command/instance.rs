//! `wayleave instance`: what is hosted for partners.

use clap::Subcommand;

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, moment, plain};
use super::remote::{AdminArgs, Remote};
use super::shown::show;
use crate::admin_client::escape;

const LISTED: &[Column] = &[
    plain("id", "id"),
    plain("number", "number"),
    plain("name", "account_name"),
    plain("displays", "displays"),
    plain("demo", "is_demo"),
    plain("partner", "partner"),
    moment("renewal", "renewal_at", "-"),
];

const COLUMNS: &[Column] = &[
    plain("id", "id"),
    plain("number", "number"),
    plain("name", "account_name"),
    plain("partner", "partner"),
    plain("customer", "customer"),
    plain("order", "order"),
    plain("displays", "displays"),
    plain("demo", "is_demo"),
    plain("by the month", "is_monthly"),
    plain("renews", "renews"),
    plain("made of", "made_of"),
    moment("renewal", "renewal_at", "-"),
    moment("created", "created_at", "-"),
    moment("removed", "removed_at", "no"),
];

/// What to do with instances.
#[derive(Subcommand)]
pub(crate) enum InstanceAct {
    /// List instances that are there.
    #[command(
        after_long_help = "Example:\n  wayleave instance list --name harbour\n  wayleave instance list --partner ptr_01m80p48vazfwqp45pxt8h5btb --env live"
    )]
    List {
        /// Only those with this in their names.
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// Only those of this partner.
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show an instance, also a removed one.
    #[command(
        after_long_help = "Example:\n  wayleave instance show ins_01m80p492ae72s2twc9fc1jvm3"
    )]
    Show {
        /// Such as ins_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: InstanceAct) -> Outcome {
    match act {
        InstanceAct::List {
            name,
            partner,
            admin,
        } => {
            let listing = Listing {
                path: "/instances",
                filters: &[("name", name), ("partner", partner)],
                cursor: Some("id"),
                after: None,
                columns: LISTED,
                nouns: ("instance", "instances"),
            };
            list(&mut Remote::new(&admin)?, &listing)
        }
        InstanceAct::Show { id, admin } => {
            let mut remote = Remote::new(&admin)?;
            let found = remote.get(&format!("/instances/{}", escape(&id)))?;
            show(&remote, &found, COLUMNS, "Instance")
        }
    }
}
