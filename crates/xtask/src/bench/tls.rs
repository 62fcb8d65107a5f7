//! What checking adds to the slowest answers over TLS when the server is half busy.

use std::path::Path;

use super::fill;
use super::options::Options;
use super::rounds::{Machine, Visit, Visits, rotated};
use super::scratch::{Scratch, Server, client_ticks, ticks_per_second};
use super::servers::Places;
use super::serving::{self, Certificate};
use super::target::{Phase, Target};
use super::workload::{self, Workload};
use super::wrk::{Figures, Wrk, figures};
use crate::command::{command, output};

/// How many connections share the fixed rate.
const CONNECTIONS: usize = 16;

/// A server over TLS with the requests for it.
struct Place<'a> {
    target: Target,
    server: Server<'a>,
    workload: Workload,
}

/// Finds the peak of each server, then visits both at half of the lower one.
pub(super) fn measure(options: &Options, places: &Places, wrk: &Wrk) -> Result<Visits, String> {
    let targets = options.targets_of(Phase::Tls);
    if targets.is_empty() {
        return Ok(Visits::new());
    }
    let scratch = Scratch::below(&places.build, "bench")?;
    let mut stands = stands(options, places, &scratch)?;
    stands.retain(|stand| targets.contains(&stand.target));
    let mut peak = f64::INFINITY;
    for stand in &mut stands {
        stand.workload.freshen()?;
        let workload = &stand.workload;
        let connections = stand.target.connections();
        let seconds = options.seconds.max(2);
        let figures = wrk.run_over_tls(&workload.address, &workload.file, connections, seconds)?;
        stand.refuse_bad(&figures)?;
        let rate = figures.requests as f64 * 1e6 / figures.duration_us as f64;
        eprintln!(
            "bench: {} reaches {rate:.0}/s over TLS",
            stand.target.name()
        );
        peak = peak.min(rate);
    }
    rounds(options, places, &mut stands, peak / 2.0)
}

fn stands<'a>(
    options: &Options,
    places: &Places,
    scratch: &'a Scratch,
) -> Result<Vec<Place<'a>>, String> {
    let folder = scratch.path("");
    output(command(places.tls()).arg("certificate").arg(&folder))?;
    let path = |name: &str| scratch.path(name).display().to_string();
    let files = Certificate {
        certificate: path("certificate.pem"),
        key: path("key.pem"),
    };
    let mut bare = command(places.tls());
    bare.args(["serve", &files.certificate, &files.key]);
    let mut bare = scratch.start("tls-ceiling", bare)?;
    let bare_address = bare.wait_for_address()?;
    // Nothing is passed on, so nothing has to be behind.
    let nowhere = "127.0.0.1:1";
    let (wayleave, demo) = serving::start(places, scratch, "tls", nowhere, Some(&files))?;
    eprintln!("bench: making {} credentials", options.credentials);
    let mut keys = fill::credentials(&demo, &["management"], options.credentials)?;
    let place = |target: Target, server, address: &str, keys| -> Result<Place<'a>, String> {
        let file = scratch.path(&format!("{}.requests", target.name()));
        let workload = Workload::new(target, address, file, keys, None)?;
        Ok(Place {
            target,
            server,
            workload,
        })
    };
    let made_up = workload::made_up_keys(options.credentials);
    let address = demo.test.address();
    let keys = keys.pop().unwrap_or_default();
    Ok(vec![
        place(Target::TlsCeiling, bare, &bare_address, made_up)?,
        place(Target::TlsCheck, wayleave, address, keys)?,
    ])
}

/// Every server once in each round, at the same rate.
fn rounds(
    options: &Options,
    places: &Places,
    stands: &mut [Place<'_>],
    rate: f64,
) -> Result<Visits, String> {
    let mut visits = Visits::new();
    let order: Vec<usize> = (0..stands.len()).collect();
    for round in 0..=options.rounds {
        for number in rotated(&order, round) {
            let stand = &mut stands[number];
            let visit = stand.visit(options, &places.tls(), rate)?;
            // The first round lets everything become warm.
            if round > 0 {
                eprintln!("bench:   {:18} {visit}", stand.target.name());
                visits.entry(stand.target).or_default().push(visit);
            }
        }
    }
    Ok(visits)
}

impl Place<'_> {
    fn visit(&mut self, options: &Options, program: &Path, rate: f64) -> Result<Visit, String> {
        self.workload.freshen()?;
        let (machine, client, used) = (Machine::now(), client_ticks(), self.server.cpu_ticks());
        let [connections, rate, seconds] =
            [CONNECTIONS, rate as usize, options.seconds.max(2)].map(|n| n.to_string());
        let mut load = command(program);
        load.args(["load", &self.workload.address])
            .arg(&self.workload.file);
        let figures = figures(&output(load.args([connections, rate, seconds]))?)?;
        self.refuse_bad(&figures)?;
        let used = self.server.cpu_ticks().saturating_sub(used);
        let client = client_ticks().saturating_sub(client);
        let requests = figures.requests as f64;
        Ok(Visit {
            rate: requests * 1e6 / figures.duration_us as f64,
            p50_us: Some(figures.p50_us as f64),
            p99_us: Some(figures.p99_us as f64),
            cpu_us: used as f64 * 1e6 / ticks_per_second() / requests,
            asked_us: 0.0,
            others: machine.others_since(used + client),
        })
    }

    fn refuse_bad(&self, figures: &Figures) -> Result<(), String> {
        if figures.bad_status + figures.broken == 0 {
            return Ok(());
        }
        Err(format!(
            "{}: of {} requests {} were refused and {} broke off",
            self.target.name(),
            figures.requests,
            figures.bad_status,
            figures.broken
        ))
    }
}
