//! What a node holds of properties and their pages, in memory: every property, and as many pages as
//! were asked about lately.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use hashbrown::Equivalent;
use parking_lot::{Mutex, RwLock};
use wayleave_core::{OriginSet, PartnerId, PropertyId, PropertySettings, Resource};
use wayleave_store::{Property, StoreError};

/// Enough that two cores hardly ever meet at one lock.
const SHARDS: usize = 64;
/// How many pages a shard holds of a generation: 131,072 in all, some 100 MB where they are large.
const GENERATION: usize = 1_024;

/// A property as requests see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldProperty {
    /// Its id.
    pub id: PropertyId,
    /// Whose it is.
    pub partner_id: PartnerId,
    /// Its name.
    pub name: String,
    /// Where its pages live.
    pub origins: OriginSet,
    /// How it sells them.
    pub settings: PropertySettings,
}

impl HeldProperty {
    /// Reads a property as it is stored. Errors: settings that this version cannot read.
    pub fn read(property: &Property) -> Result<Self, StoreError> {
        let settings = match &property.settings {
            None => PropertySettings::first(property.id),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| StoreError::corrupt("property", error))?,
        };
        Ok(HeldProperty {
            id: property.id,
            partner_id: property.partner_id,
            name: property.name.clone(),
            origins: property.origins.clone(),
            settings,
        })
    }

    /// How it is called towards readers.
    pub fn title(&self) -> &str {
        match self.settings.title.as_str() {
            "" => &self.name,
            title => title,
        }
    }
}

/// Every property of the environment.
#[derive(Default)]
pub(crate) struct Properties(RwLock<HashMap<PropertyId, Arc<HeldProperty>>>);

impl Properties {
    /// Takes over a property as stored.
    pub(crate) fn put(&self, property: &Property) -> Result<(), StoreError> {
        let held = Arc::new(HeldProperty::read(property)?);
        self.0.write().insert(property.id, held);
        Ok(())
    }

    pub(crate) fn get(&self, id: PropertyId) -> Option<Arc<HeldProperty>> {
        self.0.read().get(&id).cloned()
    }
}

/// A page by its property and key.
#[derive(PartialEq, Eq, Hash)]
struct PageKey {
    property: PropertyId,
    key: Box<str>,
}

/// The same without an allocation.
struct PageName<'a> {
    property: PropertyId,
    key: &'a str,
}

impl Hash for PageName<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.property.hash(state);
        self.key.hash(state);
    }
}

impl Equivalent<PageKey> for PageName<'_> {
    fn equivalent(&self, key: &PageKey) -> bool {
        self.property == key.property && self.key == &*key.key
    }
}

/// A page, or that there is none.
type Held = Option<Arc<Resource>>;

/// Two generations: where the younger one is full, the older one is forgotten and the younger one
/// takes its place.
#[derive(Default)]
struct Shard {
    young: hashbrown::HashMap<PageKey, Held, RandomState>,
    old: hashbrown::HashMap<PageKey, Held, RandomState>,
    /// How often a page of it has changed.
    changes: u64,
}

impl Shard {
    fn put(&mut self, key: PageKey, page: Held) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, page);
    }

    fn get(&mut self, name: &PageName<'_>) -> Option<Held> {
        if let Some(page) = self.young.get(name) {
            return Some(page.clone());
        }
        let (key, page) = self.old.remove_entry(name)?;
        self.put(key, page.clone());
        Some(page)
    }

    fn forget(&mut self, name: &PageName<'_>) {
        self.young.remove(name);
        self.old.remove(name);
        self.changes += 1;
    }
}

/// Where a page was looked for in vain: what is read then is kept only if nothing has changed since.
#[derive(Clone, Copy)]
pub(crate) struct Miss {
    changes: u64,
}

/// The pages that were asked about lately.
pub(crate) struct Pages {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

impl Pages {
    pub(crate) fn new() -> Self {
        Pages {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    fn shard(&self, name: &PageName<'_>) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one((name.property, name.key));
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    /// What is known of a page; `Err`: nothing.
    pub(crate) fn get(&self, property: PropertyId, key: &str) -> Result<Held, Miss> {
        let name = PageName { property, key };
        let mut shard = self.shard(&name).lock();
        shard.get(&name).ok_or(Miss {
            changes: shard.changes,
        })
    }

    /// Keeps what was read after a miss.
    pub(crate) fn put(&self, property: PropertyId, key: &str, miss: Miss, page: Held) {
        let name = PageName { property, key };
        let mut shard = self.shard(&name).lock();
        if shard.changes == miss.changes {
            let key = key.into();
            shard.put(PageKey { property, key }, page);
        }
    }

    /// Forgets a page that has changed.
    pub(crate) fn forget(&self, property: PropertyId, key: &str) {
        let name = PageName { property, key };
        self.shard(&name).lock().forget(&name);
    }

    /// Forgets every page.
    pub(crate) fn forget_all(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            *shard = Shard {
                changes: shard.changes + 1,
                ..Shard::default()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use wayleave_core::Timestamp;

    use super::*;

    fn property() -> PropertyId {
        PropertyId::new(Timestamp::from_unix_s(1), [1; 10])
    }

    fn miss(pages: &Pages, key: &str) -> Miss {
        pages.get(property(), key).expect_err("nothing is known")
    }

    #[test]
    fn what_changed_while_it_was_read_is_not_kept() {
        let pages = Pages::new();
        let before = miss(&pages, "a");
        pages.forget(property(), "a");
        pages.put(property(), "a", before, None);
        let again = miss(&pages, "a");
        pages.put(property(), "a", again, None);
        assert!(pages.get(property(), "a").is_ok_and(|page| page.is_none()));
        pages.forget_all();
        pages.put(property(), "a", again, None);
        miss(&pages, "a");
    }

    #[test]
    fn pages_that_nobody_asks_about_are_forgotten_and_others_stay() {
        let pages = Pages::new();
        let most = 2 * SHARDS * GENERATION;
        for number in 0..2 * most {
            let key = number.to_string();
            let miss = miss(&pages, &key);
            pages.put(property(), &key, miss, None);
            assert!(pages.get(property(), "0").is_ok(), "{number}");
        }
        let count = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.young.len() + shard.old.len()
        };
        let held: usize = pages.shards.iter().map(count).sum();
        assert!(held <= most, "{held}");
    }
}
