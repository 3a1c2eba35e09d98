//! A finished table as rows in output order.
//!
//! Owns: the order. In: a table that takes no more sessions. Out: rows, each built on request,
//! because a million rows at once would take more memory than the table.
//! Never: changes a value.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::endpoints::baseline::Baselines;
use crate::endpoints::baseline::Known;
use crate::endpoints::prefix_stats::PrefixFloors;
use crate::endpoints::table::Endpoints;
use crate::endpoints::table::Entry;
use crate::model::endpoint::EndpointRow;
use crate::model::event::EndpointSource;

/// Every endpoint of a span, sorted by address, side, fingerprint and service.
#[derive(Debug)]
pub struct EndpointRows {
    table: Endpoints,
    floors: PrefixFloors,
    order: Vec<u32>,
    /// The baselines of endpoints that have any.
    known: HashMap<u32, Known, RandomState>,
}

impl EndpointRows {
    pub(super) fn of(table: Endpoints, learned: Option<&Baselines>) -> EndpointRows {
        let floors = PrefixFloors::of(&table);
        let mut order: Vec<u32> = (0..table.len() as u32).collect();
        order.sort_unstable_by(|a, b| table.compare(*a, *b));
        let known = learned.map(|learned| known(&table, learned)).unwrap_or_default();
        EndpointRows { table, floors, order, known }
    }

    /// An empty set of rows.
    pub fn none() -> EndpointRows {
        EndpointRows::of(Endpoints::new(0), None)
    }

    /// The number of rows.
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// All rows in order, built anew at each call.
    pub fn iter(&self) -> impl Iterator<Item = EndpointRow> + '_ {
        self.entries().map(|(at, entry)| self.row(at, entry))
    }

    /// The rows that rules judge: remote endpoints that initiated answered sessions; each with its
    /// number for [`EndpointRows::get`].
    pub fn judged(&self) -> impl Iterator<Item = (u32, EndpointRow)> + '_ {
        let judged = self.entries().filter(|(_, entry)| self.table.is_judged(entry));
        judged.map(|(at, entry)| (at, self.row(at, entry)))
    }

    /// The row of a number.
    pub fn get(&self, number: u32) -> Option<EndpointRow> {
        self.table.entries.get(number as usize).map(|entry| self.row(number, entry))
    }

    fn entries(&self) -> impl Iterator<Item = (u32, &Entry)> {
        self.order.iter().filter_map(|at| Some((*at, self.table.entries.get(*at as usize)?)))
    }

    fn row(&self, at: u32, entry: &Entry) -> EndpointRow {
        let known = self.known.get(&at).copied().unwrap_or_default();
        self.table.row(entry, Some(&self.floors), known)
    }
}

impl EndpointSource for EndpointRows {
    fn count(&self) -> usize {
        self.len()
    }

    fn rows(&self) -> Box<dyn Iterator<Item = EndpointRow> + '_> {
        Box::new(self.iter())
    }
}

fn known(table: &Endpoints, learned: &Baselines) -> HashMap<u32, Known, RandomState> {
    let all = (0u32..).zip(&table.entries).map(|(at, entry)| (at, table.known(entry, learned)));
    all.filter(|(_, known)| *known != Known::default()).collect()
}
