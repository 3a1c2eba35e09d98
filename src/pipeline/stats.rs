//! Where each thread of a live run shows what it has counted, about once a second.
//!
//! Owns: one set of counters a thread; what is known of each interface and each capture point's
//! feed. In: totals so far. Out: their sum. Never: touched per packet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use serde_json::Value;
use serde_json::json;

use crate::capture::tap::Tap;
use crate::model::Counters;
use crate::pipeline::snapshot::Current;
use crate::pipeline::snapshot::Snapshot;
use crate::report::feed::Feed;
use crate::report::feed::Feeds;

/// The board.
pub(super) struct Stats {
    places: Box<[Mutex<Shown>]>,
    interfaces: Mutex<Vec<Value>>,
    /// Capture points whose one-way feed was told.
    told: Mutex<BTreeSet<u16>>,
}

/// What one thread has shown.
#[derive(Default)]
struct Shown {
    counters: Counters,
    feeds: Feeds,
}

impl Stats {
    /// A board with room for so many threads.
    pub(super) fn new(places: usize) -> Stats {
        let places = (0..places).map(|_| Mutex::default()).collect();
        Stats { places, interfaces: Mutex::default(), told: Mutex::default() }
    }

    /// The sum of what all threads have shown.
    pub(super) fn sum(&self) -> Counters {
        let mut sum = Counters::default();
        self.places.iter().for_each(|place| sum.merge(&lock(place).counters));
        sum
    }

    /// The capture points that feed one direction only, as far as the workers have shown.
    pub(super) fn one_way(&self) -> Vec<Feed> {
        let mut sum = Feeds::default();
        self.places.iter().for_each(|place| sum.merge(&lock(place).feeds));
        sum.one_way().collect()
    }

    /// Those of `feeds` that were not told before, as sentences; from now on they are told.
    pub(super) fn news(&self, feeds: impl IntoIterator<Item = Feed>) -> Vec<String> {
        let mut told = lock(&self.told);
        let news = feeds.into_iter().filter(|feed| told.insert(feed.point));
        news.map(|feed| feed.sentence()).collect()
    }

    /// Notes what is known of each interface.
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

    /// What was noted, for run.json: totals since the run began.
    pub(super) fn interfaces(&self) -> Value {
        Value::Array(lock(&self.interfaces).clone())
    }
}

/// A thread that died while it held the lock has left whole numbers behind.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thread's place: it shows its counters and hears of a new snapshot.
pub(super) struct WorkerHandle {
    pub(super) board: Arc<Stats>,
    pub(super) current: Arc<Current>,
    at: usize,
    seen: u64,
}

impl WorkerHandle {
    /// The place with number `at`.
    pub(super) fn new(board: Arc<Stats>, at: usize, current: Arc<Current>) -> WorkerHandle {
        WorkerHandle { board, current, at, seen: 0 }
    }

    /// Shows the thread's totals.
    pub(super) fn show(&self, counters: &Counters) {
        if let Some(place) = self.board.places.get(self.at) {
            lock(place).counters.clone_from(counters);
        }
    }

    /// Shows what the thread's sessions say of the capture points.
    pub(super) fn show_feeds(&self, feeds: &Feeds) {
        if let Some(place) = self.board.places.get(self.at) {
            lock(place).feeds.clone_from(feeds);
        }
    }

    /// The capture points that feed one direction only, for files.
    pub(super) fn one_way_feeds(&self) -> Vec<Value> {
        self.board.one_way().iter().map(|feed| json!(feed)).collect()
    }

    /// The snapshot, where there is one that this thread has not seen.
    pub(super) fn renewed(&mut self) -> Option<Arc<Snapshot>> {
        let generation = self.current.generation();
        (generation != std::mem::replace(&mut self.seen, generation)).then(|| self.current.get())
    }
}
