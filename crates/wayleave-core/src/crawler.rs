//! Who crawlers of search engines are: by the addresses from which their operators say they come, or by
//! the domains in which they say that the names of those addresses are. What a crawler says of itself
//! anybody can say, so it does not count.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Addresses that begin with the same bits (RFC 4632, RFC 4291 section 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpRange {
    /// The first address, as one of IPv6.
    first: u128,
    /// How many bits are alike, of 128.
    length: u32,
}

/// A text that is no range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RangeError;

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a range is an address and a length, such as 66.249.64.0/27 or 2001:4860:4801:10::/64, and the address has no bits beyond the length",
        )
    }
}

impl std::error::Error for RangeError {}

/// The bits before an address of IPv4 that is written as one of IPv6.
const MAPPED_BITS: u32 = 96;

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl IpRange {
    /// Whether an address is in it. One of IPv4 is the same within IPv6 (`::ffff:…`).
    pub fn contains(&self, ip: IpAddr) -> bool {
        (bits(ip) ^ self.first) & self.mask() == 0
    }

    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128 - self.length).unwrap_or(0)
    }
}

impl FromStr for IpRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (address, length) = text.split_once('/').ok_or(RangeError)?;
        let ip: IpAddr = address.parse().map_err(|_| RangeError)?;
        let before = if ip.is_ipv4() { MAPPED_BITS } else { 0 };
        let is_plain = length.bytes().all(|byte| byte.is_ascii_digit());
        let length: u32 = length.parse().map_err(|_| RangeError)?;
        let range = IpRange {
            first: bits(ip),
            length: length.saturating_add(before),
        };
        let is_fine = is_plain && length > 0 && range.length <= 128;
        match is_fine && range.first & !range.mask() == 0 {
            true => Ok(range),
            false => Err(RangeError),
        }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = Ipv6Addr::from_bits(self.first);
        match (ip.to_ipv4_mapped(), self.length.checked_sub(MAPPED_BITS)) {
            (Some(ip), Some(length)) => write!(f, "{ip}/{length}"),
            _ => write!(f, "{ip}/{}", self.length),
        }
    }
}

/// The longest text of a host name (RFC 1035 section 2.3.4).
const LONGEST_HOST: usize = 253;
/// The longest part of one between two dots.
const LONGEST_LABEL: usize = 63;

/// A domain in which the names of a crawler's addresses are, such as `googlebot.com`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CrawlerDomain(String);

/// A text that is no domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DomainError;

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a domain is a name of at least two parts, such as googlebot.com, without a dot at its beginning or end")
    }
}

impl std::error::Error for DomainError {}

impl CrawlerDomain {
    /// Whether a host is below it. `host`: in small letters, without a dot at its end.
    fn has(&self, host: &str) -> bool {
        let before = host.strip_suffix(self.0.as_str());
        before.is_some_and(|before| before.len() > 1 && before.ends_with('.'))
    }
}

impl FromStr for CrawlerDomain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let domain = text.to_ascii_lowercase();
        let is_name = is_host_name(&domain) && domain.contains('.');
        // The last part of a name is no number, that of an address is.
        let is_address = domain.ends_with(|last: char| last.is_ascii_digit());
        match is_name && !is_address {
            true => Ok(CrawlerDomain(domain)),
            false => Err(DomainError),
        }
    }
}

/// Whether a text in small letters is the name of a host (RFC 1123 section 2.1; `_` is seen in names of
/// addresses, too).
fn is_host_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let mut bytes = part.bytes();
        (1..=LONGEST_LABEL).contains(&part.len())
            && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    text.len() <= LONGEST_HOST && text.split('.').all(is_part)
}

/// A crawler and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crawler {
    /// Its name, such as `googlebot`, by which properties let it in.
    pub name: String,
    /// The addresses from which its operator says that it comes.
    pub ranges: Vec<IpRange>,
    /// The domains in which its operator says that the names of its addresses are.
    pub domains: Vec<CrawlerDomain>,
}

/// The crawlers that a node knows.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Crawlers(Vec<Crawler>);

impl Crawlers {
    /// These crawlers.
    pub fn new(crawlers: Vec<Crawler>) -> Self {
        Crawlers(crawlers)
    }

    /// The names of the crawlers that come from an address.
    pub fn at(&self, ip: IpAddr) -> impl Iterator<Item = &str> {
        let is_there = move |crawler: &&Crawler| {
            let mut ranges = crawler.ranges.iter();
            ranges.any(|range| range.contains(ip))
        };
        let found = self.0.iter().filter(is_there);
        found.map(|crawler| crawler.name.as_str())
    }

    /// The names of the crawlers in one of whose domains a host is. `host`: as DNS has it.
    pub fn called(&self, host: &str) -> Vec<&str> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_there = |crawler: &&Crawler| crawler.domains.iter().any(|domain| domain.has(&host));
        match is_host_name(&host) {
            true => {
                let found = self.0.iter().filter(is_there);
                found.map(|crawler| crawler.name.as_str()).collect()
            }
            false => Vec::new(),
        }
    }

    /// Whether one of the crawlers of these names is known by its domains.
    pub fn have_domains(&self, mut is_meant: impl FnMut(&str) -> bool) -> bool {
        let mut crawlers = self.0.iter();
        crawlers.any(|crawler| !crawler.domains.is_empty() && is_meant(&crawler.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> IpRange {
        text.parse().expect(text)
    }

    #[test]
    fn a_range_has_its_first_and_last_address_and_no_other() {
        for (text, within, without) in [
            (
                "66.249.64.0/27",
                ["66.249.64.0", "66.249.64.31"],
                ["66.249.63.255", "66.249.64.32"],
            ),
            (
                "10.0.0.1/32",
                ["10.0.0.1", "::ffff:10.0.0.1"],
                ["10.0.0.0", "10.0.0.2"],
            ),
            (
                "2001:4860:4801:10::/64",
                ["2001:4860:4801:10::", "2001:4860:4801:10:ffff::1"],
                ["2001:4860:4801:f::1", "2001:4860:4801:11::"],
            ),
            (
                "128.0.0.0/1",
                ["128.0.0.0", "255.255.255.255"],
                ["127.255.255.255", "::8000:0"],
            ),
        ] {
            let range = range(text);
            for ip in within {
                assert!(range.contains(ip.parse().expect(ip)), "{ip} in {text}");
            }
            for ip in without {
                assert!(!range.contains(ip.parse().expect(ip)), "{ip} in {text}");
            }
            assert_eq!(range.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/0",
            "10.0.0.0/+8",
            "10.0.0.1/8",
            "10.0.0/8",
            "::/129",
            "2001:db8::1/64",
            "example.com/8",
        ] {
            assert_eq!(text.parse::<IpRange>(), Err(RangeError), "{text}");
        }
    }

    #[test]
    fn a_crawler_is_known_by_where_it_comes_from() {
        let crawler = |name: &str, text| Crawler {
            name: name.to_owned(),
            ranges: vec![range(text)],
            domains: Vec::new(),
        };
        let crawlers = Crawlers::new(vec![
            crawler("googlebot", "66.249.64.0/27"),
            crawler("bingbot", "157.55.39.0/24"),
        ]);
        let at = |ip: &str| -> Vec<String> {
            let found = crawlers.at(ip.parse().expect(ip));
            found.map(str::to_owned).collect()
        };
        assert_eq!(at("66.249.64.5"), ["googlebot"]);
        assert_eq!(at("157.55.39.9"), ["bingbot"]);
        assert!(at("198.51.100.1").is_empty());
    }

    #[test]
    fn a_crawler_is_known_by_the_domain_of_its_name() {
        let crawler = |name: &str, domains: &[&str]| Crawler {
            name: name.to_owned(),
            ranges: Vec::new(),
            domains: domains
                .iter()
                .map(|text| text.parse().expect(text))
                .collect(),
        };
        let crawlers = Crawlers::new(vec![
            crawler("googlebot", &["GoogleBot.com"]),
            crawler("bingbot", &["search.msn.com"]),
            crawler("ranges", &[]),
        ]);
        for (host, names) in [
            ("crawl-66-249-66-1.googlebot.com", &["googlebot"][..]),
            ("Crawl-1.GEO.googlebot.COM.", &["googlebot"]),
            ("msnbot-157-55-39-1.search.msn.com", &["bingbot"]),
            ("googlebot.com", &[]),
            (".googlebot.com", &[]),
            ("..googlebot.com", &[]),
            ("evilgooglebot.com", &[]),
            ("crawl.googlebot.com.evil.example", &[]),
            ("crawl.googlebot.com..", &[]),
            ("a b.googlebot.com", &[]),
            ("crawl\0.googlebot.com", &[]),
            ("msn.com", &[]),
            ("", &[]),
        ] {
            assert_eq!(crawlers.called(host), names, "{host:?}");
        }
        assert!(crawlers.have_domains(|name| name == "bingbot"));
        assert!(!crawlers.have_domains(|name| name == "ranges"));
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for text in [
            "",
            "com",
            ".com",
            "googlebot.com.",
            ".googlebot.com",
            "*.googlebot.com",
            "https://googlebot.com",
            "66.249.64.1",
            "googlebot .com",
        ] {
            assert_eq!(text.parse::<CrawlerDomain>(), Err(DomainError), "{text}");
        }
    }
}
