//! What threads show of their tables, queues and time, once a second, if anybody reads it.
//!
//! Owns: the list of tables. In: the threads' own state. Out: numbers that are added. Never:
//! touched per packet.

use std::time::Instant;

use crate::config::Plan;
use crate::config::memory::{Bounds, Shares};
use crate::dispatch::lanes::DEPTH;
use crate::metrics::Spread;
use crate::pipeline::findings::Found;
use crate::session::{Shard, Weighed};

/// A table whose size is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Table {
    Sessions,
    Facts,
    Reassembly,
    Endpoints,
    OpenSessions,
    Exchanges,
    People,
    Alerts,
    Repeats,
    Subjects,
    Groups,
}

/// All tables with their names, and whether they are counted in bytes.
pub(super) const TABLES: [(Table, &str, bool); 11] = [
    (Table::Sessions, "sessions", false),
    (Table::Facts, "facts", true),
    (Table::Reassembly, "reassembly", true),
    (Table::Endpoints, "endpoints", false),
    (Table::OpenSessions, "open_sessions", true),
    (Table::Exchanges, "exchanges", true),
    (Table::People, "people", true),
    (Table::Alerts, "alerts", false),
    (Table::Repeats, "repeats", true),
    (Table::Subjects, "subjects", true),
    (Table::Groups, "groups", true),
];

/// What a thread shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauges {
    /// What is in each table.
    pub(super) tables: [u64; TABLES.len()],
    /// Sessions that may be open at once.
    pub(super) sessions_cap: usize,
    /// Batches queued for each worker, or by each worker; and the limit.
    pub(super) lanes: Vec<usize>,
    /// Events queued for outputs.
    pub(super) events: usize,
    /// How long batches, blocks or seconds took.
    pub(super) spent: Spread,
}

/// Batches that can be queued for a worker.
pub(super) const LANE_BATCHES: usize = DEPTH;

impl Gauges {
    fn set(&mut self, table: Table, used: usize) {
        if let Some(place) = self.tables.get_mut(table as usize) {
            *place = used as u64;
        }
    }
}

/// Nanoseconds since something began.
pub(super) fn nanoseconds(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What a worker shows.
pub(super) fn of_worker<X: Weighed>(shards: &[Shard<X>], spent: &Spread) -> Gauges {
    let mut gauges = Gauges { spent: spent.clone(), ..Gauges::default() };
    let (mut facts, mut waiting) = (0, 0);
    for shard in shards {
        let (kept, waits) = shard.held();
        (facts, waiting) = (facts + kept, waiting + waits);
    }
    gauges.set(Table::Sessions, shards.iter().map(Shard::len).sum());
    gauges.sessions_cap = shards.iter().map(Shard::cap).sum();
    gauges.set(Table::Facts, facts);
    gauges.set(Table::Reassembly, waiting);
    gauges
}

/// What the reader shows.
pub(super) fn of_reader(lanes: impl Iterator<Item = usize>, spent: &Spread) -> Gauges {
    Gauges { lanes: lanes.collect(), spent: spent.clone(), ..Gauges::default() }
}

/// What the correlator shows.
pub(super) fn of_correlator(
    found: &Found,
    (lanes, events): (Vec<usize>, usize),
    spent: &Spread,
) -> Gauges {
    let mut gauges = Gauges { lanes, events, spent: spent.clone(), ..Gauges::default() };
    let (open, exchanges, people) = found.endpoints.held();
    let (repeats, subjects, groups) = found.ledger.held();
    gauges.set(Table::Endpoints, found.endpoints.len());
    gauges.set(Table::OpenSessions, open);
    gauges.set(Table::Exchanges, exchanges);
    gauges.set(Table::People, people);
    gauges.set(Table::Alerts, found.alerts.len());
    gauges.set(Table::Repeats, repeats);
    gauges.set(Table::Subjects, subjects);
    gauges.set(Table::Groups, groups);
    gauges
}

/// The limit of a table, where the plan alone decides it.
pub(super) fn limit(table: Table, plan: &Plan) -> Option<u64> {
    let (bounds, shares) = (Bounds::of(plan), Shares::of(plan.memory));
    let shards = usize::from(crate::decode::SHARDS);
    let limit = match table {
        Table::Sessions => return None,
        Table::Facts => shares.evidence.saturating_mul(shards),
        Table::Reassembly => shares.waiting.saturating_mul(shards),
        Table::Endpoints => bounds.endpoints,
        Table::OpenSessions => bounds.open_bytes,
        Table::Exchanges => bounds.hosts_bytes,
        Table::People => bounds.people_bytes,
        Table::Alerts => bounds.alerts,
        Table::Repeats => bounds.entries_bytes,
        Table::Subjects => bounds.subjects_bytes,
        Table::Groups => bounds.groups_bytes,
    };
    Some(limit as u64)
}
