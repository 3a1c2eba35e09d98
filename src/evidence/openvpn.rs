//! OpenVPN: both hard resets, the acknowledgements that follow, and the TLS of its control channel.
//!
//! Owns: the client's session id and its packet protection. In: packets of both sides. Out: the
//! protocol, once both sides agree, hellos in clear, and round trips. Never: decides from one side
//! alone: its opcodes are five bits.

use crate::evidence::control_tls::ControlTls;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::parser::{Look, ParseContext, Parser, Probe, Timing};
use crate::evidence::request_response_rtt::{Kind, Moment, RequestRtt};
use crate::model::latency::Exchange;
use crate::model::record::{Facts, Protocol};
use crate::model::{Heap, Peer};
use crate::wire::Reader;
use crate::wire::openvpn::{self, ACK, CONTROL, RESET_CLIENT, RESET_SERVER, Seal};

/// Every control packet is acknowledged at once, or in the next packet in that direction.
const REFLEX: (Kind, Exchange) = (Kind::Reflex, Exchange::Openvpn);
/// After the server's reset the client's TLS starts.
const THOUGHT: (Kind, Exchange) = (Kind::Thought, Exchange::Openvpn);
/// Key of that; packet ids have 32 bits.
const TLS_BEGINS: u64 = 1 << 32;

/// Sizes of a reset over TCP, including its wrapped key.
const STREAM_PACKET: std::ops::RangeInclusive<u16> = 14..=STREAM_PACKET_MAX as u16;
/// Bytes of a stream that may have to wait for the rest of a reset.
const STREAM_PACKET_MAX: usize = 1_400;

/// Whether a stream may start with a reset behind its length; `None` if too short to decide.
const fn stream_sign(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [0..=5, _, 0x38 | 0x40 | 0x50, ..] => Some(true),
        [0..=5] | [0..=5, _] => None,
        _ => Some(false),
    }
}

/// Datagrams of a direction looked at: as many as are timed of both.
const DATAGRAMS_MAX: u8 = 96;

/// The state of a session's OpenVPN.
#[derive(Debug, Default)]
pub struct Openvpn {
    client: Option<(Peer, Seal, u64)>,
    told: bool,
    /// The responder's session id: who forges the initiator's address does not see it.
    responder: Option<u64>,
    /// The TLS streams of the client's and the server's control packets.
    tls: [Option<Box<ControlTls>>; 2],
}

impl Heap for Openvpn {
    fn heap(&self) -> usize {
        self.tls.iter().map(Heap::heap).sum()
    }
}

/// OpenVPN over TCP: a length stands before each packet.
#[derive(Debug, Default)]
pub struct OpenvpnStream;

impl Parser for OpenvpnStream {
    type State = Openvpn;

    const PROTOCOL: Option<Protocol> = Some(Protocol::Openvpn);
    const HELD_MAX: usize = 2 + STREAM_PACKET_MAX;

    fn probe(bytes: &[u8], _look: &Look<'_, Openvpn>) -> Probe {
        Probe::of(stream_sign(bytes))
    }

    fn feed(state: &mut Openvpn, bytes: &[u8], context: &mut ParseContext<'_>) -> ParseResult {
        state.observe_stream(bytes, context.from, context.facts())
    }

    fn is_live(state: &Openvpn) -> bool {
        state.has_begun()
    }
}

impl Parser for Openvpn {
    type State = Openvpn;

    const PROTOCOL: Option<Protocol> = Some(Protocol::Openvpn);
    const DATAGRAMS_MAX: u8 = DATAGRAMS_MAX;
    const TIMING: Timing = Timing::Tells;

    fn probe(bytes: &[u8], look: &Look<'_, Openvpn>) -> Probe {
        if !matches!(bytes, [0x38 | 0x40 | 0x50, ..]) {
            return Probe::No;
        }
        Probe::of(Some(match look.state {
            Some(known) => known.may_be(bytes, look.from),
            None => Openvpn::default().may_be(bytes, look.from),
        }))
    }

    fn feed(_: &mut Openvpn, bytes: &[u8], _: &mut ParseContext<'_>) -> ParseResult {
        ParseResult::Used(bytes.len())
    }

    fn time(
        state: &mut Openvpn,
        bytes: &[u8],
        _ports: (u16, u16),
        rtt: &mut RequestRtt,
        at: &mut Moment<'_>,
    ) -> bool {
        state.follow(bytes, rtt, at)
    }
}

impl Openvpn {
    /// Whether a client's reset was seen.
    pub const fn has_begun(&self) -> bool {
        self.client.is_some()
    }

    /// Whether a packet may start OpenVPN, or answer such a start.
    pub fn may_be(&self, packet: &[u8], role: Peer) -> bool {
        match packet.first() {
            Some(0x38 | 0x50) => openvpn::client_reset(packet).is_some(),
            Some(0x40) => self.is_answer(packet, role),
            _ => false,
        }
    }

    fn is_answer(&self, packet: &[u8], role: Peer) -> bool {
        self.client.is_some_and(|(client, seal, session)| {
            client != role && openvpn::is_server_reset(packet, seal, session)
        })
    }

    /// Records who starts, or that the other side answers accordingly.
    fn tell(&mut self, packet: &[u8], role: Peer, facts: &mut Facts) {
        if self.told {
            return;
        }
        if self.is_answer(packet, role) {
            self.told = true;
            facts.protocol.get_or_insert(Protocol::Openvpn);
        } else if let Some((seal, session)) = openvpn::client_reset(packet) {
            self.client = Some((role, seal, session));
        }
    }

    /// Examines the start of a stream, in which each packet has a length prefix.
    pub fn observe_stream(&mut self, bytes: &[u8], role: Peer, facts: &mut Facts) -> ParseResult {
        let mut r = Reader::new(bytes);
        let Ok(length) = r.u16() else { return ParseResult::NeedMore(1) };
        if self.client.is_some_and(|(client, ..)| client == role || self.told) {
            return self.go_on(bytes, role, facts);
        }
        let answers = r.rest().first() == Some(&0x40);
        if !STREAM_PACKET.contains(&length) || (answers && self.client.is_none()) {
            return ParseResult::NotMine;
        }
        let length = usize::from(length);
        let missing = length.saturating_sub(r.left());
        let Ok(packet) = r.take(length) else { return ParseResult::NeedMore(missing) };
        if !self.may_be(packet, role) {
            return ParseResult::NotMine;
        }
        self.tell(packet, role, facts);
        ParseResult::Used(2 + length)
    }

    /// Examines a packet of a stream after that side's reset: further control packets, until its
    /// TLS is complete, or data.
    fn go_on(&mut self, bytes: &[u8], role: Peer, facts: &mut Facts) -> ParseResult {
        let mut r = Reader::new(bytes);
        let Ok(length) = r.u16() else { return ParseResult::NeedMore(1) };
        let length = usize::from(length);
        let missing = length.saturating_sub(r.left());
        match r.rest().first().map(|first| openvpn::opcode(*first).0) {
            None => return ParseResult::NeedMore(1),
            Some(ACK | CONTROL | RESET_CLIENT | RESET_SERVER) if length <= STREAM_PACKET_MAX => {}
            Some(_) => return ParseResult::Done,
        }
        let Ok(packet) = r.take(length) else { return ParseResult::NeedMore(missing) };
        if let Some((_, seal, _)) = self.client
            && let Ok(control) = openvpn::control(packet, seal)
        {
            self.take_tls(&control, role, facts);
            if self.is_tls_over(role) {
                return ParseResult::Done;
            }
            return ParseResult::Used(2 + length);
        }
        ParseResult::Done
    }

    /// Passes the payload of a control packet to TLS.
    fn take_tls(&mut self, control: &openvpn::Control<'_>, role: Peer, facts: &mut Facts) {
        let (CONTROL, Some(id), true) = (control.opcode, control.id, self.told) else { return };
        let [client, server] = &mut self.tls;
        let side =
            if self.client.is_some_and(|(client, ..)| client == role) { client } else { server };
        side.get_or_insert_default().take(id, control.payload, role, facts);
    }

    fn is_tls_over(&self, role: Peer) -> bool {
        let [client, server] = &self.tls;
        let side =
            if self.client.is_some_and(|(client, ..)| client == role) { client } else { server };
        side.as_ref().is_some_and(|tls| tls.is_over())
    }

    /// Examines one datagram; false once nothing more can be timed.
    pub fn follow(&mut self, packet: &[u8], rtt: &mut RequestRtt, at: &mut Moment<'_>) -> bool {
        self.tell(packet, at.role, at.facts);
        let Some((client, seal, _)) = self.client else { return true };
        if seal == Seal::Crypt {
            return follow_encrypted(packet, at.role == client, rtt, at);
        }
        let Ok(control) = openvpn::control(packet, seal) else { return true };
        match at.role {
            Peer::Responder => self.responder = self.responder.or(Some(control.session)),
            Peer::Initiator if self.responder.is_some() && self.responder == control.remote => {
                at.proves();
            }
            Peer::Initiator => {}
        }
        if self.told {
            for ack in control.acks() {
                rtt.answer(u64::from(ack), REFLEX, at);
            }
        }
        self.take_tls(&control, at.role, at.facts);
        if let Some(id) = control.id {
            rtt.ask(u64::from(id), 0, at);
        }
        if control.opcode == RESET_SERVER && at.role != client {
            rtt.ask(TLS_BEGINS, 0, at);
        }
        let begins = control.opcode == CONTROL && !control.payload.is_empty();
        if begins && at.role == client {
            rtt.answer(TLS_BEGINS, THOUGHT, at);
        }
        true
    }
}

/// Without ids only the order of the first three packets shows what answers what.
fn follow_encrypted(
    packet: &[u8],
    client: bool,
    rtt: &mut RequestRtt,
    at: &mut Moment<'_>,
) -> bool {
    let opcode = packet.first().map_or(0, |first| openvpn::opcode(*first).0);
    match (client, opcode) {
        (true, openvpn::RESET_CLIENT | openvpn::RESET_CLIENT_3) => rtt.ask(0, 0, at),
        (false, RESET_SERVER) => {
            rtt.answer(0, REFLEX, at);
            rtt.ask(0, 0, at);
        }
        (true, ACK | CONTROL) => {
            let answers = rtt.answer(0, REFLEX, at);
            if answers {
                // The server answered: the client knows its key.
                at.proves();
            }
            return !answers;
        }
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Nanos;
    use Peer::{Initiator, Responder};

    /// A ClientHello without extensions (RFC 5246 section 7.4.1.2) in its record.
    const HELLO: &[u8] = b"\x16\x03\x01\0\x2d\x01\0\0\x29\x03\x0312345678901234567890123456789012\
        \0\0\x02\0\x2f\x01\0";
    const CLIENT: u64 = 0x0102;
    const SERVER: u64 = 0x0304;

    fn packet(opcode: u8, acks: &[u32], id: Option<u32>, payload: &[u8]) -> Vec<u8> {
        let server = opcode == RESET_SERVER;
        let (session, remote) = if server { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
        let mut out = vec![opcode << 3];
        out.extend(session.to_be_bytes());
        out.push(acks.len() as u8);
        out.extend(acks.iter().flat_map(|ack| ack.to_be_bytes()));
        if !acks.is_empty() {
            out.extend(remote.to_be_bytes());
        }
        out.extend(id.iter().flat_map(|id| id.to_be_bytes()));
        out.extend(payload);
        out
    }

    fn tell(events: &[(Vec<u8>, Peer, u64)]) -> Facts {
        let (mut state, mut rtt) = (Openvpn::default(), RequestRtt::default());
        let mut facts = Facts::default();
        for (bytes, role, time) in events {
            let mut at = Moment { role: *role, time: Nanos(*time), facts: &mut facts };
            state.follow(bytes, &mut rtt, &mut at);
        }
        facts
    }

    #[test]
    fn resets_and_acknowledgements_give_both_legs() {
        let facts = tell(&[
            (packet(7, &[], Some(0), &[]), Initiator, 100),
            (packet(8, &[0], Some(0), &[]), Responder, 160),
            (packet(5, &[0], None, &[]), Initiator, 164),
            (packet(4, &[], Some(1), &[22, 3, 1]), Initiator, 190),
        ]);
        assert_eq!(facts.protocol, Some(Protocol::Openvpn));
        let turns = facts.turns.unwrap();
        assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(60));
        assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(4));
        assert_eq!(turns.gap_over_udp(Exchange::Openvpn), Some(26));
    }

    #[test]
    fn only_the_servers_session_id_proves_a_client() {
        let answered = |last: Vec<u8>| {
            let facts = tell(&[
                (packet(7, &[], Some(0), &[]), Initiator, 100),
                (packet(8, &[0], Some(0), &[]), Responder, 160),
                (last, Initiator, 164),
            ]);
            facts.turns.unwrap().answered
        };
        let mut ack = packet(5, &[0], None, &[]);
        assert!(answered(ack.clone()));
        *ack.last_mut().unwrap() ^= 1;
        assert!(!answered(ack), "another session");
        assert!(!answered(packet(4, &[], Some(1), HELLO)), "acknowledges nothing");
    }

    #[test]
    fn a_hello_in_the_control_channel_is_read() {
        let facts = tell(&[
            (packet(7, &[], Some(0), &[]), Initiator, 100),
            (packet(8, &[0], Some(0), &[]), Responder, 160),
            (packet(4, &[0], Some(1), &HELLO[..30]), Initiator, 190),
            (packet(4, &[0], Some(1), &HELLO[..30]), Initiator, 195),
            (packet(4, &[], Some(2), &HELLO[30..]), Initiator, 200),
        ]);
        assert_eq!(facts.protocol, Some(Protocol::Openvpn), "TLS is inside it");
        assert!(facts.tls.is_some_and(|tls| tls.ja3.is_some()));
    }

    #[test]
    fn a_stream_has_lengths() {
        let framed = |packet: &[u8]| [&(packet.len() as u16).to_be_bytes(), packet].concat();
        let (mut state, mut facts) = (Openvpn::default(), Facts::default());
        let answer = framed(&packet(8, &[0], Some(0), &[]));
        assert_eq!(stream_sign(&answer), Some(true));
        assert_eq!(state.observe_stream(&answer, Responder, &mut facts), ParseResult::NotMine);
        let reset = framed(&packet(7, &[], Some(0), &[]));
        let cut = state.observe_stream(&reset[..9], Initiator, &mut facts);
        assert_eq!(cut, ParseResult::NeedMore(reset.len() - 9));
        let whole = state.observe_stream(&reset, Initiator, &mut facts);
        assert_eq!(whole, ParseResult::Used(reset.len()));
        assert_eq!(facts.protocol, None);
        let told = state.observe_stream(&answer, Responder, &mut facts);
        assert_eq!(told, ParseResult::Used(answer.len()));
        assert_eq!(facts.protocol, Some(Protocol::Openvpn));
        // The client's hello, in two control packets with an acknowledgement between them.
        let (a, b) = HELLO.split_at(20);
        let stream = [
            framed(&packet(4, &[0], Some(1), a)),
            framed(&packet(5, &[0], None, &[])),
            framed(&packet(4, &[], Some(2), b)),
        ];
        for sent in &stream {
            let step = state.observe_stream(sent, Initiator, &mut facts);
            assert_eq!(
                step,
                if sent == &stream[2] { ParseResult::Done } else { ParseResult::Used(sent.len()) }
            );
        }
        assert!(facts.tls.is_some_and(|tls| tls.ja3.is_some()));
        let data = framed(&[6 << 3, 1, 2, 3]);
        assert_eq!(
            state.observe_stream(&data, Responder, &mut Facts::default()),
            ParseResult::Done
        );
        assert_eq!(stream_sign(b"GET"), Some(false));
        assert_eq!(stream_sign(&[0, 14]), None);
    }

    #[test]
    fn one_side_alone_is_not_recognised() {
        let reset = (packet(7, &[], Some(0), &[]), Initiator, 100);
        assert_eq!(tell(std::slice::from_ref(&reset)).protocol, None);
        let mut other = packet(8, &[0], Some(0), &[]);
        other[20] ^= 1;
        assert_eq!(tell(&[reset, (other, Responder, 160)]).protocol, None);
    }

    #[test]
    fn a_reset_sent_again_gives_no_far_leg() {
        let facts = tell(&[
            (packet(7, &[], Some(0), &[]), Initiator, 100),
            (packet(7, &[], Some(0), &[]), Initiator, 150),
            (packet(8, &[0], Some(0), &[]), Responder, 160),
        ]);
        assert_eq!(facts.turns.unwrap().far, None);
    }

    #[test]
    fn encrypted_control_packets_count_by_their_order() {
        let crypt = |opcode: u8, more: usize| {
            let mut out = vec![opcode << 3, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0x66, 0, 0, 0];
            out.resize(54 + more, 9);
            out
        };
        let facts = tell(&[
            (crypt(7, 0), Initiator, 100),
            (crypt(8, 12), Responder, 140),
            (crypt(4, 200), Initiator, 149),
        ]);
        assert_eq!(facts.protocol, Some(Protocol::Openvpn));
        let turns = facts.turns.unwrap();
        assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(40));
        assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(9));
    }
}
