//! A throw-away PostgreSQL cluster for one run of the tests.
//!
//! A small shell, the *keeper*, makes the cluster, starts it and then reads its standard input
//! until that ends. It ends when [`Cluster`] is dropped, and just as well when this process dies
//! of Ctrl-C or is killed; the keeper then stops the server and removes the folder. So nothing is
//! left behind, and no signal handler is needed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::command::{command, find, install, last_lines, may_install, output, quiet};

/// What the keeper runs: `$1` is the programs' folder, `$2` the cluster's, `$3` its settings.
/// The signals are ignored so that Ctrl-C does not end the keeper before its work is done.
const KEEPER: &str = r#"
trap '' INT TERM HUP
cd /
if "$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C >"$2/log" 2>&1 &&
   printf '%s\n' "$3" >>"$2/data/postgresql.conf" &&
   "$1/pg_ctl" start -D "$2/data" -w -t 60 -l "$2/log" >/dev/null 2>>"$2/log"
then echo ready; else echo failed; fi
cat >/dev/null
"$1/pg_ctl" stop -D "$2/data" -w -m immediate >/dev/null 2>&1
rm -rf "$2" 2>/dev/null
"#;

/// How the cluster differs from PostgreSQL's defaults. Commits reach the disk as they would in
/// earnest (`fsync` stays on), so that what the tests say about durability holds. There is no
/// socket file: its path would have to be short.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = '64MB'
max_wal_size = '256MB'
";

/// The programs a cluster needs, all in one folder.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

/// How many clusters this process began to make: each has a folder of its own.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// Another program may take the free port between our look and the server's start.
const TRIES: usize = 3;

/// A running cluster; dropping it stops the server and removes its files.
pub(crate) struct Cluster {
    keeper: Child,
    folder: PathBuf,
    port: u16,
    programs: PathBuf,
    user: Option<(u32, u32)>,
}

impl Cluster {
    /// Makes and starts a cluster with the programs in `programs`.
    pub(crate) fn start(programs: &Path) -> Result<Cluster, String> {
        let mut attempt = 1;
        loop {
            match Cluster::try_start(programs) {
                Err(_) if attempt < TRIES => attempt += 1,
                result => return result,
            }
        }
    }

    /// The address and superuser of the cluster, for the tests.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Makes a new database; gives its address.
    pub(crate) fn create_database(&self, name: &str) -> Result<String, String> {
        let beside = self.programs.join("createdb");
        let program = if beside.is_file() {
            beside
        } else {
            "createdb".into()
        };
        let port = self.port.to_string();
        quiet(command(program).args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port, name]))?;
        let server = self.url();
        let server = server.trim_end_matches("/postgres");
        Ok(format!("{server}/{name}"))
    }

    /// Writes what a database holds into a file.
    pub(crate) fn dump(&self, name: &str, file: &Path) -> Result<(), String> {
        let port = self.port.to_string();
        let mut dump = command(self.programs.join("pg_dump"));
        dump.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port]);
        quiet(dump.args([name, "-f"]).arg(file))
    }

    /// Stops the server as a crash would: without a checkpoint, every connection cut.
    pub(crate) fn stop_at_once(&self) -> Result<(), String> {
        quiet(self.control().args(["stop", "-w", "-m", "immediate"]))
    }

    /// Starts the server again; it recovers first. Returns when it takes connections.
    pub(crate) fn start_again(&self) -> Result<(), String> {
        let mut start = self.control();
        start.args(["start", "-w", "-t", "60", "-l"]);
        // The server would hold a pipe open for as long as it runs.
        start.arg(self.folder.join("log")).stdout(Stdio::null());
        let status = start.stderr(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("PostgreSQL did not start again ({status})")),
            Err(error) => Err(format!("pg_ctl could not be started: {error}")),
        }
    }

    fn control(&self) -> Command {
        let mut control = command(self.programs.join("pg_ctl"));
        control.arg("-D").arg(self.folder.join("data"));
        control.current_dir("/");
        if let Some((uid, gid)) = self.user {
            control.uid(uid).gid(gid);
        }
        control
    }

    fn try_start(programs: &Path) -> Result<Cluster, String> {
        let port = free_port()?;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("wayleave-postgres-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut keeper = command("sh");
        keeper
            .args(["-c", KEEPER, "keeper"])
            .args([programs.as_os_str(), folder.as_os_str()])
            .arg(format!("{SETTINGS}port = {port}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        let user = unprivileged_user()?;
        if let Some((uid, gid)) = user {
            chown(&folder, Some(uid), Some(gid)).map_err(|error| error.to_string())?;
            keeper.uid(uid).gid(gid);
        }
        let keeper = keeper
            .spawn()
            .map_err(|error| format!("sh could not be started: {error}"))?;
        let mut cluster = Cluster {
            keeper,
            folder,
            port,
            programs: programs.to_owned(),
            user,
        };
        if cluster.answer() == "ready" {
            return Ok(cluster);
        }
        let log = fs::read_to_string(cluster.folder.join("log")).unwrap_or_default();
        Err(format!(
            "PostgreSQL ({}) did not start in {} (set TMPDIR to a folder with room that every \
             user may enter); its last words:\n{}",
            programs.display(),
            std::env::temp_dir().display(),
            last_lines(&log, 20)
        ))
    }

    /// The keeper's one line; empty when it died.
    fn answer(&mut self) -> String {
        let mut line = String::new();
        if let Some(stdout) = self.keeper.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        line.trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of PostgreSQL's programs, which are installed first when there are none and this
/// process may. The error says how to get them.
pub(crate) fn programs() -> Result<PathBuf, String> {
    if let Some(folder) = installed() {
        return Ok(folder);
    }
    let how = "install PostgreSQL 13 or newer (on Debian: apt-get install postgresql)";
    if !may_install() {
        return Err(format!("no initdb was found: {how}"));
    }
    forbid_main_cluster();
    install(&["postgresql"]).map_err(|error| format!("{how}; {error}"))?;
    installed().ok_or_else(|| format!("its package was installed and has no initdb: {how}"))
}

/// Keeps Debian's package from making and starting a cluster of its own, unless this machine has
/// settled that already. Failure is harmless: then there is a cluster that nobody uses.
fn forbid_main_cluster() {
    let settings = Path::new("/etc/postgresql-common/createcluster.conf");
    if !settings.exists() {
        let _ = fs::create_dir_all("/etc/postgresql-common");
        let _ = fs::write(settings, "create_main_cluster = false\n");
    }
}

fn installed() -> Option<PathBuf> {
    let on_path = find("initdb").and_then(|path| Some(path.canonicalize().ok()?.parent()?.into()));
    let mut folders: Vec<PathBuf> = on_path.into_iter().collect();
    folders.extend(newest_first(Path::new("/usr/lib/postgresql")));
    folders.push("/usr/local/bin".into());
    folders.push("/usr/local/pgsql/bin".into());
    folders.into_iter().find(|folder| {
        PROGRAMS
            .iter()
            .all(|program| folder.join(program).is_file())
    })
}

/// The `bin` folders of the versions below `root`, the highest version first.
fn newest_first(root: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<u32> = names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions
        .into_iter()
        .map(|version| root.join(version.to_string()).join("bin"))
        .collect()
}

/// PostgreSQL refuses to run as root: who to be instead, when this process is root.
fn unprivileged_user() -> Result<Option<(u32, u32)>, String> {
    if output(command("id").arg("-u"))? != "0" {
        return Ok(None);
    }
    let id = |flag: &str, user: &str| -> Option<u32> {
        output(command("id").args([flag, user])).ok()?.parse().ok()
    };
    ["postgres", "nobody"]
        .iter()
        .find_map(|user| Some((id("-u", user)?, id("-g", user)?)))
        .map(Some)
        .ok_or_else(|| "PostgreSQL refuses to run as root, and there is no user postgres".into())
}

/// A port of this machine that is free at the moment.
pub(crate) fn free_port() -> Result<u16, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port on 127.0.0.1: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_comes_first_and_other_names_are_ignored() {
        let root = std::env::temp_dir().join(format!("xtask-versions-{}", std::process::id()));
        for name in ["9", "15", "13", "common"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let found = newest_first(&root);
        fs::remove_dir_all(&root).unwrap();
        let expected = ["15", "13", "9"].map(|version| root.join(version).join("bin"));
        assert_eq!(found, expected);
        assert!(newest_first(&root).is_empty());
    }

    #[test]
    fn free_ports_can_be_listened_on() {
        let port = free_port().unwrap();
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok());
    }
}
