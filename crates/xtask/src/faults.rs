//! `cargo xtask faults`: kills the real server under load, again and again, starts it on the same
//! data, and compares what it holds with what an outside recorder was answered. Also ends it
//! politely, and stops its PostgreSQL as a crash would. Writes `docs/reliability.md` and
//! `docs/reliability.json`.

mod api;
mod ledger;
mod load;
mod options;
mod oracle;
mod probe;
mod report;
pub(crate) mod site;
mod trail;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::bench::machine::machine;
use crate::bench::scratch::{Scratch, Server};
use crate::command::{command, quiet};
use crate::malformed::kit::chance::Chance;
use crate::test::repository_root;

use ledger::{Ledger, Loss, Violation};
use load::{Desk, under_load};
use options::Engine;
pub(crate) use options::Options;
use report::{Report, Tally};
use site::Site;
use trail::Trail;

/// The most callers at once.
const DESKS: usize = 32;
const FEWEST_DESKS: u64 = 8;
/// A server that was told to end gives requests in flight ten seconds.
const END_PATIENCE: Duration = Duration::from_secs(15);
/// After how many kills the keyed hashes of the audit trail are recomputed.
const VERIFIED_EVERY: usize = 25;
const HEAL_PATIENCE: Duration = Duration::from_secs(60);

/// Runs what the words after `cargo xtask faults` ask for.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    run_with(&Options::parse(words)?)
}

/// Runs, prints what was seen and, for a whole run, writes the pages. An error when anything was
/// lost or a goal was missed.
pub(crate) fn run_with(options: &Options) -> Result<(), String> {
    let root = repository_root();
    eprintln!("faults: building");
    let program = site::build(&root, options.release)?;
    let scratch = Scratch::below(&site::target(&root), "faults")?;
    // A copy, so that building meanwhile does not change what is started.
    let copy = scratch.path("wayleave");
    fs::copy(&program, &copy).map_err(|error| format!("{}: {error}", program.display()))?;
    let seed = options.seed.unwrap_or_else(seed_of_the_day);
    let tallies = all_trials(options, seed, &scratch, &copy)?;
    let causes = fs::read_to_string(root.join("crates/xtask/faults/causes.json"));
    let causes = serde_json::from_str(&causes.map_err(|error| format!("causes.json: {error}"))?)
        .map_err(|error| format!("causes.json: {error}"))?;
    let report = Report::new(machine(), &tallies, options, &causes);
    println!("\n{}", report.plain());
    if options.write {
        write(&root, "docs/reliability.json", &report.json()?)?;
        write(&root, "docs/reliability.md", &report.markdown(&tallies))?;
    }
    report.verdict(options.times_count)
}

/// The databases side by side: most of the time is waiting.
fn all_trials(
    options: &Options,
    seed: u64,
    scratch: &Scratch,
    program: &Path,
) -> Result<Vec<Tally>, String> {
    let one = |engine: Engine| {
        let name = engine.name();
        println!("faults: {} kills on {name}, seed {seed}", options.kills);
        let mut trial = Trial::new(options, engine, seed, scratch, program)?;
        trial.run()?;
        Ok(trial.tally)
    };
    thread::scope(|scope| {
        let trials: Vec<_> = options
            .engines
            .iter()
            .map(|engine| scope.spawn(|| one(*engine)))
            .collect();
        let ended = trials
            .into_iter()
            .map(|trial| trial.join().map_err(|_| "a trial panicked".to_owned())?);
        ended.collect()
    })
}

fn write(root: &Path, name: &str, text: &str) -> Result<(), String> {
    println!("written: {name}");
    fs::write(root.join(name), text).map_err(|error| format!("{name}: {error}"))
}

fn seed_of_the_day() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// One database's kills and stops.
struct Trial<'a> {
    options: &'a Options,
    chance: Chance,
    site: Site<'a>,
    desks: Vec<Desk>,
    trails: [Trail; 2],
    tally: Tally,
}

impl<'a> Trial<'a> {
    fn new(
        options: &'a Options,
        engine: Engine,
        seed: u64,
        scratch: &'a Scratch,
        program: &Path,
    ) -> Result<Trial<'a>, String> {
        let desk = |number: usize| Desk::new(number, Chance::of(seed, number as u64 + 1));
        Ok(Trial {
            options,
            site: Site::new(scratch, program, engine)?,
            desks: (0..DESKS).map(desk).collect(),
            trails: Default::default(),
            tally: Tally::new(engine, seed),
            chance: Chance::of(seed, 0),
        })
    }

    /// Ends early at the first violation, so that what it left can be looked at.
    fn run(&mut self) -> Result<(), String> {
        let result = self.all_rounds();
        for desk in &self.desks {
            self.tally.requests += desk.ledger.records.len();
            self.tally.acknowledged += desk.ledger.acknowledged();
            self.tally.refused_in_outage += desk.refused_in_outage;
            self.tally.unavailable += desk.unavailable;
            self.tally.unknown += desk.unknown;
        }
        if result.is_err() || !self.tally.violations.is_empty() {
            self.keep();
        }
        result
    }

    fn all_rounds(&mut self) -> Result<(), String> {
        let (mut server, _) = self.site.start()?;
        for round in 1..=self.options.kills {
            server = self.kill(server)?;
            if self.is_over(round == self.options.kills)? {
                return Ok(());
            }
            if round % 20 == 0 {
                let ready = self.tally.ready_s.last().copied().unwrap_or_default();
                let name = self.tally.engine.name();
                println!("faults: {round} kills on {name}, the last ready in {ready:.2} s");
            }
        }
        for _ in 0..self.options.stops {
            server = self.end_politely(server)?;
            if self.is_over(false)? {
                return Ok(());
            }
        }
        if self.site.cluster.is_some() {
            for _ in 0..self.options.stops {
                self.stop_database()?;
                if self.is_over(false)? {
                    return Ok(());
                }
            }
        }
        self.is_over(true)?;
        drop(server);
        self.verify_audit();
        Ok(())
    }

    /// How many callers there are this time, and for how long.
    fn draw(&mut self) -> (usize, Duration) {
        let desks = self.between(FEWEST_DESKS, DESKS as u64) as usize;
        let (least, most) = (self.options.load_ms.start(), self.options.load_ms.end());
        let load = self.between(*least, *most);
        (desks, Duration::from_millis(load))
    }

    /// A number from `least` to `most`.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.chance.below((most - least + 1) as usize) as u64
    }

    /// SIGKILL at some moment, and a new start.
    fn kill(&mut self, server: Server<'a>) -> Result<Server<'a>, String> {
        let (count, load) = self.draw();
        under_load(&mut self.desks[..count], &self.site.addresses, || {
            thread::sleep(load);
            drop(server);
        })?;
        self.tally.kills += 1;
        if self.tally.kills.is_multiple_of(VERIFIED_EVERY) || self.tally.kills == self.options.kills
        {
            self.verify_audit();
        }
        let (server, ready) = self.site.start()?;
        self.tally.ready_s.push(ready.as_secs_f64());
        Ok(server)
    }

    /// While the server is down.
    fn verify_audit(&mut self) {
        for environment in 0..self.trails.len() {
            if let Err(why) = self.site.verify_audit(environment) {
                let found = Violation::new(Loss::Audit, why);
                eprintln!("faults: {}", found.what);
                self.tally.violations.push(found);
            }
        }
    }

    /// SIGTERM under load: what was asked before must be answered, and the end must be good.
    fn end_politely(&mut self, mut server: Server<'a>) -> Result<Server<'a>, String> {
        let (count, load) = self.draw();
        for desk in &mut self.desks {
            desk.lost_at.clear();
        }
        let (told_at, status, took) =
            under_load(&mut self.desks[..count], &self.site.addresses, || {
                thread::sleep(load);
                let told_at = Instant::now();
                let told = quiet(command("kill").args(["-TERM", &server.pid().to_string()]));
                let status = told.ok().and_then(|()| server.wait_for_end(END_PATIENCE));
                (told_at, status, told_at.elapsed())
            })?;
        drop(server);
        let lost = self.desks.iter().flat_map(|desk| &desk.lost_at);
        self.tally.lost_in_flight += lost.filter(|at| **at < told_at).count();
        self.tally.ends += 1;
        self.tally.bad_ends += usize::from(status.and_then(|status| status.code()) != Some(0));
        self.tally.end_s.push(took.as_secs_f64());
        Ok(self.site.start()?.0)
    }

    /// Stops PostgreSQL as a crash would, and starts it again.
    fn stop_database(&mut self) -> Result<(), String> {
        let (count, load) = self.draw();
        let down = Duration::from_millis(self.between(300, 1500));
        self.desks
            .iter_mut()
            .for_each(|desk| desk.is_in_outage = true);
        let Site {
            cluster, addresses, ..
        } = &self.site;
        let cluster = cluster.as_ref().ok_or("there is no PostgreSQL to stop")?;
        let healed = under_load(&mut self.desks[..count], addresses, || {
            thread::sleep(load);
            cluster.stop_at_once()?;
            thread::sleep(down);
            cluster.start_again()?;
            let begun = Instant::now();
            while !probe::is_writable(addresses) {
                if begun.elapsed() > HEAL_PATIENCE {
                    return Err("no change is taken after PostgreSQL came back".to_owned());
                }
                thread::sleep(Duration::from_millis(10));
            }
            let healed = begun.elapsed();
            thread::sleep(Duration::from_millis(500));
            Ok(healed)
        })??;
        self.desks
            .iter_mut()
            .for_each(|desk| desk.is_in_outage = false);
        self.tally.outages += 1;
        self.tally.heal_s.push(healed.as_secs_f64());
        Ok(())
    }

    /// Compares; whether something was wrong. `all`: tries out every credential, and reads the
    /// audit trail from its beginning.
    fn is_over(&mut self, all: bool) -> Result<bool, String> {
        for environment in 0..self.trails.len() {
            let found = self.compare(environment, all)?;
            for violation in &found {
                eprintln!(
                    "faults: {}: {}",
                    oracle::row(violation.loss),
                    violation.what
                );
            }
            self.tally.violations.extend(found);
        }
        Ok(!self.tally.violations.is_empty())
    }

    fn compare(&mut self, environment: usize, all: bool) -> Result<Vec<Violation>, String> {
        let desks = self.desks.iter_mut();
        let mut ledgers: Vec<&mut Ledger> = desks
            .filter(|desk| desk.environment == environment)
            .map(|desk| &mut desk.ledger)
            .collect();
        let trail = &mut self.trails[environment];
        for ledger in &mut ledgers {
            ledger.forget_old_tokens();
        }
        if all {
            trail.begin_anew();
            ledgers.iter_mut().for_each(|ledger| ledger.compared = 0);
        }
        let addresses = &self.site.addresses;
        let mut state = probe::lists(addresses, environment)?;
        let seen: Vec<&Ledger> = ledgers.iter().map(|ledger| &**ledger).collect();
        probe::try_out(addresses, environment, &seen, all, &mut state)?;
        probe::trail(addresses, environment, trail)?;
        let found = oracle::settle(&mut ledgers, &state, trail);
        ledgers.iter_mut().for_each(|ledger| ledger.rest());
        Ok(found)
    }

    /// Leaves the data and what was recorded for a person to look at.
    fn keep(&self) {
        let folder = self.site.keep();
        let lines = self.desks.iter().flat_map(Desk::lines);
        let text: String = lines.map(|line| line + "\n").collect();
        let file = folder.join(format!("{}-recorder.ndjson", self.tally.engine.word()));
        if let Err(error) = fs::write(&file, text) {
            eprintln!("faults: {}: {error}", file.display());
        }
        eprintln!(
            "faults: seed {}; the data and what was recorded stay in {}",
            self.tally.seed,
            folder.display()
        );
    }
}
