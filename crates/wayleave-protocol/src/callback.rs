//! How a content site is told of an event: a GET to the callback URL of a key set, with what happened in
//! its query, signed by the scheme of [`crate::signed`] with that key set.

use std::fmt::Write;

use crate::http_date;
use crate::signed::{ParameterError, SignedRequest, base_strings, sign};

/// The parameter that says what happened.
pub const TYPE: &str = "CallbackType";
/// The parameter with which the result is fetched.
pub const TOKEN: &str = "CallbackToken";

/// A request that tells of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallbackRequest {
    /// The whole address.
    pub url: String,
    /// The value of the `Timestamp` header.
    pub timestamp: String,
    /// The value of the `Authentication` header.
    pub authentication: String,
}

/// Writes and signs a request to a callback URL. Parameters are added to the query that the URL has;
/// their values are percent-encoded. What follows a `#` is not there: see [`check_url`].
///
/// # Errors
/// See [`ParameterError`]: the URL has a query that cannot be signed in one way only.
///
/// ```
/// use wayleave_protocol::callback::{compose, TOKEN, TYPE};
/// let parameters = [(TYPE, "ExternalSubscriberLinked"), (TOKEN, "8e5f")];
/// let request = compose("https://m.example/h?id=1", &parameters, "K-1", b"secret", 0).unwrap();
/// assert_eq!(
///     request.url,
///     "https://m.example/h?id=1&CallbackType=ExternalSubscriberLinked&CallbackToken=8e5f"
/// );
/// assert_eq!(request.timestamp, "Thu, 01 Jan 1970 00:00:00 GMT");
/// assert!(request.authentication.starts_with("K-1:"));
/// ```
pub fn compose(
    url: &str,
    parameters: &[(&str, &str)],
    key_id: &str,
    secret: &[u8],
    now_unix_s: i64,
) -> Result<CallbackRequest, ParameterError> {
    let url = with_parameters(url, parameters);
    let (path, query) = path_and_query(&url);
    let timestamp = http_date::format(now_unix_s);
    let base = base_strings(&SignedRequest {
        method: "GET",
        paths: &[path],
        query,
        timestamp: &timestamp,
        form_body: None,
    })?;
    let base = base.first().map(String::as_str).unwrap_or_default();
    let authentication = format!("{key_id}:{}", sign(secret, base));
    Ok(CallbackRequest {
        url,
        timestamp,
        authentication,
    })
}

/// Whether a callback URL can be signed with what is added to it: its query has no name twice, none of
/// ours, and nothing that is decoded to a control character.
///
/// # Errors
/// See [`ParameterError`].
pub fn check_url(url: &str) -> Result<(), ParameterError> {
    let parameters = [(TYPE, "x"), (TOKEN, "x")];
    compose(url, &parameters, "x", b"x", 0).map(drop)
}

/// A URL without a path has the path `/`, as it is sent.
fn with_parameters(url: &str, parameters: &[(&str, &str)]) -> String {
    let mut text = url.to_owned();
    let from = authority_start(url);
    let end = url[from..]
        .find(['/', '?'])
        .map_or(url.len(), |end| from + end);
    if !url[end..].starts_with('/') {
        text.insert(end, '/');
    }
    for (name, value) in parameters {
        if !text.ends_with(['?', '&']) {
            text.push(if text.contains('?') { '&' } else { '?' });
        }
        let _ = write!(text, "{name}=");
        percent_encode(value, &mut text);
    }
    text
}

fn authority_start(url: &str) -> usize {
    url.find("://").map_or(0, |place| place + 3)
}

fn path_and_query(url: &str) -> (&str, Option<&str>) {
    let from = authority_start(url);
    let path = url[from..].find('/').map_or("/", |at| &url[from + at..]);
    match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    }
}

/// Leaves letters, digits and `-._~` (RFC 3986, section 2.3).
fn percent_encode(value: &str, text: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            byte => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_stands_in_the_query_whatever_the_url_has() {
        let added = |url| with_parameters(url, &[("a", "b|c d"), ("e", "")]);
        assert_eq!(
            added("https://m.example"),
            "https://m.example/?a=b%7Cc%20d&e="
        );
        assert_eq!(
            added("https://m.example/"),
            "https://m.example/?a=b%7Cc%20d&e="
        );
        assert_eq!(
            added("https://m.example?x"),
            "https://m.example/?x&a=b%7Cc%20d&e="
        );
        assert_eq!(
            added("https://m.example/h?"),
            "https://m.example/h?a=b%7Cc%20d&e="
        );
    }

    #[test]
    fn a_url_that_cannot_be_signed_in_one_way_is_refused() {
        for (url, is_fine) in [
            ("https://m.example/h", true),
            ("https://m.example/h?tenant=7", true),
            ("https://m.example/h?a=1&A=2", false),
            ("https://m.example/h?callbacktoken=1", false),
            ("https://m.example/h?a=%0A", false),
            ("https://m.example/%00", false),
        ] {
            assert_eq!(check_url(url).is_ok(), is_fine, "{url}");
        }
    }
}
