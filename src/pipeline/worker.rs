//! The worker loop: update sessions, observe their payload, expire them, hand them over.
//!
//! Owns: its shards of the session table and its record worker. In: batches of packets. Out:
//! batches of records, in merge order.
//! Never: waits for another worker, or for anything but its two queues.

use crate::config::Plan;
use crate::config::memory::Shares;
use crate::decode::SHARDS;
use crate::dispatch::batch::PACKETS;
use crate::evidence::Observers;
use crate::metrics::Spread;
use crate::model::{Counters, Nanos, Packet};
use crate::pipeline::gauges;
use crate::pipeline::reader_bindings::{FromReader, PacketBatch};
use crate::pipeline::record_batch::THE_END;
use crate::pipeline::record_worker::RecordWorker;
use crate::pipeline::stats::WorkerHandle;
use crate::report::summary::SummaryBuilder;
use crate::session::{Arrival, Hint, Room, Schedule, Shard, Timeouts};

/// One worker.
pub(super) struct Worker<'t> {
    shards: Vec<Shard<Observers>>,
    /// For each shard of the run, its place among those of its worker.
    places: [u8; SHARDS as usize],
    workers: usize,
    /// Its index.
    index: usize,
    records: RecordWorker<'t>,
    lane: FromReader,
    /// The last watermark: everything before this second has been expired in every shard.
    clock: u32,
    /// The number of watermarks in that second before it.
    part: u32,
    /// Live: publishes counters and gets new rules.
    post: Option<WorkerHandle>,
    /// How long batches took, if anybody reads that.
    spent: Spread,
}

impl<'t> Worker<'t> {
    /// The worker that owns every `plan.workers`-th shard from the `index`-th on.
    pub(super) fn new(
        plan: &Plan,
        index: usize,
        records: RecordWorker<'t>,
        lane: FromReader,
    ) -> Self {
        let (timeouts, workers) = (Timeouts::default(), plan.workers);
        let cap_per_shard = plan.caps.sessions.div_ceil(usize::from(SHARDS)).max(1);
        let shares = Shares::of(plan.memory);
        let room = Room {
            sessions: shares.sessions,
            kept: shares.evidence,
            waiting: shares.waiting,
            fragments: shares.fragments,
        };
        let schedule = Schedule::new(&plan.updates);
        let shard = || {
            let shard = Shard::within(cap_per_shard, room, timeouts).with_updates(&schedule);
            if plan.latency { shard } else { shard.without_round_trips() }
        };
        let shards = (0..usize::from(SHARDS).div_ceil(workers)).map(|_| shard()).collect();
        let (clock, part) = (0, 0);
        Worker {
            shards,
            places: std::array::from_fn(|shard| (shard / workers) as u8),
            workers,
            index,
            records,
            lane,
            clock,
            part,
            post: None,
            spent: Spread::default(),
        }
    }

    /// The same, for a live run.
    pub(super) fn with_post(mut self, post: Option<WorkerHandle>) -> Self {
        self.post = post;
        self
    }

    /// Runs until the reader is done; returns its counters and sums.
    pub(super) fn run(mut self) -> (Counters, SummaryBuilder) {
        while let Some(mut batch) = self.lane.next() {
            let begun = self.post.as_ref().and_then(WorkerHandle::begin);
            self.touch(&batch);
            if let Some(begun) = begun {
                self.spent.add(gauges::nanoseconds(begun));
            }
            let (clock, part) = (batch.clock, batch.part);
            let (mark, last) = (batch.mark, batch.last);
            if let Some(known) = batch.news.take() {
                self.records.learn(known);
            }
            self.lane.give_back(batch);
            if mark {
                self.pass_mark(clock, part);
            }
            if last {
                break;
            }
        }
        self.drain();
        self.records.close()
    }

    fn touch(&mut self, batch: &PacketBatch) {
        let mut hints = [Hint::default(); PACKETS];
        // Packets of one session often follow one another.
        let mut last = (0, u8::MAX, Hint::default());
        for (hint, packet) in hints.iter_mut().zip(batch.packets()) {
            if (packet.hash, packet.shard) != (last.0, last.1) {
                let shard = self.shards.get(self.place(packet));
                last = (packet.hash, packet.shard, shard.map_or(last.2, |s| s.locate(packet)));
            }
            *hint = last.2;
        }
        let (mut warmed, mut last) = (0, (Hint::default(), u8::MAX));
        for (hint, packet) in hints.iter().zip(batch.packets()) {
            if (*hint, packet.shard) != last {
                let shard = self.shards.get(self.place(packet));
                warmed ^= shard.map_or(0, |shard| shard.warm(*hint, packet));
                last = (*hint, packet.shard);
            }
        }
        std::hint::black_box(warmed);
        for (hint, (packet, block)) in hints.iter().zip(batch.iter()) {
            let frame = block.bytes().get(packet.frame_at as usize..).unwrap_or_default();
            let at = self.place(packet);
            if let Some(shard) = self.shards.get_mut(at) {
                // In a second without a watermark yet, parts start at 0.
                let part = if packet.clock > self.clock { 0 } else { self.part };
                self.records.turn_to(u16::from(packet.shard), (packet.clock, part));
                let arrival = Arrival { packet, frame, file: block.file() };
                shard.touch(arrival, *hint, &mut self.records);
            }
        }
    }

    /// The place of a packet's shard among those of this worker.
    #[inline(always)]
    fn place(&self, packet: &Packet) -> usize {
        self.places.get(usize::from(packet.shard)).map_or(usize::MAX, |at| usize::from(*at))
    }

    /// Hands over what has ended: everything due before `clock`, and what packets ended before the
    /// watermark.
    fn pass_mark(&mut self, clock: u32, part: u32) {
        // Sessions are counted before their lines leave: no set has lines of sessions it never saw.
        if let Some(post) = &self.post {
            post.show(self.records.counted());
        }
        if clock == self.clock.saturating_add(1) {
            self.end_second(self.clock);
        } else if clock > self.clock {
            self.end_seconds(clock);
        }
        self.records.send_before(((Nanos::from_secs(u64::from(clock)), part, 0), Nanos::ZERO, 0));
        let is_later = clock > self.clock;
        (self.clock, self.part) = (clock.max(self.clock), part);
        if let Some(post) = &mut self.post {
            if is_later {
                post.show_gauges(|| gauges::of_worker(&self.shards, &self.spent));
            }
            post.show(self.records.counted());
            post.show_feeds(self.records.summary.feeds());
            if let Some(snapshot) = post.renewed() {
                self.records.renew(&snapshot.prepared);
            }
        }
    }

    /// Ends all seconds before `clock` with anything due.
    fn end_seconds(&mut self, clock: u32) {
        loop {
            let due = self.shards.iter_mut().filter_map(Shard::next_due).min();
            let ended = self.records.first_second();
            match due.into_iter().chain(ended).min() {
                Some(second) if second < clock => self.end_second(second),
                _ => return,
            }
        }
    }

    /// Ends a second, shard by shard.
    fn end_second(&mut self, second: u32) {
        let behind = second.saturating_add(1);
        for at in 0..self.shards.len() {
            self.at_shard(second, at, |shard, records| {
                records.begin_updates(Nanos::from_secs(u64::from(second)));
                shard.make_updates(behind, records);
            });
        }
        for at in 0..self.shards.len() {
            self.at_shard(second, at, |shard, records| {
                records.begin_ends(Nanos::from_secs(u64::from(second)));
                shard.expire(behind, records);
            });
        }
        self.records.pass_second(second);
    }

    /// The input has ended: open sessions are handed over second by second, in the order in which
    /// they would have timed out, so that few are held at once.
    fn drain(&mut self) {
        self.records.begin_drain(self.clock);
        self.shards.iter_mut().for_each(Shard::close_updates);
        loop {
            let due = self.shards.iter_mut().filter_map(Shard::next_due).min();
            match due.into_iter().chain(self.records.first_second()).min() {
                Some(second) if second < u32::MAX => {
                    for at in 0..self.shards.len() {
                        self.at_shard(second, at, |shard, records| {
                            records.begin_ends(Nanos::from_secs(u64::from(second)));
                            shard.drain(second + 1, records)
                        });
                    }
                    self.records.pass_second(second);
                }
                _ => break,
            }
        }
        for at in 0..self.shards.len() {
            self.at_shard(u32::MAX, at, |shard, records| {
                records.begin_ends(Nanos::from_secs(u64::from(u32::MAX)));
                shard.close(records);
            });
        }
        self.records.send_before(THE_END);
    }

    /// Ends a second of a shard, after telling the record worker which one.
    fn at_shard(
        &mut self,
        second: u32,
        at: usize,
        act: impl FnOnce(&mut Shard<Observers>, &mut RecordWorker<'t>),
    ) {
        let Some(shard) = self.shards.get_mut(at) else { return };
        let number = (at * self.workers + self.index) as u16;
        self.records.turn_to(number, (second, self.part));
        act(shard, &mut self.records);
    }
}
