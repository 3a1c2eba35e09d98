//! Counters published by each thread of a live run, about once a second.
//!
//! Owns: one set of counters per thread; facts about each interface and each capture point. In:
//! totals so far. Out: their sum. Never: touched per packet.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::capture::tap::Tap;
use crate::model::Counters;
use crate::pipeline::snapshot::{Current, Snapshot, lock};
use crate::report::feed::{Feed, Feeds};

/// The published counters.
pub(super) struct Stats {
    places: Box<[Mutex<Shown>]>,
    interfaces: Mutex<Vec<Value>>,
    /// Capture points already reported as one-way.
    announced: Mutex<BTreeSet<u16>>,
}

/// The values published by one thread.
#[derive(Default)]
struct Shown {
    counters: Counters,
    feeds: Feeds,
}

impl Stats {
    /// With this many slots.
    pub(super) fn new(places: usize) -> Stats {
        let places = (0..places).map(|_| Mutex::default()).collect();
        Stats { places, interfaces: Mutex::default(), announced: Mutex::default() }
    }

    /// The sum over all threads.
    pub(super) fn sum(&self) -> Counters {
        let mut sum = Counters::default();
        self.places.iter().for_each(|place| sum.merge(&lock(place).counters));
        sum
    }

    /// The one-way capture points, according to the workers.
    pub(super) fn one_way(&self) -> Vec<Feed> {
        let mut sum = Feeds::default();
        self.places.iter().for_each(|place| sum.merge(&lock(place).feeds));
        sum.one_way().collect()
    }

    /// Messages for those of `feeds` that were not reported before; from now on they are.
    pub(super) fn news(&self, feeds: impl IntoIterator<Item = Feed>) -> Vec<String> {
        let mut announced = lock(&self.announced);
        let news = feeds.into_iter().filter(|feed| announced.insert(feed.point));
        news.map(|feed| feed.sentence()).collect()
    }

    /// Records facts about each interface.
    pub(super) fn note<'t>(&self, taps: impl Iterator<Item = &'t Tap>) {
        let interface = |(index, tap): (usize, &Tap)| {
            json!({
                "file": index,
                "interface": tap.name,
                "packets": tap.frames,
                "ring_drops": tap.ring_drops,
                "nic_drops": tap.nic_drops,
                "downs": tap.downs,
                "timestamps": if tap.stamps_in_hardware() { "hardware" } else { "software" },
            })
        };
        *lock(&self.interfaces) = taps.enumerate().map(interface).collect();
    }

    /// These facts, for run.json: totals since the start of the run.
    pub(super) fn interfaces(&self) -> Value {
        Value::Array(lock(&self.interfaces).clone())
    }
}

/// One thread's slot: it publishes its counters and gets new snapshots.
pub(super) struct WorkerHandle {
    pub(super) board: Arc<Stats>,
    pub(super) current: Arc<Current>,
    at: usize,
    seen: u64,
}

impl WorkerHandle {
    /// The slot with number `at`.
    pub(super) fn new(board: Arc<Stats>, at: usize, current: Arc<Current>) -> WorkerHandle {
        WorkerHandle { board, current, at, seen: 0 }
    }

    /// Publishes the thread's totals.
    pub(super) fn show(&self, counters: &Counters) {
        if let Some(place) = self.board.places.get(self.at) {
            lock(place).counters.clone_from(counters);
        }
    }

    /// Publishes the thread's counts per capture point.
    pub(super) fn show_feeds(&self, feeds: &Feeds) {
        if let Some(place) = self.board.places.get(self.at) {
            lock(place).feeds.clone_from(feeds);
        }
    }

    /// The one-way capture points, for files.
    pub(super) fn one_way_feeds(&self) -> Vec<Value> {
        self.board.one_way().iter().map(|feed| json!(feed)).collect()
    }

    /// The snapshot, if there is one that this thread has not seen.
    pub(super) fn renewed(&mut self) -> Option<Arc<Snapshot>> {
        let generation = self.current.generation();
        (generation != std::mem::replace(&mut self.seen, generation)).then(|| self.current.get())
    }
}
