//! Alerts and incidents as lines of ECS JSON.
//!
//! Owns: the names, types and order of their fields. In: what detect said, and the run's file names
//! and advice. Out: bytes appended to a buffer. Never: judges, or words advice of its own.

use crate::emit::ECS_VERSION;
use crate::emit::Origin;
use crate::emit::ecs::put_quality_members;
use crate::emit::id::alert_id;
use crate::emit::id::incident_id;
use crate::emit::json_tree::Tree;
use crate::emit::json_tree::json_or_quoted;
use crate::emit::text;
use crate::model::alert::EARLIER_RUN;
use crate::model::record::Quality;
use crate::model::{
    Alert, EvidenceItem, EvidenceValue, Incident, Level, Member, Nanos, SourceInfo,
};

/// Advice that goes with an incident.
#[derive(Clone, Copy, Debug)]
pub struct IncidentContext<'a> {
    /// The run it belongs to.
    pub origin: &'a Origin,
    /// What a person should do next, best first.
    pub next_steps: &'a [String],
    /// What the incident does not prove.
    pub does_not_prove: &'a [String],
}

/// Appends one line for an alert. `@timestamp` is the packet time of the session's last packet, or
/// of the first session's where the alert stands for several; `event.end` is then the last one's.
pub fn render_alert(alert: &Alert, origin: &Origin, out: &mut Vec<u8>) {
    let mut tree = Tree::default();
    let id = alert_id(&alert.rule.uuid, &alert.session_id, &alert.subject, alert.time);
    let head = Head {
        dataset: "longhaul.alert",
        category: r#"["network","intrusion_detection"]"#,
        id,
        level: alert.level,
        since: alert.since,
        end: alert.repeats.as_ref().map_or(alert.time, |repeats| repeats.last),
        time: alert.time,
    };
    put_head(&mut tree, &head, origin);
    put_related(&mut tree, once(addresses(alert)));
    put_rule(&mut tree, alert);
    put_techniques(&mut tree, alert.rule.techniques.iter());
    tree.put_str("message", &alert.message);
    for (name, json) in &alert.context {
        tree.put(name, json_or_quoted(json));
    }
    tree.put_str("longhaul.subject.id", &alert.subject);
    tree.put_opt("longhaul.subject.name", alert.subject_name.as_deref());
    tree.put_opt("longhaul.home.ip", alert.home.map(|ip| ip.to_string()).as_deref());
    tree.put_opt("longhaul.remote.ip", alert.remote.map(|ip| ip.to_string()).as_deref());
    tree.put_str("longhaul.family", alert.rule.family.as_str());
    tree.put_strs("longhaul.topology", &alert.rule.topologies);
    tree.put("longhaul.weight", float(alert.weight));
    tree.put_opt("longhaul.session.id", Some(&alert.session_id));
    tree.put_list("longhaul.evidence", alert.evidence.iter().map(evidence));
    tree.put_strs("longhaul.benign_checked", &alert.rule.benign_checked);
    tree.put_list("longhaul.sources", alert.sources.iter().map(|s| source(s, alert.time)));
    tree.put("longhaul.quality", quality(&alert.quality));
    put_packets(&mut tree, alert, origin);
    tree.write_line(out);
}

/// Appends one line for an incident: its strongest alert's rule, and what all its alerts rest on.
///
/// ECS has one rule for an event; `longhaul.alerts` has them all.
pub fn render_incident(incident: &Incident, context: &IncidentContext<'_>, out: &mut Vec<u8>) {
    let mut tree = Tree::default();
    let head = Head {
        dataset: "longhaul.incident",
        category: r#"["network","intrusion_detection"]"#,
        id: incident_id(&incident.subject, incident.since, incident.time),
        level: incident.level,
        since: incident.since,
        end: incident.time,
        time: incident.time,
    };
    put_head(&mut tree, &head, context.origin);
    tree.put_str("event.action", incident.change.as_str());
    tree.put_str("longhaul.change", incident.change.as_str());
    put_related(&mut tree, once(members(incident).flat_map(addresses)));
    if let Some(alert) = incident.strongest() {
        put_rule(&mut tree, alert);
        tree.put_str("longhaul.family", alert.rule.family.as_str());
    }
    put_techniques(&mut tree, members(incident).flat_map(|alert| &alert.rule.techniques));
    tree.put_str("message", &incident_message(incident));
    tree.put_str("longhaul.subject.id", &incident.subject);
    tree.put_opt("longhaul.subject.name", incident.subject_name.as_deref());
    tree.put_strs("longhaul.families", incident.families.iter().map(|f| f.as_str()));
    tree.put_strs("longhaul.topology", &incident.topologies);
    tree.put("longhaul.score", float(incident.score));
    put_grounds(&mut tree, incident, context.origin);
    tree.put_list("longhaul.alerts", incident.alerts.iter().map(member));
    if incident.alerts_more > 0 {
        tree.put("longhaul.alerts_more", incident.alerts_more.to_string());
    }
    tree.put_strs("longhaul.next_steps", context.next_steps);
    tree.put_strs("longhaul.does_not_prove", context.does_not_prove);
    tree.write_line(out);
}

/// Every address that an alert's line names.
fn addresses(alert: &Alert) -> impl Iterator<Item = String> {
    let is_ip = |(name, _): &&(String, String)| name.ends_with(".ip");
    let named = alert.context.iter().filter(is_ip).map(|(_, json)| json.trim_matches('"').into());
    let ends = alert.home.into_iter().chain(alert.remote).map(|ip| ip.to_string());
    named.chain(ends)
}

fn put_related(tree: &mut Tree, addresses: Vec<String>) {
    tree.put_strs("related.ip", addresses);
}

fn members(incident: &Incident) -> impl Iterator<Item = &Alert> {
    incident.alerts.iter().map(|member| &*member.alert)
}

fn member(member: &Member) -> String {
    let alert = &member.alert;
    let mut item = Tree::default();
    item.put_opt("rule.id", Some(&alert.rule.id));
    item.put_opt("rule.name", Some(&alert.rule.name));
    item.put_opt("event.id", Some(&member.id));
    item.put_opt("message", Some(&alert.message));
    item.to_json()
}

/// What the alerts rest on, together: each piece once, in the order of the alerts. Their number is
/// capped, and what each carries, so this is too.
fn put_grounds(tree: &mut Tree, incident: &Incident, origin: &Origin) {
    let each = |of: &dyn Fn(&Alert) -> Vec<String>| once(members(incident).flat_map(of));
    let evidence = each(&|alert| alert.evidence.iter().map(evidence).collect());
    tree.put_list("longhaul.evidence", evidence);
    let benign = each(&|alert| alert.rule.benign_checked.clone());
    tree.put_strs("longhaul.benign_checked", benign);
    // Ages are told at the time of the incident, so that a list used twice is named once.
    let time = incident.time;
    let sources = each(&|alert| alert.sources.iter().map(|s| source(s, time)).collect());
    tree.put_list("longhaul.sources", sources);
    tree.put("longhaul.quality", quality(&quality_of(incident)));
    let packets = each(&|alert| {
        let known = Some(alert.packets).filter(is_of_this_run);
        known.map(|packets| packets_of(packets, origin)).into_iter().collect()
    });
    tree.put_list("longhaul.packets", packets);
}

/// The sessions of the alerts together; two rules on one session look at the same packets.
fn quality_of(incident: &Incident) -> Quality {
    let mut seen: Vec<&str> = Vec::new();
    let mut sum = Quality::default();
    for alert in members(incident) {
        if !seen.contains(&alert.session_id.as_str()) {
            seen.push(&alert.session_id);
            sum = sum.with(&alert.quality);
        }
    }
    sum
}

/// Every text once, in order of first mention.
fn once(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

/// Where the packets are, and how many alerts it stands for, where that is more than one.
fn put_packets(tree: &mut Tree, alert: &Alert, origin: &Origin) {
    let mut all = vec![alert.packets];
    if let Some(repeats) = alert.repeats.as_ref().filter(|repeats| repeats.count > 1) {
        tree.put("longhaul.count", repeats.count.to_string());
        if repeats.left_out > 0 {
            tree.put("longhaul.details_more", repeats.left_out.to_string());
        }
        all.extend(&repeats.packets);
    }
    all.retain(is_of_this_run);
    tree.put_list("longhaul.packets", all.into_iter().map(|one| packets_of(one, origin)));
}

struct Head {
    dataset: &'static str,
    category: &'static str,
    id: String,
    level: Level,
    since: Nanos,
    end: Nanos,
    time: Nanos,
}

fn put_head(tree: &mut Tree, head: &Head, origin: &Origin) {
    tree.put_str("@timestamp", &head.time.to_string());
    tree.put_str("ecs.version", ECS_VERSION);
    tree.put_str("event.kind", "alert");
    tree.put("event.category", head.category.to_owned());
    tree.put_strs("event.type", ["info"]);
    tree.put_str("event.dataset", head.dataset);
    tree.put_str("event.id", &head.id);
    tree.put("event.severity", head.level.severity().to_string());
    tree.put_str("event.start", &head.since.to_string());
    tree.put_str("event.end", &head.end.to_string());
    tree.put_str("log.level", head.level.as_str());
    tree.put("observer", origin.observer().to_owned());
}

fn put_rule(tree: &mut Tree, alert: &Alert) {
    let rule = &alert.rule;
    tree.put_str("rule.id", &rule.id);
    tree.put_str("rule.name", &rule.name);
    tree.put_opt("rule.uuid", Some(&rule.uuid));
    tree.put_opt("rule.description", Some(&rule.title));
}

fn put_techniques<'a>(tree: &mut Tree, techniques: impl Iterator<Item = &'a String>) {
    let techniques = once(techniques.cloned());
    if !techniques.is_empty() {
        tree.put_str("threat.framework", "MITRE ATT&CK");
        tree.put_strs("threat.technique.id", techniques);
    }
}

fn incident_message(incident: &Incident) -> String {
    let who = match &incident.subject_name {
        Some(name) => format!("{name} ({})", incident.subject),
        None => incident.subject.to_string(),
    };
    let families: Vec<&str> = incident.families.iter().map(|f| f.as_str()).collect();
    let (alerts, plural) =
        (incident.alerts.len(), if incident.alerts.len() == 1 { "" } else { "s" });
    let score = incident.score;
    format!("{who}: {alerts} alert{plural} of families {}, score {score:.2}", families.join(", "))
}

fn float(value: f64) -> String {
    let mut out = Vec::new();
    text::put_f64(&mut out, if value.is_finite() { value } else { 0.0 });
    String::from_utf8(out).unwrap_or_default()
}

/// `value` is a number and `text` a text, never one for the other: a store gives each one type. A
/// value and its threshold can be compared as they stand.
fn evidence(item: &EvidenceItem) -> String {
    let mut tree = Tree::default();
    tree.put_str("name", &item.name);
    match &item.value {
        EvidenceValue::Number(digits) => tree.put("value", with_fraction(digits)),
        EvidenceValue::Text(text) => tree.put_str("text", text),
    }
    tree.put_opt("unit", Some(&item.unit));
    if let Some(threshold) = item.threshold {
        tree.put("threshold", float(threshold));
    }
    tree.put("samples", item.samples.to_string());
    tree.put_strs("sessions", &item.sessions);
    // Its own keys hold no dots: `name` is a value here.
    tree.to_json()
}

/// A whole number is written with a fraction, as all other values are.
fn with_fraction(digits: &str) -> String {
    let whole = digits.bytes().all(|b| b.is_ascii_digit());
    if whole { format!("{digits}.0") } else { digits.to_owned() }
}

/// `build` is the day it was made, `version` what tells it from others of the day. `age_days`
/// counts whole days from the build to the packet; negative where the packet is older.
fn source(source: &SourceInfo, time: Nanos) -> String {
    const DAY_NS: i128 = 86_400_000_000_000;
    let mut tree = Tree::default();
    tree.put_str("kind", source.kind);
    tree.put_str("name", &source.name);
    tree.put_opt("version", Some(&source.version));
    if let Some(built) = source.built_at {
        tree.put_str("build", &built.date());
        let age = (i128::from(time.0) - i128::from(built.0)).div_euclid(DAY_NS);
        tree.put("age_days", age.to_string());
    }
    tree.to_json()
}

fn quality(quality: &Quality) -> String {
    let mut out = Vec::new();
    put_quality_members(quality, &mut out);
    String::from_utf8(out).unwrap_or_default().trim_end().to_owned()
}

const fn is_of_this_run((file, ..): &(u16, u32, u32)) -> bool {
    *file != EARLIER_RUN
}

fn packets_of((file, first, last): (u16, u32, u32), origin: &Origin) -> String {
    let file = origin.file(file);
    format!(r#"{{"file":{file},"first":{first},"last":{last}}}"#)
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
