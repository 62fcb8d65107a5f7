//! Switching to WebSocket (RFC 6455 over HTTP/1.1), the one protocol that a client may switch to.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};
use hyper::body::{Body, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::connect::Wire;
use crate::pool::Lease;

/// Whether a request asks for it (section 4.1).
pub(crate) fn is_asked_for(parts: &Parts) -> bool {
    parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && is_named(&parts.headers)
        && parts.headers.contains_key(SEC_WEBSOCKET_KEY)
        && parts.headers.contains_key(SEC_WEBSOCKET_VERSION)
}

/// Whether the headers of a request or of an answer switch to WebSocket and to nothing else.
pub(crate) fn is_named(headers: &HeaderMap) -> bool {
    let mut protocols = headers.get_all(UPGRADE).iter();
    let is_websocket = |protocol: &HeaderValue| {
        let protocol = protocol.as_bytes();
        protocol.trim_ascii().eq_ignore_ascii_case(b"websocket")
    };
    let only = protocols.next().is_some_and(is_websocket) && protocols.next().is_none();
    let values = headers.get_all(CONNECTION).iter();
    let mut options = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    only && options.any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}

/// Says it: in the request to a server, or in the answer to a client.
pub(crate) fn name(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// A connection to a server behind that has switched. Nothing of the client has been passed on yet.
pub struct Tunnel<B: Body<Data = Bytes> + Unpin + 'static> {
    wire: Wire,
    /// What the server sent right behind its answer.
    early: Bytes,
    idle_timeout: Duration,
    /// Counts as an open exchange.
    _lease: Lease<B>,
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Tunnel<B> {
    pub(crate) fn new(
        (wire, early): (Wire, Bytes),
        idle_timeout: Duration,
        lease: Lease<B>,
    ) -> Self {
        Tunnel {
            wire,
            early,
            idle_timeout,
            _lease: lease,
        }
    }

    /// Passes bytes both ways until one side has ended, or nothing has come from either for at least
    /// the time of the route. Errors: one side broke.
    pub async fn relay(self, client: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let moved = Rc::new(Cell::new(0));
        let mut server = self.wire;
        let mut client = Watched {
            inner: client,
            moved: moved.clone(),
        };
        client.write_all(&self.early).await?;
        tokio::select! {
            passed = tokio::io::copy_bidirectional(&mut client, &mut server) => passed.map(drop),
            () = falls_silent(&moved, self.idle_timeout) => Ok(()),
        }
    }
}

/// Ends when nothing moved between two looks.
async fn falls_silent(moved: &Cell<u64>, look_interval: Duration) {
    loop {
        let before = moved.get();
        tokio::time::sleep(look_interval).await;
        if moved.get() == before {
            return;
        }
    }
}

/// A side that notes whether anything moves.
struct Watched<T> {
    inner: T,
    moved: Rc<Cell<u64>>,
}

impl<T> Watched<T> {
    fn note(&self, is_moved: bool) {
        self.moved
            .set(self.moved.get().wrapping_add(u64::from(is_moved)));
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.note(read.is_ready());
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(method: Method, lines: &[(&'static str, &'static str)]) -> bool {
        let mut request = http::Request::new(());
        *request.method_mut() = method;
        for (name, value) in lines {
            let value = HeaderValue::from_static(value);
            request.headers_mut().append(*name, value);
        }
        is_asked_for(&request.into_parts().0)
    }

    #[test]
    fn only_a_whole_question_for_websocket_alone_asks_for_it() {
        let whole = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ];
        assert!(asks(Method::GET, &whole));
        assert!(!asks(Method::POST, &whole));
        for missing in 0..whole.len() {
            let mut lines = whole.to_vec();
            lines.remove(missing);
            assert!(!asks(Method::GET, &lines), "{lines:?}");
        }
        for more in ["h2c", "websocket"] {
            let mut lines = whole.to_vec();
            lines.push(("upgrade", more));
            assert!(!asks(Method::GET, &lines), "{more}");
        }
        let mut lines = whole.to_vec();
        lines[1].1 = "h2c, websocket";
        assert!(!asks(Method::GET, &lines));
    }
}
