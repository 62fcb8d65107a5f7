use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use wayleave_core::{CredentialId, Environment, Timestamp};
use wayleave_store::{Change, ChangedNoun, Store, StoreError};

use crate::directory::{Directory, LookupId};
use crate::failures::Failures;
use crate::seen::SeenTokens;
use crate::signing_keys::SigningKeys;
use crate::{Algorithm, Clock, Randomness, Refusal, Vault};

/// How many credentials are read at once when starting.
const LOAD_PAGE: i64 = 5_000;
/// How many changes are read at once.
const CHANGE_PAGE: i64 = 1_000;
/// How often the change feed is read, so that what another node wrote is seen.
const FEED_INTERVAL: Duration = Duration::from_millis(500);
/// How often the signing keys are looked after.
const KEY_INTERVAL: Duration = Duration::from_secs(600);
/// An unknown key may cause one reading of the feed in this time, however many are presented.
const MISS_INTERVAL: Duration = Duration::from_millis(100);
/// How long a request with an unknown key waits for that reading.
const MISS_PATIENCE: Duration = Duration::from_millis(250);

/// The settings of one environment.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Which environment it is.
    pub environment: Environment,
    /// The `iss` of its tokens: the address under which partners know it, without a slash at its
    /// end.
    pub issuer: String,
    /// The algorithm of new signing keys.
    pub algorithm: Algorithm,
    /// Wrong secrets a minute before the token addresses answer 429; `None`: not counted.
    pub wrong_secrets_per_minute: Option<u32>,
}

/// Everything that one environment knows and does.
pub struct Engine {
    pub(crate) settings: EngineSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) directory: Directory,
    pub(crate) seen: SeenTokens,
    pub(crate) failures: Failures,
    pub(crate) signing_keys: ArcSwap<SigningKeys>,
    feed: Mutex<FeedPlace>,
}

/// How far the change feed has been read.
struct FeedPlace {
    number: i64,
    read_at: Timestamp,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Loads an environment: its credentials into memory, its signing keys (made when there are
    /// none). From then on a background task follows the change feed.
    pub async fn open(
        settings: EngineSettings,
        store: Store,
        vault: Vault,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> Result<Arc<Self>, Refusal> {
        let engine = Arc::new(Engine {
            failures: Failures::new(settings.wrong_secrets_per_minute),
            settings,
            feed: Mutex::new(FeedPlace {
                number: 0,
                read_at: clock.now(),
            }),
            clock,
            randomness,
            store,
            vault,
            directory: Directory::new(),
            seen: SeenTokens::new(),
            signing_keys: ArcSwap::default(),
        });
        engine.load().await?;
        engine.tend_signing_keys().await?;
        engine.start_tending();
        Ok(engine)
    }

    /// Which environment this is.
    pub fn environment(&self) -> Environment {
        self.settings.environment
    }

    /// The `iss` of tokens.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The present moment, by the environment's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The store of the environment, for reads that need no rule.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where further secrets are derived from and texts are sealed.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Whether a credential has this public id.
    pub fn knows(&self, public_id: &str) -> bool {
        self.directory
            .with(LookupId::of(public_id), |_| ())
            .is_some()
    }

    /// How many credentials are known.
    pub fn credential_count(&self) -> usize {
        self.directory.len()
    }

    /// Where the feed stands is read first: what changes while the credentials are being read
    /// comes once more with the feed.
    async fn load(&self) -> Result<(), Refusal> {
        let (number, partners) = self
            .store
            .read(|reader| {
                Box::pin(async move { Ok((reader.last_change().await?, reader.partners().await?)) })
            })
            .await?;
        self.feed.lock().await.number = number;
        partners
            .iter()
            .for_each(|partner| self.directory.put_partner(partner));
        let mut after = None;
        loop {
            let page = self
                .store
                .read(move |reader| Box::pin(reader.credentials_after(after, LOAD_PAGE)))
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.credential.id);
            for credential in &page {
                self.directory.put_credential(credential, &self.vault)?;
            }
        }
    }

    /// Reads what changed since last time. A write of this node is followed by this before it is
    /// answered, so that a revocation holds on the very next request.
    pub(crate) async fn catch_up(&self) -> Result<(), Refusal> {
        let mut place = self.feed.lock().await;
        loop {
            let after = place.number;
            let changes = self
                .store
                .read(move |reader| Box::pin(reader.changes_after(after, CHANGE_PAGE)))
                .await?;
            place.read_at = self.now();
            if changes.is_empty() {
                return Ok(());
            }
            for change in changes {
                match self.apply(&change).await {
                    // The database is away: this change is read again.
                    Err(
                        error @ Refusal::Store(StoreError::Unavailable(_) | StoreError::Closed),
                    ) => {
                        return Err(error);
                    }
                    // It will not get better by waiting, and the changes behind it must not wait.
                    Err(error) => self.warn_of(&change, &error),
                    Ok(()) => {}
                }
                place.number = change.number;
            }
        }
    }

    /// Reads the feed after an unknown key was presented, in case another node has just made it.
    /// Whoever comes while it is being read waits for the same reading; at most one reading starts
    /// in 100 ms (law 10), and nobody waits longer than 250 ms.
    ///
    /// A SQLite file has one process, so nothing can have been missed there.
    pub async fn catch_up_after_miss(&self) {
        if !self.store.is_shared() {
            return;
        }
        let reading = async {
            if self.feed.lock().await.read_at.plus(MISS_INTERVAL) <= self.now() {
                let _ = self.catch_up().await;
            }
        };
        let _ = tokio::time::timeout(MISS_PATIENCE, reading).await;
    }

    fn warn_of(&self, change: &Change, error: &Refusal) {
        let environment = self.environment();
        tracing::error!(%environment, ?change, %error, "a change could not be taken over");
    }

    /// Takes over a change of this node at once; the change is committed, so where the database is
    /// away meanwhile, the feed brings it.
    pub(crate) async fn catch_up_soon(&self) {
        if let Err(error) = self.catch_up().await {
            tracing::warn!(environment = %self.environment(), %error, "a change is taken over later");
        }
    }

    async fn apply(&self, change: &Change) -> Result<(), Refusal> {
        let corrupt = |error: wayleave_core::IdError| StoreError::Corrupt {
            noun: "change",
            why: error.to_string(),
        };
        match change.noun {
            ChangedNoun::SigningKey => self.reload_signing_keys().await,
            ChangedNoun::Partner => {
                let id = change.object_id.parse().map_err(corrupt)?;
                let read = self
                    .store
                    .read(move |reader| Box::pin(reader.partner(id)))
                    .await?;
                if let Some(partner) = &read {
                    self.directory.put_partner(partner);
                }
                Ok(())
            }
            ChangedNoun::Credential => {
                let id: CredentialId = change.object_id.parse().map_err(corrupt)?;
                let read = self
                    .store
                    .read(move |reader| Box::pin(reader.credential(id)))
                    .await?;
                let Some(credential) = &read else {
                    return Ok(());
                };
                let put = self.directory.put_credential(credential, &self.vault);
                if put.is_err() {
                    self.directory.remove_credential(credential);
                }
                Ok(put?)
            }
        }
    }

    /// Follows the feed and looks after the keys until the engine is dropped.
    fn start_tending(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        self.store.runtime().handle().spawn(async move {
            let mut since_keys = Duration::ZERO;
            loop {
                tokio::time::sleep(FEED_INTERVAL).await;
                let Some(engine) = engine.upgrade() else { return };
                since_keys += FEED_INTERVAL;
                let mut tended = engine.catch_up().await;
                if tended.is_ok() && since_keys >= KEY_INTERVAL {
                    since_keys = Duration::ZERO;
                    tended = engine.tend_signing_keys().await;
                }
                if let Err(error) = tended {
                    tracing::warn!(environment = %engine.environment(), %error, "the change feed could not be followed");
                }
            }
        });
    }
}
