//! Asking servers behind how they are, where a route wants that.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use hyper::body::Incoming;
use tokio::time::{Instant, MissedTickBehavior};

use crate::behind::{HealthCheck, Server};
use crate::link::{Link, Wait};
use crate::request_head::write_check;

/// How often it is looked which servers are to be asked.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Asks the servers that want it, each as often as it says, for as long as this runs. `servers`: those
/// that there are now. Has to run within a local set; one for a node is enough.
pub async fn watch(servers: impl Fn() -> Vec<Arc<Server>>) {
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked: BTreeMap<u64, Asked> = BTreeMap::new();
    loop {
        let now = looks.tick().await;
        let servers = servers();
        asked.retain(|number, _| servers.iter().any(|server| server.number == *number));
        for server in servers {
            let Some(check) = server.check.clone() else {
                continue;
            };
            let last = asked.get(&server.number);
            if last.is_none_or(|last| last.is_over(now, check.interval)) {
                let is_asking = Rc::new(Cell::new(true));
                let is_over = is_asking.clone();
                let number = server.number;
                tokio::task::spawn_local(async move {
                    ask(&server, &check, now).await;
                    is_over.set(false);
                });
                asked.insert(number, Asked { at: now, is_asking });
            }
        }
    }
}

/// When a server was asked last.
struct Asked {
    at: Instant,
    is_asking: Rc<Cell<bool>>,
}

impl Asked {
    fn is_over(&self, now: Instant, interval: Duration) -> bool {
        !self.is_asking.get() && now.saturating_duration_since(self.at) >= interval
    }
}

async fn ask(server: &Server, check: &HealthCheck, now: Instant) {
    let answered = tokio::time::timeout(check.interval, status(server, check, now)).await;
    let answered = answered.unwrap_or_else(|_| Err("it did not answer in time".to_owned()));
    let upstream = server.upstream();
    match answered {
        Ok(()) if server.standing().checked(true) => {
            tracing::info!(%upstream, "a server behind is well again");
        }
        Err(cause) if server.standing().checked(false) => {
            tracing::warn!(%upstream, cause, "a server behind is not well");
        }
        _ => {}
    }
}

/// Errors: why it is not well.
async fn status(server: &Server, check: &HealthCheck, now: Instant) -> Result<(), String> {
    let opened = Link::<Incoming>::open(server, check.interval, now).await;
    let mut link = opened.map_err(|error| error.to_string())?;
    link.begin(|text| write_check(text, &check.path, &server.host), None);
    // The interval ends the wait; the timer of the link must not do so before.
    let never = check.interval * 2;
    let wait = Wait {
        timeout: never,
        upload: None,
        now: || now + never,
    };
    let answer = link.answer(&Method::GET, &mut HeaderMap::new(), wait).await;
    let status = answer.map_err(|failed| format!("{failed:?}"))?.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("it answers {status}"))
    }
}
