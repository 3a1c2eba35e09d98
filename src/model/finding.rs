//! The common form of alerts and incidents for output.
//!
//! Owns: the data of a line, and the sums over the alerts of an incident. In: alerts, incidents and
//! advice. Out: values for the table of fields. Never: judgement, or text of the advice.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::alert::EARLIER_RUN;
use crate::model::record::Quality;
use crate::model::{
    Addr, Alert, Change, EvidenceItem, Factor, Family, Group, Incident, Level, Member, Nanos,
    RuleInfo, SourceInfo,
};

/// Advice that goes with an alert or incident.
#[derive(Clone, Copy, Debug, Default)]
pub struct Advice<'a> {
    /// What a person should do next, best first.
    pub next_steps: &'a [String],
    /// What it does not prove.
    pub does_not_prove: &'a [String],
}

/// One line of alerts.ndjson or incidents.ndjson.
#[derive(Clone, Debug)]
pub struct Finding {
    /// `event.id`.
    pub id: String,
    /// Whether it is an incident, not an alert.
    pub is_incident: bool,
    /// The change of an incident since it was last reported.
    pub change: Option<Change>,
    /// `@timestamp`: time of the last packet of the alert's session (of the first session if alerts
    /// were merged); of an incident, the time at which it reached its score.
    pub time: Nanos,
    /// First packet's time.
    pub since: Nanos,
    /// Last packet's time.
    pub end: Nanos,
    /// Level after list ages and configuration.
    pub level: Level,
    /// The rule; of an incident that of its strongest alert.
    pub rule: Option<Arc<RuleInfo>>,
    /// Its addresses, each once.
    pub addresses: Vec<Addr>,
    /// MITRE ATT&CK techniques, each once.
    pub techniques: Vec<String>,
    /// One sentence with the numbers.
    pub message: String,
    /// Fields of the session or endpoint: name, value as JSON.
    pub context: Vec<(String, String)>,
    /// The subject.
    pub subject: Arc<str>,
    /// The subject's name, if known.
    pub subject_name: Option<Arc<str>>,
    /// The home side's address.
    pub home: Option<Addr>,
    /// The remote side's.
    pub remote: Option<Addr>,
    /// Families that fired, in order; none for an alert, which has that of its rule.
    pub families: Vec<Family>,
    /// Topologies: T1 to T6.
    pub topologies: Vec<String>,
    /// Of an alert: how much it weighs; of an incident the posterior.
    pub weight: f64,
    /// The group of an alert's rule and its ratio.
    pub group: Option<(Group, f64)>,
    /// Where the ratio of an alert's rule comes from, in words.
    pub ratio_source: Arc<str>,
    /// The rule makes an incident without a second group.
    pub alone: bool,
    /// The groups of an incident's evidence.
    pub factors: Vec<Factor>,
    /// Where the ratio of each comes from, in words.
    pub factor_sources: Vec<Arc<str>>,
    /// Share of cases before anything was seen, and what the time of service says.
    pub prior: Option<(f64, Option<f64>)>,
    /// What one observation more or less would change.
    pub what_if: Vec<String>,
    /// The people an incident is about, if they are several.
    pub subjects: Vec<Arc<str>>,
    /// Devices of ours that an incident's alerts were seen on.
    pub devices: Vec<Arc<str>>,
    /// `event.id` of an alert's session.
    pub session_id: String,
    /// The evidence, each piece once.
    pub evidence: Vec<EvidenceItem>,
    /// Benign explanations that the rules exclude.
    pub benign_checked: Vec<String>,
    /// Lists and databases, each once.
    pub sources: Vec<SourceInfo>,
    /// Quality of the sessions' capture.
    pub quality: Quality,
    /// Number of merged alerts.
    pub count: u64,
    /// Evidence and packet positions beyond their caps.
    pub left_out: u64,
    /// Positions of the packets: input, first frame, last frame.
    pub packets: Vec<(u16, u32, u32)>,
    /// The alerts of an incident.
    pub alerts: Vec<Member>,
    /// Number of alerts that are not listed.
    pub alerts_more: u64,
    /// What a person should do next.
    pub next_steps: Vec<String>,
    /// What it does not prove.
    pub does_not_prove: Vec<String>,
    /// The whole of it in sentences; empty until the line is known.
    pub explanation: Vec<String>,
}

impl Finding {
    /// An alert.
    pub fn of_alert(alert: &Alert, advice: Advice<'_>) -> Finding {
        let mut packets = vec![alert.packets];
        let repeats = alert.repeats.as_ref();
        let several = repeats.filter(|repeats| repeats.count > 1);
        packets.extend(several.iter().flat_map(|repeats| &repeats.packets));
        packets.retain(is_of_this_run);
        Finding {
            id: alert.id.clone(),
            change: None,
            is_incident: false,
            time: alert.time,
            since: alert.since,
            end: repeats.map_or(alert.time, |repeats| repeats.last),
            level: alert.level,
            rule: Some(Arc::clone(&alert.rule)),
            addresses: once(addresses(alert)),
            techniques: once(alert.rule.techniques.iter().cloned()),
            message: alert.message.clone(),
            context: alert.context.clone(),
            subject: Arc::clone(&alert.subject),
            subject_name: alert.subject_name.clone(),
            home: alert.home,
            remote: alert.remote,
            families: Vec::new(),
            topologies: alert.rule.topologies.clone(),
            weight: alert.weight(),
            group: Some((alert.rule.group, alert.ratio)),
            ratio_source: Arc::clone(&alert.ratio_source),
            alone: alert.rule.alone,
            factors: Vec::new(),
            factor_sources: Vec::new(),
            prior: alert.prior,
            what_if: Vec::new(),
            subjects: alert.people.clone(),
            devices: Vec::new(),
            session_id: alert.session_id.clone(),
            evidence: alert.evidence.clone(),
            benign_checked: checked(alert).cloned().collect(),
            sources: alert.sources.clone(),
            quality: alert.quality,
            count: several.map_or(1, |repeats| repeats.count),
            left_out: several.map_or(0, |repeats| repeats.left_out),
            packets,
            alerts: Vec::new(),
            alerts_more: 0,
            next_steps: advice.next_steps.to_vec(),
            does_not_prove: advice.does_not_prove.to_vec(),
            explanation: Vec::new(),
        }
    }

    /// An incident: its strongest alert's rule (ECS has one rule for an event; `longhaul.alerts`
    /// has them all), and the evidence and sources of all its alerts. The number of alerts and the
    /// size of each are capped, so this is bounded too.
    pub fn of_incident(incident: &Incident, advice: Advice<'_>) -> Finding {
        let alerts = || incident.alerts.iter().map(|member| &*member.alert);
        Finding {
            id: incident.id.clone(),
            change: Some(incident.change),
            is_incident: true,
            time: incident.time,
            since: incident.since,
            end: incident.time,
            level: incident.level,
            rule: incident.strongest().map(|alert| Arc::clone(&alert.rule)),
            addresses: once(alerts().flat_map(addresses)),
            techniques: once(alerts().flat_map(|alert| alert.rule.techniques.iter().cloned())),
            message: message(incident),
            context: Vec::new(),
            subject: Arc::clone(&incident.subject),
            subject_name: incident.subject_name.clone(),
            home: None,
            remote: None,
            families: incident.families.clone(),
            topologies: incident.topologies.clone(),
            weight: incident.score,
            group: incident.strongest().map(|alert| (alert.rule.group, alert.ratio)),
            ratio_source: Arc::from(""),
            alone: alerts().any(|alert| alert.rule.alone),
            factors: incident.factors.clone(),
            factor_sources: incident.factors.iter().map(|of| source_of(incident, of)).collect(),
            prior: Some((incident.prior, incident.tenure)),
            what_if: what_if(incident),
            subjects: incident.subjects.clone(),
            devices: incident.devices.clone(),
            session_id: String::new(),
            evidence: once(alerts().flat_map(|alert| alert.evidence.iter().cloned())),
            benign_checked: once(alerts().flat_map(|alert| checked(alert).cloned())),
            sources: once(alerts().flat_map(|alert| alert.sources.iter().cloned())),
            quality: quality(incident),
            count: 1,
            left_out: 0,
            packets: once(alerts().map(|alert| alert.packets).filter(is_of_this_run)),
            alerts: incident.alerts.clone(),
            alerts_more: incident.alerts_more,
            next_steps: advice.next_steps.to_vec(),
            does_not_prove: advice.does_not_prove.to_vec(),
            explanation: Vec::new(),
        }
    }
}

/// Where the ratio of a group comes from: that of the alert that gave it.
fn source_of(incident: &Incident, factor: &Factor) -> Arc<str> {
    let gave = |alert: &&Arc<Alert>| {
        alert.rule.group == factor.group
            && alert.rule.id == factor.rule
            && alert.ratio >= factor.ratio
    };
    let alert = incident.alerts.iter().map(|member| &member.alert).find(gave);
    alert.map_or_else(|| Arc::from(""), |alert| Arc::clone(&alert.ratio_source))
}

/// Benign explanations: those that lowered the ratio first.
fn checked(alert: &Alert) -> impl Iterator<Item = &String> {
    alert.lowered.iter().chain(&alert.rule.benign_checked)
}

/// What the posterior would be without each group, and with one more of moderate strength.
fn what_if(incident: &Incident) -> Vec<String> {
    const MORE: f64 = 10.0;
    let odds = incident.score / (1.0 - incident.score).max(f64::EPSILON);
    let of = |odds: f64| format!("{:.2}", odds / (1.0 + odds));
    let without = incident.factors.iter().map(|factor| {
        let left = odds / factor.ratio;
        format!("without {} ({}): {}", factor.group.as_str(), factor.rule, of(left))
    });
    let with = format!("with another group of ratio {MORE}: {}", of(odds * MORE));
    without.chain([with]).collect()
}

/// The addresses in an alert's line.
fn addresses(alert: &Alert) -> impl Iterator<Item = Addr> {
    let is_ip = |(name, _): &&(String, String)| name.ends_with(".ip");
    let named = alert.context.iter().filter(is_ip);
    let named = named.filter_map(|(_, json)| json.trim_matches('"').parse::<IpAddr>().ok());
    named.map(Addr::from).chain(alert.home).chain(alert.remote)
}

/// Without duplicates, in order of first occurrence.
fn once<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen: Vec<T> = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

/// Positions of packets; those of an earlier run are no longer known.
const fn is_of_this_run((file, ..): &(u16, u32, u32)) -> bool {
    *file != EARLIER_RUN
}

/// The sessions of the alerts together; two rules on one session look at the same packets.
fn quality(incident: &Incident) -> Quality {
    let mut seen: Vec<&str> = Vec::new();
    let mut sum = Quality::default();
    for alert in incident.alerts.iter().map(|member| &member.alert) {
        if !seen.contains(&alert.session_id.as_str()) {
            seen.push(&alert.session_id);
            sum = sum.with(&alert.quality);
        }
    }
    sum
}

fn message(incident: &Incident) -> String {
    let who = match &incident.subject_name {
        Some(name) => format!("{name} ({})", incident.subject),
        None => incident.subject.to_string(),
    };
    let groups = incident.factors.iter();
    let groups: Vec<String> =
        groups.map(|of| format!("{} x{:.0}", of.group.as_str(), of.ratio)).collect();
    let people = match incident.subjects.len() {
        0 | 1 => String::new(),
        several => format!(" about {several} people"),
    };
    let (alerts, plural) =
        (incident.alerts.len(), if incident.alerts.len() == 1 { "" } else { "s" });
    let score = incident.score;
    let one_in = 1.0 / incident.prior.max(f64::EPSILON);
    let tenure = incident.tenure.map_or(String::new(), |of| format!(", time of service x{of}"));
    format!(
        "{who}: {alerts} alert{plural}{people}, probability {score:.2} of one in \
         {one_in:.0}{tenure}, {}",
        groups.join(", ")
    )
}
