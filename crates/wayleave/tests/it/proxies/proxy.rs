//! nginx, Caddy and HAProxy as a distribution has them, with the configurations below `deploy`.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wayleave_testkit::{Address, TestFolder};

use crate::harness::{free_port, root};

/// The folder into which `cargo xtask test` extracts the proxies' packages.
const PROGRAMS: &str = "WAYLEAVE_TEST_PROXIES";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Nginx,
    Caddy,
    Haproxy,
}

/// Which of the configurations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// It asks Wayleave and passes requests to the API itself.
    ForwardAuth,
    /// It passes everything to Wayleave's gateway.
    Gateway,
}

/// Where the proxies' programs are, if they are to be had.
fn programs() -> Option<PathBuf> {
    let folder = std::env::var_os(PROGRAMS);
    if folder.is_none() {
        eprintln!("left out: {PROGRAMS} is not set; cargo xtask test sets it");
    }
    folder.map(PathBuf::from)
}

/// A running proxy; dropping it ends it.
pub(super) struct Proxy {
    child: Child,
    folder: TestFolder,
    pub(super) address: Address,
}

impl Proxy {
    /// Starts it, or says that it is left out. It asks or passes to `wayleave`, and has `api`
    /// behind it.
    pub(super) fn start(
        kind: Kind,
        mode: Mode,
        wayleave: SocketAddr,
        api: SocketAddr,
    ) -> Option<Proxy> {
        let own = free_port();
        Proxy::start_as(own, |programs, folder| {
            let places = Places { own, wayleave, api };
            match kind {
                Kind::Nginx => nginx(programs, folder, mode, &places),
                Kind::Caddy => caddy(programs, folder, mode, &places),
                Kind::Haproxy => haproxy(programs, folder, mode, &places),
            }
        })
    }

    /// Starts nginx with a test's own site; `site`: what stands in the http block, given its address
    /// and a folder to write to.
    pub(super) fn nginx(site: impl FnOnce(SocketAddr, &Path) -> String) -> Option<Proxy> {
        let own = free_port();
        Proxy::start_as(own, |programs, folder| {
            nginx_with(programs, folder, &site(own, folder))
        })
    }

    fn start_as(own: SocketAddr, program: impl FnOnce(&Path, &Path) -> Command) -> Option<Proxy> {
        let programs = programs()?;
        let folder = TestFolder::new();
        let mut command = program(&programs, folder.path());
        let log = fs::File::create(folder.path().join("output")).expect("a file");
        let child = command
            .env("LD_LIBRARY_PATH", libraries(&programs))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{error}: {}", programs.display()));
        let mut proxy = Proxy {
            child,
            folder,
            address: Address::at(own),
        };
        proxy.wait_for(own);
        Some(proxy)
    }

    fn wait_for(&mut self, address: SocketAddr) {
        for _ in 0..400 {
            if TcpStream::connect(address).is_ok() {
                return;
            }
            let ended = self.child.try_wait().expect("its state");
            assert!(ended.is_none(), "it ended: {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it takes no connections: {}", self.said());
    }

    /// What it wrote so far.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Places {
    own: SocketAddr,
    wayleave: SocketAddr,
    api: SocketAddr,
}

/// The folders with the libraries of Debian's packages, whatever the machine's architecture.
fn libraries(programs: &Path) -> OsString {
    let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = below(programs.join("usr/lib")).chain(below(programs.join("lib")));
    std::env::join_paths(folders.map(|entry| entry.path())).expect("folders")
}

/// A configuration below `deploy`.
pub(super) fn deployed(path: &str) -> String {
    let file = root().join("deploy").join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn configuration(path: &str, mode: Mode, changes: &[(&str, String)]) -> String {
    let name = match mode {
        Mode::ForwardAuth => "forward-auth",
        Mode::Gateway => "gateway",
    };
    let text = deployed(&path.replace("MODE", name));
    changes.iter().fold(text, |text, (from, to)| {
        // The API behind stands in one of the two only.
        let may_lack = mode == Mode::Gateway && from.contains("9000");
        assert!(may_lack || text.contains(from), "{path} has no {from}");
        text.replace(from, to)
    })
}

fn nginx(programs: &Path, folder: &Path, mode: Mode, places: &Places) -> Command {
    let changes = [
        ("listen 127.0.0.1:80;", format!("listen {};", places.own)),
        (
            "server 127.0.0.1:8080;",
            format!("server {};", places.wayleave),
        ),
        ("server 127.0.0.1:9000;", format!("server {};", places.api)),
    ];
    let site = configuration("nginx/MODE.conf", mode, &changes);
    nginx_with(programs, folder, &site)
}

fn nginx_with(programs: &Path, folder: &Path, text: &str) -> Command {
    let site = folder.join("site.conf");
    fs::write(&site, text).expect("written");
    // One process, so that nothing outlives the test.
    let main = format!(
        "daemon off; master_process off; pid {pid}; error_log stderr info;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; {temporary} include {site}; }}\n",
        pid = folder.join("nginx.pid").display(),
        temporary = temporary_folders(folder),
        site = site.display(),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, main).expect("written");
    let mut command = Command::new(programs.join("usr/sbin/nginx"));
    command.arg("-p").arg(folder).arg("-c").arg(file);
    command.args(["-e", "stderr"]);
    command
}

/// nginx makes them at its start, whether it needs them or not.
fn temporary_folders(folder: &Path) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let lines = kinds.map(|kind| format!("{kind}_temp_path {}/{kind};", folder.display()));
    lines.join(" ")
}

fn caddy(programs: &Path, folder: &Path, mode: Mode, places: &Places) -> Command {
    let changes = [
        (
            "http://api.example.com:80 {",
            format!("http://:{} {{\n\tbind 127.0.0.1", places.own.port()),
        ),
        ("127.0.0.1:8080", places.wayleave.to_string()),
        ("127.0.0.1:9000", places.api.to_string()),
    ];
    let site = configuration("caddy/MODE.Caddyfile", mode, &changes);
    let file = folder.join("Caddyfile");
    let text = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}");
    fs::write(&file, text).expect("written");
    let mut command = Command::new(programs.join("usr/bin/caddy"));
    command.args(["run", "--adapter", "caddyfile", "--config"]);
    command.arg(file).env("HOME", folder);
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env(name, folder);
    }
    command
}

fn haproxy(programs: &Path, folder: &Path, mode: Mode, places: &Places) -> Command {
    let mut changes = vec![
        ("bind 127.0.0.1:80\n", format!("bind {}\n", places.own)),
        ("127.0.0.1:8080", places.wayleave.to_string()),
        ("127.0.0.1:9000", places.api.to_string()),
    ];
    if mode == Mode::ForwardAuth {
        let action = root().join("deploy/haproxy/wayleave.lua");
        let action = action.display().to_string();
        changes.push(("/etc/haproxy/wayleave.lua", action));
    }
    let file = folder.join("haproxy.cfg");
    fs::write(&file, configuration("haproxy/MODE.cfg", mode, &changes)).expect("written");
    let mut command = Command::new(programs.join("usr/sbin/haproxy"));
    command.arg("-db").arg("-f").arg(file);
    command
}
