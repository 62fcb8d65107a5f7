//! `wayleave partner`: the companies that have keys.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::listing::{Listing, list};
use super::print::{Column, moment, plain, state};
use super::remote::{AdminArgs, ConfirmArgs, Remote};
use super::{Failure, Outcome};
use crate::admin_client::escape;

const COLUMNS: &[Column] = &[
    plain("id", "id"),
    plain("name", "name"),
    state("membership", "membership"),
    plain("plan", "plan"),
    moment("created", "created_at", "-"),
];

/// What to do with partners.
#[derive(Subcommand)]
pub(crate) enum PartnerAct {
    /// List partners.
    #[command(after_long_help = "Example:\n  wayleave partner list --env live")]
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Make a partner; it is admitted.
    #[command(after_long_help = "Example:\n  wayleave partner create 'Harbour Signs'")]
    Create {
        /// What people call it; 1 to 200 characters.
        name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a partner.
    #[command(after_long_help = "Example:\n  wayleave partner show ptr_01m80p48vazfwqp45pxt8h5btb")]
    Show {
        /// Such as ptr_01m80p48vazfwqp45pxt8h5btb.
        id: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Give a partner another name.
    #[command(
        after_long_help = "Example:\n  wayleave partner rename ptr_01m80p48vazfwqp45pxt8h5btb 'Harbour Signs Ltd'"
    )]
    Rename {
        /// Such as ptr_01m80p48vazfwqp45pxt8h5btb.
        id: String,
        /// The new name.
        name: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Give a partner a plan of the configuration, whose limits count for it, or none.
    #[command(
        after_long_help = "Example:\n  wayleave partner set-plan ptr_01m80p48vazfwqp45pxt8h5btb gold"
    )]
    SetPlan {
        /// Such as ptr_01m80p48vazfwqp45pxt8h5btb.
        id: String,
        /// The plan.
        #[arg(required_unless_present = "none")]
        plan: Option<String>,
        /// Take the plan that it has.
        #[arg(long, conflicts_with = "plan")]
        none: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Take a partner's rights away for now: its tokens and signatures are 403.
    #[command(
        after_long_help = "Example:\n  wayleave partner lapse ptr_01m80p48vazfwqp45pxt8h5btb"
    )]
    Lapse {
        /// Such as ptr_01m80p48vazfwqp45pxt8h5btb.
        id: String,
        #[command(flatten)]
        confirm: ConfirmArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Give a lapsed partner its rights back.
    #[command(
        after_long_help = "Example:\n  wayleave partner admit ptr_01m80p48vazfwqp45pxt8h5btb"
    )]
    Admit {
        /// Such as ptr_01m80p48vazfwqp45pxt8h5btb.
        id: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Does it.
pub(crate) fn run(act: PartnerAct) -> Outcome {
    match act {
        PartnerAct::List { admin } => {
            let listing = Listing {
                path: "/partners",
                filters: &[],
                cursor: Some("id"),
                after: None,
                columns: COLUMNS,
                nouns: ("partner", "partners"),
            };
            list(&mut Remote::new(&admin)?, &listing)
        }
        PartnerAct::Create { name, admin } => post(
            Remote::new(&admin)?,
            "/partners",
            Some(json!({ "name": name })),
            "Made",
        ),
        PartnerAct::Show { id, admin } => {
            let mut remote = Remote::new(&admin)?;
            let partner = remote.get(&format!("/partners/{}", escape(&id)))?;
            show(&remote, &partner, "Partner")
        }
        PartnerAct::Rename { id, name, admin } => {
            let path = format!("/partners/{}/rename", escape(&id));
            post(
                Remote::new(&admin)?,
                &path,
                Some(json!({ "name": name })),
                "Renamed",
            )
        }
        PartnerAct::SetPlan {
            id, plan, admin, ..
        } => post(
            Remote::new(&admin)?,
            &format!("/partners/{}/set-plan", escape(&id)),
            Some(json!({ "plan": plan })),
            "Set",
        ),
        PartnerAct::Lapse { id, confirm, admin } => {
            let question = format!("End the rights of {id}, with every token and signature of it,");
            let remote = Remote::new(&admin)?;
            remote.confirm(confirm, &question)?;
            post(
                remote,
                &format!("/partners/{}/lapse", escape(&id)),
                None,
                "Lapsed",
            )
        }
        PartnerAct::Admit { id, admin } => post(
            Remote::new(&admin)?,
            &format!("/partners/{}/admit", escape(&id)),
            None,
            "Admitted",
        ),
    }
}

fn post(mut remote: Remote, path: &str, body: Option<Value>, done: &str) -> Outcome {
    let partner = remote.post(path, body.as_ref())?;
    show(&remote, &partner, done)
}

fn show(remote: &Remote, partner: &Value, done: &str) -> Result<ExitCode, Failure> {
    remote.print(partner, |remote| {
        let card = remote.paper.card(COLUMNS, partner);
        format!("{done} in {}:\n{card}", remote.place())
    });
    Ok(ExitCode::SUCCESS)
}
