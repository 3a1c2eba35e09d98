//! Tests on what devices, protocols and people send.

use super::*;

/// A number from 0 to `below`, the same on every run.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// The verdict on messages, each its time in ms and its size.
fn verdict(mut messages: Vec<(u64, u16)>) -> Option<Verdict> {
    messages.sort_unstable();
    let at = |ms: u64| Nanos(1_000_000_000_000 + ms * 1_000_000);
    let mut rhythm = Rhythm::new(at(0));
    messages.iter().for_each(|(ms, size)| {
        rhythm.add(at(*ms), *size);
    });
    rhythm.verdict
}

/// Bursts of so many events 100 ms apart, `first` to `first + spread` ms after the last, with the
/// jitter of a path.
fn device(
    seed: u64,
    (first, spread): (u64, u64),
    events: (u64, u64),
    bursts: u64,
) -> Vec<(u64, u16)> {
    let (mut state, mut at, mut all) = (seed, 5_000, Vec::new());
    for _ in 0..bursts {
        for n in 0..events.0 + random(&mut state, events.1 + 1) {
            all.push((at + n * 100 + random(&mut state, 9), 62 + random(&mut state, 2) as u16));
        }
        at += first + random(&mut state, spread + 1);
    }
    all
}

fn keep_alive(every: u64, size: u16, ms: u64) -> Vec<(u64, u16)> {
    (1..ms / every).map(|n| (n * every, size)).collect()
}

/// Hours of somebody's keys and pointer: bursts, pauses, now and then minutes away.
fn person(seed: u64, hours: u64) -> Vec<(u64, u16)> {
    let (mut state, mut at, mut all) = (seed, 0, Vec::new());
    while at < hours * 3_600_000 {
        for _ in 0..1 + random(&mut state, 30) {
            // A key goes down and up again.
            all.push((at, 62));
            all.push((at + 60 + random(&mut state, 90), 62));
            at += 120 + random(&mut state, 300);
        }
        at += match random(&mut state, 10) {
            0 => 60_000 + random(&mut state, 600_000),
            1..4 => 10_000 + random(&mut state, 40_000),
            _ => 1_700 + random(&mut state, 8_000),
        };
    }
    all
}

#[test]
fn devices_of_each_maker_are_told_by_their_own_test() {
    for seed in 0..20 {
        let pikvm = verdict(device(seed, (45_000, 30_000), (10, 1), 50)).unwrap();
        assert_eq!((pikvm.test, pikvm.confidence), (InputTest::Comb, 0.95), "{pikvm:?}");
        assert!((45_000..=75_000).contains(&pikvm.period_ms), "{pikvm:?}");
        let comet = verdict(device(seed, (60_000, 0), (4, 1), 30)).unwrap();
        assert!(comet.period_ms.abs_diff(60_000) < 50, "{comet:?}");
        let jetkvm = verdict(device(seed, (60_000, 15_000), (1, 0), 60)).unwrap();
        assert_eq!(jetkvm.test, InputTest::Bounded, "{jetkvm:?}");
        let nanokvm = verdict(device(seed, (15_000, 0), (2, 0), 40)).unwrap();
        assert!(nanokvm.period_ms.abs_diff(15_000) < 50, "{nanokvm:?}");
        // Each minute or two, in the first 14 seconds of it.
        let mut state = seed + 1;
        let times = (0..60).map(|n| n * 60_000 + random(&mut state, 14_000));
        let phase = verdict(times.map(|ms| (ms, 62)).collect()).unwrap();
        assert!([InputTest::Phase, InputTest::Bounded].contains(&phase.test), "{phase:?}");
    }
}

#[test]
fn keep_alives_are_left_out_and_do_not_hide_a_device() {
    for every in [10_000, 15_000, 30_000, 60_000] {
        assert_eq!(verdict(keep_alive(every, 42, 8 * 3_600_000)), None, "{every}");
        let both = [keep_alive(every, 42, 3_600_000), device(3, (45_000, 30_000), (10, 1), 50)];
        assert!(verdict(both.concat()).is_some(), "{every}");
    }
}

/// Messages of one size at one interval, and keystrokes of the host after pauses, all in ms.
fn with_keys(messages: &[u64], keys: &[u64]) -> Option<Verdict> {
    let at = |ms: u64| Nanos(1_000_000_000_000 + ms * 1_000_000);
    let mut rhythm = Rhythm::new(at(0));
    let mut recent = Recent::new(at(0));
    let mut all: Vec<(u64, bool)> = messages.iter().map(|ms| (*ms, false)).collect();
    all.extend(keys.iter().map(|ms| (*ms, true)));
    all.sort_unstable();
    for (ms, is_key) in all {
        if is_key {
            rhythm.follow(at(ms), &recent);
        } else {
            recent.add(at(ms));
            rhythm.add(at(ms), 76);
        }
    }
    rhythm.verdict
}

/// A key each minute, by a program: every time the host sends one on.
#[test]
fn a_fixed_interval_that_has_an_effect_is_input() {
    let messages: Vec<u64> = (1..40).map(|n| n * 60_000).collect();
    let keys: Vec<u64> = messages.iter().map(|ms| ms + 5).collect();
    let verdict = with_keys(&messages, &keys).unwrap();
    assert_eq!((verdict.test, verdict.period_ms), (InputTest::Fixed, 60_000), "{verdict:?}");
}

/// Four busy sessions: one of them sends something soon after almost any moment.
#[test]
fn a_keep_alive_of_a_busy_host_is_no_input() {
    let messages: Vec<u64> = (1..400).map(|n| n * 30_000).collect();
    let mut keys = Vec::new();
    for seed in 0..4 {
        let (mut state, mut at) = (seed, 0);
        while at < 400 * 30_000 {
            at += 510 + random(&mut state, 400);
            keys.push(at);
        }
    }
    assert_eq!(with_keys(&messages, &keys), None);
}

#[test]
fn people_are_not_told_to_be_devices() {
    let flagged = (0..100).filter(|seed| verdict(person(*seed, 8)).is_some()).count();
    assert_eq!(flagged, 0, "of 100 days of eight hours");
}

/// Somebody works, and a device takes over for the night.
#[test]
fn a_device_at_night_is_found_after_a_day_of_work() {
    let day = person(5, 8);
    let after = 8 * 3_600_000 + 700_000;
    let night = device(6, (45_000, 30_000), (10, 1), 400);
    let night = night.iter().map(|(ms, size)| (ms + after, *size));
    assert!(verdict(day.into_iter().chain(night).collect()).is_some());
}

#[test]
fn too_few_bursts_are_no_verdict() {
    assert_eq!(verdict(device(1, (45_000, 30_000), (10, 1), 4)), None);
    assert_eq!(verdict(device(1, (60_000, 15_000), (1, 0), 30)), None);
}

#[test]
fn a_verdict_holds_for_seven_days() {
    const DAY: u64 = 86_400_000;
    let at = |ms: u64| Nanos(ms * 1_000_000);
    for later in [20 * DAY, 50 * DAY] {
        let mut rhythm = Rhythm::new(at(0));
        for (ms, size) in device(1, (45_000, 30_000), (10, 1), 50) {
            rhythm.add(at(ms), size);
        }
        rhythm.age(at(6 * DAY));
        assert!(rhythm.verdict.is_some());
        rhythm.age(at(8 * DAY));
        assert_eq!(rhythm.verdict, None);
        // The next message does not bring back what the ring still holds.
        rhythm.add(at(later), 62);
        rhythm.add(at(later + 60_000), 62);
        assert_eq!(rhythm.verdict, None);
    }
}
