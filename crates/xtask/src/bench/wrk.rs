//! The load: `wrk` with one thread, replaying prepared requests.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::command::{command, find, install, may_install, output};

/// What one run of `wrk` counted.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub(super) struct Figures {
    pub(super) requests: u64,
    pub(super) duration_us: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    /// Answers with a status of 400 or more.
    pub(super) bad_status: u64,
    /// Connections that could not be opened, broke or fell silent.
    pub(super) broken: u64,
}

/// `wrk` and the script it runs.
pub(super) struct Wrk {
    program: PathBuf,
    script: PathBuf,
}

impl Wrk {
    /// Finds `wrk`, or installs Debian's package where this process may.
    pub(super) fn ready(script: PathBuf) -> Result<Wrk, String> {
        if find("wrk").is_none() && may_install() {
            eprintln!("bench: installing wrk");
            install(&["wrk"])?;
        }
        let program = find("wrk").ok_or("wrk is missing: apt-get install wrk")?;
        Ok(Wrk { program, script })
    }

    /// Sends the requests of a file to `HOST:PORT` for some seconds.
    pub(super) fn run(
        &self,
        address: &str,
        requests: &Path,
        connections: usize,
        seconds: usize,
    ) -> Result<Figures, String> {
        let url = format!("http://{address}/");
        self.run_at(&url, requests, connections, seconds)
    }

    /// The same over TLS; no certificate is looked at.
    pub(super) fn run_over_tls(
        &self,
        address: &str,
        requests: &Path,
        connections: usize,
        seconds: usize,
    ) -> Result<Figures, String> {
        let url = format!("https://{address}/");
        self.run_at(&url, requests, connections, seconds)
    }

    fn run_at(
        &self,
        url: &str,
        requests: &Path,
        connections: usize,
        seconds: usize,
    ) -> Result<Figures, String> {
        let printed = output(
            command(&self.program)
                .args(["-t", "1", "-c", &connections.to_string()])
                .args(["-d", &format!("{seconds}s"), "--timeout", "10s"])
                .arg("-s")
                .arg(&self.script)
                .args([url, "--"])
                .arg(requests),
        )?;
        figures(&printed)
    }

    /// The version that `wrk` says it is.
    pub(super) fn version(&self) -> String {
        // It ends with a failure after printing its version and its options.
        let printed = command(&self.program).arg("-v").output();
        let text = printed.map(|printed| [printed.stdout, printed.stderr].concat());
        let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
        text.split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The line of figures in what `wrk` or a client of ours printed.
pub(super) fn figures(printed: &str) -> Result<Figures, String> {
    let line = printed
        .lines()
        .find_map(|line| line.strip_prefix("FIGURES "));
    let line = line.ok_or_else(|| format!("there are no figures:\n{printed}"))?;
    let figures: Figures = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if figures.requests == 0 {
        return Err(format!("there was no answer at all: {line}"));
    }
    Ok(figures)
}

/// Writes whole requests into a file as the script reads them.
pub(super) fn write_requests(file: &Path, requests: &[String]) -> Result<(), String> {
    let length = requests.iter().map(|request| request.len() + 1).sum();
    let mut text = String::with_capacity(length);
    for request in requests {
        text.push_str(request);
        text.push('\u{1e}');
    }
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_found_in_what_wrk_prints() {
        let printed = "Running 1s test\n  1 threads\nFIGURES {\"requests\":9,\"duration_us\":1000,\
                       \"p50_us\":3,\"p99_us\":4,\"bad_status\":1,\"broken\":2}\n";
        let expected = Figures {
            requests: 9,
            duration_us: 1000,
            p50_us: 3,
            p99_us: 4,
            bad_status: 1,
            broken: 2,
        };
        assert_eq!(figures(printed), Ok(expected));
    }

    #[test]
    fn a_run_without_figures_or_answers_is_an_error() {
        assert!(figures("unable to connect").is_err());
        let none = "FIGURES {\"requests\":0,\"duration_us\":1000,\"p50_us\":0,\"p99_us\":0,\
                    \"bad_status\":0,\"broken\":0}";
        assert!(figures(none).is_err());
    }
}
