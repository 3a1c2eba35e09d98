//! The wording of the demonstration's report.
//!
//! Owns: what a person must read. In: made-up alerts. Out: assertions. Never: built into the
//! program.

use std::sync::Arc;

use super::*;
use crate::model::{EvidenceItem, EvidenceValue, Family};

fn item(name: &str, value: &str, unit: &str, threshold: Option<f64>) -> EvidenceItem {
    let (name, unit) = (name.to_owned(), unit.to_owned());
    let value = match value.parse::<f64>() {
        Ok(_) => EvidenceValue::Number(value.to_owned()),
        Err(_) => EvidenceValue::Text(value.to_owned()),
    };
    EvidenceItem { name, value, unit, threshold, samples: 1, sessions: Vec::new() }
}

fn alert(uuid: &str, remote: [u8; 4], protocol: &str, message: &str) -> Arc<Alert> {
    let mut sample = Alert::sample("D08", Family::R);
    Arc::make_mut(&mut sample.rule).uuid = uuid.to_owned();
    Arc::new(Alert {
        remote: Some(Addr::v4(remote)),
        context: vec![("network.protocol".to_owned(), format!("\"{protocol}\""))],
        message: message.to_owned(),
        evidence: vec![item("event.duration", "95000000000", "ns", Some(3e10))],
        ..sample
    })
}

fn rendered(alerts: &[Arc<Alert>]) -> String {
    let story = Story {
        place: "Ashburn",
        packets: 10,
        sessions: 2,
        span: None,
        took_ms: 5,
        endpoints: &[],
        alerts,
        incidents: &[],
    };
    render(&story, Style { colour: false, width: 200 })
}

#[test]
fn lookups_of_a_resolver_are_shown_once_without_a_chapter() {
    let text = rendered(&[
        alert("a", [9, 9, 9, 9], "dns", "10.0.0.7 looked up relay.example"),
        alert("a", [9, 9, 9, 9], "dns", "10.0.0.7 looked up relay.example"),
        alert("b", [203, 0, 113, 9], "tls", "10.0.0.7 held a session"),
    ]);
    assert!(!text.contains("9.9.9.9"), "{text}");
    assert!(text.contains("\n1  203.0.113.9\n"), "{text}");
    assert!(!text.contains("\n2  "), "{text}");
    assert_eq!(text.matches("looked up relay.example").count(), 1, "{text}");
    assert!(text.contains("3 alerts, 0 incidents, 5 ms."), "{text}");
}

#[test]
fn numbers_have_units_and_one_is_not_many() {
    let text = rendered(&[alert("b", [203, 0, 113, 9], "tls", "x")]);
    assert!(text.contains("why       event.duration = 95.0 s (threshold 30.0 s)\n"), "{text}");
    assert!(text.contains("1 alert, 0 incidents"), "{text}");
    let shown = |value, unit, threshold| evidence(&item("n", value, unit, threshold));
    assert_eq!(shown("962.000", "us", None), "n = 0.96 ms");
    assert_eq!(shown("599.6", "km", None), "n = 599.6 km");
    assert_eq!(shown("5", "packets", Some(3.0)), "n = 5 packets (threshold 3 packets)");
    assert_eq!(shown("a.example", "", None), "n = a.example");
}

#[test]
fn an_alert_on_an_endpoint_has_a_chapter() {
    let mut sample = Alert::sample("D03", Family::P);
    sample.remote = Some(Addr::v4([203, 0, 113, 7]));
    sample.message = "160.0 ms are hidden behind 203.0.113.7".to_owned();
    sample.context = vec![("endpoint.ip".to_owned(), "\"203.0.113.7\"".to_owned())];
    sample.evidence = vec![item("longhaul.hidden_leg.us", "160000.000", "us", Some(40_000.0))];
    let text = rendered(&[Arc::new(sample)]);
    assert!(text.contains("\n1  203.0.113.7\n"), "{text}");
    assert!(text.contains("D03 d03, medium: 160.0 ms are hidden behind 203.0.113.7"), "{text}");
    assert!(text.contains("longhaul.hidden_leg.us = 160 ms (threshold 40.0 ms)"), "{text}");
}
