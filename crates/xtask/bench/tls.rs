//! TLS for `cargo xtask bench`: a bare server to compare with, and a client of a fixed rate.
//!
//! `tls certificate FOLDER` writes `certificate.pem` and `key.pem`, for this machine.
//! `tls serve CERTIFICATE KEY` answers every request over TLS with the same 13 bytes: hyper and
//! rustls, one current-thread runtime per core. It prints one JSON line with its address.
//! `tls load ADDRESS FILE CONNECTIONS RATE SECONDS` sends the requests of a file, at so many a second
//! over all connections, and prints one line of figures as `replay.lua` does. The time of an answer
//! counts from the moment at which its request was due, so that a server cannot hide behind a client
//! that waits for it. `tls load-plain` does the same without TLS.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time, and is no part of the product"
)]

use std::convert::Infallible;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, SignatureScheme,
};
use socket2::{Domain, Socket, Type};
use tokio_rustls::TlsAcceptor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "usage: tls certificate FOLDER | tls serve CERTIFICATE KEY \
                     | tls load|load-plain ADDRESS FILE CONNECTIONS RATE SECONDS";

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["certificate", folder] => certificate(Path::new(folder)),
        ["serve", certificate, key] => serve(certificate, key),
        [
            kind @ ("load" | "load-plain"),
            address,
            file,
            connections,
            rate,
            seconds,
        ] => load(&Load {
            over_tls: kind == "load",
            address: address.parse()?,
            requests: requests(file)?,
            connections: connections.parse()?,
            rate: rate.parse()?,
            seconds: seconds.parse()?,
        }),
        _ => Err(USAGE.into()),
    }
}

fn certificate(folder: &Path) -> Result<(), Failure> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(folder.join("certificate.pem"), made.cert.pem())?;
    let key = folder.join("key.pem");
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode)?;
    Ok(())
}

fn serve(certificate: &str, key: &str) -> Result<(), Failure> {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(certificate)?],
            PrivateKeyDer::from_pem_file(key)?,
        )?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let first = listener(0)?;
    let address = first.local_addr()?;
    println!("{{\"address\":\"{address}\"}}");
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = (0..cores).map(|_| {
        let acceptor = acceptor.clone();
        thread::spawn(move || serve_on_one_core(address.port(), &acceptor))
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(())
}

fn serve_on_one_core(port: u16, acceptor: &TlsAcceptor) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = listener(port)?;
    tokio::task::LocalSet::new().block_on(&runtime, accept(listener, acceptor))
}

/// A listener that shares its port with its sisters; the kernel spreads connections over them.
fn listener(port: u16) -> Result<TcpListener, Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    if port != 0 {
        // The first one only finds a free port: it never listens, so it is sent no connection.
        socket.listen(1024)?;
    }
    Ok(socket.into())
}

async fn accept(listener: TcpListener, acceptor: &TlsAcceptor) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::task::spawn_local(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let service = service_fn(answer);
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // However a connection ends is its client's business.
                let _ = served.await;
            }
        });
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!")));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// What the client is to send.
struct Load {
    over_tls: bool,
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    connections: usize,
    /// Requests a second, over all connections.
    rate: f64,
    seconds: u64,
}

/// Each request is followed by the byte 0x1e.
fn requests(file: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let text = std::fs::read(file)?;
    let all = text.split(|byte| *byte == 0x1e);
    let all: Vec<Vec<u8>> = all
        .filter(|one| !one.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    if all.is_empty() {
        return Err(format!("no request in {file}").into());
    }
    Ok(all)
}

/// What a connection found: latencies in microseconds, and how many answers were refusals.
#[derive(Default)]
struct Found {
    latencies_us: Vec<u64>,
    bad: u64,
}

fn load(load: &Load) -> Result<(), Failure> {
    let config = Arc::new(client_config()?);
    // Everybody is connected by then.
    let start = Instant::now() + Duration::from_millis(500);
    let found: Vec<Result<Found, Failure>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..load.connections)
            .map(|number| {
                let config = config.clone();
                scope.spawn(move || send_all(load, number, config, start))
            })
            .collect();
        let panicked = || Err(Failure::from("a thread panicked"));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| panicked()))
            .collect()
    });
    let mut all = Found::default();
    for one in found {
        let one = one?;
        all.latencies_us.extend(one.latencies_us);
        all.bad += one.bad;
    }
    all.latencies_us.sort_unstable();
    let last = all.latencies_us.len().checked_sub(1).ok_or("no answer")?;
    let percentile = |percent: usize| all.latencies_us[last * percent / 100];
    println!(
        "FIGURES {{\"requests\":{},\"duration_us\":{},\"p50_us\":{},\"p99_us\":{},\"bad_status\":{},\"broken\":0}}",
        all.latencies_us.len(),
        load.seconds * 1_000_000,
        percentile(50),
        percentile(99),
        all.bad,
    );
    Ok(())
}

/// Sends what is due on one connection: every `connections`-th request of the schedule.
fn send_all(
    load: &Load,
    number: usize,
    config: Arc<ClientConfig>,
    start: Instant,
) -> Result<Found, Failure> {
    let mut stream = connect(load, config)?;
    let mut found = Found::default();
    let count = (load.rate * load.seconds as f64) as usize;
    for turn in (number..count).step_by(load.connections) {
        let due = start + Duration::from_secs_f64(turn as f64 / load.rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(&load.requests[turn % load.requests.len()])?;
        stream.flush()?;
        found.bad += u64::from(!read_answer(&mut *stream)?);
        found.latencies_us.push(due.elapsed().as_micros() as u64);
    }
    Ok(found)
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn connect(load: &Load, config: Arc<ClientConfig>) -> Result<Box<dyn Stream>, Failure> {
    let socket = TcpStream::connect(load.address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    if !load.over_tls {
        return Ok(Box::new(socket));
    }
    let session = ClientConnection::new(config, ServerName::try_from("localhost")?)?;
    let mut stream = rustls::StreamOwned::new(session, socket);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(Box::new(stream))
}

/// Reads one answer; true where its status is 2xx.
fn read_answer(stream: &mut dyn Stream) -> Result<bool, Failure> {
    let mut received = Vec::with_capacity(1024);
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err("the connection ended".into());
        }
        received.extend_from_slice(&piece[..count]);
        let Some(head) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
        let length = text
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(Ok(0), |text| text.trim().parse())?;
        if received.len() >= head + 4 + length {
            return Ok(text.starts_with("http/1.1 2"));
        }
    }
}

fn client_config() -> Result<ClientConfig, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Trusts whoever answers: it is a benchmark's own server on the loopback interface.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
