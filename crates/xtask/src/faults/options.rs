//! What the command line asked for.

use std::ops::RangeInclusive;

/// Printed where the words are not understood.
const USAGE: &str = "\
usage: cargo xtask faults [--kills N] [--database sqlite|postgres|both] [--seed S] [--load LEAST..MOST] [--release] [--no-write]
  --kills N         how often the server is killed, for each database (200)
  --database NAME   sqlite, postgres or both (both)
  --seed S          the numbers that choose the requests and the moments (the time of day)
  --load L..M       how long it is under load before a kill, in milliseconds (200..5000)
  --release         kill the release build instead of the dev build
  --no-write        leave docs/reliability.md and docs/reliability.json as they are
The published figures are those of a run on both databases with 200 kills or more each.";

/// Fewer kills are no figures to publish.
const PUBLISHED_KILLS: usize = 200;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// As people write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
        }
    }

    /// The word of the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        }
    }
}

/// The command line of `cargo xtask faults`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(super) kills: usize,
    pub(super) engines: Vec<Engine>,
    pub(super) seed: Option<u64>,
    pub(super) load_ms: RangeInclusive<u64>,
    pub(super) release: bool,
    pub(super) write: bool,
    /// Whether it is a failure to be slow.
    pub(super) times_count: bool,
    /// How often it is told to end, and how often its database is stopped.
    pub(super) stops: usize,
}

impl Options {
    /// Reads the words after `cargo xtask faults`.
    pub(crate) fn parse(words: &[String]) -> Result<Options, String> {
        let mut options = Options {
            kills: PUBLISHED_KILLS,
            engines: vec![Engine::Sqlite, Engine::Postgres],
            seed: None,
            load_ms: 200..=5000,
            release: false,
            write: true,
            times_count: true,
            stops: 5,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--kills" => options.kills = number(word, words.next())? as usize,
                "--seed" => options.seed = Some(number(word, words.next())?),
                "--database" => options.engines = engines(words.next())?,
                "--load" => options.load_ms = span(words.next())?,
                "--release" => options.release = true,
                "--no-write" => options.write = false,
                _ => return Err(format!("what is {word:?}?\n{USAGE}")),
            }
        }
        options.write &= options.engines.len() == 2 && options.kills >= PUBLISHED_KILLS;
        Ok(options)
    }

    /// A few kills with little load: whether anything is lost, for every change. How long it takes
    /// does not count, for the machine may be busy.
    pub(crate) fn brief(with_postgres: bool) -> Options {
        let mut engines = vec![Engine::Sqlite];
        engines.extend(with_postgres.then_some(Engine::Postgres));
        Options {
            kills: 3,
            engines,
            seed: None,
            load_ms: 200..=1000,
            release: false,
            write: false,
            times_count: false,
            stops: 1,
        }
    }
}

fn number(name: &str, word: Option<&String>) -> Result<u64, String> {
    word.and_then(|word| word.parse().ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("{name} needs a whole number above 0\n{USAGE}"))
}

fn engines(word: Option<&String>) -> Result<Vec<Engine>, String> {
    match word.map(String::as_str) {
        Some("sqlite") => Ok(vec![Engine::Sqlite]),
        Some("postgres") => Ok(vec![Engine::Postgres]),
        Some("both") => Ok(vec![Engine::Sqlite, Engine::Postgres]),
        _ => Err(format!("--database is sqlite, postgres or both\n{USAGE}")),
    }
}

fn span(word: Option<&String>) -> Result<RangeInclusive<u64>, String> {
    word.and_then(|word| word.split_once(".."))
        .and_then(|(least, most)| Some((least.parse().ok()?, most.parse().ok()?)))
        .filter(|(least, most)| least <= most)
        .map(|(least, most)| least..=most)
        .ok_or_else(|| {
            format!("--load needs two numbers of milliseconds, as in 200..5000\n{USAGE}")
        })
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
        assert_eq!((options.kills, options.engines.len()), (200, 2));
        assert!(options.write);
        assert_eq!(options.load_ms, 200..=5000);
    }

    #[test]
    fn a_part_of_it_is_not_published() {
        assert!(!parse("--kills 3").unwrap().write);
        assert!(!parse("--database sqlite").unwrap().write);
        assert!(!parse("--no-write").unwrap().write);
        assert!(
            parse("--seed 5 --load 200..1500 --kills 300")
                .unwrap()
                .write
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "--fast",
            "--kills 0",
            "--kills",
            "--seed x",
            "--database mysql",
            "--load 5",
            "--load 9..3",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
