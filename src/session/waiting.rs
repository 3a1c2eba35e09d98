//! The bytes that the sessions of a shard hold beside their places, and who goes first where they
//! are too many.
//!
//! Owns: two accounts, and the line of sessions that wait for more to come. In: what a session held
//! before and after a packet. Out: who has waited longest. Never: bytes.
//!
//! What waits longest is the least likely to be complete: a reordered segment is there within a
//! round trip, a message in pieces soon after.

use std::collections::VecDeque;

use crate::bounded::Account;
use crate::model::Peer;
use crate::session::Listener;
use crate::session::Weight;
use crate::session::state::Bits;
use crate::session::state::Session;

/// Places in the line that may be out of date before it is tidied.
const STALE: usize = 4_096;

/// What the sessions of a shard hold.
#[derive(Debug)]
pub(crate) struct Holdings {
    pub(crate) waiting: Account,
    pub(crate) kept: Account,
    /// Sessions that wait, the first one first; it may have gone on since.
    line: VecDeque<u32>,
    /// How many wait.
    count: usize,
}

impl Holdings {
    pub(crate) const fn new(waiting: usize, kept: usize) -> Holdings {
        let (waiting, kept) = (Account::new(waiting), Account::new(kept));
        Holdings { waiting, kept, line: VecDeque::new(), count: 0 }
    }

    /// A session held so much before, and holds so much now.
    pub(crate) fn change(&mut self, id: u32, before: Weight, now: Weight) {
        self.kept.change(before.kept, now.kept);
        self.waiting.change(before.waiting, now.waiting);
        match (before.waiting, now.waiting) {
            (0, 1..) => {
                self.count += 1;
                self.line.push_back(id);
            }
            (1.., 0) => self.count = self.count.saturating_sub(1),
            _ => {}
        }
    }

    /// Whether the line has more places out of date than it should.
    pub(crate) fn is_untidy(&self) -> bool {
        self.line.len() > 2 * self.count + STALE
    }

    /// Keeps those that still wait, each at its last place.
    pub(crate) fn tidy(&mut self, waits: impl Fn(u32) -> bool) {
        let mut seen = std::collections::HashSet::with_capacity(self.count);
        let mut kept = VecDeque::with_capacity(self.count);
        while let Some(id) = self.line.pop_back() {
            if waits(id) && seen.insert(id) {
                kept.push_front(id);
            }
        }
        self.line = kept;
    }

    /// Who has waited longest; it may wait no more.
    pub(crate) fn first(&mut self) -> Option<u32> {
        self.line.pop_front()
    }
}

impl<X> Session<X> {
    /// There is no room for what it holds: nobody listens to it any more.
    pub(crate) fn stop_listening(&mut self, listener: &mut impl Listener<X>) {
        self.bits.set(Bits::DEAF | Bits::TRUNCATED);
        self.forget_waiting(listener);
        listener.let_go(&mut self.extra);
    }

    /// Nobody listens any more: early segments are let go, their bytes counted as a hole.
    pub(super) fn forget_waiting(&mut self, listener: &mut impl Listener<X>) {
        self.bits.clear(Bits::WAITING);
        self.drop_decoys(Peer::Initiator, listener);
        let Some(mut reorder) = self.reorder.take() else { return };
        for side in [Peer::Initiator, Peer::Responder] {
            while let Some(missing) = reorder.nearest(side, self.half(side).stream.next()) {
                if missing > 0 {
                    self.pass_over(side, missing, listener);
                }
                let next = self.half(side).stream.next();
                while let Some(early) = reorder.take_ready(side, next) {
                    let end = early.seq.wrapping_add(early.wire);
                    let ahead = end.wrapping_sub(self.half(side).stream.next());
                    if ahead < 1 << 31 {
                        self.half(side).stream.advance(ahead);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn waits(waiting: usize) -> Weight {
        Weight { waiting, kept: 10 }
    }

    #[test]
    fn who_waits_longest_is_first_and_the_line_stays_short() {
        let mut holdings = Holdings::new(100, 100);
        holdings.change(1, waits(0), waits(5));
        holdings.change(2, waits(0), waits(7));
        assert_eq!((holdings.waiting.held(), holdings.kept.held()), (12, 10));
        for _ in 0..3 * STALE {
            holdings.change(3, waits(0), waits(1));
            holdings.change(3, waits(1), waits(0));
            if holdings.is_untidy() {
                holdings.tidy(|id| id < 3);
            }
            assert!(holdings.line.len() <= 2 * 2 + STALE + 1);
        }
        holdings.tidy(|id| id < 3);
        assert_eq!(
            (holdings.first(), holdings.first(), holdings.first()),
            (Some(1), Some(2), None)
        );
    }
}
