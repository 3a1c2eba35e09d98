//! Fragmented datagrams, made here frame by frame.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::{Addr, Interest, Nanos, Segment, Stamp};
use crate::session::Finished;

const FIRST: u8 = PacketFlags::FRAGMENT;
const LATER: u8 = PacketFlags::FRAGMENT_LATER;

#[derive(Default)]
struct Counts(BTreeMap<&'static str, u64>);

impl Listener<()> for Counts {
    fn deliver(&mut self, _: &mut Option<Box<()>>, _: &Segment<'_>) -> Interest {
        Interest::More
    }

    fn finish(&mut self, _: Finished<()>) {}

    fn count(&mut self, counter: Counter, n: u64) {
        *self.0.entry(counter.name()).or_default() += n;
    }
}

impl Default for Fragments {
    fn default() -> Fragments {
        Fragments::new(BYTES)
    }
}

#[derive(Default)]
struct Bench {
    fragments: Fragments,
    counts: Counts,
}

/// One fragment of a UDP datagram between two ends.
#[derive(Clone, Copy)]
struct Part<'a> {
    id: u16,
    at: u16,
    data: &'a [u8],
    more: bool,
    second: u64,
}

fn frame(part: &Part<'_>) -> Vec<u8> {
    let mut frame = vec![0x45, 0];
    frame.extend_from_slice(&(20 + part.data.len() as u16).to_be_bytes());
    frame.extend_from_slice(&part.id.to_be_bytes());
    let more = if part.more { 0x2000 } else { 0 };
    frame.extend_from_slice(&((part.at / 8) | more).to_be_bytes());
    frame.extend_from_slice(&[64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend_from_slice(part.data);
    frame
}

fn packet(part: &Part<'_>) -> Packet {
    let header: u8 = if part.at == 0 { 8 } else { 0 };
    let key = FlowKey {
        a: Addr::v4([10, 0, 0, 1]),
        b: Addr::v4([10, 0, 0, 2]),
        transport: Transport::UDP,
        version: 4,
        ..FlowKey::default()
    };
    Packet {
        time: Nanos::from_secs(1_000 + part.second),
        clock: 1_000 + part.second as u32,
        key,
        hash: 0,
        frame_at: 0,
        number: 1,
        wire_len: 60,
        payload_len: part.data.len() as u32 - u32::from(header),
        payload_missing: 0,
        seq: 0,
        ack: 0,
        l4_at: 20,
        l4_len: header,
        tcp_flags: crate::model::TcpFlags(0),
        ttl: 64,
        flags: PacketFlags(if part.at == 0 { FIRST } else { LATER }),
        stamp: Stamp::PLAIN,
        shard: 0,
    }
}

impl Bench {
    fn take(&mut self, part: Part<'_>) -> FragmentOutcome {
        self.take_packet(&packet(&part), &frame(&part))
    }

    fn take_packet(&mut self, packet: &Packet, frame: &[u8]) -> FragmentOutcome {
        let taken = self.fragments.take(Arrival { packet, frame, file: 0 }, &mut self.counts);
        let held: usize = self.fragments.open.iter().map(|open| open.pieces.cost()).sum();
        assert_eq!(self.fragments.held.held(), held);
        assert!(held <= BYTES && self.fragments.open.len() <= DATAGRAMS);
        taken
    }

    fn count(&self, name: &str) -> u64 {
        self.counts.0.get(name).copied().unwrap_or(0)
    }
}

fn whole(taken: FragmentOutcome) -> Option<Vec<u8>> {
    match taken {
        FragmentOutcome::Whole(whole) => Some(whole.payload().to_vec()),
        FragmentOutcome::Kept | FragmentOutcome::Alone => None,
    }
}

/// The data of a datagram with a UDP header before `n` bytes.
fn datagram(n: usize) -> Vec<u8> {
    let mut data = vec![0, 53, 0, 53];
    data.extend_from_slice(&(8 + n as u16).to_be_bytes());
    data.extend_from_slice(&[0, 0]);
    data.extend((0..n).map(|i| i as u8));
    data
}

/// With a shard's room under the smallest budget the longest datagram fits, in fragments in order
/// or in reverse order.
#[test]
fn the_longest_datagram_fits_the_least_room() {
    let data = datagram(65_000);
    let starts: Vec<usize> = (0..data.len()).step_by(1_480).collect();
    let (first, rest) = starts.split_first().unwrap();
    for backwards in [false, true] {
        let fragments = Fragments::new(80 * 1_024);
        let mut bench = Bench { fragments, ..Bench::default() };
        let mut order = vec![*first];
        order.extend(rest);
        if backwards {
            order[1..].reverse();
        }
        let mut read = None;
        for at in order {
            let end = data.len().min(at + 1_480);
            let (more, at16) = (end < data.len(), at as u16);
            let part = Part { id: 1, at: at16, data: &data[at..end], more, second: 0 };
            read = read.or(whole(bench.take(part)));
        }
        assert_eq!(read.as_deref(), data.get(8..), "{backwards}");
        assert_eq!(bench.count("datagrams_evicted"), 0);
    }
}

fn part(data: &[u8], at: usize, to: usize) -> Part<'_> {
    let more = to < data.len();
    Part { id: 7, at: at as u16, data: &data[at..to], more, second: 0 }
}

#[test]
fn a_doubtful_time_does_not_expire_fragments() {
    let (data, other) = (datagram(40), datagram(40));
    let mut bench = Bench::default();
    assert!(whole(bench.take(part(&data, 0, 16))).is_none());
    let stray = Part { id: 8, second: 36_000, ..part(&other, 0, 16) };
    // The run's clock does not follow it.
    let stray_packet = Packet { clock: 1_000, ..packet(&stray) };
    assert!(whole(bench.take_packet(&stray_packet, &frame(&stray))).is_none());
    let rest = whole(bench.take(part(&data, 16, 48)));
    assert_eq!(rest.as_deref(), Some(&data[8..]));
    assert_eq!(bench.count("DatagramsIncomplete"), 0);
}

#[test]
fn the_last_missing_piece_gives_the_whole() {
    let data = datagram(40);
    let mut bench = Bench::default();
    assert!(whole(bench.take(part(&data, 0, 16))).is_none());
    assert!(whole(bench.take(part(&data, 32, 48))).is_none());
    assert_eq!(whole(bench.take(part(&data, 16, 32))).unwrap(), &data[8..]);
    assert_eq!(bench.count("datagrams_joined"), 1);
    assert!(bench.fragments.open.is_empty());
    assert!(whole(bench.take(part(&data, 16, 32))).is_none());
    assert_eq!(bench.count("fragments_apart"), 1, "of a datagram that is over");
}

#[test]
fn an_exact_copy_changes_nothing_and_any_other_overlap_voids_the_datagram() {
    let data = datagram(40);
    let mut bench = Bench::default();
    bench.take(part(&data, 0, 16));
    bench.take(part(&data, 0, 16));
    bench.take(part(&data, 32, 48));
    bench.take(part(&data, 32, 48));
    assert_eq!(whole(bench.take(part(&data, 16, 32))).unwrap(), &data[8..]);

    let mut other = data.clone();
    other[20] ^= 1;
    let beyond = datagram(64);
    let clashes = [
        part(&other, 16, 32),
        part(&data, 16, 24),
        part(&data, 8, 24),
        part(&beyond, 32, 64),
        Part { more: false, ..part(&data, 16, 24) },
        Part { more: true, ..part(&data, 32, 45) },
        Part { at: 65_528, ..part(&data, 0, 16) },
    ];
    for (n, clash) in clashes.into_iter().enumerate() {
        let mut bench = Bench::default();
        bench.take(part(&data, 0, 16));
        bench.take(part(&data, 16, 32));
        if n == 3 {
            bench.take(part(&data, 40, 48));
        }
        assert!(whole(bench.take(clash)).is_none());
        assert!(whole(bench.take(part(&data, 32, 48))).is_none(), "case {n}");
        assert!(whole(bench.take(part(&data, 0, 16))).is_none(), "case {n}");
        assert!(whole(bench.take(part(&data, 16, 48))).is_none(), "case {n}");
        assert_eq!(bench.count("datagrams_overlapping"), 1, "case {n}");
        assert_eq!(bench.fragments.held.held(), 0);
    }
}

#[test]
fn thirty_seconds_and_no_more() {
    let data = datagram(8);
    let mut bench = Bench::default();
    bench.take(part(&data, 0, 8));
    let rest = part(&data, 8, 16);
    assert!(whole(bench.take(Part { second: 31, ..rest })).is_none());
    assert_eq!((bench.count("datagrams_incomplete"), bench.count("fragments_apart")), (1, 1));
    bench.take(Part { second: 40, ..part(&data, 0, 8) });
    assert!(whole(bench.take(Part { second: 70, ..rest })).is_some());
    bench.take(Part { second: 71, ..part(&data, 0, 8) });
    bench.fragments.close(&mut bench.counts);
    assert_eq!(bench.count("datagrams_incomplete"), 2);
}

#[test]
fn the_oldest_datagram_is_evicted_at_either_cap() {
    let data = datagram(8);
    let mut bench = Bench::default();
    for id in 0..100 {
        bench.take(Part { id, ..part(&data, 0, 8) });
    }
    assert_eq!(bench.count("datagrams_evicted"), 36);
    assert!(whole(bench.take(Part { id: 35, ..part(&data, 8, 16) })).is_none());
    assert!(whole(bench.take(Part { id: 36, ..part(&data, 8, 16) })).is_some());

    let mut bench = Bench::default();
    for id in 0..40 {
        bench.take(Part { id, ..part(&data, 0, 8) });
        bench.take(Part { id, at: 64_000, more: true, ..part(&data, 8, 16) });
    }
    assert_eq!(bench.fragments.open.len(), 16);
    assert_eq!(bench.count("datagrams_evicted"), 24);
}

#[test]
fn a_fragment_cut_by_a_snap_length_is_not_used() {
    let data = datagram(40);
    let mut bench = Bench::default();
    let first = part(&data, 0, 24);
    let cut = Packet { payload_len: 10, payload_missing: 6, ..packet(&first) };
    assert!(whole(bench.take_packet(&cut, &frame(&first))).is_none());
    assert!(whole(bench.take(part(&data, 24, 48))).is_none());
    assert_eq!((bench.count("fragments_apart"), bench.fragments.open.len()), (2, 0));
}

#[test]
fn fragments_that_cannot_be_reassembled_are_counted_alone() {
    let data = datagram(8);
    let first = part(&data, 0, 8);
    let mut bytes = frame(&first);
    bytes[6] = 0;
    let plain = packet(&first);
    let inside = Packet { flags: PacketFlags(FIRST | PacketFlags::TUNNELLED), ..plain };
    let mut bench = Bench::default();
    assert!(matches!(bench.take_packet(&inside, &bytes), FragmentOutcome::Alone));
    assert_eq!(bench.count("fragments_apart"), 0);
    assert!(matches!(bench.take_packet(&plain, &bytes), FragmentOutcome::Alone));
    assert_eq!(bench.count("fragments_apart"), 1);
}

proptest! {
    #[test]
    fn any_order_behind_the_first_gives_the_same_bytes(
        length in 1usize..3_000,
        step in 1usize..40,
        order in any::<u64>(),
    ) {
        let data = datagram(length);
        let step = step * 8;
        let mut starts: Vec<usize> = (0..data.len()).step_by(step).skip(1).collect();
        prop_assume!(!starts.is_empty());
        starts.sort_by_key(|at| (*at as u64).wrapping_mul(order | 1));
        let mut bench = Bench::default();
        prop_assert!(whole(bench.take(part(&data, 0, step))).is_none());
        let last = starts.pop().unwrap();
        for at in starts {
            let piece = part(&data, at, data.len().min(at + step));
            prop_assert!(whole(bench.take(piece)).is_none());
        }
        let piece = part(&data, last, data.len().min(last + step));
        prop_assert_eq!(whole(bench.take(piece)).unwrap(), &data[8..]);
    }

    #[test]
    fn any_pieces_stay_within_the_caps(
        pieces in proptest::collection::vec(any::<(u16, u16, u8, bool)>(), 0..200),
    ) {
        let data = datagram(60);
        let mut bench = Bench::default();
        for (id, at, len, more) in pieces {
            let (id, at, len) = (id % 90, at % 300, 8 + usize::from(len) % 52);
            let at = if at % 3 == 0 { 0 } else { at * 208 };
            bench.take(Part { id, at, data: &data[..len], more, second: 0 });
        }
    }
}
