//! A finished table as rows in the order of the output.
//!
//! Owns: the order, and the floors of prefixes. In: a table that takes no more sessions. Out: rows,
//! each made when it is asked for: a million of them at once would take more memory than the table.
//! Never: changes a sum.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::endpoints::table::Endpoints;
use crate::endpoints::table::Entry;
use crate::endpoints::table::Key;
use crate::model::endpoint::EndpointRow;

/// Every endpoint of a span, sorted by address, side, fingerprint and service.
#[derive(Debug)]
pub struct EndpointRows {
    table: Endpoints,
    floors: PrefixFloors,
    order: Vec<u32>,
}

impl EndpointRows {
    pub(super) fn of(table: Endpoints) -> EndpointRows {
        let floors = PrefixFloors::of(&table.entries, &table.hasher);
        let mut order: Vec<u32> = (0..table.len() as u32).collect();
        order.sort_unstable_by(|a, b| table.compare(*a, *b));
        EndpointRows { table, floors, order }
    }

    /// No endpoints at all.
    pub fn none() -> EndpointRows {
        EndpointRows::of(Endpoints::new(0))
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Each row in its place, made anew at each call.
    pub fn iter(&self) -> impl Iterator<Item = EndpointRow> + '_ {
        let entries = self.order.iter().filter_map(|at| self.table.entries.get(*at as usize));
        entries.map(|entry| self.table.row(entry, Some(&self.floors)))
    }

    /// Those rows that rules judge: of remote endpoints that opened sessions which were answered.
    pub fn judged(&self) -> impl Iterator<Item = EndpointRow> + '_ {
        let entries = self.order.iter().filter_map(|at| self.table.entries.get(*at as usize));
        let judged = entries.filter(|entry| self.table.is_judged(entry));
        judged.map(|entry| self.table.row(entry, Some(&self.floors)))
    }
}

/// The lowest floor of each prefix.
#[derive(Debug)]
pub(super) struct PrefixFloors(HashTable<(u64, u64)>);

impl PrefixFloors {
    pub(super) fn of(entries: &[Entry], hasher: &RandomState) -> PrefixFloors {
        let mut table: HashTable<(u64, u64)> = HashTable::new();
        for entry in entries.iter().filter(|entry| entry.handshakes > 0) {
            let prefix = entry.key.prefix();
            let hash = hasher.hash_one(prefix);
            match table.find_mut(hash, |(known, _)| *known == prefix) {
                Some((_, floor)) => *floor = entry.floor_ns.min(*floor),
                None => {
                    let rehash = |(prefix, _): &(u64, u64)| hasher.hash_one(*prefix);
                    table.insert_unique(hash, (prefix, entry.floor_ns), rehash);
                }
            }
        }
        PrefixFloors(table)
    }

    pub(super) fn get(&self, hasher: &RandomState, key: &Key) -> Option<u64> {
        let prefix = key.prefix();
        let found = self.0.find(hasher.hash_one(prefix), |(known, _)| *known == prefix);
        found.map(|(_, floor)| *floor)
    }
}
