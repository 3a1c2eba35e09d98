//! The story of an alert or incident.
//!
//! Owns: its sections. In: the line of an alert or incident. Out: an explanation. Never: a number
//! that the line does not hold; sums of them are said to be that.

use std::collections::BTreeSet;

use crate::explain::words::{
    bounded, end, moment, packets, person, probability, quality, times, with_unit,
};
use crate::explain::{Explanation, Flat, distance};
use crate::model::schema;

/// Pieces of evidence that are told; the line has all of them.
const EVIDENCE_MAX: usize = 24;

/// From which posterior on alerts are an incident, with two groups.
const INCIDENT: f64 = 0.5;

/// The sections of an alert or incident.
pub fn finding(line: &Flat) -> Explanation {
    let mut all = Explanation::default();
    all.add("Who", who(line));
    all.add("What was seen", seen(line));
    all.add("How sure", sure(line));
    all.add("How far away", distance::sentences(line));
    all.add("When", timeline(line));
    all.add("Benign explanations tested", benign(line));
    all.add("Based on", sources(line));
    all.add("Quality of the capture", quality(line));
    all.add("What to do next", texts(line, "longhaul.next_steps"));
    all.add("What it does not prove", texts(line, "longhaul.does_not_prove"));
    all.add("Packets to open", packets(line, &[]));
    all
}

fn is_incident(line: &Flat) -> bool {
    line.text("event.dataset") == Some("longhaul.incident")
}

fn texts(line: &Flat, name: &str) -> Vec<String> {
    line.texts(name).into_iter().map(bounded).collect()
}

/// What tags say of an address that has an honest reason to look suspicious.
const CONFOUNDERS: [(&str, &str); 10] = [
    ("sase", "a gateway that ends connections for whole companies"),
    ("relay", "a relay that its users' own systems choose, such as iCloud Private Relay"),
    ("satellite", "a satellite link, with its own round trip and a proxy in front of it"),
    ("pep", "a proxy that answers in place of the far end to hide a slow link"),
    ("mobile", "a mobile network, whose addresses many people share"),
    ("cgnat", "a carrier's address that many homes share"),
    ("office", "an office: colleagues share the address"),
    ("hotel", "a hotel: guests share the address"),
    ("coworking", "a shared workplace: its guests share the address"),
    ("anycast", "an address that many places announce: the nearest answers"),
];

/// What the rules have checked, and what the tags say.
fn benign(line: &Flat) -> Vec<String> {
    let mut all = texts(line, "longhaul.benign_checked");
    let tags = line.texts("longhaul.tags");
    let known = CONFOUNDERS.iter().filter(|(tag, _)| tags.contains(tag));
    all.extend(known.map(|(tag, what)| format!("Tagged {tag}: {what}.")));
    all
}

fn who(line: &Flat) -> Vec<String> {
    let kind = if is_incident(line) { "incident" } else { "alert" };
    let level = line.text("log.level").unwrap_or("unknown");
    let mut all = vec![format!("{}: {kind}, level {level}.", person(line))];
    let hired = line.text("longhaul.subject.hired");
    all.extend(hired.map(|day| format!("Hired {}.", bounded(day))));
    let people = texts(line, "longhaul.subjects");
    if people.len() > 1 {
        all.push(format!("Several people behind one address: {}.", people.join(", ")));
    }
    let devices = match line.text("longhaul.device.name") {
        Some(name) => vec![bounded(name)],
        None => texts(line, "longhaul.devices"),
    };
    if !devices.is_empty() {
        all.push(format!("On {}.", devices.join(", ")));
    }
    let topologies = texts(line, "longhaul.topology");
    if !topologies.is_empty() {
        all.push(format!("Such traffic can be a case of {}.", topologies.join(" or ")));
    }
    for (side, word) in [("source", "From"), ("destination", "To"), ("endpoint", "Endpoint")] {
        all.extend(end(line, side).map(|end| format!("{word} {end}.")));
    }
    let tags = texts(line, "longhaul.tags");
    if !tags.is_empty() {
        all.push(format!("Tagged {}.", tags.join(", ")));
    }
    all
}

fn seen(line: &Flat) -> Vec<String> {
    let mut all = Vec::new();
    let rule = |of: &Flat| {
        let (id, name) = (of.text("rule.id")?, of.text("rule.name").unwrap_or_default());
        Some(format!("{} {}", bounded(id), bounded(name)))
    };
    if is_incident(line) {
        all.extend(line.text("message").map(bounded));
    } else {
        let title = line.text("rule.description").map(bounded);
        all.extend(rule(line).zip(title).map(|(rule, title)| format!("{rule}: {title}.")));
        all.extend(line.text("message").map(bounded));
        let count = line.count("longhaul.count");
        if count > 1 {
            all.push(format!("{count} times within a day; this line stands for all."));
        }
    }
    let evidence = line.objects("longhaul.evidence");
    let mut named = BTreeSet::new();
    all.extend(evidence.iter().take(EVIDENCE_MAX).filter_map(|item| {
        let is_new = named.insert(item.text("name")?.to_owned());
        fact(item, is_new)
    }));
    if let Some(more @ 1..) = evidence.len().checked_sub(EVIDENCE_MAX) {
        all.push(format!("And {more} more pieces of evidence, in the line."));
    }
    all
}

/// One piece of evidence, and what the field means if it is the first of that field.
fn fact(item: &Flat, is_new: bool) -> Option<String> {
    let name = item.text("name")?;
    let unit = item.text("unit").unwrap_or_default();
    let value = match item.number("value") {
        Some(number) => with_unit(number, unit),
        None => bounded(item.text("text")?),
    };
    let mut about = Vec::new();
    let threshold = item.number("threshold");
    about.extend(threshold.map(|bound| format!("the rule's bound is {}", with_unit(bound, unit))));
    let samples = item.count("samples");
    if samples > 1 {
        about.push(format!("{samples} measurements"));
    }
    let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
    let meaning = schema::meaning(name).filter(|_| is_new).and_then(first_sentence);
    let meaning = meaning.map_or(String::new(), |text| format!(": {text}"));
    Some(format!("{} is {value}{about}{meaning}", bounded(name)))
}

fn first_sentence(text: &'static str) -> Option<&'static str> {
    let end = text.find(". ").map_or(text.len(), |at| at + 1);
    text.get(..end).filter(|text| !text.is_empty())
}

fn sure(line: &Flat) -> Vec<String> {
    let mut all = Vec::new();
    let prior = line.number("longhaul.prior").filter(|prior| *prior > 0.0 && *prior < 1.0);
    all.extend(prior.map(|prior| {
        let one_in = times(1.0 / prior);
        format!("Before anything is seen, one person in {one_in} is a case ({prior:.4}).")
    }));
    let tenure = line.number("longhaul.tenure_ratio");
    all.extend(tenure.map(|ratio| format!("The date of hire multiplies the odds by {ratio}.")));
    if is_incident(line) {
        all.extend(line.objects("longhaul.ratios").iter().filter_map(factor));
        all.extend(line.number("longhaul.score").map(|score| {
            let score = probability(score);
            format!("All of it together: a probability of {score} (groups multiply the odds).")
        }));
        all.extend(line.texts("longhaul.what_if").into_iter().map(|text| {
            let (what, score) = text.rsplit_once(": ").unwrap_or((text, "unknown"));
            format!("It would be {} {}.", bounded(score), bounded(what))
        }));
    } else {
        all.extend(alert_alone(line, prior, tenure));
    }
    if line.flag("longhaul.alone") {
        all.push("A rule in it makes an incident by itself, whatever the probability.".to_owned());
    }
    all
}

fn factor(of: &Flat) -> Option<String> {
    let (group, rule) = (of.text("group")?, of.text("rule")?);
    Some(ratio(group, of.number("ratio")?, rule, of.text("source")))
}

fn ratio(group: &str, ratio: f64, rule: &str, source: Option<&str>) -> String {
    let source = source.map_or(String::new(), |text| format!("; source: {}", bounded(text)));
    let (group, rule, ratio) = (bounded(group), bounded(rule), times(ratio));
    format!("Group {group}: {ratio} times as often on a case as on honest people ({rule}{source}).")
}

/// What an alert says by itself, and what would make an incident of it.
fn alert_alone(line: &Flat, prior: Option<f64>, tenure: Option<f64>) -> Vec<String> {
    let mut all = Vec::new();
    let (group, own) = (line.text("longhaul.group"), line.number("longhaul.ratio"));
    if let (Some(group), Some(own), Some(rule)) = (group, own, line.text("rule.id")) {
        all.push(ratio(group, own, rule, line.text("longhaul.ratio_source")));
    }
    let (Some(prior), Some(own)) = (prior, own) else { return all };
    let odds = prior / (1.0 - prior) * tenure.unwrap_or(1.0) * own.max(1.0);
    let alone = odds / (1.0 + odds);
    all.push(format!("By itself: a probability of {}.", probability(alone)));
    if !line.flag("longhaul.alone") {
        let needed = (INCIDENT / (1.0 - INCIDENT) / odds).max(1.0);
        let needed = if needed > 1.0 { times(needed.ceil()) } else { "more than 1".to_owned() };
        all.push(format!(
            "It becomes an incident if evidence of another group of a ratio of {needed} comes \
             within 7 days; one group alone never does."
        ));
    }
    all
}

fn timeline(line: &Flat) -> Vec<String> {
    let mut all = Vec::new();
    let time = |name: &str| line.text(name).map(moment);
    if let (Some(start), Some(end)) = (time("event.start"), time("event.end")) {
        all.push(format!("From {start} to {end} UTC."));
    }
    let mut alerts: Vec<(String, String)> =
        line.objects("longhaul.alerts").iter().filter_map(event).collect();
    alerts.sort();
    all.extend(alerts.into_iter().map(|(time, text)| format!("{time}: {text}")));
    let more = line.count("longhaul.alerts_more");
    if more > 0 {
        all.push(format!("And {more} more alerts that are not listed."));
    }
    if is_incident(line) {
        let change = line.text("longhaul.change").unwrap_or("reported");
        all.extend(
            time("@timestamp").map(|at| format!("{at}: the incident is reached; {change}.")),
        );
    }
    all
}

/// An alert of an incident: when, and what it says.
fn event(alert: &Flat) -> Option<(String, String)> {
    let (time, rule) = (moment(alert.text("time")?), bounded(alert.text("rule.id")?));
    let message = alert.text("message").map(bounded).unwrap_or_default();
    let ratio = alert.number("ratio").map(times).unwrap_or_default();
    Some((time, format!("{rule} (ratio {ratio}) {message}")))
}

/// Lists and databases, with their age at the packet's time.
fn sources(line: &Flat) -> Vec<String> {
    let one = |source: &Flat| {
        let (kind, name) = (bounded(source.text("kind")?), bounded(source.text("name")?));
        let build = source.text("build").map_or(String::new(), |day| format!(" of {day}"));
        let age = match source.number("age_days") {
            Some(days) if days >= 0.0 => format!(", {days:.0} days old by then"),
            Some(days) => format!(", made {:.0} days after the packet", -days),
            None => String::new(),
        };
        Some(format!("{kind} {name}{build}{age}."))
    };
    line.objects("longhaul.sources").iter().filter_map(one).collect()
}
