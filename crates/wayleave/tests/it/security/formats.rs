//! Rows G: JSON and XML bodies, in and out.

use std::net::TcpListener;

use serde_json::{Map, Value, json};
use wayleave_protocol::xml::{self, Element, Name, Writer};
use wayleave_testkit::{Answer, DatabaseKind};

use super::naughty_strings;
use crate::harness::{TestNode, root};
use crate::site::Site;

fn open() -> Site {
    Site::open(TestNode::start(DatabaseKind::Sqlite))
}

/// Sends a body to a resource as it is, and asks for an answer in a format.
fn put(site: &Site, content_type: &str, body: &[u8], accept: &str) -> Answer {
    let call = site.management_call("PUT", "/Resource/Story-0042");
    call.header("Accept", accept)
        .body(content_type, body)
        .send()
}

fn put_xml(site: &Site, body: &str) -> Answer {
    put(site, "application/xml", body.as_bytes(), "application/xml")
}

/// An answer in XML, read strictly.
fn read(answer: &Answer) -> Element {
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(
        kind.ends_with("/xml; charset=utf-8"),
        "{kind}: {}",
        answer.text()
    );
    xml::parse(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// The text of an element in a document.
fn child(document: &Element, name: &str) -> String {
    let mut children = document.children.iter();
    let found = children.find(|child| child.name == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {document:?}"))
        .text
        .clone()
}

fn refused(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    let document = read(answer);
    assert_eq!(document.name, "Error", "{what}");
    assert!(!child(&document, "Message").is_empty(), "{what}");
}

#[test]
fn no_document_type_gets_anything_read_or_called() {
    let site = open();
    let outside = TcpListener::bind("127.0.0.1:0").expect("a port");
    outside
        .set_nonblocking(true)
        .expect("a socket that does not wait");
    let there = format!("http://{}/x", outside.local_addr().expect("an address"));
    for document in [
        "<!DOCTYPE Resource [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><Resource><Name>&x;</Name></Resource>".to_owned(),
        format!("<!DOCTYPE Resource [<!ENTITY x SYSTEM '{there}'>]><Resource><Name>&x;</Name></Resource>"),
        format!("<!DOCTYPE Resource [<!ENTITY % x SYSTEM '{there}'> %x;]><Resource><Name>a</Name></Resource>"),
        format!("<!DOCTYPE Resource SYSTEM '{there}'><Resource><Name>a</Name></Resource>"),
        format!("<!DOCTYPE Resource PUBLIC '-//x' '{there}'><Resource><Name>a</Name></Resource>"),
        "<?xml version='1.0'?><!-- a --><!DOCTYPE Resource><Resource><Name>a</Name></Resource>".to_owned(),
        "<Resource><Name>&xxe;</Name></Resource>".to_owned(),
    ] {
        refused(&put_xml(&site, &document), &document);
    }
    // These are data, and nothing follows what they name.
    for document in [
        format!("<?xml-stylesheet href='{there}'?><Resource><Name>a</Name></Resource>"),
        format!(
            "<Resource xmlns:xi='http://www.w3.org/2001/XInclude'><Name>a</Name><xi:include href='{there}'/></Resource>"
        ),
        format!(
            "<Resource xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:schemaLocation='x {there}'><Name>a</Name></Resource>"
        ),
    ] {
        put_xml(&site, &document).expect(200);
    }
    let called = outside.accept().expect_err("nobody came");
    assert_eq!(called.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn bodies_that_would_grow_or_nest_without_end_are_refused_at_once() {
    let site = open();
    let laughs: String = (1..10)
        .map(|level| {
            format!(
                "<!ENTITY l{level} '{}'>",
                format!("&l{};", level - 1).repeat(10)
            )
        })
        .collect();
    let attributes: String = (0..50_000).map(|number| format!(" a{number}=''")).collect();
    let namespaces: String = (0..20_000)
        .map(|number| format!(" xmlns:n{number}='u'"))
        .collect();
    for document in [
        format!(
            "<!DOCTYPE Resource [<!ENTITY l0 'ha'>{laughs}]><Resource><Name>&l9;</Name></Resource>"
        ),
        format!("<Resource{attributes}><Name>a</Name></Resource>"),
        format!("<Resource{namespaces}><Name>a</Name></Resource>"),
        format!("<Resource>{}</Resource>", "<x>".repeat(10_000)),
        format!(
            "<Resource>{}{}</Resource>",
            "<x>".repeat(10_000),
            "</x>".repeat(10_000)
        ),
    ] {
        refused(&put_xml(&site, &document), &document[..40]);
    }
    for body in [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"a\":{}", "[".repeat(100_000)),
    ] {
        let answer = put(
            &site,
            "application/json",
            body.as_bytes(),
            "application/json",
        );
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    let large = format!(
        "<Resource><Name>{}</Name></Resource>",
        "a".repeat(xml::MAX_BYTES)
    );
    assert_eq!(put_xml(&site, &large).status, 413);
}

#[test]
fn only_well_formed_documents_in_utf_8_are_read() {
    let site = open();
    let utf_16: Vec<u8> = "<Resource><Name>a</Name></Resource>"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let bodies: [&[u8]; 11] = [
        &utf_16,
        &[&b"\xfe\xff"[..], &utf_16].concat(),
        b"<?xml version='1.0' encoding='utf-16'?><Resource><Name>a</Name></Resource>",
        b"<?xml version='1.0' encoding='UTF-7'?><Resource><Name>+ADw-a</Name></Resource>",
        b"<?xml version='1.0' encoding='cp037'?><Resource><Name>a</Name></Resource>",
        b"<?xml version='1.1'?><Resource><Name>a</Name></Resource>",
        b"<Resource><Name>\xff</Name></Resource>",
        b"<Resource><Name>\xc0\xbc</Name></Resource>",
        b"<Resource><Name>\0</Name></Resource>",
        b"<Resource><Name>&#0;</Name></Resource>",
        b"<Resource><Name>a</Resource></Name>",
    ];
    for body in bodies {
        let answer = put(&site, "application/xml", body, "application/xml");
        refused(&answer, &String::from_utf8_lossy(body));
    }
    put_xml(&site, "\u{feff}<Resource><Name>a</Name></Resource>").expect(200);
}

#[test]
fn json_that_is_none_or_is_not_plain_utf_8_is_refused() {
    let site = open();
    let folder = root().join("tests/vectors/JSONTestSuite/test_parsing");
    let mut counts = [0, 0];
    for entry in std::fs::read_dir(folder).expect("the suite") {
        let entry = entry.expect("a file");
        let name = entry.file_name().to_string_lossy().into_owned();
        let input = std::fs::read(entry.path()).expect("its bytes");
        let body = [&b"{\"Name\":\"a\",\"v\":"[..], &input, b"}"].concat();
        let answer = put(&site, "application/json", &body, "application/json");
        let is_repeated = name.starts_with("y_object_duplicated_key");
        match &name[..2] {
            "n_" => {
                counts[0] += 1;
                assert_eq!(answer.status, 400, "{name}: {}", answer.text());
            }
            "y_" if !is_repeated => {
                counts[1] += 1;
                // What could not be shown in XML is refused in both formats.
                let name = name.to_lowercase();
                let has_control =
                    name.contains("nonchar") || name.contains("null") || name.contains("escape");
                assert!(
                    answer.status == 200 || has_control && answer.status == 400,
                    "{name}: {}",
                    answer.text()
                );
            }
            _ => assert!(
                matches!(answer.status, 200 | 400),
                "{name}: {}",
                answer.text()
            ),
        }
    }
    assert_eq!(counts, [188, 93]);
    let marked = "\u{feff}{\"Name\":\"a\"}".as_bytes();
    assert_eq!(put(&site, "application/json", marked, "*/*").status, 400);
}

#[test]
fn names_that_come_twice_are_refused_in_both_formats() {
    let site = open();
    for (first, second) in [
        ("Name", "Name"),
        ("Name", "name"),
        ("Else", "ELSE"),
        ("Price", "pRICE"),
    ] {
        let document = format!("<Resource><{first}>1</{first}><{second}>2</{second}></Resource>");
        refused(&put_xml(&site, &document), &document);
        let attribute = format!("<Resource {first}='1'><{second}>2</{second}></Resource>");
        refused(&put_xml(&site, &attribute), &attribute);
        for body in [
            format!("{{\"{first}\":1,\"{second}\":2}}"),
            format!("{{\"Name\":\"a\",\"PricingGroup\":{{\"{first}\":1,\"{second}\":2}}}}"),
            format!(
                "{{\"Name\":\"a\",\"ResourcePricingTiers\":[{{\"{first}\":1,\"{second}\":2}}]}}"
            ),
        ] {
            let answer = put(
                &site,
                "application/json",
                body.as_bytes(),
                "application/json",
            );
            assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        }
    }
    let twice = put_xml(&site, "<Resource Name='a' Name='b'/>");
    refused(&twice, "an attribute twice");
}

#[test]
fn numbers_mean_the_same_in_both_formats_or_are_refused_in_both() {
    let site = open();
    for (member, text, is_fine) in [
        ("Price", "0.35", true),
        ("Price", "12", true),
        ("Price", "0.355", false),
        ("Price", "-1", false),
        ("Price", "1e999", false),
        ("Price", "NaN", false),
        ("Price", "Infinity", false),
        ("Price", "9007199254740993", false),
        ("Price", "99999999999999999999999999", false),
        ("ExpirationPeriodValue", "7", true),
        ("ExpirationPeriodValue", "1.5", false),
        ("ExpirationPeriodValue", "-7", false),
        ("ExpirationPeriodValue", "4294967296", false),
        ("ExpirationPeriodValue", "18446744073709551617", false),
        ("TargetConversionRate", "0.25", true),
        ("TargetConversionRate", "1.5", false),
    ] {
        let document = format!("<Resource><Name>a</Name><{member}>{text}</{member}></Resource>");
        let of_xml = put_xml(&site, &document);
        let body = format!("{{\"Name\":\"a\",\"{member}\":{text}}}");
        let of_json = put(&site, "text/json", body.as_bytes(), "text/xml");
        let quoted = format!("{{\"Name\":\"a\",\"{member}\":\"{text}\"}}");
        let of_text = put(&site, "application/json", quoted.as_bytes(), "text/xml");
        let status = if is_fine { 200 } else { 400 };
        for answer in [&of_xml, &of_json, &of_text] {
            assert_eq!(answer.status, status, "{member} {text}: {}", answer.text());
        }
        if is_fine {
            assert_eq!(read(&of_xml), read(&of_json), "{member} {text}");
            assert_eq!(read(&of_xml), read(&of_text), "{member} {text}");
        }
    }
}

const RESOURCE: Name = Name::new("Resource");
const FIELDS: [(Name, usize); 6] = [
    (Name::new("Name"), 50),
    (Name::new("Title"), 200),
    (Name::new("Byline"), 200),
    (Name::new("Description"), 2000),
    (Name::new("PaywallDescription"), 2000),
    (Name::new("PaywallShortDescription"), 100),
];

/// What is refused in a text, whatever the format.
fn is_refused(text: &str) -> bool {
    text.chars().any(|letter| {
        letter.is_control() && !matches!(letter, '\t' | '\n' | '\r')
            || matches!(letter, '\u{fffe}' | '\u{ffff}')
    })
}

#[test]
fn odd_texts_are_read_back_as_they_were_in_both_formats() {
    let site = open();
    let mut strings = naughty_strings();
    strings.retain(|text| !text.is_empty() && !is_refused(text));
    assert!(strings.len() > 450, "{}", strings.len());
    for texts in strings.chunks(FIELDS.len()) {
        let fields = FIELDS.iter().zip(texts);
        let fields: Vec<(Name, String)> = fields
            .map(|((name, longest), text)| (*name, text.chars().take(*longest).collect()))
            .collect();
        let members = fields
            .iter()
            .map(|(name, text)| (name.as_str().to_owned(), json!(text)));
        let body = Value::Object(members.collect::<Map<_, _>>()).to_string();
        let of_json = put(
            &site,
            "application/json",
            body.as_bytes(),
            "application/json",
        )
        .expect(200);
        let document = Writer::document(|writer| {
            writer.element(RESOURCE, &[], |inside| {
                fields
                    .iter()
                    .for_each(|(name, text)| inside.text_element(*name, &[], text));
            });
        });
        let of_xml = read(&put_xml(&site, &document).expect(200));
        for (name, text) in &fields {
            assert_eq!(of_json.json()[name.as_str()], json!(text));
            assert_eq!(child(&of_xml, name.as_str()), *text);
        }
    }
}

#[test]
fn texts_that_a_format_cannot_carry_are_refused_in_both() {
    let site = open();
    for letter in [
        '\u{0}', '\u{1}', '\u{b}', '\u{1b}', '\u{1f}', '\u{7f}', '\u{85}', '\u{fffe}', '\u{ffff}',
    ] {
        let body = json!({ "Name": format!("a{letter}b") }).to_string();
        let answer = put(
            &site,
            "application/json",
            body.as_bytes(),
            "application/xml",
        );
        refused(&answer, &format!("{letter:?} in JSON"));
        let document = format!(
            "<Resource><Name>a&#{};b</Name></Resource>",
            u32::from(letter)
        );
        refused(&put_xml(&site, &document), &format!("{letter:?} in XML"));
    }
}

#[test]
fn refusals_are_in_the_asked_format_and_tell_nothing_of_what_is_inside() {
    let site = open();
    let call = |method: &str, rest: &str| site.management_call(method, rest);
    let xml_body = "<Resource><Name>a</Name></Resource>";
    let cases = [
        (404, call("GET", "/Resource/none")),
        (404, call("GET", "/Nothing")),
        (405, call("POST", "/Resource/none")),
        (
            400,
            call("PUT", "/Resource/a").body("application/xml", "<Resource>"),
        ),
        (
            400,
            call("PUT", "/Resource/a").body("application/json", "{\"Name\":"),
        ),
        (
            400,
            call("PUT", "/Resource/a").body("application/json", "{\"Name\":[]}"),
        ),
        (
            400,
            call("PUT", "/Resource/a").body("application/json", "{\"PricingModel\":\"' OR 1=1\"}"),
        ),
        (
            400,
            call("PUT", "/Resource/%ff").body("application/json", "{\"Name\":\"a\"}"),
        ),
        (401, site.node.test.get("/api/Property/x")),
        (
            415,
            call("PUT", "/Resource/a").body("application/soap+xml", xml_body),
        ),
        (
            415,
            call("PUT", "/Resource/a").body("application/xml; charset=utf-16", xml_body),
        ),
    ];
    for (status, call) in cases {
        let shown = format!("{call:?}");
        let of_xml = call.clone().header("Accept", "text/xml").send();
        assert_eq!(of_xml.status, status, "{shown}: {}", of_xml.text());
        assert_eq!(read(&of_xml).name, "Error", "{shown}");
        let of_json = call.header("Accept", "application/json").send();
        assert_eq!(of_json.status, status, "{shown}: {}", of_json.text());
        let message = of_json.json()["Message"]
            .as_str()
            .expect("a message")
            .to_owned();
        assert_eq!(child(&read(&of_xml), "Message"), message, "{shown}");
        for inside in [
            "sqlx",
            "SQL",
            "sqlite",
            "postgres",
            "resource_key",
            ".rs:",
            "panicked",
            "/src/",
            "/tmp",
        ] {
            assert!(!message.contains(inside), "{shown}: {message}");
        }
    }
    let neither = call("GET", "")
        .header("Accept", "text/html")
        .send()
        .expect(406);
    assert!(neither.json()["Message"].is_string(), "{}", neither.text());
}

/// Row G10: every column of every table, and members that are only shown, in one request.
#[test]
fn members_that_clients_may_not_set_are_passed_over_in_both_formats() {
    let site = open();
    let columns = wayleave_store::TABLES
        .iter()
        .flat_map(|table| table.columns);
    let mut names: Vec<&str> = columns.map(|column| column.name).collect();
    names.extend(["ExternalKey", "PropertyID", "Views", "IsAdmin"]);
    names.sort_unstable_by_key(|name| name.to_ascii_lowercase());
    names.dedup_by_key(|name| name.to_ascii_lowercase());
    // These are members of a resource by their own right, two of them further down.
    let own = [
        "name",
        "title",
        "description",
        "active",
        "url",
        "byline",
        "price",
        "property",
        "pricinggroup",
    ];
    names.retain(|name| !own.contains(&name.to_ascii_lowercase().as_str()));
    let plain = put(&site, "application/json", br#"{"Name":"Plain"}"#, "*/*");
    let plain = plain.expect(200).json();
    let mut body = Map::new();
    for name in &names {
        body.insert((*name).to_owned(), json!("prp_hostile"));
    }
    // Its own name is a member of a property too, and of the group the id alone counts.
    body.insert(
        "Property".to_owned(),
        json!({ "Name": "hostile", "Quota": 1_000 }),
    );
    let group = &plain["PricingGroup"]["PricingGroupID"];
    let forged = json!({ "PricingGroupID": group, "Price": 0, "IsDefault": false });
    body.insert("PricingGroup".to_owned(), forged);
    let body = Value::Object(body).to_string();
    let sent = put(&site, "application/json", body.as_bytes(), "*/*");
    assert_eq!(sent.expect(200).json(), plain);
    let elements: Vec<String> = names
        .iter()
        .map(|name| format!("<{name}>prp_hostile</{name}>"))
        .collect();
    let document = format!("<Resource>{}</Resource>", elements.concat());
    put_xml(&site, &document).expect(200);
    let shown = site.manage("GET", "/Resource/Story-0042", None);
    assert_eq!(shown.expect(200).json(), plain);
    let property = site.manage("GET", "", None).expect(200).json();
    assert_eq!(property["Quota"], 0);
}

/// The same for settings, which are a document of their own: there it is refused.
#[test]
fn members_that_settings_do_not_have_are_refused() {
    let site = open();
    let target = format!("/test/v1/properties/{}/change-settings", site.property);
    for name in ["id", "partner_id", "settings_version", "IsAdmin", "Title"] {
        let body = Value::Object(Map::from_iter([(name.to_owned(), json!("x"))]));
        let told = site.node.operate("POST", &target, Some(body)).expect(422);
        assert!(told.text().contains(name), "{}", told.text());
    }
}
