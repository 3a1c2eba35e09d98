//! Statistics per prefix: the lowest floor of its endpoints, and the data behind it.
//!
//! Owns: one entry for each /24 (IPv4) or /48 (IPv6) of a side. In: the endpoints of a span. Out: a
//! prefix's floor, and sessions and days of the other endpoints there. Never: counts an endpoint
//! among its own neighbours.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::endpoints::table::{Endpoints, Entry};

/// The lowest floor in an endpoint's prefix, and the sessions of the others there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbours {
    /// The lowest floor, the endpoint's own included, in ns.
    pub(super) floor_ns: u64,
    /// Sessions of the others with a transport round trip.
    pub(super) sessions: u64,
    /// Days (UTC) on which sessions of the others ended, modulo 64; only endpoints that rules
    /// judge.
    pub(super) days: u32,
}

#[derive(Clone, Copy, Debug)]
struct Sums {
    prefix: u64,
    floor_ns: u64,
    sessions: u64,
    /// Days on which at least one endpoint had sessions, and days on which at least two had.
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

    /// The statistics without one of the endpoints that were added.
    fn without(&self, entry: &Entry, days: u64) -> Neighbours {
        let others = (self.days & !days) | self.days_of_two;
        Neighbours {
            floor_ns: self.floor_ns,
            sessions: self.sessions.saturating_sub(entry.measured.into()),
            days: others.count_ones(),
        }
    }
}

/// The statistics of each prefix.
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

    /// The statistics of an endpoint's prefix without itself; `None` if no round trip was measured
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
