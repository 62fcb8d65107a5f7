//! The API behind: it reads as strictly as can be, and knows what clients have asked for.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::strict::{self, Asked, Rest};

/// So many faults are told one by one.
const TOLD: usize = 20;

/// An API that answers every request with 200, until the process ends.
#[derive(Clone)]
pub(crate) struct StrictApi {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    /// What clients asked for, as hashes.
    asked: Mutex<HashSet<u64>>,
    requests: AtomicU64,
    faults: Mutex<Vec<String>>,
}

impl StrictApi {
    /// Starts it on a free port of this machine.
    pub(crate) fn start() -> std::io::Result<StrictApi> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let seen = Arc::<Seen>::default();
        let shared = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = shared.clone();
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        Ok(StrictApi { address, seen })
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Notes what a client is about to ask for.
    pub(super) fn expect(&self, requests: &[Asked]) {
        lock(&self.seen.asked).extend(requests.iter().map(hash));
    }

    /// How many whole requests have reached it.
    pub(super) fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// What reached it and nobody asked for, or what was no request.
    pub(super) fn faults(&self) -> Vec<String> {
        lock(&self.seen.faults).clone()
    }
}

/// What one thread noted stays good when it panics later.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash(asked: &Asked) -> u64 {
    let mut hasher = DefaultHasher::new();
    asked.hash(&mut hasher);
    hasher.finish()
}

impl Seen {
    fn note(&self, asked: &Asked) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let is_asked = lock(&self.asked).contains(&hash(asked));
        if !is_asked {
            let method = String::from_utf8_lossy(&asked.method);
            let target = String::from_utf8_lossy(&asked.target);
            let body = String::from_utf8_lossy(&asked.body);
            self.tell(format!("nobody asked for {method} {target} with {body:?}"));
        }
    }

    fn tell(&self, fault: String) {
        let mut faults = lock(&self.faults);
        if faults.len() < TOLD {
            faults.push(fault);
        }
    }
}

fn serve(mut stream: TcpStream, seen: &Seen) {
    let mut pending = Vec::new();
    let mut piece = [0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        pending.extend_from_slice(&piece[..count]);
        loop {
            match strict::next(&pending) {
                Ok((asked, length, _)) => {
                    pending.drain(..length);
                    seen.note(&asked);
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
                Err(Rest::Wrong(why)) => {
                    let text = String::from_utf8_lossy(&pending).into_owned();
                    seen.tell(format!("{why}: {text:?}"));
                    return;
                }
                Err(_) => break,
            }
        }
    }
}
