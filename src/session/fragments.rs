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

use crate::bounded::{Account, Fit, Pieces};
use crate::model::{Counter, FlowKey, Packet, PacketFlags, Transport};
use crate::session::{Arrival, Listener};
use crate::wire::ip_fragment::{self, Ends, Piece};

/// Incomplete datagrams at once.
const DATAGRAMS: usize = 64;

/// Bytes held, including the gaps between pieces; the memory budget may allow less.
const BYTES: usize = 1 << 20;

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
    pieces: Pieces,
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
        let before = open.pieces.cost();
        let fit = open.pieces.add(piece.offset, data, piece.more);
        let after = open.pieces.cost();
        self.held.change(before, after);
        match fit {
            Fit::More => {}
            Fit::Clash => listener.count(Counter::DatagramsOverlapping, 1),
            Fit::Complete => {
                let Open { first, pieces, .. } = self.remove(at);
                listener.count(Counter::DatagramsJoined, 1);
                return FragmentOutcome::Whole(Datagram { first, bytes: pieces.into_bytes() });
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
        self.open.push(Open { id, first: *packet, pieces: Pieces::default() });
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
        let Open { id, first, pieces } = self.remove(at);
        if pieces.is_void() {
            return;
        }
        listener.count(why, 1);
        if id.key.transport == Transport::UDP {
            self.given_up.push(Datagram { first, bytes: pieces.into_beginning() });
        }
    }

    fn remove(&mut self, at: usize) -> Open {
        let open = self.open.remove(at);
        self.held.give(open.pieces.cost());
        open
    }
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
