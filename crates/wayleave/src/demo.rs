//! `wayleave demo`: both environments, a sample API behind them and a partner with keys of every
//! kind, from one command.
//!
//! `demo.json` in the data folder tells clients where everything is and which keys to use; its form
//! is a contract (`docs/demo.md`). Keys are derived from the master keys, so they are the same at
//! every start and no secret is stored for them.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wayleave_core::{
    Admission, Audience, AudienceSet, Environment, IntegrationId, OperatorScope, PartnerId,
    PropertyId, Scheme, SchemeSet, ScopeSet,
};
use wayleave_engine::{
    Actor, Algorithm, Database, Engine, NewCredential, Operator, OperatorTokenHash, Operators,
    Partner, Refusal, StoreRuntime,
};
use wayleave_protocol::key_text::{self, KeyEnvironment, KeyKind};
use wayleave_proxy::ApiBehind;
use wayleave_web::{
    Authorities, BodyLimits, ContentSurface, Mount, Route, SurfaceSettings, TrustedProxies,
};

use crate::calls;
use crate::cli::say;
use crate::config::{DEFAULT_DRAIN_TIMEOUT, available_threads, default_master_key};
use crate::demo_site;
use crate::demo_stock::{self, PLAN_SCOPE};
use crate::key_file;
use crate::node::{AddressSettings, EnvironmentSettings, Node, NodeSettings, Running};
use crate::ports::{SystemClock, SystemRandomness};
use crate::server::{Bound, Listener, ServerLimits, Service};
use crate::supervisor::Signals;

/// The path of the sample API that the demonstration protects; of a person's own API it is all.
const SAMPLE_PATH: &str = "/hello";
/// The path of the sample API that only those reach who have bought the plan.
const PLAN_PATH: &str = "/reports";
const PARTNER: &str = "Demo partner";
const INTEGRATION: &str = "Demo integration";
const KEY_LABEL: &str = "demo";
const SIGNING_LABEL: &str = "demo signing";

/// What the demonstration was asked for.
#[derive(Clone, Debug)]
pub struct DemoSettings {
    /// The folder for databases, master keys and `demo.json`.
    pub data: PathBuf,
    /// Where live answers; `None`: 127.0.0.1:8080 or a free port.
    pub live: Option<SocketAddr>,
    /// Where test answers; `None`: 127.0.0.1:8081 or a free port.
    pub test: Option<SocketAddr>,
    /// Where the operator calls; `None`: 127.0.0.1:8082 or a free port.
    pub admin: Option<SocketAddr>,
    /// Where monitoring asks; `None`: nowhere.
    pub monitor: Option<SocketAddr>,
    /// The API behind; `None`: the sample API.
    pub upstream: Option<ApiBehind>,
    /// The database of live; `None`: SQLite in the data folder.
    pub live_database: Option<Database>,
    /// The database of test; `None`: SQLite in the data folder.
    pub test_database: Option<Database>,
}

/// The contract file `demo.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct DemoFile {
    /// 1; another number means another form.
    pub version: u32,
    /// The live environment.
    pub live: DemoEnvironment,
    /// The test environment.
    pub test: DemoEnvironment,
    /// The operator's address.
    pub admin: DemoAdmin,
}

/// An environment in `demo.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct DemoEnvironment {
    /// Its address, without a slash at the end.
    pub url: String,
    /// Keys for `/oauth/token` and `/authorize/access_token`.
    pub oauth: OAuthPair,
    /// Keys for `/token`.
    pub token: TokenPair,
    /// A Management key set.
    pub management: KeySet,
    /// An Access key set.
    pub access: KeySet,
    /// The property that the key sets are of.
    pub property: DemoProperty,
    /// Keys that sign messages (RFC 9421).
    pub signing: SigningPair,
    /// A path that the API behind answers to whoever is admitted.
    pub protected_path: String,
    /// One that it answers to whoever has bought the plan; only of the sample API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_path: Option<String>,
}

/// A content site in `demo.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct DemoProperty {
    /// Its id.
    pub id: String,
    /// The keys of the pages that it began with.
    pub resources: Vec<String>,
}

/// Client id and secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct OAuthPair {
    /// The public half.
    pub client_id: String,
    /// The secret half.
    pub client_secret: String,
}

/// Api key and secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenPair {
    /// The public half.
    pub api_key: String,
    /// The secret half.
    pub api_secret: String,
}

/// The keys of signatures over messages: `keyid`, and the secret as its UTF-8 text.
#[derive(Clone, Serialize, Deserialize)]
pub struct SigningPair {
    /// The public half.
    pub key_id: String,
    /// The secret half.
    pub secret: String,
}

/// Access key and secret key.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeySet {
    /// The public half: a GUID.
    pub access_key: String,
    /// The secret half.
    pub secret_key: String,
}

/// The operator's address in `demo.json`.
#[derive(Clone, Serialize, Deserialize)]
pub struct DemoAdmin {
    /// Its address.
    pub url: String,
    /// An operator token.
    pub token: String,
}

impl DemoSettings {
    /// The path of the API behind that is open to whoever is admitted.
    fn protected_path(&self) -> &'static str {
        if self.upstream.is_some() {
            "/"
        } else {
            SAMPLE_PATH
        }
    }

    /// The path of the API behind that is open to whoever has bought the plan.
    fn plan_path(&self) -> Option<&'static str> {
        self.upstream.is_none().then_some(PLAN_PATH)
    }
}

impl DemoFile {
    /// Where the file lies in a data folder.
    pub fn path(data: &Path) -> PathBuf {
        data.join("demo.json")
    }

    /// Reads the file of a demonstration that is running or has run.
    pub fn read(data: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let path = DemoFile::path(data);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            format!(
                "{}: {error}; start the demonstration first: wayleave demo",
                path.display()
            )
        })?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Public id and secret of keys that sign, by a name such as `test.management`.
    pub fn signing_keys(&self, name: &str) -> Option<(&str, &str)> {
        let (environment, keys) = name.split_once('.')?;
        let environment = match environment {
            "live" => &self.live,
            "test" => &self.test,
            _ => return None,
        };
        let set = match keys {
            "management" => &environment.management,
            "access" => &environment.access,
            "signing" => {
                let SigningPair { key_id, secret } = &environment.signing;
                return Some((key_id, secret));
            }
            _ => return None,
        };
        Some((&set.access_key, &set.secret_key))
    }
}

/// Runs the demonstration until the process is told to end.
pub fn run(settings: &DemoSettings) -> Result<(), Box<dyn std::error::Error>> {
    let mut signals = Signals::listen()?;
    let store_runtime = StoreRuntime::start()?;
    let (running, file, behind, _lock) = start(settings, &store_runtime)?;
    say(&calls::first_screen(settings, &file, &behind));
    signals.wait_for_end();
    say(&format!(
        "\nEnding; the data stays in {}.\n",
        settings.data.display()
    ));
    running.stop();
    Ok(())
}

/// Starts the demonstration and writes `demo.json` once every address accepts.
fn start(
    settings: &DemoSettings,
    store_runtime: &StoreRuntime,
) -> Result<(Running, DemoFile, String, File), Box<dyn std::error::Error>> {
    key_file::create_private_folder(&settings.data)?;
    let lock = lock(&settings.data)?;
    // Whoever waits for the file must not find the one of an earlier run.
    match std::fs::remove_file(DemoFile::path(&settings.data)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let threads = available_threads();
    let (upstream, sample) = api_behind(settings, threads)?;
    let behind = upstream.authority().to_owned();
    let node_settings = node_settings(settings, &upstream, threads);
    let randomness = Arc::new(SystemRandomness);
    let node = Node::open(
        node_settings,
        store_runtime,
        Arc::new(SystemClock),
        randomness,
    )?;
    let waiting = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut properties = Vec::new();
    for environment in Environment::ALL {
        let engine = node.engine(environment);
        let partner = waiting.block_on(demo_partner(engine))?;
        let property = waiting.block_on(demo_site::site(engine, partner))?;
        waiting.block_on(hand_out_keys(engine, property))?;
        waiting.block_on(demo_stock::stock(engine, partner))?;
        properties.push(property);
    }
    let file = describe(&node, settings, &properties);
    if let Some(url) = node.monitor_url() {
        tracing::info!("serving the monitor address {url}");
    }
    let running = node.start(demo_operator(&file.admin.token), sample)?;
    let text = serde_json::to_string_pretty(&file)? + "\n";
    key_file::write_private(&DemoFile::path(&settings.data), &text)?;
    Ok((running, file, behind, lock))
}

/// The demonstration's operator is in memory only.
fn demo_operator(token: &str) -> Operators {
    Operators::new(vec![Operator {
        name: "demo".to_owned(),
        scope: OperatorScope::Operator,
        properties: Vec::new(),
        token_hash: OperatorTokenHash::of(token),
    }])
}

/// Keeps a second demonstration away from the folder, so that it does not remove this one's file.
fn lock(data: &Path) -> Result<File, Box<dyn std::error::Error>> {
    let file = File::create(data.join("demo.lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(format!(
            "a demonstration is running on {}: end it, or choose another folder with --data",
            data.display()
        )
        .into()),
    }
}

/// The person's own API, or the sample API on a free port.
fn api_behind(
    settings: &DemoSettings,
    threads: usize,
) -> Result<(ApiBehind, Vec<Listener>), Box<dyn std::error::Error>> {
    if let Some(upstream) = &settings.upstream {
        return Ok((upstream.clone(), Vec::new()));
    }
    let bound = Bound::new(SocketAddr::from(([127, 0, 0, 1], 0)), true, threads)?;
    let upstream = format!("http://{}", bound.address).parse()?;
    Ok((
        upstream,
        vec![Listener {
            bound,
            tls: None,
            service: Service::SampleApi,
        }],
    ))
}

fn node_settings(settings: &DemoSettings, upstream: &ApiBehind, threads: usize) -> NodeSettings {
    let address = |wanted: Option<SocketAddr>, usual: u16| AddressSettings {
        address: wanted.unwrap_or(SocketAddr::from(([127, 0, 0, 1], usual))),
        or_free_port: wanted.is_none(),
        tls: None,
    };
    let environment = |environment: Environment, address, database: &Option<Database>| {
        let file = settings.data.join(format!("{environment}.db"));
        EnvironmentSettings {
            environment,
            address,
            mount: Mount::default(),
            public_url: None,
            database: database.clone().unwrap_or(Database::Sqlite(file)),
            master_key: settings.data.join(default_master_key(environment)),
            // Whoever tries it out listens on this machine.
            hooks_to_loopback: environment == Environment::Test,
            surfaces: surfaces(upstream, settings),
        }
    };
    NodeSettings {
        environments: [
            environment(
                Environment::Live,
                address(settings.live, 8080),
                &settings.live_database,
            ),
            environment(
                Environment::Test,
                address(settings.test, 8081),
                &settings.test_database,
            ),
        ],
        admin: address(settings.admin, 8082),
        monitor: settings.monitor,
        trusted_proxies: TrustedProxies::default(),
        algorithm: Algorithm::Es256,
        // People try things out, and benchmarks present what they like.
        wrong_secrets_per_minute: None,
        plans: Vec::new(),
        crawlers: Default::default(),
        usage_hours_kept_days: 62,
        threads,
        drain_timeout: DEFAULT_DRAIN_TIMEOUT,
        traces: None,
        limits: ServerLimits::default(),
    }
}

/// Every surface is on; the protected path is open to all but Access keys, and so is that of the plan
/// to those who have bought it.
fn surfaces(upstream: &ApiBehind, settings: &DemoSettings) -> SurfaceSettings {
    let mount = || Some(Mount::default());
    let protected = route(upstream, settings.protected_path());
    let sold = settings.plan_path().map(|path| {
        let mut sold = route(upstream, path);
        sold.admission.scopes = PLAN_SCOPE.parse().unwrap_or_default();
        sold
    });
    SurfaceSettings {
        prefix: String::new(),
        trusted_proxies: TrustedProxies::default(),
        authorities: Authorities::default(),
        oauth: mount(),
        platform: mount(),
        token: mount(),
        content: Some(ContentSurface {
            mount: Mount::default(),
            upstream: settings.upstream.clone(),
            limits: Vec::new(),
        }),
        forward_auth: mount(),
        routes: sold.into_iter().chain([protected]).collect(),
        body: BodyLimits::default(),
    }
}

fn route(upstream: &ApiBehind, path: &str) -> Route {
    Route {
        described: None,
        refuses_replays: false,
        host: None,
        path: path.to_owned(),
        admission: Admission {
            audiences: AudienceSet::of(&[
                Audience::Platform,
                Audience::Routes,
                Audience::Management,
            ]),
            schemes: SchemeSet::of(&[
                Scheme::Bearer,
                Scheme::Token,
                Scheme::Signed,
                Scheme::HttpSignature,
            ]),
            scopes: ScopeSet::default(),
        },
        upstream: upstream.clone(),
        body_bytes: None,
        name: None,
        limits: Vec::new(),
    }
}

/// Gives the demo partner a credential of every kind, those that it lacks.
async fn hand_out_keys(engine: &Engine, property: PropertyId) -> Result<(), Refusal> {
    let mut integration = None;
    let usual = Audience::ALL.map(|audience| (audience, None, KEY_LABEL));
    let signing = SchemeSet::of(&[Scheme::HttpSignature]);
    let signing = (Audience::Routes, Some(signing), SIGNING_LABEL);
    for (audience, schemes, label) in usual.into_iter().chain([signing]) {
        let pair = engine
            .vault()
            .derived_pair(engine.environment(), audience, label);
        if engine.knows(&pair.public_id) {
            continue;
        }
        let integration_id = match integration {
            Some(id) => id,
            None => *integration.insert(demo_integration(engine).await?),
        };
        let new = NewCredential {
            property_id: audience.has_guid().then_some(property),
            schemes,
            imported: Some(pair),
            ..NewCredential::usual(integration_id, audience)
        };
        engine.create_credential(&Actor::system(), new).await?;
    }
    Ok(())
}

async fn demo_partner(engine: &Engine) -> Result<PartnerId, Refusal> {
    let partners = engine
        .store()
        .read(|reader| Box::pin(reader.partners()))
        .await?;
    let known = partners
        .into_iter()
        .find(|partner: &Partner| partner.name == PARTNER);
    match known {
        Some(partner) => Ok(partner.id),
        None => Ok(engine.create_partner(&Actor::system(), PARTNER).await?.id),
    }
}

async fn demo_integration(engine: &Engine) -> Result<IntegrationId, Refusal> {
    let partner = demo_partner(engine).await?;
    let known = engine
        .store()
        .read(move |reader| Box::pin(reader.integrations_of(partner)))
        .await?;
    match known.first() {
        Some(integration) => Ok(integration.id),
        None => Ok(engine
            .create_integration(&Actor::system(), partner, INTEGRATION)
            .await?
            .id),
    }
}

fn describe(node: &Node, settings: &DemoSettings, properties: &[PropertyId]) -> DemoFile {
    let live = node.engine(Environment::Live);
    let test = node.engine(Environment::Test);
    let token = live.vault().derive("demo operator token");
    let property = |wanted: Environment| {
        let mut known = Environment::ALL.iter().zip(properties);
        let id = known.find(|(environment, _)| **environment == wanted);
        DemoProperty {
            id: id.map(|(_, id)| id.to_string()).unwrap_or_default(),
            resources: demo_site::page_keys(),
        }
    };
    DemoFile {
        version: 1,
        live: describe_environment(live, settings, property(Environment::Live)),
        test: describe_environment(test, settings, property(Environment::Test)),
        admin: DemoAdmin {
            url: node.admin_url(),
            token: key_text::compose(KeyKind::OperatorToken, KeyEnvironment::Any, &token),
        },
    }
}

fn describe_environment(
    engine: &Engine,
    settings: &DemoSettings,
    property: DemoProperty,
) -> DemoEnvironment {
    let pair = |audience, label| {
        let pair = engine
            .vault()
            .derived_pair(engine.environment(), audience, label);
        (pair.public_id, pair.secret.expose().to_owned())
    };
    let key_set = |audience| {
        let (access_key, secret_key) = pair(audience, KEY_LABEL);
        KeySet {
            access_key,
            secret_key,
        }
    };
    let (client_id, client_secret) = pair(Audience::Platform, KEY_LABEL);
    let (api_key, api_secret) = pair(Audience::Routes, KEY_LABEL);
    let (key_id, secret) = pair(Audience::Routes, SIGNING_LABEL);
    DemoEnvironment {
        url: engine.issuer().to_owned(),
        oauth: OAuthPair {
            client_id,
            client_secret,
        },
        token: TokenPair {
            api_key,
            api_secret,
        },
        management: key_set(Audience::Management),
        access: key_set(Audience::Access),
        property,
        signing: SigningPair { key_id, secret },
        protected_path: settings.protected_path().to_owned(),
        plan_path: settings.plan_path().map(str::to_owned),
    }
}
