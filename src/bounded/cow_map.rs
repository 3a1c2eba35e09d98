//! A hash map that is cheap to clone and whose clones share what they have in common.
//!
//! Owns: entries in small leaves, leaves in branches, each behind a counted handle. In: keys and
//! values. Out: values; clones, which other threads read without a lock. Never: changes an entry
//! that a clone can see: a write copies the leaf, the branch and the root above it where a clone
//! has them too (copy on write), and works in place where none does.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::quality::RandomState;

/// Leaves per branch.
const FANOUT: usize = 64;

/// Entries per leaf, on average, at the number that the map was made for.
const PER_LEAF: usize = 4;

type Leaf<K, V> = Vec<(K, Arc<V>)>;
type Branch<K, V> = Vec<Arc<Leaf<K, V>>>;

/// The map.
pub struct CowMap<K, V> {
    root: Arc<Vec<Arc<Branch<K, V>>>>,
    len: usize,
    hasher: RandomState,
}

impl<K, V> Clone for CowMap<K, V> {
    fn clone(&self) -> CowMap<K, V> {
        CowMap { root: Arc::clone(&self.root), len: self.len, hasher: self.hasher.clone() }
    }
}

impl<K, V> fmt::Debug for CowMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CowMap").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<K, V> CowMap<K, V> {
    /// An empty map whose leaves stay small up to so many entries. All leaves are one until they
    /// are written to.
    pub fn new(expected: usize) -> CowMap<K, V> {
        let branches = (expected / (FANOUT * PER_LEAF)).next_power_of_two();
        let leaf = Arc::new(Vec::new());
        let branch = Arc::new(vec![leaf; FANOUT]);
        CowMap { root: Arc::new(vec![branch; branches]), len: 0, hasher: RandomState::default() }
    }

    /// The number of entries.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries, in no order that may be relied on.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let leaves = self.root.iter().flat_map(|branch| branch.iter());
        leaves.flat_map(|leaf| leaf.iter().map(|(key, value)| (key, &**value)))
    }
}

impl<K: Copy + Eq + Hash, V: Clone> CowMap<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let (branch, leaf) = self.place(key);
        let leaf = self.root.get(branch)?.get(leaf)?;
        leaf.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// Changes the value of a key, made first where there is none.
    pub fn update<R: Default>(
        &mut self,
        key: K,
        make: impl FnOnce() -> V,
        change: impl FnOnce(&mut V) -> R,
    ) -> R {
        let mut added = false;
        let result = self.leaf_mut(&key).and_then(|leaf| {
            if !leaf.iter().any(|(known, _)| *known == key) {
                added = true;
                leaf.push((key, Arc::new(make())));
            }
            let found = leaf.iter_mut().find(|(known, _)| *known == key);
            found.map(|(_, value)| change(Arc::make_mut(value)))
        });
        self.len += usize::from(added);
        // Every key has a leaf.
        result.unwrap_or_default()
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &K) -> Option<Arc<V>> {
        self.get(key)?;
        let leaf = self.leaf_mut(key)?;
        let at = leaf.iter().position(|(known, _)| known == key)?;
        let (_, value) = leaf.swap_remove(at);
        self.len -= 1;
        Some(value)
    }

    /// Puts a value in that was taken out of another map, in place of the key's own.
    pub fn insert(&mut self, key: K, value: Arc<V>) {
        self.remove(&key);
        if let Some(leaf) = self.leaf_mut(&key) {
            leaf.push((key, value));
            self.len += 1;
        }
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) {
        let gone: Vec<K> =
            self.iter().filter(|(key, value)| !keep(key, value)).map(|(key, _)| *key).collect();
        gone.iter().for_each(|key| drop(self.remove(key)));
    }

    /// Branch and leaf of a key.
    fn place(&self, key: &K) -> (usize, usize) {
        let hash = self.hasher.hash_one(key) as usize;
        // Both are powers of two.
        ((hash / FANOUT) & (self.root.len() - 1), hash & (FANOUT - 1))
    }

    fn leaf_mut(&mut self, key: &K) -> Option<&mut Leaf<K, V>> {
        let (branch, leaf) = self.place(key);
        let branch = Arc::make_mut(&mut self.root).get_mut(branch)?;
        Some(Arc::make_mut(Arc::make_mut(branch).get_mut(leaf)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn add(map: &mut CowMap<u16, u32>, key: u16, n: u32) {
        map.update(key, || 0, |value| *value += n);
    }

    #[test]
    fn a_clone_does_not_see_later_changes() {
        let mut map = CowMap::new(16);
        (0..100).for_each(|n| add(&mut map, n, 1));
        let before = map.clone();
        add(&mut map, 7, 1);
        map.remove(&8);
        assert_eq!((map.get(&7), map.get(&8), map.len()), (Some(&2), None, 99));
        assert_eq!((before.get(&7), before.get(&8), before.len()), (Some(&1), Some(&1), 100));
    }

    /// However many read it, an entry is held once, and a write copies one path.
    #[test]
    fn clones_share_unchanged_parts() {
        let mut map = CowMap::new(4_096);
        (0..4_096).for_each(|n| add(&mut map, n, 1));
        let readers: Vec<_> = (0..16).map(|_| map.clone()).collect();
        add(&mut map, 9, 1);
        let is_shared = |key: &u16, reader: &CowMap<u16, u32>| {
            std::ptr::eq(map.get(key).unwrap(), reader.get(key).unwrap())
        };
        for reader in &readers {
            let apart = (0..4_096).filter(|key| !is_shared(key, reader));
            assert_eq!(apart.collect::<Vec<_>>(), [9]);
        }
    }

    proptest! {
        #[test]
        fn it_holds_what_a_hash_map_holds(
            steps in prop::collection::vec((any::<u8>(), 0u8..8), 0..400),
        ) {
            let (mut map, mut oracle) = (CowMap::new(64), HashMap::<u16, u32>::new());
            let mut clones = Vec::new();
            for (key, what) in steps {
                let key = u16::from(key);
                match what {
                    0 => assert_eq!(map.remove(&key).is_some(), oracle.remove(&key).is_some()),
                    1 => clones.push((map.clone(), oracle.clone())),
                    2 => {
                        map.retain(|key, n| (u32::from(*key) + n) % 5 != 0);
                        oracle.retain(|key, n| (u32::from(*key) + *n) % 5 != 0);
                    }
                    3 => {
                        map.insert(key, Arc::new(70));
                        oracle.insert(key, 70);
                    }
                    n => {
                        add(&mut map, key, n.into());
                        *oracle.entry(key).or_default() += u32::from(n);
                    }
                }
            }
            clones.push((map, oracle));
            for (map, oracle) in clones {
                prop_assert_eq!(map.len(), oracle.len());
                let all: HashMap<u16, u32> = map.iter().map(|(key, n)| (*key, *n)).collect();
                prop_assert_eq!(all, oracle);
            }
        }
    }
}
