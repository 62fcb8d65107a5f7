mod content;
mod platform;

use std::borrow::Cow;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, header};
use hyper::body::{Body, Incoming};
use wayleave_core::{Admission, Limit, Scheme};
use wayleave_engine::{
    Admitted, AnswerSignature, BodyClaim, Caller, CountedRoute, Engine, Evidence, Proven, Unproven,
    UsageKind,
};
use wayleave_protocol::Message;
use wayleave_protocol::described::DescribedScheme;
use wayleave_protocol::http_framing::is_name_letter;
use wayleave_proxy::ApiBehind;

use crate::answer::Answer;
use crate::answer_signer::AnswerSigner;
use crate::authority::Authorities;
use crate::body::{BodyLimits, RequestBody};
use crate::caught::caught;
use crate::dialect::{
    Dialect, content as dialect_content, introspection, is_below, oauth,
    platform as dialect_platform, token,
};
use crate::fault::Fault;
use crate::forward_auth::Refusals;
use crate::passage::Passage;
use crate::request::{media_type, read_body};
use crate::route::{Mount, Route};
use crate::target::{self, Target};
use crate::transport::{Connection, TrustedProxies};
use crate::{discovery, evidence, forward_auth};

/// How much of a form is read when its fields may be part of the signature.
const FORM_LIMIT_BYTES: usize = 64 * 1024;
/// What the content surface is called where requests are counted.
const CONTENT: &str = "content";
/// What the platform API is called there.
const PLATFORM: &str = "platform";

/// The content surface: its place, and who answers in it.
#[derive(Clone, Debug)]
pub struct ContentSurface {
    /// Where it lies.
    pub mount: Mount,
    /// Where proven requests go, and how; `None`: they are answered here.
    pub upstream: Option<ApiBehind>,
    /// How many requests may pass, at most [`wayleave_engine::MOST_LIMITS`].
    pub limits: Vec<Limit>,
}

/// Which surfaces an environment shows and where. `None`: the surface is off.
#[derive(Clone, Debug, Default)]
pub struct SurfaceSettings {
    /// The path prefix of the environment on a shared listener, else empty.
    pub prefix: String,
    /// The proxies whose word about clients counts.
    pub trusted_proxies: TrustedProxies,
    /// Under which names clients reach it.
    pub authorities: Authorities,
    /// `/oauth/token`, `/oauth/introspect`, `/oauth/revoke`.
    pub oauth: Option<Mount>,
    /// `/authorize/access_token` and `/api`.
    pub platform: Option<Mount>,
    /// `/token`.
    pub token: Option<Mount>,
    /// `/api/Property`, `/api/Resource`, `/api/TemporaryUserToken`.
    pub content: Option<ContentSurface>,
    /// `/auth/check` and `/auth/check/as-403`.
    pub forward_auth: Option<Mount>,
    /// Routes to APIs behind; a longer path wins over a shorter one.
    pub routes: Vec<Route>,
    /// What bodies may be, where a route does not say another size.
    pub body: BodyLimits,
}

/// What has become of a request.
pub enum Handled<'s> {
    /// It is answered, at an address of this dialect.
    Answer(Answer, Dialect),
    /// An API behind is to answer it.
    Forward(Box<Forward>, Passage<'s>),
}

/// A request that may pass, ready for the API behind.
pub struct Forward {
    /// Whose it is.
    pub admitted: Admitted,
    /// The API behind.
    pub upstream: ApiBehind,
    /// The path to ask it for, as received but for prefixes of ours.
    pub path: String,
    /// The request itself; its address is still the one that was received.
    pub request: Request<RequestBody>,
    /// In whose words a failure is told.
    pub dialect: Dialect,
    /// Where the request came from.
    pub source: IpAddr,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// Signs the answer, where the client asks for it.
    pub answer_signer: Option<Box<AnswerSigner>>,
}

/// Everything that one environment answers.
pub struct Surfaces {
    engine: Arc<Engine>,
    settings: SurfaceSettings,
    routes: Vec<LimitedRoute>,
    content: CountedRoute,
    platform: CountedRoute,
}

/// A route with its limits.
struct LimitedRoute {
    route: Route,
    counted: CountedRoute,
}

/// What has an address.
enum Place<'s, 'p> {
    OAuthToken(oauth::Flavour),
    Introspection,
    Revocation,
    TokenExchange,
    ForwardAuth(Refusals),
    KeySet,
    Metadata,
    HandBack,
    Content {
        path: dialect_content::ContentPath<'p>,
        stripped: &'p str,
        /// `None`: it is answered here.
        upstream: Option<&'s ApiBehind>,
    },
    Route(&'s LimitedRoute),
    Platform,
    Nothing,
}

impl Place<'_, '_> {
    /// The scheme that is described for it.
    fn described(&self) -> Option<&Arc<DescribedScheme>> {
        match self {
            Place::Route(limited) => limited.route.described.as_ref(),
            _ => None,
        }
    }

    /// In whose words a failure there is told. `path`: without stage prefix.
    fn dialect(&self, path: &str) -> Dialect {
        match self {
            Place::OAuthToken(oauth::Flavour::Standard)
            | Place::Introspection
            | Place::Revocation => Dialect::OAuth,
            Place::OAuthToken(oauth::Flavour::Platform) | Place::Platform => Dialect::Platform,
            Place::TokenExchange => Dialect::Token,
            Place::Content { .. } | Place::HandBack => Dialect::Content,
            Place::ForwardAuth(_) | Place::KeySet | Place::Metadata | Place::Route(_) => {
                Dialect::Problem
            }
            Place::Nothing => Dialect::of_path(path),
        }
    }

    /// Whether the proxy that asks understands no other refusal than 403.
    fn wants_403(&self) -> bool {
        matches!(self, Place::ForwardAuth(Refusals::As403))
    }

    /// Whether each signature counts once there.
    fn refuses_replays(&self) -> bool {
        matches!(self, Place::Route(limited) if limited.route.refuses_replays)
    }
}

/// Paths under which a signature may have been made: usually one.
struct SignedPaths<'p> {
    paths: [&'p str; 3],
    count: usize,
}

impl<'p> SignedPaths<'p> {
    /// The path without our prefixes first, then with them.
    fn new(paths: [&'p str; 3]) -> Self {
        let mut distinct = SignedPaths { paths, count: 1 };
        for path in &paths[1..] {
            if !distinct.as_slice().contains(path) {
                distinct.paths[distinct.count] = path;
                distinct.count += 1;
            }
        }
        distinct
    }

    fn as_slice(&self) -> &[&'p str] {
        &self.paths[..self.count]
    }
}

impl SurfaceSettings {
    /// A host that something lies on is one under which clients reach the environment.
    fn add_own_hosts(&mut self) {
        let mounts = [&self.oauth, &self.platform, &self.token, &self.forward_auth];
        let mounts = mounts.into_iter().flatten();
        let content = self.content.as_ref().map(|content| &content.mount);
        let of_mounts = mounts
            .chain(content)
            .filter_map(|mount| mount.host.as_ref());
        let of_routes = self.routes.iter().filter_map(|route| route.host.as_ref());
        for host in of_mounts.chain(of_routes) {
            self.authorities.add_host(host);
        }
    }
}

impl Surfaces {
    /// The surfaces of an environment.
    pub fn new(engine: Arc<Engine>, mut settings: SurfaceSettings) -> Self {
        settings.add_own_hosts();
        settings
            .routes
            .sort_by_key(|route| (std::cmp::Reverse(route.path.len()), route.host.is_none()));
        let limited = |route: &Route| LimitedRoute {
            counted: engine.counted_route(&route.counted_as(), &route.limits),
            route: route.clone(),
        };
        let limits = settings.content.as_ref().map(|content| &content.limits);
        Surfaces {
            routes: settings.routes.iter().map(limited).collect(),
            content: engine.counted_route(CONTENT, limits.map_or(&[], Vec::as_slice)),
            platform: engine.counted_route(PLATFORM, &[]),
            engine,
            settings,
        }
    }

    /// The environment's engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The routes to APIs behind, in the order in which they are tried.
    pub fn routes(&self) -> &[Route] {
        &self.settings.routes
    }

    /// The APIs behind, with the names under which their requests are counted.
    pub fn apis_behind(&self) -> impl Iterator<Item = (String, &ApiBehind)> {
        let routes = self.settings.routes.iter();
        let routes = routes.map(|route| (route.counted_as(), &route.upstream));
        let content = self.settings.content.iter();
        let content = content.filter_map(|content| content.upstream.as_ref());
        routes.chain(content.map(|upstream| (CONTENT.to_owned(), upstream)))
    }

    /// Whether the word of whoever connected counts about what was before it.
    pub fn trusts(&self, connection: &Connection) -> bool {
        self.settings.trusted_proxies.trusts(connection.peer)
    }

    /// Takes a request to its surface or route.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
        request_id: &str,
    ) -> Handled<'_> {
        let (parts, body) = request.into_parts();
        let target = self.target(&parts);
        let place = self.locate(target);
        let (dialect, wants_403) = (place.dialect(target.path), place.wants_403());
        let served = caught(pin!(
            self.serve(&parts, target, place, body, connection, request_id)
        ))
        .await;
        match served.unwrap_or_else(|panicked| Err(panicked.into())) {
            Ok(Served::Answer(answer)) => Handled::Answer(answer, dialect),
            Ok(Served::Passes(pass)) => {
                let proxies = &self.settings.trusted_proxies;
                let source = proxies.source(connection, &parts.headers);
                let scheme = proxies.scheme(connection, &parts.headers);
                let (forward, passage) = pass.with(parts, dialect, source, scheme);
                Handled::Forward(Box::new(forward), passage)
            }
            Err(fault) => {
                let mut answer = dialect.render(&fault, accept(&parts), request_id);
                if wants_403 {
                    answer = forward_auth::as_403(answer).await;
                }
                Handled::Answer(answer, dialect)
            }
        }
    }

    fn target<'a>(&self, parts: &'a Parts) -> Target<'a> {
        let host = target::host(&parts.uri, &parts.headers);
        let path_and_query = (parts.uri.path(), parts.uri.query());
        Target::read(
            self.engine.environment(),
            &self.settings.prefix,
            path_and_query,
            host,
        )
    }

    async fn serve(
        &self,
        parts: &Parts,
        target: Target<'_>,
        place: Place<'_, '_>,
        body: Incoming,
        connection: &Connection,
        request_id: &str,
    ) -> Result<Served<'_>, Fault> {
        let settings = &self.settings;
        if !settings
            .trusted_proxies
            .is_secure(connection, &parts.headers)
        {
            return Err(Fault::Insecure);
        }
        let source = || settings.trusted_proxies.source(connection, &parts.headers);
        match place {
            Place::ForwardAuth(_) => {
                let scheme = settings.trusted_proxies.scheme(connection, &parts.headers);
                self.check(parts, target.host, scheme)
                    .await
                    .map(Served::Answer)
            }
            // Boxed: what every request is moved by is as large as its largest part.
            Place::OAuthToken(flavour) => {
                let issued = oauth::token(&self.engine, flavour, parts, body, source());
                Box::pin(issued).await.map(Served::Answer)
            }
            Place::Introspection => {
                let described = introspection::introspect(&self.engine, parts, body, source());
                Box::pin(described).await.map(Served::Answer)
            }
            Place::Revocation => {
                let revoked = introspection::revoke(&self.engine, parts, body, source());
                Box::pin(revoked).await.map(Served::Answer)
            }
            Place::TokenExchange => {
                let issued = token::exchange(&self.engine, parts, body, source());
                Box::pin(issued).await.map(Served::Answer)
            }
            Place::KeySet => discovery::key_set(&self.engine, parts).map(Served::Answer),
            Place::Metadata => discovery::metadata(&self.engine, parts, settings.oauth.as_ref())
                .map(Served::Answer),
            Place::HandBack => Box::pin(dialect_content::hand_back::answer(&self.engine, parts))
                .await
                .map(Served::Answer),
            Place::Nothing => Err(Fault::NotFound),
            place @ (Place::Content { .. } | Place::Route(_) | Place::Platform) => {
                let proxies = &settings.trusted_proxies;
                let forwarded = proxies.forwarded_host(connection, &parts.headers);
                let client = ClientSide {
                    scheme: proxies.scheme(connection, &parts.headers),
                    authority: forwarded
                        .unwrap_or_else(|| target::authority(&parts.uri, &parts.headers)),
                };
                if matches!(place, Place::Platform) {
                    // In a box, so that requests for APIs behind do not carry its size.
                    return Box::pin(self.platform(target, parts, body, client, request_id)).await;
                }
                if let Place::Content {
                    path,
                    upstream: None,
                    ..
                } = place
                {
                    return Box::pin(self.content((&place, path), target, parts, body, client))
                        .await;
                }
                self.pass(&place, target, parts, body, client)
                    .await
                    .map(Served::Passes)
            }
        }
    }

    /// Built-in surfaces win over routes; among routes the longest path wins.
    fn locate<'s, 'p>(&'s self, target: Target<'p>) -> Place<'s, 'p> {
        let (settings, host, path) = (&self.settings, target.host, target.path);
        if target.is_foreign {
            return Place::Nothing;
        }
        let strip =
            |mount: &'s Option<Mount>| mount.as_ref().and_then(|mount| mount.strip(host, path));
        let is =
            |mount, address| strip(mount).is_some_and(|rest| is_but_for_slashes(rest, address));
        if is(&settings.forward_auth, "/auth/check") {
            return Place::ForwardAuth(Refusals::Plain);
        }
        if is(&settings.forward_auth, "/auth/check/as-403") {
            return Place::ForwardAuth(Refusals::As403);
        }
        if let Some(content) = &settings.content
            && let Some(stripped) = content.mount.strip(host, path)
            && let Some(path) = dialect_content::resource_path(stripped)
        {
            return Place::Content {
                path,
                stripped,
                upstream: content.upstream.as_ref(),
            };
        }
        let answers_content = settings
            .content
            .as_ref()
            .is_some_and(|content| content.upstream.is_none());
        if answers_content && dialect_content::hand_back::is_at(path) {
            return Place::HandBack;
        }
        if is(&settings.token, "/token") {
            Place::TokenExchange
        } else if is(&settings.oauth, "/oauth/token") {
            Place::OAuthToken(oauth::Flavour::Standard)
        } else if is(&settings.oauth, "/oauth/introspect") {
            Place::Introspection
        } else if is(&settings.oauth, "/oauth/revoke") {
            Place::Revocation
        } else if is(&settings.platform, "/authorize/access_token") {
            Place::OAuthToken(oauth::Flavour::Platform)
        } else if path == "/.well-known/jwks.json" {
            Place::KeySet
        } else if path == "/.well-known/oauth-authorization-server" {
            Place::Metadata
        } else if strip(&settings.platform)
            .is_some_and(|rest| Dialect::of_path(&tidy(rest)) == Dialect::Platform)
        {
            match strip(&settings.platform).is_some_and(|rest| is_below(&tidy(rest), "/api")) {
                true => Place::Platform,
                false => Place::Nothing,
            }
        } else {
            let route = self
                .routes
                .iter()
                .find(|limited| limited.route.matches(host, path));
            route.map_or(Place::Nothing, Place::Route)
        }
    }

    /// Answers the question of another proxy.
    async fn check(&self, parts: &Parts, host: &str, scheme: &str) -> Result<Answer, Fault> {
        let described = forward_auth::described(&parts.method, &parts.headers)?;
        let path_and_query = (described.path, described.query);
        let environment = self.engine.environment();
        let authority = described
            .host
            .unwrap_or_else(|| target::authority(&parts.uri, &parts.headers));
        let host = described.host.map_or(host, target::host_name);
        let target = Target::read(environment, &self.settings.prefix, path_and_query, host);
        let place = self.locate(target);
        check_path(&place, target.path)?;
        let signed = signed_paths(&place, target);
        let own_scheme = evidence::described(place.described(), &parts.headers);
        let fields = evidence::signed_fields(&parts.headers, own_scheme.is_some());
        let asked = evidence::Asked {
            described: own_scheme,
            refuses_replays: place.refuses_replays(),
            method: described.method,
            scheme,
            authority,
            path: target.whole,
            paths: signed.as_slice(),
            query: target.query,
            headers: &parts.headers,
            has_body: forward_auth::has_body(described.method, &parts.headers),
        };
        let evidence = evidence::collect(asked, &fields)?;
        let proven = self.prove(&evidence).await;
        let (caller, claim) = self.accept(&place, &evidence, proven).await?;
        let entered = self.enter(&place, caller, UsageKind::Checked, 0);
        let (admitted, passage) = entered.await?;
        let mut answer = forward_auth::passes(&admitted, &claim);
        passage.end(&mut answer);
        Ok(answer)
    }

    /// Proves a request for an API behind and lets it pass.
    async fn pass(
        &self,
        place: &Place<'_, '_>,
        target: Target<'_>,
        parts: &Parts,
        body: Incoming,
        client: ClientSide<'_>,
    ) -> Result<Pass<'_>, Fault> {
        let limits = self.body_limits(place);
        let entered = self.prove_and_enter(place, target, parts, (body, limits), client);
        let entered = entered.await?;
        let (upstream, path) = match place {
            Place::Content {
                upstream: Some(upstream),
                stripped,
                ..
            } => (*upstream, *stripped),
            Place::Route(limited) => (&limited.route.upstream, target.path),
            _ => return Err(Fault::NotFound),
        };
        Ok(Pass {
            upstream: upstream.clone(),
            path: path.to_owned(),
            entered,
        })
    }

    /// Proves a request whose form may be part of what was signed, and lets it pass its limits.
    async fn prove_and_enter(
        &self,
        place: &Place<'_, '_>,
        target: Target<'_>,
        parts: &Parts,
        (body, limits): (Incoming, BodyLimits),
        client: ClientSide<'_>,
    ) -> Result<Entered<'_>, Fault> {
        check_path(place, target.path)?;
        let signed = signed_paths(place, target);
        let described = evidence::described(place.described(), &parts.headers);
        let fields = evidence::signed_fields(&parts.headers, described.is_some());
        let asked = evidence::Asked {
            described,
            refuses_replays: place.refuses_replays(),
            method: parts.method.as_str(),
            scheme: client.scheme,
            authority: client.authority,
            path: target.whole,
            paths: signed.as_slice(),
            query: target.query,
            headers: &parts.headers,
            has_body: !body.is_end_stream(),
        };
        let collected = evidence::collect(asked, &fields)?;
        let mut evidence = collected;
        let first = self.prove(&evidence).await;
        let (caller, body) = match first {
            // The fields of a form may be part of what was signed.
            Err(Unproven::Mismatch) if evidence.message.is_none() && is_form(parts) => {
                let form = Box::pin(read_body(body, FORM_LIMIT_BYTES)).await?;
                evidence.form_body = Some(&form);
                let proven = self.engine.authenticate(&evidence);
                let (caller, claim) = self.accept(place, &evidence, proven).await?;
                (caller, RequestBody::read(form.clone(), claim)?)
            }
            Err(Unproven::BodyNeeded) => {
                let whole = Box::pin(read_body(body, limits.whole_bytes())).await?;
                evidence.body = Some(&whole);
                let proven = self.prove(&evidence).await;
                let (caller, claim) = self.accept(place, &evidence, proven).await?;
                (caller, RequestBody::read(whole.clone(), claim)?)
            }
            proven => {
                let (caller, claim) = self.accept(place, &evidence, proven).await?;
                (caller, RequestBody::incoming(body, limits, claim)?)
            }
        };
        let request_bytes = body.size_hint().exact().unwrap_or(0);
        let entered = self.enter(place, caller, UsageKind::Proxied, request_bytes);
        let (admitted, passage) = entered.await?;
        let wanted = collected.message.as_ref();
        let wanted = wanted.and_then(|message| AnswerSignature::wanted(message, admitted.caller()));
        let signer = wanted.map(|wanted| AnswerSigner::new(self.engine.clone(), wanted));
        Ok(Entered {
            admitted,
            body,
            passage,
            answer_signer: signer.map(Box::new),
        })
    }

    /// How large and how slow a body at a place may be.
    fn body_limits(&self, place: &Place<'_, '_>) -> BodyLimits {
        let mut limits = self.settings.body;
        if let Place::Route(limited) = place
            && let Some(bytes) = limited.route.body_bytes
        {
            limits.bytes = (bytes > 0).then_some(bytes);
        }
        limits
    }

    /// Admits a proven caller and lets its request pass the limits of its place. What is refused is
    /// counted here, what passes by its [`Passage`].
    async fn enter(
        &self,
        place: &Place<'_, '_>,
        caller: Caller,
        kind: UsageKind,
        request_bytes: u64,
    ) -> Result<(Admitted, Passage<'_>), Fault> {
        let engine = &*self.engine;
        let counted = match place {
            Place::Content { .. } => &self.content,
            Place::Route(limited) => &limited.counted,
            Place::Platform => &self.platform,
            // Nobody is admitted to nothing, and there is nothing to count it by.
            _ => return Err(admit(place, caller).err().unwrap_or(Fault::NotFound)),
        };
        let tally = engine.tally(&caller, counted);
        let entered = match admit(place, caller) {
            Ok(admitted) => Passage::take(engine, &admitted, counted, tally)
                .await
                .map(|passage| (admitted, passage.counted_as(kind, request_bytes))),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = &entered {
            let kind = match kind {
                UsageKind::Proxied => UsageKind::Refused,
                other => other,
            };
            engine.count(tally, kind, fault.status().as_u16(), 0, 0);
        }
        entered
    }

    /// Proves a request, with a second look where the key may have been made by another node a moment
    /// ago.
    async fn prove(&self, evidence: &Evidence<'_>) -> Result<Proven, Unproven> {
        match self.engine.authenticate(evidence) {
            Err(Unproven::UnknownKey) => {
                Box::pin(self.engine.catch_up_after_miss()).await;
                self.engine.authenticate(evidence)
            }
            decided => decided,
        }
    }

    /// Takes what was proven, or says in an answer why nothing was.
    async fn accept(
        &self,
        place: &Place<'_, '_>,
        evidence: &Evidence<'_>,
        proven: Result<Proven, Unproven>,
    ) -> Result<(Caller, BodyClaim), Fault> {
        // A described scheme may leave the host unsigned, and then it says nothing.
        let signs_host = evidence.described.is_none_or(|scheme| scheme.signs_host());
        let message = evidence.message.as_ref().filter(|_| signs_host);
        let is_ours = |message: &Message<'_>| {
            let authorities = &self.settings.authorities;
            authorities.knows(message.scheme, message.authority)
        };
        let accepted = match proven {
            // What was signed for another name than ours is not for us.
            Ok(_) if !message.is_none_or(is_ours) => Err(Unproven::ForeignAuthority),
            Ok(proven) => self.engine.accept(proven).await,
            Err(refusal) => Err(refusal),
        };
        accepted.map_err(|refusal| self.unproven(place, evidence, &refusal))
    }

    /// The answer to a proof that does not hold; where signatures over the message would be taken,
    /// with what they have to be.
    fn unproven(
        &self,
        place: &Place<'_, '_>,
        evidence: &Evidence<'_>,
        refusal: &Unproven,
    ) -> Fault {
        let mut fault = evidence::fault(&self.engine, evidence, refusal);
        let takes_signatures = matches!(place, Place::Route(route)
            if route.route.admission.schemes.contains(Scheme::HttpSignature));
        if let Fault::Unproven {
            accept_signature, ..
        } = &mut fault
            && takes_signatures
        {
            *accept_signature = Some(self.engine.signature_request(evidence.has_body));
        }
        fault
    }
}

/// How the client itself made the request, whatever proxies are between.
#[derive(Clone, Copy)]
struct ClientSide<'a> {
    /// `https` or `http`.
    scheme: &'a str,
    /// Host and port, as they were written.
    authority: &'a str,
}

/// What serving a request came to, before its parts go along with it.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once; a box would be one allocation more for each request"
)]
enum Served<'s> {
    Answer(Answer),
    Passes(Pass<'s>),
}

/// A request that was proven and may pass its limits.
struct Entered<'s> {
    admitted: Admitted,
    body: RequestBody,
    passage: Passage<'s>,
    answer_signer: Option<Box<AnswerSigner>>,
}

struct Pass<'s> {
    upstream: ApiBehind,
    path: String,
    entered: Entered<'s>,
}

impl<'s> Pass<'s> {
    fn with(
        self,
        parts: Parts,
        dialect: Dialect,
        source: IpAddr,
        scheme: &'static str,
    ) -> (Forward, Passage<'s>) {
        let entered = self.entered;
        let forward = Forward {
            admitted: entered.admitted,
            upstream: self.upstream,
            path: self.path,
            request: Request::from_parts(parts, entered.body),
            dialect,
            source,
            scheme,
            answer_signer: entered.answer_signer,
        };
        (forward, entered.passage)
    }
}

/// The `Accept` header, where it is text.
fn accept(parts: &Parts) -> Option<&str> {
    parts
        .headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
}

fn is_form(parts: &Parts) -> bool {
    parts.method != Method::GET && media_type(&parts.headers) == "application/x-www-form-urlencoded"
}

fn signed_paths<'p>(place: &Place<'_, 'p>, target: Target<'p>) -> SignedPaths<'p> {
    let stripped = match place {
        Place::Content { stripped, .. } => stripped,
        _ => target.path,
    };
    SignedPaths::new([stripped, target.path, target.whole])
}

fn admit(place: &Place<'_, '_>, caller: Caller) -> Result<Admitted, Fault> {
    let admitted = match place {
        Place::Content { path, .. } => caller
            .admit(&dialect_content::admission(path.audience))
            .and_then(|admitted| admitted.with_path_key(path.key)),
        Place::Route(limited) => caller.admit(&limited.route.admission),
        Place::Platform => caller.admit(&dialect_platform::admission()),
        // Nothing behind has this address, so nobody may pass to it.
        _ => caller.admit(&Admission {
            audiences: Default::default(),
            schemes: Default::default(),
            scopes: Default::default(),
        }),
    };
    admitted.map_err(Fault::NotAdmitted)
}

/// Repeated slashes as one: a base address that ends in a slash makes clients send two.
fn tidy(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut tidied = String::with_capacity(path.len());
    for letter in path.chars() {
        if letter != '/' || !tidied.ends_with('/') {
            tidied.push(letter);
        }
    }
    Cow::Owned(tidied)
}

/// Whether a path is another one, with repeated slashes as one.
fn is_but_for_slashes(path: &str, wanted: &str) -> bool {
    let mut before = 0;
    let letters = path.bytes().filter(|letter| {
        let is_repeated = *letter == b'/' && before == b'/';
        before = *letter;
        !is_repeated
    });
    letters.eq(wanted.bytes())
}

/// Refuses a path that the API behind may read as another than we did. Resource keys of the content
/// APIs may hold anything else: their segments are never matched.
fn check_path(place: &Place<'_, '_>, path: &str) -> Result<(), Fault> {
    if is_plain_path(path) {
        return Ok(());
    }
    let is_content = matches!(place, Place::Content { .. });
    let why = if has_dot_segment(path) {
        "a dot segment"
    } else if path.contains('\\') {
        "a backslash"
    } else if !is_content && path.contains("//") {
        "a double slash"
    } else if !is_content && path.contains(';') {
        // Some servers take what follows off before they look for the resource.
        "a semicolon"
    } else if !is_content && has_needless_escape(path) {
        "an escape that hides a letter, a slash or a control character"
    } else {
        return Ok(());
    };
    Err(Fault::BadRequest(format!(
        "the path can be read in more than one way: it has {why}"
    )))
}

/// Whether a path has nothing but names and single slashes, as nearly all have: it is looked at once.
fn is_plain_path(path: &str) -> bool {
    let mut pairs = path.as_bytes().array_windows();
    pairs.all(|[before, letter]| is_name_letter(*letter) || *letter == b'/' && *before != b'/')
}

fn has_dot_segment(path: &str) -> bool {
    path.contains('.') && path.split('/').any(|segment| matches!(segment, "." | ".."))
        || path.contains('%')
            && path.split('/').any(|segment| {
                let plain = segment.to_ascii_lowercase().replace("%2e", ".");
                matches!(plain.as_str(), "." | "..")
            })
}

/// An escape of a letter that needs none, of a slash, a backslash or a control character.
fn has_needless_escape(path: &str) -> bool {
    path.match_indices('%').any(|(place, _)| {
        let digits = path.get(place + 1..place + 3);
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            None => true,
            Some(byte) => {
                byte.is_ascii_alphanumeric()
                    || byte.is_ascii_control()
                    || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/' | b'\\' | b';')
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_slashes_count_as_one_where_clients_send_them() {
        assert_eq!(tidy("//authorize/access_token"), "/authorize/access_token");
        assert_eq!(tidy("/token"), "/token");
        for path in ["/token", "//token", "///token"] {
            assert!(is_but_for_slashes(path, "/token"), "{path}");
        }
        for path in ["/token/", "/toke", "token", "", "/tok/en"] {
            assert!(!is_but_for_slashes(path, "/token"), "{path}");
        }
    }

    #[test]
    fn dot_segments_are_seen_in_every_spelling() {
        for path in ["/a/../b", "/./a", "/a/%2e%2E/b", "/a/.%2e", "/.."] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in ["/a.b/c", "/a..b", "/...", "/a%20b"] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }

    #[test]
    fn a_plain_path_has_nothing_that_is_refused() {
        for path in ["/", "/a/b-c_d/", "/A1"] {
            assert!(is_plain_path(path), "{path}");
        }
        for path in ["//", "/a//b", "/a/.", "/a;b", "/a\\b", "/a%20b", "/\u{e4}"] {
            assert!(!is_plain_path(path), "{path}");
        }
    }

    #[test]
    fn an_escape_that_hides_a_letter_or_a_slash_is_seen() {
        for path in [
            "/%61dmin", "/a%2Fb", "/a%5cb", "/a%00", "/a%", "/a%zz", "/%7E",
        ] {
            assert!(has_needless_escape(path), "{path}");
        }
        for path in ["/a%20b", "/%C3%9C", "/a%3Fb", "/plain"] {
            assert!(!has_needless_escape(path), "{path}");
        }
    }

    #[test]
    fn a_path_is_tried_once_however_it_was_found() {
        assert_eq!(SignedPaths::new(["/a", "/a", "/a"]).as_slice(), ["/a"]);
        assert_eq!(
            SignedPaths::new(["/a", "/x/a", "/stag/x/a"])
                .as_slice()
                .len(),
            3
        );
        assert_eq!(
            SignedPaths::new(["/a", "/a", "/stag/a"]).as_slice(),
            ["/a", "/stag/a"]
        );
    }
}
