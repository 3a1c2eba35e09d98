//! The clock of one capture interface of a file.
//!
//! Owns: the current time, and the numbers of undecided frames ahead of it and behind it. In:
//! times. Out: which fit. Never: frames. Each step costs the logarithm of the number of undecided
//! frames.

use std::collections::{BTreeSet, VecDeque};

use crate::capture::meter::Meter;
use crate::model::{Nanos, Trust};

/// The largest step ahead that is believed at once. It is shorter than any session timeout.
const STRIDE: Nanos = Nanos::from_secs(2);

/// The largest step back that is believed at once: frames of several queues arrive out of order.
pub(super) const BACK: Nanos = Nanos::from_secs(10);

/// A silence in which every session times out (an hour for an established TCP session), less the
/// tolerance of the clock. At the end of a file, where no window follows, frames after such a
/// silence cannot be told from frames with false timestamps.
const SILENCE: Nanos = Nanos::from_secs(3_540);

/// A run of frames away from the clock that is no longer than this is false: faulty timestamps come
/// in small numbers.
pub(super) const RUN_SHORT: usize = 16;

/// A capture with this many such silences in a row is a quiet one.
pub(super) const SILENCES_MANY: usize = 3;

/// The clock of one capture interface.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The current time; `None` until the start time is chosen.
    pub(super) clock: Option<Nanos>,
    /// The clock at the last frame returned.
    pub(super) shown: Nanos,
    /// The number of undecided frames.
    pub(super) waiting: usize,
    /// Those ahead of the clock, by time; none of them fits.
    pub(super) ahead: BTreeSet<(Nanos, u64)>,
    /// Those that were behind the clock on arrival, in order.
    pub(super) behind: VecDeque<u64>,
    /// The file has ended, and the undecided frames ahead have many long silences between them.
    pub(super) quiet: bool,
    pub(super) meter: Meter,
}

impl Lane {
    /// Whether a time is believed at once.
    #[inline]
    pub(super) fn fits(&self, time: Nanos) -> bool {
        self.clock.is_some_and(|clock| time <= clock.plus(STRIDE) && time.plus(BACK) >= clock)
    }

    /// Whether an undecided frame leapt ahead of `now`, to which the clock falls back.
    pub(super) fn falls_back(&self, waits: Nanos, now: Nanos) -> bool {
        waits > now.plus(STRIDE) && self.clock.is_some_and(|clock| waits > clock)
    }

    /// Takes the undecided frames that leapt ahead of this time, in order of arrival.
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

    /// Takes one undecided frame that the clock has reached, and moves the clock to it.
    pub(super) fn reached(&mut self) -> Option<u64> {
        let (clock, (time, _)) = (self.clock?, self.ahead.first()?);
        if *time > clock.plus(STRIDE) {
            return None;
        }
        self.clock = Some(clock.max(*time));
        self.ahead.pop_first().map(|(_, number)| number)
    }

    /// Removes the first undecided frame, which is being returned.
    pub(super) fn forget(&mut self, number: u64, time: Nanos) {
        self.waiting = self.waiting.saturating_sub(1);
        if self.behind.front() == Some(&number) {
            self.behind.pop_front();
        } else {
            self.ahead.remove(&(time, number));
        }
    }

    /// The trust in a time that nothing has refuted, when no more evidence will come.
    pub(super) fn decide(&self, time: Nanos, ended: bool, held: usize) -> Trust {
        let clock = self.clock.unwrap_or_default();
        // A window filled by other interfaces says nothing about this one.
        let followed = !ended && self.waiting.saturating_mul(4) >= held;
        match time.checked_since(clock) {
            Some(leap) if followed || self.quiet || leap < SILENCE => Trust::Believed,
            None if followed => Trust::SetBack,
            _ => Trust::Doubtful,
        }
    }
}

/// Whether times increase like those of a clock: one that was set for a while, or one of a capture
/// that was joined in between. Sessions that start there use these times; timers do not.
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

/// The number of silences between consecutive times that are long enough to end every session.
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
