//! A folder and child processes that are gone when the run is over, however it ends.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::command::{command, last_lines, quiet};

/// Outlives this program even when that is killed: its standard input then ends, and it stops the
/// servers that are still running and removes the folder.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
running=' '
keep=
while read -r verb pid; do
  case $verb in
    started) running="$running$pid " ;;
    keep) keep=yes ;;
    ended) running="${running%% $pid *} ${running#* $pid }" ;;
  esac
done
for pid in $running; do kill -KILL "$pid" 2>/dev/null; done
[ "$keep" ] || rm -rf "$1"
"#;

/// The folder of one run and the watchdog over it.
pub(crate) struct Scratch {
    folder: PathBuf,
    watchdog: Mutex<Child>,
}

impl Scratch {
    /// Makes a new folder below `parent`; its name begins with `name`.
    pub(crate) fn below(parent: &Path, name: &str) -> Result<Scratch, String> {
        let folder = parent.join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .map_err(|error| format!("{} could not be made: {error}", folder.display()))?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("sh could not be started: {error}"))?;
        Ok(Scratch {
            folder,
            watchdog: Mutex::new(watchdog),
        })
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts a server; what it prints goes to files in the folder.
    pub(crate) fn start(&self, name: &str, mut what: Command) -> Result<Server<'_>, String> {
        let output = self.path(&format!("{name}.out"));
        let errors = self.path(&format!("{name}.err"));
        let create = |path: &Path| File::create(path).map_err(|error| error.to_string());
        let child = what
            .stdin(Stdio::null())
            .stdout(create(&output)?)
            .stderr(create(&errors)?)
            .spawn()
            .map_err(|error| format!("{name} could not be started: {error}"))?;
        self.tell(&format!("started {}", child.id()));
        Ok(Server {
            name: name.to_owned(),
            child,
            output,
            errors,
            scratch: self,
        })
    }

    /// Leaves the folder where it is when the run is over; gives its path.
    pub(crate) fn keep(&self) -> &Path {
        self.tell("keep");
        &self.folder
    }

    /// A watchdog that does not listen is no reason to stop: it only has less to do.
    fn tell(&self, line: &str) {
        if let Ok(mut watchdog) = self.watchdog.lock()
            && let Some(input) = &mut watchdog.stdin
        {
            writeln!(input, "{line}").ok();
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(watchdog) = self.watchdog.get_mut() {
            drop(watchdog.stdin.take());
            watchdog.wait().ok();
        }
    }
}

#[derive(Deserialize)]
struct Address {
    address: String,
}

/// A running server, stopped when dropped.
pub(crate) struct Server<'a> {
    name: String,
    child: Child,
    output: PathBuf,
    errors: PathBuf,
    scratch: &'a Scratch,
}

impl Server<'_> {
    /// Waits until `look` finds something; an error when the server ends before, or takes too long.
    pub(crate) fn wait_for<T>(
        &mut self,
        patience: Duration,
        look: impl Fn() -> Option<T>,
    ) -> Result<T, String> {
        let end = Instant::now() + patience;
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                // It may have done it last of all.
                if let Some(found) = look() {
                    return Ok(found);
                }
                return Err(format!(
                    "{} ended ({status}):\n{}",
                    self.name,
                    self.complaints()
                ));
            }
            if Instant::now() > end {
                let seconds = patience.as_secs();
                let complaints = self.complaints();
                return Err(format!(
                    "{} was not ready in {seconds} s:\n{complaints}",
                    self.name
                ));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end; `None` when it takes longer than `patience`.
    pub(crate) fn wait_for_end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Its number, for signals.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the line `{"address":"HOST:PORT"}` that our own servers print.
    pub(super) fn wait_for_address(&mut self) -> Result<String, String> {
        let line: Address = self.wait_for_line(Duration::from_secs(120))?;
        Ok(line.address)
    }

    /// Waits for the one line of JSON that it prints.
    pub(super) fn wait_for_line<T: DeserializeOwned>(
        &mut self,
        patience: Duration,
    ) -> Result<T, String> {
        let output = self.output.clone();
        self.wait_for(patience, || {
            serde_json::from_str(&fs::read_to_string(&output).ok()?).ok()
        })
    }

    /// The process time, user and system, that it and its children have used, in clock ticks.
    pub(super) fn cpu_ticks(&self) -> u64 {
        tree_ticks(self.child.id())
    }

    /// Tells the watchdog of the processes that it has started by now: some go on without it.
    pub(super) fn announce_children(&self) {
        for child in descendants(self.child.id()) {
            self.scratch.tell(&format!("started {child}"));
        }
    }

    fn complaints(&self) -> String {
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        let output = fs::read_to_string(&self.output).unwrap_or_default();
        last_lines(&format!("{output}\n{errors}"), 20)
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let children = descendants(self.child.id());
        self.child.kill().ok();
        self.child.wait().ok();
        for child in children {
            quiet(command("kill").args(["-KILL", &child.to_string()])).ok();
            self.scratch.tell(&format!("ended {child}"));
        }
        self.scratch.tell(&format!("ended {}", self.child.id()));
    }
}

fn tree_ticks(pid: u32) -> u64 {
    let all = descendants(pid).into_iter().chain([pid]);
    all.map(|pid| stat_fields(&pid.to_string(), [11, 12])).sum()
}

/// Every process that a process has started and that is still there, and theirs.
fn descendants(pid: u32) -> Vec<u32> {
    let children: Vec<u32> = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace()
                .filter_map(|child| child.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect();
    let further: Vec<u32> = children.iter().copied().flat_map(descendants).collect();
    children.into_iter().chain(further).collect()
}

/// The sum of two fields of `/proc/PID/stat`, counted from 0 after the name in brackets:
/// 11 and 12 are a process's own user and system time, 13 and 14 those of its ended children.
fn stat_fields(pid: &str, fields: [usize; 2]) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let words: Vec<&str> = after_name.split_whitespace().collect();
    let field = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
    fields.into_iter().filter_map(field).sum()
}

/// What this program and its ended children have used, in clock ticks: the client's share.
pub(super) fn client_ticks() -> u64 {
    stat_fields("self", [11, 12]) + stat_fields("self", [13, 14])
}

/// How many clock ticks make a second.
pub(super) fn ticks_per_second() -> f64 {
    crate::command::output(command("getconf").arg("CLK_TCK"))
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_server_and_the_folder_are_gone() {
        let parent = std::env::temp_dir().join(format!("wayleave-scratch-{}", std::process::id()));
        let scratch = Scratch::below(&parent, "scratch").unwrap();
        let mut sleeper = command("sleep");
        sleeper.arg("600");
        let server = scratch.start("sleeper", sleeper).unwrap();
        let process = format!("/proc/{}", server.child.id());
        assert!(Path::new(&process).exists());
        drop(server);
        assert!(!Path::new(&process).exists());
        let folder = scratch.folder.clone();
        assert!(folder.exists());
        drop(scratch);
        assert!(!folder.exists());
        fs::remove_dir(parent).unwrap();
    }

    #[test]
    fn what_a_stopped_server_has_started_is_gone_too() {
        let parent = std::env::temp_dir().join(format!("wayleave-tree-{}", std::process::id()));
        let scratch = Scratch::below(&parent, "scratch").unwrap();
        let mut parent_of_two = command("sh");
        parent_of_two.args(["-c", "sleep 600 & sleep 600 & wait"]);
        let mut server = scratch.start("parent", parent_of_two).unwrap();
        let pid = server.pid();
        let patience = Duration::from_secs(20);
        let look = || Some(descendants(pid)).filter(|all| all.len() == 2);
        let children = server.wait_for(patience, look).unwrap();
        drop(server);
        let is_there = |pid: &u32| stat_fields(&pid.to_string(), [0, 0]) > 0;
        let gone = (0..400).any(|_| {
            thread::sleep(Duration::from_millis(5));
            !children.iter().any(is_there)
        });
        assert!(gone, "{children:?}");
        drop(scratch);
        fs::remove_dir(parent).unwrap();
    }

    #[test]
    fn the_watchdog_ends_what_was_left_running() {
        let parent = std::env::temp_dir().join(format!("wayleave-watchdog-{}", std::process::id()));
        let scratch = Scratch::below(&parent, "scratch").unwrap();
        let mut children: Vec<Child> = (0..3)
            .map(|_| command("sleep").arg("600").spawn().unwrap())
            .collect();
        for child in &children {
            scratch.tell(&format!("started {}", child.id()));
        }
        scratch.tell(&format!("ended {}", children[1].id()));
        drop(scratch);
        assert!(children[0].wait().is_ok_and(|status| !status.success()));
        assert!(children[2].wait().is_ok_and(|status| !status.success()));
        assert!(children[1].try_wait().unwrap().is_none());
        children[1].kill().unwrap();
        children[1].wait().unwrap();
        fs::remove_dir(parent).unwrap();
    }

    #[test]
    fn a_server_that_ends_early_says_why() {
        let parent = std::env::temp_dir().join(format!("wayleave-early-{}", std::process::id()));
        let scratch = Scratch::below(&parent, "scratch").unwrap();
        let mut failing = command("sh");
        failing.args(["-c", "echo no such setting >&2; exit 2"]);
        let mut server = scratch.start("failing", failing).unwrap();
        let message = server.wait_for_address().unwrap_err();
        assert!(message.contains("no such setting"), "{message}");
        drop(server);
        drop(scratch);
        fs::remove_dir(parent).unwrap();
    }

    #[test]
    fn time_used_is_seen() {
        assert!(stat_fields("self", [11, 12]) < 1_000_000);
        assert_eq!(stat_fields("no such process", [11, 12]), 0);
        assert!(ticks_per_second() >= 1.0);
    }
}
