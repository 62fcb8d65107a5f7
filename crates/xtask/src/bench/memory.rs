//! Whether memory stays flat over very many requests.

use std::fs;

use super::options::Options;
use super::report::Once;
use super::rounds::Stand;
use super::target::Target;
use super::wrk::Wrk;

/// How many requests are sent before memory is looked at for the first time, as a share of all:
/// what is made once is there by then.
const WARM_SHARE: u64 = 10;

/// The most that memory may grow meanwhile, in per cent.
const MOST_PERCENT: f64 = 5.0;

/// Sends requests through the proxy and compares its resident memory after a tenth of them with that
/// after all.
pub(super) fn growth(options: &Options, wrk: &Wrk, stand: &mut Stand<'_>) -> Result<Once, String> {
    let all = options.memory as u64;
    eprintln!("bench: memory over {all} requests");
    send(wrk, stand, all / WARM_SHARE)?;
    let before = resident_kib(stand.server.pid())?;
    send(wrk, stand, all)?;
    let after = resident_kib(stand.server.pid())?;
    eprintln!("bench: {before} KiB, then {after} KiB");
    Ok(Once {
        name: "proxy with signature check: memory growth over a million requests".to_owned(),
        value: 100.0 * (after - before) / before,
        unit: "%",
        at_most: Some(MOST_PERCENT),
        command: format!(
            "cargo xtask bench --only {}",
            Target::GatewayWayleave.name()
        ),
    })
}

/// Sends at least so many requests, a second's worth at a time.
fn send(wrk: &Wrk, stand: &mut Stand<'_>, count: u64) -> Result<(), String> {
    let mut sent = 0;
    while sent < count {
        stand.workload.freshen()?;
        let workload = &stand.workload;
        let connections = Target::GatewayWayleave.connections();
        let figures = wrk.run(&workload.address, &workload.file, connections, 1)?;
        if figures.bad_status + figures.broken > 0 {
            return Err(workload.first_bad_answer());
        }
        sent += figures.requests;
    }
    Ok(())
}

/// The resident memory of a process, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<f64, String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|error| format!("the server's memory: {error}"))?;
    resident_of(&status).ok_or_else(|| "the server's memory is not told".to_owned())
}

fn resident_of(status: &str) -> Option<f64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read() {
        let status = "VmPeak:\t  123 kB\nVmRSS:\t   51200 kB\nThreads:\t3\n";
        assert_eq!(resident_of(status), Some(51_200.0));
        assert_eq!(resident_of("Threads:\t3\n"), None);
        assert!(resident_kib(std::process::id()).unwrap() > 100.0);
    }
}
