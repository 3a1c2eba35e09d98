//! The lag of an answer: how long a program took behind the acknowledgement of its own system.
//!
//! Owns: the lags of a session's first turns, and which of them are believed. In: the observer of a
//! session adds turns as they pass. Out: nanoseconds, or nothing. Never: a lag without an
//! acknowledgement of its own.
//!
//! A system acknowledges data when they arrive; the program that has to answer them may be
//! elsewhere. Both packets travel the same path to the sensor, so the time between them contains
//! neither that path nor its jitter.

use crate::model::Nanos;

/// Turns of each side whose lag is kept.
pub const TURNS: usize = 4;

/// Two packets that pass within this time left together: a full segment takes so long at 12 Mbit/s,
/// cards and systems gather interrupts for less, and light travels 100 km of fibre and back.
const TOGETHER_NS: u64 = 1_000_000;

/// An acknowledgement that is later than this may have waited for a timer. The shortest in use is
/// 40 ms (Linux, Windows); 5 ms are left for the path. RFC 9293 section 3.8.6.3 allows 500 ms.
const PROMPT_NS: u64 = 35_000_000;

/// A lag in microseconds, or none: the answer itself was the acknowledgement, or it is not known
/// when the data were acknowledged. Four bytes, since there are several in each session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lag(u32);

impl Lag {
    /// None.
    pub const NONE: Lag = Lag(u32::MAX);

    /// None: there was an acknowledgement, and a timer may have delayed it for longer than the lag.
    pub const LATE: Lag = Lag(u32::MAX - 1);

    /// This span; none if it does not fit (71 minutes).
    pub fn of(span: Nanos) -> Lag {
        let known = u32::try_from(span.0 / 1_000).ok().map(Lag);
        known.filter(|lag| *lag < Lag::LATE).unwrap_or(Lag::NONE)
    }

    /// In ns.
    pub fn ns(self) -> Option<u64> {
        (self < Lag::LATE).then_some(u64::from(self.0) * 1_000)
    }

    /// What can be said about the answer, which came `round_trip_ns` after its question over a leg
    /// of `leg_ns`.
    pub fn judge(self, round_trip_ns: u64, leg_ns: Option<u64>) -> Verdict {
        let Some(lag) = self.ns() else { return Verdict::Unknown };
        // Without a leg the acknowledgement may have been late by all of it.
        let late = round_trip_ns.saturating_sub(lag).saturating_sub(leg_ns.unwrap_or(0));
        match (late >= PROMPT_NS, lag) {
            (true, 0..=TOGETHER_NS) if leg_ns.is_some() => Verdict::Stalled,
            (true, lag) if lag <= late => Verdict::Unknown,
            _ => Verdict::Known,
        }
    }
}

/// What a lag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The program took this long, or by a late acknowledgement up to twice as long.
    Known,
    /// Nothing: there was no separate acknowledgement, or a timer may have delayed it for longer
    /// than the lag.
    Unknown,
    /// Acknowledgement and answer came together, and both were late: the system, its path or a
    /// timer waited, and the program did not.
    Stalled,
}

/// The first turns of one side: time from the question to the answer in microseconds, and the lag.
type Side = [(u32, Lag); TURNS];

/// No turn.
const FREE: (u32, Lag) = (u32::MAX, Lag::NONE);

/// The lags of a session's first turns, whatever the protocol: 64 bytes.
///
/// A turn is an answer that acknowledges everything that the other side had sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lags {
    initiator: Side,
    responder: Side,
}

impl Default for Lags {
    fn default() -> Lags {
        Lags { initiator: [FREE; TURNS], responder: [FREE; TURNS] }
    }
}

impl Lags {
    /// Adds the next turn of one side; those beyond [`TURNS`] are ignored.
    pub fn add(&mut self, by_initiator: bool, round_trip: Nanos, lag: Lag) {
        let side = if by_initiator { &self.initiator } else { &self.responder };
        if let Some(turn) = side.iter().position(|slot| *slot == FREE) {
            self.put((by_initiator, turn), round_trip, lag);
        }
    }

    /// Sets one turn of one side, from 0.
    pub fn put(&mut self, (by_initiator, turn): (bool, usize), round_trip: Nanos, lag: Lag) {
        let side = if by_initiator { &mut self.initiator } else { &mut self.responder };
        if let Some(slot) = side.get_mut(turn) {
            let micros = u32::try_from(round_trip.0 / 1_000).unwrap_or(u32::MAX - 1);
            *slot = (micros.min(u32::MAX - 1), lag);
        }
    }

    /// Whether no turn has a lag.
    pub fn is_empty(&self) -> bool {
        self.initiator.iter().chain(&self.responder).all(|(_, lag)| lag.ns().is_none())
    }

    /// Whether no further turn of the initiator is kept.
    pub fn is_full(&self) -> bool {
        self.initiator.last() != Some(&FREE)
    }

    /// The lag of one turn, from 0, in ns.
    pub fn ns(&self, by_initiator: bool, turn: usize) -> Option<u64> {
        let side = if by_initiator { &self.initiator } else { &self.responder };
        side.get(turn)?.1.ns()
    }

    /// The time from the question to the answer of one turn, from 0, in ns, if there was an
    /// acknowledgement before the answer.
    pub fn round_trip_ns(&self, by_initiator: bool, turn: usize) -> Option<u64> {
        let side = if by_initiator { &self.initiator } else { &self.responder };
        let (micros, _) = side.get(turn).filter(|(_, lag)| *lag != Lag::NONE)?;
        Some(u64::from(*micros) * 1_000)
    }

    /// The lowest lag of one side, in ns.
    pub fn lowest_ns(&self, by_initiator: bool) -> Option<u64> {
        let side = if by_initiator { &self.initiator } else { &self.responder };
        side.iter().filter_map(|(_, lag)| lag.ns()).min()
    }

    /// Keeps the lags that pass a test.
    pub fn retain(&mut self, keeps: impl Fn(u64) -> bool) {
        for (_, lag) in self.initiator.iter_mut().chain(&mut self.responder) {
            if lag.ns().is_none_or(|ns| !keeps(ns)) {
                *lag = Lag::NONE;
            }
        }
    }

    /// Removes the lags that say nothing over these legs.
    pub fn settle(&mut self, near_ns: Option<u64>, far_ns: Option<u64>) {
        for (side, leg) in [(&mut self.initiator, near_ns), (&mut self.responder, far_ns)] {
            for (micros, lag) in side {
                match lag.judge(u64::from(*micros) * 1_000, leg) {
                    Verdict::Known => {}
                    Verdict::Unknown if lag.ns().is_some() => *lag = Lag::LATE,
                    Verdict::Unknown => *lag = Lag::NONE,
                    Verdict::Stalled => *lag = Lag::NONE,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn judge(round_trip: u64, lag: u64, leg: Option<u64>) -> Verdict {
        Lag::of(Nanos(lag * MS)).judge(round_trip * MS, leg.map(|leg| leg * MS))
    }

    #[test]
    fn a_prompt_acknowledgement_makes_any_lag_known() {
        assert_eq!(judge(20, 0, Some(20)), Verdict::Known, "at once");
        assert_eq!(judge(45, 0, Some(20)), Verdict::Known, "by 25 ms of jitter");
        assert_eq!(judge(200, 180, Some(20)), Verdict::Known);
        assert_eq!(judge(200, 199, Some(20)), Verdict::Known, "the leg was never so low again");
    }

    #[test]
    fn a_late_acknowledgement_makes_small_lags_unknown() {
        assert_eq!(judge(68, 0, Some(20)), Verdict::Stalled, "both 48 ms late");
        assert_eq!(judge(80, 20, Some(20)), Verdict::Unknown, "a timer of 40 ms may hide 40 of 60");
        assert_eq!(judge(240, 180, Some(20)), Verdict::Known, "180 to 220");
        assert_eq!(judge(420, 200, Some(20)), Verdict::Unknown, "a timer of 200 ms");
        assert_eq!(judge(68, 0, None), Verdict::Unknown, "of an unknown leg");
        assert_eq!(judge(240, 180, None), Verdict::Known);
        assert_eq!(Lag::NONE.judge(240 * MS, Some(20 * MS)), Verdict::Unknown);
    }

    #[test]
    fn four_turns_of_each_side_are_kept() {
        let mut lags = Lags::default();
        assert!(lags.is_empty() && !lags.is_full());
        for ms in [20, 20, 220, 20, 20] {
            assert_eq!(lags.is_full(), lags.initiator[3] != FREE);
            lags.add(true, Nanos(ms * MS), Lag::of(Nanos((ms - 20) * MS)));
        }
        lags.add(false, Nanos(u64::MAX), Lag::of(Nanos(u64::MAX)));
        assert!(lags.is_full() && !lags.is_empty());
        lags.settle(Some(20 * MS), None);
        let of = |turn| lags.ns(true, turn);
        assert_eq!([of(0), of(1), of(2), of(3)], [Some(0), Some(0), Some(200 * MS), Some(0)]);
        assert_eq!((of(4), lags.ns(false, 0)), (None, None));
        assert_eq!((lags.lowest_ns(true), lags.lowest_ns(false)), (Some(0), None));
        lags.retain(|ns| ns > 0);
        assert_eq!(lags.lowest_ns(true), Some(200 * MS));
        assert_eq!(size_of::<Lags>(), 64);
    }
}
