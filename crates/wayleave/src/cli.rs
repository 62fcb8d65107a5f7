//! The command line.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use http::{Method, Uri};
use wayleave_core::{OperatorScope, PropertyId};
use wayleave_engine::{Clock as _, Database};
use wayleave_proxy::ApiBehind;

use crate::command::audit::{self, AuditAct};
use crate::command::completions::{self, CompletedShell};
use crate::command::credential::{self, CredentialAct};
use crate::command::integration::{self, IntegrationAct};
use crate::command::key::{self, KeyAct};
use crate::command::partner::{self, PartnerAct};
use crate::command::property::{self, PropertyAct};
use crate::command::route::{self, RouteAct};
use crate::command::token::{self, TokenAct};
use crate::command::usage::{self, UsageArgs};
use crate::config::Config;
use crate::demo::{self, DemoFile, DemoSettings};
use crate::explain::{ExplainSettings, explain};
use crate::operators_file::OperatorsFile;
use crate::ports::{SystemClock, SystemRandomness};
use crate::sign::{SignSettings, sign};
use crate::sign_message::{
    ExplainMessageSettings, SignMessageSettings, explain_message, sign_message,
};
use crate::{backup, calls, doctor, key_file, master_key, restore, serve, store_copy, telemetry};

/// Opens a company's API to its partners: keys, tokens and signed requests, live and test apart.
#[derive(Parser)]
#[command(version)]
struct Command {
    /// Log more.
    #[arg(long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand)]
enum Act {
    /// Start everything with a sample API and demo keys.
    Demo(DemoArgs),
    /// Start a node from a configuration file.
    Serve {
        /// The configuration file; deploy/wayleave.toml is an annotated one.
        #[arg(long)]
        config: PathBuf,
    },
    /// Look at a configuration file.
    #[command(subcommand)]
    Config(ConfigAct),
    /// Sign a request: prints the two headers, ready for curl -H @-.
    Sign(SignArgs),
    /// Explain why a signed request is refused; needs no server.
    Explain(ExplainArgs),
    /// Say who may call the admin address; needs no server.
    #[command(subcommand)]
    Operator(OperatorAct),
    /// Access tokens: look at one, revoke one.
    #[command(subcommand)]
    Token(TokenAct),
    /// Companies that have keys: make, rename, lapse, admit.
    #[command(subcommand)]
    Partner(PartnerAct),
    /// Client programs of partners: make, rename.
    #[command(subcommand)]
    Integration(IntegrationAct),
    /// Content sites of partners: make, change, list.
    #[command(subcommand)]
    Property(PropertyAct),
    /// Keys of partners: make, roll, import, list, revoke.
    #[command(subcommand)]
    Credential(CredentialAct),
    /// Keys that sign tokens: list, rotate, remove.
    #[command(subcommand)]
    Key(KeyAct),
    /// APIs behind: list.
    #[command(subcommand)]
    Route(RouteAct),
    /// What was used, as a table with a chart.
    #[command(
        after_long_help = "Example:\n  wayleave usage --env live --partner ptr_01m80p48vazfwqp45pxt8h5btb --by day"
    )]
    Usage(UsageArgs),
    /// Who did what: list, export.
    #[command(subcommand)]
    Audit(AuditAct),
    /// Print completions for a shell.
    #[command(
        after_long_help = "Example:\n  wayleave completions bash > ~/.local/share/bash-completion/completions/wayleave"
    )]
    Completions {
        /// The shell.
        shell: CompletedShell,
    },
    /// Write pages for man into a folder.
    #[command(after_long_help = "Example:\n  wayleave man /usr/local/share/man/man1")]
    Man {
        /// The folder.
        folder: PathBuf,
    },
    /// Write everything of an environment into one file, also while a server is running.
    #[command(
        after_long_help = "Example:\n  wayleave backup --config /etc/wayleave.toml --env live /backup/live.jsonl"
    )]
    Backup(backup::BackupArgs),
    /// Load a backup into an empty database; no server may be running.
    #[command(
        after_long_help = "Example:\n  wayleave restore --config /etc/wayleave.toml --env live /backup/live.jsonl"
    )]
    Restore(restore::RestoreArgs),
    /// Move data between databases.
    #[command(subcommand)]
    Store(store_copy::StoreAct),
    /// Make, count and end master keys.
    #[command(subcommand)]
    MasterKey(master_key::MasterKeyAct),
    /// Check configuration, databases, master keys and files; needs no server.
    #[command(after_long_help = "Example:\n  wayleave doctor --config /etc/wayleave.toml")]
    Doctor(doctor::DoctorArgs),
}

#[derive(Subcommand)]
enum ConfigAct {
    /// Check a file: unknown keys, wrong or unsafe values, addresses that clash, the files it names.
    Check {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum OperatorAct {
    /// Add a person and print their token, which is shown this once and kept nowhere.
    Create {
        /// Who it is, as the audit will say.
        name: String,
        /// operator, support or property_administrator.
        #[arg(long, default_value = "operator")]
        scope: OperatorScope,
        /// A property that a property_administrator may administer. Repeatable.
        #[arg(long = "property", value_name = "ID")]
        properties: Vec<PropertyId>,
        #[command(flatten)]
        place: OperatorsPlace,
    },
    /// Show who there is.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: OperatorsPlace,
    },
    /// Take a person off the list.
    Remove {
        /// Who it is.
        name: String,
        #[command(flatten)]
        place: OperatorsPlace,
    },
}

/// Where the operators are.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct OperatorsPlace {
    /// The file of the operators.
    #[arg(long)]
    file: Option<PathBuf>,
    /// A configuration file whose admin.operators_file names it.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct DemoArgs {
    /// The folder for databases, master keys and demo.json.
    #[arg(long, default_value = "./wayleave-data", global = true)]
    data: PathBuf,
    /// Where live answers [default: 127.0.0.1:8080, or a free port]; port 0: any.
    #[arg(long, value_name = "ADDR")]
    live: Option<SocketAddr>,
    /// Where test answers [default: 127.0.0.1:8081, or a free port]; port 0: any.
    #[arg(long, value_name = "ADDR")]
    test: Option<SocketAddr>,
    /// Where the operator calls [default: 127.0.0.1:8082, or a free port]; port 0: any.
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Where monitoring asks for /livez, /readyz and /metrics [default: nowhere].
    #[arg(long, value_name = "ADDR")]
    monitor: Option<SocketAddr>,
    /// Protect this API instead of the sample API.
    #[arg(long, value_name = "URL")]
    upstream: Option<ApiBehind>,
    /// A PostgreSQL URL for live [default: SQLite in the data folder].
    #[arg(long, value_name = "URL", requires = "test_database")]
    live_database: Option<String>,
    /// A PostgreSQL URL for test [default: SQLite in the data folder].
    #[arg(long, value_name = "URL", requires = "live_database")]
    test_database: Option<String>,
    #[command(subcommand)]
    act: Option<DemoAct>,
}

#[derive(Subcommand)]
enum DemoAct {
    /// Print every kind of call, ready to paste.
    Calls,
}

#[derive(Args)]
struct KeyArgs {
    /// Take keys of the demonstration: test.management, test.access, test.signing, and live. for test.
    #[arg(long = "as", value_name = "SET")]
    demo_set: Option<String>,
    /// The data folder of the demonstration.
    #[arg(long, default_value = "./wayleave-data")]
    data: PathBuf,
    /// A file with the secret key; without it the variable WAYLEAVE_SECRET counts.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

#[derive(Args)]
struct SignArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// The access key, or the public id of the credential.
    #[arg(
        long,
        alias = "key-id",
        conflicts_with = "demo_set",
        required_unless_present = "demo_set"
    )]
    access_key: Option<String>,
    /// signed, or http-signature (RFC 9421) [default: that of the keys of --as, else signed].
    #[arg(long, value_parser = ["signed", "http-signature"])]
    scheme: Option<String>,
    /// A file with the body: http-signature signs its digest.
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// The text of the Timestamp header [default: now].
    #[arg(long, conflicts_with = "body_file")]
    timestamp: Option<String>,
    /// Print JSON, with the string that was signed.
    #[arg(long)]
    json: bool,
    /// Such as GET.
    method: Method,
    /// The address, or its path and query; http-signature signs the whole address.
    address: Uri,
}

#[derive(Args)]
struct ExplainArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// The Timestamp header as sent.
    #[arg(long, required_unless_present = "signature_input")]
    timestamp: Option<String>,
    /// The Authentication header as sent.
    #[arg(long, required_unless_present = "signature_input")]
    authentication: Option<String>,
    /// The Signature-Input header as sent (http-signature); then the address is whole.
    #[arg(long, requires = "signature", conflicts_with_all = ["timestamp", "authentication", "form_body"])]
    signature_input: Option<String>,
    /// The Signature header as sent.
    #[arg(long, requires = "signature_input")]
    signature: Option<String>,
    /// Another header that is covered, such as 'Content-Digest: sha-256=:...:'; may come more than
    /// once.
    #[arg(long = "header", value_name = "HEADER", requires = "signature_input")]
    headers: Vec<String>,
    /// A file with the body whose digest was signed.
    #[arg(long, value_name = "FILE", requires = "signature_input")]
    body_file: Option<PathBuf>,
    /// The string that the client signed, line feeds as \n; - reads standard input.
    #[arg(long)]
    base_string: Option<String>,
    /// A file with the body, where it is a form.
    #[arg(long, value_name = "FILE")]
    form_body: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Such as GET.
    method: Method,
    /// The address, or its path and query.
    address: Uri,
}

/// Prints to standard output; a reader that went away is no reason to end.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let command = Command::parse();
    let outcome = {
        let _log = telemetry::start(command.verbose);
        act(command.act, command.verbose)
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("wayleave: {error}");
        ExitCode::FAILURE
    })
}

fn act(act: Act, verbose: bool) -> Outcome {
    match act {
        Act::Demo(args) => run_demo(args),
        Act::Serve { config } => serve::serve(&config).map(|()| ExitCode::SUCCESS),
        Act::Config(ConfigAct::Check { file }) => {
            Config::read(&file)?.check()?;
            say(&format!("{}: fine\n", file.display()));
            Ok(ExitCode::SUCCESS)
        }
        Act::Sign(args) => run_sign(args),
        Act::Explain(args) => run_explain(args),
        Act::Backup(args) => backup::run(&args).map(|()| ExitCode::SUCCESS),
        Act::Restore(args) => restore::run(args).map(|()| ExitCode::SUCCESS),
        Act::Store(act) => store_copy::run(&act).map(|()| ExitCode::SUCCESS),
        Act::MasterKey(act) => master_key::run(&act).map(|()| ExitCode::SUCCESS),
        Act::Doctor(args) => doctor::run(&args).map(exit_code),
        Act::Operator(act) => run_operator(act),
        Act::Token(act) => token::run(act),
        Act::Partner(act) => partner::run(act),
        Act::Integration(act) => integration::run(act),
        Act::Property(act) => property::run(act),
        Act::Credential(act) => credential::run(act, verbose),
        Act::Key(act) => key::run(act),
        Act::Route(act) => route::run(act),
        Act::Usage(args) => usage::run(args),
        Act::Audit(act) => audit::run(act),
        Act::Completions { shell } => completions::complete(shell, Command::command()),
        Act::Man { folder } => completions::write_pages(&folder, Command::command()),
    }
}

impl OperatorsPlace {
    fn open(&self) -> Result<OperatorsFile, Box<dyn std::error::Error>> {
        match (&self.file, &self.config) {
            (Some(file), _) => Ok(OperatorsFile::at(file)),
            (None, Some(config)) => Ok(OperatorsFile::at(Config::read(config)?.operators_file())),
            (None, None) => Err("give --file, or --config with a configuration file".into()),
        }
    }
}

/// A token goes to standard output alone, so that it can be piped to where it is kept.
fn run_operator(act: OperatorAct) -> Outcome {
    match act {
        OperatorAct::Create {
            name,
            scope,
            properties,
            place,
        } => {
            let file = place.open()?;
            let now = SystemClock.now();
            let token = file.create(&name, scope, &properties, now, &SystemRandomness)?;
            say(&format!("{token}\n"));
            eprintln!(
                "{name} may call as {scope}. The token is shown this once; a running server takes it after a reload (SIGHUP)."
            );
        }
        OperatorAct::List { json, place } => say(&list_operators(&place.open()?, json)?),
        OperatorAct::Remove { name, place } => {
            place.open()?.remove(&name)?;
            eprintln!(
                "{name} is off the list. A running server still takes the token until a reload (SIGHUP)."
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list_operators(file: &OperatorsFile, json: bool) -> Result<String, Box<dyn std::error::Error>> {
    let operators = file.list()?;
    if json {
        return Ok(serde_json::to_string_pretty(&operators)? + "\n");
    }
    let lines = operators.iter().map(|operator| {
        format!(
            "{:<24} {:<24} {} {}\n",
            operator.name,
            operator.scope,
            operator.created_at,
            operator.properties.join(" ")
        )
    });
    Ok(lines.collect())
}

pub(crate) fn exit_code(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_demo(args: DemoArgs) -> Outcome {
    if let Some(DemoAct::Calls) = args.act {
        say(&calls::all_calls(&args.data, &DemoFile::read(&args.data)?));
        return Ok(ExitCode::SUCCESS);
    }
    let settings = DemoSettings {
        data: args.data,
        live: args.live,
        test: args.test,
        admin: args.admin,
        monitor: args.monitor,
        upstream: args.upstream,
        live_database: args.live_database.as_deref().map(Database::parse),
        test_database: args.test_database.as_deref().map(Database::parse),
    };
    demo::run(&settings).map(|()| ExitCode::SUCCESS)
}

impl KeyArgs {
    /// Whether they are keys of the demonstration that sign messages.
    fn sign_messages(&self) -> bool {
        let set = self.demo_set.as_deref();
        set.is_some_and(|set| set.ends_with(".signing"))
    }

    /// The access key and secret of the demonstration's set, or only a secret.
    fn read(&self) -> Result<(Option<String>, Option<String>), Box<dyn std::error::Error>> {
        if let Some(name) = &self.demo_set {
            let file = DemoFile::read(&self.data)?;
            let (key, secret) = file.signing_keys(name).ok_or_else(|| {
                format!("there are no keys {name:?}: take test.management, test.access, test.signing, live.management, live.access or live.signing")
            })?;
            return Ok((Some(key.to_owned()), Some(secret.to_owned())));
        }
        if let Some(path) = &self.secret_file {
            let secret = key_file::read_private(path)?;
            return Ok((None, Some(secret.trim_end_matches(['\r', '\n']).to_owned())));
        }
        Ok((None, std::env::var("WAYLEAVE_SECRET").ok()))
    }
}

fn run_sign(args: SignArgs) -> Outcome {
    let (demo_key, secret_key) = args.key.read()?;
    let access_key = args
        .access_key
        .or(demo_key)
        .ok_or("give --access-key or --as")?;
    let secret_key = secret_key
        .ok_or("no secret: give --secret-file, or set WAYLEAVE_SECRET (a secret on the command line can be seen by others)")?;
    let signs_messages = match args.scheme.as_deref() {
        Some(scheme) => scheme == "http-signature",
        None => args.key.sign_messages(),
    };
    if signs_messages {
        let settings = SignMessageSettings {
            method: args.method,
            address: args.address,
            key_id: access_key,
            secret: secret_key,
            body: args.body_file.as_deref().map(read_bytes).transpose()?,
            json: args.json,
        };
        say(&sign_message(&settings)?);
        return Ok(ExitCode::SUCCESS);
    }
    let settings = SignSettings {
        method: args.method,
        address: args.address,
        access_key,
        secret_key,
        timestamp: args.timestamp,
        json: args.json,
    };
    say(&sign(&settings)?);
    Ok(ExitCode::SUCCESS)
}

fn run_explain(args: ExplainArgs) -> Outcome {
    let (_, secret_key) = args.key.read()?;
    if let (Some(signature_input), Some(signature)) = (args.signature_input, args.signature) {
        let explained = explain_message(&ExplainMessageSettings {
            method: args.method,
            address: args.address,
            signature_input,
            signature,
            headers: args.headers,
            body: args.body_file.as_deref().map(read_bytes).transpose()?,
            secret: secret_key,
            base_string: args.base_string.map(read_argument).transpose()?,
            json: args.json,
        })?;
        say(&explained.text);
        return Ok(exit_code(explained.is_good));
    }
    let settings = ExplainSettings {
        method: args.method,
        address: args.address,
        timestamp: args.timestamp.unwrap_or_default(),
        authentication: args.authentication.unwrap_or_default(),
        secret_key,
        base_string: args.base_string.map(read_argument).transpose()?,
        form_body: args.form_body.as_deref().map(read_file).transpose()?,
        json: args.json,
    };
    let explained = explain(&settings)?;
    say(&explained.text);
    Ok(exit_code(explained.is_good))
}

/// An argument, or standard input where it is a dash.
fn read_argument(text: String) -> std::io::Result<String> {
    if text != "-" {
        return Ok(text);
    }
    let mut read = String::new();
    std::io::stdin().read_to_string(&mut read)?;
    Ok(read)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_file(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command without commands of its own, with the words that lead to it.
    fn leaves<'c>(
        command: &'c clap::Command,
        path: &str,
        found: &mut Vec<(String, &'c clap::Command)>,
    ) {
        let path = format!("{path} {}", command.get_name());
        if !command.has_subcommands() {
            found.push((path, command));
            return;
        }
        for inner in command.get_subcommands() {
            leaves(inner, &path, found);
        }
    }

    /// Words as a shell takes them, of which some are in single quotes.
    fn shell_words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (place, piece) in line.split('\'').enumerate() {
            if place % 2 == 1 {
                words.push(piece.to_owned());
            } else {
                words.extend(piece.split_whitespace().map(str::to_owned));
            }
        }
        words
    }

    #[test]
    fn the_definition_holds_and_commands_over_the_admin_api_have_examples_that_can_be_read() {
        let mut definition = Command::command();
        definition.build();
        definition.clone().debug_assert();
        let mut found = Vec::new();
        leaves(&definition, "", &mut found);
        let calling = found.iter().filter(|(path, command)| {
            let takes = |name| {
                command
                    .get_arguments()
                    .any(|argument| argument.get_id() == name)
            };
            takes("insecure_http") && !path.contains(" help")
        });
        let mut examples = 0;
        for (path, command) in calling {
            let help = command.get_after_long_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let lines = help.lines().filter(|line| line.starts_with("  wayleave "));
            let mut own = 0;
            for line in lines {
                let line = line.split(['|', '<', '>']).next().unwrap_or_default();
                Command::try_parse_from(shell_words(line))
                    .unwrap_or_else(|error| panic!("{path}: {line}: {error}"));
                own += 1;
            }
            assert!(own > 0, "{path} has no example");
            examples += own;
        }
        assert!(examples >= 30, "{examples}");
    }
}
