//! What the analyst has counted while the run goes on.
//!
//! Owns: when a loss is seen. In: made-up alerts. Out: assertions. Never: built into the program.

use super::*;
use crate::model::Family;

fn alert(n: u64) -> Alert {
    let time = Nanos::from_secs(n);
    let subject = Arc::from(format!("192.0.2.{n}"));
    Alert { time, since: time, subject, ..Alert::sample("D08", Family::R) }
}

#[test]
fn what_falls_off_counts_in_the_set_in_which_it_happens() {
    let mut plan = Plan { embedded: Some(("none.pcap", b"")), ..Plan::default() };
    plan.caps.alerts = 100;
    let prepared = crate::pipeline::prepare::prepare(&plan).unwrap();
    let mut analyst =
        Analyst::new(Vec::new(), &plan, &prepared, &Arc::new(Origin::new("test", [])));
    let subjects = IncidentConfig::new(alert_id).subjects_max as u64;
    (0..=subjects).for_each(|n| analyst.found.alert(alert(n)));
    // The run is not over: a live run's line of health and set of files say this.
    let counted = analyst.found.counters.clone();
    assert_eq!(counted.get(Counter::SubjectsDropped), subjects / 8);
    assert_eq!(counted.get(Counter::AlertsDropped), subjects + 1 - 100);
    let set = analyst.found.take();
    assert_eq!((set.alerts.len(), &set.counters), (100, &counted));
    // Nothing is counted twice, and there is room again.
    let (rest, _) = analyst.finish();
    assert_eq!((rest.alerts.len(), &rest.counters), (0, &counted));
}
