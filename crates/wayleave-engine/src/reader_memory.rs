//! What this node knows of readers, so that a page that was seen, bought or subscribed to is decided
//! from memory: bounded, read from the store when a reader comes first, dropped when the change feed
//! names them.
//!
//! Pages and groups are kept as words of 8 bytes, the random end of their ids.

use std::sync::Arc;

use hashbrown::HashTable;
use parking_lot::RwLock;
use wayleave_core::{CalendarPeriod, ReaderId, ReaderRole, ResourceId, Timestamp};

const SHARDS: usize = 256;
/// Readers of one generation in a shard. Two generations are kept, so 2 million readers at most, of
/// about 100 bytes each and 8 for each page.
const GENERATION: usize = 4_096;

/// A page as a word: the lower half of its id, which is random.
pub(crate) fn page_word(id: ResourceId) -> u64 {
    id.number() as u64
}

/// What a reader with an account has a right to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct KnownAccount {
    /// The name under which they sign in.
    pub(crate) user_name: String,
    /// The name by which they are greeted.
    pub(crate) first_name: String,
    /// What they are for the property.
    pub(crate) role: Option<ReaderRole>,
    /// Pages that were bought, and until when that counts; sorted by page.
    pub(crate) purchases: Vec<(u64, Option<Timestamp>)>,
    /// GUIDs of groups, and until when they count.
    pub(crate) subscriptions: Vec<(String, Timestamp)>,
}

impl KnownAccount {
    /// Whether a page is bought at a moment.
    pub(crate) fn has_bought(&self, page: u64, now: Timestamp) -> bool {
        let first = self.purchases.partition_point(|(known, _)| *known < page);
        let mut of_page = self.purchases[first..].iter();
        let mut of_page = of_page.by_ref().take_while(|(known, _)| *known == page);
        of_page.any(|(_, until)| until.is_none_or(|until| now < until))
    }

    /// Until when a group counts, or counted.
    pub(crate) fn subscribed_until(&self, group: &str) -> Option<Timestamp> {
        let mut known = self.subscriptions.iter();
        let found = known.find(|(id, _)| id == group);
        found.map(|(_, until)| *until)
    }
}

/// A window of a quota: kind of period and beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    pub(crate) period: CalendarPeriod,
    pub(crate) starts_at: Timestamp,
}

impl Window {
    pub(crate) fn of(period: CalendarPeriod, now: Timestamp) -> Self {
        Window {
            period,
            starts_at: period.start(now),
        }
    }
}

/// A reader as read from the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KnownReader {
    /// `None`: anonymous.
    pub(crate) account: Option<Arc<KnownAccount>>,
    /// The window that the pages are of.
    pub(crate) window: Window,
    /// The pages that count in it, sorted.
    pub(crate) pages: Vec<u64>,
    /// How many that are; at least as many as there are pages.
    pub(crate) hits: u32,
    /// When it was read.
    pub(crate) read_at: Timestamp,
}

/// What is known of a reader and one page.
#[derive(Clone, Debug)]
pub(crate) struct Glance {
    pub(crate) account: Option<Arc<KnownAccount>>,
    pub(crate) hits: u32,
    pub(crate) has_page: bool,
    pub(crate) read_at: Timestamp,
}

impl KnownReader {
    /// Somebody of whom nothing is known.
    pub(crate) fn nobody(window: Window, now: Timestamp) -> Self {
        KnownReader {
            account: None,
            window,
            pages: Vec::new(),
            hits: 0,
            read_at: now,
        }
    }

    pub(crate) fn glance(&self, page: u64) -> Glance {
        Glance {
            account: self.account.clone(),
            hits: self.hits,
            has_page: self.pages.binary_search(&page).is_ok(),
            read_at: self.read_at,
        }
    }

    /// Adds what was known before of the same window: pages only become more.
    fn unite(&mut self, before: KnownReader) {
        if before.window != self.window {
            return;
        }
        for page in before.pages {
            self.add(page, before.hits);
        }
        self.hits = self.hits.max(before.hits);
    }

    fn add(&mut self, page: u64, hits: u32) {
        if let Err(place) = self.pages.binary_search(&page) {
            self.pages.insert(place, page);
        }
        self.hits = self.hits.max(hits);
    }
}

struct Entry {
    id: u128,
    known: KnownReader,
}

#[derive(Default)]
struct Shard {
    young: HashTable<Entry>,
    old: HashTable<Entry>,
    /// Counts up when a reader is dropped, so that one that was being read meanwhile is read again.
    dropped: u64,
}

/// The readers.
pub(crate) struct ReaderMemory {
    shards: Box<[RwLock<Shard>]>,
    generation: usize,
}

fn hash(entry: &Entry) -> u64 {
    entry.id as u64
}

impl Shard {
    fn find(&self, id: u128) -> Option<&KnownReader> {
        let found = self.young.find(id as u64, |entry| entry.id == id);
        found.map(|entry| &entry.known)
    }

    /// The reader, as the youngest.
    fn fetch(&mut self, id: u128, generation: usize) -> Option<&mut KnownReader> {
        if let Ok(entry) = self.old.find_entry(id as u64, |entry| entry.id == id) {
            let (entry, _) = entry.remove();
            self.put(entry, generation);
        }
        let found = self.young.find_mut(id as u64, |entry| entry.id == id);
        found.map(|entry| &mut entry.known)
    }

    fn put(&mut self, entry: Entry, generation: usize) {
        self.remove(entry.id);
        if self.young.len() >= generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert_unique(entry.id as u64, entry, hash);
    }

    fn remove(&mut self, id: u128) {
        for table in [&mut self.young, &mut self.old] {
            if let Ok(entry) = table.find_entry(id as u64, |entry| entry.id == id) {
                entry.remove();
            }
        }
    }
}

impl ReaderMemory {
    pub(crate) fn new() -> Self {
        ReaderMemory::with_room(GENERATION)
    }

    fn with_room(generation: usize) -> Self {
        let shard = || RwLock::new(Shard::default());
        ReaderMemory {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            generation,
        }
    }

    /// Places within a table come of the lowest and highest bits of the word, so shards of others.
    fn shard(&self, id: u128) -> &RwLock<Shard> {
        &self.shards[(id >> 32) as usize % SHARDS]
    }

    /// What is known of a reader and a page in a window; `None`: nothing is, or of another window.
    pub(crate) fn glance(&self, id: ReaderId, window: Window, page: u64) -> Option<Glance> {
        let (id, fits) = (id.number(), |known: &&mut KnownReader| {
            known.window == window
        });
        let shard = self.shard(id);
        if let Some(known) = shard.read().find(id) {
            return (known.window == window).then(|| known.glance(page));
        }
        let mut shard = shard.write();
        let known = shard.fetch(id, self.generation).filter(fits);
        known.map(|known| known.glance(page))
    }

    /// How many readers were dropped from the shard of one: asked before it is read.
    pub(crate) fn dropped(&self, id: ReaderId) -> u64 {
        self.shard(id.number()).read().dropped
    }

    /// Keeps a reader that was read; `false`: something about readers changed since it was asked for
    /// [`ReaderMemory::dropped`], so that it has to be read again.
    pub(crate) fn put(&self, id: ReaderId, known: KnownReader, dropped: u64) -> bool {
        let id = id.number();
        let mut shard = self.shard(id).write();
        if shard.dropped != dropped {
            return false;
        }
        let mut known = known;
        if let Some(before) = shard.fetch(id, self.generation) {
            let nobody = KnownReader::nobody(before.window, before.read_at);
            known.unite(std::mem::replace(before, nobody));
        }
        shard.put(Entry { id, known }, self.generation);
        true
    }

    /// Notes a page that counts now. `fresh`: of a reader of whom nothing can be known yet.
    pub(crate) fn add_page(
        &self,
        id: ReaderId,
        window: Window,
        (page, hits): (u64, u32),
        fresh: Option<Timestamp>,
    ) {
        let id = id.number();
        let mut shard = self.shard(id).write();
        match (shard.fetch(id, self.generation), fresh) {
            (Some(known), _) if known.window == window => known.add(page, hits),
            (None, Some(now)) => {
                let mut known = KnownReader::nobody(window, now);
                known.add(page, hits);
                shard.put(Entry { id, known }, self.generation);
            }
            // Whoever is reading the reader may not have seen it.
            _ => shard.dropped += 1,
        }
    }

    /// Notes how many pages count, where that is more than was known.
    pub(crate) fn note_hits(&self, id: ReaderId, window: Window, hits: u32) {
        let id = id.number();
        let mut shard = self.shard(id).write();
        if let Some(known) = shard.fetch(id, self.generation)
            && known.window == window
        {
            known.hits = known.hits.max(hits);
        }
    }

    /// Drops what is known of a reader.
    pub(crate) fn drop_reader(&self, id: ReaderId) {
        let id = id.number();
        let mut shard = self.shard(id).write();
        shard.dropped += 1;
        shard.remove(id);
    }

    /// Drops everything.
    pub(crate) fn drop_all(&self) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.dropped += 1;
            shard.young = HashTable::new();
            shard.old = HashTable::new();
        }
    }

    /// How many readers are known.
    #[cfg(test)]
    fn len(&self) -> usize {
        let lengths = self.shards.iter().map(|shard| {
            let shard = shard.read();
            shard.young.len() + shard.old.len()
        });
        lengths.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_s(1_805_192_430);

    fn window() -> Window {
        Window::of(CalendarPeriod::Monthly, NOW)
    }

    fn reader(number: u64) -> ReaderId {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        ReaderId::new(NOW, random)
    }

    #[test]
    fn a_page_that_was_counted_is_known_in_its_window_only() {
        let memory = ReaderMemory::new();
        memory.add_page(reader(1), window(), (7, 1), Some(NOW));
        memory.add_page(reader(1), window(), (3, 2), None);
        for (page, has) in [(7, true), (3, true), (5, false)] {
            let glance = memory.glance(reader(1), window(), page).expect("known");
            assert_eq!((glance.hits, glance.has_page), (2, has), "{page}");
        }
        let other = Window::of(CalendarPeriod::Daily, NOW);
        assert!(memory.glance(reader(1), other, 7).is_none());
        assert!(memory.glance(reader(2), window(), 7).is_none());
        // Of somebody of whom something may be stored, it is read.
        memory.add_page(reader(2), window(), (7, 1), None);
        assert!(memory.glance(reader(2), window(), 7).is_none());
    }

    #[test]
    fn what_changed_while_it_was_read_is_read_again() {
        let memory = ReaderMemory::new();
        let nobody = || KnownReader::nobody(window(), NOW);
        let before = memory.dropped(reader(1));
        memory.drop_reader(reader(1));
        assert!(!memory.put(reader(1), nobody(), before));
        assert!(memory.put(reader(1), nobody(), memory.dropped(reader(1))));
        assert!(memory.glance(reader(1), window(), 7).is_some());
        memory.drop_reader(reader(1));
        assert!(memory.glance(reader(1), window(), 7).is_none());
    }

    #[test]
    fn what_was_added_while_it_was_read_stays() {
        let memory = ReaderMemory::new();
        memory.add_page(reader(1), window(), (7, 1), Some(NOW));
        let before = memory.dropped(reader(1));
        memory.add_page(reader(1), window(), (8, 2), None);
        assert!(memory.put(reader(1), KnownReader::nobody(window(), NOW), before));
        let glance = memory.glance(reader(1), window(), 8).expect("known");
        assert_eq!((glance.hits, glance.has_page), (2, true));
        memory.note_hits(reader(1), window(), 5);
        let glance = memory.glance(reader(1), window(), 9).expect("known");
        assert_eq!((glance.hits, glance.has_page), (5, false));
        // Of somebody who is not known a page cannot be added: whoever reads them reads again.
        let before = memory.dropped(reader(2));
        memory.add_page(reader(2), window(), (7, 1), None);
        assert!(!memory.put(reader(2), KnownReader::nobody(window(), NOW), before));
    }

    #[test]
    fn it_is_bounded_and_keeps_who_comes_often() {
        let memory = ReaderMemory::with_room(8);
        memory.add_page(reader(0), window(), (7, 1), Some(NOW));
        for number in 1..20_000 {
            memory.add_page(reader(number), window(), (7, 1), Some(NOW));
            assert!(memory.glance(reader(0), window(), 7).is_some(), "{number}");
        }
        assert!(memory.len() <= SHARDS * 8 * 2);
        assert!(memory.len() > SHARDS * 8);
    }

    #[test]
    fn a_purchase_counts_until_it_ends() {
        let until = |seconds| Some(Timestamp::from_unix_s(NOW.unix_s() + seconds));
        let account = KnownAccount {
            purchases: vec![(1, until(-1)), (2, None), (3, until(0)), (3, until(1))],
            subscriptions: vec![("group".to_owned(), NOW)],
            ..KnownAccount::default()
        };
        let bought = [1, 2, 3, 4].map(|page| account.has_bought(page, NOW));
        assert_eq!(bought, [false, true, true, false]);
        assert_eq!(account.subscribed_until("group"), Some(NOW));
        assert_eq!(account.subscribed_until("other"), None);
    }
}
