//! What a worker sends to the correlator: judged sessions, in merge order.
//!
//! Owns: the output order, the batch. In: items of one worker. Out: the same, up to a watermark.
//! Never: judges or renders.

use crate::detect::correlation::Seen;
use crate::endpoints::EndpointSummary;
use crate::model::beats::Beat;
use crate::model::scan::Unanswered;
use crate::model::{Alert, Nanos};

/// Where a session ended: a second of the run's clock, a part of it, and a shard of the session
/// table. Sessions ended by packets are in the part between two watermarks of the reader; those
/// ended by timers come after all parts, after updates of open sessions. So a worker holds the
/// sessions of one part, or of one shard of a second, never all of a second: a busy second's lines
/// are larger than the table.
pub(super) type Watermark = (Nanos, u32, u16);

/// The progress of the output: a watermark, a session's first packet time, and a key that orders
/// those of one time.
pub(super) type Until = (Watermark, Nanos, u64);

/// Position in the output: the above; its identity; and, if a five-tuple starts twice within one
/// tick of the capture's clock, the position of its first packet.
pub(super) type Order = (Until, [u8; 16], (u16, u32));

/// After everything.
pub(super) const THE_END: Until =
    ((Nanos(u64::MAX), u32::MAX, u16::MAX), Nanos(u64::MAX), u64::MAX);

/// The part of updates of open sessions.
pub(super) const UPDATED: u32 = u32::MAX - 1;

/// The part of sessions ended by timers.
pub(super) const TIMED: u32 = u32::MAX;

/// The kind of an item.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most are the large one: a box each would cost more")]
pub(super) enum ItemKind {
    /// A session has ended.
    Ended(EndpointSummary),
    /// An open session: its alerts count, and rules judge its endpoint with it; its sums wait for
    /// its end.
    Update(EndpointSummary),
}

/// One session on its way to the correlator.
#[derive(Debug)]
pub(super) struct Item {
    /// The position of its line in the batch's bytes.
    pub(super) line: (u32, u32),
    pub(super) kind: ItemKind,
    pub(super) alerts: Vec<Alert>,
    /// What correlations count of it.
    pub(super) seen: Vec<Seen>,
    /// If it has no line of its own: its part of a sum.
    pub(super) summed: Option<Unanswered>,
}

/// Finished sessions that fill a batch before the second is over: their lines, of about 1 KiB each,
/// fit the L2 cache.
const ITEMS_PER_BATCH: usize = 256;

/// The same in bytes, for long lines.
const BYTES_PER_BATCH: usize = 1 << 20;

/// Capacity of a batch that is kept for reuse.
const BYTES_KEPT: usize = 2 * BYTES_PER_BATCH;

/// The same of messages.
const BEATS_KEPT: usize = 8_192;

/// Finished sessions of one worker, all before `until`.
#[derive(Debug, Default)]
pub(super) struct RecordBatch {
    /// Merge order, and the index of each item: sorting moves these, not the items.
    pub(super) order: Vec<(Order, u32)>,
    pub(super) items: Vec<Option<Item>>,
    pub(super) lines: Vec<u8>,
    /// Messages of sessions that last, of the seconds before `until`.
    pub(super) beats: Vec<Beat>,
    /// Nothing earlier follows from this worker.
    pub(super) until: Until,
}

impl RecordBatch {
    /// Moves everything before `until` to the end of another batch.
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

    /// Clears it, and keeps the usual capacity.
    pub(super) fn clear(&mut self) {
        self.order.clear();
        self.items.clear();
        self.lines.clear();
        self.beats.clear();
        self.beats.shrink_to(BEATS_KEPT);
        self.lines.shrink_to(BYTES_KEPT);
        self.items.shrink_to(16 * ITEMS_PER_BATCH);
        self.order.shrink_to(16 * ITEMS_PER_BATCH);
    }

    /// Whether it is full enough to send.
    pub(super) fn is_worth_it(&self) -> bool {
        self.items.len() >= ITEMS_PER_BATCH || self.lines.len() >= BYTES_PER_BATCH
    }

    /// Adds an item whose line was written at `start`.
    #[inline]
    pub(super) fn push(&mut self, order: Order, start: usize, mut item: Item) {
        item.line = (start as u32, self.lines.len() as u32);
        self.order.push((order, self.items.len() as u32));
        self.items.push(Some(item));
    }
}
