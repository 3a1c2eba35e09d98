//! Segments in fragments, and early ones that nobody waits for, as a whole shard takes them.

use super::*;

/// A fragment of the client's, with an IPv4 header before its data, as a packet with its frame.
fn fragment(first: Option<Packet>, at: u16, more: bool, data: &[u8]) -> (Packet, Vec<u8>) {
    let later = Packet {
        flags: PacketFlags(PacketFlags::FRAGMENT_LATER),
        payload_len: data.len() as u32,
        ..packet(0, true, 50, 0, 0, 0)
    };
    let first = first.map(|packet| Packet {
        flags: PacketFlags(PacketFlags::FRAGMENT),
        l4_len: 24,
        payload_len: data.len() as u32 - 24,
        ..packet
    });
    let mut frame = vec![0x45, 0, 0, 20 + data.len() as u8, 0, 1];
    frame.extend_from_slice(&((at / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
    frame.extend_from_slice(&[64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend_from_slice(data);
    (Packet { l4_at: 20, ..first.unwrap_or(later) }, frame)
}

#[test]
fn a_segment_in_fragments_takes_its_place_once_it_is_whole() {
    let mut bench = Bench::new(8);
    bench.handshake();
    let first = fragment(Some(packet(0, true, 40, ACK, 100, 500)), 0, true, &[b'-'; 32]);
    let last = fragment(None, 32, false, b"end");
    bench.touch(&first.0, &first.1);
    bench.feed(packet(0, true, 45, ACK, 111, 500), b"after");
    assert!(bench.listener.finished.is_empty());
    bench.touch(&last.0, &last.1);
    bench.touch(&last.0, &last.1);
    assert_eq!(bench.listener.counts["fragments_apart"], 1);
    assert_eq!(bench.listener.counts["datagrams_joined"], 1);
    let done = bench.end();
    assert_eq!(delivered(&done[0]).0, b"--------endafter");
    assert_eq!((done[0].record.initiator.packets, done[0].record.quality.gaps), (6, 0));
}

#[test]
fn a_segment_with_a_missing_fragment_is_not_delivered() {
    let mut bench = Bench::new(8);
    bench.handshake();
    let first = fragment(Some(packet(0, true, 40, ACK, 100, 500)), 0, true, &[b'-'; 32]);
    bench.touch(&first.0, &first.1);
    bench.feed(packet(0, true, 45, ACK, 111, 500), b"after");
    bench.feed(packet(0, false, 60, ACK, 500, 116), b"");
    bench.shard.drain(u32::MAX, &mut bench.listener);
    assert_eq!(bench.listener.counts["datagrams_incomplete"], 1);
    assert_eq!(bench.listener.counts["gap_bytes"], 11);
    assert_eq!(delivered(&bench.listener.finished[0]).0, b"!after");
}

#[test]
fn whoever_takes_gaps_gets_early_segments_at_once() {
    let of = |in_order: usize| {
        let mut bench = Bench::new(8);
        bench.listener.in_order = Some(in_order);
        bench.handshake();
        bench.feed(packet(0, true, 41, ACK, 100, 500), b"abc");
        // It waits in a session that is still put in order.
        bench.feed(packet(0, true, 42, ACK, 106, 500), b"ghi");
        bench.feed(packet(0, false, 43, ACK, 500, 103), b"one");
        bench.feed(packet(0, true, 44, ACK, 112, 500), b"mno");
        bench.feed(packet(0, true, 45, ACK, 109, 500), b"jkl");
        bench.feed(packet(0, true, 46, ACK, 103, 500), b"def");
        let done = bench.end();
        let (quality, side) = (done[0].record.quality, delivered(&done[0]).0.to_vec());
        (String::from_utf8_lossy(&side).into_owned(), quality.out_of_order, quality.gaps)
    };
    assert_eq!(of(usize::MAX), ("abcdefghijklmno".to_owned(), 3, 0));
    assert_eq!(of(1), ("abc!ghi!mno".to_owned(), 1, 1), "one gap is filled");
    assert_eq!(of(2).0, "abc!mno", "what waited is forgotten");
}
