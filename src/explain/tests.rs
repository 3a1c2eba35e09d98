use super::*;
use crate::model::escape::is_unsafe;

fn flat(json: &str) -> Flat {
    Flat::parse(json.as_bytes()).unwrap()
}

/// An alert with everything that the words depend on.
const ALERT: &str = r#"{"@timestamp":"2026-11-23T01:59:42.5Z","event":{"dataset":"longhaul.alert",
    "id":"ab","start":"2026-11-23T01:58:42.1Z","end":"2026-11-23T01:59:42.5Z"},
    "log":{"level":"medium"},"rule":{"id":"D08","name":"rmm_unapproved","description":"A tool"},
    "message":"10.0.0.7 used a tool","network":{"direction":"outbound","community_id":"1:x="},
    "source":{"ip":"10.0.0.7"},"destination":{"ip":"192.0.2.9","as":{"number":64500}},
    "longhaul":{"subject":{"id":"e-1","name":"Ann"},"group":"tool","ratio":60.0,"prior":0.0005,
    "ratio_source":"company, 18 of 18 cases","far":{"handshake_us":10000.0},
    "evidence":[{"name":"event.duration","value":60500000000,"unit":"ns","threshold":30000000000,
    "samples":2}],"benign_checked":["approved: no"],
    "packets":[{"file":"a.pcap","first":5,"last":9}],
    "sources":[{"kind":"list","name":"l","build":"2026-11-22","age_days":1}],
    "next_steps":["Ask."],"does_not_prove":["Intent."]}}"#;

fn has(told: &Explanation, heading: &str, text: &str) {
    let section = told.sections.iter().find(|section| section.heading == heading);
    let sentences = section.map(|section| section.sentences.clone()).unwrap_or_default();
    assert!(sentences.iter().any(|one| one.contains(text)), "{heading}: {text}: {sentences:#?}");
}

#[test]
fn an_alert_is_told_with_its_numbers() {
    let told = finding(&flat(ALERT));
    has(&told, "Who", "Ann (e-1): alert, level medium");
    has(&told, "What was seen", "event.duration is 60.5 s (the rule's bound is 30.0 s, 2 meas");
    has(&told, "How sure", "one person in 2000 is a case (0.0005)");
    has(&told, "How sure", "60 times as often on a case");
    has(&told, "How sure", "source: company, 18 of 18 cases");
    // Odds of 1 to 1,999, times 60: 0.0300 to 1, a probability of 0.029.
    has(&told, "How sure", "By itself: a probability of 0.03.");
    has(&told, "How sure", "another group of a ratio of 34");
    // 10 ms at 99.93, 66.62 and 149.9 km per ms.
    has(&told, "How far away", "192.0.2.9 took 10.0 ms at the least: what answers there is within");
    for km in ["within 999 km", "within 666 km", "within 1499 km"] {
        has(&told, "How far away", km);
    }
    has(&told, "When", "From 2026-11-23 01:58:42 to 2026-11-23 01:59:42 UTC.");
    has(&told, "Benign explanations tested", "approved: no");
    has(&told, "Based on", "list l of 2026-11-22, 1 days old by then.");
    has(&told, "What to do next", "Ask.");
    has(&told, "What it does not prove", "Intent.");
    has(&told, "Packets to open", "a.pcap, frames 5 to 9.");
    assert!(told.sentences().contains(&"What to do next: Ask.".to_owned()));
}

#[test]
fn tags_of_honest_reasons_are_explained() {
    let text = ALERT.replacen("\"group\":\"tool\"", "\"tags\":[\"hotel\"],\"group\":\"tool\"", 1);
    let told = finding(&flat(&text));
    has(&told, "Benign explanations tested", "Tagged hotel: a hotel: guests share the address.");
    has(&told, "Who", "Tagged hotel.");
}

#[test]
fn a_rule_that_stands_alone_asks_for_no_second_group() {
    let text = ALERT.replacen("\"ratio\":60.0", "\"ratio\":10000.0,\"alone\":true", 1);
    let told = finding(&flat(&text));
    has(&told, "How sure", "makes an incident by itself");
    assert!(!told.sentences().iter().any(|text| text.contains("It becomes an incident")));
}

#[test]
fn an_incident_is_told_in_the_order_of_time() {
    let line = r#"{"@timestamp":"2026-11-23T02:00:00Z","event":{"dataset":"longhaul.incident"},
        "log":{"level":"high"},"longhaul":{"subject":{"id":"10.0.0.7"},"prior":0.0005,"score":0.64,
        "change":"opened","ratios":[{"group":"list","ratio":60.0,"rule":"D18","source":"company"}],
        "what_if":["without list (D18): 0.03"],"evidence":[{"name":"longhaul.far.handshake_us",
        "value":500000.0,"unit":"us","sessions":["ab"]}],"alerts":[
        {"rule":{"id":"D18"},"time":"2026-11-23T02:00:00.5Z","ratio":60.0,"message":"second"},
        {"rule":{"id":"D08"},"time":"2026-11-23T01:59:00.5Z","ratio":2.5,"message":"first"}]}}"#;
    let told = finding(&flat(line));
    has(&told, "How sure", "(D18; source: company)");
    has(&told, "How sure", "a probability of 0.64");
    has(&told, "How sure", "It would be 0.03 without list (D18).");
    // Half a second there and back: farther than the Earth is wide.
    has(&told, "How far away", "anywhere on Earth");
    let when = told.sections.iter().find(|section| section.heading == "When").unwrap();
    assert_eq!(when.sentences[0], "2026-11-23 01:59:00: D08 (ratio 2.5) first");
    assert_eq!(when.sentences[1], "2026-11-23 02:00:00: D18 (ratio 60) second");
}

#[test]
fn what_others_chose_can_neither_control_a_terminal_nor_fill_it() {
    let hostile = "\\u001b[2J\\u202e\\n# Who".repeat(1_000);
    let text = ALERT.replace("10.0.0.7 used a tool", &hostile).replace("Ann", &hostile);
    let told = finding(&flat(&text));
    let shown = told.text(80, false);
    assert!(!shown.chars().any(|c| c != '\n' && is_unsafe(c)), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    // Nothing that begins a line is the line's own but a heading.
    let headings: Vec<&str> = shown.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(headings.iter().filter(|line| line.contains("Who")).count(), 1, "{headings:?}");
    assert!(told.sentences().iter().all(|text| text.chars().count() < 1_200));
}

#[test]
fn a_line_that_lacks_everything_is_told_without_inventing_anything() {
    for told in [finding(&flat("{}")), session(&flat("{}"), &[])] {
        let text = told.sentences().join("\n");
        assert!(!text.contains("km") && !text.contains("probability"), "{text}");
    }
}

#[test]
fn a_session_names_its_input() {
    let line = r#"{"network":{"direction":"inbound"},"source":{"ip":"192.0.2.9"},
        "longhaul":{"near":{"handshake_us":1000.0},"gap":{"tls_us":88000.0},
        "physics":{"claim_km":762.9,"claim_of":"subject","verdict":"too-fast"},
        "packets":[{"input":1,"first":50,"last":68}]}}"#;
    let told = session(&flat(line), &["a".into(), "b.pcap".into()]);
    has(&told, "Packets to open", "b.pcap, frames 50 to 68.");
    has(&told, "Round trips", "Answers of tls took 88.0 ms longer than the transport.");
    has(&told, "How far away", "The round trip to 192.0.2.9 took 1.00 ms");
    has(&told, "How far away", "763 km: farther than light could travel");
    let told = session(&flat(line), &[]);
    has(&told, "Packets to open", "input 1 of run.json, frames 50 to 68.");
}
