//! Puts datagrams together from their IP fragments (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! Owns: the bytes of open datagrams of one shard. In: TCP and UDP fragments, the first one first.
//! Out: whole transport payloads, once. Never: hands out a part, or anything of a datagram whose
//! fragments overlap (RFC 5722): two receivers might read it in two ways.
//!
//! Caps: [`DATAGRAMS`], [`BYTES`], [`LIFETIME`]; the oldest goes first, and is counted.

use crate::model::Counter;
use crate::model::FlowKey;
use crate::model::Nanos;
use crate::model::Packet;
use crate::model::PacketFlags;
use crate::model::Transport;
use crate::session::Arrival;
use crate::session::Listener;
use crate::wire::ip_fragment;
use crate::wire::ip_fragment::Ends;
use crate::wire::ip_fragment::Piece;

/// Datagrams open at once.
const DATAGRAMS: usize = 64;

/// Bytes held, what is still missing between pieces included.
const BYTES: usize = 1 << 20;

/// Longest datagram: the length fields of IP have 16 bits.
const LONGEST: u32 = 65_535;

/// How long a first fragment waits for the rest. Linux gives up after 30 s (`ipfrag_time`).
const LIFETIME: Nanos = Nanos::from_secs(30);

/// What the pieces of one datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id {
    key: FlowKey,
    from_b: bool,
    id: u32,
}

/// A datagram of which something is missing.
#[derive(Debug)]
struct Open {
    id: Id,
    since: Nanos,
    /// Where its data ends, once the last piece is there.
    end: Option<u32>,
    /// Bytes present.
    present: u32,
    /// Offset and length of each piece, by offset.
    pieces: Vec<(u32, u32)>,
    bytes: Vec<u8>,
    /// TCP sequence number of the first payload byte.
    seq: u32,
    l4_len: u8,
    /// Its pieces contradict each other: it stays so that no later one begins it anew.
    void: bool,
}

/// A datagram put together.
#[derive(Debug)]
pub(crate) struct Whole {
    /// TCP sequence number of the first payload byte.
    pub(crate) seq: u32,
    l4_len: u8,
    udp: bool,
    bytes: Vec<u8>,
}

impl Whole {
    /// What follows the transport header. A UDP length that fits bounds it (RFC 768).
    pub(crate) fn payload(&self) -> &[u8] {
        let end = match self.bytes.get(4..6) {
            Some([high, low]) if self.udp => match u16::from_be_bytes([*high, *low]) {
                0..8 => self.bytes.len(),
                length => self.bytes.len().min(usize::from(length)),
            },
            _ => self.bytes.len(),
        };
        self.bytes.get(usize::from(self.l4_len)..end).unwrap_or_default()
    }
}

/// What became of a fragment.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It was the last one missing.
    Whole(Whole),
    /// It waits, or was dropped and counted.
    Kept,
    /// Not the packet itself came in fragments but a tunnel around it.
    Around,
}

/// What a piece did to its datagram.
enum Fit {
    More,
    Complete,
    Clash,
}

/// The open datagrams of one shard, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    open: Vec<Open>,
    held: usize,
}

impl Fragments {
    /// Takes a fragment of a TCP or UDP packet.
    pub(crate) fn take<X>(
        &mut self,
        arrival: Arrival<'_>,
        listener: &mut impl Listener<X>,
    ) -> Taken {
        let packet = arrival.packet;
        let first = packet.flags.has(PacketFlags::FRAGMENT);
        self.expire(packet.time, listener);
        let piece = place_of(arrival);
        if piece.is_none() && first && packet.flags.has(PacketFlags::TUNNELLED) {
            return Taken::Around;
        }
        let Some((piece, data)) = piece.and_then(|piece| Some((piece, cut_out(arrival, piece)?)))
        else {
            listener.count(Counter::FragmentsApart, 1);
            return Taken::Kept;
        };
        let from_b = packet.flags.has(PacketFlags::FROM_B);
        let id = Id { key: packet.key, from_b, id: piece.id };
        let at = match self.open.iter().position(|open| open.id == id) {
            Some(at) => at,
            None if first => self.begin(id, packet, listener),
            // Its first was given up.
            None => {
                listener.count(Counter::FragmentsApart, 1);
                return Taken::Kept;
            }
        };
        self.put(at, piece, data, listener)
    }

    /// Adds a piece to an open datagram.
    fn put<X>(
        &mut self,
        at: usize,
        piece: Piece,
        data: &[u8],
        listener: &mut impl Listener<X>,
    ) -> Taken {
        let Some(open) = self.open.get_mut(at) else { return Taken::Kept };
        let before = open.cost();
        let fit = open.add(piece, data);
        let after = open.cost();
        self.held = self.held - before + after;
        match fit {
            Fit::More => {}
            Fit::Clash => listener.count(Counter::DatagramsOverlapping, 1),
            Fit::Complete => {
                let open = self.remove(at);
                listener.count(Counter::DatagramsJoined, 1);
                let udp = open.id.key.transport == Transport::UDP;
                let Open { seq, l4_len, bytes, .. } = open;
                return Taken::Whole(Whole { seq, l4_len, udp, bytes });
            }
        }
        while self.held > BYTES {
            self.evict(listener);
        }
        Taken::Kept
    }

    /// Opens a datagram, at the end of the list.
    fn begin<X>(&mut self, id: Id, packet: &Packet, listener: &mut impl Listener<X>) -> usize {
        if self.open.len() >= DATAGRAMS {
            self.evict(listener);
        }
        self.open.push(Open {
            id,
            since: packet.time,
            end: None,
            present: 0,
            pieces: Vec::new(),
            bytes: Vec::new(),
            seq: packet.first_byte(),
            l4_len: packet.l4_len,
            void: false,
        });
        self.open.len() - 1
    }

    /// Gives up the oldest.
    fn evict<X>(&mut self, listener: &mut impl Listener<X>) {
        if !self.remove(0).void {
            listener.count(Counter::DatagramsEvicted, 1);
        }
    }

    /// Gives up what has waited too long.
    fn expire<X>(&mut self, now: Nanos, listener: &mut impl Listener<X>) {
        while self.open.first().is_some_and(|open| now.since(open.since) > LIFETIME) {
            self.forget_first(listener);
        }
    }

    /// The input is over: nothing more will come.
    pub(crate) fn close<X>(&mut self, listener: &mut impl Listener<X>) {
        while !self.open.is_empty() {
            self.forget_first(listener);
        }
    }

    fn forget_first<X>(&mut self, listener: &mut impl Listener<X>) {
        if !self.remove(0).void {
            listener.count(Counter::DatagramsIncomplete, 1);
        }
    }

    fn remove(&mut self, at: usize) -> Open {
        let open = self.open.remove(at);
        self.held -= open.cost();
        open
    }
}

impl Open {
    /// Bytes it holds.
    fn cost(&self) -> usize {
        self.bytes.len() + size_of_val(self.pieces.as_slice())
    }

    /// Adds a piece. An exact copy of one that is there says nothing new (RFC 8200 section 4.5).
    fn add(&mut self, piece: Piece, data: &[u8]) -> Fit {
        let Piece { offset, len, more, .. } = piece;
        if self.void {
            return Fit::More;
        }
        let end = offset + len;
        let at = self.pieces.partition_point(|(of, _)| *of < offset);
        let same = self.pieces.get(at) == Some(&(offset, len))
            && self.range(offset, end) == Some(data)
            && more == (self.end != Some(end));
        if same {
            return Fit::More;
        }
        if self.clashes(at, piece) {
            self.void = true;
            self.bytes = Vec::new();
            self.pieces = Vec::new();
            return Fit::Clash;
        }
        if !more {
            self.end = Some(end);
        }
        self.pieces.insert(at, (offset, len));
        self.present += len;
        self.write(offset, end, data);
        if self.end == Some(self.present) { Fit::Complete } else { Fit::More }
    }

    /// Whether a piece to be put at this place of the list overlaps another, reaches beyond the
    /// end, or has a length that no sender gives it (RFC 8200 section 4.5).
    fn clashes(&self, at: usize, piece: Piece) -> bool {
        let Piece { offset, len, more, .. } = piece;
        let end = offset + len;
        let before = at.checked_sub(1).and_then(|at| self.pieces.get(at));
        let overlap = before.is_some_and(|(of, len)| of + len > offset)
            || self.pieces.get(at).is_some_and(|(of, _)| *of < end);
        let last = self.pieces.last().map_or(0, |(of, len)| of + len);
        let beyond = match self.end {
            Some(known) => !more || end > known,
            None => !more && end < last,
        };
        overlap || beyond || len == 0 || end > LONGEST || (more && len % 8 != 0)
    }

    fn range(&self, from: u32, to: u32) -> Option<&[u8]> {
        self.bytes.get(from as usize..to as usize)
    }

    fn write(&mut self, from: u32, to: u32, data: &[u8]) {
        if self.bytes.len() < to as usize {
            self.bytes.resize(to as usize, 0);
        }
        if let Some(place) = self.bytes.get_mut(from as usize..to as usize)
            && place.len() == data.len()
        {
            place.copy_from_slice(data);
        }
    }
}

/// A fragment's place, where its header stands directly before its data.
fn place_of(arrival: Arrival<'_>) -> Option<Piece> {
    let packet = arrival.packet;
    let first = packet.flags.has(PacketFlags::FRAGMENT);
    ip_fragment::read(arrival.frame, usize::from(packet.l4_at), ends(packet)?)
        .filter(|piece| first == (piece.offset == 0))
}

/// A fragment's data, all of which must be captured.
fn cut_out(arrival: Arrival<'_>, piece: Piece) -> Option<&[u8]> {
    let packet = arrival.packet;
    let captured = u32::from(packet.l4_len).checked_add(packet.payload_len)?;
    if packet.payload_missing > 0 || captured != piece.len {
        return None;
    }
    arrival.frame.get(usize::from(packet.l4_at)..)?.get(..piece.len as usize)
}

/// Sender and receiver, as the packet's own IP header names them.
fn ends(packet: &Packet) -> Option<Ends> {
    let key = &packet.key;
    let from_b = packet.flags.has(PacketFlags::FROM_B);
    let (src, dst) = if from_b { (key.b, key.a) } else { (key.a, key.b) };
    if key.version == 6 {
        return Some(Ends::V6(src.0, dst.0));
    }
    Some(Ends::V4(src.to_v4()?.octets(), dst.to_v4()?.octets()))
}

#[cfg(test)]
#[path = "fragments_tests.rs"]
mod tests;
