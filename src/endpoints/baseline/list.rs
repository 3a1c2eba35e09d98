//! Baselines as rows for people.
//!
//! Owns: the order of the rows. In: the tables. Out: one row per entry. Never: a row without an
//! entry.

use std::fmt::Display;
use std::hash::Hash;

use crate::endpoints::baseline::table::Table;
use crate::endpoints::baseline::{Baselines, floor, is_enough};
use crate::model::endpoint_facts::BaselineOf;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaselineRow {
    /// The kind of key.
    pub of: BaselineOf,
    /// The key: `192.0.2.0/24`, `AS64500 US-WA`, `192.0.2.0/24 443/tcp`, an id.
    pub whose: String,
    /// Sessions of the last 64 to 128 days.
    pub sessions: u64,
    /// Days of these with a session.
    pub days: u32,
    /// Different addresses, at most 64.
    pub addresses: u32,
    /// The lowest round trip, in ns.
    pub lowest_ns: u64,
    /// Median, in ns.
    pub p50_ns: u64,
    /// The value to compare floors with, in ns; `None` if there is too little data.
    pub floor_ns: Option<u64>,
}

impl Baselines {
    /// Every entry: by kind, then in key order.
    pub fn rows(&self) -> Vec<BaselineRow> {
        let mut rows = Vec::new();
        put(&mut rows, &self.prefixes, BaselineOf::Prefix);
        put(&mut rows, &self.networks, BaselineOf::Network);
        put(&mut rows, &self.destinations, BaselineOf::Destination);
        put(&mut rows, &self.subjects, BaselineOf::Subject);
        rows
    }
}

fn put<K>(rows: &mut Vec<BaselineRow>, table: &Table<K>, of: BaselineOf)
where
    K: Clone + Display + Eq + Hash + Ord,
{
    rows.extend(table.sorted().into_iter().map(|(key, entry)| {
        let support = entry.support();
        BaselineRow {
            of,
            whose: key.to_string(),
            sessions: support.sessions,
            days: support.days,
            addresses: support.addresses,
            lowest_ns: entry.lowest_ns(),
            p50_ns: entry.counts().percentile(50).unwrap_or(0),
            floor_ns: is_enough(&support, of).then(|| floor(entry)).flatten(),
        }
    }));
}
