//! Every credential of the environment, in memory (law 10: the presented id is never a query).

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};
use wayleave_core::{
    Audience, CredentialId, CredentialState, IntegrationId, Membership, PartnerId, SchemeSet,
    ScopeSet,
};
use wayleave_protocol::guid;
use wayleave_store::{CredentialWithSecrets, Partner, Secret, SecretForm};

use crate::vault::{MasterKeyError, Vault};

/// Enough that two cores hardly ever meet at one lock.
const SHARDS: usize = 64;
/// Our own secrets have 48 characters; longer ones lie beside the map.
const INLINE_BYTES: usize = 48;

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

impl fmt::Debug for LookupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A partner as requests see it.
#[derive(Debug)]
pub(crate) struct PartnerEntry {
    pub(crate) id: PartnerId,
    lapsed: AtomicBool,
}

impl PartnerEntry {
    pub(crate) fn membership(&self) -> Membership {
        if self.lapsed.load(Ordering::Relaxed) {
            Membership::Lapsed
        } else {
            Membership::Admitted
        }
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
}

/// A secret as memory holds it.
enum HeldSecret {
    Hashed {
        key_place: u8,
        hash: [u8; 32],
    },
    Signs {
        length: u8,
        text: [u8; INLINE_BYTES],
    },
    SignsLong(Box<[u8]>),
}

impl HeldSecret {
    fn new(secret: &Secret, vault: &Vault) -> Result<Self, MasterKeyError> {
        match secret.form {
            SecretForm::Hashed => Ok(HeldSecret::Hashed {
                key_place: vault.key_place(&secret.master_key_id)?,
                hash: secret
                    .material
                    .as_slice()
                    .try_into()
                    .map_err(|_| MasterKeyError::Broken)?,
            }),
            SecretForm::Sealed => {
                let row = secret_row(secret.id);
                let text = vault.open(&row, &secret.master_key_id, &secret.material)?;
                Ok(HeldSecret::signing(&text))
            }
        }
    }

    fn signing(text: &[u8]) -> Self {
        match u8::try_from(text.len()) {
            Ok(length) if text.len() <= INLINE_BYTES => {
                let mut inline = [0; INLINE_BYTES];
                inline[..text.len()].copy_from_slice(text);
                HeldSecret::Signs {
                    length,
                    text: inline,
                }
            }
            _ => HeldSecret::SignsLong(text.into()),
        }
    }

    fn signing_text(&self) -> Option<&[u8]> {
        match self {
            HeldSecret::Hashed { .. } => None,
            HeldSecret::Signs { length, text } => Some(&text[..usize::from(*length)]),
            HeldSecret::SignsLong(text) => Some(text),
        }
    }
}

/// The name that a sealed secret is bound to.
pub(crate) fn secret_row(id: wayleave_core::SecretId) -> String {
    format!("secret {id}")
}

/// A credential as requests see it.
pub(crate) struct Record {
    pub(crate) credential_id: CredentialId,
    pub(crate) integration: Arc<IntegrationEntry>,
    pub(crate) grant: Arc<Grant>,
    /// Tokens issued before this second are dead.
    pub(crate) not_before_s: i64,
    state: CredentialState,
    secret: HeldSecret,
    /// All but the first, which most credentials do not have.
    more_secrets: Box<[HeldSecret]>,
}

impl Record {
    pub(crate) fn is_active(&self) -> bool {
        self.state == CredentialState::Active
    }

    fn secrets(&self) -> impl Iterator<Item = &HeldSecret> {
        std::iter::once(&self.secret).chain(&self.more_secrets)
    }

    /// Whether a presented secret is one of this credential's.
    pub(crate) fn knows_secret(&self, presented: &str, vault: &Vault) -> bool {
        self.secrets().any(|secret| match secret {
            HeldSecret::Hashed { key_place, hash } => {
                vault.check_secret(presented, *key_place, hash)
            }
            _ => false,
        })
    }

    /// The texts that may have signed a request.
    pub(crate) fn signing_secrets(&self) -> impl Iterator<Item = &[u8]> {
        self.secrets().filter_map(HeldSecret::signing_text)
    }
}

/// The map itself.
pub(crate) struct Directory {
    hasher: RandomState,
    shards: Box<[RwLock<HashMap<LookupId, Record>>]>,
    partners: Mutex<HashMap<PartnerId, Arc<PartnerEntry>>>,
    integrations: Mutex<HashMap<IntegrationId, Arc<IntegrationEntry>>>,
    grants: Mutex<HashMap<Grant, Arc<Grant>>>,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Directory {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            partners: Mutex::default(),
            integrations: Mutex::default(),
            grants: Mutex::default(),
        }
    }

    fn shard(&self, id: LookupId) -> &RwLock<HashMap<LookupId, Record>> {
        let hash = self.hasher.hash_one(id) as usize;
        &self.shards[hash % SHARDS]
    }

    /// Reads one credential; the lock of its shard is held meanwhile, so the reading is short.
    pub(crate) fn with<T>(&self, id: LookupId, read: impl FnOnce(&Record) -> T) -> Option<T> {
        self.shard(id).read().get(&id).map(read)
    }

    /// Takes over a partner as stored; whoever belongs to it sees the change at once.
    pub(crate) fn put_partner(&self, partner: &Partner) {
        let entry = self.partner(partner.id);
        entry
            .lapsed
            .store(partner.membership == Membership::Lapsed, Ordering::Relaxed);
    }

    fn partner(&self, id: PartnerId) -> Arc<PartnerEntry> {
        let fresh = || {
            Arc::new(PartnerEntry {
                id,
                lapsed: AtomicBool::new(false),
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
        grants
            .entry(grant.clone())
            .or_insert_with(|| Arc::new(grant))
            .clone()
    }

    /// Takes over a credential as stored.
    pub(crate) fn put_credential(
        &self,
        stored: &CredentialWithSecrets,
        vault: &Vault,
    ) -> Result<(), MasterKeyError> {
        let credential = &stored.credential;
        let mut secrets = stored
            .secrets
            .iter()
            .map(|secret| HeldSecret::new(secret, vault))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter();
        let record = Record {
            credential_id: credential.id,
            integration: self.integration(credential.integration_id, credential.partner_id),
            grant: self.grant(Grant {
                audience: credential.audience,
                schemes: credential.schemes,
                scopes: credential.scopes.clone(),
            }),
            not_before_s: credential.not_before_at.unix_s(),
            state: credential.state,
            // A credential whose secrets all ended knows none: this hash has no preimage at hand.
            secret: secrets.next().unwrap_or(HeldSecret::Hashed {
                key_place: 0,
                hash: [0; 32],
            }),
            more_secrets: secrets.collect(),
        };
        let id = LookupId::of(credential.public_id.as_str());
        self.shard(id).write().insert(id, record);
        Ok(())
    }

    /// Forgets a credential, which then proves nothing.
    pub(crate) fn remove_credential(&self, stored: &CredentialWithSecrets) {
        let id = LookupId::of(stored.credential.public_id.as_str());
        self.shard(id).write().remove(&id);
    }

    /// How many credentials there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }
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
        // Ten million credentials have to fit; what does not fit here lies beside the map.
        assert!(
            size_of::<Record>() + size_of::<LookupId>() <= 136,
            "{}",
            size_of::<Record>()
        );
    }
}
