//! Lags behind acknowledgements, by packets made by hand.
//!
//! Owns: the promise that a lag starts at the acknowledgement of all that was asked, and that
//! nothing else gives one. In: packets written here. Out: assertions. Never: files.

use super::*;
use crate::model::Transport;
use crate::model::latency::Leg;

const I: Peer = Peer::Initiator;
const R: Peer = Peer::Responder;
const MS: u64 = 1_000_000;
/// Its first bytes fit nothing: lags need no protocol.
const WORDS: &[u8] = &[0x2a; 100];

/// One packet: sender, time (ms), position behind its bytes, what it acknowledges.
#[derive(Clone, Copy)]
struct Sent {
    from: Peer,
    ms: u64,
    payload: &'static [u8],
    end: u32,
    ack: u32,
    troubles: u32,
}

const fn data(from: Peer, ms: u64, end: u32, ack: u32) -> Sent {
    Sent { from, ms, payload: WORDS, end, ack, troubles: 0 }
}

const fn ack(from: Peer, ms: u64, ack: u32) -> Sent {
    Sent { from, ms, payload: &[], end: 0, ack, troubles: 0 }
}

/// The turns after all packets passed.
fn follow(packets: &[Sent], tls: &TlsFacts) -> Turns {
    let (mut watch, mut counters) = (Watch::default(), Counters::default());
    for sent in packets {
        let time = Nanos(sent.ms * MS);
        if sent.payload.is_empty() {
            watch.acknowledged(sent.from, sent.ack, time);
            continue;
        }
        let segment = Segment {
            time,
            opened: Some((Nanos(0), Nanos(20 * MS))),
            troubles: sent.troubles,
            numbers: (sent.end, sent.ack),
            ..Segment::plain(sent.from, Transport::TCP, sent.payload)
        };
        watch.observe(&segment, &mut Beside { tls: Some(tls), counters: &mut counters });
    }
    let mut turns = Turns::default();
    watch.leave(|| &mut turns);
    turns
}

/// The lags of the initiator's turns, in ms.
fn lags(packets: &[Sent]) -> [Option<u64>; 4] {
    let turns = follow(packets, &TlsFacts::default());
    [0, 1, 2, 3].map(|turn| turns.lags.ns(true, turn).map(|ns| ns / MS))
}

/// A question of 3 segments that ends at 400, 500 ms after the opening.
const ASKED: [Sent; 4] =
    [data(I, 480, 100, 1), data(R, 500, 200, 100), data(R, 501, 300, 100), data(R, 502, 400, 100)];

fn answered(answer: &[Sent]) -> [Option<u64>; 4] {
    lags(&[&ASKED[..], answer].concat())
}

#[test]
fn a_lag_starts_where_all_of_the_question_is_acknowledged() {
    // Every other segment is acknowledged at once, the last one with the rest.
    let proxied = [ack(I, 521, 300), ack(I, 522, 400), data(I, 702, 200, 400)];
    assert_eq!(answered(&proxied)[0], Some(180));
    // Repeated acknowledgements do not start it anew.
    let twice = [ack(I, 522, 400), ack(I, 600, 400), data(I, 702, 200, 400)];
    assert_eq!(answered(&twice)[0], Some(180));
    // An older one that comes late changes nothing.
    let late = [ack(I, 522, 400), ack(I, 523, 300), data(I, 702, 200, 400)];
    assert_eq!(answered(&late)[0], Some(180));
    // Together, and promptly: at once.
    assert_eq!(answered(&[ack(I, 522, 400), data(I, 522, 200, 400)])[0], Some(0));
}

#[test]
fn without_an_acknowledgement_of_its_own_there_is_no_lag() {
    assert_eq!(answered(&[data(I, 702, 200, 400)]), [None; 4], "the answer is the first");
    assert_eq!(answered(&[ack(I, 521, 300), data(I, 702, 200, 400)]), [None; 4], "of a part");
    // The capture lost the last segment: its acknowledgement covers more than was seen.
    let unseen = [ack(I, 522, 400), data(I, 702, 200, 500)];
    assert_eq!(answered(&unseen), [None; 4]);
    assert_eq!(answered(&[ack(I, 522, 500), data(I, 702, 200, 400)]), [None; 4], "forged");
    // Only the end is acknowledged by somebody who repeats what was asked.
    let again = Sent { troubles: 1, ..data(I, 702, 200, 400) };
    assert_eq!(answered(&[ack(I, 522, 400), again]), [None; 4]);
}

#[test]
fn what_was_in_flight_answers_nothing() {
    // It acknowledges none of the flight; the answer behind it is not the first segment.
    let crossed = [data(I, 503, 200, 100), ack(I, 522, 400), data(I, 702, 300, 400)];
    assert_eq!(answered(&crossed), [None; 4]);
    // The next question is measured again, as the first turn.
    let next = [data(R, 800, 500, 300), ack(I, 820, 500), data(I, 1_000, 400, 500)];
    assert_eq!(answered(&[&crossed[..], &next].concat()), [Some(180), None, None, None]);
}

#[test]
fn four_turns_of_each_side_are_taken() {
    let mut packets = vec![data(I, 20, 100, 1)];
    for turn in 0..6 {
        let (at, sent) = (1_000 * (u64::from(turn) + 1), 100 * (turn + 1));
        packets.extend([
            ack(R, at - 900, sent),
            data(R, at - 870, sent, sent),
            ack(I, at - 850, sent),
            data(I, at - 650 + u64::from(turn), sent + 100, sent),
        ]);
    }
    let turns = follow(&packets, &TlsFacts::default());
    let of = |by, turn| turns.lags.ns(by, turn).map(|ns| ns / MS);
    assert_eq!(
        [0, 1, 2, 3, 4].map(|turn| of(true, turn)),
        [Some(200), Some(201), Some(202), Some(203), None]
    );
    assert_eq!(
        [0, 1, 2, 3, 4].map(|turn| of(false, turn)),
        [Some(30), Some(30), Some(30), Some(30), None]
    );
}

#[test]
fn early_data_do_not_wait() {
    let early = TlsFacts { early_data: true, ..TlsFacts::default() };
    let hello = Sent { payload: &[0x16, 3, 1, 2, 0, 1, 0, 1], ..data(I, 20, 100, 1) };
    let flight = Sent { payload: &[0x16, 3, 3, 0, 9, 2, 0, 0, 5], ..data(R, 30, 400, 100) };
    let packets = [hello, flight, ack(I, 50, 400), data(I, 230, 200, 400)];
    assert_eq!(follow(&packets, &early).lags.ns(true, 0), None);
    assert_eq!(follow(&packets, &TlsFacts::default()).lags.ns(true, 0), Some(180 * MS));
}

#[test]
fn an_exchange_has_the_lag_of_its_answer_and_first_data_that_of_the_handshake() {
    let hello = Sent { payload: &[0x16, 3, 1, 2, 0, 1, 0, 1], ..data(I, 32, 100, 1) };
    let flight = Sent { payload: &[0x16, 3, 3, 0, 9, 2, 0, 0, 5], ..data(R, 40, 400, 100) };
    let packets = [hello, flight, ack(I, 75, 400), data(I, 240, 200, 400)];
    let mut turns = follow(&packets, &TlsFacts::default());
    let found: Vec<_> = turns.turns.iter().map(|turn| (turn.exchange, turn.by_initiator)).collect();
    let want = [(Exchange::FirstData, true), (Exchange::Tls, false), (Exchange::Tls, true)];
    assert_eq!(found, want);
    let lag = |turns: &Turns, at: usize| turns.turns[at].lag.ns().map(|ns| ns / MS);
    assert_eq!([0, 1, 2].map(|at| lag(&turns, at)), [Some(12), None, Some(165)]);
    // The handshake took 20 ms, and the lowest round trip 5: no 15 ms of jitter are in the gap.
    let leg = Leg { handshake_ns: Some(5 * MS), in_session: None };
    turns.settle(&leg, &Leg::default());
    assert_eq!(turns.gap(Exchange::FirstData, true, &leg), Some(12 * MS));
    assert_eq!(turns.gap(Exchange::Tls, true, &leg), Some(195 * MS));
}

#[test]
fn a_stall_is_no_leg_and_no_proof_of_none() {
    let hello = Sent { payload: &[0x16, 3, 1, 2, 0, 1, 0, 1], ..data(I, 20, 100, 1) };
    let flight = Sent { payload: &[0x16, 3, 3, 0, 9, 2, 0, 0, 5], ..data(R, 40, 400, 100) };
    let leg = Leg { handshake_ns: Some(20 * MS), in_session: None };
    let settled = |packets: &[Sent]| {
        let mut turns = follow(packets, &TlsFacts::default());
        let removed = turns.settle(&leg, &Leg::default());
        let gap = turns.gap(Exchange::Tls, true, &leg).map(|ns| ns / MS);
        (gap, turns.lags.ns(true, 0).map(|ns| ns / MS), removed.stalled, turns.excluded)
    };
    // Both are 48 ms late.
    let (gap, lag, stalled, why) =
        settled(&[hello, flight, ack(I, 108, 400), data(I, 108, 200, 400)]);
    assert_eq!((gap, lag, stalled, why), (None, None, 1, Exclusions(Exclusions::STALL)));
    // By 12 ms of jitter: the lag shows that nothing is hidden.
    let (gap, lag, stalled, _) = settled(&[hello, flight, ack(I, 72, 400), data(I, 72, 200, 400)]);
    assert_eq!((gap, lag, stalled), (Some(12), Some(0), 0));
    // By a timer of 40 ms: a leg of 60 ms shows 20 of them, which is too little to say.
    let (gap, lag, stalled, _) =
        settled(&[hello, flight, ack(I, 100, 400), data(I, 120, 200, 400)]);
    assert_eq!((gap, lag, stalled), (Some(60), None, 0));
}

#[test]
fn openvpn_over_tcp_answers_the_servers_reset_and_its_flight() {
    // Length and opcode; the rest is not looked at.
    const fn sent(from: Peer, payload: &'static [u8], (ms, end, ack): (u64, u32, u32)) -> Sent {
        Sent { from, ms, payload, end, ack, troubles: 0 }
    }
    let reset = &[0, 14, 0x38, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0];
    let opening = [
        sent(I, reset, (21, 16, 1)),
        sent(R, &[0, 26, 0x40, 9], (22, 28, 16)),
        ack(I, 42, 28),
        sent(I, &[1, 59, 0x20, 1], (222, 333, 28)),
        sent(R, &[4, 198, 0x20, 9], (224, 1_252, 333)),
        sent(R, &[4, 61, 0x20, 9], (225, 2_339, 333)),
        ack(I, 245, 2_339),
        sent(I, &[0, 26, 0x28, 1], (425, 361, 2_339)),
        sent(I, &[4, 198, 0x20, 1], (428, 1_585, 2_339)),
    ];
    let turns = |packets: &[Sent]| {
        let turns = follow(packets, &TlsFacts::default());
        let by_client = turns.turns.into_iter().filter(|turn| turn.by_initiator);
        let ms = |turn: Turn| {
            (turn.exchange, turn.round_trip_ns / MS, turn.lag.ns().map(|lag| lag / MS))
        };
        by_client.map(ms).collect::<Vec<_>>()
    };
    let first = (Exchange::FirstData, 21, Some(1));
    let hello = (Exchange::Openvpn, 200, Some(180));
    let flight = (Exchange::TlsCertificate, 203, Some(183));
    assert_eq!(turns(&opening), [first, hello, flight]);
    // Without the server's reset it is something else; with two it is open which was answered.
    assert_eq!(turns(&[opening[0], opening[4], opening[3]]), [first]);
    let mut twice = opening.to_vec();
    twice.insert(2, Sent { end: 56, ..opening[1] });
    assert_eq!(turns(&twice), [first]);
}

/// A proxy acknowledges the second piece of a question, and its client answers the first.
#[test]
fn a_question_whose_pieces_were_acknowledged_one_by_one_gives_no_turn() {
    let opening = [
        Sent { payload: b"RFB 003.008\n", ..data(R, 100, 12, 1) },
        Sent { payload: b"RFB 003.008\n", ..data(I, 320, 13, 12) },
        data(R, 330, 112, 13),
    ];
    let held_back = [ack(I, 350, 112), data(R, 351, 212, 13)];
    let at_once = [data(R, 331, 212, 13), ack(I, 351, 212)];
    let rounds = |pieces: &[Sent]| {
        let all = [&opening[..], pieces, &[ack(I, 371, 212), data(I, 550, 113, 212)]].concat();
        let turns = follow(&all, &TlsFacts::default());
        let rounds = turns.turns.iter().filter(|turn| turn.exchange == Exchange::Rfb);
        let times: Vec<u64> =
            rounds.filter(|turn| turn.by_initiator).map(|turn| turn.round_trip_ns / MS).collect();
        (times, turns.excluded.0 & Exclusions::SPLIT_FLIGHT != 0)
    };
    assert_eq!(rounds(&at_once), (vec![220, 219], false));
    assert_eq!(rounds(&held_back), (vec![220], true));
}
