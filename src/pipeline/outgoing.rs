//! A worker's batches on their way to the correlator.
//!
//! Owns: the merge order of a worker's items, and both ends of its queue. In: items and their
//! places. Out: [`RecordBatch`]es, each up to a watermark. Never: judges or renders.

use crate::dispatch::queue::{Receiver, Sender};
use crate::model::Nanos;
use crate::model::beats::Beats;
use crate::pipeline::record_batch::{RecordBatch, Until, Watermark};

/// A worker's queues to and from the correlator.
pub(super) struct Queues {
    pub(super) out: Sender<RecordBatch>,
    pub(super) empties: Receiver<RecordBatch>,
}

/// What a worker has not sent yet.
pub(super) struct Outgoing {
    /// Sessions that ended before it was their turn.
    waiting: RecordBatch,
    /// Those that are next.
    ready: RecordBatch,
    /// The second and shard whose sessions come in order and go to `ready` at once.
    turn: Option<Watermark>,
    /// Messages of sessions that last, until their second is over.
    pub(super) beats: Beats,
    queues: Queues,
}

impl Outgoing {
    pub(super) fn new(queues: Queues) -> Outgoing {
        Outgoing {
            waiting: RecordBatch::default(),
            ready: RecordBatch::default(),
            turn: None,
            beats: Beats::default(),
            queues,
        }
    }

    /// Ends the turn in progress and begins another. Returns whether it is another.
    pub(super) fn enter(&mut self, turn: Option<Watermark>) -> bool {
        if self.turn == turn {
            return false;
        }
        if let Some((second, part, shard)) = self.turn {
            let until = ((second, part, shard + 1), Nanos::ZERO, 0);
            self.waiting.give(until, &mut self.ready);
            if self.ready.is_worth_it() {
                self.send(until);
            }
        }
        if let Some(mark) = turn {
            self.waiting.give((mark, Nanos::ZERO, 0), &mut self.ready);
        }
        self.turn = turn;
        true
    }

    /// Whether an item's turn is in progress.
    pub(super) fn is_turn(&self, place: Until) -> bool {
        self.turn == Some(place.0)
    }

    /// The batch for an item. A full batch is sent first.
    pub(super) fn batch_for(&mut self, place: Until) -> &mut RecordBatch {
        if !self.is_turn(place) {
            return &mut self.waiting;
        }
        if self.ready.is_worth_it() {
            let last = self.ready.order.last().map(|((last, ..), _)| *last);
            if last.is_none_or(|last| last < place) {
                self.send(place);
            }
        }
        &mut self.ready
    }

    /// The earliest second in which a waiting session ended.
    pub(super) fn first_second(&self) -> Option<u32> {
        let seconds = self.waiting.order.iter().map(|((((at, ..), ..), ..), _)| *at);
        seconds.min().map(|at| u32::try_from(at.as_secs()).unwrap_or(u32::MAX))
    }

    /// No item before `until` follows, and no turn is in progress.
    pub(super) fn pass(&mut self, until: Until) {
        self.enter(None);
        self.waiting.give(until, &mut self.ready);
    }

    /// Sends everything that ended before `until` to the correlator.
    pub(super) fn send(&mut self, until: Until) {
        self.waiting.give(until, &mut self.ready);
        self.ready.order.sort_unstable();
        let empty = self.queues.empties.try_recv().unwrap_or_default();
        let mut full = std::mem::replace(&mut self.ready, empty);
        // The correlator outlives its workers; if it is gone the run is being torn down.
        let ((second, ..), ..) = until;
        let second = u32::try_from(second.as_secs()).unwrap_or(u32::MAX);
        self.beats.take_before(second, &mut full.beats);
        drop(self.queues.out.send(RecordBatch { until, ..full }));
    }
}
