//! A connection that has switched to WebSocket: bytes pass both ways until it ends.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use wayleave_proxy::Tunnel;
use wayleave_web::RequestBody;

use super::connection::LAST_REQUEST_PATIENCE;

/// Passes bytes between a client and a server behind once the client has its answer. When the node
/// ends, so does this: nobody knows how long it would go on.
pub(super) async fn relay(
    tunnel: Tunnel<RequestBody>,
    client: OnUpgrade,
    mut stopped: watch::Receiver<bool>,
) {
    let relaying = async {
        match client.await {
            Ok(client) => tunnel.relay(TokioIo::new(client)).await,
            Err(error) => Err(std::io::Error::other(error)),
        }
    };
    tokio::select! {
        relayed = relaying => if let Err(error) = relayed {
            tracing::debug!(%error, "a WebSocket broke");
        },
        () = async {
            let _ = stopped.wait_for(|stopped| *stopped).await;
            tokio::time::sleep(LAST_REQUEST_PATIENCE).await;
        } => {}
    }
}
