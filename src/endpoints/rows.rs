//! A finished table as rows in the order of the output.
//!
//! Owns: the order, and the floors of prefixes. In: a table that takes no more sessions. Out: rows,
//! each made when it is asked for: a million of them at once would take more memory than the table.
//! Never: changes a sum.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::HashTable;

use crate::endpoints::baseline::Baselines;
use crate::endpoints::baseline::Known;
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
    /// What was learned of the ways to those of which something was.
    known: HashMap<u32, Known, RandomState>,
}

impl EndpointRows {
    pub(super) fn of(table: Endpoints, learned: Option<&Baselines>) -> EndpointRows {
        let floors = PrefixFloors::of(&table.entries, &table.hasher);
        let mut order: Vec<u32> = (0..table.len() as u32).collect();
        order.sort_unstable_by(|a, b| table.compare(*a, *b));
        let known = learned.map(|learned| known(&table, learned)).unwrap_or_default();
        EndpointRows { table, floors, order, known }
    }

    /// No endpoints at all.
    pub fn none() -> EndpointRows {
        EndpointRows::of(Endpoints::new(0), None)
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
        self.entries().map(|(at, entry)| self.row(at, entry))
    }

    /// Those rows that rules judge: of remote endpoints that opened sessions which were answered.
    pub fn judged(&self) -> impl Iterator<Item = EndpointRow> + '_ {
        let judged = self.entries().filter(|(_, entry)| self.table.is_judged(entry));
        judged.map(|(at, entry)| self.row(at, entry))
    }

    fn entries(&self) -> impl Iterator<Item = (u32, &Entry)> {
        self.order.iter().filter_map(|at| Some((*at, self.table.entries.get(*at as usize)?)))
    }

    fn row(&self, at: u32, entry: &Entry) -> EndpointRow {
        let known = self.known.get(&at).copied().unwrap_or_default();
        self.table.row(entry, Some(&self.floors), known)
    }
}

fn known(table: &Endpoints, learned: &Baselines) -> HashMap<u32, Known, RandomState> {
    let all = (0u32..).zip(&table.entries).map(|(at, entry)| (at, table.known(entry, learned)));
    all.filter(|(_, known)| *known != Known::default()).collect()
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
