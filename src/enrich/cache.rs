//! A worker's cache of address lookups, so that databases are read once per prefix.
//!
//! Owns: a fixed table of answers, decoded rows by offset. In: addresses. Out: shared places and
//! systems.
//! Never: grows past its constants (direct-mapped: a newer prefix replaces the slot's), shares with
//! other workers.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::enrich::geo::{GeoDb, Question};
use crate::model::Addr;
use crate::model::record::{AutonomousSystem, Place};

/// Prefixes cached per worker; 64 bytes each.
const SLOTS: usize = 4_096;

/// Decoded rows cached per worker and question; beyond that, rows are decoded each time (same
/// answer).
const ROWS_MAX: usize = 65_536;

/// The longest prefix cached for an answer: /24, or /48 for IPv6.
const V4_BLOCK: u8 = 96 + 24;
const V6_BLOCK: u8 = 48;

/// Owner and location of an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) place: Option<Arc<Place>>,
    pub(crate) asn: Option<Arc<AutonomousSystem>>,
}

struct Slot {
    bits: u128,
    len: u8,
    origin: Origin,
}

pub(crate) struct OriginCache {
    slots: Vec<Option<Slot>>,
    hasher: RandomState,
    places: HashMap<usize, Option<Arc<Place>>, RandomState>,
    systems: HashMap<usize, Option<Arc<AutonomousSystem>>, RandomState>,
    errors: u64,
}

impl OriginCache {
    pub(crate) fn new() -> OriginCache {
        OriginCache {
            slots: std::iter::repeat_with(|| None).take(SLOTS).collect(),
            hasher: RandomState::default(),
            places: HashMap::default(),
            systems: HashMap::default(),
            errors: 0,
        }
    }

    /// Lookups that failed because a database is corrupt.
    pub(crate) fn errors(&self) -> u64 {
        self.errors
    }

    pub(crate) fn get(&mut self, geo: &GeoDb, addr: Addr) -> Origin {
        let block = if addr.to_v4().is_some() { V4_BLOCK } else { V6_BLOCK };
        for len in [block, 128] {
            let (bits, index) = self.place_of(addr, len);
            if let Some(Some(slot)) = self.slots.get(index)
                && slot.bits == bits
                && slot.len == len
            {
                return slot.origin.clone();
            }
        }
        let (origin, answered) = self.ask(geo, addr);
        // The answer is valid for the whole block only if both databases say so.
        let len = if answered <= block { block } else { 128 };
        let (bits, index) = self.place_of(addr, len);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Slot { bits, len, origin: origin.clone() });
        }
        origin
    }

    fn place_of(&self, addr: Addr, len: u8) -> (u128, usize) {
        let bits = addr.to_bits() & (u128::MAX << (128 - u32::from(len)));
        let hash = self.hasher.hash_one((bits, len));
        (bits, hash as usize % SLOTS)
    }

    fn ask(&mut self, geo: &GeoDb, addr: Addr) -> (Origin, u8) {
        let mut origin = Origin::default();
        let mut answered = 0;
        match geo.find(Question::Place, addr) {
            Ok(found) => {
                answered = answered.max(found.prefix_len);
                origin.place = found.offset.and_then(|at| self.place(geo, addr, at));
            }
            Err(_) => self.errors += 1,
        }
        match geo.find(Question::Asn, addr) {
            Ok(found) => {
                answered = answered.max(found.prefix_len);
                origin.asn = found.offset.and_then(|at| self.system(geo, addr, at));
            }
            Err(_) => self.errors += 1,
        }
        (origin, answered)
    }

    fn place(&mut self, geo: &GeoDb, addr: Addr, offset: usize) -> Option<Arc<Place>> {
        if let Some(known) = self.places.get(&offset) {
            return known.clone();
        }
        let place = geo.place(addr, offset).unwrap_or_else(|_| {
            self.errors += 1;
            None
        });
        if self.places.len() < ROWS_MAX {
            self.places.insert(offset, place.clone());
        }
        place
    }

    fn system(&mut self, geo: &GeoDb, addr: Addr, at: usize) -> Option<Arc<AutonomousSystem>> {
        if let Some(known) = self.systems.get(&at) {
            return known.clone();
        }
        let system = geo.asn(addr, at).unwrap_or_else(|_| {
            self.errors += 1;
            None
        });
        if self.systems.len() < ROWS_MAX {
            self.systems.insert(at, system.clone());
        }
        system
    }
}
