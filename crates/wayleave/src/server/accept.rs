//! Accepting: connections are taken as they come, and counted while they are there.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use wayleave_web::Connection;

use super::connection::{Serving, serve_stream};
use super::gate::Entry;
use super::listen::BACKLOG;
use super::{Core, CurrentTls, Service};
use crate::metrics::{CoreCounters, TurnedAway};

/// How long accepting pauses when the system has no more file descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// What a client is told for whom there is no room.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-type: application/problem+json\r\ncontent-length: 173\r\n\r\n{\"type\":\"urn:wayleave:problem:too-many-connections\",\"title\":\"Service Unavailable\",\"status\":503,\"message\":\"there are too many connections: use open ones again, or try later\"}";

/// One socket of an address on one core.
pub(super) struct Acceptor {
    pub(super) socket: TcpListener,
    pub(super) tls: Option<CurrentTls>,
    pub(super) service: Service,
    pub(super) connections: Arc<AtomicU64>,
    pub(super) run: u32,
}

pub(super) async fn accept(acceptor: Acceptor, core: Rc<Core>) {
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
        let entry = match enter(&core, &service, peer) {
            Ok(entry) => entry,
            Err(why) => {
                turn_away(stream, tls.is_some(), why, &core);
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let number = connections.fetch_add(1, Ordering::Relaxed);
        let connection = Connection::new(peer.ip(), tls.is_some(), number, run);
        let certificate = tls.as_ref().map(|tls| TlsAcceptor::from(tls.load_full()));
        let counted = Counted::new(&core, &service, entry);
        let serving = Serving {
            connection,
            service: service.clone(),
            core: core.clone(),
            progress: Arc::default(),
        };
        tokio::task::spawn_local(serve_stream(stream, certificate, serving, counted));
    }
}

/// Whether there is room for a connection. Operators and monitoring always have some.
fn enter(core: &Core, service: &Service, peer: SocketAddr) -> Result<Option<Entry>, TurnedAway> {
    match service {
        Service::Environments(_) => core.gate.enter(peer.ip()).map(Some),
        Service::Admin(_) | Service::Monitor(_) | Service::SampleApi => Ok(None),
    }
}

/// Says to a client that there is no room, where that can be said at once.
fn turn_away(stream: TcpStream, is_tls: bool, why: TurnedAway, core: &Core) {
    core.counters.count_turned_away(why);
    if !is_tls && let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(NO_ROOM);
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

/// Counts a connection for as long as it is there, also where it is no longer HTTP.
pub(super) struct Counted {
    counters: Option<Arc<CoreCounters>>,
    open: Option<Arc<AtomicUsize>>,
    _entry: Option<Entry>,
}

impl Counted {
    fn new(core: &Core, service: &Service, entry: Option<Entry>) -> Self {
        let stays = service.outlives_drain();
        let counted = Counted {
            counters: (!matches!(service, Service::Monitor(_))).then(|| core.counters.clone()),
            open: (!stays).then(|| core.open.clone()),
            _entry: entry,
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
