//! A few thousand malformed requests, made and judged by the code of `cargo xtask malformed`.

use wayleave_core::{Audience, Environment};
use wayleave_testkit::DatabaseKind;
use wayleave_web::Route;

use crate::harness::{TestNode, route};

#[path = "../../../xtask/src/malformed/kit/mod.rs"]
mod kit;

const CONNECTIONS: u64 = 4_000;

#[test]
fn malformed_requests_are_refused_and_nothing_else_of_them_is_passed_on() {
    let api = kit::StrictApi::start().expect("an API");
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        let surfaces = &mut settings.environments[0].surfaces;
        surfaces.routes = vec![Route {
            upstream: format!("http://{}", api.address()).parse().expect("an API"),
            ..route("/raw", &[Audience::Routes], "")
        }];
    });
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    let address = node.live.to_string();
    let trial = kit::Trial {
        node: address.parse().expect("an address"),
        good: kit::Good {
            host: address,
            path: "/raw".to_owned(),
            proof: format!("Bearer {token}"),
        },
        api,
        seed: 1,
    };
    let tally = trial.run(0..CONNECTIONS, 8);
    assert!(tally.faults.is_empty(), "{}", tally.faults.join("\n"));
    assert!(trial.is_well());
    // It does try both: what is refused, and what passes.
    let of = |status| tally.answers.get(&status).copied().unwrap_or_default();
    assert!(of(400) > CONNECTIONS / 10, "{:?}", tally.answers);
    assert!(of(200) > CONNECTIONS / 10, "{:?}", tally.answers);
    assert_eq!(tally.passed_on.max(of(200)), tally.passed_on);
}
