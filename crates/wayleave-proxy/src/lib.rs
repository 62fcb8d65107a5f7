//! The data plane: passes proven requests to the API behind and its answers back, streaming both
//! ways.
//!
//! Nothing is forwarded without an [`Admitted`](wayleave_engine::Admitted) caller (law 2). Who the
//! caller is goes upstream in `Wayleave-*` headers; whatever the client sent under those names is
//! removed first (`docs/identity-headers.md`).
//!
//! A [`Proxy`] belongs to one core. Its connections have no tasks of their own: whoever waits for an
//! answer drives the connection that it comes on, so that a request costs no switch between tasks.

mod answer;
mod answer_head;
#[cfg(test)]
mod answers_as_bytes;
mod behind;
mod caching;
mod connect;
mod counts;
mod framing;
mod headers;
mod health;
mod inbox;
mod link;
mod outbox;
mod pool;
mod proxy;
mod request_head;
mod standing;
mod upload;
mod upstream;
mod websocket;

pub use answer::{AnswerBody, AnswerError};
pub use behind::{ApiBehind, ForwardSettings, HeaderRules, HealthCheck, Server};
pub use counts::Counts;
pub use headers::is_ours;
pub use health::watch;
pub use proxy::{Inbound, Proxy, ProxyError};
pub use standing::Standing;
pub use upstream::{Upstream, UpstreamError};
pub use websocket::Tunnel;
