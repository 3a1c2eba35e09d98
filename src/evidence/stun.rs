//! STUN and TURN: requests, response times, and the addresses in messages.
//!
//! Owns: nothing between datagrams. In: one datagram. Out: round trips of requests, which a server
//! or an ICE agent answers without computing; [`StunFacts`]. Never: follows relayed data.

use crate::evidence::dtls;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe, Timing};
use crate::evidence::request_response_rtt::{Kind, Moment, RequestRtt};
use crate::model::facts::PeerRequest;
use crate::model::latency::Exchange;
use crate::model::record::{Protocol, StunFacts};
use crate::model::{Addr, Peer};
use crate::wire::Reader;
use crate::wire::stun::{self, AddressKind, Class};

/// Addresses of each kind kept per session: a call has one or two, an agent that checks many pairs
/// behind a relay half a dozen.
const ADDRESSES_MAX: usize = 8;
/// Binding (RFC 8489 section 18.2).
const METHOD_BINDING: u16 = 1;
/// CreatePermission and ChannelBind (RFC 8656 section 17).
const METHOD_CREATE_PERMISSION: u16 = 8;
const METHOD_CHANNEL_BIND: u16 = 9;
/// Peers that wait for the relay's answer.
const WAITING_MAX: usize = 8;
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
    let key = key(&message.transaction);
    let facts = at.facts.rare_mut().stun.get_or_insert_default();
    note(&message, facts);
    note_peers(&message, (key, at.role), facts);
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
        (Class::Request, METHOD_BINDING) => {
            facts.change_request |= facts.checks > 0 && message.asks_for_change();
            facts.checks = facts.checks.saturating_add(1);
        }
        (Class::Request, METHOD_GOOG_PING) => {
            facts.goog_pings = facts.goog_pings.saturating_add(1);
        }
        _ => {}
    }
}

/// Keeps a peer that a client asks its relay for, once the relay agrees: anybody can write a
/// request, the other side's answer needs its transaction.
fn note_peers(message: &stun::StunMessage<'_>, (key, by): (u64, Peer), facts: &mut StunFacts) {
    if !matches!(message.method, METHOD_CREATE_PERMISSION | METHOD_CHANNEL_BIND) {
        return;
    }
    match message.class {
        Class::Request => {
            let peers = message.addresses().filter(|(kind, ..)| *kind == AddressKind::Peer);
            for (_, ip, _) in peers.take(WAITING_MAX) {
                if facts.waiting.len() >= WAITING_MAX {
                    facts.waiting.remove(0);
                }
                let (method, peer) = (message.method, Addr::from(ip));
                facts.waiting.push(PeerRequest { key, method, by, peer });
            }
        }
        Class::Success => {
            let StunFacts { waiting, bound, permitted, .. } = facts;
            let answers = |asked: &mut PeerRequest| {
                (asked.key, asked.method, asked.by) == (key, message.method, by.other())
            };
            for PeerRequest { method, peer, .. } in waiting.extract_if(.., answers) {
                let known =
                    if method == METHOD_CHANNEL_BIND { &mut *bound } else { &mut *permitted };
                if known.len() < ADDRESSES_MAX && !known.contains(&peer) {
                    known.push(peer);
                }
            }
        }
        Class::Error => {
            facts.waiting.retain(|asked| (asked.key, asked.by) != (key, by.other()));
        }
        Class::Indication => {}
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
    use crate::model::Nanos;
    use crate::model::record::Facts;

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

    /// XOR-PEER-ADDRESS of 192.0.2.x for a port of 32853.
    fn with_peer(kind: u16, transaction: u8, last: u8) -> Vec<u8> {
        let mut bytes = message(kind, transaction);
        bytes[3] = 12;
        bytes.extend([0, 0x12, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, last ^ 0x42]);
        bytes
    }

    #[test]
    fn a_peer_counts_once_the_relay_agrees() {
        let mut facts = StunFacts::default();
        use Peer::{Initiator, Responder};
        let tell = |by: Peer, bytes: &[u8], facts: &mut StunFacts| {
            let read = stun::parse(bytes).unwrap();
            note_peers(&read, (key(&read.transaction), by), facts);
        };
        let peer = |last| Addr::v4([192, 0, 2, last]);
        for (kind, transaction, last) in [(0x0008, 1, 1), (0x0009, 2, 2), (0x0009, 3, 3)] {
            tell(Initiator, &with_peer(kind, transaction, last), &mut facts);
        }
        assert_eq!((&facts.bound[..], &facts.permitted[..]), (&[][..], &[][..]));
        // Another transaction, an error, another method's answer, and who asked answers itself.
        for (kind, transaction) in [(0x0109, 9), (0x0119, 3), (0x0109, 3), (0x0108, 2)] {
            tell(Responder, &message(kind, transaction), &mut facts);
        }
        for (kind, transaction) in [(0x0108, 1), (0x0109, 2)] {
            tell(Initiator, &message(kind, transaction), &mut facts);
        }
        assert_eq!((&facts.bound[..], &facts.permitted[..]), (&[][..], &[][..]));
        tell(Responder, &message(0x0108, 1), &mut facts);
        tell(Responder, &message(0x0109, 2), &mut facts);
        assert_eq!((&facts.bound[..], &facts.permitted[..]), (&[peer(2)][..], &[peer(1)][..]));
        for transaction in 0..100 {
            tell(Initiator, &with_peer(0x0009, transaction, transaction), &mut facts);
        }
        assert_eq!(facts.waiting.len(), WAITING_MAX);
    }

    #[test]
    fn the_second_request_may_ask_for_another_address() {
        let change =
            [&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], &[5; 12], &[0, 3, 0, 4, 0, 0, 0, 6]];
        let change = change.concat();
        let tell = |said: &[&[u8]]| {
            let mut facts = StunFacts::default();
            said.iter().for_each(|bytes| note(&stun::parse(bytes).unwrap(), &mut facts));
            facts.change_request
        };
        let plain = message(0x0001, 4);
        assert!(tell(&[&plain, &change]));
        assert!(!tell(&[&change, &plain]));
        let mut one_flag = change.clone();
        one_flag[27] = 2;
        assert!(!tell(&[&plain, &one_flag]));
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
