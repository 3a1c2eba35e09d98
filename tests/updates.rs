//! Sessions that last are judged while they do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use craft::ACK;
use craft::Capture;
use craft::Connection;
use craft::MS;
use craft::PSH;
use craft::SECOND;
use craft::START;
use craft::at;
use serde_json::Value;

/// A TLS session with a relay of AnyDesk, of both sides data every two seconds, for so long.
fn remote_control(client: &str, seconds: u64) -> Capture {
    let mut session = Connection::new(client, "203.0.113.9:443");
    session.open();
    session.ask(&craft::client_hello("relay-1.net.anydesk.com"));
    session.answer(&craft::server_hello());
    while session.now < START + seconds * SECOND {
        session.ask(&craft::tls_data(40));
        session.answer(&craft::tls_data(900));
        session.wait(2 * SECOND);
    }
    session.capture
}

/// Several such sessions, and many short ones beside them.
fn office() -> Capture {
    let mut capture = Capture::default();
    for n in 1..=9 {
        capture.join(remote_control(&format!("10.0.0.{n}:50000"), 100 * n));
    }
    for n in 0..400u64 {
        let mut short = Connection::new(&format!("10.0.1.{}:40000", n % 250), "203.0.113.80:80");
        short.now = START + n * 2 * SECOND;
        short.open().ask(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
        capture.join(short.answer(b"HTTP/1.1 204 No Content\r\n\r\n").close());
    }
    // One that ends while the others go on.
    capture.join(remote_control("10.0.0.99:50000", 350));
    capture.sorted()
}

fn is_update(line: &Value) -> bool {
    at(line, "event.action") == "session-update"
}

fn seconds(line: &Value) -> u64 {
    at(line, "event.duration").as_u64().unwrap() / SECOND
}

/// Alerts without the name of the capture, which lies elsewhere each time.
fn placeless(alerts: &[Value]) -> Vec<Value> {
    let mut alerts = alerts.to_vec();
    for alert in &mut alerts {
        alert["longhaul"]["packets"] = Value::Null;
        let told = alert["longhaul"]["explanation"].as_array_mut().unwrap();
        told.retain(|sentence| !sentence.as_str().unwrap().starts_with("Packets to open: "));
    }
    alerts
}

#[test]
fn updates_are_written_where_they_are_asked_for() {
    let capture = office().pcap();
    let with = craft::read(&capture, &["--updates", "--workers", "1"]);
    let updates: Vec<&Value> = with.sessions.iter().filter(|line| is_update(line)).collect();
    // At 1 and 5 minutes: those that fell silent between did not end.
    let numbers =
        |number: u64| updates.iter().filter(|line| at(line, "longhaul.update") == number).count();
    assert_eq!((numbers(1), numbers(2), numbers(3)), (10, 10, 0), "{}", updates.len());
    for update in &updates {
        let due = if at(update, "longhaul.update") == 1 { 60 } else { 300 };
        let end = with.sessions.iter().rfind(|line| at(line, "event.id") == at(update, "event.id"));
        let end = end.unwrap();
        let lasted = due.min(seconds(end));
        assert!((lasted - 3..=lasted).contains(&seconds(update)), "{update}");
        assert!(!is_update(end) && at(end, "longhaul.update").is_null(), "{end}");
        if lasted < due {
            continue;
        }
        for sum in ["network.bytes", "longhaul.activity.seconds", "longhaul.activity.messages_up"] {
            assert!(at(end, sum).as_u64() > at(update, sum).as_u64(), "{sum}");
        }
    }
    let longest = with.sessions.iter().rfind(|line| at(line, "source.ip") == "10.0.0.9").unwrap();
    let activity = |name: &str| at(longest, &format!("longhaul.activity.{name}"));
    let messages = ["messages_up", "messages_down"].map(|name| activity(name).as_u64().unwrap());
    assert!(messages.iter().all(|n| (425..445).contains(n)), "{messages:?}");
    assert!((425..480).contains(&activity("seconds").as_u64().unwrap()));
    let counters = &with.run["counters"]["session"];
    assert_eq!(counters["updates"], updates.len());
    assert_eq!(counters["updates_written"], updates.len());
    // Without them, every other line is the same.
    let without = craft::read(&capture, &["--workers", "1"]);
    let ends: Vec<&Value> = with.sessions.iter().filter(|line| !is_update(line)).collect();
    assert!(without.sessions.iter().collect::<Vec<_>>() == ends);
    assert!(placeless(&without.alerts) == placeless(&with.alerts));
    assert!(without.endpoints == with.endpoints);
    assert_eq!(without.run["counters"]["session"]["updates"], updates.len());
}

#[test]
fn updates_are_the_same_at_any_number_of_workers() {
    let capture = office().pcap();
    let one = craft::read(&capture, &["--updates", "--workers", "1", "--update-after", "7s,31s"]);
    assert!(one.sessions.iter().filter(|line| is_update(line)).count() > 100);
    for workers in ["2", "5", "64"] {
        let args = ["--updates", "--workers", workers, "--update-after", "7s,31s"];
        let other = craft::read(&capture, &args);
        assert!(one.sessions == other.sessions, "{workers} workers");
        assert!(one.alerts.len() > 5 && placeless(&one.alerts) == placeless(&other.alerts));
        assert!(one.endpoints == other.endpoints);
    }
}

/// What fires in an update says what was known by then, and is not told again at the end.
#[test]
fn an_alert_fires_once_as_soon_as_it_holds() {
    let capture = remote_control("10.0.0.7:50000", 1_000).pcap();
    let early = craft::read(&capture, &[]);
    let late = craft::read(&capture, &["--update-after", "never"]);
    assert_eq!(early.rules(), late.rules());
    assert_eq!(early.alerts.len(), 1, "{:?}", early.rules());
    let (early, late) = (&early.alerts[0], &late.alerts[0]);
    assert_eq!(at(early, "longhaul.session.id"), at(late, "longhaul.session.id"));
    let lasted = |alert: &Value| {
        let all = at(alert, "longhaul.evidence").as_array().unwrap();
        let one = all.iter().find(|one| at(one, "name") == "event.duration").unwrap();
        at(one, "value").as_f64().unwrap() / SECOND as f64
    };
    assert!((57.0..61.0).contains(&lasted(early)), "{early}");
    assert!(lasted(late) > 990.0, "{late}");
}

/// TLS from one program at one address outside to a host of ours: its TCP ends 4 ms away, whoever
/// answers is 150 ms behind that. Data pass as long as given.
fn behind_a_proxy(n: u64, seconds: u64) -> Connection {
    let mut session =
        Connection::new(&format!("203.0.113.7:{}", 41_000 + n), &format!("10.0.0.{n}:443"));
    (session.near, session.far, session.now) = (4 * MS, MS / 2, START + n * SECOND);
    session.open();
    session.wait(150 * MS).ask(&craft::client_hello("office.example"));
    session.answer(&craft::server_hello()).wait(150 * MS + n * MS / 4);
    while session.now < START + seconds * SECOND {
        session.ask(&craft::tls_data(53)).answer(&craft::tls_data(200)).wait(2 * SECOND);
    }
    session
}

fn farm(seconds: u64) -> Capture {
    let mut capture = Capture::default();
    for n in 1..=12 {
        capture.join(behind_a_proxy(n, seconds).capture);
    }
    capture.sorted()
}

/// Rules on endpoints need not wait until sessions end, and tell it once.
#[test]
fn an_endpoint_is_judged_by_sessions_that_go_on() {
    let capture = farm(1_000).pcap();
    let one = craft::read(&capture, &["--workers", "1"]);
    let late = craft::read(&capture, &["--update-after", "never"]);
    let fired = |said: &craft::Said| -> Vec<(i64, String)> {
        let alerts = said.alerts.iter().filter(|alert| at(alert, "rule.id") == "D03");
        let one = |alert: &Value| {
            let severity = at(alert, "event.severity").as_i64().unwrap();
            (severity, at(alert, "event.end").as_str().unwrap()[11..19].to_owned())
        };
        alerts.map(one).collect()
    };
    let (early, at_end) = (fired(&one), fired(&late));
    // When the sessions are a minute old, and again only at a higher level.
    assert!(!early.is_empty() && early.windows(2).all(|two| two[0].0 < two[1].0), "{early:?}");
    assert!(early.iter().all(|(_, end)| ("10:01:00".."10:01:15").contains(&&**end)), "{early:?}");
    assert!(!at_end.is_empty() && at_end.iter().all(|(_, end)| &**end > "10:16:00"), "{at_end:?}");
    assert_eq!(early.last().unwrap().0, at_end.last().unwrap().0);
    // Their totals are those of ended sessions.
    assert!(one.endpoints == late.endpoints);
    for workers in ["2", "5", "64"] {
        let other = craft::read(&capture, &["--workers", workers]);
        assert!(placeless(&one.alerts) == placeless(&other.alerts), "{workers} workers");
        assert!(one.endpoints == other.endpoints && one.incidents == other.incidents);
    }
}

/// A rule about the people of home hosts, which need not wait either: the first update, of 59
/// seconds, is too short.
#[test]
fn what_is_new_on_site_is_told_while_it_lasts() {
    let dir = tempfile::tempdir().unwrap();
    let rule = dir.path().join("rule.yml");
    let text = "title: rule\nid: 00000000-0000-4000-8000-000000000001\nname: test\n\
        logsource: {product: longhaul, service: endpoint}\n\
        detection:\n  s:\n    endpoint.side: home\n    longhaul.first_seen.tool: 'rmm:anydesk'\n\
        \x20 condition: s\nlevel: low\nlonghaul:\n  id: X1\n  family: N\n  topologies: [T1]\n\
        \x20 ratio: 1.1\n  message: 'fired'\n  evidence: []\n";
    std::fs::write(&rule, text).unwrap();
    let capture = remote_control("10.0.0.7:50000", 1_000).pcap();
    let fired = |more: &[&str]| {
        let args = [&["--rules", rule.to_str().unwrap()], more].concat();
        let said = craft::read(&capture, &args);
        let own = said.alerts.iter().filter(|alert| at(alert, "rule.id") == "X1");
        let time = |alert: &Value| at(alert, "event.end").as_str().unwrap()[11..19].to_owned();
        (own.map(time).collect::<Vec<_>>(), placeless(&said.alerts))
    };
    let (early, one) = fired(&["--workers", "1"]);
    assert!(early.len() == 1 && ("10:04:50".."10:05:10").contains(&&*early[0]), "{early:?}");
    assert!(fired(&["--workers", "5"]).1 == one);
    let (late, _) = fired(&["--update-after", "never"]);
    assert!(late.len() == 1 && &*late[0] > "10:16:00", "{late:?}");
}

/// Sessions that have ended and those that go on are judged together, each once.
#[test]
fn ended_and_open_sessions_of_an_endpoint_add_up() {
    let mut capture = Capture::default();
    for n in 1..=12 {
        let long = n > 4;
        let mut session = behind_a_proxy(n, if long { 400 } else { 10 });
        capture.join(if long { session.capture } else { session.close() });
    }
    let capture = capture.sorted().pcap();
    let said = craft::read(&capture, &[]);
    let early = said.alerts.iter().filter(|alert| {
        at(alert, "rule.id") == "D03"
            && &at(alert, "event.end").as_str().unwrap()[11..19] < "10:01:15"
    });
    let sessions: Vec<u64> =
        early.map(|alert| at(alert, "longhaul.sessions").as_u64().unwrap()).collect();
    assert!(sessions.iter().any(|count| (5..=12).contains(count)), "four had ended: {sessions:?}");
    let plain = craft::read(&capture, &["--update-after", "never"]);
    assert!(said.endpoints == plain.endpoints);
    let proxied = said.endpoints.iter().find(|row| at(row, "endpoint.ip") == "203.0.113.7");
    assert_eq!(at(proxied.unwrap(), "longhaul.sessions"), 12);
}

/// What one sensor told on an endpoint is not told again by those whose state was merged with its.
#[test]
fn a_merged_state_knows_what_each_sensor_told() {
    let dir = tempfile::tempdir().unwrap();
    let state = |name: &str| dir.path().join(name).display().to_string();
    let [a, b, both] = ["a", "b", "both"].map(state);
    let (proxied, other) = (farm(100).pcap(), remote_control("10.0.0.7:50000", 100).pcap());
    let d03 = |said: &craft::Said| said.rules().iter().any(|(rule, _)| rule == "D03");
    assert!(d03(&craft::read(&proxied, &["--state", &a])));
    craft::read(&other, &["--state", &b]);
    let merge = std::process::Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["state", "merge", &both, &a, &b])
        .output()
        .unwrap();
    assert!(merge.status.success(), "{}", String::from_utf8_lossy(&merge.stderr));
    assert!(d03(&craft::read(&proxied, &["--state", &b])), "b did not know");
    assert!(!d03(&craft::read(&proxied, &["--state", &both])));
}

/// A session that is not over is in no sum until it is.
#[test]
fn an_update_adds_to_no_sum() {
    let mut session = Connection::new("10.0.0.7:50000", "203.0.113.9:443");
    session.open();
    for _ in 0..100 {
        session.ask(b"ask").answer(b"answer").wait(SECOND);
    }
    session.up(PSH | ACK, b"still here");
    let capture = session.capture.pcap();
    let with = craft::read(&capture, &["--update-after", "5s", "--updates"]);
    assert!(with.sessions.len() > 15);
    let without = craft::read(&capture, &["--update-after", "never"]);
    assert!(with.endpoints == without.endpoints);
    assert_eq!(with.run["counters"]["session"]["sessions"], 1);
    assert_eq!(without.run["counters"]["session"]["updates"], 0);
}

#[test]
fn times_out_of_bounds_are_refused() {
    let capture = remote_control("10.0.0.7:50000", 5).pcap();
    let said = craft::read(&capture, &["--update-after", "5m,60s"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("error: --update-after: `60s`"), "{}", said.stderr);
    assert!(said.stderr.contains("help: give up to eight times"), "{}", said.stderr);
}
