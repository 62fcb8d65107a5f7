//! The outside recorder: what was asked, what was answered, and what must therefore be true.
//!
//! A ledger is written by one thread, which asks for one thing at a time. What was answered moves
//! the world on; an answer that never came leaves two worlds, with and without the effect, until a
//! look at the server tells which.

use std::time::{Duration, Instant};

use serde_json::Value;

/// Tokens live for an hour; older ones than this say nothing certain.
const TOKENS_COUNT_FOR: Duration = Duration::from_secs(45 * 60);
/// How many tokens of a credential are remembered.
const TOKENS_KEPT: usize = 4;
/// How many pairs of a credential are remembered, dead ones among them.
const PAIRS_KEPT: usize = 7;

/// What can be lost; each is a row of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    /// A partner, an integration or a credential, or that it works.
    Object,
    /// A new secret that does not work, or an old one that still does.
    Roll,
    /// A credential that counts though it was revoked or disabled.
    Revocation,
    /// A new pair that does not work, or an old one that still does.
    Refresh,
    /// A token that counts though it was revoked.
    TokenRevocation,
    /// A row of the audit trail.
    Audit,
    /// A part of an act, or an act that nobody asked for.
    HalfApplied,
    /// An answer under load that was wrong when it was given.
    WrongAnswer,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) loss: Loss,
    pub(super) what: String,
}

impl Violation {
    pub(super) fn new(loss: Loss, what: impl Into<String>) -> Violation {
        let what = what.into();
        Violation { loss, what }
    }
}

/// Whether a credential counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Active,
    Disabled,
    Revoked,
}

impl Standing {
    /// As the admin API says it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Standing::Active => "active",
            Standing::Disabled => "disabled",
            Standing::Revoked => "revoked",
        }
    }
}

/// A change of a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Roll { overlap_s: u32 },
    Refresh,
    Revoke,
    Disable,
    Enable,
    RevokeToken { token: String, by_operator: bool },
}

impl Act {
    /// Its name in the audit trail; `None` for what the trail does not record.
    pub(super) fn audited(&self) -> Option<&'static str> {
        match self {
            Act::Roll { .. } => Some("credential.roll"),
            Act::Refresh => Some("credential.refresh"),
            Act::Revoke => Some("credential.revoke"),
            Act::Disable => Some("credential.disable"),
            Act::Enable => Some("credential.enable"),
            Act::RevokeToken { by_operator, .. } => by_operator.then_some("token.revoke"),
        }
    }

    /// What is lost where it was acknowledged and does not hold.
    fn loss(&self) -> Loss {
        match self {
            Act::Roll { .. } => Loss::Roll,
            Act::Refresh => Loss::Refresh,
            Act::Revoke | Act::Disable | Act::Enable => Loss::Revocation,
            Act::RevokeToken { .. } => Loss::TokenRevocation,
        }
    }
}

/// A public id and a secret, and whether they are good while the credential counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) public_id: String,
    pub(super) secret: String,
    pub(super) good: bool,
    /// What is lost where that is not so.
    pub(super) loss: Loss,
}

/// A token, and whether it is good while its credential counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) good: bool,
    pub(super) loss: Loss,
    issued: Instant,
}

/// What is true of a credential.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct World {
    pub(super) standing: Standing,
    pub(super) standing_loss: Loss,
    /// `None`: a new one that nobody was told.
    pub(super) public_id: Option<String>,
    /// How many secrets are good.
    pub(super) live: usize,
    pub(super) pairs: Vec<Pair>,
    pub(super) tokens: Vec<Token>,
}

impl World {
    fn new(pair: Option<(&str, &str)>, public_id: &str) -> World {
        let mut world = World {
            standing: Standing::Active,
            standing_loss: Loss::Object,
            public_id: Some(public_id.to_owned()),
            live: 1,
            pairs: Vec::new(),
            tokens: Vec::new(),
        };
        world.learn(pair, Loss::Object);
        world
    }

    /// Moves on. `told`: the public id and the secret of the answer.
    fn apply(&mut self, act: &Act, told: Option<(&str, &str)>) {
        let loss = act.loss();
        match act {
            Act::Roll { overlap_s: 0 } => {
                self.end_pairs(loss);
                self.live = 1;
                self.learn(told, loss);
            }
            Act::Roll { .. } => {
                self.live += 1;
                self.learn(told, loss);
            }
            Act::Refresh => {
                self.end_pairs(loss);
                for token in self.tokens.iter_mut().filter(|token| token.good) {
                    (token.good, token.loss) = (false, loss);
                }
                self.live = 1;
                self.public_id = told.map(|(public_id, _)| public_id.to_owned());
                self.learn(told, loss);
            }
            Act::Revoke => self.stand(Standing::Revoked, loss),
            Act::Disable => self.stand(Standing::Disabled, loss),
            Act::Enable => self.stand(Standing::Active, loss),
            Act::RevokeToken { token, .. } => {
                for token in self.tokens.iter_mut().filter(|known| known.text == *token) {
                    (token.good, token.loss) = (false, loss);
                }
            }
        }
    }

    fn stand(&mut self, standing: Standing, loss: Loss) {
        (self.standing, self.standing_loss) = (standing, loss);
    }

    fn end_pairs(&mut self, loss: Loss) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.good) {
            (pair.good, pair.loss) = (false, loss);
        }
    }

    fn learn(&mut self, told: Option<(&str, &str)>, loss: Loss) {
        let Some((public_id, secret)) = told else {
            return;
        };
        let dead = self.pairs.iter().position(|pair| !pair.good);
        if let Some(dead) = dead.filter(|_| self.pairs.len() >= PAIRS_KEPT) {
            self.pairs.remove(dead);
        }
        self.pairs.push(Pair {
            public_id: public_id.to_owned(),
            secret: secret.to_owned(),
            good: true,
            loss,
        });
    }

    /// Whether a pair or token that is good by itself counts.
    pub(super) fn counts(&self, good: bool) -> bool {
        good && self.standing == Standing::Active
    }

    /// Remembers a new token.
    pub(super) fn issued(&mut self, token: &str) {
        if self.tokens.len() >= TOKENS_KEPT {
            self.tokens.remove(0);
        }
        self.tokens.push(Token {
            text: token.to_owned(),
            good: true,
            loss: Loss::Object,
            issued: Instant::now(),
        });
    }

    /// Forgets tokens that may have expired.
    fn forget_old_tokens(&mut self) {
        self.tokens
            .retain(|token| token.issued.elapsed() < TOKENS_COUNT_FOR);
    }
}

/// A partner or an integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) id: String,
    pub(super) name: String,
    /// An integration's partner.
    pub(super) parent: Option<String>,
}

/// A credential and what is true of it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) integration: String,
    pub(super) audience: String,
    pub(super) world: World,
    /// An act whose answer never came, and the world with its effect.
    pub(super) doubt: Option<(Act, World)>,
    /// Whether it was asked for anything since the last look.
    pub(super) touched: bool,
}

/// A noun that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noun {
    Partner,
    Integration,
    Credential,
}

impl Noun {
    /// Its address.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Noun::Partner => "partners",
            Noun::Integration => "integrations",
            Noun::Credential => "credentials",
        }
    }

    /// The name of its making in the audit trail.
    pub(super) fn creation(self) -> &'static str {
        match self {
            Noun::Partner => "partner.create",
            Noun::Integration => "integration.create",
            Noun::Credential => "credential.create",
        }
    }
}

/// Something that may have been made: the answer never came.
#[derive(Clone, Debug)]
pub(super) struct Unborn {
    pub(super) noun: Noun,
    pub(super) name: String,
    pub(super) parent: Option<String>,
    pub(super) audience: String,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Answered, and done.
    Acknowledged { request_id: String, body: Value },
    /// Answered, and surely not done.
    Refused { status: u16 },
    /// Not answered, or answered that it is not known.
    Unknown,
}

/// A request and its end.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) act: &'static str,
    pub(super) object: String,
    /// `None`: not known how it ended.
    pub(super) status: Option<u16>,
    pub(super) request_id: String,
}

/// What one thread asked for in one environment.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) partners: Vec<Named>,
    pub(super) integrations: Vec<Named>,
    pub(super) credentials: Vec<Held>,
    pub(super) unborn: Vec<Unborn>,
    pub(super) records: Vec<Record>,
    /// How many records have been compared with the audit trail.
    pub(super) compared: usize,
    /// What was wrong when it was answered.
    pub(super) wrong: Vec<Violation>,
}

impl Ledger {
    /// Writes down a request that changes nothing.
    pub(super) fn looked(&mut self, act: &'static str, object: &str, status: Option<u16>) {
        self.records.push(Record {
            act,
            object: object.to_owned(),
            status,
            request_id: String::new(),
        });
    }

    /// Writes down the making of something and its end.
    pub(super) fn created(&mut self, asked: Unborn, outcome: Outcome) {
        let act = asked.noun.creation();
        match outcome {
            Outcome::Refused { status } => self.looked(act, &asked.name, Some(status)),
            Outcome::Unknown => {
                self.looked(act, &asked.name, None);
                self.unborn.push(asked);
            }
            Outcome::Acknowledged { request_id, body } => {
                let id = text(&body, "id").to_owned();
                self.records.push(Record {
                    act,
                    object: id.clone(),
                    status: Some(201),
                    request_id,
                });
                let told = Some((text(&body, "public_id"), text(&body, "secret")));
                self.add(asked, id, text(&body, "public_id"), told);
            }
        }
    }

    /// Takes up something that is there. `told`: its pair, where that is known.
    pub(super) fn add(
        &mut self,
        asked: Unborn,
        id: String,
        public_id: &str,
        told: Option<(&str, &str)>,
    ) {
        let Unborn {
            noun, name, parent, ..
        } = asked;
        match noun {
            Noun::Partner => self.partners.push(Named { id, name, parent }),
            Noun::Integration => self.integrations.push(Named { id, name, parent }),
            Noun::Credential => self.credentials.push(Held {
                id,
                name,
                integration: parent.unwrap_or_default(),
                audience: asked.audience,
                world: World::new(told, public_id),
                doubt: None,
                touched: true,
            }),
        }
    }

    /// Writes down an act on the credential at a place and its end.
    pub(super) fn acted(&mut self, place: usize, act: Act, outcome: Outcome) {
        let held = &mut self.credentials[place];
        held.touched = true;
        let (mut status, mut known_as) = (None, String::new());
        match outcome {
            Outcome::Refused { status: refused } => status = Some(refused),
            Outcome::Unknown => {
                let mut after = held.world.clone();
                after.apply(&act, None);
                held.doubt = Some((act.clone(), after));
            }
            Outcome::Acknowledged { request_id, body } => {
                let told = (text(&body, "public_id"), text(&body, "secret"));
                held.world.apply(&act, (!told.1.is_empty()).then_some(told));
                (status, known_as) = (Some(200), request_id);
            }
        }
        let object = held.id.clone();
        self.records.push(Record {
            act: act.audited().unwrap_or("token.revoke_own"),
            object,
            status,
            request_id: known_as,
        });
    }

    /// Forgets tokens that may have expired, in both worlds of a doubt.
    pub(super) fn forget_old_tokens(&mut self) {
        for held in &mut self.credentials {
            held.world.forget_old_tokens();
            if let Some((_, after)) = &mut held.doubt {
                after.forget_old_tokens();
            }
        }
    }

    /// After a look: nothing was asked for since.
    pub(super) fn rest(&mut self) {
        for held in &mut self.credentials {
            held.touched = false;
        }
    }

    /// How many changes were acknowledged.
    pub(super) fn acknowledged(&self) -> usize {
        let done = |record: &&Record| record.is_change() && !record.request_id.is_empty();
        self.records.iter().filter(done).count()
    }
}

impl Record {
    /// Whether it is an act of an operator, and so one that the audit trail holds.
    pub(super) fn is_audited(&self) -> bool {
        self.is_change() && self.act != "token.revoke_own"
    }

    fn is_change(&self) -> bool {
        !self.act.starts_with("look.")
    }
}

/// A member that is text; empty where it is not.
pub(super) fn text<'v>(body: &'v Value, name: &str) -> &'v str {
    body[name].as_str().unwrap_or_default()
}
