//! Clients that others wrote, unchanged, against the real binary on both databases; and the
//! seeds' own calls.

use std::path::PathBuf;
use std::process::Command;

use wayleave_testkit::DatabaseKind;

use crate::harness::{DemoProcess, root};

const PYTHON: &str = "WAYLEAVE_TEST_PYTHON";
const NODE: &str = "WAYLEAVE_TEST_NODE_DIR";
const PHP: &str = "WAYLEAVE_TEST_PHP";
// Clients of the content APIs that cannot be installed like the others: whoever has one names its folder.
const IMONEZA_PHP: &str = "WAYLEAVE_TEST_IMONEZA_PHP";
const IMONEZA_PLUGIN: &str = "WAYLEAVE_TEST_IMONEZA_PLUGIN";

fn clients() -> PathBuf {
    root().join("crates/wayleave/tests/clients")
}

fn is_there(variable: &str) -> bool {
    let there = std::env::var_os(variable).is_some();
    if !there {
        let by = match variable {
            IMONEZA_PHP | IMONEZA_PLUGIN => "docs/content.md says what it names",
            _ => "cargo xtask test sets it",
        };
        eprintln!("left out: {variable} is not set; {by}");
    }
    there
}

fn run(mut command: Command, kind: DatabaseKind) {
    if !kind.is_available() {
        return;
    }
    let demo = DemoProcess::start(kind);
    // Some clients also judge what the command line signs.
    command.env("WAYLEAVE_BINARY", env!("CARGO_BIN_EXE_wayleave"));
    check(command.arg(demo.json_path()));
}

fn check(command: &mut Command) {
    let done = command.output().expect("the client");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "{said}");
    assert!(
        said.lines().filter(|line| line.starts_with("ok")).count() > 10,
        "{said}"
    );
}

/// Runs a Python client with a file that tells it whom to call and how.
pub(crate) fn python_case(script: &str, case: &serde_json::Value) {
    if !is_there(PYTHON) {
        return;
    }
    let folder = wayleave_testkit::TestFolder::new();
    let file = folder.path().join("case.json");
    std::fs::write(&file, case.to_string()).expect("written");
    let mut command = Command::new(std::env::var_os(PYTHON).expect("the variable"));
    command.arg("-B").arg(clients().join("python").join(script));
    check(command.arg(file));
}

fn python(script: &str, kind: DatabaseKind) {
    if is_there(PYTHON) {
        let mut command = Command::new(std::env::var_os(PYTHON).expect("the variable"));
        command.arg("-B").arg(clients().join("python").join(script));
        run(command, kind);
    }
}

fn node(script: &str, kind: DatabaseKind) {
    if is_there(NODE) {
        let mut command = Command::new("node");
        command.arg(clients().join("node").join(script));
        run(command, kind);
    }
}

/// `folder`: the variable that says where the client is.
fn php(script: &str, folder: &str, kind: DatabaseKind) {
    if is_there(folder) && is_there(PHP) {
        let mut command = Command::new(std::env::var_os(PHP).expect("the variable"));
        command.arg(clients().join("php").join(script));
        command.arg(std::env::var_os(folder).expect("the variable"));
        run(command, kind);
    }
}

fn imoneza_php(script: &str, kind: DatabaseKind) {
    php(script, IMONEZA_PHP, kind);
}

fn imoneza_plugin(script: &str, kind: DatabaseKind) {
    php(script, IMONEZA_PLUGIN, kind);
}

macro_rules! clients {
    ($($name:ident: $runner:ident $script:literal;)*) => {
        $(mod $name {
            use super::*;

            #[test]
            fn on_sqlite() {
                $runner($script, DatabaseKind::Sqlite);
            }

            #[test]
            fn on_postgres() {
                $runner($script, DatabaseKind::Postgres);
            }
        })*
    };
}

clients! {
    authlib: python "authlib_client.py";
    requests_oauthlib: python "requests_oauthlib_client.py";
    pyjwt: python "pyjwt_client.py";
    an_independent_signer: python "signed_client.py";
    http_message_signatures_of_pypi: python "message_signatures.py";
    http_message_signatures_of_npm: node "message_signatures.mjs";
    the_seeds_own_calls: python "seed_calls.py";
    the_php_client_of_the_content_apis: imoneza_php "imoneza_client.php";
    the_plugin_of_the_content_apis: imoneza_plugin "imoneza_plugin.php";
    openid_client: node "openid_client.mjs";
    oauth4webapi: node "oauth4webapi_client.mjs";
}
