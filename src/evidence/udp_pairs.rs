//! Protocols over UDP that only two datagrams together identify.
//!
//! Owns: the trace of the first of them. In: datagrams that nothing else recognises. Out: the
//! protocol.
//! Never: keeps more than 80 bytes, or a datagram.

use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe};
use crate::model::protocol::Protocol;
use crate::model::{Heap, Peer};
use crate::wire::Reader;
use crate::wire::openvpn_scramble::{self, First};

/// ESP in UDP (RFC 3948 section 2.1).
const PORT_NAT: u16 = 4_500;
/// ZeroTier's own port: others may be configured, there a HELLO tells it.
const PORT_ZEROTIER: u16 = 9_993;
/// SPIs up to this are reserved (RFC 4303 section 2.1).
const SPI_RESERVED: u32 = 255;
/// Sequence numbers of ESP that may be missing between two packets.
const ESP_HOLE_MAX: u32 = 1_024;
/// SPI, sequence number, and the least that is encrypted and checked: an integrity value of 96
/// bits and a padded trailer.
const ESP_BYTES_MIN: usize = 8 + 4 + 12;

/// Longest datagram that only keeps an address translation alive.
const KEEP_ALIVE_MAX: usize = 4;

/// The trace of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trace {
    /// ESP: SPI and sequence number.
    Esp(u32, u32),
    /// ZeroTier: destination and source.
    Ends([u8; 5], [u8; 5]),
    /// A scrambled OpenVPN reset.
    Scrambled(First),
}

/// The traces of a session: one of each side.
#[derive(Debug, Default)]
pub struct UdpPairs {
    initiator: Option<Trace>,
    responder: Option<Trace>,
}

/// Whether a session's ports are those of a protocol that needs pairs.
fn has_port(ports: (u16, u16)) -> bool {
    let on = |port| ports.0 == port || ports.1 == port;
    on(PORT_NAT) || on(PORT_ZEROTIER)
}

/// Whether a datagram on any port may be one of a pair, by its size.
fn has_size(bytes: &[u8]) -> bool {
    openvpn_scramble::may_be(bytes.len())
}

impl Heap for UdpPairs {
    fn heap(&self) -> usize {
        0
    }
}

impl Parser for UdpPairs {
    type State = UdpPairs;

    /// What does not parse is none of them.
    const PROTOCOL: Option<Protocol> = None;

    /// On their ports: an SPI may begin with any byte.
    fn claims(_bytes: &[u8], look: &Look<'_, UdpPairs>) -> bool {
        has_port(look.ports)
    }

    fn probe(bytes: &[u8], look: &Look<'_, UdpPairs>) -> Probe {
        let waits = look.state.is_some_and(UdpPairs::is_open);
        Probe::of(Some(!has_port(look.ports) && (waits || has_size(bytes))))
    }

    fn feed(state: &mut UdpPairs, bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        let Some(told) = state.observe(bytes, context.from, context.ports) else {
            return ParseResult::NotMine;
        };
        context.facts().protocol.get_or_insert(told);
        ParseResult::Done
    }

    fn is_live(state: &UdpPairs) -> bool {
        state.is_open()
    }
}

impl UdpPairs {
    /// Whether a trace waits for its counterpart.
    const fn is_open(&self) -> bool {
        self.initiator.is_some() || self.responder.is_some()
    }

    /// Examines one datagram: returns the protocol if it matches an earlier trace.
    fn observe(&mut self, bytes: &[u8], role: Peer, ports: (u16, u16)) -> Option<Protocol> {
        let told = [(Peer::Initiator, self.initiator), (Peer::Responder, self.responder)]
            .into_iter()
            .find_map(|(from, left)| fits((from, left?), bytes, role));
        if told.is_some() {
            (self.initiator, self.responder) = (None, None);
            return told;
        }
        let own = match role {
            Peer::Initiator => &mut self.initiator,
            Peer::Responder => &mut self.responder,
        };
        // A keep-alive may come between packets (RFC 3948 section 2.3), and a retransmitted first
        // packet is the same one: the counterpart is still to come.
        *own = trace(bytes, ports).or(own.filter(|_| {
            bytes.len() <= KEEP_ALIVE_MAX || { matches!(own, Some(Trace::Scrambled(_))) }
        }));
        None
    }
}

/// Whether a datagram matches a trace.
fn fits((from, left): (Peer, Trace), bytes: &[u8], role: Peer) -> Option<Protocol> {
    match left {
        Trace::Esp(spi, sequence) => {
            let (next_spi, next) = esp(bytes)?;
            let step = next.wrapping_sub(sequence);
            let goes_on = from == role && next_spi == spi && (1..=ESP_HOLE_MAX).contains(&step);
            goes_on.then_some(Protocol::Esp)
        }
        Trace::Ends(destination, source) => {
            let back = ends(bytes)? == (source, destination);
            (back && from != role).then_some(Protocol::Zerotier)
        }
        Trace::Scrambled(first) => {
            (from != role && first.is_answered_by(bytes)).then_some(Protocol::Openvpn)
        }
    }
}

fn trace(bytes: &[u8], ports: (u16, u16)) -> Option<Trace> {
    let on = |port| ports.0 == port || ports.1 == port;
    if on(PORT_NAT) {
        return esp(bytes).map(|(spi, sequence)| Trace::Esp(spi, sequence));
    }
    if on(PORT_ZEROTIER) {
        return ends(bytes).map(|(destination, source)| Trace::Ends(destination, source));
    }
    First::parse(bytes).ok().map(Trace::Scrambled)
}

fn esp(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut r = Reader::new(bytes);
    let (spi, sequence) = (r.u32().ok()?, r.u32().ok()?);
    (spi > SPI_RESERVED && sequence > 0 && bytes.len() >= ESP_BYTES_MIN).then_some((spi, sequence))
}

/// Destination and source of a VL1 packet: reserved addresses start with 0xff, and no node is 0.
fn ends(bytes: &[u8]) -> Option<([u8; 5], [u8; 5])> {
    const HEADER_BYTES: usize = 28;
    let mut r = Reader::new(bytes);
    r.skip(8).ok()?;
    let (destination, source) = (r.array().ok()?, r.array().ok()?);
    let is_node = |address: &[u8; 5]| !matches!(address, [0 | 0xff, ..]);
    let differ = destination != source && bytes.len() >= HEADER_BYTES;
    (differ && is_node(&destination) && is_node(&source)).then_some((destination, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Peer::{Initiator, Responder};

    const NAT: (u16, u16) = (50_000, 4_500);
    const ZEROTIER: (u16, u16) = (9_993, 9_993);

    fn tell(ports: (u16, u16), datagrams: &[(Peer, Vec<u8>)]) -> Option<Protocol> {
        let mut pair = UdpPairs::default();
        datagrams.iter().find_map(|(role, bytes)| pair.observe(bytes, *role, ports))
    }

    #[test]
    fn esp_counts_up_under_one_spi() {
        let esp = |spi: u32, sequence: u32| {
            [&spi.to_be_bytes()[..], &sequence.to_be_bytes(), &[9; 40]].concat()
        };
        let go = |second: (Peer, Vec<u8>)| tell(NAT, &[(Initiator, esp(0xc0de, 5)), second]);
        assert_eq!(go((Initiator, esp(0xc0de, 6))), Some(Protocol::Esp));
        assert_eq!(go((Initiator, esp(0xc0de, 5))), None);
        assert_eq!(go((Initiator, esp(0xc0df, 6))), None);
        assert_eq!(go((Responder, esp(0xc0de, 6))), None);
        let both = [
            (Initiator, esp(0xc0de, 5)),
            (Responder, esp(0xbeef, 9)),
            (Initiator, vec![0xff]),
            (Initiator, esp(0xc0de, 6)),
        ];
        assert_eq!(tell(NAT, &both), Some(Protocol::Esp), "each side has its own SPI");
        let marked = (Initiator, [&[0; 4][..], &[9; 40]].concat());
        assert_eq!(go(marked), None, "IKE");
        assert_eq!(
            tell((50_000, 9), &[(Initiator, esp(1_000, 5)), (Initiator, esp(1_000, 6))]),
            None
        );
    }

    #[test]
    fn zerotier_turns_its_addresses_round() {
        let packet = |to: u8, from: u8| [&[7; 8][..], &[to; 5], &[from; 5], &[9; 20]].concat();
        let there = (Initiator, packet(1, 2));
        assert_eq!(
            tell(ZEROTIER, &[there.clone(), (Responder, packet(2, 1))]),
            Some(Protocol::Zerotier)
        );
        assert_eq!(tell(ZEROTIER, &[there.clone(), (Responder, packet(1, 2))]), None);
        assert_eq!(tell(ZEROTIER, &[there, (Initiator, packet(2, 1))]), None);
    }

    #[test]
    fn scrambled_resets_belong_together_in_spite_of_a_keep_alive() {
        let scramble = |bytes: &[u8]| bytes.iter().map(|b| b ^ 0x5c).collect::<Vec<u8>>();
        let client = scramble(&[&[0x38][..], &[3; 8], &[0; 5]].concat());
        let server = [&[0x40][..], &[4; 8], &[1, 0, 0, 0, 0], &[3; 8], &[0; 4]].concat();
        let answer = (Responder, scramble(&server));
        let ports = (50_000, 1_214);
        let first = (Initiator, client.clone());
        assert_eq!(tell(ports, &[first.clone(), answer.clone()]), Some(Protocol::Openvpn));
        let between = (Responder, vec![1, 2, 3]);
        assert_eq!(tell(ports, &[first, between, answer.clone()]), Some(Protocol::Openvpn));
        assert_eq!(tell(ports, &[(Responder, client), answer]), None);
    }
}
