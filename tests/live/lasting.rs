//! A session that does not end is judged while it goes on.

use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::net::Net;
use crate::net::Sensor;

#[allow(dead_code, reason = "the shared module serves several tests")]
#[path = "../craft/mod.rs"]
mod craft;

use craft::Connection;

/// How long after its first packet a session of a remote-control tool may go unnoticed.
const WITHIN: Duration = Duration::from_secs(90);

/// Frames made since the last call.
fn fresh(session: &mut Connection) -> Vec<Vec<u8>> {
    session.capture.frames.drain(..).map(|(_, frame)| frame).collect()
}

#[test]
fn a_remote_control_session_that_never_ends_alerts_within_90_seconds() {
    let Some(net) = Net::new(1) else { return };
    let mut sensor = Sensor::start(&["a0", "--json"]);
    let shown = sensor.out();
    let mut session = Connection::new("10.0.0.7:50000", "203.0.113.9:443");
    let began = Instant::now();
    session.up(craft::SYN, b"");
    session.down(craft::SYN | craft::ACK, b"");
    session.up(craft::ACK, b"");
    session.up(craft::ACK, &craft::client_hello("relay-1.net.anydesk.com"));
    session.down(craft::ACK, &craft::server_hello());
    let mut alert = None;
    while alert.is_none() && began.elapsed() < WITHIN {
        net.send("b0", &fresh(&mut session));
        session.up(craft::ACK, &craft::tls_data(40));
        session.down(craft::ACK, &craft::tls_data(900));
        alert = shown.recv_timeout(Duration::from_millis(500)).ok();
    }
    let after = began.elapsed();
    let alert: Value = serde_json::from_str(&alert.expect("no alert in time")).unwrap();
    assert_eq!(alert["rule"]["id"], "D08", "{alert}");
    assert_eq!(alert["network"]["application"], "anydesk", "{alert}");
    assert!(after >= Duration::from_secs(60) && after <= WITHIN, "{after:?}");
    // It goes on, and its end says nothing new.
    net.send("b0", &fresh(&mut session));
    assert_eq!(sensor.end().0, Some(0));
    let rest: Vec<Value> = shown.iter().map(|line| serde_json::from_str(&line).unwrap()).collect();
    let alerts = rest.iter().filter(|line| line["event"]["dataset"] == "longhaul.alert");
    assert_eq!(alerts.count(), 0, "{rest:?}");
}

/// Sessions of one program outside, whose TCP ends next to the sensor and whose answers come 150 ms
/// later; none of them ends.
#[test]
fn an_endpoint_behind_a_proxy_alerts_while_its_sessions_go_on() {
    let Some(net) = Net::new(1) else { return };
    let mut sensor = Sensor::start(&["a0", "--json", "--update-after", "12s"]);
    let shown = sensor.out();
    let mut sessions: Vec<Connection> = (1..=12)
        .map(|n| {
            Connection::new(&format!("203.0.113.7:{}", 41_000 + n), &format!("10.0.0.{n}:443"))
        })
        .collect();
    let mut send = |wait: u64, step: &dyn Fn(&mut Connection)| {
        std::thread::sleep(Duration::from_millis(wait));
        sessions.iter_mut().for_each(step);
        net.send("b0", &sessions.iter_mut().flat_map(fresh).collect::<Vec<_>>());
    };
    let began = Instant::now();
    send(0, &|session| {
        session.open();
    });
    send(150, &|session| {
        session.ask(&craft::client_hello("office.example"));
        session.answer(&craft::server_hello());
    });
    let mut alert = None;
    while alert.is_none() && began.elapsed() < WITHIN {
        send(150, &|session| {
            session.ask(&craft::tls_data(53)).answer(&craft::tls_data(200));
        });
        let line = shown.recv_timeout(Duration::from_millis(500)).ok();
        alert = line.filter(|line| line.contains("D03"));
    }
    let after = began.elapsed();
    let alert: Value = serde_json::from_str(&alert.expect("no alert in time")).unwrap();
    assert_eq!(alert["endpoint"]["ip"], "203.0.113.7", "{alert}");
    assert!(alert["longhaul"]["handshakes"].as_u64() >= Some(10), "{alert}");
    assert!(after >= Duration::from_secs(12) && after < Duration::from_secs(30), "{after:?}");
    assert_eq!(sensor.end().0, Some(0));
    let again = shown.iter().filter(|line| line.contains("D03") && line.contains("\"alert\""));
    assert_eq!(again.count(), 0);
}
