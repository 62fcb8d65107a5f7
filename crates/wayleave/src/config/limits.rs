use std::time::Duration;

use serde::Deserialize;
use wayleave_protocol::http_framing::HeadLimits;
use wayleave_web::BodyLimits;

use super::{ConfigError, wrong};
use crate::server::ServerLimits;

/// What a head may be set to, in bytes; the parser has room for no more.
const HEAD_BYTES: std::ops::RangeInclusive<usize> = 1_024..=65_536;
/// How many headers may be set; the parser has room for no more.
const HEADERS: std::ops::RangeInclusive<usize> = 10..=100;
/// What a timeout may be set to, in seconds.
const TIMEOUT_S: std::ops::RangeInclusive<u64> = 1..=3_600;

/// `[limits]` of the file: how much of what a client may do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsConfig {
    /// 0: not counted.
    wrong_secrets_per_minute: u32,
    /// 0: any size.
    body_bytes: u64,
    /// 0: however slow.
    body_bytes_per_s: u32,
    /// 0: however slow.
    answer_bytes_per_s: u32,
    head_bytes: usize,
    headers: usize,
    handshake_timeout_s: u64,
    head_timeout_s: u64,
    idle_timeout_s: u64,
    stall_timeout_s: u64,
    /// 0: HTTP/1 only.
    http2_streams: u32,
    /// 0: any number, as in those below.
    connections: usize,
    connections_per_peer: usize,
    requests_in_flight: usize,
    requests_in_flight_per_partner: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let body = BodyLimits::default();
        let server = ServerLimits::default();
        LimitsConfig {
            wrong_secrets_per_minute: 10,
            body_bytes: body.bytes.unwrap_or_default(),
            body_bytes_per_s: body.bytes_per_s,
            answer_bytes_per_s: server.answer_bytes_per_s,
            head_bytes: server.head.bytes,
            headers: server.head.headers,
            handshake_timeout_s: server.handshake_timeout.as_secs(),
            head_timeout_s: server.head_timeout.as_secs(),
            idle_timeout_s: server.idle_timeout.as_secs(),
            stall_timeout_s: server.stall_timeout.as_secs(),
            http2_streams: server.http2_streams,
            connections: server.connections,
            connections_per_peer: server.connections_per_peer,
            requests_in_flight: server.requests_in_flight,
            requests_in_flight_per_partner: server.requests_in_flight_per_partner,
        }
    }
}

impl LimitsConfig {
    pub(super) fn wrong_secrets_per_minute(&self) -> Option<u32> {
        Some(self.wrong_secrets_per_minute).filter(|limit| *limit > 0)
    }

    pub(super) fn body(&self) -> BodyLimits {
        BodyLimits {
            bytes: Some(self.body_bytes).filter(|limit| *limit > 0),
            bytes_per_s: self.body_bytes_per_s,
            ..BodyLimits::default()
        }
    }

    pub(super) fn server(&self) -> Result<ServerLimits, ConfigError> {
        let seconds = |name: &str, value: u64| {
            if TIMEOUT_S.contains(&value) {
                Ok(Duration::from_secs(value))
            } else {
                Err(wrong(format!("limits.{name}"), "is from 1 to 3600 seconds"))
            }
        };
        if !HEAD_BYTES.contains(&self.head_bytes) {
            return Err(wrong("limits.head_bytes", "is from 1024 to 65536"));
        }
        if !HEADERS.contains(&self.headers) {
            return Err(wrong("limits.headers", "is from 10 to 100"));
        }
        Ok(ServerLimits {
            head: HeadLimits {
                bytes: self.head_bytes,
                headers: self.headers,
            },
            handshake_timeout: seconds("handshake_timeout_s", self.handshake_timeout_s)?,
            head_timeout: seconds("head_timeout_s", self.head_timeout_s)?,
            idle_timeout: seconds("idle_timeout_s", self.idle_timeout_s)?,
            stall_timeout: seconds("stall_timeout_s", self.stall_timeout_s)?,
            answer_bytes_per_s: self.answer_bytes_per_s,
            http2_streams: self.http2_streams,
            connections: self.connections,
            connections_per_peer: self.connections_per_peer,
            requests_in_flight: self.requests_in_flight,
            requests_in_flight_per_partner: self.requests_in_flight_per_partner,
        })
    }
}
