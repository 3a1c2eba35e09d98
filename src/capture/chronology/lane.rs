//! The clock of one capture interface of a file.
//!
//! Owns: where it stands, and which of the frames that wait are ahead of it and behind it, by their
//! numbers. In: times. Out: which fit. Never: frames. Each step costs the logarithm of what waits.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use crate::capture::meter::Meter;
use crate::model::Nanos;
use crate::model::Trust;

/// A step ahead that needs nobody's word. It is shorter than any session's time-out.
const STRIDE: Nanos = Nanos::from_secs(2);

/// A step back that needs none: frames of several queues come out of order.
pub(super) const BACK: Nanos = Nanos::from_secs(10);

/// A silence in which every session ends (an established TCP session has an hour), less what a
/// clock may be behind. At the end of a file, where no window follows, nothing tells frames behind
/// such a silence from frames with a false time.
const SILENCE: Nanos = Nanos::from_secs(3_540);

/// A run of frames away from the clock that is no longer than this is false: whatever makes up a
/// time makes up a few.
pub(super) const RUN_SHORT: usize = 16;

/// So many such silences one after the other are how a quiet capture goes.
pub(super) const SILENCES_MANY: usize = 3;

/// The clock of one capture interface.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Where it stands; nothing before its beginning is chosen.
    pub(super) clock: Option<Nanos>,
    /// Where it stood at the last frame given.
    pub(super) shown: Nanos,
    /// Frames that wait.
    pub(super) waiting: usize,
    /// Those that are ahead of the clock, by time; none of them fits.
    pub(super) ahead: BTreeSet<(Nanos, u64)>,
    /// Those that were behind it when they came, in their order.
    pub(super) behind: VecDeque<u64>,
    /// The file is over: those that wait are ahead, with many long silences between them.
    pub(super) quiet: bool,
    pub(super) meter: Meter,
}

impl Lane {
    /// Whether a time needs nobody's word.
    #[inline]
    pub(super) fn fits(&self, time: Nanos) -> bool {
        self.clock.is_some_and(|clock| time <= clock.plus(STRIDE) && time.plus(BACK) >= clock)
    }

    /// Whether a frame that waits leapt ahead of this time, to which the clock falls back.
    pub(super) fn falls_back(&self, waits: Nanos, now: Nanos) -> bool {
        waits > now.plus(STRIDE) && self.clock.is_some_and(|clock| waits > clock)
    }

    /// Takes out those that wait ahead and leapt ahead of this time, in the order in which they
    /// came.
    pub(super) fn fallen_back(&mut self, now: Nanos) -> Vec<(u64, Nanos)> {
        let mut leapt = Vec::new();
        while let Some((time, number)) = self.ahead.last().copied()
            && self.falls_back(time, now)
        {
            self.ahead.pop_last();
            leapt.push((number, time));
        }
        leapt.sort_unstable();
        leapt
    }

    /// Takes out one that waits ahead and that the clock has come up to, and moves the clock there.
    pub(super) fn reached(&mut self) -> Option<u64> {
        let (clock, (time, _)) = (self.clock?, self.ahead.first()?);
        if *time > clock.plus(STRIDE) {
            return None;
        }
        self.clock = Some(clock.max(*time));
        self.ahead.pop_first().map(|(_, number)| number)
    }

    /// The first of all frames that wait is given.
    pub(super) fn forget(&mut self, number: u64, time: Nanos) {
        self.waiting = self.waiting.saturating_sub(1);
        if self.behind.front() == Some(&number) {
            self.behind.pop_front();
        } else {
            self.ahead.remove(&(time, number));
        }
    }

    /// What is believed of a time that nobody has refuted, now that no more is known.
    pub(super) fn decide(&self, time: Nanos, ended: bool, held: usize) -> Trust {
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

/// Whether times go on as those of a clock do: that was set back for a while, or of a capture
/// that was joined in between. What begins there has them; no timer moves.
pub(super) fn goes_on(mut times: impl Iterator<Item = Nanos>) -> bool {
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
pub(super) fn silences(clock: Option<Nanos>, times: impl Iterator<Item = Nanos>) -> usize {
    let Some(mut clock) = clock else { return 0 };
    let mut silences = 0;
    for time in times {
        silences += usize::from(time.since(clock) >= SILENCE);
        clock = clock.max(time);
    }
    silences
}

/// How many of these times follow the first, and the first that does not.
pub(super) fn follow(times: &[(usize, Nanos)]) -> (usize, Option<usize>) {
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
