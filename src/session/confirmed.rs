//! Whether a session's packets show that its initiator is where they say.
//!
//! Owns: the rule. In: packets of one session. Out: yes or no. Never: looks into payload: what a
//! protocol proves is for who parses it.

use crate::model::{Peer, Transport};
use crate::session::state::{Bits, Session};

/// Who sent the first packet: without TCP there are no streams, which need these bits.
const FIRST_INITIATOR: u32 = Bits::STREAM_INITIATOR;
const FIRST_RESPONDER: u32 = Bits::STREAM_RESPONDER;

impl<X> Session<X> {
    /// Notes who sent the first packet, and whether it went on after an answer. Not for TCP.
    #[inline]
    pub(crate) fn note_order(&mut self, side: Peer) {
        let first = match side {
            Peer::Initiator => FIRST_INITIATOR,
            Peer::Responder => FIRST_RESPONDER,
        };
        if !self.bits.any(FIRST_INITIATOR | FIRST_RESPONDER) {
            self.bits.set(first);
        } else if self.bits.has(first) && self.both_sent() {
            self.bits.set(Bits::CONFIRMED);
        }
    }

    /// Whether more than one packet shows that the initiator is where its packets say: over TCP it
    /// acknowledged what it was sent. Otherwise it began and went on after an answer: a forged
    /// packet alone is answered, but nothing follows. An echo (ICMP) shows nothing of who asked.
    pub(crate) fn is_confirmed(&self) -> bool {
        let went_on = self.bits.has(Bits::CONFIRMED);
        match self.key.transport {
            Transport::TCP => went_on,
            Transport::ICMP | Transport::ICMP6 => false,
            _ => went_on && self.bits.has(FIRST_INITIATOR),
        }
    }
}
