//! The state of one open session.
//!
//! Owns: the fixed-size state, about a quarter KiB. In: packets. Out: nothing by itself.
//! Never: grows (the two boxes it may hold have caps of their own).

use crate::bounded::Slab;
use crate::model::{
    FlowKey, Grain, Heading, Nanos, Packet, PacketFlags, Peer, TcpFlags, Transport,
};
use crate::session::fragments::Fragments;
use crate::session::half::Half;
use crate::session::handshake::Handshake;
use crate::session::reorder::Reorder;
use crate::session::rtt_samples::Trips;
use crate::session::stream::Stream;
use crate::session::timeouts::{Class, Timeouts};
use crate::session::waiting::Holdings;
use crate::session::{Weighed, Weight, lasting};

/// Facts of a direction's first packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    /// Link-layer source address, if there is an Ethernet header.
    pub(crate) mac: Option<[u8; 6]>,
    /// Time to live.
    pub(crate) ttl: u8,
}

/// Flags.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bits(u32);

impl Bits {
    /// The initiator is side `b` of the key.
    pub(crate) const INITIATOR_B: u32 = 1;
    /// A segment of the initiator is being timed.
    pub(crate) const TIMED_INITIATOR: u32 = 4096;
    /// A segment of the responder is being timed.
    pub(crate) const TIMED_RESPONDER: u32 = 8192;
    /// It was counted among those with bytes that were acknowledged but never seen.
    pub(crate) const UNSEEN_COUNTED: u32 = 16_384;
    /// The open gap of the initiator's stream was acknowledged.
    pub(crate) const UNSEEN_INITIATOR: u32 = 32_768;
    /// The open gap of the responder's stream was acknowledged.
    pub(crate) const UNSEEN_RESPONDER: u32 = 16;
    /// RST was seen.
    pub(crate) const RESET: u32 = 2;
    /// It is no longer parsed.
    pub(crate) const UNPARSED: u32 = 4;
    /// A snap length or cap cut something.
    pub(crate) const TRUNCATED: u32 = 8;
    /// The first frame had a VLAN tag.
    pub(crate) const VLAN: u32 = 32;
    /// The initiator sent FIN.
    pub(crate) const FIN_INITIATOR: u32 = 64;
    /// The responder sent FIN.
    pub(crate) const FIN_RESPONDER: u32 = 128;
    /// The handshake is over: only a repeated SYN concerns it.
    pub(crate) const HANDSHAKE_OVER: u32 = 256;
    /// There are early segments in `reorder`.
    pub(crate) const WAITING: u32 = 512;
    /// The initiator's stream has its first byte.
    pub(crate) const STREAM_INITIATOR: u32 = 1024;
    /// The responder's stream has its first byte.
    pub(crate) const STREAM_RESPONDER: u32 = 2048;

    /// It started with packets whose time is doubtful, and has no others yet.
    pub(crate) const DOUBTFUL: u32 = 1 << 16;
    /// A packet had no time of its own.
    pub(crate) const UNTIMED: u32 = 1 << 17;
    /// Over TCP: the initiator acknowledged the responder's data. Otherwise: the sender of the
    /// first packet sent another one after the other side had answered.
    pub(crate) const CONFIRMED: u32 = 1 << 18;
    /// The RST was the responder's.
    pub(crate) const RESET_BY_RESPONDER: u32 = 1 << 19;
    /// The RST or a FIN looks forged.
    pub(crate) const END_DOUBTED: u32 = 1 << 20;
    /// The initiator's FIN was acknowledged.
    pub(crate) const FIN_INITIATOR_ACKED: u32 = 1 << 21;
    /// The responder's FIN was acknowledged.
    pub(crate) const FIN_RESPONDER_ACKED: u32 = 1 << 22;
    /// A SYN that was not believed was answered.
    pub(crate) const REOPENS: u32 = 1 << 23;
    /// Nothing more can show who started it.
    pub(crate) const ROLES_SETTLED: u32 = 1 << 24;

    /// The initiator's packets with a low time to live do arrive.
    pub(crate) const LOW_TTL_ARRIVES: u32 = 1 << 25;
    /// It is long: `since` is its block, and observers see every packet.
    pub(crate) const LONG: u32 = 1 << 26;
    /// There was no room for such a block.
    pub(crate) const REFUSED: u32 = 1 << 27;
    /// The initiator sent data.
    pub(crate) const DATA_INITIATOR: u32 = 1 << 28;
    /// The responder sent data.
    pub(crate) const DATA_RESPONDER: u32 = 1 << 29;
    /// Both did.
    pub(crate) const DATA: u32 = Bits::DATA_INITIATOR | Bits::DATA_RESPONDER;
    /// Its update timer is set.
    pub(crate) const LISTED: u32 = 1 << 30;
    /// An update was made: its identity must not change.
    pub(crate) const UPDATED: u32 = 1 << 31;

    /// The flags of an end.
    pub(crate) const ENDS: u32 = Bits::RESET
        | Bits::RESET_BY_RESPONDER
        | Bits::END_DOUBTED
        | Bits::FIN_INITIATOR
        | Bits::FIN_RESPONDER
        | Bits::FIN_INITIATOR_ACKED
        | Bits::FIN_RESPONDER_ACKED;
    const FINS: u32 = Bits::FIN_INITIATOR | Bits::FIN_RESPONDER;
    const FINS_ACKED: u32 = Bits::FIN_INITIATOR_ACKED | Bits::FIN_RESPONDER_ACKED;

    /// Flags of one side and the same of the other.
    const SIDES: [(u32, u32); 6] = [
        (Bits::TIMED_INITIATOR, Bits::TIMED_RESPONDER),
        (Bits::UNSEEN_INITIATOR, Bits::UNSEEN_RESPONDER),
        (Bits::FIN_INITIATOR, Bits::FIN_RESPONDER),
        (Bits::FIN_INITIATOR_ACKED, Bits::FIN_RESPONDER_ACKED),
        (Bits::STREAM_INITIATOR, Bits::STREAM_RESPONDER),
        (Bits::DATA_INITIATOR, Bits::DATA_RESPONDER),
    ];

    /// The flags of its end.
    pub(crate) const fn ends(self) -> u32 {
        self.of(Bits::ENDS)
    }

    /// Clears the flags of its end.
    pub(crate) const fn clear_ends(&mut self) {
        self.0 &= !Bits::ENDS;
    }

    /// Swaps the sides.
    fn turn(&mut self) {
        let before = *self;
        for (one, other) in Bits::SIDES {
            for (from, to) in [(one, other), (other, one)] {
                if before.has(from) { self.set(to) } else { self.clear(to) }
            }
        }
        self.0 ^= Bits::INITIATOR_B;
        if before.has(Bits::RESET) {
            self.0 ^= Bits::RESET_BY_RESPONDER;
        }
    }

    /// Whether every bit of `bits` is set.
    pub(crate) const fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }

    /// Whether any bit of `bits` is set.
    pub(crate) const fn any(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    /// Those of `bits` that are set.
    pub(crate) const fn of(self, bits: u32) -> u32 {
        self.0 & bits
    }

    pub(crate) const fn set(&mut self, bits: u32) {
        self.0 |= bits;
    }

    pub(crate) const fn clear(&mut self, bits: u32) {
        self.0 &= !bits;
    }
}

/// Says that a place of the table is taken. Its 255 unused values make it what `Option` keeps
/// its answer in: in the first line, beside the key, instead of wherever an enum happens to lie.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Occupied {
    Yes = 1,
}

/// What the sessions of a shard share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Fragmented datagrams.
    pub(crate) fragments: Fragments,
    /// Round trips, by [`Session::trips`].
    pub(crate) trips: Slab<Trips>,
    /// Whether round trips are measured.
    pub(crate) timed: bool,
    /// Long sessions, by [`Session::since`].
    pub(crate) lasting: lasting::Pool,
    /// Bytes that sessions hold beside their slots.
    pub(crate) holdings: Holdings,
}

/// One open session. Fields are in order of use: the first two cache lines have what lookups and
/// every packet touch, the rest is for its start and end.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Session<X> {
    pub(crate) key: FlowKey,
    pub(crate) hash: u32,
    /// The run's clock at the last packet, used by timers.
    pub(crate) touched: u32,
    pub(crate) frame_last: u32,
    pub(crate) bits: Bits,
    pub(crate) file: u16,
    pub(crate) taken: Occupied,
    /// The coarsest granularity of its packets' times.
    pub(crate) grain: Grain,
    // The second cache line starts here.
    pub(crate) end: Nanos,
    pub(crate) initiator: Half,
    pub(crate) responder: Half,
    pub(crate) extra: Option<Box<X>>,
    // The third.
    pub(crate) start: Nanos,
    /// The second its timer was last armed for.
    pub(crate) armed: u32,
    pub(crate) frame_first: u32,
    pub(crate) reorder: Option<Box<Reorder>>,
    pub(crate) handshake: Handshake,
    pub(crate) origins: [Origin; 2],
    pub(crate) retransmits: u32,
    pub(crate) out_of_order: u32,
    pub(crate) gaps: u32,
    /// The second of the run's clock in which it started; for a long session, its block.
    pub(crate) since: u32,
    /// Its block of round trips, or [`Session::NO_TRIPS`].
    pub(crate) trips: u32,
    /// Duplicates left out.
    pub(crate) duplicates: u32,
    /// Sessions of this key that started and ended before it at the same time.
    pub(crate) twin: u16,
    /// Packets without a time of their own (wraps around: it is only compared).
    pub(crate) untimed: u16,
    pub(crate) vlan: u16,
    /// Where initiator's and responder's FIN stand: see [`Session::note_fin`].
    pub(crate) fins: [u8; 2],
}

impl<X> Session<X> {
    /// No block yet; the slab's ids are dense from 0.
    pub(crate) const NO_TRIPS: u32 = u32::MAX;

    /// No block, because there was no room.
    pub(crate) const UNTIMED: u32 = u32::MAX - 1;

    /// A session that starts with this packet.
    pub(crate) fn open(packet: &Packet, file: u16, frame: &[u8]) -> Session<X> {
        let mut bits = Bits::default();
        let sender_is_b = packet.heading() == Heading::BToA;
        if sender_is_b != begins_with_answer(packet, frame) {
            bits.set(Bits::INITIATOR_B);
        }
        let tag = packet.only_tag(frame);
        if tag.is_some() {
            bits.set(Bits::VLAN);
        }
        Session {
            key: packet.key,
            hash: packet.hash,
            touched: packet.clock,
            start: packet.time,
            end: packet.time,
            initiator: Half::default(),
            responder: Half::default(),
            origins: [Origin::default(); 2],
            handshake: Handshake::default(),
            armed: 0,
            frame_first: packet.number,
            frame_last: packet.number,
            file,
            vlan: tag.unwrap_or(0),
            taken: Occupied::Yes,
            fins: [0; 2],
            grain: Grain::default(),
            retransmits: 0,
            out_of_order: 0,
            gaps: 0,
            twin: 0,
            since: packet.clock,
            trips: Self::NO_TRIPS,
            duplicates: 0,
            untimed: 0,
            bits,
            reorder: None,
            extra: None,
        }
    }

    /// The end that sent this packet.
    pub(crate) const fn side(&self, packet: &Packet) -> Peer {
        let from_b = packet.flags.has(PacketFlags::FROM_B);
        if from_b == self.bits.has(Bits::INITIATOR_B) { Peer::Initiator } else { Peer::Responder }
    }

    /// One direction's state.
    pub(crate) const fn half(&mut self, side: Peer) -> &mut Half {
        match side {
            Peer::Initiator => &mut self.initiator,
            Peer::Responder => &mut self.responder,
        }
    }

    /// The facts of a direction's first packet.
    pub(crate) const fn origin(&mut self, side: Peer) -> &mut Origin {
        let [initiator, responder] = &mut self.origins;
        match side {
            Peer::Initiator => initiator,
            Peer::Responder => responder,
        }
    }

    /// A direction's stream, once it has started.
    pub(crate) const fn stream(&self, side: Peer) -> Option<&Stream> {
        let (begun, half) = match side {
            Peer::Initiator => (Bits::STREAM_INITIATOR, &self.initiator),
            Peer::Responder => (Bits::STREAM_RESPONDER, &self.responder),
        };
        if self.bits.has(begun) { Some(&half.stream) } else { None }
    }

    /// Starts a direction's stream with `seq` as its next byte, unless it has started.
    pub(crate) fn start_stream(&mut self, side: Peer, seq: u32) {
        let begun = match side {
            Peer::Initiator => Bits::STREAM_INITIATOR,
            Peer::Responder => Bits::STREAM_RESPONDER,
        };
        if !self.bits.has(begun) {
            self.bits.set(begun);
            self.half(side).stream.start(seq);
        }
    }

    /// Initiator's and responder's port.
    pub(crate) const fn ports(&self) -> (u16, u16) {
        if self.bits.has(Bits::INITIATOR_B) {
            (self.key.b_port, self.key.a_port)
        } else {
            (self.key.a_port, self.key.b_port)
        }
    }

    /// Retransmissions, early segments, gaps and packets without a time so far (wraps around: it is
    /// only compared).
    pub(crate) const fn troubles(&self) -> u32 {
        let disorder = self.retransmits.wrapping_add(self.out_of_order).wrapping_add(self.gaps);
        disorder.wrapping_add(self.untimed as u32)
    }

    /// Bytes held beside its slot, while it is parsed.
    pub(crate) fn weight(&self) -> Weight
    where
        X: Weighed,
    {
        let mut weight = self.extra.as_ref().map_or(Weight::default(), |extra| extra.weight());
        if self.bits.has(Bits::WAITING) {
            weight.waiting += self.reorder.as_ref().map_or(0, |reorder| reorder.weight());
        }
        weight
    }

    /// Whether any packet was processed.
    pub(crate) const fn has_packets(&self) -> bool {
        self.initiator.packets > 0 || self.responder.packets > 0
    }

    /// Whether both ends sent packets.
    pub(crate) const fn both_sent(&self) -> bool {
        self.initiator.packets > 0 && self.responder.packets > 0
    }

    /// Whether TCP has ended: reset, or FIN from both ends.
    pub(crate) const fn is_over(&self) -> bool {
        self.bits.has(Bits::RESET) || self.bits.has(Bits::FINS)
    }

    /// Whether both ends use it, and did recently.
    pub(crate) const fn is_under_way(&self, clock: u32) -> bool {
        let held = self.bits.has(Bits::CONFIRMED) && !self.is_over();
        held && clock.saturating_sub(self.touched) <= UNDER_WAY
    }

    /// The timeout class after its end.
    fn ended(&self) -> Class {
        if self.bits.has(Bits::END_DOUBTED) {
            Class::TcpDoubted
        } else if self.bits.has(Bits::RESET) {
            // A refused SYN leaves nothing that could continue.
            if self.bits.has(Bits::CONFIRMED) { Class::TcpEnding } else { Class::TcpClosed }
        } else if self.bits.has(Bits::FINS_ACKED) {
            Class::TcpClosed
        } else if self.has_early_fin() {
            Class::TcpDoubted
        } else {
            Class::TcpEnding
        }
    }

    /// Initiator and responder were confused: swaps the sides.
    pub(crate) fn turn(&mut self) {
        self.bits.turn();
        std::mem::swap(&mut self.initiator, &mut self.responder);
        let [initiator, responder] = &mut self.origins;
        std::mem::swap(initiator, responder);
        self.fins.swap(0, 1);
        if let Some(reorder) = &mut self.reorder {
            reorder.turn();
        }
    }

    /// Its timeout class.
    pub(crate) fn class(&self) -> Class {
        match self.key.transport {
            Transport::TCP if self.is_over() => self.ended(),
            Transport::TCP if !self.handshake.saw_syn() => Class::TcpHalf,
            Transport::TCP if self.both_sent() => Class::TcpEstablished,
            Transport::TCP => Class::TcpOpened,
            Transport::UDP if self.both_sent() => Class::UdpEstablished,
            Transport::UDP => Class::UdpOpened,
            _ => Class::Other,
        }
    }

    /// The last second in which it may still get packets.
    pub(crate) fn deadline(&self, timeouts: &Timeouts) -> u32 {
        self.touched.saturating_add(timeouts.of(self.class()))
    }
}

/// Seconds of idling within which the ports of an open session are not reused; systems keep a port
/// longer after a session ended (RFC 9293 section 3.4.1).
const UNDER_WAY: u32 = 60;

/// Ports from here on are used by initiators (RFC 6335 section 6 defines those from 49152 on as
/// dynamic; Linux starts at 32768).
const DYNAMIC: u16 = 32_768;

/// Whether the first packet seen of a session looks like the answering side's: a SYN-ACK, or
/// (without any SYN) a packet from a system port to an ephemeral one. RFC 6335 section 6: 0-1023
/// are system ports. Of TCP whose SYN passed before the capture began, one from any port that
/// services use to a dynamic one. Nobody but a sender begins what goes to a group, and a group
/// begins nothing (RFC 1122 section 3.2.1.3).
fn begins_with_answer(packet: &Packet, frame: &[u8]) -> bool {
    let key = &packet.key;
    let (from, to) = match packet.heading() {
        Heading::AToB => ((key.a, key.a_port), (key.b, key.b_port)),
        Heading::BToA => ((key.b, key.b_port), (key.a, key.a_port)),
    };
    if to.0.is_group() || from.0.is_group() || goes_to_a_group(packet, frame) {
        return from.0.is_group() && !to.0.is_group();
    }
    let ((_, from), (_, to)) = (from, to);
    let answers = from < 1_024 && to >= 1_024;
    match key.transport {
        Transport::TCP if packet.tcp_flags.any(TcpFlags::SYN) => {
            packet.tcp_flags.has(TcpFlags::ACK)
        }
        Transport::TCP => answers || (1_024..DYNAMIC).contains(&from) && to >= DYNAMIC,
        Transport::UDP => answers,
        _ => false,
    }
}

/// Whether the frame's link layer says so (IEEE 802: the lowest bit of the first byte): the
/// broadcast address of a subnet can be told by nothing else.
fn goes_to_a_group(packet: &Packet, frame: &[u8]) -> bool {
    packet.flags.has(PacketFlags::ETHERNET)
        && !packet.flags.has(PacketFlags::TUNNELLED)
        && frame.first().is_some_and(|first| first & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn fields_used_by_every_packet_fit_two_cache_lines() {
        assert_eq!(offset_of!(Session<u64>, end), 64);
        assert_eq!(offset_of!(Session<u64>, start), 128);
        assert!(size_of::<Session<u64>>() <= 256);
    }
}
