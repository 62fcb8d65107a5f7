//! The node as a command reaches it: where it is, the token that opens it, the environment.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::Value;
use wayleave_core::{Audience, Environment};
use wayleave_engine::Clock;

use super::Failure;
use super::print::Paper;
use crate::admin_client::{AdminClient, AdminError, Destination, escape};
use crate::cli::say;
use crate::demo::DemoFile;
use crate::key_file;
use crate::ports::SystemClock;

const HEADING: &str = "Where and how";
/// The data folder of `wayleave demo` unless another one is named.
const USUAL_DATA: &str = "./wayleave-data";
/// As much as a page may have.
const PAGE: usize = 1000;

/// Options of every command that calls the admin address.
#[derive(Args, Clone)]
pub(crate) struct AdminArgs {
    /// The environment.
    #[arg(long, default_value = "test", value_parser = environment_parser(), help_heading = HEADING)]
    env: Environment,
    /// Print JSON: one document, or one array with everything that is listed.
    #[arg(long, help_heading = HEADING)]
    json: bool,
    /// The admin address [default: WAYLEAVE_ADMIN_URL].
    #[arg(long, value_name = "URL", conflicts_with = "data", help_heading = HEADING)]
    admin: Option<String>,
    /// A file with the operator token, readable by you alone [default: WAYLEAVE_ADMIN_TOKEN, or the
    /// file that WAYLEAVE_ADMIN_TOKEN_FILE names].
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    token_file: Option<PathBuf>,
    /// Call the demonstration whose data is in this folder [default: ./wayleave-data, where nothing
    /// else is given].
    #[arg(long, value_name = "DIR", help_heading = HEADING)]
    data: Option<PathBuf>,
    /// Certificates to trust over https, in PEM [default: WAYLEAVE_CA, or those of the system].
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    ca: Option<PathBuf>,
    /// Send the operator token over plain http to another machine.
    #[arg(long, help_heading = HEADING)]
    insecure_http: bool,
}

/// The option of commands that take something away.
#[derive(Args, Clone, Copy)]
pub(crate) struct ConfirmArgs {
    /// Do not ask before something is taken away in live.
    #[arg(long, help_heading = HEADING)]
    yes: bool,
}

fn environment_parser() -> impl TypedValueParser<Value = Environment> {
    PossibleValuesParser::new(["live", "test"]).try_map(|word| word.parse::<Environment>())
}

/// Reads the word of an audience, and lists them all in the help.
pub(crate) fn audience_parser() -> impl TypedValueParser<Value = Audience> {
    PossibleValuesParser::new(Audience::ALL.map(Audience::as_str))
        .try_map(|word| word.parse::<Audience>())
}

/// Where to call and with which token.
#[derive(PartialEq, Eq)]
struct Access {
    url: String,
    token: String,
}

/// Options first, then the environment's variables, then the usual folder of the demonstration. Each
/// token stays with the address that it was given for: that of a demonstration goes nowhere else.
fn access(
    args: &AdminArgs,
    variable: impl Fn(&str) -> Option<String>,
    usual_data: &Path,
) -> Result<Access, Failure> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let given_url = set("WAYLEAVE_ADMIN_URL");
    let given_token = set("WAYLEAVE_ADMIN_TOKEN");
    let given_file = set("WAYLEAVE_ADMIN_TOKEN_FILE").map(PathBuf::from);
    let nothing_given = args.admin.is_none()
        && args.token_file.is_none()
        && given_url.is_none()
        && given_token.is_none()
        && given_file.is_none();
    let demo = match &args.data {
        Some(data) => Some(DemoFile::read(data)?),
        None if nothing_given && DemoFile::path(usual_data).exists() => {
            Some(DemoFile::read(usual_data)?)
        }
        None => None,
    };
    let (demo_url, demo_token) = demo.map(|demo| (demo.admin.url, demo.admin.token)).unzip();
    let url = args.admin.clone().or(demo_url).or(given_url);
    let url = url.ok_or(
        "where is the node? Give --admin URL, set WAYLEAVE_ADMIN_URL, or name the folder of a demonstration with --data DIR",
    )?;
    let token = match (&args.token_file, demo_token.or(given_token), &given_file) {
        (Some(file), _, _) | (None, None, Some(file)) => read_token(file)?,
        (None, Some(token), _) => token,
        (None, None, None) => {
            return Err("no operator token: give --token-file FILE, or set WAYLEAVE_ADMIN_TOKEN or WAYLEAVE_ADMIN_TOKEN_FILE (a token on the command line can be seen by others)".into());
        }
    };
    Ok(Access { url, token })
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let token = key_file::read_private(file)?;
    match token.trim() {
        "" => Err(format!(
            "{} is empty: it should hold the operator token",
            file.display()
        )
        .into()),
        token => Ok(token.to_owned()),
    }
}

/// A connection to a node, in one environment.
pub(crate) struct Remote {
    client: AdminClient,
    destination: Destination,
    /// The environment that the calls go to.
    pub(crate) environment: Environment,
    /// Whether to print JSON.
    pub(crate) json: bool,
    /// How to print for people.
    pub(crate) paper: Paper,
}

impl Remote {
    /// Finds address and token; nothing is called yet.
    pub(crate) fn new(args: &AdminArgs) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        let access = access(args, variable, Path::new(USUAL_DATA))?;
        let roots = args
            .ca
            .clone()
            .or_else(|| std::env::var_os("WAYLEAVE_CA").map(PathBuf::from));
        let destination = Destination::new(
            &access.url,
            &access.token,
            roots.as_deref(),
            args.insecure_http,
        )?;
        Ok(Remote {
            client: AdminClient::new(destination.clone())?,
            destination,
            environment: args.env,
            json: args.json,
            paper: Paper::of_this_terminal(SystemClock.now().unix_s()),
        })
    }

    /// One more connection, for another thread.
    pub(crate) fn another_client(&self) -> Result<AdminClient, AdminError> {
        AdminClient::new(self.destination.clone())
    }

    /// The address below which everything of the environment is.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/{}/v1{rest}", self.environment)
    }

    /// Such as `test at http://127.0.0.1:8082`.
    pub(crate) fn place(&self) -> String {
        format!("{} at {}", self.environment, self.destination.url())
    }

    /// Reads an address of the environment, such as `/partners`.
    pub(crate) fn get(&mut self, rest: &str) -> Result<Value, Failure> {
        let path = self.path(rest);
        Ok(self.client.get(&path)?)
    }

    /// Does something in the environment.
    pub(crate) fn post(&mut self, rest: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let path = self.path(rest);
        Ok(self.client.post(&path, body)?)
    }

    /// Reads every page of a list. `cursor`: the member of a row that the next page begins after;
    /// `None`: the list has one page. `first_after`: where the first page begins.
    pub(crate) fn pages(
        &mut self,
        rest: &str,
        filters: &[(&str, Option<String>)],
        cursor: Option<&str>,
        first_after: Option<String>,
        take: &mut dyn FnMut(&[Value]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut query: Vec<String> = filters
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", escape(value.as_ref()?))))
            .collect();
        if cursor.is_some() {
            query.push(format!("limit={PAGE}"));
        }
        let after_word = |last: &str| format!("after={}", escape(last));
        let mut after = first_after.as_deref().map(after_word);
        loop {
            let words: Vec<&str> = query
                .iter()
                .chain(after.as_ref())
                .map(String::as_str)
                .collect();
            let page = self.get(&format!("{rest}?{}", words.join("&")))?;
            let rows = page["data"].as_array().ok_or("the node answered without a list: is it older than this command? Compare wayleave --version")?;
            take(rows)?;
            let last = cursor.and_then(|member| rows.last()?.get(member));
            match last {
                Some(last) if page["has_more"] == true => {
                    let last = last
                        .as_str()
                        .map_or_else(|| last.to_string(), str::to_owned);
                    after = Some(after_word(&last));
                }
                _ => return Ok(()),
            }
        }
    }

    /// Asks before something is taken away in live, where somebody is there to answer.
    pub(crate) fn confirm(&self, args: ConfirmArgs, question: &str) -> Result<(), Failure> {
        let stdin = std::io::stdin();
        let somebody_is_there = stdin.is_terminal() && std::io::stderr().is_terminal();
        if !must_ask(self.environment, args, somebody_is_there) {
            return Ok(());
        }
        eprint!("{question} in {}? [y/N] ", self.place());
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        stdin.read_line(&mut answer)?;
        if is_yes(&answer) {
            Ok(())
        } else {
            Err("nothing was done".into())
        }
    }

    /// Prints a document for programs, or a text for people.
    pub(crate) fn print(&self, document: &Value, text: impl FnOnce(&Self) -> String) {
        if self.json {
            say(&format!("{document}\n"));
        } else {
            say(&text(self));
        }
    }
}

fn must_ask(environment: Environment, args: ConfirmArgs, somebody_is_there: bool) -> bool {
    environment == Environment::Live && !args.yes && somebody_is_there
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;
    use wayleave_testkit::TestFolder;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        admin: AdminArgs,
    }

    fn found(
        words: &[&str],
        variables: &[(&str, &str)],
        usual: &Path,
    ) -> Result<(String, String), String> {
        let line =
            Line::try_parse_from([&["x"], words].concat()).map_err(|error| error.to_string())?;
        let variable = |name: &str| {
            let row = variables.iter().find(|row| row.0 == name)?;
            Some(row.1.to_owned())
        };
        access(&line.admin, variable, usual)
            .map(|access| (access.url, access.token))
            .map_err(|error| error.to_string())
    }

    fn demonstration(folder: &TestFolder) -> String {
        let environment = json!({
            "url": "", "oauth": { "client_id": "", "client_secret": "" },
            "token": { "api_key": "", "api_secret": "" },
            "management": { "access_key": "", "secret_key": "" },
            "access": { "access_key": "", "secret_key": "" },
            "signing": { "key_id": "", "secret": "" }, "protected_path": "",
            "property": { "id": "", "resources": [] },
        });
        let file = json!({
            "version": 1, "live": environment, "test": environment,
            "admin": { "url": "http://demo", "token": "of the demo" },
        });
        std::fs::write(DemoFile::path(folder.path()), file.to_string()).expect("written");
        folder.path().to_str().expect("a path").to_owned()
    }

    fn pair(url: &str, token: &str) -> Result<(String, String), String> {
        Ok((url.to_owned(), token.to_owned()))
    }

    #[test]
    fn options_come_before_variables_and_those_before_the_usual_folder() {
        let folder = TestFolder::new();
        let data = demonstration(&folder);
        let file = folder.path().join("token");
        key_file::write_private(&file, "of the file\n").expect("written");
        let file = file.to_str().expect("a path");
        let nowhere = Path::new("/nowhere");
        let variables = [
            ("WAYLEAVE_ADMIN_URL", "http://variable"),
            ("WAYLEAVE_ADMIN_TOKEN", "of the variable"),
        ];
        let usual = folder.path();
        let options = ["--admin", "http://option", "--token-file", file];
        assert_eq!(
            found(&options, &variables, usual),
            pair("http://option", "of the file")
        );
        assert_eq!(
            found(&options[..2], &variables, usual),
            pair("http://option", "of the variable")
        );
        assert_eq!(
            found(&[], &variables, usual),
            pair("http://variable", "of the variable")
        );
        let by_file = [variables[0], ("WAYLEAVE_ADMIN_TOKEN_FILE", file)];
        assert_eq!(
            found(&[], &by_file, usual),
            pair("http://variable", "of the file")
        );
        assert_eq!(
            found(&["--data", &data], &variables, nowhere),
            pair("http://demo", "of the demo")
        );
        assert_eq!(found(&[], &[], usual), pair("http://demo", "of the demo"));
    }

    #[test]
    fn the_token_of_a_demonstration_goes_nowhere_else_and_what_is_missing_is_said() {
        let folder = TestFolder::new();
        let data = demonstration(&folder);
        let error = found(&["--admin", "http://option"], &[], folder.path()).expect_err("no token");
        assert!(error.contains("no operator token"), "{error}");
        assert!(
            found(
                &["--admin", "http://option", "--data", &data],
                &[],
                folder.path()
            )
            .is_err()
        );
        let error = found(&[], &[], Path::new("/nowhere")).expect_err("no address");
        assert!(error.contains("--admin URL"), "{error}");
        let error = found(&["--data", "/nowhere"], &[], folder.path()).expect_err("no demo.json");
        assert!(error.contains("wayleave demo"), "{error}");
    }

    #[test]
    fn only_somebody_in_live_is_asked_and_only_yes_is_yes() {
        let asked = |environment, yes, there| must_ask(environment, ConfirmArgs { yes }, there);
        assert!(asked(Environment::Live, false, true));
        assert!(!asked(Environment::Live, true, true));
        assert!(!asked(Environment::Live, false, false));
        assert!(!asked(Environment::Test, false, true));
        assert!(is_yes("y\n") && is_yes("yes\r\n"));
        assert!(!is_yes("") && !is_yes("\n") && !is_yes("no\n") && !is_yes("yeah\n"));
    }
}
