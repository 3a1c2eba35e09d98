//! The usual packet of an open session: the next segment of its stream or a bare acknowledgement,
//! or another datagram of a conversation.
//!
//! Owns: the choice of such packets, and what a packet changed. In: a packet and its bytes. Out:
//! what [`Session::observe`] would do with it. Never: a rule of its own: of handshakes, ends, gaps,
//! fragments, decoys and doubtful times it only checks that none is concerned.

use crate::model::{Packet, PacketFlags, Peer, Stamp, TcpFlags, Transport};
use crate::session::rtt_samples::is_turn;
use crate::session::state::{Bits, Session, Shared};
use crate::session::update::Piece;
use crate::session::{Arrival, Listener, Weighed, Weight};

/// An open TCP session: its handshake is over, both streams have begun.
const OPEN: u32 = Bits::HANDSHAKE_OVER
    | Bits::ROLES_SETTLED
    | Bits::CONFIRMED
    | Bits::STREAM_INITIATOR
    | Bits::STREAM_RESPONDER;

/// What calls for the whole of [`Session::observe`].
const APART: u32 = Bits::DOUBTFUL | Bits::WAITING | Bits::ENDS;

/// A conversation over UDP.
const TALKS: u32 = Bits::ROLES_SETTLED | Bits::CONFIRMED;

/// Flags of packets that call for the same.
const PACKET_APART: u8 = PacketFlags::FRAGMENT | PacketFlags::FRAGMENT_LATER;

/// What a packet changed that matters to others than its session.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// It holds other bytes than before: so many then.
    pub(super) weighed: Option<Weight>,
    /// Its timeout may have become shorter.
    pub(super) rearms: bool,
    /// It may have updates from now on.
    pub(super) lists: bool,
}

impl News {
    /// Whether there are any.
    #[inline(always)]
    pub(super) const fn any(&self) -> bool {
        self.weighed.is_some() | self.rearms | self.lists
    }
}

impl<X: Weighed> Session<X> {
    /// Updates the session with a packet that belongs to it.
    #[inline(always)]
    pub(super) fn take(
        &mut self,
        arrival: Arrival<'_>,
        shared: &mut Shared,
        listener: &mut impl Listener<X>,
    ) -> News {
        match self.pass(arrival, shared, listener) {
            Some(held) => {
                let weighed = held.filter(|held| self.weight() != *held);
                News { weighed, rearms: false, lists: self.is_to_be_listed() }
            }
            None => self.take_any(arrival, shared, listener),
        }
    }

    /// The same, whatever packet it is.
    #[inline(never)]
    fn take_any(
        &mut self,
        arrival: Arrival<'_>,
        shared: &mut Shared,
        listener: &mut impl Listener<X>,
    ) -> News {
        let packet = arrival.packet;
        let (is_new, ends) = (!self.has_packets(), self.bits.ends());
        // A session that is no longer parsed holds the same as before; so does one that waits for
        // nothing and only acknowledges.
        let quiet = packet.payload_len == 0
            && !self.bits.has(Bits::WAITING)
            && !packet.tcp_flags.any(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
        let parsed = !quiet && !self.bits.has(Bits::UNPARSED);
        let before = parsed.then(|| self.weight());
        self.observe(arrival, shared, listener);
        // Only its first packet and its end can shorten a session's timeout. A longer one is
        // noticed when the timer comes up; a shorter one would be missed.
        News {
            weighed: before.filter(|before| self.weight() != *before),
            rearms: is_new || self.bits.ends() != ends,
            lists: self.is_to_be_listed(),
        }
    }

    /// Whether it has no update timer and needs one.
    #[inline(always)]
    fn is_to_be_listed(&self) -> bool {
        !self.bits.has(Bits::LISTED) && self.may_have_updates()
    }

    /// Whether a packet belongs to it and needs no look at what has to come before: it is no
    /// duplicate, begins no second of the clock, and no other session.
    #[inline(always)]
    pub(super) fn goes_on_with(&self, packet: &Packet) -> bool {
        let other = packet.tcp_flags.any(TcpFlags::SYN) || self.bits.has(Bits::REOPENS);
        self.key == packet.key
            && packet.clock <= self.touched
            && !packet.flags.has(PacketFlags::DUPLICATE)
            && !(other && packet.key.transport == Transport::TCP)
    }

    /// Updates the session with a usual packet. Returns the bytes that it held before, if they may
    /// have changed; `None` for any other packet, which changes nothing.
    #[inline(always)]
    fn pass(
        &mut self,
        arrival: Arrival<'_>,
        shared: &mut Shared,
        listener: &mut impl Listener<X>,
    ) -> Option<Option<Weight>> {
        let packet = arrival.packet;
        let usual = packet.stamp == Stamp::PLAIN
            && packet.flags.0 & PACKET_APART == 0
            && packet.time >= self.end
            && self.both_sent();
        match packet.key.transport {
            _ if !usual => None,
            Transport::TCP => self.pass_segment(arrival, shared, listener),
            Transport::UDP => self.pass_datagram(arrival, shared, listener),
            _ => None,
        }
    }

    #[inline(always)]
    fn pass_segment(
        &mut self,
        arrival: Arrival<'_>,
        shared: &mut Shared,
        listener: &mut impl Listener<X>,
    ) -> Option<Option<Weight>> {
        let packet = arrival.packet;
        let side = self.side(packet);
        let flags = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST | TcpFlags::ACK;
        let (wire, expected) = (packet.payload_wire(), self.half(side).stream.next());
        let usual = self.bits.of(OPEN | APART) == OPEN
            && packet.tcp_flags.0 & flags == TcpFlags::ACK
            && (wire == 0 || packet.seq == expected && !self.is_decoy(side, packet));
        if !usual {
            return None;
        }
        self.count_usual(side, packet);
        let (parsed, mut held) = (!self.bits.has(Bits::UNPARSED), None);
        if wire > 0 {
            self.half(side).stream.advance(wire);
            self.note_data(side);
            if parsed {
                held = Some(self.weight());
                let piece = Piece { from: side, payload: arrival.payload(), gap: false };
                self.deliver(piece, packet, listener);
            }
        } else if parsed {
            listener.acknowledged(&mut self.extra, side, (packet.ack, packet.time));
        }
        // Else it neither closes a round trip nor opens one.
        let timed = self.bits.any(Bits::TIMED_INITIATOR | Bits::TIMED_RESPONDER)
            || wire > 0 && is_turn(self.half(side).packets);
        if timed && shared.timed {
            self.time((side, expected), arrival, &mut shared.trips, listener);
        }
        if wire > 0 && self.bits.has(Bits::LONG) {
            self.show((side, expected), arrival, &mut shared.lasting, listener);
        }
        self.note_acknowledged(side, packet);
        Some(held)
    }

    #[inline(always)]
    fn pass_datagram(
        &mut self,
        arrival: Arrival<'_>,
        shared: &mut Shared,
        listener: &mut impl Listener<X>,
    ) -> Option<Option<Weight>> {
        let packet = arrival.packet;
        if self.bits.of(TALKS | Bits::DOUBTFUL) != TALKS || packet.payload_len == 0 {
            return None;
        }
        let side = self.side(packet);
        self.count_usual(side, packet);
        self.note_data(side);
        let (wire, payload) = (packet.payload_wire(), arrival.payload());
        self.half(side).note_datagram(side, wire, payload, Some(packet.time));
        let held = (!self.bits.has(Bits::UNPARSED)).then(|| self.weight());
        self.deliver(Piece { from: side, payload, gap: false }, packet, listener);
        if self.bits.has(Bits::LONG) {
            self.show((side, 0), arrival, &mut shared.lasting, listener);
        }
        Some(held)
    }

    /// Counts a packet that is not the first of its direction.
    #[inline(always)]
    fn count_usual(&mut self, side: Peer, packet: &Packet) {
        (self.end, self.frame_last) = (packet.time, packet.number);
        self.touched = self.touched.max(packet.clock);
        if packet.flags.has(PacketFlags::TRUNCATED) {
            self.bits.set(Bits::TRUNCATED);
        }
        let half = self.half(side);
        half.packets = half.packets.saturating_add(1);
        half.bytes += u64::from(packet.wire_len);
    }
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
