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
}

/// Which figure of two targets is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    /// Our requests per second, as a multiple of the baseline's.
    Rate,
    /// The share that the baseline's processor time has in ours.
    CpuShare,
}

/// A target set against a baseline of the same round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    /// The name of its row.
    pub(super) name: &'static str,
    pub(super) baseline: Target,
    pub(super) measure: Measure,
    /// The least ratio that will do.
    pub(super) at_least: f64,
}

impl Target {
    /// In the order of the tables.
    pub(super) const ALL: [Target; 8] = [
        Target::Ceiling,
        Target::Es256,
        Target::SignedCheck,
        Target::TokenCheck,
        Target::OauthIssue,
        Target::TokenIssue,
        Target::OidcOpaque,
        Target::OidcEs256,
    ];

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
        }
    }

    /// The name of its row where it is a baseline.
    pub(super) fn baseline_name(self) -> &'static str {
        match self {
            Target::Ceiling => "ceiling: bare hyper",
            Target::Es256 => "one ES256 signature",
            Target::OidcOpaque => "oidc-provider, opaque tokens",
            Target::OidcEs256 => "oidc-provider, ES256 tokens",
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
        }
    }

    /// What it has to reach; nothing for a baseline.
    pub(super) fn comparisons(self) -> &'static [Comparison] {
        match self {
            Target::SignedCheck => &SIGNED_CHECK,
            Target::TokenCheck => &TOKEN_CHECK,
            Target::OauthIssue => &OAUTH_ISSUE,
            Target::TokenIssue => &TOKEN_ISSUE,
            Target::Ceiling | Target::Es256 | Target::OidcOpaque | Target::OidcEs256 => &[],
        }
    }

    /// Which of the demo's key kinds it needs.
    pub(super) fn audience(self) -> Option<&'static str> {
        match self {
            Target::SignedCheck => Some("management"),
            Target::TokenCheck | Target::TokenIssue => Some("routes"),
            Target::OauthIssue => Some("platform"),
            Target::Ceiling | Target::Es256 | Target::OidcOpaque | Target::OidcEs256 => None,
        }
    }

    /// Whether it is the peer and not ours.
    pub(super) fn is_oidc_provider(self) -> bool {
        matches!(self, Target::OidcOpaque | Target::OidcEs256)
    }

    /// How many connections the client holds open to it.
    pub(super) fn connections(self) -> usize {
        if self.is_oidc_provider() { 16 } else { 32 }
    }
}

const SIGNED_CHECK: [Comparison; 1] = [Comparison {
    name: "signed check",
    baseline: Target::Ceiling,
    measure: Measure::Rate,
    at_least: 0.75,
}];

const TOKEN_CHECK: [Comparison; 1] = [Comparison {
    name: "seen-token check",
    baseline: Target::Ceiling,
    measure: Measure::Rate,
    at_least: 0.75,
}];

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
            at_least: 0.65,
        },
        Comparison {
            name: names[1],
            baseline: Target::OidcOpaque,
            measure: Measure::Rate,
            at_least: 12.0,
        },
        Comparison {
            name: names[2],
            baseline: Target::OidcEs256,
            measure: Measure::Rate,
            at_least: 12.0,
        },
    ]
}
