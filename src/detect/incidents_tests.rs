use super::*;

const DAY: u64 = 86_400;

fn alert(rule: &str, family: Family, weight: f64, at_s: u64, subject: &str) -> Arc<Alert> {
    let time = Nanos::from_secs(at_s);
    let sample = Alert::sample(rule, family);
    let message = format!("{rule} at {at_s}");
    let subject = Arc::from(subject);
    Arc::new(Alert { at: time, time, since: time, weight, subject, message, ..sample })
}

fn incidents() -> Incidents {
    Incidents::new(IncidentConfig::new(|alert| alert.message.clone()))
}

#[test]
fn anydesk_and_astrill_on_one_host_reach_the_score() {
    let mut all = incidents();
    all.push(&alert("D08", Family::R, 0.5, 10, "a"));
    all.push(&alert("D18", Family::N, 0.6, 20, "b"));
    all.push(&alert("D18", Family::N, 0.6, 30, "a"));
    let done = all.finish();
    assert_eq!(done.len(), 1);
    assert_eq!(&*done[0].subject, "a");
    assert_eq!(done[0].families, [Family::N, Family::R]);
    assert!((done[0].score - 0.8).abs() < 1e-9);
    assert_eq!((done[0].since, done[0].time), (Nanos::from_secs(10), Nanos::from_secs(30)));
    assert_eq!(done[0].alerts.len(), 2);
    assert_eq!(done[0].topologies, ["T3"]);
}

#[test]
fn one_family_is_never_enough_but_d29_stands_alone() {
    let mut all = incidents();
    for at in 0..50 {
        all.push(&alert("D01", Family::N, 0.9, at, "a"));
    }
    all.push(&alert("D05", Family::P, 0.0, 60, "a"));
    all.push(&alert("D29", Family::N, 0.9, 70, "b"));
    assert_eq!(all.alerts_unlisted(), 46);
    let done = all.finish();
    assert_eq!(done.len(), 1);
    assert_eq!(&*done[0].subject, "b");
}

#[test]
fn families_add_up_within_seven_days_only() {
    let mut all = incidents();
    all.push(&alert("D08", Family::R, 0.6, 0, "a"));
    all.push(&alert("D18", Family::N, 0.6, 7 * DAY + 1, "a"));
    assert!(all.finish().is_empty());
    let mut all = incidents();
    all.push(&alert("D08", Family::R, 0.6, 0, "a"));
    all.push(&alert("D18", Family::N, 0.6, 7 * DAY, "a"));
    assert_eq!(all.finish().len(), 1);
}

#[test]
fn a_rule_that_fires_on_keeps_its_family_in_the_window() {
    let mut all = incidents();
    for day in 0..20 {
        all.push(&alert("D08", Family::R, 0.6, day * DAY, "a"));
    }
    all.push(&alert("D18", Family::N, 0.6, 20 * DAY, "a"));
    assert_eq!(all.finish().len(), 1);
}

#[test]
fn a_window_that_is_over_gives_its_incident_back() {
    let mut all = incidents();
    all.push(&alert("D08", Family::R, 0.6, 0, "a"));
    all.push(&alert("D18", Family::N, 0.6, 1, "a"));
    all.push(&alert("D18", Family::N, 0.9, 2, "a"));
    all.push(&alert("D08", Family::R, 0.6, 8 * DAY, "a"));
    let done = all.drain();
    assert_eq!(done.len(), 1);
    assert!((done[0].score - 0.96).abs() < 1e-9);
    assert!(all.finish().is_empty());
}

#[test]
fn alerts_that_an_incident_does_not_list_are_counted() {
    let mut all = incidents();
    for at in 0..7 {
        all.push(&alert("D08", Family::R, 0.5, at, "a"));
    }
    all.push(&alert("D18", Family::N, 0.6, 9, "a"));
    assert_eq!(all.alerts_unlisted(), 3);
    let done = all.finish();
    assert_eq!((done[0].alerts.len(), done[0].alerts_more), (5, 3));
}

#[test]
fn subjects_are_capped_and_counted() {
    let mut config = IncidentConfig::new(|_| String::new());
    config.subjects_max = 2;
    let mut all = Incidents::new(config);
    for subject in ["a", "b", "c"] {
        all.push(&alert("D08", Family::R, 0.6, 0, subject));
    }
    assert_eq!(all.subjects_dropped(), 1);
    // Past the window the quiet ones make room.
    all.push(&alert("D08", Family::R, 0.6, 8 * DAY, "c"));
    assert_eq!((all.subjects_dropped(), all.subjects.len()), (1, 1));
}
