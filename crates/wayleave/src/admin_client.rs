//! A client of the admin address: HTTP/1.1 on one connection that is kept, one call at a time, plain
//! on this machine and over TLS elsewhere. Calls wait for their answer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

/// How long a call may take, from the connection to the last byte of the answer.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Where most systems keep the certificates that they trust.
pub const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// A page of a thousand credentials is about a megabyte.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// Why a call did not give what it was made for. No text of it holds the token.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be one of an admin API, or must not be called.
    #[error("{url}: {why}")]
    Address {
        /// The address as given, without name and password.
        url: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The operator token cannot be sent in a header.
    #[error(
        "the operator token has characters that no token has: is it the right file or variable?"
    )]
    Token,
    /// The certificates to trust cannot be read.
    #[error("{path}: {why}; --ca FILE or WAYLEAVE_CA names a file of certificates in PEM")]
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing answers there.
    #[error(
        "{url} cannot be reached ({why}): start the node, or give another address with --admin URL or WAYLEAVE_ADMIN_URL"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What the system said.
        why: String,
    },
    /// The other side is not trusted, or speaks no TLS.
    #[error(
        "{url}: TLS failed ({why}): is it an https address? A certificate of your own is trusted with --ca FILE or WAYLEAVE_CA"
    )]
    Tls {
        /// The address.
        url: String,
        /// What the handshake said.
        why: String,
    },
    /// There was no whole answer in time.
    #[error("{url} did not answer within {} s{}", TIMEOUT.as_secs(), unknown(*.changes))]
    Slow {
        /// The address.
        url: String,
        /// Whether the call would have changed something.
        changes: bool,
    },
    /// The connection broke while a call was on its way.
    #[error("the connection to {url} broke ({why}){}", unknown(*.changes))]
    Broken {
        /// The address.
        url: String,
        /// What happened.
        why: String,
        /// Whether the call would have changed something.
        changes: bool,
    },
    /// What answers is not an admin API.
    #[error(
        "what answers at {url} is no admin address of Wayleave ({why}): give another one with --admin URL or WAYLEAVE_ADMIN_URL"
    )]
    Foreign {
        /// The address.
        url: String,
        /// What it answered.
        why: String,
    },
    /// The server refused.
    #[error("{}", .0.text())]
    Refused(Refused),
    /// The runtime of the client cannot start.
    #[error("{0}")]
    Runtime(io::Error),
}

/// What the server said in its problem details (RFC 9457).
#[derive(Debug)]
pub struct Refused {
    /// The status of the answer.
    pub status: StatusCode,
    /// Its `message`.
    pub message: String,
    /// Its `index`, where one of many entries is at fault.
    pub index: Option<u64>,
}

impl Refused {
    /// The message, and what to do where the message does not say.
    fn text(&self) -> String {
        let advice = match self.status {
            StatusCode::UNAUTHORIZED => {
                "; the operator token is not right: check --token-file, WAYLEAVE_ADMIN_TOKEN or --data"
            }
            StatusCode::NOT_FOUND => {
                "; look at the id with list, or in the other environment with --env"
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                "; the node may be older than this command: compare wayleave --version"
            }
            StatusCode::INTERNAL_SERVER_ERROR => "; the cause is in the log of the node",
            _ => "",
        };
        format!("{} ({}){advice}", self.message, self.status.as_u16())
    }
}

/// For calls that change something and have no answer.
fn unknown(changes: bool) -> &'static str {
    if changes {
        ": whether it was done is not known, look before you repeat it"
    } else {
        ": try again"
    }
}

/// Where the admin API is and how to get in.
#[derive(Clone)]
pub struct Destination {
    url: String,
    host: String,
    port: u16,
    base_path: String,
    host_header: HeaderValue,
    authorization: HeaderValue,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
}

impl Destination {
    /// Reads an address such as `https://admin.example.com:8443`. Plain HTTP only to this machine,
    /// unless `insecure_http`. `roots`: the file of certificates to trust, in PEM; `None`: those of
    /// the system.
    pub fn new(
        url: &str,
        token: &str,
        roots: Option<&Path>,
        insecure_http: bool,
    ) -> Result<Self, AdminError> {
        // A name and password in an address are refused, and not repeated.
        let shown = url.rsplit_once('@').map_or(url, |(_, place)| place);
        let wrong = |why: &str| AdminError::Address {
            url: shown.to_owned(),
            why: why.to_owned(),
        };
        let shape = "an address is such as http://127.0.0.1:8082 or https://admin.example.com";
        let uri: Uri = url.parse().map_err(|_| wrong(shape))?;
        let authority = uri.authority().ok_or_else(|| wrong(shape))?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong(shape));
        }
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong(shape)),
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if !is_tls && !insecure_http && !is_this_machine(&host) {
            return Err(wrong(
                "plain http shows the operator token to the network: take https, or --insecure-http where the network is your own",
            ));
        }
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| AdminError::Token)?;
        authorization.set_sensitive(true);
        Ok(Destination {
            url: url.trim_end_matches('/').to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if is_tls { 443 } else { 80 }),
            base_path: uri.path().trim_end_matches('/').to_owned(),
            host_header: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong(shape))?,
            host,
            authorization,
            tls: is_tls.then(|| tls_client(roots)).transpose()?,
            timeout: TIMEOUT,
        })
    }

    /// The address, as it is shown to people.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn tls_client(roots: Option<&Path>) -> Result<Arc<ClientConfig>, AdminError> {
    let path = roots.unwrap_or(Path::new(SYSTEM_ROOTS));
    let wrong = |why: String| AdminError::Roots {
        path: path.to_owned(),
        why,
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(error.to_string()))?;
    let mut store = RootCertStore::empty();
    // Systems keep a few certificates that rustls does not take; one good one is enough to go on.
    let (taken, _) = store.add_parsable_certificates(certificates);
    if taken == 0 {
        return Err(wrong("no certificate that can be used".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

type Sender = SendRequest<Full<Bytes>>;

/// A client with one connection.
pub struct AdminClient {
    destination: Destination,
    runtime: Runtime,
    sender: Option<Sender>,
}

impl AdminClient {
    /// A client that has not called yet.
    pub fn new(destination: Destination) -> Result<Self, AdminError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(AdminError::Runtime)?;
        Ok(AdminClient {
            destination,
            runtime,
            sender: None,
        })
    }

    /// Reads what is at a path such as `/test/v1/partners`.
    pub fn get(&mut self, path_and_query: &str) -> Result<Value, AdminError> {
        self.call(Method::GET, path_and_query, None)
    }

    /// Does something; `body`: its JSON.
    pub fn post(&mut self, path: &str, body: Option<&Value>) -> Result<Value, AdminError> {
        let body = body.map(|body| Bytes::from(body.to_string()));
        self.call(Method::POST, path, body)
    }

    /// Does something; `body`: JSON that is written already.
    pub fn post_written(&mut self, path: &str, body: Bytes) -> Result<Value, AdminError> {
        self.call(Method::POST, path, Some(body))
    }

    fn call(
        &mut self,
        method: Method,
        target: &str,
        body: Option<Bytes>,
    ) -> Result<Value, AdminError> {
        let request = self.destination.request(method, target, body)?;
        let changes = request.method() != Method::GET;
        let destination = &self.destination;
        let kept = self.sender.take();
        let exchange = exchange(destination, kept, request);
        let timed = self
            .runtime
            .block_on(async { tokio::time::timeout(destination.timeout, exchange).await });
        let (status, body, sender) = timed.map_err(|_| AdminError::Slow {
            url: destination.url.clone(),
            changes,
        })??;
        self.sender = Some(sender);
        self.destination.read(status, &body)
    }
}

impl Destination {
    fn request(
        &self,
        method: Method,
        target: &str,
        body: Option<Bytes>,
    ) -> Result<Request<Full<Bytes>>, AdminError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.base_path))
            .header(HOST, self.host_header.clone())
            .header(AUTHORIZATION, self.authorization.clone());
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| AdminError::Address {
                url: self.url.clone(),
                why: error.to_string(),
            })
    }

    fn broken(&self, changes: bool, why: impl ToString) -> AdminError {
        AdminError::Broken {
            url: self.url.clone(),
            why: why.to_string(),
            changes,
        }
    }

    /// The JSON of a good answer, or what the server said instead.
    fn read(&self, status: StatusCode, body: &[u8]) -> Result<Value, AdminError> {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        if status.is_success() {
            return json.ok_or_else(|| AdminError::Foreign {
                url: self.url.clone(),
                why: "its answer is no JSON".to_owned(),
            });
        }
        let text = |name: &str| json.as_ref()?.get(name)?.as_str().map(str::to_owned);
        match text("message").or_else(|| text("detail")) {
            Some(message) => Err(AdminError::Refused(Refused {
                status,
                message,
                index: json.as_ref().and_then(|json| json.get("index")?.as_u64()),
            })),
            None => Err(AdminError::Foreign {
                url: self.url.clone(),
                why: format!("it says {status}"),
            }),
        }
    }
}

/// Sends a request on the kept connection, or on a new one where that has ended before the request
/// was written.
async fn exchange(
    destination: &Destination,
    kept: Option<Sender>,
    mut request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes, Sender), AdminError> {
    let changes = request.method() != Method::GET;
    if let Some(mut sender) = kept
        && sender.ready().await.is_ok()
    {
        match sender.try_send_request(request).await {
            Ok(answer) => return whole(destination, changes, answer, sender).await,
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(destination.broken(changes, error.error())),
            },
        }
    }
    let mut sender = connect(destination).await?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| destination.broken(changes, error))?;
    whole(destination, changes, answer, sender).await
}

async fn whole(
    destination: &Destination,
    changes: bool,
    answer: hyper::Response<hyper::body::Incoming>,
    sender: Sender,
) -> Result<(StatusCode, Bytes, Sender), AdminError> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_LIMIT_BYTES)
        .collect()
        .await
        .map_err(|error| destination.broken(changes, error))?;
    Ok((status, body.to_bytes(), sender))
}

async fn connect(destination: &Destination) -> Result<Sender, AdminError> {
    let unreachable = |error: io::Error| AdminError::Unreachable {
        url: destination.url.clone(),
        why: error.to_string(),
    };
    let stream = TcpStream::connect((destination.host.as_str(), destination.port))
        .await
        .map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let Some(config) = &destination.tls else {
        return open(destination, stream).await;
    };
    let refused = |why: String| AdminError::Tls {
        url: destination.url.clone(),
        why,
    };
    let name = ServerName::try_from(destination.host.clone())
        .map_err(|error| refused(error.to_string()))?;
    let session = TlsConnector::from(config.clone()).connect(name, stream);
    let stream = session.await.map_err(|error| refused(error.to_string()))?;
    open(destination, stream).await
}

/// Speaks HTTP on a stream. The connection is driven whenever a call waits.
async fn open<S>(destination: &Destination, stream: S) -> Result<Sender, AdminError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| destination.broken(false, error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the admin address ended");
        }
    });
    Ok(sender)
}

/// A word for a path or a query: everything but the unreserved characters of RFC 3986 is escaped.
pub fn escape(word: &str) -> String {
    use std::fmt::Write as _;
    word.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
#[path = "admin_client/tests.rs"]
mod tests;
