//! The reader's side: one open batch per worker, sent when it is full or when time moves on.
//!
//! Owns: open batches; the queues to and from the workers. In: packets. Out: batches.
//! Never: reorders packets of one session.

use crate::dispatch::batch::{Batch, SameBlock};
use crate::dispatch::queue::{self, Receiver, Sender};
use crate::model::Packet;

/// Batches in flight to one worker. With 64 packets each these are about 2,000 packets: enough to
/// ride out a pause of the worker, few enough that their blocks stay in the last-level cache.
pub const DEPTH: usize = 32;

/// Packets between two watermarks, so that finished sessions move on even where packet time stands
/// still; otherwise sessions ended by packets would pile up in a busy second.
const PACKETS_PER_MARK: u32 = 4_096;

/// Seconds between two watermarks when packets are few. Nothing times out earlier, but bindings
/// learned meanwhile should reach sessions soon.
const SECONDS_PER_MARK: u32 = 8;

/// A worker's end of the queues: full batches in, empty ones back.
#[derive(Debug)]
pub struct Lane<B, N> {
    incoming: Receiver<Batch<B, N>>,
    empties: Sender<Batch<B, N>>,
}

impl<B, N> Lane<B, N> {
    /// The next batch; `None` when the reader is gone.
    pub fn next(&self) -> Option<Batch<B, N>> {
        self.incoming.recv()
    }

    /// Returns an empty batch for reuse.
    pub fn give_back(&self, mut batch: Batch<B, N>) {
        batch.clear();
        // If the return queue is full, enough empty batches are in flight; drop this one.
        drop(self.empties.try_send(batch));
    }
}

#[derive(Debug)]
struct Outlet<B, N> {
    open: Batch<B, N>,
    out: Sender<Batch<B, N>>,
    empties: Receiver<Batch<B, N>>,
}

/// Distributes packets over lanes by shard.
#[derive(Debug)]
pub struct Dispatcher<B, N> {
    outlets: Vec<Outlet<B, N>>,
    clock: u32,
    since_mark: u32,
    /// Watermarks sent within the clock's second.
    part: u32,
    /// The clock at the last watermark.
    marked: u32,
}

/// A worker has ended early, so the run cannot continue.
#[derive(Debug, PartialEq, Eq)]
pub struct WorkerGone;

impl<B: Clone + SameBlock, N: Clone> Dispatcher<B, N> {
    /// A dispatcher for `workers` lanes, and the lanes.
    pub fn new(workers: usize) -> (Dispatcher<B, N>, Vec<Lane<B, N>>) {
        let mut outlets = Vec::with_capacity(workers);
        let mut lanes = Vec::with_capacity(workers);
        for _ in 0..workers.max(1) {
            let (out, incoming) = queue::bounded(DEPTH, DEPTH / 2);
            let (give, empties) = queue::bounded(DEPTH + 2, 1);
            outlets.push(Outlet { open: Batch::new(), out, empties });
            lanes.push(Lane { incoming, empties: give });
        }
        (Dispatcher { outlets, clock: 0, since_mark: 0, part: 0, marked: 0 }, lanes)
    }

    /// Adds a packet to the open batch of its lane. Where a watermark is due before it, `news`
    /// gives what all workers learn by it.
    #[inline(always)]
    pub fn push(
        &mut self,
        packet: &Packet,
        block: &B,
        news: impl FnMut() -> Option<N>,
    ) -> Result<(), WorkerGone> {
        self.advance(packet.clock, news)?;
        let lane = usize::from(packet.shard) % self.outlets.len();
        self.put(lane, packet, block)
    }

    #[inline(always)]
    fn advance(
        &mut self,
        clock: u32,
        mut news: impl FnMut() -> Option<N>,
    ) -> Result<(), WorkerGone> {
        if clock > self.clock {
            (self.clock, self.part) = (clock, 0);
            if clock - self.marked >= SECONDS_PER_MARK {
                self.mark(news(), false)?;
            }
        }
        if self.since_mark >= PACKETS_PER_MARK {
            self.mark(news(), false)?;
        }
        self.since_mark = self.since_mark.saturating_add(1);
        Ok(())
    }

    #[inline(always)]
    fn put(&mut self, lane: usize, packet: &Packet, block: &B) -> Result<(), WorkerGone> {
        let Some(outlet) = self.outlets.get_mut(lane) else { return Ok(()) };
        if outlet.open.push(packet, block) {
            return Ok(());
        }
        self.send(lane)?;
        let Some(outlet) = self.outlets.get_mut(lane) else { return Ok(()) };
        // An empty batch has room; if it had none, the run would end, and no packet be lost.
        if outlet.open.push(packet, block) { Ok(()) } else { Err(WorkerGone) }
    }

    /// Sends the open batches and wakes sleeping workers: no packet may come for a while, and the
    /// capture ring needs its blocks back.
    pub fn flush(&mut self) -> Result<(), WorkerGone> {
        for lane in 0..self.outlets.len() {
            if self.outlets.get(lane).is_some_and(|outlet| !outlet.open.is_empty()) {
                self.send(lane)?;
            }
        }
        self.nudge();
        Ok(())
    }

    /// Batches that are queued in each lane; [`DEPTH`] at most.
    pub fn queued(&self) -> impl Iterator<Item = usize> + '_ {
        self.outlets.iter().map(|outlet| outlet.out.queued())
    }

    /// Moves time on to `clock` without a packet, and tells every worker.
    pub fn tick(&mut self, clock: u32, news: Option<N>) -> Result<(), WorkerGone> {
        if clock > self.clock {
            (self.clock, self.part) = (clock, 0);
        }
        self.mark(news, false)?;
        self.nudge();
        Ok(())
    }

    /// Sends a watermark to every worker.
    fn mark(&mut self, news: Option<N>, last: bool) -> Result<(), WorkerGone> {
        (self.since_mark, self.marked) = (0, self.clock);
        for lane in 0..self.outlets.len() {
            if let Some(outlet) = self.outlets.get_mut(lane) {
                outlet.open.mark = true;
                outlet.open.part = self.part;
                outlet.open.news.clone_from(&news);
                outlet.open.last = last;
            }
            self.send(lane)?;
        }
        self.part = self.part.saturating_add(1);
        Ok(())
    }

    /// Sends the open batches and closes the lanes.
    pub fn finish(mut self, news: Option<N>) -> Result<(), WorkerGone> {
        self.mark(news, true)?;
        self.nudge();
        Ok(())
    }

    /// Sends a lane's open batch. If the lane is full the reader waits; it first wakes every worker
    /// that has batches queued, because the worker it waits for may itself be waiting for those.
    fn send(&mut self, lane: usize) -> Result<(), WorkerGone> {
        let clock = self.clock;
        let Some(outlet) = self.outlets.get_mut(lane) else { return Ok(()) };
        outlet.open.clock = clock;
        let empty = outlet.empties.try_recv().unwrap_or_default();
        let full = std::mem::replace(&mut outlet.open, empty);
        let Err(full) = outlet.out.try_send(full) else { return Ok(()) };
        self.nudge();
        let Some(outlet) = self.outlets.get(lane) else { return Ok(()) };
        outlet.out.send(full).map_err(|_| WorkerGone)
    }

    /// Waits until every worker has processed what was dispatched before the batch that is open:
    /// sends that, with packets or without, and waits until it is taken.
    pub fn settle(&mut self) -> Result<(), WorkerGone> {
        for lane in 0..self.outlets.len() {
            self.send(lane)?;
        }
        // All first: a worker may wait for what others hand over.
        self.nudge();
        let taken = self.outlets.iter().all(|outlet| outlet.out.wait_until_taken());
        if taken { Ok(()) } else { Err(WorkerGone) }
    }

    fn nudge(&self) {
        self.outlets.iter().for_each(|outlet| outlet.out.nudge());
    }
}
