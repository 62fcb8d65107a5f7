//! The measuring itself: every target once in each round.

use std::collections::BTreeMap;
use std::{fmt, fs};

use serde::Deserialize;

use super::options::Options;
use super::scratch::{Server, client_ticks, ticks_per_second};
use super::servers::Places;
use super::target::Target;
use super::workload::Workload;
use super::wrk::Wrk;
use crate::command::{command, output};

/// What one visit to a target found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Visit {
    /// Requests, or signatures, per second.
    pub(super) rate: f64,
    /// Latencies as the client saw them; none without a server.
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    /// The server's processor time per request.
    pub(super) cpu_us: f64,
    /// How much of that is of a Wayleave that the server asks.
    pub(super) asked_us: f64,
    /// The share of the machine's processor time that neither the server nor the client used.
    pub(super) others: f64,
}

impl fmt::Display for Visit {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:7.0}/s, {:7.2} µs CPU", self.rate, self.cpu_us)?;
        if let (Some(p50), Some(p99)) = (self.p50_us, self.p99_us) {
            write!(to, ", p50 {p50} µs, p99 {p99} µs")?;
        }
        write!(to, ", others {:.1} %", self.others * 100.0)
    }
}

/// The visits of each target, one for each round.
pub(super) type Visits = BTreeMap<Target, Vec<Visit>>;

/// A running server with the requests for it.
pub(super) struct Stand<'a> {
    pub(super) server: &'a Server<'a>,
    /// The Wayleave that it asks about each request.
    pub(super) asks: Option<&'a Server<'a>>,
    pub(super) workload: Workload,
}

/// All that is measured and what it is measured with.
pub(super) struct Rounds<'a> {
    pub(super) options: &'a Options,
    pub(super) places: &'a Places,
    pub(super) wrk: &'a Wrk,
    /// What is visited in each round.
    pub(super) targets: Vec<Target>,
    pub(super) stands: BTreeMap<Target, Stand<'a>>,
}

impl Rounds<'_> {
    /// Looks at every kind of answer and lets everything become warm, then measures.
    pub(super) fn run(&mut self) -> Result<Visits, String> {
        for target in self.targets.clone() {
            eprintln!("bench: trying out {}", target.name());
            if let Some(stand) = self.stands.get_mut(&target) {
                stand.workload.try_out()?;
            }
            self.visit(target)?;
        }
        let mut visits = Visits::new();
        for round in 0..self.options.rounds {
            eprintln!("bench: round {} of {}", round + 1, self.options.rounds);
            for target in rotated(&self.targets, round) {
                let visit = self.visit(target)?;
                eprintln!("bench:   {:18} {visit}", target.name());
                visits.entry(target).or_default().push(visit);
            }
        }
        Ok(visits)
    }

    fn visit(&mut self, target: Target) -> Result<Visit, String> {
        match self.stands.get_mut(&target) {
            Some(stand) => {
                stand.workload.freshen()?;
                let visit = visit_server(self.wrk, target, stand, self.options.seconds)?;
                stand
                    .workload
                    .note(visit.rate * self.options.seconds as f64);
                Ok(visit)
            }
            None => sign(self.places, self.options.seconds),
        }
    }
}

/// The targets of a round: another one comes first each time, so that none always follows the
/// same one or has the machine at the same moment.
pub(super) fn rotated<T: Clone>(targets: &[T], round: usize) -> Vec<T> {
    let mut targets = targets.to_vec();
    let count = targets.len();
    targets.rotate_left(round % count);
    targets
}

fn visit_server(
    wrk: &Wrk,
    target: Target,
    stand: &Stand<'_>,
    seconds: usize,
) -> Result<Visit, String> {
    let workload = &stand.workload;
    let asked_ticks = || stand.asks.map_or(0, Server::cpu_ticks);
    let (machine, client) = (Machine::now(), client_ticks());
    let (used, asked) = (stand.server.cpu_ticks(), asked_ticks());
    let figures = wrk.run(
        &workload.address,
        &workload.file,
        target.connections(),
        seconds,
    )?;
    let asked = asked_ticks().saturating_sub(asked);
    let used = stand.server.cpu_ticks().saturating_sub(used) + asked;
    let client = client_ticks().saturating_sub(client);
    let others = machine.others_since(used + client);
    if figures.bad_status + figures.broken > 0 {
        return Err(format!(
            "{}: of {} requests {} were refused and {} broke off: {}",
            target.name(),
            figures.requests,
            figures.bad_status,
            figures.broken,
            workload.first_bad_answer(),
        ));
    }
    let requests = figures.requests as f64;
    Ok(Visit {
        rate: requests * 1e6 / figures.duration_us as f64,
        p50_us: Some(figures.p50_us as f64),
        p99_us: Some(figures.p99_us as f64),
        cpu_us: used as f64 * 1e6 / ticks_per_second() / requests,
        asked_us: asked as f64 * 1e6 / ticks_per_second() / requests,
        others,
    })
}

/// What `ceiling es256` prints.
#[derive(Deserialize)]
struct Signed {
    signatures: u64,
    cpu_ticks: u64,
}

fn sign(places: &Places, seconds: usize) -> Result<Visit, String> {
    let (machine, client) = (Machine::now(), client_ticks());
    let printed = output(command(places.ceiling()).args(["es256", &seconds.to_string()]))?;
    let others = machine.others_since(client_ticks().saturating_sub(client));
    let signed: Signed =
        serde_json::from_str(&printed).map_err(|error| format!("{printed}: {error}"))?;
    let signatures = signed.signatures as f64;
    Ok(Visit {
        rate: signatures / seconds as f64,
        p50_us: None,
        p99_us: None,
        cpu_us: signed.cpu_ticks as f64 * 1e6 / ticks_per_second() / signatures,
        asked_us: 0.0,
        others,
    })
}

/// The machine's processor time up to a moment, in clock ticks.
pub(super) struct Machine {
    all: u64,
    busy: u64,
}

impl Machine {
    pub(super) fn now() -> Machine {
        Machine::read(&fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// The first line of `/proc/stat`: user, nice, system, idle, waiting, two kinds of interrupts
    /// and what the host took; what follows is counted in these already.
    fn read(stat: &str) -> Machine {
        let words = stat.lines().next().unwrap_or_default().split_whitespace();
        let ticks: Vec<u64> = words.skip(1).take(8).flat_map(str::parse).collect();
        let all = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Machine {
            all,
            busy: all - idle,
        }
    }

    /// The share of all time since that moment that was used, but not by what used `ours`.
    pub(super) fn others_since(&self, ours: u64) -> f64 {
        let now = Machine::now();
        let (all, busy) = (now.all - self.all, now.busy - self.busy);
        busy.saturating_sub(ours) as f64 / all.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_begins_with_another_target() {
        let targets = [Target::Ceiling, Target::Es256, Target::SignedCheck];
        let second = [Target::Es256, Target::SignedCheck, Target::Ceiling];
        assert_eq!(rotated(&targets, 0), targets);
        assert_eq!(rotated(&targets, 1), second);
        assert_eq!(rotated(&targets, 4), second);
    }

    #[test]
    fn the_machines_time_is_read() {
        let machine = Machine::read("cpu  10 1 20 100 5 2 3 4 9 9\ncpu0 1 1 1 1\n");
        assert_eq!((machine.all, machine.busy), (145, 40));
    }
}
