//! The address of one server of an API behind.

use std::fmt;
use std::str::FromStr;

use http::Uri;

/// The address of one server of an API behind: the base of the addresses that it is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upstream {
    is_https: bool,
    authority: String,
    host: String,
    port: u16,
    base_path: String,
}

/// A text that cannot be the address of an API behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpstreamError;

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an upstream is an address such as http://127.0.0.1:9000 or https://api.internal/v2",
        )
    }
}

impl std::error::Error for UpstreamError {}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let uri: Uri = text.parse().map_err(|_| UpstreamError)?;
        let (is_https, usual_port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(UpstreamError),
        };
        let authority = uri.authority().ok_or(UpstreamError)?;
        let is_base = uri.query().is_none() && !uri.path().contains("//");
        if !is_base || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(UpstreamError);
        }
        let host = authority.host();
        let plain = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        Ok(Upstream {
            is_https,
            authority: authority.as_str().to_owned(),
            host: plain.unwrap_or(host).to_owned(),
            port: authority.port_u16().unwrap_or(usual_port),
            base_path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base_path)
    }
}

impl Upstream {
    /// Whether it is called over TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Host and port as they were written, for the `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where it is the usual one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What comes before every path; without a slash at its end, often empty.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_usual_port() {
        let upstream: Upstream = "https://api.internal/v2/".parse().expect("an upstream");
        assert_eq!(
            (upstream.host(), upstream.port(), upstream.base_path()),
            ("api.internal", 443, "/v2")
        );
        assert_eq!(upstream.to_string(), "https://api.internal/v2");
        let upstream: Upstream = "http://[::1]:9000".parse().expect("an upstream");
        assert_eq!((upstream.host(), upstream.port()), ("::1", 9000));
        assert_eq!(upstream.authority(), "[::1]:9000");
    }

    #[test]
    fn what_is_no_base_of_addresses_is_refused() {
        for text in [
            "",
            "api.internal",
            "ftp://x/",
            "http://u:p@x/",
            "http://x/?q=1",
            "http://x//a",
            "http://",
        ] {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
    }
}
