//! `wayleave account`: how a partner buys.

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::Outcome;
use super::print::{Column, moment, plain};
use super::remote::{AdminArgs, Remote};
use super::shown::show;
use crate::admin_client::escape;

const COLUMNS: &[Column] = &[
    plain("partner", "partner"),
    plain("number", "number"),
    plain("billing name", "billing_name"),
    plain("billing email", "billing_email"),
    plain("price list", "price_list"),
    plain("currency", "currency"),
    plain("card", "card"),
    plain("orders", "orders"),
    moment("opened", "created_at", "-"),
];

const CARDS: [&str; 5] = ["pays", "declines", "asks", "unclear", "none"];

/// What to do with accounts.
#[derive(Subcommand)]
pub(crate) enum AccountAct {
    /// Show how a partner buys.
    #[command(after_long_help = "Example:\n  wayleave account show ptr_01m80p48vazfwqp45pxt8h5btb")]
    Show {
        /// The partner, such as ptr_01m80p48vazfwqp45pxt8h5btb.
        partner: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Change how a partner buys; what was quoted keeps its prices.
    #[command(
        after_long_help = "Example:\n  wayleave account change ptr_01m80p48vazfwqp45pxt8h5btb --price-list reseller --currency GBP --card pays"
    )]
    Change {
        /// The partner, such as ptr_01m80p48vazfwqp45pxt8h5btb.
        partner: String,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// What changes.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ChangeArgs {
    /// To whom invoices are written.
    #[arg(long, value_name = "NAME")]
    billing_name: Option<String>,
    /// Where invoices are sent.
    #[arg(long, value_name = "ADDRESS")]
    billing_email: Option<String>,
    /// A price list of the catalogue.
    #[arg(long, value_name = "NAME")]
    price_list: Option<String>,
    /// The currency of what it orders from now on, such as GBP.
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// The saved card, of the processor that pretends: what it does when it is charged.
    #[arg(long, value_parser = PossibleValuesParser::new(CARDS))]
    card: Option<String>,
}

impl ChangeArgs {
    fn body(self) -> Value {
        json!({
            "billing_name": self.billing_name,
            "billing_email": self.billing_email,
            "price_list": self.price_list,
            "currency": self.currency,
            "card": self.card,
        })
    }
}

/// Does it.
pub(crate) fn run(act: AccountAct) -> Outcome {
    match act {
        AccountAct::Show { partner, admin } => {
            let mut remote = Remote::new(&admin)?;
            let account = remote.get(&format!("/partners/{}/account", escape(&partner)))?;
            show(&remote, &account, COLUMNS, "Account")
        }
        AccountAct::Change {
            partner,
            change,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let path = format!("/partners/{}/account/change", escape(&partner));
            let changed = remote.post(&path, Some(&change.body()))?;
            show(&remote, &changed, COLUMNS, "Changed")
        }
    }
}
