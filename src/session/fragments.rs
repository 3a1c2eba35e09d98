//! Reassembles datagrams from IP fragments (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! Owns: the bytes of incomplete datagrams of one shard. In: TCP and UDP fragments, the first one
//! first.
//! Out: whole transport payloads, once; for a UDP datagram that is given up, the part before the
//! first gap. Never: returns anything of a datagram whose fragments overlap (RFC 5722), since two
//! receivers might read it differently.
//!
//! Caps: [`DATAGRAMS`], [`BYTES`] or its share of the budget, [`LIFETIME`]; the oldest is evicted
//! first, and counted.

use crate::bounded::Account;
use crate::model::Counter;
use crate::model::FlowKey;
use crate::model::Packet;
use crate::model::PacketFlags;
use crate::model::Transport;
use crate::session::Arrival;
use crate::session::Listener;
use crate::wire::ip_fragment;
use crate::wire::ip_fragment::Ends;
use crate::wire::ip_fragment::Piece;

/// Incomplete datagrams at once.
const DATAGRAMS: usize = 64;

/// Bytes held, including the gaps between pieces; the memory budget may allow less.
const BYTES: usize = 1 << 20;

/// Longest datagram: the length fields of IP have 16 bits.
const LONGEST: u32 = 65_535;

/// Seconds of the run's clock, not of packet times, that a first fragment waits for the rest. Linux
/// gives up after 30 s (`ipfrag_time`).
const LIFETIME: u32 = 30;

/// What the fragments of one datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id {
    key: FlowKey,
    from_b: bool,
    id: u32,
}

/// An incomplete datagram.
#[derive(Debug)]
struct Open {
    id: Id,
    /// Its first fragment.
    first: Packet,
    /// Where its data ends, once the last fragment has arrived.
    end: Option<u32>,
    /// Bytes received.
    present: u32,
    /// Offset and length of each piece, by offset.
    pieces: Vec<(u32, u32)>,
    bytes: Vec<u8>,
    /// Its fragments contradict each other. It is kept so that no later fragment starts it anew.
    void: bool,
}

/// A reassembled datagram, or the part before its first gap.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// Its first fragment.
    pub(crate) first: Packet,
    bytes: Vec<u8>,
}

impl Datagram {
    /// The bytes behind the transport header, limited by a plausible UDP length (RFC 768).
    pub(crate) fn payload(&self) -> &[u8] {
        let end = match self.bytes.get(4..6) {
            Some([high, low]) if self.first.key.transport == Transport::UDP => {
                match u16::from_be_bytes([*high, *low]) {
                    0..8 => self.bytes.len(),
                    length => self.bytes.len().min(usize::from(length)),
                }
            }
            _ => self.bytes.len(),
        };
        self.bytes.get(usize::from(self.first.l4_len)..end).unwrap_or_default()
    }
}

/// The result of adding a fragment.
#[derive(Debug)]
pub(crate) enum FragmentOutcome {
    /// The datagram is complete.
    Whole(Datagram),
    /// It waits, or was dropped and counted.
    Kept,
    /// To be read alone: a tunnel around it was fragmented, or it was truncated.
    Alone,
}

/// The effect of a fragment on its datagram.
enum Fit {
    More,
    Complete,
    Clash,
}

/// The incomplete datagrams of one shard, oldest first.
#[derive(Debug)]
pub(crate) struct Fragments {
    open: Vec<Open>,
    held: Account,
    /// Starts of UDP datagrams that were given up since the last call.
    given_up: Vec<Datagram>,
}

impl Fragments {
    /// An empty table with room for this many bytes.
    pub(crate) fn new(bytes: usize) -> Fragments {
        let held = Account::new(bytes.min(BYTES));
        Fragments { open: Vec::new(), held, given_up: Vec::new() }
    }

    /// Adds a fragment of a TCP or UDP packet.
    pub(crate) fn take<X>(
        &mut self,
        arrival: Arrival<'_>,
        listener: &mut impl Listener<X>,
    ) -> FragmentOutcome {
        let packet = arrival.packet;
        let first = packet.flags.has(PacketFlags::FRAGMENT);
        self.expire(packet.clock, listener);
        let piece = place_of(arrival);
        if piece.is_none() && first && packet.flags.has(PacketFlags::TUNNELLED) {
            return FragmentOutcome::Alone;
        }
        let Some((piece, data)) = piece.and_then(|piece| Some((piece, cut_out(arrival, piece)?)))
        else {
            listener.count(Counter::FragmentsApart, 1);
            return if first { FragmentOutcome::Alone } else { FragmentOutcome::Kept };
        };
        let from_b = packet.flags.has(PacketFlags::FROM_B);
        let id = Id { key: packet.key, from_b, id: piece.id };
        let at = match self.open.iter().position(|open| open.id == id) {
            Some(at) => at,
            None if first => self.begin(id, packet, listener),
            // Its first fragment was given up.
            None => {
                listener.count(Counter::FragmentsApart, 1);
                return FragmentOutcome::Kept;
            }
        };
        self.put(at, piece, data, listener)
    }

    /// Adds a fragment to an incomplete datagram.
    fn put<X>(
        &mut self,
        at: usize,
        piece: Piece,
        data: &[u8],
        listener: &mut impl Listener<X>,
    ) -> FragmentOutcome {
        let Some(open) = self.open.get_mut(at) else { return FragmentOutcome::Kept };
        let before = open.cost();
        let fit = open.add(piece, data);
        let after = open.cost();
        self.held.change(before, after);
        match fit {
            Fit::More => {}
            Fit::Clash => listener.count(Counter::DatagramsOverlapping, 1),
            Fit::Complete => {
                let Open { first, bytes, .. } = self.remove(at);
                listener.count(Counter::DatagramsJoined, 1);
                return FragmentOutcome::Whole(Datagram { first, bytes });
            }
        }
        while self.held.is_over() && !self.open.is_empty() {
            self.evict(listener);
        }
        FragmentOutcome::Kept
    }

    /// Adds a datagram to the end of the list.
    fn begin<X>(&mut self, id: Id, packet: &Packet, listener: &mut impl Listener<X>) -> usize {
        if self.open.len() >= DATAGRAMS {
            self.evict(listener);
        }
        self.open.push(Open {
            id,
            first: *packet,
            end: None,
            present: 0,
            pieces: Vec::new(),
            bytes: Vec::new(),
            void: false,
        });
        self.open.len() - 1
    }

    /// Evicts the oldest.
    fn evict<X>(&mut self, listener: &mut impl Listener<X>) {
        self.give_up(0, Counter::DatagramsEvicted, listener);
    }

    /// Gives up expired datagrams.
    fn expire<X>(&mut self, clock: u32, listener: &mut impl Listener<X>) {
        let waited = |open: &Open| clock.saturating_sub(open.first.clock);
        while self.open.first().is_some_and(|open| waited(open) > LIFETIME) {
            self.give_up(0, Counter::DatagramsIncomplete, listener);
        }
    }

    /// Gives up all datagrams: the input has ended.
    pub(crate) fn close<X>(&mut self, listener: &mut impl Listener<X>) {
        while !self.open.is_empty() {
            self.give_up(0, Counter::DatagramsIncomplete, listener);
        }
    }

    /// Gives up the datagrams of a session that has ended.
    pub(crate) fn close_session<X>(&mut self, key: &FlowKey, listener: &mut impl Listener<X>) {
        while let Some(at) = self.open.iter().position(|open| open.id.key == *key) {
            self.give_up(at, Counter::DatagramsIncomplete, listener);
        }
    }

    /// Whether there are no incomplete datagrams.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a datagram was given up since the last call of [`Fragments::take_given_up`].
    pub(crate) fn has_given_up(&self) -> bool {
        !self.given_up.is_empty()
    }

    /// The starts of UDP datagrams that were given up since the last call.
    pub(crate) fn take_given_up(&mut self) -> Vec<Datagram> {
        std::mem::take(&mut self.given_up)
    }

    fn give_up<X>(&mut self, at: usize, why: Counter, listener: &mut impl Listener<X>) {
        let Open { id, first, pieces, mut bytes, void, .. } = self.remove(at);
        if void {
            return;
        }
        listener.count(why, 1);
        if id.key.transport == Transport::UDP {
            bytes.truncate(beginning(&pieces) as usize);
            self.given_up.push(Datagram { first, bytes });
        }
    }

    fn remove(&mut self, at: usize) -> Open {
        let open = self.open.remove(at);
        self.held.give(open.cost());
        open
    }
}

impl Open {
    /// Bytes held.
    fn cost(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<(u32, u32)>()
    }

    /// Adds a fragment. An exact copy of an earlier one has no effect (RFC 8200 section 4.5).
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

    /// Whether a fragment to be inserted at this place of the list overlaps another, reaches beyond
    /// the end, or has a length that no sender uses (RFC 8200 section 4.5).
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
        let (held, needed) = (self.bytes.len(), to as usize);
        if needed > self.bytes.capacity() {
            // Doubled, but never beyond the longest datagram: a shard has room for that.
            let room = (2 * held).clamp(needed, needed.max(LONGEST as usize));
            self.bytes.reserve_exact(room - held);
        }
        if needed > held {
            self.bytes.resize(needed, 0);
        }
        if let Some(place) = self.bytes.get_mut(from as usize..to as usize)
            && place.len() == data.len()
        {
            place.copy_from_slice(data);
        }
    }
}

/// The number of bytes before the first gap.
fn beginning(pieces: &[(u32, u32)]) -> u32 {
    pieces.iter().fold(0, |end, (offset, len)| if *offset == end { end + len } else { end })
}

/// A fragment's position, if its header is directly before its data.
fn place_of(arrival: Arrival<'_>) -> Option<Piece> {
    let packet = arrival.packet;
    let first = packet.flags.has(PacketFlags::FRAGMENT);
    ip_fragment::read(arrival.frame, usize::from(packet.l4_at), ends(packet)?)
        .filter(|piece| first == (piece.offset == 0))
}

/// A fragment's data, which must be captured completely.
fn cut_out(arrival: Arrival<'_>, piece: Piece) -> Option<&[u8]> {
    let packet = arrival.packet;
    let captured = u32::from(packet.l4_len).checked_add(packet.payload_len)?;
    if packet.payload_missing > 0 || captured != piece.len {
        return None;
    }
    arrival.frame.get(usize::from(packet.l4_at)..)?.get(..piece.len as usize)
}

/// Sender and receiver in the packet's own IP header.
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
