use super::*;
use crate::evidence::Observers;
use crate::model::latency::Exchange;
use crate::model::protocol::Protocol;
use crate::model::{Counters, Interest, Nanos, Peer, Transport};
use Peer::{Initiator, Responder};

const MS: u64 = 1_000_000;

/// Delivers datagrams; times in milliseconds.
fn run(ports: (u16, u16), datagrams: &[(Peer, u64, Vec<u8>)]) -> (Observers, Interest) {
    let (mut observers, mut counters) = (Observers::default(), Counters::default());
    for (role, time, payload) in datagrams {
        let segment = Segment {
            payload,
            from: *role,
            transport: Transport::UDP,
            ports: (ports.0, ports.1),
            gap: false,
            time: Nanos(time * MS),
            opened: None,
            troubles: 0,
            numbers: (0, 0),
        };
        observers.observe(&segment, &mut counters);
    }
    let interest = observers.interest();
    (observers, interest)
}

fn protocol(observers: &Observers) -> Option<Protocol> {
    observers.facts().and_then(|facts| facts.protocol)
}

fn stun(kind: u16, transaction: u8) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &[0, 0, 0x21, 0x12, 0xa4, 0x42], &[transaction; 12]].concat()
}

/// A DTLS record with a whole handshake message that no observer parses further.
fn dtls(kind: u8, sequence: u8) -> Vec<u8> {
    let mut out = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16];
    out.extend([kind, 0, 0, 4, 0, sequence, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
    out
}

fn wireguard(kind: u8, indices: [u8; 2], size: usize) -> Vec<u8> {
    let mut out = vec![kind, 0, 0, 0, indices[0], 0, 0, 0, indices[1], 0, 0, 0];
    out.resize(size, 0);
    out
}

#[test]
fn dtls_after_many_stun_messages_is_found() {
    let mut datagrams: Vec<_> = (0..20).map(|n| (Initiator, u64::from(n), stun(1, n))).collect();
    datagrams.push((Responder, 30, stun(0x0101, 19)));
    let (observers, _) = run((50_000, 3_478), &datagrams);
    assert_eq!(protocol(&observers), Some(Protocol::Stun));
    datagrams.push((Responder, 40, dtls(3, 0)));
    let (observers, _) = run((50_000, 3_478), &datagrams);
    assert_eq!(protocol(&observers), Some(Protocol::Dtls));
    let turn = observers.facts().unwrap().over_udp(false).unwrap();
    assert_eq!((turn.exchange, turn.round_trip_ns), (Exchange::Ping, 11 * MS));
}

#[test]
fn an_spi_may_begin_like_quic() {
    let mut message = vec![0xe4; 8];
    message.extend([0; 8]);
    message.extend([33, 0x20, 34, 8, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 4]);
    let (observers, _) = run((500, 500), &[(Initiator, 0, message.clone())]);
    assert_eq!(protocol(&observers), Some(Protocol::Ike));
    let (observers, _) = run((50_000, 443), &[(Initiator, 0, message)]);
    assert_eq!(protocol(&observers), None);
}

#[test]
fn wireguard_is_recognised_on_the_port_of_dns() {
    let datagrams = [
        (Initiator, 0, wireguard(1, [5, 0], 148)),
        (Responder, 20, wireguard(2, [6, 5], 92)),
        (Initiator, 21, wireguard(4, [6, 0], 32)),
    ];
    let (observers, interest) = run((50_000, 53), &datagrams);
    assert_eq!(protocol(&observers), Some(Protocol::Wireguard));
    assert_eq!(interest, Interest::Done, "nothing more is to be timed");
}

#[test]
fn unknown_datagrams_are_given_up_as_early_as_before() {
    let datagrams: Vec<_> = (0..8)
        .map(|n| (if n % 2 == 0 { Initiator } else { Responder }, n, vec![0x90, 3, 0, 1, 2]))
        .collect();
    let (observers, interest) = run((50_000, 9_000), &datagrams);
    assert_eq!((protocol(&observers), interest), (None, Interest::Done));
    assert!(observers.facts().is_none());
}

#[test]
fn a_session_of_stun_only_is_given_up_in_the_end() {
    let datagrams: Vec<_> = (0..200u8)
        .map(|n| (if n % 2 == 0 { Initiator } else { Responder }, u64::from(n), stun(1, n)))
        .collect();
    let (_, interest) = run((50_000, 3_478), &datagrams);
    assert_eq!(interest, Interest::Done);
}

#[test]
fn a_question_and_its_answer_are_the_far_leg_of_dns() {
    let question = |id: u8, flags: u8| {
        let mut out = vec![0, id, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        out.extend(*b"\x01a\x07example\0\0\x01\0\x01");
        out
    };
    let asked = [(Initiator, 0, question(1, 1)), (Responder, 7, question(1, 0x81))];
    let (observers, _) = run((50_000, 53), &asked);
    let turn = observers.facts().unwrap().over_udp(false).unwrap();
    assert_eq!((turn.exchange, turn.round_trip_ns), (Exchange::Dns, 7 * MS));
    let again = [&asked[..1], &asked].concat();
    let (observers, _) = run((50_000, 53), &again);
    assert_eq!(observers.facts().unwrap().over_udp(false), None);
}
