//! Credentials made through the admin API, on either database.

use std::collections::BTreeMap;

use super::fill::{self, Demo};
use super::options::Options;
use super::rounds::{Rounds, Stand, Visits};
use super::scratch::{Scratch, Server};
use super::servers::{self, Places};
use super::target::{Phase, Target};
use super::workload::Workload;
use super::wrk::Wrk;
use crate::postgres::{self, Cluster};

/// Starts a Wayleave on each database that takes part and visits them.
pub(super) fn measure(options: &Options, places: &Places, wrk: &Wrk) -> Result<Visits, String> {
    let targets = options.targets_of(Phase::Creation);
    if targets.is_empty() {
        return Ok(Visits::new());
    }
    let scratch = Scratch::below(&places.build, "bench")?;
    let postgres = targets.iter().any(|target| target.is_on_postgres());
    let cluster = postgres.then(start_postgres).transpose()?;
    let url = cluster.as_ref().map(Cluster::url);
    let on_sqlite = servers::start_wayleave(places, &scratch, "on-sqlite", None)?;
    let on_postgres = url
        .map(|url| servers::start_wayleave(places, &scratch, "on-postgres", Some(&url)))
        .transpose()?;
    let mut stands = BTreeMap::new();
    for target in targets.iter().copied() {
        let (server, demo) = match &on_postgres {
            Some(on_postgres) if target.is_on_postgres() => on_postgres,
            _ => &on_sqlite,
        };
        stands.insert(target, stand(target, &scratch, server, demo)?);
    }
    Rounds {
        options,
        places,
        wrk,
        targets,
        stands,
    }
    .run()
}

fn start_postgres() -> Result<Cluster, String> {
    eprintln!("bench: starting PostgreSQL");
    Cluster::start(&postgres::programs()?)
}

fn stand<'a>(
    target: Target,
    scratch: &Scratch,
    server: &'a Server<'a>,
    demo: &Demo,
) -> Result<Stand<'a>, String> {
    let file = scratch.path(&format!("{}.requests", target.name()));
    let request = fill::credential_creation(demo)?;
    let workload = Workload::of_one(target, demo.admin_address(), file, request)?;
    Ok(Stand {
        server,
        asks: None,
        workload,
    })
}
