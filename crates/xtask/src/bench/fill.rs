//! Fills a running Wayleave with credentials and tokens, as an administrator and its partners would.

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Answer, Connection, in_parallel};

/// The credentials of audience `routes` that sign by RFC 9421, named like an audience.
pub(super) const MESSAGE_SIGNERS: &str = "message-signers";

/// How many credentials of one kind an integration gets.
const PER_INTEGRATION: usize = 100;

/// The file that `wayleave demo` writes once every address accepts; the parts needed here.
#[derive(Debug, Deserialize)]
pub(super) struct Demo {
    pub(super) test: Environment,
    admin: Admin,
}

/// One environment of the demo.
#[derive(Debug, Deserialize)]
pub(super) struct Environment {
    url: String,
    pub(super) protected_path: String,
}

#[derive(Debug, Deserialize)]
struct Admin {
    url: String,
    token: String,
}

impl Demo {
    /// A node that says no such things of itself: `HOST:PORT` of its test environment and of its
    /// admin API, and an operator's token.
    pub(super) fn of(test: &str, admin: &str, token: &str) -> Demo {
        Demo {
            test: Environment {
                url: format!("http://{test}"),
                protected_path: String::new(),
            },
            admin: Admin {
                url: format!("http://{admin}"),
                token: token.to_owned(),
            },
        }
    }

    /// The `HOST:PORT` of the admin API.
    pub(super) fn admin_address(&self) -> &str {
        authority(&self.admin.url)
    }
}

impl Environment {
    /// Its `HOST:PORT`.
    pub(super) fn address(&self) -> &str {
        authority(&self.url)
    }
}

fn authority(url: &str) -> &str {
    url.trim_start_matches("http://").trim_end_matches('/')
}

/// The public and the secret half of a credential.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Key {
    #[serde(rename = "public_id")]
    pub(super) id: String,
    pub(super) secret: String,
}

/// Makes `count` credentials for each audience, in the order of the audiences.
pub(super) fn credentials(
    demo: &Demo,
    audiences: &[&str],
    count: usize,
) -> Result<Vec<Vec<Key>>, String> {
    let integrations = integrations(demo, count.div_ceil(PER_INTEGRATION))?;
    let all = count * audiences.len();
    let keys = in_parallel(
        demo.admin_address(),
        "credentials",
        all,
        |connection, index| {
            let (audience, number) = (audiences[index / count], index % count);
            let integration = &integrations[number / PER_INTEGRATION];
            let body = match audience {
                MESSAGE_SIGNERS => json!({
                    "integration": integration, "audience": "routes", "schemes": "http-signature",
                }),
                audience => json!({ "integration": integration, "audience": audience }),
            };
            let answer = create(connection, demo, "credentials", &body)?;
            serde_json::from_value::<Key>(answer).map_err(|error| format!("a credential: {error}"))
        },
    )?;
    Ok(keys.chunks(count).map(<[Key]>::to_vec).collect())
}

/// Makes a partner with some integrations.
fn integrations(demo: &Demo, count: usize) -> Result<Vec<String>, String> {
    let address = demo.admin_address();
    let name = json!({ "name": "Benchmark" });
    let partner = id(&create(
        &mut Connection::to(address),
        demo,
        "partners",
        &name,
    )?)?;
    in_parallel(address, "integrations", count, |connection, index| {
        let body = json!({ "partner": partner, "name": format!("Benchmark {index}") });
        id(&create(connection, demo, "integrations", &body)?)
    })
}

fn create(
    connection: &mut Connection,
    demo: &Demo,
    what: &str,
    body: &Value,
) -> Result<Value, String> {
    let request = creation(demo, what, body);
    parsed(what, 201, &connection.exchange(request.as_bytes())?)
}

fn creation(demo: &Demo, what: &str, body: &Value) -> String {
    post(
        &format!("/test/v1/{what}"),
        demo.admin_address(),
        &format!("Authorization: Bearer {}\r\n", demo.admin.token),
        "application/json",
        &body.to_string(),
    )
}

/// The request that makes a Management credential for a new integration, as often as it is sent.
pub(super) fn credential_creation(demo: &Demo) -> Result<String, String> {
    let integration = integrations(demo, 1)?.pop().ok_or("no integration")?;
    let body = json!({ "integration": integration, "audience": "management" });
    Ok(creation(demo, "credentials", &body))
}

fn parsed(what: &str, expected: u16, answer: &Answer) -> Result<Value, String> {
    if answer.status != expected {
        return Err(format!(
            "{what}: {} instead of {expected}",
            answer.summary()
        ));
    }
    serde_json::from_slice(&answer.body).map_err(|error| format!("{what}: {error}"))
}

fn id(answer: &Value) -> Result<String, String> {
    answer["id"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("no id in {answer}"))
}

/// Asks for one token with each key.
pub(super) fn tokens(address: &str, keys: &[Key]) -> Result<Vec<String>, String> {
    in_parallel(address, "tokens", keys.len(), |connection, index| {
        let request = token_request(address, &keys[index]);
        let answer = parsed(
            "POST /token",
            200,
            &connection.exchange(request.as_bytes())?,
        )?;
        let token = answer["token"].as_str().map(str::to_owned);
        token.ok_or_else(|| format!("no token in {answer}"))
    })
}

/// `POST /token` with an API key and its secret in JSON.
pub(super) fn token_request(address: &str, key: &Key) -> String {
    let body = json!({ "api_key": key.id, "api_secret": key.secret }).to_string();
    post("/token", address, "", "application/json", &body)
}

/// A whole `POST`; `headers` are further header lines, each with its line end.
pub(crate) fn post(path: &str, host: &str, headers: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_file_is_understood() {
        let environment = json!({
            "url": "http://127.0.0.1:8081", "protected_path": "/demo",
            "oauth": { "client_id": "a", "client_secret": "b" },
        });
        let demo: Demo = serde_json::from_value(json!({
            "version": 1, "live": environment, "test": environment,
            "admin": { "url": "http://127.0.0.1:8082/", "token": "secret" },
        }))
        .unwrap();
        assert_eq!(demo.test.address(), "127.0.0.1:8081");
        assert_eq!(demo.admin_address(), "127.0.0.1:8082");
    }

    #[test]
    fn a_post_says_how_long_it_is() {
        assert_eq!(
            post("/p", "h", "A: b\r\n", "text/plain", "four"),
            "POST /p HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Type: text/plain\r\n\
             Content-Length: 4\r\n\r\nfour"
        );
    }
}
