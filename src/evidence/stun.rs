//! STUN and TURN: requests, response times, and the addresses in messages.
//!
//! Owns: nothing between datagrams. In: one datagram. Out: round trips of requests, which a server
//! or an ICE agent answers without computing; [`StunFacts`]. Never: follows relayed data.

use crate::evidence::dtls;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe, Timing};
use crate::evidence::request_response_rtt::{Kind, Moment, RequestRtt};
use crate::model::latency::Exchange;
use crate::model::record::{Protocol, StunFacts};
use crate::wire::Reader;
use crate::wire::stun::{self, AddressKind, Class};

/// Addresses of each kind kept per session: a call has one or two, an agent that checks many pairs
/// behind a relay half a dozen.
const ADDRESSES_MAX: usize = 8;
/// Binding (RFC 8489 section 18.2).
const METHOD_BINDING: u16 = 1;
/// GOOG-PING, types 0x0200 and 0x0300.
const METHOD_GOOG_PING: u16 = 0x080;

/// STUN and TURN.
#[derive(Debug, Default)]
pub struct Stun;

impl Parser for Stun {
    type State = ();

    const PROTOCOL: Option<Protocol> = Some(Protocol::Stun);
    /// ICE agents check several pairs, often twice, before DTLS starts (RFC 8445 section 6.1.4).
    const DATAGRAMS_MAX: u8 = 48;
    const TIMING: Timing = Timing::Tells;

    /// Class and method have two leading zero bits; the cookie is unambiguous.
    fn probe(bytes: &[u8], _look: &Look<'_, ()>) -> Probe {
        Probe::of(Some(matches!(bytes, [0..=0x3f, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..])))
    }

    /// Behind it comes DTLS, or media.
    fn feed(_: &mut (), bytes: &[u8], _: &mut ParseContext<'_>) -> ParseResult {
        if dtls::begins(bytes) { ParseResult::NotMine } else { ParseResult::Used(bytes.len()) }
    }

    /// Agents go on asking for consent (RFC 7675 section 5.1): it is never over.
    fn time(
        _: &mut (),
        bytes: &[u8],
        _ports: (u16, u16),
        rtt: &mut RequestRtt,
        at: &mut Moment<'_>,
    ) -> bool {
        follow(bytes, rtt, at);
        true
    }
}

/// Examines one datagram; false if it is not STUN.
pub fn follow(datagram: &[u8], rtt: &mut RequestRtt, at: &mut Moment<'_>) -> bool {
    let Ok(message) = stun::parse(datagram) else { return false };
    at.facts.protocol.get_or_insert(Protocol::Stun);
    note(&message, at.facts.rare_mut().stun.get_or_insert_default());
    let key = key(&message.transaction);
    match message.class {
        // A retransmitted request keeps its transaction id (RFC 8489 section 6.2.1).
        Class::Request => rtt.ask(key, 0, at),
        Class::Success | Class::Error => {
            rtt.answer(key, (Kind::SingleReflex, Exchange::Ping), at);
        }
        Class::Indication => {}
    }
    true
}

/// Keeps the addresses in it, and counts consent checks: binding requests (RFC 7675 section 5.1),
/// or GOOG-PING instead.
fn note(message: &stun::StunMessage<'_>, facts: &mut StunFacts) {
    for (kind, address, _) in message.addresses().take(ADDRESSES_MAX) {
        let known = match kind {
            AddressKind::Mapped => &mut facts.mapped,
            AddressKind::Peer => &mut facts.peers,
            AddressKind::Relayed => continue,
        };
        let text: Box<str> = address.to_string().into();
        if known.len() < ADDRESSES_MAX && !known.contains(&text) {
            known.push(text);
        }
    }
    match (message.class, message.method) {
        (Class::Request, METHOD_BINDING) => facts.checks = facts.checks.saturating_add(1),
        (Class::Request, METHOD_GOOG_PING) => {
            facts.goog_pings = facts.goog_pings.saturating_add(1);
        }
        _ => {}
    }
}

/// The transaction id as a key. It is random (RFC 8489 section 5); some send few random bytes.
fn key(transaction: &[u8; 12]) -> u64 {
    let mut r = Reader::new(transaction);
    let high = r.u32().map_or(0, u64::from);
    r.u64().unwrap_or_default() ^ high.rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::Facts;
    use crate::model::{Nanos, Peer};

    fn message(kind: u16, transaction: u8) -> Vec<u8> {
        let mut out = kind.to_be_bytes().to_vec();
        out.extend([0, 0, 0x21, 0x12, 0xa4, 0x42]);
        out.extend([transaction; 12]);
        out
    }

    fn tell(events: &[(u16, u8, Peer, u64)]) -> Facts {
        let (mut rtt, mut facts) = (RequestRtt::default(), Facts::default());
        for (kind, transaction, role, time) in events {
            let mut at = Moment { role: *role, time: Nanos(*time), facts: &mut facts };
            assert!(follow(&message(*kind, *transaction), &mut rtt, &mut at));
        }
        facts
    }

    #[test]
    fn both_sides_answer_at_once() {
        use Peer::{Initiator, Responder};
        let facts = tell(&[
            (0x0001, 1, Initiator, 100),
            (0x0001, 2, Responder, 110),
            (0x0101, 2, Initiator, 115),
            (0x0101, 1, Responder, 140),
            (0x0200, 3, Initiator, 200),
            (0x0300, 3, Responder, 230),
        ]);
        let turns = facts.turns.clone().unwrap();
        assert_eq!(turns.far.map(|t| (t.round_trip_ns, t.exchange)), Some((30, Exchange::Ping)));
        assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(5));
        assert_eq!(facts.protocol, Some(Protocol::Stun));
        let stun = facts.stun().cloned().unwrap();
        assert_eq!((stun.checks, stun.goog_pings), (2, 1));
    }

    #[test]
    fn addresses_are_kept_once_and_capped() {
        let mut facts = StunFacts::default();
        let tell = |kind: u8, last: u8, facts: &mut StunFacts| {
            let address = [0, kind, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, last];
            let head = [1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
            let bytes = [&head[..], &[3; 12], &address].concat();
            note(&stun::parse(&bytes).unwrap(), facts);
        };
        for last in [0x43, 0x43, 0x40] {
            tell(0x20, last, &mut facts);
        }
        assert_eq!(*facts.mapped, ["192.0.2.1".into(), "192.0.2.2".into()]);
        for last in 0..20 {
            tell(0x12, last, &mut facts);
        }
        assert_eq!((facts.peers.len(), facts.checks), (ADDRESSES_MAX, 0));
    }

    #[test]
    fn a_request_sent_again_gives_nothing() {
        use Peer::Initiator;
        let again = [(1, 1, Initiator, 100), (1, 1, Initiator, 120)];
        let answered = [&again[..], &[(0x0101, 1, Peer::Responder, 150)]].concat();
        assert_eq!(tell(&answered).turns.unwrap().far, None);
        let indication = [(0x0011, 1, Initiator, 100), (0x0101, 1, Peer::Responder, 150)];
        assert_eq!(tell(&indication).turns, None);
    }
}
