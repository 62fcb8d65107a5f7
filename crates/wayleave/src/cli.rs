//! The command line.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use wayleave_core::{OperatorScope, PropertyId};
use wayleave_engine::{Clock as _, Database};
use wayleave_proxy::ApiBehind;

use crate::command::account::{self, AccountAct};
use crate::command::audit::{self, AuditAct};
use crate::command::catalogue::{self, CatalogueAct};
use crate::command::completions::{self, CompletedShell};
use crate::command::credential::{self, CredentialAct};
use crate::command::customer::{self, CustomerAct};
use crate::command::explain::{self, ExplainArgs};
use crate::command::instance::{self, InstanceAct};
use crate::command::integration::{self, IntegrationAct};
use crate::command::job::{self, JobAct};
use crate::command::key::{self, KeyAct};
use crate::command::mail::{self, MailAct};
use crate::command::order::{self, OrderAct};
use crate::command::partner::{self, PartnerAct};
use crate::command::plan::{self, PlanAct};
use crate::command::pool::{self, PoolAct};
use crate::command::pretend::{self, PretendArgs};
use crate::command::property::{self, PropertyAct};
use crate::command::reader::{self, ReaderAct};
use crate::command::route::{self, RouteAct};
use crate::command::sign::{self, SignArgs};
use crate::command::subscriber::{self, SubscriberAct};
use crate::command::token::{self, TokenAct};
use crate::command::usage::{self, UsageArgs};
use crate::config::Config;
use crate::demo::{self, DemoFile, DemoSettings};
use crate::operators_file::OperatorsFile;
use crate::ports::{SystemClock, SystemRandomness};
use crate::{backup, calls, doctor, master_key, restore, serve, store_copy, telemetry};

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
    /// Sign a request by any scheme: prints the headers, ready for curl -H @-; needs no server.
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
    /// External subscribers of content sites: import, export, link to readers.
    #[command(subcommand)]
    Subscriber(SubscriberAct),
    /// Readers of properties: make, sign in, sell, show, export, erase.
    #[command(subcommand)]
    Reader(ReaderAct),
    /// Keys of partners: make, roll, import, list, revoke.
    #[command(subcommand)]
    Credential(CredentialAct),
    /// Keys that sign tokens: list, rotate, remove.
    #[command(subcommand)]
    Key(KeyAct),
    /// APIs behind: list.
    #[command(subcommand)]
    Route(RouteAct),
    /// What is sold and at which prices: show, put.
    #[command(subcommand)]
    Catalogue(CatalogueAct),
    /// How partners buy: billing, price list, currency, saved card.
    #[command(subcommand)]
    Account(AccountAct),
    /// Client companies of partners: list.
    #[command(subcommand)]
    Customer(CustomerAct),
    /// Quotes and orders: list (what is stuck), show, settle, cancel, refund.
    #[command(subcommand)]
    Order(OrderAct),
    /// What is hosted for partners: list, show.
    #[command(subcommand)]
    Instance(InstanceAct),
    /// Licences and the devices that use them: list, show, add a device.
    #[command(subcommand)]
    Pool(PoolAct),
    /// Plans that partners bought: list, end.
    #[command(subcommand)]
    Plan(PlanAct),
    /// What is to be done later, and what was given up: list, retry.
    #[command(subcommand)]
    Job(JobAct),
    /// What partners were told by mail: list.
    #[command(subcommand)]
    Mail(MailAct),
    /// Tell the driver that pretends to make instances, in the test environment, how to behave.
    #[command(after_long_help = "Example:\n  wayleave pretend\n  wayleave pretend away")]
    Pretend(PretendArgs),
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
        Act::Sign(args) => sign::run(args),
        Act::Explain(args) => explain::run(args),
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
        Act::Subscriber(act) => subscriber::run(act, verbose),
        Act::Reader(act) => reader::run(act),
        Act::Credential(act) => credential::run(act, verbose),
        Act::Key(act) => key::run(act),
        Act::Route(act) => route::run(act),
        Act::Catalogue(act) => catalogue::run(act),
        Act::Account(act) => account::run(act),
        Act::Customer(act) => customer::run(act),
        Act::Order(act) => order::run(act),
        Act::Instance(act) => instance::run(act),
        Act::Pool(act) => pool::run(act),
        Act::Plan(act) => plan::run(act),
        Act::Job(act) => job::run(act),
        Act::Mail(act) => mail::run(act),
        Act::Pretend(args) => pretend::run(args),
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
