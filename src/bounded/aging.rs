//! A map that evicts the entries that were not written for longest, half of them at a time.
//!
//! Owns: two generations of entries. In: keys and values. Out: the entry of a key. Policy at the
//! cap: when the young generation holds half the cap, the old one is dropped whole and the young
//! one becomes the old one. Never: allocates above its cap, depends on the iteration order of a
//! hash table.

use std::hash::Hash;

use crate::bounded::CowMap;

/// The map. A write moves an entry to the young generation; a read does not. Clones are cheap, as
/// those of [`CowMap`].
#[derive(Debug)]
pub struct Aging<K, V> {
    young: CowMap<K, V>,
    old: CowMap<K, V>,
    half: usize,
    weigh: fn(&V) -> usize,
    /// Bytes of generations dropped since the last call of [`Aging::take_replaced`].
    replaced: usize,
}

impl<K, V> Clone for Aging<K, V> {
    fn clone(&self) -> Aging<K, V> {
        Aging {
            young: self.young.clone(),
            old: self.old.clone(),
            half: self.half,
            weigh: self.weigh,
            replaced: 0,
        }
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Aging<K, V> {
    /// A map of at most `cap` entries, at least two. `weigh` gives the bytes of a value.
    pub fn new(cap: usize, weigh: fn(&V) -> usize) -> Aging<K, V> {
        let half = (cap / 2).max(1);
        let (young, old) = (CowMap::new(half, weigh), CowMap::new(half, weigh));
        Aging { young, old, half, weigh, replaced: 0 }
    }

    /// Bytes that were replaced since the last call while a clone may have had them.
    pub fn take_replaced(&mut self) -> usize {
        let parts = self.young.take_replaced() + self.old.take_replaced();
        std::mem::take(&mut self.replaced) + parts
    }

    /// Whether the map has no entries.
    pub const fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// The entry of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Changes the entry of a key, created if absent. Also gives how many other entries were
    /// evicted to make room.
    pub fn update<R: Default>(
        &mut self,
        key: K,
        make: impl FnOnce() -> V,
        change: impl FnOnce(&mut V) -> R,
    ) -> (R, usize) {
        if self.young.get(&key).is_some() {
            return (self.young.update(key, make, change), 0);
        }
        let mut dropped = 0;
        // The requested entry must survive the eviction that its own request causes.
        let mut kept = self.old.remove(&key);
        if self.young.len() >= self.half {
            let empty = CowMap::new(self.half, self.weigh);
            let full = std::mem::replace(&mut self.young, empty);
            let mut gone = std::mem::replace(&mut self.old, full);
            dropped = gone.len();
            self.replaced += gone.take_replaced() + gone.shared_bytes();
        }
        if let Some(value) = kept.take() {
            self.young.insert(key, value);
        }
        (self.young.update(key, make, change), dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_holds_and_entries_in_use_are_kept() {
        let mut map = Aging::new(8, |_| 4);
        let mut dropped = 0;
        for n in 0..100u32 {
            dropped += map.update(n, || n, |_| ()).1;
            dropped += map.update(7_000, || 7, |_| ()).1;
            assert!(map.young.len() + map.old.len() <= 8);
            assert_eq!(map.get(&n), Some(&n));
        }
        assert_eq!(map.get(&7_000), Some(&7));
        assert_eq!(map.get(&1), None);
        assert_eq!(dropped + map.young.len() + map.old.len(), 101, "each is there or counted");
    }

    #[test]
    fn an_entry_in_use_moves_to_the_young_half_with_its_value() {
        let mut map = Aging::new(4, |_| 4);
        for n in 0..3u32 {
            map.update(n, || 0, |value| *value += 1);
        }
        assert!(map.old.get(&0).is_some());
        map.update(0, || 50, |value| *value += 1);
        assert_eq!(map.get(&0), Some(&2));
        assert!(map.old.get(&0).is_none());
    }
}
