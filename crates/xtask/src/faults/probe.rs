//! Looks at a server that came back: what it lists, and what its credentials open.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use super::api::{Addresses, Api, ENVIRONMENTS, Reply, parsed};
use super::ledger::{Held, Ledger, Named, text};
use super::oracle::{Listed, Proof, State};
use super::trail::{Row, Trail};

/// How many connections try credentials out at once.
const CONNECTIONS: usize = 8;
const PAGE: usize = 1000;

/// Reads all that the admin address lists of an environment.
pub(super) fn lists(addresses: &Addresses, environment: usize) -> Result<State, String> {
    let mut api = Api::new(addresses, environment);
    let mut state = State::default();
    for row in pages(&mut api, "partners", "id")? {
        let named = named(&row, None);
        state.partners.insert(named.id.clone(), named);
    }
    for row in pages(&mut api, "integrations", "id")? {
        let named = named(&row, Some(text(&row, "partner").to_owned()));
        state.integrations.insert(named.id.clone(), named);
    }
    for row in pages(&mut api, "credentials", "id")? {
        state
            .credentials
            .insert(text(&row, "id").to_owned(), listed(&row));
    }
    Ok(state)
}

fn named(row: &Value, parent: Option<String>) -> Named {
    Named {
        id: text(row, "id").to_owned(),
        name: text(row, "name").to_owned(),
        parent,
    }
}

fn listed(row: &Value) -> Listed {
    let secrets = row["secrets"].as_array().map_or(&[][..], Vec::as_slice);
    let live = secrets
        .iter()
        .filter(|secret| text(secret, "state") != "ended");
    Listed {
        name: text(row, "name").to_owned(),
        integration: text(row, "integration").to_owned(),
        public_id: text(row, "public_id").to_owned(),
        standing: text(row, "state").to_owned(),
        live: live.count(),
        secrets: secrets.len(),
    }
}

/// Reads the audit trail on from where it was left.
pub(super) fn trail(
    addresses: &Addresses,
    environment: usize,
    trail: &mut Trail,
) -> Result<(), String> {
    let mut api = Api::new(addresses, environment);
    loop {
        let (rows, more) = page(&mut api, "audit", &trail.last.to_string())?;
        trail.take(rows.iter().map(Row::read).collect());
        if !more {
            return Ok(());
        }
    }
}

/// All rows of a list; `key` is the member that the next page begins after.
fn pages(api: &mut Api<'_>, noun: &str, key: &str) -> Result<Vec<Value>, String> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let (rows, more) = page(api, noun, &after)?;
        if let Some(last) = rows.last() {
            text(last, key).clone_into(&mut after);
        }
        all.extend(rows);
        if !more {
            return Ok(all);
        }
    }
}

fn page(api: &mut Api<'_>, noun: &str, after: &str) -> Result<(Vec<Value>, bool), String> {
    let after = if after.is_empty() {
        String::new()
    } else {
        format!("&after={after}")
    };
    let answer = match api.look_up(&format!("{noun}?limit={PAGE}{after}")) {
        Reply::Answered(answer) if answer.status == 200 => answer,
        other => return Err(format!("the list of {noun} could not be read: {other:?}")),
    };
    let mut body = parsed(&answer);
    let more = body["has_more"].as_bool().unwrap_or(false);
    match body["data"].take() {
        Value::Array(rows) => Ok((rows, more)),
        _ => Err(format!("the list of {noun} has no data")),
    }
}

/// Tries out the credentials that were asked for anything since the last look, or all.
pub(super) fn try_out(
    addresses: &Addresses,
    environment: usize,
    ledgers: &[&Ledger],
    all: bool,
    state: &mut State,
) -> Result<(), String> {
    let chosen: Vec<&Held> = ledgers
        .iter()
        .flat_map(|ledger| &ledger.credentials)
        .filter(|held| all || held.touched)
        .collect();
    let (next, proofs) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let one_thread = || -> Result<(), String> {
        let mut api = Api::new(addresses, environment);
        while let Some(held) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let proof = prove(&mut api, held)?;
            let mut proofs = proofs.lock().map_err(|_| "a thread panicked")?;
            proofs.push((held.id.clone(), proof));
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one_thread)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    let proofs = proofs.into_inner().map_err(|_| "a thread panicked")?;
    state.proofs.extend(proofs);
    Ok(())
}

fn prove(api: &mut Api<'_>, held: &Held) -> Result<Proof, String> {
    let mut proof = Proof::default();
    for pair in &held.world.pairs {
        let reply = api.prove(&held.audience, &pair.public_id, &pair.secret);
        proof.pairs.push(is_taken(&held.id, &reply)?);
    }
    for token in &held.world.tokens {
        let reply = api.present(&token.text);
        proof.tokens.push(is_taken(&held.id, &reply)?);
    }
    Ok(proof)
}

fn is_taken(id: &str, reply: &Reply) -> Result<bool, String> {
    match reply.status() {
        Some(200 | 204) => Ok(true),
        Some(401) => Ok(false),
        _ => Err(format!("{id} could not be tried out: {reply:?}")),
    }
}

/// Whether live, test and the admin address all answer to whoever may ask.
pub(super) fn is_ready(addresses: &Addresses) -> bool {
    (0..ENVIRONMENTS.len()).all(|environment| {
        let mut api = Api::new(addresses, environment);
        let (id, secret) = &addresses.clients[environment];
        api.prove("platform", id, secret).status() == Some(200)
            && api.look_up("partners?limit=1").status() == Some(200)
    })
}

/// Whether a change is taken in both environments.
pub(super) fn is_writable(addresses: &Addresses) -> bool {
    (0..ENVIRONMENTS.len()).all(|environment| {
        let mut api = Api::new(addresses, environment);
        let keys = api.look_up("keys").status() == Some(200);
        // A token of its own that is revoked by its client: a write that no list shows.
        let (id, secret) = &addresses.clients[environment];
        let token = match api.prove("platform", id, secret) {
            Reply::Answered(answer) => super::api::token(&answer),
            _ => None,
        };
        let revoked = token.map(|token| api.revoke((id, secret), &token).status());
        keys && revoked == Some(Some(200))
    })
}
