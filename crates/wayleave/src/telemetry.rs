//! The log: lines go to a bounded buffer that one thread writes, so that a slow terminal slows no
//! request down; lines that find the buffer full are dropped.

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt;

/// How many lines may wait.
const WAITING_LINES: usize = 8_192;

/// Starts logging to standard error. The log ends when the guard is dropped.
pub fn start(verbose: bool) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .finish(std::io::stderr());
    let level = if verbose {
        tracing::Level::DEBUG
    } else {
        tracing::Level::INFO
    };
    // A second start, as in tests, keeps the first.
    let _ = fmt()
        .with_writer(writer)
        .with_max_level(level)
        .with_target(false)
        .with_ansi(false)
        .try_init();
    guard
}
