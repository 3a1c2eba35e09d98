//! Summaries compared with sums made by hand, and their text.
//!
//! Owns: expected summaries. In: made-up runs. Out: assertions. Never: built into the program.

use std::sync::Arc;

use super::*;
use crate::model::Nanos;
use crate::model::endpoint::{EndpointKey, Role};
use crate::model::endpoint_facts::Traits;
use crate::model::interaction::Interaction;
use crate::model::record::*;
use crate::model::{Addr, Transport};

pub fn record(
    transport: Transport,
    protocol: Option<Protocol>,
    at: u64,
    far: Option<u64>,
) -> Record {
    let party = |last| Party {
        ip: Addr::v4([10, 0, 0, last]),
        port: 1,
        mac: None,
        bytes: 100,
        packets: 1,
        ttl: None,
        place: None,
        asn: None,
        behind: None,
        longest: None,
        path: None,
    };
    Record {
        at: Nanos(at),
        start: Nanos(at),
        end: Nanos(at + 50),
        state: SessionState::Closed,
        transport,
        version: 4,
        vlan: None,
        id: [0; 16],
        point: 0,
        initiator: party(1),
        responder: party(2),
        near: Leg::default(),
        far: Leg { handshake_ns: far, ..Leg::default() },
        syn: None,
        quality: Quality::default(),
        facts: Facts { protocol, ..Facts::default() },
        context: Context::default(),
        file: 0,
        frame_first: 1,
        frame_last: 2,
        twin: 0,
        doubtful: false,
        activity: None,
        interaction: None,
        remote_control: None,
        update: None,
        grain: crate::model::Grain::default(),
    }
}

fn endpoint(
    side: Locality,
    asn: u32,
    country: &str,
    sessions: u64,
    floor: Option<u64>,
) -> EndpointRow {
    let key = EndpointKey { ip: Addr::default(), side, fingerprint: None, service: None };
    EndpointRow {
        key,
        role: Role::Responder,
        sessions,
        handshakes: 0,
        floor_ns: floor,
        prefix_floor_ns: None,
        first: Nanos::ZERO,
        last: Nanos::ZERO,
        place: Some(Arc::new(Place {
            cached: Default::default(),
            country: Some(country.into()),
            region: None,
            location: None,
            radius_km: None,
        })),
        asn: Some(Arc::new(AutonomousSystem {
            number: asn,
            organization: Some("Net".into()),
            cached: Default::default(),
        })),
        tags: Vec::new(),
        hidden: None,
        hidden_line: None,
        tunnel: None,
        traits: Traits::default(),
    }
}

#[test]
fn sessions_count_by_protocol_in_any_split() {
    let records = [
        record(Transport::TCP, Some(Protocol::Tls), 500, Some(4_000_000)),
        record(Transport::TCP, None, 400, Some(2_000_000)),
        record(Transport::UDP, Some(Protocol::Dns), 900, None),
        record(Transport::TCP, Some(Protocol::Tls), 600, Some(3_000_000)),
        record(Transport(254), None, 700, None),
    ];
    let (mut a, mut b) = (SummaryBuilder::default(), SummaryBuilder::default());
    records.iter().take(2).for_each(|r| a.observe(r));
    records.iter().skip(2).for_each(|r| b.observe(r));
    let (mut left, mut right) = (a.clone(), b.clone());
    left.merge(&b);
    right.merge(&a);
    let (left, right) = (left.finish(), right.finish());
    assert_eq!(left.protocols, right.protocols);
    assert_eq!(left.sessions, 5);
    let names: Vec<_> = left.protocols.iter().map(|l| (l.name, l.sessions, l.bytes)).collect();
    assert_eq!(names, [("tls", 2, 400), ("dns", 1, 200), ("other", 1, 200), ("tcp", 1, 200)]);
    assert_eq!((left.far.samples(), left.near.samples()), (3, 0));
}

#[test]
fn owners_are_remote_and_summed_by_country() {
    let mut summary = Summary::default();
    let mut rows = vec![
        endpoint(Locality::Remote, 1, "US", 5, Some(9)),
        endpoint(Locality::Remote, 1, "US", 6, Some(7)),
        endpoint(Locality::Remote, 1, "DE", 50, None),
        endpoint(Locality::Home, 2, "US", 500, None),
    ];
    rows.extend((10..20).map(|asn| endpoint(Locality::Remote, asn, "FR", 1, None)));
    summary.add_endpoints(rows.into_iter());
    let top: Vec<_> = summary.owners.iter().map(|o| (o.number, o.sessions, o.floor_ns)).collect();
    assert_eq!(top.len(), OWNERS_MAX);
    assert_eq!(top[..3], [(1, 50, None), (1, 11, Some(7)), (10, 1, None)]);
    assert_eq!(summary.owners_more, 4);
}

/// A host whose keystrokes follow what comes from 203.0.113.9.
pub(in crate::report) fn control(confidence: f64) -> Control {
    Control {
        confidence,
        from: Addr::v4([203, 0, 113, 9]),
        to: Addr::v4([198, 51, 100, 7]),
        share: 0.931,
        baseline: 0.12,
        lag_ns: 2_100_000,
        keys: 240,
        windows: 0,
        days: 0,
        via: Some("tls".into()),
        tool: None,
        approved: false,
        serves: false,
        relayed: false,
        leg: None,
        session: None,
    }
}

#[test]
fn the_surest_driven_hosts_are_shown() {
    let row = |n: u32, side| {
        let mut row = endpoint(side, 1, "US", 1, None);
        row.traits.control = Some(Box::new(control(f64::from(n) / 20.0)));
        row
    };
    let mut summary = Summary::default();
    summary.add_endpoints((0..20).map(|n| row(n, Locality::Home)));
    summary.add_endpoints((0..20).map(|n| row(n, Locality::Remote)));
    let sure: Vec<f64> = summary.driven.iter().map(|line| line.control.confidence).collect();
    assert_eq!(sure, [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6]);
    // 0.55 and 0.5 are driven, less is not.
    assert_eq!(summary.driven_more, 2);
}

#[test]
fn sessions_over_which_ours_are_controlled_are_counted_by_the_side_that_is_ours() {
    let seen = |direction: Direction, controlled: Peer| {
        let mut record = record(Transport::TCP, None, 1, None);
        record.context.direction = direction;
        record.interaction = Some(Box::new(Interaction {
            class: Class::RemoteControl,
            controlled: Some(controlled),
            ..Interaction::default()
        }));
        let mut builder = SummaryBuilder::default();
        builder.observe(&record);
        builder.finish().controlled
    };
    assert_eq!(seen(Direction::Outbound, Peer::Initiator), 1);
    assert_eq!(seen(Direction::Outbound, Peer::Responder), 0);
    assert_eq!(seen(Direction::Inbound, Peer::Responder), 1);
    assert_eq!(seen(Direction::Inbound, Peer::Initiator), 0);
    assert_eq!(seen(Direction::Internal, Peer::Initiator), 0);
}

#[test]
fn incidents_show_the_highest_scores() {
    let member = |rule: &str| crate::model::Member {
        id: String::new(),
        alert: std::sync::Arc::new(crate::model::Alert::sample(rule, crate::model::Family::N)),
    };
    let incident = |n: u32| Incident {
        id: String::new(),
        change: crate::model::Change::Opened,
        time: Nanos::ZERO,
        since: Nanos::ZERO,
        subject: format!("s{n}").into(),
        subject_name: None,
        families: vec![crate::model::Family::N, crate::model::Family::R],
        factors: [crate::model::Group::List, crate::model::Group::Tool]
            .map(|group| crate::model::Factor { group, ratio: 9.0, rule: "D08".into() })
            .to_vec(),
        prior: 0.001,
        tenure: None,
        subjects: Vec::new(),
        devices: vec!["laptop-1".into()],
        score: f64::from(n) / 100.0,
        level: Level::High,
        alerts: ["D08", "D01", "D08"].map(member).into(),
        alerts_more: 0,
        topologies: Vec::new(),
    };
    let mut summary = Summary::default();
    summary.add_incidents(&(80..95).map(incident).collect::<Vec<_>>());
    assert_eq!(summary.incidents_more, 5);
    let first = &summary.incidents[0];
    assert_eq!((first.subject.as_str(), first.groups.as_str()), ("s94", "list+tool"));
    assert_eq!(first.rules, "d01, d08");
}

#[test]
fn a_rule_is_shown_by_the_first_alert_of_its_highest_level() {
    let alert = |level: Level, message: &str| {
        let sample = crate::model::Alert::sample("D08", crate::model::Family::R);
        crate::model::Alert { level, message: message.to_owned(), ..sample }
    };
    let mut summary = Summary::default();
    summary.add_alerts(&[
        alert(Level::Low, "looked up a name"),
        alert(Level::High, "held a session"),
        alert(Level::High, "held another"),
        alert(Level::Medium, "less"),
    ]);
    let [line] = &summary.rules[..] else { panic!("{:?}", summary.rules) };
    assert_eq!(
        (line.level, line.alerts, line.message.as_str()),
        (Level::High, 4, "held a session")
    );
}
