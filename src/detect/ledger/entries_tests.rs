use super::*;
use crate::detect::merge::conclude;
use crate::model::alert::Repeats;
use crate::model::{EvidenceItem, EvidenceValue, Family};

const DAY: u64 = 86_400;

/// Room for about so many entries that do not wait.
fn room(count: usize) -> Entries {
    let mut one = Entries::new(1 << 20);
    one.judge(&alert("ab", Some("x"), 0), None);
    Entries::new(count * one.bytes)
}

fn alert(subject: &str, key: Option<&str>, at_s: u64) -> Alert {
    let time = Nanos::from_secs(at_s);
    let item = EvidenceItem {
        name: "dns.question.name".to_owned(),
        value: EvidenceValue::Text(key.unwrap_or_default().to_owned()),
        unit: String::new(),
        threshold: None,
        samples: 1,
        sessions: vec![format!("s{at_s}")],
    };
    Alert {
        time,
        since: time,
        subject: Arc::from(subject),
        message: "a looked up x".to_owned(),
        evidence: vec![item],
        packets: (0, at_s as u32, at_s as u32),
        session_id: format!("s{at_s}"),
        repeats: key.map(|key| Repeats::of(key.to_owned(), time)),
        ..Alert::sample("D08", Family::R)
    }
}

#[test]
fn an_alert_joins_the_first_of_its_subject_and_key_within_a_day() {
    let mut entries = Entries::new(1 << 20);
    assert!(matches!(entries.judge(&alert("a", Some("x"), 0), Some(0)), Verdict::New));
    assert!(matches!(entries.judge(&alert("a", Some("x"), 1), Some(1)), Verdict::Again(Some(0))));
    assert!(matches!(entries.judge(&alert("b", Some("x"), 2), None), Verdict::New));
    assert!(matches!(entries.judge(&alert("b", Some("x"), 2), Some(1)), Verdict::Again(None)));
    assert!(matches!(entries.judge(&alert("a", Some("y"), 2), Some(1)), Verdict::New));
    assert!(matches!(entries.judge(&alert("a", Some("x"), DAY), Some(2)), Verdict::Again(Some(0))));
    assert!(matches!(entries.judge(&alert("a", Some("x"), DAY + 1), Some(2)), Verdict::New));
    assert!(matches!(
        entries.judge(&alert("a", Some("x"), DAY + 2), Some(3)),
        Verdict::Again(Some(2))
    ));
}

#[test]
fn a_rule_without_merging_is_not_merged() {
    let mut entries = Entries::new(1 << 20);
    for at in 0..3 {
        assert!(matches!(entries.judge(&alert("a", None, at), Some(0)), Verdict::New));
    }
}

fn counted(entries: &mut Entries, counter: Counter) -> u64 {
    let mut counters = Counters::default();
    entries.count(&mut counters);
    counters.get(counter)
}

#[test]
fn kinds_are_capped_and_old_ones_make_room() {
    let mut entries = room(64);
    for n in 0..64 {
        entries.judge(&alert(&n.to_string(), Some("x"), 0), None);
    }
    assert!(matches!(entries.judge(&alert("late", Some("x"), DAY), None), Verdict::New));
    assert!(entries.bytes <= entries.cap);
    // What is past the window is no loss; those were within it.
    assert!((7..=10).contains(&counted(&mut entries, Counter::AlertsUnmerged)));
    assert!(matches!(entries.judge(&alert("later", Some("x"), 3 * DAY), None), Verdict::New));
    assert_eq!(counted(&mut entries, Counter::AlertsUnmerged), 0);
}

#[test]
fn the_lowest_entry_is_evicted_not_the_newest() {
    let of = |subject: &str, home: Option<&str>, at_s: u64| {
        let home = home.map(|ip| ip.parse::<std::net::IpAddr>().unwrap().into());
        let mut alert = Alert { home, ..alert(subject, Some("x"), at_s) };
        if let Some(repeats) = &mut alert.repeats {
            repeats.at_least = 3;
        }
        alert
    };
    let mut entries = room(64);
    // Two of three that make an alert, then a flood from outside.
    for at in 0..2 {
        assert!(matches!(entries.judge(&of("pc7", Some("10.0.0.7"), at), None), Verdict::Waits));
    }
    for n in 0..1_000 {
        let flood = alert(&format!("flood{n}"), Some("x"), 10);
        assert!(matches!(entries.judge(&flood, None), Verdict::New));
        let flood = of(&format!("flood{n}"), None, 10);
        entries.judge(&flood, None);
        assert!(entries.bytes <= entries.cap);
    }
    assert!(matches!(entries.judge(&of("pc7", Some("10.0.0.7"), 20), None), Verdict::Ripe(_)));
    let mut counters = Counters::default();
    entries.count(&mut counters);
    assert!(counters.get(Counter::AlertsUnmerged) > 800);
}

#[test]
fn alerts_held_back_and_evicted_are_counted() {
    let mut entries = room(64);
    for n in 0..100 {
        let mut alert = alert(&format!("s{n}"), Some("x"), n);
        if let Some(repeats) = &mut alert.repeats {
            repeats.at_least = 3;
        }
        assert!(matches!(entries.judge(&alert, None), Verdict::Waits));
    }
    let left = entries.table.len() as u64;
    assert!(left < 100);
    assert_eq!(counted(&mut entries, Counter::AlertsForgotten) + left, 100);
}

#[test]
fn merged_alerts_are_counted_and_listed_up_to_the_caps() {
    let mut first = alert("a", Some("x"), 0);
    for at in 1..10 {
        add(&mut first, &alert("a", Some("x"), at));
    }
    let mut other = alert("a", Some("x"), 10);
    other.evidence[0].value = EvidenceValue::Text("another".to_owned());
    add(&mut first, &other);
    conclude(&mut first);
    let repeats = first.repeats.as_ref().unwrap();
    assert_eq!((repeats.count, repeats.last), (11, Nanos::from_secs(10)));
    assert_eq!(first.message, "a looked up x, 11 times");
    assert_eq!((first.evidence[0].samples, first.evidence[0].sessions.len()), (10, 8));
    assert_eq!(first.evidence[1].value.as_str(), "another");
    // Its own place and seven more; three had no room.
    assert_eq!((repeats.packets.len(), repeats.left_out), (7, 3));
    assert_eq!(first.time, Nanos::ZERO);
}

#[test]
fn a_rule_that_asks_for_three_gets_three_within_a_day() {
    let at = |at_s: u64| {
        let mut alert = alert("a", Some("x"), at_s);
        if let Some(repeats) = &mut alert.repeats {
            repeats.at_least = 3;
        }
        alert
    };
    let mut entries = Entries::new(1 << 20);
    assert!(matches!(entries.judge(&at(0), Some(0)), Verdict::Waits));
    assert!(matches!(entries.judge(&at(1), Some(0)), Verdict::Waits));
    let Verdict::Ripe(all) = entries.judge(&at(2), Some(0)) else { panic!("not ripe") };
    let repeats = all.repeats.as_ref().unwrap();
    assert_eq!((repeats.count, all.since, all.time), (3, Nanos::ZERO, Nanos::from_secs(2)));
    assert!(matches!(entries.judge(&at(3), Some(1)), Verdict::Again(Some(0))));
    // A day later it begins anew, and two are too few.
    for at_s in [DAY + 4, DAY + 5] {
        assert!(matches!(entries.judge(&at(at_s), Some(1)), Verdict::Waits));
    }
    assert!(matches!(entries.judge(&at(3 * DAY), Some(1)), Verdict::Waits), "they are forgotten");
}

#[test]
fn a_rule_fires_on_an_endpoint_once_a_week_or_at_a_higher_level() {
    let at = |at_s: u64| alert("s", None, at_s);
    let mut entries = Entries::new(1 << 20);
    assert!(entries.fires("192.0.2.1".into(), &at(0)));
    assert!(!entries.fires("192.0.2.1".into(), &at(9)));
    // Whoever its last session was of.
    assert!(!entries.fires("192.0.2.1".into(), &alert("another", None, 9)));
    let high = Alert { level: Level::High, ..at(10) };
    assert!(
        entries.fires("192.0.2.1".into(), &high) && !entries.fires("192.0.2.1".into(), &at(11))
    );
    assert!(entries.fires("192.0.2.1".into(), &at(11 + 7 * DAY)));
    let mut entries = room(16);
    for n in 0..60u64 {
        assert!(entries.fires(format!("192.0.2.{n}"), &at(n)));
        assert!(entries.bytes <= entries.cap);
    }
    let left = entries.table.len() as u64;
    assert_eq!(counted(&mut entries, Counter::AlertsUnmerged) + left, 60);
    assert!(
        !entries.fires("192.0.2.59".into(), &at(70)) && entries.fires("192.0.2.1".into(), &at(70))
    );
}
