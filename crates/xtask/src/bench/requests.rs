//! Checks and tokens, ours and others', in the same rounds.

use std::collections::BTreeMap;
use std::path::Path;

use super::fill::{self, Demo, Environment, Key};
use super::options::Options;
use super::rounds::{Rounds, Stand, Visits};
use super::scratch::{Scratch, Server};
use super::servers::{self, Places};
use super::target::{Phase, Target};
use super::workload::{self, Workload};
use super::wrk::Wrk;

/// Starts the servers, fills them, and visits them; all of them are gone when it returns.
pub(super) fn measure(options: &Options, places: &Places, wrk: &Wrk) -> Result<Visits, String> {
    let targets = options.targets_of(Phase::Requests);
    if targets.is_empty() {
        return Ok(Visits::new());
    }
    let scratch = Scratch::below(&places.build, "bench")?;
    let takes_part = |target| targets.contains(&target);
    let mut servers: BTreeMap<Target, (Server<'_>, String)> = BTreeMap::new();
    if takes_part(Target::Ceiling) {
        servers.insert(Target::Ceiling, servers::start_ceiling(places, &scratch)?);
    }
    let made_up = workload::made_up_keys(options.credentials);
    for target in [Target::OidcOpaque, Target::OidcEs256] {
        if takes_part(target) {
            eprintln!("bench: starting {}", target.name());
            servers.insert(
                target,
                servers::start_oidc(places, &scratch, target, &made_up)?,
            );
        }
    }
    let filled = Filled::start(options, places, &scratch)?;
    let mut stands = BTreeMap::new();
    for target in targets.iter().copied() {
        let (server, address, keys, environment) = match (servers.get(&target), &filled) {
            (Some((server, address)), _) => (server, address.as_str(), &made_up, None),
            (None, Some(filled)) if target.audience().is_some() => {
                let test = &filled.demo.test;
                (
                    &filled.server,
                    test.address(),
                    filled.keys(target)?,
                    Some(test),
                )
            }
            _ => continue,
        };
        let file = scratch.path(&format!("{}.requests", target.name()));
        let workload = make_requests(target, address, &file, keys, environment)?;
        stands.insert(
            target,
            Stand {
                server,
                asks: None,
                workload,
            },
        );
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

fn make_requests(
    target: Target,
    address: &str,
    file: &Path,
    keys: &[Key],
    environment: Option<&Environment>,
) -> Result<Workload, String> {
    eprintln!(
        "bench: preparing {} requests for {}",
        keys.len(),
        target.name()
    );
    Workload::new(target, address, file.to_owned(), keys.to_vec(), environment)
}

/// A running Wayleave with the credentials that the targets need.
struct Filled<'a> {
    server: Server<'a>,
    demo: Demo,
    keys: BTreeMap<&'static str, Vec<Key>>,
}

impl<'a> Filled<'a> {
    /// Nothing when no target is Wayleave.
    fn start(
        options: &Options,
        places: &Places,
        scratch: &'a Scratch,
    ) -> Result<Option<Filled<'a>>, String> {
        let mut audiences: Vec<_> = options
            .targets
            .iter()
            .filter_map(|t| t.audience())
            .collect();
        audiences.sort_unstable();
        audiences.dedup();
        if audiences.is_empty() {
            return Ok(None);
        }
        let (server, demo) = servers::start_wayleave(places, scratch, "wayleave", None)?;
        eprintln!(
            "bench: making {} credentials of each kind",
            options.credentials
        );
        let keys = fill::credentials(&demo, &audiences, options.credentials)?;
        let keys = audiences.into_iter().zip(keys).collect();
        Ok(Some(Filled { server, demo, keys }))
    }

    fn keys(&self, target: Target) -> Result<&Vec<Key>, String> {
        let keys = target
            .audience()
            .and_then(|audience| self.keys.get(audience));
        keys.ok_or_else(|| format!("no keys for {}", target.name()))
    }
}
