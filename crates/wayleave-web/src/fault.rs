use http::StatusCode;
use wayleave_core::NotAdmitted;
use wayleave_engine::{Exceeded, Explanation, Unproven};

use crate::caught::Panicked;

/// Why a request is not served, before a dialect has put it into its own words.
#[derive(Debug)]
pub enum Fault {
    /// The request cannot be read, or contradicts itself (400).
    BadRequest(String),
    /// The body is not the one that was signed (400).
    OtherBody,
    /// An OAuth error with its code and status (RFC 6749 section 5.2).
    OAuth {
        /// Such as `invalid_client`.
        code: &'static str,
        /// Its HTTP status.
        status: StatusCode,
        /// For people.
        description: String,
        /// For `WWW-Authenticate`.
        challenge: Option<&'static str>,
    },
    /// Not proven (401).
    Unproven {
        /// What may be said about it.
        message: String,
        /// The server's clock, where a signature was refused.
        server_time: Option<String>,
        /// What the test environment tells.
        explanation: Option<Box<Explanation>>,
        /// For `WWW-Authenticate`.
        challenge: Option<&'static str>,
        /// For `Accept-Signature` (RFC 9421 section 5.1), where signatures are taken.
        accept_signature: Option<String>,
    },
    /// Proven but not admitted (403).
    NotAdmitted(NotAdmitted),
    /// Plain HTTP from outside (403).
    Insecure,
    /// Nothing has this address (404).
    NotFound,
    /// The address is there, the method is not (405).
    Method {
        /// For `Allow`.
        allow: &'static str,
    },
    /// The body took too long (408).
    TooSlow,
    /// The body is too large (413).
    TooLarge {
        /// How much is read at most.
        limit_bytes: usize,
    },
    /// A value that cannot be (422).
    Invalid {
        /// The member at fault.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A value in a list that cannot be (422).
    InvalidEntry {
        /// Its place in the list, from 0.
        index: usize,
        /// The member at fault.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// What the platform API refuses, in its own words.
    Platform {
        /// Of the 4xx.
        status: StatusCode,
        /// For people.
        message: String,
        /// The name of the field at fault.
        property: Option<&'static str>,
    },
    /// Proven, but not allowed to do this (403).
    Forbidden(String),
    /// A rule forbids it as things stand (409).
    Conflict(&'static str),
    /// It is there already (409).
    Taken(&'static str),
    /// Too many wrong secrets (429).
    TooMany {
        /// For `Retry-After`.
        retry_after_s: u64,
    },
    /// Too many wrong values were given to prove something (429).
    TooManyGuesses {
        /// For `Retry-After`.
        retry_after_s: u64,
    },
    /// The caller comes too soon for one of its limits (429).
    TooFast(Box<Exceeded>),
    /// Too many requests are in flight, in all or of this partner (503).
    Overloaded,
    /// A quota of the caller is used up (429).
    OverQuota(Box<Exceeded>),
    /// Our fault (500). The cause goes to the log, never into the answer (law 9).
    Internal {
        /// For the log.
        cause: String,
    },
    /// The database does not answer (503). The cause goes to the log.
    Unavailable {
        /// For the log.
        cause: String,
    },
    /// The connection broke while a commit was on its way (503). The cause goes to the log.
    OutcomeUnknown {
        /// For the log.
        cause: String,
    },
    /// The API behind could not be reached (502). The cause goes to the log.
    BadGateway {
        /// For the log.
        cause: String,
    },
    /// The API behind did not answer in time (504).
    GatewayTimeout,
}

impl Fault {
    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Fault::BadRequest(_) | Fault::OtherBody => StatusCode::BAD_REQUEST,
            Fault::OAuth { status, .. } | Fault::Platform { status, .. } => *status,
            Fault::Unproven { .. } => StatusCode::UNAUTHORIZED,
            Fault::NotAdmitted(_) | Fault::Insecure | Fault::Forbidden(_) => StatusCode::FORBIDDEN,
            Fault::NotFound => StatusCode::NOT_FOUND,
            Fault::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Fault::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Fault::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::Invalid { .. } | Fault::InvalidEntry { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Fault::Taken(_) | Fault::Conflict(_) => StatusCode::CONFLICT,
            Fault::TooMany { .. }
            | Fault::TooManyGuesses { .. }
            | Fault::TooFast(_)
            | Fault::OverQuota(_) => StatusCode::TOO_MANY_REQUESTS,
            Fault::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Fault::Unavailable { .. } | Fault::OutcomeUnknown { .. } | Fault::Overloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Fault::BadGateway { .. } => StatusCode::BAD_GATEWAY,
            Fault::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Whose fault it is: `client`, `upstream` (the API behind) or `gateway` (ours).
    pub fn whose(&self) -> &'static str {
        match self {
            Fault::BadGateway { .. } | Fault::GatewayTimeout => "upstream",
            _ if self.status().is_server_error() => "gateway",
            _ => "client",
        }
    }

    /// What it says to people, with the next thing to do where there is one.
    pub fn message(&self) -> String {
        match self {
            Fault::BadRequest(why) => why.clone(),
            Fault::OtherBody => {
                "the body is not the one that was signed: its digest is another".to_owned()
            }
            Fault::OAuth { description, .. } => description.clone(),
            Fault::Platform { message, .. } => message.clone(),
            Fault::Unproven { message, .. } => message.clone(),
            Fault::NotAdmitted(why) => why.to_string(),
            Fault::Insecure => "this address answers over https only".to_owned(),
            Fault::NotFound => "there is nothing at this address".to_owned(),
            Fault::Method { allow } => format!("this address takes {allow} only"),
            Fault::TooSlow => "the body did not arrive in time".to_owned(),
            Fault::TooLarge { limit_bytes } => {
                format!("the body is larger than {limit_bytes} bytes")
            }
            Fault::Invalid { field, why } => format!("{field}: {why}"),
            Fault::InvalidEntry { index, field, why } => format!("[{index}].{field}: {why}"),
            Fault::Forbidden(why) => why.clone(),
            Fault::Conflict(why) => (*why).to_owned(),
            Fault::Taken(noun) => format!("{noun} is taken"),
            Fault::TooMany { .. } => "Too Many Requests".to_owned(),
            Fault::TooManyGuesses { retry_after_s } => {
                format!("too many wrong values: try again in {retry_after_s} s")
            }
            Fault::TooFast(exceeded) => format!(
                "too many requests for the limit {}: the next one may come in {} s",
                exceeded.limit, exceeded.retry_after_s
            ),
            Fault::Overloaded => "too many requests are in flight; try again".to_owned(),
            Fault::OverQuota(exceeded) => format!(
                "the quota {} is used up: it begins anew in {} s",
                exceeded.limit, exceeded.retry_after_s
            ),
            Fault::Internal { .. } => "something went wrong on our side".to_owned(),
            Fault::Unavailable { .. } => "not available for the moment; try again".to_owned(),
            Fault::OutcomeUnknown { .. } => {
                "whether this was done is not known: look before you repeat it".to_owned()
            }
            Fault::BadGateway { .. } => {
                "the API behind could not be reached, or gave no answer that can be passed on"
                    .to_owned()
            }
            Fault::GatewayTimeout => "the API behind did not answer in time".to_owned(),
        }
    }

    /// What it says in an answer: for faults of ours with the request id, which finds the cause in
    /// the log.
    pub(crate) fn message_with(&self, request_id: &str) -> String {
        if self.status().is_server_error() {
            format!("{} ({request_id})", self.message())
        } else {
            self.message()
        }
    }

    /// Writes the cause to the log, once, where there is one.
    pub(crate) fn log(&self, request_id: &str) {
        if let Fault::Internal { cause }
        | Fault::Unavailable { cause }
        | Fault::OutcomeUnknown { cause }
        | Fault::BadGateway { cause } = self
        {
            tracing::error!(request_id, cause, "{}", self.code());
        }
    }

    /// The code in problem details and for machines.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Fault::BadRequest(_) => "bad-request",
            Fault::OtherBody => "digest-mismatch",
            Fault::OAuth { code, .. } => code,
            Fault::Unproven { .. } => "not-proven",
            Fault::NotAdmitted(_) => "not-admitted",
            Fault::Insecure => "https-only",
            Fault::NotFound => "not-found",
            Fault::Method { .. } => "method-not-allowed",
            Fault::TooSlow => "body-too-slow",
            Fault::TooLarge { .. } => "body-too-large",
            Fault::Invalid { .. } | Fault::InvalidEntry { .. } => "invalid",
            Fault::Platform { .. } => "refused",
            Fault::Forbidden(_) => "forbidden",
            Fault::Conflict(_) => "conflict",
            Fault::Taken(_) => "taken",
            Fault::TooMany { .. } => "too-many-requests",
            Fault::TooManyGuesses { .. } => "too-many-guesses",
            Fault::TooFast(_) => "rate-limited",
            Fault::Overloaded => "overloaded",
            Fault::OverQuota(_) => "quota-exceeded",
            Fault::Internal { .. } => "internal",
            Fault::Unavailable { .. } => "unavailable",
            Fault::OutcomeUnknown { .. } => "outcome-unknown",
            Fault::BadGateway { .. } => "bad-gateway",
            Fault::GatewayTimeout => "gateway-timeout",
        }
    }

    /// What an expired or otherwise refused proof may be told in live: for signatures the bare
    /// word and the time, for tokens also that they expired.
    pub(crate) fn unproven_message(refusal: &Unproven) -> String {
        use wayleave_protocol::jwt::TokenError;
        match refusal {
            Unproven::Token(TokenError::Expired) => refusal.to_string(),
            _ => "Unauthorized".to_owned(),
        }
    }
}

impl From<Panicked> for Fault {
    fn from(_: Panicked) -> Self {
        Fault::Internal {
            cause: "the request panicked".to_owned(),
        }
    }
}
