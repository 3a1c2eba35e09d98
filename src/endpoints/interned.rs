//! Interned fingerprints.
//!
//! Owns: their texts. In: fingerprints of session ends. Out: small numbers for them.
//! Never: a text twice, or a new one beyond the cap.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::model::endpoint::Fingerprint;

/// Fingerprints, each stored once.
#[derive(Debug)]
pub(super) struct Interned<T> {
    index: HashTable<u32>,
    /// In order of first use.
    pub(super) values: Vec<T>,
}

impl<T> Default for Interned<T> {
    fn default() -> Interned<T> {
        Interned { index: HashTable::new(), values: Vec::new() }
    }
}

impl Interned<Fingerprint> {
    /// Index + 1 of a fingerprint, 0 for none.
    pub(super) fn intern(&mut self, hasher: &RandomState, print: Option<(bool, &str)>) -> u32 {
        let Some((ssh, text)) = print else { return 0 };
        let parts = |known: &Fingerprint| match known {
            Fingerprint::Ja4(text) => (false, Arc::clone(text)),
            Fingerprint::Ssh(text) => (true, Arc::clone(text)),
        };
        let hash = hasher.hash_one((ssh, text));
        let values = &mut self.values;
        let is_it = |at: &u32| {
            values.get(*at as usize).is_some_and(|known| match known {
                Fingerprint::Ja4(known) => !ssh && **known == *text,
                Fingerprint::Ssh(known) => ssh && **known == *text,
            })
        };
        if let Some(at) = self.index.find(hash, is_it) {
            return *at + 1;
        }
        let at = values.len() as u32;
        values.push(match ssh {
            true => Fingerprint::Ssh(text.into()),
            false => Fingerprint::Ja4(text.into()),
        });
        let rehash = |at: &u32| {
            values.get(*at as usize).map_or(0, |known| {
                let (ssh, text) = parts(known);
                hasher.hash_one((ssh, &*text))
            })
        };
        self.index.insert_unique(hash, at, rehash);
        at + 1
    }
}
