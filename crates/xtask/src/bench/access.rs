//! Decisions about pages and readers: those that read memory only, before few and very many readers, and
//! those that count a new page.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde::Deserialize;

use super::fill::Key;
use super::options::Options;
use super::peers::Peers;
use super::rounds::{Rounds, Stand, Visits};
use super::scratch::{Scratch, Server};
use super::servers::{self, Places};
use super::target::{Phase, Target};
use super::workload::Workload;
use super::wrk::Wrk;
use crate::command::command;
use crate::postgres::{Cluster, programs};

/// Ten million pairs take a minute or two in memory.
const FILLING: Duration = Duration::from_secs(1_200);
const FEW: usize = 1_000;

/// What `scale access` prints.
#[derive(Deserialize)]
struct Serving {
    address: String,
}

/// What it writes.
#[derive(Deserialize)]
struct Asked {
    id: String,
    secret: String,
    asked: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    page: String,
    token: String,
}

/// A server with readers in memory, and what it may be asked.
struct Filled<'a> {
    server: Server<'a>,
    address: String,
    asked: Asked,
}

impl<'a> Filled<'a> {
    fn start(
        (options, places): (&Options, &Places),
        scratch: &'a Scratch,
        target: Target,
        database: &str,
    ) -> Result<Filled<'a>, String> {
        let pairs = match target {
            Target::AccessTenMillion => options.scale,
            _ => FEW,
        };
        eprintln!("bench: filling a memory with {pairs} pairs of readers and pages");
        let folder = scratch.path(&format!("{}-data", target.name()));
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let mut program = command(places.scale());
        program.arg("access").arg(&folder);
        let samples = options.credentials.to_string();
        program.args([&pairs.to_string(), &samples, database]);
        let mut server = scratch.start(target.name(), program)?;
        let line: Serving = server.wait_for_line(FILLING)?;
        let text = fs::read_to_string(folder.join("access.json"));
        let text = text.map_err(|error| format!("access.json: {error}"))?;
        let asked = serde_json::from_str(&text).map_err(|error| format!("access.json: {error}"))?;
        Ok(Filled {
            server,
            address: line.address,
            asked,
        })
    }

    /// As many as are asked of each, so that the client has as much to read. A new reader has no token.
    fn workload(
        &self,
        target: Target,
        (address, count): (&str, usize),
        scratch: &Scratch,
    ) -> Result<Workload, String> {
        let asked = &self.asked;
        let is_new = matches!(target, Target::AccessNewSqlite | Target::AccessNewPostgres);
        let question = |question: &Question| {
            let token = match is_new {
                true => String::new(),
                false => question.token.replace('|', "%7C"),
            };
            let path = format!("/api/Resource/{}/{}", asked.id, question.page);
            format!("{path}?IP=&ResourceURL=&UserToken={token}")
        };
        let questions = asked.asked.iter().map(question).cycle().take(count);
        let key = Key {
            id: asked.id.clone(),
            secret: asked.secret.clone(),
        };
        let file = scratch.path(&format!("{}.requests", target.name()));
        Workload::of_questions(target, address, file, key, questions.collect())
    }
}

/// Starts all that takes part and visits it.
pub(super) fn measure(options: &Options, places: &Places, wrk: &Wrk) -> Result<Visits, String> {
    let targets = options.targets_of(Phase::Access);
    if targets.is_empty() {
        return Ok(Visits::new());
    }
    let scratch = Scratch::below(&places.build, "bench")?;
    let cluster = match targets.contains(&Target::AccessNewPostgres) {
        true => Some(Cluster::start(&programs()?)?),
        false => None,
    };
    let mut filled = BTreeMap::new();
    let own = [
        Target::AccessThousand,
        Target::AccessTenMillion,
        Target::AccessNewSqlite,
        Target::AccessNewPostgres,
    ];
    for target in own {
        // The peers are asked what the smallest is asked.
        if targets.contains(&target) || target == Target::AccessThousand {
            let database = match (&cluster, target) {
                (Some(cluster), Target::AccessNewPostgres) => cluster.create_database("access")?,
                _ => "test.db".to_owned(),
            };
            let of = (options, places);
            filled.insert(target, Filled::start(of, &scratch, target, &database)?);
        }
    }
    let few = &filled[&Target::AccessThousand];
    let (ceiling, ceiling_address) = servers::start_ceiling(places, &scratch)?;
    let mut peers = Peers::ready(places, &scratch)?;
    let upstream = peers.port("ADDRESS")?;
    peers.set("UPSTREAM", upstream.clone());
    peers.set("WAYLEAVE", few.address.clone());
    let _api = peers.nginx("upstream.conf", &upstream)?;
    peers.write_keys(&[Key {
        id: few.asked.id.clone(),
        secret: few.asked.secret.clone(),
    }])?;
    let plain = peers.port("PLAIN")?;
    let lua = peers.port("LUA")?;
    peers.port("ASKING")?;
    let nginx = peers.nginx("nginx.conf", &plain)?;

    let mut stands = BTreeMap::new();
    for target in targets.iter().copied() {
        let (server, address, asked) = match target {
            Target::AccessCeiling => (&ceiling, ceiling_address.as_str(), few),
            Target::AccessLua => (&nginx, lua.as_str(), few),
            target => {
                let own = &filled[&target];
                (&own.server, own.address.as_str(), own)
            }
        };
        let workload = asked.workload(target, (address, options.credentials), &scratch)?;
        let asks = None;
        let stand = Stand {
            server,
            asks,
            workload,
        };
        stands.insert(target, stand);
    }
    let mut rounds = Rounds {
        options,
        places,
        wrk,
        targets,
        stands,
    };
    rounds.run()
}
