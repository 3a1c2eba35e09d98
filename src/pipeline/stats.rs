//! Counters published by each thread of a live run, about once a second.
//!
//! Owns: one set of counters per thread; facts about each interface and each capture point. In:
//! totals so far. Out: their sum. Never: touched per packet.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use crate::capture::tap::Tap;
use crate::model::{Counters, Nanos};
use crate::pipeline::gauges::Gauges;
use crate::pipeline::hits::Hits;
use crate::pipeline::snapshot::{Current, Snapshot, lock};
use crate::report::feed::{Feed, Feeds};

/// The system's clock.
#[allow(clippy::disallowed_methods, reason = "before the first packet no other clock is known")]
pub(super) fn wall_clock() -> Nanos {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The published counters.
pub(super) struct Stats {
    places: Box<[Mutex<Shown>]>,
    interfaces: Mutex<Vec<Value>>,
    /// Whether anybody reads gauges: else nobody measures.
    pub(super) timed: bool,
    /// It grows with each second of the loop that captures.
    pub(super) pulse: AtomicU64,
    /// The last second that the correlator has finished, by the run's clock.
    pub(super) round: AtomicU64,
    /// Alerts so far.
    pub(super) hits: Mutex<Hits>,
    /// Capture points already reported as one-way.
    announced: Mutex<BTreeSet<u16>>,
}

/// The values published by one thread.
#[derive(Default)]
struct Shown {
    counters: Counters,
    feeds: Feeds,
    gauges: Gauges,
}

impl Stats {
    /// With this many slots.
    pub(super) fn new(places: usize, timed: bool) -> Stats {
        let places = (0..places).map(|_| Mutex::default()).collect();
        let (interfaces, announced, hits) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (pulse, round) = (AtomicU64::new(0), AtomicU64::new(0));
        Stats { places, interfaces, timed, pulse, round, hits, announced }
    }

    /// The gauges of each thread, in the order of the slots.
    pub(super) fn gauges(&self) -> Vec<Gauges> {
        self.places.iter().map(|place| lock(place).gauges.clone()).collect()
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

    /// Publishes the thread's gauges, if anybody reads them.
    pub(super) fn show_gauges(&self, gauges: impl FnOnce() -> Gauges) {
        if !self.board.timed {
            return;
        }
        if let Some(place) = self.board.places.get(self.at) {
            let gauges = gauges();
            lock(place).gauges = gauges;
        }
    }

    /// The beginning of something that is measured, if anybody reads it.
    #[allow(clippy::disallowed_methods, reason = "how long a batch takes is no time of packets")]
    pub(super) fn begin(&self) -> Option<Instant> {
        self.board.timed.then(Instant::now)
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
