//! Lists that are larger than the memory that the real binary needs to send them, and imports for which it
//! needs little more than their size.

use serde_json::{Value, json};
use wayleave_testkit::DatabaseKind;

use crate::access::killed::serve;
use crate::harness::{TestNode, memory_of};
use crate::site::Site;

/// How many resources there are at first, and then.
const FEW: usize = 2_000;
const MANY: usize = 20_000;
/// How much more memory the later list may take: less than half of its text alone. The caches of SQLite are
/// not full after the first one.
const ALLOWED_BYTES: u64 = 16 * 1024 * 1024;

/// Asks for all resources; gives the length of the list and the most memory that it took.
fn list(site: &Site, expected: usize) -> (usize, u64) {
    let (mut child, address) = serve(&site.node);
    let target = format!("/api/Property/{}/Resource", site.management.public_id);
    let signer = site.management.signer();
    let answer = signer.call(address, "GET", &target, site.now_s()).send();
    let text = answer.expect(200).text();
    let most = memory_of(&child, "VmHWM");
    child.kill().expect("killed");
    child.wait().expect("its end");
    assert_eq!(text.matches("\"ExternalKey\":\"P").count(), expected);
    (text.len(), most)
}

fn check(kind: DatabaseKind) {
    let mut site = Site::open(TestNode::start_now(kind));
    let story = json!({
        "Name": "Harbour report",
        "URL": "https://news.example/harbour-report",
        "Description": "what ships came in, and with what ".repeat(45),
    });
    site.put("Story-1", story).expect(200);
    site.copy("Story-1", 10_000..10_000 + FEW);
    site.node.halt();
    let (_, few) = list(&site, FEW);
    site.copy("Story-1", 10_000 + FEW..10_000 + MANY);
    let (length, many) = list(&site, MANY);
    assert!(length > 2 * ALLOWED_BYTES as usize, "{length} bytes");
    assert!(many < few + ALLOWED_BYTES, "{many} after {few}");
}

/// An import of some 12 MB, and how much memory it may take: its text, twice while that grows, what is written
/// down of it, and the caches of a first piece of work. As trees its subscribers took forty times their size.
const SUBSCRIBERS: usize = 6_000;
const TIMES_ITS_SIZE: u64 = 8;

fn import(is_xml: bool) {
    let mut site = Site::open(TestNode::start_now(DatabaseKind::Sqlite));
    site.node.halt();
    let (mut child, address) = serve(&site.node);
    let before = memory_of(&child, "VmHWM");
    let body = if is_xml { xml_import() } else { json_import() };
    let media_type = if is_xml {
        "application/xml"
    } else {
        "application/json"
    };
    let target = format!(
        "/api/Property/{}/ExternalSubscriberImport",
        site.management.public_id
    );
    let signer = site.management.signer();
    let call = signer.call(address, "POST", &target, site.now_s());
    call.body(media_type, &body).send().expect(200);
    let taken = memory_of(&child, "VmHWM") - before;
    child.kill().expect("killed");
    child.wait().expect("its end");
    let database = site.node.database(site.environment);
    let total = database.run("SELECT total FROM queued");
    assert_eq!(total.trim(), SUBSCRIBERS.to_string());
    assert!(body.len() > 10_000_000, "{} bytes", body.len());
    assert!(
        taken < TIMES_ITS_SIZE * body.len() as u64,
        "{taken} for {}",
        body.len()
    );
}

fn json_import() -> String {
    let fields: Vec<Value> = (0..16)
        .map(|field| json!({ "Name": format!("Field{field}"), "Value": "v".repeat(90) }))
        .collect();
    let subscribers: Vec<Value> = (0..SUBSCRIBERS)
        .map(|number| json!({ "SubscriberKey": format!("P-{number}"), "ValidationFields": fields }))
        .collect();
    json!({ "Data": { "Subscribers": subscribers } }).to_string()
}

fn xml_import() -> String {
    let field = |field: usize| {
        let value = "v".repeat(90);
        format!("<ValidationField Name=\"Field{field}\">{value}</ValidationField>")
    };
    let fields: String = (0..16).map(field).collect();
    let subscriber = |number: usize| {
        format!(
            "<Subscriber><SubscriberKey>P-{number}</SubscriberKey><ValidationFields>{fields}</ValidationFields></Subscriber>"
        )
    };
    let subscribers: String = (0..SUBSCRIBERS).map(subscriber).collect();
    format!(
        "<ExternalSubscriberImport><Data><Subscribers>{subscribers}</Subscribers></Data></ExternalSubscriberImport>"
    )
}

#[test]
fn a_large_import_in_json_takes_a_few_times_its_size() {
    import(false);
}

#[test]
fn a_large_import_in_xml_takes_a_few_times_its_size() {
    import(true);
}

#[test]
fn a_long_list_takes_no_more_memory_than_a_short_one_on_sqlite() {
    check(DatabaseKind::Sqlite);
}

#[test]
fn a_long_list_takes_no_more_memory_than_a_short_one_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        check(DatabaseKind::Postgres);
    }
}
