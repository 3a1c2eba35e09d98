//! Decoys: first data sent with a time to live too low to reach the server. A hello for observers
//! on the path, which the server never sees, sent before the real one at the same place of the
//! stream.
//!
//! Owns: the recognition of such a segment, and its handling. In: a segment of the initiator. Out:
//! it is delivered if the responder acknowledges it and nothing else came in its place. Never:
//! looks at bytes, or at segments beyond the opening of a stream.

use crate::model::{Counter, Packet, Peer, TcpFlags};
use crate::session::reorder::Early;
use crate::session::state::{Bits, Session};
use crate::session::update::Piece;
use crate::session::{Arrival, Listener};

/// Bytes of a stream that can contain its hello.
const OPENING_BYTES: u32 = 16 * 1_024;

impl<X> Session<X> {
    /// Whether a segment of the opening has less than half the time to live of the SYN. Paths
    /// change by a few hops while a connection opens; a packet that must be seen but must not
    /// arrive gets a handful (RFC 791 section 3.1: each router takes one).
    #[inline(always)]
    pub(crate) fn is_decoy(&self, side: Peer, packet: &Packet) -> bool {
        // Check the flags first: the rest is in cache lines that other packets do not touch.
        let may_be =
            side == Peer::Initiator && !self.bits.any(Bits::UNPARSED | Bits::LOW_TTL_ARRIVES);
        if !may_be || packet.payload_wire() == 0 || packet.tcp_flags.any(TcpFlags::SYN) {
            return false;
        }
        let [opened, _] = &self.origins;
        packet.ttl < opened.ttl / 2
            && self.handshake.distance(packet.seq).is_some_and(|at| at < OPENING_BYTES)
    }

    /// Whether a stream whose start was seen cannot be at a distant position: it is in its opening,
    /// which contains the hello, and the peer has acknowledged nothing there.
    #[cold]
    pub(super) fn is_unlikely(&self, side: Peer) -> bool {
        let Some(stream) = self.stream(side) else { return false };
        let distance = match side {
            Peer::Initiator => self.handshake.distance(stream.next()),
            Peer::Responder => {
                let first = self.handshake.syn_ack_seq().map(|seq| seq.wrapping_add(1));
                first.map(|first| stream.next().wrapping_sub(first))
            }
        };
        distance.is_some_and(|bytes| bytes < OPENING_BYTES) && !stream.is_stray_acknowledged()
    }

    /// Buffers such a segment: a system may raise the time to live of its SYN alone, or a proxy may
    /// have sent the SYN. Then the apparent decoy is the real data, and arrives.
    #[cold]
    pub(super) fn keep_decoy(&mut self, arrival: Arrival<'_>, listener: &mut impl Listener<X>) {
        let packet = arrival.packet;
        let (seq, wire) = (packet.first_byte(), packet.payload_wire());
        let next = self.initiator.stream.next();
        let reorder = self.reorder.get_or_insert_default();
        if reorder.keep_suspect(next, seq, arrival.payload(), wire) {
            self.bits.set(Bits::WAITING);
        } else {
            listener.count(Counter::Decoys, 1);
        }
        self.forget_empty();
    }

    /// The responder received the apparent decoy, because it acknowledges it and nothing else came
    /// in its place.
    pub(super) fn release_decoys(
        &mut self,
        side: Peer,
        packet: &Packet,
        listener: &mut impl Listener<X>,
    ) {
        let next = self.initiator.stream.next();
        let end = self.reorder.as_ref().and_then(|reorder| reorder.suspect_end(next));
        let Some(end) = end.filter(|_| side == Peer::Initiator) else { return };
        if packet.ack.wrapping_sub(end) >= 1 << 31 {
            return;
        }
        self.bits.set(Bits::LOW_TTL_ARRIVES);
        while let Some(early) = self.take_decoy() {
            self.initiator.stream.advance(early.wire);
            let piece = Piece { from: side, payload: &early.bytes, gap: false };
            self.deliver(piece, packet, listener);
        }
        self.deliver_waiting(side, packet, listener);
    }

    /// It was a decoy: other data came in its place.
    pub(super) fn drop_decoys(&mut self, side: Peer, listener: &mut impl Listener<X>) {
        let Some(reorder) = self.reorder.as_mut().filter(|_| side == Peer::Initiator) else {
            return;
        };
        listener.count(Counter::Decoys, reorder.drop_suspects() as u64);
        self.forget_empty();
    }

    fn take_decoy(&mut self) -> Option<Early> {
        let next = self.initiator.stream.next();
        let early = self.reorder.as_mut()?.take_suspect(next);
        self.forget_empty();
        early
    }

    fn forget_empty(&mut self) {
        if self.reorder.as_ref().is_some_and(|reorder| reorder.is_empty()) {
            self.reorder = None;
            self.bits.clear(Bits::WAITING);
        }
    }
}
