//! Rules on endpoints, and the accuracy of the estimate of layer-3 tunnels.
//!
//! Owns: refusals and alerts of endpoint rules, and the targets of the estimate. In: rules, and the
//! shared captures if present. Out: counts on the console, pass or fail. Never: a target below the
//! specification's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod common;
mod records;

use longhaul::config::Plan;
use longhaul::detect::RuleSet;
use longhaul::detect::SourceCatalog;
use longhaul::model::Alert;
use longhaul::model::EndpointRow;
use longhaul::model::endpoint::Role;
use longhaul::model::endpoint::Tunnel;
use longhaul::model::schema;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::run;
use records::endpoint_from_json;
use rsigma_eval::JsonEvent;
use serde_json::Value;

fn rule(detection: &str) -> String {
    let body: String = detection.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "title: rule\nid: 00000000-0000-4000-8000-000000000001\nname: test\n\
         logsource: {{product: longhaul, service: endpoint}}\ndetection:\n{body}level: low\n\
         longhaul:\n  id: X1\n  family: N\n  topologies: [T1]\n  ratio: 1.1\n  \
         message: 'fired'\n  evidence: []\n"
    )
}

#[test]
fn refusals_name_line_cause_and_remedy() {
    for (detection, line, words) in [
        ("s:\n  network.direction: inbound\ncondition: s", 7, "is no field of an endpoint"),
        ("s:\n  longhaul.flor_us: 3\ncondition: s", 7, "did you mean `longhaul.floor_us`?"),
        ("s:\n  longhaul.floor_us|contains: 3\ncondition: s", 7, "need a text"),
        ("s:\n  endpoint.side: remot\ncondition: s", 7, "did you mean `remote`?"),
        ("s:\n  longhaul.tunnel.l3: maybe\ncondition: s", 7, "`true` or `false`"),
        ("s:\n  longhaul.days: 1\ntimeframe: 5m\ncondition: s", 8, "counts over several endpoints"),
    ] {
        let errors = RuleSet::from_text("r.yml", &rule(detection)).expect_err(detection);
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 1, "{detection}\n{}", all.join("\n"));
        assert!(all[0].contains(words), "{detection}\n{}", all[0]);
        assert_eq!(errors[0].place.as_ref().unwrap().1, line, "{detection}\n{}", all[0]);
    }
    let good = rule("s:\n  longhaul.sessions|gte: 1\ncondition: s");
    let rules = RuleSet::from_text("r.yml", &good).unwrap();
    assert_eq!(rules.iter().map(|rule| rule.service()).collect::<Vec<_>>(), ["endpoint"]);
}

fn fire(row: &EndpointRow) -> Vec<Alert> {
    let catalog = SourceCatalog { lists: Vec::new(), place: None, asn: None };
    let mut alerts = Vec::new();
    RuleSet::embedded().unwrap().evaluate_endpoint(row, &catalog, &mut alerts);
    alerts
}

#[test]
fn an_alert_carries_numbers_samples_and_the_disc() {
    let path = common::own("rules/cases/d03/firing.high.json");
    let object: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut row = endpoint_from_json(object.as_object().unwrap()).unwrap();
    row.traits.latest.as_mut().unwrap().id = [0xab; 16];
    let alerts = fire(&row);
    let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
    assert_eq!((alert.rule.id.as_str(), alert.session_id.as_str()), ("D03", &*"ab".repeat(16)));
    assert_eq!(alert.subject.as_ref(), "192.0.2.1");
    assert_eq!(alert.remote, Some(row.key.ip));
    assert!(alert.message.contains("160.0 ms are hidden behind 203.0.113.20"), "{}", alert.message);
    let item = |name: &str| alert.evidence.iter().find(|item| item.name == name).unwrap();
    let leg = item("longhaul.hidden_leg.us");
    assert_eq!((leg.value.as_str(), leg.unit.as_str()), ("160000.000", "us"));
    assert_eq!((leg.threshold, leg.samples), (Some(40_000.0), 4));
    assert_eq!(item("longhaul.hidden_leg.handshakes").value.as_str(), "1");
    assert_eq!(item("longhaul.disc.fibre_km").value.as_str(), "17787.5");
    assert_eq!(item("longhaul.disc.real_km").unit, "km");
    assert!(alert.rule.benign_checked.iter().any(|text| text.contains("satellite")));
    assert_eq!(alert.sources.last().unwrap().kind, "rules");
}

#[test]
fn another_sigma_engine_agrees_on_every_case() {
    let rules = ["physics/d03_hidden_leg_tls_gap", "physics/d04_tunnelled_leg_rtt_excess"];
    let rules = rules.into_iter().chain(["network/d06_tunnel_mtu", "physics/d07_stack_split"]);
    let texts = rules.map(|rule| {
        std::fs::read_to_string(common::own(&format!("rules/{rule}.yml"))).unwrap() + "---\n"
    });
    let text: String = texts.collect();
    let collection = rsigma_parser::parse_sigma_yaml(&text).unwrap();
    let mut oracle = rsigma_eval::Engine::new();
    oracle.add_collection(&collection).unwrap();
    let (mut cases, mut fired) = (0, 0);
    for folder in ["d03", "d04", "d06", "d07"] {
        for entry in std::fs::read_dir(common::own("rules/cases").join(folder)).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let object: Value = serde_json::from_str(&text).unwrap();
            let row = endpoint_from_json(object.as_object().unwrap()).unwrap();
            let event = Value::Object(schema::flat_json(&row));
            let hits = oracle.evaluate(&JsonEvent::borrow(&event));
            let mut want: Vec<_> = hits.iter().filter_map(|h| h.header.rule_id.clone()).collect();
            let mut have: Vec<_> = fire(&row).iter().map(|a| a.rule.uuid.clone()).collect();
            want.sort();
            have.sort();
            assert_eq!(have, want, "{event}");
            cases += 1;
            fired += have.len();
        }
    }
    assert!(cases >= 20 && fired >= 4, "{fired} of {cases}");
}

/// The client of a laboratory capture: the initiator with most evidence.
fn client(path: std::path::PathBuf, ip: &str, workers: usize) -> (Option<Tunnel>, Vec<String>) {
    let plan = Plan { inputs: vec![path], workers, quiet: true, ..Plan::default() };
    let outcome = run(&plan, &mut NoProgress).unwrap();
    let of_client = |row: &EndpointRow| {
        row.key.ip.to_string() == ip && row.role != Role::Responder && row.tunnel.is_some()
    };
    let rows = outcome.endpoints.iter().filter(of_client);
    let tunnel =
        rows.filter_map(|row| row.tunnel).max_by(|a, b| a.confidence.total_cmp(&b.confidence));
    let alerts = outcome.alerts.iter().map(|alert| {
        format!("{} {} {} {}", alert.time, alert.rule.id, alert.subject, alert.message)
    });
    (tunnel, alerts.collect())
}

#[test]
fn layer_3_tunnels_are_distinguished_from_everything_else() {
    let Some(lab) = common::shared("lab") else { return };
    let (mut hits, mut tunnels, mut false_alarms, mut others) = (0, 0, Vec::new(), 0);
    for row in common::table(&lab.join("index.csv")) {
        let (tunnel, _) = client(lab.join(row.get("pcap")), row.get("client_ip"), 1);
        let flagged = tunnel.is_some_and(|tunnel| tunnel.confidence >= 0.5);
        assert!(tunnel.is_none_or(|tunnel| tunnel.l3 == flagged));
        if row.get("scenario") == "C" {
            tunnels += 1;
            hits += usize::from(flagged);
        } else {
            others += 1;
            if flagged {
                false_alarms.push(row.get("id").to_owned());
            }
        }
    }
    println!(
        "layer-3 tunnels: {hits} of {tunnels} flagged; of {others} others {} ({})",
        false_alarms.len(),
        common::few(&false_alarms)
    );
    assert!(tunnels > 0 && others > 0);
    assert!(hits * 100 >= tunnels * 95, "{hits} of {tunnels}");
    assert!(false_alarms.len() * 100 <= others, "{false_alarms:?}");
}

#[test]
fn alerts_on_endpoints_are_the_same_at_any_number_of_workers() {
    let lab = common::find("lab").into_iter().flat_map(|lab| {
        let rows = common::table(&lab.join("index.csv")).into_iter();
        let of_class = rows.filter(|row| row.get("scenario") == "C").take(3);
        of_class.map(move |row| lab.join(row.get("pcap"))).collect::<Vec<_>>()
    });
    let mut seen = 0;
    for path in std::iter::once(common::demo()).chain(lab) {
        let run = |workers| client(path.clone(), "", workers).1;
        let one = run(1);
        assert!(one == run(2) && one == run(8), "{one:#?}");
        seen += one.len();
    }
    println!("{seen} alerts");
    assert!(seen > 0);
}

/// Laptops of one home are one incident, though each has addresses of its own in IPv6.
#[test]
fn people_of_one_network_are_told_of_the_network() {
    let path = common::own("rules/cases/d14/firing.high.json");
    let case: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let subject = |ip: &str| {
        let mut case = case.as_object().unwrap().clone();
        case.insert("endpoint.ip".to_owned(), ip.into());
        let alerts = fire(&endpoint_from_json(&case).unwrap());
        let found = alerts.iter().find(|alert| alert.rule.id == "D14").unwrap();
        found.subject.to_string()
    };
    assert_eq!(subject("203.0.113.7"), "203.0.113.7");
    assert_eq!(subject("2001:db8:1:2:a::7"), "2001:db8:1:2::/64");
    assert_eq!(subject("2001:db8:1:2:b::9"), "2001:db8:1:2::/64");
}
