//! RustDesk's rendezvous: that a host can be controlled, and who asked to control it.
//!
//! Owns: which message is believed from which side. In: datagrams, and the first message of a
//! stream to the server's port. Out: [`Rustdesk`]. Never: an address whose own time does not fit
//! its packet's.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::model::app_facts::Rustdesk;
use crate::model::protocol::Protocol;
use crate::model::{Addr, Nanos, Peer};
use crate::wire::WireError;
use crate::wire::rustdesk::{self, Message, PORT};

/// Addresses kept: farms are asked for by few.
const CONTROLLERS_MAX: usize = 8;

/// Over UDP, where a host registers every 15 seconds.
#[derive(Debug, Default)]
pub struct RustdeskDatagram;

/// Over TCP: a host tells the server's port once, whom it answers.
#[derive(Debug, Default)]
pub struct RustdeskStream;

/// The side that is the server, by its port or because the other one registered.
fn server(ports: (u16, u16), known: Option<&Rustdesk>) -> Option<Peer> {
    match known.and_then(|known| known.registered) {
        Some(registered) => Some(registered.other()),
        None if ports.1 == PORT => Some(Peer::Responder),
        None if ports.0 == PORT => Some(Peer::Initiator),
        None => None,
    }
}

/// Whether a message may be sent by that side; anybody may register.
fn fits(message: &Message<'_>, from: Peer, server: Option<Peer>) -> bool {
    match message {
        Message::Register => server != Some(from),
        Message::Registered | Message::FromServer(_) => server == Some(from),
        Message::ToServer(_) => server == Some(from.other()),
    }
}

/// Adds what a message says.
fn note(message: &Message<'_>, from: Peer, time: Nanos, facts: &mut Rustdesk) {
    let bytes = match message {
        Message::Register => return facts.registered = Some(from),
        Message::Registered => return facts.answered |= facts.registered == Some(from.other()),
        Message::FromServer(bytes) | Message::ToServer(bytes) => bytes,
    };
    let Some(address) = rustdesk::address(bytes, time) else { return };
    facts.named = facts.named.saturating_add(1);
    let address = Addr::from(*address.ip());
    facts.controllers.retain(|known| *known != address);
    if facts.controllers.len() >= CONTROLLERS_MAX {
        facts.controllers.remove(0);
    }
    facts.controllers.push(address);
}

/// Reads a message, if its sender may have sent it.
fn observe(bytes: &[u8], context: &mut ParseContext<'_>) -> bool {
    let Ok(message) = rustdesk::parse(bytes) else { return false };
    let known = |facts: &crate::model::record::Facts| {
        facts.app_facts().and_then(|facts| facts.rustdesk.as_deref().cloned())
    };
    let known = context.facts.as_deref().and_then(known);
    let (from, time) = (context.from, context.time);
    if !fits(&message, from, server(context.ports, known.as_ref())) {
        return false;
    }
    let app_facts = context.facts().rare_mut().app_facts.get_or_insert_default();
    note(&message, from, time, app_facts.rustdesk.get_or_insert_default());
    true
}

fn rustdesk_of<'a, S>(look: &Look<'a, S>) -> Option<&'a Rustdesk> {
    look.facts?.app_facts()?.rustdesk.as_deref()
}

impl Parser for RustdeskDatagram {
    type State = ();

    /// What does not parse is none of it.
    const PROTOCOL: Option<Protocol> = None;
    /// Somebody may ask at any time.
    const DATAGRAMS_MAX: u8 = u8::MAX;

    /// One datagram may look like a registration: only the server's answer makes the session one
    /// of these, whatever else it carries.
    fn claims(bytes: &[u8], look: &Look<'_, ()>) -> bool {
        let known = rustdesk_of(look);
        let begins =
            matches!(bytes.first(), Some(0x32 | 0x3a | 0x4a | 0x52 | 0x62 | 0x6a | 0x92 | 0x9a));
        let fits = |message| fits(&message, look.from, server(look.ports, known));
        begins && rustdesk::parse(bytes).is_ok_and(fits)
            || known.is_some_and(|known| known.answered)
    }

    fn probe(_bytes: &[u8], _look: &Look<'_, ()>) -> Probe {
        Probe::No
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        // Other messages of the same pair say nothing that counts.
        let known = |context: &ParseContext<'_>| {
            let facts = context.facts.as_deref().and_then(|facts| facts.app_facts());
            facts.and_then(|facts| facts.rustdesk.as_deref()).is_some_and(|known| known.answered)
        };
        match observe(bytes, context) || known(context) {
            true => ParseResult::Used(bytes.len()),
            false => ParseResult::NotMine,
        }
    }
}

impl Parser for RustdeskStream {
    type State = ();

    const PROTOCOL: Option<Protocol> = None;

    fn probe(bytes: &[u8], look: &Look<'_, ()>) -> Probe {
        if look.ports.1 != PORT || look.from != Peer::Initiator {
            return Probe::No;
        }
        match rustdesk::frame(bytes) {
            Ok(message) => Probe::of(Some(rustdesk::parse(message).is_ok())),
            Err(WireError::NeedMore(_)) => Probe::Short,
            Err(_) => Probe::No,
        }
    }

    fn feed(_: &mut (), bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        match rustdesk::frame(bytes) {
            Ok(message) if observe(message, context) => ParseResult::Done,
            _ => ParseResult::NotMine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::Facts;

    const NOW: Nanos = Nanos(1_795_829_453_835_808_000);

    /// The reversible form of an address.
    fn mangled(octets: [u8; 4], port: u16) -> Vec<u8> {
        let stamp = u128::from((NOW.0 / 1_000) as u32);
        let ip = u128::from(u32::from_le_bytes(octets));
        let value = (ip + stamp) << 49 | stamp << 17 | (u128::from(port) + (stamp & 0xffff));
        let bytes = value.to_le_bytes();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        bytes[..end].to_vec()
    }

    fn naming(key: u8, octets: [u8; 4]) -> Vec<u8> {
        let address = mangled(octets, 40_000);
        let (inner, outer) = (address.len() as u8, address.len() as u8 + 2);
        [&[key, outer, 0x0a, inner][..], &address].concat()
    }

    const REGISTER: &[u8] = b"\x32\x0b\x0a\x09123456789";

    fn say(said: &[(Peer, &[u8])], ports: (u16, u16), time: Nanos) -> Option<Box<Facts>> {
        let mut facts = None;
        for (from, bytes) in said {
            let look = Look { from: *from, ports, facts: facts.as_deref(), state: None };
            if RustdeskDatagram::claims(bytes, &look) {
                let (from, follows) = (*from, false);
                let mut context = ParseContext { from, ports, time, follows, facts: &mut facts };
                RustdeskDatagram::feed(&mut (), bytes, &mut context);
            }
        }
        facts
    }

    fn found(facts: Option<Box<Facts>>) -> Option<Rustdesk> {
        facts?.rare?.app_facts?.rustdesk.map(|found| *found)
    }

    use Peer::{Initiator, Responder};

    #[test]
    fn who_asks_for_a_registered_host_is_named_on_any_port() {
        let (ask, again) = (naming(0x4a, [203, 0, 113, 7]), naming(0x62, [198, 51, 100, 9]));
        let said: [(Peer, &[u8]); 4] =
            [(Initiator, REGISTER), (Responder, b"\x3a\0"), (Responder, &ask), (Responder, &again)];
        let found = found(say(&said, (50_000, 7_000), NOW)).unwrap();
        assert_eq!(found.registered, Some(Initiator));
        let want = [[203, 0, 113, 7], [198, 51, 100, 9]];
        assert_eq!(found.controllers, want.map(|ip| Addr::from(std::net::Ipv4Addr::from(ip))));
        assert_eq!(found.named, 2);
    }

    #[test]
    fn a_first_datagram_like_a_registration_hides_no_other_protocol() {
        let wireguard = [&[1, 0, 0, 0][..], &[7; 144]].concat();
        let claims = |said: &[(Peer, &[u8])]| {
            let facts = say(said, (50_000, 51_820), NOW);
            let (from, ports) = (Initiator, (50_000, 51_820));
            let look = Look { from, ports, facts: facts.as_deref(), state: None };
            RustdeskDatagram::claims(&wireguard, &look)
        };
        assert!(!claims(&[(Initiator, REGISTER)]));
        assert!(!claims(&[(Initiator, REGISTER), (Initiator, b"\x3a\0")]), "its own answer");
        assert!(claims(&[(Initiator, REGISTER), (Responder, b"\x3a\0")]));
    }

    #[test]
    fn a_message_of_the_wrong_side_or_time_names_nobody() {
        let ask = naming(0x4a, [203, 0, 113, 7]);
        let late = Nanos(NOW.0 + 600_000_000_000);
        assert_eq!(
            found(say(&[(Responder, &ask)], (50_000, 7_000), NOW)),
            None,
            "nobody is registered"
        );
        assert!(found(say(&[(Responder, &ask)], (50_000, PORT), NOW)).is_some());
        assert_eq!(found(say(&[(Initiator, &ask)], (50_000, PORT), NOW)), None);
        let said: [(Peer, &[u8]); 2] = [(Initiator, REGISTER), (Responder, &ask)];
        assert_eq!(found(say(&said, (50_000, PORT), late)).unwrap().controllers, []);
        let own: [(Peer, &[u8]); 2] = [(Initiator, REGISTER), (Initiator, &ask)];
        assert_eq!(found(say(&own, (50_000, PORT), NOW)).unwrap().controllers, []);
    }

    #[test]
    fn addresses_are_capped_and_the_latest_stays() {
        let asks: Vec<_> = (0..40).map(|last| naming(0x4a, [203, 0, 113, last])).collect();
        let said: Vec<_> = asks.iter().map(|ask| (Responder, &ask[..])).collect();
        let found = found(say(&said, (50_000, PORT), NOW)).unwrap();
        assert_eq!((found.controllers.len(), found.named), (CONTROLLERS_MAX, 40));
        let last = std::net::Ipv4Addr::new(203, 0, 113, 39);
        assert_eq!(found.controllers.last(), Some(&Addr::from(last)));
    }

    #[test]
    fn the_answer_over_tcp_names_the_same() {
        let answer = naming(0x52, [203, 0, 113, 7]);
        let framed = [&[(answer.len() as u8) << 2][..], &answer].concat();
        let ports = (50_000, PORT);
        let look = |from, ports| Look { from, ports, facts: None, state: None };
        let probe = |bytes: &[u8], from, ports| RustdeskStream::probe(bytes, &look(from, ports));
        assert_eq!(probe(&framed[..5], Initiator, ports), Probe::Short);
        assert_eq!(probe(&framed, Initiator, ports), Probe::Fits);
        assert_eq!(probe(&framed, Responder, ports), Probe::No);
        assert_eq!(probe(&framed, Initiator, (50_000, 443)), Probe::No);
        let mut facts = None;
        let mut context =
            ParseContext { from: Initiator, ports, time: NOW, follows: false, facts: &mut facts };
        assert_eq!(RustdeskStream::feed(&mut (), &framed, &mut context), ParseResult::Done);
        assert_eq!(found(facts).unwrap().named, 1);
    }
}
