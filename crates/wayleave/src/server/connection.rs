//! Serving one connection: TLS, the protocol, its limits and its end.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use wayleave_protocol::http_framing::Framing;
use wayleave_protocol::http2_frames::{Frames, PREFACE};
use wayleave_web::Connection;

use super::accept::Counted;
use super::answer::{WatchedBody, answer};
use super::progress::Progress;
use super::wire::{Watch, Wire};
use super::{Core, Service};
use crate::metrics::TurnedAway;

/// How long a connection waits for a last request after the end was asked for. Its answer says that
/// the connection closes, so that no client sends a request into a closing one.
pub(super) const LAST_REQUEST_PATIENCE: Duration = Duration::from_millis(500);
/// What is read of a plain connection at first.
const EARLY_BYTES: usize = 4 * 1024;
/// What the parser of HTTP/1 may buffer beside a head.
const BUFFER_BYTES: usize = 64 * 1024;
/// What a client of HTTP/2 may send ahead on one request, and on all of a connection.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What is kept of an answer that a client of HTTP/2 does not take.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Streams that a client may reset before we have looked at them (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that a client may make us reset (CVE-2025-8671).
const LOCAL_RESETS: usize = 64;
/// After so long without a frame, a client of HTTP/2 is asked whether it is there, and has so long
/// to say it.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// What the requests of one connection have in common.
pub(super) struct Serving {
    pub(super) connection: Connection,
    pub(super) service: Service,
    pub(super) core: Rc<Core>,
    pub(super) progress: Arc<Progress>,
}

/// Spawns on the thread of the connection.
#[derive(Clone)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Serves a connection to its end. `counted`: kept as long as it is open.
pub(super) async fn serve_stream(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    serving: Serving,
    counted: Counted,
) {
    let core = serving.core.clone();
    let limits = &core.limits;
    let Some(tls) = tls else {
        let begun = tokio::select! {
            begun = tokio::time::timeout(limits.head_timeout, first_bytes(stream, &core)) => begun,
            () = end_of(&serving) => return,
        };
        return match begun {
            Ok(Ok((stream, early, is_http2))) => {
                serve_connection(stream, early, is_http2, serving, counted).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
            Err(_) => core.counters.count_turned_away(TurnedAway::SlowHead),
        };
    };
    match tokio::time::timeout(limits.handshake_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve_connection(stream, Vec::new(), is_http2, serving, counted).await;
        }
        // Scanners and impatient clients; nothing of ours went wrong.
        Ok(Err(error)) => {
            core.counters.count_turned_away(TurnedAway::Handshake);
            tracing::debug!(%error, "a TLS handshake failed");
        }
        Err(_) => {
            core.counters.count_turned_away(TurnedAway::Handshake);
            tracing::debug!("a TLS handshake took too long");
        }
    }
}

/// Reads so much of a plain connection that its protocol is known: HTTP/2 begins with words that
/// are no request of HTTP/1. Returns what was read.
async fn first_bytes(mut stream: TcpStream, core: &Core) -> io::Result<(TcpStream, Vec<u8>, bool)> {
    let mut early = Vec::with_capacity(EARLY_BYTES);
    if core.limits.http2_streams == 0 {
        return Ok((stream, early, false));
    }
    while early.len() < PREFACE.len() && PREFACE.starts_with(&early) {
        if stream.read_buf(&mut early).await? == 0 {
            break;
        }
    }
    let is_http2 = early.starts_with(PREFACE);
    Ok((stream, early, is_http2))
}

async fn serve_connection<S>(
    stream: S,
    early: Vec<u8>,
    is_http2: bool,
    serving: Serving,
    counted: Counted,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serving = Rc::new(serving);
    let core = &serving.core;
    let watch = if is_http2 {
        Watch::Http2(Frames::default(), 0)
    } else {
        Watch::Http1(Framing::new(core.limits.head))
    };
    let shared = (core.counters.clone(), core.scratch.clone());
    let progress = serving.progress.clone();
    let wire = Wire::new(stream, watch, progress, shared, early, counted);
    let answering = serving.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let serving = answering.clone();
        async move { Ok::<Response<WatchedBody>, Infallible>(answer(request, &serving).await) }
    });
    if is_http2 {
        let connection = http2(&core.limits).serve_connection(wire, service);
        let connection = pin!(connection);
        supervise(connection, http2::Connection::graceful_shutdown, &serving).await;
    } else {
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(core.limits.head.bytes + BUFFER_BYTES)
            .serve_connection(wire, service)
            .with_upgrades();
        let connection = pin!(connection);
        let shutdown = http1::UpgradeableConnection::graceful_shutdown;
        supervise(connection, shutdown, &serving).await;
    }
}

fn http2(limits: &super::ServerLimits) -> http2::Builder<OnThisThread> {
    let mut builder = http2::Builder::new(OnThisThread);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.head.bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Runs a connection until it ends by itself, is too slow, or is asked to end.
async fn supervise<C>(
    mut connection: Pin<&mut C>,
    shutdown: impl FnOnce(Pin<&mut C>),
    serving: &Serving,
) where
    C: Future<Output = hyper::Result<()>>,
{
    let core = &serving.core;
    let mut lags = pin!(serving.progress.lags(&core.limits));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        why = lags.as_mut() => return cut(serving, why),
        () = end_of(serving) => {
            shutdown(connection.as_mut());
            tokio::select! {
                ended = connection => ended,
                why = lags => return cut(serving, why),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn cut(serving: &Serving, why: Option<TurnedAway>) {
    if let Some(why) = why {
        serving.core.counters.count_turned_away(why);
    }
    tracing::debug!(?why, "a connection was cut");
}

/// When a connection is to take no further request.
async fn end_of(serving: &Serving) {
    if serving.service.outlives_drain() {
        return std::future::pending().await;
    }
    let mut stop = serving.core.stopped.clone();
    let _ = stop.wait_for(|stopped| *stopped).await;
    tokio::time::sleep(LAST_REQUEST_PATIENCE).await;
}
