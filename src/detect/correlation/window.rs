//! What a correlation has seen of one group.
//!
//! Owns: the events of a group by time, and what those of the trailing window add up to. In:
//! events, late ones as well. Out: the first window that an event makes the condition hold for.
//! Policy at the cap: what no condition needs goes first (older events of a count, values that
//! occur again later, repetitions of a rule between others), then the oldest.
//! Never: more than its cap of events; a scan of the window for an event in order.
//!
//! A window ends with an event and begins one span before it, both included. A late event changes
//! the windows of later ones, so they are judged again: what is found does not depend on the order
//! in which sessions end, as long as they are no later than [`LATE`].

use std::collections::{BTreeSet, VecDeque};

use crate::detect::correlation::shape::{Entry, Kind, Shape};
use crate::detect::correlation::sums::Sums;

/// Sessions end at most so much later than their last packet, in nanoseconds: the longest timeout.
pub(in crate::detect) const LATE: u64 = 3_600_000_000_000;

/// Most sessions that a hit names.
const SESSIONS_MAX: usize = 8;

/// A window for which the condition holds.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::detect) struct Hit {
    /// Its last event's time.
    pub(in crate::detect) time: u64,
    /// Its first event's time.
    pub(in crate::detect) since: u64,
    pub(in crate::detect) value: f64,
    /// Its events.
    pub(in crate::detect) samples: usize,
    /// Sessions of its newest events.
    pub(in crate::detect) sessions: Vec<[u8; 16]>,
}

/// The events of a group.
#[derive(Debug, Default)]
pub(in crate::detect) struct Window {
    entries: VecDeque<Entry>,
    /// The first event of the trailing window.
    head: usize,
    /// What the events from `head` on add up to.
    sums: Sums,
}

impl Window {
    /// Events that were stored; those of one time in the order in which they came.
    pub(in crate::detect) fn of(mut entries: Vec<Entry>) -> Window {
        entries.sort_by_key(|entry| entry.time);
        Window { entries: entries.into(), head: 0, sums: Sums::Unknown }
    }

    /// Adds an event. Returns the first window that it changes and the condition holds for, and how
    /// many events that mattered were dropped.
    pub(in crate::detect) fn add(
        &mut self,
        shape: &Shape,
        entry: Entry,
        holds: &impl Fn(f64) -> bool,
    ) -> (Option<Hit>, u64) {
        let late = self.entries.back().is_some_and(|newest| entry.time < newest.time);
        if self.entries.capacity() == 0 {
            // Most groups see one event.
            self.entries.reserve_exact(1);
        }
        let hit = if late || matches!(self.sums, Sums::Unknown) {
            let at = self.entries.partition_point(|have| have.time <= entry.time);
            self.entries.insert(at, entry);
            self.replay(shape, at, holds)
        } else {
            self.entries.push_back(entry);
            let at = self.entries.len() - 1;
            self.advance(shape, at);
            self.hit(shape, at, holds)
        };
        self.prune(shape);
        (hit, self.bound(shape))
    }

    /// Builds the sums anew and judges the windows that end with event `from` or, as far as it is
    /// within them, a later one.
    #[cold]
    fn replay(&mut self, shape: &Shape, from: usize, holds: &impl Fn(f64) -> bool) -> Option<Hit> {
        (self.head, self.sums) = (0, Sums::new(shape));
        let reach = self.entries.get(from).map_or(0, |entry| entry.time.saturating_add(shape.span));
        let mut hit = None;
        for at in 0..self.entries.len() {
            self.advance(shape, at);
            let within = self.entries.get(at).is_some_and(|entry| entry.time <= reach);
            if at >= from && within && hit.is_none() {
                hit = self.hit(shape, at, holds);
            }
        }
        hit
    }

    /// Moves the window to end with event `at`, the next after those in the sums.
    fn advance(&mut self, shape: &Shape, at: usize) {
        let Some(newest) = self.entries.get(at).copied() else { return };
        let begin = newest.time.saturating_sub(shape.span);
        while let Some(old) = self.entries.get(self.head).filter(|old| old.time < begin) {
            self.sums.take(old.value);
            self.head += 1;
        }
        self.sums.add(&newest);
        if self.sums.is_worn(at + 1 - self.head) {
            let window = self.entries.range(self.head..=at);
            self.sums.renew(window.map(|entry| entry.value));
        }
    }

    fn hit(&self, shape: &Shape, at: usize, holds: &impl Fn(f64) -> bool) -> Option<Hit> {
        let newest = self.entries.get(at)?;
        let samples = at + 1 - self.head;
        let begin = newest.time.saturating_sub(shape.span);
        let value = self.sums.value(shape, samples, begin).filter(|value| holds(*value))?;
        let mut sessions: Vec<[u8; 16]> = Vec::new();
        for entry in self.entries.range(self.head..=at).rev().take(4 * SESSIONS_MAX) {
            if sessions.len() < SESSIONS_MAX && !sessions.contains(&entry.session) {
                sessions.push(entry.session);
            }
        }
        let since = self.entries.get(self.head).map_or(newest.time, |first| first.time);
        Some(Hit { time: newest.time, since, value, samples, sessions })
    }

    /// Forgets what not even a late event could join.
    fn prune(&mut self, shape: &Shape) {
        let Some(newest) = self.entries.back().map(|entry| entry.time) else { return };
        let keep = newest.saturating_sub(shape.span).saturating_sub(LATE);
        while self.head > 0 && self.entries.front().is_some_and(|old| old.time < keep) {
            self.entries.pop_front();
            self.head -= 1;
        }
    }

    /// Keeps the cap; returns how many events that mattered were dropped.
    fn bound(&mut self, shape: &Shape) -> u64 {
        if self.entries.len() <= shape.cap {
            return 0;
        }
        let room = shape.cap - shape.cap / 8;
        match shape.kind {
            Kind::EventCount => {
                // As many as the condition asks for are left.
                self.drop_oldest(room);
                0
            }
            Kind::Temporal | Kind::TemporalOrdered => {
                self.drop_repetitions();
                let dropped = self.drop_oldest(room);
                let begin =
                    self.entries.back().map_or(0, |entry| entry.time.saturating_sub(shape.span));
                self.head = self.entries.partition_point(|entry| entry.time < begin);
                dropped
            }
            Kind::ValueCount => {
                self.drop_earlier_of_a_value();
                let dropped = self.drop_oldest(room);
                self.sums = Sums::Unknown;
                dropped
            }
            Kind::ValueSum | Kind::ValueAvg | Kind::ValuePercentile => {
                self.sums = Sums::Unknown;
                self.drop_oldest(room)
            }
        }
    }

    fn drop_oldest(&mut self, room: usize) -> u64 {
        let over = self.entries.len().saturating_sub(room);
        self.entries.drain(..over);
        self.head = self.head.saturating_sub(over);
        over as u64
    }

    /// Of a rule that matched again and again with nothing between, the first and the last stay.
    fn drop_repetitions(&mut self) {
        let all: Vec<Entry> = self.entries.iter().copied().collect();
        let inner = |at: usize| {
            let value = |at: usize| all.get(at).map(|entry| entry.value);
            at > 0 && value(at - 1) == value(at) && value(at + 1) == value(at)
        };
        let kept = all.iter().enumerate().filter(|(at, _)| !inner(*at)).map(|(_, entry)| *entry);
        self.entries = kept.collect();
    }

    /// A value that occurs again later adds nothing to a count of values.
    fn drop_earlier_of_a_value(&mut self) {
        let mut seen = BTreeSet::new();
        let mut kept: VecDeque<Entry> = VecDeque::new();
        for entry in self.entries.iter().rev().filter(|entry| seen.insert(entry.value)) {
            kept.push_front(*entry);
        }
        self.entries = kept;
    }

    /// The events, by time.
    pub(in crate::detect) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Bytes on the heap.
    pub(in crate::detect) fn heap(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.sums.heap()
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
