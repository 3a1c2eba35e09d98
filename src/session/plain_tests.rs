//! The pass over usual packets against the general way, with packets of all kinds.

use super::*;
use crate::bounded::Slab;
use crate::model::{Addr, Counter, FlowKey, Grain, Interest, Nanos, Segment, Trust};
use crate::session::Finished;
use crate::session::fragments::Fragments;
use crate::session::lasting::{Lasting, Pool};
use crate::session::waiting::Holdings;
use proptest::prelude::*;

/// Notes all that it is told.
#[derive(Debug, Default)]
struct Notes(Vec<String>);

/// A weight that grows, and then stops.
#[derive(Debug, Default)]
struct Kept(usize);

impl Weighed for Kept {
    fn weight(&self) -> Weight {
        Weight { waiting: 0, kept: self.0.min(2_000) }
    }
}

impl Listener<Kept> for Notes {
    fn deliver(&mut self, extra: &mut Option<Box<Kept>>, segment: &Segment<'_>) -> Interest {
        let kept = extra.get_or_insert_default();
        kept.0 += segment.payload.len();
        self.0.push(format!("{segment:?}"));
        if kept.0 > 9_000 { Interest::Done } else { Interest::More }
    }

    fn acknowledged(&mut self, _: &mut Option<Box<Kept>>, from: Peer, ack: (u32, Nanos)) {
        self.0.push(format!("{from:?} {ack:?}"));
    }

    fn beat(&mut self, beat: crate::model::beats::Beat) {
        self.0.push(format!("{beat:?}"));
    }

    fn finish(&mut self, _: Finished<Kept>) {}

    fn count(&mut self, counter: Counter, n: u64) {
        self.0.push(format!("{counter:?} {n}"));
    }
}

fn shared() -> Shared {
    Shared {
        fragments: Fragments::new(usize::MAX),
        trips: Slab::new(4),
        timed: true,
        lasting: Pool::new(4),
        holdings: Holdings::new(usize::MAX, usize::MAX),
    }
}

/// What a packet does next to the one before.
#[derive(Clone, Debug)]
struct Move {
    from_b: bool,
    /// Most are usual.
    kind: u8,
    payload: u16,
    pause_us: u32,
    ttl: u8,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let payload = prop_oneof![Just(0u16), Just(0), Just(1), 1u16..200, Just(1_400)];
    let pause = prop_oneof![0u32..2_000, 0u32..2_000, Just(3_000_000)];
    let one = (any::<bool>(), any::<u8>(), payload, pause, prop_oneof![Just(64u8), Just(9)]);
    let one = one.prop_map(|(from_b, kind, payload, pause_us, ttl)| {
        let ttl = if kind > 250 { ttl } else { 64 };
        Move { from_b, kind, payload, pause_us, ttl }
    });
    proptest::collection::vec(one, 1..120)
}

fn tcp_flags(kind: u8) -> u8 {
    match kind {
        0..3 => TcpFlags::FIN | TcpFlags::ACK,
        3 => TcpFlags::RST,
        4 => TcpFlags::SYN,
        5..9 => 0,
        9..90 => TcpFlags::PSH | TcpFlags::ACK,
        _ => TcpFlags::ACK,
    }
}

fn marks(kind: u8) -> u8 {
    match kind {
        38..42 => PacketFlags::TRUNCATED,
        42 => PacketFlags::FRAGMENT,
        43 => PacketFlags::FRAGMENT_LATER,
        44..60 => PacketFlags::TUNNELLED,
        _ => 0,
    }
}

/// The packets, with the position of both streams where the handshake is `seen`.
fn packets(moves: &[Move], tcp: bool, seen: bool) -> Vec<Packet> {
    let (mut next, mut time) = ([1_000u32, 900_000], Nanos::from_secs(1_000_000));
    let mut packets: Vec<Packet> = Vec::new();
    let key = FlowKey {
        a: Addr::v4([10, 0, 0, 1]),
        b: Addr::v4([10, 0, 0, 2]),
        a_port: 40_000,
        b_port: 443,
        transport: if tcp { Transport::TCP } else { Transport::UDP },
        version: 4,
        ..FlowKey::default()
    };
    let opening = [(false, TcpFlags::SYN), (true, TcpFlags::SYN | TcpFlags::ACK)];
    let opening = opening.map(|(from_b, flags)| (from_b, flags, 0, 64, 0u8, 500));
    let opening = opening.into_iter().filter(|_| tcp && seen);
    let rest = moves.iter().map(|step| {
        (step.from_b, tcp_flags(step.kind), step.payload, step.ttl, step.kind, step.pause_us)
    });
    for (number, (from_b, flags, payload, ttl, kind, pause)) in opening.chain(rest).enumerate() {
        time = match kind {
            10..14 => Nanos(time.0 - 1_000),
            _ => time.plus(Nanos(u64::from(pause) * 1_000)),
        };
        let side = usize::from(from_b);
        let (seq, ack) = (next[side], next[1 - side]);
        let seq = match kind {
            14..24 => seq.wrapping_sub(u32::from(payload)),
            24..34 => seq.wrapping_add(500),
            34..36 => seq.wrapping_add(1 << 28),
            _ => seq,
        };
        if !matches!(kind, 14..36) {
            let taken = u32::from(flags & (TcpFlags::SYN | TcpFlags::FIN) != 0);
            next[side] = seq.wrapping_add(u32::from(payload) + taken);
        }
        let trust = match kind {
            36 => Trust::Doubtful,
            37 => Trust::Absent,
            _ => Trust::Believed,
        };
        let cut = if kind == 38 { payload } else { 0 };
        packets.push(Packet {
            time,
            clock: time.as_secs() as u32,
            key,
            number: number as u32 + 1,
            wire_len: 60 + u32::from(payload),
            payload_len: u32::from(payload - cut),
            payload_missing: u32::from(cut),
            seq,
            ack: if kind == 61 { ack.wrapping_add(300) } else { ack },
            tcp_flags: TcpFlags(if tcp { flags } else { 0 }),
            ttl,
            flags: PacketFlags(marks(kind) | if from_b { PacketFlags::FROM_B } else { 0 }),
            stamp: Stamp::new(trust, Grain::default()),
            ..Packet::default()
        });
    }
    packets
}

/// Usual packets of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usual {
    data: usize,
    acknowledgements: usize,
    datagrams: usize,
}

/// Compares session, shared state, what the listener is told and what follows for the shard after
/// each packet. A `long` session gets its block in the middle.
fn compare(packets: &[Packet], long: bool) -> Result<Usual, TestCaseError> {
    let frame = [0x17; 2_000];
    let open = || (Session::<Kept>::open(&packets[0], 0, &frame), shared(), Notes::default());
    let (mut passed, mut any) = (open(), open());
    let mut usual = Usual::default();
    for (number, packet) in packets.iter().enumerate() {
        if long && number == 20 {
            for (session, shared, _) in [&mut passed, &mut any] {
                session.since = shared.lasting.insert(Lasting::new(session.since, 0)).unwrap();
                session.bits.set(Bits::LONG);
            }
        }
        let arrival = Arrival { packet, frame: &frame, file: 0 };
        let (session, shared, listener) = &mut passed;
        let before = session.weight();
        let first = match session.pass(arrival, shared, listener) {
            Some(held) => {
                *match (packet.key.transport, packet.payload_wire()) {
                    (Transport::UDP, _) => &mut usual.datagrams,
                    (_, 0) => &mut usual.acknowledgements,
                    _ => &mut usual.data,
                } += 1;
                prop_assert!(held.is_none_or(|held| held == before));
                let weighed = held.filter(|held| session.weight() != *held);
                News { weighed, rearms: false, lists: session.is_to_be_listed() }
            }
            None => session.take_any(arrival, shared, listener),
        };
        let (session, shared, listener) = &mut any;
        let second = session.take_any(arrival, shared, listener);
        prop_assert_eq!(format!("{first:?}"), format!("{second:?}"), "after {:?}", packet);
        prop_assert_eq!(format!("{passed:?}"), format!("{any:?}"), "after {:?}", packet);
    }
    Ok(usual)
}

proptest! {
    #[test]
    fn a_usual_packet_has_the_effect_of_any_other_way(
        moves in moves(), tcp in any::<bool>(), seen in any::<bool>(), long in any::<bool>(),
    ) {
        compare(&packets(&moves, tcp, seen), long)?;
    }
}

/// So the comparison above is of something.
#[test]
fn usual_packets_are_passed() {
    // Data of each side in turn, and its acknowledgement.
    let moves: Vec<Move> = (0..200u16)
        .map(|n| {
            let (from_b, payload) = (matches!(n % 4, 1 | 2), if n % 2 == 0 { 100 } else { 0 });
            Move { from_b, kind: 200, payload, pause_us: 1_000, ttl: 64 }
        })
        .collect();
    for long in [false, true] {
        let of = |tcp, seen| compare(&packets(&moves, tcp, seen), long).unwrap();
        for usual in [of(true, true), of(true, false)] {
            assert!(usual.data >= 20 && usual.acknowledgements >= 20, "{usual:?}");
        }
        assert!(of(false, false).datagrams >= 20);
    }
}
