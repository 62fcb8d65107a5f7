//! The real binary, killed while readers use up a quota: what was given is stored, and no more.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use wayleave_testkit::{Address, DatabaseKind};

use super::*;
use crate::harness::binary;

const ALLOWED: usize = 40;
const PAGES: usize = 200;

/// The real binary on the data of a node that was halted.
fn serve(paper: &Paper) -> (Child, Address) {
    let file = paper.site.node.config_file();
    let mut text = std::fs::read_to_string(&file).expect("the configuration");
    text += "[surfaces.content]\nenabled = true\n";
    std::fs::write(&file, &text).expect("written");
    let test = text
        .split("[test]\naddress = \"")
        .nth(1)
        .expect("an address");
    let address = test.split('"').next().expect("its end");
    let mut command = binary();
    command.arg("serve").arg("--config").arg(&file);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let address_of = format!("http://{address}");
    for _ in 0..400 {
        if std::net::TcpStream::connect(address).is_ok() {
            return (child.expect("the binary"), Address::of(&address_of));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("it does not serve");
}

/// Asks for pages, one after another, until nobody answers any more; notes what was granted.
fn ask_until_killed(
    paper: &Paper,
    (address, first): (Address, usize),
    token: &str,
    granted: &Mutex<BTreeSet<usize>>,
) {
    for number in (first..PAGES).step_by(4) {
        let target = format!(
            "/api/Resource/{}/P{}?UserToken={}",
            paper.site.access.public_id,
            10_000 + number,
            escaped(token)
        );
        let signer = paper.site.access.signer();
        let call = signer.call(address, "GET", &target, paper.site.now_s());
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call.send()));
        let Ok(answer) = answered else { return };
        if answer.status == 200 && answer.json()["AccessAction"] == "Grant" {
            granted.lock().expect("a list").insert(number);
        }
    }
}

/// Kills it once so many pages were given.
fn check(kind: DatabaseKind, after: usize) {
    let mut paper = Paper::open_with(TestNode::start_now(kind), |settings| {
        settings["quota"]["allowed"] = json!(ALLOWED);
    });
    at_once::add_pages(&mut paper, PAGES);
    let token = paper.token_of(&paper.reader("areader"));
    paper.site.node.halt();
    let (mut child, address) = serve(&paper);
    let granted = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for first in 0..4 {
            let (paper, token, granted) = (&paper, token.as_str(), &granted);
            scope.spawn(move || ask_until_killed(paper, (address, first), token, granted));
        }
        for _ in 0..5_000 {
            if granted.lock().expect("a list").len() >= after {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("killed");
    });
    child.wait().expect("its end");
    paper.site.node.start_again();
    let granted = granted.into_inner().expect("a list");
    assert!(granted.len() >= after, "{granted:?}");
    for number in &granted {
        let object = paper.ask(&format!("P{}", 10_000 + number), &token);
        assert_eq!(
            object["AccessReason"], "Quota",
            "page {number} was given and is lost"
        );
    }
    for number in 0..PAGES {
        paper.ask(&format!("P{}", 10_000 + number), &token);
    }
    let database = paper.site.node.database(paper.site.environment);
    let counted = database.run("SELECT COUNT(DISTINCT resource_id) FROM reader_hit");
    assert_eq!(counted.trim(), ALLOWED.to_string());
}

#[test]
fn a_killed_node_has_stored_what_it_gave_on_sqlite() {
    for after in [3, 25] {
        check(DatabaseKind::Sqlite, after);
    }
}

#[test]
fn a_killed_node_has_stored_what_it_gave_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        check(DatabaseKind::Postgres, 10);
    }
}
