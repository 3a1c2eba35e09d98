//! Pairs what one side asks with what the other answers, and takes the round trip.
//!
//! Owns: the few questions of a session that wait for an answer. In: asks and answers with their
//! keys, as protocols see them. Out: turns and exclusions in the session's facts. Never: knows a
//! protocol, takes a sample from what was sent again (Karn and Partridge, SIGCOMM 1987), or counts
//! one answer twice.

use crate::model::Heap;
use crate::model::Nanos;
use crate::model::Peer;
use crate::model::latency::Exchange;
use crate::model::latency::Exclusions;
use crate::model::latency::Turn;
use crate::model::record::Facts;

/// Questions of both sides that wait at once; the oldest goes first. A DTLS handshake has 4, an
/// ICE agent 6 pairs under way.
const SLOTS: usize = 8;
/// Turns kept of a session: a handshake has 1 or 2.
const TURNS_MAX: usize = 8;

/// A datagram's sender, time and where to write.
pub struct Moment<'a> {
    /// Who sent it.
    pub role: Peer,
    /// When the sensor saw it.
    pub time: Nanos,
    /// Where turns go.
    pub facts: &'a mut Facts,
}

/// What the answer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The peer answers without thought, to the first datagram that asked already: counted from
    /// there, so that the sample is never shorter than the round trip.
    Reflex,
    /// The peer answers all that was asked, and computes: counted from the last datagram.
    Thought,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits,
    /// Sent again: an answer cannot be told to belong to the one or the other.
    Void,
    Answered,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    state: State,
    by_responder: bool,
    key: u64,
    print: u32,
    first: Nanos,
    last: Nanos,
}

/// The questions of one session.
#[derive(Debug, Default)]
pub struct RequestRtt {
    /// At most [`SLOTS`]: most sessions ask once or twice, and there are many of them.
    slots: Vec<Slot>,
    next: u8,
    numbers: u16,
}

impl Heap for RequestRtt {
    fn heap(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

impl RequestRtt {
    /// A print for what cannot be told to be sent again: another one each time.
    pub fn number(&mut self) -> u16 {
        self.numbers = self.numbers.wrapping_add(1);
        self.numbers
    }

    /// Something was asked. The same `key` and `print` once more is the same question again; with
    /// another print it is a further datagram of it.
    pub fn ask(&mut self, key: u64, print: u32, at: &Moment<'_>) {
        let by_responder = at.role == Peer::Responder;
        if let Some(slot) = self.find(key, by_responder) {
            if slot.state == State::Waits && (slot.print == print || at.time < slot.last) {
                slot.state = State::Void;
            }
            if slot.state == State::Waits {
                slot.last = at.time;
            }
            return;
        }
        let index = usize::from(self.next) % SLOTS;
        self.next = self.next.wrapping_add(1);
        let (first, last) = (at.time, at.time);
        let asked = Slot { state: State::Waits, by_responder, key, print, first, last };
        match self.slots.get_mut(index) {
            Some(oldest) => *oldest = asked,
            None => {
                self.slots.reserve_exact(1);
                self.slots.push(asked);
            }
        }
    }

    /// The datagram answers `key`; true where that was asked and not answered before.
    pub fn answer(&mut self, key: u64, how: (Kind, Exchange), at: &mut Moment<'_>) -> bool {
        let (kind, exchange) = how;
        let by_initiator = at.role == Peer::Initiator;
        let Some(slot) = self.find(key, by_initiator) else { return false };
        let state = std::mem::replace(&mut slot.state, State::Answered);
        if state == State::Answered {
            return false;
        }
        if by_initiator && exchange != Exchange::Quic {
            // Of QUIC most packets can be written without having seen the question: it says itself.
            at.facts.turns.get_or_insert_default().answered = true;
        }
        let whole = at.time.0.checked_sub(slot.first.0);
        let rest = at.time.0.checked_sub(slot.last.0);
        // Nobody sends again before a round trip has passed (RFC 9002 section 6.2.1): a question
        // that took longer to ask than its answer took may be one that was asked twice.
        let spread = slot.last.0.saturating_sub(slot.first.0);
        let (Some(whole), Some(rest)) = (whole, rest) else {
            exclude(Exclusions::LOSS, at.facts);
            return true;
        };
        if state == State::Void {
            exclude(Exclusions::LOSS, at.facts);
        } else if spread > 0 && spread >= rest {
            exclude(Exclusions::SPLIT_FLIGHT, at.facts);
        } else {
            let round_trip_ns = if kind == Kind::Reflex { whole } else { rest };
            note(kind, Turn { exchange, by_initiator, round_trip_ns }, at.facts);
        }
        true
    }

    /// An answer to `key` says nothing about time.
    pub fn void(&mut self, key: u64, by: Peer) {
        if let Some(slot) = self.find(key, by == Peer::Responder)
            && slot.state == State::Waits
        {
            slot.state = State::Void;
        }
    }

    fn find(&mut self, key: u64, by_responder: bool) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.key == key && slot.by_responder == by_responder)
    }
}

/// Notes why an exchange gives no turn.
pub fn exclude(why: u16, facts: &mut Facts) {
    facts.turns.get_or_insert_default().excluded.0 |= why;
}

fn note(kind: Kind, turn: Turn, facts: &mut Facts) {
    let turns = facts.turns.get_or_insert_default();
    match kind {
        Kind::Reflex => turns.note_answered(turn),
        Kind::Thought if turns.turns.len() < TURNS_MAX => turns.turns.push(turn),
        Kind::Thought => {}
    }
}

/// A short print of some bytes, to tell a message that is sent again: multiplied eight bytes at a
/// time. Who forges a collision only loses samples.
pub fn print_of(bytes: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| (hash ^ word).wrapping_mul(ODD).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64, |h, word| step(h, u64::from_le_bytes(*word)));
    let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    (step(step(hash, last), ODD) >> 32) as u32
}

#[cfg(test)]
#[path = "request_response_rtt_tests.rs"]
mod tests;
