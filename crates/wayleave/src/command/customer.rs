//! `wayleave customer`: the client companies of partners.

use clap::Subcommand;

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, moment, plain};
use super::remote::{AdminArgs, Remote};

const COLUMNS: &[Column] = &[
    plain("id", "id"),
    plain("number", "number"),
    plain("reference", "reference"),
    plain("name", "name"),
    plain("partner", "partner"),
    moment("created", "created_at", "-"),
];

/// What to do with customers.
#[derive(Subcommand)]
pub(crate) enum CustomerAct {
    /// List the customers of partners; orders make them.
    #[command(
        after_long_help = "Example:\n  wayleave customer list --partner ptr_01m80p48vazfwqp45pxt8h5btb"
    )]
    List {
        /// Only those of this partner.
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: CustomerAct) -> Outcome {
    let CustomerAct::List { partner, admin } = act;
    let listing = Listing {
        path: "/customers",
        filters: &[("partner", partner)],
        cursor: Some("id"),
        after: None,
        columns: COLUMNS,
        nouns: ("customer", "customers"),
    };
    list(&mut Remote::new(&admin)?, &listing)
}
