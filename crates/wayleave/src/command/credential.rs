//! `wayleave credential`: keys of partners, from making to ending.

mod import;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wayleave_core::Audience;
use wayleave_protocol::http_signature::PublicKey;

use super::listing::{Listing, export, list};
use super::print::{Column, Shape, moment, plain, state};
use super::remote::{AdminArgs, ConfirmArgs, Remote, audience_parser};
use super::{Failure, Outcome};
use crate::admin_client::escape;
use crate::{duration, key_file, moment as moments};

const LISTED: &[Column] = &[
    plain("id", "id"),
    plain("public id", "public_id"),
    plain("audience", "audience"),
    state("state", "state"),
    plain("name", "name"),
    moment("created", "created_at", "-"),
    moment("expires", "expires_at", "never"),
    moment("last used", "last_used_at", "never"),
];
const SHOWN: &[Column] = &[
    plain("id", "id"),
    plain("public id", "public_id"),
    plain("name", "name"),
    state("state", "state"),
    plain("partner", "partner"),
    plain("integration", "integration"),
    plain("property", "property"),
    plain("audience", "audience"),
    plain("schemes", "schemes"),
    plain("scopes", "scopes"),
    moment("created", "created_at", "-"),
    moment("expires", "expires_at", "never"),
    moment("revoked", "revoked_at", "never"),
    moment("last used", "last_used_at", "never"),
    plain("callback url", "callback_url"),
];
const SECRETS: &[Column] = &[
    plain("secret", "id"),
    state("state", "state"),
    moment("created", "created_at", "-"),
    moment("expires", "expires_at", "never"),
    Column {
        title: "retire unused",
        member: "retire_unused_s",
        shape: Shape::Span,
    },
    moment("last used", "last_used_at", "never"),
];

/// What to do with credentials.
#[derive(Subcommand)]
pub(crate) enum CredentialAct {
    /// List credentials, without their secrets.
    #[command(
        after_long_help = "Example:\n  wayleave credential list --env live --audience routes --state active"
    )]
    List {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Make a credential; its secret is printed once.
    #[command(
        after_long_help = "Example:\n  wayleave credential create --integration int_01m80p492ae72s2twc9fc1jvm3 --audience routes --expires-in 90d\n  wayleave credential create --integration int_01m80p492ae72s2twc9fc1jvm3 --audience routes --json | jq -r .secret"
    )]
    Create(CreateArgs),
    /// Show a credential and its secrets' ages; never a secret.
    #[command(
        after_long_help = "Example:\n  wayleave credential show crd_01m80p4991wr936jh0atmcdrpe"
    )]
    Show {
        /// Such as crd_01m80p4991wr936jh0atmcdrpe.
        id: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// End credentials and their tokens, at once and for ever.
    #[command(
        after_long_help = "Example:\n  wayleave credential revoke --env live crd_01m80p4991wr936jh0atmcdrpe"
    )]
    Revoke(Ids),
    /// Turn credentials and their tokens off until they are enabled again.
    #[command(
        after_long_help = "Example:\n  wayleave credential disable crd_01m80p4991wr936jh0atmcdrpe"
    )]
    Disable(Ids),
    /// Turn disabled credentials on again.
    #[command(
        after_long_help = "Example:\n  wayleave credential enable crd_01m80p4991wr936jh0atmcdrpe"
    )]
    Enable(Ids),
    /// Say when a credential ends.
    #[command(
        after_long_help = "Example:\n  wayleave credential expire crd_01m80p4991wr936jh0atmcdrpe --in 30d\n  wayleave credential expire crd_01m80p4991wr936jh0atmcdrpe --at 2027-03-16T10:20:30Z\n  wayleave credential expire crd_01m80p4991wr936jh0atmcdrpe --never"
    )]
    Expire(ExpireArgs),
    /// Give a credential a new secret; the older ones stay good for a while.
    #[command(
        after_long_help = "Example:\n  wayleave credential roll crd_01m80p4991wr936jh0atmcdrpe --overlap 7d"
    )]
    Roll(RollArgs),
    /// Give a credential a new key and secret; the old pair and its tokens are dead at once.
    #[command(
        after_long_help = "Example:\n  wayleave credential refresh crd_01m80p4991wr936jh0atmcdrpe"
    )]
    Refresh {
        /// Such as crd_01m80p4991wr936jh0atmcdrpe.
        id: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// End one secret of a credential now; not its last one.
    #[command(
        after_long_help = "Example:\n  wayleave credential end-secret crd_01m80p4991wr936jh0atmcdrpe sct_01m80p4992kb1xq4v6s4h1k9zt"
    )]
    EndSecret {
        /// Such as crd_01m80p4991wr936jh0atmcdrpe.
        id: String,
        /// The id of the secret, as credential show has it.
        secret: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Say where events of its property are told to with a key set for management.
    #[command(
        after_long_help = "Example:\n  wayleave credential callback crd_01m80p4991wr936jh0atmcdrpe --url https://www.example.com/wayleave\n  wayleave credential callback crd_01m80p4991wr936jh0atmcdrpe --none"
    )]
    Callback {
        /// Such as crd_01m80p4991wr936jh0atmcdrpe.
        id: String,
        /// The address; https, and on the public Internet.
        #[arg(long, required_unless_present = "none")]
        url: Option<String>,
        /// Nothing is told with it any more.
        #[arg(long, conflicts_with = "url")]
        none: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Take over pairs of key and secret that partners have from elsewhere.
    #[command(after_long_help = import::LONG_HELP)]
    Import(import::ImportArgs),
    /// Write every credential as a line of JSON, without secrets.
    #[command(
        after_long_help = "Example:\n  wayleave credential export --env live --output credentials.jsonl"
    )]
    Export {
        /// The file; it is there once it is whole [default: standard output].
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Which credentials.
#[derive(Args)]
pub(crate) struct Which {
    /// Only those of this partner.
    #[arg(long, value_name = "ID")]
    partner: Option<String>,
    /// Only those of this integration.
    #[arg(long, value_name = "ID")]
    integration: Option<String>,
    /// Only the key sets of this property.
    #[arg(long, value_name = "ID")]
    property: Option<String>,
    /// Only those for this audience.
    #[arg(long, value_parser = audience_parser())]
    audience: Option<Audience>,
    /// Only those in this state.
    #[arg(long, value_parser = ["active", "disabled", "revoked", "expired"])]
    state: Option<String>,
    /// Only the one with this client id, api key or access key.
    #[arg(long, value_name = "KEY")]
    public_id: Option<String>,
}

/// Credentials by their ids.
#[derive(Args)]
pub(crate) struct Ids {
    /// Such as crd_01m80p4991wr936jh0atmcdrpe.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

/// A credential to make.
#[derive(Args)]
pub(crate) struct CreateArgs {
    /// Whose it is.
    #[arg(long, value_name = "ID")]
    integration: String,
    /// The property whose key set it is, for the audiences management and access.
    #[arg(long, value_name = "ID")]
    property: Option<String>,
    /// The customer to whom it is limited, for the audience platform.
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// What it opens.
    #[arg(long, value_parser = audience_parser())]
    audience: Audience,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// What it may do, separated by blanks.
    #[arg(long, value_name = "WORDS")]
    scopes: Option<String>,
    /// How it may prove requests, separated by blanks: bearer, token, signed, http-signature,
    /// aws-sigv4, described [default: what is usual for the audience].
    #[arg(long, value_name = "WORDS")]
    schemes: Option<String>,
    /// A file with the public key of a key pair that the partner signs with, Ed25519 or P-256, as a
    /// JWK or as PEM: then there is no secret, and the scheme is http-signature.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// When it ends, from now, such as 90d or 12h [default: never].
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    expires_in: Option<Duration>,
    /// Where events of its property are told to, for the audience management.
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// When a credential ends.
#[derive(Args)]
pub(crate) struct ExpireArgs {
    /// Such as crd_01m80p4991wr936jh0atmcdrpe.
    id: String,
    #[command(flatten)]
    when: When,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct When {
    /// So long from now, such as 30d; 0s: now.
    #[arg(long = "in", value_name = "SPAN", value_parser = duration::parse)]
    span: Option<Duration>,
    /// At this time, UTC, such as 2027-03-16 or 2027-03-16T10:20:30Z.
    #[arg(long, value_name = "TIME", value_parser = moments::parse)]
    at: Option<i64>,
    /// It does not end.
    #[arg(long)]
    never: bool,
}

/// A secret to roll.
#[derive(Args)]
pub(crate) struct RollArgs {
    /// Such as crd_01m80p4991wr936jh0atmcdrpe.
    id: String,
    /// How long the older secrets stay good, such as 7d; 0s: not at all.
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = duration::parse)]
    overlap: Duration,
    /// End an older secret earlier, once nobody has used it for so long, such as 24h.
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    retire_unused: Option<Duration>,
    /// A file with the new secret, readable by you alone [default: one is made].
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A file with the partner's new public key, as a JWK or as PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    public_key: Option<PathBuf>,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Does it. `verbose`: a long import says how it goes even where there is no terminal.
pub(crate) fn run(act: CredentialAct, verbose: bool) -> Outcome {
    match act {
        CredentialAct::List { which, admin } => walk(which, &admin, list),
        CredentialAct::Export {
            output,
            which,
            admin,
        } => walk(which, &admin, |remote, listing| {
            export(remote, listing, output.as_deref())
        }),
        CredentialAct::Create(args) => create(&args),
        CredentialAct::Show { id, admin } => {
            let mut remote = Remote::new(&admin)?;
            let found = remote.get(&path(&id, ""))?;
            show(&remote, &found, "Credential")
        }
        CredentialAct::Revoke(ids) => each(&ids, "revoke", Some("Revoke for ever"), "Revoked"),
        CredentialAct::Disable(ids) => each(&ids, "disable", Some("Disable"), "Disabled"),
        CredentialAct::Enable(ids) => each(&ids, "enable", None, "Enabled"),
        CredentialAct::Expire(args) => expire(&args),
        CredentialAct::Roll(args) => roll(&args),
        CredentialAct::Refresh { id, confirm, admin } => {
            let mut remote = Remote::new(&admin)?;
            remote.confirm(
                confirm,
                &format!("End key, secret and tokens of {id} at once"),
            )?;
            let fresh = remote.post(&path(&id, "/refresh"), None)?;
            show(&remote, &fresh, "Refreshed")
        }
        CredentialAct::EndSecret {
            id,
            secret,
            confirm,
            admin,
        } => {
            let mut remote = Remote::new(&admin)?;
            remote.confirm(confirm, &format!("End the secret {secret} of {id}"))?;
            let rest = format!("/secrets/{}/end", escape(&secret));
            let answer = remote.post(&path(&id, &rest), None)?;
            show(&remote, &answer, "Ended a secret")
        }
        CredentialAct::Callback { id, url, admin, .. } => {
            let mut remote = Remote::new(&admin)?;
            let body = json!({ "url": url });
            let changed = remote.post(&path(&id, "/callback"), Some(&body))?;
            show(&remote, &changed, "Changed")
        }
        CredentialAct::Import(args) => import::run(&args, verbose),
    }
}

fn path(id: &str, rest: &str) -> String {
    format!("/credentials/{}{rest}", escape(id))
}

fn walk(
    which: Which,
    admin: &AdminArgs,
    write: impl FnOnce(&mut Remote, &Listing<'_>) -> Outcome,
) -> Outcome {
    let listing = Listing {
        path: "/credentials",
        filters: &[
            ("partner", which.partner),
            ("integration", which.integration),
            ("property", which.property),
            (
                "audience",
                which.audience.map(|word| word.as_str().to_owned()),
            ),
            ("state", which.state),
            ("public_id", which.public_id),
        ],
        cursor: Some("id"),
        after: None,
        columns: LISTED,
        nouns: ("credential", "credentials"),
    };
    write(&mut Remote::new(admin)?, &listing)
}

fn create(args: &CreateArgs) -> Outcome {
    let mut body = json!({ "integration": args.integration, "audience": args.audience.as_str() });
    for (member, value) in [
        ("property", &args.property),
        ("customer", &args.customer),
        ("name", &args.name),
        ("scopes", &args.scopes),
        ("schemes", &args.schemes),
        ("callback_url", &args.callback_url),
    ] {
        if let Some(value) = value {
            body[member] = json!(value);
        }
    }
    if let Some(span) = args.expires_in {
        body["expires_in_s"] = json!(span.as_secs());
    }
    if let Some(file) = &args.public_key {
        body["public_key"] = json!(read_public_key(file)?);
    }
    let mut remote = Remote::new(&args.admin)?;
    let made = remote.post("/credentials", Some(&body))?;
    show(&remote, &made, "Made")
}

/// Does the same to each; goes on after one that is refused, and then ends with a failure.
fn each(ids: &Ids, act: &str, question: Option<&str>, done: &str) -> Outcome {
    let mut remote = Remote::new(&ids.admin)?;
    if let Some(question) = question {
        remote.confirm(ids.confirm, &format!("{question}: {}", ids.ids.join(", ")))?;
    }
    let mut changed = Vec::new();
    let mut is_whole = true;
    for id in &ids.ids {
        match remote.post(&path(id, &format!("/{act}")), None) {
            Ok(credential) => changed.push(credential),
            Err(error) if ids.ids.len() > 1 => {
                eprintln!("wayleave: {id}: {error}");
                is_whole = false;
            }
            Err(error) => return Err(error),
        }
    }
    if let [credential] = changed.as_slice()
        && ids.ids.len() == 1
    {
        return show(&remote, credential, done);
    }
    remote.print(&Value::Array(changed.clone()), |remote| {
        let table = remote.paper.table(LISTED, &changed, &mut Vec::new());
        format!("{table}{done} {} in {}.\n", changed.len(), remote.place())
    });
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn expire(args: &ExpireArgs) -> Outcome {
    let mut remote = Remote::new(&args.admin)?;
    let body = match (args.when.span, args.when.at) {
        (Some(span), _) => json!({ "expires_in_s": span.as_secs() }),
        (None, Some(at)) => json!({ "expires_at": at }),
        (None, None) => json!({ "never": true }),
    };
    if !args.when.never {
        remote.confirm(args.confirm, &format!("Let {} end", args.id))?;
    }
    let changed = remote.post(&path(&args.id, "/expire"), Some(&body))?;
    show(&remote, &changed, "Changed")
}

fn roll(args: &RollArgs) -> Outcome {
    let mut remote = Remote::new(&args.admin)?;
    let mut body = json!({ "overlap_s": args.overlap.as_secs() });
    if let Some(span) = args.retire_unused {
        body["retire_unused_s"] = json!(span.as_secs());
    }
    if let Some(file) = &args.secret_file {
        body["secret"] = json!(read_secret(file)?);
    }
    if let Some(file) = &args.public_key {
        body["public_key"] = json!(read_public_key(file)?);
    }
    if args.overlap.is_zero() {
        remote.confirm(
            args.confirm,
            &format!("End the older secrets of {} at once", args.id),
        )?;
    }
    let rolled = remote.post(&path(&args.id, "/roll"), Some(&body))?;
    show(&remote, &rolled, "Rolled")
}

/// The public key in a file. One that is none is refused here: it may be the private one.
fn read_public_key(file: &std::path::Path) -> Result<String, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match PublicKey::read(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(format!("{}: {error}", file.display()).into()),
    }
}

/// The secret in a file, without the line feed at its end.
fn read_secret(file: &std::path::Path) -> Result<String, Failure> {
    let text = key_file::read_private(file)?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("{} is empty: it should hold the secret", file.display()).into()),
        secret => Ok(secret.to_owned()),
    }
}

fn show(remote: &Remote, credential: &Value, done: &str) -> Outcome {
    remote.print(credential, |remote| {
        let card = remote.paper.card(SHOWN, credential);
        let secrets = credential["secrets"].as_array().filter(|secrets| !secrets.is_empty());
        let secrets = secrets
            .map(|secrets| remote.paper.table(SECRETS, secrets, &mut Vec::new()))
            .map_or_else(String::new, |table| format!("\n{table}"));
        let once = credential["secret"].as_str().map_or_else(String::new, |secret| {
            format!("\nThe secret is shown only this once; keep it where only its owner can read it:\n{secret}\n")
        });
        format!("{done} in {}:\n{card}{secrets}{once}", remote.place())
    });
    Ok(ExitCode::SUCCESS)
}
