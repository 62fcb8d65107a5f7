//! `wayleave pool`: licences by address and version, and the devices that use them.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::listing::{Listing, list};
use super::print::{Column, moment, plain};
use super::remote::{AdminArgs, Remote};
use super::shown::show;
use super::{Failure, Outcome};
use crate::admin_client::escape;
use crate::cli::say;

const LISTED: &[Column] = &[
    plain("id", "id"),
    plain("number", "number"),
    plain("email", "email"),
    plain("version", "version"),
    plain("licences", "licences"),
    plain("used", "used"),
    plain("upgrades", "upgrades"),
    plain("partner", "partner"),
    plain("customer", "customer"),
];

const DEVICES: &[Column] = &[
    plain("device", "number"),
    plain("version", "version"),
    plain("name", "name"),
    plain("hardware", "hardware"),
    plain("model", "model"),
    plain("manufacturer", "manufacturer"),
    moment("seen", "seen_at", "never"),
];

const ADDED: &[Column] = &[
    plain("device", "number"),
    plain("name", "name"),
    plain("hardware", "hardware"),
    plain("model", "model"),
    plain("manufacturer", "manufacturer"),
    moment("seen", "seen_at", "never"),
];

/// What to do with pools.
#[derive(Subcommand)]
pub(crate) enum PoolAct {
    /// List pools, a line for each version.
    #[command(
        after_long_help = "Example:\n  wayleave pool list --partner ptr_01m80p48vazfwqp45pxt8h5btb"
    )]
    List {
        /// Only those of this partner.
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a pool with its devices.
    #[command(after_long_help = "Example:\n  wayleave pool show pol_01m80p492ae72s2twc9fc1jvm3")]
    Show {
        /// Such as pol_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Have a device use a licence, to try things out.
    #[command(
        after_long_help = "Example:\n  wayleave pool add-device pol_01m80p492ae72s2twc9fc1jvm3 --name Window --hardware 02:00:00:00:00:01"
    )]
    AddDevice {
        /// The pool, such as pol_01m80p492ae72s2twc9fc1jvm3.
        id: String,
        /// What it is called.
        #[arg(long)]
        name: String,
        /// Its hardware address.
        #[arg(long, value_name = "ADDRESS")]
        hardware: String,
        /// Its model.
        #[arg(long, default_value = "unknown")]
        model: String,
        /// Who made it.
        #[arg(long, default_value = "unknown")]
        manufacturer: String,
        /// The version whose licence it uses [default: the pool's newest row].
        #[arg(long = "for-version", value_name = "VERSION")]
        version: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: PoolAct) -> Outcome {
    match act {
        PoolAct::List { partner, admin } => list_pools(&mut Remote::new(&admin)?, partner),
        PoolAct::Show { id, admin } => {
            let mut remote = Remote::new(&admin)?;
            let pool = remote.get(&format!("/pools/{}", escape(&id)))?;
            remote.print(&pool, |remote| describe(remote, &pool));
            Ok(ExitCode::SUCCESS)
        }
        PoolAct::AddDevice {
            id,
            name,
            hardware,
            model,
            manufacturer,
            version,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let body = json!({
                "name": name, "hardware": hardware, "model": model,
                "manufacturer": manufacturer, "version": version,
            });
            let path = format!("/pools/{}/devices", escape(&id));
            let added = remote.post(&path, Some(&body))?;
            show(&remote, &added, ADDED, "Added")
        }
    }
}

fn list_pools(remote: &mut Remote, partner: Option<String>) -> Outcome {
    let filters = [("partner", partner)];
    if remote.json {
        let listing = Listing {
            path: "/pools",
            filters: &filters,
            cursor: Some("id"),
            after: None,
            columns: LISTED,
            nouns: ("pool", "pools"),
        };
        return list(remote, &listing);
    }
    let (paper, mut widths, mut count) = (remote.paper, Vec::new(), 0);
    remote.pages("/pools", &filters, Some("id"), None, &mut |pools| {
        count += pools.len();
        let rows = pools.iter().flat_map(versions).collect::<Vec<_>>();
        if !rows.is_empty() {
            say(&paper.table(LISTED, &rows, &mut widths));
        }
        Ok::<(), Failure>(())
    })?;
    let place = remote.place();
    say(&match count {
        0 => format!("No pool in {place}.\n"),
        1 => format!("1 pool in {place}.\n"),
        _ => format!("{count} pools in {place}.\n"),
    });
    Ok(ExitCode::SUCCESS)
}

fn rows_of<'v>(value: &'v Value, member: &str) -> impl Iterator<Item = &'v Value> {
    value[member].as_array().into_iter().flatten()
}

/// A row for each version, with what the pool says of itself.
fn versions(pool: &Value) -> Vec<Value> {
    let row = |version: &Value| {
        json!({
            "id": pool["id"], "number": pool["number"], "email": pool["email"],
            "partner": pool["partner"], "customer": pool["customer"],
            "version": version["version"], "licences": version["licences"],
            "used": version["used"], "upgrades": version["upgrades"],
        })
    };
    rows_of(pool, "versions").map(row).collect()
}

fn describe(remote: &Remote, pool: &Value) -> String {
    let mut text = format!(
        "Pool in {}:\n{}",
        remote.place(),
        remote.paper.table(LISTED, &versions(pool), &mut Vec::new())
    );
    let devices = rows_of(pool, "versions").flat_map(|version| {
        rows_of(version, "devices").map(|device| {
            let mut row = device.clone();
            row["version"] = version["version"].clone();
            row
        })
    });
    let devices: Vec<Value> = devices.collect();
    if !devices.is_empty() {
        text.push('\n');
        text += &remote.paper.table(DEVICES, &devices, &mut Vec::new());
    }
    text
}
