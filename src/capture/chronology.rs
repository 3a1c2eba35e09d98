//! Which times of a file are believed.
//!
//! Owns: the clock of each capture interface of a file, the frames whose time waits for the word of
//! those that follow. In: a [`FileSource`]. Out: its frames in the same order, each with a time and
//! how far that is to be believed. Never: holds more than a window of frames, or changes a time
//! that fits.
//!
//! Timers run on packet time, so a few frames with a false time would end every session, or none
//! ever again. A time that fits its clock passes at once. One that does not, for it leaps ahead or
//! falls far behind, waits: where a later frame falls back behind a leap, or goes on where the
//! clock stands, the leap was false. Frames elsewhere whose own times go on, and that are many,
//! keep those, in doubt: a clock may have been set for a while. Where a whole window
//! passes and none does, the clock is there now: so a night without packets, a clock that was set,
//! and captures joined end to end are followed, and a clock that was led astray by more false
//! times than the window holds is led back.

mod lane;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::capture::block::Block;
use crate::capture::chronology::lane::BACK;
use crate::capture::chronology::lane::Lane;
use crate::capture::chronology::lane::RUN_SHORT;
use crate::capture::chronology::lane::SILENCES_MANY;
use crate::capture::chronology::lane::follow;
use crate::capture::chronology::lane::goes_on;
use crate::capture::chronology::lane::silences;
use crate::capture::report::FileReport;
use crate::capture::source::FileSource;
use crate::capture::source::FrameMeta;
use crate::model::Nanos;
use crate::model::Trust;

/// Frames that wait at most.
pub(super) const WINDOW: usize = 2_048;

/// Blocks that they keep at most; a frame more may be in another.
const BLOCKS_MAX: usize = 16;

/// Capture interfaces of a file with a clock of their own; the others share the last.
const LANES: usize = 16;

/// Beginnings of a file that are tried.
const BEGINNINGS: usize = 4;

/// What is known of the time of a frame that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waits,
    Believed,
    Doubtful,
    Refuted,
}

/// A frame that waits.
#[derive(Debug)]
struct Held {
    meta: FrameMeta,
    /// Its block, by number.
    block: u64,
    fate: Fate,
}

/// A file whose frames come with times that are believed, or said not to be.
pub(super) struct Chronology {
    source: FileSource,
    window: usize,
    lanes: Vec<Lane>,
    held: VecDeque<Held>,
    /// The number of the first of those; each has the next.
    first: u64,
    /// The blocks of those, and before them that of the frame given last, if that had waited.
    blocks: VecDeque<(u64, Arc<Block>)>,
    ended: bool,
    /// The earliest time at which an interface was found to begin.
    begun: Option<Nanos>,
    /// Frames looked at among those that wait.
    #[cfg(test)]
    visits: u64,
}

impl Chronology {
    /// Over a file of which no frame was taken; so many frames wait at most.
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
    #[inline(always)]
    pub(super) fn next_frame(&mut self) -> Option<FrameMeta> {
        if !self.held.is_empty() {
            return self.next_held();
        }
        let mut meta = self.source.next_frame()?;
        if self.passes(&mut meta) {
            return Some(meta);
        }
        self.hold(meta);
        self.next_held()
    }

    /// Takes the time of a frame that comes when none waits, where it needs nobody's word.
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

    /// The block that holds the frame returned last.
    #[inline]
    pub(super) fn block(&self) -> &Arc<Block> {
        self.blocks.front().map_or_else(|| self.source.block(), |(_, block)| block)
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

    /// No frame follows.
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

    /// Puts a frame behind those that wait.
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
        let fate = if meta.trust.measures() { Fate::Waits } else { Fate::Refuted };
        self.held.push_back(Held { meta, block, fate });
        if fate == Fate::Waits {
            if let Some(lane) = self.lanes.get_mut(at) {
                lane.meter.read(meta.time);
            }
            self.judge(self.first + self.held.len() as u64 - 1);
        }
    }

    /// A frame has come: what its time says of those that wait, and its lane's clock of it.
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

    /// The clock goes on where it stands: what its frames behind it were.
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
                self.settle(of, number, Fate::Refuted);
            } else {
                self.place(of, number, time);
            }
        }
    }

    /// The clock of a lane is not where these frames say, which are in their order: they keep their
    /// times, in doubt, where those go on as those of a clock do, and are many.
    fn settle_run(&mut self, of: usize, run: Vec<(u64, Nanos)>) {
        let keeps = run.len() > RUN_SHORT && goes_on(run.iter().map(|(_, time)| *time));
        for (number, _) in run {
            self.settle(of, number, if keeps { Fate::Doubtful } else { Fate::Refuted });
        }
    }

    /// A frame that nothing refutes is believed where it fits its lane's clock, and waits where it
    /// does not.
    fn place(&mut self, of: usize, number: u64, time: Nanos) {
        let Some(lane) = self.lanes.get_mut(of) else { return };
        if lane.fits(time) {
            lane.clock = lane.clock.map(|clock| clock.max(time));
            self.settle(of, number, Fate::Believed);
            self.follow_clock(of);
        } else if lane.clock.is_some_and(|clock| time < clock) {
            lane.behind.push_back(number);
        } else {
            lane.ahead.insert((time, number));
        }
    }

    /// The clock of a lane has gone on: frames that wait ahead of it may fit now.
    fn follow_clock(&mut self, of: usize) {
        while let Some(number) = self.lanes.get_mut(of).and_then(Lane::reached) {
            self.settle(of, number, Fate::Believed);
        }
    }

    /// What becomes of a frame is known.
    fn settle(&mut self, of: usize, number: u64, fate: Fate) {
        if let Some(held) = self.at(number) {
            held.fate = fate;
        }
        if let Some(lane) = self.lanes.get_mut(of) {
            lane.waiting = lane.waiting.saturating_sub(1);
        }
    }

    /// A frame that is held, by its number.
    fn at(&mut self, number: u64) -> Option<&mut Held> {
        #[cfg(test)]
        {
            self.visits += 1;
        }
        let at = number.checked_sub(self.first)?;
        self.held.get_mut(usize::try_from(at).ok()?)
    }

    /// Lane and time of a frame that waits.
    fn waiting(&mut self, number: u64) -> Option<(usize, Nanos)> {
        let held = self.at(number).filter(|held| held.fate == Fate::Waits)?;
        Some((lane_of(&held.meta), held.meta.time))
    }

    /// Gives the first frame that waits, if its fate is known by now.
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
        let mut trust = match front.fate {
            Fate::Believed => Trust::Believed,
            Fate::Doubtful => Trust::Doubtful,
            Fate::Refuted => Trust::Absent,
            Fate::Waits if lane.fits(time) => Trust::Believed,
            Fate::Waits if decides => lane.decide(time, self.ended, self.held.len()),
            Fate::Waits => return None,
        };
        if front.fate == Fate::Waits {
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
            // Another frame, believed meanwhile, stands there.
            Trust::Doubtful if lane.fits(time) => trust = Trust::Believed,
            Trust::Doubtful => {}
        }
        meta.trust = trust;
        Some(meta)
    }

    /// Whether no more frames can be waited for.
    fn must_decide(&self) -> bool {
        self.ended || self.held.len() >= self.window || self.blocks.len() > BLOCKS_MAX
    }

    /// Chooses where a lane begins: of the frames that were not followed by the others, the next
    /// is tried, and the one wins that most follow. What stands before it is no time to begin at.
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
        // Where no frame has a time they have that of what was before, which is nothing.
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
                held.fate = if keeps { Fate::Doubtful } else { Fate::Refuted };
            }
        }
        others.iter().for_each(|(at, _)| self.judge(self.first + *at as u64));
        if self.ended {
            self.weigh_silences(of);
        }
    }

    /// The earliest time at which one of its interfaces was found to begin, once that is known.
    pub(super) fn begun(&self) -> Option<Nanos> {
        self.begun
    }

    /// Gives the file its final index, before any of its blocks was handed out.
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

    /// Ends the reading and says what became of the file.
    pub(super) fn verdict(self) -> FileReport {
        self.source.verdict()
    }
}

impl Held {
    /// Whether it waits for a word on its time, in that lane.
    fn waits_in(&self, lane: usize) -> bool {
        self.fate == Fate::Waits && lane_of(&self.meta) == lane
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
