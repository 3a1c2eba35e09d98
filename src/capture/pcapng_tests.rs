//! Tests of the pcapng format: clocks, lengths, blocks of writers that miscount.
//!
//! Owns: nothing. In: hand-made blocks. Out: verdicts. Never: part of the program.

use super::*;

fn interface(resolution: u8, offset_secs: i64) -> SectionInterface {
    let resolution = Resolution::of(resolution);
    let (link, losses) = (LinkType::ETHERNET, ReportedLosses::default());
    SectionInterface { link, snap_len: 0, resolution, offset_secs, losses }
}

fn time(i: SectionInterface, units: u64) -> Option<u64> {
    i.time((units >> 32) as u32, units as u32).map(|t| t.0)
}

#[test]
fn decimal_and_binary_clocks_are_exact_in_integers() {
    let micros = 1_703_593_377_933_911;
    assert_eq!(time(interface(6, 0), micros), Some(1_703_593_377_933_911_000));
    assert_eq!(time(interface(9, 0), micros), Some(micros));
    assert_eq!(time(interface(12, 0), 5_999), Some(5));
    assert_eq!(time(interface(0, 0), 7), Some(7_000_000_000));
    assert_eq!(time(interface(127, 0), u64::MAX), Some(0));
    // 2^-10 s: 1,536 units are 1.5 s.
    assert_eq!(time(interface(0x8a, 0), 1_536), Some(1_500_000_000));
    assert_eq!(time(interface(0x80, 0), 3), Some(3_000_000_000));
    assert_eq!(time(interface(0xff, 0), u64::MAX), Some(0));
}

#[test]
fn offsets_move_both_ways_and_overflow_is_no_time() {
    assert_eq!(time(interface(6, 2), 1_000_000), Some(3_000_000_000));
    assert_eq!(time(interface(6, -1), 1_500_000), Some(500_000_000));
    assert_eq!(time(interface(6, -2), 1_000_000), None);
    assert_eq!(time(interface(6, i64::MAX), 0), None);
    assert_eq!(time(interface(0, 0), u64::MAX), None);
    assert_eq!(time(interface(0x80, 0), u64::MAX), None);
}

#[test]
fn lengths_that_make_no_sense_are_refused() {
    let mut p = Pcapng::new();
    let block = |len: u32| [6u32.to_le_bytes(), len.to_le_bytes(), [0; 4]].concat();
    for len in [0, 8, 11, 4_000_000_000] {
        assert!(matches!(p.step(&block(len)), Step::Malformed(_)), "{len}");
    }
    assert_eq!(p.step(&block(32)), Step::NeedMore(32));
    assert_eq!(p.step(&block(32)[..7]), Step::NeedMore(12));
}

/// A section, an interface, and a packet block with these two lengths.
fn frame_of(lengths: (u32, u32), body: &[u8]) -> (Step, u64) {
    let block = |kind: u32, (first, second): (u32, u32), body: &[u8]| {
        let words = [kind.to_le_bytes(), first.to_le_bytes()].concat();
        [&words, body, &second.to_le_bytes()].concat()
    };
    let mut p = Pcapng::new();
    let magic = [&BYTE_ORDER_MAGIC.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    assert_eq!(p.step(&block(SECTION, (28, 28), &magic)), Step::Skip(28));
    assert_eq!(p.step(&block(INTERFACE, (20, 20), &[1, 0, 0, 0, 0, 0, 0, 0])), Step::Skip(20));
    let step = p.step(&block(PACKET_ENHANCED, lengths, body));
    (step, p.odd())
}

#[test]
fn packets_of_writers_that_count_wrong_are_read() {
    let fixed = [0u32, 0, 7, 5, 60].map(u32::to_le_bytes).concat();
    let packet = |rest: &[u8]| [&fixed, &b"hello"[..], rest].concat();
    let read = |lengths, rest: &[u8]| match frame_of(lengths, &packet(rest)) {
        (Step::Frame(frame, len), odd) => Some((frame.captured, frame.wire_len, len, odd)),
        (step, _) => {
            assert!(matches!(step, Step::Malformed(_)), "{step:?}");
            None
        }
    };
    let padding = [0; 3];
    assert_eq!(read((40, 40), &padding), Some((5, 60, 40, 0)));
    // Padding that is missing, or present but not counted.
    assert_eq!(read((37, 37), &[]), Some((5, 60, 37, 1)));
    assert_eq!(read((37, 37), &padding), Some((5, 60, 40, 1)));
    // A second length that disagrees, with and without options behind the packet.
    assert_eq!(read((40, 0), &padding), Some((5, 60, 40, 1)));
    let comment = [0, 0, 0, 1, 0, 2, 0, b'o', b'k', 0, 0, 0, 0, 0, 0];
    assert_eq!(read((52, 948), &comment), Some((5, 60, 52, 1)));
    // Nothing tells where it ends.
    assert_eq!(read((44, 0), &[0, 0, 0, 9, 9, 9, 9]), None);
    assert_eq!(read((38, 0), &padding), None);
}

#[test]
fn unknown_blocks_are_stepped_over_whatever_their_length() {
    let mut p = Pcapng::new();
    let block = [0x0badu32.to_le_bytes(), 0xffff_fff0u32.to_le_bytes(), [0; 4]].concat();
    assert_eq!(p.step(&block), Step::Skip(0xffff_fff0));
}
