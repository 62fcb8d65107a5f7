//! Routes that take a signature without a nonce once, and never again.

use std::thread;

use wayleave::node::NodeSettings;
use wayleave_core::{Audience, Environment};
use wayleave_engine::Operators;
use wayleave_testkit::{Address, Call, DatabaseKind};

use crate::aws_sigv4;
use crate::described_schemes::{self, Sent, add_routes};
use crate::harness::{Keys, NOW_S, TestNode};
use crate::storage::open_beside;

const LIVE: Environment = Environment::Live;

/// `/hello` and `/acme` take a signature once; `/bare` and all other routes take it again.
fn refuse_replays(settings: &mut NodeSettings) {
    add_routes(settings);
    for environment in &mut settings.environments {
        for route in &mut environment.surfaces.routes {
            route.refuses_replays = ["/hello", "/acme"].contains(&route.path.as_str());
        }
    }
}

fn on_each_database(check: impl Fn(TestNode)) {
    for kind in [DatabaseKind::Sqlite, DatabaseKind::Postgres] {
        if kind.is_available() {
            check(TestNode::start_with(kind, refuse_replays));
        }
    }
}

fn sigv4(node: &TestNode, keys: &Keys, unix_s: i64) -> Call {
    aws_sigv4::signed(node.live, keys, ("GET", "/hello"), &[], unix_s)
}

/// A request that is signed by four lines.
fn signed(address: Address, keys: &Keys, target: &str, unix_s: i64) -> Call {
    let headers = keys.signer().headers("GET", "/hello", unix_s);
    headers
        .iter()
        .fold(address.get(target), |call, (name, value)| {
            call.header(name, value)
        })
}

/// The same as another proxy asks about it.
fn asked(address: Address, call: &Call, target: &str) -> u16 {
    let question = address
        .get("/auth/check")
        .header("X-Forwarded-Method", "GET")
        .header("X-Forwarded-Uri", target);
    let headers = call.headers().iter();
    let question = headers.fold(question, |question, (name, value)| {
        question.header(name, value)
    });
    question.send().status
}

#[test]
fn a_signature_of_each_scheme_passes_once() {
    on_each_database(|node| {
        let four_lines = node.keys(LIVE, Audience::Management);
        let described = described_schemes::keys(&node, LIVE);
        let aws = aws_sigv4::keys(&node, LIVE);
        let order = Sent::post("acme", "/acme/orders", b"{\"pages\":12}");
        let calls = |unix_s: i64| {
            let order = Sent { unix_s, ..order };
            [
                sigv4(&node, &aws, unix_s),
                signed(node.live, &four_lines, "/hello", unix_s),
                order.call(node.live, &described),
            ]
        };
        for call in calls(NOW_S).into_iter().chain(calls(NOW_S - 1)) {
            call.clone().send().expect(200);
            call.clone().send().expect(401);
            node.clock.set(NOW_S + 200);
            call.send().expect(401);
            node.clock.set(NOW_S);
        }
        // Another's signature over the same is another one, and elsewhere each may come again.
        let others = aws_sigv4::keys(&node, LIVE);
        sigv4(&node, &others, NOW_S).send().expect(200);
        let again = Sent::get("bare", "/bare").call(node.live, &described);
        again.clone().send().expect(200);
        again.send().expect(200);
    });
}

#[test]
fn what_is_not_proven_uses_nothing_up_and_a_question_does() {
    on_each_database(|node| {
        let keys = aws_sigv4::keys(&node, LIVE);
        let call = sigv4(&node, &keys, NOW_S);
        // The signature over another method does not fit.
        call.clone().method("DELETE").send().expect(401);
        call.clone().send().expect(200);
        let four_lines = node.keys(LIVE, Audience::Management);
        let call = signed(node.live, &four_lines, "/hello", NOW_S);
        assert_eq!(asked(node.live, &call, "/hello"), 204);
        assert_eq!(asked(node.live, &call, "/hello"), 401);
        call.send().expect(401);
    });
}

#[test]
fn of_many_at_once_one_passes() {
    on_each_database(|node| {
        let keys = aws_sigv4::keys(&node, LIVE);
        for unix_s in NOW_S - 5..NOW_S {
            let call = sigv4(&node, &keys, unix_s);
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let call = call.clone();
                    thread::spawn(move || call.send().status)
                })
                .collect();
            let statuses = threads.into_iter().map(|thread| thread.join());
            let statuses: Vec<u16> = statuses.map(|status| status.expect("a status")).collect();
            let passed = statuses.iter().filter(|status| **status == 200).count();
            assert_eq!(passed, 1, "{statuses:?}");
        }
    });
}

#[test]
fn after_a_restart_nothing_from_before_passes_again() {
    on_each_database(|node| {
        let mut node = node;
        let keys = described_schemes::keys(&node, LIVE);
        // Of these the host is not signed, so that they are for the node at its next port too.
        let sent = |path: &'static str, scheme: &'static str, unix_s: i64| Sent {
            unix_s,
            ..Sent::get(scheme, path)
        };
        let once = [NOW_S - 100, NOW_S, NOW_S + 200].map(|at| sent("/acme", "acme", at));
        let often = sent("/bare", "bare", NOW_S);
        for one in once.iter().chain([&often]) {
            one.call(node.live, &keys).send().expect(200);
        }
        node.restart();
        for later in [0, 1, 150, 199] {
            node.clock.set(NOW_S + later);
            for one in &once {
                one.call(node.live, &keys).send().expect(401);
            }
            often.call(node.live, &keys).send().expect(200);
        }
        let fresh = sent("/acme", "acme", NOW_S + 150);
        fresh.call(node.live, &keys).send().expect(200);
        fresh.call(node.live, &keys).send().expect(401);
    });
}

#[test]
fn two_nodes_take_a_signature_once_between_them() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let node = TestNode::start_with(DatabaseKind::Postgres, refuse_replays);
    let other = open_beside(&node, |_| {}).expect("a second node");
    let second = Address::at(other.address(LIVE));
    let running = other.start(Operators::default(), Vec::new());
    let running = running.expect("it serves");
    let keys = described_schemes::keys(&node, LIVE);
    // Unknown keys are looked for again at most every 100 ms of the clock.
    node.clock.advance(std::time::Duration::from_millis(200));
    let at = |unix_s| Sent {
        unix_s,
        ..Sent::get("acme", "/acme")
    };
    let [one, two] = [NOW_S, NOW_S - 1].map(|unix_s| at(unix_s).call(node.live, &keys));
    one.clone().send().expect(200);
    assert_eq!(asked(second, &one, "/acme"), 401);
    assert_eq!(asked(second, &two, "/acme"), 204);
    assert_eq!(asked(second, &two, "/acme"), 401);
    two.send().expect(401);
    running.stop();
}

#[test]
fn the_configuration_says_it_for_each_route() {
    let route = |replay: &str| {
        format!(
            "[[route]]\npath = \"/a\"\naudiences = [\"routes\"]\nschemes = [\"aws-sigv4\"]\n{replay}\
             upstream = {{ live = \"http://127.0.0.1:9000\" }}\n"
        )
    };
    let refuses = |replay: &str| {
        let settings = described_schemes::settings(&route(replay));
        settings.map(|settings| settings.environments[0].surfaces.routes[0].refuses_replays)
    };
    assert_eq!(refuses(""), Ok(false));
    assert_eq!(refuses("replay = \"allow\"\n"), Ok(false));
    assert_eq!(refuses("replay = \"refuse\"\n"), Ok(true));
    let wrong = refuses("replay = \"deny\"\n").expect_err("it is refused");
    assert!(wrong.contains("refuse"), "{wrong}");
}
