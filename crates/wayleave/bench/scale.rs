//! A node with very many credentials, for `cargo xtask bench`.
//!
//! `scale serve FOLDER COUNT SAMPLES` opens a node on empty databases, fills its test environment
//! with COUNT generated Management credentials, in memory only, writes the keys of about SAMPLES
//! of them, spread evenly, to FOLDER/keys.json, and serves until it is killed.
//! `scale import FOLDER COUNT` writes COUNT such credentials into a SQLite database, offline.
//! `scale load FOLDER` opens a node on that database and ends.
//! `scale orders FOLDER COUNT DATABASE` writes COUNT orders of one partner into a database (a file
//! below FOLDER, or a PostgreSQL URL), and serves until it is killed.
//! `scale access FOLDER PAIRS SAMPLES DATABASE` fills its memory with PAIRS of readers and pages that they
//! have seen, writes samples of what may be asked to FOLDER/access.json, and serves until it is killed.
//!
//! Each prints one JSON line on standard output.

mod access;
mod orders;

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};
use wayleave::config::{available_threads, default_master_key};
use wayleave::node::{AddressSettings, EnvironmentSettings, Node, NodeSettings};
use wayleave::ports::{SystemClock, SystemRandomness};
use wayleave_core::{Audience, Environment, IntegrationId, Membership, PartnerId, Timestamp};
use wayleave_engine::{
    Algorithm, Clock, CredentialWithSecrets, Database, Engine, Integration, IssuedCredential,
    NewCredential, Operators, Partner, Refusal, Store, StoreRuntime,
};
use wayleave_web::{ContentSurface, Mount, SurfaceSettings, TrustedProxies};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "usage: scale serve FOLDER COUNT SAMPLES | import FOLDER COUNT | load FOLDER | orders FOLDER COUNT DATABASE | access FOLDER PAIRS SAMPLES DATABASE";
/// How many credentials are made at once: few, so that what making them takes is no growth.
const FILLED_AT_ONCE: usize = 100;
/// How many credentials are written in one transaction.
const WRITTEN_AT_ONCE: usize = 10_000;
/// The database that is imported into and loaded from.
const IMPORTED: &str = "imported.db";

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let printed = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", folder, count, samples] => {
            serve(Path::new(folder), count.parse()?, samples.parse()?)?
        }
        ["import", folder, count] => import(Path::new(folder), count.parse()?)?,
        ["load", folder] => load(Path::new(folder))?,
        ["orders", folder, count, database] => {
            orders::serve(Path::new(folder), count.parse()?, database)?
        }
        ["access", folder, pairs, samples, database] => access::serve(
            Path::new(folder),
            pairs.parse()?,
            samples.parse()?,
            database,
        )?,
        _ => return Err(USAGE.into()),
    };
    println!("{printed}");
    if ["serve", "orders", "access"].contains(&words[0].as_str()) {
        loop {
            thread::park();
        }
    }
    Ok(())
}

fn serve(folder: &Path, count: usize, samples: usize) -> Result<Value, Failure> {
    let node = open(folder, "test.db", &StoreRuntime::start()?)?;
    let engine = node.engine(Environment::Test).clone();
    let address = node.address(Environment::Test);
    // Serving first, so that what threads and sockets need is no growth.
    let running = node.start(Operators::new(Vec::new()), Vec::new())?;
    let empty = resident_bytes()?;
    let keys = fill(&engine, count, samples)?;
    let filled = resident_bytes()?;
    let held = engine.credential_count();
    if held != count {
        return Err(format!("the directory holds {held} credentials and not {count}").into());
    }
    let keys: Vec<Value> = keys.iter().map(described).collect();
    fs::write(folder.join("keys.json"), Value::from(keys).to_string())?;
    // It serves until the process ends.
    std::mem::forget(running);
    Ok(json!({ "address": address.to_string(), "empty_bytes": empty, "filled_bytes": filled }))
}

/// Public id and secret: as texts, since they lie in memory when that is measured.
type Key = (String, String);

/// Makes credentials on every core; gives the keys of the samples.
fn fill(engine: &Engine, count: usize, samples: usize) -> Result<Vec<Key>, Failure> {
    let (threads, every) = (available_threads(), (count / samples).max(1));
    let (partner, integration) = owners(engine.now());
    let one_thread = |first: usize| -> Result<Vec<Key>, Failure> {
        let (mut keys, mut number) = (Vec::new(), first);
        while number < count {
            let some = FILLED_AT_ONCE.min((count - number).div_ceil(threads));
            let drafts = drafts(engine, partner.id, integration.id, some)?;
            for draft in &drafts {
                if number % every == 0 {
                    keys.push(key(draft));
                }
                number += threads;
            }
            engine.fill(drafts.into_iter().map(|draft| draft.credential))?;
        }
        Ok(keys)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || one_thread(first)))
            .collect();
        let mut keys = Vec::new();
        for thread in threads {
            keys.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(keys)
    })
}

fn key(draft: &IssuedCredential) -> Key {
    let public_id = &draft.credential.credential.public_id;
    (
        public_id.to_string(),
        draft
            .secret
            .as_ref()
            .map_or_else(String::new, |secret| secret.expose().to_owned()),
    )
}

fn described((public_id, secret): &Key) -> Value {
    json!({ "public_id": public_id, "secret": secret })
}

fn drafts(
    engine: &Engine,
    partner_id: PartnerId,
    integration_id: IntegrationId,
    count: usize,
) -> Result<Vec<IssuedCredential>, Refusal> {
    let new = || NewCredential::usual(integration_id, Audience::Management);
    (0..count)
        .map(|_| engine.draft_credential(partner_id, new()))
        .collect()
}

/// The partner and the integration that all credentials belong to.
fn owners(now: Timestamp) -> (Partner, Integration) {
    let partner = Partner {
        id: PartnerId::new(now, [1; 10]),
        name: "Benchmark".to_owned(),
        membership: Membership::Admitted,
        plan: None,
        created_at: now,
    };
    let integration = Integration {
        id: IntegrationId::new(now, [1; 10]),
        partner_id: partner.id,
        name: "Benchmark".to_owned(),
        created_at: now,
    };
    (partner, integration)
}

/// The credentials are drafted by a node on another, empty database with the same master keys,
/// so that no engine follows what is written.
fn import(folder: &Path, count: usize) -> Result<Value, Failure> {
    let store_runtime = StoreRuntime::start()?;
    let node = open(folder, "drafts.db", &store_runtime)?;
    let engine = node.engine(Environment::Test).clone();
    let begun = SystemClock.now();
    let writing = write_all(&engine, &store_runtime, folder.join(IMPORTED), count);
    waiting()?.block_on(writing)?;
    Ok(json!({ "seconds": seconds_since(begun), "credentials": count }))
}

/// While some credentials are written the next are drafted.
async fn write_all(
    engine: &Engine,
    store_runtime: &StoreRuntime,
    path: PathBuf,
    count: usize,
) -> Result<(), Failure> {
    let now = engine.now();
    let database = Database::Sqlite(path);
    let store = Store::open(store_runtime, &database, Environment::Test, now).await?;
    let (partner, integration) = owners(now);
    let (partner_id, integration_id) = (partner.id, integration.id);
    let owned = store.write(now, move |transaction| {
        Box::pin(async move {
            transaction.add_partner(&partner).await?;
            transaction.add_integration(&integration).await
        })
    });
    owned.await?;
    let mut written = 0;
    let mut writing = None;
    while written < count {
        let some = WRITTEN_AT_ONCE.min(count - written);
        let batch = drafts(engine, partner_id, integration_id, some)?;
        if let Some(before) = writing.take() {
            finish(before).await?;
        }
        let batch = batch.into_iter().map(|draft| draft.credential).collect();
        writing = Some(store_runtime.handle().spawn(add(store.clone(), now, batch)));
        written += some;
    }
    match writing {
        Some(last) => finish(last).await,
        None => Ok(()),
    }
}

async fn finish(
    writing: tokio::task::JoinHandle<Result<(), wayleave_engine::StoreError>>,
) -> Result<(), Failure> {
    Ok(writing.await??)
}

async fn add(
    store: Store,
    now: Timestamp,
    batch: Vec<CredentialWithSecrets>,
) -> Result<(), wayleave_engine::StoreError> {
    let written = store.write(now, move |transaction| {
        Box::pin(async move {
            for one in &batch {
                transaction
                    .add_credential(&one.credential, &one.secrets[0])
                    .await?;
            }
            Ok(())
        })
    });
    written.await
}

fn load(folder: &Path) -> Result<Value, Failure> {
    let (store_runtime, begun) = (StoreRuntime::start()?, SystemClock.now());
    let node = open(folder, IMPORTED, &store_runtime)?;
    let seconds = seconds_since(begun);
    let count = node.engine(Environment::Test).credential_count();
    Ok(json!({ "seconds": seconds, "credentials": count, "bytes": resident_bytes()? }))
}

fn seconds_since(begun: Timestamp) -> f64 {
    (SystemClock.now().micros() - begun.micros()) as f64 / 1e6
}

fn waiting() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// A node whose test environment has its data in this file.
fn open(folder: &Path, test_database: &str, store_runtime: &StoreRuntime) -> Result<Node, Failure> {
    open_with(folder, test_database, store_runtime, |_| ())
}

/// The same that answers the content APIs itself.
fn open_answering(
    folder: &Path,
    test_database: &str,
    store_runtime: &StoreRuntime,
) -> Result<Node, Failure> {
    open_with(folder, test_database, store_runtime, |surfaces| {
        if let Some(content) = &mut surfaces.content {
            content.upstream = None;
        }
    })
}

fn open_with(
    folder: &Path,
    test_database: &str,
    store_runtime: &StoreRuntime,
    change: impl Fn(&mut SurfaceSettings),
) -> Result<Node, Failure> {
    let mut settings = NodeSettings {
        environments: [
            environment(folder, Environment::Live, "live.db")?,
            environment(folder, Environment::Test, test_database)?,
        ],
        admin: any_address(),
        trusted_proxies: TrustedProxies::default(),
        algorithm: Algorithm::Es256,
        wrong_secrets_per_minute: None,
        plans: Vec::new(),
        crawlers: Default::default(),
        usage_hours_kept_days: 62,
        monitor: None,
        drain_timeout: std::time::Duration::from_secs(10),
        traces: None,
        limits: wayleave::server::ServerLimits::default(),
        threads: available_threads(),
    };
    for environment in &mut settings.environments {
        change(&mut environment.surfaces);
    }
    let (clock, randomness) = (Arc::new(SystemClock), Arc::new(SystemRandomness));
    Ok(Node::open(settings, store_runtime, clock, randomness)?)
}

fn any_address() -> AddressSettings {
    AddressSettings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        or_free_port: true,
        tls: None,
    }
}

fn environment(
    folder: &Path,
    environment: Environment,
    database: &str,
) -> Result<EnvironmentSettings, Failure> {
    let mount = || Some(Mount::default());
    Ok(EnvironmentSettings {
        environment,
        address: any_address(),
        mount: Mount::default(),
        public_url: None,
        database: match Database::parse(database) {
            Database::Sqlite(file) => Database::Sqlite(folder.join(file)),
            postgres => postgres,
        },
        master_key: folder.join(default_master_key(environment)),
        hooks_to_loopback: false,
        surfaces: SurfaceSettings {
            oauth: mount(),
            platform: mount(),
            token: mount(),
            content: Some(ContentSurface {
                mount: Mount::default(),
                // Nobody: only checks are asked for, and they are passed on to nobody.
                upstream: Some("http://127.0.0.1:1".parse()?),
                limits: Vec::new(),
            }),
            forward_auth: mount(),
            ..SurfaceSettings::default()
        },
    })
}

/// How much memory of this process is resident (`VmRSS` of proc_pid_status(5)).
fn resident_bytes() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.ok_or("no VmRSS in /proc/self/status")?.parse()?;
    Ok(kib * 1024)
}
