//! A hash map that is cheap to clone and whose clones share what they have in common.
//!
//! Owns: entries in small leaves, leaves in branches, each behind a counted handle. In: keys and
//! values. Out: values; clones, which other threads read without a lock. Never: changes an entry
//! that a clone can see: a write copies the leaf, the branch and the root above it where a clone
//! has them too (copy on write), and works in place where none does. It counts the bytes that the
//! clones alone hold afterwards: that is what they cost.

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
    /// The bytes of a value.
    weigh: fn(&V) -> usize,
    /// Bytes replaced since the last call of [`CowMap::take_replaced`], while a clone had them.
    replaced: usize,
}

/// Bytes in front of what a counted handle refers to: two counts.
const COUNTS: usize = 2 * size_of::<usize>();

/// Bytes of a counted vector.
const fn vec_bytes<T>(vec: &Vec<T>) -> usize {
    COUNTS + size_of::<Vec<T>>() + vec.capacity() * size_of::<T>()
}

/// What [`Arc::make_mut`] does, adding the bytes of a copy that it makes to `replaced`.
fn unshare<'a, T: Clone>(
    shared: &'a mut Arc<T>,
    bytes: impl FnOnce(&T) -> usize,
    replaced: &mut usize,
) -> &'a mut T {
    // Only a thread that drops its clone may change the count meanwhile: then one copy too many is
    // counted.
    if Arc::strong_count(shared) > 1 {
        *replaced += bytes(shared);
    }
    Arc::make_mut(shared)
}

impl<K, V> Clone for CowMap<K, V> {
    fn clone(&self) -> CowMap<K, V> {
        CowMap {
            root: Arc::clone(&self.root),
            len: self.len,
            hasher: self.hasher.clone(),
            weigh: self.weigh,
            replaced: 0,
        }
    }
}

impl<K, V> fmt::Debug for CowMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CowMap").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<K, V> CowMap<K, V> {
    /// An empty map whose leaves stay small up to so many entries. All leaves are one until they
    /// are written to. `weigh` gives the bytes of a value.
    pub fn new(expected: usize, weigh: fn(&V) -> usize) -> CowMap<K, V> {
        let branches = (expected / (FANOUT * PER_LEAF)).next_power_of_two();
        let leaf = Arc::new(Vec::new());
        let branch = Arc::new(vec![leaf; FANOUT]);
        let (root, hasher) = (Arc::new(vec![branch; branches]), RandomState::default());
        CowMap { root, len: 0, hasher, weigh, replaced: 0 }
    }

    /// The number of entries.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the parts and values that a clone has too, at most: parts that are still as they
    /// were made are one, and count as if each were its own.
    pub fn shared_bytes(&self) -> usize {
        let mut bytes = 0;
        let mut add = |part: usize, shared: bool| bytes += if shared { part } else { 0 };
        let all = Arc::strong_count(&self.root) > 1;
        add(vec_bytes(&self.root), all);
        for branch in self.root.iter() {
            let all = all || Arc::strong_count(branch) > 1;
            add(vec_bytes(branch), all);
            for leaf in branch.iter() {
                let all = all || Arc::strong_count(leaf) > 1;
                add(vec_bytes(leaf), all);
                for (_, value) in leaf.iter() {
                    let value_bytes = COUNTS + (self.weigh)(value);
                    add(value_bytes, all || Arc::strong_count(value) > 1);
                }
            }
        }
        bytes
    }

    /// Bytes that were replaced or taken out since the last call while a clone had them: at most so
    /// much is held by clones only. What one writer does between two clones is counted once for
    /// each part that the earlier one has, so it is at most twice what that one holds.
    pub fn take_replaced(&mut self) -> usize {
        std::mem::take(&mut self.replaced)
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
        let (weigh, mut replaced) = (self.weigh, 0);
        let result = self.leaf_mut(&key).and_then(|leaf| {
            if !leaf.iter().any(|(known, _)| *known == key) {
                added = true;
                leaf.push((key, Arc::new(make())));
            }
            let found = leaf.iter_mut().find(|(known, _)| *known == key);
            let bytes = |value: &V| COUNTS + weigh(value);
            found.map(|(_, value)| change(unshare(value, bytes, &mut replaced)))
        });
        self.replaced += replaced;
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
        if Arc::strong_count(&value) > 1 {
            self.replaced += COUNTS + (self.weigh)(&value);
        }
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
        let replaced = &mut self.replaced;
        let branch = unshare(&mut self.root, vec_bytes, replaced).get_mut(branch)?;
        let leaf = unshare(branch, vec_bytes, replaced).get_mut(leaf)?;
        Some(unshare(leaf, vec_bytes, replaced))
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
        let mut map = CowMap::new(16, |_| 4);
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
        let mut map = CowMap::new(4_096, |_| 4);
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

    /// What is replaced while a clone has it is counted, once; what no clone has is not.
    #[test]
    fn bytes_that_clones_alone_hold_are_counted() {
        let mut map = CowMap::new(4_096, |_| 1_000);
        (0..4_096).for_each(|n| add(&mut map, n, 1));
        map.take_replaced();
        (0..4_096).for_each(|n| add(&mut map, n, 1));
        assert_eq!(map.take_replaced(), 0, "no clone has it");
        let before = map.clone();
        add(&mut map, 9, 1);
        let one = map.take_replaced();
        assert!((1_000..8_000).contains(&one), "{one}");
        add(&mut map, 9, 1);
        assert_eq!(map.take_replaced(), 0, "its own by now");
        map.remove(&10);
        assert!(map.take_replaced() >= 1_000);
        (0..4_096).for_each(|n| add(&mut map, n, 1));
        let all = one + map.take_replaced();
        let held = before.clone().shared_bytes();
        assert!(all <= held + held / 10 && all >= held - held / 10, "{all} of {held}");
    }

    proptest! {
        #[test]
        fn it_holds_what_a_hash_map_holds(
            steps in prop::collection::vec((any::<u8>(), 0u8..8), 0..400),
        ) {
            let (mut map, mut oracle) = (CowMap::new(64, |_| 4), HashMap::<u16, u32>::new());
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
