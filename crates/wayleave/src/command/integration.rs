//! `wayleave integration`: the client programs of partners.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, moment, plain};
use super::remote::{AdminArgs, Remote};
use crate::admin_client::escape;

const COLUMNS: &[Column] = &[
    plain("id", "id"),
    plain("name", "name"),
    plain("partner", "partner"),
    moment("created", "created_at", "-"),
];

/// What to do with integrations.
#[derive(Subcommand)]
pub(crate) enum IntegrationAct {
    /// List integrations.
    #[command(
        after_long_help = "Example:\n  wayleave integration list --partner ptr_01m80p48vazfwqp45pxt8h5btb"
    )]
    List {
        /// Only those of this partner.
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Make an integration of a partner.
    #[command(
        after_long_help = "Example:\n  wayleave integration create --partner ptr_01m80p48vazfwqp45pxt8h5btb 'Order desk'"
    )]
    Create {
        /// Whose it is.
        #[arg(long, value_name = "ID")]
        partner: String,
        /// What people call it; 1 to 200 characters.
        name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show an integration.
    #[command(
        after_long_help = "Example:\n  wayleave integration show int_01m80p492ae72s2twc9fc1jvm3"
    )]
    Show {
        /// Such as int_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Give an integration another name.
    #[command(
        after_long_help = "Example:\n  wayleave integration rename int_01m80p492ae72s2twc9fc1jvm3 'Till'"
    )]
    Rename {
        /// Such as int_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        /// The new name.
        name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: IntegrationAct) -> Outcome {
    match act {
        IntegrationAct::List { partner, admin } => {
            let listing = Listing {
                path: "/integrations",
                filters: &[("partner", partner)],
                cursor: Some("id"),
                after: None,
                columns: COLUMNS,
                nouns: ("integration", "integrations"),
            };
            list(&mut Remote::new(&admin)?, &listing)
        }
        IntegrationAct::Create {
            partner,
            name,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let body = json!({ "partner": partner, "name": name });
            let made = remote.post("/integrations", Some(&body))?;
            show(&remote, &made, "Made")
        }
        IntegrationAct::Show { id, admin } => {
            let mut remote = Remote::new(&admin)?;
            let found = remote.get(&format!("/integrations/{}", escape(&id)))?;
            show(&remote, &found, "Integration")
        }
        IntegrationAct::Rename { id, name, admin } => {
            let mut remote = Remote::new(&admin)?;
            let path = format!("/integrations/{}/rename", escape(&id));
            let renamed = remote.post(&path, Some(&json!({ "name": name })))?;
            show(&remote, &renamed, "Renamed")
        }
    }
}

fn show(remote: &Remote, integration: &Value, done: &str) -> Outcome {
    remote.print(integration, |remote| {
        let card = remote.paper.card(COLUMNS, integration);
        format!("{done} in {}:\n{card}", remote.place())
    });
    Ok(ExitCode::SUCCESS)
}
