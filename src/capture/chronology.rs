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
//! clock stands, the leap was false. Frames behind the clock whose own times go on, and that are
//! many, keep those, in doubt: a clock may have been set back for a while. Where a whole window
//! passes and none does, the clock is there now: so a night without packets, a clock that was set,
//! and captures joined end to end are followed, and a clock that was led astray by more false
//! times than the window holds is led back.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::capture::block::Block;
use crate::capture::meter::Meter;
use crate::capture::report::FileReport;
use crate::capture::source::FileSource;
use crate::capture::source::FrameMeta;
use crate::model::Nanos;
use crate::model::Trust;

/// Frames that wait at most.
pub(super) const WINDOW: usize = 2_048;

/// Blocks that they keep at most; a frame more may be in another.
const BLOCKS_MAX: usize = 16;

/// A step ahead that needs nobody's word. It is shorter than any session's time-out.
const STRIDE: Nanos = Nanos::from_secs(2);

/// A step back that needs none: frames of several queues come out of order.
const BACK: Nanos = Nanos::from_secs(10);

/// A silence in which every session ends (an established TCP session has an hour), less what a
/// clock may be behind. At the end of a file, where no window follows, nothing tells frames behind
/// such a silence from frames with a false time.
const SILENCE: Nanos = Nanos::from_secs(3_540);

/// Capture interfaces of a file with a clock of their own; the others share the last.
const LANES: usize = 16;

/// Beginnings of a file that are tried.
const BEGINNINGS: usize = 4;

/// A run of frames behind the clock that is no longer than this is false: whatever makes up a time
/// makes up a few.
const RUN_SHORT: usize = 16;

/// So many such silences one after the other are how a quiet capture goes.
const SILENCES_MANY: usize = 3;

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

/// The clock of one capture interface.
#[derive(Debug, Default)]
struct Lane {
    /// Where it stands; nothing before its beginning is chosen.
    clock: Option<Nanos>,
    /// Where it stood at the last frame given.
    shown: Nanos,
    /// Frames that wait, the latest time of those ahead, and how many are behind.
    waiting: usize,
    latest: Nanos,
    behind: usize,
    /// The file is over: those that wait are ahead, with many long silences between them.
    quiet: bool,
    meter: Meter,
}

/// A file whose frames come with times that are believed, or said not to be.
pub(super) struct Chronology {
    source: FileSource,
    window: usize,
    lanes: Vec<Lane>,
    held: VecDeque<Held>,
    /// The blocks of those, and before them that of the frame given last, if that had waited.
    blocks: VecDeque<(u64, Arc<Block>)>,
    ended: bool,
    /// The earliest time at which an interface was found to begin.
    begun: Option<Nanos>,
}

impl Chronology {
    /// Over a file of which no frame was taken; so many frames wait at most.
    pub(super) fn new(source: FileSource, window: usize) -> Chronology {
        Chronology {
            source,
            window: window.max(1),
            lanes: Vec::new(),
            held: VecDeque::new(),
            blocks: VecDeque::new(),
            ended: false,
            begun: None,
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
            self.judge(self.held.len() - 1);
        }
    }

    /// A frame has come: what its time says of those that wait, and its lane's clock of it.
    fn judge(&mut self, at: usize) {
        let Some(time) = self.held.get(at).map(|held| held.meta.time) else { return };
        let of = self.held.get(at).map_or(0, |held| lane_of(&held.meta));
        let Some(lane) = self.lanes.get_mut(of) else { return };
        let Some(clock) = lane.clock else { return };
        lane.waiting += 1;
        if time.plus(BACK) < clock {
            lane.behind += 1;
            return;
        }
        let falls_back = |waits: Nanos| waits > time.plus(STRIDE) && waits > clock;
        if lane.behind > 0 || falls_back(lane.latest) {
            let goes_on = lane.behind > RUN_SHORT && {
                let waiting = self.held.range(..at).filter(|held| held.waits_in(of));
                let times = waiting.map(|held| held.meta.time);
                goes_on(times.filter(|time| time.plus(BACK) < clock))
            };
            (lane.behind, lane.latest) = (0, Nanos::ZERO);
            for held in self.held.range_mut(..at) {
                let waits = held.meta.time;
                if !held.waits_in(of) {
                    continue;
                }
                if waits.plus(BACK) < clock || falls_back(waits) {
                    let behind = waits.plus(BACK) < clock;
                    held.fate = if behind && goes_on { Fate::Doubtful } else { Fate::Refuted };
                    lane.waiting -= 1;
                } else {
                    lane.latest = lane.latest.max(waits);
                }
            }
        }
        if lane.fits(time) {
            lane.waiting -= 1;
            lane.clock = Some(clock.max(time));
            if let Some(held) = self.held.get_mut(at) {
                held.fate = Fate::Believed;
            }
        } else {
            lane.latest = lane.latest.max(time);
        }
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
            lane.waiting = lane.waiting.saturating_sub(1);
            lane.behind -= usize::from(lane.behind > 0 && time.plus(BACK) < clock);
            match trust {
                Trust::Believed => lane.clock = Some(clock.max(time)),
                Trust::SetBack => (lane.clock, lane.shown) = (Some(time), time),
                Trust::Doubtful | Trust::Absent => {}
            }
        }
        let held = self.held.pop_front()?;
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
        for (index, (at, time)) in times.into_iter().enumerate() {
            if index >= best {
                self.judge(at);
            } else if let Some(held) = self.held.get_mut(at) {
                held.fate = if time < start { Fate::Doubtful } else { Fate::Refuted };
            }
        }
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

impl Lane {
    /// Whether a time needs nobody's word.
    #[inline]
    fn fits(&self, time: Nanos) -> bool {
        self.clock.is_some_and(|clock| time <= clock.plus(STRIDE) && time.plus(BACK) >= clock)
    }

    /// What is believed of a time that nobody has refuted, now that no more is known.
    fn decide(&self, time: Nanos, ended: bool, held: usize) -> Trust {
        let clock = self.clock.unwrap_or_default();
        // A window that other interfaces filled tells nothing of this one.
        let followed = !ended && self.waiting.saturating_mul(4) >= held;
        match time.checked_since(clock) {
            Some(leap) if followed || self.quiet || leap < SILENCE => Trust::Believed,
            None if followed => Trust::SetBack,
            _ => Trust::Doubtful,
        }
    }
}

/// The lane of a frame.
#[inline]
fn lane_of(meta: &FrameMeta) -> usize {
    usize::from(meta.interface).min(LANES - 1)
}

/// Whether times go on as those of a clock do: that was set back for a while, or of a capture
/// that was joined in between. What begins there has them; no timer moves.
fn goes_on(mut times: impl Iterator<Item = Nanos>) -> bool {
    let Some(first) = times.next() else { return false };
    let mut last = first;
    for time in times {
        if time.plus(STRIDE) < last || time > last.plus(BACK) {
            return false;
        }
        last = time;
    }
    last > first
}

/// How many silences that end every session these times tell of, each held against the one before.
fn silences(clock: Option<Nanos>, times: impl Iterator<Item = Nanos>) -> usize {
    let Some(mut clock) = clock else { return 0 };
    let mut silences = 0;
    for time in times {
        silences += usize::from(time.since(clock) >= SILENCE);
        clock = clock.max(time);
    }
    silences
}

/// How many of these times follow the first, and the first that does not.
fn follow(times: &[(usize, Nanos)]) -> (usize, Option<usize>) {
    let Some((_, first)) = times.first().copied() else { return (0, None) };
    let (mut clock, mut followed, mut missed) = (first, 1, usize::MAX);
    let mut ahead: Vec<(usize, Nanos)> = Vec::new();
    for (index, (_, time)) in times.iter().copied().enumerate().skip(1) {
        if time.plus(BACK) < clock {
            missed = missed.min(index);
            continue;
        }
        while let Some((leapt, _)) = ahead.pop_if(|(_, leapt)| *leapt > time.plus(STRIDE)) {
            missed = missed.min(leapt);
        }
        if time <= clock.plus(STRIDE) {
            clock = clock.max(time);
            followed += 1;
        } else {
            ahead.push((index, time));
        }
    }
    let quiet = silences(Some(clock), ahead.iter().map(|(_, time)| *time)) >= SILENCES_MANY;
    for (index, time) in ahead {
        if time.since(clock) >= SILENCE && !quiet {
            missed = missed.min(index);
        } else {
            clock = clock.max(time);
            followed += 1;
        }
    }
    (followed, (missed != usize::MAX).then_some(missed))
}

#[cfg(test)]
#[path = "chronology_tests.rs"]
mod tests;
