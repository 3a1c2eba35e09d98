//! Takes round trips of a session as its packets pass.
//!
//! Owns: which segments wait for their acknowledgement, and which acknowledgement is believed.
//! In: packets, after their stream took them. Out: round trips in the session's block of the pool.
//! Never: a round trip of a segment that may have passed before, or across a clock that steps back.
//!
//! One segment of each direction is under way at a time, so that few packets touch more than the
//! session's bits. It carries data, follows all that its sender sent before, and is the first copy
//! seen; the first acknowledgement that covers its end closes it. The time between is a full round
//! trip between the sensor and whoever acknowledged, and that end's delay in acknowledging (RFC
//! 9293 section 3.8.6.3: up to half a second): the lowest is close to the leg, never below it.

use crate::bounded::Slab;
use crate::model::Counter;
use crate::model::Packet;
use crate::model::Peer;
use crate::model::TcpFlags;
use crate::model::Transport;
use crate::model::Trust;
use crate::session::Arrival;
use crate::session::Listener;
use crate::session::rtt_samples;
use crate::session::rtt_samples::Probe;
use crate::session::rtt_samples::Trips;
use crate::session::state::Bits;
use crate::session::state::Session;
use crate::wire::tcp::timestamps;

/// The blocks of a shard's sessions.
pub(crate) type Pool = Slab<Trips>;

/// Payload of the largest segment taken for one of its own, where no MSS was seen: what Ethernet
/// carries. Larger ones were put together by a card or its driver, at a later time than they tell.
const SEGMENT: u32 = 1_460;

/// The bit that says that a segment of `side` is under way.
const fn under_way(side: Peer) -> u32 {
    match side {
        Peer::Initiator => Bits::TIMED_INITIATOR,
        Peer::Responder => Bits::TIMED_RESPONDER,
    }
}

impl<X> Session<X> {
    /// Takes a TCP packet into account which is no fragment, after its stream did; `expected` is
    /// the sequence number which that expected before.
    #[inline]
    pub(crate) fn time(
        &mut self,
        (side, expected): (Peer, u32),
        arrival: Arrival<'_>,
        pool: &mut Pool,
        listener: &mut impl Listener<X>,
    ) {
        let packet = arrival.packet;
        let flags = packet.tcp_flags;
        if !flags.has(TcpFlags::ACK) || flags.any(TcpFlags::RST | TcpFlags::SYN) {
            return;
        }
        if !self.can_time(packet) {
            // It may be the acknowledgement that was waited for: a later one would tell too much.
            return self.bits.clear(Bits::TIMED_INITIATOR | Bits::TIMED_RESPONDER);
        }
        if self.bits.has(under_way(side.other())) {
            self.close_probe(side, arrival, pool);
        }
        if packet.payload_wire() == 0 {
            return;
        }
        if !self.is_next(side, expected, packet) {
            if self.bits.has(under_way(side)) {
                self.apply_karn(side, pool);
            }
        } else if rtt_samples::is_turn(self.half(side).packets) {
            self.open_probe(side, arrival, pool, listener);
        }
    }

    /// Whether a packet's time may be held against those of the session's other packets.
    #[inline]
    pub(crate) fn can_time(&self, packet: &Packet) -> bool {
        match packet.stamp.trust() {
            Trust::Believed | Trust::SetBack => true,
            Trust::Doubtful => self.bits.has(Bits::DOUBTFUL),
            Trust::Absent => false,
        }
    }

    /// Whether a segment was the next of its stream, and nothing before it is missing.
    fn is_next(&mut self, side: Peer, expected: u32, packet: &Packet) -> bool {
        let stream = &self.half(side).stream;
        packet.seq == expected
            && stream.next() == expected.wrapping_add(packet.payload_wire())
            && stream.hole() == 0
    }

    /// `side` acknowledges: does that close what the other end sent?
    fn close_probe(&mut self, side: Peer, arrival: Arrival<'_>, pool: &mut Pool) {
        let packet = arrival.packet;
        let sent = self.half(side.other()).stream.next();
        let Some(block) = pool.get_mut(self.trips) else { return };
        let way = block.way(side.other());
        if packet.ack.wrapping_sub(way.probe.end) >= 1 << 31 {
            return;
        }
        self.bits.clear(under_way(side.other()));
        // A FIN takes one number (RFC 9293 section 3.4). Beyond that lies what the sensor missed,
        // so it may have missed the first copy of this one, too.
        if packet.ack.wrapping_sub(sent) as i32 > 1 {
            return;
        }
        let stamped = way.probe.stamp.is_some();
        let header = if stamped { packet.l4_header(arrival.frame) } else { &[] };
        let echo = timestamps(header).map(|(_, echo)| echo);
        // Two equal readings say only "shorter than the clock's grain" (RFC 6298 section 2.3).
        if let Some((ns, method)) = way.probe.close(packet.time, echo).filter(|(ns, _)| *ns > 0) {
            way.collected.add(ns, method);
        }
    }

    /// Something was sent again, came out of order or is missing: an acknowledgement no longer
    /// tells what it answers (Karn and Partridge, SIGCOMM 1987), unless a timestamp does.
    #[cold]
    fn apply_karn(&mut self, side: Peer, pool: &mut Pool) {
        let plain = pool.get_mut(self.trips).is_some_and(|b| b.way(side).probe.stamp.is_none());
        if plain {
            self.bits.clear(under_way(side));
        }
    }

    /// A segment passes for the first time: it may wait for its acknowledgement.
    fn open_probe(
        &mut self,
        side: Peer,
        arrival: Arrival<'_>,
        pool: &mut Pool,
        listener: &mut impl Listener<X>,
    ) {
        let packet = arrival.packet;
        let largest = self.handshake.syn.mss().map_or(SEGMENT, |mss| SEGMENT.max(u32::from(mss)));
        if !self.both_spoke() || packet.payload_wire() > largest {
            return;
        }
        let stamp = timestamps(packet.l4_header(arrival.frame)).map(|(value, _)| value);
        let settled =
            || packet.time.checked_since(self.start).is_some_and(|t| t > rtt_samples::LONGEST);
        // Of a session that began before the capture, early segments may be repetitions.
        if stamp.is_none() && !self.handshake.saw_syn() && !settled() {
            return;
        }
        let Some(block) = self.block(pool, listener) else { return };
        let way = block.way(side);
        if self.bits.has(under_way(side)) && !way.probe.is_stale(packet.time) {
            return;
        }
        let end = packet.seq.wrapping_add(packet.payload_wire());
        way.probe = Probe { at: packet.time, end, stamp };
        self.bits.set(under_way(side));
    }

    /// The session's block; at the cap of the pool it has none for good, which is counted.
    fn block<'p>(
        &mut self,
        pool: &'p mut Pool,
        listener: &mut impl Listener<X>,
    ) -> Option<&'p mut Trips> {
        if self.trips == Self::NO_TRIPS {
            self.trips = pool.insert(Trips::default()).unwrap_or(Self::UNTIMED);
            if self.trips == Self::UNTIMED {
                listener.count(Counter::SessionsUntimed, 1);
            }
        }
        pool.get_mut(self.trips)
    }

    /// `side` acknowledged bytes: whether the other end's open hole is among them. Then it was
    /// the capture that lost them.
    #[inline]
    pub(crate) fn note_acknowledged(&mut self, side: Peer, packet: &Packet) {
        let peer = side.other();
        self.half(peer).stream.vouch(packet.ack);
        if self.half(peer).stream.covers_hole(packet.ack) {
            self.bits.set(match peer {
                Peer::Initiator => Bits::UNSEEN_INITIATOR,
                Peer::Responder => Bits::UNSEEN_RESPONDER,
            });
        }
    }

    /// The session is over: what is missing for good, and of how much.
    pub(crate) fn count_end(&mut self, listener: &mut impl Listener<X>) {
        if self.key.transport != Transport::TCP {
            return;
        }
        self.drop_decoys(Peer::Initiator, listener);
        for side in [Peer::Initiator, Peer::Responder] {
            let hole = self.half(side).stream.hole();
            self.count_gap(side, hole, listener);
        }
        listener.count(Counter::TcpBytes, self.initiator.bytes + self.responder.bytes);
    }

    /// `bytes` of a hole of `side` are given up: counted once as a gap, and again where the other
    /// end has them.
    pub(crate) fn count_gap(&mut self, side: Peer, bytes: u32, listener: &mut impl Listener<X>) {
        let (unseen, noted) = match side {
            Peer::Initiator => (Bits::UNSEEN_INITIATOR, self.bits.has(Bits::UNSEEN_INITIATOR)),
            Peer::Responder => (Bits::UNSEEN_RESPONDER, self.bits.has(Bits::UNSEEN_RESPONDER)),
        };
        self.bits.clear(unseen);
        if bytes > 0 {
            listener.count(Counter::GapBytes, u64::from(bytes));
            if noted {
                listener.count(Counter::AckedUnseenBytes, u64::from(bytes));
                if !self.bits.has(Bits::UNSEEN_COUNTED) {
                    self.bits.set(Bits::UNSEEN_COUNTED);
                    listener.count(Counter::AckedUnseenSessions, 1);
                }
            }
        }
    }
}
