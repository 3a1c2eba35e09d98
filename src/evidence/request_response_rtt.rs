//! Pairs requests of one side with responses of the other, and measures the round trip.
//!
//! Owns: the few pending requests of a session. In: requests and responses with their keys, as
//! protocols see them. Out: turns and exclusions in the session's facts. Never: knows a protocol,
//! takes a sample from a retransmission (Karn and Partridge, SIGCOMM 1987), or counts one answer
//! twice.

use crate::model::latency::{Exchange, Exclusions, Turn};
use crate::model::record::Facts;
use crate::model::{Heap, Nanos, Peer};

/// Pending requests of both sides; the oldest is evicted first. A DTLS handshake has 4, an ICE
/// agent 6 pairs in flight.
const SLOTS: usize = 8;
/// Turns kept per session: a handshake has 1 or 2.
const TURNS_MAX: usize = 8;

/// Longest round trip of an answer that needs no thought: who waits longer has sent the request
/// again (as over TCP, RFC 6298 section 2), which the sensor then missed.
const REFLEX_MAX: u64 = 4_000_000_000;

/// A datagram's sender, time and facts.
pub struct Moment<'a> {
    /// Its sender.
    pub role: Peer,
    /// When the sensor saw it.
    pub time: Nanos,
    /// Where turns go.
    pub facts: &'a mut Facts,
}

impl Moment<'_> {
    /// The datagram repeats what nobody knows who did not receive the other side's: its sender is
    /// where its packets say.
    pub fn proves(&mut self) {
        if self.role == Peer::Initiator {
            self.facts.turns.get_or_insert_default().answered = true;
        }
    }
}

/// How the peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Without computing, and already to the first datagram of the request: measured from there, so
    /// that the sample is never shorter than the round trip.
    Reflex,
    /// Likewise, and with a single datagram. A second one answers a request that the sensor missed,
    /// and which of the two the first one answered is unknown.
    SingleReflex,
    /// After the whole request, with computing: measured from the last datagram.
    Thought,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits,
    /// Retransmitted: it is unknown which copy an answer belongs to.
    Void,
    Answered,
    /// Requested again after the answer, or answered again: further answers tell nothing.
    Over,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    state: State,
    by_responder: bool,
    key: u64,
    print: u32,
    first: Nanos,
    /// Of the request; once answered, that of the answer.
    last: Nanos,
}

/// The requests of one session.
#[derive(Debug, Default)]
pub struct RequestRtt {
    /// At most [`SLOTS`]: most sessions have one or two requests, and there are many sessions.
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
    /// A unique fingerprint for data whose retransmission cannot be recognised.
    pub fn number(&mut self) -> u16 {
        self.numbers = self.numbers.wrapping_add(1);
        self.numbers
    }

    /// A request. The same `key` and `print` again is a retransmission; another print is a further
    /// datagram of it.
    pub fn ask(&mut self, key: u64, print: u32, at: &Moment<'_>) {
        let by_responder = at.role == Peer::Responder;
        if let Some(slot) = self.find(key, by_responder) {
            if slot.state == State::Waits && (slot.print == print || at.time < slot.last) {
                slot.state = State::Void;
            }
            match slot.state {
                State::Waits => slot.last = at.time,
                State::Answered => slot.state = State::Over,
                State::Void | State::Over => {}
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

    /// The datagram answers `key`; true if that was requested and not answered before.
    pub fn answer(&mut self, key: u64, how: (Kind, Exchange), at: &mut Moment<'_>) -> bool {
        let (kind, exchange) = how;
        let by_initiator = at.role == Peer::Initiator;
        let Some(slot) = self.find(key, by_initiator) else { return false };
        let (state, first, last) = (slot.state, slot.first, slot.last);
        let again = matches!(state, State::Answered | State::Over);
        (slot.state, slot.last) = match again {
            true => (State::Over, last),
            false => (State::Answered, at.time),
        };
        if again {
            if state == State::Answered && kind == Kind::SingleReflex {
                let round_trip_ns = last.0.saturating_sub(first.0);
                withdraw(Turn::new(exchange, by_initiator, round_trip_ns), at.facts);
            }
            return false;
        }
        // The keys of these can be written without having seen the request: they report an answer
        // themselves, where it repeats what only the responder's datagram said.
        let blind = [
            Exchange::Quic,
            Exchange::QuicResumed,
            Exchange::Dtls,
            Exchange::DtlsResumed,
            Exchange::Ike,
            Exchange::Openvpn,
        ];
        if !blind.contains(&exchange) {
            at.proves();
        }
        let whole = at.time.0.checked_sub(first.0);
        let rest = at.time.0.checked_sub(last.0);
        // Nobody retransmits before a round trip has passed (RFC 9002 section 6.2.1): a request
        // that took longer to send than its answer took may be two.
        let spread = last.0.saturating_sub(first.0);
        let (Some(whole), Some(rest)) = (whole, rest) else {
            exclude(Exclusions::LOSS, at.facts);
            return true;
        };
        let reflex = kind != Kind::Thought;
        let missed = reflex && whole > REFLEX_MAX;
        if state == State::Void || missed {
            exclude(Exclusions::LOSS, at.facts);
        } else if spread > 0 && spread >= rest {
            exclude(Exclusions::SPLIT_FLIGHT, at.facts);
        } else {
            let round_trip_ns = if reflex { whole } else { rest };
            note(kind, Turn::new(exchange, by_initiator, round_trip_ns), at.facts);
        }
        true
    }

    /// The request that is answered was complete at `last`: what came later is a second one.
    pub fn rewind(&mut self, key: u64, by_initiator: bool, last: Nanos) {
        if let Some(slot) = self.find(key, by_initiator)
            && slot.state == State::Waits
        {
            (slot.first, slot.last) = (last, last);
        }
    }

    /// An answer to `key` cannot be timed.
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

/// Records why an exchange gives no turn.
pub fn exclude(why: u16, facts: &mut Facts) {
    facts.turns.get_or_insert_default().excluded.0 |= why;
}

fn note(kind: Kind, turn: Turn, facts: &mut Facts) {
    let turns = facts.turns.get_or_insert_default();
    match kind {
        Kind::Reflex | Kind::SingleReflex => turns.note_answered(turn),
        Kind::Thought if turns.turns.len() < TURNS_MAX => turns.turns.push(turn),
        Kind::Thought => {}
    }
}

/// Takes back what the first of two answers gave. If it was not the lowest, nothing shows it.
fn withdraw(turn: Turn, facts: &mut Facts) {
    let Some(turns) = facts.turns.as_deref_mut() else { return };
    let lowest = if turn.by_initiator { &mut turns.near } else { &mut turns.far };
    if *lowest == Some(turn) {
        *lowest = None;
        turns.excluded.0 |= Exclusions::LOSS;
    }
}

/// A short fingerprint of some bytes, to recognise a retransmission: multiplied eight bytes at a
/// time. A forged collision only loses samples.
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
