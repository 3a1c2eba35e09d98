//! IKE: requests and responses, whose headers are in clear.
//!
//! Owns: for version 1, which side is next. In: one datagram. Out: the protocol, round trips of
//! responses, and the initiator's turn to IKE_AUTH. Never: reads payloads.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe, Timing};
use crate::evidence::request_response_rtt::{Kind, Moment, RequestRtt, print_of};
use crate::model::latency::Exchange;
use crate::model::record::Protocol;
use crate::model::{Heap, Peer};
use crate::wire::ike::{AUTH, Header, INFORMATIONAL, SA_INIT};

/// Answered without computing, or with one key agreement.
const REFLEX: (Kind, Exchange) = (Kind::Reflex, Exchange::Ike);
/// A response is sent again only for a request that came again (RFC 7296 section 2.1).
const SINGLE: (Kind, Exchange) = (Kind::SingleReflex, Exchange::Ike);
/// A person, a card or another server may be involved.
const THOUGHT: (Kind, Exchange) = (Kind::Thought, Exchange::Ike);
/// Of what the initiator sends after the response to IKE_SA_INIT, beside exchange and message id.
const GO_ON: u64 = 1 << 48;
/// Of version 1.
const VERSION_1: u64 = 1 << 49;
/// Version 1: identity protection and aggressive mode, in which the sides alternate (RFC 2409
/// section 5). Others follow only after these.
const ALTERNATING: [u8; 2] = [2, 4];

/// Datagrams of a direction looked at: as many as are timed of both.
const DATAGRAMS_MAX: u8 = 96;

/// The state of a session's IKE.
#[derive(Debug, Default)]
pub struct Ike {
    /// Messages of version 1 that the other side answered, so far.
    rounds: u8,
    last: Option<(Peer, u32)>,
    before: Option<u32>,
    /// Print of version 2's first request, of the latest IKE SA.
    begun: Option<u32>,
    /// The initiator's SPI in version 1: sides that alternate do so within one IKE SA.
    alternating: u64,
    /// The responder's SPI, which the initiator cannot know before it has the response.
    spi: Spi,
}

/// The SPI that a responder chose.
#[derive(Clone, Copy, Debug, Default)]
enum Spi {
    /// Not yet.
    #[default]
    Open,
    /// This one.
    Chosen(u64),
    /// The initiator named one first, and a responder may repeat that (RFC 7296 section 2.21): it
    /// proves nothing.
    Named,
}

impl Heap for Ike {
    fn heap(&self) -> usize {
        0
    }
}

impl Parser for Ike {
    type State = Ike;

    const PROTOCOL: Option<Protocol> = Some(Protocol::Ike);
    const DATAGRAMS_MAX: u8 = DATAGRAMS_MAX;
    const TIMING: Timing = Timing::Tells;

    fn probe(bytes: &[u8], look: &Look<'_, Ike>) -> Probe {
        Probe::of(Some(Header::parse(bytes, look.ports).is_ok()))
    }

    fn feed(_: &mut Ike, bytes: &[u8], _: &mut ParseContext<'_>) -> ParseResult {
        ParseResult::Used(bytes.len())
    }

    fn time(
        state: &mut Ike,
        bytes: &[u8],
        ports: (u16, u16),
        rtt: &mut RequestRtt,
        at: &mut Moment<'_>,
    ) -> bool {
        state.follow(bytes, ports, rtt, at);
        true
    }
}

impl Ike {
    /// Examines one datagram; true if it is IKE.
    pub fn follow(
        &mut self,
        datagram: &[u8],
        ports: (u16, u16),
        rtt: &mut RequestRtt,
        at: &mut Moment<'_>,
    ) -> bool {
        let Ok(header) = Header::parse(datagram, ports) else { return false };
        at.facts.protocol.get_or_insert(Protocol::Ike);
        self.follow_spi(header.spi_responder, at);
        if at.role == Peer::Responder && is_sealed_answer(&header) {
            at.facts.turns.get_or_insert_default().answered = true;
        }
        let print = print_of(datagram);
        if header.version == 1 {
            if ALTERNATING.contains(&header.exchange) {
                self.alternate(header.spi_initiator, print, rtt, at);
            }
        } else if header.response {
            respond(&header, print, rtt, at);
        } else {
            self.request(&header, print, rtt, at);
        }
        true
    }

    /// A header repeats the SPI that the other side chose (RFC 7296 section 3.1, RFC 2408 section
    /// 3.1): who forges the initiator's address did not see it.
    fn follow_spi(&mut self, spi: u64, at: &mut Moment<'_>) {
        match (self.spi, at.role) {
            (_, _) if spi == 0 => {}
            (Spi::Open, Peer::Responder) => self.spi = Spi::Chosen(spi),
            (Spi::Open, Peer::Initiator) => self.spi = Spi::Named,
            (Spi::Chosen(chosen), Peer::Initiator) if chosen == spi => at.proves(),
            _ => {}
        }
    }

    fn request(&mut self, header: &Header, print: u32, rtt: &mut RequestRtt, at: &mut Moment<'_>) {
        let other = if at.role == Peer::Initiator { Peer::Responder } else { Peer::Initiator };
        let go_on = key(header.spi_initiator, GO_ON);
        if header.exchange != SA_INIT {
            rtt.answer(go_on, THOUGHT, at);
        } else if self.begun == Some(print) {
            rtt.void(go_on, other);
        } else {
            // A cookie or another group was requested: the request is repeated with it, without
            // computing (RFC 7296 sections 2.6 and 1.2).
            rtt.answer(go_on, REFLEX, at);
            self.begun = Some(print);
        }
        rtt.ask(message_key(header), print, at);
    }

    /// Version 1: each message answers the other side's last one.
    fn alternate(&mut self, spi: u64, print: u32, rtt: &mut RequestRtt, at: &mut Moment<'_>) {
        if std::mem::replace(&mut self.alternating, spi) != spi {
            (self.rounds, self.last, self.before) = (0, None, None);
        }
        let key = |round: u8| key(spi, VERSION_1 | u64::from(round));
        match self.last {
            Some((role, _)) if role == at.role => rtt.ask(key(self.rounds), print, at),
            // The other side did not get the answer and repeats its message.
            Some((role, _)) if self.before == Some(print) => rtt.void(key(self.rounds), role),
            other => {
                rtt.answer(key(self.rounds), REFLEX, at);
                self.rounds = self.rounds.saturating_add(1);
                rtt.ask(key(self.rounds), print, at);
                self.before = other.map(|(_, print)| print);
                self.last = Some((at.role, print));
            }
        }
    }
}

/// Whether a responder answers IKE_AUTH with what it sealed: it does so only for whoever had its
/// answer to IKE_SA_INIT, be that at port 500 (RFC 7296 sections 1.2, 2.21 and 2.23).
const fn is_sealed_answer(header: &Header) -> bool {
    const ENCRYPTED: u8 = 46;
    const ENCRYPTED_FRAGMENT: u8 = 53;
    let sealed = matches!(header.payload, ENCRYPTED | ENCRYPTED_FRAGMENT);
    header.version == 2 && header.response && header.exchange == AUTH && sealed
}

/// The key of an exchange within an IKE SA, which the initiator's SPI identifies on one five-tuple:
/// a client that connects again often uses the same ports.
const fn key(spi: u64, exchange: u64) -> u64 {
    spi ^ exchange
}

/// A message id counts the requests of one side (RFC 7296 section 2.2).
const fn message_key(header: &Header) -> u64 {
    key(header.spi_initiator, (header.exchange as u64) << 32 | header.id as u64)
}

fn respond(header: &Header, print: u32, rtt: &mut RequestRtt, at: &mut Moment<'_>) {
    let reflex = matches!(header.exchange, SA_INIT | INFORMATIONAL);
    rtt.answer(message_key(header), if reflex { SINGLE } else { THOUGHT }, at);
    if header.exchange == SA_INIT {
        rtt.ask(key(header.spi_initiator, GO_ON), print, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Nanos;
    use crate::model::record::Facts;
    use Peer::{Initiator, Responder};

    fn message(version: u8, exchange: u8, flags: u8, id: u32, tail: u8) -> Vec<u8> {
        let mut out = vec![1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        out.extend([if version == 2 { 33 } else { 1 }, version << 4, exchange, flags]);
        out.extend(id.to_be_bytes());
        out.extend([0, 0, 0, 32, tail, 0, 0, 4]);
        out
    }

    fn tell(events: &[(Vec<u8>, Peer, u64)]) -> Facts {
        let (mut state, mut rtt) = (Ike::default(), RequestRtt::default());
        let mut facts = Facts::default();
        for (bytes, role, time) in events {
            let mut at = Moment { role: *role, time: Nanos(*time), facts: &mut facts };
            assert!(state.follow(bytes, (500, 500), &mut rtt, &mut at));
        }
        facts
    }

    #[test]
    fn requests_and_responses_give_both_legs() {
        let facts = tell(&[
            (message(2, SA_INIT, 0x08, 0, 1), Initiator, 100),
            (message(2, SA_INIT, 0x20, 0, 2), Responder, 150),
            (message(2, AUTH, 0x08, 1, 3), Initiator, 180),
            (message(2, AUTH, 0x20, 1, 4), Responder, 300),
            (message(2, INFORMATIONAL, 0x00, 0, 5), Responder, 400),
            (message(2, INFORMATIONAL, 0x28, 0, 6), Initiator, 410),
        ]);
        assert_eq!(facts.protocol, Some(Protocol::Ike));
        let turns = facts.turns.unwrap();
        assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(50));
        assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(10));
        assert_eq!(turns.lowest(Exchange::Ike, true), Some(30));
        assert_eq!(turns.lowest(Exchange::Ike, false), Some(120));
        assert_eq!(turns.gap_over_udp(Exchange::Ike), Some(20));
    }

    #[test]
    fn only_the_responders_spi_or_its_sealed_answer_proves_an_initiator() {
        let spis = |mut message: Vec<u8>, spi: u8| {
            message[15] = spi;
            message
        };
        let answered = |events: &[(Vec<u8>, Peer, u64)]| {
            tell(events).turns.is_some_and(|turns| turns.answered)
        };
        let begun = (message(2, SA_INIT, 0x08, 0, 1), Initiator, 100);
        let chosen = (spis(message(2, SA_INIT, 0x20, 0, 2), 9), Responder, 150);
        let next = |spi| (spis(message(2, AUTH, 0x08, 1, 3), spi), Initiator, 180);
        assert!(answered(&[begun.clone(), chosen.clone(), next(9)]));
        assert!(!answered(&[begun.clone(), chosen.clone(), next(8)]), "guessed");
        assert!(!answered(&[begun, chosen.clone()]));
        // Named before it was chosen: a responder may have repeated it.
        assert!(!answered(&[next(9), chosen, next(9)]));
        let mut sealed = spis(message(2, AUTH, 0x20, 1, 4), 9);
        sealed[16] = 46;
        assert!(answered(&[next(9), (sealed, Responder, 200)]), "from port 500");
    }

    #[test]
    fn a_request_sent_again_gives_nothing() {
        let facts = tell(&[
            (message(2, SA_INIT, 0x08, 0, 1), Initiator, 100),
            (message(2, SA_INIT, 0x08, 0, 1), Initiator, 120),
            (message(2, SA_INIT, 0x20, 0, 2), Responder, 150),
        ]);
        assert_eq!(facts.turns.unwrap().far, None);
    }

    #[test]
    fn a_cookie_is_echoed_by_reflex() {
        let facts = tell(&[
            (message(2, SA_INIT, 0x08, 0, 1), Initiator, 100),
            (message(2, SA_INIT, 0x20, 0, 2), Responder, 150),
            (message(2, SA_INIT, 0x08, 0, 3), Initiator, 158),
        ]);
        let turns = facts.turns.unwrap();
        assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(8));
    }

    #[test]
    fn a_first_request_sent_again_answers_nothing() {
        let first = message(2, SA_INIT, 0x08, 0, 1);
        let facts = tell(&[
            (first.clone(), Initiator, 100),
            (message(2, SA_INIT, 0x20, 0, 2), Responder, 150),
            (first, Initiator, 158),
            (message(2, AUTH, 0x08, 1, 3), Initiator, 180),
        ]);
        let turns = facts.turns.unwrap();
        assert_eq!((turns.near, turns.turns), (None, Vec::new()));
    }

    /// With a cookie the initiator repeats its request and its SPI (RFC 7296 section 2.6).
    #[test]
    fn another_ike_sa_on_the_same_ports_answers_nothing_of_the_first() {
        let of = |spi: u8, mut message: Vec<u8>| {
            message[..8].fill(spi);
            message
        };
        let facts = tell(&[
            (of(1, message(2, SA_INIT, 0x08, 0, 1)), Initiator, 100),
            (of(1, message(2, SA_INIT, 0x20, 0, 2)), Responder, 150),
            (of(2, message(2, SA_INIT, 0x08, 0, 3)), Initiator, 10_000),
            (of(2, message(2, SA_INIT, 0x20, 0, 4)), Responder, 10_040),
            (of(2, message(2, AUTH, 0x08, 1, 5)), Initiator, 10_070),
        ]);
        let turns = facts.turns.unwrap();
        assert_eq!(turns.near, None, "no reflex was seen");
        assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(40), "of both");
        assert_eq!(turns.lowest(Exchange::Ike, true), Some(30));
        let again = tell(&[
            (of(1, message(1, 2, 0, 0, 1)), Initiator, 100),
            (of(1, message(1, 2, 0, 0, 2)), Responder, 150),
            (of(2, message(1, 2, 0, 0, 3)), Initiator, 10_000),
            (of(2, message(1, 2, 0, 0, 4)), Responder, 10_040),
        ]);
        let turns = again.turns.unwrap();
        assert_eq!((turns.near, turns.far.map(|t| t.round_trip_ns)), (None, Some(40)));
    }

    #[test]
    fn the_sides_of_version_1_alternate() {
        let first = message(1, 2, 0, 0, 1);
        let facts = tell(&[
            (first.clone(), Initiator, 100),
            (message(1, 2, 0, 0, 2), Responder, 150),
            (message(1, 2, 0, 0, 3), Initiator, 160),
        ]);
        let turns = facts.turns.unwrap();
        assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(50));
        assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(10));
        let again = tell(&[
            (first.clone(), Initiator, 100),
            (message(1, 2, 0, 0, 2), Responder, 150),
            (first, Initiator, 155),
            (message(1, 2, 0, 0, 3), Initiator, 160),
        ]);
        assert_eq!(again.turns.unwrap().near, None);
    }
}
