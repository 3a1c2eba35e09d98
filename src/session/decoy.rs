//! First data that was sent to die on its way: a hello for whoever watches the path, which the
//! server never sees, before the one it does see, at the same place of the stream.
//!
//! Owns: what tells such a segment. In: a segment of the initiator. Out: whether to leave it alone.
//! Never: looks at bytes, or at segments beyond the opening of a stream.

use crate::model::Packet;
use crate::model::TcpFlags;
use crate::session::Side;
use crate::session::state::Bits;
use crate::session::state::Session;

/// Bytes of a stream in which its hello lies.
const OPENING_BYTES: u32 = 16 * 1_024;

impl<X> Session<X> {
    /// Whether a segment of the opening carries less than half the time to live of the SYN. Paths
    /// change by a few hops while a connection opens; who wants a packet to be seen and not to
    /// arrive gives it a handful (RFC 791 section 3.1: each router takes one).
    pub(crate) fn is_decoy(&self, side: Side, packet: &Packet) -> bool {
        // The bits first: the rest lies in cache lines that other packets do not touch.
        let may_be = side == Side::Initiator && !self.bits.has(Bits::DEAF);
        if !may_be || packet.payload_wire() == 0 || packet.tcp_flags.any(TcpFlags::SYN) {
            return false;
        }
        let [opened, _] = &self.origins;
        packet.ttl < opened.ttl / 2
            && self.handshake.distance(packet.seq).is_some_and(|at| at < OPENING_BYTES)
    }
}
