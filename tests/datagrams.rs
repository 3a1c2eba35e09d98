//! Legs over UDP on a simulated network with known round trips.
//!
//! Owns: the properties. In: talks of every kind. Out: nothing. Never: a tolerance wider than a
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
use longhaul::model::Record;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::run_tapped;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use simnet::Link;
use simnet::MS;
use simnet::Mirror;
use simnet::Side;
use simnet::US;
use simnet::datagrams::Passed;
use simnet::datagrams::Speech;
use simnet::datagrams::Talk;
use simnet::frame::pcap_of;

/// A question is repeated after half a second. If the sensor missed the repetition, no sensor can
/// tell: the leg is longer by that much. Below it every leg must be true.
const SECOND_COPY: u64 = 400 * MS;

/// Lowest round trip over UDP to initiator and responder, in ns, of every session. Duplicate
/// detection is on only if the mirror port makes duplicates: those that the network makes within a
/// millisecond look the same, and then it is known only to a millisecond which of two was answered.
fn legs(talk: &Talk, seen: &[Passed], workers: usize) -> Vec<[Option<u64>; 2]> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.pcap");
    std::fs::write(&path, pcap_of(seen.iter().map(|p| (p.at, &p.bytes[..])))).unwrap();
    let legs = std::sync::Mutex::new(Vec::new());
    let tap = |record: &Record| {
        let turns = record.facts.turns.as_deref();
        let leg = |near| turns.and_then(|turns| turns.over_udp(near)).map(|t| t.round_trip_ns);
        legs.lock().unwrap().push([leg(true), leg(false)]);
    };
    let mut plan = Plan { inputs: vec![path], workers, quiet: true, ..Plan::default() };
    if talk.mirror.doubled == 0 {
        plan.dedup_window_us = None;
    }
    run_tapped(&plan, &mut NoProgress, Some(&tap)).unwrap();
    legs.into_inner().unwrap()
}

/// The number of published legs, each checked to be a round trip that a datagram really closed.
fn check(talk: &Talk) -> Result<usize, TestCaseError> {
    let seen = talk.run();
    if seen.is_empty() {
        return Ok(0);
    }
    let first = seen[0].from;
    let mut published = 0;
    for session in legs(talk, &seen, 1) {
        // The end that is seen first is the initiator, whoever asked.
        let ends = if first == Side::Client { [0, 1] } else { [1, 0] };
        for (side, leg) in [Side::Client, Side::Server].into_iter().zip(ends.map(|at| session[at]))
        {
            let Some(leg) = leg else { continue };
            published += 1;
            let mut echoes = seen.iter().filter(|p| p.from == side).filter_map(|p| p.echo);
            let truth = leg >= SECOND_COPY || echoes.any(|echo| echo.abs_diff(leg) <= US);
            prop_assert!(truth, "{side:?} leg of {leg} ns: {:?}", talk);
        }
    }
    Ok(published)
}

fn clean(speech: Speech) -> Talk {
    let link = |delay| Link { delay, ..Link::default() };
    let mirror = Mirror::default();
    Talk { seed: 1, near: link(3 * MS), far: link(40 * MS), mirror, speech, questions: 6 }
}

fn links() -> impl Strategy<Value = Link> {
    (0..150 * MS, 0..10 * MS, 0..400u64, 0..100u64, 0..100u64).prop_map(
        |(delay, jitter, lost, doubled, late)| Link { delay, jitter, lost, doubled, late },
    )
}

fn talk() -> impl Strategy<Value = Talk> {
    let only = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Side::Client)),
        1 => Just(Some(Side::Server)),
    ];
    let speech = prop_oneof![Just(Speech::Stun), Just(Speech::Wireguard)];
    let mirror = (0..300u64, 0..300u64, only, 0..3_000 * MS, any::<bool>());
    (any::<u64>(), links(), links(), mirror, speech, 1..12u32).prop_map(
        |(seed, near, far, (missed, doubled, only, from, misses), speech, questions)| {
            // If the network duplicated a question, and one copy was missed, passed before the
            // capture began, or was taken for a duplicate of the mirror port, and the answer to the
            // other was lost, no sensor can tell which was answered.
            let (missed, doubled, from) = if misses { (missed, doubled, from) } else { (0, 0, 0) };
            let single =
                |link: Link| Link { doubled: if misses { 0 } else { link.doubled }, ..link };
            let mirror = Mirror { missed, doubled, only, from, ..Mirror::default() };
            Talk { seed, near: single(near), far: single(far), mirror, speech, questions }
        },
    )
}

#[test]
fn a_clean_network_shows_its_legs() {
    let of = |talk: Talk| legs(&talk, &talk.run(), 1);
    assert_eq!(of(clean(Speech::Stun)), [[Some(6 * MS), Some(80 * MS)]]);
    assert_eq!(of(clean(Speech::Wireguard)), [[None, Some(80 * MS)]]);
}

#[test]
fn a_copy_of_the_mirror_port_changes_no_leg() {
    let mut talk = clean(Speech::Stun);
    talk.mirror.doubled = 1_000;
    assert_eq!(legs(&talk, &talk.run(), 1), [[Some(6 * MS), Some(80 * MS)]]);
}

#[test]
fn one_direction_alone_shows_nothing() {
    for only in [Side::Client, Side::Server] {
        let mut talk = clean(Speech::Stun);
        talk.mirror.only = Some(only);
        assert!(legs(&talk, &talk.run(), 1).iter().flatten().all(Option::is_none));
    }
}

/// The property below would also hold for a sensor that publishes nothing.
#[test]
fn a_bad_network_still_publishes_legs() {
    let mut published = 0;
    for seed in 0..60 {
        let mut talk = Talk { seed, ..clean(Speech::Stun) };
        for link in [&mut talk.near, &mut talk.far] {
            *link = Link { jitter: 5 * MS, lost: 50, doubled: 10, late: 50, ..*link };
        }
        published += check(&talk).unwrap();
        assert_eq!(legs(&talk, &talk.run(), 1), legs(&talk, &talk.run(), 8), "{seed}");
    }
    println!("{published} of {} legs published", 60 * 2);
    assert!(published > 60 * 2 * 9 / 10, "{published}");
}

/// The network doubled the question; its first copy passed just before the capture began. Only the
/// second answer shows that there were two.
#[test]
fn a_copy_before_the_capture_began_makes_no_leg() {
    let far = Link { delay: 17_303_780, jitter: 2_139_706, ..Link::default() };
    let near = Link { delay: 51_690_687, jitter: 739_302, lost: 0, doubled: 45, late: 18 };
    let mirror = Mirror { from: 337_454_466, ..Mirror::default() };
    let seed = 8_144_440_645_675_380_840;
    let talk = Talk { seed, near, far, mirror, speech: Speech::Stun, questions: 1 };
    let seen = talk.run();
    let from: Vec<Side> = seen.iter().map(|passed| passed.from).collect();
    assert_eq!(from, [Side::Client, Side::Server, Side::Server]);
    assert_eq!(legs(&talk, &seen, 1), [[None, None]]);
    let mut whole = talk;
    whole.mirror.from -= 1;
    assert_eq!(whole.run().len(), 4);
    assert_eq!(legs(&whole, &whole.run(), 1), [[None, None]]);
}

/// A build that fails by chance tells nobody anything: `.cargo/config.toml` sets the seed of all
/// properties, and `make torture` searches others.
#[test]
fn properties_begin_with_the_same_seed_on_every_run() {
    let seed = ProptestConfig::default().rng_seed;
    assert_ne!(seed, RngSeed::Random, "run cargo within the project: .cargo/config.toml");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Loss, reordering, duplicates, one-way feeds and captures that start late may remove a leg,
    /// but never create a wrong one.
    #[test]
    fn no_leg_over_udp_is_ever_invented(talk in talk()) {
        check(&talk)?;
    }
}
