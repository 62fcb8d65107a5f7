use wayleave_protocol::http_date;
use wayleave_protocol::signed::{self, SignedRequest};

use crate::{Address, Call};

/// Signs requests with one key set.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret_key: String,
}

impl Signer {
    /// For a key set.
    pub fn new(access_key: &str, secret_key: &str) -> Self {
        Signer {
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
        }
    }

    /// `Timestamp` and `Authentication` for a request at a second since 1970 UTC.
    pub fn headers(&self, method: &str, target: &str, unix_s: i64) -> [(String, String); 2] {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let timestamp = http_date::format(unix_s);
        let request = SignedRequest {
            method,
            paths: &[path],
            query,
            timestamp: &timestamp,
            form_body: None,
        };
        let base = signed::base_strings(&request)
            .expect("a request that can be signed")
            .remove(0);
        let signature = signed::sign(self.secret_key.as_bytes(), &base);
        let authentication = format!("{}:{signature}", self.access_key);
        [
            ("Timestamp".to_owned(), timestamp),
            ("Authentication".to_owned(), authentication),
        ]
    }

    /// A signed request.
    pub fn call(&self, address: Address, method: &str, target: &str, unix_s: i64) -> Call {
        self.headers(method, target, unix_s)
            .into_iter()
            .fold(address.call(method, target), |call, (name, value)| {
                call.header(&name, &value)
            })
    }
}
