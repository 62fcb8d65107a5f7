use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use wayleave_core::{CredentialId, Environment, PublicId, ReaderId, SecretId, Timestamp};
use wayleave_protocol::user_token::UserTokenKey;
use wayleave_store::{Change, ChangedNoun, CredentialWithSecrets, Partner, Store, StoreError};

use crate::access::{LastTicks, READINGS};
use crate::account::Numbers;
use crate::audit::AuditKey;
use crate::catalogue::CatalogueVersion;
use crate::content::{Pages, Properties};
use crate::crawler::CrawlerWatch;
use crate::directory::{Directory, LookupId, SecretUse};
use crate::failures::Failures;
use crate::hit_writer::HitWriter;
use crate::hook::HookSender;
use crate::limit::Limits;
use crate::once::KeysInFlight;
use crate::payment::{PretendProcessor, Processor};
use crate::presented::Presented;
use crate::provision::{PretendProvisioner, Provisioner};
use crate::reader::TOKEN_KEY_NAME;
use crate::reader_memory::ReaderMemory;
use crate::rehash::Rehash;
use crate::replay::Replays;
use crate::resource_count::ResourceCounts;
use crate::revoked::RevokedTokens;
use crate::sealed_key;
use crate::seen::SeenTokens;
use crate::signing_keys::SigningKeys;
use crate::spider::Spider;
use crate::stuck::Stuck;
use crate::usage::Meter;
use crate::{Algorithm, Clock, Randomness, Refusal, Vault};

/// How many credentials are read at once when starting.
const LOAD_PAGE: i64 = 5_000;
/// How many changes are read at once.
const CHANGE_PAGE: usize = 1_000;
/// How often the change feed is read, so that what another node wrote is seen.
const FEED_INTERVAL: Duration = Duration::from_millis(500);
/// How often the signing keys are looked after.
const KEY_INTERVAL: Duration = Duration::from_secs(600);
/// How many changed credentials are read at once.
const CREDENTIALS_AT_ONCE: usize = 500;
/// How often the uses of secrets are written, and what is stuck is counted.
const USE_INTERVAL: Duration = Duration::from_secs(10);
/// How many uses are written at once.
const USES_AT_ONCE: usize = 1_000;
/// How often credentials and revoked tokens are looked after.
const TEND_INTERVAL: Duration = Duration::from_secs(60);
/// Clocks of nodes may differ, so revoked tokens are kept for longer than they live.
const EXPIRED_TOKENS_KEPT: Duration = Duration::from_secs(3600);
/// How long changes are kept: a node may stand still for as long and still follow.
const CHANGES_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// An unknown key may cause one reading of the feed in this time, however many are presented.
const MISS_INTERVAL: Duration = Duration::from_millis(100);
/// How long a request with an unknown key waits for that reading.
const MISS_PATIENCE: Duration = Duration::from_millis(250);
/// How often what is held of quotas and not used is given back.
const QUOTA_INTERVAL: Duration = Duration::from_secs(5);
/// How often the views of pages are written.
const VIEWS_INTERVAL: Duration = Duration::from_secs(2);
/// How often what is long ago is forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(3600);
/// What clocks may differ by, besides a thousandth of the time.
const MOST_DRIFT_US: u64 = 60_000_000;

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
    /// Whether there is an address at which every signature counts once.
    pub refuses_replays: bool,
}

/// What an environment has done outside of it.
pub struct Outside {
    /// Takes money.
    pub processor: Box<dyn Processor>,
    /// Makes instances.
    pub provisioner: Arc<dyn Provisioner>,
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
    /// The same of readers who give wrong values of subscribers.
    pub(crate) wrong_claims: Failures<ReaderId>,
    pub(crate) limits: Limits,
    pub(crate) meter: Meter,
    pub(crate) signing_keys: ArcSwap<SigningKeys>,
    /// Counts up when a signing key is gone.
    pub(crate) key_epoch: AtomicU32,
    pub(crate) revoked_tokens: RevokedTokens,
    pub(crate) replays: Replays,
    pub(crate) audit_key: AuditKey,
    pub(crate) rehash: Rehash,
    /// Tokens issued before this second are dead: the database was restored then.
    pub(crate) restored_s: i64,
    pub(crate) issued: AtomicU64,
    pub(crate) catalogue: ArcSwap<CatalogueVersion>,
    pub(crate) properties: Properties,
    pub(crate) pages: Pages,
    pub(crate) numbers: Numbers,
    pub(crate) stuck: Stuck,
    pub(crate) keys_in_flight: KeysInFlight,
    pub(crate) processor: Box<dyn Processor>,
    pub(crate) provisioner: Arc<dyn Provisioner>,
    pretended: Arc<PretendProvisioner>,
    pub(crate) hooks: OnceLock<Box<dyn HookSender>>,
    pub(crate) spider: Spider,
    pub(crate) crawlers: Arc<CrawlerWatch>,
    /// Signs the tokens by which readers are known.
    pub(crate) user_tokens: UserTokenKey,
    pub(crate) last_ticks: LastTicks,
    pub(crate) readers: ReaderMemory,
    /// Held while a reader is read; each of a part of them.
    pub(crate) readings: [Mutex<()>; READINGS],
    pub(crate) presented: Presented,
    pub(crate) hits: HitWriter,
    pub(crate) resource_counts: ResourceCounts,
    /// When it was opened, by both clocks.
    opened: (Timestamp, u64),
    feed: Mutex<FeedPlace>,
    /// How many have asked for the feed to be read.
    feed_askers: AtomicU64,
    standing: SharedStanding,
}

/// How far the change feed has been read.
struct FeedPlace {
    number: i64,
    read_at: Timestamp,
    /// How many had asked when the last reading began: they have got what they asked for.
    served: u64,
    /// Credentials that were taken out of the directory when a reading failed. They are read with
    /// the next one, whether or not the feed has passed their numbers by then.
    unread: BTreeSet<CredentialId>,
}

/// How far an engine has followed the change feed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedStanding {
    /// The number of the last change that was taken over.
    pub number: i64,
    /// When the feed was last read without an error.
    pub read_at: Timestamp,
}

/// The standing for whoever asks without waiting for a reading that is under way.
struct SharedStanding {
    number: AtomicI64,
    read_at_micros: AtomicI64,
}

impl SharedStanding {
    fn new(now: Timestamp) -> Self {
        SharedStanding {
            number: AtomicI64::new(0),
            read_at_micros: AtomicI64::new(now.micros()),
        }
    }

    fn set(&self, place: &FeedPlace) {
        self.number.store(place.number, Ordering::Relaxed);
        self.read_at_micros
            .store(place.read_at.micros(), Ordering::Relaxed);
    }
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
        let pretended = Arc::<PretendProvisioner>::default();
        let outside = Outside {
            processor: Box::new(PretendProcessor::default()),
            provisioner: pretended.clone(),
        };
        Engine::assemble(
            (settings, store, vault),
            (clock, randomness),
            outside,
            pretended,
        )
        .await
    }

    /// The same with others than those that pretend.
    pub async fn open_with(
        settings: EngineSettings,
        store: Store,
        vault: Vault,
        (clock, randomness): (Arc<dyn Clock>, Arc<dyn Randomness>),
        outside: Outside,
    ) -> Result<Arc<Self>, Refusal> {
        let unused = Arc::<PretendProvisioner>::default();
        Engine::assemble(
            (settings, store, vault),
            (clock, randomness),
            outside,
            unused,
        )
        .await
    }

    async fn assemble(
        (settings, store, vault): (EngineSettings, Store, Vault),
        (clock, randomness): (Arc<dyn Clock>, Arc<dyn Randomness>),
        outside: Outside,
        pretended: Arc<PretendProvisioner>,
    ) -> Result<Arc<Self>, Refusal> {
        let audit_key = AuditKey::load(&store, &vault, &*randomness, clock.now()).await?;
        let user_tokens =
            read_user_token_key(&settings, (&store, &vault), &*randomness, clock.now());
        let user_tokens = user_tokens.await?;
        let (hits, lanes) = HitWriter::new();
        let restored_s = read_restored(&store, settings.environment).await?;
        let (rehash, queued) = Rehash::new();
        let engine = Arc::new(Engine {
            audit_key,
            rehash,
            restored_s,
            failures: Failures::new(settings.wrong_secrets_per_minute),
            wrong_claims: Failures::new(settings.wrong_secrets_per_minute),
            limits: Limits::new(store.clone(), clock.clone()),
            meter: Meter::new(&*randomness, clock.now()),
            opened: (clock.now(), clock.steady_ns()),
            settings,
            issued: AtomicU64::new(0),
            catalogue: ArcSwap::from_pointee(CatalogueVersion::nothing()?),
            properties: Properties::default(),
            pages: Pages::new(),
            numbers: Numbers::default(),
            stuck: Stuck::default(),
            keys_in_flight: KeysInFlight::default(),
            processor: outside.processor,
            provisioner: outside.provisioner,
            pretended,
            hooks: OnceLock::new(),
            spider: Spider::default(),
            crawlers: Arc::default(),
            user_tokens,
            last_ticks: LastTicks::default(),
            readers: ReaderMemory::new(),
            readings: std::array::from_fn(|_| Mutex::new(())),
            presented: Presented::default(),
            hits,
            resource_counts: ResourceCounts::new(),
            standing: SharedStanding::new(clock.now()),
            feed: Mutex::new(FeedPlace {
                number: 0,
                read_at: clock.now(),
                served: 0,
                unread: BTreeSet::new(),
            }),
            feed_askers: AtomicU64::new(0),
            clock,
            randomness,
            store,
            vault,
            directory: Directory::new(),
            seen: SeenTokens::new(),
            signing_keys: ArcSwap::default(),
            key_epoch: AtomicU32::new(0),
            revoked_tokens: RevokedTokens::default(),
            replays: Replays::new(),
        });
        engine.load().await?;
        engine.look_back_for_nonces().await?;
        engine.tend_signing_keys().await?;
        engine.start_tending();
        engine.start_resealing();
        engine.start_metering();
        engine.start_jobs();
        engine.start_rehashing(queued);
        engine.start_counting_hits(lanes);
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

    /// Whether somebody set the clock since the engine was opened: it is further from the steady clock
    /// than clocks drift.
    pub(crate) fn clock_was_set(&self) -> bool {
        let (opened, opened_ns) = self.opened;
        let went_us = self.clock.now().micros() - opened.micros();
        let went_steadily_us = (self.clock.steady_ns() - opened_ns) / 1_000;
        let drift_us = MOST_DRIFT_US + went_steadily_us / 1_000;
        went_us.abs_diff(i64::try_from(went_steadily_us).unwrap_or(i64::MAX)) > drift_us
    }

    /// The driver that pretends to make instances.
    pub fn pretended_provisioner(&self) -> &PretendProvisioner {
        &self.pretended
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

    /// How many tokens were issued since the start.
    pub fn tokens_issued(&self) -> u64 {
        self.issued.load(Ordering::Relaxed)
    }

    /// How far the change feed has been followed.
    pub fn feed_standing(&self) -> FeedStanding {
        FeedStanding {
            number: self.standing.number.load(Ordering::Relaxed),
            read_at: Timestamp::from_micros(self.standing.read_at_micros.load(Ordering::Relaxed)),
        }
    }

    /// Changes how many wrong secrets a minute may be presented; `None`: they are not counted.
    pub fn limit_wrong_secrets(&self, limit: Option<u32>) {
        self.failures.set_limit(limit);
        self.wrong_claims.set_limit(limit);
    }

    async fn load(&self) -> Result<(), Refusal> {
        let mut place = self.feed.lock().await;
        self.read_everything(&mut place).await
    }

    /// Where the feed stands is read first: what changes while the credentials are being read
    /// comes once more with the feed.
    async fn read_everything(&self, place: &mut FeedPlace) -> Result<(), Refusal> {
        let (number, partners) = self
            .store
            .read(|reader| {
                Box::pin(async move { Ok((reader.last_change().await?, reader.partners().await?)) })
            })
            .await?;
        place.number = number;
        self.standing.set(place);
        self.reload_catalogue().await?;
        self.pages.forget_all();
        self.load_properties().await?;
        partners
            .iter()
            .for_each(|partner| self.put_partner(partner));
        self.apply_all_plan_terms().await?;
        let now = self.now();
        let revoked = self
            .store
            .read(move |reader| Box::pin(reader.revoked_tokens(now)));
        self.revoked_tokens.put_all(&revoked.await?);
        self.load_credentials(now).await
    }

    /// While the credentials of one page are taken over, the next page is being read.
    async fn load_credentials(&self, now: Timestamp) -> Result<(), Refusal> {
        let mut page = self.read_page(None).await?;
        while let Some(last) = page.last() {
            let next = self.read_page(Some(last.credential.id));
            for credential in &page {
                self.directory
                    .put_credential(credential, &self.vault, now)?;
            }
            page = next.await?;
        }
        Ok(())
    }

    /// Begins to read the page of credentials after one.
    fn read_page(
        &self,
        after: Option<CredentialId>,
    ) -> impl Future<Output = Result<Vec<CredentialWithSecrets>, StoreError>> + use<> {
        let store = self.store.clone();
        let reading = self.store.runtime().handle().spawn(async move {
            store
                .read(move |reader| Box::pin(reader.credentials_after(after, LOAD_PAGE)))
                .await
        });
        async move { reading.await.map_err(|_| StoreError::Closed)? }
    }

    /// Reads what changed since last time. A write of this node is followed by this before it is
    /// answered, so that a revocation holds on the very next request. Those that ask before a
    /// reading begins share it.
    pub(crate) async fn catch_up(&self) -> Result<(), Refusal> {
        let asker = self.feed_askers.fetch_add(1, Ordering::AcqRel) + 1;
        let mut place = self.feed.lock().await;
        self.read_for(asker, &mut place).await
    }

    /// Takes over the change of a credential of this node. It is committed, so it holds: where the
    /// database is away, nothing of the credential counts until it is read.
    ///
    /// It is taken out while nobody else reads: after another's reading, which may have passed its
    /// number by, nothing would bring it back.
    pub(crate) async fn catch_up_with(&self, public_id: &PublicId, id: CredentialId) {
        self.catch_up_or(|place| {
            self.directory.remove(public_id.as_str(), Some(id));
            place.unread.insert(id);
        })
        .await;
    }

    /// Takes over the change of a partner of this node; where the database is away, as it was
    /// committed.
    pub(crate) async fn catch_up_with_partner(&self, partner: &Partner) {
        self.catch_up_or(|_| self.put_partner(partner)).await;
    }

    /// Takes over a change of this node at once; the change is committed, so where the database is
    /// away meanwhile, the feed brings it.
    pub(crate) async fn catch_up_soon(&self) {
        self.catch_up_or(|_| ()).await;
    }

    /// Reads the feed; where that fails, does something else while nobody else reads.
    async fn catch_up_or(&self, otherwise: impl FnOnce(&mut FeedPlace)) {
        let asker = self.feed_askers.fetch_add(1, Ordering::AcqRel) + 1;
        let mut place = self.feed.lock().await;
        if let Err(error) = self.read_for(asker, &mut place).await {
            tracing::warn!(environment = %self.environment(), %error, "a change is taken over later");
            otherwise(&mut place);
        }
    }

    async fn read_for(&self, asker: u64, place: &mut FeedPlace) -> Result<(), Refusal> {
        if place.served >= asker {
            return Ok(());
        }
        let served = self.feed_askers.load(Ordering::Acquire);
        if !place.unread.is_empty() {
            let ids: Vec<CredentialId> = place.unread.iter().copied().collect();
            self.skip_unreadable("credential", self.put_credentials(ids).await)?;
            place.unread.clear();
        }
        loop {
            let after = place.number;
            let changes = self
                .store
                .read(move |reader| Box::pin(reader.changes_after(after, CHANGE_PAGE as i64)))
                .await?;
            place.read_at = self.now();
            self.standing.set(place);
            if changes
                .first()
                .is_some_and(|first| first.number != after + 1)
            {
                return self.begin_anew(place).await;
            }
            self.apply(&changes).await?;
            place.number = changes.last().map_or(after, |change| change.number);
            self.standing.set(place);
            if changes.len() < CHANGE_PAGE {
                place.served = served;
                return Ok(());
            }
        }
    }

    /// Forgets everything and reads it again: changes that this node had not seen were forgotten,
    /// so it had stood still for longer than they are kept. Nobody is known until it is done.
    async fn begin_anew(&self, place: &mut FeedPlace) -> Result<(), Refusal> {
        tracing::warn!(environment = %self.environment(), "this node stood still for so long that everything is read again");
        self.directory.forget_credentials();
        self.readers.drop_all();
        place.unread.clear();
        self.read_everything(place).await?;
        self.reload_signing_keys().await
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

    /// Takes over changes. What cannot be read will not get better by waiting and must not keep
    /// others waiting, so it is logged and skipped; only when the database is away are the changes
    /// read again.
    async fn apply(&self, changes: &[Change]) -> Result<(), Refusal> {
        let of = |noun: ChangedNoun| {
            let ids: BTreeSet<&str> = changes
                .iter()
                .filter(|change| change.noun == noun)
                .map(|change| change.object_id.as_str())
                .collect();
            ids
        };
        // Given up ids first: what has them now is put in their place afterwards.
        for public_id in of(ChangedNoun::PublicId) {
            self.directory.remove(public_id, None);
        }
        for id in of(ChangedNoun::Partner) {
            self.skip_unreadable("partner", self.apply_partner(id).await)?;
        }
        let ids: Vec<&str> = of(ChangedNoun::Credential).into_iter().collect();
        for some in ids.chunks(CREDENTIALS_AT_ONCE) {
            self.skip_unreadable("credential", self.apply_credentials(some).await)?;
        }
        for jti in of(ChangedNoun::RevokedToken) {
            self.skip_unreadable("revoked token", self.apply_revoked_token(jti).await)?;
        }
        for id in of(ChangedNoun::Reader) {
            self.skip_unreadable("reader", self.apply_reader(id))?;
        }
        if !of(ChangedNoun::Catalogue).is_empty() {
            self.skip_unreadable("catalogue", self.reload_catalogue().await)?;
            self.skip_unreadable("plan", self.apply_all_plan_terms().await)?;
        }
        for id in of(ChangedNoun::Property) {
            self.skip_unreadable("property", self.apply_property(id).await)?;
        }
        for name in of(ChangedNoun::Resource) {
            self.forget_page(name);
        }
        if !of(ChangedNoun::SigningKey).is_empty() {
            self.skip_unreadable("signing key", self.reload_signing_keys().await)?;
        }
        Ok(())
    }

    pub(crate) fn skip_unreadable(
        &self,
        noun: &str,
        applied: Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        match applied {
            Err(error @ Refusal::Store(StoreError::Unavailable(_) | StoreError::Closed)) => {
                Err(error)
            }
            Err(error) => {
                let environment = self.environment();
                tracing::error!(%environment, noun, %error, "a change could not be taken over");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn apply_partner(&self, id: &str) -> Result<(), Refusal> {
        let id = id.parse().map_err(corrupt_change)?;
        let read = self
            .store
            .read(move |reader| Box::pin(reader.partner(id)))
            .await?;
        if let Some(partner) = &read {
            self.put_partner(partner);
        }
        self.apply_plan_terms(id).await
    }

    fn put_partner(&self, partner: &Partner) {
        let plan = partner.plan.as_deref();
        let plan = plan.map(|name| self.limits.plan_number(name));
        self.directory.put_partner(partner, plan);
    }

    async fn apply_credentials(&self, ids: &[&str]) -> Result<(), Refusal> {
        let ids: Vec<CredentialId> = ids
            .iter()
            .map(|id| id.parse())
            .collect::<Result<_, _>>()
            .map_err(corrupt_change)?;
        self.put_credentials(ids).await
    }

    async fn put_credentials(&self, ids: Vec<CredentialId>) -> Result<(), Refusal> {
        let read = self
            .store
            .read(move |reader| Box::pin(async move { reader.credentials_by_id(&ids).await }));
        let now = self.now();
        for credential in &read.await? {
            let put = self.directory.put_credential(credential, &self.vault, now);
            if let Err(error) = put {
                let public_id = credential.credential.public_id.as_str();
                self.directory.remove(public_id, None);
                self.skip_unreadable("credential", Err(error.into()))?;
            }
        }
        Ok(())
    }

    async fn apply_revoked_token(&self, jti: &str) -> Result<(), Refusal> {
        let jti = jti.to_owned();
        let read = self
            .store
            .read(move |reader| Box::pin(async move { reader.revoked_token(&jti).await }))
            .await?;
        self.revoked_tokens.put_all(read.as_slice());
        Ok(())
    }

    /// Writes when secrets were used, in pieces that keep no other write waiting for long. What the
    /// store does not take is written with the next.
    pub async fn write_uses(&self) -> Result<(), Refusal> {
        let uses = self.directory.take_uses();
        let mut written = 0;
        for some in uses.chunks(USES_AT_ONCE) {
            if let Err(error) = self.write_some_uses(some).await {
                self.directory.put_back_uses(&uses[written..]);
                return Err(error.into());
            }
            written += some.len();
        }
        Ok(())
    }

    async fn write_some_uses(&self, some: &[SecretUse]) -> Result<(), StoreError> {
        let some: Vec<(SecretId, Timestamp)> = some
            .iter()
            .map(|(id, at_s)| (*id, Timestamp::from_unix_s(i64::from(*at_s))))
            .collect();
        let written = self.store.write(self.now(), move |transaction| {
            Box::pin(async move { transaction.note_uses(&some).await })
        });
        written.await
    }

    /// Ends secrets that were retired unused, and forgets revoked tokens that have expired and
    /// changes that every node has seen.
    pub async fn tend_credentials(&self) -> Result<(), Refusal> {
        let now = self.now();
        // A use may wait to be written for a while, here and on other nodes.
        let settled = now.minus(USE_INTERVAL * 3);
        self.store
            .write(now, move |transaction| {
                Box::pin(async move {
                    transaction.retire_unused_secrets(settled).await?;
                    let forgotten = now.minus(CHANGES_KEPT);
                    transaction.forget_changes_before(forgotten).await?;
                    transaction
                        .forget_expired_tokens(now.minus(EXPIRED_TOKENS_KEPT))
                        .await
                })
            })
            .await?;
        self.revoked_tokens.forget_expired(now);
        self.catch_up().await
    }

    /// Follows the feed and looks after keys and credentials until the engine is dropped.
    fn start_tending(self: &Arc<Self>) {
        let engine = Arc::downgrade(self);
        self.store.runtime().handle().spawn(async move {
            let mut ticks: u64 = 0;
            loop {
                tokio::time::sleep(FEED_INTERVAL).await;
                let Some(engine) = engine.upgrade() else { return };
                ticks += 1;
                if let Err(error) = engine.tend(ticks).await {
                    tracing::warn!(environment = %engine.environment(), %error, "the store could not be followed");
                }
            }
        });
    }

    /// Forgets quotas, counts by the hour, jobs and keys of writes of long ago.
    pub async fn forget_old(&self) -> Result<(), Refusal> {
        self.forget_quotas().await?;
        self.forget_done_jobs().await?;
        self.forget_keys().await?;
        self.forget_callbacks().await?;
        self.forget_readers_past().await?;
        self.forget_usage().await
    }

    /// What is due at a tick of the feed's interval.
    async fn tend(&self, ticks: u64) -> Result<(), Refusal> {
        let due = |interval: Duration| {
            let every = interval.as_millis() / FEED_INTERVAL.as_millis();
            u128::from(ticks) % every == 0
        };
        self.catch_up().await?;
        if due(USE_INTERVAL) {
            self.count_stuck().await?;
            self.write_uses().await?;
        }
        if due(VIEWS_INTERVAL) {
            self.write_views().await?;
        }
        if due(QUOTA_INTERVAL) {
            self.tend_quotas().await?;
        }
        if due(FORGET_INTERVAL) {
            self.forget_old().await?;
        }
        if due(TEND_INTERVAL) {
            self.tend_credentials().await?;
            self.forget_used_nonces().await?;
        }
        if due(KEY_INTERVAL) {
            self.tend_signing_keys().await?;
        }
        Ok(())
    }
}

fn corrupt_change(error: wayleave_core::IdError) -> StoreError {
    StoreError::Corrupt {
        noun: "change",
        why: error.to_string(),
    }
}

/// The key of the tokens by which readers are known.
async fn read_user_token_key(
    settings: &EngineSettings,
    stored: (&Store, &Vault),
    randomness: &dyn Randomness,
    now: Timestamp,
) -> Result<UserTokenKey, Refusal> {
    let secret = sealed_key::load(TOKEN_KEY_NAME, stored, randomness, now).await?;
    Ok(UserTokenKey::new(&secret, settings.environment.as_str()))
}

/// The second before which tokens are dead, and a warning while the keys are to be checked.
async fn read_restored(store: &Store, environment: Environment) -> Result<i64, StoreError> {
    let (restored_at, wanted) = store
        .read(|reader| {
            Box::pin(async move {
                Ok((
                    reader.restored_at().await?,
                    reader.key_check_wanted().await?,
                ))
            })
        })
        .await?;
    if wanted.is_some() {
        tracing::warn!(
            %environment,
            "restored from a backup: keys that were revoked after it was made count again; check them, then run: wayleave restore confirm"
        );
    }
    Ok(restored_at.map_or(i64::MIN, Timestamp::unix_s))
}
