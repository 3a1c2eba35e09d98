//! How many bytes the observers of a session hold, and what becomes of them where there is no room.
//!
//! Owns: the sum. In: observers. Out: bytes, in two parts. Never: drops a fact that was told.

use crate::evidence::Interest;
use crate::evidence::Observers;
use crate::evidence::Watching;
use crate::evidence::held::Held;
use crate::evidence::shape::Shape;
use crate::evidence::turns::Watch;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Heap;
use crate::model::heap::ALLOCATION;

/// Facts kept of a session. A handshake with its certificate takes 2 KiB, a large DNS answer 4;
/// what takes more names one thing after the other.
const FACTS_MAX: usize = 32 * 1_024;

/// Bytes of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Of messages and dialogues that wait for what comes next.
    pub waiting: u32,
    /// Of the observers themselves and the facts.
    pub kept: u32,
}

impl Observers {
    /// Bytes it held when it last looked at a segment.
    pub const fn weight(&self) -> Weight {
        self.weight
    }

    /// Weighs what it holds. Where the facts have their fill, nobody listens any more.
    pub(super) fn weigh(&mut self, counters: &mut Counters) {
        let facts = self.facts.heap();
        if facts > FACTS_MAX && self.interest() == Interest::More {
            counters.bump(Counter::FactsCut);
            self.let_go();
        }
        let lanes = [&self.initiator, &self.responder].into_iter();
        let held = lanes.filter_map(|lane| lane.held.as_deref());
        let held: usize = held.map(|held| size_of::<Held>() + ALLOCATION + held.heap()).sum();
        let watching = match &self.watching {
            // Bursts are one box of forty bytes and more.
            Watching::On(both) => size_of::<(Watch, Shape)>() + 5 * ALLOCATION + both.0.heap(),
            _ => 0,
        };
        let bytes = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        self.weight = Weight {
            waiting: bytes(held + self.talk.heap()),
            kept: bytes(size_of::<Observers>() + ALLOCATION + self.facts.heap() + watching),
        };
    }

    /// Stops listening; what was told stays.
    pub fn let_go(&mut self) {
        self.initiator.finish();
        self.responder.finish();
        self.talk = None;
        self.end_watch();
        self.weight.waiting = 0;
    }
}
