use super::*;
use crate::model::{Family, Group};

fn counted(all: &mut Incidents, counter: Counter) -> u64 {
    let mut counters = Counters::default();
    all.count(&mut counters);
    counters.get(counter)
}

/// What there is to tell.
fn finish(all: &mut Incidents) -> Vec<Incident> {
    all.take_changes(Level::Informational)
}

const DAY: u64 = 86_400;

fn alert(rule: &str, family: Family, ratio: f64, at_s: u64, subject: &str) -> Arc<Alert> {
    let time = Nanos::from_secs(at_s);
    let sample = Alert::sample(rule, family);
    let message = format!("{rule} at {at_s}");
    let subject = Arc::from(subject);
    Arc::new(Alert { at: time, time, since: time, ratio, subject, message, ..sample })
}

/// The same of another group.
fn grouped(alert: Arc<Alert>, group: Group) -> Arc<Alert> {
    let mut alert = Arc::unwrap_or_clone(alert);
    Arc::make_mut(&mut alert.rule).group = group;
    Arc::new(alert)
}

fn incidents() -> Incidents {
    Incidents::new(IncidentConfig::default())
}

#[test]
fn two_groups_multiply_and_reach_the_posterior() {
    let mut all = incidents();
    all.push(&alert("D08", Family::R, 40.0, 10, "a"));
    all.push(&alert("D18", Family::N, 50.0, 20, "b"));
    all.push(&alert("D18", Family::N, 50.0, 30, "a"));
    let done = finish(&mut all);
    assert_eq!(done.len(), 1);
    assert_eq!(&*done[0].subject, "a");
    assert_eq!(done[0].families, [Family::N, Family::R]);
    // One in 2,000 is odds of 1 to 1,999.
    assert!((done[0].score - 2_000.0 / 3_999.0).abs() < 1e-9);
    let groups: Vec<_> = done[0].factors.iter().map(|of| (of.group.as_str(), of.ratio)).collect();
    assert_eq!(groups, [("network", 50.0), ("tool", 40.0)]);
    assert_eq!((done[0].since, done[0].time), (Nanos::from_secs(10), Nanos::from_secs(30)));
    assert_eq!(done[0].alerts.len(), 2);
    assert_eq!(done[0].topologies, ["T3"]);
}

#[test]
fn one_group_is_never_enough_but_of_a_rule_that_stands_alone() {
    let mut all = incidents();
    for at in 0..50 {
        all.push(&alert("D01", Family::N, 200.0, at, "a"));
    }
    all.push(&alert("D05", Family::P, 1.0, 60, "a"));
    // Two families that fail together are one group.
    let other = grouped(alert("D03", Family::P, 90_000.0, 65, "a"), Group::Network);
    all.push(&other);
    let mut alone = Arc::unwrap_or_clone(alert("D29", Family::N, 20_000.0, 70, "b"));
    Arc::make_mut(&mut alone.rule).alone = true;
    all.push(&Arc::new(alone));
    assert_eq!(counted(&mut all, Counter::AlertsUnlisted), 46);
    let done = finish(&mut all);
    assert_eq!(done.len(), 1);
    assert_eq!(&*done[0].subject, "b");
}

#[test]
fn evidence_adds_up_within_seven_days_only() {
    let mut all = incidents();
    all.push(&alert("D08", Family::R, 50.0, 0, "a"));
    all.push(&alert("D18", Family::N, 50.0, 7 * DAY + 1, "a"));
    assert!(finish(&mut all).is_empty());
    let mut all = incidents();
    all.push(&alert("D08", Family::R, 50.0, 0, "a"));
    all.push(&alert("D18", Family::N, 50.0, 7 * DAY, "a"));
    assert_eq!(finish(&mut all).len(), 1);
}

#[test]
fn a_rule_that_fires_on_keeps_its_group_in_the_window() {
    let mut all = incidents();
    for day in 0..20 {
        all.push(&alert("D08", Family::R, 50.0, day * DAY, "a"));
    }
    all.push(&alert("D18", Family::N, 50.0, 20 * DAY, "a"));
    assert_eq!(finish(&mut all).len(), 1);
}

#[test]
fn an_incident_is_closed_when_its_window_ends() {
    let mut all = incidents();
    all.push(&alert("D08", Family::R, 50.0, 0, "a"));
    all.push(&alert("D18", Family::N, 50.0, 1, "a"));
    all.push(&alert("D18", Family::N, 200.0, 2, "a"));
    all.push(&alert("D08", Family::R, 50.0, 8 * DAY, "a"));
    let done = finish(&mut all);
    assert_eq!(done.len(), 1);
    assert!((done[0].score - 10_000.0 / 11_999.0).abs() < 1e-9);
    assert!(finish(&mut all).is_empty());
}

#[test]
fn an_incident_is_reported_again_when_it_gets_worse_not_when_it_gets_longer() {
    let mut all = incidents();
    let changes = |all: &mut Incidents| -> Vec<Change> {
        finish(all).iter().map(|incident| incident.change).collect()
    };
    all.push(&alert("D08", Family::R, 50.0, 0, "a"));
    all.push(&alert("D18", Family::N, 50.0, 1, "a"));
    assert_eq!(changes(&mut all), [Change::Opened]);
    for at in 2..9 {
        all.push(&alert("D18", Family::N, 50.0, at, "a"));
        assert_eq!(changes(&mut all), [], "more of the same");
    }
    all.push(&alert("D18", Family::N, 60.0, 10, "a"));
    assert_eq!(changes(&mut all), [], "a higher score");
    all.push(&alert("D05", Family::P, 2.0, 11, "a"));
    assert_eq!(changes(&mut all), [Change::Worse], "another group");
    let high = alert("D09", Family::R, 2.0, 12, "a");
    all.push(&Arc::new(Alert { level: Level::High, ..Arc::unwrap_or_clone(high) }));
    assert_eq!(changes(&mut all), [Change::Worse], "a higher level");
    all.push(&alert("D08", Family::R, 50.0, 8 * DAY, "a"));
    assert_eq!(changes(&mut all), [Change::Closed]);
    assert_eq!(changes(&mut all), []);
}

/// A session that a device of ours opened.
fn on(alert: Arc<Alert>, home: u8, name: Option<&str>) -> Arc<Alert> {
    let mut alert = Arc::unwrap_or_clone(alert);
    alert.home = Some(crate::model::Addr::v4([10, 0, 0, home]));
    alert.context.push(("network.direction".into(), "\"outbound\"".into()));
    let named = name.map(|name| ("longhaul.device.name".to_owned(), format!("\"{name}\"")));
    alert.context.extend(named);
    Arc::new(alert)
}

#[test]
fn another_device_makes_an_incident_worse_and_another_address_of_one_does_not() {
    let mut all = incidents();
    let tool = |at| alert("D08", Family::R, 50.0, at, "a");
    all.push(&on(tool(0), 1, Some("laptop-1")));
    all.push(&alert("D18", Family::N, 50.0, 1, "a"));
    let opened = finish(&mut all);
    assert_eq!(opened[0].devices, [Arc::from("laptop-1")]);
    all.push(&on(tool(2), 2, Some("laptop-1")));
    assert!(finish(&mut all).is_empty(), "the same device at another address");
    all.push(&on(tool(3), 3, Some("laptop-2")));
    let worse = finish(&mut all);
    assert_eq!(worse.iter().map(|one| one.change).collect::<Vec<_>>(), [Change::Worse]);
    assert_eq!(worse[0].devices.len(), 2);
    // Alerts of a rule that has its four are not listed, and still say on what they were seen.
    all.push(&on(tool(4), 4, Some("laptop-2")));
    all.push(&on(tool(5), 5, None));
    assert_eq!(finish(&mut all)[0].devices.last().map(|id| &**id), Some("10.0.0.5"));
    for n in 0..40 {
        all.push(&on(tool(6 + n), 6 + n as u8, None));
    }
    assert_eq!(finish(&mut all)[0].devices.len(), 16, "bounded");
}

#[test]
fn alerts_that_an_incident_does_not_list_are_counted() {
    let mut all = incidents();
    for at in 0..7 {
        all.push(&alert("D08", Family::R, 40.0, at, "a"));
    }
    all.push(&alert("D18", Family::N, 50.0, 9, "a"));
    assert_eq!(counted(&mut all, Counter::AlertsUnlisted), 3);
    let done = finish(&mut all);
    assert_eq!((done[0].alerts.len(), done[0].alerts_more), (5, 3));
}

fn small(subjects_max: usize) -> Incidents {
    Incidents::new(IncidentConfig { subjects_max, ..IncidentConfig::default() })
}

/// Of somebody inside, who is the subject.
fn ours(rule: &str, family: Family, ratio: f64, at_s: u64) -> Arc<Alert> {
    let home = "10.0.0.7".parse::<std::net::IpAddr>().unwrap().into();
    let alert = alert(rule, family, ratio, at_s, "10.0.0.7");
    Arc::new(Alert { home: Some(home), ..Arc::unwrap_or_clone(alert) })
}

#[test]
fn subjects_are_capped_and_counted() {
    let mut all = small(2);
    for (at, subject) in ["a", "b", "c"].iter().enumerate() {
        all.push(&alert("D08", Family::R, 50.0, at as u64, subject));
    }
    assert_eq!(counted(&mut all, Counter::SubjectsDropped), 1);
    assert!(!all.subjects.contains_key("a"), "of equals the one that was quiet for longest goes");
    // Past the window the quiet ones make room.
    all.push(&alert("D08", Family::R, 50.0, 8 * DAY, "d"));
    assert_eq!((counted(&mut all, Counter::SubjectsDropped), all.subjects.len()), (0, 1));
}

#[test]
fn a_flood_of_subjects_hides_no_incident() {
    let mut all = small(64);
    let flood = |all: &mut Incidents, from: u64| {
        for n in from..from + 1_000 {
            all.push(&alert("D08", Family::R, 60.0, n, &format!("192.0.2.{n}")));
            assert!(all.subjects.len() <= 64);
        }
    };
    flood(&mut all, 0);
    all.push(&ours("D08", Family::R, 40.0, 1_000));
    flood(&mut all, 1_000);
    all.push(&ours("D18", Family::N, 50.0, 2_000));
    flood(&mut all, 2_000);
    let dropped = counted(&mut all, Counter::SubjectsDropped);
    let left = all.subjects.values().map(|subject| subject.hits.len() as u64).sum::<u64>();
    assert_eq!(dropped + left, 3_002, "each alert is there or counted");
    let done = finish(&mut all);
    assert_eq!(done.len(), 1);
    assert_eq!((&*done[0].subject, done[0].alerts.len()), ("10.0.0.7", 2));
}

/// One subject falls out of the window with each that is new: all are not looked at each time.
#[test]
fn each_scan_frees_an_eighth_of_the_subjects() {
    let mut all = small(64);
    let every = 7 * DAY / 63;
    let mut full = 0;
    for n in 0..640 {
        full += u32::from(all.subjects.len() == 64);
        all.push(&alert("D08", Family::R, 60.0, n * every, &format!("192.0.2.{n}")));
    }
    assert!((1..=640 / 8).contains(&full), "{full} times");
}

#[test]
fn an_evicted_incident_is_reported_complete() {
    let mut all = small(4);
    for n in 0..9 {
        let subject = format!("s{n}");
        all.push(&alert("D08", Family::R, 50.0, n, &subject));
        all.push(&alert("D18", Family::N, 50.0, n, &subject));
    }
    assert_eq!(counted(&mut all, Counter::SubjectsDropped), 0);
    assert_eq!(finish(&mut all).len(), 9);
}

#[test]
fn the_lowest_incidents_are_dropped_at_the_cap() {
    let config = IncidentConfig::default();
    let mut all = Incidents::new(IncidentConfig { subjects_max: 2, incidents_max: 8, ..config });
    for n in 0..100u64 {
        let subject = format!("s{n}");
        let ratio = if n == 13 { 200.0 } else { 50.0 };
        all.push(&alert("D08", Family::R, ratio, n, &subject));
        all.push(&alert("D18", Family::N, 50.0, n, &subject));
    }
    let dropped = counted(&mut all, Counter::IncidentsDropped);
    let done = finish(&mut all);
    assert_eq!(dropped + done.len() as u64, 100);
    assert!(done.iter().any(|incident| &*incident.subject == "s13"));
}

#[test]
fn a_first_alert_of_a_rule_is_listed_beside_many_of_others() {
    let mut all = incidents();
    for rule in 0..8 {
        for at in 0..4 {
            all.push(&alert(&format!("D5{rule}"), Family::N, 40.0, at, "a"));
        }
    }
    all.push(&alert("D08", Family::R, 50.0, 10, "a"));
    assert_eq!(counted(&mut all, Counter::AlertsUnlisted), 1);
    let done = finish(&mut all);
    assert_eq!(done[0].families, [Family::N, Family::R]);
    assert_eq!((done[0].alerts.len(), done[0].alerts_more), (32, 1));
    assert_eq!(done[0].since, Nanos::ZERO);
}

#[test]
fn a_heavier_alert_of_the_same_rule_is_not_passed_over() {
    let mut all = incidents();
    for at in 0..4 {
        all.push(&alert("D18", Family::N, 50.0, at, "a"));
    }
    all.push(&alert("D08", Family::R, 40.0, 5, "a"));
    all.push(&alert("D18", Family::N, 200.0, 6, "a"));
    let done = finish(&mut all);
    assert!((done[0].score - 8_000.0 / 9_999.0).abs() < 1e-9, "{}", done[0].score);
}

/// Several people behind one address.
fn site(at_s: u64, people: &[&str]) -> Arc<Alert> {
    let people = people.iter().map(|id| Arc::from(*id)).collect();
    let alert = alert("D14", Family::C, 100.0, at_s, "192.0.2.7");
    Arc::new(Alert { people, ..Arc::unwrap_or_clone(alert) })
}

#[test]
fn people_behind_one_address_are_one_incident() {
    let mut all = incidents();
    all.push(&alert("D08", Family::R, 50.0, 10, "e-1"));
    all.push(&alert("D08", Family::R, 50.0, 11, "e-2"));
    assert!(finish(&mut all).is_empty());
    all.push(&site(20, &["e-1", "e-2"]));
    let done = finish(&mut all);
    assert_eq!(done.len(), 1, "{done:?}");
    assert_eq!(&*done[0].subject, "192.0.2.7");
    let people: Vec<&str> = done[0].subjects.iter().map(|id| &**id).collect();
    assert_eq!((people, done[0].alerts.len()), (vec!["e-1", "e-2"], 3));
    // More of the same is no change; another person is.
    all.push(&alert("D08", Family::R, 50.0, 30, "e-2"));
    assert!(finish(&mut all).is_empty());
    all.push(&site(40, &["e-3"]));
    let done = finish(&mut all);
    assert_eq!((done.len(), done[0].change, done[0].subjects.len()), (1, Change::Worse, 3));
    assert_eq!(all.open().len(), 1);
}

#[test]
fn evidence_of_a_person_that_comes_later_counts_for_the_address() {
    let mut all = incidents();
    all.push(&site(20, &["e-1", "e-2"]));
    assert!(finish(&mut all).is_empty(), "co-location alone is one group");
    all.push(&alert("D08", Family::R, 50.0, 30, "e-2"));
    let done = finish(&mut all);
    assert_eq!((done.len(), &*done[0].subject), (1, "192.0.2.7"));
}

#[test]
fn an_incident_of_one_person_is_closed_when_it_becomes_that_of_an_address() {
    let mut all = incidents();
    all.push(&alert("D08", Family::R, 50.0, 1, "e-1"));
    all.push(&alert("D18", Family::N, 50.0, 2, "e-1"));
    assert_eq!(finish(&mut all).len(), 1);
    all.push(&site(20, &["e-1", "e-2"]));
    let done = finish(&mut all);
    let told: Vec<_> = done.iter().map(|of| (&*of.subject, of.change)).collect();
    assert_eq!(told, [("192.0.2.7", Change::Opened), ("e-1", Change::Closed)]);
    // Once.
    all.push(&alert("D08", Family::R, 50.0, 30, "e-1"));
    assert!(finish(&mut all).is_empty());
}

#[test]
fn time_of_service_changes_the_odds_and_is_told() {
    let mut all = incidents();
    all.set_prior(Prior {
        one_in: 2_000.0,
        tenure: Some(crate::model::likelihood::Tenure {
            recent_days: 365,
            recent: 4.0,
            longer: 0.2,
        }),
    });
    let hired = |day: &str, who: &str, all: &mut Incidents| {
        for (n, (rule, family)) in [("D08", Family::R), ("D18", Family::N)].into_iter().enumerate()
        {
            let at_s = 1_790_000_000 + n as u64;
            let mut alert = Arc::unwrap_or_clone(alert(rule, family, 30.0, at_s, who));
            alert.context.push(("longhaul.subject.hired".into(), format!("\"{day}\"")));
            all.push(&Arc::new(alert));
        }
    };
    hired("2026-08-01", "new", &mut all);
    hired("2019-08-01", "old", &mut all);
    let done = finish(&mut all);
    let told: Vec<_> = done.iter().map(|of| (&*of.subject, of.tenure)).collect();
    assert_eq!(told, [("new", Some(4.0))]);
}

/// Two incidents a week apart of two subjects; that of the first was reported when it was opened.
#[test]
fn only_closes_that_nobody_waits_for_are_withheld() {
    let mut all = incidents();
    let open = |all: &mut Incidents, subject: &str, at: u64| {
        all.push(&alert("D08", Family::R, 400.0, at, subject));
        all.push(&alert("D18", Family::N, 50.0, at, subject));
    };
    open(&mut all, "a", 10);
    assert_eq!(finish(&mut all).len(), 1);
    open(&mut all, "b", 20);
    all.close_old(Nanos::from_secs(8 * DAY));
    assert_eq!(all.discard_unreported(Nanos::from_secs(20), Level::Low), 0, "b ends later");
    assert_eq!(all.discard_unreported(Nanos::from_secs(21), Level::Low), 1);
    let closed = all.take_closed(Level::Low);
    assert_eq!(closed.iter().map(|of| &*of.subject).collect::<Vec<_>>(), ["a"]);
    assert!(all.take_closed(Level::Low).is_empty());
}
