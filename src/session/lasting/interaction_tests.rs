//! Tests of the sums that tell control from a screen.

use super::*;
use crate::model::Nanos;

fn passed(from: Peer, ms: u64, bytes: &[u8]) -> Passed<'_> {
    Passed {
        from,
        time: Some(Nanos(ms * 1_000_000)),
        tcp: true,
        payload: bytes.len() as u32,
        bytes,
        flags: TcpFlags(TcpFlags::PSH),
        answers: 0,
    }
}

fn see(seen: &mut InteractionObserver, passed: &Passed<'_>) {
    seen.see(passed, &Content::of(passed.bytes, passed.payload));
}

/// A datagram of the initiator.
fn datagram(bytes: &[u8]) -> Passed<'_> {
    Passed { tcp: false, ..passed(Peer::Initiator, 1_000, bytes) }
}

#[test]
fn buckets_keep_order_and_hold_their_own_middle() {
    let mut before = 0;
    for size in 0..2_000 {
        let bucket = size_bucket(size);
        assert!(bucket >= before && bucket < SIZES, "{size}");
        before = bucket;
        let middle = f64::from(size_of_bucket(bucket));
        assert!(
            !(8..512).contains(&size) || (middle / f64::from(size) - 1.0).abs() <= 0.13,
            "{size} is shown as {middle}"
        );
    }
    before = 0;
    for rate in 1..400 {
        let bucket = rate_bucket(rate);
        assert!(bucket >= before && bucket < RATES, "{rate}");
        before = bucket;
        assert!(rate_of_bucket(bucket) <= rate);
        assert_eq!(rate_bucket(rate_of_bucket(bucket)), bucket, "{rate}");
    }
}

#[test]
fn a_message_over_tcp_ends_with_push_or_a_short_segment() {
    let mut seen = InteractionObserver::NONE;
    let long = [7; 1_000];
    let open = |ms| Passed { flags: TcpFlags(0), ..passed(Peer::Responder, ms, &long) };
    for ms in [0, 1, 2] {
        see(&mut seen, &open(ms));
    }
    assert_eq!(seen.result().unwrap().responder.messages, 0, "no end was seen");
    see(&mut seen, &Passed { flags: TcpFlags(0), ..passed(Peer::Responder, 3, &[7; 200]) });
    see(&mut seen, &passed(Peer::Responder, 4, &[7; 40]));
    let sums = seen.result().unwrap().responder;
    assert_eq!((sums.messages, sums.inputs, sums.bytes), (2, 2, 3_240));
    assert_eq!((sums.big_bytes, sums.input_bytes), (3_200, 3_240));
}

#[test]
fn rates_pauses_and_sizes_of_a_side_are_counted() {
    let mut seen = InteractionObserver::NONE;
    let key = [7; 36];
    // Eight keys a second for ten seconds, a pause of four, ten more.
    for ms in (0..10_000).chain(14_000..24_000).step_by(125) {
        see(&mut seen, &passed(Peer::Initiator, ms, &key));
    }
    see(&mut seen, &Passed { time: None, ..passed(Peer::Initiator, 24_000, &key) });
    let sums = seen.result().unwrap();
    let side = sums.initiator;
    assert_eq!((side.inputs, side.active_s, side.pauses, side.p90_pps), (160, 20, 1, 8));
    assert!((32..=40).contains(&side.median_bytes), "{}", side.median_bytes);
    assert!(side.one_size > 0.99);
    assert_eq!(side.repeats, 159);
    see(&mut seen, &passed(Peer::Responder, 23_900, &key));
    see(&mut seen, &passed(Peer::Initiator, 23_950, &key));
    let sums = seen.result().unwrap();
    assert_eq!((sums.initiator.repeats, sums.responder.repeats), (159, 0));
    let side = sums.initiator;
    assert_eq!(sums.span_ms, 23_950);
    seen.turn();
    assert_eq!(seen.result().unwrap().responder, side);
}

#[test]
fn media_checks_and_acknowledgements_are_no_input() {
    let mut seen = InteractionObserver::NONE;
    let check = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[9; 12]].concat();
    let media = [&[0x80][..], &[1; 99]].concat();
    let sack = [&[0x17, 0xfe, 0xfd][..], &[3; 38]].concat();
    let input = [0x2e; 85];
    see(&mut seen, &datagram(&media));
    assert_eq!(seen.result().unwrap().initiator.inputs, 1, "nothing says that it is media");
    for bytes in [&check[..], &media, &sack, &input] {
        see(&mut seen, &datagram(bytes));
        let channel = [&[0x40, 0, 0, bytes.len() as u8][..], bytes].concat();
        see(&mut seen, &datagram(&channel));
        let padded = [&channel[..], &[0; 3][..(4 - bytes.len() % 4) % 4]].concat();
        see(&mut seen, &passed(Peer::Initiator, 1_000, &padded));
    }
    let sums = seen.result().unwrap();
    assert!(sums.real_time);
    assert_eq!((sums.initiator.inputs, sums.initiator.messages), (1 + 3, 13));
}

#[test]
fn histograms_halve_rather_than_overflow() {
    let mut histogram = Histogram([0; 4]);
    for _ in 0..200_000 {
        histogram.add(1);
        histogram.add(3);
        histogram.add(3);
    }
    assert_eq!((histogram.quantile(25), histogram.quantile(50)), (Some(1), Some(3)));
    assert_eq!(Histogram([0; 4]).quantile(50), None);
}
