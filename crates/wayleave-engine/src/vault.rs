//! Master keys and what is made with them (law 5).
//!
//! A master key never touches data itself: from each are derived one key that hashes secrets, one
//! that seals them, and one from which further secrets can be derived. A sealed text has a key of its own,
//! derived from 32 random bytes, so a nonce never repeats under a key.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use wayleave_protocol::hex;
use zeroize::Zeroizing;

use crate::ports::{Randomness, random};

const SALT_BYTES: usize = 32;
/// The first byte of a sealed text: which way it was sealed.
const SEAL_VERSION: u8 = 1;

/// Why master keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// A line that is not 32 bytes in base64.
    #[error("line {line} of the master key file is not 32 bytes in base64")]
    Malformed {
        /// Counted from 1.
        line: usize,
    },
    /// No key in the file.
    #[error("the master key file is empty")]
    Empty,
    /// Something was made with a master key that is not in the file.
    #[error("master key {id} is not in the master key file: restore the file from its backup")]
    Missing {
        /// The name of the missing key.
        id: String,
    },
    /// A sealed text that does not open: altered, or moved from another row.
    #[error("a sealed secret does not open: it was altered or belongs to another row")]
    Broken,
}

/// The master keys of one environment: the newest makes, the older ones still read.
pub struct Vault {
    keys: Vec<DerivedKeys>,
}

struct DerivedKeys {
    id: String,
    hash: Zeroizing<[u8; 32]>,
    seal: Zeroizing<[u8; 32]>,
    derive: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("Vault")
            .field("keys", &ids)
            .finish_non_exhaustive()
    }
}

/// HMAC-SHA256 over the parts, each with its length before it, so that parts cannot run together.
pub(crate) fn keyed_hash(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = new_mac(key);
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn new_mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl DerivedKeys {
    fn new(master: &[u8; 32]) -> Self {
        let derived = |label: &str| Zeroizing::new(keyed_hash(master, &[label.as_bytes()]));
        let name = derived("wayleave name");
        DerivedKeys {
            id: hex::lower(&name[..4]),
            hash: derived("wayleave hash"),
            seal: derived("wayleave seal"),
            derive: derived("wayleave derive"),
        }
    }
}

impl Vault {
    /// Makes the content of a new master key file.
    pub fn new_master_key(randomness: &dyn Randomness) -> Zeroizing<String> {
        let key = Zeroizing::new(random::<32>(randomness));
        Zeroizing::new(format!("{}\n", STANDARD.encode(*key)))
    }

    /// Reads a master key file: 32 bytes in base64 a line, the newest first; lines that begin with
    /// `#` are comments.
    pub fn from_file(content: &str) -> Result<Self, MasterKeyError> {
        let mut keys = Vec::new();
        for (place, line) in content.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = STANDARD.decode(line).ok().map(Zeroizing::new);
            let key = bytes
                .as_deref()
                .and_then(|bytes| bytes.as_slice().try_into().ok());
            let key: [u8; 32] = key.ok_or(MasterKeyError::Malformed { line: place + 1 })?;
            keys.push(DerivedKeys::new(&Zeroizing::new(key)));
        }
        if keys.is_empty() {
            Err(MasterKeyError::Empty)
        } else {
            Ok(Vault { keys })
        }
    }

    /// The name of the key that new hashes and seals are made with.
    pub fn newest_key_id(&self) -> &str {
        &self.keys[0].id
    }

    /// The names of all keys, the newest first.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// The place of a key in this vault: what memory keeps instead of its name.
    pub(crate) fn key_place(&self, id: &str) -> Result<u8, MasterKeyError> {
        self.keys
            .iter()
            .position(|key| key.id == id)
            .and_then(|place| u8::try_from(place).ok())
            .ok_or_else(|| MasterKeyError::Missing { id: id.to_owned() })
    }

    /// The keyed hash of a secret that only needs checking, under the newest key.
    pub fn hash_secret(&self, secret: &str) -> [u8; 32] {
        keyed_hash(&*self.keys[0].hash, &[secret.as_bytes()])
    }

    /// Compares a presented secret with a keyed hash, in constant time.
    pub(crate) fn check_secret(&self, secret: &str, key_place: u8, hash: &[u8; 32]) -> bool {
        let key = self
            .keys
            .get(usize::from(key_place))
            .unwrap_or(&self.keys[0]);
        keyed_hash(&*key.hash, &[secret.as_bytes()])
            .ct_eq(hash)
            .into()
    }

    /// Seals a text under the newest key, bound to the row that holds it.
    pub fn seal(&self, row: &str, text: &[u8], randomness: &dyn Randomness) -> Vec<u8> {
        let salt = random::<SALT_BYTES>(randomness);
        let mut body = text.to_vec();
        cipher(&self.keys[0], &salt)
            .seal_in_place_append_tag(only_nonce(), Aad::from(row.as_bytes()), &mut body)
            .expect("a text far below the cipher's limit of 64 GiB");
        let mut sealed = Vec::with_capacity(1 + SALT_BYTES + body.len());
        sealed.push(SEAL_VERSION);
        sealed.extend_from_slice(&salt);
        sealed.append(&mut body);
        sealed
    }

    /// Opens what [`Vault::seal`] made for the same row.
    pub fn open(
        &self,
        row: &str,
        key_id: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
        let key = &self.keys[usize::from(self.key_place(key_id)?)];
        let (salt, body) = sealed
            .split_first()
            .filter(|(version, _)| **version == SEAL_VERSION)
            .and_then(|(_, rest)| rest.split_first_chunk::<SALT_BYTES>())
            .ok_or(MasterKeyError::Broken)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = cipher(key, salt)
            .open_in_place(only_nonce(), Aad::from(row.as_bytes()), &mut body)
            .map_err(|_| MasterKeyError::Broken)?
            .len();
        body.truncate(length);
        Ok(body)
    }

    /// 32 bytes that are always the same for a label, and that tell nothing about other labels.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        keyed_hash(&*self.keys[0].derive, &[label.as_bytes()])
    }
}

fn cipher(key: &DerivedKeys, salt: &[u8; SALT_BYTES]) -> LessSafeKey {
    let own = Zeroizing::new(keyed_hash(&*key.seal, &[salt]));
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*own).expect("a key of 32 bytes"))
}

/// Each sealed text has a key of its own, so one nonce is enough.
fn only_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Randomness for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    fn vault() -> (Vault, Counting) {
        let randomness = Counting(std::sync::atomic::AtomicU8::new(1));
        let file = Vault::new_master_key(&randomness);
        (Vault::from_file(&file).expect("a vault"), randomness)
    }

    #[test]
    fn a_sealed_secret_opens_only_in_its_own_row() {
        let (vault, randomness) = vault();
        let sealed = vault.seal("secret sct_1", b"text", &randomness);
        let id = vault.newest_key_id();
        assert_eq!(
            vault
                .open("secret sct_1", id, &sealed)
                .expect("opens")
                .as_slice(),
            b"text"
        );
        assert!(matches!(
            vault.open("secret sct_2", id, &sealed),
            Err(MasterKeyError::Broken)
        ));
    }

    #[test]
    fn any_altered_byte_keeps_a_seal_shut() {
        let (vault, randomness) = vault();
        let sealed = vault.seal("row", b"text", &randomness);
        for place in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[place] ^= 1;
            assert!(
                vault.open("row", vault.newest_key_id(), &altered).is_err(),
                "byte {place}"
            );
        }
        assert!(
            vault
                .open("row", vault.newest_key_id(), &sealed[..20])
                .is_err()
        );
    }

    #[test]
    fn an_older_key_still_reads_and_a_missing_one_is_named() {
        let (old, randomness) = vault();
        let sealed = old.seal("row", b"text", &randomness);
        let both = format!(
            "{}{}",
            *Vault::new_master_key(&randomness),
            STANDARD.encode([1; 32])
        );
        let rotated = Vault::from_file(&both).expect("a vault");
        assert_ne!(rotated.newest_key_id(), old.newest_key_id());
        assert!(rotated.open("row", old.newest_key_id(), &sealed).is_ok());
        let only_new = Vault::from_file(&Vault::new_master_key(&randomness)).expect("a vault");
        let refused = only_new.open("row", old.newest_key_id(), &sealed);
        assert!(matches!(refused, Err(MasterKeyError::Missing { .. })));
    }

    #[test]
    fn a_hash_knows_its_secret_and_no_other() {
        let (vault, _) = vault();
        let hash = vault.hash_secret("right");
        assert!(vault.check_secret("right", 0, &hash));
        assert!(!vault.check_secret("wrong", 0, &hash));
    }

    #[test]
    fn a_key_file_that_is_not_one_is_refused_by_line() {
        assert!(matches!(
            Vault::from_file("# none\n"),
            Err(MasterKeyError::Empty)
        ));
        let refused = Vault::from_file("# a comment\nnot base64!\n");
        assert!(matches!(
            refused,
            Err(MasterKeyError::Malformed { line: 2 })
        ));
    }
}
