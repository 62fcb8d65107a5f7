//! `wayleave token`: operator tokens are made, access tokens are looked at and revoked.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::print::{Column, moment, plain, state};
use super::remote::{AdminArgs, ConfirmArgs, Remote};
use super::{Failure, Outcome};
use crate::key_file;

const COLUMNS: &[Column] = &[
    state("active", "active"),
    plain("client id", "client_id"),
    plain("credential", "credential"),
    plain("integration", "integration"),
    plain("partner", "partner"),
    plain("audience", "aud"),
    plain("scopes", "scope"),
    moment("issued", "iat", "-"),
    moment("expires", "exp", "-"),
    plain("issuer", "iss"),
    plain("subject", "sub"),
    plain("token id", "jti"),
];
/// No token is longer.
const LIMIT_BYTES: u64 = 64 * 1024;

/// Where the token is: never on the command line, where others could see it.
#[derive(Args)]
pub(crate) struct Subject {
    /// A file with the access token, readable by you alone [default: standard input].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What to do with tokens.
#[derive(Subcommand)]
pub(crate) enum TokenAct {
    /// Say whether an access token holds, whose it is and how long (RFC 7662).
    #[command(after_long_help = "Example:\n  wayleave token introspect < token.txt")]
    Introspect {
        #[command(flatten)]
        subject: Subject,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// End an access token before its time (RFC 7009).
    #[command(after_long_help = "Example:\n  wayleave token revoke --env live --file token.txt")]
    Revoke {
        #[command(flatten)]
        subject: Subject,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: TokenAct) -> Outcome {
    match act {
        TokenAct::Introspect { subject, admin } => {
            let mut remote = Remote::new(&admin)?;
            let body = json!({ "token": subject.read()? });
            let answer = remote.post("/tokens/introspect", Some(&body))?;
            remote.print(&answer, |remote| about(remote, &answer));
        }
        TokenAct::Revoke {
            subject,
            confirm,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let body = json!({ "token": subject.read()? });
            remote.confirm(confirm, "Revoke the token")?;
            let answer = remote.post("/tokens/revoke", Some(&body))?;
            remote.print(&answer, |remote| {
                let done = match answer["revoked"].as_bool() {
                    Some(false) => "The token did not count anyway",
                    _ => "The token is revoked",
                };
                format!("{done} in {}.\n", remote.place())
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn about(remote: &Remote, answer: &Value) -> String {
    let card = remote.paper.card(COLUMNS, answer);
    format!("Token in {}:\n{card}", remote.place())
}

impl Subject {
    fn read(&self) -> Result<String, Failure> {
        let text = match &self.file {
            Some(file) => key_file::read_private(file)?,
            None => read_standard_input()?,
        };
        match text.trim() {
            "" => Err("no token: pass it on standard input, or name its file with --file".into()),
            token => Ok(token.to_owned()),
        }
    }
}

fn read_standard_input() -> std::io::Result<String> {
    let mut text = String::new();
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("Paste the token and press Enter:");
        stdin.read_line(&mut text)?;
    } else {
        stdin.lock().take(LIMIT_BYTES).read_to_string(&mut text)?;
    }
    Ok(text)
}
