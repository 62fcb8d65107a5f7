use std::fmt;
use std::str::FromStr;

/// The most origins that a property may have.
const MOST_ORIGINS: usize = 50;
/// The longest host name (RFC 1035 section 2.3.4).
const LONGEST_HOST: usize = 253;

/// Where a page lives: scheme, host and port as browsers send them in `Origin` (RFC 6454 section
/// 6.2), in small letters and without the scheme's own port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin(Box<str>);

/// A text that is not an origin, or a list with too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OriginError {
    /// Not an origin.
    Malformed,
    /// Plain `http` for a host that is not this machine.
    Plain,
    /// More than 50.
    TooMany,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OriginError::Malformed => {
                "an origin is scheme, host and port alone, such as https://www.example.com"
            }
            OriginError::Plain => "an origin is https; http is for localhost only",
            OriginError::TooMany => "there are 50 origins at most",
        })
    }
}

impl std::error::Error for OriginError {}

impl Origin {
    /// The text, as browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(OriginError::Malformed)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(read_port(port).ok_or(OriginError::Malformed)?)),
            None => (authority, None),
        };
        if !is_host(host) {
            return Err(OriginError::Malformed);
        }
        let usual_port = match scheme {
            "https" => 443,
            "http" if matches!(host, "localhost" | "127.0.0.1") => 80,
            "http" => return Err(OriginError::Plain),
            _ => return Err(OriginError::Malformed),
        };
        let origin = match port.filter(|port| *port != usual_port) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        Ok(Origin(origin.into()))
    }
}

fn read_port(text: &str) -> Option<u16> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_plain && *port != 0)
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_fine)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= LONGEST_HOST && host.split('.').all(is_label)
}

/// Origins, sorted, without repeats; 50 at most. Their text form separates them by one blank.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct OriginSet(Vec<Origin>);

impl OriginSet {
    /// The origins, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Origin> {
        self.0.iter()
    }
}

impl FromStr for OriginSet {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let words = text.split(' ').filter(|word| !word.is_empty());
        let mut origins = words.map(Origin::from_str).collect::<Result<Vec<_>, _>>()?;
        origins.sort();
        origins.dedup();
        if origins.len() > MOST_ORIGINS {
            Err(OriginError::TooMany)
        } else {
            Ok(OriginSet(origins))
        }
    }
}

impl fmt::Display for OriginSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, origin) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(origin.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for (given, kept) in [
            ("https://www.Example.com", "https://www.example.com"),
            ("HTTPS://example.com:443", "https://example.com"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
        ] {
            let origin: Origin = given.parse().expect(given);
            assert_eq!(origin.as_str(), kept);
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for text in [
            "",
            "example.com",
            "https://",
            "https://example.com/",
            "https://example.com?x",
            "https://user@example.com",
            "https://example.com:",
            "https://example.com:0",
            "https://example.com:99999",
            "https://example.com:+1",
            "https://-a.com",
            "https://a..b",
            "https://*.example.com",
            "ftp://example.com",
            "null",
        ] {
            assert_eq!(
                text.parse::<Origin>(),
                Err(OriginError::Malformed),
                "{text}"
            );
        }
        assert_eq!(
            "http://example.com".parse::<Origin>(),
            Err(OriginError::Plain)
        );
    }

    #[test]
    fn a_set_is_sorted_without_repeats_and_bounded() {
        let set: OriginSet = "https://b.example https://a.example  https://B.example:443"
            .parse()
            .expect("origins");
        assert_eq!(set.to_string(), "https://a.example https://b.example");
        let many: Vec<String> = (0..51).map(|n| format!("https://h{n}.example")).collect();
        assert_eq!(
            many.join(" ").parse::<OriginSet>(),
            Err(OriginError::TooMany)
        );
    }
}
