use super::*;
use crate::evidence::quic_rtt::{self, Opener};
use crate::model::latency::Exclusions;
use crate::model::record::Facts;
use crate::wire::quic::Version;
use crate::wire::quic_initial::testkit::{Envelope, seal};
use Peer::{Initiator, Responder};

const ORIGIN: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];
const CLIENT: &[u8] = &[0xc1];
const SERVER: &[u8] = &[0x51];
/// PADDING enough for a header protection sample.
const PADDING: [u8; 40] = [0; 40];

fn initial(side: Perspective, number: u32, frames: &[u8]) -> Vec<u8> {
    let ids = if side == Perspective::Client { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
    let keys = InitialKeys::derive(Version::One, ORIGIN).unwrap();
    let envelope = Envelope { side, ids, number, fixed_bit: true };
    seal(&keys, &envelope, &[frames, &PADDING].concat())
}

/// A Handshake packet with a body of so many bytes.
fn handshake(to: &[u8], from: &[u8], body: usize) -> Vec<u8> {
    let mut out = vec![0xe0, 0, 0, 0, 1, to.len() as u8];
    out.extend(to);
    out.push(from.len() as u8);
    out.extend(from);
    out.extend([0x40 | (body >> 8) as u8, body as u8]);
    out.resize(out.len() + body, 0xee);
    out
}

/// A server's datagram: an Initial of this number, and a part of the flight.
fn flight(number: u32) -> Vec<u8> {
    let hello = initial(Perspective::Server, number, &[0x06, 0, 4, 2, 0, 0, 0]);
    [hello, handshake(CLIENT, SERVER, 700)].concat()
}

/// A client's acknowledgement of `largest`.
fn ack(number: u32, largest: u8) -> Vec<u8> {
    initial(Perspective::Client, number, &[0x02, largest, 0, 0, 0])
}

fn finished() -> Vec<u8> {
    handshake(SERVER, CLIENT, 60)
}

/// Legs and the turn, in ms, of datagrams at times in ms.
fn tell(events: &[(Peer, Vec<u8>, u64)]) -> (Option<u64>, Option<u64>, u16) {
    let (mut numbers, mut rtt) = (Numbers::default(), RequestRtt::default());
    let mut facts = Facts::default();
    let keys = InitialKeys::derive(Version::One, ORIGIN).unwrap();
    let opener = Opener { client: Some(Initiator), answered: true, ..Opener::default() };
    for (role, bytes, ms) in events {
        let time = Nanos::from_millis(*ms);
        let mut at = Moment { role: *role, time, facts: &mut facts };
        numbers.follow(bytes, (Initiator, &keys), &mut rtt, &mut at);
        quic_rtt::follow(bytes, opener, &mut rtt, &mut at);
    }
    let turns = facts.turns.unwrap_or_default();
    let ms = |ns: u64| ns / 1_000_000;
    let near = turns.near.map(|turn| ms(turn.round_trip_ns));
    (near, turns.lowest(Exchange::Quic, true).map(ms), turns.excluded.0)
}

fn far_away(again: u64, acked: u8, finishes: u64) -> Vec<(Peer, Vec<u8>, u64)> {
    vec![
        (Responder, flight(0), 0),
        (Responder, handshake(CLIENT, SERVER, 900), 1),
        (Responder, flight(1), again),
        (Responder, handshake(CLIENT, SERVER, 900), again + 1),
        (Initiator, [ack(1, acked), handshake(SERVER, CLIENT, 24)].concat(), 213),
        (Initiator, finished(), finishes),
    ]
}

#[test]
fn a_flight_that_is_sent_again_before_its_answer_gives_legs_and_a_turn() {
    assert_eq!(tell(&far_away(200, 0, 214)), (Some(213), Some(213), 0), "nothing behind");
    // The client is behind a relay: its own answer takes 60 ms more.
    assert_eq!(tell(&far_away(200, 0, 274)), (Some(213), Some(273), 0));
}

#[test]
fn an_acknowledgement_of_the_second_flight_is_its_own() {
    assert_eq!(tell(&far_away(150, 1, 215)).0, Some(63));
}

/// Half a round trip ago may be too short for an answer, and may not.
#[test]
fn nothing_is_guessed_where_either_flight_may_have_been_answered() {
    let (near, turn, excluded) = tell(&far_away(90, 0, 214));
    assert_eq!((near, turn), (Some(213), None));
    assert_eq!(excluded, Exclusions::LOSS);
}

#[test]
fn a_number_that_was_not_seen_says_nothing() {
    let (near, turn, _) = tell(&far_away(200, 7, 214));
    assert_eq!((near, turn), (None, None));
}

#[test]
fn many_datagrams_are_bounded() {
    let mut events: Vec<_> = (0..200).map(|n| (Responder, flight(n), u64::from(n))).collect();
    events.push((Initiator, [ack(1, 0), finished()].concat(), 213));
    let (near, turn, _) = tell(&events);
    assert_eq!((near, turn), (Some(213), None));
}
