//! Decides which timestamps of a file are believed.
//!
//! Owns: the clock of each capture interface of a file, and the frames whose timestamps are
//! undecided. In: a [`FileSource`]. Out: its frames in the same order, each with a time and the
//! trust in it. Never: holds more than a window of frames, or changes a time that fits.
//!
//! Timers run on packet time, so a few false timestamps could end every session at once, or keep
//! sessions open for ever. A timestamp that fits its interface's clock passes at once. One that
//! leaps ahead or falls far behind is held until later frames decide. If a later frame falls back
//! behind a leap, or continues at the clock, the leap was false. Frames away from the clock keep
//! their times, as doubtful, if they are many and their times increase like a clock: the clock may
//! have been set for a while. If a whole window passes without a frame at the old clock, the new
//! time is believed. So a night without packets, an adjusted clock and joined captures are
//! followed, and a clock misled by more false timestamps than the window holds recovers.

mod lane;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::capture::block::Block;
use crate::capture::chronology::lane::{
    BACK, Lane, RUN_SHORT, SILENCES_MANY, follow, goes_on, silences,
};
use crate::capture::report::FileReport;
use crate::capture::source::{FileSource, FrameMeta};
use crate::model::{Nanos, Trust};

/// Maximum number of held frames.
pub(super) const WINDOW: usize = 2_048;

/// Maximum number of blocks kept for them; one more frame may be in another block.
const BLOCKS_MAX: usize = 16;

/// Capture interfaces of a file with a clock of their own; all others share the last one.
const LANES: usize = 16;

/// Candidates tried for the start time of a file.
const BEGINNINGS: usize = 4;

/// The decision on a held frame's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Pending,
    Believed,
    Doubtful,
    Refuted,
}

/// A held frame.
#[derive(Debug)]
struct Held {
    meta: FrameMeta,
    /// The number of its block.
    block: u64,
    decision: Decision,
}

/// Yields the frames of a file with the trust in each time.
pub(super) struct Chronology {
    source: FileSource,
    window: usize,
    lanes: Vec<Lane>,
    held: VecDeque<Held>,
    /// The number of the first held frame; the numbers are consecutive.
    first: u64,
    /// The blocks of held frames, preceded by that of the frame returned last if it was held.
    blocks: VecDeque<(u64, Arc<Block>)>,
    ended: bool,
    /// The earliest start time of any interface.
    begun: Option<Nanos>,
    /// Held frames visited, to test the cost.
    #[cfg(test)]
    visits: u64,
}

impl Chronology {
    /// Over a file from which no frame was read yet, holding at most `window` frames.
    pub(super) fn new(source: FileSource, window: usize) -> Chronology {
        Chronology {
            source,
            window: window.max(1),
            lanes: Vec::new(),
            held: VecDeque::new(),
            first: 0,
            blocks: VecDeque::new(),
            ended: false,
            begun: None,
            #[cfg(test)]
            visits: 0,
        }
    }

    /// The next frame. Its bytes are in [`Chronology::block`].
    pub(super) fn next_frame(&mut self) -> Option<FrameMeta> {
        let mut meta = FrameMeta::default();
        self.next_into(&mut meta).then_some(meta)
    }

    /// The same into a place that is used again for every frame; returns whether there is one.
    #[inline(always)]
    pub(super) fn next_into(&mut self, meta: &mut FrameMeta) -> bool {
        if self.held.is_empty() {
            if !self.source.next_into(meta) {
                return false;
            }
            if self.passes(meta) {
                return true;
            }
            self.hold(*meta);
        }
        let next = self.next_held();
        next.inspect(|next| *meta = *next).is_some()
    }

    /// Accepts a frame at once if none is held and its time fits.
    #[inline(always)]
    fn passes(&mut self, meta: &mut FrameMeta) -> bool {
        let Some(lane) = self.lanes.get_mut(lane_of(meta)) else { return false };
        if !meta.trust.measures() || !lane.fits(meta.time) {
            return false;
        }
        if !lane.meter.is_fine() {
            lane.meter.read(meta.time);
            meta.grain = meta.grain.max(lane.meter.grain());
        }
        let now = lane.shown.max(meta.time);
        (lane.clock, lane.shown) = (Some(now), now);
        if !self.blocks.is_empty() {
            self.blocks.clear();
        }
        true
    }

    /// The block of the frame returned last.
    #[inline]
    pub(super) fn block(&self) -> &Arc<Block> {
        self.blocks.front().map_or_else(|| self.source.block(), |(_, block)| block)
    }

    /// The comments of the frame returned last.
    pub(super) fn comments(&self, meta: &FrameMeta) -> Vec<&[u8]> {
        self.source.comments(meta, self.block())
    }

    #[cold]
    fn next_held(&mut self) -> Option<FrameMeta> {
        loop {
            if let Some(meta) = self.release() {
                return Some(meta);
            }
            let next = if self.ended { None } else { self.source.next_frame() };
            match next {
                Some(meta) => self.hold(meta),
                None if self.held.is_empty() => return None,
                None => self.end(),
            }
        }
    }

    /// Handles the end of the file.
    fn end(&mut self) {
        self.ended = true;
        (0..self.lanes.len()).for_each(|of| self.weigh_silences(of));
    }

    fn weigh_silences(&mut self, of: usize) {
        let Some(lane) = self.lanes.get_mut(of) else { return };
        let waiting = self.held.iter().filter(|held| held.waits_in(of));
        let silences = silences(lane.clock, waiting.map(|held| held.meta.time));
        lane.quiet = silences >= SILENCES_MANY;
    }

    /// Appends a frame to those held.
    fn hold(&mut self, meta: FrameMeta) {
        let at = lane_of(&meta);
        while self.lanes.len() <= at {
            self.lanes.push(Lane::default());
        }
        if self.held.is_empty() {
            self.blocks.clear();
        }
        let block = match self.blocks.back() {
            Some((number, block)) if Arc::ptr_eq(block, self.source.block()) => *number,
            newest => {
                let number = newest.map_or(0, |(number, _)| number + 1);
                self.blocks.push_back((number, Arc::clone(self.source.block())));
                number
            }
        };
        let decision = if meta.trust.measures() { Decision::Pending } else { Decision::Refuted };
        self.held.push_back(Held { meta, block, decision });
        if decision == Decision::Pending {
            if let Some(lane) = self.lanes.get_mut(at) {
                lane.meter.read(meta.time);
            }
            self.judge(self.first + self.held.len() as u64 - 1);
        }
    }

    /// Decides on held frames from the time of a new one, then on the new one.
    fn judge(&mut self, number: u64) {
        let Some((of, time)) = self.waiting(number) else { return };
        let Some(lane) = self.lanes.get_mut(of) else { return };
        let Some(clock) = lane.clock else { return };
        lane.waiting += 1;
        if time.plus(BACK) < clock {
            lane.behind.push_back(number);
            return;
        }
        if !lane.behind.is_empty() {
            self.settle_behind(of, time);
        }
        if let Some(lane) = self.lanes.get_mut(of) {
            let leapt = lane.fallen_back(time);
            self.settle_run(of, leapt);
        }
        self.place(of, number, time);
    }

    /// The clock continues, so the frames behind it can be decided.
    fn settle_behind(&mut self, of: usize, now: Nanos) {
        let Some(lane) = self.lanes.get_mut(of) else { return };
        let (clock, numbers) = (lane.clock.unwrap_or_default(), std::mem::take(&mut lane.behind));
        let mut run = Vec::with_capacity(numbers.len());
        let mut others = Vec::new();
        for number in numbers {
            let Some((_, time)) = self.waiting(number) else { continue };
            if time.plus(BACK) < clock {
                run.push((number, time));
            } else {
                // The clock was set back since.
                others.push((number, time));
            }
        }
        self.settle_run(of, run);
        for (number, time) in others {
            if self.lanes.get(of).is_some_and(|lane| lane.falls_back(time, now)) {
                self.settle(of, number, Decision::Refuted);
            } else {
                self.place(of, number, time);
            }
        }
    }

    /// Decides on frames, in their order, that are away from their lane's clock: they keep their
    /// times as doubtful if they are many and increase like a clock.
    fn settle_run(&mut self, of: usize, run: Vec<(u64, Nanos)>) {
        let keeps = run.len() > RUN_SHORT && goes_on(run.iter().map(|(_, time)| *time));
        for (number, _) in run {
            self.settle(of, number, if keeps { Decision::Doubtful } else { Decision::Refuted });
        }
    }

    /// Believes a frame if it fits its lane's clock; else holds it.
    fn place(&mut self, of: usize, number: u64, time: Nanos) {
        let Some(lane) = self.lanes.get_mut(of) else { return };
        if lane.fits(time) {
            lane.clock = lane.clock.map(|clock| clock.max(time));
            self.settle(of, number, Decision::Believed);
            self.follow_clock(of);
        } else if lane.clock.is_some_and(|clock| time < clock) {
            lane.behind.push_back(number);
        } else {
            lane.ahead.insert((time, number));
        }
    }

    /// The clock of a lane has advanced: held frames ahead of it may fit now.
    fn follow_clock(&mut self, of: usize) {
        while let Some(number) = self.lanes.get_mut(of).and_then(Lane::reached) {
            self.settle(of, number, Decision::Believed);
        }
    }

    /// Stores the decision on a frame.
    fn settle(&mut self, of: usize, number: u64, decision: Decision) {
        if let Some(held) = self.at(number) {
            held.decision = decision;
        }
        if let Some(lane) = self.lanes.get_mut(of) {
            lane.waiting = lane.waiting.saturating_sub(1);
        }
    }

    /// A held frame, by its number.
    fn at(&mut self, number: u64) -> Option<&mut Held> {
        #[cfg(test)]
        {
            self.visits += 1;
        }
        let at = number.checked_sub(self.first)?;
        self.held.get_mut(usize::try_from(at).ok()?)
    }

    /// Lane and time of an undecided frame.
    fn waiting(&mut self, number: u64) -> Option<(usize, Nanos)> {
        let held = self.at(number).filter(|held| held.decision == Decision::Pending)?;
        Some((lane_of(&held.meta), held.meta.time))
    }

    /// Returns the first held frame if it is decided.
    fn release(&mut self) -> Option<FrameMeta> {
        let front = self.held.front()?;
        let (of, time) = (lane_of(&front.meta), front.meta.time);
        if self.lanes.get(of)?.clock.is_none() {
            if !self.must_decide() {
                return None;
            }
            self.begin(of);
        }
        let decides = self.must_decide();
        let (front, lane) = (self.held.front()?, self.lanes.get_mut(of)?);
        let clock = lane.clock.unwrap_or_default();
        let trust = match front.decision {
            Decision::Believed => Trust::Believed,
            Decision::Doubtful => Trust::Doubtful,
            Decision::Refuted => Trust::Absent,
            Decision::Pending if lane.fits(time) => Trust::Believed,
            Decision::Pending if decides => lane.decide(time, self.ended, self.held.len()),
            Decision::Pending => return None,
        };
        if front.decision == Decision::Pending {
            lane.forget(self.first, time);
            match trust {
                Trust::Believed => lane.clock = Some(clock.max(time)),
                Trust::SetBack => (lane.clock, lane.shown) = (Some(time), time),
                Trust::Doubtful | Trust::Absent => {}
            }
            self.follow_clock(of);
        }
        let held = self.held.pop_front()?;
        self.first += 1;
        let lane = self.lanes.get_mut(of)?;
        while self.blocks.front().is_some_and(|(number, _)| *number < held.block) {
            self.blocks.pop_front();
        }
        let mut meta = held.meta;
        meta.grain = meta.grain.max(lane.meter.grain());
        match trust {
            Trust::Believed | Trust::SetBack => lane.shown = lane.shown.max(time),
            Trust::Absent => meta.time = lane.shown,
            // Later frames have other times: nothing confirms this one.
            Trust::Doubtful => {}
        }
        meta.trust = trust;
        Some(meta)
    }

    /// Whether the first held frame must be decided now.
    fn must_decide(&self) -> bool {
        self.ended || self.held.len() >= self.window || self.blocks.len() > BLOCKS_MAX
    }

    /// Chooses where a lane's clock starts. Each candidate is the first frame that did not follow
    /// the candidate before; the one that most frames follow wins. Frames before it do not set the
    /// clock.
    #[cold]
    fn begin(&mut self, of: usize) {
        let numbered = self.held.iter().enumerate().filter(|(_, held)| held.waits_in(of));
        let times: Vec<(usize, Nanos)> = numbered.map(|(at, held)| (at, held.meta.time)).collect();
        let (mut best, mut most, mut next) = (0, 0, Some(0));
        for _ in 0..BEGINNINGS {
            let Some(from) = next else { break };
            let (followed, missed) = follow(times.get(from..).unwrap_or_default());
            if followed > most {
                (best, most) = (from, followed);
            }
            next = missed.map(|missed| from + missed);
        }
        // If no frame has a time, the start is zero, as for a file without times.
        let start = times.get(best).map_or(Nanos::ZERO, |(_, time)| *time);
        if let Some(lane) = self.lanes.get_mut(of) {
            (lane.clock, lane.shown) = (Some(start), start);
        }
        if !times.is_empty() {
            self.begun = Some(self.begun.map_or(start, |begun| begun.min(start)));
        }
        let (before, others) = times.split_at(best.min(times.len()));
        let ahead = before.iter().map(|(_, time)| *time).filter(|time| *time >= start);
        let keeps = ahead.clone().count() > RUN_SHORT && goes_on(ahead);
        for (at, time) in before {
            if let Some(held) = self.held.get_mut(*at) {
                let keeps = keeps || *time < start;
                held.decision = if keeps { Decision::Doubtful } else { Decision::Refuted };
            }
        }
        others.iter().for_each(|(at, _)| self.judge(self.first + *at as u64));
        if self.ended {
            self.weigh_silences(of);
        }
    }

    /// The earliest start time of any interface, once known.
    pub(super) fn begun(&self) -> Option<Nanos> {
        self.begun
    }

    /// Sets the file's final index, before any of its blocks is shared.
    pub(super) fn set_file(&mut self, file: u16) {
        let newest = self.blocks.pop_back();
        let is_present = |block: &Arc<Block>| Arc::ptr_eq(block, self.source.block());
        match newest {
            Some((number, block)) if is_present(&block) => {
                drop(block);
                self.source.set_file(file);
                self.blocks.push_back((number, Arc::clone(self.source.block())));
            }
            newest => {
                self.source.set_file(file);
                self.blocks.extend(newest);
            }
        }
        for (_, block) in &mut self.blocks {
            if let Some(block) = Arc::get_mut(block) {
                block.set_file(file);
            }
        }
    }

    /// Stored bytes read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    /// Ends reading and returns the file's report.
    pub(super) fn verdict(self) -> FileReport {
        self.source.verdict()
    }
}

impl Held {
    /// Whether it is undecided, in this lane.
    fn waits_in(&self, lane: usize) -> bool {
        self.decision == Decision::Pending && lane_of(&self.meta) == lane
    }
}

/// The lane of a frame.
#[inline]
fn lane_of(meta: &FrameMeta) -> usize {
    usize::from(meta.interface).min(LANES - 1)
}

#[cfg(test)]
#[path = "chronology_tests.rs"]
mod tests;
