//! The run's clock: the seconds that timers run on. In a live run also: which frame's time is
//! believed.
//!
//! Owns: the clock's second, and the current packet time. In: believed times. Out: a second that
//! never steps back. Never: the machine's clock.
//!
//! For a file, capture decides which times are believed ([`crate::model::Trust`]). For an interface
//! the capture loop knows how much time has passed: see [`Watch`].

use crate::model::{Nanos, Trust};

/// The clock starts here at the latest, in the year 2096, so that it has years left within 32 bits.
/// No output contains this time.
const LATEST_BEGINNING: u64 = 4_000_000_000;

/// The run's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    now: u32,
    /// The second of packet time that it corresponds to, once one is believed.
    level: Option<u64>,
    /// Where the next second begins: an earlier time advances nothing.
    until: Nanos,
    /// A step longer than this ends every session, so no longer one is needed.
    longest: u32,
}

impl Clock {
    /// A clock that advances by at most `longest` seconds at once.
    pub(super) const fn new(longest: u32) -> Clock {
        Clock { now: 0, level: None, until: Nanos::ZERO, longest }
    }

    /// The clock's second: 0 until a time is believed.
    pub(super) fn now(&self) -> u32 {
        self.now
    }

    /// Whether no time was believed yet.
    pub(super) fn is_new(&self) -> bool {
        self.level.is_none()
    }

    /// Whether packet time is about there.
    pub(super) fn stands_at(&self, time: Nanos) -> bool {
        self.level.is_some_and(|level| level.abs_diff(time.as_secs()) <= 2)
    }

    /// Advances to a believed time; an earlier one changes nothing.
    #[inline]
    pub(super) fn advance(&mut self, time: Nanos) {
        if time >= self.until {
            self.advance_to(time.as_secs());
        }
    }

    /// Advances to a second.
    fn advance_to(&mut self, second: u64) {
        match self.level {
            Some(level) if second <= level => {}
            Some(level) => {
                let step = (second - level).min(u64::from(self.longest));
                // 32 bits of steps from the start: more than a century.
                self.now = self.now.saturating_add(u32::try_from(step).unwrap_or(self.longest));
                self.stand_at(second);
            }
            None => {
                self.now = u32::try_from(second.min(LATEST_BEGINNING)).unwrap_or(0).max(1);
                self.stand_at(second);
            }
        }
    }

    fn stand_at(&mut self, second: u64) {
        self.level = Some(second);
        self.until = Nanos::from_secs(second.saturating_add(1));
    }

    /// Packet time went back to here, because it had been misled or was changed: the clock stops,
    /// and continues with packet time from here.
    pub(super) fn set_back(&mut self, time: Nanos) {
        let second = time.as_secs();
        self.stand_at(self.level.map_or(second, |level| level.min(second)));
        self.advance(time);
    }
}

/// The largest deviation of a frame's time from the expected time: clocks of cards drift, and
/// frames wait in a ring while everything behind it is busy.
const STRAY: Nanos = Nanos::from_secs(60);

/// After this time without any frame of an expected time, or this many others, the system's clock
/// was changed.
const SET_AFTER: Nanos = Nanos::from_secs(2);
const SET_AFTER_FRAMES: u32 = 2_048;

/// Decides which frames of a live run have a believable time. Packet time advances as fast as time
/// passes, so a time far from the expected one is false, or the system's clock was changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    /// The expected time, once known.
    expected: Option<Nanos>,
    /// The expected time when the first of the current outliers came, and their number.
    since: Nanos,
    strays: u32,
    /// The system's clock was changed, and the capture loop does not know yet.
    set: bool,
}

impl Watch {
    /// Sets the current time, as far as packets have shown it.
    pub(super) fn set_expected(&mut self, now: Option<Nanos>) {
        self.expected = now;
    }

    /// The trust in a frame's time, if believed time is at `last`.
    #[inline]
    pub(super) fn judge(&mut self, time: Nanos, last: Nanos) -> Trust {
        let Some(expected) = self.expected else { return Trust::Believed };
        if time <= expected.plus(STRAY) && time.plus(STRAY) >= last {
            self.strays = 0;
            return Trust::Believed;
        }
        self.judge_stray(time, last, expected)
    }

    #[cold]
    fn judge_stray(&mut self, time: Nanos, last: Nanos, expected: Nanos) -> Trust {
        if self.strays == 0 {
            self.since = expected;
        }
        self.strays = self.strays.saturating_add(1);
        let long = self.strays > 1 && expected.since(self.since) >= SET_AFTER;
        if !long && self.strays < SET_AFTER_FRAMES {
            return Trust::Absent;
        }
        (self.strays, self.set) = (0, true);
        // Later frames are not compared until the capture loop has adjusted.
        self.expected = None;
        if time < last { Trust::SetBack } else { Trust::Believed }
    }

    /// Whether the system's clock was found to be changed since the last call.
    pub(super) fn was_set(&mut self) -> bool {
        std::mem::take(&mut self.set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600;

    fn at(second: u64) -> Nanos {
        Nanos::from_secs(second)
    }

    #[test]
    fn the_step_between_watermarks_follows_the_times() {
        let mut clock = Clock::new(3_602);
        assert!(clock.is_new() && clock.now() == 0);
        clock.advance(at(1_000_000));
        clock.advance(at(1_000_005));
        clock.advance(at(999_000));
        assert_eq!(clock.now(), 1_000_005);
        clock.advance(at(5_000_000_000));
        assert_eq!(clock.now(), 1_003_607, "every session ends, and the clock has not run away");
        clock.set_back(at(1_000_010));
        assert_eq!(clock.now(), 1_003_607);
        clock.advance(at(1_000_020));
        assert_eq!(clock.now(), 1_003_617, "it goes on");
    }

    #[test]
    fn a_clock_that_begins_at_the_end_of_32_bits_has_room() {
        let mut clock = Clock::new(3_602);
        clock.advance(at(u64::from(u32::MAX) - 60));
        clock.advance(at(u64::from(u32::MAX) + 60));
        assert_eq!(clock.now(), 4_000_000_120);
    }

    proptest! {
        /// Whatever is believed, the clock never steps back and never too far ahead.
        #[test]
        fn it_only_goes_on(
            times in proptest::collection::vec((0u64..1 << 34, any::<bool>()), 1..50),
        ) {
            let mut clock = Clock::new(3_602);
            for (second, back) in times {
                let before = clock;
                if back { clock.set_back(at(second)) } else { clock.advance(at(second)) }
                prop_assert!(clock.now() >= before.now());
                prop_assert!(before.is_new() || clock.now() - before.now() <= 3_602);
            }
        }
    }

    #[test]
    fn a_live_frame_from_another_time_is_not_believed() {
        let mut watch = Watch::default();
        let now = 1_000_000;
        assert_eq!(watch.judge(at(now), Nanos::ZERO), Trust::Believed, "nothing is known yet");
        watch.set_expected(Some(at(now)));
        for wild in [now + HOUR, u64::from(u32::MAX), 0] {
            assert_eq!(watch.judge(at(wild), at(now)), Trust::Absent, "{wild}");
        }
        assert_eq!(watch.judge(at(now + 1), at(now)), Trust::Believed);
        watch.set_expected(Some(at(now + 100)));
        assert_eq!(watch.judge(at(now + HOUR), at(now)), Trust::Absent, "and again");
        assert!(!watch.was_set());
    }

    #[test]
    fn a_system_clock_that_was_set_is_followed() {
        for (to, trust) in [(5_000_000, Trust::Believed), (10, Trust::SetBack)] {
            let (mut watch, now) = (Watch::default(), 1_000_000);
            watch.set_expected(Some(at(now)));
            assert_eq!(watch.judge(at(to), at(now)), Trust::Absent);
            watch.set_expected(Some(at(now + 1)));
            assert_eq!(watch.judge(at(to + 1), at(now)), Trust::Absent);
            watch.set_expected(Some(at(now + 2)));
            assert_eq!(watch.judge(at(to + 2), at(now)), trust);
            assert!(watch.was_set() && !watch.was_set());
        }
        // Or, with much traffic, after this many.
        let mut watch = Watch::default();
        watch.set_expected(Some(at(1_000_000)));
        let trusts = (0..SET_AFTER_FRAMES).map(|_| watch.judge(at(10), at(1_000_000)));
        assert_eq!(trusts.filter(|trust| *trust == Trust::SetBack).count(), 1);
    }
}
