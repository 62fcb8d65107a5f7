//! What the command line asked for.

use super::target::Target;

const USAGE: &str = "\
usage: cargo xtask bench [--rounds N] [--seconds S] [--credentials N] [--only NAME]… [--quick] [--no-write]
  --rounds N        how often every target is visited (11)
  --seconds S       how long one visit takes (1)
  --credentials N   how many different credentials of each kind take part (20000)
  --only NAME       only this target and what it is compared with; may be repeated
  --quick           one round with 200 credentials: does everything work?
  --no-write        leave docs/benchmarks.md and docs/benchmarks.json as they are
--only and --quick imply --no-write: the published figures are those of a whole run.
Targets: ";

/// The command line of `cargo xtask bench`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    pub(super) rounds: usize,
    pub(super) seconds: usize,
    pub(super) credentials: usize,
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
            targets: Vec::new(),
            write: true,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => options.rounds = count(word, words.next())?,
                "--seconds" => options.seconds = count(word, words.next())?,
                "--credentials" => options.credentials = count(word, words.next())?,
                "--only" => {
                    options.targets.push(target(words.next())?);
                    options.write = false;
                }
                "--quick" => {
                    (options.rounds, options.credentials) = (1, 200);
                    options.write = false;
                }
                "--no-write" => options.write = false,
                _ => return Err(format!("what is {word:?}?\n{}", usage())),
            }
        }
        options.targets = with_baselines(&options.targets);
        Ok(options)
    }
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

fn target(word: Option<&String>) -> Result<Target, String> {
    word.and_then(|word| Target::ALL.into_iter().find(|target| target.name() == word))
        .ok_or_else(|| format!("--only needs the name of a target\n{}", usage()))
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
            "five",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
