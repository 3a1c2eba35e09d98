//! Legs on a simulated network with known round trips.
//!
//! Owns: the properties. In: worlds of every kind. Out: nothing. Never: a tolerance wider than a
//! microsecond.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the simulated network serves several tests")]

mod simnet;

use longhaul::config::Plan;
use longhaul::decode::DecodeConfig;
use longhaul::decode::Decoder;
use longhaul::model::Counter;
use longhaul::model::Frame;
use longhaul::model::Interest;
use longhaul::model::LinkType;
use longhaul::model::Nanos;
use longhaul::model::Record;
use longhaul::model::Segment;
use longhaul::model::latency::Methods;
use longhaul::model::latency::RoundTrips;
use longhaul::model::record::Leg;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::run_tapped;
use longhaul::session::Arrival;
use longhaul::session::Finished;
use longhaul::session::Listener;
use longhaul::session::Shard;
use longhaul::session::Timeouts;
use proptest::prelude::*;

use simnet::Link;
use simnet::MS;
use simnet::Mirror;
use simnet::Seen;
use simnet::Side;
use simnet::US;
use simnet::World;
use simnet::frame::SERVER_PORT;
use simnet::frame::client_port;
use simnet::frame::pcap;

const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;

/// A SYN or SYN-ACK is retransmitted after a second (RFC 6298 section 2.1). If the sensor missed
/// the retransmission itself, or it was lost together with another packet, no sensor can tell: the
/// leg is longer by that second. Below it (less jitter) every leg must be true.
const SECOND_COPY: u64 = 800 * MS;

/// Sessions of a shard, as they end.
#[derive(Default)]
struct Ledger(Vec<Record>);

impl Listener<()> for Ledger {
    fn deliver(&mut self, _extra: &mut Option<Box<()>>, _delivery: &Segment<'_>) -> Interest {
        Interest::More
    }

    fn finish(&mut self, finished: Finished<()>) {
        self.0.push(finished.record);
    }

    fn count(&mut self, _counter: Counter, _n: u64) {}
}

/// Decodes the frames and feeds them to a session table.
fn follow(seen: &[Seen]) -> Vec<Record> {
    let mut decoder = Decoder::new(DecodeConfig::default());
    let mut shard = Shard::new(4_096, Timeouts::default());
    let mut ledger = Ledger::default();
    let mut clock = 0;
    for (n, seen) in seen.iter().enumerate() {
        let bytes = &seen.bytes[..];
        let wire_len = bytes.len() as u32;
        let frame = Frame { time: Nanos(seen.at), link: LinkType::ETHERNET, wire_len, bytes };
        let mut packet = decoder.decode_frame(&frame, 0).unwrap().packet;
        clock = clock.max((seen.at / 1_000_000_000) as u32);
        packet.clock = clock;
        packet.number = n as u32 + 1;
        packet.wire_len = wire_len;
        let hint = shard.locate(&packet);
        shard.touch(Arrival { packet: &packet, frame: bytes, file: 0 }, hint, &mut ledger);
    }
    shard.drain(u32::MAX, &mut ledger);
    ledger.0
}

/// The frames of a session.
fn frames<'s>(record: &Record, seen: &'s [Seen]) -> impl Iterator<Item = &'s Seen> {
    let ports = [record.initiator.port, record.responder.port];
    seen[record.frame_first as usize - 1..record.frame_last as usize]
        .iter()
        .filter(move |seen| ports.contains(&client_port(seen.segment.connection)))
}

/// Whether a published leg is a round trip that a packet of the handshake closed.
fn is_true(leg: u64, record: &Record, seen: &[Seen], from: Side, flags: u8) -> bool {
    let closes = |seen: &&Seen| seen.segment.from == from && seen.segment.flags == flags;
    let mut echoes = frames(record, seen).filter(closes).filter_map(|seen| seen.echo);
    leg >= SECOND_COPY || echoes.any(|echo| echo.abs_diff(leg) <= US)
}

/// The frames of a session as text.
fn story(record: &Record, seen: &[Seen]) -> String {
    let line = |seen: &Seen| {
        let (at, echo, s) = (seen.at - simnet::START, seen.echo, seen.segment);
        let (from, flags, seq, ack, stamps) = (s.from, s.flags, s.seq, s.ack, s.stamps);
        format!("\n{at} {from:?} {flags:#04x} {seq} {ack} {} {stamps:?} closes {echo:?}", s.len)
    };
    frames(record, seen).map(line).collect()
}

/// The number of published legs, each checked.
fn check(world: &World) -> Result<usize, TestCaseError> {
    let seen = world.run();
    let mut legs = 0;
    for record in follow(&seen) {
        for (leg, from, flags) in [
            (record.far.handshake_ns, Side::Server, SYN_ACK),
            (record.near.handshake_ns, Side::Client, ACK),
        ] {
            let Some(leg) = leg else { continue };
            legs += 1;
            let truth = is_true(leg, &record, &seen, from, flags);
            prop_assert!(truth, "{from:?} leg of {leg} ns:{}", story(&record, &seen));
        }
    }
    Ok(legs)
}

/// In-session round trips, checked not to be shorter than their leg: (session's leg, truth).
fn check_in_session(world: &World) -> Result<Vec<(RoundTrips, u64)>, TestCaseError> {
    let seen = world.run();
    let mut all = Vec::new();
    for record in follow(&seen) {
        // A forged packet may start a session the wrong way round.
        let client_began = record.initiator.port != SERVER_PORT;
        let (near, far) = if client_began { (0, 1) } else { (1, 0) };
        let links = [world.near, world.far];
        for (leg, link) in [(record.near, links[near]), (record.far, links[far])] {
            let Some(trips) = leg.in_session else { continue };
            let truth = 2 * link.delay;
            prop_assert!(trips.min_ns >= truth, "{trips:?}, {truth}:{}", story(&record, &seen));
            prop_assert!(trips.min_ns <= trips.p50_ns && trips.p50_ns <= trips.p95_ns);
            let stamped = trips.methods.has(Methods::TIMESTAMP);
            prop_assert!(stamped == world.stamps && trips.samples > 0);
            all.push((trips, truth));
        }
    }
    Ok(all)
}

fn clean(near: u64, far: u64) -> World {
    World {
        seed: 7,
        near: Link { delay: near, ..Link::default() },
        far: Link { delay: far, ..Link::default() },
        connections: 20,
        requests: 3,
        thought: 300 * MS,
        ..World::default()
    }
}

fn link() -> impl Strategy<Value = Link> {
    (0..150 * MS, 0..20 * MS, 0u64..250, 0u64..120, 0u64..120).prop_map(
        |(delay, jitter, lost, doubled, late)| Link { delay, jitter, lost, doubled, late },
    )
}

fn mirror() -> impl Strategy<Value = Mirror> {
    let only = prop_oneof![
        6 => Just(None),
        1 => Just(Some(Side::Client)),
        1 => Just(Some(Side::Server)),
    ];
    let from = prop_oneof![2 => Just(0), 1 => 0..2_000 * MS];
    let often = || prop_oneof![2 => Just(0u64), 1 => 0u64..300];
    (often(), often(), often(), only, from, often()).prop_map(
        |(missed, doubled, swapped, only, from, forged)| Mirror {
            missed,
            doubled,
            swapped,
            only,
            from,
            forged,
        },
    )
}

prop_compose! {
    fn world()(
        seed in any::<u64>(),
        near in link(),
        far in link(),
        mirror in mirror(),
        requests in 0u32..4,
        stamps in any::<bool>(),
        hold in prop_oneof![1 => Just(0), 1 => 0..200 * MS],
    ) -> World {
        // If the sensor misses a copy, or a forged SYN makes two sessions of two copies, only
        // timestamps show that there was another; and they do not if the network made the copy, not
        // the sender.
        let misses = mirror.missed > 0 || mirror.from > 0 || mirror.forged > 0;
        let single = |link: Link| if misses { Link { doubled: 0, ..link } } else { link };
        World {
            seed,
            near: single(near),
            far: single(far),
            mirror,
            connections: 8,
            requests,
            stamps: stamps || misses,
            hold,
            thought: 700 * MS,
        }
    }
}

#[test]
fn a_clean_network_publishes_every_leg() {
    for (near, far) in [(0, 0), (3 * MS, 40 * MS), (120 * MS, 17 * US)] {
        let seen = clean(near, far).run();
        let records = follow(&seen);
        assert_eq!(records.len(), 20);
        for record in records {
            let legs = (record.near.handshake_ns, record.far.handshake_ns);
            assert_eq!(legs, (Some(2 * near), Some(2 * far)));
        }
    }
}

#[test]
fn the_whole_program_measures_what_the_table_does() {
    let mut world = clean(3 * MS, 40 * MS);
    world.far.lost = 100;
    world.near.doubled = 100;
    let seen = world.run();
    let legs = |record: &Record| {
        let handshakes = (record.near.handshake_ns, record.far.handshake_ns);
        (record.start, record.initiator.port, handshakes)
    };
    let in_session = |record: &Record| {
        let told = |leg: Leg| leg.in_session.map(|trips| (trips.min_ns, trips.samples));
        (told(record.near), told(record.far))
    };
    let mut want: Vec<_> = follow(&seen).iter().map(legs).collect();
    want.sort();
    assert!(want.iter().any(|leg| leg.2.0.is_some()) && want.iter().any(|leg| leg.2.0.is_none()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("simulated.pcap");
    std::fs::write(&path, pcap(&seen)).unwrap();
    // The program removes duplicates, which the table alone takes for retransmissions: within a
    // session it may time more.
    let mut within = None;
    for workers in [1, 2, 8] {
        let got = std::sync::Mutex::new(Vec::new());
        let tap = |record: &Record| got.lock().unwrap().push((legs(record), in_session(record)));
        let plan = Plan { inputs: vec![path.clone()], workers, quiet: true, ..Plan::default() };
        run_tapped(&plan, &mut NoProgress, Some(&tap)).unwrap();
        let mut got = got.into_inner().unwrap();
        got.sort();
        let (handshakes, trips): (Vec<_>, Vec<_>) = got.into_iter().unzip();
        assert_eq!(handshakes, want, "{workers} workers");
        assert!(trips.iter().any(|(near, far)| near.is_some() && far.is_some()));
        assert_eq!(within.get_or_insert_with(|| trips.clone()), &trips, "{workers} workers");
    }
}

#[test]
fn a_clean_network_shows_its_legs_within_every_session() {
    for (near, far) in [(US, US), (3 * MS, 40 * MS), (120 * MS, 17 * US)] {
        for stamps in [false, true] {
            let world = World { stamps, ..clean(near, far) };
            let trips = check_in_session(&world).unwrap();
            assert_eq!(trips.len(), 2 * 20);
            for (trips, truth) in trips {
                let got = (trips.min_ns, trips.p50_ns, trips.p95_ns, trips.samples);
                assert_eq!(got, (truth, truth, truth, 3), "{stamps}");
            }
        }
    }
}

/// Delayed acknowledgements make round trips longer by no more than the delay, and the minimum of
/// each session is the leg's if any answer was not delayed.
#[test]
fn acknowledgements_held_back_are_told_from_the_leg_by_their_minimum() {
    let hold = 40 * MS;
    let world = World { hold, thought: 2 * hold, requests: 60, stamps: true, ..clean(MS, 30 * MS) };
    let trips = check_in_session(&world).unwrap();
    assert_eq!(trips.len(), 2 * 20);
    let mut held = 0;
    for (trips, truth) in trips {
        assert!(trips.min_ns == truth && trips.samples >= 12, "{trips:?}");
        held += usize::from(trips.p95_ns > truth + hold / 2);
        assert!(trips.p95_ns <= truth + hold, "{trips:?}");
    }
    assert!(held > 20, "{held} of 40");
}

/// The property below would also hold for a sensor that publishes nothing.
#[test]
fn a_bad_network_still_publishes_legs() {
    let (mut published, mut within) = (0, 0);
    for seed in 0..50 {
        let mut world = clean(3 * MS, 40 * MS);
        world.seed = seed;
        for link in [&mut world.near, &mut world.far] {
            *link = Link { jitter: 5 * MS, lost: 50, doubled: 10, late: 50, ..*link };
        }
        published += check(&world).unwrap();
        within += check_in_session(&world).unwrap().len();
    }
    assert!(within > 50 * 20 * 2 * 7 / 10, "{within}");
    println!("{published} of {} legs published", 50 * 20 * 2);
    assert!(published > 50 * 20 * 2 * 7 / 10, "{published}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Loss, reordering, duplicates, one-way feeds, captures that start late and forged packets may
    /// remove a leg, but never create a wrong one.
    #[test]
    fn no_leg_is_ever_invented(world in world()) {
        check(&world)?;
    }

    #[test]
    fn no_round_trip_within_a_session_is_below_its_leg(world in world()) {
        check_in_session(&world)?;
    }
}
