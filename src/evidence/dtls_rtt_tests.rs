use super::*;
use crate::model::Nanos;
use crate::model::record::Facts;
use Peer::{Initiator, Responder};

/// A record with one whole handshake message.
fn message(kind: u8, sequence: u8) -> Vec<u8> {
    let mut out = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16];
    out.extend([kind, 0, 0, 4, 0, sequence, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
    out
}

fn change() -> Vec<u8> {
    vec![CHANGE_CIPHER_SPEC, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1]
}

fn tell(events: &[(Vec<u8>, Peer, u64)]) -> (Facts, bool) {
    let (mut state, mut rtt) = (DtlsRtt::default(), RequestRtt::default());
    let (mut facts, mut more) = (Facts::default(), true);
    for (bytes, role, time) in events {
        let mut at = Moment { role: *role, time: Nanos(*time), facts: &mut facts };
        more = state.follow(bytes, &mut rtt, &mut at);
    }
    (facts, more)
}

fn handshake() -> Vec<(Vec<u8>, Peer, u64)> {
    vec![
        (message(1, 0), Initiator, 100),
        (message(3, 0), Responder, 140),
        (message(1, 1), Initiator, 150),
        ([message(2, 1), message(11, 2)].concat(), Responder, 200),
        (message(14, 3), Responder, 201),
        ([message(16, 2), change()].concat(), Initiator, 231),
    ]
}

#[test]
fn a_cookie_gives_both_legs_and_the_flights_a_turn() {
    let (facts, more) = tell(&handshake());
    assert!(!more);
    let turns = facts.turns.unwrap();
    assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(40));
    assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(10));
    assert_eq!(turns.lowest(Exchange::Dtls, true), Some(30));
    assert_eq!(turns.lowest(Exchange::Dtls, false), Some(50));
    assert_eq!(turns.gap_over_udp(Exchange::Dtls), Some(20));
    assert_eq!(turns.excluded, Exclusions::default());
}

#[test]
fn a_hello_sent_again_gives_no_leg() {
    let mut events = handshake();
    events.insert(1, (message(1, 0), Initiator, 130));
    events.insert(3, (message(3, 0), Responder, 142));
    let turns = tell(&events).0.turns.unwrap();
    assert_eq!((turns.far, turns.near), (None, None));
    assert!(turns.excluded.has(Exclusions::LOSS));
    assert_eq!(turns.lowest(Exchange::Dtls, true), Some(30), "the flight was not sent again");
}

#[test]
fn a_resumed_session_gives_a_turn_of_its_own() {
    let mut events = handshake();
    events.truncate(3);
    events.push(([message(2, 1), change()].concat(), Responder, 200));
    events.push((change(), Initiator, 215));
    let turns = tell(&events).0.turns.unwrap();
    assert_eq!(turns.lowest(Exchange::Dtls, true), None);
    assert_eq!(turns.lowest(Exchange::DtlsResumed, true), Some(15));
    assert_eq!(turns.gap_over_udp(Exchange::DtlsResumed), Some(5), "behind the cookie's echo");
    assert_eq!(turns.excluded, Exclusions::default());
}

#[test]
fn a_client_certificate_gives_no_turn() {
    let mut events = handshake();
    events[4].0 = [message(13, 3), message(14, 4)].concat();
    let turns = tell(&events).0.turns.unwrap();
    assert_eq!(turns.lowest(Exchange::Dtls, true), None);
    assert!(turns.excluded.has(Exclusions::CLIENT_CERTIFICATE));
}

#[test]
fn the_records_of_version_1_3_answer_too() {
    let events = [
        (message(1, 0), Initiator, 100),
        ([message(2, 0), vec![0x2e, 1, 2, 3]].concat(), Responder, 150),
        (vec![0x2e, 9, 9, 9], Initiator, 162),
    ];
    let (facts, more) = tell(&events);
    assert!(!more);
    assert_eq!(facts.turns.unwrap().lowest(Exchange::Dtls, true), Some(12));
}

#[test]
fn the_responder_may_be_the_client() {
    let swapped: Vec<_> =
        handshake().into_iter().map(|(bytes, role, time)| (bytes, other(role), time)).collect();
    let turns = tell(&swapped).0.turns.unwrap();
    assert_eq!(turns.near.map(|t| t.round_trip_ns), Some(40));
    assert_eq!(turns.lowest(Exchange::Dtls, false), Some(30));
}

#[test]
fn a_copy_of_the_cookie_behind_the_second_hello_is_no_answer_to_it() {
    let mut events = handshake();
    events.insert(3, (message(3, 0), Responder, 155));
    let turns = tell(&events).0.turns.unwrap();
    assert_eq!(turns.far.map(|t| t.round_trip_ns), Some(40));
    assert_eq!(turns.lowest(Exchange::Dtls, false), Some(50));
}

#[test]
fn a_later_piece_of_the_flight_once_more_takes_the_turn_away() {
    let mut events = handshake();
    events.insert(5, (message(14, 3), Responder, 228));
    let turns = tell(&events).0.turns.unwrap();
    assert_eq!(turns.lowest(Exchange::Dtls, true), None);
    assert!(turns.excluded.has(Exclusions::LOSS));
}

/// A record with one whole handshake message of that body.
fn with_body(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u8;
    let mut out = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12 + length];
    out.extend([kind, 0, 0, length, 0, sequence, 0, 0, 0, 0, 0, length]);
    out.extend(body);
    out
}

/// A ClientHello with that cookie and one suite (RFC 6347 section 4.2.1).
fn hello(sequence: u8, cookie: &[u8]) -> Vec<u8> {
    let head = [&[0xfe, 0xfd][..], &[7; 32], &[0, cookie.len() as u8], cookie].concat();
    with_body(1, sequence, &[&head[..], &[0, 2, 0xc0, 0x2b, 1, 0]].concat())
}

#[test]
fn only_the_cookie_proves_a_client() {
    let answered = |asked: &[u8], given: &[u8]| {
        let verify = [&[0xfe, 0xff, asked.len() as u8][..], asked].concat();
        let events = [
            (hello(0, b""), Initiator, 100),
            (with_body(3, 0, &verify), Responder, 140),
            (hello(1, given), Initiator, 150),
            ([message(2, 1), message(11, 2)].concat(), Responder, 200),
            ([message(16, 2), change()].concat(), Initiator, 231),
        ];
        let turns = tell(&events).0.turns.unwrap();
        assert!(turns.near.is_some(), "it is timed whatever it proves");
        turns.answered
    };
    let cookie = b"0123456789abcdef";
    assert!(answered(cookie, cookie));
    assert!(!answered(cookie, b"0123456789abcdeX"), "another one");
    assert!(!answered(cookie, b""), "none");
    assert!(!answered(b"ab", b"ab"), "one that can be guessed");
}
