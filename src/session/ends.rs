//! How a TCP session ends: RST, FIN and acknowledgements.
//!
//! Owns: the rules by which an end is believed, doubted and revoked. In: packets of one session.
//! Out: its flags. Never: ends a session (its timer does).

use crate::model::{Counter, Packet, Peer, TcpFlags};
use crate::session::Listener;
use crate::session::handshake::Step;
use crate::session::state::{Bits, Session};
use crate::session::stream::Stream;

/// A RST or FIN whose TTL differs this much from that of its sender's first packet is not believed
/// at once: routes change by a few hops, and a forger may let the packet expire on the way.
const TTL_STEP: u8 = 8;

/// How far back an acknowledgement may be if the SYN-ACK was not seen, in bytes.
const BEHIND: u32 = 1 << 20;

/// A FIN this far ahead of its stream is not just overtaking data in flight: a window without
/// scaling (RFC 9293 section 3.1).
const EARLY: u32 = 1 << 16;

/// Half of the range of eight bits, in KiB: twice [`EARLY`].
const BEFORE_MAX: u8 = 127;

/// The lower eight bits of a sequence number in KiB.
const fn kibs(seq: u32) -> u8 {
    (seq >> 10) as u8
}

impl<X> Session<X> {
    /// What an acknowledgement proves about its sender, and about the other end's FIN.
    #[inline]
    pub(crate) fn note_ack(&mut self, side: Peer, packet: &Packet) {
        let (fin, acked) = match side {
            Peer::Initiator => (Bits::FIN_RESPONDER, Bits::FIN_RESPONDER_ACKED),
            Peer::Responder => (Bits::FIN_INITIATOR, Bits::FIN_INITIATOR_ACKED),
        };
        if self.bits.has(fin) && packet.ack == self.half(side.other()).stream.next().wrapping_add(1)
        {
            self.bits.set(acked);
        }
        if side == Peer::Initiator && !self.bits.has(Bits::CONFIRMED) {
            self.confirm(packet);
        }
    }

    /// Whether the initiator acknowledges the responder's data: a forger of its address does not
    /// see them.
    fn confirm(&mut self, packet: &Packet) {
        let sent = self.responder.bytes.min(u64::from(BEHIND)) as u32;
        let Some(next) = self.stream(Peer::Responder).map(Stream::next) else { return };
        let first =
            self.handshake.syn_ack_seq().map_or(next.wrapping_sub(sent), |seq| seq.wrapping_add(1));
        if packet.ack.wrapping_sub(first) <= next.wrapping_sub(first) {
            self.bits.set(Bits::CONFIRMED);
        }
    }

    /// Records a RST or FIN that may be genuine.
    pub(crate) fn note_end(&mut self, side: Peer, packet: &Packet) {
        let next = self.stream(side).map(Stream::next);
        let exact = next.is_none_or(|next| packet.seq == next);
        let ttl = self.origin(side).ttl;
        let rst = packet.tcp_flags.any(TcpFlags::RST);
        // A FIN takes one number, and a RST after it the next (RFC 9293 section 3.4).
        let behind_fin = next.is_some_and(|next| packet.seq == next.wrapping_add(1));
        if packet.ttl.abs_diff(ttl) > TTL_STEP || rst && !exact && !behind_fin {
            self.bits.set(Bits::END_DOUBTED);
        }
        if rst {
            self.bits.set(Bits::RESET);
            if side == Peer::Responder {
                self.bits.set(Bits::RESET_BY_RESPONDER);
            }
        } else {
            self.note_fin(side, packet.seq.wrapping_add(packet.payload_wire()));
            let ahead = next.map_or(0, |next| packet.seq.wrapping_sub(next));
            if (EARLY..1 << 31).contains(&ahead) {
                self.bits.set(Bits::END_DOUBTED);
            }
            self.bits.set(match side {
                Peer::Initiator => Bits::FIN_INITIATOR,
                Peer::Responder => Bits::FIN_RESPONDER,
            });
            if packet.tcp_flags.has(TcpFlags::ACK) {
                self.note_ack(side, packet);
            }
        }
    }

    /// Revokes the end of a side that sends new in-order data: a sender that has ended sends none,
    /// so its RST or FIN was forged. Data that a FIN overtook may still come, unless the FIN is too
    /// early to be genuine.
    #[cold]
    pub(crate) fn revoke_end(&mut self, side: Peer, listener: &mut impl Listener<X>) {
        let fin = match side {
            Peer::Initiator => Bits::FIN_INITIATOR,
            Peer::Responder => Bits::FIN_RESPONDER,
        };
        let by_responder = self.bits.has(Bits::RESET_BY_RESPONDER);
        let reset = self.bits.has(Bits::RESET) && by_responder == (side == Peer::Responder);
        let awaited = self.before_fin(side) <= BEFORE_MAX && !self.bits.has(Bits::END_DOUBTED);
        let finished = self.bits.has(fin) && !awaited;
        if reset || finished {
            self.bits.clear_ends();
            listener.count(Counter::EndsImplausible, 1);
        }
    }

    /// Records the position of a FIN: eight bits in KiB show whether a stream has passed one that
    /// is not [`EARLY`].
    fn note_fin(&mut self, side: Peer, seq: u32) {
        let [initiator, responder] = &mut self.fins;
        let fin = if side == Peer::Initiator { initiator } else { responder };
        *fin = kibs(seq);
    }

    /// The distance of a side's stream to its FIN, in KiB; more than [`BEFORE_MAX`] if it has
    /// passed the FIN.
    fn before_fin(&self, side: Peer) -> u8 {
        let [initiator, responder] = self.fins;
        match side {
            Peer::Initiator => initiator.wrapping_sub(kibs(self.initiator.stream.next())),
            Peer::Responder => responder.wrapping_sub(kibs(self.responder.stream.next())),
        }
    }

    /// Whether a FIN overtook data that have not come: the sensor missed them, or it is forged.
    pub(crate) fn has_early_fin(&self) -> bool {
        let sides =
            [(Bits::FIN_INITIATOR, Peer::Initiator), (Bits::FIN_RESPONDER, Peer::Responder)];
        sides.iter().any(|(fin, side)| {
            self.bits.has(*fin) && (1..=BEFORE_MAX).contains(&self.before_fin(*side))
        })
    }

    /// Whether a RST or FIN may be genuine: anybody can forge one without seeing the stream's
    /// position (RFC 5961 section 1). If the sensor does not know the position either, it may be.
    pub(crate) fn may_end(&self, step: &Step) -> bool {
        if self.handshake.refuses_other(step) {
            return false;
        }
        match (self.stream(step.side), self.stream(step.side.other())) {
            (Some(own), _) => own.is_near(step.seq),
            (None, Some(peer)) if step.flags.any(TcpFlags::RST) => {
                self.handshake.may_refuse(step, peer.next())
            }
            _ => true,
        }
    }
}
