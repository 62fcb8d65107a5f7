//! Which visitors are crawlers of search engines: by their addresses, or by what DNS says of these. The
//! name of an address counts where it is in a domain of the crawler and has that address itself: whoever
//! has an address names it as they like, but not what is in the domains of others.
//!
//! Nobody waits for DNS: an address that nothing is known of is nobody's at first and looked up meanwhile,
//! and what was found counts for a day.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wayleave_core::{Crawlers, Timestamp};

use crate::engine::Engine;
use crate::ports::HostNames;

/// How long what DNS said counts.
const COUNTS_FOR: Duration = Duration::from_secs(24 * 3600);
/// From which age on it is looked up anew meanwhile.
const FRESH_FOR: Duration = Duration::from_secs(12 * 3600);
/// How long DNS is left alone about an address after it did not answer.
const PAUSE: Duration = Duration::from_secs(60);
/// How many addresses are looked up at once; who comes meanwhile is looked up when they come again.
const AT_ONCE: usize = 16;
/// How many addresses are remembered.
const MOST_KNOWN: usize = 100_000;

/// What is known of an address.
#[derive(Clone)]
struct Known {
    /// The name that has it, in a domain of a crawler, and until when that counts.
    host: Option<(Arc<str>, Timestamp)>,
    /// Before this moment it is not looked up again.
    next: Timestamp,
}

/// The crawlers of a node, and who has been looked up.
#[derive(Default)]
pub(crate) struct CrawlerWatch {
    crawlers: ArcSwap<Crawlers>,
    names: Mutex<Option<Arc<dyn HostNames>>>,
    known: Mutex<HashMap<IpAddr, Known>>,
    looking: Looking,
}

/// The places of those who are looked up.
struct Looking(Arc<Semaphore>);

impl Default for Looking {
    fn default() -> Self {
        Looking(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// An address that is to be looked up, for the crawlers of that moment.
struct Turn {
    ip: IpAddr,
    now: Timestamp,
    crawlers: Arc<Crawlers>,
    names: Arc<dyn HostNames>,
    _place: OwnedSemaphorePermit,
}

impl Engine {
    /// Says which crawlers there are and where they come from. What was known of addresses is forgotten.
    pub fn set_crawlers(&self, crawlers: Crawlers) {
        self.crawlers.crawlers.store(Arc::new(crawlers));
        self.crawlers.known.lock().clear();
    }

    /// Says how names are looked up; before that none are.
    pub fn set_host_names(&self, names: Arc<dyn HostNames>) {
        *self.crawlers.names.lock() = Some(names);
    }

    /// Whether one of these crawlers comes from an address, as far as that is known at the moment.
    pub fn is_crawler_of(&self, kinds: &BTreeSet<String>, ip: IpAddr) -> bool {
        let watch = &self.crawlers;
        let crawlers = watch.crawlers.load();
        if crawlers.at(ip).any(|name| kinds.contains(name)) {
            return true;
        }
        if !crawlers.have_domains(|name| kinds.contains(name)) {
            return false;
        }
        // The same address may be written as one of IPv6.
        let (host, turn) = watch.look(ip.to_canonical(), self.now());
        if let Some(turn) = turn {
            let looking = watch.clone().look_up(turn);
            self.store.runtime().handle().spawn(looking);
        }
        let is_meant = |host: Arc<str>| {
            crawlers
                .called(&host)
                .iter()
                .any(|name| kinds.contains(*name))
        };
        host.is_some_and(is_meant)
    }
}

impl CrawlerWatch {
    /// The name of an address as far as it is known, and a turn where it is time to look it up.
    fn look(&self, ip: IpAddr, now: Timestamp) -> (Option<Arc<str>>, Option<Turn>) {
        let mut known = self.known.lock();
        let found = known.get(&ip);
        let host = found.and_then(|found| found.host.clone());
        let host = host.filter(|(_, until)| now < *until);
        let is_due = found.is_none_or(|found| found.next <= now);
        let turn = is_due.then(|| self.turn(ip, now)).flatten();
        if turn.is_some() {
            make_room(&mut known);
            let kept = Known {
                host: host.clone(),
                next: now.plus(PAUSE),
            };
            known.insert(ip, kept);
        }
        (host.map(|(host, _)| host), turn)
    }

    fn turn(&self, ip: IpAddr, now: Timestamp) -> Option<Turn> {
        Some(Turn {
            ip,
            now,
            crawlers: self.crawlers.load_full(),
            names: self.names.lock().clone()?,
            _place: self.looking.0.clone().try_acquire_owned().ok()?,
        })
    }

    async fn look_up(self: Arc<Self>, turn: Turn) {
        let found = confirmed_name(&turn).await;
        let mut known = self.known.lock();
        // Other crawlers since: what was asked for is not what counts now.
        if !Arc::ptr_eq(&turn.crawlers, &self.crawlers.load()) {
            return;
        }
        match found {
            Ok(host) => {
                let fresh_for = if host.is_some() {
                    FRESH_FOR
                } else {
                    COUNTS_FOR
                };
                let found = Known {
                    host: host.map(|host| (host, turn.now.plus(COUNTS_FOR))),
                    next: turn.now.plus(fresh_for),
                };
                known.insert(turn.ip, found);
            }
            // What was known counts on, and it is asked again after the pause.
            Err(why) => tracing::debug!(%why, "DNS does not say who a visitor is"),
        }
    }
}

/// Forgets whoever is no crawler where too many are remembered, and everybody where that does not help.
fn make_room(known: &mut HashMap<IpAddr, Known>) {
    if known.len() >= MOST_KNOWN {
        known.retain(|_, known| known.host.is_some());
    }
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
}

/// The name of an address, where it is in a domain of a crawler and has this address itself.
async fn confirmed_name(turn: &Turn) -> Result<Option<Arc<str>>, String> {
    let Some(name) = turn.names.name_of(turn.ip).await? else {
        return Ok(None);
    };
    if turn.crawlers.called(&name).is_empty() {
        return Ok(None);
    }
    let addresses = turn.names.addresses_of(&name).await?;
    let mut addresses = addresses.iter().map(IpAddr::to_canonical);
    Ok(addresses.any(|ip| ip == turn.ip).then(|| name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crawlers_are_remembered_longer_than_others_and_no_more_than_there_is_room() {
        let ip = |number: usize| IpAddr::from((number as u128).to_be_bytes());
        let never = Timestamp::from_unix_s(0);
        let somebody = |host: Option<&str>| Known {
            host: host.map(|host| (host.into(), never)),
            next: never,
        };
        let known = |host: Option<&str>| -> HashMap<IpAddr, Known> {
            let known = (0..MOST_KNOWN).map(|number| (ip(number), somebody(host)));
            known.collect()
        };
        let crawler = Some("crawl.googlebot.com");
        let mut visitors = known(None);
        visitors.insert(ip(7), somebody(crawler));
        make_room(&mut visitors);
        assert_eq!(visitors.len(), 1);
        assert!(visitors.contains_key(&ip(7)));
        let mut crawlers = known(crawler);
        make_room(&mut crawlers);
        assert!(crawlers.is_empty());
    }
}
