//! `wayleave doctor`: looks at a node's configuration, databases, master keys and files, without a
//! server or beside one. It changes nothing but the note that the master keys are backed up.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use wayleave_core::Timestamp;
use wayleave_engine::{Clock, Database, Store, StoreRuntime, Vault};
use wayleave_protocol::http_date;
use wayleave_store::{DatabaseState, Reader, SealedNoun, Snapshot, StoreError};

use crate::backup::Failure;
use crate::certificate;
use crate::cli::say;
use crate::config::Config;
use crate::findings::Findings;
use crate::key_file;
use crate::node::NodeSettings;
use crate::operators_file::OperatorsFile;
use crate::place::{Place, PlaceArgs, places_of};
use crate::ports::{SystemClock, SystemRandomness};
use crate::tls::{self, TlsFiles};

/// The first SQLite without the WAL-reset defect that could lose commits.
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];
/// How many sealed rows are read at once.
const PAGE: i64 = 500;
/// A clock that is this far behind the newest row is wrong.
const CLOCK_LEEWAY: Duration = Duration::from_secs(300);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Below this much free space one should look, in KiB.
const LOW_SPACE_KIB: u64 = 1024 * 1024;
/// Below this much it will end soon, in KiB.
const NO_SPACE_KIB: u64 = 64 * 1024;

#[derive(Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    of: PlaceArgs,
    /// Note that the master key files are backed up as they are now; the server must be ended where
    /// the databases are SQLite files.
    #[arg(long)]
    master_key_backed_up: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Looks; `false` when something failed.
pub(crate) fn run(args: &DoctorArgs) -> Result<bool, Failure> {
    let mut findings = Findings::default();
    let runtime = StoreRuntime::start()?;
    if args.master_key_backed_up {
        for place in args.of.places()? {
            runtime
                .handle()
                .block_on(note_backed_up(&place, &runtime))?;
        }
    }
    for place in look_at_configuration(args, &mut findings) {
        findings.about = place.environment.to_string();
        let vault = look_at_master_key(&place, &mut findings);
        look_at_files(&place, &mut findings);
        let looking = look_at_database(&place, vault.as_ref(), &args.of, &mut findings);
        if let Err(error) = runtime.handle().block_on(looking) {
            findings.fail(format!("{:?}: {error}", place.database), "");
        }
    }
    say(&if args.json {
        findings.json()
    } else {
        findings.text()
    });
    Ok(findings.are_good())
}

async fn note_backed_up(place: &Place, runtime: &StoreRuntime) -> Result<(), Failure> {
    let vault = open_vault(place)?;
    // Opening would make a file that is not there.
    drop(Snapshot::open(&place.database).await?);
    let now = SystemClock.now();
    let store = Store::open(runtime, &place.database, place.environment, now).await?;
    let key_id = vault.newest_key_id().to_owned();
    store
        .write(now, move |transaction| {
            Box::pin(async move { transaction.set_master_key_backed_up(&key_id).await })
        })
        .await?;
    Ok(())
}

fn open_vault(place: &Place) -> Result<Vault, key_file::KeyFileError> {
    key_file::open_vault(&place.master_key, false, &SystemRandomness)
}

/// The environments to look at; none where the configuration cannot be read.
fn look_at_configuration(args: &DoctorArgs, findings: &mut Findings) -> Vec<Place> {
    findings.about = "config".to_owned();
    match args.of.settings() {
        Ok(Some((config, settings))) => {
            findings.ok("the configuration can be used");
            look_at_operators(&config, findings);
            look_at_certificates(&settings, findings);
            places_of(&settings)
        }
        Ok(None) => args.of.places().unwrap_or_default(),
        Err(error) => {
            findings.fail(error, "wayleave config check tells more");
            Vec::new()
        }
    }
}

fn look_at_operators(config: &Config, findings: &mut Findings) {
    match OperatorsFile::at(config.operators_file()).operators() {
        Ok(_) => findings.ok("the operators' file can be used"),
        Err(error) => findings.fail(error, ""),
    }
}

fn look_at_certificates(settings: &NodeSettings, findings: &mut Findings) {
    let addresses = settings
        .environments
        .iter()
        .map(|environment| &environment.address);
    let mut seen: Vec<&TlsFiles> = Vec::new();
    for files in addresses
        .chain([&settings.admin])
        .filter_map(|address| address.tls.as_ref())
    {
        if !seen.contains(&files) {
            seen.push(files);
            look_at_certificate(files, findings);
        }
    }
}

fn look_at_certificate(files: &TlsFiles, findings: &mut Findings) {
    let shown = files.certificate.display();
    if let Err(error) = tls::load(files) {
        return findings.fail(error, "");
    }
    let first = CertificateDer::from_pem_file(&files.certificate).ok();
    let Some(end) = first.and_then(|der| certificate::ends_at(&der)) else {
        return findings.warn(format!("{shown}: its end cannot be read"), "");
    };
    let what = format!("{shown} ends on {}", http_date::format(end.unix_s()));
    let now = SystemClock.now();
    if end <= now {
        findings.fail(what, "renew it and restart");
    } else if end <= now.plus(DAY * 14) {
        findings.warn(what, "renew it and restart");
    } else {
        findings.ok(what);
    }
}

fn look_at_master_key(place: &Place, findings: &mut Findings) -> Option<Vault> {
    match open_vault(place) {
        Ok(vault) => {
            let count = vault.key_ids().count();
            let newest = vault.newest_key_id();
            findings.ok(format!("master key {newest} is the newest of {count}"));
            Some(vault)
        }
        Err(error) => {
            findings.fail(error, "");
            None
        }
    }
}

/// Who may read the database, and how much room there is.
fn look_at_files(place: &Place, findings: &mut Findings) {
    let Database::Sqlite(path) = &place.database else {
        return;
    };
    let Some(folder) = path.parent() else { return };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let exposed = is_open_to_others(folder) && is_open_to_others(path);
    if exposed {
        findings.warn(
            format!("others can read {}", path.display()),
            format!("chmod 700 {}", folder.display()),
        );
    } else {
        findings.ok("only its owner can read the database");
    }
    look_at_space(folder, findings);
}

fn is_open_to_others(path: &Path) -> bool {
    let metadata = std::fs::metadata(path);
    metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

fn look_at_space(folder: &Path, findings: &mut Findings) {
    let Some(free) = free_kib(folder) else {
        return findings.warn(
            format!("how much room {} has cannot be told", folder.display()),
            "look yourself: df -h",
        );
    };
    let what = format!("{} MiB are free in {}", free / 1024, folder.display());
    if free < NO_SPACE_KIB {
        findings.fail(what, "make room: without it nothing can be written");
    } else if free < LOW_SPACE_KIB {
        findings.warn(what, "make room");
    } else {
        findings.ok(what);
    }
}

/// What `df` says (POSIX form: the fourth column of its last line).
fn free_kib(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().last()?.split_whitespace().nth(3)?.parse().ok()
}

async fn look_at_database(
    place: &Place,
    vault: Option<&Vault>,
    given: &PlaceArgs,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let mut snapshot = Snapshot::open(&place.database).await?;
    let reader = snapshot.reader();
    match reader.check_stamp(place.environment).await {
        Ok(()) => findings.ok(format!("{:?} is stamped and up to date", place.database)),
        Err(error @ StoreError::Outdated { .. }) => {
            findings.warn(error, "");
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let differences = reader.schema_differences().await?;
    findings.expect(
        differences.is_empty(),
        if differences.is_empty() {
            "its tables are as they should be".to_owned()
        } else {
            format!(
                "its tables are not as they should be: {}",
                differences.join("; ")
            )
        },
        "restore a backup, or undo what was changed by hand",
    );
    look_at_durability(&reader.database_state().await?, findings);
    look_for_damage(reader, findings).await?;
    look_at_clock(reader.newest_moment().await?, findings);
    look_at_restore(reader.key_check_wanted().await?, place, given, findings);
    if let Some(vault) = vault {
        look_at_seals(reader, vault, findings).await?;
        look_at_key_uses(reader, vault, findings).await?;
        look_at_key_backup(reader, place, vault, findings).await?;
    }
    Ok(())
}

fn look_at_durability(state: &DatabaseState, findings: &mut Findings) {
    let wanted = |name: &str| match name {
        "journal_mode" => "wal",
        "synchronous" => "full",
        _ => "on",
    };
    let settings = state.settings.iter();
    let wrong: Vec<String> = settings
        .filter(|(name, value)| value != wanted(name))
        .map(|(name, value)| format!("{name} is {value} and not {}", wanted(name)))
        .collect();
    let what = format!("{} {}", state.engine, state.version);
    if !wrong.is_empty() {
        findings.fail(
            format!("{what}: {}", wrong.join(", ")),
            "set it: else commits that were answered are lost when the power goes",
        );
    } else if state.engine == "SQLite" && is_too_old(&state.version) {
        findings.fail(
            format!("{what} can lose commits"),
            "use a build of Wayleave with SQLite 3.51.3 or newer",
        );
    } else {
        findings.ok(format!("{what} keeps what it has answered"));
    }
}

fn is_too_old(version: &str) -> bool {
    let parts: Vec<u32> = version
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    parts.as_slice() < OLDEST_SQLITE.as_slice()
}

async fn look_for_damage(reader: &mut Reader, findings: &mut Findings) -> Result<(), StoreError> {
    let broken = reader.broken_parts().await?;
    let shown: Vec<&str> = broken.iter().map(String::as_str).take(3).collect();
    if broken.is_empty() {
        findings.ok("its file is whole");
    } else {
        findings.fail(
            format!("its file is damaged: {}", shown.join("; ")),
            "end the server, keep the file, and restore the newest backup",
        );
    }
    Ok(())
}

fn look_at_clock(newest: Option<Timestamp>, findings: &mut Findings) {
    let now = SystemClock.now();
    match newest {
        Some(newest) if newest > now.plus(CLOCK_LEEWAY) => findings.fail(
            format!(
                "this machine's clock says {}, but the newest row is of {}",
                http_date::format(now.unix_s()),
                http_date::format(newest.unix_s())
            ),
            "set the clock (NTP): signatures and tokens depend on it",
        ),
        _ => findings.ok("the clock is not behind the newest row"),
    }
}

fn look_at_restore(
    wanted: Option<Timestamp>,
    place: &Place,
    given: &PlaceArgs,
    findings: &mut Findings,
) {
    if let Some(made_at) = wanted {
        findings.fail(
            format!(
                "restored from a backup of {}: keys that were revoked since then count again",
                http_date::format(made_at.unix_s())
            ),
            format!(
                "revoke them again, then: wayleave restore confirm {} --env {}",
                given.given(),
                place.environment
            ),
        );
    }
}

/// Opens everything that is sealed.
async fn look_at_seals(
    reader: &mut Reader,
    vault: &Vault,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let (mut opened, mut broken) = (0, Vec::new());
    for noun in SealedNoun::ALL {
        let mut after = String::new();
        loop {
            let page = reader.sealed_under_others(noun, "", &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            for row in &page {
                match vault.open_row(row) {
                    Ok(_) => opened += 1,
                    Err(error) => broken.push(format!("{}: {error}", row.name())),
                }
            }
        }
    }
    if broken.is_empty() {
        findings.ok(format!("all {opened} sealed texts open"));
    } else {
        findings.fail(
            format!(
                "{} of {} sealed texts do not open: {}",
                broken.len(),
                opened + broken.len(),
                broken[0]
            ),
            "put the right master key file back; a row that was altered has to come from a backup",
        );
    }
    Ok(())
}

/// What a server still has to seal anew, and hashes whose key is lost.
async fn look_at_key_uses(
    reader: &mut Reader,
    vault: &Vault,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let known: Vec<&str> = vault.key_ids().collect();
    let (mut left, mut lost) = (0, 0);
    for (key_id, used) in reader.master_key_use().await? {
        if !known.contains(&key_id.as_str()) {
            lost += used.hashed_secrets;
        } else if key_id != vault.newest_key_id() {
            left += used.sealed();
        }
    }
    if lost > 0 {
        findings.fail(
            format!("{lost} hashed secrets need a master key that is not in the file"),
            "put the right master key file back",
        );
    }
    if left > 0 {
        findings.warn(
            format!("{left} rows are sealed under an older master key"),
            "start the server: it seals them anew",
        );
    }
    Ok(())
}

async fn look_at_key_backup(
    reader: &mut Reader,
    place: &Place,
    vault: &Vault,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let newest = vault.newest_key_id();
    if reader.master_key_backed_up().await?.as_deref() == Some(newest) {
        findings.ok(format!("master key {newest} is backed up, as you said"));
    } else {
        findings.warn(
            format!("whether master key {newest} is backed up is not known"),
            format!(
                "copy {} to a safe place, then say so: wayleave doctor --master-key-backed-up",
                place.master_key.display()
            ),
        );
    }
    Ok(())
}
