//! Row A6: secrets that are known to the test are looked for in every line of the log at its most
//! talkative, in every error and in every file.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wayleave_core::{Audience, Environment};
use wayleave_engine::Database;
use wayleave_testkit::{
    Address, Answer, Call, DatabaseKind, RawSql, Signer, TestDatabases, TestFolder,
};

use super::client_calls;
use crate::harness::binary;

/// The demonstration with its log in a file.
struct Talkative {
    child: Child,
    folder: TestFolder,
    log: TestFolder,
    databases: TestDatabases,
    file: Value,
}

impl Talkative {
    fn start(kind: DatabaseKind) -> Self {
        let (folder, log) = (TestFolder::new(), TestFolder::new());
        let databases = TestDatabases::new(kind, &folder);
        let output = |name: &str| Stdio::from(File::create(log.path().join(name)).expect("a file"));
        let mut command = binary();
        command
            .args(["--verbose", "demo", "--data"])
            .arg(folder.path());
        command.args([
            "--live",
            "127.0.0.1:0",
            "--test",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ]);
        if let (Database::Postgres(live), Database::Postgres(test)) =
            (&databases.live, &databases.test)
        {
            command.args(["--live-database", live, "--test-database", test]);
        }
        command
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full");
        command.stdout(output("stdout")).stderr(output("stderr"));
        let child = command.spawn().expect("the binary");
        let path = folder.path().join("demo.json");
        let file = (0..600).find_map(|_| {
            std::thread::sleep(Duration::from_millis(50));
            serde_json::from_str(&std::fs::read_to_string(&path).ok()?).ok()
        });
        Talkative {
            child,
            folder,
            log,
            databases,
            file: file.expect("demo.json within half a minute"),
        }
    }

    fn text(&self, pointer: &str) -> &str {
        self.file
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no {pointer}"))
    }

    fn end(&mut self) {
        let _ = std::process::Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(self.child.wait().expect("its end").success());
    }
}

impl Drop for Talkative {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is known, in every spelling in which it could come out.
#[derive(Default)]
struct Canaries {
    texts: Vec<(String, String)>,
    errors: Vec<(String, Answer)>,
}

impl Canaries {
    fn add(&mut self, what: &str, secret: &str) {
        let bytes = secret.as_bytes();
        let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let escaped: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
        for text in [
            secret.to_owned(),
            STANDARD.encode(secret),
            hexadecimal,
            escaped,
        ] {
            self.push(what, &text);
        }
    }

    fn add_pair(&mut self, what: &str, id: &str, secret: &str) {
        self.add(what, secret);
        let pair = STANDARD.encode(format!("{id}:{secret}"));
        self.push(&format!("{what} as Basic"), &pair);
    }

    fn add_token(&mut self, token: &str) {
        self.add("a token", token);
        let signature = token.rsplit('.').next().expect("a signature");
        self.push("a token's signature", signature);
    }

    fn push(&mut self, what: &str, text: &str) {
        let known = (what.to_owned(), text.trim_end_matches('=').to_owned());
        if !self.texts.contains(&known) {
            self.texts.push(known);
        }
    }

    /// Sends it and keeps the answer where it is an error.
    fn send(&mut self, what: &str, call: Call) -> Answer {
        let answer = call.send();
        if answer.status >= 400 {
            self.errors.push((what.to_owned(), answer.clone()));
        }
        answer
    }

    fn must_be_absent(&self, place: &str, content: &[u8]) {
        let content = String::from_utf8_lossy(content);
        for (what, text) in &self.texts {
            assert!(!content.contains(text.as_str()), "{what} is in {place}");
        }
    }
}

/// One environment's addresses.
struct Called<'c> {
    canaries: &'c mut Canaries,
    environment: Environment,
    address: Address,
    admin: Address,
    operator: String,
}

impl Called<'_> {
    fn operate(&mut self, path: &str, body: &Value) -> Value {
        let target = format!("/{}/v1/{path}", self.environment);
        let call = self.admin.post(&target).bearer(&self.operator).json(body);
        let answer = self.canaries.send(path, call);
        assert!(answer.status < 300, "{path}: {}", answer.text());
        answer.json()
    }

    /// Everything that a secret can be used for, rightly.
    fn good_calls(&mut self) {
        let partner = self.operate("partners", &json!({ "name": "Harbour Signs" }));
        for audience in Audience::ALL {
            let integration = json!({ "partner": partner["id"], "name": "Till" });
            let integration = self.operate("integrations", &integration);
            let own = format!(
                "canary-imported-{}-{audience:?}-0123456789",
                self.environment
            );
            let public_id = match audience {
                Audience::Management => "7D21B0AA-55C3-4E19-BB02-6F3E9C8D1A47".to_owned(),
                Audience::Access => "7D21B0AA-55C3-4E19-BB02-6F3E9C8D1A48".to_owned(),
                _ => format!("imported {audience:?}"),
            };
            let more = json!({
                "integration": integration["id"], "audience": audience.as_str(), "public_id": public_id, "secret": own,
            });
            let import = json!({ "credentials": [more] });
            self.canaries
                .add_pair("an imported secret", &public_id, &own);
            self.operate("credentials/import", &import);
            let new = json!({ "integration": integration["id"], "audience": audience.as_str() });
            let made = self.operate("credentials", &new);
            let id = made["id"].as_str().expect("an id").to_owned();
            let rolled = self.operate(&format!("credentials/{id}/roll"), &json!({}));
            let given = format!("canary-given-{}-{audience:?}-0123456789", self.environment);
            self.canaries.add("a given secret", &given);
            self.operate(
                &format!("credentials/{id}/roll"),
                &json!({ "secret": given }),
            );
            for shown in [&made, &rolled] {
                self.use_pair(
                    shown["public_id"].as_str().expect("an id"),
                    shown["secret"].as_str().expect("a secret"),
                );
            }
            let fresh = self.operate(&format!("credentials/{id}/refresh"), &json!({}));
            self.use_pair(
                fresh["public_id"].as_str().expect("an id"),
                fresh["secret"].as_str().expect("a secret"),
            );
            // Dead now: used once more, they are refused.
            self.use_pair(
                made["public_id"].as_str().expect("an id"),
                made["secret"].as_str().expect("a secret"),
            );
        }
    }

    fn use_pair(&mut self, id: &str, secret: &str) {
        self.canaries.add_pair("a secret", id, secret);
        for (name, call) in client_calls(self.address, id, secret) {
            let answer = self.canaries.send(name, call);
            if answer.status == 200 && (name.ends_with("token")) {
                let body = answer.json();
                let token = body
                    .get("token")
                    .or(body.get("access_token"))
                    .and_then(Value::as_str);
                if let Some(token) = token {
                    self.canaries.add_token(token);
                    self.use_token(id, secret, token);
                }
            }
        }
        let signer = Signer::new(id, secret);
        for target in ["/hello", "/hello?a=1", &format!("/api/Property/{id}")] {
            let clock = wayleave_engine::Clock::now(&wayleave::ports::SystemClock).unix_s();
            for (at_s, sent) in [
                (clock, target),
                (clock - 900, target),
                (clock, "/elsewhere"),
            ] {
                let proof = signer.headers("GET", target, at_s);
                self.canaries.add(
                    "a signature",
                    proof[1].1.rsplit(':').next().expect("a signature"),
                );
                let call = proof
                    .iter()
                    .fold(self.address.get(sent), |call, (name, value)| {
                        call.header(name, value)
                    });
                self.canaries.send(sent, call);
            }
        }
    }

    fn use_token(&mut self, id: &str, secret: &str, token: &str) {
        let address = self.address;
        let check = address
            .get("/auth/check")
            .header("X-Forwarded-Method", "GET");
        let operators = format!("/{}/v1/tokens", self.environment);
        let own = json!({ "token": token });
        for call in [
            address.get("/hello").bearer(token),
            address.get("/hello").header("Authorization", token),
            address.get("/jobs").bearer(token),
            address.get("/api/Property/x").bearer(token),
            check.header("X-Forwarded-Uri", "/hello").bearer(token),
            address
                .post("/oauth/introspect")
                .basic(id, secret)
                .form(&[("token", token)]),
            self.admin
                .post(&format!("{operators}/introspect"))
                .bearer(&self.operator)
                .json(&own),
            self.admin
                .post(&format!("{operators}/revoke"))
                .bearer(&self.operator)
                .json(&own),
            address
                .post("/oauth/revoke")
                .basic(id, secret)
                .form(&[("token", token)]),
            address.get("/hello").bearer(token),
            address.get(&format!("/hello?access_token={token}")),
            self.admin.get("/live/v1/keys").bearer(token),
        ] {
            self.canaries.send("with a token", call);
        }
    }

    /// A secret where it does not belong.
    fn bad_calls(&mut self, id: &str, secret: &str, token: &str) {
        let (address, admin) = (self.address, self.admin);
        let operator = self.operator.clone();
        let own = self.environment;
        let mut calls = Vec::new();
        for value in [secret, token] {
            let broken = [
                format!("{{\"api_key\":\"{id}\",\"api_secret\":\"{value}\""),
                format!(
                    "{{\"api_key\":\"{id}\",\"api_secret\":\"{value}\",\"api_secret\":\"{value}\"}}"
                ),
                format!("{{\"{value}\":1,\"{value}\":2}}"),
                format!("{{\"api_key\":[\"{value}\"]}}"),
                format!(
                    "{{\"grant_type\":\"{value}\",\"client_id\":\"{id}\",\"client_secret\":\"{value}\"}}"
                ),
                format!("[\"{value}\"]"),
                value.to_owned(),
                format!("\"{value}"),
                format!("{{\"name\":\"x\",\"{value}\":\"y\"}}"),
                format!("<a>{value}</a>"),
                format!(
                    "client_secret={value}&client_secret={value}&grant_type=client_credentials"
                ),
                format!("{value}={value}&{value}=1"),
                format!("grant_type={value}&client_id={id}&client_secret={value}"),
                format!("client_secret={value}%ZZ&grant_type=client_credentials"),
                format!(
                    "scope={value}%00&grant_type=client_credentials&client_id={id}&client_secret={value}"
                ),
                format!(
                    "scope=\"{value}&grant_type=client_credentials&client_id={id}&client_secret={value}"
                ),
            ];
            for body in &broken {
                for media_type in [
                    "application/json",
                    "application/x-www-form-urlencoded",
                    "application/xml",
                ] {
                    for path in [
                        "/token",
                        "/oauth/token",
                        "/authorize/access_token",
                        "/oauth/introspect",
                        "/oauth/revoke",
                    ] {
                        calls.push(address.post(path).body(media_type, body));
                    }
                    let target = format!("/{own}/v1/credentials");
                    calls.push(admin.post(&target).bearer(&operator).body(media_type, body));
                    calls.push(admin.post("/x").bearer(value).body(media_type, body));
                }
            }
            for target in [
                format!("/token?api_secret={value}"),
                format!("/token?{value}=1&{value}=2"),
                format!("/token?a={value}&a={value}"),
                format!("/token/{value}"),
                format!("/oauth/{value}"),
                format!("/{value}"),
                format!("/hello/{value}"),
                format!("/hello/../{value}"),
                format!("/api/Property/{value}?x={value}"),
                format!("/api/user/{value}"),
            ] {
                calls.push(address.get(&target));
                calls.push(
                    address
                        .get(&target)
                        .header("Authorization", &format!("Basic {value}")),
                );
                calls.push(
                    address
                        .get(&target)
                        .header("Authorization", &format!("Digest {value}")),
                );
                calls.push(address.get(&target).bearer(value));
                calls.push(address.get(&target).bearer(&format!("{value} {value}")));
                if own == Environment::Live {
                    // Test shows a caller the string that it was to sign, with its own path in it.
                    calls.push(address.get(&target).header("Authentication", value));
                    let stale = address
                        .get(&target)
                        .header("Authentication", &format!("{id}:{value}"));
                    calls.push(stale.header("Timestamp", value));
                }
                calls.push(address.get(&target).basic(value, value));
                calls.push(
                    address
                        .get("/auth/check")
                        .header("X-Forwarded-Method", "GET")
                        .header("X-Forwarded-Uri", &target),
                );
                calls.push(
                    address
                        .get("/auth/check")
                        .header("X-Forwarded-Method", value)
                        .header("X-Forwarded-Uri", value),
                );
            }
            for target in [
                format!("credentials/{value}"),
                format!("credentials?{value}=1"),
                format!("credentials?limit={value}"),
                format!("credentials?state={value}"),
                format!("partners?after={value}"),
                value.to_owned(),
            ] {
                calls.push(admin.get(&format!("/{own}/v1/{target}")).bearer(&operator));
            }
            for body in [
                json!({ "integration": value, "audience": value }),
                json!({ "integration": "int_00000000000000000000000000", "audience": "routes", "secret": value }),
                json!({ "integration": "int_00000000000000000000000000", "audience": "routes", "secret": [value] }),
                json!({ "integration": "int_00000000000000000000000000", "audience": "routes", "schemes": value }),
                json!({ "integration": "int_00000000000000000000000000", "audience": "routes", "public_id": "a:b", "secret": format!("{value}\u{1}") }),
                json!({ "credentials": [{ value: value }] }),
            ] {
                for path in ["credentials", "credentials/import"] {
                    calls.push(
                        admin
                            .post(&format!("/{own}/v1/{path}"))
                            .bearer(&operator)
                            .json(&body),
                    );
                }
            }
        }
        for call in calls {
            let what = format!("{call:?}");
            self.canaries.send(&what, call);
        }
        for raw in [
            format!("GET /{secret} HTTP/1.1\r\n{secret}\r\n\r\n"),
            format!("GET / HTTP/9.9 {secret}\r\n\r\n"),
            format!("{secret}\r\n\r\n"),
            format!("POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: {secret}\r\n\r\n"),
        ] {
            for place in [address, admin] {
                let answer = place.send_raw(raw.as_bytes());
                self.canaries.errors.push((raw.clone(), answer));
            }
        }
    }
}

/// Whether that is what the file is for: master keys, and what the demonstration hands out.
fn holds_secrets(name: &str) -> bool {
    let is_master_key = |environment| {
        let file = wayleave::config::default_master_key(environment);
        file.file_name().is_some_and(|file| file == name)
    };
    name == "demo.json" || Environment::ALL.into_iter().any(is_master_key)
}

/// Every file below a folder but those that hold secrets by their purpose.
fn check_files(canaries: &Canaries, folder: &Path) -> usize {
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            checked += check_files(canaries, &path);
        } else if !holds_secrets(&name) {
            canaries.must_be_absent(&name, &std::fs::read(&path).expect("a file"));
            checked += 1;
        }
    }
    checked
}

fn check_database(canaries: &Canaries, database: &Database) {
    let mut sql = RawSql::open(database);
    for table in sql.tables() {
        for row in sql.rows(&format!("SELECT * FROM {table}")) {
            let line: Vec<u8> = row
                .into_iter()
                .flatten()
                .flat_map(|value| [value, vec![b'\n']].concat())
                .collect();
            canaries.must_be_absent(&table, &line);
        }
    }
}

fn check(kind: DatabaseKind) {
    let mut demo = Talkative::start(kind);
    let mut canaries = Canaries::default();
    let operator = demo.text("/admin/token").to_owned();
    canaries.add("the operator token", &operator);
    for environment in Environment::ALL {
        let at = |pointer: &str| demo.text(&format!("/{environment}{pointer}")).to_owned();
        let address = Address::of(&at("/url"));
        let key_file = wayleave::config::default_master_key(environment);
        let master =
            std::fs::read_to_string(demo.folder.path().join(key_file)).expect("a master key");
        let own_canaries = [
            (
                "an oauth secret",
                at("/oauth/client_id"),
                at("/oauth/client_secret"),
            ),
            (
                "an api secret",
                at("/token/api_key"),
                at("/token/api_secret"),
            ),
            (
                "a signing secret",
                at("/management/access_key"),
                at("/management/secret_key"),
            ),
            (
                "a signing secret",
                at("/access/access_key"),
                at("/access/secret_key"),
            ),
        ];
        for line in master
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
        {
            canaries.add("a master key", line);
        }
        let mut called = Called {
            canaries: &mut canaries,
            environment,
            address,
            admin: Address::of(demo.text("/admin/url")),
            operator: operator.clone(),
        };
        for (_, id, secret) in &own_canaries {
            called.use_pair(id, secret);
        }
        called.good_calls();
        let issued = called
            .address
            .get("/token")
            .basic(&own_canaries[1].1, &own_canaries[1].2);
        let issued = issued.send();
        let token = match issued.status {
            200 => issued.json()["token"].as_str().expect("a token").to_owned(),
            _ => "eyJraWQiOiJjYW5hcnktdG9rZW4ifQ.canary-payload.canary-signature".to_owned(),
        };
        called.canaries.add_token(&token);
        called.bad_calls(&own_canaries[1].1, &own_canaries[1].2, &token);
    }
    demo.end();
    assert!(canaries.texts.len() > 400, "{}", canaries.texts.len());
    assert!(canaries.errors.len() > 1_000, "{}", canaries.errors.len());
    for (what, answer) in &canaries.errors {
        let head = format!("{:?}", answer.headers);
        let shown = [head.as_bytes(), &answer.body].concat();
        canaries.must_be_absent(&format!("the answer to {what}: {}", answer.text()), &shown);
    }
    let log = std::fs::read(demo.log.path().join("stderr")).expect("the log");
    assert!(!log.is_empty(), "the log says something");
    let handed_out = std::fs::read_to_string(demo.folder.path().join("demo.json"));
    let handed_out = handed_out.expect("the file");
    assert!(
        canaries
            .texts
            .iter()
            .any(|(_, text)| handed_out.contains(text)),
        "the search finds"
    );
    canaries.must_be_absent("the log", &log);
    assert!(check_files(&canaries, demo.folder.path()) > 0);
    check_database(&canaries, &demo.databases.live);
    check_database(&canaries, &demo.databases.test);
}

#[test]
fn known_secrets_are_in_no_log_error_or_file_on_sqlite() {
    check(DatabaseKind::Sqlite);
}

#[test]
fn known_secrets_are_in_no_log_error_or_file_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        check(DatabaseKind::Postgres);
    }
}
