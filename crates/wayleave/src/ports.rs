//! Where the clock and the randomness of the operating system enter (law 8), and what it knows of names of
//! hosts. One library has its own: aws-lc-rs takes the randomness of signatures and of new signing keys.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wayleave_core::Timestamp;
use wayleave_engine::{Clock, HostNames, Randomness};
use wayleave_store::BoxFuture;

use crate::hooks::is_public;

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where the clock enters"
        )]
        let now = SystemTime::now();
        let micros = match now.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            // A clock before 1970 is wrong; every token is then expired and no signature fresh.
            Err(_) => 0,
        };
        Timestamp::from_micros(micros)
    }

    fn steady_ns(&self) -> u64 {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where the clock enters"
        )]
        let now = Instant::now();
        let since = now.duration_since(*FIRST.get_or_init(|| now));
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The random bytes of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where randomness enters"
        )]
        let filled = aws_lc_rs::rand::fill(bytes);
        // Without randomness no secret can be made; going on would make guessable ones.
        filled.expect("the operating system gives random bytes");
    }
}

/// The names that the resolver of this machine finds, with its servers and its patience.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

impl HostNames for SystemNames {
    fn name_of(&self, ip: IpAddr) -> BoxFuture<'_, Result<Option<String>, String>> {
        Box::pin(async move {
            // Of a network of somebody's own the names are nobody else's business.
            if !is_public(ip) {
                return Ok(None);
            }
            let found = tokio::task::spawn_blocking(move || name_of(ip)).await;
            found.map_err(|error| error.to_string())?
        })
    }

    fn addresses_of<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, String>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await;
            let found = found.map_err(|error| error.to_string())?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// The name of an address. The system gives the address itself as a text where there is none.
fn name_of(ip: IpAddr) -> Result<Option<String>, String> {
    let found = dns_lookup::getnameinfo(&SocketAddr::new(ip, 0), 0);
    let (name, _) = found.map_err(|error| std::io::Error::from(error).to_string())?;
    Ok(name.parse::<IpAddr>().is_err().then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_its_own_name_and_tells_nobody_of_addresses_inside() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert!(matches!(name_of(loopback), Ok(Some(_))));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        assert_eq!(runtime.block_on(SystemNames.name_of(loopback)), Ok(None));
        let own = runtime.block_on(SystemNames.addresses_of("localhost"));
        assert!(own.expect("its own address").contains(&loopback));
    }
}
