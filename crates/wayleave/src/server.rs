//! The accept loops: one single-threaded runtime for each core, each with a socket of its own for
//! every address (`SO_REUSEPORT`), so that a connection stays on one core.

mod accept;
mod answer;
mod connection;
mod gate;
mod limits;
mod listen;
mod places;
mod progress;
mod scrutiny;
mod traced;
mod tunnel;
mod wire;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::LocalSet;
use wayleave_proxy::Proxy;
use wayleave_web::{Admin, Mount, RequestBody, Surfaces};

use self::accept::{Acceptor, accept};
pub(crate) use self::answer::ResponseBody;
pub use self::gate::Gate;
pub use self::limits::ServerLimits;
pub use self::listen::{Bound, callable};
use self::places::Places;
use self::wire::{SCRATCH_BYTES, Scratch};
use crate::metrics::{CoreCounters, Counters};
use crate::monitor::Monitor;
use crate::traces::{Tracer, Tracing};

/// How often it is looked whether all connections have ended.
const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The environments of an address, and what tells them apart.
pub type Choices = Vec<(Mount, Arc<Surfaces>)>;

/// The certificate of an address as it is now.
pub type CurrentTls = Arc<ArcSwap<ServerConfig>>;

/// What an address serves. What can change while it is served is exchanged whole.
#[derive(Clone)]
pub enum Service {
    /// One environment, or several told apart by host or prefix.
    Environments(Arc<ArcSwap<Choices>>),
    /// The operators' address.
    Admin(Arc<ArcSwap<Admin>>),
    /// The monitor address.
    Monitor(Arc<Monitor>),
    /// The API of the demonstration.
    SampleApi,
}

impl Service {
    /// Whether it is there until all requests in flight are answered: they may need it, or somebody
    /// wants to see that the node ends.
    fn outlives_drain(&self) -> bool {
        matches!(self, Service::Monitor(_) | Service::SampleApi)
    }
}

/// An address and what it serves.
pub struct Listener {
    /// The address.
    pub bound: Bound,
    /// Its certificate, where TLS ends here.
    pub tls: Option<CurrentTls>,
    /// What it serves.
    pub service: Service,
}

/// How a server runs.
pub struct ServerSettings {
    /// A word that differs from start to start.
    pub run: u32,
    /// What counts; also says how many threads serve.
    pub counters: Counters,
    /// How long requests in flight may take after the end was asked for.
    pub drain_timeout: Duration,
    /// How requests are traced; `None`: not.
    pub tracing: Option<Tracing>,
    /// What clients may do.
    pub limits: ServerLimits,
    /// Counts the connections to the environments.
    pub gate: Arc<Gate>,
}

/// A server that is running. Dropping it asks it to end without waiting.
pub struct Server {
    stop: watch::Sender<bool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Serves the addresses, on one thread for each block of counters.
    pub fn start(listeners: Vec<Listener>, settings: &ServerSettings) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let connections = Arc::new(AtomicU64::new(0));
        let open = Arc::new(AtomicUsize::new(0));
        let cores = settings.counters.cores();
        let mut shown = shown_choices(&listeners);
        let mut per_thread: Vec<Vec<Acceptor>> = cores.iter().map(|_| Vec::new()).collect();
        for listener in listeners {
            for (socket, thread) in listener.bound.sockets.into_iter().zip(&mut per_thread) {
                thread.push(Acceptor {
                    socket,
                    tls: listener.tls.clone(),
                    service: listener.service.clone(),
                    connections: connections.clone(),
                    run: settings.run,
                });
            }
        }
        let mut handles = Vec::new();
        for (number, (acceptors, counters)) in per_thread.into_iter().zip(cores).enumerate() {
            let start = CoreStart {
                counters: counters.clone(),
                open: open.clone(),
                stopped: stopped.clone(),
                drain_timeout: settings.drain_timeout,
                tracing: settings.tracing.clone(),
                watches: std::mem::take(&mut shown),
                limits: settings.limits.clone(),
                gate: settings.gate.clone(),
                cores: cores.len(),
            };
            let thread = std::thread::Builder::new().name(format!("wayleave-{number}"));
            handles.push(thread.spawn(move || serve_core(acceptors, start))?);
        }
        Ok(Server {
            stop,
            threads: handles,
        })
    }

    /// Stops accepting, lets requests in flight end, at most as long as the settings say, and
    /// returns.
    pub fn stop(mut self) {
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

/// What a core is given to begin with.
struct CoreStart {
    counters: Arc<CoreCounters>,
    open: Arc<AtomicUsize>,
    stopped: watch::Receiver<bool>,
    drain_timeout: Duration,
    tracing: Option<Tracing>,
    /// What is shown, for the core that asks the servers behind how they are; else nothing.
    watches: Vec<Arc<ArcSwap<Choices>>>,
    limits: ServerLimits,
    gate: Arc<Gate>,
    cores: usize,
}

/// What all addresses show.
fn shown_choices(listeners: &[Listener]) -> Vec<Arc<ArcSwap<Choices>>> {
    let services = listeners.iter().map(|listener| &listener.service);
    let choices = services.filter_map(|service| match service {
        Service::Environments(choices) => Some(choices.clone()),
        _ => None,
    });
    choices.collect()
}

/// The servers behind that are asked how they are.
fn servers_behind(shown: &[Arc<ArcSwap<Choices>>]) -> Vec<Arc<wayleave_proxy::Server>> {
    let mut servers = Vec::new();
    for choices in shown {
        for (_, surfaces) in choices.load().iter() {
            let apis = surfaces.apis_behind();
            servers.extend(apis.flat_map(|(_, api)| api.servers().iter().cloned()));
        }
    }
    servers
}

/// What the connections of one core share.
struct Core {
    proxy: Proxy<RequestBody>,
    counters: Arc<CoreCounters>,
    /// Connections of all cores that are to end before the server does. A core stays while another
    /// still has one: its request may be on its way to an address of ours.
    open: Arc<AtomicUsize>,
    stopped: watch::Receiver<bool>,
    is_ending: Cell<bool>,
    tracer: Option<Rc<Tracer>>,
    limits: ServerLimits,
    gate: Arc<Gate>,
    places: Rc<Places>,
    scratch: Scratch,
}

fn serve_core(acceptors: Vec<Acceptor>, start: CoreStart) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a thread could not start");
            return;
        }
    };
    LocalSet::new().block_on(&runtime, async move {
        let mut stop = start.stopped.clone();
        let core = Rc::new(Core {
            proxy: Proxy::default(),
            counters: start.counters,
            open: start.open,
            stopped: start.stopped,
            is_ending: Cell::new(false),
            tracer: start.tracing.map(|tracing| Rc::new(tracing.tracer())),
            places: Places::share(&start.limits, start.cores),
            limits: start.limits,
            gate: start.gate,
            scratch: Arc::new(Mutex::new(vec![0; SCRATCH_BYTES])),
        });
        let keeping = core.clone();
        tokio::task::spawn_local(async move { keeping.proxy.keep().await });
        if !start.watches.is_empty() {
            let shown = start.watches;
            tokio::task::spawn_local(wayleave_proxy::watch(move || servers_behind(&shown)));
        }
        for acceptor in acceptors {
            tokio::task::spawn_local(accept(acceptor, core.clone()));
        }
        let _ = stop.wait_for(|stopped| *stopped).await;
        core.is_ending.set(true);
        let drained = tokio::time::timeout(start.drain_timeout, drain(&core.open)).await;
        if drained.is_err() {
            let open = core.open.load(Ordering::Relaxed);
            tracing::warn!(open, "connections were cut: their requests took too long");
        }
    });
}

/// Ends when no connection is open that has to end first. Connections that were waiting to be
/// accepted come first.
async fn drain(open: &AtomicUsize) {
    loop {
        tokio::time::sleep(DRAIN_LOOK_INTERVAL).await;
        if open.load(Ordering::Relaxed) == 0 {
            return;
        }
    }
}
