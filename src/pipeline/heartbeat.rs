//! What a live run's correlator does once a second beside its work.
//!
//! Owns: when health lines are written, and the facts about a run in a set of files. In: the run's
//! clock, counters. Out: health, run.json. Never: an event about traffic.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::endpoints::EndpointRows;
use crate::metrics::Spread;
use crate::model::event::Health;
use crate::model::{CopyReport, Counters, Error, Nanos};
use crate::pipeline::hits::Hits;
use crate::pipeline::outputs::{self, RunFacts};
use crate::pipeline::snapshot::lock;
use crate::pipeline::state::BaselineTotals;
use crate::pipeline::stats::WorkerHandle;
use crate::pipeline::warnings::{self, Answer};
use crate::sinks::{SetFacts, Tell};

/// The interval of health lines, in seconds of the run's clock.
const HEALTH_SECONDS: u64 = 60;

/// The correlator's part of a live run.
pub(super) struct Heartbeat {
    pub(super) handle: WorkerHandle,
    pub(super) tell: Tell,
    /// The interfaces, by the index in records.
    names: Vec<PathBuf>,
    /// Time of the last health line, and the counters then.
    pub(super) at: Nanos,
    counted: Counters,
    /// How long the seconds took.
    pub(super) spent: Spread,
}

/// A span of endpoints, for run.json.
pub(super) struct SpanFacts<'a> {
    pub(super) until: Nanos,
    pub(super) endpoints: &'a EndpointRows,
    pub(super) learned: Option<&'a BaselineTotals>,
    /// Known only at the end of the run.
    pub(super) copies: Option<&'a CopyReport>,
    pub(super) claims: (u64, u64),
    pub(super) one_way_feeds: Vec<Value>,
}

impl Heartbeat {
    /// No health line yet.
    pub(super) fn new(handle: WorkerHandle, tell: Tell, names: Vec<PathBuf>) -> Heartbeat {
        let (at, counted, spent) = (Nanos::ZERO, Counters::default(), Spread::default());
        Heartbeat { handle, tell, names, at, counted, spent }
    }

    /// A second is over.
    pub(super) fn passed(&self, until: Nanos, hits: &mut Hits) {
        let board = &self.handle.board;
        board.round.store(until.as_secs(), Ordering::Relaxed);
        if hits.take_changed() {
            lock(&board.hits).clone_from(hits);
        }
    }

    /// The health line, if a minute is over.
    pub(super) fn health_in_time(&mut self, until: Nanos) -> Option<Health> {
        if self.at == Nanos::ZERO {
            self.at = until;
        }
        let is_due = until.since(self.at) >= Nanos::from_secs(HEALTH_SECONDS);
        is_due.then(|| self.health(until, self.handle.board.sum()))
    }

    /// The health line now.
    pub(super) fn health(&mut self, until: Nanos, counted: Counters) -> Health {
        let since = std::mem::replace(&mut self.at, until);
        let more = counted.since(&self.counted);
        self.counted = counted;
        Health { since, until, counted: more, one_way_feeds: self.handle.one_way_feeds() }
    }

    /// run.json of a set of files.
    pub(super) fn report(&self, set: SetFacts, span: &SpanFacts<'_>) -> Result<Vec<u8>, Error> {
        let snapshot = self.handle.current.get();
        let old_lists = snapshot.prepared.old_lists(Some(span.until));
        let answer = Answer {
            interrupted: false,
            counted: &set.counters,
            endpoints: span.endpoints,
            claims: span.claims,
            learning: span.learned.is_some_and(BaselineTotals::learning),
        };
        let warnings = warnings::of(&snapshot.plan, &snapshot.prepared, &answer);
        let one_way_feeds = match span.one_way_feeds.as_slice() {
            [] => self.handle.one_way_feeds(),
            feeds => feeds.to_vec(),
        };
        let facts = RunFacts {
            files: &[],
            names: &self.names,
            old_lists: &old_lists,
            one_way_feeds,
            interrupted: false,
            warnings: &warnings,
            learned: span.learned,
            copies: span.copies,
            endpoints: span.endpoints.len(),
            remarks: &[],
        };
        let mut report = outputs::report(&snapshot.plan, &snapshot.prepared, &facts, set);
        report.inputs = self.handle.board.interfaces();
        let mut text = Vec::new();
        report.render(&mut text)?;
        Ok(text)
    }
}
