//! What the command line asked for.

use super::target::{Phase, Target};

const USAGE: &str = "\
usage: cargo xtask bench [--rounds N] [--seconds S] [--credentials N] [--scale N] [--load N]
                         [--orders N] [--only NAME]… [--quick] [--no-write]
  --rounds N        how often every target is visited (11)
  --seconds S       how long one visit takes (1)
  --credentials N   how many different credentials of each kind take part (20000)
  --scale N         how many credentials the largest directory has (10000000); the next a tenth
  --load N          how many credentials are loaded from disk (1000000)
  --orders N        how many orders a partner has whose pages are read (1000000)
  --only NAME       only this target and what it is compared with; may be repeated;
                    also: scale (directories and load), load, orders, creation, access, gateway (proxies,
                    message signatures, TLS, overload), overload
  --quick           one round with 200 credentials and small directories: does everything work?
  --no-write        leave docs/benchmarks.md and docs/benchmarks.json as they are
--only, --quick and --scale imply --no-write: the published figures are those of a whole run.
Targets: ";

/// The command line of `cargo xtask bench`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    pub(super) rounds: usize,
    pub(super) seconds: usize,
    pub(super) credentials: usize,
    /// How many credentials the largest directory has.
    pub(super) scale: usize,
    /// How many credentials are loaded from disk; none: not measured.
    pub(super) load: Option<usize>,
    /// How many orders there are whose pages are read; none: not measured.
    pub(super) orders: Option<usize>,
    /// How many requests are sent to see whether memory grows.
    pub(super) memory: usize,
    /// Every target to visit, in their usual order.
    pub(super) targets: Vec<Target>,
    /// Whether the figures go into `docs/`.
    pub(super) write: bool,
}

impl Options {
    /// Reads the words after `cargo xtask bench`.
    pub(super) fn parse(words: &[String]) -> Result<Options, String> {
        let mut options = Options {
            rounds: 11,
            seconds: 1,
            credentials: 20_000,
            scale: 10_000_000,
            load: Some(1_000_000),
            orders: Some(1_000_000),
            memory: 1_000_000,
            targets: Vec::new(),
            write: true,
        };
        let mut only = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => options.rounds = count(word, words.next())?,
                "--seconds" => options.seconds = count(word, words.next())?,
                "--credentials" => options.credentials = count(word, words.next())?,
                "--orders" => options.orders = Some(count(word, words.next())?),
                "--load" => options.load = Some(count(word, words.next())?),
                "--scale" => {
                    options.scale = count(word, words.next())?;
                    options.write = false;
                }
                "--only" => {
                    only.push(words.next().map_or("", String::as_str));
                    options.write = false;
                }
                "--quick" => {
                    (options.rounds, options.credentials) = (1, 200);
                    (options.scale, options.load) = (10_000, Some(1_000));
                    options.orders = Some(10_000);
                    options.memory = 10_000;
                    options.write = false;
                }
                "--no-write" => options.write = false,
                _ => return Err(format!("what is {word:?}?\n{}", usage())),
            }
        }
        options.choose(&only)?;
        Ok(options)
    }

    /// The targets of a phase.
    pub(super) fn targets_of(&self, phase: Phase) -> Vec<Target> {
        let targets = self.targets.iter().copied();
        targets.filter(|target| target.phase() == phase).collect()
    }

    /// Takes the named targets with all they are compared with; everything when none is named.
    fn choose(&mut self, only: &[&str]) -> Result<(), String> {
        let mut chosen = Vec::new();
        for name in only {
            chosen.extend(named(name)?);
        }
        if !only.is_empty() && !only.contains(&"scale") && !only.contains(&"load") {
            self.load = None;
        }
        if !only.is_empty() && !only.contains(&"orders") {
            self.orders = None;
        }
        if !matches!(only, ["load"] | ["orders"]) {
            self.targets = with_baselines(&chosen);
        }
        Ok(())
    }
}

/// The targets that a word after `--only` means.
fn named(name: &str) -> Result<Vec<Target>, String> {
    let is_meant = |target: &Target| match name {
        "scale" => target.phase() == Phase::Scale,
        "creation" => target.phase() == Phase::Creation,
        "access" => target.phase() == Phase::Access,
        "gateway" => matches!(
            target.phase(),
            Phase::Gateway | Phase::Tls | Phase::Overload
        ),
        "overload" => target.phase() == Phase::Overload,
        _ => target.name() == name,
    };
    let targets: Vec<Target> = Target::ALL.into_iter().filter(is_meant).collect();
    if targets.is_empty() && !matches!(name, "load" | "orders") {
        return Err(format!("--only needs the name of a target\n{}", usage()));
    }
    Ok(targets)
}

/// The chosen targets with all they are compared with, in the usual order; all when none is chosen.
fn with_baselines(chosen: &[Target]) -> Vec<Target> {
    Target::ALL
        .into_iter()
        .filter(|target| {
            chosen.is_empty()
                || chosen.contains(target)
                || chosen
                    .iter()
                    .any(|one| one.comparisons().iter().any(|c| c.baseline == *target))
        })
        .collect()
}

fn count(name: &str, word: Option<&String>) -> Result<usize, String> {
    word.and_then(|word| word.parse().ok())
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("{name} needs a whole number above 0\n{}", usage()))
}

fn usage() -> String {
    let names: Vec<&str> = Target::ALL.iter().map(|target| target.name()).collect();
    format!("{USAGE}{}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn nothing_said_means_a_whole_run_that_is_published() {
        let options = parse("").unwrap();
        assert_eq!(
            (
                options.rounds,
                options.seconds,
                options.credentials,
                options.write
            ),
            (11, 1, 20_000, true)
        );
        assert_eq!(options.targets, Target::ALL);
        assert_eq!((options.scale, options.load), (10_000_000, Some(1_000_000)));
    }

    #[test]
    fn a_group_is_chosen_by_its_name() {
        let scale = parse("--only scale").unwrap();
        assert_eq!(scale.targets, scale.targets_of(Phase::Scale));
        assert_eq!((scale.targets.len(), scale.load), (3, Some(1_000_000)));
        let creation = parse("--only creation").unwrap();
        assert_eq!(creation.targets, creation.targets_of(Phase::Creation));
        assert_eq!((creation.targets.len(), creation.load), (4, None));
        let load = parse("--only load --load 50").unwrap();
        assert_eq!((load.targets, load.load), (Vec::new(), Some(50)));
        let orders = parse("--only orders --orders 70").unwrap();
        assert_eq!((orders.targets, orders.load), (Vec::new(), None));
        assert_eq!(orders.orders, Some(70));
    }

    #[test]
    fn the_gateway_is_proxies_and_tls() {
        let gateway = parse("--only gateway").unwrap();
        assert_eq!(gateway.targets_of(Phase::Gateway).len(), 9);
        assert_eq!(gateway.targets_of(Phase::Tls).len(), 2);
        assert_eq!(gateway.targets_of(Phase::Overload).len(), 7);
        assert_eq!(gateway.targets.len(), 18);
        assert_eq!((gateway.load, gateway.write), (None, false));
        let overload = parse("--only overload").unwrap();
        assert_eq!(overload.targets, gateway.targets_of(Phase::Overload));
        let ours = parse("--only proxy").unwrap();
        assert!(ours.targets.contains(&Target::GatewayLua));
        assert!(!ours.targets.contains(&Target::GatewayCaddy));
    }

    #[test]
    fn directories_of_other_sizes_are_not_published() {
        assert!(!parse("--scale 1000").unwrap().write);
    }

    #[test]
    fn one_target_brings_its_baseline_and_is_not_published() {
        let options = parse("--only signed-check --rounds 3").unwrap();
        assert_eq!(options.targets, [Target::Ceiling, Target::SignedCheck]);
        assert_eq!((options.rounds, options.write), (3, false));
    }

    #[test]
    fn a_quick_run_is_not_published() {
        assert!(!parse("--quick").unwrap().write);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "--fast",
            "--rounds",
            "--rounds 0",
            "--rounds x",
            "--only nothing",
            "--only",
            "--scale 0",
            "five",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
