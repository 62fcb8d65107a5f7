//! The connections of one core that wait for their next request.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use tokio::time::{Instant, MissedTickBehavior};

use crate::behind::Server;
use crate::link::Link;

/// How often the time of a core is read, and its pool looked through.
const TICK: Duration = Duration::from_millis(500);
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How many unused connections are kept for each server.
const IDLE_CONNECTIONS: usize = 256;
/// How long a connection may have been unused to carry a request that cannot be repeated. Servers
/// close what is unused after seconds, mostly five or more; one that closes while such a request is
/// on its way would make it fail.
const JUST_USED: Duration = Duration::from_secs(1);

/// The time of one core, half a second coarse: timeouts are counted in seconds, and reading the
/// clock for each of them would cost more than they do.
pub(crate) struct Clock(Cell<Instant>);

impl Clock {
    /// Not more than a tick ago.
    pub(crate) fn now(&self) -> Instant {
        self.0.get()
    }

    /// When a time that begins now is over, at the earliest.
    pub(crate) fn after(&self, time: Duration) -> Instant {
        self.0.get() + time + TICK
    }
}

/// The pool of one core.
pub(crate) struct Pool<B: Body<Data = Bytes> + Unpin + 'static> {
    homes: RefCell<BTreeMap<u64, Rc<Home<B>>>>,
    clock: Rc<Clock>,
    turn: Cell<usize>,
}

/// What one core has of one server.
pub(crate) struct Home<B: Body<Data = Bytes> + Unpin + 'static> {
    server: Arc<Server>,
    idle: RefCell<Vec<Idle<B>>>,
    in_use: Cell<usize>,
    clock: Rc<Clock>,
}

struct Idle<B: Body<Data = Bytes> + Unpin + 'static> {
    link: Box<Link<B>>,
    since: Instant,
}

/// Which unused connections a request may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reuse {
    /// Any: it could be repeated.
    Any,
    /// One that was used a moment ago.
    JustUsed,
    /// None.
    Never,
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Pool<B> {
    /// An empty one. Has to be made within the runtime of its core.
    pub(crate) fn new() -> Self {
        let now = tokio::time::sleep(Duration::ZERO).deadline();
        Pool {
            homes: RefCell::default(),
            clock: Rc::new(Clock(Cell::new(now))),
            turn: Cell::new(0),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A number that is one higher each time.
    pub(crate) fn next_turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }

    /// What this core has of a server.
    pub(crate) fn home(&self, server: &Arc<Server>) -> Rc<Home<B>> {
        let mut homes = self.homes.borrow_mut();
        let home = homes.entry(server.number).or_insert_with(|| {
            Rc::new(Home {
                server: server.clone(),
                idle: RefCell::default(),
                in_use: Cell::new(0),
                clock: self.clock.clone(),
            })
        });
        home.clone()
    }

    /// Keeps the time of the core, and closes what was not used for long or was closed by the other
    /// side. Never ends.
    pub(crate) async fn keep(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            self.clock.0.set(now);
            self.homes.borrow_mut().retain(|_, home| {
                home.sweep(now);
                Rc::strong_count(home) > 1 || !home.idle.borrow().is_empty()
            });
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Home<B> {
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub(crate) fn clock(&self) -> &Rc<Clock> {
        &self.clock
    }

    /// How many exchanges with the server this core has open.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use.get()
    }

    /// The connection that was used last, if it is still there.
    pub(crate) fn take(self: &Rc<Self>, reuse: Reuse) -> Option<Lease<B>> {
        let now = self.clock.now();
        loop {
            let mut idle = self.idle.borrow_mut();
            let unused = now.saturating_duration_since(idle.last()?.since);
            if reuse == Reuse::Never || reuse == Reuse::JustUsed && unused > JUST_USED {
                return None;
            }
            let mut link = idle.pop()?.link;
            drop(idle);
            if link.is_free() {
                return Some(Lease::new(link, self.clone()));
            }
        }
    }

    fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain_mut(|idle| {
            now.saturating_duration_since(idle.since) < IDLE_TIMEOUT && idle.link.is_free()
        });
    }
}

/// A connection in use. Dropped, it is closed.
pub(crate) struct Lease<B: Body<Data = Bytes> + Unpin + 'static> {
    link: Option<Box<Link<B>>>,
    home: Rc<Home<B>>,
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Lease<B> {
    pub(crate) fn new(link: Box<Link<B>>, home: Rc<Home<B>>) -> Self {
        home.in_use.set(home.in_use.get() + 1);
        Lease {
            link: Some(link),
            home,
        }
    }

    /// The connection; `None` after it was given back.
    pub(crate) fn link(&mut self) -> Option<&mut Link<B>> {
        self.link.as_deref_mut()
    }

    /// The same, to look at it.
    pub(crate) fn peek(&self) -> Option<&Link<B>> {
        self.link.as_deref()
    }

    /// Takes the connection out, never to be given back. It still counts as in use.
    pub(crate) fn take(&mut self) -> Option<Box<Link<B>>> {
        self.link.take()
    }

    /// Where it is given back to.
    pub(crate) fn home(&self) -> &Home<B> {
        &self.home
    }

    /// Gives the connection back for the next request, if it can carry one.
    pub(crate) fn give_back(mut self) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        let mut idle = self.home.idle.borrow_mut();
        if idle.len() < IDLE_CONNECTIONS && link.becomes_free() {
            link.rest();
            let since = self.home.clock.now();
            idle.push(Idle { link, since });
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin + 'static> Drop for Lease<B> {
    fn drop(&mut self) {
        self.home.in_use.set(self.home.in_use.get() - 1);
    }
}
