//! What the endpoints of one prefix have in common: the lowest floor, and what that rests on.
//!
//! Owns: one sum for each /24 (IPv4) or /48 (IPv6) of a side. In: the endpoints of a span. Out: a
//! prefix's floor, and how many sessions of how many days others have there. Never: counts an
//! endpoint among its own neighbours.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::endpoints::table::Endpoints;
use crate::endpoints::table::Entry;

/// The lowest floor in an endpoint's prefix, and the sessions of the others there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbours {
    /// The lowest floor, the endpoint's own included, in ns.
    pub(super) floor_ns: u64,
    /// Sessions of the others with a transport round trip.
    pub(super) sessions: u64,
    /// Days (UTC) on which sessions of the others ended, modulo 64; of those that rules judge.
    pub(super) days: u32,
}

#[derive(Clone, Copy, Debug)]
struct Sums {
    prefix: u64,
    floor_ns: u64,
    sessions: u64,
    /// Days on which one endpoint or more had sessions, and two or more.
    days: u64,
    days_of_two: u64,
}

impl Sums {
    fn add(&mut self, entry: &Entry, days: u64) {
        self.floor_ns = self.floor_ns.min(entry.floor_ns);
        self.sessions = self.sessions.saturating_add(entry.measured.into());
        self.days_of_two |= self.days & days;
        self.days |= days;
    }

    /// Without one of the endpoints that were added.
    fn without(&self, entry: &Entry, days: u64) -> Neighbours {
        let others = (self.days & !days) | self.days_of_two;
        Neighbours {
            floor_ns: self.floor_ns,
            sessions: self.sessions.saturating_sub(entry.measured.into()),
            days: others.count_ones(),
        }
    }
}

/// The sums of each prefix.
#[derive(Debug)]
pub(super) struct PrefixFloors(HashTable<Sums>);

impl PrefixFloors {
    pub(super) fn of(endpoints: &Endpoints) -> PrefixFloors {
        let hasher: &RandomState = &endpoints.hasher;
        let mut table: HashTable<Sums> = HashTable::new();
        for entry in endpoints.entries.iter().filter(|entry| entry.measured > 0) {
            let prefix = entry.key.prefix();
            let rehash = |sums: &Sums| hasher.hash_one(sums.prefix);
            let hash = hasher.hash_one(prefix);
            let sums = table.entry(hash, |sums| sums.prefix == prefix, rehash);
            let new = Sums { prefix, floor_ns: u64::MAX, sessions: 0, days: 0, days_of_two: 0 };
            sums.or_insert(new).into_mut().add(entry, endpoints.days(entry));
        }
        PrefixFloors(table)
    }

    /// What there is in the prefix of an endpoint that was added; nothing where no leg was measured
    /// there.
    pub(super) fn around(&self, endpoints: &Endpoints, entry: &Entry) -> Option<Neighbours> {
        let prefix = entry.key.prefix();
        let hash = endpoints.hasher.hash_one(prefix);
        let sums = self.0.find(hash, |sums| sums.prefix == prefix)?;
        Some(match entry.measured {
            0 => sums.without(entry, 0),
            _ => sums.without(entry, endpoints.days(entry)),
        })
    }
}
