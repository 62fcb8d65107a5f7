//! What is visited in each round, and what is compared with what.

/// One thing that is measured in each round.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Target {
    Ceiling,
    Es256,
    SignedCheck,
    TokenCheck,
    OauthIssue,
    TokenIssue,
    OidcOpaque,
    OidcEs256,
    ScaleThousand,
    ScaleMillion,
    ScaleTenMillion,
    CreateSqliteAlone,
    CreateSqliteMany,
    CreatePostgresAlone,
    CreatePostgresMany,
    AccessCeiling,
    AccessLua,
    AccessThousand,
    AccessTenMillion,
    AccessNewSqlite,
    AccessNewPostgres,
    GatewayCeiling,
    GatewayNginx,
    GatewayLua,
    GatewayHaproxy,
    GatewayCaddy,
    GatewayCaddyAsking,
    GatewayAuthRequest,
    GatewayWayleave,
    MessageSignature,
    TlsCeiling,
    TlsCheck,
    OverloadPeak,
    OverloadGoodput,
    QuietAlone,
    QuietAtPeak,
    OverloadNginx,
    QuietNginx,
    QuietOverload,
}

/// Targets that are visited in the same rounds; only their servers run meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// Checks and tokens, ours and others'.
    Requests,
    /// One check before directories of different sizes.
    Scale,
    /// Credentials made through the admin API.
    Creation,
    /// Whether readers may see pages, with few and with very many readers in memory.
    Access,
    /// Proxies before the same API, and signatures over the message.
    Gateway,
    /// A fixed rate over TLS.
    Tls,
    /// One tenant with ten times as many connections, and a quiet one.
    Overload,
}

/// Which figure of two targets is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    /// Our requests per second, as a multiple of the baseline's.
    Rate,
    /// The share that the baseline's processor time has in ours.
    CpuShare,
    /// Our processor time, as a multiple of the baseline's.
    Cpu,
    /// Wayleave's share of the processor time, where another proxy asks it.
    AskedShare,
    /// By how many microseconds our p99 is above the baseline's.
    AddedP99,
    /// Our p99, as a multiple of the baseline's.
    P99,
}

impl Measure {
    /// Whether less is better.
    pub(super) fn is_at_most(self) -> bool {
        !matches!(self, Measure::Rate | Measure::CpuShare)
    }
}

/// A target set against a baseline of the same round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    /// The name of its row.
    pub(super) name: &'static str,
    pub(super) baseline: Target,
    pub(super) measure: Measure,
    /// The least that will do, or the most (see [`Measure::is_at_most`]).
    pub(super) goal: f64,
}

impl Target {
    /// In the order of the tables.
    pub(super) const ALL: [Target; 39] = [
        Target::Ceiling,
        Target::Es256,
        Target::SignedCheck,
        Target::TokenCheck,
        Target::OauthIssue,
        Target::TokenIssue,
        Target::OidcOpaque,
        Target::OidcEs256,
        Target::ScaleThousand,
        Target::ScaleMillion,
        Target::ScaleTenMillion,
        Target::CreateSqliteAlone,
        Target::CreateSqliteMany,
        Target::CreatePostgresAlone,
        Target::CreatePostgresMany,
        Target::AccessCeiling,
        Target::AccessLua,
        Target::AccessThousand,
        Target::AccessTenMillion,
        Target::AccessNewSqlite,
        Target::AccessNewPostgres,
        Target::GatewayCeiling,
        Target::GatewayNginx,
        Target::GatewayLua,
        Target::GatewayHaproxy,
        Target::GatewayCaddy,
        Target::GatewayCaddyAsking,
        Target::GatewayAuthRequest,
        Target::GatewayWayleave,
        Target::MessageSignature,
        Target::TlsCeiling,
        Target::TlsCheck,
        Target::OverloadPeak,
        Target::OverloadGoodput,
        Target::QuietAlone,
        Target::QuietAtPeak,
        Target::OverloadNginx,
        Target::QuietNginx,
        Target::QuietOverload,
    ];

    /// With whom it is visited.
    pub(super) fn phase(self) -> Phase {
        match self {
            Target::ScaleThousand | Target::ScaleMillion | Target::ScaleTenMillion => Phase::Scale,
            Target::CreateSqliteAlone
            | Target::CreateSqliteMany
            | Target::CreatePostgresAlone
            | Target::CreatePostgresMany => Phase::Creation,
            Target::AccessCeiling
            | Target::AccessLua
            | Target::AccessThousand
            | Target::AccessTenMillion
            | Target::AccessNewSqlite
            | Target::AccessNewPostgres => Phase::Access,
            Target::TlsCeiling | Target::TlsCheck => Phase::Tls,
            target if target >= Target::OverloadPeak => Phase::Overload,
            target if target >= Target::GatewayCeiling => Phase::Gateway,
            _ => Phase::Requests,
        }
    }

    /// Its name on the command line and in the tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Target::Ceiling => "ceiling",
            Target::Es256 => "es256",
            Target::SignedCheck => "signed-check",
            Target::TokenCheck => "token-check",
            Target::OauthIssue => "oauth-issue",
            Target::TokenIssue => "token-issue",
            Target::OidcOpaque => "oidc-opaque",
            Target::OidcEs256 => "oidc-es256",
            Target::ScaleThousand => "scale-1k",
            Target::ScaleMillion => "scale-1m",
            Target::ScaleTenMillion => "scale-10m",
            Target::CreateSqliteAlone => "create-sqlite-1",
            Target::CreateSqliteMany => "create-sqlite-64",
            Target::CreatePostgresAlone => "create-postgres-1",
            Target::CreatePostgresMany => "create-postgres-64",
            Target::AccessCeiling => "access-ceiling",
            Target::AccessLua => "access-nginx-lua",
            Target::AccessThousand => "access-1k",
            Target::AccessTenMillion => "access-10m",
            Target::AccessNewSqlite => "access-new-sqlite",
            Target::AccessNewPostgres => "access-new-postgres",
            Target::GatewayCeiling => "gateway-ceiling",
            Target::GatewayNginx => "nginx",
            Target::GatewayLua => "nginx-lua",
            Target::GatewayHaproxy => "haproxy",
            Target::GatewayCaddy => "caddy",
            Target::GatewayCaddyAsking => "caddy-forward-auth",
            Target::GatewayAuthRequest => "nginx-auth-request",
            Target::GatewayWayleave => "proxy",
            Target::MessageSignature => "message-signature",
            Target::TlsCeiling => "tls-ceiling",
            Target::TlsCheck => "tls-check",
            Target::OverloadPeak => "overload-peak",
            Target::OverloadGoodput => "overload-goodput",
            Target::QuietAlone => "quiet-alone",
            Target::QuietAtPeak => "quiet-at-peak",
            Target::OverloadNginx => "overload-nginx",
            Target::QuietNginx => "quiet-nginx",
            Target::QuietOverload => "quiet-overload",
        }
    }

    /// The name of its row where it is a baseline.
    pub(super) fn baseline_name(self) -> &'static str {
        match self {
            Target::Ceiling => "ceiling: bare hyper",
            Target::Es256 => "one ES256 signature",
            Target::OidcOpaque => "oidc-provider, opaque tokens",
            Target::OidcEs256 => "oidc-provider, ES256 tokens",
            Target::ScaleThousand => "signed check at 1 thousand credentials",
            Target::CreateSqliteAlone => "credential creation, alone (SQLite)",
            Target::CreateSqliteMany => "credential creation, 64 at a time (SQLite)",
            Target::CreatePostgresAlone => "credential creation, alone (PostgreSQL)",
            Target::CreatePostgresMany => "credential creation, 64 at a time (PostgreSQL)",
            Target::AccessCeiling => "ceiling beside the decisions: bare hyper",
            Target::AccessLua => "nginx + Lua, checks the signature of the same requests",
            Target::AccessThousand => "decision at 1 thousand pairs",
            Target::AccessNewSqlite => "new pages of quotas, 32 at a time (SQLite)",
            Target::AccessNewPostgres => "new pages of quotas, 32 at a time (PostgreSQL)",
            Target::GatewayCeiling => "ceiling beside the proxies: bare hyper",
            Target::GatewayNginx => "nginx, plain proxy",
            Target::GatewayLua => "nginx + Lua, checks the signature",
            Target::GatewayHaproxy => "HAProxy, checks the signature",
            Target::GatewayCaddy => "Caddy, plain proxy",
            Target::GatewayCaddyAsking => "Caddy, asks Wayleave",
            Target::GatewayAuthRequest => "nginx and Wayleave together",
            Target::TlsCeiling => "hyper + rustls at the same rate",
            Target::OverloadPeak => "the proxy's peak",
            Target::QuietAlone => "a quiet tenant, alone",
            Target::QuietAtPeak => "a quiet tenant, beside the peak",
            Target::OverloadNginx => "nginx, plain proxy, under ten times the connections",
            Target::QuietNginx => "a quiet client of nginx, beside ten times the connections",
            other => other.name(),
        }
    }

    /// What a visit does, in one line.
    pub(super) fn description(self) -> &'static str {
        match self {
            Target::Ceiling => {
                "a bare hyper server, one current-thread runtime per core, that answers each \
                 request with the same 13 bytes; it is sent the requests of `signed-check`"
            }
            Target::Es256 => {
                "no server: as many ES256 signatures by aws-lc-rs as each core can make, over a \
                 text as long as a token's"
            }
            Target::SignedCheck => {
                "Wayleave: `GET /auth/check` about a signed `GET /api/Property/…?…`, \
                 each request with another Management key"
            }
            Target::TokenCheck => {
                "Wayleave: `GET /auth/check` about a request with a bearer token, \
                 each request with another token, all of them seen before"
            }
            Target::OauthIssue => {
                "Wayleave: `POST /oauth/token`, client credentials in a form, \
                 each request by another client"
            }
            Target::TokenIssue => {
                "Wayleave: `POST /token`, API key and secret in JSON, \
                 each request by another client"
            }
            Target::OidcOpaque => {
                "oidc-provider: `POST /token`, client credentials in a form, each request by \
                 another client; opaque tokens, its default"
            }
            Target::OidcEs256 => {
                "oidc-provider: the same, with access tokens as JWTs signed by ES256, like ours"
            }
            Target::ScaleThousand => {
                "Wayleave: as `signed-check`, with 1 thousand generated Management credentials \
                 in memory"
            }
            Target::ScaleMillion => "the same with 1 million, asked about keys from all of them",
            Target::ScaleTenMillion => "the same with 10 million",
            Target::CreateSqliteAlone => {
                "Wayleave: `POST /test/v1/credentials` to the admin API for a Management \
                 credential, over one connection; each is two commits, the audit row before the \
                 act and then the credential with the row of its completion, and is answered \
                 after both; SQLite, each commit synced to the disk"
            }
            Target::CreateSqliteMany => "the same over 64 connections at once",
            Target::CreatePostgresAlone => {
                "the same over one connection, on PostgreSQL with `fsync` and \
                 `synchronous_commit` on"
            }
            Target::CreatePostgresMany => "the same over 64 connections at once, on PostgreSQL",
            Target::AccessCeiling => "bare hyper as in `ceiling`, sent the requests of `access-1k`",
            Target::AccessLua => {
                "nginx checks the signature of the same requests in Lua, decides nothing, and passes \
                 them to an API behind"
            }
            Target::AccessThousand => {
                "Wayleave: `GET /api/Resource/…` with a user token, about a page that the reader has \
                 seen in this period; signature, token and decision, and a new token in the answer; 1 \
                 thousand pairs of readers and pages in memory"
            }
            Target::AccessTenMillion => "the same with 10 million pairs",
            Target::AccessNewSqlite => {
                "Wayleave: the same calls without a user token: each is a new reader, whose first page \
                 is counted in SQLite before it is answered"
            }
            Target::AccessNewPostgres => "the same on PostgreSQL",
            Target::GatewayCeiling => {
                "bare hyper as in `ceiling`, sent the requests of `message-signature`"
            }
            Target::GatewayNginx => {
                "nginx passes a signed `GET /api/Property/…?…` to the API behind and checks nothing; \
                 one worker per core, connections to the API kept open"
            }
            Target::GatewayLua => {
                "nginx as before, but it checks the signature and the age of the timestamp in Lua \
                 (`crates/xtask/bench/gateway/signed.lua`), with every secret in memory"
            }
            Target::GatewayHaproxy => {
                "HAProxy checks the signature by its own converters and passes the request on; it \
                 looks at no age and sorts no query"
            }
            Target::GatewayCaddy => "Caddy passes it on and checks nothing",
            Target::GatewayCaddyAsking => {
                "Caddy asks Wayleave by `forward_auth` and passes it on; the processor time is that \
                 of both"
            }
            Target::GatewayAuthRequest => {
                "nginx asks Wayleave by `auth_request` and passes it on; the processor time is that \
                 of both"
            }
            Target::GatewayWayleave => {
                "Wayleave checks the signature and passes the request on, as `wayleave serve` with \
                 limits on all that it passes does"
            }
            Target::MessageSignature => {
                "Wayleave: `GET /auth/check` about a request signed by RFC 9421 with `hmac-sha256`, \
                 each with a nonce of its own"
            }
            Target::TlsCeiling => {
                "hyper and rustls, and nothing between them and the answer, at half of the rate \
                 that the slower of the two reaches with `wrk`"
            }
            Target::TlsCheck => "Wayleave over TLS: as `signed-check`, at the same rate",
            Target::OverloadPeak => "as `proxy`, all requests by keys of one partner",
            Target::OverloadGoodput => {
                "the same over ten times as many connections, while another partner calls now and \
                 then; only 2xx counts"
            }
            Target::QuietAlone => {
                "another partner sends signed requests at a small fixed rate, and nobody else does"
            }
            Target::QuietAtPeak => {
                "the same while the first partner has as many connections as for the peak"
            }
            Target::OverloadNginx => {
                "`nginx`, which passes everything on and checks nothing, over ten times as many \
                 connections, while another client calls now and then"
            }
            Target::QuietNginx => "that other client, at the same small fixed rate",
            Target::QuietOverload => {
                "the other partner of Wayleave while the first has ten times as many connections"
            }
        }
    }

    /// What it has to reach; nothing for a baseline.
    pub(super) fn comparisons(self) -> &'static [Comparison] {
        match self {
            Target::SignedCheck => &SIGNED_CHECK,
            Target::TokenCheck => &TOKEN_CHECK,
            Target::OauthIssue => &OAUTH_ISSUE,
            Target::TokenIssue => &TOKEN_ISSUE,
            Target::ScaleMillion => &SCALE_MILLION,
            Target::ScaleTenMillion => &SCALE_TEN_MILLION,
            Target::AccessThousand => &ACCESS,
            Target::AccessTenMillion => &ACCESS_TEN_MILLION,
            Target::GatewayAuthRequest => &AUTH_REQUEST,
            Target::GatewayWayleave => &PROXY,
            Target::MessageSignature => &MESSAGE_SIGNATURE,
            Target::TlsCheck => &TLS_CHECK,
            Target::OverloadGoodput => &OVERLOAD,
            Target::QuietOverload => &QUIET,
            _ => &[],
        }
    }

    /// Which of the demo's key kinds it needs.
    pub(super) fn audience(self) -> Option<&'static str> {
        match self {
            Target::SignedCheck => Some("management"),
            Target::TokenCheck | Target::TokenIssue => Some("routes"),
            Target::OauthIssue => Some("platform"),
            _ => None,
        }
    }

    /// How many credentials its directory has, when the largest one has so many.
    pub(super) fn directory(self, largest: usize) -> usize {
        match self {
            Target::ScaleThousand => largest.min(1_000),
            Target::ScaleMillion => largest / 10,
            _ => largest,
        }
    }

    /// Whether it is asked about signed requests, which grow old.
    pub(super) fn is_signed_check(self) -> bool {
        matches!(self, Target::SignedCheck | Target::TlsCheck) || self.phase() == Phase::Scale
    }

    /// Whether it is sent signed requests themselves, which it passes on.
    pub(super) fn is_proxy(self) -> bool {
        let others = [Target::GatewayCeiling, Target::MessageSignature];
        matches!(self.phase(), Phase::Gateway | Phase::Overload) && !others.contains(&self)
    }

    /// Whether it is asked whether readers may see pages.
    pub(super) fn is_access(self) -> bool {
        self.phase() == Phase::Access
    }

    /// Whether its data is in PostgreSQL.
    pub(super) fn is_on_postgres(self) -> bool {
        matches!(
            self,
            Target::CreatePostgresAlone | Target::CreatePostgresMany
        )
    }

    /// Whether it is the peer and not ours.
    pub(super) fn is_oidc_provider(self) -> bool {
        matches!(self, Target::OidcOpaque | Target::OidcEs256)
    }

    /// How many connections the client holds open to it.
    pub(super) fn connections(self) -> usize {
        match self {
            Target::OidcOpaque | Target::OidcEs256 => 16,
            Target::CreateSqliteAlone | Target::CreatePostgresAlone => 1,
            Target::CreateSqliteMany | Target::CreatePostgresMany => 64,
            Target::OverloadGoodput | Target::OverloadNginx => 320,
            _ => 32,
        }
    }
}

const ACCESS: [Comparison; 2] = [
    Comparison {
        name: "decision about a page that was seen: rate, to bare hyper",
        baseline: Target::AccessCeiling,
        measure: Measure::Rate,
        goal: 0.60,
    },
    Comparison {
        name: "decision about a page that was seen: rate, to nginx + Lua that checks the signature",
        baseline: Target::AccessLua,
        measure: Measure::Rate,
        goal: 1.5,
    },
];

const ACCESS_TEN_MILLION: [Comparison; 1] = [Comparison {
    name: "decision at 10 million pairs, to that at 1 thousand",
    baseline: Target::AccessThousand,
    measure: Measure::Rate,
    goal: 0.92,
}];

const PROXY: [Comparison; 5] = [
    Comparison {
        name: "proxy with signature check: rate, to nginx + Lua",
        baseline: Target::GatewayLua,
        measure: Measure::Rate,
        goal: 1.3,
    },
    Comparison {
        name: "proxy with signature check: CPU, to nginx + Lua",
        baseline: Target::GatewayLua,
        measure: Measure::Cpu,
        goal: 0.65,
    },
    Comparison {
        name: "proxy with signature check: rate, to HAProxy",
        baseline: Target::GatewayHaproxy,
        measure: Measure::Rate,
        goal: 1.0,
    },
    Comparison {
        name: "proxy with signature check: rate, to nginx that checks nothing",
        baseline: Target::GatewayNginx,
        measure: Measure::Rate,
        goal: 0.65,
    },
    Comparison {
        name: "proxy with signature check: rate, to Caddy that asks Wayleave",
        baseline: Target::GatewayCaddyAsking,
        measure: Measure::Rate,
        goal: 1.0,
    },
];

const AUTH_REQUEST: [Comparison; 1] = [Comparison {
    name: "nginx auth_request: Wayleave's share of the CPU",
    baseline: Target::GatewayAuthRequest,
    measure: Measure::AskedShare,
    goal: 0.2,
}];

const MESSAGE_SIGNATURE: [Comparison; 1] = [Comparison {
    name: "message signature (RFC 9421, hmac-sha256)",
    baseline: Target::GatewayCeiling,
    measure: Measure::Rate,
    goal: 0.65,
}];

const TLS_CHECK: [Comparison; 1] = [Comparison {
    name: "signed check over TLS at half load: p99 added, µs",
    baseline: Target::TlsCeiling,
    measure: Measure::AddedP99,
    goal: 200.0,
}];

const OVERLOAD: [Comparison; 1] = [Comparison {
    name: "proxy under ten times the connections: goodput, to the peak",
    baseline: Target::OverloadPeak,
    measure: Measure::Rate,
    goal: 0.8,
}];

const QUIET: [Comparison; 3] = [
    Comparison {
        name: "a quiet tenant beside ten times the connections: p99, to that alone",
        baseline: Target::QuietAlone,
        measure: Measure::P99,
        goal: 2.0,
    },
    Comparison {
        name: "a quiet tenant beside ten times the connections: p99, to that beside the peak",
        baseline: Target::QuietAtPeak,
        measure: Measure::P99,
        goal: 2.0,
    },
    Comparison {
        name: "a quiet tenant beside ten times the connections: p99, to nginx that checks nothing",
        baseline: Target::QuietNginx,
        measure: Measure::P99,
        goal: 1.0,
    },
];

const SIGNED_CHECK: [Comparison; 1] = [Comparison {
    name: "signed check",
    baseline: Target::Ceiling,
    measure: Measure::Rate,
    goal: 0.75,
}];

const TOKEN_CHECK: [Comparison; 1] = [Comparison {
    name: "seen-token check",
    baseline: Target::Ceiling,
    measure: Measure::Rate,
    goal: 0.75,
}];

const SCALE_MILLION: [Comparison; 1] = scale("signed check at 1 million credentials");
const SCALE_TEN_MILLION: [Comparison; 1] = scale("signed check at 10 million credentials");

const fn scale(name: &'static str) -> [Comparison; 1] {
    [Comparison {
        name,
        baseline: Target::ScaleThousand,
        measure: Measure::Rate,
        goal: 0.92,
    }]
}

const OAUTH_ISSUE: [Comparison; 3] = issue([
    "token issue (form): ES256's share of server CPU",
    "token issue (form): rate, to oidc-provider with opaque tokens",
    "token issue (form): rate, to oidc-provider with ES256 tokens",
]);

const TOKEN_ISSUE: [Comparison; 3] = issue([
    "token issue (JSON): ES256's share of server CPU",
    "token issue (JSON): rate, to oidc-provider with opaque tokens",
    "token issue (JSON): rate, to oidc-provider with ES256 tokens",
]);

const fn issue(names: [&'static str; 3]) -> [Comparison; 3] {
    [
        Comparison {
            name: names[0],
            baseline: Target::Es256,
            measure: Measure::CpuShare,
            goal: 0.65,
        },
        Comparison {
            name: names[1],
            baseline: Target::OidcOpaque,
            measure: Measure::Rate,
            goal: 12.0,
        },
        Comparison {
            name: names[2],
            baseline: Target::OidcEs256,
            measure: Measure::Rate,
            goal: 12.0,
        },
    ]
}
