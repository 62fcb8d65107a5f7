//! Wires one node: opens the databases, loads the environments, binds the addresses, serves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use wayleave_core::{Crawlers, Environment, Plan};
use wayleave_engine::{
    Algorithm, Clock, Database, Engine, EngineSettings, Operators, Randomness, Refusal, Store,
    StoreError, StoreRuntime,
};
use wayleave_web::{Admin, Authorities, Mount, SurfaceSettings, Surfaces, TrustedProxies};

use crate::hooks::HookCaller;
use crate::key_file::{self, KeyFileError};
use crate::metrics::Counters;
use crate::monitor::Monitor;
use crate::ports::SystemNames;
use crate::server::{
    Bound, Choices, CurrentTls, Gate, Listener, Server, ServerLimits, ServerSettings, Service,
    callable,
};
use crate::tls::{self, TlsError, TlsFiles};
use crate::traces::{TraceSettings, Tracing};

/// An address to serve.
#[derive(Clone, Debug)]
pub struct AddressSettings {
    /// Host and port; port 0 is any free one.
    pub address: SocketAddr,
    /// Take another port when this one is busy.
    pub or_free_port: bool,
    /// The certificate, where TLS ends here.
    pub tls: Option<TlsFiles>,
}

/// What one environment is.
#[derive(Clone, Debug)]
pub struct EnvironmentSettings {
    /// Which one.
    pub environment: Environment,
    /// Where it answers; both may have the same address.
    pub address: AddressSettings,
    /// What tells it apart on a shared address.
    pub mount: Mount,
    /// The address under which partners know it; `None`: the one that is bound.
    pub public_url: Option<String>,
    /// Where its data lives.
    pub database: Database,
    /// The file with its master keys.
    pub master_key: PathBuf,
    /// Whether hooks may call this machine and pages of sites be read from it, also over plain http.
    pub hooks_to_loopback: bool,
    /// What it shows.
    pub surfaces: SurfaceSettings,
}

/// What a node is.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// Both environments.
    pub environments: [EnvironmentSettings; 2],
    /// The operator's address.
    pub admin: AddressSettings,
    /// Where monitoring asks; `None`: nowhere.
    pub monitor: Option<SocketAddr>,
    /// The proxies whose word about clients counts.
    pub trusted_proxies: TrustedProxies,
    /// The algorithm of new signing keys.
    pub algorithm: Algorithm,
    /// Wrong secrets a minute before the token addresses answer 429; `None`: not counted.
    pub wrong_secrets_per_minute: Option<u32>,
    /// The plans that partners may have.
    pub plans: Vec<Plan>,
    /// The crawlers that properties may let in.
    pub crawlers: Crawlers,
    /// How many days counts by the hour are kept; 0: for ever.
    pub usage_hours_kept_days: u32,
    /// How many threads serve requests.
    pub threads: usize,
    /// How long requests in flight may take after the end was asked for.
    pub drain_timeout: Duration,
    /// How requests are traced; `None`: not.
    pub traces: Option<TraceSettings>,
    /// What clients may do.
    pub limits: ServerLimits,
}

/// Why a node does not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// An address cannot be had.
    #[error(
        "cannot listen on {address}: {error}; choose another address, or end the program that has it"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file with secrets cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A database cannot be opened.
    #[error("{environment} ({database:?}): {error}")]
    Store {
        /// Whose it is.
        environment: Environment,
        /// Where it is.
        database: Database,
        /// What is wrong.
        error: StoreError,
    },
    /// An environment cannot be loaded.
    #[error("{environment}: {error}")]
    Engine {
        /// Which one.
        environment: Environment,
        /// What is wrong.
        error: Refusal,
    },
    /// The system refused a thread or a runtime.
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
}

/// An address of environments: bound, with its certificate and those that it serves.
struct BoundAddress {
    bound: Bound,
    tls: Option<TlsFiles>,
    served: Vec<Environment>,
}

/// A node that is loaded and bound, and serves nothing yet.
pub struct Node {
    settings: NodeSettings,
    engines: Vec<Arc<Engine>>,
    bound: Vec<BoundAddress>,
    admin: Bound,
    monitor: Option<Bound>,
    run: u32,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
}

impl Node {
    /// Binds the addresses and loads both environments. Nothing is answered before
    /// [`Node::start`].
    pub fn open(
        settings: NodeSettings,
        store_runtime: &StoreRuntime,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> Result<Self, NodeError> {
        let bound = bind_environments(&settings)?;
        let admin = bind(&settings.admin, settings.threads)?;
        let monitor = settings
            .monitor
            .map(|address| bind_address(address, false, settings.threads))
            .transpose()?;
        let waiting = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut engines = Vec::new();
        for environment in &settings.environments {
            let url = public_url(environment, &bound);
            let opening = open_engine(
                &settings,
                environment,
                url,
                store_runtime,
                &clock,
                &randomness,
            );
            let engine = waiting.block_on(opening)?;
            let hooks = HookCaller::new(environment.hooks_to_loopback);
            engine.set_hooks(Box::new(hooks));
            let pages = HookCaller::new(environment.hooks_to_loopback);
            engine.set_page_reader(Box::new(pages));
            engine.set_host_names(Arc::new(SystemNames));
            engine.set_crawlers(settings.crawlers.clone());
            engine.set_plans(&settings.plans);
            engine.keep_hours_of_usage(settings.usage_hours_kept_days);
            engines.push(engine);
        }
        let mut run = [0; 4];
        randomness.fill(&mut run);
        Ok(Node {
            settings,
            engines,
            bound,
            admin,
            monitor,
            run: u32::from_be_bytes(run),
            clock,
            randomness,
        })
    }

    /// The engine of an environment.
    pub fn engine(&self, environment: Environment) -> &Arc<Engine> {
        let place = self
            .engines
            .iter()
            .position(|engine| engine.environment() == environment);
        &self.engines[place.expect("both environments are opened")]
    }

    /// Where an environment can be called, as a URL without a slash at its end.
    pub fn url(&self, environment: Environment) -> &str {
        self.engine(environment).issuer()
    }

    /// The address that was bound for an environment.
    pub fn address(&self, environment: Environment) -> SocketAddr {
        let own = self
            .bound
            .iter()
            .find(|address| address.served.contains(&environment));
        own.expect("both environments are bound").bound.address
    }

    /// Where the operator calls.
    pub fn admin_url(&self) -> String {
        url(self.admin.address, self.settings.admin.tls.is_some())
    }

    /// Where monitoring asks.
    pub fn monitor_url(&self) -> Option<String> {
        let bound = self.monitor.as_ref()?;
        Some(url(bound.address, false))
    }

    /// Serves the environments, the operators' address and what else is given.
    pub fn start(self, operators: Operators, more: Vec<Listener>) -> Result<Running, NodeError> {
        let Node {
            settings,
            engines,
            bound,
            admin,
            monitor,
            run,
            clock,
            randomness,
        } = self;
        let counters = Counters::new(settings.threads);
        let tracing = match &settings.traces {
            Some(traces) => Some(Tracing::start(traces, clock, randomness)?),
            None => None,
        };
        let spans = tracing.as_ref().map(|tracing| tracing.queue.clone());
        let watching = Arc::new(Monitor::new(engines.clone(), counters.clone(), spans));
        let gate = Gate::new(&settings.limits, settings.trusted_proxies.clone());
        let shown = show(&settings, &engines);
        watching.tell_of(&shown);
        let mut served = Vec::new();
        let mut listeners = more;
        for BoundAddress {
            bound,
            tls,
            served: environments,
        } in bound
        {
            let choices = choices(&settings, &shown, &environments);
            let choices = Arc::new(ArcSwap::from_pointee(choices));
            let tls = load_tls(tls.as_ref(), &settings)?;
            listeners.push(Listener {
                bound,
                tls: tls.clone(),
                service: Service::Environments(choices.clone()),
            });
            served.push(Served {
                environments,
                choices,
                tls,
            });
        }
        let operators = Arc::new(ArcSwap::from_pointee(operators));
        let desk = Admin::new(&shown, operators.clone(), settings.trusted_proxies.clone());
        let desk = Arc::new(ArcSwap::from_pointee(desk));
        let admin_tls = load_tls(settings.admin.tls.as_ref(), &settings)?;
        listeners.push(Listener {
            bound: admin,
            tls: admin_tls.clone(),
            service: Service::Admin(desk.clone()),
        });
        listeners.extend(monitor.map(|bound| Listener {
            bound,
            tls: None,
            service: Service::Monitor(watching.clone()),
        }));
        let how = ServerSettings {
            run,
            counters,
            drain_timeout: settings.drain_timeout,
            tracing,
            limits: settings.limits.clone(),
            gate: gate.clone(),
        };
        Ok(Running {
            gate,
            server: Server::start(listeners, &how)?,
            monitor: watching,
            engines,
            settings,
            served,
            desk,
            admin_tls,
            operators,
        })
    }
}

/// An address of environments that is served, and what of it can be exchanged.
pub(crate) struct Served {
    pub(crate) environments: Vec<Environment>,
    pub(crate) choices: Arc<ArcSwap<Choices>>,
    pub(crate) tls: Option<CurrentTls>,
}

/// A node that serves.
pub struct Running {
    server: Server,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) engines: Vec<Arc<Engine>>,
    pub(crate) settings: NodeSettings,
    pub(crate) served: Vec<Served>,
    pub(crate) desk: Arc<ArcSwap<Admin>>,
    pub(crate) admin_tls: Option<CurrentTls>,
    pub(crate) operators: Arc<ArcSwap<Operators>>,
}

impl Running {
    /// The engines, for tests that look behind the addresses.
    pub fn engines(&self) -> &[Arc<Engine>] {
        &self.engines
    }

    /// Ends it: from now on it is not ready, and requests in flight are answered first, within the
    /// time of the settings.
    pub fn stop(self) {
        self.monitor.announce_end();
        self.server.stop();
        let Ok(waiting) = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        else {
            return;
        };
        for engine in &self.engines {
            let environment = engine.environment();
            let warn = |what: &str, written: Result<(), Refusal>| {
                if let Err(error) = written {
                    tracing::warn!(%environment, %error, "lost at the end: {what}");
                }
            };
            let uses = waiting.block_on(engine.write_uses());
            warn("the last uses of secrets", uses);
            let usage = waiting.block_on(engine.write_usage());
            warn("counts of the last requests", usage);
            let quotas = waiting.block_on(engine.return_quotas());
            warn("parts of quotas", quotas);
        }
    }
}

/// The surfaces of both environments, as the settings show them.
pub(crate) fn show(settings: &NodeSettings, engines: &[Arc<Engine>]) -> Vec<Arc<Surfaces>> {
    let both = settings.environments.iter().zip(engines);
    let shown = both.map(|(environment, engine)| {
        let shown = SurfaceSettings {
            prefix: environment.mount.prefix.clone(),
            trusted_proxies: settings.trusted_proxies.clone(),
            authorities: authorities(environment, engine),
            ..environment.surfaces.clone()
        };
        Arc::new(Surfaces::new(engine.clone(), shown))
    });
    shown.collect()
}

/// Under which names clients reach an environment: those of its settings, its public URL and its
/// address.
fn authorities(environment: &EnvironmentSettings, engine: &Engine) -> Authorities {
    let mut authorities = environment.surfaces.authorities.clone();
    authorities.add_url(engine.issuer());
    authorities.add_address(environment.address.address);
    if let Some(host) = &environment.mount.host {
        authorities.add_host(host);
    }
    authorities
}

/// The environments of an address, and what tells them apart.
pub(crate) fn choices(
    settings: &NodeSettings,
    shown: &[Arc<Surfaces>],
    served: &[Environment],
) -> Choices {
    let both = settings.environments.iter().zip(shown);
    let wanted = both.filter(|(environment, _)| served.contains(&environment.environment));
    let choices =
        wanted.map(|(environment, surfaces)| (environment.mount.clone(), surfaces.clone()));
    choices.collect()
}

fn bind(settings: &AddressSettings, threads: usize) -> Result<Bound, NodeError> {
    bind_address(settings.address, settings.or_free_port, threads)
}

fn bind_address(
    address: SocketAddr,
    or_free_port: bool,
    threads: usize,
) -> Result<Bound, NodeError> {
    Bound::new(address, or_free_port, threads).map_err(|error| NodeError::Bind { address, error })
}

/// Binds the addresses of the environments; one that both have is bound once.
fn bind_environments(settings: &NodeSettings) -> Result<Vec<BoundAddress>, NodeError> {
    let [one, other] = &settings.environments;
    if one.address.address == other.address.address
        && one.address.address.port() != 0
        && !one.address.or_free_port
    {
        let bound = bind(&one.address, settings.threads)?;
        let served = vec![one.environment, other.environment];
        return Ok(vec![BoundAddress {
            bound,
            tls: one.address.tls.clone(),
            served,
        }]);
    }
    [one, other]
        .into_iter()
        .map(|environment| {
            let bound = bind(&environment.address, settings.threads)?;
            let served = vec![environment.environment];
            Ok(BoundAddress {
                bound,
                tls: environment.address.tls.clone(),
                served,
            })
        })
        .collect()
}

fn public_url(settings: &EnvironmentSettings, bound: &[BoundAddress]) -> String {
    if let Some(url) = &settings.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let own = bound
        .iter()
        .find(|address| address.served.contains(&settings.environment));
    let base = own
        .map(|own| url(own.bound.address, own.tls.is_some()))
        .unwrap_or_default();
    base + &settings.mount.prefix
}

fn url(address: SocketAddr, tls: bool) -> String {
    format!(
        "{}://{}",
        if tls { "https" } else { "http" },
        callable(address)
    )
}

fn load_tls(
    files: Option<&TlsFiles>,
    settings: &NodeSettings,
) -> Result<Option<CurrentTls>, TlsError> {
    let loaded = files.map(|files| load_certificate(files, settings));
    let loaded = loaded.transpose()?;
    Ok(loaded.map(|config| Arc::new(ArcSwap::new(config))))
}

/// Reads a certificate, for the protocols of the settings.
pub(crate) fn load_certificate(
    files: &TlsFiles,
    settings: &NodeSettings,
) -> Result<Arc<ServerConfig>, TlsError> {
    let config = tls::load(files)?;
    Ok(match settings.limits.http2_streams {
        0 => tls::without_http2(config),
        _ => config,
    })
}

async fn open_engine(
    settings: &NodeSettings,
    environment: &EnvironmentSettings,
    issuer: String,
    store_runtime: &StoreRuntime,
    clock: &Arc<dyn Clock>,
    randomness: &Arc<dyn Randomness>,
) -> Result<Arc<Engine>, NodeError> {
    let name = environment.environment;
    let store_failed = |error| NodeError::Store {
        environment: name,
        database: environment.database.clone(),
        error,
    };
    if let Database::Sqlite(path) = &environment.database
        && let Some(folder) = path.parent()
    {
        key_file::create_private_folder(folder)?;
    }
    let store = Store::open(store_runtime, &environment.database, name, clock.now())
        .await
        .map_err(store_failed)?;
    // A master key is made only for a database that holds nothing yet.
    let holds_nothing = is_empty(&store).await.map_err(store_failed)?;
    let vault = key_file::open_vault(&environment.master_key, holds_nothing, &**randomness)?;
    let engine_settings = EngineSettings {
        environment: name,
        issuer,
        algorithm: settings.algorithm,
        wrong_secrets_per_minute: settings.wrong_secrets_per_minute,
        refuses_replays: environment
            .surfaces
            .routes
            .iter()
            .any(|route| route.refuses_replays),
    };
    Engine::open(
        engine_settings,
        store,
        vault,
        clock.clone(),
        randomness.clone(),
    )
    .await
    .map_err(|error| NodeError::Engine {
        environment: name,
        error,
    })
}

async fn is_empty(store: &Store) -> Result<bool, StoreError> {
    store
        .read(|reader| Box::pin(async move { Ok(reader.signing_keys().await?.is_empty()) }))
        .await
}
