//! Tags of endpoints as bit sets.
//!
//! Owns: the names, each once, and the different sets: few endpoints have any, and most of those
//! have the same. In: tags of sessions. Out: a number for an entry to store, and names in order.
//! Never: more names than bits.

use std::sync::Arc;

/// Maximum different tags in a run, one bit each. Providers and lists have some dozens.
const TAGS_MAX: usize = 128;

/// The names and sets of a table.
#[derive(Debug, Default)]
pub(super) struct Tags {
    names: Vec<Arc<str>>,
    sets: Vec<u128>,
    dropped: u64,
}

impl Tags {
    /// The tags of one end of a session as bits.
    pub(super) fn bits(&mut self, tags: &[(bool, Arc<str>)], initiator: bool) -> u128 {
        let mut bits = 0;
        for (_, tag) in tags.iter().filter(|(of_initiator, _)| *of_initiator == initiator) {
            match self.names.iter().position(|known| known == tag) {
                Some(at) => bits |= 1 << at,
                None if self.names.len() < TAGS_MAX => {
                    bits |= 1 << self.names.len();
                    self.names.push(Arc::clone(tag));
                }
                None => self.dropped += 1,
            }
        }
        bits
    }

    /// The set `known` (index + 1, 0: empty) with `bits` added.
    pub(super) fn add(&mut self, known: u32, bits: u128) -> u32 {
        let old = self.set(known);
        let new = old | bits;
        if new == old {
            return known;
        }
        let at = self.sets.iter().position(|set| *set == new).unwrap_or_else(|| {
            self.sets.push(new);
            self.sets.len() - 1
        });
        at as u32 + 1
    }

    /// The names of a set, sorted.
    pub(super) fn names(&self, set: u32) -> Vec<Arc<str>> {
        let set = self.set(set);
        let named = (0..).zip(&self.names).filter(|(bit, _)| set >> bit & 1 == 1);
        let mut names: Vec<Arc<str>> = named.map(|(_, name)| Arc::clone(name)).collect();
        names.sort_unstable();
        names
    }

    /// Tags dropped for lack of bits since the last call, once per end of a session.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn set(&self, number: u32) -> u128 {
        self.sets.get((number as usize).wrapping_sub(1)).copied().unwrap_or(0)
    }
}
