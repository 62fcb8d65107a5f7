use std::fmt;
use std::str::FromStr;

use http::Uri;
use wayleave_core::{Admission, Limit};

use crate::dialect::is_below;

/// Where a surface lies: on a host of its own, below a prefix, or at the root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mount {
    /// The host name, without a port; `None`: every host.
    pub host: Option<String>,
    /// Such as `/partners`; empty: at the root. Begins with a slash, has none at its end.
    pub prefix: String,
}

impl Mount {
    /// What follows the prefix, where host and prefix fit.
    pub(crate) fn strip<'p>(&self, host: &str, path: &'p str) -> Option<&'p str> {
        if !self
            .host
            .as_deref()
            .is_none_or(|own| own.eq_ignore_ascii_case(host))
        {
            return None;
        }
        if self.prefix.is_empty() {
            return Some(path);
        }
        let rest = path.strip_prefix(self.prefix.as_str())?;
        rest.starts_with('/').then_some(rest)
    }
}

/// An API behind: the base of its addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upstream {
    authority: String,
    base_path: String,
}

/// A text that cannot be the address of an API behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpstreamError;

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an upstream is an address such as http://127.0.0.1:9000 or http://api.internal/v2",
        )
    }
}

impl std::error::Error for UpstreamError {}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let uri: Uri = text.parse().map_err(|_| UpstreamError)?;
        let authority = uri.authority().ok_or(UpstreamError)?.as_str();
        let plain = uri.scheme_str() == Some("http") && uri.query().is_none();
        if !plain || authority.contains('@') {
            return Err(UpstreamError);
        }
        Ok(Upstream {
            authority: authority.to_owned(),
            base_path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base_path)
    }
}

impl Upstream {
    /// The address of a path and query at this API; they are passed on as they came.
    pub fn address(&self, path: &str, query: Option<&str>) -> Result<Uri, http::Error> {
        let mut target = String::with_capacity(self.base_path.len() + path.len() + 64);
        target.push_str(&self.base_path);
        target.push_str(path);
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        Uri::builder()
            .scheme("http")
            .authority(self.authority.as_str())
            .path_and_query(target)
            .build()
    }

    /// Host and port, for the `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// A path of the API behind, and who may pass to it.
#[derive(Clone, Debug)]
pub struct Route {
    /// The host name that it is for; `None`: every host.
    pub host: Option<String>,
    /// The path itself and everything below it; `/` is everything.
    pub path: String,
    /// Who may pass.
    pub admission: Admission,
    /// Where requests go.
    pub upstream: Upstream,
    /// The largest body that is passed on, in bytes; 0: any. `None`: as the node says.
    pub body_bytes: Option<u64>,
    /// What it is called where requests are counted; `None`: host and path.
    pub name: Option<String>,
    /// How many requests may pass, at most [`wayleave_engine::MOST_LIMITS`].
    pub limits: Vec<Limit>,
}

impl Route {
    /// What it is called where requests are counted.
    pub fn counted_as(&self) -> String {
        let host = self.host.as_deref().unwrap_or_default();
        self.name
            .clone()
            .unwrap_or_else(|| format!("{host}{}", self.path))
    }

    pub(crate) fn matches(&self, host: &str, path: &str) -> bool {
        self.host
            .as_deref()
            .is_none_or(|own| own.eq_ignore_ascii_case(host))
            && (self.path == "/" || is_below(path, &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_keeps_path_and_query_as_they_came() {
        let upstream: Upstream = "http://127.0.0.1:9000/v2/".parse().expect("an upstream");
        let address = upstream
            .address("/a%2Fb//c", Some("x=%C3%84&y=a+b"))
            .expect("an address");
        assert_eq!(
            address.to_string(),
            "http://127.0.0.1:9000/v2/a%2Fb//c?x=%C3%84&y=a+b"
        );
    }

    #[test]
    fn what_is_no_plain_http_address_is_refused() {
        for text in [
            "",
            "api.internal",
            "ftp://x/",
            "http://u:p@x/",
            "http://x/?q=1",
            "https://x/",
        ] {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_mount_strips_its_prefix_only_at_a_segment() {
        let mount = Mount {
            host: Some("api.example".into()),
            prefix: "/imoneza".into(),
        };
        assert_eq!(mount.strip("API.example", "/imoneza/api/x"), Some("/api/x"));
        assert_eq!(mount.strip("api.example", "/imonezax/api"), None);
        assert_eq!(mount.strip("other.example", "/imoneza/api"), None);
    }
}
