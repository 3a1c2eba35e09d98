//! How long an answer took, and fair samples of that.
//!
//! Owns: which measure of a turn counts. In: turns. Out: gaps. Never: a sample that depends on the
//! order of sessions.

use crate::model::latency::{Exchange, Turn};

/// An acknowledgement later than this may have waited for a timer (RFC 9293 section 3.8.6.3; the
/// shortest in use is 40 ms), so that its answer's lag is too short.
pub(super) const PROMPT_NS: u64 = 35_000_000;

/// Answers sampled from all sessions.
const SAMPLED: usize = 24;

/// The time of one answer, in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// Behind the acknowledgement of the question: free of the path and its jitter.
    Lag(u64),
    /// Behind the question: the leg is to be subtracted.
    RoundTrip(u64),
}

impl Answer {
    /// The better measure of a turn in a session whose leg has this transport round trip.
    pub(super) fn of(turn: &Turn, transport_ns: u64) -> Answer {
        let prompt = |lag: &u64| {
            let acknowledged = turn.round_trip_ns.saturating_sub(*lag);
            // The acknowledgement that completes a handshake waits for nothing.
            turn.exchange == Exchange::FirstData || acknowledged < transport_ns + PROMPT_NS
        };
        match turn.lag.ns().filter(prompt) {
            Some(lag) => Answer::Lag(lag),
            None => Answer::RoundTrip(turn.round_trip_ns),
        }
    }

    /// What it took beyond a leg of `floor_ns`.
    pub(super) const fn gap_ns(self, floor_ns: u64) -> u64 {
        match self {
            Answer::Lag(ns) => ns,
            Answer::RoundTrip(ns) => ns.saturating_sub(floor_ns),
        }
    }

    const fn without_leg(self, floor_ns: u64) -> Answer {
        match self {
            Answer::Lag(_) => self,
            Answer::RoundTrip(ns) => Answer::RoundTrip(ns.saturating_sub(floor_ns)),
        }
    }

    const fn ns(self) -> u64 {
        match self {
            Answer::Lag(ns) | Answer::RoundTrip(ns) => ns,
        }
    }
}

/// Up to 24 answers, each with its fingerprint: those with the lowest fingerprints are a fair
/// choice in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample(Vec<(u64, Answer)>);

impl Sample {
    pub(super) const fn new() -> Sample {
        Sample(Vec::new())
    }

    /// Adds an answer of the session with this salt.
    pub(super) fn add(&mut self, answer: Answer, salt: u64) {
        self.keep((print(answer.ns() ^ salt.rotate_left(32)), answer));
    }

    pub(super) fn merge(&mut self, other: &Sample) {
        other.0.iter().for_each(|entry| self.keep(*entry));
    }

    pub(super) fn without_leg(&self, floor_ns: u64) -> Sample {
        let less = |(print, answer): &(u64, Answer)| (*print, answer.without_leg(floor_ns));
        Sample(self.0.iter().map(less).collect())
    }

    /// What they took beyond a leg of `floor_ns`, in ms, ascending.
    pub(super) fn gaps_ms(&self, floor_ns: u64) -> Vec<f64> {
        let gap = |(_, answer): &(u64, Answer)| answer.gap_ns(floor_ns) as f64 / 1e6;
        let mut gaps: Vec<f64> = self.0.iter().map(gap).collect();
        gaps.sort_unstable_by(f64::total_cmp);
        gaps
    }

    fn keep(&mut self, entry: (u64, Answer)) {
        let at = self.0.partition_point(|kept| *kept < entry);
        if at < SAMPLED {
            self.0.insert(at, entry);
            self.0.truncate(SAMPLED);
        }
    }
}

/// Mixes bits. No secret is needed: it only has to spread values (Steele, Lea and Flood, OOPSLA
/// 2014: `SplitMix64`).
const fn print(value: u64) -> u64 {
    let mixed = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
