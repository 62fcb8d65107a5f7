//! The accept loops: one single-threaded runtime for each core, each with a socket of its own for
//! every address (`SO_REUSEPORT`), so that a connection stays on one core.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

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
use wayleave_proxy::{Inbound, Proxy, ProxyError};
use wayleave_web::{
    Admin, Connection, Dialect, Fault, Forward, Handled, Mount, RequestBody, Surfaces, caught,
    select_environment,
};

use crate::malformed::{Answering, Marked, WithRefusals};
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
/// How long requests in flight may take after the end was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

const REQUEST_ID: header::HeaderName = header::HeaderName::from_static("request-id");

type ResponseBody = Either<Full<Bytes>, Incoming>;

/// What an address serves.
#[derive(Clone)]
pub enum Service {
    /// One environment, or several told apart by host or prefix.
    Environments(Arc<Vec<(Mount, Arc<Surfaces>)>>),
    /// The operator's address.
    Admin(Arc<Admin>),
    /// The API of the demonstration.
    SampleApi,
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
    pub tls: Option<Arc<ServerConfig>>,
    /// What it serves.
    pub service: Service,
}

/// A server that is running. Dropping it asks it to end without waiting.
pub struct Server {
    stop: watch::Sender<bool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Serves the addresses on a number of threads. `run`: a word that differs from start to
    /// start.
    pub fn start(listeners: Vec<Listener>, threads: usize, run: u32) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let connections = Arc::new(AtomicU64::new(0));
        let mut per_thread: Vec<Vec<Acceptor>> = (0..threads).map(|_| Vec::new()).collect();
        for listener in listeners {
            for (socket, thread) in listener.bound.sockets.into_iter().zip(&mut per_thread) {
                thread.push(Acceptor {
                    socket,
                    tls: listener.tls.clone().map(TlsAcceptor::from),
                    service: listener.service.clone(),
                    connections: connections.clone(),
                    run,
                });
            }
        }
        let mut handles = Vec::new();
        for (number, acceptors) in per_thread.into_iter().enumerate() {
            let stopped = stopped.clone();
            let thread = std::thread::Builder::new().name(format!("wayleave-{number}"));
            handles.push(thread.spawn(move || serve_core(acceptors, stopped))?);
        }
        Ok(Server {
            stop,
            threads: handles,
        })
    }

    /// Stops accepting, lets requests in flight end, at most ten seconds, and returns.
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
    tls: Option<TlsAcceptor>,
    service: Service,
    connections: Arc<AtomicU64>,
    run: u32,
}

/// What the connections of one core share.
struct Core {
    proxy: Proxy<RequestBody>,
    open: AtomicUsize,
    stopped: watch::Receiver<bool>,
}

fn serve_core(acceptors: Vec<Acceptor>, stopped: watch::Receiver<bool>) {
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
        let mut stop = stopped.clone();
        let core = Rc::new(Core {
            proxy: Proxy::default(),
            open: AtomicUsize::new(0),
            stopped,
        });
        for acceptor in acceptors {
            tokio::task::spawn_local(accept(acceptor, core.clone()));
        }
        let _ = stop.wait_for(|stopped| *stopped).await;
        let drained = async {
            while core.open.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
    });
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
    let mut stop = core.stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
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
        let (service, tls, core) = (service.clone(), tls.clone(), core.clone());
        tokio::task::spawn_local(async move {
            core.open.fetch_add(1, Ordering::Relaxed);
            serve_stream(stream, tls, connection, service, &core).await;
            core.open.fetch_sub(1, Ordering::Relaxed);
        });
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
        answer(request, &connection, &service, &core.proxy, &answering)
    });
    let mut serving = pin!(
        http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(HEAD_LIMIT_BYTES)
            .serve_connection(stream, answer)
    );
    let mut stop = core.stopped.clone();
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = answering.stays_idle(IDLE_LOOK_INTERVAL) => return,
        _ = stop.wait_for(|stopped| *stopped) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Answers one request.
async fn answer(
    request: Request<Incoming>,
    connection: &Connection,
    service: &Service,
    proxy: &Proxy<RequestBody>,
    answering: &Answering,
) -> Result<Response<Marked<ResponseBody>>, Infallible> {
    let request_id = connection.next_request_id();
    let mut response = dispatch(request, connection, service, proxy, &request_id).await;
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    Ok(response.map(|body| answering.mark(body)))
}

async fn dispatch(
    request: Request<Incoming>,
    connection: &Connection,
    service: &Service,
    proxy: &Proxy<RequestBody>,
    request_id: &str,
) -> Response<ResponseBody> {
    let surfaces = match service {
        Service::SampleApi => return sample_api::answer(request).await.map(Either::Left),
        Service::Admin(admin) => {
            return admin
                .handle(request, connection, request_id)
                .await
                .map(Either::Left);
        }
        Service::Environments(choices) => match choices.as_slice() {
            [(_, only)] => only,
            several => match select_environment(several, request.uri(), request.headers()) {
                Some(surfaces) => surfaces,
                None => {
                    let dialect = Dialect::of_path(request.uri().path());
                    let answer = dialect.render(&Fault::NotFound, None, request_id);
                    return answer.map(Either::Left);
                }
            },
        },
    };
    match surfaces.handle(request, connection, request_id).await {
        Handled::Answer(answer) => answer.map(Either::Left),
        Handled::Forward(forward) => forward_to_upstream(*forward, proxy, request_id).await,
    }
}

async fn forward_to_upstream(
    forward: Forward,
    proxy: &Proxy<RequestBody>,
    request_id: &str,
) -> Response<ResponseBody> {
    let Forward {
        admitted,
        upstream,
        path,
        request,
        dialect,
        source,
        scheme,
    } = forward;
    let accept = request.headers().get(header::ACCEPT).cloned();
    let host = host_as_written(&request);
    let inbound = Inbound {
        source,
        scheme,
        host: &host,
        request_id,
    };
    let answered = match upstream.address(&path, request.uri().query()) {
        Ok(address) => caught(proxy.forward(&admitted, address, request, &inbound)).await,
        Err(error) => Ok(Err(ProxyError::Unreachable(error.to_string()))),
    };
    let fault = match answered {
        Ok(Ok(answer)) => return answer.map(Either::Right),
        Ok(Err(ProxyError::Unreachable(cause))) => Fault::BadGateway {
            cause: format!("{}: {cause}", upstream.authority()),
        },
        Ok(Err(ProxyError::TimedOut)) => Fault::GatewayTimeout,
        Err(panicked) => Fault::from(panicked),
    };
    let accept = accept.as_ref().and_then(|value| value.to_str().ok());
    dialect.render(&fault, accept, request_id).map(Either::Left)
}

/// The host that a request is for: of an absolute target, else of the `Host` header.
fn host_as_written(request: &Request<RequestBody>) -> String {
    let header = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    authority.or(header).unwrap_or_default().to_owned()
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
