//! Tests: field names and values of alert and incident lines.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::model::alert::{
    EvidenceItem, EvidenceValue, Factor, Family, Group, Level, Member, RuleInfo, SourceInfo,
};
use crate::model::event_id::{alert_id, incident_id};
use crate::model::record::Quality;
use crate::model::{Addr, Nanos};

fn alert() -> Alert {
    let rule = RuleInfo {
        id: "D05".into(),
        name: "faster_than_light_geo".into(),
        uuid: "7c5d3c0a-5a52-4b53-9d0f-0f6d5f6f0d05".into(),
        title: "Claimed place is out of reach".into(),
        level: Level::High,
        family: Family::P,
        topologies: vec!["T1".into(), "T5".into()],
        techniques: vec!["T1665".into()],
        group: Group::Place,
        ratio: 20.0,
        alone: false,
        benign_checked: vec!["anycast".into()],
        message: String::new(),
        evidence: Vec::new(),
    };
    Alert {
        id: String::new(),
        at: Nanos::from_secs(1_700_000_100),
        time: Nanos::from_secs(1_700_000_000),
        since: Nanos::from_secs(1_699_999_000),
        rule: Arc::new(rule),
        level: Level::Medium,
        ratio: 4.0,
        lowered: vec!["mobile: tagged, ratio 4.0 for 20".into()],
        ratio_source: "judgement".into(),
        prior: Some((0.0005, None)),
        people: Vec::new(),
        subject: "e-17".into(),
        subject_name: Some("A \"quoted\" name".into()),
        home: Some(Addr::v4([10, 0, 0, 7])),
        remote: Some(Addr::v4([203, 0, 113, 9])),
        context: vec![
            ("source.ip".into(), "\"10.0.0.7\"".into()),
            ("source.port".into(), "5000".into()),
            ("longhaul.far.handshake_us".into(), "190.902".into()),
            ("tls.client.server_name".into(), "not json".into()),
        ],
        message: "4.2 ms is too fast for 900 km".into(),
        evidence: vec![EvidenceItem {
            name: "longhaul.far.handshake_us".into(),
            value: EvidenceValue::Number("4200.5".into()),
            unit: "us".into(),
            threshold: Some(6_004.0),
            samples: 1,
            sessions: vec!["ab".into()],
        }],
        sources: vec![SourceInfo {
            kind: "geo",
            name: "region".into(),
            version: "".into(),
            built_at: Some(Nanos::from_secs(1_698_796_800)),
        }],
        packets: (1, 26, 480),
        quality: Quality { gaps: 2, ..Quality::default() },
        session_id: "ab".into(),
        repeats: None,
    }
}

fn origin() -> Origin {
    Origin::new("longhaul", ["a.pcap".as_ref(), "b.pcap".as_ref()])
}

fn rendered(origin: &Origin) -> Value {
    let mut out = Vec::new();
    render_alert(&alert(), Advice::default(), origin, &mut out);
    assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn an_alert_line_has_every_field() {
    let got = rendered(&origin());
    let at = |pointer: &str| got.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/@timestamp"), "2023-11-14T22:13:20.000000000Z");
    assert_eq!(at("/event/kind"), "alert");
    assert_eq!(at("/event/severity"), 50);
    assert_eq!(at("/log/level"), "medium");
    assert_eq!(at("/rule/id"), "D05");
    assert_eq!(at("/rule/name"), "faster_than_light_geo");
    assert_eq!(at("/rule/uuid"), "7c5d3c0a-5a52-4b53-9d0f-0f6d5f6f0d05");
    assert_eq!(at("/threat/technique/id"), json!(["T1665"]));
    assert_eq!(at("/message"), "4.2 ms is too fast for 900 km");
    assert_eq!(at("/longhaul/subject"), json!({"id": "e-17", "name": "A \"quoted\" name"}));
    assert_eq!(at("/longhaul/family"), "P");
    assert_eq!(at("/longhaul/topology"), json!(["T1", "T5"]));
    assert_eq!(at("/longhaul/evidence/0/name"), "longhaul.far.handshake_us");
    assert_eq!(at("/longhaul/evidence/0/value"), 4_200.5);
    assert_eq!(at("/longhaul/evidence/0/threshold"), 6_004.0);
    let observer = json!({"name": "longhaul", "type": "sensor", "vendor": "longhaul"});
    assert_eq!(at("/observer"), observer);
    assert_eq!(at("/related/ip"), json!(["10.0.0.7", "203.0.113.9"]));
    assert_eq!(at("/longhaul/evidence/0/sessions"), json!(["ab"]));
    let checked = ["mobile: tagged, ratio 4.0 for 20", "anycast"];
    assert_eq!(at("/longhaul/benign_checked"), json!(checked));
    assert_eq!((at("/longhaul/group"), at("/longhaul/ratio")), (json!("place"), json!(4.0)));
    assert_eq!(
        at("/longhaul/sources"),
        json!([{"kind": "geo", "name": "region", "build": "2023-11-01", "age_days": 13}])
    );
    assert_eq!(at("/longhaul/quality/gaps"), 2);
    assert_eq!(at("/longhaul/packets"), json!([{"file": "b.pcap", "first": 26, "last": 480}]));
}

#[test]
fn a_merged_alert_has_its_count_and_its_last_time() {
    let mut alert = alert();
    let mut repeats = crate::model::alert::Repeats::of("k".into(), alert.time);
    let line = |alert: &Alert| -> Value {
        let mut out = Vec::new();
        render_alert(alert, Advice::default(), &Origin::new("x", []), &mut out);
        serde_json::from_slice(&out).unwrap()
    };
    alert.repeats = Some(repeats.clone());
    assert!(line(&alert)["longhaul"].get("count").is_none());
    (repeats.count, repeats.last) = (2, Nanos::from_secs(1_700_000_060));
    repeats.packets.push((0, 7, 8));
    alert.repeats = Some(repeats);
    let got = line(&alert);
    assert_eq!(got["longhaul"]["count"], 2);
    assert_eq!(got["longhaul"]["packets"][1], json!({"file": "0", "first": 7, "last": 8}));
    assert_eq!(got["@timestamp"], "2023-11-14T22:13:20.000000000Z");
    assert_eq!(got["event"]["end"], "2023-11-14T22:14:20.000000000Z");
}

#[test]
fn fields_of_the_session_are_nested_beside_our_own() {
    let got = rendered(&Origin::new("x", []));
    assert_eq!(got["source"], json!({"ip": "10.0.0.7", "port": 5000}));
    assert_eq!(got["longhaul"]["far"]["handshake_us"], 190.902);
    assert_eq!(got["tls"]["client"]["server_name"], "not json");
    assert_eq!(got["longhaul"]["packets"][0]["file"], "1");
}

#[test]
fn an_incident_line_has_every_field() {
    let member = |id: &str, alert: Alert| Member { id: id.into(), alert: Arc::new(alert) };
    let mut weak = alert();
    weak.rule = Arc::new(RuleInfo { techniques: vec!["T1133".into()], ..(*weak.rule).clone() });
    (weak.ratio, weak.message, weak.packets) = (1.5, "said\nso".into(), (0, 1, 2));
    weak.quality.one_way = true;
    weak.session_id = "another".into();
    let same_session = member("ef", alert());
    let weak = member("ab", weak);
    let incident = Incident {
        id: String::new(),
        change: crate::model::Change::Worse,
        time: Nanos::from_secs(1_700_000_000),
        since: Nanos::from_secs(1_699_000_000),
        subject: "10.0.0.7".into(),
        subject_name: None,
        families: vec![Family::N, Family::R],
        factors: vec![
            Factor { group: Group::Place, ratio: 20.0, rule: "D05".into() },
            Factor { group: Group::Tool, ratio: 600.0, rule: "D08".into() },
        ],
        prior: 0.0005,
        tenure: None,
        score: 0.75,
        subjects: Vec::new(),
        devices: vec!["laptop-1".into()],
        level: Level::High,
        alerts: vec![weak, member("cd", alert()), same_session],
        alerts_more: 3,
        topologies: vec!["T1".into()],
    };
    let (next, not) = (["ask".to_owned()], ["identity".to_owned()]);
    let origin = origin();
    let advice = Advice { next_steps: &next, does_not_prove: &not };
    let mut out = Vec::new();
    render_incident(&incident, advice, &origin, &mut out);
    let got: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(got["event"]["kind"], "alert");
    assert_eq!(
        got["message"],
        "10.0.0.7: 3 alerts, probability 0.75 of one in 2000, place x20, tool x600"
    );
    assert_eq!(got["longhaul"]["families"], json!(["N", "R"]));
    assert_eq!(got["longhaul"]["score"], 0.75);
    assert_eq!(got["longhaul"]["groups"], json!(["place", "tool"]));
    assert_eq!(got["longhaul"]["prior"], 0.0005);
    let ratio = json!({"group": "tool", "ratio": 600.0, "rule": "D08"});
    assert_eq!(got["longhaul"]["ratios"][1], ratio);
    let what_if = ["without place (D05): 0.13", "without tool (D08): 0.00"];
    let more = "with another group of ratio 10: 0.97";
    assert_eq!(got["longhaul"]["what_if"], json!([what_if[0], what_if[1], more]));
    let rule = json!({"id": "D05", "name": "faster_than_light_geo"});
    assert_eq!(got["longhaul"]["alerts"][0]["rule"], rule);
    assert_eq!(got["rule"]["id"], "D05");
    assert_eq!(got["longhaul"]["alerts_more"], 3);
    assert_eq!(got["event"]["action"], "worse");
    assert_eq!(got["longhaul"]["change"], "worse");
    assert_eq!(got["threat"]["technique"]["id"], json!(["T1133", "T1665"]));
    assert_eq!(got["longhaul"]["evidence"].as_array().unwrap().len(), 1, "each piece once");
    assert_eq!(got["longhaul"]["sources"][0]["age_days"], 13);
    assert_eq!(got["longhaul"]["quality"]["gaps"], 4);
    assert_eq!(got["longhaul"]["quality"]["one_way"], true);
    assert_eq!(got["longhaul"]["packets"].as_array().unwrap().len(), 2);
    assert_eq!(got["longhaul"]["alerts"][0]["message"], "said\nso");
    assert_eq!(got["longhaul"]["next_steps"], json!(["ask"]));
    assert_eq!(got["longhaul"]["does_not_prove"], json!(["identity"]));
}

#[test]
fn ids_of_alerts_differ_by_rule_and_not_by_run() {
    let id = |rule| alert_id(rule, "ab", "e-17", Nanos(5));
    assert_eq!(id("D01"), id("D01"));
    assert_ne!(id("D01"), id("D02"));
    assert_eq!(id("D01").len(), 32);
    assert_ne!(incident_id("a", Nanos(1), Nanos(2)), incident_id("a", Nanos(1), Nanos(3)));
}
