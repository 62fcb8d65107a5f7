//! Tokens that count once and that this node has taken to the store: whoever presents one again is turned
//! away without asking the store, however many come at once. The store alone decides who was first.

use std::collections::HashSet;

use parking_lot::Mutex;
use wayleave_core::CredentialId;

/// How many are remembered; past it the store is asked about older ones again.
const REMEMBERED: usize = 16_384;

/// A token by its hash, at a key set.
type Key = ([u8; 32], CredentialId);

/// The tokens that were presented.
#[derive(Default)]
pub(crate) struct Presented(Mutex<HashSet<Key>>);

/// The right to ask the store about a token; dropped unsettled, the token may be presented again.
pub(crate) struct Presenting<'a> {
    all: &'a Presented,
    key: Option<Key>,
}

impl Presented {
    /// The right to ask the store; `None`: somebody does or did, and none counts after that.
    pub(crate) fn claim(
        &self,
        hash: [u8; 32],
        credential_id: CredentialId,
    ) -> Option<Presenting<'_>> {
        let key = (hash, credential_id);
        let mut known = self.0.lock();
        if known.contains(&key) {
            return None;
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key);
        Some(Presenting {
            all: self,
            key: Some(key),
        })
    }
}

impl Presenting<'_> {
    /// The store has decided: the token counts no more.
    pub(crate) fn settle(mut self) {
        self.key = None;
    }
}

impl Drop for Presenting<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.all.0.lock().remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use wayleave_core::Timestamp;

    use super::*;

    fn key_set(number: u8) -> CredentialId {
        CredentialId::new(Timestamp::from_unix_s(1), [number; 10])
    }

    #[test]
    fn one_asks_and_the_others_are_turned_away_unless_it_finds_nothing_out() {
        let all = Presented::default();
        let first = all.claim([1; 32], key_set(1)).expect("the first");
        assert!(all.claim([1; 32], key_set(1)).is_none());
        // Another token, and the same at another key set, are others.
        all.claim([2; 32], key_set(1)).expect("another").settle();
        all.claim([1; 32], key_set(2)).expect("another").settle();
        drop(first);
        let again = all.claim([1; 32], key_set(1)).expect("it may be tried");
        again.settle();
        assert!(all.claim([1; 32], key_set(1)).is_none());
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let all = Presented::default();
        for number in 0..=REMEMBERED {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            all.claim(hash, key_set(1)).expect("a new one").settle();
        }
        assert_eq!(all.0.lock().len(), 1);
    }
}
