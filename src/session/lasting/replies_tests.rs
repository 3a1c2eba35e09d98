//! Tests of replies: what a viewer does, and what only looks like it.

use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

/// Numbers that look random, the same ones each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

/// Messages in order of time: ours have no size.
fn result(mut messages: Vec<(u64, Option<u16>)>) -> Option<Reply> {
    messages.sort_unstable();
    let mut replies = Replies::of(0);
    for (at, size) in messages {
        match size {
            None => replies.sent(Nanos(at)),
            Some(size) => replies.came(Nanos(at), size),
        }
    }
    replies.result()
}

/// Updates at any time, each requested again so much later; keystrokes between.
fn viewer(trip_ms: u64, jitter_ms: u64) -> Vec<(u64, Option<u16>)> {
    let (mut numbers, mut at, mut all) = (Numbers(7), 90_000, Vec::new());
    for _ in 0..60 {
        at += trip_ms + 20 + numbers.below(400);
        all.push((at * MS, None));
        all.push(((at + trip_ms + numbers.below(jitter_ms + 1)) * MS, Some(32)));
        for _ in 0..2 {
            all.push(((at + numbers.below(600)) * MS, Some(30)));
        }
    }
    all
}

#[test]
fn a_viewer_that_requests_updates_shows_its_round_trip() {
    for trip in [24u64, 60, 140, 260, 420] {
        let found = result(viewer(trip, trip / 20)).unwrap();
        let off = f64::from(found.us) / 1e3 / trip as f64 - 1.0;
        assert!(off.abs() <= 0.10, "{trip} ms: {found:?}");
        assert!(found.samples >= 30 && found.share > 0.8, "{found:?}");
    }
}

#[test]
fn a_test_message_each_second_that_comes_back_shows_it_in_spite_of_pictures() {
    let (mut numbers, mut all) = (Numbers(3), Vec::new());
    for second in 0..40 {
        let at = 5_000 + second * 1_000 + numbers.below(150);
        all.push((at * MS, None));
        all.push(((at + 210 + numbers.below(6)) * MS, Some(31)));
        for _ in 0..9 {
            all.push(((5_000 + second * 1_000 + numbers.below(1_000)) * MS, None));
        }
        for _ in 0..6 {
            all.push(((5_000 + second * 1_000 + numbers.below(1_000)) * MS, Some(27)));
        }
    }
    let found = result(all).unwrap();
    assert!((200_000..=220_000).contains(&found.us), "{found:?}");
}

#[test]
fn what_answers_nothing_shows_nothing() {
    let mut numbers = Numbers(11);
    let mut at_random = Vec::new();
    for _ in 0..400 {
        at_random.push((numbers.below(60_000) * MS, None));
        at_random.push((numbers.below(60_000) * MS, Some(32)));
    }
    assert_eq!(result(at_random), None, "two that do not know of each other");
    let pings = |ours: u64, theirs: u64| {
        (1..60u64).flat_map(move |n| [(n * ours * MS, None), ((n * theirs + 170) * MS, Some(32))])
    };
    assert_eq!(result(pings(1_000, 1_000).collect()), None, "two clocks of one interval");
    assert_eq!(result(pings(50, 1_000).collect()), None, "a screen at a steady rate");
    let few = viewer(100, 2).into_iter().take(30).collect();
    assert_eq!(result(few), None, "too few");
}

#[test]
fn classes_are_in_order_and_cover_all() {
    for cells in 0..REACH {
        let class = class(cells);
        assert!(class < CLASSES && shortest(class) <= cells && cells < shortest(class + 1));
    }
    assert!(size_of::<Replies>() <= 640, "{}", size_of::<Replies>());
}

proptest! {
    /// The ring answers like a list.
    #[test]
    fn lags_are_those_of_a_list(
        ours in proptest::collection::vec(0u64..3_000, 0..60),
        theirs in 0u64..3_000,
    ) {
        let mut sorted = ours.clone();
        sorted.sort_unstable();
        let mut replies = Replies::of(0);
        let before = sorted.into_iter().filter(|at| *at <= theirs);
        let before: Vec<u64> = before.collect();
        before.iter().for_each(|at| replies.sent(Nanos(at * MS)));
        replies.came(Nanos(theirs * MS), 32);
        let mut wanted = [0u8; CLASSES];
        for at in before {
            let cells = (theirs / 2 - at / 2) as u32;
            if cells < REACH {
                wanted[class(cells)] = 1;
            }
        }
        prop_assert_eq!(replies.slots[0].counts, wanted);
    }

    /// Whatever comes, in any order of time.
    #[test]
    fn nothing_overflows(
        seen in proptest::collection::vec((any::<u64>(), proptest::option::of(0u16..9)), 0..600),
    ) {
        let mut replies = Replies::of(0);
        for (at, size) in seen {
            match size {
                None => replies.sent(Nanos(at)),
                Some(size) => replies.came(Nanos(at), size),
            }
        }
        let _ = replies.result();
    }
}
