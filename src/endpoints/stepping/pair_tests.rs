//! Tests of the statistic on made sequences of messages and keystrokes.

use super::*;

const MS: u64 = 1_000_000;

/// A number from 0 to `below`, the same on every run.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// When somebody types: bursts of keys 80 to 240 ms apart, with pauses of 0.7 to 3 s.
fn typing(seed: u64, keys: usize) -> Vec<u64> {
    let (mut state, mut at, mut all) = (seed, 1_000_000, Vec::new());
    while all.len() < keys {
        for _ in 0..4 + random(&mut state, 12) {
            all.push(at);
            at += 80 + random(&mut state, 160);
        }
        at += 700 + random(&mut state, 2_300);
    }
    all.truncate(keys);
    all
}

/// The verdict on keystrokes and messages, both in ms.
fn verdict(keys: &[u64], inputs: &[u64]) -> Option<Score> {
    let way = |n| Addr::v4([203, 0, 113, n]);
    let mut pair = Pair::new((way(1), way(2)), Nanos::ZERO);
    let mut recent: Option<(Recent, u64)> = None;
    let (mut inputs, mut before) = (inputs.to_vec(), None::<u64>);
    inputs.sort_unstable();
    let mut inputs = inputs.into_iter().peekable();
    for key in keys {
        while let Some(ms) = inputs.next_if(|ms| ms <= key) {
            match &mut recent {
                Some((recent, latest)) => {
                    recent.add(Nanos(ms * MS));
                    *latest = ms;
                }
                None => recent = Some((Recent::new(Nanos(ms * MS)), ms)),
            }
        }
        let resumes = before.is_none_or(|before| key - before > 500);
        before = Some(*key);
        let Some((recent, latest)) = &recent else { continue };
        let stroke = Stroke { time: Nanos(key * MS), resumes, shows: true };
        pair.add(&stroke, recent, Some(Nanos(latest * MS)));
    }
    pair.score(true)
}

#[test]
fn keystrokes_that_follow_messages_are_somebody_elses() {
    for (lag, seed) in [(1, 1), (8, 2), (52, 3), (140, 4)] {
        let inputs = typing(seed, 200);
        let keys: Vec<u64> = inputs.iter().map(|ms| ms + lag).collect();
        let score = verdict(&keys, &inputs).unwrap();
        assert!(score.confidence >= 0.75, "{lag} ms: {score:?}");
        let (got, want) = (score.lag_ns as f64 / 1e6, lag as f64);
        assert!((got - want).abs() <= 0.5 + 0.2 * want, "{lag} ms: {got}");
    }
}

#[test]
fn keys_injected_in_batches_are_found() {
    let inputs = typing(5, 250);
    // A program that looks every 100 ms.
    let keys: Vec<u64> = inputs.iter().map(|ms| (ms + 20).next_multiple_of(100)).collect();
    let score = verdict(&keys, &inputs).unwrap();
    assert!(score.confidence >= 0.6, "{score:?}");
}

#[test]
fn somebody_else_who_types_at_the_same_time_is_not_the_cause() {
    for seed in 0..20 {
        let (own, other) = (typing(10 + seed, 220), typing(50 + seed, 400));
        let confidence = verdict(&own, &other).map_or(0.0, |score| score.confidence);
        assert!(confidence < DRIVEN, "seed {seed}: {confidence}");
    }
}

/// A viewer who is connected acknowledges each change of the screen that the local user makes.
#[test]
fn what_answers_a_keystroke_does_not_cause_the_next() {
    for seed in 0..20 {
        let own = typing(100 + seed, 220);
        for trip in [15, 60, 140, 250] {
            let answers: Vec<u64> = own.iter().map(|ms| ms + trip).collect();
            let confidence = verdict(&own, &answers).map_or(0.0, |score| score.confidence);
            assert!(confidence < DRIVEN, "seed {seed}, trip {trip}: {confidence}");
        }
    }
}

#[test]
fn steady_messages_say_nothing() {
    for every in [10, 33, 100, 1_000] {
        let keys = typing(7, 220);
        let steady: Vec<u64> = (0..40_000).map(|n| 990_000 + n * every).collect();
        let confidence = verdict(&keys, &steady).map_or(0.0, |score| score.confidence);
        assert!(confidence < DRIVEN, "every {every} ms: {confidence}");
    }
}

/// OpenSSH since 9.5 sends a packet every 20 ms while somebody types, and for a while after.
#[test]
fn keystrokes_between_chaff_are_found_by_the_pauses() {
    let inputs = typing(9, 300);
    let mut keys: Vec<u64> = Vec::new();
    for ms in &inputs {
        let from = (ms + 3).max(keys.last().map_or(0, |last| last + 20));
        keys.extend((from..ms + 3 + 400).step_by(20));
    }
    let score = verdict(&keys, &inputs).unwrap();
    assert!(score.confidence >= DRIVEN, "{score:?}");
}

#[test]
fn too_few_keystrokes_are_no_verdict() {
    let inputs = typing(3, 11);
    assert_eq!(verdict(&inputs, &inputs), None);
    let none = verdict(&typing(3, 40), &[999_999]).unwrap();
    assert!(none.confidence < 0.25, "{none:?}");
}

#[test]
fn a_window_that_is_over_keeps_what_it_said() {
    let way = |n| Addr::v4([203, 0, 113, n]);
    let mut pair = Pair::new((way(1), way(2)), Nanos::ZERO);
    let day = 86_400_000;
    for (n, ms) in typing(4, 600).into_iter().enumerate() {
        let later = if n < 300 { 0 } else { day };
        let time = Nanos((ms + later) * MS);
        let recent = Recent::new(Nanos(time.0 - 2 * MS));
        pair.add(&Stroke { time, resumes: n % 9 == 0, shows: true }, &recent, None);
    }
    // One of 256 and the rest of that day, then the same.
    assert_eq!((pair.windows(), pair.days()), (3, 2));
    // Then the person elsewhere is gone, and somebody types here.
    for ms in typing(6, 200) {
        let time = Nanos((ms + 2 * day) * MS);
        let recent = Recent::new(Nanos(time.0 - 900 * MS));
        pair.add(&Stroke { time, resumes: false, shows: true }, &recent, None);
    }
    assert!(pair.score(true).unwrap().confidence >= 0.75);
    assert_eq!((pair.windows(), pair.days()), (4, 2));
    pair.age(Nanos(7 * day * MS));
    assert_eq!(pair.days(), 1, "the first day is over seven days ago");
    pair.age(Nanos(9 * day * MS));
    assert_eq!((pair.score(true), pair.windows()), (None, 0));
}

/// Messages all the time before, and keystrokes at any time: many follow one, none because of it.
#[test]
fn busy_pairs_rank_below_one_that_tells() {
    let pair_of = |keys: &[u64], inputs: &[u64]| {
        let way = |n| Addr::v4([203, 0, 113, n]);
        let mut pair = Pair::new((way(1), way(2)), Nanos::ZERO);
        let mut recent = Recent::new(Nanos(inputs[0] * MS));
        let mut inputs = inputs.iter().peekable();
        for ms in keys {
            while let Some(ms) = inputs.next_if(|input| *input <= ms) {
                recent.add(Nanos(ms * MS));
            }
            let stroke = Stroke { time: Nanos(ms * MS), resumes: false, shows: true };
            pair.add(&stroke, &recent, None);
        }
        pair
    };
    let inputs = typing(2, 14);
    let tells = pair_of(&inputs.iter().map(|ms| ms + 5).collect::<Vec<u64>>(), &inputs);
    for seed in 0..20 {
        let mut state = seed;
        let busy: Vec<u64> =
            (0..3_000).map(|n| 990_000 + n * 90 + random(&mut state, 80)).collect();
        let busy = pair_of(&typing(3 + seed, 230), &busy);
        assert!(busy.window.all.hits[4] > 100, "{busy:?}");
        assert!(tells.evidence() > busy.evidence(), "{:?}", (tells.evidence(), busy.evidence()));
    }
}

#[test]
fn what_shows_no_screen_is_never_concluded() {
    let way = |n| Addr::v4([203, 0, 113, n]);
    let mut pair = Pair::new((way(1), way(2)), Nanos::ZERO);
    for ms in typing(4, 300) {
        let time = Nanos(ms * MS);
        let recent = Recent::new(Nanos(time.0 - 2 * MS));
        pair.add(&Stroke { time, resumes: true, shows: false }, &recent, None);
    }
    assert_eq!((pair.score(false), pair.windows()), (None, 0));
}
