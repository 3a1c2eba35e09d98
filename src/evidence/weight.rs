//! How many bytes the observers of a session hold, and what becomes of them where there is no room.
//!
//! Owns: the sum. In: observers. Out: bytes, in two parts. Never: drops a fact that was told.

use crate::evidence::app_rtt::Watch;
use crate::evidence::shape::Shape;
use crate::evidence::{Listening, Observers, Watching};
use crate::model::heap::ALLOCATION;
use crate::model::{Counter, Counters, Heap, Interest};

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
        #[cfg(test)]
        tests::FULL.set(tests::FULL.get() + 1);
        let facts = self.facts.heap();
        if facts > FACTS_MAX && self.interest() == Interest::More {
            counters.bump(Counter::FactsCut);
            return self.let_go();
        }
        self.weight = self.sum(facts);
    }

    /// Weighs the watch of turns, where nothing else has changed since that held so much.
    pub(super) fn weigh_watch(&mut self, before: usize) {
        let now = self.watched();
        if now != before {
            let rest = (self.weight.kept as usize).saturating_sub(before);
            self.weight.kept = bytes(rest + now);
        }
    }

    /// Bytes of what watches turns.
    pub(super) fn watched(&self) -> usize {
        match &self.watching {
            // Bursts are one box of forty bytes and more.
            Watching::On(both) => size_of::<(Watch, Shape)>() + 5 * ALLOCATION + both.0.heap(),
            _ => 0,
        }
    }

    /// What it holds, whatever was remembered.
    #[cfg(test)]
    pub(super) fn weigh_anew(&self) -> Weight {
        self.sum(self.facts.heap())
    }

    /// What it holds, with facts of so many bytes.
    fn sum(&self, facts: usize) -> Weight {
        let waiting = match &self.listening {
            Listening::Tcp(stream) => stream.heap(),
            Listening::Udp(datagrams) => datagrams.heap(),
            Listening::Fresh | Listening::Ip(..) | Listening::Over => 0,
        };
        Weight {
            waiting: bytes(waiting),
            kept: bytes(size_of::<Observers>() + ALLOCATION + facts + self.watched()),
        }
    }

    /// Stops listening; what was told stays.
    pub fn let_go(&mut self) {
        self.listening = Listening::Over;
        self.end_watch();
        self.weight = self.sum(self.facts.heap());
    }
}

fn bytes(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::model::{Nanos, Peer, Segment, Transport};

    thread_local! {
        /// How often everything was weighed on this thread.
        pub(super) static FULL: Cell<u32> = const { Cell::new(0) };
    }

    fn segment(role: Peer, payload: &[u8]) -> Segment<'_> {
        Segment {
            payload,
            from: role,
            transport: Transport::TCP,
            ports: (50_000, 80),
            gap: false,
            time: Nanos::ZERO,
            opened: None,
            troubles: 0,
            numbers: (0, 0),
        }
    }

    #[test]
    fn a_skipped_body_adds_no_weight() {
        let (mut observers, mut counters) = (Observers::default(), Counters::default());
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        FULL.set(0);
        observers.observe(
            &segment(Peer::Initiator, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
            &mut counters,
        );
        observers.observe(&segment(Peer::Responder, head), &mut counters);
        assert_eq!(FULL.get(), 2);
        for _ in 0..200 {
            observers.observe(&segment(Peer::Responder, &[7; 1_000]), &mut counters);
            assert_eq!(observers.weight(), observers.weigh_anew());
        }
        assert!(FULL.get() <= 3, "once more where the watch ends: {}", FULL.get());
        assert!(observers.weight().kept > 0);
    }
}
