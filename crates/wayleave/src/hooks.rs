//! Calls the addresses that partners named for the end of an order and for events of their properties,
//! and nothing within this network.
//!
//! An address is looked at when it is given, as far as that goes without asking anybody
//! (`hooks/target.rs`), and again with every call: its name is resolved once, every address that came
//! out of it is checked (`hooks/address.rs`), and one of those is connected to. So a name that
//! resolves to something else a moment later gains nothing. Redirects are not followed.

mod address;
mod page;
mod target;

use std::convert::Infallible;
use std::future::{pending, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wayleave_engine::HookSender;
use wayleave_protocol::callback::CallbackRequest;
use wayleave_store::BoxFuture;

use crate::upstream_tls::Trust;

pub(crate) use self::address::is_public;
use self::target::Target;

/// How long a call may take, from the question for the name to the status of the answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long connecting to one address of a name may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest head of an answer. The body is not read.
const HEAD_BYTES: usize = 16 * 1024;
/// How many addresses of a name are tried.
const MOST_ADDRESSES: usize = 4;

/// The network, as far as calls need it.
pub trait Network: Send + Sync {
    /// The addresses of a host name, with the port in each.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;

    /// Opens a connection to exactly this address.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>>;
}

/// The network of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNetwork;

impl Network for SystemNetwork {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }
}

/// Calls the addresses of partners.
pub struct HookCaller<N = SystemNetwork> {
    network: N,
    /// Whom to trust about `https` addresses; or why nobody can be.
    tls: Result<Arc<ClientConfig>, String>,
    to_loopback: bool,
}

impl HookCaller {
    /// One that trusts the certificates that this system trusts. `to_loopback`: whether addresses of
    /// this machine may be called too, also over plain http: in a test environment only.
    pub fn new(to_loopback: bool) -> Self {
        HookCaller::over(SystemNetwork, Trust::default().client(None), to_loopback)
    }
}

impl<N: Network> HookCaller<N> {
    /// One on another network, with others to trust.
    pub fn over(network: N, tls: Result<Arc<ClientConfig>, String>, to_loopback: bool) -> Self {
        HookCaller {
            network,
            tls,
            to_loopback,
        }
    }

    /// Connects to a target, sends a request, and has its answer read.
    async fn exchange<T, R>(
        &self,
        target: &Target,
        request: Request<Empty<Bytes>>,
        read: impl FnOnce(Response<Incoming>) -> R,
    ) -> Result<T, String>
    where
        R: Future<Output = Result<T, String>>,
    {
        let stream = self.connect(target).await?;
        match target.is_tls {
            false => drive(stream, request, read).await,
            true => drive(self.secure(target, stream).await?, request, read).await,
        }
    }

    /// Sends a request and gives the status of its answer, with an end to waiting.
    async fn ask(&self, url: &str, asked: &Asked<'_>) -> Result<StatusCode, String> {
        let target = Target::parse(url, self.to_loopback)?;
        let request = asked.request(&target)?;
        let status = |answer: Response<Incoming>| ready(Ok(answer.status()));
        match timeout(TIMEOUT, self.exchange(&target, request, status)).await {
            Ok(sent) => sent,
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }

    /// Begins TLS with a target.
    async fn secure(
        &self,
        target: &Target,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(self.tls.clone()?);
        let secured = connector.connect(name, stream).await;
        secured.map_err(|error| format!("TLS failed: {error}"))
    }

    /// Resolves once, checks every address, and connects to the first of them that answers.
    async fn connect(&self, target: &Target) -> Result<TcpStream, String> {
        let addresses = match target.ip {
            Some(ip) => vec![SocketAddr::new(ip, target.port)],
            None => {
                let resolved = self.network.resolve(&target.host, target.port).await;
                resolved.map_err(|error| format!("{} has no address: {error}", target.host))?
            }
        };
        for address in &addresses {
            target.check_ip(address.ip(), self.to_loopback)?;
        }
        let mut failed = format!("{} has no address", target.host);
        for address in addresses.into_iter().take(MOST_ADDRESSES) {
            match timeout(CONNECT_TIMEOUT, self.network.connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = format!("it cannot be reached: {error}"),
                Err(_) => failed = "it cannot be reached: it takes too long".to_owned(),
            }
        }
        Err(failed)
    }
}

impl<N: Network> HookSender for HookCaller<N> {
    fn check(&self, url: &str) -> Result<(), String> {
        Target::parse(url, self.to_loopback).map(drop)
    }

    fn call<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { judge(self.ask(url, &Asked::End).await?) })
    }

    fn tell<'a>(&'a self, request: &'a CallbackRequest) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            match self.ask(&request.url, &Asked::Event(request)).await? {
                StatusCode::OK => Ok(()),
                status => Err(format!(
                    "it answered {}, and only 200 counts",
                    status.as_u16()
                )),
            }
        })
    }
}

/// What a request is for.
enum Asked<'a> {
    /// The end of an order: an empty POST.
    End,
    /// An event of a property: a signed GET.
    Event(&'a CallbackRequest),
}

impl Asked<'_> {
    fn request(&self, target: &Target) -> Result<Request<Empty<Bytes>>, String> {
        let builder = Request::builder()
            .uri(target.path.as_str())
            .header(HOST, &target.authority)
            .header(USER_AGENT, "Wayleave");
        let builder = match self {
            Asked::End => builder.method(Method::POST).header(CONTENT_LENGTH, 0),
            Asked::Event(event) => builder
                .method(Method::GET)
                .header("Timestamp", &event.timestamp)
                .header("Authentication", &event.authentication),
        };
        builder
            .body(Empty::new())
            .map_err(|error| error.to_string())
    }
}

/// Sends a request over a connection and has its answer read; the connection goes on meanwhile.
async fn drive<S, T, R>(
    stream: S,
    request: Request<Empty<Bytes>>,
    read: impl FnOnce(Response<Incoming>) -> R,
) -> Result<T, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Future<Output = Result<T, String>>,
{
    let broken = |error: hyper::Error| format!("the call broke: {error}");
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let driving = async {
        // How it ended is what the request hears.
        let _ = connection.await;
        pending::<Infallible>().await
    };
    let reading = async { read(sender.send_request(request).await.map_err(broken)?).await };
    tokio::select! {
        biased;
        read = reading => read,
        never = driving => match never {},
    }
}

fn judge(status: StatusCode) -> Result<(), String> {
    match status {
        status if status.is_success() => Ok(()),
        status if status.is_redirection() => Err(format!(
            "it answered {}, and redirects are not followed",
            status.as_u16()
        )),
        status => Err(format!("it answered {}", status.as_u16())),
    }
}
