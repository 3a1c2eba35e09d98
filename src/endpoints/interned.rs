//! Interned fingerprints.
//!
//! Owns: their texts. In: fingerprints of session ends. Out: small numbers for them.
//! Never: a text twice, or a new one beyond the cap.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use crate::model::endpoint::Fingerprint;

/// Fingerprints, each stored once.
#[derive(Debug, Default)]
pub(super) struct Interned {
    index: HashTable<u32>,
    /// In order of first use.
    pub(super) values: Vec<Fingerprint>,
    /// What tells the program of each, if its own text does not.
    programs: Vec<Option<Box<str>>>,
    /// The numbers of those, by program.
    variants: HashMap<Box<str>, Vec<u32>, RandomState>,
}

/// Fingerprints of one program beside its own text: with a resumption, padding or both.
const VARIANTS_MAX: usize = 8;

impl Interned {
    /// Index + 1 of a fingerprint that is known, 0 for none.
    pub(super) fn find(&self, hasher: &RandomState, print: Option<(bool, &str)>) -> Option<u32> {
        let Some((ssh, text)) = print else { return Some(0) };
        let is_it = |at: &u32| {
            self.values.get(*at as usize).is_some_and(|known| known.as_text() == (ssh, text))
        };
        self.index.find(hasher.hash_one((ssh, text)), is_it).map(|at| *at + 1)
    }

    /// Index + 1 of a fingerprint, 0 for none; `program` as in [`Interned::other_program`].
    pub(super) fn intern(
        &mut self,
        hasher: &RandomState,
        print: Option<(bool, &str)>,
        program: Option<&str>,
    ) -> u32 {
        let Some((ssh, text)) = print else { return 0 };
        if let Some(known) = self.find(hasher, print) {
            return known;
        }
        let values = &mut self.values;
        let at = values.len() as u32;
        values.push(match ssh {
            true => Fingerprint::Ssh(text.into()),
            false => Fingerprint::Ja4(text.into()),
        });
        self.programs.push(program.map(Box::from));
        if let Some(program) = program {
            let variants = self.variants.entry(program.into()).or_default();
            if variants.len() < VARIANTS_MAX {
                variants.push(at + 1);
            }
        }
        let rehash =
            |at: &u32| values.get(*at as usize).map_or(0, |known| hasher.hash_one(known.as_text()));
        self.index.insert_unique(hasher.hash_one((ssh, text)), at, rehash);
        at + 1
    }

    /// The fingerprint of a number.
    pub(super) fn get(&self, number: u32) -> Option<&Fingerprint> {
        self.values.get((number as usize).wrapping_sub(1))
    }

    /// What tells the program with the fingerprint of a number, and whether it is from SSH: the
    /// same for a ClientHello that resumes a session and one that does not.
    pub(super) fn program(&self, number: u32) -> Option<(bool, &str)> {
        let (ssh, text) = self.get(number)?.as_text();
        Some((ssh, self.other_program(number).unwrap_or(text)))
    }

    /// The numbers of the TLS fingerprints of a program.
    pub(super) fn of_program(&self, hasher: &RandomState, program: &str) -> Vec<u32> {
        let own = self.find(hasher, Some((false, program)));
        let variants = self.variants.get(program).map_or(&[][..], Vec::as_slice);
        own.into_iter().chain(variants.iter().copied()).collect()
    }

    /// What tells the program, if the fingerprint's own text does not.
    pub(super) fn other_program(&self, number: u32) -> Option<&str> {
        self.programs.get((number as usize).wrapping_sub(1))?.as_deref()
    }
}
