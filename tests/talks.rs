//! Exchanges above the transport on a simulated network: none may look shorter than it was.
//!
//! Owns: the properties. In: talks of two programs over chosen links. Out: nothing. Never: a
//! tolerance.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "talks/answer.rs"]
mod answer;
#[path = "talks/net.rs"]
mod net;
#[path = "talks/tcp.rs"]
mod tcp;
#[path = "talks/udp.rs"]
mod udp;

use longhaul::model::Record;
use longhaul::model::latency::Exchange;
use longhaul::model::latency::Exclusions;
use longhaul::model::latency::Turns;
use proptest::prelude::*;

use answer::Answerer;
use answer::Asker;
use answer::Manner;
use net::Link;
use net::MS;
use net::Path;
use tcp::Talker;
use udp::Agent;
use udp::Dtls;

const TCP: u8 = 6;
const UDP: u8 = 17;
/// An answer lost on its way to the sensor is repeated after a second (RFC 6347 section 4.2.4.1),
/// and no sensor can tell that there was another: its leg is longer by that second.
const SECOND_COPY: u64 = 900 * MS;
const CLIENT: u16 = 40_000;

fn turns(record: &Record) -> Turns {
    record.facts.turns.as_deref().cloned().unwrap_or_default()
}

/// A talk of two programs with or without Nagle's algorithm: turns, and those excluded because the
/// answer did not acknowledge the question.
fn chat(path: Path, nagle: bool, unasked: u32) -> (Vec<Record>, u64) {
    let (mut client, mut server) =
        (Talker::new(false, nagle, unasked), Talker::new(true, nagle, unasked));
    net::follow(&net::talk(path, TCP, [&mut client, &mut server]))
}

/// The initiator's link and the responder's: over UDP either end may be seen first.
fn links(record: &Record, path: &Path) -> [Link; 2] {
    if record.initiator.port == CLIENT { [path.near, path.far] } else { [path.far, path.near] }
}

/// The number of turns, each checked not to be shorter than the path to the program that answered
/// and back.
fn check(records: &[Record], path: &Path) -> Result<usize, TestCaseError> {
    let mut found = 0;
    for record in records {
        for turn in turns(record).turns {
            let [near, far] = links(record, path);
            let link = if turn.by_initiator { near } else { far };
            prop_assert!(turn.round_trip_ns >= 2 * link.delay, "{turn:?}, {path:?}");
            found += 1;
        }
    }
    Ok(found)
}

/// The two legs over UDP, each checked to be a real round trip: between twice the link's delay, and
/// twice the longest time that a packet takes on it.
fn check_udp(records: &[Record], path: &Path) -> Result<usize, TestCaseError> {
    let mut found = 0;
    for record in records {
        let turns = turns(record);
        let [near, far] = links(record, path);
        for (leg, link) in [(turns.near, near), (turns.far, far)] {
            let Some(leg) = leg else { continue };
            let possible = 2 * link.delay..=2 * link.longest();
            let second = leg.exchange == Exchange::Dtls && leg.round_trip_ns >= SECOND_COPY;
            prop_assert!(second || possible.contains(&leg.round_trip_ns), "{leg:?}, {path:?}");
            found += 1;
        }
    }
    Ok(found)
}

fn stun(path: Path, questions: u32) -> Vec<Record> {
    let (mut client, mut server) = (Agent::new(false, questions), Agent::new(true, questions));
    net::follow(&net::talk(path, UDP, [&mut client, &mut server])).0
}

fn dtls(path: Path) -> Vec<Record> {
    let (mut client, mut server) = (Dtls::new(false), Dtls::new(true));
    net::follow(&net::talk(path, UDP, [&mut client, &mut server])).0
}

fn clean(near: u64, far: u64) -> Path {
    let link = |delay| Link { delay: delay * MS, ..Link::default() };
    Path { seed: 3, near: link(near), far: link(far), in_order: true }
}

#[test]
fn a_clean_network_shows_the_legs_of_every_protocol() {
    for (near, far) in [(1, 40), (90, 3)] {
        let path = clean(near, far);
        for records in [stun(path, 3), dtls(path)] {
            let [record] = records.as_slice() else { panic!("{records:?}") };
            let turns = turns(record);
            let legs = [turns.near, turns.far].map(|leg| leg.map(|leg| leg.round_trip_ns));
            let want = links(record, &path).map(|link| Some(2 * link.delay));
            assert_eq!(legs, want, "{record:?}");
        }
        let (records, _) = chat(path, false, 0);
        let lowest = turns(&records[0]).lowest(Exchange::Rfb, true);
        assert!(lowest.is_none_or(|ns| ns == 2 * near * MS), "{lowest:?}");
    }
}

/// The property below would also hold for a sensor that shows nothing, and for talks without early
/// answers.
#[test]
fn talk_across_talk_is_left_out_and_the_rest_is_kept() {
    let (mut found, mut left_out) = (0, 0);
    for seed in 0..100 {
        for nagle in [true, false] {
            let path = Path { seed, ..clean(60, 20) };
            let (records, split) = chat(path, nagle, 6);
            found += check(&records, &path).unwrap();
            left_out += split;
        }
    }
    println!("{found} turns, {left_out} left out");
    assert!(found > 200 && left_out > 50, "{found} turns, {left_out} left out");
}

#[test]
fn a_bad_network_still_shows_legs_over_udp() {
    let mut found = [0; 2];
    for seed in 0..100 {
        let bad = |link: Link| Link { jitter: 3 * MS, lost: 60, doubled: 60, late: 60, ..link };
        let path = clean(8, 50);
        let path = Path { seed, near: bad(path.near), far: bad(path.far), in_order: false };
        found[0] += check_udp(&stun(path, 3), &path).unwrap();
        found[1] += check_udp(&dtls(path), &path).unwrap();
    }
    println!("{found:?} of 200 legs");
    assert!(found[0] > 150 && found[1] > 80, "{found:?}");
}

/// What a server's questions and their answers show, once the legs are known.
fn answered(path: Path, manner: Manner) -> Turns {
    let (mut client, mut server) = (Answerer::new(manner), Asker::new(manner));
    let (records, _) = net::follow(&net::talk(path, TCP, [&mut client, &mut server]));
    let [record] = records.as_slice() else { panic!("{records:?}") };
    let mut turns = turns(record);
    turns.settle(&record.near, &record.far);
    turns
}

/// The lags of the client's four turns, in ns.
fn lags(path: Path, manner: Manner) -> [Option<u64>; 4] {
    let turns = answered(path, manner);
    [0, 1, 2, 3].map(|turn| turns.lags.ns(true, turn))
}

#[test]
fn a_lag_is_the_way_behind_whoever_acknowledges() {
    let path = clean(20, 3);
    assert_eq!(lags(path, answer::PROXIED), [Some(180 * MS); 4]);
    let with = |behind, delayed, segments| {
        lags(path, Manner { behind: behind * MS, delayed: delayed * MS, segments })
    };
    assert_eq!(with(2, 0, 1), [Some(2 * MS); 4], "computing");
    // With every other segment acknowledged at once the timer waits for none.
    assert_eq!(with(180, 40, 2), [Some(180 * MS); 4]);
    assert_eq!(with(180, 40, 3), [Some(140 * MS); 4], "at least");
    // Nothing but the answer acknowledges.
    assert_eq!(with(30, 40, 1), [None; 4]);
    // The timer hides more than shows.
    assert_eq!(with(60, 40, 1), [None; 4]);
    assert_eq!(with(350, 200, 1), [None; 4]);
}

/// An exit that holds its acknowledgement until the answer is there shows no lag, and no answer
/// that came at once.
#[test]
fn whoever_delays_acknowledgements_is_not_cleared() {
    let path = clean(20, 3);
    // A timer that ends after the answer acknowledges nothing on its own.
    for (delayed, alone) in [(200 * MS, false), (180 * MS - 1_000, true), (179 * MS + 1, true)] {
        let mut turns = answered(path, Manner { behind: 180 * MS, delayed, segments: 1 });
        assert_eq!([0, 1, 2, 3].map(|turn| turns.lags.ns(true, turn)), [None; 4], "{delayed}");
        turns.turns.retain(|turn| turn.by_initiator);
        // The gap stays unless an acknowledgement comes beside the answer.
        assert_eq!(turns.excluded.has(Exclusions::STALL), alone, "{delayed}: {turns:?}");
        assert_eq!(turns.turns.is_empty(), alone, "{delayed}: {turns:?}");
    }
}

fn link() -> impl Strategy<Value = Link> {
    // Less than the time after which anything is repeated.
    (0..70 * MS, 0..10 * MS, 0u64..250, 0u64..150, 0u64..200).prop_map(
        |(delay, jitter, lost, doubled, late)| Link { delay, jitter, lost, doubled, late },
    )
}

prop_compose! {
    fn path()(seed in any::<u64>(), near in link(), far in link()) -> Path {
        Path { seed, near, far, in_order: false }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Data in flight, data that Nagle's algorithm delayed, answers to nothing: none gives a turn.
    #[test]
    fn no_answer_is_shorter_than_its_way(path in path(), nagle in any::<bool>(), unasked in 0u32..8) {
        let whole = |link: Link| Link { lost: 0, doubled: 0, late: 0, ..link };
        let path = Path { near: whole(path.near), far: whole(path.far), in_order: true, ..path };
        check(&chat(path, nagle, unasked).0, &path)?;
    }

    /// Whatever the timers and the jitter: a lag is no longer than the way behind, nor much shorter.
    #[test]
    fn no_lag_is_invented(
        path in path(),
        behind in 0..400 * MS,
        delayed in prop::sample::select(vec![0, 5, 20, 40, 50, 100, 200, 500]),
        segments in 1u32..4,
    ) {
        let whole = |link: Link| Link { lost: 0, doubled: 0, late: 0, ..link };
        let path = Path { near: whole(path.near), far: whole(path.far), in_order: true, ..path };
        // The last segment may come late itself, and another acknowledgement with it.
        let jitter = 2 * (path.near.jitter + path.far.jitter);
        for lag in lags(path, Manner { behind, delayed: delayed * MS, segments }).into_iter().flatten() {
            prop_assert!(lag <= behind + jitter, "{lag} {path:?}");
            let most = (2 * lag).max(lag + 35 * MS) + jitter;
            prop_assert!(behind <= most, "{lag} of {behind}, {path:?}");
        }
    }

    /// Loss, reordering and duplicates may remove a leg, but never create a wrong one.
    #[test]
    fn no_leg_over_udp_is_invented(path in path(), questions in 1u32..5) {
        check_udp(&stun(path, questions), &path)?;
        let records = dtls(path);
        check_udp(&records, &path)?;
        check(&records, &path)?;
    }
}
