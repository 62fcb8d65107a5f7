//! The public surfaces that are called, over connections that stay open.

use std::time::Instant;

use serde_json::{Value, json};

use super::ledger::text;
use crate::bench::client::{Answer, Connection};
use crate::bench::fill::post;
use crate::bench::sign;

/// The names of the two environments.
pub(super) const ENVIRONMENTS: [&str; 2] = ["live", "test"];

/// Where a server answers and how to get in.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    /// `HOST:PORT` of live and of test.
    pub(super) environments: [String; 2],
    /// `HOST:PORT` of the admin address.
    pub(super) admin: String,
    /// The operator's token.
    pub(super) operator: String,
    /// Client ids and secrets that are always there, of live and of test.
    pub(super) clients: [(String, String); 2],
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Reply {
    Answered(Answer),
    /// It was never sent: nobody listens.
    NotSent,
    /// It was sent, and no answer came. When it was written whole.
    Lost(Option<Instant>),
}

impl Reply {
    /// The status; `None` without an answer.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Reply::Answered(answer) => Some(answer.status),
            _ => None,
        }
    }
}

/// One caller's connections to one environment and to the admin address.
pub(super) struct Api<'a> {
    addresses: &'a Addresses,
    environment: usize,
    front: Connection,
    admin: Connection,
}

impl<'a> Api<'a> {
    /// For the environment with that number.
    pub(super) fn new(addresses: &'a Addresses, environment: usize) -> Api<'a> {
        Api {
            addresses,
            environment,
            front: Connection::to(&addresses.environments[environment]),
            admin: Connection::to(&addresses.admin),
        }
    }

    /// `GET` at the admin address, below the environment's `/v1/`.
    pub(super) fn look_up(&mut self, path: &str) -> Reply {
        let request = format!(
            "GET /{}/v1/{path} HTTP/1.1\r\nHost: {}\r\n{}\r\n",
            ENVIRONMENTS[self.environment],
            self.addresses.admin,
            self.authorization()
        );
        send(&mut self.admin, &request)
    }

    /// `POST` at the admin address, below the environment's `/v1/`.
    pub(super) fn operate(&mut self, path: &str, body: &Value) -> Reply {
        let request = post(
            &format!("/{}/v1/{path}", ENVIRONMENTS[self.environment]),
            &self.addresses.admin,
            &self.authorization(),
            "application/json",
            &body.to_string(),
        );
        send(&mut self.admin, &request)
    }

    fn authorization(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.addresses.operator)
    }

    /// Presents a pair in the way of its audience: asks for a token, or signs a request.
    pub(super) fn prove(&mut self, audience: &str, public_id: &str, secret: &str) -> Reply {
        match audience {
            "platform" => {
                let body = format!(
                    "grant_type=client_credentials&client_id={public_id}&client_secret={secret}"
                );
                self.form("/oauth/token", &body)
            }
            "routes" => {
                let body = json!({ "api_key": public_id, "api_secret": secret }).to_string();
                let host = &self.addresses.environments[self.environment];
                let request = post("/token", host, "", "application/json", &body);
                send(&mut self.front, &request)
            }
            _ => self.sign(public_id, secret),
        }
    }

    fn sign(&mut self, public_id: &str, secret: &str) -> Reply {
        let path = format!("/api/Property/{public_id}/Resource/1");
        let timestamp = sign::timestamp_now();
        let signature = sign::signature(secret, "GET", &timestamp, &path, "").unwrap_or_default();
        let proof =
            format!("Authentication: {public_id}:{signature}\r\nTimestamp: {timestamp}\r\n");
        self.check(&path, &proof)
    }

    /// Asks whether a token opens the API behind.
    pub(super) fn present(&mut self, token: &str) -> Reply {
        self.check("/hello", &format!("Authorization: Bearer {token}\r\n"))
    }

    fn check(&mut self, path: &str, proof: &str) -> Reply {
        let request = format!(
            "GET /auth/check HTTP/1.1\r\nHost: {}\r\nX-Forwarded-Method: GET\r\n\
             X-Forwarded-Uri: {path}\r\n{proof}\r\n",
            self.addresses.environments[self.environment]
        );
        send(&mut self.front, &request)
    }

    /// Asks about a client's own token.
    pub(super) fn introspect(&mut self, pair: (&str, &str), token: &str) -> Reply {
        self.own_token("/oauth/introspect", pair, token)
    }

    /// Ends a client's own token.
    pub(super) fn revoke(&mut self, pair: (&str, &str), token: &str) -> Reply {
        self.own_token("/oauth/revoke", pair, token)
    }

    fn own_token(&mut self, path: &str, (id, secret): (&str, &str), token: &str) -> Reply {
        let body = format!("client_id={id}&client_secret={secret}&token={token}");
        self.form(path, &body)
    }

    fn form(&mut self, path: &str, body: &str) -> Reply {
        let host = &self.addresses.environments[self.environment];
        let kind = "application/x-www-form-urlencoded";
        let request = post(path, host, "", kind, body);
        send(&mut self.front, &request)
    }
}

fn send(connection: &mut Connection, request: &str) -> Reply {
    if connection.open().is_err() {
        return Reply::NotSent;
    }
    match connection.exchange(request.as_bytes()) {
        Ok(answer) => Reply::Answered(answer),
        Err(_) => Reply::Lost(connection.written_at()),
    }
}

/// The JSON of an answer; null where it is none.
pub(super) fn parsed(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// The token of an answer to [`Api::prove`].
pub(super) fn token(answer: &Answer) -> Option<String> {
    let body = parsed(answer);
    let found = [text(&body, "access_token"), text(&body, "token")];
    let found = found.into_iter().find(|token| !token.is_empty());
    found.map(str::to_owned)
}
