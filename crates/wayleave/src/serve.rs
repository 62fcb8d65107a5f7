//! `wayleave serve`: a node from a configuration file.

use std::path::Path;
use std::sync::Arc;

use wayleave_core::Environment;
use wayleave_engine::{Operators, StoreRuntime};

use crate::config::Config;
use crate::node::{Node, NodeSettings, Running};
use crate::ports::{SystemClock, SystemRandomness};
use crate::supervisor::{Signals, Wish, notify};

type Failure = Box<dyn std::error::Error>;

/// Serves until the process is told to end. SIGHUP reads the file again.
pub(crate) fn serve(path: &Path) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let (settings, operators) = read(path)?;
    let store_runtime = StoreRuntime::start()?;
    let node = Node::open(
        settings,
        &store_runtime,
        Arc::new(SystemClock),
        Arc::new(SystemRandomness),
    )?;
    let addresses = describe(&node);
    let mut running = node.start(operators, Vec::new())?;
    for line in addresses {
        tracing::info!("{line}");
    }
    notify("READY=1");
    while signals.next() == Wish::Reload {
        reload(&mut running, path);
    }
    notify("STOPPING=1");
    tracing::info!("ending: requests in flight are answered first");
    running.stop();
    tracing::info!("ended");
    Ok(())
}

/// The settings and the operators, both checked.
fn read(path: &Path) -> Result<(NodeSettings, Operators), Failure> {
    Ok(Config::read(path)?.check()?)
}

/// Takes over what changed in the file; a wrong file changes nothing.
fn reload(running: &mut Running, path: &Path) {
    let reloaded = read(path).and_then(|(settings, operators)| {
        let needs_restart = running.reload(settings, operators)?;
        Ok(needs_restart)
    });
    match reloaded {
        Ok(needs_restart) => {
            tracing::info!("the configuration was read again and taken over");
            for key in needs_restart {
                tracing::warn!(key, "needs a restart: the old value stays until then");
            }
        }
        Err(error) => {
            tracing::error!(%error, "the configuration was read again and is wrong: the old settings stay");
        }
    }
}

/// What is served where, for the log.
fn describe(node: &Node) -> Vec<String> {
    let mut lines: Vec<String> = Environment::ALL
        .into_iter()
        .map(|environment| {
            let credentials = node.engine(environment).credential_count();
            let url = node.url(environment);
            format!("serving {environment} at {url}: {credentials} credentials")
        })
        .collect();
    lines.push(format!("serving the admin address {}", node.admin_url()));
    let monitor = node.monitor_url();
    lines.extend(monitor.map(|url| format!("serving the monitor address {url}")));
    lines
}
