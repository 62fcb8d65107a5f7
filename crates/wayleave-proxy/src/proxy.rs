//! Passing one request on: which server, over which connection, and whether it is tried again.

use std::net::IpAddr;
use std::rc::Rc;

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body, Bytes};
use wayleave_engine::Admitted;

use crate::answer::{AnswerBody, take_over};
use crate::behind::ApiBehind;
use crate::headers;
use crate::link::{Failed, Link, Wait};
use crate::outbox::BodyEnd;
use crate::pool::{Home, Lease, Pool, Reuse};
use crate::request_head::PassedHead;
use crate::upload::Upload;
use crate::websocket::{self, Tunnel};

/// Why a request could not be passed on, or got no answer. `E`: the error of its body.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError<E> {
    /// No server of the API behind could be reached.
    #[error("the API behind could not be reached: {0}")]
    Unreachable(String),
    /// It broke off before its answer.
    #[error("the API behind broke off before its answer: {0}")]
    Broken(String),
    /// What it sent is no answer.
    #[error("the API behind sent what is no answer: {0}")]
    Malformed(String),
    /// Its answer did not begin in time.
    #[error("the API behind did not answer in time")]
    TimedOut,
    /// The body of the request failed before the answer: the client's fault.
    #[error("the body of the request failed")]
    Body(E),
    /// The path without the prefix of the route could be read as another address.
    #[error("the path can be read in more than one way")]
    UnclearPath,
}

/// What the API behind is told about the request as we received it.
#[derive(Clone, Copy, Debug)]
pub struct Inbound<'a> {
    /// Where it came from.
    pub source: IpAddr,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// The host that the request was for, as it was written.
    pub host: &'a str,
    /// Finds it in the log.
    pub request_id: &'a str,
}

/// A client of APIs behind, with its own pool of connections: one for each core.
pub struct Proxy<B: Body<Data = Bytes> + Unpin + 'static> {
    pool: Pool<B>,
}

/// One request on its way.
struct Passing<'a, B: Body<Data = Bytes> + Unpin + 'static> {
    api: &'a ApiBehind,
    admitted: &'a Admitted,
    inbound: &'a Inbound<'a>,
    path: &'a str,
    parts: Parts,
    upload: Option<Rc<Upload<B>>>,
    /// Whether it may switch to WebSocket.
    is_websocket: bool,
    /// The servers that it was tried on, by their places.
    tried: u64,
    retries_left: u32,
}

/// What to do after an attempt failed.
enum Next<E> {
    /// Once more on a new connection to the same server.
    Anew,
    /// On another server, if there is one; else this is the answer.
    Elsewhere(ProxyError<E>),
    /// Nothing.
    Over(ProxyError<E>),
}

impl<B> Default for Proxy<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
{
    fn default() -> Self {
        Proxy { pool: Pool::new() }
    }
}

impl<B> Proxy<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
{
    /// Keeps its time and its pool. Has to run beside everything else on its core; never ends.
    pub async fn keep(&self) {
        self.pool.keep().await;
    }

    /// Passes a request to the API behind: its method, body and the headers that are not ours or
    /// the connection's. The answer's body streams as it comes.
    ///
    /// `path`: the path to ask for, as it was admitted. Errors: [`ProxyError`]; an answer of
    /// whatever status is none.
    pub async fn forward(
        &self,
        admitted: &Admitted,
        api: &ApiBehind,
        path: &str,
        request: Request<B>,
        inbound: &Inbound<'_>,
    ) -> Result<Response<AnswerBody<B>>, ProxyError<B::Error>> {
        let (parts, body) = request.into_parts();
        let upload = (!body.is_end_stream()).then(|| Upload::new(body));
        let passing = Passing {
            api,
            admitted,
            inbound,
            path,
            is_websocket: api.settings().websocket
                && upload.is_none()
                && websocket::is_asked_for(&parts),
            parts,
            upload,
            tried: 0,
            retries_left: api.settings().retries,
        };
        self.pass(passing).await
    }

    async fn pass(
        &self,
        mut passing: Passing<'_, B>,
    ) -> Result<Response<AnswerBody<B>>, ProxyError<B::Error>> {
        let mut reuse = passing.reuse();
        let mut home = self.choose(&mut passing);
        let mut last = ProxyError::Unreachable("it has no server".to_owned());
        while let Some(chosen) = home {
            match self.attempt(&mut passing, &chosen, reuse).await {
                Ok(answer) => return Ok(answer),
                Err(Next::Over(error)) => return Err(error),
                Err(Next::Anew) => {
                    passing.api.counts().count_retry();
                    reuse = Reuse::Never;
                    home = Some(chosen);
                }
                Err(Next::Elsewhere(error)) => {
                    last = error;
                    if passing.retries_left == 0 {
                        break;
                    }
                    passing.retries_left -= 1;
                    home = self.choose(&mut passing);
                    if home.is_some() {
                        passing.api.counts().count_retry();
                    }
                }
            }
        }
        Err(last)
    }

    /// The next server in turn that takes requests, or the one after it where that has fewer
    /// exchanges open on this core. Where none takes requests, the next that was not tried: some
    /// answer is better than none.
    fn choose(&self, passing: &mut Passing<'_, B>) -> Option<Rc<Home<B>>> {
        let servers = passing.api.servers();
        let turn = match servers.len() {
            0 | 1 => 0,
            _ => self.pool.next_turn(),
        };
        let now = self.pool.clock().now().into_std();
        let places = (0..servers.len()).map(|step| (turn + step) % servers.len());
        let untried = places.filter(|place| passing.tried >> place & 1 == 0);
        let mut well = untried
            .clone()
            .filter(|place| servers.len() == 1 || servers[*place].standing().takes_requests(now));
        let place = match (well.next(), well.next()) {
            (Some(one), Some(other)) => {
                let in_use = |place: usize| self.pool.home(&servers[place]).in_use();
                if in_use(other) < in_use(one) {
                    other
                } else {
                    one
                }
            }
            (Some(one), None) => one,
            (None, _) => untried.clone().next()?,
        };
        passing.tried |= 1 << place;
        Some(self.pool.home(&servers[place]))
    }

    async fn attempt(
        &self,
        passing: &mut Passing<'_, B>,
        home: &Rc<Home<B>>,
        reuse: Reuse,
    ) -> Result<Response<AnswerBody<B>>, Next<B::Error>> {
        let settings = passing.api.settings();
        let (mut lease, is_reused) = match home.take(reuse) {
            Some(lease) => (lease, true),
            // It is large, and seldom needed.
            None => (Box::pin(self.connect(passing, home)).await?, false),
        };
        let target = passing.target(home)?;
        let Some(link) = lease.link() else {
            return Err(Next::Anew);
        };
        passing.begin(link, home, &target);
        let clock = self.pool.clock();
        let wait = Wait {
            timeout: settings.answer_timeout,
            upload: passing.upload.as_deref(),
            now: || clock.after(std::time::Duration::ZERO),
        };
        let parts = &mut passing.parts;
        let answered = link.answer(&parts.method, &mut parts.headers, wait).await;
        match answered {
            Ok(answer) => {
                self.succeeded(home);
                self.take_over(passing, lease, answer)
            }
            Err(failed) => Err(self.after(passing, home, is_reused, failed)),
        }
    }

    async fn connect(
        &self,
        passing: &Passing<'_, B>,
        home: &Rc<Home<B>>,
    ) -> Result<Lease<B>, Next<B::Error>> {
        let timeout = passing.api.settings().connect_timeout;
        let opened = Link::open(home.server(), timeout, self.pool.clock().now()).await;
        opened
            .map(|link| Lease::new(link, home.clone()))
            .map_err(|error| {
                self.failed(home, &error.to_string());
                let upstream = home.server().upstream();
                Next::Elsewhere(ProxyError::Unreachable(format!("{upstream}: {error}")))
            })
    }

    fn take_over(
        &self,
        passing: &Passing<'_, B>,
        mut lease: Lease<B>,
        mut answer: Response<()>,
    ) -> Result<Response<AnswerBody<B>>, Next<B::Error>> {
        let settings = passing.api.settings();
        let (method, caller) = (&passing.parts.method, passing.admitted.caller());
        if let Err(fault) = take_over(&mut answer, method, caller, settings, passing.is_websocket) {
            let upstream = lease.home().server().upstream();
            let error = ProxyError::Malformed(format!("{upstream}: {fault}"));
            return Err(Next::Over(error));
        }
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(link) = lease.take() else {
                let cause = "it ended as it switched".to_owned();
                return Err(Next::Over(ProxyError::Broken(cause)));
            };
            let tunnel = Tunnel::new(link.into_stream(), settings.idle_timeout, lease);
            return Ok(answer.map(|()| AnswerBody::switched(tunnel)));
        }
        let is_sent = passing
            .upload
            .as_ref()
            .is_none_or(|upload| upload.is_done());
        Ok(answer.map(|()| AnswerBody::new(lease, settings.idle_timeout, is_sent)))
    }

    /// What to do after a request got no answer, and whose fault it was.
    fn after(
        &self,
        passing: &Passing<'_, B>,
        home: &Rc<Home<B>>,
        is_reused: bool,
        failed: Failed,
    ) -> Next<B::Error> {
        let failure = |upload: &Rc<Upload<B>>| upload.take_failure();
        if let Some(error) = passing.upload.as_ref().and_then(failure) {
            return Next::Over(ProxyError::Body(error));
        }
        let upstream = home.server().upstream();
        let (may_repeat, error) = match failed {
            // The server closed an unused connection at the moment when it was to be used.
            Failed::Unsent if is_reused => return Next::Anew,
            Failed::Broken {
                has_heard: false, ..
            } if is_reused && passing.is_repeatable() => return Next::Anew,
            Failed::Unsent => (
                true,
                ProxyError::Unreachable(format!("{upstream}: the connection ended at once")),
            ),
            Failed::Broken { has_heard, cause } => (
                !has_heard && passing.is_repeatable(),
                ProxyError::Broken(format!("{upstream}: {cause}")),
            ),
            Failed::Malformed(cause) => {
                (false, ProxyError::Malformed(format!("{upstream}: {cause}")))
            }
            Failed::TimedOut => (false, ProxyError::TimedOut),
        };
        self.failed(home, &error.to_string());
        if may_repeat {
            Next::Elsewhere(error)
        } else {
            Next::Over(error)
        }
    }

    fn succeeded(&self, home: &Rc<Home<B>>) {
        if home.server().standing().succeeded() {
            tracing::info!(upstream = %home.server().upstream(), "a server behind answers again");
        }
    }

    fn failed(&self, home: &Rc<Home<B>>, cause: &str) {
        let now = self.pool.clock().now().into_std();
        if home.server().standing().failed(now) {
            tracing::warn!(upstream = %home.server().upstream(), cause, "a server behind does not answer");
        }
    }
}

impl<B> Passing<'_, B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
{
    /// Whether doing it twice is as good as once (RFC 9110 section 9.2.2), and all of it is there to
    /// be sent again.
    fn is_repeatable(&self) -> bool {
        let is_idempotent = matches!(
            self.parts.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
        );
        is_idempotent
            && self
                .upload
                .as_ref()
                .is_none_or(|upload| upload.is_untouched())
    }

    fn reuse(&self) -> Reuse {
        if self.is_websocket {
            Reuse::Never
        } else if self.upload.is_none() && self.is_repeatable() {
            Reuse::Any
        } else {
            Reuse::JustUsed
        }
    }

    /// What a server is asked for.
    fn target(&self, home: &Home<B>) -> Result<PathAndQuery, Next<B::Error>> {
        let target = self.api.target(home.server(), self.path, &self.parts.uri);
        target.map_err(|_| Next::Over(ProxyError::UnclearPath))
    }

    /// Gives the request to a connection.
    fn begin(&self, link: &mut Link<B>, home: &Home<B>, target: &PathAndQuery) {
        let body = self.body_end();
        let head = PassedHead {
            target,
            received: &self.parts,
            admitted: self.admitted,
            inbound: self.inbound,
            settings: self.api.settings(),
            server: home.server(),
            body: &body,
            is_websocket: self.is_websocket,
        };
        let write_head = |text: &mut Vec<u8>| head.write(text);
        let upload = self.upload.clone();
        link.begin(write_head, upload.map(|upload| (upload, body.clone())));
    }

    /// How the server is told where the body ends: by its length where we were told so, or know it.
    fn body_end(&self) -> BodyEnd {
        let said = self.parts.headers.get(CONTENT_LENGTH);
        let Some(upload) = &self.upload else {
            return said.map_or(BodyEnd::Unsaid, |_| BodyEnd::Length(0));
        };
        let said = said.and_then(|said| said.to_str().ok()?.parse().ok());
        match said.or_else(|| upload.length()) {
            Some(length) => BodyEnd::Length(length),
            None => BodyEnd::Chunks(headers::announced_trailers(&self.parts.headers)),
        }
    }
}
