//! The address that a partner named, in the one reading that it has; what could be read in two ways is
//! refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::uri::PathAndQuery;

use super::address::is_public;

const LONGEST: usize = 2048;
/// Of a host name, and of one label of it (RFC 1035, section 2.3.4).
const LONGEST_HOST: usize = 253;
const LONGEST_LABEL: usize = 63;
/// Ports below this are those of known protocols.
const FIRST_FREE_PORT: u16 = 1024;

/// What is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) is_tls: bool,
    /// Without brackets.
    pub(super) host: String,
    /// Where the host is an IP address.
    pub(super) ip: Option<IpAddr>,
    pub(super) port: u16,
    /// Host and port as they were written.
    pub(super) authority: String,
    /// Path and query as they were written.
    pub(super) path: String,
}

impl Target {
    /// Reads an address. Errors: why it may not be called, for whoever named it.
    pub(super) fn parse(url: &str, to_loopback: bool) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#';
        if url.is_empty() || url.len() > LONGEST || !url.bytes().all(is_plain) {
            return Err(format!(
                "the address has 1 to {LONGEST} ASCII characters, without blanks, \\ and #; write other letters as they stand in the DNS (xn--…)"
            ));
        }
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let is_tls = match () {
            () if scheme.eq_ignore_ascii_case("https") => true,
            () if to_loopback && scheme.eq_ignore_ascii_case("http") => false,
            () => return Err("the address has to begin with https://".to_owned()),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("the address must not hold a name or password".to_owned());
        }
        let (host, port) = split_port(authority)?;
        let usual_port = if is_tls { 443 } else { 80 };
        let (host, ip) = read_host(host, to_loopback)?;
        if !is_tls && ip.is_none() && host != "localhost" {
            return Err("plain http is for localhost only: take https://".to_owned());
        }
        let target = Target {
            is_tls,
            port: port.map_or(Ok(usual_port), read_port)?,
            authority: authority.to_owned(),
            path: read_path(path)?,
            host,
            ip,
        };
        if let Some(ip) = target.ip {
            target.check_ip(ip, to_loopback)?;
        }
        Ok(target)
    }

    /// Whether an IP address may be called as this target's.
    pub(super) fn check_ip(&self, ip: IpAddr, to_loopback: bool) -> Result<(), String> {
        let is_fine = (self.is_tls && is_public(ip)) || (to_loopback && ip.is_loopback());
        match is_fine {
            true => Ok(()),
            false => Err("the address is not one on the public Internet".to_owned()),
        }
    }
}

/// Host and port of an authority; the host of IPv6 in its brackets.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), String> {
    let end = match authority.starts_with('[') {
        true => authority.find(']').map(|end| end + 1),
        false => Some(authority.find(':').unwrap_or(authority.len())),
    };
    let end = end.ok_or("the address has a [ without a ]")?;
    match authority.split_at(end) {
        (host, "") => Ok((host, None)),
        (host, rest) => match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None => Err("the address has something between its host and its path".to_owned()),
        },
    }
}

fn read_port(text: &str) -> Result<u16, String> {
    let is_one_way = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(port) if is_one_way && (port == 443 || port >= FIRST_FREE_PORT) => Ok(port),
        _ => Err(format!(
            "the port of the address is 443, or one from {FIRST_FREE_PORT} to 65535"
        )),
    }
}

fn read_path(text: &str) -> Result<String, String> {
    let path = match text.starts_with('/') {
        true => text.to_owned(),
        false => format!("/{text}"),
    };
    match path.parse::<PathAndQuery>() {
        Ok(read) if read.as_str() == path => Ok(path),
        _ => Err("the path of the address has characters that no path has".to_owned()),
    }
}

/// The host without brackets, and as an IP address where it is one.
fn read_host(text: &str, to_loopback: bool) -> Result<(String, Option<IpAddr>), String> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.trim_end_matches(']');
        let ip: Ipv6Addr = inner
            .parse()
            .map_err(|_| "what stands in [ ] is no IPv6 address")?;
        return Ok((inner.to_owned(), Some(ip.into())));
    }
    let host = text.to_ascii_lowercase();
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(is_letter)
    };
    if host.len() > LONGEST_HOST || !labels.iter().all(is_label) {
        return Err(
            "the host of the address is no name of letters, digits, - and _ with dots between them"
                .to_owned(),
        );
    }
    if is_numeric(labels.last().copied().unwrap_or_default()) {
        let ip: Ipv4Addr = host.parse().map_err(
            |_| "an IPv4 address is written as four decimal numbers without zeros before them",
        )?;
        return Ok((host, Some(ip.into())));
    }
    if labels.len() == 1 && !(to_loopback && host == "localhost") {
        return Err(
            "the host of the address has to be a full name, such as hooks.example.com".to_owned(),
        );
    }
    Ok((host, None))
}

/// Whether some resolver would read a host that ends in this label as a number: decimal, octal or hex.
fn is_numeric(label: &str) -> bool {
    let is_decimal = label.bytes().all(|byte| byte.is_ascii_digit());
    let hex = label.strip_prefix("0x");
    is_decimal || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_as_it_was_written() {
        let read = Target::parse("https://Hooks.example.com:8443/a/b?c=%7C&d", false).unwrap();
        assert_eq!(read.host, "hooks.example.com");
        assert_eq!(read.authority, "Hooks.example.com:8443");
        assert_eq!((read.path.as_str(), read.port), ("/a/b?c=%7C&d", 8443));
        let bare = Target::parse("HTTPS://hooks.example.com", false).unwrap();
        assert_eq!((bare.path.as_str(), bare.port), ("/", 443));
        let asking = Target::parse("https://hooks.example.com?id=1", false).unwrap();
        assert_eq!(asking.path, "/?id=1");
    }

    #[test]
    fn ports_are_443_or_free_ones_in_one_spelling() {
        for port in ["443", "1024", "8443", "65535"] {
            let url = format!("https://hooks.example.com:{port}/");
            assert!(Target::parse(&url, false).is_ok(), "{port}");
        }
        for port in [
            "", "0", "22", "25", "80", "1023", "0443", "+443", "65536", "443x", "1e4",
        ] {
            let url = format!("https://hooks.example.com:{port}/");
            assert!(Target::parse(&url, false).is_err(), "{port}");
        }
    }
}
