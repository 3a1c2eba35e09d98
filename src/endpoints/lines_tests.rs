//! Who is remembered where, and for how long.
//!
//! Owns: people at addresses, lines that answer. In: sessions made here. Out: assertions. Never: a
//! verdict.

use super::*;
use crate::endpoints::pools::tests::{about, session};
use crate::endpoints::{Endpoints, Print};
use crate::model::latency::Exchange;
use crate::model::{Counter, Counters};

fn seen(who: &str, network: u8, at: u64) -> EndpointSummary {
    about(who, session([203, network, 113, 7], Print::None, at, &[(Exchange::Tls, 180)]))
}

#[test]
fn people_are_forgotten_with_the_week() {
    const DAY: u64 = 86_400_000;
    let mut lines = Lines::new(1 << 20);
    lines.note_person(&seen("kim", 1, 0));
    lines.note_person(&seen("lee", 1, 2 * DAY));
    lines.note_person(&seen("lee", 2, 6 * DAY));
    assert_eq!(lines.successor().of_person("kim").len(), 1);
    lines.note_person(&seen("ann", 3, 8 * DAY));
    let next = lines.successor();
    assert_eq!((next.of_person("kim").len(), next.of_person("lee").len()), (0, 2));
    assert_eq!(next.of_person("lee").next(), Some(Addr::v4([203, 2, 113, 7])), "the latest first");
    assert!(next.held() < lines.held() && next.held() > 0);
}

#[test]
fn people_not_seen_for_longest_go_at_the_cap() {
    const CAP: usize = 20_000;
    let mut lines = Lines::new(CAP);
    for n in 0..1_000u64 {
        lines.note_person(&seen(&format!("e-{n}"), (n % 200) as u8, n));
        // Who is seen again stays.
        lines.note_person(&seen("kim", (n % 100) as u8, n));
        assert!(lines.held() <= CAP);
    }
    let all: usize = lines.people.values().map(Person::bytes).sum();
    assert_eq!(all, lines.held());
    assert!(lines.dropped > 800 && lines.of_person("e-999").len() == 1);
    assert_eq!(lines.of_person("kim").len(), ADDRESSES_MAX);
}

/// The 129th line ends the pools of its address: that is counted once.
#[test]
fn an_address_with_too_many_lines_is_counted() {
    let count = |lines: u64, cap: usize| {
        let mut table = Endpoints::new(cap, 1 << 20);
        for n in 0..lines {
            let print = Print::Ja4(format!("program-{n}").into(), None);
            let at = session([203, 0, 113, 7], print, n, &[(Exchange::Tls, 180)]);
            table.observe(&at);
        }
        let mut counters = Counters::default();
        table.count(&mut counters);
        counters.get(Counter::PoolsCrowded)
    };
    assert_eq!(count(LINES_MAX as u64, 1_000), 0);
    assert_eq!(count(LINES_MAX as u64 + 1, 1_000), 1);
    assert_eq!(count(900, 1_000), 1);
}
