//! Developers' commands. `cargo xtask test` installs what the tests need and runs everything;
//! `cargo xtask bench` measures and writes `docs/benchmarks.md`; `cargo xtask faults` kills a
//! server under load and writes `docs/reliability.md`; `cargo xtask malformed` sends a server
//! malformed requests; `cargo xtask formats` tries JSON against XML; `cargo xtask release` builds what is
//! handed out.
//!
//! Built before anything else runs, so it depends on a few small crates and no async runtime.
#![allow(
    clippy::disallowed_methods,
    reason = "developers' commands measure wall time; the law about clocks is the product's"
)]

mod bench;
mod clients;
mod command;
mod elf;
mod faults;
mod formats;
mod malformed;
mod postgres;
mod proxies;
mod release;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [FILTER…]   install what the tests need, then check and test everything;
                                    with filters only the tests whose names contain one of them
       cargo xtask bench [OPTION…]  measure, and write docs/benchmarks.md and docs/benchmarks.json
       cargo xtask faults [OPTION…] kills it again and again and looks for what was lost; writes
                                    docs/reliability.md and docs/reliability.json
       cargo xtask malformed [OPTION…] sends a node malformed requests and looks at what comes of them
       cargo xtask formats [OPTION…] tries many more bodies in JSON and XML than the tests do
       cargo xtask release          build the static binary and pack it into target/dist";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((name, rest)) if name == "test" => test::run(rest),
        Some((name, rest)) if name == "bench" => bench::run(rest),
        Some((name, rest)) if name == "release" => release::run(rest),
        Some((name, rest)) if name == "faults" => faults::run(rest),
        Some((name, rest)) if name == "malformed" => malformed::run(rest),
        Some((name, rest)) if name == "formats" => formats::run(rest),
        Some((name, _)) if name == "help" || name == "--help" || name == "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        Some((name, _)) => Err(format!("there is no command {name:?}\n{USAGE}")),
        None => Err(format!("which command?\n{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
