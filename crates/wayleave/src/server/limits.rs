use std::time::Duration;

use wayleave_protocol::http_framing::HeadLimits;

/// The longest time between two looks at a connection.
const LONGEST_LOOK: Duration = Duration::from_secs(5);
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// What clients of a node may do (`docs/gateway-limits.md`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerLimits {
    /// How large the head of a request may be.
    pub head: HeadLimits,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a head may take; for the first one also from the connection on.
    pub head_timeout: Duration,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
    /// How long a client may take its answers slower than [`ServerLimits::answer_bytes_per_s`].
    pub stall_timeout: Duration,
    /// The least that a client has to take of answers that wait for it.
    pub answer_bytes_per_s: u32,
    /// Requests at once on one HTTP/2 connection; 0: no HTTP/2.
    pub http2_streams: u32,
    /// Open connections to the environments; 0: any number.
    pub connections: usize,
    /// The same from one address, which for IPv6 is its network of 64 bits. Trusted proxies may
    /// have any number; 0: everybody may.
    pub connections_per_peer: usize,
    /// Requests that APIs behind are answering at once; 0: any number.
    pub requests_in_flight: usize,
    /// The same of one partner; 0: as many as there are free places.
    pub requests_in_flight_per_partner: usize,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            head: HeadLimits {
                bytes: 64 * 1024,
                headers: 100,
            },
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            answer_bytes_per_s: 256,
            http2_streams: 100,
            connections: 20_000,
            connections_per_peer: 1_024,
            requests_in_flight: 4_096,
            requests_in_flight_per_partner: 0,
        }
    }
}

impl ServerLimits {
    /// How often a connection is looked at: what is too slow is cut at most one look after its
    /// time. One timer for each connection costs nothing; one for each request did.
    pub(super) fn look_interval(&self) -> Duration {
        let shortest = self
            .head_timeout
            .min(self.idle_timeout)
            .min(self.stall_timeout);
        (shortest / 2).clamp(SHORTEST_LOOK, LONGEST_LOOK)
    }

    /// The bytes of answers that a client has to take between two looks.
    pub(super) fn answer_bytes_per_look(&self) -> u64 {
        let bytes = u128::from(self.answer_bytes_per_s) * self.look_interval().as_millis() / 1_000;
        u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
    }
}
