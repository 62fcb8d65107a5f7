//! `wayleave completions` and `wayleave man`: the command line for shells and for `man`.

use std::path::Path;
use std::process::ExitCode;

use clap::{Command, ValueEnum};
use clap_complete::Shell;

use super::Outcome;
use crate::cli::say;

const NAME: &str = "wayleave";

/// A shell that can complete our words.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum CompletedShell {
    /// bash with bash-completion.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

/// Prints the completions for a shell.
pub(crate) fn complete(shell: CompletedShell, mut definition: Command) -> Outcome {
    let shell = match shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut definition, NAME, &mut text);
    say(&String::from_utf8(text)?);
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for each command into a folder, which is made where it is missing.
pub(crate) fn write_pages(folder: &Path, definition: Command) -> Outcome {
    let named = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(named)?;
    clap_mangen::generate_to(definition, folder).map_err(named)?;
    say(&format!(
        "The pages are in {0}; read one with man {0}/{NAME}.1\n",
        folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}
