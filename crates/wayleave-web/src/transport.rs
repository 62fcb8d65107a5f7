use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

/// One accepted connection.
#[derive(Debug)]
pub struct Connection {
    /// Who connected.
    pub peer: IpAddr,
    /// Whether the connection is TLS, ended here.
    pub tls: bool,
    /// What the ids of its requests begin with.
    id: String,
    requests: AtomicU64,
}

impl Connection {
    /// A new connection. `number`: among all since the start. `run`: differs from start to start, so
    /// that ids of two runs do not meet.
    pub fn new(peer: IpAddr, tls: bool, number: u64, run: u32) -> Self {
        // An IPv4 peer on a dual-stack socket is the same peer.
        Connection {
            peer: peer.to_canonical(),
            tls,
            id: format!("req_{run:08x}{number:x}-"),
            requests: AtomicU64::new(0),
        }
    }

    /// The id of the next request on it: what finds it in the log.
    pub fn next_request_id(&self) -> String {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        let digits = (count.max(1).ilog2() / 4 + 1) as usize;
        // As long as it will be, so that it becomes a header without being copied.
        let mut id = String::with_capacity(self.id.len() + digits);
        id.push_str(&self.id);
        for place in (0..digits).rev() {
            let digit = (count >> (4 * place)) as usize % 16;
            id.push(char::from(b"0123456789abcdef"[digit]));
        }
        id
    }
}

/// The proxies whose word about the client counts: none unless set.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// A setting that is not an address or a network such as `10.0.0.0/8`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustedProxiesError(String);

impl fmt::Display for TrustedProxiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not an address or a network such as 10.0.0.0/8",
            self.0
        )
    }
}

impl std::error::Error for TrustedProxiesError {}

impl TrustedProxies {
    /// Reads addresses and networks (CIDR).
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, TrustedProxiesError> {
        let networks = texts.iter().map(|text| {
            let text = text.as_ref();
            Network::from_str(text).map_err(|()| TrustedProxiesError(text.to_owned()))
        });
        networks.collect::<Result<_, _>>().map(TrustedProxies)
    }

    /// Whether nobody's word counts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is one of theirs.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether the request came over https, or from this very machine. A trusted proxy is asked;
    /// nobody else's word counts.
    pub(crate) fn is_secure(&self, connection: &Connection, headers: &HeaderMap) -> bool {
        if connection.tls {
            return true;
        }
        match self.forwarded_proto(connection, headers) {
            Some(proto) => proto.eq_ignore_ascii_case("https"),
            None => connection.peer.is_loopback(),
        }
    }

    /// `https` where the client's own connection was TLS, here or at a trusted proxy.
    pub(crate) fn scheme(&self, connection: &Connection, headers: &HeaderMap) -> &'static str {
        let forwarded = || self.forwarded_proto(connection, headers);
        let is_tls =
            connection.tls || forwarded().is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
        if is_tls { "https" } else { "http" }
    }

    /// The host that the client wrote, where a trusted proxy says so: it may have changed `Host`.
    pub(crate) fn forwarded_host<'h>(
        &self,
        connection: &Connection,
        headers: &'h HeaderMap,
    ) -> Option<&'h str> {
        if !self.trusts(connection.peer) {
            return None;
        }
        // Several proxies: the one that the client called wrote first.
        let first = headers.get("x-forwarded-host")?.to_str().ok()?.split(',');
        first.map(str::trim).find(|host| !host.is_empty())
    }

    fn forwarded_proto<'h>(
        &self,
        connection: &Connection,
        headers: &'h HeaderMap,
    ) -> Option<&'h str> {
        if !self.trusts(connection.peer) {
            return None;
        }
        // Several proxies: the nearest wrote last.
        headers
            .get_all("x-forwarded-proto")
            .iter()
            .next_back()?
            .to_str()
            .ok()?
            .rsplit(',')
            .next()
            .map(str::trim)
    }

    /// Where the request came from: the peer, or the nearest address in `X-Forwarded-For` that no
    /// trusted proxy has (read from the right).
    pub(crate) fn source(&self, connection: &Connection, headers: &HeaderMap) -> IpAddr {
        let mut source = connection.peer;
        if !self.trusts(source) {
            return source;
        }
        let values: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for value in values.into_iter().rev() {
            let Ok(address) = value.trim().parse::<IpAddr>() else {
                break;
            };
            source = address.to_canonical();
            if !self.trusts(source) {
                break;
            }
        }
        source
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(drop)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(drop)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            Err(())
        } else {
            Ok(Network { address, bits })
        }
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                let differing = u32::from(mine) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => {
                let differing = u128::from(mine) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    fn from(peer: &str) -> Connection {
        Connection::new(peer.parse().expect("an address"), false, 1, 1)
    }

    #[test]
    fn the_requests_of_a_connection_are_numbered() {
        let connection = from("192.0.2.1");
        for count in 0..300 {
            let id = format!("req_000000011-{count:x}");
            assert_eq!(connection.next_request_id(), id);
        }
    }

    #[test]
    fn only_a_trusted_proxys_word_for_https_counts() {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8"]).expect("networks");
        let https = headers("x-forwarded-proto", "https");
        assert!(proxies.is_secure(&from("10.1.2.3"), &https));
        assert!(!proxies.is_secure(&from("192.0.2.1"), &https));
        assert!(!proxies.is_secure(&from("10.1.2.3"), &HeaderMap::new()));
        assert!(proxies.is_secure(&from("127.0.0.1"), &HeaderMap::new()));
        let local = TrustedProxies::parse(&["127.0.0.1"]).expect("networks");
        assert!(!local.is_secure(&from("127.0.0.1"), &headers("x-forwarded-proto", "http")));
    }

    #[test]
    fn the_source_is_the_nearest_address_that_no_proxy_has() {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8", "2001:db8::/32"]).expect("networks");
        let chain = headers("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.0.0.2");
        assert_eq!(
            proxies.source(&from("10.0.0.1"), &chain),
            IpAddr::from([198, 51, 100, 7])
        );
        assert_eq!(
            proxies.source(&from("192.0.2.1"), &chain),
            IpAddr::from([192, 0, 2, 1])
        );
    }

    #[test]
    fn a_network_that_is_none_is_refused() {
        for text in ["10.0.0.0/33", "ten", "10.0.0.0/x", ""] {
            assert!(TrustedProxies::parse(&[text]).is_err(), "{text}");
        }
    }
}
