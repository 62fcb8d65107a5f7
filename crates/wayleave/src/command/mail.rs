//! `wayleave mail`: the pretended mailbox.

use clap::Subcommand;

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, moment, plain};
use super::remote::{AdminArgs, Remote};

const COLUMNS: &[Column] = &[
    moment("sent", "created_at", "-"),
    plain("to", "recipient"),
    plain("subject", "subject"),
    plain("text", "body"),
];

/// What to do with mail.
#[derive(Subcommand)]
pub(crate) enum MailAct {
    /// List what partners were told by mail: nothing leaves this machine, it is kept here.
    #[command(
        after_long_help = "Example:\n  wayleave mail list --partner ptr_01m80p48vazfwqp45pxt8h5btb"
    )]
    List {
        /// Only what was sent to this partner.
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: MailAct) -> Outcome {
    let MailAct::List { partner, admin } = act;
    let listing = Listing {
        path: "/mail",
        filters: &[("partner", partner)],
        cursor: Some("id"),
        after: None,
        columns: COLUMNS,
        nouns: ("message", "messages"),
    };
    list(&mut Remote::new(&admin)?, &listing)
}
