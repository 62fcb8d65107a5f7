//! What the hardware and hyper can do at best, for `cargo xtask bench` to compare with.
//!
//! `ceiling serve` answers every request with the same 13 bytes: one current-thread runtime per
//! core, each with its own listener on one shared port, and nothing between hyper and the answer.
//! `ceiling es256 SECONDS` signs on every core and prints what one ES256 signature costs.
//!
//! Both print one JSON line on standard output.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time, and is no part of the product"
)]

use std::convert::Infallible;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "usage: ceiling serve | ceiling es256 SECONDS";

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve(),
        ["es256", seconds] => es256(Duration::from_secs(seconds.parse()?)),
        _ => Err(USAGE.into()),
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Runs `work` once on each core and hands back what they returned.
fn on_every_core<T: Send>(work: impl Fn() -> Result<T, Failure> + Sync) -> Result<Vec<T>, Failure> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| Failure::from("a thread panicked"))?
            })
            .collect()
    })
}

fn serve() -> Result<(), Failure> {
    let first = listener(0)?;
    let address = first.local_addr()?;
    println!("{{\"address\":\"{address}\"}}");
    let others = on_every_core(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = listener(address.port())?;
        tokio::task::LocalSet::new().block_on(&runtime, accept(listener))
    });
    others.map(drop)
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

async fn accept(listener: TcpListener) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!")));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// Signs on every core, as a server that is only issuing tokens would, so that the cost is that
/// of a signature on a machine whose other cores are busy too.
fn es256(how_long: Duration) -> Result<(), Failure> {
    let before = own_cpu_ticks()?;
    let counts = on_every_core(|| sign_for(how_long))?;
    let ticks = own_cpu_ticks()? - before;
    let signatures: u64 = counts.iter().sum();
    println!("{{\"signatures\":{signatures},\"cpu_ticks\":{ticks}}}");
    Ok(())
}

/// Signs a text of the length of a token's for as long as told; returns how many it signed.
fn sign_for(how_long: Duration) -> Result<u64, Failure> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let random = SystemRandom::new();
    let mut text = [b'x'; 320];
    let end = Instant::now() + how_long;
    let mut signed = 0_u64;
    while Instant::now() < end {
        for _ in 0..100 {
            text[..8].copy_from_slice(&signed.to_be_bytes());
            std::hint::black_box(key.sign(&random, &text)?);
            signed += 1;
        }
    }
    Ok(signed)
}

/// The user and system time of this process so far, in clock ticks.
fn own_cpu_ticks() -> Result<u64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |index: usize| fields.get(index).ok_or("a short /proc/self/stat");
    Ok(field(11)?.parse::<u64>()? + field(12)?.parse::<u64>()?)
}
