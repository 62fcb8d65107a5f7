use std::net::{IpAddr, SocketAddr};

use http::Uri;
use wayleave_protocol::http_signature::normal_authority;

/// Under which names clients reach an environment: what a signature may say as its authority. A
/// request for another name was signed for somebody else, or a proxy changed its `Host`.
#[derive(Clone, Debug, Default)]
pub struct Authorities {
    /// Hosts with their ports, in their normal form (RFC 9110 section 4.2.3).
    exact: Vec<String>,
    /// Hosts with whatever port, in small letters.
    hosts: Vec<String>,
}

impl Authorities {
    /// Adds that of an address such as `https://api.example.com:8443`. What is no address adds
    /// nothing.
    pub fn add_url(&mut self, url: &str) {
        let Ok(uri) = url.parse::<Uri>() else { return };
        if let Some(authority) = uri.authority() {
            let scheme = uri.scheme_str().unwrap_or("https");
            self.exact
                .push(normal_authority(scheme, authority.as_str()));
            let ip: Option<IpAddr> = authority.host().trim_matches(['[', ']']).parse().ok();
            if let (Some(ip), Some(port)) = (ip, authority.port_u16()) {
                self.add_address(SocketAddr::new(ip, port));
            }
        }
    }

    /// Adds host and port as they are written, such as `api.example.com`.
    pub fn add(&mut self, authority: &str) {
        self.exact.push(normal_authority("https", authority));
    }

    /// Adds a host with whatever port.
    pub fn add_host(&mut self, host: &str) {
        self.hosts.push(host.to_ascii_lowercase());
    }

    /// Adds an address that is bound. This machine has several names for itself.
    pub fn add_address(&mut self, address: SocketAddr) {
        let (ip, port) = (address.ip(), address.port());
        if port == 0 {
            return;
        }
        if ip.is_loopback() || ip.is_unspecified() {
            for own in ["localhost", "127.0.0.1", "[::1]"] {
                self.exact.push(format!("{own}:{port}"));
            }
        }
        self.exact.push(address.to_string());
    }

    /// Whether a request for this authority is one for this environment.
    pub(crate) fn knows(&self, scheme: &str, authority: &str) -> bool {
        let normal = normal_authority(scheme, authority);
        let host = match normal.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &normal,
        };
        self.exact.contains(&normal) || self.hosts.iter().any(|own| own == host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_the_scheme_has_anyway_and_letter_case_say_nothing() {
        let mut own = Authorities::default();
        own.add_url("https://API.example");
        for name in ["api.example", "API.Example:443", "api.EXAMPLE:"] {
            assert!(own.knows("https", name), "{name}");
        }
        for (scheme, name) in [
            ("http", "api.example:443"),
            ("https", "api.example:80"),
            ("https", "api.example.evil"),
            ("https", "evil"),
            ("https", ""),
        ] {
            assert!(!own.knows(scheme, name), "{scheme} {name}");
        }
    }

    #[test]
    fn this_machine_is_known_by_all_its_names_at_its_own_port() {
        let mut own = Authorities::default();
        own.add_url("http://127.0.0.1:8080");
        for name in [
            "127.0.0.1:8080",
            "localhost:8080",
            "LOCALHOST:8080",
            "[::1]:8080",
        ] {
            assert!(own.knows("http", name), "{name}");
        }
        assert!(!own.knows("http", "localhost:8081"));
        assert!(!own.knows("http", "localhost"));
    }

    #[test]
    fn a_host_of_a_route_is_known_at_every_port() {
        let mut own = Authorities::default();
        own.add_host("Jobs.example");
        assert!(own.knows("https", "jobs.example"));
        assert!(own.knows("http", "jobs.example:9000"));
        assert!(!own.knows("http", "example"));
    }
}
