use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};

/// The one runtime on which all store I/O happens.
///
/// Cheap to clone; the runtime ends when the last clone is dropped.
#[derive(Clone)]
pub struct StoreRuntime {
    runtime: Arc<Owned>,
}

/// Ends the runtime without waiting, so that the last owner may be dropped anywhere, also inside
/// another runtime.
struct Owned(Option<Runtime>);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl StoreRuntime {
    /// Starts it with one thread: the drivers do their waiting elsewhere.
    pub fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("wayleave-store")
            .enable_all()
            .build()?;
        Ok(StoreRuntime {
            runtime: Arc::new(Owned(Some(runtime))),
        })
    }

    /// Where tasks of the store, and background jobs on its data, are spawned.
    pub fn handle(&self) -> &Handle {
        match &self.runtime.0 {
            Some(runtime) => runtime.handle(),
            None => unreachable!("taken only when dropped"),
        }
    }
}
