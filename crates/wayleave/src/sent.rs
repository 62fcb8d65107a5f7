//! A request as `wayleave sign` and `wayleave explain` are told it.

use http::{Method, Uri};
use wayleave_protocol::Message;

type Failure = Box<dyn std::error::Error>;

/// A request to sign, or one as it was sent.
#[derive(Debug)]
pub struct SentRequest {
    method: Method,
    address: Uri,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl SentRequest {
    /// From the words of a command line. `headers`: each as `Name: value`.
    ///
    /// # Errors
    /// One of the headers is none.
    pub fn new(
        method: Method,
        address: Uri,
        headers: &[String],
        body: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        let header = |line: &String| {
            let (name, value) = line.split_once(':').ok_or_else(|| {
                format!("{line:?} is no header such as 'Content-Type: text/plain'")
            })?;
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        Ok(SentRequest {
            method,
            address,
            headers: headers.iter().map(header).collect::<Result<_, String>>()?,
            body,
        })
    }

    /// The value of a header that was given; `name`: in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut own = self.headers.iter().filter(|(own, _)| own == name);
        own.next().map(|(_, value)| value.as_str())
    }

    /// The headers that were given: names in small letters.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The address, whole or its path and query.
    pub fn address(&self) -> &Uri {
        &self.address
    }

    /// Whether a body was given, even an empty one.
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// The body; nothing where there is none.
    pub fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// What a client sends as `Host`: the header that was given, or host and port of the address
    /// without the port that the scheme has anyway.
    ///
    /// # Errors
    /// The address is not whole.
    pub fn host(&self) -> Result<String, Failure> {
        if let Some(host) = self.header("host") {
            return Ok(host.to_owned());
        }
        let (Some(scheme), Some(host)) = (self.address.scheme_str(), self.address.host()) else {
            return Err(
                "give the whole address, such as https://api.example.com/v1: its host is signed too"
                    .into(),
            );
        };
        let usual = if scheme == "https" { 443 } else { 80 };
        Ok(match self.address.port_u16() {
            Some(port) if port != usual => format!("{host}:{port}"),
            _ => host.to_owned(),
        })
    }

    /// The message that is signed. `fields`: its headers.
    pub fn message<'a>(&'a self, host: &'a str, fields: &'a [(&'a str, &'a [u8])]) -> Message<'a> {
        Message {
            method: self.method.as_str(),
            scheme: self.address.scheme_str().unwrap_or("https"),
            authority: host,
            path: self.address.path(),
            query: self.address.query(),
            fields,
        }
    }
}

/// Headers as messages have them.
pub(crate) fn fields(headers: &[(String, String)]) -> Vec<(&str, &[u8])> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

/// Headers as `curl -H @-` reads them.
pub(crate) fn lines(headers: &[(String, String)]) -> String {
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(address: &str, headers: &[&str]) -> SentRequest {
        let headers: Vec<String> = headers.iter().map(|line| (*line).to_owned()).collect();
        SentRequest::new(Method::GET, address.parse().unwrap(), &headers, None).unwrap()
    }

    #[test]
    fn the_host_is_what_clients_send() {
        let host = |address| request(address, &[]).host().unwrap();
        assert_eq!(host("https://api.example.com/a"), "api.example.com");
        assert_eq!(host("https://api.example.com:443/a"), "api.example.com");
        assert_eq!(host("http://api.example.com:443/a"), "api.example.com:443");
        assert_eq!(host("http://[::1]:8080/"), "[::1]:8080");
        assert!(request("/a", &[]).host().is_err());
        let given = request("/a", &["Host: b.example:1"]);
        assert_eq!(given.host().unwrap(), "b.example:1");
    }

    #[test]
    fn a_line_without_a_colon_is_no_header() {
        let address = "/a".parse().unwrap();
        let refused = SentRequest::new(Method::GET, address, &["x".to_owned()], None);
        assert!(refused.unwrap_err().to_string().contains("is no header"));
    }
}
