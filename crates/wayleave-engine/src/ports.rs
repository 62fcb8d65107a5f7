use std::net::IpAddr;

use wayleave_core::Timestamp;
use wayleave_store::BoxFuture;

/// Tells the time. Everything in one environment reads one clock.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Nanoseconds since some moment. It only goes forward, and setting the clock does not change it.
    fn steady_ns(&self) -> u64;
}

/// Gives random bytes fit for secrets.
pub trait Randomness: Send + Sync {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Asks DNS for names and addresses of hosts.
pub trait HostNames: Send + Sync {
    /// The name of an address; `None`: it has none. Errors: DNS does not answer, for people.
    fn name_of(&self, ip: IpAddr) -> BoxFuture<'_, Result<Option<String>, String>>;

    /// The addresses of a name; none where it has none. Errors: likewise.
    fn addresses_of<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, String>>;
}

/// An array of random bytes.
pub(crate) fn random<const N: usize>(randomness: &dyn Randomness) -> [u8; N] {
    let mut bytes = [0; N];
    randomness.fill(&mut bytes);
    bytes
}
