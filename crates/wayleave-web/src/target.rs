use http::{HeaderMap, Uri, header};
use wayleave_core::Environment;

use crate::route::Mount;

/// Where a request goes, as received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The host name without its port.
    pub(crate) host: &'a str,
    /// The whole path.
    pub(crate) whole: &'a str,
    /// The path without the environment's prefix and stage prefix.
    pub(crate) path: &'a str,
    /// What follows the first question mark.
    pub(crate) query: Option<&'a str>,
    /// The path begins with a stage prefix of the other environment: nothing of that is here.
    pub(crate) is_foreign: bool,
}

impl<'a> Target<'a> {
    /// Reads path, query and host of a request. `prefix`: the environment's own on a shared
    /// listener, else empty.
    pub(crate) fn read(
        environment: Environment,
        prefix: &str,
        path_and_query: (&'a str, Option<&'a str>),
        host: &'a str,
    ) -> Self {
        let (whole, query) = path_and_query;
        let path = strip_segment(whole, prefix).unwrap_or(whole);
        let mut target = Target {
            host,
            whole,
            path,
            query,
            is_foreign: false,
        };
        for owner in Environment::ALL {
            for stage in owner.stage_prefixes() {
                if let Some(path) = strip_segment(path, stage) {
                    target.path = path;
                    target.is_foreign = owner != environment;
                }
            }
        }
        target
    }
}

/// Takes a prefix off at the end of a segment; a path that is just the prefix becomes `/`.
fn strip_segment<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    if prefix.is_empty() {
        return None;
    }
    let rest = path.strip_prefix(prefix)?;
    match rest.as_bytes().first() {
        None => Some("/"),
        Some(b'/') => Some(rest),
        Some(_) => None,
    }
}

/// The host name that a request is for: of an absolute target, or of the `Host` header; without
/// the port, empty where there is none.
pub(crate) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    if let Some(host) = uri.host() {
        return host;
    }
    let value = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    host_name(value)
}

/// A host as a header has it, without its port.
pub(crate) fn host_name(value: &str) -> &str {
    match value.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => value,
    }
}

/// Host and port that a request is for, as they were written: of an absolute target, or of the
/// `Host` header; empty where there is none.
pub(crate) fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    let header = || headers.get(header::HOST)?.to_str().ok();
    let own = uri.authority().map(|authority| authority.as_str());
    own.or_else(header).unwrap_or_default()
}

/// Which of the environments on a shared listener a request is for: the first whose host and
/// prefix fit. On a listener of its own an environment has neither.
pub fn select_environment<'m, T>(
    choices: &'m [(Mount, T)],
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<&'m T> {
    let host = host(uri, headers);
    let fits =
        |mount: &Mount| mount.prefix == uri.path() || mount.strip(host, uri.path()).is_some();
    choices
        .iter()
        .find(|(mount, _)| fits(mount))
        .map(|(_, choice)| choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(environment: Environment, prefix: &str, path: &'static str) -> Option<&'static str> {
        let target = Target::read(environment, prefix, (path, None), "h");
        (!target.is_foreign).then_some(target.path)
    }

    #[test]
    fn an_environment_strips_its_own_stages_and_knows_not_the_others() {
        assert_eq!(path(Environment::Live, "", "/prod/token"), Some("/token"));
        assert_eq!(path(Environment::Live, "", "/stag/token"), None);
        assert_eq!(path(Environment::Test, "", "/stag/token"), Some("/token"));
        assert_eq!(path(Environment::Test, "", "/devl"), Some("/"));
        assert_eq!(path(Environment::Test, "", "/prod"), None);
        assert_eq!(
            path(Environment::Test, "", "/production/x"),
            Some("/production/x")
        );
    }

    #[test]
    fn a_stage_is_stripped_once_and_after_the_environments_prefix() {
        assert_eq!(
            path(Environment::Test, "/test", "/test/stag/token"),
            Some("/token")
        );
        assert_eq!(
            path(Environment::Test, "", "/stag/stag/token"),
            Some("/stag/token")
        );
    }

    #[test]
    fn a_shared_listener_selects_by_host_or_prefix() {
        let mount = |host: Option<&str>, prefix: &str| Mount {
            host: host.map(str::to_owned),
            prefix: prefix.to_owned(),
        };
        let choices = [
            (mount(Some("api.example"), ""), 1),
            (mount(None, "/test"), 2),
        ];
        let select = |uri: &str, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, http::HeaderValue::from_static(host));
            select_environment(&choices, &uri.parse().expect("a uri"), &headers).copied()
        };
        assert_eq!(select("/token", "API.example:8443"), Some(1));
        assert_eq!(select("/test/token", "other.example"), Some(2));
        assert_eq!(select("/token", "other.example"), None);
        assert_eq!(select("http://api.example/token", "other.example"), Some(1));
    }
}
