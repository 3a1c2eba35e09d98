//! The table as a whole, with chosen packets and times.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::record::SessionState;
use crate::model::{Addr, Counter, FlowKey, Nanos, PacketFlags, Stamp, TcpFlags, Transport};

#[path = "tests_fragments.rs"]
mod fragments;
#[path = "room_tests.rs"]
mod room;
#[path = "tests_rtt_samples.rs"]
mod rtt_samples;
#[path = "updates_tests.rs"]
mod updates;

const SYN: u8 = TcpFlags::SYN;
const ACK: u8 = TcpFlags::ACK;
const FIN: u8 = TcpFlags::FIN;
const RST: u8 = TcpFlags::RST;

/// A client (side a, port 40000 + n) and a server (side b, port 50000): the ports do not show who
/// answers.
#[allow(clippy::too_many_arguments, reason = "a packet in a line of a test reads best so")]
fn packet(n: u16, from_client: bool, at_ms: u64, flags: u8, seq: u32, ack: u32) -> Packet {
    let key = FlowKey {
        a: Addr::v4([10, 0, 0, 1]),
        b: Addr::v4([10, 0, 0, 2]),
        a_port: 40_000 + n,
        b_port: 50_000,
        transport: Transport::TCP,
        version: 4,
        ..FlowKey::default()
    };
    let flags_bits = if from_client { 0 } else { PacketFlags::FROM_B };
    Packet {
        time: Nanos::from_millis(1_000_000_000 + at_ms),
        clock: (1_000_000 + at_ms / 1_000) as u32,
        key,
        hash: u32::from(n).wrapping_mul(2_654_435_761),
        frame_at: 0,
        number: 1,
        wire_len: 60,
        payload_len: 0,
        payload_missing: 0,
        seq,
        ack,
        l4_at: 0,
        l4_len: 0,
        tcp_flags: TcpFlags(flags),
        ttl: 64,
        flags: PacketFlags(flags_bits),
        stamp: Stamp::PLAIN,
        shard: 0,
    }
}

/// Collects the bytes of each side, with `!` for lost bytes.
#[derive(Default)]
struct TestListener {
    finished: Vec<Finished<Delivered>>,
    counts: BTreeMap<&'static str, u64>,
    /// The updates of open sessions, each with the number of bytes received.
    updates: Vec<(Record, usize)>,
    /// Deliveries after which it stops.
    patience: usize,
    /// Deliveries after which it takes gaps.
    in_order: Option<usize>,
}

#[derive(Debug, Default)]
struct Delivered {
    initiator: Vec<u8>,
    responder: Vec<u8>,
    deliveries: usize,
}

impl Weighed for Delivered {
    fn weight(&self) -> Weight {
        Weight { waiting: 0, kept: self.initiator.len() + self.responder.len() }
    }
}

impl Listener<Delivered> for TestListener {
    fn deliver(&mut self, extra: &mut Option<Box<Delivered>>, delivery: &Segment<'_>) -> Interest {
        let delivered = extra.get_or_insert_default();
        delivered.deliveries += 1;
        let deliveries = delivered.deliveries;
        let side = match delivery.from {
            Peer::Initiator => &mut delivered.initiator,
            Peer::Responder => &mut delivered.responder,
        };
        if delivery.gap {
            side.push(b'!');
        }
        side.extend_from_slice(delivery.payload);
        if deliveries >= self.patience { Interest::Done } else { Interest::More }
    }

    fn takes_gaps(&self, extra: Option<&Delivered>) -> bool {
        let deliveries = extra.map_or(0, |delivered| delivered.deliveries);
        self.in_order.is_some_and(|most| deliveries >= most)
    }

    fn update(&mut self, update: Update<'_, Delivered>) {
        let delivered = update
            .extra
            .map_or(0, |delivered| delivered.initiator.len() + delivered.responder.len());
        self.updates.push((update.record, delivered));
    }

    fn finish(&mut self, finished: Finished<Delivered>) {
        self.finished.push(finished);
    }

    fn count(&mut self, counter: Counter, n: u64) {
        *self.counts.entry(counter.name()).or_default() += n;
    }
}

struct Bench {
    shard: Shard<Delivered>,
    listener: TestListener,
}

impl Bench {
    fn new(cap: usize) -> Bench {
        let listener = TestListener { patience: usize::MAX, ..TestListener::default() };
        Bench { shard: Shard::new(cap, Timeouts::default()), listener }
    }

    fn feed(&mut self, mut packet: Packet, payload: &[u8]) {
        packet.payload_len = payload.len() as u32;
        self.touch(&packet, payload);
    }

    fn touch(&mut self, packet: &Packet, frame: &[u8]) {
        let hint = self.shard.locate(packet);
        self.shard.touch(Arrival { packet, frame, file: 0 }, hint, &mut self.listener);
    }

    fn handshake(&mut self) {
        self.feed(packet(0, true, 0, SYN, 99, 0), b"");
        self.feed(packet(0, false, 30, SYN | ACK, 499, 100), b"");
        self.feed(packet(0, true, 37, ACK, 100, 500), b"");
    }

    fn end(mut self) -> Vec<Finished<Delivered>> {
        self.shard.drain(u32::MAX, &mut self.listener);
        assert!(self.shard.is_empty());
        self.listener.finished
    }
}

fn delivered(finished: &Finished<Delivered>) -> (&[u8], &[u8]) {
    finished.extra.as_ref().map_or((b"", b""), |h| (&h.initiator[..], &h.responder[..]))
}

#[test]
fn a_whole_connection_is_one_record_with_two_legs() {
    let mut bench = Bench::new(8);
    bench.handshake();
    bench.feed(packet(0, true, 40, ACK, 100, 500), b"hello");
    bench.feed(packet(0, false, 70, ACK, 500, 105), b"world!");
    bench.feed(packet(0, true, 80, FIN | ACK, 105, 506), b"");
    bench.feed(packet(0, false, 90, FIN | ACK, 506, 106), b"");
    bench.feed(packet(0, true, 95, ACK, 106, 507), b"");
    let done = bench.end();
    let record = &done[0].record;
    assert_eq!(done.len(), 1);
    assert_eq!(record.state, SessionState::Closed);
    assert_eq!(
        (record.far.handshake_ns, record.near.handshake_ns),
        (Some(30_000_000), Some(7_000_000))
    );
    assert_eq!((record.initiator.port, record.responder.port), (40_000, 50_000));
    assert_eq!((record.initiator.packets, record.responder.packets), (5, 3));
    assert_eq!(record.initiator.bytes, 300);
    assert_eq!(delivered(&done[0]), (&b"hello"[..], &b"world!"[..]));
}

#[test]
fn early_segments_wait_their_turn_and_repeats_are_counted() {
    let mut bench = Bench::new(8);
    bench.handshake();
    bench.feed(packet(0, true, 41, ACK, 103, 500), b"def");
    bench.feed(packet(0, true, 42, ACK, 106, 500), b"ghi");
    bench.feed(packet(0, true, 43, ACK, 100, 500), b"abc");
    bench.feed(packet(0, true, 44, ACK, 100, 500), b"abc");
    let done = bench.end();
    assert_eq!(delivered(&done[0]).0, b"abcdefghi");
    let quality = done[0].record.quality;
    assert_eq!((quality.out_of_order, quality.retransmits, quality.gaps), (2, 1, 0));
}

#[test]
fn bytes_the_peer_acknowledged_but_nobody_saw_are_a_gap() {
    let mut bench = Bench::new(8);
    bench.handshake();
    bench.feed(packet(0, true, 41, ACK, 103, 500), b"def");
    bench.feed(packet(0, false, 70, ACK, 500, 106), b"");
    bench.feed(packet(0, true, 80, ACK, 106, 500), b"ghi");
    let done = bench.end();
    assert_eq!(delivered(&done[0]).0, b"!defghi");
    assert_eq!(done[0].record.quality.gaps, 1);
}

#[test]
fn a_session_no_longer_parsed_still_counts_packets() {
    let mut bench = Bench::new(8);
    bench.listener.patience = 1;
    bench.handshake();
    bench.feed(packet(0, true, 41, ACK, 100, 500), b"abc");
    bench.feed(packet(0, true, 42, ACK, 109, 500), b"jkl");
    bench.feed(packet(0, true, 43, ACK, 103, 500), b"defghi");
    let done = bench.end();
    assert_eq!(delivered(&done[0]).0, b"abc");
    let quality = done[0].record.quality;
    assert_eq!((quality.out_of_order, quality.gaps), (1, 0));
}

#[test]
fn a_fresh_syn_on_the_same_ports_is_another_session() {
    let states = |after: u64| {
        let mut bench = Bench::new(8);
        bench.handshake();
        bench.feed(packet(0, true, after, SYN, 7_777, 0), b"");
        bench.feed(packet(0, false, after + 10, RST | ACK, 0, 7_778), b"");
        bench.end().iter().map(|f| f.record.state).collect::<Vec<_>>()
    };
    assert_eq!(states(70_000), [SessionState::Established, SessionState::Reset]);
    // While it is under way anybody may have written both.
    assert_eq!(states(2_000), [SessionState::Established]);
}

#[test]
fn sessions_that_begin_at_the_same_time_on_the_same_ports_are_told_apart() {
    let mut bench = Bench::new(8);
    for seq in [100, 90_000, 200_000] {
        bench.feed(packet(0, true, 5, SYN, seq, 0), b"");
        bench.feed(packet(0, true, 5, RST, seq + 1, 0), b"");
    }
    bench.feed(packet(0, true, 6, SYN, 300_000, 0), b"");
    bench.feed(packet(1, true, 6, SYN, 300_000, 0), b"");
    let mut done: Vec<_> = bench.end().iter().map(|f| (f.record.start, f.record.twin)).collect();
    done.sort();
    let at = |ms: u64| Nanos::from_millis(1_000_000_000 + ms);
    assert_eq!(done, [(at(5), 0), (at(5), 1), (at(5), 2), (at(6), 0), (at(6), 0)]);
}

#[test]
fn silence_ends_a_session_and_the_next_packet_opens_another() {
    let mut bench = Bench::new(8);
    bench.handshake();
    // No timer has come up meanwhile: the packet itself finds that its session has ended.
    let later = u64::from(Timeouts::default().tcp_established) * 1_000 + 2_000;
    bench.feed(packet(0, true, later, ACK, 100, 500), b"x");
    let done = bench.end();
    let states: Vec<SessionState> = done.iter().map(|f| f.record.state).collect();
    assert_eq!(states, [SessionState::Timeout, SessionState::Half]);
}

#[test]
fn a_session_ends_at_its_own_deadline_whatever_its_first_packet_was() {
    let opened = u64::from(Timeouts::default().tcp_opened);
    let mut bench = Bench::new(8);
    bench.feed(packet(0, true, 0, SYN, 1, 0), b"");
    bench.shard.expire((1_000_000 + opened) as u32, &mut bench.listener);
    assert!(bench.listener.finished.is_empty());
    bench.shard.expire((1_000_001 + opened) as u32, &mut bench.listener);
    assert_eq!(bench.listener.finished.len(), 1);
    assert_eq!(bench.listener.finished[0].record.at, Nanos::from_secs(1_000_000 + opened));
}

#[test]
fn at_the_cap_sessions_nearest_to_their_timeout_are_evicted() {
    let mut bench = Bench::new(3);
    for n in 0..3 {
        bench.feed(packet(n, true, u64::from(n) * 1_500, SYN, 1, 0), b"");
    }
    bench.feed(packet(9, true, 4_600, SYN, 1, 0), b"");
    assert_eq!(bench.listener.finished.len(), 1);
    assert_eq!(bench.listener.finished[0].record.initiator.port, 40_000);
    assert_eq!(bench.listener.counts.get("evicted"), Some(&1));
    assert_eq!(bench.end().len(), 4);
}

#[test]
fn a_later_fragment_is_counted_but_never_read_as_tcp() {
    let mut bench = Bench::new(8);
    bench.handshake();
    let mut fragment = packet(0, true, 40, SYN | RST | FIN, 0, 0);
    fragment.flags = PacketFlags(PacketFlags::FRAGMENT_LATER);
    fragment.tcp_flags = TcpFlags(0);
    bench.feed(fragment, b"middle of something");
    let done = bench.end();
    assert_eq!(done[0].record.state, SessionState::Established);
    assert_eq!(done[0].record.initiator.packets, 3);
    assert_eq!(delivered(&done[0]), (&b""[..], &b""[..]));
    assert_eq!(done[0].record.quality.gaps, 0);
}

#[test]
fn a_mac_is_only_read_from_a_frame_that_has_one() {
    let mut bench = Bench::new(8);
    let mut syn = packet(0, true, 0, SYN, 1, 0);
    syn.flags = PacketFlags(PacketFlags::ETHERNET);
    bench.feed(syn, b"dddddd\x02\0\0\0\0\x01");
    bench.feed(packet(0, false, 30, SYN | ACK, 9, 2), b"a raw IP header");
    let done = bench.end();
    assert_eq!(done[0].record.initiator.mac, Some([2, 0, 0, 0, 0, 1]));
    assert_eq!(done[0].record.responder.mac, None);
}

#[test]
fn a_reply_seen_first_does_not_swap_the_ends() {
    let mut bench = Bench::new(8);
    let mut reply = packet(0, false, 0, 0, 0, 0);
    reply.key.transport = Transport::UDP;
    reply.key.b_port = 53;
    bench.feed(reply, b"answer");
    let done = bench.end();
    assert_eq!(done[0].record.initiator.port, 40_000);
    assert!(done[0].record.quality.one_way);
}

/// Packets that can be sent without seeing the stream end nothing and revoke nothing.
#[test]
fn forged_ends_and_openings_change_nothing() {
    let mut bench = Bench::new(10);
    bench.feed(packet(0, true, 0, SYN, 99, 0), b"");
    bench.feed(packet(0, false, 1, RST | ACK, 0, 7_777), b"");
    bench.feed(packet(0, false, 30, SYN | ACK, 499, 100), b"");
    bench.feed(packet(0, true, 37, ACK, 100, 500), b"");
    bench.feed(packet(0, false, 40, RST, 499 + (1 << 29), 0), b"");
    bench.feed(packet(0, false, 41, FIN | ACK, 499 + (1 << 31), 100), b"");
    bench.feed(packet(0, false, 42, SYN, 123_456, 0), b"");
    bench.feed(packet(0, true, 50, ACK, 100, 500), b"abc");
    bench.feed(packet(0, false, 51, SYN | ACK, 900, 7_000), b"");
    bench.feed(packet(0, true, 52, SYN | ACK, 99, 500), b"");
    assert_eq!(bench.listener.counts["ends_implausible"], 3);
    assert_eq!(bench.listener.counts["openings_implausible"], 3);
    let done = bench.end();
    assert_eq!((done.len(), done[0].record.state), (1, SessionState::Established));
    let (near, far) = (done[0].record.near.handshake_ns, done[0].record.far.handshake_ns);
    assert_eq!((near, far), (Some(7_000_000), Some(30_000_000)));

    let mut bench = Bench::new(10);
    bench.handshake();
    bench.feed(packet(0, false, 40, RST, 500, 0), b"");
    assert_eq!(bench.end()[0].record.state, SessionState::Reset);
}

/// If the sensor cannot know better, an end is believed.
#[test]
fn a_plausible_end_ends_the_session() {
    let syn = packet(0, true, 0, SYN, 99, 0);
    let data = packet(0, true, 5, ACK, 100, 500);
    type Fed<'a> = (Packet, &'a [u8]);
    let cases: [(&str, &[Fed<'_>], Packet); 6] = [
        ("refused", &[(syn, b"")], packet(0, false, 9, RST | ACK, 0, 100)),
        ("refused with its data", &[(syn, b"abc")], packet(0, false, 9, RST | ACK, 0, 103)),
        ("SYN-ACK lost", &[(syn, b""), (data, b"abc")], packet(0, false, 9, RST | ACK, 8, 103)),
        ("taken up midway", &[(data, b"abc")], packet(0, false, 9, RST, 1 << 30, 0)),
        ("one-way", &[(syn, b""), (data, b"abc")], packet(0, true, 9, RST, 103, 0)),
        ("some bytes lost", &[(data, b"abc")], packet(0, true, 9, RST, 100_000, 0)),
    ];
    for (name, before, end) in cases {
        let mut bench = Bench::new(8);
        before.iter().for_each(|(packet, payload)| bench.feed(*packet, payload));
        bench.feed(end, b"");
        assert_eq!(bench.listener.counts.get("ends_implausible"), None, "{name}");
        assert_eq!(bench.end()[0].record.state, SessionState::Reset, "{name}");
    }
    let mut bench = Bench::new(8);
    bench.feed(syn, b"");
    bench.feed(packet(0, false, 9, RST, 0, 0), b"");
    bench.feed(packet(0, false, 9, RST | ACK, 0, 101), b"");
    assert_eq!(bench.listener.counts["ends_implausible"], 2, "acknowledges what was never sent");
}

/// One segment far away neither advances a stream nor is delivered; two consecutive ones do.
#[test]
fn a_segment_out_of_range_is_ignored_until_a_second_continues_it() {
    for patience in [1, usize::MAX] {
        let mut bench = Bench::new(8);
        bench.listener.patience = patience;
        bench.handshake();
        bench.feed(packet(0, true, 41, ACK, 100, 500), b"abc");
        bench.feed(packet(0, true, 42, ACK, 1 << 29, 500), b"wild");
        bench.feed(packet(0, true, 43, ACK, 103, 500), b"def");
        bench.feed(packet(0, true, 44, ACK, 100, 500), b"abc");
        let quality = |bench: Bench| {
            let done = bench.end();
            (delivered(&done[0]).0.to_vec(), done[0].record.quality)
        };
        let (delivered, quality) = quality(bench);
        assert_eq!(delivered, if patience == 1 { b"abc".to_vec() } else { b"abcdef".to_vec() });
        assert_eq!((quality.out_of_order, quality.retransmits, quality.gaps), (1, 1, 0));
    }
    let mut bench = Bench::new(8);
    bench.handshake();
    bench.feed(packet(0, true, 41, ACK, 100, 500), b"abc");
    bench.feed(packet(0, true, 42, ACK, 1 << 29, 500), b"far");
    // In the opening of a stream the peer has to acknowledge it.
    bench.feed(packet(0, false, 42, ACK, 500, (1 << 29) + 3), b"");
    bench.feed(packet(0, true, 43, ACK, (1 << 29) + 3, 500), b"ther");
    let done = bench.end();
    assert_eq!(delivered(&done[0]).0, b"abc!ther");
    assert_eq!(done[0].record.quality.gaps, 1);
}

/// The near leg is the round trip of a bare ACK. Data instead may have been delayed by the
/// application.
#[test]
fn data_in_place_of_the_ack_is_no_round_trip() {
    let mut bench = Bench::new(10);
    bench.feed(packet(0, true, 0, SYN, 99, 0), b"");
    bench.feed(packet(0, false, 30, SYN | ACK, 499, 100), b"");
    bench.feed(packet(0, true, 2_000, ACK, 100, 500), b"GET");
    let done = bench.end();
    assert_eq!(done[0].record.near.handshake_ns, None);
    assert_eq!(done[0].record.far.handshake_ns, Some(30_000_000));
}

/// Timers of ended sessions stay in the wheel until their second comes; if there are too many they
/// are removed, and every session is still handed over on time.
#[test]
fn timers_out_of_date_do_not_pile_up() {
    let mut bench = Bench::new(100_000);
    let short = 60_000;
    for n in 0..short {
        let port = n as u16 % 5_000;
        bench.feed(packet(port, true, 0, SYN, n, 0), b"");
        bench.feed(packet(port, false, 1, RST | ACK, 0, n + 1), b"");
    }
    assert!(bench.shard.timers() <= 4 * bench.shard.len() + 16_384, "{}", bench.shard.timers());
    bench.shard.expire(1_000_100, &mut bench.listener);
    bench.feed(packet(9_000, true, 100_000, SYN, 1, 0), b"");
    assert_eq!(bench.shard.len(), 1);
    let opened = bench.listener.counts["sessions"];
    assert_eq!((opened, bench.end().len() as u64), (u64::from(short) + 1, opened));
}

proptest! {
    /// However a stream is cut, repeated and reordered within the buffer's capacity, the listener
    /// gets it once and in order.
    #[test]
    fn any_order_of_segments_is_delivered_as_sent(
        cuts in proptest::collection::vec(1usize..40, 1..20),
        order in any::<u64>(),
    ) {
        let mut start = 0usize;
        let mut segments: Vec<(usize, usize)> = cuts.iter().map(|len| {
            let segment = (start, *len);
            start += len;
            segment
        }).collect();
        let sent: Vec<u8> = (0..start).map(|n| n as u8).collect();
        let mut seed = order;
        for i in (1..segments.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            segments.swap(i, (seed >> 33) as usize % (i + 1));
        }
        let mut bench = Bench::new(8);
        bench.handshake();
        for (at, len) in segments {
            let p = packet(0, true, 50, ACK, 100 + at as u32, 500);
            bench.feed(p, &sent[at..at + len]);
        }
        let done = bench.end();
        prop_assert_eq!(delivered(&done[0]).0, &sent[..]);
        prop_assert_eq!(done[0].record.quality.gaps, 0);
    }

    /// With any packets: nothing panics, every opened session is handed over exactly once.
    #[test]
    fn every_session_opened_is_handed_over(
        packets in proptest::collection::vec(
            (0u16..4, any::<bool>(), 0u64..9_000_000, any::<u8>(), 0u32..64, 0u32..64, 0usize..9),
            1..120,
        ),
    ) {
        let mut bench = Bench::new(3);
        let mut clock = 0;
        for (n, client, at, flags, seq, ack, len) in packets {
            let mut p = packet(n, client, at, flags & 0x1f, seq, ack);
            clock = clock.max(p.clock);
            p.clock = clock;
            bench.feed(p, &[7; 9][..len]);
        }
        let opened = bench.listener.counts.get("sessions").copied().unwrap_or(0);
        prop_assert_eq!(bench.end().len() as u64, opened);
    }
}
