//! A slab of values addressed by small ids, allocated in chunks up to a cap.
//!
//! Owns: the values and the free list. In: values. Out: ids.
//! Never: moves a stored value, so growing copies nothing; exceeds its cap.

/// Values per chunk. 1,024 sessions of about 256 B make 256 KiB: small enough to follow the load of
/// each of 64 shards, large enough that the chunk table stays short.
const CHUNK: usize = 1_024;

/// A capped, chunked slab. Ids are dense, start at 0 and are reused, most recently freed first.
#[derive(Debug)]
pub struct Slab<T> {
    chunks: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    len: usize,
    cap: usize,
}

impl<T> Slab<T> {
    /// A slab of at most `cap` values; nothing is allocated yet.
    pub const fn new(cap: usize) -> Slab<T> {
        Slab { chunks: Vec::new(), free: Vec::new(), len: 0, cap }
    }

    /// How many there may be.
    pub const fn cap(&self) -> usize {
        self.cap
    }

    /// The number of values.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the slab is at its cap.
    pub const fn is_full(&self) -> bool {
        self.len >= self.cap
    }

    /// Stores a value. At the cap the value is returned as `Err`: the caller chooses what to evict.
    pub fn insert(&mut self, value: T) -> Result<u32, T> {
        if self.is_full() {
            return Err(value);
        }
        if let Some(id) = self.free.pop() {
            return match self.slot(id) {
                Some(slot) => {
                    *slot = Some(value);
                    self.len += 1;
                    Ok(id)
                }
                None => Err(value),
            };
        }
        self.append(value)
    }

    fn append(&mut self, value: T) -> Result<u32, T> {
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK) {
            let left = self.cap.saturating_sub(self.chunks.len() * CHUNK);
            self.chunks.push(Vec::with_capacity(CHUNK.min(left)));
        }
        let index = (self.chunks.len() - 1) * CHUNK;
        let Some(chunk) = self.chunks.last_mut() else { return Err(value) };
        let Ok(id) = u32::try_from(index + chunk.len()) else { return Err(value) };
        chunk.push(Some(value));
        self.len += 1;
        Ok(id)
    }

    fn slot(&mut self, id: u32) -> Option<&mut Option<T>> {
        let id = id as usize;
        self.chunks.get_mut(id / CHUNK)?.get_mut(id % CHUNK)
    }

    /// The value with this id.
    #[inline]
    pub fn get(&self, id: u32) -> Option<&T> {
        let id = id as usize;
        self.chunks.get(id / CHUNK)?.get(id % CHUNK)?.as_ref()
    }

    /// The value with this id.
    #[inline]
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.slot(id)?.as_mut()
    }

    /// The values with their ids, in id order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let slots = self.chunks.iter().flatten();
        (0..).zip(slots).filter_map(|(id, slot)| Some((id, slot.as_ref()?)))
    }

    /// Removes a value and frees its slot.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let value = self.slot(id)?.take()?;
        self.free.push(id);
        self.len -= 1;
        Some(value)
    }

    /// Drops a value where it is, without moving it, and frees its slot.
    pub fn discard(&mut self, id: u32) {
        if let Some(slot) = self.slot(id).filter(|slot| slot.is_some()) {
            *slot = None;
            self.free.push(id);
            self.len -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_reused_and_the_cap_holds() {
        let mut slab = Slab::new(2);
        let a = slab.insert("a").unwrap();
        let b = slab.insert("b").unwrap();
        assert_eq!(slab.insert("c"), Err("c"));
        assert_eq!(slab.remove(a), Some("a"));
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.insert("d"), Ok(a));
        assert_eq!((slab.get(a), slab.get(b), slab.len()), (Some(&"d"), Some(&"b"), 2));
        slab.discard(b);
        slab.discard(b);
        slab.discard(7);
        assert_eq!((slab.get(b), slab.len()), (None, 1));
        assert_eq!(slab.insert("e"), Ok(b));
    }

    #[test]
    fn grows_past_one_chunk() {
        let mut slab = Slab::new(3 * CHUNK);
        let ids: Vec<u32> = (0..2 * CHUNK + 1).map(|n| slab.insert(n).unwrap()).collect();
        assert!(ids.iter().enumerate().all(|(n, id)| slab.get(*id) == Some(&n)));
    }
}
