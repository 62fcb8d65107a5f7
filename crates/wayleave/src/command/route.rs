//! `wayleave route`: the APIs behind, as the node has them in its settings.

use clap::Subcommand;

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, plain};
use super::remote::{AdminArgs, Remote};

const COLUMNS: &[Column] = &[
    plain("path", "path"),
    plain("host", "host"),
    plain("upstream", "upstream"),
    plain("audiences", "audiences"),
    plain("schemes", "schemes"),
    plain("scopes", "scopes"),
    plain("limits", "limits"),
];

/// What to do with routes.
#[derive(Subcommand)]
pub(crate) enum RouteAct {
    /// List the routes of an environment: where they lead and whom they let through.
    #[command(after_long_help = "Example:\n  wayleave route list --env live")]
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: RouteAct) -> Outcome {
    let RouteAct::List { admin } = act;
    let listing = Listing {
        path: "/routes",
        filters: &[],
        cursor: None,
        after: None,
        columns: COLUMNS,
        nouns: ("route", "routes"),
    };
    list(&mut Remote::new(&admin)?, &listing)
}
