//! `cargo xtask test`: everything that must hold before a change lands, in one command.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::clients;
use crate::command::{cargo, output, shown};
use crate::faults;
use crate::postgres::{self, Cluster};
use crate::proxies;

/// Checks and tests everything; with `filters` only the tests whose names contain one of them.
pub(crate) fn run(filters: &[String]) -> Result<(), String> {
    let in_ci = env::var("CI").is_ok_and(|value| value == "true");
    check_arguments(filters, in_ci)?;
    let root = repository_root();
    let mut run = Run::new(in_ci);

    run.announce("the clients and servers that the tests use");
    let cluster = start_postgres(&mut run);
    let python = run.keep("the Python clients", clients::python(&root));
    let node = run.keep("the npm clients", clients::node(&root));
    run.keep("a client of HTTP/2", clients::nghttp());
    let php = run.keep("the PHP example", clients::php());
    let proxies = run.keep("nginx, Caddy and HAProxy", proxies::folder(&root));

    if filters.is_empty() {
        check_sources(&mut run, &root);
    }
    run.announce("tests");
    let mut tests = test_runner(filters);
    tests.current_dir(&root).env("PYTHONDONTWRITEBYTECODE", "1");
    let url = cluster.as_ref().map(Cluster::url);
    set(&mut tests, "WAYLEAVE_TEST_POSTGRES", url);
    set(&mut tests, "WAYLEAVE_TEST_PYTHON", python);
    set(&mut tests, "WAYLEAVE_TEST_NODE_DIR", node);
    set(&mut tests, "WAYLEAVE_TEST_PHP", php);
    set(&mut tests, "WAYLEAVE_TEST_PROXIES", proxies);
    run.check("tests", shown(&mut tests));
    if filters.is_empty() {
        kill_a_few_times(&mut run, cluster.is_some());
    }

    drop(cluster);
    run.finish()
}

/// The format, the lints and the examples in the documentation. The examples come before the
/// tests so that the tests' own summary closes what is printed.
fn check_sources(run: &mut Run, root: &Path) {
    run.announce("format (cargo fmt)");
    match output(cargo().args(["fmt", "--version"])) {
        Ok(_) => {
            let mut format = cargo();
            format.args(["fmt", "--all", "--check"]).current_dir(root);
            run.check("format", shown(&mut format));
        }
        Err(_) => run.leave_out("the format", "no rustfmt: rustup component add rustfmt"),
    }
    run.announce("lints (cargo clippy)");
    match output(cargo().args(["clippy", "--version"])) {
        Ok(_) => {
            let mut lints = cargo();
            lints.args(["clippy", "--workspace", "--all-targets", "--locked"]);
            lints.args(["--", "-D", "warnings"]).current_dir(root);
            run.check("lints", shown(&mut lints));
        }
        Err(_) => run.leave_out("the lints", "no clippy: rustup component add clippy"),
    }
    run.announce("examples in the documentation");
    let mut examples = cargo();
    examples.args(["test", "--doc", "--workspace", "--locked", "--quiet"]);
    run.check("examples", shown(examples.current_dir(root)));
}

/// Kills the real server under load: in earnest, `cargo xtask faults` does it far more often.
fn kill_a_few_times(run: &mut Run, with_postgres: bool) {
    run.announce("kills under load (cargo xtask faults)");
    let killed = faults::run_with(&faults::Options::brief(with_postgres));
    if let Err(message) = &killed {
        eprintln!("{message}");
    }
    run.check("kills", killed.is_ok());
}

fn start_postgres(run: &mut Run) -> Option<Cluster> {
    let programs = run.keep("the tests on PostgreSQL", postgres::programs())?;
    match Cluster::start(&programs) {
        Ok(cluster) => Some(cluster),
        Err(message) => {
            eprintln!("{message}");
            run.check("PostgreSQL's start", false);
            None
        }
    }
}

/// nextest where it is installed, cargo's own runner elsewhere.
fn test_runner(filters: &[String]) -> Command {
    let mut runner = cargo();
    if output(cargo().args(["nextest", "--version"])).is_ok() {
        runner.args([
            "nextest",
            "run",
            "--workspace",
            "--locked",
            "--no-fail-fast",
        ]);
    } else {
        runner.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
        runner.args(["--lib", "--bins", "--tests", "--"]);
    }
    runner.args(filters);
    runner
}

fn set(command: &mut Command, name: &str, value: Option<impl AsRef<std::ffi::OsStr>>) {
    match value {
        Some(value) => command.env(name, value),
        None => command.env_remove(name),
    };
}

fn check_arguments(filters: &[String], in_ci: bool) -> Result<(), String> {
    if let Some(option) = filters.iter().find(|filter| filter.starts_with('-')) {
        return Err(format!(
            "test takes parts of tests' names, not options like {option}"
        ));
    }
    if in_ci && !filters.is_empty() {
        return Err("CI=true runs everything: give no filter, or unset CI".into());
    }
    Ok(())
}

/// `cargo run` names the folder of this package; the checkout may have moved since it was built.
pub(crate) fn repository_root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = package.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    package.ancestors().nth(2).unwrap_or(&package).to_path_buf()
}

/// What was done so far.
struct Run {
    started: Instant,
    in_ci: bool,
    checks: Vec<(&'static str, bool)>,
    left_out: Vec<(&'static str, String)>,
}

impl Run {
    fn new(in_ci: bool) -> Run {
        Run {
            started: Instant::now(),
            in_ci,
            checks: Vec::new(),
            left_out: Vec::new(),
        }
    }

    fn announce(&self, step: &str) {
        println!("\n== {} · {step}", clock(self.started.elapsed()));
    }

    fn check(&mut self, name: &'static str, passed: bool) {
        self.checks.push((name, passed));
    }

    fn leave_out(&mut self, what: &'static str, why: &str) {
        self.left_out.push((what, why.to_owned()));
    }

    /// Keeps what could be had; notes what could not.
    fn keep<T>(&mut self, what: &'static str, result: Result<T, String>) -> Option<T> {
        result.map_err(|why| self.leave_out(what, &why)).ok()
    }

    fn finish(self) -> Result<(), String> {
        println!("\n{self}");
        let failed: Vec<&str> = self
            .checks
            .iter()
            .filter(|check| !check.1)
            .map(|check| check.0)
            .collect();
        if !failed.is_empty() {
            return Err(format!("failed: {}", failed.join(", ")));
        }
        if self.in_ci && !self.left_out.is_empty() {
            return Err("with CI=true nothing may be left out".into());
        }
        Ok(())
    }
}

impl fmt::Display for Run {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.left_out.is_empty() {
            writeln!(out, "!!! LEFT OUT, so this run says nothing about it:")?;
        }
        for (what, why) in &self.left_out {
            writeln!(out, "!!!   {what}: {}", why.replace('\n', "\n!!!     "))?;
        }
        write!(out, "== {} ·", clock(self.started.elapsed()))?;
        for (name, passed) in &self.checks {
            write!(
                out,
                " {name} {};",
                if *passed { "passed" } else { "FAILED" }
            )?;
        }
        match self.left_out.len() {
            0 => write!(out, " nothing was left out"),
            count => write!(out, " LEFT OUT: {count}"),
        }
    }
}

/// Minutes and seconds.
fn clock(elapsed: Duration) -> String {
    format!("{}:{:02}", elapsed.as_secs() / 60, elapsed.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_is_minutes_and_seconds() {
        assert_eq!(clock(Duration::from_millis(61_900)), "1:01");
        assert_eq!(clock(Duration::from_secs(3600)), "60:00");
    }

    #[test]
    fn what_is_left_out_is_listed_and_fails_in_ci_only() {
        let run = |in_ci| {
            let mut run = Run::new(in_ci);
            run.check("tests", true);
            assert_eq!(
                run.keep("the npm clients", Err::<(), _>("no node\nat all".into())),
                None
            );
            run
        };
        let text = run(true).to_string();
        assert!(
            text.contains("!!!   the npm clients: no node\n!!!     at all\n"),
            "{text}"
        );
        assert!(text.ends_with("tests passed; LEFT OUT: 1"), "{text}");
        assert!(run(true).finish().is_err());
        assert!(run(false).finish().is_ok());
    }

    #[test]
    fn a_failed_check_fails_the_run() {
        let mut run = Run::new(false);
        run.check("format", false);
        run.check("tests", true);
        assert_eq!(run.finish(), Err("failed: format".into()));
    }

    #[test]
    fn options_are_refused_and_so_are_filters_in_ci() {
        let filters = |text: &str| vec![text.to_owned()];
        assert!(check_arguments(&filters("token"), false).is_ok());
        assert!(check_arguments(&filters("token"), true).is_err());
        assert!(check_arguments(&filters("--release"), false).is_err());
        assert!(check_arguments(&[], true).is_ok());
    }

    #[test]
    fn the_root_is_where_the_workspace_is() {
        assert!(repository_root().join("crates/xtask").is_dir());
    }
}
