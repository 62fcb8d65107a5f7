use std::net::IpAddr;
use std::time::Duration;

use http::uri::Uri;
use http::{Request, Response};
use hyper::body::{Body, Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use wayleave_engine::Admitted;

use crate::headers;

/// How long connecting to the API behind may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the API behind may take until its answer begins.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The same where a body has to be passed on first.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How many unused connections are kept for each API behind.
const IDLE_CONNECTIONS: usize = 256;

/// Why the API behind gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It could not be reached, or broke off before its answer.
    #[error("the API behind could not be reached: {0}")]
    Unreachable(String),
    /// Its answer did not begin in time.
    #[error("the API behind did not answer in time")]
    TimedOut,
}

/// What the API behind is told about the request as we received it.
#[derive(Clone, Copy, Debug)]
pub struct Inbound<'a> {
    /// Where it came from.
    pub source: IpAddr,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// The host that the request was for, as it was written.
    pub host: &'a str,
    /// Finds it in the log.
    pub request_id: &'a str,
}

/// A client of APIs behind, with its own pool of connections: one for each core.
pub struct Proxy<B> {
    client: Client<HttpConnector, B>,
}

impl<B> Default for Proxy<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Proxy { client }
    }
}

impl<B> Proxy<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    /// Passes a request to the API behind: its method, body and the headers that are not ours or
    /// the connection's. The answer's body streams as it comes.
    ///
    /// `address`: where to, whole. Errors: [`ProxyError`]; an answer of whatever status is none.
    pub async fn forward(
        &self,
        admitted: &Admitted,
        address: Uri,
        request: Request<B>,
        inbound: &Inbound<'_>,
    ) -> Result<Response<Incoming>, ProxyError> {
        let host = address
            .authority()
            .map(|authority| authority.as_str().to_owned())
            .unwrap_or_default();
        let (mut parts, body) = request.into_parts();
        parts.uri = address;
        parts.version = http::Version::HTTP_11;
        parts.extensions.clear();
        headers::prepare(&mut parts.headers, admitted, inbound, &host);
        let patience = if body.is_end_stream() {
            ANSWER_TIMEOUT
        } else {
            UPLOAD_TIMEOUT
        };
        let answer = self.client.request(Request::from_parts(parts, body));
        match tokio::time::timeout(patience, answer).await {
            Err(_) => Err(ProxyError::TimedOut),
            Ok(Err(error)) => Err(ProxyError::Unreachable(describe(&error))),
            Ok(Ok(mut answer)) => {
                headers::remove_hop_by_hop(answer.headers_mut());
                Ok(answer)
            }
        }
    }
}

/// The error with its causes, for the log.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
