//! The call at the end of an order: an empty POST to the address that was named when its quote was
//! accepted. Whoever receives it looks the order up.

use std::time::Duration;

use wayleave_core::OrderId;
use wayleave_protocol::callback::CallbackRequest;
use wayleave_store::{BoxFuture, Job};

use crate::Refusal;
use crate::engine::Engine;
use crate::job::Attempt;

/// For how long a call is tried again.
const TRIED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Calls addresses outside, and knows which ones may be called.
pub trait HookSender: Send + Sync {
    /// Whether an address may be called at all: of the right form, over https, not within this
    /// network. It is looked at again, as it resolves then, with every call. Errors: why not, for
    /// people.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Sends an empty POST. Errors: anything but an answer of 2xx, for people.
    fn call<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<(), String>>;

    /// Sends a GET with a timestamp and a signature. Errors: anything but an answer of exactly 200, for
    /// people.
    fn tell<'a>(&'a self, request: &'a CallbackRequest) -> BoxFuture<'a, Result<(), String>>;
}

impl Engine {
    /// Says how addresses outside are called; before that none can be.
    pub fn set_hooks(&self, hooks: Box<dyn HookSender>) {
        let _ = self.hooks.set(hooks);
    }

    pub(crate) fn check_hook(&self, url: &str) -> Result<(), String> {
        match self.hooks.get() {
            Some(hooks) => hooks.check(url),
            None => Err("this node calls no addresses".to_owned()),
        }
    }

    pub(crate) async fn attempt_hook(&self, job: &Job, id: OrderId) -> Result<Attempt, Refusal> {
        let order = self.order_by_id(id).await?.order;
        let Some(url) = &order.hook_url else {
            return Ok(Attempt::Done);
        };
        let Some(hooks) = self.hooks.get() else {
            return Ok(Attempt::Again(
                "this node calls no addresses yet".to_owned(),
            ));
        };
        match hooks.call(url).await {
            Ok(()) => Ok(Attempt::Done),
            Err(why) if job.created_at.plus(TRIED_FOR) < self.now() => Ok(Attempt::GivenUp(why)),
            Err(why) => Ok(Attempt::Again(why)),
        }
    }
}
