//! Reads pages of content sites, with the same care for where they are: what a page is read from is a
//! place of its property, named by an administrator, but names resolve to what they like.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use wayleave_engine::{Fetched, PageReader};
use wayleave_store::BoxFuture;

use super::target::Target;
use super::{HookCaller, Network};

/// How much of a page is read: what a page says of itself stands in its head.
const PAGE_BYTES: usize = 512 * 1024;

impl<N: Network> PageReader for HookCaller<N> {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Fetched, String>> {
        Box::pin(async move {
            // The part of an address after # is for browsers alone.
            let url = url.split('#').next().unwrap_or(url);
            let target = match Target::parse(url, self.to_loopback) {
                Ok(target) => target,
                Err(why) => return Ok(Fetched::NoPage(why)),
            };
            self.exchange(&target, request(&target)?, judge).await
        })
    }
}

fn request(target: &Target) -> Result<Request<Empty<Bytes>>, String> {
    let request = Request::builder()
        .uri(target.path.as_str())
        .header(HOST, &target.authority)
        .header(USER_AGENT, "Wayleave")
        .header(ACCEPT, "text/html, application/xhtml+xml")
        .header(ACCEPT_ENCODING, "identity")
        .body(Empty::new());
    request.map_err(|error| error.to_string())
}

async fn judge(answer: Response<Incoming>) -> Result<Fetched, String> {
    let status = answer.status();
    let header = |name| {
        let value = answer.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if status.is_redirection() {
        return Ok(Fetched::Moved(header(LOCATION).to_owned()));
    }
    if status.is_server_error() {
        return Err(format!("it answered {}", status.as_u16()));
    }
    let kind = header(CONTENT_TYPE).trim().to_ascii_lowercase();
    let is_html = kind.is_empty()
        || kind.starts_with("text/html")
        || kind.starts_with("application/xhtml+xml");
    if !status.is_success() || !is_html {
        let why = format!("it answered {}, {kind}", status.as_u16());
        return Ok(Fetched::NoPage(why));
    }
    read(answer.into_body()).await.map(Fetched::Page)
}

/// As much of a page as is looked at.
async fn read(mut body: Incoming) -> Result<String, String> {
    let mut page = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the page broke off: {error}"))?;
        if let Ok(data) = frame.into_data() {
            page.extend_from_slice(&data);
        }
        if page.len() >= PAGE_BYTES {
            page.truncate(PAGE_BYTES);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}
