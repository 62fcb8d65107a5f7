//! `wayleave subscriber`: people whose subscriptions are kept elsewhere, and the readers linked to them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use wayleave_engine::Clock;

use super::listing::{Listing, list};
use super::print::{Column, moment, plain, state};
use super::progress::Progress;
use super::remote::{AdminArgs, Remote};
use super::shown::{Part, show, show_with};
use super::{Failure, Outcome};
use crate::admin_client::escape;
use crate::moment as moments;
use crate::ports::SystemClock;

/// How often it is asked how far something queued is.
const ASKED_EVERY: Duration = Duration::from_millis(300);

const LISTED: &[Column] = &[
    plain("key", "key"),
    plain("linked", "linked"),
    plain("most", "most_linked"),
    moment("changed", "changed_at", "-"),
];
const SHOWN: &[Column] = &[
    plain("key", "key"),
    plain("id", "id"),
    plain("property", "property"),
    plain("linked", "linked"),
    plain("most linked", "most_linked"),
    moment("created", "created_at", "-"),
    moment("changed", "changed_at", "-"),
];
const GROUPS: [Part; 2] = [
    Part {
        member: "eligible",
        columns: &[
            plain("eligible for", "group"),
            moment("until", "until", "-"),
        ],
    },
    Part {
        member: "automatic",
        columns: &[plain("has", "group"), moment("until", "until", "-")],
    },
];
const USERS: Part = Part {
    member: "users",
    columns: &[plain("reader", "user")],
};
const QUEUED: &[Column] = &[
    plain("id", "id"),
    plain("kind", "kind"),
    state("state", "state"),
    plain("done", "done"),
    plain("of", "total"),
    plain("failed", "failed"),
    moment("created", "created_at", "-"),
    moment("changed", "changed_at", "-"),
];
const ONE_QUEUED: &[Column] = &[
    plain("id", "id"),
    plain("known to the property as", "shown_id"),
    plain("kind", "kind"),
    state("state", "state"),
    plain("done", "done"),
    plain("of", "total"),
    plain("failed", "failed"),
    plain("token of the result", "token"),
    plain("errors", "errors"),
    moment("created", "created_at", "-"),
    moment("changed", "changed_at", "-"),
];

/// What to do with subscribers.
#[derive(Subcommand)]
pub(crate) enum SubscriberAct {
    /// List the subscribers of a property.
    #[command(
        after_long_help = "Example:\n  wayleave subscriber list --property prp_01m80p492ae72s2twc9fc1jvm3"
    )]
    List {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a subscriber and the readers that are linked to it.
    #[command(
        after_long_help = "Example:\n  wayleave subscriber show --property prp_01m80p492ae72s2twc9fc1jvm3 PRINT-7731"
    )]
    Show {
        #[command(flatten)]
        of: Of,
        /// By which the property knows it.
        key: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Take over subscribers from a file, and wait until it is done.
    #[command(
        after_long_help = "The file is what the Management API takes: {\"Data\":{\"Subscribers\":[…]}}, at most 200,000 of them.\nWhere the node ends meanwhile it goes on after the next start; so does this command with --follow.\nThe exit code is 1 where some could not be taken.\n\nExample:\n  wayleave subscriber import --property prp_01m80p492ae72s2twc9fc1jvm3 subscribers.json"
    )]
    Import {
        #[command(flatten)]
        of: Of,
        /// The file.
        #[arg(required_unless_present = "follow")]
        file: Option<PathBuf>,
        /// Wait for an import that was begun, by its id.
        #[arg(long, value_name = "ID", conflicts_with = "file")]
        follow: Option<String>,
        /// Do not wait until it is done.
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Have it written down which subscribers changed; the property is told and fetches it.
    #[command(
        after_long_help = "Example:\n  wayleave subscriber export --property prp_01m80p492ae72s2twc9fc1jvm3 --from 2027-03-01"
    )]
    Export {
        #[command(flatten)]
        of: Of,
        /// From this time on, UTC [default: the beginning].
        #[arg(long, value_name = "TIME", value_parser = moments::parse)]
        from: Option<i64>,
        /// Before this time, UTC [default: now].
        #[arg(long, value_name = "TIME", value_parser = moments::parse)]
        to: Option<i64>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List the imports and exports of a property, or show one.
    #[command(
        after_long_help = "Example:\n  wayleave subscriber queued --property prp_01m80p492ae72s2twc9fc1jvm3"
    )]
    Queued {
        #[command(flatten)]
        of: Of,
        /// Only this one, with what it could not take.
        id: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Link a reader to the subscriber that its values prove.
    #[command(
        after_long_help = "Example:\n  wayleave subscriber link --property prp_01m80p492ae72s2twc9fc1jvm3 --value AccountNumber=0077-31 --value PostCode=70114 rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    Link {
        #[command(flatten)]
        of: Of,
        /// A validation field, as NAME=VALUE; every one that the subscriber has. Repeatable.
        #[arg(long = "value", value_name = "NAME=VALUE", required = true)]
        values: Vec<String>,
        /// The subscriber, where the values prove several.
        #[arg(long, value_name = "KEY")]
        subscriber: Option<String>,
        /// The reader.
        reader: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Unlink a reader from a subscriber; what it has stays until its end.
    #[command(
        after_long_help = "Example:\n  wayleave subscriber unlink --property prp_01m80p492ae72s2twc9fc1jvm3 PRINT-7731 rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    Unlink {
        #[command(flatten)]
        of: Of,
        /// By which the property knows the subscriber.
        key: String,
        /// The reader.
        reader: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Say what else a property is told of a reader, such as an address; all of it anew.
    #[command(
        after_long_help = "Example:\n  wayleave subscriber details --property prp_01m80p492ae72s2twc9fc1jvm3 --value Address_City=Portland rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    Details {
        #[command(flatten)]
        of: Of,
        /// What is told, as NAME=VALUE. Repeatable.
        #[arg(long = "value", value_name = "NAME=VALUE")]
        values: Vec<String>,
        /// The reader.
        reader: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Of which property.
#[derive(Args)]
pub(crate) struct Of {
    /// The property.
    #[arg(long, value_name = "ID")]
    property: String,
}

impl Of {
    fn path(&self, rest: &str) -> String {
        format!("/properties/{}{rest}", escape(&self.property))
    }
}

/// Does it. `verbose`: a long import says how it goes even where there is no terminal.
pub(crate) fn run(act: SubscriberAct, verbose: bool) -> Outcome {
    match act {
        SubscriberAct::List { of, admin } => {
            let nouns = ("subscriber", "subscribers");
            list_all(&of.path("/subscribers"), &admin, (LISTED, "key"), nouns)
        }
        SubscriberAct::Show { of, key, admin } => {
            let mut remote = Remote::new(&admin)?;
            let path = of.path(&format!("/subscribers/{}", escape(&key)));
            let found = remote.get(&path)?;
            show_subscriber(&remote, &found, "Subscriber")
        }
        SubscriberAct::Import {
            of,
            file,
            follow,
            no_wait,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let id = match (file, follow) {
                (Some(file), _) => send(&mut remote, &of, &file)?,
                (None, Some(id)) => id,
                (None, None) => return Err("give a file, or --follow".into()),
            };
            match no_wait {
                true => show_queued(&mut remote, &of, &id, "Queued"),
                false => follow_to_end(&mut remote, &of, &id, verbose),
            }
        }
        SubscriberAct::Export {
            of,
            from,
            to,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let body = json!({ "from": from, "to": to });
            let queued = remote.post(&of.path("/subscribers/export"), Some(&body))?;
            show(&remote, &queued, ONE_QUEUED, "Queued")
        }
        SubscriberAct::Queued { of, id, admin } => match id {
            Some(id) => show_queued(&mut Remote::new(&admin)?, &of, &id, "Queued"),
            None => {
                let nouns = ("import or export", "imports and exports");
                list_all(&of.path("/queued"), &admin, (QUEUED, "id"), nouns)
            }
        },
        SubscriberAct::Link {
            of,
            values,
            subscriber,
            reader,
            admin,
        } => {
            let body =
                json!({ "reader": reader, "subscriber": subscriber, "values": pairs(&values)? });
            change(&of.path("/subscribers/link"), &body, &admin, "Linked")
        }
        SubscriberAct::Unlink {
            of,
            key,
            reader,
            admin,
        } => {
            let body = json!({ "reader": reader, "subscriber": key });
            change(&of.path("/subscribers/unlink"), &body, &admin, "Unlinked")
        }
        SubscriberAct::Details {
            of,
            values,
            reader,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let body = json!({ "reader": reader, "details": pairs(&values)? });
            let set = remote.post(&of.path("/subscribers/details"), Some(&body))?;
            show(&remote, &set, &[plain("reader", "reader")], "Changed")
        }
    }
}

fn list_all(
    path: &str,
    admin: &AdminArgs,
    (columns, cursor): (&'static [Column], &'static str),
    nouns: (&'static str, &'static str),
) -> Outcome {
    let listing = Listing {
        path,
        filters: &[],
        cursor: Some(cursor),
        after: None,
        columns,
        nouns,
    };
    list(&mut Remote::new(admin)?, &listing)
}

fn change(path: &str, body: &Value, admin: &AdminArgs, done: &str) -> Outcome {
    let mut remote = Remote::new(admin)?;
    let changed = remote.post(path, Some(body))?;
    show_subscriber(&remote, &changed, done)
}

fn show_subscriber(remote: &Remote, subscriber: &Value, done: &str) -> Outcome {
    let [eligible, automatic] = GROUPS;
    show_with(
        remote,
        subscriber,
        SHOWN,
        &[eligible, automatic, USERS],
        done,
    )
}

fn queued_path(of: &Of, id: &str) -> String {
    of.path(&format!("/queued/{}", escape(id)))
}

fn show_queued(remote: &mut Remote, of: &Of, id: &str, done: &str) -> Outcome {
    let queued = remote.get(&queued_path(of, id))?;
    show(remote, &queued, ONE_QUEUED, done)
}

/// Sends a file; gives the id of the import.
fn send(remote: &mut Remote, of: &Of, file: &Path) -> Result<String, Failure> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read(file).map_err(|error| named(&error))?;
    let document: Value = serde_json::from_slice(&text).map_err(|error| named(&error))?;
    let queued = remote.post(&of.path("/subscribers/import"), Some(&document))?;
    Ok(queued["id"].as_str().unwrap_or_default().to_owned())
}

/// Waits until an import is done, and shows how far it is; where the node cannot be asked any more, says
/// how to look again.
fn follow_to_end(remote: &mut Remote, of: &Of, id: &str, verbose: bool) -> Outcome {
    let clock_s = || SystemClock.now().micros() as f64 / 1e6;
    let mut progress: Option<Progress> = None;
    loop {
        let queued = remote.get(&queued_path(of, id)).map_err(|error| {
            format!("{error}\nit goes on without this command; look again with: wayleave subscriber import --property {} --follow {id}", of.property)
        })?;
        let count = |member: &str| queued[member].as_u64().unwrap_or_default();
        let shown =
            progress.get_or_insert_with(|| Progress::new(count("total"), verbose, clock_s()));
        shown.show(count("done"), clock_s());
        if queued["state"] == "done" {
            shown.end();
            show(remote, &queued, ONE_QUEUED, "Done")?;
            return Ok(match count("failed") {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            });
        }
        std::thread::sleep(ASKED_EVERY);
    }
}

/// `NAME=VALUE`, several, as an object.
fn pairs(values: &[String]) -> Result<Value, Failure> {
    let mut object = Map::new();
    for value in values {
        let (name, value) = value
            .split_once('=')
            .ok_or_else(|| format!("{value} is not of the form NAME=VALUE"))?;
        if object.insert(name.to_owned(), json!(value)).is_some() {
            return Err(format!("{name} is given twice").into());
        }
    }
    Ok(Value::Object(object))
}
