//! One tenant that takes all it can get, and a quiet one beside it: what the proxy still answers, and
//! how long the quiet one waits.

use std::path::Path;
use std::thread;

use super::fill;
use super::options::Options;
use super::peers::Peers;
use super::rounds::{Machine, Visit, Visits, rotated};
use super::scratch::{Scratch, Server, client_ticks, ticks_per_second};
use super::servers::Places;
use super::serving;
use super::target::{Phase, Target};
use super::workload::Workload;
use super::wrk::{Figures, Wrk, figures};
use crate::command::{command, output};

/// How many requests the quiet tenant sends in a second.
const QUIET_RATE: usize = 200;

/// How many keys the quiet tenant has.
const QUIET_KEYS: usize = 100;

/// What happens at once, in each round: the noisy tenant by one target's connections, the quiet one
/// as another target, or one of them alone.
const SCENES: [(Option<Target>, Option<Target>); 5] = [
    (Some(Target::OverloadPeak), None),
    (None, Some(Target::QuietAlone)),
    (Some(Target::OverloadPeak), Some(Target::QuietAtPeak)),
    (Some(Target::OverloadGoodput), Some(Target::QuietOverload)),
    (Some(Target::OverloadNginx), Some(Target::QuietNginx)),
];

/// The proxy and the requests of its two tenants; and nginx, which gets the same.
struct Stage<'a> {
    options: &'a Options,
    wrk: &'a Wrk,
    program: &'a Path,
    server: &'a Server<'a>,
    nginx: &'a Server<'a>,
    nginx_address: String,
    noisy: Workload,
    quiet: Workload,
}

/// Starts the proxy before the API behind and visits it in each scene of each round.
pub(super) fn measure(options: &Options, places: &Places, wrk: &Wrk) -> Result<Visits, String> {
    if options.targets_of(Phase::Overload).is_empty() {
        return Ok(Visits::new());
    }
    let scratch = Scratch::below(&places.build, "bench")?;
    let mut peers = Peers::ready(places, &scratch)?;
    let upstream = peers.port("ADDRESS")?;
    peers.set("UPSTREAM", upstream.clone());
    let _api = peers.nginx("upstream.conf", &upstream)?;
    let (server, demo) = serving::start(places, &scratch, "overload", &upstream, None)?;
    let address = demo.test.address();
    peers.set("WAYLEAVE", address.to_owned());
    peers.write_keys(&[])?;
    let nginx_address = peers.port("PLAIN")?;
    for unused in ["LUA", "ASKING"] {
        peers.port(unused)?;
    }
    let nginx = peers.nginx("nginx.conf", &nginx_address)?;
    // Each call makes a partner of its own.
    let tenant = |target: Target, count| -> Result<Workload, String> {
        eprintln!("bench: making {count} credentials");
        let keys = fill::credentials(&demo, &["management"], count)?;
        let file = scratch.path(&format!("{}.requests", target.name()));
        let keys = keys.into_iter().flatten().collect();
        Workload::new(target, address, file, keys, None)
    };
    let mut stage = Stage {
        options,
        wrk,
        program: &places.tls(),
        server: &server,
        nginx: &nginx,
        nginx_address,
        noisy: tenant(Target::OverloadPeak, options.credentials)?,
        quiet: tenant(Target::QuietAlone, QUIET_KEYS)?,
    };
    stage.noisy.try_out()?;
    stage.quiet.try_out()?;
    stage.rounds()
}

impl Stage<'_> {
    fn rounds(&mut self) -> Result<Visits, String> {
        let mut visits = Visits::new();
        for round in 0..=self.options.rounds {
            for (noisy, quiet) in rotated(&SCENES, round) {
                let found = self.visit(noisy, quiet)?;
                // The first round lets everything become warm.
                if round == 0 {
                    continue;
                }
                for (target, visit) in found {
                    eprintln!("bench:   {:18} {visit}", target.name());
                    visits.entry(target).or_default().push(visit);
                }
            }
        }
        Ok(visits)
    }

    /// One scene. The peak counts where nobody is beside it.
    fn visit(
        &mut self,
        noisy: Option<Target>,
        quiet: Option<Target>,
    ) -> Result<Vec<(Target, Visit)>, String> {
        self.noisy.freshen()?;
        self.quiet.freshen()?;
        let server = match noisy {
            Some(Target::OverloadNginx) => self.nginx,
            _ => self.server,
        };
        let (machine, client, used) = (Machine::now(), client_ticks(), server.cpu_ticks());
        let (of_noisy, of_quiet) = self.send(noisy, quiet)?;
        let used = server.cpu_ticks().saturating_sub(used);
        let others = machine.others_since(used + client_ticks().saturating_sub(client));
        let answers = [&of_noisy, &of_quiet].into_iter().flatten();
        let answers: u64 = answers.map(|figures| figures.requests).sum();
        let cpu_us = used as f64 * 1e6 / ticks_per_second() / answers as f64;
        let visit = |figures: Figures| Visit {
            rate: (figures.requests - figures.bad_status) as f64 * 1e6 / figures.duration_us as f64,
            p50_us: Some(figures.p50_us as f64),
            p99_us: Some(figures.p99_us as f64),
            cpu_us,
            asked_us: 0.0,
            others,
        };
        let counts = |target: Target| target != Target::OverloadPeak || quiet.is_none();
        let noisy = noisy.zip(of_noisy).filter(|(target, _)| counts(*target));
        let found = noisy.into_iter().chain(quiet.zip(of_quiet));
        Ok(found
            .map(|(target, figures)| (target, visit(figures)))
            .collect())
    }

    fn send(
        &self,
        noisy: Option<Target>,
        quiet: Option<Target>,
    ) -> Result<(Option<Figures>, Option<Figures>), String> {
        thread::scope(|scope| {
            let noisy = noisy.map(|target| scope.spawn(move || self.send_noisy(target)));
            let quiet = quiet.map(|target| self.send_quiet(target)).transpose();
            let panicked = || Err("a thread panicked".to_owned());
            let noisy = noisy.map(|thread| thread.join().unwrap_or_else(|_| panicked()));
            Ok((noisy.transpose()?, quiet?))
        })
    }

    /// As much as can be sent, for a second more than the quiet tenant, which begins half a second
    /// later.
    fn send_noisy(&self, target: Target) -> Result<Figures, String> {
        let (address, file) = (self.address(target), &self.noisy.file);
        let seconds = self.seconds() + 1;
        let figures = self.wrk.run(address, file, target.connections(), seconds)?;
        let is_refused = target != Target::OverloadGoodput && figures.bad_status > 0;
        if is_refused || figures.broken > 0 {
            return Err(bad(target, &figures));
        }
        Ok(figures)
    }

    fn address(&self, target: Target) -> &str {
        match target {
            Target::OverloadNginx | Target::QuietNginx => &self.nginx_address,
            _ => &self.noisy.address,
        }
    }

    fn send_quiet(&self, target: Target) -> Result<Figures, String> {
        let mut load = command(self.program);
        load.args(["load-plain", self.address(target)])
            .arg(&self.quiet.file);
        let [connections, rate, seconds] =
            [target.connections(), QUIET_RATE, self.seconds()].map(|n| n.to_string());
        let figures = figures(&output(load.args([connections, rate, seconds]))?)?;
        if figures.bad_status + figures.broken > 0 {
            return Err(bad(target, &figures));
        }
        Ok(figures)
    }

    /// Enough for six hundred requests of the quiet tenant, of which six are above the p99.
    fn seconds(&self) -> usize {
        self.options.seconds.max(3)
    }
}

fn bad(target: Target, figures: &Figures) -> String {
    format!(
        "{}: of {} requests {} were refused and {} broke off",
        target.name(),
        figures.requests,
        figures.bad_status,
        figures.broken
    )
}
