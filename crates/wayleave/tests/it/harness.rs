//! A node in the test's own process, with a clock that the test holds; and the real binary.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wayleave::config::default_master_key;
use wayleave::metrics::Counters;
use wayleave::node::{
    AddressSettings, EnvironmentSettings, Node, NodeError, NodeSettings, Running,
};
use wayleave::ports::SystemRandomness;
use wayleave::server::{Bound, Gate, Listener, Server, ServerLimits, ServerSettings, Service};
use wayleave_core::{
    Admission, Audience, AudienceSet, Environment, OperatorScope, PropertyId, Scheme, SchemeSet,
};
use wayleave_engine::{
    Algorithm, Database, Engine, Operator, OperatorTokenHash, Operators, StoreError, StoreRuntime,
};
use wayleave_proxy::ApiBehind;
use wayleave_testkit::{
    Address, Answer, DatabaseKind, FrozenClock, MessageSigner, Signer, TestDatabases, TestFolder,
};
use wayleave_web::{
    Authorities, BodyLimits, ContentSurface, Mount, Route, SurfaceSettings, TrustedProxies,
};

/// Tue, 16 Mar 2027 10:20:30 GMT: the clock of the signing vectors.
pub(crate) const NOW_S: i64 = 1_805_192_430;
pub(crate) const OPERATOR: &str = "operator-token-of-the-tests-0123456789";
/// The tokens of two more operators, of the other scopes.
pub(crate) const SUPPORT: &str = "wl_opr_all_support00000000000000000000000000000000";
pub(crate) const PROPERTY_ADMINISTRATOR: &str =
    "wl_opr_all_property0000000000000000000000000000000";

/// Runs each test on both databases.
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* fn $name:ident($node:ident: TestNode) $body:block)*) => {
        $(
            mod $name {
                use super::*;

                fn check($node: TestNode) $body

                $(#[$attribute])*
                #[test]
                fn on_sqlite() {
                    check(TestNode::start(wayleave_testkit::DatabaseKind::Sqlite));
                }

                $(#[$attribute])*
                #[test]
                fn on_postgres() {
                    if wayleave_testkit::DatabaseKind::Postgres.is_available() {
                        check(TestNode::start(wayleave_testkit::DatabaseKind::Postgres));
                    }
                }
            }
        )*
    };
}
pub(crate) use on_both_databases;

/// A node with both environments, a sample API behind, and an operator.
pub(crate) struct TestNode {
    pub(crate) clock: Arc<FrozenClock>,
    pub(crate) live: Address,
    pub(crate) test: Address,
    pub(crate) admin: Address,
    pub(crate) monitor: Address,
    pub(crate) live_url: String,
    pub(crate) test_url: String,
    running: Option<Running>,
    pub(crate) databases: TestDatabases,
    pub(crate) folder: TestFolder,
    settings: NodeSettings,
    properties: Vec<PropertyId>,
    store_runtime: StoreRuntime,
}

/// A partner's keys, as the admin address gave them.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) credential: String,
    pub(crate) partner: String,
    pub(crate) public_id: String,
    pub(crate) secret: String,
}

impl Keys {
    pub(crate) fn signer(&self) -> Signer {
        Signer::new(&self.public_id, &self.secret)
    }

    /// Signs messages (RFC 9421) at the moment of the tests' clock.
    pub(crate) fn message_signer(&self) -> MessageSigner {
        MessageSigner::new(&self.public_id, &self.secret, NOW_S)
    }
}

impl TestNode {
    pub(crate) fn start(kind: DatabaseKind) -> Self {
        TestNode::start_with(kind, |_| {})
    }

    /// Starts one with other settings than usual.
    pub(crate) fn start_with(kind: DatabaseKind, change: impl FnOnce(&mut NodeSettings)) -> Self {
        TestNode::start_at(kind, NOW_S, change)
    }

    /// Starts one at the present moment, for tests in which the real binary meets its data.
    pub(crate) fn start_now(kind: DatabaseKind) -> Self {
        TestNode::start_now_with(kind, |_| {})
    }

    /// The same with other settings than usual, for tests in which real clients sign.
    pub(crate) fn start_now_with(
        kind: DatabaseKind,
        change: impl FnOnce(&mut NodeSettings),
    ) -> Self {
        let now = wayleave_engine::Clock::now(&wayleave::ports::SystemClock);
        TestNode::start_at(kind, now.unix_s(), change)
    }

    fn start_at(kind: DatabaseKind, now_s: i64, change: impl FnOnce(&mut NodeSettings)) -> Self {
        let folder = TestFolder::new();
        let databases = TestDatabases::new(kind, &folder);
        let clock = Arc::new(FrozenClock::at(now_s));
        let mut settings = usual_settings(&folder, &databases);
        change(&mut settings);
        let mut node = TestNode {
            clock,
            live: Address::of("http://127.0.0.1:1"),
            test: Address::of("http://127.0.0.1:1"),
            admin: Address::of("http://127.0.0.1:1"),
            monitor: Address::of("http://127.0.0.1:1"),
            live_url: String::new(),
            test_url: String::new(),
            running: None,
            databases,
            folder,
            settings,
            properties: Vec::new(),
            store_runtime: StoreRuntime::start().expect("a runtime"),
        };
        node.run();
        node
    }

    /// Starts the node again after [`TestNode::halt`].
    pub(crate) fn run(&mut self) {
        let bound = Bound::new(free_address(), true, 1).expect("an address");
        let upstream: ApiBehind = format!("http://{}", bound.address)
            .parse()
            .expect("an upstream");
        let mut settings = self.settings.clone();
        for environment in &mut settings.environments {
            let surfaces = &mut environment.surfaces;
            // Port 2 stands for the sample API; other upstreams are a test's own.
            let routes = surfaces.routes.iter_mut().map(|route| &mut route.upstream);
            let content = surfaces
                .content
                .iter_mut()
                .filter_map(|content| content.upstream.as_mut());
            for place in routes
                .chain(content)
                .filter(|place| place.authority().ends_with(":2"))
            {
                *place = upstream.clone();
            }
        }
        let node = self.open(&settings);
        self.live_url = node.url(Environment::Live).to_owned();
        self.test_url = node.url(Environment::Test).to_owned();
        self.live = Address::at(node.address(Environment::Live));
        self.test = Address::at(node.address(Environment::Test));
        // Raw calls are plain; a test of TLS takes only the port from here.
        self.admin = Address::of(&node.admin_url().replacen("https://", "http://", 1));
        self.monitor = Address::of(&node.monitor_url().unwrap_or_default());
        let sample = Listener {
            bound,
            tls: None,
            service: Service::SampleApi,
        };
        let started = node.start(operators(&self.properties), vec![sample]);
        self.running = Some(started.unwrap_or_else(|error| panic!("{error}")));
    }

    /// Opens a node. One that has just been ended within this process may hold its files for a
    /// moment longer, until its background work has let go of them.
    fn open(&self, settings: &NodeSettings) -> Node {
        for _ in 0..200 {
            let opened = Node::open(
                settings.clone(),
                &self.store_runtime,
                self.clock.clone(),
                Arc::new(SystemRandomness),
            );
            match opened {
                Ok(node) => return node,
                Err(NodeError::Store {
                    error: StoreError::InUse { .. },
                    ..
                }) => std::thread::sleep(std::time::Duration::from_millis(50)),
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the files are still in use after ten seconds");
    }

    /// Takes over other settings while it serves. Routes to the sample API lead nowhere then.
    pub(crate) fn reload(&mut self, change: impl FnOnce(&mut NodeSettings)) {
        change(&mut self.settings);
        let running = self.running.as_mut().expect("a running node");
        let reloaded = running.reload(self.settings.clone(), operators(&self.properties));
        reloaded.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends the node and starts it again on the same data.
    pub(crate) fn restart(&mut self) {
        self.halt();
        self.run();
    }

    /// Starts a node that was halted.
    pub(crate) fn start_again(&mut self) {
        self.run();
    }

    /// Gives the property administrator properties, from the next start on.
    pub(crate) fn give(&mut self, properties: &[&str]) {
        let ids = properties.iter().map(|id| id.parse().expect("an id"));
        self.properties = ids.collect();
    }

    /// Keeps this public URL, which is the issuer of tokens, at whatever address it is bound.
    pub(crate) fn say_url(&mut self, environment: Environment, url: &str) {
        let place = usize::from(environment == Environment::Test);
        self.settings.environments[place].public_url = Some(url.to_owned());
    }

    /// Ends the node and lets go of its data.
    pub(crate) fn halt(&mut self) {
        self.running.take().expect("a running node").stop();
        self.store_runtime = StoreRuntime::start().expect("a runtime");
    }

    pub(crate) fn settings(&self) -> &NodeSettings {
        &self.settings
    }

    /// Takes no plans at the next start.
    pub(crate) fn forget_plans(&mut self) {
        self.settings.plans.clear();
    }

    /// Takes another database at the next start.
    pub(crate) fn move_to(&mut self, environment: Environment, database: &Database) {
        let place = usize::from(environment == Environment::Test);
        self.settings.environments[place].database = database.clone();
    }

    /// A configuration file that names this node's databases and master keys.
    pub(crate) fn config_file(&self) -> PathBuf {
        let folder = self.folder.path();
        let operators = folder.join("operators.toml");
        if !operators.exists() {
            let file = operators.to_str().expect("text");
            printed(&["operator", "create", "ada", "--file", file]);
        }
        let mut text = format!("data = {folder:?}\n");
        for environment in &self.settings.environments {
            let database = match &environment.database {
                Database::Sqlite(path) => path.display().to_string(),
                Database::Postgres(url) => url.clone(),
            };
            text += &format!(
                "[{}]\naddress = \"{}\"\ndatabase = {database:?}\n",
                environment.environment,
                free_port()
            );
        }
        text += &format!(
            "[admin]\naddress = \"{}\"\noperators_file = \"operators.toml\"\n",
            free_port()
        );
        let path = folder.join("wayleave.toml");
        std::fs::write(&path, text).expect("written");
        path
    }

    /// The address of an environment.
    pub(crate) fn address(&self, environment: Environment) -> Address {
        match environment {
            Environment::Live => self.live,
            Environment::Test => self.test,
        }
    }

    /// What an environment knows.
    pub(crate) fn engine(&self, environment: Environment) -> &Engine {
        let engines = self.running.as_ref().expect("a running node").engines();
        engines
            .iter()
            .find(|engine| engine.environment() == environment)
            .expect("both are there")
    }

    /// Calls the admin address as the operator.
    pub(crate) fn operate(&self, method: &str, target: &str, body: Option<Value>) -> Answer {
        let call = self.admin.call(method, target).bearer(OPERATOR);
        match body {
            Some(body) => call.json(&body).send(),
            None => call.send(),
        }
    }

    /// A new partner's id.
    pub(crate) fn partner(&self, environment: Environment) -> String {
        let target = format!("/{environment}/v1/partners");
        id(&self
            .operate("POST", &target, Some(json!({ "name": "Harbour Signs" })))
            .expect(201))
    }

    /// A new integration's id.
    pub(crate) fn integration(&self, environment: Environment, partner: &str) -> String {
        let target = format!("/{environment}/v1/integrations");
        let body = json!({ "partner": partner, "name": "Till" });
        id(&self.operate("POST", &target, Some(body)).expect(201))
    }

    /// The database of an environment, for tests that look and write behind the addresses.
    pub(crate) fn database(&self, environment: Environment) -> RawDatabase<'_> {
        let of = |settings: &&EnvironmentSettings| settings.environment == environment;
        let settings = self
            .settings
            .environments
            .iter()
            .find(of)
            .expect("both are there");
        RawDatabase(&settings.database)
    }

    /// New keys of a new partner.
    pub(crate) fn keys(&self, environment: Environment, audience: Audience) -> Keys {
        let partner = self.partner(environment);
        self.keys_of(
            environment,
            &partner,
            json!({ "audience": audience.as_str() }),
        )
    }

    /// New keys of a partner; `more`: further members of the request.
    pub(crate) fn keys_of(&self, environment: Environment, partner: &str, mut more: Value) -> Keys {
        let integration = self.integration(environment, partner);
        more["integration"] = json!(integration);
        let target = format!("/{environment}/v1/credentials");
        let made = self.operate("POST", &target, Some(more)).expect(201).json();
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        Keys {
            credential: text("id"),
            partner: partner.to_owned(),
            public_id: text("public_id"),
            secret: text("secret"),
        }
    }

    /// New keys of a new partner that sign messages (RFC 9421), and also get tokens.
    pub(crate) fn signing_keys(&self, environment: Environment) -> Keys {
        let partner = self.partner(environment);
        let more = json!({ "audience": "routes", "schemes": "bearer http-signature" });
        self.keys_of(environment, &partner, more)
    }

    /// A token for api key and secret.
    pub(crate) fn token(&self, environment: Environment, keys: &Keys) -> String {
        let answer = self
            .address(environment)
            .get("/token")
            .basic(&keys.public_id, &keys.secret);
        answer.send().expect(200).json()["token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }

    /// A token for client id and secret.
    pub(crate) fn oauth_token(&self, environment: Environment, keys: &Keys) -> String {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", keys.public_id.as_str()),
            ("client_secret", keys.secret.as_str()),
        ];
        let answer = self
            .address(environment)
            .post("/oauth/token")
            .form(&fields)
            .send();
        answer.expect(200).json()["access_token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }
}

/// The operators of the tests. `properties`: what the property administrator was given.
pub(crate) fn operators(properties: &[PropertyId]) -> Operators {
    let operator = |name: &str, scope, token| Operator {
        name: name.to_owned(),
        scope,
        properties: match scope {
            OperatorScope::PropertyAdministrator => properties.to_vec(),
            OperatorScope::Operator | OperatorScope::Support => Vec::new(),
        },
        token_hash: OperatorTokenHash::of(token),
    };
    Operators::new(vec![
        operator("ada", OperatorScope::Operator, OPERATOR),
        operator("bo", OperatorScope::Support, SUPPORT),
        operator(
            "cy",
            OperatorScope::PropertyAdministrator,
            PROPERTY_ADMINISTRATOR,
        ),
    ])
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().expect("an id").to_owned()
}

pub(crate) fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// An address that is free at this moment, for settings that have to name a port.
pub(crate) fn free_port() -> SocketAddr {
    Bound::new(free_address(), true, 1)
        .expect("an address")
        .address
}

/// Everything on, at free ports of this machine; wrong secrets are counted.
fn usual_settings(folder: &TestFolder, databases: &TestDatabases) -> NodeSettings {
    let environment = |environment: Environment, database: &Database| EnvironmentSettings {
        environment,
        address: free(),
        mount: Mount::default(),
        public_url: None,
        database: database.clone(),
        master_key: folder.path().join(default_master_key(environment)),
        hooks_to_loopback: environment == Environment::Test,
        surfaces: usual_surfaces(),
    };
    NodeSettings {
        environments: [
            environment(Environment::Live, &databases.live),
            environment(Environment::Test, &databases.test),
        ],
        admin: free(),
        monitor: Some(free_address()),
        trusted_proxies: TrustedProxies::default(),
        algorithm: Algorithm::Es256,
        wrong_secrets_per_minute: Some(10),
        plans: Vec::new(),
        crawlers: Default::default(),
        usage_hours_kept_days: 62,
        threads: 2,
        drain_timeout: Duration::from_secs(10),
        traces: None,
        limits: ServerLimits::default(),
    }
}

fn free() -> AddressSettings {
    AddressSettings {
        address: free_address(),
        or_free_port: false,
        tls: None,
    }
}

/// A route to the sample API.
pub(crate) fn route(path: &str, audiences: &[Audience], scopes: &str) -> Route {
    Route {
        described: None,
        refuses_replays: false,
        host: None,
        path: path.to_owned(),
        admission: Admission {
            audiences: AudienceSet::of(audiences),
            schemes: SchemeSet::of(&Scheme::ALL),
            scopes: scopes.parse().expect("scopes"),
        },
        upstream: "http://127.0.0.1:2".parse().expect("an upstream"),
        body_bytes: None,
        name: None,
        limits: Vec::new(),
    }
}

fn usual_surfaces() -> SurfaceSettings {
    let mount = || Some(Mount::default());
    let everybody = [Audience::Platform, Audience::Routes, Audience::Management];
    SurfaceSettings {
        prefix: String::new(),
        trusted_proxies: TrustedProxies::default(),
        authorities: Authorities::default(),
        oauth: mount(),
        platform: mount(),
        token: mount(),
        content: Some(ContentSurface {
            mount: Mount::default(),
            upstream: "http://127.0.0.1:2".parse().ok(),
            limits: Vec::new(),
        }),
        forward_auth: mount(),
        routes: vec![
            route("/hello", &everybody, ""),
            route("/jobs", &[Audience::Routes], "jobs:read"),
            Route {
                described: None,
                upstream: "http://127.0.0.1:1".parse().expect("an upstream"),
                ..route("/nobody", &everybody, "")
            },
        ],
        body: BodyLimits::default(),
    }
}

/// The real binary as a demonstration.
pub(crate) struct DemoProcess {
    child: Child,
    pub(crate) folder: TestFolder,
    _databases: TestDatabases,
    pub(crate) file: Value,
    arguments: Vec<String>,
}

impl DemoProcess {
    /// Starts it on free ports and waits for `demo.json`.
    pub(crate) fn start(kind: DatabaseKind) -> Self {
        let folder = TestFolder::new();
        let databases = TestDatabases::new(kind, &folder);
        let mut arguments: Vec<String> = Vec::new();
        if let (Database::Postgres(live), Database::Postgres(test)) =
            (&databases.live, &databases.test)
        {
            arguments.extend([
                "--live-database".into(),
                live.clone(),
                "--test-database".into(),
                test.clone(),
            ]);
        }
        let (child, file) = start_demo(&folder, &arguments);
        DemoProcess {
            child,
            folder,
            _databases: databases,
            file,
            arguments,
        }
    }

    /// Kills it and starts it again on the same folder.
    pub(crate) fn restart(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What an earlier run left is removed at the start, whatever it is.
        std::fs::write(self.json_path(), "of an earlier run").expect("written");
        (self.child, self.file) = start_demo(&self.folder, &self.arguments);
    }

    /// Kills it: nothing is written any more.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn json_path(&self) -> PathBuf {
        self.folder.path().join("demo.json")
    }

    pub(crate) fn address(&self, environment: Environment) -> Address {
        Address::of(
            self.file[environment.as_str()]["url"]
                .as_str()
                .expect("a url"),
        )
    }

    /// How much memory it has now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        memory_of(&self.child, "VmRSS")
    }

    /// Sends it a signal such as `-TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args([name, &pid]).status();
    }

    /// Asks it to end and returns what it printed.
    pub(crate) fn end(mut self) -> String {
        self.signal("-INT");
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{status}");
        let mut printed = String::new();
        self.child
            .stdout
            .take()
            .expect("its output")
            .read_to_string(&mut printed)
            .expect("text");
        printed
    }
}

/// Memory of a process in bytes, by its name in `/proc/PID/status` of Linux: `VmRSS` now, `VmHWM` at most.
pub(crate) fn memory_of(child: &Child, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.expect("its status");
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let line = lines.find(|(known, _)| *known == name);
    let kib = line.and_then(|(_, size)| size.trim().strip_suffix(" kB"));
    kib.expect("its memory").parse::<u64>().expect("a number") * 1_024
}

fn start_demo(folder: &TestFolder, more: &[String]) -> (Child, Value) {
    let any = "127.0.0.1:0";
    let mut child = binary()
        .args([
            "demo", "--live", any, "--test", any, "--admin", any, "--data",
        ])
        .arg(folder.path())
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let path = folder.path().join("demo.json");
    for _ in 0..600 {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if let Ok(file) = serde_json::from_str(&text) {
            return (child, file);
        }
        assert!(
            child.try_wait().expect("its state").is_none(),
            "the demonstration ended early"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("no demo.json after half a minute");
}

impl Drop for DemoProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test.
pub(crate) fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_wayleave"))
}

/// What the binary says with these arguments.
pub(crate) fn ran(arguments: &[&str]) -> Output {
    binary().args(arguments).output().expect("the binary")
}

/// What it printed, when all went well.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = ran(arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

/// What it complained of.
pub(crate) fn refused(arguments: &[&str]) -> String {
    let output = ran(arguments);
    assert!(!output.status.success(), "{arguments:?} was not refused");
    String::from_utf8(output.stderr).expect("text")
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Waits for a future of the engine, which runs on the store's own runtime.
pub(crate) fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let waiting = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    waiting.expect("a runtime").block_on(future)
}

/// A database as its files and servers are, without Wayleave in between.
pub(crate) struct RawDatabase<'a>(&'a Database);

impl RawDatabase<'_> {
    /// Runs a statement by the engine's own program or library.
    pub(crate) fn run(&self, sql: &str) -> String {
        match self.0 {
            Database::Sqlite(path) => {
                let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],timeout=20)\nr=c.execute(sys.argv[2]).fetchall()\nc.commit()\nprint(*['|'.join(map(str,x)) for x in r],sep='\\n')";
                run_program(
                    std::process::Command::new("python3")
                        .args(["-c", script])
                        .arg(path)
                        .arg(sql),
                )
            }
            Database::Postgres(url) => run_program(std::process::Command::new("psql").args([
                "-X",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                url,
                "-c",
                sql,
            ])),
        }
    }
}

fn run_program(program: &mut std::process::Command) -> String {
    let output = program.output().expect("a program");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The sample API on an address of its own, for the real binary to protect.
pub(crate) struct SampleApi {
    pub(crate) address: SocketAddr,
    _server: Server,
}

pub(crate) fn sample_api() -> SampleApi {
    let bound = Bound::new(free_address(), true, 1).expect("an address");
    let address = bound.address;
    let listener = Listener {
        bound,
        tls: None,
        service: Service::SampleApi,
    };
    let server = Server::start(vec![listener], &small_server()).expect("a server");
    SampleApi {
        address,
        _server: server,
    }
}

/// How a server runs that stands behind, on one thread.
pub(crate) fn small_server() -> ServerSettings {
    ServerSettings {
        run: 0,
        counters: Counters::new(1),
        drain_timeout: std::time::Duration::from_secs(1),
        tracing: None,
        gate: Gate::new(&ServerLimits::default(), TrustedProxies::default()),
        limits: ServerLimits::default(),
    }
}
