//! WireGuard: its handshake, told by sizes and indices.
//!
//! Owns: the indices seen last. In: one datagram. Out: the protocol, and the round trips of its
//! handshake: a response, and the first transport message, which the initiator owes at once.
//! Never: tells from a transport message alone.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe, Timing};
use crate::evidence::request_response_rtt::{Kind, Moment, RequestRtt};
use crate::evidence::{dns, udp_signatures};
use crate::model::latency::Exchange;
use crate::model::record::Protocol;
use crate::model::{Heap, Peer};
use crate::wire::wireguard::{self, INITIATION_BYTES, WireguardMessage};

/// The first transport message is a reflex like the response: without something to send, the
/// initiator confirms the keys with an empty one (WireGuard whitepaper section 6.5).
const REFLEX: (Kind, Exchange) = (Kind::Reflex, Exchange::Wireguard);
/// An initiation that is sent again has another index (section 5.4.2).
const SINGLE: (Kind, Exchange) = (Kind::SingleReflex, Exchange::Wireguard);
/// Keys of transport messages, apart from those of handshakes.
const TRANSPORT: u64 = 1 << 32;
/// A counter beyond this is no counter: at a million packets a second it takes 12 days, and keys
/// last three minutes (section 6.1).
const COUNTER_MAX: u64 = 1 << 40;

/// Datagrams of a direction looked at: as many as are timed of both.
const DATAGRAMS_MAX: u8 = 96;

/// What is known of a session's WireGuard.
#[derive(Debug, Default)]
pub struct Wireguard {
    initiation: Option<(Peer, u32)>,
    /// Index and counter of the last transport message of the initiator and of the responder, and
    /// whether it counted on from one before it.
    transport: [Option<(u32, u64, bool)>; 2],
}

/// Whether a datagram may begin or go on with WireGuard: a few comparisons.
fn may_be(datagram: &[u8]) -> bool {
    match datagram {
        // Some services put a client's number into the reserved bytes; the response has to fit.
        [1, _, _, _, ..] if datagram.len() == INITIATION_BYTES => true,
        [3..=4, 0, 0, 0, ..] => wireguard::parse(datagram).is_ok(),
        _ => wireguard::is_handshake(datagram),
    }
}

impl Heap for Wireguard {
    fn heap(&self) -> usize {
        0
    }
}

impl Parser for Wireguard {
    type State = Wireguard;

    const PROTOCOL: Option<Protocol> = Some(Protocol::Wireguard);
    const DATAGRAMS_MAX: u8 = DATAGRAMS_MAX;
    const TIMING: Timing = Timing::Tells;

    /// An initiation or response, on any port.
    fn claims(bytes: &[u8], _look: &Look<'_, Wireguard>) -> bool {
        wireguard::is_handshake(bytes) && !dns::is_plain_message(bytes)
    }

    fn probe(bytes: &[u8], _look: &Look<'_, Wireguard>) -> Probe {
        Probe::of(Some(may_be(bytes)))
    }

    fn feed(_: &mut Wireguard, bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        if context.follows && udp_signatures::is_disco(bytes) {
            // Its earlier datagrams carried data: the capture started in the middle.
            context.facts().protocol = Some(Protocol::Tailscale);
            return ParseResult::Done;
        }
        ParseResult::Used(bytes.len())
    }

    fn time(
        state: &mut Wireguard,
        bytes: &[u8],
        _ports: (u16, u16),
        rtt: &mut RequestRtt,
        at: &mut Moment<'_>,
    ) -> bool {
        state.follow(bytes, rtt, at)
    }
}

impl Wireguard {
    /// Looks at one datagram; false once the handshake is over.
    pub fn follow(&mut self, datagram: &[u8], rtt: &mut RequestRtt, at: &mut Moment<'_>) -> bool {
        let Ok(packet) = wireguard::parse(datagram) else { return true };
        let fits = match packet.message {
            // Type and size alone are two numbers that any protocol may begin with: the answer has
            // to name the sender's index (section 5.4.3).
            WireguardMessage::Initiation { sender } => {
                self.initiation = Some((at.role, sender));
                rtt.ask(u64::from(sender), 0, at);
                false
            }
            WireguardMessage::Response { sender, receiver } => {
                let asked = self
                    .initiation
                    .is_some_and(|(role, index)| role != at.role && index == receiver);
                if asked {
                    rtt.answer(u64::from(receiver), SINGLE, at);
                    rtt.ask(TRANSPORT | u64::from(sender), 0, at);
                }
                asked
            }
            WireguardMessage::Cookie { receiver } => rtt.answer(u64::from(receiver), SINGLE, at),
            WireguardMessage::Transport { receiver, counter } => {
                if rtt.answer(TRANSPORT | u64::from(receiver), REFLEX, at) {
                    return false;
                }
                let is_transport = packet.is_plain() && counter < COUNTER_MAX;
                is_transport && self.counts_up(at.role, receiver, counter)
            }
        };
        if fits {
            at.facts.protocol.get_or_insert(Protocol::Wireguard);
        }
        true
    }

    /// Notes a transport message. True where both sides have sent some, and one has counted up
    /// under one index.
    fn counts_up(&mut self, role: Peer, receiver: u32, counter: u64) -> bool {
        let [initiator, responder] = &mut self.transport;
        let (own, other) = match role {
            Peer::Initiator => (initiator, &*responder),
            Peer::Responder => (responder, &*initiator),
        };
        let goes_on = own.is_some_and(|(index, last, _)| index == receiver && counter > last);
        let counted = goes_on || own.is_some_and(|(index, _, before)| index == receiver && before);
        *own = Some((receiver, counter, counted));
        other.is_some_and(|(index, _, before)| index != receiver && (counted || before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Nanos;
    use crate::model::record::Facts;
    use Peer::{Initiator, Responder};

    fn message(kind: u8, words: &[u32], size: usize) -> Vec<u8> {
        let mut out = vec![kind, 0, 0, 0];
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        out.resize(size, 7);
        out
    }

    fn tell(events: &[(Vec<u8>, Peer, u64)]) -> Facts {
        let (mut state, mut rtt) = (Wireguard::default(), RequestRtt::default());
        let mut facts = Facts::default();
        for (bytes, role, time) in events {
            assert!(may_be(bytes));
            let mut at = Moment { role: *role, time: Nanos(*time), facts: &mut facts };
            state.follow(bytes, &mut rtt, &mut at);
        }
        facts
    }

    #[test]
    fn a_handshake_gives_both_legs() {
        let facts = tell(&[
            (message(1, &[10], 148), Initiator, 100),
            (message(2, &[20, 10], 92), Responder, 150),
            (message(4, &[20, 0, 0], 32), Initiator, 157),
        ]);
        assert_eq!(facts.protocol, Some(Protocol::Wireguard));
        let turns = facts.turns.unwrap();
        assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(50));
        assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(7));
    }

    #[test]
    fn a_client_with_reserved_bytes_is_recognised_by_the_response() {
        let mut first = message(1, &[10], 148);
        first[1] = 0x5a;
        assert_eq!(tell(&[(first.clone(), Initiator, 100)]).protocol, None);
        let other = (message(2, &[20, 11], 92), Responder, 150);
        assert_eq!(tell(&[(first.clone(), Initiator, 100), other]).protocol, None);
        let fits = (message(2, &[20, 10], 92), Responder, 150);
        let facts = tell(&[(first, Initiator, 100), fits]);
        assert_eq!(facts.protocol, Some(Protocol::Wireguard));
    }

    #[test]
    fn a_longer_handshake_is_recognised_by_the_response() {
        let long = (message(1, &[10], 204), Initiator, 100);
        assert_eq!(tell(std::slice::from_ref(&long)).protocol, None);
        let other = (message(2, &[20, 11], 100), Responder, 150);
        assert_eq!(tell(&[long.clone(), other]).protocol, None);
        let facts = tell(&[long, (message(2, &[20, 10], 100), Responder, 150)]);
        assert_eq!(facts.protocol, Some(Protocol::Wireguard));
    }

    #[test]
    fn an_initiation_alone_is_no_wireguard() {
        let first = (message(1, &[10], 148), Initiator, 100);
        assert_eq!(tell(std::slice::from_ref(&first)).protocol, None);
        // Its own side's response, another index, an answer of another kind.
        for second in [
            (message(2, &[20, 10], 92), Initiator, 150),
            (message(2, &[20, 11], 92), Responder, 150),
            (message(2, &[10, 20], 92), Responder, 150),
            (message(3, &[11], 64), Responder, 150),
            (message(4, &[10, 0, 0], 32), Responder, 150),
        ] {
            assert_eq!(tell(&[first.clone(), second]).protocol, None);
        }
        let cookie = (message(3, &[10], 64), Responder, 150);
        assert_eq!(tell(&[first, cookie]).protocol, Some(Protocol::Wireguard));
    }

    #[test]
    fn transport_messages_have_to_count_up_and_be_answered() {
        let up = |counter| (message(4, &[20, counter, 0], 48), Initiator, 1);
        let down = |counter| (message(4, &[30, counter, 0], 48), Responder, 2);
        let told = |events: &[_]| tell(events).protocol;
        assert_eq!(told(&[up(1), up(2), down(7)]), Some(Protocol::Wireguard));
        assert_eq!(told(&[down(7), up(1), up(2)]), Some(Protocol::Wireguard));
        assert_eq!(told(&[up(1), down(7), down(8)]), Some(Protocol::Wireguard));
        // One side, no counting, one index for both.
        assert_eq!(told(&[up(1), up(2), up(3)]), None);
        assert_eq!(told(&[up(2), up(2), down(7), down(7)]), None);
        let same = (message(4, &[20, 9, 0], 48), Responder, 2);
        assert_eq!(told(&[up(1), up(2), same]), None);
    }
}
