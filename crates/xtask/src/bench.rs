//! `cargo xtask bench`: measures Wayleave beside what it is compared with, on one client and in
//! interleaved rounds, and writes `docs/benchmarks.md` and `docs/benchmarks.json`.
//!
//! Everything runs on this machine and over the loopback interface, for a bounded time.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time; the law about clocks is the product's"
)]

mod access;
pub(crate) mod client;
mod creation;
pub(crate) mod fill;
mod gateway;
pub(crate) mod machine;
pub(crate) mod memory;
mod options;
mod orders;
mod overload;
mod peers;
mod readme;
mod report;
mod requests;
mod rounds;
mod scale;
pub(crate) mod scratch;
mod servers;
mod serving;
pub(crate) mod sign;
pub(crate) mod stats;
mod target;
mod tls;
mod workload;
mod wrk;

use std::fs;
use std::path::Path;

use options::Options;
use report::{Causes, Once, Report};
use rounds::Visits;
use servers::Places;
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
    servers::build(&places, &options)?;
    let (visits, once) = measure(&options, &places, &wrk)?;
    publish(&options, &places, &wrk, &visits, once)
}

/// Measures what was asked for, one phase after another; each ends its servers.
fn measure(options: &Options, places: &Places, wrk: &Wrk) -> Result<(Visits, Vec<Once>), String> {
    let mut visits = requests::measure(options, places, wrk)?;
    let (scaled, mut once) = scale::measure(options, places, wrk)?;
    visits.extend(scaled);
    visits.extend(creation::measure(options, places, wrk)?);
    visits.extend(access::measure(options, places, wrk)?);
    let (proxied, grown) = gateway::measure(options, places, wrk)?;
    visits.extend(proxied);
    once.extend(grown);
    visits.extend(tls::measure(options, places, wrk)?);
    visits.extend(overload::measure(options, places, wrk)?);
    if let Some(count) = options.load {
        once.push(scale::load(places, count)?);
    }
    once.extend(orders::measure(options, places)?);
    Ok((visits, once))
}

/// Prints the figures and, when they are those of a whole run, writes the pages.
fn publish(
    options: &Options,
    places: &Places,
    wrk: &Wrk,
    visits: &Visits,
    once: Vec<Once>,
) -> Result<(), String> {
    let causes: Causes = serde_json::from_str(&read(&places.files.join("causes.json"))?)
        .map_err(|error| format!("causes.json: {error}"))?;
    let report = Report::new(machine::machine(), visits, once, &causes);
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
        let file = places.root.join("README.md");
        write(&file, &readme::with_table(&read(&file)?, &report)?)?;
        println!("written: docs/benchmarks.md, docs/benchmarks.json, README.md");
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}
