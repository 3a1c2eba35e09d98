//! Turns in a row that all take the same time: somebody answers each message by a program.
//!
//! Owns: the run of turns in progress, and the one that was longest away. In: answers of the
//! responder in the opening of a session. Out: a [`Chain`]. Never: one without [`LEAST`] turns.
//!
//! A tunnel's relay acknowledges what goes through it, but a handshake inside it (SSH in SSH, RFB
//! in TLS) goes to whoever is at the other end: each message waits for the answer to the one
//! before. Five answers that agree within 8 % are no accident: intervals of what a person types
//! differ.

use super::Watch;
use super::mark::acknowledges;
use crate::model::latency::Chain;
use crate::model::{Nanos, Peer, Segment};

/// Segments within which a handshake inside the session is looked for: SSH and RFB have few of
/// their own, and a viewer may come some seconds after a tunnel.
pub(super) const CHAIN_SEGMENTS: u8 = 64;
pub(super) const CHAIN_SEGMENTS_TUNNEL: u8 = 128;

/// Turns of a chain, at least.
const LEAST: u8 = 5;
/// How far they may differ, in hundredths of the shortest.
const AGREE: u32 = 8;
/// A turn that takes longer is no round trip.
const LONGEST_US: u32 = 1_000_000;
/// Segments after which one in five must have been an answer, if no more than that are looked at
/// anyway: a page or a file has fewer.
const TALKS_AFTER: u8 = 16;

/// The turns so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChainWatch {
    shortest_us: u32,
    longest_us: u32,
    turns: u8,
    answers: u8,
    segments: u8,
    /// Segments that are looked at: none where nothing is known to carry others.
    limit: u8,
    best_turns: u8,
    best_us: u32,
}

impl ChainWatch {
    /// From here on answers count, in the first so many segments.
    pub(super) fn begin(&mut self, limit: u8) {
        self.limit = self.limit.max(limit);
    }

    /// No more.
    pub(super) const fn end(&mut self) {
        self.limit = 0;
    }

    pub(super) const fn is_over(&self) -> bool {
        let quiet = self.segments >= TALKS_AFTER && self.answers < self.segments / 5;
        self.segments >= self.limit || quiet && self.limit <= CHAIN_SEGMENTS
    }

    /// A segment passed.
    pub(super) const fn pass(&mut self) {
        self.segments = self.segments.saturating_add(1);
    }

    /// The responder answered after so long.
    pub(super) fn answer(&mut self, after: Nanos) {
        self.answers = self.answers.saturating_add(1);
        let us = u32::try_from(after.0 / 1_000).unwrap_or(u32::MAX);
        if us > LONGEST_US {
            self.turns = 0;
            return;
        }
        let (shortest, longest) = (self.shortest_us.min(us), self.longest_us.max(us));
        if self.turns > 0 && (longest - shortest) * 100 <= shortest * AGREE {
            self.turns = self.turns.saturating_add(1);
            (self.shortest_us, self.longest_us) = (shortest, longest);
        } else {
            (self.shortest_us, self.longest_us, self.turns) = (us, us, 1);
        }
        // The relay itself answers too, as it is opened: whoever is farther away is behind it.
        if self.turns >= LEAST && (self.best_turns == 0 || self.longest_us >= self.best_us) {
            (self.best_us, self.best_turns) = (self.shortest_us, self.turns);
        }
    }

    /// The chain of which the answers came from farthest away.
    pub(super) fn result(&self) -> Option<Chain> {
        (self.best_turns > 0).then(|| Chain {
            round_trip_ns: u64::from(self.best_us) * 1_000,
            turns: self.best_turns.into(),
        })
    }
}

impl Watch {
    /// An answer of the responder, whatever is exchanged.
    pub(super) fn take_chain(&mut self, segment: &Segment<'_>) {
        self.chain.pass();
        if self.chain.is_over() {
            return;
        }
        // Behind a gap it may not be the first of the answer.
        let answers = segment.from == Peer::Responder && !segment.gap;
        if !answers || self.before != Some(Peer::Initiator) {
            return;
        }
        let Some(asked) = self.last.0.get() else { return };
        let whole = asked.troubles == segment.troubles;
        if whole && acknowledges(segment.numbers.1, asked.end) {
            let after = segment.time.checked_since(asked.time);
            after.into_iter().for_each(|after| self.chain.answer(after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(turns_ms: &[u64]) -> Option<(u64, u32)> {
        let mut chain = ChainWatch::default();
        chain.begin(128);
        for ms in turns_ms {
            chain.pass();
            chain.pass();
            if !chain.is_over() {
                chain.answer(Nanos(ms * 1_000_000));
            }
        }
        chain.result().map(|chain| (chain.round_trip_ns / 1_000_000, chain.turns))
    }

    #[test]
    fn answers_of_one_length_in_a_row_are_a_chain() {
        assert_eq!(found(&[30, 31, 30, 238, 237, 242, 238, 236, 90]), Some((236, 5)));
        assert_eq!(found(&[30, 31, 30, 30, 31, 30, 200, 208, 204, 201, 200]), Some((200, 5)));
        assert_eq!(found(&[200, 208, 204, 201, 200, 30, 31, 30, 30, 31, 30]), Some((200, 5)));
    }

    #[test]
    fn what_somebody_types_is_none() {
        assert_eq!(found(&[120, 180, 95, 240, 130, 122, 300, 90, 260]), None);
        assert_eq!(found(&[238, 237, 238, 239]), None, "four");
        assert_eq!(found(&[200, 205, 211, 217, 222, 228]), None, "drifting");
        assert_eq!(found(&[7_480; 9]), None, "an interval, not a round trip");
    }

    #[test]
    fn it_ends_at_its_bounds() {
        let mut chain = ChainWatch::default();
        assert!(chain.is_over(), "nothing carries anything");
        chain.begin(CHAIN_SEGMENTS);
        for n in 0..16 {
            assert!(!chain.is_over(), "{n}");
            chain.pass();
        }
        assert!(chain.is_over(), "no answers");
        assert_eq!(found(&[100; 200]), Some((100, 63)));
    }
}
