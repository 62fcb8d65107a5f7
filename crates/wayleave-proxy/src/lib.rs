//! The data plane: passes proven requests to the API behind and its answers back, streaming both
//! ways.
//!
//! Nothing is forwarded without an [`Admitted`] caller (law 2). Who the caller is goes upstream in
//! `Wayleave-*` headers; whatever the client sent under those names is removed first
//! (`docs/identity-headers.md`).

mod headers;
mod proxy;

pub use proxy::{Inbound, Proxy, ProxyError};
