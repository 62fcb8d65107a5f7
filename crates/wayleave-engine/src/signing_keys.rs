//! The keys that sign tokens: which there are, which signs now, and when the next one comes.
//!
//! A key is published from the moment it is made and signs from a later one, so that whoever keeps
//! a copy of the key set has it in time; it stays published until its last token has expired.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use wayleave_core::Timestamp;
use wayleave_protocol::jwt::{self, Algorithm, SigningKey, VerifyingKey};
use wayleave_store::StoreError;

use crate::audit::{Act, Actor};
use crate::authenticate::LEEWAY_S;
use crate::engine::Engine;
use crate::token::TOKEN_LIFE_S;
use crate::{Refusal, Vault};

/// How long a key signs.
const SIGNING_PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long before its use a key has to be published: longer than anyone keeps the key set.
const PUBLISHED_AHEAD: Duration = Duration::from_secs(600);
/// How long a key stays published after it signed its last token.
const RETIRED_PERIOD: Duration = Duration::from_secs((TOKEN_LIFE_S + LEEWAY_S) as u64 + 3600);

struct RingKey {
    signing: SigningKey,
    verifying: Arc<VerifyingKey>,
    signs_from_at: Timestamp,
}

/// What a signing key does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyPhase {
    /// Published, and signs later.
    Next,
    /// Signs now.
    Current,
    /// Signs no longer; its tokens are still good.
    Retired,
}

impl KeyPhase {
    /// The word that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyPhase::Next => "next",
            KeyPhase::Current => "current",
            KeyPhase::Retired => "retired",
        }
    }
}

/// The keys of one moment, oldest first.
#[derive(Default)]
pub(crate) struct SigningKeys {
    keys: Vec<RingKey>,
    /// Counts up when a key is gone.
    pub(crate) epoch: u32,
    published: String,
}

impl SigningKeys {
    fn open(
        stored: &[wayleave_store::SigningKey],
        vault: &Vault,
        epoch: u32,
    ) -> Result<Self, Refusal> {
        let mut keys = Vec::with_capacity(stored.len());
        for key in stored {
            let private = vault.open(&row(&key.kid), &key.master_key_id, &key.sealed)?;
            let algorithm: Algorithm = key.algorithm.parse().map_err(unusable)?;
            let signing =
                SigningKey::from_pkcs8(&key.kid, algorithm, &private).map_err(unusable)?;
            let verifying = Arc::new(signing.verifying_key());
            keys.push(RingKey {
                signing,
                verifying,
                signs_from_at: key.signs_from_at,
            });
        }
        let public: Vec<Value> = keys.iter().map(|key| key.signing.public_jwk()).collect();
        Ok(SigningKeys {
            keys,
            epoch,
            published: json!({ "keys": public }).to_string(),
        })
    }

    /// The public key of that name.
    pub(crate) fn find(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        self.keys
            .iter()
            .find(|key| key.signing.kid() == kid)
            .map(|key| key.verifying.clone())
    }

    /// The key that signs now: the newest whose time has come; where the clock was set back before
    /// that of all, the oldest.
    pub(crate) fn current(&self, now_s: i64) -> Option<&SigningKey> {
        let started = |key: &&RingKey| key.signs_from_at.unix_s() <= now_s;
        let newest = self.keys.iter().rev().find(started);
        newest.or(self.keys.first()).map(|key| &key.signing)
    }
}

/// What must happen to the keys at a moment.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Make {
        generation: i64,
        signs_from_at: Timestamp,
    },
    Remove {
        kid: String,
    },
    Nothing,
}

/// Decides the next step from what is stored: the first key signs at once; there is always one key
/// that is published and does not sign yet; a key whose tokens have all expired goes.
///
/// A changed algorithm is used at once. Where a clock that was far ahead left only keys of its own
/// time, a key of the present time is made; theirs go as soon as they have had a successor.
fn next_step(stored: &[wayleave_store::SigningKey], algorithm: Algorithm, now: Timestamp) -> Step {
    let Some(newest) = stored.last() else {
        return Step::Make {
            generation: 1,
            signs_from_at: now,
        };
    };
    if newest.algorithm != algorithm.as_str() {
        return Step::Make {
            generation: newest.generation + 1,
            signs_from_at: now,
        };
    }
    let is_far_ahead =
        |key: &wayleave_store::SigningKey| key.signs_from_at > now.plus(SIGNING_PERIOD / 30);
    if stored.iter().all(is_far_ahead) {
        return Step::Make {
            generation: newest.generation + 1,
            signs_from_at: now,
        };
    }
    if newest.signs_from_at <= now {
        let signs_from_at = newest
            .signs_from_at
            .plus(SIGNING_PERIOD)
            .max(now.plus(SIGNING_PERIOD / 30));
        return Step::Make {
            generation: newest.generation + 1,
            signs_from_at,
        };
    }
    for (key, successor) in stored.iter().zip(&stored[1..]) {
        if successor.signs_from_at.plus(RETIRED_PERIOD) <= now {
            return Step::Remove {
                kid: key.kid.clone(),
            };
        }
    }
    Step::Nothing
}

fn row(kid: &str) -> String {
    format!("signing_key {kid}")
}

fn unusable(error: jwt::KeyError) -> Refusal {
    Refusal::SigningKey(error.to_string())
}

impl Engine {
    /// The published key set (RFC 7517), as JSON.
    pub fn key_set(&self) -> String {
        self.signing_keys.load().published.clone()
    }

    /// Makes, retires and loads signing keys as the time wants it. Several nodes may do this at
    /// once: a generation is made once.
    pub async fn tend_signing_keys(&self) -> Result<(), Refusal> {
        loop {
            let stored = self.read_signing_keys().await?;
            let made = match next_step(&stored, self.settings.algorithm, self.now()) {
                Step::Nothing => return self.hold_signing_keys(&stored),
                Step::Make {
                    generation,
                    signs_from_at,
                } => self.make_signing_key(generation, signs_from_at).await,
                Step::Remove { kid } => self.remove_signing_key(kid).await,
            };
            match made {
                // Another node was faster: look again.
                Ok(()) | Err(Refusal::Store(StoreError::Conflict)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes over the stored keys, after another node changed them.
    pub(crate) async fn reload_signing_keys(&self) -> Result<(), Refusal> {
        let stored = self.read_signing_keys().await?;
        self.hold_signing_keys(&stored)
    }

    /// Where a key is gone, what was checked with it counts no longer: not even from the cache of
    /// seen tokens.
    fn hold_signing_keys(&self, stored: &[wayleave_store::SigningKey]) -> Result<(), Refusal> {
        let held = self.signing_keys.load();
        let is_gone = |key: &RingKey| !stored.iter().any(|stored| stored.kid == key.signing.kid());
        let epoch = held.epoch + u32::from(held.keys.iter().any(is_gone));
        let opened = SigningKeys::open(stored, &self.vault, epoch)?;
        self.signing_keys.store(Arc::new(opened));
        self.key_epoch.fetch_max(epoch, Ordering::AcqRel);
        Ok(())
    }

    /// The keys that sign tokens, oldest first, and what each does now.
    pub async fn signing_key_list(
        &self,
    ) -> Result<Vec<(wayleave_store::SigningKey, KeyPhase)>, Refusal> {
        let stored = self.read_signing_keys().await?;
        let now = self.now();
        let current = stored.iter().rposition(|key| key.signs_from_at <= now);
        let phase = |place| match current {
            Some(current) if place == current => KeyPhase::Current,
            Some(current) if place < current => KeyPhase::Retired,
            _ => KeyPhase::Next,
        };
        let phased = stored.into_iter().enumerate();
        Ok(phased.map(|(place, key)| (key, phase(place))).collect())
    }

    /// Lets the next key, which is published already, sign from now on. Errors:
    /// [`Refusal::Forbidden`] where it was published too lately for everyone to have it, unless
    /// `force`.
    pub async fn rotate_signing_keys(&self, by: &Actor, force: bool) -> Result<(), Refusal> {
        self.tend_signing_keys().await?;
        let now = self.now();
        let listed = self.signing_key_list().await?;
        let next = listed
            .into_iter()
            .find(|(_, phase)| *phase == KeyPhase::Next)
            .ok_or_else(|| Refusal::SigningKey("there is no next key".to_owned()))?;
        if !force && next.0.created_at.plus(PUBLISHED_AHEAD) > now {
            return Err(Refusal::Forbidden {
                why: "the next key was published less than ten minutes ago, so not every copy of the key set has it: wait, or force it",
            });
        }
        let kid = next.0.kid;
        let act = Act::new("key.rotate", &kid);
        self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.start_signing_key(&kid, now).await })
        })
        .await?;
        self.tend_signing_keys().await
    }

    /// Removes a key in an emergency: its tokens are dead at once here, and on other nodes as soon
    /// as they read the feed; where it signed, another signs at once.
    pub async fn remove_leaked_key(&self, by: &Actor, kid: &str) -> Result<(), Refusal> {
        let now = self.now();
        let listed = self.signing_key_list().await?;
        let found = listed.iter().find(|(key, _)| key.kid == kid);
        let (_, phase) = found.ok_or(Refusal::NotFound { noun: "key" })?;
        let successor = (*phase == KeyPhase::Current)
            .then(|| listed.iter().find(|(_, phase)| *phase == KeyPhase::Next))
            .flatten()
            .map(|(key, _)| key.kid.clone());
        let removed = kid.to_owned();
        self.audited(by, Act::new("key.remove", kid), move |transaction| {
            Box::pin(async move {
                transaction.remove_signing_key(&removed).await?;
                match successor {
                    Some(kid) => transaction.start_signing_key(&kid, now).await,
                    None => Ok(()),
                }
            })
        })
        .await?;
        self.tend_signing_keys().await
    }

    async fn read_signing_keys(&self) -> Result<Vec<wayleave_store::SigningKey>, StoreError> {
        self.store
            .read(|reader| Box::pin(reader.signing_keys()))
            .await
    }

    async fn make_signing_key(
        &self,
        generation: i64,
        signs_from_at: Timestamp,
    ) -> Result<(), Refusal> {
        let now = self.now();
        let private = jwt::generate(self.settings.algorithm).map_err(unusable)?;
        let kid = jwt::kid_for(private.as_bytes(), self.settings.algorithm).map_err(unusable)?;
        let key = wayleave_store::SigningKey {
            generation,
            algorithm: self.settings.algorithm.as_str().to_owned(),
            master_key_id: self.vault.newest_key_id().to_owned(),
            sealed: self
                .vault
                .seal(&row(&kid), private.as_bytes(), &*self.randomness),
            signs_from_at,
            created_at: now,
            kid,
        };
        self.store
            .write(now, move |transaction| {
                Box::pin(async move { transaction.add_signing_key(&key).await })
            })
            .await?;
        Ok(())
    }

    async fn remove_signing_key(&self, kid: String) -> Result<(), Refusal> {
        let now = self.now();
        self.store
            .write(now, move |transaction| {
                Box::pin(async move { transaction.remove_signing_key(&kid).await })
            })
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const START: Timestamp = Timestamp::from_unix_s(1_800_000_000);

    fn key(generation: i64, signs_from_at: Timestamp) -> wayleave_store::SigningKey {
        wayleave_store::SigningKey {
            kid: format!("k{generation}"),
            generation,
            algorithm: "ES256".to_owned(),
            master_key_id: String::new(),
            sealed: Vec::new(),
            signs_from_at,
            created_at: START,
        }
    }

    /// Lets the schedule run until it is content.
    fn settle(keys: &mut Vec<wayleave_store::SigningKey>, now: Timestamp) {
        loop {
            match next_step(keys, Algorithm::Es256, now) {
                Step::Make {
                    generation,
                    signs_from_at,
                } => keys.push(key(generation, signs_from_at)),
                Step::Remove { kid } => keys.retain(|key| key.kid != kid),
                Step::Nothing => return,
            }
        }
    }

    fn signing(keys: &[wayleave_store::SigningKey], now: Timestamp) -> i64 {
        let started = keys.iter().rev().find(|key| key.signs_from_at <= now);
        started.map_or(0, |key| key.generation)
    }

    #[test]
    fn the_first_key_signs_at_once_and_the_next_is_published_long_before_its_time() {
        let mut keys = Vec::new();
        settle(&mut keys, START);
        assert_eq!(keys.len(), 2);
        assert_eq!(signing(&keys, START), 1);
        assert_eq!(keys[1].signs_from_at, START.plus(SIGNING_PERIOD));
    }

    #[test]
    fn for_a_year_the_signing_key_was_always_published_a_day_before_and_kept_a_token_life_after() {
        let mut keys = Vec::new();
        settle(&mut keys, START);
        let mut now = START;
        for _ in 0..365 * 24 {
            let published: Vec<i64> = keys.iter().map(|key| key.generation).collect();
            let before = signing(&keys, now);
            now = now.plus(Duration::from_secs(3600));
            settle(&mut keys, now);
            assert!(
                published.contains(&signing(&keys, now)),
                "a key signs that was not published"
            );
            assert!(
                keys.iter().any(|key| key.generation == before),
                "gone while its tokens live"
            );
            assert!(keys.len() <= 3);
        }
        assert_eq!(signing(&keys, now), 13);
    }

    #[test]
    fn after_a_clock_was_far_ahead_a_key_of_the_present_signs_and_those_of_its_time_go() {
        let mut keys = Vec::new();
        settle(&mut keys, START);
        settle(&mut keys, START.plus(DAY * 3_653));
        settle(&mut keys, START);
        let present = signing(&keys, START);
        assert!(present > 2, "a key of the present time signs");
        let later = START.plus(DAY);
        settle(&mut keys, later);
        assert_eq!(signing(&keys, later), present);
        assert!(
            keys.iter()
                .all(|key| key.signs_from_at <= START.plus(SIGNING_PERIOD)),
            "keys of a time to come are gone"
        );
    }

    #[test]
    fn after_a_long_sleep_the_next_key_is_still_published_a_day_before_it_signs() {
        let mut keys = Vec::new();
        settle(&mut keys, START);
        let late = START.plus(DAY * 400);
        settle(&mut keys, late);
        let next = keys.last().expect("keys");
        assert!(next.signs_from_at >= late.plus(DAY));
    }

    #[test]
    fn a_changed_algorithm_is_used_at_once() {
        let mut keys = Vec::new();
        settle(&mut keys, START);
        let step = next_step(&keys, Algorithm::EdDsa, START);
        assert_eq!(
            step,
            Step::Make {
                generation: 3,
                signs_from_at: START
            }
        );
    }
}
