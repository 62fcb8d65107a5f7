//! Mixed load: every desk asks for one thing after the other and writes down what it was answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::{Addresses, Api, ENVIRONMENTS, Reply, parsed, token};
use super::ledger::{Act, Ledger, Loss, Noun, Outcome, Pair, Standing, Unborn, Violation};
use crate::bench::client::Answer;
use crate::malformed::kit::chance::Chance;

/// How many good secrets a credential may have.
const MOST_LIVE: usize = 5;
/// A desk works with its newest credentials only.
const AT_WORK: usize = 12;
/// How long to wait after a refusal for the moment.
const PAUSE: Duration = Duration::from_millis(20);
const WEEK_S: u32 = 7 * 24 * 3600;

/// One caller: where it works, what it knows, and what it saw go wrong.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) number: usize,
    /// Which environment it works in.
    pub(super) environment: usize,
    pub(super) ledger: Ledger,
    chance: Chance,
    made: usize,
    /// When requests that were lost had been written.
    pub(super) lost_at: Vec<Instant>,
    /// How many answers said "not for the moment", and how many that the outcome is not known.
    pub(super) unavailable: usize,
    pub(super) unknown: usize,
    /// Whether a good credential may be refused for now: its database is away.
    pub(super) is_in_outage: bool,
    pub(super) refused_in_outage: usize,
}

impl Desk {
    /// The desk with that number.
    pub(super) fn new(number: usize, chance: Chance) -> Desk {
        Desk {
            number,
            environment: number % 2,
            ledger: Ledger::default(),
            chance,
            made: 0,
            lost_at: Vec::new(),
            unavailable: 0,
            unknown: 0,
            is_in_outage: false,
            refused_in_outage: 0,
        }
    }

    /// What it asked for and how that ended, without secrets: one line of JSON each.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.ledger.records.iter().map(|record| {
            json!({
                "desk": self.number,
                "environment": ENVIRONMENTS[self.environment],
                "act": record.act,
                "object": record.object,
                "status": record.status,
                "request_id": record.request_id,
            })
            .to_string()
        })
    }

    /// Works until it is told to stop.
    fn work(&mut self, addresses: &Addresses, stop: &AtomicBool) {
        let mut api = Api::new(addresses, self.environment);
        while !stop.load(Ordering::Relaxed) {
            if !self.step(&mut api) {
                thread::sleep(PAUSE);
            }
        }
    }

    /// Asks for one thing; `false` when there was no good answer.
    fn step(&mut self, api: &mut Api<'_>) -> bool {
        let kind = self.chance.below(100);
        let place = self.choose();
        match (kind, place) {
            _ if self.ledger.partners.is_empty() => self.make_partner(api),
            _ if self.ledger.integrations.is_empty() => self.make_integration(api),
            (0..3, _) => self.make_partner(api),
            (3..7, _) => self.make_integration(api),
            (7..20, _) | (_, None) => self.make_credential(api),
            (20..46, Some(place)) => self.change(api, place),
            (46..62, Some(place)) => self.prove(api, place),
            (62..78, Some(place)) => self.present(api, place),
            (78..86, Some(place)) => self.introspect(api, place),
            (_, Some(place)) => self.revoke_token(api, place),
        }
    }

    /// One of the newest credentials of which everything is known.
    fn choose(&mut self) -> Option<usize> {
        let count = self.ledger.credentials.len();
        let first = count.saturating_sub(AT_WORK);
        let place = first + self.chance.below(count - first);
        let held = self.ledger.credentials.get(place)?;
        held.doubt.is_none().then_some(place)
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("desk {} number {}", self.number, self.made)
    }

    fn make(&mut self, api: &mut Api<'_>, asked: Unborn, body: &Value) -> bool {
        let reply = api.operate(asked.noun.plural(), body);
        let Some((outcome, good)) = self.outcome(reply, asked.noun.creation()) else {
            return false;
        };
        self.ledger.created(asked, outcome);
        good
    }

    fn make_partner(&mut self, api: &mut Api<'_>) -> bool {
        let name = self.name();
        let body = json!({ "name": name });
        self.make(api, unborn(Noun::Partner, name, None, ""), &body)
    }

    fn make_integration(&mut self, api: &mut Api<'_>) -> bool {
        let (name, partner) = (self.name(), self.newest_partner());
        let body = json!({ "name": name, "partner": partner });
        self.make(
            api,
            unborn(Noun::Integration, name, Some(partner), ""),
            &body,
        )
    }

    fn make_credential(&mut self, api: &mut Api<'_>) -> bool {
        let integrations = self.ledger.integrations.len();
        let integration = self.chance.below(integrations);
        let integration = self.ledger.integrations[integration].id.clone();
        let audience = ["platform", "routes", "management"][self.chance.below(3)];
        let name = self.name();
        let body = json!({ "name": name, "integration": integration, "audience": audience });
        let asked = unborn(Noun::Credential, name, Some(integration), audience);
        self.make(api, asked, &body)
    }

    fn newest_partner(&self) -> String {
        let newest = self.ledger.partners.last();
        newest.map(|named| named.id.clone()).unwrap_or_default()
    }

    /// Rolls, refreshes, revokes, disables or enables.
    fn change(&mut self, api: &mut Api<'_>, place: usize) -> bool {
        let kind = self.chance.below(26);
        let held = &self.ledger.credentials[place];
        let act = match (held.world.standing, kind) {
            (Standing::Revoked, _) => return self.prove(api, place),
            (Standing::Disabled, 0..16) => Act::Enable,
            (Standing::Active, 0..4) => Act::Disable,
            (_, 4..7) => Act::Revoke,
            (_, 7..12) => Act::Refresh,
            (_, 12..19) if held.world.live < MOST_LIVE => Act::Roll { overlap_s: WEEK_S },
            _ => Act::Roll { overlap_s: 0 },
        };
        let (verb, body) = match &act {
            Act::Roll { overlap_s } => ("roll", json!({ "overlap_s": overlap_s })),
            Act::Refresh => ("refresh", json!({})),
            Act::Revoke => ("revoke", json!({})),
            Act::Disable => ("disable", json!({})),
            _ => ("enable", json!({})),
        };
        let reply = api.operate(&format!("credentials/{}/{verb}", held.id), &body);
        self.note(place, act, reply)
    }

    fn note(&mut self, place: usize, act: Act, reply: Reply) -> bool {
        let Some((outcome, good)) = self.outcome(reply, act.audited().unwrap_or("token.revoke"))
        else {
            return false;
        };
        self.ledger.acted(place, act, outcome);
        good
    }

    /// Presents one of a credential's pairs, a dead one now and then.
    fn prove(&mut self, api: &mut Api<'_>, place: usize) -> bool {
        let chosen = self.chance.below(usize::MAX);
        let held = &self.ledger.credentials[place];
        let (audience, id) = (held.audience.clone(), held.id.clone());
        if held.world.pairs.is_empty() {
            return true;
        }
        let pair = held.world.pairs[chosen % held.world.pairs.len()].clone();
        let should = held.world.counts(pair.good);
        let reply = api.prove(&audience, &pair.public_id, &pair.secret);
        if let Reply::Answered(answer) = &reply
            && let Some(token) = token(answer)
            && should
        {
            self.ledger.credentials[place].world.issued(&token);
        }
        let expected = match (should, audience.as_str()) {
            (false, _) => 401,
            (true, "management") => 204,
            (true, _) => 200,
        };
        self.expect("look.prove", &id, &reply, expected)
    }

    fn present(&mut self, api: &mut Api<'_>, place: usize) -> bool {
        let chosen = self.chance.below(usize::MAX);
        let held = &self.ledger.credentials[place];
        let count = held.world.tokens.len();
        if count == 0 {
            return self.prove(api, place);
        }
        let token = &held.world.tokens[chosen % count];
        let (id, text) = (held.id.clone(), token.text.clone());
        let expected = if held.world.counts(token.good) {
            204
        } else {
            401
        };
        let reply = api.present(&text);
        self.expect("look.present", &id, &reply, expected)
    }

    fn introspect(&mut self, api: &mut Api<'_>, place: usize) -> bool {
        let Some((pair, token, good)) = self.pair_and_token(place) else {
            return self.prove(api, place);
        };
        let id = self.ledger.credentials[place].id.clone();
        let reply = api.introspect((&pair.public_id, &pair.secret), &token);
        if let Reply::Answered(answer) = &reply
            && answer.status == 200
            && parsed(answer)["active"].as_bool() != Some(good)
            && !self.is_in_outage
        {
            let what = format!("{id}: introspection of a token said not {good}");
            self.wrong(what);
        }
        self.expect("look.introspect", &id, &reply, 200)
    }

    /// A good pair and some token of a credential that counts, and whether the token does.
    fn pair_and_token(&mut self, place: usize) -> Option<(Pair, String, bool)> {
        let chosen = self.chance.below(usize::MAX);
        let world = &self.ledger.credentials[place].world;
        let pair = world.pairs.iter().find(|pair| world.counts(pair.good))?;
        let token = world.tokens.get(chosen % world.tokens.len().max(1))?;
        Some((pair.clone(), token.text.clone(), token.good))
    }

    /// Ends a good token, as its client or as the operator.
    fn revoke_token(&mut self, api: &mut Api<'_>, place: usize) -> bool {
        let by_operator = self.chance.below(2) == 0;
        let Some((pair, token, true)) = self.pair_and_token(place) else {
            return self.prove(api, place);
        };
        let reply = if by_operator {
            api.operate("tokens/revoke", &json!({ "token": token }))
        } else {
            api.revoke((&pair.public_id, &pair.secret), &token)
        };
        // RFC 7009 leaves open whether a revocation that failed took effect.
        let reply = match reply {
            Reply::Answered(answer) if !by_operator && answer.status == 503 => {
                self.unavailable(&answer);
                Reply::Lost(None)
            }
            other => other,
        };
        let act = Act::RevokeToken { token, by_operator };
        self.note(place, act, reply)
    }

    /// Notes an answer that changes nothing and must have a certain status.
    fn expect(&mut self, act: &'static str, object: &str, reply: &Reply, expected: u16) -> bool {
        self.ledger.looked(act, object, reply.status());
        match reply {
            Reply::NotSent => false,
            Reply::Lost(at) => {
                self.lost_at.extend(*at);
                false
            }
            Reply::Answered(answer) if answer.status == expected => true,
            Reply::Answered(answer) if self.unavailable(answer) => false,
            // It was changed a moment ago, and its database went away before it was read again.
            Reply::Answered(answer) if self.is_in_outage && answer.status == 401 => {
                self.refused_in_outage += 1;
                false
            }
            Reply::Answered(answer) => {
                let summary = answer.summary();
                self.wrong(format!("{object}: {act}: {summary} and not {expected}"));
                false
            }
        }
    }

    /// What a change's answer means, and whether it was good; `None` when it was never sent.
    fn outcome(&mut self, reply: Reply, act: &str) -> Option<(Outcome, bool)> {
        let answer = match reply {
            Reply::NotSent => return None,
            Reply::Lost(at) => {
                self.lost_at.extend(at);
                return Some((Outcome::Unknown, false));
            }
            Reply::Answered(answer) => answer,
        };
        let status = answer.status;
        if matches!(status, 200 | 201) {
            let request_id = answer.header("request-id").unwrap_or_default().to_owned();
            let body = parsed(&answer);
            return Some((Outcome::Acknowledged { request_id, body }, true));
        }
        if self.unavailable(&answer) {
            return Some((Outcome::Refused { status }, false));
        }
        if status == 503 {
            self.unknown += 1;
            return Some((Outcome::Unknown, false));
        }
        if !(self.is_in_outage && status == 401) {
            self.wrong(format!("{act}: {}", answer.summary()));
        }
        Some((Outcome::Refused { status }, false))
    }

    /// Whether an answer says when to come again.
    fn unavailable(&mut self, answer: &Answer) -> bool {
        let says = answer.status == 503 && answer.header("retry-after").is_some();
        if says {
            self.unavailable += 1;
            if !self.is_in_outage {
                self.wrong(format!("not in an outage: {}", answer.summary()));
            }
        }
        says
    }

    fn wrong(&mut self, what: String) {
        let violation = Violation::new(Loss::WrongAnswer, what);
        self.ledger.wrong.push(violation);
    }
}

fn unborn(noun: Noun, name: String, parent: Option<String>, audience: &str) -> Unborn {
    Unborn {
        noun,
        name,
        parent,
        audience: audience.to_owned(),
    }
}

/// Lets the desks work while `meanwhile` runs, and then stops them.
pub(super) fn under_load<T>(
    desks: &mut [Desk],
    addresses: &Addresses,
    meanwhile: impl FnOnce() -> T,
) -> Result<T, String> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = desks
            .iter_mut()
            .map(|desk| scope.spawn(|| desk.work(addresses, &stop)))
            .collect();
        let done = meanwhile();
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().map_err(|_| "a desk panicked")?;
        }
        Ok(done)
    })
}
