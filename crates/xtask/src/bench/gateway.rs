//! Proxies that check a signature and pass the request on, ours and others', before the same API.

use std::collections::BTreeMap;

use super::fill;
use super::memory;
use super::options::Options;
use super::peers::Peers;
use super::report::Once;
use super::rounds::{Rounds, Stand, Visits};
use super::scratch::{Scratch, Server};
use super::servers::{self, Places};
use super::serving;
use super::target::{Phase, Target};
use super::workload::Workload;
use super::wrk::Wrk;

/// A running proxy and where it listens.
struct Front<'s, 'a> {
    server: &'s Server<'a>,
    address: String,
    /// The Wayleave that it asks.
    asks: Option<&'s Server<'a>>,
}

/// Starts all that takes part and visits it; then sends a million requests through Wayleave and
/// looks at its memory.
pub(super) fn measure(
    options: &Options,
    places: &Places,
    wrk: &Wrk,
) -> Result<(Visits, Vec<Once>), String> {
    let targets = options.targets_of(Phase::Gateway);
    if targets.is_empty() {
        return Ok((Visits::new(), Vec::new()));
    }
    let scratch = Scratch::below(&places.build, "bench")?;
    let mut peers = Peers::ready(places, &scratch)?;
    let upstream = peers.port("ADDRESS")?;
    peers.set("UPSTREAM", upstream.clone());
    let _api = peers.nginx("upstream.conf", &upstream)?;
    let (wayleave, demo) = serving::start(places, &scratch, "gateway", &upstream, None)?;
    peers.set("WAYLEAVE", demo.test.address().to_owned());
    let (ceiling, ceiling_address) = servers::start_ceiling(places, &scratch)?;
    eprintln!(
        "bench: making {} credentials of two kinds",
        options.credentials
    );
    let kinds = ["management", fill::MESSAGE_SIGNERS];
    let [keys, signers] = fill::credentials(&demo, &kinds, options.credentials)?
        .try_into()
        .map_err(|_| "not two kinds of credentials")?;
    peers.write_keys(&keys)?;

    let ports = [
        "PLAIN",
        "LUA",
        "ASKING",
        "HAPROXY",
        "CADDYPLAIN",
        "CADDYASKING",
    ];
    let mut addresses = BTreeMap::new();
    for name in ports {
        addresses.insert(name, peers.port(name)?);
    }
    let nginx = peers.nginx("nginx.conf", &addresses["PLAIN"])?;
    let haproxy = peers.haproxy(&addresses["HAPROXY"])?;
    let caddy = peers.caddy(&addresses["CADDYPLAIN"])?;

    let front = |target| {
        let (server, address, asks) = match target {
            Target::GatewayCeiling => (&ceiling, &*ceiling_address, None),
            Target::GatewayNginx => (&nginx, &*addresses["PLAIN"], None),
            Target::GatewayLua => (&nginx, &*addresses["LUA"], None),
            Target::GatewayAuthRequest => (&nginx, &*addresses["ASKING"], Some(&wayleave)),
            Target::GatewayHaproxy => (&haproxy, &*addresses["HAPROXY"], None),
            Target::GatewayCaddy => (&caddy, &*addresses["CADDYPLAIN"], None),
            Target::GatewayCaddyAsking => (&caddy, &*addresses["CADDYASKING"], Some(&wayleave)),
            _ => (&wayleave, demo.test.address(), None),
        };
        Front {
            server,
            address: address.to_owned(),
            asks,
        }
    };
    let mut stands = BTreeMap::new();
    for target in targets.iter().copied() {
        let Front {
            server,
            address,
            asks,
        } = front(target);
        let file = scratch.path(&format!("{}.requests", target.name()));
        let keys = if target.is_proxy() { &keys } else { &signers };
        let workload = Workload::new(target, &address, file, keys.clone(), None)?;
        let stand = Stand {
            server,
            asks,
            workload,
        };
        stands.insert(target, stand);
    }
    let mut rounds = Rounds {
        options,
        places,
        wrk,
        targets,
        stands,
    };
    let visits = rounds.run()?;
    let grown = match rounds.stands.get_mut(&Target::GatewayWayleave) {
        Some(stand) => vec![memory::growth(options, wrk, stand)?],
        None => Vec::new(),
    };
    Ok((visits, grown))
}
