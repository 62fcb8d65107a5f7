//! An engine without a node round it, on the test database of a node that was halted: it can be dropped at
//! any moment, as a crash would end it.

use std::sync::Arc;
use std::time::Duration;

use wayleave::key_file::open_vault;
use wayleave::ports::SystemRandomness;
use wayleave_core::Environment;
use wayleave_engine::{
    Algorithm, Clock as _, Engine, EngineSettings, Outside, Store, StoreError, StoreRuntime,
};

use crate::harness::TestNode;
use crate::shop::wait;

/// An engine that runs, until it is dropped.
pub(crate) struct BareEngine {
    pub(crate) engine: Arc<Engine>,
    _runtime: StoreRuntime,
}

impl BareEngine {
    /// Opens one. One that has just ended may hold the file for a moment longer.
    pub(crate) fn open(node: &TestNode, outside: impl Fn() -> Outside) -> Self {
        for _ in 0..400 {
            match wait(try_open(node, outside())) {
                Ok(open) => return open,
                Err(StoreError::InUse { .. }) => std::thread::sleep(Duration::from_millis(10)),
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the file is still in use");
    }
}

async fn try_open(node: &TestNode, outside: Outside) -> Result<BareEngine, StoreError> {
    let settings = &node.settings().environments[1];
    let environment = Environment::Test;
    let runtime = StoreRuntime::start().expect("a runtime");
    let clock = node.clock.clone();
    let store = Store::open(&runtime, &settings.database, environment, clock.now()).await?;
    let vault = open_vault(&settings.master_key, false, &SystemRandomness).expect("a vault");
    let settings = EngineSettings {
        environment,
        issuer: "https://test.example.com".to_owned(),
        algorithm: Algorithm::Es256,
        wrong_secrets_per_minute: None,
        refuses_replays: false,
    };
    let ports = (clock as Arc<_>, Arc::new(SystemRandomness) as Arc<_>);
    let engine = Engine::open_with(settings, store, vault, ports, outside).await;
    Ok(BareEngine {
        engine: engine.expect("an engine"),
        _runtime: runtime,
    })
}
