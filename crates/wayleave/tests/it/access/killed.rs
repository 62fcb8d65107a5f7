//! The real binary, killed while readers use up a quota or sign in: what was given is stored, and no more.

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
pub(crate) fn serve(node: &TestNode) -> (Child, Address) {
    let file = node.config_file();
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
    let (mut child, address) = serve(&paper.site.node);
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

/// How many tokens are redeemed around each kill.
const TOKENS: usize = 40;

/// Redeems tokens, one after another, until nobody answers any more; notes which let the reader in.
fn redeem_until_killed(
    paper: &Paper,
    (address, first): (Address, usize),
    tokens: &[String],
    known: &Mutex<BTreeSet<usize>>,
) {
    for number in (first..TOKENS).step_by(8) {
        let target = format!(
            "/api/TemporaryUserToken/{}/{}?ResourceKey=Story-2",
            paper.site.access.public_id, tokens[number]
        );
        let signer = paper.site.access.signer();
        let call = signer.call(address, "GET", &target, paper.site.now_s());
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call.send()));
        let Ok(answer) = answered else { return };
        assert_eq!(answer.json()["UserName"], "areader");
        known.lock().expect("a list").insert(number);
    }
}

/// Kills it once so many tokens were redeemed; no token counts twice, and who signs in anew has what they
/// had.
fn kill_while_signing_in(paper: &mut Paper, reader: &str, after: usize) {
    let tokens: Vec<String> = (0..TOKENS).map(|_| paper.sign_in(reader, None)).collect();
    paper.site.node.halt();
    let (mut child, address) = serve(&paper.site.node);
    let known = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for first in 0..8 {
            let (paper, tokens, known) = (&*paper, tokens.as_slice(), &known);
            scope.spawn(move || redeem_until_killed(paper, (address, first), tokens, known));
        }
        for _ in 0..5_000 {
            if known.lock().expect("a list").len() >= after {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("killed");
    });
    child.wait().expect("its end");
    paper.site.node.start_again();
    let known = known.into_inner().expect("a list");
    assert!(known.len() >= after, "{known:?}");
    for (number, token) in tokens.iter().enumerate() {
        let again = [(); 2].map(|()| paper.redeem("Story-2", token)["UserName"] == "areader");
        let counted = again.iter().filter(|counted| **counted).count();
        let counted = counted + usize::from(known.contains(&number));
        assert!(counted <= 1, "token {number} counted {counted} times");
    }
    let back = paper.redeem("Story-2", &paper.sign_in(reader, None));
    assert_eq!(
        (&back["UserName"], &back["AccessReason"]),
        (&json!("areader"), &json!("Purchase"))
    );
}

fn check_tokens(kind: DatabaseKind) {
    let mut paper = Paper::open(TestNode::start_now(kind));
    let reader = paper.reader("areader");
    paper.buy(&reader, "Story-2").expect(201);
    for after in [1, 12] {
        kill_while_signing_in(&mut paper, &reader, after);
    }
}

#[test]
fn a_killed_node_lets_no_token_count_twice_on_sqlite() {
    check_tokens(DatabaseKind::Sqlite);
}

#[test]
fn a_killed_node_lets_no_token_count_twice_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        check_tokens(DatabaseKind::Postgres);
    }
}
