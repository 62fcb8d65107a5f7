//! Where a `[[route]]` leads, and how requests go there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use wayleave_proxy::{ApiBehind, ForwardSettings, HeaderRules, HealthCheck, Server, Upstream};

use super::{ConfigError, check_prefix, wrong};
use crate::upstream_tls::Trust;

/// So many servers a route may have.
const MOST_SERVERS: usize = 64;
/// The longest of all times.
const LONGEST_S: u64 = 24 * 60 * 60;

/// One address, or several of servers that do the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Addresses {
    One(String),
    Several(Vec<String>),
}

impl Addresses {
    fn as_slice(&self) -> &[String] {
        match self {
            Addresses::One(address) => std::slice::from_ref(address),
            Addresses::Several(addresses) => addresses,
        }
    }
}

/// How servers are asked how they are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthConfig {
    path: String,
    interval_s: Option<u64>,
}

/// The keys of a `[[route]]` that say how requests go on.
#[derive(Clone, Debug, Default)]
pub(super) struct Forwarding<'c> {
    pub(super) path: &'c str,
    pub(super) connect_timeout_s: Option<u64>,
    pub(super) answer_timeout_s: Option<u64>,
    pub(super) idle_timeout_s: Option<u64>,
    pub(super) retries: Option<u32>,
    pub(super) strip_prefix: &'c str,
    pub(super) add_prefix: &'c str,
    pub(super) preserve_host: bool,
    pub(super) websocket: bool,
    pub(super) set_request_headers: Option<&'c BTreeMap<String, String>>,
    pub(super) remove_request_headers: &'c [String],
    pub(super) set_answer_headers: Option<&'c BTreeMap<String, String>>,
    pub(super) remove_answer_headers: &'c [String],
    pub(super) health: Option<&'c HealthConfig>,
    pub(super) ca_file: Option<PathBuf>,
}

/// Finds a server: its address, whom to trust, how it is asked.
type Key = (String, Option<PathBuf>, Option<(String, Duration)>);

/// The servers of one environment. A server that several routes name in the same way is one: what
/// one route finds out about it, all know.
#[derive(Default)]
pub(super) struct Servers {
    trust: Trust,
    made: BTreeMap<Key, Arc<Server>>,
}

impl Servers {
    /// Where a route leads, and how.
    pub(super) fn behind(
        &mut self,
        place: &str,
        addresses: &Addresses,
        forwarding: &Forwarding<'_>,
    ) -> Result<ApiBehind, ConfigError> {
        let addresses = addresses.as_slice();
        let own = format!("{place}.upstream");
        if addresses.is_empty() || addresses.len() > MOST_SERVERS {
            let why = format!("names 1 to {MOST_SERVERS} servers");
            return Err(wrong(own, why));
        }
        let check = forwarding.health.map(|health| check(place, health));
        let check = check.transpose()?;
        let servers = addresses
            .iter()
            .map(|address| self.server(&own, address, forwarding.ca_file.as_deref(), check.clone()))
            .collect::<Result<_, _>>()?;
        Ok(ApiBehind::new(servers, settings(place, forwarding)?))
    }

    fn server(
        &mut self,
        place: &str,
        address: &str,
        ca_file: Option<&Path>,
        check: Option<HealthCheck>,
    ) -> Result<Arc<Server>, ConfigError> {
        let upstream: Upstream = address.parse().map_err(|error| wrong(place, error))?;
        let asked = check
            .as_ref()
            .map(|check| (check.path.to_string(), check.interval));
        let key = (upstream.to_string(), ca_file.map(Path::to_path_buf), asked);
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        let tls = upstream.is_https().then(|| self.trust.client(ca_file));
        let tls = tls.transpose().map_err(|error| wrong(place, error))?;
        let server = Server::new(upstream, tls).map_err(|error| wrong(place, error))?;
        let server = Arc::new(match check {
            Some(check) => server.with_check(check),
            None => server,
        });
        self.made.insert(key, server.clone());
        Ok(server)
    }
}

fn check(place: &str, health: &HealthConfig) -> Result<HealthCheck, ConfigError> {
    let path = health
        .path
        .parse()
        .ok()
        .filter(|_| health.path.starts_with('/'));
    Ok(HealthCheck {
        path: path
            .ok_or_else(|| wrong(format!("{place}.health.path"), "is a path such as /healthz"))?,
        interval: seconds(
            &format!("{place}.health.interval_s"),
            health.interval_s,
            Duration::from_secs(5),
        )?,
    })
}

fn seconds(place: &str, given: Option<u64>, usual: Duration) -> Result<Duration, ConfigError> {
    match given {
        None => Ok(usual),
        Some(seconds) if (1..=LONGEST_S).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err(wrong(place, format!("is 1 to {LONGEST_S} seconds"))),
    }
}

fn settings(place: &str, given: &Forwarding<'_>) -> Result<ForwardSettings, ConfigError> {
    let usual = ForwardSettings::default();
    let time = |name: &str, given, usual| seconds(&format!("{place}.{name}"), given, usual);
    check_rewriting(place, given)?;
    Ok(ForwardSettings {
        connect_timeout: time(
            "connect_timeout_s",
            given.connect_timeout_s,
            usual.connect_timeout,
        )?,
        answer_timeout: time(
            "answer_timeout_s",
            given.answer_timeout_s,
            usual.answer_timeout,
        )?,
        idle_timeout: time("idle_timeout_s", given.idle_timeout_s, usual.idle_timeout)?,
        retries: given.retries.unwrap_or(usual.retries),
        strip_prefix: given.strip_prefix.to_owned(),
        add_prefix: given.add_prefix.to_owned(),
        preserve_host: given.preserve_host,
        websocket: given.websocket,
        request_headers: rules(
            place,
            "request_headers",
            given.set_request_headers,
            given.remove_request_headers,
        )?,
        answer_headers: rules(
            place,
            "answer_headers",
            given.set_answer_headers,
            given.remove_answer_headers,
        )?,
    })
}

/// What is stripped has to be there in every path of the route, so that no path is rewritten in one
/// request and not in another.
fn check_rewriting(place: &str, given: &Forwarding<'_>) -> Result<(), ConfigError> {
    check_prefix(&format!("{place}.strip_prefix"), given.strip_prefix)?;
    let own = format!("{place}.add_prefix");
    let add = given.add_prefix;
    let can_be_read_twice = add.contains(['%', '\\', '?', '#'])
        || add.contains("//")
        || add.split('/').any(|segment| matches!(segment, "." | ".."));
    if !add.is_empty() && (!add.starts_with('/') || add.ends_with('/') || can_be_read_twice) {
        return Err(wrong(
            own,
            "begins with a slash, has none at its end, and is plain, such as /internal",
        ));
    }
    let rest = given.path.strip_prefix(given.strip_prefix);
    if rest.is_none_or(|rest| !(rest.is_empty() || rest.starts_with('/'))) {
        return Err(wrong(
            format!("{place}.strip_prefix"),
            "is no beginning of the route's path, so that it could not be taken off every request",
        ));
    }
    Ok(())
}

fn rules(
    place: &str,
    of: &str,
    set: Option<&BTreeMap<String, String>>,
    remove: &[String],
) -> Result<HeaderRules, ConfigError> {
    let mut rules = HeaderRules::default();
    for name in remove {
        let place = format!("{place}.remove_{of}");
        rules.remove.push(changeable(&place, name)?);
    }
    for (name, value) in set.into_iter().flatten() {
        let place = format!("{place}.set_{of}");
        let why = "is no value of a header";
        let value =
            HeaderValue::from_str(value).map_err(|_| wrong(format!("{place}.{name}"), why))?;
        rules.set.push((changeable(&place, name)?, value));
    }
    Ok(rules)
}

/// The name of a header that the operator may change: not what Wayleave says, nor what belongs to
/// the connection or to the length of the body.
fn changeable(place: &str, name: &str) -> Result<HeaderName, ConfigError> {
    let parsed: HeaderName = name
        .parse()
        .map_err(|_| wrong(place, format!("{name} is no name of a header")))?;
    if wayleave_proxy::is_ours(&parsed) {
        let why = format!("{name} is not for settings: Wayleave or the connection decides it");
        return Err(wrong(place, why));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(forwarding: &Forwarding<'_>) -> String {
        let addresses = Addresses::One("http://a.internal".into());
        let made = Servers::default().behind("route[0]", &addresses, forwarding);
        made.expect_err("a refusal").to_string()
    }

    fn forwarding() -> Forwarding<'static> {
        Forwarding {
            path: "/shop",
            ..Forwarding::default()
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let said = refusal(&Forwarding {
            strip_prefix: "/sho",
            ..forwarding()
        });
        assert!(said.contains("route[0].strip_prefix"), "{said}");
        for add in ["x", "/x/", "/a//b", "/%61", "/a/..", "/a?b"] {
            let said = refusal(&Forwarding {
                add_prefix: add,
                ..forwarding()
            });
            assert!(said.contains("route[0].add_prefix"), "{add}: {said}");
        }
        let said = refusal(&Forwarding {
            answer_timeout_s: Some(0),
            ..forwarding()
        });
        assert!(said.contains("answer_timeout_s"), "{said}");
        for name in [
            "Host",
            "Wayleave-Partner",
            "content-length",
            "Connection",
            "X-Forwarded-For",
            "transfer_encoding",
        ] {
            let said = refusal(&Forwarding {
                remove_request_headers: &[name.to_owned()],
                ..forwarding()
            });
            assert!(said.contains(name), "{said}");
        }
    }

    #[test]
    fn a_server_that_two_routes_name_is_one() {
        let mut servers = Servers::default();
        let addresses = Addresses::Several(vec!["http://a:1".into(), "http://b:1".into()]);
        let one = servers
            .behind("one", &addresses, &forwarding())
            .expect("one");
        let other = servers
            .behind("other", &addresses, &forwarding())
            .expect("other");
        assert!(Arc::ptr_eq(&one.servers()[1], &other.servers()[1]));
        let health = HealthConfig {
            path: "/healthz".into(),
            interval_s: None,
        };
        let asked = Forwarding {
            health: Some(&health),
            ..forwarding()
        };
        let asked = servers.behind("asked", &addresses, &asked).expect("asked");
        assert!(!Arc::ptr_eq(&one.servers()[1], &asked.servers()[1]));
    }
}
