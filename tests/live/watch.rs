//! What somebody sees who watches a sensor: alerts as they come, silence, the summary.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::datagram;
use crate::file;
use crate::net::Net;
use crate::net::Sensor;
use crate::net::lines;
use crate::scratch;

/// A rule that fires on every session to port 4001, and a table of so few sessions that most end at
/// once.
fn given(dir: &Path) -> [String; 4] {
    let (rules, config) = (dir.join("rules"), dir.join("longhaul.toml"));
    std::fs::create_dir(&rules).unwrap();
    let rule = include_str!("rule.yml").replace("PORT", "4001");
    std::fs::write(rules.join("one.yml"), rule).unwrap();
    std::fs::write(&config, "[caps]\nsessions = 16\n").unwrap();
    let text = |path: &Path| path.display().to_string();
    ["--rules-only".to_owned(), text(&rules), "--config".to_owned(), text(&config)]
}

fn forty() -> Vec<Vec<u8>> {
    (1..=40).map(|n| datagram((n, 4_000), (200, 4_001), b"hello")).collect()
}

#[test]
fn without_files_alerts_are_shown_when_they_fire_and_summarised_at_the_end() {
    let Some(net) = Net::new(1) else { return };
    let (dir, _) = scratch();
    let given = given(dir.path());
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let mut sensor = Sensor::start(&[&["a0"], &given[..]].concat());
    let shown = sensor.out();
    net.send_paced("b0", &forty(), 1);
    let first = shown.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(first.contains("  high    D18 to_port_4001  "), "{first}");
    assert!(first.starts_with("20"), "when: {first}");
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0), "{said}");
    let rest: Vec<String> = shown.iter().collect();
    let whole = rest.join("\n");
    assert!(whole.contains("1 interface, 40 packets, "), "{whole}");
    assert!(!whole.contains("0 files"), "{whole}");
    // What was shown and what the end brought are one count.
    assert!(whole.contains("x40"), "{whole}");
}

#[test]
fn json_goes_to_standard_output_beside_the_files() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let given = given(dir.path());
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let mut sensor = Sensor::start(&[&["a0", "--out", &out, "--json"], &given[..]].concat());
    let shown = sensor.out();
    net.send_paced("b0", &forty(), 1);
    let first = shown.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(sensor.end().0, Some(0));
    let all = std::iter::once(first).chain(shown.iter());
    let shown: Vec<Value> = all.map(|line| serde_json::from_str(&line).unwrap()).collect();
    let of = |dataset: &str| -> Vec<Value> {
        shown.iter().filter(|line| line["event"]["dataset"] == dataset).cloned().collect()
    };
    assert_eq!(of("longhaul.alert"), lines(&file(&out, "alerts.ndjson")));
    assert_eq!(of("longhaul.alert").len(), 40);
    assert_eq!(of("longhaul.incident"), lines(&file(&out, "incidents.ndjson")));
}

#[test]
fn an_interface_without_traffic_is_reported() {
    let Some(_net) = Net::new(1) else { return };
    let mut sensor = Sensor::start(&["a0"]);
    let said = sensor.hears("no packets for ");
    assert!(said.contains("is it the right interface?"), "{said}");
    assert_eq!(sensor.end().0, Some(0));
}
