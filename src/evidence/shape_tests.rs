//! Random data and other data; handshakes inside by their sizes, and dialogues that are none.

use super::*;
use crate::model::{Nanos, Transport};
use Peer::{Initiator, Responder};
use proptest::prelude::*;

fn segment(payload: &[u8], role: Peer) -> Segment<'_> {
    Segment {
        payload,
        from: role,
        transport: Transport::TCP,
        ports: (50_000, 8388),
        gap: false,
        time: Nanos(1),
        opened: Some((Nanos(0), Nanos(0))),
        troubles: 0,
        numbers: (0, 0),
    }
}

/// Bytes derived from a seed: splitmix64.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as u8
    };
    (0..size).map(|_| next()).collect()
}

fn bits(pieces: &[(Peer, Vec<u8>)]) -> u8 {
    let mut shape = Shape::default();
    for (role, bytes) in pieces {
        shape.observe(&segment(bytes, *role));
    }
    shape.bits(false)
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

/// A TLS 1.3 session whose data records have these sizes, a turn after the other.
fn tls(sizes: &[(Peer, u16)]) -> Vec<(Peer, Vec<u8>)> {
    let mut out = vec![
        (Initiator, record(22, &[1; 300])),
        (Responder, [record(22, &[2; 90]), record(23, &[0; 2_000])].concat()),
        (Initiator, [record(20, &[1]), record(23, &[0; 53])].concat()),
    ];
    out.extend(sizes.iter().map(|(role, size)| (*role, record(23, &vec![0; *size as usize]))));
    out
}

#[test]
fn random_bytes_on_both_sides_are_recognised() {
    let both = [(Initiator, noise(1, 90)), (Responder, noise(2, 300))];
    assert_eq!(bits(&both), shape::FULLY_ENCRYPTED);
    assert_eq!(bits(&both[..1]), 0, "one side alone");
    let answered = [both[0].clone(), (Responder, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())];
    assert_eq!(bits(&answered), 0);
    let short = [(Initiator, noise(1, NOISE_BYTES_MIN - 1)), both[1].clone()];
    assert_eq!(bits(&short), 0);
    let mut shape = Shape::default();
    shape.observe(&Segment { opened: None, ..segment(&both[0].1, Initiator) });
    shape.observe(&segment(&both[1].1, Responder));
    assert_eq!(shape.bits(false), 0, "the opening was not seen");
    let mut known = Shape::default();
    both.iter().for_each(|(role, bytes)| known.observe(&segment(bytes, *role)));
    assert_eq!(known.bits(true), 0, "somebody knows the protocol");
}

#[test]
fn structured_bytes_are_not_random() {
    assert!(!is_noise(&[0x55; 200]), "half ones, one value");
    assert!(!is_noise(&(0..200u8).map(|n| n / 8).collect::<Vec<_>>()));
    assert!(!is_noise(&[&b"GET / "[..], &noise(3, 200)].concat()));
    let text = [&noise(4, 30)[..], b"a run of text that is long", &noise(5, 60)].concat();
    assert!(!is_noise(&text));
}

#[test]
fn an_encapsulated_handshake_is_recognised_by_its_sizes() {
    let inside = [(Initiator, 640), (Responder, 3_200), (Initiator, 86), (Responder, 500)];
    assert_eq!(bits(&tls(&inside)), shape::ENCAPSULATED_TLS);
    let with_ticket = [&[(Responder, 250), (Responder, 250)][..], &inside].concat();
    assert_eq!(bits(&tls(&with_ticket)), shape::ENCAPSULATED_TLS);
    assert_eq!(bits(&tls(&inside[..3])), 0, "nobody answers");
    let pages = [(Initiator, 640), (Responder, 3_200), (Initiator, 610), (Responder, 500)];
    assert_eq!(bits(&tls(&pages)), 0);
    let http2 = [&inside[..2], &[(Initiator, 31)], &inside[2..]].concat();
    assert_eq!(bits(&tls(&http2)), 0, "SETTINGS are acknowledged");
    let noise: Vec<_> = inside
        .iter()
        .zip(7..)
        .flat_map(|((role, size), seed)| {
            let bytes = noise(seed, usize::from(*size));
            bytes.chunks(1_400).map(|piece| (*role, piece.to_vec())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(bits(&noise), shape::FULLY_ENCRYPTED | shape::ENCAPSULATED_TLS);
}

#[test]
fn random_bytes_are_seldom_missed() {
    for size in [NOISE_BYTES_MIN, 73, 130, 600] {
        let found = (0..1_000).filter(|seed| is_noise(&noise(seed * 7 + 1, size))).count();
        assert!(found >= 980, "{size}: {found}");
    }
}

proptest! {
    #[test]
    fn any_segments_end(
        pieces in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(any::<u8>(), 1..80)), 0..60,
        ),
    ) {
        let mut shape = Shape::default();
        for (initiator, bytes) in &pieces {
            let role = if *initiator { Initiator } else { Responder };
            let led = [&[0x17, 3, 3, 0, 9][..], bytes].concat();
            shape.observe(&segment(bytes, role));
            shape.observe(&segment(&led, role));
            prop_assert!(usize::from(shape.count) <= BURSTS_MAX);
        }
        let _ = shape.bits(false);
    }
}
