//! Duplicates are found whatever the network rewrote; retransmissions are kept.

use proptest::prelude::*;

use super::*;
use crate::model::{FlowKey, Stamp};

/// Offset of the transport header behind 14 bytes of Ethernet and 20 of IP.
const L4_AT: usize = 34;

/// A packet that can be varied, and its frame.
#[derive(Clone, Debug)]
struct Sample {
    packet: Packet,
    frame: Vec<u8>,
    ident: Ident,
    vlan: u16,
    outer_ttl: u8,
}

impl Sample {
    fn new(transport: Transport, header: &[u8], payload: &[u8]) -> Sample {
        let mut frame = vec![7; L4_AT];
        frame.extend(header);
        frame.extend(payload);
        let key =
            FlowKey { a_port: 443, b_port: 50_000, transport, version: 4, ..FlowKey::default() };
        let packet = Packet {
            time: Nanos(1_700_000_000_123_456_789),
            key,
            clock: 1_700_000_000,
            wire_len: frame.len() as u32,
            hash: 0x1234_5678,
            frame_at: 0,
            number: 1,
            payload_len: payload.len() as u32,
            payload_missing: 0,
            seq: 1,
            ack: 2,
            l4_at: L4_AT as u16,
            l4_len: header.len() as u8,
            tcp_flags: TcpFlags(if transport == Transport::TCP { TcpFlags::ACK } else { 0 }),
            ttl: 64,
            flags: PacketFlags(PacketFlags::ETHERNET),
            shard: 0,
            stamp: Stamp::PLAIN,
        };
        Sample { packet, frame, ident: Ident::v4(77, 0x4000), vlan: 0, outer_ttl: 0 }
    }

    fn tcp(payload: &[u8]) -> Sample {
        Sample::new(Transport::TCP, &[9; 20], payload)
    }

    fn udp(payload: &[u8]) -> Sample {
        Sample::new(Transport::UDP, &[9, 9, 9, 9, 0, 9, 0, 0], payload)
    }

    /// The same without an IP identification.
    fn unnamed(self) -> Sample {
        Sample { ident: Ident::v6(5), ..self }
    }

    fn flags(mut self, flags: u8) -> Sample {
        self.packet.tcp_flags = TcpFlags(flags);
        self
    }

    fn ttl(mut self, ttl: u8) -> Sample {
        self.packet.ttl = ttl;
        self
    }

    fn after(&self, ns: u64) -> Sample {
        let mut later = self.clone();
        later.packet.time = self.packet.time.plus(Nanos(ns));
        later
    }

    fn byte(mut self, at: usize, byte: u8) -> Sample {
        self.frame[at] = byte;
        self
    }
}

struct Bench {
    copies: Duplicates,
    counters: Counters,
}

impl Bench {
    fn new() -> Bench {
        let copies = Duplicates::new(Nanos(1_000_000), [11, 22, 33, 44]);
        Bench { copies, counters: Counters::default() }
    }

    /// Whether the sample is a duplicate of what came before it.
    fn is_copy(&mut self, sample: &Sample) -> bool {
        let mut packet = sample.packet;
        let Sample { frame, ident, vlan, outer_ttl, .. } = sample;
        let context = FrameContext { frame, ident: *ident, vlan: *vlan, outer_ttl: *outer_ttl };
        self.copies.mark(&mut packet, &context, &mut self.counters);
        packet.flags.has(PacketFlags::DUPLICATE)
    }
}

/// Whether the second sample is a duplicate of the first.
fn pair(first: &Sample, second: &Sample) -> bool {
    let mut bench = Bench::new();
    assert!(!bench.is_copy(first));
    bench.is_copy(second)
}

const US: u64 = 1_000;

#[test]
fn fields_that_a_network_rewrites_are_ignored() {
    let first = Sample::tcp(b"hello");
    assert!(pair(&first, &first.after(1)));
    assert!(pair(&first, &first.after(900 * US).ttl(63)));
    assert!(pair(&first, &first.after(900 * US).byte(3, 99)), "MAC");
    assert!(pair(&first, &first.after(900 * US).byte(15, 0x28)), "traffic class");
    assert!(pair(&first, &Sample { vlan: 20, ..first.after(900 * US) }));
    let mut tunnelled = first.after(50 * US);
    tunnelled.frame.splice(0..0, [1; 50]);
    tunnelled.packet.l4_at += 50;
    tunnelled.packet.flags.0 |= PacketFlags::TUNNELLED;
    assert!(pair(&first, &tunnelled));
    let routed = Sample { outer_ttl: 60, ..tunnelled.after(850 * US) };
    tunnelled.outer_ttl = 61;
    assert!(pair(&tunnelled.unnamed(), &routed.unnamed()), "outer TTL");
    let mut padded = first.after(50 * US);
    padded.frame.extend([0; 6]);
    assert!(pair(&first, &padded), "padding is not the packet's");
}

#[test]
fn a_packet_sent_again_is_kept() {
    let first = Sample::tcp(b"hello");
    assert!(!pair(&first, &Sample { ident: Ident::v4(78, 0x4000), ..first.after(US) }));
    assert!(!pair(&first, &first.after(1_001 * US)), "too late");
    for at in L4_AT..first.frame.len() {
        assert!(!pair(&first, &first.after(US).byte(at, 200)), "byte {at}");
    }
    let mut elsewhere = first.after(US);
    elsewhere.packet.hash ^= 1;
    assert!(!pair(&first, &elsewhere), "another key, for example another capture point");
    let mut longer = first.after(US);
    longer.packet.payload_missing = 7;
    assert!(!pair(&first, &longer));
    let mut back = first.after(US);
    back.packet.flags.0 |= PacketFlags::FROM_B;
    assert!(!pair(&first, &back));
    assert!(!pair(&first, &Sample { ident: Ident::v4(77, 0x20b9), ..first.after(US) }), "fragment");
}

#[test]
fn without_an_ip_id_a_duplicate_must_differ_or_follow_at_once() {
    let data = Sample::tcp(b"hello").unnamed();
    assert!(pair(&data, &data.after(99 * US)));
    assert!(!pair(&data, &data.after(101 * US)));
    assert!(pair(&data, &data.after(900 * US).ttl(63)));
    let ack = Sample::tcp(b"").unnamed();
    assert!(!pair(&ack, &ack.after(US)), "a receiver repeats its ACK");
    assert!(pair(&ack, &ack.after(900 * US).ttl(63)));
    let fin = ack.clone().flags(TcpFlags::ACK | TcpFlags::FIN);
    assert!(pair(&fin, &fin.after(99 * US)) && !pair(&fin, &fin.after(101 * US)));
    let syn = ack.flags(TcpFlags::SYN);
    assert!(pair(&syn, &syn.after(900 * US)), "a SYN is never sent again so soon");
    let datagram = Sample::udp(b"question").unnamed();
    assert!(pair(&datagram, &datagram.after(99 * US)));
    assert!(!pair(&datagram, &datagram.after(101 * US)));
}

#[test]
fn three_equal_acks_and_their_routed_copies_are_three_acks() {
    let mut bench = Bench::new();
    let ack = Sample::tcp(b"").unnamed();
    let mut kept = 0;
    for n in 0..3 {
        let sent = ack.after(n * 30 * US);
        kept += u32::from(!bench.is_copy(&sent));
        assert!(bench.is_copy(&sent.after(12 * US).ttl(63)));
    }
    assert_eq!(kept, 3);
    assert_eq!(bench.counters.get(Counter::CopiesDoubtful), 2);
    assert_eq!(bench.counters.get(Counter::Duplicates), 3);
}

#[test]
fn datagrams_without_checksum_that_end_differently_are_two() {
    let mut payload = [5; 200];
    let first = Sample::udp(&payload);
    payload[199] = 6;
    let mut second = Sample::udp(&payload);
    second.packet.time = first.packet.time.plus(Nanos(US));
    assert!(!pair(&first, &second));
}

#[test]
fn copies_truncated_at_different_lengths_are_found_by_their_checksum() {
    let cut = |mut sample: Sample, bytes: usize| {
        let gone = bytes as u32;
        sample.frame.truncate(sample.frame.len() - bytes);
        sample.packet.payload_len -= gone;
        sample.packet.payload_missing += gone;
        sample.packet.flags.0 |= PacketFlags::TRUNCATED;
        sample
    };
    let tcp = Sample::tcp(&[1; 60]);
    assert!(pair(&cut(tcp.clone(), 20), &cut(tcp.after(US), 24)));
    let checked = Sample::udp(&[1; 60]).byte(L4_AT + 7, 9);
    assert!(pair(&cut(checked.clone(), 20), &cut(checked.after(US), 24)));
    let body: Vec<u8> = (0..60).collect();
    let bare = Sample::udp(&body);
    assert!(!pair(&cut(bare.clone(), 20), &cut(bare.after(US), 24)), "in doubt it is no copy");
}

#[test]
fn differences_of_copies_are_counted_and_their_delay_measured() {
    let mut bench = Bench::new();
    for n in 0..1_000u32 {
        let mut first = Sample::tcp(&n.to_be_bytes()).after(u64::from(n) * 2_000 * US);
        first.vlan = 10;
        assert!(!bench.is_copy(&first));
        let mut copy = first.after(40 * US).ttl(63).byte(0, 9);
        copy.vlan = 20;
        assert!(bench.is_copy(&copy), "{n}");
    }
    let report = bench.copies.finish();
    let [point] = report.points.as_slice() else { panic!("{report:?}") };
    let counts = (point.copies, point.ttl, point.mac, point.vlan, point.tunnel, point.identical);
    assert_eq!(counts, (1_000, 1_000, 1_000, 1_000, 0, 0));
    assert_eq!(point.vlans, [((10, 20), 1_000)]);
    let median = point.skew_ns(0.5).unwrap() as f64;
    assert!((median / 40_000.0 - 1.0).abs() < 0.02, "{median}");
}

#[test]
fn a_table_too_small_forgets_the_oldest_and_counts_it() {
    let mut bench = Bench::new();
    let samples: Vec<Sample> =
        (0..20_000u32).map(|n| Sample::tcp(&n.to_be_bytes()).after(u64::from(n))).collect();
    assert!(samples.iter().all(|sample| !bench.is_copy(sample)));
    let held = SETS * WAYS;
    let forgotten = bench.counters.get(Counter::CopiesForgotten) as usize;
    assert!((20_000 - held..15_000).contains(&forgotten), "{forgotten}");
    let found = samples.iter().rev().take(100).filter(|s| bench.is_copy(&s.after(20 * US).ttl(63)));
    assert_eq!(found.count(), 100);
}

#[test]
fn points_beyond_the_cap_only_count() {
    let mut bench = Bench::new();
    for point in 0..200u16 {
        let mut first = Sample::tcp(&point.to_be_bytes());
        first.packet.key.point = point;
        assert!(!bench.is_copy(&first));
        assert!(bench.is_copy(&first.after(US)));
    }
    assert_eq!(bench.counters.get(Counter::Duplicates), 200);
    assert_eq!(bench.copies.finish().points.len(), POINTS_MAX);
}

proptest! {
    /// Packets of one flow, numbered by the sender, each duplicated after its own delay: every
    /// duplicate is found and no original is marked, in any order of arrival.
    #[test]
    fn every_duplicate_is_found_and_no_other_packet(
        gaps in proptest::collection::vec((0u64..300 * US, 1u64..900 * US), 1..120),
        named in any::<bool>(), is_tcp in any::<bool>(),
    ) {
        let mut at = 0;
        let mut all = Vec::new();
        for (n, (gap, delay)) in gaps.into_iter().enumerate() {
            at += gap;
            let body = (n as u64).to_be_bytes();
            let sample = if is_tcp { Sample::tcp(&body) } else { Sample::udp(&body) };
            let ident = Ident::v4(if named { n as u16 + 1 } else { 0 }, 0x4000);
            let first = Sample { ident, ..sample }.after(at);
            all.push((first.after(delay).ttl(63), true));
            all.push((first, false));
        }
        all.sort_by_key(|(sample, _)| sample.packet.time);
        let mut bench = Bench::new();
        for (sample, copy) in all {
            prop_assert_eq!(bench.is_copy(&sample), copy);
        }
    }

    /// Two packets that differ in any compared byte are two packets.
    #[test]
    fn a_changed_byte_makes_another_packet(
        body in proptest::collection::vec(any::<u8>(), 1..64), at in 0usize..84, by in 1u8..255,
    ) {
        let first = Sample::tcp(&body);
        let at = L4_AT + at.min(19 + body.len()).min(31);
        let changed = first.after(US).byte(at, first.frame[at] ^ by);
        prop_assert!(!pair(&first, &changed));
    }
}
