//! A new connection at the ports of a session that is under way.
//!
//! Owns: nothing. In: the initiator's first segment after a SYN and SYN-ACK that were not accepted.
//! Out: whether a session begins with it, and that session. Never: accepts a SYN or its answer
//! alone, since anybody can forge both.

use crate::model::{Packet, Peer};
use crate::session::state::{Bits, Session};

impl<X> Session<X> {
    /// For a packet that begins another session of this key, whose SYN and SYN-ACK were not
    /// accepted, the sequence number of that SYN-ACK.
    pub(crate) fn reopened(&self, packet: &Packet) -> Option<u32> {
        self.handshake.reopened(&self.step(packet, self.side(packet)))
    }

    /// Starts it with the result of [`Session::reopened`]: the packet is the initiator's first
    /// after its SYN.
    pub(crate) fn resume(&mut self, packet: &Packet, syn_ack: u32) {
        if self.side(packet) == Peer::Responder {
            self.turn();
        }
        self.handshake.resume(&self.step(packet, Peer::Initiator), syn_ack);
        self.start_stream(Peer::Initiator, packet.seq);
        self.start_stream(Peer::Responder, syn_ack.wrapping_add(1));
        self.bits.set(Bits::HANDSHAKE_OVER);
    }
}
