//! The worker loop: touch, observe, expire, hand over.
//!
//! Owns: its shards of the session table and its desk. In: batches. Out: handovers in merge order.
//! Never: waits for another worker, or for anything but its two queues.

use std::sync::Arc;

use crate::capture::Block;
use crate::config::Plan;
use crate::decode::SHARDS;
use crate::dispatch::Batch;
use crate::dispatch::Lane;
use crate::dispatch::batch::PACKETS;
use crate::dispatch::queue::Receiver;
use crate::dispatch::queue::Sender;
use crate::evidence::Observers;
use crate::model::Counters;
use crate::model::Nanos;
use crate::model::Packet;
use crate::pipeline::desk::Desk;
use crate::pipeline::desk::Handover;
use crate::pipeline::desk::Mark;
use crate::pipeline::live::Post;
use crate::report::summary::SummaryBuilder;
use crate::session::Arrival;
use crate::session::Hint;
use crate::session::Shard;
use crate::session::Timeouts;

/// One worker.
pub(super) struct Worker<'t> {
    shards: Vec<Shard<Observers>>,
    workers: usize,
    /// Which of them it is.
    index: usize,
    timeouts: Timeouts,
    desk: Desk<'t>,
    lane: Lane<Arc<Block>>,
    out: Sender<Handover>,
    empties: Receiver<Handover>,
    /// The last mark: everything before this second has been expired in every shard.
    clock: u32,
    /// Live: where counters are shown and new rules come from.
    post: Option<Post>,
}

/// The queues of one worker.
pub(super) struct Queues {
    pub(super) lane: Lane<Arc<Block>>,
    pub(super) out: Sender<Handover>,
    pub(super) empties: Receiver<Handover>,
}

impl<'t> Worker<'t> {
    /// The worker that owns every `plan.workers`-th shard from the `index`-th on.
    pub(super) fn new(plan: &Plan, index: usize, desk: Desk<'t>, queues: Queues) -> Self {
        let (timeouts, workers) = (Timeouts::default(), plan.workers);
        let cap_per_shard = plan.caps.sessions.div_ceil(usize::from(SHARDS)).max(1);
        let shard = || {
            let shard = Shard::new(cap_per_shard, timeouts);
            if plan.latency { shard } else { shard.without_round_trips() }
        };
        let shards = (0..usize::from(SHARDS).div_ceil(workers)).map(|_| shard()).collect();
        let Queues { lane, out, empties } = queues;
        Worker { shards, workers, index, timeouts, desk, lane, out, empties, clock: 0, post: None }
    }

    /// The same, of a live run.
    pub(super) fn with_post(mut self, post: Option<Post>) -> Self {
        self.post = post;
        self
    }

    /// Works until the reader is done; gives back its counters and sums.
    pub(super) fn run(mut self) -> (Counters, SummaryBuilder) {
        while let Some(batch) = self.lane.next() {
            self.touch(&batch);
            let (clock, mark, last) = (batch.clock, batch.mark, batch.last);
            self.lane.give_back(batch);
            if mark {
                self.expire(clock);
            }
            if last {
                break;
            }
        }
        self.drain();
        self.desk.close()
    }

    fn touch(&mut self, batch: &Batch<Arc<Block>>) {
        let mut hints = [Hint::default(); PACKETS];
        for (hint, (packet, _)) in hints.iter_mut().zip(batch.iter()) {
            if let Some(shard) = self.shards.get(usize::from(packet.shard) / self.workers) {
                *hint = shard.locate(packet);
            }
        }
        let warm = |(hint, (packet, _)): (&Hint, (&Packet, _))| {
            self.shards
                .get(usize::from(packet.shard) / self.workers)
                .map_or(0, |s| s.warm(*hint, packet))
        };
        std::hint::black_box(hints.iter().zip(batch.iter()).map(warm).fold(0, |a, b| a ^ b));
        for (hint, (packet, block)) in hints.into_iter().zip(batch.iter()) {
            let frame = block.bytes().get(packet.frame_at as usize..).unwrap_or_default();
            let at = usize::from(packet.shard) / self.workers;
            if let Some(shard) = self.shards.get_mut(at) {
                self.desk.turn_to(at, u16::from(packet.shard));
                let arrival = Arrival { packet, frame, file: block.file() };
                shard.touch(arrival, hint, &mut self.desk);
            } else {
                // One that every worker hears: it is of no shard.
                self.desk.hear(packet, frame, self.index == 0);
            }
        }
    }

    fn expire(&mut self, clock: u32) {
        if clock == self.clock.saturating_add(1) {
            let second = Nanos::from_secs(u64::from(self.clock));
            for at in 0..self.shards.len() {
                self.end_second(second, at, |shard, desk| shard.expire(clock, desk));
            }
            self.hand_over((Nanos::from_secs(u64::from(clock)), 0));
        } else if clock > self.clock {
            for at in 0..self.shards.len() {
                self.at_shard(at, |shard, desk| shard.expire(clock, desk));
            }
            self.hand_over_all(Nanos::from_secs(u64::from(clock)));
        }
        self.clock = clock;
        if let Some(post) = &mut self.post {
            post.show(self.desk.counted());
            post.show_feeds(self.desk.summary.feeds());
            if let Some(snapshot) = post.renewed() {
                self.desk.renew(&snapshot.prepared);
            }
        }
    }

    /// The input is over: what is still open is handed over second by second, in the order in which
    /// it would have timed out, so that little of it is held at once.
    fn drain(&mut self) {
        let end = self.clock.saturating_add(self.timeouts.longest()).saturating_add(2);
        for clock in self.clock..end {
            let second = Nanos::from_secs(u64::from(clock));
            for at in 0..self.shards.len() {
                self.end_second(second, at, |shard, desk| shard.drain(clock + 1, desk));
            }
        }
        for at in 0..self.shards.len() {
            self.at_shard(at, |shard, desk| shard.drain(u32::MAX, desk));
        }
        self.hand_over_all(Nanos(u64::MAX));
    }

    /// Does something to a shard, whose sessions the desk then knows to be its.
    fn at_shard(&mut self, at: usize, act: impl FnOnce(&mut Shard<Observers>, &mut Desk<'t>)) {
        self.desk.turn_to(at, self.number(at));
        if let Some(shard) = self.shards.get_mut(at) {
            act(shard, &mut self.desk);
        }
    }

    /// The number of one of its shards among all.
    const fn number(&self, at: usize) -> u16 {
        (at * self.workers + self.index) as u16
    }

    /// Everything that ended before `until`, by second and shard.
    fn hand_over_all(&mut self, until: Nanos) {
        for second in self.desk.seconds().into_iter().filter(|second| *second < until) {
            for at in 0..self.shards.len() {
                self.end_second(second, at, |_, _| ());
            }
        }
        self.hand_over((until, 0));
    }

    /// Ends a second of a shard. A busy one is handed over before the next is looked at.
    fn end_second(
        &mut self,
        second: Nanos,
        at: usize,
        act: impl FnOnce(&mut Shard<Observers>, &mut Desk<'t>),
    ) {
        let until = (second, self.number(at) + 1);
        self.at_shard(at, |shard, desk| {
            desk.begin(until);
            act(shard, desk);
        });
        if self.desk.settle() {
            self.hand_over(until);
        }
    }

    /// Gives the analyst what is ready: everything before `until`.
    fn hand_over(&mut self, until: Mark) {
        let empty = self.empties.try_recv().unwrap_or_default();
        let full = self.desk.hand_over(until, empty);
        // The analyst outlives its workers; if it is gone the run is being torn down.
        drop(self.out.send(full));
    }
}
