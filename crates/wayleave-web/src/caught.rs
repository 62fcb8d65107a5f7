use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

/// A request whose handling panicked; the panic is in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Panicked;

/// How many panics were caught since the process started. One counter for the whole process: there
/// should be none, so nobody contends for it.
static CAUGHT: AtomicU64 = AtomicU64::new(0);

/// How many panics were caught since the process started.
pub fn panics_caught() -> u64 {
    CAUGHT.load(Ordering::Relaxed)
}

/// Runs a future and turns a panic of it into an error, so that one request is answered with 500
/// and nothing else ends. The future is pinned by the caller, so that it is not kept twice: futures of
/// requests are large, and are moved more than once.
pub async fn caught<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Result<T, Panicked> {
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(_) => {
                CAUGHT.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(Err(Panicked))
            }
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(caught(pin!(future)))
    }

    #[test]
    fn a_panic_becomes_an_error_and_a_value_stays_one() {
        assert_eq!(run(async { 7 }), Ok(7));
        let broken: [u8; 0] = [];
        let place = broken.len() + 3;
        let before = panics_caught();
        assert_eq!(run(async { broken[place] }), Err(Panicked));
        assert!(panics_caught() > before);
    }
}
