//! Round trips of a QUIC handshake, from its long headers.
//!
//! Owns: what each datagram asks and answers. In: datagrams, and which side is the client. Out:
//! turns. Never: decrypts a packet.
//!
//! A client must have the server's first packet to send a Handshake packet (RFC 9001 section 4.1),
//! and acknowledges it at once (RFC 9000 section 13.2.1): no computing. Its Finished needs the
//! whole flight: computing.

use crate::evidence::request_response_rtt::{Kind, Moment, RequestRtt, exclude, print_of};
use crate::model::Peer;
use crate::model::latency::{Exchange, Exclusions};
use crate::model::record::Facts;
use crate::wire::quic::{LongPacket, PacketType};

const REFLEX: (Kind, Exchange) = (Kind::Reflex, Exchange::Quic);
const THOUGHT: (Kind, Exchange) = (Kind::Thought, Exchange::Quic);
const RESUMED: (Kind, Exchange) = (Kind::Thought, Exchange::QuicResumed);

/// The client's first Initial packets.
const HELLO: u64 = 1;
/// The same for a connection started beside the first, with a fingerprint of its id in the low
/// bits.
const HELLO_OF_RIVAL: u64 = 1 << 32;
/// A Retry or Version Negotiation.
const RETRY: u64 = 2;
/// The server's first flight: its first packet, and all of it.
const FIRST: u64 = 3;
/// The key of the whole of it.
pub const FLIGHT: u64 = 4;

/// The key of the server's first flight. The client sends its Handshake packets to the id that the
/// server chose (RFC 9000 section 7.2); a forger who did not get that flight does not know the id.
pub fn first(id: u32) -> u64 {
    FIRST | u64::from(id) << 32
}

/// A Handshake packet shorter than this cannot hold a Finished: packet number, CRYPTO header,
/// message header and 32 bytes of SHA-256, tag (RFC 9000 section 19.6, RFC 8446 section 4.4.4).
const FINISHED_BYTES_MIN: usize = 1 + 3 + 4 + 32 + 16;

/// The content of a datagram.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    initial: bool,
    early: bool,
    /// A Retry, or a Version Negotiation.
    retry: bool,
    handshake: bool,
    /// A Handshake packet that may hold a Finished, or a packet that comes after it.
    finished: bool,
    /// A short fingerprint of the connection id that the first Initial packet is sent to.
    origin: Option<u32>,
    /// Fingerprints of the id that a Handshake packet is sent to, and of the sender's own.
    to: Option<u32>,
    own: u32,
}

/// Which side is the client, and how to distinguish connections that were started in parallel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opener {
    /// The side, once certain.
    pub client: Option<Peer>,
    /// Fingerprints of the connection ids of the first connection, and of the one that was
    /// answered.
    pub origins: (Option<u32>, Option<u32>),
    /// The server has answered one: from then on the client uses an id of the server's choice.
    pub answered: bool,
}

impl Opener {
    /// The key of a hello that was sent to a connection id.
    fn hello(self, origin: Option<u32>) -> u64 {
        match (self.origins.0, origin) {
            (Some(first), Some(origin)) if first != origin => HELLO_OF_RIVAL | u64::from(origin),
            _ => HELLO,
        }
    }
}

impl Held {
    fn read(datagram: &[u8]) -> Held {
        let mut held = Held::default();
        let mut rest = datagram;
        while let Ok((packet, behind)) = LongPacket::parse(rest) {
            let body = packet.bytes.len() - packet.header_bytes;
            held.own = print_of(packet.source);
            match packet.packet_type {
                PacketType::Initial => {
                    held.initial = true;
                    held.origin = held.origin.or(Some(print_of(packet.destination)));
                }
                PacketType::ZeroRtt => held.early = true,
                PacketType::Retry => held.retry = true,
                PacketType::Handshake => {
                    held.handshake = true;
                    held.to = Some(print_of(packet.destination));
                    held.finished |= body >= FINISHED_BYTES_MIN;
                }
            }
            rest = behind;
        }
        match rest {
            // Version 0 is a negotiation (RFC 9000 section 17.2.1).
            [0x80..=0xff, 0, 0, 0, 0, ..] => held.retry = true,
            // A short header; zeroes behind the last packet are padding of some implementations.
            [0x40..=0x7f, ..] => held.finished = true,
            _ => {}
        }
        held
    }
}

/// Examines one datagram; false once the client has finished.
pub fn follow(datagram: &[u8], opener: Opener, rtt: &mut RequestRtt, at: &mut Moment<'_>) -> bool {
    let held = Held::read(datagram);
    // The first piece of a hello cannot be decrypted alone; then the initiator is the client.
    if opener.client.unwrap_or(Peer::Initiator) == at.role {
        return follow_client(held, opener, rtt, at);
    }
    if held.initial || held.retry || held.handshake {
        rtt.answer(opener.hello(opener.origins.1), REFLEX, at);
    }
    let print = u32::from(rtt.number());
    if held.retry {
        exclude(Exclusions::RETRY_REQUEST, at.facts);
        rtt.ask(RETRY, print, at);
    } else if held.initial || held.handshake {
        rtt.ask(first(held.own), print, at);
        rtt.ask(FLIGHT, print, at);
    }
    true
}

fn follow_client(held: Held, opener: Opener, rtt: &mut RequestRtt, at: &mut Moment<'_>) -> bool {
    if held.early {
        exclude(Exclusions::EARLY_DATA, at.facts);
    }
    if held.initial && !held.handshake {
        rtt.answer(RETRY, REFLEX, at);
        let print = u32::from(rtt.number());
        // After a Retry and after an answer the id is the server's, and the connection the same.
        let retried = at
            .facts
            .turns
            .as_ref()
            .is_some_and(|turns| turns.excluded.0 & Exclusions::RETRY_REQUEST != 0);
        let same = retried || opener.answered;
        rtt.ask(if same { HELLO } else { opener.hello(held.origin) }, print, at);
    }
    if let Some(to) = held.to
        && rtt.answer(first(to), REFLEX, at)
    {
        at.facts.turns.get_or_insert_default().answered = true;
    }
    if !held.finished {
        return true;
    }
    // A resumed handshake is a kind of its own.
    let why = excluded_by_hello(at.facts);
    let (excluded, resumed) = (why & !Exclusions::RESUMED, why & Exclusions::RESUMED != 0);
    if excluded != 0 {
        exclude(excluded, at.facts);
        rtt.void(FLIGHT, other(at.role));
    }
    !rtt.answer(FLIGHT, if resumed { RESUMED } else { THOUGHT }, at)
}

/// The reasons against a turn in the hellos and packets so far.
pub fn excluded_by_hello(facts: &Facts) -> u16 {
    let mut why = facts.turns.as_ref().map_or(0, |turns| {
        turns.excluded.0
            & (Exclusions::RETRY_REQUEST | Exclusions::EARLY_DATA | Exclusions::CLIENT_CERTIFICATE)
    });
    if let Some(tls) = &facts.tls {
        why |= if tls.resumed == Some(true) { Exclusions::RESUMED } else { 0 };
        why |= if tls.early_data { Exclusions::EARLY_DATA } else { 0 };
        why |= if tls.retry_request { Exclusions::RETRY_REQUEST } else { 0 };
    }
    why
}

/// The other side.
pub const fn other(role: Peer) -> Peer {
    match role {
        Peer::Initiator => Peer::Responder,
        Peer::Responder => Peer::Initiator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Nanos;
    use Peer::{Initiator, Responder};

    fn long(kind: u8, body: usize) -> Vec<u8> {
        let mut out = vec![0xc0 | kind << 4, 0, 0, 0, 1, 2, 9, 9, 2, 9, 9];
        if kind == 0 {
            out.push(0);
        }
        if kind < 3 {
            out.extend([0x40 | (body >> 8) as u8, body as u8]);
        }
        out.resize(out.len() + body, 0xee);
        out
    }

    fn tell(events: &[(Vec<u8>, Peer, u64)], mut facts: Facts) -> (Facts, bool) {
        let (mut rtt, mut more) = (RequestRtt::default(), true);
        for (bytes, role, time) in events {
            let mut at = Moment { role: *role, time: Nanos(*time), facts: &mut facts };
            let opener = Opener { client: Some(Initiator), ..Opener::default() };
            more = follow(bytes, opener, &mut rtt, &mut at);
        }
        (facts, more)
    }

    fn handshake() -> Vec<(Vec<u8>, Peer, u64)> {
        vec![
            (long(0, 1_180), Initiator, 100),
            (long(0, 1_180), Initiator, 101),
            ([long(0, 100), long(2, 900)].concat(), Responder, 150),
            (long(2, 1_100), Responder, 151),
            ([long(0, 40), long(2, 24)].concat(), Initiator, 170),
            (long(2, 60), Initiator, 191),
        ]
    }

    /// A decoy 5 ms before the hello that is answered must not make the round trip longer, nor one
    /// after it shorter.
    #[test]
    fn the_round_trip_is_that_of_the_hello_which_was_answered() {
        let to = |id: u8| {
            let mut hello = long(0, 1_180);
            hello[6..8].fill(id);
            hello
        };
        let print = |id: u8| Some(print_of(&[id; 2]));
        for (answered, far) in [(1, 50), (2, 45), (3, 41)] {
            let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
            let mut opener = Opener { client: Some(Initiator), ..Opener::default() };
            for (id, time) in [(1, 100), (2, 105), (3, 109)] {
                opener.origins = (print(1), print(id));
                let mut at = Moment { role: Initiator, time: Nanos(time), facts: &mut facts };
                follow(&to(id), opener, &mut rtt, &mut at);
            }
            opener.origins = (print(1), print(answered));
            opener.answered = true;
            let mut at = Moment { role: Responder, time: Nanos(150), facts: &mut facts };
            follow(&long(0, 100), opener, &mut rtt, &mut at);
            let turns = facts.turns.unwrap();
            assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(far), "{answered}");
        }
    }

    #[test]
    fn a_handshake_gives_both_legs_and_a_turn() {
        let (facts, more) = tell(&handshake(), Facts::default());
        assert!(!more, "nothing is waited for");
        let turns = facts.turns.unwrap();
        assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(50));
        assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(20));
        assert_eq!(turns.lowest(Exchange::Quic, true), Some(40));
        assert_eq!(turns.gap_over_udp(Exchange::Quic), Some(20));
    }

    #[test]
    fn a_packet_to_another_id_than_the_servers_answers_nothing() {
        assert!(tell(&handshake(), Facts::default()).0.turns.unwrap().answered);
        let mut events = handshake();
        for (bytes, role, _) in &mut events[4..] {
            assert_eq!(*role, Initiator);
            *bytes = long(2, 60);
            bytes[6..8].fill(7);
        }
        let turns = tell(&events, Facts::default()).0.turns.unwrap();
        assert!(!turns.answered && turns.near.is_none());
    }

    #[test]
    fn an_initial_sent_again_gives_no_far_leg() {
        let mut events = handshake();
        events[1].2 = 130;
        let (facts, _) = tell(&events, Facts::default());
        assert_eq!(facts.turns.unwrap().far, None);
    }

    #[test]
    fn early_data_give_no_turn_and_resumption_one_of_its_own() {
        let mut events = handshake();
        events.insert(1, (long(1, 300), Initiator, 100));
        let (facts, _) = tell(&events, Facts::default());
        let turns = facts.turns.unwrap();
        assert!(turns.turns.is_empty() && turns.excluded.has(Exclusions::EARLY_DATA));
        let mut facts = Facts::default();
        facts.tls.get_or_insert_default().resumed = Some(true);
        let (facts, _) = tell(&handshake(), facts);
        let turns = facts.turns.unwrap();
        assert_eq!(turns.lowest(Exchange::Quic, true), None);
        assert_eq!(turns.lowest(Exchange::QuicResumed, true), Some(40));
        assert_eq!(turns.excluded, Exclusions(0));
        assert!(turns.near.is_some(), "an acknowledgement comes all the same");
    }

    #[test]
    fn a_retry_is_obeyed_by_reflex() {
        let events = [
            (long(0, 1_180), Initiator, 100),
            (long(3, 60), Responder, 140),
            (long(0, 1_180), Initiator, 147),
        ];
        let turns = tell(&events, Facts::default()).0.turns.unwrap();
        assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(40));
        assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(7));
        assert!(turns.excluded.has(Exclusions::RETRY_REQUEST));
    }
}
