//! The head of a request as a server behind gets it.

use std::io::Write as _;

use http::header::{
    CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, TE, TRAILER, USER_AGENT, VIA,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Version};
use wayleave_core::Scheme;
use wayleave_engine::Admitted;

use crate::Inbound;
use crate::behind::{ForwardSettings, HeaderRules, Server};
use crate::headers;
use crate::outbox::BodyEnd;

/// A request that is passed on.
pub(crate) struct PassedHead<'a> {
    pub(crate) target: &'a PathAndQuery,
    pub(crate) received: &'a Parts,
    pub(crate) admitted: &'a Admitted,
    pub(crate) inbound: &'a Inbound<'a>,
    pub(crate) settings: &'a ForwardSettings,
    pub(crate) server: &'a Server,
    pub(crate) body: &'a BodyEnd,
    /// Whether it asks to switch to WebSocket.
    pub(crate) is_websocket: bool,
}

impl PassedHead<'_> {
    /// Writes it as HTTP/1.1.
    pub(crate) fn write(&self, text: &mut Vec<u8>) {
        text.reserve(1024);
        write_first_line(text, &self.received.method, self.target);
        self.write_host(text);
        self.write_received(text);
        for (name, value) in self.settings.request_headers.last_set() {
            write_line(text, name.as_str(), value.as_bytes());
        }
        if headers::takes_trailers(&self.received.headers) {
            write_line(text, TE.as_str(), b"trailers");
        }
        let via: &[u8] = match self.received.version {
            Version::HTTP_2 => b"2 wayleave",
            Version::HTTP_10 => b"1.0 wayleave",
            _ => b"1.1 wayleave",
        };
        write_line(text, VIA.as_str(), via);
        self.write_ours(text);
        if self.is_websocket {
            text.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
        }
        self.write_body_end(text);
        text.extend_from_slice(b"\r\n");
    }

    fn write_host(&self, text: &mut Vec<u8>) {
        let asked = self.inbound.host.as_bytes();
        let keeps_asked = self.settings.preserve_host && !asked.is_empty() && is_text(asked);
        let host = match keeps_asked {
            true => asked,
            false => self.server.host.as_bytes(),
        };
        write_line(text, HOST.as_str(), host);
    }

    /// What was received, but for what ends here, what an operator's rules change, and what we say
    /// ourselves.
    fn write_received(&self, text: &mut Vec<u8>) {
        let received = &self.received.headers;
        // What Connection names is left out here, so that it cannot remove what we add.
        let named = headers::named_by_connection(received);
        let caller = self.admitted.caller();
        let proves = caller.scheme() == Scheme::HttpSignature;
        let rules = &self.settings.request_headers;
        let joins_cookies = self.received.version == Version::HTTP_2;
        for (name, value) in received {
            let ends_here = headers::is_kept_back(name.as_str())
                || name == CONTENT_LENGTH
                || name == TRAILER
                || named.contains(name)
                || rules.names(name)
                || proves && headers::is_message_signature(name.as_str())
                || caller
                    .described()
                    .is_some_and(|scheme| scheme.proof_headers().any(|own| name == own))
                || joins_cookies && name == COOKIE;
            if !ends_here {
                write_line(text, name.as_str(), value.as_bytes());
            }
        }
        if joins_cookies && !rules.names(&COOKIE) && !named.contains(&COOKIE) {
            write_joined(text, &COOKIE, received.get_all(COOKIE).iter());
        }
        let announced = headers::announced_trailers(received);
        let announced = announced.iter().map(HeaderName::as_str);
        let announced = announced.collect::<Vec<_>>().join(", ");
        if !announced.is_empty() {
            write_line(text, TRAILER.as_str(), announced.as_bytes());
        }
    }

    /// Who calls, and how the request reached us.
    fn write_ours(&self, text: &mut Vec<u8>) {
        for (name, value) in self.admitted.caller().identity() {
            write_line(text, name, value.as_bytes());
        }
        let inbound = self.inbound;
        write_line(text, "wayleave-request-id", inbound.request_id.as_bytes());
        let _ = write!(text, "x-forwarded-for: {}\r\n", inbound.source);
        write_line(text, "x-forwarded-proto", inbound.scheme.as_bytes());
        write_line(text, "x-forwarded-host", inbound.host.as_bytes());
    }

    fn write_body_end(&self, text: &mut Vec<u8>) {
        let _ = match self.body {
            BodyEnd::Unsaid => Ok(()),
            BodyEnd::Length(length) => write!(text, "content-length: {length}\r\n"),
            BodyEnd::Chunks(_) => text.write_all(b"transfer-encoding: chunked\r\n"),
        };
    }
}

/// Writes a question how a server is.
pub(crate) fn write_check(text: &mut Vec<u8>, path: &PathAndQuery, host: &HeaderValue) {
    write_first_line(text, &Method::GET, path);
    write_line(text, HOST.as_str(), host.as_bytes());
    write_line(text, USER_AGENT.as_str(), b"wayleave health check");
    text.extend_from_slice(b"\r\n");
}

fn write_first_line(text: &mut Vec<u8>, method: &Method, target: &PathAndQuery) {
    text.extend_from_slice(method.as_str().as_bytes());
    text.push(b' ');
    // Of `http://host?query` the path is empty, and so not there.
    if !target.as_str().starts_with(['/', '*']) {
        text.push(b'/');
    }
    text.extend_from_slice(target.as_str().as_bytes());
    text.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Writes a line. What cannot be a value is left out with its name.
pub(crate) fn write_line(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    // Without an early end many bytes are compared at once.
    let is_value = |is, byte: &u8| is & is_of_value(*byte);
    if value.iter().fold(true, is_value) {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
}

/// HTTP/2 lets a client split its cookies; over HTTP/1.1 there is one header (RFC 9113 section
/// 8.2.3).
fn write_joined<'v>(
    text: &mut Vec<u8>,
    name: &HeaderName,
    values: impl Iterator<Item = &'v HeaderValue>,
) {
    let values: Vec<&[u8]> = values.map(HeaderValue::as_bytes).collect();
    if !values.is_empty() {
        write_line(text, name.as_str(), &values.join(&b"; "[..]));
    }
}

/// Whether a byte may stand in the value of a header (RFC 9110 section 5.5).
fn is_of_value(byte: u8) -> bool {
    (byte >= b' ') & (byte != 0x7f) | (byte == b'\t')
}

fn is_text(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| byte.is_ascii() && is_of_value(*byte))
}

impl HeaderRules {
    /// Whether they say anything of a header.
    fn names(&self, name: &HeaderName) -> bool {
        self.remove.contains(name) || self.set.iter().any(|(set, _)| set == name)
    }

    /// What they set: of a name that is there more than once the last value.
    fn last_set(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.set
            .iter()
            .enumerate()
            .filter_map(|(place, (name, value))| {
                let is_last = !self.set[place + 1..].iter().any(|(later, _)| later == name);
                is_last.then_some((name, value))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_never_empty() {
        for (address, line) in [
            ("http://api.example?x=1", "GET /?x=1 HTTP/1.1\r\n"),
            ("http://api.example", "GET / HTTP/1.1\r\n"),
            ("/a%20b?x=1", "GET /a%20b?x=1 HTTP/1.1\r\n"),
            ("*", "GET * HTTP/1.1\r\n"),
        ] {
            let address: http::Uri = address.parse().expect("an address");
            let target = address.path_and_query().expect("a path");
            let mut text = Vec::new();
            write_first_line(&mut text, &Method::GET, target);
            assert_eq!(text, line.as_bytes());
        }
    }

    #[test]
    fn no_value_brings_a_line_of_its_own() {
        let mut text = Vec::new();
        for value in ["a\r\nb", "a\nb", "a\0b", "a\x7fb"] {
            write_line(&mut text, "x-bad", value.as_bytes());
        }
        assert_eq!(text, b"");
        write_line(&mut text, "x-good", "a\t\u{e4}".as_bytes());
        assert_eq!(text, "x-good: a\t\u{e4}\r\n".as_bytes());
    }

    #[test]
    fn of_what_rules_set_twice_the_last_value_goes() {
        let [one, two] = ["x-one", "x-two"].map(HeaderName::from_static);
        let value = HeaderValue::from_static;
        let rules = HeaderRules {
            remove: vec![HeaderName::from_static("x-gone")],
            set: vec![
                (one.clone(), value("1")),
                (two.clone(), value("2")),
                (one.clone(), value("3")),
            ],
        };
        let set: Vec<_> = rules.last_set().collect();
        assert_eq!(set, [(&two, &value("2")), (&one, &value("3"))]);
        assert!(rules.names(&one) && rules.names(&HeaderName::from_static("x-gone")));
        assert!(!rules.names(&HeaderName::from_static("x-other")));
    }

    #[test]
    fn split_cookies_become_one_header() {
        let cookies = ["a=1", "b=2", "c=3"].map(HeaderValue::from_static);
        let mut text = Vec::new();
        write_joined(&mut text, &COOKIE, cookies.iter());
        assert_eq!(text, b"cookie: a=1; b=2; c=3\r\n");
        write_joined(&mut text, &COOKIE, [].iter());
        assert_eq!(text.len(), 23);
    }
}
