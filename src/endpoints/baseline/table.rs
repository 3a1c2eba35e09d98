//! Baseline entries by key, capped.
//!
//! Owns: the cap and the eviction. In: keys and round trips. Out: entries in key order. Never: more
//! entries than the cap while learning.

use std::hash::Hash;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Place;

use crate::endpoints::baseline::entry::{BaselineEntry, Sample};

/// The fraction (1/n) of a full table to evict at once. Scanning 65,536 entries for each new one
/// would be too slow.
const SHARE: usize = 8;

/// Entries by key.
///
/// At the cap an eighth is evicted: those with the fewest days, then the fewest sessions, then the
/// longest unseen. So keys that were met once, as in a scan or a file-sharing swarm, make room, and
/// those learned over days stay. The randomly keyed hash only finds entries; it decides nothing.
#[derive(Clone, Debug)]
pub(super) struct Table<K> {
    cap: usize,
    entries: HashMap<K, BaselineEntry, RandomState>,
    /// Entries evicted at the cap.
    dropped: u64,
}

impl<K: Clone + Eq + Hash + Ord> Table<K> {
    /// An empty table of at most `cap` entries.
    pub(super) fn new(cap: usize) -> Table<K> {
        Table { cap: cap.max(1), entries: HashMap::default(), dropped: 0 }
    }

    /// Adds a round trip to its entry.
    pub(super) fn learn(&mut self, key: K, sample: &Sample) {
        if let Some(entry) = self.entries.get_mut(&key) {
            return entry.learn(sample);
        }
        if self.entries.len() >= self.cap {
            self.shrink(self.cap - self.cap.div_ceil(SHARE));
        }
        self.entries.insert(key, BaselineEntry::new(sample));
    }

    /// Merges an entry, ignoring the cap.
    pub(super) fn add(&mut self, key: K, entry: BaselineEntry) {
        match self.entries.entry(key) {
            Place::Occupied(mut known) => known.get_mut().add(entry),
            Place::Vacant(place) => drop(place.insert(entry)),
        }
    }

    /// Adds another table completely. [`Table::trim`] enforces the cap, so that the order in which
    /// tables are added does not matter.
    pub(super) fn merge(&mut self, other: Table<K>) {
        other.entries.into_iter().for_each(|(key, entry)| self.add(key, entry));
        self.dropped = self.dropped.saturating_add(other.dropped);
    }

    /// Enforces the cap.
    pub(super) fn trim(&mut self) {
        if self.entries.len() > self.cap {
            self.shrink(self.cap);
        }
    }

    /// Keeps the `keep` most useful entries.
    fn shrink(&mut self, keep: usize) {
        let mut all: Vec<_> = self.entries.iter().map(|(k, e)| (e.worth(), k.clone())).collect();
        let Some(most) = all.len().checked_sub(keep.saturating_add(1)) else { return };
        all.select_nth_unstable(most);
        all.truncate(most + 1);
        self.dropped = self.dropped.saturating_add(all.len() as u64);
        for (_, key) in all {
            self.entries.remove(&key);
        }
    }

    /// The entry of a key.
    pub(super) fn get(&self, key: &K) -> Option<&BaselineEntry> {
        self.entries.get(key)
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries evicted at the cap since creation.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// All entries, unordered.
    pub(super) fn entries(&self) -> impl Iterator<Item = &BaselineEntry> {
        self.entries.values()
    }

    /// All entries in key order.
    pub(super) fn sorted(&self) -> Vec<(&K, &BaselineEntry)> {
        let mut all: Vec<_> = self.entries.iter().collect();
        all.sort_unstable_by(|a, b| a.0.cmp(b.0));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_over_days_outlives_a_swarm() {
        let sample = |day| Sample { day, address: 1, ns: 1_000_000 };
        let mut table = Table::new(16);
        for day in 0..4 {
            (0..4u32).for_each(|key| table.learn(key, &sample(day)));
        }
        (100..1_100u32).for_each(|key| table.learn(key, &sample(4)));
        assert!(table.len() <= 16);
        assert_eq!(table.dropped(), 1_004 - table.len() as u64);
        for key in 0..4 {
            assert_eq!(table.get(&key).unwrap().support().days, 4);
        }
    }

    #[test]
    fn who_goes_does_not_depend_on_the_hash() {
        let run = || {
            let mut table = Table::new(32);
            for key in 0..500u32 {
                table.learn(key, &Sample { day: u64::from(key % 3), address: 1, ns: 5 });
            }
            table.sorted().into_iter().map(|(key, _)| *key).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
    }
}
