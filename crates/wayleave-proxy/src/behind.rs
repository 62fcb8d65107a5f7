//! An API behind: its servers, and how requests go there.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::counts::Counts;
use crate::standing::Standing;
use crate::upstream::{Upstream, UpstreamError};

/// How requests of a route go to the API behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForwardSettings {
    /// How long connecting may take, with TLS.
    pub connect_timeout: Duration,
    /// How long the API behind may take until its answer begins, counted from the last piece of
    /// the request that it was given.
    pub answer_timeout: Duration,
    /// How long it may fall silent within its answer, and both sides within a WebSocket.
    pub idle_timeout: Duration,
    /// On how many further servers a request is tried that got no answer. Only what is safe to
    /// repeat is tried again.
    pub retries: u32,
    /// What is taken off the path, at the end of a segment; often empty.
    pub strip_prefix: String,
    /// What is put before the path; often empty.
    pub add_prefix: String,
    /// Whether the API behind is told the host that the client asked for, as `Host`.
    pub preserve_host: bool,
    /// Whether clients may switch to WebSocket.
    pub websocket: bool,
    /// What is changed in the headers of requests.
    pub request_headers: HeaderRules,
    /// What is changed in the headers of answers.
    pub answer_headers: HeaderRules,
}

impl Default for ForwardSettings {
    fn default() -> Self {
        ForwardSettings {
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            retries: 1,
            strip_prefix: String::new(),
            add_prefix: String::new(),
            preserve_host: false,
            websocket: false,
            request_headers: HeaderRules::default(),
            answer_headers: HeaderRules::default(),
        }
    }
}

/// Headers that are removed, and then headers that are set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HeaderRules {
    /// Names that are removed.
    pub remove: Vec<HeaderName>,
    /// Names with the one value that they have from then on.
    pub set: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderRules {
    /// Applies them.
    pub(crate) fn apply(&self, headers: &mut http::HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// How a server is checked: it is well when it answers 2xx within the interval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthCheck {
    /// The path, and query, to ask it for.
    pub path: PathAndQuery,
    /// How often.
    pub interval: Duration,
}

/// How a server is called over TLS.
#[derive(Clone)]
pub(crate) struct ServerTls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerTls({:?})", self.name)
    }
}

/// One server of an API behind. All cores share it.
#[derive(Debug)]
pub struct Server {
    /// Finds its connections on each core.
    pub(crate) number: u64,
    pub(crate) upstream: Upstream,
    pub(crate) host: HeaderValue,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) check: Option<HealthCheck>,
    standing: Standing,
}

/// Each server has a number of its own within the process.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

impl Server {
    /// A server that is called at an address. `tls`: whom to trust; for an `https` address only.
    /// Errors: an `https` address without it, or whose host cannot be in a certificate.
    pub fn new(upstream: Upstream, tls: Option<Arc<ClientConfig>>) -> Result<Self, UpstreamError> {
        let tls = match (upstream.is_https(), tls) {
            (false, _) => None,
            (true, None) => return Err(UpstreamError),
            (true, Some(config)) => {
                let name = ServerName::try_from(upstream.host().to_owned());
                let name = name.map_err(|_| UpstreamError)?;
                Some(ServerTls { config, name })
            }
        };
        Ok(Server {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            host: HeaderValue::from_str(upstream.authority()).map_err(|_| UpstreamError)?,
            upstream,
            tls,
            check: None,
            standing: Standing::default(),
        })
    }

    /// The same, asked how it is as often as this says.
    pub fn with_check(mut self, check: HealthCheck) -> Self {
        self.check = Some(check);
        self
    }

    /// Whether the other one can go on in its place: connections, standing and all. One over TLS
    /// cannot, because whom to trust may have changed.
    fn is_as(&self, other: &Server) -> bool {
        let is_plain = self.tls.is_none() && other.tls.is_none();
        is_plain && self.upstream == other.upstream && self.check == other.check
    }

    /// Where it is.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// How it stands.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }
}

/// An API behind: its servers, and how requests go there. A clone is the same one.
#[derive(Clone, Debug)]
pub struct ApiBehind(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    servers: Vec<Arc<Server>>,
    settings: ForwardSettings,
    counts: Arc<Counts>,
    /// Whether the path of a request is the path to ask for.
    keeps_paths: bool,
}

/// A path that cannot be rewritten without another reading of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UnclearPath;

impl FromStr for ApiBehind {
    type Err = UpstreamError;

    /// One server that is called without TLS, and the usual settings.
    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let server = Server::new(text.parse()?, None)?;
        Ok(ApiBehind::new(
            vec![Arc::new(server)],
            ForwardSettings::default(),
        ))
    }
}

impl fmt::Display for ApiBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, server) in self.servers().iter().enumerate() {
            let between = if place == 0 { "" } else { " " };
            write!(f, "{between}{}", server.upstream)?;
        }
        Ok(())
    }
}

impl ApiBehind {
    /// An API behind with these servers, at least one.
    pub fn new(servers: Vec<Arc<Server>>, settings: ForwardSettings) -> Self {
        let has_base = |server: &Arc<Server>| !server.upstream.base_path().is_empty();
        let keeps_paths = settings.strip_prefix.is_empty()
            && settings.add_prefix.is_empty()
            && !servers.iter().any(has_base);
        ApiBehind(Arc::new(Shared {
            servers,
            settings,
            counts: Arc::default(),
            keeps_paths,
        }))
    }

    /// The same settings, with what is known from before: its counts, and of servers that are still
    /// there their connections and how they stand.
    pub fn keeping(&self, before: &ApiBehind) -> Self {
        let kept = |server: &Arc<Server>| {
            let same = before.servers().iter().find(|known| server.is_as(known));
            same.unwrap_or(server).clone()
        };
        ApiBehind(Arc::new(Shared {
            servers: self.servers().iter().map(kept).collect(),
            settings: self.0.settings.clone(),
            counts: before.0.counts.clone(),
            keeps_paths: self.0.keeps_paths,
        }))
    }

    /// What was counted of it.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Its servers.
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.0.servers
    }

    /// How requests go there.
    pub fn settings(&self) -> &ForwardSettings {
        &self.0.settings
    }

    /// Host and port of its first server.
    pub fn authority(&self) -> &str {
        let first = self.servers().first();
        first.map_or("", |server| server.upstream.authority())
    }

    /// What to ask a server for. `path`: the path that was admitted; `received`: the address of the
    /// request, whose query is passed on as it came. Nothing is decoded.
    ///
    /// Errors: without its prefix the path would begin with two slashes, which is read as a host.
    pub(crate) fn target(
        &self,
        server: &Server,
        path: &str,
        received: &Uri,
    ) -> Result<PathAndQuery, UnclearPath> {
        if self.0.keeps_paths
            && path == received.path()
            && let Some(as_it_came) = received.path_and_query()
        {
            return Ok(as_it_came.clone());
        }
        let settings = &self.0.settings;
        let rest = path.strip_prefix(settings.strip_prefix.as_str());
        let rest = rest.ok_or(UnclearPath)?;
        let base = server.upstream.base_path();
        let mut target = String::with_capacity(base.len() + settings.add_prefix.len() + 256);
        target.push_str(base);
        target.push_str(&settings.add_prefix);
        if !rest.starts_with('/') {
            target.push('/');
        }
        target.push_str(rest);
        if target.starts_with("//") {
            return Err(UnclearPath);
        }
        if let Some(query) = received.query() {
            target.push('?');
            target.push_str(query);
        }
        PathAndQuery::from_maybe_shared(target).map_err(|_| UnclearPath)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(
        upstream: &str,
        settings: ForwardSettings,
        path: &str,
        received: &str,
    ) -> Option<String> {
        let server = Server::new(upstream.parse().expect("an upstream"), None).expect("a server");
        let api = ApiBehind::new(vec![Arc::new(server)], settings);
        let received = received.parse().expect("an address");
        let target = api.target(&api.servers()[0], path, &received);
        target.ok().map(|target| target.to_string())
    }

    #[test]
    fn path_and_query_go_on_as_they_came() {
        let usual = ForwardSettings::default;
        let base = "http://127.0.0.1:9000/v2/";
        let received = "/a%2Fb//c?x=%C3%84&y=a+b";
        assert_eq!(
            target(base, usual(), "/a%2Fb//c", received).as_deref(),
            Some("/v2/a%2Fb//c?x=%C3%84&y=a+b")
        );
        let root = "http://127.0.0.1:9000";
        assert_eq!(
            target(root, usual(), "/a%2Fb//c", received).as_deref(),
            Some(received)
        );
        // A prefix of ours went before: /stag/a was received, and /a is passed on.
        assert_eq!(
            target(root, usual(), "/a", "http://host.example/stag/a?").as_deref(),
            Some("/a?")
        );
    }

    #[test]
    fn prefixes_go_and_come_and_nothing_is_decoded() {
        let settings = || ForwardSettings {
            strip_prefix: "/shop".into(),
            add_prefix: "/internal".into(),
            ..ForwardSettings::default()
        };
        let at = |path| target("http://a:1/v2", settings(), path, path);
        assert_eq!(
            at("/shop/%E2%82%AC").as_deref(),
            Some("/v2/internal/%E2%82%AC")
        );
        assert_eq!(at("/shop").as_deref(), Some("/v2/internal/"));
        assert_eq!(at("/elsewhere"), None);
        let strip = ForwardSettings {
            strip_prefix: "/shop".into(),
            ..ForwardSettings::default()
        };
        assert_eq!(
            target(
                "http://a:1",
                strip,
                "/shop//evil.example",
                "/shop//evil.example"
            ),
            None,
            "it would be read as a host"
        );
    }

    #[test]
    fn a_server_that_is_still_there_goes_on_as_it_stands() {
        let api = |text: &str| text.parse::<ApiBehind>().expect("an API");
        let before = api("http://a.internal");
        before.counts().count_retry();
        before.servers()[0].standing().checked(false);
        before.servers()[0].standing().checked(false);
        let same = api("http://a.internal").keeping(&before);
        assert!(!same.servers()[0].standing().is_up());
        assert_eq!(same.counts().retries(), 1);
        let other = api("http://b.internal").keeping(&before);
        assert!(other.servers()[0].standing().is_up());
    }

    #[test]
    fn an_https_server_needs_somebody_to_trust() {
        assert!("https://a.internal".parse::<ApiBehind>().is_err());
        assert!("http://a.internal".parse::<ApiBehind>().is_ok());
    }
}
