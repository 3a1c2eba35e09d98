//! What a worker gives the correlator: judged sessions, in merge order.
//!
//! Owns: the order of the output, the batch. In: items of one worker. Out: the same, up to a mark.
//! Never: judges or renders.

use crate::endpoints::EndpointSummary;
use crate::model::Alert;
use crate::model::Nanos;
use crate::model::beats::Beats;
use crate::model::scan::Unanswered;

/// Where a session ended: a second of the run's clock, a part of it, and a shard of the session
/// table. Those that packets ended are in the part between two marks of the reader; those that
/// their timers ended come after all parts, behind updates of those that go on. So a worker holds
/// those of one part, or of one shard of a second, never those of all: a busy second's lines are
/// larger than the table.
pub(super) type Watermark = (Nanos, u32, u16);

/// How far the output has come: behind a mark, the first packet's time of a session, and what
/// orders those of one time.
pub(super) type Until = (Watermark, Nanos, u64);

/// Place in the output: the above; its identity; and, where a five-tuple begins twice within one
/// tick of the capture's clock, where its first packet stands.
pub(super) type Order = (Until, [u8; 16], (u16, u32));

/// Behind everything.
pub(super) const THE_END: Until =
    ((Nanos(u64::MAX), u32::MAX, u16::MAX), Nanos(u64::MAX), u64::MAX);

/// The part of updates of sessions that go on.
pub(super) const UPDATED: u32 = u32::MAX - 1;

/// The part of those that their timers ended.
pub(super) const TIMED: u32 = u32::MAX;

/// What an item is.
#[derive(Debug)]
pub(super) enum ItemKind {
    /// A session is over.
    Ended(EndpointSummary),
    /// A session goes on: its alerts count, and what is summed of it waits for its end.
    Update {
        /// Its last packet's time.
        last: Nanos,
    },
}

/// One session on its way to the correlator.
#[derive(Debug)]
pub(super) struct Item {
    /// Where its line stands in the batch's bytes.
    pub(super) line: (u32, u32),
    pub(super) kind: ItemKind,
    pub(super) alerts: Vec<Alert>,
    /// It has no line of its own: what is summed of it.
    pub(super) summed: Option<Unanswered>,
}

/// Finished sessions that make a batch worth its while before the second is over: their lines,
/// of about 1 KiB each, fit the second-level cache.
const ITEMS_PER_BATCH: usize = 256;

/// The same in bytes, where lines are long.
const BYTES_PER_BATCH: usize = 1 << 20;

/// A batch's room that is kept for the next.
const BYTES_KEPT: usize = 2 * BYTES_PER_BATCH;

/// Finished sessions of one worker, all before `until`.
#[derive(Debug, Default)]
pub(super) struct RecordBatch {
    /// Merge order, and the index of the item that stands there: sorting moves these, not the
    /// items.
    pub(super) order: Vec<(Order, u32)>,
    pub(super) items: Vec<Option<Item>>,
    pub(super) lines: Vec<u8>,
    /// What hosts did in the seconds before `until`.
    pub(super) beats: Beats,
    /// Nothing earlier follows from this worker.
    pub(super) until: Until,
}

impl RecordBatch {
    /// Gives what stands before `until` to another, behind what that has.
    pub(super) fn give(&mut self, until: Until, to: &mut RecordBatch) {
        if self.order.is_empty() {
            return;
        }
        self.order.sort_unstable();
        let before = self.order.partition_point(|((place, ..), _)| *place < until);
        for (order, at) in self.order.drain(..before) {
            let item = self.items.get_mut(at as usize).and_then(Option::take);
            let Some(item) = item else { continue };
            let (from, end) = item.line;
            let line = self.lines.get(from as usize..end as usize).unwrap_or_default();
            let start = to.lines.len();
            to.lines.extend_from_slice(line);
            to.push(order, start, item);
        }
        if self.order.is_empty() {
            self.clear();
        }
    }

    /// Forgets what it held, and keeps room for as much as is usual.
    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.items.clear();
        self.lines.clear();
        self.lines.shrink_to(BYTES_KEPT);
        self.items.shrink_to(16 * ITEMS_PER_BATCH);
        self.order.shrink_to(16 * ITEMS_PER_BATCH);
    }

    /// Whether it is worth its while.
    pub(super) fn is_worth_it(&self) -> bool {
        self.items.len() >= ITEMS_PER_BATCH || self.lines.len() >= BYTES_PER_BATCH
    }

    /// Adds an item whose line, written already, begins at `start`.
    pub(super) fn push(&mut self, order: Order, start: usize, item: Item) {
        let line = (start as u32, self.lines.len() as u32);
        self.order.push((order, self.items.len() as u32));
        self.items.push(Some(Item { line, ..item }));
    }
}
