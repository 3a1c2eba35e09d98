//! Measures round trips of a session while its packets pass.
//!
//! Owns: which segments wait for their acknowledgement, and which acknowledgement is believed.
//! In: packets, after their stream was updated. Out: round trips in the session's block of the
//! pool.
//! Never: a round trip of a segment that may have passed before, or across a clock that steps back.
//!
//! One segment per direction is timed at a time, so that few packets touch more than the session's
//! flags. It carries data, follows everything its sender sent before, and is the first copy seen;
//! the first acknowledgement that covers its end closes it. The time in between is a full round
//! trip between the sensor and the acknowledging end, plus that end's delay in acknowledging (RFC
//! 9293 section 3.8.6.3: up to half a second): the lowest is close to the leg, never below it.

use crate::bounded::Slab;
use crate::model::{Counter, Packet, Peer, TcpFlags, Transport, Trust};
use crate::session::rtt_samples::{self, Probe, Trips};
use crate::session::state::{Bits, Session};
use crate::session::{Arrival, Listener};
use crate::wire::tcp::timestamps;

/// The blocks of a shard's sessions.
pub(crate) type Pool = Slab<Trips>;

/// Payload of the largest segment that is taken for a single one if no MSS was seen: an Ethernet
/// frame's. Larger ones were assembled by a card or its driver, later than their time says.
const SEGMENT: u32 = 1_460;

/// The flag for "a segment of `side` is being timed".
const fn under_way(side: Peer) -> u32 {
    match side {
        Peer::Initiator => Bits::TIMED_INITIATOR,
        Peer::Responder => Bits::TIMED_RESPONDER,
    }
}

impl<X> Session<X> {
    /// Processes a TCP packet that is no fragment, after its stream did; `expected` is the sequence
    /// number that the stream expected before.
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
            // It may be the awaited acknowledgement: a later one would give too long a time.
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

    /// Whether a packet's time may be compared with those of the session's other packets.
    #[inline]
    pub(crate) fn can_time(&self, packet: &Packet) -> bool {
        match packet.stamp.trust() {
            Trust::Believed | Trust::SetBack => true,
            Trust::Doubtful => self.bits.has(Bits::DOUBTFUL),
            Trust::Absent => false,
        }
    }

    /// Whether a segment was the next of its stream, with nothing missing before it.
    fn is_next(&mut self, side: Peer, expected: u32, packet: &Packet) -> bool {
        let stream = &self.half(side).stream;
        packet.seq == expected
            && stream.next() == expected.wrapping_add(packet.payload_wire())
            && stream.hole() == 0
    }

    /// `side` acknowledges: closes the other end's timed segment if covered.
    fn close_probe(&mut self, side: Peer, arrival: Arrival<'_>, pool: &mut Pool) {
        let packet = arrival.packet;
        let sent = self.half(side.other()).stream.next();
        let Some(block) = pool.get_mut(self.trips) else { return };
        let way = block.way(side.other());
        if packet.ack.wrapping_sub(way.probe.end) >= 1 << 31 {
            return;
        }
        self.bits.clear(under_way(side.other()));
        // A FIN takes one number (RFC 9293 section 3.4). Beyond that are bytes that the sensor
        // missed, so it may also have missed the first copy of this segment.
        if packet.ack.wrapping_sub(sent) as i32 > 1 {
            return;
        }
        let stamped = way.probe.stamp.is_some();
        let header = if stamped { packet.l4_header(arrival.frame) } else { &[] };
        let echo = timestamps(header).map(|(_, echo)| echo);
        // Two equal readings only mean "shorter than a tick" (RFC 6298 section 2.3).
        if let Some((ns, method)) = way.probe.close(packet.time, echo).filter(|(ns, _)| *ns > 0) {
            way.collected.add(ns, method);
        }
    }

    /// Something was retransmitted, out of order or missing: it is no longer known what an
    /// acknowledgement answers (Karn and Partridge, SIGCOMM 1987), unless a timestamp shows it.
    #[cold]
    fn apply_karn(&mut self, side: Peer, pool: &mut Pool) {
        let plain = pool.get_mut(self.trips).is_some_and(|b| b.way(side).probe.stamp.is_none());
        if plain {
            self.bits.clear(under_way(side));
        }
    }

    /// A segment passes for the first time: it may be timed.
    fn open_probe(
        &mut self,
        side: Peer,
        arrival: Arrival<'_>,
        pool: &mut Pool,
        listener: &mut impl Listener<X>,
    ) {
        let packet = arrival.packet;
        let largest = self.handshake.syn.mss().map_or(SEGMENT, |mss| SEGMENT.max(u32::from(mss)));
        if !self.both_sent() || packet.payload_wire() > largest {
            return;
        }
        let stamp = timestamps(packet.l4_header(arrival.frame)).map(|(value, _)| value);
        let settled =
            || packet.time.checked_since(self.start).is_some_and(|t| t > rtt_samples::LONGEST);
        // In a session that started before the capture, early segments may be retransmissions.
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

    /// The session's block; at the cap of the pool it never gets one, which is counted.
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

    /// Drops everything that is being timed.
    pub(crate) fn lose_time(&mut self) {
        self.bits.set(Bits::UNTIMED);
        self.bits.clear(Bits::TIMED_INITIATOR | Bits::TIMED_RESPONDER);
        self.untimed = self.untimed.wrapping_add(1);
        if !self.handshake.is_done() {
            self.handshake.lose_time();
        }
    }

    /// Passes on that a packet without payload acknowledges.
    pub(crate) fn pass_acknowledgement(
        &mut self,
        side: Peer,
        packet: &Packet,
        listener: &mut impl Listener<X>,
    ) {
        let flags = packet.tcp_flags;
        let plain = flags.has(TcpFlags::ACK) && !flags.any(TcpFlags::SYN | TcpFlags::RST);
        if plain && !self.bits.has(Bits::UNPARSED) {
            listener.acknowledged(&mut self.extra, side, (packet.ack, packet.time));
        }
    }

    /// `side` acknowledged bytes: whether they include the other end's open gap. Then the capture
    /// lost them.
    #[inline(always)]
    pub(crate) fn note_acknowledged(&mut self, side: Peer, packet: &Packet) {
        let peer = side.other();
        self.half(peer).stream.note_stray_ack(packet.ack);
        if self.half(peer).stream.covers_hole(packet.ack) {
            self.bits.set(match peer {
                Peer::Initiator => Bits::UNSEEN_INITIATOR,
                Peer::Responder => Bits::UNSEEN_RESPONDER,
            });
        }
    }

    /// The session has ended: counts the bytes missing for good, and all bytes.
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

    /// `bytes` of a gap of `side` are given up: counted as a gap, and again if the other end has
    /// acknowledged them.
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
