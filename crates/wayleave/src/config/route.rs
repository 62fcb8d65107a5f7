use std::collections::BTreeMap;

use serde::Deserialize;
use wayleave_core::{Admission, Audience, Environment, Scheme, Scope, check_name};
use wayleave_web::Route;

use super::limit::Limits;
use super::{ConfigError, check_prefix, parse_upstream, wrong};

/// A `[[route]]` of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteConfig {
    path: String,
    host: Option<String>,
    audiences: Vec<String>,
    schemes: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    /// What it is called where requests are counted.
    name: Option<String>,
    /// Names of limits.
    #[serde(default)]
    limits: Vec<String>,
    /// By environment: `live` and `test`. An environment without one lacks the route.
    upstream: BTreeMap<String, String>,
    body_bytes: Option<u64>,
}

/// The routes that an environment has: those with an upstream for it.
pub(super) fn routes(
    configs: &[RouteConfig],
    environment: Environment,
    limits: &Limits,
) -> Result<Vec<Route>, ConfigError> {
    let mut routes = Vec::new();
    for (number, config) in configs.iter().enumerate() {
        let place = format!("route[{number}]");
        let Some(upstream) = config.upstream.get(environment.as_str()) else {
            continue;
        };
        routes.push(Route {
            limits: limits.named(&format!("{place}.limits"), &config.limits)?,
            ..route(&place, config, upstream)?
        });
    }
    Ok(routes)
}

fn route(place: &str, config: &RouteConfig, upstream: &str) -> Result<Route, ConfigError> {
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
    Ok(Route {
        host: config.host.clone(),
        path: config.path.clone(),
        admission: Admission {
            audiences: parse_all::<Audience, _>(&format!("{place}.audiences"), &config.audiences)?,
            schemes: parse_all::<Scheme, _>(&format!("{place}.schemes"), &config.schemes)?,
            scopes: parse_all::<Scope, _>(&format!("{place}.scopes"), &config.scopes)?,
        },
        upstream: parse_upstream(&format!("{place}.upstream"), upstream)?,
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
