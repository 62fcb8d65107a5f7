//! Pages that become resources by being asked about, crawlers that are let in, and the example of a
//! site that is protected on the server.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use wayleave_core::{Crawler, Crawlers};
use wayleave_testkit::{Address, DatabaseKind};

use crate::harness::{TestNode, free_port, on_both_databases, root};
use crate::site::Site;

const PHP: &str = "WAYLEAVE_TEST_PHP";

/// A page as a server sends it: status, more headers, body.
type Page = (u16, String, String);

/// A site whose pages are what the test says, and that remembers what it was asked for.
struct Pages {
    origin: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Pages {
    fn serve(page: impl Fn(&str) -> Page + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let target = read_target(&stream);
                seen.lock().expect("the list").push(target.clone());
                let (status, headers, body) = page(&target);
                let length = body.len();
                let head = format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {length}\r\n");
                let answer = format!("{head}Connection: close\r\n\r\n{body}");
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Pages { origin, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the list").clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

fn read_target(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    first.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn html(body: &str) -> Page {
    (
        200,
        "Content-Type: text/html\r\n".to_owned(),
        body.to_owned(),
    )
}

/// A property at an origin, with settings.
fn open(node: TestNode, origin: &str, settings: &Value) -> Site {
    let site = Site::open(node);
    let target = format!(
        "/{}/v1/properties/{}/change",
        site.environment, site.property
    );
    let origins = json!({ "origins": origin });
    site.node
        .operate("POST", &target, Some(origins))
        .expect(200);
    site.put_settings(settings);
    site
}

/// Settings of a property that sells pages for 35 cents and takes up those that it does not know.
fn settings() -> Value {
    json!({
        "dynamic_creation": true,
        "single_purchases": true,
        "pricing_groups": [{
            "id": "1c6d0f52-2b7e-4c11-9d0a-7f3e5b9a2d60", "name": "Standard", "default": true,
            "pricing": { "model": "FixedPrice", "price_minor": 35 },
        }],
    })
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// The answer about a page. `more`: further parameters, each with its &.
fn ask(site: &Site, key: &str, url: &str, more: &str) -> Value {
    let query = format!("ResourceURL={}&UserToken={more}", encoded(url));
    let target = format!("/api/Resource/{}/{key}?{query}", site.access.public_id);
    let address = site.node.address(site.environment);
    let call = site
        .access
        .signer()
        .call(address, "GET", &target, site.now_s());
    call.send().expect(200).json()
}

fn resource(site: &Site, key: &str) -> Value {
    site.manage("GET", &format!("/Resource/{key}"), None)
        .expect(200)
        .json()
}

fn is_unknown(site: &Site, key: &str) -> bool {
    site.manage("GET", &format!("/Resource/{key}"), None).status == 404
}

on_both_databases! {
    fn a_page_that_nobody_made_becomes_a_resource_once(node: TestNode) {
        let pages = Pages::serve(|_| html(
            "<title>Tides &amp; winds</title><meta name=description content='When to sail'>\
             <script type='application/imoneza'><Resource><Title>Tides & winds</Title>\
             <PricingModel>FixedPrice</PricingModel><Price>0.20</Price></Resource></script>",
        ));
        let site = open(node, &pages.origin, &settings());
        let url = pages.url("/tides?id=1#top");
        let first = ask(&site, "tides", &url, "");
        assert_eq!((&first["AccessAction"], &first["ResourceName"]), (&json!("Purchase"), &json!("Tides & winds")));
        let made = resource(&site, "tides");
        assert_eq!(made["Price"], 0.2);
        assert_eq!(made["Title"], "Tides & winds");
        assert_eq!(made["Description"], "When to sail");
        assert_eq!(made["URL"], url);
        let asked = pages.asked();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].starts_with("/tides?id=1&iMonezaTUT="), "{asked:?}");
        ask(&site, "tides", &url, "");
        site.put("tides", json!({ "Price": 0.5 })).expect(200);
        ask(&site, "tides", &url, "");
        assert_eq!(pages.asked().len(), 1, "it is read once");
        assert_eq!(resource(&site, "tides")["Price"], 0.5);
    }

    fn the_spider_is_let_in_by_the_page_that_it_reads(node: TestNode) {
        let known: Arc<Mutex<Option<(Address, crate::harness::Keys, i64)>>> = Arc::default();
        let keys = known.clone();
        let pages = Pages::serve(move |target| {
            let (address, keys, now) = keys.lock().expect("the keys").clone().expect("keys");
            let token = target.split("iMonezaTUT=").nth(1).unwrap_or("none").to_owned();
            let query = format!("IP=&ResourceKey=crane&ResourceURL=&temporaryUserToken={token}");
            let target = format!("/api/TemporaryUserToken/{}/{token}?{query}", keys.public_id);
            let send = || keys.signer().call(address, "GET", &target, now).send().expect(200).json();
            let (first, again) = (send(), send());
            html(&format!(
                "<title>{} {} then {}</title>",
                first["AccessReason"].as_str().unwrap_or_default(),
                first["AccessActionURL"].as_str().unwrap_or("no address"),
                again["AccessReason"].as_str().unwrap_or_default(),
            ))
        });
        let site = open(node, &pages.origin, &settings());
        let about = (site.node.address(site.environment), site.access.clone(), site.now_s());
        *known.lock().expect("the keys") = Some(about);
        ask(&site, "crane", &pages.url("/crane"), "");
        // The second use of the token is by somebody new, for whom the page is not a resource yet.
        assert_eq!(resource(&site, "crane")["Title"], "Spider then UnknownResource");
    }

    fn a_page_whose_settings_cannot_be_is_open(node: TestNode) {
        let pages = Pages::serve(|_| html("<script type=application/imoneza><Resource><Price>much</Price></Resource></script>"));
        let site = open(node, &pages.origin, &settings());
        for _ in 0..2 {
            let answer = ask(&site, "crane", &pages.url("/crane"), "");
            assert_eq!(answer["AccessReason"], "BadConfig");
        }
        assert_eq!(pages.asked().len(), 1);
        site.put("crane", json!({ "PricingModel": "FixedPrice", "Price": 1 })).expect(200);
        assert_eq!(ask(&site, "crane", "", "")["AccessReason"], "Deny");
    }

    fn a_page_that_fails_is_read_by_a_job(node: TestNode) {
        let first = Mutex::new(true);
        let pages = Pages::serve(move |_| {
            let is_first = std::mem::take(&mut *first.lock().expect("a flag"));
            if is_first { (503, String::new(), String::new()) } else { html("<title>Late</title>") }
        });
        let site = open(node, &pages.origin, &settings());
        for _ in 0..2 {
            assert_eq!(ask(&site, "late", &pages.url("/late"), "")["AccessReason"], "UnknownResource");
        }
        assert_eq!(pages.asked().len(), 1, "not for every visitor");
        site.node.clock.advance(std::time::Duration::from_secs(10));
        for _ in 0..100 {
            if !is_unknown(&site, "late") {
                break;
            }
            thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(resource(&site, "late")["Title"], "Late");
    }
}

fn node() -> TestNode {
    TestNode::start(DatabaseKind::Sqlite)
}

#[test]
fn only_pages_of_the_property_are_read() {
    let other = Pages::serve(|_| html("<title>Other</title>"));
    let elsewhere = other.url("/");
    let pages = Pages::serve(
        move |target| match target.split('?').next().unwrap_or_default() {
            "/moved" => (302, "Location: /here?a=1\r\n".to_owned(), String::new()),
            "/away" => (302, format!("Location: {elsewhere}\r\n"), String::new()),
            "/round" => (302, "Location: /round\r\n".to_owned(), String::new()),
            "/copy" => html("<title>Copy</title><link rel=canonical href=https://evil.example/>"),
            "/image" => (
                200,
                "Content-Type: image/png\r\n".to_owned(),
                "<title>Image</title>".to_owned(),
            ),
            "/none" => (
                404,
                "Content-Type: text/html\r\n".to_owned(),
                "<title>None</title>".to_owned(),
            ),
            "/large" => html(&format!("<title>Large</title>{}", " ".repeat(2_000_000))),
            path => html(&format!("<title>{path}</title>")),
        },
    );
    let site = open(node(), &pages.origin, &settings());
    for (key, path, title) in [
        ("moved", "/moved", Some("/here")),
        ("copy", "/copy", Some("Copy")),
        ("large", "/large", Some("Large")),
        ("away", "/away", None),
        ("round", "/round", None),
        ("image", "/image", None),
        ("none", "/none", None),
    ] {
        let answer = ask(&site, key, &pages.url(path), "");
        match title {
            Some(title) => assert_eq!(resource(&site, key)["Title"], title),
            None => {
                assert_eq!(answer["AccessReason"], "UnknownResource", "{key}");
                assert!(is_unknown(&site, key), "{key}");
            }
        }
    }
    let before = pages.asked().len();
    for url in [
        other.url("/"),
        pages.origin.replace("127.0.0.1", "127.0.0.2"),
        pages.origin.replace("http://", "http://127.0.0.1@"),
        "https://169.254.169.254/latest".to_owned(),
        "file:///etc/passwd".to_owned(),
        "api-validation".to_owned(),
        String::new(),
    ] {
        assert_eq!(
            ask(&site, "other", &url, "")["AccessReason"],
            "UnknownResource",
            "{url}"
        );
        assert!(is_unknown(&site, "other"), "{url}");
    }
    // Asked for by a page that was moved away, and by nothing else.
    assert_eq!((other.asked().len(), pages.asked().len()), (0, before));
}

#[test]
fn a_property_that_takes_up_no_pages_reads_none() {
    let pages = Pages::serve(|_| html("<title>Page</title>"));
    let mut settings = settings();
    settings["dynamic_creation"] = json!(false);
    let site = open(node(), &pages.origin, &settings);
    let answer = ask(&site, "page", &pages.url("/page"), "");
    assert_eq!(answer["AccessReason"], "UnknownResource");
    assert!(pages.asked().is_empty());
}

#[test]
fn crawlers_are_let_in_by_where_they_come_from_and_where_the_property_says_so() {
    let crawler = |name: &str, range: &str| Crawler {
        name: name.to_owned(),
        ranges: vec![range.parse().expect("a range")],
        domains: Vec::new(),
    };
    let crawlers = Crawlers::new(vec![
        crawler("googlebot", "66.249.64.0/27"),
        crawler("bingbot", "157.55.39.0/24"),
    ]);
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.crawlers = crawlers
    });
    let mut settings = settings();
    settings["verified_crawlers"] = json!({ "enabled": true, "kinds": ["googlebot"] });
    let site = open(node, "https://news.example", &settings);
    site.put("story", json!({ "Name": "Story" })).expect(200);
    for (ip, reason) in [
        ("66.249.64.7", "VerifiedCrawler"),
        ("%3A%3Affff%3A66.249.64.7", "VerifiedCrawler"),
        ("66.249.64.32", "Deny"),
        ("157.55.39.1", "Deny"),
        ("googlebot", "Deny"),
        ("", "Deny"),
    ] {
        let answer = ask(&site, "story", "", &format!("&IP={ip}"));
        assert_eq!(answer["AccessReason"], reason, "{ip}");
    }
}

on_both_databases! {
    fn readers_are_handed_back_to_pages_of_the_property_alone(node: TestNode) {
        let site = open(node, "https://news.example", &settings());
        let own = "https://news.example/story?id=1#top";
        site.put("story", json!({ "Name": "A <b>story</b>", "URL": own })).expect(200);
        let denied = ask(&site, "story", "", "");
        let action = denied["AccessActionURL"].as_str().expect("an address");
        let target = action.split_once("/ResourceAccess/").expect("the paywall").1;
        let address = site.node.address(site.environment);
        let paywall = |method: &str, more: &str| {
            address.call(method, &format!("/ResourceAccess/{target}{more}")).send()
        };
        let page = paywall("GET", "").expect(200);
        assert!(page.text().contains("A &lt;b&gt;story&lt;/b&gt;"), "{}", page.text());
        assert!(page.header("content-security-policy").is_some());
        for (original, place) in [
            ("HTTP/1.1://news.example/a?b=1&c=2", "https://news.example/a?b=1&c=2&iMonezaTUT="),
            ("https%3A%2F%2Fnews.example%2Fa%23end", "https://news.example/a?iMonezaTUT="),
            ("https://evil.example/", "https://news.example/story?id=1&iMonezaTUT="),
            ("https%3A%2F%2Fnews.example%40evil.example", "https://news.example/story?id=1&iMonezaTUT="),
        ] {
            let back = paywall("POST", &format!("&originalURL={original}")).expect(303);
            let to = back.header("location").expect("an address").to_owned();
            assert!(to.starts_with(place), "{original}: {to}");
            let token = to.split("iMonezaTUT=").nth(1).expect("a token");
            let token = token.split('#').next().expect("a token");
            let query = format!("IP=&ResourceKey=story&ResourceURL=&temporaryUserToken={token}");
            let target = format!("/api/TemporaryUserToken/{}/{token}?{query}", site.access.public_id);
            let call = site.access.signer().call(address, "GET", &target, site.now_s());
            let answer = call.send().expect(200).json();
            let reader = |answer: &Value| answer["UserToken"].as_str().map(|token| token[..36].to_owned());
            assert_eq!(reader(&answer), reader(&denied), "{original}");
        }
        address.get("/ResourceAccess/?ApiKey=none&ResourceKey=story").send().expect(404);
        let foreign = format!("/ResourceAccess/?ApiKey={}&ResourceKey=story", site.management.public_id);
        address.get(&foreign).send().expect(404);
        let unsigned = format!("/ResourceAccess/?ApiKey={}&ResourceKey=story&UserToken=junk", site.access.public_id);
        let back = address.call("POST", &unsigned).send().expect(303);
        assert_eq!(back.header("location"), Some(own));
    }
}

/// A site in PHP, ended with the test.
struct PhpSite {
    child: Child,
    address: Address,
}

impl Drop for PhpSite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl PhpSite {
    fn start(site: &Site, place: std::net::SocketAddr) -> Self {
        let program = std::env::var_os(PHP).unwrap_or_default();
        let child = Command::new(program)
            .args(["-S", &place.to_string(), "index.php"])
            .current_dir(root().join("examples/paywall"))
            // One serves the page, the other the spider who reads it meanwhile.
            .env("PHP_CLI_SERVER_WORKERS", "2")
            .env("WAYLEAVE_URL", &site.node.test_url)
            .env("WAYLEAVE_ACCESS_KEY", &site.access.public_id)
            .env("WAYLEAVE_ACCESS_SECRET", &site.access.secret)
            .env("SITE_URL", format!("http://{place}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("php");
        let address = Address::at(place);
        for _ in 0..200 {
            if TcpStream::connect(place).is_ok() {
                break;
            }
            thread::sleep(std::time::Duration::from_millis(25));
        }
        PhpSite { child, address }
    }
}

fn cookie(answer: &wayleave_testkit::Answer) -> String {
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Lax"),
        "{set}"
    );
    set.split(';').next().expect("name and value").to_owned()
}

#[test]
fn the_example_site_keeps_its_pages_to_who_may_read_them() {
    if std::env::var_os(PHP).is_none() {
        eprintln!("left out: {PHP} is not set; cargo xtask test sets it");
        return;
    }
    let place = free_port();
    let node = TestNode::start_now(DatabaseKind::Sqlite);
    let site = open(node, &format!("http://{place}"), &settings());
    let php = PhpSite::start(&site, place);
    php.address.get("/").send().expect(200);
    // The first visitor's question makes a resource of the page, which the spider could read.
    let refused = php.address.get("/harbour-report").send().expect(302);
    assert_eq!(resource(&site, "harbour-report")["Price"], 0.35);
    assert_eq!(
        resource(&site, "harbour-report")["Description"],
        "The report is out, and it has something for everybody."
    );
    assert!(!refused.text().contains("crane"), "{}", refused.text());
    let to = refused.header("location").expect("an address");
    let (paywall, back) = to.split_once("&originalURL=").expect("the way back");
    assert!(paywall.contains("/ResourceAccess/?ApiKey="), "{to}");
    assert!(back.starts_with("http%3A%2F%2F127.0.0.1"), "{to}");
    // Who is handed back without having got a right comes to the same page, and sees nothing of it.
    let (_, target) = to.split_once("/ResourceAccess").expect("the paywall");
    let handed = site
        .node
        .test
        .call("POST", &format!("/ResourceAccess{target}"))
        .send()
        .expect(303);
    let to = handed.header("location").expect("the page").to_owned();
    let (_, target) = to.split_once(&place.to_string()).expect("the page");
    assert!(target.starts_with("/harbour-report?iMonezaTUT="), "{to}");
    assert!(
        !php.address
            .get(target)
            .send()
            .expect(302)
            .text()
            .contains("crane")
    );
    let free = php.address.get("/tide-tables").send().expect(200);
    assert!(
        free.text().contains("high water is at noon"),
        "{}",
        free.text()
    );
    let known = cookie(&free);
    let junk = php
        .address
        .get("/harbour-report?iMonezaTUT=junk")
        .header("Cookie", &known);
    assert!(!junk.send().expect(302).text().contains("crane"));
    // A reader who has bought the page comes back with a token that counts once.
    let readers = format!("/test/v1/properties/{}/readers", site.property);
    let operate = |rest: &str, body: Value| {
        site.node
            .operate("POST", &format!("{readers}{rest}"), Some(body))
    };
    let reader = operate("", json!({ "user_name": "ana", "first_name": "Ana" }))
        .expect(201)
        .json();
    let reader = reader["id"].as_str().expect("an id").to_owned();
    operate(&format!("/{reader}/change"), json!({ "card": "pays" })).expect(200);
    operate(
        &format!("/{reader}/buy"),
        json!({ "resource": "harbour-report" }),
    );
    let signed_in = operate(
        &format!("/{reader}/sign-in"),
        json!({ "key": site.access.public_id }),
    );
    let token = signed_in.expect(201).json()["temporary_user_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let page = php
        .address
        .get(&format!("/harbour-report?iMonezaTUT={token}"))
        .send()
        .expect(200);
    assert!(
        page.text().contains("there will be a second crane"),
        "{}",
        page.text()
    );
    assert!(page.text().contains("\"isAccessibleForFree\":false"));
    let again = php
        .address
        .get("/harbour-report")
        .header("Cookie", &cookie(&page))
        .send()
        .expect(200);
    assert!(again.text().contains("second crane"));
    php.address.get("/harbour-report").send().expect(302);
}
