//! `cargo xtask formats`: the property test of JSON and XML (`wayleave-web/src/dialect/content/shape/tests.rs`)
//! with as many bodies as are asked for, instead of the few of the usual run.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::command::{cargo, shown};
use crate::test::repository_root;

const USAGE: &str = "\
usage: cargo xtask formats [--cases N] [--seed S] [--release]
  --cases N   how many bodies go from one format to the other and back (1000000)
  --seed S    chooses the bodies (the time of day)
  --release   an optimised test; else as the tests are built";

const TEST: &str = "dialect::content::shape::tests::a_body_means_the_same_in_both_formats";

#[derive(PartialEq, Eq, Debug)]
struct Options {
    cases: u32,
    seed: u64,
    release: bool,
}

impl Options {
    fn parse(words: &[String], seed: u64) -> Result<Options, String> {
        let mut options = Options {
            cases: 1_000_000,
            seed,
            release: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let wanted = || format!("{word} takes a number\n{USAGE}");
            match word.as_str() {
                "--cases" => options.cases = number(words.next()).ok_or_else(wanted)?,
                "--seed" => options.seed = number(words.next()).ok_or_else(wanted)?,
                "--release" => options.release = true,
                _ => return Err(format!("{word:?} is not understood\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(word: Option<&String>) -> Option<T> {
    word.and_then(|text| text.parse().ok())
}

/// Runs what the words after `cargo xtask formats` ask for.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let options = Options::parse(words, since.unwrap_or_default().as_secs())?;
    let mut test = cargo();
    test.args(["test", "--locked", "--package", "wayleave-web", "--lib"]);
    test.args(options.release.then_some("--release"));
    test.args(["--", "--exact", TEST]);
    test.env("PROPTEST_CASES", options.cases.to_string());
    test.env("PROPTEST_RNG_SEED", options.seed.to_string());
    let begun = Instant::now();
    println!("formats: {} bodies, seed {}", options.cases, options.seed);
    match shown(test.current_dir(repository_root())) {
        true => {
            println!(
                "formats: done in {} s with the build",
                begun.elapsed().as_secs()
            );
            Ok(())
        }
        false => Err(format!("seed {}: see above", options.seed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_and_what_is_not_understood_is_refused() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Options::parse(&words, 7)
        };
        let options = |cases, seed, release| Options {
            cases,
            seed,
            release,
        };
        assert_eq!(parse(&[]), Ok(options(1_000_000, 7, false)));
        let all = parse(&["--cases", "10", "--seed", "3", "--release"]);
        assert_eq!(all, Ok(options(10, 3, true)));
        for wrong in [&["--cases"][..], &["--cases", "many"], &["--fast"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
