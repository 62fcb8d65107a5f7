//! Compares what was acknowledged with what a server holds after it came back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::ledger::{Act, Held, Ledger, Loss, Named, Noun, Unborn, Violation, World};
use super::trail::{Claim, Trail};

/// What a server holds of one environment, as it says itself and as it behaves.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// By id.
    pub(super) partners: BTreeMap<String, Named>,
    /// By id.
    pub(super) integrations: BTreeMap<String, Named>,
    /// By id.
    pub(super) credentials: BTreeMap<String, Listed>,
    /// By the ids of the credentials that were tried out.
    pub(super) proofs: BTreeMap<String, Proof>,
}

/// A credential as it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) integration: String,
    pub(super) public_id: String,
    pub(super) standing: String,
    /// How many of its secrets are good.
    pub(super) live: usize,
    /// How many secrets it has.
    pub(super) secrets: usize,
}

/// What happened when a credential's pairs and tokens were presented, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) pairs: Vec<bool>,
    pub(super) tokens: Vec<bool>,
}

/// Finds what is wrong, and settles every doubt of the ledgers by what is there.
pub(super) fn settle(
    ledgers: &mut [&mut Ledger],
    state: &State,
    trail: &mut Trail,
) -> Vec<Violation> {
    let mut found = Vec::new();
    // What was answered first: a row that is left then belongs to an act in doubt.
    for ledger in ledgers.iter_mut() {
        trail.compare(ledger, &mut found);
    }
    for ledger in ledgers.iter_mut() {
        found.append(&mut ledger.wrong);
        look_for_named(&ledger.partners, &state.partners, &mut found);
        look_for_named(&ledger.integrations, &state.integrations, &mut found);
        for held in &mut ledger.credentials {
            settle_credential(held, state, trail, &mut found);
        }
        settle_unborn(ledger, state, trail, &mut found);
    }
    look_for_strangers(ledgers, state, &mut found);
    trail.look_for_unclaimed(&mut found);
    found
}

fn look_for_named(known: &[Named], there: &BTreeMap<String, Named>, found: &mut Vec<Violation>) {
    for named in known {
        if there.get(&named.id) != Some(named) {
            let what = format!("{} ({}) is gone or altered", named.id, named.name);
            found.push(Violation::new(Loss::Object, what));
        }
    }
}

/// Whether the act in doubt took effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    No,
    Yes,
    /// Both would look alike.
    Either,
    /// Neither fits: a part of it.
    Part,
}

fn settle_credential(
    held: &mut Held,
    state: &State,
    trail: &mut Trail,
    found: &mut Vec<Violation>,
) {
    let listed = state.credentials.get(&held.id);
    let proof = state.proofs.get(&held.id);
    let before = differences(held, &held.world, listed, proof);
    let Some((act, after)) = held.doubt.take() else {
        found.extend(before);
        return;
    };
    let with_effect = differences(held, &after, listed, proof);
    let effect = match (before.is_empty(), with_effect.is_empty()) {
        (true, true) => Effect::Either,
        (true, false) => Effect::No,
        (false, true) => Effect::Yes,
        (false, false) => Effect::Part,
    };
    let recorded = act.audited().is_some_and(|name| {
        trail.claim(&Claim {
            act: name,
            object: &held.id,
        })
    });
    match effect {
        Effect::Part => found.push(part_of(held, &act, &before, &with_effect)),
        Effect::Yes if act.audited().is_some() && !recorded => {
            found.push(half(
                held,
                &act,
                "took effect and is not in the audit trail",
            ));
        }
        Effect::No if recorded => {
            found.push(half(
                held,
                &act,
                "is done in the audit trail and took no effect",
            ));
        }
        _ => {}
    }
    let took = effect == Effect::Yes || (effect == Effect::Either && recorded);
    adopt(held, &act, took.then_some(after), effect, listed);
}

/// From now on one world counts.
fn adopt(
    held: &mut Held,
    act: &Act,
    after: Option<World>,
    effect: Effect,
    listed: Option<&Listed>,
) {
    if let Some(after) = after {
        held.world = after;
    }
    if let (None, Some(listed)) = (&held.world.public_id, listed) {
        held.world.public_id = Some(listed.public_id.clone());
    }
    // Where it cannot be seen whether a token was revoked, nothing is known of it.
    if let Act::RevokeToken { token, .. } = act
        && effect == Effect::Either
    {
        held.world.tokens.retain(|known| known.text != *token);
    }
}

fn half(held: &Held, act: &Act, why: &str) -> Violation {
    let what = format!("{}: {act:?} was never answered, {why}", held.id);
    Violation::new(Loss::HalfApplied, what)
}

fn part_of(held: &Held, act: &Act, before: &[Violation], after: &[Violation]) -> Violation {
    let list = |all: &[Violation]| {
        let all: Vec<&str> = all.iter().map(|one| one.what.as_str()).collect();
        all.join("; ")
    };
    let why = format!(
        "and neither none of it is there ({}) nor all ({})",
        list(before),
        list(after)
    );
    half(held, act, &why)
}

/// What does not fit a world.
fn differences(
    held: &Held,
    world: &World,
    listed: Option<&Listed>,
    proof: Option<&Proof>,
) -> Vec<Violation> {
    let id = &held.id;
    let Some(listed) = listed else {
        return vec![Violation::new(Loss::Object, format!("{id} is gone"))];
    };
    let mut found = Vec::new();
    let mut wrong = |loss, what: String| found.push(Violation::new(loss, format!("{id} {what}")));
    if listed.integration != held.integration || listed.name != held.name {
        wrong(Loss::Object, "belongs elsewhere".to_owned());
    }
    if listed.standing != world.standing.word() {
        let what = format!("is {} and not {}", listed.standing, world.standing.word());
        wrong(world.standing_loss, what);
    }
    let mut old = held.world.pairs.iter().map(|pair| &pair.public_id);
    let has_new_id = held.world.public_id.as_ref() != Some(&listed.public_id)
        && !old.any(|public_id| *public_id == listed.public_id);
    let fits = match &world.public_id {
        Some(public_id) => *public_id == listed.public_id,
        None => has_new_id,
    };
    if !fits {
        wrong(Loss::Refresh, "has another public id".to_owned());
    }
    if listed.live != world.live {
        let what = format!("has {} good secrets and not {}", listed.live, world.live);
        wrong(Loss::Roll, what);
    }
    if let Some(proof) = proof {
        found.extend(disproved(id, world, proof));
    }
    found
}

/// Pairs and tokens that work though they should not, or the other way round.
fn disproved(id: &str, world: &World, proof: &Proof) -> Vec<Violation> {
    let pairs = world
        .pairs
        .iter()
        .map(|pair| ("secret", pair.good, pair.loss));
    let tokens = world
        .tokens
        .iter()
        .map(|token| ("token", token.good, token.loss));
    let all = pairs.zip(&proof.pairs).chain(tokens.zip(&proof.tokens));
    all.filter_map(|((noun, good, loss), works)| {
        let should = world.counts(good);
        let loss = if good { world_loss(world, loss) } else { loss };
        let what = if should { "refused" } else { "taken" };
        let what = format!("{id}: a {noun} is {what} that should not be");
        (should != *works).then(|| Violation::new(loss, what))
    })
    .collect()
}

/// A good pair is refused for the credential's sake only.
fn world_loss(world: &World, loss: Loss) -> Loss {
    if world.counts(true) {
        loss
    } else {
        world.standing_loss
    }
}

/// Finds out which of the things that may have been made are there.
fn settle_unborn(
    ledger: &mut Ledger,
    state: &State,
    trail: &mut Trail,
    found: &mut Vec<Violation>,
) {
    for unborn in std::mem::take(&mut ledger.unborn) {
        let Some((id, public_id)) = find(&unborn, state) else {
            continue;
        };
        let claim = Claim {
            act: unborn.noun.creation(),
            object: &id,
        };
        if !trail.claim(&claim) {
            let what = format!("{id} is there, and its making is not in the audit trail");
            found.push(Violation::new(Loss::HalfApplied, what));
        }
        ledger.add(unborn, id, &public_id, None);
    }
}

/// The id and the public id of what has that name.
fn find(unborn: &Unborn, state: &State) -> Option<(String, String)> {
    let among = |all: &BTreeMap<String, Named>| {
        let one = all.values().find(|named| named.name == unborn.name)?;
        Some((one.id.clone(), String::new()))
    };
    match unborn.noun {
        Noun::Partner => among(&state.partners),
        Noun::Integration => among(&state.integrations),
        Noun::Credential => {
            let mut all = state.credentials.iter();
            let (id, listed) = all.find(|(_, listed)| listed.name == unborn.name)?;
            Some((id.clone(), listed.public_id.clone()))
        }
    }
}

/// What is there and nobody asked for, and what is there in part.
fn look_for_strangers(ledgers: &[&mut Ledger], state: &State, found: &mut Vec<Violation>) {
    let known: BTreeSet<&str> = ledgers.iter().flat_map(|ledger| ids(ledger)).collect();
    let named = state.partners.values().chain(state.integrations.values());
    let names = named.map(|named| (&named.id, &named.name));
    let credentials = state.credentials.iter().map(|(id, one)| (id, &one.name));
    for (id, name) in names.chain(credentials) {
        if !known.contains(id.as_str()) && !is_of_the_demonstration(name) {
            let what = format!("{id} ({name}) is there, and nobody asked for it");
            found.push(Violation::new(Loss::HalfApplied, what));
        }
    }
    for (id, listed) in &state.credentials {
        let is_whole = listed.secrets > 0 && state.integrations.contains_key(&listed.integration);
        if !is_whole {
            let what = format!("{id} has no secret or no integration");
            found.push(Violation::new(Loss::HalfApplied, what));
        }
    }
    for integration in state.integrations.values() {
        let partner = integration.parent.as_ref();
        if !partner.is_some_and(|partner| state.partners.contains_key(partner)) {
            let what = format!("{} has no partner", integration.id);
            found.push(Violation::new(Loss::HalfApplied, what));
        }
    }
}

/// The demonstration's own partner, integration and credentials.
fn is_of_the_demonstration(name: &str) -> bool {
    name.is_empty() || name.starts_with("Demo ")
}

fn ids(ledger: &Ledger) -> impl Iterator<Item = &str> {
    let named = ledger.partners.iter().chain(&ledger.integrations);
    let named = named.map(|named| named.id.as_str());
    named.chain(ledger.credentials.iter().map(|held| held.id.as_str()))
}

/// How many violations there are of each kind.
pub(super) fn count(violations: &[Violation]) -> HashMap<&'static str, usize> {
    let mut counts = HashMap::new();
    for violation in violations {
        *counts.entry(row(violation.loss)).or_insert(0) += 1;
    }
    counts
}

/// The name of a kind's row in the report.
pub(super) fn row(loss: Loss) -> &'static str {
    match loss {
        Loss::Object => "acknowledged credentials lost",
        Loss::Roll => "acknowledged rolls lost",
        Loss::Revocation => "acknowledged revocations lost",
        Loss::Refresh => "acknowledged refreshes lost",
        Loss::TokenRevocation => "acknowledged token revocations lost",
        Loss::Audit => "audit rows lost",
        Loss::HalfApplied => "half-applied operations",
        Loss::WrongAnswer => "wrong answers under load",
    }
}

/// Every kind, in the order of the report.
pub(super) const LOSSES: [Loss; 8] = [
    Loss::Object,
    Loss::Roll,
    Loss::Revocation,
    Loss::Refresh,
    Loss::TokenRevocation,
    Loss::Audit,
    Loss::HalfApplied,
    Loss::WrongAnswer,
];

#[cfg(test)]
#[path = "oracle_tests.rs"]
mod tests;
