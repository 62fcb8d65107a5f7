//! One signed request (RFC 9421) sent ten thousand times at once, byte for byte the same: its nonce
//! counts once.

use std::collections::BTreeMap;
use std::time::Duration;

use wayleave_core::{Audience, Environment};
use wayleave_testkit::{Address, Call, DatabaseKind};
use wayleave_web::Route;

use crate::harness::{Keys, TestNode, route};
use crate::keep_alive::repeated_from_all_sides;
use crate::raw_upstream::RawUpstream;
use crate::serving::eventually;
use crate::storage::open_beside;

const LIVE: Environment = Environment::Live;
const HOST: &str = "api.example.com";
const TARGET: &str = "/once?order=7";
const TIMES: usize = 10_000;

/// A node that passes `/once` on.
fn node(kind: DatabaseKind, behind: &RawUpstream) -> TestNode {
    TestNode::start_with(kind, |settings| {
        let surfaces = &mut settings.environments[0].surfaces;
        surfaces.authorities.add(HOST);
        surfaces.routes.push(Route {
            upstream: behind.upstream(),
            ..route("/once", &[Audience::Routes], "")
        });
    })
}

/// Somebody's request with a new nonce, for the name that all nodes have.
fn signed(keys: &Keys, address: Address) -> Call {
    let mut signer = keys.message_signer();
    signer.authority = Some(HOST.to_owned());
    signer.get(address, TARGET).header("Host", HOST)
}

/// The request as it is sent again and again.
fn text(call: &Call) -> String {
    let lines = call.headers().iter();
    let lines: String = lines
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("GET {TARGET} HTTP/1.1\r\n{lines}\r\n")
}

fn one_passes(keys: &Keys, addresses: &[Address], behind: &RawUpstream) {
    let before = behind.requests();
    let request = text(&signed(keys, addresses[0]));
    let statuses = repeated_from_all_sides(addresses, &request, TIMES);
    assert_eq!(statuses, BTreeMap::from([(200, 1), (401, TIMES - 1)]));
    assert_eq!(behind.requests() - before, 1);
}

#[test]
fn of_ten_thousand_equal_requests_one_passes_on_sqlite() {
    let behind = RawUpstream::start();
    let node = node(DatabaseKind::Sqlite, &behind);
    one_passes(&node.signing_keys(LIVE), &[node.live], &behind);
}

#[test]
fn of_ten_thousand_equal_requests_one_passes_on_postgres() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let behind = RawUpstream::start();
    let node = node(DatabaseKind::Postgres, &behind);
    one_passes(&node.signing_keys(LIVE), &[node.live], &behind);
}

#[test]
fn of_ten_thousand_equal_requests_to_two_nodes_one_passes() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let behind = RawUpstream::start();
    let node = node(DatabaseKind::Postgres, &behind);
    let other = open_beside(&node, |_| {}).expect("a second node");
    let address = Address::at(other.address(LIVE));
    let _running = other
        .start(wayleave_engine::Operators::default(), Vec::new())
        .expect("it serves");
    let keys = node.signing_keys(LIVE);
    eventually("the other node knows the credential", || {
        node.clock.advance(Duration::from_millis(200));
        signed(&keys, address).send().status == 200
    });
    one_passes(&keys, &[node.live, address], &behind);
}
