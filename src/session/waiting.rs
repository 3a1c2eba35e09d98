//! The bytes that the sessions of a shard hold beside their slots, and which are dropped first.
//!
//! Owns: two accounts, and the queue of sessions that wait for more data. In: a session's bytes
//! before and after a packet. Out: the session that has waited longest. Never: bytes.
//!
//! What has waited longest is the least likely to be completed: a reordered segment arrives within
//! a round trip, the rest of a message soon after.

use std::collections::VecDeque;

use crate::bounded::Account;
use crate::model::Peer;
use crate::session::state::{Bits, Session};
use crate::session::{Listener, Weight};

/// Stale entries allowed in the queue before it is cleaned.
const STALE: usize = 4_096;

/// The bytes held by the sessions of a shard.
#[derive(Debug)]
pub(crate) struct Holdings {
    pub(crate) waiting: Account,
    pub(crate) kept: Account,
    /// Waiting sessions in order; an entry may be stale.
    line: VecDeque<u32>,
    /// The number of waiting sessions.
    count: usize,
}

impl Holdings {
    pub(crate) const fn new(waiting: usize, kept: usize) -> Holdings {
        let (waiting, kept) = (Account::new(waiting), Account::new(kept));
        Holdings { waiting, kept, line: VecDeque::new(), count: 0 }
    }

    /// Replaces a session's bytes before by its bytes now.
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

    /// Whether the queue has too many stale entries.
    pub(crate) fn is_untidy(&self) -> bool {
        self.line.len() > 2 * self.count + STALE
    }

    /// Keeps only sessions that still wait, each at its last position.
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

    /// The session that has waited longest; it may no longer wait.
    pub(crate) fn first(&mut self) -> Option<u32> {
        self.line.pop_front()
    }
}

impl<X> Session<X> {
    /// There is no room for its data: stops parsing it.
    pub(crate) fn stop_listening(&mut self, listener: &mut impl Listener<X>) {
        self.bits.set(Bits::UNPARSED | Bits::TRUNCATED);
        self.forget_waiting(listener);
        listener.let_go(&mut self.extra);
    }

    /// No longer parsed: early segments are dropped, their bytes counted as a gap.
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
    fn the_queue_is_in_waiting_order_and_bounded() {
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
