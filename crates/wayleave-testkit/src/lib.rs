//! What the tests share: a raw HTTP client, a signing actor, a frozen clock, databases.
//!
//! Everything here is blunt: a test that cannot go on panics and says why.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod clock;
mod database;
mod http;
mod message_signer;
mod signer;

pub use clock::FrozenClock;
pub use database::{DatabaseKind, RawSql, TakenAway, TestDatabases};
pub use http::{Address, Answer, Call};
pub use message_signer::MessageSigner;
pub use signer::Signer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes when the test ends.
#[derive(Debug)]
pub struct TestFolder(PathBuf);

impl TestFolder {
    /// A new empty folder.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wayleave-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        TestFolder(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for TestFolder {
    fn default() -> Self {
        TestFolder::new()
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
