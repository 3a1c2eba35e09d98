//! Round trips within a session, and what the capture lost, as a whole shard takes them.

use super::*;
use crate::model::latency::{Methods, RoundTrips};

/// Lowest round trip in ms, and how many were taken.
type Samples = Option<(u64, u32)>;

/// Minimum and number of samples of a leg whose samples are all by acknowledgement.
fn in_ms(trips: Option<RoundTrips>) -> Samples {
    let trips = trips?;
    assert_eq!(trips.methods, Methods(Methods::ACKNOWLEDGEMENT));
    Some((trips.min_ns / 1_000_000, trips.samples))
}

/// Near and far leg of a session of these packets after its handshake (SYN at 0 ms).
fn legs(packets: &[(Packet, &[u8])]) -> (Samples, Samples) {
    let mut bench = Bench::new(8);
    bench.handshake();
    packets.iter().for_each(|(packet, payload)| bench.feed(*packet, payload));
    let done = bench.end();
    (in_ms(done[0].record.near.in_session), in_ms(done[0].record.far.in_session))
}

#[test]
fn data_and_its_acknowledgement_are_a_round_trip_of_the_other_end() {
    let got = legs(&[
        (packet(0, true, 40, ACK, 100, 500), b"hello"),
        (packet(0, false, 70, ACK, 500, 105), b""),
        (packet(0, false, 80, ACK, 500, 105), b"world!"),
        (packet(0, true, 87, ACK, 105, 506), b"more"),
        (packet(0, false, 112, ACK, 506, 109), b""),
    ]);
    assert_eq!(got, (Some((7, 1)), Some((25, 2))));
}

#[test]
fn data_that_a_snap_length_cut_away_is_timed() {
    let data = Packet { payload_missing: 5, ..packet(0, true, 40, ACK, 100, 500) };
    let answer = packet(0, false, 70, ACK, 500, 105);
    assert_eq!(legs(&[(data, b""), (answer, b"")]), (None, Some((30, 1))));
}

#[test]
fn one_segment_is_under_way_at_a_time_and_only_its_whole_end_closes_it() {
    let got = legs(&[
        (packet(0, true, 40, ACK, 100, 500), b"first"),
        (packet(0, true, 60, ACK, 105, 500), b"second"),
        (packet(0, false, 70, ACK, 500, 104), b""),
        (packet(0, false, 75, ACK, 500, 111), b""),
        (packet(0, false, 76, ACK, 500, 111), b""),
    ]);
    assert_eq!(got, (None, Some((35, 1))));
}

#[test]
fn retransmitted_data_gives_no_round_trip() {
    let again = [
        (packet(0, true, 40, ACK, 100, 500), &b"hello"[..]),
        (packet(0, true, 240, ACK, 100, 500), b"hello"),
        (packet(0, false, 250, ACK, 500, 105), b""),
    ];
    assert_eq!(legs(&again), (None, None));
    let hole = [
        (packet(0, true, 40, ACK, 100, 500), &b"hello"[..]),
        (packet(0, true, 41, ACK, 110, 500), b"later"),
        (packet(0, true, 42, ACK, 105, 500), b"first"),
        (packet(0, false, 70, ACK, 500, 115), b""),
    ];
    assert_eq!(legs(&hole), (None, None));
}

#[test]
fn an_acknowledgement_of_unseen_data_gives_no_round_trip() {
    let got = legs(&[
        (packet(0, true, 40, ACK, 100, 500), b"hello"),
        (packet(0, false, 70, ACK, 500, 125), b""),
    ]);
    assert_eq!(got, (None, None));
}

#[test]
fn resets_and_steps_back_in_time_close_nothing() {
    let data = (packet(0, true, 40, ACK, 100, 500), &b"hello"[..]);
    let reset = (packet(0, false, 70, RST | ACK, 500, 105), &b""[..]);
    assert_eq!(legs(&[data, reset]), (None, None));
    let earlier = (packet(0, false, 39, ACK, 500, 105), &b""[..]);
    assert_eq!(legs(&[data, earlier]), (None, None));
}

#[test]
fn segments_larger_than_any_are_not_timed() {
    let large = vec![b'.'; 1_461];
    let data =
        |len: usize| (packet(0, true, 40, ACK, 100, 500), large.get(..len).unwrap_or_default());
    let answer = |len: u32| (packet(0, false, 70, ACK, 500, 100 + len), &b""[..]);
    assert_eq!(legs(&[data(1_460), answer(1_460)]), (None, Some((30, 1))));
    assert_eq!(legs(&[data(1_461), answer(1_461)]), (None, None));
}

#[test]
fn early_segments_of_a_session_begun_before_are_not_timed() {
    let mut bench = Bench::new(8);
    for (at, seq) in [(0, 100), (10, 105), (2_990, 110), (3_020, 115)] {
        bench.feed(packet(0, true, at, ACK, seq, 500), b"hello");
        bench.feed(packet(0, false, at + 5, ACK, 500, seq + 5), b"");
    }
    let done = bench.end();
    assert_eq!(in_ms(done[0].record.far.in_session), Some((5, 1)));
}

#[test]
fn sessions_over_the_room_are_counted() {
    let mut bench = Bench::new(4);
    for n in 0..3 {
        bench.feed(packet(n, true, 0, SYN, 99, 0), b"");
        bench.feed(packet(n, false, 30, SYN | ACK, 499, 100), b"");
        for round in 0..2 {
            bench.feed(packet(n, true, 40 + round, ACK, 100 + round as u32, 500), b"x");
        }
        bench.feed(packet(n, false, 70, ACK, 500, 102), b"");
    }
    assert_eq!(bench.listener.counts.get("sessions_untimed"), Some(&2));
    let done = bench.end();
    let timed = done.iter().filter(|done| done.record.far.in_session.is_some());
    assert_eq!(timed.count(), 1);
}

#[test]
fn bytes_lost_by_the_capture_are_distinguished_from_bytes_lost_by_the_network() {
    let unseen = |acknowledged: u32, late: bool| {
        let mut bench = Bench::new(8);
        bench.listener.patience = 1;
        bench.handshake();
        bench.feed(packet(0, true, 41, ACK, 100, 500), b"abc");
        bench.feed(packet(0, true, 42, ACK, 109, 500), b"jkl");
        bench.feed(packet(0, false, 70, ACK, 500, acknowledged), b"");
        if late {
            bench.feed(packet(0, true, 71, ACK, 103, 500), b"defghi");
        }
        bench.shard.drain(u32::MAX, &mut bench.listener);
        let counts = bench.listener.counts;
        let of = |name| counts.get(name).copied().unwrap_or(0);
        (of("gap_bytes"), of("acked_unseen_bytes"), of("acked_unseen_sessions"))
    };
    assert_eq!(unseen(112, false), (6, 6, 1));
    assert_eq!(unseen(103, false), (6, 0, 0), "the other end waits for them, too");
    assert_eq!(unseen(112, true), (0, 0, 0), "written late, and not lost");
}
