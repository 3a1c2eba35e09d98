//! Brings the ledgers of several sensors together.
//!
//! Owns: what one entry or subject becomes of several. In: ledgers. Out: one ledger, the same in
//! whatever order they are given. Never: forgets a report within its window.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::correlation::{Event, combine_states, put_event};
use crate::detect::incidents::IncidentConfig;
use crate::detect::ledger::codec::Writer;
use crate::detect::ledger::entries::Entry;
use crate::detect::ledger::{Ledger, LedgerConfig};
use crate::detect::merge;
use crate::detect::subject::Subject;
use crate::model::{Alert, Nanos};

/// A total order of alerts that does not depend on the sensor.
fn place(alert: &Alert) -> (Nanos, &str, &str) {
    (alert.time, &alert.id, &alert.session_id)
}

/// An order of events: their time, and all else that is stored of them.
fn stored_form(event: &Event) -> (u64, Vec<u8>) {
    let mut w = Writer::default();
    put_event(&mut w, event);
    (event.time, w.0)
}

impl Ledger {
    /// One ledger of several, within the caps. A window that is over by the latest time in any of
    /// them does not count.
    pub fn combine(config: LedgerConfig, all: Vec<Ledger>) -> Ledger {
        let mut entries: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
        let mut subjects: BTreeMap<Arc<str>, Vec<Subject>> = BTreeMap::new();
        let mut unreported: Vec<Arc<Alert>> = Vec::new();
        let (mut groups, mut uncounted) = (Vec::new(), Vec::new());
        for ledger in all {
            for (key, entry) in ledger.entries.into_table() {
                entries.entry(key).or_default().push(entry);
            }
            for (id, subject) in ledger.incidents.into_subjects() {
                subjects.entry(id).or_default().push(subject);
            }
            unreported.extend(ledger.unreported);
            groups.push(ledger.groups);
            uncounted.extend(ledger.uncounted);
        }
        let last_entry = entries.values().flatten().map(|entry| entry.last).max();
        let now = last_entry.max(subjects.values().flatten().map(|s| s.last).max());
        let now = now.unwrap_or_default();
        let mut combined = Ledger::new(config);
        for (key, mut of_key) in entries {
            of_key.retain(|entry| now.since(entry.first) <= key.window());
            if let Some(entry) = one_entry(of_key) {
                combined.entries.insert(key, entry, now);
            }
        }
        let limits = combined.incidents.config();
        for (id, of_subject) in subjects {
            if let Some(subject) = one_subject(of_subject, &limits, now) {
                combined.incidents.restore(id, subject);
            }
        }
        combined.incidents.judge_all();
        unreported.sort_by(|a, b| place(a).cmp(&place(b)));
        unreported.dedup_by(|a, b| a.id == b.id);
        combined.unreported = unreported;
        combined.groups = combine_states(config.groups, groups);
        uncounted.sort_by_cached_key(stored_form);
        uncounted.dedup();
        combined.uncounted = uncounted;
        combined
    }
}

/// The entry that suppresses whatever one of these does: until the latest window is over, up to the
/// highest level.
fn one_entry(all: Vec<Entry>) -> Option<Entry> {
    let stands = all.iter().any(|entry| entry.waits.is_none());
    let mut waiting: Vec<Box<Alert>> = Vec::new();
    let one = all.into_iter().map(|mut entry| {
        waiting.extend(entry.waits.take());
        Entry { index: None, ..entry }
    });
    let mut one = one.reduce(|a, b| Entry {
        first: a.first.max(b.first),
        last: a.last.max(b.last),
        level: a.level.max(b.level),
        is_ours: a.is_ours || b.is_ours,
        count: a.count.saturating_add(b.count),
        index: None,
        waits: None,
    })?;
    if !stands {
        waiting.sort_by(|a, b| (place(a), positions(a)).cmp(&(place(b), positions(b))));
        one.waits = waiting.into_iter().reduce(|mut first, other| {
            merge::add_all(&mut first, &other);
            first
        });
    }
    Some(one)
}

/// The packets that an alert stands for: two sensors may give alerts the same place.
fn positions(alert: &Alert) -> (Positions, &[Positions]) {
    (alert.packets, alert.repeats.as_ref().map_or(&[], |repeats| &repeats.packets))
}

/// File, first and last frame.
type Positions = (u16, u32, u32);

/// A subject with the alerts of all, in the order of their times, as if one sensor had raised them.
fn one_subject(all: Vec<Subject>, limits: &IncidentConfig, now: Nanos) -> Option<Subject> {
    let mut one = Subject::default();
    let mut hits: Vec<Arc<Alert>> = Vec::new();
    let (mut reached, mut name) = (None, None);
    for subject in all {
        one.unlisted = one.unlisted.saturating_add(subject.unlisted);
        one.is_ours |= subject.is_ours;
        one.last = one.last.max(subject.last);
        one.reported = match (one.reported, subject.reported) {
            (Some(a), Some(b)) => Some(if a >= b { a } else { b }),
            (a, b) => a.or(b),
        };
        if let Some((time, score)) = subject.reached {
            let (first, highest) = reached.unwrap_or((time, score));
            reached = Some((time.min(first), score.max(highest)));
        }
        // The name that was given last; of one time the first in order.
        let named = subject.name.map(|name| (subject.last, std::cmp::Reverse(name)));
        name = name.max(named);
        hits.extend(subject.hits);
    }
    // An open incident keeps its alerts until it is closed.
    let open = reached.is_some();
    hits.retain(|hit| open || now.since(hit.time) <= limits.window);
    hits.sort_by(|a, b| place(a).cmp(&place(b)));
    hits.dedup_by(|a, b| a.id == b.id);
    for hit in &hits {
        if !one.add(hit, limits) {
            one.unlisted = one.unlisted.saturating_add(1);
        }
        one.judge(hit.time, limits, &[]);
    }
    one.name = name.map(|(_, name)| name.0);
    one.reached = match (one.reached, reached) {
        (Some((a, x)), Some((b, y))) => Some((a.min(b), x.max(y))),
        (a, b) => a.or(b),
    };
    (!one.hits.is_empty()).then_some(one)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::ledger::Taken;
    use crate::model::alert::Repeats;
    use crate::model::{Family, Level};

    const CONFIG: LedgerConfig =
        LedgerConfig { entries: 1 << 20, subjects: 1 << 20, groups: 1 << 20 };

    fn alert(rule: &str, family: Family, hour: u64, level: Level) -> Alert {
        let time = Nanos::from_secs(1_700_000_000 + hour * 3_600);
        let mut alert = Alert {
            time,
            since: time,
            level,
            ratio: 60.0,
            subject: Arc::from("10.0.0.7"),
            session_id: format!("s{hour}"),
            ..Alert::sample(rule, family)
        };
        alert.id = alert.event_id();
        alert
    }

    fn waiting(hour: u64) -> Alert {
        let mut repeats = Repeats::of("k".into(), Nanos::from_secs(hour));
        repeats.at_least = 4;
        Alert { repeats: Some(repeats), ..alert("D18", Family::N, hour, Level::Low) }
    }

    fn ledger(steps: &[(u8, u64)]) -> Ledger {
        let mut ledger = Ledger::new(CONFIG);
        for (kind, hour) in steps {
            match kind % 5 {
                0 => drop(
                    ledger.fires("192.0.2.1".into(), &alert("D03", Family::P, *hour, Level::Low)),
                ),
                1 => drop(
                    ledger.fires("192.0.2.1".into(), &alert("D03", Family::P, *hour, Level::High)),
                ),
                2 => drop(ledger.take(waiting(*hour), None)),
                3 => drop(ledger.take(alert("D08", Family::R, *hour, Level::High), None)),
                _ => drop(ledger.take(alert("D05", Family::P, *hour, Level::Medium), None)),
            }
            if hour.is_multiple_of(3) {
                ledger.take_changes(Level::Low);
            }
        }
        ledger
    }

    fn copy(ledger: &Ledger) -> Ledger {
        Ledger::decode(CONFIG, &ledger.encode(1)).unwrap().0
    }

    #[test]
    fn what_one_sensor_told_the_others_know() {
        let site_a = ledger(&[(1, 0), (3, 1)]);
        let site_b = ledger(&[(4, 30)]);
        assert!(site_a.open().is_empty() && site_b.open().is_empty());
        let mut both = Ledger::combine(CONFIG, vec![site_a, site_b]);
        // Two groups make an incident, though each sensor saw one.
        let changes = both.take_changes(Level::Low);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].families, [Family::P, Family::R]);
        let again = alert("D03", Family::P, 100, Level::High);
        assert!(!both.fires("192.0.2.1".into(), &again), "reported within the week");
        assert!(both.fires("192.0.2.1".into(), &alert("D03", Family::P, 101, Level::Critical)));
        assert!(both.fires("192.0.2.9".into(), &again));
    }

    /// One sensor saw two people behind one address, another a tool of one of them.
    #[test]
    fn people_behind_an_address_are_judged_with_what_others_saw_of_them() {
        let (mut site_a, mut site_b) = (Ledger::new(CONFIG), Ledger::new(CONFIG));
        let together = alert("D14", Family::C, 0, Level::High);
        let mut together = Alert { subject: Arc::from("203.0.113.7"), ..together };
        together.people = vec![Arc::from("e-1"), Arc::from("10.0.0.7")];
        Arc::make_mut(&mut together.rule).group = crate::model::Group::Colocation;
        drop(site_a.take(together, None));
        drop(site_b.take(alert("D08", Family::R, 1, Level::High), None));
        assert!(site_a.open().is_empty() && site_b.open().is_empty());
        for all in [[copy(&site_a), copy(&site_b)], [copy(&site_b), copy(&site_a)]] {
            let both = Ledger::combine(CONFIG, all.into());
            let open = both.open();
            assert_eq!(open.len(), 1);
            assert_eq!(&*open[0].subject, "203.0.113.7");
        }
    }

    #[test]
    fn alerts_that_wait_are_counted_together() {
        let (a, b) = (ledger(&[(2, 0), (2, 1)]), ledger(&[(2, 2)]));
        let mut both = Ledger::combine(CONFIG, vec![b, a]);
        let Taken::Stands(alert) = both.take(waiting(3), None) else { panic!("it waits") };
        assert_eq!(alert.repeats.as_ref().map(|repeats| repeats.count), Some(4));
    }

    /// They may have the same place, and one may stand for more than the other.
    #[test]
    fn alerts_that_wait_keep_the_packets_of_all() {
        let each = || [ledger(&[(2, 174), (2, 174)]), ledger(&[(2, 174)])];
        let [a, b] = each();
        let forth = Ledger::combine(CONFIG, vec![a, b]);
        let [a, b] = each();
        let back = Ledger::combine(CONFIG, vec![b, a]);
        assert!(forth.encode(1) == back.encode(1));
    }

    #[test]
    fn a_window_that_is_over_suppresses_nothing() {
        let (old, new) = (ledger(&[(1, 0)]), ledger(&[(3, 400)]));
        let mut both = Ledger::combine(CONFIG, vec![old, new]);
        assert!(both.fires("192.0.2.1".into(), &alert("D03", Family::P, 401, Level::Low)));
    }

    proptest! {
        #[test]
        fn the_order_of_ledgers_does_not_matter(
            steps in prop::collection::vec(prop::collection::vec((0u8..5, 0u64..200), 0..12), 1..4)
        ) {
            let all: Vec<Ledger> = steps.into_iter().map(|mut steps| {
                steps.sort_by_key(|(_, hour)| *hour);
                ledger(&steps)
            }).collect();
            let forth = Ledger::combine(CONFIG, all.iter().map(copy).collect());
            let back = Ledger::combine(CONFIG, all.iter().rev().map(copy).collect());
            prop_assert!(forth.encode(1) == back.encode(1));
            // Of one, it is that one, without what is over.
            let once = Ledger::combine(CONFIG, vec![copy(&forth)]);
            prop_assert!(once.encode(1) == forth.encode(1));
        }
    }
}
