use serde_json::{Value, json};

use super::*;

fn session() -> Vec<u8> {
    json!({
        "@timestamp": "2026-11-22T10:00:02.123456789Z",
        "event": { "id": "0123456789abcdef0123456789abcdef",
                   "start": "2026-11-22T10:00:00.000000001Z",
                   "end": "2026-11-22T10:00:02.123456789Z", "duration": 2_123_456_788_u64 },
        "observer": { "name": "iad1" },
        "source": { "ip": "198.51.100.7", "port": 50000, "bytes": 10, "packets": 3 },
        "destination": { "ip": "2001:db8::1", "port": 443, "bytes": 20, "packets": 4 },
        "network": { "transport": "tcp", "protocol": "tls", "iana_number": "6",
                     "direction": "inbound", "community_id": "1:x=" },
        "tls": { "client": { "server_name": "a=b|c\\d\ne" } },
        "longhaul": { "state": "closed", "tags": ["hosting", "vpn:x"] },
    })
    .to_string()
    .into_bytes()
}

fn incident() -> Vec<u8> {
    json!({
        "@timestamp": "2026-11-22T10:00:02.123456789Z",
        "event": { "id": "ff23456789abcdef0123456789abcdef" },
        "rule": { "id": "D03", "name": "hidden_leg", "description": "A long leg" },
        "threat": { "technique": { "id": ["T1090.002"] } },
        "related": { "ip": ["198.51.100.7", "203.0.113.9"] },
        "message": "Ann: 2 alerts", "log": { "level": "high" },
        "longhaul": { "subject": { "id": "e-1", "name": "Ann" }, "score": 0.9, "change": "worse",
                      "groups": ["latency", "stack"] },
    })
    .to_string()
    .into_bytes()
}

fn rendered(form: Form, kind: EventKind, line: &[u8]) -> String {
    let mut out = Vec::new();
    render(form, (kind, Level::High), line, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn as_json(form: Form, kind: EventKind, line: &[u8]) -> Value {
    serde_json::from_str(&rendered(form, kind, line)).unwrap()
}

#[test]
fn ecs_is_what_the_files_have() {
    let line = session();
    assert_eq!(rendered(Form::Ecs, EventKind::SessionEnd, &line).into_bytes(), line);
}

#[test]
fn a_session_is_network_activity_of_ocsf() {
    let event = as_json(Form::Ocsf, EventKind::SessionEnd, &session());
    for (field, want) in [
        ("class_uid", json!(4001)),
        ("category_uid", json!(4)),
        ("activity_id", json!(2)),
        ("type_uid", json!(400_102)),
        ("time", json!(1_795_341_602_123_u64)),
        ("duration", json!(2_123)),
        ("metadata.version", json!("1.3.0")),
        ("src_endpoint.ip", json!("198.51.100.7")),
        ("dst_endpoint.port", json!(443)),
        ("connection_info.protocol_num", json!(6)),
        ("connection_info.direction_id", json!(1)),
        ("traffic.bytes_in", json!(20)),
        ("unmapped.longhaul.tags", json!(["hosting", "vpn:x"])),
    ] {
        assert_eq!(get(&event, field), Some(&want), "{field}");
    }
}

#[test]
fn an_incident_is_a_detection_finding_of_ocsf() {
    let event = as_json(Form::Ocsf, EventKind::Incident, &incident());
    for (field, want) in [
        ("class_uid", json!(2004)),
        ("activity_id", json!(2)),
        ("type_uid", json!(200_402)),
        ("severity_id", json!(4)),
        ("status_id", json!(1)),
        ("confidence_score", json!(90)),
        ("finding_info.title", json!("A long leg")),
        ("finding_info.uid", json!("ff23456789abcdef0123456789abcdef")),
    ] {
        assert_eq!(get(&event, field), Some(&want), "{field}");
    }
    assert_eq!(event["finding_info"]["attacks"][0]["technique"]["uid"], "T1090.002");
    assert_eq!(event["observables"].as_array().unwrap().len(), 3);
}

#[test]
fn cef_escapes_what_would_end_a_value() {
    let line = rendered(Form::Cef, EventKind::SessionEnd, &session());
    assert!(line.starts_with("CEF:0|longhaul|longhaul|"), "{line}");
    assert!(line.contains("|session|Session|8|rt=1795341602123 "), "{line}");
    assert!(line.contains("cs1=a\\=b|c\\\\d\\ne cs1Label=serverName"), "{line}");
    assert!(line.contains("src=198.51.100.7 spt=50000"), "{line}");
    assert!(line.contains("deviceDirection=0") && line.contains("cs4=hosting,vpn:x"), "{line}");
    assert!(!line.contains('\n'));
    let line = rendered(Form::Cef, EventKind::Incident, &incident());
    assert!(line.contains("|incident|Incident|8|") && line.contains("suser=Ann"), "{line}");
}

#[test]
fn leef_separates_attributes_by_tabs() {
    let line = rendered(Form::Leef, EventKind::Incident, &incident());
    let mut parts = line.split('\t');
    assert!(parts.next().unwrap().starts_with("LEEF:2.0|longhaul|longhaul|"), "{line}");
    let attributes: Vec<&str> = parts.collect();
    assert!(attributes.contains(&"usrName=e-1") && attributes.contains(&"probability=0.9"));
    let line = rendered(Form::Leef, EventKind::SessionEnd, &session());
    assert!(line.contains("\tserverName=a=b|c\\d e\t"), "{line}");
}

#[test]
fn eve_has_a_flow_and_an_alert() {
    let flow = as_json(Form::Eve, EventKind::SessionEnd, &session());
    for (field, want) in [
        ("event_type", json!("flow")),
        ("timestamp", json!("2026-11-22T10:00:02.123456+0000")),
        ("flow_id", json!(0x0012_3456_789a_bcde_u64)),
        ("proto", json!("TCP")),
        ("flow.bytes_toclient", json!(20)),
        ("flow.age", json!(2)),
        ("flow.reason", json!("end")),
    ] {
        assert_eq!(get(&flow, field), Some(&want), "{field}");
    }
    let alert = as_json(Form::Eve, EventKind::Incident, &incident());
    for (field, want) in [
        ("event_type", json!("alert")),
        ("src_ip", json!("198.51.100.7")),
        ("dest_ip", json!("203.0.113.9")),
        ("alert.signature_id", json!(3)),
        ("alert.severity", json!(1)),
        ("alert.category", json!("incident")),
    ] {
        assert_eq!(get(&alert, field), Some(&want), "{field}");
    }
}

#[test]
fn forms_without_a_line_for_a_kind_write_nothing() {
    for form in Form::ALL.into_iter().filter(|form| *form != Form::Ecs) {
        assert_eq!(rendered(form, EventKind::Health, b"{}"), "", "{}", form.name());
        assert!(render(form, (EventKind::Alert, Level::Low), b"no", &mut Vec::new()).is_err());
        assert!(mapping(form).contains("| `source.ip` |"), "{}", form.name());
    }
}

#[test]
fn whatever_a_line_holds_is_copied_as_it_is_and_each_object_comes_once() {
    let own = json!({
        "state": "closed", "empty": {}, "none": [], "list": [1, -2, 3.5, 1e300, true, null, "x"],
        "deep": { "a": { "b": [{ "c": "\u{1}\u{7f}\n\t\"\\/ \u{2028}ä" }, []] } }, "key\n\"": 1,
    });
    let mut event: Value = serde_json::from_slice(&session()).unwrap();
    event["longhaul"] = own.clone();
    event["source"]["more"] = json!({ "ip": "no" });
    let line = event.to_string().into_bytes();
    let ocsf = rendered(Form::Ocsf, EventKind::SessionEnd, &line);
    let read: Value = serde_json::from_str(&ocsf).unwrap();
    assert_eq!(read["unmapped"]["longhaul"], own);
    assert_eq!(read["src_endpoint"]["ip"], "198.51.100.7");
    for name in ["src_endpoint", "metadata", "connection_info", "traffic", "tls", "unmapped"] {
        assert_eq!(ocsf.matches(&format!("\"{name}\":{{")).count(), 1, "{name}: {ocsf}");
    }
    let eve = as_json(Form::Eve, EventKind::SessionEnd, &line);
    assert_eq!(eve["longhaul"]["deep"], own["deep"]);
    assert_eq!(eve["longhaul"]["event_id"], "0123456789abcdef0123456789abcdef");
    event["longhaul"] = json!({});
    let eve = as_json(Form::Eve, EventKind::SessionEnd, event.to_string().as_bytes());
    assert_eq!(eve["longhaul"], json!({ "event_id": "0123456789abcdef0123456789abcdef" }));
    for cut in 0..line.len() {
        let event = (EventKind::SessionEnd, Level::Low);
        assert!(render(Form::Ocsf, event, &line[..cut], &mut Vec::new()).is_err(), "{cut}");
    }
}

#[test]
fn a_finding_has_the_ends_of_its_session_as_evidence() {
    let mut event: Value = serde_json::from_slice(&incident()).unwrap();
    let alert = as_json(Form::Ocsf, EventKind::Incident, event.to_string().as_bytes());
    assert_eq!(get(&alert, "evidences"), None);
    let session: Value = serde_json::from_slice(&session()).unwrap();
    for name in ["source", "destination", "network"] {
        event[name] = session[name].clone();
    }
    let alert = as_json(Form::Ocsf, EventKind::Alert, event.to_string().as_bytes());
    let evidence = &alert["evidences"][0];
    assert_eq!(evidence["dst_endpoint"], json!({ "ip": "2001:db8::1", "port": 443 }));
    assert_eq!(evidence["connection_info"]["direction_id"], 1);
    let eve = as_json(Form::Eve, EventKind::Alert, event.to_string().as_bytes());
    assert_eq!(
        (&eve["dest_ip"], &eve["alert"]["category"]),
        (&json!("2001:db8::1"), &json!("hidden_leg"))
    );
}
