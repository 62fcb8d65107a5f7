use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::Fault;

/// How long a body that we read ourselves may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a whole body, at most `limit_bytes`.
pub(crate) async fn read_body(body: Incoming, limit_bytes: usize) -> Result<Bytes, Fault> {
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(Fault::TooLarge { limit_bytes });
    }
    match tokio::time::timeout(BODY_TIMEOUT, collect(body, limit_bytes)).await {
        Ok(read) => read,
        Err(_) => Err(Fault::TooSlow),
    }
}

async fn collect(mut body: Incoming, limit_bytes: usize) -> Result<Bytes, Fault> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Fault::BadRequest("the body broke off".to_owned()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if read.len() + data.len() > limit_bytes {
            return Err(Fault::TooLarge { limit_bytes });
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// The media type of the body, in small letters, without parameters; empty where there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// The one value of a header. Errors: it came more than once (400).
pub(crate) fn single(
    headers: &HeaderMap,
    name: header::HeaderName,
) -> Result<Option<&[u8]>, Fault> {
    let mut values = headers.get_all(&name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Fault::BadRequest(format!(
            "the {name} header came more than once"
        )));
    }
    Ok(first.map(|value| value.as_bytes()))
}

/// How often a header came, and its first value.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Found<'h> {
    pub(crate) count: usize,
    pub(crate) value: Option<&'h [u8]>,
}

/// Looks for headers by their names in small letters. One look at each header that there is costs
/// less than a search for each that there may be.
pub(crate) fn find<'h, const N: usize>(headers: &'h HeaderMap, names: [&str; N]) -> [Found<'h>; N] {
    let mut found = [Found::default(); N];
    for (name, value) in headers {
        let name = name.as_str();
        if let Some(place) = names.iter().position(|wanted| *wanted == name) {
            let found = &mut found[place];
            found.count += 1;
            found.value = found.value.or(Some(value.as_bytes()));
        }
    }
    found
}
