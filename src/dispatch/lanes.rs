//! The reader's side: one open batch a worker, sent when full or when time moves on.
//!
//! Owns: open batches; the queues to and from the workers. In: packets. Out: batches.
//! Never: reorders packets of one session.

use crate::dispatch::batch::Batch;
use crate::dispatch::batch::Said;
use crate::dispatch::batch::Same;
use crate::dispatch::queue;
use crate::dispatch::queue::Receiver;
use crate::dispatch::queue::Sender;
use crate::model::Packet;

/// Batches under way to one worker. With 64 packets each this is about 2,000 packets: enough to
/// ride out a pause of the worker, little enough that the blocks they hold stay in the last-level
/// cache.
const DEPTH: usize = 32;

/// Packets after which every worker hears of the time, so that finished sessions move on: also
/// where time stands still, or those that packets end in a busy second would gather.
const PACKETS_PER_MARK: u32 = 4_096;

/// Seconds after which a mark comes though there were fewer: nothing is over before, and what is
/// known of addresses goes on, so that sessions should not wait for long to be told.
const SECONDS_PER_MARK: u32 = 8;

/// A worker's end: batches come, empty ones go back.
#[derive(Debug)]
pub struct Lane<B> {
    incoming: Receiver<Batch<B>>,
    empties: Sender<Batch<B>>,
}

impl<B> Lane<B> {
    /// The next batch; `None` when the reader is gone.
    pub fn next(&self) -> Option<Batch<B>> {
        self.incoming.recv()
    }

    /// Gives an empty batch back for reuse.
    pub fn give_back(&self, mut batch: Batch<B>) {
        batch.clear();
        // A full return queue means enough empties are under way: this one may go.
        drop(self.empties.try_send(batch));
    }
}

#[derive(Debug)]
struct Outlet<B> {
    open: Batch<B>,
    out: Sender<Batch<B>>,
    empties: Receiver<Batch<B>>,
}

/// Spreads packets over lanes by shard.
#[derive(Debug)]
pub struct Dispatcher<B> {
    outlets: Vec<Outlet<B>>,
    clock: u32,
    since_mark: u32,
    /// Marks within the clock's second.
    part: u32,
    /// The clock at the last mark.
    marked: u32,
}

/// A worker has ended early: the run cannot go on.
#[derive(Debug, PartialEq, Eq)]
pub struct WorkerGone;

impl<B: Clone + Same> Dispatcher<B> {
    /// A dispatcher over `workers` lanes, and the lanes.
    pub fn new(workers: usize) -> (Dispatcher<B>, Vec<Lane<B>>) {
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

    /// Puts a packet into the open batch of its lane.
    #[inline(always)]
    pub fn push(&mut self, packet: Packet, block: &B) -> Result<(), WorkerGone> {
        self.advance(packet.clock)?;
        let lane = usize::from(packet.shard) % self.outlets.len();
        self.put(lane, packet, block)
    }

    /// Tells every worker what a packet said, at the same point of the input: before the packets
    /// that are pushed from here on.
    #[cold]
    pub fn tell_all(&mut self, said: &Said) -> Result<(), WorkerGone> {
        for lane in 0..self.outlets.len() {
            if !self.outlets.get(lane).is_some_and(|outlet| outlet.open.has_room_to_say()) {
                self.send(lane)?;
            }
            if let Some(outlet) = self.outlets.get_mut(lane) {
                outlet.open.say(Said::clone(said));
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn advance(&mut self, clock: u32) -> Result<(), WorkerGone> {
        if clock > self.clock {
            (self.clock, self.part) = (clock, 0);
            if clock - self.marked >= SECONDS_PER_MARK {
                self.mark(false)?;
            }
        }
        if self.since_mark >= PACKETS_PER_MARK {
            self.mark(false)?;
        }
        self.since_mark = self.since_mark.saturating_add(1);
        Ok(())
    }

    #[inline(always)]
    fn put(&mut self, lane: usize, packet: Packet, block: &B) -> Result<(), WorkerGone> {
        let Some(outlet) = self.outlets.get_mut(lane) else { return Ok(()) };
        if outlet.open.has_room_for(block) {
            outlet.open.push(packet, block);
            return Ok(());
        }
        self.send(lane)?;
        let Some(outlet) = self.outlets.get_mut(lane) else { return Ok(()) };
        outlet.open.push(packet, block);
        Ok(())
    }

    /// Sends what is open and wakes who sleeps: nothing may follow for a while, and whoever waits
    /// for the packets' blocks shall have them.
    pub fn flush(&mut self) -> Result<(), WorkerGone> {
        for lane in 0..self.outlets.len() {
            if self.outlets.get(lane).is_some_and(|outlet| !outlet.open.is_empty()) {
                self.send(lane)?;
            }
        }
        self.nudge();
        Ok(())
    }

    /// Time has come as far as `clock` though no packet says so: every worker hears of it.
    pub fn tick(&mut self, clock: u32) -> Result<(), WorkerGone> {
        if clock > self.clock {
            (self.clock, self.part) = (clock, 0);
        }
        self.mark(false)?;
        self.nudge();
        Ok(())
    }

    /// Tells every worker how far time has come.
    fn mark(&mut self, last: bool) -> Result<(), WorkerGone> {
        (self.since_mark, self.marked) = (0, self.clock);
        for lane in 0..self.outlets.len() {
            if let Some(outlet) = self.outlets.get_mut(lane) {
                outlet.open.mark = true;
                outlet.open.part = self.part;
                outlet.open.last = last;
            }
            self.send(lane)?;
        }
        self.part = self.part.saturating_add(1);
        Ok(())
    }

    /// Sends what is open; nothing follows.
    pub fn finish(mut self) -> Result<(), WorkerGone> {
        self.mark(true)?;
        self.nudge();
        Ok(())
    }

    /// Sends a lane's open batch. A full lane makes the reader wait; before that it wakes every
    /// worker that still has something to do, for the one it waits for may in turn be waiting for
    /// them.
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

    fn nudge(&self) {
        self.outlets.iter().for_each(|outlet| outlet.out.nudge());
    }
}
