//! Updates one session with one packet: counters, handshake, stream, delivery.
//!
//! Owns: the order in which these happen. In: a packet and its bytes. Out: deliveries to the
//! listener.
//! Never: opens or ends a session (the shard does).

use crate::model::{
    Counter, Interest, Packet, PacketFlags, Peer, Segment, Stamp, TcpFlags, Transport, Trust,
};
use crate::session::fragments::{Datagram, FragmentOutcome, Fragments};
use crate::session::handshake::{Step, SynVerdict};
use crate::session::reorder::Early;
use crate::session::state::{Bits, Session, Shared};
use crate::session::stream::Placed;
use crate::session::syn::SynSummary;
use crate::session::{Arrival, Listener};
use crate::wire::tcp::{TcpOptions, timestamps};

/// Packets within which a session picked up in the middle may show who started it.
const ROLES_WITHIN: u32 = 64;

/// Bytes on their way to the listener.
pub(super) struct Piece<'a> {
    pub(super) from: Peer,
    pub(super) payload: &'a [u8],
    /// Bytes before these are lost for good.
    pub(super) gap: bool,
}

/// A range of a TCP direction: of one segment, whole or reassembled from fragments.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    side: Peer,
    seq: u32,
    /// Length on the wire (longer than `bytes` if truncated).
    wire: u32,
    bytes: &'a [u8],
    /// The packet that made it readable.
    packet: &'a Packet,
}

impl<'a> Stretch<'a> {
    /// The payload of one packet.
    fn of(side: Peer, arrival: Arrival<'a>) -> Stretch<'a> {
        let packet = arrival.packet;
        let (seq, wire) = (packet.first_byte(), packet.payload_wire());
        Stretch { side, seq, wire, bytes: arrival.payload(), packet }
    }
}

impl<X> Session<X> {
    /// The part of a packet that the handshake needs.
    pub(crate) fn step(&self, packet: &Packet, side: Peer) -> Step {
        Step {
            side,
            flags: packet.tcp_flags,
            seq: packet.seq,
            ack: packet.ack,
            payload: packet.payload_wire(),
            time: packet.time,
            stamps: None,
        }
    }

    /// Updates the session with one packet.
    pub(crate) fn observe(
        &mut self,
        arrival: Arrival<'_>,
        shared: &mut Shared,
        listener: &mut impl Listener<X>,
    ) {
        let packet = arrival.packet;
        if packet.payload_len > 0 && !self.bits.has(Bits::ROLES_SETTLED) {
            self.settle_roles(arrival, shared, listener);
        }
        let side = self.side(packet);
        let fragments = &mut shared.fragments;
        self.touched = self.touched.max(packet.clock);
        if packet.stamp != Stamp::PLAIN || self.bits.has(Bits::DOUBTFUL) {
            self.note_strange_time(packet);
        } else if packet.time >= self.end {
            self.end = packet.time;
        } else if !self.bits.has(Bits::UPDATED) {
            self.start = self.start.min(packet.time);
        }
        self.frame_last = packet.number;
        if packet.flags.has(PacketFlags::TRUNCATED) {
            self.bits.set(Bits::TRUNCATED);
        }
        self.count(side, arrival);
        if packet.key.transport != Transport::TCP && !self.bits.has(Bits::CONFIRMED) {
            self.note_order(side);
        }
        if packet.flags.has(PacketFlags::TUNNELLED)
            && self.half(side).packets == 1
            && self.half(side.other()).packets > 0
        {
            listener.answered_in_tunnel(&mut self.extra, &arrival);
        }
        // A later fragment has no transport header: alone it is only counted.
        if packet.flags.has(PacketFlags::FRAGMENT_LATER) {
            return self.join(side, arrival, fragments, listener);
        }
        let expected = self.half(side).stream.next();
        match packet.key.transport {
            Transport::TCP
                if self.is_decoy(side, packet) && !listener.takes_gaps(self.extra.as_deref()) =>
            {
                return self.keep_decoy(arrival, listener);
            }
            Transport::TCP if !self.observe_tcp(side, arrival, listener) => return,
            _ if packet.flags.has(PacketFlags::FRAGMENT) => {
                self.join(side, arrival, fragments, listener);
            }
            Transport::TCP => {
                self.read(side, arrival, listener);
                if shared.timed {
                    self.time((side, expected), arrival, &mut shared.trips, listener);
                }
            }
            _ => self.read(side, arrival, listener),
        }
        if self.bits.has(Bits::LONG) && packet.payload_wire() > 0 {
            self.show((side, expected), arrival, &mut shared.lasting, listener);
        }
        if packet.key.transport == Transport::TCP && packet.tcp_flags.has(TcpFlags::ACK) {
            if self.bits.has(Bits::WAITING) {
                self.give_up_acknowledged(side.other(), packet, listener);
            }
            self.note_acknowledged(side, packet);
        }
    }

    /// Who started a TCP session whose SYN was not seen is a guess that its payload may refute.
    /// Only the start of a segment is checked, and only of the first few.
    #[cold]
    fn settle_roles(
        &mut self,
        arrival: Arrival<'_>,
        shared: &mut Shared,
        listener: &mut impl Listener<X>,
    ) {
        let packet = arrival.packet;
        let seen = self.initiator.packets.saturating_add(self.responder.packets);
        let guessed = packet.key.transport == Transport::TCP && !self.handshake.saw_syn();
        if !guessed || seen >= ROLES_WITHIN {
            return self.bits.set(Bits::ROLES_SETTLED);
        }
        if packet.flags.0 & (PacketFlags::FRAGMENT | PacketFlags::FRAGMENT_LATER) != 0 {
            return;
        }
        let Some(speaker) = listener.speaker(arrival.payload()) else { return };
        self.bits.set(Bits::ROLES_SETTLED);
        if (speaker == Peer::Initiator) != (self.side(packet) == Peer::Initiator) {
            self.turn();
            if let Some(trips) = shared.trips.get_mut(self.trips) {
                trips.turn();
            }
            self.turn_lasting(&mut shared.lasting);
            listener.turned(&mut self.extra);
        }
    }

    /// Handles a time that is not simply believed, or the first that is. A doubtful time is the
    /// session's if the session started with one; an older session neither ends nor grows by it.
    #[cold]
    fn note_strange_time(&mut self, packet: &Packet) {
        let (begins, trust) = (!self.has_packets(), packet.stamp.trust());
        if trust != Trust::Absent {
            self.grain = self.grain.max(packet.stamp.grain());
        }
        if trust == Trust::Doubtful && begins {
            self.bits.set(Bits::DOUBTFUL);
        }
        if trust.moves_timers() && self.bits.has(Bits::DOUBTFUL) {
            // From here on its time is known. Earlier packets had times from elsewhere.
            self.bits.clear(Bits::DOUBTFUL);
            (self.start, self.end) = (packet.time, packet.time);
            return self.lose_time();
        }
        if !self.can_time(packet) {
            return self.lose_time();
        }
        self.end = self.end.max(packet.time);
        if !self.bits.has(Bits::UPDATED) {
            self.start = self.start.min(packet.time);
        }
    }

    /// Reads the payload of one packet.
    fn read(&mut self, side: Peer, arrival: Arrival<'_>, listener: &mut impl Listener<X>) {
        let packet = arrival.packet;
        if packet.key.transport == Transport::TCP {
            if packet.payload_wire() == 0 {
                self.pass_acknowledgement(side, packet, listener);
            } else if !packet.tcp_flags.any(TcpFlags::RST) {
                self.note_data(side);
                self.place(Stretch::of(side, arrival), listener);
            }
        } else if packet.payload_len > 0 {
            self.note_data(side);
            if packet.key.transport == Transport::UDP {
                let time = self.can_time(packet).then_some(packet.time);
                let wire = packet.payload_wire();
                self.half(side).note_datagram(side, wire, arrival.payload(), time);
            }
            let piece = Piece { from: side, payload: arrival.payload(), gap: false };
            self.deliver(piece, packet, listener);
        }
    }

    /// Keeps a fragment until its datagram is complete, which is then read at once.
    fn join(
        &mut self,
        side: Peer,
        arrival: Arrival<'_>,
        fragments: &mut Fragments,
        listener: &mut impl Listener<X>,
    ) {
        let packet = arrival.packet;
        let wanted = match packet.key.transport {
            // Even if it is no longer parsed, the stream must know its position.
            Transport::TCP => !packet.tcp_flags.any(TcpFlags::RST),
            Transport::UDP => !self.bits.has(Bits::UNPARSED),
            _ => false,
        };
        if !wanted {
            return;
        }
        let whole = match fragments.take(arrival, listener) {
            FragmentOutcome::Whole(whole) => whole,
            FragmentOutcome::Kept => return,
            FragmentOutcome::Alone => return self.read(side, arrival, listener),
        };
        let bytes = whole.payload();
        self.note_data(side);
        if packet.key.transport != Transport::TCP {
            let first = &whole.first;
            if side == Peer::Initiator && self.can_time(first) {
                self.half(side).note_fragment(first.payload_wire(), first.time);
            }
            let piece = Piece { from: side, payload: bytes, gap: false };
            self.deliver(piece, packet, listener);
        } else if !bytes.is_empty() {
            let wire = bytes.len() as u32;
            self.place(
                Stretch { side, seq: whole.first.first_byte(), wire, bytes, packet },
                listener,
            );
        }
    }

    fn count(&mut self, side: Peer, arrival: Arrival<'_>) {
        let packet = arrival.packet;
        let half = self.half(side);
        let first = half.packets == 0;
        half.packets = half.packets.saturating_add(1);
        half.bytes += u64::from(packet.wire_len);
        if first {
            let origin = self.origin(side);
            origin.ttl = packet.ttl;
            // From this packet's own link layer: a session may cross interfaces of several.
            if packet.flags.has(PacketFlags::ETHERNET) {
                origin.mac = arrival.frame.get(6..12).and_then(|mac| mac.first_chunk()).copied();
            }
        }
    }

    /// Reads the start of a datagram whose rest never came.
    pub(crate) fn read_beginning(&mut self, datagram: &Datagram, listener: &mut impl Listener<X>) {
        self.bits.set(Bits::TRUNCATED);
        let from = self.side(&datagram.first);
        let piece = Piece { from, payload: datagram.payload(), gap: false };
        self.deliver(piece, &datagram.first, listener);
    }

    /// Follows handshake and end. False if the segment is not genuine: then it is ignored.
    fn observe_tcp(
        &mut self,
        side: Peer,
        arrival: Arrival<'_>,
        listener: &mut impl Listener<X>,
    ) -> bool {
        let packet = arrival.packet;
        let flags = packet.tcp_flags;
        let mut step = self.step(packet, side);
        // The shard let it pass although it would start another session: this one is active.
        let syn = flags.any(TcpFlags::SYN) && self.is_under_way(packet.clock);
        let forged = syn && self.handshake.judge_syn(&step) == SynVerdict::New;
        if forged || self.handshake.is_stray(&step) {
            if self.handshake.note_stray(&step) {
                self.bits.set(Bits::REOPENS);
            }
            listener.count(Counter::OpeningsImplausible, 1);
            return false;
        }
        let header = packet.l4_header(arrival.frame);
        let options = flags.any(TcpFlags::SYN).then(|| TcpOptions::parse(header));
        if options.is_some() || !self.bits.has(Bits::HANDSHAKE_OVER) {
            step.stamps = options.as_ref().map_or_else(|| timestamps(header), |o| o.timestamps);
            self.handshake.observe(&step);
            if self.handshake.is_done() || !self.handshake.saw_syn() {
                self.bits.set(Bits::HANDSHAKE_OVER);
            }
        }
        if let Some(options) = &options {
            self.observe_syn(side, packet, (header, options));
        }
        if flags.any(TcpFlags::RST | TcpFlags::FIN) {
            if !self.may_end(&step) {
                listener.count(Counter::EndsImplausible, 1);
                return false;
            }
            self.note_end(side, packet);
        } else if flags.has(TcpFlags::ACK) {
            self.note_ack(side, packet);
        }
        true
    }

    fn observe_syn(
        &mut self,
        side: Peer,
        packet: &Packet,
        (header, options): (&[u8], &TcpOptions),
    ) {
        self.start_stream(side, packet.seq.wrapping_add(1));
        if side == Peer::Initiator && !self.handshake.syn.seen {
            self.handshake.syn = SynSummary::read(header, options, packet.ttl);
        }
    }

    /// Puts a segment with payload at its position in the stream.
    fn place(&mut self, stretch: Stretch<'_>, listener: &mut impl Listener<X>) {
        let Stretch { side, seq, wire, bytes, packet } = stretch;
        self.start_stream(side, seq);
        let mut placed = self.half(side).stream.place(seq, wire);
        if placed == Placed::Elsewhere && self.is_unlikely(side) {
            placed = Placed::Stray;
        }
        let stream = &mut self.half(side).stream;
        match placed {
            Placed::InOrder { skip } => {
                stream.advance(wire - skip);
                if skip > 0 {
                    self.retransmits = self.retransmits.saturating_add(1);
                }
                let fresh = bytes.get(skip as usize..).unwrap_or_default();
                self.deliver(Piece { from: side, payload: fresh, gap: false }, packet, listener);
                self.deliver_waiting(side, packet, listener);
                let ends = packet.tcp_flags.any(TcpFlags::FIN | TcpFlags::RST);
                if self.bits.ends() != 0 && !ends {
                    self.revoke_end(side, listener);
                }
            }
            Placed::Stray => {
                let given_up = stream.remember(seq.wrapping_add(wire));
                self.gaps = self.gaps.saturating_add(u32::from(given_up > 0));
                self.out_of_order = self.out_of_order.saturating_add(1);
                self.count_gap(side, given_up, listener);
            }
            Placed::Elsewhere => {
                stream.start(seq);
                stream.advance(wire);
                self.gaps = self.gaps.saturating_add(1);
                let piece = Piece { from: side, payload: bytes, gap: true };
                self.deliver(piece, packet, listener);
                self.deliver_waiting(side, packet, listener);
            }
            // RFC 9293 section 3.8.4: a keep-alive repeats the byte before the next one, or none.
            Placed::Repeat if wire == 1 && seq.wrapping_add(1) == stream.next() => {}
            Placed::Repeat => self.retransmits = self.retransmits.saturating_add(1),
            Placed::Late => {
                stream.fill(wire);
                self.out_of_order = self.out_of_order.saturating_add(1);
            }
            Placed::Ahead { missing } => self.keep_or_skip(stretch, missing, listener),
        }
    }

    /// An early segment: buffered while the session is parsed in order, else the gap is skipped.
    fn keep_or_skip(
        &mut self,
        stretch: Stretch<'_>,
        missing: u32,
        listener: &mut impl Listener<X>,
    ) {
        let Stretch { side, seq, wire, bytes, packet } = stretch;
        let skips = self.bits.has(Bits::UNPARSED) || listener.takes_gaps(self.extra.as_deref());
        if !skips {
            self.bits.set(Bits::WAITING);
            let reorder = self.reorder.get_or_insert_default();
            if reorder.keep(side, seq, bytes, wire) {
                self.out_of_order = self.out_of_order.saturating_add(1);
                return;
            }
            listener.count(Counter::SegmentsDropped, 1);
            self.bits.set(Bits::TRUNCATED);
        }
        self.pass_over(side, missing, listener);
        self.half(side).stream.advance(wire);
        self.deliver(Piece { from: side, payload: bytes, gap: true }, packet, listener);
        self.deliver_waiting(side, packet, listener);
    }

    pub(super) fn pass_over(&mut self, side: Peer, missing: u32, listener: &mut impl Listener<X>) {
        let given_up = self.half(side).stream.pass_over(missing);
        self.gaps = self.gaps.saturating_add(u32::from(given_up > 0));
        self.count_gap(side, given_up, listener);
    }

    /// Delivers early segments whose turn has come.
    pub(super) fn deliver_waiting(
        &mut self,
        side: Peer,
        packet: &Packet,
        listener: &mut impl Listener<X>,
    ) {
        if !self.bits.has(Bits::WAITING) {
            return;
        }
        self.drop_decoys(side, listener);
        while let Some(early) = self.take_waiting(side) {
            let next = self.half(side).stream.next();
            let skip = next.wrapping_sub(early.seq);
            if skip < early.wire {
                self.half(side).stream.advance(early.wire - skip);
                let fresh = early.bytes.get(skip as usize..).unwrap_or_default();
                self.deliver(Piece { from: side, payload: fresh, gap: false }, packet, listener);
            }
        }
    }

    fn take_waiting(&mut self, side: Peer) -> Option<Early> {
        let next = self.half(side).stream.next();
        let reorder = self.reorder.as_mut()?;
        let early = reorder.take_ready(side, next);
        if reorder.is_empty() {
            self.reorder = None;
            self.bits.clear(Bits::WAITING);
        }
        early
    }

    /// The peer acknowledged bytes of `side` that were never seen: they will not come again.
    fn give_up_acknowledged(
        &mut self,
        side: Peer,
        packet: &Packet,
        listener: &mut impl Listener<X>,
    ) {
        self.release_decoys(side, packet, listener);
        let next = self.half(side).stream.next();
        let waiting = self.reorder.as_ref().and_then(|reorder| reorder.nearest(side, next));
        let Some(missing) = waiting else { return };
        let acknowledged = packet.ack.wrapping_sub(next);
        if missing > 0 && acknowledged >= missing && acknowledged < 1 << 31 {
            self.pass_over(side, missing, listener);
            if let Some(early) = self.take_waiting(side) {
                self.half(side).stream.advance(early.wire);
                let piece = Piece { from: side, payload: &early.bytes, gap: true };
                self.deliver(piece, packet, listener);
            }
            self.deliver_waiting(side, packet, listener);
        }
    }

    #[inline]
    pub(super) fn deliver(
        &mut self,
        piece: Piece<'_>,
        packet: &Packet,
        listener: &mut impl Listener<X>,
    ) {
        let Piece { from, payload, gap } = piece;
        if self.bits.has(Bits::UNPARSED) || payload.is_empty() {
            return;
        }
        let delivery = Segment {
            payload,
            from,
            time: packet.time,
            transport: self.key.transport,
            ports: self.ports(),
            gap,
            opened: self.handshake.answered(),
            troubles: self.troubles(),
            numbers: (self.half(from).stream.next(), packet.ack),
        };
        if listener.deliver(&mut self.extra, &delivery) == Interest::Done {
            self.bits.set(Bits::UNPARSED);
            self.forget_waiting(listener);
        } else if self.bits.has(Bits::WAITING) && listener.takes_gaps(self.extra.as_deref()) {
            self.forget_waiting(listener);
        }
    }
}
