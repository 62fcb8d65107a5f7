//! `wayleave property`: the content sites of partners, whose key sets are credentials, and how they
//! sell their pages.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::document::read_document;
use super::listing::{Listing, list};
use super::print::{Column, moment, plain};
use super::remote::{AdminArgs, Remote};
use super::{Failure, Outcome};
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
    /// Show how a property sells its pages, in the form that put-settings takes again.
    #[command(
        after_long_help = "Example:\n  wayleave property settings prp_01m80p492ae72s2twc9fc1jvm3 > settings.toml"
    )]
    Settings {
        /// Such as prp_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Say anew how a property sells its pages; it counts from the next request on.
    #[command(
        after_long_help = "Example:\n  wayleave property put-settings prp_01m80p492ae72s2twc9fc1jvm3 settings.toml"
    )]
    PutSettings {
        /// Such as prp_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        /// A file in TOML (its name ends in .toml) or JSON; - for JSON from standard input.
        file: PathBuf,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Change some of how a property sells its pages.
    #[command(
        after_long_help = "Example:\n  wayleave property change-settings prp_01m80p492ae72s2twc9fc1jvm3 quota.enabled=true quota.allowed=5 'title=The Harbour Daily'"
    )]
    ChangeSettings {
        /// Such as prp_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        /// A member, dots between objects and their members, and its new value: JSON, or else a text.
        #[arg(value_name = "MEMBER=VALUE", required = true)]
        changes: Vec<String>,
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
        PropertyAct::Settings { id, admin } => {
            let mut remote = Remote::new(&admin)?;
            let found = remote.get(&format!("/properties/{}/settings", escape(&id)))?;
            show_settings(&remote, &found)
        }
        PropertyAct::PutSettings { id, file, admin } => {
            let mut document = read_document(&file, "settings")?;
            // What settings --json prints has the document inside.
            if let Some(inner) = document.get_mut("settings") {
                document = inner.take();
            }
            let mut remote = Remote::new(&admin)?;
            let path = format!("/properties/{}/settings", escape(&id));
            let put = remote.post(&path, Some(&document))?;
            show_settings(&remote, &put)
        }
        PropertyAct::ChangeSettings { id, changes, admin } => {
            let mut part = json!({});
            for change in &changes {
                put_change(&mut part, change)?;
            }
            let mut remote = Remote::new(&admin)?;
            let path = format!("/properties/{}/change-settings", escape(&id));
            let changed = remote.post(&path, Some(&part))?;
            show_settings(&remote, &changed)
        }
    }
}

/// Puts `a.b=value` into an object.
fn put_change(part: &mut Value, change: &str) -> Result<(), Failure> {
    let (place, value) = change
        .split_once('=')
        .ok_or_else(|| format!("{change}: a change is MEMBER=VALUE, such as quota.allowed=5"))?;
    let mut at = part;
    for member in place.split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[member];
    }
    *at = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
    Ok(())
}

/// For people the document itself, as TOML.
fn show_settings(remote: &Remote, found: &Value) -> Outcome {
    let text = toml::to_string(&found["settings"])?;
    remote.print(found, |remote| {
        let version = &found["version"];
        let property = found["property"].as_str().unwrap_or_default();
        format!(
            "# {property} in {}, version {version}\n{text}",
            remote.place()
        )
    });
    Ok(ExitCode::SUCCESS)
}

fn show(remote: &Remote, property: &Value, done: &str) -> Outcome {
    remote.print(property, |remote| {
        let card = remote.paper.card(COLUMNS, property);
        format!("{done} in {}:\n{card}", remote.place())
    });
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_members_with_json_or_text() {
        let mut part = json!({});
        for change in [
            "quota.enabled=true",
            "quota.allowed=5",
            "title=The Harbour Daily",
            "a=",
        ] {
            put_change(&mut part, change).expect(change);
        }
        let wanted = json!({
            "quota": { "enabled": true, "allowed": 5 }, "title": "The Harbour Daily", "a": "",
        });
        assert_eq!(part, wanted);
        assert!(put_change(&mut part, "title").is_err());
    }
}
