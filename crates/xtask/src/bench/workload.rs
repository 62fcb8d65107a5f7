//! The requests that are replayed at each server.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::client::{Connection, in_parallel};
use super::fill::{self, Environment, Key, post};
use super::sign;
use super::target::{Phase, Target};
use super::wrk::write_requests;

/// Signed requests live 300 s, tokens 60 minutes: all are made anew long before.
const SIGNED_FOR: Duration = Duration::from_secs(120);
const TOKENS_FOR: Duration = Duration::from_secs(40 * 60);
const FOR_EVER: Duration = Duration::MAX;

/// The requests of one target, in a file, with what they are made from.
pub(super) struct Workload {
    target: Target,
    /// Where they go: `HOST:PORT`.
    pub(super) address: String,
    /// The file that `wrk` reads.
    pub(super) file: PathBuf,
    keys: Vec<Key>,
    /// Paths with their queries, where one key signs them all.
    questions: Vec<String>,
    protected_path: String,
    made: Instant,
    requests: Vec<String>,
    /// How many requests are made where each counts once only, and which nonce comes next.
    once: usize,
    nonce: u64,
}

/// More requests that count once than one client can send in a second.
const ONCE_AT_FIRST: usize = 250_000;

/// The route of the nodes that have no demo's.
pub(super) const ROUTE: &str = "/signed";

impl Workload {
    /// Makes the requests of a target from its keys.
    pub(super) fn new(
        target: Target,
        address: &str,
        file: PathBuf,
        keys: Vec<Key>,
        environment: Option<&Environment>,
    ) -> Result<Workload, String> {
        let protected_path = environment.map(|test| test.protected_path.clone());
        Workload {
            keys: shuffled(keys),
            protected_path: protected_path.unwrap_or_default(),
            ..Workload::of(target, address, file)
        }
        .made()
    }

    /// Questions to the access API, each signed by one key set: paths with their queries.
    pub(super) fn of_questions(
        target: Target,
        address: &str,
        file: PathBuf,
        key: Key,
        questions: Vec<String>,
    ) -> Result<Workload, String> {
        Workload {
            keys: vec![key],
            questions,
            ..Workload::of(target, address, file)
        }
        .made()
    }

    /// One request that may be sent again and again.
    pub(super) fn of_one(
        target: Target,
        address: &str,
        file: PathBuf,
        request: String,
    ) -> Result<Workload, String> {
        Workload {
            requests: vec![request],
            ..Workload::of(target, address, file)
        }
        .made()
    }

    fn of(target: Target, address: &str, file: PathBuf) -> Workload {
        Workload {
            target,
            address: address.to_owned(),
            file,
            keys: Vec::new(),
            questions: Vec::new(),
            protected_path: String::new(),
            made: Instant::now(),
            requests: Vec::new(),
            once: ONCE_AT_FIRST,
            nonce: 0,
        }
    }

    fn made(mut self) -> Result<Workload, String> {
        self.make()?;
        Ok(self)
    }

    /// Makes twice as many requests that count once as the last visit took.
    pub(super) fn note(&mut self, requests: f64) {
        self.once = (2.0 * requests) as usize;
    }

    /// Makes the requests anew when they may be refused soon for their age.
    pub(super) fn freshen(&mut self) -> Result<(), String> {
        let lifetime = match self.target {
            Target::TokenCheck => TOKENS_FOR,
            Target::MessageSignature => Duration::ZERO,
            target if target.is_signed_check() || target.is_proxy() || target.is_access() => {
                SIGNED_FOR
            }
            _ => FOR_EVER,
        };
        if self.made.elapsed() < lifetime {
            return Ok(());
        }
        self.make()?;
        // Once by hand, so that no token is new to the server when it is measured.
        if self.target == Target::TokenCheck {
            self.try_out()
        } else {
            Ok(())
        }
    }

    fn make(&mut self) -> Result<(), String> {
        self.made = Instant::now();
        let each = |make: fn(&str, &Key) -> String| {
            self.keys
                .iter()
                .map(|key| make(&self.address, key))
                .collect()
        };
        self.requests = match self.target {
            target if target.is_signed_check() => self.signed_checks()?,
            target if target.is_proxy() => self.signed_requests()?,
            target if target.is_access() => self.access_questions()?,
            Target::Ceiling | Target::TlsCeiling => self.signed_checks()?,
            Target::GatewayCeiling => self.message_checks(self.keys.len())?,
            Target::MessageSignature => self.message_checks(self.once)?,
            Target::TokenCheck => self.token_checks()?,
            Target::OauthIssue => each(|host, key| form_request("/oauth/token", host, key)),
            Target::TokenIssue => each(fill::token_request),
            Target::OidcOpaque | Target::OidcEs256 => {
                each(|host, key| form_request("/token", host, key))
            }
            _ => std::mem::take(&mut self.requests),
        };
        write_requests(&self.file, &self.requests)
    }

    fn signed_checks(&self) -> Result<Vec<String>, String> {
        let timestamp = sign::timestamp_now();
        let numbered = self.keys.iter().enumerate();
        numbered
            .map(|(number, key)| signed_check(&self.address, key, number, &timestamp))
            .collect()
    }

    /// Signed requests themselves, for a proxy.
    fn signed_requests(&self) -> Result<Vec<String>, String> {
        let timestamp = sign::timestamp_now();
        let numbered = self.keys.iter().enumerate();
        numbered
            .map(|(number, key)| signed_request(&self.address, key, number, &timestamp))
            .collect()
    }

    /// Signed questions. nginx decodes nothing before it checks, so for it what is sent is signed.
    fn access_questions(&self) -> Result<Vec<String>, String> {
        let timestamp = sign::timestamp_now();
        let key = &self.keys[0];
        let questions = self.questions.iter().map(|question| {
            let (path, query) = question.split_once('?').unwrap_or((question, ""));
            let read = match self.target {
                Target::AccessLua => query.to_owned(),
                _ => query.replace("%7C", "|"),
            };
            let signature = sign::signature(&key.secret, "GET", &timestamp, path, &read)?;
            Ok(format!(
                "GET {question} HTTP/1.1\r\nHost: {}\r\nAuthentication: {}:{signature}\r\nTimestamp: {timestamp}\r\n\r\n",
                self.address, key.id
            ))
        });
        questions.collect()
    }

    /// Questions about requests signed by RFC 9421, each key in turn, each nonce once.
    fn message_checks(&mut self, count: usize) -> Result<Vec<String>, String> {
        let created = sign::seconds_now();
        let first = self.nonce;
        self.nonce += count as u64;
        let keys = self.keys.iter().cycle().zip(first..self.nonce);
        keys.map(|(key, nonce)| {
            let uri = format!("http://{}{ROUTE}", self.address);
            let proof = sign::message_signature(&key.id, &key.secret, &uri, created, nonce)?;
            Ok(check(&self.address, ROUTE, &proof))
        })
        .collect()
    }

    fn token_checks(&self) -> Result<Vec<String>, String> {
        let tokens = fill::tokens(&self.address, &self.keys)?;
        let path = &self.protected_path;
        let check = |token: &String| {
            check(
                &self.address,
                path,
                &format!("Authorization: Bearer {token}\r\n"),
            )
        };
        Ok(tokens.iter().map(check).collect())
    }

    /// The status that each request must be answered with.
    fn expected(&self) -> u16 {
        match self.target {
            Target::TokenCheck | Target::MessageSignature => 204,
            target if target.is_signed_check() => 204,
            target if target.phase() == Phase::Creation => 201,
            _ => 200,
        }
    }

    /// Sends requests once each, without measuring, and looks at every answer: all of them to the
    /// checks, which so have seen each token, and some of the dearer ones.
    pub(super) fn try_out(&self) -> Result<(), String> {
        let count = match self.target {
            Target::TokenCheck => self.requests.len(),
            target if target.is_signed_check() || target.is_proxy() => self.requests.len(),
            _ => self.requests.len().min(200),
        };
        in_parallel(&self.address, "answers", count, |connection, index| {
            self.must_be_good(connection, index)
        })
        .map(drop)
    }

    /// Looks for the request that was answered badly, for a message.
    pub(super) fn first_bad_answer(&self) -> String {
        let mut connection = Connection::to(&self.address);
        (0..self.requests.len())
            .find_map(|index| self.must_be_good(&mut connection, index).err())
            .unwrap_or_else(|| "but asked once more, every answer was good".to_owned())
    }

    fn must_be_good(&self, connection: &mut Connection, index: usize) -> Result<(), String> {
        let answer = connection.exchange(self.requests[index].as_bytes())?;
        if answer.status == self.expected() {
            return Ok(());
        }
        Err(format!(
            "request {index} of {} was answered {}",
            self.target.name(),
            answer.summary()
        ))
    }
}

/// A signed `GET` of a resource: its path and query, and its proof as header lines.
fn signed(key: &Key, number: usize, timestamp: &str) -> Result<(String, String), String> {
    let path = format!("/api/Property/{}/Resource/{number}", key.id);
    let query = "includePropertyData=true";
    let signature = sign::signature(&key.secret, "GET", timestamp, &path, query)?;
    let proof = format!(
        "Authentication: {}:{signature}\r\nTimestamp: {timestamp}\r\n",
        key.id
    );
    Ok((format!("{path}?{query}"), proof))
}

/// A signed `GET` of a resource.
fn signed_request(host: &str, key: &Key, number: usize, timestamp: &str) -> Result<String, String> {
    let (target, proof) = signed(key, number, timestamp)?;
    Ok(format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\n{proof}\r\n"
    ))
}

/// `GET /auth/check` about a signed `GET` of a resource.
fn signed_check(host: &str, key: &Key, number: usize, timestamp: &str) -> Result<String, String> {
    let (target, proof) = signed(key, number, timestamp)?;
    Ok(check(host, &target, &proof))
}

/// `GET /auth/check` about a `GET`; `proof` are whole header lines.
fn check(host: &str, target: &str, proof: &str) -> String {
    format!(
        "GET /auth/check HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Method: GET\r\n\
         X-Forwarded-Uri: {target}\r\n{proof}\r\n"
    )
}

/// Client credentials in a form.
fn form_request(path: &str, host: &str, key: &Key) -> String {
    let body = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        form_encoded(&key.id),
        form_encoded(&key.secret),
    );
    post(path, host, "", "application/x-www-form-urlencoded", &body)
}

fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The keys in an order that has nothing to do with that in which they were made, and is the same
/// in every run.
fn shuffled(mut keys: Vec<Key>) -> Vec<Key> {
    let mut state = 1_u64;
    for last in (1..keys.len()).rev() {
        // A linear congruential generator by Knuth; its upper bits are the good ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        keys.swap(last, (state >> 33) as usize % (last + 1));
    }
    keys
}

/// Keys that no Wayleave knows, as long as real ones: for the servers that are not Wayleave.
pub(super) fn made_up_keys(count: usize) -> Vec<Key> {
    (0..count)
        .map(|number| Key {
            id: format!("{number:08X}-9A8B-4C7D-8E6F-102938475665"),
            secret: format!("made-up-secret-of-the-benchmark-{number:011}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::client::tests::server;
    use super::*;

    #[test]
    fn a_signed_check_describes_the_signed_request() {
        let key = &made_up_keys(1)[0];
        let moment = "Tue, 16 Mar 2027 10:20:28 GMT";
        let request = signed_check("127.0.0.1:1", key, 7, moment).unwrap();
        let path = "/api/Property/00000000-9A8B-4C7D-8E6F-102938475665/Resource/7";
        let query = "includePropertyData=true";
        let signature = sign::signature(&key.secret, "GET", moment, path, query).unwrap();
        assert_eq!(
            request,
            format!(
                "GET /auth/check HTTP/1.1\r\nHost: 127.0.0.1:1\r\nX-Forwarded-Method: GET\r\n\
                 X-Forwarded-Uri: {path}?{query}\r\n\
                 Authentication: {}:{signature}\r\nTimestamp: {moment}\r\n\r\n",
                key.id
            )
        );
    }

    #[test]
    fn a_form_is_encoded() {
        let key = Key {
            id: "a b".into(),
            secret: "c+d/é=".into(),
        };
        let request = form_request("/token", "h", &key);
        let body = "grant_type=client_credentials&client_id=a%20b&client_secret=c%2Bd%2F%C3%A9%3D";
        assert!(request.ends_with(&format!("Content-Length: {}\r\n\r\n{body}", body.len())));
    }

    #[test]
    fn a_bad_answer_is_told_with_the_first_request_that_gets_it() {
        let address = server(|first| {
            let status = if first.contains("/auth/check") {
                "401 Unauthorized"
            } else {
                "200 OK"
            };
            format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nno!")
        });
        let folder = std::env::temp_dir();
        let file = folder.join(format!("wayleave-requests-{}", std::process::id()));
        let keys = made_up_keys(3);
        let refused = Workload::new(Target::SignedCheck, &address, file, keys, None).unwrap();
        let message = "request 0 of signed-check was answered 401 no!";
        assert_eq!(refused.first_bad_answer(), message);
        assert!(refused.try_out().is_err());
        let replayed = std::fs::read_to_string(&refused.file).unwrap();
        assert_eq!(replayed.matches('\u{1e}').count(), 3);
        std::fs::remove_file(&refused.file).unwrap();
    }

    #[test]
    fn shuffling_loses_no_key_and_is_the_same_each_time() {
        let ids = |keys: Vec<Key>| keys.into_iter().map(|key| key.id).collect::<Vec<_>>();
        let shuffled_ids = ids(shuffled(made_up_keys(500)));
        assert_eq!(shuffled_ids, ids(shuffled(made_up_keys(500))));
        let mut sorted = shuffled_ids.clone();
        sorted.sort();
        assert_eq!(sorted, ids(made_up_keys(500)));
        assert_ne!(sorted, shuffled_ids);
        assert!(shuffled(Vec::new()).is_empty());
    }

    #[test]
    fn made_up_keys_differ() {
        let keys = made_up_keys(3);
        assert_ne!(keys[1].id, keys[2].id);
        assert_ne!(keys[1].secret, keys[2].secret);
    }
}
