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
use crate::pipeline::live::Post;
use crate::report::summary::SummaryBuilder;
use crate::session::Arrival;
use crate::session::Hint;
use crate::session::Shard;
use crate::session::Timeouts;

/// Finished sessions that make a handover worth its while once the input is over.
const ITEMS_PER_HANDOVER: usize = 256;

/// One worker.
pub(super) struct Worker<'t> {
    shards: Vec<Shard<Observers>>,
    workers: usize,
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
    /// A worker that owns every `plan.workers`-th shard.
    pub(super) fn new(plan: &Plan, desk: Desk<'t>, queues: Queues) -> Self {
        let (timeouts, workers) = (Timeouts::default(), plan.workers);
        let cap_per_shard = plan.caps.sessions.div_ceil(usize::from(SHARDS)).max(1);
        let shard = || {
            let shard = Shard::new(cap_per_shard, timeouts);
            if plan.latency { shard } else { shard.without_round_trips() }
        };
        let shards = (0..usize::from(SHARDS).div_ceil(workers)).map(|_| shard()).collect();
        let Queues { lane, out, empties } = queues;
        Worker { shards, workers, timeouts, desk, lane, out, empties, clock: 0, post: None }
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
            if let Some(shard) = self.shards.get_mut(usize::from(packet.shard) / self.workers) {
                let arrival = Arrival { packet, frame, file: block.file() };
                shard.touch(arrival, hint, &mut self.desk);
            }
        }
    }

    fn expire(&mut self, clock: u32) {
        self.clock = clock;
        for shard in &mut self.shards {
            shard.expire(clock, &mut self.desk);
        }
        self.hand_over(Nanos::from_secs(u64::from(clock)));
        if let Some(post) = &mut self.post {
            post.show(&self.desk.counters);
            post.show_feeds(self.desk.summary.feeds());
            if let Some(snapshot) = post.renewed() {
                self.desk.renew(&snapshot.prepared);
            }
        }
    }

    /// The input is over: what is still open is handed over second by second, in the order in which
    /// it would have timed out, so that no more than a second's worth is held at once.
    fn drain(&mut self) {
        let end = self.clock.saturating_add(self.timeouts.longest()).saturating_add(2);
        for clock in self.clock..=end {
            for shard in &mut self.shards {
                shard.drain(clock, &mut self.desk);
            }
            if self.desk.out.items.len() >= ITEMS_PER_HANDOVER {
                self.hand_over(Nanos::from_secs(u64::from(clock)));
            }
        }
        for shard in &mut self.shards {
            shard.drain(u32::MAX, &mut self.desk);
        }
        self.hand_over(Nanos(u64::MAX));
    }

    fn hand_over(&mut self, until: Nanos) {
        let empty = self.empties.try_recv().unwrap_or_default();
        let full = self.desk.hand_over(until, empty);
        // The analyst outlives its workers; if it is gone the run is being torn down.
        drop(self.out.send(full));
    }
}
