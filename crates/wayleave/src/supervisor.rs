//! What the process and whoever started it tell each other: signals in, states out.

#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// SIGINT or SIGTERM.
    End,
    /// SIGHUP.
    Reload,
}

/// The signals that the process listens to. From its making on none of them ends the process.
pub(crate) struct Signals {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to listen.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let hang_up = signal(SignalKind::hangup())?;
        drop(entered);
        Ok(Signals {
            runtime,
            interrupt,
            terminate,
            hang_up,
        })
    }

    /// Waits for the next signal.
    pub(crate) fn next(&mut self) -> Wish {
        let Signals {
            runtime,
            interrupt,
            terminate,
            hang_up,
        } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => Wish::End,
                _ = terminate.recv() => Wish::End,
                _ = hang_up.recv() => Wish::Reload,
            }
        })
    }

    /// Waits until the process is told to end; a wish to reload is none for it.
    pub(crate) fn wait_for_end(&mut self) {
        while self.next() != Wish::End {}
    }
}

/// Tells systemd a state such as `READY=1` (sd_notify(3)), where it asked to be told.
pub(crate) fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let told = notify_at(path.as_encoded_bytes(), state);
    if let Err(error) = told {
        tracing::warn!(%error, "the state could not be told to NOTIFY_SOCKET");
    }
}

fn notify_at(path: &[u8], state: &str) -> std::io::Result<()> {
    let address = match path.strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_state_arrives_at_an_abstract_socket() {
        let name = format!("wayleave-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        notify_at(format!("@{name}").as_bytes(), "READY=1").expect("told");
        let mut received = [0; 32];
        let length = socket.recv(&mut received).expect("a state");
        assert_eq!(&received[..length], b"READY=1");
        assert!(notify_at(b"/there/is/no/socket", "READY=1").is_err());
    }
}
