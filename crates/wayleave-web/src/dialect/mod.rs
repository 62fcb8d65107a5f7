//! One module for each published wire contract; how each says what went wrong.

pub(crate) mod content;
pub(crate) mod introspection;
pub(crate) mod oauth;
pub(crate) mod platform;
pub(crate) mod token;

use http::header::{ALLOW, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use wayleave_engine::Explanation;

use crate::answer::{self, Answer, set};
use crate::fault::Fault;
use crate::passage;

const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");
/// Says whose fault a 5xx is: `upstream` or `gateway`.
const FAULT: HeaderName = HeaderName::from_static("wayleave-fault");

/// A published wire contract: how errors look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// RFC 6749: `{"error","error_description"}`.
    OAuth,
    /// The platform API: `{"error","message","property","help"}`; its token address says RFC 6749
    /// words and a `message`.
    Platform,
    /// The token exchange: `{"message"}`.
    Token,
    /// The content APIs: `{"Message"}` in JSON or XML.
    Content,
    /// Our own API and the routes: problem details (RFC 9457) with a `message`.
    Problem,
}

impl Dialect {
    /// Every dialect, in the order of their numbers (`dialect as usize`).
    pub const ALL: [Dialect; 5] = [
        Dialect::OAuth,
        Dialect::Platform,
        Dialect::Token,
        Dialect::Content,
        Dialect::Problem,
    ];

    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::OAuth => "oauth",
            Dialect::Platform => "platform",
            Dialect::Token => "token",
            Dialect::Content => "content",
            Dialect::Problem => "problem",
        }
    }

    /// The dialect of an address that nothing serves, by its longest known prefix. `path`: without
    /// stage prefix.
    pub fn of_path(path: &str) -> Self {
        if content::resource_path(path).is_some() {
            Dialect::Content
        } else if is_below(path, "/api") {
            Dialect::Platform
        } else if is_below(path, "/token") {
            Dialect::Token
        } else if is_below(path, "/oauth") {
            Dialect::OAuth
        } else if is_below(path, "/authorize") {
            Dialect::Platform
        } else {
            Dialect::Problem
        }
    }

    /// Puts a fault into the dialect's words, and its cause, where it is ours, into the log. `accept`: the request's `Accept` header, which
    /// matters to the content dialect.
    pub fn render(self, fault: &Fault, accept: Option<&str>, request_id: &str) -> Answer {
        fault.log(request_id);
        let status = fault.status();
        let message = fault.message_with(request_id);
        let mut answer = match self {
            Dialect::OAuth => answer::json(status, &oauth_body(fault, &message)),
            Dialect::Platform => answer::json(status, &platform_body(fault, &message)),
            Dialect::Token => answer::json(status, &json!({ "message": message })),
            Dialect::Content => content::render(fault, &message, accept),
            Dialect::Problem => {
                let body = problem_body(fault, &message, request_id).to_string();
                answer::text(status, "application/problem+json", body)
            }
        };
        self.set_headers(&mut answer, fault);
        if status.is_server_error() {
            set(&mut answer, FAULT, fault.whose());
        }
        answer
    }

    fn set_headers(self, answer: &mut Answer, fault: &Fault) {
        match fault {
            Fault::Method { allow } => set(answer, ALLOW, allow),
            Fault::TooMany { retry_after_s } | Fault::TooManyGuesses { retry_after_s } => {
                set(answer, RETRY_AFTER, &retry_after_s.to_string())
            }
            Fault::TooFast(exceeded) | Fault::OverQuota(exceeded) => {
                set(answer, RETRY_AFTER, &exceeded.retry_after_s.to_string());
                answer
                    .headers_mut()
                    .extend(passage::refused(exceeded).into_iter().flatten());
            }
            Fault::Unavailable { .. } | Fault::Overloaded => set(answer, RETRY_AFTER, "1"),
            Fault::OAuth {
                challenge: Some(challenge),
                ..
            }
            | Fault::Unproven {
                challenge: Some(challenge),
                ..
            } => {
                set(answer, WWW_AUTHENTICATE, challenge);
            }
            _ => {}
        }
        if let Fault::Unproven {
            accept_signature: Some(wanted),
            ..
        } = fault
        {
            set(answer, ACCEPT_SIGNATURE, wanted);
        }
        if matches!(self, Dialect::OAuth) {
            answer
                .headers_mut()
                .insert(PRAGMA, HeaderValue::from_static("no-cache"));
        }
    }
}

/// Whether a path is an address or lies below it.
pub(crate) fn is_below(path: &str, address: &str) -> bool {
    path.strip_prefix(address)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn oauth_body(fault: &Fault, message: &str) -> Value {
    let code = match fault {
        Fault::OAuth { code, .. } => code,
        Fault::Internal { .. } | Fault::BadGateway { .. } => "server_error",
        Fault::Unavailable { .. } | Fault::Overloaded | Fault::GatewayTimeout => {
            "temporarily_unavailable"
        }
        _ => "invalid_request",
    };
    json!({ "error": code, "error_description": message })
}

fn platform_body(fault: &Fault, message: &str) -> Value {
    match fault {
        Fault::OAuth { code, .. } => json!({ "error": code, "message": message }),
        _ => json!({
            "error": fault.status().as_u16(),
            "message": message,
            "property": property(fault),
            "help": null,
        }),
    }
}

fn property(fault: &Fault) -> Value {
    match fault {
        Fault::Invalid { field, .. } => json!(field),
        Fault::Platform { property, .. } => json!(property),
        _ => Value::Null,
    }
}

fn problem_body(fault: &Fault, message: &str, request_id: &str) -> Value {
    let status = fault.status();
    let mut body = Map::new();
    body.insert(
        "type".into(),
        json!(format!("urn:wayleave:problem:{}", fault.code())),
    );
    body.insert(
        "title".into(),
        json!(status.canonical_reason().unwrap_or("Error")),
    );
    body.insert("status".into(), json!(status.as_u16()));
    body.insert("message".into(), json!(message));
    if status != StatusCode::UNAUTHORIZED {
        body.insert("detail".into(), json!(message));
    }
    body.insert("request_id".into(), json!(request_id));
    body.insert("fault".into(), json!(fault.whose()));
    if let Fault::TooFast(exceeded) | Fault::OverQuota(exceeded) = fault {
        body.insert("limit".into(), json!(exceeded.limit));
    }
    if let Fault::Unproven {
        server_time,
        explanation,
        ..
    } = fault
    {
        if let Some(time) = server_time {
            body.insert("server_time".into(), json!(time));
        }
        if let Some(explanation) = explanation {
            body.insert("explanation".into(), explanation_body(explanation));
        }
    }
    Value::Object(body)
}

/// What the test environment tells about a refused signature, as JSON members.
pub(crate) fn explanation_body(explanation: &Explanation) -> Value {
    json!({
        "reason": explanation.reason,
        "server_time": explanation.server_time,
        "base_strings": explanation.base_strings,
        "first_difference": explanation.difference.as_ref().map(|difference| json!({
            "at_byte": difference.at_byte,
            "line": difference.line,
            "ours": difference.ours,
            "yours": difference.theirs,
        })),
        "hint": explanation.hint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_json_and_its_status_in_every_dialect() {
        let faults = || {
            [
                Fault::BadRequest("why".to_owned()),
                Fault::Insecure,
                Fault::NotFound,
                Fault::Method { allow: "GET" },
                Fault::TooSlow,
                Fault::TooLarge { limit_bytes: 1 },
                Fault::TooMany { retry_after_s: 1 },
                Fault::Overloaded,
                Fault::Internal {
                    cause: "secret".to_owned(),
                },
                Fault::Unavailable {
                    cause: "secret".to_owned(),
                },
                Fault::BadGateway {
                    cause: "secret".to_owned(),
                },
                Fault::GatewayTimeout,
            ]
        };
        let dialects = [
            (Dialect::OAuth, "error"),
            (Dialect::Platform, "message"),
            (Dialect::Token, "message"),
            (Dialect::Content, "Message"),
            (Dialect::Problem, "message"),
        ];
        for (dialect, member) in dialects {
            for fault in faults() {
                let answer = dialect.render(&fault, None, "req_1");
                assert_eq!(answer.status(), fault.status());
                let body = body_of(answer);
                assert!(body[member].is_string(), "{dialect:?} {fault:?}: {body}");
                assert!(
                    !body.to_string().contains("secret"),
                    "nothing internal in an answer"
                );
                let ours = fault.status().is_server_error();
                assert!(
                    !ours || body.to_string().contains("req_1"),
                    "{dialect:?} {fault:?}: {body}"
                );
            }
        }
    }

    fn body_of(answer: Answer) -> Value {
        use http_body_util::BodyExt;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let body = runtime
            .block_on(answer.into_body().collect())
            .expect("a body")
            .to_bytes();
        serde_json::from_slice(&body).expect("json")
    }

    #[test]
    fn the_longest_prefix_names_the_dialect() {
        for (path, dialect) in [
            ("/api/Property/x", Dialect::Content),
            ("/API/resource", Dialect::Content),
            ("/api/TemporaryUserToken/x/y", Dialect::Content),
            ("/api/PropertyX", Dialect::Platform),
            ("/api/user/account", Dialect::Platform),
            ("/token", Dialect::Token),
            ("/token/x", Dialect::Token),
            ("/tokens", Dialect::Problem),
            ("/oauth/revoke", Dialect::OAuth),
            ("/", Dialect::Problem),
        ] {
            assert_eq!(Dialect::of_path(path), dialect, "{path}");
        }
    }
}
