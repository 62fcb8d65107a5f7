//! Serving one connection: TLS, the protocol, its limits and its end.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use wayleave_web::Connection;

use super::answer::answer;
use super::{Core, Service};
use crate::malformed::{Answering, WithRefusals};

/// A connection that waits for the head of a request at two of these looks, and got none between
/// them, is closed: so a head may take, and an idle connection is kept, 20 to 40 seconds. One timer
/// for each connection, set anew every 20 seconds, costs nothing; one for each request did.
const IDLE_LOOK_INTERVAL: Duration = Duration::from_secs(20);
/// The largest head of a request.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection waits for a last request after the end was asked for. Its answer says that
/// the connection closes, so that no client sends a request into a closing one.
const LAST_REQUEST_PATIENCE: Duration = Duration::from_millis(500);

pub(super) async fn serve_stream(
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
