use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wayleave_core::{Admission, Audience, Environment, Scope, check_name};
use wayleave_proxy::ApiBehind;
use wayleave_web::Route;

use super::limit::Limits;
use super::scheme::Schemes;
use super::upstream::{Addresses, Forwarding, HealthConfig, Servers};
use super::{ConfigError, check_prefix, wrong};

/// A `[[route]]` of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteConfig {
    path: String,
    host: Option<String>,
    audiences: Vec<String>,
    schemes: Vec<String>,
    /// What becomes of a signature without a nonce that is sent again.
    replay: Option<Replay>,
    #[serde(default)]
    scopes: Vec<String>,
    /// What it is called where requests are counted.
    name: Option<String>,
    /// Names of limits.
    #[serde(default)]
    limits: Vec<String>,
    /// By environment: `live` and `test`. An environment without one lacks the route.
    upstream: BTreeMap<String, Addresses>,
    body_bytes: Option<u64>,
    connect_timeout_s: Option<u64>,
    answer_timeout_s: Option<u64>,
    idle_timeout_s: Option<u64>,
    retries: Option<u32>,
    #[serde(default)]
    strip_prefix: String,
    #[serde(default)]
    add_prefix: String,
    #[serde(default)]
    preserve_host: bool,
    #[serde(default)]
    websocket: bool,
    set_request_headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    remove_request_headers: Vec<String>,
    set_answer_headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    remove_answer_headers: Vec<String>,
    health: Option<HealthConfig>,
    /// Whom to trust about `https` servers, in PEM.
    ca_file: Option<PathBuf>,
}

/// What becomes of a signature without a nonce that is sent again within its window.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Replay {
    Allow,
    Refuse,
}

impl RouteConfig {
    fn forwarding(&self, data: &Path) -> Forwarding<'_> {
        Forwarding {
            path: &self.path,
            connect_timeout_s: self.connect_timeout_s,
            answer_timeout_s: self.answer_timeout_s,
            idle_timeout_s: self.idle_timeout_s,
            retries: self.retries,
            strip_prefix: &self.strip_prefix,
            add_prefix: &self.add_prefix,
            preserve_host: self.preserve_host,
            websocket: self.websocket,
            set_request_headers: self.set_request_headers.as_ref(),
            remove_request_headers: &self.remove_request_headers,
            set_answer_headers: self.set_answer_headers.as_ref(),
            remove_answer_headers: &self.remove_answer_headers,
            health: self.health.as_ref(),
            ca_file: self.ca_file.as_ref().map(|file| data.join(file)),
        }
    }
}

/// The routes that an environment has: those with an upstream for it. `data`: where relative paths
/// start.
pub(super) fn routes(
    configs: &[RouteConfig],
    schemes: &Schemes,
    environment: Environment,
    limits: &Limits,
    data: &Path,
    servers: &mut Servers,
) -> Result<Vec<Route>, ConfigError> {
    let mut routes = Vec::new();
    for (number, config) in configs.iter().enumerate() {
        let place = format!("route[{number}]");
        let Some(upstream) = config.upstream.get(environment.as_str()) else {
            continue;
        };
        routes.push(Route {
            limits: limits.named(&format!("{place}.limits"), &config.limits)?,
            ..route(&place, config, schemes, |place| {
                servers.behind(place, upstream, &config.forwarding(data))
            })?
        });
    }
    Ok(routes)
}

fn route(
    place: &str,
    config: &RouteConfig,
    schemes: &Schemes,
    upstream: impl FnOnce(&str) -> Result<ApiBehind, ConfigError>,
) -> Result<Route, ConfigError> {
    if config.path != "/" {
        check_prefix(&format!("{place}.path"), &config.path)?;
    }
    if config.path.is_empty() {
        return Err(wrong(
            format!("{place}.path"),
            "is empty; write / for everything",
        ));
    }
    let words = |name: &str, given: &[String]| {
        if given.is_empty() {
            Err(wrong(
                format!("{place}.{name}"),
                "is empty, so that nobody could pass",
            ))
        } else {
            Ok(())
        }
    };
    words("audiences", &config.audiences)?;
    words("schemes", &config.schemes)?;
    let (schemes, described) = schemes.read(&format!("{place}.schemes"), &config.schemes)?;
    Ok(Route {
        host: config.host.clone(),
        path: config.path.clone(),
        admission: Admission {
            audiences: parse_all::<Audience, _>(&format!("{place}.audiences"), &config.audiences)?,
            schemes,
            scopes: parse_all::<Scope, _>(&format!("{place}.scopes"), &config.scopes)?,
        },
        described,
        refuses_replays: config.replay == Some(Replay::Refuse),
        upstream: upstream(place)?,
        body_bytes: config.body_bytes,
        name: checked_name(place, config)?,
        limits: Vec::new(),
    })
}

fn checked_name(place: &str, config: &RouteConfig) -> Result<Option<String>, ConfigError> {
    if let Some(name) = &config.name {
        check_name(name).map_err(|error| wrong(format!("{place}.name"), error))?;
    }
    Ok(config.name.clone())
}

fn parse_all<T, S>(place: &str, words: &[String]) -> Result<S, ConfigError>
where
    T: std::str::FromStr<Err: ToString>,
    S: FromIterator<T>,
{
    words
        .iter()
        .map(|word| {
            word.parse()
                .map_err(|error: T::Err| wrong(place, error.to_string()))
        })
        .collect()
}
