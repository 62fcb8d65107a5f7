//! Crawlers that are known by what DNS says of their addresses: a name in a domain of theirs, which has
//! the address itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use wayleave_core::{Crawler, Crawlers, Environment};
use wayleave_engine::HostNames;
use wayleave_store::BoxFuture;

use crate::harness::{TestNode, on_both_databases};
use crate::site::Site;

/// What DNS says in a test.
#[derive(Default)]
struct Names {
    of: HashMap<IpAddr, &'static str>,
    addresses: HashMap<&'static str, IpAddr>,
    is_away: Mutex<bool>,
    /// Held by a test that keeps answers back.
    held: tokio::sync::Mutex<()>,
    asked: Mutex<Vec<IpAddr>>,
}

impl Names {
    /// Addresses with the name that each has, and the address that this name has.
    fn of(rows: &[(&str, &'static str, &str)]) -> Arc<Self> {
        let mut names = Names::default();
        for (ip, name, address) in rows {
            names.of.insert(ip.parse().expect(ip), name);
            names
                .addresses
                .insert(name, address.parse().expect(address));
        }
        Arc::new(names)
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }

    /// Waits until DNS was asked so often.
    fn wait(&self, times: usize) {
        for _ in 0..1_000 {
            if self.asked() >= times {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("asked {} times instead of {times}", self.asked());
    }
}

impl HostNames for Names {
    fn name_of(&self, ip: IpAddr) -> BoxFuture<'_, Result<Option<String>, String>> {
        Box::pin(async move {
            self.asked.lock().push(ip);
            let _held = self.held.lock().await;
            match *self.is_away.lock() {
                true => Err("no server answers".to_owned()),
                false => Ok(self.of.get(&ip).map(|name| (*name).to_owned())),
            }
        })
    }

    fn addresses_of<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, String>> {
        let found = self.addresses.get(name).copied();
        Box::pin(async move { Ok(found.into_iter().collect()) })
    }
}

fn crawlers() -> Crawlers {
    let crawler = |name: &str, domain: &str| Crawler {
        name: name.to_owned(),
        ranges: Vec::new(),
        domains: vec![domain.parse().expect("a domain")],
    };
    Crawlers::new(vec![
        crawler("googlebot", "googlebot.com"),
        crawler("bingbot", "search.msn.com"),
    ])
}

/// A property that lets one crawler in, with a page that is sold.
fn open(mut node: TestNode, names: &Arc<Names>) -> Site {
    node.reload(|settings| settings.crawlers = crawlers());
    let site = Site::open(node);
    site.node
        .engine(site.environment)
        .set_host_names(names.clone());
    let settings = json!({
        "single_purchases": true,
        "verified_crawlers": { "enabled": true, "kinds": ["googlebot"] },
        "pricing_groups": [{
            "name": "Standard", "default": true,
            "pricing": { "model": "FixedPrice", "price_minor": 35 },
        }],
    });
    let target = format!(
        "/{}/v1/properties/{}/settings",
        site.environment, site.property
    );
    site.node
        .operate("POST", &target, Some(settings))
        .expect(200);
    site.put("story", json!({ "Name": "Story" })).expect(200);
    site
}

/// The reason of the answer to a visitor of an address.
fn reason(site: &Site, ip: &str) -> String {
    let query = format!("IP={}&ResourceURL=&UserToken=", ip.replace(':', "%3A"));
    let target = format!("/api/Resource/{}/story?{query}", site.access.public_id);
    let address = site.node.address(site.environment);
    let call = site
        .access
        .signer()
        .call(address, "GET", &target, site.now_s());
    let answer = call.send().expect(200).json();
    answer["AccessReason"]
        .as_str()
        .expect("a reason")
        .to_owned()
}

/// The same once nothing is being looked up: the reason may be another one from some moment on.
fn settles_on(site: &Site, ip: &str, wanted: &str) {
    for _ in 0..1_000 {
        if reason(site, ip) == wanted {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{ip} is not answered {wanted}");
}

const CRAWLER: &str = "66.249.66.1";

fn honest() -> Arc<Names> {
    Names::of(&[(CRAWLER, "crawl-66-249-66-1.googlebot.com", CRAWLER)])
}

on_both_databases! {
    fn a_crawler_is_let_in_once_dns_has_said_who_it_is(node: TestNode) {
        let names = honest();
        let mut site = open(node, &names);
        let held = names.held.blocking_lock();
        // Nobody waits for DNS, and it is asked once.
        for _ in 0..3 {
            assert_eq!(reason(&site, CRAWLER), "Deny");
        }
        names.wait(1);
        drop(held);
        settles_on(&site, CRAWLER, "VerifiedCrawler");
        assert_eq!(reason(&site, "::ffff:66.249.66.1"), "VerifiedCrawler");
        assert_eq!(names.asked(), 1);

        // What is known counts for a day, and is looked up meanwhile from half a day on.
        site.node.clock.advance(Duration::from_secs(13 * 3600));
        assert_eq!(reason(&site, CRAWLER), "VerifiedCrawler");
        names.wait(2);
        *names.is_away.lock() = true;
        site.node.clock.advance(Duration::from_secs(26 * 3600));
        assert_eq!(reason(&site, CRAWLER), "Deny");
        names.wait(3);
        // DNS is left alone for a minute, and then it is asked again.
        assert_eq!((reason(&site, CRAWLER), names.asked()), ("Deny".to_owned(), 3));
        *names.is_away.lock() = false;
        site.node.clock.advance(Duration::from_secs(61));
        settles_on(&site, CRAWLER, "VerifiedCrawler");

        // Other crawlers: what was known of addresses is forgotten.
        site.node.reload(|settings| settings.crawlers = Crawlers::default());
        assert_eq!(reason(&site, CRAWLER), "Deny");
    }

    fn who_only_says_to_be_a_crawler_is_none(node: TestNode) {
        let names = Names::of(&[
            // Whoever has an address gives it any name.
            ("203.0.113.1", "crawl-66-249-66-1.googlebot.com", CRAWLER),
            ("203.0.113.2", "crawl.googlebot.com.evil.example", "203.0.113.2"),
            ("203.0.113.3", "evilgooglebot.com", "203.0.113.3"),
            ("203.0.113.4", "googlebot.com", "203.0.113.4"),
            // A crawler that the property does not let in.
            ("157.55.39.1", "msnbot-157-55-39-1.search.msn.com", "157.55.39.1"),
        ]);
        let site = open(node, &names);
        let visitors = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "157.55.39.1", "203.0.113.5"];
        for (asked, ip) in visitors.iter().enumerate() {
            assert_eq!(reason(&site, ip), "Deny", "{ip}");
            names.wait(asked + 1);
        }
        // The last answers of DNS need a moment to be remembered.
        std::thread::sleep(Duration::from_millis(50));
        for ip in visitors {
            assert_eq!(reason(&site, ip), "Deny", "{ip}");
        }
        assert_eq!(names.asked(), visitors.len());
        // Nobody is looked up for a property that lets nobody in.
        let other = Site::add(site.node, Environment::Test);
        other.put("story", json!({ "Name": "Story" })).expect(200);
        assert_eq!((reason(&other, "203.0.113.9"), names.asked()), ("Free".to_owned(), visitors.len()));
    }
}
