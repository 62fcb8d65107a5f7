//! Where a reader goes back to after the pages of the paywall.
//!
//! Sites add the address of their page to the address of the paywall as the last parameter,
//! `originalURL`, in three forms: encoded, as it stands, and as it stands with the protocol of the
//! request (`HTTP/1.1`) in the place of the scheme. It comes through the reader's browser and is
//! signed by nobody, so only sites that are known are gone back to.

use crate::form::decode_word;

/// The parameter with the address of the page, in any case.
const PARAMETER: &str = "originalURL";
/// The parameter in which a page gets a temporary user token.
const TOKEN: &str = "iMonezaTUT";
/// Longer addresses are not gone back to.
const LONGEST: usize = 2048;

/// What is known of the places of a property.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownPlaces<'a> {
    /// Where its pages live: scheme, host and port of each.
    pub origins: &'a [&'a str],
    /// The address of the resource, as the site's own server has said.
    pub resource_url: Option<&'a str>,
}

/// Where to send a reader: the page named in the query, where it is at a known place; else the
/// resource's own address. `None`: there is no such address, and nobody is sent anywhere. `token` is
/// appended as `iMonezaTUT` in the place of an older one; it has letters and digits only.
///
/// ```
/// use wayleave_protocol::return_address::{KnownPlaces, return_address};
/// let known = KnownPlaces { origins: &["https://news.example"], ..KnownPlaces::default() };
/// let back = |query| return_address(query, &known, Some("t0k3n"));
/// assert_eq!(
///     back("ApiKey=7D&originalURL=HTTP/1.1://news.example/a?p=1&q=2").as_deref(),
///     Some("https://news.example/a?p=1&q=2&iMonezaTUT=t0k3n")
/// );
/// assert_eq!(back("originalURL=https://evil.example/"), None);
/// ```
pub fn return_address(query: &str, known: &KnownPlaces<'_>, token: Option<&str>) -> Option<String> {
    let own = known.resource_url.and_then(Address::parse);
    let origins = known.origins.iter().copied().filter_map(Address::parse);
    let places: Vec<Address> = origins.chain(own.clone()).collect();
    let usual_scheme = own.as_ref().map_or("https", |own| own.scheme);
    let named = original_url(query).and_then(|url| Address::parse_from(&url, usual_scheme));
    let address = named.and_then(|named| named.at(&places)).or(own)?;
    Some(address.with_token(token))
}

/// An address with a temporary user token as its `iMonezaTUT`, before a fragment and in the place of
/// an older one. `None`: it is no address over http or https.
///
/// ```
/// use wayleave_protocol::return_address::with_token;
/// assert_eq!(
///     with_token("https://news.example/a?b#c", "t0k3n").as_deref(),
///     Some("https://news.example/a?b&iMonezaTUT=t0k3n#c")
/// );
/// assert_eq!(with_token("api-validation", "t0k3n"), None);
/// ```
pub fn with_token(url: &str, token: &str) -> Option<String> {
    Some(Address::parse(url)?.with_token(Some(token)))
}

/// The address that a query names, decoded where it is encoded.
fn original_url(query: &str) -> Option<String> {
    let mut rest = query;
    loop {
        let (name, value) = rest.split_once('=')?;
        // A parameter without a value may stand before the name.
        let name = name.rsplit('&').next().unwrap_or(name);
        let piece = value.split('&').next().unwrap_or(value);
        if !name.eq_ignore_ascii_case(PARAMETER) {
            rest = value.get(piece.len() + 1..)?;
        } else if piece.contains("://") {
            // It stands there as it is, so it goes on to the end.
            return Some(value.to_owned());
        } else {
            return decode_word(piece).ok();
        }
    }
}

/// An address over http or https, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Address {
    scheme: &'static str,
    /// In small letters.
    host: String,
    port: Option<u16>,
    /// Path, query and fragment; begins with a slash.
    path: String,
}

impl Address {
    fn parse(url: &str) -> Option<Self> {
        Address::parse_from(url, "https")
    }

    /// `usual_scheme`: what a protocol in the place of the scheme stands for.
    fn parse_from(url: &str, usual_scheme: &'static str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => "https",
            "http" => "http",
            protocol if is_protocol(protocol) => usual_scheme,
            _ => return None,
        };
        // Browsers read a backslash as a slash.
        let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(read_port(port)?)),
            None => (authority, None),
        };
        let is_host_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host_letter) || url.len() > LONGEST {
            return None;
        }
        let usual_port = if scheme == "https" { 443 } else { 80 };
        Some(Address {
            scheme,
            host: host.to_ascii_lowercase(),
            port: port.filter(|port| *port != usual_port),
            path: path_of(path),
        })
    }

    /// This address, where its host is that of a known place; over https, where the place is.
    fn at(self, places: &[Address]) -> Option<Self> {
        let is_same = |place: &&Address| place.host == self.host && place.port == self.port;
        let found = places.iter().filter(is_same);
        let scheme = found.map(|place| place.scheme).max()?;
        Some(Address {
            scheme: scheme.max(self.scheme),
            ..self
        })
    }

    fn with_token(&self, token: Option<&str>) -> String {
        let port = self.port.map(|port| format!(":{port}"));
        let site = format!(
            "{}://{}{}",
            self.scheme,
            self.host,
            port.unwrap_or_default()
        );
        let Some(token) = token else {
            return format!("{site}{}", self.path);
        };
        let (page, fragment) = match self.path.split_once('#') {
            Some((page, fragment)) => (page, format!("#{fragment}")),
            None => (self.path.as_str(), String::new()),
        };
        let (path, query) = page.split_once('?').unwrap_or((page, ""));
        let is_kept = |piece: &&str| !piece.is_empty() && !is_token(piece);
        let mut pieces: Vec<&str> = query.split('&').filter(is_kept).collect();
        let token = format!("{TOKEN}={token}");
        pieces.push(&token);
        format!("{site}{path}?{}{fragment}", pieces.join("&"))
    }
}

/// `http/1.1`, `http/2` and their like, in small letters.
fn is_protocol(scheme: &str) -> bool {
    let version = scheme.strip_prefix("http/");
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    version.is_some_and(|version| !version.is_empty() && version.bytes().all(is_digit))
}

fn read_port(text: &str) -> Option<u16> {
    let are_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| are_digits && *port > 0)
}

/// What follows host and port, with everything escaped that an address cannot hold.
fn path_of(text: &str) -> String {
    let mut path = String::with_capacity(text.len() + 1);
    if !text.starts_with('/') {
        path.push('/');
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                escape(byte, &mut path)
            }
            byte if byte.is_ascii_graphic() => path.push(char::from(byte)),
            byte => escape(byte, &mut path),
        }
    }
    path
}

fn escape(byte: u8, into: &mut String) {
    into.push_str(&format!("%{byte:02X}"));
}

fn is_token(piece: &str) -> bool {
    let name = piece.split('=').next().unwrap_or_default();
    name.eq_ignore_ascii_case(TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: KnownPlaces<'_> = KnownPlaces {
        origins: &["https://news.example", "http://localhost:8080"],
        resource_url: Some("http://old.example/story?id=1#top"),
    };

    fn back(query: &str) -> String {
        return_address(query, &KNOWN, Some("T1")).expect("an address")
    }

    #[test]
    fn every_form_in_which_sites_send_it_is_read() {
        for (query, expected) in [
            (
                "originalURL=https%3A%2F%2Fnews.example%2Fa%3Fp%3D1%26q%3D2%23end",
                "https://news.example/a?p=1&q=2&iMonezaTUT=T1#end",
            ),
            (
                "ApiKey=7d&OriginalURL=https%3a%2f%2fnews.example%2fa+b&x=1",
                "https://news.example/a%20b?iMonezaTUT=T1",
            ),
            (
                "ApiKey=7d&x&originalurl=https://news.example/a?p=1&q=2",
                "https://news.example/a?p=1&q=2&iMonezaTUT=T1",
            ),
            (
                "originalURL=HTTP/1.1://old.example/a?originalURL=https://evil.example/",
                "http://old.example/a?originalURL=https://evil.example/&iMonezaTUT=T1",
            ),
            (
                "originalURL=http/2://localhost:8080",
                "http://localhost:8080/?iMonezaTUT=T1",
            ),
            (
                "originalURL=HTTPS://News.Example:443?a",
                "https://news.example/?a&iMonezaTUT=T1",
            ),
            (
                "originalURL=https://news.example/?imonezatut=old&a=1&iMonezaTUT=older",
                "https://news.example/?a=1&iMonezaTUT=T1",
            ),
        ] {
            assert_eq!(back(query), expected, "{query}");
        }
    }

    #[test]
    fn a_token_never_goes_in_the_clear_to_a_place_that_is_known_by_https() {
        assert_eq!(
            back("originalURL=http://news.example/a"),
            "https://news.example/a?iMonezaTUT=T1"
        );
    }

    #[test]
    fn nobody_is_sent_to_another_place() {
        for url in [
            "https://evil.example/",
            "https://news.example@evil.example/",
            "https://news.example:443@evil.example/",
            "https://evil.example\\@news.example/",
            "https://evil.example\\.news.example/",
            "https://news.example.evil.example/",
            "https://evilnews.example/",
            "https://news.example:8443/",
            "https://news.example./",
            "https:////evil.example/",
            "https://%6eews.example/",
            "https://n\u{1d49}ws.example/",
            "javascript://news.example/%0aalert(1)",
            "HTTP/x://news.example/",
            "//news.example/",
            "news.example",
            "https://",
            "",
        ] {
            for query in [
                format!("originalURL={url}"),
                format!("originalURL={}", encoded(url)),
            ] {
                let went = back(&query);
                assert_eq!(
                    went, "http://old.example/story?id=1&iMonezaTUT=T1#top",
                    "{query}"
                );
            }
        }
    }

    fn encoded(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02x}")).collect()
    }

    #[test]
    fn what_would_end_a_header_or_leave_an_attribute_is_escaped() {
        assert_eq!(
            back("originalURL=https%3A%2F%2Fnews.example%2Fa=%22%3Cb%3E%5C"),
            "https://news.example/a=%22%3Cb%3E%5C?iMonezaTUT=T1"
        );
        assert_eq!(
            back("originalURL=https%3A%2F%2Fnews.example%2F%0d%0aSet-Cookie:a=1"),
            "http://old.example/story?id=1&iMonezaTUT=T1#top"
        );
    }

    #[test]
    fn without_a_page_the_resource_is_gone_back_to_and_without_that_nowhere() {
        assert_eq!(
            back("ApiKey=7d"),
            "http://old.example/story?id=1&iMonezaTUT=T1#top"
        );
        let nowhere = KnownPlaces {
            resource_url: Some("api-validation"),
            ..KNOWN
        };
        assert_eq!(return_address("", &nowhere, None), None);
    }
}
