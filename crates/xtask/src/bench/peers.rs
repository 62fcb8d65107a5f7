//! The other proxies: nginx, HAProxy and Caddy from the distribution, and the API behind all of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{net::TcpStream, thread};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fill::Key;
use super::scratch::{Scratch, Server};
use super::servers::Places;
use crate::command::command;
use crate::{postgres, proxies};

/// How long a proxy may take to start.
const STARTING: Duration = Duration::from_secs(30);

/// What the configurations are filled with, and how the proxies are started.
pub(super) struct Peers<'a> {
    places: &'a Places,
    scratch: &'a Scratch,
    /// Where the packages are extracted.
    programs: PathBuf,
    values: Vec<(&'static str, String)>,
}

impl<'a> Peers<'a> {
    /// Fetches the packages.
    pub(super) fn ready(places: &'a Places, scratch: &'a Scratch) -> Result<Peers<'a>, String> {
        eprintln!("bench: nginx, HAProxy and Caddy");
        let programs = proxies::folder_with_lua(&places.root)?;
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut peers = Peers {
            places,
            scratch,
            programs,
            values: vec![("CORES", cores.to_string())],
        };
        let text = |path: &Path| path.display().to_string();
        peers.set("PROGRAMS", text(&peers.programs));
        peers.set("FILES", text(&places.files.join("gateway")));
        peers.set("FOLDER", text(&scratch.path("")));
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let folder = text(&scratch.path("nginx"));
        let lines = kinds.map(|kind| format!("{kind}_temp_path {folder}-{kind};"));
        peers.set("TEMPORARY", lines.join(" "));
        Ok(peers)
    }

    /// Fills a place of the configurations.
    pub(super) fn set(&mut self, name: &'static str, value: String) {
        self.values.push((name, value));
    }

    /// Writes the keys as Lua and HAProxy read them.
    pub(super) fn write_keys(&mut self, keys: &[Key]) -> Result<(), String> {
        let lines = |secret: fn(&str) -> String| -> String {
            let line = |key: &Key| format!("{} {}\n", key.id, secret(&key.secret));
            keys.iter().map(line).collect()
        };
        let (plain, encoded) = (self.scratch.path("keys"), self.scratch.path("keys64"));
        write(&plain, &lines(str::to_owned))?;
        write(&encoded, &lines(|secret| STANDARD.encode(secret)))?;
        self.set("KEYS", plain.display().to_string());
        self.set("KEYS64", encoded.display().to_string());
        Ok(())
    }

    /// A free port of this machine under a name of the configurations; gives `HOST:PORT`.
    pub(super) fn port(&mut self, name: &'static str) -> Result<String, String> {
        let port = postgres::free_port()?;
        let address = format!("127.0.0.1:{port}");
        // Caddy wants the port alone.
        let value = if name.starts_with("CADDY") {
            port.to_string()
        } else {
            address.clone()
        };
        self.set(name, value);
        Ok(address)
    }

    /// Starts nginx with a configuration; it listens at `address`.
    pub(super) fn nginx(&self, file: &str, address: &str) -> Result<Server<'a>, String> {
        let mut program = command(self.programs.join("usr/sbin/nginx"));
        program.arg("-c").arg(self.configuration(file)?);
        program
            .arg("-p")
            .arg(self.scratch.path(""))
            .args(["-e", "stderr"]);
        self.start(file, program, address)
    }

    /// Starts HAProxy; it listens at `address`.
    pub(super) fn haproxy(&self, address: &str) -> Result<Server<'a>, String> {
        let mut program = command(self.programs.join("usr/sbin/haproxy"));
        program
            .arg("-db")
            .arg("-f")
            .arg(self.configuration("haproxy.cfg")?);
        self.start("haproxy.cfg", program, address)
    }

    /// Starts Caddy; it listens at `address`.
    pub(super) fn caddy(&self, address: &str) -> Result<Server<'a>, String> {
        let mut program = command(self.programs.join("usr/bin/caddy"));
        program.args(["run", "--adapter", "caddyfile", "--config"]);
        program.arg(self.configuration("Caddyfile")?);
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            program.env(name, self.scratch.path(""));
        }
        self.start("Caddyfile", program, address)
    }

    fn start(&self, name: &str, mut program: Command, address: &str) -> Result<Server<'a>, String> {
        program.env("LD_LIBRARY_PATH", proxies::libraries(&self.programs));
        let mut server = self.scratch.start(name, program)?;
        server.wait_for(STARTING, || TcpStream::connect(address).ok())?;
        server.announce_children();
        Ok(server)
    }

    /// Writes a configuration with every place filled.
    fn configuration(&self, file: &str) -> Result<PathBuf, String> {
        let source = self.places.files.join("gateway").join(file);
        let text = fs::read_to_string(&source)
            .map_err(|error| format!("{}: {error}", source.display()))?;
        let fill = |text: String, (name, value): &(&str, String)| {
            text.replace(&format!("@{name}@"), value)
        };
        let text = self.values.iter().fold(text, fill);
        let path = self.scratch.path(file);
        write(&path, &text)?;
        Ok(path)
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The versions of the proxies, which are those of the packages.
pub(super) fn versions(places: &Places) -> Vec<String> {
    let Ok(programs) = proxies::folder_with_lua(&places.root) else {
        return Vec::new();
    };
    ["nginx", "haproxy", "caddy", "libnginx-mod-http-lua"]
        .into_iter()
        .filter_map(|name| proxies::package_version(&programs, name))
        .collect()
}
