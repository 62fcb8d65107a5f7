//! `wayleave master-key`: a new master key, what each is used for, and the end of an old one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use wayleave_core::Environment;
use wayleave_engine::{StoreRuntime, Vault};
use wayleave_store::{MasterKeyUse, Snapshot};

use crate::backup::Failure;
use crate::cli::say;
use crate::key_file::{read_private, write_private};
use crate::place::{EnvironmentArgs, Place, PlaceArgs};
use crate::ports::SystemRandomness;

#[derive(Subcommand)]
pub(crate) enum MasterKeyAct {
    /// Make a new master key and put it first into the file; the older ones still read.
    #[command(
        after_long_help = "Example:\n  wayleave master-key add --config /etc/wayleave.toml --env live"
    )]
    Add(AddArgs),
    /// Tell how many rows each master key was used for.
    #[command(
        after_long_help = "Example:\n  wayleave master-key status --config /etc/wayleave.toml --env live"
    )]
    Status {
        #[command(flatten)]
        of: EnvironmentArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take a key that nothing depends on any more out of the file.
    #[command(
        after_long_help = "Example:\n  wayleave master-key remove --config /etc/wayleave.toml --env live 92fcf131"
    )]
    Remove {
        #[command(flatten)]
        of: EnvironmentArgs,
        /// The name of the key, as status shows it.
        key_id: String,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false, id = "key_place")]
pub(crate) struct KeyPlaceArgs {
    /// The master key file.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration file of the node.
    #[arg(long, value_name = "FILE", requires = "environment")]
    config: Option<PathBuf>,
    /// The data folder of a demonstration.
    #[arg(long, value_name = "DIR", requires = "environment")]
    data: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    of: KeyPlaceArgs,
    /// Which environment: live or test.
    #[arg(long = "env", value_name = "live|test", conflicts_with = "file")]
    environment: Option<Environment>,
}

impl AddArgs {
    fn file(&self) -> Result<PathBuf, Failure> {
        match (&self.of.file, self.environment) {
            (Some(file), _) => Ok(file.clone()),
            (None, Some(environment)) => {
                let place = PlaceArgs {
                    config: self.of.config.clone(),
                    data: self.of.data.clone(),
                };
                Ok(EnvironmentArgs { place, environment }.place()?.master_key)
            }
            (None, None) => Err("give --env too".into()),
        }
    }
}

/// Adds, tells or removes.
pub(crate) fn run(act: &MasterKeyAct) -> Result<(), Failure> {
    match act {
        MasterKeyAct::Add(args) => add(&args.file()?),
        MasterKeyAct::Status { of, json } => status(&of.place()?, *json),
        MasterKeyAct::Remove { of, key_id } => remove(&of.place()?, key_id),
    }
}

fn open(file: &Path, content: &str) -> Result<Vault, Failure> {
    Vault::from_file(content).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn add(file: &Path) -> Result<(), Failure> {
    let before = read_private(file)?;
    open(file, &before)?;
    let mut content = Vault::new_master_key(&SystemRandomness);
    content.push_str(&before);
    let vault = open(file, &content)?;
    write_private(file, &content)?;
    say(&format!(
        "{}: the new master key {} is first.\n\
         1. Back the file up, apart from the databases: from the next start on it is needed.\n\
         2. Restart the server: it seals everything anew under the new key. Several nodes on one\n\
         database: end them all, give each the new file, start them again.\n\
         3. Look with wayleave master-key status; when nothing needs the old key any more:\n\
         wayleave master-key remove\n",
        file.display(),
        vault.newest_key_id()
    ));
    Ok(())
}

/// How many rows each key was used for.
pub(crate) fn count_uses(place: &Place) -> Result<BTreeMap<String, MasterKeyUse>, Failure> {
    let runtime = StoreRuntime::start()?;
    runtime.handle().block_on(async {
        let mut snapshot = Snapshot::open(&place.database).await?;
        snapshot.reader().check_stamp(place.environment).await?;
        Ok(snapshot.reader().master_key_use().await?)
    })
}

fn status(place: &Place, as_json: bool) -> Result<(), Failure> {
    let vault = open(&place.master_key, &read_private(&place.master_key)?)?;
    let uses = count_uses(place)?;
    let in_file: Vec<&str> = vault.key_ids().collect();
    let missing = uses.keys().map(String::as_str);
    let missing = missing.filter(|id| !in_file.contains(id));
    let mut rows = Vec::new();
    for id in in_file.iter().copied().chain(missing) {
        let used = uses.get(id).copied().unwrap_or_default();
        rows.push(json!({
            "key": id,
            "newest": id == vault.newest_key_id(),
            "in_file": in_file.contains(&id),
            "sealed_secrets": used.sealed_secrets,
            "hashed_secrets": used.hashed_secrets,
            "signing_keys": used.signing_keys,
            "sealed_values": used.sealed_values,
        }));
    }
    if as_json {
        let body = json!({ "environment": place.environment.as_str(), "keys": rows });
        say(&format!("{body}\n"));
        return Ok(());
    }
    let mut text = format!(
        "{:<10} {:>15} {:>15} {:>13} {:>14}\n",
        "key", "sealed secrets", "hashed secrets", "signing keys", "sealed values"
    );
    for row in &rows {
        let note = match (row["newest"] == true, row["in_file"] == true) {
            (true, _) => "  newest",
            (_, true) => "",
            _ => "  MISSING from the file: restore it from its backup",
        };
        text.push_str(&format!(
            "{:<10} {:>15} {:>15} {:>13} {:>14}{note}\n",
            row["key"].as_str().unwrap_or_default(),
            row["sealed_secrets"],
            row["hashed_secrets"],
            row["signing_keys"],
            row["sealed_values"]
        ));
    }
    say(&text);
    Ok(())
}

fn remove(place: &Place, key_id: &str) -> Result<(), Failure> {
    let file = &place.master_key;
    let content = read_private(file)?;
    let vault = open(file, &content)?;
    if !vault.key_ids().any(|id| id == key_id) {
        return Err(format!("{}: there is no master key {key_id}", file.display()).into());
    }
    if vault.newest_key_id() == key_id {
        return Err(
            "this is the newest master key: add another first (wayleave master-key add)".into(),
        );
    }
    let used = count_uses(place)?.remove(key_id).unwrap_or_default();
    if used.total() > 0 {
        return Err(still_used(key_id, &used).into());
    }
    let is_other = |line: &&str| !is_key_line(line, key_id);
    let kept: String = content.split_inclusive('\n').filter(is_other).collect();
    open(file, &kept)?;
    write_private(file, &kept)?;
    say(&format!(
        "{}: master key {key_id} is gone. Keep its backup as long as you keep backups of the \
         database from before.\n",
        file.display()
    ));
    Ok(())
}

fn is_key_line(line: &str, key_id: &str) -> bool {
    Vault::from_file(line).is_ok_and(|vault| vault.newest_key_id() == key_id)
}

fn still_used(key_id: &str, used: &MasterKeyUse) -> String {
    let mut text = format!("master key {key_id} is still needed:");
    if used.sealed() > 0 {
        text.push_str(&format!(
            " {} sealed rows (a running server seals them anew; start it and wait for \"sealed anew\" in its log)",
            used.sealed()
        ));
    }
    if used.hashed_secrets > 0 {
        text.push_str(&format!(
            " {} hashed secrets (each is hashed anew when its partner uses it next; replace or revoke those that nobody uses)",
            used.hashed_secrets
        ));
    }
    text
}
