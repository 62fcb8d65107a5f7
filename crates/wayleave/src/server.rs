//! The accept loops: one single-threaded runtime for each core, each with a socket of its own for
//! every address (`SO_REUSEPORT`), so that a connection stays on one core.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::{Either, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;
use wayleave_proxy::Proxy;
use wayleave_web::{
    Admin, Connection, Dialect, Fault, Handled, Mount, RequestBody, Surfaces, select_environment,
};

use crate::forward::forward_to_upstream;
use crate::malformed::{Answering, Marked, WithRefusals};
use crate::metrics::{CoreCounters, Counters};
use crate::monitor::Monitor;
use crate::sample_api;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1_024;
/// A connection that waits for the head of a request at two of these looks, and got none between
/// them, is closed: so a head may take, and an idle connection is kept, 20 to 40 seconds. One timer
/// for each connection, set anew every 20 seconds, costs nothing; one for each request did.
const IDLE_LOOK_INTERVAL: Duration = Duration::from_secs(20);
/// The largest head of a request.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting pauses when the system has no more file descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection waits for a last request after the end was asked for. Its answer says that
/// the connection closes, so that no client sends a request into a closing one.
const LAST_REQUEST_PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked whether all connections have ended.
const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(10);

const REQUEST_ID: header::HeaderName = header::HeaderName::from_static("request-id");

pub(crate) type ResponseBody = Either<Full<Bytes>, Incoming>;

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

/// An address that is bound and not served yet.
pub struct Bound {
    /// The address, with the port that it got.
    pub address: SocketAddr,
    sockets: Vec<TcpListener>,
}

impl Bound {
    /// Binds an address for a number of threads. Port 0 takes any free port; `or_free_port` takes
    /// any free one also where the wanted one is busy.
    pub fn new(address: SocketAddr, or_free_port: bool, threads: usize) -> io::Result<Self> {
        let address = match probe(address) {
            Ok(address) => address,
            Err(error) if or_free_port && error.kind() == io::ErrorKind::AddrInUse => {
                probe(SocketAddr::new(address.ip(), 0))?
            }
            Err(error) => return Err(error),
        };
        let sockets = (0..threads)
            .map(|_| listen(address))
            .collect::<io::Result<_>>()?;
        Ok(Bound { address, sockets })
    }
}

/// Finds out whether an address is free. Shared sockets would join another program of the same
/// user that shares the port too, so the first look is without sharing.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let socket = socket(address)?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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

/// One socket of an address on one core.
struct Acceptor {
    socket: TcpListener,
    tls: Option<CurrentTls>,
    service: Service,
    connections: Arc<AtomicU64>,
    run: u32,
}

/// What a core is given to begin with.
struct CoreStart {
    counters: Arc<CoreCounters>,
    open: Arc<AtomicUsize>,
    stopped: watch::Receiver<bool>,
    drain_timeout: Duration,
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
        });
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

async fn accept(acceptor: Acceptor, core: Rc<Core>) {
    let Acceptor {
        socket,
        tls,
        service,
        connections,
        run,
    } = acceptor;
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "an address could not be served");
            return;
        }
    };
    let mut arrivals = Arrivals {
        listener,
        stop: core.stopped.clone(),
        stays: service.outlives_drain(),
        waiting: BACKLOG,
    };
    while let Some(accepted) = arrivals.next().await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let number = connections.fetch_add(1, Ordering::Relaxed);
        let connection = Connection::new(peer.ip(), tls.is_some(), number, run);
        let certificate = tls.as_ref().map(|tls| TlsAcceptor::from(tls.load_full()));
        let (service, core) = (service.clone(), core.clone());
        let counted = Counted::new(&core, &service);
        tokio::task::spawn_local(async move {
            let _counted = counted;
            serve_stream(stream, certificate, connection, service, &core).await;
        });
    }
}

/// The connections of one socket as they come.
struct Arrivals {
    listener: tokio::net::TcpListener,
    stop: watch::Receiver<bool>,
    /// Whether they are accepted also while the server ends.
    stays: bool,
    /// How many that wait already are accepted after the end was asked for: the system took them
    /// before, and would break them off.
    waiting: i32,
}

impl Arrivals {
    /// The next one; `None`: the end was asked for, and none waits.
    async fn next(&mut self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        if self.stays {
            return Some(self.listener.accept().await);
        }
        tokio::select! {
            accepted = self.listener.accept() => return Some(accepted),
            _ = self.stop.wait_for(|stopped| *stopped) => {}
        }
        self.waiting -= 1;
        let at_once = tokio::time::timeout(Duration::ZERO, self.listener.accept());
        at_once.await.ok().filter(|_| self.waiting > 0)
    }
}

/// Counts a connection for as long as it is there.
struct Counted {
    counters: Option<Arc<CoreCounters>>,
    open: Option<Arc<AtomicUsize>>,
}

impl Counted {
    fn new(core: &Core, service: &Service) -> Self {
        let stays = service.outlives_drain();
        let counted = Counted {
            counters: (!matches!(service, Service::Monitor(_))).then(|| core.counters.clone()),
            open: (!stays).then(|| core.open.clone()),
        };
        if let Some(counters) = &counted.counters {
            counters.count_accepted();
        }
        if let Some(open) = &counted.open {
            open.fetch_add(1, Ordering::Relaxed);
        }
        counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(counters) = &self.counters {
            counters.count_closed();
        }
        if let Some(open) = &self.open {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

async fn serve_stream(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: Connection,
    service: Service,
    core: &Rc<Core>,
) {
    let Some(tls) = tls else {
        return serve_connection(TokioIo::new(stream), connection, service, core).await;
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve_connection(TokioIo::new(stream), connection, service, core).await,
        // Scanners and impatient clients; nothing of ours went wrong.
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn serve_connection<S>(stream: S, connection: Connection, service: Service, core: &Rc<Core>)
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let answering = Answering::default();
    let stream = WithRefusals::new(stream, answering.clone());
    let answer = service_fn(|request| {
        answering.begin();
        answer(request, &connection, &service, core, &answering)
    });
    let mut serving = pin!(
        http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(HEAD_LIMIT_BYTES)
            .serve_connection(stream, answer)
    );
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = answering.stays_idle(IDLE_LOOK_INTERVAL) => return,
        () = end_of(core, &service) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// When a connection is to take no further request.
async fn end_of(core: &Core, service: &Service) {
    if service.outlives_drain() {
        return std::future::pending().await;
    }
    let mut stop = core.stopped.clone();
    let _ = stop.wait_for(|stopped| *stopped).await;
    tokio::time::sleep(LAST_REQUEST_PATIENCE).await;
}

/// Answers one request.
async fn answer(
    request: Request<Incoming>,
    connection: &Connection,
    service: &Service,
    core: &Core,
    answering: &Answering,
) -> Result<Response<Marked<ResponseBody>>, Infallible> {
    let request_id = connection.next_request_id();
    let mut response = dispatch(request, connection, service, core, &request_id).await;
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if core.is_ending.get() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response.map(|body| answering.mark(body)))
}

async fn dispatch(
    request: Request<Incoming>,
    connection: &Connection,
    service: &Service,
    core: &Core,
    request_id: &str,
) -> Response<ResponseBody> {
    match service {
        Service::SampleApi => sample_api::answer(request).await.map(Either::Left),
        Service::Monitor(monitor) => monitor.answer(&request).await.map(Either::Left),
        Service::Admin(admin) => {
            let admin = admin.load_full();
            let answer = admin.handle(request, connection, request_id).await;
            core.counters.count_admin_request(answer.status());
            answer.map(Either::Left)
        }
        Service::Environments(choices) => {
            serve_environment(request, connection, &choices.load(), core, request_id).await
        }
    }
}

/// Takes a request to the environment that it is for.
async fn serve_environment(
    request: Request<Incoming>,
    connection: &Connection,
    choices: &Choices,
    core: &Core,
    request_id: &str,
) -> Response<ResponseBody> {
    let chosen = match choices.as_slice() {
        [(_, only)] => Some(only),
        several => select_environment(several, request.uri(), request.headers()),
    };
    let Some(surfaces) = chosen else {
        let dialect = Dialect::of_path(request.uri().path());
        let answer = dialect.render(&Fault::NotFound, None, request_id);
        core.counters.count_request(None, dialect, answer.status());
        return answer.map(Either::Left);
    };
    let environment = surfaces.engine().environment();
    let (response, dialect) = match surfaces.handle(request, connection, request_id).await {
        Handled::Answer(answer, dialect) => (answer.map(Either::Left), dialect),
        Handled::Forward(forward) => {
            let dialect = forward.dialect;
            let answer = {
                let (proxy, counters) = (&core.proxy, &core.counters);
                forward_to_upstream(*forward, environment, proxy, counters, request_id).await
            };
            (answer, dialect)
        }
    };
    core.counters
        .count_request(Some(environment), dialect, response.status());
    response
}

/// The address as people type it: a loopback or wildcard address becomes one that can be called.
pub fn callable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
