//! `wayleave serve`: a node from a configuration file.

use std::path::Path;
use std::sync::Arc;

use wayleave_core::Environment;
use wayleave_engine::StoreRuntime;

use crate::config::Config;
use crate::node::Node;
use crate::operators_file::OperatorsFile;
use crate::ports::{SystemClock, SystemRandomness};

/// Serves until the process is told to end.
pub(crate) fn serve(config: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::read(config)?;
    let settings = config.settings()?;
    let operators = OperatorsFile::at(config.operators_file()).operators()?;
    let store_runtime = StoreRuntime::start()?;
    let node = Node::open(
        settings,
        &store_runtime,
        Arc::new(SystemClock),
        Arc::new(SystemRandomness),
    )?;
    let served = Environment::ALL.map(|environment| {
        let credentials = node.engine(environment).credential_count();
        (environment, node.url(environment).to_owned(), credentials)
    });
    let admin = node.admin_url();
    let running = node.start(operators, Vec::new())?;
    for (environment, url, credentials) in served {
        tracing::info!(%environment, url, credentials, "serving");
    }
    tracing::info!(url = admin, "serving the admin address");
    wait_for_end()?;
    tracing::info!("ending: requests in flight are answered first");
    running.stop();
    Ok(())
}

/// Waits for SIGINT or SIGTERM.
pub(crate) fn wait_for_end() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
