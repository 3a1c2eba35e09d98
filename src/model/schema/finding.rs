//! The table of fields of alerts and incidents.
//!
//! Owns: name, type, unit, accessor and meaning of each field. In: a finding. Out: its values.
//! Never: a field of the session or endpoint of an alert: alerts repeat those under their own
//! names.

use std::sync::LazyLock;

use crate::model::field_path::FieldPath;
use crate::model::finding::Finding;
use crate::model::schema::table::{Table, table};
use crate::model::schema::{
    Described, Field, Kind, List, Objects, Row, Shown, Value, Visitor, field_of, fixed,
};
use crate::model::{Change, EvidenceItem, EvidenceValue, Factor, Member, RuleInfo, SourceInfo};

/// Fields of the session that an alert repeats, so that it can be read alone.
pub const CARRIED_OF_SESSIONS: &[&str] = &[
    "source.ip",
    "source.port",
    "source.geo.country_iso_code",
    "source.geo.region_iso_code",
    "source.as.number",
    "source.as.organization.name",
    "destination.ip",
    "destination.port",
    "destination.geo.country_iso_code",
    "destination.geo.region_iso_code",
    "destination.as.number",
    "destination.as.organization.name",
    "network.transport",
    "network.protocol",
    "network.application",
    "network.direction",
    "network.community_id",
    "tls.client.server_name",
    "tls.client.ja4",
    "dns.question.name",
    "user_agent.original",
    "longhaul.ssh.client",
    "longhaul.subject.role",
    "longhaul.subject.hired",
    "longhaul.device.name",
    "longhaul.near.handshake_us",
    "longhaul.far.handshake_us",
    "longhaul.tags",
];

/// Fields of the endpoint that an alert repeats, beside the addresses of its last session.
pub const CARRIED_OF_ENDPOINTS: &[&str] = &[
    "endpoint.ip",
    "endpoint.side",
    "endpoint.role",
    "endpoint.ja4",
    "endpoint.ssh",
    "endpoint.service.port",
    "endpoint.geo.country_iso_code",
    "endpoint.geo.region_iso_code",
    "endpoint.as.number",
    "endpoint.as.organization.name",
    "longhaul.tags",
    "longhaul.sessions",
    "longhaul.handshakes",
    "longhaul.days",
    "longhaul.disc.fibre_km",
    "longhaul.disc.real_km",
];

/// Passes the fields that the finding repeats of other events to a visitor, if `passes` accepts
/// their name.
fn visit_carried<V: Visitor<Finding>>(
    finding: &Finding,
    visitor: &mut V,
    passes: fn(&str) -> bool,
) {
    let of_sessions = CARRIED_OF_SESSIONS.iter();
    let of_endpoints = CARRIED_OF_ENDPOINTS.iter().filter(|n| !CARRIED_OF_SESSIONS.contains(n));
    for name in of_sessions.chain(of_endpoints).filter(|name| passes(name)) {
        if let Some((_, json)) = finding.context.iter().find(|(known, _)| known == name) {
            visitor.carried(&FieldPath::of(name), json);
        }
    }
}

/// Every field of an alert or incident.
static FIELDS: LazyLock<Vec<Field<Finding>>> =
    LazyLock::new(|| [Common::rows(), SubjectFields::rows(), OwnFields::rows()].concat());

/// Reads a field of an optional part.
type Part<T> = for<'a> fn(&'a T) -> Value<'a>;

fn rule(finding: &Finding, get: Part<RuleInfo>) -> Value<'_> {
    finding.rule.as_deref().map_or(Value::Absent, get)
}

fn evidence(finding: &Finding, at: usize, get: Part<EvidenceItem>) -> Value<'_> {
    finding.evidence.get(at).map_or(Value::Absent, get)
}

fn source(finding: &Finding, at: usize, get: Part<SourceInfo>) -> Value<'_> {
    finding.sources.get(at).map_or(Value::Absent, get)
}

fn factor(finding: &Finding, at: usize, get: Part<Factor>) -> Value<'_> {
    finding.factors.get(at).map_or(Value::Absent, get)
}

fn member(finding: &Finding, at: usize, get: Part<Member>) -> Value<'_> {
    finding.alerts.get(at).map_or(Value::Absent, get)
}

fn packets(finding: &Finding, at: usize, get: fn((u16, u32, u32)) -> Value<'static>) -> Value<'_> {
    finding.packets.get(at).map_or(Value::Absent, |place| get(*place))
}

/// Whole days from the build to the packet; negative if the packet is older. Calculated here and
/// not stored in the source, so that equal sources of several alerts stay equal.
fn age_days(finding: &Finding, at: usize) -> Value<'_> {
    const DAY_NS: i128 = 86_400_000_000_000;
    let Some(built) = finding.sources.get(at).and_then(|source| source.built_at) else {
        return Value::Absent;
    };
    let age = (i128::from(finding.time.0) - i128::from(built.0)).div_euclid(DAY_NS);
    i64::try_from(age).map_or(Value::Absent, Value::Signed)
}

fn change(finding: &Finding) -> Value<'_> {
    Value::word_opt(finding.change.map(Change::as_str))
}

/// A count that is left out if it is 0.
fn some(count: u64) -> Value<'static> {
    Value::int_opt(Some(count).filter(|count| *count > 0))
}

fn float(number: f64) -> Value<'static> {
    Value::Float(if number.is_finite() { number } else { 0.0 })
}

fn list(list: List<'_>) -> Value<'_> {
    Value::list(list)
}

const CHANGES: &[&str] = &["opened", "worse", "closed"];

static EVIDENCE: Objects<Finding> = Objects::new("longhaul.evidence", |f| f.evidence.len());
static SOURCES: Objects<Finding> = Objects::new("longhaul.sources", |f| f.sources.len());
static PACKETS: Objects<Finding> = Objects::new("longhaul.packets", |f| f.packets.len());
static FACTORS: Objects<Finding> = Objects::new("longhaul.ratios", |f| f.factors.len());
static ALERTS: Objects<Finding> = Objects::new("longhaul.alerts", |f| f.alerts.len());

const NONE: fn(&Finding) -> Value<'_> = |_| Value::Absent;

const fn field(row: Row<Finding>) -> Field<Finding> {
    field_of(row)
}

table! {
/// In the order of the output. A list of objects has no value of its own.
Common of Finding [
    field(("@timestamp", 1, Kind::Time, "", Shown::Line, |f| Value::Time(f.time),
        "Time of the last packet of its session; of a merged alert, that of the first alert; of an \
         incident, that of the alert with which it reached its score.")),
    fixed(("ecs.version", 1, Kind::Text, r#""8.17.0""#, "")),
    fixed(("event.kind", 1, Kind::Text, r#""alert""#, "Always `alert`.")),
    fixed(("event.category", 1, Kind::Texts, r#"["network","intrusion_detection"]"#,
        "Always `network` and `intrusion_detection`.")),
    fixed(("event.type", 1, Kind::Texts, r#"["info"]"#, "Always `info`.")),
    field(("event.dataset", 1, Kind::Text, "", Shown::Line,
        |f| Value::Word(if f.is_incident { "longhaul.incident" } else { "longhaul.alert" }), "")),
    field(("event.id", 1, Kind::Text, "", Shown::Line, |f| Value::Str(&f.id),
        "Hash of rule, session, subject and time; of an incident, of subject and span: the same \
         on every run.")),
    field(("event.action", 3, Kind::Text, "", Shown::Line, change, "As `longhaul.change`."))
        .only("incidents"),
    field(("event.severity", 1, Kind::Int, "", Shown::Line,
        |f| Value::Int(f.level.severity().into()), "0 to 100, from the level.")),
    field(("event.start", 1, Kind::Time, "", Shown::Line, |f| Value::Time(f.since), "")),
    field(("event.end", 1, Kind::Time, "", Shown::Line, |f| Value::Time(f.end),
        "Time of the last packet, of the last session.")),
    field(("log.level", 1, Kind::Text, "", Shown::Line, |f| Value::Word(f.level.as_str()),
        "Sigma level.")),
    field(("observer.name", 3, Kind::Text, "", Shown::Sensor, |_| Value::Absent, "")),
    fixed(("observer.type", 3, Kind::Text, r#""sensor""#, "")),
    fixed(("observer.vendor", 3, Kind::Text, r#""longhaul""#, "")),
    field(("related.ip", 3, Kind::Ips, "", Shown::Sometimes,
        |f| list(List::Addrs(&f.addresses)), "Every address that the line names, each once.")),
    field(("rule.id", 1, Kind::Text, "", Shown::Line, |f| rule(f, |r| Value::Str(&r.id)),
        "Catalogue number: `D01`. An incident's rule is that of its strongest alert (ratio, then \
         level, then time); `longhaul.alerts` has them all.")),
    field(("rule.name", 1, Kind::Text, "", Shown::Line, |f| rule(f, |r| Value::Str(&r.name)),
        "Catalogue name.")),
    field(("rule.uuid", 1, Kind::Text, "", Shown::Sometimes,
        |f| rule(f, |r| Value::non_empty(&r.uuid)), "Sigma id.")),
    field(("rule.description", 1, Kind::Text, "", Shown::Sometimes,
        |f| rule(f, |r| Value::non_empty(&r.title)), "Title of the rule.")),
    field(("threat.framework", 3, Kind::Text, "", Shown::Sometimes,
        |f| if f.techniques.is_empty() { Value::Absent } else { Value::Word("MITRE ATT&CK") },
        "Always `MITRE ATT&CK`.")),
    field(("threat.technique.id", 1, Kind::Texts, "", Shown::Sometimes,
        |f| list(List::Texts(&f.techniques)), "MITRE ATT&CK techniques.")),
    field(("message", 1, Kind::Text, "", Shown::Line, |f| Value::Str(&f.message),
        "One sentence with the numbers.")),
]
}

table! {
/// The subject's id. The subject's fields that are repeated of sessions come before it.
SubjectFields of Finding [
    field(("longhaul.subject.id", 1, Kind::Text, "", Shown::Line, |f| Value::Str(&f.subject), "")),
    field(("longhaul.subject.name", 1, Kind::Text, "", Shown::Sometimes,
        |f| Value::str_opt(f.subject_name.as_deref().filter(|name| !name.is_empty())), "")),
]
}

table! {
/// Our own fields, after those that are repeated of sessions or endpoints.
OwnFields of Finding [
    field(("longhaul.home.ip", 1, Kind::Ip, "", Shown::Sometimes, |f| Value::ip_opt(f.home),
        "Address of the home side.")).only("alerts"),
    field(("longhaul.remote.ip", 1, Kind::Ip, "", Shown::Sometimes, |f| Value::ip_opt(f.remote),
        "Address of the remote side.")).only("alerts"),
    field(("longhaul.family", 1, Kind::Text, "", Shown::Line,
        |f| rule(f, |r| Value::Word(r.family.as_str())),
        "N network identity, P physics, R remote control, C co-location, B behaviour. An \
         incident's is that of its strongest alert.")),
    field(("longhaul.families", 1, Kind::Texts, "", Shown::Line,
        |f| list(List::Families(&f.families)), "Families that fired, in order."))
        .only("incidents"),
    field(("longhaul.topology", 1, Kind::Texts, "", Shown::Sometimes,
        |f| list(List::Texts(&f.topologies)),
        "T1 to T6: the topologies (README) that the rule can show.")),
    field(("longhaul.weight", 1, Kind::Float, "", Shown::Line,
        |f| if f.is_incident { Value::Absent } else { float(f.weight) },
        "How much it weighs: 1 - 1/ratio.")).only("alerts"),
    field(("longhaul.group", 3, Kind::Text, "", Shown::Sometimes,
        |f| f.group.map_or(Value::Absent, |(group, _)| Value::Word(group.as_str())),
        "What the evidence fails together with: `list`, `network`, `latency`, `place`, `stack`, \
         `tool`, `control`, `colocation`, `behaviour` or `hours`. An incident's is that of its \
         strongest alert.")),
    field(("longhaul.ratio", 3, Kind::Float, "", Shown::Sometimes,
        |f| f.group.map_or(Value::Absent, |(_, ratio)| float(ratio)),
        "Likelihood ratio: how much more often the rule fires on a case than on the honest, as \
         old lists and tags of benign explanations lower it.")),
    field(("longhaul.ratio_source", 3, Kind::Text, "", Shown::Sometimes,
        |f| Value::non_empty(&f.ratio_source),
        "Where the rule's ratio comes from: where it was counted, or that nobody has."))
        .only("alerts"),
    field(("longhaul.alone", 3, Kind::Bool, "", Shown::Sometimes, |f| Value::flag(f.alone),
        "A rule that makes an incident without a second group, whatever the probability.")),
    field(("longhaul.groups", 3, Kind::Texts, "", Shown::Line,
        |f| list(List::Factors(&f.factors)), "Groups of evidence, in order.")).only("incidents"),
    field(("longhaul.prior", 3, Kind::Float, "", Shown::Sometimes,
        |f| Value::float_opt(f.prior.map(|(prior, _)| prior)),
        "Share of people who are cases before anything is seen.")),
    field(("longhaul.tenure_ratio", 3, Kind::Float, "", Shown::Sometimes,
        |f| Value::float_opt(f.prior.and_then(|(_, tenure)| tenure)),
        "How much the time since the subject was hired changes that.")),
    field(("longhaul.ratios.group", 3, Kind::Text, "", Shown::Line, NONE,
        "A group of evidence.")).each(&FACTORS,
        |f, i| factor(f, i, |of| Value::Word(of.group.as_str()))).only("incidents"),
    field(("longhaul.ratios.ratio", 3, Kind::Float, "", Shown::Line, NONE,
        "Its likelihood ratio: that of its strongest alert.")).each(&FACTORS,
        |f, i| factor(f, i, |of| float(of.ratio))).only("incidents"),
    field(("longhaul.ratios.rule", 3, Kind::Text, "", Shown::Line, NONE,
        "Number of that alert's rule.")).each(&FACTORS,
        |f, i| factor(f, i, |of| Value::Str(&of.rule))).only("incidents"),
    field(("longhaul.ratios.source", 3, Kind::Text, "", Shown::Sometimes, NONE,
        "Where that ratio comes from.")).each(&FACTORS,
        |f, i| f.factor_sources.get(i).map_or(Value::Absent, |s| Value::non_empty(s)))
        .only("incidents"),
    field(("longhaul.what_if", 3, Kind::Texts, "", Shown::Sometimes,
        |f| list(List::Texts(&f.what_if)),
        "What the probability would be without each group, and with one more."))
        .only("incidents"),
    field(("longhaul.subjects", 3, Kind::Texts, "", Shown::Sometimes,
        |f| list(List::Names(&f.subjects)),
        "People behind one address that it is about, if they are several.")),
    field(("longhaul.devices", 3, Kind::Texts, "", Shown::Sometimes,
        |f| list(List::Names(&f.devices)),
        "Devices of ours that opened the sessions of its alerts, by name or else address, at most \
         16.")).only("incidents"),
    field(("longhaul.score", 1, Kind::Float, "", Shown::Line,
        |f| if f.is_incident { float(f.weight) } else { Value::Absent },
        "Posterior probability: the odds before, times the ratio of each group."))
        .only("incidents"),
    field(("longhaul.change", 3, Kind::Word(CHANGES), "", Shown::Line, change,
        "`opened`; `worse` if its level, its groups of evidence, its people or its devices have \
         grown; `closed` when its window is over. All lines of one incident have the same \
         `event.id`."))
        .only("incidents"),
    field(("longhaul.session.id", 1, Kind::Text, "", Shown::Sometimes,
        |f| Value::non_empty(&f.session_id), "`event.id` of the session.")).only("alerts"),
    field(("longhaul.evidence.name", 1, Kind::Text, "", Shown::Line, NONE,
        "The field that the evidence is a value of. An incident has the evidence of its alerts, \
         each piece once.")).each(&EVIDENCE, |f, i| evidence(f, i, |e| {
            Value::Str(&e.name)
        })),
    field(("longhaul.evidence.value", 1, Kind::Float, "", Shown::Sometimes, NONE,
        "Its value, where that is a number.")).each(&EVIDENCE, |f, i| {
            evidence(f, i, |e| match &e.value {
                EvidenceValue::Number(digits) => Value::Decimal(digits),
                EvidenceValue::Text(_) => Value::Absent,
            })
        }),
    field(("longhaul.evidence.text", 3, Kind::Text, "", Shown::Sometimes, NONE,
        "Its value, if it is not a number.")).each(&EVIDENCE, |f, i| {
            evidence(f, i, |e| match &e.value {
                EvidenceValue::Text(text) => Value::Str(text),
                EvidenceValue::Number(_) => Value::Absent,
            })
        }),
    field(("longhaul.evidence.unit", 1, Kind::Text, "", Shown::Sometimes, NONE,
        "The number's unit.")).each(&EVIDENCE, |f, i| evidence(f, i, |e| {
            Value::non_empty(&e.unit)
        })),
    field(("longhaul.evidence.threshold", 1, Kind::Float, "", Shown::Sometimes, NONE,
        "What the rule compares the number with.")).each(&EVIDENCE, |f, i| {
            evidence(f, i, |e| Value::float_opt(e.threshold))
        }),
    field(("longhaul.evidence.samples", 1, Kind::Int, "", Shown::Line, NONE,
        "Number of measurements it is based on.")).each(&EVIDENCE, |f, i| {
            evidence(f, i, |e| Value::Int(e.samples))
        }),
    field(("longhaul.evidence.sessions", 1, Kind::Texts, "", Shown::Sometimes, NONE,
        "`event.id` of the sessions it was seen in, at most 8.")).each(&EVIDENCE,
        |f, i| evidence(f, i, |e| list(List::Texts(&e.sessions)))),
    field(("longhaul.benign_checked", 1, Kind::Texts, "", Shown::Sometimes,
        |f| list(List::Texts(&f.benign_checked)),
        "Benign explanations that the rules have checked; first those that lowered the ratio.")),
    field(("longhaul.sources.kind", 1, Kind::Text, "", Shown::Line, NONE,
        "What the alert is based on: `list`, `geo`, `asn` or `rules`.")).each(&SOURCES,
        |f, i| source(f, i, |s| Value::Word(s.kind))),
    field(("longhaul.sources.name", 1, Kind::Text, "", Shown::Line, NONE,
        "Name of the list, database or rule set.")).each(&SOURCES,
        |f, i| source(f, i, |s| Value::Str(&s.name))),
    field(("longhaul.sources.version", 3, Kind::Text, "", Shown::Sometimes, NONE,
        "Of rules: the first 12 digits of the SHA-256 over them.")).each(&SOURCES,
        |f, i| source(f, i, |s| Value::non_empty(&s.version))),
    field(("longhaul.sources.build", 1, Kind::Date, "", Shown::Sometimes, NONE,
        "The day it was made.")).each(&SOURCES,
        |f, i| source(f, i, |s| s.built_at.map_or(Value::Absent, Value::Day))),
    field(("longhaul.sources.age_days", 1, Kind::Signed, "", Shown::Sometimes, NONE,
        "Whole days from that day to the packet; below 0 if the packet is older."))
        .each(&SOURCES, age_days),
    field(("longhaul.quality.retransmits", 1, Kind::Int, "", Shown::Line,
        |f| Value::Int(f.quality.retransmits.into()), "")),
    field(("longhaul.quality.out_of_order", 1, Kind::Int, "", Shown::Line,
        |f| Value::Int(f.quality.out_of_order.into()), "")),
    field(("longhaul.quality.duplicates", 1, Kind::Int, "", Shown::Line,
        |f| Value::Int(f.quality.duplicates.into()), "")),
    field(("longhaul.quality.gaps", 1, Kind::Int, "", Shown::Line,
        |f| Value::Int(f.quality.gaps.into()), "")),
    field(("longhaul.quality.one_way", 1, Kind::Bool, "", Shown::Line,
        |f| Value::Bool(f.quality.one_way), "")),
    field(("longhaul.quality.truncated", 1, Kind::Bool, "", Shown::Line,
        |f| Value::Bool(f.quality.truncated), "")),
    field(("longhaul.quality.unconfirmed", 3, Kind::Bool, "", Shown::Sometimes,
        |f| Value::flag(f.quality.unconfirmed), "")),
    field(("longhaul.count", 2, Kind::Int, "", Shown::Sometimes,
        |f| Value::int_opt(Some(f.count).filter(|count| *count > 1)),
        "Number of alerts merged into this one, if more than one: those of the same rule, subject \
         and tool within a day of the first. `@timestamp` is the first one's, `event.end` the \
         last one's."))
        .only("alerts"),
    field(("longhaul.details_more", 2, Kind::Int, "", Shown::Sometimes, |f| some(f.left_out),
        "Evidence and packet positions beyond the caps of a merged alert."))
        .only("alerts"),
    field(("longhaul.packets.file", 1, Kind::Text, "", Shown::Line, NONE,
        "Input file of the first packet, by the path it was given by, or the interface."))
        .each(&PACKETS, |f, i| packets(f, i, |(file, ..)| Value::Input(file))),
    field(("longhaul.packets.first", 1, Kind::Int, "", Shown::Line, NONE, ""))
        .each(&PACKETS, |f, i| packets(f, i, |(_, n, _)| Value::Int(n.into()))),
    field(("longhaul.packets.last", 1, Kind::Int, "", Shown::Line, NONE, ""))
        .each(&PACKETS, |f, i| packets(f, i, |(.., n)| Value::Int(n.into()))),
    field(("longhaul.alerts.rule.id", 1, Kind::Text, "", Shown::Line, NONE,
        "Rule of each alert it is made of: at most 32 alerts, at most 4 of one rule."))
        .each(&ALERTS, |f, i| member(f, i, |m| Value::Str(&m.alert.rule.id)))
        .only("incidents"),
    field(("longhaul.alerts.rule.name", 1, Kind::Text, "", Shown::Line, NONE, "Its name."))
        .each(&ALERTS, |f, i| member(f, i, |m| Value::Str(&m.alert.rule.name)))
        .only("incidents"),
    field(("longhaul.alerts.event.id", 1, Kind::Text, "", Shown::Line, NONE,
        "`event.id` of the alert."))
        .each(&ALERTS, |f, i| member(f, i, |m| Value::Str(&m.id)))
        .only("incidents"),
    field(("longhaul.alerts.time", 3, Kind::Time, "", Shown::Line, NONE,
        "Time of the last packet of its session."))
        .each(&ALERTS, |f, i| member(f, i, |m| Value::Time(m.alert.time)))
        .only("incidents"),
    field(("longhaul.alerts.ratio", 3, Kind::Float, "", Shown::Line, NONE,
        "Its likelihood ratio."))
        .each(&ALERTS, |f, i| member(f, i, |m| float(m.alert.ratio)))
        .only("incidents"),
    field(("longhaul.alerts.message", 3, Kind::Text, "", Shown::Sometimes, NONE, "Its sentence."))
        .each(&ALERTS, |f, i| member(f, i, |m| Value::non_empty(&m.alert.message)))
        .only("incidents"),
    field(("longhaul.alerts_more", 2, Kind::Int, "", Shown::Sometimes, |f| some(f.alerts_more),
        "Number of alerts of the subject that are not listed, if any.")).only("incidents"),
    field(("longhaul.next_steps", 1, Kind::Texts, "", Shown::Sometimes,
        |f| list(List::Texts(&f.next_steps)), "What a person should do next.")),
    field(("longhaul.does_not_prove", 1, Kind::Texts, "", Shown::Sometimes,
        |f| list(List::Texts(&f.does_not_prove)), "What it does not prove.")),
    field(("longhaul.explanation", 3, Kind::Texts, "", Shown::Sometimes,
        |f| list(List::Texts(&f.explanation)),
        "All of it in plain sentences, as `longhaul explain` prints them: who, what was seen, how \
         sure, how far, when, benign explanations tested, next steps, limits, packets.")),
]
}

impl Described for Finding {
    fn fields() -> &'static [Field<Finding>] {
        &FIELDS
    }

    fn carries() -> &'static [&'static [&'static str]] {
        &[CARRIED_OF_SESSIONS, CARRIED_OF_ENDPOINTS]
    }

    fn visit<V: Visitor<Finding>>(&self, visitor: &mut V) {
        Common::visit(self, visitor);
        visit_carried(self, visitor, |name| !name.starts_with("longhaul."));
        visit_carried(self, visitor, |name| name.starts_with("longhaul.subject."));
        SubjectFields::visit(self, visitor);
        visit_carried(self, visitor, |name| {
            name.starts_with("longhaul.") && !name.starts_with("longhaul.subject.")
        });
        OwnFields::visit(self, visitor);
    }

    fn visit_member<V: Visitor<Finding>>(
        &self,
        at: (&'static Objects<Finding>, usize),
        visitor: &mut V,
    ) {
        OwnFields::visit_member(self, at, visitor);
    }
}
