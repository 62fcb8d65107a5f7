//! `wayleave key`: the keys that sign tokens.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, moment, plain, state};
use super::remote::{AdminArgs, ConfirmArgs, Remote};
use crate::admin_client::escape;
use crate::cli::exit_code;
use crate::key_lint::{self, LintArgs};

const COLUMNS: &[Column] = &[
    plain("kid", "kid"),
    plain("algorithm", "algorithm"),
    plain("generation", "generation"),
    state("state", "state"),
    moment("created", "created_at", "-"),
    moment("signs from", "signs_from_at", "-"),
];

/// What to do with keys.
#[derive(Subcommand)]
pub(crate) enum KeyAct {
    /// Tell kind and environment of a partner's key and whether its check symbols fit, or find
    /// leaked keys in files; needs no server.
    #[command(after_long_help = "Example:\n  wayleave key lint --scan src/*.py")]
    Lint(LintArgs),
    /// List the keys that sign tokens: the next, the current, and those that are retired.
    #[command(after_long_help = "Example:\n  wayleave key list --env live")]
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Let the next key, which is published already, sign from now on. Tokens stay good.
    #[command(after_long_help = "Example:\n  wayleave key rotate --env live")]
    Rotate {
        /// Even where it was published less than ten minutes ago, so that caches may not know it.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// In an emergency: remove a key. Its tokens are dead at once, and a new key is made.
    #[command(after_long_help = "Example:\n  wayleave key remove --env live KID")]
    Remove {
        /// Its id, as key list shows it.
        // One in 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: KeyAct) -> Outcome {
    match act {
        KeyAct::Lint(args) => key_lint::run(&args).map(exit_code),
        KeyAct::List { admin } => {
            let listing = Listing {
                path: "/keys",
                filters: &[],
                cursor: None,
                after: None,
                columns: COLUMNS,
                nouns: ("key", "keys"),
            };
            list(&mut Remote::new(&admin)?, &listing)
        }
        KeyAct::Rotate {
            force,
            confirm,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            remote.confirm(confirm, "Let the next key sign tokens")?;
            let body = if force {
                json!({ "force": true })
            } else {
                json!({})
            };
            let answer = remote.post("/keys/rotate", Some(&body))?;
            show(&remote, &answer, "Rotated")
        }
        KeyAct::Remove {
            kid,
            confirm,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            remote.confirm(confirm, &format!("Remove the key {kid} and end its tokens"))?;
            let answer = remote.post(&format!("/keys/{}/remove", escape(&kid)), None)?;
            show(&remote, &answer, "Removed")
        }
    }
}

/// The keys as they are now, or the one that the answer is about.
fn show(remote: &Remote, answer: &Value, done: &str) -> Outcome {
    remote.print(answer, |remote| {
        let keys = match answer["data"].as_array() {
            Some(keys) => remote.paper.table(COLUMNS, keys, &mut Vec::new()),
            None => remote.paper.card(COLUMNS, answer),
        };
        format!("{done} in {}:\n{keys}", remote.place())
    });
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Words {
        #[command(subcommand)]
        act: KeyAct,
    }

    #[test]
    fn the_id_of_a_key_may_begin_with_a_hyphen() {
        for words in [
            &["key", "remove", "-e4-Xy", "--json"][..],
            &["key", "remove", "--json", "-e4-Xy"],
            &["key", "remove", "-_8"],
        ] {
            let read = Words::try_parse_from(words).map(|words| words.act);
            assert!(
                matches!(&read, Ok(KeyAct::Remove { kid, .. }) if kid.starts_with('-')),
                "{words:?}: {:?}",
                read.err().map(|error| error.to_string())
            );
        }
    }
}
