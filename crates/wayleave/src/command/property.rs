//! `wayleave property`: the content sites of partners, whose key sets are credentials.

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
    plain("origins", "origins"),
    moment("created", "created_at", "-"),
];

/// What to do with properties.
#[derive(Subcommand)]
pub(crate) enum PropertyAct {
    /// List properties.
    #[command(
        after_long_help = "Example:\n  wayleave property list --partner ptr_01m80p48vazfwqp45pxt8h5btb"
    )]
    List {
        /// Only those of this partner.
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Make a property of a partner. Its key sets are made by credential create --property.
    #[command(
        after_long_help = "Example:\n  wayleave property create --partner ptr_01m80p48vazfwqp45pxt8h5btb --origin https://www.example.com 'Harbour Daily'"
    )]
    Create {
        /// Whose it is.
        #[arg(long, value_name = "ID")]
        partner: String,
        /// Where its pages live: scheme, host and port alone. Repeatable.
        #[arg(long = "origin", value_name = "ORIGIN")]
        origins: Vec<String>,
        /// What people call it; 1 to 200 characters.
        name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a property.
    #[command(
        after_long_help = "Example:\n  wayleave property show prp_01m80p492ae72s2twc9fc1jvm3"
    )]
    Show {
        /// Such as prp_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Give a property another name or other origins.
    #[command(
        after_long_help = "Example:\n  wayleave property change prp_01m80p492ae72s2twc9fc1jvm3 --origin https://www.example.com --origin https://m.example.com"
    )]
    Change {
        /// Such as prp_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        /// The new name.
        #[arg(long, required_unless_present = "origins")]
        name: Option<String>,
        /// Where its pages live from now on, instead of where they did. Repeatable.
        #[arg(long = "origin", value_name = "ORIGIN")]
        origins: Vec<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: PropertyAct) -> Outcome {
    match act {
        PropertyAct::List { partner, admin } => {
            let listing = Listing {
                path: "/properties",
                filters: &[("partner", partner)],
                cursor: Some("id"),
                after: None,
                columns: COLUMNS,
                nouns: ("property", "properties"),
            };
            list(&mut Remote::new(&admin)?, &listing)
        }
        PropertyAct::Create {
            partner,
            origins,
            name,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let body = json!({ "partner": partner, "name": name, "origins": origins.join(" ") });
            let made = remote.post("/properties", Some(&body))?;
            show(&remote, &made, "Made")
        }
        PropertyAct::Show { id, admin } => {
            let mut remote = Remote::new(&admin)?;
            let found = remote.get(&format!("/properties/{}", escape(&id)))?;
            show(&remote, &found, "Property")
        }
        PropertyAct::Change {
            id,
            name,
            origins,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let mut body = json!({ "name": name });
            if !origins.is_empty() {
                body["origins"] = json!(origins.join(" "));
            }
            let path = format!("/properties/{}/change", escape(&id));
            let changed = remote.post(&path, Some(&body))?;
            show(&remote, &changed, "Changed")
        }
    }
}

fn show(remote: &Remote, property: &Value, done: &str) -> Outcome {
    remote.print(property, |remote| {
        let card = remote.paper.card(COLUMNS, property);
        format!("{done} in {}:\n{card}", remote.place())
    });
    Ok(ExitCode::SUCCESS)
}
