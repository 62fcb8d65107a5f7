//! `wayleave reader`: the readers of a property, what they have, and what they buy.

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::Outcome;
use super::listing::{Listing, list};
use super::print::{Column, moment, plain, state};
use super::remote::{AdminArgs, ConfirmArgs, Remote};
use super::shown::{Part, show, show_with};
use crate::admin_client::escape;

const COLUMNS: &[Column] = &[
    plain("id", "id"),
    plain("user name", "user_name"),
    plain("first name", "first_name"),
    plain("email", "email"),
    plain("role", "role"),
    plain("card", "card"),
    moment("created", "created_at", "-"),
];

const TOKEN: &[Column] = &[
    plain("temporary user token", "temporary_user_token"),
    moment("good until", "expires_at", "-"),
];

const ORDER: &[Column] = &[
    plain("id", "id"),
    plain("number", "number"),
    state("state", "state"),
    plain("total", "total"),
    plain("currency", "currency"),
    moment("made", "created_at", "-"),
];

const PARTS: &[Part] = &[
    Part {
        member: "purchases",
        columns: &[
            plain("purchase", "id"),
            plain("resource", "resource"),
            moment("bought", "bought_at", "-"),
            moment("until", "expires_at", "for good"),
        ],
    },
    Part {
        member: "subscriptions",
        columns: &[
            plain("subscription group", "group"),
            moment("until", "expires_at", "-"),
        ],
    },
    Part {
        member: "hits",
        columns: &[
            plain("resource", "resource"),
            plain("period", "period"),
            moment("since", "starts_at", "-"),
            moment("seen", "seen_at", "-"),
        ],
    },
    Part {
        member: "orders",
        columns: ORDER,
    },
];

const ROLES: [&str; 3] = ["administrator", "manager", "guest"];
const ROLES_OR_NONE: [&str; 4] = ["administrator", "manager", "guest", "none"];
const CARDS: [&str; 5] = ["pays", "declines", "asks", "unclear", "none"];

/// Whose reader it is, and which.
#[derive(clap::Args)]
pub(crate) struct PlaceArgs {
    /// The property, such as prp_01m80p492ae72s2twc9fc1jvm3.
    #[arg(long, value_name = "ID")]
    property: String,
    /// Such as rdr_01m80p492ae72s2twc9fc1jvm3, or the GUID that sites know.
    reader: String,
}

impl PlaceArgs {
    fn path(&self, verb: &str) -> String {
        format!(
            "/properties/{}/readers/{}{verb}",
            escape(&self.property),
            escape(&self.reader)
        )
    }
}

/// What to do with readers.
#[derive(Subcommand)]
pub(crate) enum ReaderAct {
    /// List the readers of a property who have signed in.
    #[command(
        after_long_help = "Example:\n  wayleave reader list --property prp_01m80p492ae72s2twc9fc1jvm3"
    )]
    List {
        /// The property, such as prp_01m80p492ae72s2twc9fc1jvm3.
        #[arg(long, value_name = "ID")]
        property: String,
        /// Only the one of this user name.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Make a reader of a property.
    #[command(
        after_long_help = "Example:\n  wayleave reader create --property prp_01m80p492ae72s2twc9fc1jvm3 --first-name Ana areader"
    )]
    Create {
        /// The property, such as prp_01m80p492ae72s2twc9fc1jvm3.
        #[arg(long, value_name = "ID")]
        property: String,
        /// The name by which they are greeted.
        #[arg(long, value_name = "NAME")]
        first_name: Option<String>,
        /// Where they get mail.
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// What they are for the property, apart from a reader; they see every page.
        #[arg(long, value_parser = PossibleValuesParser::new(ROLES))]
        role: Option<String>,
        /// The name under which they sign in; 1 to 200 characters.
        user_name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a reader.
    #[command(
        after_long_help = "Example:\n  wayleave reader show --property prp_01m80p492ae72s2twc9fc1jvm3 rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    Show {
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show everything that is kept about a reader: with --json, the file that they may ask for.
    #[command(
        after_long_help = "Example:\n  wayleave reader export --property prp_01m80p492ae72s2twc9fc1jvm3 --json rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    Export {
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Change a reader.
    #[command(
        after_long_help = "Example:\n  wayleave reader change --property prp_01m80p492ae72s2twc9fc1jvm3 --card pays rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    Change {
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Sign a reader in: prints a temporary user token, good once within ten minutes.
    #[command(
        after_long_help = "Example:\n  wayleave reader sign-in --property prp_01m80p492ae72s2twc9fc1jvm3 --key 7D21B0AA-55C3-4E19-BB02-6F3E9C8D1A47 rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    SignIn {
        /// The Access key set at which the token is good: its access key or id.
        #[arg(long, value_name = "KEY")]
        key: String,
        /// The user token that they had before: what they saw with it is theirs.
        #[arg(long, value_name = "TOKEN")]
        user_token: Option<String>,
        /// Forget them when the browser is closed.
        #[arg(long)]
        session_only: bool,
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Sell a reader a page, paid by the saved card.
    #[command(
        after_long_help = "Example:\n  wayleave reader buy --property prp_01m80p492ae72s2twc9fc1jvm3 --resource Story-0042 rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    Buy {
        /// The key of the page.
        #[arg(long, value_name = "KEY")]
        resource: String,
        /// What they pay, in US cents, where the price is theirs to choose.
        #[arg(long, value_name = "CENTS")]
        pays: Option<u64>,
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Sell a reader one period of a subscription, paid by the saved card.
    #[command(
        after_long_help = "Example:\n  wayleave reader subscribe --property prp_01m80p492ae72s2twc9fc1jvm3 --group all-access rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    Subscribe {
        /// The key or GUID of the subscription group.
        #[arg(long, value_name = "GROUP")]
        group: String,
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Give a reader a subscription until a moment, without an order; one that is over ends it.
    #[command(
        after_long_help = "Example:\n  wayleave reader give-subscription --property prp_01m80p492ae72s2twc9fc1jvm3 --group all-access --until 1830297600 rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    GiveSubscription {
        /// The key or GUID of the subscription group.
        #[arg(long, value_name = "GROUP")]
        group: String,
        /// In seconds since 1970.
        #[arg(long, value_name = "SECONDS")]
        until: u64,
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Erase a reader and everything that is kept about them; orders stay, and name nobody.
    #[command(
        after_long_help = "Example:\n  wayleave reader erase --property prp_01m80p492ae72s2twc9fc1jvm3 rdr_01m80p492ae72s2twc9fc1jvm3"
    )]
    Erase {
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// What changes.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ChangeArgs {
    /// The name by which they are greeted.
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// Where they get mail.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// What they are for the property, apart from a reader.
    #[arg(long, value_parser = PossibleValuesParser::new(ROLES_OR_NONE))]
    role: Option<String>,
    /// The saved card, of the processor that pretends: what it does when it is charged.
    #[arg(long, value_parser = PossibleValuesParser::new(CARDS))]
    card: Option<String>,
}

impl ChangeArgs {
    fn body(self) -> Value {
        json!({
            "first_name": self.first_name,
            "email": self.email,
            "role": self.role,
            "card": self.card,
        })
    }
}

/// Does it.
pub(crate) fn run(act: ReaderAct) -> Outcome {
    match act {
        ReaderAct::List {
            property,
            name,
            admin,
        } => {
            let path = format!("/properties/{}/readers", escape(&property));
            let listing = Listing {
                path: &path,
                filters: &[("name", name)],
                cursor: Some("id"),
                after: None,
                columns: COLUMNS,
                nouns: ("reader", "readers"),
            };
            list(&mut Remote::new(&admin)?, &listing)
        }
        ReaderAct::Create {
            property,
            first_name,
            email,
            role,
            user_name,
            admin,
        } => {
            let body = json!({
                "user_name": user_name,
                "first_name": first_name,
                "email": email,
                "role": role,
            });
            let path = format!("/properties/{}/readers", escape(&property));
            let mut remote = Remote::new(&admin)?;
            let made = remote.post(&path, Some(&body))?;
            show(&remote, &made, COLUMNS, "Made")
        }
        ReaderAct::Show { place, admin } => {
            let mut remote = Remote::new(&admin)?;
            let found = remote.get(&place.path(""))?;
            show(&remote, &found, COLUMNS, "Reader")
        }
        ReaderAct::Export { place, admin } => {
            let mut remote = Remote::new(&admin)?;
            let found = remote.get(&place.path("/data"))?;
            show_with(&remote, &found, COLUMNS, PARTS, "Everything kept")
        }
        ReaderAct::Change {
            change,
            place,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let changed = remote.post(&place.path("/change"), Some(&change.body()))?;
            show(&remote, &changed, COLUMNS, "Changed")
        }
        ReaderAct::SignIn {
            key,
            user_token,
            session_only,
            place,
            admin,
        } => {
            let body =
                json!({ "key": key, "user_token": user_token, "session_only": session_only });
            let mut remote = Remote::new(&admin)?;
            let made = remote.post(&place.path("/sign-in"), Some(&body))?;
            show(&remote, &made, TOKEN, "Signed in")
        }
        ReaderAct::Buy {
            resource,
            pays,
            place,
            admin,
        } => sell(
            &admin,
            &place,
            "/buy",
            &json!({ "resource": resource, "pays_minor": pays }),
        ),
        ReaderAct::Subscribe {
            group,
            place,
            admin,
        } => sell(&admin, &place, "/subscribe", &json!({ "group": group })),
        ReaderAct::GiveSubscription {
            group,
            until,
            place,
            admin,
        } => {
            let body = json!({ "group": group, "expires_at": until });
            let mut remote = Remote::new(&admin)?;
            let given = remote.post(&place.path("/give-subscription"), Some(&body))?;
            show_with(&remote, &given, COLUMNS, PARTS, "Given")
        }
        ReaderAct::Erase {
            place,
            confirm,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            let question = format!("Erase everything about reader {}", place.reader);
            remote.confirm(confirm, &question)?;
            let erased = remote.post(&place.path("/erase"), None)?;
            show(&remote, &erased, &[plain("reader", "erased")], "Erased")
        }
    }
}

fn sell(admin: &AdminArgs, place: &PlaceArgs, verb: &str, body: &Value) -> Outcome {
    let mut remote = Remote::new(admin)?;
    let sold = remote.post(&place.path(verb), Some(body))?;
    show(&remote, &sold, ORDER, "Sold")
}
