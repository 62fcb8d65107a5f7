//! What has come on a connection and was not taken yet.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The largest head of an answer or part of one that has to be there whole, in bytes.
pub(crate) const LARGEST_HEAD: usize = 64 * 1024;
/// What is read at once where little comes, and where much does.
const SMALL_READ: usize = 8 * 1024;
const LARGE_READ: usize = 64 * 1024;
/// With less room than this the next read has new memory.
const LEAST_ROOM: usize = 2 * 1024;

/// Bytes in the order in which they came. What is taken of them is not copied.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: BytesMut,
    /// Whether the last read filled all the room that there was.
    was_filled: bool,
    has_been_large: bool,
}

impl Inbox {
    /// What is there.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes so many bytes, which have to be there.
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        self.bytes.split_to(count).freeze()
    }

    /// Takes all, at most so many.
    pub(crate) fn take_up_to(&mut self, count: u64) -> Bytes {
        let there = self.bytes.len();
        self.take(usize::try_from(count).map_or(there, |count| count.min(there)))
    }

    /// Reads once. Returns how many bytes came: none at the end of the connection.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() - self.bytes.len() < LEAST_ROOM {
            let room = if self.was_filled {
                LARGE_READ
            } else {
                SMALL_READ
            };
            self.has_been_large |= self.was_filled;
            self.bytes.reserve(room);
        }
        let count = ready!(pin!(wire.read_buf(&mut self.bytes)).poll(cx))?;
        self.was_filled = self.bytes.len() == self.bytes.capacity();
        Poll::Ready(Ok(count))
    }

    /// Gives large memory back, while nothing is there.
    pub(crate) fn shrink(&mut self) {
        if self.has_been_large {
            *self = Inbox::default();
        }
    }

    /// With these bytes in it.
    #[cfg(test)]
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}
