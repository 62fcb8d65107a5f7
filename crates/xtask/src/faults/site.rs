//! The server under test and its data: started, killed, started again.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::api::{Addresses, ENVIRONMENTS};
use super::ledger::text;
use super::options::Engine;
use super::probe;
use crate::bench::scratch::{Scratch, Server};
use crate::command::{cargo, command, quiet};
use crate::postgres::{self, Cluster};

/// Below the ports that Linux gives to callers: while the server is down, nobody takes its own.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// One server's place: its program, its addresses and its data.
pub(super) struct Site<'a> {
    pub(super) scratch: &'a Scratch,
    pub(super) cluster: Option<Cluster>,
    pub(super) addresses: Addresses,
    program: PathBuf,
    data: PathBuf,
    databases: Vec<String>,
    word: &'static str,
    starts: usize,
}

impl<'a> Site<'a> {
    /// Makes an empty place; on PostgreSQL with a server and two databases of its own.
    pub(super) fn new(
        scratch: &'a Scratch,
        program: &Path,
        engine: Engine,
    ) -> Result<Site<'a>, String> {
        let cluster = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Cluster::start(&postgres::programs()?)?),
        };
        let make = |cluster: &Cluster| {
            let made = ENVIRONMENTS.map(|name| cluster.create_database(name));
            made.into_iter().collect::<Result<Vec<_>, _>>()
        };
        let databases = cluster.as_ref().map_or(Ok(Vec::new()), make)?;
        let ports = free_ports(engine)?;
        let address = |place: usize| format!("127.0.0.1:{}", ports[place]);
        Ok(Site {
            scratch,
            cluster,
            addresses: Addresses {
                environments: [address(0), address(1)],
                admin: address(2),
                operator: String::new(),
                clients: Default::default(),
            },
            program: program.to_owned(),
            data: scratch.path(engine.word()),
            databases,
            word: engine.word(),
            starts: 0,
        })
    }

    /// Starts the server on its data; gives the time until it answered at every address.
    pub(super) fn start(&mut self) -> Result<(Server<'a>, Duration), String> {
        self.starts += 1;
        let begun = Instant::now();
        let name = format!("{}-{}", self.word, self.starts);
        let mut server = self.scratch.start(&name, self.command())?;
        if self.addresses.operator.is_empty() {
            let file = self.data.join("demo.json");
            let text = server.wait_for(PATIENCE, || fs::read_to_string(&file).ok())?;
            self.learn(&text)?;
        }
        server.wait_for(PATIENCE, || probe::is_ready(&self.addresses).then_some(()))?;
        Ok((server, begun.elapsed()))
    }

    fn command(&self) -> std::process::Command {
        let mut program = command(&self.program);
        program.arg("demo").arg("--data").arg(&self.data);
        let [live, test] = &self.addresses.environments;
        program.args(["--live", live, "--test", test]);
        program.args(["--admin", &self.addresses.admin]);
        if let [live, test] = &self.databases[..] {
            program.args(["--live-database", live, "--test-database", test]);
        }
        program
    }

    /// Lets `wayleave audit verify` recompute the keyed hashes of an environment's trail while the
    /// server is down; what it complains of.
    pub(super) fn verify_audit(&self, environment: usize) -> Result<(), String> {
        let config = self.scratch.path(&format!("{}.toml", self.word));
        let data = self.data.display();
        let section = |place: usize| {
            let database = self.databases.get(place);
            let database = database.map(|url| format!("database = {url:?}\n"));
            let (name, address) = (ENVIRONMENTS[place], &self.addresses.environments[place]);
            let database = database.unwrap_or_default();
            format!("[{name}]\naddress = {address:?}\n{database}")
        };
        let (live, test, admin) = (section(0), section(1), &self.addresses.admin);
        let text = format!(
            "data = \"{data}\"\n{live}{test}[admin]\naddress = {admin:?}\n\
             operators_file = \"operators.toml\"\n"
        );
        fs::write(&config, text).map_err(|error| error.to_string())?;
        let mut verify = command(&self.program);
        verify.args(["audit", "verify", "--env", ENVIRONMENTS[environment]]);
        quiet(verify.arg("--config").arg(&config))
    }

    /// The keys of the demonstration stay the same from start to start.
    fn learn(&mut self, demo: &str) -> Result<(), String> {
        let demo: Value =
            serde_json::from_str(demo).map_err(|error| format!("demo.json: {error}"))?;
        text(&demo["admin"], "token").clone_into(&mut self.addresses.operator);
        self.addresses.clients = ENVIRONMENTS.map(|name| {
            let client = &demo[name]["oauth"];
            let member = |name| text(client, name).to_owned();
            (member("client_id"), member("client_secret"))
        });
        Ok(())
    }

    /// Leaves everything where it is for a person to look at; gives the folder.
    pub(super) fn keep(&self) -> PathBuf {
        let folder = self.scratch.keep().to_owned();
        if let Some(cluster) = &self.cluster {
            for name in ENVIRONMENTS {
                let file = self.data.join(format!("{name}.sql"));
                if let Err(error) = cluster.dump(name, &file) {
                    eprintln!("faults: {error}");
                }
            }
        }
        folder
    }
}

/// Each database's server looks in a part of its own.
fn free_ports(engine: Engine) -> Result<Vec<u16>, String> {
    let part = u16::from(engine == Engine::Postgres) * 5_000;
    let first = PORTS.start + part + (std::process::id() % 4_900) as u16;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let found: Vec<u16> = (first..PORTS.end).filter(is_free).take(3).collect();
    if found.len() < 3 {
        return Err(format!("no three free ports from {first} on"));
    }
    Ok(found)
}

/// Builds the server; gives its program.
pub(crate) fn build(root: &Path, release: bool) -> Result<PathBuf, String> {
    let mut build = cargo();
    build.args(["build", "--locked", "--package", "wayleave"]);
    build.args(release.then_some("--release"));
    quiet(build.current_dir(root))?;
    let profile = if release { "release" } else { "debug" };
    Ok(target(root).join(profile).join("wayleave"))
}

/// Cargo's output.
pub(crate) fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}
