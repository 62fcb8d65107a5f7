//! `wayleave sign` and `wayleave explain` for every scheme: a node takes what they print.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wayleave_core::Environment;
use wayleave_protocol::jwt;
use wayleave_testkit::{DatabaseKind, TestFolder};

use crate::described_schemes::{add_routes, documented};
use crate::harness::{Keys, TestNode, binary};

const LIVE: Environment = Environment::Live;

/// The key pair of RFC 9421 B.1.4.
const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n\
    -----END PRIVATE KEY-----\n";
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n\
    -----END PUBLIC KEY-----\n";

/// A client with its files: what it signs by, and what it sends.
struct Client {
    folder: TestFolder,
    secret: String,
    /// The arguments that name the scheme, for both commands.
    scheme: Vec<String>,
    /// Those that name the key, for signing.
    key: Vec<String>,
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Client {
    fn new(keys: &Keys, scheme: &str) -> Self {
        let folder = TestFolder::new();
        let config = folder.path().join("schemes.toml");
        std::fs::write(&config, documented()).expect("written");
        let scheme = scheme.replace("CONFIG", &config.display().to_string());
        Client {
            folder,
            secret: keys.secret.clone(),
            scheme: words(&scheme),
            key: vec!["--access-key".to_owned(), keys.public_id.clone()],
        }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    /// The arguments of a request.
    fn request(&self, method: &str, url: &str, body: &[u8]) -> Vec<String> {
        let mut arguments = Vec::new();
        if !body.is_empty() {
            let file = self.file("body", body);
            arguments.extend(["--body-file".to_owned(), file.display().to_string()]);
        }
        arguments.extend([method.to_owned(), url.to_owned()]);
        arguments
    }

    fn sign(&self, method: &str, url: &str, body: &[u8], more: &[&str]) -> String {
        let output = binary()
            .arg("sign")
            .args(&self.scheme)
            .args(&self.key)
            .args(more)
            .args(self.request(method, url, body))
            .env("WAYLEAVE_SECRET", &self.secret)
            .output()
            .expect("signed");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{:?}: {error}", self.scheme);
        String::from_utf8(output.stdout).expect("text")
    }

    /// What is said of headers that are read from standard input.
    fn explain(
        &self,
        headers: &str,
        (method, url, body): (&str, &str, &[u8]),
        more: &[&str],
    ) -> Output {
        let mut child = binary()
            .args(["explain", "--header", "@-"])
            .args(&self.scheme)
            .args(more)
            .args(self.request(method, url, body))
            .env("WAYLEAVE_SECRET", &self.secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary");
        let mut input = child.stdin.take().expect("an input");
        input.write_all(headers.as_bytes()).expect("written");
        drop(input);
        child.wait_with_output().expect("explained")
    }
}

fn text(output: &Output) -> String {
    let said = [&*output.stdout, &*output.stderr].concat();
    String::from_utf8(said).expect("text")
}

/// Sends a request with printed headers; the status.
fn send(node: &TestNode, headers: &str, (method, target, body): (&str, &str, &[u8])) -> u16 {
    let mut call = node.live.call(method, target);
    if !body.is_empty() {
        call = call.raw_body(body);
    }
    let lines = headers
        .lines()
        .map(|line| line.split_once(": ").expect("a header"));
    lines
        .fold(call, |call, (name, value)| call.header(name, value))
        .send()
        .status
}

/// Signs requests, sends them, has them explained, and changes them.
fn is_taken_and_what_is_changed_is_not(node: &TestNode, client: &Client, path: &str, key: &[&str]) {
    let target = format!("{path}/b?x=1&a=%20");
    let url = format!("{}{target}", node.live_url);
    let headers = client.sign("GET", &url, b"", &[]);
    assert_eq!(
        send(node, &headers, ("GET", &target, b"")),
        200,
        "{headers}"
    );
    let body = b"{\"pages\":12}";
    let headers = client.sign("POST", &url, body, &[]);
    let right = client.explain(&headers, ("POST", &url, body), key);
    assert!(right.status.success(), "{}", text(&right));
    assert!(text(&right).contains("is right"), "{}", text(&right));
    assert_eq!(
        send(node, &headers, ("POST", &target, body)),
        200,
        "{headers}"
    );
    // What was changed is refused by both.
    let headers = client.sign("POST", &url, body, &[]);
    let changed = (("PUT", &*url, &body[..]), ("PUT", &*target, &body[..]));
    let other_body = (("POST", &*url, &b"{}"[..]), ("POST", &*target, &b"{}"[..]));
    for (told, sent) in [changed, other_body] {
        let wrong = client.explain(&headers, told, key);
        assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong));
        let status = send(node, &headers, sent);
        assert!(matches!(status, 400 | 401), "{status}: {headers}");
    }
}

fn every_scheme(kind: DatabaseKind) {
    if !kind.is_available() {
        return;
    }
    let node = TestNode::start_now_with(kind, add_routes);
    let partner = node.partner(LIVE);
    let keys = |schemes: &str| {
        node.keys_of(
            LIVE,
            &partner,
            json!({ "audience": "routes", "schemes": schemes }),
        )
    };
    let sigv4 = keys("aws-sigv4");
    is_taken_and_what_is_changed_is_not(
        &node,
        &Client::new(&sigv4, "--scheme aws-sigv4"),
        "/hello",
        &[],
    );
    let described = keys("described");
    for (name, path) in [("acme", "/acme"), ("exchange", "/exchange")] {
        let client = Client::new(&described, &format!("--scheme {name} --config CONFIG"));
        is_taken_and_what_is_changed_is_not(&node, &client, path, &[]);
    }
    let store = json!({
        "audience": "routes", "schemes": "described",
        "public_id": "store-key-8", "secret": "c2VjcmV0LW9mLXRoZS1zdG9yZS0wMDE=",
    });
    let store = node.keys_of(LIVE, &partner, store);
    let client = Client::new(&store, "--scheme store --config CONFIG");
    is_taken_and_what_is_changed_is_not(&node, &client, "/store", &[]);
    let secret = keys("http-signature");
    let client = Client::new(&secret, "--scheme http-signature");
    is_taken_and_what_is_changed_is_not(&node, &client, "/hello", &[]);
    by_key_pairs(&node, &partner);
}

fn by_key_pairs(node: &TestNode, partner: &str) {
    let made = jwt::generate(jwt::Algorithm::Es256).expect("a key");
    let pair = jwt::SigningKey::from_pkcs8("k", jwt::Algorithm::Es256, made.as_bytes());
    let jwk = pair.expect("a key").public_jwk().to_string();
    let body = STANDARD.encode(made.as_bytes());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    for (private, public) in [
        (ED25519_PRIVATE, ED25519_PUBLIC),
        (pem.as_str(), jwk.as_str()),
    ] {
        let integration = node.integration(LIVE, partner);
        let body =
            json!({ "integration": integration, "audience": "routes", "public_key": public });
        let made = node.operate("POST", "/live/v1/credentials", Some(body));
        let made: Value = made.expect(201).json();
        let keys = Keys {
            credential: String::new(),
            partner: partner.to_owned(),
            public_id: made["public_id"].as_str().expect("an id").to_owned(),
            secret: String::new(),
        };
        let mut client = Client::new(&keys, "");
        let path = client.folder.path().join("private.pem");
        wayleave::key_file::write_private(&path, private).expect("written");
        client
            .key
            .extend(["--private-key".to_owned(), path.display().to_string()]);
        let public = client.file("public", public.as_bytes());
        let public = public.to_str().expect("text");
        is_taken_and_what_is_changed_is_not(node, &client, "/hello", &["--public-key", public]);
    }
}

mod a_node_takes_what_is_printed {
    use super::*;

    #[test]
    fn on_sqlite() {
        every_scheme(DatabaseKind::Sqlite);
    }

    #[test]
    fn on_postgres() {
        every_scheme(DatabaseKind::Postgres);
    }
}

fn example() -> Keys {
    Keys {
        credential: String::new(),
        partner: String::new(),
        public_id: "K-1".to_owned(),
        secret: "an example secret".to_owned(),
    }
}

#[test]
fn the_example_of_the_document_is_signed_as_it_shows() {
    let client = Client::new(&example(), "--scheme acme --config CONFIG");
    let time = ["--timestamp", "1805192428"];
    let signed = client.sign("POST", "/acme/orders?dry=1", b"{\"pages\":12}", &time);
    let document = documented_page();
    for line in signed.lines() {
        let shown = document.lines().any(|own| own.eq_ignore_ascii_case(line));
        assert!(shown, "{line}");
    }
    let json = [&time[..], &["--json"]].concat();
    let signed = client.sign("POST", "/acme/orders?dry=1", b"{\"pages\":12}", &json);
    let signed: Value = serde_json::from_str(&signed).expect("json");
    let base = signed["base_string"].as_str().expect("a text");
    assert!(
        base.starts_with("1805192428\nPOST\n/acme/orders?dry=1\n"),
        "{base}"
    );
}

fn documented_page() -> String {
    let page = crate::harness::root().join("docs/described-schemes.md");
    std::fs::read_to_string(page).expect("read")
}

#[test]
fn an_explanation_shows_each_step_and_the_first_difference() {
    let url = "https://api.example.com/a/b?x=1";
    let sigv4 = Client::new(&example(), "");
    let signing = Client::new(&example(), "--scheme aws-sigv4");
    let headers = signing.sign("GET", url, b"", &["--timestamp", "20270316T102028Z"]);
    let other = "GET\\n/a/b\\nx=2\\nhost:api.example.com\\n";
    let told = sigv4.explain(&headers, ("GET", url, b""), &["--base-string", other]);
    let told = text(&told);
    for line in [
        "header     key id K-1; the key is derived from the secret, 20270316, local and wayleave",
        "headers    signed are host;x-amz-content-sha256;x-amz-date",
        "clock      the time of signing is",
        "signature  is right",
        "string     differs first at byte 11, line 3:",
        "The canonical request:\nGET\n/a/b\nx=1\nhost:api.example.com\n",
        "The string to sign:\nAWS4-HMAC-SHA256\n20270316T102028Z\n",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let json = sigv4.explain(&headers, ("GET", url, b""), &["--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("json");
    assert_eq!(json["good"], false);
    assert_eq!(json["steps"][0]["step"], "header");
    assert_eq!(json["texts"][1]["title"], "The string to sign");
    // What cannot be read says what the server answers.
    let twice = sigv4.explain(
        &headers,
        ("GET", "https://api.example.com/a?x=1&x=2", b""),
        &[],
    );
    assert!(
        text(&twice).contains("answers 400: a parameter"),
        "{}",
        text(&twice)
    );
    let described = Client::new(&example(), "--scheme acme --config CONFIG");
    let none = described.explain("", ("GET", "/acme", b""), &[]);
    assert!(
        text(&none).contains("answers 401: no proof"),
        "{}",
        text(&none)
    );
}

/// What a command says that has to fail.
fn refused(arguments: &[&str], secret: Option<&str>) -> String {
    let mut command = binary();
    command.args(arguments).env_remove("WAYLEAVE_SECRET");
    if let Some(secret) = secret {
        command.env("WAYLEAVE_SECRET", secret);
    }
    let output = command.output().expect("the binary");
    assert!(!output.status.success(), "{}", text(&output));
    text(&output)
}

fn private(folder: &TestFolder, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    wayleave::key_file::write_private(&path, content).expect("written");
    path_text(&path)
}

fn path_text(path: &Path) -> String {
    path.to_str().expect("text").to_owned()
}

#[test]
fn what_cannot_be_signed_says_what_to_do() {
    let folder = TestFolder::new();
    let schemes = folder.path().join("schemes.toml");
    std::fs::write(&schemes, documented()).expect("written");
    let schemes = path_text(&schemes);
    let url = "http://127.0.0.1:1/acme";
    let sign = |more: &[&str]| {
        let words = [&["sign", "--access-key", "K-1"][..], more].concat();
        refused(&words, Some("s"))
    };
    assert!(sign(&["--scheme", "acme", "GET", url]).contains("--config"));
    let said = sign(&["--scheme", "acne", "--config", &schemes, "GET", url]);
    assert!(
        said.contains("described are: acme, store, exchange"),
        "{said}"
    );
    let said = sign(&["--scheme", "store", "--config", &schemes, "GET", "/store"]);
    assert!(said.contains("give the whole address"), "{said}");
    let said = sign(&["--scheme", "aws-sigv4", "GET", "http://127.0.0.1:1/a//b"]);
    assert!(said.contains("double slash"), "{said}");
    let said = sign(&["--scheme", "aws-sigv4", "--timestamp", "now", "GET", url]);
    assert!(said.contains("is not a time such as"), "{said}");
    let said = sign(&["--scheme", "http-signature", "--timestamp", "1", "GET", url]);
    assert!(
        said.contains("--timestamp is not for http-signature"),
        "{said}"
    );
    let old = "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n";
    let old = private(&folder, "old.pem", old);
    let said = sign(&["--private-key", &old, "GET", url]);
    assert!(said.contains("openssl pkcs8"), "{said}");
    let own = private(&folder, "own.pem", ED25519_PRIVATE);
    let said = sign(&["--scheme", "aws-sigv4", "--private-key", &own, "GET", url]);
    assert!(
        said.contains("--private-key is for http-signature"),
        "{said}"
    );
    let said = refused(&["explain", "GET", url], None);
    assert!(said.contains("--header"), "{said}");
}

#[test]
fn a_private_key_that_others_can_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TestFolder::new();
    let own = private(&folder, "own.pem", ED25519_PRIVATE);
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&own, open).expect("opened");
    let url = "http://127.0.0.1:1/hello";
    let words = [
        "sign",
        "--access-key",
        "K-1",
        "--private-key",
        &own,
        "GET",
        url,
    ];
    assert!(refused(&words, None).contains("chmod 600"));
}
