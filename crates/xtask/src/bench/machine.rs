//! On what a run was made: the machine and the versions of what took part.

use std::fs;
use std::path::Path;

use super::peers;
use super::servers::Places;
use super::target::{Phase, Target};
use super::wrk::Wrk;
use crate::command::{command, output};
use crate::postgres;

/// Processor, cores, memory and kernel in one line; nothing that names this one machine.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = memory_gib(&read("/proc/meminfo"));
    let release = read("/proc/sys/kernel/osrelease");
    format!(
        "{model}, {cores} cores, {memory} GiB of memory, Linux {}",
        numbers(&release)
    )
}

/// The value of a line `NAME : VALUE`.
fn value(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .into_iter()
        .find(|(left, _)| left.trim() == name)
        .map(|(_, right)| right.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn memory_gib(meminfo: &str) -> u64 {
    let kib = value(meminfo, "MemTotal").and_then(|text| {
        text.split(' ')
            .next()
            .and_then(|number| number.parse::<f64>().ok())
    });
    (kib.unwrap_or_default() / (1024.0 * 1024.0)).round() as u64
}

/// A kernel's version without what its builder added.
fn numbers(release: &str) -> &str {
    release.trim().split(['-', '+']).next().unwrap_or_default()
}

/// The versions of what took part, each as `name version`.
pub(super) fn versions(places: &Places, wrk: &Wrk, targets: &[Target]) -> Vec<String> {
    let mut versions = Vec::new();
    let lock = fs::read_to_string(places.root.join("Cargo.lock")).unwrap_or_default();
    if targets
        .iter()
        .any(|target| target.audience().is_some() || target.phase() != Phase::Requests)
    {
        versions.extend(locked(&lock, "wayleave"));
    }
    versions.extend(
        output(command("rustc").arg("--version"))
            .map(|text| text.split(' ').take(2).collect::<Vec<_>>().join(" ")),
    );
    versions.extend(
        ["hyper", "tokio", "rustls", "aws-lc-rs", "mimalloc"]
            .into_iter()
            .filter_map(|n| locked(&lock, n)),
    );
    versions.push(wrk.version());
    if targets.iter().any(|target| target.is_oidc_provider()) {
        versions.extend(oidc_version(&places.files.join("oidc/package.json")));
        versions.extend(output(command("node").arg("--version")).map(|v| format!("Node.js {v}")));
    }
    if targets.iter().any(|target| target.is_proxy()) {
        versions.extend(peers::versions(places));
    }
    if targets.iter().any(|target| target.is_on_postgres())
        && let Ok(programs) = postgres::programs()
    {
        let printed = output(command(programs.join("postgres")).arg("--version"));
        versions.extend(printed.map(|text| postgres_version(&text)));
    }
    versions
}

/// From `postgres (PostgreSQL) 15.3 (Debian …)`.
fn postgres_version(printed: &str) -> String {
    let number = printed.split(' ').nth(2).unwrap_or_default();
    format!("PostgreSQL {number}")
}

/// The version of a package in `Cargo.lock`.
fn locked(lock: &str, name: &str) -> Option<String> {
    let after = lock
        .split_once(&format!("name = \"{name}\"\nversion = \""))?
        .1;
    Some(format!("{name} {}", after.split('"').next()?))
}

fn oidc_version(package: &Path) -> Option<String> {
    let package: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(package).ok()?).ok()?;
    let version = package["dependencies"]["oidc-provider"].as_str()?;
    Some(format!("oidc-provider {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A  Processor\nmodel\t: 3\n";
        assert_eq!(value(cpuinfo, "model name").as_deref(), Some("A Processor"));
        assert_eq!(value(cpuinfo, "flags"), None);
    }

    #[test]
    fn memory_is_rounded_to_gibibytes() {
        assert_eq!(
            memory_gib("MemTotal:       24601520 kB\nMemFree: 1 kB\n"),
            23
        );
        assert_eq!(memory_gib(""), 0);
    }

    #[test]
    fn a_kernel_is_named_by_its_numbers() {
        assert_eq!(numbers("6.1.0-18-amd64\n"), "6.1.0");
        assert_eq!(numbers("6.18.44+\n"), "6.18.44");
    }

    #[test]
    fn postgresql_says_its_version() {
        let printed = "postgres (PostgreSQL) 15.3 (Debian 15.3-0+deb12u1)";
        assert_eq!(postgres_version(printed), "PostgreSQL 15.3");
    }

    #[test]
    fn versions_are_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"hyper-util\"\nversion = \"0.1.21\"\n\n\
                    [[package]]\nname = \"hyper\"\nversion = \"1.12.0\"\n";
        assert_eq!(locked(lock, "hyper").as_deref(), Some("hyper 1.12.0"));
        assert_eq!(locked(lock, "axum"), None);
    }
}
