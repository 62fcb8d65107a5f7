//! The HTTP surfaces of one environment and their dialects: the only place with status codes and
//! bodies.
//!
//! [`Surfaces::handle`] takes a request to its surface or route. What it answers itself comes back
//! as [`Handled::Answer`]; what an API behind is to answer comes back as [`Handled::Forward`], with
//! the proof that its caller may pass.

mod admin;
mod answer;
mod answer_signer;
mod authority;
mod body;
mod caught;
mod dialect;
mod discovery;
mod evidence;
mod fault;
mod forward_auth;
mod header_value;
mod held_back;
mod own_body;
mod passage;
mod request;
mod route;
mod surfaces;
mod target;
mod transport;

pub use admin::Admin;
pub use answer::Answer;
pub use answer_signer::{AnswerSigner, SIGNED_BODY_BYTES};
pub use authority::Authorities;
pub use body::{BodyError, BodyLimits, RequestBody};
pub use caught::{Panicked, caught, panics_caught};
pub use dialect::Dialect;
pub use fault::Fault;
pub use own_body::{BrokenOff, OwnBody, Pieces};
pub use passage::Passage;
pub use route::{Mount, Route};
pub use surfaces::{ContentSurface, Forward, Handled, SurfaceSettings, Surfaces};
pub use target::select_environment;
pub use transport::{Connection, TrustedProxies, TrustedProxiesError};
