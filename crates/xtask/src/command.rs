//! Running other programs: never with a standard input, and silent unless they fail.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A command with no standard input.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// The `cargo` that runs this program.
pub(crate) fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command to its end; its output is shown only in the error.
pub(crate) fn quiet(command: &mut Command) -> Result<(), String> {
    output(command).map(|_| ())
}

/// Runs a command to its end and returns what it printed, trimmed.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{program} could not be started: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let text = last_lines(&format!("{printed}\n{complaint}"), 20);
    Err(format!("{program} failed ({}):\n{text}", output.status))
}

/// Runs a command to its end with its output shown as it comes; true when it succeeded.
pub(crate) fn shown(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            eprintln!("{program} could not be started: {error}");
            false
        }
    }
}

/// Where a program lies that `PATH` names.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// Whether this process may install Debian's packages.
pub(crate) fn may_install() -> bool {
    find("apt-get").is_some() && output(command("id").arg("-u")).is_ok_and(|uid| uid == "0")
}

/// Installs Debian's packages. Configuration files that exist already are kept.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let apt = || {
        let mut apt = command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    quiet(apt().arg("update"))?;
    quiet(
        apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(["--option", "Dpkg::Options::=--force-confold"])
            .args(packages),
    )
}

/// The last `count` lines of a text that are not blank.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_skip_blank_ones() {
        assert_eq!(last_lines("a\n\nb\n \nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 5), "a");
        assert_eq!(last_lines("", 5), "");
    }

    #[test]
    fn a_failing_command_says_what_it_printed() {
        let mut failing = command("sh");
        failing.args(["-c", "echo one; echo two >&2; exit 3"]);
        let message = quiet(&mut failing).unwrap_err();
        assert!(
            message.starts_with("sh failed (exit status: 3):"),
            "{message}"
        );
        assert!(message.ends_with("one\ntwo"), "{message}");
    }

    #[test]
    fn a_missing_program_is_an_error_and_not_a_panic() {
        let message = quiet(&mut command("there-is-no-such-program")).unwrap_err();
        assert!(message.contains("could not be started"), "{message}");
        assert!(find("there-is-no-such-program").is_none());
    }

    #[test]
    fn commands_get_no_standard_input() {
        assert_eq!(output(&mut command("cat")), Ok(String::new()));
    }
}
