//! Every credential of the environment, in memory (law 10: the presented id is never a query).

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arc_swap::ArcSwapOption;
use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use wayleave_core::{
    Audience, CredentialId, CredentialState, CustomerId, IntegrationId, Membership, PartnerId,
    PropertyId, SchemeSet, ScopeSet, SecretId, Timestamp,
};
use wayleave_protocol::guid;
use wayleave_protocol::http_signature::PublicKey;
use wayleave_store::{CredentialWithSecrets, Partner, Secret, SecretForm};

use crate::plan::Bought;
use crate::vault::{MasterKeyError, Vault};

/// Enough that two cores hardly ever meet at one lock.
const SHARDS: usize = 64;
/// Our own secrets have 48 characters; longer ones lie beside the record.
const INLINE_BYTES: usize = 48;
/// Records are kept in blocks that never move, just below a size class of the allocator.
const BLOCK_RECORDS: usize = 960;
/// A secret's use is noted once in this time, however often it is used.
const USE_GRAIN_S: u32 = 60;

/// What a public id is found by: the 16 bytes of a GUID in whatever case, or else the first 16
/// bytes of the SHA-256 of the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LookupId([u8; 16]);

impl LookupId {
    pub(crate) fn of(public_id: &str) -> Self {
        if let Some(bytes) = guid::parse(public_id) {
            return LookupId(bytes);
        }
        let digest: [u8; 32] = Sha256::digest(public_id.as_bytes()).into();
        let (half, _) = digest.split_first_chunk().expect("16 of 32 bytes");
        LookupId(*half)
    }
}

impl LookupId {
    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for LookupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// In [`PartnerEntry`]: it has no plan.
const NO_PLAN: u32 = u32::MAX;

/// A partner as requests see it.
#[derive(Debug)]
pub(crate) struct PartnerEntry {
    pub(crate) id: PartnerId,
    lapsed: AtomicBool,
    /// The number of its plan, or [`NO_PLAN`].
    plan: AtomicU32,
    /// What the plans that it bought give it now.
    bought: ArcSwapOption<Bought>,
}

impl PartnerEntry {
    pub(crate) fn membership(&self) -> Membership {
        if self.lapsed.load(Ordering::Relaxed) {
            Membership::Lapsed
        } else {
            Membership::Admitted
        }
    }

    /// The number of its plan, where it has one: what it bought counts before what it was given.
    pub(crate) fn plan(&self) -> Option<u32> {
        if let Some(bought) = &*self.bought.load() {
            return Some(bought.plan);
        }
        Some(self.plan.load(Ordering::Relaxed)).filter(|plan| *plan != NO_PLAN)
    }

    /// What the plans that it bought give it now.
    pub(crate) fn bought(&self) -> Option<Arc<Bought>> {
        self.bought.load_full()
    }
}

/// An integration as requests see it.
#[derive(Debug)]
pub(crate) struct IntegrationEntry {
    pub(crate) id: IntegrationId,
    pub(crate) partner: Arc<PartnerEntry>,
    /// The ids as text, since they go upstream with every request.
    pub(crate) text: String,
    pub(crate) partner_text: String,
}

/// What credentials of one make may do; few differ, so they share.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Grant {
    pub(crate) audience: Audience,
    pub(crate) schemes: SchemeSet,
    pub(crate) scopes: ScopeSet,
    pub(crate) property: Option<PropertyId>,
    /// The customer to whom the credential is limited.
    pub(crate) customer: Option<CustomerId>,
}

/// A secret's text or hash as memory holds it.
enum HeldSecret {
    Hashed {
        key_place: u8,
        hash: [u8; 32],
    },
    Signs {
        length: u8,
        text: [u8; INLINE_BYTES],
    },
}

/// A secret that lies beside its record.
enum FurtherSecret {
    Short(HeldSecret),
    SignsLong(Box<[u8]>),
    Public(Box<PublicKey>),
}

impl FurtherSecret {
    fn new(secret: &Secret, vault: &Vault) -> Result<Self, MasterKeyError> {
        match secret.form {
            SecretForm::Hashed => Ok(FurtherSecret::Short(HeldSecret::Hashed {
                key_place: vault.key_place(&secret.master_key_id)?,
                hash: secret
                    .material
                    .as_slice()
                    .try_into()
                    .map_err(|_| MasterKeyError::Broken)?,
            })),
            SecretForm::Sealed => {
                let row = secret_row(secret.id);
                let text = vault.open(&row, &secret.master_key_id, &secret.material)?;
                Ok(FurtherSecret::signing(&text))
            }
            SecretForm::Public => PublicKey::from_spki(&secret.material)
                .map(|key| FurtherSecret::Public(Box::new(key)))
                .map_err(|_| MasterKeyError::Broken),
        }
    }

    fn signing(text: &[u8]) -> Self {
        match u8::try_from(text.len()) {
            Ok(length) if text.len() <= INLINE_BYTES => {
                let mut inline = [0; INLINE_BYTES];
                inline[..text.len()].copy_from_slice(text);
                FurtherSecret::Short(HeldSecret::Signs {
                    length,
                    text: inline,
                })
            }
            _ => FurtherSecret::SignsLong(text.into()),
        }
    }

    fn view(&self) -> SecretView<'_> {
        match self {
            FurtherSecret::Short(held) => held.view(),
            FurtherSecret::SignsLong(text) => SecretView::Signs(text),
            FurtherSecret::Public(key) => SecretView::Public(key),
        }
    }
}

impl HeldSecret {
    fn view(&self) -> SecretView<'_> {
        match self {
            HeldSecret::Hashed { key_place, hash } => SecretView::Hashed {
                key_place: *key_place,
                hash,
            },
            HeldSecret::Signs { length, text } => SecretView::Signs(&text[..usize::from(*length)]),
        }
    }
}

enum SecretView<'a> {
    Hashed { key_place: u8, hash: &'a [u8; 32] },
    Signs(&'a [u8]),
    Public(&'a PublicKey),
}

/// The name that a sealed secret is bound to.
pub(crate) fn secret_row(id: SecretId) -> String {
    format!("secret {id}")
}

/// What few credentials have: an end, further secrets, a long secret.
struct More {
    expires_s: i64,
    secrets: Vec<Further>,
}

struct Further {
    id: SecretId,
    /// Unix seconds; dead from then on.
    expires_s: i64,
    used_s: AtomicU32,
    secret: FurtherSecret,
}

/// A credential as requests see it.
pub(crate) struct Record {
    lookup: LookupId,
    pub(crate) credential_id: CredentialId,
    pub(crate) integration: Arc<IntegrationEntry>,
    pub(crate) grant: Arc<Grant>,
    more: Option<Box<More>>,
    /// The newest secret that has no end, where it is short; `None` where there is none.
    secret: Option<HeldSecret>,
    secret_id: SecretId,
    /// Tokens issued before this second are dead.
    not_before_s: u32,
    used_s: AtomicU32,
    state: CredentialState,
}

/// One secret of a credential that may be used now.
pub(crate) struct LiveSecret<'r> {
    id: SecretId,
    used_s: &'r AtomicU32,
    view: SecretView<'r>,
}

impl<'r> LiveSecret<'r> {
    /// The text that may have signed a request.
    pub(crate) fn signing_text(&self) -> Option<&'r [u8]> {
        match self.view {
            SecretView::Signs(text) => Some(text),
            SecretView::Hashed { .. } | SecretView::Public(_) => None,
        }
    }

    /// The key that checks the partner's own signatures.
    pub(crate) fn public_key(&self) -> Option<&'r PublicKey> {
        match self.view {
            SecretView::Public(key) => Some(key),
            SecretView::Hashed { .. } | SecretView::Signs(_) => None,
        }
    }

    /// Whether it is kept as a hash under an older master key.
    pub(crate) fn is_older_hash(&self) -> bool {
        matches!(self.view, SecretView::Hashed { key_place, .. } if key_place > 0)
    }

    fn is(&self, presented: &str, vault: &Vault) -> bool {
        match self.view {
            SecretView::Hashed { key_place, hash } => {
                vault.check_secret(presented, key_place, hash)
            }
            SecretView::Signs(text) => text.ct_eq(presented.as_bytes()).into(),
            SecretView::Public(_) => false,
        }
    }
}

/// Seconds since 1970 as records hold them; good until 2106.
fn short_s(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

impl Record {
    /// Whether it counts at a moment.
    pub(crate) fn is_active(&self, now_s: i64) -> bool {
        self.state == CredentialState::Active
            && self.more.as_ref().is_none_or(|more| now_s < more.expires_s)
    }

    /// Whether a token of this credential that was issued at a second is still good.
    pub(crate) fn takes_token_of(&self, issued_s: i64) -> bool {
        issued_s >= i64::from(self.not_before_s)
    }

    /// The secrets that may be used at a moment, the newest first.
    pub(crate) fn live_secrets(&self, now_s: i64) -> impl Iterator<Item = LiveSecret<'_>> {
        let own = self.secret.as_ref().map(|secret| LiveSecret {
            id: self.secret_id,
            used_s: &self.used_s,
            view: secret.view(),
        });
        let further = self.more.iter().flat_map(|more| &more.secrets);
        let live = further.filter(move |secret| now_s < secret.expires_s);
        own.into_iter().chain(live.map(|secret| LiveSecret {
            id: secret.id,
            used_s: &secret.used_s,
            view: secret.secret.view(),
        }))
    }

    /// The secret that was presented, where it is one of this credential's.
    pub(crate) fn find_secret(
        &self,
        presented: &str,
        vault: &Vault,
        now_s: i64,
    ) -> Option<LiveSecret<'_>> {
        // The secrets of key sets sign and are never shown, so none of them gets a token.
        if self.grant.audience.has_guid() {
            return None;
        }
        self.live_secrets(now_s)
            .find(|secret| secret.is(presented, vault))
    }
}

/// The credentials of one shard: an index of places in blocks. An index entry is 4 bytes and may
/// be empty; a record is large and never is.
#[derive(Default)]
struct Shard {
    index: HashTable<u32>,
    blocks: Vec<Vec<Record>>,
    free: Vec<u32>,
}

impl Shard {
    fn record(&self, place: u32) -> &Record {
        &self.blocks[place as usize / BLOCK_RECORDS][place as usize % BLOCK_RECORDS]
    }

    fn find(&self, hash: u64, id: LookupId) -> Option<u32> {
        self.index
            .find(hash, |place| self.record(*place).lookup == id)
            .copied()
    }

    fn put(&mut self, hash: u64, record: Record, hasher: &RandomState) {
        if let Some(place) = self.find(hash, record.lookup) {
            self.set(place, record);
            return;
        }
        let place = match self.free.pop() {
            Some(place) => {
                self.set(place, record);
                place
            }
            None => self.push(record),
        };
        let blocks = &self.blocks;
        self.index.insert_unique(hash, place, |place| {
            let place = *place as usize;
            hasher.hash_one(blocks[place / BLOCK_RECORDS][place % BLOCK_RECORDS].lookup)
        });
    }

    fn set(&mut self, place: u32, record: Record) {
        self.blocks[place as usize / BLOCK_RECORDS][place as usize % BLOCK_RECORDS] = record;
    }

    fn push(&mut self, record: Record) -> u32 {
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK_RECORDS => block.push(record),
            Some(_) => {
                let mut block = Vec::with_capacity(BLOCK_RECORDS);
                block.push(record);
                self.blocks.push(block);
            }
            // The first block grows, so that a small directory stays small.
            None => self.blocks.push(vec![record]),
        }
        let full = (self.blocks.len() - 1) * BLOCK_RECORDS;
        let last = self.blocks.last().map_or(0, Vec::len) - 1;
        u32::try_from(full + last).expect("a shard has fewer than 4 billion credentials")
    }

    /// Forgets a record, if `forget` says so. What it held is gone at once.
    fn remove(&mut self, hash: u64, id: LookupId, forget: impl FnOnce(&Record) -> bool) {
        let Some(place) = self
            .find(hash, id)
            .filter(|place| forget(self.record(*place)))
        else {
            return;
        };
        if let Ok(entry) = self.index.find_entry(hash, |held| *held == place) {
            entry.remove();
        }
        let record =
            &mut self.blocks[place as usize / BLOCK_RECORDS][place as usize % BLOCK_RECORDS];
        record.secret = None;
        record.more = None;
        record.state = CredentialState::Revoked;
        self.free.push(place);
    }
}

/// A secret that was used, and when, in Unix seconds.
pub(crate) type SecretUse = (SecretId, u32);

/// The map itself.
pub(crate) struct Directory {
    hasher: RandomState,
    shards: Box<[RwLock<Shard>]>,
    /// Uses that have not been written yet, by the shard of their credential.
    uses: Box<[Mutex<Vec<SecretUse>>]>,
    partners: Mutex<HashMap<PartnerId, Arc<PartnerEntry>>>,
    integrations: Mutex<HashMap<IntegrationId, Arc<IntegrationEntry>>>,
    grants: Mutex<HashMap<Grant, Arc<Grant>>>,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Directory {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            uses: (0..SHARDS).map(|_| Mutex::default()).collect(),
            partners: Mutex::default(),
            integrations: Mutex::default(),
            grants: Mutex::default(),
        }
    }

    /// The hash of an id and the place of its shard. The index takes the low bits and the top seven
    /// of the hash, so the shard is taken from between.
    fn place(&self, id: LookupId) -> (u64, usize) {
        let hash = self.hasher.hash_one(id);
        (hash, (hash >> 40) as usize % SHARDS)
    }

    /// Reads one credential; the lock of its shard is held meanwhile, so the reading is short.
    pub(crate) fn with<T>(&self, id: LookupId, read: impl FnOnce(&Record) -> T) -> Option<T> {
        let (hash, shard) = self.place(id);
        let shard = self.shards[shard].read();
        let place = shard.find(hash, id)?;
        Some(read(shard.record(place)))
    }

    /// Notes that a secret was used. The first use in a minute is queued for the store, any other
    /// costs one comparison.
    pub(crate) fn note_use(&self, lookup: LookupId, secret: &LiveSecret<'_>, now_s: i64) {
        let now_s = short_s(now_s);
        let before = secret.used_s.load(Ordering::Relaxed);
        if now_s < before.saturating_add(USE_GRAIN_S) {
            return;
        }
        let exchanged =
            secret
                .used_s
                .compare_exchange(before, now_s, Ordering::Relaxed, Ordering::Relaxed);
        if exchanged.is_ok() {
            let (_, shard) = self.place(lookup);
            self.uses[shard].lock().push((secret.id, now_s));
        }
    }

    /// Takes the uses that wait to be written.
    pub(crate) fn take_uses(&self) -> Vec<SecretUse> {
        let mut taken = Vec::new();
        for waiting in &self.uses {
            taken.append(&mut waiting.lock());
        }
        taken
    }

    /// Takes back uses that could not be written.
    pub(crate) fn put_back_uses(&self, uses: &[SecretUse]) {
        // Any of the queues will do: they are emptied together.
        self.uses[0].lock().extend_from_slice(uses);
    }

    /// Forgets every credential. Uses that wait to be written stay.
    pub(crate) fn forget_credentials(&self) {
        for shard in &self.shards {
            *shard.write() = Shard::default();
        }
    }

    /// Takes over a partner as stored; whoever belongs to it sees the change at once. `plan`: the
    /// number of its plan.
    pub(crate) fn put_partner(&self, partner: &Partner, plan: Option<u32>) {
        let entry = self.partner(partner.id);
        entry
            .lapsed
            .store(partner.membership == Membership::Lapsed, Ordering::Relaxed);
        entry.plan.store(plan.unwrap_or(NO_PLAN), Ordering::Relaxed);
    }

    /// What a partner's plans give it from now on.
    pub(crate) fn put_bought(&self, id: PartnerId, bought: Option<Arc<Bought>>) {
        self.partner(id).bought.store(bought);
    }

    /// The numbers of the plans that partners have.
    pub(crate) fn plans(&self) -> BTreeSet<u32> {
        let partners = self.partners.lock();
        partners.values().filter_map(|entry| entry.plan()).collect()
    }

    fn partner(&self, id: PartnerId) -> Arc<PartnerEntry> {
        let fresh = || {
            Arc::new(PartnerEntry {
                id,
                lapsed: AtomicBool::new(false),
                plan: AtomicU32::new(NO_PLAN),
                bought: ArcSwapOption::empty(),
            })
        };
        self.partners.lock().entry(id).or_insert_with(fresh).clone()
    }

    fn integration(&self, id: IntegrationId, partner_id: PartnerId) -> Arc<IntegrationEntry> {
        let partner = self.partner(partner_id);
        let fresh = || {
            let (text, partner_text) = (id.to_string(), partner_id.to_string());
            Arc::new(IntegrationEntry {
                id,
                partner,
                text,
                partner_text,
            })
        };
        self.integrations
            .lock()
            .entry(id)
            .or_insert_with(fresh)
            .clone()
    }

    fn grant(&self, grant: Grant) -> Arc<Grant> {
        let mut grants = self.grants.lock();
        if let Some(known) = grants.get(&grant) {
            return known.clone();
        }
        let shared = Arc::new(grant.clone());
        grants.insert(grant, shared.clone());
        shared
    }

    /// Takes over a credential as stored, without the secrets that have ended by `now`.
    pub(crate) fn put_credential(
        &self,
        stored: &CredentialWithSecrets,
        vault: &Vault,
        now: Timestamp,
    ) -> Result<(), MasterKeyError> {
        let record = self.record(stored, vault, now)?;
        let (hash, shard) = self.place(record.lookup);
        self.shards[shard].write().put(hash, record, &self.hasher);
        Ok(())
    }

    fn record(
        &self,
        stored: &CredentialWithSecrets,
        vault: &Vault,
        now: Timestamp,
    ) -> Result<Record, MasterKeyError> {
        let credential = &stored.credential;
        let mut record = Record {
            lookup: LookupId::of(credential.public_id.as_str()),
            credential_id: credential.id,
            integration: self.integration(credential.integration_id, credential.partner_id),
            grant: self.grant(Grant {
                audience: credential.audience,
                schemes: credential.schemes,
                scopes: credential.scopes.clone(),
                property: credential.property_id,
                customer: credential.customer_id,
            }),
            more: None,
            secret: None,
            secret_id: SecretId::new(now, [0; 10]),
            not_before_s: short_s(credential.not_before_at.unix_s()),
            used_s: AtomicU32::new(0),
            state: credential.state,
        };
        let mut further = Vec::new();
        for secret in stored
            .secrets
            .iter()
            .rev()
            .filter(|secret| secret.is_live(now))
        {
            let used_s = AtomicU32::new(secret.last_used_at.map_or(0, |at| short_s(at.unix_s())));
            match (FurtherSecret::new(secret, vault)?, secret.expires_at) {
                (FurtherSecret::Short(held), None) if record.secret.is_none() => {
                    record.secret = Some(held);
                    record.secret_id = secret.id;
                    record.used_s = used_s;
                }
                (held, expires_at) => further.push(Further {
                    id: secret.id,
                    expires_s: end_s(expires_at),
                    used_s,
                    secret: held,
                }),
            }
        }
        if !further.is_empty() || credential.expires_at.is_some() {
            record.more = Some(Box::new(More {
                expires_s: end_s(credential.expires_at),
                secrets: further,
            }));
        }
        Ok(record)
    }

    /// Forgets a public id that a credential gave up, or whose credential cannot be read: it
    /// proves nothing. `credential_id`: only while it is that credential's; `None`: in any case.
    pub(crate) fn remove(&self, public_id: &str, credential_id: Option<CredentialId>) {
        let id = LookupId::of(public_id);
        let (hash, shard) = self.place(id);
        self.shards[shard].write().remove(hash, id, |record| {
            credential_id.is_none_or(|wanted| record.credential_id == wanted)
        });
    }

    /// Whether what any credential may do fulfils a condition.
    pub(crate) fn any_grant(&self, condition: impl Fn(&Grant) -> bool) -> bool {
        self.grants.lock().keys().any(condition)
    }

    /// How many credentials there are.
    pub(crate) fn len(&self) -> usize {
        let count = |shard: &RwLock<Shard>| shard.read().index.len();
        self.shards.iter().map(count).sum()
    }
}

/// The second from which on something is dead: rounded up, so that nothing ends before its time.
fn end_s(at: Option<Timestamp>) -> i64 {
    at.map_or(i64::MAX, |at| {
        at.plus(std::time::Duration::from_micros(999_999)).unix_s()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_found_in_any_case_and_other_ids_letter_by_letter() {
        let upper = LookupId::of("7D21B0AA-55C3-4E19-BB02-6F3E9C8D1A47");
        assert_eq!(upper, LookupId::of("7d21b0aa-55c3-4e19-bb02-6f3e9c8d1a47"));
        assert_ne!(LookupId::of("Key"), LookupId::of("key"));
    }

    #[test]
    fn a_record_stays_small() {
        // Ten million credentials have to fit; what does not fit here lies beside the record.
        assert!(size_of::<Record>() <= 136, "{}", size_of::<Record>());
    }

    #[test]
    fn a_shard_finds_what_it_was_given_and_uses_freed_places_again() {
        let directory = Directory::new();
        let vault =
            Vault::from_file("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("a key");
        let now = Timestamp::from_unix_s(1_800_000_000);
        let name = |number: usize| format!("key {number}");
        let put = |number: usize| {
            let stored = stored(&name(number), now, &vault);
            directory
                .put_credential(&stored, &vault, now)
                .expect("good");
        };
        (0..100_000).for_each(put);
        assert_eq!(directory.len(), 100_000);
        (0..50_000).for_each(|number| directory.remove(&name(number), None));
        assert_eq!(directory.len(), 50_000);
        let blocks = || -> usize {
            let count = |shard: &RwLock<Shard>| shard.read().blocks.len();
            directory.shards.iter().map(count).sum()
        };
        let before = blocks();
        (100_000..140_000).for_each(put);
        assert_eq!(blocks(), before, "freed places are used again");
        let knows = |number: usize| {
            let lookup = LookupId::of(&name(number));
            directory
                .with(lookup, |record| {
                    record.find_secret("secret", &vault, now.unix_s()).is_some()
                })
                .unwrap_or(false)
        };
        assert!((50_000..140_000).all(knows));
        assert!(!(0..50_000).any(knows));
    }

    fn stored(public_id: &str, now: Timestamp, vault: &Vault) -> CredentialWithSecrets {
        let id = CredentialId::new(now, [1; 10]);
        CredentialWithSecrets {
            credential: wayleave_store::Credential {
                id,
                public_id: wayleave_core::PublicId::parse(public_id, Audience::Routes)
                    .expect("an id"),
                name: String::new(),
                integration_id: IntegrationId::new(now, [2; 10]),
                partner_id: PartnerId::new(now, [3; 10]),
                property_id: None,
                customer_id: None,
                audience: Audience::Routes,
                schemes: Audience::Routes.default_schemes(),
                scopes: ScopeSet::default(),
                state: CredentialState::Active,
                not_before_at: now,
                created_at: now,
                expires_at: None,
                revoked_at: None,
                callback_url: None,
            },
            secrets: vec![Secret {
                id: SecretId::new(now, [4; 10]),
                credential_id: id,
                form: SecretForm::Hashed,
                master_key_id: vault.newest_key_id().to_owned(),
                material: vault.hash_secret("secret").to_vec(),
                created_at: now,
                superseded_at: None,
                expires_at: None,
                retire_unused: None,
                last_used_at: None,
            }],
        }
    }
}
