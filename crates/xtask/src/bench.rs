//! `cargo xtask bench`: measures Wayleave beside what it is compared with, on one client and in
//! interleaved rounds, and writes `docs/benchmarks.md` and `docs/benchmarks.json`.
//!
//! Everything runs on this machine and over the loopback interface, for a bounded time.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time; the law about clocks is the product's"
)]

pub(crate) mod client;
pub(crate) mod fill;
pub(crate) mod machine;
mod options;
mod report;
mod rounds;
pub(crate) mod scratch;
mod servers;
pub(crate) mod sign;
pub(crate) mod stats;
mod target;
mod workload;
mod wrk;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fill::{Demo, Environment, Key};
use options::Options;
use report::{Causes, Report};
use rounds::{Rounds, Stand, Visits};
use scratch::{Scratch, Server};
use servers::Places;
use target::Target;
use workload::Workload;
use wrk::Wrk;

/// Runs the benchmark that the words after `cargo xtask bench` ask for.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let options = Options::parse(words)?;
    let places = Places::find()?;
    let wrk = Wrk::ready(places.files.join("replay.lua"))?;
    if options
        .targets
        .iter()
        .any(|target| target.is_oidc_provider())
    {
        servers::install_oidc(&places)?;
    }
    servers::build(&places, &options.targets)?;
    let visits = measure(&options, &places, &wrk)?;
    publish(&options, &places, &wrk, &visits)
}

/// Starts the servers, fills them, and visits them; all of them are gone when it returns.
fn measure(options: &Options, places: &Places, wrk: &Wrk) -> Result<Visits, String> {
    let scratch = Scratch::below(&places.build, "bench")?;
    let takes_part = |target| options.targets.contains(&target);
    let mut servers: BTreeMap<Target, (Server<'_>, String)> = BTreeMap::new();
    if takes_part(Target::Ceiling) {
        servers.insert(Target::Ceiling, servers::start_ceiling(places, &scratch)?);
    }
    let made_up = workload::made_up_keys(options.credentials);
    for target in [Target::OidcOpaque, Target::OidcEs256] {
        if takes_part(target) {
            eprintln!("bench: starting {}", target.name());
            servers.insert(
                target,
                servers::start_oidc(places, &scratch, target, &made_up)?,
            );
        }
    }
    let filled = Filled::start(options, places, &scratch)?;
    let mut stands = BTreeMap::new();
    for target in options.targets.iter().copied() {
        let (server, address, keys, environment) = match (servers.get(&target), &filled) {
            (Some((server, address)), _) => (server, address.as_str(), &made_up, None),
            (None, Some(filled)) if target.audience().is_some() => {
                let test = &filled.demo.test;
                (
                    &filled.server,
                    test.address(),
                    filled.keys(target)?,
                    Some(test),
                )
            }
            _ => continue,
        };
        let file = scratch.path(&format!("{}.requests", target.name()));
        let workload = make_requests(target, address, &file, keys, environment)?;
        stands.insert(target, Stand { server, workload });
    }
    Rounds {
        options,
        places,
        wrk,
        stands,
    }
    .run()
}

fn make_requests(
    target: Target,
    address: &str,
    file: &Path,
    keys: &[Key],
    environment: Option<&Environment>,
) -> Result<Workload, String> {
    eprintln!(
        "bench: preparing {} requests for {}",
        keys.len(),
        target.name()
    );
    Workload::new(target, address, file.to_owned(), keys.to_vec(), environment)
}

/// A running Wayleave with the credentials that the targets need.
struct Filled<'a> {
    server: Server<'a>,
    demo: Demo,
    keys: BTreeMap<&'static str, Vec<Key>>,
}

impl<'a> Filled<'a> {
    /// Nothing when no target is Wayleave.
    fn start(
        options: &Options,
        places: &Places,
        scratch: &'a Scratch,
    ) -> Result<Option<Filled<'a>>, String> {
        let mut audiences: Vec<_> = options
            .targets
            .iter()
            .filter_map(|t| t.audience())
            .collect();
        audiences.sort_unstable();
        audiences.dedup();
        if audiences.is_empty() {
            return Ok(None);
        }
        let (server, demo) = servers::start_wayleave(places, scratch)?;
        eprintln!(
            "bench: making {} credentials of each kind",
            options.credentials
        );
        let keys = fill::credentials(&demo, &audiences, options.credentials)?;
        let keys = audiences.into_iter().zip(keys).collect();
        Ok(Some(Filled { server, demo, keys }))
    }

    fn keys(&self, target: Target) -> Result<&Vec<Key>, String> {
        let keys = target
            .audience()
            .and_then(|audience| self.keys.get(audience));
        keys.ok_or_else(|| format!("no keys for {}", target.name()))
    }
}

/// Prints the figures and, when they are those of a whole run, writes the pages.
fn publish(options: &Options, places: &Places, wrk: &Wrk, visits: &Visits) -> Result<(), String> {
    let causes: Causes = serde_json::from_str(&read(&places.files.join("causes.json"))?)
        .map_err(|error| format!("causes.json: {error}"))?;
    let report = Report::new(machine::machine(), visits, &causes);
    println!("{}\n", report.machine);
    println!(
        "{}\n{}",
        report::plain_table(&report),
        report::plain_details(visits)
    );
    println!("{}", report::others(visits));
    for name in report.missed() {
        println!("missed: {name}");
    }
    if options.write {
        let versions = machine::versions(places, wrk, &options.targets);
        let page = report::markdown(&report, visits, options, &versions);
        let docs = places.root.join("docs");
        write(&docs.join("benchmarks.json"), &report.json()?)?;
        write(&docs.join("benchmarks.md"), &page)?;
        println!("written: docs/benchmarks.md, docs/benchmarks.json");
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}
