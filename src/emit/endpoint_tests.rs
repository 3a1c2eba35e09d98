//! Tests: endpoint lines against golden files, and the ids of endpoints.

use super::*;
use crate::emit::samples;
use crate::model::endpoint::{
    EndpointKey, Fingerprint, HiddenLeg, Locality, Pool, Role, Service, Tunnel,
};
use crate::model::endpoint_facts::{
    Baseline, BaselineOf, Excess, MtuTotals, Spread, StackTotals, Traits,
};
use crate::model::event_id::endpoint_id;
use crate::model::{Addr, Nanos, Transport};

fn row(fingerprint: Option<Fingerprint>) -> EndpointRow {
    let party = samples::tls_record().responder;
    let service = Some(Service { transport: Transport::TCP, port: 443 });
    EndpointRow {
        key: EndpointKey { ip: party.ip, side: Locality::Remote, fingerprint, service },
        role: Role::Initiator,
        sessions: 12,
        handshakes: 11,
        floor_ns: Some(18_491_007),
        prefix_floor_ns: Some(17_000_000),
        first: Nanos::from_secs(1_700_000_000),
        last: Nanos::from_secs(1_700_000_090),
        place: party.place,
        asn: party.asn,
        tags: vec!["hosting".into(), "vpn:\"x\"".into()],
        hidden: Some(HiddenLeg {
            ns: 182_000_500,
            confidence: 0.97,
            method: "tls+first_data",
            kinds: 2,
            samples: 12,
            handshakes: 12,
            needs: None,
            pool: Pool::LINE,
        }),
        hidden_line: None,
        tunnel: Some(Tunnel { l3: false, confidence: 0.1, reason: "mss" }),
        traits: Traits::default(),
    }
}

fn line(row: &EndpointRow) -> String {
    let mut out = Vec::new();
    render_endpoint(row, &samples::origin(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_endpoint_with_every_field_matches_the_golden_line() {
    let ja4 = Fingerprint::Ja4("t13d1516h2_8daaf6152771_02713d6af862".into());
    assert_eq!(line(&row(Some(ja4))), include_str!("golden/endpoint_full.json"));
}

#[test]
fn the_id_depends_on_every_part_of_the_key_and_on_the_span() {
    let base = row(Some(Fingerprint::Ja4("x".into())));
    let changes: [fn(&mut EndpointRow); 7] = [
        |r| r.key.ip = Addr::v4([203, 0, 113, 81]),
        |r| r.key.side = Locality::Home,
        |r| r.key.fingerprint = Some(Fingerprint::Ssh("x".into())),
        |r| r.key.fingerprint = None,
        |r| r.key.service = Some(Service { transport: Transport::UDP, port: 443 }),
        |r| r.first.0 += 1,
        |r| r.last.0 += 1,
    ];
    let mut seen = std::collections::HashSet::from([endpoint_id(&base)]);
    for change in changes {
        let mut other = base.clone();
        change(&mut other);
        assert!(seen.insert(endpoint_id(&other)), "{other:?}");
    }
    let mut more = base.clone();
    more.sessions += 1;
    assert_eq!(endpoint_id(&more), endpoint_id(&base));
}

#[test]
fn totals_over_sessions_have_their_field_names() {
    let mut row = row(None);
    row.traits = Traits {
        days: 2,
        subjects: 1,
        mtu: Some(MtuTotals {
            syns: 9,
            hints: vec![(1_420, 7), (1_500, 2)],
            others: 0,
            clamped: false,
        }),
        stack: Some(StackTotals { syn: Some("linux"), program: None, compared: 0, differ: 0 }),
        spread: Some(Spread { sessions: 3, days: 2, p25_ns: 1_000, p50_ns: 2_000, p75_ns: 4_000 }),
        excess: Some(Excess {
            of: "prefix",
            floor_ns: 5_000,
            over_ns: 6_000,
            sessions: 24,
            days: 3,
        }),
        ..Traits::default()
    };
    let got: serde_json::Value = serde_json::from_str(&line(&row)).unwrap();
    let own = &got["longhaul"];
    assert_eq!((&own["days"], &own["people"]), (&2.into(), &1.into()));
    let floor = serde_json::json!({"prefix_us": 17_000.0, "of": "prefix", "excess_us": 6.0,
        "sessions": 24, "days": 3, "ratio": 2.2});
    assert_eq!(own["floor"], floor);
    let rtt = serde_json::json!({"sessions": 3, "days": 2, "p50_us": 2.0, "iqr_us": 3.0});
    assert_eq!(own["rtt"], rtt);
    assert_eq!(own["mtu"], serde_json::json!({"hint": 1420, "values": 2, "syns": 9}));
    let stack = serde_json::json!({"syn": "linux", "compared": 0, "differ": 0});
    assert_eq!(own["stack"], stack);
}

#[test]
fn baselines_are_written_beside_the_floor_they_are_compared_with() {
    let mut row = row(None);
    row.prefix_floor_ns = None;
    let path = Baseline {
        of: BaselineOf::Prefix,
        floor_ns: 8_000_000,
        sessions: 25,
        days: 4,
        learning: true,
    };
    let own = Baseline { of: BaselineOf::Subject, learning: false, ..path };
    row.traits.baseline = Some(path);
    row.traits.subject_baseline = Some(own);
    let got: serde_json::Value = serde_json::from_str(&line(&row)).unwrap();
    let want = serde_json::json!({
        "baseline": {"of": "prefix-baseline", "us": 8000.0, "sessions": 25, "days": 4,
            "learning": true},
        "subject": {"excess_us": 10_491.007, "us": 8000.0, "sessions": 25, "days": 4},
    });
    assert_eq!(got["longhaul"]["floor"], want);
}

#[test]
fn unknown_values_are_left_out() {
    let mut row = row(Some(Fingerprint::Ssh("OpenSSH_9.6".into())));
    (row.floor_ns, row.prefix_floor_ns, row.place, row.asn) = (None, None, None, None);
    row.tags.clear();
    (row.hidden, row.tunnel) = (None, None);
    row.key.ip = Addr::v4([10, 0, 0, 7]);
    let got: serde_json::Value = serde_json::from_str(&line(&row)).unwrap();
    assert_eq!(got["endpoint"]["ssh"], "OpenSSH_9.6");
    assert_eq!(got["longhaul"], serde_json::json!({"sessions": 12, "handshakes": 11}));
    assert!(got["endpoint"].get("geo").is_none() && got["endpoint"].get("as").is_none());
}
