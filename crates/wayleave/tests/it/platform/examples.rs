//! The examples, run as they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use wayleave_core::{Audience, Environment};

use super::{Client, put_catalogue};
use crate::harness::{TestNode, on_both_databases, root};

const PHP: &str = "WAYLEAVE_TEST_PHP";

/// Runs an example twice over: a demonstration is made and bought, with a card and without.
fn buys_a_demonstration(node: &TestNode, command: fn(&Path) -> Command) {
    let client = Client::new(node);
    let name = |place: usize| format!("Pier-{place}");
    for (place, state) in ["invoiced", "complete"].into_iter().enumerate() {
        let keys = client.keys();
        let done = command(&root().join("examples"))
            .args([&node.test_url, &keys.public_id, &keys.secret, &name(place)])
            .output()
            .expect("the example");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        assert!(done.status.success() && said.contains(state), "{said}");
        let is_demo = u8::from(state == "invoiced");
        assert_eq!(client.instance(&name(place))["isDemo"], is_demo);
        assert!(!said.contains(&keys.secret));
        client.save_card("pays");
    }
    put_catalogue(node.engine(Environment::Live));
    let keys = node.keys(Environment::Live, Audience::Platform);
    let live = Client::with(node, Environment::Live, keys);
    for route in ["/cloud", "/user/orders"] {
        assert_eq!(live.list(route, &[]).1, 0, "{route}");
    }
    let line = super::demo_line(&name(0));
    live.cart("/user/checkout", &json!([line])).expect(200);
}

fn script(examples: &Path) -> Command {
    Command::new(examples.join("platform.sh"))
}

fn php(examples: &Path) -> Command {
    let program = std::env::var_os(PHP).map_or_else(|| PathBuf::from("php"), PathBuf::from);
    let mut command = Command::new(program);
    command.arg(examples.join("php/platform.php"));
    command
}

on_both_databases! {
    fn curl_alone_buys_a_demonstration(node: TestNode) {
        buys_a_demonstration(&node, script);
    }

    fn a_php_client_buys_a_demonstration(node: TestNode) {
        if std::env::var_os(PHP).is_none() {
            eprintln!("left out: {PHP} is not set; cargo xtask test sets it");
            return;
        }
        buys_a_demonstration(&node, php);
    }
}
