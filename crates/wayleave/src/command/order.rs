//! `wayleave order`: quotes and orders, above all those that are stuck.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, moment, plain, state};
use super::remote::{AdminArgs, ConfirmArgs, Remote};
use super::shown::{Part, show_with};
use crate::admin_client::escape;

/// As many minutes without change as make an order stuck, where nothing else is said.
const USUAL_MINUTES: &str = "10";

const LISTED: &[Column] = &[
    plain("id", "id"),
    plain("number", "number"),
    state("state", "state"),
    plain("total", "total"),
    plain("currency", "currency"),
    plain("partner", "partner"),
    moment("changed", "changed_at", "-"),
    plain("last error", "last_error"),
];

const COLUMNS: &[Column] = &[
    plain("id", "id"),
    plain("number", "number"),
    state("state", "state"),
    plain("partner", "partner"),
    plain("total", "total"),
    plain("currency", "currency"),
    plain("by card", "auto_pay"),
    plain("hook", "hook_url"),
    plain("payment link", "payment_link"),
    plain("catalogue", "catalogue_version"),
    moment("created", "created_at", "-"),
    moment("changed", "changed_at", "-"),
    moment("quote holds", "expires_at", "-"),
];

const LINES: &[Column] = &[
    plain("line", "place"),
    plain("product", "product"),
    plain("quantity", "quantity"),
    plain("months", "months"),
    plain("total", "total"),
    plain("customer", "customer"),
    plain("became", "delivered"),
    moment("delivered", "delivered_at", "not yet"),
];

const CHARGES: &[Column] = &[
    plain("charge", "id"),
    state("state", "state"),
    plain("amount", "amount"),
    plain("currency", "currency"),
    moment("changed", "changed_at", "-"),
];

const JOBS: &[Column] = &[
    plain("job", "name"),
    state("state", "state"),
    plain("attempts", "attempts"),
    moment("due", "run_at", "-"),
    plain("last error", "last_error"),
];

const PARTS: &[Part] = &[
    Part {
        member: "lines",
        columns: LINES,
    },
    Part {
        member: "charges",
        columns: CHARGES,
    },
    Part {
        member: "jobs",
        columns: JOBS,
    },
];

/// What to do with orders.
#[derive(Subcommand)]
pub(crate) enum OrderAct {
    /// List orders.
    #[command(
        after_long_help = "Example:\n  wayleave order list --env live --stuck\n  wayleave order list --stuck 60 --partner ptr_01m80p48vazfwqp45pxt8h5btb\n  wayleave order list --state invoiced"
    )]
    List {
        /// Only those that are processing, or have a job that was given up, and have not changed for
        /// so many minutes [10 where no number is given].
        #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = USUAL_MINUTES)]
        stuck: Option<u32>,
        /// Only those in this state: quote, invoiced, processing, complete, cancelled, expired or
        /// refunded.
        #[arg(long, value_name = "WORD")]
        state: Option<String>,
        /// Only those of this partner.
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show an order with its lines, its charges and what is to be done about it.
    #[command(
        after_long_help = "Example:\n  wayleave order show ord_01m80p48vazfwqp45pxt8h5btb\n  wayleave order show 1204 --env live"
    )]
    Show {
        /// Its id, or the number that the partner knows.
        order: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Note that the invoice of an order was paid, and deliver it.
    #[command(after_long_help = "Example:\n  wayleave order settle 1204 --env live")]
    Settle {
        /// Its id, or the number that the partner knows.
        order: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Call a quote off, or an order that waits for its payment.
    #[command(after_long_help = "Example:\n  wayleave order cancel 1204 --env live")]
    Cancel {
        /// Its id, or the number that the partner knows.
        order: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Take back what a complete order delivered, and give its money back.
    #[command(
        after_long_help = "Example:\n  wayleave order refund 1204 --why 'ordered twice' --env live"
    )]
    Refund {
        /// Its id, or the number that the partner knows.
        order: String,
        /// Why; the partner reads it in the mail about it.
        #[arg(long, value_name = "TEXT")]
        why: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: OrderAct) -> Outcome {
    match act {
        OrderAct::List {
            stuck,
            state,
            partner,
            admin,
        } => {
            let stuck = stuck.map(|minutes| minutes.to_string());
            let listing = Listing {
                path: "/orders",
                filters: &[("stuck", stuck), ("state", state), ("partner", partner)],
                cursor: Some("id"),
                after: None,
                columns: LISTED,
                nouns: ("order", "orders"),
            };
            list(&mut Remote::new(&admin)?, &listing)
        }
        OrderAct::Show { order, admin } => {
            let mut remote = Remote::new(&admin)?;
            let found = remote.get(&format!("/orders/{}", escape(&order)))?;
            show_with(&remote, &found, COLUMNS, PARTS, "Order")
        }
        OrderAct::Settle { order, admin } => {
            act_on(Remote::new(&admin)?, &order, "settle", None, "Settled")
        }
        OrderAct::Cancel {
            order,
            confirm,
            admin,
        } => {
            let remote = Remote::new(&admin)?;
            remote.confirm(confirm, &format!("Call order {order} off"))?;
            act_on(remote, &order, "cancel", None, "Cancelled")
        }
        OrderAct::Refund {
            order,
            why,
            confirm,
            admin,
        } => {
            let remote = Remote::new(&admin)?;
            let question = format!("Take back what order {order} delivered, and its money,");
            remote.confirm(confirm, &question)?;
            let body = json!({ "why": why });
            act_on(remote, &order, "refund", Some(&body), "Refunded")
        }
    }
}

fn act_on(
    mut remote: Remote,
    order: &str,
    verb: &str,
    body: Option<&Value>,
    done: &str,
) -> Outcome {
    let changed = remote.post(&format!("/orders/{}/{verb}", escape(order)), body)?;
    show_with(&remote, &changed, COLUMNS, PARTS, done)
}
