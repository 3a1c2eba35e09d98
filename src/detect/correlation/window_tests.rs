//! Windows against a second, slow way to say what Sigma means.

use proptest::prelude::*;

use super::*;
use crate::detect::correlation::sums::number;

const SECOND: u64 = 1_000_000_000;

fn shape(kind: Kind, seconds: u64) -> Shape {
    Shape { kind, span: seconds * SECOND, rules: 3, percentile: 75.0, cap: 1_024 }
}

fn at(second: u64, value: u64) -> Entry {
    Entry::new((second + 1_000) * SECOND, value, [second as u8; 16])
}

/// The number of the window that ends with the event, by the definition alone.
fn slowly(shape: &Shape, all: &[Entry], end: &Entry) -> f64 {
    let begin = end.time.saturating_sub(shape.span);
    let within: Vec<&Entry> =
        all.iter().filter(|e| begin <= e.time && e.time <= end.time).collect();
    let mut numbers: Vec<f64> = within.iter().map(|e| f64::from_bits(e.value)).collect();
    let seen: BTreeSet<u64> = within.iter().map(|e| e.value).collect();
    match shape.kind {
        Kind::EventCount => within.len() as f64,
        Kind::ValueCount => seen.len() as f64,
        Kind::Temporal => seen.len() as f64,
        Kind::TemporalOrdered => {
            let mut from = 0;
            for rule in 0..shape.rules as u64 {
                let next = within.iter().filter(|e| e.value == rule && e.time >= from);
                let Some(next) = next.map(|e| e.time).min() else { return 0.0 };
                from = next;
            }
            shape.rules as f64
        }
        Kind::ValueSum => numbers.iter().sum(),
        Kind::ValueAvg => numbers.iter().sum::<f64>() / numbers.len() as f64,
        Kind::ValuePercentile => {
            numbers.sort_by(f64::total_cmp);
            let rank = shape.percentile / 100.0 * (numbers.len() - 1) as f64;
            let (low, high) = (numbers[rank.floor() as usize], numbers[rank.ceil() as usize]);
            low + (high - low) * rank.fract()
        }
    }
}

/// The windows that an event changes: its own, and those of later events within a span.
fn first_hit(shape: &Shape, all: &mut Vec<Entry>, new: Entry, bound: f64) -> Option<(u64, f64)> {
    let place = all.partition_point(|have| have.time <= new.time);
    all.insert(place, new);
    // Of events of one time the last one's window holds all; earlier ones hold those before them.
    let mut found = None;
    for index in place..all.len() {
        let end = all[index];
        if end.time <= new.time + shape.span && found.is_none() {
            let value = slowly(shape, &all[..=index], &end);
            found = (value >= bound).then_some((end.time, value));
        }
    }
    found
}

proptest! {
    /// In order or not: each event finds what the definition says.
    #[test]
    fn windows_agree_with_their_definition(
        kind in 0usize..7,
        span in 1u64..40,
        bound in 1u32..12,
        events in prop::collection::vec((0u64..60, 0u64..3), 1..60),
        in_order in any::<bool>(),
    ) {
        let shape = shape(Kind::ALL[kind], span);
        let of_rules = matches!(shape.kind, Kind::Temporal | Kind::TemporalOrdered);
        let bound = f64::from(if of_rules { bound % 3 + 1 } else { bound });
        let mut events = events;
        if in_order {
            events.sort_by_key(|(second, _)| *second);
        }
        let (mut window, mut all) = (Window::default(), Vec::new());
        for (second, value) in events {
            let value = if of_rules { value } else { number(value as f64 * 2.0) };
            let new = at(second, value);
            let (hit, dropped) = window.add(&shape, new, &|have| have >= bound);
            let want = first_hit(&shape, &mut all, new, bound);
            prop_assert_eq!(hit.map(|hit| (hit.time, hit.value)), want, "{:?}", new);
            prop_assert_eq!(dropped, 0);
        }
    }

    /// What was stored and read again goes on as if nothing had been.
    #[test]
    fn a_stored_window_goes_on(
        kind in 0usize..7,
        events in prop::collection::vec((0u64..60, 0u64..3), 2..40),
        cut in 1usize..40,
    ) {
        let shape = shape(Kind::ALL[kind], 15);
        let of_rules = matches!(shape.kind, Kind::Temporal | Kind::TemporalOrdered);
        let value = |value: u64| if of_rules { value } else { number(value as f64) };
        let mut one = Window::default();
        let mut other = Window::default();
        for (index, (second, number)) in events.iter().enumerate() {
            if index == cut {
                other = Window::of(other.entries().copied().collect());
            }
            // Each is an event of its own: those of a session are one.
            let new = Entry { session: [index as u8; 16], ..at(*second, value(*number)) };
            let holds = |have: f64| have >= 2.0;
            let a = one.add(&shape, new, &holds).0.map(|hit| (hit.time, hit.value));
            let b = other.add(&shape, new, &holds).0.map(|hit| (hit.time, hit.value));
            prop_assert_eq!(a, b);
        }
    }
}

#[test]
fn a_hit_names_its_window() {
    let shape = shape(Kind::EventCount, 10);
    let mut window = Window::default();
    let holds = |have: f64| have >= 3.0;
    assert!(window.add(&shape, at(0, 0), &holds).0.is_none());
    assert!(window.add(&shape, at(5, 0), &holds).0.is_none());
    assert!(window.add(&shape, at(11, 0), &holds).0.is_none(), "the first is over");
    let (hit, _) = window.add(&shape, at(12, 0), &holds);
    let hit = hit.unwrap();
    assert_eq!((hit.since, hit.samples), (at(5, 0).time, 3));
    assert_eq!(hit.sessions, [[12; 16], [11; 16], [5; 16]]);
}

/// Neither may be pushed out of the window by a flood of the same.
#[test]
fn at_the_cap_what_matters_stays() {
    let flood = |kind, bound: f64, first: u64, flooded: u64, last: u64| {
        let shape = Shape { cap: 64, rules: 2, ..shape(kind, 3_600) };
        let mut window = Window::default();
        let holds = |have: f64| have >= bound;
        let mut hit = window.add(&shape, at(0, first), &holds).0;
        for n in 0..1_000 {
            hit = hit.or(window.add(&shape, at(1 + n / 10, flooded), &holds).0);
        }
        let (last, dropped) = window.add(&shape, at(200, last), &holds);
        assert!(window.entries().len() <= 64);
        (hit.is_none() && last.is_some(), dropped)
    };
    assert_eq!(flood(Kind::ValueCount, 3.0, 7, 8, 9), (true, 0));
    assert_eq!(flood(Kind::TemporalOrdered, 2.0, 0, 0, 1), (true, 0));
    // The first rule matches once, then only the other one's noise; a late event finds it still.
    assert_eq!(flood(Kind::Temporal, 2.0, 0, 0, 1), (true, 0));
}

#[test]
fn values_over_the_cap_are_counted_as_dropped() {
    let shape = Shape { cap: 64, ..shape(Kind::ValueSum, 3_600) };
    let mut window = Window::default();
    let dropped: u64 =
        (0..1_000).map(|n| window.add(&shape, at(n, number(1.0)), &|_| false).1).sum();
    assert_eq!(dropped + window.entries().len() as u64, 1_000);
}
