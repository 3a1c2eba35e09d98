//! A map that evicts the entries that were not written for longest, half of them at a time.
//!
//! Owns: two generations of entries. In: keys and values. Out: the entry of a key. Policy at the
//! cap: when the young generation holds half the cap, the old one is dropped whole and the young
//! one becomes the old one. Never: allocates above its cap, depends on the iteration order of a
//! hash table.

use std::hash::Hash;

use foldhash::quality::RandomState;
use hashbrown::HashMap;

/// The map. A write moves an entry to the young generation; a read does not.
#[derive(Debug)]
pub struct Aging<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
    half: usize,
}

impl<K: Eq + Hash, V> Aging<K, V> {
    /// A map of at most `cap` entries, at least two.
    pub fn new(cap: usize) -> Aging<K, V> {
        let (young, old) = (HashMap::default(), HashMap::default());
        Aging { young, old, half: (cap / 2).max(1) }
    }

    /// Whether the map has no entries.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// The entry of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The entry of a key for writing, created if absent, and how many other entries were evicted
    /// to make room.
    pub fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> (&mut V, usize) {
        let mut dropped = 0;
        let known = self.young.contains_key(&key);
        if !known && self.young.len() >= self.half {
            let full = std::mem::take(&mut self.young);
            let mut gone = std::mem::replace(&mut self.old, full);
            // The requested entry must survive the eviction that its own request causes.
            let kept = gone.remove(&key);
            dropped = gone.len();
            let value = kept.or_else(|| self.old.remove(&key)).unwrap_or_else(make);
            return (self.young.entry(key).or_insert(value), dropped);
        }
        let old = if known { None } else { self.old.remove(&key) };
        (self.young.entry(key).or_insert_with(|| old.unwrap_or_else(make)), dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_cap_and_keeps_what_is_written_to() {
        let mut map = Aging::new(8);
        let mut dropped = 0;
        for n in 0..100u32 {
            dropped += map.entry(n, || n).1;
            dropped += map.entry(7_000, || 7).1;
            assert!(map.young.len() + map.old.len() <= 8);
            assert_eq!(map.get(&n), Some(&n));
        }
        assert_eq!(map.get(&7_000), Some(&7));
        assert_eq!(map.get(&1), None);
        assert_eq!(dropped + map.young.len() + map.old.len(), 101, "each is there or counted");
    }

    #[test]
    fn an_old_entry_is_young_again_with_its_value() {
        let mut map = Aging::new(4);
        for n in 0..3u32 {
            *map.entry(n, || 0).0 += 1;
        }
        assert!(map.old.contains_key(&0));
        *map.entry(0, || 50).0 += 1;
        assert_eq!(map.get(&0), Some(&2));
        assert!(!map.old.contains_key(&0));
    }
}
