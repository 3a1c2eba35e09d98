//! Tests: session lines against golden files, and random records against a general JSON parser.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::emit::id::hex;
use crate::emit::{event_id, samples};
use crate::model::record::Place;
use crate::model::scan::Unanswered;
use crate::model::{Addr, Nanos, Transport};

fn line(record: &Record) -> String {
    let mut out = Vec::new();
    let mut record = record.clone();
    record.id = event_id(&record);
    render_session(&record, &samples::origin(), &mut out);
    String::from_utf8(out).unwrap()
}

fn parsed(record: &Record) -> Value {
    let text = line(record);
    assert_eq!(text.matches('\n').count(), 1);
    assert!(text.ends_with("}\n"));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_session_without_facts_matches_the_golden_line() {
    assert!(line(&samples::bare_record()).contains(crate::emit::ECS_VERSION));
    assert_eq!(line(&samples::bare_record()), include_str!("golden/session_bare.json"));
}

#[test]
fn a_tls_session_matches_the_golden_line() {
    assert_eq!(line(&samples::tls_record()), include_str!("golden/session_tls.json"));
}

#[test]
fn hostile_text_is_escaped_in_json() {
    assert_eq!(line(&samples::nasty_record()), include_str!("golden/session_nasty.json"));
    let record = samples::nasty_record();
    let got = parsed(&record);
    assert_eq!(got["dns"]["question"]["name"], "a\"},\\\u{1}\u{7f}\u{2028}é.example");
    assert_eq!(got["dns"]["question"]["type"], "HTTPS");
    assert_eq!(got["dns"]["answers"][1]["type"], "TYPE65280");
    assert_eq!(got["dns"]["answers"][1]["data"], "\\# 1 00");
    assert_eq!(got["dns"]["response_code"], "NXDOMAIN");
    assert_eq!(got["longhaul"]["ssh"]["client"], "SSH-2.0-OpenSSH_9.6 \u{0}\r\n");
    assert_eq!(got["longhaul"]["http"]["connect_target"], "198.51.100.7:443");
    assert_eq!(got["user_agent"]["original"], "tab\tquote\"");
    assert_eq!(got["url"]["domain"], "example.com");
    assert_eq!(got["network"]["vlan"]["id"], "4094");
    assert_eq!(got["source"]["ip"], "2001:db8::1");
    assert_eq!(got["longhaul"]["quality"]["retransmits"], 1);
    assert_eq!(got["longhaul"]["quality"]["one_way"], true);
}

#[test]
fn a_protocol_without_ports_has_none() {
    let mut record = samples::bare_record();
    record.transport = Transport::ICMP;
    let got = parsed(&record);
    assert!(got["source"].get("port").is_none());
    assert_eq!(got["network"]["transport"], "icmp");
    record.transport = Transport(253);
    let got = parsed(&record);
    assert_eq!(got["network"]["transport"], "253");
    assert_eq!(got["network"]["iana_number"], "253");
}

fn no_null_and_no_empty(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty() && items.iter().all(no_null_and_no_empty),
        Value::Object(map) => !map.is_empty() && map.values().all(no_null_and_no_empty),
        _ => true,
    }
}

/// The general parser may be off in the last digit, since it is built without exact float parsing.
fn close(value: &Value, want: f64) -> bool {
    value.as_f64().is_some_and(|got| (got - want).abs() <= want.abs() * 1e-12)
}

prop_compose! {
    fn any_record()(
        numbers in any::<[u64; 6]>(),
        legs in any::<(Option<u64>, Option<u64>)>(),
        small in any::<(u16, u16, u8, u16, u32, u32)>(),
        ips in any::<([u8; 16], [u8; 16])>(),
        texts in any::<[Option<String>; 4]>(),
        vlan in any::<Option<u16>>(),
        ciphers in any::<Vec<u16>>(),
        location in proptest::option::of((-95.0..95.0f64, -185.0..185.0f64)),
        base in 0..3usize,
    ) -> Record {
        let mut r = match base {
            0 => samples::bare_record(),
            1 => samples::tls_record(),
            _ => samples::nasty_record(),
        };
        [r.start.0, r.end.0] = [numbers[0], numbers[1]];
        [r.initiator.bytes, r.initiator.packets] = [numbers[2], numbers[3]];
        [r.responder.bytes, r.responder.packets] = [numbers[4], numbers[5]];
        (r.near.handshake_ns, r.far.handshake_ns) = legs;
        if let Some(trips) = &mut r.far.in_session {
            (trips.samples, trips.p95_ns) = (small.4, numbers[0]);
        }
        (r.initiator.port, r.responder.port, r.transport.0, r.file) =
            (small.0, small.1, small.2, small.3);
        (r.frame_first, r.frame_last) = (small.4, small.5);
        (r.initiator.ip, r.responder.ip) = (Addr(ips.0), Addr(ips.1));
        r.vlan = vlan;
        let [a, b, c, d] = texts.map(|t| t.map(String::into_boxed_str));
        if let Some(tls) = &mut r.facts.tls {
            (tls.server_name, tls.ja4, tls.alpn_chosen, tls.ciphers) = (a, b, c, ciphers);
        } else if let Some(http) = &mut r.facts.http {
            (http.user_agent, http.method) = (a, b);
        }
        r.context.subject_name = d.map(Into::into);
        r.initiator.place = Some(std::sync::Arc::new(Place {
            cached: Default::default(),
            country: None, region: None, location, radius_km: None,
        }));
        r
    }
}

proptest! {
    #[test]
    fn any_record_is_valid_json_with_its_numbers(r in any_record()) {
        let got = parsed(&r);
        prop_assert!(no_null_and_no_empty(&got));
        for (side, party) in [("source", &r.initiator), ("destination", &r.responder)] {
            prop_assert_eq!(&got[side]["bytes"], &Value::from(party.bytes));
            prop_assert_eq!(&got[side]["packets"], &Value::from(party.packets));
            prop_assert_eq!(&got[side]["ip"], &Value::from(party.ip.to_string()));
            if matches!(r.transport.0, 6 | 17 | 33 | 132 | 136) {
                prop_assert_eq!(&got[side]["port"], &Value::from(party.port));
            }
        }
        prop_assert_eq!(&got["@timestamp"], &Value::from(r.end.to_string()));
        prop_assert_eq!(&got["event"]["start"], &Value::from(r.start.to_string()));
        let duration = r.end.0.saturating_sub(r.start.0).min(i64::MAX as u64);
        prop_assert_eq!(&got["event"]["duration"], &Value::from(duration));
        for (leg, ns) in [("near", r.near.handshake_ns), ("far", r.far.handshake_ns)] {
            match ns {
                Some(ns) => {
                    prop_assert!(close(&got["longhaul"][leg]["handshake_us"], ns as f64 / 1e3));
                    let exact = format!("{}.{:03}", ns / 1_000, ns % 1_000);
                    let member = format!("\"{leg}\":{{\"handshake_us\":{exact}");
                    let line = line(&r);
                    let (_, behind) = line.split_once(&member).unwrap();
                    prop_assert!(behind.starts_with([',', '}']), "{line}");
                }
                None => prop_assert!(got["longhaul"][leg].get("handshake_us").is_none()),
            }
        }
        for (name, leg) in [("near", &r.near), ("far", &r.far)] {
            let got = got["longhaul"][name].get("rtt");
            prop_assert_eq!(got.is_some(), leg.in_session.is_some());
            let Some((got, trips)) = got.zip(leg.in_session) else { continue };
            prop_assert_eq!(&got["samples"], &Value::from(trips.samples));
            for (key, ns) in
                [("min_us", trips.min_ns), ("p50_us", trips.p50_ns), ("p95_us", trips.p95_ns)]
            {
                prop_assert!(close(&got[key], ns as f64 / 1e3));
            }
        }
        let location = r.initiator.place.as_deref().and_then(|place| place.location);
        let real = |(lat, lon): &(f64, f64)| lat.abs() <= 90.0 && lon.abs() <= 180.0;
        prop_assert!(location.iter().all(real) || got["source"].get("geo").is_none());
        if let Some((lat, lon)) = location.as_ref().filter(|l| real(l)) {
            prop_assert!(close(&got["source"]["geo"]["location"]["lat"], *lat));
            prop_assert!(close(&got["source"]["geo"]["location"]["lon"], *lon));
        }
        let packets = &got["longhaul"]["packets"][0];
        prop_assert_eq!(&packets["first"], &Value::from(r.frame_first));
        prop_assert_eq!(&packets["last"], &Value::from(r.frame_last));
    }

    #[test]
    fn any_record_keeps_its_texts(r in any_record()) {
        let got = parsed(&r);
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let owned = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        if let Some(tls) = &r.facts.tls {
            prop_assert_eq!(word(&got["tls"]["client"]["server_name"]), owned(&tls.server_name));
            prop_assert_eq!(word(&got["tls"]["client"]["ja4"]), owned(&tls.ja4));
            prop_assert_eq!(word(&got["tls"]["next_protocol"]), owned(&tls.alpn_chosen));
            let ciphers = got["tls"]["client"]["supported_ciphers"].as_array();
            prop_assert_eq!(ciphers.map_or(0, Vec::len), tls.ciphers.len());
        } else if let Some(http) = &r.facts.http {
            prop_assert_eq!(word(&got["user_agent"]["original"]), owned(&http.user_agent));
            prop_assert_eq!(word(&got["http"]["request"]["method"]), owned(&http.method));
        }
        let id = got["event"]["id"].as_str().unwrap();
        prop_assert_eq!(id.len(), 32);
    }
}

#[test]
fn the_latest_possible_time_has_a_four_digit_year() {
    let mut record = samples::bare_record();
    record.end = Nanos(u64::MAX);
    assert_eq!(parsed(&record)["@timestamp"], "2554-07-21T23:34:33.709551615Z");
}

/// `openssl mac -macopt size:16 SIPHASH` prints the same for these 56 bytes and this key.
#[test]
fn the_id_of_a_known_session_never_changes() {
    assert_eq!(hex(event_id(&samples::tls_record())), "40b2577c480db69bcee7c5db696708c8");
}

#[test]
fn the_id_depends_on_the_identity_of_a_session_and_on_nothing_else() {
    let base = samples::tls_record();
    let id = event_id(&base);
    let changes: [fn(&mut Record); 8] = [
        |r| r.point += 1,
        |r| r.transport.0 = 17,
        |r| r.vlan = Some(5),
        |r| r.start.0 += 1,
        |r| r.twin += 1,
        |r| r.initiator.port += 1,
        |r| r.responder.ip = crate::model::Addr::v4([203, 0, 113, 9]),
        |r| std::mem::swap(&mut r.initiator, &mut r.responder),
    ];
    for change in changes {
        let mut other = base.clone();
        change(&mut other);
        assert_ne!(event_id(&other), id);
    }
    let mut later = base.clone();
    later.end.0 += 1;
    later.at.0 += 9;
    later.initiator.bytes += 1;
    later.file += 1;
    assert_eq!(event_id(&later), id);
}

#[test]
fn a_sum_is_one_line() {
    let mut scan = Scan {
        source: Some(Addr::v4([192, 0, 2, 7])),
        transport: Transport::TCP,
        second: Nanos::from_secs(70),
        ..Scan::default()
    };
    for port in [22, 23, 22] {
        scan.add(&Unanswered {
            source: Addr::v4([192, 0, 2, 7]),
            destination: Addr::v4([10, 0, 0, port as u8]),
            transport: Transport::TCP,
            port,
            packets: 2,
            bytes: 120,
            first: Nanos::from_secs(u64::from(port) - 20),
            last: Nanos::from_secs(u64::from(port)),
        });
    }
    let mut out = Vec::new();
    render_scan(&scan, &Origin::new("here", []), &mut out);
    let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(line["event"]["action"], "sessions-summed");
    assert_eq!(line["event"]["start"], "1970-01-01T00:00:02.000000000Z");
    assert_eq!(line["@timestamp"], "1970-01-01T00:00:23.000000000Z");
    assert_eq!(
        (&line["source"]["ip"], &line["source"]["packets"]),
        (&"192.0.2.7".into(), &6.into())
    );
    let common = (&line["observer"]["name"], &line["related"]["ip"][0]);
    assert_eq!(common, (&"here".into(), &"192.0.2.7".into()));
    let summary = &line["longhaul"]["summary"];
    assert_eq!(summary.to_string(), r#"{"destinations":2,"ports":2,"sessions":3}"#);
}

/// Leaves of a line by dotted name; of a list of objects, those of each member.
fn flat(name: &str, value: &Value, into: &mut std::collections::BTreeMap<String, Value>) {
    let inside = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| flat(&inside(key), value, into));
        }
        Value::Array(all) if all.iter().all(Value::is_object) => {
            for (key, value) in all.iter().filter_map(Value::as_object).flatten() {
                let of_all = into.entry(inside(key)).or_insert_with(|| Value::Array(Vec::new()));
                of_all.as_array_mut().unwrap().push(value.clone());
            }
        }
        leaf => drop(into.insert(name.to_owned(), leaf.clone())),
    }
}

proptest! {
    /// The shortcuts for common, missing and repeated objects do not change a line: it has the
    /// fields of its table, and no others.
    #[test]
    fn any_record_is_written_as_its_table_says(r in any_record(), trouble in any::<bool>()) {
        let mut r = r;
        r.quality = crate::model::record::Quality { gaps: trouble.into(), ..Default::default() };
        r.id = event_id(&r);
        let mut line = std::collections::BTreeMap::new();
        flat("", &parsed(&r), &mut line);
        prop_assert_eq!(line.remove("observer.name"), Some(Value::from("longhaul")));
        let mut table = crate::model::schema::flat_json(&r);
        table.retain(|name, _| crate::model::schema::find(name).is_some_and(|f| f.in_lines()));
        let table: std::collections::BTreeMap<String, Value> = table.into_iter().collect();
        let (have, want): (Vec<_>, Vec<_>) = (line.keys().collect(), table.keys().collect());
        prop_assert_eq!(have, want);
        for (name, want) in &table {
            let have = &line[name];
            let same = match (have.as_array(), want.as_f64(), have.as_f64()) {
                // `longhaul.packets` is a list of one.
                (Some(all), Some(_), _) => all.first() == Some(want),
                (_, Some(want), Some(_)) => close(have, want),
                _ => have == want,
            };
            prop_assert!(same, "{name}: {have} is not {want}");
        }
    }
}
