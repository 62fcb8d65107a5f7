//! Listening: addresses are bound once for each core.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted.
pub(super) const BACKLOG: i32 = 1_024;

/// An address that is bound and not served yet.
pub struct Bound {
    /// The address, with the port that it got.
    pub address: SocketAddr,
    pub(super) sockets: Vec<TcpListener>,
}

impl Bound {
    /// Binds an address for a number of threads. Port 0 takes any free port; `or_free_port` takes
    /// any free one also where the wanted one is busy.
    pub fn new(address: SocketAddr, or_free_port: bool, threads: usize) -> io::Result<Self> {
        let address = match probe(address) {
            Ok(address) => address,
            Err(error) if or_free_port && error.kind() == io::ErrorKind::AddrInUse => {
                probe(SocketAddr::new(address.ip(), 0))?
            }
            Err(error) => return Err(error),
        };
        let sockets = (0..threads)
            .map(|_| listen(address))
            .collect::<io::Result<_>>()?;
        Ok(Bound { address, sockets })
    }
}

/// Finds out whether an address is free. Shared sockets would join another program of the same
/// user that shares the port too, so the first look is without sharing.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let socket = socket(address)?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The address as people type it: a loopback or wildcard address becomes one that can be called.
pub fn callable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
