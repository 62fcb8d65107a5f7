//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use wayleave_web::TrustedProxies;

use super::limits::ServerLimits;
use crate::metrics::TurnedAway;

/// Counts the connections to the environments, over all cores.
/// Only accepting and closing wait for its lock, never a request.
#[derive(Debug)]
pub struct Gate {
    most: usize,
    most_of_peer: usize,
    trusted: ArcSwap<TrustedProxies>,
    open: AtomicUsize,
    networks: Mutex<HashMap<IpAddr, usize>>,
}

impl Gate {
    /// A gate with the numbers of the limits. `trusted`: whose connections are counted in all, but
    /// not by address.
    pub fn new(limits: &ServerLimits, trusted: TrustedProxies) -> Arc<Self> {
        let any_or = |limit: usize| if limit == 0 { usize::MAX } else { limit };
        Arc::new(Gate {
            most: any_or(limits.connections),
            most_of_peer: any_or(limits.connections_per_peer),
            trusted: ArcSwap::from_pointee(trusted),
            open: AtomicUsize::new(0),
            networks: Mutex::default(),
        })
    }

    /// Other proxies are trusted from now on.
    pub fn trust(&self, trusted: TrustedProxies) {
        self.trusted.store(Arc::new(trusted));
    }

    /// Lets a connection in. Errors: there are enough.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Entry, TurnedAway> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(TurnedAway::Connections);
        }
        let mut entry = Entry {
            gate: self.clone(),
            network: None,
        };
        let peer = peer.to_canonical();
        if self.most_of_peer < usize::MAX && !self.trusted.load().trusts(peer) {
            let network = network(peer);
            let mut networks = self.networks.lock();
            let count = networks.entry(network).or_default();
            if *count >= self.most_of_peer {
                drop(networks);
                return Err(TurnedAway::ConnectionsOfPeer);
            }
            *count += 1;
            entry.network = Some(network);
        }
        Ok(entry)
    }
}

/// A connection that was let in, until it is dropped.
pub(super) struct Entry {
    gate: Arc<Gate>,
    /// Where it is counted.
    network: Option<IpAddr>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Ordering::Relaxed);
        let Some(network) = self.network else {
            return;
        };
        let mut networks = self.gate.networks.lock();
        if let Some(count) = networks.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                networks.remove(&network);
            }
        }
    }
}

/// Whom an address stands for: one host has 64 bits of IPv6 to choose from.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: usize, connections_per_peer: usize) -> Arc<Gate> {
        let limits = ServerLimits {
            connections,
            connections_per_peer,
            ..ServerLimits::default()
        };
        let trusted = TrustedProxies::parse(&["10.0.0.0/8"]).expect("a network");
        Gate::new(&limits, trusted)
    }

    fn enter(gate: &Arc<Gate>, peer: &str) -> Result<Entry, TurnedAway> {
        gate.enter(peer.parse().expect("an address"))
    }

    #[test]
    fn a_peer_has_its_number_and_gets_it_back() {
        let gate = gate(100, 2);
        let one = enter(&gate, "192.0.2.1").expect("a place");
        let _other = enter(&gate, "::ffff:192.0.2.1").expect("a place");
        let refused = enter(&gate, "192.0.2.1").err();
        assert_eq!(refused, Some(TurnedAway::ConnectionsOfPeer));
        enter(&gate, "192.0.2.2").expect("another peer");
        drop(one);
        enter(&gate, "192.0.2.1").expect("a place again");
        assert_eq!(gate.open.load(Ordering::Relaxed), 1);
        assert_eq!(gate.networks.lock().len(), 1, "nothing is kept of who left");
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer_and_a_trusted_proxy_is_none() {
        let gate = gate(4, 1);
        let _one = enter(&gate, "2001:db8:1:2::1").expect("a place");
        assert!(enter(&gate, "2001:db8:1:2:ffff::9").is_err());
        let _two = enter(&gate, "2001:db8:1:3::1").expect("a place");
        let _three = enter(&gate, "10.1.1.1").expect("a place");
        let _four = enter(&gate, "10.1.1.1").expect("a place");
        let refused = enter(&gate, "10.1.1.1").err();
        assert_eq!(
            refused,
            Some(TurnedAway::Connections),
            "in all there are four"
        );
    }
}
