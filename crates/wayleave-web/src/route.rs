use std::sync::Arc;

use wayleave_core::{Admission, Limit};
use wayleave_protocol::described::DescribedScheme;
use wayleave_proxy::ApiBehind;

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

/// A path of the API behind, and who may pass to it.
#[derive(Clone, Debug)]
pub struct Route {
    /// The host name that it is for; `None`: every host.
    pub host: Option<String>,
    /// The path itself and everything below it; `/` is everything.
    pub path: String,
    /// Who may pass.
    pub admission: Admission,
    /// Where requests go, and how.
    pub upstream: ApiBehind,
    /// The scheme that the operator describes for it; who may use it is in the admission.
    pub described: Option<Arc<DescribedScheme>>,
    /// Whether a signature counts once, also of a scheme that has no nonce.
    pub refuses_replays: bool,
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
