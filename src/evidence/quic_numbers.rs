//! Which of a server's QUIC datagrams a client's answer belongs to, if the server sent its flight
//! again before the answer came: beyond about 200 ms that is the rule.
//!
//! Owns: when the server's datagrams passed, with the numbers of their Initial packets. In: the
//! datagrams, and the keys of Initial packets. Out: a round trip of an acknowledged number; the
//! flight that an answer can belong to. Never: guesses: a packet that is sent again has another
//! number (RFC 9000 section 12.3), so that an acknowledgement names one (RFC 9002 section 5.1).

use crate::evidence::quic_rtt::{FLIGHT, first, other};
use crate::evidence::request_response_rtt::{Moment, RequestRtt, print_of};
use crate::model::latency::{Exchange, Turn};
use crate::model::{Heap, Nanos, Peer};
use crate::wire::quic::{LongPacket, PacketType, largest_acknowledged};
use crate::wire::quic_initial::{InitialKeys, Perspective};

/// Datagrams of a server's flights, and numbers in them: a flight is 3 to 6 datagrams with one or
/// two Initial packets, and comes again two or three times.
const DATAGRAMS_MAX: usize = 24;
const NUMBERS_MAX: usize = 8;
/// Packets of a client that are decrypted for this: its first or second one acknowledges.
const TRIES_MAX: u8 = 4;

/// The server's datagrams until the client has finished.
#[derive(Debug, Default)]
pub struct Numbers {
    /// When each passed; nothing can be told once there are more than [`DATAGRAMS_MAX`].
    datagrams: Vec<Nanos>,
    /// Numbers of Initial packets, and when each passed first.
    sent: Vec<(u32, Nanos)>,
    /// The key of its first flight.
    key: Option<u64>,
    /// Lowest round trip by an acknowledged number, in ns.
    near: Option<u64>,
    tries: u8,
}

impl Heap for Numbers {
    fn heap(&self) -> usize {
        self.datagrams.capacity() * size_of::<Nanos>()
            + self.sent.capacity() * size_of::<(u32, Nanos)>()
    }
}

impl Numbers {
    /// Examines a datagram before its answers are looked for. The keys come with the client's side.
    pub fn follow(
        &mut self,
        datagram: &[u8],
        (client, keys): (Peer, &InitialKeys),
        rtt: &mut RequestRtt,
        at: &mut Moment<'_>,
    ) {
        let server = at.role != client;
        if !server && !self.is_ambiguous(at.time) {
            return;
        }
        let mut rest = datagram;
        let mut flight = false;
        while let Ok((packet, behind)) = LongPacket::parse(rest) {
            rest = behind;
            match packet.packet_type {
                PacketType::Initial if server => self.note_number(&packet, keys, at.time),
                PacketType::Initial => self.acknowledge(&packet, keys, rtt, at),
                PacketType::Handshake | PacketType::ZeroRtt | PacketType::Retry => {}
            }
            flight |= matches!(packet.packet_type, PacketType::Initial | PacketType::Handshake);
            if server {
                self.key = Some(first(print_of(packet.source)));
            }
        }
        if server && flight && self.datagrams.len() <= DATAGRAMS_MAX {
            self.datagrams.push(at.time);
        }
        if !server && let Some(near) = self.near {
            match self.asked(at.time, near) {
                Some(asked) => rtt.rewind(FLIGHT, at.role == Peer::Initiator, asked),
                None => rtt.void(FLIGHT, other(at.role)),
            }
        }
    }

    /// Whether the flight took so long to send that its end may be a second one.
    fn is_ambiguous(&self, now: Nanos) -> bool {
        let [begin, .., end] = self.datagrams.as_slice() else { return false };
        let long = end.since(*begin).0 >= now.since(*end).0 / 2;
        long || self.datagrams.len() > DATAGRAMS_MAX
    }

    /// The number is not authenticated, but nobody can write one who has not seen the connection.
    fn note_number(&mut self, packet: &LongPacket<'_>, keys: &InitialKeys, time: Nanos) {
        if self.sent.len() >= NUMBERS_MAX {
            return;
        }
        let Some(number) = keys.number(packet, Perspective::Server) else { return };
        // A copy that the network made: the first one is answered, or none.
        if self.sent.iter().all(|(known, _)| *known != number) {
            self.sent.push((number, time));
        }
    }

    /// A client acknowledges an Initial packet at once (RFC 9000 section 13.2.1).
    fn acknowledge(
        &mut self,
        packet: &LongPacket<'_>,
        keys: &InitialKeys,
        rtt: &mut RequestRtt,
        at: &mut Moment<'_>,
    ) {
        if self.tries >= TRIES_MAX {
            return;
        }
        self.tries += 1;
        let Some(frames) = keys.open(packet, Perspective::Client) else { return };
        let Some(largest) = largest_acknowledged(&frames) else { return };
        let named = self.sent.iter().find(|(number, _)| u64::from(*number) == largest);
        let Some((_, passed)) = named else { return };
        let Some(round_trip_ns) = at.time.0.checked_sub(passed.0) else { return };
        let by_initiator = at.role == Peer::Initiator;
        if let Some(key) = self.key {
            rtt.rewind(key, by_initiator, *passed);
        }
        let turn = Turn::new(Exchange::Quic, by_initiator, round_trip_ns);
        at.facts.turns.get_or_insert_default().note_answered(turn);
        self.near = Some(self.near.map_or(round_trip_ns, |near| near.min(round_trip_ns)));
    }

    /// When the last datagram passed that an answer at `now` can belong to; `None` if that is not
    /// certain. What passed less than half a round trip ago cannot have been answered yet, and what
    /// passed seven eighths of one ago can.
    fn asked(&self, now: Nanos, near: u64) -> Option<Nanos> {
        if self.datagrams.len() > DATAGRAMS_MAX {
            return None;
        }
        let mut asked = None;
        for passed in &self.datagrams {
            let ago = now.since(*passed).0;
            if ago >= near - near / 8 {
                asked = Some(*passed);
            } else if ago >= near / 2 {
                return None;
            }
        }
        asked
    }
}

#[cfg(test)]
#[path = "quic_numbers_tests.rs"]
mod tests;
