//! Unanswered sessions of one source within a second as one line of ECS JSON.
//!
//! Owns: the names of its fields. In: the sum. Out: bytes appended to a buffer. Never: a field that
//! a session has and a sum has not.

use crate::emit::Origin;
use crate::emit::ecs::put_related;
use crate::emit::ecs::put_transport;
use crate::emit::id::scan_id;
use crate::emit::json::Json;
use crate::emit::json::key;
use crate::emit::json::quoted;
use crate::model::scan::Scan;

/// Appends one line, ending in a newline.
pub fn render_scan(scan: &Scan, origin: &Origin, out: &mut Vec<u8>) {
    let mut json = Json::begin(out);
    json.moment(quoted!("@timestamp"), scan.last);
    json.literal(r#","ecs":{"version":"8.17.0"}"#);
    let mark = json.open(key!("event"));
    json.literal(r#","kind":"event","category":["network"],"type":["connection"]"#);
    json.literal(r#","action":"sessions-summed","dataset":"longhaul.session""#);
    json.hex(quoted!("id"), Some(scan_id(scan)));
    json.moment(quoted!("start"), scan.first);
    json.moment(quoted!("end"), scan.last);
    json.number(key!("duration"), scan.last.since(scan.first).0.min(i64::MAX as u64));
    json.close(mark);
    json.raw(key!("observer"), origin.observer());
    if let Some(source) = scan.source {
        put_related(&mut json, [source]);
    }
    let mark = json.open(key!("source"));
    if let Some(source) = scan.source {
        json.addr(quoted!("ip"), source);
    }
    json.number(key!("bytes"), scan.bytes);
    json.number(key!("packets"), scan.packets);
    json.close(mark);
    let mark = json.open(key!("network"));
    put_transport(&mut json, scan.transport);
    json.number(key!("bytes"), scan.bytes);
    json.number(key!("packets"), scan.packets);
    json.close(mark);
    let mark = json.open(key!("longhaul"));
    json.literal(r#","state":"opened""#);
    let inner = json.open(key!("summary"));
    json.number(key!("sessions"), scan.sessions);
    json.number(key!("ports"), scan.ports.len() as u64);
    json.number(key!("destinations"), scan.destinations.len() as u64);
    json.close(inner);
    json.close(mark);
    json.end_line();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Addr;
    use crate::model::Nanos;
    use crate::model::Transport;
    use crate::model::scan::Unanswered;

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
}
