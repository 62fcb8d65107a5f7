//! Reads pages of content sites, with the same care for where they are: what a page is read from is a
//! place of its property, named by an administrator, but names resolve to what they like.

use std::convert::Infallible;
use std::future::pending;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use wayleave_engine::{Fetched, PageReader};
use wayleave_store::BoxFuture;

use super::target::Target;
use super::{HEAD_BYTES, HookCaller, Network};

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
            let stream = self.connect(&target).await?;
            match target.is_tls {
                false => ask(&target, stream).await,
                true => ask(&target, self.secure(&target, stream).await?).await,
            }
        })
    }
}

async fn ask<S>(target: &Target, stream: S) -> Result<Fetched, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| format!("the call broke: {error}");
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let request = Request::builder()
        .uri(target.path.as_str())
        .header(HOST, &target.authority)
        .header(USER_AGENT, "Wayleave")
        .header(ACCEPT, "text/html, application/xhtml+xml")
        .header(ACCEPT_ENCODING, "identity")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let driving = async {
        // How it ended is what the request hears.
        let _ = connection.await;
        pending::<Infallible>().await
    };
    let reading = async { judge(sender.send_request(request).await.map_err(broken)?).await };
    tokio::select! {
        biased;
        read = reading => read,
        never = driving => match never {},
    }
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
