//! Sums of what was captured and lost, and its rates.
//!
//! Owns: which counters are shown. In: lines of health, run.json. Out: sums. Never: a set of files
//! counted twice: its run.json replaces what its lines of health said so far.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::explain::Flat;
use crate::model::{Counter, Nanos};

/// Most rates that are kept: ten minutes of a live run.
const RATES_MAX: usize = 600;
/// Most places of losses.
const LOSSES_MAX: usize = 200;
/// Most sets that have not ended.
const OPEN_MAX: usize = 1_000;

/// Sums.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) sessions: u64,
    pub(super) alerts: u64,
    /// By place.
    pub(super) losses: BTreeMap<String, u64>,
}

/// What came in a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) until: Nanos,
    /// Per second.
    pub(super) packets: f64,
    /// Likewise.
    pub(super) bits: f64,
    /// Likewise.
    pub(super) sessions: f64,
}

/// The sums of a run and its latest rates.
#[derive(Debug, Default)]
pub(super) struct Counts {
    ended: Totals,
    open: HashMap<usize, Totals>,
    pub(super) rates: VecDeque<Rate>,
}

impl Totals {
    /// Of an object of counters and one of losses, by the beginning of their names.
    fn of(line: &Flat, counters: &str, losses: &str) -> Totals {
        let count = |of: Counter| line.count(&format!("{counters}.{}.{}", of.group(), of.name()));
        let mut all = Totals {
            packets: count(Counter::Frames),
            bytes: count(Counter::FrameBytes),
            sessions: count(Counter::Sessions),
            alerts: count(Counter::Alerts),
            losses: BTreeMap::new(),
        };
        for (name, value) in line.fields() {
            let place = name.strip_prefix(losses).and_then(|rest| rest.strip_prefix('.'));
            if let Some((place, lost)) = place.zip(value.as_u64()).filter(|(_, lost)| *lost > 0) {
                all.lose(place, lost);
            }
        }
        all
    }

    fn lose(&mut self, place: &str, lost: u64) {
        if self.losses.len() < LOSSES_MAX || self.losses.contains_key(place) {
            let sum = self.losses.entry(place.chars().take(64).collect()).or_default();
            *sum = sum.saturating_add(lost);
        }
    }

    fn add(&mut self, other: &Totals) {
        for (sum, more) in [
            (&mut self.packets, other.packets),
            (&mut self.bytes, other.bytes),
            (&mut self.sessions, other.sessions),
            (&mut self.alerts, other.alerts),
        ] {
            *sum = sum.saturating_add(more);
        }
        other.losses.iter().for_each(|(place, lost)| self.lose(place, *lost));
    }
}

impl Counts {
    /// A line of health of a set.
    pub(super) fn health(&mut self, set: usize, line: &Flat) {
        let more = Totals::of(line, "longhaul.health.counters", "longhaul.health.loss");
        let at = |name: &str| line.text(name).and_then(Nanos::parse);
        if let Some((since, until)) = at("event.start").zip(at("event.end")) {
            let seconds = until.since(since).0 as f64 / 1e9;
            if seconds > 0.0 {
                let per = |n: u64| n as f64 / seconds;
                let (packets, sessions) = (per(more.packets), per(more.sessions));
                let bits = per(more.bytes) * 8.0;
                self.rates.push_back(Rate { until, packets, bits, sessions });
                let beyond = self.rates.len().saturating_sub(RATES_MAX);
                self.rates.drain(..beyond);
            }
        }
        if self.open.len() < OPEN_MAX || self.open.contains_key(&set) {
            self.open.entry(set).or_default().add(&more);
        }
    }

    /// A set has ended, and its run.json says what it counted.
    pub(super) fn ended(&mut self, set: usize, run: &Flat) {
        self.open.remove(&set);
        self.ended.add(&Totals::of(run, "counters", "loss"));
    }

    /// Everything so far.
    pub(super) fn totals(&self) -> Totals {
        let mut all = self.ended.clone();
        self.open.values().for_each(|more| all.add(more));
        all
    }
}
